/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VM's clock, its TSC: one offset and one ratio for all vCPUs, the distance
 * of each in vcpu->tsc_adjust.  It must not know how a control block holds
 * them, nor who reads the clock.
 */
#ifndef KEEL_CORE_TSC_H
#define KEEL_CORE_TSC_H

#include "core/types.h"

struct keel_vm;
struct keel_vcpu;

/*
 * [task] Before the VM is visible: its clock starts at 0 with @khz, 0 being
 * the host's frequency.  0; -EINVAL: @khz without KEEL_FEAT_TSC_SCALING, or
 * beyond the limits; -EOPNOTSUPP: the feature without a CPU that has it.
 */
int keel_tsc_init(struct keel_vm *vm, u32 khz);
/* Highest frequency of a scaled TSC, kHz; 0: this host cannot scale. */
u32 keel_tsc_khz_max(void);
/* Any context.  The frequency of this VM's TSC, kHz; not 0. */
u32 keel_tsc_khz(const struct keel_vm *vm);
/* Is @khz, which a state was saved with, this VM's?  Two measurements of one clock differ. */
bool keel_tsc_khz_matches(struct keel_vm *vm, u64 khz);

/* Any context.  Ticks now; stands still while the VM is paused. */
u64 keel_guest_tsc(struct keel_vm *vm);
/* [task, takes vm->lock] every vCPU follows */
void keel_vm_set_tsc(struct keel_vm *vm, u64 tsc);
/* [task, vm->lock, all vCPUs parked] the clock stops, and goes on where it stood */
void keel_tsc_freeze(struct keel_vm *vm);
void keel_tsc_thaw(struct keel_vm *vm);

/* Any context.  Time until the guest's TSC has gone on by @ticks, rounded up. */
u64 keel_tsc_to_ns(struct keel_vm *vm, u64 ticks);	/* saturates at S64_MAX */
u64 keel_tsc_to_host(struct keel_vm *vm, u64 ticks);	/* in ticks of the host; U64_MAX */
/* Any context.  Ticks of the guest's TSC in @ns. */
u64 keel_ns_to_tsc(struct keel_vm *vm, u64 ns);

/* [vCPU owner] guest TSC less scaled host TSC, for the control block */
u64 keel_tsc_offset(const struct keel_vcpu *vcpu);

#endif /* KEEL_CORE_TSC_H */
