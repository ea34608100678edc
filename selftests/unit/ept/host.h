/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ground that tests of the page-table engine stand on: pages for tables
 * that are counted, a second format, and a CPU that walks the tables by its
 * own reading of the manuals. It does not use the engine.
 */
#ifndef KEEL_UNIT_EPT_HOST_H
#define KEEL_UNIT_EPT_HOST_H

#include "ept/walk.h"

/* What NPT's format has not: a permission to execute, presence by any of three bits. */
extern const struct s2_format rwx_format;

/* Table pages that are alive; safe in threads. */
extern long host_pages;

u64 *host_page(void);
void host_page_free(u64 *page);

void host_tables_init(struct s2_tables *t, const struct s2_format *f, u8 levels, u8 max_leaf,
		      u64 enc);
void host_cache_fill(const struct s2_tables *t, struct s2_cache *cache);
void host_cache_free(struct s2_cache *cache);
/* After what a flush would be. */
unsigned long host_free_zapped(struct s2_zap *zap);
/* Zap everything there is, and the root; how many pages that were. */
unsigned long host_tables_free(struct s2_tables *t);

/* What a guest's access finds. */
struct host_walk {
	u64 *entry;		/* the leaf */
	hpa_t hpa;
	u8 level;
	bool write, exec;
	bool dirtied;		/* this access set the dirty bit */
};

/*
 * Translate as the CPU does: false is a fault. Sets accessed bits, and for a
 * @write that is allowed the dirty bit, each with a locked operation that
 * faults when the entry has gone meanwhile.
 */
bool host_walk(const struct s2_tables *t, gfn_t gfn, bool write, struct host_walk *w);

/* A generator of its own for each thread. */
static inline u64 host_random(u64 *state)
{
	u64 z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

#endif /* KEEL_UNIT_EPT_HOST_H */
