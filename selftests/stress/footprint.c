// SPDX-License-Identifier: GPL-2.0
/*
 * What VMs cost: the module's own memory, stage-2 tables that shrink with the
 * launcher's memory, and no CPU time for a guest that sleeps.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "libkeel.h"

#define PAGE	4096ULL

static struct keel_info info;
static u8 *area;

static u64 kernel_bytes(void)
{
	keel_info(&info);
	return info.kernel_bytes;
}

static u64 stage2_bytes(void)
{
	keel_info(&info);
	return info.stage2_bytes;
}

TEST(own_memory_of_a_small_vm)
{
	u64 base = kernel_bytes(), used;
	struct vm *vm = vm_new(VM_IRQCHIP | VM_PIT);
	struct vcpu *v = vcpu_new(vm, 0);

	vcpu_kick(v);
	vcpu_expect(v, KEEL_EXIT_KICKED);
	used = kernel_bytes() - base;
	ktap_note("%llu KiB", used / 1024);
	CHECK(used > 0);
	CHECK_LE(used, MIB);
	vm_free(vm);
	CHECK(WAIT_FOR(3000, kernel_bytes() == base));
}

/* The same by the host's own account. */
TEST(own_memory_by_meminfo)
{
	struct vm *vm[16];
	u64 before, after;
	unsigned int i;

	/* Each launcher's memory is the page tables and the image: below 1 MiB in small pages. */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	vm_free(vm_new(VM_IRQCHIP));
	before = sysconf(_SC_AVPHYS_PAGES) * PAGE;
	for (i = 0; i < ARRAY_SIZE(vm); i++) {
		vm[i] = vm_new(VM_IRQCHIP | VM_PIT);
		vcpu_new(vm[i], 0);
	}
	after = sysconf(_SC_AVPHYS_PAGES) * PAGE;
	ktap_note("%lld KiB for each", (long long)(before - after) / 1024 / (int)ARRAY_SIZE(vm));
	CHECK_LE((long long)(before - after), (long long)(ARRAY_SIZE(vm) * 2 * MIB));
	for (i = 0; i < ARRAY_SIZE(vm); i++)
		vm_free(vm[i]);
}

#define AREA	0x10000000ULL
#define LEN	(64 * MIB)
/* Small pages: a table for every 2 MiB; what may stay is a path of empty ones. */
#define TABLES	(LEN / (2 * MIB) * PAGE)
#define PATH	(8 * PAGE)
/* Enough pages for every table, few enough for a slow host. */
#define SPARSE	(16 * PAGE)

static struct vm *with_area(void)
{
	void *mem = pages(LEN);
	struct vm *vm = vm_new(0);

	madvise(mem, LEN, MADV_NOHUGEPAGE);
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, 0, AREA, LEN, mem), 0);
	area = mem;
	vcpu_new(vm, 0);
	return vm;
}

TEST(tables_shrink_with_the_memory)
{
	struct vm *vm = with_area();
	struct vcpu *v = &vm->vcpu[0];
	u64 small;
	int i;

	GUEST_CALL(v, touch, 0ULL, PAGE, PAGE);
	small = stage2_bytes();
	for (i = 0; i < 3; i++) {
		GUEST_CALL(v, touch, AREA, LEN, SPARSE);
		CHECK_GE(stage2_bytes(), small + TABLES);
		REQUIRE_EQ(madvise(area, LEN, MADV_DONTNEED), 0);
		CHECK(WAIT_FOR(2000, stage2_bytes() <= small + PATH),
		      "%llu of %llu bytes are still there", info.stage2_bytes, small + TABLES);
	}
	GUEST_CALL(v, touch, AREA, LEN, SPARSE);
	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_UNMAP, 0, AREA, LEN, NULL), 0);
	CHECK(WAIT_FOR(2000, stage2_bytes() <= small + PATH), "%llu bytes", info.stage2_bytes);
	vm_free(vm);
	CHECK(WAIT_FOR(3000, !stage2_bytes()));
}

TEST(tables_of_unmapped_memory)
{
	struct vm *vm = with_area();
	u64 small = stage2_bytes();

	GUEST_CALL(&vm->vcpu[0], touch, AREA, LEN, SPARSE);
	CHECK_GE(stage2_bytes(), small + TABLES);
	munmap(area, LEN);
	CHECK(WAIT_FOR(2000, stage2_bytes() <= small + 2 * PATH), "%llu bytes",
	      info.stage2_bytes);
	vm_free(vm);
}

/* Every page of an area, again and again: no more than its tables. */
TEST(tables_do_not_grow)
{
	struct vm *vm = with_area();
	const u64 len = LEN / 4;
	u64 full;
	int i;

	GUEST_CALL(&vm->vcpu[0], touch, AREA, len, PAGE);
	full = stage2_bytes();
	for (i = 0; i < 4; i++) {
		madvise(area + i * MIB, 7 * MIB + i * PAGE, MADV_DONTNEED);
		GUEST_CALL(&vm->vcpu[0], touch, AREA, len, PAGE);
		CHECK_LE(stage2_bytes(), full);
	}
	vm_free(vm);
}

/* ---- time ---------------------------------------------------------------------- */

/* CPU time that somebody who waits for a second or two may need. */
#define IDLE_NS	(20000000ULL * ktap_slow())

static void *run(void *arg)
{
	vcpu_enter(arg);
	return NULL;
}

static u64 cost_of_idling(u32 flags, const u8 *code, size_t len, unsigned int vcpus)
{
	struct vm *vm = vm_new(flags);
	unsigned int i;
	u64 used;

	memcpy(vm->ram + 0x1000, code, len);
	for (i = 0; i < vcpus; i++) {
		struct vcpu *v = vcpu_new(vm, i);
		pthread_t thread;

		if (!i)
			guest_real(v, 0x1000, 0);
		pthread_create(&thread, NULL, run, v);
	}
	sleep_ms(300);
	used = cpu_ns();
	sleep_ms(2000);
	used = cpu_ns() - used;
	ktap_note("%llu.%03llu ms of 2 s", used / 1000000, used / 1000 % 1000);
	/* The threads go with the process. */
	return used;
}

TEST(an_idle_guest_costs_nothing)
{
	static const u8 code[] = { 0xfb, 0xf4, 0xeb, 0xfc };	/* sti; 1: hlt; jmp back */

	CHECK_LE(cost_of_idling(VM_IRQCHIP | VM_PIT, code, sizeof(code), 1), IDLE_NS);
}

TEST(cpus_that_wait_to_be_started_cost_nothing)
{
	static const u8 code[] = { 0xfa, 0xf4, 0xeb, 0xfd };	/* cli; hlt */

	CHECK_LE(cost_of_idling(VM_IRQCHIP, code, sizeof(code), 4), IDLE_NS);
}

TEST(a_paused_guest_costs_nothing)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	struct keel_pause p = {};
	pthread_t thread;
	u64 used;

	memcpy(vm->ram + 0x1000, "\xeb\xfe", 2);
	guest_real(v, 0x1000, 0);
	guest_spins(v);
	pthread_create(&thread, NULL, run, v);
	sleep_ms(50);
	REQUIRE_EQ(kcall_sized(vm->fd, KEEL_PAUSE, &p), 0);
	used = cpu_ns();
	sleep_ms(1000);
	CHECK_LE(cpu_ns() - used, IDLE_NS);
}
