// SPDX-License-Identifier: GPL-2.0
/*
 * The page-table engine, one property a test: what an entry looks like bit by
 * bit, what each outcome of an install is, what a zap removes, frees and
 * reports, and that nothing leaks.
 */
#include "host.h"
#include "ktap.h"

static struct s2_tables t;
static struct s2_cache cache;

/* What zap told of leaves. */
static struct { unsigned long n, dirty; hpa_t hpa; u8 level; } told;

static void tell(void *ctx, hpa_t hpa, u8 level, bool dirty)
{
	CHECK(ctx == &told);
	told.n++;
	told.dirty += dirty;
	told.hpa = hpa;
	told.level = level;
}

static void begin(const struct s2_format *f, u8 levels, u8 max_leaf)
{
	host_tables_init(&t, f, levels, max_leaf, 0);
	memset(&told, 0, sizeof(told));
}

static void end(void)
{
	host_tables_free(&t);
	host_cache_free(&cache);
	CHECK_EQ(host_pages, 0);
}

static enum s2_installed put(gfn_t gfn, hpa_t hpa, u8 level, bool write, u8 *got)
{
	struct s2_map map = {
		.gfn = gfn, .hpa = hpa, .level = level, .write = write, .exec = true,
	};

	host_cache_fill(&t, &cache);
	return s2_install(&t, &cache, &map, got);
}

/* Zap in one go; how many tables went. */
static unsigned long zap(gfn_t first, gfn_t last)
{
	struct s2_zap z = { .leaf = tell, .ctx = &told };
	unsigned long before = told.n;

	CHECK(s2_zap(&t, &first, last, UINT_MAX, &z));
	CHECK_EQ(z.removed, told.n - before);
	return host_free_zapped(&z);
}

static bool maps(gfn_t gfn, hpa_t hpa)
{
	struct host_walk w = { 0 };

	return host_walk(&t, gfn, false, &w) && w.hpa == hpa;
}

static void npt_bits(void)
{
	static const struct { u8 level; bool write, exec, dirty; u64 want; } cases[] = {
		{ 1, false, true,  false, 0x0000000040a01025ULL },
		{ 1, true,  true,  false, 0x0000000040a01827ULL },
		{ 1, true,  true,  true,  0x0000000040a01867ULL },
		{ 1, true,  false, false, 0x8000000040a01827ULL },
		{ 2, false, true,  false, 0x0000000040a000a5ULL },
		{ 2, true,  true,  true,  0x0000000040a008e7ULL },
		{ 3, true,  true,  false, 0x00000000400008a7ULL },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct s2_map map = {
			.gfn = 0x40a01, .hpa = 0x40a01000, .level = cases[i].level,
			.write = cases[i].write, .exec = cases[i].exec, .dirty = cases[i].dirty,
		};
		struct host_walk w = { 0 };
		u8 level;

		begin(&npt_format, 4, 3);
		host_cache_fill(&t, &cache);
		CHECK_EQ(s2_install(&t, &cache, &map, &level), S2_NEW);
		CHECK_EQ(level, cases[i].level);
		/* Every entry on the way permits everything: P RW US A. */
		CHECK_EQ(t.root[0] & 0xfff0000000000fffULL, 0x27);
		CHECK(host_walk(&t, map.gfn, false, &w));
		CHECK_EQ(*w.entry, cases[i].want);
		CHECK_EQ(w.level, cases[i].level);
		end();
	}
	ktap_cases(ARRAY_SIZE(cases));
}

static void rwx_bits(void)
{
	struct s2_map map = { .gfn = 0x200, .hpa = 0x7fe00000, .level = 2, .write = true };
	struct host_walk w = { 0 };
	u8 level;

	begin(&rwx_format, 4, 3);
	host_cache_fill(&t, &cache);
	CHECK_EQ(s2_install(&t, &cache, &map, &level), S2_NEW);
	CHECK(host_walk(&t, 0x3ff, false, &w));
	CHECK_EQ(w.hpa, 0x7ffff000);
	CHECK_EQ(*w.entry, 0x7fe009b3);
	CHECK(!w.exec);
	/* More permissions: exec is one that is set. */
	map.exec = true;
	CHECK_EQ(s2_install(&t, &cache, &map, &level), S2_UPGRADED);
	CHECK_EQ(*w.entry, 0x7fe009b7);
	end();
}

static void encryption_bit(void)
{
	u64 enc = BIT_ULL(47);
	struct host_walk w = { 0 };
	u8 level;

	host_tables_init(&t, &npt_format, 5, 3, enc);
	memset(&told, 0, sizeof(told));
	CHECK_EQ(put(0x12345, 0xabcdef000, 1, true, &level), S2_NEW);
	CHECK_EQ(put(0x12345, 0xabcdef000, 1, true, &level), S2_SAME);
	CHECK(t.root[0] & enc);
	CHECK(host_walk(&t, 0x12345, true, &w));
	CHECK_EQ(w.hpa, 0xabcdef000);
	CHECK(*w.entry & enc);
	CHECK_EQ(zap(0x12345, 0x12345), 4);
	CHECK_EQ(told.hpa, 0xabcdef000);
	end();
}

static void outcomes(void)
{
	struct s2_map map = { .gfn = 5, .hpa = 0x5000, .level = 1 };
	u8 level;

	begin(&npt_format, 4, 3);
	/* No page for the tables: nothing changes. */
	CHECK_EQ(s2_install(&t, &cache, &map, &level), S2_NO_PAGE);
	CHECK_EQ(t.root[0], 0);
	CHECK_EQ(put(5, 0x5000, 1, false, &level), S2_NEW);
	CHECK_EQ(cache.nr, 0);
	CHECK_EQ(put(5, 0x5000, 1, false, &level), S2_SAME);
	CHECK_EQ(cache.nr, 3);
	CHECK_EQ(put(5, 0x5000, 1, true, &level), S2_UPGRADED);
	CHECK_EQ(put(5, 0x5000, 1, false, &level), S2_SAME);
	CHECK_EQ(put(5, 0x6000, 1, true, &level), S2_STALE);
	CHECK(maps(5, 0x5000));
	CHECK(!maps(4, 0x4000) && !maps(6, 0x6000));
	end();
}

static void large_leaves(void)
{
	struct host_walk w = { 0 };
	u8 level;

	begin(&npt_format, 4, 3);
	CHECK_EQ(put(0x40000 + 777, 0x80000000 + 777 * 4096, 3, false, &level), S2_NEW);
	CHECK_EQ(level, 3);
	CHECK(maps(0x40000, 0x80000000) && maps(0x7ffff, 0xbffff000));
	/* A larger leaf serves a smaller wish, and gets its permission. */
	CHECK_EQ(put(0x40000 + 5, 0x80005000, 1, false, &level), S2_SAME);
	CHECK_EQ(level, 3);
	CHECK_EQ(put(0x40000 + 5, 0x80005000, 2, true, &level), S2_UPGRADED);
	CHECK(host_walk(&t, 0x7ffff, true, &w));
	CHECK_EQ(put(0x40000 + 5, 0x80004000 + BIT_ULL(40), 1, true, &level), S2_STALE);
	CHECK_EQ(cache.nr, 3);

	/* A table in the way of a larger leaf: a smaller one. */
	CHECK_EQ(put(3, 0x3000, 1, true, &level), S2_NEW);
	CHECK_EQ(put(4, 0x4000, 3, true, &level), S2_NEW);
	CHECK_EQ(level, 1);
	CHECK_EQ(put(0x204, 0x204000, 3, true, &level), S2_NEW);
	CHECK_EQ(level, 2);
	CHECK(maps(0x3ff, 0x3ff000) && maps(0x200, 0x200000));
	CHECK(!maps(2, 0x2000));

	/* When it is gone, the table is too, and the large one fits. */
	CHECK_EQ(zap(3, 4), 1);
	CHECK_EQ(put(4, 0x4000, 2, true, &level), S2_NEW);
	CHECK_EQ(level, 2);
	end();

	/* A CPU without 1 GiB pages. */
	begin(&npt_format, 4, 2);
	CHECK_EQ(put(0, 0, 3, true, &level), S2_NEW);
	CHECK_EQ(level, 2);
	end();
}

static void zap_reports(void)
{
	struct host_walk w = { 0 };
	u8 level;

	begin(&npt_format, 4, 3);
	put(0x200 + 1, 0x200000 + 0x1000, 2, true, &level);
	/* One frame of it: all goes, clean. */
	CHECK_EQ(zap(0x3ff, 0x3ff), 2);
	CHECK_EQ(told.n, 1);
	CHECK_EQ(told.level, 2);
	CHECK_EQ(told.hpa, 0x200000);
	CHECK_EQ(told.dirty, 0);
	CHECK_EQ(t.root[0], 0);

	/* The guest wrote. */
	memset(&told, 0, sizeof(told));
	put(7, 0x7000, 1, true, &level);
	CHECK(host_walk(&t, 7, true, &w));
	/* Around it is not it. */
	CHECK_EQ(zap(0, 6), 0);
	CHECK_EQ(zap(8, s2_gfn_limit(&t) + 100), 0);
	CHECK_EQ(told.n, 0);
	CHECK_EQ(zap(0, ~0ULL), 3);
	CHECK_EQ(told.n, 1);
	CHECK_EQ(told.dirty, 1);
	CHECK(!maps(7, 0x7000));
	end();
}

/* Removed tables are linked through what a CPU may still read. */
static void freed_tables_read_as_absent(void)
{
	struct s2_zap z = { 0 };
	u64 *tables[3];
	gfn_t gfn = 0;
	u8 level;
	int i;

	begin(&rwx_format, 4, 3);
	put(0, 0, 1, true, &level);
	tables[0] = (u64 *)(t.virt_base + (t.root[0] & rwx_format.addr));
	tables[1] = (u64 *)(t.virt_base + (tables[0][0] & rwx_format.addr));
	tables[2] = (u64 *)(t.virt_base + (tables[1][0] & rwx_format.addr));
	CHECK(s2_zap(&t, &gfn, 0, UINT_MAX, &z));
	for (i = 0; i < 3; i++) {
		int j;

		for (j = 0; j < 512; j++)
			CHECK(!(tables[i][j] & rwx_format.present));
	}
	CHECK_EQ(host_free_zapped(&z), 3);
	CHECK(!s2_freed_pop(&z));
	end();
}

static void zap_in_steps(void)
{
	struct s2_zap z = { .leaf = tell, .ctx = &told };
	unsigned int steps = 0;
	gfn_t gfn = 0;
	u8 level;
	int i;

	begin(&npt_format, 4, 3);
	for (i = 0; i < 2000; i++)
		put(i * 3, (hpa_t)i << 13, 1, i & 1, &level);
	while (!s2_zap(&t, &gfn, 5999, 100, &z)) {
		gfn_t was = gfn;

		steps++;
		CHECK(gfn <= 5999);
		/* What is before the place is gone, what is after it is not. */
		CHECK(was < 3 || !maps((was - 1) / 3 * 3, (was - 1) / 3 << 13));
	}
	CHECK(steps >= 59, "(%u steps)", steps);
	CHECK_EQ(told.n, 2000);
	/* 12 tables of 4 KiB pages and the two above: all but the root. */
	CHECK_EQ(host_free_zapped(&z), 14);
	end();
}

static void ageing(void)
{
	struct host_walk w = { 0 };
	u8 level;

	begin(&npt_format, 4, 3);
	put(9, 0x9000, 1, true, &level);
	put(0x400, 0x400000, 2, true, &level);
	/* Fresh counts as used: it was, by the fault. */
	CHECK(s2_age(&t, 9, 9, false));
	CHECK(s2_age(&t, 9, 9, true));
	CHECK(!s2_age(&t, 9, 9, true));
	CHECK(!s2_age(&t, 0, 0x3ff, true));
	CHECK(s2_age(&t, 0, 0x5ff, true));
	CHECK(!s2_age(&t, 0, s2_gfn_limit(&t), false));
	CHECK(host_walk(&t, 0x5ff, true, &w));
	CHECK(s2_age(&t, 0x400, 0x400, false));
	CHECK(s2_age(&t, 0x400, 0x400, true));
	/* It took the accessed bit and nothing else. */
	CHECK_EQ(*w.entry, 0x4008c7);
	end();
}

static void write_protection(void)
{
	struct host_walk w = { 0 };
	unsigned long changed = 0;
	gfn_t gfn = 0;
	u8 level;

	begin(&npt_format, 4, 3);
	put(1, 0x1000, 1, true, &level);
	put(2, 0x2000, 1, false, &level);
	put(0x300, 0x300000, 2, true, &level);
	CHECK(host_walk(&t, 1, true, &w));
	CHECK(s2_write_protect(&t, &gfn, 2, UINT_MAX, &changed));
	CHECK_EQ(changed, 1);
	CHECK(!host_walk(&t, 1, true, &w));
	CHECK(host_walk(&t, 0x3ff, true, &w));
	/* It was taken for writing and has been written: both stay known. */
	w.entry = NULL;
	CHECK(host_walk(&t, 1, false, &w));
	CHECK_EQ(*w.entry, 0x1865);
	CHECK_EQ(put(1, 0x1000, 1, true, &level), S2_UPGRADED);
	gfn = 0;
	CHECK(s2_write_protect(&t, &gfn, ~0ULL, UINT_MAX, &changed));
	CHECK_EQ(changed, 3);
	CHECK(!host_walk(&t, 0x3ff, true, &w));
	zap(0, ~0ULL);
	CHECK_EQ(told.dirty, 2);
	end();
}

/* First and last frame of every level's tables, and of all. */
static void edges(void)
{
	u8 levels;

	for (levels = 4; levels <= 5; levels++) {
		gfn_t frames[32], limit;
		unsigned int n = 0, i;
		u8 level, got;

		begin(&npt_format, levels, 3);
		limit = s2_gfn_limit(&t);
		CHECK_EQ(limit, levels == 4 ? BIT_ULL(36) : BIT_ULL(45));
		frames[n++] = 0;
		for (level = 2; level <= levels; level++) {
			frames[n++] = s2_level_frames(&npt_format, level) - 1;
			frames[n++] = s2_level_frames(&npt_format, level);
		}
		frames[n++] = limit - 2;
		frames[n++] = limit - 1;
		for (i = 0; i < n; i++)
			CHECK_EQ(put(frames[i], (i + 1) << 12, 1, true, &got), S2_NEW);
		for (i = 0; i < n; i++)
			CHECK(maps(frames[i], (i + 1) << 12), "frame %u", i);
		/* One by one; the neighbours stay. */
		for (i = 0; i < n; i++) {
			zap(frames[i], frames[i]);
			CHECK_EQ(told.n, i + 1);
			CHECK(i + 1 == n || maps(frames[i + 1], (i + 2) << 12));
		}
		CHECK_EQ(host_pages, 1 + cache.nr);
		ktap_cases(n);
		end();
	}
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(npt_bits),
		KTAP_TEST(rwx_bits),
		KTAP_TEST(encryption_bit),
		KTAP_TEST(outcomes),
		KTAP_TEST(large_leaves),
		KTAP_TEST(zap_reports),
		KTAP_TEST(freed_tables_read_as_absent),
		KTAP_TEST(zap_in_steps),
		KTAP_TEST(ageing),
		KTAP_TEST(write_protection),
		KTAP_TEST(edges),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
