/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The arithmetic of a guest's TSC: fixed-point ratios, ticks and nanoseconds.
 * Pure: it must not know a clock, a VM or a control block.
 */
#ifndef KEEL_CORE_TSC_MATH_H
#define KEEL_CORE_TSC_MATH_H

#include "core/pure.h"

/* How a CPU writes a ratio: an unsigned number with this many bits on each side. */
struct keel_tsc_format {
	u8 int_bits;		/* at least 1, at most 64 - frac_bits */
	u8 frac_bits;		/* 32 to 63 */
};

/* The slowest TSC that a guest can be given: its MHz must not read as 0. */
#define KEEL_TSC_KHZ_LOWEST	1000U

/* The fastest TSC, in kHz, beside a host's of @host_khz; 0: the host's is not known. */
u32 keel_tsc_khz_highest(u32 host_khz, struct keel_tsc_format format);

/*
 * The ratio of two frequencies, rounded to the nearest.  0, or -EINVAL: beyond
 * the limits above.
 */
int keel_tsc_ratio(u32 guest_khz, u32 host_khz, struct keel_tsc_format format, u64 *ratio);

/* What the CPU does: host * ratio >> frac_bits, of which 64 bits are kept. */
static inline u64 keel_tsc_scale(u64 host, u64 ratio, u8 frac_bits)
{
	return mul_u64_u64_shr(host, ratio, frac_bits);
}

/*
 * Host ticks after which a guest's TSC has gone on by at least @ticks, from
 * whatever value: rounded up.  Saturates at U64_MAX.
 */
u64 keel_tsc_unscale(u64 ticks, u64 ratio, u8 frac_bits);

/* Ticks at @khz, which is not 0, as nanoseconds, rounded up; saturates at S64_MAX. */
u64 keel_tsc_ticks_to_ns(u64 ticks, u32 khz);
/* Nanoseconds as ticks at @khz, rounded down; saturates at U64_MAX. */
u64 keel_tsc_ns_to_ticks(u64 ns, u32 khz);

/*
 * @khz, at least KEEL_TSC_KHZ_LOWEST, as a fraction of @crystal_khz: the nearest
 * one whose numerator times the crystal's kHz, which is how software computes
 * the frequency, has 32 bits.  False: that one is off by more than 1 ppm.
 */
bool keel_tsc_crystal_ratio(u32 khz, u32 crystal_khz, u32 *num, u32 *den);

#endif /* KEEL_CORE_TSC_MATH_H */
