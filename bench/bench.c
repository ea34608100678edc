// SPDX-License-Identifier: GPL-2.0
/*
 * bench-keel and bench-kvm [-t] [PATTERN]...: run operations;
 * bench-keel and bench-kvm -b[p][v] KERNEL INITRD CMDLINE: boot a guest; p: it may see
 * the hypervisor, v: show it.
 * One line for each figure:
 *
 *	HYPERVISOR NAME MEDIAN LEAST MOST SAMPLES
 *
 * The unit is the TSC's; on the lab's hosts that is an instruction. It must not
 * know how an operation is done. With -t every operation stops three
 * times at the emulator's debugger, and a turn of it is between the first two.
 */
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "boot.h"
#include "machine.h"
#include "ops.h"

#define SAMPLES		400

void die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "bench-%s: ", hv_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static int order(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

static bool wanted(const char *name, char **patterns)
{
	if (!*patterns)
		return true;
	for (; *patterns; patterns++)
		if (!fnmatch(*patterns, name, 0))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	static u32 samples[GUEST_MAX_SAMPLES];
	const struct op *op;
	u32 n;

	argv++;
	if (argc == 5 && !strncmp(*argv, "-b", 2)) {
		boot_guest(argv[1], argv[2], argv[3], strchr(*argv, 'p'), strchr(*argv, 'v'));
		return 0;
	}
	if (*argv && !strcmp(*argv, "-t")) {
		machine_tracing = true;
		argv++;
	}
	machine_init();
	for (op = ops; op->name; op++) {
		if (!wanted(op->name, argv))
			continue;
		n = op->run(op, machine_tracing ? TRACED_TURNS - 1 : SAMPLES, samples);
		if (!n) {
			printf("%s %s - - - 0\n", hv_name, op->name);
		} else {
			qsort(samples, n, sizeof(samples[0]), order);
			printf("%s %s %u %u %u %u\n", hv_name, op->name, samples[n / 2],
			       samples[0], samples[n - 1], n);
		}
		fflush(stdout);
	}
	return 0;
}
