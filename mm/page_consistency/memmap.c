// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: the memmap is believed only as far as it can
 * be checked.
 *
 * Between a PFN and its struct page there is arithmetic, and between a tail page and
 * its head there may be a mask, which gives the head only if the memmap is aligned as
 * the largest folio is.  The kernel itself looks at that with CONFIG_DEBUG_VM only.
 * With SPARSEMEM_VMEMMAP or FLATMEM the memmap is linear, so that one look at its
 * start is all.  Otherwise each section has a memmap of its own, and what leads back
 * from a struct page to its PFN is in the page flags.
 */

#define pr_fmt(fmt) "page_consistency: " fmt

#include <linux/init.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/page-flags.h>
#include <linux/printk.h>

#include "memmap.h"
#include "report.h"
#include "section.h"

/* Folios up to this order may be made.  Exported as safe_order. */
int pc_memmap_order __ro_after_init = MAX_FOLIO_ORDER;

/**
 * pc_memmap_init - is the memmap aligned as compound pages need it?
 *
 * All that the buddy allocator has may be made compound pages of, so there is no
 * way to live with less than its largest order.  Gigantic folios are asked for by
 * somebody; who does so on such a machine is told not to.
 *
 * Context: Boot, before the first page is freed into the allocator.
 * Return: NULL, or why the machine must not run.
 */
const char * __init pc_memmap_init(void)
{
	if (!compound_info_has_mask())
		return NULL;

	pc_memmap_order = pc_safe_order((unsigned long)pfn_to_page(0), sizeof(struct page),
					MAX_FOLIO_ORDER);
	if (pc_memmap_order < MAX_PAGE_ORDER)
		return "the memmap is not aligned, tail pages would lead to wrong heads";
	if (pc_memmap_order < MAX_FOLIO_ORDER)
		pr_warn("the memmap is aligned for folios up to order %d, not %d: do not use larger ones\n",
			pc_memmap_order, MAX_FOLIO_ORDER);
	return NULL;
}

/**
 * pc_memmap_check - do the struct pages of a section know which they are?
 * @section: the section; tracked
 *
 * Its first and its last, as far as they are online.  For the sections present at
 * boot: memory hotplug needs SPARSEMEM_VMEMMAP, with which there is nothing to look at.
 *
 * Context: Any, after page_alloc_init_late(): the struct pages have to exist.
 * Return: false if not; it has been reported.
 */
bool pc_memmap_check(unsigned long section)
{
	unsigned long pfn = section << PC_SECTION_SHIFT;
	const unsigned long pfns[] = { pfn, pfn + PC_SECTION_PAGES - 1 };
	struct pc_report report = {
		.violation = PC_BAD_POINTER, .event = PC_VERIFY, .section = section,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(pfns); i++) {
		report.page = pfn_to_online_page(pfns[i]);
		report.pfn = pfns[i];
		if (!report.page || pc_is_page_of(report.page, pfns[i]))
			continue;
		pc_report(&report);
		return false;
	}
	return true;
}

static int __init pc_memmap_check_all(void)
{
	unsigned long section;

	if (!pc_store.tracked)
		return 0;
	for (section = pc_next_section(0); section < pc_store.nr_sections;
	     section = pc_next_section(section + 1))
		pc_memmap_check(section);
	return 0;
}
core_initcall(pc_memmap_check_all);
