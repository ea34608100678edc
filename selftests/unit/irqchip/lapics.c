// SPDX-License-Identifier: GPL-2.0
/*
 * LAPICs for tests.  It knows nothing of what is tested on them.
 */
#include <stdlib.h>
#include "lapics.h"

struct lapic_todo lapics_todo;

void lapics_new(struct lapic *l, u32 id)
{
	memset(l, 0, sizeof(*l));
	l->regs = aligned_alloc(4096, 4096);
	if (!l->regs)
		abort();
	memset(l->regs, 0, 4096);
	l->id = id;
	l->has_deadline = true;
	/* 40 bits of address, with x2APIC. */
	l->base_reserved = ~(((1ULL << 40) - 1) & ~0xfffULL) & ~0xd00ULL;
	lapic_model_reset(l, id == 0, false);
}

void lapics_free(struct lapic *l)
{
	free(l->regs);
}

void lapics_to_x2(struct lapic *l)
{
	struct lapic_todo todo = { .what = 0 };

	if (lapic_write_base(l, l->base | LAPIC_BASE_X2, &todo))
		abort();
}

u32 lapics_read(struct lapic *l, u32 offset)
{
	u64 val;

	if (!lapic_x2(l))
		return (u32)lapic_page_read(l, offset, 4, 0);
	if (lapic_x2_read(l, LAPIC_X2_FIRST + (offset >> 4), &val, 0))
		abort();
	return (u32)val;
}

void lapics_write_at(struct lapic *l, u32 offset, u32 val, u64 now)
{
	lapics_todo.what = 0;
	if (!lapic_x2(l))
		lapic_page_write(l, offset, 4, val, now, &lapics_todo);
	else if (lapic_x2_write(l, LAPIC_X2_FIRST + (offset >> 4), val, now, &lapics_todo))
		abort();
}

void lapics_write(struct lapic *l, u32 offset, u32 val)
{
	lapics_write_at(l, offset, val, 0);
}
