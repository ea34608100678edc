/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest memory as the launcher laid it out: slots that map guest frames to its
 * address space, their all-or-nothing changes, and the kernel's own accesses
 * to guest memory.  It must not know stage-2 tables; ept/ reads slots here.
 */
#ifndef KEEL_CORE_MEM_H
#define KEEL_CORE_MEM_H

#include <linux/refcount.h>
#include "core/types.h"

struct keel_vm;
struct keel_mem_op;
struct keel_dirty_get;

#define KEEL_MAX_SLOTS		512

/* Which pages of a slot were written.  Lives as long as a map with that slot. */
struct keel_dirty_log {
	refcount_t refs;	/* each map that has the slot, and who reads it without SRCU */
	u64 npages;
	unsigned long bits[];	/* any context, atomic */
};

/* One slot.  Immutable once published, but for its log; lives as long as its map. */
struct keel_slot {
	gfn_t base;
	u64 npages;
	hva_t hva;
	u32 flags;		/* KEEL_MEM_READONLY, KEEL_MEM_LOG_DIRTY */
	struct keel_dirty_log *log;	/* with KEEL_MEM_LOG_DIRTY, else NULL */
};

/*
 * All slots of a VM, sorted by @base, without overlap.  Readers: under
 * srcu_read_lock(&keel_srcu).  Replaced as a whole under vm->lock, freed by call_srcu().
 */
struct keel_memmap {
	struct rcu_head rcu;
	u32 nr;
	struct keel_slot slots[];
};

/* [SRCU] the slot that holds @gfn, or NULL */
const struct keel_slot *keel_mem_slot(struct keel_vm *vm, gfn_t gfn);

static inline hva_t keel_slot_hva(const struct keel_slot *slot, gfn_t gfn)
{
	return slot->hva + ((gfn - slot->base) << KEEL_PAGE_SHIFT);
}

/* [task, vm->lock held] apply all or none; *@bad is the operation to blame.
 * Errors: those of KEEL_MEM_COMMIT.  On return no vCPU can reach what is gone.
 */
int keel_mem_commit(struct keel_vm *vm, const struct keel_mem_op *ops, u32 nr, u32 *bad);
/* Any context: width of guest-physical addresses on this host, in bits */
unsigned int keel_gpa_bits(void);
/* [task] KEEL_DIRTY_GET: 0 or its errors */
int keel_dirty_get(struct keel_vm *vm, struct keel_dirty_get *arg);
int keel_mem_init(struct keel_vm *vm);
void keel_mem_fini(struct keel_vm *vm);		/* nobody else uses the VM */

/*
 * [task, in the launcher's address space, may fault] Copy to or from guest
 * memory; may cross pages and slots.  0, -ENXIO: no slot (or read-only, for a
 * write), -EFAULT: the launcher's memory is not there.  A failed write may
 * have changed the pages before the failing one.
 */
int keel_guest_read(struct keel_vm *vm, gpa_t gpa, void *buf, unsigned int len);
int keel_guest_write(struct keel_vm *vm, gpa_t gpa, const void *buf, unsigned int len);
/* Atomic; @size 1, 2, 4, 8, naturally aligned (-EINVAL).  0, 1: changed meanwhile, or as above. */
int keel_guest_cmpxchg(struct keel_vm *vm, gpa_t gpa, unsigned int size, u64 old, u64 new);

/* core/mem_log.c */
/* [task] a reference to a log of @npages, none of them written; NULL: no memory */
struct keel_dirty_log *keel_log_new(u64 npages);
static inline struct keel_dirty_log *keel_log_get(struct keel_dirty_log *log)
{
	refcount_inc(&log->refs);
	return log;
}

void keel_log_put(struct keel_dirty_log *log);	/* any context with BHs; NULL is fine */
/*
 * Any context, NMI excepted.  Page @page of the log's slot was written, or is
 * written under the read side of the stage-2 lock.
 */
static inline void keel_log_set(struct keel_dirty_log *log, u64 page)
{
	set_bit(page, log->bits);
}

/* [SRCU] @gfn was written, by somebody who needed no stage-2 leaf; any context, NMI excepted */
void keel_log_gfn(struct keel_vm *vm, gfn_t gfn);

#endif /* KEEL_CORE_MEM_H */
