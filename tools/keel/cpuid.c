// SPDX-License-Identifier: GPL-2.0
/*
 * What CPU the guest sees: the host's table, in which one package of N cores
 * with one thread each replaces the host's own topology. APIC IDs are filled
 * in by the kernel for each vCPU. It must not know a VM.
 */
#include "cpuid.h"

#define LEAF_BASIC	0x00000000U
#define LEAF_FEATURES	0x00000001U
#define LEAF_CACHE	0x00000004U
#define LEAF_TOPOLOGY	0x0000000bU
#define LEAF_TOPOLOGY2	0x0000001fU
#define LEAF_EXT	0x80000001U
#define LEAF_SIZES	0x80000008U
#define LEAF_AMD_CACHE	0x8000001dU
#define LEAF_AMD_TOPO	0x8000001eU

#define F1_ECX_HYPERVISOR	BIT(31)
#define F1_EDX_HTT		BIT(28)
#define EXT_ECX_CMP_LEGACY	BIT(1)
#define EXT_ECX_TOPOEXT		BIT(22)

#define LEVEL_SMT	0x100
#define LEVEL_CORE	0x200

static bool vendor_is(const struct keel_cpuid_entry *e, u32 ebx, u32 edx, u32 ecx)
{
	return e->ebx == ebx && e->edx == edx && e->ecx == ecx;
}

/* "AuthenticAMD", "HygonGenuine" */
static bool is_amd(const struct keel_cpuid_entry *entries, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		if (entries[i].leaf == LEAF_BASIC)
			return vendor_is(&entries[i], 0x68747541, 0x69746e65, 0x444d4163) ||
			       vendor_is(&entries[i], 0x6f677948, 0x6e65476e, 0x656e6975);
	return false;
}

/* Bits of an APIC ID that number @nr_cpus cores. */
static unsigned int core_bits(unsigned int nr_cpus)
{
	unsigned int bits = 0;

	while (1U << bits < nr_cpus)
		bits++;
	return bits;
}

/* These describe the host's topology, or need a value for each vCPU: out. */
static bool unwanted(const struct keel_cpuid_entry *e)
{
	return e->leaf == LEAF_TOPOLOGY || e->leaf == LEAF_TOPOLOGY2 ||
	       e->leaf == LEAF_AMD_CACHE || e->leaf == LEAF_AMD_TOPO;
}

static u32 drop_unwanted(struct keel_cpuid_entry *entries, u32 nr)
{
	u32 kept = 0;

	for (u32 i = 0; i < nr; i++)
		if (!unwanted(&entries[i]))
			entries[kept++] = entries[i];
	return kept;
}

static void shape_cache(struct keel_cpuid_entry *e, unsigned int nr_cpus)
{
	unsigned int level = e->eax >> 5 & 7;
	u32 sharing = level >= 3 ? (1U << core_bits(nr_cpus)) - 1 : 0;
	u32 cores = (1U << core_bits(nr_cpus)) - 1;

	if (!(e->eax & 0x1f))
		return;
	if (sharing > 0xfff)
		sharing = 0xfff;
	if (cores > 0x3f)
		cores = 0x3f;
	e->eax = (e->eax & 0x3fff) | sharing << 14 | cores << 26;
}

static void shape_entry(struct keel_cpuid_entry *e, unsigned int nr_cpus, bool amd)
{
	unsigned int logical = 1U << core_bits(nr_cpus);

	if (logical > 255)
		logical = 255;
	switch (e->leaf) {
	case LEAF_FEATURES:
		e->ecx |= F1_ECX_HYPERVISOR;
		e->ebx = (e->ebx & 0xff00ffff) | logical << 16;
		e->edx = nr_cpus > 1 ? e->edx | F1_EDX_HTT : e->edx & ~F1_EDX_HTT;
		break;
	case LEAF_CACHE:
		shape_cache(e, nr_cpus);
		break;
	case LEAF_EXT:
		e->ecx &= ~(EXT_ECX_TOPOEXT | EXT_ECX_CMP_LEGACY);
		if (amd && nr_cpus > 1)
			e->ecx |= EXT_ECX_CMP_LEGACY;
		break;
	case LEAF_SIZES:
		/* On Intel ECX is reserved. */
		e->ecx = amd ? core_bits(nr_cpus) << 12 | (nr_cpus > 256 ? 255 : nr_cpus - 1) : 0;
		break;
	default:
		break;
	}
}

static struct keel_cpuid_entry topology(u32 index, u32 eax, u32 ebx, u32 level)
{
	return (struct keel_cpuid_entry){
		.leaf = LEAF_TOPOLOGY, .index = index, .flags = KEEL_CPUID_INDEX,
		.eax = eax, .ebx = ebx, .ecx = level | index,
	};
}

u32 cpuid_shape(struct keel_cpuid_entry *entries, u32 nr, unsigned int nr_cpus)
{
	const bool amd = is_amd(entries, nr);
	u32 max_basic = 0;

	nr = drop_unwanted(entries, nr);
	for (u32 i = 0; i < nr; i++) {
		if (entries[i].leaf == LEAF_BASIC)
			max_basic = entries[i].eax;
		shape_entry(&entries[i], nr_cpus, amd);
	}
	if (max_basic < LEAF_TOPOLOGY)
		return nr;
	entries[nr++] = topology(0, 0, 1, LEVEL_SMT);
	entries[nr++] = topology(1, core_bits(nr_cpus), nr_cpus, LEVEL_CORE);
	entries[nr++] = topology(2, 0, 0, 0);
	return nr;
}

unsigned int cpuid_phys_bits(const struct keel_cpuid_entry *entries, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		if (entries[i].leaf == LEAF_SIZES)
			return entries[i].eax & 0xff;
	return 36;
}
