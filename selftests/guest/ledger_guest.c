// SPDX-License-Identifier: GPL-2.0
/*
 * The guest side of ledger.c: exits of known kinds and numbers, and time spent
 * in known ways.
 */
#include "lib/guest/guest.h"

void leave(u64 cpuids, u64 outs, u64 port)
{
	u32 regs[4];

	while (cpuids--)
		cpuid(0, 0, regs);
	while (outs--)
		outb(port, outs);
}

/* Busy until the host says so. */
void burn(u64 flag)
{
	while (!*(volatile u8 *)flag)
		;
}

static void ignore(struct guest_frame *frame)
{
}

/* An NMI wakes it. */
void halt(void)
{
	guest_set_handler(NMI_VECTOR, ignore);
	GUEST_SYNC(1);
	hlt();
}
