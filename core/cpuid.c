// SPDX-License-Identifier: GPL-2.0
/*
 * CPUID: what this host can give a guest (core/cpuid_rules.c says what may
 * pass), what a VM shows, and what follows from it for control registers.  It
 * must not know exits.
 *
 * A VM's table changes only while vm->lock is held and every vCPU is owned by
 * the caller; a vCPU reads it as its owner.
 */
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>
#include <linux/keel.h>
#include <asm/cpufeature.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/msr-index.h>
#include <asm/processor.h>
#include <asm/processor-flags.h>
#include "core/cpuid.h"
#include "core/cpuid_rules.h"
#include "core/stats.h"
#include "core/vcpu.h"
#include "irqchip/irqchip.h"

/* States that the run loop and the records carry; AMX and PKRU they do not. */
#define CPUID_XCR0	(XFEATURE_MASK_FP | XFEATURE_MASK_SSE | XFEATURE_MASK_YMM | \
			 XFEATURE_MASK_AVX512)
#define CPUID_XSAVE_BASE	576	/* legacy region and header */
#define CPUID_NR_XSTATES	8	/* bits of CPUID_XCR0 */

u64 keel_host_xcr0 __ro_after_init;
u32 keel_xsave_size __ro_after_init = CPUID_XSAVE_BASE;

static struct keel_cpuid_host host __ro_after_init;

/* Where each state lies in the standard format, and how the compacted one packs it. */
static struct {
	u32 size, offset;
	bool align;
} xstates[CPUID_NR_XSTATES] __ro_after_init;

/* What a guest may see on this host, sorted; constant after setup. */
static struct keel_cpuid_entry supported[KEEL_MAX_CPUID] __ro_after_init;
static u32 nr_supported __ro_after_init;

/* ---- the host ---------------------------------------------------------------- */

static void host_read(u32 leaf, u32 index, u32 *regs)
{
	cpuid_count(leaf, index, &regs[KEEL_EAX], &regs[KEEL_EBX], &regs[KEEL_ECX],
		    &regs[KEEL_EDX]);
}

static void setup_xstates(void)
{
	u32 regs[4];
	int i;

	if (!boot_cpu_has(X86_FEATURE_OSXSAVE))
		return;
	keel_host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK) & CPUID_XCR0;
	for (i = 2; i < CPUID_NR_XSTATES; i++) {
		if (!(keel_host_xcr0 & BIT_ULL(i)))
			continue;
		host_read(0xd, i, regs);
		xstates[i].size = regs[KEEL_EAX];
		xstates[i].offset = regs[KEEL_EBX];
		xstates[i].align = regs[KEEL_ECX] & BIT(1);
		keel_xsave_size = max(keel_xsave_size, xstates[i].offset + xstates[i].size);
	}
}

/* Bytes of an XSAVE area for @xcr0. */
static u32 xsave_bytes(u64 xcr0, bool compacted)
{
	u32 bytes = CPUID_XSAVE_BASE;
	int i;

	for (i = 2; i < CPUID_NR_XSTATES; i++) {
		if (!(xcr0 & BIT_ULL(i)))
			continue;
		if (!compacted)
			bytes = max(bytes, xstates[i].offset + xstates[i].size);
		else
			bytes = (xstates[i].align ? ALIGN(bytes, 64) : bytes) + xstates[i].size;
	}
	return bytes;
}

static bool host_spec_ctrl(void)
{
	return boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL);
}

/* QEMU emulates SVM without the intercept of XSETBV. */
static bool host_is_qemu(void)
{
	u32 regs[4];

	if (!boot_cpu_has(X86_FEATURE_HYPERVISOR))
		return false;
	host_read(0x40000000, 0, regs);
	return !memcmp(&regs[KEEL_EBX], "TCGTCGTCGTCG", 12);
}

int keel_cpuid_setup(void)
{
	setup_xstates();
	if (keel_host_xcr0 && host_is_qemu())
		static_branch_enable(&keel_xcr0_unseen);
	host.read = host_read;
	host.xcr0 = keel_host_xcr0;
	host.xsave_size = keel_xsave_size;
	host.phys_bits = keel_gpa_bits();
	host.spec_ctrl = host_spec_ctrl();
	host.ibpb = boot_cpu_has(X86_FEATURE_IBPB);
	nr_supported = keel_cpuid_build(&host, supported, ARRAY_SIZE(supported));
	return nr_supported ? 0 : -ENOSPC;
}

int keel_cpuid_supported(struct keel_cpuid_entry *entries, u32 *nr)
{
	u32 room = *nr;

	*nr = nr_supported;
	if (room < nr_supported)
		return -E2BIG;
	memcpy(entries, supported, array_size(nr_supported, sizeof(*entries)));
	return 0;
}

/* ---- a VM's table ------------------------------------------------------------ */

static struct keel_cpuid_table *table_alloc(u32 nr)
{
	struct keel_cpuid_table *table;

	table = kzalloc(struct_size(table, entries, nr), GFP_KERNEL_ACCOUNT);
	if (table) {
		table->nr = nr;
		keel_account(struct_size(table, entries, nr));
	}
	return table;
}

static void table_free(struct keel_cpuid_table *table)
{
	if (!table)
		return;
	keel_account(-(long)struct_size(table, entries, table->nr));
	kfree(table);
}

/* [vm->lock, every vCPU owned] */
static void table_install(struct keel_vm *vm, struct keel_cpuid_table *table)
{
	struct keel_cpuid_table *old = vm->cpuid;

	keel_cpuid_index(table);
	keel_cpuid_derive(table, &host);
	keel_cpuid_tsc(table, keel_tsc_khz(vm));
	vm->cpuid = table;
	vm->guest_has = table->guest_has;
	table_free(old);
}

/* What a VM with @features may be shown of the bits that the kernel emulates. */
static void vm_limits(struct keel_vm *vm, struct keel_cpuid_limits *limits)
{
	limits->no_x2apic = !(vm->features & KEEL_FEAT_X2APIC);
	limits->no_tsc_deadline = !(vm->features & KEEL_FEAT_TSC_DEADLINE);
}

int keel_cpuid_default(struct keel_vm *vm)
{
	struct keel_cpuid_table *table = table_alloc(nr_supported);
	struct keel_cpuid_limits limits;

	if (!table)
		return -ENOMEM;
	memcpy(table->entries, supported, array_size(nr_supported, sizeof(*supported)));
	vm_limits(vm, &limits);
	keel_cpuid_limit(table->entries, table->nr, &limits);
	table_install(vm, table);
	return 0;
}

static int entry_order(const void *a, const void *b)
{
	return keel_cpuid_order(a, b);
}

/* Take every vCPU, or none. */
static int own_all(struct keel_vm *vm)
{
	struct keel_vcpu *vcpu;
	u32 i;

	keel_for_each_vcpu(i, vcpu, vm) {
		if (!keel_vcpu_own(vcpu))
			continue;
		while (i--)
			if (vm->vcpus[i])
				keel_vcpu_disown(vm->vcpus[i]);
		return -EBUSY;
	}
	return 0;
}

static void disown_all(struct keel_vm *vm)
{
	struct keel_vcpu *vcpu;
	u32 i;

	keel_for_each_vcpu(i, vcpu, vm)
		keel_vcpu_disown(vcpu);
}

int keel_cpuid_set(struct keel_vm *vm, const struct keel_cpuid_entry *entries, u32 nr, u32 *bad)
{
	struct keel_cpuid_table *table;
	struct keel_cpuid_limits limits;
	int ret;

	lockdep_assert_held(&vm->lock);
	vm_limits(vm, &limits);
	ret = keel_cpuid_check(supported, nr_supported, &limits, entries, nr, bad);
	if (ret)
		return ret;
	table = table_alloc(nr);
	if (!table)
		return -ENOMEM;
	if (nr)
		memcpy(table->entries, entries, array_size(nr, sizeof(*entries)));
	sort(table->entries, nr, sizeof(*entries), entry_order, NULL);

	/* From here on no vCPU can start to run with the old table. */
	ret = own_all(vm);
	if (ret)
		goto err_free;
	ret = -EBUSY;
	if (READ_ONCE(vm->has_run))
		goto err_disown;
	table_install(vm, table);
	disown_all(vm);
	return 0;

err_disown:
	disown_all(vm);
err_free:
	table_free(table);
	return ret;
}

void keel_cpuid_fini(struct keel_vm *vm)
{
	table_free(vm->cpuid);
	vm->cpuid = NULL;
}

/* ---- what follows from it ---------------------------------------------------- */

u64 keel_guest_cr4_mask(struct keel_vm *vm)
{
	return vm->cpuid->cr4_mask;
}

u64 keel_guest_efer_mask(struct keel_vm *vm)
{
	return vm->cpuid->efer_mask;
}

u64 keel_guest_xcr0_mask(struct keel_vm *vm)
{
	return vm->cpuid->xcr0_mask;
}

u8 keel_guest_maxphyaddr(struct keel_vm *vm)
{
	return vm->cpuid->maxphyaddr;
}

/* ---- the instruction --------------------------------------------------------- */

static bool guest_cr4(struct keel_vcpu *vcpu, u64 bit)
{
	keel_need(vcpu, KEEL_CG_CR);
	return vcpu->sregs.cr4 & bit;
}

/* The bits of @leaf that depend on the vCPU and on what it does now. */
static void fill_dynamic(struct keel_vcpu *vcpu, u32 leaf, u32 index, u32 *regs)
{
	switch (leaf) {
	case 0x1:
		regs[KEEL_EBX] = (regs[KEEL_EBX] & 0xffffff) | vcpu->id << 24;
		regs[KEEL_ECX] &= ~KEEL_CPUID_OSXSAVE;
		if (guest_cr4(vcpu, X86_CR4_OSXSAVE))
			regs[KEEL_ECX] |= KEEL_CPUID_OSXSAVE;
		if (vcpu->lapic && !(lapic_base(vcpu) & MSR_IA32_APICBASE_ENABLE))
			regs[KEEL_EDX] &= ~KEEL_CPUID_APIC;
		break;
	case 0x7:
		if (index == 0) {
			regs[KEEL_ECX] &= ~KEEL_CPUID_OSPKE;
			if (guest_cr4(vcpu, X86_CR4_PKE))
				regs[KEEL_ECX] |= KEEL_CPUID_OSPKE;
		}
		break;
	case 0xb:
	case 0x1f:
		regs[KEEL_EDX] = vcpu->id;
		break;
	case 0xd:
		if (index == 0)
			regs[KEEL_EBX] = xsave_bytes(vcpu->xcr0, false);
		else if (index == 1 && (regs[KEEL_EAX] & KEEL_CPUID_XSAVEC))
			regs[KEEL_EBX] = xsave_bytes(vcpu->xcr0, true);
		break;
	case 0x8000001e:
		regs[KEEL_EAX] = vcpu->id;
		break;
	}
}

/* Leaves that fill_dynamic() changes, as bits; the others are beyond 31. */
#define DYNAMIC_LEAVES	(BIT(0x1) | BIT(0x7) | BIT(0xb) | BIT(0xd) | BIT(0x1f))

/* A basic leaf without an index is one load away, whatever the guest's vendor. */
static __always_inline const struct keel_cpuid_entry *
find_basic(const struct keel_cpuid_table *table, u32 leaf)
{
	const struct keel_cpuid_entry *entry;

	if (unlikely(leaf >= KEEL_CPUID_BASIC || leaf > table->max_basic ||
		     table->basic[leaf] >= table->nr))
		return NULL;
	entry = &table->entries[table->basic[leaf]];
	return entry->leaf != leaf || (entry->flags & KEEL_CPUID_INDEX) ? NULL : entry;
}

/* With an index, or with what changes while the guest runs, or not there. */
static noinline void emulate_rare(struct keel_vcpu *vcpu, u32 leaf, u32 index)
{
	const struct keel_cpuid_table *table = vcpu->vm->cpuid;
	const struct keel_cpuid_entry *entry;
	u64 *gpr = vcpu->regs.gpr;
	u32 regs[4] = { };

	leaf = keel_cpuid_clamp(table, leaf);
	entry = keel_cpuid_find(table, leaf, index);
	if (entry) {
		regs[KEEL_EAX] = entry->eax;
		regs[KEEL_EBX] = entry->ebx;
		regs[KEEL_ECX] = entry->ecx;
		regs[KEEL_EDX] = entry->edx;
		fill_dynamic(vcpu, leaf, index, regs);
	}
	gpr[KEEL_RAX] = regs[KEEL_EAX];
	gpr[KEEL_RBX] = regs[KEEL_EBX];
	gpr[KEEL_RCX] = regs[KEEL_ECX];
	gpr[KEEL_RDX] = regs[KEEL_EDX];
}

void keel_cpuid_emulate(struct keel_vcpu *vcpu)
{
	u64 *gpr = vcpu->regs.gpr;
	u32 leaf = gpr[KEEL_RAX];
	const struct keel_cpuid_entry *entry = find_basic(vcpu->vm->cpuid, leaf);

	if (unlikely(!entry || (DYNAMIC_LEAVES & BIT(leaf)))) {
		emulate_rare(vcpu, leaf, gpr[KEEL_RCX]);
		return;
	}
	gpr[KEEL_RAX] = entry->eax;
	gpr[KEEL_RBX] = entry->ebx;
	gpr[KEEL_RCX] = entry->ecx;
	gpr[KEEL_RDX] = entry->edx;
}
