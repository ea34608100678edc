// SPDX-License-Identifier: GPL-2.0
/*
 * The exit ledger of a vCPU: every exit in the cell of its reason and path, all
 * wall time in one class or another, and nobody can write it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>
#include "libkeel.h"

#define PORT		0x3210
#define FIRST_BYTES	4096

/* ---- reading it ---------------------------------------------------------------- */

static const struct keel_ledger_head *ledger_of(struct vcpu *v)
{
	const struct keel_ledger_head *head;
	void *map = mmap(NULL, FIRST_BYTES, PROT_READ, MAP_SHARED, v->fd, KEEL_LEDGER_OFFSET);

	REQUIRE(map != MAP_FAILED, "errno %d", errno);
	head = map;
	REQUIRE_EQ(head->magic, KEEL_LEDGER_MAGIC);
	map = mmap(NULL, head->size, PROT_READ, MAP_SHARED, v->fd, KEEL_LEDGER_OFFSET);
	REQUIRE(map != MAP_FAILED, "errno %d", errno);
	return map;
}

static int find(const struct keel_ledger_head *h, u32 names, u32 nr, const char *name)
{
	for (u32 i = 0; i < nr; i++)
		if (!strcmp((const char *)h + names + i * KEEL_LEDGER_NAME, name))
			return i;
	REQUIRE(false, "there is no %s", name);
	return -1;
}

static volatile const u64 *words(const struct keel_ledger_head *h, u32 offset)
{
	return (volatile const u64 *)((const char *)h + offset);
}

static u64 ticks_of(const struct keel_ledger_head *h, const char *class)
{
	u32 i = find(h, h->time_names, h->nr_times, class);
	u64 ticks = words(h, h->times)[i];

	return h->now == i ? ticks + __builtin_ia32_rdtsc() - h->since : ticks;
}

static u64 sum_of(const struct keel_ledger_head *h)
{
	u64 sum = __builtin_ia32_rdtsc() - h->since;

	for (u32 i = 0; i < h->nr_times; i++)
		sum += words(h, h->times)[i];
	return sum;
}

static volatile const u64 *cell(const struct keel_ledger_head *h, const char *reason,
				const char *path)
{
	u32 r = find(h, h->reason_names, h->nr_reasons, reason);
	u32 p = find(h, h->path_names, h->nr_paths, path);

	return words(h, h->cells) + (r * h->nr_paths + p) * (1 + h->nr_buckets);
}

static u64 count_of(const struct keel_ledger_head *h, const char *reason, const char *path)
{
	volatile const u64 *c = cell(h, reason, path);
	u64 sum = 0;

	for (u32 i = 0; i < h->nr_buckets; i++)
		sum += c[1 + i];
	return sum;
}

/* ---- exits --------------------------------------------------------------------- */

TEST(every_exit_is_in_its_cell)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	const struct keel_ledger_head *h = ledger_of(v);
	u64 in_kernel;
	u32 outs = 0;

	CHECK_EQ(h->open_reason, KEEL_LEDGER_NONE);
	GUEST_START(v, leave, 1000ULL, 20ULL, (u64)PORT);
	while (guest_run(v) == KEEL_EXIT_PIO)
		outs++;
	CHECK_EQ(outs, 20);
	/* The last one, which says that it is done, is open. */
	CHECK_EQ(count_of(h, "pio", "launcher"), 20);
	CHECK_EQ(h->open_path, find(h, h->path_names, h->nr_paths, "launcher"));
	CHECK_EQ(h->open_reason, find(h, h->reason_names, h->nr_reasons, "pio"));
	CHECK_EQ(vm_stat(vm, 0, "exit_pio"), 21);
	/* Without the instruction's length it has to be fetched, outside of the loop. */
	in_kernel = count_of(h, "cpuid", "kernel");
	CHECK_EQ(count_of(h, "cpuid", "loop") + in_kernel, 1000);
	CHECK_EQ(vm_stat(vm, 0, "exit_cpuid"), 1000);
	CHECK(cell(h, "cpuid", in_kernel ? "kernel" : "loop")[0] > 1000, "they took no time");
	vm_free(vm);
}

/* ---- time ---------------------------------------------------------------------- */

struct burning {
	struct vm *vm;
	struct vcpu *v;
	pthread_t thread;
};

static void *burn_on_cpu_0(void *arg)
{
	struct burning *b = arg;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	GUEST_START(b->v, burn, (u64)GUEST_SCRATCH);
	guest_spins(b->v);
	guest_done(b->v);
	return NULL;
}

static const struct keel_ledger_head *new_burning(struct burning *b)
{
	b->vm = vm_new(0);
	b->v = vcpu_new(b->vm, 0);
	return ledger_of(b->v);
}

static void start_burning(struct burning *b)
{
	pthread_create(&b->thread, NULL, burn_on_cpu_0, b);
}

static void stop_burning(struct burning *b)
{
	*(volatile u8 *)(b->vm->ram + GUEST_SCRATCH) = 1;
	pthread_join(b->thread, NULL);
}

/* Half a percent. */
static bool close_to(u64 a, u64 b)
{
	u64 more = a > b ? a : b, less = a > b ? b : a;

	return (more - less) * 200 <= more;
}

TEST(time_adds_up_to_wall_time)
{
	const struct keel_ledger_head *h;
	u64 begin, before, wall, ledger;
	struct burning b;

	h = new_burning(&b);
	begin = __builtin_ia32_rdtsc();
	before = sum_of(h);
	start_burning(&b);
	sleep_ms(1500);
	stop_burning(&b);
	sleep_ms(500);
	/* Not in ns: an emulated host's idea of its TSC's frequency is a guess. */
	ledger = sum_of(h) - before;
	wall = __builtin_ia32_rdtsc() - begin;
	CHECK(close_to(wall, ledger), "wall %llu ticks, ledger %llu", wall, ledger);
	CHECK(ticks_of(h, "guest") > ticks_of(h, "kernel"), "guest %llu, kernel %llu",
	      ticks_of(h, "guest"), ticks_of(h, "kernel"));
	CHECK_GE(ticks_of(h, "launcher"), wall / 10);
	CHECK_EQ(ticks_of(h, "polling"), 0);
	vm_free(b.vm);
}

TEST(two_on_one_cpu_wait_for_each_other)
{
	const struct keel_ledger_head *h[2];
	struct burning b[2];

	for (int i = 0; i < 2; i++) {
		h[i] = new_burning(&b[i]);
		start_burning(&b[i]);
	}
	sleep_ms(2000);
	for (int i = 0; i < 2; i++)
		stop_burning(&b[i]);
	for (int i = 0; i < 2; i++) {
		u64 guest = ticks_of(h[i], "guest"), ready = ticks_of(h[i], "ready");

		CHECK(ready > (u64)h[i]->tick_khz * 500, "ready for %llu ticks", ready);
		CHECK(guest > (u64)h[i]->tick_khz * 300, "guest for %llu ticks", guest);
		vm_free(b[i].vm);
	}
}

TEST(a_halted_vcpu_is_halted)
{
	struct vm *vm = vm_new(VM_IRQCHIP);
	struct vcpu *v = vcpu_new(vm, 0);
	const struct keel_ledger_head *h = ledger_of(v);
	struct vcpu_thread *t;
	u64 halted;

	GUEST_START(v, halt);
	guest_sync(v, 1);
	t = vcpu_spawn(v);
	sleep_ms(400);
	halted = ticks_of(h, "halted");
	CHECK(halted > (u64)h->tick_khz * 200, "halted for %llu ticks so far", halted);
	REQUIRE_EQ(vcpu_inject(v, KEEL_INJECT_NMI, 0, 0), 0);
	vcpu_join(t);
	CHECK_GE(ticks_of(h, "halted"), halted);
	/* The exit that led there did not take that long. */
	CHECK_EQ(count_of(h, "hlt", "kernel"), 1);
	CHECK(cell(h, "hlt", "kernel")[0] < halted, "%llu ticks", cell(h, "hlt", "kernel")[0]);
	vm_free(vm);
}

/* ---- the mapping ----------------------------------------------------------------- */

static int map_errno(struct vcpu *v, size_t len, int prot, int flags, u64 offset)
{
	void *map = mmap(NULL, len, prot, flags, v->fd, offset);

	if (map == MAP_FAILED)
		return errno;
	munmap(map, len);
	return 0;
}

TEST(nobody_else_writes_it)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	const struct keel_ledger_head *h = ledger_of(v);
	u64 whole = (h->size + 4095) & ~4095ULL, at = KEEL_LEDGER_OFFSET;

	CHECK_EQ(map_errno(v, whole, PROT_READ, MAP_SHARED, at), 0);
	CHECK_EQ(map_errno(v, 4096, PROT_READ, MAP_SHARED, at + whole - 4096), 0);
	CHECK_EQ(map_errno(v, whole, PROT_READ | PROT_WRITE, MAP_SHARED, at), EACCES);
	CHECK_EQ(map_errno(v, whole, PROT_READ | PROT_EXEC, MAP_SHARED, at), EINVAL);
	CHECK_EQ(map_errno(v, whole, PROT_READ, MAP_PRIVATE, at), EINVAL);
	CHECK_EQ(map_errno(v, whole + 4096, PROT_READ, MAP_SHARED, at), EINVAL);
	CHECK_EQ(map_errno(v, 4096, PROT_READ, MAP_SHARED, at + whole), EINVAL);
	CHECK_EQ(map_errno(v, 4096, PROT_READ, MAP_SHARED, at - 4096), EINVAL);
	CHECK_EQ(map_errno(v, 4096, PROT_READ, MAP_SHARED, 4096), EINVAL);
	CHECK_EQ(mprotect((void *)h, whole, PROT_READ | PROT_WRITE), -1);
	CHECK_EQ(errno, EACCES);
	vm_free(vm);
}
