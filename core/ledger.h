/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The exit ledger of one vCPU: where its time goes.  Every tick since the vCPU
 * was made belongs to one class; every exit belongs to one cell, by its reason
 * and by how far out of the entry loop it led.  Pure: time is passed in.  It
 * must not know what a reason means or how the launcher sees the pages.
 *
 * The owner writes, anybody may read: each word is written as one.
 */
#ifndef KEEL_CORE_LEDGER_H
#define KEEL_CORE_LEDGER_H

#include <linux/keel.h>
#include "core/pure.h"

#define KEEL_LEDGER_REASONS	32	/* room for enum keel_exit_kind */
#define KEEL_LEDGER_BUCKETS	32	/* bucket i: from 2^i ticks, below 2^(i+1) */

/* The classes of time, in the order of their values in the pages. */
enum keel_time {
	KEEL_TIME_GUEST,	/* in guest mode */
	KEEL_TIME_KERNEL,	/* in KEEL_RUN, working */
	KEEL_TIME_LAUNCHER,	/* not in KEEL_RUN */
	KEEL_TIME_HALTED,	/* asleep until the guest's next event, or paused */
	KEEL_TIME_READY,	/* could run, the host's CPU is somebody else's */
	KEEL_TIME_POLLING,	/* halted and awake, waiting for an event that is near */
	KEEL_TIME_NR
};

/* How far an exit led: an exit is counted once, in its farthest column. */
enum keel_path {
	KEEL_PATH_LOOP,		/* handled in the entry loop */
	KEEL_PATH_KERNEL,	/* handled in the kernel, with interrupts on */
	KEEL_PATH_LAUNCHER,	/* KEEL_RUN returned */
	KEEL_PATH_NR
};

/* Exits of one reason and path.  Their count is the sum of the buckets. */
struct keel_ledger_cell {
	u64 ticks;		/* from exit to next entry, without halted and ready time */
	u64 bucket[KEEL_LEDGER_BUCKETS];
};

/* What the launcher maps: struct keel_ledger_head says where everything is. */
struct keel_ledger_map {
	struct keel_ledger_head head;
	u64 time[KEEL_TIME_NR];
	struct keel_ledger_cell cell[KEEL_LEDGER_REASONS][KEEL_PATH_NR];
	char time_name[KEEL_TIME_NR][KEEL_LEDGER_NAME];
	char path_name[KEEL_PATH_NR][KEEL_LEDGER_NAME];
	char reason_name[KEEL_LEDGER_REASONS][KEEL_LEDGER_NAME];
};

#define KEEL_LEDGER_SIZE	((sizeof(struct keel_ledger_map) + 4095) & ~4095UL)

struct keel_ledger {
	u64 last;		/* latest exit, or change of class outside of the loop */
	struct keel_ledger_cell *cell;	/* row of the open exit; NULL: none yet */
	u64 spent;		/* ticks of the kernel since the loop was entered... */
	u64 entered;		/* ...which was then */
	struct keel_ledger_map *map;
	u64 open;		/* ticks of the open exit before @last, outside of the loop */
	u8 path;		/* enum keel_path, of the open exit */
	u8 class;		/* enum keel_time; stale in the entry loop */
};

/* [any] Fill in the map of @nr_reasons reasons; @names: one each.  @now: the vCPU's birth. */
void keel_ledger_init(struct keel_ledger *l, const char *const *names, u32 nr_reasons,
		      u32 tick_khz, u64 now);

/* [owner] Time from @now on is of @class. */
void keel_ledger_switch(struct keel_ledger *l, enum keel_time class, u64 now);

/* [owner] The first entry after the loop was left. */
void keel_ledger_reenter(struct keel_ledger *l, u64 now);

/* [any] Exits of @reason, all paths; and of all reasons. */
u64 keel_ledger_exits(const struct keel_ledger *l, u32 reason);

/* [entry] Is the next entry one from within the loop? */
static __always_inline bool keel_ledger_in_loop(const struct keel_ledger *l)
{
	return likely(l->path == KEEL_PATH_LOOP);
}

/*
 * [entry] Right before the world switch, in the loop.  @low: of the TSC, half of
 * which does: interrupts have been off since the exit.  Guest time costs nothing
 * here, it is what is left when the loop is.
 */
static __always_inline void keel_ledger_enter(struct keel_ledger *l, u32 low)
{
	u32 spent = low - (u32)l->last;
	struct keel_ledger_cell *cell = l->cell;

	l->spent += spent;
	cell->ticks += spent;
	cell->bucket[31U - (u32)__builtin_clz(spent | 1)]++;
}

/* [entry] Right after it. */
static __always_inline void keel_ledger_leave(struct keel_ledger *l, u64 now)
{
	l->last = now;
}

/* [entry] What the exit was. */
static __always_inline void keel_ledger_exit(struct keel_ledger *l, u32 reason)
{
	l->cell = &l->map->cell[reason][KEEL_PATH_LOOP];
}

/* [owner] The loop is left, or KEEL_RUN: the open exit leads as far as @path. */
void keel_ledger_path(struct keel_ledger *l, enum keel_path path);

#endif /* KEEL_CORE_LEDGER_H */
