// SPDX-License-Identifier: GPL-2.0
// The callback that takes a CPU out of VMX or SVM before a crash kernel.
// needs-export: cpu_emergency_register_virt_callback
#include <asm/reboot.h>

void keel_probe(cpu_emergency_virt_cb *cb);
void keel_probe(cpu_emergency_virt_cb *cb)
{
	cpu_emergency_register_virt_callback(cb);
	cpu_emergency_unregister_virt_callback(cb);
}
