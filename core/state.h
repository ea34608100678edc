/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The registry of state records: every record is described by the file that
 * owns the state; this is the one place that checks a whole set before any of
 * it is applied.  It must not know what a record holds.
 */
#ifndef KEEL_CORE_STATE_H
#define KEEL_CORE_STATE_H

#include "core/types.h"

struct keel_vm;
struct keel_vcpu;
struct keel_state;

/*
 * One record type.  @vcpu is NULL for a VM's record.  All in [task] with the
 * vCPU stopped and owned by the caller (VM records: vm->lock held, all vCPUs
 * stopped or parked).  check() must not change anything: -EINVAL with
 * *@bad_offset (in the payload), or -EOPNOTSUPP.  load() cannot fail.
 * Records are applied in the order of the tables in core/state.c.
 */
struct keel_record {
	u32 type;		/* KEEL_REC_* */
	u32 version;
	bool any_len;		/* check() judges the length; else it must be size() */
	/* payload bytes now, 0: not present in this VM */
	u32 (*size)(struct keel_vm *vm, struct keel_vcpu *vcpu);
	int (*save)(struct keel_vm *vm, struct keel_vcpu *vcpu, void *buf, u32 len);
	int (*check)(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len,
		     u32 *bad_offset);
	void (*load)(struct keel_vm *vm, struct keel_vcpu *vcpu, const void *buf, u32 len);
};

/* Defined by the files that own the state. */
extern const struct keel_record keel_rec_regs, keel_rec_sregs, keel_rec_debug, keel_rec_msrs,
	keel_rec_events, keel_rec_xsave, keel_rec_tsc;	/* core/record.c, core/msr.c */
extern const struct keel_record lapic_record;				/* irqchip/ */
extern const struct keel_record pic_record, ioapic_record, pit_record;	/* irqchip/ */

/* [task] @arg is the kernel copy; fills its out fields.  @vcpu NULL: VM records. */
int keel_state_get(struct keel_vm *vm, struct keel_vcpu *vcpu, struct keel_state *arg);
int keel_state_set(struct keel_vm *vm, struct keel_vcpu *vcpu, struct keel_state *arg);

#endif /* KEEL_CORE_STATE_H */
