// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the page allocator consistency checker: what it believes the memmap.
 */

#include "../page_consistency/memmap.h"
#include "page_consistency_kunit.h"

/* The largest order for which every head is where the mask of its tails leads. */
static int safe_order_by_trying(unsigned long base, unsigned long size, int max)
{
	int order;

	for (order = 0; order <= max; order++)
		if (base & ((size << order) - 1))
			break;
	return order - 1;
}

/* Every alignment of the memmap, with every size of a struct page and every largest order. */
static void safe_order_is_the_largest_that_is_aligned(struct kunit *test)
{
	const unsigned long top = BIT(BITS_PER_LONG - 1);
	unsigned long base, wrong = 0;
	int shift, size, max;

	for (shift = 0; shift <= BITS_PER_LONG; shift++)
		for (size = 2; size <= 9; size++)
			for (max = 0; max + size < BITS_PER_LONG; max++) {
				base = shift < BITS_PER_LONG ? BIT(shift) : 0;
				wrong += pc_safe_order(base, BIT(size), max) !=
					 safe_order_by_trying(base, BIT(size), max);
				base |= base ? top : 0;
				wrong += pc_safe_order(base, BIT(size), max) !=
					 safe_order_by_trying(base, BIT(size), max);
			}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_EQ(test, pc_safe_order(SZ_2M, 64, 22), 15);
	KUNIT_EXPECT_EQ(test, pc_safe_order(SZ_1G, 64, 22), 22);
	KUNIT_EXPECT_EQ(test, pc_safe_order(32, 64, 22), -1);
}

static void all_orders_of_the_buddy_allocator_are_safe(struct kunit *test)
{
	KUNIT_EXPECT_GE(test, pc_memmap_order, MAX_PAGE_ORDER);
	KUNIT_EXPECT_LE(test, pc_memmap_order, MAX_FOLIO_ORDER);
}

static void tail_pages_lead_to_their_head(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_COMP, order);
	unsigned long i, wrong = 0;

	KUNIT_ASSERT_NOT_NULL(test, page);
	for (i = 0; i < 1UL << order; i++)
		wrong += compound_head(page + i) != page;
	__free_pages(page, order);
	KUNIT_EXPECT_EQ(test, wrong, 0);
	expect_silence(test);
}

static void struct_page_of_another_pfn_is_told_apart(struct kunit *test)
{
	struct page *page = get_block(test, 1);
	unsigned long pfn = page_to_pfn(page);

	KUNIT_EXPECT_TRUE(test, pc_is_page_of(page, pfn));
	KUNIT_EXPECT_FALSE(test, pc_is_page_of(page + 1, pfn));
	KUNIT_EXPECT_FALSE(test, pc_is_page_of(page, pfn + 1));
	KUNIT_EXPECT_FALSE(test, pc_is_page_of((void *)page + sizeof(long), pfn));
}

static void struct_pages_of_all_sections_are_theirs(struct kunit *test)
{
	unsigned long section, sections = 0;

	for (section = pc_next_section(0); section < pc_store.nr_sections;
	     section = pc_next_section(section + 1)) {
		KUNIT_EXPECT_TRUE(test, pc_memmap_check(section));
		sections++;
	}
	KUNIT_EXPECT_EQ(test, sections, pc_store.tracked);
	expect_silence(test);
}

static struct kunit_case page_consistency_memmap_cases[] = {
	KUNIT_CASE(safe_order_is_the_largest_that_is_aligned),
	KUNIT_CASE(all_orders_of_the_buddy_allocator_are_safe),
	KUNIT_CASE_PARAM(tail_pages_lead_to_their_head, order_gen_params),
	KUNIT_CASE(struct_page_of_another_pfn_is_told_apart),
	KUNIT_CASE(struct_pages_of_all_sections_are_theirs),
	{ }
};

static struct kunit_suite page_consistency_memmap_suite = {
	.name = "page_consistency_memmap",
	.init = page_consistency_init_test,
	.exit = page_consistency_exit_test,
	.test_cases = page_consistency_memmap_cases,
};

kunit_test_suite(page_consistency_memmap_suite);

MODULE_DESCRIPTION("KUnit tests of the page allocator consistency checker's look at the memmap");
MODULE_LICENSE("GPL");
