/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The harness of the tests that run on a lab host: every TEST() is a child
 * process with a deadline, its result one KTAP line. A failed CHECK lets the
 * test go on, a failed REQUIRE ends it. It knows nothing of Keel.
 */
#ifndef KEEL_SELFTESTS_KTAP_H
#define KEEL_SELFTESTS_KTAP_H

#include <stdbool.h>
#include "attrs.h"

#define KTAP_SKIP	4	/* exit status of a program whose tests were all skipped */
#define KTAP_DEADLINE	60	/* seconds of wall time for one test on a usual host */

struct ktap_test {
	const char *name;
	void (*fn)(void);
	unsigned int deadline;	/* seconds, on a usual host */
	struct ktap_test *next;
};

void ktap_register(struct ktap_test *test);

/* Tests run in the order of their definition. */
#define TEST_DEADLINE(id, seconds)					\
static void test_##id(void);						\
__attribute__((constructor)) static void ktap_register_##id(void)	\
{									\
	static struct ktap_test ktap_this = {				\
		.name = #id, .fn = test_##id, .deadline = seconds,	\
	};								\
									\
	ktap_register(&ktap_this);					\
}									\
static void test_##id(void)

#define TEST(id)	TEST_DEADLINE(id, KTAP_DEADLINE)

/*
 * How many times slower than a usual host is this one: KTAP_SLOW of the
 * environment (1). Every limit on waiting is multiplied by it.
 */
unsigned int ktap_slow(void);
/* Seconds that this test has in all, here. */
unsigned int ktap_deadline(void);

/* A line of diagnosis. */
__printf(1, 2)
void ktap_note(const char *fmt, ...);
/* Note a failed check. */
__printf(3, 4)
void ktap_fail(const char *file, int line, const char *fmt, ...);
__printf(4, 5)
void ktap_fail_cond(const char *file, int line, const char *cond, const char *fmt, ...);
/* End this test here, with what it has found so far. */
__noreturn void ktap_end(void);
/* End this test: it cannot run here. */
__noreturn __printf(1, 2)
void ktap_skip(const char *fmt, ...);
/* Has a check of this test failed? */
bool ktap_has_failed(void);

/*
 * Hooks that a library may define. Before all tests: NULL or why none can run.
 * After each test, in the parent: NULL or what it left behind.
 */
const char *ktap_hook_start(void);
const char *ktap_hook_after(void);

/* Check a condition; more arguments are a printf message. True if it holds. */
#define CHECK(cond, ...) ({						\
	bool ktap_ok = !!(cond);					\
									\
	if (!ktap_ok)							\
		ktap_fail_cond(__FILE__, __LINE__, #cond, " " __VA_ARGS__); \
	ktap_ok;							\
})

#define KTAP_CMP(a, sa, op, b, sb) ({						\
	long long ktap_x = (long long)(a), ktap_y = (long long)(b);	\
	bool ktap_ok = ktap_x op ktap_y;				\
									\
	if (!ktap_ok)							\
		ktap_fail(__FILE__, __LINE__,				\
			  "%s " #op " %s: it is %lld (%#llx), %lld (%#llx)", \
			  sa, sb, ktap_x, ktap_x, ktap_y, ktap_y);	\
	ktap_ok;							\
})

/* Check two integers, compared as signed 64-bit values. */
#define CHECK_EQ(a, b)	KTAP_CMP(a, #a, ==, b, #b)
#define CHECK_NE(a, b)	KTAP_CMP(a, #a, !=, b, #b)
#define CHECK_GE(a, b)	KTAP_CMP(a, #a, >=, b, #b)
#define CHECK_LE(a, b)	KTAP_CMP(a, #a, <=, b, #b)

/* What the rest of the test stands on. */
#define REQUIRE(cond, ...) do {						\
	if (!(cond)) {							\
		ktap_fail_cond(__FILE__, __LINE__, #cond, " " __VA_ARGS__); \
		ktap_end();						\
	}								\
} while (0)
#define REQUIRE_EQ(a, b) do {						\
	if (!KTAP_CMP(a, #a, ==, b, #b))				\
		ktap_end();						\
} while (0)

#endif /* KEEL_SELFTESTS_KTAP_H */
