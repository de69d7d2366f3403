// SPDX-License-Identifier: GPL-2.0
/*
 * Ways through the page allocator that user space cannot choose.  A command fails
 * unless the pages went that way, and were recorded outside while they were held
 * and inside afterwards.  See paths.h.
 */

#include <linux/compaction.h>
#include <linux/gfp.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/page_frag_cache.h>
#include <linux/page_ref.h>
#include <linux/poison.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "recorded.h"

#define MOST 256UL
#define FRAGMENT 1500

/* -- batches and odd sizes ----------------------------------------------------- */

static int bulk(unsigned long nr)
{
	static struct page *pages[MOST];
	unsigned long i, got;
	int error = 0;

	memset(pages, 0, sizeof(pages));
	got = alloc_pages_bulk(GFP_KERNEL, min(nr, MOST), pages);
	for (i = 0; i < got && !error; i++)
		error = is_out(pages[i], 1);

	guard(irqsave)();
	release_pages(pages, got);
	for (i = 0; i < got && !error; i++)
		error = is_in(pages[i], 1);
	/* One at a time is the fallback. */
	if (got < 2)
		return tell(-EAGAIN, "%lu pages came at once, so it was not the batch", got);
	return error ?: tell(0, "%lu pages at once", got);
}

static int exact(unsigned long nr)
{
	unsigned long all = roundup_pow_of_two(nr);
	struct page *page;
	void *area;
	int error;

	guard(irqsave)();
	area = alloc_pages_exact(nr * PAGE_SIZE, GFP_ATOMIC);
	if (!area)
		return tell(-ENOMEM, "no %lu pages to be had", nr);
	page = virt_to_page(area);
	error = is_out(page, nr) ?: must_be("the tail", page + nr, all - nr, true);
	free_pages_exact(area, nr * PAGE_SIZE);
	return error ?: is_in(page, nr) ?: tell(0, "%lu of %lu pages", nr, all);
}

static int split(unsigned long order)
{
	unsigned long i, nr = 1UL << order;
	struct page *page = get(order);
	int error;

	if (!page)
		return -ENOMEM;
	guard(irqsave)();
	split_page(page, order);
	error = is_out(page, nr);
	for (i = nr; i-- && !error;) {
		__free_page(page + i);
		error = is_in(page + i, 1) ?: is_out(page, i);
	}
	return error ?: tell(0, "%lu pages, one by one", nr);
}

/* Somebody else holds the first page for a moment, as GUP-fast may. */
static int speculative(unsigned long order, void (*put)(struct page *page, unsigned int order))
{
	struct page *page = get(order);
	unsigned long nr = 1UL << order;
	int error;

	if (!page)
		return -ENOMEM;
	guard(irqsave)();
	get_page(page);
	put(page, order);
	error = is_out(page, 1) ?: is_in(page + 1, nr - 1);
	put_page(page);
	return error ?: is_in(page, nr) ?: tell(0, "the last %lu pages first", nr - 1);
}

static int tail(unsigned long order)
{
	return speculative(order, __free_pages);
}

static int tailnolock(unsigned long order)
{
	return speculative(order, free_pages_nolock);
}

/* Enough fragments for two blocks; a block comes back with its last fragment. */
static int frag(unsigned long nr)
{
	struct page_frag_cache cache = { };
	static void *fragments[MOST];
	struct page *first, *last;
	unsigned long i, got;
	int error;

	for (got = 0; got < min(nr, MOST); got++) {
		fragments[got] = page_frag_alloc(&cache, FRAGMENT, GFP_KERNEL);
		if (!fragments[got])
			break;
	}
	if (!got)
		return tell(-ENOMEM, "no fragment to be had");
	first = virt_to_head_page(fragments[0]);
	last = virt_to_head_page(fragments[got - 1]);
	nr = compound_nr(first);
	error = is_out(first, nr) ?: is_out(last, compound_nr(last));
	if (first == last || nr == 1)
		error = tell(-EAGAIN, "%lu fragments in one block of %lu pages", got, nr);

	guard(irqsave)();
	page_frag_cache_drain(&cache);
	for (i = 0; i < got; i++)
		page_frag_free(fragments[i]);
	return error ?: is_in(first, nr) ?: is_in(last, 1) ?:
	       tell(0, "%lu fragments in blocks of %lu pages", got, nr);
}

/* -- without locks ------------------------------------------------------------- */

static int nolock(unsigned long order)
{
	struct page *page;
	int error;

	guard(irqsave)();
	page = alloc_pages_nolock(0, NUMA_NO_NODE, order);
	if (!page)
		return tell(-EAGAIN, "nothing to be had without a lock");
	error = is_out(page, 1UL << order);
	free_pages_nolock(page, order);
	return error ?: is_in(page, 1UL << order) ?: tell(0, "order %lu", order);
}

static int deferred(unsigned long order)
{
	struct page *page = get(order), *next = get(order);
	int error;

	if (!page || !next || page_zone(page) != page_zone(next))
		return tell(-ENOMEM, "no two blocks of order %lu in one zone", order);
	error = is_out(page, 1UL << order);
	guard(irqsave)();
	error = deferred_free(page, order) ?: error;
	error = error ?: is_in(page, 1UL << order);
	if (!error && is_free_buddy_page(page))
		error = tell(-EIO, "it is on a free list already");
	__free_pages(next, order);
	if (!error && (!llist_empty(&page_zone(page)->trylock_free_pages) ||
		       !is_free_buddy_page(page)))
		error = tell(-EIO, "the next free did not put it on a free list");
	return error ?: is_in(page, 1UL << order) ?: tell(0, "order %lu", order);
}

/*
 * The upper of two halves comes late, when the lower one is on its list and absorbs it;
 * whoever gets the whole frees it as any other.  With check_pages=1 a page that is
 * refused then is one too many.
 */
static int latehalf(unsigned long order)
{
	static struct page *pages[MOST];
	struct page *low = NULL, *whole = NULL, *high, *other;
	unsigned long i, got, nr = 1UL << order;
	int error;

	guard(irqsave)();
	other = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, order);
	if (!other)
		return tell(-ENOMEM, "no block of order %lu to be had", order);
	for (got = 0; got < MOST && !low; got++) {
		pages[got] = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, order);
		if (!pages[got])
			return tell(-ENOMEM, "no block of order %lu to be had", order);
		for (i = 0; i < got && !low; i++)
			if ((page_to_pfn(pages[i]) ^ page_to_pfn(pages[got])) == nr)
				low = min(pages[i], pages[got]);
	}
	if (!low)
		return tell(-ENOMEM, "no two blocks of order %lu are halves of one", order);
	high = low + nr;
	__free_pages(low, order);
	error = deferred_free(high, order);
	/* The next free of all frees the upper half before its own block. */
	__free_pages(other, order);
	for (i = 0; i < got; i++)
		if (pages[i] != low && pages[i] != high)
			__free_pages(pages[i], order);
	error = error ?: is_in(low, 2 * nr);
	for (got = 0; got < MOST && !whole && !error; got++) {
		pages[got] = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, order + 1);
		if (!pages[got])
			break;
		if (pages[got] == low)
			whole = low;
	}
	for (i = 0; i < got && pages[i]; i++)
		__free_pages(pages[i], order + 1);
	if (!error && !whole)
		error = tell(-EIO, "the two halves did not come back as one block");
	return error ?: is_in(low, 2 * nr) ?: tell(0, "pfn 0x%lx", page_to_pfn(low));
}

/* -- contiguous ranges, isolation, compaction ---------------------------------- */

static int contig(unsigned long nr)
{
	struct page *page = alloc_contig_pages(nr, GFP_KERNEL, numa_node_id(), NULL);
	int error;

	if (!page)
		return tell(-ENOMEM, "no range of %lu pages to be had", nr);
	error = is_out(page, nr);
	guard(irqsave)();
	free_contig_range(page_to_pfn(page), nr);
	return error ?: is_in(page, nr) ?: tell(0, "%lu pages, pfn 0x%lx", nr, page_to_pfn(page));
}

static int compound(unsigned long order)
{
	unsigned long nr = 1UL << order;
	struct page *page = alloc_contig_frozen_pages(nr, GFP_KERNEL | __GFP_COMP,
						      numa_node_id(), NULL);
	int error;

	if (!page)
		return tell(-ENOMEM, "no range of %lu pages to be had", nr);
	error = is_out(page, nr);
	if (!PageHead(page) || compound_order(page) != order)
		error = tell(-EIO, "it is no compound page of order %lu", order);
	guard(irqsave)();
	free_contig_frozen_range(page_to_pfn(page), nr);
	return error ?: is_in(page, nr) ?: tell(0, "pfn 0x%lx order %lu", page_to_pfn(page), order);
}

/* A range that is not a whole block: refused with a warning, what was isolated is leaked. */
static int mismatch(unsigned long nr)
{
	struct page *page = alloc_contig_pages(nr, GFP_KERNEL, numa_node_id(), NULL);
	unsigned long pfn;
	int error;

	if (!page)
		return tell(-ENOMEM, "no range of %lu pages to be had", nr);
	pfn = page_to_pfn(page);
	free_contig_range(pfn, nr);
	error = alloc_contig_frozen_range(pfn, pfn + nr, ACR_FLAGS_NONE, GFP_KERNEL | __GFP_COMP);
	if (error != -EINVAL)
		return tell(-EIO, "alloc_contig_frozen_range() gave %d", error);
	if (is_free_buddy_page(page))
		return tell(-EIO, "nothing was leaked");
	return is_in(page, nr) ?: tell(0, "%lu pages leaked, and more around them", nr);
}

/* What is freed while a task compacts memory for a block of that order becomes its own. */
static int capture(unsigned long order)
{
	struct capture_control control = { .order = order, .migratetype = MIGRATE_MOVABLE };
	struct page *page = get(order);
	int error;

	if (!page)
		return -ENOMEM;
	guard(irqsave)();
	control.zone = page_zone(page);
	current->capture_control = &control;
	__free_pages(page, order);
	current->capture_control = NULL;
	if (control.page != page || is_free_buddy_page(page))
		return tell(-EIO, "the block was not captured");
	error = must_be("captured", page, 1UL << order, true);
	post_alloc_hook(page, order, GFP_KERNEL, ALLOC_DEFAULT);
	set_page_refcounted(page);
	error = error ?: is_out(page, 1UL << order);
	__free_pages(page, order);
	return error ?: is_in(page, 1UL << order) ?: tell(0, "order %lu", order);
}

/* As page reporting does it; the largest order, so that the block does not merge. */
static int isolate(unsigned long unused)
{
	struct page *page = get(MAX_PAGE_ORDER);
	unsigned long nr = MAX_ORDER_NR_PAGES;
	struct zone *zone;
	int error;

	if (!page)
		return -ENOMEM;
	zone = page_zone(page);
	guard(irqsave)();
	__free_pages(page, MAX_PAGE_ORDER);
	guard(spinlock)(&zone->lock);
	if (!PageBuddy(page) || !__isolate_free_page(page, MAX_PAGE_ORDER))
		return tell(-EIO, "the block could not be isolated");
	error = must_be("isolated", page, nr, true);
	if (PageBuddy(page))
		error = tell(-EIO, "isolated and still on a list");
	__putback_isolated_page(page, MAX_PAGE_ORDER, get_pageblock_migratetype(page));
	if (!error && !PageBuddy(page))
		error = tell(-EIO, "not put back");
	return error ?: is_in(page, nr) ?: tell(0, "order %u", MAX_PAGE_ORDER);
}

/* -- bad and reserved pages ---------------------------------------------------- */

/* Found damaged on its way out by check_pages=1, and leaked. */
static int badnew(unsigned long unused)
{
	struct page *page = get(0), *other;
	int error;

	if (!page)
		return -ENOMEM;
	guard(irqsave)();
	__free_page(page);
	page->mapping = (void *)8;
	other = alloc_page(GFP_ATOMIC);
	if (other == page)
		return tell(-EIO, "the bad page was handed out");
	error = is_in(page, 1);
	if (!error && page->pcp_list.next != LIST_POISON1)
		error = tell(-EAGAIN, "it was not the bad page's turn");
	if (other)
		__free_page(other);
	return error ?: tell(0, "pfn 0x%lx is leaked", page_to_pfn(page));
}

/* Refused by check_pages=1, after the checker has let it pass: whose it is, it stays. */
static int badtail(unsigned long order)
{
	struct page *page = get(order);
	unsigned long nr = 1UL << order;
	int error;

	if (!page)
		return -ENOMEM;
	guard(irqsave)();
	set_page_private(page + nr - 1, 1);
	__free_pages(page, order);
	error = must_be("refused", page, nr, false);
	if (!error && is_free_buddy_page(page))
		error = tell(-EIO, "it is on a free list");
	return error ?: tell(0, "pfn 0x%lx order %lu is leaked", page_to_pfn(page), order);
}

static int takeoff(unsigned long order)
{
	struct page *page = get(order), *sick;
	unsigned long nr = 1UL << order;
	int error;

	if (!page)
		return -ENOMEM;
	sick = page + nr / 2 + 1;
	guard(irqsave)();
	__free_pages(page, order);
	if (!take_page_off_buddy(sick))
		return tell(-EAGAIN, "the page was on no free list");
	error = must_be("taken off", sick, 1, false) ?: is_in(sick - 1, 1) ?: is_in(sick + 1, 1);
	/* As memory_failure() does. */
	page_ref_inc(sick);
	SetPageHWPoison(sick);
	if (!put_page_back_buddy(sick))
		return tell(-EIO, "it was not put back");
	return error ?: is_in(page, nr) ?: tell(0, "pfn 0x%lx", page_to_pfn(sick));
}

/* As memory from boot is given back of which the struct pages are no longer needed. */
static int whole(unsigned long order)
{
	struct page *page = get(order);
	unsigned long i, nr = 1UL << order;
	int error;

	if (!page)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		__SetPageReserved(page + i);
		set_page_count(page + i, 1);
	}
	error = is_out(page, nr);
	guard(irqsave)();
	free_reserved_pages(page, order);
	adjust_managed_page_count(page, -nr);
	for (i = 0; i < nr && !error; i++)
		if (PageReserved(page + i))
			error = tell(-EIO, "page %lu of it is PageReserved still", i);
	return error ?: is_in(page, nr) ?: tell(0, "pfn 0x%lx order %lu", page_to_pfn(page), order);
}

/* One page of a range that is to go away, which nobody can move. */
static int hold(unsigned long pfn)
{
	int error = alloc_contig_range(pfn, pfn + 1, ACR_FLAGS_NONE, GFP_KERNEL);

	if (error)
		return tell(error, "pfn 0x%lx is not to be had: %d", pfn, error);
	return is_out(pfn_to_page(pfn), 1) ?: tell(0, "pfn 0x%lx", pfn);
}

static int drop(unsigned long pfn)
{
	guard(irqsave)();
	free_contig_range(pfn, 1);
	return is_in(pfn_to_page(pfn), 1) ?: tell(0, "pfn 0x%lx", pfn);
}

static int reserved(unsigned long kib)
{
	phys_addr_t start, size;
	unsigned long i, nr, in = 0;
	struct page *page;
	int error;

	if (!reserve_mem_find_by_name("paths", &start, &size) || size != kib << 10)
		return tell(-ENOENT, "no reserve_mem=%luK:4096:paths on the command line", kib);
	page = pfn_to_page(PHYS_PFN(start));
	nr = size >> PAGE_SHIFT;
	for (i = 0, error = is_out(page, nr); i < nr && !error; i++)
		if (!PageReserved(page + i))
			error = tell(-EIO, "page %lu of it is not PageReserved", i);
	if (reserve_mem_release_by_name("paths") != 1)
		return tell(-EIO, "reserve_mem_release_by_name() failed");
	/* It may sleep, so somebody may have been given some of them already. */
	for (i = 0; i < nr && !error; i++)
		in += !is_in(page + i, 1);
	if (!error && in < nr - nr / 8)
		return tell(-EIO, "of %lu pages %lu are recorded inside", nr, in);
	return error ?: tell(0, "%lu pages", nr);
}

const struct command commands[] = {
	{ "bulk", bulk }, { "exact", exact }, { "split", split }, { "tail", tail },
	{ "tailnolock", tailnolock }, { "frag", frag }, { "nolock", nolock },
	{ "deferred", deferred }, { "latehalf", latehalf }, { "contig", contig }, { "compound", compound },
	{ "mismatch", mismatch }, { "capture", capture }, { "isolate", isolate },
	{ "badnew", badnew }, { "takeoff", takeoff }, { "reserved", reserved },
	{ "whole", whole }, { "badtail", badtail }, { "hold", hold }, { "drop", drop },
	{ }
};

MODULE_DESCRIPTION("Ways of pages that user space cannot choose");
MODULE_LICENSE("GPL");
