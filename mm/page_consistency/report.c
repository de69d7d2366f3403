// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: what is said about a violation, and what
 * happens then.
 *
 * Hooks run in any context, NMI included, and often with zone->lock held.  So
 * nothing here takes a lock: the first reporter prints, others give it a moment
 * and leave the rest to panic(), and a per-CPU flag ends the recursion when
 * reporting itself needs pages.  Output is deferred, because a console driver may
 * want the very lock that is held.
 */

#define pr_fmt(fmt) "page_consistency: " fmt

#include <kunit/static_stub.h>
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/mmdebug.h>
#include <linux/panic.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/sched/debug.h>
#include <linux/stdarg.h>
#include <linux/time64.h>
#include <trace/events/error_report.h>

#include "../internal.h"
#include "report.h"

enum pc_policy pc_policy __ro_after_init =
	IS_ENABLED(CONFIG_PAGE_CONSISTENCY_ENFORCED) ? PC_POLICY_PANIC : PC_POLICY_OFF;

static atomic_long_t pc_count;
static atomic_t pc_panicking;
static DEFINE_PER_CPU(bool, pc_reporting);

/* Cleared through clear_warn_once, as all that warns once. */
static bool pc_seen[PC_NR_VIOLATIONS] __section(".data..once");

static const char * const pc_violations[] = {
	[PC_HANDED_OUT_TWICE]	= "page handed out twice",
	[PC_NOT_HANDED_OUT]	= "page freed but not handed out",
	[PC_FREED_RESERVED]	= "reserved page freed",
	[PC_LISTED_OUTSIDE]	= "page on a free list but not in the allocator",
	[PC_BAD_PRIMARY]	= "record corrupt: primary bitmap",
	[PC_BAD_SECONDARY]	= "record corrupt: secondary bitmap",
	[PC_BAD_PAIR]		= "record corrupt: one of the bitmaps",
	[PC_BAD_ENTRY]		= "record corrupt: table entry",
	[PC_BAD_ROOT]		= "record corrupt: table root",
	[PC_BAD_POINTER]	= "not a struct page of tracked memory",
	[PC_MISALIGNED]		= "block not aligned to its order",
	[PC_BAD_BLOCK]		= "free block contradicts the record",
	[PC_BAD_LINK]		= "free list corrupt",
	[PC_NOT_REACHED]	= "checker not reached",
	[PC_BAD_FRAME]		= "record in failed memory",
};

static_assert(ARRAY_SIZE(pc_violations) == PC_NR_VIOLATIONS);

static const char * const pc_events[] = {
	[PC_HAND_OUT]	= "hand-out",
	[PC_TAKE_BACK]	= "free",
	[PC_LEAVE_LIST]	= "leaving a free list",
	[PC_JOIN_LIST]	= "joining a free list",
	[PC_VERIFY]	= "verification",
	[PC_HOTPLUG]	= "memory hotplug",
	[PC_LEAVE_PCP]	= "leaving a per-CPU list",
	[PC_JOIN_PCP]	= "joining a per-CPU list",
	[PC_MEMORY_FAILURE] = "memory failure",
};

static_assert(ARRAY_SIZE(pc_events) == PC_NR_EVENTS);

static const char * const pc_parts[] = {
	[PC_PART_PRIMARY]	= "primary bitmap",
	[PC_PART_SECONDARY]	= "secondary bitmap",
	[PC_PART_ENTRIES]	= "table entries",
	[PC_PART_ROOTS]		= "table roots",
	[PC_PART_INVERTED]	= "inverted table roots",
};

static_assert(ARRAY_SIZE(pc_parts) == PC_NR_PARTS);

static const char * const pc_others[] = {
	[PC_OTHER_NONE]		= "none",
	[PC_OTHER_INTACT]	= "intact",
	[PC_OTHER_WRONG]	= "wrong",
	[PC_OTHER_FAILED]	= "failed too",
};

static_assert(ARRAY_SIZE(pc_others) == PC_NR_OTHERS);

/**
 * pc_policy_name - the policy in the words of the command line
 *
 * Context: Any.
 * Return: "off", "on" or "report".
 */
const char *pc_policy_name(void)
{
	switch (pc_policy) {
	case PC_POLICY_PANIC:
		return "on";
	case PC_POLICY_REPORT:
		return "report";
	default:
		return "off";
	}
}

/**
 * pc_part_name - what a part of the record is called in reports
 * @part: the part
 *
 * Context: Any.
 * Return: its name, a constant string.
 */
const char *pc_part_name(enum pc_part part)
{
	return pc_parts[part];
}

/**
 * pc_violation_count - violations since boot, reported or not
 *
 * Context: Any.
 * Return: the count; expected violations of a KUnit test are not in it.
 */
unsigned long pc_violation_count(void)
{
	return atomic_long_read(&pc_count);
}

/**
 * pc_panic - stop the machine; the only place of the checker that does
 * @fmt: the essence, because pstore keeps the tail of the log
 *
 * Context: Any.
 */
void pc_panic(const char *fmt, ...)
{
	char text[160];
	va_list args;

	va_start(args, fmt);
	vscnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	panic("page_consistency: %s", text);
}

static char pc_state(unsigned long primary, unsigned long secondary, unsigned long mask)
{
	if (!(primary & mask) && (secondary & mask) == mask)
		return 'i';
	if ((primary & mask) == mask && !(secondary & mask))
		return 'o';
	return dual_bitmap_bad_bits(primary, secondary) & mask ? 'c' : 'm';
}

static const char *pc_state_name(unsigned long primary, unsigned long secondary,
				 unsigned long mask)
{
	switch (pc_state(primary, secondary, mask)) {
	case 'i':
		return "inside";
	case 'o':
		return "outside";
	case 'c':
		return "corrupt";
	default:
		return "partly inside";
	}
}

static const char *pc_damage_name(unsigned long primary, unsigned long secondary)
{
	switch (dual_bitmap_classify(primary, secondary)) {
	case DUAL_BITMAP_INTACT:
		return "none, the words are complements";
	case DUAL_BITMAP_ONE_BIT:
		return "one flipped bit";
	case DUAL_BITMAP_SEVERAL_BITS:
		return "several bits";
	default:
		return "a whole word";
	}
}

/* The allocator's own opinion, independent of the record. */
static void pc_print_witness(const struct page *page)
{
	int nid = page_to_nid(page);
	const char *zone = "?";

	if (nid >= 0 && nid < MAX_NUMNODES && node_online(nid))
		zone = NODE_DATA(nid)->node_zones[page_zonenum(page)].name;

	pr_err("  memory   node %d zone %s\n", nid, zone);
	pr_err("  witness  PageBuddy %d order %lu, refcount %d, reserved %d\n",
	       PageBuddy(page), PageBuddy(page) ? page_private(page) : 0UL,
	       page_ref_count(page), PageReserved(page));
}

static void pc_print_words(const struct pc_report *report)
{
	const struct dual_bitmap_fault *fault = &report->fault;
	unsigned long bad = dual_bitmap_bad_bits(fault->primary, fault->secondary);
	const char *must = report->event == PC_TAKE_BACK ? "outside" : "inside";
	const int width = BITS_PER_LONG / 4;

	if (report->violation == PC_BAD_PAIR)
		must = "inside or outside";
	pr_err("  record   %s, must be %s\n",
	       pc_state_name(fault->primary, fault->secondary, fault->mask), must);
	pr_err("  words    primary %0*lx secondary %0*lx mask %0*lx at word %lu%s\n",
	       width, fault->primary, width, fault->secondary, width, fault->mask,
	       fault->word, fault->reread ? " (re-read)" : "");
	pr_err("  damage   %s, bad pairs %0*lx\n",
	       pc_damage_name(fault->primary, fault->secondary), width, bad);
}

static void pc_print_table(const struct pc_report *report)
{
	const struct pc_section *entry = &report->entry;

	if (report->has_root)
		pr_err("  root     %px inverted copy %0*lx\n", (void *)report->root[0],
		       BITS_PER_LONG / 4, report->root[1]);
	if (report->has_entry)
		pr_err("  table    primary %px secondary %px seal %0*lx (%s)\n",
		       entry->map.primary, entry->map.secondary, BITS_PER_LONG / 4,
		       entry->seal, pc_section_absent(entry) ? "not tracked" :
		       pc_section_dormant(entry, report->section) ? "offline" :
		       pc_section_sealed(entry, report->section) ? "intact" : "broken");
}

static void pc_print_frame(const struct pc_frame *frame)
{
	pr_err("  frame    %s of sections %lu to %lu\n", pc_parts[frame->part],
	       frame->first, frame->last);
	if (frame->other == PC_OTHER_NONE)
		pr_err("  other    none\n");
	else
		pr_err("  other    %s, pfn 0x%lx, agrees with %lu %s\n",
		       pc_others[frame->other], frame->other_pfn, frame->agreed,
		       frame->part <= PC_PART_SECONDARY ? "free blocks" : "sealed entries");
}

/*
 * What may need most room and least certainty first, the fixed block last:
 * pstore keeps the tail.
 */
static void pc_print(const struct pc_report *report)
{
	if (report->proven)
		dump_page(report->page, "page_consistency");

	pr_err("%s\n", pc_violations[report->violation]);
	pr_err("  at       %s, called from %pS\n", pc_events[report->event],
	       (void *)report->caller);
	if (report->violation == PC_BAD_POINTER)
		pr_err("  pointer  %px order %u\n", report->page, report->order);
	else if (!report->link || report->page)
		pr_err("  page     pfn 0x%lx order %u, section %lu\n",
		       report->pfn, report->order, report->section);
	if (report->zone)
		pr_err("  list     node %d zone %s order %u\n", zone_to_nid(report->zone),
		       report->zone->name ?: "?", report->order);
	if (report->link)
		pr_err("  link     %px does not lead back\n", report->link);
	if (report->frame)
		pc_print_frame(report->frame);
	if (report->has_words)
		pc_print_words(report);
	pc_print_table(report);
	if (report->proven)
		pc_print_witness(report->page);
	pr_err("  policy   %s, violations %lu\n", pc_policy_name(), pc_violation_count());
}

static void pc_stop(const struct pc_report *report)
{
	const char *what = pc_violations[report->violation];
	const struct dual_bitmap_fault *fault = &report->fault;

	if (report->violation == PC_BAD_POINTER)
		pc_panic("%s: %px order %u", what, report->page, report->order);
	else if (report->link)
		pc_panic("%s: link %px order %u", what, report->link, report->order);
	else if (report->frame)
		pc_panic("%s: pfn 0x%lx order %u section %lu: %s of sections %lu to %lu, other %s",
			 what, report->pfn, report->order, report->section,
			 pc_parts[report->frame->part], report->frame->first,
			 report->frame->last, pc_others[report->frame->other]);
	else if (!report->has_words)
		pc_panic("%s: pfn 0x%lx order %u section %lu", what, report->pfn,
			 report->order, report->section);
	else
		pc_panic("%s: pfn 0x%lx order %u section %lu: primary %lx secondary %lx of %lx",
			 what, report->pfn, report->order, report->section,
			 fault->primary & fault->mask, fault->secondary & fault->mask,
			 fault->mask);
}

/*
 * Another CPU is printing what it has found and will panic then, which stops
 * this one.  It waits for nothing that this CPU could hold; should it die on the
 * way, this one panics in its stead.  An NMI on the printing CPU does not come
 * here.
 */
static void pc_wait_for_panic(void)
{
	unsigned int tries = 10 * MSEC_PER_SEC;

	while (!panic_in_progress() && --tries)
		udelay(USEC_PER_MSEC);
}

/**
 * pc_report - report a violation and act by policy
 * @report: all that is known
 *
 * Panics if that is the policy.  Otherwise warns once for each kind of
 * violation, taints the kernel, counts, and returns; the caller refuses what can
 * be refused.  A KUnit test that expects a violation takes the report instead.
 *
 * Context: Any, NMI included.
 */
void pc_report(const struct pc_report *report)
{
	KUNIT_STATIC_STUB_REDIRECT(pc_report, report);

	guard(irqsave)();
	atomic_long_inc(&pc_count);
	if (__this_cpu_read(pc_reporting))
		return;
	__this_cpu_write(pc_reporting, true);

	if (pc_policy == PC_POLICY_PANIC && atomic_xchg(&pc_panicking, 1)) {
		pc_wait_for_panic();
	} else if (pc_policy == PC_POLICY_PANIC ||
		   !xchg(&pc_seen[report->violation], true)) {
		printk_deferred_enter();
		pc_print(report);
		if (pc_policy != PC_POLICY_PANIC)
			dump_stack();
		printk_deferred_exit();
		add_taint(TAINT_BAD_PAGE, LOCKDEP_STILL_OK);
		trace_error_report_end(ERROR_DETECTOR_PAGE_CONSISTENCY, report->pfn);
		if (pc_policy != PC_POLICY_PANIC)
			check_panic_on_warn("page_consistency");
	}
	if (pc_policy == PC_POLICY_PANIC)
		pc_stop(report);

	__this_cpu_write(pc_reporting, false);
}
