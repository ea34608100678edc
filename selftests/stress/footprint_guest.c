// SPDX-License-Identifier: GPL-2.0
/*
 * The guest side of footprint.c: touch memory.
 */
#include "lib/guest/guest.h"

/* Write a word in every page of @len bytes. */
void touch(u64 gpa, u64 len)
{
	u64 at;

	for (at = gpa; at < gpa + len; at += 4096)
		*(volatile u64 *)at = at;
}
