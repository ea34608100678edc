// SPDX-License-Identifier: GPL-2.0
/*
 * An exit ledger as the module writes it, to JSON. It must not know how that is
 * shown.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/keel.h>

#include "ledger.h"

#define MAX_SIZE	MIB(1)
#define MAX_NAMES	256

/* A ledger whose sizes and offsets were checked. */
struct ledger {
	const u8 *base;
	struct keel_ledger_head head;
};

const void *ledger_map(int vcpu_fd, size_t *len)
{
	size_t page = sysconf(_SC_PAGESIZE);
	const struct keel_ledger_head *head;
	void *map;

	head = mmap(NULL, page, PROT_READ, MAP_SHARED, vcpu_fd, KEEL_LEDGER_OFFSET);
	if (head == MAP_FAILED)
		return NULL;
	*len = (head->size + page - 1) & ~(page - 1);
	munmap((void *)head, page);
	if (*len > MAX_SIZE) {
		errno = EPROTO;
		return NULL;
	}
	map = mmap(NULL, *len, PROT_READ, MAP_SHARED, vcpu_fd, KEEL_LEDGER_OFFSET);
	return map == MAP_FAILED ? NULL : map;
}

static bool inside(const struct ledger *l, u32 offset, u64 bytes, u32 align)
{
	return offset % align == 0 && offset <= l->head.size && bytes <= l->head.size - offset;
}

static u64 cell_words(const struct ledger *l)
{
	return 1ULL + l->head.nr_buckets;
}

static bool ledger_open(struct ledger *l, const void *map, size_t len)
{
	const struct keel_ledger_head *h = &l->head;
	u64 cells;

	if (len < sizeof(*h))
		return false;
	memcpy(&l->head, map, sizeof(*h));
	l->base = map;
	if (h->magic != KEEL_LEDGER_MAGIC || h->head_size < sizeof(*h) || h->size > len ||
	    !h->tick_khz || h->nr_buckets > 64 || h->nr_times > MAX_NAMES ||
	    h->nr_paths > MAX_NAMES || h->nr_reasons > MAX_NAMES)
		return false;
	cells = (u64)h->nr_reasons * h->nr_paths * cell_words(l) * sizeof(u64);
	return inside(l, h->times, h->nr_times * sizeof(u64), 8) && inside(l, h->cells, cells, 8) &&
	       inside(l, h->time_names, h->nr_times * KEEL_LEDGER_NAME, 1) &&
	       inside(l, h->path_names, h->nr_paths * KEEL_LEDGER_NAME, 1) &&
	       inside(l, h->reason_names, h->nr_reasons * KEEL_LEDGER_NAME, 1);
}

static const char *name_of(const struct ledger *l, u32 names, u32 i, char *copy)
{
	memcpy(copy, l->base + names + i * KEEL_LEDGER_NAME, KEEL_LEDGER_NAME);
	copy[KEEL_LEDGER_NAME - 1] = '\0';
	return copy;
}

static u64 to_ns(const struct ledger *l, u64 ticks)
{
	return (__uint128_t)ticks * 1000000 / l->head.tick_khz;
}

static u64 word(const struct ledger *l, u64 offset)
{
	return *(const volatile u64 *)(l->base + offset);
}

static struct json_object *read_times(const struct ledger *l, u64 now)
{
	struct json_object *times = json_object_new_object();
	char name[KEEL_LEDGER_NAME];

	for (u32 i = 0; i < l->head.nr_times; i++) {
		u64 ticks = word(l, l->head.times + i * sizeof(u64));

		if (i == l->head.now && now > l->head.since)
			ticks += now - l->head.since;
		json_object_object_add(times, name_of(l, l->head.time_names, i, name),
				       json_object_new_uint64(to_ns(l, ticks)));
	}
	return times;
}

/* NULL: there was no such exit. */
static struct json_object *read_cell(const struct ledger *l, u32 reason, u32 path)
{
	u64 at = l->head.cells + ((u64)reason * l->head.nr_paths + path) * cell_words(l) * 8;
	bool open = l->head.open_reason == reason && l->head.open_path == path;
	struct json_object *cell, *histogram = json_object_new_array();
	u64 count = open;

	for (u32 i = 0; i < l->head.nr_buckets; i++) {
		u64 n = word(l, at + 8 + i * 8);
		struct json_object *pair;

		if (!n)
			continue;
		count += n;
		pair = json_object_new_array();
		json_object_array_add(pair, json_object_new_uint64(to_ns(l, i ? 1ULL << i : 0)));
		json_object_array_add(pair, json_object_new_uint64(n));
		json_object_array_add(histogram, pair);
	}
	if (!count) {
		json_object_put(histogram);
		return NULL;
	}
	cell = json_object_new_object();
	json_object_object_add(cell, "count", json_object_new_uint64(count));
	json_object_object_add(cell, "ns", json_object_new_uint64(to_ns(l, word(l, at))));
	json_object_object_add(cell, "histogram", histogram);
	return cell;
}

static struct json_object *read_reason(const struct ledger *l, u32 reason)
{
	struct json_object *paths = NULL;
	char name[KEEL_LEDGER_NAME];

	for (u32 path = 0; path < l->head.nr_paths; path++) {
		struct json_object *cell = read_cell(l, reason, path);

		if (!cell)
			continue;
		if (!paths)
			paths = json_object_new_object();
		json_object_object_add(paths, name_of(l, l->head.path_names, path, name), cell);
	}
	return paths;
}

struct json_object *ledger_read(const void *map, size_t len, u64 now)
{
	struct json_object *all, *exits;
	char name[KEEL_LEDGER_NAME];
	struct ledger l;

	if (!ledger_open(&l, map, len))
		return NULL;
	all = json_object_new_object();
	exits = json_object_new_object();
	json_object_object_add(all, "time_ns", read_times(&l, now));
	json_object_object_add(all, "exits", exits);
	for (u32 i = 0; i < l.head.nr_reasons; i++) {
		struct json_object *reason = read_reason(&l, i);

		if (reason)
			json_object_object_add(exits, name_of(&l, l.head.reason_names, i, name),
					       reason);
	}
	return all;
}
