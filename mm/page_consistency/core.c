// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: the hooks, the only hot code.
 *
 * A page is *inside* the allocator until it is handed out, and *outside* from
 * then until it is taken back.  Each of the two is one transition of its pair of
 * bits, and what the bits were before is the check.  Preemption is off around
 * the transition of a section, so that a grace period means: none is in flight.
 */

#define pr_fmt(fmt) "page_consistency: " fmt

#include <linux/init.h>
#include <linux/instruction_pointer.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page_consistency.h>
#include <linux/preempt.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "../internal.h"
#include "block.h"
#include "hotplug.h"
#include "memmap.h"
#include "report.h"
#include "section.h"

/* Orders from a word to a section. */
#define PC_WORD_ORDERS	(PC_SECTION_SHIFT - DUAL_BITMAP_WORD_ORDER + 1)

DEFINE_STATIC_KEY_FALSE(page_consistency_enabled);
bool page_consistency_hold_nolock;

static bool pc_remote __initdata;
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

/**
 * pc_conclude - find out what exactly is wrong, and report it
 * @report: what is known; its violation is what the caller itself has to say
 * @fault: the record, NULL if it was sound or not reached
 *
 * All hooks end here when something is wrong.  What is looked at first decides:
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
				 const struct dual_bitmap_fault *fault, unsigned long caller)
{
	struct pc_report report = {
		.event = event, .violation = otherwise, .page = page, .pfn = pfn,
		.order = order, .section = pc_section_nr(pfn), .caller = caller,
	};

	pc_conclude(&report, fault);
}

/*
 * Sections are changed one by one; @bad is the first PFN of the section that
 * failed.  A hand-out cannot be refused: in `report` mode the record goes on as
 * if it had been legal.
 */
static noinline void pc_bad_alloc(struct page *page, unsigned int order, unsigned long bad,
				  const struct dual_bitmap_fault *fault, unsigned long caller)
{
	unsigned int chunk = min_t(unsigned int, order, PC_SECTION_SHIFT);
	unsigned long pfn, end;
	struct dual_bitmap map __uninitialized;

	pc_violated(PC_HAND_OUT, PC_MISALIGNED, page, order, bad, fault, caller);
	if (!fault)
		return;
	end = page_to_pfn(page) + (1UL << order);
	for (pfn = bad; pfn < end; pfn += PC_SECTION_PAGES)
		if (pc_lookup(pc_section_nr(pfn), &map))
			dual_bitmap_force_set(&map, pc_section_bit(pfn), chunk);
}

/* In `report` mode a refused block is outside, but for what was inside before. */
static noinline bool pc_bad_free(struct page *page, unsigned int order, unsigned long bad,
				 const struct dual_bitmap_fault *fault, unsigned long caller)
{
	unsigned int chunk = min_t(unsigned int, order, PC_SECTION_SHIFT);
	struct dual_bitmap map __uninitialized;
	unsigned long pfn;

	pc_violated(PC_TAKE_BACK, PC_MISALIGNED, page, order, bad, fault, caller);
	if (!fault)
		return false;
	for (pfn = page_to_pfn(page); pfn < bad; pfn += PC_SECTION_PAGES)
		if (pc_lookup(pc_section_nr(pfn), &map))
			dual_bitmap_force_set(&map, pc_section_bit(pfn), chunk);
	if (pc_lookup(pc_section_nr(bad), &map))
		dual_bitmap_undo_clear(&map, pc_section_bit(bad), chunk, fault);
	return false;
}

static noinline bool pc_reserved_free(struct page *page, unsigned int order, unsigned long pfn,
				      unsigned long caller)
{
	pc_violated(PC_TAKE_BACK, PC_FREED_RESERVED, page, order, pfn, NULL, caller);
	return false;
}

/* PageReserved() without its volatile, which costs an instruction. */
static __always_inline bool pc_is_reserved(const struct page *page)
{
	/* Other bits may change, this one does not while the page has an owner. */
	return data_race(page->flags.f) & BIT(PG_reserved);
}

static noinline void pc_alloc_sections(struct page *page, unsigned int order, unsigned long pfn,
				       unsigned long caller)
{
	unsigned long end = pfn + (1UL << order);
	struct dual_bitmap_fault fault;
	struct dual_bitmap map;
	bool found, sound;

	do {
		scoped_guard(preempt_notrace) {
			found = pc_lookup(pc_section_nr(pfn), &map);
			sound = found && dual_bitmap_set(&map, pc_section_bit(pfn),
							 PC_SECTION_SHIFT, &fault);
		}
		if (unlikely(!sound))
			return pc_bad_alloc(page, order, pfn, found ? &fault : NULL, caller);
		pfn += PC_SECTION_PAGES;
	} while (pfn < end);
}

static noinline void pc_bad_alloc_bit(struct page *page, enum dual_bitmap_step step,
				      unsigned long caller)
{
	unsigned long pfn = page_to_pfn(page);
	struct dual_bitmap_fault fault;
	struct dual_bitmap map;

	if (step == DUAL_BITMAP_DONE || !pc_lookup(pc_section_nr(pfn), &map))
		return pc_bad_alloc(page, 0, pfn, NULL, caller);
	dual_bitmap_bit_fault(&map, pc_section_bit(pfn), true, step, &fault);
	pc_bad_alloc(page, 0, pfn, &fault, caller);
}

static noinline void pc_bad_alloc_run(struct page *page, unsigned int order,
				      struct dual_bitmap_stop stop, unsigned long caller)
{
	unsigned long pfn = page_to_pfn(page);
	struct dual_bitmap_fault fault;
	struct dual_bitmap map;

	if (!stop.where || !pc_lookup(pc_section_nr(pfn), &map))
		return pc_bad_alloc(page, order, pfn, NULL, caller);
	dual_bitmap_run_fault(&map, pc_section_bit(pfn), order, true, stop, &fault);
	pc_bad_alloc(page, order, pfn, &fault, caller);
}

/*
 * Less than a word, or more than a section.  This and the next are tail calls, so
 * that _RET_IP_ still is the hook's caller.
 */
static noinline void pc_alloc_other(struct page *page, unsigned int order,
				    struct dual_bitmap map)
{
	unsigned long pfn = page_to_pfn(page);
	struct dual_bitmap_stop stop;

	if (unlikely(order > PC_SECTION_SHIFT)) {
		preempt_enable_notrace();
		return pc_alloc_sections(page, order, pfn, _RET_IP_);
	}
	stop = dual_bitmap_change_less(&map, pc_section_bit(pfn), order, true);
	preempt_enable_notrace();
	if (unlikely(stop.where))
		return pc_bad_alloc_run(page, order, stop, _RET_IP_);
}

static noinline void pc_alloc_run(struct page *page, unsigned int order)
{
	struct dual_bitmap_stop stop;
	struct dual_bitmap map;
	unsigned long pfn;

	if (unlikely(!pc_is_block(page, order, &pfn)))
		return pc_bad_alloc(page, order, pfn, NULL, _RET_IP_);

	preempt_disable_notrace();
	if (unlikely(!pc_lookup(pc_section_nr(pfn), &map))) {
		preempt_enable_notrace();
		return pc_bad_alloc_run(page, order, (struct dual_bitmap_stop) { }, _RET_IP_);
	}
	if (in_range(order, DUAL_BITMAP_WORD_ORDER, PC_WORD_ORDERS)) {
		stop = dual_bitmap_change_words(&map, pc_section_bit(pfn), order, true);
		preempt_enable_notrace();
		if (likely(!stop.where))
			return;
		return pc_bad_alloc_run(page, order, stop, _RET_IP_);
	}

	/* The largest order that is taken for granted deserves its own path. */
	if (!DUAL_BITMAP_NARROW_XCHG || order != 3)
		return pc_alloc_other(page, order, map);
	stop = dual_bitmap_change_unit(&map, pc_section_bit(pfn), 8, true);
	preempt_enable_notrace();
	if (unlikely(stop.where))
		return pc_bad_alloc_run(page, order, stop, _RET_IP_);
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
		return pc_bad_alloc(page, 0, pfn, NULL, _RET_IP_);

	/* One page: whatever fails is described out of line, so that no frame is needed. */
	preempt_disable_notrace();
	if (unlikely(!pc_lookup(pc_section_nr(pfn), &map))) {
		preempt_enable_notrace();
		return pc_bad_alloc_bit(page, DUAL_BITMAP_DONE, _RET_IP_);
	}
	step = dual_bitmap_change_bit(&map, pc_section_bit(pfn), true);
	preempt_enable_notrace();
	if (unlikely(step))
		pc_bad_alloc_bit(page, step, _RET_IP_);
}

static noinline bool pc_free_sections(struct page *page, unsigned int order, unsigned long pfn,
				      unsigned long caller)
{
	unsigned long end = pfn + (1UL << order);
	struct dual_bitmap_fault fault;
	struct dual_bitmap map;
	bool found, sound;

	do {
		scoped_guard(preempt_notrace) {
			found = pc_lookup(pc_section_nr(pfn), &map);
			sound = found && dual_bitmap_clear(&map, pc_section_bit(pfn),
							   PC_SECTION_SHIFT, &fault);
		}
		if (unlikely(!sound))
			return pc_bad_free(page, order, pfn, found ? &fault : NULL, caller);
		pfn += PC_SECTION_PAGES;
	} while (pfn < end);
	return true;
}

static noinline bool pc_bad_free_bit(struct page *page, enum dual_bitmap_step step,
				     unsigned long caller)
{
	unsigned long pfn = page_to_pfn(page);
	struct dual_bitmap_fault fault;
	struct dual_bitmap map;

	if (step == DUAL_BITMAP_DONE || !pc_lookup(pc_section_nr(pfn), &map))
		return pc_bad_free(page, 0, pfn, NULL, caller);
	dual_bitmap_bit_fault(&map, pc_section_bit(pfn), false, step, &fault);
	return pc_bad_free(page, 0, pfn, &fault, caller);
}

static noinline bool pc_bad_free_run(struct page *page, unsigned int order,
				     struct dual_bitmap_stop stop, unsigned long caller)
{
	unsigned long pfn = page_to_pfn(page);
	struct dual_bitmap_fault fault;
	struct dual_bitmap map;

	if (!stop.where || !pc_lookup(pc_section_nr(pfn), &map))
		return pc_bad_free(page, order, pfn, NULL, caller);
	dual_bitmap_run_fault(&map, pc_section_bit(pfn), order, false, stop, &fault);
	return pc_bad_free(page, order, pfn, &fault, caller);
}

/* Less than a word.  A mask takes more registers than may be clobbered. */
static noinline bool pc_free_other(struct page *page, unsigned int order,
				   struct dual_bitmap map)
{
	unsigned long pfn = page_to_pfn(page);
	struct dual_bitmap_stop stop;

	if (unlikely(order > PC_SECTION_SHIFT)) {
		preempt_enable_notrace();
		return pc_free_sections(page, order, pfn, _RET_IP_);
	}
	stop = dual_bitmap_change_less(&map, pc_section_bit(pfn), order, false);
	preempt_enable_notrace();
	if (unlikely(stop.where))
		return pc_bad_free_run(page, order, stop, _RET_IP_);
	return true;
}

static noinline bool pc_free_run(struct page *page, unsigned int order)
{
	struct dual_bitmap_stop stop;
	struct dual_bitmap map;
	unsigned long pfn;

	if (unlikely(!pc_is_block(page, order, &pfn)))
		return pc_bad_free(page, order, pfn, NULL, _RET_IP_);

	preempt_disable_notrace();
	if (unlikely(!pc_lookup(pc_section_nr(pfn), &map))) {
		preempt_enable_notrace();
		return pc_bad_free_run(page, order, (struct dual_bitmap_stop) { }, _RET_IP_);
	}
	if (unlikely(pc_is_reserved(page))) {
		preempt_enable_notrace();
		return pc_reserved_free(page, order, pfn, _RET_IP_);
	}
	if (in_range(order, DUAL_BITMAP_WORD_ORDER, PC_WORD_ORDERS)) {
		stop = dual_bitmap_change_words(&map, pc_section_bit(pfn), order, false);
		preempt_enable_notrace();
		if (likely(!stop.where))
			return true;
		return pc_bad_free_run(page, order, stop, _RET_IP_);
	}

	/* The largest order that is taken for granted deserves its own path. */
	if (!DUAL_BITMAP_NARROW_XCHG || order != 3)
		return pc_free_other(page, order, map);
	stop = dual_bitmap_change_unit(&map, pc_section_bit(pfn), 8, false);
	preempt_enable_notrace();
	if (unlikely(stop.where))
		return pc_bad_free_run(page, order, stop, _RET_IP_);
	return true;
}

/**
 * __page_consistency_free - record that a block is taken back
 * @page: first page of the block
 * @order: of the block; may exceed a section
 *
 * Every legal late free of boot memory clears PageReserved first, so a page that
 * still has it was never anybody's to free, although it is recorded outside.
 *
 * Context: Any, NMI included.
 * Return: false if it must not be; the block has been reported and is leaked.
 */
bool __page_consistency_free(struct page *page, unsigned int order)
{
	enum dual_bitmap_step step;
	struct dual_bitmap map;
	unsigned long pfn;

	if (order)
		return pc_free_run(page, order);
	if (unlikely(!pc_is_page(page, &pfn)))
		return pc_bad_free(page, 0, pfn, NULL, _RET_IP_);

	preempt_disable_notrace();
	if (unlikely(!pc_lookup(pc_section_nr(pfn), &map))) {
		preempt_enable_notrace();
		return pc_bad_free_bit(page, DUAL_BITMAP_DONE, _RET_IP_);
	}
	if (unlikely(pc_is_reserved(page))) {
		preempt_enable_notrace();
		return pc_reserved_free(page, 0, pfn, _RET_IP_);
	}
	step = dual_bitmap_change_bit(&map, pc_section_bit(pfn), false);
	preempt_enable_notrace();
	if (unlikely(step))
		return pc_bad_free_bit(page, step, _RET_IP_);
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
	__page_consistency_alloc(page, order);
}

/*
 * A link may lead nowhere because the table is damaged on the way to what it leads to.
 * Then it is the table that is wrong, and not the list.
 */
static bool pc_blame_table(struct pc_report *report)
{
	const struct page *page = list_entry((struct list_head *)report->link, struct page,
					     buddy_list);
	struct pc_report way = *report;
	struct dual_bitmap map;

	if (!report->link || !pc_is_page(page, &way.pfn) ||
	    pc_lookup(pc_section_nr(way.pfn), &map))
		return false;
	way.violation = pc_store_failure(&pc_store, pc_section_nr(way.pfn), &way);
	if (way.violation == PC_BAD_POINTER)
		return false;
	way.page = NULL;
	way.link = NULL;
	*report = way;
	return true;
}

/**
 * pc_report_block - report what is wrong with a block on a free list
 * @event: when it was noticed
 * @page: the block, as the list gave it; anything
 * @zone: whose list
 * @order: of the list
 * @bad: what is wrong
 * @caller: who asked
 *
 * Context: Any.
 */
noinline void pc_report_block(enum pc_event event, const struct page *page,
			      const struct zone *zone, unsigned int order,
			      const struct pc_bad_block *bad, unsigned long caller)
{
	struct pc_report report = {
		.event = event, .violation = bad->violation, .page = page, .order = order,
		.zone = zone, .link = bad->link, .caller = caller,
	};

	if (pc_blame_table(&report))
		return pc_report(&report);
	pc_is_page(page, &report.pfn);
	report.section = pc_section_nr(report.pfn);
	pc_conclude(&report, bad->has_words ? &bad->words : NULL);
}

/**
 * pc_report_head - report a list head one of whose pointers does not lead back
 * @event: when it was noticed
 * @zone: whose list
 * @order: of the list
 * @link: the pointer
 * @caller: who asked
 *
 * Context: Any.
 */
noinline void pc_report_head(enum pc_event event, const struct zone *zone, unsigned int order,
			     const void *link, unsigned long caller)
{
	struct pc_report report = {
		.event = event, .violation = PC_BAD_LINK, .order = order, .zone = zone,
		.link = link, .caller = caller,
	};

	pc_blame_table(&report);
	pc_report(&report);
}

/**
 * __page_consistency_leave - a block is about to be unlinked from a free list
 * @page: as the list gave it; anything
 * @zone: whose list
 * @order: of the list
 * @migratetype: of the list
 *
 * A check only.  What follows writes through @page and through both its links,
 * so all of them are proven first.
 *
 * Context: zone->lock held.
 */
void __page_consistency_leave(struct page *page, struct zone *zone, unsigned int order,
			      int migratetype)
{
	const struct list_head *head = &zone->free_area[order].free_list[migratetype];
	struct pc_bad_block bad __uninitialized;

	if (unlikely(!pc_prove_state(page, order, &bad) ||
		     !pc_prove_links(page, zone, order, &bad)))
		return pc_report_block(PC_LEAVE_LIST, page, zone, order, &bad, _RET_IP_);

	/* A head that leads into the middle of its list leads to a sound block. */
	if (unlikely((head->next == &page->buddy_list && page->buddy_list.prev != head) ||
		     (head->prev == &page->buddy_list && page->buddy_list.next != head))) {
		pc_is_bad(&bad, PC_BAD_LINK, false, &page->buddy_list);
		pc_report_block(PC_LEAVE_LIST, page, zone, order, &bad, _RET_IP_);
	}
}

/**
 * __page_consistency_join - a block is about to be linked into a free list
 * @zone: whose list
 * @order: of the list
 * @migratetype: of the list
 * @tail: at which end
 *
 * What follows writes through the link at that end, so it is proven first.
 *
 * Context: zone->lock held.
 */
void __page_consistency_join(struct zone *zone, unsigned int order, int migratetype, bool tail)
{
	struct list_head *head = &zone->free_area[order].free_list[migratetype];
	struct list_head *link = tail ? READ_ONCE(head->prev) : READ_ONCE(head->next);

	if (unlikely(!pc_is_link(link, zone, order) ||
		     (tail ? link->next : link->prev) != head))
		pc_report_head(PC_JOIN_LIST, zone, order, link, _RET_IP_);
}

#ifdef CONFIG_PAGE_CONSISTENCY_PCP
/* Per-CPU lists link their head with heads in struct pages. */
static bool pc_is_pcp_link(struct list_head *link, const struct list_head *list)
{
	struct dual_bitmap map __uninitialized;
	unsigned long pfn;

	return link == list ||
	       (pc_is_page(list_entry(link, struct page, pcp_list), &pfn) &&
		pc_lookup(pc_section_nr(pfn), &map));
}

static noinline void pc_bad_pcp(enum pc_event event, enum pc_violation violation,
				struct page *page, unsigned int order, unsigned long pfn,
				const struct dual_bitmap_fault *fault, const void *link,
				unsigned long caller)
{
	struct pc_report report = {
		.event = event, .violation = violation, .page = page, .pfn = pfn, .order = order,
		.section = pc_section_nr(pfn), .link = link, .caller = caller,
	};

	if (!pc_blame_table(&report) && page)
		pc_conclude(&report, fault);
	else
		pc_report(&report);
}

/* Returns PC_NR_VIOLATIONS if all is sound; @link is what was looked at last. */
static __always_inline enum pc_violation
pc_judge_pcp(struct page *page, const struct list_head *list, unsigned int order,
	     unsigned long *pfn, struct dual_bitmap_fault *fault, struct list_head **link)
{
	struct dual_bitmap map __uninitialized;

	guard(preempt_notrace)();
	if (unlikely(!pc_is_block(page, order, pfn)))
		return PC_MISALIGNED;
	if (unlikely(!pc_lookup(pc_section_nr(*pfn), &map)))
		return PC_BAD_POINTER;
	if (unlikely(!dual_bitmap_is_clear(&map, pc_section_bit(*pfn), order, fault)))
		return PC_LISTED_OUTSIDE;

	*link = READ_ONCE(page->pcp_list.next);
	if (unlikely(!pc_is_pcp_link(*link, list) || (*link)->prev != &page->pcp_list))
		return PC_BAD_LINK;
	*link = READ_ONCE(page->pcp_list.prev);
	if (unlikely(!pc_is_pcp_link(*link, list) || (*link)->next != &page->pcp_list))
		return PC_BAD_LINK;
	return PC_NR_VIOLATIONS;
}

/**
 * __page_consistency_leave_pcp - a block is about to be unlinked from a per-CPU list
 * @page: as the list gave it; anything
 * @list: the list
 * @order: of its blocks
 *
 * Context: The lock of the per-CPU lists held; NMI included.
 */
void __page_consistency_leave_pcp(struct page *page, struct list_head *list, unsigned int order)
{
	struct dual_bitmap_fault fault __uninitialized;
	struct list_head *link __uninitialized;
	enum pc_violation violation;
	unsigned long pfn;

	violation = pc_judge_pcp(page, list, order, &pfn, &fault, &link);
	if (likely(violation == PC_NR_VIOLATIONS))
		return;
	pc_bad_pcp(PC_LEAVE_PCP, violation, page, order, pfn,
		   violation == PC_LISTED_OUTSIDE ? &fault : NULL,
		   violation == PC_BAD_LINK ? link : NULL, _RET_IP_);
}

/**
 * __page_consistency_join_pcp - a block is about to be linked in at the head of a per-CPU list
 * @list: the list
 *
 * Context: The lock of the per-CPU lists held; NMI included.
 */
void __page_consistency_join_pcp(struct list_head *list)
{
	struct list_head *link = READ_ONCE(list->next);
	bool sound;

	scoped_guard(preempt_notrace)
		sound = pc_is_pcp_link(link, list) && link->prev == list;
	if (unlikely(!sound))
		pc_bad_pcp(PC_JOIN_PCP, PC_BAD_LINK, NULL, 0, 0, NULL, link, _RET_IP_);
}
#endif /* CONFIG_PAGE_CONSISTENCY_PCP */

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
		} else if (!strcmp(option, "report")) {
			pc_policy = PC_POLICY_REPORT;
		} else if (!strcmp(option, "remote")) {
			pc_remote = true;
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
	if (pc_policy == PC_POLICY_OFF)
		return;

	pc_refused = pc_memmap_init() ?: pc_store_init(pc_remote);
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
