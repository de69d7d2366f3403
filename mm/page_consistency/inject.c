// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: violations on purpose, for LKDTM.
 *
 * Each is made with a block that is ours from beginning to end: whatever is done
 * to it, nobody else is given one of its pages.  What cannot be ours, a free list
 * or the table, is wrong only while everybody who could look at it is kept out.
 * So when the policy is to report, the machine goes on in good health.
 */

#include <linux/array_size.h>
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/cleanup.h>
#include <linux/cpu.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/mutex.h>
#include <linux/page-flags.h>
#include <linux/page_consistency.h>
#include <linux/page_consistency_inject.h>
#include <linux/page_ref.h>
#include <linux/spinlock.h>
#include <linux/stop_machine.h>

#include "../internal.h"
#include "report.h"
#include "scrub.h"
#include "section.h"

/* Of the block; a part of it can be freed with a lower order. */
#define PC_INJECT_ORDER	2

/* Our own block is as good as handed out whatever happened to its record. */
static void pc_record_outside(const struct page *page)
{
	unsigned long pfn = page_to_pfn(page);
	struct dual_bitmap map;

	if (pc_lookup(pc_section_nr(pfn), &map))
		dual_bitmap_force_set(&map, pc_section_bit(pfn), PC_INJECT_ORDER);
}

static void pc_record_inside(const struct page *page, unsigned int order)
{
	unsigned long pfn = page_to_pfn(page);
	struct dual_bitmap_fault fault;
	struct dual_bitmap map;

	if (pc_lookup(pc_section_nr(pfn), &map))
		(void)dual_bitmap_clear(&map, pc_section_bit(pfn), order, &fault);
}

static void pc_flip(const struct page *page, bool secondary)
{
	unsigned long pfn = page_to_pfn(page);
	struct dual_bitmap map;

	if (pc_lookup(pc_section_nr(pfn), &map))
		change_bit(pc_section_bit(pfn), secondary ? map.secondary : map.primary);
}

/*
 * Free a part of the block as __free_pages() does, but for the last step: should
 * the checker not refuse it, it must not get onto a free list.
 */
static bool pc_free_is_refused(struct page *page, unsigned int order)
{
	int count = page_ref_count(page);
	bool refused;

	set_page_count(page, 0);
	refused = !free_pages_prepare(page, order);
	set_page_count(page, count);
	return refused;
}

static bool pc_inject_double_free(struct page *block)
{
	/* As the first free has left it. */
	pc_record_inside(block, 0);
	return pc_free_is_refused(block, 0);
}

static bool pc_inject_handed_out_twice(struct page *block)
{
	/* As post_alloc_hook() begins; a hand-out is never refused. */
	page_consistency_alloc(block, PC_INJECT_ORDER);
	return true;
}

static bool pc_inject_free_reserved(struct page *block)
{
	bool refused;

	__SetPageReserved(block);
	refused = pc_free_is_refused(block, 0);
	__ClearPageReserved(block);
	return refused;
}

static bool pc_inject_free_misaligned(struct page *block)
{
	return pc_free_is_refused(block + 1, 1);
}

static bool pc_inject_primary(struct page *block)
{
	pc_flip(block, false);
	return pc_free_is_refused(block, 0);
}

static bool pc_inject_secondary(struct page *block)
{
	pc_flip(block, true);
	return pc_free_is_refused(block, 0);
}

static bool pc_inject_pair(struct page *block)
{
	struct pc_verified result;

	pc_flip(block, true);
	(void)pc_verify(&result);
	return true;
}

/* What can be wrong with a block on a free list. */
static void pc_leave_list(struct page *block, struct zone *zone, int migratetype,
			  enum page_consistency_fault fault)
{
	struct list_head *next = block->buddy_list.next;
	struct page *page = block;

	if (fault == PAGE_CONSISTENCY_LIST_POINTER)
		page = (void *)block + sizeof(long);
	else if (fault == PAGE_CONSISTENCY_LIST_BLOCK)
		set_page_private(block, PC_INJECT_ORDER + 1);
	else if (fault == PAGE_CONSISTENCY_LIST_LINK)
		block->buddy_list.next = &block->buddy_list;

	page_consistency_leave(page, zone, PC_INJECT_ORDER, migratetype);
	block->buddy_list.next = next;
}

/* The block is on the list only while nobody else can get at the list. */
static bool pc_inject_list(struct page *block, enum page_consistency_fault fault)
{
	struct free_area *area = &page_zone(block)->free_area[PC_INJECT_ORDER];
	struct zone *zone = page_zone(block);
	int migratetype = MIGRATE_UNMOVABLE;

	if (fault != PAGE_CONSISTENCY_LIST_IN_USE)
		pc_record_inside(block, PC_INJECT_ORDER);

	guard(spinlock_irqsave)(&zone->lock);
	set_page_private(block, PC_INJECT_ORDER);
	__SetPageBuddy(block);
	list_add(&block->buddy_list, &area->free_list[migratetype]);
	pc_leave_list(block, zone, migratetype, fault);
	list_del(&block->buddy_list);
	__ClearPageBuddy(block);
	set_page_private(block, 0);
	return true;
}

static bool pc_inject_list_in_use(struct page *block)
{
	return pc_inject_list(block, PAGE_CONSISTENCY_LIST_IN_USE);
}

static bool pc_inject_list_pointer(struct page *block)
{
	return pc_inject_list(block, PAGE_CONSISTENCY_LIST_POINTER);
}

static bool pc_inject_list_block(struct page *block)
{
	return pc_inject_list(block, PAGE_CONSISTENCY_LIST_BLOCK);
}

static bool pc_inject_list_link(struct page *block)
{
	return pc_inject_list(block, PAGE_CONSISTENCY_LIST_LINK);
}

/**
 * struct pc_broken_way - a word of the table, for as long as all CPUs are stopped
 * @block: ours, in the section that the word leads to
 * @word: the word
 * @refused: the free was
 */
struct pc_broken_way {
	struct page *block;
	unsigned long *word;
	bool refused;
};

static int pc_break_way(void *data)
{
	struct pc_broken_way *way = data;

	*way->word ^= BIT(PAGE_SHIFT);
	way->refused = !page_consistency_free(way->block, PC_INJECT_ORDER);
	*way->word ^= BIT(PAGE_SHIFT);
	return 0;
}

/*
 * Everybody's pages of the section depend on the table: none may come or go
 * meanwhile.  One that does, because an NMI frees it, is reported too, and leaked.
 */
static bool pc_inject_table(struct page *block, bool root)
{
	unsigned long section = pc_section_nr(page_to_pfn(block));
	unsigned long nr = pc_root_nr(section);
	struct pc_broken_way way = { .block = block };

	guard(cpus_read_lock)();
	guard(mutex)(&pc_store_mutex);
	if (root)
		way.word = &pc_store.inverted[nr];
	else
		way.word = &pc_store.roots[nr][pc_root_index(section)].seal;
	return !stop_machine_cpuslocked(pc_break_way, &way, NULL) && way.refused;
}

static bool pc_inject_entry(struct page *block)
{
	return pc_inject_table(block, false);
}

static bool pc_inject_root(struct page *block)
{
	return pc_inject_table(block, true);
}

/* As memory_failure() begins, which would go on to take the frame out of use. */
static bool pc_inject_frame(struct page *block)
{
	struct dual_bitmap map;

	if (!pc_lookup(pc_section_nr(page_to_pfn(block)), &map))
		return false;
	page_consistency_memory_failure(PHYS_PFN(__pa(map.primary)), false);
	return true;
}

static bool (* const pc_injectors[])(struct page *block) = {
	[PAGE_CONSISTENCY_DOUBLE_FREE]		= pc_inject_double_free,
	[PAGE_CONSISTENCY_HANDED_OUT_TWICE]	= pc_inject_handed_out_twice,
	[PAGE_CONSISTENCY_FREE_RESERVED]	= pc_inject_free_reserved,
	[PAGE_CONSISTENCY_FREE_MISALIGNED]	= pc_inject_free_misaligned,
	[PAGE_CONSISTENCY_LIST_IN_USE]		= pc_inject_list_in_use,
	[PAGE_CONSISTENCY_LIST_POINTER]		= pc_inject_list_pointer,
	[PAGE_CONSISTENCY_LIST_BLOCK]		= pc_inject_list_block,
	[PAGE_CONSISTENCY_LIST_LINK]		= pc_inject_list_link,
	[PAGE_CONSISTENCY_RECORD_PRIMARY]	= pc_inject_primary,
	[PAGE_CONSISTENCY_RECORD_SECONDARY]	= pc_inject_secondary,
	[PAGE_CONSISTENCY_RECORD_PAIR]		= pc_inject_pair,
	[PAGE_CONSISTENCY_RECORD_ENTRY]		= pc_inject_entry,
	[PAGE_CONSISTENCY_RECORD_ROOT]		= pc_inject_root,
	[PAGE_CONSISTENCY_RECORD_FRAME]		= pc_inject_frame,
};

static_assert(ARRAY_SIZE(pc_injectors) == PAGE_CONSISTENCY_NR_FAULTS);

/**
 * page_consistency_inject - cause a violation, for LKDTM
 * @fault: which
 *
 * Does not return if the checker's policy is to panic.  If it is to report, all
 * that was damaged is sound again afterwards, and no page is lost.
 *
 * Context: Process context, may sleep.
 * Return: 0 if it was reported and, where that is possible, refused; -ENODATA if
 *	   it was not; -EOPNOTSUPP if the checker is off; -EINVAL or -ENOMEM.
 */
int page_consistency_inject(enum page_consistency_fault fault)
{
	unsigned long before = pc_violation_count();
	struct page *block;

	if (!page_consistency_on())
		return -EOPNOTSUPP;
	if ((unsigned int)fault >= PAGE_CONSISTENCY_NR_FAULTS)
		return -EINVAL;
	block = alloc_pages(GFP_KERNEL, PC_INJECT_ORDER);
	if (!block)
		return -ENOMEM;

	/* A page that was freed for good on the way is not ours any more: leak the block. */
	if (!pc_injectors[fault](block))
		return -ENODATA;
	pc_record_outside(block);
	__free_pages(block, PC_INJECT_ORDER);
	return pc_violation_count() == before ? -ENODATA : 0;
}
EXPORT_SYMBOL_FOR_MODULES(page_consistency_inject, "lkdtm");
