/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_X86_MERMAP_H
#define _ASM_X86_MERMAP_H

#include <linux/irqflags.h>
#include <linux/mermap_types.h>
#include <linux/mm_types.h>
#include <linux/pgtable.h>
#include <linux/vmstat.h>

#include <asm/tlb.h>
#include <asm/tlbflush.h>

/*
 * Supervisor only, not executable, write-back, encrypted where memory is, and not
 * global: a global translation would outlive arch_mermap_flush_local(), and serve
 * other mms.
 */
static inline pgprot_t arch_mermap_pgprot(enum mermap_access access)
{
	/* Without the dirty bit when it is read-only: not writable but dirty means shadow stack. */
	pteval_t prot = pgprot_val(access == MERMAP_RW ? PAGE_KERNEL : PAGE_KERNEL_RO);

	return __pgprot(prot & ~_PAGE_GLOBAL & __supported_pte_mask);
}

/*
 * As pte_next_pfn(), which asks of each entry whether it is inverted and so takes a third
 * more instructions for 64 pages.  One that is present never is.
 */
static inline pte_t arch_mermap_next(pte_t pte)
{
	return __pte(pte_val(pte) + (1UL << PFN_PTE_SHIFT));
}

/* The mm whose tables this CPU translates with, which use_temporary_mm() changes. */
static inline bool arch_mermap_mm_loaded(const struct mm_struct *mm)
{
	return this_cpu_read(cpu_tlbstate.loaded_mm) == mm;
}

/*
 * Forget all translations this CPU has of the areas of the loaded mm.
 *
 * They are not global, so all of them were made under some PCID.  To flush the one that
 * is loaded is enough:
 *
 * - On one CPU an mm has one ASID at a time.  A slot is found by the context ID of the
 *   mm; when it was recycled for another mm, or is taken anew, the CR3 write that loads
 *   it flushes it.  So what an mm left behind under an earlier ASID is flushed before
 *   anyone can use it, and context IDs are never used twice.
 * - An mm changes once to a global ASID, and never back while it lives.  Before the
 *   change this CPU has filled nothing under that PCID for this mm, and PCIDs of mms that
 *   are gone are flushed everywhere before they are given out again.
 * - Under PTI the user PCID has nothing: the areas are not in the user page tables.
 * - Without PCIDs each CR3 write flushes whatever is not global.
 *
 * Other CPUs may hold translations of these areas, from speculation.  They do not matter
 * here, because only this CPU uses the addresses; they are what mermap_sync() is for.
 *
 * flush_tlb_local() reads CR3 and writes it back.  An interrupt in between may move
 * this CPU to the global ASID of the mm, and the write would take it back to the old PCID
 * while loaded_mm_asid says otherwise: from then on flushes of user addresses by other
 * CPUs would miss.  Hence no interrupts.
 */
static inline void arch_mermap_flush_local(void)
{
	unsigned long flags;

	local_irq_save(flags);
	flush_tlb_local();
	local_irq_restore(flags);
	count_vm_tlb_event(NR_TLB_LOCAL_FLUSH_ALL);
}

/*
 * Forget one of them: INVLPG works on the PCID that is loaded, and for the reasons given
 * above no other PCID matters.  It is one instruction, so interrupts do not matter either.
 */
static inline void arch_mermap_flush_page(unsigned long addr)
{
	invlpg(addr);
	count_vm_tlb_event(NR_TLB_LOCAL_FLUSH_ONE);
}

#endif /* _ASM_X86_MERMAP_H */
