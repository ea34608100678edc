/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stage 2: the tables that turn guest-physical into host-physical addresses,
 * filled by faults and kept true to the launcher's memory by an mmu notifier.
 * The one public header of ept/.  It must not know control blocks or exits.
 */
#ifndef KEEL_EPT_EPT_H
#define KEEL_EPT_EPT_H

#include <linux/spinlock.h>
#include "core/types.h"
#include "ept/walk.h"

struct keel_slot;
struct keel_vm;
struct keel_vcpu;
struct s2_bind;

/* Why s2_fault() did not simply map the page. */
enum s2_result {
	S2_MAPPED,		/* (or was mapped by somebody else, or try again): enter again */
	S2_MMIO,		/* no slot here, or a write to a read-only one */
	S2_NO_EXEC,		/* instruction fetch where no slot is */
	S2_ERROR,		/* the launcher's memory is not there: *error */
	S2_SIGNAL,		/* a signal interrupted the host's page fault */
};

/*
 * Stage 2 of one VM.
 *
 * When a range of the launcher's addresses changes, it is held: from before its
 * leaves are zapped until the new state (host page tables, or the map of slots)
 * is visible.  Held ranges are in host-virtual addresses, so that a fault need
 * not know which map of slots the holder has seen.  A fault
 *	1. reads @hold_seq (acquire), 2. looks up the slot, 3. resolves the host
 *	page, 4. under the read side of @lock sees that its page is not held and
 *	that @hold_seq is the same, and 5. installs the leaf before it unlocks.
 * A holder
 *	a. adds its range under the write side, b. zaps, flushes, c. changes,
 *	d. under the write side increments @hold_seq and drops its range.
 * If (4) comes before (a), then (b) removes the leaf; between (a) and (d) the
 * fault sees the range; after (d) it sees the sequence, unless (1) came after
 * (d) too, and then (2) and (3) see what (c) has done.
 */
struct keel_s2 {
	struct s2_tables t;	/* constant after s2_init() */
	hpa_t root;		/* of t.root, as the CPU wants it; constant */
	u8 levels;		/* 4 or 5, constant */
	bool dead;		/* write side: the launcher's memory is gone */
	/*
	 * Read side: install entries with cmpxchg.  Write side: remove entries
	 * and tables.  Taken inside mmap_lock, never around it; IRQs on.
	 */
	rwlock_t lock;
	unsigned long hold_seq;	/* write side; faults read it */
	long holders;		/* write side: ranges held now */
	hva_t hold_start;	/* write side: their union while holders > 0 */
	hva_t hold_end;		/* first byte beyond */
	/*
	 * Removals whose flush is not over.  Raised under the write side; who
	 * finds nothing left to remove must flush all the same while it is not 0.
	 */
	atomic_t flushing;
	/*
	 * What the xAPIC page leads to where no slot is: a page that a CPU with APICv
	 * knows by its address and does not access.  0: none; constant once set.
	 */
	hpa_t apic_page;
	atomic_t apic_vetoes;	/* any: reasons not to map it; see s2_apic_veto() */
	atomic_long_t tables;	/* pages in tables, root included */
	atomic_long_t mapped[3];/* leaf entries: 4 KiB, 2 MiB, 1 GiB */
	struct s2_bind *bind;	/* the mmu notifier; constant until s2_fini() */
};

/*
 * [task, in the launcher's address space] @format by vendor: npt_format or
 * ept_format; @max_leaf: S2_LEVEL_*, the largest page that the CPU takes.
 * 0 or -errno.
 */
int s2_init(struct keel_vm *vm, const struct s2_format *format, u8 levels, u8 max_leaf);
/* [task] no vCPU runs any more; also safe on zeroed memory and after a failed s2_init() */
void s2_fini(struct keel_vm *vm);
/* [task] module exit, after the last VM: waits for what s2_fini() left to RCU */
void s2_exit(void);

/*
 * [task, vCPU owner, in the launcher's address space, may sleep] Make @gpa
 * accessible for @access (KEEL_FAULT_*).  *@error is a positive errno with S2_ERROR.
 */
enum s2_result s2_fault(struct keel_vcpu *vcpu, gpa_t gpa, u32 access, int *error);
/* [task] vCPU teardown: pages kept for its next fault */
void s2_cache_free(struct keel_vcpu *vcpu);

/*
 * [task] Keep faults away from [@start, @end) of the launcher's addresses,
 * until the release; see struct keel_s2.
 */
void s2_hold(struct keel_vm *vm, hva_t start, hva_t end);
void s2_release(struct keel_vm *vm);

/*
 * [task] Forget [@first, @last], or its write permission, and wait until no vCPU
 * can use it.  Alone it keeps nobody from mapping it again.
 */
void s2_unmap(struct keel_vm *vm, gfn_t first, gfn_t last);
void s2_protect(struct keel_vm *vm, gfn_t first, gfn_t last);

/*
 * [task, the range is held] Of a slot that is logged from now on, and is published
 * as such: no vCPU can write to [@first, @last] any more without its being logged.
 */
void s2_log_begin(struct keel_vm *vm, gfn_t first, gfn_t last);
/*
 * [task, vm->lock] Moves pages @first to @last of @slot's log to @out, which is
 * zeroed, bit 0 for @first, and has every later write logged again.  How many.
 */
u64 s2_log_collect(struct keel_vm *vm, const struct keel_slot *slot, u64 first, u64 last,
		   unsigned long *out);
#define S2_APIC_GFN		0xfee00ULL

/* [task] before the first vCPU: 0 or -ENOMEM */
int s2_apic_create(struct keel_vm *vm);
/* [task] nothing maps it; none is fine.  s2_fini() does it too. */
void s2_apic_free(struct keel_vm *vm);
/*
 * [any] One reason more, or less, not to have the page in the tables.  With the
 * first it has to leave them: s2_apic_drop().
 */
static inline void s2_apic_veto(struct keel_s2 *s2, bool veto)
{
	atomic_add(veto ? 1 : -1, &s2->apic_vetoes);
}

/* [task] */
static inline void s2_apic_drop(struct keel_vm *vm)
{
	s2_unmap(vm, S2_APIC_GFN, S2_APIC_GFN);
}

#endif /* KEEL_EPT_EPT_H */
