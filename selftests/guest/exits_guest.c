// SPDX-License-Identifier: GPL-2.0
/*
 * The guest side of exits.c: accesses that leave the guest, in every size and
 * form. The host side plays a device of 4 KiB of bytes at GUEST_HOLE.
 */
#include "lib/guest/guest.h"

static volatile u8 *const dev = (volatile u8 *)GUEST_HOLE;

/* ---- ports ------------------------------------------------------------------ */

void pio_sizes(u64 port)
{
	u64 wide = 0x1122334455667788;
	u32 val;

	outb(port, 0xa1);
	outw(port + 2, 0xb1b2);
	outl(port + 4, 0xc1c2c3c4);
	GUEST_ASSERT_EQ(inb(port), 0x5a);
	GUEST_ASSERT_EQ(inw(port + 2), 0x5a5b);
	GUEST_ASSERT_EQ(inl(port + 4), 0x5a5b5c5d);

	/* Only as much of RAX changes as the instruction says. */
	asm volatile("inb %%dx, %%al" : "+a"(wide) : "d"((u16)port));
	GUEST_ASSERT_EQ(wide, 0x112233445566775a);
	asm volatile("inw %%dx, %%ax" : "+a"(wide) : "d"((u16)(port + 2)));
	GUEST_ASSERT_EQ(wide, 0x1122334455665a5b);
	asm volatile("inl %%dx, %%eax" : "+a"(wide) : "d"((u16)(port + 4)));
	GUEST_ASSERT_EQ(wide, 0x5a5b5c5d);

	/* The immediate form. */
	outb(0xe8, 0x77);
	asm volatile("inb $0xe8, %%al" : "=a"(val) : "0"(0));
	GUEST_ASSERT_EQ(val & 0xff, 0x77);
}

void pio_strings(u64 port)
{
	static const u8 out[5] = { 1, 2, 3, 4, 5 };
	static const u32 words[3] = { 0x11111111, 0x22222222, 0x33333333 };
	u32 in[4] = {};
	const void *src = out;
	void *dst = in;
	u64 n = 5;

	asm volatile("rep outsb" : "+S"(src), "+c"(n) : "d"((u16)port) : "memory");
	GUEST_ASSERT_EQ(n, 0);
	GUEST_ASSERT_EQ((u64)src, (u64)out + 5);
	src = words;
	n = 3;
	asm volatile("rep outsl" : "+S"(src), "+c"(n) : "d"((u16)port) : "memory");
	GUEST_ASSERT_EQ((u64)src, (u64)words + 12);
	n = 3;
	asm volatile("rep insl" : "+D"(dst), "+c"(n) : "d"((u16)port) : "memory");
	GUEST_ASSERT_EQ((u64)dst, (u64)in + 12);
	GUEST_ASSERT_EQ(in[0], 0x100);
	GUEST_ASSERT_EQ(in[1], 0x101);
	GUEST_ASSERT_EQ(in[2], 0x102);
	GUEST_ASSERT_EQ(in[3], 0);
	/* None at all. */
	n = 0;
	asm volatile("rep outsb" : "+S"(src), "+c"(n) : "d"((u16)port) : "memory");
}

/* ---- memory-mapped I/O ---------------------------------------------------------- */

void mmio_sizes(void)
{
	*(volatile u8 *)(dev + 0x10) = 0xa1;
	*(volatile u16 *)(dev + 0x12) = 0xb1b2;
	*(volatile u32 *)(dev + 0x14) = 0xc1c2c3c4;
	*(volatile u64 *)(dev + 0x18) = 0xd1d2d3d4d5d6d7d8;
	GUEST_ASSERT_EQ(*(volatile u8 *)(dev + 0x10), 0xa1);
	GUEST_ASSERT_EQ(*(volatile u16 *)(dev + 0x12), 0xb1b2);
	GUEST_ASSERT_EQ(*(volatile u32 *)(dev + 0x14), 0xc1c2c3c4);
	GUEST_ASSERT_EQ(*(volatile u64 *)(dev + 0x18), 0xd1d2d3d4d5d6d7d8);
}

void mmio_moves(void)
{
	u64 r;

	*(volatile u64 *)(dev + 0x20) = 0x8182838485868788;
	asm volatile("movzbl %1, %k0" : "=r"(r) : "m"(dev[0x20]));
	GUEST_ASSERT_EQ(r, 0x88);
	asm volatile("movzwq %1, %0" : "=r"(r) : "m"(dev[0x20]));
	GUEST_ASSERT_EQ(r, 0x8788);
	asm volatile("movsbq %1, %0" : "=r"(r) : "m"(dev[0x20]));
	GUEST_ASSERT_EQ(r, 0xffffffffffffff88);
	asm volatile("movswl %1, %k0" : "=r"(r) : "m"(dev[0x20]));
	GUEST_ASSERT_EQ(r, 0xffff8788);
	asm volatile("movslq %1, %0" : "=r"(r) : "m"(dev[0x20]));
	GUEST_ASSERT_EQ(r, 0xffffffff85868788);
	/* High byte register, immediate, absolute and scaled addresses. */
	asm volatile("movl $0x1234, %%ebx\n\tmovb %%bh, %0" : "=m"(dev[0x28]) : : "rbx");
	GUEST_ASSERT_EQ(dev[0x28], 0x12);
	asm volatile("movq $-2, %0" : "=m"(*(volatile u64 *)(dev + 0x30)));
	GUEST_ASSERT_EQ(*(volatile u64 *)(dev + 0x30), -2ULL);
	asm volatile("movl %%eax, (%1, %2, 8)" : : "a"(0x99), "r"(dev), "r"(8ULL) : "memory");
	GUEST_ASSERT_EQ(*(volatile u32 *)(dev + 0x40), 0x99);
}

void mmio_alu(void)
{
	volatile u32 *reg = (volatile u32 *)(dev + 0x50);
	u32 old;
	u8 flag;

	*reg = 0x0f;
	asm volatile("orl $0xf0, %0" : "+m"(*reg));
	GUEST_ASSERT_EQ(*reg, 0xff);
	asm volatile("andl %1, %0" : "+m"(*reg) : "r"(0x3c));
	GUEST_ASSERT_EQ(*reg, 0x3c);
	asm volatile("lock addl $4, %0" : "+m"(*reg));
	GUEST_ASSERT_EQ(*reg, 0x40);
	asm volatile("subl $0x41, %0\n\tsetc %1" : "+m"(*reg), "=q"(flag));
	GUEST_ASSERT_EQ(*reg, 0xffffffff);
	GUEST_ASSERT_EQ(flag, 1);
	asm volatile("testl $0x80000000, %1\n\tsetnz %0" : "=q"(flag) : "m"(*reg));
	GUEST_ASSERT_EQ(flag, 1);
	asm volatile("cmpl $-1, %1\n\tsete %0" : "=q"(flag) : "m"(*reg));
	GUEST_ASSERT_EQ(flag, 1);
	asm volatile("btrl $0, %0" : "+m"(*reg));
	GUEST_ASSERT_EQ(*reg, 0xfffffffe);
	old = 7;
	asm volatile("xchgl %0, %1" : "+r"(old), "+m"(*reg));
	GUEST_ASSERT_EQ(old, 0xfffffffe);
	GUEST_ASSERT_EQ(*reg, 7);
	old = 3;
	asm volatile("lock xaddl %0, %1" : "+r"(old), "+m"(*reg));
	GUEST_ASSERT_EQ(old, 7);
	GUEST_ASSERT_EQ(*reg, 10);
	asm volatile("incl %0" : "+m"(*reg));
	asm volatile("negl %0" : "+m"(*reg));
	GUEST_ASSERT_EQ(*reg, (u32)-11);
	asm volatile("lock cmpxchgl %2, %1\n\tsete %0"
		     : "=q"(flag), "+m"(*reg) : "r"(5), "a"(-11));
	GUEST_ASSERT_EQ(flag, 1);
	GUEST_ASSERT_EQ(*reg, 5);
	asm volatile("pushq %1\n\tpopq %q0" : "=r"(old) : "m"(*(volatile u64 *)reg));
	GUEST_ASSERT_EQ(old, 5);
}

void mmio_strings(void)
{
	static u8 buf[64];
	const void *src;
	void *dst;
	u64 n;
	u32 i;

	for (i = 0; i < sizeof(buf); i++)
		buf[i] = i + 1;
	src = buf;
	dst = (void *)(dev + 0x100);
	n = 7;
	asm volatile("rep movsb" : "+S"(src), "+D"(dst), "+c"(n) : : "memory");
	GUEST_ASSERT_EQ(n, 0);
	GUEST_ASSERT_EQ((u64)dst, (u64)dev + 0x107);
	n = 4;
	asm volatile("rep movsq" : "+S"(src), "+D"(dst), "+c"(n) : : "memory");
	memset(buf, 0, sizeof(buf));
	src = (void *)(dev + 0x100);
	dst = buf;
	n = 39;
	asm volatile("rep movsb" : "+S"(src), "+D"(dst), "+c"(n) : : "memory");
	for (i = 0; i < 39; i++)
		GUEST_ASSERT_EQ(buf[i], i + 1);
	GUEST_ASSERT_EQ(buf[39], 0);

	/* Within the device, backwards; stos and lods. */
	src = (void *)(dev + 0x110);
	dst = (void *)(dev + 0x211);
	n = 3;
	asm volatile("std\n\trep movsb\n\tcld" : "+S"(src), "+D"(dst), "+c"(n) : : "memory");
	GUEST_ASSERT_EQ(dev[0x211], 0x11);
	GUEST_ASSERT_EQ(dev[0x20f], 0x0f);
	dst = (void *)(dev + 0x300);
	n = 5;
	asm volatile("rep stosw" : "+D"(dst), "+c"(n) : "a"(0x7654) : "memory");
	GUEST_ASSERT_EQ(*(volatile u16 *)(dev + 0x308), 0x7654);
	GUEST_ASSERT_EQ(*(volatile u16 *)(dev + 0x30a), 0);
	src = (void *)(dev + 0x300);
	asm volatile("lodsl" : "=a"(i), "+S"(src) : : "memory");
	GUEST_ASSERT_EQ(i, 0x76547654);
}

/* Two pages, both of the device. */
void mmio_straddle(void)
{
	volatile u64 *p = (volatile u64 *)(dev + 0xffc);

	*p = 0x0102030405060708;
	GUEST_ASSERT_EQ(*p, 0x0102030405060708);
	GUEST_ASSERT_EQ(*(volatile u32 *)(dev + 0x1000), 0x01020304);
}

/* RAM below, device above: GUEST_RAM_SIZE is the first byte that is not RAM. */
void mmio_edge(void)
{
	volatile u64 *p = (volatile u64 *)(GUEST_RAM_SIZE - 4);

	*p = 0xa1a2a3a4b1b2b3b4;
	GUEST_ASSERT_EQ(*(volatile u32 *)(GUEST_RAM_SIZE - 4), 0xb1b2b3b4);
	GUEST_ASSERT_EQ(*p, 0xa1a2a3a4b1b2b3b4);
}

/* A copy downwards into a page that is not there: #PF after what came before it. */
void mmio_fault(void)
{
	register u64 vector asm("r9");
	u64 *entry = (u64 *)(GUEST_TABLES + 0x2000) + (GUEST_SCRATCH >> 21);
	u64 old = *entry, end = GUEST_SCRATCH + 0x200000, n = 4;
	const void *src = (void *)(end + 1);
	void *dst = (void *)(dev + 0x401);

	*(volatile u16 *)end = 0x4241;
	*entry = 0;
	flush_tlb();
	asm volatile("std\n\t" TRY("rep movsb") "cld"
		     : "=&r"(vector), "+S"(src), "+D"(dst), "+c"(n) : : "memory");
	*entry = old;
	flush_tlb();
	GUEST_ASSERT_EQ(vector, PF_VECTOR);
	GUEST_ASSERT_EQ(guest_fault.cr2, end - 1);
	GUEST_ASSERT_EQ(guest_fault.error, 0);
	GUEST_ASSERT_EQ(n, 2);
	GUEST_ASSERT_EQ((u64)src, end - 1);
	GUEST_ASSERT_EQ(dev[0x401], 0x42);
	GUEST_ASSERT_EQ(dev[0x400], 0x41);
}

/* SSE moves reach devices in drivers; here the answer has to be a named exit. */
void mmio_unknown(void)
{
	asm volatile("movups (%0), %%xmm0" : : "r"(dev));
}

void rom_write(u64 gpa)
{
	volatile u32 *rom = (volatile u32 *)gpa;

	GUEST_ASSERT_EQ(rom[0], 0x600d);
	rom[0] = 0xbad;
	GUEST_ASSERT_EQ(rom[0], 0x600d);
	/* Code in it runs: mov $0x77, %eax; ret */
	GUEST_ASSERT_EQ(((u32 (*)(void))(gpa + 16))(), 0x77);
}

void jump(u64 gpa)
{
	((void (*)(void))gpa)();
}

u64 peek(u64 gpa)
{
	return *(volatile u64 *)gpa;
}

void poke(u64 gpa, u64 val)
{
	*(volatile u64 *)gpa = val;
}

/* ---- hypercalls, MSRs, CPUID ---------------------------------------------------------- */

/* 0xffff: no fault; RAX goes to @ret. */
u64 hypercall(u64 intel, u64 nr, u64 *ret)
{
	register u64 vector asm("r9");

	if (intel)
		asm volatile(TRY("vmcall") : "=&r"(vector), "=a"(*ret)
			     : "a"(nr), "b"(1), "c"(2), "d"(3), "S"(4) : "memory");
	else
		asm volatile(TRY("vmmcall") : "=&r"(vector), "=a"(*ret)
			     : "a"(nr), "b"(1), "c"(2), "d"(3), "S"(4) : "memory");
	return vector;
}

u64 msr_value;

u64 msr_read(u64 index)
{
	return rdmsr_safe(index, &msr_value);
}

u64 msr_write(u64 index, u64 val)
{
	return wrmsr_safe(index, val);
}

/* @table: leaf, index, then room for four results, each u32. */
void cpuid_all(u32 (*table)[6], u64 nr)
{
	for (; nr; nr--, table++)
		cpuid((*table)[0], (*table)[1], &(*table)[2]);
}

/* ---- the end ---------------------------------------------------------------------------- */

void triple_fault(void)
{
	struct { u16 limit; u64 base; } __packed idtr = { 0, 0 };

	asm volatile("lidt %0\n\tint3" : : "m"(idtr));
}

u64 halt_once(void)
{
	hlt();
	return 0x4a17;
}

void spin(void)
{
	for (;;)
		cpu_relax();
}

/* A doorbell takes these, and the counter tells how often the code ran. */
void ring(u64 addr, u64 pio, u64 n)
{
	for (; n; n--) {
		if (pio)
			outw(addr, n);
		else
			*(volatile u32 *)addr = n;
	}
}
