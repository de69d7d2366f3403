/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_PAGE_CONSISTENCY_MEMMAP_H
#define _MM_PAGE_CONSISTENCY_MEMMAP_H

#include <linux/bitops.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/types.h>

#include "section.h"

/**
 * pc_safe_order - the largest order whose tail pages find their head by a mask
 * @base: address of the struct page of PFN 0
 * @size: of a struct page; a power of two
 * @max: no larger one is asked for
 *
 * The mask of order n clears log2(@size) + n bits of a tail page's address.  That
 * is the address of the head if the struct pages of a naturally aligned folio are
 * naturally aligned as well, so if @base is.
 *
 * Context: Any; computes only.
 * Return: the order, or -1 if @base is no multiple of @size.
 */
static inline int pc_safe_order(unsigned long base, unsigned long size, int max)
{
	int bits = base ? __ffs(base) : BITS_PER_LONG - 1;

	return max(-1, min(max, bits - ilog2(size)));
}

/**
 * pc_is_page_of - is this the struct page of that PFN, by its own account?
 * @page: any value
 * @pfn: the PFN
 *
 * Context: Any.  Nothing is read through @page before it is known to be in the memmap.
 * Return: true if so.
 */
static inline bool pc_is_page_of(const struct page *page, unsigned long pfn)
{
	unsigned long found;

	return pc_is_page(page, &found) && found == pfn;
}

extern int pc_memmap_order;

const char *pc_memmap_init(void);
bool pc_memmap_check(unsigned long section);

#endif /* _MM_PAGE_CONSISTENCY_MEMMAP_H */
