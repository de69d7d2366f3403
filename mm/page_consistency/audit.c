// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: the free lists compared with the record.
 *
 * The walk goes by PFN through what is recorded inside, not along the lists: a PFN
 * is not invalidated by what happens to the lists between two steps, so nothing has
 * to be rotated or begun anew, and the struct pages of holes, of memory that is not
 * initialised yet and of pages in use are never looked at.
 *
 * Every block that is found is proven as if it were to leave its list, and so are
 * both its neighbours but for their links; each list head proves the block at either
 * end.  So along each list, from the head on, every entry is a free block of that
 * order which is recorded inside, which means that the walk comes by and looks at its
 * links.  An entry of which this is not true, because it is recorded outside or its
 * struct page does not say that it is free, is not found by its PFN; but the entry or
 * the head before it is, and reports it.  What can escape a pass is an entry whose
 * neighbours on both sides change while the walk goes by.
 *
 * "On a free list" implies "inside", and under the lock that guards the list this
 * holds at every moment: nothing has to be confirmed.  The reverse is not true.
 * Per-CPU lists, isolated, guard and reported pages are inside too.
 */

#include <linux/bitmap.h>
#include <linux/cpumask.h>
#include <linux/list.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/page_consistency.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include "../internal.h"
#include "block.h"
#include "page.h"
#include "report.h"
#include "scrub.h"
#include "section.h"

/* Blocks, or pages that are on no list, under one hold of zone->lock ... */
#define PC_AUDIT_STEP	64

/* ... and struct pages: those of all their pages are looked at.  One block may be larger. */
#define PC_AUDIT_PAGES	1024

/* Entries of one per-CPU list under one hold of its lock. */
#define PC_AUDIT_ENTRIES 256

/* The first page from @bit on that is recorded inside; PC_SECTION_PAGES if none is. */
static unsigned long pc_next_inside(const struct dual_bitmap *map, unsigned long bit)
{
	unsigned long mask = BITMAP_FIRST_WORD_MASK(bit), word, inside;

	for (word = BIT_WORD(bit); word < PC_ARRAY_WORDS; word++) {
		inside = READ_ONCE(map->secondary[word]) & ~READ_ONCE(map->primary[word]) & mask;
		if (inside)
			return word * BITS_PER_LONG + __ffs(inside);
		mask = ~0UL;
	}
	return PC_SECTION_PAGES;
}

/* The zone in a page's flags, which may be damaged; NULL if that cannot be its zone. */
static struct zone *pc_zone_of(const struct page *page, unsigned long pfn)
{
	unsigned int zonenum;
	struct zone *zone;
	int nid;

	pc_page_place(page, &nid, &zonenum);
	if (nid < 0 || nid >= MAX_NUMNODES || !node_online(nid) || zonenum >= MAX_NR_ZONES)
		return NULL;
	zone = &NODE_DATA(nid)->node_zones[zonenum];
	return zone_spans_pfn(zone, pfn) ? zone : NULL;
}

static void pc_bad_block(const struct page *page, const struct zone *zone, unsigned int order,
			 const struct pc_bad_block *bad, struct pc_verified *result)
{
	result->mismatches++;
	pc_report_block(PC_VERIFY, page, zone, order, bad);
}

static void pc_bad_head(const struct zone *zone, unsigned int order, const void *link,
			struct pc_verified *result)
{
	result->mismatches++;
	pc_report_head(PC_VERIFY, zone, order, link);
}

/* What a sound link leads to. */
static void pc_audit_neighbour(const struct list_head *link, const struct zone *zone,
			       unsigned int order, struct pc_verified *result)
	__must_hold(&zone->lock)
{
	const struct page *page = list_entry(link, struct page, buddy_list);
	struct pc_bad_block bad;

	if (!pc_is_head(link, zone, order) && !pc_prove_state(page, order, &bad))
		pc_bad_block(page, zone, order, &bad, result);
}

/* Nobody has a reference to, or maps, any page of a free block. */
static bool pc_prove_tails(const struct page *page, unsigned int order, struct pc_bad_block *bad)
{
	unsigned long wrong = pc_first_used(page, 1, 1UL << order);

	if (wrong == 1UL << order)
		return true;
	pc_is_bad(bad, PC_COUNTED, false, NULL);
	bad->wrong = wrong;
	return false;
}

/**
 * pc_audit_page - prove a free block
 * @page: a page that is recorded inside
 * @zone: its zone
 * @result: counts
 *
 * Context: zone->lock held.
 * Return: pages to go on by: those of the block, or one.
 */
unsigned long pc_audit_page(struct page *page, const struct zone *zone, struct pc_verified *result)
{
	unsigned long order;
	struct pc_bad_block bad;

	lockdep_assert_held(&zone->lock);
	/* If it is no free block, it may be handed out and used by now. */
	if (data_race(READ_ONCE(page->page_type)) >> 24 != PGTY_buddy)
		return 1;

	result->blocks++;
	order = page_private(page);
	if (order > MAX_PAGE_ORDER) {
		pc_is_bad(&bad, PC_BAD_BLOCK, false, NULL);
		pc_bad_block(page, zone, 0, &bad, result);
		return 1;
	}
	if (!pc_prove_state(page, order, &bad) || !pc_prove_links(page, zone, order, &bad) ||
	    !pc_prove_tails(page, order, &bad)) {
		pc_bad_block(page, zone, order, &bad, result);
		return 1;
	}
	pc_audit_neighbour(page->buddy_list.next, zone, order, result);
	pc_audit_neighbour(page->buddy_list.prev, zone, order, result);
	return 1UL << order;
}

/*
 * Go on from a page that is recorded inside.  The section is looked up anew: it may
 * have gone offline before the lock was taken, and cannot go away while it is held.
 */
static unsigned long pc_audit_step(struct zone *zone, unsigned long section, unsigned long bit,
				   struct pc_verified *result)
{
	unsigned long pfn, nr, pages = 0, budget = PC_AUDIT_STEP;
	struct dual_bitmap map;
	struct page *page;

	guard(spinlock_irqsave)(&zone->lock);
	if (!pc_lookup(section, &map))
		return PC_SECTION_PAGES;
	while (budget-- && pages < PC_AUDIT_PAGES &&
	       (bit = pc_next_inside(&map, bit)) < PC_SECTION_PAGES) {
		pfn = (section << PC_SECTION_SHIFT) + bit;
		page = pfn_to_page(pfn);
		if (pc_zone_of(page, pfn) != zone)
			break;
		nr = pc_audit_page(page, zone, result);
		bit += nr;
		pages += nr;
	}
	return bit;
}

/* Where the next step begins, and whose lock it takes; @bit is PC_SECTION_PAGES if nowhere. */
static struct zone *pc_audit_begin(unsigned long section, unsigned long *bit)
{
	struct dual_bitmap map;
	unsigned long pfn;

	guard(preempt)();
	*bit = pc_lookup(section, &map) ? pc_next_inside(&map, *bit) : PC_SECTION_PAGES;
	if (*bit == PC_SECTION_PAGES)
		return NULL;
	pfn = (section << PC_SECTION_SHIFT) + *bit;
	return pc_zone_of(pfn_to_page(pfn), pfn);
}

/*
 * The flags of a page in the allocator name no zone that it can be in.  Zones grow
 * and shrink, so look again when none does.
 */
static void pc_audit_stray(unsigned long section, unsigned long bit, struct pc_verified *result)
{
	struct pc_report report = {
		.event = PC_VERIFY, .violation = PC_BAD_BLOCK, .section = section,
		.pfn = (section << PC_SECTION_SHIFT) + bit,
	};
	unsigned long again = bit;

	get_online_mems();
	if (!pc_audit_begin(section, &again) && again == bit) {
		report.page = pfn_to_page(report.pfn);
		result->mismatches++;
		pc_report(&report);
	}
	put_online_mems();
}

/**
 * pc_audit_section - prove the free blocks of a section
 * @section: its number; may have gone meanwhile
 * @result: counts
 *
 * Context: Process context, may sleep.
 */
void pc_audit_section(unsigned long section, struct pc_verified *result)
{
	unsigned long bit = 0;
	struct zone *zone;

	for (;;) {
		zone = pc_audit_begin(section, &bit);
		if (zone)
			bit = pc_audit_step(zone, section, bit, result);
		else if (bit < PC_SECTION_PAGES)
			pc_audit_stray(section, bit++, result);
		if (bit >= PC_SECTION_PAGES)
			return;
		cond_resched();
	}
}

/**
 * pc_audit_head - prove both ends of a free list
 * @head: the list
 * @zone: whose
 * @order: of the list
 * @result: counts
 *
 * Context: zone->lock held.
 */
void pc_audit_head(const struct list_head *head, const struct zone *zone, unsigned int order,
		   struct pc_verified *result)
{
	const struct list_head *next = READ_ONCE(head->next), *prev = READ_ONCE(head->prev);

	lockdep_assert_held(&zone->lock);
	if (!pc_is_link(next, zone, order) || next->prev != head)
		pc_bad_head(zone, order, next, result);
	else if (next != head)
		pc_audit_neighbour(next, zone, order, result);

	if (!pc_is_link(prev, zone, order) || prev->next != head)
		pc_bad_head(zone, order, prev, result);
	else if (prev != head)
		pc_audit_neighbour(prev, zone, order, result);
}

static unsigned int pc_pcp_order(unsigned int index)
{
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	if (index >= NR_LOWORDER_PCP_LISTS)
		return HPAGE_PMD_ORDER;
#endif
	return index / MIGRATE_PCPTYPES;
}

/**
 * pc_audit_pcp - prove the blocks of a per-CPU list, as far as one hold of its lock allows
 * @pcp: the lists
 * @index: which of them
 * @zone: whose
 * @result: counts
 *
 * There is no way to find these blocks by their PFN, and no way to go on where the
 * last look has ended: what is proven is the beginning of the list, from which it is
 * served.
 *
 * Context: pcp->lock held.
 */
void pc_audit_pcp(const struct per_cpu_pages *pcp, unsigned int index, const struct zone *zone,
		  struct pc_verified *result)
{
	const struct list_head *head = &pcp->lists[index], *link = head, *next;
	unsigned int order = pc_pcp_order(index), budget = PC_AUDIT_ENTRIES;
	struct pc_bad_block bad;
	const struct page *page;
	struct dual_bitmap map;
	unsigned long pfn;

	lockdep_assert_held(&pcp->lock);
	while (budget--) {
		next = READ_ONCE(link->next);
		page = list_entry(next, struct page, pcp_list);
		if ((next != head && !(pc_is_block(page, order, &pfn) &&
				       pc_lookup(pc_section_nr(pfn), &map))) ||
		    READ_ONCE(next->prev) != link)
			return pc_bad_head(zone, order, next, result);
		if (next == head)
			return;
		if (!dual_bitmap_is_clear(&map, pc_section_bit(pfn), order, &bad.words)) {
			pc_is_bad(&bad, PC_LISTED_OUTSIDE, true, NULL);
			return pc_bad_block(page, zone, order, &bad, result);
		}
		if (pc_use(page) != PC_UNUSED) {
			pc_is_bad(&bad, PC_COUNTED, false, NULL);
			return pc_bad_block(page, zone, order, &bad, result);
		}
		link = next;
	}
}

static void pc_audit_cpu(struct zone *zone, int cpu, struct pc_verified *result)
{
	struct per_cpu_pages *pcp = per_cpu_ptr(zone->per_cpu_pageset, cpu);
	unsigned int index;

	/* Who allocates or frees meanwhile does without the list; who drains it waits. */
	for (index = 0; index < NR_PCP_LISTS; index++) {
		guard(spinlock)(&pcp->lock);
		pc_audit_pcp(pcp, index, zone, result);
	}
}

/**
 * pc_audit_zones - prove the ends of all free lists, and the per-CPU lists
 * @result: counts
 *
 * Context: Process context, may sleep.
 */
void pc_audit_zones(struct pc_verified *result)
{
	unsigned int order, type;
	struct zone *zone;
	int cpu;

	for_each_populated_zone(zone) {
		for (order = 0; order < NR_PAGE_ORDERS; order++) {
			guard(spinlock_irqsave)(&zone->lock);
			for (type = 0; type < MIGRATE_TYPES; type++)
				pc_audit_head(&zone->free_area[order].free_list[type], zone,
					      order, result);
		}
		/* A zone that loses its last page loses its per-CPU lists. */
		get_online_mems();
		for_each_online_cpu(cpu) {
			pc_audit_cpu(zone, cpu, result);
			cond_resched();
		}
		put_online_mems();
	}
}
