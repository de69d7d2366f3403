// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the page allocator consistency checker: what must hold before a
 * block leaves or joins a free list.
 */

#include <linux/list.h>

#include "page_consistency_kunit.h"

/* A zone of our own, with blocks that are ours. */
struct lists {
	struct zone *zone;
	struct list_head *head;
	struct page *page[3];
	unsigned int order;
};

/*
 * Put three blocks on a list as the allocator does.  Each is the lower half of a
 * larger one, so that its buddy is ours and nobody merges with it.
 */
static void make_lists(struct kunit *test, struct lists *lists, unsigned int order)
{
	int i;

	lists->order = order;
	lists->zone = kunit_kzalloc(test, sizeof(*lists->zone), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, lists->zone);
	lists->head = &lists->zone->free_area[order].free_list[MIGRATE_MOVABLE];
	INIT_LIST_HEAD(lists->head);
	for (i = 0; i < ARRAY_SIZE(lists->page); i++) {
		lists->page[i] = get_block(test, order + 1);
		record_inside(test, lists->page[i], order);
	}
}

static void undo_lists(struct kunit *test, struct lists *lists)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(lists->page); i++) {
		record_outside(test, lists->page[i], lists->order);
		set_page_private(lists->page[i], lists->order + 1);
	}
}

/* Under the lock nobody who scans memory takes our blocks for free ones. */
static void with_lists(struct lists *lists, void (*step)(struct lists *lists, void *arg),
		       void *arg)
{
	struct list_head saved[ARRAY_SIZE(lists->page)];
	int i;

	guard(spinlock_irqsave)(&page_zone(lists->page[0])->lock);
	INIT_LIST_HEAD(lists->head);
	for (i = 0; i < ARRAY_SIZE(lists->page); i++) {
		saved[i] = lists->page[i]->buddy_list;
		set_page_private(lists->page[i], lists->order);
		__SetPageBuddy(lists->page[i]);
		list_add(&lists->page[i]->buddy_list, lists->head);
	}
	step(lists, arg);
	for (i = 0; i < ARRAY_SIZE(lists->page); i++) {
		if (PageBuddy(lists->page[i]))
			__ClearPageBuddy(lists->page[i]);
		lists->page[i]->buddy_list = saved[i];
	}
}

static void leave_all(struct lists *lists, void *arg)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(lists->page); i++)
		page_consistency_leave(lists->page[i], lists->zone, lists->order,
				       MIGRATE_MOVABLE);
	page_consistency_join(lists->zone, lists->order, MIGRATE_MOVABLE, false);
	page_consistency_join(lists->zone, lists->order, MIGRATE_MOVABLE, true);
}

static void healthy_free_list_is_silent(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct lists lists;

	if (order == MAX_PAGE_ORDER)
		order--;
	make_lists(test, &lists, order);
	with_lists(&lists, leave_all, NULL);
	expect_silence(test);
	undo_lists(test, &lists);
}

static void leave_outside(struct lists *lists, void *arg)
{
	page_consistency_leave(lists->page[1], lists->zone, lists->order, MIGRATE_MOVABLE);
}

static void listed_page_in_use_is_reported(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *used;
	struct lists lists;

	if (order == MAX_PAGE_ORDER)
		order--;
	make_lists(test, &lists, order);
	used = lists.page[1] + (1UL << order) - 1;
	record_outside(test, used, 0);
	with_lists(&lists, leave_outside, NULL);
	expect_report(test, PC_LISTED_OUTSIDE, PC_LEAVE_LIST);
	record_inside(test, used, 0);
	undo_lists(test, &lists);
}

static void leave_other_order(struct lists *lists, void *arg)
{
	set_page_private(lists->page[1], lists->order + 1);
	page_consistency_leave(lists->page[1], lists->zone, lists->order, MIGRATE_MOVABLE);
}

static void leave_without_buddy(struct lists *lists, void *arg)
{
	__ClearPageBuddy(lists->page[1]);
	page_consistency_leave(lists->page[1], lists->zone, lists->order, MIGRATE_MOVABLE);
}

static void block_that_contradicts_the_record_is_reported(struct kunit *test)
{
	struct lists lists;

	make_lists(test, &lists, 2);
	with_lists(&lists, leave_other_order, NULL);
	expect_report(test, PC_BAD_BLOCK, PC_LEAVE_LIST);
	with_lists(&lists, leave_without_buddy, NULL);
	expect_report(test, PC_BAD_BLOCK, PC_LEAVE_LIST);
	undo_lists(test, &lists);
}

/* Every bit of both words that describe a free block, whether the allocator looks at it. */
static void leave_flipped_block(struct lists *lists, void *arg)
{
	unsigned long bit = *(unsigned int *)arg;
	struct page *page = lists->page[1];

	if (bit < BITS_PER_LONG)
		page->private ^= BIT(bit);
	else
		page->page_type ^= BIT(bit - BITS_PER_LONG);
	page_consistency_leave(page, lists->zone, lists->order, MIGRATE_MOVABLE);
	page->page_type = (unsigned int)PGTY_buddy << 24;
}

static void flipped_bit_of_a_free_block_is_reported(struct kunit *test)
{
	struct lists lists;
	unsigned int bit;

	make_lists(test, &lists, 2);
	for (bit = 0; bit < BITS_PER_LONG + 32; bit++) {
		with_lists(&lists, leave_flipped_block, &bit);
		expect_report(test, PC_BAD_BLOCK, PC_LEAVE_LIST);
	}
	undo_lists(test, &lists);
}

static void leave_counted(struct lists *lists, void *arg)
{
	set_page_count(lists->page[1], *(int *)arg);
	page_consistency_leave(lists->page[1], lists->zone, lists->order, MIGRATE_MOVABLE);
	set_page_count(lists->page[1], 0);
}

/* Put, or got, since it was freed. */
static void listed_page_with_references_is_reported(struct kunit *test)
{
	struct lists lists;
	int count;

	make_lists(test, &lists, 2);
	for (count = -1; count <= 1; count += 2) {
		with_lists(&lists, leave_counted, &count);
		expect_report(test, PC_COUNTED, PC_LEAVE_LIST);
	}
	undo_lists(test, &lists);
}

/* A head that was wiped: nothing is taken for a pointer to page 0. */
static void join_wiped_head(struct lists *lists, void *arg)
{
	struct list_head saved = *lists->head;

	lists->head->next = NULL;
	page_consistency_join(lists->zone, lists->order, MIGRATE_MOVABLE, false);
	*lists->head = saved;
}

static void wiped_list_head_is_reported_as_a_link(struct kunit *test)
{
	const struct pc_report *report;
	struct lists lists;

	make_lists(test, &lists, 2);
	with_lists(&lists, join_wiped_head, NULL);
	report = expect_report(test, PC_BAD_LINK, PC_JOIN_LIST);
	KUNIT_EXPECT_TRUE(test, report->has_link);
	KUNIT_EXPECT_NULL(test, report->link);
	KUNIT_EXPECT_NULL(test, report->page);
	undo_lists(test, &lists);
}

struct link_flip {
	bool prev;
	unsigned int bit;
};

static void leave_flipped(struct lists *lists, void *arg)
{
	struct list_head *entry = &lists->page[1]->buddy_list;
	const struct link_flip *flip = arg;
	unsigned long *link = flip->prev ? (unsigned long *)&entry->prev :
					   (unsigned long *)&entry->next;

	*link ^= BIT(flip->bit);
	page_consistency_leave(lists->page[1], lists->zone, lists->order, MIGRATE_MOVABLE);
	*link ^= BIT(flip->bit);
}

/* Each single bit of both pointers of a listed page. */
static void flipped_link_of_a_page_is_reported(struct kunit *test)
{
	struct link_flip flip;
	struct lists lists;

	make_lists(test, &lists, 1);
	for (flip.prev = false;; flip.prev = true) {
		for (flip.bit = 0; flip.bit < BITS_PER_LONG; flip.bit++) {
			with_lists(&lists, leave_flipped, &flip);
			expect_report(test, PC_BAD_LINK, PC_LEAVE_LIST);
		}
		if (flip.prev)
			break;
	}
	undo_lists(test, &lists);
}

/* The list is sound but for its head, which has lost the first or the last block. */
static void leave_skipped(struct lists *lists, void *arg)
{
	const struct link_flip *flip = arg;
	struct list_head saved = *lists->head;

	if (flip->prev)
		lists->head->prev = saved.prev->prev;
	else
		lists->head->next = saved.next->next;
	page_consistency_leave(lists->page[1], lists->zone, lists->order, MIGRATE_MOVABLE);
	*lists->head = saved;
}

static void head_that_skips_a_block_is_reported(struct kunit *test)
{
	struct link_flip flip = { };
	struct lists lists;

	make_lists(test, &lists, 3);
	with_lists(&lists, leave_skipped, &flip);
	expect_report(test, PC_BAD_LINK, PC_LEAVE_LIST);
	flip.prev = true;
	with_lists(&lists, leave_skipped, &flip);
	expect_report(test, PC_BAD_LINK, PC_LEAVE_LIST);
	undo_lists(test, &lists);
}

static void join_flipped(struct lists *lists, void *arg)
{
	const struct link_flip *flip = arg;
	unsigned long *link = flip->prev ? (unsigned long *)&lists->head->prev :
					   (unsigned long *)&lists->head->next;

	*link ^= BIT(flip->bit);
	page_consistency_join(lists->zone, lists->order, MIGRATE_MOVABLE, flip->prev);
	*link ^= BIT(flip->bit);
}

/* A new block is linked through the head's pointer: that is a write, too. */
static void flipped_link_of_a_list_head_is_reported(struct kunit *test)
{
	struct link_flip flip;
	struct lists lists;

	make_lists(test, &lists, 1);
	for (flip.prev = false;; flip.prev = true) {
		for (flip.bit = 0; flip.bit < BITS_PER_LONG; flip.bit++) {
			with_lists(&lists, join_flipped, &flip);
			expect_report(test, PC_BAD_LINK, PC_JOIN_LIST);
		}
		if (flip.prev)
			break;
	}
	undo_lists(test, &lists);
}

static struct kunit_case page_consistency_lists_cases[] = {
	KUNIT_CASE_PARAM(healthy_free_list_is_silent, order_gen_params),
	KUNIT_CASE_PARAM(listed_page_in_use_is_reported, order_gen_params),
	KUNIT_CASE(block_that_contradicts_the_record_is_reported),
	KUNIT_CASE(flipped_bit_of_a_free_block_is_reported),
	KUNIT_CASE(listed_page_with_references_is_reported),
	KUNIT_CASE(wiped_list_head_is_reported_as_a_link),
	KUNIT_CASE(flipped_link_of_a_page_is_reported),
	KUNIT_CASE(head_that_skips_a_block_is_reported),
	KUNIT_CASE(flipped_link_of_a_list_head_is_reported),
	{ }
};

static struct kunit_suite page_consistency_lists_suite = {
	.name = "page_consistency_lists",
	.init = page_consistency_init_test,
	.exit = page_consistency_exit_test,
	.test_cases = page_consistency_lists_cases,
};

kunit_test_suite(page_consistency_lists_suite);

MODULE_DESCRIPTION("KUnit tests of the page allocator consistency checker: free lists");
MODULE_LICENSE("GPL");
