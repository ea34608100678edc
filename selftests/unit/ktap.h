/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KTAP for the host tests: a table of named functions, each one result. A check that fails says
 * where and what, and the test goes on; ktap_main() returns the exit status. It knows nothing
 * of what is tested.
 */
#ifndef KEEL_UNIT_KTAP_H
#define KEEL_UNIT_KTAP_H

#include <stdarg.h>
#include <stdio.h>

#include "core/pure.h"

struct ktap_test {
	const char *name;
	void (*fn)(void);
};

#define KTAP_TEST(fn) { #fn, fn }

/* Failed checks, and cases counted by ktap_cases(), of the running test. */
static unsigned long ktap_failed, ktap_count;
static const char *ktap_skipped;

/* After this many messages of one test the rest is only counted. */
#define KTAP_MAX_MESSAGES 20

__printf(3, 4) __maybe_unused
static void ktap_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	if (ktap_failed++ >= KTAP_MAX_MESSAGES)
		return;
	printf("# %s:%d: ", file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

/* Check a condition; more arguments are a printf message. True if it holds. */
#define CHECK(cond, ...) ({						\
	bool ktap_ok_ = !!(cond);					\
									\
	if (!ktap_ok_)							\
		ktap_fail(__FILE__, __LINE__, "" #cond " " __VA_ARGS__);	\
	ktap_ok_;							\
})

/* Check two integers. */
#define CHECK_EQ(a, b) ({						\
	unsigned long long ktap_a_ = (unsigned long long)(a);		\
	unsigned long long ktap_b_ = (unsigned long long)(b);		\
									\
	if (ktap_a_ != ktap_b_)						\
		ktap_fail(__FILE__, __LINE__, "%s is %#llx, not %s, %#llx",	\
			  #a, ktap_a_, #b, ktap_b_);			\
	ktap_a_ == ktap_b_;						\
})

/* Count cases; the result line tells how many there were. */
__maybe_unused
static void ktap_cases(unsigned long n)
{
	ktap_count += n;
}

/* The running test cannot run here, and why. */
__maybe_unused
static void ktap_skip(const char *why)
{
	ktap_skipped = why;
}

static int ktap_main(const struct ktap_test *tests, size_t n)
{
	bool bad = false;
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("KTAP version 1\n1..%zu\n", n);
	for (i = 0; i < n; i++) {
		ktap_failed = 0;
		ktap_count = 0;
		ktap_skipped = NULL;
		tests[i].fn();
		printf("%sok %zu %s", ktap_failed ? "not " : "", i + 1, tests[i].name);
		if (ktap_skipped)
			printf(" # SKIP %s", ktap_skipped);
		else if (ktap_failed)
			printf(" # %lu of %lu checks failed", ktap_failed, ktap_count);
		else if (ktap_count)
			printf(" # %lu cases", ktap_count);
		printf("\n");
		bad = bad || ktap_failed;
	}
	return bad ? 1 : 0;
}

#endif /* KEEL_UNIT_KTAP_H */
