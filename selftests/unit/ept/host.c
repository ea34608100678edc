// SPDX-License-Identifier: GPL-2.0
/*
 * Pages, a second format and a CPU for the tests of the page-table engine. See host.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include "host.h"

/* Tables are seen this far above their host-physical address. */
#define VIRT_BASE	0x10000000UL

const struct s2_format rwx_format = {
	.name		= "rwx",
	.level = {
		[1] = { .shift = 12, .bits = 9, .leaf = true },
		[2] = { .shift = 21, .bits = 9, .leaf = true },
		[3] = { .shift = 30, .bits = 9, .leaf = true },
		[4] = { .shift = 39, .bits = 9 },
		[5] = { .shift = 48, .bits = 9 },
	},
	.present	= 0x7,
	.table		= 0x7,
	.leaf		= 0x1 | 6 << 3,
	.large		= 0x80,
	.write		= 0x2,
	.exec		= 0x4,
	.accessed	= 0x100,
	.dirty		= 0x200,
	.addr		= GENMASK_ULL(51, 12),
	.memtype	= 0x38,
	.memtype_wb	= 6 << 3,
	.host_write	= 0x800,
};

long host_pages;

u64 *host_page(void)
{
	u64 *page = aligned_alloc(KEEL_PAGE_SIZE, KEEL_PAGE_SIZE);

	if (!page) {
		perror("aligned_alloc");
		exit(1);
	}
	memset(page, 0, KEEL_PAGE_SIZE);
	__atomic_fetch_add(&host_pages, 1, __ATOMIC_RELAXED);
	return page;
}

void host_page_free(u64 *page)
{
	free(page);
	__atomic_fetch_sub(&host_pages, 1, __ATOMIC_RELAXED);
}

void host_tables_init(struct s2_tables *t, const struct s2_format *f, u8 levels, u8 max_leaf,
		      u64 enc)
{
	*t = (struct s2_tables) {
		.format = f,
		.root = host_page(),
		.virt_base = VIRT_BASE,
		.enc = enc,
		.levels = levels,
		.max_leaf = max_leaf,
	};
}

void host_cache_fill(const struct s2_tables *t, struct s2_cache *cache)
{
	while (cache->nr < t->levels - 1)
		cache->page[cache->nr++] = host_page();
}

void host_cache_free(struct s2_cache *cache)
{
	while (cache->nr)
		host_page_free(cache->page[--cache->nr]);
}

unsigned long host_free_zapped(struct s2_zap *zap)
{
	unsigned long n = 0;
	u64 *page;

	while ((page = s2_freed_pop(zap))) {
		host_page_free(page);
		n++;
	}
	return n;
}

unsigned long host_tables_free(struct s2_tables *t)
{
	struct s2_zap zap = { 0 };
	unsigned long n;
	gfn_t gfn = 0;

	while (!s2_zap(t, &gfn, s2_gfn_limit(t) - 1, 1000, &zap))
		;
	n = host_free_zapped(&zap);
	host_page_free(t->root);
	t->root = NULL;
	return n + 1;
}

bool host_walk(const struct s2_tables *t, gfn_t gfn, bool write, struct host_walk *w)
{
	bool npt = t->format == &npt_format;
	u64 present = npt ? 0x1 : 0x7, accessed = npt ? 0x20 : 0x100, dirty = npt ? 0x40 : 0x200;
	u64 addr = 0x000ffffffffff000ULL & ~t->enc;
	u64 *table = t->root;
	int level;

	*w = (struct host_walk) { .write = true, .exec = true };
	for (level = t->levels; ; level--) {
		unsigned int shift = 9 * (level - 1);
		u64 *entry = &table[(gfn >> shift) & 511];
		u64 value = __atomic_load_n(entry, __ATOMIC_ACQUIRE), set = accessed;

		do {
			bool leaf = level == 1 || (level <= 3 && (value & 0x80));

			if (!(value & present))
				return false;
			/* User bit: NPT faults without it. Reserved: PS where no page can be. */
			if (npt && !(value & 0x4))
				return false;
			if (level > 3 && (value & 0x80))
				return false;
			w->write = w->write && (value & 0x2);
			w->exec = w->exec && (npt ? !(value >> 63) : (value & 0x4) != 0);
			if (leaf && write && !w->write)
				return false;
			if (leaf && write)
				set |= dirty;
			if (leaf) {
				w->entry = entry;
				w->level = (u8)level;
				w->hpa = (value & addr & ~((1ULL << (shift + 12)) - 1)) |
					 ((gfn << 12) & ((1ULL << (shift + 12)) - 1));
			} else {
				table = (u64 *)(t->virt_base + (value & addr));
			}
		} while ((value & set) != set &&
			 !__atomic_compare_exchange_n(entry, &value, value | set, false,
						      __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE));
		if (w->entry == entry) {
			w->dirtied = set & ~value & dirty;
			return true;
		}
	}
}
