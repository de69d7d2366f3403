// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: violations on purpose, for the self-test at boot
 * and for LKDTM.
 *
 * Each is made with a block that is ours from beginning to end: whatever is done
 * to it, nobody else is given one of its pages.  What cannot be ours, a free list
 * or the table, is wrong only while everybody who could look at it is kept out.
 * So when the policy is to report, the machine goes on in good health.
 */

#define pr_fmt(fmt) "page_consistency: " fmt

#include <linux/array_size.h>
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/cleanup.h>
#include <linux/cpu.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/list.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/mutex.h>
#include <linux/page-flags.h>
#include <linux/page_consistency.h>
#include <linux/page_consistency_inject.h>
#include <linux/page_ref.h>
#include <linux/printk.h>
#include <linux/sched/clock.h>
#include <linux/spinlock.h>
#include <linux/stop_machine.h>
#include <linux/string.h>
#include <linux/time64.h>

#include "../internal.h"
#include "page.h"
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
	return !free_pages_prepare(page, order);
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

/* A neighbour has the last page: the block was split. */
static bool pc_inject_free_in_use(struct page *block)
{
	bool refused;

	set_page_refcounted(block + (1 << PC_INJECT_ORDER) - 1);
	refused = pc_free_is_refused(block, PC_INJECT_ORDER);
	set_page_count(block + (1 << PC_INJECT_ORDER) - 1, 0);
	return refused;
}

/* A stranger drops a reference that he took of a slab page. */
static bool pc_inject_free_typed(struct page *block)
{
	bool refused;

	__SetPageSlab(block);
	refused = pc_free_is_refused(block, 0);
	__ClearPageSlab(block);
	return refused;
}

/* Half of a compound block is freed. */
static bool pc_inject_free_wrong_order(struct page *unused)
{
	struct page *block = alloc_frozen_pages(GFP_KERNEL | __GFP_COMP, PC_INJECT_ORDER);

	/* A block of which a half is gone is leaked. */
	if (!block || !pc_free_is_refused(block, PC_INJECT_ORDER - 1))
		return false;
	free_frozen_pages(block, PC_INJECT_ORDER);
	return true;
}

/* As __free_pages() goes on after a put that was one too many. */
static bool pc_inject_put(struct page *block)
{
	set_page_count(block, -1);
	return !page_consistency_put(block, 0) && !page_ref_count(block);
}

/* What is left of a put while the page was free. */
static bool pc_inject_counted(struct page *block)
{
	pc_record_inside(block, 0);
	set_page_count(block, -1);
	page_consistency_alloc(block, 0);
	return true;
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
	struct pc_verified result = { };

	pc_flip(block, true);
	pc_verify_section(pc_section_nr(page_to_pfn(block)), &result);
	return result.mismatches;
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
	else if (fault == PAGE_CONSISTENCY_LIST_COUNTED)
		set_page_count(block, -1);

	page_consistency_leave(page, zone, PC_INJECT_ORDER, migratetype);
	set_page_count(block, 0);
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

static bool pc_inject_list_counted(struct page *block)
{
	return pc_inject_list(block, PAGE_CONSISTENCY_LIST_COUNTED);
}

/**
 * struct pc_broken_way - words of the table, for as long as all CPUs are stopped
 * @block: ours, in the section that the words lead to
 * @words: the words
 * @nr: how many
 * @bits: of each that are changed; all ones means that it becomes zero
 * @refused: the free was
 */
struct pc_broken_way {
	struct page *block;
	unsigned long *words;
	unsigned int nr;
	unsigned long bits;
	bool refused;
};

static int pc_break_way(void *data)
{
	unsigned long saved[sizeof(struct pc_section) / sizeof(long)];
	struct pc_broken_way *way = data;
	unsigned int i;

	memcpy(saved, way->words, way->nr * sizeof(long));
	for (i = 0; i < way->nr; i++)
		way->words[i] = ~way->bits ? saved[i] ^ way->bits : 0;
	way->refused = !page_consistency_free(way->block, PC_INJECT_ORDER);
	memcpy(way->words, saved, way->nr * sizeof(long));
	return 0;
}

/*
 * Everybody's pages of the section depend on the table: none may come or go
 * meanwhile.  One that does, because an NMI frees it, is reported too, and leaked.
 */
static bool pc_inject_table(struct pc_broken_way way)
{
	return !stop_machine_cpuslocked(pc_break_way, &way, NULL) && way.refused;
}

static struct pc_section *pc_entry_of(const struct page *block)
{
	unsigned long section = pc_section_nr(page_to_pfn(block));

	return &pc_store.roots[pc_root_nr(section)][pc_root_index(section)];
}

static bool pc_inject_entry(struct page *block)
{
	guard(cpus_read_lock)();
	guard(mutex)(&pc_store_mutex);
	return pc_inject_table((struct pc_broken_way) {
		.block = block, .words = &pc_entry_of(block)->seal, .nr = 1,
		.bits = BIT(PAGE_SHIFT),
	});
}

/* Without SPARSEMEM nothing but their number tells that a section is missing. */
static bool pc_inject_no_entry(struct page *block)
{
	guard(cpus_read_lock)();
	guard(mutex)(&pc_store_mutex);
	return pc_inject_table((struct pc_broken_way) {
		.block = block, .words = (unsigned long *)pc_entry_of(block),
		.nr = sizeof(struct pc_section) / sizeof(long), .bits = ~0UL,
	});
}

static bool pc_inject_root(struct page *block)
{
	guard(cpus_read_lock)();
	guard(mutex)(&pc_store_mutex);
	return pc_inject_table((struct pc_broken_way) {
		.block = block, .nr = 1, .bits = BIT(PAGE_SHIFT),
		.words = &pc_store.inverted[pc_root_nr(pc_section_nr(page_to_pfn(block)))],
	});
}

/* For a moment allocations without locks fail, as while a mismatch is being confirmed. */
static bool pc_inject_state(struct page *block)
{
	struct pc_verified result = { };

	WRITE_ONCE(page_consistency_hold_nolock, true);
	pc_check_state(&result);
	WRITE_ONCE(page_consistency_hold_nolock, false);
	return result.mismatches;
}

/* As memory_failure() begins, which would go on to take the frame out of use. */
static bool pc_inject_frame(struct page *unused)
{
	if (!IS_ENABLED(CONFIG_MEMORY_FAILURE))
		return false;
	page_consistency_memory_failure(PHYS_PFN(__pa(pc_store.roots)), false);
	return true;
}

#ifdef CONFIG_SPARSEMEM
#define PC_NO_ENTRY	PC_BAD_ENTRY
#else
#define PC_NO_ENTRY	PC_BAD_POINTER
#endif

/* What is done, and what has to be noticed. */
static const struct {
	bool (*inject)(struct page *block);
	enum pc_violation violation;
	const char *name;
} pc_faults[] = {
	[PAGE_CONSISTENCY_DOUBLE_FREE]	= {
		pc_inject_double_free, PC_NOT_HANDED_OUT, "second free" },
	[PAGE_CONSISTENCY_HANDED_OUT_TWICE] = {
		pc_inject_handed_out_twice, PC_HANDED_OUT_TWICE, "second hand-out" },
	[PAGE_CONSISTENCY_FREE_RESERVED] = {
		pc_inject_free_reserved, PC_FREED_RESERVED, "free of a reserved page" },
	[PAGE_CONSISTENCY_FREE_MISALIGNED] = {
		pc_inject_free_misaligned, PC_MISALIGNED, "misaligned block" },
	[PAGE_CONSISTENCY_FREE_IN_USE]	= {
		pc_inject_free_in_use, PC_FREED_IN_USE, "free of somebody's page" },
	[PAGE_CONSISTENCY_FREE_TYPED]	= {
		pc_inject_free_typed, PC_FREED_IN_USE, "free of a slab page" },
	[PAGE_CONSISTENCY_FREE_WRONG_ORDER] = {
		pc_inject_free_wrong_order, PC_WRONG_ORDER, "wrong order" },
	[PAGE_CONSISTENCY_PUT]		= {
		pc_inject_put, PC_PUT_TOO_OFTEN, "put of a free page" },
	[PAGE_CONSISTENCY_COUNTED]	= {
		pc_inject_counted, PC_COUNTED, "hand-out of a page with a count" },
	[PAGE_CONSISTENCY_LIST_IN_USE]	= {
		pc_inject_list_in_use, PC_LISTED_OUTSIDE, "page in use on a free list" },
	[PAGE_CONSISTENCY_LIST_POINTER]	= {
		pc_inject_list_pointer, PC_BAD_POINTER, "wrong pointer in a free list" },
	[PAGE_CONSISTENCY_LIST_BLOCK]	= {
		pc_inject_list_block, PC_BAD_BLOCK, "wrong order on a free list" },
	[PAGE_CONSISTENCY_LIST_LINK]	= {
		pc_inject_list_link, PC_BAD_LINK, "wrong link of a free list" },
	[PAGE_CONSISTENCY_LIST_COUNTED]	= {
		pc_inject_list_counted, PC_COUNTED, "page with a count on a free list" },
	[PAGE_CONSISTENCY_RECORD_PRIMARY] = {
		pc_inject_primary, PC_BAD_PRIMARY, "bit of the primary bitmap" },
	[PAGE_CONSISTENCY_RECORD_SECONDARY] = {
		pc_inject_secondary, PC_BAD_SECONDARY, "bit of the secondary bitmap" },
	[PAGE_CONSISTENCY_RECORD_PAIR]	= {
		pc_inject_pair, PC_BAD_PAIR, "bit, seen by verification" },
	[PAGE_CONSISTENCY_RECORD_ENTRY]	= {
		pc_inject_entry, PC_BAD_ENTRY, "table entry" },
	[PAGE_CONSISTENCY_RECORD_NO_ENTRY] = {
		pc_inject_no_entry, PC_NO_ENTRY, "wiped table entry" },
	[PAGE_CONSISTENCY_RECORD_ROOT]	= {
		pc_inject_root, PC_BAD_ROOT, "table root" },
	[PAGE_CONSISTENCY_RECORD_FRAME]	= {
		pc_inject_frame, PC_BAD_FRAME, "failed memory" },
	[PAGE_CONSISTENCY_STATE]	= {
		pc_inject_state, PC_BAD_STATE, "variable of the checker" },
};

static_assert(ARRAY_SIZE(pc_faults) == PAGE_CONSISTENCY_NR_FAULTS);

/* Nobody tells the checker of failed memory in a kernel that does not look for it. */
static bool pc_can_inject(enum page_consistency_fault fault)
{
	return fault != PAGE_CONSISTENCY_RECORD_FRAME || IS_ENABLED(CONFIG_MEMORY_FAILURE);
}

/* Cause a fault with a block of our own; -ENODATA if what can be refused was not. */
static int pc_inject(enum page_consistency_fault fault)
{
	struct page *block = alloc_frozen_pages(GFP_KERNEL, PC_INJECT_ORDER);

	if (!block)
		return -ENOMEM;
	/* A page that was freed for good on the way is not ours any more: leak the block. */
	if (!pc_faults[fault].inject(block))
		return -ENODATA;
	pc_record_outside(block);
	free_frozen_pages(block, PC_INJECT_ORDER);
	return 0;
}

/**
 * page_consistency_inject - cause a violation, for LKDTM
 * @fault: which
 *
 * Does not return if the checker's policy is to panic.  If it is to report, all
 * that was damaged is sound again afterwards, and no page is lost.
 *
 * Context: Process context, may sleep.
 * Return: 0 if it was reported and, where that is possible, refused; -ENODATA if
 *	   it was not; -EOPNOTSUPP if the checker is off, or the kernel cannot do it;
 *	   -EINVAL or -ENOMEM.
 */
int page_consistency_inject(enum page_consistency_fault fault)
{
	unsigned long before = pc_violation_count();
	int error;

	if (!page_consistency_on())
		return -EOPNOTSUPP;
	if ((unsigned int)fault >= PAGE_CONSISTENCY_NR_FAULTS)
		return -EINVAL;
	if (!pc_can_inject(fault))
		return -EOPNOTSUPP;
	error = pc_inject(fault);
	if (!error && pc_violation_count() == before)
		error = -ENODATA;
	return error;
}
EXPORT_SYMBOL_FOR_MODULES(page_consistency_inject, "lkdtm");

/*
 * A detector that no longer works is found before there is anything for it to miss: at
 * each boot each of them is shown a fault of its own, by the real hooks, before the first
 * user process runs.
 */
static int __init pc_self_test(void)
{
	u64 start = local_clock();
	struct pc_probe probe;
	unsigned int fault;
	int error;

	if (!page_consistency_on())
		return 0;
	for (fault = 0; fault < PAGE_CONSISTENCY_NR_FAULTS; fault++) {
		if (!pc_can_inject(fault))
			continue;
		probe = (struct pc_probe) { .violation = pc_faults[fault].violation };
		pc_expect(&probe);
		error = pc_inject(fault);
		pc_expect(NULL);
		if (error || !probe.reports)
			pc_panic("self-test: not noticed: %s (%d)", pc_faults[fault].name, error);
		pc_tested++;
	}
	pc_tested_ns = local_clock() - start;
	pr_info("self-test: all %u detectors fire, in %llu us\n", pc_tested,
		div_u64(pc_tested_ns, NSEC_PER_USEC));
	return 0;
}

/* Before there is a second CPU: grace periods are short then, and nobody else looks on. */
early_initcall(pc_self_test);
