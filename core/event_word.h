/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An event as a word of a control block: VMX and SVM write what is injected,
 * and what was cut short, in one format.  It must not know where in a control
 * block it stands.
 */
#ifndef KEEL_CORE_EVENT_WORD_H
#define KEEL_CORE_EVENT_WORD_H

#include "core/vcpu.h"

/* The vector is in the lowest byte. */
#define KEEL_WORD_TYPE_SHIFT	8
#define KEEL_WORD_TYPE		(7U << KEEL_WORD_TYPE_SHIFT)
#define KEEL_WORD_INTR		(0U << KEEL_WORD_TYPE_SHIFT)
#define KEEL_WORD_NMI		(2U << KEEL_WORD_TYPE_SHIFT)
#define KEEL_WORD_EXCEPTION	(3U << KEEL_WORD_TYPE_SHIFT)
#define KEEL_WORD_SOFT		(4U << KEEL_WORD_TYPE_SHIFT)
#define KEEL_WORD_HAS_ERROR	BIT(11)
#define KEEL_WORD_VALID		BIT(31)

static inline u32 keel_event_word(const struct keel_event *event)
{
	static const u32 types[] = {
		[KEEL_EV_IRQ] = KEEL_WORD_INTR,
		[KEEL_EV_NMI] = KEEL_WORD_NMI,
		[KEEL_EV_EXCEPTION] = KEEL_WORD_EXCEPTION,
		[KEEL_EV_SOFT] = KEEL_WORD_SOFT,
	};

	return KEEL_WORD_VALID | types[event->kind] | event->vector |
	       (event->has_error ? KEEL_WORD_HAS_ERROR : 0);
}

/*
 * [entry] An event that was not delivered goes back to the vCPU, to be injected
 * again: to where it came from, for another one may wait in vcpu->injected.
 */
static inline void keel_event_back(struct keel_vcpu *vcpu, u32 word, u32 error)
{
	static const u8 kinds[] = {
		[KEEL_WORD_INTR >> KEEL_WORD_TYPE_SHIFT] = KEEL_EV_IRQ,
		[KEEL_WORD_NMI >> KEEL_WORD_TYPE_SHIFT] = KEEL_EV_NMI,
		[KEEL_WORD_EXCEPTION >> KEEL_WORD_TYPE_SHIFT] = KEEL_EV_EXCEPTION,
		/* The others are instructions, which run again by themselves. */
		[KEEL_WORD_TYPE >> KEEL_WORD_TYPE_SHIFT] = KEEL_EV_NONE,
	};

	*(vcpu->injected.kind ? &vcpu->exception : &vcpu->injected) = (struct keel_event){
		.kind = kinds[(word & KEEL_WORD_TYPE) >> KEEL_WORD_TYPE_SHIFT],
		.vector = word & 0xff,
		.has_error = !!(word & KEEL_WORD_HAS_ERROR),
		.error = error,
	};
}

#endif /* KEEL_CORE_EVENT_WORD_H */
