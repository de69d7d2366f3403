// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: finding what no allocation touches.
 *
 * The hooks look at a pair only when its page comes or goes.  A pass looks at all of
 * them, section by section: at both arrays, then at the free blocks in it (audit.c).
 * At its end it looks at the list heads, and proves that the hooks are reached.
 *
 * Sections come and go with memory hotplug, which takes an entry out of the table and
 * then waits for a grace period before anything else goes.  So an entry is looked up
 * and what it leads to is used with preemption off, in steps of bounded length; what
 * has to sleep in between excludes hotplug by pc_store_mutex.
 */

#include <kunit/static_stub.h>
#include <linux/atomic.h>
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/freezer.h>
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/jiffies.h>
#include <linux/jump_label.h>
#include <linux/kstrtox.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/page_consistency.h>
#include <linux/preempt.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/cputime.h>
#include <linux/sched/signal.h>
#include <linux/semaphore.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/stop_machine.h>
#include <linux/suspend.h>
#include <linux/time64.h>
#include <linux/timer.h>
#include <linux/wait.h>

#include "../internal.h"
#include "report.h"
#include "scrub.h"
#include "section.h"

/* Words of each array that are compared with preemption off. */
#define PC_STEP_WORDS	512UL

/* A transition in flight is over in nanoseconds ... */
#define PC_LOOKS	16

/* ... unless it was interrupted.  A grace period ends it, but another may have begun. */
#define PC_GRACE_PERIODS 2

/* A page that was just freed may be somebody else's already. */
#define PC_CANARY_TRIES	64

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

static unsigned long pc_bad_pairs(const struct dual_bitmap *map, unsigned long word)
{
	return dual_bitmap_bad_bits(READ_ONCE(map->primary[word]),
				    READ_ONCE(map->secondary[word]));
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
		confirm->bad &= pc_bad_pairs(&confirm->map, confirm->word);
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
	confirm->bad &= pc_bad_pairs(&confirm->map, confirm->word);
	return 0;
}

static void pc_report_pair(unsigned long section, const struct dual_bitmap *map,
			   unsigned long word, unsigned long bad)
{
	struct pc_report report = {
		.violation = PC_BAD_PAIR, .event = PC_VERIFY, .has_words = true,
		.section = section,
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

/* The last word on pairs that were bad in every look: true if some really are. */
static bool pc_confirm(unsigned long section, unsigned long word, unsigned long bad)
{
	struct pc_confirm confirm = { .word = word, .bad = bad };

	/* The section may have gone; if it has not, the mutex keeps it. */
	cpus_read_lock();
	mutex_lock(&pc_store_mutex);
	if (!pc_lookup(section, &confirm.map)) {
		confirm.bad = 0;
	} else {
		WRITE_ONCE(page_consistency_hold_nolock, true);
		confirm.reader = cpumask_first(cpu_online_mask);
		stop_machine_cpuslocked(pc_confirm_stopped, &confirm, cpu_online_mask);
		WRITE_ONCE(page_consistency_hold_nolock, false);
	}
	if (confirm.bad)
		pc_report_pair(section, &confirm.map, word, confirm.bad);
	mutex_unlock(&pc_store_mutex);
	cpus_read_unlock();
	return confirm.bad;
}

/* The pairs of a word that are bad now, and in each of some further looks. */
static unsigned long pc_still_bad(unsigned long section, unsigned long word)
{
	unsigned long bad = ~0UL;
	struct dual_bitmap map;
	int looks;

	guard(preempt)();
	if (!pc_lookup(section, &map))
		return 0;
	for (looks = 0; bad && looks < PC_LOOKS; looks++) {
		bad &= pc_bad_pairs(&map, word);
		cpu_relax();
	}
	return bad;
}

/* A word with pairs that did not match: in most cases, a transition in flight. */
static void pc_suspect(unsigned long section, unsigned long word, struct pc_verified *result)
{
	unsigned long bad = pc_still_bad(section, word);
	int periods;

	for (periods = 0; bad && periods < PC_GRACE_PERIODS; periods++) {
		synchronize_rcu();
		bad &= pc_still_bad(section, word);
	}
	if (bad && pc_confirm(section, word, bad))
		result->mismatches++;
}

/* A lookup has failed: the section has gone, or its entry is damaged. */
static void pc_suspect_entry(unsigned long section, struct pc_verified *result)
{
	struct pc_report report = { .event = PC_VERIFY };
	struct dual_bitmap map;

	guard(mutex)(&pc_store_mutex);
	if (pc_lookup(section, &map))
		return;
	report.violation = pc_store_failure(&pc_store, section, &report);
	if (report.violation == PC_BAD_POINTER)
		return;
	report.pfn = section << PC_SECTION_SHIFT;
	result->mismatches++;
	pc_report(&report);
}

/* The first suspicious word from @word to @end, @end if there is none; false: no section. */
static bool pc_compare_step(unsigned long section, unsigned long *word, unsigned long end)
{
	struct dual_bitmap map;

	guard(preempt)();
	if (!pc_lookup(section, &map))
		return false;
	*word = dual_bitmap_find_bad(&map, *word, end);
	return true;
}

/**
 * pc_verify_section - compare both arrays of a section
 * @section: its number; may have gone meanwhile
 * @result: counts
 *
 * Context: Process context, may sleep.
 */
void pc_verify_section(unsigned long section, struct pc_verified *result)
{
	unsigned long word = 0, end;

	while (word < PC_ARRAY_WORDS) {
		end = min(word + PC_STEP_WORDS, PC_ARRAY_WORDS);
		if (!pc_compare_step(section, &word, end))
			return pc_suspect_entry(section, result);
		if (word < end)
			pc_suspect(section, word++, result);
		cond_resched();
	}
	result->sections++;
	result->pages += PC_SECTION_PAGES;
}

/**
 * pc_recorded - what the record says about a page
 * @pfn: the page
 *
 * Context: Any.
 * Return: its state.
 */
enum pc_recorded pc_recorded(unsigned long pfn)
{
	unsigned long bit = pc_section_bit(pfn);
	struct dual_bitmap map;
	bool primary, secondary;

	KUNIT_STATIC_STUB_REDIRECT(pc_recorded, pfn);

	guard(preempt)();
	if (!pc_lookup(pc_section_nr(pfn), &map))
		return PC_DAMAGED;
	primary = test_bit(bit, map.primary);
	secondary = test_bit(bit, map.secondary);
	return primary == secondary ? PC_DAMAGED : primary ? PC_OUTSIDE : PC_INSIDE;
}

/* With preemption off nobody but an interrupt can take it between the free and the look. */
static enum pc_recorded pc_free_canary(unsigned long pfn, unsigned int order)
{
	enum pc_recorded recorded;

	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_disable();
	__free_pages(pfn_to_page(pfn), order);
	recorded = pc_recorded(pfn);
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_enable();
	return recorded;
}

/*
 * Does a page that goes out and in pass the hooks?  Nobody is made to reclaim for it:
 * without a free page at hand there is nothing to be seen this time, and what could not
 * be seen does not count.  A pair that is damaged is not the question here.  Returns
 * false if a hook was passed by.
 */
static bool pc_canary_lives(unsigned int order, unsigned long *pfn, struct pc_verified *result)
{
	enum pc_recorded recorded = PC_OUTSIDE;
	struct page *page;
	int tries;

	for (tries = 0; tries < PC_CANARY_TRIES && recorded == PC_OUTSIDE; tries++) {
		page = alloc_pages((GFP_KERNEL & ~__GFP_RECLAIM) | __GFP_NOWARN, order);
		if (!page)
			return true;
		*pfn = page_to_pfn(page);
		recorded = pc_recorded(*pfn);
		if (recorded == PC_OUTSIDE) {
			recorded = pc_free_canary(*pfn, order);
		} else {
			__free_pages(page, order);
			return recorded == PC_DAMAGED;
		}
	}
	if (recorded == PC_INSIDE)
		result->proofs += 2;
	return recorded != PC_OUTSIDE;
}

/**
 * pc_prove_alive - prove that the hooks are reached
 * @result: counts; its proofs are PC_PROOFS if everything was seen
 *
 * The static key is on, in its counter and in the code; and a page, and a block too
 * large for the per-CPU lists, are seen outside after they were handed out and inside
 * after they were freed.
 *
 * Context: Process context, may sleep.
 */
void pc_prove_alive(struct pc_verified *result)
{
	static const unsigned int orders[] = { 0, PAGE_ALLOC_COSTLY_ORDER + 1 };
	struct pc_report report = { .event = PC_VERIFY, .violation = PC_NOT_REACHED };
	bool on = static_key_enabled(&page_consistency_enabled) && page_consistency_on();
	int i;

	result->proofs += on;
	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		report.order = orders[i];
		report.pfn = 0;
		if (pc_canary_lives(orders[i], &report.pfn, result) && on)
			continue;
		report.section = pc_section_nr(report.pfn);
		result->mismatches++;
		return pc_report(&report);
	}
}

static int pc_verify_all(struct pc_verified *result)
{
	unsigned long section;

	pc_check_state(result);
	for (section = pc_next_section(0); section < READ_ONCE(pc_store.nr_sections);
	     section = pc_next_section(section + 1)) {
		pc_verify_section(section, result);
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	for (section = pc_next_section(0); section < READ_ONCE(pc_store.nr_sections);
	     section = pc_next_section(section + 1)) {
		pc_audit_section(section, result);
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	pc_audit_zones(result);
	pc_prove_alive(result);
	return 0;
}

/**
 * pc_verify - compare all there is to compare, at once
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
	int error;

	*result = (struct pc_verified) { };
	error = pc_verify_all(result);
	result->ns = ktime_get_ns() - start;
	return error;
}

/*
 * The scrubber.  A task of its own does the same all the time, as slowly as the period
 * allows.  Nice, but not idle: how soon damage is found is a promise.
 */
#define PC_SCRUB_MS	(IS_ENABLED(CONFIG_PAGE_CONSISTENCY_ENFORCED) ? 60 * MSEC_PER_SEC : 0)

static unsigned int pc_scrub_ms = PC_SCRUB_MS;
static DEFINE_MUTEX(pc_scrub_ms_mutex);
/* Compared with it in each pass. */
static unsigned int pc_scrub_ms_inverse __guarded_by(&pc_scrub_ms_mutex) = ~PC_SCRUB_MS;
static atomic_t pc_scrub_changes;
static DECLARE_WAIT_QUEUE_HEAD(pc_scrub_wait);

/* How long damage may go unnoticed before that is a violation itself; 0: as long as it takes. */
static unsigned int pc_max_latency_ms __ro_after_init;
static struct timer_list pc_latency_timer;

/* Between sections it can be held. A semaphore, for it is not always the holder who releases. */
static DEFINE_SEMAPHORE(pc_scrub_turn, 1);

/**
 * struct pc_pass - one pass of the scrubber
 * @start: when it began, in ktime_get_ns()
 * @period: nanoseconds it is to be spread over
 * @changes: of the parameter, when it began
 * @done: sections that are done
 * @all: sections there are
 */
struct pc_pass {
	u64 start;
	u64 period;
	int changes;
	unsigned long done;
	unsigned long all;
};

static DEFINE_SPINLOCK(pc_scrub_stats_lock);

/*
 * What is known of passes.  @seen: everything was looked at once since then.  A pass in
 * which not all could be seen is not one of them.
 */
static struct {
	unsigned long passes;
	unsigned long incomplete;
	u64 work_ns;
	u64 longest_ns;
	u64 seen;
} pc_scrub_stats __guarded_by(&pc_scrub_stats_lock);

/**
 * pc_scrub_state - how the scrubber does
 * @state: filled in
 *
 * A word that is damaged after a pass has looked at it is found by the next pass.  So
 * the time from the start of a pass to the end of the next bounds the time for which
 * damage goes unnoticed.  The latency is the longest such time since scrubbing was
 * switched on or its period changed, the one that is going on included.
 *
 * Context: Any.
 */
void pc_scrub_state(struct pc_scrubbed *state)
{
	u64 now = ktime_get_ns();

	guard(spinlock_irqsave)(&pc_scrub_stats_lock);
	*state = (struct pc_scrubbed) {
		.passes = pc_scrub_stats.passes, .work_ns = pc_scrub_stats.work_ns,
		.incomplete = pc_scrub_stats.incomplete,
	};
	if (READ_ONCE(pc_scrub_ms) && pc_scrub_stats.seen)
		state->latency_ns = max(pc_scrub_stats.longest_ns, now - pc_scrub_stats.seen);
}

static void pc_scrub_begin_anew(u64 now)
{
	guard(spinlock_irqsave)(&pc_scrub_stats_lock);
	pc_scrub_stats.longest_ns = 0;
	pc_scrub_stats.seen = now;
}

static void pc_scrub_account(u64 start, u64 work, const struct pc_verified *result)
{
	u64 now = ktime_get_ns();

	guard(spinlock_irqsave)(&pc_scrub_stats_lock);
	if (result->proofs != PC_PROOFS) {
		pc_scrub_stats.incomplete++;
		return;
	}
	pc_scrub_stats.passes++;
	pc_scrub_stats.work_ns = work;
	pc_scrub_stats.longest_ns = max(pc_scrub_stats.longest_ns, now - pc_scrub_stats.seen);
	pc_scrub_stats.seen = start;
}

/* Says so once: what was too late remains in the latency, and a new time begins. */
static bool pc_scrub_is_too_late(u64 now)
{
	guard(spinlock_irqsave)(&pc_scrub_stats_lock);
	if (now - pc_scrub_stats.seen <= (u64)pc_max_latency_ms * NSEC_PER_MSEC)
		return false;
	pc_scrub_stats.longest_ns = max(pc_scrub_stats.longest_ns, now - pc_scrub_stats.seen);
	pc_scrub_stats.seen = now;
	return true;
}

/*
 * Not by the scrubber: it may be what hangs.  While the machine goes to sleep nothing is
 * promised, since tasks are frozen long before the clock stands still.
 */
static void pc_latency_check(struct timer_list *timer)
{
	struct pc_report report = {
		.event = PC_VERIFY, .violation = PC_TOO_LATE, .state = "max_latency_ms",
	};

	if (pc_scrub_is_too_late(ktime_get_ns()))
		pc_report(&report);
	mod_timer(timer, jiffies + msecs_to_jiffies(pc_max_latency_ms / 4 + 1));
}

static int pc_latency_sleep(struct notifier_block *self, unsigned long action, void *unused)
{
	switch (action) {
	case PM_HIBERNATION_PREPARE:
	case PM_SUSPEND_PREPARE:
	case PM_RESTORE_PREPARE:
		timer_delete_sync(&pc_latency_timer);
		break;
	case PM_POST_HIBERNATION:
	case PM_POST_SUSPEND:
	case PM_POST_RESTORE:
		scoped_guard(spinlock_irqsave, &pc_scrub_stats_lock)
			pc_scrub_stats.seen = ktime_get_ns();
		mod_timer(&pc_latency_timer, jiffies + 1);
		break;
	}
	return NOTIFY_DONE;
}

static void __init pc_latency_init(void)
{
	if (!pc_max_latency_ms)
		return;
	timer_setup(&pc_latency_timer, pc_latency_check, 0);
	pm_notifier(pc_latency_sleep, 0);
	pc_scrub_begin_anew(ktime_get_ns());
	mod_timer(&pc_latency_timer, jiffies + 1);
}

/* Its own variables, as pc_check_state() does with those of others. */
static void pc_scrub_check_state(struct pc_verified *result)
{
	struct pc_report report = {
		.event = PC_VERIFY, .violation = PC_BAD_STATE, .state = "scrub_ms",
	};

	scoped_guard(mutex, &pc_scrub_ms_mutex)
		if (pc_scrub_ms_inverse == ~pc_scrub_ms)
			return;
	result->mismatches++;
	pc_report(&report);
}

/* Wait until this part of the pass has had its share of the period; false: begin anew. */
static bool pc_scrub_pace(struct pc_pass *pass)
{
	u64 now = ktime_get_ns(), due;

	due = pass->start + div64_u64(pass->period, pass->all) * min(pass->done, pass->all);
	if (now + NSEC_PER_SEC / HZ <= due)
		wait_event_freezable_timeout(pc_scrub_wait,
					     atomic_read(&pc_scrub_changes) != pass->changes,
					     nsecs_to_jiffies(due - now));
	try_to_freeze();
	cond_resched();
	return atomic_read(&pc_scrub_changes) == pass->changes;
}

static void pc_scrub_turn_begin(void)
{
	/* Not killable, but neither is it reported as hung. */
	while (down_interruptible(&pc_scrub_turn))
		;
}

static bool pc_scrub_sections(struct pc_pass *pass, struct pc_verified *result)
{
	unsigned long section;

	for (section = pc_next_section(0); section < READ_ONCE(pc_store.nr_sections);
	     section = pc_next_section(section + 1)) {
		pc_scrub_turn_begin();
		pc_verify_section(section, result);
		pc_audit_section(section, result);
		up(&pc_scrub_turn);
		pass->done++;
		if (!pc_scrub_pace(pass))
			return false;
	}
	return true;
}

/* One pass; when it returns, its period is over or the parameter has changed. */
static void pc_scrub_pass(int changes)
{
	u64 work = task_sched_runtime(current);
	struct pc_verified result = { };
	struct pc_pass pass = {
		.start = ktime_get_ns(), .changes = changes,
		.period = (u64)READ_ONCE(pc_scrub_ms) * NSEC_PER_MSEC,
		.all = READ_ONCE(pc_store.tracked) + 1,
	};

	/* First, for they say where to look, and for how long. */
	pc_check_state(&result);
	pc_scrub_check_state(&result);
	if (!pc_scrub_sections(&pass, &result))
		return;
	pc_scrub_turn_begin();
	pc_audit_zones(&result);
	pc_prove_alive(&result);
	up(&pc_scrub_turn);
	pc_scrub_account(pass.start, task_sched_runtime(current) - work, &result);
	pass.done = pass.all;
	pc_scrub_pace(&pass);
}

static int pc_scrub_thread(void *unused)
{
	int changes = 0, now;

	set_user_nice(current, MAX_NICE);
	set_freezable();
	pc_scrub_begin_anew(ktime_get_ns());
	for (;;) {
		wait_event_freezable(pc_scrub_wait, READ_ONCE(pc_scrub_ms));
		now = atomic_read(&pc_scrub_changes);
		if (now != changes)
			pc_scrub_begin_anew(ktime_get_ns());
		changes = now;
		pc_scrub_pass(changes);
	}
	return 0;
}

/**
 * pc_scrub_period - the period in force
 *
 * Context: Any.
 * Return: milliseconds, 0 if there is no scrubbing.
 */
unsigned int pc_scrub_period(void)
{
	return READ_ONCE(pc_scrub_ms);
}

/**
 * pc_max_latency - how long damage may go unnoticed before that is a violation
 *
 * Context: Any.
 * Return: milliseconds, 0 if there is no limit.
 */
unsigned int pc_max_latency(void)
{
	return pc_max_latency_ms;
}

/**
 * pc_scrub_set_period - change the period, at once
 * @ms: milliseconds, 0 for no scrubbing
 *
 * Context: Process context, may sleep.
 */
void pc_scrub_set_period(unsigned int ms)
{
	scoped_guard(mutex, &pc_scrub_ms_mutex) {
		WRITE_ONCE(pc_scrub_ms, ms);
		pc_scrub_ms_inverse = ~ms;
	}
	atomic_inc(&pc_scrub_changes);
	wake_up(&pc_scrub_wait);
}

/**
 * pc_scrub_hold - let the scrubber look at nothing, for a test that does damage
 *
 * Context: Process context, sleeps until it has finished with the section at hand.
 */
void pc_scrub_hold(void)
{
	down(&pc_scrub_turn);
}

/**
 * pc_scrub_release - undo pc_scrub_hold()
 *
 * Context: Any.
 */
void pc_scrub_release(void)
{
	up(&pc_scrub_turn);
}

static int pc_scrub_ms_set(const char *text, const struct kernel_param *param)
{
	unsigned int ms;
	int error = kstrtouint(text, 0, &ms);

	if (error)
		return error;
	if (!ms && IS_ENABLED(CONFIG_PAGE_CONSISTENCY_ENFORCED)) {
		pr_err("scrub_ms=0 is refused, this kernel must not run without scrubbing\n");
		return -EPERM;
	}
	pc_scrub_set_period(ms);
	return 0;
}

static const struct kernel_param_ops pc_scrub_ms_ops = {
	.set = pc_scrub_ms_set,
	.get = param_get_uint,
};

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "page_consistency."
module_param_cb(scrub_ms, &pc_scrub_ms_ops, &pc_scrub_ms, 0644);
module_param_named(max_latency_ms, pc_max_latency_ms, uint, 0444);

static int __init pc_scrub_init(void)
{
	struct task_struct *task;

	if (pc_policy == PC_POLICY_OFF)
		return 0;
	task = kthread_run(pc_scrub_thread, NULL, "page_consistency");
	if (IS_ERR(task))
		pc_panic("asked for and not possible: no task for scrubbing (%pe)", task);
	pc_latency_init();
	return 0;
}
late_initcall(pc_scrub_init);
