/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of the floor share. A guest that is the kernel's own code in the
 * kernel's own address space calls the host; the host does what no hypervisor can
 * leave out, and enters it again.
 */
#ifndef KEEL_BENCH_FLOOR_H
#define KEEL_BENCH_FLOOR_H

#ifndef __ASSEMBLY__
#include <linux/types.h>

#define FLOOR_SAMPLES	64

/* General registers in encoding order; RSP's place and, on AMD, RAX's are not used. */
struct floor_guest {
	u64 gpr[16];
};

/* The guest: calls and stamps; RDI one behind the samples, RSI minus their number. */
void floor_guest_intel(void);
void floor_guest_amd(void);

/* Enter until the guest exits for anything but its call. Interrupts are off. */
void floor_switch_svm(u64 vmcb_pa, u64 host_pa, void *vmcb, u64 *gpr,
		      const unsigned long *flags);
int floor_switch_vmx(u64 *gpr, const unsigned long *flags);

/* 0, or why this CPU cannot. One CPU, preemption off. */
int floor_run_svm(struct floor_guest *guest, void *stack);
int floor_run_vmx(struct floor_guest *guest, void *stack);
#endif

#endif /* KEEL_BENCH_FLOOR_H */
