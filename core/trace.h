/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints keel:* of the run loop.  CREATE_TRACE_POINTS is in core/trace.c.
 * It must not know more of an exit than its neutral form.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM keel

#if !defined(KEEL_CORE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define KEEL_CORE_TRACE_H

#include <linux/tracepoint.h>
#include "core/backend.h"

/* The vCPU is about to enter guest mode. */
TRACE_EVENT(keel_entry,
	    TP_PROTO(u32 vcpu_id),
	    TP_ARGS(vcpu_id),
	    TP_STRUCT__entry(__field(u32, vcpu_id)),
	    TP_fast_assign(__entry->vcpu_id = vcpu_id;),
	    TP_printk("vcpu %u", __entry->vcpu_id)
);

/* It came back. */
TRACE_EVENT(keel_exit,
	    TP_PROTO(u32 vcpu_id, const struct keel_exit *exit),
	    TP_ARGS(vcpu_id, exit),
	    TP_STRUCT__entry(__field(u32, vcpu_id)
			     __field(u32, kind)
			     __field(u32, vendor_code)),
	    TP_fast_assign(__entry->vcpu_id = vcpu_id;
			   __entry->kind = exit->kind;
			   __entry->vendor_code = exit->vendor_code;),
	    TP_printk("vcpu %u kind %u code 0x%x", __entry->vcpu_id, __entry->kind,
		      __entry->vendor_code)
);

/* An event was put into the control block. */
TRACE_EVENT(keel_inject,
	    TP_PROTO(u32 vcpu_id, const struct keel_event *event),
	    TP_ARGS(vcpu_id, event),
	    TP_STRUCT__entry(__field(u32, vcpu_id)
			     __field(u32, kind)
			     __field(u32, vector)
			     __field(u32, error)),
	    TP_fast_assign(__entry->vcpu_id = vcpu_id;
			   __entry->kind = event->kind;
			   __entry->vector = event->vector;
			   __entry->error = event->has_error ? event->error : 0;),
	    TP_printk("vcpu %u kind %u vector %u error 0x%x", __entry->vcpu_id, __entry->kind,
		      __entry->vector, __entry->error)
);

#endif /* KEEL_CORE_TRACE_H */

/* Found through -I$(src). */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH core
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace

#include <trace/define_trace.h>
