// SPDX-License-Identifier: GPL-2.0
/*
 * A VM's clock.  Guest TSC = scaled host TSC + the VM's offset + the vCPU's
 * adjustment, modulo 2^64 as in the CPU.  It must not know a control block or
 * what a guest does with the time.
 */
#include <linux/keel.h>
#include <linux/timex.h>
#include <asm/tsc.h>
#include "core/tsc.h"
#include "core/tsc_math.h"
#include "core/vcpu.h"
#include "core/vm.h"

/* What two boots of a machine may measure apart for one clock, parts per million. */
#define TSC_TOLERANCE_PPM	250
/* Of a host that does not know it: a tick is taken for a nanosecond. */
#define TSC_UNKNOWN_KHZ		1000000U

/* The host's frequency; it may be measured better while a system starts. */
static u32 host_khz(void)
{
	return READ_ONCE(tsc_khz);
}

static u64 tsc_scale(const struct keel_vm *vm, u64 host)
{
	if (likely(!vm->tsc_ratio))
		return host;
	return keel_tsc_scale(host, vm->tsc_ratio, keel_backend->tsc_format.frac_bits);
}

/* ---- frequency --------------------------------------------------------------- */

u32 keel_tsc_khz_max(void)
{
	if (!keel_backend || !(keel_backend->caps() & KEEL_CAP_TSC_SCALING))
		return 0;
	return keel_tsc_khz_highest(host_khz(), keel_backend->tsc_format);
}

int keel_tsc_init(struct keel_vm *vm, u32 khz)
{
	bool scaling = vm->features & KEEL_FEAT_TSC_SCALING;
	int err = 0;

	if (khz && !scaling)
		return -EINVAL;
	if (scaling && !keel_tsc_khz_max())
		return -EOPNOTSUPP;
	/* With the host's own frequency it is not scaled at all. */
	vm->tsc_khz = khz;
	if (khz && khz != host_khz())
		err = keel_tsc_ratio(khz, host_khz(), keel_backend->tsc_format, &vm->tsc_ratio);
	vm->tsc_offset = -tsc_scale(vm, rdtsc_ordered());
	return err;
}

u32 keel_tsc_khz(const struct keel_vm *vm)
{
	return vm->tsc_khz ?: host_khz() ?: TSC_UNKNOWN_KHZ;
}

bool keel_tsc_khz_matches(struct keel_vm *vm, u64 khz)
{
	u64 ours = keel_tsc_khz(vm);

	return (khz > ours ? khz - ours : ours - khz) <= ours * TSC_TOLERANCE_PPM / 1000000;
}

/* ---- the clock --------------------------------------------------------------- */

u64 keel_guest_tsc(struct keel_vm *vm)
{
	u64 host = rdtsc_ordered();

	/* Until pause_tsc is set the clock still runs: vCPUs are on their way out. */
	if (unlikely(READ_ONCE(vm->paused)) && READ_ONCE(vm->pause_tsc))
		host = READ_ONCE(vm->pause_tsc);
	return tsc_scale(vm, host) + READ_ONCE(vm->tsc_offset);
}

u64 keel_tsc_offset(const struct keel_vcpu *vcpu)
{
	return READ_ONCE(vcpu->vm->tsc_offset) + vcpu->tsc_adjust;
}

static void tsc_changed(struct keel_vm *vm)
{
	struct keel_vcpu *vcpu;
	u32 i;

	keel_for_each_vcpu(i, vcpu, vm)
		keel_vcpu_request(vcpu, KEEL_REQ_TSC);
}

void keel_vm_set_tsc(struct keel_vm *vm, u64 tsc)
{
	mutex_lock(&vm->lock);
	WRITE_ONCE(vm->tsc_offset, vm->tsc_offset + (tsc - keel_guest_tsc(vm)));
	mutex_unlock(&vm->lock);
	tsc_changed(vm);
}

void keel_tsc_freeze(struct keel_vm *vm)
{
	lockdep_assert_held(&vm->lock);
	WRITE_ONCE(vm->pause_tsc, rdtsc_ordered());
}

void keel_tsc_thaw(struct keel_vm *vm)
{
	u64 now = rdtsc_ordered();

	lockdep_assert_held(&vm->lock);
	/* Nobody reads the clock now: vCPUs are parked, timers stand still. */
	WRITE_ONCE(vm->tsc_offset,
		   vm->tsc_offset - (tsc_scale(vm, now) - tsc_scale(vm, vm->pause_tsc)));
	WRITE_ONCE(vm->pause_tsc, now);
	tsc_changed(vm);
}

/* ---- its units --------------------------------------------------------------- */

u64 keel_tsc_to_ns(struct keel_vm *vm, u64 ticks)
{
	return keel_tsc_ticks_to_ns(ticks, keel_tsc_khz(vm));
}

u64 keel_tsc_to_host(struct keel_vm *vm, u64 ticks)
{
	if (likely(!vm->tsc_ratio))
		return ticks;
	return keel_tsc_unscale(ticks, vm->tsc_ratio, keel_backend->tsc_format.frac_bits);
}

u64 keel_ns_to_tsc(struct keel_vm *vm, u64 ns)
{
	return keel_tsc_ns_to_ticks(ns, keel_tsc_khz(vm));
}
