/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_PAGE_CONSISTENCY_INJECT_H
#define _LINUX_PAGE_CONSISTENCY_INJECT_H

/*
 * Violations on purpose, for LKDTM only.
 * See Documentation/mm/page_consistency.rst for what each report means.
 */

#include <linux/errno.h>

/* One for each kind of violation. */
enum page_consistency_fault {
	PAGE_CONSISTENCY_DOUBLE_FREE,
	PAGE_CONSISTENCY_HANDED_OUT_TWICE,
	PAGE_CONSISTENCY_FREE_RESERVED,
	PAGE_CONSISTENCY_FREE_MISALIGNED,
	PAGE_CONSISTENCY_LIST_IN_USE,
	PAGE_CONSISTENCY_LIST_POINTER,
	PAGE_CONSISTENCY_LIST_BLOCK,
	PAGE_CONSISTENCY_LIST_LINK,
	PAGE_CONSISTENCY_RECORD_PRIMARY,
	PAGE_CONSISTENCY_RECORD_SECONDARY,
	PAGE_CONSISTENCY_RECORD_PAIR,
	PAGE_CONSISTENCY_RECORD_ENTRY,
	PAGE_CONSISTENCY_RECORD_ROOT,
	PAGE_CONSISTENCY_RECORD_FRAME,
	PAGE_CONSISTENCY_NR_FAULTS
};

#ifdef CONFIG_PAGE_CONSISTENCY
int page_consistency_inject(enum page_consistency_fault fault);
#else
static inline int page_consistency_inject(enum page_consistency_fault fault)
{
	return -EOPNOTSUPP;
}
#endif

#endif /* _LINUX_PAGE_CONSISTENCY_INJECT_H */
