/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_PAGE_CONSISTENCY_PAGE_H
#define _MM_PAGE_CONSISTENCY_PAGE_H

/*
 * How a struct page is laid out.
 *
 * What else reads page flags, heads and tails in the checker does so by these functions,
 * because the layout is what changes most from one kernel to the next.  None of them
 * trusts what it reads: the page may be damaged, or nobody's.
 */

#include <linux/compiler.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page-flags.h>

#include "../page_alloc.h"

/* All flags of a page at once.  A volatile access would cost an instruction. */
static __always_inline unsigned long pc_flags(const struct page *page)
{
	/* Others may change; those that are asked for do not while the page has an owner. */
	return data_race(page->flags.f);
}

/* PageTail(), likewise. */
static __always_inline bool pc_is_tail(const struct page *page)
{
	/* See above. */
	return data_race(page->compound_info) & 1;
}

/* The order of a block whose head this is; of anything else it is any number. */
static __always_inline unsigned int pc_compound_order(const struct page *head)
{
	return folio_large_order((const struct folio *)head);
}

/* Without SPARSEMEM_VMEMMAP: where the memmap is that this page belongs to. */
static __always_inline unsigned long pc_page_section(const struct page *page)
{
	return memdesc_section(&page->flags);
}

/* The node and the zone that one look at the flags tells; neither need exist. */
static inline void pc_page_place(const struct page *page, int *nid, unsigned int *zonenum)
{
	/* Other flags may change meanwhile. */
	const memdesc_flags_t flags = { data_race(READ_ONCE(page->flags.f)) };

	*nid = memdesc_nid(&flags);
	*zonenum = memdesc_zonenum(&flags);
}

/* Types that stay on a page until it is freed; every other one means an owner. */
static inline bool pc_type_may_be_freed(const struct page *page)
{
	return PageOffline(page) || PageZsmalloc(page);
}

#endif /* _MM_PAGE_CONSISTENCY_PAGE_H */
