// SPDX-License-Identifier: GPL-2.0
/*
 * Mistakes that user space cannot make: blocks freed twice by every way that leads
 * into the page allocator, handed out twice, listed without having been freed.  A
 * command succeeds when the mistake was made; whether it was reported is for the
 * caller to see.  See paths.h.
 */

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/page_frag_cache.h>
#include <linux/page_ref.h>

#include "paths.h"

enum way { PUT, BATCH, NOLOCK, FRAG, DRAIN, RESERVED, FROZEN };

static void put_by(enum way way, struct page *page, unsigned int order)
{
	switch (way) {
	case PUT:
		return __free_pages(page, order);
	case BATCH:
		return release_pages(&page, 1);
	case NOLOCK:
		return free_pages_nolock(page, order);
	case FRAG:
		return page_frag_free(page_address(page));
	case DRAIN:
		return __page_frag_cache_drain(page, 1);
	case RESERVED:
		free_reserved_pages(page, order);
		return adjust_managed_page_count(page, -(1L << order));
	case FROZEN:
		set_page_count(page, 0);
		return free_frozen_pages(page, order);
	}
}

/* A reference count that is wrong by one is what makes a second free possible. */
static int twice(enum way way, unsigned int order)
{
	struct page *page = get(order);

	if (!page)
		return -ENOMEM;
	guard(irqsave)();
	put_by(way, page, order);
	init_page_count(page);
	put_by(way, page, order);
	return tell(0, "pfn 0x%lx order %u", page_to_pfn(page), order);
}

/* As a driver does it: the count goes below zero. */
static int below(unsigned long order)
{
	struct page *page = get(order);

	if (!page)
		return -ENOMEM;
	guard(irqsave)();
	__free_pages(page, order);
	__free_pages(page, order);
	return tell(0, "pfn 0x%lx order %lu", page_to_pfn(page), order);
}

static int again(unsigned long order)	{ return twice(PUT, order); }
static int batch(unsigned long unused)	{ return twice(BATCH, 0); }
static int nolock(unsigned long order)	{ return twice(NOLOCK, order); }
static int frag(unsigned long unused)	{ return twice(FRAG, 0); }
static int drain(unsigned long unused)	{ return twice(DRAIN, 0); }
static int reserved(unsigned long order)	{ return twice(RESERVED, order); }
static int frozen(unsigned long order)	{ return twice(FROZEN, order); }

static int deferred(unsigned long order)
{
	struct page *page = get(order);
	int error;

	if (!page)
		return -ENOMEM;
	guard(irqsave)();
	error = deferred_free(page, order);
	if (error)
		return error;
	init_page_count(page);
	free_pages_nolock(page, order);
	return tell(0, "pfn 0x%lx order %lu", page_to_pfn(page), order);
}

static int contig(unsigned long nr)
{
	struct page *page = alloc_contig_pages(nr, GFP_KERNEL, numa_node_id(), NULL);
	unsigned long i;

	if (!page)
		return tell(-ENOMEM, "no range of %lu pages to be had", nr);
	guard(irqsave)();
	free_contig_range(page_to_pfn(page), nr);
	for (i = 0; i < nr; i++)
		init_page_count(page + i);
	free_contig_range(page_to_pfn(page), nr);
	return tell(0, "%lu pages, pfn 0x%lx", nr, page_to_pfn(page));
}

/* More than a free list can hold; freed as one block both times. */
static int gigantic(unsigned long order)
{
	struct page *page = alloc_contig_frozen_pages(1UL << order, GFP_KERNEL | __GFP_COMP,
						      numa_node_id(), NULL);

	if (!page)
		return tell(-ENOMEM, "no range of order %lu to be had", order);
	guard(irqsave)();
	free_frozen_pages(page, order);
	free_frozen_pages(page, order);
	return tell(0, "order %lu, pfn 0x%lx", order, page_to_pfn(page));
}

static int exact(unsigned long nr)
{
	unsigned long i;
	void *area;

	guard(irqsave)();
	area = alloc_pages_exact(nr * PAGE_SIZE, GFP_ATOMIC);
	if (!area)
		return tell(-ENOMEM, "no %lu pages to be had", nr);
	free_pages_exact(area, nr * PAGE_SIZE);
	for (i = 0; i < nr; i++)
		init_page_count(virt_to_page(area) + i);
	free_pages_exact(area, nr * PAGE_SIZE);
	return tell(0, "%lu pages", nr);
}

/* One page of the block has gone ahead. */
static int part(unsigned long order)
{
	struct page *page = get(order);

	if (!page)
		return -ENOMEM;
	guard(irqsave)();
	split_page(page, order);
	__free_page(page + (1UL << order) - 1);
	__free_pages(page, order);
	return tell(0, "pfn 0x%lx order %lu", page_to_pfn(page), order);
}

/* The page that has failed is no excuse for the others. */
static int failed(unsigned long order)
{
	struct page *page = get(order);

	if (!page)
		return -ENOMEM;
	if (memory_failure(page_to_pfn(page) + 1, MF_SW_SIMULATED) != -EBUSY)
		return tell(-EIO, "memory_failure() did something about it");
	guard(irqsave)();
	__free_pages(page, order);
	init_page_count(page);
	__free_pages(page, order);
	return tell(0, "pfn 0x%lx order %lu", page_to_pfn(page), order);
}

static int back(unsigned long order)
{
	struct page *page = get(order);

	if (!page)
		return -ENOMEM;
	guard(irqsave)();
	__free_pages(page, order);
	if (!take_page_off_buddy(page))
		return tell(-EAGAIN, "the page was on no free list");
	page_ref_inc(page);
	SetPageHWPoison(page);
	if (!put_page_back_buddy(page))
		return tell(-EIO, "it was not put back");
	init_page_count(page);
	if (put_page_back_buddy(page))
		return tell(-EIO, "it was put back twice");
	return tell(0, "pfn 0x%lx", page_to_pfn(page));
}

static int isolated(unsigned long unused)
{
	struct page *page = get(MAX_PAGE_ORDER);
	struct zone *zone;

	if (!page)
		return -ENOMEM;
	zone = page_zone(page);
	guard(irqsave)();
	__free_pages(page, MAX_PAGE_ORDER);
	scoped_guard(spinlock, &zone->lock)
		if (!PageBuddy(page) || !__isolate_free_page(page, MAX_PAGE_ORDER))
			return tell(-EIO, "the block could not be isolated");
	init_page_count(page);
	__free_pages(page, MAX_PAGE_ORDER);
	scoped_guard(spinlock, &zone->lock)
		__putback_isolated_page(page, MAX_PAGE_ORDER, get_pageblock_migratetype(page));
	return tell(0, "pfn 0x%lx", page_to_pfn(page));
}

/* Somebody's page, handed to somebody else. */
static int handout(unsigned long order)
{
	struct page *page = get(order);

	if (!page)
		return -ENOMEM;
	post_alloc_hook(page, order, GFP_KERNEL, ALLOC_DEFAULT);
	__free_pages(page, order);
	return tell(0, "pfn 0x%lx order %lu", page_to_pfn(page), order);
}

/* Put on a free list without having been freed. */
static int listed(unsigned long unused)
{
	struct page *page = get(MAX_PAGE_ORDER);
	struct zone *zone;

	if (!page)
		return -ENOMEM;
	zone = page_zone(page);
	scoped_guard(spinlock_irqsave, &zone->lock) {
		set_page_count(page, 0);
		__putback_isolated_page(page, MAX_PAGE_ORDER, get_pageblock_migratetype(page));
		if (!__isolate_free_page(page, MAX_PAGE_ORDER))
			return tell(-EIO, "the block could not be isolated");
	}
	set_page_refcounted(page);
	__free_pages(page, MAX_PAGE_ORDER);
	return tell(0, "pfn 0x%lx", page_to_pfn(page));
}

const struct command commands[] = {
	{ "below", below }, { "again", again }, { "batch", batch }, { "nolock", nolock },
	{ "deferred", deferred }, { "frag", frag }, { "drain", drain },
	{ "reserved", reserved }, { "frozen", frozen }, { "contig", contig },
	{ "gigantic", gigantic }, { "exact", exact }, { "part", part }, { "back", back },
	{ "failed", failed },
	{ "isolated", isolated }, { "handout", handout }, { "listed", listed },
	{ }
};

MODULE_DESCRIPTION("Mistakes with pages that user space cannot make");
MODULE_LICENSE("GPL");
