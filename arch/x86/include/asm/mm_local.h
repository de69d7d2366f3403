/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The mm-local region: kernel addresses that each mm maps for itself.
 *
 * It is the PGD slot from MM_LOCAL_BASE_ADDR to MM_LOCAL_END_ADDR. Its first
 * second-level entry, up to LDT_END_ADDR, is the LDT's; the rest begins at
 * MERMAP_BASE_ADDR. These are no compile-time constants: they depend on the
 * number of page table levels.
 *
 * Rules for whoever maps something in the rest:
 *
 * - Page tables come from p4d_alloc(), pud_alloc(), pmd_alloc() and pte_alloc():
 *   those are accounted to the mm, and two threads may race. Not from the
 *   *_kernel variants: those pages are freed through a flush that does not cover
 *   this range.
 * - Page tables are freed by mm_local_region_exit() when the mm goes, and never
 *   before. Mappings are removed by whoever made them, before that.
 * - fork() copies nothing of it: a child begins with an empty region.
 * - With page table isolation user mode runs on page tables in which the rest is
 *   not present. All upper levels of the kernel's tables have the user bit set, as
 *   everywhere: the last level must not have it, must have NX if there is NX, and
 *   must not be global.
 * - No flush_tlb_kernel_range(): it need not reach what other address space
 *   identifiers hold. flush_tlb_mm_range() does, for one mm, and flush_tlb_all()
 *   for all.
 */
#ifndef _ASM_X86_MM_LOCAL_H
#define _ASM_X86_MM_LOCAL_H

#include <linux/cpufeature.h>
#include <linux/mm_types.h>

/**
 * mm_local_region_supported - can an address space have mappings of its own there?
 * @mm: the address space
 *
 * init_mm cannot: it has no end at which its tables would be freed, and its entries
 * are the kernel's, for every mm. Neither can a Xen PV guest: its hypervisor has to be
 * told of each page table, and is told only of those for user space.
 *
 * Context: Any.
 * Return: true if page tables may be allocated there
 */
static inline bool mm_local_region_supported(struct mm_struct *mm)
{
	return mm != &init_mm && !cpu_feature_enabled(X86_FEATURE_XENPV);
}

#endif /* _ASM_X86_MM_LOCAL_H */
