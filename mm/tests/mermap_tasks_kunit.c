// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the mermap: several tasks, CPUs and mms, and how an mm comes and goes.
 */

#include <kunit/static_stub.h>
#include <linux/delay.h>
#include <linux/mmzone.h>
#include <linux/signal.h>
#include <linux/task_work.h>

#include "mermap_kunit.h"

/* --- other tasks ----------------------------------------------------------------- */

/* Map a page; keep it for a step; let it go. */
static void hold_page(struct helper *helper)
{
	helper->alloc = mermap_get(helper->page, PAGE_SIZE, MERMAP_RO);
	if (helper->alloc) {
		helper->addr = mermap_addr(helper->alloc);
		helper->good = shows(helper->addr, helper->page);
	}
	step_done(helper);
	if (helper->alloc) {
		helper->good &= shows(helper->addr, helper->page);
		mermap_put(helper->alloc);
	}
}

static struct helper *start_holder(struct kunit *test, struct mm_struct *mm, int cpu,
				   struct page *page)
{
	struct helper *holder;

	mmget(mm);
	holder = new_helper(test, mm, cpu, hold_page, page);
	start(holder);
	await(test, &holder->there);
	KUNIT_EXPECT_NOT_NULL(test, holder->alloc);
	KUNIT_EXPECT_TRUE(test, holder->good);
	return holder;
}

static void end_helper(struct kunit *test, struct helper *helper)
{
	complete(&helper->go);
	await(test, &helper->done);
	KUNIT_EXPECT_TRUE(test, helper->good);
	mmput(helper->mm);
}

static void tasks_on_one_cpu_interleave(struct kunit *test)
{
	struct mermap_test *t = test->priv;
	struct page *mine = new_pages(test, 0), *theirs = new_pages(test, 0);
	struct mermap_alloc *alloc;
	struct helper *other;

	stay_on_cpu(test);
	alloc = mermap_get(mine, PAGE_SIZE, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	other = start_holder(test, t->mm, t->cpu, theirs);
	KUNIT_EXPECT_PTR_EQ(test, other->alloc->area, alloc->area);
	KUNIT_EXPECT_PTR_NE(test, other->addr, mermap_addr(alloc));
	KUNIT_EXPECT_TRUE(test, shows(mermap_addr(alloc), mine));
	/* Not in the order in which they were made. */
	mermap_put(alloc);
	KUNIT_EXPECT_TRUE(test, shows(other->addr, theirs));
	alloc = mermap_get(mine, PAGE_SIZE, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	end_helper(test, other);
	KUNIT_EXPECT_TRUE(test, shows(mermap_addr(alloc), mine));
	mermap_put(alloc);
	KUNIT_EXPECT_TRUE(test, nothing_mapped(t->mm));
}

/* The CPU runs with another mm while the mapping sleeps. */
static void mapping_survives_another_mm(struct kunit *test)
{
	struct mermap_test *t = test->priv;
	struct page *mine = new_pages(test, 0), *theirs = new_pages(test, 0);
	struct mm_struct *mm = mm_alloc();
	struct mermap_alloc *alloc;
	struct helper *other;

	KUNIT_ASSERT_NOT_NULL(test, mm);
	KUNIT_ASSERT_EQ(test, mermap_mm_prepare(mm), 0);
	stay_on_cpu(test);
	alloc = mermap_get(mine, PAGE_SIZE, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	other = start_holder(test, mm, t->cpu, theirs);
	KUNIT_EXPECT_PTR_EQ(test, other->alloc->area->mm, mm);
	KUNIT_EXPECT_TRUE(test, shows(mermap_addr(alloc), mine));
	end_helper(test, other);
	KUNIT_EXPECT_TRUE(test, shows(mermap_addr(alloc), mine));
	mermap_put(alloc);
	mmput(mm);
}

static void one_page_goes_through_two_cpus_and_two_mms(struct kunit *test)
{
	struct mermap_test *t = test->priv;
	struct page *page = new_pages(test, 0);
	struct helper *same_mm, *other_mm;
	struct mermap_alloc *alloc;
	int cpu = stay_beside_other_cpu(test);
	struct mm_struct *mm = mm_alloc();

	KUNIT_ASSERT_NOT_NULL(test, mm);
	KUNIT_ASSERT_EQ(test, mermap_mm_prepare(mm), 0);
	alloc = mermap_get(page, PAGE_SIZE, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	same_mm = start_holder(test, t->mm, cpu, page);
	other_mm = start_holder(test, mm, cpu, page);
	KUNIT_EXPECT_PTR_EQ(test, same_mm->alloc->area, area_of(t->mm, cpu));
	KUNIT_EXPECT_PTR_EQ(test, other_mm->alloc->area, area_of(mm, cpu));
	end_helper(test, same_mm);
	KUNIT_EXPECT_TRUE(test, shows(mermap_addr(alloc), page));
	mermap_put(alloc);
	KUNIT_EXPECT_TRUE(test, shows(page_address(page), page));
	end_helper(test, other_mm);
	KUNIT_EXPECT_TRUE(test, nothing_mapped(t->mm));
	KUNIT_EXPECT_TRUE(test, nothing_mapped(mm));
	mmput(mm);
}

static void mapping_can_be_put_without_the_mm(struct kunit *test)
{
	struct mermap_test *t = test->priv;
	struct page *page = new_pages(test, 0);
	struct mermap_alloc *alloc;

	alloc = mermap_get(page, PAGE_SIZE, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	kthread_unuse_mm(t->mm);
	mermap_put(alloc);
	KUNIT_EXPECT_TRUE(test, nothing_mapped(t->mm));
	KUNIT_EXPECT_EQ(test, current->migration_disabled, 0);
	kthread_use_mm(t->mm);
}

/* --- stale translations ------------------------------------------------------------- */

/* Read through a mapping of another CPU, as speculation might; later read there again. */
static void spy(struct helper *spy)
{
	unsigned long end = jiffies + PATIENCE;

	preempt_disable();
	spy->good = !get_kernel_nofault(spy->word, (u64 *)spy->addr);
	/* Each of the two steps is taken by one side and awaited by the other. */
	smp_store_release(&spy->step, 1);
	/* See above. What is read all the time is not dropped from a TLB for lack of use. */
	while (smp_load_acquire(&spy->step) != 2 && time_before(jiffies, end))
		spy->err = get_kernel_nofault(spy->word, (u64 *)spy->addr);
	spy->err = get_kernel_nofault(spy->word, (u64 *)spy->addr);
	preempt_enable();
}

/* Who owns the page next, in another mm. */
static void write_secret(struct helper *owner)
{
	CLASS(mermap, map)(owner->page, PAGE_SIZE, MERMAP_RW);

	owner->good = map;
	if (map)
		WRITE_ONCE(*(u64 *)mermap_addr(map), owner->word);
}

static void sync_alone(struct helper *helper)
{
	mermap_sync();
}

/* One after the other, and to the end. */
static void run_helper(struct kunit *test, struct helper *helper)
{
	start(helper);
	await(test, &helper->done);
}

static void no_translation_survives_a_sync(struct kunit *test)
{
	struct mermap_test *t = test->priv;
	struct page *page = new_pages(test, 0);
	int cpu = stay_beside_other_cpu(test);
	unsigned long end = jiffies + PATIENCE;
	struct mm_struct *mm = mm_alloc();
	struct mermap_alloc *alloc;
	struct helper *thread, *syncer, *owner;
	u64 secret = ~mark(page);

	KUNIT_ASSERT_NOT_NULL(test, mm);
	KUNIT_ASSERT_EQ(test, mermap_mm_prepare(mm), 0);
	thread = new_helper(test, t->mm, cpu, spy, page);
	/* By one without an mm: it is for all of them. */
	syncer = new_helper(test, NULL, t->cpu, sync_alone, NULL);
	make_ready(syncer);
	owner = new_helper(test, mm, t->cpu, write_secret, page);
	owner->word = secret;
	make_ready(owner);
	alloc = mermap_get(page, PAGE_SIZE, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	thread->addr = mermap_addr(alloc);
	start(thread);
	/* See spy(). */
	while (!smp_load_acquire(&thread->step) && time_before(jiffies, end))
		cpu_relax();
	mermap_put(alloc);
	run_helper(test, syncer);
	run_helper(test, owner);
	KUNIT_EXPECT_TRUE(test, owner->good);
	KUNIT_EXPECT_EQ(test, *(u64 *)page_address(page), secret);
	/* See spy(). */
	smp_store_release(&thread->step, 2);
	await(test, &thread->done);
	KUNIT_EXPECT_TRUE(test, thread->good);
	KUNIT_EXPECT_NE(test, thread->err, 0);
	KUNIT_EXPECT_NE(test, thread->word, secret);
	mmput(mm);
}

static void get_and_put(struct helper *helper)
{
	CLASS(mermap, map)(helper->page, PAGE_SIZE, MERMAP_RO);

	helper->good = map && shows(mermap_addr(map), helper->page);
}

/* What was put there may be in the TLBs of those that are online. */
static void sync_knows_of_a_cpu_that_went_offline(struct kunit *test)
{
	struct mermap_test *t = test->priv;
	struct helper *helper;
	unsigned long syncs;
	int cpu;

	hold_two_cpus(test);
	/* The first CPU stays. */
	cpu = cpumask_any_but(cpu_online_mask, 0);
	mermap_sync();
	helper = new_helper(test, t->mm, cpu, get_and_put, new_pages(test, 0));
	run_helper(test, helper);
	KUNIT_EXPECT_TRUE(test, helper->good);
	let_go_of_cpus(test);
	/* Not an error if somebody else was quicker: then it has gone, too. */
	if (remove_cpu(cpu) < 0)
		kunit_skip(test, "needs a CPU that can go offline");
	hold_cpus(test);
	syncs = counted(MERMAP_SYNC);
	mermap_sync();
	KUNIT_EXPECT_EQ(test, counted(MERMAP_SYNC), syncs + 1);
	let_go_of_cpus(test);
	add_cpu(cpu);
}

static struct completion flush_begun;
static bool flush_done;

static void slow_flush_all(void)
{
	complete(&flush_begun);
	msleep(100);
	flush_tlb_all();
	WRITE_ONCE(flush_done, true);
}

/* The second finds nothing that was put, because the first has taken it. */
static void sync_waits_for_one_at_work(struct kunit *test)
{
	struct page *page = new_pages(test, 0);
	struct mermap_alloc *alloc;
	struct helper *first;

	init_completion(&flush_begun);
	flush_done = false;
	alloc = mermap_get(page, PAGE_SIZE, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	mermap_put(alloc);
	kunit_activate_static_stub(test, mermap_flush_all, slow_flush_all);
	first = new_helper(test, NULL, ANY_CPU, sync_alone, NULL);
	start(first);
	await(test, &flush_begun);
	mermap_sync();
	KUNIT_EXPECT_TRUE(test, READ_ONCE(flush_done));
	await(test, &first->done);
	kunit_deactivate_static_stub(test, mermap_flush_all);
}

static struct page *put_meanwhile;

static void put_during_flush(void)
{
	struct mermap_alloc *alloc = mermap_get(put_meanwhile, PAGE_SIZE, MERMAP_RO);

	flush_tlb_all();
	if (alloc)
		mermap_put(alloc);
}

static void what_is_put_during_a_sync_waits_for_the_next(struct kunit *test)
{
	struct page *page = new_pages(test, 0);
	struct mermap_alloc *alloc;
	unsigned long syncs;

	hold_cpus(test);
	put_meanwhile = page;
	alloc = mermap_get(page, PAGE_SIZE, MERMAP_RO);
	KUNIT_ASSERT_NOT_NULL(test, alloc);
	mermap_put(alloc);
	kunit_activate_static_stub(test, mermap_flush_all, put_during_flush);
	mermap_sync();
	kunit_deactivate_static_stub(test, mermap_flush_all);
	syncs = counted(MERMAP_SYNC);
	mermap_sync();
	KUNIT_EXPECT_EQ(test, counted(MERMAP_SYNC), syncs + 1);
}

/* --- an mm comes and goes ------------------------------------------------------------ */

/* What a forked child finds. */
struct child {
	struct kunit *test;
	struct page *page;
	void *addr;			/* the parent has something mapped there */
	struct callback_head work;
	bool prepared, sees_parents, got, got_unprepared, exits_without_mm, got_in_exit;
	int err;
};

static void child_exits(struct callback_head *work)
{
	struct child *child = container_of(work, struct child, work);
	struct mermap_alloc *alloc = mermap_get(child->page, PAGE_SIZE, MERMAP_RO);

	child->exits_without_mm = !current->mm;
	child->got_in_exit = alloc;
	if (alloc)
		mermap_put(alloc);
}

static bool child_gets(struct child *child)
{
	struct mermap_alloc *alloc = mermap_get(child->page, PAGE_SIZE, MERMAP_RO);
	bool good;

	if (!alloc)
		return false;
	good = shows(mermap_addr(alloc), child->page) && alloc->area->mm == current->mm;
	mermap_put(alloc);
	return good;
}

static int child_main(void *data)
{
	struct child *child = data;

	current->kunit_test = NULL;
	child->prepared = current->mm->mermap;
	child->sees_parents = readable(child->addr);
	child->got_unprepared = child_gets(child);
	child->err = mermap_mm_prepare(current->mm);
	child->got = child_gets(child);
	init_task_work(&child->work, child_exits);
	task_work_add(current, &child->work, TWA_NONE);
	do_exit(0);
}

/* Fork, with an mm of its own for the child, and wait for it. */
static void run_child(struct kunit *test, struct child *child)
{
	struct kernel_clone_args args = {
		.exit_signal = SIGCHLD, .fn = child_main, .fn_arg = child,
	};
	int status;
	pid_t pid;

	kernel_sigaction(SIGCHLD, SIG_DFL);
	pid = kernel_clone(&args);
	KUNIT_EXPECT_GT(test, pid, 0);
	if (pid > 0)
		KUNIT_EXPECT_EQ(test, kernel_wait(pid, &status), pid);
	kernel_sigaction(SIGCHLD, SIG_IGN);
}

static void forked_child_starts_empty(struct kunit *test)
{
	struct mermap_test *t = test->priv;
	struct page *page = new_pages(test, 0);
	struct child child = { .test = test, .page = new_pages(test, 0) };
	struct mermap *mermap = t->mm->mermap;
	struct helper *holder;

	/* The child stays on this CPU, too. */
	stay_on_cpu(test);
	holder = start_holder(test, t->mm, t->cpu, page);
	child.addr = holder->addr;
	run_child(test, &child);
	KUNIT_EXPECT_FALSE(test, child.prepared);
	KUNIT_EXPECT_FALSE(test, child.sees_parents);
	KUNIT_EXPECT_FALSE(test, child.got_unprepared);
	KUNIT_EXPECT_EQ(test, child.err, 0);
	KUNIT_EXPECT_TRUE(test, child.got);
	/* Nothing of the parent went with it. */
	KUNIT_EXPECT_PTR_EQ(test, t->mm->mermap, mermap);
	end_helper(test, holder);
}

static void exiting_task_gets_nothing(struct kunit *test)
{
	struct page *page = new_pages(test, 0);
	struct child child = { .test = test, .page = page, .addr = page_address(page) };

	run_child(test, &child);
	KUNIT_EXPECT_TRUE(test, child.got);
	KUNIT_EXPECT_TRUE(test, child.exits_without_mm);
	KUNIT_EXPECT_FALSE(test, child.got_in_exit);
}

static void page_tables_go_with_the_mm(struct kunit *test)
{
	struct mm_struct *mm = mm_alloc();
	struct helper *holder;
	unsigned long before, after;

	KUNIT_ASSERT_NOT_NULL(test, mm);
	mmgrab(mm);
	before = mm_pgtables_bytes(mm);
	KUNIT_EXPECT_EQ(test, mermap_mm_prepare(mm), 0);
	after = mm_pgtables_bytes(mm);
	KUNIT_EXPECT_GE(test, after - before,
			PAGE_SIZE * DIV_ROUND_UP(num_possible_cpus() * MERMAP_AREA_PAGES,
						 PTRS_PER_PTE));
	/* It is all there: to prepare again takes nothing. */
	KUNIT_EXPECT_EQ(test, mermap_mm_prepare(mm), 0);
	KUNIT_EXPECT_EQ(test, mm_pgtables_bytes(mm), after);
	holder = start_holder(test, mm, ANY_CPU, new_pages(test, 0));
	end_helper(test, holder);
	KUNIT_EXPECT_EQ(test, mm_pgtables_bytes(mm), after);
	mmput(mm);
	KUNIT_EXPECT_EQ(test, mm_pgtables_bytes(mm), before);
	KUNIT_EXPECT_NULL(test, mm->mermap);
	mmdrop(mm);
}

#define MANY	32

/* With CPUs held, for the reason that counted() gives. */
static long page_tables(void)
{
	long sum = global_node_page_state(NR_PAGETABLE);
	struct pglist_data *pgdat;
	int cpu;

	for_each_online_pgdat(pgdat)
		for_each_possible_cpu(cpu)
			/* What it has not added yet, and may be adding now. */
			sum += data_race(per_cpu_ptr(pgdat->per_cpu_nodestats,
						     cpu)->vm_node_stat_diff[NR_PAGETABLE]);
	return sum;
}

/* Other page tables come and go meanwhile, but not one for each of these. */
static void page_tables_are_counted_out(struct kunit *test)
{
	struct mm_struct **mms = kunit_kcalloc(test, MANY, sizeof(*mms), GFP_KERNEL);
	long before, during, after;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, mms);
	hold_cpus(test);
	/* They are freed after a grace period; others may be on the way. */
	rcu_barrier();
	before = page_tables();
	for (i = 0; i < MANY; i++) {
		mms[i] = mm_alloc();
		KUNIT_EXPECT_NOT_NULL(test, mms[i]);
		if (mms[i])
			KUNIT_EXPECT_EQ(test, mermap_mm_prepare(mms[i]), 0);
	}
	during = page_tables();
	for (i = 0; i < MANY; i++) {
		if (mms[i])
			mmput(mms[i]);
	}
	rcu_barrier();
	after = page_tables();
	KUNIT_EXPECT_GE(test, during, before + 3 * MANY);
	KUNIT_EXPECT_LE(test, after, before + MANY / 2);
}

/* Map a page, leave the mm, and run on with its page tables, as a CPU that idles may. */
static void be_lazy(struct helper *lazy)
{
	struct mm_struct *mm = lazy->addr;
	unsigned long end = jiffies + PATIENCE;
	bool there;

	do {
		kthread_use_mm(mm);
		get_and_put(lazy);
		kthread_unuse_mm(mm);
		guard(preempt)();
		/* Somebody else may have come in between. */
		there = current->active_mm == mm;
		if (there)
			complete(&lazy->there);
		/* One step, taken when the mm is gone. */
		while (there && !smp_load_acquire(&lazy->step) && time_before(jiffies, end))
			cpu_relax();
	} while (!there && time_before(jiffies, end));
}

/* Nothing runs in it there, and the page tables are still those of the mm that exits. */
static void mm_may_exit_where_another_cpu_is_lazy(struct kunit *test)
{
	int cpu = stay_beside_other_cpu(test);
	struct mm_struct *mm = mm_alloc(), *next = mm_alloc();
	struct helper *lazy, *user;

	KUNIT_ASSERT_TRUE(test, mm && next);
	KUNIT_ASSERT_EQ(test, mermap_mm_prepare(mm) ?: mermap_mm_prepare(next), 0);
	mmgrab(mm);
	lazy = new_helper(test, NULL, cpu, be_lazy, new_pages(test, 0));
	lazy->addr = mm;
	start(lazy);
	await(test, &lazy->there);
	KUNIT_EXPECT_TRUE(test, lazy->good);
	mmput(mm);
	KUNIT_EXPECT_EQ(test, mm_pgtables_bytes(mm), 0);
	/* See be_lazy(). */
	smp_store_release(&lazy->step, 1);
	await(test, &lazy->done);
	rcu_barrier();
	user = new_helper(test, next, cpu, get_and_put, new_pages(test, 0));
	run_helper(test, user);
	KUNIT_EXPECT_TRUE(test, user->good);
	mmput(next);
	mmdrop(mm);
}

static atomic_t tables_made, tables_that_fail;

/* Slow, and as often as it is told to, without memory. */
static pte_t *slow_table(struct mm_struct *mm, unsigned long addr)
{
	bool first = atomic_inc_return(&tables_made) == 1;

	msleep(first ? 60 : 20);
	if (atomic_dec_if_positive(&tables_that_fail) >= 0)
		return NULL;
	return __mermap_table(mm, addr);
}

static bool complete_areas(struct mm_struct *mm)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct mermap_area *area = area_of(mm, cpu);

		if (area->mm != mm || area->cpu != cpu || !area->ptes ||
		    area->base < MERMAP_BASE_ADDR || area->reserve.area != area)
			return false;
	}
	return true;
}

/* The mm is new, and not loaded by who prepares it. Whoever is told 0 may begin at once. */
static void prepare(struct helper *helper)
{
	struct mm_struct *mm = helper->addr;

	helper->err = mermap_mm_prepare(mm);
	helper->good = helper->err || complete_areas(mm);
	helper->word = (unsigned long)mm->mermap;
}

static struct helper *start_prepare(struct kunit *test, struct mm_struct *mm)
{
	struct helper *helper = new_helper(test, NULL, ANY_CPU, prepare, NULL);

	helper->addr = mm;
	start(helper);
	return helper;
}

/* Get while it is prepared: nothing, or something good. */
static void get_until_prepared(struct helper *helper)
{
	unsigned long end = jiffies + PATIENCE;

	helper->good = true;
	while (!helper->err && time_before(jiffies, end)) {
		struct mermap_alloc *alloc = mermap_get(helper->page, PAGE_SIZE, MERMAP_RO);

		if (alloc) {
			helper->err = 1;
			helper->good &= mermap_addr(alloc) >= (void *)MERMAP_BASE_ADDR &&
					shows(mermap_addr(alloc), helper->page);
			mermap_put(alloc);
		}
		usleep_range(100, 200);
	}
	helper->good &= helper->err;
}

static void race_to_prepare(struct kunit *test, unsigned int fail)
{
	struct page *page = new_pages(test, 0);
	struct helper *a, *b, *user;
	struct mm_struct *mm = mm_alloc();

	KUNIT_ASSERT_NOT_NULL(test, mm);
	atomic_set(&tables_made, 0);
	atomic_set(&tables_that_fail, fail);
	kunit_activate_static_stub(test, mermap_table, slow_table);
	mmget(mm);
	user = new_helper(test, mm, ANY_CPU, get_until_prepared, page);
	start(user);
	a = start_prepare(test, mm);
	b = start_prepare(test, mm);
	await(test, &a->done);
	await(test, &b->done);
	kunit_deactivate_static_stub(test, mermap_table);
	KUNIT_EXPECT_TRUE(test, a->good);
	KUNIT_EXPECT_TRUE(test, b->good);
	KUNIT_EXPECT_EQ(test, (a->err == -ENOMEM) + (b->err == -ENOMEM), fail);
	KUNIT_EXPECT_EQ(test, (a->err == 0) + (b->err == 0), 2 - fail);
	KUNIT_EXPECT_EQ(test, !!mm->mermap, fail < 2);
	/* What was published stays. */
	if (!a->err)
		KUNIT_EXPECT_EQ(test, a->word, (unsigned long)mm->mermap);
	if (!b->err)
		KUNIT_EXPECT_EQ(test, b->word, (unsigned long)mm->mermap);
	if (fail == 2)
		KUNIT_EXPECT_EQ(test, mermap_mm_prepare(mm), 0);
	if (mm->mermap)
		KUNIT_EXPECT_TRUE(test, complete_areas(mm));
	await(test, &user->done);
	KUNIT_EXPECT_TRUE(test, user->good);
	mmput(mm);
	mmput(mm);
}

static void racing_prepares_leave_one(struct kunit *test)
{
	race_to_prepare(test, 0);
}

static void prepare_that_fails_takes_nothing_from_one_that_does_not(struct kunit *test)
{
	race_to_prepare(test, 1);
}

static void prepare_can_be_repeated_after_failure(struct kunit *test)
{
	race_to_prepare(test, 2);
}

static int tables_before_one_fails;

static pte_t *failing_table(struct mm_struct *mm, unsigned long addr)
{
	return tables_before_one_fails-- ? __mermap_table(mm, addr) : NULL;
}

/* At each CPU's area. */
static void prepare_that_fails_half_way_is_continued(struct kunit *test)
{
	struct mermap_test *t = test->priv;
	unsigned long left;
	unsigned int i;

	/* The mm exits as it is, or is prepared. */
	for (i = 0; i < 2 * num_possible_cpus(); i++) {
		struct mm_struct *mm = mm_alloc();

		KUNIT_ASSERT_NOT_NULL(test, mm);
		mmgrab(mm);
		tables_before_one_fails = i / 2;
		kunit_activate_static_stub(test, mermap_table, failing_table);
		KUNIT_EXPECT_EQ(test, mermap_mm_prepare(mm), -ENOMEM);
		kunit_deactivate_static_stub(test, mermap_table);
		KUNIT_EXPECT_NULL(test, mm->mermap);
		/* Tables that are there already are used, and not made again. */
		left = mm_pgtables_bytes(mm);
		KUNIT_EXPECT_EQ(test, !!left, i >= 2);
		if (i % 2) {
			KUNIT_EXPECT_EQ(test, mermap_mm_prepare(mm), 0);
			KUNIT_EXPECT_EQ(test, mm_pgtables_bytes(mm), mm_pgtables_bytes(t->mm));
			if (mm->mermap)
				KUNIT_EXPECT_TRUE(test, complete_areas(mm));
		}
		mmput(mm);
		KUNIT_EXPECT_EQ(test, mm_pgtables_bytes(mm), 0);
		mmdrop(mm);
	}
}

static struct kunit_case mermap_tasks_cases[] = {
	KUNIT_CASE(tasks_on_one_cpu_interleave),
	KUNIT_CASE(mapping_survives_another_mm),
	KUNIT_CASE(one_page_goes_through_two_cpus_and_two_mms),
	KUNIT_CASE(mapping_can_be_put_without_the_mm),
	KUNIT_CASE(no_translation_survives_a_sync),
	KUNIT_CASE(sync_knows_of_a_cpu_that_went_offline),
	KUNIT_CASE(sync_waits_for_one_at_work),
	KUNIT_CASE(what_is_put_during_a_sync_waits_for_the_next),
	KUNIT_CASE(forked_child_starts_empty),
	KUNIT_CASE(exiting_task_gets_nothing),
	KUNIT_CASE(page_tables_go_with_the_mm),
	KUNIT_CASE(page_tables_are_counted_out),
	KUNIT_CASE(mm_may_exit_where_another_cpu_is_lazy),
	KUNIT_CASE(racing_prepares_leave_one),
	KUNIT_CASE(prepare_that_fails_takes_nothing_from_one_that_does_not),
	KUNIT_CASE(prepare_can_be_repeated_after_failure),
	KUNIT_CASE(prepare_that_fails_half_way_is_continued),
	{ }
};

static struct kunit_suite mermap_tasks_suite = {
	.name = "mermap_tasks",
	.init = mermap_test_init,
	.exit = mermap_test_exit,
	.test_cases = mermap_tasks_cases,
};

kunit_test_suite(mermap_tasks_suite);

MODULE_DESCRIPTION("KUnit tests of the mermap with several tasks");
MODULE_LICENSE("GPL");
