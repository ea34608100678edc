// SPDX-License-Identifier: GPL-2.0
/*
 * The log of written pages: it has what was written, by whom ever for the guest,
 * and nothing else; and whoever copies what it reports, round by round while the
 * guest goes on, ends with the guest's memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "libkeel.h"

#define PAGE		4096ULL
#define AREA		0x10000000ULL		/* the logged slot */
#define PAGES		2048ULL			/* four large pages */
#define LEN		(PAGES * PAGE)
#define LOG		KEEL_MEM_LOG_DIRTY

#define MADV_COLLAPSE_	25			/* newer than this libc */

static u64 bitmap[PAGES / 64];
static u8 *area;

static bool is_set(const u64 *map, u64 page)
{
	return map[page / 64] >> (page % 64) & 1;
}

static int get_range(struct vm *vm, u64 gpa, u64 len, u64 *map, u64 *count)
{
	struct keel_dirty_get arg = {
		.gpa = gpa, .len = len, .bitmap = (unsigned long)map,
		.bitmap_size = (len / PAGE + 63) / 64 * 8,
	};
	int ret = kcall_sized(vm->fd, KEEL_DIRTY_GET, &arg);

	*count = arg.count;
	return ret;
}

/* The whole area into @bitmap; how many. */
static u64 get(struct vm *vm)
{
	u64 count, i, n = 0;

	REQUIRE_EQ(get_range(vm, AREA, LEN, bitmap, &count), 0);
	for (i = 0; i < PAGES; i++)
		n += is_set(bitmap, i);
	CHECK_EQ(n, count);
	return n;
}

/* The pages that a round has to report, and those that it may. */
enum { NO, MUST, MAY };
static u8 want[PAGES];

static void want_pages(const u64 *pages, unsigned int nr, u8 how)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		want[pages[i]] = how;
}

/* And is forgotten for the next round. */
static void round_is_wanted(struct vm *vm, const char *what)
{
	unsigned int bad = 0;
	u64 i;

	get(vm);
	for (i = 0; i < PAGES; i++) {
		bool must = want[i] == MUST;

		if (want[i] == MAY || is_set(bitmap, i) == must)
			continue;
		if (++bad <= 5)
			CHECK(false, "%s: page %llu is %s", what, i,
			      want[i] ? "missing" : "reported");
	}
	memset(want, 0, sizeof(want));
	CHECK_EQ(get(vm), 0);
}

static struct vm *with_area(u32 flags)
{
	struct keel_policy policy = {
		.msr = KEEL_POLICY_FAULT, .pio = KEEL_POLICY_EXIT, .mmio = KEEL_POLICY_ZERO,
	};
	struct vm *vm = vm_new(VM_DIRTY_LOG);

	area = pages(LEN);
	vcpu_new(vm, 0);
	REQUIRE_EQ(kcall_sized(vm->fd, KEEL_POLICY_SET, &policy), 0);
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, flags, AREA, LEN, area), 0);
	return vm;
}

static void touch(struct vm *vm, const u64 *pages, unsigned int nr, u64 value)
{
	u64 *list = (u64 *)(vm->ram + GUEST_SCRATCH);
	unsigned int i;

	for (i = 0; i < nr; i++)
		list[i] = AREA + pages[i] * PAGE + value % 512 * 8;
	GUEST_CALL(&vm->vcpu[0], touch, nr, value);
	want_pages(pages, nr, MUST);
}

/* Around the edges of large pages, alone and in rows. */
static const u64 some[] = {
	0, 1, 63, 64, 65, 127, 500, 510, 511, 512, 513, 1023, 1024, 1500, 2047
};

static const u64 others[] = { 2, 64, 511, 1022, 1025, 2046 };

static void exact(struct vm *vm)
{
	CHECK_EQ(get(vm), 0);
	touch(vm, some, ARRAY_SIZE(some), 1);
	round_is_wanted(vm, "first");
	touch(vm, some, ARRAY_SIZE(some), 2);
	round_is_wanted(vm, "again");
	touch(vm, others, ARRAY_SIZE(others), 3);
	round_is_wanted(vm, "others");
	GUEST_CALL(&vm->vcpu[0], look, AREA, AREA + LEN);
	round_is_wanted(vm, "reads");
	touch(vm, others, ARRAY_SIZE(others), 4);
	touch(vm, some, ARRAY_SIZE(some), 5);
	round_is_wanted(vm, "together");
}

TEST(what_was_written)
{
	struct vm *vm = with_area(LOG);

	exact(vm);
	vm_free(vm);
}

TEST(what_was_read_before)
{
	struct vm *vm = with_area(LOG);

	GUEST_CALL(&vm->vcpu[0], look, AREA, AREA + LEN);
	exact(vm);
	vm_free(vm);
}

/* The log begins when the guest has the area with all permissions. */
TEST(on_and_off_a_live_slot)
{
	struct vm *vm = with_area(0);
	u64 count;
	int i;

	CHECK_EQ(get_range(vm, AREA, LEN, bitmap, &count), -ENODATA);
	GUEST_CALL(&vm->vcpu[0], stripe, AREA, AREA + LEN, 1ULL);
	for (i = 0; i < 2; i++) {
		REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, LOG, AREA, LEN, NULL), 0);
		exact(vm);
		touch(vm, some, ARRAY_SIZE(some), 6);
		/* What is there stays when it is switched on once more. */
		REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, LOG, AREA, LEN, NULL), 0);
		round_is_wanted(vm, "kept");
		touch(vm, some, ARRAY_SIZE(some), 7);
		REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, 0, AREA, LEN, NULL), 0);
		memset(want, 0, sizeof(want));
		CHECK_EQ(get_range(vm, AREA, LEN, bitmap, &count), -ENODATA);
		GUEST_CALL(&vm->vcpu[0], stripe, AREA, AREA + LEN, 1ULL);
	}
	vm_free(vm);
}

/* Linux switches them off by itself on a host of less than 512 MiB. */
static bool huge_pages(void)
{
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "w");

	if (!f)
		return false;
	fputs("madvise", f);
	return !fclose(f) && !madvise(area, LEN, MADV_HUGEPAGE);
}

TEST(large_pages_are_split_and_come_back)
{
	struct vm *vm = with_area(0);
	struct vcpu *v = &vm->vcpu[0];
	u64 large, small;

	if (!huge_pages())
		ktap_skip("no huge pages in this kernel");
	GUEST_CALL(v, stripe, AREA, AREA + LEN, 1ULL);
	large = vm_stat(vm, -1, "mapped_2m");
	small = vm_stat(vm, -1, "mapped_4k");
	REQUIRE(large >= LEN / (2 * MIB));
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, LOG, AREA, LEN, NULL), 0);
	exact(vm);
	CHECK_EQ(vm_stat(vm, -1, "mapped_2m"), large - LEN / (2 * MIB));
	/* And some of the guest's own memory. */
	CHECK_GE(vm_stat(vm, -1, "mapped_4k"), small + PAGES);
	CHECK_LE(vm_stat(vm, -1, "mapped_4k"), small + PAGES + 16);
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, 0, AREA, LEN, NULL), 0);
	CHECK_LE(vm_stat(vm, -1, "mapped_4k"), small + 16);
	GUEST_CALL(v, stripe, AREA, AREA + LEN, 1ULL);
	CHECK_EQ(vm_stat(vm, -1, "mapped_2m"), large);
	/* One large page alone. */
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, LOG, AREA, LEN, NULL), 0);
	touch(vm, others, 1, 1);
	CHECK_EQ(vm_stat(vm, -1, "mapped_2m"), large - 1);
	round_is_wanted(vm, "one");
	vm_free(vm);
}

TEST(two_cpus)
{
	struct vm *vm = with_area(LOG);
	struct vcpu_thread *t[2];
	u64 i;

	for (i = 0; i < 2; i++)
		GUEST_START(i ? vcpu_new(vm, i) : &vm->vcpu[0], stripe, AREA + i * 3 * PAGE,
			    AREA + LEN, i ? 5ULL : 2ULL);
	for (i = 0; i < 2; i++)
		t[i] = vcpu_spawn(&vm->vcpu[i]);
	for (i = 0; i < PAGES; i++)
		want[i] = i % 2 == 0 || (i >= 3 && (i - 3) % 5 == 0) ? MUST : NO;
	for (i = 0; i < 2; i++)
		vcpu_join(t[i]);
	round_is_wanted(vm, "stripes");
	vm_free(vm);
}

TEST(string_instructions)
{
	struct vm *vm = with_area(LOG);
	u64 i;

	GUEST_CALL(&vm->vcpu[0], rep_stos, AREA + 509 * PAGE + 0x800, 6 * PAGE, 0x77ULL);
	for (i = 509; i <= 515; i++)
		want[i] = MUST;
	round_is_wanted(vm, "rep stos");
	CHECK_EQ(area[515 * PAGE + 0x7ff], 0x77);
	vm_free(vm);
}

/* INS answered by the launcher: the write is the emulator's. */
static void rep_ins(struct vcpu *v)
{
	u32 reason;

	while ((reason = guest_run(v)) == KEEL_EXIT_PIO)
		v->run->pio.data = 0x42;
	REQUIRE_EQ(reason, RUN_DONE);
}

TEST(the_emulators_writes)
{
	struct vm *vm = with_area(LOG);
	struct vcpu *v = &vm->vcpu[0];

	GUEST_START(v, rep_ins, AREA + 600 * PAGE - 4, 8ULL);
	rep_ins(v);
	CHECK_EQ(area[600 * PAGE], 0x42);
	want_pages((u64 []) { 599, 600 }, 2, MUST);
	round_is_wanted(vm, "ins");

	GUEST_CALL(v, from_device, AREA + 700 * PAGE - 8, AREA + 802 * PAGE);
	CHECK_EQ(area[700 * PAGE], 0xff);
	CHECK_EQ(area[802 * PAGE - 8], 0xff);
	want_pages((u64 []) { 699, 700, 801 }, 3, MUST);
	round_is_wanted(vm, "from a device");
	vm_free(vm);
}

/*
 * Bochs' Intel CPU looks at a walk's own writes only as EPT's accessed and dirty
 * bits make them writes: without those the bits below are set, as the checks of
 * them say, in pages that are write-protected and whose other writes exit.
 */
static bool walks_pass_protection(void)
{
	const char *emulator = getenv("EMULATOR");
	struct keel_info info;

	keel_info(&info);
	return emulator && !strcmp(emulator, "bochs") && info.vendor == KEEL_VENDOR_INTEL &&
	       !(info.cpu_caps & KEEL_CAP_EPT_AD);
}

/* Accessed and dirty bits in the guest's own tables, set by the CPU and by the emulator. */
TEST(page_walks)
{
	const u64 dir = 100, table = 900, data = 1100;
	const u8 walked = walks_pass_protection() ? MAY : MUST;
	struct vm *vm = with_area(LOG);
	struct vcpu *v = &vm->vcpu[0];
	u64 *pte = (u64 *)(area + table * PAGE);

	GUEST_CALL(v, map_view, AREA + dir * PAGE, AREA + table * PAGE, AREA + data * PAGE);
	get(vm);
	GUEST_CALL(v, view_read, 3ULL);
	CHECK_EQ(pte[3] & 0x60, 0x20);
	want_pages((u64 []) { dir, table }, 2, walked);
	round_is_wanted(vm, "accessed");

	/* A CPU may count every walk as a write. */
	GUEST_CALL(v, view_write, 3ULL);
	CHECK_EQ(pte[3] & 0x60, 0x60);
	want_pages((u64 []) { table }, 1, walked);
	want_pages((u64 []) { data + 3 }, 1, MUST);
	want[dir] = MAY;
	round_is_wanted(vm, "dirty");

	GUEST_START(v, view_ins, 4ULL);
	rep_ins(v);
	CHECK_EQ(pte[4] & 0x60, 0x60);
	want_pages((u64 []) { table, data + 4 }, 2, MUST);
	want[dir] = MAY;
	round_is_wanted(vm, "by the emulator");
	vm_free(vm);
}

TEST(parts_of_a_slot)
{
	static const struct { u64 first, nr; } parts[] = {
		{ 0, 1 }, { 1, 63 }, { 64, 64 }, { 128, 3 }, { 131, 61 }, { 192, 65 },
		{ 257, 200 }, { 457, 1 }, { 458, 1090 }, { 1548, 500 },
	};
	struct vm *vm = with_area(LOG);
	u64 count, i, j, sum = 0;

	GUEST_CALL(&vm->vcpu[0], stripe, AREA, AREA + LEN, 3ULL);
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		u64 first = parts[i].first, nr = parts[i].nr;

		memset(bitmap, 0xff, sizeof(bitmap));
		REQUIRE_EQ(get_range(vm, AREA + first * PAGE, nr * PAGE, bitmap, &count), 0);
		sum += count;
		for (j = 0; j < nr; j++)
			CHECK(is_set(bitmap, j) == ((first + j) % 3 == 0), "page %llu", first + j);
		/* Whole words, zero behind the end, and no word more. */
		for (; j % 64; j++)
			CHECK(!is_set(bitmap, j), "bit %llu of %llu", j, nr);
		CHECK(j == PAGES || is_set(bitmap, j));
	}
	CHECK_EQ(sum, (PAGES + 2) / 3);
	CHECK_EQ(get(vm), 0);
	vm_free(vm);
}

/* More than a CPU's own log holds, without an exit between; and what a round costs. */
TEST(many_pages_at_once)
{
	struct vm *vm = with_area(LOG);
	struct vcpu *v = &vm->vcpu[0];
	struct keel_info info;
	u64 faults, i;
	int round;

	keel_info(&info);
	for (round = 0; round < 3; round++) {
		faults = vm_stat(vm, 0, "exit_stage2");
		GUEST_CALL(v, stripe, AREA, AREA + LEN, 1ULL);
		faults = vm_stat(vm, 0, "exit_stage2") - faults;
		for (i = 0; i < PAGES; i++)
			want[i] = MUST;
		round_is_wanted(vm, "all");
		/* A write protected page faults, a logged one does not. */
		if (round && info.cpu_caps & KEEL_CAP_PML)
			CHECK_LE(faults, PAGES / 50);
		else
			CHECK_GE(faults, PAGES);
	}
	vm_free(vm);
}

TEST(a_bitmap_that_is_not_there)
{
	struct vm *vm = with_area(LOG);
	u64 count;
	u8 *gone = pages(2 * PAGE);

	munmap(gone + PAGE, PAGE);
	touch(vm, some, ARRAY_SIZE(some), 1);
	CHECK_EQ(get_range(vm, AREA, LEN, NULL, &count), -EFAULT);
	CHECK_EQ(get_range(vm, AREA, LEN, (u64 *)(gone + PAGE - 8), &count), -EFAULT);
	CHECK_EQ(count, 0);
	CHECK_EQ(get_range(vm, AREA, LEN, (u64 *)0xffff888000000000, &count), -EFAULT);
	round_is_wanted(vm, "nothing was lost");
	vm_free(vm);
}

TEST(read_only_and_logged)
{
	struct vm *vm = with_area(LOG);

	touch(vm, some, ARRAY_SIZE(some), 1);
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, LOG | KEEL_MEM_READONLY, AREA, LEN, NULL), 0);
	round_is_wanted(vm, "from before");
	touch(vm, others, ARRAY_SIZE(others), 2);
	memset(want, 0, sizeof(want));
	round_is_wanted(vm, "dropped writes");
	CHECK_NE(*(u64 *)(area + others[0] * PAGE + 16), 2);
	GUEST_CALL(&vm->vcpu[0], look, AREA, AREA + LEN);
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, LOG, AREA, LEN, NULL), 0);
	exact(vm);
	vm_free(vm);
}

/* ---- as a live migration would ----------------------------------------------------------- */

static volatile bool stop_churn;
static volatile bool lost[PAGES];	/* what the launcher itself has changed */

/* Runs on through pages that the launcher protects for a moment. */
static void *guest_main(void *arg)
{
	struct vcpu *v = arg;
	u32 reason;

	do {
		reason = guest_run(v);
	} while (reason == KEEL_EXIT_MEM_FAULT && v->run->mem.error == EFAULT);
	REQUIRE_EQ(reason, RUN_DONE);
	return NULL;
}

static void churn_dontneed(u64 page)
{
	u64 i;

	REQUIRE_EQ(madvise(area + page * PAGE, 8 * PAGE, MADV_DONTNEED), 0);
	for (i = 0; i < 8; i++)
		lost[page + i] = true;
}

static void churn_fork(void)
{
	int status;
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (!pid)
		_exit(0);
	waitpid(pid, &status, 0);
}

/* Everything that makes the host take pages away under the guest. */
static void *churn_main(void *arg)
{
	unsigned int i;

	for (i = 0; !stop_churn; i++) {
		u64 page = i * 37 % (PAGES - 8);

		switch (i % 6) {
		case 0:
			churn_dontneed(page);
			break;
		case 1:
			mprotect(area + page * PAGE, 8 * PAGE, PROT_READ);
			mprotect(area + page * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE);
			break;
		case 2:
			churn_fork();
			break;
		case 3:
			madvise(area + page / 512 * 512 * PAGE, 512 * PAGE, MADV_COLLAPSE_);
			break;
		case 4:
			madvise(area + page * PAGE, 8 * PAGE, MADV_COLD);
			break;
		case 5:
			madvise(area + page * PAGE, 8 * PAGE, MADV_PAGEOUT);
			break;
		}
		sleep_ms(1);
	}
	return NULL;
}

static void copy_page(u8 *copy, u64 page)
{
	memcpy(copy + page * PAGE, area + page * PAGE, PAGE);
}

static void copy_round(struct vm *vm, u8 *copy)
{
	u64 i;

	get(vm);
	for (i = 0; i < PAGES; i++) {
		bool mine = lost[i];

		if (mine)
			lost[i] = false;
		/* The mark is gone before the page is read. */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (mine || is_set(bitmap, i))
			copy_page(copy, i);
	}
}

static void migrate(unsigned int nr_cpus, bool churn, bool huge)
{
	struct vm *vm = with_area(0);
	volatile u64 *rounds = GP(vm, rounds);
	u8 *copy = pages(LEN);
	pthread_t cpu[2], churner;
	unsigned int i, round, bad = 0;
	u64 seen;

	if (huge && !huge_pages())
		ktap_skip("no huge pages in this kernel");
	for (i = 0; i < nr_cpus; i++) {
		GUEST_START(i ? vcpu_new(vm, i) : &vm->vcpu[0], scribble, AREA, PAGES, i + 1ULL);
		guest_spins(&vm->vcpu[i]);
	}
	for (i = 0; i < nr_cpus; i++)
		REQUIRE_EQ(pthread_create(&cpu[i], NULL, guest_main, &vm->vcpu[i]), 0);
	REQUIRE(WAIT_FOR(10000, *rounds > 10000));
	if (churn)
		REQUIRE_EQ(pthread_create(&churner, NULL, churn_main, NULL), 0);

	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, LOG, AREA, LEN, NULL), 0);
	memcpy(copy, area, LEN);
	for (round = 0; round < 20; round++) {
		seen = *rounds;
		copy_round(vm, copy);
		CHECK(WAIT_FOR(10000, *rounds > seen + 200));
	}
	*(volatile u64 *)GP(vm, stop) = 1;
	for (i = 0; i < nr_cpus; i++)
		pthread_join(cpu[i], NULL);
	stop_churn = true;
	if (churn)
		pthread_join(churner, NULL);
	copy_round(vm, copy);
	for (i = 0; i < PAGES; i++)
		if (memcmp(copy + i * PAGE, area + i * PAGE, PAGE) && ++bad <= 5)
			CHECK(false, "page %u differs", i);
	CHECK_EQ(get(vm), 0);
	vm_free(vm);
}

/*
 * A page that was copied while a CPU goes on writing to it, through what its TLB
 * holds, has to be reported once more: nobody will ever write to it again.
 */
TEST_DEADLINE(migration_of_a_sweep, 120)
{
	struct vm *vm = with_area(LOG);
	volatile u64 *rounds = GP(vm, rounds);
	u8 *copy = pages(LEN);
	unsigned int i, bad = 0, n = 0;
	pthread_t cpu;
	u64 seen = 0;

	GUEST_START(&vm->vcpu[0], sweep, AREA, AREA + LEN, 3000ULL);
	REQUIRE_EQ(pthread_create(&cpu, NULL, guest_main, &vm->vcpu[0]), 0);
	for (; seen < PAGES; n++) {
		seen = *rounds;
		copy_round(vm, copy);
	}
	pthread_join(cpu, NULL);
	copy_round(vm, copy);
	for (i = 0; i < PAGES; i++)
		if (memcmp(copy + i * PAGE, area + i * PAGE, PAGE) && ++bad <= 5)
			CHECK(false, "page %u differs", i);
	ktap_note("%u rounds", n);
	vm_free(vm);
}

#define MIGRATION(id)	TEST_DEADLINE(id, 180)
MIGRATION(migration) { migrate(1, false, false); }
MIGRATION(migration_of_two_cpus) { migrate(2, false, true); }
MIGRATION(migration_in_turmoil) { migrate(1, true, false); }
MIGRATION(migration_in_turmoil_of_huge_pages) { migrate(2, true, true); }

/* ---- the slot goes while it is read -------------------------------------------------------- */

static void *reader_main(void *arg)
{
	static u64 map[PAGES / 64];
	struct vm *vm = arg;
	u64 count;
	int ret;

	while (!stop_churn) {
		ret = get_range(vm, AREA, LEN, map, &count);
		REQUIRE(!ret || ret == -ENOENT || ret == -ENODATA, "%d", ret);
	}
	return NULL;
}

TEST_DEADLINE(the_slot_goes_while_it_is_read, 120)
{
	struct vm *vm = with_area(LOG);
	volatile u64 *rounds = GP(vm, rounds);
	pthread_t cpu, reader;
	unsigned int i;
	u64 seen;

	GUEST_START(&vm->vcpu[0], scribble, AREA, PAGES, 9ULL);
	guest_spins(&vm->vcpu[0]);
	REQUIRE_EQ(pthread_create(&cpu, NULL, guest_main, &vm->vcpu[0]), 0);
	REQUIRE_EQ(pthread_create(&reader, NULL, reader_main, vm), 0);
	for (i = 0; i < 60; i++) {
		seen = *rounds;
		REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, i % 4 ? 0 : LOG, AREA, LEN, NULL), 0);
		REQUIRE_EQ(vm_mem(vm, KEEL_MEM_UNMAP, 0, AREA, LEN, NULL), 0);
		REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, i % 3 ? LOG : 0, AREA, LEN, area), 0);
		REQUIRE_EQ(vm_mem(vm, KEEL_MEM_PROTECT, LOG, AREA, LEN, NULL), 0);
		CHECK(WAIT_FOR(10000, *rounds > seen));
	}
	*(volatile u64 *)GP(vm, stop) = 1;
	pthread_join(cpu, NULL);
	stop_churn = true;
	pthread_join(reader, NULL);
	get(vm);
	exact(vm);
	vm_free(vm);
}
