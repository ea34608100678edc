// SPDX-License-Identifier: GPL-2.0
/*
 * Every check of guest state that a CPU makes at VM entry and that the launcher
 * can break: either the state is refused by the name of its field, or RUN says
 * which rule it broke, or the guest runs.  After each of them the same vCPU runs
 * a good state.
 *
 * The table follows VMX, which checks most; "ANY" is where SVM may differ, since
 * it leaves such a state to the guest.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include "host.h"
#include "libkeel.h"

/* ---- a case ------------------------------------------------------------------ */

enum { LONG, COMPAT, PROT, PAE, REAL, V86 };

/* What is to come of it */
enum {
	REFUSED,	/* by STATE_SET and RUN, with the first change's record and field */
	FAILS,		/* ENTRY_FAIL with the rule */
	MAY_FAIL,	/* the same, or any other exit: Bochs 2.7 does not look */
	RUNS,		/* the guest's OUT */
	LIVES,		/* any exit but ENTRY_FAIL */
	ANY,		/* any of these */
};

#define MEMORY	0xfffffffe	/* a change of 8 bytes of guest memory */

struct change {
	u32 type;		/* KEEL_REC_*; 0: no more */
	u32 at;			/* offset in the record; an MSR's index; a GPA */
	u32 size;
	u64 value;
};

#define FIELD(rec, st, f, v)	{ rec, offsetof(struct st, f), sizeof(((struct st *)0)->f), v }
#define R(f, v)		FIELD(KEEL_REC_REGS, keel_regs, f, v)
#define S(f, v)		FIELD(KEEL_REC_SREGS, keel_sregs, f, v)
#define D(f, v)		FIELD(KEEL_REC_DEBUG, keel_rec_debug, f, v)
#define E(f, v)		FIELD(KEEL_REC_EVENTS, keel_rec_events, f, v)
#define M(index, v)	{ KEEL_REC_MSRS, index, 8, v }
#define MEM(gpa, v)	{ MEMORY, gpa, 8, v }
#define SEG(s, f, v)	S(seg[KEEL_SREG_##s].f, v)

struct entry_case {
	const char *name;
	u8 mode;
	u8 intel, amd;
	const char *rule;	/* of FAILS on Intel: a part of its name */
	struct change change[5];	/* the last has no type */
};

struct state {
	struct keel_regs regs;
	struct keel_sregs sregs;
	struct keel_rec_debug debug;
	struct keel_rec_events events;
};

#define CODE		0x1000
#define LONG_TABLES	GUEST_TABLES
#define PAE_TABLE	0x8000	/* its entries name the page directories of long mode */
#define TSS		0x30000	/* all zero: an I/O bitmap that permits */
#define NON_CANONICAL	0x0100000000000000ULL	/* with 57 bits of address, too */

static bool intel;

/* ---- good states ----------------------------------------------------------------- */

static void segment(struct state *s, int seg, u16 selector, u64 base, u32 limit, u16 attr)
{
	s->sregs.seg[seg] = (struct keel_segment) {
		.selector = selector, .base = base, .limit = limit, .attr = attr,
	};
}

static void good_state(struct vcpu *v, struct state *s, u8 mode)
{
	bool flat = mode == REAL || mode == V86;
	u16 data = mode == V86 ? 0xf3 : flat ? 0x93 : 0xc093;
	u16 code = mode == V86 ? 0xf3 : flat ? 0x9b : mode == LONG ? 0xa09b : 0xc09b;
	bool lma = mode == LONG || mode == COMPAT;
	int i;

	memset(s, 0, sizeof(*s));
	REQUIRE(state_get(v->fd, KEEL_REC_SREGS, &s->sregs, sizeof(s->sregs)) ==
		sizeof(s->sregs));
	for (i = KEEL_SREG_ES; i <= KEEL_SREG_GS; i++)
		segment(s, i, flat ? 0 : GUEST_DS, 0, flat ? 0xffff : 0xffffffff,
			i == KEEL_SREG_CS ? code : data);
	/* QEMU wants a TSS that is not busy for its I/O bitmap. */
	segment(s, KEEL_SREG_TR, 0, TSS, 0x2fff, mode == V86 ? 0x89 : 0x8b);
	segment(s, KEEL_SREG_LDTR, 0, 0, 0, 0);
	s->sregs.gdt = (struct keel_dtable) {};
	s->sregs.idt = (struct keel_dtable) {};
	s->sregs.cr0 = mode == REAL ? 0x30 : mode == PROT || mode == V86 ? 0x31 : 0x80000031;
	s->sregs.cr2 = 0;
	s->sregs.cr3 = mode == PAE ? PAE_TABLE : LONG_TABLES;
	s->sregs.cr4 = lma || mode == PAE ? 0x20 : 0;
	s->sregs.cr8 = 0;
	s->sregs.efer = lma ? 0x500 : 0;
	s->regs.rip = CODE;
	s->regs.rflags = mode == V86 ? 1 << 17 | 2 : 2;
	s->regs.gpr[KEEL_GPR_RAX] = 0x55;
	s->regs.gpr[KEEL_GPR_RSP] = 0x7000;
	s->debug.dr6 = 0xffff0ff0;
	s->debug.dr7 = 0x400;
}

static void good_memory(struct vm *vm)
{
	/* out %al, $0x80; hlt; jmp .-1: the same in every mode */
	static const u8 code[] = { 0xe6, 0x80, 0xf4, 0xeb, 0xfd };
	u64 *pdpte = (u64 *)(vm->ram + PAE_TABLE);
	int i;

	/* Whoever goes astray finds HLT; real mode's vectors lead there too. */
	memset(vm->ram, 0, 0x400);
	memset(vm->ram + 0x400, 0xf4, LONG_TABLES - 0x400);
	memcpy(vm->ram + CODE, code, sizeof(code));
	for (i = 0; i < 4; i++)
		pdpte[i] = (LONG_TABLES + 0x2000 + i * 0x1000) | 1;
}

/* ---- running one ------------------------------------------------------------------- */

static void *record(struct state *s, u32 type, u32 *len)
{
	static const struct { u32 type, at, len; } table[] = {
		{ KEEL_REC_REGS, offsetof(struct state, regs), sizeof(struct keel_regs) },
		{ KEEL_REC_SREGS, offsetof(struct state, sregs), sizeof(struct keel_sregs) },
		{ KEEL_REC_DEBUG, offsetof(struct state, debug), sizeof(struct keel_rec_debug) },
		{ KEEL_REC_EVENTS, offsetof(struct state, events),
		  sizeof(struct keel_rec_events) },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		*len = table[i].len;
		if (table[i].type == type)
			return (u8 *)s + table[i].at;
	}
	REQUIRE(false, "type %u", type);
	return NULL;
}

static int load(struct vcpu *v, struct state *s, struct state_bad *bad)
{
	/* EVENTS last: loading registers ends what waits for them. */
	static const u32 types[] = {
		KEEL_REC_SREGS, KEEL_REC_DEBUG, KEEL_REC_REGS, KEEL_REC_EVENTS,
	};
	unsigned int i;
	int ret = 0;
	u32 len;

	for (i = 0; i < ARRAY_SIZE(types) && !ret; i++) {
		void *p = record(s, types[i], &len);

		ret = state_set(v->fd, types[i], p, len, bad);
	}
	return ret;
}

static bool in_run_page(const struct entry_case *c)
{
	const struct change *ch;

	for (ch = c->change; ch->type; ch++)
		if (ch->type != KEEL_REC_REGS && ch->type != KEEL_REC_SREGS && ch->type != MEMORY)
			return false;
	return true;
}

static bool has_run(const struct vcpu *v)
{
	return v->run->exit_reason == KEEL_EXIT_PIO && v->run->pio.port == 0x80 &&
	       v->run->pio.size == 1 && v->run->pio.data == 0x55;
}

static void check_run(struct vcpu *v, const struct entry_case *c, u8 want, const char *how)
{
	const struct keel_exit_entry *e = &v->run->entry;
	bool failed = vcpu_run(v) == KEEL_EXIT_ENTRY_FAIL;

	if (failed) {
		CHECK(want == FAILS || want == MAY_FAIL || want == ANY,
		      "%s (%s): rule %u, %.55s", c->name, how, e->rule, e->name);
		CHECK(e->rule && e->name[0] && memchr(e->name, 0, sizeof(e->name)),
		      "%s (%s): code %#x, rule %u, %.55s", c->name, how, e->vendor_code, e->rule,
		      e->name);
		if (intel && c->rule)
			CHECK(strstr(e->name, c->rule), "%s (%s): %.55s", c->name, how, e->name);
	} else if (!CHECK(want == LIVES || want == MAY_FAIL || want == ANY ||
			  (want == RUNS && has_run(v)),
			  "%s (%s)", c->name, how)) {
		vcpu_dump(v);
	}
}

static void check_refused(const struct entry_case *c, u8 want, int ret, const struct state_bad *bad,
			  u32 offset)
{
	const struct change *ch = c->change;

	if (!CHECK(want == REFUSED || want == ANY, "%s: %d, record %u offset %u", c->name, ret,
		   bad->type, bad->offset))
		return;
	/* A segment or a table is blamed as a whole. */
	CHECK(ret == -EINVAL && (want == ANY || bad->type == ch->type) &&
	      (want == ANY || (bad->offset <= offset && offset - bad->offset < 16)),
	      "%s: %d, record %u offset %u", c->name, ret, bad->type, bad->offset);
}

/* The same vCPU with nothing wrong. */
static void check_good(struct vcpu *v, const struct entry_case *c)
{
	struct state s;

	good_memory(v->vm);
	good_state(v, &s, LONG);
	REQUIRE_EQ(load(v, &s, NULL), 0);
	vcpu_run(v);
	REQUIRE(has_run(v), "after %s: %s", c->name, exit_name(v->run->exit_reason));
}

static void one_case(struct vcpu *v, const struct entry_case *c)
{
	u8 want = intel ? c->intel : c->amd;
	struct state s, good;
	const struct change *ch;
	struct state_bad bad;
	int ret = 0;
	u32 len;

	good_memory(v->vm);
	good_state(v, &good, c->mode);
	s = good;
	for (ch = c->change; ch->type; ch++) {
		if (ch->type == MEMORY)
			memcpy(v->vm->ram + ch->at, &ch->value, 8);
		else if (ch->type != KEEL_REC_MSRS)
			memcpy((u8 *)record(&s, ch->type, &len) + ch->at, &ch->value, ch->size);
	}
	if (c->change[0].type == KEEL_REC_MSRS) {
		REQUIRE_EQ(load(v, &good, NULL), 0);
		ret = msr_set(v, c->change[0].at, c->change[0].value);
		CHECK_EQ(ret, want == REFUSED ? -EINVAL : 0);
		return;
	}
	ret = load(v, &s, &bad);
	if (ret)
		check_refused(c, want, ret, &bad, c->change[0].at);
	else if (CHECK(want != REFUSED, "%s: taken", c->name))
		check_run(v, c, want, "record");
	check_good(v, c);
	if (!in_run_page(c))
		return;

	/* Again, by the run page. */
	for (ch = c->change; ch->type; ch++)
		if (ch->type == MEMORY)
			memcpy(v->vm->ram + ch->at, &ch->value, 8);
	v->run->regs = s.regs;
	v->run->sregs = s.sregs;
	v->run->commit = KEEL_GROUP_REGS | KEEL_GROUP_SREGS;
	if (ret)
		CHECK_EQ(vcpu_enter(v), -EINVAL);
	else
		check_run(v, c, want, "run page");
	v->run->commit = 0;
	check_good(v, c);
}

static void run_cases(const struct entry_case *cases, unsigned int nr)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	struct keel_info info;
	unsigned int i;

	keel_info(&info);
	intel = info.vendor == KEEL_VENDOR_INTEL;
	for (i = 0; i < nr; i++)
		one_case(v, &cases[i]);
	ktap_note("%u cases", nr);
	vm_free(vm);
}

#define RUN_CASES(cases)	run_cases(cases, ARRAY_SIZE(cases))

/* ---- control registers -------------------------------------------------------------- */

static const struct entry_case good_cases[] = {
	{ "long mode", LONG, RUNS, RUNS },
	{ "compatibility mode", COMPAT, RUNS, RUNS },
	{ "protected mode", PROT, RUNS, RUNS },
	{ "PAE paging", PAE, RUNS, RUNS },
	{ "real mode", REAL, RUNS, RUNS },
	{ "virtual-8086 mode", V86, RUNS, RUNS },
};

TEST(good_states) { RUN_CASES(good_cases); }

static const struct entry_case cr_cases[] = {
	{ "PG without PE", PROT, REFUSED, REFUSED, 0, { S(cr0, 0x80000030) } },
	{ "NW without CD", LONG, REFUSED, REFUSED, 0, { S(cr0, 0xa0000031) } },
	{ "CR0 bit 6", LONG, REFUSED, REFUSED, 0, { S(cr0, 0x80000071) } },
	{ "CR0 bit 17", LONG, REFUSED, REFUSED, 0, { S(cr0, 0x80020031) } },
	{ "CR0 bit 32", LONG, REFUSED, REFUSED, 0, { S(cr0, 0x180000031) } },
	{ "CR0 bit 63", LONG, REFUSED, REFUSED, 0, { S(cr0, 0x8000000080000031) } },
	{ "NE clear", LONG, RUNS, RUNS, 0, { S(cr0, 0x80000011) } },
	{ "ET clear", LONG, RUNS, RUNS, 0, { S(cr0, 0x80000021) } },
	{ "CD", LONG, RUNS, RUNS, 0, { S(cr0, 0xc0000031) } },
	{ "CD and NW", LONG, RUNS, RUNS, 0, { S(cr0, 0xe0000031) } },
	{ "TS, EM, MP", LONG, RUNS, RUNS, 0, { S(cr0, 0x8000003f) } },
	{ "long mode without PG", LONG, REFUSED, REFUSED, 0, { S(efer, 0x500), S(cr0, 0x31) } },
	{ "long mode without PAE", LONG, REFUSED, REFUSED, 0, { S(cr4, 0) } },
	{ "VMXE", LONG, REFUSED, REFUSED, 0, { S(cr4, 1 << 13 | 0x20) } },
	{ "SMXE", LONG, REFUSED, REFUSED, 0, { S(cr4, 1 << 14 | 0x20) } },
	{ "CR4 bit 15", LONG, REFUSED, REFUSED, 0, { S(cr4, 1 << 15 | 0x20) } },
	{ "CR4 bit 19", LONG, REFUSED, REFUSED, 0, { S(cr4, 1 << 19 | 0x20) } },
	{ "CET", LONG, REFUSED, REFUSED, 0, { S(cr4, 1 << 23 | 0x20) } },
	{ "CR4 bit 31", LONG, REFUSED, REFUSED, 0, { S(cr4, 1ULL << 31 | 0x20) } },
	{ "CR4 bit 32", LONG, REFUSED, REFUSED, 0, { S(cr4, 1ULL << 32 | 0x20) } },
	{ "CR4 bit 63", LONG, REFUSED, REFUSED, 0, { S(cr4, 1ULL << 63 | 0x20) } },
	{ "PCIDE outside long mode", PAE, REFUSED, REFUSED, 0, { S(cr4, 1 << 17 | 0x20) } },
	{ "PCIDE without paging", PROT, REFUSED, REFUSED, 0, { S(cr4, 1 << 17) } },
	{ "PCIDE", LONG, ANY, ANY, 0, { S(cr4, 1 << 17 | 0x20) } },
	{ "LA57", LONG, ANY, ANY, 0, { S(cr4, 1 << 12 | 0x20) } },
	{ "CR3 bit 52", LONG, REFUSED, REFUSED, 0, { S(cr3, 1ULL << 52 | LONG_TABLES) } },
	{ "CR3 bit 63", LONG, REFUSED, REFUSED, 0, { S(cr3, 1ULL << 63 | LONG_TABLES) } },
	{ "CR3 bit 52, no paging", REAL, REFUSED, REFUSED, 0, { S(cr3, 1ULL << 52) } },
	{ "CR3 low bits", LONG, RUNS, RUNS, 0, { S(cr3, LONG_TABLES | 0xfe7) } },
	{ "CR3 without memory", LONG, LIVES, LIVES, 0, { S(cr3, 0x7ffff000) } },
	{ "CR8", LONG, REFUSED, REFUSED, 0, { S(cr8, 16) } },
	{ "EFER.SVME", LONG, REFUSED, REFUSED, 0, { S(efer, 0x1500) } },
	{ "EFER bit 9", LONG, REFUSED, REFUSED, 0, { S(efer, 0x700) } },
	{ "EFER bit 63", LONG, REFUSED, REFUSED, 0, { S(efer, 1ULL << 63 | 0x500) } },
	{ "LMA without LME", LONG, REFUSED, REFUSED, 0, { S(efer, 0x400) } },
	{ "LME without LMA", LONG, REFUSED, REFUSED, 0, { S(efer, 0x100) } },
	{ "LMA without PG", PROT, REFUSED, REFUSED, 0, { S(efer, 0x500) } },
	/* PAE too: without it QEMU 7.2 does not bring the host's CR0 back at the exit. */
	{ "LME before paging", PROT, RUNS, RUNS, 0, { S(efer, 0x100), S(cr4, 0x20) } },
	{ "NXE and SCE", LONG, RUNS, RUNS, 0, { S(efer, 0xd01) } },
	{ "XCR0 without x87", LONG, REFUSED, REFUSED, 0, { S(xcr0, 2) } },
	{ "XCR0 bit 63", LONG, REFUSED, REFUSED, 0, { S(xcr0, 1ULL << 63 | 1) } },
	{ "APIC base without a LAPIC", LONG, REFUSED, REFUSED, 0, { S(apic_base, 0xfee00900) } },
};

TEST(control_registers) { RUN_CASES(cr_cases); }

static const struct entry_case pae_cases[] = {
	{ "PDPTE bit 1", PAE, FAILS, ANY, "PDPTE", { MEM(PAE_TABLE, 0x12003) } },
	{ "PDPTE bit 2", PAE, FAILS, ANY, "PDPTE", { MEM(PAE_TABLE + 8, 0x13005) } },
	{ "PDPTE bit 5", PAE, FAILS, ANY, "PDPTE", { MEM(PAE_TABLE + 16, 0x14021) } },
	{ "PDPTE bit 8", PAE, FAILS, ANY, "PDPTE", { MEM(PAE_TABLE + 24, 0x15101) } },
	{ "PDPTE bit 51", PAE, FAILS, ANY, "PDPTE", { MEM(PAE_TABLE, 1ULL << 51 | 0x12001) } },
	{ "PDPTE bit 63", PAE, FAILS, ANY, "PDPTE", { MEM(PAE_TABLE + 24, 1ULL << 63 | 0x15001) } },
	{ "an absent PDPTE", PAE, RUNS, RUNS, 0, { MEM(PAE_TABLE + 24, ~1ULL) } },
	{ "no PDPTE", PAE, LIVES, LIVES, 0, { MEM(PAE_TABLE, 0) } },
	{ "long tables", PAE, FAILS, ANY, "PDPTE", { S(cr3, LONG_TABLES) } },
	{ "long mode off", LONG, FAILS, ANY, "PDPTE", { S(efer, 0) } },
	{ "without memory", PAE, LIVES, LIVES, 0, { S(cr3, 0x7ffff000) } },
	{ "CR3 bits 0 to 4", PAE, RUNS, RUNS, 0, { S(cr3, PAE_TABLE | 0x1f) } },
};

TEST(pae_paging) { RUN_CASES(pae_cases); }

/* ---- MSRs, debug registers, tables ------------------------------------------------------ */

static const struct entry_case msr_cases[] = {
	{ "SYSENTER_ESP", LONG, REFUSED, REFUSED, 0, { M(0x175, NON_CANONICAL) } },
	{ "SYSENTER_EIP", LONG, REFUSED, REFUSED, 0, { M(0x176, 1ULL << 63) } },
	{ "LSTAR", LONG, REFUSED, REFUSED, 0, { M(0xc0000082, NON_CANONICAL) } },
	{ "CSTAR", LONG, REFUSED, REFUSED, 0, { M(0xc0000083, NON_CANONICAL) } },
	{ "KERNEL_GS_BASE", LONG, REFUSED, REFUSED, 0, { M(0xc0000102, NON_CANONICAL) } },
	{ "FS_BASE", LONG, REFUSED, REFUSED, 0, { M(0xc0000100, NON_CANONICAL) } },
	{ "PAT 2", LONG, REFUSED, REFUSED, 0, { M(0x277, 0x0007010600070102) } },
	{ "PAT 3", LONG, REFUSED, REFUSED, 0, { M(0x277, 0x0307010600070106) } },
	{ "PAT 8", LONG, REFUSED, REFUSED, 0, { M(0x277, 0x0007010600080106) } },
	{ "PAT", LONG, RUNS, RUNS, 0, { M(0x277, 0x0007010600070106) } },
	{ "DEBUGCTL", LONG, REFUSED, REFUSED, 0, { M(0x1d9, 4) } },
	{ "EFER as an MSR", LONG, REFUSED, REFUSED, 0, { M(0xc0000080, 0x500) } },
	{ "a VMX MSR", LONG, REFUSED, REFUSED, 0, { M(0x480, 0) } },
};

TEST(msrs) { RUN_CASES(msr_cases); }

static const struct entry_case debug_cases[] = {
	{ "DR7 bit 32", LONG, REFUSED, REFUSED, 0, { D(dr7, 1ULL << 32 | 0x400) } },
	{ "DR7 bit 63", LONG, REFUSED, REFUSED, 0, { D(dr7, 1ULL << 63 | 0x400) } },
	{ "DR7.GD", LONG, REFUSED, REFUSED, 0, { D(dr7, 0x2400) } },
	{ "DR7 bit 10 clear", LONG, RUNS, RUNS, 0, { D(dr7, 0) } },
	{ "DR7 bit 14", LONG, RUNS, RUNS, 0, { D(dr7, 0x4400) } },
	{ "DR6 bit 32", LONG, REFUSED, REFUSED, 0, { D(dr6, 1ULL << 32 | 0xffff0ff0) } },
	{ "DR6 of zeros", LONG, RUNS, RUNS, 0, { D(dr6, 0) } },
	{ "DR0", LONG, REFUSED, REFUSED, 0, { D(dr[0], NON_CANONICAL) } },
	{ "DR3", LONG, REFUSED, REFUSED, 0, { D(dr[3], 1ULL << 63) } },
	{ "GDT's base", LONG, REFUSED, REFUSED, 0, { S(gdt.base, NON_CANONICAL) } },
	{ "GDT's base in real mode", REAL, REFUSED, REFUSED, 0, { S(gdt.base, NON_CANONICAL) } },
	{ "GDT's limit", LONG, REFUSED, REFUSED, 0, { S(gdt.limit, 0x10000) } },
	{ "GDT's rest", LONG, REFUSED, REFUSED, 0, { S(gdt.reserved, 1) } },
	{ "IDT's base", LONG, REFUSED, REFUSED, 0, { S(idt.base, NON_CANONICAL) } },
	{ "IDT's limit", LONG, REFUSED, REFUSED, 0, { S(idt.limit, 0x80000000) } },
	{ "IDT's rest", LONG, REFUSED, REFUSED, 0, { S(idt.reserved, 1) } },
};

TEST(debug_registers_and_tables) { RUN_CASES(debug_cases); }

/* ---- segments --------------------------------------------------------------------------- */

#define TYPE	"type"
#define NOT_P	"not present"
#define LIMIT	"limit and granularity"
#define LEVELS	"privilege levels"

/* The same for every segment */
#define EACH(s)									\
	{ #s " attribute bit 8", PROT, REFUSED, REFUSED, 0, { SEG(s, attr, 0xc193) } },	\
	{ #s " attribute bit 11", LONG, REFUSED, REFUSED, 0, { SEG(s, attr, 0xc893) } }

#define LOW_BASE(s)								\
	{ #s " base bit 32", LONG, REFUSED, REFUSED, 0, { SEG(s, base, 1ULL << 32) } },	\
	{ #s " base bit 63", PROT, REFUSED, REFUSED, 0, { SEG(s, base, 1ULL << 63) } }

#define HIGH_BASE(s)								\
	{ #s " base, long", LONG, REFUSED, REFUSED, 0, { SEG(s, base, NON_CANONICAL) } }, \
	{ #s " base", PROT, FAILS, ANY, "base", { SEG(s, base, NON_CANONICAL) } }

/* Granularity that the limit contradicts; @attr: byte-granular, of its type */
#define LIMITS(s, attr0)							\
	{ #s " limit above 1 MiB", PROT, FAILS, ANY, LIMIT,			\
	  { SEG(s, attr, attr0), SEG(s, limit, 0x1fffff) } },			\
	{ #s " limit between pages", PROT, FAILS, ANY, LIMIT,			\
	  { SEG(s, attr, attr0 | 0x8000), SEG(s, limit, 0x12345ffe) } },	\
	{ #s " limit of bytes", PROT, RUNS, RUNS, 0,				\
	  { SEG(s, attr, attr0), SEG(s, limit, 0xffff) } }

#define DATA(s)									\
	{ #s " unusable", PROT, RUNS, RUNS, 0, { SEG(s, attr, 0) } },		\
	{ #s " without the accessed bit", PROT, RUNS, RUNS, 0, { SEG(s, attr, 0xc092) } }, \
	{ #s " a system segment", PROT, FAILS, ANY, 0, { SEG(s, attr, 0xc083) } }

/* DS, ES, FS, GS */
#define PLAIN(s)								\
	DATA(s),								\
	{ #s " code that is not readable", PROT, FAILS, ANY, TYPE, { SEG(s, attr, 0xc099) } }, \
	{ #s " conforming code, not readable", PROT, FAILS, ANY, TYPE, { SEG(s, attr, 0xc09d) } }, \
	{ #s " readable code", PROT, RUNS, RUNS, 0, { SEG(s, attr, 0xc09b) } },	\
	{ #s " read-only", PROT, RUNS, RUNS, 0, { SEG(s, attr, 0xc091) } },	\
	{ #s " for everybody", PROT, RUNS, RUNS, 0, { SEG(s, attr, 0xc0f3) } }

static const struct entry_case segment_cases[] = {
	EACH(ES), EACH(CS), EACH(SS), EACH(DS), EACH(FS), EACH(GS), EACH(TR), EACH(LDTR),
	LOW_BASE(ES), LOW_BASE(CS), LOW_BASE(SS), LOW_BASE(DS),
	HIGH_BASE(FS), HIGH_BASE(GS), HIGH_BASE(TR),
	LIMITS(ES, 0x4093), LIMITS(CS, 0x409b), LIMITS(SS, 0x4093), LIMITS(DS, 0x4093),
	LIMITS(FS, 0x4093), LIMITS(GS, 0x4093), LIMITS(TR, 0x8b), LIMITS(LDTR, 0x82),
	PLAIN(DS), PLAIN(ES), PLAIN(FS), PLAIN(GS), DATA(SS),
	{ "SS read-only", PROT, FAILS, ANY, "SS", { SEG(SS, attr, 0xc091) } },
	{ "SS code", PROT, FAILS, ANY, "SS", { SEG(SS, attr, 0xc09b) } },
	{ "SS expand-down", PROT, RUNS, RUNS, 0, { SEG(SS, attr, 0xc097) } },
	{ "SS for ring 3", PROT, MAY_FAIL, ANY, LEVELS, { SEG(SS, attr, 0xc0f3) } },
	{ "SS for ring 3, real mode", REAL, FAILS, ANY, LEVELS, { SEG(SS, attr, 0xf3) } },
	{ "SS unusable, for ring 3", LONG, MAY_FAIL, ANY, LEVELS, { SEG(SS, attr, 0x60) } },
};

TEST(segments) { RUN_CASES(segment_cases); }

static const struct entry_case code_cases[] = {
	{ "CS not present", PROT, FAILS, ANY, NOT_P, { SEG(CS, attr, 0xc01b) } },
	{ "CS not present, long", LONG, FAILS, ANY, NOT_P, { SEG(CS, attr, 0xa01b) } },
	{ "CS a system segment", PROT, FAILS, ANY, NOT_P, { SEG(CS, attr, 0xc08b) } },
	{ "CS read-only data", PROT, FAILS, ANY, "CS", { SEG(CS, attr, 0xc091) } },
	{ "CS expand-down data", PROT, FAILS, ANY, "CS", { SEG(CS, attr, 0xc097) } },
	{ "CS data as in real mode", REAL, RUNS, RUNS, 0, { SEG(CS, attr, 0x93) } },
	{ "CS data", PROT, LIVES, ANY, 0, { SEG(CS, attr, 0xc093) } },
	{ "CS data, SS for ring 3", PROT, FAILS, ANY, LEVELS,
	  { SEG(CS, attr, 0xc093), SEG(SS, attr, 0xc0f3) } },
	{ "CS execute-only", PROT, RUNS, RUNS, 0, { SEG(CS, attr, 0xc099) } },
	{ "CS conforming", PROT, RUNS, RUNS, 0, { SEG(CS, attr, 0xc09f) } },
	{ "CS for ring 3 alone", PROT, FAILS, ANY, LEVELS, { SEG(CS, attr, 0xc0fb) } },
	{ "CS conforming above SS", PROT, FAILS, ANY, LEVELS, { SEG(CS, attr, 0xc0ff) } },
	{ "CS.L and CS.D", LONG, REFUSED, REFUSED, 0, { SEG(CS, attr, 0xe09b) } },
	{ "CS.L and CS.D outside long mode", PROT, RUNS, RUNS, 0, { SEG(CS, attr, 0xe09b) } },
};

TEST(code_segment) { RUN_CASES(code_cases); }

static const struct entry_case system_cases[] = {
	{ "TR unusable", PROT, FAILS, ANY, "TR", { SEG(TR, attr, 0) } },
	{ "TR of 16 bits", PROT, RUNS, RUNS, 0, { SEG(TR, attr, 0x83) } },
	{ "TR of 16 bits, long", LONG, FAILS, ANY, "TR", { SEG(TR, attr, 0x83) } },
	{ "TR that is not busy", PROT, RUNS, RUNS, 0, { SEG(TR, attr, 0x89) } },
	{ "TR an LDT", PROT, FAILS, ANY, "TR", { SEG(TR, attr, 0x82) } },
	{ "TR a call gate", PROT, FAILS, ANY, "TR", { SEG(TR, attr, 0x8c) } },
	{ "TR a code segment", PROT, FAILS, ANY, "TR", { SEG(TR, attr, 0x9b) } },
	{ "TR in the LDT", PROT, FAILS, ANY, "TR", { SEG(TR, selector, 0x44) } },
	{ "LDTR", PROT, RUNS, RUNS, 0, { SEG(LDTR, attr, 0x82) } },
	{ "LDTR a TSS", PROT, FAILS, ANY, "LDTR", { SEG(LDTR, attr, 0x83) } },
	{ "LDTR data", PROT, FAILS, ANY, "LDTR", { SEG(LDTR, attr, 0x92) } },
	{ "LDTR in the LDT", PROT, FAILS, ANY, "LDTR",
	  { SEG(LDTR, attr, 0x82), SEG(LDTR, selector, 0x44) } },
	{ "LDTR in the LDT, unusable", PROT, RUNS, RUNS, 0, { SEG(LDTR, selector, 0x44) } },
	{ "LDTR base", PROT, FAILS, ANY, "base",
	  { SEG(LDTR, attr, 0x82), SEG(LDTR, base, NON_CANONICAL) } },
	{ "LDTR base, long", LONG, REFUSED, REFUSED, 0,
	  { SEG(LDTR, base, NON_CANONICAL), SEG(LDTR, attr, 0x82) } },
};

TEST(task_and_ldt_segments) { RUN_CASES(system_cases); }

#define V86_SEG(s)								\
	{ #s " base", V86, FAILS, ANY, "8086", { SEG(s, base, 0x10) } },	\
	{ #s " selector", V86, FAILS, ANY, "8086", { SEG(s, selector, 1) } },	\
	{ #s " limit", V86, FAILS, ANY, "8086", { SEG(s, limit, 0xfffff) } },	\
	{ #s " attributes", V86, FAILS, ANY, "8086", { SEG(s, attr, 0x93) } },	\
	{ #s " granularity", V86, FAILS, ANY, "8086", { SEG(s, attr, 0x80f3) } }

static const struct entry_case v86_cases[] = {
	V86_SEG(ES), V86_SEG(CS), V86_SEG(SS), V86_SEG(DS), V86_SEG(FS), V86_SEG(GS),
	{ "V86 with CS elsewhere", V86, RUNS, RUNS, 0,
	  { SEG(CS, base, 0x100), SEG(CS, selector, 0x10), R(rip, CODE - 0x100) } },
};

TEST(virtual_8086_mode) { RUN_CASES(v86_cases); }

/* ---- RIP and RFLAGS ------------------------------------------------------------------------ */

static const struct entry_case flag_cases[] = {
	{ "RIP bit 63", LONG, MAY_FAIL, ANY, "RIP", { R(rip, 1ULL << 63 | CODE) } },
	{ "RIP", LONG, MAY_FAIL, ANY, "RIP", { R(rip, NON_CANONICAL | CODE) } },
	{ "RIP without memory", LONG, LIVES, LIVES, 0, { R(rip, 0xffffffff80000000) } },
	{ "RIP bit 32, compatibility mode", COMPAT, FAILS, ANY, "RIP", { R(rip, 0x100001000) } },
	{ "RIP bit 32", PROT, FAILS, ANY, "RIP", { R(rip, 0x100001000) } },
	{ "RIP bit 32, real mode", REAL, FAILS, ANY, "RIP", { R(rip, 0x100001000) } },
	{ "RIP behind the segment", REAL, LIVES, LIVES, 0, { R(rip, 0x12345) } },
	{ "RFLAGS bit 1", LONG, REFUSED, REFUSED, 0, { R(rflags, 0) } },
	{ "RFLAGS bit 3", LONG, REFUSED, REFUSED, 0, { R(rflags, 0xa) } },
	{ "RFLAGS bit 5", LONG, REFUSED, REFUSED, 0, { R(rflags, 0x22) } },
	{ "RFLAGS bit 15", LONG, REFUSED, REFUSED, 0, { R(rflags, 0x8002) } },
	{ "RFLAGS bit 22", LONG, REFUSED, REFUSED, 0, { R(rflags, 1 << 22 | 2) } },
	{ "RFLAGS bit 32", LONG, REFUSED, REFUSED, 0, { R(rflags, 1ULL << 32 | 2) } },
	{ "RFLAGS bit 63", LONG, REFUSED, REFUSED, 0, { R(rflags, 1ULL << 63 | 2) } },
	{ "VM in long mode", LONG, FAILS, ANY, "8086", { R(rflags, 1 << 17 | 2) } },
	{ "VM in compatibility mode", COMPAT, FAILS, ANY, "8086", { R(rflags, 1 << 17 | 2) } },
	{ "VM in real mode", V86, MAY_FAIL, ANY, "RFLAGS", { S(cr0, 0x30) } },
	{ "all status flags", LONG, RUNS, RUNS, 0, { R(rflags, 0x254ed7) } },
	{ "IOPL 3, NT, RF", LONG, RUNS, RUNS, 0, { R(rflags, 0x17002) } },
	{ "VIF and VIP", LONG, RUNS, RUNS, 0, { R(rflags, 0x180002) } },
};

TEST(rip_and_rflags) { RUN_CASES(flag_cases); }

/* ---- events -------------------------------------------------------------------------------- */

#define IF_ON	R(rflags, 0x202)
#define TF_ON	R(rflags, 0x102)
#define BOTH	(KEEL_SHADOW_STI | KEEL_SHADOW_MOV_SS)

static const struct entry_case event_cases[] = {
	{ "pending and injected", LONG, REFUSED, REFUSED, 0,
	  { E(exc_injected, 1), E(exc_pending, 1) } },
	{ "exception and interrupt", LONG, REFUSED, REFUSED, 0,
	  { E(irq_injected, 1), E(exc_injected, 1) } },
	{ "NMI and interrupt", LONG, REFUSED, REFUSED, 0,
	  { E(nmi_injected, 1), E(irq_injected, 1) } },
	{ "exception 2", LONG, REFUSED, REFUSED, 0, { E(exc_vector, 2), E(exc_pending, 1) } },
	{ "exception 32", LONG, REFUSED, REFUSED, 0, { E(exc_vector, 32), E(exc_injected, 1) } },
	{ "#UD with a code", LONG, REFUSED, REFUSED, 0,
	  { E(exc_has_error, 1), E(exc_vector, 6), E(exc_pending, 1) } },
	{ "#DB with a code", LONG, REFUSED, REFUSED, 0,
	  { E(exc_has_error, 1), E(exc_vector, 1), E(exc_injected, 1) } },
	{ "#GP without a code", PROT, FAILS, ANY, "event",
	  { E(exc_vector, 13), E(exc_injected, 1) } },
	{ "#PF without a code, pending", LONG, FAILS, ANY, "event",
	  { E(exc_vector, 14), E(exc_pending, 1) } },
	{ "#GP with a code, real mode", REAL, FAILS, ANY, "event",
	  { E(exc_vector, 13), E(exc_injected, 1), E(exc_has_error, 1) } },
	{ "#GP with a code, pending, real mode", REAL, LIVES, LIVES, 0,
	  { E(exc_vector, 13), E(exc_pending, 1), E(exc_has_error, 1) } },
	{ "#GP", LONG, LIVES, LIVES, 0,
	  { E(exc_vector, 13), E(exc_injected, 1), E(exc_has_error, 1) } },
	{ "#BP", REAL, LIVES, LIVES, 0, { E(exc_vector, 3), E(exc_injected, 1) } },
	{ "#DB", LONG, LIVES, LIVES, 0, { E(exc_vector, 1), E(exc_pending, 1) } },
	{ "exception 31", LONG, LIVES, ANY, 0, { E(exc_vector, 31), E(exc_injected, 1) } },
	{ "interrupt without IF", PROT, FAILS, ANY, "IF",
	  { E(irq_injected, 1), E(irq_vector, 0x20) } },
	{ "interrupt", PROT, LIVES, LIVES, 0,
	  { E(irq_injected, 1), E(irq_vector, 0x20), IF_ON } },
	{ "interrupt behind STI", PROT, LIVES, LIVES, 0,
	  { E(irq_injected, 1), E(shadow, KEEL_SHADOW_STI), IF_ON } },
	{ "interrupt behind MOV SS", PROT, LIVES, LIVES, 0,
	  { E(irq_injected, 1), E(shadow, KEEL_SHADOW_MOV_SS), IF_ON } },
	{ "software interrupt", LONG, REFUSED, REFUSED, 0, { E(irq_soft, 1) } },
	{ "NMI", REAL, LIVES, LIVES, 0, { E(nmi_injected, 1) } },
	{ "NMI while masked", REAL, LIVES, LIVES, 0, { E(nmi_injected, 1), E(nmi_masked, 1) } },
	{ "NMI behind MOV SS", REAL, LIVES, LIVES, 0,
	  { E(nmi_injected, 1), E(shadow, KEEL_SHADOW_MOV_SS) } },
	{ "NMI behind STI", REAL, LIVES, LIVES, 0,
	  { E(nmi_injected, 1), E(shadow, KEEL_SHADOW_STI), IF_ON } },
	{ "three NMIs", LONG, REFUSED, REFUSED, 0, { E(nmi_pending, 3) } },
	{ "NMIs masked", LONG, RUNS, RUNS, 0, { E(nmi_masked, 1) } },
	{ "both shadows", LONG, REFUSED, REFUSED, 0, { E(shadow, BOTH), IF_ON } },
	{ "a shadow unknown", LONG, REFUSED, REFUSED, 0, { E(shadow, 4) } },
	{ "STI", LONG, RUNS, RUNS, 0, { E(shadow, KEEL_SHADOW_STI), IF_ON } },
	{ "STI without IF", LONG, RUNS, RUNS, 0, { E(shadow, KEEL_SHADOW_STI) } },
	{ "MOV SS", LONG, RUNS, RUNS, 0, { E(shadow, KEEL_SHADOW_MOV_SS) } },
	{ "STI and a single step", LONG, LIVES, LIVES, 0,
	  { E(shadow, KEEL_SHADOW_STI), R(rflags, 0x302) } },
	{ "STI without IF and a single step", LONG, LIVES, LIVES, 0,
	  { E(shadow, KEEL_SHADOW_STI), TF_ON } },
	{ "MOV SS and a single step", LONG, LIVES, LIVES, 0,
	  { E(shadow, KEEL_SHADOW_MOV_SS), TF_ON } },
	{ "#DB behind MOV SS and a single step", LONG, LIVES, LIVES, 0,
	  { E(shadow, KEEL_SHADOW_MOV_SS), TF_ON, E(exc_vector, 1), E(exc_injected, 1) } },
	{ "halted without a LAPIC", LONG, REFUSED, REFUSED, 0, { E(mp_state, KEEL_MP_HALTED) } },
	{ "an unknown activity", LONG, REFUSED, REFUSED, 0, { E(mp_state, 4) } },
	{ "INIT without a LAPIC", LONG, REFUSED, REFUSED, 0, { E(init_pending, 1) } },
	{ "irq_pending", LONG, REFUSED, REFUSED, 0, { E(irq_pending, 2) } },
};

TEST(events) { RUN_CASES(event_cases); }

/* ---- what a failed entry leaves ------------------------------------------------------- */

static struct vcpu *broken(struct state *s)
{
	struct vm *vm = vm_new(0);
	struct vcpu *v = vcpu_new(vm, 0);
	struct keel_info info;

	keel_info(&info);
	if (info.vendor != KEEL_VENDOR_INTEL)
		ktap_skip("this CPU leaves such a state to the guest");
	good_memory(vm);
	good_state(v, s, PROT);
	s->sregs.seg[KEEL_SREG_CS].attr = 0xc091;
	return v;
}

/* Nothing of this vCPU has ever run. */
TEST(the_first_entry_fails)
{
	struct state s;
	struct vcpu *v = broken(&s);

	REQUIRE_EQ(load(v, &s, NULL), 0);
	vcpu_expect(v, KEEL_EXIT_ENTRY_FAIL);
	vcpu_expect(v, KEEL_EXIT_ENTRY_FAIL);
	s.sregs.seg[KEEL_SREG_CS].attr = 0xc09b;
	REQUIRE_EQ(load(v, &s, NULL), 0);
	vcpu_expect(v, KEEL_EXIT_PIO);
	vm_free(v->vm);
}

/* Registers and the event that waits are those of before. */
TEST(a_failed_entry_changes_nothing)
{
	struct state s, after;
	struct vcpu *v = broken(&s);
	int i;

	for (i = 0; i < 16; i++)
		s.regs.gpr[i] = 0x1111111111111111ULL * i;
	s.events.exc_injected = 1;
	s.events.exc_vector = 13;
	s.events.exc_has_error = 1;
	s.events.exc_error = 0x18;
	REQUIRE_EQ(load(v, &s, NULL), 0);
	vcpu_expect(v, KEEL_EXIT_ENTRY_FAIL);
	REQUIRE(state_get(v->fd, KEEL_REC_REGS, &after.regs, sizeof(after.regs)) > 0);
	REQUIRE(state_get(v->fd, KEEL_REC_SREGS, &after.sregs, sizeof(after.sregs)) > 0);
	REQUIRE(state_get(v->fd, KEEL_REC_EVENTS, &after.events, sizeof(after.events)) > 0);
	CHECK(!memcmp(&s.regs, &after.regs, sizeof(s.regs)));
	CHECK(!memcmp(&s.sregs, &after.sregs, sizeof(s.sregs)));
	CHECK(!memcmp(&s.events, &after.events, sizeof(s.events)));

	/* The same of an instruction that failed, not of a state. */
	s.sregs.seg[KEEL_SREG_CS].attr = 0xc09b;
	s.events.exc_has_error = 0;
	s.events.exc_error = 0;
	REQUIRE_EQ(load(v, &s, NULL), 0);
	vcpu_expect(v, KEEL_EXIT_ENTRY_FAIL);
	REQUIRE(state_get(v->fd, KEEL_REC_EVENTS, &after.events, sizeof(after.events)) > 0);
	CHECK(!memcmp(&s.events, &after.events, sizeof(s.events)));
	/* Without the event there is nothing wrong. */
	s.events.exc_injected = 0;
	REQUIRE_EQ(load(v, &s, NULL), 0);
	vcpu_expect(v, KEEL_EXIT_PIO);
	vm_free(v->vm);
}

TEST(the_log_names_the_rule)
{
	struct state s;
	struct vcpu *v = broken(&s);
	char line[96];

	/* Other tests may have used up what the log takes in a while. */
	sleep_ms(6000);
	host_log_start();
	REQUIRE_EQ(load(v, &s, NULL), 0);
	vcpu_expect(v, KEEL_EXIT_ENTRY_FAIL);
	snprintf(line, sizeof(line), "entry failed: %s", v->run->entry.name);
	CHECK(host_log_has(line), "%s", line);
	vm_free(v->vm);
}
