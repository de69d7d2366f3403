// SPDX-License-Identifier: GPL-2.0
/*
 * This is for all the tests related to the page allocator consistency checker.
 *
 * Booted with page_consistency=report, the kernel must report each of these and
 * go on in good health; booted with page_consistency=on, it must panic.
 */
#include "lkdtm.h"
#include <linux/page_consistency_inject.h>

static void violate(enum page_consistency_fault fault)
{
	switch (page_consistency_inject(fault)) {
	case 0:
		pr_info("ok: the violation was noticed.\n");
		break;
	case -EOPNOTSUPP:
		if (IS_ENABLED(CONFIG_PAGE_CONSISTENCY)) {
			pr_err("XFAIL: booted without page_consistency=report or page_consistency=on, or without what this takes\n");
		} else {
			pr_err("XFAIL: there is no page allocator consistency checker\n");
			pr_expected_config(CONFIG_PAGE_CONSISTENCY);
		}
		break;
	case -ENOMEM:
		pr_err("FAIL: no memory to try it with\n");
		break;
	default:
		pr_err("FAIL: nobody noticed!\n");
		pr_expected_config(CONFIG_PAGE_CONSISTENCY);
	}
}

/* A page is freed that is free already. */
static void lkdtm_PAGE_DOUBLE_FREE(void)
{
	violate(PAGE_CONSISTENCY_DOUBLE_FREE);
}

/* A block is handed out that has an owner already. */
static void lkdtm_PAGE_HANDED_OUT_TWICE(void)
{
	violate(PAGE_CONSISTENCY_HANDED_OUT_TWICE);
}

/* A page is freed that is still PageReserved. */
static void lkdtm_PAGE_FREE_RESERVED(void)
{
	violate(PAGE_CONSISTENCY_FREE_RESERVED);
}

/* Two pages are freed as one block, and the first has an odd number. */
static void lkdtm_PAGE_FREE_MISALIGNED(void)
{
	violate(PAGE_CONSISTENCY_FREE_MISALIGNED);
}

/* A block is freed of which one page is somebody else's. */
static void lkdtm_PAGE_FREE_IN_USE(void)
{
	violate(PAGE_CONSISTENCY_FREE_IN_USE);
}

/* The last reference of a slab page is dropped by a stranger. */
static void lkdtm_PAGE_FREE_TYPED(void)
{
	violate(PAGE_CONSISTENCY_FREE_TYPED);
}

/* Half of a compound block is freed. */
static void lkdtm_PAGE_FREE_WRONG_ORDER(void)
{
	violate(PAGE_CONSISTENCY_FREE_WRONG_ORDER);
}

/* A reference of a free page is put. */
static void lkdtm_PAGE_PUT(void)
{
	violate(PAGE_CONSISTENCY_PUT);
}

/* A page is handed out that was put while it was free. */
static void lkdtm_PAGE_COUNTED(void)
{
	violate(PAGE_CONSISTENCY_COUNTED);
}

/* A free list holds a block that has an owner. */
static void lkdtm_PAGE_LIST_IN_USE(void)
{
	violate(PAGE_CONSISTENCY_LIST_IN_USE);
}

/* A free list leads into the middle of a struct page. */
static void lkdtm_PAGE_LIST_POINTER(void)
{
	violate(PAGE_CONSISTENCY_LIST_POINTER);
}

/* A free list holds a block of another order. */
static void lkdtm_PAGE_LIST_BLOCK(void)
{
	violate(PAGE_CONSISTENCY_LIST_BLOCK);
}

/* A block on a free list is its own successor. */
static void lkdtm_PAGE_LIST_LINK(void)
{
	violate(PAGE_CONSISTENCY_LIST_LINK);
}

/* A block on a free list was put since it was freed. */
static void lkdtm_PAGE_LIST_COUNTED(void)
{
	violate(PAGE_CONSISTENCY_LIST_COUNTED);
}

/* A bit of the checker's own record flips, in the first of the two bitmaps. */
static void lkdtm_PAGE_RECORD_PRIMARY(void)
{
	violate(PAGE_CONSISTENCY_RECORD_PRIMARY);
}

/* The same in the second. */
static void lkdtm_PAGE_RECORD_SECONDARY(void)
{
	violate(PAGE_CONSISTENCY_RECORD_SECONDARY);
}

/* The same, and the page is not touched: verification has to find it. */
static void lkdtm_PAGE_RECORD_PAIR(void)
{
	violate(PAGE_CONSISTENCY_RECORD_PAIR);
}

/* A bit flips in the table that leads to the bitmaps of a section. */
static void lkdtm_PAGE_RECORD_ENTRY(void)
{
	violate(PAGE_CONSISTENCY_RECORD_ENTRY);
}

/* A part of that table is wiped. */
static void lkdtm_PAGE_RECORD_NO_ENTRY(void)
{
	violate(PAGE_CONSISTENCY_RECORD_NO_ENTRY);
}

/* A bit flips in a pointer to a part of that table. */
static void lkdtm_PAGE_RECORD_ROOT(void)
{
	violate(PAGE_CONSISTENCY_RECORD_ROOT);
}

/* The hardware gives up a frame that holds a part of the table; nothing is done to it. */
static void lkdtm_PAGE_RECORD_FRAME(void)
{
	violate(PAGE_CONSISTENCY_RECORD_FRAME);
}

/* A variable of the checker changes. */
static void lkdtm_PAGE_STATE(void)
{
	violate(PAGE_CONSISTENCY_STATE);
}

static struct crashtype crashtypes[] = {
	CRASHTYPE(PAGE_DOUBLE_FREE),
	CRASHTYPE(PAGE_HANDED_OUT_TWICE),
	CRASHTYPE(PAGE_FREE_RESERVED),
	CRASHTYPE(PAGE_FREE_MISALIGNED),
	CRASHTYPE(PAGE_FREE_IN_USE),
	CRASHTYPE(PAGE_FREE_TYPED),
	CRASHTYPE(PAGE_FREE_WRONG_ORDER),
	CRASHTYPE(PAGE_PUT),
	CRASHTYPE(PAGE_COUNTED),
	CRASHTYPE(PAGE_LIST_IN_USE),
	CRASHTYPE(PAGE_LIST_POINTER),
	CRASHTYPE(PAGE_LIST_BLOCK),
	CRASHTYPE(PAGE_LIST_LINK),
	CRASHTYPE(PAGE_LIST_COUNTED),
	CRASHTYPE(PAGE_RECORD_PRIMARY),
	CRASHTYPE(PAGE_RECORD_SECONDARY),
	CRASHTYPE(PAGE_RECORD_PAIR),
	CRASHTYPE(PAGE_RECORD_ENTRY),
	CRASHTYPE(PAGE_RECORD_NO_ENTRY),
	CRASHTYPE(PAGE_RECORD_ROOT),
	CRASHTYPE(PAGE_RECORD_FRAME),
	CRASHTYPE(PAGE_STATE),
};

struct crashtype_category page_consistency_crashtypes = {
	.crashtypes = crashtypes,
	.len	    = ARRAY_SIZE(crashtypes),
};
