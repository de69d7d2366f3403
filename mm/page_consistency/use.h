/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_PAGE_CONSISTENCY_USE_H
#define _MM_PAGE_CONSISTENCY_USE_H

/*
 * What a struct page says of its use.
 *
 * How many references there are to a page, and how often it is mapped or what type it
 * has, stand side by side in struct page.  So one comparison tells whether anybody has
 * to do with it: a page that is handed out or taken back has no reference, and no type
 * but those that stay until it is freed.
 */

#include <linux/compiler.h>
#include <linux/kconfig.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/stddef.h>
#include <linux/types.h>

#include "page.h"

static_assert(offsetof(struct page, page_type) % sizeof(u64) == 0);
static_assert(offsetof(struct page, _refcount) == offsetof(struct page, page_type) + sizeof(u32));

/* The two as one word, in the order in which they stand. */
#ifdef CONFIG_CPU_BIG_ENDIAN
#define PC_USE(type)	((u64)(type) << 32)
#else
#define PC_USE(type)	((u64)(u32)(type))
#endif

/* No reference, no mapping, no type. */
#define PC_UNUSED	PC_USE(~0U)

/* A free block: no reference, and no bit but those of its type. */
#define PC_USE_BUDDY	PC_USE((u32)PGTY_buddy << 24)

/**
 * pc_use - the type or mappings, and the references, of a page
 * @page: a struct page
 *
 * Context: Any.
 * Return: a word to compare with those above.
 */
static __always_inline u64 pc_use(const struct page *page)
{
	/*
	 * Whoever changes it meanwhile must not: that is what is looked for.  A volatile
	 * access would cost an instruction.
	 */
	return data_race(*(const u64 *)&page->page_type);
}

/**
 * pc_first_used - the first page of a range that is in use
 * @page: first page; its struct page and those behind it are contiguous
 * @from: where to begin, counted from @page
 * @nr: pages of the range, counted from @page
 *
 * Context: Any.
 * Return: its number, counted from @page; @nr if none is.
 */
static __always_inline unsigned long pc_first_used(const struct page *page, unsigned long from,
						   unsigned long nr)
{
	const struct page *tail = page + from, *end = page + nr;

	while (tail < end && likely(pc_use(tail) == PC_UNUSED))
		tail++;
	return tail - page;
}

/*
 * Flags that a block to be freed is asked for: a compound block is freed as a whole, a page
 * that the kernel has reserved never, and a single page whose memory has failed is kept out
 * by the allocator itself.
 */
#ifdef CONFIG_MEMORY_FAILURE
#define PC_TELLING	(BIT(PG_reserved) | BIT(PG_head) | BIT(PG_hwpoison))
#else
#define PC_TELLING	(BIT(PG_reserved) | BIT(PG_head))
#endif

static __always_inline unsigned long pc_telling_flags(const struct page *page)
{
	return pc_flags(page) & PC_TELLING;
}

#endif /* _MM_PAGE_CONSISTENCY_USE_H */
