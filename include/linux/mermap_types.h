/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_MERMAP_TYPES_H
#define _LINUX_MERMAP_TYPES_H

#include <linux/cache.h>
#include <linux/pgtable.h>
#include <linux/types.h>

struct mm_struct;
struct task_struct;

/*
 * An area is what one CPU has in one mm:
 *
 *	 0                                                   126     127
 *	+-----+-----------+---------+------------------------+-------+
 *	| put | mapped    | put     | never used since       |reserve|
 *	|     |           |         | the last flush         |       |
 *	+-----+-----------+---------+------------------------+-------+
 *	                             ^ next
 *
 * 128 page table entries are 1 KiB: four CPUs share a PTE page, and no two of them
 * share a cache line of it.
 */
#define MERMAP_AREA_PAGES	128
#define MERMAP_AREA_SIZE	(MERMAP_AREA_PAGES * PAGE_SIZE)

/* Pages left unmapped on either side of each mapping. */
#define MERMAP_GUARD		(IS_ENABLED(CONFIG_MERMAP_DEBUG) ? 1 : 0)

/* The page that only mermap_get_reserved() uses, and the range that only mermap_get() uses. */
#define MERMAP_RESERVE		(MERMAP_AREA_PAGES - 1)
#define MERMAP_FIRST		MERMAP_GUARD
#define MERMAP_LIMIT		(MERMAP_RESERVE - MERMAP_GUARD)

/* The largest mapping. */
#define MERMAP_MAX_PAGES	(MERMAP_LIMIT - MERMAP_FIRST)

/* Mappings that may exist at a time in one area, the reserved one not counted. */
#define MERMAP_SLOTS		4

/**
 * enum mermap_access - what a mapping may be used for
 * @MERMAP_RO: reading
 * @MERMAP_RW: reading and writing
 */
enum mermap_access {
	MERMAP_RO,
	MERMAP_RW,
};

/* What the tracepoint tells. */
enum mermap_event {
	MERMAP_EVENT_GET,
	MERMAP_EVENT_FAIL,
	MERMAP_EVENT_REWIND,
	MERMAP_EVENT_SYNC,
	MERMAP_EVENT_SYNC_SKIP,
};

/**
 * struct mermap_alloc - a mapping
 * @addr: where it is; see mermap_addr()
 * @area: the area it is in, and so its mm and CPU
 * @first: its first page in the area
 * @nr: its pages; 0 while it is nobody's
 * @owner: the task that has to put it
 */
struct mermap_alloc {
	void *addr;
	struct mermap_area *area;
	unsigned short first;
	unsigned short nr;
#ifdef CONFIG_MERMAP_DEBUG
	struct task_struct *owner;
#endif
};

/**
 * struct mermap_area - the mappings of one CPU in one mm
 * @ptes: the page table entries of the area, remembered so that nothing walks to them
 * @base: the address of its first page
 * @mm: the mm it belongs to
 * @cpu: the CPU it belongs to
 * @next: pages from here to %MERMAP_LIMIT were not mapped since the last flush
 * @slots: mappings made by mermap_get()
 * @reserve: the mapping made by mermap_get_reserved()
 *
 * Only tasks on @cpu that have or had @mm loaded touch it, until the mm exits.  What they
 * share, @next and the search for a free slot, they do with preemption off.
 */
struct mermap_area {
	pte_t *ptes;
	unsigned long base;
	struct mm_struct *mm;
	int cpu;
	unsigned short next;
	struct mermap_alloc slots[MERMAP_SLOTS];
	struct mermap_alloc reserve;
} ____cacheline_aligned_in_smp;

/**
 * struct mermap - all areas of an mm
 * @nr_areas: their number
 * @areas: by CPU; those of CPUs that are not possible are empty
 */
struct mermap {
	unsigned int nr_areas;
	struct mermap_area areas[] __counted_by(nr_areas);
};

#endif /* _LINUX_MERMAP_TYPES_H */
