// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: the hooks at hand-out and free.
 *
 * A page is *inside* the allocator until it is handed out, and *outside* from
 * then until it is taken back.  Each of the two is one transition of its pair of
 * bits, and what the bits were before is the check.  Preemption is off around
 * the transition of a section, so that a grace period means: none is in flight.
 */

#define pr_fmt(fmt) "page_consistency: " fmt

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/cache.h>
#include <linux/init.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page_consistency.h>
#include <linux/page_ref.h>
#include <linux/preempt.h>
#include <linux/printk.h>
#include <linux/processor.h>
#include <linux/string.h>

#include "../internal.h"
#include "block.h"
#include "hotplug.h"
#include "memmap.h"
#include "page.h"
#include "report.h"
#include "section.h"
#include "use.h"

/* Orders from a word to a section. */
#define PC_WORD_ORDERS	(PC_SECTION_SHIFT - DUAL_BITMAP_WORD_ORDER + 1)

/* Whoever marks a page as failed is between two steps for nanoseconds, unless interrupted. */
#define PC_MARK_LOOKS	65536

/* Once the machine runs, nothing can switch the checker off by its key. */
DEFINE_STATIC_KEY_FALSE_RO(page_consistency_enabled);
bool page_consistency_hold_nolock;

static bool pc_want_remote __initdata;
static const char *pc_refused __ro_after_init;

/* What a failed change or test says about the record. */
static enum pc_violation pc_judge(const struct dual_bitmap_fault *fault, enum pc_event event)
{
	unsigned long primary = fault->primary & fault->mask;
	unsigned long secondary = fault->secondary & fault->mask;
	unsigned long expected = event == PC_TAKE_BACK ? fault->mask : 0;

	if ((primary ^ secondary) == fault->mask) {
		switch (event) {
		case PC_HAND_OUT:
			return PC_HANDED_OUT_TWICE;
		case PC_TAKE_BACK:
			return PC_NOT_HANDED_OUT;
		default:
			return PC_LISTED_OUTSIDE;
		}
	}
	/* Of the bad pairs, which half is not what it must be? */
	if (dual_bitmap_bad_bits(primary, secondary) & fault->mask & (primary ^ expected))
		return PC_BAD_PRIMARY;
	return PC_BAD_SECONDARY;
}

/* Of the run that a fault is about, the first page that is not as it must be. */
static unsigned long pc_wrong_pfn(const struct pc_report *report,
				  const struct dual_bitmap_fault *fault)
{
	unsigned long bad = fault->primary | ~fault->secondary;
	unsigned long pfn = (report->section << PC_SECTION_SHIFT) + fault->word * BITS_PER_LONG;

	if (report->event == PC_TAKE_BACK)
		bad = ~fault->primary | fault->secondary;
	bad &= fault->mask;
	return bad ? pfn + __ffs(bad) : report->pfn;
}

/**
 * pc_conclude - find out what exactly is wrong, and report it
 * @report: what is known; its violation is what the caller itself has to say
 * @fault: the record, NULL if it was sound or not reached
 *
 * The hooks of a block end here when something is wrong.  What is looked at first decides:
 * the pointer, the way to the record, the record, and then @report.
 *
 * Context: Any.
 */
void pc_conclude(struct pc_report *report, const struct dual_bitmap_fault *fault)
{
	enum pc_violation lookup = pc_store_failure(&pc_store, report->section, report);
	struct dual_bitmap map;

	if (!pc_is_page(report->page, &report->pfn)) {
		report->violation = PC_BAD_POINTER;
		report->has_entry = false;
		report->has_root = false;
	} else if (!pc_lookup(report->section, &map)) {
		report->violation = lookup;
	} else {
		report->proven = true;
		if (fault) {
			report->violation = pc_judge(fault, report->event);
			report->fault = *fault;
			report->has_words = true;
			report->wrong = pc_wrong_pfn(report, fault) - report->pfn;
		} else if (report->violation == PC_MISALIGNED &&
			   IS_ALIGNED(report->pfn, 1UL << report->order)) {
			/* The way to the record was broken a moment ago. */
			report->violation = PC_BAD_ENTRY;
		}
	}
	pc_report(report);
}

static noinline void pc_violated(enum pc_event event, enum pc_violation otherwise,
				 struct page *page, unsigned int order, unsigned long pfn,
				 const struct dual_bitmap_fault *fault)
{
	struct pc_report report = {
		.event = event, .violation = otherwise, .page = page, .pfn = pfn,
		.order = order, .section = pc_section_nr(pfn),
	};

	pc_conclude(&report, fault);
}

/* What a page or block says of itself contradicts what is being done with it. */
static void pc_misused(enum pc_event event, enum pc_violation violation, struct page *page,
		       unsigned int order, unsigned long wrong)
{
	unsigned long pfn = page_to_pfn(page);
	struct pc_report report = {
		.event = event, .violation = violation, .page = page, .pfn = pfn,
		.order = order, .section = pc_section_nr(pfn), .wrong = wrong,
	};

	pc_conclude(&report, NULL);
}

/*
 * Sections are changed one by one; @bad is the first PFN of the section that
 * failed.  A hand-out cannot be refused: in `report` mode the record goes on as
 * if it had been legal.
 */
static noinline void pc_bad_alloc(struct page *page, unsigned int order, unsigned long bad,
				  const struct dual_bitmap_fault *fault)
{
	unsigned int chunk = min_t(unsigned int, order, PC_SECTION_SHIFT);
	unsigned long pfn, end;
	struct dual_bitmap map __uninitialized;

	pc_violated(PC_HAND_OUT, PC_MISALIGNED, page, order, bad, fault);
	if (!fault)
		return;
	end = page_to_pfn(page) + (1UL << order);
	for (pfn = bad; pfn < end; pfn += PC_SECTION_PAGES)
		if (pc_lookup(pc_section_nr(pfn), &map))
			dual_bitmap_force_set(&map, pc_section_bit(pfn), chunk);
}

/*
 * Somebody has put the page once too often since it was freed, or has taken a reference
 * of it.  In `report` mode it is handed out as if neither had happened.
 */
static noinline void pc_counted_alloc(struct page *page, unsigned int order)
{
	pc_misused(PC_HAND_OUT, PC_COUNTED, page, order, 0);
	set_page_count(page, 0);
	page->page_type = UINT_MAX;
}

/*
 * A word of a block that is freed: is each of its pages outside, or inside because it
 * has failed and was taken from its owner?  Damage is no excuse.
 */
static bool pc_word_has_failed(unsigned long section, const struct dual_bitmap_fault *fault)
{
	unsigned long bad = fault->mask & ~(fault->primary & ~fault->secondary);
	unsigned long pfn = (section << PC_SECTION_SHIFT) + fault->word * BITS_PER_LONG;
	unsigned int bit;

	for_each_set_bit(bit, &bad, BITS_PER_LONG)
		if (!PageHWPoison(pfn_to_page(pfn + bit)))
			return false;
	return !(dual_bitmap_bad_bits(fault->primary, fault->secondary) & bad);
}

/* Of a block that nobody else changes but who marks its pages as failed, in two steps. */
static void pc_read_word(const struct dual_bitmap *map, unsigned long word,
			 struct dual_bitmap_fault *fault)
{
	unsigned int tries = PC_MARK_LOOKS;

	*fault = (struct dual_bitmap_fault) { .word = word, .mask = ~0UL, .reread = true };
	do {
		cpu_relax();
		fault->primary = READ_ONCE(map->primary[word]);
		fault->secondary = READ_ONCE(map->secondary[word]);
	} while (dual_bitmap_bad_bits(fault->primary, fault->secondary) && --tries);
}

/*
 * Is nothing wrong with the block but that memory has failed in it?  @bad and @fault
 * are what was found first, and become what is wrong with it if something is.
 */
static bool pc_has_only_failed(struct page *page, unsigned int order, unsigned long *bad,
			       struct dual_bitmap_fault *fault)
{
	unsigned long section = pc_section_nr(*bad), end = page_to_pfn(page) + (1UL << order);
	unsigned long pfn = (section << PC_SECTION_SHIFT) + fault->word * BITS_PER_LONG;
	struct dual_bitmap map;

	if (!pc_lookup(section, &map))
		return false;
	/* A mark that came too early is taken back, see dual_bitmap_turn_bit(). */
	fault->primary |= READ_ONCE(map.primary[fault->word]) & fault->mask & ~fault->secondary;
	while (pc_word_has_failed(pc_section_nr(pfn), fault)) {
		pfn += BITS_PER_LONG;
		if (pfn >= end)
			return true;
		if (IS_ALIGNED(pfn, PC_SECTION_PAGES))
			*bad = pfn;
		if (!pc_lookup(pc_section_nr(pfn), &map))
			return false;
		pc_read_word(&map, BIT_WORD(pc_section_bit(pfn)), fault);
	}
	return false;
}

/*
 * A block in which memory has failed is taken apart.  In `report` mode a refused block
 * is outside, but for what was inside before.
 */
static noinline bool pc_bad_free(struct page *page, unsigned int order, unsigned long bad,
				 const struct dual_bitmap_fault *fault)
{
	unsigned int chunk = min_t(unsigned int, order, PC_SECTION_SHIFT);
	struct dual_bitmap_fault wrong __uninitialized;
	struct dual_bitmap map __uninitialized;
	unsigned long pfn, where = bad;
	bool only_failed = false;

	if (fault) {
		wrong = *fault;
		only_failed = pc_has_only_failed(page, order, &where, &wrong);
	}
	if (!only_failed)
		pc_violated(PC_TAKE_BACK, PC_MISALIGNED, page, order, where,
			    fault ? &wrong : NULL);
	if (!fault)
		return false;
	for (pfn = page_to_pfn(page); pfn < bad; pfn += PC_SECTION_PAGES)
		if (pc_lookup(pc_section_nr(pfn), &map))
			dual_bitmap_force_set(&map, pc_section_bit(pfn), chunk);
	if (pc_lookup(pc_section_nr(bad), &map))
		dual_bitmap_undo_clear(&map, pc_section_bit(bad), chunk, fault);
	if (only_failed)
		page_consistency_free_apart(page, order);
	return false;
}

/* Any order, section by section, and the record only. */
static noinline void pc_alloc_sections(struct page *page, unsigned int order)
{
	unsigned int chunk = min_t(unsigned int, order, PC_SECTION_SHIFT);
	unsigned long pfn = page_to_pfn(page), end = pfn + (1UL << order);
	struct dual_bitmap_fault fault;
	struct dual_bitmap map;
	bool found, sound;

	do {
		scoped_guard(preempt_notrace) {
			found = pc_lookup(pc_section_nr(pfn), &map);
			sound = found && dual_bitmap_set(&map, pc_section_bit(pfn), chunk, &fault);
		}
		if (unlikely(!sound))
			return pc_bad_alloc(page, order, pfn, found ? &fault : NULL);
		pfn += PC_SECTION_PAGES;
	} while (pfn < end);
}

static noinline void pc_bad_alloc_bit(struct page *page, enum dual_bitmap_step step)
{
	unsigned long pfn = page_to_pfn(page);
	struct dual_bitmap_fault fault;
	struct dual_bitmap map;

	if (step == DUAL_BITMAP_DONE || !pc_lookup(pc_section_nr(pfn), &map))
		return pc_bad_alloc(page, 0, pfn, NULL);
	dual_bitmap_bit_fault(&map, pc_section_bit(pfn), true, step, &fault);
	pc_bad_alloc(page, 0, pfn, &fault);
}

static noinline void pc_bad_alloc_run(struct page *page, unsigned int order,
				      struct dual_bitmap_stop stop)
{
	unsigned long pfn = page_to_pfn(page);
	struct dual_bitmap_fault fault;
	struct dual_bitmap map;

	if (!stop.where || !pc_lookup(pc_section_nr(pfn), &map))
		return pc_bad_alloc(page, order, pfn, NULL);
	dual_bitmap_run_fault(&map, pc_section_bit(pfn), order, true, stop, &fault);
	pc_bad_alloc(page, order, pfn, &fault);
}

/* Nobody may have to do with a block but who gets it now. */
static __always_inline void pc_alloc_use(struct page *page, unsigned int order)
{
	if (unlikely(pc_use(page) != PC_UNUSED))
		pc_counted_alloc(page, order);
}

/* Less than a word, or more than a section. */
static noinline void pc_alloc_other(struct page *page, unsigned int order,
				    struct dual_bitmap map)
{
	struct dual_bitmap_stop stop = { };

	if (unlikely(order > PC_SECTION_SHIFT)) {
		preempt_enable_notrace();
		pc_alloc_sections(page, order);
	} else {
		stop = dual_bitmap_change_less(&map, pc_section_bit(page_to_pfn(page)), order,
					       true);
		preempt_enable_notrace();
	}
	if (unlikely(stop.where))
		return pc_bad_alloc_run(page, order, stop);
	pc_alloc_use(page, order);
}

static noinline void pc_alloc_run(struct page *page, unsigned int order)
{
	struct dual_bitmap_stop stop;
	struct dual_bitmap map;
	unsigned long pfn;

	if (unlikely(!pc_is_block(page, order, &pfn)))
		return pc_bad_alloc(page, order, pfn, NULL);

	preempt_disable_notrace();
	if (unlikely(!pc_lookup(pc_section_nr(pfn), &map))) {
		preempt_enable_notrace();
		return pc_bad_alloc_run(page, order, (struct dual_bitmap_stop) { });
	}
	if (in_range(order, DUAL_BITMAP_WORD_ORDER, PC_WORD_ORDERS))
		stop = dual_bitmap_change_words(&map, pc_section_bit(pfn), order, true);
	/* The largest order that is taken for granted deserves its own path. */
	else if (DUAL_BITMAP_NARROW_XCHG && order == 3)
		stop = dual_bitmap_change_unit(&map, pc_section_bit(pfn), 8, true);
	else
		return pc_alloc_other(page, order, map);
	preempt_enable_notrace();
	if (unlikely(stop.where))
		return pc_bad_alloc_run(page, order, stop);
	pc_alloc_use(page, order);
}

/**
 * __page_consistency_alloc - record that a block is handed out
 * @page: first page of the block
 * @order: of the block; may exceed a section
 *
 * Context: Any, NMI included.
 */
void __page_consistency_alloc(struct page *page, unsigned int order)
{
	enum dual_bitmap_step step;
	struct dual_bitmap map;
	unsigned long pfn;

	if (order)
		return pc_alloc_run(page, order);
	if (unlikely(!pc_is_page(page, &pfn)))
		return pc_bad_alloc(page, 0, pfn, NULL);

	/* One page: whatever fails is described out of line, so that no frame is needed. */
	preempt_disable_notrace();
	if (unlikely(!pc_lookup(pc_section_nr(pfn), &map))) {
		preempt_enable_notrace();
		return pc_bad_alloc_bit(page, DUAL_BITMAP_DONE);
	}
	step = dual_bitmap_change_bit(&map, pc_section_bit(pfn), true);
	preempt_enable_notrace();
	if (unlikely(step))
		return pc_bad_alloc_bit(page, step);
	pc_alloc_use(page, 0);
}

/* Any order, section by section, and the record only. */
static noinline bool pc_free_sections(struct page *page, unsigned int order)
{
	unsigned int chunk = min_t(unsigned int, order, PC_SECTION_SHIFT);
	unsigned long pfn = page_to_pfn(page), end = pfn + (1UL << order);
	struct dual_bitmap_fault fault;
	struct dual_bitmap map;
	bool found, sound;

	do {
		scoped_guard(preempt_notrace) {
			found = pc_lookup(pc_section_nr(pfn), &map);
			sound = found && dual_bitmap_clear(&map, pc_section_bit(pfn), chunk,
							   &fault);
		}
		if (unlikely(!sound))
			return pc_bad_free(page, order, pfn, found ? &fault : NULL);
		pfn += PC_SECTION_PAGES;
	} while (pfn < end);
	return true;
}

static noinline bool pc_bad_free_bit(struct page *page, enum dual_bitmap_step step)
{
	unsigned long pfn = page_to_pfn(page);
	struct dual_bitmap_fault fault;
	struct dual_bitmap map;

	if (step == DUAL_BITMAP_DONE || !pc_lookup(pc_section_nr(pfn), &map))
		return pc_bad_free(page, 0, pfn, NULL);
	dual_bitmap_bit_fault(&map, pc_section_bit(pfn), false, step, &fault);
	return pc_bad_free(page, 0, pfn, &fault);
}

static noinline bool pc_bad_free_run(struct page *page, unsigned int order,
				     struct dual_bitmap_stop stop)
{
	unsigned long pfn = page_to_pfn(page);
	struct dual_bitmap_fault fault;
	struct dual_bitmap map;

	if (!stop.where || !pc_lookup(pc_section_nr(pfn), &map))
		return pc_bad_free(page, order, pfn, NULL);
	dual_bitmap_run_fault(&map, pc_section_bit(pfn), order, false, stop, &fault);
	return pc_bad_free(page, order, pfn, &fault);
}

/*
 * Why a block must not be freed, by its own account; PC_NR_VIOLATIONS if it may.  @wrong
 * is the page that tells, counted from the first.
 */
static enum pc_violation pc_judge_free(const struct page *page, unsigned int order,
				       unsigned long *wrong)
{
	*wrong = 0;
	if (PageReserved(page))
		return PC_FREED_RESERVED;
	if (pc_is_tail(page) || (PageHead(page) && pc_compound_order(page) != order))
		return PC_WRONG_ORDER;
	if (page_ref_count(page) ||
	    (pc_use(page) != PC_UNUSED && !pc_type_may_be_freed(page)))
		return PC_FREED_IN_USE;
	if (!PageHead(page)) {
		*wrong = pc_first_used(page, 1, 1UL << order);
		if (*wrong < 1UL << order)
			return PC_FREED_IN_USE;
	}
	*wrong = 0;
	return PC_NR_VIOLATIONS;
}

/*
 * Something about a block is unusual.  That it is recorded inside says more than what
 * it says itself, so the record has the first word.
 */
static noinline bool pc_free_suspect(struct page *page, unsigned int order)
{
	enum pc_violation violation;
	unsigned long wrong;

	/* The allocator keeps it away from its lists, see page_consistency_keep_out(). */
	if (!order && PageHWPoison(page))
		return true;
	violation = pc_judge_free(page, order, &wrong);
	if (!pc_free_sections(page, order))
		return false;
	if (likely(violation == PC_NR_VIOLATIONS))
		return true;
	pc_alloc_sections(page, order);
	pc_misused(PC_TAKE_BACK, violation, page, order, wrong);
	return false;
}

/* Nobody but who frees it has to do with the block, or with a page of it. */
static __always_inline bool pc_is_one_block(const struct page *page, unsigned int order)
{
	unsigned long flags = pc_telling_flags(page) & (BIT(PG_head) | BIT(PG_reserved));

	if (unlikely(pc_use(page) != PC_UNUSED))
		return false;
	if (flags)
		return flags == BIT(PG_head) && pc_compound_order(page) == order;
	return !pc_is_tail(page) && pc_first_used(page, 1, 1UL << order) == 1UL << order;
}

/* Less than a word, or more than a section.  A mask takes more registers than may be clobbered. */
static noinline bool pc_free_other(struct page *page, unsigned int order,
				   struct dual_bitmap map)
{
	struct dual_bitmap_stop stop;

	if (unlikely(order > PC_SECTION_SHIFT)) {
		preempt_enable_notrace();
		return pc_free_sections(page, order);
	}
	stop = dual_bitmap_change_less(&map, pc_section_bit(page_to_pfn(page)), order, false);
	preempt_enable_notrace();
	if (unlikely(stop.where))
		return pc_bad_free_run(page, order, stop);
	return true;
}

static noinline bool pc_free_run(struct page *page, unsigned int order)
{
	struct dual_bitmap_stop stop;
	struct dual_bitmap map;
	unsigned long pfn;

	if (unlikely(!pc_is_block(page, order, &pfn)))
		return pc_bad_free(page, order, pfn, NULL);

	preempt_disable_notrace();
	if (unlikely(!pc_lookup(pc_section_nr(pfn), &map))) {
		preempt_enable_notrace();
		return pc_bad_free_run(page, order, (struct dual_bitmap_stop) { });
	}
	if (unlikely(!pc_is_one_block(page, order))) {
		preempt_enable_notrace();
		return pc_free_suspect(page, order);
	}
	if (in_range(order, DUAL_BITMAP_WORD_ORDER, PC_WORD_ORDERS))
		stop = dual_bitmap_change_words(&map, pc_section_bit(pfn), order, false);
	/* The largest order that is taken for granted deserves its own path. */
	else if (DUAL_BITMAP_NARROW_XCHG && order == 3)
		stop = dual_bitmap_change_unit(&map, pc_section_bit(pfn), 8, false);
	else
		return pc_free_other(page, order, map);
	preempt_enable_notrace();
	if (unlikely(stop.where))
		return pc_bad_free_run(page, order, stop);
	return true;
}

/**
 * __page_consistency_free - record that a block is taken back
 * @page: first page of the block
 * @order: of the block; may exceed a section
 *
 * What the block says itself is asked as well.  Every legal late free of boot memory
 * clears PageReserved first; the last reference is gone; a compound block is freed as
 * what it is; and no page of another block has an owner.
 *
 * Context: Any, NMI included.
 * Return: false if it must not be; the block has been reported and is leaked, or memory
 *	   has failed in it and the rest has been freed.
 */
bool __page_consistency_free(struct page *page, unsigned int order)
{
	enum dual_bitmap_step step;
	struct dual_bitmap map;
	unsigned long pfn;

	if (order)
		return pc_free_run(page, order);
	if (unlikely(!pc_is_page(page, &pfn)))
		return pc_bad_free(page, 0, pfn, NULL);

	preempt_disable_notrace();
	if (unlikely(!pc_lookup(pc_section_nr(pfn), &map))) {
		preempt_enable_notrace();
		return pc_bad_free_bit(page, DUAL_BITMAP_DONE);
	}
	if (unlikely(pc_telling_flags(page) || pc_use(page) != PC_UNUSED || pc_is_tail(page))) {
		preempt_enable_notrace();
		return pc_free_suspect(page, 0);
	}
	step = dual_bitmap_change_bit(&map, pc_section_bit(pfn), false);
	preempt_enable_notrace();
	if (unlikely(step))
		return pc_bad_free_bit(page, step);
	return true;
}

/**
 * __page_consistency_unfree - a block that was taken back is not freed after all
 * @page: first page of the block
 * @order: of the block
 *
 * Context: Any, NMI included.
 */
void __page_consistency_unfree(struct page *page, unsigned int order)
{
	pc_alloc_sections(page, order);
}

/**
 * __page_consistency_put - a reference was put, and it was not the last one
 * @page: the page
 * @order: that the caller would free it with
 *
 * A count below zero means that somebody has put the page once too often.  That it is
 * recorded inside would not: whoever has the last reference may have put it since.
 *
 * Context: Any, NMI included.
 * Return: false if the count is below zero; that was reported, and is taken back.
 */
bool __page_consistency_put(struct page *page, unsigned int order)
{
	int count = page_ref_count(page);

	if (likely(count >= 0))
		return true;
	pc_misused(PC_PUT, PC_PUT_TOO_OFTEN, page, order, 0);
	/* Unless somebody has changed it since, who may have got the page. */
	atomic_cmpxchg(&page->_refcount, count, count + 1);
	return false;
}

static int __init page_consistency_setup(char *options)
{
	char *option;

	pc_policy = PC_POLICY_PANIC;
	while ((option = strsep(&options, ","))) {
		if (!strcmp(option, "off") && IS_ENABLED(CONFIG_PAGE_CONSISTENCY_ENFORCED)) {
			pr_err("'off' is ignored, this kernel must not run without the checker\n");
			pc_policy = PC_POLICY_PANIC;
		} else if (!strcmp(option, "off")) {
			pc_policy = PC_POLICY_OFF;
		} else if (!strcmp(option, "on")) {
			pc_policy = PC_POLICY_PANIC;
		} else if (!strcmp(option, "report") &&
			   IS_ENABLED(CONFIG_PAGE_CONSISTENCY_ENFORCED)) {
			pr_err("'report' is taken for 'on', this kernel must stop at a violation\n");
			pc_policy = PC_POLICY_PANIC;
		} else if (!strcmp(option, "report")) {
			pc_policy = PC_POLICY_REPORT;
		} else if (!strcmp(option, "remote")) {
			pc_want_remote = true;
		} else {
			pr_err("'%s' is unknown, taken for 'on'; known are off, on, report and remote\n",
			       option);
			pc_policy = PC_POLICY_PANIC;
		}
	}
	return 0;
}
early_param("page_consistency", page_consistency_setup);

/**
 * page_consistency_init - start, if asked to
 *
 * Context: Boot, before the first page is freed into the allocator; from then on
 *	    every page passes the hooks and there is no blind window.
 */
void __init page_consistency_init(void)
{
	pc_policy_settle();
	if (pc_policy == PC_POLICY_OFF)
		return;

	pc_refused = pc_memmap_init() ?: pc_store_init(pc_want_remote);
	if (pc_refused)
		return;

	pc_hotplug_init();
	static_branch_enable(&page_consistency_enabled);
	pr_info("%s: %lu pages in %lu sections, %lu KiB, copies at least %lu KiB apart\n",
		pc_policy_name(), pc_store.tracked << PC_SECTION_SHIFT, pc_store.tracked,
		pc_store.bytes >> 10, (unsigned long)(pc_store.distance >> 10));
}

/*
 * A machine that was to run under the checker and cannot must not run.  It stops
 * before anything else does, but not before there is a console to say so on.
 */
static int __init page_consistency_refuse(void)
{
	if (pc_refused)
		pc_panic("asked for and not possible: %s", pc_refused);
	return 0;
}
early_initcall(page_consistency_refuse);
