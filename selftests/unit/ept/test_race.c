// SPDX-License-Identifier: GPL-2.0
/*
 * The page-table engine in threads, as in the module: several install at once,
 * CPUs walk without any lock and set their bits, one removes under the write
 * side and frees tables after a flush. Nothing may be lost, doubled, or freed
 * while it is walked.
 */
#include <pthread.h>
#include <stdlib.h>
#include "host.h"
#include "ktap.h"

#define FRAMES		2048u		/* four tables of 4 KiB pages */
#define SHIFT		(5ULL << 18)	/* where a frame lies on the host */
#define INSTALLERS	3
#define CPUS		2

static struct s2_tables t;
static pthread_rwlock_t lock;		/* of the tables: struct keel_s2's */
static pthread_rwlock_t guest;		/* read: in guest mode; write: a flush */
static bool stop;

/* By block of the largest leaf: written by a guest, reported dirty when removed. */
static u8 written[FRAMES / 512], reported[FRAMES / 512];
static long leaves[4], made, freed, installs;
static unsigned int steps;

static void check(bool ok, int line, const char *what)
{
	static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;

	if (ok)
		return;
	pthread_mutex_lock(&m);
	ktap_fail(__FILE__, line, "%s", what);
	pthread_mutex_unlock(&m);
}

#define TCHECK(cond) check(cond, __LINE__, #cond)

static void *installer(void *arg)
{
	u64 rnd = (uintptr_t)arg;
	struct s2_cache cache = { 0 };

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		gfn_t gfn = host_random(&rnd) % FRAMES;
		struct s2_map map = {
			.gfn = gfn, .hpa = (gfn + SHIFT) << 12, .exec = true,
			.level = host_random(&rnd) % 8 ? 1 : 2, .write = host_random(&rnd) & 1,
		};
		enum s2_installed got;
		u8 had, level;

		host_cache_fill(&t, &cache);
		had = cache.nr;
		pthread_rwlock_rdlock(&lock);
		got = s2_install(&t, &cache, &map, &level);
		if (got == S2_NEW)
			__atomic_fetch_add(&leaves[level], 1, __ATOMIC_RELAXED);
		pthread_rwlock_unlock(&lock);
		__atomic_fetch_add(&made, had - cache.nr, __ATOMIC_RELAXED);
		__atomic_fetch_add(&installs, 1, __ATOMIC_RELAXED);
		TCHECK(got != S2_STALE && got != S2_NO_PAGE);
		TCHECK(level == 1 || level == 2);
	}
	host_cache_free(&cache);
	return NULL;
}

static void *cpu(void *arg)
{
	u64 rnd = (uintptr_t)arg;
	unsigned int i;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		pthread_rwlock_rdlock(&guest);
		for (i = 0; i < 200; i++) {
			gfn_t gfn = host_random(&rnd) % FRAMES;
			bool write = host_random(&rnd) % 16 == 0;
			struct host_walk w;

			if (!host_walk(&t, gfn, write, &w))
				continue;
			TCHECK(w.hpa == (gfn + SHIFT) << 12);
			if (write)
				__atomic_store_n(&written[gfn / 512], 1, __ATOMIC_RELAXED);
		}
		pthread_rwlock_unlock(&guest);
	}
	return NULL;
}

static void removed(void *ctx, hpa_t hpa, u8 level, bool dirty)
{
	gfn_t gfn = (hpa >> 12) - SHIFT;

	(void)ctx;
	TCHECK(gfn < FRAMES);
	__atomic_fetch_sub(&leaves[level], 1, __ATOMIC_RELAXED);
	if (dirty && gfn < FRAMES)
		reported[gfn / 512] = 1;
}

static void zap(gfn_t first, gfn_t last, unsigned int budget)
{
	struct s2_zap z = { .leaf = removed };

	pthread_rwlock_wrlock(&lock);
	while (!s2_zap(&t, &first, last, budget, &z)) {
		pthread_rwlock_unlock(&lock);
		pthread_rwlock_wrlock(&lock);
	}
	pthread_rwlock_unlock(&lock);
	/* The flush: every CPU leaves guest mode once. */
	pthread_rwlock_wrlock(&guest);
	pthread_rwlock_unlock(&guest);
	freed += host_free_zapped(&z);
}

static void *remover(void *arg)
{
	u64 rnd = (uintptr_t)arg;
	unsigned int i;

	for (i = 0; i < steps; i++) {
		gfn_t first = host_random(&rnd) % FRAMES;
		gfn_t n = host_random(&rnd) % 4 ? 1 + host_random(&rnd) % 64 : FRAMES;
		unsigned long changed = 0;

		switch (host_random(&rnd) % 4) {
		case 0:
			pthread_rwlock_wrlock(&lock);
			TCHECK(s2_write_protect(&t, &first, first + n, UINT_MAX, &changed));
			pthread_rwlock_unlock(&lock);
			break;
		case 1:
			pthread_rwlock_rdlock(&lock);
			s2_age(&t, first, first + n, true);
			pthread_rwlock_unlock(&lock);
			break;
		default:
			zap(first, first + n, 1 + host_random(&rnd) % 500);
		}
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	return NULL;
}

static void race(u8 levels)
{
	pthread_t threads[INSTALLERS + CPUS + 1];
	unsigned int n = 0, i;
	/* Writers first, as the kernel's queued lock does not starve them. */
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&lock, &attr);
	pthread_rwlock_init(&guest, &attr);
	memset(written, 0, sizeof(written));
	memset(reported, 0, sizeof(reported));
	memset(leaves, 0, sizeof(leaves));
	made = 0;
	freed = 0;
	installs = 0;
	stop = false;
	host_tables_init(&t, &npt_format, levels, 3, 0);

	for (i = 0; i < INSTALLERS; i++, n++)
		pthread_create(&threads[n], NULL, installer, (void *)(uintptr_t)(n + 1));
	for (i = 0; i < CPUS; i++, n++)
		pthread_create(&threads[n], NULL, cpu, (void *)(uintptr_t)(n + 1));
	pthread_create(&threads[n], NULL, remover, (void *)(uintptr_t)(n + 1));
	for (n++; n; n--)
		pthread_join(threads[n - 1], NULL);

	/* Nothing was mapped without being counted, nor counted twice. */
	CHECK_EQ(host_pages, 1 + made - freed);
	zap(0, ~0ULL, 100);
	CHECK_EQ(leaves[1], 0);
	CHECK_EQ(leaves[2], 0);
	CHECK_EQ(made, freed);
	CHECK_EQ(host_pages, 1);
	for (i = 0; i < ARRAY_SIZE(written); i++)
		CHECK(!written[i] || reported[i], "block %u", i);
	CHECK(installs > 1000, "(%ld installs)", installs);
	ktap_cases(installs);
	host_tables_free(&t);
	CHECK_EQ(host_pages, 0);
	pthread_rwlock_destroy(&lock);
	pthread_rwlock_destroy(&guest);
}

static void race_4_levels(void) { race(4); }
static void race_5_levels(void) { race(5); }

/*
 * No lock, no remover: all threads install the same frames at the same moment.
 * Each leaf and each table is made by exactly one of them.
 */
static struct s2_cache same_cache[INSTALLERS];
static long same_new, same_pages;
static pthread_barrier_t same_start;
#define SAME_ROUNDS 300

static void *same(void *arg)
{
	struct s2_cache *cache = arg;
	unsigned int round;

	for (round = 0; round < SAME_ROUNDS; round++) {
		/* Each round is in tables of its own from level 3 down. */
		gfn_t gfn = (gfn_t)round << 18;
		struct s2_map map = {
			.gfn = gfn, .hpa = (gfn + SHIFT) << 12, .level = 1, .write = true,
		};
		u8 level, had;

		host_cache_fill(&t, cache);
		had = cache->nr;
		pthread_barrier_wait(&same_start);
		switch (s2_install(&t, cache, &map, &level)) {
		case S2_NEW:
			__atomic_fetch_add(&same_new, 1, __ATOMIC_RELAXED);
			break;
		case S2_SAME:
			break;
		default:
			TCHECK(!"NEW or SAME");
		}
		TCHECK(level == 1);
		__atomic_fetch_add(&same_pages, had - cache->nr, __ATOMIC_RELAXED);
	}
	host_cache_free(cache);
	return NULL;
}

static void one_winner(void)
{
	pthread_t threads[INSTALLERS];
	unsigned int i;

	same_new = 0;
	same_pages = 0;
	host_tables_init(&t, &npt_format, 4, 3, 0);
	pthread_barrier_init(&same_start, NULL, INSTALLERS);
	for (i = 0; i < INSTALLERS; i++)
		pthread_create(&threads[i], NULL, same, &same_cache[i]);
	for (i = 0; i < INSTALLERS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&same_start);
	CHECK_EQ(same_new, SAME_ROUNDS);
	/* Two tables a round, and the first one's of level 3. */
	CHECK_EQ(same_pages, 2 * SAME_ROUNDS + 1);
	CHECK_EQ(host_pages, same_pages + 1);
	ktap_cases(SAME_ROUNDS);
	CHECK_EQ(host_tables_free(&t), same_pages + 1);
	CHECK_EQ(host_pages, 0);
}

/* test_race [STEPS] */
int main(int argc, char **argv)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(race_4_levels),
		KTAP_TEST(race_5_levels),
		KTAP_TEST(one_winner),
	};

	steps = argc > 1 ? strtoul(argv[1], NULL, 0) : 800;
	return ktap_main(tests, ARRAY_SIZE(tests));
}
