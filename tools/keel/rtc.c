// SPDX-License-Identifier: GPL-2.0
/*
 * The MC146818 real-time clock and its CMOS RAM. The time is the host's plus
 * an offset that the guest sets by writing the clock; nothing ticks, flags are
 * worked out when somebody looks. It must not know timers, threads or a VM.
 */
#include <time.h>

#include "rtc.h"

enum {
	SECONDS = 0, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM,
	WEEKDAY, DAY, MONTH, YEAR, REG_A, REG_B, REG_C, REG_D,
};

#define A_UIP		0x80
#define A_DIVIDER	0x70
#define A_RUNNING	0x20	/* the divider value of the 32 kHz crystal */
#define A_RATE		0x0f

#define B_SET		0x80
#define B_PIE		0x40
#define B_AIE		0x20
#define B_UIE		0x10
#define B_BINARY	0x04
#define B_24H		0x02

#define C_IRQF		0x80
#define C_PF		0x40
#define C_AF		0x20
#define C_UF		0x10

#define D_VALID		0x80

#define HOUR_PM		0x80
#define ALARM_ANY	0xc0	/* both top bits set: matches every value */

/* UIP rises this long before the registers change. */
#define UIP_NS		244000

static u8 encode(const struct rtc *r, unsigned int n)
{
	return r->cmos[REG_B] & B_BINARY ? n : (n / 10) << 4 | n % 10;
}

static unsigned int decode(const struct rtc *r, u8 v)
{
	return r->cmos[REG_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 0xf);
}

static u8 encode_hour(const struct rtc *r, unsigned int hour)
{
	if (r->cmos[REG_B] & B_24H)
		return encode(r, hour);
	return encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned int decode_hour(const struct rtc *r, u8 v)
{
	if (r->cmos[REG_B] & B_24H)
		return decode(r, v);
	return decode(r, v & ~HOUR_PM) % 12 + (v & HOUR_PM ? 12 : 0);
}

/* While the guest sets the clock, or holds the divider, the time stands. */
static bool frozen(const struct rtc *r)
{
	return r->cmos[REG_B] & B_SET || (r->cmos[REG_A] & A_DIVIDER) != A_RUNNING;
}

static s64 guest_now(const struct rtc *r)
{
	return r->ops->now(r->ctx) + r->offset;
}

static s64 floor_div(s64 n, s64 d)
{
	return n / d - (n % d < 0);
}

/* Time registers from the guest's clock. */
static void load_time(struct rtc *r)
{
	time_t t = floor_div(guest_now(r), NS_PER_SEC);
	struct tm tm;

	if (!gmtime_r(&t, &tm))
		return;
	r->cmos[SECONDS] = encode(r, tm.tm_sec);
	r->cmos[MINUTES] = encode(r, tm.tm_min);
	r->cmos[HOURS] = encode_hour(r, tm.tm_hour);
	r->cmos[WEEKDAY] = encode(r, tm.tm_wday + 1);
	r->cmos[DAY] = encode(r, tm.tm_mday);
	r->cmos[MONTH] = encode(r, tm.tm_mon + 1);
	r->cmos[YEAR] = encode(r, (tm.tm_year + 1900) % 100);
	r->cmos[RTC_CENTURY] = encode(r, (tm.tm_year + 1900) / 100);
}

/* The guest's clock from the time registers. */
static void store_time(struct rtc *r)
{
	struct tm tm = {
		.tm_sec = decode(r, r->cmos[SECONDS]),
		.tm_min = decode(r, r->cmos[MINUTES]),
		.tm_hour = decode_hour(r, r->cmos[HOURS]),
		.tm_mday = decode(r, r->cmos[DAY]),
		.tm_mon = (int)decode(r, r->cmos[MONTH]) - 1,
		.tm_year = decode(r, r->cmos[RTC_CENTURY]) * 100 +
			   decode(r, r->cmos[YEAR]) - 1900,
	};

	r->offset = timegm(&tm) * NS_PER_SEC - r->ops->now(r->ctx);
	r->seen = guest_now(r);
}

static bool alarm_field(const struct rtc *r, unsigned int reg, unsigned int now)
{
	u8 v = r->cmos[reg];

	if ((v & ALARM_ANY) == ALARM_ANY)
		return true;
	return (reg == HOURS_ALARM ? decode_hour(r, v) : decode(r, v)) == now;
}

/* The first second in (@after, @last] at which the alarm goes off, or -1. */
static s64 next_alarm(const struct rtc *r, s64 after, s64 last)
{
	const s64 day = 24 * 3600;

	if (last > after + day)
		last = after + day;
	for (s64 t = after + 1; t <= last; t++) {
		s64 s = t - floor_div(t, day) * day;

		if (!alarm_field(r, HOURS_ALARM, s / 3600)) {
			t += 3599 - s % 3600;
			continue;
		}
		if (alarm_field(r, MINUTES_ALARM, s / 60 % 60) &&
		    alarm_field(r, SECONDS_ALARM, s % 60))
			return t;
	}
	return -1;
}

/* Periodic interrupt in units of 1/32768 s; rates 1 and 2 are special. 0: off. */
static s64 period_ticks(const struct rtc *r)
{
	unsigned int rate = r->cmos[REG_A] & A_RATE;

	if (!rate)
		return 0;
	return 1LL << (rate < 3 ? rate + 6 : rate - 1);
}

static s64 to_ticks(s64 ns)
{
	s64 sec = floor_div(ns, NS_PER_SEC);

	return sec * 32768 + (ns - sec * NS_PER_SEC) * 32768 / NS_PER_SEC;
}

static void update_irq(struct rtc *r)
{
	/* PIE, AIE, UIE stand where PF, AF, UF do. */
	bool level = r->cmos[REG_C] & r->cmos[REG_B] & (C_PF | C_AF | C_UF);

	if (level)
		r->cmos[REG_C] |= C_IRQF;
	if (level == r->irq_level)
		return;
	r->irq_level = level;
	r->ops->irq(r->ctx, level);
}

/* Flag what has happened since the last look. */
static void catch_up(struct rtc *r)
{
	s64 now = guest_now(r), period = period_ticks(r);
	s64 before_sec = floor_div(r->seen, NS_PER_SEC), now_sec = floor_div(now, NS_PER_SEC);

	if (!frozen(r) && now > r->seen) {
		if (now_sec > before_sec) {
			r->cmos[REG_C] |= C_UF;
			if (next_alarm(r, before_sec, now_sec) >= 0)
				r->cmos[REG_C] |= C_AF;
		}
		if (period && floor_div(to_ticks(now), period) >
			      floor_div(to_ticks(r->seen), period))
			r->cmos[REG_C] |= C_PF;
	}
	r->seen = now;
	update_irq(r);
}

s64 rtc_deadline(struct rtc *r)
{
	s64 now = guest_now(r), sec = floor_div(now, NS_PER_SEC), at, best = 0;
	s64 period = period_ticks(r);
	u8 want = r->cmos[REG_B];

	if (frozen(r) || r->irq_level)
		return 0;
	if (want & B_UIE) {
		best = (sec + 1) * NS_PER_SEC;
	} else if (want & B_AIE) {
		at = next_alarm(r, sec, sec + 24 * 3600);
		if (at >= 0)
			best = at * NS_PER_SEC;
	}
	if (want & B_PIE && period) {
		at = (floor_div(to_ticks(now), period) + 1) * period;
		/* Rounded up, so that the boundary is behind us when we wake. */
		at = at / 32768 * NS_PER_SEC + (at % 32768 * NS_PER_SEC + 32767) / 32768;
		if (!best || at < best)
			best = at;
	}
	return best ? best - r->offset : 0;
}

void rtc_expire(struct rtc *r)
{
	catch_up(r);
}

void rtc_init(struct rtc *r, const struct rtc_ops *ops, void *ctx)
{
	*r = (struct rtc){ .ops = ops, .ctx = ctx };
	r->cmos[REG_A] = A_RUNNING | 6;
	r->cmos[REG_B] = B_24H;
	r->cmos[REG_D] = D_VALID;
	r->seen = guest_now(r);
}

static u8 read_a(const struct rtc *r)
{
	s64 now = guest_now(r);
	bool uip = now - floor_div(now, NS_PER_SEC) * NS_PER_SEC >= NS_PER_SEC - UIP_NS;

	return (r->cmos[REG_A] & ~A_UIP) | (!frozen(r) && uip ? A_UIP : 0);
}

static u8 read_c(struct rtc *r)
{
	u8 value;

	catch_up(r);
	value = r->cmos[REG_C];
	r->cmos[REG_C] = 0;
	update_irq(r);
	r->ops->rearm(r->ctx);
	return value;
}

static bool is_time(unsigned int reg)
{
	return reg == RTC_CENTURY ||
	       (reg <= YEAR && reg != SECONDS_ALARM && reg != MINUTES_ALARM && reg != HOURS_ALARM);
}

u32 rtc_read(void *dev, unsigned int offset, unsigned int size)
{
	struct rtc *r = dev;

	(void)size;
	if (!offset)
		return 0xff;	/* the index is write-only */
	if (r->index == REG_A)
		return read_a(r);
	if (r->index == REG_C)
		return read_c(r);
	if (is_time(r->index) && !frozen(r))
		load_time(r);
	return r->cmos[r->index];
}

/* A or B change: the time freezes with what it is, and goes on with what it was set to. */
static void write_control(struct rtc *r, unsigned int reg, u8 value)
{
	bool was = frozen(r);

	catch_up(r);
	if (!was)
		load_time(r);
	r->cmos[reg] = reg == REG_A ? value & ~A_UIP : value;
	/* SET switches the update interrupt off. */
	if (reg == REG_B && value & B_SET)
		r->cmos[REG_B] &= ~B_UIE;
	if (was && !frozen(r))
		store_time(r);
	update_irq(r);
	r->ops->rearm(r->ctx);
}

static void write_data(struct rtc *r, unsigned int reg, u8 value)
{
	catch_up(r);
	if (is_time(reg) && !frozen(r)) {
		load_time(r);
		r->cmos[reg] = value;
		store_time(r);
	} else {
		r->cmos[reg] = value;
	}
	if (reg <= YEAR || reg == RTC_CENTURY)
		r->ops->rearm(r->ctx);
}

void rtc_write(void *dev, unsigned int offset, unsigned int size, u32 value)
{
	struct rtc *r = dev;

	(void)size;
	if (!offset)
		r->index = value & 0x7f;	/* bit 7 masks NMI: there are none */
	else if (r->index == REG_A || r->index == REG_B)
		write_control(r, r->index, value);
	else if (r->index != REG_C && r->index != REG_D)
		write_data(r, r->index, value);
}
