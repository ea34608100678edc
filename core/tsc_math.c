// SPDX-License-Identifier: GPL-2.0
/*
 * The arithmetic of a guest's TSC.  A product of two words has 128 bits, and
 * the CPU's division faults when its quotient has more than 64: every division
 * here is looked at first.  It must not know a clock or a VM.
 */
#include "core/tsc_math.h"

#define CRYSTAL_PRECISION	1000000U	/* one part of so many */
#define NS_PER_MS	1000000U	/* ticks at k kHz, times this, by k: nanoseconds */

u32 keel_tsc_khz_highest(u32 host_khz, struct keel_tsc_format format)
{
	/* Below 2^int_bits times the host's; a shift by 32 or more reaches anything. */
	if (format.int_bits >= 32)
		return host_khz ? U32_MAX : 0;
	return host_khz ? (u32)min_t(u64, ((u64)host_khz << format.int_bits) - 1, U32_MAX) : 0;
}

int keel_tsc_ratio(u32 guest_khz, u32 host_khz, struct keel_tsc_format format, u64 *ratio)
{
	u8 low = format.frac_bits - 32;
	u64 part, rest;

	if (guest_khz < KEEL_TSC_KHZ_LOWEST ||
	    guest_khz > keel_tsc_khz_highest(host_khz, format))
		return -EINVAL;
	/* A long division by hand: 32 bits behind the point, then the others. */
	part = ((u64)guest_khz << 32) / host_khz;
	rest = ((u64)guest_khz << 32) % host_khz;
	*ratio = (part << low) + (rest << low) / host_khz;
	rest = (rest << low) % host_khz;
	if (rest >= host_khz - rest && *ratio != U64_MAX)
		++*ratio;
	return 0;
}

/* a * b / div, rounded up or down; @most where that is less. */
static u64 mul_div(u64 a, u64 b, u64 div, bool up, u64 most)
{
	u64 quotient;

	if (mul_u64_u64_shr(a, b, 64) >= div)
		return most;
	quotient = mul_u64_u64_div_u64(a, b, div);
	/* The low words tell whether something is left: it is below 2^64. */
	if (up && a * b != quotient * div) {
		if (quotient == U64_MAX)
			return most;
		quotient++;
	}
	return min(quotient, most);
}

u64 keel_tsc_unscale(u64 ticks, u64 ratio, u8 frac_bits)
{
	return mul_div(ticks, BIT_ULL(frac_bits), ratio, true, U64_MAX);
}

u64 keel_tsc_ticks_to_ns(u64 ticks, u32 khz)
{
	return mul_div(ticks, NS_PER_MS, khz, true, S64_MAX);
}

u64 keel_tsc_ns_to_ticks(u64 ns, u32 khz)
{
	return mul_div(ns, khz, NS_PER_MS, false, U64_MAX);
}

/* How far @num / @den is from @khz / @crystal_khz, times @den and @crystal_khz. */
static u64 ratio_off(u32 khz, u32 crystal_khz, u64 num, u64 den)
{
	u64 is = num * crystal_khz, want = khz * den;

	return is > want ? is - want : want - is;
}

/*
 * Continued fractions give the best approximations in order.  The step that
 * would leave the limit is cut short, which gives a fraction between the last
 * two: it counts if it is nearer.
 */
static void nearest_ratio(u32 khz, u32 crystal_khz, u64 most, u64 *num, u64 *den)
{
	u64 n0 = 0, d0 = 1, n1 = 1, d1 = 0;	/* the two last approximations */
	u64 a = khz, b = crystal_khz;		/* what is left, as a fraction */
	u64 step, rest, n, d;

	*num = 0;
	*den = 1;
	while (b) {
		step = a / b;
		rest = a % b;
		if (n1 && step > (most - n0) / n1)
			step = (most - n0) / n1;
		n = step * n1 + n0;
		d = step * d1 + d0;
		if (n && ratio_off(khz, crystal_khz, n, d) * *den <
			 ratio_off(khz, crystal_khz, *num, *den) * d) {
			*num = n;
			*den = d;
		}
		if (step != a / b)
			break;
		n0 = n1;
		d0 = d1;
		n1 = n;
		d1 = d;
		a = b;
		b = rest;
	}
}

bool keel_tsc_crystal_ratio(u32 khz, u32 crystal_khz, u32 *num, u32 *den)
{
	u64 n, d;

	nearest_ratio(khz, crystal_khz, U32_MAX / crystal_khz, &n, &d);
	if (ratio_off(khz, crystal_khz, n, d) * CRYSTAL_PRECISION > khz * d)
		return false;
	*num = (u32)n;
	*den = (u32)d;
	return true;
}
