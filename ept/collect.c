// SPDX-License-Identifier: GPL-2.0
/*
 * From a log of writes to the bitmap that somebody asked for, a word at a time:
 * what is taken is seen again when it is written the next time.  Pure; it must not
 * know who sets the bits, or whose tables these are.
 */
#include "ept/walk.h"

/* Takes the bits of @mask that are set in *@word; others may be setting some. */
static unsigned long collect_take(unsigned long *word, unsigned long mask)
{
	unsigned long old = READ_ONCE(*word);

	while ((old & mask) && !try_cmpxchg(word, &old, old & ~mask))
		;
	return old & mask;
}

/* @bits of the log's word @at (its first bit), into the bitmap. */
static void collect_put(struct s2_collect *c, u64 at, unsigned long bits)
{
	unsigned int shift;
	u64 to;

	c->count += hweight64(bits);
	if (at <= c->first) {
		c->out[0] |= bits >> (c->first - at);
		return;
	}
	to = at - c->first;
	shift = to % BITS_PER_LONG;
	to /= BITS_PER_LONG;
	c->out[to] |= bits << shift;
	/* Nothing there, nothing behind the end of the bitmap. */
	if (shift && bits >> (BITS_PER_LONG - shift))
		c->out[to + 1] |= bits >> (BITS_PER_LONG - shift);
}

/* The next run of ones in @bits, from *@from on; false: none. */
static bool collect_run(unsigned long bits, unsigned int *from, unsigned int *to)
{
	bits = *from < BITS_PER_LONG ? bits & (~0UL << *from) : 0;
	if (!bits)
		return false;
	*from = __ffs(bits);
	bits = ~bits & (~0UL << *from);
	*to = bits ? __ffs(bits) : BITS_PER_LONG;
	return true;
}

bool s2_collect(const struct s2_tables *t, struct s2_collect *c, unsigned int budget,
		struct s2_relog *relog)
{
	while (c->next <= c->last) {
		u64 at = c->next & ~(u64)(BITS_PER_LONG - 1);
		u64 end = min_t(u64, at + BITS_PER_LONG - 1, c->last);
		unsigned long mask = (~0UL << (c->next - at)) &
				     (~0UL >> (BITS_PER_LONG - 1 - (end - at)));
		unsigned int from = 0, to = 0;
		unsigned long bits;

		if (!budget)
			return false;
		budget--;
		c->next = end + 1;
		bits = collect_take(&c->log[at / BITS_PER_LONG], mask);
		if (!bits)
			continue;
		collect_put(c, at, bits);
		for (; collect_run(bits, &from, &to); from = to) {
			gfn_t first = c->base + at + from, last = c->base + at + to - 1;

			/* As a whole: what is taken must not be written unseen. */
			while (!s2_relog(t, &first, last, UINT_MAX, relog))
				;
			budget -= min(budget, to - from);
		}
	}
	return true;
}
