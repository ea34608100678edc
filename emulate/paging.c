// SPDX-License-Identifier: GPL-2.0
/*
 * The walk of the guest's page tables, driven by one row per paging mode. See paging.h for what
 * it owns and must not know.
 */
#include "emulate/paging.h"

/* Bits of an entry, the same in all modes that have them */
#define PTE_P		BIT_ULL(0)
#define PTE_W		BIT_ULL(1)
#define PTE_U		BIT_ULL(2)
#define PTE_A		BIT_ULL(5)
#define PTE_D		BIT_ULL(6)
#define PTE_PS		BIT_ULL(7)
#define PTE_G		BIT_ULL(8)
#define PTE_NX		BIT_ULL(63)
#define PTE_PKEY_SHIFT	59

/* What is reserved in a present entry of the PAE top level, besides its upper bits. */
#define PAE_PDPTE_RSVD	(GENMASK_ULL(2, 1) | GENMASK_ULL(8, 5))

/* 4 MiB pages keep address bits 39 to 32 in bits 20 to 13. */
#define PSE_HIGH	GENMASK_ULL(20, 13)
#define PSE_HIGH_SHIFT	(32 - 13)

#define MAX_LEVELS	5

/* One row per mode: the levels are counted from 1, the last one. */
static const struct paging_format {
	u8 levels;
	u8 entry;	/* bytes */
	u8 bits;	/* of the address that index one level */
	u8 top_bits;
	u8 cr3_low;	/* lowest address bit in CR3 */
} formats[] = {
	[KEEL_PAGING_32] = { 2, 4, 10, 10, 12 },
	[KEEL_PAGING_PAE] = { 3, 8, 9, 2, 5 },
	[KEEL_PAGING_4LEVEL] = { 4, 8, 9, 9, 12 },
	[KEEL_PAGING_5LEVEL] = { 5, 8, 9, 9, 12 },
};

static_assert(KEEL_PAGE_SHIFT + 2 * 10 == 32);
static_assert(KEEL_PAGE_SHIFT + 5 * 9 == 57);

struct path {
	gpa_t at[MAX_LEVELS + 1];
	u64 entry[MAX_LEVELS + 1];
};

/* Address bits of an entry, with those above the guest's physical width. */
static u64 address_bits(const struct keel_paging *p)
{
	return p->mode == KEEL_PAGING_32 ? GENMASK_ULL(31, 12) : GENMASK_ULL(51, 12);
}

static u64 above_physical(const struct keel_paging *p)
{
	return ~0ULL << clamp_t(unsigned int, p->maxphyaddr, 32, 52);
}

static bool is_leaf(const struct keel_paging *p, unsigned int level, u64 entry)
{
	if (level == 1)
		return true;
	if (!(entry & PTE_PS))
		return false;
	switch (p->mode) {
	case KEEL_PAGING_32:
		return p->flags & KEEL_PAGING_F_PSE;
	case KEEL_PAGING_PAE:
		return level == 2;
	default:
		return level == 2 || (level == 3 && p->flags & KEEL_PAGING_F_1G);
	}
}

/* The bits that have to be zero in a present entry. */
static u64 reserved_bits(const struct keel_paging *p, unsigned int level, bool leaf)
{
	u64 rsvd;

	if (p->mode == KEEL_PAGING_32) {
		if (!leaf || level == 1)
			return 0;
		/* Bit 21 and what of the upper address bits the processor does not have. */
		return BIT_ULL(21) |
		       ((above_physical(p) & GENMASK_ULL(39, 32)) >> PSE_HIGH_SHIFT & PSE_HIGH);
	}
	rsvd = above_physical(p) & GENMASK_ULL(51, 12);
	if (p->mode == KEEL_PAGING_PAE)
		rsvd |= GENMASK_ULL(62, 52);
	if (!(p->flags & KEEL_PAGING_F_NXE))
		rsvd |= PTE_NX;
	if (p->mode == KEEL_PAGING_PAE && level == 3)
		return rsvd | PTE_NX | PAE_PDPTE_RSVD;
	if (leaf && level == 2)
		rsvd |= GENMASK_ULL(20, 13);
	else if (leaf && level == 3)
		rsvd |= GENMASK_ULL(29, 13);
	else if (!leaf && level >= 3)
		rsvd |= PTE_PS;
	return rsvd;
}

/* An entry of the PAE top level has no permissions and no A bit. */
static bool has_rights(const struct keel_paging *p, unsigned int level)
{
	return p->mode != KEEL_PAGING_PAE || level < 3;
}

static int page_fault(const struct keel_paging *p, unsigned int access, u32 why,
		      struct keel_walk *out)
{
	out->error = why;
	if (access & KEEL_WALK_WRITE)
		out->error |= KEEL_PF_WRITE;
	if (access & KEEL_WALK_USER)
		out->error |= KEEL_PF_USER;
	if ((access & KEEL_WALK_FETCH) && p->mode != KEEL_PAGING_NONE &&
	    (p->flags & KEEL_PAGING_F_SMEP ||
	     (p->flags & KEEL_PAGING_F_NXE && p->mode != KEEL_PAGING_32)))
		out->error |= KEEL_PF_FETCH;
	return KEEL_WALK_FAULT;
}

/* What the page allows, from the AND of writable and user and the OR of NX over the levels. */
static u8 permissions(const struct keel_paging *p, u64 all, u64 any, u64 leaf)
{
	u8 perm = 0;

	if (all & PTE_W)
		perm |= KEEL_WALK_P_WRITE;
	if (all & PTE_U)
		perm |= KEEL_WALK_P_USER;
	if (!(any & PTE_NX) || !(p->flags & KEEL_PAGING_F_NXE))
		perm |= KEEL_WALK_P_EXEC;
	if (leaf & PTE_D)
		perm |= KEEL_WALK_P_DIRTY;
	if (leaf & PTE_G)
		perm |= KEEL_WALK_P_GLOBAL;
	return perm;
}

/* Protection keys forbid data accesses to user pages, by either mode. */
static bool key_allows(const struct keel_paging *p, unsigned int access, u64 leaf)
{
	u32 rights = p->pkru >> 2 * (leaf >> PTE_PKEY_SHIFT & 15);

	if (rights & 1)
		return false;
	if (!(access & KEEL_WALK_WRITE) || !(rights & 2))
		return true;
	return !(access & KEEL_WALK_USER) && !(p->flags & KEEL_PAGING_F_WP);
}

/* 0, or the cause bits of the page fault. */
static u32 check_access(const struct keel_paging *p, unsigned int access, u8 perm, u64 leaf)
{
	bool user = access & KEEL_WALK_USER;
	bool user_page = perm & KEEL_WALK_P_USER;

	if (user && !user_page)
		return KEEL_PF_PRESENT;
	if (access & KEEL_WALK_FETCH) {
		if (!(perm & KEEL_WALK_P_EXEC) ||
		    (!user && user_page && p->flags & KEEL_PAGING_F_SMEP))
			return KEEL_PF_PRESENT;
		return 0;
	}
	if (!user && user_page && p->flags & KEEL_PAGING_F_SMAP && !(access & KEEL_WALK_AC))
		return KEEL_PF_PRESENT;
	if (access & KEEL_WALK_WRITE && !(perm & KEEL_WALK_P_WRITE) &&
	    (user || p->flags & KEEL_PAGING_F_WP))
		return KEEL_PF_PRESENT;
	if (user_page && p->flags & KEEL_PAGING_F_PKE && p->mode >= KEEL_PAGING_4LEVEL &&
	    !key_allows(p, access, leaf))
		return KEEL_PF_PRESENT | KEEL_PF_PKEY;
	return 0;
}

/* Set A on the way, and D at the leaf for a write. */
static int set_accessed(const struct keel_paging *p, unsigned int access, unsigned int leaf,
			struct path *path, const struct keel_walk_ops *ops, void *ctx,
			struct keel_walk *out)
{
	const struct paging_format *f = &formats[p->mode];
	unsigned int level;

	for (level = f->levels; level >= leaf; level--) {
		u64 old = path->entry[level], new = old | PTE_A;
		int r;

		if (!has_rights(p, level))
			continue;
		if (level == leaf && access & KEEL_WALK_WRITE)
			new |= PTE_D;
		if (new == old)
			continue;
		r = ops->replace(ctx, path->at[level], f->entry, old, new);
		if (r) {
			out->table = path->at[level];
			return r < 0 ? KEEL_WALK_NOMEM : KEEL_WALK_RETRY;
		}
		path->entry[level] = new;
	}
	return KEEL_WALK_OK;
}

static gpa_t leaf_address(const struct keel_paging *p, u64 entry, unsigned int shift, u64 gva)
{
	u64 frame = entry & address_bits(p) & ~0ULL << shift;

	if (p->mode == KEEL_PAGING_32 && shift > KEEL_PAGE_SHIFT)
		frame |= (entry & PSE_HIGH) << PSE_HIGH_SHIFT;
	return frame | (gva & ~(~0ULL << shift));
}

/* Read the entry of one level; the PAE top level may be in registers. */
static int read_entry(const struct keel_paging *p, unsigned int level, u64 index, struct path *path,
		      const struct keel_walk_ops *ops, void *ctx)
{
	if (p->flags & KEEL_PAGING_F_PDPTRS && !has_rights(p, level)) {
		path->entry[level] = p->pdptr[index & 3];
		return 0;
	}
	path->entry[level] = 0;
	return ops->read(ctx, path->at[level], formats[p->mode].entry, &path->entry[level]);
}

/* From the top to the leaf; *leaf is its level. */
static int descend(const struct keel_paging *p, u64 gva, unsigned int access, struct path *path,
		   const struct keel_walk_ops *ops, void *ctx, struct keel_walk *out,
		   unsigned int *leaf)
{
	const struct paging_format *f = &formats[p->mode];
	gpa_t table = p->cr3 & address_bits(p) & ~above_physical(p);
	unsigned int level = f->levels;
	u64 all = ~0ULL, any = 0, entry, index;

	if (f->cr3_low < KEEL_PAGE_SHIFT)
		table = p->cr3 & GENMASK_ULL(31, 5);
	for (;; level--) {
		unsigned int bits = level == f->levels ? f->top_bits : f->bits;

		out->shift = (u8)(KEEL_PAGE_SHIFT + (level - 1) * f->bits);
		index = gva >> out->shift & ((1ULL << bits) - 1);
		path->at[level] = table + index * f->entry;
		out->table = path->at[level];
		if (read_entry(p, level, index, path, ops, ctx))
			return KEEL_WALK_NOMEM;
		entry = path->entry[level];
		out->leaf = entry;
		if (!(entry & PTE_P))
			return page_fault(p, access, 0, out);
		*leaf = level;
		if (entry & reserved_bits(p, level, is_leaf(p, level, entry)))
			return page_fault(p, access, KEEL_PF_PRESENT | KEEL_PF_RSVD, out);
		if (has_rights(p, level)) {
			all &= entry;
			any |= entry;
		}
		if (is_leaf(p, level, entry))
			break;
		table = entry & address_bits(p);
	}
	out->perm = permissions(p, all, any, entry);
	return KEEL_WALK_OK;
}

int keel_paging_walk(const struct keel_paging *p, gva_t gva, unsigned int access,
		     const struct keel_walk_ops *ops, void *ctx, struct keel_walk *out)
{
	unsigned int leaf = 0;
	struct path path;
	u64 addr = gva;
	u32 why;
	int r;

	*out = (struct keel_walk){ .shift = KEEL_PAGE_SHIFT };
	if (p->mode < KEEL_PAGING_4LEVEL)
		addr = (u32)addr;
	if (p->mode == KEEL_PAGING_NONE) {
		out->gpa = addr;
		out->perm = KEEL_WALK_P_WRITE | KEEL_WALK_P_USER | KEEL_WALK_P_EXEC |
			    KEEL_WALK_P_DIRTY;
		return KEEL_WALK_OK;
	}
	r = descend(p, addr, access, &path, ops, ctx, out, &leaf);
	if (r)
		return r;
	why = check_access(p, access, out->perm, out->leaf);
	if (why)
		return page_fault(p, access, why, out);
	if (!(access & KEEL_WALK_NO_AD)) {
		r = set_accessed(p, access, leaf, &path, ops, ctx, out);
		if (r)
			return r;
		out->leaf = path.entry[leaf];
		if (out->leaf & PTE_D)
			out->perm |= KEEL_WALK_P_DIRTY;
	}
	out->gpa = leaf_address(p, out->leaf, out->shift, addr);
	return KEEL_WALK_OK;
}
