/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The address types. An address says by its type which space it lives in: guest-virtual,
 * guest-physical, the launcher's (host-virtual) or host-physical; a frame is an address without
 * its page offset. The types are exactly those of linux/kvm_types.h, so that a file which meets
 * both compiles. It must not know any structure of Keel.
 */
#ifndef KEEL_CORE_TYPES_H
#define KEEL_CORE_TYPES_H

#include "core/pure.h"

typedef unsigned long gva_t;	/* guest virtual (linear): what the guest's segmentation yields */
typedef u64 gpa_t;		/* guest physical: what the guest's paging yields */
typedef u64 gfn_t;		/* gpa_t >> KEEL_PAGE_SHIFT */
typedef unsigned long hva_t;	/* host virtual, in the launcher's address space */
typedef u64 hpa_t;		/* host physical */
typedef u64 hfn_t;		/* hpa_t >> KEEL_PAGE_SHIFT */

#define KEEL_PAGE_SHIFT		12
#define KEEL_PAGE_SIZE		BIT(KEEL_PAGE_SHIFT)
#define KEEL_PAGE_MASK		(~(KEEL_PAGE_SIZE - 1))

#define KEEL_GPA_INVALID	(~(gpa_t)0)
#define KEEL_GFN_INVALID	(~(gfn_t)0)
#define KEEL_HPA_INVALID	(~(hpa_t)0)

static __always_inline gfn_t keel_gpa_to_gfn(gpa_t gpa)
{
	return gpa >> KEEL_PAGE_SHIFT;
}

static __always_inline gpa_t keel_gfn_to_gpa(gfn_t gfn)
{
	return gfn << KEEL_PAGE_SHIFT;
}

static __always_inline hfn_t keel_hpa_to_hfn(hpa_t hpa)
{
	return hpa >> KEEL_PAGE_SHIFT;
}

static __always_inline hpa_t keel_hfn_to_hpa(hfn_t hfn)
{
	return hfn << KEEL_PAGE_SHIFT;
}

static __always_inline unsigned long keel_page_offset(u64 addr)
{
	return (unsigned long)(addr & (KEEL_PAGE_SIZE - 1));
}

#endif /* KEEL_CORE_TYPES_H */
