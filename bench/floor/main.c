// SPDX-License-Identifier: GPL-2.0
/*
 * bench_floor.ko: measures when it is loaded, and says what it found in its
 * parameter "instructions". No hypervisor may be loaded. It must not know VMX
 * or SVM.
 */
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <asm/cpufeature.h>
#include "floor.h"

static unsigned int instructions;
module_param(instructions, uint, 0444);
MODULE_PARM_DESC(instructions, "of one turn: the guest's five and the host's");

static int floor_measure(struct floor_guest *guest, u32 *samples, void *stack)
{
	unsigned long flags;
	int err;

	guest->gpr[7] = (unsigned long)(samples + FLOOR_SAMPLES);
	guest->gpr[6] = -(u64)FLOOR_SAMPLES;
	local_irq_save(flags);
	if (boot_cpu_has(X86_FEATURE_SVM))
		err = floor_run_svm(guest, stack);
	else
		err = floor_run_vmx(guest, stack);
	local_irq_restore(flags);
	return err;
}

static int __init floor_init(void)
{
	struct floor_guest *guest = kzalloc(sizeof(*guest), GFP_KERNEL);
	u32 *samples = kcalloc(FLOOR_SAMPLES, sizeof(*samples), GFP_KERNEL);
	void *stack = (void *)get_zeroed_page(GFP_KERNEL);
	int err = -ENOMEM;

	if (guest && samples && stack) {
		err = floor_measure(guest, samples, stack);
		/* Every turn is the same: nothing can come between. */
		instructions = samples[FLOOR_SAMPLES - 1] - samples[FLOOR_SAMPLES - 2];
	}
	free_page((unsigned long)stack);
	kfree(samples);
	kfree(guest);
	return err;
}
module_init(floor_init);

static void __exit floor_exit(void)
{
}
module_exit(floor_exit);

MODULE_DESCRIPTION("The floor of an exit, for the benchmark");
MODULE_LICENSE("GPL");
