/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_PAGE_CONSISTENCY_H
#define _LINUX_PAGE_CONSISTENCY_H

/*
 * Hooks of the page allocator consistency checker, for the page allocator only.
 * See Documentation/mm/page_consistency.rst.
 */

#include <linux/init.h>
#include <linux/types.h>

struct list_head;
struct page;
struct zone;

#ifdef CONFIG_PAGE_CONSISTENCY
#include <linux/jump_label.h>

/*
 * With hooks in them, some functions are inlined where they were not before, or the
 * reverse.  What must be inlined all the same, and what must not, because all that
 * it spills would be paid for by a path that hardly ever comes there; in parentheses
 * stands what it is without hooks.
 */
#define page_consistency_inline __always_inline
#define page_consistency_noinline(...) noinline

DECLARE_STATIC_KEY_FALSE(page_consistency_enabled);
extern bool page_consistency_hold_nolock;

void __init page_consistency_init(void);
void __page_consistency_alloc(struct page *page, unsigned int order);
bool __page_consistency_free(struct page *page, unsigned int order);
void __page_consistency_unfree(struct page *page, unsigned int order);
void __page_consistency_leave(struct page *page, struct zone *zone, unsigned int order,
			      int migratetype);
void __page_consistency_join(struct zone *zone, unsigned int order, int migratetype, bool tail);
void __page_consistency_leave_pcp(struct page *page, struct list_head *list, unsigned int order);
void __page_consistency_join_pcp(struct list_head *list);
void __page_consistency_memory_failure(unsigned long pfn, bool soft);

static inline bool page_consistency_on(void)
{
	return static_branch_unlikely(&page_consistency_enabled);
}

/**
 * page_consistency_alloc - a block is about to be handed out
 * @page: first page of the block
 * @order: of the block
 *
 * To be called before anything is written to the block or its struct pages: if
 * it is in use already, its first owner's data must survive until the report.
 *
 * Context: Any, NMI included.
 */
static inline void page_consistency_alloc(struct page *page, unsigned int order)
{
	if (page_consistency_on())
		__page_consistency_alloc(page, order);
}

/**
 * page_consistency_free - a block is about to be taken back
 * @page: first page of the block
 * @order: of the block, not necessarily the one it was handed out with
 *
 * To be called while page flags, type and order still testify.
 *
 * Context: Any, NMI included.
 * Return: false if the block must not go on to a free list.  It is then leaked,
 *	   as a bad page is.
 */
static inline bool page_consistency_free(struct page *page, unsigned int order)
{
	return !page_consistency_on() || __page_consistency_free(page, order);
}

/**
 * page_consistency_unfree - a block that was taken back is refused after all
 * @page: first page of the block
 * @order: of the block
 *
 * Context: Any, NMI included.
 */
static inline void page_consistency_unfree(struct page *page, unsigned int order)
{
	if (page_consistency_on())
		__page_consistency_unfree(page, order);
}

/**
 * page_consistency_leave - a block is about to be taken off, or moved to another, free list
 * @page: as the list gave it
 * @zone: whose list; locked
 * @order: of the list
 * @migratetype: of the list
 *
 * To be called before anything is read or written through @page.
 *
 * Context: zone->lock held.
 */
static inline void page_consistency_leave(struct page *page, struct zone *zone,
					  unsigned int order, int migratetype)
{
	if (page_consistency_on())
		__page_consistency_leave(page, zone, order, migratetype);
}

/**
 * page_consistency_join - a block is about to be added to a free list
 * @zone: whose list; locked
 * @order: of the list
 * @migratetype: of the list
 * @tail: at which end
 *
 * Context: zone->lock held.
 */
static inline void page_consistency_join(struct zone *zone, unsigned int order,
					 int migratetype, bool tail)
{
	if (page_consistency_on())
		__page_consistency_join(zone, order, migratetype, tail);
}

/**
 * page_consistency_leave_pcp - a block is about to be taken off a per-CPU list
 * @page: as the list gave it
 * @list: the list
 * @order: of its blocks
 *
 * To be called before anything is read or written through @page.
 *
 * Context: The lock of the per-CPU lists held; NMI included.
 */
static inline void page_consistency_leave_pcp(struct page *page, struct list_head *list,
					      unsigned int order)
{
	if (IS_ENABLED(CONFIG_PAGE_CONSISTENCY_PCP) && page_consistency_on())
		__page_consistency_leave_pcp(page, list, order);
}

/**
 * page_consistency_join_pcp - a block is about to be put first on a per-CPU list
 * @list: the list
 *
 * Context: The lock of the per-CPU lists held; NMI included.
 */
static inline void page_consistency_join_pcp(struct list_head *list)
{
	if (IS_ENABLED(CONFIG_PAGE_CONSISTENCY_PCP) && page_consistency_on())
		__page_consistency_join_pcp(list);
}

/**
 * page_consistency_nolock_held - must an allocation that may come from NMI fail now?
 *
 * True for the moment in which a mismatch is confirmed, which needs that nobody
 * is handing out pages.  stop_machine() does not stop NMIs.
 *
 * Context: Any, NMI included.
 * Return: true if it must.
 */
static inline bool page_consistency_nolock_held(void)
{
	return page_consistency_on() && READ_ONCE(page_consistency_hold_nolock);
}

/**
 * page_consistency_memory_failure - a frame has failed
 * @pfn: the frame; any
 * @soft: its errors were corrected, but it should be taken out of use
 *
 * To be called before anything is done about it. If the frame holds part of the
 * record, that is reported, with what is left of it.
 *
 * Context: Process context, may sleep.
 */
static inline void page_consistency_memory_failure(unsigned long pfn, bool soft)
{
	if (page_consistency_on())
		__page_consistency_memory_failure(pfn, soft);
}

#else /* !CONFIG_PAGE_CONSISTENCY */

#define page_consistency_inline inline
#define page_consistency_noinline(...) __VA_ARGS__

static inline void page_consistency_init(void) { }
static inline void page_consistency_alloc(struct page *page, unsigned int order) { }
static inline bool page_consistency_free(struct page *page, unsigned int order)
{
	return true;
}

static inline void page_consistency_unfree(struct page *page, unsigned int order) { }
static inline void page_consistency_leave(struct page *page, struct zone *zone,
					  unsigned int order, int migratetype) { }
static inline void page_consistency_join(struct zone *zone, unsigned int order,
					 int migratetype, bool tail) { }

static inline void page_consistency_leave_pcp(struct page *page, struct list_head *list,
					      unsigned int order) { }
static inline void page_consistency_join_pcp(struct list_head *list) { }

static inline bool page_consistency_nolock_held(void)
{
	return false;
}

static inline void page_consistency_memory_failure(unsigned long pfn, bool soft) { }

#endif /* CONFIG_PAGE_CONSISTENCY */
#endif /* _LINUX_PAGE_CONSISTENCY_H */
