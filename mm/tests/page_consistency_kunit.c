// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the page allocator consistency checker: real pages go through the
 * real hooks; the table; verification.
 */

#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/kthread.h>

#include "page_consistency_kunit.h"

#define PATTERN		0xaaaaaaaaaaaaaaaaULL

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
	post_alloc_hook(page, order, GFP_KERNEL | __GFP_ZERO, ALLOC_DEFAULT);
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
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *page = get_block(test, order);

	SetPageReserved(page);
	KUNIT_EXPECT_FALSE(test, page_consistency_free(page, order));
	ClearPageReserved(page);
	expect_report(test, PC_FREED_RESERVED, PC_TAKE_BACK);
	KUNIT_EXPECT_TRUE(test, is_outside(test, page, order));
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

	/* Also blocks that are larger than a section. */
	for (order = 1; order <= max_t(unsigned int, MAX_FOLIO_ORDER, PC_SECTION_SHIFT + 1);
	     order++) {
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

		WRITE_ONCE(stress->rounds, i);

		if (pages[slot])
			__free_pages(pages[slot], order[slot]);
		order[slot] = (i * 7 + slot) % 10;
		pages[slot] = alloc_pages(GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY, order[slot]);
		if (!(i % 64))
			cond_resched();
	}
	for (i = 0; i < ARRAY_SIZE(pages); i++)
		if (pages[i])
			__free_pages(pages[i], order[i]);
	return 0;
}

static unsigned long rounds_of(const struct stress *stress, unsigned int nr)
{
	unsigned long rounds = 0;

	while (nr--)
		rounds += READ_ONCE(stress[nr].rounds);
	return rounds;
}

static void verification_is_silent_while_all_cpus_allocate(struct kunit *test)
{
	struct stress *stress;
	struct pc_verified result;
	unsigned int i, nr = num_online_cpus() + 1;
	atomic_t stop = ATOMIC_INIT(0);

	stress = kunit_kcalloc(test, nr, sizeof(*stress), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, stress);
	for (i = 0; i < nr; i++) {
		stress[i].stop = &stop;
		stress[i].task = kthread_run(stress_thread, &stress[i], "pc_stress/%u", i);
		if (!IS_ERR(stress[i].task))
			get_task_struct(stress[i].task);
	}
	/* Twenty times, and on a slow machine until they have done enough. */
	for (i = 0; i < 20 || (i < 200 && rounds_of(stress, nr) <= 1000); i++) {
		KUNIT_EXPECT_EQ(test, pc_verify(&result), 0);
		KUNIT_EXPECT_EQ(test, result.mismatches, 0);
		msleep(20);
	}
	atomic_set(&stop, 1);
	for (i = 0; i < nr; i++) {
		KUNIT_EXPECT_FALSE(test, IS_ERR(stress[i].task));
		if (!IS_ERR(stress[i].task))
			kthread_stop_put(stress[i].task);
	}
	KUNIT_EXPECT_GT(test, rounds_of(stress, nr), 1000);
	expect_silence(test);
}

static struct kunit_case page_consistency_cases[] = {
	KUNIT_CASE_PARAM(allocating_and_freeing_is_silent, order_gen_params),
	KUNIT_CASE_PARAM(page_in_use_is_reported_before_it_is_touched, order_gen_params),
	KUNIT_CASE_PARAM(block_around_a_page_in_use_is_reported, order_gen_params),
	KUNIT_CASE_PARAM(second_free_is_refused, order_gen_params),
	KUNIT_CASE_PARAM(free_around_a_free_page_is_refused, order_gen_params),
	KUNIT_CASE_PARAM(reserved_page_is_not_freed, order_gen_params),
	KUNIT_CASE_PARAM(unfree_makes_a_page_outside_again, order_gen_params),
	KUNIT_CASE_PARAM(flipped_bit_is_reported_at_hand_out, order_gen_params),
	KUNIT_CASE_PARAM(flipped_bit_is_reported_at_free, order_gen_params),
	KUNIT_CASE(misaligned_block_is_reported),
	KUNIT_CASE(pointer_that_is_no_struct_page_is_reported),
	KUNIT_CASE(only_the_tracked_section_is_found),
	KUNIT_CASE(flipped_bit_in_the_table_is_found),
	KUNIT_CASE(moved_entry_is_found),
	KUNIT_CASE(copies_keep_their_distance),
	KUNIT_CASE(all_memory_is_tracked),
	KUNIT_CASE(record_fits_its_budget),
	KUNIT_CASE(verification_finds_nothing_in_health),
	KUNIT_CASE(verification_finds_a_flipped_bit),
	KUNIT_CASE(verification_is_silent_while_all_cpus_allocate),
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
