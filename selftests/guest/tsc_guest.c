// SPDX-License-Identifier: GPL-2.0
/*
 * The guest side of tsc.c: the TSC against the other clock that a guest has,
 * the LAPIC timer, which counts nanoseconds; against itself, read by RDTSC and
 * by an exit; and as the clock of deadlines.
 */
#include "lib/guest/guest.h"

#define TSC_MSR		0x10
#define TSC_ADJUST_MSR	0x3b
#define VECTOR		0x40

u64 tsc_khz;		/* set by the host side */
volatile u64 fired_at;

static void note_time(struct guest_frame *f)
{
	fired_at = rdtsc();
	guest_irqs[f->vector]++;
	apic_eoi();
}

static void setup(void)
{
	apic_enable(false);
	guest_irqs[VECTOR] = 0;
	guest_set_handler(VECTOR, note_time);
}

/*
 * Interrupts are let in before HLT: QEMU's VMRUN forgets an interrupt shadow.
 */
static void sleep_until(u64 n)
{
	while (guest_irqs[VECTOR] < n) {
		sti_nop_cli();
		if (guest_irqs[VECTOR] < n)
			sti_hlt_cli();
	}
}

/* Ticks while the LAPIC counts @ns down. */
u64 lapic_ticks(u64 ns)
{
	u64 start;

	setup();
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, VECTOR);
	start = rdtsc();
	apic_write(APIC_TMICT, (u32)ns);
	sleep_until(1);
	return fired_at - start;
}

/* How late a deadline in @ticks is, in ticks. */
u64 deadline(u64 ticks)
{
	u64 start, end;

	setup();
	apic_write(APIC_LVTT, APIC_DEADLINE | VECTOR);
	start = rdtsc();
	end = start + ticks;
	wrmsr(TSC_DEADLINE_MSR, end);
	GUEST_ASSERT_EQ(rdmsr(TSC_DEADLINE_MSR), end);
	sleep_until(1);
	GUEST_ASSERT(fired_at >= end);
	GUEST_ASSERT_EQ(guest_irqs[VECTOR], 1);
	GUEST_ASSERT_EQ(rdmsr(TSC_DEADLINE_MSR), 0);
	return fired_at - end;
}

/* The same while the guest does not sleep: the timer has to end guest mode. */
u64 deadline_awake(u64 ticks)
{
	u64 end;

	setup();
	apic_write(APIC_LVTT, APIC_DEADLINE | VECTOR);
	end = rdtsc() + ticks;
	wrmsr(TSC_DEADLINE_MSR, end);
	sti();
	while (!*(volatile u64 *)&guest_irqs[VECTOR])
		cpu_relax();
	cli();
	GUEST_ASSERT(fired_at >= end);
	return fired_at - end;
}

/* What the kernel computes lies between what the CPU computes before and after. */
void both_ways(void)
{
	u64 a, b, c;
	u32 r[4];
	int i;

	for (i = 0; i < 2000; i++) {
		a = rdtsc();
		b = rdmsr(TSC_MSR);
		c = rdtsc();
		GUEST_ASSERT(a <= b && b <= c);
		if (i % 50 == 0)
			GUEST_SYNC(1);		/* the host side does something else */
		else if (i % 7 == 0)
			cpuid(0, 0, r);
		GUEST_ASSERT(rdtsc() >= c);
	}
	GUEST_SYNC(2);
}

/* IA32_TSC and IA32_TSC_ADJUST move each other by ticks of the guest. */
void adjust(void)
{
	u64 before, after;
	int64_t moved;

	before = rdtsc();
	wrmsr(TSC_ADJUST_MSR, 1ULL << 40);
	after = rdtsc();
	GUEST_ASSERT(after - before >= 1ULL << 40);
	GUEST_ASSERT(after - before < (1ULL << 40) + tsc_khz * 1000);
	before = after;
	wrmsr(TSC_MSR, before + (1ULL << 41));
	after = rdtsc();
	GUEST_ASSERT(after - before >= 1ULL << 41);
	GUEST_ASSERT(after - before < (1ULL << 41) + tsc_khz * 1000);
	/* Less what went by between the read and the write. */
	moved = (int64_t)(rdmsr(TSC_ADJUST_MSR) - (1ULL << 40));
	GUEST_ASSERT(moved <= (int64_t)(1ULL << 41));
	GUEST_ASSERT(moved > (int64_t)((1ULL << 41) - tsc_khz * 1000));
	GUEST_ASSERT(deadline(tsc_khz * 3) < tsc_khz * 2000);
}

/* The TSC at each stage, in both ways. */
void stages(void)
{
	u64 first;

	for (;;) {
		first = rdtsc();
		guest_stage(1, first, rdmsr(TSC_MSR));
	}
}

/* The frequency that CPUID tells, kHz, computed as Linux does; 0: none. */
u64 cpuid_khz(void)
{
	u32 r[4];

	cpuid(0, 0, r);
	if (r[0] < 0x16)
		return 0;
	cpuid(0x16, 0, r);
	GUEST_ASSERT_EQ(r[0], (tsc_khz + 500) / 1000);
	cpuid(0x15, 0, r);
	return r[0] ? r[2] / 1000 * r[1] / r[0] : 0;
}
