// SPDX-License-Identifier: GPL-2.0
/*
 * The mermap: finding mistakes of those who use it.
 *
 * Each page of memory has a byte: how often it is mapped now, and whether it was put
 * and no mermap_sync() has covered that.  The bytes are kept for each memory section, in
 * arrays that exist before the first page of the section can be mapped and that stay
 * when its memory goes, to be there when it comes back.
 *
 * What was put becomes "covered" in two steps, because mappings are put while a sync
 * is at work.  A sync first takes all marks there are, then flushes, and then forgets
 * those that it has taken; a page that is put meanwhile has a new mark.
 */

#define pr_fmt(fmt) "mermap: " fmt

#include <kunit/static_stub.h>
#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/bug.h>
#include <linux/cpumask.h>
#include <linux/init.h>
#include <linux/jump_label.h>
#include <linux/memory.h>
#include <linux/mermap_debug.h>
#include <linux/mm.h>
#include <linux/mmdebug.h>
#include <linux/mmzone.h>
#include <linux/notifier.h>
#include <linux/ratelimit.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "mermap_internal.h"

#define MERMAP_LIVE	GENMASK(5, 0)	/* mappings there are; at its maximum it stays, for ever */
#define MERMAP_PUT	BIT(6)		/* put, and no sync has begun since */
#define MERMAP_SYNCING	BIT(7)		/* put before the sync that is at work now */

DEFINE_STATIC_KEY_FALSE(mermap_debug_key);

/* The bytes of each section, by its number. */
static DEFINE_XARRAY(mermap_sections);

/* --- the bytes ------------------------------------------------------------- */

static u8 *mermap_byte(unsigned long pfn)
{
	u8 *bytes = xa_load(&mermap_sections, pfn_to_section_nr(pfn));

	/* Memory that never was online: nothing is known of its pages. */
	return bytes ? bytes + (pfn & (PAGES_PER_SECTION - 1)) : NULL;
}

static u8 mermap_byte_got(u8 old)
{
	return (old & MERMAP_LIVE) == MERMAP_LIVE ? old : old + 1;
}

static u8 mermap_byte_put(u8 old)
{
	/* Reported meanwhile, and forgotten. */
	if (!(old & MERMAP_LIVE))
		return old;
	if ((old & MERMAP_LIVE) != MERMAP_LIVE)
		old--;
	return old | MERMAP_PUT;
}

/* A page may be mapped through several CPUs at once. */
static __always_inline void mermap_bytes_update(unsigned long pfn, unsigned int nr,
						u8 (*change)(u8 old))
{
	for (; nr--; pfn++) {
		u8 *byte = mermap_byte(pfn), old;

		if (!byte)
			continue;
		old = READ_ONCE(*byte);
		while (!try_cmpxchg(byte, &old, change(old)))
			;
	}
}

/* --- what the core tells --------------------------------------------------- */

/**
 * mermap_debug_prepare - there will be an mm with areas: look at each page that is freed
 *
 * Context: Sleeps.
 */
void mermap_debug_prepare(void)
{
	/* Or it would take a lock of CPU hotplug each time. */
	if (!static_key_enabled(&mermap_debug_key))
		static_branch_enable(&mermap_debug_key);
}

/**
 * mermap_debug_got - pages were mapped
 * @alloc: the mapping
 * @page: its first page
 *
 * Context: Task context, by the owner.
 */
void mermap_debug_got(struct mermap_alloc *alloc, struct page *page)
{
	alloc->owner = current;
	current->mermap_held++;
	mermap_bytes_update(page_to_pfn(page), alloc->nr, mermap_byte_got);
}

/**
 * mermap_debug_put - the entries of a mapping were cleared
 * @alloc: the mapping
 * @pfn: of its first page
 *
 * Context: Task context.
 */
void mermap_debug_put(struct mermap_alloc *alloc, unsigned long pfn)
{
	/* Another owner may be gone by now; if not, it is asked about its mapping, too. */
	if (alloc->owner != current)
		mermap_debug_report(MERMAP_WRONG_TASK, pfn_to_page(pfn));
	else if (current->mermap_held)
		current->mermap_held--;
	alloc->owner = NULL;
	mermap_bytes_update(pfn, alloc->nr, mermap_byte_put);
}

static u8 mermap_byte_sync_begin(u8 old)
{
	return old & MERMAP_PUT ? (old & ~MERMAP_PUT) | MERMAP_SYNCING : old;
}

static u8 mermap_byte_sync_end(u8 old)
{
	return old & ~MERMAP_SYNCING;
}

/* Almost all bytes are 0, so they are looked at by the word. */
static void mermap_bytes_sync(u8 (*change)(u8 old))
{
	unsigned long section, i, start;
	u8 *bytes;

	xa_for_each(&mermap_sections, section, bytes) {
		for (i = 0; i < PAGES_PER_SECTION; i += sizeof(long)) {
			/* Those that others make now are for the next sync. */
			if (!data_race(*(unsigned long *)(bytes + i)))
				continue;
			start = section_nr_to_pfn(section) + i;
			mermap_bytes_update(start, sizeof(long), change);
		}
		cond_resched();
	}
}

/**
 * mermap_debug_sync_begin - all TLBs are about to be flushed
 *
 * Context: Sleeps; one sync at a time.
 */
void mermap_debug_sync_begin(void)
{
	mermap_bytes_sync(mermap_byte_sync_begin);
}

/**
 * mermap_debug_sync_end - all TLBs were flushed since mermap_debug_sync_begin()
 *
 * Context: Sleeps; one sync at a time.
 */
void mermap_debug_sync_end(void)
{
	mermap_bytes_sync(mermap_byte_sync_end);
}

/**
 * mermap_debug_leak - an mm exits, and a mapping was not put
 * @alloc: the mapping
 * @pfn: of its first page
 *
 * Context: Any; nobody else has the mm.
 */
void mermap_debug_leak(struct mermap_alloc *alloc, unsigned long pfn)
{
	mermap_debug_report(MERMAP_MM_LEAK, pfn_to_page(pfn));
	mermap_bytes_update(pfn, alloc->nr, mermap_byte_put);
}

/* --- what is found --------------------------------------------------------- */

static const char * const mermap_faults[MERMAP_NR_FAULTS] = {
	[MERMAP_FREED_MAPPED] = "page freed while it is mapped; mermap_put() is missing",
	[MERMAP_FREED_STALE] = "page freed that TLBs may still lead to; mermap_sync() is missing",
	[MERMAP_LENT] = "page allocated that is mapped or that TLBs may lead to: used while free",
	[MERMAP_TASK_LEAK] = "task returns to user mode with a mapping; mermap_put() is missing",
	[MERMAP_MM_LEAK] = "mm exits with a mapping; mermap_put() is missing",
	[MERMAP_WRONG_TASK] = "mapping put by a task that has not made it",
};

/**
 * mermap_debug_report - say what is wrong, with a trace of who has done it
 * @fault: what it is
 * @page: with which page; NULL if it is not about one
 *
 * Not more than ten in five seconds.
 *
 * Context: Any.
 */
noinline void mermap_debug_report(enum mermap_fault fault, struct page *page)
{
	static DEFINE_RATELIMIT_STATE(limit, 5 * HZ, 10);

	KUNIT_STATIC_STUB_REDIRECT(mermap_debug_report, fault, page);
	if (!__ratelimit(&limit))
		return;
	if (page)
		dump_page(page, mermap_faults[fault]);
	WARN(1, "mermap: %s\n", mermap_faults[fault]);
}

/**
 * mermap_debug_task_leak - the current task is on the way to user mode with a mapping
 *
 * Context: Interrupts off.
 */
noinline void mermap_debug_task_leak(void)
{
	mermap_debug_report(MERMAP_TASK_LEAK, NULL);
	/* Once for each. */
	current->mermap_held = 0;
}

/* Who gets the page next is not to blame: neither now nor when the mapping is put. */
static u8 mermap_byte_reported(u8 old)
{
	return 0;
}

/* One report for each block that is mapped, or that TLBs may lead to. */
static void mermap_debug_look(struct page *page, unsigned int order, enum mermap_fault mapped,
			      enum mermap_fault stale)
{
	unsigned long pfn = page_to_pfn(page), end = pfn + (1UL << order);
	bool reported = false;

	guard(rcu)();
	for (; pfn < end; pfn++) {
		u8 *byte = mermap_byte(pfn), old = byte ? READ_ONCE(*byte) : 0;

		/* A count that has reached its maximum says nothing. */
		if (likely(!old) || (old & MERMAP_LIVE) == MERMAP_LIVE)
			continue;
		if (!reported)
			mermap_debug_report(old & MERMAP_LIVE ? mapped : stale, pfn_to_page(pfn));
		reported = true;
		mermap_bytes_update(pfn, 1, mermap_byte_reported);
	}
}

/**
 * __mermap_debug_free - a block goes back to the page allocator: see mermap_debug_free()
 * @page: its first page
 * @order: its order
 *
 * Context: Any.
 */
void __mermap_debug_free(struct page *page, unsigned int order)
{
	mermap_debug_look(page, order, MERMAP_FREED_MAPPED, MERMAP_FREED_STALE);
}

/**
 * __mermap_debug_alloc - the page allocator lends a block: see mermap_debug_alloc()
 * @page: its first page
 * @order: its order
 *
 * Context: Any.
 */
void __mermap_debug_alloc(struct page *page, unsigned int order)
{
	mermap_debug_look(page, order, MERMAP_LENT, MERMAP_LENT);
}

/* --- memory that comes ----------------------------------------------------- */

static int mermap_section_add(unsigned long section)
{
	u8 *bytes;
	int err;

	if (xa_load(&mermap_sections, section))
		return 0;
	bytes = kvzalloc(PAGES_PER_SECTION, GFP_KERNEL);
	if (!bytes)
		return -ENOMEM;
	err = xa_err(xa_store(&mermap_sections, section, bytes, GFP_KERNEL));
	if (err)
		kvfree(bytes);
	return err;
}

/* Ranges need not begin and end with sections.  Notifications may come twice. */
static int mermap_memory_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	const struct memory_notify *arg = data;
	unsigned long section, last;

	if (action != MEM_GOING_ONLINE)
		return NOTIFY_OK;
	last = pfn_to_section_nr(arg->start_pfn + arg->nr_pages - 1);
	for (section = pfn_to_section_nr(arg->start_pfn); section <= last; section++) {
		if (mermap_section_add(section))
			return notifier_from_errno(-ENOMEM);
	}
	return NOTIFY_OK;
}

static int __init mermap_debug_init(void)
{
	unsigned long section;

	/* Before any driver can bring memory online. */
	hotplug_memory_notifier(mermap_memory_notify, DEFAULT_CALLBACK_PRI);
	for_each_present_section_nr(0, section) {
		if (mermap_section_add(section))
			pr_err("no memory to watch the pages of section %lu\n", section);
	}
	return 0;
}
core_initcall(mermap_debug_init);
