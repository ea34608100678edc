// SPDX-License-Identifier: GPL-2.0
/*
 * The search: each order is run from the start, with the choices of the one
 * before up to the last that has an alternative left. A state that was seen
 * before is not followed again; a CPU's own state follows from what it has
 * read so far, so a hash over that stands for it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "core/pure.h"
#include "model.h"

#define MAX_WORDS	16
#define MAX_STORES	8
#define MAX_DEPTH	4096
#define STACK		65536
#define SEEN_BITS	22

struct store {
	int word;
	unsigned long val;
};

struct cpu {
	void *sp;		/* while it does not run */
	char stack[STACK] __aligned(16);
	model_fn fn;
	bool done;
	const void *wait;	/* address that must become nonzero */
	uint64_t history;	/* of all values it has read */
	struct store buf[MAX_STORES];
	int stores;
};

/* Words are known by their address; they live here. */
static struct { const void *addr; unsigned long val; } words[MAX_WORDS];
static int nr_words;

static struct cpu cpus[MODEL_MAX_CPUS];
static int nr_cpus, running;
static void *searcher;		/* its stack pointer, while a CPU runs */
static const char *failed;

static uint64_t *seen;
unsigned long model_states;

static unsigned short choice[MAX_DEPTH], choices[MAX_DEPTH];

/*
 * Go on with the stack @to; this one's pointer is kept in *@from. Not ucontext:
 * that asks the kernel for the signal mask each time.
 */
void model_switch(void **from, void *to);
__asm__(".text\n"
	".type model_switch, @function\n"
	"model_switch:\n"
	"	push %rbp\n"
	"	push %rbx\n"
	"	push %r12\n"
	"	push %r13\n"
	"	push %r14\n"
	"	push %r15\n"
	"	mov %rsp, (%rdi)\n"
	"	mov %rsi, %rsp\n"
	"	pop %r15\n"
	"	pop %r14\n"
	"	pop %r13\n"
	"	pop %r12\n"
	"	pop %rbx\n"
	"	pop %rbp\n"
	"	ret\n"
	".size model_switch, . - model_switch\n");

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

static int word_of(const void *addr)
{
	int i;

	for (i = 0; i < nr_words; i++)
		if (words[i].addr == addr)
			return i;
	if (nr_words == MAX_WORDS)
		abort();
	words[nr_words].addr = addr;
	/* The program's own copy is what reset() left. Words are int or long. */
	words[nr_words].val = *(const unsigned int *)addr;
	return nr_words++;
}

static void drain_one(struct cpu *c)
{
	words[c->buf[0].word].val = c->buf[0].val;
	memmove(c->buf, c->buf + 1, --c->stores * sizeof(c->buf[0]));
}

static void drain(struct cpu *c)
{
	while (c->stores)
		drain_one(c);
}

/* Every access is a place where another CPU may go first. */
static struct cpu *point(uint64_t where)
{
	struct cpu *c = &cpus[running];

	c->history = mix(c->history, where);
	model_switch(&c->sp, searcher);
	return c;
}

unsigned long model_read(const void *addr)
{
	struct cpu *c = point(1);
	int word = word_of(addr), i;
	unsigned long val = words[word].val;

	for (i = 0; i < c->stores; i++)
		if (c->buf[i].word == word)
			val = c->buf[i].val;
	c->history = mix(c->history, val);
	return val;
}

void model_write(void *addr, unsigned long val)
{
	struct cpu *c = point(2);

	if (c->stores == MAX_STORES)
		drain_one(c);
	c->buf[c->stores].word = word_of(addr);
	c->buf[c->stores++].val = val;
}

void model_mb(void)
{
	drain(point(3));
}

static unsigned long *atomic(const void *addr, unsigned long *old)
{
	struct cpu *c = point(4);
	unsigned long *val;

	drain(c);
	val = &words[word_of(addr)].val;
	*old = *val;
	c->history = mix(c->history, *old);
	return val;
}

unsigned long model_or(void *addr, unsigned long bits)
{
	unsigned long old, *val = atomic(addr, &old);

	*val |= bits;
	return old;
}

unsigned long model_and(void *addr, unsigned long bits)
{
	unsigned long old, *val = atomic(addr, &old);

	*val &= bits;
	return old;
}

unsigned long model_cmpxchg(void *addr, unsigned long expect, unsigned long new)
{
	unsigned long old, *val = atomic(addr, &old);

	if (old == expect)
		*val = new;
	return old;
}

void model_wait(const void *addr)
{
	cpus[running].wait = addr;
	point(5);
	cpus[running].wait = NULL;
}

void model_fail(const char *what)
{
	failed = what;
}

static void cpu_main(void)
{
	struct cpu *c = &cpus[running];

	c->fn();
	c->done = true;
	model_switch(&c->sp, searcher);
}

static void machine_reset(const model_fn *fn, int n, model_fn reset)
{
	int i;

	reset();
	nr_words = 0;
	nr_cpus = n;
	failed = NULL;
	for (i = 0; i < n; i++) {
		struct cpu *c = &cpus[i];

		c->fn = fn[i];
		c->done = false;
		c->wait = NULL;
		c->history = 0;
		c->stores = 0;
		/* Six registers, where to go, and a slot that aligns the stack. */
		c->sp = (void **)(c->stack + STACK) - 8;
		memset(c->sp, 0, 8 * sizeof(void *));
		((void **)c->sp)[6] = (void *)cpu_main;
	}
}

/* Not seen before? */
static bool state_is_new(void)
{
	uint64_t h = 1, at;
	int i, j;

	/* Words by address, since the order of their first use differs. */
	for (i = 0; i < nr_words; i++)
		h += mix(mix(7, (uintptr_t)words[i].addr), words[i].val);
	for (i = 0; i < nr_cpus; i++) {
		h = mix(h, cpus[i].history);
		h = mix(h, cpus[i].done);
		for (j = 0; j < cpus[i].stores; j++)
			h = mix(mix(h, (uintptr_t)words[cpus[i].buf[j].word].addr),
				cpus[i].buf[j].val);
		h = mix(h, 3);
	}
	h |= 1;
	for (at = h >> 8; ; at++) {
		uint64_t *slot = &seen[at & ((1UL << SEEN_BITS) - 1)];

		if (*slot == h)
			return false;
		if (!*slot) {
			*slot = h;
			if (++model_states > 1UL << (SEEN_BITS - 1))
				abort();
			return true;
		}
	}
}

/* What can happen next: CPU i goes on (i), or its oldest store drains (i + n). */
static int enabled(int *moves)
{
	int i, n = 0;

	for (i = 0; i < nr_cpus; i++) {
		struct cpu *c = &cpus[i];

		if (!c->done && (!c->wait || words[word_of(c->wait)].val))
			moves[n++] = i;
		if (c->stores)
			moves[n++] = i + nr_cpus;
	}
	return n;
}

static bool all_done(void)
{
	int i;

	for (i = 0; i < nr_cpus; i++)
		if (!cpus[i].done)
			return false;
	return true;
}

/* One run; @fixed choices are given. Returns how many were made. */
static int run_one(int fixed)
{
	int moves[2 * MODEL_MAX_CPUS], depth, n, move;

	for (depth = 0; !failed; depth++) {
		n = enabled(moves);
		if (!n) {
			if (!all_done())
				failed = "stuck";
			break;
		}
		if (depth == MAX_DEPTH)
			abort();
		if (depth >= fixed) {
			if (!state_is_new())
				break;
			choice[depth] = 0;
		}
		choices[depth] = n;
		move = moves[choice[depth]];
		if (move >= nr_cpus) {
			drain_one(&cpus[move - nr_cpus]);
		} else {
			running = move;
			model_switch(&searcher, cpus[move].sp);
		}
	}
	return depth;
}

const char *model_check(const model_fn *fn, int n, model_fn reset)
{
	int depth, fixed = 0;

	seen = calloc(1UL << SEEN_BITS, sizeof(*seen));
	model_states = 0;
	for (;;) {
		machine_reset(fn, n, reset);
		depth = run_one(fixed);
		if (failed)
			break;
		while (depth && choice[depth - 1] + 1 >= choices[depth - 1])
			depth--;
		if (!depth)
			break;
		choice[depth - 1]++;
		fixed = depth;
	}
	free(seen);
	return failed;
}
