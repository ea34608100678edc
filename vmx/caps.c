// SPDX-License-Identifier: GPL-2.0
/*
 * What this Intel CPU offers, as tables of required and optional controls, and
 * switching VMX on and off on one CPU.  It must not know when that happens:
 * core/hw.c owns the CPUs.
 */
#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <asm/cpufeature.h>
#include <asm/perf_event.h>
#include <asm/io.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/tlbflush.h>
#include <asm/tsc.h>
#include "core/compat.h"
#include "core/stats.h"
#include "vmx/vmx.h"

DEFINE_PER_CPU(struct vmx_cpu, vmx_cpus);
struct vmx_globals vmx_global;

#define VMX_BASIC_TRUE_CONTROLS	BIT_ULL(55)
#define VMX_BASIC_SIZE_SHIFT	32
#define VMX_BASIC_SIZE_MASK	0x1fffU
#define VMX_MISC_TIMER_SHIFT	0x1fU	/* the preemption timer counts TSC bits from here up */
#define FEAT_CTL_NEEDED		(FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)

enum vmx_word { VMX_W_PIN, VMX_W_PROC, VMX_W_PROC2, VMX_W_EXIT, VMX_W_ENTRY, VMX_NR_WORDS };

/* Each word's capability MSR: the bits that must be one, and above them those that may. */
static const struct {
	u32 msr, true_msr;
} vmx_word_msrs[VMX_NR_WORDS] = {
	[VMX_W_PIN] = { MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS },
	[VMX_W_PROC] = { MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS },
	[VMX_W_PROC2] = { MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_PROCBASED_CTLS2 },
	[VMX_W_EXIT] = { MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS },
	[VMX_W_ENTRY] = { MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS },
};

static const struct vmx_control {
	u8 word;		/* enum vmx_word */
	bool required;
	u32 bit;
	u32 cap;		/* KEEL_CAP_* it stands for */
	const char *name;
} vmx_controls[] = {
	{ VMX_W_PIN, true, VMX_PIN_INTR, 0, "external-interrupt exiting" },
	{ VMX_W_PIN, true, VMX_PIN_NMI, 0, "NMI exiting" },
	{ VMX_W_PIN, true, VMX_PIN_VNMI, KEEL_CAP_VNMI, "virtual NMIs" },
	{ VMX_W_PIN, false, VMX_PIN_TIMER, KEEL_CAP_PREEMPTION_TIMER, "preemption timer" },
	{ VMX_W_PROC, true, VMX_PROC_TSC_OFFSET, 0, "TSC offsetting" },
	{ VMX_W_PROC, true, VMX_PROC_HLT, 0, "HLT exiting" },
	{ VMX_W_PROC, true, VMX_PROC_MWAIT, 0, "MWAIT exiting" },
	{ VMX_W_PROC, true, VMX_PROC_RDPMC, 0, "RDPMC exiting" },
	{ VMX_W_PROC, true, VMX_PROC_TPR_SHADOW, 0, "TPR shadow" },
	{ VMX_W_PROC, true, VMX_PROC_DR, 0, "MOV-DR exiting" },
	{ VMX_W_PROC, true, VMX_PROC_IO, 0, "unconditional I/O exiting" },
	{ VMX_W_PROC, true, VMX_PROC_MSR_BITMAPS, 0, "MSR bitmaps" },
	{ VMX_W_PROC, true, VMX_PROC_MONITOR, 0, "MONITOR exiting" },
	{ VMX_W_PROC, true, VMX_PROC_SECONDARY, 0, "secondary controls" },
	{ VMX_W_PROC2, true, VMX_PROC2_EPT, KEEL_CAP_NESTED_PAGING, "extended page tables" },
	{ VMX_W_PROC2, true, VMX_PROC2_UNRESTRICTED, 0, "unrestricted guest" },
	{ VMX_W_PROC2, true, VMX_PROC2_WBINVD, 0, "WBINVD exiting" },
	{ VMX_W_PROC2, false, VMX_PROC2_APIC_ACCESS, 0, "virtualized APIC accesses" },
	{ VMX_W_PROC2, false, VMX_PROC2_X2APIC, 0, "virtualized x2APIC mode" },
	{ VMX_W_PROC2, false, VMX_PROC2_APIC_REGS, KEEL_CAP_APICV, "APIC-register virtualization" },
	{ VMX_W_PROC2, false, VMX_PROC2_VIRT_INTR, KEEL_CAP_VIRT_INTR, "virtual-interrupt delivery" },
	{ VMX_W_PROC2, false, VMX_PROC2_RDTSCP, 0, "RDTSCP" },
	{ VMX_W_PROC2, false, VMX_PROC2_VPID, KEEL_CAP_VPID, "VPID" },
	{ VMX_W_PROC2, false, VMX_PROC2_PLE, KEEL_CAP_PAUSE_FILTER, "PAUSE-loop exiting" },
	{ VMX_W_PROC2, false, VMX_PROC2_INVPCID, 0, "INVPCID" },
	{ VMX_W_PROC2, false, VMX_PROC2_TSC_SCALING, KEEL_CAP_TSC_SCALING, "TSC scaling" },
	{ VMX_W_PROC2, false, VMX_PROC2_PML, KEEL_CAP_PML, "page-modification logging" },
	{ VMX_W_EXIT, true, VMX_EXIT_SAVE_DEBUG, 0, "save debug controls" },
	{ VMX_W_EXIT, true, VMX_EXIT_HOST_64, 0, "host address-space size" },
	{ VMX_W_EXIT, true, VMX_EXIT_SAVE_PAT, 0, "save PAT at exit" },
	{ VMX_W_EXIT, true, VMX_EXIT_LOAD_PAT, 0, "load PAT at exit" },
	{ VMX_W_EXIT, true, VMX_EXIT_SAVE_EFER, 0, "save EFER at exit" },
	{ VMX_W_EXIT, true, VMX_EXIT_LOAD_EFER, 0, "load EFER at exit" },
	{ VMX_W_ENTRY, true, VMX_ENTRY_LOAD_DEBUG, 0, "load debug controls" },
	{ VMX_W_ENTRY, true, VMX_ENTRY_GUEST_64, 0, "IA-32e mode guest" },
	{ VMX_W_ENTRY, true, VMX_ENTRY_LOAD_PAT, 0, "load PAT at entry" },
	{ VMX_W_ENTRY, true, VMX_ENTRY_LOAD_EFER, 0, "load EFER at entry" },
};

static const struct {
	u64 bits;
	const char *name;
} vmx_ept_needs[] = {
	{ VMX_EPT_CAP_4LEVEL, "EPT of 4 levels" },
	{ VMX_EPT_CAP_WB, "write-back EPT tables" },
	{ VMX_EPT_CAP_2M, "2 MiB pages in EPT" },
	{ VMX_EPT_CAP_INVEPT | VMX_EPT_CAP_INVEPT_ALL, "INVEPT" },
};

static u64 vmx_msr(u32 index)
{
	u64 val;

	return rdmsrl_safe(index, &val) ? 0 : val;
}

static u64 vmx_word_caps(enum vmx_word word)
{
	bool exact = vmx_msr(MSR_IA32_VMX_BASIC) & VMX_BASIC_TRUE_CONTROLS;

	return vmx_msr(exact ? vmx_word_msrs[word].true_msr : vmx_word_msrs[word].msr);
}

/* Controls as this CPU takes them; counts what is required and missing. */
static int vmx_choose(u32 *words, u32 *caps, struct keel_report *report)
{
	int i, missing = 0;

	*caps = 0;
	for (i = 0; i < VMX_NR_WORDS; i++)
		words[i] = (u32)vmx_word_caps(i);
	for (i = 0; i < ARRAY_SIZE(vmx_controls); i++) {
		const struct vmx_control *c = &vmx_controls[i];
		bool there = (vmx_word_caps(c->word) >> 32) & c->bit;

		if (there) {
			words[c->word] |= c->bit;
			*caps |= c->cap;
		} else if (c->required) {
			missing++;
		}
		if (!there && c->required)
			keel_report(report, "missing: %s\n", c->name);
		else if (!c->required)
			keel_report(report, "%s: %s\n", there ? "present" : "absent", c->name);
	}
	return missing;
}

static int vmx_check_ept(struct keel_report *report)
{
	u64 cap = vmx_msr(MSR_IA32_VMX_EPT_VPID_CAP);
	int i, missing = 0;

	for (i = 0; i < ARRAY_SIZE(vmx_ept_needs); i++) {
		if ((cap & vmx_ept_needs[i].bits) == vmx_ept_needs[i].bits)
			continue;
		keel_report(report, "missing: %s\n", vmx_ept_needs[i].name);
		missing++;
	}
	return missing;
}

int vmx_probe(struct keel_report *report)
{
	u32 words[VMX_NR_WORDS], caps;

	if (boot_cpu_data.x86_vendor != X86_VENDOR_INTEL &&
	    boot_cpu_data.x86_vendor != X86_VENDOR_CENTAUR &&
	    boot_cpu_data.x86_vendor != X86_VENDOR_ZHAOXIN)
		return -ENODEV;
	if (!(cpuid_ecx(1) & BIT(5))) {
		keel_report(report, "missing: VMX (CPUID 1 ECX bit 5)\n");
		return -EOPNOTSUPP;
	}
	if (vmx_choose(words, &caps, report) + vmx_check_ept(report))
		return -EOPNOTSUPP;
	vmx_timer_audit(words[VMX_W_PIN], report);
	vmx_apicv_audit(words[VMX_W_PROC2], report);
	return 0;
}

u32 vmx_caps(void)
{
	return vmx_global.caps;
}

static void vmx_read_caps(void)
{
	u32 words[VMX_NR_WORDS];

	vmx_choose(words, &vmx_global.caps, NULL);
	vmx_global.pin = words[VMX_W_PIN];
	/* Windows open when they are wanted; paging is the guest's own. */
	vmx_global.proc = words[VMX_W_PROC] & ~(u32)(VMX_PROC_CR3_LOAD | VMX_PROC_CR3_STORE);
	vmx_global.proc2 = words[VMX_W_PROC2] & ~(u32)VMX_PROC2_APICV;
	vmx_global.apicv = words[VMX_W_PROC2] & VMX_PROC2_APICV;
	vmx_global.exit = words[VMX_W_EXIT];
	/* The mode is the guest's: set with its EFER. */
	vmx_global.entry = words[VMX_W_ENTRY] & ~(u32)VMX_ENTRY_GUEST_64;
	vmx_global.revision = vmx_msr(MSR_IA32_VMX_BASIC) & 0x7fffffff;
	vmx_global.cr0_fixed = vmx_msr(MSR_IA32_VMX_CR0_FIXED0) & ~(u64)(X86_CR0_PE | X86_CR0_PG);
	vmx_global.cr4_fixed = vmx_msr(MSR_IA32_VMX_CR4_FIXED0);
	vmx_global.ept_cap = vmx_msr(MSR_IA32_VMX_EPT_VPID_CAP);
	vmx_global.timer_shift = vmx_msr(MSR_IA32_VMX_MISC) & VMX_MISC_TIMER_SHIFT;
	vmx_timer_setup();
	vmx_pml_setup();
	if (vmx_global.ept_cap & VMX_EPT_CAP_1G)
		vmx_global.caps |= KEEL_CAP_1G_PAGES;
	if (vmx_global.ept_cap & VMX_EPT_CAP_AD)
		vmx_global.caps |= KEEL_CAP_EPT_AD;
	if (boot_cpu_has(X86_FEATURE_X2APIC))
		vmx_global.caps |= KEEL_CAP_X2APIC;
	vmx_global.msrlist_most = vmx_msrlist_most(vmx_msr(MSR_IA32_VMX_MISC));
	vmx_read_syscall_msrs(vmx_global.syscall);
}

static int vmx_alloc_cpu(int cpu)
{
	struct vmx_cpu *vc = per_cpu_ptr(&vmx_cpus, cpu);
	struct vmx_vmcs *region;

	INIT_LIST_HEAD(&vc->loaded);
	vc->vmxon = alloc_pages_node(cpu_to_node(cpu), GFP_KERNEL | __GFP_ZERO, 0);
	if (!vc->vmxon)
		return -ENOMEM;
	keel_account(PAGE_SIZE);
	region = page_address(vc->vmxon);
	region->revision = vmx_global.revision;
	return 0;
}

int vmx_setup(void)
{
	u32 size = (vmx_msr(MSR_IA32_VMX_BASIC) >> VMX_BASIC_SIZE_SHIFT) & VMX_BASIC_SIZE_MASK;
	int cpu;

	if (size > PAGE_SIZE)
		return -EOPNOTSUPP;
	vmx_read_caps();
	vmx_global.msr_bitmap = vmx_msr_bitmap_alloc();
	if (!vmx_global.msr_bitmap)
		return -ENOMEM;
	if (vmx_apicv_setup()) {
		vmx_teardown();
		return -ENOMEM;
	}
	for_each_possible_cpu(cpu) {
		if (vmx_alloc_cpu(cpu)) {
			vmx_teardown();
			return -ENOMEM;
		}
	}
	return 0;
}

void vmx_teardown(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *vc = per_cpu_ptr(&vmx_cpus, cpu);

		if (vc->vmxon) {
			__free_page(vc->vmxon);
			keel_account(-(long)PAGE_SIZE);
		}
		vc->vmxon = NULL;
	}
	vmx_apicv_teardown();
	if (vmx_global.msr_bitmap) {
		__free_page(vmx_global.msr_bitmap);
		keel_account(-(long)PAGE_SIZE);
		vmx_global.msr_bitmap = NULL;
	}
}

static int vmx_on(u64 pa)
{
	int err = 0;

	asm volatile("1: vmxon %1\n"
		     "   setna %b0\n"
		     "   jmp 3f\n"
		     "2: mov $1, %0\n"
		     "3:" _ASM_EXTABLE(1b, 2b)
		     : "+q" (err) : "m" (pa) : "cc", "memory");
	return err ? -EBUSY : 0;
}

static void vmx_off(void)
{
	asm volatile("1: vmxoff\n2:" _ASM_EXTABLE(1b, 2b) : : : "cc", "memory");
}

int vmx_cpu_on(enum keel_busy *why)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpus);
	u64 feat_ctl;

	/* The shadow is how owners tell each other. */
	if (cr4_read_shadow() & X86_CR4_VMXE) {
		*why = KEEL_BUSY_BY_OTHER;
		return -EBUSY;
	}
	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &feat_ctl) ||
	    (feat_ctl & FEAT_CTL_NEEDED) != FEAT_CTL_NEEDED) {
		*why = KEEL_BUSY_BY_FIRMWARE;
		return -EOPNOTSUPP;
	}
	intel_pt_handle_vmx(1);
	cr4_set_bits(X86_CR4_VMXE);
	if (vmx_on(page_to_phys(vc->vmxon))) {
		cr4_clear_bits(X86_CR4_VMXE);
		intel_pt_handle_vmx(0);
		*why = KEEL_BUSY_BY_OTHER;
		return -EBUSY;
	}
	vc->current_vcpu = NULL;
	memcpy(vc->syscall, vmx_global.syscall, sizeof(vc->syscall));
	vc->on = true;
	return 0;
}

void vmx_cpu_off(void)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpus);
	struct vmx_vcpu *vmx, *next;

	if (!vc->on)
		return;
	/* A cached VMCS would be written back into memory that is no longer one. */
	list_for_each_entry_safe(vmx, next, &vc->loaded, loaded) {
		vmx_clear(__pa(vmx->vmcs));
		list_del_init(&vmx->loaded);
		vmx->sw.launched = 0;
		WRITE_ONCE(vmx->last_cpu, -1);
	}
	vc->current_vcpu = NULL;
	vc->on = false;
	vmx_off();
	cr4_clear_bits(X86_CR4_VMXE);
	intel_pt_handle_vmx(0);
}

void vmx_cpu_emergency_off(void)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpus);
	struct vmx_vcpu *vmx;

	if (!vc->on || !(cr4_read_shadow() & X86_CR4_VMXE))
		return;
	/* The list changes with IRQs off only; an NMI in the middle sees the old or the new one. */
	list_for_each_entry(vmx, &vc->loaded, loaded)
		vmx_clear(__pa(vmx->vmcs));
	vmx_off();
	cr4_clear_bits(X86_CR4_VMXE);
}
