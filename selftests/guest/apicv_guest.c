// SPDX-License-Identifier: GPL-2.0
/*
 * The guest side of apicv.c: the LAPIC's registers and interrupts as they have to
 * be whoever keeps them, the CPU or the kernel.
 */
#include "lib/guest/guest.h"

/* Set by the host side */
u64 tsc_khz;

#define SELF		0x40000		/* ICR: shorthand self, fixed */
#define CONTROL_LOOPS	4

static volatile u64 order[16], nr_order;

static void setup(bool x2)
{
	apic_enable(x2);
	nr_order = 0;
	for (int v = 0x30; v < 0x100; v++) {
		guest_irqs[v] = 0;
		guest_set_handler(v, guest_count_irq);
	}
}

static void note(u64 what)
{
	order[nr_order++ % 16] = what;
}

static void wait_ms(u64 ms)
{
	SPIN_UNTIL(0, tsc_khz, ms);
}

/* What reads back, and what a write leaves alone. */
void registers(u64 x2)
{
	u32 lvt[] = { APIC_LVTT, 0x330, 0x340, APIC_LVT0, APIC_LVT1, APIC_LVTERR };
	u32 i, id;

	setup(x2);
	id = apic_read(APIC_ID);
	GUEST_ASSERT_EQ(id, 0);
	GUEST_ASSERT_EQ(apic_read(APIC_VERSION), 0x50014);
	for (i = 0; i < ARRAY_SIZE(lvt); i++) {
		apic_write(lvt[i], APIC_MASKED | (0x40 + i));
		GUEST_ASSERT_EQ(apic_read(lvt[i]), APIC_MASKED | (0x40 + i));
	}
	for (i = 0; i < 0x100; i += 0x33) {
		apic_write(APIC_TPR, i);
		GUEST_ASSERT_EQ(apic_read(APIC_TPR), i);
		GUEST_ASSERT_EQ(apic_read(APIC_PPR), i);
		GUEST_ASSERT_EQ(read_cr8(), i >> 4);
	}
	write_cr8(5);
	GUEST_ASSERT_EQ(apic_read(APIC_TPR), 0x50);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_TDCR, 0xa);
	GUEST_ASSERT_EQ(apic_read(APIC_TDCR), 0xa);
	GUEST_ASSERT_EQ(apic_read(APIC_SPIV), 0x1ff);
	if (x2)
		return;
	apic_write(APIC_ID, 7 << 24);
	apic_write(APIC_VERSION, 1);
	GUEST_ASSERT_EQ(apic_read(APIC_ID), id);
	GUEST_ASSERT_EQ(apic_read(APIC_VERSION), 0x50014);
	apic_write(APIC_LDR, 0x12345678);
	GUEST_ASSERT_EQ(apic_read(APIC_LDR), 0x12000000);
	apic_write(APIC_DFR, 0x01234567);
	GUEST_ASSERT_EQ(apic_read(APIC_DFR), 0x0fffffff);
	apic_write(APIC_DFR, ~0U);
	apic_write(APIC_ICR2, 0x34567890);
	GUEST_ASSERT_EQ(apic_read(APIC_ICR2), 0x34000000);
	/* A vector that is none, sent: an error, seen after ESR is written. */
	apic_write(APIC_ICR, SELF | 3);
	apic_write(APIC_ESR, 0);
	GUEST_ASSERT_EQ(apic_read(APIC_ESR), 0x20);
	apic_write(APIC_ESR, 0);
	GUEST_ASSERT_EQ(apic_read(APIC_ESR), 0);
}

/* Initial count and mode, when the CPU has stored what the LAPIC does not take. */
void timer_registers(u64 x2)
{
	u64 i;

	setup(x2);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, 0xe0);
	apic_write(APIC_TMICT, 1000000000);
	/* The count goes on from where it is, sixteen times slower. */
	apic_write(APIC_TDCR, 0x3);
	i = apic_read(APIC_TMCCT);
	GUEST_ASSERT(i > 500000000 && i <= 1000000000);
	apic_write(APIC_TMICT, 0);
	GUEST_ASSERT_EQ(apic_read(APIC_TMCCT), 0);
	/* Another mode stops it, and takes no count. */
	apic_write(APIC_TMICT, 1000000000);
	apic_write(APIC_LVTT, APIC_DEADLINE | 0xe0);
	GUEST_ASSERT_EQ(apic_read(APIC_TMICT), 0);
	apic_write(APIC_TMICT, 77);
	GUEST_ASSERT_EQ(apic_read(APIC_TMICT), 0);
	GUEST_ASSERT_EQ(apic_read(APIC_TMCCT), 0);
	wrmsr(TSC_DEADLINE_MSR, rdtsc() + tsc_khz);
	sti();
	GUEST_ASSERT(SPIN_UNTIL(guest_irqs[0xe0] == 1, tsc_khz, 5000));
	cli();
}

/* @n rounds of what a kernel does without thinking: nothing in it needs a host. */
void idle_talk(u64 x2, u64 n)
{
	u64 i;

	setup(x2);
	GUEST_SYNC(1);
	sti();
	for (i = 1; i <= n; i++) {
		apic_write(APIC_TPR, 0x20);
		GUEST_ASSERT_EQ(apic_read(APIC_ID), 0);
		GUEST_ASSERT(!apic_bit(APIC_IRR, 0x50));
		if (x2)
			apic_write(APIC_SELF_IPI, 0x50);
		else
			apic_write(APIC_ICR, SELF | 0x50);
		nop();
		GUEST_ASSERT_EQ(guest_irqs[0x50], i);
		apic_write(APIC_TPR, 0);
	}
	cli();
	GUEST_SYNC(2);
}

static void slow_irq(struct guest_frame *f)
{
	note(f->vector);
	guest_irqs[f->vector]++;
	apic_eoi();
	/* The next one may come now, by its priority; it must not, by IF. */
	wait_ms(12);
	GUEST_ASSERT_EQ(nr_order, f->vector == 0x60 ? 1 : 2);
	note(0);
	nr_order = f->vector == 0x60 ? 1 : 2;
}

/* Interrupts wait while IF is clear, whatever the host does meanwhile. */
void closed_by_flag(u64 x2)
{
	setup(x2);
	apic_write(APIC_ICR, SELF | 0x52);
	wait_ms(60);
	GUEST_ASSERT_EQ(guest_irqs[0x52], 0);
	GUEST_ASSERT(apic_bit(APIC_IRR, 0x52));
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0x52], 1);
}

void closed_by_tpr(u64 x2)
{
	setup(x2);
	apic_write(APIC_TPR, 0x60);
	apic_write(APIC_ICR, SELF | 0x53);
	sti();
	wait_ms(30);
	cli();
	GUEST_ASSERT_EQ(guest_irqs[0x53], 0);
	apic_write(APIC_TPR, 0);
	wait_ms(30);
	GUEST_ASSERT_EQ(guest_irqs[0x53], 0);
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0x53], 1);
}

/* Behind the EOI of one whose handler has not returned. */
void closed_in_handler(u64 x2)
{
	setup(x2);
	guest_set_handler(0x60, slow_irq);
	guest_set_handler(0x50, slow_irq);
	apic_write(APIC_ICR, SELF | 0x60);
	apic_write(APIC_ICR, SELF | 0x50);
	sti();
	wait_ms(40);
	cli();
	GUEST_ASSERT_EQ(guest_irqs[0x60], 1);
	GUEST_ASSERT_EQ(guest_irqs[0x50], 1);
}

/*
 * The flag was cleared in guest mode, and no exit but the host's own interrupt ends
 * it: nothing may come in before that, nor with it.
 */
void closed_to_the_host(u64 n)
{
	u64 i, end;

	setup(true);
	for (i = 1; i <= n; i++) {
		sti();
		nop();
		cli();
		apic_write(APIC_SELF_IPI, 0x54);
		end = rdtsc() + tsc_khz * 25;
		while (rdtsc() < end)
			GUEST_ASSERT_EQ(guest_irqs[0x54], i - 1);
		sti_nop_cli();
		GUEST_ASSERT_EQ(guest_irqs[0x54], i);
	}
}

/* All of it in one go, more than once: nothing is left over. */
void closed(u64 x2)
{
	u64 i;

	for (i = 0; i < 5; i++) {
		closed_by_flag(x2);
		closed_by_tpr(x2);
		closed_in_handler(x2);
	}
}

/* Every mode after every other one, with an interrupt in each. */
void modes(u64 n)
{
	u64 base = rdmsr(APIC_BASE_MSR) & ~(u64)(APIC_BASE_EN | APIC_BASE_X2), i;

	for (i = 0; i < n; i++) {
		setup(i & 1);
		apic_write(APIC_ICR, SELF | 0x50);
		sti_nop_cli();
		GUEST_ASSERT_EQ(guest_irqs[0x50], 1);
		/* Software-disabled it takes none. */
		apic_write(APIC_SPIV, 0xff);
		apic_write(APIC_ICR, SELF | 0x51);
		sti_nop_cli();
		GUEST_ASSERT_EQ(guest_irqs[0x51], 0);
		apic_write(APIC_SPIV, 0x1ff);
		sti_nop_cli();
		GUEST_ASSERT_EQ(guest_irqs[0x51], 0);
		apic_write(APIC_ICR, SELF | 0x52);
		sti_nop_cli();
		GUEST_ASSERT_EQ(guest_irqs[0x52], 1);
		/* What waits and what is in service is gone with the mode. */
		apic_write(APIC_ICR, SELF | 0x53);
		if (i & 2) {
			wrmsr(APIC_BASE_MSR, base);
			sti_nop_cli();
			GUEST_ASSERT_EQ(guest_irqs[0x53], 0);
		} else if (i & 1) {
			wrmsr(APIC_BASE_MSR, base);
		} else {
			wrmsr(APIC_BASE_MSR, base | APIC_BASE_EN | APIC_BASE_X2);
			apic_x2 = true;
			sti_nop_cli();
			GUEST_ASSERT_EQ(guest_irqs[0x53], 1);
			wrmsr(APIC_BASE_MSR, base);
		}
	}
	wrmsr(APIC_BASE_MSR, base | APIC_BASE_EN);
}

static void in_service(struct guest_frame *f)
{
	note(f->vector);
	if (f->vector == 0x60) {
		apic_write(APIC_ICR, SELF | 0x45);	/* waits for our EOI */
		apic_write(APIC_ICR, SELF | 0x85);	/* for IF */
		GUEST_SYNC(1);
		GUEST_ASSERT(apic_bit(APIC_ISR, 0x60));
		GUEST_ASSERT(apic_bit(APIC_IRR, 0x45));
		GUEST_ASSERT(apic_bit(APIC_IRR, 0x85));
		GUEST_ASSERT_EQ(apic_read(APIC_PPR) & 0xf0, 0x60);
		sti_nop_cli();
		note(0x61);
	}
	apic_eoi();
}

/* The host saves and loads the LAPIC while one is in service and two wait. */
void mid_flight(u64 x2)
{
	setup(x2);
	guest_set_handler(0x60, in_service);
	guest_set_handler(0x45, in_service);
	guest_set_handler(0x85, in_service);
	apic_write(APIC_ICR, SELF | 0x60);
	sti_nop_cli();
	sti_nop_cli();
	GUEST_ASSERT_EQ(nr_order, 4);
	GUEST_ASSERT_EQ(order[0], 0x60);
	GUEST_ASSERT_EQ(order[1], 0x85);
	GUEST_ASSERT_EQ(order[2], 0x61);
	GUEST_ASSERT_EQ(order[3], 0x45);
}

/* Periodic ticks that found the last one waiting come after it, at once. */
void kept_ticks(u64 x2)
{
	u64 start;

	setup(x2);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, APIC_PERIODIC | 0xe1);
	apic_write(APIC_TMICT, 4000000);
	wait_ms(50);
	GUEST_ASSERT_EQ(guest_irqs[0xe1], 0);
	start = rdtsc();
	sti();
	SPIN_UNTIL(guest_irqs[0xe1] >= 10, tsc_khz, 1000);
	cli();
	apic_write(APIC_TMICT, 0);
	/* Ten periods are 40 ms. */
	GUEST_ASSERT(rdtsc() - start < tsc_khz * 20);
}

static void count_eoi(struct guest_frame *f)
{
	guest_irqs[f->vector]++;
	apic_eoi();
}

/* Messages by edge and by level in turn, the same vectors. */
void edges_and_levels(u64 n)
{
	u64 i;

	setup(true);
	guest_set_handler(0x56, count_eoi);
	sti();
	for (i = 1; i <= n; i++) {
		GUEST_SYNC(i);		/* the host sends one */
		nop();
		GUEST_ASSERT_EQ(guest_irqs[0x56], i);
		GUEST_ASSERT_EQ(apic_bit(APIC_TMR, 0x56), !(i & 1));
	}
	cli();
}

/* ---- two CPUs, two modes ------------------------------------------------------- */

extern u8 guest_trampoline[], guest_trampoline_end[];
extern u64 guest_ap_fn;
static volatile u64 ap_up, ap_stop;

/* An AP in the xAPIC mode, whatever the others do. */
static u64 ap_xapic(void)
{
	u64 base = rdmsr(APIC_BASE_MSR) | APIC_BASE_EN;

	wrmsr(APIC_BASE_MSR, base);
	*(volatile u32 *)(APIC_PAGE + APIC_SPIV) = 0x1ff;
	while (!ap_stop) {
		*(volatile u32 *)(APIC_PAGE + APIC_TPR) = 0x20;
		if (*(volatile u32 *)(APIC_PAGE + APIC_TPR) != 0x20)
			return 1;
		if (*(volatile u32 *)(APIC_PAGE + APIC_ID) != 1U << 24)
			return 2;
		ap_up++;
	}
	return 0;
}

void mixed(void)
{
	u64 base = rdmsr(APIC_BASE_MSR) & ~(u64)(APIC_BASE_EN | APIC_BASE_X2), up, i;

	memcpy((void *)GUEST_TRAMPOLINE, guest_trampoline,
	       guest_trampoline_end - guest_trampoline);
	guest_ap_fn = (u64)ap_xapic;
	setup(false);
	apic_write(APIC_ICR, 0xc4500);				/* INIT, all but self */
	wait_ms(1);
	apic_write(APIC_ICR, 0xc4600 | GUEST_TRAMPOLINE >> 12);	/* SIPI */
	for (i = 0; i < 4; i++) {
		up = ap_up;
		GUEST_ASSERT(SPIN_UNTIL(ap_up > up + 2, tsc_khz, 20000));
		setup(true);
		up = ap_up;
		GUEST_ASSERT(SPIN_UNTIL(ap_up > up + 2, tsc_khz, 20000));
		/* For us nothing is there: the launcher answers. */
		GUEST_ASSERT_EQ(*(volatile u32 *)(APIC_PAGE + APIC_ID), 0x1badcafe);
		wrmsr(APIC_BASE_MSR, base);
		GUEST_ASSERT_EQ(*(volatile u32 *)(APIC_PAGE + APIC_ID), 0x1badcafe);
		setup(false);
		GUEST_ASSERT_EQ(*(volatile u32 *)(APIC_PAGE + APIC_ID), 0);
	}
	ap_stop = 1;
}

/* The launcher puts memory there, and takes it away. */
void memory_there(void)
{
	setup(false);
	GUEST_ASSERT_EQ(apic_read(APIC_ID), 0);
	GUEST_SYNC(1);
	GUEST_ASSERT_EQ(*(volatile u32 *)(APIC_PAGE + APIC_ID), 0x600df00d);
	*(volatile u32 *)(APIC_PAGE + APIC_ID) = 0x12345678;
	GUEST_SYNC(2);
	GUEST_ASSERT_EQ(apic_read(APIC_ID), 0);
	apic_write(APIC_ICR, SELF | 0x50);
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0x50], 1);
}
