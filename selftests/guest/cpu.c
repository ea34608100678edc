// SPDX-License-Identifier: GPL-2.0
/*
 * What a CPU has to keep while the guest is away, and what it must not see of
 * others: time, vector registers, debug registers, MSRs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <asm/ldt.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "libkeel.h"

static struct vm *machine(unsigned int cpus)
{
	struct vm *vm = vm_new(0);
	struct keel_info info;
	unsigned int i;

	keel_info(&info);
	for (i = 0; i < cpus; i++)
		vcpu_new(vm, i);
	*(u64 *)GP(vm, tsc_khz) = info.tsc_khz;
	*(u64 *)GP(vm, dr6_unknown) = host_is_bochs_svm();
	return vm;
}

/* To the end, whatever the stages say; the host uses the registers meanwhile. */
static void run_stages(struct vcpu *v)
{
	while (guest_run(v) == RUN_SYNC)
		asm volatile("pcmpeqd %%xmm0, %%xmm0\n\t"
			     "pxor %%xmm7, %%xmm7\n\t"
			     "movdqa %%xmm0, %%xmm15"
			     : : : "xmm0", "xmm7", "xmm15");
	REQUIRE_EQ(v->run->pio.data, GUEST_CALL_DONE);
}

static void staged(u64 fn, u64 a, u64 b, u64 c)
{
	struct vm *vm = machine(1);

	guest_start(&vm->vcpu[0], fn, a, b, c);
	run_stages(&vm->vcpu[0]);
	vm_free(vm);
}

/* Two vCPUs take turns on one CPU, in one thread. */
static void in_turns(u64 fn, u64 rounds, u64 arg, u64 xcr0)
{
	struct vm *vm = machine(2);
	struct keel_sregs sregs;
	int i;

	for (i = 0; i < 2; i++) {
		guest_start(&vm->vcpu[i], fn, (u64)i, rounds, arg);
		if (!xcr0)
			continue;
		REQUIRE(state_get(vm->vcpu[i].fd, KEEL_REC_SREGS, &sregs, sizeof(sregs)) > 0);
		sregs.cr4 |= 1 << 18;
		sregs.xcr0 = xcr0;
		REQUIRE_EQ(state_set(vm->vcpu[i].fd, KEEL_REC_SREGS, &sregs, sizeof(sregs),
				     NULL), 0);
	}
	while (rounds--)
		for (i = 0; i < 2; i++)
			REQUIRE_EQ(guest_run(&vm->vcpu[i]), RUN_SYNC);
	for (i = 0; i < 2; i++)
		REQUIRE_EQ(guest_run(&vm->vcpu[i]), RUN_DONE);
	vm_free(vm);
}

/* ---- time ---------------------------------------------------------------------- */

TEST(tsc_monotonic) { staged(G(tsc_monotonic), 0, 0, 0); }
TEST(tsc_write) { staged(G(tsc_write), 0, 0, 0); }

static bool rate_is_right(struct vcpu *v, u64 khz)
{
	u64 tsc, ns;

	guest_sync(v, 1);
	tsc = v->arg[1];
	ns = now_ns();
	sleep_ms(200);
	guest_sync(v, 1);
	tsc = v->arg[1] - tsc;
	ns = now_ns() - ns;
	return tsc * 1000000 / khz > ns * 95 / 100 && tsc * 1000000 / khz < ns * 105 / 100;
}

TEST(tsc_runs_at_the_rate_of_info)
{
	struct vm *vm = machine(1);
	struct vcpu *v = &vm->vcpu[0];
	struct keel_info info;
	bool right = false;
	int i;

	keel_info(&info);
	REQUIRE(info.tsc_khz > 0);
	GUEST_START(v, tsc_stages);
	/* Either clock may be read late on a busy machine, but not always. */
	for (i = 0; i < 8 && !right; i++)
		right = rate_is_right(v, info.tsc_khz);
	CHECK(right);
	vm_free(vm);
}

TEST(pause_freezes_time)
{
	struct vm *vm = machine(1);
	struct vcpu *v = &vm->vcpu[0];
	struct keel_pause p = {};
	struct keel_info info;
	u64 tsc;

	keel_info(&info);
	GUEST_START(v, tsc_stages);
	guest_sync(v, 1);
	tsc = v->arg[1];
	REQUIRE_EQ(kcall_sized(vm->fd, KEEL_PAUSE, &p), 0);
	sleep_ms(1000);
	REQUIRE_EQ(kcall_sized(vm->fd, KEEL_RESUME, &p), 0);
	guest_sync(v, 1);
	CHECK_GE(v->arg[1], tsc);
	CHECK_LE(v->arg[1] - tsc, info.tsc_khz * 800ULL);
	vm_free(vm);
}

TEST(pause_stops_a_running_guest)
{
	struct vm *vm = machine(1);
	struct vcpu *v = &vm->vcpu[0];
	volatile u64 *counter = GP(vm, counter);
	struct keel_pause p = {};
	u64 seen;
	int i;

	GUEST_START(v, count);
	guest_spins(v);
	vcpu_spawn(v);
	for (i = 0; i < 3; i++) {
		seen = *counter;
		REQUIRE(WAIT_FOR(10000, *counter != seen));
		REQUIRE_EQ(kcall_sized(vm->fd, KEEL_PAUSE, &p), 0);
		seen = *counter;
		sleep_ms(30);
		CHECK_EQ(*counter, seen);
		REQUIRE_EQ(kcall_sized(vm->fd, KEEL_RESUME, &p), 0);
	}
	/* The thread goes with the process. */
}

/* ---- vector registers ---------------------------------------------------------------- */

TEST(sse_over_exits) { staged(G(sse), 1, 20, 0); }
TEST(sse_two_vcpus) { in_turns(G(sse), 20, 0, 0); }
TEST(lazy_fpu) { staged(G(lazy_fpu), 0, 0, 0); }

TEST(xcr0)
{
	struct keel_info info;

	keel_info(&info);
	if (!info.xcr0)
		ktap_skip("no XSAVE here");
	/* QEMU does not intercept XSETBV: what Keel alone would refuse passes. */
	staged(G(xcr0), info.xcr0, !host_is_tcg(), 0);
}

TEST(avx_two_vcpus)
{
	struct keel_info info;

	keel_info(&info);
	if (!(info.xcr0 & 4))
		ktap_skip("no AVX here");
	in_turns(G(avx), 20, 0, 7);
}

/* Each in a thread of its own, on one CPU: they preempt each other. */
static void *sse_thread(void *arg)
{
	run_stages(arg);
	return NULL;
}

TEST(sse_two_threads)
{
	struct vm *vm = machine(2);
	pthread_t thread[2];
	cpu_set_t one;
	int i;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	for (i = 0; i < 2; i++) {
		guest_start(&vm->vcpu[i], G(sse), (u64)i, 300ULL, 0ULL);
		pthread_create(&thread[i], NULL, sse_thread, &vm->vcpu[i]);
	}
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	vm_free(vm);
}

/* ---- the rest --------------------------------------------------------------------------- */

TEST(debug_registers) { staged(G(debug_registers), 1, 5, !host_is_tcg()); }
TEST(debug_registers_two_vcpus) { in_turns(G(debug_registers), 5, !host_is_tcg(), 0); }

TEST(code_breakpoint)
{
	if (host_is_tcg())
		ktap_skip("QEMU does not arm a guest's breakpoints");
	staged(G(code_breakpoint), 0, 0, 0);
}

/* An IRET to here, after any interrupt, makes 0 of a null selector. */
static bool kept(u16 selector, u16 now)
{
	return now == selector || (selector < 4 && !now);
}

/* The launcher's own segments, which an exit replaces: also those that no ABI uses. */
TEST(the_launchers_segments_stay)
{
	static const u16 selectors[] = { 0, 3, 0x2b, 0x28 };
	struct user_desc ldt = {
		.entry_number = 1, .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1,
	};
	struct vm *vm = machine(1);
	struct vcpu *v = &vm->vcpu[0];
	u16 ds, es, gs, ldt_ds;
	unsigned int i;

	GUEST_START(v, tsc_stages);
	for (i = 0; i < ARRAY_SIZE(selectors); i++) {
		asm volatile("movw %w0, %%ds\n\tmovw %w0, %%es\n\tmovw %w0, %%gs"
			     : : "r"(selectors[i]));
		vcpu_enter(v);
		asm volatile("movw %%ds, %0\n\tmovw %%es, %1\n\tmovw %%gs, %2"
			     : "=r"(ds), "=r"(es), "=r"(gs));
		CHECK(kept(selectors[i], ds) && kept(selectors[i], es) && kept(selectors[i], gs),
		      "%#x: ds %#x es %#x gs %#x", selectors[i], ds, es, gs);
	}
	if (syscall(SYS_modify_ldt, 1, &ldt, sizeof(ldt))) {
		/* A kernel may be built without. */
		REQUIRE_EQ(errno, ENOSYS);
		goto out;
	}
	asm volatile("movw %w0, %%ds" : : "r"(1 << 3 | 7));
	vcpu_enter(v);
	asm volatile("movw %%ds, %0" : "=r"(ldt_ds));
	CHECK_EQ(ldt_ds, 1 << 3 | 7);
	/* Its descriptor is there too. */
	asm volatile("movw %w0, %%es" : : "r"(1 << 3 | 7));
out:
	asm volatile("movw %w0, %%ds\n\tmovw %w0, %%es\n\tmovw %w0, %%gs" : : "r"(0));
	vm_free(vm);
}

/* QEMU lets a guest write what it likes to LSTAR. */
TEST(msrs_are_kept) { staged(G(msrs), !host_is_tcg(), 0, 0); }
