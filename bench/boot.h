/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A whole guest from its first instruction to user space and on.
 */
#ifndef KEEL_BENCH_BOOT_H
#define KEEL_BENCH_BOOT_H

#include <stdbool.h>

/*
 * Prints a line a figure. @paravirtual: the guest may see which hypervisor it is
 * on; @verbose: its console and all counters too.
 */
void boot_guest(const char *kernel, const char *initrd, const char *cmdline, bool paravirtual,
		bool verbose);

#endif /* KEEL_BENCH_BOOT_H */
