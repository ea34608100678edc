/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What CPU the guest sees: the host's table with the launcher's topology. It
 * must not know a VM: it edits an array.
 */
#ifndef KEEL_TOOL_CPUID_H
#define KEEL_TOOL_CPUID_H

#include <linux/keel_x86.h>

#include "util.h"

/* How many entries cpuid_shape() may add. */
#define CPUID_SPARE	3

/*
 * Shape @nr entries, as KEEL_CPUID_GET gave them, to a guest of @nr_cpus CPUs:
 * one package, one thread a core. The array has room for CPUID_SPARE more.
 * Returns the new number of entries.
 */
u32 cpuid_shape(struct keel_cpuid_entry *entries, u32 nr, unsigned int nr_cpus);

/* Bits of a physical address in that table; 36 if it does not say. */
unsigned int cpuid_phys_bits(const struct keel_cpuid_entry *entries, u32 nr);

#endif /* KEEL_TOOL_CPUID_H */
