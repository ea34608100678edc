// SPDX-License-Identifier: GPL-2.0
/*
 * The guest side of delivery.c: events that arrive while the way to their handler
 * is not mapped, behind STI and MOV SS, and at an IRET.
 */
#include "lib/guest/guest.h"

struct seen {
	u64 count, vector, error, rip, rsp, dr6, nested;
} seen;

static volatile u64 depth;

static void note(struct guest_frame *f)
{
	seen.nested += depth++ != 0;
	seen.count++;
	seen.vector = f->vector;
	seen.error = f->error;
	seen.rip = f->rip;
	seen.rsp = f->rsp;
	depth--;
}

static void watch(u8 vector)
{
	memset(&seen, 0, sizeof(seen));
	depth = 0;
	guest_set_handler(vector, note);
}

/* Behind the instruction of two bytes that raised it */
static void skip_two(struct guest_frame *f)
{
	note(f);
	f->rip += 2;
}

/* ---- delivery that is cut short ---------------------------------------------------- */

/*
 * The host takes all of memory away at stage 1, and sends its interrupt or NMI
 * there.  What brings it back is the instruction at 1, and the delivery itself.
 */
#define CUT(insn, at)								\
	asm volatile("outl %%eax, %%dx\n"					\
		     "1:\t" insn "\n\t"						\
		     "leaq 1b(%%rip), %0"					\
		     : "=r"(at)							\
		     : "a"(GUEST_CALL_SYNC), "d"(GUEST_PORT), "D"(1), "S"(0), "b"(0),	\
		       "c"(0x7ff8) : "memory")

enum { CUT_INT, CUT_INT3, CUT_UD, CUT_GP, CUT_IRQ, CUT_NMI };

void cut(u64 what)
{
	u64 at;

	switch (what) {
	case CUT_INT:
		watch(0x80);
		CUT("int $0x80", at);
		GUEST_ASSERT_EQ(seen.rip, at + 2);
		break;
	case CUT_INT3:
		watch(BP_VECTOR);
		CUT("int3", at);
		GUEST_ASSERT_EQ(seen.rip, at + 1);
		break;
	case CUT_UD:
		watch(UD_VECTOR);
		guest_set_handler(UD_VECTOR, skip_two);
		CUT("ud2", at);
		GUEST_ASSERT_EQ(seen.rip, at);
		break;
	case CUT_GP:
		watch(GP_VECTOR);
		guest_set_handler(GP_VECTOR, skip_two);
		CUT("movl %%ecx, %%fs", at);
		GUEST_ASSERT_EQ(seen.rip, at);
		GUEST_ASSERT_EQ(seen.error, 0x7ff8);
		break;
	case CUT_IRQ:
		watch(0x41);
		CUT("sti\n\tnop\n\tnop\n\tcli", at);
		GUEST_ASSERT_EQ(seen.rip, at + 2);
		break;
	case CUT_NMI:
		watch(NMI_VECTOR);
		CUT("nop", at);
		GUEST_ASSERT_EQ(seen.rip, at);
		break;
	}
	GUEST_ASSERT_EQ(seen.count, 1);
}

/* The frame belongs where no memory is. */
void into_the_hole(u64 irq)
{
	watch(0x80);
	watch(0x41);
	GUEST_SYNC(1);
	if (irq)
		asm volatile("movq %0, %%rsp\n\tsti\n\tnop\n\tnop"
			     : : "r"(GUEST_HOLE + 0x1000ULL));
	asm volatile("movq %0, %%rsp\n\tint $0x80" : : "r"(GUEST_HOLE + 0x1000ULL));
}

/* ---- NMIs ----------------------------------------------------------------------------- */

/*
 * At stage 2 the host takes memory away and sends another.  From there nothing but
 * the stack is touched, so it is the IRET that finds no GDT.
 */
static void long_nmi(struct guest_frame *f)
{
	note(f);
	/* In the handler of the first, on its stack: that one's frame is gone. */
	GUEST_ASSERT(f->rsp > GUEST_SCRATCH);
	if (seen.count == 1)
		GUEST_SYNC(2);
}

void nmi_at_iret(void)
{
	u64 at;

	watch(NMI_VECTOR);
	guest_set_handler(NMI_VECTOR, long_nmi);
	CUT("nop\n\tnop", at);
	GUEST_ASSERT_EQ(seen.count, 2);
	GUEST_ASSERT_EQ(seen.nested, 0);
	/* Not at the IRET of the first, which has its own stack. */
	GUEST_ASSERT_EQ(seen.rip, at);
}

/* The host puts a shadow over the first instruction, and an NMI behind it. */
void nmi_behind_shadow(void)
{
	u64 at;

	watch(NMI_VECTOR);
	CUT("nop\n\tnop", at);
	GUEST_ASSERT_EQ(seen.count, 1);
	GUEST_ASSERT_EQ(seen.rip, at + 1);
}

/* ---- shadows --------------------------------------------------------------------------- */

/* An interrupt waits; the instruction behind STI leaves the guest. */
void shadow_over_exit(void)
{
	u64 at;
	u32 eax = 0;

	watch(0x41);
	GUEST_SYNC(1);
	asm volatile("sti\n\t"
		     "cpuid\n"
		     "1:\tnop\n\tcli\n\t"
		     "leaq 1b(%%rip), %%rdi"
		     : "=D"(at), "+a"(eax) : : "rbx", "rcx", "rdx", "memory");
	GUEST_ASSERT_EQ(seen.count, 1);
	GUEST_ASSERT_EQ(seen.rip, at);
}

/* The same with a page that is not there yet. */
void shadow_over_fault(void)
{
	u64 at;

	watch(0x41);
	GUEST_SYNC(1);
	asm volatile("sti\n\t"
		     "movq (%1), %%rax\n"
		     "1:\tnop\n\tcli\n\t"
		     "leaq 1b(%%rip), %%rdi"
		     : "=D"(at) : "r"((u64)GUEST_SCRATCH) : "rax", "memory");
	GUEST_ASSERT_EQ(seen.count, 1);
	GUEST_ASSERT_EQ(seen.rip, at);
}

/* ---- single steps in a shadow ------------------------------------------------------------ */

static void end_step(struct guest_frame *f)
{
	note(f);
	seen.dr6 = read_dr6();
	write_dr6(0xffff0ff0);
	f->rflags &= ~0x100ULL;
}

#define STEP_BEHIND_MOV_SS(insn, at)					\
	asm volatile("movl %%ss, %%esi\n\t"				\
		     "pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t"	\
		     "movl %%esi, %%ss\n"				\
		     "1:\t" insn "\n2:\tnop\n\tnop\n\t"			\
		     "leaq 2b(%%rip), %%rdi"				\
		     : "=&D"(at), "+a"(eax) : "r"((u64)GUEST_SCRATCH)	\
		     : "rbx", "rcx", "rdx", "rsi", "cc", "memory")

enum { STEP_NOP, STEP_CPUID, STEP_FAULT, STEP_ICEBP };

void step_behind_mov_ss(u64 what)
{
	u64 at = 0;
	u32 eax = 0;

	watch(DB_VECTOR);
	guest_set_handler(DB_VECTOR, end_step);
	write_dr6(0xffff0ff0);
	GUEST_SYNC(1);
	if (what == STEP_NOP)
		STEP_BEHIND_MOV_SS("nop", at);
	else if (what == STEP_CPUID)
		STEP_BEHIND_MOV_SS("cpuid", at);
	else if (what == STEP_FAULT)
		STEP_BEHIND_MOV_SS("movq (%2), %%rcx", at);
	else
		STEP_BEHIND_MOV_SS(".byte 0xf1", at);
	GUEST_ASSERT_EQ(seen.vector, DB_VECTOR);
	GUEST_ASSERT_EQ(seen.rip, at);
	if (what == STEP_ICEBP)
		return;		/* one trap or two, as the CPU likes */
	GUEST_ASSERT_EQ(seen.count, 1);
	GUEST_ASSERT_EQ(seen.dr6 & 0x4000, 0x4000);
}

/* ---- the debug registers' own fault --------------------------------------------------------- */

static void on_detect(struct guest_frame *f)
{
	note(f);
	seen.dr6 = read_dr6();
	write_dr6(0xffff0ff0);
	f->rip += 3;		/* movq %dr0, %rax */
}

void general_detect(void)
{
	u64 at;

	watch(DB_VECTOR);
	guest_set_handler(DB_VECTOR, on_detect);
	write_dr6(0xffff0ff0);
	write_dr7(0x2400);
	asm volatile("1:\tmovq %%dr0, %%rax\n\t"
		     "leaq 1b(%%rip), %0" : "=r"(at) : : "rax", "memory");
	GUEST_ASSERT_EQ(seen.count, 1);
	GUEST_ASSERT_EQ(seen.rip, at);
	GUEST_ASSERT_EQ(seen.dr6 & 0x2000, 0x2000);
	GUEST_ASSERT_EQ(read_dr7(), 0x400);
}

/* ---- PAE paging that MOV to a control register switches on ---------------------------- */

/*
 * 32-bit code with paging off.  The host made the tables; what they map at 4 MiB
 * shows which top entry the CPU took.  NE, and CD and NW, make the write leave a
 * guest of VMX.
 */
asm(".pushsection .text, \"ax\"\n"
	".code32\n"
	".globl pae_by_cr0\n"
	"pae_by_cr0:\n\t"
	"movl $0x20, %eax\n\t"
	"movl %eax, %cr4\n\t"
	"movl $0x8000, %eax\n\t"
	"movl %eax, %cr3\n\t"
	"movl $0x80000031, %eax\n\t"
	"movl %eax, %cr0\n\t"
	"movl 0x400000, %eax\n\t"
	"outl %eax, $0x80\n\t"
	/* Another entry, that a change of the caching bits makes it read again */
	"movl 0x8100, %eax\n\t"
	"movl %eax, 0x8000\n\t"
	"movl $0xe0000031, %eax\n\t"
	"movl %eax, %cr0\n\t"
	"invlpg 0x400000\n\t"
	"movl 0x400000, %eax\n\t"
	"outl %eax, $0x80\n\t"
	"hlt\n"
	".code64\n"
	".popsection");
