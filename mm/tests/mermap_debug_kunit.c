// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of MERMAP_DEBUG: each mistake is reported as what it is, and what is no
 * mistake is not.
 */

#include <kunit/static_stub.h>
#include <linux/mermap_debug.h>
#include <linux/sched/task.h>

#include "mermap_kunit.h"

static void take_report(enum mermap_fault fault, struct page *page)
{
	struct mermap_test *t = kunit_get_current_test()->priv;

	t->reports++;
	t->fault = fault;
	t->page = page;
}

static int mermap_debug_test_init(struct kunit *test)
{
	int err = mermap_test_init(test);

	kunit_activate_static_stub(test, mermap_debug_report, take_report);
	return err;
}

/* Whatever was reported is asked for once. */
static void expect_report(struct kunit *test, enum mermap_fault fault, struct page *page)
{
	struct mermap_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, t->reports, 1);
	KUNIT_EXPECT_EQ(test, t->fault, fault);
	KUNIT_EXPECT_PTR_EQ(test, t->page, page);
	t->reports = 0;
}

static void expect_silence(struct kunit *test)
{
	struct mermap_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, t->reports, 0);
	t->reports = 0;
}

/* What nobody has asked for. */
static void mermap_debug_test_exit(struct kunit *test)
{
	if (test->priv)
		expect_silence(test);
	mermap_test_exit(test);
}

static struct page *take_pages(struct kunit *test, unsigned int order)
{
	struct page *page = alloc_pages(GFP_KERNEL, order);

	KUNIT_ASSERT_NOT_NULL(test, page);
	return page;
}

static void get_and_put(struct kunit *test, struct page *page, unsigned int nr)
{
	struct mermap_alloc *alloc = mermap_get(page, nr * PAGE_SIZE, MERMAP_RW);

	KUNIT_ASSERT_NOT_NULL(test, alloc);
	mermap_put(alloc);
}

static void page_freed_while_mapped_is_reported(struct kunit *test)
{
	struct page *page = take_pages(test, 0);
	struct mermap_alloc *alloc = mermap_get(page, PAGE_SIZE, MERMAP_RO);

	KUNIT_ASSERT_NOT_NULL(test, alloc);
	__free_page(page);
	expect_report(test, MERMAP_FREED_MAPPED, page);
	mermap_put(alloc);
	mermap_sync();
}

static void page_freed_before_a_sync_is_reported(struct kunit *test)
{
	struct page *page = take_pages(test, 0);

	get_and_put(test, page, 1);
	__free_page(page);
	expect_report(test, MERMAP_FREED_STALE, page);
	mermap_sync();
}

static void page_freed_after_a_sync_is_not_reported(struct kunit *test)
{
	struct page *page = take_pages(test, 3);

	get_and_put(test, page, 8);
	mermap_sync();
	__free_pages(page, 3);
	expect_silence(test);
}

static void one_page_of_a_block_is_enough(struct kunit *test)
{
	struct page *page = take_pages(test, 3);

	get_and_put(test, page + 7, 1);
	__free_pages(page, 3);
	expect_report(test, MERMAP_FREED_STALE, page + 7);
	mermap_sync();
}

/* Each mapping counts, and a sync covers only those that were put. */
static void page_mapped_twice_is_mapped_until_both_are_put(struct kunit *test)
{
	struct page *page = take_pages(test, 0);
	struct mermap_alloc *a = mermap_get(page, PAGE_SIZE, MERMAP_RO);
	struct mermap_alloc *b = mermap_get(page, PAGE_SIZE, MERMAP_RW);

	KUNIT_ASSERT_TRUE(test, a && b);
	mermap_put(a);
	mermap_sync();
	__free_page(page);
	expect_report(test, MERMAP_FREED_MAPPED, page);
	mermap_put(b);
	mermap_sync();
}

static struct page *meanwhile;

static void put_during_flush(void)
{
	struct mermap_alloc *alloc = mermap_get(meanwhile, PAGE_SIZE, MERMAP_RO);

	flush_tlb_all();
	if (alloc)
		mermap_put(alloc);
}

static void sync_does_not_cover_what_is_put_during_it(struct kunit *test)
{
	struct page *page = take_pages(test, 0);

	meanwhile = page;
	get_and_put(test, page, 1);
	kunit_activate_static_stub(test, mermap_flush_all, put_during_flush);
	mermap_sync();
	kunit_deactivate_static_stub(test, mermap_flush_all);
	__free_page(page);
	expect_report(test, MERMAP_FREED_STALE, page);
	mermap_sync();
}

static void pages_beside_a_mapping_are_unmapped(struct kunit *test)
{
	struct page *page = new_pages(test, AREA_ORDER);
	struct mermap_alloc *a = mermap_get(page, 2 * PAGE_SIZE, MERMAP_RO);
	struct mermap_alloc *b = mermap_get(page, 2 * PAGE_SIZE, MERMAP_RO);
	bool before, behind;

	KUNIT_ASSERT_TRUE(test, a && b);
	KUNIT_EXPECT_FALSE(test, readable(mermap_addr(a) - 1));
	KUNIT_EXPECT_FALSE(test, readable(mermap_addr(a) + 2 * PAGE_SIZE));
	KUNIT_EXPECT_FALSE(test, readable(mermap_addr(b) - 1));
	KUNIT_EXPECT_FALSE(test, readable(mermap_addr(b) + 2 * PAGE_SIZE));
	mermap_put(b);
	mermap_put(a);
	a = mermap_get(page, MERMAP_MAX_PAGES * PAGE_SIZE, MERMAP_RO);
	KUNIT_EXPECT_NULL(test, mermap_get(page, PAGE_SIZE, MERMAP_RO));
	if (a)
		mermap_put(a);
	preempt_disable();
	a = mermap_get_reserved(page, MERMAP_RO);
	before = readable(mermap_addr(a) - 1);
	behind = readable(mermap_addr(a) + PAGE_SIZE);
	mermap_put(a);
	preempt_enable();
	KUNIT_EXPECT_FALSE(test, before);
	KUNIT_EXPECT_FALSE(test, behind);
}

static void mapping_left_on_the_way_to_user_mode_is_reported(struct kunit *test)
{
	struct page *page = new_pages(test, 0);
	struct mermap_alloc *alloc;

	mermap_assert_nomap();
	expect_silence(test);
	alloc = mermap_get(page, PAGE_SIZE, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	mermap_assert_nomap();
	expect_report(test, MERMAP_TASK_LEAK, NULL);
	/* Once. */
	mermap_assert_nomap();
	expect_silence(test);
	mermap_put(alloc);
	mermap_assert_nomap();
	expect_silence(test);
}

static void mapping_put_by_another_task_is_reported(struct kunit *test)
{
	struct page *page = new_pages(test, 0);
	struct mermap_alloc *alloc = mermap_get(page, PAGE_SIZE, MERMAP_RO);

	KUNIT_ASSERT_NOT_NULL(test, alloc);
	/* As if init had made it: to be put by another task would upset the scheduler. */
	alloc->owner = &init_task;
	mermap_put(alloc);
	expect_report(test, MERMAP_WRONG_TASK, page);
	current->mermap_held--;
	mermap_assert_nomap();
	expect_silence(test);
}

static void mapping_left_in_an_mm_is_reported(struct kunit *test)
{
	struct mermap_test *t = test->priv;
	struct mm_struct *mm = mm_alloc();
	struct page *page = new_pages(test, 0);
	struct mermap_alloc *alloc;

	KUNIT_ASSERT_NOT_NULL(test, mm);
	KUNIT_ASSERT_EQ(test, mermap_mm_prepare(mm), 0);
	kthread_unuse_mm(t->mm);
	kthread_use_mm(mm);
	alloc = mermap_get(page, PAGE_SIZE, MERMAP_RO);
	kthread_unuse_mm(mm);
	kthread_use_mm(t->mm);
	KUNIT_EXPECT_NOT_NULL(test, alloc);
	mmput(mm);
	expect_report(test, MERMAP_MM_LEAK, page);
	/* There is nothing left to put, and who tries may migrate again. */
	if (alloc) {
		KUNIT_EXPECT_EQ(test, alloc->nr, 0);
		KUNIT_EXPECT_NE(test, current->migration_disabled, 0);
		kunit_warning_suppress(test) {
			mermap_put(alloc);
			KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
		}
		KUNIT_EXPECT_EQ(test, current->migration_disabled, 0);
		current->mermap_held--;
	}
	mermap_sync();
}

static void who_gets_the_page_next_is_not_blamed(struct kunit *test)
{
	struct page *page = take_pages(test, 0);
	struct mermap_alloc *alloc;

	get_and_put(test, page, 1);
	__free_page(page);
	expect_report(test, MERMAP_FREED_STALE, page);
	/* As if it had been allocated meanwhile. */
	mermap_debug_free(page, 0);
	expect_silence(test);
	mermap_sync();

	page = take_pages(test, 0);
	alloc = mermap_get(page, PAGE_SIZE, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	mermap_debug_free(page, 0);
	expect_report(test, MERMAP_FREED_MAPPED, page);
	mermap_debug_alloc(page, 0);
	mermap_put(alloc);
	mermap_debug_free(page, 0);
	expect_silence(test);
	mermap_sync();
	__free_page(page);
}

static void page_mapped_after_it_was_freed_is_reported(struct kunit *test)
{
	struct page *page = take_pages(test, 2);
	struct mermap_alloc *alloc;

	/* As if it was free meanwhile. */
	mermap_debug_alloc(page, 2);
	expect_silence(test);
	get_and_put(test, page + 3, 1);
	mermap_debug_alloc(page, 2);
	expect_report(test, MERMAP_LENT, page + 3);
	alloc = mermap_get(page + 1, PAGE_SIZE, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	mermap_debug_alloc(page, 2);
	expect_report(test, MERMAP_LENT, page + 1);
	mermap_put(alloc);
	mermap_sync();
	mermap_debug_alloc(page, 2);
	__free_pages(page, 2);
	expect_silence(test);
}

static struct kunit_case mermap_debug_cases[] = {
	KUNIT_CASE(page_freed_while_mapped_is_reported),
	KUNIT_CASE(page_freed_before_a_sync_is_reported),
	KUNIT_CASE(page_freed_after_a_sync_is_not_reported),
	KUNIT_CASE(one_page_of_a_block_is_enough),
	KUNIT_CASE(page_mapped_after_it_was_freed_is_reported),
	KUNIT_CASE(page_mapped_twice_is_mapped_until_both_are_put),
	KUNIT_CASE(sync_does_not_cover_what_is_put_during_it),
	KUNIT_CASE(pages_beside_a_mapping_are_unmapped),
	KUNIT_CASE(mapping_left_on_the_way_to_user_mode_is_reported),
	KUNIT_CASE(mapping_put_by_another_task_is_reported),
	KUNIT_CASE(mapping_left_in_an_mm_is_reported),
	KUNIT_CASE(who_gets_the_page_next_is_not_blamed),
	{ }
};

static struct kunit_suite mermap_debug_suite = {
	.name = "mermap_debug",
	.init = mermap_debug_test_init,
	.exit = mermap_debug_test_exit,
	.test_cases = mermap_debug_cases,
};

kunit_test_suite(mermap_debug_suite);

MODULE_DESCRIPTION("KUnit tests of MERMAP_DEBUG");
MODULE_LICENSE("GPL");
