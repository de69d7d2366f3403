// SPDX-License-Identifier: GPL-2.0
/*
 * Violations that user space cannot cause, and allocations of a given order:
 *
 *	echo "COMMAND ORDER" > /sys/module/poke/parameters/do
 *
 *	get N		allocate a block and keep it; its PFN is logged
 *	put N		free the block kept last
 *	again N		free the block kept last, wait until the host writes to gate, and
 *			allocate blocks of that order until it must be among them
 *	drop N		free the block kept as number N, from 0; later ones move up
 *	doublefree N	free a block twice
 *	badfree N	free a block with a stray mapping, which check_pages=1 refuses
 *	freereserved N	free a page of this module's kernel that is PageReserved
 */

#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/page_ref.h>
#include <linux/preempt.h>

#define KEPT 1024
#define AGAIN_MS 10000
#define AGAIN_BLOCKS 30

static struct page *kept[KEPT];
static unsigned int kept_order[KEPT], nr_kept;

/* What the host reads and writes in the guest's memory, by the address in the log. */
static struct {
	u32 freed;
	u32 go;
} gate;

static __always_inline int get_with(unsigned int order, gfp_t gfp)
{
	struct page *page;

	if (nr_kept == KEPT)
		return -ENOSPC;
	page = alloc_pages(gfp, order);
	if (!page)
		return -ENOMEM;
	kept_order[nr_kept] = order;
	kept[nr_kept++] = page;
	pr_info("poke: got pfn 0x%lx order %u\n", page_to_pfn(page), order);
	return 0;
}

static int get(unsigned int order)
{
	return get_with(order, GFP_KERNEL);
}

static int put(void)
{
	if (!nr_kept)
		return -ENOENT;
	nr_kept--;
	__free_pages(kept[nr_kept], kept_order[nr_kept]);
	return 0;
}

/*
 * Nobody else runs on this CPU meanwhile, so the block stays on its list: who frees
 * blocks of such orders may return all of the list to the free lists.
 */
static int again(unsigned int order)
{
	int ret, tries, ms;

	preempt_disable();
	ret = put();
	WRITE_ONCE(gate.freed, 1);
	for (ms = 0; !ret && !READ_ONCE(gate.go); ms++) {
		if (ms == AGAIN_MS)
			ret = -ETIMEDOUT;
		else
			mdelay(1);
	}
	for (tries = 0; !ret && tries < AGAIN_BLOCKS; tries++)
		ret = get_with(order, GFP_ATOMIC);
	preempt_enable();
	WRITE_ONCE(gate.freed, 0);
	WRITE_ONCE(gate.go, 0);
	return ret;
}

/* Leaves a hole between blocks in use, which 'put' never does. */
static int drop(unsigned int nr)
{
	struct page *page;
	unsigned int order;

	if (nr >= nr_kept)
		return -ENOENT;
	page = kept[nr];
	order = kept_order[nr];
	for (nr_kept--; nr < nr_kept; nr++) {
		kept[nr] = kept[nr + 1];
		kept_order[nr] = kept_order[nr + 1];
	}
	__free_pages(page, order);
	return 0;
}

/* What a stray put_page() on a page that is free already comes to. */
static int doublefree(unsigned int order)
{
	struct page *page = alloc_pages(GFP_KERNEL, order);

	if (!page)
		return -ENOMEM;
	pr_info("poke: freeing pfn 0x%lx order %u twice\n", page_to_pfn(page), order);
	__free_pages(page, order);
	init_page_count(page);
	__free_pages(page, order);
	return 0;
}

static int badfree(unsigned int order)
{
	struct page *page = alloc_pages(GFP_KERNEL, order);

	if (!page)
		return -ENOMEM;
	pr_info("poke: freeing bad pfn 0x%lx order %u\n", page_to_pfn(page), order);
	page->mapping = (void *)8;
	__free_pages(page, order);
	return 0;
}

static int freereserved(void)
{
	struct page *page = virt_to_page(empty_zero_page);

	if (!PageReserved(page))
		return -EINVAL;
	pr_info("poke: freeing reserved pfn 0x%lx\n", page_to_pfn(page));
	init_page_count(page);
	__free_pages(page, 0);
	return 0;
}

static int poke(const char *text, const struct kernel_param *param)
{
	unsigned int order;
	char what[16];

	if (sscanf(text, "%15s %u", what, &order) != 2)
		return -EINVAL;
	if (!strcmp(what, "get"))
		return get(order);
	if (!strcmp(what, "put"))
		return put();
	if (!strcmp(what, "again"))
		return again(order);
	if (!strcmp(what, "drop"))
		return drop(order);
	if (!strcmp(what, "doublefree"))
		return doublefree(order);
	if (!strcmp(what, "badfree"))
		return badfree(order);
	if (!strcmp(what, "freereserved"))
		return freereserved();
	return -EINVAL;
}

static const struct kernel_param_ops poke_ops = { .set = poke };
module_param_cb(do, &poke_ops, NULL, 0200);

static int __init poke_init(void)
{
	pr_info("poke: gate at %px\n", &gate);
	return 0;
}
module_init(poke_init);

static void __exit poke_exit(void)
{
	while (nr_kept)
		put();
}
module_exit(poke_exit);

MODULE_DESCRIPTION("Pages allocated, and violations caused, on demand");
MODULE_LICENSE("GPL");
