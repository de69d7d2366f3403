// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: pages whose memory has failed.
 *
 * memory_failure() marks such a page, but the page allocator asks for the mark only when
 * a single page is freed: to look at each page of each block would cost too much.  The
 * record is compared as a whole in any case.  So a page that is marked while it is in use
 * becomes nobody's, which is recorded as inside: then the block around it cannot be freed
 * as a whole, whatever its order, and the hook that notices takes the mark for an excuse
 * (core.c).  The block is taken apart, its other pages go on, and the marked one is kept
 * out: recorded outside, on no list, with one reference, as soft offline leaves a page.
 *
 * The mark is set first and the record changes then, so whoever finds the record changed
 * finds the mark.  A page that is freed between the two is on its way to a free list, from
 * where memory_failure() takes it off.
 */

#include <linux/gfp.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page_consistency.h>
#include <linux/page_ref.h>
#include <linux/preempt.h>
#include <linux/sched.h>

#include "../internal.h"
#include "block.h"
#include "page.h"
#include "report.h"
#include "scrub.h"
#include "section.h"

/* Looks at a page that is neither in use nor on a free list; a tick passes between them. */
#define PC_POISON_LOOKS	4

/*
 * From the other state to this one, or nothing.  Whoever frees the page meanwhile waits,
 * but not for as long as interrupts may take.
 */
static bool pc_turn(struct page *page, bool outside)
{
	unsigned long pfn = page_to_pfn(page);
	struct dual_bitmap map;

	guard(irqsave)();
	if (!pc_lookup(pc_section_nr(pfn), &map))
		return false;
	return dual_bitmap_turn_bit(&map, pc_section_bit(pfn), outside);
}

/**
 * __page_consistency_disown - a page in use was marked PageHWPoison
 * @page: the page
 *
 * Context: Any.
 */
void __page_consistency_disown(struct page *page)
{
	pc_turn(page, false);
}

/**
 * __page_consistency_keep_out - a page that is PageHWPoison is kept out of the allocator
 * @page: the page
 *
 * Context: Any, NMI included.
 */
void __page_consistency_keep_out(struct page *page)
{
	pc_turn(page, true);
}

/* Per-CPU lists are emptied; what is on its way to a list, or to a user, arrives. */
static void pc_wait_for_page(struct page *page)
{
	drain_all_pages(page_zone(page));
	schedule_timeout_uninterruptible(1);
}

/**
 * __page_consistency_poisoned - a page has just been marked PageHWPoison
 * @page: the page
 *
 * A page in use becomes nobody's.  A free one is waited for, until memory_failure() can
 * take it off its list; it may be handed out instead.
 *
 * Context: Process context, may sleep.
 */
void __page_consistency_poisoned(struct page *page)
{
	int looks;

	for (looks = 0; looks < PC_POISON_LOOKS; looks++) {
		if (looks)
			pc_wait_for_page(page);
		if (pc_turn(page, false) || is_free_buddy_page(page))
			return;
	}
}

/**
 * __page_consistency_unpoisoned - PageHWPoison is about to be cleared
 * @page: the page
 *
 * Without references, a page that is recorded inside is either free, and then it will
 * be on a free list, or nobody's in a block that somebody else has.
 *
 * Context: Process context, may sleep.
 */
void __page_consistency_unpoisoned(struct page *page)
{
	int looks;

	for (looks = 0; looks < PC_POISON_LOOKS && !page_count(page); looks++) {
		if (looks)
			pc_wait_for_page(page);
		if (pc_recorded(page_to_pfn(page)) != PC_INSIDE || is_free_buddy_page(page))
			return;
	}
	pc_turn(page, true);
}

/**
 * __page_consistency_kept_out - was a page kept out when the block around it was freed?
 * @page: the page
 *
 * Context: Process context.
 * Return: true if it was; then it is the caller's, without a reference.
 */
bool __page_consistency_kept_out(struct page *page)
{
	return PageHWPoison(page) && pc_recorded(page_to_pfn(page)) == PC_OUTSIDE &&
	       page_ref_freeze(page, 1);
}

/**
 * __page_consistency_put_back - a page that was taken off a free list is about to be put back
 * @page: the page
 *
 * Context: zone->lock held.
 * Return: false if it must not be; it has been reported and is leaked.
 */
bool __page_consistency_put_back(struct page *page)
{
	struct pc_report report = {
		.event = PC_TAKE_BACK, .violation = PC_NOT_HANDED_OUT, .page = page,
	};
	struct dual_bitmap_fault fault;
	struct dual_bitmap map;
	bool found = false;

	if (pc_is_page(page, &report.pfn)) {
		report.section = pc_section_nr(report.pfn);
		guard(preempt_notrace)();
		found = pc_lookup(report.section, &map);
		if (found && dual_bitmap_clear(&map, pc_section_bit(report.pfn), 0, &fault))
			return true;
		if (found)
			dual_bitmap_undo_clear(&map, pc_section_bit(report.pfn), 0, &fault);
	}
	pc_conclude(&report, found ? &fault : NULL);
	return false;
}
