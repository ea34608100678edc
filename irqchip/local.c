// SPDX-License-Identifier: GPL-2.0
/*
 * The LAPIC of a vCPU, as the run loop, the MSR code and the emulator use it:
 * they call in the owner thread; the model does the work; what it leaves to do
 * is done here.  It must not know register bits.
 */
#include <linux/keel.h>
#include <linux/log2.h>
#include <linux/slab.h>
#include "core/cpuid.h"
#include "core/stats.h"
#include "irqchip/internal.h"

/* A power of two is naturally aligned, as the posted-interrupt descriptor wants. */
#define LAPIC_ALLOC_SIZE	roundup_pow_of_two(sizeof(struct keel_lapic))

void lapic_do(struct keel_lapic *l, const struct lapic_todo *todo)
{
	u32 how = 0;

	if (todo->what & LAPIC_DO_TIMER)
		lapic_timer_arm(l);
	if (todo->what & LAPIC_DO_EOI)
		irq_level_eoi(l->chip, todo->vector);
	if (todo->what & LAPIC_DO_SEND)
		irq_deliver(l->vcpu->vm, &todo->msg, l, &how);
	/* To ourselves: we look before the next entry, nobody has to be woken. */
	if (todo->what & (LAPIC_DO_LOOK | LAPIC_DO_MODE))
		keel_requests_set(&l->vcpu->req, KEEL_REQ_EVENT);
}

static void lapic_done(struct keel_lapic *l, const struct lapic_todo *todo)
{
	if (todo->what)
		lapic_do(l, todo);
}

/* The time, where a register depends on it: it costs more than the rest of the access. */
static u64 lapic_now(const struct keel_lapic *l, u32 offset)
{
	return offset >= LAPIC_TMICT && offset <= LAPIC_TDCR ? irq_clock(l->chip) : 0;
}

void lapic_learn_features(struct keel_lapic *l)
{
	struct keel_vm *vm = l->vcpu->vm;

	l->m.has_deadline = (vm->features & KEEL_FEAT_TSC_DEADLINE) &&
			    (vm->guest_has & KEEL_G_TSC_DEADLINE);
	l->m.base_reserved = ~(GENMASK_ULL(keel_guest_maxphyaddr(vm) - 1, 12) |
			       LAPIC_BASE_ENABLE | LAPIC_BASE_BSP);
	if ((vm->features & KEEL_FEAT_X2APIC) && (vm->guest_has & KEEL_G_X2APIC))
		l->m.base_reserved &= ~LAPIC_BASE_X2;
}

/*
 * Stage 2 is one for all vCPUs: it may have something at the xAPIC page only
 * while every LAPIC is where a CPU finds it.
 */
static bool lapic_is_away(const struct lapic *m)
{
	return !lapic_hw_enabled(m) || lapic_x2(m) ||
	       (m->base & ~(u64)(PAGE_SIZE - 1)) != LAPIC_BASE_DEFAULT;
}

/* The base or the mode changed.  The owner looks before it enters again. */
static void lapic_moved(struct keel_lapic *l)
{
	bool away = lapic_is_away(&l->m);

	if (away == l->away)
		return;
	l->away = away;
	s2_apic_veto(&l->vcpu->vm->s2, away);
	if (away)
		keel_requests_set(&l->vcpu->req, KEEL_REQ_APIC);
}

/* ---- life ------------------------------------------------------------------------ */

int lapic_create(struct keel_vcpu *vcpu)
{
	struct keel_lapic *l;

	BUILD_BUG_ON(offsetof(struct keel_lapic, m.posted) != 0);
	BUILD_BUG_ON(sizeof(struct lapic_posted) != 64);
	l = kzalloc(LAPIC_ALLOC_SIZE, GFP_KERNEL_ACCOUNT);
	if (!l)
		return -ENOMEM;
	l->m.regs = (u32 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!l->m.regs) {
		kfree(l);
		return -ENOMEM;
	}
	keel_account(LAPIC_ALLOC_SIZE + PAGE_SIZE);
	l->vcpu = vcpu;
	l->chip = vcpu->vm->irqchip;
	l->m.id = vcpu->id;
	lapic_learn_features(l);
	lapic_timer_setup(l);
	lapic_model_reset(&l->m, vcpu->id == 0, false);
	vcpu->lapic = l;
	lapic_timer_to_guest(vcpu);
	return 0;
}

void lapic_destroy(struct keel_vcpu *vcpu)
{
	struct keel_lapic *l = vcpu->lapic;

	if (!l)
		return;
	/* Without a target its callback does not start it again. */
	WRITE_ONCE(l->target, LAPIC_TIMER_OFF);
	hrtimer_cancel(&l->timer);
	vcpu->lapic = NULL;
	free_page((unsigned long)l->m.regs);
	kfree(l);
	keel_account(-(long)(LAPIC_ALLOC_SIZE + PAGE_SIZE));
}

void lapic_reset(struct keel_vcpu *vcpu, bool init)
{
	struct keel_lapic *l = vcpu->lapic;

	if (!l)
		return;
	lapic_model_reset(&l->m, vcpu->id == 0, init);
	lapic_moved(l);
	lapic_timer_arm(l);
	keel_requests_set(&vcpu->req, KEEL_REQ_EVENT);
}

/* ---- interrupts ------------------------------------------------------------------- */

static bool extint_waits(const struct keel_lapic *l)
{
	return READ_ONCE(l->chip->pic.output) && lapic_accepts_extint(&l->m);
}

bool irqchip_has_irq(struct keel_vcpu *vcpu)
{
	struct keel_lapic *l = vcpu->lapic;

	if (!l)
		return false;
	lapic_refresh(l);
	return lapic_deliverable(&l->m) >= 0 || extint_waits(l);
}

/* INTA: the PIC's vector, or -1 when its request went away or another vCPU took it. */
static int ack_extint(struct keel_irqchip_state *chip)
{
	unsigned long flags;
	int vector = -1;

	raw_spin_lock_irqsave(&chip->lock, flags);
	if (chip->pic.output)
		vector = pic_ack(&chip->pic);
	/* Whatever waits now is new to those who listen. */
	irq_pic_unlock(chip, false, flags);
	return vector;
}

int irqchip_ack_irq(struct keel_vcpu *vcpu)
{
	struct keel_lapic *l = vcpu->lapic;
	int vector;

	if (!l)
		return -1;
	lapic_refresh(l);
	vector = lapic_ack(&l->m);
	if (vector < 0 && extint_waits(l))
		vector = ack_extint(l->chip);
	return vector;
}

u8 lapic_cr8_threshold(struct keel_vcpu *vcpu)
{
	return vcpu->lapic ? lapic_threshold(&vcpu->lapic->m) : 0;
}

u8 lapic_get_cr8(struct keel_vcpu *vcpu)
{
	return vcpu->lapic ? (u8)(lapic_reg(&vcpu->lapic->m, LAPIC_TPR) >> 4) : vcpu->cr8;
}

void lapic_set_cr8(struct keel_vcpu *vcpu, u8 cr8)
{
	struct keel_lapic *l = vcpu->lapic;
	struct lapic_todo todo = { .what = 0 };

	if (!l || cr8 == lapic_get_cr8(vcpu))
		return;
	lapic_set_tpr(&l->m, (u8)(cr8 << 4), &todo);
	lapic_done(l, &todo);
}

/* ---- a CPU that has the registers itself -------------------------------------------------- */

void lapic_get_state(struct keel_vcpu *vcpu, struct keel_apic_state *state)
{
	struct keel_lapic *l = vcpu->lapic;
	bool idle = !(lapic_reg(&l->m, LAPIC_SVR) & LAPIC_SVR_ENABLE);

	lapic_refresh(l);
	*state = (struct keel_apic_state){
		.watch = -1,
		.regs = __pa(l->m.regs),
		.page = l->m.regs,
		.access = vcpu->vm->s2.apic_page,
	};
	if (!lapic_is_away(&l->m))
		state->mode = idle ? KEEL_APIC_PAGE_IDLE : KEEL_APIC_PAGE;
	else if (lapic_x2(&l->m) && !idle)
		state->mode = KEEL_APIC_MSRS;
	if (l->m.cpu_delivers)
		state->watch = lapic_next_tick(&l->m);
}

void lapic_cpu_delivers(struct keel_vcpu *vcpu, bool delivers)
{
	lapic_set_delivery(&vcpu->lapic->m, delivers);
}

void lapic_cpu_wrote(struct keel_vcpu *vcpu, u32 offset)
{
	struct keel_lapic *l = vcpu->lapic;
	struct lapic_todo todo = { .what = 0 };

	if (offset == LAPIC_LVT_TIMER)
		lapic_learn_features(l);
	lapic_written(&l->m, offset, lapic_now(l, offset), &todo);
	vcpu->cr8 = lapic_get_cr8(vcpu);
	lapic_done(l, &todo);
	/* Also what cannot get in now: the back end says when it can. */
	keel_requests_set(&vcpu->req, KEEL_REQ_EVENT);
}

void lapic_cpu_ended(struct keel_vcpu *vcpu, u8 vector)
{
	struct keel_lapic *l = vcpu->lapic;
	struct lapic_todo todo = { .what = 0 };

	lapic_ended(&l->m, vector, &todo);
	lapic_done(l, &todo);
}

bool irqchip_has_extint(struct keel_vcpu *vcpu)
{
	return extint_waits(vcpu->lapic);
}

int irqchip_ack_extint(struct keel_vcpu *vcpu)
{
	return extint_waits(vcpu->lapic) ? ack_extint(vcpu->lapic->chip) : -1;
}

/* ---- IA32_APIC_BASE ------------------------------------------------------------------- */

u64 lapic_base(struct keel_vcpu *vcpu)
{
	return vcpu->lapic ? vcpu->lapic->m.base : 0;
}

int lapic_set_base(struct keel_vcpu *vcpu, u64 value)
{
	struct keel_lapic *l = vcpu->lapic;
	struct lapic_todo todo = { .what = 0 };

	if (!l)
		return -EINVAL;
	lapic_learn_features(l);
	if (lapic_write_base(&l->m, value, &todo))
		return -EINVAL;
	lapic_moved(l);
	lapic_done(l, &todo);
	return 0;
}

bool lapic_base_ok(struct keel_vcpu *vcpu, u64 value)
{
	struct keel_lapic *l = vcpu->lapic;

	if (!l)
		return !value;
	lapic_learn_features(l);
	return lapic_base_valid(&l->m, value);
}

void lapic_load_base(struct keel_vcpu *vcpu, u64 value)
{
	struct keel_lapic *l = vcpu->lapic;

	if (!l)
		return;
	lapic_model_load_base(&l->m, value);
	lapic_moved(l);
	keel_requests_set(&vcpu->req, KEEL_REQ_EVENT);
}

/* ---- registers ------------------------------------------------------------------------- */

bool lapic_mmio_enabled(struct keel_vcpu *vcpu, gpa_t *base)
{
	struct keel_lapic *l = vcpu->lapic;

	if (!l || !lapic_hw_enabled(&l->m) || lapic_x2(&l->m))
		return false;
	*base = l->m.base & ~(u64)(PAGE_SIZE - 1);
	return true;
}

void lapic_mmio_read(struct keel_vcpu *vcpu, u32 offset, u32 len, u64 *val)
{
	struct keel_lapic *l = vcpu->lapic;

	lapic_refresh(l);
	*val = lapic_page_read(&l->m, offset, len, lapic_now(l, offset));
	/* An error that it was may have set a bit of IRR. */
	if (l->m.cpu_delivers)
		keel_requests_set(&vcpu->req, KEEL_REQ_EVENT);
}

void lapic_mmio_write(struct keel_vcpu *vcpu, u32 offset, u32 len, u64 val)
{
	struct keel_lapic *l = vcpu->lapic;
	struct lapic_todo todo = { .what = 0 };

	if (offset == LAPIC_LVT_TIMER)
		lapic_learn_features(l);
	lapic_page_write(&l->m, offset, len, val, lapic_now(l, offset), &todo);
	lapic_done(l, &todo);
}

int lapic_msr_read(struct keel_vcpu *vcpu, u32 index, u64 *val)
{
	struct keel_lapic *l = vcpu->lapic;

	if (!l)
		return -EINVAL;
	lapic_refresh(l);
	return lapic_x2_read(&l->m, index, val,
			     lapic_now(l, (index - LAPIC_X2_FIRST) << 4));
}

int lapic_msr_write(struct keel_vcpu *vcpu, u32 index, u64 val)
{
	struct keel_lapic *l = vcpu->lapic;
	u32 offset = (index - LAPIC_X2_FIRST) << 4;
	struct lapic_todo todo;

	if (!l)
		return -EINVAL;
	todo.what = 0;
	if (offset == LAPIC_LVT_TIMER)
		lapic_learn_features(l);
	if (lapic_x2_write(&l->m, index, val, lapic_now(l, offset), &todo))
		return -EINVAL;
	lapic_done(l, &todo);
	return 0;
}

u64 lapic_tsc_deadline(struct keel_vcpu *vcpu)
{
	struct keel_lapic *l = vcpu->lapic;

	if (!l)
		return 0;
	lapic_timer_look(l);
	lapic_refresh(l);
	return l->m.deadline;
}

void lapic_set_tsc_deadline(struct keel_vcpu *vcpu, u64 deadline)
{
	struct keel_lapic *l = vcpu->lapic;

	if (!l || lapic_timer_mode(&l->m) != LAPIC_TIMER_DEADLINE)
		return;
	l->m.deadline = deadline;
	if (lapic_timer_set_deadline(l))
		keel_requests_set(&vcpu->req, KEEL_REQ_EVENT);
}
