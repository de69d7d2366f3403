// SPDX-License-Identifier: GPL-2.0
/*
 * What alloc_pages() and __free_pages() cost, one line for each kind of load:
 *
 *	pagebench: pair order=0 from=pcp loops=1000 cycles=783000 783000 ns=...
 *
 *	pair	a block is allocated and freed again; the lists stay as they are
 *	bulk	many blocks are allocated, then freed: with refills and drains of
 *		the per-CPU lists, with splitting and merging in the buddy lists
 *
 * cycles and ns are of one batch of loops, the smallest of all batches and the
 * median. The same source serves every kernel that is compared, and calls
 * nothing that only some of them have.
 */

#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sort.h>
#include <linux/timex.h>

#define LOOPS(order)	(1000 >> (order) / 2)	/* peers that touch every page take long */
#define WARM		2
#define BATCHES		5			/* the median is one of them */
#define BULK		4096

/* Nothing may sleep: preemption is off, so that a batch is one task's. */
#define GFP	(GFP_KERNEL & ~__GFP_DIRECT_RECLAIM)

static struct page *held[BULK];
static u64 cycles[BATCHES], ns[BATCHES];

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static void say(const char *what, unsigned int order, const char *from, unsigned int loops)
{
	sort(cycles, BATCHES, sizeof(*cycles), compare, NULL);
	sort(ns, BATCHES, sizeof(*ns), compare, NULL);
	pr_info("pagebench: %s order=%u from=%s loops=%u cycles=%llu %llu ns=%llu %llu\n",
		what, order, from, loops, cycles[0], cycles[BATCHES / 2],
		ns[0], ns[BATCHES / 2]);
}

static int pairs(unsigned int order, unsigned int loops)
{
	struct page *page;

	while (loops--) {
		page = alloc_pages(GFP, order);
		if (unlikely(!page))
			return -ENOMEM;
		__free_pages(page, order);
	}
	return 0;
}

static int hold(unsigned int order, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		held[i] = alloc_pages(GFP, order);
		if (unlikely(!held[i]))
			break;
	}
	return i == count ? 0 : -ENOMEM;
}

static void release(unsigned int order, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (held[i])
			__free_pages(held[i], order);
		held[i] = NULL;
	}
}

static int bulk(unsigned int order, unsigned int count)
{
	int error = hold(order, count);

	release(order, count);
	return error;
}

static int measure(int (*load)(unsigned int order, unsigned int loops), unsigned int order,
		   unsigned int loops)
{
	u64 cycle, start;
	int i, error;

	for (i = -WARM; i < BATCHES; i++) {
		/* Off for one batch only: all of them would be a soft lockup. */
		preempt_disable();
		start = ktime_get_ns();
		cycle = get_cycles();
		error = load(order, loops);
		cycle = get_cycles() - cycle;
		start = ktime_get_ns() - start;
		preempt_enable();
		if (error)
			return error;
		if (i >= 0) {
			cycles[i] = cycle;
			ns[i] = start;
		}
	}
	return 0;
}

/* Where a block of this order goes when it is freed, and where the next comes from. */
static const char *source(unsigned int order)
{
	const char *from = "nowhere";
	struct page *page;

	preempt_disable();
	page = alloc_pages(GFP, order);
	if (page) {
		__free_pages(page, order);
		from = PageBuddy(page) ? "buddy" : "pcp";
	}
	preempt_enable();
	return from;
}

/*
 * A free block whose buddy is in use: to take it splits nothing, to free it merges
 * nothing. Otherwise the cost of a pair would depend on what happened to be free.
 */
static int lone_block(unsigned int order, unsigned int count)
{
	unsigned int i, j;
	int error = hold(order, count);

	for (i = 0; !error && i < count; i++)
		for (j = 0; j < i; j++)
			if ((page_to_pfn(held[i]) ^ page_to_pfn(held[j])) == 1UL << order) {
				__free_pages(held[i], order);
				held[i] = NULL;
				return 0;
			}
	return error ?: -EAGAIN;
}

static int pair_row(unsigned int order, unsigned int lone)
{
	int error = lone ? lone_block(order, lone) : 0;

	if (!error)
		error = measure(pairs, order, LOOPS(order));
	if (!error)
		say("pair", order, source(order), LOOPS(order));
	release(order, lone);
	return error;
}

static int bulk_row(unsigned int order, unsigned int count)
{
	int error = measure(bulk, order, count);

	if (!error)
		say("bulk", order, "both", count);
	return error;
}

static int __init pagebench_init(void)
{
	int error;

	/* Per-CPU lists serve 0 to 3 and the order of a huge page, buddy lists the rest. */
	error = pair_row(0, 0);
	error = error ?: pair_row(1, 0);
	error = error ?: pair_row(3, 0);
	error = error ?: pair_row(5, 64);
	error = error ?: pair_row(9, 0);
	error = error ?: bulk_row(0, BULK);
	error = error ?: bulk_row(3, BULK / 8);
	error = error ?: bulk_row(5, BULK / 32);
	if (error)
		pr_err("pagebench: failed (%d): too little memory, or no lone block\n", error);
	return error;
}
module_init(pagebench_init);

static void __exit pagebench_exit(void)
{
}
module_exit(pagebench_exit);

MODULE_DESCRIPTION("Costs of the page allocator, for make bench");
MODULE_LICENSE("GPL");
