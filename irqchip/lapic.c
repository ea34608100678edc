// SPDX-License-Identifier: GPL-2.0
/*
 * The LAPIC's interrupt state: requests, service, priorities, addressing, and
 * its modes.  Pure.  Registers as a guest sees them are in lapic_reg.c.
 */
#include "irqchip/lapic_int.h"

#define LAPIC_VECTORS_FROM	16	/* lower ones are illegal */
#define DFR_MODEL_SHIFT		28
#define DFR_FLAT		0xf
#define DFR_CLUSTER		0x0

#define LVT_MODE_SHIFT		8

/* The vector bitmaps are 8 words, one every 16 bytes. */
static u32 *vector_word(struct lapic *l, u32 bitmap, u32 vector)
{
	return &l->regs[bitmap / sizeof(u32) + (vector >> 5) * LAPIC_STRIDE];
}

static bool vector_test(struct lapic *l, u32 bitmap, u32 vector)
{
	return *vector_word(l, bitmap, vector) >> (vector & 31) & 1;
}

static void vector_set(struct lapic *l, u32 bitmap, u32 vector)
{
	*vector_word(l, bitmap, vector) |= 1U << (vector & 31);
}

static void vector_clear(struct lapic *l, u32 bitmap, u32 vector)
{
	*vector_word(l, bitmap, vector) &= ~(1U << (vector & 31));
}

static int vector_highest(const struct lapic *l, u32 bitmap)
{
	const u32 *word = &l->regs[bitmap / sizeof(u32) + 7 * LAPIC_STRIDE];
	int base;

	for (base = 7 * 32; base >= 0; base -= 32, word -= LAPIC_STRIDE)
		if (*word)
			return base + fls(*word) - 1;
	return -1;
}

void lapic_cache_vectors(struct lapic *l)
{
	l->isr_top = (s16)vector_highest(l, LAPIC_ISR);
	l->irr_maybe = vector_highest(l, LAPIC_IRR) >= 0;
}

/* The highest vector in service, -1: none. */
static int isr_top(const struct lapic *l)
{
	return l->cpu_delivers ? vector_highest(l, LAPIC_ISR) : l->isr_top;
}

void lapic_set_delivery(struct lapic *l, bool cpu)
{
	if (l->cpu_delivers == cpu)
		return;
	l->cpu_delivers = cpu;
	lapic_cache_vectors(l);
}

/* ---- any CPU ------------------------------------------------------------- */

static bool logical_match(const struct lapic *l, u32 dest)
{
	u32 ldr = lapic_reg(l, LAPIC_LDR), set;

	if (lapic_x2(l))
		return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
	if (dest > 0xff)
		return false;
	ldr >>= 24;
	set = ldr & dest;
	switch (lapic_reg(l, LAPIC_DFR) >> DFR_MODEL_SHIFT) {
	case DFR_FLAT:
		return set;
	case DFR_CLUSTER:
		return ldr >> 4 == dest >> 4 && (set & 0xf);
	default:
		return false;
	}
}

bool lapic_addressed(const struct lapic *l, const struct irq_msg *msg)
{
	if (!lapic_hw_enabled(l))
		return false;
	if (msg->dest == (msg->wide ? U32_MAX : 0xff))
		return true;
	return msg->logical ? logical_match(l, msg->dest) : msg->dest == l->id;
}

bool lapic_accepts(const struct lapic *l)
{
	return lapic_hw_enabled(l) && (lapic_reg(l, LAPIC_SVR) & LAPIC_SVR_ENABLE);
}

bool lapic_accepts_extint(const struct lapic *l)
{
	u32 lvt0;

	if (!lapic_hw_enabled(l))
		return true;
	lvt0 = lapic_reg(l, LAPIC_LVT_LINT0);
	return !(lvt0 & LAPIC_LVT_MASKED) && (lvt0 >> LVT_MODE_SHIFT & 7) == IRQ_MODE_EXTINT;
}

u32 lapic_post(struct lapic *l, u8 vector, bool level)
{
	u32 ret = 0;

	/* The trigger mode first: whoever takes the vector has to see it. */
	if (test_bit(vector, l->posted_level) != level) {
		if (level)
			set_bit(vector, l->posted_level);
		else
			clear_bit(vector, l->posted_level);
	}
	if (test_and_set_bit(vector, l->posted.pir) || vector_test(l, LAPIC_IRR, vector))
		ret = LAPIC_POST_MERGED;
	if (!test_and_set_bit(LAPIC_POSTED_ON, &l->posted.control))
		ret |= LAPIC_POST_NOTIFY;
	return ret;
}

/* ---- owner ----------------------------------------------------------------- */

void lapic_error(struct lapic *l, u32 bits)
{
	u32 lvt = lapic_reg(l, LAPIC_LVT_ERROR);

	/* One interrupt for the first error of each kind since ESR was written. */
	if ((l->esr & bits) == bits)
		return;
	l->esr |= bits;
	if (!(lvt & LAPIC_LVT_MASKED) && (lvt & 0xff) >= LAPIC_VECTORS_FROM)
		lapic_accept(l, lvt & 0xff, false);
}

void lapic_accept(struct lapic *l, u8 vector, bool level)
{
	if (vector < LAPIC_VECTORS_FROM) {
		lapic_error(l, LAPIC_ESR_RECV_VECTOR);
		return;
	}
	vector_set(l, LAPIC_IRR, vector);
	if (level)
		vector_set(l, LAPIC_TMR, vector);
	else
		vector_clear(l, LAPIC_TMR, vector);
	l->irr_maybe = true;
}

static void merge_word(struct lapic *l, u32 vector, u32 bits, u32 level)
{
	u32 *tmr = vector_word(l, LAPIC_TMR, vector);

	if (!bits)
		return;
	*vector_word(l, LAPIC_IRR, vector) |= bits;
	*tmr = (*tmr & ~bits) | (level & bits);
	l->irr_maybe = true;
}

void lapic_merge(struct lapic *l)
{
	const unsigned long illegal = BIT(LAPIC_VECTORS_FROM) - 1;
	unsigned long bits, level;
	u32 i;

	/* First the notice, then the bits: a later post is noticed again. */
	clear_bit(LAPIC_POSTED_ON, &l->posted.control);
	smp_mb__after_atomic();		/* as said */
	for (i = 0; i < ARRAY_SIZE(l->posted.pir); i++) {
		if (!READ_ONCE(l->posted.pir[i]))
			continue;
		bits = xchg(&l->posted.pir[i], 0);
		level = READ_ONCE(l->posted_level[i]);
		if (!i && unlikely(bits & illegal)) {
			bits &= ~illegal;
			lapic_error(l, LAPIC_ESR_RECV_VECTOR);
		}
		merge_word(l, i * 64, (u32)bits, (u32)level);
		merge_word(l, i * 64 + 32, (u32)(bits >> 32), (u32)(level >> 32));
	}
}

/* The class that a vector has to be above: of TPR, or of what is in service. */
static u32 blocking_class(const struct lapic *l)
{
	u32 tpr = lapic_reg(l, LAPIC_TPR) & 0xf0;
	int top = isr_top(l);

	return max(tpr, top < 0 ? 0 : (u32)top & 0xf0);
}

u32 lapic_ppr(const struct lapic *l)
{
	u32 tpr = lapic_reg(l, LAPIC_TPR);
	int top = isr_top(l);
	u32 isr = top < 0 ? 0 : (u32)top & 0xf0;

	return (tpr & 0xf0) >= isr ? tpr & 0xff : isr;
}

int lapic_deliverable(struct lapic *l)
{
	int vector;

	if (!l->irr_maybe && !l->cpu_delivers)
		return -1;
	vector = vector_highest(l, LAPIC_IRR);
	if (vector < 0) {
		l->irr_maybe = false;
		return -1;
	}
	return ((u32)vector & 0xf0) > blocking_class(l) ? vector : -1;
}

int lapic_ack(struct lapic *l)
{
	int vector = lapic_deliverable(l);

	if (vector < 0)
		return -1;
	vector_clear(l, LAPIC_IRR, (u32)vector);
	vector_set(l, LAPIC_ISR, (u32)vector);
	l->isr_top = (s16)vector;
	/* A periodic tick that found the last one waiting comes after it. */
	if (unlikely(l->backlog) && (lapic_reg(l, LAPIC_LVT_TIMER) & 0xff) == (u32)vector) {
		l->backlog--;
		vector_set(l, LAPIC_IRR, (u32)vector);
	}
	return vector;
}

int lapic_next_tick(struct lapic *l)
{
	u32 vector = lapic_reg(l, LAPIC_LVT_TIMER) & 0xff;

	if (likely(!l->backlog))
		return -1;
	if (!vector_test(l, LAPIC_IRR, vector)) {
		vector_set(l, LAPIC_IRR, vector);
		l->backlog--;
	}
	return l->backlog ? (int)vector : -1;
}

void lapic_look(struct lapic *l, struct lapic_todo *todo)
{
	/* A CPU that delivers has to hear of every change. */
	if (l->cpu_delivers || lapic_deliverable(l) >= 0)
		todo->what |= LAPIC_DO_LOOK;
}

void lapic_ended(struct lapic *l, u8 vector, struct lapic_todo *todo)
{
	if (vector_test(l, LAPIC_TMR, vector)) {
		todo->what |= LAPIC_DO_EOI;
		todo->vector = vector;
	}
	lapic_look(l, todo);
}

void lapic_eoi(struct lapic *l, struct lapic_todo *todo)
{
	int top = isr_top(l);

	if (top < 0)
		return;
	vector_clear(l, LAPIC_ISR, (u32)top);
	l->isr_top = (s16)vector_highest(l, LAPIC_ISR);
	lapic_ended(l, (u8)top, todo);
}

u8 lapic_threshold(struct lapic *l)
{
	int vector;

	if (!l->irr_maybe)
		return 0;
	vector = vector_highest(l, LAPIC_IRR);
	if (vector < 0 || vector >> 4 <= isr_top(l) >> 4)
		return 0;
	return (u8)(vector >> 4);
}

void lapic_set_tpr(struct lapic *l, u8 tpr, struct lapic_todo *todo)
{
	l->regs[LAPIC_TPR / sizeof(u32)] = tpr;
	lapic_look(l, todo);
}

/* A local source raised its interrupt.  Returns false when IRR held it already. */
bool lapic_local(struct lapic *l, u32 lvt)
{
	u8 vector = lvt & 0xff;

	if (lvt & LAPIC_LVT_MASKED)
		return true;
	if (vector_test(l, LAPIC_IRR, vector))
		return false;
	lapic_accept(l, vector, false);
	return true;
}

/* ---- modes ------------------------------------------------------------------ */

/* The x2APIC's IDs are wired: logical cluster and bit follow from the ID. */
void lapic_set_ids(struct lapic *l)
{
	if (lapic_x2(l)) {
		l->regs[LAPIC_ID / sizeof(u32)] = l->id;
		l->regs[LAPIC_LDR / sizeof(u32)] = (l->id >> 4) << 16 | 1U << (l->id & 15);
	} else {
		l->regs[LAPIC_ID / sizeof(u32)] = l->id << 24;
	}
}

void lapic_model_reset(struct lapic *l, bool bsp, bool init)
{
	static const u16 lvts[] = {
		LAPIC_LVT_TIMER, LAPIC_LVT_THERMAL, LAPIC_LVT_PMC,
		LAPIC_LVT_LINT0, LAPIC_LVT_LINT1, LAPIC_LVT_ERROR,
	};
	u32 i;

	if (!init)
		WRITE_ONCE(l->base, LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE |
			   (bsp ? LAPIC_BASE_BSP : 0));
	memset(l->regs, 0, LAPIC_REGS_SIZE);
	l->regs[LAPIC_VERSION / sizeof(u32)] = LAPIC_VERSION_VALUE;
	l->regs[LAPIC_DFR / sizeof(u32)] = U32_MAX;
	l->regs[LAPIC_SVR / sizeof(u32)] = 0xff;
	for (i = 0; i < ARRAY_SIZE(lvts); i++)
		l->regs[lvts[i] / sizeof(u32)] = LAPIC_LVT_MASKED;
	lapic_set_ids(l);
	l->timer_lvt = LAPIC_LVT_MASKED;
	l->timer_tdcr = 0;
	for (i = 0; i < ARRAY_SIZE(l->posted.pir); i++)
		xchg(&l->posted.pir[i], 0);
	l->esr = 0;
	l->isr_top = -1;
	l->irr_maybe = false;
	l->target = LAPIC_TIMER_OFF;
	l->period = 0;
	l->deadline = 0;
	l->backlog = 0;
}

bool lapic_base_valid(const struct lapic *l, u64 value)
{
	if (value & l->base_reserved)
		return false;
	return !(value & LAPIC_BASE_X2) || (value & LAPIC_BASE_ENABLE);
}

int lapic_write_base(struct lapic *l, u64 value, struct lapic_todo *todo)
{
	const u64 modes = LAPIC_BASE_ENABLE | LAPIC_BASE_X2;
	u64 was = l->base & modes, is = value & modes;

	if (!lapic_base_valid(l, value))
		return -EINVAL;
	/* Into the x2APIC mode only from the xAPIC's, out of it only to disabled. */
	if (is == modes && !was)
		return -EINVAL;
	if (was == modes && is == LAPIC_BASE_ENABLE)
		return -EINVAL;
	WRITE_ONCE(l->base, value);
	if (was == is)
		return 0;
	todo->what |= LAPIC_DO_MODE | LAPIC_DO_TIMER;
	if (is == modes) {
		lapic_set_ids(l);
		l->regs[LAPIC_ICR2 / sizeof(u32)] = 0;
	} else {
		/* Disabling forgets everything, so both ways start from reset. */
		lapic_model_reset(l, false, true);
	}
	return 0;
}

void lapic_model_load_base(struct lapic *l, u64 value)
{
	WRITE_ONCE(l->base, value);
	lapic_set_ids(l);
}
