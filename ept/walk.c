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
	if (map->logged && !(level == S2_LEVEL_4K && (map->dirty || t->hw_log)))
		entry &= ~f->write;
	if (map->dirty)
		entry |= f->dirty;
	return entry | (map->exec ? f->exec : f->noexec);
}

/*
 * A leaf is there already.  Permissions only grow here: the host page allows
 * what @map says, and taking away is done on the write side.  False: it is
 * another entry now.
 */
static bool s2_upgrade(const struct s2_tables *t, u64 *entry, u64 old, const struct s2_map *map,
		       u8 level, enum s2_installed *done)
{
	const struct s2_format *f = t->format;
	u64 grow = f->write | f->exec | f->host_write | f->accessed | f->dirty;
	u64 want = s2_leaf_entry(t, map, level);
	u64 new;

	*done = S2_STALE;
	if (s2_entry_hpa(t, old, level) != s2_entry_hpa(t, want, level))
		return true;
	/* Its dirty bit may be set: then the CPU would not tell of the next write. */
	if (map->logged && !map->dirty)
		grow &= ~f->write;
	new = (old | (want & grow)) & ~(f->noexec & ~want);
	*done = S2_SAME;
	if (!((new ^ old) & (f->write | f->exec | f->noexec)))
		return true;
	*done = S2_UPGRADED;
	return try_cmpxchg(entry, &old, new);
}

/* Makes *@entry, found empty, point to a new table, if nobody was faster.  False: no page. */
static bool s2_add_table(const struct s2_tables *t, struct s2_cache *cache, u64 *entry)
{
	u64 old = 0;

	if (!cache->nr)
		return false;
	/* If it is lost, the page is still zero. */
	if (try_cmpxchg(entry, &old, s2_table_entry(t, cache->page[cache->nr - 1])))
		cache->nr--;
	return true;
}

/*
 * Makes *@entry, a large leaf, point to a table of leaves one level down that
 * mean the same, if it has not changed meanwhile.  False: no page.  A TLB may
 * hold both sizes then: they differ in permissions at most, and a fault on the
 * old one drops it.
 */
static bool s2_split(const struct s2_tables *t, struct s2_cache *cache, u64 *entry, u64 old,
		     u8 level)
{
	const struct s2_format *f = t->format;
	const struct s2_level *below = &f->level[level - 1];
	u64 *table, leaf = old;
	unsigned int i;

	if (!cache->nr)
		return false;
	if (level - 1 == S2_LEVEL_4K) {
		leaf &= ~f->large;
		/* The CPU will tell: no need for a fault a page. */
		if (t->hw_log && (leaf & f->host_write))
			leaf = (leaf | f->write) & ~f->dirty;
	}
	table = cache->page[cache->nr - 1];
	for (i = 0; i < 1U << below->bits; i++)
		table[i] = leaf + ((u64)i << below->shift);
	if (try_cmpxchg(entry, &old, s2_table_entry(t, table))) {
		cache->nr--;
		cache->split |= 1U << level;
	} else {
		memset(table, 0, KEEL_PAGE_SIZE);
	}
	return true;
}

enum s2_installed s2_install(const struct s2_tables *t, struct s2_cache *cache,
			     const struct s2_map *map, u8 *level)
{
	const struct s2_format *f = t->format;
	bool small = map->logged && map->dirty;
	u8 max_leaf = small ? S2_LEVEL_4K : min(map->level, t->max_leaf);
	enum s2_installed done;
	u64 *table = t->root;
	u8 l = t->levels;

	/* Who is overtaken looks at the same entry again. */
	for (;;) {
		u64 *entry = &table[s2_index(f, map->gfn, l)];
		u64 old = READ_ONCE(*entry);

		*level = l;
		if (!(old & f->present) && l <= max_leaf && f->level[l].leaf) {
			if (try_cmpxchg(entry, &old, s2_leaf_entry(t, map, l)))
				return S2_NEW;
		} else if (!(old & f->present)) {
			if (!s2_add_table(t, cache, entry))
				return S2_NO_PAGE;
		} else if (!s2_is_leaf(f, old, l)) {
			table = s2_entry_table(t, old);
			l--;
		} else if (small && l > S2_LEVEL_4K) {
			if (!s2_split(t, cache, entry, old, l))
				return S2_NO_PAGE;
		} else if (s2_upgrade(t, entry, old, map, l, &done)) {
			return done;
		}
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
	const struct s2_format *f = t->format;
	struct s2_path path;
	bool young = false;

	for (;;) {
		unsigned int budget = UINT_MAX;

		if (!s2_next(t, &first, last, &budget, &path)) {
			if (budget)
				return young;
			continue;
		}
		if ((path.value & f->accessed) || !f->accessed) {
			young = true;
			if (!clear || !f->accessed)
				return true;
			/* An upgrade, a dirty bit or a split may come between. */
			while (s2_is_leaf(f, path.value, path.level) &&
			       !try_cmpxchg(path.entry[path.level], &path.value,
					    path.value & ~f->accessed))
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

bool s2_relog(const struct s2_tables *t, gfn_t *first, gfn_t last, unsigned int budget,
	      struct s2_relog *relog)
{
	const struct s2_format *f = t->format;
	struct s2_path path;

	while (budget && s2_next(t, first, last, &budget, &path)) {
		bool large = path.level > S2_LEVEL_4K;
		u64 lose = t->hw_log ? f->dirty | (large ? f->write : 0) : f->write;

		if (path.value & lose) {
			/* A dirty bit may come between: what counts is the last value. */
			while (!try_cmpxchg(path.entry[path.level], &path.value,
					    path.value & ~lose))
				;
			relog->changed++;
			if ((path.value & lose & f->dirty) && relog->dirty)
				relog->dirty(relog->ctx, s2_entry_hpa(t, path.value, path.level));
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
	/* Without dirty bits whatever could ever be written counts as written. */
	u64 dirty = f->dirty ? f->dirty : f->host_write;
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
