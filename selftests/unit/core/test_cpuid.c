// SPDX-License-Identifier: GPL-2.0
/*
 * CPUID rules against hosts that are made up: one that has every bit there is,
 * and a small AMD one. What must never be shown is not; what a launcher may
 * install is a subset; lookups and consequences are those of the table.
 */
#include <stdlib.h>
#include "core/cpuid_rules.h"
#include "ktap.h"

/* ---- hosts ------------------------------------------------------------------- */

static u32 max_basic, max_extended;

/* Every bit of every leaf, but for the few that end a list. */
static void read_all_ones(u32 leaf, u32 index, u32 *regs)
{
	memset(regs, 0xff, 4 * sizeof(u32));
	if (leaf == 0 || leaf == 0x80000000)
		regs[KEEL_EAX] = leaf ? max_extended : max_basic;
	if ((leaf == 4 || leaf == 0x8000001d) && index == 4)
		regs[KEEL_EAX] = 0;
	if (leaf == 0x80000008)
		regs[KEEL_EAX] = 0x3930;	/* 57 linear, 48 physical */
}

static struct keel_cpuid_host host = {
	.read = read_all_ones, .xcr0 = 0xe7, .xsave_size = 2696, .phys_bits = 46,
	.spec_ctrl = true, .ibpb = true,
};

static struct keel_cpuid_entry given[KEEL_MAX_CPUID];
static u32 nr_given;

static void build(void)
{
	max_basic = 0x20;
	max_extended = 0x80000028;
	nr_given = keel_cpuid_build(&host, given, ARRAY_SIZE(given));
	CHECK(nr_given);
}

static const struct keel_cpuid_entry *entry_of(u32 leaf, u32 index)
{
	u32 i;

	for (i = 0; i < nr_given; i++)
		if (given[i].leaf == leaf && given[i].index == index)
			return &given[i];
	return NULL;
}

static u32 reg_of(u32 leaf, u32 index, u32 reg)
{
	const struct keel_cpuid_entry *e = entry_of(leaf, index);

	return e ? (&e->eax)[reg] : 0;
}

/* ---- what is shown ----------------------------------------------------------- */

static const struct { u32 leaf, index, reg, bits; const char *what; } never[] = {
	{ 1, 0, KEEL_ECX, 1 << 2, "DTES64" },
	{ 1, 0, KEEL_ECX, 1 << 3, "MONITOR" },
	{ 1, 0, KEEL_ECX, 1 << 5, "VMX" },
	{ 1, 0, KEEL_ECX, 1 << 6, "SMX" },
	{ 1, 0, KEEL_ECX, 1 << 15, "PDCM" },
	{ 1, 0, KEEL_ECX, 1U << 31, "hypervisor" },
	{ 1, 0, KEEL_EDX, 1 << 21, "DS" },
	{ 1, 0, KEEL_EDX, 1 << 22, "ACPI" },
	{ 1, 0, KEEL_EDX, 1 << 28, "HTT" },
	{ 7, 0, KEEL_EBX, 1 << 2, "SGX" },
	{ 7, 0, KEEL_EBX, 1 << 4 | 1 << 11, "TSX" },
	{ 7, 0, KEEL_EBX, 1 << 14, "MPX" },
	{ 7, 0, KEEL_EBX, 1 << 25, "PT" },
	{ 7, 0, KEEL_ECX, 1 << 3 | 1 << 4, "protection keys" },
	{ 7, 0, KEEL_ECX, 1 << 5, "WAITPKG" },
	{ 7, 0, KEEL_ECX, 1 << 7, "shadow stacks" },
	{ 7, 0, KEEL_ECX, 1U << 31, "PKS" },
	{ 7, 0, KEEL_EDX, 1 << 20, "IBT" },
	{ 7, 0, KEEL_EDX, 1 << 22 | 1 << 24 | 1 << 25, "AMX" },
	{ 7, 0, KEEL_EDX, 1 << 29, "ARCH_CAPABILITIES" },
	{ 0xd, 0, KEEL_EAX, ~0xe7U, "unknown states" },
	{ 0xd, 1, KEEL_EAX, 1 << 3 | 1 << 4, "XSAVES, XFD" },
	{ 0x80000001, 0, KEEL_ECX, 1 << 2, "SVM" },
	{ 0x80000001, 0, KEEL_ECX, 1 << 9, "OSVW" },
	{ 0x80000001, 0, KEEL_ECX, 1 << 10, "IBS" },
	{ 0x80000001, 0, KEEL_ECX, 1 << 12 | 1 << 13, "SKINIT, WDT" },
	{ 0x80000001, 0, KEEL_ECX, 1 << 15, "LWP" },
	{ 0x80000001, 0, KEEL_ECX, 1 << 23 | 1 << 24 | 1 << 28, "counters" },
	{ 0x80000001, 0, KEEL_ECX, 1 << 29, "MWAITX" },
	{ 0x80000008, 0, KEEL_EBX, 1 << 4, "RDPRU" },
};

static void never_shown(void)
{
	u32 i;

	build();
	for (i = 0; i < ARRAY_SIZE(never); i++) {
		CHECK(!(reg_of(never[i].leaf, never[i].index, never[i].reg) & never[i].bits),
		      "%s is shown", never[i].what);
	}
	/* Leaves that are not there at all, or empty. */
	CHECK(!entry_of(0x5, 0));
	CHECK(!entry_of(0x12, 0));
	CHECK(!entry_of(0x14, 0));
	CHECK(!entry_of(0x1d, 0));
	CHECK(!entry_of(0x8000001b, 0));
	CHECK(!entry_of(0x8000001f, 0));
	CHECK_EQ(reg_of(0xa, 0, KEEL_EAX) | reg_of(0xa, 0, KEEL_EDX), 0);
	CHECK_EQ(reg_of(0x8000000a, 0, KEEL_EAX) | reg_of(0x8000000a, 0, KEEL_EDX), 0);
	ktap_cases(ARRAY_SIZE(never));
}

static void shown(void)
{
	build();
	CHECK(reg_of(1, 0, KEEL_ECX) & 1 << 21);	/* x2APIC, on any host */
	CHECK(reg_of(1, 0, KEEL_ECX) & 1 << 24);	/* TSC deadline */
	CHECK(reg_of(7, 0, KEEL_EBX) & 1 << 1);		/* TSC_ADJUST */
	CHECK(reg_of(0x80000001, 0, KEEL_EDX) & 1 << 29);	/* long mode */
	CHECK_EQ(reg_of(0x80000008, 0, KEEL_EAX), 57 << 8 | 46);
	CHECK_EQ(reg_of(0, 0, KEEL_EAX), 0x16);
	CHECK_EQ(reg_of(0x80000000, 0, KEEL_EAX), 0x80000021);
	CHECK_EQ(reg_of(0xd, 0, KEEL_ECX), 2696);
	CHECK(entry_of(0xd, 7) && !entry_of(0xd, 9));
	CHECK(entry_of(4, 3) && !entry_of(4, 4));
}

/* What hangs on the host beyond CPUID. */
static void host_conditions(void)
{
	struct keel_cpuid_host old = host;

	host.spec_ctrl = false;
	host.ibpb = false;
	host.xcr0 = 0;
	build();
	CHECK_EQ(reg_of(7, 0, KEEL_EDX) & (1 << 26 | 1 << 27 | 1U << 31), 0);
	CHECK_EQ(reg_of(0x80000008, 0, KEEL_EBX) & (1 << 12 | 1 << 14 | 1 << 15 | 1 << 24), 0);
	CHECK(!entry_of(0xd, 0));
	host = old;

	/* A host without the newer leaves. */
	max_basic = 1;
	max_extended = 0x80000004;
	nr_given = keel_cpuid_build(&host, given, ARRAY_SIZE(given));
	CHECK(!entry_of(7, 0) && !entry_of(0x80000008, 0));
	CHECK_EQ(reg_of(0, 0, KEEL_EAX), 1);
	CHECK_EQ(keel_cpuid_build(&host, given, 3), 0);
}

/* Instructions go with the state that they work on; the rest stays. */
static const struct { u32 leaf, index, reg, bits, xcr0; const char *what; } stateful[] = {
	{ 1, 0, KEEL_ECX, 1 << 26, 0x01, "XSAVE" },
	{ 1, 0, KEEL_ECX, 1 << 28, 0x07, "AVX" },
	{ 1, 0, KEEL_ECX, 1 << 12 | 1 << 29, 0x07, "FMA, F16C" },
	{ 7, 0, KEEL_EBX, 1 << 5, 0x07, "AVX2" },
	{ 7, 0, KEEL_EBX, 1 << 16, 0xe7, "AVX512F" },
	{ 7, 0, KEEL_EBX, 1U << 31 | 1 << 30 | 1 << 28 | 1 << 21 | 1 << 17, 0xe7, "AVX512VL" },
	{ 7, 0, KEEL_ECX, 1 << 9 | 1 << 10, 0x07, "VAES, VPCLMULQDQ" },
	{ 7, 0, KEEL_ECX, 1 << 1 | 1 << 6 | 1 << 11 | 1 << 12 | 1 << 14, 0xe7, "VBMI, VNNI" },
	{ 7, 0, KEEL_EDX, 1 << 2 | 1 << 3 | 1 << 8 | 1 << 23, 0xe7, "AVX512-FP16" },
	{ 7, 1, KEEL_EAX, 1 << 4 | 1 << 23, 0x07, "AVX-VNNI, AVX-IFMA" },
	{ 7, 1, KEEL_EAX, 1 << 5, 0xe7, "AVX512-BF16" },
	{ 7, 1, KEEL_EDX, 1 << 4 | 1 << 5 | 1 << 10, 0x07, "AVX-VNNI-INT8" },
	{ 0x80000001, 0, KEEL_ECX, 1 << 11 | 1 << 16, 0x07, "XOP, FMA4" },
	{ 1, 0, KEEL_ECX, 1 << 25, 0, "AES" },
	{ 7, 0, KEEL_EBX, 1 << 29, 0, "SHA" },
	{ 7, 0, KEEL_ECX, 1 << 8, 0, "GFNI" },
};

static void states(void)
{
	static const u32 xcr0[] = { 0, 0x1, 0x3, 0x7, 0xe7 };
	u32 i, x, old = host.xcr0;

	for (x = 0; x < ARRAY_SIZE(xcr0); x++) {
		host.xcr0 = xcr0[x];
		build();
		for (i = 0; i < ARRAY_SIZE(stateful); i++) {
			u32 want = (stateful[i].xcr0 & ~xcr0[x]) ? 0 : stateful[i].bits;

			CHECK((reg_of(stateful[i].leaf, stateful[i].index, stateful[i].reg) &
			       stateful[i].bits) == want, "%s, XCR0 %#x", stateful[i].what,
			      xcr0[x]);
			ktap_cases(1);
		}
	}
	host.xcr0 = old;
}

static void sorted(void)
{
	u32 i;

	build();
	for (i = 1; i < nr_given; i++)
		CHECK(keel_cpuid_order(&given[i - 1], &given[i]) < 0, "entry %u", i);
}

/* ---- what a launcher may install --------------------------------------------- */

static const struct keel_cpuid_limits none;

static int check1(struct keel_cpuid_entry e, u32 *bad)
{
	return keel_cpuid_check(given, nr_given, &none, &e, 1, bad);
}

static void whole_table_is_fine(void)
{
	u32 bad = 9;

	build();
	CHECK_EQ(keel_cpuid_check(given, nr_given, &none, given, nr_given, &bad), 0);
	CHECK_EQ(bad, 0);
	CHECK_EQ(keel_cpuid_check(given, nr_given, &none, given, 0, &bad), 0);
}

/* Each bit of each register of each leaf alone: taken if it is shown, or only describes. */
static void bit_by_bit(void)
{
	static const u32 leaves[] = { 1, 6, 7, 0xa, 0xd, 0x80000001, 0x80000007, 0x8000000a,
				      0x80000021, 0x12, 0x8000001f, 0xc0000001 };
	u32 l, reg, bit, bad;

	build();
	for (l = 0; l < ARRAY_SIZE(leaves); l++) {
		u32 leaf = leaves[l];
		bool indexed = leaf == 7 || leaf == 0xd;

		for (reg = 0; reg < 4; reg++) {
			if ((leaf == 1 && reg < KEEL_ECX) || (leaf == 7 && reg == KEEL_EAX) ||
			    (leaf == 0xd && (reg == KEEL_EBX || reg == KEEL_ECX)) ||
			    (leaf == 0x80000001 && reg < KEEL_ECX))
				continue;	/* describes */
			for (bit = 0; bit < 32; bit++) {
				struct keel_cpuid_entry e = {
					.leaf = leaf, .flags = indexed ? KEEL_CPUID_INDEX : 0 };
				u32 have = reg_of(leaf, 0, reg);
				int ret;

				(&e.eax)[reg] = 1U << bit;
				if (leaf == 1 && reg == KEEL_ECX)
					have |= 1U << 27 | 1U << 31;
				if (leaf == 1 && reg == KEEL_EDX)
					have |= 1U << 28;
				if (leaf == 7 && reg == KEEL_ECX)
					have |= 1U << 4;
				if (leaf == 0x80000001 && reg == KEEL_ECX)
					have |= 1U << 1 | 1U << 22;
				ret = check1(e, &bad);
				CHECK_EQ(ret, have >> bit & 1 ? 0 : -EOPNOTSUPP);
				ktap_cases(1);
			}
		}
	}
}

static void malformed(void)
{
	struct keel_cpuid_entry e[2] = { { .leaf = 1 }, { .leaf = 1 } };
	u32 bad = 0;

	build();
	CHECK_EQ(keel_cpuid_check(given, nr_given, &none, e, 2, &bad), -EINVAL);
	CHECK_EQ(bad, 1);
	e[1].leaf = 2;
	e[1].reserved = 1;
	CHECK_EQ(keel_cpuid_check(given, nr_given, &none, e, 2, &bad), -EINVAL);
	CHECK_EQ(bad, 1);
	CHECK_EQ(check1((struct keel_cpuid_entry){ .leaf = 1, .flags = 2 }, &bad), -EINVAL);
	CHECK_EQ(check1((struct keel_cpuid_entry){ .leaf = 1, .index = 1 }, &bad), -EINVAL);
	/* Leaf 7 without an index would show its bits at every index. */
	CHECK_EQ(check1((struct keel_cpuid_entry){ .leaf = 7 }, &bad), -EINVAL);
	/* Once with and once without an index. */
	e[0] = (struct keel_cpuid_entry){ .leaf = 0x40000001 };
	e[1] = (struct keel_cpuid_entry){ .leaf = 0x40000001, .flags = KEEL_CPUID_INDEX,
					  .index = 3 };
	CHECK_EQ(keel_cpuid_check(given, nr_given, &none, e, 2, &bad), -EINVAL);
	e[0].flags = KEEL_CPUID_INDEX;
	CHECK_EQ(keel_cpuid_check(given, nr_given, &none, e, 2, &bad), 0);
}

static void widths(void)
{
	struct keel_cpuid_entry e = { .leaf = 0x80000008 };
	u32 bad;

	build();
	e.eax = 46 | 57 << 8;
	CHECK_EQ(check1(e, &bad), 0);
	e.eax = 36 | 48 << 8;
	CHECK_EQ(check1(e, &bad), 0);
	e.eax = 47 | 48 << 8;
	CHECK_EQ(check1(e, &bad), -EOPNOTSUPP);
	e.eax = 31 | 48 << 8;
	CHECK_EQ(check1(e, &bad), -EOPNOTSUPP);
	e.eax = 46 | 58 << 8;
	CHECK_EQ(check1(e, &bad), -EOPNOTSUPP);
}

static void limits(void)
{
	static const struct keel_cpuid_limits both = { true, true };
	struct keel_cpuid_entry e = { .leaf = 1, .ecx = 1 << 21 };
	u32 bad;

	build();
	CHECK_EQ(check1(e, &bad), 0);
	CHECK_EQ(keel_cpuid_check(given, nr_given, &both, &e, 1, &bad), -EOPNOTSUPP);
	e.ecx = 1 << 24;
	CHECK_EQ(keel_cpuid_check(given, nr_given, &both, &e, 1, &bad), -EOPNOTSUPP);
	keel_cpuid_limit(given, nr_given, &both);
	CHECK_EQ(reg_of(1, 0, KEEL_ECX) & (1 << 21 | 1 << 24), 0);
}

/* ---- lookup, consequences ---------------------------------------------------- */

static struct keel_cpuid_table *table_of(const struct keel_cpuid_entry *entries, u32 nr)
{
	struct keel_cpuid_table *t = calloc(1, sizeof(*t) + nr * sizeof(*entries));

	t->nr = nr;
	if (nr)
		memcpy(t->entries, entries, nr * sizeof(*entries));
	keel_cpuid_index(t);
	keel_cpuid_derive(t, &host);
	return t;
}

static void lookup(void)
{
	struct keel_cpuid_table *t;
	u32 i, leaf;

	build();
	t = table_of(given, nr_given);
	for (i = 0; i < nr_given; i++) {
		CHECK(keel_cpuid_find(t, given[i].leaf, given[i].index) == &t->entries[i],
		      "leaf %#x", given[i].leaf);
		if (!(given[i].flags & KEEL_CPUID_INDEX))
			CHECK(keel_cpuid_find(t, given[i].leaf, 77) == &t->entries[i]);
	}
	CHECK(!keel_cpuid_find(t, 7, 2));
	for (leaf = 0x17; leaf < 0x60; leaf++)
		CHECK(!keel_cpuid_find(t, leaf, 0));
	CHECK(!keel_cpuid_find(t, 0x40000000, 0));
	CHECK(!keel_cpuid_find(t, 0x80000100, 0));
	CHECK(!keel_cpuid_find(t, U32_MAX, 0));
	free(t);
	t = table_of(NULL, 0);
	CHECK(!keel_cpuid_find(t, 0, 0));
	CHECK(!keel_cpuid_find(t, 0x80000000, 0));
	CHECK_EQ(t->cr4_mask, 1 << 8);
	CHECK_EQ(t->efer_mask | t->xcr0_mask | t->guest_has, 0);
	CHECK_EQ(t->maxphyaddr, 36);
	free(t);
}

/* Beyond the end: zeroes, or the highest basic leaf of an Intel CPU. */
static void beyond_the_end(void)
{
	struct keel_cpuid_entry e[] = {
		{ .leaf = 0, .eax = 2, .ebx = 0x756e6547, .ecx = 0x6c65746e, .edx = 0x49656e69 },
		{ .leaf = 2, .eax = 0x1234 },
		{ .leaf = 0x80000000, .eax = 0x80000001 },
	};
	struct keel_cpuid_table *t = table_of(e, 3);

	CHECK_EQ(keel_cpuid_clamp(t, 2), 2);
	CHECK_EQ(keel_cpuid_clamp(t, 3), 2);
	CHECK_EQ(keel_cpuid_clamp(t, 0x80000001), 0x80000001);
	CHECK_EQ(keel_cpuid_clamp(t, 0x80000002), 2);
	CHECK_EQ(keel_cpuid_clamp(t, 0x40000010), 0x40000010);
	free(t);
	e[0].ebx = 0x68747541;
	t = table_of(e, 3);
	CHECK_EQ(keel_cpuid_clamp(t, 3), 3);
	CHECK(!keel_cpuid_find(t, 3, 0));
	free(t);
}

static void consequences(void)
{
	struct keel_cpuid_table *t;

	build();
	t = table_of(given, nr_given);
	/* Everything but VMXE, SMXE, PKE, CET, PKS, and bits that are reserved. */
	CHECK_EQ(t->cr4_mask, 0x371fff);
	CHECK_EQ(t->efer_mask, 0x4d01);
	CHECK_EQ(t->xcr0_mask, 0xe7);
	CHECK_EQ(t->maxphyaddr, 46);
	CHECK_EQ(t->guest_has, (BIT(16) - 1) & ~KEEL_G_HYPERVISOR);
	free(t);
	given[1].edx = 0;	/* leaf 1 */
	given[1].ecx = 1U << 31;
	t = table_of(given, nr_given);
	CHECK_EQ(t->xcr0_mask, 0);
	CHECK(t->guest_has & KEEL_G_HYPERVISOR);
	CHECK_EQ(t->cr4_mask, 0x311900);
	free(t);
}

/* What a guest computes from leaves 0x15 and 0x16, in the way of Linux: in 32 bits. */
static void frequencies(void)
{
	static const u32 khz[] = { 1000, 1500, 20000, 2900000, 3500000, 7777, 2112003 };
	const struct keel_cpuid_entry *e;
	struct keel_cpuid_table *t;
	u32 i, crystal;

	build();
	for (i = 0; i < ARRAY_SIZE(khz); i++) {
		t = table_of(given, nr_given);
		keel_cpuid_tsc(t, khz[i]);
		e = keel_cpuid_find(t, 0x15, 0);
		crystal = e->ecx / 1000;
		CHECK_EQ(crystal, 1000000);	/* as the LAPIC timer */
		CHECK((u64)crystal * e->ebx / e->eax - khz[i] + khz[i] / 1000000 + 1 <=
		      khz[i] / 500000 + 2, "%u kHz: %u/%u", khz[i], e->ebx, e->eax);
		CHECK((u64)crystal * e->ebx <= U32_MAX);
		CHECK_EQ(e->edx, 0xffffffff);
		e = keel_cpuid_find(t, 0x16, 0);
		CHECK_EQ(e->eax, (khz[i] + 500) / 1000);
		CHECK_EQ(e->ebx, e->eax);
		CHECK_EQ(e->ecx, 0xffffffff);
		free(t);
	}
	/* One that no such fraction comes near: the ratio is not told. */
	t = table_of(given, nr_given);
	keel_cpuid_tsc(t, U32_MAX);
	e = keel_cpuid_find(t, 0x15, 0);
	CHECK(!e->eax && !e->ebx && !e->ecx);
	CHECK_EQ(keel_cpuid_find(t, 0x16, 0)->eax, 4294967);
	free(t);
	/* A table without them gets none. */
	t = table_of(given, 1);
	keel_cpuid_tsc(t, 2000000);
	CHECK(!keel_cpuid_find(t, 0x15, 0) && !keel_cpuid_find(t, 0x16, 0));
	free(t);
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(never_shown),
		KTAP_TEST(shown),
		KTAP_TEST(host_conditions),
		KTAP_TEST(states),
		KTAP_TEST(sorted),
		KTAP_TEST(whole_table_is_fine),
		KTAP_TEST(bit_by_bit),
		KTAP_TEST(malformed),
		KTAP_TEST(widths),
		KTAP_TEST(limits),
		KTAP_TEST(lookup),
		KTAP_TEST(beyond_the_end),
		KTAP_TEST(consequences),
		KTAP_TEST(frequencies),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
