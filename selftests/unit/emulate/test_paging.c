// SPDX-License-Identifier: GPL-2.0
/*
 * The guest page-table walk: translations, permissions, error codes, A and D bits, and reserved
 * bits, in every paging mode, on tables that the test writes into a few pages of memory.
 */
#include "emulate/paging.h"
#include "ktap.h"

#define P	0x01ULL
#define W	0x02ULL
#define U	0x04ULL
#define A	0x20ULL
#define D	0x40ULL
#define PS	0x80ULL
#define G	0x100ULL
#define NX	BIT_ULL(63)

#define PAGES	16

/* Tables are pages 1.. of this memory; page n is at GPA n << 12. */
static u64 mem[PAGES][512];
static unsigned int reads, writes;
static bool lose_race, read_only;

static u8 *at(gpa_t gpa, unsigned int size)
{
	if (gpa > sizeof(mem) - size)
		return NULL;
	return (u8 *)mem + gpa;
}

static int read_entry(void *ctx, gpa_t gpa, unsigned int size, u64 *entry)
{
	u8 *p = at(gpa, size);

	(void)ctx;
	reads++;
	if (!p)
		return -1;
	CHECK_EQ(gpa % size, 0);
	*entry = 0;
	memcpy(entry, p, size);
	return 0;
}

static int replace_entry(void *ctx, gpa_t gpa, unsigned int size, u64 old, u64 new)
{
	u8 *p = at(gpa, size);
	u64 now = 0;

	(void)ctx;
	writes++;
	if (!p || read_only)
		return -1;
	if (lose_race)
		return 1;
	memcpy(&now, p, size);
	if (now != old)
		return 1;
	memcpy(p, &new, size);
	return 0;
}

static const struct keel_walk_ops ops = { read_entry, replace_entry };

static struct keel_paging paging;
static struct keel_walk out;

static int walk(u64 gva, unsigned int access)
{
	return keel_paging_walk(&paging, gva, access, &ops, NULL, &out);
}

static void reset(u8 mode, u16 flags)
{
	memset(mem, 0, sizeof(mem));
	paging = (struct keel_paging){
		.cr3 = 0x1000, .mode = mode, .flags = flags, .maxphyaddr = 40
	};
	reads = 0;
	writes = 0;
	lose_race = false;
	read_only = false;
}

/*
 * Entries on the path of @gva: table n+1 is page n+1, each entry with @flags; the leaf maps
 * @frame.
 */
static u64 *map4(u64 gva, u64 frame, u64 flags, unsigned int leaf, unsigned int levels)
{
	unsigned int level, page = 1;

	for (level = levels; level > leaf; level--, page++)
		mem[page][gva >> (12 + 9 * (level - 1)) & 511] = (page + 1) << 12 | P | W | U;
	mem[page][gva >> (12 + 9 * (level - 1)) & 511] = frame | flags;
	return &mem[page][gva >> (12 + 9 * (level - 1)) & 511];
}

static void expect_fault(u64 gva, unsigned int access, u32 error)
{
	int r = walk(gva, access);

	ktap_cases(1);
	if (CHECK(r == KEEL_WALK_FAULT, "result %d, gva %#llx", r, gva))
		CHECK(out.error == error, "error %#x, not %#x, access %#x",
		      out.error, error, access);
}

static void expect_gpa(u64 gva, unsigned int access, gpa_t gpa, unsigned int shift)
{
	int r = walk(gva, access);

	ktap_cases(1);
	if (!CHECK(r == KEEL_WALK_OK, "result %d error %#x", r, out.error))
		return;
	CHECK(out.gpa == gpa, "gpa %#llx, not %#llx", out.gpa, gpa);
	CHECK_EQ(out.shift, shift);
}

static void no_paging(void)
{
	reset(KEEL_PAGING_NONE, 0);
	expect_gpa(0x123456789abcULL, KEEL_WALK_WRITE | KEEL_WALK_USER, 0x56789abc, 12);
	CHECK_EQ(reads, 0);
}

static void four_level(void)
{
	const u64 gva = 0xffff812345678abcULL;
	u64 *pte;

	reset(KEEL_PAGING_4LEVEL, KEEL_PAGING_F_NXE | KEEL_PAGING_F_WP | KEEL_PAGING_F_1G);
	pte = map4(gva, 0x7654321000ULL, P | W | U, 1, 4);
	expect_gpa(gva, 0, 0x7654321abcULL, 12);
	CHECK_EQ(*pte, 0x7654321000ULL | P | W | U | A);
	CHECK_EQ(writes, 4);
	expect_gpa(gva, KEEL_WALK_WRITE | KEEL_WALK_USER, 0x7654321abcULL, 12);
	CHECK_EQ(*pte, 0x7654321000ULL | P | W | U | A | D);
	CHECK_EQ(writes, 5);
	CHECK(out.perm & KEEL_WALK_P_DIRTY);
	expect_gpa(gva, KEEL_WALK_WRITE, 0x7654321abcULL, 12);
	CHECK_EQ(writes, 5);
	CHECK_EQ(reads, 12);

	reset(KEEL_PAGING_4LEVEL, KEEL_PAGING_F_NXE | KEEL_PAGING_F_1G);
	map4(gva, 0x7654200000ULL, P | W | PS | G, 2, 4);
	expect_gpa(gva, KEEL_WALK_NO_AD, 0x7654278abcULL, 21);
	CHECK_EQ(out.perm, KEEL_WALK_P_WRITE | KEEL_WALK_P_EXEC | KEEL_WALK_P_GLOBAL);
	CHECK_EQ(writes, 0);

	reset(KEEL_PAGING_4LEVEL, KEEL_PAGING_F_NXE | KEEL_PAGING_F_1G);
	map4(gva, 0x7640000000ULL, P | W | PS, 3, 4);
	expect_gpa(gva, 0, 0x7645678abcULL, 30);
	paging.flags &= ~KEEL_PAGING_F_1G;
	expect_fault(gva, 0, KEEL_PF_PRESENT | KEEL_PF_RSVD);
}

static void five_level(void)
{
	const u64 gva = 0x00ab812345678abcULL;

	reset(KEEL_PAGING_5LEVEL, KEEL_PAGING_F_NXE);
	map4(gva, 0x54321000, P | U, 1, 5);
	expect_gpa(gva, KEEL_WALK_USER, 0x54321abc, 12);
	CHECK_EQ(reads, 5);
	CHECK_EQ(out.table & 0xfff, (gva >> 12 & 511) * 8);
	CHECK_EQ(out.perm, KEEL_WALK_P_USER | KEEL_WALK_P_EXEC);
}

static void pae(void)
{
	const u64 gva = 0xc12345678ULL;	/* bits above 31 do not count */

	reset(KEEL_PAGING_PAE, KEEL_PAGING_F_NXE | KEEL_PAGING_F_WP);
	paging.cr3 = 0x1020;
	mem[1][4 + 0] = 0x2000 | P;
	mem[2][0x12345678 >> 21] = 0x3000 | P | W | U;
	mem[3][0x12345678 >> 12 & 511] = 0x98765000 | P | U;
	expect_gpa(gva, 0, 0x98765678, 12);
	CHECK_EQ(mem[1][4], 0x2000 | P);
	CHECK_EQ(mem[2][0x12345678 >> 21], 0x3000 | P | W | U | A);
	expect_fault(gva, KEEL_WALK_WRITE | KEEL_WALK_USER,
		     KEEL_PF_PRESENT | KEEL_PF_WRITE | KEEL_PF_USER);
	mem[2][0x12345678 >> 21] = 0x98600000 | P | W | U | PS;
	expect_gpa(gva, KEEL_WALK_WRITE, 0x98745678, 21);
	mem[2][0x12345678 >> 21] |= 1ULL << 52;
	expect_fault(gva, 0, KEEL_PF_PRESENT | KEEL_PF_RSVD);
	mem[2][0x12345678 >> 21] &= ~(1ULL << 52);
	mem[1][4] |= W;
	expect_fault(gva, 0, KEEL_PF_PRESENT | KEEL_PF_RSVD);

	/* The top entries from registers. */
	paging.flags |= KEEL_PAGING_F_PDPTRS;
	paging.pdptr[0] = 0x2000 | P;
	expect_gpa(gva, 0, 0x98745678, 21);
	paging.pdptr[0] = 0;
	expect_fault(gva, KEEL_WALK_WRITE, KEEL_PF_WRITE);
}

static void legacy(void)
{
	u32 *dir = (u32 *)mem[1], *table = (u32 *)mem[2];
	const u64 gva = 0x12345678;

	reset(KEEL_PAGING_32, KEEL_PAGING_F_WP);
	dir[gva >> 22] = 0x2000 | P | W | U;
	table[gva >> 12 & 1023] = 0x87654000 | P | W | U;
	expect_gpa(gva, KEEL_WALK_WRITE | KEEL_WALK_USER, 0x87654678, 12);
	CHECK_EQ(table[gva >> 12 & 1023], 0x87654000 | P | W | U | A | D);
	CHECK_EQ(dir[gva >> 22], 0x2000 | P | W | U | A);

	/* Without CR4.PSE the size bit says nothing. */
	dir[gva >> 22] = 0x2000 | P | W | U | PS;
	expect_gpa(gva, 0, 0x87654678, 12);
	paging.flags |= KEEL_PAGING_F_PSE;
	dir[gva >> 22] = 0x40000000 | P | W | U | PS | 0xab << 13;
	expect_gpa(gva, 0, 0xab40345678ULL, 22);
	paging.maxphyaddr = 39;
	expect_fault(gva, 0, KEEL_PF_PRESENT | KEEL_PF_RSVD);
	paging.maxphyaddr = 40;
	dir[gva >> 22] = 0x40000000 | P | W | U | PS | 1 << 21;
	expect_fault(gva, KEEL_WALK_USER, KEEL_PF_PRESENT | KEEL_PF_RSVD | KEEL_PF_USER);
	dir[gva >> 22] = 0;
	/* There is no NX, and so no fetch bit, in 32-bit paging; but SMEP brings it. */
	paging.flags |= KEEL_PAGING_F_NXE;
	expect_fault(gva, KEEL_WALK_FETCH, 0);
	paging.flags |= KEEL_PAGING_F_SMEP;
	expect_fault(gva, KEEL_WALK_FETCH, KEEL_PF_FETCH);
}

/* What each access to each kind of page does, against the rules written out once more. */
static void rights(void)
{
	const u64 gva = 0x7f1234567123ULL;
	unsigned int n;

	for (n = 0; n < 8 * 16 * 16; n++) {
		unsigned int page = n & 7, access = n >> 3 & 15, flags = n >> 7;
		bool pw = page & 1, pu = page & 2, px = !(page & 4);
		bool wr = access & 1, us = access & 2, fe = access & 4, ac = access & 8;
		bool wp = flags & 1, nxe = flags & 2, smep = flags & 4, smap = flags & 8;
		bool allowed;
		u32 error;

		if ((wr && fe) || (!nxe && !px))
			continue;
		reset(KEEL_PAGING_4LEVEL,
		      (wp ? KEEL_PAGING_F_WP : 0) |
			      (nxe ? KEEL_PAGING_F_NXE : 0) |
			      (smep ? KEEL_PAGING_F_SMEP : 0) |
			      (smap ? KEEL_PAGING_F_SMAP : 0));
		map4(gva, 0x5000, P | (pw ? W : 0) | (pu ? U : 0) | (px ? 0 : NX), 1, 4);
		if (us)
			allowed = pu && (!wr || pw) && (!fe || px);
		else if (fe)
			allowed = px && !(smep && pu);
		else
			allowed = (!wr || pw || !wp) && !(smap && pu && !ac);
		error = KEEL_PF_PRESENT | (wr ? KEEL_PF_WRITE : 0) | (us ? KEEL_PF_USER : 0) |
			(fe && (nxe || smep) ? KEEL_PF_FETCH : 0);
		if (allowed) {
			expect_gpa(gva, access, 0x5123, 12);
		} else {
			expect_fault(gva, access, error);
			CHECK_EQ(writes, 0);
		}
	}
}

/* Permissions are those of the whole path: one level that denies is enough. */
static void every_level_counts(void)
{
	const u64 gva = 0x123456789000ULL;
	unsigned int page;

	for (page = 1; page <= 4; page++) {
		unsigned int index = gva >> (12 + 9 * (4 - page)) & 511;

		reset(KEEL_PAGING_4LEVEL, KEEL_PAGING_F_NXE | KEEL_PAGING_F_WP);
		map4(gva, 0x5000, P | W | U, 1, 4);
		mem[page][index] &= ~W;
		expect_fault(gva, KEEL_WALK_WRITE, KEEL_PF_PRESENT | KEEL_PF_WRITE);
		expect_gpa(gva, KEEL_WALK_USER, 0x5000, 12);
		mem[page][index] |= W | NX;
		expect_fault(gva, KEEL_WALK_FETCH, KEEL_PF_PRESENT | KEEL_PF_FETCH);
		mem[page][index] &= ~(U | NX);
		expect_fault(gva, KEEL_WALK_USER, KEEL_PF_PRESENT | KEEL_PF_USER);
		mem[page][index] &= ~P;
		expect_fault(gva, KEEL_WALK_WRITE, KEEL_PF_WRITE);
	}
}

static void reserved(void)
{
	const u64 gva = 0x123456789000ULL;
	const u32 error = KEEL_PF_PRESENT | KEEL_PF_RSVD;
	unsigned int n, bit;

	for (n = 0; n < 4 * 64; n++) {
		unsigned int page = 1 + n / 64, index = gva >> (12 + 9 * (4 - page)) & 511;

		bit = n % 64;
		reset(KEEL_PAGING_4LEVEL, 0);
		map4(gva, 0x5000, P | W | U, 1, 4);
		if (bit >= 40 && bit < 52) {
			mem[page][index] |= 1ULL << bit;
			expect_fault(gva, 0, error);
		} else if (bit >= 52 && bit < 63) {
			mem[page][index] |= 1ULL << bit;
			expect_gpa(gva, 0, 0x5000, 12);
		} else if (bit == 63) {
			mem[page][index] |= NX;
			expect_fault(gva, 0, error);
		}
	}
	for (bit = 13; bit < 30; bit++) {
		reset(KEEL_PAGING_4LEVEL, KEEL_PAGING_F_1G);
		map4(gva, 1ULL << bit, P | PS, 3, 4);
		expect_fault(gva, 0, error);
		if (bit >= 21)
			continue;
		reset(KEEL_PAGING_4LEVEL, KEEL_PAGING_F_1G);
		map4(gva, 1ULL << bit, P | PS, 2, 4);
		expect_fault(gva, 0, error);
	}
	/* Bit 12 of a large page is PAT. */
	reset(KEEL_PAGING_4LEVEL, KEEL_PAGING_F_1G);
	map4(gva, 0x1000, P | PS, 2, 4);
	expect_gpa(gva, 0, gva & 0x1fffff, 21);
	/* The top level has no large pages. */
	reset(KEEL_PAGING_4LEVEL, KEEL_PAGING_F_1G);
	map4(gva, 0, P | PS, 4, 4);
	expect_fault(gva, 0, error);
}

static void protection_keys(void)
{
	const u64 gva = 0x123456789000ULL;
	const u32 pk = KEEL_PF_PRESENT | KEEL_PF_PKEY;
	u64 *pte;

	reset(KEEL_PAGING_4LEVEL, KEEL_PAGING_F_PKE | KEEL_PAGING_F_WP);
	pte = map4(gva, 0x5000, P | W | U | 9ULL << 59, 1, 4);
	paging.pkru = 1U << 18;	/* access disabled */
	expect_fault(gva, KEEL_WALK_USER, pk | KEEL_PF_USER);
	expect_fault(gva, KEEL_WALK_WRITE, pk | KEEL_PF_WRITE);
	expect_gpa(gva, KEEL_WALK_FETCH | KEEL_WALK_USER, 0x5000, 12);
	paging.pkru = 2U << 18;	/* write disabled */
	expect_gpa(gva, KEEL_WALK_USER, 0x5000, 12);
	expect_fault(gva, KEEL_WALK_WRITE | KEEL_WALK_USER, pk | KEEL_PF_WRITE | KEEL_PF_USER);
	expect_fault(gva, KEEL_WALK_WRITE, pk | KEEL_PF_WRITE);
	paging.flags &= ~KEEL_PAGING_F_WP;
	expect_gpa(gva, KEEL_WALK_WRITE, 0x5000, 12);
	expect_fault(gva, KEEL_WALK_WRITE | KEEL_WALK_USER, pk | KEEL_PF_WRITE | KEEL_PF_USER);
	paging.pkru = 3U << 18;
	*pte &= ~U;
	expect_gpa(gva, KEEL_WALK_WRITE, 0x5000, 12);
}

static void races_and_holes(void)
{
	const u64 gva = 0x123456789000ULL;

	reset(KEEL_PAGING_4LEVEL, 0);
	map4(gva, 0x5000, P, 1, 4);
	lose_race = true;
	CHECK_EQ(walk(gva, 0), KEEL_WALK_RETRY);
	lose_race = false;
	read_only = true;
	CHECK_EQ(walk(gva, 0), KEEL_WALK_NOMEM);
	CHECK_EQ(out.table & ~0xfffULL, 0x1000);
	CHECK_EQ(walk(gva, KEEL_WALK_NO_AD), KEEL_WALK_OK);
	read_only = false;
	mem[2][gva >> 30 & 511] = 0x100000 | P | W | U;
	CHECK_EQ(walk(gva, 0), KEEL_WALK_NOMEM);
	CHECK_EQ(out.table, 0x100000 + 8 * (gva >> 21 & 511));
	ktap_cases(4);
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(no_paging), KTAP_TEST(four_level), KTAP_TEST(five_level), KTAP_TEST(pae),
		KTAP_TEST(legacy), KTAP_TEST(rights), KTAP_TEST(every_level_counts),
		KTAP_TEST(reserved), KTAP_TEST(protection_keys), KTAP_TEST(races_and_holes),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
