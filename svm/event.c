// SPDX-License-Identifier: GPL-2.0
/*
 * Events into the guest: injection, the windows that say when the guest can
 * take one, and the events whose delivery an exit cut short.  It must not know
 * where an event comes from.
 */
#include <asm/processor-flags.h>
#include "svm/svm.h"

#define DR6_BS		BIT(14)

void svm_inject(struct keel_vcpu *vcpu, const struct keel_event *event)
{
	struct svm_control *c = &to_svm(vcpu)->vmcb->control;

	c->event_inj = keel_event_word(event);
	c->event_error = event->error;
	to_svm(vcpu)->event_inj = c->event_inj;
	if (event->kind == KEEL_EV_NMI) {
		vcpu->nmi_masked = true;
		svm_watch_iret(vcpu);
	}
}

/* NMIs are masked: an IRET ends that.  Also after such a state was loaded. */
void svm_watch_iret(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (!svm->iret_watched) {
		svm->iret_watched = true;
		svm_intercept_misc1(svm, SVM_I1_IRET, true);
	}
	svm->iret_running = false;
}

bool svm_can_inject(struct keel_vcpu *vcpu, enum keel_event_kind kind)
{
	const struct svm_vmcb *b = to_svm(vcpu)->vmcb;

	if (b->control.event_inj & KEEL_WORD_VALID)
		return false;
	if (b->control.int_state & SVM_INT_SHADOW)
		return false;
	if (kind == KEEL_EV_IRQ)
		return b->save.rflags & X86_EFLAGS_IF;
	return !vcpu->nmi_masked;
}

/* A virtual interrupt that the guest would take exits instead: VINTR. */
static void svm_irq_window(struct svm_vcpu *svm, bool open)
{
	const u32 bits = SVM_V_IRQ | SVM_V_INTR_PRIO_MAX | SVM_V_IGN_TPR;
	u32 *int_ctl = &svm->vmcb->control.int_ctl;

	if (svm->irq_window == open)
		return;
	svm->irq_window = open;
	*int_ctl = open ? *int_ctl | bits : *int_ctl & ~bits;
	svm->vmcb->control.int_vector = 0;
	svm_unclean(svm, SVM_CLEAN_INT_CTL);
	svm_intercept_misc1(svm, SVM_I1_VINTR, open);
}

/*
 * No CPU tells when an NMI would be taken.  Masked by an NMI: the IRET exit
 * comes first.  Otherwise one instruction is in the way (a shadow, or the IRET
 * itself): step over it.
 */
static void svm_nmi_window(struct keel_vcpu *vcpu, bool open)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 *rflags = &svm->vmcb->save.rflags;

	if (!open || svm->stepping || (vcpu->nmi_masked && !svm->iret_running))
		return;
	svm->stepping = true;
	svm->step_rflags = *rflags;
	*rflags |= X86_EFLAGS_TF | X86_EFLAGS_RF;
}

void svm_window(struct keel_vcpu *vcpu, enum keel_event_kind kind, bool open)
{
	if (kind == KEEL_EV_IRQ)
		svm_irq_window(to_svm(vcpu), open);
	else
		svm_nmi_window(vcpu, open);
}

/* IRET is about to run; NMIs are unmasked when it has. */
void svm_iret_exit(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->iret_watched = false;
	svm_intercept_misc1(svm, SVM_I1_IRET, false);
	svm->iret_running = true;
	svm->iret_rip = svm->vmcb->save.rip;
	keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
}

/*
 * #DB while stepping.  True: the trap was ours alone and the guest must not
 * see it.
 */
bool svm_step_done(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_save *s = &svm->vmcb->save;

	if (!svm->stepping)
		return false;
	svm->stepping = false;
	if (!(svm->step_rflags & X86_EFLAGS_TF))
		s->rflags &= ~(u64)X86_EFLAGS_TF;
	if (!(svm->step_rflags & X86_EFLAGS_RF))
		s->rflags &= ~(u64)X86_EFLAGS_RF;
	if (svm->iret_running) {
		svm->iret_running = false;
		vcpu->nmi_masked = false;
	}
	keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
	if (svm->step_rflags & X86_EFLAGS_TF)
		return false;
	if (!(s->dr6 & DR6_BS))
		return false;
	s->dr6 &= ~(u64)DR6_BS;
	svm_unclean(svm, SVM_CLEAN_DR);
	return !(s->dr6 & 0xf);
}

/*
 * INT3 and INTO come back as exceptions, but RIP is still on them: they run
 * again by themselves.  What we had injected does not.
 */
static bool svm_runs_again(const struct svm_vcpu *svm, u32 info)
{
	u32 vector = info & 0xff;

	return (info & KEEL_WORD_TYPE) == KEEL_WORD_EXCEPTION && (vector == 3 || vector == 4) &&
	       svm->event_inj != info;
}

void svm_requeue(struct keel_vcpu *vcpu)
{
	struct svm_control *c = &to_svm(vcpu)->vmcb->control;

	if (c->event_inj & KEEL_WORD_VALID)
		keel_event_back(vcpu, c->event_inj, c->event_error);
	c->event_inj = 0;
	to_svm(vcpu)->event_inj = 0;
}

/* [entry] after an exit: an event whose delivery was cut short goes back to the vCPU. */
void svm_collect_event(struct keel_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_control *c = &svm->vmcb->control;

	if (unlikely(svm->iret_running) && svm->vmcb->save.rip != svm->iret_rip) {
		svm->iret_running = false;
		vcpu->nmi_masked = false;
		keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
	}
	/* Such a CPU does not see a window that is open when it enters with IF set. */
	if (static_branch_unlikely(&svm_half_switch) && svm->irq_window)
		keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
	if (unlikely(c->exit_int_info & KEEL_WORD_VALID) &&
	    !svm_runs_again(svm, c->exit_int_info)) {
		keel_event_back(vcpu, c->exit_int_info, c->exit_int_error);
		vcpu->exception_cr2 = svm->vmcb->save.cr2;
	}
	c->event_inj = 0;
	svm->event_inj = 0;
}
