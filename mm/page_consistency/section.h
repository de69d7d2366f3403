/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_PAGE_CONSISTENCY_SECTION_H
#define _MM_PAGE_CONSISTENCY_SECTION_H

#include <linux/compiler.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pfn.h>
#include <linux/types.h>

#include "page.h"
#include "report.h"
#include "table.h"

/* Changes when the meaning of its bits, or the way to them, does. */
#define PC_RECORD_VERSION	1

/**
 * struct pc_store - where the record of every PFN is
 * @roots: pages of PC_ROOT_SECTIONS entries; roots without a tracked section
 *	   share one page of absent entries, so that none is NULL
 * @inverted: the same pointers, inverted, in other pages
 * @nr_sections: the table ends here; sized at boot from what memory can appear
 * @tracked: sections that are tracked now
 * @bytes: all memory taken, table included
 * @distance: bytes between the two words of a pair, the smallest there ever was
 */
struct pc_store {
	struct pc_section **roots;
	unsigned long *inverted;
	unsigned long nr_sections;
	unsigned long tracked;
	unsigned long bytes;
	phys_addr_t distance;
};

extern struct pc_store pc_store;

/* The secondary of a section has to be on another node. */
extern bool pc_remote;

/*
 * Guards changes of the table.  Whoever looks a section up and uses its arrays with
 * preemption off needs no lock: they stay for a grace period after they have left
 * the table.  Taken inside cpus_read_lock(), which memory hotplug holds.
 */
extern struct mutex pc_store_mutex;

/* The two words of a pair are in frames whose numbers differ by this or more. */
#define PC_MIN_DISTANCE_PAGES	2UL

/**
 * pc_store_lookup - find the arrays of a section
 * @store: the table
 * @section: any number
 * @map: filled in
 *
 * What is returned is what was checked: the pointers are read once.
 *
 * Context: Any.
 * Return: true if the section is tracked and the table intact on the way to it;
 *	   otherwise pc_store_failure() tells which is not the case.
 */
static __always_inline bool pc_store_lookup(const struct pc_store *store, unsigned long section,
					    struct dual_bitmap *map)
{
	unsigned long nr = pc_root_nr(section);
	const struct pc_section *entry;

	/* It only grows; a volatile access would cost an instruction. */
	if (unlikely(section >= data_race(store->nr_sections)))
		return false;
	/* Replaced by a longer one with the same contents, as is the next. */
	entry = READ_ONCE(data_race(store->roots)[nr]);
	/* See above. */
	if (unlikely((unsigned long)entry != ~READ_ONCE(data_race(store->inverted)[nr])))
		return false;
	entry += pc_root_index(section);
	map->primary = READ_ONCE(entry->map.primary);
	map->secondary = READ_ONCE(entry->map.secondary);
	/* Written last; whatever else it is does not fit the pointers. */
	return likely(data_race(entry->seal) == pc_seal(map, section));
}

static __always_inline bool pc_lookup(unsigned long section, struct dual_bitmap *map)
{
	return pc_store_lookup(&pc_store, section, map);
}

enum pc_violation pc_store_failure(const struct pc_store *store, unsigned long section,
				   struct pc_report *report);
unsigned long pc_next_section(unsigned long section);

const char *pc_store_init(bool remote);
void pc_store_copy(void);
void pc_set_tracked(unsigned long tracked)
	__must_hold(&pc_store_mutex);
const char *pc_store_bad_state(void);

/* How far apart two arrays are, in bytes. */
static inline phys_addr_t pc_distance(const void *a, const void *b)
{
	phys_addr_t pa = __pa(a), pb = __pa(b);

	return pa > pb ? pa - pb : pb - pa;
}

static inline bool pc_far_enough(const void *a, const void *b)
{
	unsigned long pfn_a = PHYS_PFN(__pa(a)), pfn_b = PHYS_PFN(__pa(b));

	return max(pfn_a, pfn_b) - min(pfn_a, pfn_b) >= PC_MIN_DISTANCE_PAGES;
}

/* The page that all roots without a tracked section share. */
static inline struct pc_section *pc_absent_root(void)
{
	return pc_store.roots[pc_root_nr(pc_store.nr_sections)];
}

/**
 * pc_is_page - prove that a pointer is where the struct page of its PFN is
 * @page: any value
 * @pfn: set to the PFN in any case
 *
 * Whether that PFN is tracked, pc_lookup() says.  Alignment counts: a pointer a few
 * bytes off yields the same PFN, and a wrong page.  With classic SPARSEMEM the flags
 * of the page are read, once something is known to be mapped there.
 *
 * Context: Any.
 * Return: true if @page is the struct page of @pfn.
 */
static __always_inline bool pc_is_page(const struct page *page, unsigned long *pfn)
{
	unsigned long nr;
#if defined(CONFIG_SPARSEMEM) && !defined(CONFIG_SPARSEMEM_VMEMMAP)
	/*
	 * The memmap is ordinary memory here, and which one it is stands in the page.
	 * With HIGHMEM, virt_addr_valid() is true of addresses that nothing is mapped at.
	 */
	struct dual_bitmap map;

	if (!IS_ALIGNED((unsigned long)page, sizeof(long)) || !virt_addr_valid(page) ||
	    (const void *)page >= high_memory ||
	    !pc_lookup(pc_page_section(page), &map)) {
		*pfn = 0;
		return false;
	}
#endif
	*pfn = page_to_pfn(page);
#if defined(CONFIG_SPARSEMEM) && !defined(CONFIG_SPARSEMEM_VMEMMAP)
	/*
	 * Inside a struct page whose size is no power of two, the quotient can be any
	 * number, and pfn_to_page() trusts it to have a section.
	 */
	if (unlikely(pc_section_nr(*pfn) != pc_page_section(page)))
		return false;
#endif
	/* A linear memmap loses nothing but the offset within a struct page. */
	if (IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP) && is_power_of_2(sizeof(*page)))
		return likely(IS_ALIGNED((unsigned long)page, sizeof(*page)));
	/*
	 * C lets a compiler take for granted that the pointer led to a struct page, and
	 * clang then knows what this yields.
	 */
	nr = *pfn;
	OPTIMIZER_HIDE_VAR(nr);
	return likely(pfn_to_page(nr) == page);
}

#endif /* _MM_PAGE_CONSISTENCY_SECTION_H */
