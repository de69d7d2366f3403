// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the page allocator consistency checker: scrubbing, the audit of free
 * lists, and the proof that the hooks are reached.
 *
 * Free lists are damaged where they are, for as long as their lock is held: nobody but
 * the audit sees it.
 */

#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/log2.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>

#include "page_consistency_kunit.h"

/* Transitions of the stress test; a long run asks for more. */
static unsigned long transitions = 200000;
#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "page_consistency_scrub_kunit."
module_param(transitions, ulong, 0444);

/* --- Free blocks. */

/* A free block that has a block before and one behind it on its list. */
struct spot {
	struct zone *zone;
	struct list_head *head;
	struct page *page[3];
	unsigned int order;
};

/*
 * Three free blocks in a row need not be there in a quiet system.  So make some: every
 * second block of a run, whose buddies stay in use.
 */
static void make_free_blocks(struct kunit *test)
{
	struct page *page[64];
	int i;

	for (i = 0; i < ARRAY_SIZE(page); i++) {
		page[i] = alloc_frozen_pages(GFP_KERNEL, PAGE_ALLOC_COSTLY_ORDER + 1);
		KUNIT_ASSERT_NOT_NULL(test, page[i]);
		set_page_private(page[i], PAGE_ALLOC_COSTLY_ORDER + 1);
	}
	for (i = 0; i < ARRAY_SIZE(page); i++) {
		if (page_to_pfn(page[i]) & BIT(PAGE_ALLOC_COSTLY_ORDER + 1))
			KUNIT_ASSERT_EQ(test, 0,
					kunit_add_action_or_reset(test, free_block, page[i]));
		else
			free_frozen_pages(page[i], PAGE_ALLOC_COSTLY_ORDER + 1);
	}
}

/* Of more than one page each, so that there is a page behind the first. */
static bool find_spot(struct zone *zone, struct spot *spot)
{
	unsigned int order, type, i;
	struct list_head *link;

	for (order = 1; order < NR_PAGE_ORDERS; order++) {
		for (type = 0; type < MIGRATE_TYPES; type++) {
			spot->zone = zone;
			spot->order = order;
			spot->head = &zone->free_area[order].free_list[type];
			for (i = 0, link = spot->head->next; link != spot->head && i < 3;
			     link = link->next)
				spot->page[i++] = list_entry(link, struct page, buddy_list);
			if (i == 3)
				return true;
		}
	}
	return false;
}

/* Call @step with the lock held of a zone that has three blocks on a list. */
static void with_spot(struct kunit *test, void (*step)(struct spot *spot, void *arg), void *arg)
{
	struct zone *zone;
	struct spot spot;
	bool found = false;

	for_each_populated_zone(zone) {
		guard(spinlock_irqsave)(&zone->lock);
		found = find_spot(zone, &spot);
		if (found) {
			step(&spot, arg);
			break;
		}
	}
	KUNIT_ASSERT_TRUE_MSG(test, found, "no zone has three free blocks of one order");
}

static unsigned long audit(struct spot *spot, int which)
{
	struct pc_verified result = { };

	lockdep_assert_held(&spot->zone->lock);
	pc_audit_page(spot->page[which], spot->zone, &result);
	return result.mismatches;
}

struct bit_of {
	unsigned int bit;
	unsigned long mismatches;
};

static void audit_sound(struct spot *spot, void *arg)
{
	struct pc_verified result = { };
	struct bit_of *what = arg;
	int i;

	for (i = 0; i < ARRAY_SIZE(spot->page); i++)
		what->mismatches += audit(spot, i);
	lockdep_assert_held(&spot->zone->lock);
	pc_audit_head(spot->head, spot->zone, spot->order, &result);
	what->mismatches += result.mismatches;
}

static void sound_block_is_not_reported(struct kunit *test)
{
	struct bit_of what = { };

	make_free_blocks(test);
	with_spot(test, audit_sound, &what);
	KUNIT_EXPECT_EQ(test, what.mismatches, 0);
	expect_silence(test);
}

/* Bits of the order's word, then those of the type's by which it is no free block. */
static void audit_flipped_word(struct spot *spot, void *arg)
{
	struct bit_of *what = arg;
	struct page *page = spot->page[1];

	if (what->bit < BITS_PER_LONG)
		page->private ^= BIT(what->bit);
	else
		page->page_type ^= BIT(what->bit - BITS_PER_LONG);
	what->mismatches = audit(spot, 1);
	page->page_type = (unsigned int)PGTY_buddy << 24;
	page->private = spot->order;
}

static void flipped_word_of_a_free_block_is_found(struct kunit *test)
{
	struct taken *taken = test->priv;
	struct bit_of what = { };

	make_free_blocks(test);
	for (what.bit = 0; what.bit < BITS_PER_LONG + 24; what.bit++) {
		with_spot(test, audit_flipped_word, &what);
		KUNIT_EXPECT_EQ(test, taken->taken, what.mismatches);
		if (what.bit >= ilog2(roundup_pow_of_two(NR_PAGE_ORDERS))) {
			KUNIT_EXPECT_EQ(test, what.mismatches, 1);
			expect_report(test, PC_BAD_BLOCK, PC_VERIFY);
			continue;
		}
		/*
		 * Another order may make its place a wrong one; and if all that it would
		 * have is free, both neighbours are on a list of another order.
		 */
		KUNIT_EXPECT_GE(test, what.mismatches, 1);
		KUNIT_EXPECT_EQ(test, taken->reports[0].event, PC_VERIFY);
		taken->taken = 0;
	}
}

static void audit_flipped_link(struct spot *spot, void *arg)
{
	struct list_head *entry = &spot->page[1]->buddy_list;
	struct bit_of *what = arg;
	unsigned long *link = (unsigned long *)(what->bit < BITS_PER_LONG ? &entry->next :
									     &entry->prev);

	*link ^= BIT(what->bit % BITS_PER_LONG);
	what->mismatches = audit(spot, 1);
	*link ^= BIT(what->bit % BITS_PER_LONG);
}

/* Each single bit of both pointers. */
static void flipped_link_of_a_free_block_is_found(struct kunit *test)
{
	struct bit_of what = { };

	make_free_blocks(test);
	for (what.bit = 0; what.bit < 2 * BITS_PER_LONG; what.bit++) {
		with_spot(test, audit_flipped_link, &what);
		KUNIT_EXPECT_EQ(test, what.mismatches, 1);
		expect_report(test, PC_BAD_LINK, PC_VERIFY);
	}
}

/* Each page of the block: whoever has put it since it was freed, or got it. */
static void audit_counted_page(struct spot *spot, void *arg)
{
	struct page *page = spot->page[1] + (1UL << spot->order) - 1;
	struct bit_of *what = arg;

	set_page_count(page, what->bit ? 1 : -1);
	what->mismatches = audit(spot, 1);
	set_page_count(page, 0);
}

static void page_with_references_in_a_free_block_is_found(struct kunit *test)
{
	const struct pc_report *report;
	struct bit_of what = { };

	make_free_blocks(test);
	for (what.bit = 0; what.bit < 2; what.bit++) {
		with_spot(test, audit_counted_page, &what);
		KUNIT_EXPECT_EQ(test, what.mismatches, 1);
		report = expect_report(test, PC_COUNTED, PC_VERIFY);
		KUNIT_EXPECT_EQ(test, report->wrong, (1UL << report->order) - 1);
	}
}

/* The walk by PFN does not take it for a free block any more: its neighbours tell. */
static void audit_around_lost_type(struct spot *spot, void *arg)
{
	struct bit_of *what = arg;

	spot->page[1]->page_type ^= BIT(what->bit);
	if (audit(spot, 1) == 0)
		what->mismatches = audit(spot, 0) + audit(spot, 2);
	spot->page[1]->page_type = (unsigned int)PGTY_buddy << 24;
}

static void block_that_looks_used_is_found_by_its_neighbours(struct kunit *test)
{
	const struct taken *taken = test->priv;
	struct bit_of what = { };

	make_free_blocks(test);
	for (what.bit = 24; what.bit < 32; what.bit++) {
		what.mismatches = 0;
		with_spot(test, audit_around_lost_type, &what);
		KUNIT_EXPECT_EQ(test, what.mismatches, 2);
		KUNIT_ASSERT_EQ(test, taken->taken, 2);
		KUNIT_EXPECT_EQ(test, taken->reports[0].violation, PC_BAD_BLOCK);
		KUNIT_EXPECT_PTR_EQ(test, taken->reports[0].page, taken->reports[1].page);
		((struct taken *)test->priv)->taken = 0;
	}
}

/* Both bits of its first page are wrong: the walk by PFN does not come by. */
static void audit_around_outside(struct spot *spot, void *arg)
{
	unsigned long pfn = page_to_pfn(spot->page[1]);
	struct bit_of *what = arg;
	struct dual_bitmap map;
	int i;

	if (!pc_lookup(pc_section_nr(pfn), &map))
		return;
	for (i = 0; i < 2; i++) {
		change_bit(pc_section_bit(pfn), map.primary);
		change_bit(pc_section_bit(pfn), map.secondary);
		if (!i)
			what->mismatches = audit(spot, 0) + audit(spot, 2);
	}
}

static void block_that_is_recorded_outside_is_found_by_its_neighbours(struct kunit *test)
{
	struct taken *taken = test->priv;
	struct bit_of what = { };

	make_free_blocks(test);
	with_spot(test, audit_around_outside, &what);
	KUNIT_EXPECT_EQ(test, what.mismatches, 2);
	KUNIT_EXPECT_EQ(test, taken->taken, 2);
	KUNIT_EXPECT_EQ(test, taken->reports[0].violation, PC_LISTED_OUTSIDE);
	KUNIT_EXPECT_EQ(test, taken->reports[1].violation, PC_LISTED_OUTSIDE);
	taken->taken = 0;
}

static void audit_flipped_head(struct spot *spot, void *arg)
{
	struct bit_of *what = arg;
	unsigned long *link = (unsigned long *)(what->bit < BITS_PER_LONG ? &spot->head->next :
									     &spot->head->prev);
	struct pc_verified result = { };

	*link ^= BIT(what->bit % BITS_PER_LONG);
	lockdep_assert_held(&spot->zone->lock);
	pc_audit_head(spot->head, spot->zone, spot->order, &result);
	*link ^= BIT(what->bit % BITS_PER_LONG);
	what->mismatches = result.mismatches;
}

static void flipped_link_of_a_head_is_found(struct kunit *test)
{
	struct bit_of what = { };

	make_free_blocks(test);
	for (what.bit = 0; what.bit < 2 * BITS_PER_LONG; what.bit++) {
		with_spot(test, audit_flipped_head, &what);
		KUNIT_EXPECT_EQ(test, what.mismatches, 1);
		expect_report(test, PC_BAD_LINK, PC_VERIFY);
	}
}

static void audit_head_of_lost_type(struct spot *spot, void *arg)
{
	struct pc_verified result = { };
	struct bit_of *what = arg;

	spot->page[0]->page_type ^= BIT(31);
	lockdep_assert_held(&spot->zone->lock);
	pc_audit_head(spot->head, spot->zone, spot->order, &result);
	spot->page[0]->page_type ^= BIT(31);
	what->mismatches = result.mismatches;
}

static void first_block_that_looks_used_is_found_by_the_head(struct kunit *test)
{
	struct bit_of what = { };

	make_free_blocks(test);
	with_spot(test, audit_head_of_lost_type, &what);
	KUNIT_EXPECT_EQ(test, what.mismatches, 1);
	expect_report(test, PC_BAD_BLOCK, PC_VERIFY);
}

static unsigned long nr_free_blocks(void)
{
	unsigned long blocks = 0;
	struct zone *zone;
	int order;

	for_each_populated_zone(zone)
		for (order = 0; order < NR_PAGE_ORDERS; order++)
			blocks += READ_ONCE(zone->free_area[order].nr_free);
	return blocks;
}

/* The allocator counts its free blocks; the walk by PFN has to come to the same number. */
static void every_free_block_is_audited(struct kunit *test)
{
	unsigned long before = 0, after = 1;
	struct pc_verified result = { };
	int tries;

	make_free_blocks(test);
	/* Others may allocate meanwhile. */
	for (tries = 0; tries < 50 && (before != after || result.blocks != before); tries++) {
		before = nr_free_blocks();
		KUNIT_ASSERT_EQ(test, pc_verify(&result), 0);
		after = nr_free_blocks();
	}
	KUNIT_EXPECT_EQ(test, result.blocks, before);
	KUNIT_EXPECT_EQ(test, after, before);
	KUNIT_EXPECT_EQ(test, result.mismatches, 0);
}

/* --- Per-CPU lists: one of our own. */

struct cpu_list {
	struct per_cpu_pages pcp;
	struct page *page[3];
	unsigned int index;
};

/* Lists of order @order hold our pages; the last list is that of huge pages, if there are. */
static struct cpu_list *make_cpu_list(struct kunit *test, unsigned int order)
{
	struct cpu_list *list = kunit_kzalloc(test, sizeof(*list), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, list);
	spin_lock_init(&list->pcp.lock);
	for (i = 0; i < NR_PCP_LISTS; i++)
		INIT_LIST_HEAD(&list->pcp.lists[i]);
	list->index = order * MIGRATE_PCPTYPES + MIGRATE_MOVABLE;
	for (i = 0; i < ARRAY_SIZE(list->page); i++) {
		list->page[i] = get_block(test, order);
		record_inside(test, list->page[i], order);
		list_add(&list->page[i]->pcp_list, &list->pcp.lists[list->index]);
	}
	return list;
}

static void undo_cpu_list(struct kunit *test, struct cpu_list *list, unsigned int order)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(list->page); i++)
		record_outside(test, list->page[i], order);
}

static unsigned long audit_cpu_list(struct cpu_list *list)
{
	struct pc_verified result = { };

	guard(spinlock)(&list->pcp.lock);
	pc_audit_pcp(&list->pcp, list->index, page_zone(list->page[0]), &result);
	return result.mismatches;
}

static void sound_cpu_list_is_not_reported(struct kunit *test)
{
	unsigned int order;
	struct cpu_list *list;

	for (order = 0; order <= PAGE_ALLOC_COSTLY_ORDER; order++) {
		list = make_cpu_list(test, order);
		KUNIT_EXPECT_EQ(test, audit_cpu_list(list), 0);
		undo_cpu_list(test, list, order);
	}
	expect_silence(test);
}

static void flipped_link_of_a_cpu_list_is_found(struct kunit *test)
{
	struct cpu_list *list = make_cpu_list(test, 1);
	struct list_head *places[] = {
		&list->pcp.lists[list->index], &list->page[2]->pcp_list, &list->page[1]->pcp_list,
		&list->page[0]->pcp_list,
	};
	unsigned long *link;
	unsigned int bit;
	int i;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		for (bit = 0; bit < 2 * BITS_PER_LONG; bit++) {
			link = (unsigned long *)(bit < BITS_PER_LONG ? &places[i]->next :
								       &places[i]->prev);
			*link ^= BIT(bit % BITS_PER_LONG);
			KUNIT_EXPECT_EQ(test, audit_cpu_list(list), 1);
			*link ^= BIT(bit % BITS_PER_LONG);
			expect_report(test, PC_BAD_LINK, PC_VERIFY);
		}
	}
	undo_cpu_list(test, list, 1);
}

static void page_in_use_on_a_cpu_list_is_found(struct kunit *test)
{
	struct cpu_list *list = make_cpu_list(test, 2);
	struct page *used = list->page[1] + 3;
	const struct pc_report *report;

	record_outside(test, used, 0);
	KUNIT_EXPECT_EQ(test, audit_cpu_list(list), 1);
	report = expect_report(test, PC_LISTED_OUTSIDE, PC_VERIFY);
	KUNIT_EXPECT_PTR_EQ(test, report->page, list->page[1]);
	record_inside(test, used, 0);
	undo_cpu_list(test, list, 2);
}

static void page_with_references_on_a_cpu_list_is_found(struct kunit *test)
{
	struct cpu_list *list = make_cpu_list(test, 0);
	const struct pc_report *report;

	set_page_count(list->page[1], -1);
	KUNIT_EXPECT_EQ(test, audit_cpu_list(list), 1);
	report = expect_report(test, PC_COUNTED, PC_VERIFY);
	KUNIT_EXPECT_PTR_EQ(test, report->page, list->page[1]);
	set_page_count(list->page[1], 0);
	undo_cpu_list(test, list, 0);
}

/* --- Are the hooks reached? */

static enum pc_recorded always_inside(unsigned long pfn)
{
	return PC_INSIDE;
}

static enum pc_recorded always_outside(unsigned long pfn)
{
	return PC_OUTSIDE;
}

static unsigned int looks;

/* As if the page had been taken by another at once, time and again. */
static enum pc_recorded seldom_inside(unsigned long pfn)
{
	return ++looks % 20 ? PC_OUTSIDE : PC_INSIDE;
}

static void prove_alive(struct kunit *test, enum pc_recorded (*recorded)(unsigned long pfn),
			unsigned long mismatches)
{
	struct pc_verified result = { };

	if (recorded)
		kunit_activate_static_stub(test, pc_recorded, *recorded);
	pc_prove_alive(&result);
	if (recorded)
		kunit_deactivate_static_stub(test, pc_recorded);
	KUNIT_EXPECT_EQ(test, result.mismatches, mismatches);
	KUNIT_EXPECT_EQ(test, result.proofs == PC_PROOFS, !mismatches);
}

static void reached_hooks_are_not_reported(struct kunit *test)
{
	prove_alive(test, NULL, 0);
	looks = 0;
	prove_alive(test, seldom_inside, 0);
	KUNIT_EXPECT_EQ(test, looks, 40);
	expect_silence(test);
}

static void hand_out_that_is_not_recorded_is_reported(struct kunit *test)
{
	prove_alive(test, always_inside, 1);
	expect_report(test, PC_NOT_REACHED, PC_VERIFY);
}

static void free_that_is_not_recorded_is_reported(struct kunit *test)
{
	prove_alive(test, always_outside, 1);
	expect_report(test, PC_NOT_REACHED, PC_VERIFY);
}

/* --- The scrubber itself: nothing is damaged here, so it may run. */

static unsigned long passes(void)
{
	struct pc_scrubbed state;

	pc_scrub_state(&state);
	return state.passes;
}

static bool passes_reach(unsigned long wanted, unsigned int ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(ms);

	while (passes() < wanted && time_before(jiffies, end))
		msleep(20);
	return passes() >= wanted;
}

static void set_period(void *ms)
{
	pc_scrub_set_period((unsigned long)ms);
}

static void restore_period(struct kunit *test)
{
	void *period = (void *)(unsigned long)pc_scrub_period();

	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, set_period, period));
}

static void hold(void *unused)
{
	pc_scrub_hold();
}

static void scrubber_may_run(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action(test, hold, NULL));
	pc_scrub_release();
	restore_period(test);
}

#define PERIOD	200

static void scrubber_keeps_its_period(struct kunit *test)
{
	struct pc_scrubbed state;
	unsigned long before, start;

	scrubber_may_run(test);
	pc_scrub_set_period(PERIOD);
	KUNIT_ASSERT_TRUE(test, passes_reach(passes() + 1, 20000));
	before = passes();
	start = jiffies;
	KUNIT_ASSERT_TRUE(test, passes_reach(before + 4, 40000));
	/* The work of the last may be over before its period is. */
	KUNIT_EXPECT_GE(test, jiffies_to_msecs(jiffies - start), 3 * PERIOD - 50);

	pc_scrub_state(&state);
	/* From the start of a pass to the end of the next. */
	KUNIT_EXPECT_GE(test, state.latency_ns, (PERIOD - 20) * NSEC_PER_MSEC);
	KUNIT_EXPECT_LE(test, state.latency_ns, 40 * (u64)NSEC_PER_SEC);
}

static void new_period_takes_effect_at_once(struct kunit *test)
{
	struct pc_scrubbed state;
	unsigned long before;

	scrubber_may_run(test);
	pc_scrub_set_period(3600 * MSEC_PER_SEC);
	msleep(20);
	before = passes();
	pc_scrub_set_period(10);
	KUNIT_EXPECT_TRUE(test, passes_reach(before + 3, 20000));
	pc_scrub_set_period(0);
	msleep(100);
	before = passes();
	msleep(100);
	KUNIT_EXPECT_EQ(test, passes(), before);
	pc_scrub_state(&state);
	KUNIT_EXPECT_EQ(test, state.latency_ns, 0);
}

static void held_scrubber_looks_at_nothing(struct kunit *test)
{
	unsigned long before = passes();

	restore_period(test);
	pc_scrub_set_period(1);
	msleep(100);
	KUNIT_EXPECT_EQ(test, passes(), before);
}

/* --- Beside transitions on all CPUs. */

struct stress {
	struct task_struct *task;
	unsigned long wanted, done;
	unsigned int seed;
};

static int stress_thread(void *data)
{
	struct page *pages[16] = { };
	unsigned int order[16] = { }, slot, n = 0;
	struct stress *stress = data;

	while (READ_ONCE(stress->done) < stress->wanted) {
		stress->seed = stress->seed * 1664525 + 1013904223;
		slot = stress->seed >> 28;
		if (pages[slot]) {
			__free_pages(pages[slot], order[slot]);
			pages[slot] = NULL;
		} else {
			/* Mostly single pages, as in life; large ones now and then. */
			order[slot] = stress->seed & 0x700 ? 0 : (stress->seed >> 16) % 10;
			pages[slot] = alloc_pages((GFP_KERNEL & ~__GFP_RECLAIM) | __GFP_NOWARN,
						  order[slot]);
			if (!pages[slot])
				continue;
		}
		WRITE_ONCE(stress->done, stress->done + 1);
		if (!(++n % 4096))
			cond_resched();
	}
	for (slot = 0; slot < ARRAY_SIZE(pages); slot++)
		if (pages[slot])
			__free_pages(pages[slot], order[slot]);
	while (!kthread_should_stop())
		msleep(20);
	return 0;
}

static bool stress_is_done(const struct stress *stress, unsigned int nr)
{
	while (nr--)
		if (READ_ONCE(stress[nr].done) < stress[nr].wanted)
			return false;
	return true;
}

/* The scrubber itself, one pass after the other, while each CPU makes transitions. */
static void scrubber_is_silent_beside_transitions(struct kunit *test)
{
	unsigned int i, nr = num_online_cpus();
	unsigned long done = 0, before;
	struct stress *stress;

	stress = kunit_kcalloc(test, nr, sizeof(*stress), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, stress);
	scrubber_may_run(test);
	before = passes();
	pc_scrub_set_period(1);
	for (i = 0; i < nr; i++) {
		stress[i].seed = i + 1;
		stress[i].wanted = transitions / nr + 1;
		stress[i].task = kthread_run_on_cpu(stress_thread, &stress[i], i, "pc_stress/%u");
		KUNIT_ASSERT_FALSE(test, IS_ERR(stress[i].task));
	}
	while (!stress_is_done(stress, nr))
		msleep(20);
	for (i = 0; i < nr; i++) {
		kthread_stop(stress[i].task);
		done += stress[i].done;
	}
	KUNIT_EXPECT_GE(test, done, transitions);
	KUNIT_EXPECT_TRUE(test, passes_reach(before + 1, 20000));
	kunit_info(test, "%lu transitions beside %lu passes\n", done, passes() - before);
	expect_silence(test);
}

static struct kunit_case page_consistency_scrub_cases[] = {
	KUNIT_CASE(sound_block_is_not_reported),
	KUNIT_CASE(flipped_word_of_a_free_block_is_found),
	KUNIT_CASE(flipped_link_of_a_free_block_is_found),
	KUNIT_CASE(page_with_references_in_a_free_block_is_found),
	KUNIT_CASE(block_that_looks_used_is_found_by_its_neighbours),
	KUNIT_CASE(block_that_is_recorded_outside_is_found_by_its_neighbours),
	KUNIT_CASE(flipped_link_of_a_head_is_found),
	KUNIT_CASE(first_block_that_looks_used_is_found_by_the_head),
	KUNIT_CASE(every_free_block_is_audited),
	KUNIT_CASE(sound_cpu_list_is_not_reported),
	KUNIT_CASE(flipped_link_of_a_cpu_list_is_found),
	KUNIT_CASE(page_in_use_on_a_cpu_list_is_found),
	KUNIT_CASE(page_with_references_on_a_cpu_list_is_found),
	KUNIT_CASE(reached_hooks_are_not_reported),
	KUNIT_CASE(hand_out_that_is_not_recorded_is_reported),
	KUNIT_CASE(free_that_is_not_recorded_is_reported),
	KUNIT_CASE(held_scrubber_looks_at_nothing),
	KUNIT_CASE(scrubber_keeps_its_period),
	KUNIT_CASE(new_period_takes_effect_at_once),
	KUNIT_CASE_SLOW(scrubber_is_silent_beside_transitions),
	{ }
};

static struct kunit_suite page_consistency_scrub_suite = {
	.name = "page_consistency_scrub",
	.init = page_consistency_init_test,
	.exit = page_consistency_exit_test,
	.test_cases = page_consistency_scrub_cases,
};

kunit_test_suite(page_consistency_scrub_suite);

MODULE_DESCRIPTION("KUnit tests of the page allocator consistency checker: scrubbing");
MODULE_LICENSE("GPL");
