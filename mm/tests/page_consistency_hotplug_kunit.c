// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the page allocator consistency checker: memory that comes and goes.
 *
 * Nothing of the record looks at the memory it is for, so sections without any are
 * taken: those at the end of the table, and beyond it.
 */

#include <linux/string.h>

#include "../page_consistency/hotplug.h"
#include "page_consistency_kunit.h"

/* What there was before a test, and has to be there again behind it. */
struct before {
	unsigned long tracked;
	unsigned long bytes;
};

static struct before now(void)
{
	return (struct before) { .tracked = pc_store.tracked, .bytes = pc_store.bytes };
}

static void expect_as_before(struct kunit *test, struct before before)
{
	KUNIT_EXPECT_EQ(test, pc_store.tracked, before.tracked);
	KUNIT_EXPECT_EQ(test, pc_store.bytes, before.bytes);
}

/* The last of a number of sections that nothing is known about, in a root of their own. */
static unsigned long free_sections(struct kunit *test, unsigned long nr)
{
	unsigned long section = pc_store.nr_sections - nr;
	struct pc_report unused = { };

	KUNIT_ASSERT_EQ(test, pc_next_section(section), pc_store.nr_sections);
	KUNIT_ASSERT_EQ(test, pc_store_failure(&pc_store, section, &unused), PC_BAD_POINTER);
	return section;
}

static unsigned long first_pfn(unsigned long section)
{
	return section << PC_SECTION_SHIFT;
}

static bool all_outside(const struct dual_bitmap *map)
{
	return !memchr_inv(map->primary, 0xff, PC_ARRAY_BYTES) &&
	       !memchr_inv(map->secondary, 0, PC_ARRAY_BYTES);
}

static void memory_that_comes_starts_outside(struct kunit *test)
{
	unsigned long section = free_sections(test, 2);
	struct before before = now();
	struct dual_bitmap map;

	KUNIT_ASSERT_EQ(test, pc_memory_online(first_pfn(section), first_pfn(section + 2), 0), 0);
	KUNIT_EXPECT_EQ(test, pc_store.tracked, before.tracked + 2);
	KUNIT_ASSERT_TRUE(test, pc_lookup(section, &map));
	KUNIT_EXPECT_TRUE(test, all_outside(&map));
	KUNIT_ASSERT_TRUE(test, pc_lookup(section + 1, &map));
	KUNIT_EXPECT_TRUE(test, all_outside(&map));

	pc_memory_offline(first_pfn(section), first_pfn(section + 2));
	KUNIT_EXPECT_FALSE(test, pc_lookup(section, &map));
	KUNIT_EXPECT_FALSE(test, pc_lookup(section + 1, &map));
	expect_as_before(test, before);
	expect_silence(test);
}

static void memory_that_comes_back_starts_fresh(struct kunit *test)
{
	unsigned long section = free_sections(test, 1), pfn = first_pfn(section);
	struct dual_bitmap_fault fault;
	struct dual_bitmap map;

	KUNIT_ASSERT_EQ(test, pc_memory_online(pfn, pfn + PC_SECTION_PAGES, 0), 0);
	KUNIT_ASSERT_TRUE(test, pc_lookup(section, &map));
	KUNIT_ASSERT_TRUE(test, dual_bitmap_clear(&map, 0, PC_SECTION_SHIFT, &fault));
	/* Offlining takes free blocks off their lists without handing them out. */
	pc_memory_offline(pfn, pfn + PC_SECTION_PAGES);

	KUNIT_ASSERT_EQ(test, pc_memory_online(pfn, pfn + PC_SECTION_PAGES, 0), 0);
	KUNIT_ASSERT_TRUE(test, pc_lookup(section, &map));
	KUNIT_EXPECT_TRUE(test, all_outside(&map));
	pc_memory_offline(pfn, pfn + PC_SECTION_PAGES);
	expect_silence(test);
}

static void copies_of_hot_added_memory_keep_their_distance(struct kunit *test)
{
	unsigned long section = free_sections(test, 8), pfn = first_pfn(section), i;
	struct dual_bitmap map;

	KUNIT_ASSERT_EQ(test, pc_memory_online(pfn, pfn + 8 * PC_SECTION_PAGES, 0), 0);
	for (i = section; i < section + 8; i++) {
		KUNIT_ASSERT_TRUE(test, pc_lookup(i, &map));
		KUNIT_EXPECT_TRUE(test, pc_far_enough(map.primary, map.secondary));
		KUNIT_EXPECT_GE(test, pc_distance(map.primary, map.secondary), pc_store.distance);
	}
	pc_memory_offline(pfn, pfn + 8 * PC_SECTION_PAGES);
}

static void events_may_come_twice_or_alone(struct kunit *test)
{
	unsigned long section = free_sections(test, 1), pfn = first_pfn(section);
	struct before before = now();

	pc_memory_offline(pfn, pfn + PC_SECTION_PAGES);
	expect_as_before(test, before);
	KUNIT_EXPECT_EQ(test, pc_memory_online(pfn, pfn + PC_SECTION_PAGES, 0), 0);
	KUNIT_EXPECT_EQ(test, pc_memory_online(pfn, pfn + PC_SECTION_PAGES, 0), 0);
	KUNIT_EXPECT_EQ(test, pc_store.tracked, before.tracked + 1);
	pc_memory_offline(pfn, pfn + PC_SECTION_PAGES);
	pc_memory_offline(pfn, pfn + PC_SECTION_PAGES);
	expect_as_before(test, before);
	expect_silence(test);
}

static void range_is_rounded_to_sections(struct kunit *test)
{
	unsigned long section = free_sections(test, 2), pfn = first_pfn(section);
	struct before before = now();
	struct dual_bitmap map;

	/* Behind a memory map that lies in the memory itself, and short of the end. */
	KUNIT_ASSERT_EQ(test, 0, pc_memory_online(pfn + 512, pfn + 2 * PC_SECTION_PAGES - 512, 0));
	KUNIT_EXPECT_TRUE(test, pc_lookup(section, &map));
	KUNIT_EXPECT_TRUE(test, pc_lookup(section + 1, &map));
	KUNIT_EXPECT_EQ(test, pc_store.tracked, before.tracked + 2);
	pc_memory_offline(pfn + 512, pfn + 2 * PC_SECTION_PAGES - 512);
	expect_as_before(test, before);
}

static void table_grows_with_memory_beyond_it(struct kunit *test)
{
	unsigned long step, section, pfn, first = pc_next_section(0);
	struct dual_bitmap map, again;
	struct before before;

	KUNIT_ASSERT_TRUE(test, pc_lookup(first, &map));
	/* The second time it is not memblock's table that is replaced. */
	for (step = 0; step < 2; step++) {
		section = pc_store.nr_sections + 3;
		pfn = first_pfn(section);
		before = now();
		KUNIT_ASSERT_EQ(test, pc_memory_online(pfn, pfn + PC_SECTION_PAGES, 0), 0);
		KUNIT_EXPECT_GT(test, pc_store.nr_sections, section);
		KUNIT_EXPECT_TRUE(test, pc_lookup(section, &again));
		KUNIT_EXPECT_TRUE(test, pc_lookup(first, &again));
		KUNIT_EXPECT_PTR_EQ(test, again.primary, map.primary);
		KUNIT_EXPECT_EQ(test, pc_next_section(pc_store.nr_sections), pc_store.nr_sections);
		pc_memory_offline(pfn, pfn + PC_SECTION_PAGES);
		KUNIT_EXPECT_FALSE(test, pc_lookup(section, &again));
		KUNIT_EXPECT_EQ(test, pc_store.tracked, before.tracked);
	}
	expect_silence(test);
}

static void root_comes_and_goes_with_its_sections(struct kunit *test)
{
	unsigned long pfn = first_pfn(pc_store.nr_sections);
	struct before before;

	/* Behind this the table ends with a root that has no section. */
	KUNIT_ASSERT_EQ(test, pc_memory_online(pfn, pfn + PC_SECTION_PAGES, 0), 0);
	pc_memory_offline(pfn, pfn + PC_SECTION_PAGES);

	before = now();
	KUNIT_ASSERT_EQ(test, pc_memory_online(pfn, pfn + 2 * PC_SECTION_PAGES, 0), 0);
	KUNIT_EXPECT_EQ(test, pc_store.bytes,
			before.bytes + PAGE_SIZE + 4 * PAGE_ALIGN(PC_ARRAY_BYTES));
	pc_memory_offline(pfn, pfn + PC_SECTION_PAGES);
	KUNIT_EXPECT_EQ(test, pc_store.bytes,
			before.bytes + PAGE_SIZE + 2 * PAGE_ALIGN(PC_ARRAY_BYTES));
	pc_memory_offline(pfn + PC_SECTION_PAGES, pfn + 2 * PC_SECTION_PAGES);
	expect_as_before(test, before);
	expect_silence(test);
}

static void damaged_entry_is_not_built_upon(struct kunit *test)
{
	unsigned long section = free_sections(test, 1), pfn = first_pfn(section);
	struct pc_section *entry;
	struct dual_bitmap map;

	KUNIT_ASSERT_EQ(test, pc_memory_online(pfn, pfn + PC_SECTION_PAGES, 0), 0);
	entry = pc_store.roots[pc_root_nr(section)] + pc_root_index(section);
	entry->seal ^= 16;
	KUNIT_EXPECT_EQ(test, pc_memory_online(pfn, pfn + PC_SECTION_PAGES, 0), -EIO);
	expect_report(test, PC_BAD_ENTRY, PC_HOTPLUG);
	entry->seal ^= 16;
	KUNIT_EXPECT_TRUE(test, pc_lookup(section, &map));
	pc_memory_offline(pfn, pfn + PC_SECTION_PAGES);
}

static struct kunit_case page_consistency_hotplug_cases[] = {
	KUNIT_CASE(memory_that_comes_starts_outside),
	KUNIT_CASE(memory_that_comes_back_starts_fresh),
	KUNIT_CASE(copies_of_hot_added_memory_keep_their_distance),
	KUNIT_CASE(events_may_come_twice_or_alone),
	KUNIT_CASE(range_is_rounded_to_sections),
	KUNIT_CASE(damaged_entry_is_not_built_upon),
	KUNIT_CASE_SLOW(table_grows_with_memory_beyond_it),
	KUNIT_CASE(root_comes_and_goes_with_its_sections),
	{}
};

static struct kunit_suite page_consistency_hotplug_suite = {
	.name = "page_consistency_hotplug",
	.init = page_consistency_init_test,
	.exit = page_consistency_exit_test,
	.test_cases = page_consistency_hotplug_cases,
};

kunit_test_suite(page_consistency_hotplug_suite);

MODULE_DESCRIPTION("KUnit tests of the page allocator consistency checker and memory hotplug");
MODULE_LICENSE("GPL");
