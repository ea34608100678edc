/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ownership of the CPUs' virtualization: first VM to last VM, through hotplug,
 * suspend, reboot, kexec and crash, beside KVM.  It must not know how a
 * vendor switches it on.
 */
#ifndef KEEL_CORE_HW_H
#define KEEL_CORE_HW_H

#include "core/types.h"

int keel_hw_init(void);			/* [task] module init */
void keel_hw_exit(void);		/* [task] module exit, no VM left */
/* [task] one more VM.  -EBUSY with *@reason KEEL_BUSY_*; the log names holder and remedy */
int keel_hw_get(u32 *reason);
void keel_hw_put(void);			/* [task] one VM less */
/* True once an emergency has switched virtualization off: faults of its
 * instructions are expected from then on.
 */
extern bool keel_hw_rebooting;
/* [cpu, or preemption off] Keel holds this CPU.  False for a moment while it
 * comes up or goes down, and after an emergency: do not use it then.
 */
bool keel_hw_cpu_ready(void);

#endif /* KEEL_CORE_HW_H */
