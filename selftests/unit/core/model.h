/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A machine with a few CPUs whose stores wait in buffers, as x86 lets them, and
 * a search through every order in which the CPUs' accesses and the buffers'
 * drains can happen. It knows nothing of what the CPUs run.
 */
#ifndef KEEL_UNIT_CORE_MODEL_H
#define KEEL_UNIT_CORE_MODEL_H

#include <stdbool.h>

#define MODEL_MAX_CPUS	3

/* What the programs share. All are words of this machine's memory. */
unsigned long model_read(const void *addr);
void model_write(void *addr, unsigned long val);
void model_mb(void);
/* Atomic: drains the buffer first. Returns the old value. */
unsigned long model_or(void *addr, unsigned long bits);
unsigned long model_and(void *addr, unsigned long bits);
unsigned long model_cmpxchg(void *addr, unsigned long old, unsigned long new);
/* Stop until *addr is not 0: an interrupt that ends guest mode. */
void model_wait(const void *addr);
/* The programs found something wrong. */
void model_fail(const char *what);

/*
 * Run @cpu[0..n-1] in every order; @reset sets the words before each run.
 * NULL: fine, or what went wrong first: what model_fail() said, or "stuck".
 */
typedef void (*model_fn)(void);
const char *model_check(const model_fn *cpu, int n, model_fn reset);
/* Different states that the last search has seen. */
extern unsigned long model_states;

#endif /* KEEL_UNIT_CORE_MODEL_H */
