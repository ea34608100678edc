/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest memory as the launcher laid it out: slots that map guest frames to its
 * address space, their all-or-nothing changes, and the kernel's own accesses
 * to guest memory.  It must not know stage-2 tables; ept/ reads slots here.
 */
#ifndef KEEL_CORE_MEM_H
#define KEEL_CORE_MEM_H

#include "core/types.h"

struct keel_vm;
struct keel_mem_op;

#define KEEL_MAX_SLOTS		512

/* One slot.  Immutable once published; lives as long as its map. */
struct keel_slot {
	gfn_t base;
	u64 npages;
	hva_t hva;
	u32 flags;		/* KEEL_MEM_READONLY */
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

#endif /* KEEL_CORE_MEM_H */
