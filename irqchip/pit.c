// SPDX-License-Identifier: GPL-2.0
/*
 * The 8254: modes, latches, gate, and where its edges lie in time.  Pure; the
 * caller serializes and tells the time.  It must not know hrtimers.
 */
#include <linux/keel.h>
#include "irqchip/pit.h"

#define NSEC_PER_SECOND		1000000000U
#define REFRESH_NS		15085	/* between toggles of port 0x61 bit 4 */

#define STATUS_OUT		BIT(7)
#define STATUS_NULL		BIT(6)

/* Read-back command; a zero bit asks. */
#define READBACK_NO_COUNT	BIT(5)
#define READBACK_NO_STATUS	BIT(4)

#define SYSTEM_GATE2		BIT(0)
#define SYSTEM_SPEAKER		BIT(1)
#define SYSTEM_REFRESH		BIT(4)
#define SYSTEM_OUT2		BIT(5)

u64 pit_ns_to_clocks(u64 ns)
{
	return mul_u64_u32_div(ns, PIT_HZ, NSEC_PER_SECOND);
}

u64 pit_clocks_to_ns(u64 clocks)
{
	u32 rest;
	u64 seconds = div_u64_rem(clocks, PIT_HZ, &rest);

	return seconds * NSEC_PER_SECOND +
		div_u64((u64)rest * NSEC_PER_SECOND + PIT_HZ - 1, PIT_HZ);
}

static bool mode_periodic(u8 mode)
{
	return mode == 2 || mode == 3;
}

/* Modes that a rising gate starts, and nothing else. */
static bool mode_triggered(u8 mode)
{
	return mode == 1 || mode == 5;
}

/* ns counted so far.  The start may lie before the clock's zero, after a load. */
static u64 pit_elapsed_ns(const struct pit_channel *c, u64 now)
{
	if (c->running != PIT_COUNTING)
		return c->held;
	return (s64)(now - c->start) > 0 ? now - c->start : 0;
}

static u64 pit_elapsed(const struct pit_channel *c, u64 now)
{
	return pit_ns_to_clocks(pit_elapsed_ns(c, now));
}

static u64 mod_clocks(u64 clocks, u32 by)
{
	u32 rest;

	div_u64_rem(clocks, by, &rest);
	return rest;
}

bool pit_out(const struct pit_channel *c, u64 now)
{
	u64 n = c->reload, d;

	if (c->running == PIT_IDLE)
		return c->mode != 0;
	/* OUT is high before a trigger, and while the gate holds a periodic mode. */
	if (c->running == PIT_WAITING && c->mode != 0 && c->mode != 4)
		return true;
	d = pit_elapsed(c, now);
	switch (c->mode) {
	case 0:
	case 1:
		return d >= n;
	case 2:
		/* A reload of 1 is not allowed there: OUT never rises. */
		return n > 1 && mod_clocks(d, c->reload) != n - 1;
	case 3:
		return mod_clocks(d, c->reload) < (n + 1) / 2;
	default:
		return d != n;
	}
}

/* The square wave's counter goes down by two, twice in a period. */
static u32 square_count(u32 n, u32 phase)
{
	u32 high = (n + 1) / 2;

	if (phase >= high)
		phase -= high;
	return (n & ~1U) - 2 * phase;
}

static u16 to_bcd(u32 v)
{
	return (u16)(v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12);
}

static u32 from_bcd(u16 v)
{
	return (v & 15) + (v >> 4 & 15) * 10U + (v >> 8 & 15) * 100U + (v >> 12) * 1000U;
}

u16 pit_count(const struct pit_channel *c, u64 now)
{
	u32 modulus = c->bcd ? 10000 : 65536;
	u32 n = c->reload, v;

	if (c->running == PIT_IDLE || (c->running == PIT_WAITING && mode_triggered(c->mode))) {
		v = n;
	} else {
		u64 d = pit_elapsed(c, now);

		if (c->mode == 2)
			v = n - (u32)mod_clocks(d, n);
		else if (c->mode == 3)
			v = square_count(n, (u32)mod_clocks(d, n));
		else	/* goes on through zero */
			v = n + modulus - (u32)mod_clocks(d, modulus);
	}
	v %= modulus;
	return c->bcd ? to_bcd(v) : (u16)v;
}

/* Loads the counter: the whole count was written, or the gate triggered. */
static void pit_load_count(struct pit_channel *c, u64 now)
{
	c->start = now;
	c->held = 0;
	c->null_count = false;
	c->running = c->gate || mode_triggered(c->mode) ? PIT_COUNTING : PIT_WAITING;
}

static void pit_write_count(struct pit_channel *c, u16 raw, u64 now)
{
	u32 n = c->bcd ? from_bcd(raw) : raw;

	c->reload = n ? n : c->bcd ? 10000 : 65536;
	if (!mode_triggered(c->mode)) {
		pit_load_count(c, now);
		return;
	}
	/* Modes 1 and 5 take it at the next trigger. */
	c->null_count = true;
	if (c->running == PIT_IDLE)
		c->running = PIT_WAITING;
}

static void pit_write_counter(struct pit_channel *c, u8 val, u64 now)
{
	switch (c->access) {
	case 1:
		pit_write_count(c, val, now);
		break;
	case 2:
		pit_write_count(c, (u16)(val << 8), now);
		break;
	default:
		if (c->write_high) {
			c->write_high = false;
			pit_write_count(c, (u16)(c->write_low | val << 8), now);
			break;
		}
		c->write_low = val;
		c->write_high = true;
		/* Half a count stops mode 0, with OUT low. */
		if (c->mode == 0) {
			c->running = PIT_IDLE;
			c->held = 0;
		}
		break;
	}
}

static void pit_latch_count(struct pit_channel *c, u64 now)
{
	if (c->latch_count)
		return;
	c->latched = pit_count(c, now);
	c->latch_count = c->access == 3 ? 2 : 1;
}

static void pit_latch_status(struct pit_channel *c, u64 now)
{
	if (c->latch_status)
		return;
	c->latch_status = true;
	c->status = (u8)((pit_out(c, now) ? STATUS_OUT : 0) | (c->null_count ? STATUS_NULL : 0) |
			 (u32)c->access << 4 | (u32)c->mode << 1 | c->bcd);
}

static void pit_write_control(struct pit *pit, u8 val, u64 now)
{
	u32 select = val >> 6, i;
	struct pit_channel *c;

	if (select == 3) {
		for (i = 0; i < 3; i++) {
			if (!(val & BIT(i + 1)))
				continue;
			if (!(val & READBACK_NO_COUNT))
				pit_latch_count(&pit->channel[i], now);
			if (!(val & READBACK_NO_STATUS))
				pit_latch_status(&pit->channel[i], now);
		}
		return;
	}
	c = &pit->channel[select];
	if (!(val & 0x30)) {
		pit_latch_count(c, now);
		return;
	}
	c->access = val >> 4 & 3;
	c->mode = val >> 1 & 7;
	if (c->mode > 5)
		c->mode -= 4;
	c->bcd = val & 1;
	c->running = PIT_IDLE;
	c->held = 0;
	c->null_count = true;
	c->write_high = false;
	c->read_high = false;
	c->latch_count = 0;
	c->latch_status = false;
}

static u8 pit_read_counter(struct pit_channel *c, u64 now)
{
	u16 count;
	bool high;

	if (c->latch_status) {
		c->latch_status = false;
		return c->status;
	}
	count = c->latch_count ? c->latched : pit_count(c, now);
	high = c->access == 2 || (c->access == 3 && c->read_high);
	if (c->access == 3)
		c->read_high = !c->read_high;
	if (c->latch_count)
		c->latch_count--;
	return (u8)(high ? count >> 8 : count);
}

static void pit_set_gate(struct pit_channel *c, bool gate, u64 now)
{
	bool rises = gate && !c->gate;
	bool falls = !gate && c->gate;

	c->gate = gate;
	if (c->running == PIT_IDLE)
		return;
	if (rises && (mode_triggered(c->mode) || mode_periodic(c->mode))) {
		pit_load_count(c, now);
	} else if (rises && c->running == PIT_WAITING) {
		c->start = now - c->held;
		c->held = 0;
		c->running = PIT_COUNTING;
	} else if (falls && !mode_triggered(c->mode) && c->running == PIT_COUNTING) {
		c->held = pit_elapsed_ns(c, now);
		c->running = PIT_WAITING;
	}
}

void pit_reset(struct pit *pit)
{
	u32 i;

	memset(pit, 0, sizeof(*pit));
	for (i = 0; i < 3; i++) {
		struct pit_channel *c = &pit->channel[i];

		c->reload = 65536;
		c->access = 3;
		c->mode = 3;
		c->null_count = true;
		c->gate = i != 2;
	}
}

u8 pit_read(struct pit *pit, u16 port, u64 now)
{
	u8 val;

	if (port == PIT_PORT_SYSTEM) {
		val = pit->channel[2].gate ? SYSTEM_GATE2 : 0;
		if (pit->speaker)
			val |= SYSTEM_SPEAKER;
		if (div_u64(now, REFRESH_NS) & 1)
			val |= SYSTEM_REFRESH;
		if (pit_out(&pit->channel[2], now))
			val |= SYSTEM_OUT2;
		return val;
	}
	/* The control word cannot be read. */
	return (port & 3) == 3 ? 0 : pit_read_counter(&pit->channel[port & 3], now);
}

bool pit_write(struct pit *pit, u16 port, u8 val, u64 now)
{
	if (port == PIT_PORT_SYSTEM) {
		pit->speaker = val & SYSTEM_SPEAKER;
		pit_set_gate(&pit->channel[2], val & SYSTEM_GATE2, now);
		return false;
	}
	if ((port & 3) == 3) {
		pit_write_control(pit, val, now);
		/* Channel 0, and not the latch command. */
		return !(val >> 6) && (val & 0x30);
	}
	pit_write_counter(&pit->channel[port & 3], val, now);
	return !(port & 3);
}

/*
 * Rising edges come at @first clocks after the load and then every @period
 * clocks; @period 0: once.  False: never.
 */
static bool pit_edge_form(const struct pit_channel *c, u64 *first, u64 *period)
{
	if (c->running != PIT_COUNTING)
		return false;
	*period = 0;
	switch (c->mode) {
	case 0:
		*first = c->reload;
		return true;
	case 2:
	case 3:
		*first = c->reload;
		*period = c->reload;
		return c->reload > 1;
	case 4:
		*first = (u64)c->reload + 1;
		return true;
	default:		/* channel 0 has no gate to trigger it */
		return false;
	}
}

u64 pit_next_edge(const struct pit *pit, u64 after)
{
	const struct pit_channel *c = &pit->channel[0];
	u64 first, period, d;

	if (!pit_edge_form(c, &first, &period))
		return PIT_NEVER;
	d = pit_elapsed(c, after);
	if (d < first)
		return c->start + pit_clocks_to_ns(first);
	if (!period)
		return PIT_NEVER;
	return c->start + pit_clocks_to_ns(d - mod_clocks(d, (u32)period) + period);
}

static u64 pit_edges_until(const struct pit_channel *c, u64 first, u64 period, u64 now)
{
	u64 d = pit_elapsed(c, now);

	if (d < first)
		return 0;
	return period ? div_u64(d, (u32)period) : 1;
}

u64 pit_edges(const struct pit *pit, u64 after, u64 now)
{
	const struct pit_channel *c = &pit->channel[0];
	u64 first, period;

	if (now <= after || !pit_edge_form(c, &first, &period))
		return 0;
	return pit_edges_until(c, first, period, now) - pit_edges_until(c, first, period, after);
}

u64 pit_period(const struct pit *pit)
{
	const struct pit_channel *c = &pit->channel[0];

	return mode_periodic(c->mode) ? pit_clocks_to_ns(c->reload) : 0;
}

void pit_save(const struct pit *pit, struct keel_rec_pit *rec, u64 now)
{
	u32 i;

	memset(rec, 0, sizeof(*rec));
	for (i = 0; i < 3; i++) {
		const struct pit_channel *c = &pit->channel[i];
		struct keel_rec_pit_channel *r = &rec->channel[i];

		r->reload = c->bcd ? to_bcd(c->reload) : (u16)c->reload;
		r->latched = c->latched;
		r->mode = c->mode;
		r->bcd = c->bcd;
		r->access = c->access;
		r->write_state = c->write_high;
		r->read_state = c->read_high;
		r->latch_count = c->latch_count;
		r->latch_status = c->latch_status;
		r->status = c->status;
		r->gate = c->gate;
		r->write_low = c->write_low;
		r->null_count = c->null_count;
		r->running = c->running;
		r->elapsed_ns = pit_elapsed_ns(c, now);
	}
	rec->speaker = (u8)((pit->channel[2].gate ? SYSTEM_GATE2 : 0) |
			    (pit->speaker ? SYSTEM_SPEAKER : 0));
}

static bool bcd_valid(u16 v)
{
	return (v & 15) < 10 && (v >> 4 & 15) < 10 && (v >> 8 & 15) < 10 && v >> 12 < 10;
}

#define PIT_FIELD(field, min, max) \
	{ offsetof(struct keel_rec_pit_channel, field), min, max }

/* The bounds of the record's bytes, in its order. */
static const struct pit_field {
	u8 offset;
	u8 min;
	u8 max;
} pit_fields[] = {
	PIT_FIELD(mode, 0, 5),
	PIT_FIELD(bcd, 0, 1),
	PIT_FIELD(access, 1, 3),
	PIT_FIELD(write_state, 0, 1),
	PIT_FIELD(read_state, 0, 1),
	PIT_FIELD(latch_count, 0, 2),
	PIT_FIELD(latch_status, 0, 1),
	PIT_FIELD(gate, 0, 1),
	PIT_FIELD(null_count, 0, 1),
	PIT_FIELD(running, 0, PIT_RUNNING_NR - 1),
};

/* Longer than any machine runs, short enough to add to any time. */
#define PIT_MAX_ELAPSED		((u64)1 << 62)

#define PIT_BAD(field) ({ *bad_offset = offsetof(struct keel_rec_pit_channel, field); -EINVAL; })

/* *@bad_offset counts from the channel's record. */
static int pit_check_channel(const struct keel_rec_pit_channel *r, u32 index, u32 *bad_offset)
{
	u32 i;

	/* One bit says how to read it: blame a digit only where it is one. */
	if (r->bcd == 1 && !bcd_valid(r->reload))
		return PIT_BAD(reload);
	for (i = 0; i < ARRAY_SIZE(pit_fields); i++) {
		const struct pit_field *f = &pit_fields[i];
		u8 v = ((const u8 *)r)[f->offset];

		*bad_offset = f->offset;
		if (v < f->min || v > f->max)
			return -EINVAL;
	}
	if (r->access != 3 && (r->write_state || r->read_state))
		return r->write_state ? PIT_BAD(write_state) : PIT_BAD(read_state);
	if (r->access != 3 && r->latch_count > 1)
		return PIT_BAD(latch_count);
	if (index != 2 && !r->gate)
		return PIT_BAD(gate);
	if (r->running == PIT_COUNTING && !r->gate && !mode_triggered(r->mode))
		return PIT_BAD(running);
	if (r->elapsed_ns > PIT_MAX_ELAPSED || (r->running == PIT_IDLE && r->elapsed_ns))
		return PIT_BAD(elapsed_ns);
	return 0;
}

int pit_check(const struct keel_rec_pit *rec, u32 *bad_offset)
{
	u32 i;

	for (i = 0; i < 3; i++) {
		u32 base = (u32)(i * sizeof(rec->channel[0]));

		if (pit_check_channel(&rec->channel[i], i, bad_offset)) {
			*bad_offset += base;
			return -EINVAL;
		}
	}
	*bad_offset = offsetof(struct keel_rec_pit, speaker);
	if (rec->speaker & ~(SYSTEM_GATE2 | SYSTEM_SPEAKER) ||
	    (rec->speaker & SYSTEM_GATE2) != (rec->channel[2].gate ? SYSTEM_GATE2 : 0))
		return -EINVAL;
	for (i = 0; i < sizeof(rec->reserved); i++) {
		*bad_offset = (u32)offsetof(struct keel_rec_pit, reserved) + i;
		if (rec->reserved[i])
			return -EINVAL;
	}
	return 0;
}

void pit_load(struct pit *pit, const struct keel_rec_pit *rec, u64 now)
{
	u32 i;

	for (i = 0; i < 3; i++) {
		const struct keel_rec_pit_channel *r = &rec->channel[i];
		u32 n = r->bcd ? from_bcd(r->reload) : r->reload;

		pit->channel[i] = (struct pit_channel){
			.reload = n ? n : r->bcd ? 10000 : 65536,
			.start = r->running == PIT_COUNTING ? now - r->elapsed_ns : 0,
			.held = r->running == PIT_WAITING ? r->elapsed_ns : 0,
			.running = r->running,
			.mode = r->mode,
			.bcd = r->bcd,
			.gate = r->gate,
			.null_count = r->null_count,
			.access = r->access,
			.write_high = r->write_state,
			.read_high = r->read_state,
			.write_low = r->write_low,
			.latch_count = r->latch_count,
			.latched = r->latched,
			.latch_status = r->latch_status,
			.status = r->status,
		};
	}
	pit->speaker = rec->speaker & SYSTEM_SPEAKER;
}
