// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the page allocator consistency checker: what must hold before a
 * block leaves or joins a per-CPU list, with CONFIG_PAGE_CONSISTENCY_PCP.
 */

#include <linux/list.h>

#include "page_consistency_kunit.h"

/* A list that no CPU knows, of blocks that are ours and recorded inside. */
struct pcp_list {
	struct list_head head;
	struct page *page[3];
	struct list_head saved[3];
	unsigned int order;
};

static void make_list(struct kunit *test, struct pcp_list *list, unsigned int order)
{
	int i;

	list->order = order;
	INIT_LIST_HEAD(&list->head);
	for (i = 0; i < ARRAY_SIZE(list->page); i++) {
		list->page[i] = get_block(test, order);
		list->saved[i] = list->page[i]->pcp_list;
		record_inside(test, list->page[i], order);
		list_add_tail(&list->page[i]->pcp_list, &list->head);
	}
}

static void undo_list(struct kunit *test, struct pcp_list *list)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(list->page); i++) {
		record_outside(test, list->page[i], list->order);
		list->page[i]->pcp_list = list->saved[i];
	}
}

static void healthy_list_is_silent(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct pcp_list list;
	int i;

	make_list(test, &list, order);
	for (i = 0; i < ARRAY_SIZE(list.page); i++)
		page_consistency_leave_pcp(list.page[i], &list.head, order);
	page_consistency_join_pcp(&list.head);
	INIT_LIST_HEAD(&list.head);
	page_consistency_join_pcp(&list.head);
	expect_silence(test);
	undo_list(test, &list);
}

/* Bits of a link that lead out of memory, into other pages, and beside the right one. */
static const int link_bits[] = { 3, 6, 12, 21, 30, 40, 46, 62 };

static void flipped_bit_of_a_link_is_reported(struct kunit *test)
{
	struct list_head *links;
	struct pcp_list list;
	unsigned long *word;
	int i, j;

	make_list(test, &list, 0);
	links = &list.page[1]->pcp_list;
	for (i = 0; i < ARRAY_SIZE(link_bits); i++) {
		if (link_bits[i] >= BITS_PER_LONG)
			continue;
		for (j = 0; j < 2; j++) {
			word = (unsigned long *)(j ? &links->prev : &links->next);
			*word ^= 1UL << link_bits[i];
			page_consistency_leave_pcp(list.page[1], &list.head, 0);
			*word ^= 1UL << link_bits[i];
			expect_report(test, PC_BAD_LINK, PC_LEAVE_PCP);
		}
	}
	undo_list(test, &list);
}

/* Both are on the list, and neither leads back. */
static void link_to_another_block_is_reported(struct kunit *test)
{
	struct list_head *links, sound;
	struct pcp_list list;

	make_list(test, &list, 0);
	links = &list.page[1]->pcp_list;
	sound = *links;
	links->next = &list.page[0]->pcp_list;
	page_consistency_leave_pcp(list.page[1], &list.head, 0);
	expect_report(test, PC_BAD_LINK, PC_LEAVE_PCP);
	*links = sound;
	links->prev = &list.page[2]->pcp_list;
	page_consistency_leave_pcp(list.page[1], &list.head, 0);
	expect_report(test, PC_BAD_LINK, PC_LEAVE_PCP);
	*links = sound;
	undo_list(test, &list);
}

static void flipped_bit_of_the_head_is_reported(struct kunit *test)
{
	struct pcp_list list;
	unsigned long *word;
	int i;

	make_list(test, &list, 0);
	word = (unsigned long *)&list.head.next;
	for (i = 0; i < ARRAY_SIZE(link_bits); i++) {
		if (link_bits[i] >= BITS_PER_LONG)
			continue;
		*word ^= 1UL << link_bits[i];
		page_consistency_join_pcp(&list.head);
		*word ^= 1UL << link_bits[i];
		expect_report(test, PC_BAD_LINK, PC_JOIN_PCP);
	}
	undo_list(test, &list);
}

/* What list_first_entry() makes of a head whose pointer has a flipped bit. */
static void pointer_that_is_no_struct_page_is_reported(struct kunit *test)
{
	const struct pc_report *report;
	struct pcp_list list;

	make_list(test, &list, 0);
	page_consistency_leave_pcp((void *)list.page[1] + 8, &list.head, 0);
	report = expect_report(test, PC_BAD_POINTER, PC_LEAVE_PCP);
	KUNIT_EXPECT_FALSE(test, report->proven);
	page_consistency_leave_pcp(pfn_to_page(0) - 64, &list.head, 0);
	expect_report(test, PC_BAD_POINTER, PC_LEAVE_PCP);
	undo_list(test, &list);
}

static void listed_page_in_use_is_reported(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct pcp_list list;
	struct page *used;

	make_list(test, &list, order);
	used = list.page[1] + (1UL << order) - 1;
	record_outside(test, used, 0);
	page_consistency_leave_pcp(list.page[1], &list.head, order);
	expect_report(test, PC_LISTED_OUTSIDE, PC_LEAVE_PCP);
	record_inside(test, used, 0);
	undo_list(test, &list);
}

/* Put, or got, since it was freed. */
static void listed_page_with_references_is_reported(struct kunit *test)
{
	struct pcp_list list;
	int count;

	make_list(test, &list, 0);
	for (count = -1; count <= 1; count += 2) {
		set_page_count(list.page[1], count);
		page_consistency_leave_pcp(list.page[1], &list.head, 0);
		expect_report(test, PC_COUNTED, PC_LEAVE_PCP);
	}
	set_page_count(list.page[1], 0);
	undo_list(test, &list);
}

static struct kunit_case page_consistency_pcp_cases[] = {
	KUNIT_CASE_PARAM(healthy_list_is_silent, order_gen_params),
	KUNIT_CASE(flipped_bit_of_a_link_is_reported),
	KUNIT_CASE(link_to_another_block_is_reported),
	KUNIT_CASE(flipped_bit_of_the_head_is_reported),
	KUNIT_CASE(pointer_that_is_no_struct_page_is_reported),
	KUNIT_CASE_PARAM(listed_page_in_use_is_reported, order_gen_params),
	KUNIT_CASE(listed_page_with_references_is_reported),
	{}
};

static struct kunit_suite page_consistency_pcp_suite = {
	.name = "page_consistency_pcp",
	.init = page_consistency_init_test,
	.exit = page_consistency_exit_test,
	.test_cases = page_consistency_pcp_cases,
};

kunit_test_suite(page_consistency_pcp_suite);

MODULE_DESCRIPTION("KUnit tests of the page allocator consistency checker and per-CPU lists");
MODULE_LICENSE("GPL");
