// SPDX-License-Identifier: GPL-2.0
/*
 * The exit ledger on a clock of the test's own: nothing is lost or counted
 * twice, whatever a vCPU's life looks like.
 */
#include <stdlib.h>
#include "core/ledger.h"
#include "ktap.h"

#define REASONS	3
#define BIRTH	1000

static const char *const names[REASONS] = { "cpuid", "hlt", "a_name_that_is_too_long" };

static struct keel_ledger_map map;
static struct keel_ledger ledger;
static u64 now;

static void begin(void)
{
	memset(&map, 0, sizeof(map));
	ledger = (struct keel_ledger){ .map = &map };
	now = BIRTH;
	keel_ledger_init(&ledger, names, REASONS, 2000000, now);
}

static void enter(void)
{
	if (keel_ledger_in_loop(&ledger))
		keel_ledger_enter(&ledger, (u32)now);
	else
		keel_ledger_reenter(&ledger, now);
}

/* A stay of @ticks in guest mode that @reason ends. */
static void guest(u64 ticks, u32 reason)
{
	enter();
	now += ticks;
	keel_ledger_leave(&ledger, now);
	keel_ledger_exit(&ledger, reason);
}

static void go(enum keel_time class)
{
	keel_ledger_switch(&ledger, class, now);
}

static void pass(enum keel_time class, u64 ticks)
{
	go(class);
	now += ticks;
}

static u64 sum(void)
{
	u64 all = 0;

	for (int i = 0; i < KEEL_TIME_NR; i++)
		all += map.time[i];
	return all;
}

static void exit_in_the_loop(void)
{
	struct keel_ledger_cell *cell = &map.cell[0][KEEL_PATH_LOOP];

	begin();
	pass(KEEL_TIME_KERNEL, 10);
	guest(500, 0);
	now += 300;
	guest(70, 0);
	keel_ledger_path(&ledger, KEEL_PATH_KERNEL);
	CHECK(cell->ticks == 300 && cell->bucket[8] == 1, "counted with its time");
	CHECK(map.time[KEEL_TIME_GUEST] == 570, "guest time is what is left");
	CHECK(map.time[KEEL_TIME_KERNEL] == 310, "kernel time: before and between");
	CHECK(keel_ledger_exits(&ledger, 0) == 2, "the open exit counts");
	CHECK(map.head.open_reason == 0 && map.head.open_path == KEEL_PATH_KERNEL, "and is named");
}

static void exit_to_the_launcher(void)
{
	struct keel_ledger_cell *cell = &map.cell[1][KEEL_PATH_LAUNCHER];

	begin();
	pass(KEEL_TIME_KERNEL, 10);
	guest(5, 1);
	now += 100;
	keel_ledger_path(&ledger, KEEL_PATH_KERNEL);
	keel_ledger_path(&ledger, KEEL_PATH_LAUNCHER);
	pass(KEEL_TIME_LAUNCHER, 1000);
	pass(KEEL_TIME_KERNEL, 24);
	keel_ledger_path(&ledger, KEEL_PATH_KERNEL);
	guest(5, 0);
	CHECK(cell->ticks == 1124 && cell->bucket[10] == 1, "the way there and back");
	CHECK(!map.cell[1][KEEL_PATH_KERNEL].ticks, "in one column");
	keel_ledger_path(&ledger, KEEL_PATH_KERNEL);
	CHECK(map.time[KEEL_TIME_LAUNCHER] == 1000 && map.time[KEEL_TIME_KERNEL] == 134, "times");
	CHECK(keel_ledger_exits(&ledger, 1) == 1 && keel_ledger_exits(&ledger, 0) == 1, "counts");
}

static void nobody_works_while_halted(void)
{
	struct keel_ledger_cell *cell = &map.cell[1][KEEL_PATH_KERNEL];

	begin();
	go(KEEL_TIME_KERNEL);
	guest(5, 1);
	now += 50;
	keel_ledger_path(&ledger, KEEL_PATH_KERNEL);
	pass(KEEL_TIME_HALTED, 1000000);
	pass(KEEL_TIME_KERNEL, 6);
	pass(KEEL_TIME_READY, 7000);
	pass(KEEL_TIME_KERNEL, 8);
	guest(5, 1);
	CHECK(cell->ticks == 64 && cell->bucket[6] == 1, "the exit took its own time alone");
	keel_ledger_path(&ledger, KEEL_PATH_KERNEL);
	CHECK(map.time[KEEL_TIME_HALTED] == 1000000 && map.time[KEEL_TIME_READY] == 7000,
	      "classes");
	CHECK(sum() == now - BIRTH, "all time is somewhere");
}

static void extreme_times(void)
{
	begin();
	go(KEEL_TIME_KERNEL);
	guest(1, 0);
	guest(1, 0);
	CHECK(map.cell[0][0].bucket[0] == 1, "no time at all is in the first bucket");
	now += 0xffffffff;
	guest(1ULL << 40, 0);
	CHECK(map.cell[0][0].bucket[31] == 1, "the most that the loop can take");
	keel_ledger_path(&ledger, KEEL_PATH_KERNEL);
	CHECK(map.time[KEEL_TIME_GUEST] == (1ULL << 40) + 2, "a long stay");
	go(KEEL_TIME_KERNEL);
	now += 1ULL << 50;
	guest(1, 0);
	CHECK(map.cell[0][KEEL_PATH_KERNEL].bucket[31] == 1, "more than any bucket: the last");
	keel_ledger_path(&ledger, KEEL_PATH_KERNEL);
	now -= 500;	/* another CPU, whose clock is behind */
	go(KEEL_TIME_READY);
	now += 400;
	go(KEEL_TIME_KERNEL);
	CHECK(map.time[KEEL_TIME_READY] == 0, "a clock behind does not run backwards");
	now += 200;
	go(KEEL_TIME_READY);
	CHECK(sum() == now - BIRTH, "and the sum is right again");
}

static void the_map_describes_itself(void)
{
	const struct keel_ledger_head *h = &map.head;
	const char *base = (const char *)&map;

	begin();
	CHECK(h->magic == KEEL_LEDGER_MAGIC && h->size == sizeof(map), "magic and size");
	CHECK(!strcmp(base + h->reason_names, "cpuid"), "a reason");
	CHECK(!strcmp(base + h->reason_names + 2 * KEEL_LEDGER_NAME, "a_name_that_is_"), "cut");
	CHECK(!strcmp(base + h->time_names + KEEL_TIME_HALTED * KEEL_LEDGER_NAME, "halted"),
	      "a class");
	CHECK(!strcmp(base + h->path_names + 2 * KEEL_LEDGER_NAME, "launcher"), "a path");
	CHECK(h->now == KEEL_TIME_LAUNCHER && h->since == BIRTH, "who runs");
	CHECK(h->open_reason == KEEL_LEDGER_NONE && h->open_path == KEEL_LEDGER_NONE,
	      "no exit yet");
	go(KEEL_TIME_KERNEL);
	enter();
	CHECK(h->now == KEEL_LEDGER_RUNNING, "running");
}

/* Any life: every tick is in a class, every exit in a cell. */
static void any_life(void)
{
	u64 exits = 0, counted = 0, guest_time = 0;

	begin();
	srand(7);
	for (int i = 0; i < 200000; i++) {
		u64 t = rand() % 5000;

		go(KEEL_TIME_KERNEL);
		now += rand() % 100;
		for (int n = rand() % 5; n >= 0; n--) {
			guest(t, rand() % REASONS);
			guest_time += t;
			exits++;
			now += rand() % 300;
		}
		keel_ledger_path(&ledger, KEEL_PATH_KERNEL);
		if (rand() % 2)
			pass(KEEL_TIME_HALTED + rand() % 3, rand());
		go(KEEL_TIME_KERNEL);
		now += rand() % 100;
		if (rand() % 3)
			continue;
		keel_ledger_path(&ledger, KEEL_PATH_LAUNCHER);
		pass(KEEL_TIME_LAUNCHER, rand() % 1000);
	}
	go(KEEL_TIME_KERNEL);
	for (u32 r = 0; r < REASONS; r++)
		counted += keel_ledger_exits(&ledger, r);
	CHECK(sum() == now - BIRTH, "every tick");
	CHECK(map.time[KEEL_TIME_GUEST] == guest_time, "guest time");
	CHECK(counted == exits, "every exit: %llu of %llu", counted, exits);
}

int main(void)
{
	static const struct ktap_test tests[] = {
		KTAP_TEST(exit_in_the_loop),
		KTAP_TEST(exit_to_the_launcher),
		KTAP_TEST(nobody_works_while_halted),
		KTAP_TEST(extreme_times),
		KTAP_TEST(the_map_describes_itself),
		KTAP_TEST(any_life),
	};

	return ktap_main(tests, ARRAY_SIZE(tests));
}
