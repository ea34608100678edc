/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The request and kick protocol, as pure state transitions: who sets a bit,
 * who looks at it, and when an IPI is owed.  It must not know how a CPU is
 * interrupted or a thread woken: core/vcpu.c does that.
 * Documentation/requests.rst proves that no request is lost.
 */
#ifndef KEEL_CORE_REQUEST_H
#define KEEL_CORE_REQUEST_H

#include "core/pure.h"

enum keel_request {
	KEEL_REQ_KICK,		/* leave KEEL_RUN with KEEL_EXIT_KICKED */
	KEEL_REQ_EVENT,		/* look for interrupts, NMIs, INIT, SIPI again */
	KEEL_REQ_FLUSH,		/* drop this vCPU's stage-2 translations */
	KEEL_REQ_PAUSE,		/* the VM is paused: park */
	KEEL_REQ_DEAD,		/* the VM is bugged */
	KEEL_REQ_TSC,		/* the TSC offset changed */
	KEEL_REQ_LOG,		/* the CPU's log of writes: drain it, switch it */
	KEEL_REQ_APIC,		/* the LAPIC's page goes out of stage 2 */
	KEEL_REQ_NR
};

enum keel_vcpu_mode {
	KEEL_OUTSIDE,		/* will look at requests before the next entry */
	KEEL_ENTERING,		/* IRQs off, requests looked at, in and out of the guest: owed an IPI */
	KEEL_LEAVING,		/* an IPI is on its way already */
};

/* The words both sides share; each in the vCPU that it belongs to. */
struct keel_requests {
	unsigned long pending;	/* BIT(enum keel_request), any CPU, atomic */
	int mode;		/* enum keel_vcpu_mode; owner stores, kickers cmpxchg */
};

/* Any context: note a request.  Follow with keel_requests_owes_ipi(). */
static inline void keel_requests_set(struct keel_requests *r, enum keel_request req)
{
	set_bit(req, &r->pending);
}

/*
 * Any context, after keel_requests_set(): true when the vCPU may be in guest
 * mode without having seen the request, and nobody has sent the IPI yet.
 */
static inline bool keel_requests_owes_ipi(struct keel_requests *r)
{
	/* Order the request before the mode: pairs with keel_requests_enter(). */
	smp_mb();
	if (READ_ONCE(r->mode) != KEEL_ENTERING)
		return false;
	return cmpxchg(&r->mode, KEEL_ENTERING, KEEL_LEAVING) == KEEL_ENTERING;
}

/*
 * Owner, IRQs off: announce entry, then look once more.  False: something is
 * pending and the owner is back outside.
 */
static inline bool keel_requests_enter(struct keel_requests *r)
{
	WRITE_ONCE(r->mode, KEEL_ENTERING);
	/* Order the mode before the request: pairs with keel_requests_owes_ipi(). */
	smp_mb();
	if (likely(!READ_ONCE(r->pending)))
		return true;
	WRITE_ONCE(r->mode, KEEL_OUTSIDE);
	return false;
}

/*
 * Owner, IRQs off since keel_requests_enter(): the guest may be entered again as it
 * is.  A plain look: whoever comes after it finds ENTERING and owes an IPI, which
 * ends the next stay at once.  False: leave, serve, enter again.
 */
static inline bool keel_requests_stay(const struct keel_requests *r)
{
	return likely(!READ_ONCE(r->pending));
}

/* Owner: back from the guest, before anything else looks at requests. */
static inline void keel_requests_leave(struct keel_requests *r)
{
	WRITE_ONCE(r->mode, KEEL_OUTSIDE);
}

/* Owner: is @req pending?  Clears it; what it announced is visible after. */
static inline bool keel_requests_take(struct keel_requests *r, enum keel_request req)
{
	if (!test_bit(req, &r->pending))
		return false;
	clear_bit(req, &r->pending);
	/* What the requester wrote before the bit is seen after it. */
	smp_mb__after_atomic();
	return true;
}

#endif /* KEEL_CORE_REQUEST_H */
