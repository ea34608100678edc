/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's own page tables: one walk from a guest-virtual to a guest-physical address, for
 * every paging mode of x86, with the exact page-fault error code. It owns the entries' layout
 * and the order of the checks. It must not know memory slots, stage 2, TLBs or vCPUs: it reads
 * entries through a callback, keeps nothing.
 *
 * Not modelled: supervisor protection keys and shadow-stack pages; a guest that has them off
 * never sees the difference, and Keel shows neither in CPUID.
 */
#ifndef KEEL_EMULATE_PAGING_H
#define KEEL_EMULATE_PAGING_H

#include "core/types.h"

enum keel_paging_mode {
	KEEL_PAGING_NONE,	/* CR0.PG clear: GVA is GPA */
	KEEL_PAGING_32,		/* two levels of 4-byte entries */
	KEEL_PAGING_PAE,	/* three levels of 8-byte entries */
	KEEL_PAGING_4LEVEL,
	KEEL_PAGING_5LEVEL,
};

enum keel_walk_result {
	KEEL_WALK_OK = 0,
	KEEL_WALK_FAULT,	/* out->error has the #PF error code */
	KEEL_WALK_RETRY,	/* an entry changed under us: walk again */
	KEEL_WALK_NOMEM,	/* the entry at out->table could not be read or written */
};

/* The guest's paging state: plain bits, so that the caller can cache it. */
struct keel_paging {
	u64 cr3;
	u64 pdptr[4];		/* PAE: the four top entries, when KEEL_PAGING_F_PDPTRS */
	u32 pkru;		/* protection keys of user pages, when KEEL_PAGING_F_PKE */
	u16 flags;		/* KEEL_PAGING_F_* */
	u8 mode;		/* enum keel_paging_mode */
	u8 maxphyaddr;		/* guest's physical address width, 32 to 52 */
};

#define KEEL_PAGING_F_WP	0x001U	/* CR0.WP */
#define KEEL_PAGING_F_PSE	0x002U	/* CR4.PSE: 4 MiB pages in 32-bit paging */
#define KEEL_PAGING_F_NXE	0x004U	/* EFER.NXE */
#define KEEL_PAGING_F_SMEP	0x008U
#define KEEL_PAGING_F_SMAP	0x010U
#define KEEL_PAGING_F_PKE	0x020U	/* CR4.PKE, long mode only */
#define KEEL_PAGING_F_1G	0x040U	/* CPUID offers 1 GiB pages */
#define KEEL_PAGING_F_PDPTRS	0x080U	/* PAE: the top entries are in pdptr[] */

/* The access that is checked. */
#define KEEL_WALK_WRITE		0x01U
#define KEEL_WALK_USER		0x02U	/* CPL 3, and not an implicit supervisor access */
#define KEEL_WALK_FETCH		0x04U
#define KEEL_WALK_AC		0x08U	/* RFLAGS.AC is set, which lifts SMAP */
#define KEEL_WALK_NO_AD		0x10U	/* leave A and D bits alone (debuggers, TRANSLATE) */

/* Page-fault error code. */
#define KEEL_PF_PRESENT		0x01U
#define KEEL_PF_WRITE		0x02U
#define KEEL_PF_USER		0x04U
#define KEEL_PF_RSVD		0x08U
#define KEEL_PF_FETCH		0x10U
#define KEEL_PF_PKEY		0x20U

/* What the page allows, over all levels; independent of the access that was checked. */
#define KEEL_WALK_P_WRITE	0x1U	/* every level is writable */
#define KEEL_WALK_P_USER	0x2U
#define KEEL_WALK_P_EXEC	0x4U	/* no level has NX, or NX is off */
#define KEEL_WALK_P_DIRTY	0x8U	/* the leaf's D bit is set now */
#define KEEL_WALK_P_GLOBAL	0x10U	/* the leaf's G bit */

struct keel_walk_ops {
	/*
	 * Read the @size (4 or 8) byte entry at @gpa, in one piece. 0, or non-zero if there is
	 * no memory.
	 */
	int (*read)(void *ctx, gpa_t gpa, unsigned int size, u64 *entry);
	/*
	 * Replace @old by @new atomically. 0; 1 when the entry is no longer @old; negative when
	 * there is no writable memory. May be NULL if every walk has KEEL_WALK_NO_AD.
	 */
	int (*replace)(void *ctx, gpa_t gpa, unsigned int size, u64 old, u64 new);
};

struct keel_walk {
	gpa_t gpa;		/* translation of the whole address, offset included */
	gpa_t table;		/* address of the last entry that was read */
	u64 leaf;		/* that entry, A and D as they are now */
	u32 error;		/* #PF error code, on KEEL_WALK_FAULT */
	u8 shift;		/* page size as a shift: 12, 21, 22 or 30 */
	u8 perm;		/* KEEL_WALK_P_* */
};

/**
 * keel_paging_walk() - translate one guest-virtual address.
 * @p: paging state
 * @gva: address; canonical in long mode (checked before paging, by segmentation), else its low
 * 32 bits count
 * @access: KEEL_WALK_* of the access
 * @ops, @ctx: how to reach the tables
 * @out: the result; all of it is written
 *
 * Accessed bits are set at each level and the dirty bit at the leaf only if the access is
 * allowed, as processors do when they do not speculate. The reserved-bit and present checks go
 * from the top down, then the permissions of the whole path are checked. An access that crosses
 * a page takes two walks. Keeps nothing and takes no lock.
 *
 * Return: enum keel_walk_result.
 */
int keel_paging_walk(const struct keel_paging *p, gva_t gva, unsigned int access,
		     const struct keel_walk_ops *ops, void *ctx, struct keel_walk *out);

#endif /* KEEL_EMULATE_PAGING_H */
