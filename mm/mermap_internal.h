/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_MERMAP_INTERNAL_H
#define _MM_MERMAP_INTERNAL_H

#include <linux/bug.h>
#include <linux/mermap_types.h>
#include <linux/types.h>

struct mm_struct;
struct page;

/* What MERMAP_DEBUG finds. */
enum mermap_fault {
	MERMAP_FREED_MAPPED,	/* a page was freed while it was mapped */
	MERMAP_FREED_STALE,	/* a page was freed before a mermap_sync() */
	MERMAP_LENT,		/* a page was mapped after it was freed, and is allocated */
	MERMAP_TASK_LEAK,	/* a task returns to user mode with a mapping */
	MERMAP_MM_LEAK,		/* an mm exits with a mapping */
	MERMAP_WRONG_TASK,	/* a mapping was put by another task */
	MERMAP_NR_FAULTS
};

#ifdef CONFIG_MERMAP_DEBUG
void mermap_debug_prepare(void);
void mermap_debug_leak(struct mermap_alloc *alloc, unsigned long pfn);
void mermap_debug_got(struct mermap_alloc *alloc, struct page *page);
void mermap_debug_put(struct mermap_alloc *alloc, unsigned long pfn);
void mermap_debug_sync_begin(void);
void mermap_debug_sync_end(void);
void mermap_debug_report(enum mermap_fault fault, struct page *page);
#else
static inline void mermap_debug_prepare(void) { }

static inline void mermap_debug_leak(struct mermap_alloc *alloc, unsigned long pfn)
{
	WARN_ONCE(1, "mermap: mm exits with a mapping; mermap_put() is missing\n");
}

static inline void mermap_debug_got(struct mermap_alloc *alloc, struct page *page) { }
static inline void mermap_debug_put(struct mermap_alloc *alloc, unsigned long pfn) { }
static inline void mermap_debug_sync_begin(void) { }
static inline void mermap_debug_sync_end(void) { }
#endif

#if IS_ENABLED(CONFIG_KUNIT)
pte_t *__mermap_table(struct mm_struct *mm, unsigned long addr);
pte_t *mermap_table(struct mm_struct *mm, unsigned long addr);
void mermap_flush_all(void);
#endif

#endif /* _MM_MERMAP_INTERNAL_H */
