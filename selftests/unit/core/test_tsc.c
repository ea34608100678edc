// SPDX-License-Identifier: GPL-2.0
/*
 * The TSC's arithmetic against the same in 128 bits: ratios at and beyond every
 * limit, in both CPUs' formats; products and quotients that leave 64 bits;
 * deadlines that must never come early; the fraction that CPUID tells.
 */
#include <stdlib.h>
#include "core/tsc_math.h"
#include "ktap.h"

typedef unsigned __int128 u128;

static const struct keel_tsc_format vmx = { .int_bits = 16, .frac_bits = 48 };
static const struct keel_tsc_format svm = { .int_bits = 8, .frac_bits = 32 };
static const struct keel_tsc_format formats[] = {
	{ 16, 48 }, { 8, 32 }, { 1, 63 }, { 32, 32 }, { 4, 40 },
};

static u64 seed = 0x9e3779b97f4a7c15;

static u64 random_u64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dULL;
}

/* Of every magnitude, and now and then the ends. */
static u64 random_any(void)
{
	u64 n = random_u64() >> (random_u64() % 64);

	switch (random_u64() % 16) {
	case 0:
		return 0;
	case 1:
		return U64_MAX;
	case 2:
		return U64_MAX - n % 3;
	default:
		return n;
	}
}

static u32 random_khz(void)
{
	return (u32)(random_u64() >> (32 + random_u64() % 22)) ?: 1;
}

/* ---- ratios -------------------------------------------------------------------- */

static void known_ratios(void)
{
	u64 ratio;

	CHECK_EQ(keel_tsc_ratio(2000000, 2000000, vmx, &ratio), 0);
	CHECK_EQ(ratio, 1ULL << 48);
	CHECK_EQ(keel_tsc_ratio(1000000, 2000000, vmx, &ratio), 0);
	CHECK_EQ(ratio, 1ULL << 47);
	CHECK_EQ(keel_tsc_ratio(4000000, 2000000, svm, &ratio), 0);
	CHECK_EQ(ratio, 2ULL << 32);
	CHECK_EQ(keel_tsc_ratio(1000000, 3000000, svm, &ratio), 0);
	CHECK_EQ(ratio, 0x55555555);
	CHECK_EQ(keel_tsc_ratio(2000000, 3000000, svm, &ratio), 0);
	CHECK_EQ(ratio, 0xaaaaaaab);		/* to the nearest */
	CHECK_EQ(keel_tsc_ratio(2000000, 3000000, vmx, &ratio), 0);
	CHECK_EQ(ratio, 0xaaaaaaaaaaabULL);
}

static void limits(void)
{
	u64 ratio;

	CHECK_EQ(keel_tsc_khz_highest(0, vmx), 0);
	CHECK_EQ(keel_tsc_khz_highest(20000, vmx), 20000 * 65536U - 1);
	CHECK_EQ(keel_tsc_khz_highest(3000000, vmx), U32_MAX);
	CHECK_EQ(keel_tsc_khz_highest(20000, svm), 20000 * 256 - 1);
	CHECK_EQ(keel_tsc_khz_highest(1, formats[3]), U32_MAX);
	CHECK_EQ(keel_tsc_khz_highest(0, formats[3]), 0);
	CHECK_EQ(keel_tsc_ratio(20000 * 256 - 1, 20000, svm, &ratio), 0);
	CHECK(ratio < 256ULL << 32);
	CHECK_EQ(keel_tsc_ratio(20000 * 256, 20000, svm, &ratio), -EINVAL);
	CHECK_EQ(keel_tsc_ratio(KEEL_TSC_KHZ_LOWEST, 4000000, vmx, &ratio), 0);
	CHECK(ratio);
	CHECK_EQ(keel_tsc_ratio(KEEL_TSC_KHZ_LOWEST - 1, 4000000, vmx, &ratio), -EINVAL);
	CHECK_EQ(keel_tsc_ratio(0, 4000000, vmx, &ratio), -EINVAL);
	CHECK_EQ(keel_tsc_ratio(2000000, 0, vmx, &ratio), -EINVAL);
	CHECK_EQ(keel_tsc_ratio(U32_MAX, U32_MAX, vmx, &ratio), 0);
	CHECK_EQ(ratio, 1ULL << 48);
	CHECK_EQ(keel_tsc_ratio(U32_MAX, 65537, vmx, &ratio), 0);
	CHECK_EQ(ratio >> 48, 65535);
	CHECK_EQ(keel_tsc_ratio(U32_MAX, 65536, vmx, &ratio), 0);
	CHECK_EQ(keel_tsc_ratio(U32_MAX, 65535, vmx, &ratio), -EINVAL);
}

static void ratio_is_the_nearest(void)
{
	u64 ratio, i;

	for (i = 0; i < 400000; i++) {
		struct keel_tsc_format f = formats[i % ARRAY_SIZE(formats)];
		u32 guest = random_khz(), host = random_khz();
		int err = keel_tsc_ratio(guest, host, f, &ratio);
		u128 exact = (u128)guest << f.frac_bits, got, off;

		if (guest < KEEL_TSC_KHZ_LOWEST || guest > keel_tsc_khz_highest(host, f)) {
			CHECK_EQ(err, -EINVAL);
			continue;
		}
		CHECK_EQ(err, 0);
		got = (u128)ratio * host;
		off = got > exact ? got - exact : exact - got;
		CHECK(2 * off <= host, "%u by %u", guest, host);
		if (f.int_bits + f.frac_bits < 64)
			CHECK(!(ratio >> (f.int_bits + f.frac_bits)), "%u by %u", guest, host);
	}
	ktap_cases(i);
}

/* ---- scaling -------------------------------------------------------------------- */

static void scale_as_the_cpu(void)
{
	u64 i;

	CHECK_EQ(keel_tsc_scale(U64_MAX, 1ULL << 48, 48), U64_MAX);
	CHECK_EQ(keel_tsc_scale(U64_MAX, 1ULL << 47, 48), U64_MAX / 2);
	CHECK_EQ(keel_tsc_scale(U64_MAX, 2ULL << 32, 32), U64_MAX - 1);	/* wraps */
	CHECK_EQ(keel_tsc_scale(3, 1ULL << 47, 48), 1);
	for (i = 0; i < 200000; i++) {
		u64 host = random_any(), ratio = random_any();
		u8 bits = i & 1 ? 48 : 32;

		CHECK_EQ(keel_tsc_scale(host, ratio, bits), (u64)((u128)host * ratio >> bits));
	}
	ktap_cases(i);
}

/* The least number of host ticks, and from any value it is enough. */
static void unscale_is_never_early(void)
{
	u64 i;

	CHECK_EQ(keel_tsc_unscale(0, 1, 48), 0);
	CHECK_EQ(keel_tsc_unscale(1, 1ULL << 47, 48), 2);
	CHECK_EQ(keel_tsc_unscale(3, 2ULL << 48, 48), 2);
	CHECK_EQ(keel_tsc_unscale(U64_MAX, 1ULL << 48, 48), U64_MAX);
	CHECK_EQ(keel_tsc_unscale(U64_MAX, 1ULL << 47, 48), U64_MAX);
	CHECK_EQ(keel_tsc_unscale(U64_MAX, U64_MAX, 48), 1ULL << 48);
	CHECK_EQ(keel_tsc_unscale(1, 1, 63), 1ULL << 63);
	CHECK_EQ(keel_tsc_unscale(2, 1, 63), U64_MAX);
	for (i = 0; i < 400000; i++) {
		u64 ticks = random_any(), ratio = random_any() ?: 1, now = random_any();
		u8 bits = i & 1 ? 48 : 32;
		u64 host = keel_tsc_unscale(ticks, ratio, bits);
		u128 want = (u128)ticks << bits;
		u64 gone;

		if (want > (u128)U64_MAX * ratio) {
			CHECK_EQ(host, U64_MAX);
			continue;
		}
		CHECK((u128)host * ratio >= want, "%#llx by %#llx", ticks, ratio);
		if (host)
			CHECK((u128)(host - 1) * ratio < want, "%#llx by %#llx", ticks, ratio);
		/* The clock itself, where it does not wrap. */
		if ((u128)now + host > U64_MAX || (((u128)now + host) * ratio >> bits) > U64_MAX)
			continue;
		gone = keel_tsc_scale(now + host, ratio, bits) - keel_tsc_scale(now, ratio, bits);
		CHECK(gone >= ticks, "%#llx by %#llx at %#llx", ticks, ratio, now);
	}
	ktap_cases(i);
}

/* ---- nanoseconds ----------------------------------------------------------------- */

static void nanoseconds(void)
{
	u64 i;

	CHECK_EQ(keel_tsc_ticks_to_ns(3000000, 3000000), 1000000);
	CHECK_EQ(keel_tsc_ticks_to_ns(1, 3000000), 1);	/* rounded up */
	CHECK_EQ(keel_tsc_ticks_to_ns(0, 3000000), 0);
	CHECK_EQ(keel_tsc_ticks_to_ns(U64_MAX, 1000), S64_MAX);
	CHECK_EQ(keel_tsc_ticks_to_ns(U64_MAX, 1), S64_MAX);
	CHECK_EQ(keel_tsc_ticks_to_ns(U64_MAX, U32_MAX), 4294967297000000);
	CHECK_EQ(keel_tsc_ns_to_ticks(1000000, 3000000), 3000000);
	CHECK_EQ(keel_tsc_ns_to_ticks(1, 1000), 0);
	CHECK_EQ(keel_tsc_ns_to_ticks(U64_MAX, U32_MAX), U64_MAX);
	CHECK_EQ(keel_tsc_ns_to_ticks(U64_MAX, 1000000), U64_MAX);
	for (i = 0; i < 400000; i++) {
		u64 n = random_any();
		u32 khz = random_khz();
		u128 ns = ((u128)n * 1000000 + khz - 1) / khz, ticks = (u128)n * khz / 1000000;

		CHECK_EQ(keel_tsc_ticks_to_ns(n, khz), ns > S64_MAX ? S64_MAX : (u64)ns);
		CHECK_EQ(keel_tsc_ns_to_ticks(n, khz), ticks > U64_MAX ? U64_MAX : (u64)ticks);
		/* There and back: a deadline is met. */
		if (ns <= S64_MAX)
			CHECK(keel_tsc_ns_to_ticks((u64)ns, khz) >= n, "%llu at %u", n, khz);
	}
	ktap_cases(i);
}

/* ---- CPUID ----------------------------------------------------------------------- */

#define CRYSTAL	1000000U

/* What is @num / @den off the frequency, parts per 10^9. */
static u64 off_ppb(u32 khz, u32 num, u32 den)
{
	u128 is = (u128)num * CRYSTAL, want = (u128)khz * den;

	return (u64)((is > want ? is - want : want - is) * 1000000000 / want);
}

static bool crystal_is(u32 khz, u32 crystal, u32 num, u32 den)
{
	u32 n = 0, d = 0;

	return keel_tsc_crystal_ratio(khz, crystal, &n, &d) && n == num && d == den;
}

/* The nearest of all fractions, found by trying every numerator. */
static u64 least_off(u32 khz)
{
	u64 least = U64_MAX;
	u32 n, d;

	for (n = 1; n <= U32_MAX / CRYSTAL; n++) {
		d = (u32)((u64)n * CRYSTAL / khz);
		if (d)
			least = min(least, off_ppb(khz, n, d));
		least = min(least, off_ppb(khz, n, d + 1));
	}
	return least;
}

static void crystal_ratio(void)
{
	u32 num, den, khz;
	u64 i, given = 0;

	CHECK(crystal_is(20000, CRYSTAL, 1, 50));
	CHECK(crystal_is(3500000, CRYSTAL, 7, 2));
	CHECK(crystal_is(1000, CRYSTAL, 1, 1000));
	CHECK(crystal_is(U32_MAX, U32_MAX, 1, 1));
	CHECK(crystal_is(U32_MAX, 1, U32_MAX, 1));
	CHECK(crystal_is(U32_MAX, 3, U32_MAX / 3, 1));
	CHECK(crystal_is(65535U * 65536U, 65536, 65535, 1));
	CHECK(!keel_tsc_crystal_ratio(7000154, CRYSTAL, &num, &den));	/* 7 by 22 ppm */
	CHECK(!keel_tsc_crystal_ratio(U32_MAX, CRYSTAL, &num, &den));
	for (i = 0; i < 200000; i++) {
		khz = KEEL_TSC_KHZ_LOWEST + (u32)(random_u64() % 10000000);
		if (!keel_tsc_crystal_ratio(khz, CRYSTAL, &num, &den))
			continue;
		given++;
		CHECK(num && den && (u64)num * CRYSTAL <= U32_MAX, "%u", khz);
		CHECK(off_ppb(khz, num, den) <= 1000, "%u: %u/%u", khz, num, den);
	}
	CHECK(given > i / 2);
	for (i = 0; i < 2000; i++) {
		khz = KEEL_TSC_KHZ_LOWEST + (u32)(random_u64() % 6000000);
		if (keel_tsc_crystal_ratio(khz, CRYSTAL, &num, &den))
			CHECK_EQ(off_ppb(khz, num, den), least_off(khz));
		else
			CHECK(least_off(khz) >= 1000, "%u", khz);
	}
	ktap_cases(i);
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(known_ratios),
		KTAP_TEST(limits),
		KTAP_TEST(ratio_is_the_nearest),
		KTAP_TEST(scale_as_the_cpu),
		KTAP_TEST(unscale_is_never_early),
		KTAP_TEST(nanoseconds),
		KTAP_TEST(crystal_ratio),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
