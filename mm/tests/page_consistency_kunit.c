// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the page allocator consistency checker.
 *
 * Real pages go through the real hooks.  What a test damages is its own: blocks
 * that it has allocated, a zone that nobody else knows, sections that no memory
 * uses.  The reports that follow are taken by a static stub, in this task only;
 * any other report counts as a violation, and exit() fails on it.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page_consistency.h>
#include <linux/slab.h>

#include "../internal.h"
#include "../page_consistency/report.h"
#include "../page_consistency/scrub.h"
#include "../page_consistency/section.h"

#define MAX_REPORTS	8
#define PATTERN		0xaaaaaaaaaaaaaaaaULL

/* What a test has caused and not yet looked at. */
struct taken {
	struct pc_report reports[MAX_REPORTS];
	unsigned int taken, expected;
	unsigned long count_before;
	const u64 *watch;		/* a word of the page that must survive */
	u64 seen;			/* its value when the last report was made */
};

static void take_report(const struct pc_report *report)
{
	struct taken *taken = kunit_get_current_test()->priv;

	if (taken->watch)
		taken->seen = READ_ONCE(*taken->watch);
	if (taken->taken < MAX_REPORTS)
		taken->reports[taken->taken] = *report;
	taken->taken++;
}

/* The one report that the last step must have made. */
static const struct pc_report *expect_report(struct kunit *test, enum pc_violation violation,
					     enum pc_event event)
{
	struct taken *taken = test->priv;
	const struct pc_report *report = &taken->reports[taken->expected];

	KUNIT_ASSERT_EQ_MSG(test, taken->taken, taken->expected + 1,
			    "violation %d was to be reported, once", violation);
	KUNIT_EXPECT_EQ(test, report->violation, violation);
	KUNIT_EXPECT_EQ(test, report->event, event);
	taken->expected = 0;
	taken->taken = 0;
	return report;
}

static void expect_silence(struct kunit *test)
{
	struct taken *taken = test->priv;

	KUNIT_EXPECT_EQ(test, taken->taken, 0);
	taken->taken = 0;
}

static int page_consistency_init_test(struct kunit *test)
{
	struct taken *taken;

	if (!page_consistency_on())
		kunit_skip(test, "the checker is off; boot with page_consistency=on");

	taken = kunit_kzalloc(test, sizeof(*taken), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, taken);
	taken->count_before = pc_violation_count();
	test->priv = taken;
	kunit_activate_static_stub(test, pc_report, take_report);
	return 0;
}

static void page_consistency_exit_test(struct kunit *test)
{
	struct taken *taken = test->priv;

	if (!taken)
		return;
	KUNIT_EXPECT_EQ_MSG(test, taken->taken, 0, "a report that no step has expected");
	KUNIT_EXPECT_EQ_MSG(test, pc_violation_count(), taken->count_before,
			    "a violation outside of this test");
}

static void free_block(void *block)
{
	struct page *page = block;

	__free_pages(page, page_private(page));
}

/* A block that is freed with the test; its order is kept in page_private(). */
static struct page *get_block(struct kunit *test, unsigned int order)
{
	struct page *page = alloc_pages(GFP_KERNEL, order);

	KUNIT_ASSERT_NOT_NULL(test, page);
	set_page_private(page, order);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_block, page));
	return page;
}

static struct dual_bitmap arrays_of(struct kunit *test, unsigned long pfn)
{
	struct dual_bitmap map;

	KUNIT_ASSERT_TRUE(test, pc_lookup(pc_section_nr(pfn), &map));
	return map;
}

/*
 * Record a block that this test owns as inside, or as outside again.  It stands
 * on no list, so nobody can be given it meanwhile.
 */
static void record_inside(struct kunit *test, struct page *page, unsigned int order)
{
	struct dual_bitmap map = arrays_of(test, page_to_pfn(page));
	struct dual_bitmap_fault fault;

	KUNIT_ASSERT_TRUE(test, dual_bitmap_clear(&map, pc_section_bit(page_to_pfn(page)),
						  order, &fault));
}

static void record_outside(struct kunit *test, struct page *page, unsigned int order)
{
	struct dual_bitmap map = arrays_of(test, page_to_pfn(page));
	struct dual_bitmap_fault fault;

	KUNIT_ASSERT_TRUE(test, dual_bitmap_set(&map, pc_section_bit(page_to_pfn(page)),
						order, &fault));
}

static bool is_outside(struct kunit *test, struct page *page, unsigned int order)
{
	struct dual_bitmap map = arrays_of(test, page_to_pfn(page));
	unsigned long i, bit = pc_section_bit(page_to_pfn(page));

	for (i = 0; i < 1UL << order; i++)
		if (!test_bit(bit + i, map.primary) || test_bit(bit + i, map.secondary))
			return false;
	return true;
}

static void flip(struct kunit *test, struct page *page, bool secondary)
{
	struct dual_bitmap map = arrays_of(test, page_to_pfn(page));

	change_bit(pc_section_bit(page_to_pfn(page)), secondary ? map.secondary : map.primary);
}

static const unsigned int orders[] = { 0, 1, 2, 3, 4, 5, 6, 7, 9, MAX_PAGE_ORDER };

static void order_name(const unsigned int *order, char *name)
{
	snprintf(name, KUNIT_PARAM_DESC_SIZE, "order %u", *order);
}
KUNIT_ARRAY_PARAM(order, orders, order_name);

static void allocating_and_freeing_is_silent(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *page = alloc_pages(GFP_KERNEL, order);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_TRUE(test, is_outside(test, page, order));
	__free_pages(page, order);
	expect_silence(test);
}

/* The second owner must not be served, and above all not with a zeroed page. */
static void page_in_use_is_reported_before_it_is_touched(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *page = get_block(test, order);
	struct taken *taken = test->priv;
	const struct pc_report *report;
	u64 *data = page_address(page);

	*data = PATTERN;
	taken->watch = data;
	post_alloc_hook(page, order, GFP_KERNEL | __GFP_ZERO);
	taken->watch = NULL;

	report = expect_report(test, PC_HANDED_OUT_TWICE, PC_HAND_OUT);
	KUNIT_EXPECT_EQ_MSG(test, taken->seen, PATTERN, "the first owner's data were gone");
	KUNIT_EXPECT_PTR_EQ(test, report->page, page);
	KUNIT_EXPECT_EQ(test, report->pfn, page_to_pfn(page));
	KUNIT_EXPECT_EQ(test, report->order, order);
	KUNIT_EXPECT_TRUE(test, report->proven);
	KUNIT_EXPECT_TRUE(test, is_outside(test, page, order));
	set_page_private(page, order);
}

/* Only one page of the block is in use already. */
static void block_around_a_page_in_use_is_reported(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *page = get_block(test, order);
	struct page *used = page + (1UL << order) - 1;

	record_inside(test, page, order);
	record_outside(test, used, 0);
	page_consistency_alloc(page, order);
	expect_report(test, PC_HANDED_OUT_TWICE, PC_HAND_OUT);
	KUNIT_EXPECT_TRUE(test, is_outside(test, page, order));
}

static void second_free_is_refused(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *page = get_block(test, order);
	const struct pc_report *report;

	record_inside(test, page, order);
	KUNIT_EXPECT_FALSE(test, free_pages_prepare(page, order));
	report = expect_report(test, PC_NOT_HANDED_OUT, PC_TAKE_BACK);
	KUNIT_EXPECT_EQ(test, report->pfn, page_to_pfn(page));

	/* What was inside stays so: it is on a free list, if this was real. */
	record_outside(test, page, order);
}

/* A block of which one page has been freed already is leaked, but for that page. */
static void free_around_a_free_page_is_refused(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *page = get_block(test, order);
	struct page *freed = page + (1UL << order) - 1;

	record_inside(test, freed, 0);
	KUNIT_EXPECT_FALSE(test, page_consistency_free(page, order));
	expect_report(test, PC_NOT_HANDED_OUT, PC_TAKE_BACK);
	record_outside(test, freed, 0);
	KUNIT_EXPECT_TRUE(test, is_outside(test, page, order));
}

static void reserved_page_is_not_freed(struct kunit *test)
{
	struct page *page = get_block(test, 0);

	SetPageReserved(page);
	KUNIT_EXPECT_FALSE(test, page_consistency_free(page, 0));
	ClearPageReserved(page);
	expect_report(test, PC_FREED_RESERVED, PC_TAKE_BACK);
	KUNIT_EXPECT_TRUE(test, is_outside(test, page, 0));
}

/* The later refusal of a bad page takes the transition back. */
static void unfree_makes_a_page_outside_again(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *page = get_block(test, order);

	KUNIT_EXPECT_TRUE(test, page_consistency_free(page, order));
	page_consistency_unfree(page, order);
	KUNIT_EXPECT_TRUE(test, is_outside(test, page, order));
	expect_silence(test);
}

static void expect_damage(struct kunit *test, struct page *page, unsigned int order,
			  bool secondary, enum pc_event event)
{
	const struct pc_report *report;

	report = expect_report(test, secondary ? PC_BAD_SECONDARY : PC_BAD_PRIMARY, event);
	KUNIT_EXPECT_TRUE(test, report->has_words);
	KUNIT_EXPECT_EQ(test, hweight_long(dual_bitmap_bad_bits(report->fault.primary,
								report->fault.secondary) &
					   report->fault.mask), 1);
	KUNIT_EXPECT_TRUE(test, is_outside(test, page, order));
}

static void flipped_bit_is_reported_at_hand_out(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *page = get_block(test, order);
	int secondary, last;

	for (secondary = 0; secondary <= 1; secondary++) {
		for (last = 0; last <= 1; last++) {
			record_inside(test, page, order);
			flip(test, page + (last ? (1UL << order) - 1 : 0), secondary);
			page_consistency_alloc(page, order);
			expect_damage(test, page, order, secondary, PC_HAND_OUT);
		}
	}
}

static void flipped_bit_is_reported_at_free(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *page = get_block(test, order);
	int secondary, last;

	for (secondary = 0; secondary <= 1; secondary++) {
		for (last = 0; last <= 1; last++) {
			flip(test, page + (last ? (1UL << order) - 1 : 0), secondary);
			KUNIT_EXPECT_FALSE(test, page_consistency_free(page, order));
			expect_damage(test, page, order, secondary, PC_TAKE_BACK);
		}
	}
}

static void misaligned_block_is_reported(struct kunit *test)
{
	struct page *page = get_block(test, 2);
	unsigned int order;

	for (order = 1; order <= MAX_PAGE_ORDER; order++) {
		page_consistency_alloc(page + 1, order);
		expect_report(test, PC_MISALIGNED, PC_HAND_OUT);
		KUNIT_EXPECT_FALSE(test, page_consistency_free(page + 1, order));
		expect_report(test, PC_MISALIGNED, PC_TAKE_BACK);
	}
	KUNIT_EXPECT_TRUE(test, is_outside(test, page, 2));
}

/* Nothing is read through such a pointer, whatever it is. */
static void pointer_that_is_no_struct_page_is_reported(struct kunit *test)
{
	static const unsigned int bits[] = { 3, 4, 5, BITS_PER_LONG - 2, BITS_PER_LONG - 1 };
	struct page *page = get_block(test, 0);
	const struct pc_report *report;
	struct page *wild;
	int i;

	for (i = 0; i < ARRAY_SIZE(bits); i++) {
		if (is_power_of_2(sizeof(*page)) && BIT(bits[i]) == sizeof(*page))
			continue;
		wild = (struct page *)((unsigned long)page ^ BIT(bits[i]));
		page_consistency_alloc(wild, 0);
		report = expect_report(test, PC_BAD_POINTER, PC_HAND_OUT);
		KUNIT_EXPECT_FALSE(test, report->proven);
		KUNIT_EXPECT_PTR_EQ(test, report->page, wild);
	}
	page_consistency_alloc(NULL, 0);
	expect_report(test, PC_BAD_POINTER, PC_HAND_OUT);
}

/* --- Free lists: a zone of our own, with blocks that are ours. */

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
		page_consistency_leave(lists->page[i], lists->zone, lists->order);
	page_consistency_join(lists->head, lists->zone, lists->order, false);
	page_consistency_join(lists->head, lists->zone, lists->order, true);
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
	page_consistency_leave(lists->page[1], lists->zone, lists->order);
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
	page_consistency_leave(lists->page[1], lists->zone, lists->order);
}

static void leave_without_buddy(struct lists *lists, void *arg)
{
	__ClearPageBuddy(lists->page[1]);
	page_consistency_leave(lists->page[1], lists->zone, lists->order);
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
	page_consistency_leave(lists->page[1], lists->zone, lists->order);
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

static void join_flipped(struct lists *lists, void *arg)
{
	const struct link_flip *flip = arg;
	unsigned long *link = flip->prev ? (unsigned long *)&lists->head->prev :
					   (unsigned long *)&lists->head->next;

	*link ^= BIT(flip->bit);
	page_consistency_join(lists->head, lists->zone, lists->order, flip->prev);
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

/* --- The table: one of our own. */

#define TABLE_SECTIONS	(2 * PC_ROOT_SECTIONS)

struct table {
	struct pc_store store;
	struct pc_section *roots[2];
	unsigned long inverted[2];
	unsigned long arrays[2][4];
};

/* Section @section is tracked, all others are not. */
static struct table *make_table(struct kunit *test, unsigned long section)
{
	struct table *table = kunit_kzalloc(test, sizeof(*table), GFP_KERNEL);
	struct pc_section *entry;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, table);
	for (i = 0; i < ARRAY_SIZE(table->roots); i++) {
		table->roots[i] = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, table->roots[i]);
		table->inverted[i] = ~(unsigned long)table->roots[i];
	}
	table->store = (struct pc_store) {
		.roots = table->roots, .inverted = table->inverted,
		.nr_sections = TABLE_SECTIONS,
	};
	entry = table->roots[pc_root_nr(section)] + pc_root_index(section);
	entry->map.primary = table->arrays[0];
	entry->map.secondary = table->arrays[1];
	entry->seal = pc_seal(&entry->map, section);
	return table;
}

static void only_the_tracked_section_is_found(struct kunit *test)
{
	static const unsigned long sections[] = {
		0, 1, PC_ROOT_SECTIONS - 1, PC_ROOT_SECTIONS, TABLE_SECTIONS - 1,
	};
	struct pc_report report = { };
	struct dual_bitmap map;
	struct table *table;
	unsigned long s;
	int i;

	for (i = 0; i < ARRAY_SIZE(sections); i++) {
		table = make_table(test, sections[i]);
		for (s = 0; s < TABLE_SECTIONS + 2; s++) {
			KUNIT_ASSERT_EQ(test, pc_store_lookup(&table->store, s, &map),
					s == sections[i]);
			if (s != sections[i])
				KUNIT_ASSERT_EQ(test, pc_store_failure(&table->store, s, &report),
						PC_BAD_POINTER);
		}
		KUNIT_EXPECT_FALSE(test, pc_store_lookup(&table->store, ~0UL, &map));
	}
}

/* Every bit of an entry, and every bit of both copies of a root pointer. */
static void flipped_bit_in_the_table_is_found(struct kunit *test)
{
	unsigned long section = PC_ROOT_SECTIONS + 3;
	struct table *table = make_table(test, section);
	unsigned long *entry = (unsigned long *)(table->roots[1] + 3);
	struct pc_report report = { };
	struct dual_bitmap map;
	unsigned int bit;

	for (bit = 0; bit < 3 * BITS_PER_LONG; bit++) {
		change_bit(bit, entry);
		KUNIT_EXPECT_FALSE(test, pc_store_lookup(&table->store, section, &map));
		KUNIT_EXPECT_EQ(test, pc_store_failure(&table->store, section, &report),
				PC_BAD_ENTRY);
		change_bit(bit, entry);
	}
	for (bit = 0; bit < BITS_PER_LONG; bit++) {
		change_bit(bit, (unsigned long *)&table->roots[1]);
		KUNIT_EXPECT_FALSE(test, pc_store_lookup(&table->store, section, &map));
		KUNIT_EXPECT_EQ(test, pc_store_failure(&table->store, section, &report),
				PC_BAD_ROOT);
		change_bit(bit, (unsigned long *)&table->roots[1]);

		change_bit(bit, &table->inverted[1]);
		KUNIT_EXPECT_FALSE(test, pc_store_lookup(&table->store, section, &map));
		KUNIT_EXPECT_EQ(test, pc_store_failure(&table->store, section, &report),
				PC_BAD_ROOT);
		change_bit(bit, &table->inverted[1]);
	}
	KUNIT_EXPECT_TRUE(test, pc_store_lookup(&table->store, section, &map));
}

/* An entry in a neighbour's place, or with its arrays exchanged, is no entry. */
static void moved_entry_is_found(struct kunit *test)
{
	struct table *table = make_table(test, 5);
	struct pc_section *entry = table->roots[0] + 5;
	struct pc_report report = { };
	struct dual_bitmap map;
	unsigned long s;

	for (s = 0; s < TABLE_SECTIONS; s++) {
		if (s == 5)
			continue;
		table->roots[pc_root_nr(s)][pc_root_index(s)] = *entry;
		KUNIT_EXPECT_FALSE(test, pc_store_lookup(&table->store, s, &map));
		KUNIT_EXPECT_EQ(test, pc_store_failure(&table->store, s, &report), PC_BAD_ENTRY);
	}
	swap(entry->map.primary, entry->map.secondary);
	KUNIT_EXPECT_FALSE(test, pc_store_lookup(&table->store, 5, &map));
}

/* --- The record of this machine. */

static void copies_keep_their_distance(struct kunit *test)
{
	unsigned long s, p, q, tracked = 0;
	struct dual_bitmap map;

	for (s = pc_next_section(0); s < pc_store.nr_sections; s = pc_next_section(s + 1)) {
		KUNIT_ASSERT_TRUE(test, pc_lookup(s, &map));
		p = PHYS_PFN(__pa(map.primary));
		q = PHYS_PFN(__pa(map.secondary));
		KUNIT_EXPECT_GE(test, max(p, q) - min(p, q), PC_MIN_DISTANCE_PAGES);
		KUNIT_EXPECT_GE(test, PFN_PHYS(max(p, q) - min(p, q)) + PAGE_SIZE,
				pc_store.distance);
		KUNIT_EXPECT_LT(test, page_zonenum(virt_to_page(map.primary)), ZONE_MOVABLE);
		KUNIT_EXPECT_LT(test, page_zonenum(virt_to_page(map.secondary)), ZONE_MOVABLE);
		tracked++;
	}
	KUNIT_EXPECT_EQ(test, tracked, pc_store.tracked);
	KUNIT_EXPECT_GE(test, pc_store.distance, PC_MIN_DISTANCE_PAGES * PAGE_SIZE);
}

static void all_memory_is_tracked(struct kunit *test)
{
	unsigned long pfn, seen = 0;
	struct dual_bitmap map;
	struct page *page;
	struct zone *zone;

	for_each_populated_zone(zone) {
		for (pfn = zone->zone_start_pfn; pfn < zone_end_pfn(zone); pfn++) {
			page = pfn_to_online_page(pfn);
			if (!page)
				continue;
			seen++;
			if (!pc_lookup(pc_section_nr(pfn), &map))
				KUNIT_FAIL_AND_ABORT(test, "PFN 0x%lx is not tracked", pfn);
		}
	}
	KUNIT_EXPECT_GE(test, seen, totalram_pages());
}

static void record_fits_its_budget(struct kunit *test)
{
	unsigned long arrays = pc_store.tracked * 2 * PC_ARRAY_BYTES;
	unsigned long fixed = 8 * max(PAGE_SIZE, PC_ARRAY_BYTES) * nr_online_nodes;

	KUNIT_EXPECT_LE(test, pc_store.bytes, arrays + 64 * pc_store.tracked + fixed);
}

/* --- Verification. */

static void verification_finds_nothing_in_health(struct kunit *test)
{
	struct pc_verified result;

	KUNIT_ASSERT_EQ(test, pc_verify(&result), 0);
	KUNIT_EXPECT_EQ(test, result.mismatches, 0);
	KUNIT_EXPECT_EQ(test, result.sections, pc_store.tracked);
	KUNIT_EXPECT_EQ(test, result.pages, pc_store.tracked << PC_SECTION_SHIFT);
	KUNIT_EXPECT_GT(test, result.blocks, 0);
	expect_silence(test);
}

static void verification_finds_a_flipped_bit(struct kunit *test)
{
	struct page *page = get_block(test, 0);
	const struct pc_report *report;
	struct pc_verified result;
	int secondary;

	for (secondary = 0; secondary <= 1; secondary++) {
		flip(test, page, secondary);
		KUNIT_EXPECT_EQ(test, pc_verify(&result), 0);
		flip(test, page, secondary);
		KUNIT_EXPECT_EQ(test, result.mismatches, 1);
		report = expect_report(test, PC_BAD_PAIR, PC_VERIFY);
		KUNIT_EXPECT_EQ(test, report->pfn, page_to_pfn(page));
		KUNIT_EXPECT_EQ(test, report->fault.mask, BIT_MASK(page_to_pfn(page)));
	}
}

struct stress {
	struct task_struct *task;
	atomic_t *stop;
	unsigned long rounds;
};

static int stress_thread(void *data)
{
	struct stress *stress = data;
	struct page *pages[8] = { };
	unsigned int order[8] = { };
	unsigned long i = 0;

	while (!atomic_read(stress->stop)) {
		unsigned int slot = i++ % ARRAY_SIZE(pages);

		if (pages[slot])
			__free_pages(pages[slot], order[slot]);
		order[slot] = (i * 7 + slot) % 10;
		pages[slot] = alloc_pages(GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY, order[slot]);
		if (!(i % 64))
			cond_resched();
	}
	for (stress->rounds = i, i = 0; i < ARRAY_SIZE(pages); i++)
		if (pages[i])
			__free_pages(pages[i], order[i]);
	return 0;
}

static void verification_is_silent_while_all_cpus_allocate(struct kunit *test)
{
	struct stress *stress;
	struct pc_verified result;
	unsigned int i, nr = num_online_cpus() + 1;
	atomic_t stop = ATOMIC_INIT(0);
	unsigned long rounds = 0;

	stress = kunit_kcalloc(test, nr, sizeof(*stress), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, stress);
	for (i = 0; i < nr; i++) {
		stress[i].stop = &stop;
		stress[i].task = kthread_run(stress_thread, &stress[i], "pc_stress/%u", i);
		if (!IS_ERR(stress[i].task))
			get_task_struct(stress[i].task);
	}
	for (i = 0; i < 20; i++) {
		KUNIT_EXPECT_EQ(test, pc_verify(&result), 0);
		KUNIT_EXPECT_EQ(test, result.mismatches, 0);
		msleep(20);
	}
	atomic_set(&stop, 1);
	for (i = 0; i < nr; i++) {
		KUNIT_EXPECT_FALSE(test, IS_ERR(stress[i].task));
		if (IS_ERR(stress[i].task))
			continue;
		kthread_stop_put(stress[i].task);
		rounds += stress[i].rounds;
	}
	KUNIT_EXPECT_GT(test, rounds, 1000);
	expect_silence(test);
}

/* stop_machine() does not stop NMIs, so what they may allocate is held back. */
static void nolock_allocation_fails_while_a_mismatch_is_confirmed(struct kunit *test)
{
	struct page *page;

	WRITE_ONCE(page_consistency_hold_nolock, true);
	page = alloc_pages_nolock(0, NUMA_NO_NODE, 0);
	WRITE_ONCE(page_consistency_hold_nolock, false);
	KUNIT_EXPECT_NULL(test, page);
	if (page)
		free_pages_nolock(page, 0);
}

static struct kunit_case page_consistency_cases[] = {
	KUNIT_CASE_PARAM(allocating_and_freeing_is_silent, order_gen_params),
	KUNIT_CASE_PARAM(page_in_use_is_reported_before_it_is_touched, order_gen_params),
	KUNIT_CASE_PARAM(block_around_a_page_in_use_is_reported, order_gen_params),
	KUNIT_CASE_PARAM(second_free_is_refused, order_gen_params),
	KUNIT_CASE_PARAM(free_around_a_free_page_is_refused, order_gen_params),
	KUNIT_CASE(reserved_page_is_not_freed),
	KUNIT_CASE_PARAM(unfree_makes_a_page_outside_again, order_gen_params),
	KUNIT_CASE_PARAM(flipped_bit_is_reported_at_hand_out, order_gen_params),
	KUNIT_CASE_PARAM(flipped_bit_is_reported_at_free, order_gen_params),
	KUNIT_CASE(misaligned_block_is_reported),
	KUNIT_CASE(pointer_that_is_no_struct_page_is_reported),
	KUNIT_CASE_PARAM(healthy_free_list_is_silent, order_gen_params),
	KUNIT_CASE_PARAM(listed_page_in_use_is_reported, order_gen_params),
	KUNIT_CASE(block_that_contradicts_the_record_is_reported),
	KUNIT_CASE(flipped_link_of_a_page_is_reported),
	KUNIT_CASE(flipped_link_of_a_list_head_is_reported),
	KUNIT_CASE(only_the_tracked_section_is_found),
	KUNIT_CASE(flipped_bit_in_the_table_is_found),
	KUNIT_CASE(moved_entry_is_found),
	KUNIT_CASE(copies_keep_their_distance),
	KUNIT_CASE(all_memory_is_tracked),
	KUNIT_CASE(record_fits_its_budget),
	KUNIT_CASE(verification_finds_nothing_in_health),
	KUNIT_CASE(verification_finds_a_flipped_bit),
	KUNIT_CASE(verification_is_silent_while_all_cpus_allocate),
	KUNIT_CASE(nolock_allocation_fails_while_a_mismatch_is_confirmed),
	{ }
};

static struct kunit_suite page_consistency_suite = {
	.name = "page_consistency",
	.init = page_consistency_init_test,
	.exit = page_consistency_exit_test,
	.test_cases = page_consistency_cases,
};
kunit_test_suite(page_consistency_suite);

MODULE_DESCRIPTION("KUnit tests of the page allocator consistency checker");
MODULE_LICENSE("GPL");
