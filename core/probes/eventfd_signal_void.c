// SPDX-License-Identifier: GPL-2.0
// eventfd_signal() lost its count.
#include <linux/eventfd.h>

void keel_probe(struct eventfd_ctx *ctx);
void keel_probe(struct eventfd_ctx *ctx)
{
	eventfd_signal(ctx);
}
