// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: what must hold before a block leaves or joins a
 * list, and what is said if it does not.
 *
 * What follows such a hook writes through the pointers of the list, so all of them are
 * proven first.
 */

#include <linux/compiler.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page_consistency.h>
#include <linux/preempt.h>

#include "../internal.h"
#include "block.h"
#include "report.h"
#include "section.h"
#include "use.h"

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

	if (!report->has_link || !pc_is_page(page, &way.pfn) ||
	    pc_lookup(pc_section_nr(way.pfn), &map))
		return false;
	way.violation = pc_store_failure(&pc_store, pc_section_nr(way.pfn), &way);
	if (way.violation == PC_BAD_POINTER)
		return false;
	way.page = NULL;
	way.link = NULL;
	way.has_link = false;
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
 *
 * Context: Any.
 */
noinline void pc_report_block(enum pc_event event, const struct page *page,
			      const struct zone *zone, unsigned int order,
			      const struct pc_bad_block *bad)
{
	struct pc_report report = {
		.event = event, .violation = bad->violation, .page = page, .order = order,
		.zone = zone, .link = bad->link, .has_link = bad->violation == PC_BAD_LINK,
		.wrong = bad->wrong,
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
 *
 * Context: Any.
 */
noinline void pc_report_head(enum pc_event event, const struct zone *zone, unsigned int order,
			     const void *link)
{
	struct pc_report report = {
		.event = event, .violation = PC_BAD_LINK, .order = order, .zone = zone,
		.link = link, .has_link = true,
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
		return pc_report_block(PC_LEAVE_LIST, page, zone, order, &bad);

	/* A head that leads into the middle of its list leads to a sound block. */
	if (unlikely((head->next == &page->buddy_list && page->buddy_list.prev != head) ||
		     (head->prev == &page->buddy_list && page->buddy_list.next != head))) {
		pc_is_bad(&bad, PC_BAD_LINK, false, &page->buddy_list);
		pc_report_block(PC_LEAVE_LIST, page, zone, order, &bad);
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
		pc_report_head(PC_JOIN_LIST, zone, order, link);
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
				const struct dual_bitmap_fault *fault, const void *link)
{
	struct pc_report report = {
		.event = event, .violation = violation, .page = page, .pfn = pfn, .order = order,
		.section = pc_section_nr(pfn), .link = link,
		.has_link = violation == PC_BAD_LINK,
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
	if (unlikely(pc_use(page) != PC_UNUSED))
		return PC_COUNTED;

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
		   violation == PC_BAD_LINK ? link : NULL);
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
		pc_bad_pcp(PC_JOIN_PCP, PC_BAD_LINK, NULL, 0, 0, NULL, link);
}
#endif /* CONFIG_PAGE_CONSISTENCY_PCP */
