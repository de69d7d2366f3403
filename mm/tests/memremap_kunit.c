// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of memremap_pages(): what it may make folios of, and where the tail
 * pages of these folios lead.  The memory is device private, so there need not be any.
 */

#include <kunit/test.h>
#include <linux/err.h>
#include <linux/ioport.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/numa.h>

/* A folio is two subsections large: one is the least that can be mapped. */
#define ORDER		(SUBSECTION_SHIFT - PAGE_SHIFT + 1)
#define HALF		((u64)SUBSECTION_SIZE)

static vm_fault_t never_migrate(struct vm_fault *vmf)
{
	return VM_FAULT_SIGBUS;
}

static void never_free(struct folio *folio)
{
}

static const struct dev_pagemap_ops ops = {
	.migrate_to_ram = never_migrate,
	.folio_free = never_free,
};

struct ranges {
	const char *what;
	unsigned int order;
	unsigned int nr;
	/* In halves of a folio, from the start of the memory. */
	struct { unsigned int start, length; } range[2];
	int error;
};

static const struct ranges ranges[] = {
	{ "one folio", ORDER, 1, { { 0, 2 } }, 0 },
	{ "folios that start later", ORDER, 1, { { 2, 4 } }, 0 },
	{ "folios in two ranges", ORDER, 2, { { 0, 2 }, { 4, 4 } }, 0 },
	{ "single pages that start anywhere", 0, 1, { { 1, 2 } }, 0 },
	{ "start inside a folio", ORDER, 1, { { 1, 3 } }, -EINVAL },
	{ "end inside a folio", ORDER, 1, { { 0, 3 } }, -EINVAL },
	{ "both ends inside a folio", ORDER, 1, { { 1, 2 } }, -EINVAL },
	{ "second range starts inside a folio", ORDER, 2, { { 0, 2 }, { 3, 3 } }, -EINVAL },
};

static void ranges_name(const struct ranges *ranges, char *name)
{
	strscpy(name, ranges->what, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(ranges, ranges, ranges_name);

static void expect_heads(struct kunit *test, const struct range *range, unsigned int order)
{
	unsigned long pfn, wrong = 0;
	struct page *head;

	for (pfn = PHYS_PFN(range->start); pfn <= PHYS_PFN(range->end); pfn++) {
		head = pfn_to_page(PHYS_PFN(range->start) +
				   round_down(pfn - PHYS_PFN(range->start), 1UL << order));
		wrong += compound_head(pfn_to_page(pfn)) != head;
	}
	KUNIT_EXPECT_EQ_MSG(test, wrong, 0, "pages of 0x%llx-0x%llx that lead to no head of theirs",
			    range->start, range->end);
}

static void only_aligned_folios_are_made(struct kunit *test)
{
	const struct ranges *wish = test->param_value;
	struct dev_pagemap *pgmap;
	struct resource *memory;
	void *mapped;
	int i;

	pgmap = kunit_kzalloc(test, struct_size(pgmap, ranges, ARRAY_SIZE(wish->range)),
			      GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pgmap);
	memory = request_free_mem_region(&iomem_resource, 8 * HALF, "memremap_kunit");
	KUNIT_ASSERT_FALSE(test, IS_ERR(memory));
	KUNIT_EXPECT_TRUE(test, IS_ALIGNED(memory->start, 2 * HALF));

	pgmap->type = MEMORY_DEVICE_PRIVATE;
	pgmap->ops = &ops;
	pgmap->owner = pgmap;
	pgmap->vmemmap_shift = wish->order;
	pgmap->nr_range = wish->nr;
	for (i = 0; i < wish->nr; i++) {
		pgmap->ranges[i].start = memory->start + wish->range[i].start * HALF;
		pgmap->ranges[i].end = pgmap->ranges[i].start + wish->range[i].length * HALF - 1;
	}

	mapped = memremap_pages(pgmap, NUMA_NO_NODE);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(mapped), wish->error);
	if (!IS_ERR(mapped)) {
		for (i = 0; i < wish->nr; i++)
			expect_heads(test, &pgmap->ranges[i], wish->order);
		memunmap_pages(pgmap);
	}
	release_mem_region(memory->start, resource_size(memory));
}

static struct kunit_case memremap_cases[] = {
	KUNIT_CASE_PARAM(only_aligned_folios_are_made, ranges_gen_params),
	{ }
};

static struct kunit_suite memremap_suite = {
	.name = "memremap",
	.test_cases = memremap_cases,
};

kunit_test_suite(memremap_suite);

MODULE_DESCRIPTION("KUnit tests of memremap_pages()");
MODULE_LICENSE("GPL");
