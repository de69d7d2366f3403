// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the mermap: one task, one CPU, one mm.
 */

#include <linux/irqflags.h>
#include <linux/irq_work.h>
#include <linux/mmu_context.h>
#include <linux/preempt.h>

#include "mermap_kunit.h"

/* --- what a mapping is ---------------------------------------------------------- */

static void mapping_leads_to_its_page(struct kunit *test)
{
	struct page *page = new_pages(test, 0);
	u64 *words = page_address(page);
	struct mermap_alloc *alloc;

	alloc = mermap_get(page, PAGE_SIZE, MERMAP_RW);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	KUNIT_EXPECT_TRUE(test, shows(mermap_addr(alloc), page));
	*((u64 *)mermap_addr(alloc) + 1) = 4711;
	KUNIT_EXPECT_EQ(test, READ_ONCE(words[1]), 4711);
	mermap_put(alloc);
	KUNIT_EXPECT_TRUE(test, nothing_mapped(current->mm));
}

static void read_only_mapping_cannot_be_written(struct kunit *test)
{
	struct page *page = new_pages(test, 0);
	struct mermap_alloc *alloc;
	u64 word = 4711;

	alloc = mermap_get(page, PAGE_SIZE, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	KUNIT_EXPECT_TRUE(test, shows(mermap_addr(alloc), page));
	KUNIT_EXPECT_NE(test, copy_to_kernel_nofault(mermap_addr(alloc), &word, sizeof(word)), 0);
	KUNIT_EXPECT_TRUE(test, shows(page_address(page), page));
	mermap_put(alloc);
}

/* Not for user mode, not global, not executable, write-back; dirty only if writable. */
static void entries_are_of_the_right_kind(struct kunit *test)
{
	struct page *page = new_pages(test, 0);
	enum mermap_access access;

	for (access = MERMAP_RO; access <= MERMAP_RW; access++) {
		struct mermap_alloc *alloc = mermap_get(page, PAGE_SIZE, access);
		pte_t pte;

		KUNIT_ASSERT_NOT_NULL(test, alloc);
		pte = ptep_get(alloc->area->ptes + alloc->first);
		KUNIT_EXPECT_EQ(test, pte_pfn(pte), page_to_pfn(page));
		KUNIT_EXPECT_FALSE(test, pte_flags(pte) & (_PAGE_USER | _PAGE_GLOBAL));
		KUNIT_EXPECT_EQ(test, pte_flags(pte) & _PAGE_NX, __supported_pte_mask & _PAGE_NX);
		KUNIT_EXPECT_EQ(test, pte_flags(pte) & _PAGE_CACHE_MASK, 0);
		KUNIT_EXPECT_EQ(test, !!pte_write(pte), access == MERMAP_RW);
		KUNIT_EXPECT_EQ(test, !!(pte_flags(pte) & _PAGE_DIRTY), access == MERMAP_RW);
		mermap_put(alloc);
	}
}

static void every_page_of_a_run_is_mapped(struct kunit *test)
{
	static const unsigned int sizes[] = { 1, 2, 3, 8, 63, 64, MERMAP_MAX_PAGES };
	struct page *page = new_pages(test, AREA_ORDER);
	unsigned int i, nr;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct mermap_alloc *alloc = mermap_get(page, sizes[i] * PAGE_SIZE, MERMAP_RO);

		KUNIT_ASSERT_NOT_NULL(test, alloc);
		for (nr = 0; nr < sizes[i]; nr++)
			KUNIT_EXPECT_TRUE(test, shows(mermap_addr(alloc) + nr * PAGE_SIZE,
						      page + nr));
		KUNIT_EXPECT_EQ(test, entries(this_area()), sizes[i]);
		mermap_put(alloc);
		KUNIT_EXPECT_TRUE(test, nothing_mapped(current->mm));
	}
}

static void size_is_in_bytes_and_rounded_up(struct kunit *test)
{
	struct page *page = new_pages(test, 2);
	struct mermap_alloc *alloc;

	alloc = mermap_get(page, PAGE_SIZE + 1, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	KUNIT_EXPECT_EQ(test, entries(this_area()), 2);
	mermap_put(alloc);
	alloc = mermap_get(page, 1, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	KUNIT_EXPECT_EQ(test, entries(this_area()), 1);
	mermap_put(alloc);
	KUNIT_EXPECT_NULL(test, mermap_get(page, 0, MERMAP_RO));
	KUNIT_EXPECT_NULL(test, mermap_get(page, ULONG_MAX, MERMAP_RO));
}

static void put_mapping_is_gone_after_a_sync(struct kunit *test)
{
	struct page *page = new_pages(test, 0);
	struct mermap_alloc *alloc = mermap_get(page, PAGE_SIZE, MERMAP_RO);
	void *addr;

	KUNIT_ASSERT_NOT_NULL(test, alloc);
	addr = mermap_addr(alloc);
	KUNIT_EXPECT_TRUE(test, readable(addr));
	mermap_put(alloc);
	mermap_sync();
	KUNIT_EXPECT_FALSE(test, readable(addr));
}

static void guards_put_at_the_end_of_their_scope(struct kunit *test)
{
	struct page *page = new_pages(test, 0);
	int count = preempt_count();

	{
		CLASS(mermap, map)(page, PAGE_SIZE, MERMAP_RO);

		KUNIT_ASSERT_NOT_NULL(test, map);
		KUNIT_EXPECT_TRUE(test, shows(mermap_addr(map), page));
	}
	KUNIT_EXPECT_TRUE(test, nothing_mapped(current->mm));
	{
		CLASS(mermap, map)(page, 0, MERMAP_RO);

		KUNIT_EXPECT_NULL(test, map);
	}
	{
		bool good = false;

		scoped_class(mermap_reserved, map, page, MERMAP_RO)
			good = map && shows(mermap_addr(map), page);
		KUNIT_EXPECT_TRUE(test, good);
	}
	{
		struct mermap_alloc *map __free(mermap_put) =
			mermap_get(page, PAGE_SIZE, MERMAP_RO);

		KUNIT_EXPECT_NOT_NULL(test, map);
	}
	KUNIT_EXPECT_TRUE(test, nothing_mapped(current->mm));
	KUNIT_EXPECT_EQ(test, preempt_count(), count);
	KUNIT_EXPECT_EQ(test, current->migration_disabled, 0);
}

/* --- where it is ------------------------------------------------------------------ */

static void area_can_be_filled_from_edge_to_edge(struct kunit *test)
{
	struct page *page = new_pages(test, AREA_ORDER);
	struct mermap_area *area;
	struct mermap_alloc *alloc;

	alloc = mermap_get(page, MERMAP_MAX_PAGES * PAGE_SIZE, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	area = this_area();
	KUNIT_EXPECT_PTR_EQ(test, mermap_addr(alloc), at(area, MERMAP_FIRST));
	KUNIT_EXPECT_TRUE(test, shows(at(area, MERMAP_LIMIT - 1), page + MERMAP_MAX_PAGES - 1));
	KUNIT_EXPECT_TRUE(test, pte_none(ptep_get(area->ptes + MERMAP_RESERVE)));
	mermap_put(alloc);
	KUNIT_EXPECT_NULL(test, mermap_get(page, MERMAP_MAX_PAGES * PAGE_SIZE + 1, MERMAP_RO));
	KUNIT_EXPECT_TRUE(test, nothing_mapped(current->mm));
}

static void addresses_stay_in_the_area_of_the_cpu(struct kunit *test)
{
	struct page *page = new_pages(test, AREA_ORDER);
	unsigned int i, nr;

	for (i = 0; i < 5 * MERMAP_AREA_PAGES; i++) {
		struct mermap_area *area;
		struct mermap_alloc *alloc;

		nr = 1 + i * 7 % MERMAP_MAX_PAGES;
		alloc = mermap_get(page, nr * PAGE_SIZE, MERMAP_RO);
		KUNIT_ASSERT_NOT_NULL(test, alloc);
		area = this_area();
		KUNIT_ASSERT_GE(test, area->base, MERMAP_BASE_ADDR + area->cpu * MERMAP_AREA_SIZE);
		KUNIT_ASSERT_LE(test, area->base + MERMAP_AREA_SIZE, MERMAP_END_ADDR);
		KUNIT_ASSERT_GE(test, (unsigned long)mermap_addr(alloc),
				(unsigned long)at(area, MERMAP_FIRST));
		KUNIT_ASSERT_LE(test, (unsigned long)mermap_addr(alloc) + nr * PAGE_SIZE,
				(unsigned long)at(area, MERMAP_LIMIT));
		mermap_put(alloc);
	}
	KUNIT_EXPECT_TRUE(test, nothing_mapped(current->mm));
}

/* Four CPUs share a page of entries. */
static void areas_of_the_cpus_do_not_touch(struct kunit *test)
{
	struct mermap *mermap = current->mm->mermap;
	int cpu, other;

	KUNIT_EXPECT_EQ(test, mermap->nr_areas, nr_cpu_ids);
	for_each_possible_cpu(cpu) {
		struct mermap_area *area = &mermap->areas[cpu];

		KUNIT_EXPECT_TRUE(test, IS_ALIGNED((unsigned long)area->ptes, SMP_CACHE_BYTES));
		if (IS_ENABLED(CONFIG_SMP))
			KUNIT_EXPECT_TRUE(test, IS_ALIGNED((unsigned long)area, SMP_CACHE_BYTES));
		KUNIT_EXPECT_PTR_EQ(test, area->ptes, __mermap_table(current->mm, area->base));
		/* Or it would be freed as one of init_mm's. */
		KUNIT_EXPECT_FALSE(test, ptdesc_test_kernel(virt_to_ptdesc(area->ptes)));
		for_each_possible_cpu(other) {
			if (other == cpu)
				continue;
			KUNIT_EXPECT_GE(test, abs_diff(area->base, mermap->areas[other].base),
					MERMAP_AREA_SIZE);
			KUNIT_EXPECT_GE(test, abs_diff((unsigned long)area->ptes,
						       (unsigned long)mermap->areas[other].ptes),
					MERMAP_AREA_PAGES * sizeof(pte_t));
		}
	}
}

static void nested_mappings_are_apart(struct kunit *test)
{
	struct page *page = new_pages(test, 4), *one = new_pages(test, 0);
	struct mermap_alloc *a, *b, *c;

	a = mermap_get(page, 16 * PAGE_SIZE, MERMAP_RO);
	b = mermap_get(one, PAGE_SIZE, MERMAP_RW);
	c = mermap_get(page + 3, 2 * PAGE_SIZE, MERMAP_RO);
	KUNIT_ASSERT_TRUE(test, a && b && c);
	KUNIT_EXPECT_EQ(test, entries(this_area()), 19);
	KUNIT_EXPECT_TRUE(test, shows(mermap_addr(a) + 15 * PAGE_SIZE, page + 15));
	KUNIT_EXPECT_TRUE(test, shows(mermap_addr(b), one));
	KUNIT_EXPECT_TRUE(test, shows(mermap_addr(c) + PAGE_SIZE, page + 4));
	/* Not in the order in which they were made. */
	mermap_put(a);
	KUNIT_EXPECT_TRUE(test, shows(mermap_addr(b), one));
	KUNIT_EXPECT_TRUE(test, shows(mermap_addr(c), page + 3));
	a = mermap_get(one, PAGE_SIZE, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, a);
	mermap_put(b);
	KUNIT_EXPECT_TRUE(test, shows(mermap_addr(a), one));
	mermap_put(a);
	mermap_put(c);
	KUNIT_EXPECT_TRUE(test, nothing_mapped(current->mm));
	KUNIT_EXPECT_EQ(test, current->migration_disabled, 0);
}

/* --- when there is no more room ------------------------------------------------------ */

/* Get and put one page; returns its place in the area. */
static int touch(struct page *page)
{
	struct mermap_alloc *alloc = mermap_get(page, PAGE_SIZE, MERMAP_RO);
	int first;

	if (!alloc)
		return -1;
	first = alloc->first;
	mermap_put(alloc);
	return first;
}

/* Start from the beginning of the area, with nothing stale in the TLB. */
static void start_afresh(struct kunit *test, struct page *page)
{
	struct mermap_alloc *alloc = mermap_get(page, MERMAP_MAX_PAGES * PAGE_SIZE, MERMAP_RO);

	KUNIT_ASSERT_NOT_NULL(test, alloc);
	mermap_put(alloc);
}

static unsigned long local_flushes(void)
{
#ifdef CONFIG_DEBUG_TLBFLUSH
	/* Others flush, too, and this is called with preemption off. */
	return raw_cpu_read(vm_event_states.event[NR_TLB_LOCAL_FLUSH_ALL]);
#else
	return 0;
#endif
}

static void area_is_used_again_after_one_flush(struct kunit *test)
{
	struct page *pages = new_pages(test, AREA_ORDER);
	unsigned long rewinds, flushes = 0, expected;
	unsigned int i, gets = 1000;
	int first, last = -1, back = 0;

	stay_on_cpu(test);
	start_afresh(test, pages);
	preempt_disable();
	rewinds = counted(MERMAP_REWIND);
	flushes -= local_flushes();
	for (i = 0; i < gets; i++) {
		first = touch(pages);
		back += i && first <= last;
		last = first;
	}
	rewinds = counted(MERMAP_REWIND) - rewinds;
	flushes += local_flushes();
	preempt_enable();

	/* The first get finds the area full, and each round ends like that. */
	expected = DIV_ROUND_UP(gets, DIV_ROUND_UP(MERMAP_MAX_PAGES, 1 + MERMAP_GUARD));
	KUNIT_EXPECT_EQ(test, rewinds, expected);
	KUNIT_EXPECT_EQ(test, back, expected - 1);
	if (IS_ENABLED(CONFIG_DEBUG_TLBFLUSH))
		KUNIT_EXPECT_EQ(test, flushes, rewinds);
}

/*
 * Only one page is looked at before the area is used again, and with interrupts off, so
 * that nothing but the rewind makes the TLB forget it.
 */
static void rewound_area_shows_new_pages(struct kunit *test)
{
	struct page *block = new_pages(test, AREA_ORDER);
	struct page *old = new_pages(test, 0), *new = new_pages(test, 0);
	struct mermap_alloc *alloc;
	bool saw_old, saw_new = false;
	unsigned long flags;
	void *addr;
	int first;

	stay_on_cpu(test);
	start_afresh(test, block);
	local_irq_save(flags);
	alloc = mermap_get(old, PAGE_SIZE, MERMAP_RO);
	addr = mermap_addr(alloc);
	saw_old = READ_ONCE(*(u64 *)addr) == mark(old);
	mermap_put(alloc);
	do {
		alloc = mermap_get(new, PAGE_SIZE, MERMAP_RO);
		first = alloc->first;
		if (mermap_addr(alloc) == addr)
			saw_new = READ_ONCE(*(u64 *)addr) == mark(new);
		mermap_put(alloc);
	} while (first != MERMAP_FIRST);
	local_irq_restore(flags);
	KUNIT_EXPECT_TRUE(test, saw_old);
	KUNIT_EXPECT_TRUE(test, saw_new);
}

static void live_mapping_survives_rewinds(struct kunit *test)
{
	struct page *block = new_pages(test, AREA_ORDER), *page = new_pages(test, 1);
	unsigned int i, end;
	struct mermap_alloc *alloc;
	unsigned long rewinds;

	stay_on_cpu(test);
	/* In the middle: neither the first nor the last that fits. */
	start_afresh(test, block);
	touch(page);
	alloc = mermap_get(page, 2 * PAGE_SIZE, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	end = alloc->first + alloc->nr;
	rewinds = counted(MERMAP_REWIND);
	for (i = 0; i < 3 * MERMAP_AREA_PAGES; i++) {
		int first = touch(block);

		KUNIT_ASSERT_GE(test, first, end + MERMAP_GUARD);
		KUNIT_ASSERT_TRUE(test, shows(mermap_addr(alloc), page));
		KUNIT_ASSERT_TRUE(test, shows(mermap_addr(alloc) + PAGE_SIZE, page + 1));
	}
	KUNIT_EXPECT_GE(test, counted(MERMAP_REWIND) - rewinds, 2);
	mermap_put(alloc);
	KUNIT_EXPECT_TRUE(test, nothing_mapped(current->mm));
}

static bool reserve_shows(struct page *page)
{
	struct mermap_alloc *alloc;
	bool good;

	guard(preempt)();
	alloc = mermap_get_reserved(page, MERMAP_RO);
	if (!alloc)
		return false;
	good = shows(mermap_addr(alloc), page) &&
	       mermap_addr(alloc) == at(alloc->area, MERMAP_RESERVE);
	mermap_put(alloc);
	return good;
}

static void without_slots_only_the_reserve_is_left(struct kunit *test)
{
	struct page *page = new_pages(test, 0), *other = new_pages(test, 0);
	struct mermap_alloc *allocs[MERMAP_SLOTS];
	unsigned long fails;
	unsigned int i;

	stay_on_cpu(test);
	fails = counted(MERMAP_FAIL);
	for (i = 0; i < MERMAP_SLOTS; i++) {
		allocs[i] = mermap_get(page, PAGE_SIZE, MERMAP_RO);
		KUNIT_ASSERT_NOT_NULL(test, allocs[i]);
	}
	KUNIT_EXPECT_NULL(test, mermap_get(page, PAGE_SIZE, MERMAP_RO));
	KUNIT_EXPECT_EQ(test, current->migration_disabled, MERMAP_SLOTS);
	KUNIT_EXPECT_EQ(test, counted(MERMAP_FAIL) - fails, 1);
	KUNIT_EXPECT_TRUE(test, reserve_shows(other));
	for (i = 0; i < MERMAP_SLOTS; i++) {
		KUNIT_EXPECT_TRUE(test, shows(mermap_addr(allocs[i]), page));
		mermap_put(allocs[i]);
	}
	KUNIT_EXPECT_GE(test, touch(page), 0);
}

static void without_room_only_the_reserve_is_left(struct kunit *test)
{
	struct page *block = new_pages(test, AREA_ORDER), *page = new_pages(test, 0);
	struct mermap_area *area;
	struct mermap_alloc *alloc;
	unsigned long rewinds;
	unsigned short next;

	stay_on_cpu(test);
	area = this_area();
	alloc = mermap_get(block, MERMAP_MAX_PAGES * PAGE_SIZE, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	rewinds = counted(MERMAP_REWIND);
	next = area->next;
	KUNIT_EXPECT_NULL(test, mermap_get(page, PAGE_SIZE, MERMAP_RO));
	/* Nothing was gained, so nothing was flushed, and nothing has changed. */
	KUNIT_EXPECT_EQ(test, counted(MERMAP_REWIND), rewinds);
	KUNIT_EXPECT_EQ(test, area->next, next);
	KUNIT_EXPECT_EQ(test, current->migration_disabled, 1);
	KUNIT_EXPECT_TRUE(test, reserve_shows(page));
	KUNIT_EXPECT_TRUE(test, shows(mermap_addr(alloc), block));
	mermap_put(alloc);
	KUNIT_EXPECT_EQ(test, touch(page), MERMAP_FIRST);
}

static void reserve_shows_the_page_of_each_use(struct kunit *test)
{
	struct page *a = new_pages(test, 0), *b = new_pages(test, 0);
	unsigned int i, good = 0;
	unsigned long flags;

	local_irq_save(flags);
	for (i = 0; i < 4; i++)
		good += reserve_shows(a) + reserve_shows(b);
	local_irq_restore(flags);
	KUNIT_EXPECT_EQ(test, good, 8);
}

static void reserve_survives_a_rewind(struct kunit *test)
{
	struct page *page = new_pages(test, 0), *other = new_pages(test, 0);
	struct mermap_alloc *alloc;
	unsigned long rewinds;
	bool good = true;
	unsigned int i;

	hold_cpus(test);
	preempt_disable();
	rewinds = counted(MERMAP_REWIND);
	alloc = mermap_get_reserved(page, MERMAP_RO);
	for (i = 0; alloc && i < 3 * MERMAP_AREA_PAGES; i++) {
		int first = touch(other);

		good &= first >= 0 && first < MERMAP_LIMIT && shows(mermap_addr(alloc), page);
	}
	rewinds = counted(MERMAP_REWIND) - rewinds;
	if (alloc)
		mermap_put(alloc);
	preempt_enable();
	KUNIT_EXPECT_NOT_NULL(test, alloc);
	KUNIT_EXPECT_TRUE(test, good);
	KUNIT_EXPECT_GE(test, rewinds, 2);
	KUNIT_EXPECT_TRUE(test, nothing_mapped(current->mm));
}

/* --- who gets nothing ------------------------------------------------------------------ */

static void task_without_mm_gets_nothing(struct kunit *test)
{
	struct mermap_test *t = test->priv;
	struct page *page = new_pages(test, 0);

	kthread_unuse_mm(t->mm);
	KUNIT_EXPECT_NULL(test, mermap_get(page, PAGE_SIZE, MERMAP_RO));
	kthread_use_mm(t->mm);
	KUNIT_EXPECT_GE(test, touch(page), 0);
}

struct interrupt {
	struct irq_work work;
	struct page *page;
	struct mm_struct *mm;
	struct mermap_alloc *alloc;
	bool came;
};

static void interrupt_tries(struct irq_work *work)
{
	struct interrupt *irq = container_of(work, struct interrupt, work);

	irq->came = in_hardirq();
	irq->mm = current->mm;
	irq->alloc = mermap_get(irq->page, PAGE_SIZE, MERMAP_RO);
}

static void interrupt_gets_nothing(struct kunit *test)
{
	struct mermap_test *t = test->priv;
	struct interrupt irq = {
		.work = IRQ_WORK_INIT_HARD(interrupt_tries), .page = new_pages(test, 0),
	};

	/* Here, and while this task runs. */
	preempt_disable();
	irq_work_queue(&irq.work);
	while (irq_work_is_busy(&irq.work))
		cpu_relax();
	preempt_enable();
	KUNIT_EXPECT_TRUE(test, irq.came);
	KUNIT_EXPECT_PTR_EQ(test, irq.mm, t->mm);
	KUNIT_EXPECT_NULL(test, irq.alloc);
}

static void temporary_mm_gets_nothing(struct kunit *test)
{
	struct page *page = new_pages(test, 0);
	struct mm_struct *temp = mm_alloc(), *prev;
	struct mermap_alloc *alloc;

	KUNIT_ASSERT_NOT_NULL(test, temp);
	KUNIT_EXPECT_EQ(test, mermap_mm_prepare(temp), 0);
	preempt_disable();
	prev = use_temporary_mm(temp);
	alloc = mermap_get(page, PAGE_SIZE, MERMAP_RO);
	unuse_temporary_mm(prev);
	preempt_enable();
	KUNIT_EXPECT_NULL(test, alloc);
	KUNIT_EXPECT_TRUE(test, nothing_mapped(current->mm));
	KUNIT_EXPECT_GE(test, touch(page), 0);
	mmput(temp);
}

/* It cannot fail, if it is called by who may. */
static void reserve_is_refused_without_right(struct kunit *test)
{
	struct mm_struct *temp = mm_alloc(), *prev;
	struct mermap_test *t = test->priv;
	struct page *page = new_pages(test, 0);
	struct mermap_alloc *no_mm, *in_temporary_mm, *first, *second;

	KUNIT_ASSERT_NOT_NULL(test, temp);
	kunit_warning_suppress(test) {
		kthread_unuse_mm(t->mm);
		preempt_disable();
		no_mm = mermap_get_reserved(page, MERMAP_RO);
		preempt_enable();
		kthread_use_mm(t->mm);

		preempt_disable();
		prev = use_temporary_mm(temp);
		in_temporary_mm = mermap_get_reserved(page, MERMAP_RO);
		unuse_temporary_mm(prev);

		first = mermap_get_reserved(page, MERMAP_RO);
		second = mermap_get_reserved(page, MERMAP_RO);
		if (first)
			mermap_put(first);
		preempt_enable();
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 3);
	}
	KUNIT_EXPECT_NULL(test, no_mm);
	KUNIT_EXPECT_NULL(test, in_temporary_mm);
	KUNIT_EXPECT_NOT_NULL(test, first);
	KUNIT_EXPECT_NULL(test, second);
	KUNIT_EXPECT_TRUE(test, nothing_mapped(current->mm));
	mmput(temp);
}

static void kernel_has_no_mermap(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, mermap_mm_prepare(&init_mm), -EOPNOTSUPP);
	KUNIT_EXPECT_NULL(test, init_mm.mermap);
	/* Not pgd_none(), which is always false with four levels. */
	KUNIT_EXPECT_EQ(test, pgd_val(*pgd_offset_k(MERMAP_BASE_ADDR)), 0);
}

static void sync_is_skipped_when_nothing_was_put(struct kunit *test)
{
	struct page *page = new_pages(test, 0);
	unsigned long syncs;

	hold_cpus(test);
	mermap_sync();
	syncs = counted(MERMAP_SYNC);
	mermap_sync();
	KUNIT_EXPECT_EQ(test, counted(MERMAP_SYNC), syncs);
	touch(page);
	mermap_sync();
	KUNIT_EXPECT_EQ(test, counted(MERMAP_SYNC), syncs + 1);
	mermap_sync();
	KUNIT_EXPECT_EQ(test, counted(MERMAP_SYNC), syncs + 1);
}

static struct kunit_case mermap_cases[] = {
	KUNIT_CASE(mapping_leads_to_its_page),
	KUNIT_CASE(read_only_mapping_cannot_be_written),
	KUNIT_CASE(entries_are_of_the_right_kind),
	KUNIT_CASE(every_page_of_a_run_is_mapped),
	KUNIT_CASE(size_is_in_bytes_and_rounded_up),
	KUNIT_CASE(put_mapping_is_gone_after_a_sync),
	KUNIT_CASE(guards_put_at_the_end_of_their_scope),
	KUNIT_CASE(area_can_be_filled_from_edge_to_edge),
	KUNIT_CASE(addresses_stay_in_the_area_of_the_cpu),
	KUNIT_CASE(areas_of_the_cpus_do_not_touch),
	KUNIT_CASE(nested_mappings_are_apart),
	KUNIT_CASE(area_is_used_again_after_one_flush),
	KUNIT_CASE(rewound_area_shows_new_pages),
	KUNIT_CASE(live_mapping_survives_rewinds),
	KUNIT_CASE(without_slots_only_the_reserve_is_left),
	KUNIT_CASE(without_room_only_the_reserve_is_left),
	KUNIT_CASE(reserve_shows_the_page_of_each_use),
	KUNIT_CASE(reserve_survives_a_rewind),
	KUNIT_CASE(task_without_mm_gets_nothing),
	KUNIT_CASE(interrupt_gets_nothing),
	KUNIT_CASE(temporary_mm_gets_nothing),
	KUNIT_CASE(reserve_is_refused_without_right),
	KUNIT_CASE(kernel_has_no_mermap),
	KUNIT_CASE(sync_is_skipped_when_nothing_was_put),
	{ }
};

static struct kunit_suite mermap_suite = {
	.name = "mermap",
	.init = mermap_test_init,
	.exit = mermap_test_exit,
	.test_cases = mermap_cases,
};

kunit_test_suite(mermap_suite);

MODULE_DESCRIPTION("KUnit tests of the mermap");
MODULE_LICENSE("GPL");
