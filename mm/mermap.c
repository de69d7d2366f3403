// SPDX-License-Identifier: GPL-2.0
/*
 * The mermap: short-lived mappings of pages that are not in the direct map.
 *
 * The contract is in include/linux/mermap.h, the picture of an area in
 * include/linux/mermap_types.h, and why a local flush is enough when an area is used
 * again in the architecture's asm/mermap.h.
 *
 * Page tables are built once for each mm, before anything can use them, and stay until
 * it exits.  Page table entries have one user at a time, the owner of the slot that
 * covers them, on one CPU; so they are written without the PTE lock, which is a sleeping
 * lock on PREEMPT_RT.
 */

#define CREATE_TRACE_POINTS
#include <trace/events/mermap.h>

#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/atomic.h>
#include <linux/bug.h>
#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/lockdep.h>
#include <linux/mermap.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmdebug.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/pfn.h>
#include <linux/pgalloc.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmstat.h>

#include <asm/mermap.h>
#include <asm/mm_local.h>

#include "mermap_internal.h"

/* Something was put on this CPU that no mermap_sync() has covered yet. */
static DEFINE_PER_CPU(unsigned int, mermap_unsynced);

/* Held while all TLBs are flushed: who finds nothing left to flush waits for that. */
static DEFINE_MUTEX(mermap_sync_mutex);

/* --- what an mm has -------------------------------------------------------- */

/**
 * __mermap_table - walk to the entry of an address, and make the tables that are missing
 * @mm: the mm, which nobody can exit meanwhile
 * @addr: an address of its areas
 *
 * Context: Sleeps.
 * Return: the page table entry; NULL without memory.
 */
VISIBLE_IF_KUNIT pte_t *__mermap_table(struct mm_struct *mm, unsigned long addr)
{
	p4d_t *p4d = p4d_alloc(mm, pgd_offset(mm, addr), addr);
	pud_t *pud = p4d ? pud_alloc(mm, p4d, addr) : NULL;
	pmd_t *pmd = pud ? pmd_alloc(mm, pud, addr) : NULL;

	if (!pmd || pte_alloc(mm, pmd))
		return NULL;
	return pte_offset_kernel(pmd, addr);
}

/**
 * mermap_table - what mermap_mm_prepare() calls; tests delay it, or make it fail
 * @mm: as of __mermap_table()
 * @addr: as of __mermap_table()
 *
 * Context: Sleeps.
 * Return: the page table entry; NULL without memory.
 */
VISIBLE_IF_KUNIT noinline pte_t *mermap_table(struct mm_struct *mm, unsigned long addr)
{
	KUNIT_STATIC_STUB_REDIRECT(mermap_table, mm, addr);
	return __mermap_table(mm, addr);
}

static int mermap_area_init(struct mermap_area *area, struct mm_struct *mm, int cpu)
{
	unsigned int i;

	area->base = MERMAP_BASE_ADDR + cpu * MERMAP_AREA_SIZE;
	if (WARN_ON_ONCE(area->base + MERMAP_AREA_SIZE > MERMAP_END_ADDR))
		return -ENOSPC;
	area->ptes = mermap_table(mm, area->base);
	if (!area->ptes)
		return -ENOMEM;
	area->mm = mm;
	area->cpu = cpu;
	area->next = MERMAP_FIRST;
	area->reserve.area = area;
	for (i = 0; i < MERMAP_SLOTS; i++)
		area->slots[i].area = area;
	return 0;
}

/**
 * mermap_mm_init - give a new mm no mermap
 * @mm: an mm that nobody else knows yet
 *
 * A forked mm begins as a copy of its parent's, pointer included.
 */
void mermap_mm_init(struct mm_struct *mm)
{
	mm->mermap = NULL;
}

/**
 * mermap_mm_prepare - make it possible to map pages in an mm
 * @mm: the mm, which the caller holds as mmget() does
 *
 * Does nothing if that was done before; racing calls are safe.  It is undone when the mm
 * exits, and only then: page tables that were made before one of them could not be had
 * stay as well, are accounted to the mm, and found by the next attempt.
 *
 * Context: Sleeps.
 * Return: 0; -ENOMEM; -EOPNOTSUPP if this mm cannot have a mermap; -ENOSPC after a warning
 * if the region is too small for the CPUs.
 */
int mermap_mm_prepare(struct mm_struct *mm)
{
	struct mermap *mermap;
	int cpu, err = 0;

	/* Pairs with cmpxchg_release() below: someone else's areas are complete. */
	if (smp_load_acquire(&mm->mermap))
		return 0;
	if (!mm_local_region_supported(mm))
		return -EOPNOTSUPP;

	mermap_debug_prepare();
	mermap = kvzalloc_flex(*mermap, areas, nr_cpu_ids, GFP_KERNEL_ACCOUNT);
	if (!mermap)
		return -ENOMEM;
	mermap->nr_areas = nr_cpu_ids;
	for_each_possible_cpu(cpu) {
		err = mermap_area_init(&mermap->areas[cpu], mm, cpu);
		if (err)
			break;
	}
	/* Publish it whole.  Who comes second uses what is there, in the same tables. */
	if (err || cmpxchg_release(&mm->mermap, NULL, mermap))
		kvfree(mermap);
	return err;
}

/* Take a mapping from whoever has not put it; true if there was one. */
static bool mermap_revoke(struct mermap_alloc *alloc)
{
	struct mermap_area *area = alloc->area;
	unsigned long pfn;
	unsigned int i;

	if (likely(!alloc->nr))
		return false;
	pfn = pte_pfn(ptep_get(area->ptes + alloc->first));
	for (i = 0; i < alloc->nr; i++)
		set_pte(area->ptes + alloc->first + i, __pte(0));
	mermap_debug_leak(alloc, pfn);
	/* As in mermap_put(). */
	smp_wmb();
	this_cpu_write(mermap_unsynced, 1);
	alloc->nr = 0;
	area->mm = NULL;
	return true;
}

/**
 * mermap_mm_exit - take the mermap from an mm
 * @mm: an mm without users
 *
 * The page tables go with those of the rest of the region.
 */
void mermap_mm_exit(struct mm_struct *mm)
{
	struct mermap *mermap = mm->mermap;
	unsigned int cpu, i;
	bool leaked = false;

	if (!mermap)
		return;
	for (cpu = 0; cpu < mermap->nr_areas; cpu++) {
		struct mermap_area *area = &mermap->areas[cpu];

		for (i = 0; i < MERMAP_SLOTS; i++)
			leaked |= mermap_revoke(&area->slots[i]);
		leaked |= mermap_revoke(&area->reserve);
	}
	mm->mermap = NULL;
	/* A put that comes too late must find that there is nothing left to put. */
	if (!leaked)
		kvfree(mermap);
}

/* --- mapping --------------------------------------------------------------- */

/*
 * Go back to behind the last page that is mapped, if nr pages fit there.  What is
 * below stays unused until that mapping is gone: to look for gaps would cost each get
 * more than the flushes that it saves.
 *
 * Whatever was mapped from there on has been cleared from the page tables, or its slot
 * would not be free.  So nothing that the flush drops can come back.
 */
static noinline unsigned int mermap_rewind(struct mermap_area *area, unsigned int nr)
{
	unsigned int first = MERMAP_FIRST, i;

	for (i = 0; i < MERMAP_SLOTS; i++) {
		const struct mermap_alloc *alloc = &area->slots[i];

		if (READ_ONCE(alloc->nr))
			first = max(first, alloc->first + alloc->nr + MERMAP_GUARD);
	}
	if (first + nr > MERMAP_LIMIT)
		return first;

	arch_mermap_flush_local();
	count_vm_event(MERMAP_REWIND);
	trace_mermap(MERMAP_EVENT_REWIND, area->base + first * PAGE_SIZE, 0);
	return first;
}

/* Take a slot and a range, with preemption off: other tasks here do the same. */
static struct mermap_alloc *mermap_claim(struct mermap_area *area, unsigned int nr)
{
	struct mermap_alloc *alloc = area->slots;
	unsigned int first = area->next;

	/* Whoever puts one here may have been preempted. */
	while (READ_ONCE(alloc->nr)) {
		if (++alloc == area->slots + MERMAP_SLOTS)
			return NULL;
	}
	if (unlikely(first + nr > MERMAP_LIMIT)) {
		first = mermap_rewind(area, nr);
		if (first + nr > MERMAP_LIMIT)
			return NULL;
	}
	area->next = first + nr + MERMAP_GUARD;
	alloc->first = first;
	alloc->nr = nr;
	return alloc;
}

/* Fill the range of a slot that is the caller's already. */
static __always_inline void mermap_fill(struct mermap_alloc *alloc, struct page *page,
					enum mermap_access access)
{
	struct mermap_area *area = alloc->area;
	pte_t *ptep = area->ptes + alloc->first, *end = ptep + alloc->nr;
	pte_t pte = pfn_pte(page_to_pfn(page), arch_mermap_pgprot(access));

	alloc->addr = (void *)(area->base + alloc->first * PAGE_SIZE);
	/* No TLB keeps an entry that is not present, so there is nothing to flush. */
	do {
		set_pte(ptep, pte);
		pte = arch_mermap_next(pte);
	} while (++ptep != end);
	mermap_debug_got(alloc, page);
	trace_mermap(MERMAP_EVENT_GET, (unsigned long)alloc->addr, alloc->nr);
}

/* The areas that the current task may use, with preemption off. */
static __always_inline struct mermap_area *mermap_this_area(struct mermap *mermap)
{
	struct mermap_area *area = &mermap->areas[smp_processor_id()];

	return likely(arch_mermap_mm_loaded(area->mm)) ? area : NULL;
}

/* The areas of the current task's mm; nobody else has any business here. */
static __always_inline struct mermap *mermap_current(void)
{
	struct mm_struct *mm = current->mm;

	if (unlikely(!in_task() || !mm))
		return NULL;
	/* Pairs with cmpxchg_release() in mermap_mm_prepare(). */
	return smp_load_acquire(&mm->mermap);
}

static noinline struct mermap_alloc *mermap_fail(unsigned long size)
{
	count_vm_event(MERMAP_FAIL);
	trace_mermap(MERMAP_EVENT_FAIL, 0, PFN_UP(size));
	return NULL;
}

/**
 * mermap_get - map pages for a short time
 * @page: the first of them; they are contiguous
 * @size: how much of them, in bytes, from the beginning of the first
 * @access: what for
 *
 * Fails if @size is 0 or more than %MERMAP_MAX_PAGES pages, if the current mm was not
 * prepared or is not loaded, if it is not called by a task, if %MERMAP_SLOTS mappings
 * exist on this CPU, or if those that exist leave too little room.  Migration is
 * disabled until mermap_put().
 *
 * Context: Task context, interrupts on or off.  Does not sleep, and does not allocate.
 * Return: the mapping, or NULL.
 */
struct mermap_alloc *mermap_get(struct page *page, unsigned long size, enum mermap_access access)
{
	struct mermap *mermap = mermap_current();
	struct mermap_alloc *alloc = NULL;
	struct mermap_area *area;

	/* A size of 0 wraps. */
	if (unlikely(!mermap || size - 1 >= MERMAP_MAX_PAGES * PAGE_SIZE))
		return mermap_fail(size);

	preempt_disable();
	area = mermap_this_area(mermap);
	if (likely(area))
		alloc = mermap_claim(area, PFN_UP(size));
	if (likely(alloc))
		migrate_disable();
	preempt_enable();
	if (unlikely(!alloc))
		return mermap_fail(size);

	/* The range is this task's now, whoever else runs here. */
	mermap_fill(alloc, page, access);
	count_vm_event(MERMAP_GET);
	return alloc;
}

/**
 * mermap_get_reserved - map one page for a short time, for sure
 * @page: the page
 * @access: what for
 *
 * Does not fail if the current mm was prepared and is loaded, and the caller has no other
 * mapping from here.  It has an address and a slot that mermap_get() does not use.
 *
 * Context: Task context, preemption off from before this until after mermap_put().
 * Return: the mapping; NULL after a warning if it was called without right.
 */
struct mermap_alloc *mermap_get_reserved(struct page *page, enum mermap_access access)
{
	struct mermap *mermap = mermap_current();
	struct mermap_alloc *alloc;
	struct mermap_area *area;

	lockdep_assert_preemption_disabled();
	area = likely(mermap) ? mermap_this_area(mermap) : NULL;
	if (WARN_ON_ONCE(!area || area->reserve.nr))
		return mermap_fail(PAGE_SIZE);

	alloc = &area->reserve;
	alloc->first = MERMAP_RESERVE;
	alloc->nr = 1;
	/* The same address each time, so it cannot wait for the next rewind. */
	arch_mermap_flush_page(area->base + MERMAP_RESERVE * PAGE_SIZE);
	mermap_fill(alloc, page, access);
	count_vm_event(MERMAP_GET);
	return alloc;
}

/**
 * mermap_put - end a mapping
 * @alloc: the mapping, of this task
 *
 * The pages must not go to another owner before mermap_sync().
 *
 * Context: As for the get that made it; the mm need not be loaded any more.
 */
void mermap_put(struct mermap_alloc *alloc)
{
	struct mermap_area *area = alloc->area;
	pte_t *ptep = area->ptes + alloc->first, *end = ptep + alloc->nr;
	unsigned long pfn;

	if (WARN_ON_ONCE(!alloc->nr)) {
		/* If it was taken away: what the get has disabled still is. */
		if (!area->mm && alloc != &area->reserve)
			migrate_enable();
		return;
	}
	pfn = IS_ENABLED(CONFIG_MERMAP_DEBUG) ? pte_pfn(ptep_get(ptep)) : 0;
	VM_WARN_ON_ONCE(area->cpu != raw_smp_processor_id());

	do {
		set_pte(ptep, __pte(0));
	} while (++ptep != end);
	mermap_debug_put(alloc, pfn);
	/*
	 * Cleared before this flag is seen; pairs with xchg() in mermap_take_unsynced().  Not
	 * read first: a flag that is set still may be about to be taken for a flush that
	 * does not see the entries cleared.
	 */
	smp_wmb();
	this_cpu_write(mermap_unsynced, 1);
	/* Now others may have the range. */
	WRITE_ONCE(alloc->nr, 0);
	if (likely(alloc != &area->reserve))
		migrate_enable();
}

/* --- everybody's TLBs ------------------------------------------------------ */

/* Was anything put since this was last called? */
static bool mermap_take_unsynced(void)
{
	bool unsynced = false;
	int cpu;

	/* Those that are offline, too: they may have been online when it was put. */
	for_each_possible_cpu(cpu) {
		unsigned int *flag = per_cpu_ptr(&mermap_unsynced, cpu);

		/* Whoever set it had cleared page table entries before: see mermap_put(). */
		if (READ_ONCE(*flag))
			unsynced |= xchg(flag, 0);
	}
	return unsynced;
}

/**
 * mermap_flush_all - the flush of mermap_sync(); tests do things while it is at work
 *
 * Context: Interrupts on, since it waits for all CPUs.
 */
VISIBLE_IF_KUNIT noinline void mermap_flush_all(void)
{
	KUNIT_STATIC_STUB_REDIRECT(mermap_flush_all);
	flush_tlb_all();
}

/**
 * mermap_sync - forget all mappings that were put, everywhere
 *
 * After it returns no CPU has a translation of any mapping, of whatever mm, that was put
 * before it was called.  Interrupts all CPUs, unless nothing was put since the last time;
 * so it is for batches.
 *
 * Context: Sleeps.
 */
void mermap_sync(void)
{
	might_sleep();

	guard(mutex)(&mermap_sync_mutex);
	if (!mermap_take_unsynced()) {
		trace_mermap(MERMAP_EVENT_SYNC_SKIP, 0, 0);
		return;
	}
	mermap_debug_sync_begin();
	mermap_flush_all();
	mermap_debug_sync_end();
	count_vm_event(MERMAP_SYNC);
	trace_mermap(MERMAP_EVENT_SYNC, 0, 0);
}
