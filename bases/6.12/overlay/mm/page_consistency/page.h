/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_PAGE_CONSISTENCY_PAGE_H
#define _MM_PAGE_CONSISTENCY_PAGE_H

/*
 * How a struct page is laid out.
 *
 * What else reads page flags, heads and tails in the checker does so by these functions,
 * because the layout is what changes most from one kernel to the next.  None of them
 * trusts what it reads: the page may be damaged, or nobody's.
 *
 * What later kernels have and this one has not stands at the end, under its later name.
 */

#include <linux/compiler.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page-flags.h>
#include <linux/page_ref.h>

#include "../internal.h"

/* All flags of a page at once.  A volatile access would cost an instruction. */
static __always_inline unsigned long pc_flags(const struct page *page)
{
	/* Others may change; those that are asked for do not while the page has an owner. */
	return data_race(page->flags);
}

/* PageTail(), likewise. */
static __always_inline bool pc_is_tail(const struct page *page)
{
	/* See above. */
	return data_race(page->compound_head) & 1;
}

/* The order of a block whose head this is; of anything else it is any number. */
static __always_inline unsigned int pc_compound_order(const struct page *head)
{
	return ((const struct folio *)head)->_flags_1 & 0xff;
}

/* Without SPARSEMEM_VMEMMAP: where the memmap is that this page belongs to. */
static __always_inline unsigned long pc_page_section(const struct page *page)
{
#ifdef SECTION_IN_PAGE_FLAGS
	return page_to_section(page);
#else
	return 0;
#endif
}

/* The node and the zone that one look at the flags tells; neither need exist. */
static inline void pc_page_place(const struct page *page, int *nid, unsigned int *zonenum)
{
	/* Other flags may change meanwhile. */
	const unsigned long flags = data_race(READ_ONCE(page->flags));

#ifdef NODE_NOT_IN_PAGE_FLAGS
	*nid = page_to_nid(page);
#else
	*nid = (flags >> NODES_PGSHIFT) & NODES_MASK;
#endif
	*zonenum = (flags >> ZONES_PGSHIFT) & ZONES_MASK;
}

/* Whoever gives a page a type takes it back before the page is freed. */
static inline bool pc_type_may_be_freed(const struct page *page)
{
	return false;
}

/* No context analysis; the others of its words are those of sparse. */
#define __context_unsafe(...)
#define __guarded_by(...)

/* Tail pages hold a pointer to their head, and no mask. */
#define compound_info_has_mask()	false
#define MAX_FOLIO_ORDER			ilog2(MAX_FOLIO_NR_PAGES)

#define EXPORT_SYMBOL_FOR_MODULES(symbol, modules)	EXPORT_SYMBOL_GPL(symbol)

static inline int pc_zone_to_nid(const struct zone *zone)
{
	return zone_to_nid((struct zone *)zone);
}

/* Here these take a zone without const, a folio, and no allocation flags. */
#define zone_to_nid(zone)		pc_zone_to_nid(zone)
#define __SetPageSlab(page)		__folio_set_slab((struct folio *)(page))
#define __ClearPageSlab(page)		__folio_clear_slab((struct folio *)(page))
#define post_alloc_hook(page, order, gfp, alloc_flags)	post_alloc_hook(page, order, gfp)

/* A frozen page is handed out, and has no reference. */
static inline struct page *alloc_frozen_pages(gfp_t gfp, unsigned int order)
{
	struct page *page = alloc_pages(gfp, order);

	if (page)
		set_page_count(page, 0);
	return page;
}

static inline void free_frozen_pages(struct page *page, unsigned int order)
{
	free_unref_page(page, order);
}

#endif /* _MM_PAGE_CONSISTENCY_PAGE_H */
