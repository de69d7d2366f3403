# SPDX-License-Identifier: GPL-2.0
"""More breakages of make mutants: the memmap, memory that fails, device memory."""

from lab.mutant_list import BOOT, UML, X86, mutant
from lab.mutant_list_lists import MUTANTS

__all__ = ["MUTANTS"]

HARDWARE = "mm/page_consistency/hardware.c"
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
