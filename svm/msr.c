// SPDX-License-Identifier: GPL-2.0
/*
 * The MSR permission map: which MSRs a guest reads and writes without an exit,
 * because the world switch moves them.  It must not know what the others mean:
 * core/msr.c does.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include "core/stats.h"
#include "svm/svm.h"

#define SVM_MSRPM_ORDER		1	/* 8 KiB, two bits an MSR */

/* First MSR of each 8192-MSR range, in the order of the map's 2 KiB pieces. */
static const u32 svm_msrpm_ranges[] = { 0, 0xc0000000U, 0xc0010000U };

static void svm_msrpm_clear(u8 *map, u32 msr)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(svm_msrpm_ranges); i++) {
		u32 n = msr - svm_msrpm_ranges[i];

		if (n < 8192) {
			map[i * 2048 + n / 4] &= ~(3U << (n % 4 * 2));
			return;
		}
	}
}

struct page *svm_msrpm_alloc(void)
{
	struct page *page = alloc_pages(GFP_KERNEL, SVM_MSRPM_ORDER);
	int i;

	if (!page)
		return NULL;
	keel_account(PAGE_SIZE << SVM_MSRPM_ORDER);
	memset(page_address(page), 0xff, PAGE_SIZE << SVM_MSRPM_ORDER);
	for (i = 0; i < KEEL_NR_GUEST_MSRS; i++)
		svm_msrpm_clear(page_address(page), keel_guest_msrs[i]);
	return page;
}
