# SPDX-License-Identifier: GPL-2.0
"""Breakages of what a page says of its use, of the report, and of the checker's own state."""

from lab.mutant_list import (ALLOC, AUDIT, BLOCK, BOOT, CORE, LISTS, REPORT, SCRUB, SECTION,
                              UML, X86, mutant)
from lab.mutant_list_mermap import MUTANTS

STATE = "mm/page_consistency/state.c"
INJECT = "mm/page_consistency/inject.c"
CULPRIT = "mm/page_consistency/culprit.c"
FRAG = "mm/page_frag_cache.c"
PAGE = "mm/page_consistency/page.h"
SUITE = "page_consistency_use."
SCRUBS = "page_consistency_scrub."
DRIVERS = "replay:mistakes_of_drivers_stop_the_kernel"

__all__ = ["MUTANTS"]

# --- frees of what has an owner --------------------------------------------------------

mutant("count-of-a-page-not-asked", UML, SUITE + "counted_page_is_not_freed", (
    CORE,
    "	if (unlikely(pc_telling_flags(page) || pc_use(page) != PC_UNUSED || pc_is_tail(page))) {\n",
    "	if (unlikely(pc_telling_flags(page) || pc_is_tail(page))) {\n"))

mutant("count-of-a-block-not-asked", UML, SUITE + "counted_page_is_not_freed", (
    CORE,
    "	if (unlikely(pc_use(page) != PC_UNUSED))\n		return false;\n	if (flags)\n",
    "	if (flags)\n"))

mutant("tails-not-asked", UML, SUITE + "counted_page_is_not_freed", (
    CORE,
    "	return !pc_is_tail(page) && pc_first_used(page, 1, 1UL << order) == 1UL << order;\n",
    "	return !pc_is_tail(page);\n"))

mutant("last-tail-not-asked", UML, SUITE + "counted_page_is_not_freed", (
    CORE,
    "	return !pc_is_tail(page) && pc_first_used(page, 1, 1UL << order) == 1UL << order;\n",
    "	return !pc_is_tail(page) &&\n"
    "	       pc_first_used(page, 1, (1UL << order) - 1) == (1UL << order) - 1;\n"))

mutant("type-of-a-page-not-asked", UML, SUITE + "typed_page_is_freed_only_if_its_type_stays", (
    CORE,
    "	    (pc_use(page) != PC_UNUSED && !pc_type_may_be_freed(page)))\n",
    "	    0)\n"))

mutant("zsmalloc-page-not-freed", UML, SUITE + "typed_page_is_freed_only_if_its_type_stays", (
    PAGE,
    "	return PageOffline(page) || PageZsmalloc(page);\n",
    "	return PageOffline(page);\n"))

mutant("balloon-page-not-freed", UML, SUITE + "typed_page_is_freed_only_if_its_type_stays", (
    PAGE,
    "	return PageOffline(page) || PageZsmalloc(page);\n",
    "	return PageZsmalloc(page);\n"))

mutant("compound-order-not-compared", UML, SUITE + "compound_block_is_freed_as_a_whole", (
    CORE,
    "		return flags == BIT(PG_head) && pc_compound_order(page) == order;\n",
    "		return flags == BIT(PG_head);\n"))

mutant("half-of-a-compound-block-freed", BOOT, DRIVERS, (
    CORE,
    "	if (pc_is_tail(page) || (PageHead(page) && pc_compound_order(page) != order))\n",
    "	if (pc_is_tail(page))\n"))

mutant("tail-page-freed", UML, SUITE + "compound_block_is_freed_as_a_whole", (
    CORE,
    "pc_use(page) != PC_UNUSED || pc_is_tail(page))) {\n",
    "pc_use(page) != PC_UNUSED)) {\n"))

mutant("use-before-the-record", UML, SUITE + "record_has_the_first_word", (
    CORE,
    "	if (!pc_free_sections(page, order))\n		return false;\n	if (likely(violation",
    "	if (violation == PC_NR_VIOLATIONS && !pc_free_sections(page, order))\n"
    "		return false;\n	if (likely(violation"))

mutant("refused-block-left-inside", UML, SUITE + "counted_page_is_not_freed", (
    CORE,
    "	pc_alloc_sections(page, order);\n	pc_misused(PC_TAKE_BACK,",
    "	pc_misused(PC_TAKE_BACK,"))

mutant("first-page-named-instead-of-the-wrong-one", UML, SUITE + "first_wrong_page_is_named", (
    CORE,
    "			report->wrong = pc_wrong_pfn(report, fault) - report->pfn;\n",
    "			report->wrong = 0 * pc_wrong_pfn(report, fault);\n"))

# --- puts, and what they leave behind ----------------------------------------------------

mutant("put-below-zero-not-looked-at", BOOT, DRIVERS, (
    ALLOC,
    "	else if (!page_consistency_put(page, order))\n		return;\n",
    ""))

mutant("count-below-zero-not-looked-at-without-the-checker", BOOT,
       "paths:second free is reported without*", (
           ALLOC,
           "	else if (unlikely(page_ref_count(page) < 0)) {\n",
           "	else if (0) {\n"))

mutant("order-of-a-deferred-free-stays", BOOT, "paths:upper half freed*", (
    ALLOC,
    "			p->private = 0;\n",
    ""))

mutant("put-of-a-fragment-not-looked-at", BOOT, DRIVERS, (
    FRAG,
    "	if (unlikely(put_page_testzero(page)))\n"
    "		free_frozen_pages(page, compound_order(page));\n	else\n"
    "		page_consistency_put(page, 0);\n",
    "	if (unlikely(put_page_testzero(page)))\n"
    "		free_frozen_pages(page, compound_order(page));\n"))

mutant("put-below-zero-not-taken-back", UML,
       SUITE + "put_below_zero_is_reported_and_taken_back", (
           CORE,
           "	atomic_cmpxchg(&page->_refcount, count, count + 1);\n",
           ""))

mutant("count-zero-taken-for-a-mistake", UML,
       SUITE + "put_below_zero_is_reported_and_taken_back", (
           CORE,
           "	if (likely(count >= 0))\n",
           "	if (likely(count > 0))\n"))

mutant("count-not-asked-at-hand-out", UML,
       SUITE + "counted_page_is_reported_when_it_is_handed_out", (
           CORE,
           "	if (unlikely(pc_use(page) != PC_UNUSED))\n		pc_counted_alloc(page, order);\n",
           ""))

mutant("count-left-at-hand-out", UML, SUITE + "counted_page_is_reported_when_it_is_handed_out", (
    CORE,
    "	set_page_count(page, 0);\n	page->page_type = UINT_MAX;\n",
    ""))

mutant("count-of-a-listed-block-not-asked", UML,
       "page_consistency_lists.listed_page_with_references_is_reported", (
           BLOCK,
           "	if (unlikely(pc_use(page) != PC_USE_BUDDY || page_private(page) != order))\n",
           "	if (unlikely(data_race(page->page_type) != (u32)PGTY_buddy << 24 ||\n"
           "		     page_private(page) != order))\n"))

mutant("count-on-a-per-cpu-list-not-asked", UML,
       "page_consistency_pcp.listed_page_with_references_is_reported", (
           LISTS,
           "	if (unlikely(pc_use(page) != PC_UNUSED))\n		return PC_COUNTED;\n",
           ""))

mutant("audit-without-the-tails", UML, SCRUBS + "page_with_references_in_a_free_block_is_found", (
    AUDIT,
    " ||\n	    !pc_prove_tails(page, order, &bad)) {\n",
    ") {\n"))

mutant("audit-of-cpu-lists-without-the-count", UML,
       SCRUBS + "page_with_references_on_a_cpu_list_is_found", (
           AUDIT,
           "		if (pc_use(page) != PC_UNUSED) {\n",
           "		if (0) {\n"))

# --- the checker's own state ---------------------------------------------------------------

mutant("absent-entry-of-an-online-section", X86, SUITE + "entry_of_an_online_section_is_never_absent", (
    SECTION,
    "	return pc_must_be_tracked(store, section) ? PC_BAD_ENTRY : PC_BAD_POINTER;\n",
    "	return PC_BAD_POINTER;\n"))

mutant("tracked-sections-not-counted", X86, SUITE + "damaged_state_is_reported", (
    SECTION,
    "	return found == pc_store.tracked;\n",
    "	return true;\n"))

mutant("shared-entries-not-looked-at", UML, SUITE + "damaged_state_is_reported", (
    SECTION,
    "	if (memchr_inv(absent, 0, PAGE_SIZE))\n",
    "	if (0)\n"))

mutant("held-allocations-not-looked-at", UML, SUITE + "damaged_state_is_reported", (
    STATE,
    "	if (READ_ONCE(page_consistency_hold_nolock))\n",
    "	if (0)\n"))

mutant("guard-believed", BOOT, "own_state:a CPU that reports already, and then a mistake", (
    REPORT,
    "	if (panic_on_this_cpu())\n		return;\n",
    "	if (panic_on_this_cpu() || __this_cpu_read(pc_reporting))\n		return;\n"))

mutant("policy-believed", BOOT, "own_state:the policy, and then a mistake", (
    REPORT,
    "	return !(pc_policy == PC_POLICY_REPORT && pc_policy_inverse == ~PC_POLICY_REPORT);\n",
    "	return pc_policy != PC_POLICY_REPORT;\n"))

mutant("latency-not-limited", BOOT, "own_state:a lock of the scrubber, so that it waits for ever", (
    SCRUB,
    "	if (pc_scrub_is_too_late(ktime_get_ns()))\n",
    "	if (0)\n"))

mutant("what-was-too-late-is-forgotten", BOOT, "scrub:what was too late stays in the exported latency", (
    SCRUB,
    "	pc_scrub_stats.longest_ns = max(pc_scrub_stats.longest_ns, now - pc_scrub_stats.seen);\n"
    "	pc_scrub_stats.seen = now;\n",
    "	pc_scrub_stats.longest_ns = 0;\n"
    "	pc_scrub_stats.seen = now;\n"))

mutant("incomplete-pass-counted", UML, SCRUBS + "reached_hooks_are_not_reported", (
    SCRUB,
    "		result->proofs += 2;\n",
    "		result->proofs += 1;\n"))

mutant("detector-that-does-not-fire", UML, SUITE + "sound_state_is_silent", (
    CORE,
    "	if (unlikely(pc_telling_flags(page) || pc_use(page) != PC_UNUSED || pc_is_tail(page))) {\n",
    "	if (0) {\n"))

mutant("self-test-not-run", BOOT, "own_state:all that is in force can be read at once", (
    INJECT,
    "	if (!page_consistency_on())\n		return 0;\n	for (fault",
    "	return 0;\n	for (fault"))

# --- the report ------------------------------------------------------------------------------

mutant("allocator-blamed", BOOT, DRIVERS, (
    CULPRIT,
    "		if (!pc_in_allocator(stack[i]))\n",
    "		if (i)\n"))

mutant("wiped-link-is-no-link", UML, "page_consistency_lists.wiped_list_head_is_reported_as_a_link", (
    LISTS,
    "		.link = link, .has_link = true,\n",
    "		.link = link, .has_link = link,\n"))
