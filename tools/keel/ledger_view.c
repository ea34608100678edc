// SPDX-License-Identifier: GPL-2.0
/*
 * Exit ledgers for people: a table of where the time went, a table of exits, a
 * histogram for each reason, and lines for other programs. It must not know how
 * a ledger is read.
 */
#include <stdlib.h>
#include <string.h>

#include "ledger.h"

#define MAX_REASONS	256
#define MAX_BUCKETS	64
#define BAR		50

static struct json_object *member(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, name, &value);
	return value;
}

static u64 number(struct json_object *object, const char *name)
{
	struct json_object *value = member(object, name);

	return value ? json_object_get_uint64(value) : 0;
}

/* ---- sums over the vCPUs ----------------------------------------------------------- */

struct bucket {
	u64 from, count;
};

/* One reason, all vCPUs. */
struct reason {
	const char *name;
	u64 ns, count;
	struct {
		const char *name;
		u64 count;
	} path[4];
	u32 nr_paths;
	struct bucket bucket[MAX_BUCKETS];
	u32 nr_buckets;
};

static void add_bucket(struct reason *r, u64 from, u64 count)
{
	u32 i;

	for (i = 0; i < r->nr_buckets && r->bucket[i].from < from; i++)
		;
	if (i == r->nr_buckets || r->bucket[i].from != from) {
		if (r->nr_buckets == MAX_BUCKETS)
			return;
		memmove(&r->bucket[i + 1], &r->bucket[i],
			(r->nr_buckets - i) * sizeof(r->bucket[0]));
		r->bucket[i] = (struct bucket){ .from = from };
		r->nr_buckets++;
	}
	r->bucket[i].count += count;
}

static void add_path(struct reason *r, const char *name, struct json_object *cell)
{
	struct json_object *histogram = member(cell, "histogram");
	size_t nr = histogram ? json_object_array_length(histogram) : 0;
	u32 i;

	for (i = 0; i < r->nr_paths && strcmp(r->path[i].name, name); i++)
		;
	if (i == ARRAY_SIZE(r->path))
		return;
	if (i == r->nr_paths) {
		r->nr_paths++;
		r->path[i].name = name;
		r->path[i].count = 0;
	}
	r->path[i].count += number(cell, "count");
	r->count += number(cell, "count");
	r->ns += number(cell, "ns");
	for (size_t b = 0; b < nr; b++) {
		struct json_object *pair = json_object_array_get_idx(histogram, b);

		add_bucket(r, json_object_get_uint64(json_object_array_get_idx(pair, 0)),
			   json_object_get_uint64(json_object_array_get_idx(pair, 1)));
	}
}

static int by_time(const void *a, const void *b)
{
	const struct reason *x = a, *y = b;

	if (x->ns != y->ns)
		return x->ns < y->ns ? 1 : -1;
	return strcmp(x->name, y->name);
}

/* Most time first; free() it. */
static struct reason *sum_reasons(struct json_object *vcpus, u32 *nr)
{
	struct reason *all = calloc(MAX_REASONS, sizeof(*all));
	u32 i;

	*nr = 0;
	for (size_t v = 0; all && v < json_object_array_length(vcpus); v++) {
		struct json_object *exits = member(json_object_array_get_idx(vcpus, v), "exits");

		if (!exits)
			continue;
		json_object_object_foreach(exits, name, paths) {
			for (i = 0; i < *nr && strcmp(all[i].name, name); i++)
				;
			if (i == MAX_REASONS)
				continue;
			if (i == *nr) {
				all[i].name = name;
				(*nr)++;
			}
			json_object_object_foreach(paths, path, cell) {
				add_path(&all[i], path, cell);
			}
		}
	}
	if (all)
		qsort(all, *nr, sizeof(*all), by_time);
	return all;
}

/* ---- numbers ------------------------------------------------------------------------ */

/* Three digits and a unit, as "1.25 us". */
static const char *time_text(u64 ns, char *text, size_t len)
{
	static const char * const unit[] = { "ns", "us", "ms", "s" };
	double value = ns;
	u32 i = 0;

	while (value >= 1000 && i < ARRAY_SIZE(unit) - 1) {
		value /= 1000;
		i++;
	}
	snprintf(text, len, value < 10 && i ? "%.2f %s" : value < 100 && i ? "%.1f %s" : "%.0f %s",
		 value, unit[i]);
	return text;
}

/* From which time on the upper half is. */
static u64 median(const struct reason *r)
{
	u64 seen = 0;

	for (u32 i = 0; i < r->nr_buckets; i++) {
		seen += r->bucket[i].count;
		if (seen * 2 >= r->count)
			return r->bucket[i].from;
	}
	return 0;
}

static u64 path_count(const struct reason *r, const char *name)
{
	for (u32 i = 0; i < r->nr_paths; i++)
		if (!strcmp(r->path[i].name, name))
			return r->path[i].count;
	return 0;
}

/* ---- tables ------------------------------------------------------------------------- */

static struct json_object *times_of(struct json_object *vcpus, size_t i)
{
	return member(json_object_array_get_idx(vcpus, i), "time_ns");
}

/* Of @name, or of all if it is NULL. */
static u64 sum_times(struct json_object *vcpus, const char *name)
{
	u64 sum = 0;

	for (size_t v = 0; v < json_object_array_length(vcpus); v++) {
		json_object_object_foreach(times_of(vcpus, v), key, ns) {
			if (!name || !strcmp(name, key))
				sum += json_object_get_uint64(ns);
		}
	}
	return sum;
}

static void print_times(struct json_object *vcpus, FILE *out)
{
	u64 all = sum_times(vcpus, NULL);
	char text[32];

	fprintf(out, "%-16s %10s %8s\n", "Time", "", "share");
	json_object_object_foreach(times_of(vcpus, 0), name, first) {
		u64 sum = sum_times(vcpus, name);

		(void)first;
		fprintf(out, "  %-14s %10s %7.2f%%\n", name, time_text(sum, text, sizeof(text)),
			all ? 100.0 * sum / all : 0);
	}
}

void ledger_print(struct json_object *vcpus, FILE *out)
{
	char sum[32], mean[32], mid[32];
	struct reason *all;
	u64 count = 0;
	u32 nr;

	if (!json_object_array_length(vcpus))
		return;
	print_times(vcpus, out);
	all = sum_reasons(vcpus, &nr);
	fprintf(out, "%-16s %10s %10s %10s %10s %10s %10s %10s\n", "Exits by reason", "total",
		"in loop", "in kernel", "launcher", "time", "mean", "median >=");
	for (u32 i = 0; i < nr; i++) {
		const struct reason *r = &all[i];

		fprintf(out, "  %-14s %10llu %10llu %10llu %10llu %10s %10s %10s\n", r->name,
			r->count, path_count(r, "loop"), path_count(r, "kernel"),
			path_count(r, "launcher"), time_text(r->ns, sum, sizeof(sum)),
			time_text(r->ns / (r->count ?: 1), mean, sizeof(mean)),
			time_text(median(r), mid, sizeof(mid)));
		count += r->count;
	}
	fprintf(out, "  %-14s %10llu\n", "(all)", count);
	free(all);
}

static void csv_cell(size_t vcpu, const char *reason, const char *path,
		     struct json_object *histogram, FILE *out)
{
	for (size_t i = 0; i < json_object_array_length(histogram); i++) {
		struct json_object *pair = json_object_array_get_idx(histogram, i);

		fprintf(out, "%zu,%s,%s,%llu,%llu\n", vcpu, reason, path,
			(u64)json_object_get_uint64(json_object_array_get_idx(pair, 0)),
			(u64)json_object_get_uint64(json_object_array_get_idx(pair, 1)));
	}
}

void ledger_csv(struct json_object *vcpus, FILE *out)
{
	fprintf(out, "vcpu,reason,path,from_ns,count\n");
	for (size_t v = 0; v < json_object_array_length(vcpus); v++) {
		struct json_object *exits = member(json_object_array_get_idx(vcpus, v), "exits");

		json_object_object_foreach(exits, reason, paths) {
			json_object_object_foreach(paths, path, cell) {
				csv_cell(v, reason, path, member(cell, "histogram"), out);
			}
		}
	}
}

void ledger_plot(struct json_object *vcpus, FILE *out)
{
	struct reason *all;
	char text[32];
	u32 nr;

	all = sum_reasons(vcpus, &nr);
	for (u32 i = 0; i < nr; i++) {
		const struct reason *r = &all[i];
		u64 top = 1;

		for (u32 b = 0; b < r->nr_buckets; b++)
			top = r->bucket[b].count > top ? r->bucket[b].count : top;
		fprintf(out, "%s: %llu exits\n", r->name, r->count);
		for (u32 b = 0; b < r->nr_buckets; b++) {
			u64 n = r->bucket[b].count;
			int len = n ? 1 + (int)((BAR - 1) * n / top) : 0;

			fprintf(out, "  from %8s |%-*.*s %llu\n",
				time_text(r->bucket[b].from, text, sizeof(text)), BAR, len,
				"##################################################", n);
		}
	}
	free(all);
}
