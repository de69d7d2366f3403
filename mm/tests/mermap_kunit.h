/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_TESTS_MERMAP_KUNIT_H
#define _MM_TESTS_MERMAP_KUNIT_H

/*
 * What the KUnit suites of the mermap share.
 *
 * A test runs with an mm of its own loaded.  That mm has no user part, and nobody but the
 * test's helpers knows it.  The task that runs a test leaves the mm when it ends; the test
 * itself holds it until its pages are freed.
 *
 * CPUs may come and go while tests run.  Affinity is no help: a task that has nothing
 * mapped is taken away from a CPU that goes, and may be anywhere from then on.  So a test
 * either does not care where it is, and learns of its CPU from what it has mapped; or it
 * says that it does by hold_cpus() and what is built on that.
 */

#include <kunit/test-bug.h>
#include <kunit/test.h>
#include <linux/bug.h>
#include <linux/completion.h>
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/log2.h>
#include <linux/mermap.h>
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/smp.h>
#include <linux/uaccess.h>
#include <linux/vmstat.h>

#include "../mermap_internal.h"

#define PATIENCE	(10 * HZ)

#define ANY_CPU		(-1)

/* A block that fills an area, and more. */
#define AREA_ORDER	ilog2(MERMAP_AREA_PAGES)

struct mermap_test {
	struct mm_struct *mm;
	/* No CPU comes or goes. */
	bool cpus_held;
	/* Where the test stays; ANY_CPU if it has not said that it wants to. */
	int cpu;
	/* What MERMAP_DEBUG has reported. */
	unsigned int reports;
	enum mermap_fault fault;
	struct page *page;
};

static inline int mermap_test_init(struct kunit *test)
{
	struct mermap_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	struct mm_struct *mm;
	int err;

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	t->cpu = ANY_CPU;
	mm = mm_alloc();
	KUNIT_ASSERT_NOT_NULL(test, mm);
	err = mermap_mm_prepare(mm);
	if (err)
		mmput(mm);
	if (err == -EOPNOTSUPP)
		kunit_skip(test, "this machine has no mm-local region");
	KUNIT_ASSERT_EQ(test, err, 0);
	/* One reference goes when this task ends. */
	mmget(mm);
	kthread_use_mm(mm);
	t->mm = mm;
	return 0;
}

static inline void mermap_test_exit(struct kunit *test)
{
	struct mermap_test *t = test->priv;

	if (t && t->mm) {
		/* What kthread_use_mm() took, and the end of its task does not give back. */
		mmdrop(t->mm);
		mmput(t->mm);
	}
}

/* --- CPUs ------------------------------------------------------------------- */

static inline void __let_go_of_cpus(void *data)
{
	struct mermap_test *t = data;

	t->cpus_held = false;
	cpu_hotplug_enable();
}

/*
 * No CPU comes or goes until let_go_of_cpus(), or until the test ends, be it by a failed
 * assertion; who tries is told -EBUSY.  To be called with nothing mapped: it waits for a CPU
 * that is on its way, which waits for mappings to end.
 *
 * Not cpus_read_lock(): a task whose assertion has failed exits with it, and nobody else
 * can give it back; and it must not be taken twice, which mermap_mm_prepare() may do.
 */
static inline void hold_cpus(struct kunit *test)
{
	struct mermap_test *t = test->priv;

	KUNIT_ASSERT_FALSE(test, t->cpus_held);
	cpu_hotplug_disable();
	t->cpus_held = true;
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, __let_go_of_cpus, t), 0);
}

static inline void let_go_of_cpus(struct kunit *test)
{
	kunit_release_action(test, __let_go_of_cpus, test->priv);
}

/* Hold CPUs while there are at least two; or the test is skipped. */
static inline void hold_two_cpus(struct kunit *test)
{
	unsigned long end = jiffies + PATIENCE;

	hold_cpus(test);
	while (num_online_cpus() < 2) {
		let_go_of_cpus(test);
		/* Those that somebody else has taken away may come back. */
		if (num_present_cpus() < 2 || time_after(jiffies, end))
			kunit_skip(test, "needs 2 CPUs");
		msleep(20);
		hold_cpus(test);
	}
}

/* With CPUs held, a task's affinity lasts. */
static inline void __stay_on_cpu(struct kunit *test)
{
	struct mermap_test *t = test->priv;

	t->cpu = raw_smp_processor_id();
	KUNIT_ASSERT_EQ(test, set_cpus_allowed_ptr(current, cpumask_of(t->cpu)), 0);
}

/* The test runs on one CPU, t->cpu, to its end. */
static inline void stay_on_cpu(struct kunit *test)
{
	hold_cpus(test);
	__stay_on_cpu(test);
}

/* The same; there is another CPU, which is returned. */
static inline int stay_beside_other_cpu(struct kunit *test)
{
	struct mermap_test *t = test->priv;

	hold_two_cpus(test);
	__stay_on_cpu(test);
	return cpumask_any_but(cpu_online_mask, t->cpu);
}

/* --- pages ------------------------------------------------------------------ */

struct block {
	struct page *page;
	unsigned int order;
};

static inline void free_block(void *data)
{
	struct block *block = data;

	mermap_sync();
	__free_pages(block->page, block->order);
}

/* What a page says of itself in its first and last word. */
static inline u64 mark(const struct page *page)
{
	return page_to_pfn(page) * 0x9e3779b97f4a7c15ULL;
}

#define LAST_WORD	(PAGE_SIZE / sizeof(u64) - 1)

static inline struct page *new_pages(struct kunit *test, unsigned int order)
{
	struct block *block = kunit_kzalloc(test, sizeof(*block), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, block);
	block->order = order;
	block->page = alloc_pages(GFP_KERNEL | __GFP_ZERO, order);
	KUNIT_ASSERT_NOT_NULL(test, block->page);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, free_block, block), 0);
	for (i = 0; i < 1 << order; i++) {
		u64 *words = page_address(block->page + i);

		words[0] = mark(block->page + i);
		words[LAST_WORD] = ~words[0];
	}
	return block->page;
}

/* Is it this page that is seen at an address? */
static inline bool shows(const void *addr, const struct page *page)
{
	const u64 *words = addr;

	return READ_ONCE(words[0]) == mark(page) && READ_ONCE(words[LAST_WORD]) == ~mark(page);
}

static inline bool readable(const void *addr)
{
	u64 word;

	return !get_kernel_nofault(word, (const u64 *)addr);
}

/* --- areas ------------------------------------------------------------------ */

static inline struct mermap_area *area_of(struct mm_struct *mm, int cpu)
{
	return &mm->mermap->areas[cpu];
}

/* Of the CPU on which the task stays: with something mapped, or because it has said so. */
static inline struct mermap_area *this_area(void)
{
	WARN_ON_ONCE(preemptible() && !current->migration_disabled && current->nr_cpus_allowed > 1);
	return area_of(current->mm, raw_smp_processor_id());
}

/* The address of a page of an area. */
static inline void *at(const struct mermap_area *area, unsigned int page)
{
	return (void *)(area->base + page * PAGE_SIZE);
}

static inline unsigned int entries(const struct mermap_area *area)
{
	unsigned int i, found = 0;

	for (i = 0; i < MERMAP_AREA_PAGES; i++)
		found += !pte_none(ptep_get(area->ptes + i));
	return found;
}

/* On any CPU: where it was mapped may be far away by now. */
static inline bool nothing_mapped(struct mm_struct *mm)
{
	unsigned int i;
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct mermap_area *area = area_of(mm, cpu);

		for (i = 0; i < MERMAP_SLOTS; i++) {
			if (area->slots[i].nr)
				return false;
		}
		if (area->reserve.nr || entries(area))
			return false;
	}
	return true;
}

/*
 * How often something was counted, by all CPUs, which are held: what one that goes offline
 * has counted becomes another's, and would be seen twice or not at all meanwhile.
 */
static inline unsigned long counted(enum vm_event_item item)
{
	struct mermap_test *t = kunit_get_current_test()->priv;
	unsigned long sum = 0;
	int cpu;

	WARN_ON_ONCE(!t->cpus_held);
	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(vm_event_states, cpu).event[item]);
	return sum;
}

/* --- helpers: other tasks ----------------------------------------------------- */

struct helper {
	struct kunit *test;
	struct mm_struct *mm;		/* loaded while it runs, if not NULL */
	int cpu;			/* where it runs; if not ANY_CPU, CPUs are held */
	void (*run)(struct helper *helper);
	struct task_struct *task;
	struct completion done;
	/* For steps that have to be taken in turns. */
	struct completion go, there;
	unsigned int step;
	/* What it works with, and what came of it. */
	struct page *page;
	void *addr;
	struct mermap_alloc *alloc;
	u64 word;
	int err;
	bool good;
};

static inline int helper_main(void *data)
{
	struct helper *helper = data;

	/* Static stubs of the test are for its helpers, too. */
	current->kunit_test = helper->test;
	if (helper->mm)
		kthread_use_mm(helper->mm);
	helper->run(helper);
	if (helper->mm)
		kthread_unuse_mm(helper->mm);
	current->kunit_test = NULL;
	complete(&helper->done);
	return 0;
}

static inline struct helper *new_helper(struct kunit *test, struct mm_struct *mm, int cpu,
					void (*run)(struct helper *helper), struct page *page)
{
	struct helper *helper = kunit_kzalloc(test, sizeof(*helper), GFP_KERNEL);
	struct mermap_test *t = test->priv;

	KUNIT_ASSERT_NOT_NULL(test, helper);
	KUNIT_ASSERT_TRUE(test, cpu == ANY_CPU || t->cpus_held);
	*helper = (struct helper) { .test = test, .mm = mm, .cpu = cpu, .run = run, .page = page };
	init_completion(&helper->done);
	init_completion(&helper->go);
	init_completion(&helper->there);
	return helper;
}

/* kthreadd may be on a CPU that somebody spins on: helpers for that time are made before. */
static inline void make_ready(struct helper *helper)
{
	helper->task = kthread_create(helper_main, helper, "mermap_kunit");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(helper->test, helper->task);
	if (helper->cpu != ANY_CPU)
		kthread_bind(helper->task, helper->cpu);
}

static inline void start(struct helper *helper)
{
	if (!helper->task)
		make_ready(helper);
	wake_up_process(helper->task);
}

static inline void await(struct kunit *test, struct completion *what)
{
	KUNIT_ASSERT_NE(test, wait_for_completion_timeout(what, PATIENCE), 0);
}

/* For the helper itself, which must not leave a test by an assertion. */
static inline void step_done(struct helper *helper)
{
	complete(&helper->there);
	wait_for_completion_timeout(&helper->go, PATIENCE);
}

#endif /* _MM_TESTS_MERMAP_KUNIT_H */
