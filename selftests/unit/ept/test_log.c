// SPDX-License-Identifier: GPL-2.0
/*
 * The log of writes: what leaves permit where writes are logged, how large ones
 * are split, and what a round takes; at the end in threads, where CPUs write
 * through what their TLBs hold while rounds are copied, as a live migration
 * does: the copy is the memory.
 */
#include <pthread.h>
#include <stdlib.h>
#include "host.h"
#include "ktap.h"

static struct s2_tables t;
static struct s2_cache cache;
static unsigned int told;

static void tell(void *ctx, hpa_t hpa)
{
	CHECK(ctx == &told && !(hpa & 0xfff));
	told++;
}

static void begin(const struct s2_format *f, bool hw_log)
{
	host_tables_init(&t, f, 4, 3, 0);
	t.hw_log = hw_log;
	told = 0;
}

static void end(void)
{
	host_tables_free(&t);
	host_cache_free(&cache);
	cache.split = 0;
	CHECK_EQ(host_pages, 0);
}

static enum s2_installed put(gfn_t gfn, u8 level, bool dirty, bool logged, u8 *got)
{
	struct s2_map map = {
		.gfn = gfn, .hpa = (gfn + (1ULL << 18)) << 12, .level = level, .write = true,
		.exec = true, .dirty = dirty, .logged = logged,
	};

	host_cache_fill(&t, &cache);
	return s2_install(&t, &cache, &map, got);
}

static u64 leaf(gfn_t gfn)
{
	struct host_walk w = { 0 };

	if (!host_walk(&t, gfn, false, &w)) {
		CHECK(false, "frame %llx", (unsigned long long)gfn);
		return 0;
	}
	CHECK_EQ(w.hpa, (gfn + (1ULL << 18)) << 12);
	return *w.entry;
}

static unsigned long relog(gfn_t first, gfn_t last)
{
	struct s2_relog r = { .dirty = tell, .ctx = &told };

	while (!s2_relog(&t, &first, last, 7, &r))
		;
	return r.changed;
}

#define W(f)	((f)->write)
#define D(f)	((f)->dirty)

/* What a fresh leaf permits. */
static void permissions(void)
{
	static const struct s2_format *const formats[] = { &npt_format, &ept_format };
	unsigned int i;

	for (i = 0; i < 4; i++) {
		const struct s2_format *f = formats[i % 2];
		bool hw = i / 2;
		unsigned long changed = 0;
		u64 wd = W(f) | D(f);
		gfn_t gfn;
		u8 level;

		begin(f, hw);
		/* Read: as large as it gets, and no write. */
		CHECK_EQ(put(0x200, 2, false, true, &level), S2_NEW);
		CHECK_EQ(level, 2);
		CHECK_EQ(leaf(0x3ff) & (wd | f->host_write), f->host_write);
		/* Nor does it come later by a read. */
		CHECK_EQ(put(0x201, 2, false, true, &level), S2_SAME);
		CHECK_EQ(leaf(0x201) & W(f), 0);
		/* A small one that is read: where the CPU tells, it may be written. */
		CHECK_EQ(put(1, 1, false, true, &level), S2_NEW);
		CHECK_EQ(leaf(1) & wd, hw ? W(f) : 0);
		/* Written: small, and known. */
		CHECK_EQ(put(0x40000, 3, true, true, &level), S2_NEW);
		CHECK_EQ(level, 1);
		CHECK_EQ(leaf(0x40000) & wd, wd);
		CHECK_EQ(cache.split, 0);
		/* Without a log nothing of that. */
		CHECK_EQ(put(0x80000, 3, true, false, &level), S2_NEW);
		CHECK_EQ(level, 3);
		CHECK_EQ(leaf(0xbffff) & wd, wd);
		/* A dirty leaf that lost its permission gets it by a write alone. */
		end();
		begin(f, hw);
		CHECK_EQ(put(5, 1, true, false, &level), S2_NEW);
		gfn = 5;
		CHECK(s2_write_protect(&t, &gfn, 5, 100, &changed));
		CHECK_EQ(put(5, 1, false, true, &level), S2_SAME);
		CHECK_EQ(leaf(5) & wd, D(f));
		CHECK_EQ(put(5, 1, true, true, &level), S2_UPGRADED);
		CHECK_EQ(leaf(5) & wd, wd);
		end();
		ktap_cases(1);
	}
}

/* 1 GiB to 4 KiB in one write: what was there stays, nothing else may be written unseen. */
static void split(void)
{
	static const struct s2_format *const formats[] = { &npt_format, &ept_format };
	const struct s2_map map = {
		.gfn = 0x40203, .hpa = 0x80203000, .level = 3, .write = true, .exec = true,
		.dirty = true, .logged = true,
	};
	unsigned int i;
	gfn_t gfn;
	u8 level;

	for (i = 0; i < 4; i++) {
		const struct s2_format *f = formats[i % 2];
		bool hw = i / 2;

		begin(f, hw);
		CHECK_EQ(put(0x40000, 3, false, true, &level), S2_NEW);
		CHECK_EQ(level, 3);
		host_cache_free(&cache);
		CHECK_EQ(s2_install(&t, &cache, &map, &level), S2_NO_PAGE);
		CHECK_EQ(leaf(0x40203) & W(f), 0);
		/* Where the CPU tells, the write itself sets the dirty bit. */
		CHECK_EQ(put(0x40203, 3, true, true, &level), hw ? S2_SAME : S2_UPGRADED);
		CHECK_EQ(level, 1);
		CHECK_EQ(cache.split, BIT(2) | BIT(3));
		CHECK_EQ(cache.nr, 1);
		CHECK_EQ(leaf(0x40203) & (W(f) | D(f)), W(f) | (hw ? 0 : D(f)));
		for (gfn = 0x40000; gfn < 0x40800; gfn++) {
			struct host_walk w = { 0 };

			if (gfn == 0x40203)
				continue;
			leaf(gfn);
			CHECK(host_walk(&t, gfn, false, &w));
			CHECK_EQ(w.level, gfn >> 9 == 0x40203 >> 9 ? 1 : 2);
			CHECK(w.exec);
			/* Where the CPU tells, the small ones are clean and may be written. */
			CHECK_EQ(*w.entry & W(f), hw && w.level == 1 ? W(f) : 0);
			CHECK_EQ(*w.entry & D(f), 0);
			CHECK(*w.entry & f->host_write);
			CHECK_EQ(host_walk(&t, gfn, true, &w), hw && w.level == 1);
		}
		leaf(0x7ffff);
		CHECK_EQ(put(0x40204, 3, true, true, &level), hw ? S2_SAME : S2_UPGRADED);
		end();
		ktap_cases(1);
	}
}

static void relogging(void)
{
	static const struct s2_format *const formats[] = { &npt_format, &ept_format };
	unsigned int i;
	u8 level;

	for (i = 0; i < 4; i++) {
		const struct s2_format *f = formats[i % 2];
		u64 wd = W(f) | D(f);
		bool hw = i / 2;

		begin(f, hw);
		put(1, 1, true, false, &level);
		put(2, 1, false, false, &level);
		put(0x400, 2, true, false, &level);
		put(0x40000, 3, false, false, &level);
		/* The write permission, or the dirty bits and that of large leaves. */
		CHECK_EQ(relog(0, 0x7ffff), hw ? 3 : 4);
		CHECK_EQ(told, hw ? 2 : 0);
		CHECK_EQ(leaf(1) & wd, hw ? W(f) : D(f));
		CHECK_EQ(leaf(2) & wd, hw ? W(f) : 0);
		CHECK_EQ(leaf(0x400) & wd, hw ? 0 : D(f));
		CHECK_EQ(leaf(0x40000) & wd, 0);
		CHECK_EQ(relog(0, ~0ULL), 0);
		/* Not beyond its range. */
		CHECK_EQ(put(2, 1, true, true, &level), hw ? S2_SAME : S2_UPGRADED);
		CHECK_EQ(put(3, 1, true, true, &level), S2_NEW);
		CHECK_EQ(relog(3, 3), 1);
		CHECK_EQ(leaf(2) & W(f), W(f));
		end();
		ktap_cases(1);
	}
}

/* Any part of any log against an array of bits; the bitmap is no byte too large. */
static void collecting(void)
{
	u64 rnd = 1;
	unsigned int i;

	for (i = 0; i < 2000; i++) {
		u64 n = 1 + host_random(&rnd) % 300, at, first, last, want = 0;
		unsigned long *log = calloc((n + 63) / 64, 8), *out;
		bool *model = calloc(n, 1);
		struct s2_collect c;
		struct s2_relog r = { 0 };
		u64 density = 1 + host_random(&rnd) % 8;
		unsigned int steps = 0;

		for (at = 0; at < n; at++) {
			model[at] = host_random(&rnd) % density == 0;
			if (model[at])
				set_bit((long)at, log);
		}
		first = host_random(&rnd) % n;
		last = first + host_random(&rnd) % (n - first);
		out = calloc((last - first + 64) / 64, 8);
		c = (struct s2_collect) {
			.log = log, .base = 0x12345, .first = first, .next = first,
			.last = last, .out = out,
		};
		begin(&npt_format, false);
		while (!s2_collect(&t, &c, 1 + host_random(&rnd) % 3, &r))
			steps++;
		CHECK(steps <= 5);
		for (at = 0; at < n; at++) {
			bool in = at >= first && at <= last;

			want += in && model[at];
			CHECK_EQ(test_bit((long)at, log), !in && model[at]);
			if (in)
				CHECK_EQ(test_bit((long)(at - first), out), model[at]);
		}
		for (at = last - first + 1; at % 64; at++)
			CHECK(!test_bit((long)at, out));
		CHECK_EQ(c.count, want);
		end();
		free(log);
		free(out);
		free(model);
		ktap_cases(1);
	}
}

/* ---- threads ------------------------------------------------------------------------- */

#define FRAMES	1536u
#define BASE	0x600u			/* frame of page 0; large pages on both sides */
#define SHIFT	(5ULL << 18)
#define CPUS	2

static pthread_rwlock_t lock;		/* of the tables: struct keel_s2's */
static pthread_rwlock_t guest;		/* read: in guest mode; write: everybody has left it */
static unsigned long dirty_log[FRAMES / 64];
static u64 memory[FRAMES], copy[FRAMES];
static bool stop;
static unsigned int rounds;
static long host_marks;

static void fault(struct s2_cache *c, u64 *rnd, u64 page, bool write)
{
	gfn_t gfn = BASE + page;
	struct s2_map map = {
		.gfn = gfn, .hpa = (gfn + SHIFT) << 12, .exec = true, .logged = true,
		.level = 1 + host_random(rnd) % 3, .write = write || host_random(rnd) % 2,
		.dirty = write,
	};
	u8 level;

	host_cache_fill(&t, c);
	pthread_rwlock_rdlock(&lock);
	s2_install(&t, c, &map, &level);
	if (write)
		set_bit((long)page, dirty_log);
	pthread_rwlock_unlock(&lock);
}

/*
 * One stay in guest mode: a page that was walked for a write is written through
 * the TLB from then on. The CPU's own log is emptied on the way out.
 */
static u64 stay(u64 *rnd, u64 serial, bool *write, bool *faulted)
{
	static __thread bool tlb[FRAMES];
	u64 own[64], page = 0;
	unsigned int i, nr = 0;

	*faulted = false;
	memset(tlb, 0, sizeof(tlb));
	pthread_rwlock_rdlock(&guest);
	for (i = 0; i < 40 && nr < ARRAY_SIZE(own); i++) {
		struct host_walk w;

		page = host_random(rnd) % 3 ? host_random(rnd) % 64 : host_random(rnd) % FRAMES;
		*write = host_random(rnd) % 2;
		if (!tlb[page] || !*write) {
			*faulted = !host_walk(&t, BASE + page, *write, &w);
			if (*faulted)
				break;
			if (*write && w.dirtied && t.hw_log)
				own[nr++] = page;
			tlb[page] |= *write;
		}
		if (*write)
			__atomic_store_n(&memory[page], serial + i, __ATOMIC_SEQ_CST);
	}
	while (nr)
		set_bit((long)own[--nr], dirty_log);
	pthread_rwlock_unlock(&guest);
	return page;
}

static void *cpu(void *arg)
{
	u64 rnd = (uintptr_t)arg, serial = (uintptr_t)arg << 48, page;
	struct s2_cache c = { 0 };
	bool write, faulted;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		page = stay(&rnd, serial += 64, &write, &faulted);
		if (faulted)
			fault(&c, &rnd, page, write);
	}
	host_cache_free(&c);
	return NULL;
}

static void everybody_out(void)
{
	pthread_rwlock_wrlock(&guest);
	pthread_rwlock_unlock(&guest);
}

static void mark(void *ctx, hpa_t hpa)
{
	(void)ctx;
	(void)hpa;
	host_marks++;
}

/*
 * With everybody out, and so every CPU's own log empty: a leaf that would let a
 * write pass unseen has its bit set.
 */
static void nothing_unseen(void)
{
	u64 seen = t.hw_log ? t.format->dirty : t.format->write, i;
	unsigned int budget, bad = 0;
	struct s2_path path;

	pthread_rwlock_wrlock(&guest);
	pthread_rwlock_wrlock(&lock);
	for (i = 0; i < FRAMES; i++) {
		gfn_t gfn = BASE + i;

		budget = 1000;
		if (!s2_next(&t, &gfn, gfn, &budget, &path))
			continue;
		if (path.level > 1 ? path.value & t.format->write :
				     (path.value & t.format->write) && (path.value & seen) &&
				     !test_bit((long)i, dirty_log))
			bad++;
	}
	pthread_rwlock_unlock(&lock);
	pthread_rwlock_unlock(&guest);
	CHECK_EQ(bad, 0);
}

static void one_round(void)
{
	unsigned long out[FRAMES / 64] = { 0 };
	struct s2_relog r = { .dirty = mark };
	struct s2_collect c = {
		.log = dirty_log, .base = BASE, .last = FRAMES - 1, .out = out,
	};
	u64 i;

	if (t.hw_log)
		everybody_out();
	pthread_rwlock_wrlock(&lock);
	while (!s2_collect(&t, &c, 3, &r)) {
		pthread_rwlock_unlock(&lock);
		pthread_rwlock_wrlock(&lock);
	}
	pthread_rwlock_unlock(&lock);
	if (r.changed)
		everybody_out();
	for (i = 0; i < FRAMES; i++)
		if (test_bit((long)i, out))
			copy[i] = __atomic_load_n(&memory[i], __ATOMIC_SEQ_CST);
}

static void zap_some(u64 *rnd)
{
	gfn_t first = BASE + host_random(rnd) % FRAMES, last = first + host_random(rnd) % 600;
	struct s2_zap z = { 0 };

	pthread_rwlock_wrlock(&lock);
	while (!s2_zap(&t, &first, last, 100, &z))
		;
	pthread_rwlock_unlock(&lock);
	everybody_out();
	host_free_zapped(&z);
}

static void migrate(const struct s2_format *f, bool hw_log)
{
	pthread_rwlockattr_t attr;
	pthread_t threads[CPUS];
	unsigned int i, bad = 0;
	u64 rnd = 99;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&lock, &attr);
	pthread_rwlock_init(&guest, &attr);
	memset(dirty_log, 0, sizeof(dirty_log));
	memset(memory, 0, sizeof(memory));
	memset(copy, 0, sizeof(copy));
	stop = false;
	begin(f, hw_log);
	for (i = 0; i < CPUS; i++)
		pthread_create(&threads[i], NULL, cpu, (void *)(uintptr_t)(i + 1));
	for (i = 0; i < rounds; i++) {
		one_round();
		if (i % 8 == 7)
			zap_some(&rnd);
		if (i % 8 == 3)
			nothing_unseen();
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < CPUS; i++)
		pthread_join(threads[i], NULL);
	one_round();
	for (i = 0; i < FRAMES; i++)
		if (copy[i] != memory[i] && ++bad <= 3)
			CHECK(false, "page %u: %llx, not %llx", i, (unsigned long long)copy[i],
			      (unsigned long long)memory[i]);
	ktap_cases(rounds);
	host_tables_free(&t);
	CHECK_EQ(host_pages, 0);
	pthread_rwlock_destroy(&lock);
	pthread_rwlock_destroy(&guest);
}

static void migration_npt(void) { migrate(&npt_format, false); }
static void migration_ept(void) { migrate(&ept_format, false); }
static void migration_pml(void)
{
	host_marks = 0;
	migrate(&ept_format, true);
	/* The host heard of each dirty bit that was taken away. */
	CHECK(host_marks > 0);
}

/* test_log [ROUNDS] */
int main(int argc, char **argv)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(permissions),
		KTAP_TEST(split),
		KTAP_TEST(relogging),
		KTAP_TEST(collecting),
		KTAP_TEST(migration_npt),
		KTAP_TEST(migration_ept),
		KTAP_TEST(migration_pml),
	};

	rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 1500;
	return ktap_main(tests, ARRAY_SIZE(tests));
}
