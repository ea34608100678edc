// SPDX-License-Identifier: GPL-2.0
// hrtimer_setup(), in place of hrtimer_init() and an assignment.
#include <linux/hrtimer.h>

void keel_probe(struct hrtimer *t, enum hrtimer_restart (*fn)(struct hrtimer *));
void keel_probe(struct hrtimer *t, enum hrtimer_restart (*fn)(struct hrtimer *))
{
	hrtimer_setup(t, fn, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
}
