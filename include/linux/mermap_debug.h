/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_MERMAP_DEBUG_H
#define _LINUX_MERMAP_DEBUG_H

/*
 * What the rest of the kernel has to do with mistakes in the use of the mermap.  Apart
 * from linux/mermap.h, because headers that everybody includes call it.
 */

struct page;
struct task_struct;

#ifdef CONFIG_MERMAP_DEBUG
#include <linux/jump_label.h>
#include <linux/sched.h>

DECLARE_STATIC_KEY_FALSE(mermap_debug_key);

void __mermap_debug_free(struct page *page, unsigned int order);
void __mermap_debug_alloc(struct page *page, unsigned int order);
void mermap_debug_task_leak(void);

/**
 * mermap_debug_free - a block goes back to the page allocator
 * @page: its first page
 * @order: its order
 *
 * Context: Any.
 */
static inline void mermap_debug_free(struct page *page, unsigned int order)
{
	if (static_branch_unlikely(&mermap_debug_key))
		__mermap_debug_free(page, order);
}

/**
 * mermap_debug_alloc - the page allocator lends a block
 * @page: its first page
 * @order: its order
 *
 * Context: Any.
 */
static inline void mermap_debug_alloc(struct page *page, unsigned int order)
{
	if (static_branch_unlikely(&mermap_debug_key))
		__mermap_debug_alloc(page, order);
}

/**
 * mermap_assert_nomap - the current task must have nothing mapped
 *
 * Context: On the way to user mode.
 */
static __always_inline void mermap_assert_nomap(void)
{
	if (unlikely(current->mermap_held))
		mermap_debug_task_leak();
}

static inline void mermap_debug_fork(struct task_struct *tsk)
{
	tsk->mermap_held = 0;
}
#else
static inline void mermap_debug_free(struct page *page, unsigned int order) { }
static inline void mermap_debug_alloc(struct page *page, unsigned int order) { }
static __always_inline void mermap_assert_nomap(void) { }
static inline void mermap_debug_fork(struct task_struct *tsk) { }
#endif

#endif /* _LINUX_MERMAP_DEBUG_H */
