// SPDX-License-Identifier: GPL-2.0
/*
 * The VMCB's control area: which guest actions exit, and its power-on form.
 * It must not know guest registers or what an exit leads to.
 */
#include <linux/mm.h>
#include <linux/mem_encrypt.h>
#include <asm/io.h>
#include <linux/printk.h>
#include "core/stats.h"
#include "svm/svm.h"

#define SVM_PAUSE_COUNT		3000	/* PAUSEs in one loop before an exit */
#define SVM_PAUSE_THRESHOLD	128	/* cycles that make two PAUSEs one loop */

static const u32 svm_misc1 =
	SVM_I1_INTR | SVM_I1_NMI | SVM_I1_SMI | SVM_I1_INIT | SVM_I1_RDPMC | SVM_I1_CPUID |
	SVM_I1_INVD | SVM_I1_HLT | SVM_I1_INVLPGA | SVM_I1_IOIO | SVM_I1_MSR |
	SVM_I1_TASK_SWITCH | SVM_I1_FERR_FREEZE | SVM_I1_SHUTDOWN;

static const u32 svm_misc2 =
	SVM_I2_VMRUN | SVM_I2_VMMCALL | SVM_I2_VMLOAD | SVM_I2_VMSAVE | SVM_I2_STGI |
	SVM_I2_CLGI | SVM_I2_SKINIT | SVM_I2_WBINVD | SVM_I2_MONITOR | SVM_I2_MWAIT |
	SVM_I2_MWAIT_ARMED | SVM_I2_XSETBV | SVM_I2_RDPRU;

void svm_control_reset(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_control *c = &svm->vmcb->control;

	memset(svm->vmcb, 0, sizeof(*svm->vmcb));
	/* With nested paging the guest owns CR0 and CR3; CR4 bits are limited by CPUID. */
	c->intercept_cr = SVM_CR_WRITE(4);
	c->intercept_dr = ~0U;
	c->intercept_exception = KEEL_HOST_EXCEPTIONS;
	c->intercept_misc1 = svm_misc1;
	c->intercept_misc2 = svm_misc2;
	if (svm_global.features & SVM_F_PAUSE_FILTER) {
		c->intercept_misc1 |= SVM_I1_PAUSE;
		c->pause_count = SVM_PAUSE_COUNT;
		c->pause_threshold = SVM_PAUSE_THRESHOLD;
	}
	c->iopm_pa = __sme_set(page_to_phys(svm_global.iopm));
	c->msrpm_pa = __sme_set(page_to_phys(svm_global.msrpm));
	c->tsc_offset = keel_tsc_offset(vcpu);
	c->int_ctl = SVM_V_INTR_MASKING;
	c->nested_ctl = SVM_NP_ENABLE;
	c->nested_cr3 = vcpu->vm->s2.root;

	svm->asid_generation = 0;
	svm->irq_window = false;
	svm->iret_watched = false;
	svm->iret_running = false;
	svm->stepping = false;
	svm->hide_mce = false;
	svm->tpr_threshold = 0;
}

void svm_intercept_misc1(struct svm_vcpu *svm, u32 bits, bool on)
{
	u32 *word = &svm->vmcb->control.intercept_misc1;

	*word = on ? *word | bits : *word & ~bits;
	svm_unclean(svm, SVM_CLEAN_INTERCEPTS);
}

void svm_intercept_exception(struct svm_vcpu *svm, u8 vector, bool on)
{
	u32 *word = &svm->vmcb->control.intercept_exception;

	*word = on ? *word | BIT(vector) : (*word & ~BIT(vector)) | KEEL_HOST_EXCEPTIONS;
	svm_unclean(svm, SVM_CLEAN_INTERCEPTS);
}

void svm_tpr_threshold(struct keel_vcpu *vcpu, u8 threshold)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u32 *word = &svm->vmcb->control.intercept_cr;

	if (svm->tpr_threshold == threshold)
		return;
	svm->tpr_threshold = threshold;
	/* SVM has no threshold: any CR8 write tells us. */
	*word = threshold ? *word | SVM_CR_WRITE(8) : *word & ~SVM_CR_WRITE(8);
	svm_unclean(svm, SVM_CLEAN_INTERCEPTS);
}

void svm_set_tsc_offset(struct keel_vcpu *vcpu, u64 offset)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->vmcb->control.tsc_offset = offset;
	svm_unclean(svm, SVM_CLEAN_INTERCEPTS);
}

void svm_dr_access(struct keel_vcpu *vcpu, bool intercept)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->vmcb->control.intercept_dr = intercept ? ~0U : 0;
	svm_unclean(svm, SVM_CLEAN_INTERCEPTS);
}

void svm_dump(struct keel_vcpu *vcpu)
{
	const struct svm_vmcb *b = to_svm(vcpu)->vmcb;
	const struct svm_control *c = &b->control;
	const struct svm_save *s = &b->save;

	pr_info("vCPU %u: exit %#x info %#llx %#llx event %#x/%#x int_ctl %#x int_state %#x asid %u\n",
		vcpu->id, c->exit_code, c->exit_info_1, c->exit_info_2, c->exit_int_info,
		c->event_inj, c->int_ctl, c->int_state, c->asid);
	pr_info("  rip %#llx rsp %#llx rflags %#llx cr0 %#llx cr3 %#llx cr4 %#llx efer %#llx cpl %u\n",
		s->rip, s->rsp, s->rflags, s->cr0, s->cr3, s->cr4, s->efer, s->cpl);
	pr_info("  cs %#x %#llx/%#x %#x ss %#x %#llx/%#x %#x\n",
		s->cs.selector, s->cs.base, s->cs.limit, s->cs.attr,
		s->ss.selector, s->ss.base, s->ss.limit, s->ss.attr);
}
