// SPDX-License-Identifier: GPL-2.0
/*
 * The guest side of timer.c: LAPIC timers that expire while the CPU works, and
 * while it sleeps.
 */
#include "lib/guest/guest.h"

/* Set by the host side */
u64 tsc_khz;

#define VECTOR	0xe3

static volatile u64 last;	/* TSC at the last interrupt */

static void on_timer(struct guest_frame *f)
{
	last = rdtsc();
	guest_irqs[f->vector]++;
	apic_eoi();
}

static void setup(bool x2, u32 mode)
{
	apic_enable(x2);
	guest_irqs[VECTOR] = 0;
	guest_set_handler(VECTOR, on_timer);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, mode | VECTOR);
}

static bool spin(u64 n, u64 ms)
{
	bool came;

	sti();
	came = SPIN_UNTIL(guest_irqs[VECTOR] >= n, tsc_khz, ms);
	cli();
	return came;
}

/* @n deadlines of half a millisecond, at work; the sum of what they were late. */
u64 deadlines(u64 n)
{
	u64 at, late = 0, i;

	setup(true, APIC_DEADLINE);
	for (i = 1; i <= n; i++) {
		at = rdtsc() + tsc_khz / 2;
		wrmsr(TSC_DEADLINE_MSR, at);
		GUEST_ASSERT(spin(i, 2000));
		GUEST_ASSERT_EQ(guest_irqs[VECTOR], i);
		GUEST_ASSERT(last >= at);
		GUEST_ASSERT_EQ(rdmsr(TSC_DEADLINE_MSR), 0);
		late += last - at;
	}
	return late;
}

/* The same asleep. */
u64 deadlines_asleep(u64 n)
{
	u64 at, late = 0, i;

	setup(true, APIC_DEADLINE);
	for (i = 1; i <= n; i++) {
		at = rdtsc() + tsc_khz;
		wrmsr(TSC_DEADLINE_MSR, at);
		while (guest_irqs[VECTOR] < i)
			sti_hlt_cli();
		GUEST_ASSERT_EQ(guest_irqs[VECTOR], i);
		GUEST_ASSERT(last >= at);
		late += last - at;
	}
	return late;
}

/* Moved away again and again, and taken back: nothing comes. */
void moved(u64 n)
{
	u64 i;

	setup(true, APIC_DEADLINE);
	for (i = 0; i < n; i++)
		wrmsr(TSC_DEADLINE_MSR, rdtsc() + tsc_khz * 10000);
	wrmsr(TSC_DEADLINE_MSR, 0);
	GUEST_ASSERT(!spin(1, 20));
	/* The last one counts. */
	wrmsr(TSC_DEADLINE_MSR, rdtsc() + tsc_khz * 10000);
	wrmsr(TSC_DEADLINE_MSR, rdtsc() + tsc_khz);
	GUEST_ASSERT(spin(1, 2000));
	/* Another mode disarms it. */
	wrmsr(TSC_DEADLINE_MSR, rdtsc() + tsc_khz);
	apic_write(APIC_LVTT, VECTOR);
	GUEST_ASSERT(!spin(2, 20));
}

/* Farther away than any slice of guest mode. */
u64 far(u64 ms)
{
	u64 at;

	setup(true, APIC_DEADLINE);
	at = rdtsc() + tsc_khz * ms;
	wrmsr(TSC_DEADLINE_MSR, at);
	GUEST_ASSERT(spin(1, 5000));
	GUEST_ASSERT(last >= at);
	return last - at;
}

/* Counters of half a millisecond: one-shot, then periodic. */
void counters(u64 n)
{
	u64 i, start;

	setup(false, 0);
	for (i = 1; i <= n; i++) {
		start = rdtsc();
		apic_write(APIC_TMICT, 500000);
		GUEST_ASSERT(spin(i, 2000));
		/* The host's clock is no multiple of its TSC. */
		GUEST_ASSERT(last - start >= tsc_khz * 49 / 100);
	}
	setup(true, APIC_PERIODIC);
	start = rdtsc();
	apic_write(APIC_TMICT, 500000);
	GUEST_ASSERT(spin(n, 5000));
	apic_write(APIC_TMICT, 0);
	GUEST_ASSERT(rdtsc() - start >= tsc_khz * n * 49 / 100);
}

/* Armed, then the host does something with the clock. */
u64 across(u64 ms)
{
	u64 at, start;

	setup(true, APIC_DEADLINE);
	start = rdtsc();
	at = start + tsc_khz * ms;
	wrmsr(TSC_DEADLINE_MSR, at);
	GUEST_SYNC(1);
	GUEST_ASSERT(spin(1, 20000));
	GUEST_ASSERT_EQ(guest_irqs[VECTOR], 1);
	GUEST_ASSERT(last >= at);
	return last - at;
}

/* Armed by the program that was saved; here it only waits. */
void wait_for_it(void)
{
	GUEST_ASSERT(spin(1, 20000));
}
