/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One virtual machine: what its vCPUs share.  It must not know a vendor's
 * control block.
 */
#ifndef KEEL_CORE_VM_H
#define KEEL_CORE_VM_H

#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/srcu.h>
#include <linux/wait.h>
#include "core/backend.h"
#include "core/iobus.h"
#include "core/mem.h"
#include "core/request.h"
#include "core/tsc.h"
#include "ept/ept.h"

struct keel_irqchip_state;
struct keel_cpuid_table;

#define KEEL_MAX_VCPUS		64

/* One SRCU domain for all VMs: maps and buses are freed by call_srcu(), so
 * that no control call waits for a grace period.
 */
extern struct srcu_struct keel_srcu;

struct keel_vm {
	refcount_t refs;		/* VM fd, vCPU fds, stats fds, ... */
	struct mm_struct *mm;		/* the launcher's; mmgrab()bed */
	u64 features;			/* KEEL_FEAT_* asked for; constant */
	struct mutex lock;		/* every control call; outside of all other locks */
	bool bugged;			/* set once, never cleared; any context */

	/* Written under @lock, published by store-release; id -> vCPU or NULL. */
	struct keel_vcpu *vcpus[KEEL_MAX_VCPUS];
	u32 nr_vcpus;			/* @lock */
	u32 max_vcpu_id;		/* highest id + 1; store-release under @lock */
	bool has_run;			/* a vCPU ran: CPUID is constant; once true for ever */

	struct keel_memmap __rcu *memmap;	/* @lock, keel_srcu */
	struct keel_iobus __rcu *bus[KEEL_NR_BUSES];	/* @lock, keel_srcu */
	struct keel_s2 s2;
	bool log_dirty;			/* @lock; vCPUs READ_ONCE: the CPU is to log writes */

	struct keel_irqchip_state *irqchip;	/* NULL or constant once set, @lock */
	struct list_head irqfds;	/* @lock */
	struct list_head ioeventfds;	/* @lock */

	struct keel_cpuid_table *cpuid;	/* @lock; constant after has_run */
	u32 guest_has;			/* KEEL_G_*, with @cpuid */
	struct {
		u8 msr, pio, mmio, hypercall;	/* KEEL_POLICY_*; WRITE_ONCE under @lock */
	} policy;

	u32 tsc_khz;			/* asked for, 0: the host's; constant */
	u64 tsc_ratio;			/* in the back end's format, 0: not scaled; constant */
	u64 tsc_offset;			/* guest TSC = scaled host TSC + offset; @lock */
	bool paused;			/* @lock; vCPUs read it with READ_ONCE */
	u64 pause_tsc;			/* host TSC at PAUSE; @lock */
	wait_queue_head_t pause_wait;	/* vCPUs parked or idle; resume */

};

/* [task] KEEL_CREATE_VM: new VM fd or -errno */
struct keel_create_vm;
int keel_vm_create(struct keel_create_vm *arg);
static inline void keel_vm_get(struct keel_vm *vm) { refcount_inc(&vm->refs); }
void keel_vm_put(struct keel_vm *vm);	/* [task] */

/* [task, vm->lock] KEEL_POLICY_SET, KEEL_PAUSE, KEEL_RESUME: 0 or their errors */
struct keel_policy;
int keel_vm_policy(struct keel_vm *vm, const struct keel_policy *arg);
int keel_vm_pause(struct keel_vm *vm);
int keel_vm_resume(struct keel_vm *vm);

/* Any context: a broken invariant.  Warns once, makes every call -EIO, stops vCPUs. */
void keel_vm_bugged(struct keel_vm *vm, const char *what);
static inline struct keel_vcpu *keel_vm_vcpu(struct keel_vm *vm, u32 id)
{
	/* Pairs with the release that publishes a vCPU: it is complete. */
	return id < KEEL_MAX_VCPUS ? smp_load_acquire(&vm->vcpus[id]) : NULL;
}

/* The first vCPU with an id of at least *@id, or NULL; *@id becomes its id. */
static inline struct keel_vcpu *keel_vm_next_vcpu(struct keel_vm *vm, u32 *id)
{
	/* Pairs with the release of a higher end: what is below it is published. */
	u32 end = smp_load_acquire(&vm->max_vcpu_id);
	struct keel_vcpu *vcpu;

	for (; *id < end; (*id)++) {
		vcpu = keel_vm_vcpu(vm, *id);
		if (vcpu)
			return vcpu;
	}
	return NULL;
}

#define keel_for_each_vcpu(i, v, vm)				\
	for (i = 0, v = keel_vm_next_vcpu(vm, &i); v;		\
	     i++, v = keel_vm_next_vcpu(vm, &i))

#endif /* KEEL_CORE_VM_H */
