/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_PAGE_CONSISTENCY_TABLE_H
#define _MM_PAGE_CONSISTENCY_TABLE_H

/*
 * Arithmetic of the table that leads from a PFN to the words of its pair.
 * Pure: nothing here depends on the running kernel.
 *
 *	PFN -> section -> root (a page of entries) -> entry -> two arrays
 *
 * The table is as much part of the record as the arrays are: an entry is sealed
 * over both its pointers and the section it belongs to, and the pointers to the
 * roots are kept twice, the second time inverted.
 */

#include <linux/bitops.h>
#include <linux/dual_bitmap.h>
#include <linux/log2.h>
#include <linux/mmzone.h>

/*
 * Without SPARSEMEM there are no sections; the same code then runs with granules
 * whose arrays fill one page each.
 */
#ifdef CONFIG_SPARSEMEM
#define PC_SECTION_SHIFT	PFN_SECTION_SHIFT
#else
#define PC_SECTION_SHIFT	(PAGE_SHIFT + 3)
#endif

#define PC_SECTION_PAGES	(1UL << PC_SECTION_SHIFT)
#define PC_SECTION_MASK		(PC_SECTION_PAGES - 1)
#define PC_ARRAY_BYTES		(PC_SECTION_PAGES / BITS_PER_BYTE)
#define PC_ARRAY_WORDS		(PC_SECTION_PAGES / BITS_PER_LONG)

/**
 * struct pc_section - one section's arrays
 * @map: the arrays, PC_ARRAY_BYTES each
 * @seal: pc_seal() of @map and the section number
 *
 * All zero: the section is not tracked.  The seal inverted: it has arrays, but its
 * memory is offline, so it is not tracked either.
 */
struct pc_section {
	struct dual_bitmap map;
	unsigned long seal;
};

/* A power of two, so that the index is a mask. */
#define PC_ROOT_SECTIONS	(PAGE_SIZE / (4 * sizeof(unsigned long)))
#define PC_ROOT_SHIFT		ilog2(PC_ROOT_SECTIONS)

static_assert(sizeof(struct pc_section) * PC_ROOT_SECTIONS <= PAGE_SIZE);

static __always_inline unsigned long pc_section_nr(unsigned long pfn)
{
	return pfn >> PC_SECTION_SHIFT;
}

/* Index of the PFN's bit in its section's arrays. */
static __always_inline unsigned long pc_section_bit(unsigned long pfn)
{
	return pfn & PC_SECTION_MASK;
}

static __always_inline unsigned long pc_root_nr(unsigned long section)
{
	return section >> PC_ROOT_SHIFT;
}

static __always_inline unsigned long pc_root_index(unsigned long section)
{
	return section & (PC_ROOT_SECTIONS - 1);
}

/*
 * One flipped bit in any of the inputs or in the seal itself always shows.  The
 * rotation keeps exchanged pointers from cancelling out, by an odd distance, or
 * pointers whose difference has equal halves still would.  The section keeps an
 * entry from passing for another's and, plus one, an absent entry from passing at
 * all.
 */
static __always_inline unsigned long pc_seal(const struct dual_bitmap *map, unsigned long section)
{
	unsigned long secondary = (unsigned long)map->secondary;

	secondary = secondary << (BITS_PER_LONG / 2 - 1) | secondary >> (BITS_PER_LONG / 2 + 1);
	return ((unsigned long)map->primary + section + 1) ^ secondary;
}

static __always_inline bool pc_section_sealed(const struct pc_section *entry, unsigned long section)
{
	return entry->seal == pc_seal(&entry->map, section);
}

static inline bool pc_section_absent(const struct pc_section *entry)
{
	return !entry->map.primary && !entry->map.secondary && !entry->seal;
}

static inline bool pc_section_dormant(const struct pc_section *entry, unsigned long section)
{
	return entry->seal == ~pc_seal(&entry->map, section);
}

#endif /* _MM_PAGE_CONSISTENCY_TABLE_H */
