// SPDX-License-Identifier: GPL-2.0
/*
 * The guest side of memory.c: fill, compare, and watch memory change under it.
 */
#include "lib/guest/guest.h"

#define PAGE	4096

void fill(u64 gpa, u64 len, u64 seed)
{
	u64 at;

	for (at = gpa; at < gpa + len; at += PAGE)
		*(volatile u64 *)at = seed + at;
}

/* How many pages hold what fill() wrote; the rest has to be zero. */
u64 compare(u64 gpa, u64 len, u64 seed)
{
	u64 at, n = 0, val;

	for (at = gpa; at < gpa + len; at += PAGE) {
		val = *(volatile u64 *)at;
		GUEST_ASSERT(val == seed + at || val == 0);
		n += val != 0;
	}
	return n;
}

u64 sum(u64 gpa, u64 len)
{
	u64 total = 0;

	for (; len; len -= 8, gpa += 8)
		total += *(volatile u64 *)gpa;
	return total;
}

volatile u64 stop, rounds;

/*
 * Write and read back while the host takes pages away: a page holds what was
 * written last or zero, never anything else.
 */
void churn(u64 gpa, u64 len)
{
	u64 at, val;

	while (!stop) {
		for (at = gpa; at < gpa + len; at += PAGE) {
			val = *(volatile u64 *)at;
			GUEST_ASSERT(val == 0 || val == at + rounds - 1);
			*(volatile u64 *)at = at + rounds;
			val = *(volatile u64 *)at;
			GUEST_ASSERT(val == 0 || val == at + rounds);
		}
		rounds++;
	}
}

u64 peek(u64 gpa)
{
	return *(volatile u64 *)gpa;
}

void poke(u64 gpa, u64 val)
{
	*(volatile u64 *)gpa = val;
}

/* Adds one to each page; the host and other CPUs do so too. */
void add(u64 gpa, u64 len, u64 times)
{
	u64 at;

	for (; times; times--)
		for (at = gpa; at < gpa + len; at += PAGE)
			__atomic_fetch_add((u64 *)at, 1, __ATOMIC_SEQ_CST);
}
