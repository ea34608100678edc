// SPDX-License-Identifier: GPL-2.0
/* The bodies of the tracepoints of core/trace.h.  It must not hold anything else. */
#define CREATE_TRACE_POINTS
#include "core/trace.h"
