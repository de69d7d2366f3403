// SPDX-License-Identifier: GPL-2.0
/*
 * What the mermap costs, and what else there is, one line for each:
 *
 *	mermapbench: mermap pages=8 loops=1000 cycles=171000 pairs=6000 interrupts=0 \
 *		rewinds=400 syncs=0
 *
 * cycles are of one batch of loops, the smallest of all batches; interrupts are those by
 * which CPUs call each other, and they, rewinds and syncs are of all batches. Every pair
 * maps pages of one block, and unmaps them. What is mapped is not touched: -icount does not count what a
 * TLB costs.
 */

#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/hardirq.h>
#include <linux/kernel.h>
#include <linux/mermap.h>
#include <linux/mm.h>
#include <linux/mmu_context.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched/mm.h>
#include <linux/set_memory.h>
#include <linux/timex.h>
#include <linux/vmalloc.h>
#include <linux/vmstat.h>

/* Not for modules, as the kernel sees it; build.module() links them. */
void flush_tlb_mm_range(struct mm_struct *mm, unsigned long start, unsigned long end,
			unsigned int stride_shift, bool freed_tables);
void flush_tlb_kernel_range(unsigned long start, unsigned long end);

#define LOOPS	1000
#define BATCHES	5
#define ORDER	7

static struct page *block, *pages[1 << ORDER];
static struct mm_struct *temp;
static pte_t *temp_ptes;

typedef int (*pair_fn)(unsigned int nr);

static int mermap_pair(unsigned int nr)
{
	struct mermap_alloc *alloc = mermap_get(block, nr * PAGE_SIZE, MERMAP_RW);

	if (!alloc)
		return -EBUSY;
	mermap_put(alloc);
	return 0;
}

static int reserved_pair(unsigned int nr)
{
	struct mermap_alloc *alloc;

	preempt_disable();
	alloc = mermap_get_reserved(block, MERMAP_RW);
	if (alloc)
		mermap_put(alloc);
	preempt_enable();
	return alloc ? 0 : -EBUSY;
}

static int map_ram_pair(unsigned int nr)
{
	void *addr = vm_map_ram(pages, nr, NUMA_NO_NODE);

	if (!addr)
		return -ENOMEM;
	vm_unmap_ram(addr, nr);
	return 0;
}

static int vmap_pair(unsigned int nr)
{
	void *addr = vmap(pages, nr, VM_MAP, PAGE_KERNEL);

	if (!addr)
		return -ENOMEM;
	vunmap(addr);
	return 0;
}

static int direct_map_pair(unsigned int nr)
{
	unsigned long addr = (unsigned long)page_address(block);
	int err = set_direct_map_valid_noflush(block, nr, false);

	if (err)
		return err;
	flush_tlb_kernel_range(addr, addr + nr * PAGE_SIZE);
	return set_direct_map_valid_noflush(block, nr, true);
}

/* As a change of kernel text does it. */
static int temporary_mm_pair(unsigned int nr)
{
	struct mm_struct *prev;
	unsigned int i;

	preempt_disable();
	for (i = 0; i < nr; i++)
		set_pte(temp_ptes + i, mk_pte(block + i, PAGE_KERNEL));
	prev = use_temporary_mm(temp);
	for (i = 0; i < nr; i++)
		set_pte(temp_ptes + i, __pte(0));
	unuse_temporary_mm(prev);
	flush_tlb_mm_range(temp, PAGE_SIZE, (nr + 1) * PAGE_SIZE, PAGE_SHIFT, false);
	preempt_enable();
	return 0;
}

static unsigned long interrupts(void)
{
	unsigned long sum = 0;
	int cpu;

	for_each_online_cpu(cpu)
		sum += READ_ONCE(per_cpu(irq_stat, cpu).counts[IRQ_COUNT_CALL_FUNCTION]);
	return sum;
}

static unsigned long counted(enum vm_event_item item)
{
	unsigned long sum = 0;
	int cpu;

	for_each_online_cpu(cpu)
		sum += READ_ONCE(per_cpu(vm_event_states, cpu).event[item]);
	return sum;
}

static int measure(const char *what, pair_fn pair, unsigned int nr, unsigned int loops)
{
	unsigned long interrupted = interrupts(), rewinds = counted(MERMAP_REWIND);
	unsigned long syncs = counted(MERMAP_SYNC);
	u64 best = U64_MAX, begun;
	unsigned int batch, i;
	int err = 0;

	for (batch = 0; batch <= BATCHES; batch++) {
		begun = get_cycles();
		for (i = 0; i < loops && !err; i++)
			err = pair(nr);
		/* The first one warms up. */
		if (batch)
			best = min(best, get_cycles() - begun);
	}
	if (err)
		pr_err("mermapbench: %s pages=%u failed (%d)\n", what, nr, err);
	else
		pr_info("mermapbench: %s pages=%u loops=%u cycles=%llu pairs=%u interrupts=%lu rewinds=%lu syncs=%lu\n",
			what, nr, loops, best, batch * loops, interrupts() - interrupted,
			counted(MERMAP_REWIND) - rewinds, counted(MERMAP_SYNC) - syncs);
	return err;
}

/* What the exit of an mm costs, with a mermap and without one, and to prepare it. */
static int lives(void)
{
	u64 exits[2] = { U64_MAX, U64_MAX }, prepare = U64_MAX, begun;
	unsigned int batch, prepared;
	long bytes = 0;
	int err = 0;

	for (batch = 0; batch < 40 && !err; batch++) {
		struct mm_struct *mm = mm_alloc();

		if (!mm)
			return -ENOMEM;
		prepared = batch % 2;
		if (prepared) {
			begun = get_cycles();
			err = mermap_mm_prepare(mm);
			prepare = min(prepare, get_cycles() - begun);
			bytes = mm_pgtables_bytes(mm);
		}
		begun = get_cycles();
		mmput(mm);
		exits[prepared] = min(exits[prepared], get_cycles() - begun);
	}
	if (err)
		return err;
	pr_info("mermapbench: prepare pages=%u loops=1 cycles=%llu\n", num_possible_cpus(), prepare);
	pr_info("mermapbench: exit pages=0 loops=1 cycles=%llu\n", exits[0]);
	pr_info("mermapbench: exit pages=%u loops=1 cycles=%llu\n", num_possible_cpus(), exits[1]);
	pr_info("mermapbench: bytes pages=%u loops=1 cycles=%lu\n", num_possible_cpus(),
		bytes + nr_cpu_ids * sizeof(struct mermap_area));
	return 0;
}

static int sync_pair(unsigned int nr)
{
	int err = mermap_pair(nr);

	mermap_sync();
	return err;
}

/* For lab/guest/x86/lives.c: "1" prepares the mm of the task that writes it. */
static int prepare(const char *text, const struct kernel_param *param)
{
	return *text == '1' ? mermap_mm_prepare(current->mm) : 0;
}

static const struct kernel_param_ops prepare_ops = { .set = prepare };
module_param_cb(prepare, &prepare_ops, NULL, 0200);

static int __init mermapbench_init(void)
{
	static const unsigned int sizes[] = { 1, 8, 64, MERMAP_MAX_PAGES };
	unsigned int i;
	spinlock_t *ptl;
	int err;

	block = alloc_pages(GFP_KERNEL, ORDER);
	temp = mm_alloc();
	if (!block || !temp)
		return -ENOMEM;
	temp_ptes = get_locked_pte(temp, PAGE_SIZE, &ptl);
	if (!temp_ptes)
		return -ENOMEM;
	pte_unmap_unlock(temp_ptes, ptl);
	for (i = 0; i < 1 << ORDER; i++)
		pages[i] = block + i;

	err = lives() ?: mermap_mm_prepare(current->mm);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		err = err ?: measure("mermap", mermap_pair, sizes[i], LOOPS);
		err = err ?: measure("vm_map_ram", map_ram_pair, sizes[i], LOOPS);
		err = err ?: measure("vmap", vmap_pair, sizes[i], LOOPS / 10);
		err = err ?: measure("direct_map", direct_map_pair, sizes[i], LOOPS / 10);
		err = err ?: measure("temporary_mm", temporary_mm_pair, sizes[i], LOOPS);
	}
	err = err ?: measure("reserved", reserved_pair, 1, LOOPS);
	err = err ?: measure("get_put_sync", sync_pair, 1, LOOPS / 10);
	mermap_sync();
	__free_pages(block, ORDER);
	/* temp stays, like the mm that text is changed in: without a VMA its tables would, too. */
	return err;
}
module_init(mermapbench_init);

static void __exit mermapbench_exit(void)
{
}
module_exit(mermapbench_exit);

MODULE_DESCRIPTION("Costs of the mermap, for make bench");
MODULE_LICENSE("GPL");
