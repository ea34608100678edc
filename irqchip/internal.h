/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel side of irqchip/ shares: the controllers of a VM, the LAPIC
 * of a vCPU, and the clock they run on.  Nobody outside this folder includes
 * it.
 *
 * Locks, from the outside in: an eventfd's wait-queue lock, chip->lock, a
 * LAPIC's timer_lock, an hrtimer base's lock.  vm->lock is outside of all.
 */
#ifndef KEEL_IRQCHIP_INTERNAL_H
#define KEEL_IRQCHIP_INTERNAL_H

#include <linux/hrtimer.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include "core/iobus.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "irqchip/ioapic.h"
#include "irqchip/irqchip.h"
#include "irqchip/lapic.h"
#include "irqchip/pic.h"
#include "irqchip/pit.h"

#define IRQ_NR_IODEVS		6

struct keel_irqchip_state {
	raw_spinlock_t lock;		/* IRQs off; from any context */
	struct keel_vm *vm;		/* constant */

	struct pic pic;			/* @lock; pic.output: any, READ_ONCE */
	struct ioapic ioapic;		/* @lock */
	struct irq_routes *routes;	/* @lock */
	u8 gsi_level[IRQ_NR_GSIS];	/* @lock: a bit a source that holds the GSI up */
	u16 pic_high[IRQ_NR_PIC_PINS];	/* @lock: how many GSIs hold the pin up */
	u16 ioapic_high[IRQ_NR_IOAPIC_PINS];
	u32 how;			/* @lock: IRQ_* of deliveries since it was cleared */

	bool has_pit;			/* constant */
	struct pit pit;			/* @lock */
	struct hrtimer pit_timer;	/* started under @lock, its callback takes it */
	u64 pit_seen;			/* @lock: edges up to this time are in @pit_backlog */
	u32 pit_backlog;		/* @lock: edges that are not delivered */

	/* The VM's clock: CLOCK_MONOTONIC less what it stood still. */
	u64 clock_offset;		/* written while @frozen */
	u64 frozen_at;			/* written before @frozen */
	bool frozen;			/* vm->lock; any reads, acquire */

	struct list_head ack_hooks;	/* @lock to change; keel_srcu to read */
	atomic_t rotor;			/* any: turns of lowest-priority delivery */
	struct keel_iodev iodevs[IRQ_NR_IODEVS];
};

struct keel_lapic {
	struct lapic m;			/* the model: see its header */
	bool away;			/* owner: vetoes the xAPIC page in stage 2 */
	struct keel_vcpu *vcpu;		/* constant */
	struct keel_irqchip_state *chip; /* constant */

	/*
	 * The timer is armed lazily: an hrtimer that fires too early arms itself
	 * again for @target, so a guest that moves its deadline away again and
	 * again costs two stores and no walk through the host's timer queue.
	 */
	struct hrtimer timer;
	raw_spinlock_t timer_lock;	/* starts of @timer, writes of @armed */
	u64 target;			/* owner writes: copy of m.target for the callback */
	u64 armed;			/* @timer's expiry, LAPIC_TIMER_OFF: none; READ_ONCE */
	bool fired;			/* callback sets, owner clears */
	/* owner: guest mode counts, @target is off; a deadline then has m.target 0 */
	bool in_guest;
};

/* ns on the VM's clock.  Any context but NMI. */
static inline u64 irq_clock(const struct keel_irqchip_state *chip)
{
	/* Pairs with the store-release of pause and resume. */
	if (unlikely(smp_load_acquire(&chip->frozen)))
		return chip->frozen_at;
	return ktime_get_ns() - chip->clock_offset;
}

/* irqchip.c */

/* How an interrupt was taken: as a new one, or as one that waited there already. */
#define IRQ_FRESH		BIT(0)
#define IRQ_MERGED		BIT(1)

/*
 * Any context.  Sends @msg to whom it addresses; @src, if not NULL, is the
 * sending LAPIC.  Returns how many took it, adds to *@how.
 */
int irq_deliver(struct keel_vm *vm, const struct irq_msg *msg, const struct keel_lapic *src,
		u32 *how);
/* @lock held: an edge on @gsi.  Returns targets or -EINVAL. */
int irq_pulse_locked(struct keel_irqchip_state *chip, u32 gsi);
/* A LAPIC ended a level-triggered @vector.  Owner context, no lock held. */
void irq_level_eoi(struct keel_irqchip_state *chip, u8 vector);
/* @lock held: the PIC's output may have risen from @was. */
void irq_pic_notify(struct keel_irqchip_state *chip, bool was);
/* @lock held, dropped here: as above, and tells who waits for the end of a PIC pin. */
void irq_pic_unlock(struct keel_irqchip_state *chip, bool was, unsigned long flags)
	__releases(&chip->lock);

/* local.c: owner */
void lapic_do(struct keel_lapic *l, const struct lapic_todo *todo);
/* What this guest's CPUID lets its LAPIC do, before registers that depend on it are written. */
void lapic_learn_features(struct keel_lapic *l);

/* timer.c */
void lapic_timer_setup(struct keel_lapic *l);
void lapic_timer_arm(struct keel_lapic *l);		/* owner: m.target changed */
void lapic_timer_fired(struct keel_lapic *l);		/* owner: @fired was seen */
/* owner: somebody looks at the timer; one that guest mode counts may have expired outside */
void lapic_timer_look(struct keel_lapic *l);
/* owner: m.deadline changed; true: it was due and is delivered */
bool lapic_timer_set_deadline(struct keel_lapic *l);
void pit_timer_setup(struct keel_irqchip_state *chip);
/* @lock: channel 0 changed */
void pit_timer_restart(struct keel_irqchip_state *chip, u64 now);

/* [owner] takes what others and the timer handed over */
static inline void lapic_refresh(struct keel_lapic *l)
{
	if (unlikely(READ_ONCE(l->fired)))
		lapic_timer_fired(l);
	if (lapic_has_posted(&l->m))
		lapic_merge(&l->m);
}

#endif /* KEEL_IRQCHIP_INTERNAL_H */
