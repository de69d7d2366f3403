/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_MERMAP_H
#define _LINUX_MERMAP_H

/*
 * The mermap: short-lived mappings of pages that are not in the direct map.
 *
 * Each CPU has a window in each mm that was prepared.  A mapping is made by writing page
 * table entries that only this CPU uses in an mm that is loaded on it, so nobody else has
 * to be told when it goes, and the CPU itself flushes its TLB only when it has used up
 * its window.
 *
 * The contract:
 *
 * - Who: a task, in task context, with its mm prepared by mermap_mm_prepare() and loaded:
 *   user tasks in system calls and faults, kernel threads between kthread_use_mm() and
 *   kthread_unuse_mm().  Not inside use_temporary_mm().
 *
 * - What: pages of memory that belong to this mm, or to nobody, and that cannot go to
 *   anybody else meanwhile: the caller holds references of them, or is who lends them.
 *   Other CPUs that run threads of the mm may fill their TLBs from the window by
 *   speculation, and keep what they found until mermap_sync() has run.  So pages of
 *   another process must never be mapped; and where that must not leak, what it has
 *   left in pages that are nobody's is to be wiped before they are mapped here.  Nor
 *   must pages be mapped that are mapped anywhere with other attributes than write-back.
 *
 * - Where: the mapping is good on this CPU only.  mermap_get() disables migration until
 *   mermap_put(); the task may sleep, but not wait for CPU hotplug (cpus_read_lock()),
 *   which may be waiting for the task.  mermap_get_reserved() wants preemption off from
 *   before it is called until the mapping was put.  The address must not be given to
 *   another task, to an interrupt handler or to a device.
 *
 * - How long: until mermap_put(), which is done by the same task, before it returns to
 *   user mode and before it gives up the mm.  A kernel thread may put after
 *   kthread_unuse_mm() while it still holds a reference taken by mmget().
 *
 * - Afterwards: mermap_put() removes the mapping from the page tables and not from any
 *   TLB.  Whoever lets pages go to another owner, or back to the page allocator, calls
 *   mermap_sync() in between, once for as many pages as it likes.  Nobody else does:
 *   reclaim, migration and truncation know nothing of the mermap, so references are
 *   kept until then.
 *
 * mermap_get() is fast and makes no promise: it needs a fallback.  mermap_get_reserved()
 * is the fallback that cannot fail.
 */

struct mm_struct;

#ifdef CONFIG_MERMAP
#include <linux/cleanup.h>
#include <linux/mermap_types.h>
#include <linux/preempt.h>

struct page;

void mermap_mm_init(struct mm_struct *mm);
void mermap_mm_exit(struct mm_struct *mm);

int __must_check mermap_mm_prepare(struct mm_struct *mm);
struct mermap_alloc *mermap_get(struct page *page, unsigned long size, enum mermap_access access);
struct mermap_alloc *mermap_get_reserved(struct page *page, enum mermap_access access);
void mermap_put(struct mermap_alloc *alloc);
void mermap_sync(void);

/**
 * mermap_addr - where a mapping is
 * @alloc: the mapping
 *
 * Context: Between get and put, in the task that has it.
 * Return: the address of its first byte.
 */
static inline void *mermap_addr(const struct mermap_alloc *alloc)
{
	return alloc->addr;
}

static inline void __mermap_end(struct mermap_alloc *alloc)
{
	if (alloc)
		mermap_put(alloc);
}

DEFINE_FREE(mermap_put, struct mermap_alloc *, __mermap_end(_T))

/*
 * CLASS(mermap, map)(page, size, access): mapped until the end of the scope, if @map is
 * not NULL.
 */
DEFINE_CLASS(mermap, struct mermap_alloc *, __mermap_end(_T),
	     mermap_get(page, size, access),
	     struct page *page, unsigned long size, enum mermap_access access)

static inline struct mermap_alloc *__mermap_begin_reserved(struct page *page,
							   enum mermap_access access)
{
	preempt_disable();
	return mermap_get_reserved(page, access);
}

static inline void __mermap_end_reserved(struct mermap_alloc *alloc)
{
	__mermap_end(alloc);
	preempt_enable();
}

/*
 * CLASS(mermap_reserved, map)(page, access): the reserved mapping until the end of the
 * scope, with preemption off.
 */
DEFINE_CLASS(mermap_reserved, struct mermap_alloc *, __mermap_end_reserved(_T),
	     __mermap_begin_reserved(page, access),
	     struct page *page, enum mermap_access access)

#else /* !CONFIG_MERMAP */

static inline void mermap_mm_init(struct mm_struct *mm) { }
static inline void mermap_mm_exit(struct mm_struct *mm) { }

#endif /* CONFIG_MERMAP */

#endif /* _LINUX_MERMAP_H */
