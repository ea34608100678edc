// SPDX-License-Identifier: GPL-2.0
/*
 * A guest's TSC at frequencies other than the host's: its rate by the host's
 * clock and by the LAPIC timer's, what exits and pauses do to it, deadlines,
 * records that go on in another VM, and frequencies that are refused.
 */
#include <errno.h>
#include <unistd.h>
#include "libkeel.h"

#define TRIES	8	/* a busy machine reads any clock late, but not always */

static u32 host_khz, max_khz;

static void need_scaling(void)
{
	struct keel_info info;

	keel_info(&info);
	host_khz = info.tsc_khz;
	max_khz = info.tsc_khz_max;
	if (!(info.features & KEEL_FEAT_TSC_SCALING))
		ktap_skip("no TSC scaling here");
}

/* @khz 0: as the host. */
static struct vm *machine(u32 khz, unsigned int cpus)
{
	struct vm *vm = vm_new_khz(VM_IRQCHIP, khz);
	unsigned int i;

	for (i = 0; i < cpus; i++)
		vcpu_new(vm, i);
	*(u64 *)GP(vm, tsc_khz) = khz ?: host_khz;
	return vm;
}

/* Half, the same, double, odd ratios, and far ones. */
static u32 khz_of(unsigned int n)
{
	switch (n) {
	case 0:
		return host_khz / 2;
	case 1:
		return host_khz;
	case 2:
		return host_khz * 2;
	case 3:
		return (u32)((u64)host_khz * 1237 / 1000) | 1;
	case 4:
		return KEEL_TSC_KHZ_MIN;
	case 5:
		return (u64)host_khz * 61 < max_khz ? host_khz * 61 : max_khz;
	default:
		return 0;
	}
}

#define for_each_khz(n, khz)	for ((n) = 0; ((khz) = khz_of(n)); (n)++)

/* ---- the rate ------------------------------------------------------------------ */

static bool rate_is_right(struct vcpu *v, u64 khz)
{
	u64 tsc, ns;

	guest_sync(v, 1);
	tsc = v->arg[1];
	ns = now_ns();
	sleep_ms(100);
	guest_sync(v, 1);
	tsc = v->arg[1] - tsc;
	ns = now_ns() - ns;
	tsc = tsc * 1000000 / khz;
	return tsc > ns * 95 / 100 && tsc < ns * 105 / 100;
}

TEST(rate_by_the_hosts_clock)
{
	unsigned int n, i;
	bool right;
	u32 khz;

	need_scaling();
	for_each_khz(n, khz) {
		struct vm *vm = machine(khz, 1);

		CHECK_EQ(vm_stat(vm, -1, "tsc_khz"), khz);
		GUEST_START(&vm->vcpu[0], stages);
		for (i = 0, right = false; i < TRIES && !right; i++)
			right = rate_is_right(&vm->vcpu[0], khz);
		CHECK(right, "%u kHz", khz);
		vm_free(vm);
	}
}

TEST(rate_by_the_lapic_timer)
{
	u64 ticks, least, ns = 20000000;
	unsigned int n, i;
	u32 khz;

	need_scaling();
	for_each_khz(n, khz) {
		struct vm *vm = machine(khz, 1);

		for (i = 0, least = ~0ULL; i < TRIES; i++) {
			ticks = GUEST_CALL(&vm->vcpu[0], lapic_ticks, ns);
			least = ticks < least ? ticks : least;
			if (least <= ns * khz / 1000000 * 110 / 100)
				break;
		}
		/* The timer follows another clock of the host: one part in a thousand. */
		CHECK_GE(least, ns * khz / 1000000 * 999 / 1000 - 1);
		CHECK_LE(least, ns * khz / 1000000 * 110 / 100);
		vm_free(vm);
	}
}

/* A VM that is scaled does not change the clock of one that is not. */
TEST(ratios_side_by_side)
{
	struct vm *vms[3];
	u64 tsc[3], ns[3];
	unsigned int i, try;
	bool right = false;

	need_scaling();
	for (i = 0; i < 3; i++) {
		vms[i] = machine(i == 0 ? 0 : i == 1 ? host_khz * 2 : host_khz / 2, 1);
		GUEST_START(&vms[i]->vcpu[0], stages);
	}
	for (try = 0; try < TRIES && !right; try++) {
		right = true;
		for (i = 0; i < 3; i++) {
			guest_sync(&vms[i]->vcpu[0], 1);
			tsc[i] = vms[i]->vcpu[0].arg[1];
			ns[i] = now_ns();
		}
		sleep_ms(100);
		for (i = 0; i < 3; i++) {
			u64 khz = i == 0 ? host_khz : i == 1 ? host_khz * 2 : host_khz / 2;

			guest_sync(&vms[i]->vcpu[0], 1);
			ns[i] = now_ns() - ns[i];
			tsc[i] = (vms[i]->vcpu[0].arg[1] - tsc[i]) * 1000000 / khz;
			right &= tsc[i] > ns[i] * 95 / 100 && tsc[i] < ns[i] * 105 / 100;
		}
	}
	CHECK(right);
	for (i = 0; i < 3; i++)
		vm_free(vms[i]);
}

TEST(cpuid_tells_the_rate)
{
	unsigned int n;
	u32 khz;
	u64 told;

	need_scaling();
	for_each_khz(n, khz) {
		struct vm *vm = machine(khz, 1);

		told = GUEST_CALL(&vm->vcpu[0], cpuid_khz);
		if (told)
			CHECK(told + told / 500000 + 1 >= khz && told <= khz + khz / 500000 + 1,
			      "%llu for %u", told, khz);
		else
			ktap_note("%u kHz: not told", khz);
		vm_free(vm);
	}
}

/* ---- what the guest does not see ------------------------------------------------- */

static void both_ways(u32 khz)
{
	struct vm *vm = machine(khz, 1);
	struct vcpu *v = &vm->vcpu[0];

	GUEST_START(v, both_ways);
	while (guest_run(v) == RUN_SYNC && v->arg[0] == 1)
		sleep_ms(1);
	CHECK_EQ(v->arg[0], 2);
	vm_free(vm);
}

TEST(never_back_unscaled) { both_ways(0); }
TEST(never_back)
{
	unsigned int n;
	u32 khz;

	need_scaling();
	for_each_khz(n, khz)
		both_ways(khz);
}

/* Two vCPUs read in turns: each read is later than the one before. */
TEST(vcpus_in_step)
{
	unsigned int n, i;
	u64 last;
	u32 khz;

	need_scaling();
	for_each_khz(n, khz) {
		struct vm *vm = machine(khz, 2);
		struct keel_rec_events ev;

		REQUIRE(state_get(vm->vcpu[1].fd, KEEL_REC_EVENTS, &ev, sizeof(ev)) > 0);
		ev.mp_state = KEEL_MP_RUNNABLE;
		REQUIRE_EQ(state_set(vm->vcpu[1].fd, KEEL_REC_EVENTS, &ev, sizeof(ev), NULL), 0);
		for (i = 0; i < 2; i++)
			GUEST_START(&vm->vcpu[i], stages);
		for (i = 0, last = 0; i < 200; i++) {
			struct vcpu *v = &vm->vcpu[i % 2];

			guest_sync(v, 1);
			CHECK_GE(v->arg[1], last);
			CHECK_GE(v->arg[2], v->arg[1]);
			last = v->arg[2];
		}
		vm_free(vm);
	}
}

TEST(adjust)
{
	unsigned int n;
	u32 khz;

	need_scaling();
	for_each_khz(n, khz) {
		struct vm *vm = machine(khz, 1);

		GUEST_CALL(&vm->vcpu[0], adjust);
		vm_free(vm);
	}
}

TEST(pause_freezes)
{
	struct keel_pause p = {};
	unsigned int n;
	u64 tsc;
	u32 khz;

	need_scaling();
	for_each_khz(n, khz) {
		struct vm *vm = machine(khz, 1);
		struct vcpu *v = &vm->vcpu[0];
		struct keel_rec_tsc a, b;

		GUEST_START(v, stages);
		guest_sync(v, 1);
		tsc = v->arg[1];
		REQUIRE_EQ(kcall_sized(vm->fd, KEEL_PAUSE, &p), 0);
		REQUIRE(state_get(v->fd, KEEL_REC_TSC, &a, sizeof(a)) == sizeof(a));
		sleep_ms(500);
		REQUIRE(state_get(v->fd, KEEL_REC_TSC, &b, sizeof(b)) == sizeof(b));
		CHECK_EQ(a.tsc, b.tsc);
		REQUIRE_EQ(kcall_sized(vm->fd, KEEL_RESUME, &p), 0);
		guest_sync(v, 1);
		CHECK_GE(v->arg[1], a.tsc);
		CHECK_GE(v->arg[2], v->arg[1]);
		CHECK_LE(v->arg[1] - tsc, khz * 400ULL);
		vm_free(vm);
	}
}

/* ---- deadlines ------------------------------------------------------------------- */

static void deadlines(u64 fn)
{
	unsigned int n, i;
	u64 late, least;
	u32 khz;

	need_scaling();
	for_each_khz(n, khz) {
		struct vm *vm = machine(khz, 1);

		for (i = 0, least = ~0ULL; i < TRIES && least > khz; i++) {
			guest_start(&vm->vcpu[0], fn, khz * 10ULL, 0ULL, 0ULL);
			late = guest_done(&vm->vcpu[0]);
			least = late < least ? late : least;
		}
		CHECK(least <= khz, "%u kHz: %llu ticks late", khz, least);
		vm_free(vm);
	}
}

TEST(deadline_asleep) { deadlines(G(deadline)); }
TEST(deadline_awake) { deadlines(G(deadline_awake)); }

/* ---- save and restore -------------------------------------------------------------- */

/* From @from kHz to a VM with @to: the value goes on, the rate is the new VM's. */
static void move(u32 from, u32 to)
{
	struct vm *a = machine(from, 1), *b = machine(to, 1);
	struct keel_rec_tsc rec, now;
	struct state_bad bad;
	struct vcpu *v = &b->vcpu[0];
	bool right = false;
	u64 tsc;
	int i, ret;

	GUEST_START(&a->vcpu[0], stages);
	guest_sync(&a->vcpu[0], 1);
	tsc = a->vcpu[0].arg[2];
	REQUIRE(state_get(a->vcpu[0].fd, KEEL_REC_TSC, &rec, sizeof(rec)) == sizeof(rec));
	CHECK_EQ(rec.khz, from);
	CHECK_GE(rec.tsc, tsc);
	vm_free(a);

	GUEST_START(v, stages);
	ret = state_set(v->fd, KEEL_REC_TSC, &rec, sizeof(rec), &bad);
	if (from == to) {
		CHECK_EQ(ret, 0);
	} else {
		CHECK_EQ(ret, -EINVAL);
		CHECK_EQ(bad.type, KEEL_REC_TSC);
		CHECK_EQ(bad.offset, offsetof(struct keel_rec_tsc, khz));
		/* Knowing it, the launcher can have that all the same: in either way. */
		CHECK_EQ(state_set(v->fd, KEEL_REC_TSC, &rec, offsetof(struct keel_rec_tsc, khz),
				   NULL), 0);
		rec.khz = 0;
		CHECK_EQ(state_set(v->fd, KEEL_REC_TSC, &rec, sizeof(rec), NULL), 0);
	}
	guest_sync(v, 1);
	CHECK_GE(v->arg[1], rec.tsc);
	for (i = 0; i < TRIES && !right; i++)
		right = rate_is_right(v, to);
	CHECK(right, "%u to %u kHz", from, to);

	/* The time in between counts at the new rate, if it counts. */
	rec.host_ns = now_ns() - NSEC;
	CHECK_EQ(state_set(v->fd, KEEL_REC_TSC, &rec, sizeof(rec), NULL), 0);
	REQUIRE(state_get(v->fd, KEEL_REC_TSC, &now, sizeof(now)) == sizeof(now));
	CHECK_GE(now.tsc - rec.tsc, to * 1000ULL - 1);
	rec.host_ns = 0;
	CHECK_EQ(state_set(v->fd, KEEL_REC_TSC, &rec, sizeof(rec), NULL), 0);
	REQUIRE(state_get(v->fd, KEEL_REC_TSC, &now, sizeof(now)) == sizeof(now));
	CHECK_LE(now.tsc - rec.tsc, to * 900ULL);
	vm_free(b);
}

TEST(moves_to_the_same_rate) { need_scaling(); move(host_khz * 2, host_khz * 2); }
TEST(moves_to_a_faster_one) { need_scaling(); move(host_khz / 2, host_khz * 3); }
TEST(moves_to_a_slower_one) { need_scaling(); move(host_khz * 2, host_khz / 3); }

/* Two measurements of one host's clock differ by some parts per million. */
TEST(record_tolerates_what_clocks_do)
{
	struct vm *vm = vm_new(VM_IRQCHIP);
	struct keel_rec_tsc rec;
	u64 khz;

	vcpu_new(vm, 0);
	REQUIRE(state_get(vm->vcpu[0].fd, KEEL_REC_TSC, &rec, sizeof(rec)) == sizeof(rec));
	khz = rec.khz;
	rec.khz = khz + khz / 5000;
	CHECK_EQ(state_set(vm->vcpu[0].fd, KEEL_REC_TSC, &rec, sizeof(rec), NULL), 0);
	rec.khz = khz - khz / 5000;
	CHECK_EQ(state_set(vm->vcpu[0].fd, KEEL_REC_TSC, &rec, sizeof(rec), NULL), 0);
	rec.khz = khz + khz / 3000;
	CHECK_EQ(state_set(vm->vcpu[0].fd, KEEL_REC_TSC, &rec, sizeof(rec), NULL), -EINVAL);
	rec.khz = khz - khz / 3000;
	CHECK_EQ(state_set(vm->vcpu[0].fd, KEEL_REC_TSC, &rec, sizeof(rec), NULL), -EINVAL);
	/* No length but the two that there are. */
	CHECK_EQ(state_set(vm->vcpu[0].fd, KEEL_REC_TSC, &rec, 16, NULL), -EINVAL);
	CHECK_EQ(state_set(vm->vcpu[0].fd, KEEL_REC_TSC, &rec, 31, NULL), -EINVAL);
	vm_free(vm);
}

/* ---- refused ------------------------------------------------------------------------ */

static int create(u64 features, u32 khz)
{
	struct keel_create_vm arg = { .features = features, .tsc_khz = khz };
	int fd = kcall_sized(keel_dev(), KEEL_CREATE_VM, &arg);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

TEST(frequencies_that_are_refused)
{
	struct keel_info info;
	u64 feat = KEEL_FEAT_TSC_SCALING;

	keel_info(&info);
	CHECK_EQ(create(0, info.tsc_khz), -EINVAL);
	CHECK_EQ(create(info.features & ~feat, 1), -EINVAL);
	if (!(info.features & feat)) {
		CHECK_EQ(info.tsc_khz_max, 0);
		CHECK_EQ(create(feat, 0), -EOPNOTSUPP);
		CHECK_EQ(create(feat, info.tsc_khz), -EOPNOTSUPP);
		return;
	}
	CHECK(info.cpu_caps & KEEL_CAP_TSC_SCALING);
	CHECK_GE(info.tsc_khz_max, info.tsc_khz);
	CHECK_EQ(create(feat, 0), 0);
	CHECK_EQ(create(feat, info.tsc_khz), 0);
	CHECK_EQ(create(feat, KEEL_TSC_KHZ_MIN), 0);
	CHECK_EQ(create(feat, KEEL_TSC_KHZ_MIN - 1), -EINVAL);
	CHECK_EQ(create(feat, 1), -EINVAL);
	CHECK_EQ(create(feat, info.tsc_khz_max), 0);
	if (info.tsc_khz_max != ~0U) {
		CHECK_EQ(create(feat, info.tsc_khz_max + 1), -EINVAL);
		CHECK_EQ(create(feat, ~0U), -EINVAL);
	}
}
