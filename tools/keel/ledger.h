/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The exit ledgers of a VM's vCPUs: mapped memory to JSON, and JSON to what
 * people read. It must not know which reasons, classes of time or paths there
 * are: the ledger names them.
 *
 * As JSON, one object a vCPU:
 *	{ "time_ns": { CLASS: NS... },
 *	  "exits": { REASON: { PATH: { "count": N, "ns": NS, "histogram": [[FROM_NS, N]...] } } } }
 * with the reasons and paths that occurred, and the buckets that are not empty.
 */
#ifndef KEEL_TOOL_LEDGER_H
#define KEEL_TOOL_LEDGER_H

#include <json-c/json.h>
#include <stdio.h>

#include "util.h"

/* A vCPU's ledger; *@len: bytes to munmap(). NULL with errno. */
const void *ledger_map(int vcpu_fd, size_t *len);

/* @now: the host's TSC at this moment. NULL if the ledger contradicts itself. */
struct json_object *ledger_read(const void *map, size_t len, u64 now);

/* Of the array @vcpus of the above: classes of time, and exits by reason and path. */
void ledger_print(struct json_object *vcpus, FILE *out);
/* A line for each vCPU, reason, path and bucket: vcpu,reason,path,from_ns,count. */
void ledger_csv(struct json_object *vcpus, FILE *out);
/* A histogram of each reason's times, drawn with characters. */
void ledger_plot(struct json_object *vcpus, FILE *out);

#endif /* KEEL_TOOL_LEDGER_H */
