// SPDX-License-Identifier: GPL-2.0
/*
 * The page-table engine: install, zap, write-protect, age and iterate.  It owns
 * the order in which entries become visible; it must not know which lock its
 * callers hold beyond the sides that walk.h names, nor whose tables these are.
 *
 * Concurrency: installers run beside each other and beside the CPU, which sets
 * accessed and dirty bits, so every change of an entry is a cmpxchg or an xchg.
 * Entries are removed on the write side only: an installer that has read a
 * pointer to a table may follow it.
 */
#include "ept/walk.h"

static unsigned int s2_index(const struct s2_format *f, gfn_t gfn, u8 level)
{
	const struct s2_level *l = &f->level[level];

	return (gfn >> (l->shift - KEEL_PAGE_SHIFT)) & ((1U << l->bits) - 1);
}

static bool s2_is_leaf(const struct s2_format *f, u64 entry, u8 level)
{
	return level == S2_LEVEL_4K || (entry & f->large);
}

static hpa_t s2_entry_hpa(const struct s2_tables *t, u64 entry, u8 level)
{
	const struct s2_format *f = t->format;

	/* Below the size of a large page lie other bits than the address's. */
	return entry & f->addr & ~t->enc & ~((1ULL << f->level[level].shift) - 1);
}

static u64 *s2_entry_table(const struct s2_tables *t, u64 entry)
{
	return (u64 *)(uintptr_t)(t->virt_base + (entry & t->format->addr & ~t->enc));
}

static u64 s2_table_entry(const struct s2_tables *t, const u64 *table)
{
	return ((uintptr_t)table - t->virt_base) | t->enc | t->format->table;
}

/* ---- install ------------------------------------------------------------ */

static u64 s2_leaf_entry(const struct s2_tables *t, const struct s2_map *map, u8 level)
{
	const struct s2_format *f = t->format;
	u64 entry = map->hpa & ~((1ULL << f->level[level].shift) - 1);

	entry |= t->enc | f->leaf | f->accessed;
	if (level > S2_LEVEL_4K)
		entry |= f->large;
	if (map->write)
		entry |= f->write | f->host_write;
	if (map->dirty)
		entry |= f->dirty;
	return entry | (map->exec ? f->exec : f->noexec);
}

/*
 * A leaf is there already.  Permissions only grow here: the host page allows
 * what @map says, and taking away is done on the write side.
 */
static enum s2_installed s2_upgrade(const struct s2_tables *t, u64 *entry, u64 old,
				    const struct s2_map *map, u8 level)
{
	const struct s2_format *f = t->format;
	u64 grow = f->write | f->exec | f->host_write | f->accessed | f->dirty;
	u64 want = s2_leaf_entry(t, map, level);
	u64 new;

	if (s2_entry_hpa(t, old, level) != s2_entry_hpa(t, want, level))
		return S2_STALE;
	do {
		new = (old | (want & grow)) & ~(f->noexec & ~want);
		if (!((new ^ old) & (f->write | f->exec | f->noexec)))
			return S2_SAME;
	} while (!try_cmpxchg(entry, &old, new));
	return S2_UPGRADED;
}

/* Makes *@entry, found empty, point to a new table.  The entry that is there then; 0: no page. */
static u64 s2_add_table(const struct s2_tables *t, struct s2_cache *cache, u64 *entry)
{
	u64 old = 0, new;

	if (!cache->nr)
		return 0;
	new = s2_table_entry(t, cache->page[cache->nr - 1]);
	if (!try_cmpxchg(entry, &old, new))
		return old;	/* somebody was faster; the page is still zero */
	cache->nr--;
	return new;
}

enum s2_installed s2_install(const struct s2_tables *t, struct s2_cache *cache,
			     const struct s2_map *map, u8 *level)
{
	const struct s2_format *f = t->format;
	u8 max_leaf = min(map->level, t->max_leaf);
	u64 *table = t->root;
	u8 l;

	for (l = t->levels; ; l--) {
		u64 *entry = &table[s2_index(f, map->gfn, l)];
		u64 old = READ_ONCE(*entry);

		*level = l;
		if (!(old & f->present) && l <= max_leaf && f->level[l].leaf) {
			if (try_cmpxchg(entry, &old, s2_leaf_entry(t, map, l)))
				return S2_NEW;
		} else if (!(old & f->present)) {
			old = s2_add_table(t, cache, entry);
			if (!old)
				return S2_NO_PAGE;
		}
		if (s2_is_leaf(f, old, l))
			return s2_upgrade(t, entry, old, map, l);
		table = s2_entry_table(t, old);
	}
}

/* ---- iterate ------------------------------------------------------------- */

bool s2_next(const struct s2_tables *t, gfn_t *gfn, gfn_t last, unsigned int *budget,
	     struct s2_path *path)
{
	const struct s2_format *f = t->format;
	u64 *table = t->root;
	u8 l = t->levels;

	last = min_t(gfn_t, last, s2_gfn_limit(t) - 1);
	while (*gfn <= last && *budget) {
		u64 *entry = &table[s2_index(f, *gfn, l)];
		u64 value = READ_ONCE(*entry);

		path->entry[l] = entry;
		if (value & f->present) {
			if (s2_is_leaf(f, value, l)) {
				path->value = value;
				path->level = l;
				return true;
			}
			table = s2_entry_table(t, value);
			l--;
			continue;
		}
		--*budget;
		*gfn = (*gfn | (s2_level_frames(f, l) - 1)) + 1;
		if (!s2_index(f, *gfn, l)) {
			/* Beyond the end of this table: down again from the root. */
			table = t->root;
			l = t->levels;
		}
	}
	return false;
}

/* Steps *@gfn over the leaf that s2_next() found. */
static void s2_step(const struct s2_tables *t, gfn_t *gfn, const struct s2_path *path,
		    unsigned int *budget)
{
	*gfn = (*gfn | (s2_level_frames(t->format, path->level) - 1)) + 1;
	if (*budget)
		--*budget;
}

bool s2_age(const struct s2_tables *t, gfn_t first, gfn_t last, bool clear)
{
	u64 accessed = t->format->accessed;
	struct s2_path path;
	bool young = false;

	for (;;) {
		unsigned int budget = UINT_MAX;

		if (!s2_next(t, &first, last, &budget, &path)) {
			if (budget)
				return young;
			continue;
		}
		if (path.value & accessed) {
			young = true;
			if (!clear)
				return true;
			/* An upgrade or a dirty bit may come between. */
			while (!try_cmpxchg(path.entry[path.level], &path.value,
					    path.value & ~accessed))
				;
		}
		s2_step(t, &first, &path, &budget);
	}
}

bool s2_write_protect(const struct s2_tables *t, gfn_t *first, gfn_t last, unsigned int budget,
		      unsigned long *changed)
{
	u64 write = t->format->write;
	struct s2_path path;

	while (budget && s2_next(t, first, last, &budget, &path)) {
		if (path.value & write) {
			while (!try_cmpxchg(path.entry[path.level], &path.value,
					    path.value & ~write))
				;
			++*changed;
		}
		s2_step(t, first, &path, &budget);
	}
	return *first > last || *first >= s2_gfn_limit(t);
}

/* ---- remove -------------------------------------------------------------- */

/* Nothing present in @table?  Looks first beside @index, where a neighbour is likely. */
static bool s2_table_empty(const struct s2_format *f, const u64 *table, unsigned int index,
			   u8 level)
{
	unsigned int nr = 1U << f->level[level].bits;
	unsigned int i;

	for (i = 1; i <= nr; i++)
		if (READ_ONCE(table[(index + i) % nr]) & f->present)
			return false;
	return true;
}

/* The leaf of @path is gone: take away the tables above it that are empty now. */
static void s2_prune(const struct s2_tables *t, gfn_t gfn, const struct s2_path *path,
		     struct s2_zap *zap)
{
	const struct s2_format *f = t->format;
	u8 l;

	for (l = path->level; l < t->levels; l++) {
		unsigned int index = s2_index(f, gfn, l);
		u64 *table = path->entry[l] - index;

		if (!s2_table_empty(f, table, index, l))
			return;
		(void)xchg(path->entry[l + 1], 0);
		/* To a CPU that still walks it, a pointer to a page is not present. */
		WRITE_ONCE(table[0], (u64)(uintptr_t)zap->freed);
		zap->freed = table;
	}
}

bool s2_zap(const struct s2_tables *t, gfn_t *first, gfn_t last, unsigned int budget,
	    struct s2_zap *zap)
{
	const struct s2_format *f = t->format;
	/* Without dirty bits whatever could be written counts as written. */
	u64 dirty = f->dirty ? f->dirty : f->write;
	struct s2_path path;

	while (budget && s2_next(t, first, last, &budget, &path)) {
		u64 old = xchg(path.entry[path.level], 0);

		zap->removed++;
		if (zap->leaf)
			zap->leaf(zap->ctx, s2_entry_hpa(t, old, path.level), path.level,
				  old & dirty);
		s2_prune(t, *first, &path, zap);
		s2_step(t, first, &path, &budget);
	}
	return *first > last || *first >= s2_gfn_limit(t);
}

u64 *s2_freed_pop(struct s2_zap *zap)
{
	u64 *table = zap->freed;

	if (table)
		zap->freed = (u64 *)(uintptr_t)table[0];
	return table;
}
