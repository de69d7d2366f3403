// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: memory that fails under the record itself.
 *
 * Nothing about it is stored.  When a frame fails, the table is walked to find out
 * whether something of the record is in it, and what.  A frame that has failed is
 * not read meanwhile: that could be a machine check.  So of two copies the other
 * one is read, and it is compared with what else is known.
 */

#define pr_fmt(fmt) "page_consistency: " fmt

#include <linux/bitmap.h>
#include <linux/cleanup.h>
#include <linux/memory_hotplug.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/mutex.h>
#include <linux/page_consistency.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include "../internal.h"
#include "hardware.h"
#include "page.h"
#include "report.h"
#include "section.h"

static unsigned long pc_nr_roots(const struct pc_store *store)
{
	return pc_root_nr(store->nr_sections - 1) + 1;
}

static unsigned long pc_frame_of(const void *p)
{
	return PHYS_PFN(__pa(p));
}

static bool pc_overlaps(const void *p, unsigned long bytes, unsigned long pfn)
{
	return in_range(pfn, pc_frame_of(p), pc_frame_of(p + bytes - 1) - pc_frame_of(p) + 1);
}

/* The first frame of an array that has failed, or 0. */
static unsigned long pc_failed_frame(const void *p, unsigned long bytes)
{
	unsigned long pfn, end = pc_frame_of(p + bytes - 1) + 1;

	for (pfn = pc_frame_of(p); pfn < end; pfn++)
		if (PageHWPoison(pfn_to_page(pfn)))
			return pfn;
	return 0;
}

/*
 * A page of entries, by those copies of its pointer that are not in the frame @pfn.
 * NULL if they do not lead to one, which is for verification to report.
 */
static const struct pc_section *pc_root_beside(const struct pc_store *store, unsigned long nr,
					       unsigned long pfn)
{
	bool first_gone = pc_overlaps(&store->roots[nr], sizeof(long), pfn);
	bool second_gone = pc_overlaps(&store->inverted[nr], sizeof(long), pfn);
	unsigned long first = first_gone ? 0 : (unsigned long)READ_ONCE(store->roots[nr]);
	unsigned long second = second_gone ? first : ~READ_ONCE(store->inverted[nr]);

	if (first_gone)
		first = second;
	if (first != second || !PAGE_ALIGNED(first) || !virt_addr_valid((void *)first))
		return NULL;
	return (const struct pc_section *)first;
}

static void pc_frame_add(struct pc_frame *frame, unsigned long first, unsigned long last)
{
	frame->first = min(frame->first, first);
	frame->last = max(frame->last, last);
}

/* Pointers to pages of entries; each has to do with all sections of its page. */
static void pc_find_pointers(const struct pc_store *store, const void *pointers,
			     struct pc_frame *frame)
{
	unsigned long nr;

	for (nr = 0; nr < pc_nr_roots(store); nr++)
		if (pc_overlaps(pointers + nr * sizeof(long), sizeof(long), frame->pfn))
			pc_frame_add(frame, nr << PC_ROOT_SHIFT, ((nr + 1) << PC_ROOT_SHIFT) - 1);
}

/* Of a section, the array that is in the frame, and the other one. */
static bool pc_find_arrays(const struct pc_section *root, unsigned long section,
			   const struct pc_frame *frame, unsigned long **other)
{
	const struct pc_section *entry = root + pc_root_index(section);
	bool secondary = frame->part == PC_PART_SECONDARY;

	/* Arrays of boot memory that is offline will serve again. */
	if (!pc_section_sealed(entry, section) && !pc_section_dormant(entry, section))
		return false;
	*other = secondary ? entry->map.primary : entry->map.secondary;
	return pc_overlaps(secondary ? entry->map.secondary : entry->map.primary, PC_ARRAY_BYTES,
			   frame->pfn);
}

static void pc_find_in_root(const struct pc_section *root, unsigned long nr,
			    struct pc_frame *frame)
{
	unsigned long section, *other;

	for (section = nr << PC_ROOT_SHIFT; pc_root_nr(section) == nr; section++)
		if (pc_find_arrays(root, section, frame, &other))
			pc_frame_add(frame, section, section);
}

/**
 * pc_frame_holds - does a frame hold this part of the record?
 * @store: the table
 * @pfn: the frame; it is not read
 * @part: the part
 * @frame: filled in if so, but for the other copy
 *
 * Context: The table does not change: pc_store_mutex, or nobody else knows it.
 * Return: true if it does.
 */
bool pc_frame_holds(const struct pc_store *store, unsigned long pfn, enum pc_part part,
		    struct pc_frame *frame)
{
	const struct pc_section *root;
	unsigned long nr;

	*frame = (struct pc_frame) { .part = part, .pfn = pfn, .first = ULONG_MAX };
	if (part == PC_PART_ROOTS)
		pc_find_pointers(store, store->roots, frame);
	else if (part == PC_PART_INVERTED)
		pc_find_pointers(store, store->inverted, frame);
	else
		for (nr = 0; nr < pc_nr_roots(store); nr++) {
			root = pc_root_beside(store, nr, pfn);
			if (!root)
				continue;
			if (part == PC_PART_ENTRIES && pc_frame_of(root) == pfn)
				pc_frame_add(frame, nr << PC_ROOT_SHIFT,
					     ((nr + 1) << PC_ROOT_SHIFT) - 1);
			else if (part != PC_PART_ENTRIES && pc_frame_of(root) != pfn &&
				 !pc_failed_frame(root, PAGE_SIZE))
				pc_find_in_root(root, nr, frame);
		}
	return frame->first != ULONG_MAX;
}

/* Is the free block recorded inside, in the one array that is left? */
static bool pc_array_agrees(const unsigned long *array, bool secondary, unsigned long pfn,
			    unsigned int order)
{
	unsigned long bit = pc_section_bit(pfn), end = bit + (1UL << order);

	if (secondary)
		return find_next_zero_bit(array, end, bit) >= end;
	return find_next_bit(array, end, bit) >= end;
}

/*
 * The other array of a section, against the free lists, which are the only witness
 * there is: as in the audit, what is on a list is recorded inside.  Returns false if
 * it is not.
 */
static bool pc_compare_array(const unsigned long *array, bool secondary, unsigned long section,
			     struct pc_frame *frame)
{
	unsigned long pfn = section << PC_SECTION_SHIFT, end = pfn + PC_SECTION_PAGES;
	struct page *page;
	unsigned int order;

	while (pfn < end) {
		cond_resched();
		page = pfn_to_online_page(pfn);
		if (!page || !PageBuddy(page)) {
			pfn++;
			continue;
		}
		guard(spinlock_irqsave)(&page_zone(page)->lock);
		order = PageBuddy(page) ? buddy_order(page) : 0;
		if (order <= PC_SECTION_SHIFT && PageBuddy(page) && IS_ALIGNED(pfn, 1UL << order)) {
			if (!pc_array_agrees(array, secondary, pfn, order))
				return false;
			frame->agreed++;
			pfn += 1UL << order;
		} else {
			pfn++;
		}
	}
	return true;
}

static void pc_judge_array(unsigned long section, struct pc_frame *frame)
	__must_hold(&pc_store_mutex)
{
	const struct pc_section *root = pc_root_beside(&pc_store, pc_root_nr(section), frame->pfn);
	unsigned long *array, failed;

	if (!root || !pc_find_arrays(root, section, frame, &array))
		return;
	if (!frame->other_pfn)
		frame->other_pfn = pc_frame_of(array);
	failed = pc_failed_frame(array, PC_ARRAY_BYTES);
	if (failed) {
		frame->other = PC_OTHER_FAILED;
		frame->other_pfn = failed;
	} else if (frame->other != PC_OTHER_FAILED &&
		   !pc_compare_array(array, frame->part == PC_PART_PRIMARY, section, frame)) {
		frame->other = PC_OTHER_WRONG;
		frame->other_pfn = pc_frame_of(array);
	}
}

/* The other pointers to the pages of entries: do they lead to entries? */
static void pc_judge_pointers(struct pc_frame *frame)
	__must_hold(&pc_store_mutex)
{
	const void *other = frame->part == PC_PART_ROOTS ? (void *)pc_store.inverted :
							   (void *)pc_store.roots;
	unsigned long section, failed;
	const struct pc_section *root, *entry;

	other += pc_root_nr(frame->first) * sizeof(long);
	frame->other_pfn = pc_frame_of(other);
	failed = pc_failed_frame(other, (pc_root_nr(frame->last) - pc_root_nr(frame->first) + 1) *
					sizeof(long));
	if (failed) {
		frame->other = PC_OTHER_FAILED;
		frame->other_pfn = failed;
		return;
	}
	for (section = frame->first; section <= frame->last; section++) {
		root = pc_root_beside(&pc_store, pc_root_nr(section), frame->pfn);
		if (!root) {
			frame->other = PC_OTHER_WRONG;
			continue;
		}
		if (pc_failed_frame(root, PAGE_SIZE))
			continue;
		entry = root + pc_root_index(section);
		if (pc_section_sealed(entry, section) || pc_section_dormant(entry, section))
			frame->agreed++;
		else if (!pc_section_absent(entry))
			frame->other = PC_OTHER_WRONG;
	}
}

static void pc_judge_other(struct pc_frame *frame)
	__must_hold(&pc_store_mutex)
{
	unsigned long section;

	if (frame->part == PC_PART_ENTRIES)
		return;
	frame->other = PC_OTHER_INTACT;
	if (frame->part == PC_PART_PRIMARY || frame->part == PC_PART_SECONDARY)
		for (section = frame->first; section <= frame->last; section++)
			pc_judge_array(section, frame);
	else
		pc_judge_pointers(frame);
}

static void pc_report_frame(struct pc_frame *frame)
	__must_hold(&pc_store_mutex)
{
	struct pc_report report = {
		.violation = PC_BAD_FRAME, .event = PC_MEMORY_FAILURE, .pfn = frame->pfn,
		.section = pc_section_nr(frame->pfn), .frame = frame,
		.page = pfn_to_online_page(frame->pfn),
	};

	report.proven = report.page;
	pc_judge_other(frame);
	pc_report(&report);
}

/**
 * __page_consistency_memory_failure - memory has failed; was it the record's?
 * @pfn: the frame
 * @soft: its errors were corrected: what it holds is right, but it should go
 *
 * A frame of the record cannot be moved.  As long as its errors are corrected that
 * is no violation, and said only.
 *
 * Context: Process context, may sleep.
 */
void __page_consistency_memory_failure(unsigned long pfn, bool soft)
{
	struct pc_frame frame;
	enum pc_part part;

	/* Or the arrays that are compared could go with their memory. */
	guard(mutex)(&pc_store_mutex);
	for (part = 0; part < PC_NR_PARTS; part++) {
		if (!pc_frame_holds(&pc_store, pfn, part, &frame))
			continue;
		if (soft)
			pr_warn("pfn 0x%lx cannot go offline: it holds %s of sections %lu to %lu\n",
				pfn, pc_part_name(part), frame.first, frame.last);
		else
			pc_report_frame(&frame);
	}
}
