// SPDX-License-Identifier: GPL-2.0
/*
 * The guest side of hostile.c: nonsense in every register that an exit or the
 * kernel stands behind. It goes on after what faults.
 */
#include "lib/guest/guest.h"

static const u64 nonsense[] = {
	0, ~0ULL, 1, 0x8000000000000000, 0x5a5a5a5a5a5a5a5a, 0xffffffff, 0xfffff000,
};

u64 msr_read_ok, msr_write_ok, last_msr;

/* What must not change, so that the next instruction runs. */
static bool vital(u32 msr)
{
	return msr == 0xc0000080 || msr == APIC_BASE_MSR;
}

static void one_msr(u32 msr)
{
	u64 old, val;
	u32 i;

	WRITE_ONCE(last_msr, msr);
	if (rdmsr_safe(msr, &old) == NO_FAULT) {
		msr_read_ok++;
		if (wrmsr_safe(msr, old) == NO_FAULT)
			msr_write_ok++;
		for (i = 0; i < ARRAY_SIZE(nonsense) && !vital(msr); i++)
			wrmsr_safe(msr, nonsense[i]);
		wrmsr_safe(msr, old);
		rdmsr_safe(msr, &val);
	} else {
		for (i = 0; i < 2; i++)
			wrmsr_safe(msr, nonsense[i]);
	}
}

void msrs(u64 first, u64 last)
{
	for (; first <= last; first++)
		one_msr(first);
}

/* The vital ones, with what would end a CPU that takes it. */
void vital_msrs(void)
{
	u64 efer = rdmsr(0xc0000080), i;

	for (i = 0; i < 64; i++) {
		if (i == 11)
			continue;
		if (wrmsr_safe(0xc0000080, efer ^ 1ULL << i) == NO_FAULT)
			/* SCE, LMA (not the guest's to write), and three of AMD's. */
			GUEST_ASSERT(i == 0 || i == 10 || (i >= 13 && i <= 15));
		GUEST_ASSERT(rdmsr(0xc0000080) & 1 << 10);
		wrmsr_safe(0xc0000080, efer);
	}
	GUEST_ASSERT_EQ(rdmsr(0xc0000080), efer);
}

u64 last_port;

/* The end is a hypercall: the policy may swallow OUT. */
void ports(u64 first, u64 last, u64 intel)
{
	u64 p;

	for (p = first; p <= last; p++) {
		WRITE_ONCE(last_port, p);
		if (p >= GUEST_PORT - 3 && p < GUEST_PORT + 4)
			continue;
		inb(p);
		outb(p, 0xff);
		/* Up there is nothing, and there is a lot of it. */
		if (p >= 0x1000 && p % 16)
			continue;
		outb(p, 0x5a);
		if (p % 16)
			continue;
		inl(p);
		outw(p, 0xffff);
		outl(p, 0xffffffff);
	}
	if (intel)
		asm volatile("vmcall" : : "a"(0x900d) : "memory");
	else
		asm volatile("vmmcall" : : "a"(0x900d) : "memory");
}

/* Every offset of a page, in every size, with one value. */
void page_of_registers(u64 page, u64 val)
{
	u64 at;

	for (at = page; at < page + 0x1000; at += 16) {
		(void)*(volatile u32 *)at;
		*(volatile u32 *)at = val;
	}
	for (at = page + 1; at < page + 0x400; at += 37) {
		(void)*(volatile u16 *)at;
		*(volatile u16 *)at = val;
		(void)*(volatile u64 *)at;
		*(volatile u64 *)at = val;
		(void)*(volatile u8 *)at;
		*(volatile u8 *)at = val;
	}
}

/* One APIC register, which may be the end of this CPU. */
void apic_register(u64 reg, u64 val)
{
	apic_enable(false);
	apic_write(reg, val);
	apic_read(reg);
	for (u64 i = 0; i < 20; i++)
		nop();
}

void x2apic_registers(u64 val)
{
	u64 msr, old;

	apic_enable(true);
	for (msr = 0x800; msr < 0x900; msr++) {
		rdmsr_safe(msr, &old);
		/* Not the ICR, which may send an INIT here. */
		if (msr != 0x830)
			wrmsr_safe(msr, val);
	}
}

void apic_base(u64 val)
{
	wrmsr_safe(APIC_BASE_MSR, val);
	(void)*(volatile u32 *)(APIC_PAGE + APIC_ID);
}

void jump(u64 where)
{
	((void (*)(void))where)();
}

void bad_cr3(u64 val)
{
	write_cr3(val);
}
