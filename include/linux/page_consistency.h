/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_PAGE_CONSISTENCY_H
#define _LINUX_PAGE_CONSISTENCY_H

/*
 * Hooks of the page allocator consistency checker, for the page allocator only.
 * See Documentation/mm/page_consistency.rst.
 */

#include <linux/init.h>
#include <linux/panic.h>
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
bool __page_consistency_put(struct page *page, unsigned int order);
void __page_consistency_leave(struct page *page, struct zone *zone, unsigned int order,
			      int migratetype);
void __page_consistency_join(struct zone *zone, unsigned int order, int migratetype, bool tail);
void __page_consistency_leave_pcp(struct page *page, struct list_head *list, unsigned int order);
void __page_consistency_join_pcp(struct list_head *list);
void __page_consistency_memory_failure(unsigned long pfn, bool soft);
void __page_consistency_poisoned(struct page *page);
void __page_consistency_unpoisoned(struct page *page);
void __page_consistency_disown(struct page *page);
void __page_consistency_keep_out(struct page *page);
bool __page_consistency_kept_out(struct page *page);
bool __page_consistency_put_back(struct page *page);
void page_consistency_free_apart(struct page *page, unsigned int order);

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
 *	   as a bad page is; or memory has failed in it, and the rest has been freed.
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
 * page_consistency_put - a reference was put, and it was not the last one
 * @page: the page
 * @order: that the caller would free it with
 *
 * For callers that see what has become of the count.  A page that is put once too often
 * while it is free is met here; put_page() does not look, and is met when the page is
 * handed out again.
 *
 * Context: Any, NMI included.
 * Return: false if the count is below zero, and nothing more must be done.
 */
static inline bool page_consistency_put(struct page *page, unsigned int order)
{
	return !page_consistency_on() || __page_consistency_put(page, order);
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
 * page_consistency_stopping - has this CPU stopped the machine?
 *
 * What panic() calls may allocate and free, consoles above all.  The free lists may be
 * what is corrupt, and zone->lock may be held by who was interrupted, by the caller
 * itself, or by a CPU that has been stopped: on this CPU they are left alone.  Pages of
 * per-CPU lists are to be had all the same.
 *
 * Context: Any, NMI included.
 * Return: true if free lists and zone->lock must not be touched.
 */
static inline bool page_consistency_stopping(void)
{
	return page_consistency_on() && panic_on_this_cpu();
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

/**
 * page_consistency_poisoned - a page has just been marked PageHWPoison
 * @page: the page; in use, free, or neither yet
 *
 * If it is in use it becomes nobody's: recorded inside, so that the free of the block
 * around it, of whatever order, does not find what it expects.  To be called before
 * anything else is done about the page.
 *
 * Context: Process context, may sleep.
 */
static inline void page_consistency_poisoned(struct page *page)
{
	if (page_consistency_on())
		__page_consistency_poisoned(page);
}

/**
 * page_consistency_unpoisoned - PageHWPoison is about to be cleared
 * @page: the page; if it is in use, it is its owner's again
 *
 * Context: Process context, may sleep.
 */
static inline void page_consistency_unpoisoned(struct page *page)
{
	if (page_consistency_on())
		__page_consistency_unpoisoned(page);
}

/**
 * page_consistency_disown - a page in use was marked PageHWPoison
 * @page: the page; the caller owns it, so that nobody frees it meanwhile
 *
 * Context: Any.
 */
static inline void page_consistency_disown(struct page *page)
{
	if (page_consistency_on())
		__page_consistency_disown(page);
}

/**
 * page_consistency_keep_out - a page that is PageHWPoison is kept out of the allocator
 * @page: the page; it was freed alone, or can only be freed alone
 *
 * Context: Any, NMI included.
 */
static inline void page_consistency_keep_out(struct page *page)
{
	if (page_consistency_on())
		__page_consistency_keep_out(page);
}

/**
 * page_consistency_kept_out - was a page kept out when the block around it was freed?
 * @page: the page
 *
 * If so it has not come to a free list that take_page_off_buddy() could take it off,
 * and is left as if it had been.
 *
 * Context: Process context.
 * Return: true if it was.
 */
static inline bool page_consistency_kept_out(struct page *page)
{
	return page_consistency_on() && __page_consistency_kept_out(page);
}

/**
 * page_consistency_put_back - a page that was taken off a free list is about to be put back
 * @page: the page; still PageHWPoison, which is no excuse here
 *
 * Context: zone->lock held.
 * Return: false if it must not be; it has been reported and is leaked.
 */
static inline bool page_consistency_put_back(struct page *page)
{
	return !page_consistency_on() || __page_consistency_put_back(page);
}

#else /* !CONFIG_PAGE_CONSISTENCY */

#define page_consistency_inline inline
#define page_consistency_noinline(...) __VA_ARGS__

/*
 * Macros, because the code around them must not change: even of a function that is inlined
 * away GCC remembers that there was a call, and orders what is behind it in another way.
 * page_consistency_put() is only called where that makes no difference.
 */
#define page_consistency_init()				do { } while (0)
#define page_consistency_alloc(page, order)		do { } while (0)
#define page_consistency_free(page, order)		true
#define page_consistency_unfree(page, order)		do { } while (0)
#define page_consistency_leave(page, zone, order, type)	do { } while (0)
#define page_consistency_join(zone, order, type, tail)	do { } while (0)
#define page_consistency_leave_pcp(page, list, order)	do { } while (0)
#define page_consistency_join_pcp(list)			do { } while (0)
#define page_consistency_nolock_held()			false
#define page_consistency_stopping()			false
#define page_consistency_memory_failure(pfn, soft)	do { } while (0)
#define page_consistency_poisoned(page)			do { } while (0)
#define page_consistency_unpoisoned(page)		do { } while (0)
#define page_consistency_disown(page)			do { } while (0)
#define page_consistency_keep_out(page)			do { } while (0)
#define page_consistency_kept_out(page)			false
#define page_consistency_put_back(page)			true

static inline bool page_consistency_put(struct page *page, unsigned int order)
{
	return true;
}

#endif /* CONFIG_PAGE_CONSISTENCY */
#endif /* _LINUX_PAGE_CONSISTENCY_H */
