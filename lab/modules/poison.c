// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that fails in the middle of blocks: memory_failure() is told so, the block is
 * freed, and all memory there is is taken to see what of the block comes again.  See
 * paths.h; the number is an order, or a PFN.
 */

#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/page_consistency.h>
#include <linux/string.h>

#include "recorded.h"

#define PATTERN	0x5a
#define FAILED	4UL		/* pages of a block that may have failed */

enum way { PLAIN, COMPOUND, FROZEN, NOLOCK, DEFERRED, RESERVED };

struct block {
	struct page *page, *failed[FAILED];
	unsigned long order, nr, nr_failed;
};

static bool has_failed(const struct block *block, const struct page *page)
{
	unsigned long i;

	for (i = 0; i < block->nr_failed; i++)
		if (page == block->failed[i])
			return true;
	return false;
}

/* Of any kind, because there are per-CPU lists for each. */
static struct page *take(unsigned int order)
{
	const gfp_t gfp = __GFP_MEMALLOC | __GFP_NOWARN;

	return alloc_pages(gfp, order) ?: alloc_pages(gfp | __GFP_MOVABLE, order) ?:
	       alloc_pages(gfp | __GFP_RECLAIMABLE, order);
}

/* Take all free memory, in blocks as large as there are, and give it back. */
static void use_all_memory(const struct block *block, unsigned long *sound, unsigned long *failed)
{
	struct page *page, *next;
	LIST_HEAD(taken);
	unsigned long i;
	int order;

	*sound = 0;
	*failed = 0;
	for (order = MAX_PAGE_ORDER; order >= 0; order--) {
		while ((page = take(order))) {
			set_page_private(page, order);
			list_add(&page->lru, &taken);
			for (i = 0; i < 1UL << order; i++) {
				if (!in_range(page_to_pfn(page) + i, page_to_pfn(block->page),
					      block->nr))
					continue;
				if (has_failed(block, page + i))
					++*failed;
				else
					++*sound;
			}
		}
	}
	list_for_each_entry_safe(page, next, &taken, lru)
		__free_pages(page, page_private(page));
}

static int each_is(const char *when, const struct block *block, bool inside, bool failed_inside)
{
	unsigned long i;
	int error = 0;

	for (i = 0; i < block->nr && !error; i++)
		error = must_be(when, block->page + i, 1,
				has_failed(block, block->page + i) ? failed_inside : inside);
	return error;
}

static struct page *get_by(enum way way, unsigned int order)
{
	struct page *page;
	unsigned long i;

	if (way == FROZEN)
		return alloc_contig_frozen_pages(1UL << order, GFP_KERNEL | __GFP_COMP,
						 numa_node_id(), NULL);
	page = alloc_pages(GFP_KERNEL | __GFP_NOWARN | (way == COMPOUND ? __GFP_COMP : 0), order);
	/* As memblock leaves what it has given away. */
	for (i = 0; page && way == RESERVED && i < 1UL << order; i++) {
		__SetPageReserved(page + i);
		set_page_count(page + i, 1);
	}
	return page;
}

static int free_by(enum way way, struct block *block)
{
	switch (way) {
	case FROZEN:
		free_frozen_pages(block->page, block->order);
		return 0;
	case NOLOCK:
		free_pages_nolock(block->page, block->order);
		return 0;
	case DEFERRED:
		return deferred_free(block->page, block->order);
	case RESERVED:
		free_reserved_pages(block->page, block->order);
		adjust_managed_page_count(block->page, -block->nr);
		return 0;
	default:
		__free_pages(block->page, block->order);
		return 0;
	}
}

/* A block of which some pages fail while it is in use. */
static int make(struct block *block, enum way way, unsigned long order, unsigned long nr_failed)
{
	unsigned long i, nr = 1UL << order;
	const unsigned long places[FAILED] = { nr / 2, nr - 1, 0, nr / 2 - 1 };
	int error;

	*block = (struct block) { .order = order, .nr = nr, .nr_failed = nr_failed };
	block->page = get_by(way, order);
	if (!block->page)
		return tell(-ENOMEM, "no block of order %lu to be had", order);
	for (i = 0; i < nr_failed; i++) {
		block->failed[i] = block->page + places[i];
		memset(page_address(block->failed[i]), PATTERN, PAGE_SIZE);
		error = memory_failure(page_to_pfn(block->failed[i]), MF_SW_SIMULATED);
		if (error != -EBUSY || !PageHWPoison(block->failed[i]))
			return tell(-EIO, "memory_failure() gave %d", error);
	}
	return 0;
}

static int came_again(const struct block *block, bool failed_too)
{
	unsigned long sound, failed;

	use_all_memory(block, &sound, &failed);
	if (sound != block->nr - block->nr_failed)
		return tell(-EIO, "of %lu sound pages only %lu came again",
			    block->nr - block->nr_failed, sound);
	if (failed != (failed_too ? block->nr_failed : 0))
		return tell(-EIO, "of %lu failed pages %lu came again", block->nr_failed, failed);
	return 0;
}

/* Somebody else may be quicker. */
static int back_again(const struct block *block, struct page *page)
{
	struct block one = { .page = block->page, .nr = block->nr, .nr_failed = 1 };
	unsigned long sound, failed;
	int error = unpoison_memory(page_to_pfn(page));

	if (error)
		return tell(error, "not unpoisoned: %d", error);
	one.failed[0] = page;
	guard(irqsave)();
	use_all_memory(&one, &sound, &failed);
	if (failed || (page_count(page) && !PageHWPoison(page)))
		return 0;
	return tell(-EIO, "unpoisoned, and it did not come again");
}

static int kept_out(enum way way, unsigned long order, unsigned long nr_failed, bool for_good)
{
	struct page *next = get(PAGE_ALLOC_COSTLY_ORDER + 1);
	struct block block;
	unsigned long i;
	int error;

	error = make(&block, way, order, nr_failed) ?: each_is("in use", &block, false, true);
	if (error || !next)
		return error ?: -ENOMEM;
	scoped_guard(irqsave) {
		error = free_by(way, &block) ?: each_is("after the free", &block, true, false);
		/* What waits for the zone's lock comes with the next free. */
		__free_pages(next, PAGE_ALLOC_COSTLY_ORDER + 1);
		error = error ?: came_again(&block, false) ?:
			each_is("and again", &block, true, false);
	}
	for (i = nr_failed; i-- && !error;) {
		if (page_count(block.failed[i]) != 1 || PageCompound(block.failed[i]))
			return tell(-EIO, "a page that was kept out is not as soft offline leaves it");
		if (memchr_inv(page_address(block.failed[i]), PATTERN, PAGE_SIZE))
			return tell(-EIO, "a page that has failed was written to");
		error = for_good ? 0 : back_again(&block, block.failed[i]);
	}
	return error ?: tell(0, "%lu of %lu pages kept out%s", nr_failed, block.nr,
			     for_good ? "" : " until they were unpoisoned");
}

static int plain(unsigned long order)	{ return kept_out(PLAIN, order, 1, false); }
static int comp(unsigned long order)	{ return kept_out(COMPOUND, order, 1, false); }
static int frozen(unsigned long order)	{ return kept_out(FROZEN, order, FAILED, false); }
static int nolock(unsigned long order)	{ return kept_out(NOLOCK, order, 1, false); }
static int deferred(unsigned long order)	{ return kept_out(DEFERRED, order, 1, false); }
static int reserved(unsigned long order)	{ return kept_out(RESERVED, order, 1, false); }
static int several(unsigned long order)	{ return kept_out(PLAIN, order, FAILED, false); }
static int severalcomp(unsigned long order)	{ return kept_out(COMPOUND, order, FAILED, false); }
static int left(unsigned long order)	{ return kept_out(PLAIN, order, 1, true); }
static int leftcomp(unsigned long order)	{ return kept_out(COMPOUND, order, 1, true); }

/* Unpoisoned while the block is in use: it is its owner's again, and freed as a whole. */
static int unpoisoned(unsigned long order)
{
	struct block block;
	int error;

	error = make(&block, PLAIN, order, 1) ?: each_is("in use", &block, false, true);
	if (error)
		return error;
	error = unpoison_memory(page_to_pfn(block.failed[0]));
	if (error)
		return tell(error, "not unpoisoned: %d", error);
	guard(irqsave)();
	error = each_is("unpoisoned", &block, false, false);
	__free_pages(block.page, order);
	return error ?: each_is("after the free", &block, true, true) ?: came_again(&block, true) ?:
	       tell(0, "order %lu", order);
}

/* One by one, as their owner may free them. */
static int split(unsigned long order)
{
	struct block block;
	unsigned long i;
	int error;

	error = make(&block, PLAIN, order, 1);
	if (error)
		return error;
	guard(irqsave)();
	split_page(block.page, order);
	for (i = 0; i < block.nr; i++)
		__free_page(block.page + i);
	return each_is("after the free", &block, true, false) ?: came_again(&block, false) ?:
	       tell(0, "order %lu", order);
}

/* On a per-CPU list when it fails: drained from there, and taken off its free list. */
static int listed(unsigned long order)
{
	unsigned long sound, failed;
	struct block block = {
		.page = get(order), .order = order, .nr = 1UL << order, .nr_failed = 1,
	};
	int error;

	if (!block.page)
		return -ENOMEM;
	block.failed[0] = block.page + block.nr / 2;
	__free_pages(block.page, order);
	error = memory_failure(page_to_pfn(block.failed[0]), MF_SW_SIMULATED);
	if (error)
		return tell(error, "memory_failure() gave %d", error);
	error = must_be("taken off", block.failed[0], 1, false);
	use_all_memory(&block, &sound, &failed);
	if (failed)
		return tell(-EIO, "the failed page was handed out");
	return error ?: back_again(&block, block.failed[0]) ?: tell(0, "order %lu", order);
}

/* What the checker is good for here: without it a page that has failed comes again. */
static int reused_by(enum way way, unsigned long order)
{
	struct block block;
	int error;

	error = make(&block, way, order, 1);
	if (error)
		return error;
	guard(irqsave)();
	error = free_by(way, &block) ?: came_again(&block, true);
	ClearPageHWPoison(block.failed[0]);
	return error ?: tell(0, "the failed page was handed out again");
}

static int reused(unsigned long order)	{ return reused_by(PLAIN, order); }
static int reusedres(unsigned long order)	{ return reused_by(RESERVED, order); }

/* -- pages that user space has told to fail ------------------------------------- */

/* A page and the others of its huge page. */
static void around(struct block *block, unsigned long pfn)
{
	*block = (struct block) {
		.page = pfn_to_page(round_down(pfn, HPAGE_PMD_NR)),
		.failed = { pfn_to_page(pfn) },
		.order = HPAGE_PMD_ORDER, .nr = HPAGE_PMD_NR, .nr_failed = 1,
	};
}

static int kept(unsigned long pfn)
{
	unsigned long sound, failed;
	struct block block;
	int error;

	around(&block, pfn);
	guard(irqsave)();
	error = must_be("kept out", block.failed[0], 1, false);
	use_all_memory(&block, &sound, &failed);
	if (!error && (failed || is_free_buddy_page(block.failed[0])))
		return tell(-EIO, "pfn 0x%lx was handed out", pfn);
	if (!error && sound < block.nr / 2)
		return tell(-EIO, "of the pages around it only %lu are free", sound);
	return error ?: tell(0, "not handed out; %lu of the pages around it are free", sound);
}

static int back(unsigned long pfn)
{
	struct block block;

	around(&block, pfn);
	return back_again(&block, block.failed[0]) ?: tell(0, "handed out again");
}

static int refuse(struct page *page)
{
	return 1;
}

/* Somebody's page, about which nothing is to be done. */
static int filtered(unsigned long pfn)
{
	int error;

	hwpoison_filter_register(refuse);
	error = memory_failure(pfn, MF_SW_SIMULATED);
	hwpoison_filter_unregister();
	if (error != -EOPNOTSUPP || PageHWPoison(pfn_to_page(pfn)))
		return tell(-EIO, "memory_failure() gave %d", error);
	return must_be("filtered", pfn_to_page(pfn), 1, false) ?: tell(0, "pfn 0x%lx", pfn);
}

const struct command commands[] = {
	{ "plain", plain }, { "comp", comp }, { "frozen", frozen }, { "nolock", nolock },
	{ "deferred", deferred }, { "several", several }, { "severalcomp", severalcomp },
	{ "left", left }, { "leftcomp", leftcomp }, { "unpoisoned", unpoisoned }, { "split", split },
	{ "reserved", reserved }, { "reused", reused }, { "reusedres", reusedres },
	{ "listed", listed }, { "kept", kept }, { "back", back }, { "filtered", filtered },
	{ }
};

MODULE_DESCRIPTION("Memory that fails in the middle of blocks");
MODULE_LICENSE("GPL");
