// SPDX-License-Identifier: GPL-2.0
/*
 * What of CPUID may pass from a host to a guest: one rule a leaf, with the bits
 * that pass, those that Keel provides by itself, and those that only describe.
 * A bit that is in no rule is never shown: VMX and SVM, MONITOR, the
 * performance counters, tracing, SGX, TSX, protection keys, AMX and whatever
 * a later CPU invents.  It must not know VMs or the CPU it runs on.
 */
#include "core/cpuid_rules.h"
#include "core/tsc_math.h"

#define B(n)		(1U << (n))
#define R_EAX		BIT(KEEL_EAX)
#define R_EBX		BIT(KEEL_EBX)
#define R_ECX		BIT(KEEL_ECX)
#define R_EDX		BIT(KEEL_EDX)
#define R_ALL		(R_EAX | R_EBX | R_ECX | R_EDX)

/* How the indexes of a leaf are enumerated on the host */
enum rule_walk {
	WALK_ONE,		/* no index, or the one of the rule */
	WALK_CACHE,		/* until a cache of type 0 */
	WALK_XSTATE,		/* the states of XCR0 */
};

struct rule {
	u32 leaf;
	u8 index;		/* the rule's index; WALK_*: the first one */
	bool indexed;
	u8 walk;		/* enum rule_walk */
	u8 free;		/* R_*: describes only, a launcher may say anything */
	u32 pass[4];		/* bits that pass from the host */
	u32 own[4];		/* bits that Keel provides on any host */
	u32 may[4];		/* bits that a launcher may add: they only describe */
};

#define PASS_ALL	{ ~0U, ~0U, ~0U, ~0U }

/* Leaf 1 */
#define L1_ECX	(B(0) | B(1) | B(9) | B(12) | B(13) | B(17) | B(19) | B(20) | B(22) |	\
		 B(23) | B(25) | B(26) | B(28) | B(29) | B(30))
#define L1_X2APIC	B(21)
#define L1_TSC_DEADLINE	B(24)
#define L1_HYPERVISOR	B(31)
#define L1_EDX	(B(0) | B(1) | B(2) | B(3) | B(4) | B(5) | B(6) | B(7) | B(8) | B(9) |	\
		 B(11) | B(12) | B(13) | B(14) | B(15) | B(16) | B(17) | B(19) |	\
		 B(23) | B(24) | B(25) | B(26) | B(27))
#define L1_HTT		B(28)

/* Leaf 7 */
#define L7_TSC_ADJUST	B(1)
#define L7_EBX	(B(0) | B(3) | B(5) | B(6) | B(7) | B(8) | B(9) | B(10) | B(13) | B(16) | \
		 B(17) | B(18) | B(19) | B(20) | B(21) | B(23) | B(24) | B(26) | B(27) | \
		 B(28) | B(29) | B(30) | B(31))
#define L7_ECX	(B(0) | B(1) | B(2) | B(6) | B(8) | B(9) | B(10) | B(11) | B(12) | B(14) | \
		 B(16) | B(22) | B(25) | B(27) | B(28))
#define L7_SPEC	(B(26) | B(27) | B(31))
#define L7_EDX	(B(2) | B(3) | B(4) | B(8) | B(10) | B(14) | B(23) | L7_SPEC)
#define L7_1_EAX (B(0) | B(1) | B(2) | B(4) | B(5) | B(10) | B(11) | B(12) | B(23))
#define L7_1_EDX (B(4) | B(5) | B(10) | B(14))

/* Leaf 0x80000001 */
#define E1_ECX	(B(0) | B(5) | B(6) | B(7) | B(8) | B(11) | B(16) | B(21))
#define E1_CMP_LEGACY	B(1)
#define E1_TOPOEXT	B(22)
#define E1_EDX	(B(0) | B(1) | B(2) | B(3) | B(4) | B(5) | B(6) | B(7) | B(8) | B(9) |	\
		 B(11) | B(12) | B(13) | B(14) | B(15) | B(16) | B(17) | B(20) | B(22) | \
		 B(23) | B(24) | B(25) | B(26) | B(27) | B(29) | B(30) | B(31))

/* Leaf 0x80000008 EBX */
#define E8_IBPB	B(12)
#define E8_SPEC	(B(14) | B(15) | B(17) | B(18) | B(19) | B(24) | B(28))
#define E8_EBX	(B(0) | B(2) | B(9) | B(26) | E8_IBPB | E8_SPEC)

#define E21_EAX	(B(0) | B(2) | B(6) | B(10) | B(11) | B(20) | B(29))

/*
 * Instructions that work on a state of XCR0. They pass only with it: a host may
 * have switched XSAVE or a state off, and its CPUID would still show them.
 */
#define X_ANY	0x01	/* XSAVE itself */
#define X_AVX	0x04
#define X_AVX512	0xe0

static const struct {
	u32 leaf;
	u8 index, reg;
	u8 states;
	u32 bits;
} stateful[] = {
	{ 0x1, 0, KEEL_ECX, X_ANY, B(26) },
	{ 0x1, 0, KEEL_ECX, X_AVX, B(12) | B(28) | B(29) },
	{ 0x7, 0, KEEL_EBX, X_AVX, B(5) },
	{ 0x7, 0, KEEL_EBX, X_AVX512,
	  B(16) | B(17) | B(21) | B(26) | B(27) | B(28) | B(30) | B(31) },
	{ 0x7, 0, KEEL_ECX, X_AVX, B(9) | B(10) },
	{ 0x7, 0, KEEL_ECX, X_AVX512, B(1) | B(6) | B(11) | B(12) | B(14) },
	{ 0x7, 0, KEEL_EDX, X_AVX512, B(2) | B(3) | B(8) | B(23) },
	{ 0x7, 1, KEEL_EAX, X_AVX, B(0) | B(1) | B(2) | B(4) | B(23) },
	{ 0x7, 1, KEEL_EAX, X_AVX512, B(5) },
	{ 0x7, 1, KEEL_EDX, X_AVX, B(4) | B(5) | B(10) },
	{ 0x80000001, 0, KEEL_ECX, X_AVX, B(11) | B(16) },
};

/* Sorted by leaf, then index. */
static const struct rule rules[] = {
	{ .leaf = 0x0, .free = R_ALL, .pass = PASS_ALL },
	{ .leaf = 0x1, .free = R_EAX | R_EBX, .pass = { ~0U, 0xffff, L1_ECX, L1_EDX },
	  .own = { [KEEL_ECX] = L1_X2APIC | L1_TSC_DEADLINE },
	  .may = { [KEEL_ECX] = L1_HYPERVISOR | KEEL_CPUID_OSXSAVE, [KEEL_EDX] = L1_HTT } },
	{ .leaf = 0x2, .free = R_ALL, .pass = PASS_ALL },
	{ .leaf = 0x4, .indexed = true, .walk = WALK_CACHE, .free = R_ALL,
	  .pass = { 0x3fff, ~0U, ~0U, ~0U } },
	{ .leaf = 0x6, .pass = { B(2) } },		/* the LAPIC timer never stops */
	{ .leaf = 0x7, .index = 0, .indexed = true, .free = R_EAX,
	  .pass = { 0, L7_EBX, L7_ECX, L7_EDX },
	  .own = { [KEEL_EBX] = L7_TSC_ADJUST },
	  .may = { [KEEL_ECX] = KEEL_CPUID_OSPKE } },
	{ .leaf = 0x7, .index = 1, .indexed = true, .pass = { L7_1_EAX, 0, 0, L7_1_EDX } },
	{ .leaf = 0xa },				/* no performance counters */
	{ .leaf = 0xb, .indexed = true, .free = R_ALL },
	{ .leaf = 0xd, .index = 0, .indexed = true, .free = R_EBX | R_ECX },
	{ .leaf = 0xd, .index = 1, .indexed = true, .free = R_EBX,
	  .pass = { B(0) | B(1) | B(2) } },		/* not XSAVES: nobody switches its states */
	{ .leaf = 0xd, .index = 2, .indexed = true, .walk = WALK_XSTATE, .free = R_ALL,
	  .pass = PASS_ALL },
	{ .leaf = 0x15, .free = R_ALL, .pass = PASS_ALL },
	{ .leaf = 0x16, .free = R_ALL, .pass = PASS_ALL },
	{ .leaf = 0x80000000, .free = R_ALL, .pass = PASS_ALL },
	{ .leaf = 0x80000001, .free = R_EAX | R_EBX, .pass = { ~0U, 0, E1_ECX, E1_EDX },
	  .may = { [KEEL_ECX] = E1_CMP_LEGACY | E1_TOPOEXT } },
	{ .leaf = 0x80000002, .free = R_ALL, .pass = PASS_ALL },
	{ .leaf = 0x80000003, .free = R_ALL, .pass = PASS_ALL },
	{ .leaf = 0x80000004, .free = R_ALL, .pass = PASS_ALL },
	{ .leaf = 0x80000005, .free = R_ALL, .pass = PASS_ALL },
	{ .leaf = 0x80000006, .free = R_ALL, .pass = PASS_ALL },
	{ .leaf = 0x80000007, .pass = { [KEEL_EDX] = B(8) } },	/* invariant TSC */
	{ .leaf = 0x80000008, .free = R_ECX, .pass = { 0, E8_EBX } },
	{ .leaf = 0x8000000a },				/* no SVM */
	{ .leaf = 0x80000019, .free = R_ALL, .pass = PASS_ALL },
	{ .leaf = 0x8000001a, .free = R_ALL, .pass = PASS_ALL },
	{ .leaf = 0x8000001d, .indexed = true, .walk = WALK_CACHE, .free = R_ALL,
	  .pass = { 0x3fff, ~0U, ~0U, ~0U } },
	{ .leaf = 0x8000001e, .free = R_ALL },
	{ .leaf = 0x80000021, .pass = { E21_EAX } },
};

/* Topology that only a launcher can know, without a rule of its own on any host. */
static bool describes_only(u32 leaf)
{
	return leaf == 0x1f || (leaf >= 0x40000000 && leaf <= 0x400000ff);
}

/* ---- what the host can give -------------------------------------------------- */

struct builder {
	const struct keel_cpuid_host *host;
	struct keel_cpuid_entry *entries;
	u32 nr, room;
	u32 max_basic, max_extended;	/* of the host */
	bool full;
};

static bool is_extended(u32 leaf)
{
	return leaf & 0x80000000;
}

/* Fields that are numbers, or that more than the host's CPUID decides. */
static void build_special(const struct keel_cpuid_host *host, const struct rule *rule, u32 *regs,
			  const u32 *from)
{
	switch (rule->leaf) {
	case 0x7:
		if (rule->index == 0) {
			regs[KEEL_EAX] = min(from[KEEL_EAX], 1U);
			if (!host->spec_ctrl)
				regs[KEEL_EDX] &= ~L7_SPEC;
		}
		break;
	case 0xd:
		if (rule->index == 0) {
			regs[KEEL_EAX] = (u32)host->xcr0;
			regs[KEEL_EBX] = host->xsave_size;
			regs[KEEL_ECX] = host->xsave_size;
			regs[KEEL_EDX] = (u32)(host->xcr0 >> 32);
		}
		break;
	case 0x80000008:
		/* guest-physical and linear width */
		regs[KEEL_EAX] = host->phys_bits | (from[KEEL_EAX] & 0xff00);
		if (!host->ibpb)
			regs[KEEL_EBX] &= ~E8_IBPB;
		if (!host->spec_ctrl)
			regs[KEEL_EBX] &= ~E8_SPEC;
		break;
	}
}

static void build_stateful(const struct keel_cpuid_host *host, const struct rule *rule,
			   u32 *regs)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(stateful); i++)
		if (stateful[i].leaf == rule->leaf && stateful[i].index == rule->index &&
		    (host->xcr0 & stateful[i].states) != stateful[i].states)
			regs[stateful[i].reg] &= ~stateful[i].bits;
}

static void build_entry(struct builder *b, const struct rule *rule, u32 index, const u32 *from)
{
	struct keel_cpuid_entry *entry = &b->entries[b->nr];
	u32 regs[4];
	int i;

	if (b->nr == b->room) {
		b->full = true;
		return;
	}
	for (i = 0; i < 4; i++)
		regs[i] = (from[i] & rule->pass[i]) | rule->own[i];
	build_special(b->host, rule, regs, from);
	build_stateful(b->host, rule, regs);
	*entry = (struct keel_cpuid_entry){
		.leaf = rule->leaf,
		.index = index,
		.flags = rule->indexed ? KEEL_CPUID_INDEX : 0,
		.eax = regs[KEEL_EAX],
		.ebx = regs[KEEL_EBX],
		.ecx = regs[KEEL_ECX],
		.edx = regs[KEEL_EDX],
	};
	b->nr++;
}

static void build_rule(struct builder *b, const struct rule *rule)
{
	u32 index = rule->index, last = rule->index;
	u32 from[4];

	if (rule->leaf > (is_extended(rule->leaf) ? b->max_extended : b->max_basic))
		return;
	if (rule->leaf == 0xd && !b->host->xcr0)
		return;
	if (rule->walk != WALK_ONE)
		last = rule->walk == WALK_CACHE ? 15 : 62;
	for (; index <= last; index++) {
		if (rule->walk == WALK_XSTATE && !(b->host->xcr0 >> index & 1))
			continue;
		b->host->read(rule->leaf, index, from);
		if (rule->walk == WALK_CACHE && !(from[KEEL_EAX] & 0x1f))
			break;
		build_entry(b, rule, index, from);
	}
}

/* The first leaf of a range says how far it goes. */
static void build_max(struct builder *b)
{
	u32 basic = 0, extended = 0x80000000, i;

	for (i = 0; i < b->nr; i++) {
		if (is_extended(b->entries[i].leaf))
			extended = max(extended, b->entries[i].leaf);
		else
			basic = max(basic, b->entries[i].leaf);
	}
	for (i = 0; i < b->nr; i++) {
		if (b->entries[i].leaf == 0)
			b->entries[i].eax = basic;
		else if (b->entries[i].leaf == 0x80000000)
			b->entries[i].eax = extended;
	}
}

u32 keel_cpuid_build(const struct keel_cpuid_host *host, struct keel_cpuid_entry *entries,
		     u32 room)
{
	struct builder b = { .host = host, .entries = entries, .room = room };
	u32 regs[4];
	u32 i;

	host->read(0, 0, regs);
	b.max_basic = regs[KEEL_EAX];
	host->read(0x80000000, 0, regs);
	b.max_extended = is_extended(regs[KEEL_EAX]) ? regs[KEEL_EAX] : 0x80000000;
	for (i = 0; i < ARRAY_SIZE(rules); i++)
		build_rule(&b, &rules[i]);
	build_max(&b);
	return b.full ? 0 : b.nr;
}

void keel_cpuid_limit(struct keel_cpuid_entry *entries, u32 nr,
		      const struct keel_cpuid_limits *limits)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		if (entries[i].leaf != 0x1)
			continue;
		if (limits->no_x2apic)
			entries[i].ecx &= ~L1_X2APIC;
		if (limits->no_tsc_deadline)
			entries[i].ecx &= ~L1_TSC_DEADLINE;
	}
}

/* ---- what a launcher may install --------------------------------------------- */

int keel_cpuid_order(const struct keel_cpuid_entry *a, const struct keel_cpuid_entry *b)
{
	if (a->leaf != b->leaf)
		return a->leaf < b->leaf ? -1 : 1;
	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	return 0;
}

static const struct rule *rule_of(const struct keel_cpuid_entry *entry)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct rule *rule = &rules[i];

		if (rule->leaf != entry->leaf)
			continue;
		if (!rule->indexed || rule->index == entry->index ||
		    (rule->walk != WALK_ONE && entry->index > rule->index) ||
		    rule->free == R_ALL)
			return rule;
	}
	return NULL;
}

static bool leaf_is_indexed(u32 leaf)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].leaf == leaf)
			return rules[i].indexed;
	return false;
}

static bool check_form(const struct keel_cpuid_entry *entries, u32 at)
{
	const struct keel_cpuid_entry *entry = &entries[at];
	u32 i;

	if ((entry->flags & ~KEEL_CPUID_INDEX) || entry->reserved)
		return false;
	if (!(entry->flags & KEEL_CPUID_INDEX) && (entry->index || leaf_is_indexed(entry->leaf)))
		return false;
	/* Twice, or once for every index and once for one of them. */
	for (i = 0; i < at; i++)
		if (entries[i].leaf == entry->leaf &&
		    (entries[i].flags != entry->flags || entries[i].index == entry->index))
			return false;
	return true;
}

/* Widths of addresses: not beyond the host's; 32 at least, or it is no CPU. */
static bool check_widths(u32 eax, u32 host)
{
	u32 phys = eax & 0xff, linear = eax >> 8 & 0xff;

	return phys >= 32 && phys <= (host & 0xff) && linear <= (host >> 8 & 0xff) &&
	       !(eax >> 24);
}

static bool check_features(const struct keel_cpuid_entry *entry, const struct rule *rule,
			   const struct keel_cpuid_entry *given)
{
	const u32 want[4] = { entry->eax, entry->ebx, entry->ecx, entry->edx };
	u32 have[4] = { };
	int i;

	if (given) {
		have[KEEL_EAX] = given->eax;
		have[KEEL_EBX] = given->ebx;
		have[KEEL_ECX] = given->ecx;
		have[KEEL_EDX] = given->edx;
	}
	for (i = 0; i < 4; i++) {
		if (rule && (rule->free & BIT(i)))
			continue;
		if (entry->leaf == 0x80000008 && i == KEEL_EAX) {
			if (!check_widths(want[i], have[i]))
				return false;
			continue;
		}
		if (want[i] & ~(have[i] | (rule ? rule->may[i] : 0)))
			return false;
	}
	return true;
}

int keel_cpuid_check(const struct keel_cpuid_entry *supported, u32 nr_supported,
		     const struct keel_cpuid_limits *limits,
		     const struct keel_cpuid_entry *entries, u32 nr, u32 *bad)
{
	struct keel_cpuid_entry given;
	u32 i, j;

	for (i = 0; i < nr; i++) {
		const struct keel_cpuid_entry *entry = &entries[i];

		*bad = i;
		if (!check_form(entries, i))
			return -EINVAL;
		if (describes_only(entry->leaf))
			continue;
		for (j = 0; j < nr_supported; j++)
			if (!keel_cpuid_order(&supported[j], entry))
				break;
		if (j < nr_supported) {
			given = supported[j];
			keel_cpuid_limit(&given, 1, limits);
		}
		if (!check_features(entry, rule_of(entry), j < nr_supported ? &given : NULL))
			return -EOPNOTSUPP;
	}
	*bad = 0;
	return 0;
}

/* ---- lookup ------------------------------------------------------------------ */

void keel_cpuid_index(struct keel_cpuid_table *table)
{
	const struct keel_cpuid_entry *entry;
	u32 i;

	memset(table->basic, KEEL_CPUID_NONE, sizeof(table->basic));
	memset(table->extended, KEEL_CPUID_NONE, sizeof(table->extended));
	for (i = table->nr; i--; ) {
		u32 leaf = table->entries[i].leaf;

		if (leaf < KEEL_CPUID_BASIC)
			table->basic[leaf] = (u8)i;
		else if (is_extended(leaf) && leaf - 0x80000000 < KEEL_CPUID_EXTENDED)
			table->extended[leaf - 0x80000000] = (u8)i;
	}
	entry = keel_cpuid_find(table, 0, 0);
	table->max_basic = entry ? entry->eax : 0;
	/* GenuineIntel */
	table->intel = entry && entry->ebx == 0x756e6547 && entry->edx == 0x49656e69 &&
		       entry->ecx == 0x6c65746e;
	entry = keel_cpuid_find(table, 0x80000000, 0);
	table->max_extended = entry ? entry->eax : 0;
}

u32 keel_cpuid_clamp(const struct keel_cpuid_table *table, u32 leaf)
{
	if (likely(!table->intel))
		return leaf;
	if (leaf >= 0x40000000 && leaf <= 0x400000ff)
		return leaf;
	return leaf > (is_extended(leaf) ? table->max_extended : table->max_basic) ?
	       table->max_basic : leaf;
}

const struct keel_cpuid_entry *keel_cpuid_find(const struct keel_cpuid_table *table, u32 leaf,
					       u32 index)
{
	u32 i;

	if (leaf < KEEL_CPUID_BASIC) {
		i = table->basic[leaf];
	} else if (leaf - 0x80000000 < KEEL_CPUID_EXTENDED) {
		i = table->extended[leaf - 0x80000000];
	} else {
		for (i = 0; i < table->nr && table->entries[i].leaf != leaf; i++)
			;
	}
	for (; i < table->nr && table->entries[i].leaf == leaf; i++)
		if (!(table->entries[i].flags & KEEL_CPUID_INDEX) ||
		    table->entries[i].index == index)
			return &table->entries[i];
	return NULL;
}

/* ---- what follows from the features ------------------------------------------ */

/* A feature that something follows from. */
struct consequence {
	u32 leaf;
	u8 index, reg;
	u32 bits;		/* any of them */
	u32 has;		/* KEEL_G_* */
	u64 cr4, efer;		/* bits that the guest may set then */
};

#define CR4(n)	(1ULL << (n))

static const struct consequence consequences[] = {
	{ 0x1, 0, KEEL_ECX, B(17), 0, CR4(17), 0 },			/* PCIDE */
	{ 0x1, 0, KEEL_ECX, L1_X2APIC, KEEL_G_X2APIC, 0, 0 },
	{ 0x1, 0, KEEL_ECX, B(23), KEEL_G_POPCNT, 0, 0 },
	{ 0x1, 0, KEEL_ECX, L1_TSC_DEADLINE, KEEL_G_TSC_DEADLINE, 0, 0 },
	{ 0x1, 0, KEEL_ECX, B(26), KEEL_G_XSAVE, CR4(18), 0 },		/* OSXSAVE */
	{ 0x1, 0, KEEL_ECX, L1_HYPERVISOR, KEEL_G_HYPERVISOR, 0, 0 },
	{ 0x1, 0, KEEL_EDX, B(1), 0, CR4(0) | CR4(1), 0 },		/* VME, PVI */
	{ 0x1, 0, KEEL_EDX, B(2), 0, CR4(3), 0 },			/* DE */
	{ 0x1, 0, KEEL_EDX, B(3), 0, CR4(4), 0 },			/* PSE */
	{ 0x1, 0, KEEL_EDX, B(4), 0, CR4(2), 0 },			/* TSD */
	{ 0x1, 0, KEEL_EDX, B(6), 0, CR4(5), 0 },			/* PAE */
	{ 0x1, 0, KEEL_EDX, B(7), 0, CR4(6), 0 },			/* MCE */
	{ 0x1, 0, KEEL_EDX, B(13), 0, CR4(7), 0 },			/* PGE */
	{ 0x1, 0, KEEL_EDX, B(24), 0, CR4(9), 0 },			/* OSFXSR */
	{ 0x1, 0, KEEL_EDX, B(25), 0, CR4(10), 0 },			/* OSXMMEXCPT */
	{ 0x7, 0, KEEL_EBX, B(0), 0, CR4(16), 0 },			/* FSGSBASE */
	{ 0x7, 0, KEEL_EBX, B(3), KEEL_G_BMI1, 0, 0 },
	{ 0x7, 0, KEEL_EBX, B(7), 0, CR4(20), 0 },			/* SMEP */
	{ 0x7, 0, KEEL_EBX, B(20), 0, CR4(21), 0 },			/* SMAP */
	{ 0x7, 0, KEEL_ECX, B(2), 0, CR4(11), 0 },			/* UMIP */
	{ 0x7, 0, KEEL_ECX, B(16), 0, CR4(12), 0 },			/* LA57 */
	{ 0x7, 0, KEEL_ECX, B(22), KEEL_G_RDPID, 0, 0 },
	{ 0x7, 0, KEEL_EDX, L7_SPEC, KEEL_G_SPEC_CTRL, 0, 0 },
	{ 0x7, 0, KEEL_EDX, B(26), KEEL_G_IBPB, 0, 0 },
	{ 0x80000001, 0, KEEL_ECX, B(5), KEEL_G_LZCNT, 0, 0 },
	{ 0x80000001, 0, KEEL_EDX, B(11), KEEL_G_SYSCALL, 0, B(0) },	/* SCE */
	{ 0x80000001, 0, KEEL_EDX, B(20), KEEL_G_NX, 0, B(11) },	/* NXE */
	{ 0x80000001, 0, KEEL_EDX, B(25), KEEL_G_FSRM_EFER_FFXSR, 0, B(14) },
	{ 0x80000001, 0, KEEL_EDX, B(26), KEEL_G_1G, 0, 0 },
	{ 0x80000001, 0, KEEL_EDX, B(27), KEEL_G_RDTSCP, 0, 0 },
	{ 0x80000001, 0, KEEL_EDX, B(29), KEEL_G_LM, 0, B(8) | B(10) },	/* LME, LMA */
	{ 0x80000008, 0, KEEL_EBX, E8_IBPB, KEEL_G_IBPB, 0, 0 },
	{ 0x80000008, 0, KEEL_EBX, E8_SPEC, KEEL_G_SPEC_CTRL, 0, 0 },
};

#define CR4_ALWAYS	CR4(8)		/* PCE: RDPMC is intercepted anyway */
#define PHYS_BITS_LEGACY	36

static u32 table_bits(const struct keel_cpuid_table *table, u32 leaf, u32 index, u8 reg)
{
	const struct keel_cpuid_entry *e = keel_cpuid_find(table, leaf, index);

	if (!e)
		return 0;
	switch (reg) {
	case KEEL_EAX:
		return e->eax;
	case KEEL_EBX:
		return e->ebx;
	case KEEL_ECX:
		return e->ecx;
	default:
		return e->edx;
	}
}

void keel_cpuid_derive(struct keel_cpuid_table *table, const struct keel_cpuid_host *host)
{
	u8 phys = table_bits(table, 0x80000008, 0, KEEL_EAX) & 0xff;
	u32 i;

	table->guest_has = 0;
	table->cr4_mask = CR4_ALWAYS;
	table->efer_mask = 0;
	table->xcr0_mask = 0;
	for (i = 0; i < ARRAY_SIZE(consequences); i++) {
		const struct consequence *c = &consequences[i];

		if (!(table_bits(table, c->leaf, c->index, c->reg) & c->bits))
			continue;
		table->guest_has |= c->has;
		table->cr4_mask |= c->cr4;
		table->efer_mask |= c->efer;
	}
	if (table->guest_has & KEEL_G_XSAVE)
		table->xcr0_mask = host->xcr0 & (1 | table_bits(table, 0xd, 0, KEEL_EAX) |
			(u64)table_bits(table, 0xd, 0, KEEL_EDX) << 32);
	table->maxphyaddr = min_t(u8, phys ?: PHYS_BITS_LEGACY, host->phys_bits);
}

/* ---- frequencies -------------------------------------------------------------- */

/* Software takes the crystal's clock for that of the LAPIC timer, which counts nanoseconds. */
#define CRYSTAL_KHZ	1000000U

/* For the table's owner: keel_cpuid_find() reads. */
static struct keel_cpuid_entry *table_entry(struct keel_cpuid_table *table, u32 leaf)
{
	const struct keel_cpuid_entry *entry = keel_cpuid_find(table, leaf, 0);

	return entry ? &table->entries[entry - table->entries] : NULL;
}

void keel_cpuid_tsc(struct keel_cpuid_table *table, u32 khz)
{
	struct keel_cpuid_entry *crystal = table_entry(table, 0x15);
	struct keel_cpuid_entry *mhz = table_entry(table, 0x16);
	u32 num, den;

	if (crystal) {
		crystal->eax = 0;
		crystal->ebx = 0;	/* the ratio is not told */
		crystal->ecx = 0;
		if (keel_tsc_crystal_ratio(khz, CRYSTAL_KHZ, &num, &den)) {
			crystal->eax = den;
			crystal->ebx = num;
			crystal->ecx = CRYSTAL_KHZ * 1000;
		}
	}
	if (mhz) {
		mhz->eax = khz / 1000 + (khz % 1000 >= 500);
		mhz->ebx = mhz->eax;
	}
}
