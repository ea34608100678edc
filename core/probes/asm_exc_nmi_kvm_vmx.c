// SPDX-License-Identifier: GPL-2.0
// The NMI entry for a VMX owner, under its newer name.
// needs-export: asm_exc_nmi_kvm_vmx
#include <asm/idtentry.h>

void *keel_probe(void);
void *keel_probe(void)
{
	return (void *)asm_exc_nmi_kvm_vmx;
}
