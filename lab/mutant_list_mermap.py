# SPDX-License-Identifier: GPL-2.0
"""More breakages of make mutants: the mermap.

What a TLB keeps is seen only where something else does not flush it first, so a killer of a
missing flush looks at one page, with interrupts off.
"""

from lab.mutant_list import mutant
from lab.mutant_list_mm_local import MUTANTS

__all__ = ["MUTANTS"]

MERMAP = "mm/mermap.c"
TYPES = "include/linux/mermap_types.h"
X86_MERMAP = "arch/x86/include/asm/mermap.h"
DEBUG = "mm/mermap_debug.c"
FORK = "kernel/fork.c"

KUNIT = "kunit x86-mermap"
KUNIT_DEBUG = "kunit x86-debug"
ONE, TASKS, FOUND = "mermap.", "mermap_tasks.", "mermap_debug."

# --- translations --------------------------------------------------------------------

mutant("rewind-without-a-flush", KUNIT, ONE + "rewound_area_shows_new_pages", (
    X86_MERMAP,
    "	flush_tlb_local();\n",
    ""))

mutant("flush-at-each-put", KUNIT, ONE + "area_is_used_again_after_one_flush", (
    MERMAP,
    "	/* Now others may have the range. */\n",
    "	arch_mermap_flush_local();\n"))

mutant("reserve-without-invlpg", KUNIT, ONE + "reserve_shows_the_page_of_each_use", (
    X86_MERMAP,
    "	invlpg(addr);\n",
    ""))

mutant("sync-of-this-cpu-only", KUNIT, TASKS + "no_translation_survives_a_sync", (
    MERMAP,
    "	flush_tlb_all();\n",
    "	arch_mermap_flush_local();\n"))

mutant("sync-that-never-is-needed", KUNIT, ONE + "sync_is_skipped_when_nothing_was_put", (
    MERMAP,
    "	this_cpu_write(mermap_unsynced, 1);\n	/* Now",
    "	/* Now"))

mutant("sync-that-is-never-skipped", KUNIT, ONE + "sync_is_skipped_when_nothing_was_put", (
    MERMAP,
    "			unsynced |= xchg(flag, 0);\n",
    "			unsynced |= *flag;\n"))

mutant("sync-does-not-wait-for-another", KUNIT, TASKS + "sync_waits_for_one_at_work", (
    MERMAP,
    "	guard(mutex)(&mermap_sync_mutex);\n",
    ""))

mutant("sync-flushes-before-it-looks", KUNIT,
       TASKS + "what_is_put_during_a_sync_waits_for_the_next", (
           MERMAP,
           "	mermap_flush_all();\n	mermap_debug_sync_end();\n",
           "	mermap_flush_all();\n	mermap_take_unsynced();\n	mermap_debug_sync_end();\n"))

mutant("global-mappings", KUNIT, ONE + "entries_are_of_the_right_kind", (
    X86_MERMAP,
    "	return __pgprot(prot & ~_PAGE_GLOBAL & __supported_pte_mask);\n",
    "	return __pgprot((prot | _PAGE_GLOBAL) & __supported_pte_mask);\n"))

mutant("executable-mappings", KUNIT, ONE + "entries_are_of_the_right_kind", (
    X86_MERMAP,
    "	return __pgprot(prot & ~_PAGE_GLOBAL & __supported_pte_mask);\n",
    "	return __pgprot(prot & ~_PAGE_GLOBAL & ~_PAGE_NX);\n"))

mutant("read-only-is-writable", KUNIT, ONE + "read_only_mapping_cannot_be_written", (
    X86_MERMAP,
    "pgprot_val(access == MERMAP_RW ? PAGE_KERNEL : PAGE_KERNEL_RO)",
    "pgprot_val(access == MERMAP_RW ? PAGE_KERNEL : PAGE_KERNEL)"))

# --- areas ---------------------------------------------------------------------------

mutant("ordinary-get-takes-the-reserved-page", KUNIT,
       ONE + "area_can_be_filled_from_edge_to_edge", (
           TYPES,
           "#define MERMAP_LIMIT		(MERMAP_RESERVE - MERMAP_GUARD)\n",
           "#define MERMAP_LIMIT		(MERMAP_RESERVE + 1 - MERMAP_GUARD)\n"))

mutant("area-one-page-short", KUNIT, ONE + "area_can_be_filled_from_edge_to_edge", (
    MERMAP,
    "	if (unlikely(first + nr > MERMAP_LIMIT)) {\n",
    "	if (unlikely(first + nr >= MERMAP_LIMIT)) {\n"), (
    MERMAP,
    "		if (first + nr > MERMAP_LIMIT)\n			return NULL;\n",
    "		if (first + nr >= MERMAP_LIMIT)\n			return NULL;\n"))

mutant("rewind-below-a-live-mapping", KUNIT, ONE + "live_mapping_survives_rewinds", (
    MERMAP,
    "		if (READ_ONCE(alloc->nr))\n			first = max(",
    "		if (!alloc)\n			first = max("))

mutant("rewind-although-nothing-fits", KUNIT, ONE + "without_room_only_the_reserve_is_left", (
    MERMAP,
    "	if (first + nr > MERMAP_LIMIT)\n		return first;\n\n",
    ""))

mutant("put-leaves-the-last-entry", KUNIT, ONE + "every_page_of_a_run_is_mapped", (
    MERMAP,
    "		set_pte(ptep, __pte(0));\n	} while (++ptep != end);\n",
    "		set_pte(ptep, __pte(0));\n	} while (++ptep < end - 1);\n"))

mutant("areas-of-two-cpus-overlap", KUNIT, ONE + "areas_of_the_cpus_do_not_touch", (
    MERMAP,
    "	area->base = MERMAP_BASE_ADDR + cpu * MERMAP_AREA_SIZE;\n",
    "	area->base = MERMAP_BASE_ADDR + cpu / 2 * MERMAP_AREA_SIZE;\n"))

mutant("migration-stays-disabled", KUNIT, ONE + "nested_mappings_are_apart", (
    MERMAP,
    "	if (likely(alloc != &area->reserve))\n		migrate_enable();\n",
    ""))

mutant("interrupt-may-map", KUNIT, ONE + "interrupt_gets_nothing", (
    MERMAP,
    "	if (unlikely(!in_task() || !mm))\n",
    "	if (unlikely(!mm))\n"))

mutant("temporary-mm-not-noticed", KUNIT, ONE + "temporary_mm_gets_nothing", (
    X86_MERMAP,
    "	return this_cpu_read(cpu_tlbstate.loaded_mm) == mm;\n",
    "	return mm;\n"))

# --- mms that come and go --------------------------------------------------------------

mutant("child-with-its-parents-areas", KUNIT, TASKS + "forked_child_starts_empty", (
    FORK,
    "	mermap_mm_init(mm);\n",
    ""))

mutant("second-prepare-replaces-the-first", KUNIT, TASKS + "racing_prepares_leave_one", (
    MERMAP,
    "	if (err || cmpxchg_release(&mm->mermap, NULL, mermap))\n",
    "	if (!err)\n		WRITE_ONCE(mm->mermap, mermap);\n	if (err)\n"))

mutant("prepared-although-it-failed", KUNIT, TASKS + "prepare_can_be_repeated_after_failure", (
    MERMAP,
    "	if (err || cmpxchg_release(&mm->mermap, NULL, mermap))\n",
    "	if (cmpxchg_release(&mm->mermap, NULL, mermap))\n"))

mutant("mermap-in-the-kernels-own-mm", KUNIT, ONE + "kernel_has_no_mermap", (
    "arch/x86/include/asm/mm_local.h",
    "	return mm != &init_mm && ",
    "	return "))

mutant("mermap-outlives-the-mm", KUNIT, TASKS + "page_tables_go_with_the_mm", (
    "mm/mmap.c",
    "	mermap_mm_exit(mm);\n",
    ""))

# --- MERMAP_DEBUG ------------------------------------------------------------------------

mutant("no-guard-pages", KUNIT_DEBUG, FOUND + "pages_beside_a_mapping_are_unmapped", (
    TYPES,
    "#define MERMAP_GUARD		(IS_ENABLED(CONFIG_MERMAP_DEBUG) ? 1 : 0)\n",
    "#define MERMAP_GUARD		0\n"))

mutant("sync-covers-what-is-put-during-it", KUNIT_DEBUG,
       FOUND + "sync_does_not_cover_what_is_put_during_it", (
           DEBUG,
           "	return old & ~MERMAP_SYNCING;\n",
           "	return old & ~(MERMAP_SYNCING | MERMAP_PUT);\n"))

mutant("sync-forgets-live-mappings", KUNIT_DEBUG,
       FOUND + "page_mapped_twice_is_mapped_until_both_are_put", (
           DEBUG,
           "	return old & ~MERMAP_SYNCING;\n",
           "	return 0;\n"))

mutant("only-the-first-page-of-a-block-is-looked-at", KUNIT_DEBUG,
       FOUND + "one_page_of_a_block_is_enough", (
           DEBUG,
           "		if (likely(!old) || (old & MERMAP_LIVE) == MERMAP_LIVE)\n			continue;\n",
           "		if (likely(!old) || (old & MERMAP_LIVE) == MERMAP_LIVE)\n			break;\n"))

mutant("task-leak-not-counted", KUNIT_DEBUG,
       FOUND + "mapping_left_on_the_way_to_user_mode_is_reported", (
           DEBUG,
           "	current->mermap_held++;\n",
           ""))

mutant("who-puts-is-not-asked", KUNIT_DEBUG, FOUND + "mapping_put_by_another_task_is_reported", (
    DEBUG,
    "	if (alloc->owner != current)\n",
    "	if (!alloc->owner)\n"))

mutant("mapping-outlives-its-mm", KUNIT_DEBUG, FOUND + "mapping_left_in_an_mm_is_reported", (
    MERMAP,
    "	this_cpu_write(mermap_unsynced, 1);\n	alloc->nr = 0;\n",
    "	this_cpu_write(mermap_unsynced, 1);\n"))

mutant("who-comes-next-is-blamed", KUNIT_DEBUG, FOUND + "who_gets_the_page_next_is_not_blamed", (
    DEBUG,
    "mermap_byte_reported(u8 old)\n{\n	return 0;\n",
    "mermap_byte_reported(u8 old)\n{\n	return old & MERMAP_LIVE;\n"))

# --- what more than one task, CPU or mm has to do with ---------------------------------

mutant("published-before-it-is-complete", KUNIT, TASKS + "racing_prepares_leave_one", (
    MERMAP,
    "	mermap->nr_areas = nr_cpu_ids;\n",
    "	mermap->nr_areas = nr_cpu_ids;\n	cmpxchg_release(&mm->mermap, NULL, mermap);\n"), (
    MERMAP,
    "	if (err || cmpxchg_release(&mm->mermap, NULL, mermap))\n",
    "	if (err)\n"))

mutant("sync-of-one-mm-only", KUNIT, TASKS + "no_translation_survives_a_sync", (
    MERMAP,
    "	flush_tlb_all();\n",
    "	if (current->mm)\n		flush_tlb_mm(current->mm);\n"))

mutant("sync-forgets-cpus-that-are-offline", KUNIT,
       TASKS + "sync_knows_of_a_cpu_that_went_offline", (
           MERMAP,
           "	for_each_possible_cpu(cpu) {\n		unsigned int *flag",
           "	for_each_online_cpu(cpu) {\n		unsigned int *flag"))

mutant("reserve-without-the-mm-loaded", KUNIT, ONE + "reserve_is_refused_without_right", (
    MERMAP,
    "	area = likely(mermap) ? mermap_this_area(mermap) : NULL;\n",
    "	area = likely(mermap) ? &mermap->areas[smp_processor_id()] : NULL;\n"))

mutant("late-put-stays-where-it-is", KUNIT_DEBUG, FOUND + "mapping_left_in_an_mm_is_reported", (
    MERMAP,
    "		if (!area->mm && alloc != &area->reserve)\n			migrate_enable();\n",
    ""))

mutant("allocation-is-not-looked-at", KUNIT_DEBUG,
       FOUND + "page_mapped_after_it_was_freed_is_reported", (
           DEBUG,
           "	mermap_debug_look(page, order, MERMAP_LENT, MERMAP_LENT);\n",
           ""))

mutant("way-to-user-mode-is-not-looked-at", "boot x86-debug",
       "mermap:a mapping that is left on the way to user mode*", (
           "include/linux/irq-entry-common.h",
           "	mermap_assert_nomap();\n",
           ""))

mutant("memory-that-comes-is-not-watched", "boot x86-debug",
       "mermap:memory that comes later*", (
           DEBUG,
           "	if (action != MEM_GOING_ONLINE)\n",
           "	if (action != MEM_CANCEL_ONLINE)\n"))

mutant("reported-mapping-is-put-as-if-it-were-not", KUNIT_DEBUG,
       FOUND + "who_gets_the_page_next_is_not_blamed", (
           DEBUG,
           "	if (!(old & MERMAP_LIVE))\n		return old;\n	if ((old & MERMAP_LIVE) != MERMAP_LIVE)\n",
           "	if ((old & MERMAP_LIVE) && (old & MERMAP_LIVE) != MERMAP_LIVE)\n"))

mutant("allocator-does-not-ask-the-mermap", "boot x86-debug",
       "mermap:a page that is allocated while it is mapped*", (
           "mm/page_alloc.c",
           "	mermap_debug_alloc(page, order);\n",
           ""))
