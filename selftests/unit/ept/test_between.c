// SPDX-License-Identifier: GPL-2.0
/*
 * The page-table engine, with somebody else at work between any two of its
 * steps: after each read of an entry, in turn, a rival installs or a CPU sets
 * its bits. What threads hit by luck happens here for sure. The engine is
 * compiled into this file with a READ_ONCE() that lets the rival in.
 */
#include "host.h"
#include "ktap.h"

/* The rival uses the engine as it is. */
static enum s2_installed (*const rival_install)(const struct s2_tables *t, struct s2_cache *cache,
						const struct s2_map *map, u8 *level) = s2_install;

static struct s2_tables t;
static void (*rival)(void);
static unsigned int reads, rival_at;	/* the rival comes after this read, 0: never */

static void let_rival_in(void)
{
	if (++reads == rival_at)
		rival();
}

#undef READ_ONCE
#define READ_ONCE(x) ({							\
	__typeof__(x) value_ = *(const volatile __typeof__(x) *)&(x);	\
									\
	let_rival_in();							\
	value_;								\
})
#define s2_install(...) between_install(__VA_ARGS__)
#define s2_zap(...) between_zap(__VA_ARGS__)
#define s2_freed_pop(...) between_freed_pop(__VA_ARGS__)
#define s2_write_protect(...) between_write_protect(__VA_ARGS__)
#define s2_relog(...) between_relog(__VA_ARGS__)
#define s2_age(...) between_age(__VA_ARGS__)
#define s2_next(...) between_next(__VA_ARGS__)
enum s2_installed s2_install(const struct s2_tables *t, struct s2_cache *cache,
			     const struct s2_map *map, u8 *level);
bool s2_zap(const struct s2_tables *t, gfn_t *first, gfn_t last, unsigned int budget,
	    struct s2_zap *zap);
u64 *s2_freed_pop(struct s2_zap *zap);
bool s2_write_protect(const struct s2_tables *t, gfn_t *first, gfn_t last, unsigned int budget,
		      unsigned long *changed);
bool s2_relog(const struct s2_tables *t, gfn_t *first, gfn_t last, unsigned int budget,
	      struct s2_relog *relog);
bool s2_age(const struct s2_tables *t, gfn_t first, gfn_t last, bool clear);
bool s2_next(const struct s2_tables *t, gfn_t *gfn, gfn_t last, unsigned int *budget,
	     struct s2_path *path);
#include "ept/walk.c"

#define GFN	0x40203ULL
#define HPA(gfn) (((gfn) + (1ULL << 18)) << 12)

static struct s2_cache my_cache, rival_cache;
static struct s2_map rival_map;
static enum s2_installed rival_got;
static u8 rival_level;
static bool came, rival_wrote;

static void rival_installs(void)
{
	came = true;
	rival_got = rival_install(&t, &rival_cache, &rival_map, &rival_level);
}

static void cpu_writes(void)
{
	struct host_walk w;

	came = true;
	rival_wrote = host_walk(&t, GFN, true, &w);
}

static void begin(u8 levels, unsigned int at, void (*who)(void))
{
	host_tables_init(&t, &npt_format, levels, 3, 0);
	host_cache_fill(&t, &my_cache);
	host_cache_fill(&t, &rival_cache);
	rival = who;
	rival_at = at;
	reads = 0;
	came = false;
	rival_wrote = false;
}

/* Everything is where it should be, and no page is in two places or in none. */
static void end(void)
{
	unsigned long tables;

	rival_at = 0;
	tables = host_pages - my_cache.nr - rival_cache.nr;
	CHECK_EQ(host_tables_free(&t), tables);
	host_cache_free(&my_cache);
	host_cache_free(&rival_cache);
	CHECK_EQ(host_pages, 0);
}

/* A case of two installs. */
struct pair {
	unsigned int levels, mine, theirs, at;
	gfn_t other;
};

/* False: the install was over before the rival's turn. */
static bool two_installs_once(const struct pair *p)
{
	struct s2_map map = { .gfn = GFN, .hpa = HPA(GFN), .level = p->mine, .exec = true };
	struct host_walk w;
	enum s2_installed got;
	bool same;
	u8 level;

	begin(p->levels, p->at, rival_installs);
	rival_map = (struct s2_map) {
		.gfn = p->other, .hpa = HPA(p->other), .level = p->theirs,
		.write = true, .exec = true,
	};
	got = s2_install(&t, &my_cache, &map, &level);
	if (came) {
		CHECK(host_walk(&t, GFN, false, &w));
		CHECK_EQ(w.hpa, HPA(GFN));
		CHECK_EQ(w.level, level);
		/* Where one leaf holds both frames, one made it. */
		same = GFN >> (9 * (level - 1)) == p->other >> (9 * (level - 1)) &&
		       level == rival_level;
		CHECK_EQ(got == S2_NEW, !same || rival_got != S2_NEW);
		if (same)
			CHECK(w.write);
		CHECK(host_walk(&t, p->other, true, &w));
		CHECK_EQ(w.hpa, HPA(p->other));
		CHECK_EQ(w.level, rival_level);
		/* A page that was not used is still zero. */
		CHECK(!my_cache.nr || !my_cache.page[my_cache.nr - 1][0]);
		ktap_cases(1);
	}
	end();
	return came;
}

/* Every pair of sizes and distances: the outcome is that of one install before the other. */
static void two_installs(void)
{
	static const gfn_t others[] = { GFN, GFN + 1, GFN + 512, GFN + (1 << 18) };
	unsigned int i;

	for (i = 0; i < 2 * ARRAY_SIZE(others) * 3 * 3; i++) {
		struct pair p = {
			.levels = 4 + i % 2,
			.other = others[i / 2 % ARRAY_SIZE(others)],
			.mine = 1 + i / 8 % 3,
			.theirs = 1 + i / 24,
			.at = 1,
		};

		while (two_installs_once(&p))
			p.at++;
	}
}

static bool reported_dirty;

static void report(void *ctx, hpa_t hpa, u8 level, bool dirty)
{
	CHECK(!ctx && hpa == HPA(GFN) && level == 1);
	reported_dirty = dirty;
}

/* A write that the CPU was allowed to do is known afterwards, whatever the engine did meanwhile. */
static void no_write_is_lost(void)
{
	enum { UPGRADE, PROTECT, AGE, ZAP, WHAT_NR };
	unsigned int what, at;

	for (what = 0; what < WHAT_NR; what++) {
		for (at = 1; ; at++) {
			struct s2_map map = {
				.gfn = GFN, .hpa = HPA(GFN), .level = 1, .exec = what != UPGRADE,
				.write = true,
			};
			struct host_walk w;
			struct s2_zap z = { .leaf = report };
			unsigned long changed = 0;
			gfn_t gfn = GFN;
			u8 level;

			begin(4, 0, cpu_writes);
			CHECK_EQ(rival_install(&t, &my_cache, &map, &level), S2_NEW);
			rival_at = at;
			map.exec = true;
			switch (what) {
			case UPGRADE:
				CHECK_EQ(s2_install(&t, &my_cache, &map, &level), S2_UPGRADED);
				break;
			case PROTECT:
				CHECK(s2_write_protect(&t, &gfn, GFN, 100, &changed));
				break;
			case AGE:
				CHECK(s2_age(&t, GFN, GFN, true));
				break;
			}
			if (what != ZAP) {
				rival_at = came ? 0 : rival_at;
				CHECK(host_walk(&t, GFN, false, &w));
				CHECK_EQ(!!(*w.entry & npt_format.dirty), rival_wrote);
				CHECK_EQ(!!(*w.entry & npt_format.write), what != PROTECT);
				CHECK_EQ(!(*w.entry & npt_format.noexec), true);
			} else {
				CHECK(s2_zap(&t, &gfn, GFN, 100, &z));
				host_free_zapped(&z);
				/* Or it came after the leaf was gone, and faulted. */
				CHECK_EQ(reported_dirty, rival_wrote);
			}
			end();
			if (!came)
				break;
			ktap_cases(1);
		}
	}
}

static void cpu_reads(void)
{
	struct host_walk w;

	came = true;
	CHECK(host_walk(&t, GFN ^ 1, false, &w));
}

static void rival_ages(void)
{
	came = true;
	s2_age(&t, GFN, GFN, true);
}

/* Nothing of a table that came to nothing is left in its page. */
static bool cache_is_zero(const struct s2_cache *cache)
{
	unsigned int i, j;

	for (i = 0; i < cache->nr; i++)
		for (j = 0; j < 512; j++)
			if (cache->page[i][j])
				return false;
	return true;
}

/* A large leaf is split while somebody splits it, walks through it or ages it. */
static void splits(void)
{
	static void (*const who[])(void) = {
		rival_installs, rival_installs, cpu_reads, rival_ages
	};
	unsigned int i, at;

	for (i = 0; i < ARRAY_SIZE(who) * 2; i++) {
		for (at = 1; ; at++) {
			struct s2_map map = {
				.gfn = GFN, .hpa = HPA(GFN), .level = 2 + i % 2,
				.write = true, .exec = true, .logged = true,
			};
			u8 large = map.level, level, split = 0;
			struct host_walk w;

			begin(4, 0, who[i / 2]);
			CHECK_EQ(rival_install(&t, &my_cache, &map, &level), S2_NEW);
			CHECK_EQ(level, map.level);
			host_cache_fill(&t, &my_cache);
			rival_map = map;
			rival_map.dirty = true;
			/* The same frame, or one that shares only the large page. */
			if (i / 2)
				rival_map.gfn ^= i % 2 ? 1 << 17 : 1;
			rival_map.hpa = HPA(rival_map.gfn);
			rival_at = at;
			map.dirty = true;
			CHECK_EQ(s2_install(&t, &my_cache, &map, &level),
				 came && !(i / 2) ? S2_SAME : S2_UPGRADED);
			if (!came) {
				end();
				break;
			}
			CHECK_EQ(level, 1);
			CHECK(cache_is_zero(&my_cache) && cache_is_zero(&rival_cache));
			split = my_cache.split;
			if (who[i / 2] == rival_installs) {
				CHECK_EQ(rival_level, 1);
				split |= rival_cache.split;
				/* Who split what is known; the lowest level may be split twice. */
				CHECK(!(my_cache.split & rival_cache.split & BIT(large)));
				CHECK(host_walk(&t, rival_map.gfn, true, &w));
				CHECK_EQ(w.hpa, HPA(rival_map.gfn));
			}
			CHECK_EQ(split, large == 3 ? BIT(2) | BIT(3) : BIT(2));
			CHECK(host_walk(&t, GFN, true, &w));
			CHECK_EQ(w.hpa, HPA(GFN));
			CHECK(!host_walk(&t, GFN ^ 2, true, &w));
			CHECK(host_walk(&t, GFN ^ 2, false, &w));
			CHECK_EQ(w.hpa, HPA(GFN ^ 2));
			my_cache.split = 0;
			rival_cache.split = 0;
			end();
			ktap_cases(1);
		}
		my_cache.split = 0;
	}
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(two_installs),
		KTAP_TEST(no_write_is_lost),
		KTAP_TEST(splits),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
