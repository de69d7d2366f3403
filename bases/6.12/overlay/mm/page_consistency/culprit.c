// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: who called the page allocator?
 *
 * A report is filed by the function that it names, so that has to be the one which made
 * the mistake, or at least met it: the first on the stack that is not a part of the
 * allocator.  The return address of a hook would always be one of the allocator's.
 */

#include <linux/array_size.h>
#include <linux/kernel.h>
#include <linux/stacktrace.h>
#include <linux/string.h>

#include "report.h"

#define PC_STACK_DEPTH	32

/* The allocator's own names are shorter; what is cut off is none of them. */
#define PC_NAME_BYTES	64

/*
 * Functions that hand pages out, take them back, or move them between lists, for
 * somebody else.  A suffix that the compiler or a wrapper adds does not count.  Those of
 * the checker itself begin with pc_ or page_consistency_.
 */
static const char * const pc_allocator[] = {
	/* handing out */
	"__alloc_pages", "__alloc_pages_slowpath", "__folio_alloc", "alloc_pages",
	"alloc_pages_bulk", "alloc_pages_bulk_array_interleave",
	"alloc_pages_bulk_array_mempolicy", "alloc_pages_bulk_array_preferred_many",
	"alloc_pages_bulk_array_weighted_interleave", "alloc_pages_mpol", "alloc_pages_exact",
	"alloc_pages_exact_nid", "make_alloc_exact", "folio_alloc", "folio_alloc_mpol",
	"vma_alloc_folio", "get_free_pages", "get_zeroed_page", "get_page_from_freelist",
	"__alloc_pages_direct_compact", "post_alloc_hook", "prep_new_page", "rmqueue",
	"rmqueue_buddy", "rmqueue_bulk", "rmqueue_pcplist", "__rmqueue", "__rmqueue_claim",
	"__rmqueue_pcplist", "__rmqueue_smallest", "__rmqueue_steal", "__rmqueue_cma_fallback",
	"page_del_and_expand", "expand", "try_to_claim_block", "alloc_contig_range",
	"__alloc_contig_pages", "alloc_contig_pages", "split_free_pages",
	"__page_frag_alloc_align", "page_frag_alloc_align", "__page_frag_cache_refill",
	"alloc_pages_node",
	/* taking back */
	"__free_pages", "__free_pages_ok", "__free_one_page", "free_pages", "free_pages_exact",
	"free_pages_prepare", "free_unref_page", "free_unref_page_commit", "free_unref_folios",
	"free_one_page", "free_pcppages_bulk", "free_contig_range", "free_reserved_page",
	"free_reserved_area", "__free_pages_core", "memblock_free_pages", "__folio_put",
	"folios_put_refs", "release_pages", "page_frag_free", "__page_frag_cache_drain",
	"page_frag_cache_drain", "put_page_back_buddy", "take_page_off_buddy",
	"break_down_buddy_pages",
	/* moving */
	"__add_to_free_list", "__del_page_from_free_list", "del_page_from_free_list",
	"move_to_free_list", "__move_freepages_block", "move_freepages_block_isolate",
	"move_freepages_block", "__isolate_free_page", "__putback_isolated_page",
	"unreserve_highatomic_pageblock", "reserve_highatomic_pageblock", "drain_pages",
	"drain_pages_zone", "drain_zone_pages", "drain_local_pages", "decay_pcp_high",
};

/* Is @name this one, but for a suffix? */
static bool pc_names(const char *name, const char *function)
{
	size_t len = str_has_prefix(name, function);

	return len && (!name[len] || name[len] == '.' || !strncmp(name + len, "_noprof", 7));
}

static bool pc_in_allocator(unsigned long address)
{
	char name[PC_NAME_BYTES];
	unsigned int i;

	snprintf(name, sizeof(name), "%ps", (void *)address);
	if (str_has_prefix(name, "pc_") || str_has_prefix(name, "page_consistency_") ||
	    str_has_prefix(name, "__page_consistency_"))
		return true;
	for (i = 0; i < ARRAY_SIZE(pc_allocator); i++)
		if (pc_names(name, pc_allocator[i]))
			return true;
	return false;
}

/**
 * pc_culprit - who called the page allocator?
 * @own: nobody did: the checker itself has looked
 *
 * Context: Any, NMI included; from the checker, below a hook.
 * Return: an address in the first function on the stack that is not the allocator's, or,
 *	   with @own, in the one that it called; in the last one that was found, if all are
 *	   the allocator's; 0 without CONFIG_STACKTRACE.
 */
unsigned long pc_culprit(bool own)
{
	unsigned long stack[PC_STACK_DEPTH];
	unsigned int nr = 0, i;

	if (IS_ENABLED(CONFIG_STACKTRACE))
		nr = stack_trace_save(stack, ARRAY_SIZE(stack), 1);
	for (i = 0; i < nr; i++)
		if (!pc_in_allocator(stack[i]))
			return stack[i - (own && i)];
	return nr ? stack[nr - 1] : 0;
}
