// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: finding what no allocation touches.
 *
 * The hooks look at a pair only when its page comes or goes.  Verification looks
 * at all of them: both arrays of every section, and every free block.
 */

#include <linux/atomic.h>
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/ktime.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/mutex.h>
#include <linux/page_consistency.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>
#include <linux/stop_machine.h>

#include "../internal.h"
#include "report.h"
#include "scrub.h"
#include "section.h"

/* Struct pages looked at under one hold of zone->lock. */
#define PC_AUDIT_BATCH	256

/* A grace period ends what was in flight, but something new may have begun. */
#define PC_CONFIRM_TRIES 3

/**
 * struct pc_confirm - a suspicion about one word
 * @map: the arrays
 * @word: its index
 * @bad: the pairs that were bad whenever they were looked at
 * @looked: the reader has looked once with all CPUs stopped
 * @acked: CPUs that have come by since
 * @reader: the CPU that looks
 */
struct pc_confirm {
	struct dual_bitmap map;
	unsigned long word;
	unsigned long bad;
	bool looked;
	atomic_t acked;
	int reader;
};

static void pc_look(struct pc_confirm *confirm)
{
	unsigned long primary = READ_ONCE(confirm->map.primary[confirm->word]);
	unsigned long secondary = READ_ONCE(confirm->map.secondary[confirm->word]);

	confirm->bad &= dual_bitmap_bad_bits(primary, secondary);
}

/*
 * With all CPUs here no transition is half done but those made from NMI.  An NMI
 * cannot begin to hand out pages, see page_consistency_nolock_held(), so it can
 * only free; a CPU that comes by here has none in progress.  So when each has
 * come by after the first look, a free that the first look saw half done is
 * complete, and its pages cannot be freed again.  What is bad in both is damaged.
 */
static int pc_confirm_stopped(void *data)
{
	struct pc_confirm *confirm = data;
	bool reader = smp_processor_id() == confirm->reader;

	if (reader) {
		pc_look(confirm);
		/* The first look is over before any CPU is counted as come by. */
		smp_store_release(&confirm->looked, true);
	}
	/* Pairs with the release above. */
	while (!smp_load_acquire(&confirm->looked))
		cpu_relax();
	atomic_inc(&confirm->acked);
	if (!reader)
		return 0;

	while (atomic_read_acquire(&confirm->acked) < num_online_cpus())
		cpu_relax();
	pc_look(confirm);
	return 0;
}

static DEFINE_MUTEX(pc_verify_mutex);

static unsigned long pc_confirm(const struct dual_bitmap *map, unsigned long word)
{
	struct pc_confirm confirm = { .map = *map, .word = word, .bad = ~0UL };
	int tries;

	lockdep_assert_held(&pc_store_mutex);
	for (tries = 0; tries < PC_CONFIRM_TRIES; tries++) {
		pc_look(&confirm);
		if (!confirm.bad)
			return 0;
		synchronize_rcu();
	}

	WRITE_ONCE(page_consistency_hold_nolock, true);
	confirm.reader = cpumask_first(cpu_online_mask);
	stop_machine_cpuslocked(pc_confirm_stopped, &confirm, cpu_online_mask);
	WRITE_ONCE(page_consistency_hold_nolock, false);
	return confirm.bad;
}

static void pc_report_pair(unsigned long section, const struct dual_bitmap *map,
			   unsigned long word, unsigned long bad)
{
	struct pc_report report = {
		.violation = PC_BAD_PAIR, .event = PC_VERIFY, .has_words = true,
		.section = section, .caller = _RET_IP_,
		.fault = {
			.word = word, .mask = bad,
			.primary = READ_ONCE(map->primary[word]),
			.secondary = READ_ONCE(map->secondary[word]),
		},
	};

	pc_store_failure(&pc_store, section, &report);
	report.pfn = (section << PC_SECTION_SHIFT) + word * BITS_PER_LONG + __ffs(bad);
	report.page = pfn_to_online_page(report.pfn);
	report.proven = report.page;
	pc_report(&report);
}

static void pc_verify_section(unsigned long section, struct pc_verified *result)
{
	struct pc_report report = { .event = PC_VERIFY, .caller = _RET_IP_ };
	unsigned long word = 0, bad;
	struct dual_bitmap map;

	/* Memory hotplug, which changes the table, takes them in this order. */
	guard(cpus_read_lock)();
	guard(mutex)(&pc_store_mutex);
	/* Gone since it was found. */
	if (pc_next_section(section) != section)
		return;
	if (!pc_lookup(section, &map)) {
		report.violation = pc_store_failure(&pc_store, section, &report);
		report.pfn = section << PC_SECTION_SHIFT;
		result->mismatches++;
		pc_report(&report);
		return;
	}

	while ((word = dual_bitmap_find_bad(&map, word, PC_ARRAY_WORDS)) < PC_ARRAY_WORDS) {
		bad = pc_confirm(&map, word);
		if (bad) {
			result->mismatches++;
			pc_report_pair(section, &map, word, bad);
		}
		word++;
	}
	result->sections++;
	result->pages += PC_SECTION_PAGES;
}

/*
 * "On a free list" implies "inside", and under the lock that guards the lists
 * this holds at every moment, so nothing needs to be confirmed.  The reverse is
 * not true: per-CPU lists, isolated, guard and reported pages are inside too.
 */
static unsigned long pc_audit_block(struct page *page, unsigned long pfn,
				    struct pc_verified *result)
{
	unsigned int order = buddy_order(page);
	struct dual_bitmap map;
	struct pc_report report = {
		.violation = PC_BAD_BLOCK, .event = PC_VERIFY, .page = page, .proven = true,
		.pfn = pfn, .order = order, .section = pc_section_nr(pfn), .caller = _RET_IP_,
	};

	result->blocks++;
	if (order > MAX_PAGE_ORDER || !IS_ALIGNED(pfn, 1UL << order)) {
		order = 0;
	} else if (!pc_lookup(report.section, &map)) {
		report.violation = pc_store_failure(&pc_store, report.section, &report);
	} else if (!dual_bitmap_is_clear(&map, pc_section_bit(pfn), order, &report.fault)) {
		report.violation = PC_LISTED_OUTSIDE;
		report.has_words = true;
	} else {
		return pfn + (1UL << order);
	}
	result->mismatches++;
	pc_report(&report);
	return pfn + (1UL << order);
}

static unsigned long pc_audit_batch(struct zone *zone, unsigned long pfn,
				    struct pc_verified *result)
{
	unsigned long end = zone_end_pfn(zone);
	unsigned int budget = PC_AUDIT_BATCH;
	struct page *page;

	guard(spinlock_irqsave)(&zone->lock);
	while (pfn < end && budget--) {
		page = pfn_to_online_page(pfn);
		if (!page)
			return ALIGN(pfn + 1, PC_SECTION_PAGES);
		if (page_zone(page) == zone && PageBuddy(page))
			pfn = pc_audit_block(page, pfn, result);
		else
			pfn++;
	}
	return pfn;
}

static int pc_audit_zone(struct zone *zone, struct pc_verified *result)
{
	unsigned long pfn = zone->zone_start_pfn;

	while (pfn < zone_end_pfn(zone)) {
		pfn = pc_audit_batch(zone, pfn, result);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/**
 * pc_verify - compare all there is to compare
 * @result: what was covered and found; also filled in if interrupted
 *
 * Transitions go on meanwhile on all CPUs.  A mismatch is reported, and acted
 * upon by policy, once it is certain.
 *
 * Context: Process context, may sleep.
 * Return: 0, or -EINTR after a fatal signal.
 */
int pc_verify(struct pc_verified *result)
{
	u64 start = ktime_get_ns();
	unsigned long section;
	struct zone *zone;
	int error = 0;

	*result = (struct pc_verified) { };
	guard(mutex)(&pc_verify_mutex);

	for (section = pc_next_section(0); section < pc_store.nr_sections && !error;
	     section = pc_next_section(section + 1)) {
		pc_verify_section(section, result);
		if (fatal_signal_pending(current))
			error = -EINTR;
		cond_resched();
	}
	for_each_populated_zone(zone)
		if (!error)
			error = pc_audit_zone(zone, result);

	result->ns = ktime_get_ns() - start;
	return error;
}
