// SPDX-License-Identifier: GPL-2.0
/*
 * CPUs that do not move all of a guest's registers at VMRUN and #VMEXIT.  No
 * silicon is known to; Bochs 2.7 does.  Whether this CPU is one is tried out,
 * once, with a guest that cannot execute anything.  It must not know real ones.
 */
#define pr_fmt(fmt) "keel: " fmt

#include <linux/irqflags.h>
#include <linux/mem_encrypt.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <asm/io.h>
#include <asm/special_insns.h>
#include "core/hw.h"
#include "svm/svm.h"

#define QUIRK_PAT	0x0007040600070406ULL	/* these three as at reset */
#define QUIRK_DR6	0xffff0ff0U
#define QUIRK_DR7	0x400U
#define QUIRK_ATTR_CODE	0x9b
#define QUIRK_ATTR_DATA	0x93
#define QUIRK_ATTR_LDT	0x82
#define QUIRK_ATTR_TSS	0x8b

/*
 * VMRUN does not load CR2, which is what is tried.  What goes with it: a #DB that
 * exits does not save DR6; a virtual interrupt that waits when a guest is entered
 * with IF set is not seen until the guest has changed IF.
 */
DEFINE_STATIC_KEY_FALSE(svm_half_switch);

static DEFINE_MUTEX(quirk_mutex);
static bool quirk_known;		/* quirk_mutex */

/* Real mode, in a nested table that maps nothing: its first fetch exits. */
static void quirk_guest(struct svm_vmcb *b)
{
	struct svm_segment *data[] = { &b->save.es, &b->save.ss, &b->save.ds, &b->save.fs,
				       &b->save.gs };
	int i;

	b->control.intercept_exception = ~0U;
	b->control.intercept_misc1 = SVM_I1_INTR | SVM_I1_NMI | SVM_I1_SMI | SVM_I1_INIT |
				     SVM_I1_SHUTDOWN;
	b->control.intercept_misc2 = SVM_I2_VMRUN;
	b->control.iopm_pa = __sme_set(page_to_phys(svm_global.iopm));
	b->control.msrpm_pa = __sme_set(page_to_phys(svm_global.msrpm));
	b->control.int_ctl = SVM_V_INTR_MASKING;
	b->control.nested_ctl = SVM_NP_ENABLE;
	b->control.nested_cr3 = __sme_set(page_to_phys(ZERO_PAGE(0)));

	b->save.cs = (struct svm_segment){ .attr = QUIRK_ATTR_CODE, .limit = 0xffff };
	for (i = 0; i < ARRAY_SIZE(data); i++)
		*data[i] = (struct svm_segment){ .attr = QUIRK_ATTR_DATA, .limit = 0xffff };
	b->save.ldtr.attr = QUIRK_ATTR_LDT;
	b->save.tr.attr = QUIRK_ATTR_TSS;
	b->save.efer = EFER_SVME;
	b->save.cr0 = X86_CR0_ET;
	b->save.rflags = X86_EFLAGS_FIXED;
	b->save.dr6 = QUIRK_DR6;
	b->save.dr7 = QUIRK_DR7;
	b->save.pat = QUIRK_PAT;
}

/*
 * IRQs off.  0: CR2 was the guest's while it ran; 1: it was not; negative:
 * it did not run.
 */
static int quirk_try(struct svm_vmcb *b)
{
	struct svm_vcpu svm = {
		.vmcb = b,
		.sw.vmcb_pa = __sme_set(__pa(b)),
		.sw.host_pa = __sme_set(page_to_phys(this_cpu_read(svm_cpus.host))),
	};
	u64 gpr[16] = {};

	svm_assign_asid(&svm);
	b->save.cr2 = ~native_read_cr2();
	gpr[0] = b->save.cr2;
	svm_host_save(svm.sw.host_pa);
	svm_switch_to_guest(&svm.sw, gpr);
	if (svm.sw.faulted || b->control.exit_code == SVM_X_INVALID)
		return -EIO;
	return b->save.cr2 != gpr[0];
}

/*
 * [task] The caller holds the CPUs.  Tries again with the next VM if this CPU
 * could not run a guest.
 */
int svm_quirk_probe(void)
{
	struct svm_vmcb *b;
	unsigned long flags;
	int found = -EIO;

	BUILD_BUG_ON(sizeof(*b) != PAGE_SIZE);
	mutex_lock(&quirk_mutex);
	if (quirk_known) {
		mutex_unlock(&quirk_mutex);
		return 0;
	}
	b = (void *)get_zeroed_page(GFP_KERNEL);
	if (!b) {
		mutex_unlock(&quirk_mutex);
		return -ENOMEM;
	}
	quirk_guest(b);
	local_irq_save(flags);
	if (keel_hw_cpu_ready())
		found = quirk_try(b);
	local_irq_restore(flags);
	free_page((unsigned long)b);
	if (found > 0) {
		pr_notice("this CPU leaves registers out when it enters a guest: CR2 is written by hand\n");
		static_branch_enable(&svm_half_switch);
	}
	quirk_known = found >= 0;
	mutex_unlock(&quirk_mutex);
	return 0;
}
