// SPDX-License-Identifier: GPL-2.0
/*
 * The guest side of footprint.c: touch memory.
 */
#include "lib/guest/guest.h"

/* Write a word every @step bytes. */
void touch(u64 gpa, u64 len, u64 step)
{
	u64 at;

	for (at = gpa; at < gpa + len; at += step)
		*(volatile u64 *)at = at;
}
