// SPDX-License-Identifier: GPL-2.0
/*
 * The guest side of neighbours.c: one that computes, and some that one would
 * not want next door.
 */
#include "lib/guest/guest.h"

volatile u64 stop, rounds;

/* Fill a buffer from a generator, sum it up, compare: for as long as it takes. */
void compute(u64 words, u64 expected)
{
	volatile u64 *buf = (volatile u64 *)GUEST_SCRATCH;
	u64 i, x, total;

	while (!stop) {
		x = 1;
		for (i = 0; i < words; i++) {
			x = x * 6364136223846793005ULL + 1442695040888963407ULL;
			buf[i] = x;
		}
		total = 0;
		for (i = 0; i < words; i++)
			total = (total << 1 | total >> 63) ^ buf[i];
		GUEST_ASSERT_EQ(total, expected);
		rounds++;
	}
}

void die(void)
{
	struct { u16 limit; u64 base; } __packed idtr = { 0, 0 };

	asm volatile("lidt %0\n\tint3" : : "m"(idtr));
}

/* No interrupt of its own gets it out of here. */
void spin(void)
{
	cli();
	for (;;)
		cpu_relax();
}

void storm(u64 gpa)
{
	for (;;) {
		outl(0x80, 1);
		*(volatile u32 *)gpa = 1;
	}
}

/* Whatever the seed makes of registers and memory, for ever. */
void thrash(u64 from, u64 len, u64 seed)
{
	u64 x = seed;

	for (;;) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		*(volatile u64 *)(from + (x >> 20) % len / 8 * 8) = x;
	}
}
