// SPDX-License-Identifier: GPL-2.0
/*
 * The guest side of exceptions.c: what it takes, what it causes.
 */
#include "lib/guest/guest.h"

struct seen {
	u64 count, vector, error, rip, rflags, cr2, dr6;
} seen;

static void note(struct guest_frame *f)
{
	seen.count++;
	seen.vector = f->vector;
	seen.error = f->error;
	seen.rip = f->rip;
	seen.rflags = f->rflags;
	seen.cr2 = read_cr2();
	seen.dr6 = read_dr6();
}

static void watch(u8 vector)
{
	seen.count = 0;
	guest_set_handler(vector, note);
}

/* The host injects @vector at the first stage; the handler returns behind it. */
void take(u64 vector)
{
	watch(vector);
	GUEST_SYNC(1);
	GUEST_ASSERT_EQ(seen.count, 1);
	guest_set_handler(vector, 0);
}

static void skip_ud2(struct guest_frame *f)
{
	note(f);
	f->rip += 2;
}

static void skip_int1(struct guest_frame *f)
{
	note(f);
	f->rflags &= ~0x100ULL;
}

void software(void)
{
	register u64 vector asm("r9");
	u64 after;
	u8 zero = 0;

	guest_set_handler(UD_VECTOR, skip_ud2);
	asm volatile("ud2");
	GUEST_ASSERT_EQ(seen.count, 1);

	watch(BP_VECTOR);
	asm volatile("int3\n\tleaq (%%rip), %0" : "=r"(after));
	GUEST_ASSERT_EQ(seen.count, 1);
	GUEST_ASSERT_EQ(seen.rip, after - 7);

	/* Software interrupts of any vector, also one with an error code. */
	watch(0x80);
	asm volatile("int $0x80\n\tleaq (%%rip), %0" : "=r"(after));
	GUEST_ASSERT_EQ(seen.count, 1);
	GUEST_ASSERT_EQ(seen.rip, after - 7);

	asm volatile(TRY("divb %1") : "=&r"(vector) : "r"(zero), "a"(1) : "cc");
	GUEST_ASSERT_EQ(vector, DE_VECTOR);
	GUEST_ASSERT_EQ(write_safe((void *)0x8000000000000000, 0), GP_VECTOR);
	GUEST_ASSERT_EQ(guest_fault.error, 0);

	/* A segment that is not there. */
	asm volatile(TRY("movw %w1, %%fs") : "=&r"(vector) : "r"(0x7ff8));
	GUEST_ASSERT_EQ(vector, GP_VECTOR);
	GUEST_ASSERT_EQ(guest_fault.error, 0x7ff8);
}

void single_step(void)
{
	u64 first;

	guest_set_handler(DB_VECTOR, skip_int1);
	seen.count = 0;
	write_dr6(0xffff0ff0);
	asm volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n"
		     "1:\tnop\n\tnop\n\tleaq 1b(%%rip), %0" : "=r"(first) : : "cc", "memory");
	GUEST_ASSERT_EQ(seen.count, 1);
	GUEST_ASSERT_EQ(seen.vector, DB_VECTOR);
	GUEST_ASSERT_EQ(seen.rip, first + 1);
	GUEST_ASSERT_EQ(seen.dr6 & 0x4000, 0x4000);
}

/* Single-step over instructions that leave the guest: each is one step. */
static u64 steps[16], nr_steps;

static void step(struct guest_frame *f)
{
	steps[nr_steps++ % 16] = f->rip;
	if (nr_steps == 4)
		f->rflags &= ~0x100ULL;
}

void step_over_exits(void)
{
	u64 first, eax = 0;

	guest_set_handler(DB_VECTOR, step);
	nr_steps = 0;
	asm volatile("pushfq\n\torq $0x100, (%%rsp)\n\tmovl $0x10, %%ecx\n\tpopfq\n"
		     "1:\tcpuid\n\tnop\n\trdtsc\n\tnop\n\tnop\n\tleaq 1b(%%rip), %0"
		     : "=&r"(first), "+a"(eax) : : "rbx", "rcx", "rdx", "cc", "memory");
	GUEST_ASSERT_EQ(nr_steps, 4);
	GUEST_ASSERT_EQ(steps[0], first + 2);
	GUEST_ASSERT_EQ(steps[1], first + 3);
	GUEST_ASSERT_EQ(steps[2], first + 5);
	GUEST_ASSERT_EQ(steps[3], first + 6);
}

static u64 *pde(u64 va)
{
	return (u64 *)(GUEST_TABLES + 0x2000) + (va >> 21);
}

void page_faults(void)
{
	volatile u64 *p = (void *)GUEST_SCRATCH;
	u64 *e = pde(GUEST_SCRATCH), old = *e, val;

	*e = 0;
	flush_tlb();
	GUEST_ASSERT_EQ(read_safe(p + 1, &val), PF_VECTOR);
	GUEST_ASSERT_EQ(guest_fault.error, 0);
	GUEST_ASSERT_EQ(guest_fault.cr2, GUEST_SCRATCH + 8);
	GUEST_ASSERT_EQ(write_safe(p + 2, 1), PF_VECTOR);
	GUEST_ASSERT_EQ(guest_fault.error, 2);
	*e = old & ~2ULL;
	flush_tlb();
	GUEST_ASSERT_EQ(read_safe(p, &val), NO_FAULT);
	GUEST_ASSERT_EQ(write_safe(p, 1), PF_VECTOR);
	GUEST_ASSERT_EQ(guest_fault.error, 3);
	/* Without CR0.WP ring 0 may. */
	write_cr0(read_cr0() & ~(1ULL << 16));
	GUEST_ASSERT_EQ(write_safe(p, 1), NO_FAULT);
	write_cr0(read_cr0() | 1ULL << 16);
	GUEST_ASSERT_EQ(write_safe(p, 1), PF_VECTOR);
	*e = old;
	flush_tlb();
}

/* A jump to @p faults there, not at the call: come back by call_safe(). */
void call_there(u64 p)
{
	((void (*)(void))p)();
}

void no_execute(void)
{
	u64 *e = pde(GUEST_SCRATCH), old = *e;

	*(volatile u8 *)GUEST_SCRATCH = 0xc3;
	GUEST_ASSERT_EQ(call_safe(call_there, GUEST_SCRATCH), NO_FAULT);
	*e = old | 1ULL << 63;
	flush_tlb();
	GUEST_ASSERT_EQ(call_safe(call_there, GUEST_SCRATCH), PF_VECTOR);
	GUEST_ASSERT_EQ(guest_fault.error, 0x11);
	GUEST_ASSERT_EQ(guest_fault.cr2, GUEST_SCRATCH);
	*e = old;
	flush_tlb();
}

struct gate {
	u64 low, high;
};

extern struct gate guest_idt[];

/* #GP whose gate is not present is a double fault. */
void double_fault(void)
{
	struct gate old = guest_idt[GP_VECTOR];
	u32 vector;

	guest_idt[GP_VECTOR].low &= ~(1ULL << 47);
	vector = call_safe(call_there, 0x8000000000000000);
	guest_idt[GP_VECTOR] = old;
	GUEST_ASSERT_EQ(vector, DF_VECTOR);
	GUEST_ASSERT_EQ(guest_fault.error, 0);
}

/* And with no gate for that either, the end. */
void no_double_fault(void)
{
	guest_idt[GP_VECTOR].low &= ~(1ULL << 47);
	guest_idt[DF_VECTOR].low &= ~(1ULL << 47);
	call_there(0x8000000000000000);
}

/* No frame fits on this stack: #GP, then #PF, then #DF on a stack of its own. */
void stack_fault(void)
{
	*pde(GUEST_SCRATCH) = 0;
	flush_tlb();
	asm volatile("movq %0, %%rsp\n\tjmp *%1"
		     : : "r"((u64)GUEST_SCRATCH + 0x1000), "r"(0x8000000000000000));
}

/* Control registers: what has to fault, faults; what was there stays. */
void control_registers(u64 checks)
{
	u64 cr0 = read_cr0(), cr4 = read_cr4(), efer = rdmsr(0xc0000080);

	/* With nested paging the CPU alone looks at these. */
	if (checks > 1)
		GUEST_ASSERT_EQ(write_cr0_safe(cr0 & ~1ULL), GP_VECTOR);	/* PG without PE */
	if (checks) {
		GUEST_ASSERT_EQ(write_cr0_safe(cr0 | 1ULL << 29), GP_VECTOR);	/* NW without CD */
		GUEST_ASSERT_EQ(write_cr0_safe(cr0 | 1ULL << 40), GP_VECTOR);
		GUEST_ASSERT_EQ(write_cr8_safe(0x10), GP_VECTOR);
	}
	GUEST_ASSERT_EQ(write_cr4_safe(cr4 & ~(1ULL << 5)), GP_VECTOR);	/* PAE in long mode */
	GUEST_ASSERT_EQ(write_cr4_safe(cr4 | 1ULL << 13), GP_VECTOR);	/* VMXE */
	GUEST_ASSERT_EQ(write_cr4_safe(cr4 | 1ULL << 31), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(0xc0000080, efer & ~0x100ULL), GP_VECTOR);	/* LME */
	GUEST_ASSERT_EQ(wrmsr_safe(0xc0000080, efer | 1ULL << 12), GP_VECTOR);	/* SVME */
	GUEST_ASSERT_EQ(wrmsr_safe(0xc0000080, efer | 1ULL << 9), GP_VECTOR);
	GUEST_ASSERT_EQ(read_cr0(), cr0);
	GUEST_ASSERT_EQ(read_cr4(), cr4);
	GUEST_ASSERT_EQ(rdmsr(0xc0000080), efer);
	/* And what may change does. */
	write_cr0(cr0 | 1ULL << 3);
	GUEST_ASSERT_EQ(read_cr0(), cr0 | 1ULL << 3);
	asm volatile("clts");
	GUEST_ASSERT_EQ(read_cr0(), cr0);
	write_cr4(cr4 | 4);
	GUEST_ASSERT_EQ(read_cr4(), cr4 | 4);
	write_cr4(cr4);
	write_cr8(7);
	GUEST_ASSERT_EQ(read_cr8(), 7);
	write_cr8(0);
	write_cr2(0x12345678);
	GUEST_ASSERT_EQ(read_cr2(), 0x12345678);
}

/* SVM and VMX instructions are not this guest's. */
void virtualization_instructions(void)
{
	register u64 vector asm("r9");

	asm volatile(TRY("vmrun") : "=&r"(vector) : "a"(0x1000) : "memory");
	GUEST_ASSERT_EQ(vector, UD_VECTOR);
	asm volatile(TRY("vmload") : "=&r"(vector) : "a"(0x1000) : "memory");
	GUEST_ASSERT_EQ(vector, UD_VECTOR);
	asm volatile(TRY("vmsave") : "=&r"(vector) : "a"(0x1000) : "memory");
	GUEST_ASSERT_EQ(vector, UD_VECTOR);
	asm volatile(TRY("stgi") : "=&r"(vector) : : "memory");
	GUEST_ASSERT_EQ(vector, UD_VECTOR);
	asm volatile(TRY("clgi") : "=&r"(vector) : : "memory");
	GUEST_ASSERT_EQ(vector, UD_VECTOR);
	asm volatile(TRY("vmxoff") : "=&r"(vector) : : "memory");
	GUEST_ASSERT_EQ(vector, UD_VECTOR);
}

u64 forever(void)
{
	for (;;)
		nop();
}
