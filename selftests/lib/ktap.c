// SPDX-License-Identifier: GPL-2.0
/*
 * The harness: main(), a child for each test, deadlines and KTAP lines. It
 * knows nothing of Keel; libkeel gives the hooks.
 *
 * PROGRAM [-l] [NAME...]: list the tests, or run those that are named (all).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "ktap.h"

/* After this many messages of one test the rest is only counted. */
#define MAX_MESSAGES	20

/* Shared by parent, child and the child's children. */
static struct ktap_shared {
	unsigned int failed;
	unsigned int skipped;
	char why[200];
} *shared;

static struct ktap_test *first, **last = &first;
static const struct ktap_test *current;

__weak const char *ktap_hook_start(void)
{
	return NULL;
}

__weak const char *ktap_hook_after(void)
{
	return NULL;
}

unsigned int ktap_slow(void)
{
	const char *env = getenv("KTAP_SLOW");
	int factor = env ? atoi(env) : 1;

	return factor > 1 ? factor : 1;
}

unsigned int ktap_deadline(void)
{
	return (current ? current->deadline : KTAP_DEADLINE) * ktap_slow();
}

void ktap_register(struct ktap_test *test)
{
	*last = test;
	last = &test->next;
}

static void say(const char *where, int line, const char *what, const char *fmt, va_list ap)
{
	char buf[600];
	int n = 0;

	if (where)
		n = snprintf(buf, sizeof(buf), "%s:%d: %.300s", where, line, what);
	vsnprintf(buf + n, sizeof(buf) - n, fmt, ap);
	printf("# %s\n", buf);
	fflush(stdout);
}

void ktap_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(NULL, 0, "", fmt, ap);
	va_end(ap);
}

void ktap_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	if (__atomic_fetch_add(&shared->failed, 1, __ATOMIC_RELAXED) >= MAX_MESSAGES)
		return;
	va_start(ap, fmt);
	say(file, line, "", fmt, ap);
	va_end(ap);
}

void ktap_fail_cond(const char *file, int line, const char *cond, const char *fmt, ...)
{
	va_list ap;

	if (__atomic_fetch_add(&shared->failed, 1, __ATOMIC_RELAXED) >= MAX_MESSAGES)
		return;
	va_start(ap, fmt);
	say(file, line, cond, fmt, ap);
	va_end(ap);
}

bool ktap_has_failed(void)
{
	return __atomic_load_n(&shared->failed, __ATOMIC_RELAXED);
}

void ktap_end(void)
{
	fflush(stdout);
	_exit(0);
}

void ktap_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(shared->why, sizeof(shared->why), fmt, ap);
	va_end(ap);
	shared->skipped = 1;
	ktap_end();
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* The child's end, or its death at the deadline. */
static void wait_for(pid_t pid)
{
	struct timespec poll = { .tv_nsec = 5000000 };
	double end = seconds() + ktap_deadline();
	int status;
	pid_t got;

	while (!(got = waitpid(pid, &status, WNOHANG)) && seconds() < end)
		nanosleep(&poll, NULL);
	if (!got) {
		kill(-pid, SIGKILL);
		waitpid(pid, &status, 0);
		ktap_fail(current->name, 0, "no end within %u s", ktap_deadline());
		return;
	}
	if (WIFSIGNALED(status))
		ktap_fail(current->name, 0, "died of signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		ktap_fail(current->name, 0, "exit status %d", WEXITSTATUS(status));
	/* Whatever it has left running. */
	kill(-pid, SIGKILL);
}

/* 0: passed, 1: failed, KTAP_SKIP */
static int run(const struct ktap_test *t, int n)
{
	double start = seconds();
	const char *left;
	pid_t pid;

	current = t;
	memset(shared, 0, sizeof(*shared));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		t->fn();
		ktap_end();
	}
	setpgid(pid, pid);
	wait_for(pid);

	left = ktap_hook_after();
	if (left)
		ktap_fail(t->name, 0, "%s", left);
	printf("%sok %d %s", shared->failed ? "not " : "", n, t->name);
	if (shared->failed)
		printf(" # %u checks failed", shared->failed);
	else if (shared->skipped)
		printf(" # SKIP %s", shared->why);
	if (seconds() - start > 2)
		printf("%s %.1f s", shared->failed || shared->skipped ? "," : " #",
		       seconds() - start);
	printf("\n");
	fflush(stdout);
	return shared->failed ? 1 : shared->skipped ? KTAP_SKIP : 0;
}

static bool wanted(const struct ktap_test *t, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(t->name, *names))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	int total = 0, passed = 0, failed = 0;
	struct ktap_test *t;
	const char *why;

	if (argc > 1 && !strcmp(argv[1], "-l")) {
		for (t = first; t; t = t->next)
			puts(t->name);
		return 0;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	printf("KTAP version 1\n");
	why = ktap_hook_start();
	if (why) {
		printf("1..0 # SKIP %s\n", why);
		return KTAP_SKIP;
	}
	for (t = first; t; t = t->next)
		total += wanted(t, argv + 1);
	printf("1..%d\n", total);
	total = 0;
	for (t = first; t; t = t->next) {
		if (!wanted(t, argv + 1))
			continue;
		switch (run(t, ++total)) {
		case 0:
			passed++;
			break;
		case 1:
			failed++;
			break;
		}
	}
	/* A name that is no test is no success. */
	return failed || !total ? 1 : passed ? 0 : KTAP_SKIP;
}
