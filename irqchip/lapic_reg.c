// SPDX-License-Identifier: GPL-2.0
/*
 * The LAPIC's registers as a guest reads and writes them, through the page or
 * as MSRs, the timer behind them, and their record.  Pure.  What an interrupt
 * does once it is there is in lapic.c.
 */
#include <linux/keel.h>
#include "irqchip/lapic_int.h"

#define REG(l, offset)		((l)->regs[(offset) / sizeof(u32)])

/* ICR, low half */
#define ICR_WRITABLE		0x000ccfffU
#define ICR_BUSY		BIT(12)
#define ICR_LOGICAL		BIT(11)
#define ICR_ASSERT		BIT(14)
#define ICR_LEVEL		BIT(15)

/* LVT entries; what hardware sets may be written, to no effect */
#define LVT_READ_ONLY		(BIT(12) | BIT(14))
#define LVT_TIMER_MODE		0x60000U
#define LVT_TIMER_DEADLINE	0x40000U
#define LVT_TIMER_MASK		0x700ffU
#define LVT_MASK		0x107ffU
#define LVT_LINT_MASK		0x1a7ffU
#define LVT_ERROR_MASK		0x100ffU

#define SVR_WRITABLE		0x3ffU
#define DFR_ONES		0x0fffffffU
#define TDCR_WRITABLE		0xbU
#define FIRST_LEGAL_VECTOR	16

/* ---- timer ------------------------------------------------------------------ */

/* ns of one count. */
static u32 timer_tick(const struct lapic *l)
{
	u32 tdcr = l->timer_tdcr;
	u32 code = (tdcr & 3) | (tdcr & 8) >> 1;

	return 1U << ((code + 1) & 7);
}

static bool timer_counts(const struct lapic *l)
{
	return lapic_timer_mode(l) <= LAPIC_TIMER_PERIODIC;
}

/* From one expiry to the next, or from the start to the first. */
static u64 timer_step(const struct lapic *l)
{
	if (lapic_timer_mode(l) == LAPIC_TIMER_PERIODIC)
		return max_t(u64, l->period, LAPIC_MIN_PERIOD_NS);
	return l->period;
}

static void timer_stop(struct lapic *l)
{
	l->target = LAPIC_TIMER_OFF;
	l->period = 0;
	l->deadline = 0;
	l->backlog = 0;
}

u64 lapic_timer_left(const struct lapic *l, u64 now)
{
	if (l->target == LAPIC_TIMER_OFF || !timer_counts(l))
		return 0;
	return l->target > now ? l->target - now : 1;
}

static u32 timer_count(const struct lapic *l, u64 now)
{
	u64 left = lapic_timer_left(l, now), count;
	u32 initial = lapic_reg(l, LAPIC_TMICT);

	if (!left)
		return 0;
	/* A period that was stretched counts from its end; it shows at most the start. */
	count = div_u64(left + timer_tick(l) - 1, timer_tick(l));
	return (u32)min_t(u64, count, initial);
}

void lapic_timer_expire(struct lapic *l, u64 now)
{
	u32 lvt = lapic_reg(l, LAPIC_LVT_TIMER);
	u64 missed;

	if (l->target > now)
		return;
	if (lapic_timer_mode(l) != LAPIC_TIMER_PERIODIC) {
		lapic_local(l, lvt);
		l->target = LAPIC_TIMER_OFF;
		l->deadline = 0;
		return;
	}
	missed = div64_u64(now - l->target, timer_step(l));
	l->target += (missed + 1) * timer_step(l);
	if (lvt & LAPIC_LVT_MASKED)
		return;
	if (!lapic_local(l, lvt))
		missed++;
	l->backlog = (u32)min_t(u64, l->backlog + missed, LAPIC_MAX_BACKLOG);
}

/* ---- writes ------------------------------------------------------------------ */

/* One write of a register. */
struct reg_write {
	u32 offset;
	u32 val;		/* the writable bits */
	u64 now;
	struct lapic_todo *todo;
};

/* Access: in the page and as an MSR. */
#define PR	BIT(0)
#define PW	BIT(1)
#define MR	BIT(2)
#define MW	BIT(3)

struct reg_desc {
	u32 writable;		/* bits; others are ignored in the page, #GP in an MSR; 0: none */
	u32 record;		/* bits that the record may have set */
	u8 access;
	void (*write)(struct lapic *l, const struct reg_write *w);	/* NULL: store */
};

static void write_tpr(struct lapic *l, const struct reg_write *w)
{
	lapic_set_tpr(l, (u8)w->val, w->todo);
}

static void write_eoi(struct lapic *l, const struct reg_write *w)
{
	lapic_eoi(l, w->todo);
}

static void write_dfr(struct lapic *l, const struct reg_write *w)
{
	WRITE_ONCE(REG(l, LAPIC_DFR), w->val | DFR_ONES);
}

static void write_svr(struct lapic *l, const struct reg_write *w)
{
	u32 lvt;

	WRITE_ONCE(REG(l, LAPIC_SVR), w->val);
	/* It takes part from now on, or no more. */
	w->todo->what |= LAPIC_DO_MODE;
	if (w->val & LAPIC_SVR_ENABLE)
		return;
	for (lvt = LAPIC_LVT_TIMER; lvt <= LAPIC_LVT_ERROR; lvt += 0x10)
		REG(l, lvt) |= LAPIC_LVT_MASKED;
	l->backlog = 0;
}

static void write_esr(struct lapic *l, const struct reg_write *w)
{
	REG(l, w->offset) = l->esr;
	l->esr = 0;
}

static void write_lvt(struct lapic *l, const struct reg_write *w)
{
	u32 val = w->val;

	if (!(lapic_reg(l, LAPIC_SVR) & LAPIC_SVR_ENABLE))
		val |= LAPIC_LVT_MASKED;
	WRITE_ONCE(REG(l, w->offset), val);
	/* The PIC's output may wait at LINT0. */
	if (w->offset == LAPIC_LVT_LINT0 && lapic_accepts_extint(l))
		w->todo->what |= LAPIC_DO_LOOK;
}

static void write_lvt_timer(struct lapic *l, const struct reg_write *w)
{
	u32 was = l->timer_lvt & LVT_TIMER_MODE;
	u32 is = w->val & LVT_TIMER_MODE;

	write_lvt(l, w);
	l->timer_lvt = w->val;
	if (w->val & LAPIC_LVT_MASKED)
		l->backlog = 0;
	/* One-shot and periodic share the counter; every other change disarms. */
	if (was != is && ((was | is) & LVT_TIMER_DEADLINE)) {
		REG(l, LAPIC_TMICT) = 0;
		timer_stop(l);
		w->todo->what |= LAPIC_DO_TIMER;
	}
}

static void write_tmict(struct lapic *l, const struct reg_write *w)
{
	REG(l, LAPIC_TMICT) = timer_counts(l) ? w->val : 0;
	if (!timer_counts(l))
		return;
	timer_stop(l);
	if (w->val) {
		l->period = (u64)w->val * timer_tick(l);
		l->target = w->now + timer_step(l);
	}
	w->todo->what |= LAPIC_DO_TIMER;
}

static void write_tdcr(struct lapic *l, const struct reg_write *w)
{
	u32 count = timer_count(l, w->now);

	REG(l, LAPIC_TDCR) = w->val;
	l->timer_tdcr = w->val;
	if (!count)
		return;
	/* The counter stands where it stood and goes on at the new rate. */
	l->period = (u64)lapic_reg(l, LAPIC_TMICT) * timer_tick(l);
	l->target = w->now + (u64)count * timer_tick(l);
	w->todo->what |= LAPIC_DO_TIMER;
}

static void send_self(struct lapic *l, u8 vector, struct lapic_todo *todo)
{
	if (!(lapic_reg(l, LAPIC_SVR) & LAPIC_SVR_ENABLE))
		return;
	lapic_accept(l, vector, false);
	lapic_look(l, todo);
}

/* Sends what ICR holds now. */
static void send_icr(struct lapic *l, u32 dest, struct lapic_todo *todo)
{
	u32 icr = lapic_reg(l, LAPIC_ICR);
	u8 mode = icr >> 8 & 7, shorthand = icr >> 18 & 3, vector = icr & 0xff;
	bool fixed = mode == IRQ_MODE_FIXED || mode == IRQ_MODE_LOWEST;

	if (fixed && vector < FIRST_LEGAL_VECTOR) {
		lapic_error(l, LAPIC_ESR_SEND_VECTOR);
		lapic_look(l, todo);
		return;
	}
	if (!fixed && mode != IRQ_MODE_NMI && mode != IRQ_MODE_INIT && mode != IRQ_MODE_SIPI)
		return;
	/* INIT level de-assert: synchronizes arbitration IDs of old buses. */
	if (mode == IRQ_MODE_INIT && (icr & ICR_LEVEL) && !(icr & ICR_ASSERT))
		return;
	if (shorthand == IRQ_TO_SELF) {
		if (fixed)
			send_self(l, vector, todo);
		return;
	}
	/* No CPU resets itself. */
	if (shorthand == IRQ_TO_ALL && (mode == IRQ_MODE_INIT || mode == IRQ_MODE_SIPI))
		return;
	todo->what |= LAPIC_DO_SEND;
	todo->msg = (struct irq_msg){
		.dest = dest,
		.vector = vector,
		.mode = mode,
		.shorthand = shorthand,
		.logical = icr & ICR_LOGICAL,
		.wide = lapic_x2(l),
	};
}

static void write_icr(struct lapic *l, const struct reg_write *w)
{
	REG(l, LAPIC_ICR) = w->val;
	send_icr(l, lapic_reg(l, LAPIC_ICR2) >> 24, w->todo);
}

static void write_self_ipi(struct lapic *l, const struct reg_write *w)
{
	if (w->val < FIRST_LEGAL_VECTOR) {
		lapic_error(l, LAPIC_ESR_SEND_VECTOR);
		lapic_look(l, w->todo);
	} else {
		send_self(l, (u8)w->val, w->todo);
	}
}

#define R(off, acc, wr, rec, fn) \
	[(off) >> 4] = { \
		.access = (acc), .writable = (wr), .record = (rec), .write = (fn), \
	}
/* The lowest word of a vector bitmap, without the vectors that are illegal, and the others. */
#define VECTORS_LOW(off)	R(off, PR | MR, 0, 0xffff0000, NULL)
#define VECTORS_HIGH(from, to) \
	[(from) >> 4 ... (to) >> 4] = { .access = PR | MR, .record = ~0U }

/* Every register there is; the record's masks of ID, LDR and VERSION are in the check. */
static const struct reg_desc reg_table[LAPIC_REGS_SIZE >> 4] = {
	R(LAPIC_ID, PR | PW | MR, 0, ~0U, NULL),
	R(LAPIC_VERSION, PR | PW | MR, 0, ~0U, NULL),
	R(LAPIC_TPR, PR | PW | MR | MW, 0xff, 0xff, write_tpr),
	R(LAPIC_APR, PR, 0, 0, NULL),
	R(LAPIC_PPR, PR | MR, 0, 0xff, NULL),
	R(LAPIC_EOI, PW | MW, 0, 0, write_eoi),
	R(LAPIC_RRD, PR, 0, 0, NULL),
	R(LAPIC_LDR, PR | PW | MR, 0xff000000, ~0U, NULL),
	R(LAPIC_DFR, PR | PW, 0xf0000000, ~0U, write_dfr),
	R(LAPIC_SVR, PR | PW | MR | MW, SVR_WRITABLE, SVR_WRITABLE, write_svr),
	VECTORS_LOW(LAPIC_ISR),
	VECTORS_HIGH(LAPIC_ISR + 0x10, LAPIC_ISR + 0x70),
	VECTORS_LOW(LAPIC_TMR),
	VECTORS_HIGH(LAPIC_TMR + 0x10, LAPIC_TMR + 0x70),
	VECTORS_LOW(LAPIC_IRR),
	VECTORS_HIGH(LAPIC_IRR + 0x10, LAPIC_IRR + 0x70),
	R(LAPIC_ESR, PR | PW | MR | MW, 0, LAPIC_ESR_ALL, write_esr),
	R(LAPIC_ICR, PR | PW | MR | MW, ICR_WRITABLE, ICR_WRITABLE, write_icr),
	R(LAPIC_ICR2, PR | PW, 0xff000000, ~0U, NULL),
	R(LAPIC_LVT_TIMER, PR | PW | MR | MW, LVT_TIMER_MASK, LVT_TIMER_MASK, write_lvt_timer),
	R(LAPIC_LVT_THERMAL, PR | PW | MR | MW, LVT_MASK, LVT_MASK, write_lvt),
	R(LAPIC_LVT_PMC, PR | PW | MR | MW, LVT_MASK, LVT_MASK, write_lvt),
	R(LAPIC_LVT_LINT0, PR | PW | MR | MW, LVT_LINT_MASK, LVT_LINT_MASK, write_lvt),
	R(LAPIC_LVT_LINT1, PR | PW | MR | MW, LVT_LINT_MASK, LVT_LINT_MASK, write_lvt),
	R(LAPIC_LVT_ERROR, PR | PW | MR | MW, LVT_ERROR_MASK, LVT_ERROR_MASK, write_lvt),
	R(LAPIC_TMICT, PR | PW | MR | MW, ~0U, ~0U, write_tmict),
	R(LAPIC_TMCCT, PR | MR, 0, ~0U, NULL),
	R(LAPIC_TDCR, PR | PW | MR | MW, TDCR_WRITABLE, TDCR_WRITABLE, write_tdcr),
	R(LAPIC_SELF_IPI, MW, 0xff, 0, write_self_ipi),
};

static u32 reg_writable(const struct lapic *l, u32 offset)
{
	u32 writable = reg_table[offset >> 4].writable;

	if (offset == LAPIC_LVT_TIMER && !l->has_deadline)
		return writable & ~LVT_TIMER_DEADLINE;
	return writable;
}

static u32 reg_read(struct lapic *l, u32 offset, u64 now)
{
	switch (offset) {
	case LAPIC_PPR:
		return lapic_ppr(l);
	case LAPIC_TMCCT:
		return timer_count(l, now);
	default:
		/* Of IRR and TMR too: what is posted belongs there. */
		if (lapic_has_posted(l))
			lapic_merge(l);
		return lapic_reg(l, offset);
	}
}

static void reg_write(struct lapic *l, struct reg_write *w)
{
	const struct reg_desc *reg = &reg_table[w->offset >> 4];

	w->val &= reg_writable(l, w->offset);
	if (reg->write)
		reg->write(l, w);
	else if (reg->writable)
		WRITE_ONCE(REG(l, w->offset), w->val);
}

static void no_register(struct lapic *l, struct lapic_todo *todo)
{
	lapic_error(l, LAPIC_ESR_REGISTER);
	if (todo)
		lapic_look(l, todo);
}

u64 lapic_page_read(struct lapic *l, u32 offset, u32 len, u64 now)
{
	const struct reg_desc *reg = &reg_table[offset >> 4 & 0x3f];
	u64 val;

	if (offset >= LAPIC_REGS_SIZE || !(reg->access & (PR | PW))) {
		no_register(l, NULL);
		return 0;
	}
	/* A register is the first four of its sixteen bytes. */
	if ((offset & 15) >= 4 || !(reg->access & PR))
		return 0;
	val = reg_read(l, offset & ~15U, now) >> (offset & 3) * 8;
	return len >= 4 ? val : val & ((1ULL << len * 8) - 1);
}

void lapic_page_write(struct lapic *l, u32 offset, u32 len, u64 val, u64 now,
		      struct lapic_todo *todo)
{
	const struct reg_desc *reg = &reg_table[offset >> 4 & 0x3f];

	if (offset >= LAPIC_REGS_SIZE || !(reg->access & (PR | PW))) {
		no_register(l, todo);
		return;
	}
	/* Only whole registers can be written. */
	if ((offset & 15) || len < 4 || !(reg->access & PW))
		return;
	reg_write(l, &(struct reg_write){ offset, (u32)val, now, todo });
}

/* The register of an MSR that can be accessed so, in the x2APIC mode. */
static bool x2_register(const struct lapic *l, u32 index, u8 access)
{
	u32 i = index - LAPIC_X2_FIRST;

	return i < ARRAY_SIZE(reg_table) && (reg_table[i].access & access) && lapic_x2(l);
}

int lapic_x2_read(struct lapic *l, u32 index, u64 *val, u64 now)
{
	u32 offset = (index - LAPIC_X2_FIRST) << 4;

	if (!x2_register(l, index, MR))
		return -EINVAL;
	*val = reg_read(l, offset, now);
	if (offset == LAPIC_ICR)
		*val |= (u64)lapic_reg(l, LAPIC_ICR2) << 32;
	return 0;
}

int lapic_x2_write(struct lapic *l, u32 index, u64 val, u64 now, struct lapic_todo *todo)
{
	u32 offset = (index - LAPIC_X2_FIRST) << 4, ignored = 0;

	if (!x2_register(l, index, MW))
		return -EINVAL;
	if (offset == LAPIC_ICR) {
		if ((u32)val & ~(ICR_WRITABLE | ICR_BUSY))
			return -EINVAL;
		REG(l, LAPIC_ICR) = (u32)val & ICR_WRITABLE;
		REG(l, LAPIC_ICR2) = (u32)(val >> 32);
		send_icr(l, (u32)(val >> 32), todo);
		return 0;
	}
	if (offset >= LAPIC_LVT_TIMER && offset <= LAPIC_LVT_ERROR)
		ignored = LVT_READ_ONLY;
	if (val & ~(u64)(reg_writable(l, offset) | ignored))
		return -EINVAL;
	reg_write(l, &(struct reg_write){ offset, (u32)val, now, todo });
	return 0;
}

void lapic_written(struct lapic *l, u32 offset, u64 now, struct lapic_todo *todo)
{
	const struct reg_desc *reg = &reg_table[offset >> 4 & 0x3f];

	offset &= ~15U;
	if (offset >= LAPIC_REGS_SIZE)
		return;
	/* What nobody can write is as it was. */
	if (offset == LAPIC_ID)
		lapic_set_ids(l);
	else if (reg->access & (PW | MW))
		reg_write(l, &(struct reg_write){ offset, REG(l, offset), now, todo });
}

/* ---- record ------------------------------------------------------------------ */

void lapic_model_save(struct lapic *l, struct keel_rec_lapic *rec, u64 now)
{
	u32 ppr = lapic_ppr(l), count = timer_count(l, now);

	if (lapic_has_posted(l))
		lapic_merge(l);
	memset(rec, 0, sizeof(*rec));
	memcpy(rec->regs, l->regs, sizeof(rec->regs));
	memcpy(rec->regs + LAPIC_PPR, &ppr, sizeof(ppr));
	memcpy(rec->regs + LAPIC_TMCCT, &count, sizeof(count));
	rec->tsc_deadline = l->deadline;
	rec->timer_left_ns = lapic_timer_left(l, now);
}

static u32 rec_reg(const struct keel_rec_lapic *rec, u32 offset)
{
	u32 val;

	memcpy(&val, rec->regs + offset, sizeof(val));
	return val;
}

/* Constraints between bits that a mask cannot say. */
static bool rec_reg_valid(const struct lapic *l, const struct keel_rec_lapic *rec, u32 offset,
			  u32 val)
{
	switch (offset) {
	case LAPIC_ID:
		return val == l->id || val == l->id << 24;
	case LAPIC_VERSION:
		return val == LAPIC_VERSION_VALUE;
	case LAPIC_LDR:
		return !(val & 0x00ffffff) ||
			val == ((l->id >> 4) << 16 | 1U << (l->id & 15));
	case LAPIC_DFR:
		return (val & DFR_ONES) == DFR_ONES;
	case LAPIC_TMCCT:
		return val <= rec_reg(rec, LAPIC_TMICT);
	case LAPIC_LVT_TIMER:
		if ((val & LVT_TIMER_DEADLINE) && !l->has_deadline)
			return false;
		fallthrough;
	case LAPIC_LVT_THERMAL:
	case LAPIC_LVT_PMC:
	case LAPIC_LVT_LINT0:
	case LAPIC_LVT_LINT1:
	case LAPIC_LVT_ERROR:
		return (val & LAPIC_LVT_MASKED) ||
			(rec_reg(rec, LAPIC_SVR) & LAPIC_SVR_ENABLE);
	default:
		return true;
	}
}

static int check_regs(const struct lapic *l, const struct keel_rec_lapic *rec, u32 *bad_offset)
{
	u32 offset;

	for (offset = 0; offset < LAPIC_REGS_SIZE; offset += sizeof(u32)) {
		u32 val = rec_reg(rec, offset);

		*bad_offset = offset;
		if (offset & 15) {
			if (val)
				return -EINVAL;
			continue;
		}
		if ((val & ~reg_table[offset >> 4].record) ||
		    !rec_reg_valid(l, rec, offset, val))
			return -EINVAL;
	}
	return 0;
}

int lapic_model_check(const struct lapic *l, const struct keel_rec_lapic *rec, u32 *bad_offset)
{
	u32 mode, count;
	u64 longest;

	if (check_regs(l, rec, bad_offset))
		return -EINVAL;
	mode = rec_reg(rec, LAPIC_LVT_TIMER) >> 17 & 3;
	count = rec_reg(rec, LAPIC_TMICT);
	/* The slowest divider: a rate that changed while it ran. */
	longest = max_t(u64, (u64)count << 7, LAPIC_MIN_PERIOD_NS);
	*bad_offset = offsetof(struct keel_rec_lapic, tsc_deadline);
	if (rec->tsc_deadline && mode != LAPIC_TIMER_DEADLINE)
		return -EINVAL;
	*bad_offset = offsetof(struct keel_rec_lapic, timer_left_ns);
	if (rec->timer_left_ns &&
	    (mode > LAPIC_TIMER_PERIODIC || !count || rec->timer_left_ns > longest))
		return -EINVAL;
	*bad_offset = offsetof(struct keel_rec_lapic, reserved);
	return rec->reserved ? -EINVAL : 0;
}

void lapic_model_load(struct lapic *l, const struct keel_rec_lapic *rec, u64 now)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(l->posted.pir); i++)
		xchg(&l->posted.pir[i], 0);
	memcpy(l->regs, rec->regs, sizeof(rec->regs));
	REG(l, LAPIC_PPR) = 0;		/* computed, as the current count is */
	REG(l, LAPIC_TMCCT) = 0;
	lapic_set_ids(l);
	lapic_cache_vectors(l);
	l->esr = 0;
	l->timer_lvt = lapic_reg(l, LAPIC_LVT_TIMER);
	l->timer_tdcr = lapic_reg(l, LAPIC_TDCR);
	timer_stop(l);
	l->deadline = rec->tsc_deadline;
	if (rec->timer_left_ns) {
		l->period = (u64)lapic_reg(l, LAPIC_TMICT) * timer_tick(l);
		l->target = now + rec->timer_left_ns;
	}
}
