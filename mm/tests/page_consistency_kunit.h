/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_TESTS_PAGE_CONSISTENCY_KUNIT_H
#define _MM_TESTS_PAGE_CONSISTENCY_KUNIT_H

/*
 * What the KUnit suites of the page allocator consistency checker share.
 *
 * What a test damages is its own: blocks that it has allocated, a zone that
 * nobody else knows, a table that no memory uses; or nobody else can look at it
 * before it is put back.  The reports that follow are
 * taken by a static stub, in this task only; any other report counts as a
 * violation, and exit() fails on it.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page_consistency.h>
#include <linux/slab.h>

#include "../internal.h"
#include "../page_consistency/page.h"
#include "../page_consistency/report.h"
#include "../page_consistency/scrub.h"
#include "../page_consistency/section.h"

#define MAX_REPORTS	8

/* What a test has caused and not yet looked at. */
struct taken {
	struct pc_report reports[MAX_REPORTS];
	struct pc_frame frame;		/* of the last report that had one */
	unsigned int taken, expected;
	unsigned long count_before;
	const u64 *watch;		/* a word of the page that must survive */
	u64 seen;			/* its value when the last report was made */
	unsigned long culprit;		/* whom the last report would name */
};

/* Its name is one of the checker's, so that it is not taken for the culprit itself. */
static void pc_take_report(const struct pc_report *report)
{
	struct taken *taken = kunit_get_current_test()->priv;

	if (taken->watch)
		taken->seen = READ_ONCE(*taken->watch);
	if (taken->taken < MAX_REPORTS)
		taken->reports[taken->taken] = *report;
	if (report->frame)
		taken->frame = *report->frame;
	taken->culprit = pc_culprit(report->event == PC_VERIFY);
	taken->taken++;
}

/* The one report that the last step must have made. */
static __maybe_unused
const struct pc_report *expect_report(struct kunit *test, enum pc_violation violation,
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

static __maybe_unused void expect_silence(struct kunit *test)
{
	struct taken *taken = test->priv;

	KUNIT_EXPECT_EQ(test, taken->taken, 0);
	taken->taken = 0;
}

static __maybe_unused int page_consistency_init_test(struct kunit *test)
{
	struct taken *taken;

	if (!page_consistency_on())
		kunit_skip(test, "the checker is off; boot with page_consistency=on");

	taken = kunit_kzalloc(test, sizeof(*taken), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, taken);
	taken->count_before = pc_violation_count();
	test->priv = taken;
	kunit_activate_static_stub(test, pc_report, pc_take_report);
	/* It would see the damage, and its reports are nobody's to take. */
	pc_scrub_hold();
	return 0;
}

static __maybe_unused void page_consistency_exit_test(struct kunit *test)
{
	struct taken *taken = test->priv;

	if (!taken)
		return;
	pc_scrub_release();
	KUNIT_EXPECT_EQ_MSG(test, taken->taken, 0, "a report that no step has expected");
	KUNIT_EXPECT_EQ_MSG(test, pc_violation_count(), taken->count_before,
			    "a violation outside of this test");
}

static __maybe_unused void free_block(void *block)
{
	struct page *page = block;

	free_frozen_pages(page, page_private(page));
}

/*
 * A block that is freed with the test; its order is kept in page_private().  It has no
 * reference, as a block that is about to be freed, or handed out, has none.
 */
static __maybe_unused struct page *get_block(struct kunit *test, unsigned int order)
{
	struct page *page = alloc_frozen_pages(GFP_KERNEL, order);

	KUNIT_ASSERT_NOT_NULL(test, page);
	set_page_private(page, order);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_block, page));
	return page;
}

static __maybe_unused struct dual_bitmap arrays_of(struct kunit *test, unsigned long pfn)
{
	struct dual_bitmap map;

	KUNIT_ASSERT_TRUE(test, pc_lookup(pc_section_nr(pfn), &map));
	return map;
}

/*
 * Record a block that this test owns as inside, or as outside again.  It stands
 * on no list, so nobody can be given it meanwhile.
 */
static __maybe_unused void record_inside(struct kunit *test, struct page *page, unsigned int order)
{
	struct dual_bitmap map = arrays_of(test, page_to_pfn(page));
	struct dual_bitmap_fault fault;

	KUNIT_ASSERT_TRUE(test, dual_bitmap_clear(&map, pc_section_bit(page_to_pfn(page)),
						  order, &fault));
}

static __maybe_unused void record_outside(struct kunit *test, struct page *page, unsigned int order)
{
	struct dual_bitmap map = arrays_of(test, page_to_pfn(page));
	struct dual_bitmap_fault fault;

	KUNIT_ASSERT_TRUE(test, dual_bitmap_set(&map, pc_section_bit(page_to_pfn(page)),
						order, &fault));
}

static __maybe_unused bool is_outside(struct kunit *test, struct page *page, unsigned int order)
{
	struct dual_bitmap map = arrays_of(test, page_to_pfn(page));
	unsigned long i, bit = pc_section_bit(page_to_pfn(page));

	for (i = 0; i < 1UL << order; i++)
		if (!test_bit(bit + i, map.primary) || test_bit(bit + i, map.secondary))
			return false;
	return true;
}

static __maybe_unused void flip(struct kunit *test, struct page *page, bool secondary)
{
	struct dual_bitmap map = arrays_of(test, page_to_pfn(page));

	change_bit(pc_section_bit(page_to_pfn(page)), secondary ? map.secondary : map.primary);
}

static const unsigned int orders[] = { 0, 1, 2, 3, 4, 5, 6, 7, 9, MAX_PAGE_ORDER };

static __maybe_unused void order_name(const unsigned int *order, char *name)
{
	snprintf(name, KUNIT_PARAM_DESC_SIZE, "order %u", *order);
}

KUNIT_ARRAY_PARAM(order, orders, order_name);
/* Not every suite has a test for each order. */
static typeof(order_gen_params) *const order_params __maybe_unused = order_gen_params;

#endif /* _MM_TESTS_PAGE_CONSISTENCY_KUNIT_H */
