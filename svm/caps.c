// SPDX-License-Identifier: GPL-2.0
/*
 * What this AMD CPU offers, and switching SVM on and off on one CPU.  It must
 * not know when that happens: core/hw.c owns the CPUs.
 */
#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/mem_encrypt.h>
#include <asm/io.h>
#include <asm/asm.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/perf_event.h>
#include <asm/processor.h>
#include "core/compat.h"
#include "core/stats.h"
#include "svm/svm.h"

DEFINE_PER_CPU(struct svm_cpu, svm_cpus);
struct svm_globals svm_global;

#define SVM_CPUID_LEAF		0x8000000aU
#define SVM_VM_CR_DISABLE	BIT_ULL(4)	/* VM_CR.SVMDIS */
#define SVM_IOPM_ORDER		2		/* 12 KiB, and what is left of 16 */

/* Optional features: each is used where it is there, and nothing else depends on it. */
static const struct {
	u32 bit;
	u32 cap;
	const char *name;
} svm_optional[] = {
	{ SVM_F_NRIPS, KEEL_CAP_NRIPS, "next-RIP save" },
	{ SVM_F_VMCB_CLEAN, KEEL_CAP_VMCB_CLEAN, "VMCB clean bits" },
	{ SVM_F_FLUSH_BY_ASID, KEEL_CAP_FLUSH_BY_ASID, "flush by ASID" },
	{ SVM_F_DECODE_ASSIST, KEEL_CAP_DECODE_ASSIST, "decode assists" },
	{ SVM_F_PAUSE_FILTER, KEEL_CAP_PAUSE_FILTER, "pause filter" },
	{ SVM_F_VGIF, KEEL_CAP_VGIF, "virtual GIF" },
	{ SVM_F_VNMI, KEEL_CAP_VNMI, "virtual NMI" },
};

static bool svm_is_vendor(void)
{
	return boot_cpu_data.x86_vendor == X86_VENDOR_AMD ||
	       boot_cpu_data.x86_vendor == X86_VENDOR_HYGON;
}

int svm_probe(struct keel_report *report)
{
	u32 features;
	int i, err = 0;

	if (!svm_is_vendor())
		return -ENODEV;
	if (cpuid_eax(0x80000000U) < SVM_CPUID_LEAF || !(cpuid_ecx(0x80000001U) & BIT(2))) {
		keel_report(report, "missing: SVM (CPUID 80000001 ECX bit 2)\n");
		return -EOPNOTSUPP;
	}
	features = cpuid_edx(SVM_CPUID_LEAF);
	if (!(features & SVM_F_NPT)) {
		keel_report(report, "missing: nested paging (CPUID 8000000A EDX bit 0)\n");
		err = -EOPNOTSUPP;
	}
	if (cpuid_ebx(SVM_CPUID_LEAF) < 2) {
		keel_report(report, "missing: address space identifiers (CPUID 8000000A EBX)\n");
		err = -EOPNOTSUPP;
	}
	for (i = 0; i < ARRAY_SIZE(svm_optional); i++)
		keel_report(report, "%s: %s\n",
			    features & svm_optional[i].bit ? "present" : "absent",
			    svm_optional[i].name);
	return err;
}

u32 svm_caps(void)
{
	return svm_global.caps;
}

static void svm_free_cpu(int cpu)
{
	struct svm_cpu *sc = per_cpu_ptr(&svm_cpus, cpu);

	if (sc->hsave) {
		__free_page(sc->hsave);
		keel_account(-(long)PAGE_SIZE);
	}
	if (sc->host) {
		__free_page(sc->host);
		keel_account(-(long)PAGE_SIZE);
	}
	sc->hsave = NULL;
	sc->host = NULL;
}

static int svm_alloc_cpu(int cpu)
{
	struct svm_cpu *sc = per_cpu_ptr(&svm_cpus, cpu);

	sc->hsave = alloc_pages_node(cpu_to_node(cpu), GFP_KERNEL | __GFP_ZERO, 0);
	if (sc->hsave)
		keel_account(PAGE_SIZE);
	sc->host = alloc_pages_node(cpu_to_node(cpu), GFP_KERNEL | __GFP_ZERO, 0);
	if (sc->host)
		keel_account(PAGE_SIZE);
	return sc->hsave && sc->host ? 0 : -ENOMEM;
}

static void svm_read_caps(void)
{
	int i;

	svm_global.features = cpuid_edx(SVM_CPUID_LEAF);
	svm_global.nr_asids = cpuid_ebx(SVM_CPUID_LEAF);
	svm_global.caps = KEEL_CAP_NESTED_PAGING;
	for (i = 0; i < ARRAY_SIZE(svm_optional); i++)
		if (svm_global.features & svm_optional[i].bit)
			svm_global.caps |= svm_optional[i].cap;
	if (boot_cpu_has(X86_FEATURE_GBPAGES))
		svm_global.caps |= KEEL_CAP_1G_PAGES;
	if (boot_cpu_has(X86_FEATURE_X2APIC))
		svm_global.caps |= KEEL_CAP_X2APIC;
	/* Nested tables are walked in the host's own paging mode. */
	svm_global.stage2_levels = pgtable_l5_enabled() ? 5 : 4;
}

int svm_setup(void)
{
	int cpu;

	svm_read_caps();
	svm_global.iopm = alloc_pages(GFP_KERNEL, SVM_IOPM_ORDER);
	if (!svm_global.iopm)
		return -ENOMEM;
	memset(page_address(svm_global.iopm), 0xff, PAGE_SIZE << SVM_IOPM_ORDER);
	keel_account(PAGE_SIZE << SVM_IOPM_ORDER);

	svm_global.msrpm = svm_msrpm_alloc();
	if (!svm_global.msrpm)
		goto fail;
	for_each_possible_cpu(cpu)
		if (svm_alloc_cpu(cpu))
			goto fail;
	return 0;
fail:
	svm_teardown();
	return -ENOMEM;
}

void svm_teardown(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		svm_free_cpu(cpu);
	if (svm_global.msrpm) {
		__free_pages(svm_global.msrpm, 1);
		keel_account(-(long)(PAGE_SIZE << 1));
		svm_global.msrpm = NULL;
	}
	if (svm_global.iopm) {
		__free_pages(svm_global.iopm, SVM_IOPM_ORDER);
		keel_account(-(long)(PAGE_SIZE << SVM_IOPM_ORDER));
		svm_global.iopm = NULL;
	}
}

int svm_cpu_on(enum keel_busy *why)
{
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpus);
	u64 efer, vm_cr;

	if (rdmsrl_safe(MSR_EFER, &efer))
		return -EOPNOTSUPP;
	if (efer & EFER_SVME) {
		*why = KEEL_BUSY_BY_OTHER;
		return -EBUSY;
	}
	if (!rdmsrl_safe(MSR_VM_CR, &vm_cr) && (vm_cr & SVM_VM_CR_DISABLE)) {
		*why = KEEL_BUSY_BY_FIRMWARE;
		return -EOPNOTSUPP;
	}
	if (wrmsrl_safe(MSR_EFER, efer | EFER_SVME)) {
		*why = KEEL_BUSY_BY_FIRMWARE;
		return -EOPNOTSUPP;
	}
	if (rdmsrl_safe(MSR_VM_HSAVE_PA, &sc->old_hsave_pa))
		sc->old_hsave_pa = 0;
	wrmsrl_safe(MSR_VM_HSAVE_PA, __sme_set(page_to_phys(sc->hsave)));
	/* Whoever owned the CPU before us may have left translations of any ASID. */
	sc->asid_generation++;
	sc->next_asid = svm_global.nr_asids;
	sc->on = true;
	keel_reduce_speculation(true);
	amd_pmu_enable_virt();
	return 0;
}

void svm_cpu_off(void)
{
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpus);
	u64 efer;

	if (!sc->on)
		return;
	sc->on = false;
	amd_pmu_disable_virt();
	keel_reduce_speculation(false);
	wrmsrl_safe(MSR_VM_HSAVE_PA, sc->old_hsave_pa);
	if (!rdmsrl_safe(MSR_EFER, &efer))
		wrmsrl_safe(MSR_EFER, efer & ~(u64)EFER_SVME);
}

void svm_cpu_emergency_off(void)
{
	u64 efer;

	if (!this_cpu_read(svm_cpus.on) || rdmsrl_safe(MSR_EFER, &efer) || !(efer & EFER_SVME))
		return;
	/* INIT is held back while GIF is clear: the restart would hang. */
	asm volatile("1: stgi\n2:" _ASM_EXTABLE(1b, 2b) : : : "memory");
	wrmsrl_safe(MSR_EFER, efer & ~(u64)EFER_SVME);
}
