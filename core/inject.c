// SPDX-License-Identifier: GPL-2.0
/*
 * Events on their way into the guest: in which order, and what happens when
 * one meets another.  It must not know how a control block takes them.
 */
#include <asm/processor-flags.h>
#include "core/run.h"
#include "core/trace.h"
#include "irqchip/irqchip.h"

#define VEC_DB	1
#define VEC_DF	8
#define VEC_PF	14
#define DR6_BS	BIT(14)

/* Contributory exceptions: one during another's delivery is a double fault. */
#define CONTRIBUTORY	(BIT(0) | BIT(10) | BIT(11) | BIT(12) | BIT(13))
/* Faults: pushed with RF set, so that a breakpoint there does not hit twice. */
#define FAULTS		(BIT(0) | BIT(5) | BIT(6) | BIT(7) | BIT(10) | BIT(11) | BIT(12) | \
			 BIT(13) | BIT(14) | BIT(16) | BIT(17) | BIT(19))

static void triple_fault(struct keel_vcpu *vcpu)
{
	vcpu->exception.kind = KEEL_EV_NONE;
	vcpu->injected.kind = KEEL_EV_NONE;
	set_bit(KEEL_POST_TRIPLE_FAULT, &vcpu->posted);
	keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
}

void keel_queue_exception(struct keel_vcpu *vcpu, u8 vector, bool has_error, u32 error, u64 cr2)
{
	struct keel_event *first = NULL;

	/* Only an exception on its way makes the two of them a double fault. */
	if (vcpu->injected.kind == KEEL_EV_EXCEPTION)
		first = &vcpu->injected;
	else if (vcpu->exception.kind)
		first = &vcpu->exception;

	if (first && first->vector == VEC_DF) {
		triple_fault(vcpu);
		return;
	}
	if (first && ((CONTRIBUTORY & BIT(first->vector) && CONTRIBUTORY & BIT(vector)) ||
		      (first->vector == VEC_PF &&
		       (vector == VEC_PF || CONTRIBUTORY & BIT(vector))))) {
		vector = VEC_DF;
		has_error = true;
		error = 0;
	}
	/* The later one wins: the first comes back when its instruction runs again. */
	vcpu->injected.kind = vcpu->injected.kind == KEEL_EV_EXCEPTION ? KEEL_EV_NONE :
									 vcpu->injected.kind;
	vcpu->exception = (struct keel_event){
		.kind = KEEL_EV_EXCEPTION,
		.vector = vector,
		.has_error = has_error,
		.error = error,
	};
	vcpu->exception_cr2 = cr2;
}

void keel_queue_step_trap(struct keel_vcpu *vcpu)
{
	keel_need(vcpu, KEEL_CG_DEBUG);
	vcpu->dr6 |= DR6_BS;
	keel_touch(vcpu, KEEL_CG_DEBUG);
	keel_queue_exception(vcpu, VEC_DB, false, 0, 0);
}

static void inject(struct keel_vcpu *vcpu, const struct keel_event *event)
{
	trace_keel_inject(vcpu->id, event);
	keel_backend->inject(vcpu, event);
}

/* What the exception changes in the guest before its handler runs. */
static void inject_exception(struct keel_vcpu *vcpu)
{
	struct keel_event event = vcpu->exception;

	vcpu->exception.kind = KEEL_EV_NONE;
	if (event.vector == VEC_PF) {
		keel_need(vcpu, KEEL_CG_CR);
		vcpu->sregs.cr2 = vcpu->exception_cr2;
		keel_touch(vcpu, KEEL_CG_CR);
	}
	keel_need(vcpu, KEEL_CG_CR | KEEL_CG_RFLAGS);
	/* Real mode has no error codes. */
	if (!(vcpu->sregs.cr0 & X86_CR0_PE))
		event.has_error = false;
	if (FAULTS & BIT(event.vector)) {
		vcpu->regs.rflags |= X86_EFLAGS_RF;
		keel_touch(vcpu, KEEL_CG_RFLAGS);
	}
	keel_flush_state(vcpu);
	vcpu->stats.exceptions_injected++;
	inject(vcpu, &event);
}

/* True: an event stands in the control block. */
static bool inject_nmi(struct keel_vcpu *vcpu, bool busy)
{
	int posted = atomic_read(&vcpu->nmi_posted) ? atomic_xchg(&vcpu->nmi_posted, 0) : 0;

	if (!posted && !vcpu->nmi_pending)
		return busy;
	keel_need(vcpu, KEEL_CG_SHADOW);
	/* One may wait behind the one that is being handled. */
	if (posted)
		vcpu->nmi_pending = min(vcpu->nmi_pending + posted, 2 - (int)vcpu->nmi_masked);
	if (!vcpu->nmi_pending)
		return busy;
	if (!busy && keel_backend->can_inject(vcpu, KEEL_EV_NMI)) {
		vcpu->nmi_pending--;
		vcpu->stats.nmis_injected++;
		inject(vcpu, &(struct keel_event){ .kind = KEEL_EV_NMI, .vector = 2 });
		busy = true;
	}
	if (vcpu->nmi_pending)
		keel_backend->window(vcpu, KEEL_EV_NMI, true);
	return busy;
}

/* The launcher's interrupt controller: one vector at a time. */
static void inject_user_irq(struct keel_vcpu *vcpu, bool busy)
{
	bool want = vcpu->irq_user_pending;

	if (want && !busy && keel_backend->can_inject(vcpu, KEEL_EV_IRQ)) {
		vcpu->irq_user_pending = false;
		want = false;
		vcpu->stats.irqs_injected++;
		inject(vcpu, &(struct keel_event){ .kind = KEEL_EV_IRQ, .vector = vcpu->irq_user });
	}
	vcpu->irq_window = want || (vcpu->run_flags & KEEL_RUN_IRQ_WINDOW);
	keel_backend->window(vcpu, KEEL_EV_IRQ, vcpu->irq_window);
}

DEFINE_STATIC_KEY_FALSE(keel_apicv);

/* The PIC's, which no CPU delivers by itself. */
static void inject_extint(struct keel_vcpu *vcpu, bool busy)
{
	bool want = irqchip_has_extint(vcpu);

	if (want && !busy && keel_backend->can_inject(vcpu, KEEL_EV_IRQ)) {
		int vector = irqchip_ack_extint(vcpu);

		if (vector >= 0) {
			vcpu->stats.irqs_injected++;
			inject(vcpu, &(struct keel_event){ .kind = KEEL_EV_IRQ, .vector = vector });
		}
		want = irqchip_has_extint(vcpu);
	}
	if (want != vcpu->irq_window) {
		vcpu->irq_window = want;
		keel_backend->window(vcpu, KEEL_EV_IRQ, want);
	}
}

/* True: the CPU delivers what the LAPIC has. */
static bool sync_apic(struct keel_vcpu *vcpu)
{
	struct keel_apic_state state;
	bool delivers;

	lapic_get_state(vcpu, &state);
	delivers = keel_backend->sync_apic(vcpu, &state);
	lapic_cpu_delivers(vcpu, delivers);
	return delivers;
}

static void inject_irq(struct keel_vcpu *vcpu, bool busy)
{
	u8 threshold;
	bool want;

	if (static_branch_unlikely(&keel_apicv) && sync_apic(vcpu)) {
		inject_extint(vcpu, busy);
		return;
	}
	want = irqchip_has_irq(vcpu);

	if (want && !busy && keel_backend->can_inject(vcpu, KEEL_EV_IRQ)) {
		int vector = irqchip_ack_irq(vcpu);

		if (vector >= 0) {
			vcpu->stats.irqs_injected++;
			inject(vcpu, &(struct keel_event){ .kind = KEEL_EV_IRQ, .vector = vector });
		}
		want = irqchip_has_irq(vcpu);
	}
	if (want != vcpu->irq_window) {
		vcpu->irq_window = want;
		keel_backend->window(vcpu, KEEL_EV_IRQ, want);
	}
	/* Where the TPR lets it in already, the window tells, not the threshold. */
	threshold = lapic_cr8_threshold(vcpu);
	keel_backend->tpr_threshold(vcpu, threshold > vcpu->cr8 ? 0 : threshold);
}

void keel_inject_events(struct keel_vcpu *vcpu)
{
	bool busy = true;

	/*
	 * An exception comes before an event that was on its way: that one's
	 * delivery raised it, and would raise it again.  It waits in vcpu->injected
	 * for the next entry.
	 */
	if (vcpu->exception.kind) {
		inject_exception(vcpu);
	} else if (vcpu->injected.kind) {
		struct keel_event event = vcpu->injected;

		vcpu->injected.kind = KEEL_EV_NONE;
		inject(vcpu, &event);
	} else {
		busy = false;
	}
	busy = inject_nmi(vcpu, busy);
	if (vcpu->lapic)
		inject_irq(vcpu, busy);
	else
		inject_user_irq(vcpu, busy);
}

bool keel_can_wake(struct keel_vcpu *vcpu)
{
	if (vcpu->exception.kind || vcpu->injected.kind)
		return true;
	keel_need(vcpu, KEEL_CG_RFLAGS | KEEL_CG_SHADOW);
	if ((vcpu->nmi_pending || atomic_read(&vcpu->nmi_posted)) && !vcpu->nmi_masked)
		return true;
	return (vcpu->regs.rflags & X86_EFLAGS_IF) && irqchip_has_irq(vcpu);
}

/* A start-up IPI: real mode at the vector's page. */
static void start_up(struct keel_vcpu *vcpu)
{
	u8 vector = READ_ONCE(vcpu->sipi_vector);
	struct keel_segment *cs = &vcpu->sregs.seg[KEEL_SREG_CS];

	keel_need(vcpu, KEEL_CG_CS | KEEL_CG_RIP);
	cs->selector = vector << 8;
	cs->base = (u64)vector << 12;
	vcpu->regs.rip = 0;
	keel_touch(vcpu, KEEL_CG_CS | KEEL_CG_RIP);
	vcpu->mp_state = KEEL_MP_RUNNABLE;
}

int keel_take_posted(struct keel_vcpu *vcpu)
{
	if (test_and_clear_bit(KEEL_POST_TRIPLE_FAULT, &vcpu->posted))
		return keel_shutdown(vcpu, KEEL_SHUTDOWN_TRIPLE_FAULT);
	if (test_and_clear_bit(KEEL_POST_INIT, &vcpu->posted)) {
		preempt_disable();
		keel_vcpu_reset(vcpu, true);
		preempt_enable();
		/* The boot CPU starts again at the reset vector, the others wait. */
		vcpu->mp_state = lapic_base(vcpu) & BIT(8) ? KEEL_MP_RUNNABLE : KEEL_MP_WAIT_SIPI;
	}
	if (test_and_clear_bit(KEEL_POST_SIPI, &vcpu->posted) &&
	    vcpu->mp_state == KEEL_MP_WAIT_SIPI)
		start_up(vcpu);
	return KEEL_NEXT_ENTER;
}

int keel_vcpu_inject(struct keel_vcpu *vcpu, const struct keel_inject *arg)
{
	switch (arg->kind) {
	case KEEL_INJECT_NMI:
		if (arg->vector || arg->error_code)
			return -EINVAL;
		keel_vcpu_nmi(vcpu);
		return 0;
	case KEEL_INJECT_IRQ:
		if (vcpu->lapic || arg->vector > 255 || arg->error_code)
			return -EINVAL;
		if (vcpu->irq_user_pending)
			return -EBUSY;
		vcpu->irq_user = arg->vector;
		vcpu->irq_user_pending = true;
		keel_vcpu_request(vcpu, KEEL_REQ_EVENT);
		return 0;
	case KEEL_INJECT_EXCEPTION:
		if (arg->vector > 31 || arg->vector == 2 ||
		    (arg->error_code && !(KEEL_WITH_ERROR & BIT(arg->vector))))
			return -EINVAL;
		if (vcpu->exception.kind)
			return -EBUSY;
		keel_need(vcpu, KEEL_CG_CR);
		vcpu->exception_cr2 = vcpu->sregs.cr2;
		vcpu->exception = (struct keel_event){
			.kind = KEEL_EV_EXCEPTION,
			.vector = arg->vector,
			.has_error = !!(KEEL_WITH_ERROR & BIT(arg->vector)),
			.error = arg->error_code,
		};
		return 0;
	}
	return -EINVAL;
}
