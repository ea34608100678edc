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
	static const u32 types[] = {
		[KEEL_EV_IRQ] = SVM_EV_INTR,
		[KEEL_EV_NMI] = SVM_EV_NMI,
		[KEEL_EV_EXCEPTION] = SVM_EV_EXCEPTION,
		[KEEL_EV_SOFT] = SVM_EV_SOFT,
	};
	struct svm_control *c = &to_svm(vcpu)->vmcb->control;

	c->event_inj = SVM_EV_VALID | types[event->kind] | event->vector |
		       (event->has_error ? SVM_EV_HAS_ERROR : 0);
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

	if (b->control.event_inj & SVM_EV_VALID)
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

/* An event word of the control block as a neutral event. */
static void svm_keep_event(struct keel_event *event, u32 info, u32 error)
{
	static const u8 kinds[] = {
		[SVM_EV_INTR >> SVM_EV_TYPE_SHIFT] = KEEL_EV_IRQ,
		[SVM_EV_NMI >> SVM_EV_TYPE_SHIFT] = KEEL_EV_NMI,
		[SVM_EV_EXCEPTION >> SVM_EV_TYPE_SHIFT] = KEEL_EV_EXCEPTION,
		[7] = KEEL_EV_NONE,
	};
	u8 vector = info & 0xff;
	u8 kind = kinds[(info & SVM_EV_TYPE_MASK) >> SVM_EV_TYPE_SHIFT];

	/* INT n, INT3 and INTO run again by themselves: RIP is still on them. */
	if (kind == KEEL_EV_EXCEPTION && (vector == 3 || vector == 4))
		kind = KEEL_EV_NONE;
	*event = (struct keel_event){
		.kind = kind,
		.vector = vector,
		.has_error = !!(info & SVM_EV_HAS_ERROR),
		.error = error,
	};
}

void svm_requeue(struct keel_vcpu *vcpu)
{
	struct svm_control *c = &to_svm(vcpu)->vmcb->control;

	if (c->event_inj & SVM_EV_VALID) {
		/* Back to where it came from: another event may wait in vcpu->injected. */
		if (vcpu->injected.kind)
			svm_keep_event(&vcpu->exception, c->event_inj, c->event_error);
		else
			svm_keep_event(&vcpu->injected, c->event_inj, c->event_error);
	}
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
	c->event_inj = 0;
	svm->event_inj = 0;
	if (unlikely(c->exit_int_info & SVM_EV_VALID)) {
		svm_keep_event(vcpu->injected.kind ? &vcpu->exception : &vcpu->injected,
			       c->exit_int_info, c->exit_int_error);
		vcpu->exception_cr2 = svm->vmcb->save.cr2;
	}
}
