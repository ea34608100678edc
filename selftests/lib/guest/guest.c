// SPDX-License-Identifier: GPL-2.0
/*
 * The guest side's runtime: descriptor tables, traps, the interrupt
 * controllers' registers. It knows no test.
 */
#include "lib/guest/guest.h"

struct gate {
	u16 low, selector;
	u8 ist, type;
	u16 mid;
	u32 high, reserved;
};

struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u8 rest[12];
} __packed;

#define IST_SIZE	4096

extern u8 guest_stubs[], guest_recover[];
extern u64 guest_gdt[], guest_recover_rsp;
extern const u64 guest_fixup_start[][2], guest_fixup_end[][2];
void guest_cpu_init(u32 cpu);
void guest_trap(struct guest_frame *frame);

struct gate guest_idt[256] __aligned(16);
static struct tss tss[GUEST_MAX_CPUS];
/* Stacks of #DF and NMI, and of what comes from user mode. */
static u8 stacks[GUEST_MAX_CPUS][3][IST_SIZE] __aligned(16);
static guest_handler_t handlers[256];
volatile u64 guest_irqs[256];
struct guest_fault guest_fault;
bool apic_x2;

void guest_assert_failed(const char *file, int line, const char *text, u64 a, u64 b)
{
	u64 values[2] = { a, b };

	barrier();
	guest_call(GUEST_CALL_FAIL, (u64)file, line, (u64)text, (u64)values);
	for (;;)
		hlt();
}

void *memset(void *p, int c, size_t n)
{
	void *ret = p;

	asm volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(c) : "memory");
	return ret;
}

void *memcpy(void *to, const void *from, size_t n)
{
	void *ret = to;

	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	return ret;
}

/* ---- traps ------------------------------------------------------------------ */

static void set_gate(u8 vector, u8 ist)
{
	u64 stub = (u64)guest_stubs + vector * 16;
	struct gate *g = &guest_idt[vector];

	g->low = stub;
	g->mid = stub >> 16;
	g->high = stub >> 32;
	g->selector = GUEST_CS64;
	g->ist = ist;
	g->type = 0x8e;
}

/* Called on each CPU before its function. */
void guest_cpu_init(u32 cpu)
{
	struct { u16 limit; u64 base; } __packed idtr = {
		sizeof(guest_idt) - 1, (u64)guest_idt,
	};
	u64 *desc = &guest_gdt[GUEST_TSS(cpu) / 8];
	u64 base = (u64)&tss[cpu];
	int i;

	for (i = 0; i < 256; i++)
		set_gate(i, i == DF_VECTOR ? 1 : i == NMI_VECTOR ? 2 : 0);
	/*
	 * Their pages are there before an event is delivered on them: QEMU takes a
	 * nested page fault in the middle of a double fault for a new delivery.
	 */
	for (i = 0; i < 3; i++) {	/* each may lie in two pages */
		*(volatile u8 *)(stacks[cpu][i] + IST_SIZE - 1) = 0;
		*(volatile u8 *)stacks[cpu][i] = 0;
	}
	tss[cpu].ist[0] = (u64)stacks[cpu][0] + IST_SIZE;
	tss[cpu].ist[1] = (u64)stacks[cpu][1] + IST_SIZE;
	tss[cpu].rsp[0] = (u64)stacks[cpu][2] + IST_SIZE;
	desc[0] = (sizeof(struct tss) - 1) | (base & 0xffffff) << 16 | 0x89ULL << 40 |
		  (base & 0xff000000) << 32;
	desc[1] = base >> 32;
	asm volatile("lidt %0" : : "m"(idtr));
	asm volatile("ltr %w0" : : "r"(GUEST_TSS(cpu)) : "memory");
}

void guest_set_handler(u8 vector, guest_handler_t handler)
{
	handlers[vector] = handler;
}

void guest_count_irq(struct guest_frame *frame)
{
	guest_irqs[frame->vector]++;
	apic_eoi();
}

static bool fixed_up(struct guest_frame *frame)
{
	const u64 (*f)[2];

	guest_fault.vector = frame->vector;
	guest_fault.error = frame->error;
	guest_fault.rip = frame->rip;
	guest_fault.cr2 = read_cr2();
	for (f = guest_fixup_start; f < guest_fixup_end; f++) {
		if ((*f)[0] != frame->rip)
			continue;
		frame->rip = (*f)[1];
		frame->r9 = frame->vector;
		return true;
	}
	if (!guest_recover_rsp)
		return false;
	frame->rip = (u64)guest_recover;
	frame->rax = frame->vector;
	return true;
}

void guest_trap(struct guest_frame *frame)
{
	if (handlers[frame->vector]) {
		handlers[frame->vector](frame);
		return;
	}
	if (frame->vector < 32 && frame->vector != NMI_VECTOR && fixed_up(frame))
		return;
	guest_call(GUEST_CALL_FAULT, (u64)frame, read_cr2(), 0, 0);
	for (;;)
		hlt();
}

/* ---- interrupt controllers ----------------------------------------------------- */

u32 apic_read(u32 reg)
{
	if (apic_x2)
		return rdmsr(0x800 + (reg >> 4));
	return *(volatile u32 *)(APIC_PAGE + reg);
}

void apic_write(u32 reg, u32 val)
{
	if (apic_x2)
		wrmsr(0x800 + (reg >> 4), val);
	else
		*(volatile u32 *)(APIC_PAGE + reg) = val;
}

void apic_ipi(u32 dest, u32 icr)
{
	if (apic_x2) {
		wrmsr(0x800 + (APIC_ICR >> 4), (u64)dest << 32 | icr);
		return;
	}
	apic_write(APIC_ICR2, dest << 24);
	apic_write(APIC_ICR, icr);
}

bool apic_bit(u32 reg, u8 vector)
{
	return apic_read(reg + vector / 32 * 16) >> (vector % 32) & 1;
}

void apic_enable(bool x2)
{
	u64 base = rdmsr(APIC_BASE_MSR) | APIC_BASE_EN;

	wrmsr(APIC_BASE_MSR, base);
	if (x2)
		wrmsr(APIC_BASE_MSR, base | APIC_BASE_X2);
	apic_x2 = x2;
	apic_write(APIC_SPIV, 0x1ff);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_LVTT, APIC_MASKED);
	apic_write(APIC_LVT0, APIC_MASKED);
	apic_write(APIC_LVT1, APIC_MASKED);
	apic_write(APIC_LVTERR, APIC_MASKED);
}

#define IOAPIC_PAGE	0xfec00000ULL

u32 ioapic_read(u8 reg)
{
	*(volatile u32 *)IOAPIC_PAGE = reg;
	return *(volatile u32 *)(IOAPIC_PAGE + 0x10);
}

void ioapic_write(u8 reg, u32 val)
{
	*(volatile u32 *)IOAPIC_PAGE = reg;
	*(volatile u32 *)(IOAPIC_PAGE + 0x10) = val;
}

void ioapic_route(u8 pin, u64 entry)
{
	ioapic_write(0x10 + pin * 2, APIC_MASKED);
	ioapic_write(0x11 + pin * 2, entry >> 32);
	ioapic_write(0x10 + pin * 2, entry);
}

void pic_init(u8 base)
{
	outb(0x20, 0x11);
	outb(0x21, base);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0xa0, 0x11);
	outb(0xa1, base + 8);
	outb(0xa1, 2);
	outb(0xa1, 1);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}
