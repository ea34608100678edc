// SPDX-License-Identifier: GPL-2.0
/*
 * The module's statistics: stream to JSON, JSON to table. It must not know
 * which counters there are; a name that starts with "exit" is an exit, which the
 * ledger shows better.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/keel.h>

#include "stats.h"

#define MAX_STREAM	MIB(8)
#define MAX_COLUMNS	8

/* A cursor over the stream. */
struct cursor {
	const u8 *p;
	size_t left;
};

static bool take(struct cursor *c, void *to, size_t len, size_t stride)
{
	if (c->left < stride || stride < len)
		return false;
	memcpy(to, c->p, len);
	c->p += stride;
	c->left -= stride;
	return true;
}

static bool take_descs(struct cursor *c, struct keel_stat_desc *descs, u32 nr, u32 stride)
{
	for (u32 i = 0; i < nr; i++) {
		if (!take(c, &descs[i], sizeof(descs[i]), stride))
			return false;
		descs[i].name[sizeof(descs[i].name) - 1] = '\0';
	}
	return true;
}

static struct json_object *take_values(struct cursor *c, const struct keel_stat_desc *descs, u32 nr)
{
	struct json_object *values = json_object_new_object();

	for (u32 i = 0; i < nr; i++) {
		u64 value;

		if (!take(c, &value, sizeof(value), sizeof(value))) {
			json_object_put(values);
			return NULL;
		}
		json_object_object_add(values, descs[i].name, json_object_new_uint64(value));
	}
	return values;
}

static struct json_object *take_blocks(struct cursor *c, const struct keel_stats_head *head,
				       const struct keel_stat_desc *descs)
{
	struct json_object *all = json_object_new_object(), *vcpus = json_object_new_array();
	struct json_object *values = take_values(c, descs, head->nr_vm_descs);

	json_object_object_add(all, "vm", values);
	json_object_object_add(all, "vcpus", vcpus);
	for (u32 i = 0; i < head->nr_vcpus && values; i++) {
		values = take_values(c, descs + head->nr_vm_descs, head->nr_vcpu_descs);
		json_object_array_add(vcpus, values);
	}
	if (values)
		return all;
	json_object_put(all);
	return NULL;
}

struct json_object *stats_parse(const void *data, size_t len)
{
	struct cursor c = { data, len };
	struct keel_stats_head head;
	struct keel_stat_desc *descs;
	struct json_object *all = NULL;
	u32 nr;

	/* The sizes in the head are the strides: a later module may have more fields. */
	if (len < sizeof(head))
		return NULL;
	memcpy(&head, data, sizeof(head));
	if (head.magic != KEEL_STATS_MAGIC || !take(&c, &head, sizeof(head), head.head_size))
		return NULL;
	if (head.nr_vm_descs > 4096 || head.nr_vcpu_descs > 4096)
		return NULL;
	nr = head.nr_vm_descs + head.nr_vcpu_descs;
	descs = calloc(nr + 1, sizeof(*descs));
	if (descs && take_descs(&c, descs, nr, head.desc_size))
		all = take_blocks(&c, &head, descs);
	free(descs);
	return all;
}

struct json_object *stats_read(int fd)
{
	struct json_object *stats;
	size_t len = 0, room = 65536;
	u8 *data = malloc(room);

	while (data) {
		ssize_t n = pread(fd, data + len, room - len, len);
		u8 *more;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += n;
		if (len < room)
			continue;
		room *= 2;
		more = room <= MAX_STREAM ? realloc(data, room) : NULL;
		if (!more)
			break;
		data = more;
	}
	stats = data ? stats_parse(data, len) : NULL;
	free(data);
	return stats;
}

/* ---- the table ------------------------------------------------------------------- */

struct row {
	const char *name;
	u64 total;
};

static u64 value_of(struct json_object *block, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(block, name, &v) ? json_object_get_uint64(v) : 0;
}

static int by_total(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->total != y->total)
		return x->total < y->total ? 1 : -1;
	return strcmp(x->name, y->name);
}

static bool is_exit(const char *name)
{
	return !strncmp(name, "exit", 4);
}

/* The counters of @vcpus that are not zero, largest first; exits are the ledger's. */
static size_t collect(struct json_object *vcpus, struct row *rows)
{
	size_t nr = 0, cpus = json_object_array_length(vcpus);

	json_object_object_foreach(json_object_array_get_idx(vcpus, 0), name, first) {
		u64 total = 0;

		(void)first;
		if (is_exit(name))
			continue;
		for (size_t i = 0; i < cpus; i++)
			total += value_of(json_object_array_get_idx(vcpus, i), name);
		if (total)
			rows[nr++] = (struct row){ name, total };
	}
	qsort(rows, nr, sizeof(*rows), by_total);
	return nr;
}

static void print_rows(struct json_object *vcpus, const struct row *rows, size_t nr, FILE *out)
{
	size_t cpus = json_object_array_length(vcpus);
	size_t columns = cpus > MAX_COLUMNS ? MAX_COLUMNS : cpus;

	fprintf(out, "%-28s %14s", "Counters", "total");
	for (size_t i = 0; i < columns && cpus > 1; i++)
		fprintf(out, "      vcpu%-3zu", i);
	fprintf(out, "%s\n", cpus > columns ? "  ..." : "");
	for (size_t r = 0; r < nr; r++) {
		fprintf(out, "  %-26s %14llu", rows[r].name, rows[r].total);
		for (size_t i = 0; i < columns && cpus > 1; i++)
			fprintf(out, " %12llu", value_of(json_object_array_get_idx(vcpus, i),
							 rows[r].name));
		fputc('\n', out);
	}
}

static void print_vm(struct json_object *vm, FILE *out)
{
	fprintf(out, "VM\n");
	json_object_object_foreach(vm, name, v) {
		if (json_object_get_uint64(v))
			fprintf(out, "  %-26s %14llu\n", name,
				(unsigned long long)json_object_get_uint64(v));
	}
}

void stats_print(struct json_object *stats, FILE *out)
{
	struct json_object *vcpus, *vm;
	struct row *rows;
	size_t nr;

	if (json_object_object_get_ex(stats, "vcpus", &vcpus) &&
	    json_object_array_length(vcpus)) {
		nr = json_object_object_length(json_object_array_get_idx(vcpus, 0));
		rows = calloc(nr + 1, sizeof(*rows));
		if (!rows)
			return;
		nr = collect(vcpus, rows);
		print_rows(vcpus, rows, nr, out);
		free(rows);
	}
	if (json_object_object_get_ex(stats, "vm", &vm))
		print_vm(vm, out);
}
