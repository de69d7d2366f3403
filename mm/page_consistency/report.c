// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: what is said about a violation, and what
 * happens then.
 *
 * Hooks run in any context, NMI included, and often with zone->lock held.  So
 * nothing here takes a lock, and what is called does not wait for one, but for another
 * CPU that prints its stack at the same time.  If the machine
 * is to stop, who reports panics from the first line on, which makes all others wait;
 * otherwise a per-CPU flag ends the recursion when reporting itself needs pages.  Output
 * is deferred, because a driver of an old console may want the very lock that is held.
 */

/* Each line of a report is marked by itself, so that the first can begin as all BUGs do. */
#define pr_fmt(fmt) fmt

#include <kunit/static_stub.h>
#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/init.h>
#include <linux/irq_work.h>
#include <linux/irqflags.h>
#include <linux/kmsg_dump.h>
#include <linux/mm.h>
#include <linux/mmdebug.h>
#include <linux/mmzone.h>
#include <linux/panic.h>
#include <linux/percpu.h>
#include <linux/printk.h>
#include <linux/sched/debug.h>
#include <linux/sprintf.h>
#include <linux/stdarg.h>
#include <linux/sysfs.h>
#include <trace/events/error_report.h>

#include "../internal.h"
#include "page.h"
#include "report.h"

#define PC_PREFIX		"page_consistency: "
#define PC_POINTER_BYTES	24
#define PC_CULPRIT_BYTES	96
#define PC_WHERE_BYTES		96

enum pc_policy pc_policy __ro_after_init =
	IS_ENABLED(CONFIG_PAGE_CONSISTENCY_ENFORCED) ? PC_POLICY_PANIC : PC_POLICY_OFF;

/* Compared with it in each pass. */
static unsigned int pc_policy_inverse __ro_after_init = ~PC_POLICY_PANIC;

static atomic_long_t pc_count;

/* Under the policy `report`; under the other panic_cpu serves. */
static DEFINE_PER_CPU(bool, pc_reporting);

/* Cleared through clear_warn_once, as all that warns once. */
static bool pc_seen[PC_NR_VIOLATIONS] __section(".data..once");

static const char * const pc_violations[] = {
	[PC_HANDED_OUT_TWICE]	= "page handed out twice",
	[PC_NOT_HANDED_OUT]	= "page freed but not handed out",
	[PC_FREED_RESERVED]	= "reserved page freed",
	[PC_FREED_IN_USE]	= "page freed while in use",
	[PC_WRONG_ORDER]	= "block freed with a wrong order",
	[PC_PUT_TOO_OFTEN]	= "page put too often",
	[PC_COUNTED]		= "free page with references",
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
	[PC_BAD_STATE]		= "checker's own state corrupt",
	[PC_TOO_LATE]		= "detection latency exceeded",
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
	[PC_PUT]	= "put",
};

static_assert(ARRAY_SIZE(pc_events) == PC_NR_EVENTS);

/*
 * Whom to look at.  Who is met on the stack has often done nothing but what is right
 * with a page that somebody else had put once too often.
 */
static const char * const pc_blame[PC_NR_VIOLATIONS] = {
	[PC_HANDED_OUT_TWICE]	= "not who allocates: what led the allocator to this page",
	[PC_NOT_HANDED_OUT]	= "who frees now, or who freed it before",
	[PC_FREED_RESERVED]	= "who frees now",
	[PC_FREED_IN_USE]	= "who frees now, or who put the page that is in use",
	[PC_WRONG_ORDER]	= "who frees now",
	[PC_PUT_TOO_OFTEN]	= "who puts now, or who put it once too often before",
	[PC_COUNTED]		= "who put it once too often, or got it; not who is met here",
};

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
	char text[256];
	va_list args;

	va_start(args, fmt);
	vscnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	panic(PC_PREFIX "%s", text);
}

/*
 * What the self-test at boot causes, and takes.  Nothing can be silenced by this once
 * the machine runs: it is NULL and read-only then.
 */
static struct pc_probe *pc_probe __ro_after_init;

static bool pc_expected(const struct pc_report *report)
{
	struct pc_probe *probe = pc_probe;

	if (likely(!probe) || report->violation != probe->violation)
		return false;
	probe->reports++;
	return true;
}

/**
 * pc_policy_settle - the policy will not change any more
 *
 * Context: Boot.
 */
void __init pc_policy_settle(void)
{
	pc_policy_inverse = ~pc_policy;
}

/**
 * pc_expect - take reports of a kind instead of acting upon them
 * @probe: says which, and counts; NULL to act upon all reports
 *
 * Context: Boot, while there is one CPU and before user space.
 */
void __init pc_expect(struct pc_probe *probe)
{
	pc_probe = probe;
}

/*
 * Does a violation stop the machine?  Always, unless the policy is to report by both its
 * copies: damage to one of them does not make it milder.
 */
static bool pc_stops(void)
{
	return !(pc_policy == PC_POLICY_REPORT && pc_policy_inverse == ~PC_POLICY_REPORT);
}

/**
 * pc_report_bad_state - could a report be silenced?
 *
 * Context: Any.
 * Return: NULL, or the name of a variable that is not what it must be.
 */
const char *pc_report_bad_state(void)
{
	return pc_policy_inverse == ~pc_policy ? NULL : "policy";
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

/* A report that stops the machine shows pointers as they are; a log that goes on does not. */
static const char *pc_pointer(char text[PC_POINTER_BYTES], const void *p)
{
	if (pc_stops())
		snprintf(text, PC_POINTER_BYTES, "%px", p);
	else
		snprintf(text, PC_POINTER_BYTES, "%p", p);
	return text;
}

/* The allocator's own opinion, independent of the record. */
static void pc_print_witness(const struct page *page)
{
	int nid = page_to_nid(page), zonenum = page_zonenum(page);
	const char *zone = "?";
	unsigned int type;

	if (nid >= 0 && nid < MAX_NUMNODES && node_online(nid) && zonenum < MAX_NR_ZONES)
		zone = NODE_DATA(nid)->node_zones[zonenum].name;

	pr_err(PC_PREFIX "  memory   node %d zone %s\n", nid, zone);
	/* Whatever it is by now. */
	type = data_race(page->page_type) >> 24;
	pr_err(PC_PREFIX "  witness  PageBuddy %d order %lu, refcount %d, type %02x, reserved %d\n",
	       PageBuddy(page), PageBuddy(page) ? page_private(page) : 0UL,
	       page_ref_count(page), type, PageReserved(page));
}

static void pc_print_words(const struct pc_report *report)
{
	const struct dual_bitmap_fault *fault = &report->fault;
	unsigned long bad = dual_bitmap_bad_bits(fault->primary, fault->secondary);
	const char *must = report->event == PC_TAKE_BACK ? "outside" : "inside";
	const int width = BITS_PER_LONG / 4;

	if (report->violation == PC_BAD_PAIR)
		must = "inside or outside";
	pr_err(PC_PREFIX "  record   %s, must be %s\n",
	       pc_state_name(fault->primary, fault->secondary, fault->mask), must);
	pr_err(PC_PREFIX "  words    primary %0*lx secondary %0*lx mask %0*lx at word %lu%s\n",
	       width, fault->primary, width, fault->secondary, width, fault->mask,
	       fault->word, fault->reread ? " (re-read)" : "");
	pr_err(PC_PREFIX "  damage   %s, bad pairs %0*lx\n",
	       pc_damage_name(fault->primary, fault->secondary), width, bad);
}

static void pc_print_table(const struct pc_report *report)
{
	const struct pc_section *entry = &report->entry;
	char a[PC_POINTER_BYTES], b[PC_POINTER_BYTES], c[PC_POINTER_BYTES];

	/* Inverted, or sealed, a pointer is as good as told. */
	if (report->has_root)
		pr_err(PC_PREFIX "  root     %s inverted copy %s\n",
		       pc_pointer(a, (void *)report->root[0]),
		       pc_pointer(b, (void *)report->root[1]));
	if (report->has_entry)
		pr_err(PC_PREFIX "  table    primary %s secondary %s seal %s (%s)\n",
		       pc_pointer(a, entry->map.primary), pc_pointer(b, entry->map.secondary),
		       pc_pointer(c, (void *)entry->seal),
		       pc_section_absent(entry) ? "not tracked" :
		       pc_section_dormant(entry, report->section) ? "offline" :
		       pc_section_sealed(entry, report->section) ? "intact" : "broken");
}

static void pc_print_frame(const struct pc_frame *frame)
{
	pr_err(PC_PREFIX "  frame    %s of sections %lu to %lu\n", pc_parts[frame->part],
	       frame->first, frame->last);
	if (frame->other == PC_OTHER_NONE)
		pr_err(PC_PREFIX "  other    none\n");
	else
		pr_err(PC_PREFIX "  other    %s, pfn 0x%lx, agrees with %lu %s\n",
		       pc_others[frame->other], frame->other_pfn, frame->agreed,
		       frame->part <= PC_PART_SECONDARY ? "free blocks" : "sealed entries");
}

static void pc_print_where(const struct pc_report *report)
{
	char text[PC_POINTER_BYTES];

	if (report->violation == PC_BAD_POINTER)
		pr_err(PC_PREFIX "  pointer  %s order %u\n", pc_pointer(text, report->page),
		       report->order);
	else if (report->page || !(report->has_link || report->state))
		pr_err(PC_PREFIX "  page     pfn 0x%lx order %u, section %lu\n",
		       report->pfn, report->order, report->section);
	if (report->wrong)
		pr_err(PC_PREFIX "  wrong    pfn 0x%lx, page %lu of the block\n",
		       report->pfn + report->wrong, report->wrong);
	if (report->zone)
		pr_err(PC_PREFIX "  list     node %d zone %s order %u\n", zone_to_nid(report->zone),
		       report->zone->name ?: "?", report->order);
	if (report->has_link)
		pr_err(PC_PREFIX "  link     %s does not lead back\n",
		       pc_pointer(text, report->link));
	if (report->state)
		pr_err(PC_PREFIX "  state    %s\n", report->state);
}

/*
 * What may need most room and least certainty first, the fixed block last:
 * pstore keeps the tail.
 */
static void pc_print(const struct pc_report *report, const char *culprit)
{
	const char *what = pc_violations[report->violation];

	pr_err("BUG: " PC_PREFIX "%s in %s\n", what, culprit);
	if (report->proven)
		dump_page(pfn_to_page(report->pfn + report->wrong), "page_consistency");

	pr_err(PC_PREFIX "%s\n", what);
	pr_err(PC_PREFIX "  at       %s, called from %s\n", pc_events[report->event], culprit);
	if (pc_blame[report->violation])
		pr_err(PC_PREFIX "  blame    %s\n", pc_blame[report->violation]);
	pc_print_where(report);
	if (report->frame)
		pc_print_frame(report->frame);
	if (report->has_words)
		pc_print_words(report);
	pc_print_table(report);
	if (report->proven)
		pc_print_witness(pfn_to_page(report->pfn + report->wrong));
	pr_err(PC_PREFIX "  policy   %s, violations %lu\n", pc_policy_name(), pc_violation_count());
}

static void pc_stop(const struct pc_report *report, const char *culprit)
{
	const char *what = pc_violations[report->violation];
	const struct dual_bitmap_fault *fault = &report->fault;
	const struct pc_frame *frame = report->frame;
	char where[PC_WHERE_BYTES];
	int len;

	len = scnprintf(where, sizeof(where), "pfn 0x%lx order %u section %lu",
			report->pfn, report->order, report->section);
	if (report->wrong)
		scnprintf(where + len, sizeof(where) - len, " wrong 0x%lx",
			  report->pfn + report->wrong);

	if (report->violation == PC_BAD_POINTER)
		pc_panic("%s in %s: %px order %u", what, culprit, report->page, report->order);
	else if (report->has_link)
		pc_panic("%s in %s: link %px order %u", what, culprit, report->link,
			 report->order);
	else if (report->state)
		pc_panic("%s in %s: %s", what, culprit, report->state);
	else if (frame)
		pc_panic("%s in %s: %s: %s of sections %lu to %lu, other %s", what, culprit, where,
			 pc_parts[frame->part], frame->first, frame->last,
			 pc_others[frame->other]);
	else if (report->has_words)
		pc_panic("%s in %s: %s: primary %lx secondary %lx of %lx", what, culprit, where,
			 fault->primary & fault->mask, fault->secondary & fault->mask, fault->mask);
	else
		pc_panic("%s in %s: %s", what, culprit, where);
}

static void pc_say(const struct pc_report *report, const char *culprit)
{
	printk_deferred_enter();
	pc_print(report, culprit);
	if (!pc_stops())
		dump_stack();
	printk_deferred_exit();
	add_taint(TAINT_BAD_PAGE, LOCKDEP_STILL_OK);
	trace_error_report_end(ERROR_DETECTOR_PAGE_CONSISTENCY, report->pfn);
}

/*
 * The machine stops.  It panics from here on, before the report: no panic of another CPU
 * can begin, none is moved to another CPU (panic_force_cpu=), and what reporting needs of
 * the allocator waits for no lock, see page_consistency_stopping().  Silent is only a CPU
 * on which that has begun, and a second CPU waits in panic() until it is stopped.
 *
 * The log is saved before panic() as it is saved for an oops: a kernel for kdump is started
 * without that, and not all that panic() calls is as careful as the report.  What else
 * makes panics of an oops, a taint or a warning would take the place of the panic line.
 */
static void pc_report_and_stop(const struct pc_report *report, const char *culprit)
{
	if (panic_on_this_cpu())
		return;
	if (panic_try_start()) {
		panic_on_oops = 1;
		panic_on_taint = 0;
		panic_on_warn = 0;
		printk_deferred_enter();
		pc_say(report, culprit);
		kmsg_dump(KMSG_DUMP_OOPS);
		printk_deferred_exit();
	}
	pc_stop(report, culprit);
}

static void pc_report_and_go_on(const struct pc_report *report, const char *culprit)
{
	if (__this_cpu_read(pc_reporting) || xchg(&pc_seen[report->violation], true))
		return;
	__this_cpu_write(pc_reporting, true);
	pc_say(report, culprit);
	check_panic_on_warn("page_consistency");
	__this_cpu_write(pc_reporting, false);
}

/* The file that tells how many violations there were; NULL while there is none. */
static struct kernfs_node *pc_watched __ro_after_init;

static void pc_wake_watchers(struct irq_work *work)
{
	sysfs_notify_dirent(pc_watched);
}

static DEFINE_IRQ_WORK(pc_wake, pc_wake_watchers);

/**
 * pc_report_watch - wake whoever polls a file, at each violation from now on
 * @file: the file in sysfs
 *
 * Context: Boot.
 */
void __init pc_report_watch(struct kernfs_node *file)
{
	pc_watched = file;
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
	char culprit[PC_CULPRIT_BYTES];

	KUNIT_STATIC_STUB_REDIRECT(pc_report, report);

	if (pc_expected(report))
		return;
	guard(irqsave)();
	atomic_long_inc(&pc_count);
	snprintf(culprit, sizeof(culprit), "%pS", (void *)pc_culprit(report->event == PC_VERIFY));
	if (pc_stops()) {
		pc_report_and_stop(report, culprit);
		return;
	}
	pc_report_and_go_on(report, culprit);
	/* By an interrupt, because the caller may hold any lock or be in an NMI. */
	if (pc_watched)
		irq_work_queue(&pc_wake);
}
