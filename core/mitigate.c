// SPDX-License-Identifier: GPL-2.0
/*
 * Host mitigations that are code and not a macro: emptying the L1 data cache
 * before a guest of a CPU with L1TF.  It must not know when that is due.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include "core/mitigate.h"
#include "core/stats.h"

#define L1D_ORDER	4		/* 64 KiB: twice the cache, for its replacement policy */
#define L1D_BYTES	(PAGE_SIZE << L1D_ORDER)
#define L1D_LINE	64
#define L1D_MARK	0x55		/* no page of guest memory looks like this */

static struct page *l1d_pages;		/* constant after setup */

int keel_mitigate_setup(void)
{
	if (!boot_cpu_has_bug(X86_BUG_L1TF) || boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		return 0;
	l1d_pages = alloc_pages(GFP_KERNEL, L1D_ORDER);
	if (!l1d_pages)
		return -ENOMEM;
	memset(page_address(l1d_pages), L1D_MARK, L1D_BYTES);
	keel_account(L1D_BYTES);
	return 0;
}

void keel_mitigate_teardown(void)
{
	if (!l1d_pages)
		return;
	__free_pages(l1d_pages, L1D_ORDER);
	keel_account(-(long)L1D_BYTES);
	l1d_pages = NULL;
}

/* Page by page first, so that the reads of every line find their translations. */
static noinline void flush_l1d_by_reading(void)
{
	const u8 *at = page_address(l1d_pages);
	unsigned long i;

	for (i = 0; i < L1D_BYTES; i += PAGE_SIZE)
		(void)READ_ONCE(at[i]);
	cpuid_eax(0);	/* serialize: the translations are there */
	for (i = 0; i < L1D_BYTES; i += L1D_LINE)
		(void)READ_ONCE(at[i]);
	rmb();	/* all of them before the entry */
}

void keel_flush_l1d(void)
{
	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		wrmsrl_safe(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
	else if (l1d_pages)
		flush_l1d_by_reading();
}
