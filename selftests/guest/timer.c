// SPDX-License-Identifier: GPL-2.0
/*
 * Who counts for the LAPIC's timer: the CPU in guest mode where it can and the
 * module's parameter lets it, else the host. Expected is what KEEL_INFO says.
 */
#include <errno.h>
#include <stdlib.h>
#include "host.h"
#include "libkeel.h"

static bool counted_in_guest(void)
{
	struct keel_info info;

	keel_info(&info);
	return info.cpu_caps & KEEL_CAP_PREEMPTION_TIMER;
}

struct counts {
	u64 timer, interrupt, hlt;
};

static struct counts counts(struct vm *vm)
{
	return (struct counts){
		.timer = vm_stat(vm, 0, "exit_timer"),
		.interrupt = vm_stat(vm, 0, "exit_interrupt"),
		.hlt = vm_stat(vm, 0, "exit_hlt"),
	};
}

static struct vm *machine(void)
{
	struct keel_info info;
	struct vm *vm;

	keel_info(&info);
	if (!(info.features & KEEL_FEAT_TSC_DEADLINE))
		ktap_skip("no TSC deadline");
	vm = vm_new(VM_IRQCHIP);
	vcpu_new(vm, 0);
	*(u64 *)GP(vm, tsc_khz) = info.tsc_khz;
	return vm;
}

/* The parameter is obeyed, and what it switched off is not offered. */
TEST(parameter)
{
	static char report[4096];
	struct keel_info info = { .report = (u64)(unsigned long)report,
				  .report_size = sizeof(report) };
	char buf[16];
	bool there;

	REQUIRE_EQ(kcall_sized(keel_dev(), KEEL_INFO, &info), 0);
	there = strstr(report, "present: preemption timer");
	host_read("/sys/module/keel/parameters/preemption_timer", buf, sizeof(buf));
	REQUIRE(*buf == 'Y' || *buf == 'N', "%s", buf);
	CHECK_EQ(!!(info.cpu_caps & KEEL_CAP_PREEMPTION_TIMER), there && *buf == 'Y');
}

#define MANY	100

static void at_work(u64 fn, u64 expirations)
{
	struct vm *vm = machine();
	struct counts c;
	u64 late;

	guest_start(&vm->vcpu[0], fn, (u64)MANY, 0ULL, 0ULL);
	late = guest_done(&vm->vcpu[0]);
	c = counts(vm);
	ktap_note("exits: timer %llu, interrupt %llu; late: %llu ticks", c.timer, c.interrupt,
		  late / MANY);
	if (counted_in_guest()) {
		/* A period that passed while another exit was handled has no exit of its own. */
		CHECK_GE(c.timer, expirations * 3 / 4);
		CHECK_LE(c.timer, expirations + expirations / 4);
		/* The host's own tick, and no more. */
		CHECK_LE(c.interrupt, expirations * 3 / 4);
	} else {
		CHECK_EQ(c.timer, 0);
	}
	vm_free(vm);
}

TEST(deadlines_at_work) { at_work(G(deadlines), MANY); }
TEST(counters_at_work) { at_work(G(counters), 2 * MANY); }

TEST(deadlines_asleep)
{
	struct vm *vm = machine();
	struct counts c;

	GUEST_CALL(&vm->vcpu[0], deadlines_asleep, 20ULL);
	c = counts(vm);
	ktap_note("exits: timer %llu, interrupt %llu, hlt %llu", c.timer, c.interrupt, c.hlt);
	CHECK_GE(c.hlt, 15);
	/* Now and then one expires on the way into HLT. */
	CHECK_LE(c.timer, 5);
	vm_free(vm);
}

TEST(moved_and_taken_back)
{
	struct vm *vm = machine();

	GUEST_CALL(&vm->vcpu[0], moved, 200ULL);
	vm_free(vm);
}

TEST(farther_than_a_slice)
{
	struct vm *vm = machine();

	GUEST_CALL(&vm->vcpu[0], far, 60ULL);
	vm_free(vm);
}

/* A pause is no time for the guest; a deadline is neither early nor lost. */
TEST(across_a_pause)
{
	struct vm *vm = machine();
	struct vcpu *v = &vm->vcpu[0];
	struct keel_pause arg = {};
	u64 khz = *(u64 *)GP(vm, tsc_khz), late;

	GUEST_START(v, across, 40ULL);
	guest_sync(v, 1);
	REQUIRE_EQ(kcall_sized(vm->fd, KEEL_PAUSE, &arg), 0);
	sleep_ms(100);
	REQUIRE_EQ(kcall_sized(vm->fd, KEEL_RESUME, &arg), 0);
	late = guest_done(v);
	CHECK_LE(late, khz * 2000);
	vm_free(vm);
}

/* The guest's clock is set to beyond the deadline: it is due at once. */
TEST(the_clock_is_set)
{
	struct vm *vm = machine();
	struct vcpu *v = &vm->vcpu[0];
	u64 khz = *(u64 *)GP(vm, tsc_khz), begin;
	struct keel_rec_tsc tsc;

	GUEST_START(v, across, 100000ULL);
	guest_sync(v, 1);
	REQUIRE(state_get(v->fd, KEEL_REC_TSC, &tsc, sizeof(tsc)) > 0);
	tsc.tsc += khz * 99990;
	tsc.host_ns = 0;
	REQUIRE_EQ(state_set(v->fd, KEEL_REC_TSC, &tsc, sizeof(tsc), NULL), 0);
	begin = now_ns();
	guest_done(v);
	CHECK_LE(now_ns() - begin, 10 * NSEC);
	vm_free(vm);
}

/* A deadline that passes while nobody runs the vCPU is found by who looks, and by who runs. */
TEST(passed_meanwhile)
{
	struct vm *vm = machine();
	struct vcpu *v = &vm->vcpu[0];
	static struct keel_rec_lapic rec;
	u32 irr;

	GUEST_START(v, across, 20ULL);
	guest_sync(v, 1);
	sleep_ms(60);
	REQUIRE_EQ(state_get(v->fd, KEEL_REC_LAPIC, &rec, sizeof(rec)), sizeof(rec));
	CHECK_EQ(rec.tsc_deadline, 0);
	memcpy(&irr, rec.regs + 0x200 + 0xe3 / 32 * 16, sizeof(irr));
	CHECK_EQ(irr, 1U << (0xe3 & 31));
	guest_done(v);
	vm_free(vm);
}

/* Saved with the timer armed, loaded, and it comes; mode and place do not matter. */
TEST(saved_and_loaded)
{
	struct vm *vm = machine();
	struct vcpu *v = &vm->vcpu[0];
	static struct keel_rec_lapic rec, off;

	GUEST_START(v, across, 200ULL);
	guest_sync(v, 1);
	REQUIRE_EQ(state_get(v->fd, KEEL_REC_LAPIC, &rec, sizeof(rec)), sizeof(rec));
	CHECK_NE(rec.tsc_deadline, 0);
	off = rec;
	off.tsc_deadline = 0;
	REQUIRE_EQ(state_set(v->fd, KEEL_REC_LAPIC, &off, sizeof(off), NULL), 0);
	REQUIRE_EQ(state_get(v->fd, KEEL_REC_LAPIC, &off, sizeof(off)), sizeof(off));
	CHECK_EQ(off.tsc_deadline, 0);
	REQUIRE_EQ(state_set(v->fd, KEEL_REC_LAPIC, &rec, sizeof(rec), NULL), 0);
	guest_done(v);
	vm_free(vm);
}
