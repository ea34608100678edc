// SPDX-License-Identifier: GPL-2.0
/*
 * The guest side of irq.c: every way in which an interrupt reaches a CPU, and
 * every way in which it has to wait.
 */
#include "lib/guest/guest.h"

/* Set by the host side */
u64 tsc_khz;
u64 forgets_shadow;	/* an exit in the shadow of STI loses it */
u64 may_double;		/* an interrupt may be delivered twice: at least, not exactly */
static u64 order[16], nr_order;

static void setup(bool x2)
{
	apic_enable(x2);
	nr_order = 0;
	for (int v = 0x30; v < 0x100; v++) {
		guest_irqs[v] = 0;
		guest_set_handler(v, guest_count_irq);
	}
}

static void note_order(struct guest_frame *f)
{
	order[nr_order++ % 16] = f->vector;
	guest_irqs[f->vector]++;
	apic_eoi();
}

/*
 * Sleep until @n interrupts of @vector have come. What is pending is let in
 * before HLT: QEMU's VMRUN forgets an interrupt shadow, so that an exit between
 * STI and HLT lets it in there, and HLT sleeps over it.
 */
static void sleep_until(u8 vector, u64 n)
{
	while (guest_irqs[vector] < n) {
		sti_nop_cli();
		if (guest_irqs[vector] < n)
			sti_hlt_cli();
	}
}

/* ---- messages and IPIs ------------------------------------------------------ */

void msi(u64 x2)
{
	setup(x2);
	GUEST_SYNC(1);		/* one comes while interrupts are off */
	GUEST_ASSERT_EQ(guest_irqs[0x40], 0);
	GUEST_ASSERT(apic_bit(APIC_IRR, 0x40));
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0x40], 1);
	GUEST_ASSERT(!apic_bit(APIC_IRR, 0x40));
	GUEST_ASSERT(!apic_bit(APIC_ISR, 0x40));
	sti();
	GUEST_SYNC(2);		/* and one while they are on */
	nop();
	cli();
	GUEST_ASSERT_EQ(guest_irqs[0x41], 1);
	GUEST_ASSERT_EQ(guest_irqs[0x40], 1);
}

void self_ipi(u64 x2)
{
	setup(x2);
	apic_write(APIC_ICR, 0x40000 | 0x50);		/* shorthand self */
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0x50], 1);
	apic_ipi(apic_x2 ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24, 0x51);
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0x51], 1);
	apic_write(APIC_ICR, 0x80000 | 0x52);		/* all including self */
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0x52], 1);
	apic_write(APIC_ICR, 0xc0000 | 0x53);		/* all but self */
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0x53], 0);
	if (!x2)
		return;
	apic_write(APIC_SELF_IPI, 0x54);
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0x54], 1);
}

void priorities(void)
{
	setup(false);
	guest_set_handler(0x50, note_order);
	guest_set_handler(0x90, note_order);
	guest_set_handler(0x70, note_order);
	apic_write(APIC_ICR, 0x40000 | 0x50);
	apic_write(APIC_ICR, 0x40000 | 0x90);
	apic_write(APIC_ICR, 0x40000 | 0x70);
	asm volatile("sti; nop; nop; nop; nop; cli" : : : "memory");
	GUEST_ASSERT_EQ(nr_order, 3);
	GUEST_ASSERT_EQ(order[0], 0x90);
	GUEST_ASSERT_EQ(order[1], 0x70);
	GUEST_ASSERT_EQ(order[2], 0x50);
}

static void nested(struct guest_frame *f)
{
	order[nr_order++ % 16] = f->vector;
	if (f->vector == 0x60) {
		apic_write(APIC_ICR, 0x40000 | 0x61);	/* its own class: waits */
		apic_write(APIC_ICR, 0x40000 | 0x81);	/* above: comes in */
		sti_nop_cli();
		GUEST_ASSERT_EQ(nr_order, 2);
		GUEST_ASSERT_EQ(apic_read(APIC_PPR) & 0xf0, 0x60);
		GUEST_ASSERT(apic_bit(APIC_ISR, 0x60));
		order[nr_order++ % 16] = 0xe01;
	}
	apic_eoi();
}

void nesting(void)
{
	setup(false);
	guest_set_handler(0x60, nested);
	guest_set_handler(0x61, nested);
	guest_set_handler(0x81, nested);
	apic_write(APIC_ICR, 0x40000 | 0x60);
	sti_nop_cli();
	GUEST_ASSERT_EQ(nr_order, 4);
	GUEST_ASSERT_EQ(order[0], 0x60);
	GUEST_ASSERT_EQ(order[1], 0x81);
	GUEST_ASSERT_EQ(order[2], 0xe01);
	GUEST_ASSERT_EQ(order[3], 0x61);
}

void task_priority(u64 x2)
{
	setup(x2);
	write_cr8(5);
	GUEST_ASSERT_EQ(apic_read(APIC_TPR), 0x50);
	apic_write(APIC_ICR, 0x40000 | 0x58);
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0x58], 0);
	apic_write(APIC_ICR, 0x40000 | 0x60);
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0x60], 1);
	GUEST_ASSERT_EQ(guest_irqs[0x58], 0);
	apic_write(APIC_TPR, 0x30);
	GUEST_ASSERT_EQ(read_cr8(), 3);
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0x58], 1);

	/* Lowered with interrupts on: at once. */
	write_cr8(15);
	apic_write(APIC_ICR, 0x40000 | 0x59);
	sti();
	nop();
	GUEST_ASSERT_EQ(guest_irqs[0x59], 0);
	write_cr8(0);
	nop();
	cli();
	GUEST_ASSERT_EQ(guest_irqs[0x59], 1);
}

static u64 irq_rip;

static void note_rip(struct guest_frame *f)
{
	irq_rip = f->rip;
	guest_count_irq(f);
}

void sti_shadow(void)
{
	u64 at;

	setup(false);
	apic_write(APIC_ICR, 0x40000 | 0x48);
	asm volatile("sti\n\tcli" : : : "memory");
	if (forgets_shadow && guest_irqs[0x48])
		apic_write(APIC_ICR, 0x40000 | 0x48);
	else
		GUEST_ASSERT_EQ(guest_irqs[0x48], 0);
	guest_irqs[0x48] = 0;
	guest_set_handler(0x48, note_rip);
	asm volatile("leaq 1f(%%rip), %0\n\tsti\n\tnop\n1:\tnop\n\tnop\n\tcli"
		     : "=r"(at) : : "memory");
	GUEST_ASSERT_EQ(guest_irqs[0x48], 1);
	GUEST_ASSERT(irq_rip == at || forgets_shadow);
	/*
	 * STI before an exit: its shadow covers the HLT, which then wakes up.
	 * The timer is for a CPU that forgets the shadow.
	 */
	apic_write(APIC_LVTT, 0xe0);
	apic_write(APIC_TMICT, 100000000);
	apic_write(APIC_ICR, 0x40000 | 0x48);
	sti_hlt_cli();
	apic_write(APIC_TMICT, 0);
	GUEST_ASSERT_EQ(guest_irqs[0x48], 2);
	GUEST_ASSERT(guest_irqs[0xe0] == 0 || forgets_shadow);
	/* And before an instruction that the kernel emulates. */
	apic_write(APIC_ICR, 0x40000 | 0x48);
	asm volatile("leaq 1f(%%rip), %0\n\txorl %%eax, %%eax\n\t"
		     "sti\n\tcpuid\n1:\tnop\n\tnop\n\tcli"
		     : "=&r"(at) : : "memory", "rax", "rbx", "rcx", "rdx");
	GUEST_ASSERT_EQ(guest_irqs[0x48], 3);
	GUEST_ASSERT(irq_rip == at || forgets_shadow);
}

/* ---- IOAPIC and PIC ------------------------------------------------------------- */

void ioapic_edge(void)
{
	setup(false);
	GUEST_ASSERT_EQ((ioapic_read(1) >> 16) & 0xff, 23);
	ioapic_route(4, 0x55);
	sti();
	GUEST_SYNC(1);		/* up */
	nop();
	GUEST_ASSERT_EQ(guest_irqs[0x55], 1);
	GUEST_SYNC(2);		/* still up: nothing; down and up: another */
	nop();
	GUEST_ASSERT_EQ(guest_irqs[0x55], 2);
	GUEST_SYNC(3);		/* down, masked, up */
	cli();
	ioapic_write(0x10 + 4 * 2, APIC_MASKED | 0x55);
	GUEST_SYNC(4);
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0x55], 2);
}

static void level_irq(struct guest_frame *f)
{
	guest_irqs[f->vector]++;
	if (guest_irqs[f->vector] == 3)
		GUEST_SYNC(2);	/* the line goes down */
	apic_eoi();
}

void ioapic_level(void)
{
	setup(false);
	guest_set_handler(0x56, level_irq);
	ioapic_route(10, 1 << 15 | 0x56);
	GUEST_SYNC(1);		/* the line goes up, and stays there */
	sti();
	for (int i = 0; i < 10; i++)
		nop();
	cli();
	GUEST_ASSERT_EQ(guest_irqs[0x56], 3);
	GUEST_ASSERT_EQ(ioapic_read(0x10 + 20) & 1 << 14, 0);
}

static void pic_irq(struct guest_frame *f)
{
	guest_irqs[f->vector]++;
	if (f->vector >= 0x28)
		outb(0xa0, 0x20);
	outb(0x20, 0x20);
}

void pic(void)
{
	int v;

	setup(false);
	for (v = 0x20; v < 0x30; v++) {
		guest_irqs[v] = 0;
		guest_set_handler(v, pic_irq);
	}
	pic_init(0x20);
	apic_write(APIC_LVT0, 0x700);		/* ExtINT */
	outb(0x21, 0xff & ~(1 << 3 | 1 << 2));
	outb(0xa1, 0xff & ~(1 << 2));
	GUEST_SYNC(1);				/* GSI 3 */
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0x23], 1);
	GUEST_SYNC(2);				/* GSI 10: the slave */
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0x2a], 1);
	GUEST_SYNC(3);				/* GSI 4: masked */
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0x24], 0);
	outb(0x20, 0x0a);
	GUEST_ASSERT_EQ(inb(0x20) & 0x10, 0x10);	/* but requested */
	outb(0x21, 0xff & ~(1 << 4));
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0x24], 1);
}

/* ---- timers ------------------------------------------------------------------------ */

void timer_oneshot(u64 x2)
{
	u32 first, second;

	setup(x2);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, 0xe0);
	apic_write(APIC_TMICT, 3000000);
	first = apic_read(APIC_TMCCT);
	second = apic_read(APIC_TMCCT);
	GUEST_ASSERT(first <= 3000000);
	GUEST_ASSERT(second <= first);
	sleep_until(0xe0, 1);
	GUEST_ASSERT_EQ(guest_irqs[0xe0], 1);
	GUEST_ASSERT_EQ(apic_read(APIC_TMCCT), 0);
	/* Once only, and zero stops it. */
	for (;;) {
		u64 begin = rdtsc();

		apic_write(APIC_TMICT, 20000000);
		apic_write(APIC_TMICT, 0);
		/* A host that was away for so long may have let it expire. */
		if (rdtsc() - begin < tsc_khz * 10)
			break;
		sti_nop_cli();
		guest_irqs[0xe0] = 1;
	}
	sti();
	SPIN_UNTIL(0, tsc_khz, 30);
	cli();
	GUEST_ASSERT_EQ(guest_irqs[0xe0], 1);
	/* Masked: the count runs, nothing comes. */
	apic_write(APIC_LVTT, APIC_MASKED | 0xe0);
	apic_write(APIC_TMICT, 100000);
	GUEST_ASSERT(SPIN_UNTIL(apic_read(APIC_TMCCT) == 0, tsc_khz, 1000));
	sti_nop_cli();
	GUEST_ASSERT_EQ(guest_irqs[0xe0], 1);
}

void timer_periodic(u64 x2)
{
	setup(x2);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, APIC_PERIODIC | 0xe1);
	apic_write(APIC_TMICT, 4000000);
	sleep_until(0xe1, 5);
	apic_write(APIC_TMICT, 0);
}

void timer_deadline(u64 x2)
{
	u64 start, end, ticks = tsc_khz * 10;

	setup(x2);
	apic_write(APIC_LVTT, APIC_DEADLINE | 0xe2);
	start = rdtsc();
	wrmsr(TSC_DEADLINE_MSR, start + ticks);
	GUEST_ASSERT_EQ(rdmsr(TSC_DEADLINE_MSR), start + ticks);
	sleep_until(0xe2, 1);
	end = rdtsc();
	GUEST_ASSERT_EQ(guest_irqs[0xe2], 1);
	GUEST_ASSERT(end - start >= ticks);
	/* Used up. */
	GUEST_ASSERT_EQ(rdmsr(TSC_DEADLINE_MSR), 0);
	/* In the past: at once. */
	wrmsr(TSC_DEADLINE_MSR, 1);
	sleep_until(0xe2, 2);
	GUEST_ASSERT_EQ(guest_irqs[0xe2], 2);
	/* Zero disarms. */
	for (;;) {
		end = rdtsc() + tsc_khz * 10;
		wrmsr(TSC_DEADLINE_MSR, end);
		wrmsr(TSC_DEADLINE_MSR, 0);
		/* A host that was away for so long may have let it expire. */
		if (rdtsc() < end)
			break;
		sti_nop_cli();
		guest_irqs[0xe2] = 2;
	}
	sti();
	SPIN_UNTIL(0, tsc_khz, 30);
	cli();
	GUEST_ASSERT_EQ(guest_irqs[0xe2], 2);
}

/* 100 Hz on channel 0; by the IOAPIC's pin 2, then by the PIC. */
void pit_tick(void)
{
	u64 start, ticks;
	u8 low;

	setup(false);
	start = rdtsc();
	outb(0x43, 0x34);
	outb(0x40, 11932 & 0xff);
	outb(0x40, 11932 >> 8);
	ioapic_route(2, 0x5a);
	sleep_until(0x5a, 4);
	ticks = rdtsc() - start;
	ioapic_write(0x14, APIC_MASKED);
	/* Four periods of 10 ms; a busy host makes them longer. */
	GUEST_ASSERT(ticks > tsc_khz * 39);
	/* The counter counts down from the reload value. */
	outb(0x43, 0);
	low = inb(0x40);
	GUEST_ASSERT((inb(0x40) << 8 | low) <= 11932);

	guest_irqs[0x20] = 0;
	guest_set_handler(0x20, pic_irq);
	pic_init(0x20);
	apic_write(APIC_LVT0, 0x700);
	outb(0x21, 0xfe);
	sleep_until(0x20, 3);
	outb(0x21, 0xff);
}

/* ---- x2APIC ------------------------------------------------------------------------- */

void x2apic(void)
{
	u64 base, val;

	setup(true);
	base = rdmsr(APIC_BASE_MSR);
	GUEST_ASSERT_EQ(base & (APIC_BASE_EN | APIC_BASE_X2), APIC_BASE_EN | APIC_BASE_X2);
	GUEST_ASSERT(base & APIC_BASE_BSP);
	GUEST_ASSERT_EQ(rdmsr(0x802), 0);
	GUEST_ASSERT_EQ(rdmsr(0x80d), 1);	/* logical ID: cluster 0, bit 0 */
	/* No such register, read-only ones, reserved bits. */
	GUEST_ASSERT_EQ(rdmsr_safe(0x801, &val), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr_safe(0x80e, &val), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(0x802, 1), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(0x808, 0x100), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(0x80b, 1), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(0x828, 1), GP_VECTOR);
	GUEST_ASSERT_EQ(rdmsr_safe(0x80b, &val), GP_VECTOR);	/* EOI is write-only */
	/* Back to xAPIC only by way of disabled. */
	GUEST_ASSERT_EQ(wrmsr_safe(APIC_BASE_MSR, base & ~(u64)APIC_BASE_X2), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(APIC_BASE_MSR,
				   base & ~(u64)APIC_BASE_EN), GP_VECTOR);
	wrmsr(APIC_BASE_MSR, base & ~(u64)(APIC_BASE_EN | APIC_BASE_X2));
	GUEST_ASSERT_EQ(rdmsr_safe(0x802, &val), GP_VECTOR);
	setup(false);
	GUEST_ASSERT_EQ(apic_read(APIC_ID), 0);
}

/* ---- NMI --------------------------------------------------------------------------------- */

static volatile u64 nmis, nmi_depth, nmi_nested;

static void on_nmi(struct guest_frame *f)
{
	nmis++;
	if (nmi_depth++)
		nmi_nested = 1;
	/* Another is sent now; it has to wait for IRET. */
	if (nmis == 1)
		GUEST_SYNC(2);
	nop();
	nmi_depth--;
}

void nmi(void)
{
	setup(false);
	nmis = 0;
	guest_set_handler(NMI_VECTOR, on_nmi);
	GUEST_SYNC(1);		/* interrupts are off: it comes all the same */
	nop();
	nop();
	GUEST_ASSERT_EQ(nmis, 2);
	GUEST_ASSERT_EQ(nmi_nested, 0);
}

void nmi_wakes(void)
{
	setup(false);
	nmis = 1;
	guest_set_handler(NMI_VECTOR, on_nmi);
	GUEST_SYNC(1);		/* now and then the host sends one */
	while (nmis < 4)
		hlt();
}

/* By LVT-less ways: an IPI with delivery mode NMI. */
void nmi_by_ipi(void)
{
	setup(false);
	nmis = 1;
	guest_set_handler(NMI_VECTOR, on_nmi);
	apic_ipi(0, 0x400);
	nop();
	nop();
	GUEST_ASSERT_EQ(nmis, 2);
}

/* ---- halted, woken by the host ------------------------------------------------------------- */

void wait_irqs(u64 n)
{
	setup(false);
	ioapic_route(5, 0x5c);
	GUEST_SYNC(1);
	sleep_until(0x5c, n);
}

static void resample_irq(struct guest_frame *f)
{
	guest_irqs[f->vector]++;
	apic_eoi();
}

void resample(void)
{
	setup(false);
	guest_set_handler(0x5d, resample_irq);
	ioapic_route(11, 1 << 15 | 0x5d);
	GUEST_SYNC(1);		/* the irqfd is signalled */
	sti_nop_cli();
	nop();
	GUEST_ASSERT_EQ(guest_irqs[0x5d], 1);
	GUEST_SYNC(2);		/* the host looks for the resample event */
}

/* ---- without an in-kernel controller ----------------------------------------------------- */

static void plain_irq(struct guest_frame *f)
{
	guest_irqs[f->vector]++;
}

void window(void)
{
	guest_irqs[0x60] = 0;
	guest_set_handler(0x60, plain_irq);
	GUEST_SYNC(1);		/* interrupts off: not ready */
	sti();
	nop();
	GUEST_SYNC(2);
	nop();
	cli();
	GUEST_ASSERT_EQ(guest_irqs[0x60], 1);
}

/* ---- more than one CPU ---------------------------------------------------------------------- */

extern u8 guest_trampoline[], guest_trampoline_end[];
extern u64 guest_ap_fn;
static volatile u64 ap_up, ap_stop;

static u64 ap_main(void)
{
	apic_enable(false);
	__atomic_fetch_add(&ap_up, 1, __ATOMIC_SEQ_CST);
	while (!ap_stop) {
		sti_nop_cli();
		if (!ap_stop)
			sti_hlt_cli();
	}
	return apic_read(APIC_ID) >> 24;
}

static void start_aps(u64 cpus)
{
	memcpy((void *)GUEST_TRAMPOLINE, guest_trampoline,
	       guest_trampoline_end - guest_trampoline);
	guest_ap_fn = (u64)ap_main;
	apic_write(APIC_ICR, 0xc4500);				/* INIT, all but self */
	SPIN_UNTIL(0, tsc_khz, 1);
	apic_write(APIC_ICR, 0xc4600 | GUEST_TRAMPOLINE >> 12);	/* SIPI */
	GUEST_ASSERT(SPIN_UNTIL(ap_up == cpus - 1, tsc_khz, 20000));
}

static u64 total(u8 vector)
{
	return __atomic_load_n(&guest_irqs[vector], __ATOMIC_SEQ_CST);
}

/* @n interrupts of @vector have come; waits for them. */
static void expect_total(u8 vector, u64 n)
{
	GUEST_ASSERT(SPIN_UNTIL(total(vector) >= n, tsc_khz, 20000));
	if (!may_double)
		GUEST_ASSERT_EQ(total(vector), n);
}

static void atomic_irq(struct guest_frame *f)
{
	__atomic_fetch_add(&guest_irqs[f->vector], 1, __ATOMIC_SEQ_CST);
	apic_eoi();
}

void smp(u64 cpus)
{
	u64 i;

	setup(false);
	guest_set_handler(0x70, atomic_irq);
	guest_set_handler(0x71, atomic_irq);
	start_aps(cpus);

	/* To each by its ID, to all but this one, to all. */
	for (i = 1; i < cpus; i++)
		apic_ipi(i, 0x70);
	expect_total(0x70, cpus - 1);
	apic_write(APIC_ICR, 0xc0000 | 0x71);
	expect_total(0x71, cpus - 1);
	sti();
	apic_write(APIC_ICR, 0x80000 | 0x71);
	expect_total(0x71, 2 * cpus - 1);
	cli();
	/* Many, one after the other. */
	for (i = 0; i < 50; i++) {
		u64 before = total(0x70);

		apic_ipi(1, 0x70);
		expect_total(0x70, before + 1);
	}
	ap_stop = 1;
	apic_write(APIC_ICR, 0xc0000 | 0x70);
}

/* Logical destinations: flat model, two CPUs. */
void smp_logical(u64 cpus)
{
	setup(false);
	guest_set_handler(0x72, atomic_irq);
	start_aps(cpus);
	/* The other's logical ID was never set: a message to it reaches nobody. */
	apic_write(APIC_LDR, 1 << 24);
	apic_ipi(2, 0x800 | 0x72);
	SPIN_UNTIL(0, tsc_khz, 2);
	GUEST_ASSERT_EQ(total(0x72), 0);
	apic_ipi(1, 0x800 | 0x72);
	sti_nop_cli();
	expect_total(0x72, 1);
	ap_stop = 1;
	apic_write(APIC_ICR, 0xc0000 | 0x72);
}
