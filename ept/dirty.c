// SPDX-License-Identifier: GPL-2.0
/*
 * The log of what a guest writes: its beginning in the leaves of a slot, and the
 * round in which somebody takes what it holds.  It owns the order of drain,
 * take, protect and flush; it must not know who asks, or how a log is kept.
 */
#include "core/mem.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "ept/internal.h"

static void dirty_page(void *ctx, hpa_t hpa)
{
	s2_mark_dirty(hpa);
}

void s2_log_begin(struct keel_vm *vm, gfn_t first, gfn_t last)
{
	struct s2_relog relog = { .dirty = dirty_page };
	struct keel_s2 *s2 = &vm->s2;
	struct s2_gather g;

	s2_gather_init(vm, &g, true);
	write_lock(&s2->lock);
	while (!s2_relog(&s2->t, &first, last, S2_BATCH, &relog)) {
		g.changed = relog.changed;
		s2_gather_break(s2, &g);
	}
	g.changed = relog.changed;
	s2_gather_note(s2, &g);
	write_unlock(&s2->lock);
	s2_gather_finish(vm, &g);
}

/*
 * Why no write is lost.  A bit is taken and its page protected in one section of
 * the write side, and a fault installs and sets the bit in one section of the
 * read side: so a leaf that permits writes unseen has its bit set, or lies in the
 * log of a CPU, which sets it later.  A write that comes between the section and
 * the flush goes to a page that is reported now, before the launcher looks at it.
 */
u64 s2_log_collect(struct keel_vm *vm, const struct keel_slot *slot, u64 first, u64 last,
		   unsigned long *out)
{
	struct s2_relog relog = { .dirty = dirty_page };
	struct keel_s2 *s2 = &vm->s2;
	struct s2_collect c = {
		.log = slot->log->bits, .base = slot->base,
		.first = first, .next = first, .last = last, .out = out,
	};
	struct s2_gather g;

	/* What CPUs have written until now comes out of their logs with them. */
	if (s2->t.hw_log)
		keel_vm_request_wait(vm, KEEL_REQ_LOG);
	s2_gather_init(vm, &g, true);
	write_lock(&s2->lock);
	while (!s2_collect(&s2->t, &c, S2_BATCH, &relog)) {
		g.changed = relog.changed;
		s2_gather_break(s2, &g);
	}
	g.changed = relog.changed;
	s2_gather_note(s2, &g);
	write_unlock(&s2->lock);
	s2_gather_finish(vm, &g);
	return c.count;
}
