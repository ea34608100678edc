/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What guest programs are written with: calls to the host side, assertions,
 * instructions that may fault, the APIC, interrupt handlers. Guest code runs in
 * ring 0 of long mode, one to one mapped, without SSE and without a libc. It
 * must not know the ABI.
 */
#ifndef KEEL_SELFTESTS_GUEST_H
#define KEEL_SELFTESTS_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/attrs.h"
#include "lib/layout.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define READ_ONCE(x)	(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) ((*(volatile __typeof__(x) *)&(x)) = (v))

/* ---- the host side ------------------------------------------------------- */

static inline void guest_call(u32 what, u64 a, u64 b, u64 c, u64 d)
{
	asm volatile("outl %%eax, %%dx"
		     : : "a"(what), "d"(GUEST_PORT), "D"(a), "S"(b), "b"(c), "c"(d) : "memory");
}

static inline void guest_stage(u64 stage, u64 a, u64 b)
{
	guest_call(GUEST_CALL_SYNC, stage, a, b, 0);
}

/* The host side waits for it with guest_sync(). */
#define GUEST_SYNC(stage)	guest_stage(stage, 0, 0)
#define GUEST_NOTE(text, val)	guest_call(GUEST_CALL_NOTE, (u64)(text), (u64)(val), 0, 0)

/* A failed assertion ends the test. */
#define GUEST_ASSERT(cond) do {						\
	if (!(cond))							\
		guest_assert_failed(__FILE__, __LINE__, #cond, 0, 0);	\
} while (0)
#define GUEST_ASSERT_EQ(a, b) do {					\
	u64 ga_ = (u64)(a), gb_ = (u64)(b);				\
									\
	if (ga_ != gb_)							\
		guest_assert_failed(__FILE__, __LINE__, #a " == " #b, ga_, gb_); \
} while (0)
void guest_assert_failed(const char *file, int line, const char *text, u64 a, u64 b);

/* ---- exceptions and interrupts ---------------------------------------------- */

struct guest_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

/* Called with interrupts off. Without a handler a vector ends the test. */
typedef void (*guest_handler_t)(struct guest_frame *frame);
void guest_set_handler(u8 vector, guest_handler_t handler);
/* Acknowledges a LAPIC interrupt and counts it in guest_irqs[vector]. */
void guest_count_irq(struct guest_frame *frame);
extern volatile u64 guest_irqs[256];

/* The fault that the last instruction of TRY() had. */
#define NO_FAULT	0xffff
struct guest_fault {
	u64 vector, error, rip, cr2;
};

extern struct guest_fault guest_fault;

enum {
	DE_VECTOR = 0, DB_VECTOR = 1, NMI_VECTOR = 2, BP_VECTOR = 3, OF_VECTOR = 4,
	UD_VECTOR = 6, NM_VECTOR = 7, DF_VECTOR = 8, TS_VECTOR = 10, NP_VECTOR = 11,
	SS_VECTOR = 12, GP_VECTOR = 13, PF_VECTOR = 14, MF_VECTOR = 16, AC_VECTOR = 17,
};

/*
 * The body of an asm statement whose one instruction may fault: the vector or
 * NO_FAULT is in R9 afterwards, and guest_fault tells the rest.
 */
#define TRY(insn)					\
	"movl $0xffff, %%r9d\n"				\
	"1:\t" insn "\n"				\
	"2:\n\t"					\
	".pushsection guest_fixup, \"a\"\n\t"		\
	".quad 1b, 2b\n\t"				\
	".popsection\n"

static inline u32 rdmsr_safe(u32 index, u64 *val)
{
	register u64 vector asm("r9");
	u32 lo, hi;

	asm volatile("xorl %%eax, %%eax\n\txorl %%edx, %%edx\n\t" TRY("rdmsr")
		     : "=&r"(vector), "=&a"(lo), "=&d"(hi) : "c"(index) : "memory");
	*val = (u64)hi << 32 | lo;
	return vector;
}

static inline u32 wrmsr_safe(u32 index, u64 val)
{
	register u64 vector asm("r9");

	asm volatile(TRY("wrmsr") : "=&r"(vector)
		     : "c"(index), "a"((u32)val), "d"((u32)(val >> 32)) : "memory");
	return vector;
}

/* Faults end the test. */
static inline u64 rdmsr(u32 index)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(index) : "memory");
	return (u64)hi << 32 | lo;
}

static inline void wrmsr(u32 index, u64 val)
{
	asm volatile("wrmsr" : : "c"(index), "a"((u32)val), "d"((u32)(val >> 32)) : "memory");
}

static inline u32 read_safe(const volatile void *p, u64 *val)
{
	register u64 vector asm("r9");

	asm volatile(TRY("movq (%2), %1") : "=&r"(vector), "=&r"(*val) : "r"(p), "1"(0ULL)
		     : "memory");
	return vector;
}

static inline u32 write_safe(volatile void *p, u64 val)
{
	register u64 vector asm("r9");

	asm volatile(TRY("movq %2, (%1)") : "=&r"(vector) : "r"(p), "r"(val) : "memory");
	return vector;
}

/* Calls @fn with @arg; the vector of what ended it early, or NO_FAULT. */
u32 call_safe(void (*fn)(u64), u64 arg);

/* ---- instructions -------------------------------------------------------------- */

#define MAKE_IN(sfx, type)						\
static inline type in##sfx(u16 port)					\
{									\
	type val;							\
									\
	asm volatile("in" #sfx " %1, %0" : "=a"(val) : "Nd"(port) : "memory"); \
	return val;							\
}									\
static inline void out##sfx(u16 port, type val)				\
{									\
	asm volatile("out" #sfx " %0, %1" : : "a"(val), "Nd"(port) : "memory"); \
}

MAKE_IN(b, u8)
MAKE_IN(w, u16)
MAKE_IN(l, u32)

#define MAKE_CR(n)							\
static inline u64 read_cr##n(void)					\
{									\
	u64 val;							\
									\
	asm volatile("movq %%cr" #n ", %0" : "=r"(val) : : "memory");	\
	return val;							\
}									\
static inline void write_cr##n(u64 val)					\
{									\
	asm volatile("movq %0, %%cr" #n : : "r"(val) : "memory");	\
}									\
static inline u32 write_cr##n##_safe(u64 val)				\
{									\
	register u64 vector asm("r9");					\
									\
	asm volatile(TRY("movq %1, %%cr" #n) : "=&r"(vector) : "r"(val) : "memory"); \
	return vector;							\
}

MAKE_CR(0)
MAKE_CR(2)
MAKE_CR(3)
MAKE_CR(4)
MAKE_CR(8)

#define MAKE_DR(n)							\
static inline u64 read_dr##n(void)					\
{									\
	u64 val;							\
									\
	asm volatile("movq %%dr" #n ", %0" : "=r"(val));		\
	return val;							\
}									\
static inline void write_dr##n(u64 val)					\
{									\
	asm volatile("movq %0, %%dr" #n : : "r"(val) : "memory");	\
}

MAKE_DR(0)
MAKE_DR(1)
MAKE_DR(2)
MAKE_DR(3)
MAKE_DR(6)
MAKE_DR(7)

static inline void cpuid(u32 leaf, u32 index, u32 r[4])
{
	asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
		     : "0"(leaf), "2"(index));
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("lfence\n\trdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (u64)hi << 32 | lo;
}

static inline void barrier(void) { asm volatile("" : : : "memory"); }
static inline void sti(void) { asm volatile("sti" : : : "memory"); }
static inline void cli(void) { asm volatile("cli" : : : "memory"); }
static inline void hlt(void) { asm volatile("hlt" : : : "memory"); }
static inline void nop(void) { asm volatile("nop" : : : "memory"); }
static inline void cpu_relax(void) { asm volatile("pause" : : : "memory"); }
/* Interrupts on and wait for one, without a gap; off again after it. */
static inline void sti_hlt_cli(void) { asm volatile("sti\n\thlt\n\tcli" : : : "memory"); }
/* Let what is pending in. */
static inline void sti_nop_cli(void) { asm volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory"); }

static inline void flush_tlb(void)
{
	write_cr3(read_cr3());
}

void *memset(void *p, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);

/* ---- the LAPIC ------------------------------------------------------------------- */

#define APIC_BASE_MSR	0x1b
#define APIC_BASE_BSP	0x100
#define APIC_BASE_X2	0x400
#define APIC_BASE_EN	0x800
#define APIC_PAGE	0xfee00000ULL

#define APIC_ID		0x20
#define APIC_VERSION	0x30
#define APIC_TPR	0x80
#define APIC_PPR	0xa0
#define APIC_EOI	0xb0
#define APIC_LDR	0xd0
#define APIC_DFR	0xe0
#define APIC_SPIV	0xf0
#define APIC_ISR	0x100
#define APIC_TMR	0x180
#define APIC_IRR	0x200
#define APIC_ESR	0x280
#define APIC_ICR	0x300
#define APIC_ICR2	0x310
#define APIC_LVTT	0x320
#define APIC_LVT0	0x350
#define APIC_LVT1	0x360
#define APIC_LVTERR	0x370
#define APIC_TMICT	0x380
#define APIC_TMCCT	0x390
#define APIC_TDCR	0x3e0
#define APIC_SELF_IPI	0x3f0	/* x2APIC */

#define APIC_MASKED	(1U << 16)
#define APIC_PERIODIC	(1U << 17)
#define APIC_DEADLINE	(2U << 17)
#define TSC_DEADLINE_MSR 0x6e0

/* Software-enable it, in the mode asked for; every LVT masked. */
void apic_enable(bool x2);
extern bool apic_x2;
u32 apic_read(u32 reg);
void apic_write(u32 reg, u32 val);
/* @icr: the low half; @dest: an APIC ID. */
void apic_ipi(u32 dest, u32 icr);
static inline void apic_eoi(void) { apic_write(APIC_EOI, 0); }
/* Is @vector's bit set in one of the three 256-bit registers? */
bool apic_bit(u32 reg, u8 vector);

/* An IOAPIC register at 0xfec00000. */
u32 ioapic_read(u8 reg);
void ioapic_write(u8 reg, u32 val);
void ioapic_route(u8 pin, u64 entry);

/* The PIC pair at vectors @base to @base + 15, all masked. */
void pic_init(u8 base);

/* Spin until @cond or for @ms of TSC time at @khz; true if it came. */
#define SPIN_UNTIL(cond, khz, ms) ({				\
	u64 spin_end = rdtsc() + (u64)(khz) * (ms);		\
	bool spin_ok;						\
								\
	while (!(spin_ok = !!(cond)) && rdtsc() < spin_end)	\
		cpu_relax();					\
	spin_ok;						\
})

#endif /* KEEL_SELFTESTS_GUEST_H */
