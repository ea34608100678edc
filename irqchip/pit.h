/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The model of the 8254 timer and of port 0x61.  Pure and without a clock of
 * its own: each call is told the time, counters are computed from the time
 * that they were loaded at.  The caller serializes.  It must not know how an
 * edge becomes an interrupt.
 */
#ifndef KEEL_IRQCHIP_PIT_H
#define KEEL_IRQCHIP_PIT_H

#include "core/pure.h"

struct keel_rec_pit;

#define PIT_PORT		0x40	/* three counters and the control word */
#define PIT_PORT_SYSTEM		0x61	/* gate 2, speaker, refresh toggle, OUT 2 */

#define PIT_HZ			1193182
#define PIT_NEVER		U64_MAX

/* What a counter does since its control word. */
enum pit_running {
	PIT_IDLE,		/* no (whole) count was written */
	PIT_COUNTING,
	PIT_WAITING,		/* loaded, but the gate is low or gave no trigger yet */
	PIT_RUNNING_NR
};

/*
 * Simplifications that no guest can lean on: a count takes effect when it is
 * written, not a clock later; a new one begins a new period at once in modes 2
 * and 3, and moves the end of a running one-shot in modes 1 and 5.
 */
struct pit_channel {
	u32 reload;		/* clocks: 1 to 65536, binary also in BCD mode */
	u64 start;		/* ns: when the count was loaded; PIT_COUNTING */
	u64 held;		/* ns counted when the gate stopped it; PIT_WAITING */
	u8 running;		/* enum pit_running */
	u8 mode;		/* 0 to 5 */
	bool bcd;
	bool gate;
	bool null_count;	/* the count written is not in the counter yet */
	u8 access;		/* 1 low byte, 2 high byte, 3 low then high */
	bool write_high;	/* access 3: the high byte comes next */
	bool read_high;
	u8 write_low;		/* the low byte that came */
	u8 latch_count;		/* bytes of @latched that are to be read */
	u16 latched;
	bool latch_status;
	u8 status;
};

struct pit {
	struct pit_channel channel[3];
	bool speaker;		/* port 0x61 bit 1 */
};

void pit_reset(struct pit *pit);

/* One byte at one of the ports above, @now in ns. */
u8 pit_read(struct pit *pit, u16 port, u64 now);
/* Returns true when channel 0's edges lie elsewhere now. */
bool pit_write(struct pit *pit, u16 port, u8 val, u64 now);

/* The time of the first rising edge of channel 0's OUT later than @after, or PIT_NEVER. */
u64 pit_next_edge(const struct pit *pit, u64 after);
/* How many rising edges channel 0's OUT had in (@after, @now]. */
u64 pit_edges(const struct pit *pit, u64 after, u64 now);
/* The period of channel 0 in ns; 0 in modes that do not repeat. */
u64 pit_period(const struct pit *pit);

/* Clocks that elapse in @ns, and the first ns at which @clocks have. */
u64 pit_ns_to_clocks(u64 ns);
u64 pit_clocks_to_ns(u64 clocks);
bool pit_out(const struct pit_channel *c, u64 now);
/* The counter as a read of it would give, in BCD in BCD mode. */
u16 pit_count(const struct pit_channel *c, u64 now);

void pit_save(const struct pit *pit, struct keel_rec_pit *rec, u64 now);
int pit_check(const struct keel_rec_pit *rec, u32 *bad_offset);
void pit_load(struct pit *pit, const struct keel_rec_pit *rec, u64 now);

#endif /* KEEL_IRQCHIP_PIT_H */
