// SPDX-License-Identifier: GPL-2.0
/*
 * The MSR lists of a VMX entry and exit against what a CPU would do with them:
 * which MSRs get in, how many, that both lists stay a pair, and that what has
 * not changed is not written.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include "vmx/msrlist.h"
#include "ktap.h"

#define GLOBAL_CTRL	0x38f
#define PEBS_ENABLE	0x3f1

static bool set(struct vmx_msrlists *l, const struct vmx_msr_change *c, u32 nr)
{
	return vmx_msrlist_set(l, c, nr, VMX_MSRLIST_ROOM);
}

static void nothing_wanted(void)
{
	const struct vmx_msr_change same = { GLOBAL_CTRL, 0x7000000ff, 0x7000000ff };
	struct vmx_msrlists l = { };

	CHECK(!set(&l, NULL, 0));
	CHECK_EQ(l.nr, 0);
	/* Counters that count in both: perf's usual answer. */
	CHECK(!set(&l, &same, 1));
	CHECK_EQ(l.nr, 0);
	CHECK_EQ(vmx_msrlist_host(&l, GLOBAL_CTRL), 0);
}

static void host_only_counters(void)
{
	const struct vmx_msr_change want[] = {
		{ GLOBAL_CTRL, 0xf, 0xc }, { PEBS_ENABLE, 0x1, 0 },
	};
	struct vmx_msrlists l = { };

	CHECK(set(&l, want, 2));
	CHECK_EQ(l.nr, 2);
	CHECK_EQ(l.guest[0].index, GLOBAL_CTRL);
	CHECK_EQ(l.guest[0].value, 0xc);
	CHECK_EQ(l.host[0].index, GLOBAL_CTRL);
	CHECK_EQ(l.host[0].value, 0xf);
	CHECK_EQ(l.guest[1].index, PEBS_ENABLE);
	CHECK_EQ(l.guest[1].value, 0);
	CHECK_EQ(vmx_msrlist_host(&l, PEBS_ENABLE), 1);
	CHECK_EQ(vmx_msrlist_host(&l, 0x600), 0);
	CHECK_EQ(l.guest[0].reserved | l.host[1].reserved, 0);
	/* The event ends: the other moves up, then nothing is left. */
	CHECK(set(&l, want + 1, 1));
	CHECK_EQ(l.nr, 1);
	CHECK_EQ(l.guest[0].index, PEBS_ENABLE);
	CHECK_EQ(l.host[0].value, 1);
	CHECK(set(&l, NULL, 0));
	CHECK_EQ(vmx_msrlist_host(&l, PEBS_ENABLE), 0);
}

/* Other values: the lists follow, the VMCS need not. */
static void values_change(void)
{
	struct vmx_msr_change want = { GLOBAL_CTRL, 0xf, 0xc };
	struct vmx_msrlists l = { };

	CHECK(set(&l, &want, 1));
	want.guest = 0x8;
	CHECK(!set(&l, &want, 1));
	CHECK_EQ(l.guest[0].value, 0x8);
	want.host = 0x3;
	CHECK(!set(&l, &want, 1));
	CHECK_EQ(l.host[0].value, 0x3);
}

/* An entry that is right is not written: its page can be read-only. */
static void no_write_without_change(void)
{
	u8 *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* The count, which may be stored, lies on the second page. */
	struct vmx_msrlists *l = (void *)(pages + 4096 - offsetof(struct vmx_msrlists, nr));
	const struct vmx_msr_change want[] = {
		{ GLOBAL_CTRL, 0xf, 0xc }, { PEBS_ENABLE, 0x1, 0 },
	};

	set(l, want, 2);
	CHECK(!mprotect(pages, 4096, PROT_READ));
	CHECK(!set(l, want, 2));
	CHECK_EQ(l->nr, 2);
	munmap(pages, 8192);
}

/* Loading these would fail an entry, or abort at the exit. */
static void never_listed(void)
{
	static const u32 bad[] = {
		0x79,			/* microcode update */
		0x9b,			/* SMM monitor control */
		0x1d9,			/* DEBUGCTL: a field of its own */
		0x800, 0x80b, 0x830, 0x8ff,	/* x2APIC */
		0xc0000080,		/* EFER: a field of its own */
		0xc0000100, 0xc0000101,	/* FS and GS base */
		0x185, 0x18e, 0x38e, 0x390, 0x3f0, 0x3f3, 0x5ff, 0x601, 0, ~0U,
	};
	struct vmx_msr_change want[2] = { { 0, 1, 2 }, { GLOBAL_CTRL, 1, 2 } };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vmx_msrlists l = { };

		CHECK(!vmx_msrlist_allowed(bad[i]), "%#x", bad[i]);
		want[0].index = bad[i];
		CHECK(set(&l, want, 2));
		CHECK_EQ(l.nr, 1);
		CHECK_EQ(l.guest[0].index, GLOBAL_CTRL);
	}
}

static void no_more_than_room(void)
{
	struct vmx_msr_change want[16];
	struct {
		struct vmx_msrlists l;
		u64 behind;
	} m = { .behind = 0x5a5a };
	u32 most, nr, i;

	for (i = 0; i < 16; i++)
		want[i] = (struct vmx_msr_change){ 0x186 + i % 8, i + 1, 0 };
	for (most = 0; most <= 16; most++) {
		for (nr = 0; nr <= 16; nr++) {
			vmx_msrlist_set(&m.l, want, nr, most);
			CHECK_EQ(m.l.nr, min_t(u32, min(nr, most), VMX_MSRLIST_ROOM));
			for (i = 0; i < m.l.nr; i++)
				CHECK(m.l.guest[i].index == m.l.host[i].index &&
				      m.l.host[i].value == i + 1);
			CHECK_EQ(m.behind, 0x5a5a);
		}
	}
}

/* The CPU: an entry and an exit leave every MSR as the wishes say. */
static void as_the_cpu(void)
{
	struct vmx_msrlists l = { };
	struct vmx_msr_change want[8];
	u32 round, i, nr;

	srand(1);
	for (round = 0; round < 20000; round++) {
		u64 msr[8], guest;

		nr = (u32)rand() % 9;
		for (i = 0; i < nr; i++) {
			want[i] = (struct vmx_msr_change){
				0x186 + i, (u32)rand() % 3, (u32)rand() % 3 };
			msr[i] = want[i].host;
		}
		set(&l, want, nr);
		for (i = 0; i < l.nr; i++)
			msr[l.guest[i].index - 0x186] = l.guest[i].value;
		for (i = 0; i < nr; i++) {
			guest = msr[i];
			CHECK_EQ(guest, want[i].guest);
		}
		for (i = 0; i < l.nr; i++)
			msr[l.host[i].index - 0x186] = l.host[i].value;
		for (i = 0; i < nr; i++)
			CHECK_EQ(msr[i], want[i].host);
	}
	ktap_cases(round);
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(nothing_wanted),
		KTAP_TEST(host_only_counters),
		KTAP_TEST(values_change),
		KTAP_TEST(no_write_without_change),
		KTAP_TEST(never_listed),
		KTAP_TEST(no_more_than_room),
		KTAP_TEST(as_the_cpu),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
