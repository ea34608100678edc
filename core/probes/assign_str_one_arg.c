// SPDX-License-Identifier: GPL-2.0
// __assign_str() of trace events knows its source; the macro is only expanded.
#include <linux/types.h>
#include <trace/stages/stage6_event_callback.h>

#define EXPANDED_(x...) #x
#define EXPANDED(x...) EXPANDED_(x)

const char *keel_probe(void);
const char *keel_probe(void)
{
	return EXPANDED(__assign_str(name));
}
