// SPDX-License-Identifier: GPL-2.0
// timer_delete(), in place of del_timer().
#include <linux/timer.h>

int keel_probe(struct timer_list *t);
int keel_probe(struct timer_list *t)
{
	return timer_delete(t) + timer_delete_sync(t);
}
