// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that writes nonsense wherever it can ends in a named exit or goes on;
 * the host and the other VMs do not notice. The runner looks at the host's log
 * after it.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include "libkeel.h"

static void set_policy(struct vm *vm, u32 pio, u32 mmio, u32 msr)
{
	struct keel_policy p = {
		.msr = msr, .pio = pio, .mmio = mmio, .hypercall = KEEL_POLICY_EXIT,
	};

	REQUIRE_EQ(kcall_sized(vm->fd, KEEL_POLICY_SET, &p), 0);
}

/* A neighbour that runs before and after. */
static struct vm *neighbour;

static void look_after_neighbour(void)
{
	static const u8 code[] = { 0xb8, 0x34, 0x12, 0xe7, 0x80, 0xf4 };
	struct vcpu *v;

	if (!neighbour) {
		neighbour = vm_new(0);
		vcpu_new(neighbour, 0);
		memcpy(neighbour->ram + 0x1000, code, sizeof(code));
	}
	v = &neighbour->vcpu[0];
	guest_real(v, 0x1000, 0);
	vcpu_expect(v, KEEL_EXIT_PIO);
	CHECK_EQ(v->run->pio.data, 0x1234);
	vcpu_expect(v, KEEL_EXIT_HLT);
}

/*
 * Kicks from a timer: no guest code runs for ever. Each run_out() starts it anew
 * and stops it, so that a slow host's guest has its time, and no other call of
 * the test is ended by the signal.
 */
static unsigned int kick_ms;	/* 0: no kicks */
static int kick_fd;

static void on_timer(int sig)
{
	(void)sig;
	kcall(kick_fd, KEEL_KICK, NULL);
}

/* Wall time: a halted guest uses no other. */
static void kick_timer(unsigned int ms)
{
	struct timespec after = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
	struct itimerspec it = { .it_interval = after, .it_value = after };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct sigaction sa = { .sa_handler = on_timer, .sa_flags = SA_RESTART };
	static timer_t timer;
	static bool made;

	if (!made) {
		sigaction(SIGUSR1, &sa, NULL);
		REQUIRE_EQ(timer_create(CLOCK_MONOTONIC, &ev, &timer), 0);
		made = true;
	}
	REQUIRE_EQ(timer_settime(timer, 0, &it, NULL), 0);
}

/* One RUN; every result but a named exit or a signal is a failure. */
static u32 run_any(struct vcpu *v)
{
	int ret = vcpu_enter(v);

	vcpu_check_time(v);
	if (ret == -EINTR)
		return KEEL_EXIT_KICKED;
	if (ret) {
		CHECK(false, "KEEL_RUN: %s", strerror(-ret));
		vcpu_dump(v);
		ktap_end();
	}
	CHECK(v->run->exit_reason != KEEL_EXIT_NONE && v->run->exit_reason < KEEL_EXIT_NR,
	      "exit %u", v->run->exit_reason);
	return v->run->exit_reason;
}

static u32 run_on(struct vcpu *v, unsigned int max)
{
	struct keel_run *run = v->run;
	u32 reason = KEEL_EXIT_KICKED;

	while (max--) {
		reason = run_any(v);
		switch (reason) {
		case KEEL_EXIT_PIO:
			if (run->pio.port == GUEST_PORT && run->pio.dir == KEEL_DIR_OUT)
				return RUN_DONE;
			run->pio.data = rand();
			break;
		case KEEL_EXIT_MMIO:
			run->mmio.data = rand();
			break;
		case KEEL_EXIT_RDMSR:
		case KEEL_EXIT_WRMSR:
			run->msr.fault = rand() & 1;
			break;
		default:
			return reason;
		}
	}
	return reason;
}

/* Run on until the guest is done, has failed, or came to an end; its reason. */
static u32 run_out(struct vcpu *v, unsigned int max)
{
	u32 reason;

	kick_fd = v->fd;
	if (kick_ms)
		kick_timer(kick_ms * ktap_slow());
	reason = run_on(v, max);
	if (kick_ms)
		kick_timer(0);
	return reason;
}

/* ---- MSRs ---------------------------------------------------------------------- */

static void msr_block(u64 first, u64 last)
{
	struct vm *vm = vm_new(VM_IRQCHIP);
	struct vcpu *v = vcpu_new(vm, 0);

	look_after_neighbour();
	GUEST_START(v, msrs, first, last);
	guest_done(v);
	ktap_note("%#llx: %llu readable, %llu writable", first, *(u64 *)GP(vm, msr_read_ok),
		  *(u64 *)GP(vm, msr_write_ok));
	look_after_neighbour();
	vm_free(vm);
}

TEST(msrs_low) { msr_block(0, 0x1fff); }
TEST(msrs_high) { msr_block(0xc0000000, 0xc0001fff); }
TEST(msrs_amd) { msr_block(0xc0010000, 0xc0011fff); }
TEST(msrs_hypervisor) { msr_block(0x40000000, 0x400002ff); }

TEST(msrs_vital)
{
	struct vm *vm = vm_new(VM_IRQCHIP);

	GUEST_CALL(vcpu_new(vm, 0), vital_msrs);
	vm_free(vm);
}

TEST(msrs_to_the_launcher)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);

	set_policy(vm, KEEL_POLICY_EXIT, KEEL_POLICY_EXIT, KEEL_POLICY_EXIT);
	GUEST_START(v, msrs, 0x40000000ULL, 0x4000003fULL);
	CHECK_EQ(run_out(v, 1000), RUN_DONE);
	vm_free(vm);
}

/* ---- ports ----------------------------------------------------------------------- */

static void ports(u32 flags, u32 policy, u64 last)
{
	struct vm *vm = vm_new(flags);
	struct vcpu *v = vcpu_new(vm, 0);
	struct keel_info info;

	keel_info(&info);
	look_after_neighbour();
	set_policy(vm, policy, KEEL_POLICY_EXIT, KEEL_POLICY_FAULT);
	GUEST_START(v, ports, 0ULL, last, (u64)(info.vendor == KEEL_VENDOR_INTEL));
	CHECK_EQ(run_out(v, 20000), KEEL_EXIT_HYPERCALL);
	CHECK_EQ(v->run->hypercall.nr, 0x900d);
	CHECK_EQ(*(u64 *)GP(vm, last_port), last);
	look_after_neighbour();
	vm_free(vm);
}

/* Some 140000 exits. */
TEST_DEADLINE(ports_with_kernel_devices, 180)
{
	ports(VM_IRQCHIP | VM_PIT, KEEL_POLICY_ZERO, 0xffff);
}

TEST(ports_to_the_launcher) { ports(0, KEEL_POLICY_EXIT, 0x3ff); }

/* ---- interrupt controllers ----------------------------------------------------------- */

static const u64 values[] = {
	0, ~0ULL, 0x5a5a5a5a, 0xff, 0x100, 0x4500, 0x8500, 0xc4500, 0x4600, 0x400f1, 0x80400,
};

TEST(apic_registers)
{
	unsigned int i, n = 0;
	u64 reg;

	kick_ms = 20;
	look_after_neighbour();
	for (i = 0; i < ARRAY_SIZE(values); i++) {
		struct vm *vm = vm_new(VM_IRQCHIP);
		struct vcpu *v = vcpu_new(vm, 0);

		for (reg = 0; reg < 0x400; reg += 16) {
			GUEST_START(v, apic_register, reg, values[i]);
			n += run_out(v, 100) == RUN_DONE;
		}
		vm_free(vm);
	}
	ktap_note("%u of %u went on", n, 64 * i);
	/* Few values end a CPU: the kicks must not do it before the guest has tried. */
	CHECK_GE(n, 600);
	look_after_neighbour();
}

TEST(apic_pages)
{
	unsigned int i;

	kick_ms = 500;
	look_after_neighbour();
	for (i = 0; i < ARRAY_SIZE(values); i++) {
		struct vm *vm = vm_new(VM_IRQCHIP | VM_PIT);
		struct vcpu *v = vcpu_new(vm, 0);

		set_policy(vm, KEEL_POLICY_EXIT, KEEL_POLICY_ZERO, KEEL_POLICY_FAULT);
		GUEST_START(v, page_of_registers, 0xfec00000ULL, values[i]);
		run_out(v, 100);
		GUEST_START(v, page_of_registers, 0xfee00000ULL, values[i]);
		run_out(v, 100);
		GUEST_START(v, x2apic_registers, values[i]);
		run_out(v, 100);
		GUEST_START(v, apic_base, values[i] << 12 | 0x900);
		run_out(v, 100);
		vm_free(vm);
	}
	look_after_neighbour();
}

/* ---- wild jumps and tables --------------------------------------------------------------- */

TEST(jumps_and_tables)
{
	static const u64 where[] = {
		GUEST_HOLE, 0xfee00000, 0xfec00000, 0xfffff000, 0x100000000,
		0x8000000000000000, 0xffff800000000000, GUEST_RAM_SIZE, GUEST_TABLES,
	};
	struct vm *vm = vm_new(VM_IRQCHIP);
	struct vcpu *v = vcpu_new(vm, 0);
	unsigned int i;

	look_after_neighbour();
	kick_ms = 20;
	for (i = 0; i < ARRAY_SIZE(where); i++) {
		GUEST_START(v, jump, where[i]);
		CHECK_NE(run_out(v, 50), KEEL_EXIT_NONE);
		GUEST_START(v, bad_cr3, where[i]);
		CHECK_NE(run_out(v, 50), KEEL_EXIT_NONE);
	}
	look_after_neighbour();
	vm_free(vm);
}

/* ---- random code in ring 0, random state ----------------------------------------------------- */

static void fill_random(void *p, u64 len)
{
	u8 *b = p;

	while (len--)
		*b++ = rand() >> 7;
}

/* With interrupts off or a single step on, it would take such a host along. */
static void need_any_guest_back(void)
{
	if (host_is_bochs_svm())
		ktap_skip("this host dies of guests with TF, and of those that spin without IF");
}

TEST(random_code)
{
	struct vm *vm = vm_new(VM_IRQCHIP | VM_PIT);
	struct vcpu *v = vcpu_new(vm, 0);
	unsigned int i, ends[KEEL_EXIT_NR] = {};
	u8 *code = vm->ram + GUEST_SCRATCH;
	u8 *image = malloc(GUEST_SCRATCH);
	u32 reason;

	memcpy(image, vm->ram, GUEST_SCRATCH);
	need_any_guest_back();
	look_after_neighbour();
	srand(1);
	kick_ms = 20;
	for (i = 0; i < 250; i++) {
		memcpy(vm->ram, image, GUEST_SCRATCH);
		fill_random(code, 4096);
		GUEST_START(v, jump, (u64)GUEST_SCRATCH);
		reason = run_out(v, 20);
		if (reason < KEEL_EXIT_NR)
			ends[reason]++;
	}
	for (i = 0; i < KEEL_EXIT_NR; i++)
		if (ends[i])
			ktap_note("%s: %u", exit_name(i), ends[i]);
	look_after_neighbour();
	vm_free(vm);
}

/* The instructions that the kernel itself decodes, with random operands. */
TEST(random_mmio_code)
{
	struct vm *vm = vm_new(VM_IRQCHIP);
	struct vcpu *v = vcpu_new(vm, 0);
	u8 *code = vm->ram + GUEST_SCRATCH;
	unsigned int i;

	need_any_guest_back();
	look_after_neighbour();
	srand(2);
	kick_ms = 20;
	for (i = 0; i < 600; i++) {
		u64 target = rand() & 1 ? GUEST_HOLE : 0xfee00000;

		/* mov $target, %eax, then an instruction with (%rax) */
		fill_random(code, 64);
		code[0] = 0xb8;
		memcpy(code + 1, &target, 4);
		code[7] = 0x00 | (rand() & 7) << 3;
		GUEST_START(v, jump, (u64)GUEST_SCRATCH);
		run_out(v, 20);
	}
	look_after_neighbour();
	vm_free(vm);
}

/* State that the launcher made up: taken or refused, and then a named exit. */
TEST(random_state)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	struct keel_sregs good, bad;
	unsigned int i, taken = 0;
	struct state_bad where;
	int ret;

	REQUIRE(state_get(v->fd, KEEL_REC_SREGS, &good, sizeof(good)) > 0);
	need_any_guest_back();
	look_after_neighbour();
	srand(3);
	kick_ms = 20;
	for (i = 0; i < 600; i++) {
		u32 at = rand() % sizeof(bad), n = 1 + rand() % 8;

		GUEST_START(v, jump, (u64)GUEST_SCRATCH);
		REQUIRE(state_get(v->fd, KEEL_REC_SREGS, &bad, sizeof(bad)) > 0);
		if (n > sizeof(bad) - at)
			n = sizeof(bad) - at;
		fill_random((u8 *)&bad + at, n);
		ret = state_set(v->fd, KEEL_REC_SREGS, &bad, sizeof(bad), &where);
		if (ret) {
			CHECK_EQ(ret, -EINVAL);
			CHECK_EQ(where.type, KEEL_REC_SREGS);
			CHECK(where.offset < sizeof(bad), "offset %u", where.offset);
			continue;
		}
		taken++;
		run_out(v, 20);
	}
	ktap_note("%u of %u taken", taken, i);
	CHECK(taken > 0 && taken < i);
	look_after_neighbour();
	vm_free(vm);
}
