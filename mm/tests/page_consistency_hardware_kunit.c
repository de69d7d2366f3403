// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the page allocator consistency checker: memory that fails under the
 * record.  No memory fails here; the checker is told so.
 */

#include "../page_consistency/hardware.h"
#include "page_consistency_kunit.h"

/* A table in frames of its own; one section is tracked. */
#define SECTION		(PC_ROOT_SECTIONS + 3)

struct frames {
	struct pc_store store;
	struct page *part[PC_NR_PARTS];
};

static void *get_frame(struct kunit *test, struct page **page)
{
	*page = get_block(test, get_order(PC_ARRAY_BYTES));
	memset(page_address(*page), 0, PAGE_SIZE);
	return page_address(*page);
}

static struct frames *make_frames(struct kunit *test)
{
	struct frames *frames = kunit_kzalloc(test, sizeof(*frames), GFP_KERNEL);
	struct pc_section *first, *entry;
	struct page *page;
	int nr;

	KUNIT_ASSERT_NOT_NULL(test, frames);
	frames->store.roots = get_frame(test, &frames->part[PC_PART_ROOTS]);
	frames->store.inverted = get_frame(test, &frames->part[PC_PART_INVERTED]);
	frames->store.nr_sections = 2 * PC_ROOT_SECTIONS;
	first = get_frame(test, &page);
	frames->store.roots[0] = first;
	frames->store.roots[1] = get_frame(test, &frames->part[PC_PART_ENTRIES]);
	for (nr = 0; nr < 2; nr++)
		frames->store.inverted[nr] = ~(unsigned long)frames->store.roots[nr];

	entry = frames->store.roots[1] + pc_root_index(SECTION);
	entry->map.primary = get_frame(test, &frames->part[PC_PART_PRIMARY]);
	entry->map.secondary = get_frame(test, &frames->part[PC_PART_SECONDARY]);
	entry->seal = pc_seal(&entry->map, SECTION);
	return frames;
}

static void each_part_is_recognised(struct kunit *test)
{
	struct frames *frames = make_frames(test);
	struct pc_frame frame;
	enum pc_part is, part;

	for (is = 0; is < PC_NR_PARTS; is++)
		for (part = 0; part < PC_NR_PARTS; part++)
			KUNIT_EXPECT_EQ_MSG(test, part == is,
					    pc_frame_holds(&frames->store,
							   page_to_pfn(frames->part[is]), part,
							   &frame),
					    "part %d, asked for %d", is, part);
}

static void other_frames_hold_nothing(struct kunit *test)
{
	struct frames *frames = make_frames(test);
	unsigned long pfn = page_to_pfn(get_block(test, 0));
	struct pc_frame frame;
	enum pc_part part;

	for (part = 0; part < PC_NR_PARTS; part++)
		KUNIT_EXPECT_FALSE(test, pc_frame_holds(&frames->store, pfn, part, &frame));
}

static void expect_sections(struct kunit *test, struct frames *frames, enum pc_part part,
			    unsigned long first, unsigned long last)
{
	unsigned long pfn = page_to_pfn(frames->part[part]);
	struct pc_frame frame;

	KUNIT_ASSERT_TRUE(test, pc_frame_holds(&frames->store, pfn, part, &frame));
	KUNIT_EXPECT_EQ(test, frame.part, part);
	KUNIT_EXPECT_EQ(test, frame.pfn, pfn);
	KUNIT_EXPECT_EQ(test, frame.first, first);
	KUNIT_EXPECT_EQ(test, frame.last, last);
}

static void sections_are_named(struct kunit *test)
{
	struct frames *frames = make_frames(test);

	expect_sections(test, frames, PC_PART_PRIMARY, SECTION, SECTION);
	expect_sections(test, frames, PC_PART_SECONDARY, SECTION, SECTION);
	expect_sections(test, frames, PC_PART_ENTRIES, PC_ROOT_SECTIONS, 2 * PC_ROOT_SECTIONS - 1);
	expect_sections(test, frames, PC_PART_ROOTS, 0, 2 * PC_ROOT_SECTIONS - 1);
	expect_sections(test, frames, PC_PART_INVERTED, 0, 2 * PC_ROOT_SECTIONS - 1);
}

/* What is in a frame that has failed is anything, and must not be believed. */
static void failed_frame_is_not_followed(struct kunit *test)
{
	struct frames *frames = make_frames(test);
	struct pc_section *entry = frames->store.roots[1] + pc_root_index(SECTION);
	unsigned long roots = page_to_pfn(frames->part[PC_PART_ROOTS]);
	struct pc_section *other = page_address(get_block(test, 0));
	struct pc_frame frame;

	/* Roots that have failed are passed by; those that differ are not followed. */
	memcpy(other, frames->store.roots[1], PAGE_SIZE);
	frames->store.roots[1] = other;
	KUNIT_EXPECT_TRUE(test, pc_frame_holds(&frames->store, roots, PC_PART_ROOTS, &frame));
	KUNIT_EXPECT_FALSE(test, pc_frame_holds(&frames->store,
						page_to_pfn(frames->part[PC_PART_PRIMARY]),
						PC_PART_PRIMARY, &frame));
	frames->store.roots[1] = entry - pc_root_index(SECTION);

	/* An entry that says it has its arrays among the entries. */
	entry->map.primary = (unsigned long *)frames->store.roots[1];
	entry->seal = pc_seal(&entry->map, SECTION);
	KUNIT_EXPECT_FALSE(test, pc_frame_holds(&frames->store,
						page_to_pfn(frames->part[PC_PART_ENTRIES]),
						PC_PART_PRIMARY, &frame));

	/* An entry whose seal is broken leads nowhere. */
	entry->map.primary = page_address(frames->part[PC_PART_PRIMARY]);
	KUNIT_EXPECT_FALSE(test, pc_frame_holds(&frames->store,
						page_to_pfn(frames->part[PC_PART_PRIMARY]),
						PC_PART_PRIMARY, &frame));
}

/* --- The record of this machine. */

static const struct pc_frame *expect_frame(struct kunit *test, const void *array,
					   enum pc_part part, enum pc_other other)
{
	struct taken *taken = test->priv;
	const struct pc_report *report;

	page_consistency_memory_failure(PHYS_PFN(__pa(array)), false);
	report = expect_report(test, PC_BAD_FRAME, PC_MEMORY_FAILURE);
	KUNIT_EXPECT_EQ(test, report->pfn, PHYS_PFN(__pa(array)));
	KUNIT_EXPECT_TRUE(test, report->proven);
	KUNIT_ASSERT_NOT_NULL(test, report->frame);
	KUNIT_EXPECT_EQ(test, taken->frame.part, part);
	KUNIT_EXPECT_EQ(test, taken->frame.other, other);
	return &taken->frame;
}

static void failed_copy_and_the_intact_one_are_named(struct kunit *test)
{
	unsigned long section = pc_section_nr(page_to_pfn(get_block(test, 0)));
	const struct pc_frame *frame;
	struct dual_bitmap map;

	KUNIT_ASSERT_TRUE(test, pc_lookup(section, &map));
	frame = expect_frame(test, map.primary, PC_PART_PRIMARY, PC_OTHER_INTACT);
	KUNIT_EXPECT_TRUE(test, in_range(section, frame->first, frame->last - frame->first + 1));
	KUNIT_EXPECT_GT(test, frame->agreed, 0);
	frame = expect_frame(test, map.secondary, PC_PART_SECONDARY, PC_OTHER_INTACT);
	KUNIT_EXPECT_GT(test, frame->agreed, 0);
	if (PC_ARRAY_BYTES == PAGE_SIZE)
		KUNIT_EXPECT_EQ(test, frame->other_pfn, PHYS_PFN(__pa(map.primary)));

	expect_frame(test, pc_store.inverted, PC_PART_INVERTED, PC_OTHER_INTACT);
	frame = expect_frame(test, pc_store.roots, PC_PART_ROOTS, PC_OTHER_INTACT);
	KUNIT_EXPECT_GT(test, frame->agreed, 0);
	KUNIT_EXPECT_EQ(test, frame->other_pfn, PHYS_PFN(__pa(pc_store.inverted)));
	expect_frame(test, pc_store.roots[pc_root_nr(section)], PC_PART_ENTRIES, PC_OTHER_NONE);
}

static void other_copy_that_has_failed_is_told(struct kunit *test)
{
	unsigned long section = pc_section_nr(page_to_pfn(get_block(test, 0)));
	struct dual_bitmap map;

	KUNIT_ASSERT_TRUE(test, pc_lookup(section, &map));
	SetPageHWPoison(virt_to_page(map.secondary));
	SetPageHWPoison(virt_to_page(pc_store.inverted));
	expect_frame(test, map.primary, PC_PART_PRIMARY, PC_OTHER_FAILED);
	expect_frame(test, pc_store.roots, PC_PART_ROOTS, PC_OTHER_FAILED);
	ClearPageHWPoison(virt_to_page(pc_store.inverted));
	ClearPageHWPoison(virt_to_page(map.secondary));
}

/*
 * The second page of a block looks free and is recorded outside.  Nobody merges it: its
 * buddy is the first page, and that is in use.
 */
static void other_copy_that_contradicts_the_lists_is_told(struct kunit *test)
{
	struct page *page = get_block(test, 1) + 1;
	struct dual_bitmap map;

	KUNIT_ASSERT_TRUE(test, pc_lookup(pc_section_nr(page_to_pfn(page)), &map));
	set_page_private(page, 0);
	__SetPageBuddy(page);
	expect_frame(test, map.primary, PC_PART_PRIMARY, PC_OTHER_WRONG);
	expect_frame(test, map.secondary, PC_PART_SECONDARY, PC_OTHER_WRONG);
	__ClearPageBuddy(page);
}

static void corrected_errors_are_no_violation(struct kunit *test)
{
	page_consistency_memory_failure(PHYS_PFN(__pa(pc_store.roots)), true);
	expect_silence(test);
}

static void memory_of_others_is_none_of_it(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *page = get_block(test, order);

	page_consistency_memory_failure(page_to_pfn(page) + (1UL << order) - 1, false);
	page_consistency_memory_failure(~0UL >> PAGE_SHIFT, false);
	expect_silence(test);
}

static struct kunit_case page_consistency_hardware_cases[] = {
	KUNIT_CASE(each_part_is_recognised),
	KUNIT_CASE(other_frames_hold_nothing),
	KUNIT_CASE(sections_are_named),
	KUNIT_CASE(failed_frame_is_not_followed),
	KUNIT_CASE(failed_copy_and_the_intact_one_are_named),
	KUNIT_CASE(other_copy_that_has_failed_is_told),
	KUNIT_CASE(other_copy_that_contradicts_the_lists_is_told),
	KUNIT_CASE(corrected_errors_are_no_violation),
	KUNIT_CASE_PARAM(memory_of_others_is_none_of_it, order_gen_params),
	{ }
};

static struct kunit_suite page_consistency_hardware_suite = {
	.name = "page_consistency_hardware",
	.init = page_consistency_init_test,
	.exit = page_consistency_exit_test,
	.test_cases = page_consistency_hardware_cases,
};

kunit_test_suite(page_consistency_hardware_suite);

MODULE_DESCRIPTION("KUnit tests of the page allocator consistency checker's look at hardware");
MODULE_LICENSE("GPL");
