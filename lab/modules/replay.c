// SPDX-License-Identifier: GPL-2.0
/*
 * What drivers did to the page allocator, by its public functions only: no count is set,
 * no record touched and no list written to, so that a report is about what happened and
 * not about what the test has prepared.  See paths.h.
 *
 * Functions that begin with culprit_ make the mistake; those that begin with victim_ do
 * what is right, with a page that somebody else has made a mistake with.
 */

#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/page_frag_cache.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "paths.h"

#define NEIGHBOURS	64

static struct platform_device *device;

/* Each has a frame of its own: barrier() keeps the call from being the last thing it does. */
static noinline void culprit_free(struct page *page, unsigned int order)
{
	__free_pages(page, order);
	barrier();
}

static noinline void culprit_put(struct page *page)
{
	put_page(page);
	barrier();
}

static noinline void victim_free(struct page *page, unsigned int order)
{
	__free_pages(page, order);
	/* Not the same code as culprit_free(), or the two become one. */
	barrier_data(page);
}

static noinline struct page *victim_alloc(unsigned int order)
{
	struct page *page = alloc_pages(GFP_ATOMIC, order);

	barrier();
	return page;
}

static int done(struct page *page)
{
	return tell(0, "pfn 0x%lx count %d", page_to_pfn(page), page_ref_count(page));
}

/* --- once too often */

static int twice(unsigned long order)
{
	struct page *page = get(order);

	if (!page)
		return -ENOMEM;
	victim_free(page, order);
	culprit_free(page, order);
	return done(page);
}

/* put_page() does not look at what it leaves behind: whoever gets the page next is met. */
static int twice_put(unsigned long unused)
{
	struct page *page = get(0), *next;

	if (!page)
		return -ENOMEM;
	guard(irqsave)();
	victim_free(page, 0);
	culprit_put(page);
	next = victim_alloc(0);
	if (next)
		__free_page(next);
	return done(page);
}

static int twice_batch(unsigned long unused)
{
	struct page *page = get(0), *next;

	if (!page)
		return -ENOMEM;
	guard(irqsave)();
	release_pages(&page, 1);
	release_pages(&page, 1);
	next = victim_alloc(0);
	if (next)
		__free_page(next);
	return done(page);
}

static noinline void culprit_nolock(struct page *page)
{
	free_pages_nolock(page, 0);
	barrier();
}

static int twice_nolock(unsigned long unused)
{
	struct page *page = get(0);

	if (!page)
		return -ENOMEM;
	culprit_nolock(page);
	culprit_nolock(page);
	return done(page);
}

static noinline void culprit_frag(void *fragment)
{
	page_frag_free(fragment);
	barrier();
}

static int twice_frag(unsigned long unused)
{
	struct page *page = get(0);

	if (!page)
		return -ENOMEM;
	culprit_frag(page_address(page));
	culprit_frag(page_address(page));
	return done(page);
}

static noinline void culprit_pagetable(struct ptdesc *table)
{
	pagetable_free(table);
	barrier();
}

static int twice_pagetable(unsigned long unused)
{
	struct ptdesc *table = pagetable_alloc(GFP_KERNEL, 0);

	if (!table)
		return tell(-ENOMEM, "no page table to be had");
	culprit_pagetable(table);
	culprit_pagetable(table);
	return done(ptdesc_page(table));
}

/* A page of a vmalloc area is freed by somebody, and then with the area. */
static int twice_vfree(unsigned long unused)
{
	void *area = vmalloc(3 * PAGE_SIZE);
	struct page *page;

	if (!area)
		return tell(-ENOMEM, "no area to be had");
	page = vmalloc_to_page(area + PAGE_SIZE);
	guard(irqsave)();
	culprit_free(page, 0);
	vfree_atomic(area);
	return done(page);
}

static noinline void culprit_exact(void *area, size_t size)
{
	free_pages_exact(area, size);
	barrier();
}

static int twice_exact(unsigned long nr)
{
	void *area = alloc_pages_exact(nr * PAGE_SIZE, GFP_KERNEL);

	if (!area)
		return tell(-ENOMEM, "no %lu pages to be had", nr);
	culprit_exact(area, nr * PAGE_SIZE);
	culprit_exact(area, nr * PAGE_SIZE);
	return done(virt_to_page(area));
}

/* Freed by A, got by B, freed again by A, got by C: the count tells when the last one frees. */
static int early(unsigned long unused)
{
	struct page *page = get(0), *second, *third;

	if (!page)
		return -ENOMEM;
	guard(irqsave)();
	victim_free(page, 0);
	second = victim_alloc(0);
	culprit_free(page, 0);
	third = victim_alloc(0);
	if (second != page || third != page)
		return tell(-EAGAIN, "the page did not come again");
	victim_free(second, 0);
	victim_free(third, 0);
	return done(page);
}

/* --- somebody else's */

/* get_page() and put_page() of a page in the middle of a block that is not compound. */
static int middle(unsigned long taken)
{
	struct page *block = get(2), *other = NULL;

	if (!block)
		return -ENOMEM;
	guard(irqsave)();
	get_page(block + 1);
	culprit_put(block + 1);
	if (taken)
		other = victim_alloc(0);
	if (taken && other != block + 1)
		return tell(-EAGAIN, "nobody got the page");
	victim_free(block, 2);
	return done(block + 1);
}

static struct page *two_owners(void)
{
	struct page *page = get(2);

	if (page)
		split_page(page, 2);
	return page;
}

static noinline void culprit_coherent(struct page *page, size_t size)
{
	dma_free_coherent(&device->dev, size, page_address(page), page_to_phys(page));
	barrier();
}

/* Two pages were allocated, four are freed; the other two are a neighbour's, or free. */
static int larger(unsigned long neighbour_frees)
{
	struct page *page = two_owners();

	if (!page)
		return -ENOMEM;
	/* dma_free_coherent() does not want interrupts to be off. */
	guard(preempt)();
	if (neighbour_frees) {
		victim_free(page + 2, 0);
		victim_free(page + 3, 0);
	}
	culprit_coherent(page, 4 * PAGE_SIZE);
	return done(page + 2);
}

static int pair(unsigned long unused)
{
	struct page *page = get(1);

	if (!page)
		return -ENOMEM;
	split_page(page, 1);
	culprit_free(page, 1);
	return done(page + 1);
}

/* A compound block, freed as one of another order. */
static int compound(unsigned long order)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_COMP, 2);

	if (!page)
		return tell(-ENOMEM, "no compound block to be had");
	culprit_free(page, order);
	return done(page);
}

/* The same where the larger block is aligned, and the neighbour is a compound block in use. */
static int compound_larger(unsigned long unused)
{
	static struct page *got[NEIGHBOURS];
	unsigned int i, j;

	for (i = 0; i < NEIGHBOURS; i++) {
		got[i] = alloc_pages(GFP_KERNEL | __GFP_COMP, 2);
		if (!got[i])
			return tell(-ENOMEM, "no %d compound blocks to be had", NEIGHBOURS);
	}
	for (i = 0; i < NEIGHBOURS; i++) {
		if (page_to_pfn(got[i]) & 7)
			continue;
		for (j = 0; j < NEIGHBOURS; j++)
			if (got[j] == got[i] + 4) {
				culprit_free(got[i], 3);
				return done(got[j]);
			}
	}
	return tell(-EAGAIN, "no two of them are neighbours");
}

/* As put_page(), which looks at the type first. */
static noinline void culprit_folio_put(struct folio *folio)
{
	folio_put(folio);
	barrier();
}

/* The last reference of a slab page is dropped by who took one of it. */
static int slab(unsigned long unused)
{
	struct kmem_cache *cache = kmem_cache_create("replay", 3000, 0, SLAB_NO_MERGE, NULL);
	struct folio *folio;
	void *object;

	if (!cache)
		return tell(-ENOMEM, "no cache to be had");
	object = kmem_cache_alloc(cache, GFP_KERNEL);
	if (!object)
		return tell(-ENOMEM, "no object to be had");
	folio = virt_to_folio(object);
	folio_get(folio);
	culprit_folio_put(folio);
	return done(&folio->page);
}

/* The same with a page table. */
static int table(unsigned long unused)
{
	struct ptdesc *table = pagetable_alloc(GFP_KERNEL, 0);

	if (!table)
		return tell(-ENOMEM, "no page table to be had");
	if (!pagetable_pte_ctor(&init_mm, table))
		return tell(-ENOMEM, "no lock for a page table to be had");
	culprit_put(ptdesc_page(table));
	return done(ptdesc_page(table));
}

const struct command commands[] = {
	{ "twice", twice }, { "twice_put", twice_put }, { "twice_batch", twice_batch },
	{ "twice_nolock", twice_nolock }, { "twice_frag", twice_frag },
	{ "twice_table", twice_pagetable }, { "twice_vfree", twice_vfree },
	{ "twice_exact", twice_exact }, { "early", early }, { "middle", middle },
	{ "larger", larger }, { "pair", pair }, { "compound", compound },
	{ "comp_larger", compound_larger }, { "slab", slab }, { "table", table },
	{ }
};

static int __init replay_init(void)
{
	device = platform_device_register_simple("replay", -1, NULL, 0);
	if (IS_ERR(device))
		return PTR_ERR(device);
	return dma_coerce_mask_and_coherent(&device->dev, DMA_BIT_MASK(64));
}
module_init(replay_init);

MODULE_DESCRIPTION("Mistakes of drivers with pages, by public functions");
MODULE_LICENSE("GPL");
