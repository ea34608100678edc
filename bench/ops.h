/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The table of operations.
 */
#ifndef KEEL_BENCH_OPS_H
#define KEEL_BENCH_OPS_H

#include "hv.h"

struct op {
	const char *name;
	/* Up to @n samples to @out; returns how many, 0: not on this host. */
	u32 (*run)(const struct op *op, u32 n, u32 *out);
	const void *arg;
};

/* Ends with a NULL name. */
extern const struct op ops[];

#endif /* KEEL_BENCH_OPS_H */
