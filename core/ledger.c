// SPDX-License-Identifier: GPL-2.0
/*
 * The exit ledger outside of the entry loop: the map that describes itself, the
 * changes of class, and the exits that led out of the loop.  Pure.  It must not
 * know where the time comes from or who reads the map.
 */
#include "core/ledger.h"

static const char *const time_names[KEEL_TIME_NR] = {
	[KEEL_TIME_GUEST] = "guest",
	[KEEL_TIME_KERNEL] = "kernel",
	[KEEL_TIME_LAUNCHER] = "launcher",
	[KEEL_TIME_HALTED] = "halted",
	[KEEL_TIME_READY] = "ready",
	[KEEL_TIME_POLLING] = "polling",
};

static const char *const path_names[KEEL_PATH_NR] = {
	[KEEL_PATH_LOOP] = "loop",
	[KEEL_PATH_KERNEL] = "kernel",
	[KEEL_PATH_LAUNCHER] = "launcher",
};

/* The map is zeroed. */
static void put_names(char (*to)[KEEL_LEDGER_NAME], const char *const *names, u32 nr)
{
	u32 i, j;

	for (i = 0; i < nr; i++)
		for (j = 0; names[i][j] && j < KEEL_LEDGER_NAME - 1; j++)
			to[i][j] = names[i][j];
}

void keel_ledger_init(struct keel_ledger *l, const char *const *names, u32 nr_reasons,
		      u32 tick_khz, u64 now)
{
	struct keel_ledger_map *map = l->map;

	map->head = (struct keel_ledger_head){
		.magic = KEEL_LEDGER_MAGIC,
		.head_size = sizeof(map->head),
		.size = sizeof(*map),
		.tick_khz = tick_khz,
		.nr_times = KEEL_TIME_NR,
		.nr_reasons = nr_reasons,
		.nr_paths = KEEL_PATH_NR,
		.nr_buckets = KEEL_LEDGER_BUCKETS,
		.times = offsetof(struct keel_ledger_map, time),
		.cells = offsetof(struct keel_ledger_map, cell),
		.time_names = offsetof(struct keel_ledger_map, time_name),
		.path_names = offsetof(struct keel_ledger_map, path_name),
		.reason_names = offsetof(struct keel_ledger_map, reason_name),
		.now = KEEL_TIME_LAUNCHER,
		.since = now,
		.open_reason = KEEL_LEDGER_NONE,
		.open_path = KEEL_LEDGER_NONE,
	};
	put_names(map->time_name, time_names, KEEL_TIME_NR);
	put_names(map->path_name, path_names, KEEL_PATH_NR);
	put_names(map->reason_name, names, nr_reasons);
	l->last = now;
	l->class = KEEL_TIME_LAUNCHER;
	l->path = KEEL_PATH_LAUNCHER;
}

/* Ticks since the last change; a clock that differs between CPUs does not run backwards. */
static u64 advance(struct keel_ledger *l, u64 now)
{
	u64 spent = now - l->last;

	if ((s64)spent < 0)
		return 0;
	l->last = now;
	return spent;
}

static void add(u64 *to, u64 ticks)
{
	WRITE_ONCE(*to, *to + ticks);
}

static void settle(struct keel_ledger *l, u64 now)
{
	u64 spent = advance(l, now);

	add(&l->map->time[l->class], spent);
	/* An exit does not answer for the time in which nobody worked on it. */
	if (l->class == KEEL_TIME_KERNEL || l->class == KEEL_TIME_LAUNCHER)
		l->open += spent;
}

void keel_ledger_switch(struct keel_ledger *l, enum keel_time class, u64 now)
{
	settle(l, now);
	l->class = class;
	WRITE_ONCE(l->map->head.since, l->last);
	WRITE_ONCE(l->map->head.now, class);
}

void keel_ledger_path(struct keel_ledger *l, enum keel_path path)
{
	struct keel_ledger_map *map = l->map;

	if (l->path == KEEL_PATH_LOOP) {
		add(&map->time[KEEL_TIME_KERNEL], l->spent);
		add(&map->time[KEEL_TIME_GUEST], l->last - l->entered - l->spent);
		l->class = KEEL_TIME_KERNEL;
		WRITE_ONCE(map->head.open_reason, (l->cell - map->cell[0]) / KEEL_PATH_NR);
		WRITE_ONCE(map->head.since, l->last);
		WRITE_ONCE(map->head.now, KEEL_TIME_KERNEL);
	}
	if (l->path >= path)
		return;
	l->path = path;
	if (l->cell)
		WRITE_ONCE(map->head.open_path, path);
}

void keel_ledger_reenter(struct keel_ledger *l, u64 now)
{
	struct keel_ledger_map *map = l->map;
	struct keel_ledger_cell *cell = l->cell;
	u32 bucket;

	settle(l, now);
	WRITE_ONCE(map->head.now, KEEL_LEDGER_RUNNING);
	WRITE_ONCE(map->head.open_reason, KEEL_LEDGER_NONE);
	WRITE_ONCE(map->head.open_path, KEEL_LEDGER_NONE);
	if (cell) {
		cell += l->path;
		bucket = min_t(u32, 63 - __builtin_clzll(l->open | 1), KEEL_LEDGER_BUCKETS - 1);
		add(&cell->ticks, l->open);
		add(&cell->bucket[bucket], 1);
	}
	l->open = 0;
	l->spent = 0;
	l->entered = l->last;
	l->path = KEEL_PATH_LOOP;
}

u64 keel_ledger_exits(const struct keel_ledger *l, u32 reason)
{
	u64 sum = READ_ONCE(l->map->head.open_reason) == reason;
	u32 path, bucket;

	for (path = 0; path < KEEL_PATH_NR; path++)
		for (bucket = 0; bucket < KEEL_LEDGER_BUCKETS; bucket++)
			sum += READ_ONCE(l->map->cell[reason][path].bucket[bucket]);
	return sum;
}
