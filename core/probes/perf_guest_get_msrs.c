// SPDX-License-Identifier: GPL-2.0
// perf_guest_get_msrs() with a second argument, which may be NULL.
// needs-export: perf_guest_get_msrs
#include <asm/perf_event.h>

struct perf_guest_switch_msr *keel_probe(int *nr);
struct perf_guest_switch_msr *keel_probe(int *nr)
{
	return perf_guest_get_msrs(nr, (void *)0);
}
