/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The page-table engine of stage 2: one set of operations over level
 * descriptors and a format table, for NPT and EPT, of 4 and 5 levels.  Pure: it
 * must not know locks, allocation, struct page or a VM.  Its callers hold the
 * lock that an operation names, hand in zeroed pages for new tables, and take
 * back the pages of removed ones.
 */
#ifndef KEEL_EPT_WALK_H
#define KEEL_EPT_WALK_H

#include "core/types.h"

#define S2_LEVEL_4K	1
#define S2_LEVEL_2M	2
#define S2_LEVEL_1G	3
#define S2_MAX_LEVELS	5

/* One level of tables: an entry of it translates the bits from @shift up. */
struct s2_level {
	u8 shift;		/* log2 of the bytes that one entry covers */
	u8 bits;		/* log2 of the entries in a table */
	bool leaf;		/* the format lets an entry map memory here */
};

/*
 * What the bits of an entry mean.  A mask that the hardware does not have is 0.
 * @present lies within the low 12 bits, so that a page-aligned pointer is an
 * entry that is not present: see struct s2_zap.
 */
struct s2_format {
	const char *name;
	struct s2_level level[S2_MAX_LEVELS + 1];	/* [0] is not used */
	u64 present;		/* any of these: the entry is in use */
	u64 table;		/* set in an entry that points to a table */
	u64 leaf;		/* set in an entry that maps memory; with write-back type */
	u64 large;		/* set in a leaf above 4 KiB; ignored in a 4 KiB entry */
	u64 write;		/* permits writes */
	u64 exec;		/* permits execution */
	u64 noexec;		/* forbids execution */
	u64 accessed;		/* set by the CPU */
	u64 dirty;		/* set by the CPU, in leaves */
	u64 addr;		/* the host-physical address */
	u64 memtype;		/* memory type field */
	u64 memtype_wb;		/* its value for write-back */
	u64 host_write;		/* software: the host page was taken for writing */
};

/* The tables of one VM.  Constant once set up, but for what the tables hold. */
struct s2_tables {
	const struct s2_format *format;
	u64 *root;
	unsigned long virt_base;/* a table at hpa is seen at virt_base + hpa */
	u64 enc;		/* memory-encryption bit of every address, or 0 */
	u8 levels;		/* 4 or 5 */
	u8 max_leaf;		/* S2_LEVEL_*: the largest page that the CPU takes */
	bool hw_log;		/* the CPU tells which leaves become dirty */
};

/* Zeroed pages for tables; enough for one walk from the root to 4 KiB. */
#define S2_CACHE_PAGES	(S2_MAX_LEVELS - 1)

struct s2_cache {
	u64 *page[S2_CACHE_PAGES];
	u8 nr;
	u8 split;		/* bit of each level where a leaf was split; the caller clears it */
};

/* What an install asks for. */
struct s2_map {
	gfn_t gfn;
	hpa_t hpa;		/* of @gfn, page-aligned, whatever @level is */
	u8 level;		/* S2_LEVEL_*: the largest leaf that the host page allows */
	bool write;		/* may be written */
	bool exec;		/* may be executed */
	bool dirty;		/* is about to be written */
	bool logged;		/* no write may go unseen: see below */
};

/*
 * Where writes are logged a large leaf never permits them: a write wants 4 KiB,
 * and a large leaf in its way is split.  A 4 KiB leaf permits them when it is
 * about to be written, which the caller notes, or, where the CPU logs, from the
 * start with its dirty bit clear.
 */

enum s2_installed {
	S2_NEW,			/* a leaf that was not there */
	S2_SAME,		/* a leaf with these permissions was there */
	S2_UPGRADED,		/* a leaf was there and got more permissions */
	S2_STALE,		/* a leaf for another host page is there: zap it first */
	S2_NO_PAGE,		/* the cache is empty */
};

/*
 * Read side of the lock; any number at a time.  Installs a leaf for @map->gfn
 * with cmpxchg, tables above it from @cache; pages that a race made superfluous
 * stay in @cache.  Where a table stands in the way of a large leaf, a smaller
 * leaf is installed; a larger leaf that is there already serves, unless it has to
 * be split.  *@level says where the leaf is.  @map->gfn must lie below
 * s2_gfn_limit().
 */
enum s2_installed s2_install(const struct s2_tables *t, struct s2_cache *cache,
			     const struct s2_map *map, u8 *level);

/*
 * Removal.  @leaf (may be NULL) is told of every leaf that went.  @freed is a
 * list of table pages, linked through their first word: a CPU may still walk
 * them, and sees an entry that is not present.  Free them with s2_freed_pop()
 * after the TLBs are flushed.  Zero it before the first use.
 */
struct s2_zap {
	void (*leaf)(void *ctx, hpa_t hpa, u8 level, bool dirty);
	void *ctx;
	u64 *freed;
	unsigned long removed;	/* leaves so far */
};

/*
 * Write side of the lock.  Removes what maps [*@first, @last], with a large leaf
 * going as a whole, and the tables that are empty after it.  Looks at about
 * @budget entries, then moves *@first to where it stopped and returns false, so
 * that the caller can let others in.  True: all is gone.
 */
bool s2_zap(const struct s2_tables *t, gfn_t *first, gfn_t last, unsigned int budget,
	    struct s2_zap *zap);

/* The next page of zap->freed, or NULL. */
u64 *s2_freed_pop(struct s2_zap *zap);

/*
 * Write side, as s2_zap(): takes the write permission away; *@changed grows by
 * the leaves that had it.  What was written stays marked dirty.
 */
bool s2_write_protect(const struct s2_tables *t, gfn_t *first, gfn_t last, unsigned int budget,
		      unsigned long *changed);

/*
 * Write side, as s2_zap(): from here on a write to what maps [*@first, @last] is
 * seen again, once the TLBs are flushed, if @changed says that they must be.
 * Takes the write permission, or where the CPU logs the dirty bit; @dirty (may be
 * NULL) is told of leaves whose dirty bit went.
 */
struct s2_relog {
	void (*dirty)(void *ctx, hpa_t hpa);
	void *ctx;
	unsigned long changed;	/* leaves so far */
};

bool s2_relog(const struct s2_tables *t, gfn_t *first, gfn_t last, unsigned int budget,
	      struct s2_relog *relog);

/* A log of writes, a bit a page, and the part of it that somebody wants. */
struct s2_collect {
	unsigned long *log;	/* others set bits at any time, atomically */
	gfn_t base;		/* frame of bit 0 of @log */
	u64 next, last;		/* bits of @log to look at, @next moves */
	u64 first;		/* bit of @log that is bit 0 of @out */
	unsigned long *out;	/* zeroed; what was written */
	u64 count;		/* bits in @out */
};

/*
 * Write side.  Moves bits from @c->log to @c->out, and each page's next write is
 * seen again, as by s2_relog().  Stops after about @budget words and pages: false,
 * go on later.  A bit that is set meanwhile goes now or next time.
 */
bool s2_collect(const struct s2_tables *t, struct s2_collect *c, unsigned int budget,
		struct s2_relog *relog);

/*
 * Read side.  Was anything in [@first, @last] accessed?  With @clear forgets it
 * for the next time; TLBs may keep an access from being seen.  Without accessed
 * bits what is there was, and there is no way to forget it but a zap.
 */
bool s2_age(const struct s2_tables *t, gfn_t first, gfn_t last, bool clear);

/* A leaf, and the entries on the way to it. */
struct s2_path {
	u64 *entry[S2_MAX_LEVELS + 1];	/* by level, from the root's to the leaf's */
	u64 value;			/* of the leaf when it was found */
	u8 level;			/* of the leaf */
};

/*
 * Read side.  The first leaf that touches [*@gfn, @last]: true, *@gfn is a frame
 * of it.  False: there is none and *@gfn is beyond @last, or *@budget entries
 * (counted down) were looked at and *@gfn is where to go on.
 */
bool s2_next(const struct s2_tables *t, gfn_t *gfn, gfn_t last, unsigned int *budget,
	     struct s2_path *path);

/* Frames that one entry of @level covers. */
static inline u64 s2_level_frames(const struct s2_format *f, u8 level)
{
	return 1ULL << (f->level[level].shift - KEEL_PAGE_SHIFT);
}

/* The first frame that the tables cannot translate. */
static inline gfn_t s2_gfn_limit(const struct s2_tables *t)
{
	const struct s2_level *top = &t->format->level[t->levels];

	return 1ULL << (top->shift + top->bits - KEEL_PAGE_SHIFT);
}

/* NPT: AMD's nested page tables. */
extern const struct s2_format npt_format;
/* EPT: Intel's extended page tables, and the same without accessed and dirty bits. */
extern const struct s2_format ept_format, ept_format_no_ad;

#endif /* KEEL_EPT_WALK_H */
