/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The search in a bus's table, as pure code: which devices hold an address.
 * It must not know how a table is published, nor call a device.
 */
#ifndef KEEL_CORE_IOBUS_TABLE_H
#define KEEL_CORE_IOBUS_TABLE_H

#include "core/pure.h"

struct keel_iodev;

/* A device's place in the table, with what a lookup needs beside its neighbours'. */
struct keel_iobus_entry {
	u64 addr;
	u64 last;		/* the device's last byte */
	u64 reach;		/* highest @last of this entry and those before it */
	struct keel_iodev *dev;	/* NULL: gone */
};

/* How many of @nr entries, sorted by address, begin at or below @addr. */
static __always_inline u32 keel_iobus_below(const struct keel_iobus_entry *entries, u32 nr,
					    u64 addr)
{
	u32 lo = 0, hi = nr;

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (entries[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Fills in @reach of a sorted table. */
static inline void keel_iobus_set_reach(struct keel_iobus_entry *entries, u32 nr)
{
	u64 reach = 0;
	u32 i;

	for (i = 0; i < nr; i++) {
		reach = max(reach, entries[i].last);
		entries[i].reach = reach;
	}
}

/*
 * The device that holds @addr and stands nearest before place *@n, which
 * begins as keel_iobus_below(); NULL: no further one.
 */
static __always_inline struct keel_iodev *
keel_iobus_next(const struct keel_iobus_entry *entries, u32 *n, u64 addr)
{
	while (*n) {
		const struct keel_iobus_entry *e = &entries[--*n];
		struct keel_iodev *dev;

		/* No entry from here down reaches as far. */
		if (e->reach < addr)
			break;
		dev = READ_ONCE(e->dev);
		if (e->last >= addr && dev)
			return dev;
	}
	return NULL;
}

#endif /* KEEL_CORE_IOBUS_TABLE_H */
