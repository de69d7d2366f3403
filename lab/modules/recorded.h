/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LAB_RECORDED_H
#define _LAB_RECORDED_H

/* What the record says about pages, for modules that look at it. */

#include "page_consistency/section.h"
#include "paths.h"

static int must_be(const char *when, struct page *page, unsigned long nr, bool inside)
{
	unsigned long pfn = page_to_pfn(page), end = pfn + nr, bit;
	struct dual_bitmap map;

	for (; pfn < end; pfn++) {
		if (!pc_lookup(pc_section_nr(pfn), &map))
			return tell(-EIO, "%s: pfn 0x%lx has no record", when, pfn);
		bit = pc_section_bit(pfn);
		if (test_bit(bit, map.primary) == inside || test_bit(bit, map.secondary) != inside)
			return tell(-EIO, "%s: pfn 0x%lx, number %lu of %lu, is not recorded %s",
				    when, pfn, nr - (end - pfn), nr, inside ? "inside" : "outside");
	}
	return 0;
}

static __maybe_unused int is_out(struct page *page, unsigned long nr)
{
	return must_be("while held", page, nr, false);
}

static __maybe_unused int is_in(struct page *page, unsigned long nr)
{
	return must_be("after the free", page, nr, true);
}

#endif /* _LAB_RECORDED_H */
