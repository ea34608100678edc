// SPDX-License-Identifier: GPL-2.0
// A fault on behalf of a guest can be cut short by a signal.
#include <linux/mm.h>

unsigned int keel_probe(void);
unsigned int keel_probe(void)
{
	return FOLL_INTERRUPTIBLE;
}
