// SPDX-License-Identifier: GPL-2.0
/*
 * The LAPIC's registers: reset values, which bits there are in the page and as
 * MSRs, what an ICR write sends, errors, the timer against one that is counted
 * tick by tick, and the record.
 */
#include <linux/keel.h>
#include "ktap.h"
#include "lapics.h"
#include "random.h"

static struct lapic l;

/* One register, as the manual has it. */
struct reg {
	u32 offset;
	u32 reset;		/* page */
	bool page_read, page_write, msr_read, msr_write;
	u32 bits;		/* that a write can change, with the LAPIC enabled */
	u32 ones;		/* read after all ones were written to the page */
};

static const struct reg regs[] = {
	{ LAPIC_ID, 5 << 24, 1, 1, 1, 0, 0, 5 << 24 },
	{ LAPIC_VERSION, 0x00050014, 1, 1, 1, 0, 0, 0x00050014 },
	{ LAPIC_TPR, 0, 1, 1, 1, 1, 0xff, 0xff },
	{ LAPIC_APR, 0, 1, 0, 0, 0, 0, 0 },
	{ LAPIC_PPR, 0, 1, 0, 1, 0, 0, 0 },
	{ LAPIC_EOI, 0, 0, 1, 0, 1, 0, 0 },
	{ LAPIC_RRD, 0, 1, 0, 0, 0, 0, 0 },
	{ LAPIC_LDR, 0, 1, 1, 1, 0, 0xff000000, 0xff000000 },
	{ LAPIC_DFR, 0xffffffff, 1, 1, 0, 0, 0xf0000000, 0xffffffff },
	{ LAPIC_SVR, 0xff, 1, 1, 1, 1, 0x3ff, 0x3ff },
	{ LAPIC_ESR, 0, 1, 1, 1, 1, 0, 0 },
	{ LAPIC_ICR, 0, 1, 1, 1, 1, 0x000ccfff, 0x000ccfff },
	{ LAPIC_ICR2, 0, 1, 1, 0, 0, 0xff000000, 0xff000000 },
	{ LAPIC_LVT_TIMER, 0x10000, 1, 1, 1, 1, 0x700ff, 0x700ff },
	{ LAPIC_LVT_THERMAL, 0x10000, 1, 1, 1, 1, 0x107ff, 0x107ff },
	{ LAPIC_LVT_PMC, 0x10000, 1, 1, 1, 1, 0x107ff, 0x107ff },
	{ LAPIC_LVT_LINT0, 0x10000, 1, 1, 1, 1, 0x1a7ff, 0x1a7ff },
	{ LAPIC_LVT_LINT1, 0x10000, 1, 1, 1, 1, 0x1a7ff, 0x1a7ff },
	{ LAPIC_LVT_ERROR, 0x10000, 1, 1, 1, 1, 0x100ff, 0x100ff },
	{ LAPIC_TMICT, 0, 1, 1, 1, 1, 0xffffffff, 0xffffffff },
	{ LAPIC_TMCCT, 0, 1, 0, 1, 0, 0, 0 },
	{ LAPIC_TDCR, 0, 1, 1, 1, 1, 0xb, 0xb },
	{ LAPIC_SELF_IPI, 0, 0, 0, 0, 1, 0xff, 0 },
};

static const struct reg vectors = { 0, 0, 1, 0, 1, 0, 0, 0 };

/* NULL: there is none. */
static const struct reg *reg_at(u32 offset)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(regs); i++)
		if (regs[i].offset == offset)
			return &regs[i];
	return offset >= LAPIC_ISR && offset < LAPIC_ESR ? &vectors : NULL;
}

static void enabled(u32 id, bool x2)
{
	lapics_new(&l, id);
	lapics_write(&l, LAPIC_SVR, 0x1ff);
	if (x2)
		lapics_to_x2(&l);
}

/* Which error the last access has raised. */
static u32 error(void)
{
	lapics_write(&l, LAPIC_ESR, 0);
	return lapics_read(&l, LAPIC_ESR);
}

static void page_registers(void)
{
	u32 offset;

	lapics_new(&l, 5);
	CHECK_EQ(l.base, 0xfee00800);
	for (offset = 0; offset < 4096; offset += 16) {
		const struct reg *r = reg_at(offset);
		u32 val = lapics_read(&l, offset);

		CHECK(val == (r && r->page_read ? r->reset : 0), "(%#x: %#x)", offset, val);
		CHECK(error() == (r && (r->page_read || r->page_write) ? 0 :
				  (u32)LAPIC_ESR_REGISTER), "(%#x)", offset);
	}
	lapics_free(&l);
	for (offset = 0; offset < 4096; offset += 16) {
		const struct reg *r = reg_at(offset);

		enabled(5, false);
		/* All ones disarm what would count or send; the timer's mode is one of three. */
		lapics_write(&l, offset, 0xffffffff);
		if (r && r->page_read && offset != LAPIC_ESR)
			CHECK(lapics_read(&l, offset) == (offset == LAPIC_SVR ? 0x3ff : r->ones),
			      "(%#x: %#x)", offset, lapics_read(&l, offset));
		CHECK(error() == (r && (r->page_read || r->page_write) ? 0 :
				  (u32)LAPIC_ESR_REGISTER), "(%#x)", offset);
		lapics_free(&l);
	}
	lapics_new(&l, 0);
	CHECK_EQ(l.base, 0xfee00900);
	lapics_free(&l);
	ktap_cases(512);
}

/* Each bit of each MSR: taken, ignored, or #GP. */
static void msr_registers(void)
{
	u32 index, bit;

	for (index = 0x800; index < 0x900; index++) {
		u32 offset = (index - 0x800) * 16;
		const struct reg *r = reg_at(offset);
		bool icr = offset == LAPIC_ICR;
		u64 val;

		enabled(5, true);
		CHECK(lapic_x2_read(&l, index, &val, 0) == (r && r->msr_read ? 0 : -EINVAL),
		      "(%#x)", index);
		CHECK(lapic_x2_write(&l, index, offset == LAPIC_SELF_IPI ? 0x20 : 0, 0,
				     &lapics_todo) == (r && r->msr_write ? 0 : -EINVAL),
		      "(%#x)", index);
		lapics_free(&l);
		for (bit = 0; bit < 64; bit++) {
			u64 mask = r ? r->bits : 0;
			bool is = r && r->msr_write;

			if (icr)
				mask |= 0xffffffff00000000ULL | BIT(12);
			if (offset >= LAPIC_LVT_TIMER && offset <= LAPIC_LVT_ERROR)
				mask |= BIT(12) | BIT(14);
			enabled(5, true);
			CHECK(lapic_x2_write(&l, index, BIT_ULL(bit), 0, &lapics_todo) ==
			      (is && (mask >> bit & 1) ? 0 : -EINVAL), "(%#x bit %u)", index, bit);
			lapics_free(&l);
		}
	}
	/* In the other mode there are no MSRs at all. */
	enabled(5, false);
	for (index = 0x800; index < 0x900; index++) {
		u64 val;

		CHECK_EQ(lapic_x2_read(&l, index, &val, 0), -EINVAL);
		CHECK_EQ(lapic_x2_write(&l, index, 0, 0, &lapics_todo), -EINVAL);
	}
	lapics_free(&l);
	/* Without the deadline mode its bit is reserved. */
	enabled(5, true);
	l.has_deadline = false;
	CHECK_EQ(lapic_x2_write(&l, 0x832, 0x40020, 0, &lapics_todo), -EINVAL);
	lapics_free(&l);
	ktap_cases(256 * 66);
}

static void page_access_sizes(void)
{
	enabled(5, false);
	lapics_write(&l, LAPIC_LVT_LINT1, 0x1a7ff);
	CHECK_EQ(lapic_page_read(&l, LAPIC_LVT_LINT1, 1, 0), 0xff);
	CHECK_EQ(lapic_page_read(&l, LAPIC_LVT_LINT1 + 1, 1, 0), 0xa7);
	CHECK_EQ(lapic_page_read(&l, LAPIC_LVT_LINT1 + 1, 2, 0), 0x1a7);
	CHECK_EQ(lapic_page_read(&l, LAPIC_LVT_LINT1, 8, 0), 0x1a7ff);
	CHECK_EQ(lapic_page_read(&l, LAPIC_LVT_LINT1 + 4, 4, 0), 0);
	CHECK_EQ(lapic_page_read(&l, LAPIC_LVT_LINT1 + 15, 1, 0), 0);
	CHECK_EQ(lapic_page_read(&l, 4095, 1, 0), 0);
	/* A part of a register cannot be written; eight bytes write the first four. */
	lapics_todo.what = 0;
	lapic_page_write(&l, LAPIC_TPR, 1, 0x20, 0, &lapics_todo);
	lapic_page_write(&l, LAPIC_TPR + 1, 4, 0x20, 0, &lapics_todo);
	lapic_page_write(&l, LAPIC_TPR, 2, 0x20, 0, &lapics_todo);
	CHECK_EQ(lapics_read(&l, LAPIC_TPR), 0);
	lapic_page_write(&l, LAPIC_TPR, 8, 0x9900000030ULL, 0, &lapics_todo);
	CHECK_EQ(lapics_read(&l, LAPIC_TPR), 0x30);
	lapics_free(&l);
}

static void software_disable(void)
{
	u32 lvt;

	enabled(5, false);
	for (lvt = LAPIC_LVT_TIMER; lvt <= LAPIC_LVT_ERROR; lvt += 16)
		lapics_write(&l, lvt, 0x40);
	lapics_write(&l, LAPIC_SVR, 0xff);
	for (lvt = LAPIC_LVT_TIMER; lvt <= LAPIC_LVT_ERROR; lvt += 16) {
		CHECK_EQ(lapics_read(&l, lvt), 0x10040);
		lapics_write(&l, lvt, 0x41);
		CHECK_EQ(lapics_read(&l, lvt), 0x10041);
	}
	/* Not even to itself. */
	lapics_write(&l, LAPIC_ICR, 0x40050);
	CHECK_EQ(lapic_deliverable(&l), -1);
	lapics_free(&l);
}

/* ---- ICR ------------------------------------------------------------------------- */

static const struct icr {
	u32 icr;
	u32 dest;
	bool sends;
	u32 error;
	int self;		/* vector that arrives at the sender, 0: none */
	struct irq_msg msg;
} icrs[] = {
	{ 0x000fe, 3, true, 0, 0, { .vector = 0xfe } },
	{ 0x04031, 3, true, 0, 0, { .vector = 0x31 } },
	{ 0x00831, 3, true, 0, 0, { .vector = 0x31, .logical = true } },
	{ 0x00931, 3, true, 0, 0, { .vector = 0x31, .logical = true, .mode = IRQ_MODE_LOWEST } },
	{ 0x0c031, 3, true, 0, 0, { .vector = 0x31 } },		/* level IPIs are edges */
	{ 0x0000f, 3, false, LAPIC_ESR_SEND_VECTOR, 0, { 0 } },
	{ 0x00105, 3, false, LAPIC_ESR_SEND_VECTOR, 0, { 0 } },
	{ 0x00200, 3, false, 0, 0, { 0 } },			/* SMI */
	{ 0x00300, 3, false, 0, 0, { 0 } },			/* reserved */
	{ 0x00400, 3, true, 0, 0, { .mode = IRQ_MODE_NMI } },
	{ 0x00500, 3, true, 0, 0, { .mode = IRQ_MODE_INIT } },
	{ 0x0c500, 3, true, 0, 0, { .mode = IRQ_MODE_INIT } },
	{ 0x08500, 3, false, 0, 0, { 0 } },			/* INIT level de-assert */
	{ 0x0060a, 3, true, 0, 0, { .vector = 0x0a, .mode = IRQ_MODE_SIPI } },
	{ 0x00700, 3, false, 0, 0, { 0 } },
	{ 0x40031, 3, false, 0, 0x31, { 0 } },
	{ 0x40005, 3, false, LAPIC_ESR_SEND_VECTOR, 0, { 0 } },
	{ 0x40400, 3, false, 0, 0, { 0 } },
	{ 0x80031, 3, true, 0, 0, { .vector = 0x31, .shorthand = IRQ_TO_ALL } },
	{ 0x80500, 3, false, 0, 0, { 0 } },
	{ 0x80600, 3, false, 0, 0, { 0 } },
	{ 0xc0031, 3, true, 0, 0, { .vector = 0x31, .shorthand = IRQ_TO_OTHERS } },
	{ 0xc0500, 3, true, 0, 0, { .mode = IRQ_MODE_INIT, .shorthand = IRQ_TO_OTHERS } },
	{ 0xc0400, 3, true, 0, 0, { .mode = IRQ_MODE_NMI, .shorthand = IRQ_TO_OTHERS } },
};

static void interprocessor(void)
{
	u32 i, x2;

	for (i = 0; i < 2 * ARRAY_SIZE(icrs); i++) {
		const struct icr *c = &icrs[i / 2];
		const struct irq_msg *m = &lapics_todo.msg;
		u32 dest;

		x2 = i & 1;
		enabled(5, x2);
		lapics_todo.what = 0;
		if (x2) {
			u64 val;

			dest = 0x10000 + c->dest;
			CHECK_EQ(lapic_x2_write(&l, 0x830, (u64)dest << 32 | c->icr, 0,
						&lapics_todo), 0);
			CHECK_EQ(lapic_x2_read(&l, 0x830, &val, 0), 0);
			CHECK_EQ(val, (u64)dest << 32 | c->icr);
		} else {
			dest = c->dest;
			lapics_write(&l, LAPIC_ICR2, dest << 24);
			lapics_write(&l, LAPIC_ICR, c->icr | 0x1000);
			/* The delivery status is never busy. */
			CHECK_EQ(lapics_read(&l, LAPIC_ICR), c->icr);
		}
		CHECK(!!(lapics_todo.what & LAPIC_DO_SEND) == c->sends, "(%#x)", c->icr);
		CHECK(!!(lapics_todo.what & LAPIC_DO_LOOK) == !!c->self, "(%#x)", c->icr);
		if (c->sends)
			CHECK(m->dest == dest && m->vector == c->msg.vector &&
			      m->mode == c->msg.mode && m->logical == c->msg.logical &&
			      m->shorthand == c->msg.shorthand && !m->level && m->wide == x2,
			      "(%#x)", c->icr);
		CHECK_EQ(lapic_deliverable(&l), c->self ? c->self : -1);
		CHECK(error() == c->error, "(%#x)", c->icr);
		lapics_free(&l);
	}
	ktap_cases(i);
}

static void error_interrupt(void)
{
	enabled(5, false);
	lapics_write(&l, LAPIC_LVT_ERROR, 0xfd);
	lapics_write(&l, LAPIC_ICR, 0x00003);
	CHECK(lapics_todo.what & LAPIC_DO_LOOK);
	CHECK_EQ(lapic_ack(&l), 0xfd);
	lapics_write(&l, LAPIC_EOI, 0);
	/* Of one kind once, until ESR is written. */
	lapics_write(&l, LAPIC_ICR, 0x00003);
	CHECK_EQ(lapic_deliverable(&l), -1);
	lapics_read(&l, 0x40);
	CHECK_EQ(lapic_ack(&l), 0xfd);
	CHECK_EQ(lapics_read(&l, LAPIC_ESR), 0);
	CHECK_EQ(error(), LAPIC_ESR_SEND_VECTOR | LAPIC_ESR_REGISTER);
	CHECK_EQ(error(), 0);
	/* An illegal vector in LVT itself does not go round in circles. */
	lapics_write(&l, LAPIC_LVT_ERROR, 0x03);
	lapics_write(&l, LAPIC_ICR, 0x00003);
	CHECK_EQ(error(), LAPIC_ESR_SEND_VECTOR);
	lapics_free(&l);
}

/* ---- timer ------------------------------------------------------------------------ */

static const struct { u32 tdcr, divide; } dividers[] = {
	{ 0x0, 2 }, { 0x1, 4 }, { 0x2, 8 }, { 0x3, 16 },
	{ 0x8, 32 }, { 0x9, 64 }, { 0xa, 128 }, { 0xb, 1 },
};

static u32 count_at(u64 now)
{
	u64 val = 0;

	CHECK_EQ(lapic_page_read(&l, LAPIC_TMCCT, 4, now) >> 32, 0);
	val = lapic_page_read(&l, LAPIC_TMCCT, 4, now);
	return (u32)val;
}

/* The count, one clock after the other, with dividers that change on the way. */
static void timer_counts_down(void)
{
	u32 run;

	for (run = 0; run < 400; run++) {
		u32 d = random_below(8), count = 1 + random_below(500), i;
		u64 now = random_u64() >> 20;
		u32 divide = dividers[d].divide;

		enabled(5, false);
		lapics_write(&l, LAPIC_LVT_TIMER, 0x50);
		lapics_write(&l, LAPIC_TDCR, dividers[d].tdcr);
		lapics_write_at(&l, LAPIC_TMICT, count, now);
		CHECK(lapics_todo.what & LAPIC_DO_TIMER);
		while (count) {
			CHECK(l.target != LAPIC_TIMER_OFF);
			CHECK_EQ(count_at(now), count);
			CHECK_EQ(lapic_timer_left(&l, now), (u64)count * divide);
			if (random_below(40) == 0) {
				i = random_below(8);
				lapics_write_at(&l, LAPIC_TDCR, dividers[i].tdcr, now);
				divide = dividers[i].divide;
				continue;
			}
			/* Between clocks it stands. */
			CHECK_EQ(count_at(now + divide - 1), count);
			now += divide;
			count--;
			lapic_timer_expire(&l, now - 1);
			CHECK_EQ(lapic_deliverable(&l), -1);
		}
		lapic_timer_expire(&l, now);
		CHECK_EQ(lapic_ack(&l), 0x50);
		CHECK_EQ(count_at(now), 0);
		CHECK_EQ(l.target, LAPIC_TIMER_OFF);
		lapics_free(&l);
	}
	ktap_cases(run);
}

/* Every tick of a periodic timer arrives once, in step, however late the owner looks. */
static void timer_periodic(void)
{
	u32 run;

	for (run = 0; run < 200; run++) {
		u32 count = 200000 + random_below(2000000), i;
		u64 start = random_u64() >> 20, now = start, taken = 0, lost;

		enabled(5, false);
		lapics_write(&l, LAPIC_LVT_TIMER, 0x20050);
		lapics_write(&l, LAPIC_TDCR, 0xb);
		lapics_write_at(&l, LAPIC_TMICT, count, now);
		for (i = 0; i < 300; i++) {
			/* Late by up to 20 ticks, then in time until all is taken. */
			now += random_below(i % 30 ? count / 2 : count * 20);
			lapic_timer_expire(&l, now);
			CHECK(l.target > now && l.target - now <= count);
			CHECK_EQ((l.target - start) % count, 0);
			CHECK(count_at(now) > 0 && count_at(now) <= count);
			/* A tick may find the one before it waiting. */
			while ((i % 30 > 15 || random_below(2)) && lapic_ack(&l) >= 0) {
				taken++;
				lapics_write(&l, LAPIC_EOI, 0);
			}
		}
		CHECK_EQ(taken, (now - start) / count);
		/* More than the bound is dropped. */
		lost = l.backlog;
		CHECK_EQ(lost, 0);
		lapic_timer_expire(&l, l.target + 1000ULL * count);
		for (i = 0; lapic_ack(&l) >= 0; i++)
			lapics_write(&l, LAPIC_EOI, 0);
		CHECK_EQ(i, 1 + LAPIC_MAX_BACKLOG);
		/* Masked ticks are not kept. */
		lapics_write(&l, LAPIC_LVT_TIMER, 0x30050);
		lapic_timer_expire(&l, l.target + 10ULL * count);
		lapics_write(&l, LAPIC_LVT_TIMER, 0x20050);
		CHECK_EQ(lapic_ack(&l), -1);
		/* Neither are those that were kept when the LAPIC is disabled. */
		lapic_timer_expire(&l, l.target + 10ULL * count);
		lapics_write(&l, LAPIC_SVR, 0xff);
		CHECK_EQ(lapic_ack(&l), 0x50);
		lapics_write(&l, LAPIC_EOI, 0);
		CHECK_EQ(lapic_ack(&l), -1);
		lapics_free(&l);
	}
	ktap_cases(run);
}

static void timer_rules(void)
{
	/* A period that is too short for the host is stretched. */
	enabled(5, false);
	lapics_write(&l, LAPIC_LVT_TIMER, 0x20050);
	lapics_write_at(&l, LAPIC_TMICT, 10, 1000);
	CHECK_EQ(l.target, 1000 + LAPIC_MIN_PERIOD_NS);
	CHECK_EQ(count_at(1000), 10);
	lapic_timer_expire(&l, l.target);
	CHECK_EQ(l.target, 1000 + 2 * LAPIC_MIN_PERIOD_NS);
	/* One-shot it is not, and the counter goes on when the mode changes. */
	lapics_write(&l, LAPIC_LVT_TIMER, 0x50);
	CHECK_EQ(l.target, 1000 + 2 * LAPIC_MIN_PERIOD_NS);
	lapics_write_at(&l, LAPIC_TMICT, 10, 1000);
	CHECK_EQ(l.target, 1020);
	/* Zero stops. */
	lapics_write_at(&l, LAPIC_TMICT, 0, 1000);
	CHECK_EQ(l.target, LAPIC_TIMER_OFF);
	CHECK(lapics_todo.what & LAPIC_DO_TIMER);
	/* To the deadline mode and back disarms; there the count is not written. */
	lapics_write_at(&l, LAPIC_TMICT, 10, 1000);
	lapics_write(&l, LAPIC_LVT_TIMER, 0x40050);
	CHECK_EQ(l.target, LAPIC_TIMER_OFF);
	CHECK(lapics_todo.what & LAPIC_DO_TIMER);
	lapics_write_at(&l, LAPIC_TMICT, 10, 1000);
	CHECK_EQ(lapics_read(&l, LAPIC_TMICT), 0);
	CHECK_EQ(l.target, LAPIC_TIMER_OFF);
	l.deadline = 77;
	l.target = 5000;
	CHECK_EQ(count_at(1000), 0);
	CHECK_EQ(lapic_timer_left(&l, 1000), 0);
	lapic_timer_expire(&l, 5000);
	CHECK_EQ(l.deadline, 0);
	CHECK_EQ(l.target, LAPIC_TIMER_OFF);
	CHECK_EQ(lapic_ack(&l), 0x50);
	l.deadline = 78;
	l.target = 6000;
	lapics_write(&l, LAPIC_LVT_TIMER, 0x50);
	CHECK_EQ(l.deadline, 0);
	CHECK_EQ(l.target, LAPIC_TIMER_OFF);
	/* A masked one-shot expires in silence. */
	lapics_write(&l, LAPIC_EOI, 0);
	lapics_write(&l, LAPIC_LVT_TIMER, 0x10050);
	lapics_write_at(&l, LAPIC_TMICT, 10, 1000);
	lapic_timer_expire(&l, 5000);
	CHECK_EQ(lapic_ack(&l), -1);
	CHECK_EQ(l.target, LAPIC_TIMER_OFF);
	/* The mode that does not exist does not run. */
	lapics_write(&l, LAPIC_LVT_TIMER, 0x60050);
	lapics_write_at(&l, LAPIC_TMICT, 10, 1000);
	CHECK_EQ(l.target, LAPIC_TIMER_OFF);
	lapics_free(&l);
	/* Without the deadline mode its bit is not there. */
	enabled(5, false);
	l.has_deadline = false;
	lapics_write(&l, LAPIC_LVT_TIMER, 0x70050);
	CHECK_EQ(lapics_read(&l, LAPIC_LVT_TIMER), 0x30050);
	lapics_free(&l);
}

/* ---- record ------------------------------------------------------------------------- */

static void random_write(u64 now)
{
	u32 offset = random_below(64) * 16;
	u64 val = random_u64() >> random_below(64);

	if (random_below(4) == 0)
		lapic_post(&l, (u8)random_below(256), random_below(2));
	if (random_below(4) == 0) {
		if (lapic_has_posted(&l))
			lapic_merge(&l);
		lapic_ack(&l);
	}
	if (offset == LAPIC_SVR && random_below(4))
		val |= 0x100;
	lapics_todo.what = 0;
	if (lapic_x2(&l))
		lapic_x2_write(&l, 0x800 + offset / 16, val, now, &lapics_todo);
	else
		lapic_page_write(&l, offset, 4, val, now, &lapics_todo);
	if (lapic_timer_mode(&l) == LAPIC_TIMER_DEADLINE && random_below(3) == 0) {
		l.deadline = random_u64();
		l.target = now + 1000;
	}
}

static void record(void)
{
	struct keel_rec_lapic rec, again;
	struct lapic other;
	u32 run, i, bad;

	for (run = 0; run < 4000; run++) {
		u64 now = random_u64() >> 20, shift = random_u64() >> 20;
		u32 id = random_below(64);

		enabled(id, random_below(2));
		for (i = 0; i < 60; i++) {
			random_write(now);
			now += random_below(10000);
			if (l.target <= now)
				lapic_timer_expire(&l, now);
		}
		lapic_model_save(&l, &rec, now);
		if (!CHECK(lapic_model_check(&l, &rec, &bad) == 0, "(blames %#x)", bad))
			return;
		lapics_new(&other, id);
		if (lapic_x2(&l))
			lapics_to_x2(&other);
		lapic_post(&other, 0x99, true);
		lapic_model_load(&other, &rec, shift);
		lapic_merge(&other);
		lapic_model_save(&other, &again, shift);
		CHECK(!memcmp(&rec, &again, sizeof(rec)));
		CHECK_EQ(lapic_deliverable(&other), lapic_deliverable(&l));
		CHECK_EQ(lapic_ppr(&other), lapic_ppr(&l));
		CHECK_EQ(other.deadline, l.deadline);
		if (rec.timer_left_ns) {
			CHECK_EQ(other.target - shift, l.target - now);
			CHECK_EQ(other.period, l.period);
		}
		lapics_free(&other);
		lapics_free(&l);
	}
	ktap_cases(run);
}

/* Each bit of the page, flipped, is refused at its place, or is one that may be so. */
static void record_bits(void)
{
	struct keel_rec_lapic rec;
	u32 offset, bit, bad, word, refused = 0;

	/* An ID whose two forms differ in more than a bit. */
	enabled(37, false);
	for (offset = 0; offset < 1024; offset += 4) {
		const struct reg *r = offset & 15 ? NULL : reg_at(offset);
		u32 may = 0;

		if (r == &vectors)
			may = offset & 0x70 ? ~0U : 0xffff0000;
		else if (r && r->page_read)
			may = r->bits;
		if (offset == LAPIC_PPR)
			may = 0xff;
		if (offset == LAPIC_ESR)
			may = 0xe0;
		if (offset == LAPIC_ICR2)
			may = ~0U;
		for (bit = 0; bit < 32; bit++) {
			bool is = may >> bit & 1;

			lapic_model_save(&l, &rec, 0);
			memcpy(&word, rec.regs + offset, 4);
			word ^= 1U << bit;
			memcpy(rec.regs + offset, &word, 4);
			bad = 9999;
			if (!CHECK(lapic_model_check(&l, &rec, &bad) == (is ? 0 : -EINVAL),
				   "(%#x bit %u)", offset, bit))
				continue;
			if (!is) {
				refused++;
				CHECK(bad == offset, "(%#x bit %u: blames %#x)", offset, bit, bad);
			}
		}
	}
	CHECK(refused > 5000);
	lapics_free(&l);
	ktap_cases(8192);
}

static void set_rec(struct keel_rec_lapic *rec, u32 offset, u32 val)
{
	memcpy(rec->regs + offset, &val, sizeof(val));
}

static void record_refuses(void)
{
	struct keel_rec_lapic base, rec;
	u32 bad;

#define REFUSED(at) do {						\
		bad = 9999;						\
		CHECK_EQ(lapic_model_check(&l, &rec, &bad), -EINVAL);	\
		CHECK_EQ(bad, at);					\
		rec = base;						\
	} while (0)
	enabled(5, false);
	lapic_model_save(&l, &base, 0);
	rec = base;
	set_rec(&rec, LAPIC_ID, 6 << 24);
	REFUSED(LAPIC_ID);
	set_rec(&rec, LAPIC_VERSION, 0x01050014);
	REFUSED(LAPIC_VERSION);
	/* Disabled, with a local vector that is not masked. */
	set_rec(&rec, LAPIC_SVR, 0xff);
	set_rec(&rec, LAPIC_LVT_PMC, 0x400);
	REFUSED(LAPIC_LVT_PMC);
	set_rec(&rec, LAPIC_TMICT, 5);
	set_rec(&rec, LAPIC_TMCCT, 6);
	REFUSED(LAPIC_TMCCT);
	rec.tsc_deadline = 1;
	REFUSED(offsetof(struct keel_rec_lapic, tsc_deadline));
	rec.timer_left_ns = 1;
	REFUSED(offsetof(struct keel_rec_lapic, timer_left_ns));
	set_rec(&rec, LAPIC_TMICT, 100000);
	rec.timer_left_ns = 100000 * 128 + 1;
	REFUSED(offsetof(struct keel_rec_lapic, timer_left_ns));
	set_rec(&rec, LAPIC_TMICT, 100000);
	set_rec(&rec, LAPIC_LVT_TIMER, 0x50050);
	rec.timer_left_ns = 1;
	REFUSED(offsetof(struct keel_rec_lapic, timer_left_ns));
	rec.reserved = 1;
	REFUSED(offsetof(struct keel_rec_lapic, reserved));
	l.has_deadline = false;
	set_rec(&rec, LAPIC_LVT_TIMER, 0x50050);
	REFUSED(LAPIC_LVT_TIMER);
	CHECK_EQ(lapic_model_check(&l, &base, &bad), 0);
	/* The IDs of both modes are right: the mode is not in this record. */
	set_rec(&rec, LAPIC_ID, 5);
	set_rec(&rec, LAPIC_LDR, 1 << 5);
	CHECK_EQ(lapic_model_check(&l, &rec, &bad), 0);
	lapic_model_load(&l, &rec, 0);
	CHECK_EQ(lapics_read(&l, LAPIC_ID), 5 << 24);
	lapics_free(&l);
}

/* What a CPU that has the page stores by itself, and then tells of. */
static void written_by_the_cpu(void)
{
	static const u16 offsets[] = {
		LAPIC_ID, LAPIC_TPR, LAPIC_EOI, LAPIC_LDR, LAPIC_DFR, LAPIC_SVR, LAPIC_ESR,
		LAPIC_ICR, LAPIC_ICR2, LAPIC_LVT_TIMER, LAPIC_LVT_THERMAL, LAPIC_LVT_PMC,
		LAPIC_LVT_LINT0, LAPIC_LVT_LINT1, LAPIC_LVT_ERROR, LAPIC_TMICT, LAPIC_TDCR,
	};
	struct lapic_todo todo, want;
	struct lapic by_cpu;
	u32 i, rounds = 200000;
	u64 now = 0;

	enabled(5, false);
	lapics_new(&by_cpu, 5);
	lapics_write(&by_cpu, LAPIC_SVR, 0x1ff);
	for (i = 0; i < rounds; i++) {
		u32 offset = offsets[random_below(ARRAY_SIZE(offsets))];
		u32 val = (u32)random_u64() >> (random_below(4) * 8);

		/* Mostly on, or nothing would be tested but being off. */
		if (offset == LAPIC_SVR && random_below(16))
			val |= 0x100;
		now += random_below(100000);
		todo.what = 0;
		want.what = 0;
		lapic_page_write(&l, offset, 4, val, now, &want);
		by_cpu.regs[offset / 4] = val;
		lapic_written(&by_cpu, offset, now, &todo);
		/* The CPU has no place for the value of an EOI. */
		by_cpu.regs[LAPIC_EOI / 4] = 0;
		if (!CHECK(!memcmp(l.regs, by_cpu.regs, 4096), "(%#x <- %#x)", offset, val) ||
		    !CHECK_EQ(todo.what, want.what) || !CHECK_EQ(by_cpu.target, l.target) ||
		    !CHECK_EQ(by_cpu.period, l.period) || !CHECK_EQ(by_cpu.esr, l.esr))
			break;
		if (want.what & LAPIC_DO_SEND)
			CHECK(!memcmp(&todo.msg, &want.msg, sizeof(want.msg)));
	}
	lapics_free(&by_cpu);
	lapics_free(&l);
	ktap_cases(rounds);
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(page_registers),
		KTAP_TEST(msr_registers),
		KTAP_TEST(page_access_sizes),
		KTAP_TEST(software_disable),
		KTAP_TEST(interprocessor),
		KTAP_TEST(error_interrupt),
		KTAP_TEST(timer_counts_down),
		KTAP_TEST(timer_periodic),
		KTAP_TEST(timer_rules),
		KTAP_TEST(written_by_the_cpu),
		KTAP_TEST(record),
		KTAP_TEST(record_bits),
		KTAP_TEST(record_refuses),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
