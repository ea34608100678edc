// SPDX-License-Identifier: GPL-2.0
/*
 * One VM computes and checks what it computes; another, of another process,
 * does its worst. The first must go on, and go on being right.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "host.h"
#include "libkeel.h"

#define WORDS	8192	/* 64 KiB */
#define ROUNDS	4	/* that the good guest has to make meanwhile */
#define MANY	5	/* deeds of the bad one, at least */

/* What the bad one has done, counted, in memory of both processes. */
static volatile u64 *deeds;

static u64 expected(void)
{
	u64 x = 1, total = 0;
	int i;

	for (i = 0; i < WORDS; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		total = (total << 1 | total >> 63) ^ x;
	}
	return total;
}

/* Crashes and is given a new life. */
static void crash_for_ever(void)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	for (;;) {
		GUEST_START(v, die);
		vcpu_expect(v, KEEL_EXIT_SHUTDOWN);
		++*deeds;
	}
}

/* Crashes and takes its VM along. */
static void come_and_go(void)
{
	for (;;) {
		struct vm *vm = vm_new(VM_IRQCHIP | VM_PIT);
		struct vcpu *v = vcpu_new(vm, 0);

		GUEST_START(v, die);
		vcpu_expect(v, KEEL_EXIT_SHUTDOWN);
		vm_free(vm);
		++*deeds;
	}
}

static void spin_for_ever(void)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	GUEST_START(v, spin);
	guest_spins(v);
	*deeds = MANY;
	for (;;)
		vcpu_enter(v);
}

static void storm_for_ever(void)
{
	struct vm *vm = vm_new(VM_IRQCHIP);
	struct vcpu *v = vcpu_new(vm, 0);

	GUEST_START(v, storm, (u64)GUEST_HOLE);
	for (;;) {
		vcpu_enter(v);
		++*deeds;
	}
}

static bool written(const u64 *mem, u64 len)
{
	while (len -= sizeof(*mem))
		if (*mem++)
			return true;
	return false;
}

/*
 * Memory that comes and goes under a guest which writes all over it, and writes
 * to what is there now, not to what somebody else has meanwhile.
 */
static void thrash_for_ever(void)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	u64 area = 0x10000000, len = 16 * MIB;
	void *mem = pages(len);
	pid_t pid = getpid();
	unsigned int i;

	REQUIRE_EQ(vm_mem(vm, KEEL_MEM_MAP, 0, area, len, mem), 0);
	GUEST_START(v, thrash, area, len, (u64)pid);
	vcpu_spawn(v);
	for (i = 1; ; i++) {
		madvise(mem, len, MADV_DONTNEED);
		if (i % 16)
			sleep_ms(1);
		else if (WAIT_FOR(10000, written(mem, 16 * 4096)))
			++*deeds;
	}
}

static void beside(void (*bad)(void))
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	volatile u64 *rounds = GP(vm, rounds);
	struct vcpu_thread *t;
	pid_t pid;
	u64 seen;

	/* All on one CPU: who does not give it up would starve the others. */
	REQUIRE_EQ(host_pin(0), 0);
	deeds = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(deeds != MAP_FAILED);
	GUEST_START(v, compute, (u64)WORDS, expected());
	t = vcpu_spawn(v);
	pid = fork();
	if (!pid) {
		bad();
		_exit(1);
	}
	sleep_ms(100);
	seen = *rounds;
	CHECK(WAIT_FOR(30000, *deeds >= MANY), "the bad one did %llu", *deeds);
	CHECK(WAIT_FOR(30000, *rounds >= seen + ROUNDS), "%llu rounds", *rounds - seen);
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);

	/* And when it is alone again. */
	seen = *rounds;
	CHECK(WAIT_FOR(30000, *rounds > seen));
	*(volatile u64 *)GP(vm, stop) = 1;
	vcpu_join(t);
	vm_free(vm);
}

TEST_DEADLINE(one_that_crashes, 120) { beside(crash_for_ever); }
TEST_DEADLINE(one_that_comes_and_goes, 120) { beside(come_and_go); }
TEST_DEADLINE(one_that_never_yields, 120) { beside(spin_for_ever); }
TEST_DEADLINE(one_that_storms_devices, 120) { beside(storm_for_ever); }
TEST_DEADLINE(one_that_thrashes_memory, 120) { beside(thrash_for_ever); }
