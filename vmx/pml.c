// SPDX-License-Identifier: GPL-2.0
/*
 * Page-modification logging: the CPU writes each guest-physical address whose
 * EPT leaf becomes dirty to a page of the vCPU's.  It owns that page and the
 * control that switches it; it must not know who wants to know.
 */
#include <linux/module.h>
#include <linux/srcu.h>
#include <asm/io.h>
#include "core/mem.h"
#include "vmx/vmx.h"

#define PML_ENTRIES	512
#define PML_EMPTY	(PML_ENTRIES - 1)	/* the index counts down to 0, then wraps */

static bool pml = true;
module_param(pml, bool, 0444);
MODULE_PARM_DESC(pml, "Intel: log a guest's writes by page-modification logging (default Y)");

static bool ept_ad = true;
module_param(ept_ad, bool, 0444);
MODULE_PARM_DESC(ept_ad, "Intel: use the accessed and dirty bits of EPT (default Y)");

void vmx_pml_setup(void)
{
	if (!ept_ad)
		vmx_global.ept_cap &= ~VMX_EPT_CAP_AD;
	/* The log is of dirty bits. */
	if (!pml || !(vmx_global.ept_cap & VMX_EPT_CAP_AD)) {
		vmx_global.proc2 &= ~(u32)VMX_PROC2_PML;
		vmx_global.caps &= ~(u32)KEEL_CAP_PML;
	}
}

bool vmx_pml_of_vm(const struct keel_vm *vm)
{
	return (vmx_global.proc2 & VMX_PROC2_PML) && (vm->features & KEEL_FEAT_DIRTY_LOG);
}

/* [VMCS current] */
void vmx_pml_reset(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!vmx->pml)
		return;
	vmx->pml_on = READ_ONCE(vcpu->vm->log_dirty);
	vmx_write(VMX_PML_ADDRESS, __pa(vmx->pml));
	vmx_write(VMX_GUEST_PML_INDEX, PML_EMPTY);
}

void vmx_log_dirty(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	bool on = READ_ONCE(vcpu->vm->log_dirty);

	if (!vmx->pml || vmx->pml_on == on)
		return;
	vmx->pml_on = on;
	vmx_access_begin(vmx);
	vmx_write(VMX_PROC2_CONTROLS, vmx_proc2(vcpu));
	vmx_access_end(vmx);
}

/*
 * [entry] after an exit, so that a vCPU outside of guest mode has nothing in its
 * log: who has waited for it to be there needs no more.
 */
void vmx_pml_drain(struct keel_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u16 index = vmx_read(VMX_GUEST_PML_INDEX);
	int idx;

	if (index == PML_EMPTY)
		return;
	/* It points at the next free entry; beyond the page when there is none. */
	index = index < PML_ENTRIES ? index + 1 : 0;
	idx = srcu_read_lock(&keel_srcu);
	for (; index < PML_ENTRIES; index++)
		keel_log_gfn(vcpu->vm, keel_gpa_to_gfn(vmx->pml[index]));
	srcu_read_unlock(&keel_srcu, idx);
	vmx_write(VMX_GUEST_PML_INDEX, PML_EMPTY);
	/* The bits before "outside": pairs with keel_vm_request_wait(). */
	smp_mb__after_atomic();
}
