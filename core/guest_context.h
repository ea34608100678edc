/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel is told around guest mode: to RCU it is a quiescent state
 * like user mode, to lockdep and the IRQ tracer interrupts are on in it, and
 * the time is the guest's.  It must not know how guest mode is entered.
 *
 * The order around an entry, all with IRQs off:
 *
 *	keel_guest_time_enter()
 *	keel_guest_enter_irqoff()	from here on nothing may be traced or use RCU
 *	... the world switch (noinstr) ...
 *	keel_guest_exit_irqoff()	until here
 *	(interrupts are let in for a moment: the tick is accounted to the guest)
 *	keel_guest_time_exit()
 */
#ifndef KEEL_CORE_GUEST_CONTEXT_H
#define KEEL_CORE_GUEST_CONTEXT_H

#include <linux/context_tracking.h>
#include <linux/ftrace.h>
#include <linux/instrumentation.h>
#include <linux/irqflags.h>
#include <linux/vtime.h>
#include <asm/msr.h>
#include "core/compat.h"
#include "core/ledger.h"

/* [entry] The ledger's word for an entry, and that its clock is the TSC. */
static __always_inline void keel_ledger_start(struct keel_ledger *l)
{
	u32 low;

	if (!keel_ledger_in_loop(l)) {
		keel_ledger_reenter(l, rdtsc());
		return;
	}
	asm volatile("rdtsc" : "=a" (low) : : "edx");
	keel_ledger_enter(l, low);
}

/* [entry] Time from here on is guest time. */
static __always_inline void keel_guest_time_enter(void)
{
	vtime_account_guest_enter();
	/*
	 * Once a stay in the entry loop, not once an entry: a grace period that
	 * begins later gets the tick's interrupt, which ends the stay.
	 */
	keel_rcu_note_guest();
}

/* [entry] The guest's time ends.  Also right after IRQs were on for a moment. */
static __always_inline void keel_guest_time_exit(void)
{
	vtime_account_guest_exit();
}

/* [entry, noinstr caller] Last thing before the world switch. */
static __always_inline void keel_guest_enter_irqoff(void)
{
	instrumentation_begin();
	trace_hardirqs_on_prepare();
	lockdep_hardirqs_on_prepare();
	instrumentation_end();
	context_tracking_guest_enter();
	lockdep_hardirqs_on(CALLER_ADDR0);
}

/* [entry, noinstr caller] First thing after the world switch. */
static __always_inline void keel_guest_exit_irqoff(void)
{
	lockdep_hardirqs_off(CALLER_ADDR0);
	context_tracking_guest_exit();
	instrumentation_begin();
	trace_hardirqs_off_finish();
	instrumentation_end();
}

#endif /* KEEL_CORE_GUEST_CONTEXT_H */
