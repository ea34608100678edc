/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of ept/ share that change stage 2 from outside of a fault:
 * changes under the write side that end in one flush.  It must not be included
 * from outside ept/.
 */
#ifndef KEEL_EPT_INTERNAL_H
#define KEEL_EPT_INTERNAL_H

#include "ept/ept.h"

/* Entries to look at before others get the lock: some tens of microseconds. */
#define S2_BATCH	4096

/* Changes that share one flush.  On the stack of who makes them. */
struct s2_gather {
	struct s2_zap zap;
	unsigned long changed;	/* leaves that lost a permission */
	bool counted;		/* in s2->flushing */
	bool flush;		/* somebody else's flush is not over */
	bool may_sleep;
	bool no_vcpus;		/* nobody can use a TLB entry any more */
};

void s2_gather_init(struct keel_vm *vm, struct s2_gather *g, bool may_sleep);
/*
 * [write side, before every unlock] Tell those who come later that leaves are
 * gone from the tables but not from the TLBs, and hear it from those before.
 */
void s2_gather_note(struct keel_s2 *s2, struct s2_gather *g);
/* [write side] Let others in for a moment. */
void s2_gather_break(struct keel_s2 *s2, struct s2_gather *g) __must_hold(&s2->lock);
/* [no lock] Flush, if anything asks for it, and free the tables that went. */
void s2_gather_finish(struct keel_vm *vm, struct s2_gather *g);
/* The launcher's page behind a leaf that was written: the leaf is there, or just was. */
void s2_mark_dirty(hpa_t hpa);

#endif /* KEEL_EPT_INTERNAL_H */
