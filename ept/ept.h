/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stage 2: the tables that turn guest-physical into host-physical addresses,
 * filled by faults and kept true to the launcher's memory by an mmu notifier.
 * The one public header of ept/.  It must not know control blocks or exits.
 */
#ifndef KEEL_EPT_EPT_H
#define KEEL_EPT_EPT_H

#include <linux/mmu_notifier.h>
#include <linux/spinlock.h>
#include "core/types.h"

struct keel_vm;
struct keel_vcpu;
struct s2_format;

/* Why s2_fault() did not simply map the page. */
enum s2_result {
	S2_MAPPED,		/* (or was mapped by somebody else): enter again */
	S2_MMIO,		/* no slot here, or a write to a read-only one */
	S2_NO_EXEC,		/* instruction fetch where no slot is */
	S2_ERROR,		/* the launcher's memory is not there: *error */
	S2_SIGNAL,		/* a fatal signal interrupted the host's page fault */
};

/* Stage 2 of one VM. */
struct keel_s2 {
	const struct s2_format *format;	/* constant after s2_init() */
	u8 levels;			/* 4 or 5, constant */
	hpa_t root;			/* constant after s2_init() */
	u64 *root_table;		/* its kernel address */
	/*
	 * Read side: install entries with cmpxchg.  Write side: remove entries
	 * and free tables.  Taken inside mmap_lock, never around it.
	 */
	rwlock_t lock;
	unsigned long invalidate_seq;	/* write side: bumped when a range is gone */
	long invalidate_count;		/* write side: notifier ranges under way */
	gfn_t invalidate_first;		/* write side: their union while count > 0 */
	gfn_t invalidate_last;
	atomic_long_t tables;		/* pages in tables, root included */
	atomic_long_t mapped[3];	/* leaf entries: 4 KiB, 2 MiB, 1 GiB */
	struct mmu_notifier notifier;	/* registered while the VM lives */
};

/* [task] @format by vendor: npt_format or ept_format */
int s2_init(struct keel_vm *vm, const struct s2_format *format, u8 levels);
/* [task] no vCPU runs any more; also safe after a failed s2_init() */
void s2_fini(struct keel_vm *vm);

/*
 * [task, vCPU owner, may sleep] Make @gpa accessible for @access
 * (KEEL_FAULT_*).  *@error is a positive errno with S2_ERROR.
 */
enum s2_result s2_fault(struct keel_vcpu *vcpu, gpa_t gpa, u32 access, int *error);

/*
 * [task] Forget [first, last] and wait until no vCPU can use it.  Called by
 * memory commits after the new map is published.
 */
void s2_unmap(struct keel_vm *vm, gfn_t first, gfn_t last);

extern const struct s2_format npt_format;

#endif /* KEEL_EPT_EPT_H */
