/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The module's statistics: the self-describing stream as JSON, and JSON as a
 * table for people. It must not know which counters there are.
 */
#ifndef KEEL_TOOL_STATS_H
#define KEEL_TOOL_STATS_H

#include <json-c/json.h>
#include <stdio.h>

#include "util.h"

/*
 * Read the stream behind @fd: {"vm": {NAME: VALUE...}, "vcpus": [{...}...]}.
 * NULL if it cannot be read or contradicts itself.
 */
struct json_object *stats_read(int fd);

/* The same from @len bytes of the stream. */
struct json_object *stats_parse(const void *data, size_t len);

/* What is not zero, exits apart; a column for each vCPU and their sum. */
void stats_print(struct json_object *stats, FILE *out);

#endif /* KEEL_TOOL_STATS_H */
