// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the page allocator consistency checker: what a page says of its use
 * when it is freed, put or handed out; and the checker's own variables.
 */

#include <linux/page_ref.h>
#include <linux/stop_machine.h>
#include <linux/string.h>

#include "page_consistency_kunit.h"

/* --- Frees of what has an owner. */

/* As __free_pages() ends; a block that is not refused would get onto a free list. */
static bool is_refused(struct page *page, unsigned int order)
{
	return !free_pages_prepare(page, order);
}

static void expect_refused(struct kunit *test, struct page *page, unsigned int order,
			   enum pc_violation violation, unsigned long wrong)
{
	const struct pc_report *report;

	KUNIT_EXPECT_TRUE(test, is_refused(page, order));
	report = expect_report(test, violation, PC_TAKE_BACK);
	KUNIT_EXPECT_EQ(test, report->wrong, wrong);
	KUNIT_EXPECT_TRUE(test, report->proven);
	KUNIT_EXPECT_TRUE(test, is_outside(test, page, order));
}

/* Above zero somebody else has it, below zero somebody has put it once too often. */
static void counted_page_is_not_freed(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	unsigned long last = (1UL << order) - 1;
	struct page *page = get_block(test, order);
	int count;

	for (count = -1; count <= 1; count += 2) {
		set_page_count(page, count);
		expect_refused(test, page, order, PC_FREED_IN_USE, 0);
		set_page_count(page, 0);
		set_page_count(page + last, count);
		expect_refused(test, page, order, PC_FREED_IN_USE, last);
		set_page_count(page + last, 0);
	}
}

static void mapped_page_is_not_freed(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	unsigned long last = (1UL << order) - 1;
	struct page *page = get_block(test, order);

	atomic_set(&page[last]._mapcount, 0);
	expect_refused(test, page, order, PC_FREED_IN_USE, last);
	atomic_set(&page[last]._mapcount, -1);
}

/* Whether a page of a type may be freed as it is. */
static void typed_page_is_freed_only_if_its_type_stays(struct kunit *test)
{
	static const struct {
		unsigned int type;
		bool stays;
	} types[] = {
		{ PGTY_buddy, false }, { PGTY_offline, false }, { PGTY_table, false },
		{ PGTY_guard, false }, { PGTY_hugetlb, false }, { PGTY_slab, false },
		{ PGTY_zsmalloc, false }, { PGTY_unaccepted, false },
	};
	struct page *page = get_block(test, 1);
	int i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		page->page_type = types[i].type << 24;
		if (!types[i].stays) {
			expect_refused(test, page, 0, PC_FREED_IN_USE, 0);
			continue;
		}
		KUNIT_EXPECT_TRUE(test, page_consistency_free(page, 0));
		page_consistency_unfree(page, 0);
		expect_silence(test);
	}
	page->page_type = UINT_MAX;
	page[1].page_type = PGTY_slab << 24;
	expect_refused(test, page, 1, PC_FREED_IN_USE, 1);
	page[1].page_type = UINT_MAX;
}

static void compound_block_is_freed_as_a_whole(struct kunit *test)
{
	struct page *page = alloc_frozen_pages(GFP_KERNEL | __GFP_COMP, 3);

	KUNIT_ASSERT_NOT_NULL(test, page);
	expect_refused(test, page, 0, PC_WRONG_ORDER, 0);
	expect_refused(test, page, 2, PC_WRONG_ORDER, 0);
	if (!IS_ENABLED(CONFIG_DEBUG_VM)) {
		expect_refused(test, page + 1, 0, PC_WRONG_ORDER, 0);
		expect_refused(test, page + 4, 2, PC_WRONG_ORDER, 0);
	}
	free_frozen_pages(page, 3);
	expect_silence(test);
}

/* What is inside already tells more than who has it now. */
static void record_has_the_first_word(struct kunit *test)
{
	struct page *page = get_block(test, 2);
	const struct pc_report *report;

	record_inside(test, page + 2, 0);
	set_page_count(page + 3, 1);
	KUNIT_EXPECT_TRUE(test, is_refused(page, 2));
	report = expect_report(test, PC_NOT_HANDED_OUT, PC_TAKE_BACK);
	KUNIT_EXPECT_EQ(test, report->wrong, 2);
	set_page_count(page + 3, 0);
	record_outside(test, page + 2, 0);
	KUNIT_EXPECT_TRUE(test, is_outside(test, page, 2));
}

static void first_wrong_page_is_named(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	unsigned long nr = 1UL << order, wrong = nr - nr / 4 - 1;
	struct page *page = get_block(test, order);
	const struct pc_report *report;

	record_inside(test, page + wrong, 0);
	KUNIT_EXPECT_TRUE(test, is_refused(page, order));
	report = expect_report(test, PC_NOT_HANDED_OUT, PC_TAKE_BACK);
	KUNIT_EXPECT_EQ(test, report->wrong, wrong);
	record_outside(test, page + wrong, 0);
}

/* Not inlined, and not left before the free returns. */
static noinline void free_as_the_culprit(struct page *page, unsigned int order)
{
	free_frozen_pages(page, order);
	barrier();
}

/* Whoever called the allocator, and no function of the allocator's own. */
static void culprit_is_named(struct kunit *test)
{
	struct page *page = get_block(test, 2);
	const struct taken *taken = test->priv;
	char name[64];
	unsigned int order;

	if (!IS_ENABLED(CONFIG_STACKTRACE) || !IS_ENABLED(CONFIG_KALLSYMS))
		kunit_skip(test, "no stack, or no names of functions");
	for (order = 0; order <= 2; order++) {
		record_inside(test, page, order);
		free_as_the_culprit(page, order);
		expect_report(test, PC_NOT_HANDED_OUT, PC_TAKE_BACK);
		if (!taken->culprit) {
			record_outside(test, page, order);
			kunit_skip(test, "this architecture finds no frames on the stack");
		}
		snprintf(name, sizeof(name), "%ps", (void *)taken->culprit);
		KUNIT_EXPECT_TRUE_MSG(test, str_has_prefix(name, "free_as_the_culprit"),
				      "named is %s", name);
		record_outside(test, page, order);
	}
}

/* --- Puts, and what they leave behind. */

static void put_below_zero_is_reported_and_taken_back(struct kunit *test)
{
	struct page *page = get_block(test, 0);
	int count;

	for (count = 0; count <= 2; count++) {
		set_page_count(page, count);
		KUNIT_EXPECT_TRUE(test, page_consistency_put(page, 0));
	}
	expect_silence(test);
	set_page_count(page, -1);
	KUNIT_EXPECT_FALSE(test, page_consistency_put(page, 0));
	expect_report(test, PC_PUT_TOO_OFTEN, PC_PUT);
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 0);
}

static void counted_page_is_reported_when_it_is_handed_out(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *page = get_block(test, order);
	int count;

	for (count = -1; count <= 1; count += 2) {
		record_inside(test, page, order);
		set_page_count(page, count);
		page_consistency_alloc(page, order);
		expect_report(test, PC_COUNTED, PC_HAND_OUT);
		/* Whoever gets it must be able to. */
		KUNIT_EXPECT_EQ(test, page_ref_count(page), 0);
		KUNIT_EXPECT_TRUE(test, is_outside(test, page, order));
	}
}

/* --- A page whose memory has failed. */

static void poisoned_page_stays_outside(struct kunit *test)
{
	struct page *page = get_block(test, 0);

	if (!IS_ENABLED(CONFIG_MEMORY_FAILURE))
		kunit_skip(test, "no page is ever marked without CONFIG_MEMORY_FAILURE");
	SetPageHWPoison(page);
	KUNIT_EXPECT_TRUE(test, is_refused(page, 0));
	ClearPageHWPoison(page);
	KUNIT_EXPECT_TRUE(test, is_outside(test, page, 0));
	/* What is outside stays so. */
	page_consistency_keep_out(page);
	KUNIT_EXPECT_TRUE(test, is_outside(test, page, 0));
	expect_silence(test);
}

/* --- The checker's own variables. */

static void expect_bad_state(struct kunit *test, const char *name)
{
	struct pc_verified result = { };
	const struct pc_report *report;

	pc_check_state(&result);
	KUNIT_EXPECT_EQ(test, result.mismatches, 1);
	report = expect_report(test, PC_BAD_STATE, PC_VERIFY);
	KUNIT_EXPECT_STREQ(test, report->state, name);
}

static void sound_state_is_silent(struct kunit *test)
{
	struct pc_verified result = { };

	pc_check_state(&result);
	KUNIT_EXPECT_EQ(test, result.mismatches, 0);
	expect_silence(test);
}

static void damaged_state_is_reported(struct kunit *test)
{
	WRITE_ONCE(page_consistency_hold_nolock, true);
	expect_bad_state(test, "allocations without locks are held");
	WRITE_ONCE(page_consistency_hold_nolock, false);

	/* What was written at boot only cannot be damaged from here. */
	if (IS_ENABLED(CONFIG_MEMORY_HOTPLUG)) {
		pc_store.tracked++;
		expect_bad_state(test, "number of tracked sections");
		pc_store.tracked--;
		scoped_guard(mutex, &pc_store_mutex)
			pc_set_tracked(pc_store.tracked + 1);
		expect_bad_state(test, "number of tracked sections");
		scoped_guard(mutex, &pc_store_mutex)
			pc_set_tracked(pc_store.tracked - 1);
	}
	memset((void *)pc_absent_root() + 8, 1, 1);
	expect_bad_state(test, "entries of untracked sections");
	memset((void *)pc_absent_root() + 8, 0, 1);
}

/* --- A table entry that reads as if nothing were there. */

struct hidden_entry {
	unsigned long section;
	unsigned long seal;		/* if not 0; otherwise the whole entry is wiped */
	enum pc_violation violation;
};

/* Everybody's pages of the section depend on it: they must not come or go meanwhile. */
static int hide_entry(void *data)
{
	struct hidden_entry *hidden = data;
	struct pc_section *entry = pc_store.roots[pc_root_nr(hidden->section)] +
				   pc_root_index(hidden->section);
	struct pc_section saved = *entry;
	struct pc_report unused = { };

	if (hidden->seal)
		entry->seal = hidden->seal;
	else
		*entry = (struct pc_section) { };
	hidden->violation = pc_store_failure(&pc_store, hidden->section, &unused);
	*entry = saved;
	return 0;
}

static void entry_of_an_online_section_is_never_absent(struct kunit *test)
{
	struct page *page = get_block(test, 0);
	unsigned long section = pc_section_nr(page_to_pfn(page));
	struct hidden_entry hidden = { .section = section };
	struct dual_bitmap map = arrays_of(test, page_to_pfn(page));

	if (!IS_ENABLED(CONFIG_SPARSEMEM))
		kunit_skip(test, "nothing tells which sections there are without SPARSEMEM");
	KUNIT_ASSERT_EQ(test, stop_machine(hide_entry, &hidden, NULL), 0);
	KUNIT_EXPECT_EQ(test, hidden.violation, PC_BAD_ENTRY);
	/* As that of a section that is offline. */
	hidden.seal = ~pc_seal(&map, section);
	KUNIT_ASSERT_EQ(test, stop_machine(hide_entry, &hidden, NULL), 0);
	KUNIT_EXPECT_EQ(test, hidden.violation, PC_BAD_ENTRY);
}

static struct kunit_case page_consistency_use_cases[] = {
	KUNIT_CASE_PARAM(counted_page_is_not_freed, order_gen_params),
	KUNIT_CASE_PARAM(mapped_page_is_not_freed, order_gen_params),
	KUNIT_CASE(typed_page_is_freed_only_if_its_type_stays),
	KUNIT_CASE(compound_block_is_freed_as_a_whole),
	KUNIT_CASE(record_has_the_first_word),
	KUNIT_CASE_PARAM(first_wrong_page_is_named, order_gen_params),
	KUNIT_CASE(culprit_is_named),
	KUNIT_CASE(put_below_zero_is_reported_and_taken_back),
	KUNIT_CASE_PARAM(counted_page_is_reported_when_it_is_handed_out, order_gen_params),
	KUNIT_CASE(poisoned_page_stays_outside),
	KUNIT_CASE(sound_state_is_silent),
	KUNIT_CASE(damaged_state_is_reported),
	KUNIT_CASE(entry_of_an_online_section_is_never_absent),
	{ }
};

static struct kunit_suite page_consistency_use_suite = {
	.name = "page_consistency_use",
	.init = page_consistency_init_test,
	.exit = page_consistency_exit_test,
	.test_cases = page_consistency_use_cases,
};

kunit_test_suite(page_consistency_use_suite);

MODULE_DESCRIPTION("KUnit tests of the page allocator consistency checker: pages in use");
MODULE_LICENSE("GPL");
