// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the page allocator consistency checker: pages whose memory has failed,
 * in blocks of any order.  No memory fails here; pages are only marked.
 */

#include <linux/page_ref.h>

#include "page_consistency_kunit.h"

/* A page of a block, as memory_failure() marks it; not the first if there are more. */
static struct page *mark(struct kunit *test, struct page *block, unsigned int order)
{
	struct page *page = block + (1UL << order) / 2;

	SetPageHWPoison(page);
	page_consistency_poisoned(page);
	KUNIT_EXPECT_FALSE(test, is_outside(test, page, 0));
	return page;
}

static void unmark(struct page *page)
{
	page_consistency_unpoisoned(page);
	ClearPageHWPoison(page);
}

static void expect_agreement(struct kunit *test, struct page *page)
{
	struct pc_verified result = { };

	pc_audit_section(pc_section_nr(page_to_pfn(page)), &result);
	KUNIT_EXPECT_EQ(test, result.mismatches, 0);
}

static void page_in_use_is_nobodys_while_it_is_marked(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *block = get_block(test, order);
	struct page *page = mark(test, block, order);
	unsigned long i;

	for (i = 0; i < 1UL << order; i++)
		KUNIT_EXPECT_EQ(test, is_outside(test, block + i, 0), block + i != page);
	expect_agreement(test, page);
	unmark(page);
	KUNIT_EXPECT_TRUE(test, is_outside(test, block, order));
	expect_silence(test);
}

/* Nobody has it, and it is on no list either: it is not for the marker to decide. */
static void free_page_stays_as_it_is_when_it_is_marked(struct kunit *test)
{
	struct page *page = get_block(test, 0);

	record_inside(test, page, 0);
	SetPageHWPoison(page);
	page_consistency_poisoned(page);
	KUNIT_EXPECT_EQ(test, pc_recorded(page_to_pfn(page)), PC_INSIDE);
	ClearPageHWPoison(page);
	record_outside(test, page, 0);
}

static void pair_that_is_damaged_stays_so_when_its_page_is_marked(struct kunit *test)
{
	struct page *page = get_block(test, 0);
	int secondary;

	for (secondary = 0; secondary <= 1; secondary++) {
		flip(test, page, secondary);
		SetPageHWPoison(page);
		page_consistency_poisoned(page);
		page_consistency_keep_out(page);
		KUNIT_EXPECT_EQ(test, pc_recorded(page_to_pfn(page)), PC_DAMAGED);
		ClearPageHWPoison(page);
		flip(test, page, secondary);
		KUNIT_EXPECT_TRUE(test, is_outside(test, page, 0));
	}
}

/* An excuse for the marked page only: next to it, and as far from it as can be. */
static void free_page_beside_a_marked_one_is_reported(struct kunit *test)
{
	unsigned int order = max(1U, *(const unsigned int *)test->param_value);
	struct page *block = get_block(test, order), *freed;
	struct page *page = mark(test, block, order);
	int last;

	for (last = 0; last <= 1; last++) {
		freed = order == 1 ? block : last ? block + (1UL << order) - 1 : page - 1;
		record_inside(test, freed, 0);
		KUNIT_EXPECT_FALSE(test, page_consistency_free(block, order));
		expect_report(test, PC_NOT_HANDED_OUT, PC_TAKE_BACK);
		record_outside(test, freed, 0);
	}
	unmark(page);
	KUNIT_EXPECT_TRUE(test, is_outside(test, block, order));
}

static void damage_of_a_marked_page_is_reported(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *block = get_block(test, order);
	struct page *page = mark(test, block, order);

	flip(test, page, true);
	if (!order) {
		/* A single page is kept out by its mark: verification will see the damage. */
		KUNIT_EXPECT_TRUE(test, page_consistency_free(block, 0));
		expect_silence(test);
		flip(test, page, true);
		page_consistency_keep_out(page);
	} else {
		KUNIT_EXPECT_FALSE(test, page_consistency_free(block, order));
		expect_report(test, PC_BAD_PRIMARY, PC_TAKE_BACK);
	}
	unmark(page);
	KUNIT_EXPECT_TRUE(test, is_outside(test, block, order));
}

/* It has one reference unless it was freed alone, and then can be given back. */
static void give_back(struct kunit *test, struct page *page, bool alone)
{
	KUNIT_EXPECT_TRUE(test, is_outside(test, page, 0));
	KUNIT_EXPECT_FALSE(test, is_free_buddy_page(page));
	KUNIT_EXPECT_FALSE(test, PageCompound(page));
	KUNIT_EXPECT_EQ(test, page_count(page), !alone);
	if (alone)
		set_page_count(page, 1);
	ClearPageHWPoison(page);
	__free_page(page);
	expect_silence(test);
}

/* The rest may be in use again at once; what must not be is the marked page. */
static void marked_page_is_kept_out_of_a_block_that_is_freed(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *block, *page;
	int compound;

	for (compound = 0; compound <= 1; compound++) {
		block = alloc_pages(GFP_KERNEL | (compound ? __GFP_COMP : 0), order);
		KUNIT_ASSERT_NOT_NULL(test, block);
		page = mark(test, block, order);
		__free_pages(block, order);
		expect_silence(test);
		expect_agreement(test, page);
		give_back(test, page, !order);
	}
}

static void every_page_of_a_block_may_be_marked(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *block = alloc_pages(GFP_KERNEL, order);
	unsigned long i;

	KUNIT_ASSERT_NOT_NULL(test, block);
	for (i = 0; i < 1UL << order; i++) {
		SetPageHWPoison(block + i);
		page_consistency_disown(block + i);
	}
	__free_pages(block, order);
	expect_silence(test);
	for (i = 0; i < 1UL << order; i++)
		give_back(test, block + i, !order);
}

/* The mark may come when it is too late for the order's own look at it. */
static void page_that_is_marked_while_it_is_freed_is_kept_out(struct kunit *test)
{
	struct page *page = alloc_page(GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, page);
	mark(test, page, 0);
	set_page_count(page, 0);
	KUNIT_EXPECT_FALSE(test, free_pages_prepare(page, 0));
	give_back(test, page, true);
}

static void page_that_was_kept_out_is_claimed_once(struct kunit *test)
{
	struct page *block = alloc_pages(GFP_KERNEL, 1), *page;

	KUNIT_ASSERT_NOT_NULL(test, block);
	page = mark(test, block, 1);
	KUNIT_EXPECT_FALSE(test, page_consistency_kept_out(page));
	__free_pages(block, 1);
	KUNIT_EXPECT_TRUE(test, page_consistency_kept_out(page));
	KUNIT_EXPECT_FALSE(test, page_consistency_kept_out(page));
	give_back(test, page, true);
}

static void mark_is_no_excuse_for_a_page_that_was_put_back_before(struct kunit *test)
{
	struct page *page = get_block(test, 0);

	SetPageHWPoison(page);
	KUNIT_EXPECT_TRUE(test, page_consistency_put_back(page));
	expect_silence(test);
	KUNIT_EXPECT_FALSE(test, page_consistency_put_back(page));
	expect_report(test, PC_NOT_HANDED_OUT, PC_TAKE_BACK);
	KUNIT_EXPECT_EQ(test, pc_recorded(page_to_pfn(page)), PC_INSIDE);
	ClearPageHWPoison(page);
	record_outside(test, page, 0);
}

static struct kunit_case page_consistency_poison_cases[] = {
	KUNIT_CASE_PARAM(page_in_use_is_nobodys_while_it_is_marked, order_gen_params),
	KUNIT_CASE(free_page_stays_as_it_is_when_it_is_marked),
	KUNIT_CASE(pair_that_is_damaged_stays_so_when_its_page_is_marked),
	KUNIT_CASE_PARAM(free_page_beside_a_marked_one_is_reported, order_gen_params),
	KUNIT_CASE_PARAM(damage_of_a_marked_page_is_reported, order_gen_params),
	KUNIT_CASE_PARAM(marked_page_is_kept_out_of_a_block_that_is_freed, order_gen_params),
	KUNIT_CASE_PARAM(every_page_of_a_block_may_be_marked, order_gen_params),
	KUNIT_CASE(page_that_is_marked_while_it_is_freed_is_kept_out),
	KUNIT_CASE(page_that_was_kept_out_is_claimed_once),
	KUNIT_CASE(mark_is_no_excuse_for_a_page_that_was_put_back_before),
	{ }
};

static struct kunit_suite page_consistency_poison_suite = {
	.name = "page_consistency_poison",
	.init = page_consistency_init_test,
	.exit = page_consistency_exit_test,
	.test_cases = page_consistency_poison_cases,
};

kunit_test_suite(page_consistency_poison_suite);

MODULE_DESCRIPTION("KUnit tests of the page allocator consistency checker's failed pages");
MODULE_LICENSE("GPL");
