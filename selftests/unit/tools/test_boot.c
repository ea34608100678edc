// SPDX-License-Identifier: GPL-2.0
/*
 * What the guest finds when it starts: the Linux boot protocol's structures,
 * the ACPI and SMBIOS tables, the CPUID table. It reads them as a guest would.
 */
#include <stdlib.h>
#include <string.h>

#include <asm/bootparam.h>

#include "ktap.h"
#include "tools/keel/acpi.h"
#include "tools/keel/boot_linux.h"
#include "tools/keel/cpuid.h"
#include "tools/keel/mtrr.h"
#include "tools/keel/pm.h"
#include "tools/keel/smbios.h"

#define PREF	MIB(16)
#define PAYLOAD	5000
#define SETUP	(4 * 512)

static u8 image[SETUP + PAYLOAD];
static struct memory mem;
static struct keel_regs regs;
static struct keel_sregs sregs;
static char why[256];

/* A bzImage that has a header and bytes to recognize. */
static struct setup_header *make_image(void)
{
	struct setup_header *h = (void *)(image + 0x1f1);

	memset(image, 0, sizeof(image));
	for (unsigned int i = 0; i < PAYLOAD; i++)
		image[SETUP + i] = i * 7;
	image[0x200] = 0xeb;
	image[0x201] = 0x6a;
	h->setup_sects = 3;
	h->boot_flag = 0xaa55;
	h->header = 0x53726448;
	h->version = 0x020f;
	h->loadflags = 1;
	h->xloadflags = XLF_KERNEL_64;
	h->initrd_addr_max = 0x7fffffff;
	h->cmdline_size = 2047;
	h->pref_address = PREF;
	h->init_size = MIB(8);
	return h;
}

static int load(u64 memory, const char *cmdline, size_t initrd_len)
{
	static u8 initrd[MIB(1)];
	const struct boot_linux boot = {
		.kernel = { image, sizeof(image) }, .initrd = { initrd, initrd_len },
		.cmdline = cmdline, .rsdp = ACPI_GPA,
	};

	for (size_t i = 0; i < sizeof(initrd); i++)
		initrd[i] = i * 13;
	memory_free(&mem);
	memset(&sregs, 0x5a, sizeof(sregs));
	why[0] = '\0';
	if (!CHECK_EQ(memory_alloc(&mem, memory), 0))
		exit(1);
	return boot_linux_load(&boot, &mem, &regs, &sregs, why, sizeof(why));
}

static u64 read64(u64 gpa)
{
	u64 value;

	memcpy(&value, memory_at(&mem, gpa, 8), 8);
	return value;
}

/* Walk the guest's page tables by hand: four levels, 2 MiB leaves. */
static u64 translate(u64 va)
{
	u64 e = sregs.cr3;

	for (int shift = 39; shift >= 21; shift -= 9) {
		e = read64((e & ~0xfffULL) + (va >> shift & 511) * 8);
		if (!(e & 1))
			return ~0ULL;
	}
	return e & 0x80 ? (e & ~0x1fffffULL) + (va & 0x1fffff) : ~0ULL;
}

static void check_segment(const struct keel_segment *s)
{
	u64 d = read64(sregs.gdt.base + s->selector);

	CHECK_EQ(d >> 40 & 0xf0ff, s->attr);
	CHECK_EQ((d & 0xffff) | (d >> 32 & 0xf0000), 0xfffff);
	CHECK_EQ(s->base, 0);
	CHECK_EQ(s->limit, 0xffffffff);
}

static void linux_state(void)
{
	make_image();
	if (!CHECK_EQ(load(MIB(64), "console=ttyS0", 0), 0))
		return;
	CHECK_EQ(regs.rip, PREF + 0x200);
	CHECK_EQ(regs.rflags, 2);
	CHECK_EQ(sregs.cr0, 0x80000011);
	CHECK_EQ(sregs.cr4, 0x20);
	CHECK_EQ(sregs.efer, 0x500);
	CHECK_EQ(sregs.seg[KEEL_SREG_CS].selector, 0x10);
	CHECK_EQ(sregs.seg[KEEL_SREG_CS].attr, 0xa09b);
	CHECK_EQ(sregs.seg[KEEL_SREG_SS].selector, 0x18);
	CHECK_EQ(sregs.seg[KEEL_SREG_SS].attr, 0xc093);
	check_segment(&sregs.seg[KEEL_SREG_CS]);
	for (unsigned int i = 0; i <= KEEL_SREG_GS; i++)
		if (i != KEEL_SREG_CS)
			check_segment(&sregs.seg[i]);
	CHECK_EQ(sregs.seg[KEEL_SREG_TR].attr, 0x8b);
	CHECK_EQ(sregs.seg[KEEL_SREG_LDTR].attr & 0x80, 0);
	CHECK_EQ(sregs.apic_base, 0x5a5a5a5a5a5a5a5aULL);	/* not ours to change */
	for (u64 va = 0; va < GIB(4); va += MIB(1) + 4096)
		CHECK_EQ(translate(va), va);
	CHECK_EQ(translate(GIB(4)), ~0ULL);
	CHECK(!memcmp(memory_at(&mem, PREF, PAYLOAD), image + SETUP, PAYLOAD));
}

static const struct boot_params *params(void)
{
	return memory_at(&mem, regs.gpr[KEEL_GPR_RSI], sizeof(struct boot_params));
}

static void linux_params(void)
{
	const struct boot_params *bp;
	u64 initrd;

	make_image();
	if (!CHECK_EQ(load(MIB(64), "one two", 12345), 0))
		return;
	bp = params();
	CHECK_EQ(bp->hdr.header, 0x53726448);
	CHECK_EQ(bp->hdr.type_of_loader, 0xff);
	CHECK(!strcmp(memory_at(&mem, bp->hdr.cmd_line_ptr, 8), "one two"));
	CHECK_EQ(bp->acpi_rsdp_addr, ACPI_GPA);
	initrd = bp->hdr.ramdisk_image;
	CHECK_EQ(bp->hdr.ramdisk_size, 12345);
	CHECK_EQ(initrd % 4096, 0);
	CHECK(initrd >= PREF + MIB(8) && initrd + 12345 <= MIB(64));
	CHECK_EQ(*(u8 *)memory_at(&mem, initrd + 12344, 1), (u8)(12344 * 13));
}

/* The map is sorted, does not overlap, names all RAM and nothing that is none. */
static void check_e820(u64 memory)
{
	const struct boot_params *bp;
	u64 ram = 0, end = 0;

	make_image();
	if (!CHECK_EQ(load(memory, "", 0), 0))
		return;
	bp = params();
	for (unsigned int i = 0; i < bp->e820_entries; i++) {
		const struct boot_e820_entry *e = &bp->e820_table[i];

		CHECK(e->addr >= end && e->size);
		end = e->addr + e->size;
		if (e->type != 1)
			continue;
		ram += e->size;
		CHECK(memory_at(&mem, e->addr, e->size));
		CHECK(end <= 0xa0000 || e->addr >= MIB(1), "BIOS area as RAM");
	}
	CHECK_EQ(ram, memory - MIB(1) + 0x9fc00);
}

static void linux_e820(void)
{
	check_e820(MIB(32));
	check_e820(GIB(3));
	check_e820(GIB(3) + MIB(2));
	check_e820(GIB(9));
}

static void linux_refusals(void)
{
	char *longline = calloc(1, 70000);
	struct setup_header *h = make_image();

	h->header = 0;
	CHECK_EQ(load(MIB(64), "", 0), -1);
	h = make_image();
	h->version = 0x020b;
	CHECK_EQ(load(MIB(64), "", 0), -1);
	h = make_image();
	h->xloadflags = 0;
	CHECK_EQ(load(MIB(64), "", 0), -1);
	h = make_image();
	h->setup_sects = 255;
	CHECK_EQ(load(MIB(64), "", 0), -1);
	CHECK(strstr(why, "cut short"));
	h = make_image();
	h->pref_address = -4096ULL;
	CHECK_EQ(load(MIB(64), "", 0), -1);
	CHECK(strstr(why, "impossible"));
	h = make_image();
	h->pref_address = 0x1000;
	CHECK_EQ(load(MIB(64), "", 0), -1);
	h = make_image();
	h->init_size = MIB(100);
	CHECK_EQ(load(MIB(64), "", 0), -1);
	CHECK(strstr(why, "-m"));
	make_image();
	CHECK_EQ(load(MIB(24), "", 0), 0);
	CHECK_EQ(load(MIB(24), "", 4096), -1);	/* initrd over the kernel */
	CHECK(strstr(why, "initrd"));
	CHECK_EQ(load(MIB(1), "", 0), -1);
	memset(longline, 'x', 2048);
	CHECK_EQ(load(MIB(64), longline, 0), -1);
	longline[2047] = '\0';
	CHECK_EQ(load(MIB(64), longline, 0), 0);
	h = make_image();
	h->cmdline_size = 0xffffffff;
	memset(longline, 'x', 69999);
	CHECK_EQ(load(MIB(64), longline, 0), -1);
	free(longline);
}

static void memory_layout(void)
{
	memory_free(&mem);
	if (!CHECK_EQ(memory_alloc(&mem, GIB(4)), 0))
		return;
	CHECK_EQ(mem.low, GIB(3));
	CHECK_EQ(mem.high, GIB(1));
	CHECK(memory_at(&mem, GIB(3) - 1, 1));
	CHECK(!memory_at(&mem, GIB(3) - 1, 2));
	CHECK(!memory_at(&mem, GIB(3), 1));
	CHECK(memory_at(&mem, GIB(4), GIB(1)) == mem.base + GIB(3));
	CHECK(!memory_at(&mem, GIB(4), GIB(1) + 1));
	CHECK(!memory_at(&mem, 4096, ~0ULL));
	CHECK_EQ((u64)mem.base % MIB(2), 0);
	mem.base[4096] = 1;
	CHECK_EQ(memory_clear(&mem), 0);
	CHECK_EQ(mem.base[4096], 0);
	memory_free(&mem);
}

/* ---- ACPI ------------------------------------------------------------------------------ */

static u8 tables[ACPI_ROOM];

static u32 get32(const u8 *p)
{
	u32 v;

	memcpy(&v, p, 4);
	return v;
}

static const u8 *table_at(u64 gpa, const char *signature)
{
	const u8 *t = tables + (gpa - ACPI_GPA);
	u8 sum = 0;

	if (!CHECK(gpa >= ACPI_GPA && gpa < ACPI_GPA + ACPI_ROOM) ||
	    !CHECK(!memcmp(t, signature, 4), "%s", signature))
		exit(1);
	for (u32 i = 0; i < get32(t + 4); i++)
		sum += t[i];
	CHECK_EQ(sum, 0);
	return t;
}

/*
 * AML of this subset: every package length, of scopes and devices, ends where
 * its parent does or where another object starts. Returns how many objects.
 */
static unsigned int walk_aml(const u8 *p, const u8 *end)
{
	unsigned int n = 0;

	while (p < end) {
		bool device = p[0] == 0x5b && p[1] == 0x82;
		const u8 *start;
		u32 len;

		n++;
		if (p[0] == 0x08) {	/* Name: its value is next; find its end */
			p += p[1] == '\\' ? 6 : 5;
			if (*p == 0x11 || *p == 0x12)
				p += 1 + p[1];
			else
				p += *p == 0x0c ? 5 : *p == 0x0a ? 2 : 1;
			continue;
		}
		if (!CHECK(device || p[0] == 0x10, "opcode %#x", p[0]))
			return n;
		p += device ? 2 : 1;
		start = p;
		len = p[0] >> 6 ? (p[0] & 0xf) | p[1] << 4 : p[0];
		p += p[0] >> 6 ? 2 : 1;
		p += device ? 4 : 5;
		if (!CHECK(start + len <= end))
			return n;
		n += walk_aml(p, start + len);
		p = start + len;
	}
	CHECK(p == end, "the last object ends with its parent");
	return n;
}

static void check_madt(const u8 *madt, unsigned int nr_cpus)
{
	unsigned int count[16] = { 0 };
	u32 len = get32(madt + 4), at;

	for (at = 44; at < len && madt[at + 1]; at += madt[at + 1])
		count[madt[at]]++;
	CHECK_EQ(at, len);
	CHECK_EQ(count[0] + count[9], nr_cpus);
	CHECK_EQ(count[0], nr_cpus < 255 ? nr_cpus : 255);
	CHECK_EQ(count[1], 1);
	CHECK_EQ(count[2], 2);
	CHECK_EQ(count[4], 1);
}

static void check_acpi(unsigned int nr_cpus)
{
	size_t used = acpi_build(tables, sizeof(tables), ACPI_GPA, nr_cpus);
	const u8 *fadt, *xsdt, *dsdt;
	u8 sum = 0;

	CHECK(used > 0);
	CHECK(!memcmp(tables, "RSD PTR ", 8));
	for (unsigned int i = 0; i < 20; i++)
		sum += tables[i];
	CHECK_EQ(sum, 0);
	for (unsigned int i = 20; i < 36; i++)
		sum += tables[i];
	CHECK_EQ(sum, 0);
	xsdt = table_at(get32(tables + 24), "XSDT");
	CHECK_EQ(get32(xsdt + 4), 36 + 16);
	fadt = table_at(get32(xsdt + 36), "FACP");
	check_madt(table_at(get32(xsdt + 44), "APIC"), nr_cpus);
	CHECK_EQ(get32(fadt + 36) % 64, 0);	/* FACS */
	CHECK_EQ(get32(fadt + 40), get32(fadt + 140));
	CHECK_EQ(get32(fadt + 56), PM1_EVT_PORT);
	CHECK_EQ(get32(fadt + 64), PM1_CNT_PORT);
	CHECK_EQ(get32(fadt + 76), PM_TIMER_PORT);
	CHECK_EQ(get32(fadt + 120), PM_RESET_PORT);
	CHECK_EQ(fadt[128], PM_RESET_VALUE);
	CHECK_EQ(fadt[46], PM_SCI);
	dsdt = table_at(get32(fadt + 40), "DSDT");
	CHECK_EQ(walk_aml(dsdt + 36, dsdt + get32(dsdt + 4)), 11);
}

static void acpi_tables(void)
{
	check_acpi(1);
	check_acpi(4);
	check_acpi(254);
	check_acpi(300);
	for (size_t room = 0; room < 700; room++) {
		/* Exactly as large as said: the sanitizer watches its end. */
		u8 *small = malloc(room);

		CHECK_EQ(acpi_build(small, room, ACPI_GPA, 2), 0);
		free(small);
	}
}

/* ---- SMBIOS ---------------------------------------------------------------------------- */

/* String @n (from 1) behind the struct at @t; its end is *@end. */
static const char *smbios_string(const u8 *t, unsigned int n, const u8 **end)
{
	const char *s = (const char *)t + t[1], *found = NULL;

	if (!*s)
		s++;
	for (; *s; s += strlen(s) + 1)
		if (!--n)
			found = s;
	*end = (const u8 *)s + 1;
	return found;
}

static void smbios_tables(void)
{
	static u8 buf[SMBIOS_ROOM];
	size_t used = smbios_build(buf, sizeof(buf), SMBIOS_GPA);
	static const u8 types[] = { 0, 1, 127 };
	const u8 *t = buf + 24;
	u8 sum = 0;

	CHECK(SMBIOS_GPA >= 0xf0000 && SMBIOS_GPA + SMBIOS_ROOM <= MIB(1));
	CHECK(ACPI_GPA + ACPI_ROOM <= SMBIOS_GPA);
	CHECK(!memcmp(buf, "_SM3_", 5));
	CHECK_EQ(buf[6], 24);
	for (unsigned int i = 0; i < 24; i++)
		sum += buf[i];
	CHECK_EQ(sum, 0);
	CHECK_EQ(get32(buf + 12), used - 24);
	CHECK_EQ(get32(buf + 16), SMBIOS_GPA + 24);
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		const u8 *end;

		CHECK_EQ(t[0], types[i]);
		CHECK_EQ(t[2] | t[3] << 8, i);
		smbios_string(t, 1, &end);
		if (!i) {
			CHECK(!strcmp(smbios_string(t, t[4], &end), "Keel"));
			/* mm/dd/yyyy: Linux reads the year */
			CHECK(atoi(smbios_string(t, t[8], &end) + 6) >= 2001);
		}
		if (!CHECK(end <= buf + used))
			return;
		t = end;
	}
	CHECK(t == buf + used);
	for (size_t room = 0; room < used; room++) {
		u8 *small = malloc(room);

		CHECK_EQ(smbios_build(small, room, SMBIOS_GPA), 0);
		free(small);
	}
}

/* ---- CPUID -------------------------------------------------------------------------------- */

static struct keel_cpuid_entry *find(struct keel_cpuid_entry *e, u32 nr, u32 leaf, u32 index)
{
	for (u32 i = 0; i < nr; i++)
		if (e[i].leaf == leaf && (!(e[i].flags & KEEL_CPUID_INDEX) || e[i].index == index))
			return &e[i];
	return NULL;
}

static u32 amd_table(struct keel_cpuid_entry *e)
{
	const struct keel_cpuid_entry table[] = {
		{ .leaf = 0, .eax = 0x10, .ebx = 0x68747541, .edx = 0x69746e65, .ecx = 0x444d4163 },
		{ .leaf = 1, .eax = 0x800f12, .ebx = 0x05100800, .ecx = 1, .edx = 0x178bfbff },
		{ .leaf = 4, .flags = KEEL_CPUID_INDEX, .index = 0, .eax = 0xfc01c121 },
		{ .leaf = 4, .flags = KEEL_CPUID_INDEX, .index = 3, .eax = 0xfc01c163 },
		{ .leaf = 0xb, .flags = KEEL_CPUID_INDEX, .index = 0, .eax = 1, .ebx = 2 },
		{ .leaf = 0x80000001, .ecx = 1U << 22 | 1 },
		{ .leaf = 0x80000008, .eax = 0x3030, .ecx = 0x700f },
		{ .leaf = 0x8000001e, .ebx = 0x100 },
	};

	memcpy(e, table, sizeof(table));
	return ARRAY_SIZE(table);
}

static void check_topology(unsigned int nr_cpus, unsigned int bits)
{
	struct keel_cpuid_entry e[16 + CPUID_SPARE];
	u32 nr = cpuid_shape(e, amd_table(e), nr_cpus);

	CHECK_EQ(nr, 9);
	CHECK_EQ(find(e, nr, 1, 0)->ebx >> 16 & 0xff, 1U << bits);
	CHECK_EQ(find(e, nr, 1, 0)->edx >> 28 & 1, nr_cpus > 1);
	CHECK_EQ(find(e, nr, 1, 0)->ecx, 0x80000001);
	CHECK_EQ(find(e, nr, 4, 0)->eax, 0x121 | ((1U << bits) - 1) << 26);
	CHECK_EQ(find(e, nr, 4, 3)->eax >> 14 & 0xfff, (1U << bits) - 1);
	CHECK_EQ(find(e, nr, 0xb, 0)->ebx, 1);
	CHECK_EQ(find(e, nr, 0xb, 0)->ecx, 0x100);
	CHECK_EQ(find(e, nr, 0xb, 1)->eax, bits);
	CHECK_EQ(find(e, nr, 0xb, 1)->ebx, nr_cpus);
	CHECK_EQ(find(e, nr, 0xb, 1)->ecx, 0x201);
	CHECK_EQ(find(e, nr, 0xb, 2)->ecx, 2);
	CHECK_EQ(find(e, nr, 0x80000001, 0)->ecx, nr_cpus > 1 ? 3 : 1);
	CHECK_EQ(find(e, nr, 0x80000008, 0)->ecx, bits << 12 | (nr_cpus - 1));
	CHECK_EQ(cpuid_phys_bits(e, nr), find(e, nr, 0x80000008, 0)->eax & 0xff);
	CHECK_EQ(cpuid_phys_bits(e, 0), 36);
	CHECK(!find(e, nr, 0x8000001e, 0));
}

static void cpuid_topology(void)
{
	check_topology(1, 0);
	check_topology(2, 1);
	check_topology(3, 2);
	check_topology(4, 2);
	check_topology(16, 4);
}

/* ---- memory types ---------------------------------------------------------------- */

static u64 mtrr_value(const struct keel_rec_msr *m, u32 index)
{
	for (unsigned int i = 0; i < MTRR_MSRS; i++)
		if (m[i].index == index)
			return m[i].value;
	return 0;
}

/* Which fixed register has @gpa (below 1 MiB), and at which byte. */
static u32 mtrr_fixed(u64 gpa, unsigned int *byte)
{
	*byte = gpa >> 16 & 7;
	if (gpa < 0x80000)
		return 0x250;
	*byte = gpa >> 14 & 7;
	if (gpa < 0xc0000)
		return 0x258 + (gpa - 0x80000) / 0x20000;
	*byte = gpa >> 12 & 7;
	return 0x268 + (gpa - 0xc0000) / 0x8000;
}

/* The type of @gpa as a CPU finds it. */
static u32 mtrr_type(const struct keel_rec_msr *m, u64 gpa)
{
	u64 base = mtrr_value(m, 0x200), mask = mtrr_value(m, 0x201);
	unsigned int byte;
	u32 index;

	if (gpa < MIB(1)) {
		index = mtrr_fixed(gpa, &byte);
		return mtrr_value(m, index) >> 8 * byte & 0xff;
	}
	CHECK_EQ(mask & 0xfff, 0x800);
	if ((gpa & mask & ~0xfffULL) == (base & mask & ~0xfffULL))
		return base & 0xff;
	return mtrr_value(m, 0x2ff) & 0xff;
}

static void memory_types(void)
{
	static const struct {
		u64 gpa;
		u32 type;
	} want[] = {
		{ 0, 6 }, { 0x9ffff, 6 }, { 0xa0000, 0 }, { 0xbffff, 0 }, { 0xc0000, 5 },
		{ 0xfffff, 5 }, { MIB(1), 6 }, { MEMORY_HOLE - 1, 6 }, { MEMORY_HOLE, 0 },
		{ 0xfee00000, 0 }, { MEMORY_HIGH - 1, 0 }, { MEMORY_HIGH, 6 },
		{ MEMORY_HIGH + MEMORY_HOLE, 6 }, { GIB(255), 6 },
	};
	struct keel_rec_msr m[MTRR_MSRS];

	for (unsigned int bits = 36; bits <= 52; bits += 4) {
		mtrr_firmware(m, bits);
		CHECK_EQ(mtrr_value(m, 0x2ff), 0xc06);
		CHECK_EQ(mtrr_value(m, 0x201) >> bits, 0);
		for (unsigned int i = 0; i < ARRAY_SIZE(want); i++)
			if (want[i].gpa < 1ULL << bits)
				CHECK_EQ(mtrr_type(m, want[i].gpa), want[i].type);
	}
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(linux_state), KTAP_TEST(linux_params), KTAP_TEST(linux_e820),
		KTAP_TEST(linux_refusals), KTAP_TEST(memory_layout), KTAP_TEST(acpi_tables),
		KTAP_TEST(smbios_tables),
		KTAP_TEST(cpuid_topology), KTAP_TEST(memory_types),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
