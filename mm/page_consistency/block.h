/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_PAGE_CONSISTENCY_BLOCK_H
#define _MM_PAGE_CONSISTENCY_BLOCK_H

/*
 * What a block on a free list has to be.  The hooks ask before it leaves its list,
 * the audit asks at any time; both hold zone->lock.
 */

#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mmzone.h>

#include "report.h"
#include "section.h"
#include "use.h"

/**
 * struct pc_bad_block - why a block is not what its free list says it is
 * @violation: what the block itself tells; pc_conclude() looks closer
 * @has_words: @words is valid
 * @words: the record
 * @link: the pointer that does not lead back, for PC_BAD_LINK
 * @wrong: the page of the block that is not as it must be, counted from the first
 */
struct pc_bad_block {
	enum pc_violation violation;
	bool has_words;
	struct dual_bitmap_fault words;
	const void *link;
	unsigned long wrong;
};

void pc_conclude(struct pc_report *report, const struct dual_bitmap_fault *fault);
void pc_report_block(enum pc_event event, const struct page *page, const struct zone *zone,
		     unsigned int order, const struct pc_bad_block *bad);
void pc_report_head(enum pc_event event, const struct zone *zone, unsigned int order,
		    const void *link);

static __always_inline bool pc_is_block(const struct page *page, unsigned int order,
					unsigned long *pfn)
{
	/* On a linear memmap one test serves for the pointer and for the block. */
	if (IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP) && is_power_of_2(sizeof(*page))) {
		unsigned long offset = (unsigned long)page - (unsigned long)pfn_to_page(0);

		*pfn = page_to_pfn(page);
		return likely(!(offset & ((sizeof(*page) << order) - 1)));
	}
	return pc_is_page(page, pfn) && likely(!(*pfn & ((1UL << order) - 1)));
}

/* Is it the head of a list of that order? */
static __always_inline bool pc_is_head(const struct list_head *link, const struct zone *zone,
				       unsigned int order)
{
	const struct list_head *lists = zone->free_area[order].free_list;
	unsigned long offset = (unsigned long)link - (unsigned long)lists;

	return offset < sizeof(zone->free_area[order].free_list) &&
	       IS_ALIGNED(offset, sizeof(*link));
}

/* Free lists link heads in the zone with heads in struct pages, and nothing else. */
static __always_inline bool pc_is_link(const struct list_head *link, const struct zone *zone,
				       unsigned int order)
{
	struct dual_bitmap map __uninitialized;
	unsigned long pfn;

	return pc_is_head(link, zone, order) ||
	       (pc_is_page(list_entry(link, struct page, buddy_list), &pfn) &&
		pc_lookup(pc_section_nr(pfn), &map));
}

static __always_inline bool pc_is_bad(struct pc_bad_block *bad, enum pc_violation violation,
				      bool has_words, const void *link)
{
	bad->violation = violation;
	bad->has_words = has_words;
	bad->link = link;
	bad->wrong = 0;
	return false;
}

/* What is wrong with a block that is not what its list says: nothing but its count? */
static inline enum pc_violation pc_judge_block(const struct page *page, unsigned int order)
{
	/* Whoever changes it meanwhile must not. */
	if (data_race(page->page_type) == (u32)PGTY_buddy << 24 && page_private(page) == order)
		return PC_COUNTED;
	return PC_BAD_BLOCK;
}

/**
 * pc_prove_state - is a pointer a free block of that order?
 * @page: anything
 * @order: at most MAX_PAGE_ORDER
 * @bad: filled in if not
 *
 * Nothing is read through @page before it is known to be a struct page.
 *
 * Context: zone->lock held.
 * Return: true if it is aligned, recorded inside as a whole, and says so itself.
 */
static __always_inline bool pc_prove_state(const struct page *page, unsigned int order,
					   struct pc_bad_block *bad)
{
	struct dual_bitmap map __uninitialized;
	unsigned long pfn;

	if (unlikely(!pc_is_block(page, order, &pfn)))
		return pc_is_bad(bad, PC_MISALIGNED, false, NULL);
	if (unlikely(!pc_lookup(pc_section_nr(pfn), &map)))
		return pc_is_bad(bad, PC_BAD_POINTER, false, NULL);
	if (unlikely(!dual_bitmap_is_clear(&map, pc_section_bit(pfn), order, &bad->words)))
		return pc_is_bad(bad, PC_BAD_BLOCK, true, NULL);
	/* The whole words, not only the bits that PageBuddy() and buddy_order() look at. */
	if (unlikely(pc_use(page) != PC_USE_BUDDY || page_private(page) != order))
		return pc_is_bad(bad, pc_judge_block(page, order), false, NULL);
	return true;
}

/**
 * pc_prove_links - do both list pointers of a block lead to something that leads back?
 * @page: a struct page
 * @zone: whose list it is on
 * @order: of the list
 * @bad: filled in if not
 *
 * Context: zone->lock held.
 * Return: true if both lead to a list head of @zone and @order or to a struct page of
 *	   tracked memory, and from there back to @page.
 */
static __always_inline bool pc_prove_links(const struct page *page, const struct zone *zone,
					   unsigned int order, struct pc_bad_block *bad)
{
	const struct list_head *link = READ_ONCE(page->buddy_list.next);

	if (likely(pc_is_link(link, zone, order) && link->prev == &page->buddy_list)) {
		link = READ_ONCE(page->buddy_list.prev);
		if (likely(pc_is_link(link, zone, order) && link->next == &page->buddy_list))
			return true;
	}
	return pc_is_bad(bad, PC_BAD_LINK, false, link);
}

#endif /* _MM_PAGE_CONSISTENCY_BLOCK_H */
