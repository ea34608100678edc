// SPDX-License-Identifier: GPL-2.0
/*
 * Host mitigations that are code and not a macro: emptying the L1 data cache
 * before a guest of a CPU with L1TF, a barrier between guests, and what a guest
 * may have of SPEC_CTRL.
 * It must not know a control block.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>
#include <asm/spec-ctrl.h>
#include "core/mitigate.h"
#include "core/stats.h"
#include "core/vcpu.h"

#define L1D_ORDER	4		/* 64 KiB: twice the cache, for its replacement policy */
#define L1D_BYTES	(PAGE_SIZE << L1D_ORDER)
#define L1D_LINE	64

static struct page *l1d_pages;		/* constant after setup */

u8 keel_l1d_when __ro_after_init;
u64 keel_spec_ctrl_bits __ro_after_init;

/* As l1tf= says, unless the CPU says that it need not be. */
static u8 __init l1d_when(void)
{
	u64 caps;

	if (!boot_cpu_has_bug(X86_BUG_L1TF) || l1tf_mitigation == L1TF_MITIGATION_OFF)
		return KEEL_L1D_NEVER;
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES) &&
	    !rdmsrl_safe(MSR_IA32_ARCH_CAPABILITIES, &caps) &&
	    (caps & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH))
		return KEEL_L1D_NEVER;
	return l1tf_mitigation >= L1TF_MITIGATION_FULL ? KEEL_L1D_ENTRY : KEEL_L1D_PASS;
}

/*
 * The world switch writes what a guest asked for without looking: a bit that
 * this CPU does not have would fault there.
 */
static u64 __init spec_ctrl_bits(void)
{
	static const u64 bits[] __initconst = {
		SPEC_CTRL_IBRS, SPEC_CTRL_STIBP, SPEC_CTRL_SSBD };
	unsigned long flags;
	u64 host, known = 0;
	int i;

	if (!boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL))
		return 0;
	local_irq_save(flags);
	if (!rdmsrl_safe(MSR_IA32_SPEC_CTRL, &host)) {
		for (i = 0; i < ARRAY_SIZE(bits); i++)
			if (!wrmsrl_safe(MSR_IA32_SPEC_CTRL, bits[i]))
				known |= bits[i];
		wrmsrl_safe(MSR_IA32_SPEC_CTRL, host);
	}
	local_irq_restore(flags);
	return known;
}

int __init keel_mitigate_setup(void)
{
	int i;

	keel_spec_ctrl_bits = spec_ctrl_bits();
	keel_l1d_when = l1d_when();
	if (!keel_l1d_when || boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		return 0;
	l1d_pages = alloc_pages(GFP_KERNEL, L1D_ORDER);
	if (!l1d_pages)
		return -ENOMEM;
	/* No two alike: a hypervisor below this host would merge them. */
	for (i = 0; i < 1 << L1D_ORDER; i++)
		memset(page_address(l1d_pages) + i * PAGE_SIZE, i + 1, PAGE_SIZE);
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

/* ---- between guests ------------------------------------------------------------ */

/* The last vCPU that was loaded on a CPU. */
static DEFINE_PER_CPU(const struct keel_vcpu *, last_guest);

void keel_guest_comes(const struct keel_vcpu *vcpu)
{
	if (likely(this_cpu_read(last_guest) == vcpu))
		return;
	this_cpu_write(last_guest, vcpu);
	indirect_branch_prediction_barrier();
}

void keel_guest_forget(const struct keel_vcpu *vcpu)
{
	int cpu;

	for_each_possible_cpu(cpu)
		cmpxchg(per_cpu_ptr(&last_guest, cpu), vcpu, NULL);
}

/* ---- SPEC_CTRL ------------------------------------------------------------------ */

bool keel_spec_ctrl_load(const struct keel_vcpu *vcpu, u32 *guest, u32 *host)
{
	*guest = vcpu->spec_ctrl;
	*host = boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL) ? this_cpu_read(x86_spec_ctrl_current) : 0;
	/* IBRS of the older kind protects from a guest only when it is written after it. */
	return *guest != *host || cpu_feature_enabled(X86_FEATURE_KERNEL_IBRS);
}
