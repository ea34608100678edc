// SPDX-License-Identifier: GPL-2.0
/*
 * The guest side of cpu.c: what the CPU keeps while the guest is away: time,
 * vector registers, debug registers, MSRs.
 */
#include "lib/guest/guest.h"

u64 tsc_khz;

/* ---- time ------------------------------------------------------------------- */

void tsc_monotonic(void)
{
	u64 last = rdtsc(), now;
	int i;

	for (i = 0; i < 2000; i++) {
		now = rdtsc();
		GUEST_ASSERT(now >= last);
		last = now;
		if (i % 100 == 0)
			GUEST_SYNC(1);
	}
	GUEST_SYNC(2);
}

/* The TSC at each stage. */
void tsc_stages(void)
{
	for (;;)
		guest_stage(1, rdtsc(), 0);
}

void tsc_write(void)
{
	u64 now;

	wrmsr(0x10, 0x100000000000);
	now = rdtsc();
	GUEST_ASSERT(now >= 0x100000000000 && now < 0x100000000000 + tsc_khz * 2000);
	now = rdmsr(0x10);
	GUEST_ASSERT(now >= 0x100000000000);
}

/* Counts up for the host to see. */
volatile u64 counter;

void count(void)
{
	for (;;)
		counter++;
}

/* ---- vector registers ----------------------------------------------------------- */

/* @insn with \\n as the number of each register from 0 to 15. */
#define ALL(insn)	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t" insn "\n\t.endr\n\t"
#define XMM_LOAD	ALL("movdqu 16*\\n(%0), %%xmm\\n")
#define XMM_STORE	ALL("movdqu %%xmm\\n, 16*\\n(%0)")
#define YMM_LOAD	ALL("vmovdqu 32*\\n(%0), %%ymm\\n")
#define YMM_STORE	ALL("vmovdqu %%ymm\\n, 32*\\n(%0)")

/* The patterns stay in all registers over many exits; each vCPU has its own. */
void sse(u64 seed, u64 rounds)
{
	u64 *in = (u64 *)(GUEST_SCRATCH + seed * 0x1000), *out = in + 64;
	u32 mxcsr = 0x1f80 | (seed & 1) << 13, got;
	u16 cw = 0x37f & ~((seed & 1) << 8), cwout;
	u64 i;

	for (i = 0; i < 32; i++)
		in[i] = (seed + 1) * 0x0101010101010101 * (i + 1);
	asm volatile("fninit\n\tfldcw %1\n\tldmxcsr %2\n\tfld1\n\t" XMM_LOAD
		     : : "r"(in), "m"(cw), "m"(mxcsr) : "memory");
	for (; rounds; rounds--) {
		GUEST_SYNC(1);
		asm volatile(XMM_STORE "stmxcsr %1\n\tfnstcw %2"
			     : : "r"(out), "m"(got), "m"(cwout) : "memory");
		for (i = 0; i < 32; i++)
			GUEST_ASSERT_EQ(out[i], in[i]);
		GUEST_ASSERT_EQ(got, mxcsr);
		GUEST_ASSERT_EQ(cwout, cw);
	}
	asm volatile("fstpl %0" : "=m"(in[0]));
	GUEST_ASSERT_EQ(in[0], 0x3ff0000000000000);
}

static u64 xgetbv(void)
{
	u32 lo, hi;

	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (u64)hi << 32 | lo;
}

static u32 xsetbv_safe(u32 index, u64 val)
{
	register u64 vector asm("r9");

	asm volatile(TRY("xsetbv") : "=&r"(vector)
		     : "c"(index), "a"((u32)val), "d"((u32)(val >> 32)));
	return vector;
}

void xcr0(u64 allowed, u64 refused)
{
	u32 r[4];

	write_cr4(read_cr4() | 1 << 18);
	cpuid(1, 0, r);
	GUEST_ASSERT_EQ(r[2] >> 27 & 1, 1);
	GUEST_ASSERT_EQ(xgetbv(), 1);
	GUEST_ASSERT_EQ(xsetbv_safe(0, 0), GP_VECTOR);		/* without x87 */
	GUEST_ASSERT_EQ(xsetbv_safe(1, 1), GP_VECTOR);
	GUEST_ASSERT_EQ(xsetbv_safe(0, 1ULL << 62 | 1), GP_VECTOR);
	if (refused && allowed & 4)
		GUEST_ASSERT_EQ(xsetbv_safe(0, 5), GP_VECTOR);	/* AVX without SSE */
	GUEST_ASSERT_EQ(xgetbv(), 1);
	GUEST_ASSERT_EQ(xsetbv_safe(0, allowed), NO_FAULT);
	GUEST_ASSERT_EQ(xgetbv(), allowed);
	GUEST_SYNC(1);
	GUEST_ASSERT_EQ(xgetbv(), allowed);
	/* The size in CPUID follows. */
	cpuid(0xd, 0, r);
	GUEST_ASSERT_EQ(r[1], r[2]);
	GUEST_ASSERT_EQ(xsetbv_safe(0, 3), NO_FAULT);
	cpuid(0xd, 0, r);
	GUEST_ASSERT_EQ(r[1], 576);
	GUEST_ASSERT_EQ(xgetbv(), 3);
	write_cr4(read_cr4() & ~(1ULL << 18));
	cpuid(1, 0, r);
	GUEST_ASSERT_EQ(r[2] >> 27 & 1, 0);
}

void avx(u64 seed, u64 rounds)
{
	u64 *in = (u64 *)(GUEST_SCRATCH + seed * 0x1000), *out = in + 128;
	u64 i;

	GUEST_ASSERT_EQ(xgetbv() & 7, 7);
	for (i = 0; i < 64; i++)
		in[i] = (seed + 1) * 0x0101010101010101 * (i + 1);
	asm volatile(YMM_LOAD : : "r"(in) : "memory");
	for (; rounds; rounds--) {
		GUEST_SYNC(1);
		asm volatile(YMM_STORE : : "r"(out) : "memory");
		for (i = 0; i < 64; i++)
			GUEST_ASSERT_EQ(out[i], in[i]);
	}
}

/* CR0.TS is the guest's own. */
void lazy_fpu(void)
{
	register u64 vector asm("r9");

	write_cr0(read_cr0() | 8);
	asm volatile(TRY("fnop") : "=&r"(vector));
	GUEST_ASSERT_EQ(vector, NM_VECTOR);
	GUEST_SYNC(1);
	asm volatile(TRY("fnop") : "=&r"(vector));
	GUEST_ASSERT_EQ(vector, NM_VECTOR);
	asm volatile("clts");
	asm volatile(TRY("fnop") : "=&r"(vector));
	GUEST_ASSERT_EQ(vector, NO_FAULT);
}

/* ---- debug registers ------------------------------------------------------------------ */

/* Set by the host: its CPU does not say which breakpoint it was. */
u64 dr6_unknown;
static volatile u64 hits, hit_dr6;

static void on_db(struct guest_frame *f)
{
	hits++;
	hit_dr6 = read_dr6();
	write_dr6(0xffff0ff0);
	f->rflags |= 1 << 16;	/* RF */
}

void debug_registers(u64 seed, u64 rounds, u64 armed)
{
	volatile u64 *mark = (volatile u64 *)(GUEST_SCRATCH + 0x10000 + seed * 0x1000);
	u64 i;

	guest_set_handler(DB_VECTOR, on_db);
	write_dr6(0xffff0ff0);
	write_dr0(0x1111000 + seed);
	write_dr1(0x2222000 + seed);
	write_dr2(0x3333000 + seed);
	write_dr3((u64)mark);
	/* DR3: writes of 8 bytes */
	write_dr7(armed ? 0x90000480 : 0x90000400);
	for (i = 0; i < rounds; i++) {
		GUEST_SYNC(1);
		GUEST_ASSERT_EQ(read_dr0(), 0x1111000 + seed);
		GUEST_ASSERT_EQ(read_dr1(), 0x2222000 + seed);
		GUEST_ASSERT_EQ(read_dr2(), 0x3333000 + seed);
		GUEST_ASSERT_EQ(read_dr3(), (u64)mark);
		GUEST_ASSERT_EQ(read_dr7(), armed ? 0x90000480 : 0x90000400);
	}
	if (!armed)
		return;
	hits = 0;
	*mark = 1;
	GUEST_ASSERT_EQ(hits, 1);
	GUEST_ASSERT((hit_dr6 & 0xf) == 8 || dr6_unknown);
	write_dr7(0x400);
	*mark = 2;
	GUEST_ASSERT_EQ(hits, 1);
}

static noinline void nop_here(void)
{
	nop();
}

void code_breakpoint(void)
{
	guest_set_handler(DB_VECTOR, on_db);
	hits = 0;
	write_dr6(0xffff0ff0);
	write_dr0((u64)nop_here);
	write_dr7(0x402);
	nop_here();
	nop_here();
	GUEST_ASSERT_EQ(hits, 2);
	GUEST_ASSERT((hit_dr6 & 0xf) == 1 || dr6_unknown);
	write_dr7(0x400);
}

/* ---- MSRs ------------------------------------------------------------------------------- */

/* @checks: this CPU refuses addresses that are not canonical. */
void msrs(u64 checks)
{
	static const struct { u32 index; u64 val; } table[] = {
		{ 0xc0000081, 0x0023001000000000 },	/* STAR */
		{ 0xc0000082, 0xffff800000001000 },	/* LSTAR */
		{ 0xc0000084, 0x47700 },		/* SFMASK */
		{ 0xc0000100, 0x7f0000001000 },		/* FS base */
		{ 0xc0000101, 0x7f0000002000 },		/* GS base */
		{ 0xc0000102, 0xffff888000003000 },	/* kernel GS base */
		{ 0x174, 0x10 },			/* SYSENTER */
		{ 0x175, 0xffff800000004000 },
		{ 0x176, 0xffff800000005000 },
		{ 0x277, 0x0007010600070106 },		/* PAT */
	};
	u64 val;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(table); i++)
		wrmsr(table[i].index, table[i].val);
	GUEST_SYNC(1);
	for (i = 0; i < ARRAY_SIZE(table); i++)
		GUEST_ASSERT_EQ(rdmsr(table[i].index), table[i].val);
	asm volatile("swapgs");
	GUEST_ASSERT_EQ(rdmsr(0xc0000101), 0xffff888000003000);
	asm volatile("swapgs");
	if (checks)
		GUEST_ASSERT_EQ(wrmsr_safe(0xc0000082, 0x8000000000000000), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(0x277, 2), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr_safe(0xc0000082, &val), NO_FAULT);
	GUEST_ASSERT_EQ(val, 0xffff800000001000);
}
