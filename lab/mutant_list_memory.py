# SPDX-License-Identifier: GPL-2.0
"""More breakages of make mutants: the memmap, memory that fails, device memory."""

from lab.mutant_list import ALLOC, BITMAP, BOOT, CORE, UML, X86, mutant
from lab.mutant_list_lists import MUTANTS

__all__ = ["MUTANTS"]

HARDWARE = "mm/page_consistency/hardware.c"
POISON = "mm/page_consistency/poison.c"
MEMMAP = "mm/page_consistency/memmap.h"
FAILURE = "mm/memory-failure.c"
REMAP = "mm/memremap.c"
DAX = "drivers/dax/bus.c"

# --- the memmap, and the hardware ------------------------------------------------

mutant("safe-order-one-too-large", UML,
       "page_consistency_memmap.safe_order_is_the_largest_that_is_aligned", (
           MEMMAP,
           "	return max(-1, min(max, bits - ilog2(size)));\n",
           "	return max(-1, min(max, bits - ilog2(size) + 1));\n"))

mutant("struct-page-of-another-pfn-accepted", UML,
       "page_consistency_memmap.struct_page_of_another_pfn_is_told_apart", (
           MEMMAP,
           "	return pc_is_page(page, &found) && found == pfn;\n",
           "	return pc_is_page(page, &found);\n"))

FAILED = "page_consistency_hardware."
mutant("failed-frame-is-followed", X86, FAILED + "failed_frame_is_not_followed", (
    HARDWARE,
    "			else if (part != PC_PART_ENTRIES && pc_frame_of(root) != pfn &&\n",
    "			else if (part != PC_PART_ENTRIES &&\n"))

mutant("root-of-one-copy-believed", X86, FAILED + "failed_frame_is_not_followed", (
    HARDWARE,
    "	if (first != second || !PAGE_ALIGNED(first) ||",
    "	if (!PAGE_ALIGNED(first) ||"))

mutant("copies-mistaken-for-each-other", X86, FAILED + "each_part_is_recognised", (
    HARDWARE,
    "	bool secondary = frame->part == PC_PART_SECONDARY;\n",
    "	bool secondary = frame->part == PC_PART_PRIMARY;\n"))

mutant("other-copy-failed-unseen", X86, FAILED + "other_copy_that_has_failed_is_told", (
    HARDWARE,
    "		if (PageHWPoison(pfn_to_page(pfn)))\n			return pfn;\n",
    "		if (!pfn_to_page(pfn))\n			return pfn;\n"))

mutant("other-copy-not-compared", X86, FAILED + "other_copy_that_contradicts_the_lists_is_told", (
    HARDWARE,
    "			if (!pc_array_agrees(array, secondary, pfn, order))\n				return false;\n",
    ""))

mutant("corrected-errors-reported", X86, FAILED + "corrected_errors_are_no_violation", (
    HARDWARE,
    "		if (soft)\n			pr_warn",
    "		if (!part && soft)\n			pr_warn"))

mutant("drop-the-hook-of-memory-failure", BOOT, "memory_failure:primary bitmap*", (
    FAILURE,
    "	page_consistency_memory_failure(pfn, false);\n",
    ""))

mutant("secondary-in-failed-memory-not-known", BOOT, "memory_failure:secondary bitmap*", (
    HARDWARE,
    "	bool secondary = frame->part == PC_PART_SECONDARY;\n",
    "	bool secondary = false;\n"))

mutant("entries-in-failed-memory-not-known", BOOT, "memory_failure:table entries*", (
    HARDWARE,
    "			if (part == PC_PART_ENTRIES && pc_frame_of(root) == pfn)\n",
    "			if (part == PC_PART_ENTRIES && pc_frame_of(root) + 1 == pfn)\n"))

mutant("roots-in-failed-memory-not-known", BOOT, "memory_failure:table roots*", (
    HARDWARE,
    "		pc_find_pointers(store, store->roots, frame);\n",
    "		pc_find_pointers(store, store->inverted, frame);\n"))

mutant("inverted-roots-in-failed-memory-not-known", BOOT, "memory_failure:inverted table roots*", (
    HARDWARE,
    "		pc_find_pointers(store, store->inverted, frame);\n",
    "		pc_find_pointers(store, store->roots, frame);\n"))

mutant("all-memory-is-the-records", BOOT, "memory_failure:other memory*", (
    HARDWARE,
    "	return in_range(pfn, pc_frame_of(p), pc_frame_of(p + bytes - 1) - pc_frame_of(p) + 1);\n",
    "	return pfn <= pc_frame_of(p + bytes - 1);\n"))

mutant("failed-copy-called-intact", BOOT, "memory_failure:page_consistency=report*", (
    HARDWARE,
    "		if (PageHWPoison(pfn_to_page(pfn)))\n			return pfn;\n",
    "		if (PageHWPoison(pfn_to_page(pfn)))\n			continue;\n"))

# --- pages that have failed, in blocks of any order ---------------------------------

MARKED = "page_consistency_poison."
DRIVER = "memory_failure:memory that fails in blocks of a driver*"
HUGE = "memory_failure:memory that fails in huge pages"
mutant("marked-page-stays-its-owners", X86, MARKED + "page_in_use_is_nobodys_while_it_is_marked", (
    POISON,
    "		if (pc_turn(page, false) || is_free_buddy_page(page))\n",
    "		if (is_free_buddy_page(page))\n"))

mutant("turn-disturbs-a-change-that-is-half-done", UML,
       "dual_bitmap.turn_leaves_alone_what_is_not_in_the_other_state", (
           BITMAP,
           "	else if (step == DUAL_BITMAP_AT_SECONDARY)\n"
           "		test_and_set_bit(bit, map->primary);\n",
           ""))

mutant("mark-excuses-all-of-its-word", X86, MARKED + "free_page_beside_a_marked_one_is_reported", (
    CORE,
    "		if (!PageHWPoison(pfn_to_page(pfn + bit)))\n			return false;\n"
    "	return !(dual_bitmap_bad_bits(fault->primary, fault->secondary) & bad);\n",
    "		if (PageHWPoison(pfn_to_page(pfn + bit)))\n			return true;\n"
    "	return false;\n"))

mutant("mark-excuses-the-words-behind", X86, MARKED + "free_page_beside_a_marked_one_is_reported", (
    CORE,
    "		pfn += BITS_PER_LONG;\n		if (pfn >= end)\n",
    "		pfn += BITS_PER_LONG;\n		if (pfn)\n"))

mutant("mark-excuses-damage", X86, MARKED + "damage_of_a_marked_page_is_reported", (
    CORE,
    "	return !(dual_bitmap_bad_bits(fault->primary, fault->secondary) & bad);\n",
    "	return true;\n"))

mutant("mark-excuses-what-was-put-back", X86,
       MARKED + "mark_is_no_excuse_for_a_page_that_was_put_back_before", (
           POISON,
           "	pc_conclude(&report, found ? &fault : NULL);\n	return false;\n",
           "	return false;\n"))

mutant("page-kept-out-stays-inside", X86,
       MARKED + "marked_page_is_kept_out_of_a_block_that_is_freed", (
           ALLOC,
           "		page_consistency_keep_out(page);\n",
           ""))

mutant("page-kept-out-has-no-reference", X86,
       MARKED + "marked_page_is_kept_out_of_a_block_that_is_freed", (
           ALLOC,
           "		if (failed)\n			set_page_refcounted(page + i);\n",
           ""))

mutant("drop-the-hook-where-a-page-is-marked", BOOT, DRIVER, (
    FAILURE,
    "	}\n	page_consistency_poisoned(p);\n",
    "	}\n"))

mutant("pages-before-the-failed-one-are-lost", BOOT, DRIVER, (
    ALLOC,
    "		free_prepared_pages(page + start, i - start);\n		start = i + 1;\n",
    "		start = i + 1;\n"))

mutant("unpoisoned-page-stays-nobodys", BOOT,
       "memory_failure:memory that fails in a block, and unpoisoned*", (
           FAILURE,
           "		page_consistency_unpoisoned(p);\n		ret = folio_test_clear_hwpoison",
           "		ret = folio_test_clear_hwpoison"))

mutant("filtered-page-stays-nobodys", BOOT,
       "memory_failure:memory that fails, about which nothing is to be done", (
           FAILURE,
           "		page_consistency_unpoisoned(p);\n		ClearPageHWPoison(p);\n",
           "		ClearPageHWPoison(p);\n"))

mutant("mark-of-a-page-of-the-pool-not-told", BOOT, HUGE, (
    FAILURE,
    "			page_consistency_disown(p->page);\n",
    ""))

mutant("page-kept-out-is-looked-for-on-free-lists", BOOT, HUGE, (
    FAILURE,
    "		ret = page_consistency_kept_out(page) || take_page_off_buddy(page);\n",
    "		ret = take_page_off_buddy(page);\n"))

mutant("single-page-stays-nobodys", BOOT, HUGE, (
    FAILURE,
    "	page_consistency_keep_out(p);\n",
    ""))

# --- what the series repairs elsewhere --------------------------------------------

ALIGNED = "memremap.only_aligned_folios_are_made"
mutant("folios-start-anywhere", X86, ALIGNED, (
    REMAP,
    "		if (IS_ALIGNED(pfn_first(pgmap, i) | pfn_end(pgmap, i), pgmap_vmemmap_nr(pgmap)))\n",
    "		if (IS_ALIGNED(pfn_end(pgmap, i), pgmap_vmemmap_nr(pgmap)))\n"))

mutant("folios-end-anywhere", X86, ALIGNED, (
    REMAP,
    "		if (IS_ALIGNED(pfn_first(pgmap, i) | pfn_end(pgmap, i), pgmap_vmemmap_nr(pgmap)))\n",
    "		if (IS_ALIGNED(pfn_first(pgmap, i), pgmap_vmemmap_nr(pgmap)))\n"))

mutant("dax-aligns-lengths-only", BOOT, "dax:align=1G is refused*", (
    DAX,
    "	return IS_ALIGNED(start | size, dev_dax->align);\n",
    "	return IS_ALIGNED(size, dev_dax->align);\n"))
