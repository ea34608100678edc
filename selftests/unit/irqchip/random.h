/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Random numbers that are the same in every run, so that a failure repeats.
 * It knows nothing of what is tested.
 */
#ifndef KEEL_UNIT_RANDOM_H
#define KEEL_UNIT_RANDOM_H

#include "core/pure.h"

static u64 random_state = 0x9e3779b97f4a7c15ULL;

/* splitmix64 */
static inline u64 random_u64(void)
{
	u64 z = (random_state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static inline u32 random_below(u32 n)
{
	return (u32)(random_u64() % n);
}

#endif /* KEEL_UNIT_RANDOM_H */
