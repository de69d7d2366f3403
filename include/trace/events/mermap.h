/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mermap

#if !defined(_TRACE_MERMAP_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_MERMAP_H

#include <linux/mermap_types.h>
#include <linux/tracepoint.h>

TRACE_DEFINE_ENUM(MERMAP_EVENT_GET);
TRACE_DEFINE_ENUM(MERMAP_EVENT_FAIL);
TRACE_DEFINE_ENUM(MERMAP_EVENT_REWIND);
TRACE_DEFINE_ENUM(MERMAP_EVENT_SYNC);
TRACE_DEFINE_ENUM(MERMAP_EVENT_SYNC_SKIP);

/*
 * The address is that of the mapping that was made, or of the page from which on the
 * area is used again; 0 if there is none.
 */
TRACE_EVENT(mermap,

	TP_PROTO(enum mermap_event event, unsigned long addr, unsigned int nr_pages),

	TP_ARGS(event, addr, nr_pages),

	TP_STRUCT__entry(
		__field(int, event)
		__field(unsigned int, nr_pages)
		__field(unsigned long, addr)
	),

	TP_fast_assign(
		__entry->event = event;
		__entry->nr_pages = nr_pages;
		__entry->addr = addr;
	),

	TP_printk("%s addr=0x%lx nr_pages=%u",
		  __print_symbolic(__entry->event,
				   { MERMAP_EVENT_GET, "get" },
				   { MERMAP_EVENT_FAIL, "fail" },
				   { MERMAP_EVENT_REWIND, "rewind" },
				   { MERMAP_EVENT_SYNC, "sync" },
				   { MERMAP_EVENT_SYNC_SKIP, "sync_skip" }),
		  __entry->addr, __entry->nr_pages)
);

#endif /* _TRACE_MERMAP_H */

#include <trace/define_trace.h>
