// SPDX-License-Identifier: GPL-2.0
/*
 * Time for the models: the hrtimers behind the LAPIC timers and the PIT, and
 * the VM's clock that stands still while it is paused.  It must not know
 * registers: models say when they want to be called.
 */
#include "core/compat.h"
#include "irqchip/internal.h"

/* Shortest time between two interrupts of the PIT: what a guest can cost the host. */
#define PIT_MIN_GAP_NS		200000
/* Edges that are kept while the guest does not take them. */
#define PIT_MAX_BACKLOG		32

/* In hard interrupt context also on preemptible kernels, on the CPU that starts it. */
#define IRQ_TIMER_MODE		HRTIMER_MODE_ABS_PINNED_HARD

static ktime_t irq_clock_to_ktime(const struct keel_irqchip_state *chip, u64 ns)
{
	return ns_to_ktime(min_t(u64, ns, KTIME_MAX - chip->clock_offset) + chip->clock_offset);
}

/* ---- LAPIC ------------------------------------------------------------------- */

/*
 * timer_lock held.  A vCPU that goes to another CPU leaves the armed timer behind:
 * that costs one IPI when it fires, less than taking it along each time, and
 * the guest arms the next one where it runs.
 */
static void lapic_timer_start(struct keel_lapic *l, u64 target)
{
	/* Set by irqchip_pause() before it cancels. */
	if (smp_load_acquire(&l->chip->frozen))
		return;
	hrtimer_start(&l->timer, irq_clock_to_ktime(l->chip, target), IRQ_TIMER_MODE);
	WRITE_ONCE(l->armed, target);
}

static enum hrtimer_restart lapic_timer_fn(struct hrtimer *timer)
{
	struct keel_lapic *l = container_of(timer, struct keel_lapic, timer);
	unsigned long flags;
	u64 target;

	raw_spin_lock_irqsave(&l->timer_lock, flags);
	WRITE_ONCE(l->armed, LAPIC_TIMER_OFF);
	/* Either we see a new target, or its writer that nothing is armed. */
	smp_mb();
	target = READ_ONCE(l->target);
	if (target <= irq_clock(l->chip)) {
		WRITE_ONCE(l->fired, true);
		keel_vcpu_request(l->vcpu, KEEL_REQ_EVENT);
	} else if (target != LAPIC_TIMER_OFF) {
		/* Not a restart: the owner may have queued it meanwhile. */
		lapic_timer_start(l, target);
	}
	raw_spin_unlock_irqrestore(&l->timer_lock, flags);
	return HRTIMER_NORESTART;
}

/*
 * Guest mode counts: nobody but the guest can tell when its timer expires, so
 * nothing has to interrupt a host that does something else meanwhile.  @ticks
 * of the guest's TSC from now, U64_MAX: none.
 */
static void lapic_timer_count(struct keel_lapic *l, u64 ticks)
{
	u64 deadline = U64_MAX, now;

	if (ticks != U64_MAX) {
		now = rdtsc();
		if (check_add_overflow(now, keel_tsc_to_host(l->vcpu->vm, ticks), &deadline))
			deadline = U64_MAX;
	}
	keel_backend->set_timer(l->vcpu, deadline);
}

/* One-shot and periodic: an expiry that the two clocks make early is seen again. */
static void lapic_timer_count_ns(struct keel_lapic *l)
{
	u64 target = l->m.target, now;

	if (target == LAPIC_TIMER_OFF) {
		lapic_timer_count(l, U64_MAX);
		return;
	}
	now = irq_clock(l->chip);
	lapic_timer_count(l, target > now ? keel_ns_to_tsc(l->vcpu->vm, target - now) : 0);
}

void lapic_timer_arm(struct keel_lapic *l)
{
	unsigned long flags;

	if (l->in_guest) {
		lapic_timer_count_ns(l);
		return;
	}
	/* A full barrier: the target before the look at what is armed. */
	xchg(&l->target, l->m.target);
	if (READ_ONCE(l->armed) <= l->m.target)
		return;
	raw_spin_lock_irqsave(&l->timer_lock, flags);
	lapic_timer_start(l, l->m.target);
	raw_spin_unlock_irqrestore(&l->timer_lock, flags);
}

bool lapic_timer_set_deadline(struct keel_lapic *l)
{
	u64 deadline = l->m.deadline, tsc;
	bool due = false;

	l->m.target = LAPIC_TIMER_OFF;
	if (deadline) {
		tsc = keel_guest_tsc(l->vcpu->vm);
		due = deadline <= tsc;
		if (l->in_guest && !due) {
			l->m.target = 0;
			lapic_timer_count(l, deadline - tsc);
			return false;
		}
		/* Due already: no timer is needed for that. */
		l->m.target = due ? 0 : irq_clock(l->chip) +
					keel_tsc_to_ns(l->vcpu->vm, deadline - tsc);
		if (due)
			lapic_timer_expire(&l->m, 0);
	}
	lapic_timer_arm(l);
	return due;
}

void lapic_timer_fired(struct keel_lapic *l)
{
	/* Cleared before the look: whatever fires later is seen again. */
	WRITE_ONCE(l->fired, false);
	smp_mb();	/* as said */
	if (l->m.target == LAPIC_TIMER_OFF)
		return;
	/* A deadline is in ticks, and the host's clock is disciplined: never early. */
	if (l->m.deadline) {
		lapic_timer_set_deadline(l);
		return;
	}
	lapic_timer_expire(&l->m, irq_clock(l->chip));
	lapic_timer_arm(l);
}

void lapic_timer_exit(struct keel_vcpu *vcpu)
{
	struct keel_lapic *l = vcpu->lapic;

	if (!l)
		return;
	lapic_timer_fired(l);
	keel_requests_set(&vcpu->req, KEEL_REQ_EVENT);
}

void lapic_timer_look(struct keel_lapic *l)
{
	if (l->in_guest && l->m.target != LAPIC_TIMER_OFF)
		lapic_timer_exit(l->vcpu);
}

/* The timer is armed anew, by whoever counts now. */
static void lapic_timer_again(struct keel_lapic *l)
{
	if (!l->m.deadline)
		lapic_timer_arm(l);
	else if (lapic_timer_set_deadline(l))
		keel_requests_set(&l->vcpu->req, KEEL_REQ_EVENT);
}

void lapic_timer_to_guest(struct keel_vcpu *vcpu)
{
	struct keel_lapic *l = vcpu->lapic;

	if (!l || l->in_guest || !keel_backend->set_timer ||
	    !keel_backend->set_timer(vcpu, U64_MAX))
		return;
	/* An hrtimer that is armed finds nothing to do: cheaper than to search for it now. */
	WRITE_ONCE(l->target, LAPIC_TIMER_OFF);
	l->in_guest = true;
	if (l->m.target != LAPIC_TIMER_OFF)
		lapic_timer_again(l);
}

void lapic_timer_to_host(struct keel_vcpu *vcpu)
{
	struct keel_lapic *l = vcpu->lapic;

	if (!l || !l->in_guest)
		return;
	l->in_guest = false;
	if (l->m.target == LAPIC_TIMER_OFF)
		return;
	keel_backend->set_timer(vcpu, U64_MAX);
	lapic_timer_again(l);
}

void lapic_tsc_changed(struct keel_vcpu *vcpu)
{
	struct keel_lapic *l = vcpu->lapic;

	if (l && l->m.target != LAPIC_TIMER_OFF)
		lapic_timer_again(l);
}

void lapic_timer_setup(struct keel_lapic *l)
{
	raw_spin_lock_init(&l->timer_lock);
	hrtimer_setup(&l->timer, lapic_timer_fn, CLOCK_MONOTONIC, IRQ_TIMER_MODE);
	l->target = LAPIC_TIMER_OFF;
	l->armed = LAPIC_TIMER_OFF;
}

/* ---- PIT ----------------------------------------------------------------------- */

/* chip->lock held.  Arms the timer for the next edge, not before @earliest. */
static void pit_timer_start(struct keel_irqchip_state *chip, u64 now, u64 earliest)
{
	u64 next = pit_next_edge(&chip->pit, chip->pit_seen);

	/* What the guest did not take yet comes faster than its period, but not in a burst. */
	if (chip->pit_backlog)
		next = min(next, now + pit_period(&chip->pit) / 4);
	if (next == PIT_NEVER) {
		hrtimer_try_to_cancel(&chip->pit_timer);
		return;
	}
	next = max(next, earliest);
	if (!chip->frozen)
		hrtimer_start(&chip->pit_timer, irq_clock_to_ktime(chip, next), IRQ_TIMER_MODE);
}

static enum hrtimer_restart pit_timer_fn(struct hrtimer *timer)
{
	struct keel_irqchip_state *chip = container_of(timer, struct keel_irqchip_state,
						       pit_timer);
	unsigned long flags;
	u64 now, edges;

	raw_spin_lock_irqsave(&chip->lock, flags);
	now = irq_clock(chip);
	edges = pit_edges(&chip->pit, chip->pit_seen, now) + chip->pit_backlog;
	chip->pit_backlog = (u32)min_t(u64, edges, PIT_MAX_BACKLOG);
	chip->pit_seen = now;
	if (chip->pit_backlog) {
		chip->how = 0;
		irq_pulse_locked(chip, 0);
		/* Wherever it is heard the last one still waits: this one did not count. */
		if (chip->how != IRQ_MERGED)
			chip->pit_backlog--;
	}
	pit_timer_start(chip, now, now + PIT_MIN_GAP_NS);
	raw_spin_unlock_irqrestore(&chip->lock, flags);
	return HRTIMER_NORESTART;
}

void pit_timer_restart(struct keel_irqchip_state *chip, u64 now)
{
	chip->pit_seen = now;
	chip->pit_backlog = 0;
	pit_timer_start(chip, now, now);
}

void pit_timer_setup(struct keel_irqchip_state *chip)
{
	hrtimer_setup(&chip->pit_timer, pit_timer_fn, CLOCK_MONOTONIC, IRQ_TIMER_MODE);
}

/* ---- pause ---------------------------------------------------------------------- */

void irqchip_pause(struct keel_vm *vm)
{
	struct keel_irqchip_state *chip = vm->irqchip;
	struct keel_vcpu *vcpu;
	unsigned long flags;
	u32 i;

	if (!chip || chip->frozen)
		return;
	raw_spin_lock_irqsave(&chip->lock, flags);
	chip->frozen_at = irq_clock(chip);
	/* irq_clock() reads frozen_at after it. */
	smp_store_release(&chip->frozen, true);
	raw_spin_unlock_irqrestore(&chip->lock, flags);
	/* From here on no timer starts; what is on its way ends now. */
	hrtimer_cancel(&chip->pit_timer);
	keel_for_each_vcpu(i, vcpu, vm) {
		struct keel_lapic *l = vcpu->lapic;

		raw_spin_lock_irqsave(&l->timer_lock, flags);
		raw_spin_unlock_irqrestore(&l->timer_lock, flags);
		hrtimer_cancel(&l->timer);
		WRITE_ONCE(l->armed, LAPIC_TIMER_OFF);
	}
}

void irqchip_resume(struct keel_vm *vm)
{
	struct keel_irqchip_state *chip = vm->irqchip;
	struct keel_vcpu *vcpu;
	unsigned long flags;
	u32 i;

	if (!chip || !chip->frozen)
		return;
	raw_spin_lock_irqsave(&chip->lock, flags);
	chip->clock_offset = ktime_get_ns() - chip->frozen_at;
	/* irq_clock() reads clock_offset after it. */
	smp_store_release(&chip->frozen, false);
	if (chip->has_pit)
		pit_timer_start(chip, chip->frozen_at, chip->frozen_at);
	raw_spin_unlock_irqrestore(&chip->lock, flags);
	keel_for_each_vcpu(i, vcpu, vm) {
		struct keel_lapic *l = vcpu->lapic;

		raw_spin_lock_irqsave(&l->timer_lock, flags);
		if (READ_ONCE(l->target) != LAPIC_TIMER_OFF)
			lapic_timer_start(l, READ_ONCE(l->target));
		raw_spin_unlock_irqrestore(&l->timer_lock, flags);
	}
}
