// SPDX-License-Identifier: GPL-2.0
/*
 * The page-table engine against a flat array of frames: random installs, zaps,
 * protections, ageing and guest accesses, each result predicted from the array
 * alone, in which a large page is only frames side by side.
 */
#include <stdlib.h>
#include "host.h"
#include "ktap.h"

/* The frames that a run uses: windows of 2 GiB at the edges of tables. */
#define WINDOW		(2ULL << 18)
#define WINDOWS		3

struct frame {
	u8 level;		/* of the leaf that maps it, 0: none */
	bool write, exec, host_write;
	bool accessed, dirty;
	u8 place;		/* which of two host ranges is behind it */
};

static struct frame model[WINDOWS][WINDOW];
static gfn_t window_at[WINDOWS];
static struct s2_tables t;
static struct s2_cache cache;
static u64 rnd;

/* Frames that are mapped in each aligned block of 2 MiB and 1 GiB. */
static unsigned int mapped_2m[WINDOWS][WINDOW >> 9], mapped_1g[WINDOWS][WINDOW >> 18];

static u64 pick(u64 n)
{
	return host_random(&rnd) % n;
}

static u64 frames_of(u8 level)
{
	return 1ULL << (9 * (level - 1));
}

static struct frame *frame(unsigned int w, gfn_t gfn)
{
	return &model[w][gfn - window_at[w]];
}

/* Each window has two ranges on the host, where a page of any size may lie. */
static hfn_t host_frame(unsigned int w, gfn_t gfn, u8 place)
{
	return (gfn - window_at[w]) + (w * 2 + place + 1) * WINDOW;
}

static void set_leaf(unsigned int w, gfn_t gfn, const struct frame *f, u8 level)
{
	u64 n = frames_of(level), i;
	gfn_t first = gfn & ~(n - 1);

	for (i = 0; i < n; i++) {
		u64 at = first + i - window_at[w];

		if (!model[w][at].level != !f->level) {
			int d = f->level ? 1 : -1;

			mapped_2m[w][at >> 9] += d;
			mapped_1g[w][at >> 18] += d;
		}
		model[w][at] = *f;
	}
}

/* Pages in tables: the root and every table that has something below it. */
static unsigned long model_tables(void)
{
	gfn_t upper[2 * WINDOWS * 4];
	unsigned long n = 1;
	unsigned int w, nr = 0, i, j;
	u64 at;

	for (w = 0; w < WINDOWS; w++) {
		for (at = 0; at < WINDOW >> 9; at++)
			if (mapped_2m[w][at] && model[w][at << 9].level != 2 &&
			    model[w][at << 9].level != 3)
				n++;
		for (at = 0; at < WINDOW >> 18; at++) {
			gfn_t gfn = window_at[w] + (at << 18);
			u8 level;

			if (!mapped_1g[w][at])
				continue;
			if (model[w][at << 18].level != 3)
				n++;
			/* The tables above level 2, each once. */
			for (level = 3; level < t.levels; level++)
				upper[nr++] = (gfn >> (9 * level)) << 3 | level;
		}
	}
	for (i = 0; i < nr; i++) {
		for (j = 0; j < i && upper[j] != upper[i]; j++)
			;
		n += j == i;
	}
	return n;
}

static u64 pick_level(void)
{
	static const u8 levels[] = { 1, 1, 1, 1, 2, 2, 2, 3 };

	return levels[pick(ARRAY_SIZE(levels))];
}

/* Mostly from a few places, so that operations meet. */
static gfn_t pick_gfn(unsigned int w)
{
	u64 at = pick(4) ? pick(2) << 18 | pick(3) << 9 | pick(512) : pick(WINDOW);

	return window_at[w] + at;
}

static void do_install(unsigned int w)
{
	gfn_t gfn = pick_gfn(w);
	struct frame *f = frame(w, gfn), new;
	u8 place = !pick(50);
	struct s2_map map = {
		.gfn = gfn, .hpa = host_frame(w, gfn, place) << 12, .level = pick_level(),
		.write = pick(2), .exec = pick(4), .dirty = false,
	};
	u8 level, want = min(map.level, t.max_leaf), had;
	enum s2_installed got;
	u64 at = gfn - window_at[w];

	map.dirty = map.write && pick(2);
	host_cache_fill(&t, &cache);
	had = cache.nr;
	got = s2_install(&t, &cache, &map, &level);
	new = (struct frame) {
		.write = map.write, .exec = map.exec, .host_write = map.write,
		.accessed = true, .dirty = map.dirty, .place = place,
	};
	if (!f->level) {
		if (want == 3 && mapped_1g[w][at >> 18])
			want = 2;
		if (want == 2 && mapped_2m[w][at >> 9])
			want = 1;
		CHECK_EQ(got, S2_NEW);
		CHECK_EQ(level, want);
		new.level = want;
		set_leaf(w, gfn, &new, want);
		return;
	}
	CHECK_EQ(cache.nr, had);
	CHECK_EQ(level, f->level);
	if (f->place != place) {
		CHECK_EQ(got, S2_STALE);
	} else if ((map.write && !f->write) || (map.exec && !f->exec)) {
		CHECK_EQ(got, S2_UPGRADED);
		new = *f;
		new.write |= map.write;
		new.host_write |= map.write;
		new.exec |= map.exec;
		new.dirty |= map.dirty;
		new.accessed = true;
		set_leaf(w, gfn, &new, f->level);
	} else {
		CHECK_EQ(got, S2_SAME);
	}
}

/* A range that begins in the window; its last frame is in it too. */
static void pick_range(unsigned int w, gfn_t *first, gfn_t *last)
{
	static const u64 sizes[] = { 1, 1, 1, 5, 512, 700, 2000, 1 << 18, 1 << 19 };
	u64 n = sizes[pick(ARRAY_SIZE(sizes))];

	*first = pick_gfn(w);
	if (!pick(3))
		*first &= ~511ULL;
	*last = min(*first + n, window_at[w] + WINDOW) - 1;
}

static struct { unsigned int w; unsigned long n; } zapping;

static void zapped(void *ctx, hpa_t hpa, u8 level, bool dirty)
{
	unsigned int w = zapping.w;
	struct frame none = { 0 };
	struct frame *f;
	gfn_t gfn;

	(void)ctx;
	zapping.n++;
	gfn = window_at[w] + (hpa >> 12) % WINDOW;
	f = frame(w, gfn);
	CHECK_EQ(f->level, level);
	CHECK_EQ(f->dirty, dirty);
	CHECK_EQ(host_frame(w, gfn, f->place), hpa >> 12);
	set_leaf(w, gfn, &none, level);
}

static void do_zap(unsigned int w)
{
	struct s2_zap z = { .leaf = zapped };
	unsigned int budget = pick(2) ? UINT_MAX : 1 + pick(300);
	unsigned long want = 0;
	gfn_t first, last, gfn;

	pick_range(w, &first, &last);
	for (gfn = first; gfn <= last; gfn++) {
		struct frame *f = frame(w, gfn);

		/* Each leaf once: at its first frame, or the range's. */
		if (f->level && (gfn == first || !(gfn & (frames_of(f->level) - 1))))
			want++;
	}
	zapping.w = w;
	zapping.n = 0;
	gfn = first;
	while (!s2_zap(&t, &gfn, last, budget, &z))
		CHECK(gfn > first && gfn <= last);
	CHECK_EQ(z.removed, zapping.n);
	CHECK_EQ(z.removed, want);
	for (gfn = first; gfn <= last; gfn++)
		if (!CHECK(!frame(w, gfn)->level, "(frame %#llx)", (unsigned long long)gfn))
			break;
	host_free_zapped(&z);
}

static void do_protect(unsigned int w)
{
	unsigned int budget = pick(2) ? UINT_MAX : 1 + pick(300);
	unsigned long changed = 0, want = 0;
	gfn_t first, last, gfn;

	pick_range(w, &first, &last);
	for (gfn = first; gfn <= last; gfn++) {
		struct frame f = *frame(w, gfn);

		if (!f.level || !f.write)
			continue;
		want++;
		f.write = false;
		set_leaf(w, gfn, &f, f.level);
	}
	while (!s2_write_protect(&t, &first, last, budget, &changed))
		;
	CHECK_EQ(changed, want);
}

static void do_age(unsigned int w)
{
	bool clear = pick(2), young = false;
	gfn_t first, last, gfn;

	pick_range(w, &first, &last);
	for (gfn = first; gfn <= last; gfn++) {
		struct frame f = *frame(w, gfn);

		if (!f.level || !f.accessed)
			continue;
		young = true;
		if (!clear)
			break;
		f.accessed = false;
		set_leaf(w, gfn, &f, f.level);
	}
	CHECK_EQ(s2_age(&t, first, last, clear), young);
}

static void do_access(unsigned int w)
{
	gfn_t gfn = pick_gfn(w);
	struct frame f = *frame(w, gfn);
	struct host_walk walk;
	bool write = pick(2);

	if (!CHECK_EQ(host_walk(&t, gfn, write, &walk), f.level && (!write || f.write)))
		return;
	if (!f.level || (write && !f.write))
		return;
	CHECK_EQ(walk.hpa, host_frame(w, gfn, f.place) << 12);
	CHECK_EQ(walk.level, f.level);
	CHECK_EQ(walk.write, f.write);
	CHECK_EQ(walk.exec, f.exec);
	f.accessed = true;
	f.dirty |= write;
	set_leaf(w, gfn, &f, f.level);
}

/* All leaves, bit by bit, and how many pages the tables take. */
static void compare(void)
{
	const struct s2_format *fmt = t.format;
	struct s2_path path;
	gfn_t gfn = 0, next;
	unsigned int w, budget;
	u64 found = 0, want = 0, at;

	for (;;) {
		budget = 700;
		next = gfn;
		if (!s2_next(&t, &next, ~0ULL, &budget, &path)) {
			if (budget)
				break;
			gfn = next;
			continue;
		}
		for (w = 0; w < WINDOWS && next - window_at[w] >= WINDOW; w++)
			;
		if (CHECK(w < WINDOWS, "(a leaf at %#llx)", (unsigned long long)next)) {
			struct frame *f = frame(w, next);
			u64 v = path.value;

			CHECK_EQ(path.level, f->level);
			CHECK_EQ(!!(v & fmt->write), f->write);
			CHECK_EQ(fmt->exec ? !!(v & fmt->exec) : !(v & fmt->noexec), f->exec);
			CHECK_EQ(!!(v & fmt->host_write), f->host_write);
			CHECK_EQ(!!(v & fmt->accessed), f->accessed);
			CHECK_EQ(!!(v & fmt->dirty), f->dirty);
			CHECK_EQ(v & fmt->memtype, fmt->memtype_wb);
		}
		found += frames_of(path.level);
		gfn = (next | (frames_of(path.level) - 1)) + 1;
	}
	for (w = 0; w < WINDOWS; w++)
		for (at = 0; at < WINDOW >> 18; at++)
			want += mapped_1g[w][at];
	CHECK_EQ(found, want);
	CHECK_EQ(host_pages - cache.nr, model_tables());
}

static void run(const struct s2_format *f, u8 levels, u8 max_leaf, u64 enc, unsigned int ops)
{
	gfn_t limit = levels == 4 ? BIT_ULL(36) : BIT_ULL(45);
	unsigned int i;

	memset(model, 0, sizeof(model));
	memset(mapped_2m, 0, sizeof(mapped_2m));
	memset(mapped_1g, 0, sizeof(mapped_1g));
	host_tables_init(&t, f, levels, max_leaf, enc);
	window_at[0] = 0;
	/* Across the end of a table of level 3; in 5 levels of one of level 4. */
	window_at[1] = (levels == 4 ? BIT_ULL(27) : BIT_ULL(36)) - (1 << 18);
	window_at[2] = limit - WINDOW;
	for (i = 0; i < ops; i++) {
		unsigned int w = pick(WINDOWS), what = pick(100);

		if (what < 60)
			do_install(w);
		else if (what < 70)
			do_zap(w);
		else if (what < 74)
			do_protect(w);
		else if (what < 78)
			do_age(w);
		else
			do_access(w);
		if (i % 500 == 0)
			compare();
		/* Sometimes from the start. */
		if (!pick(2000)) {
			struct s2_zap z = { .leaf = zapped };

			for (w = 0; w < WINDOWS; w++) {
				gfn_t gfn = window_at[w];

				zapping.w = w;
				CHECK(s2_zap(&t, &gfn, gfn + WINDOW - 1, UINT_MAX, &z));
			}
			host_free_zapped(&z);
			CHECK_EQ(host_pages, 1 + cache.nr);
		}
		if (ktap_failed)
			break;
	}
	compare();
	ktap_cases(i);
	host_tables_free(&t);
	host_cache_free(&cache);
	CHECK_EQ(host_pages, 0);
}

static unsigned int ops = 6000;

static void npt_4_levels(void) { run(&npt_format, 4, 3, 0, ops); }
static void npt_5_levels(void) { run(&npt_format, 5, 3, BIT_ULL(51), ops); }
static void npt_no_1g(void) { run(&npt_format, 4, 2, BIT_ULL(47), ops); }
static void npt_4k_only(void) { run(&npt_format, 4, 1, 0, ops); }
static void rwx_4_levels(void) { run(&rwx_format, 4, 3, 0, ops); }
static void rwx_5_levels(void) { run(&rwx_format, 5, 3, 0, ops); }

/* test_model [SEED [OPERATIONS]] */
int main(int argc, char **argv)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(npt_4_levels),
		KTAP_TEST(npt_5_levels),
		KTAP_TEST(npt_no_1g),
		KTAP_TEST(npt_4k_only),
		KTAP_TEST(rwx_4_levels),
		KTAP_TEST(rwx_5_levels),
	};

	rnd = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	if (argc > 2)
		ops = strtoul(argv[2], NULL, 0);
	printf("# seed %llu\n", (unsigned long long)rnd);
	return ktap_main(tests, ARRAY_SIZE(tests));
}
