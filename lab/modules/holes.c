// SPDX-License-Identifier: GPL-2.0
/*
 * Many free blocks of one page: insmod holes.ko blocks=100000
 *
 * Twice as many pages are taken, and those with an odd PFN are given back, so that none
 * of them merges. The rest goes with the module.
 */

#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>

static unsigned int blocks;
module_param(blocks, uint, 0444);

static LIST_HEAD(kept);

static void drop(struct list_head *pages)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, pages, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
}

static int __init holes_init(void)
{
	unsigned int i, freed = 0;
	struct page *page;
	LIST_HEAD(holes);

	for (i = 0; i < 2 * blocks; i++) {
		page = alloc_page(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
		if (!page)
			break;
		freed += page_to_pfn(page) & 1;
		list_add(&page->lru, page_to_pfn(page) & 1 ? &holes : &kept);
		cond_resched();
	}
	drop(&holes);
	pr_info("holes: %u pages freed of %u\n", freed, i);
	if (i == 2 * blocks)
		return 0;
	drop(&kept);
	return -ENOMEM;
}
module_init(holes_init);

static void __exit holes_exit(void)
{
	drop(&kept);
}
module_exit(holes_exit);

MODULE_DESCRIPTION("Free blocks that do not merge, for make bench");
MODULE_LICENSE("GPL");
