// SPDX-License-Identifier: GPL-2.0
// context_tracking_guest_exit() tells whether RCU was told.
#include <linux/context_tracking.h>

bool keel_probe(void);
bool keel_probe(void)
{
	return context_tracking_guest_exit();
}
