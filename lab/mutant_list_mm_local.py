# SPDX-License-Identifier: GPL-2.0
"""More breakages of make mutants: the mm-local region and the LDT's part of it."""

from lab.mutant_list import mutant
from lab.mutant_list_memory import MUTANTS

__all__ = ["MUTANTS"]

LDT = "arch/x86/kernel/ldt.c"
PGTABLE = "arch/x86/mm/pgtable.c"
TYPES = "arch/x86/include/asm/pgtable_64_types.h"
HEADER = "arch/x86/include/asm/mm_local.h"
DUMP = "arch/x86/mm/dump_pagetables.c"
BOOT = "boot x86-mermap"

KUNIT = "mm_local:KUnit, pti=on, 4 level*"
KUNIT_OFF = "mm_local:KUnit, pti=off, 4 level*"
KUNIT_5 = "mm_local:KUnit, pti=on, 5 level*"
PROGRAMS = "mm_local:LDT and region, pti=on, 4 level*"
FAULTS = "mm_local:every allocation of an LDT fails once, pti=on, 4 level*"
FAULTS_5 = "mm_local:every allocation of an LDT fails once, pti=on, 5 level*"

SET = "		set_pud(pud_offset(u_p4d, LDT_BASE_ADDR), *pud_offset(k_p4d, LDT_BASE_ADDR));\n"

mutant("ldts-entry-through-set-p4d", BOOT, KUNIT, (
    LDT, SET,
    "		set_p4d((p4d_t *)pud_offset(u_p4d, LDT_BASE_ADDR),\n"
    "			__p4d(pud_val(*pud_offset(k_p4d, LDT_BASE_ADDR))));\n"))

mutant("ldts-entry-through-set-pgd", BOOT, KUNIT_5, (
    LDT, "		set_p4d(u_p4d, *k_p4d);\n",
    "		set_pgd((pgd_t *)u_p4d, __pgd(p4d_val(*k_p4d)));\n"))

mutant("share-the-whole-slot", BOOT, KUNIT, (
    LDT, SET,
    "		set_pgd(kernel_to_user_pgdp(k_pgd), *k_pgd);\n"))

mutant("copy-all-entries", BOOT, KUNIT, (
    LDT, SET,
    "		copy_page(u_p4d->p4d ? pud_offset(u_p4d, LDT_BASE_ADDR) : NULL,\n"
    "			  pud_offset(k_p4d, LDT_BASE_ADDR));\n"))

mutant("share-nothing", BOOT, PROGRAMS, (LDT, SET, "		;\n"))

mutant("users-second-level-for-user-mode", BOOT, KUNIT, (
    LDT, "	set_pgd(pgd, __pgd(_KERNPG_TABLE | __pa(table)));\n",
    "	set_pgd(pgd, __pgd(_PAGE_TABLE | __pa(table)));\n"))

mutant("error-frees-the-whole-slot", BOOT, FAULTS, (
    LDT, "	unsigned long end = LDT_END_ADDR;\n",
    "	unsigned long end = IS_ENABLED(CONFIG_X86_64) ? MM_LOCAL_END_ADDR : LDT_END_ADDR;\n"))

mutant("error-frees-the-whole-slot-5", BOOT, FAULTS_5, (
    LDT, "	unsigned long end = LDT_END_ADDR;\n",
    "	unsigned long end = MM_LOCAL_END_ADDR;\n"))

mutant("error-frees-the-shared-level", BOOT, FAULTS, (
    LDT, "	free_pgd_range(&tlb, start, end, start, end);\n",
    "	free_pgd_range(&tlb, start, end, start, MM_LOCAL_END_ADDR);\n"))

mutant("error-frees-nothing", BOOT, FAULTS, (
    LDT, "	free_pgd_range(&tlb, start, end, start, end);\n", ""))

mutant("sanity-check-of-the-pgd-entry", BOOT, PROGRAMS, (
    LDT, "	return !pud_none(*pud_offset(p4d, LDT_BASE_ADDR));\n", "	return true;\n"))

mutant("teardown-only-with-isolation", BOOT, KUNIT_OFF, (
    PGTABLE, "	if (!pgd->pgd && !user)\n", "	if (!cpu_feature_enabled(X86_FEATURE_PTI))\n"))

mutant("teardown-forgotten", BOOT, KUNIT, (
    "arch/x86/include/asm/mmu_context.h", "	mm_local_region_exit(mm);\n}\n", "}\n"))

mutant("users-second-level-is-leaked", BOOT, KUNIT_5, (
    PGTABLE, "		p4d_free_tlb(tlb, (p4d_t *)table, MM_LOCAL_BASE_ADDR);\n", "		;\n"))

mutant("users-second-level-stays-accounted", BOOT, KUNIT, (
    PGTABLE, "		mm_dec_nr_puds(tlb->mm);\n	}\n}\n", "	}\n}\n"))

mutant("users-pgd-entry-stays", BOOT, KUNIT, (
    PGTABLE, "			set_pgd(pgd, __pgd(0));\n", ""))

mutant("region-of-init-mm", BOOT, KUNIT, (
    HEADER, "	return mm != &init_mm && !", "	return !"))

mutant("region-includes-the-ldt", BOOT, KUNIT, (
    TYPES, "#define MERMAP_BASE_ADDR	LDT_END_ADDR\n", "#define MERMAP_BASE_ADDR	LDT_BASE_ADDR\n"))

mutant("ldt-has-five-levels-with-four", BOOT, KUNIT, (
    TYPES, "(LDT_BASE_ADDR + (pgtable_l5_enabled() ? P4D_SIZE : PUD_SIZE))",
    "(LDT_BASE_ADDR + P4D_SIZE)"))

mutant("dump-does-not-mark-the-region", BOOT, PROGRAMS, (
    DUMP, "	address_markers[MM_LOCAL_NR].start_address = MERMAP_BASE_ADDR;\n", ""))

mutant("dump-passes-one-title-in-a-step", BOOT, PROGRAMS, (
    DUMP, "IS_ENABLED(CONFIG_MM_LOCAL_REGION) &&\n				 addr >=", "0 &&\n addr >="))
