// SPDX-License-Identifier: GPL-2.0
/*
 * The mm-local region of whoever writes a command:
 *
 *	echo "COMMAND" > /sys/module/mmlocal/parameters/do
 *
 *	map		map a page of one's own at the first and at the last address
 *	check		both are mapped, and read through them as they do directly
 *	unmap		undo map
 *	mermap		map a page through the mermap, write it, read it there and directly
 *	leak		map a page through the mermap, and return to user mode with that
 *	lent		map a free page, and allocate until it comes
 *	walk K U	the second-level entries in use are exactly K in the kernel's page
 *			tables and U in those of user mode; each '-' or a list such as 0,1,511
 */

#include <linux/cleanup.h>
#include <linux/lockdep.h>
#include <linux/mermap.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sched/mm.h>
#include <linux/sysfs.h>
#include <asm/mm_local.h>
#include <asm/pgalloc.h>

#define WORD 64

static const char *why = "";

static int fail(int error, const char *text)
{
	why = text;
	pr_info("mmlocal: %s[%d]: %s\n", current->comm, current->pid, text);
	return error;
}

static unsigned long place(int i)
{
	return i ? MERMAP_END_ADDR - PAGE_SIZE : MERMAP_BASE_ADDR;
}

static unsigned long pattern(struct mm_struct *mm, int i)
{
	return (unsigned long)mm + place(i);
}

/* Any CPU may have a translation from before: what is accessed next is flushed here first. */
static void flush_here(unsigned long addr)
{
	lockdep_assert_preemption_disabled();
	asm volatile("invlpg (%0)" : : "r" (addr) : "memory");
}

static unsigned long read_place(int i)
{
	guard(preempt)();
	flush_here(place(i));
	return READ_ONCE(*(unsigned long *)place(i));
}

static void write_place(int i, unsigned long word)
{
	guard(preempt)();
	flush_here(place(i));
	WRITE_ONCE(*(unsigned long *)place(i), word);
}

/* The last level of an address; makes the tables on request. */
static pte_t *last_level(struct mm_struct *mm, unsigned long addr, bool make)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d = make ? p4d_alloc(mm, pgd, addr) :
			    pgd->pgd ? p4d_offset(pgd, addr) : NULL;
	pud_t *pud = !p4d ? NULL : make ? pud_alloc(mm, p4d, addr) :
			    p4d_none(*p4d) ? NULL : pud_offset(p4d, addr);
	pmd_t *pmd = !pud ? NULL : make ? pmd_alloc(mm, pud, addr) :
			    pud_none(*pud) ? NULL : pmd_offset(pud, addr);

	if (!pmd || (make ? pte_alloc(mm, pmd) : pmd_none(*pmd)))
		return NULL;
	return pte_offset_kernel(pmd, addr);
}

static int unmap(struct mm_struct *mm)
{
	for (int i = 0; i < 2; i++) {
		pte_t *pte = last_level(mm, place(i), false);
		struct page *page;

		if (!pte || !pte_present(*pte))
			return fail(-ENOENT, "there is no mapping to remove");
		page = pte_page(*pte);
		pte_clear(mm, place(i), pte);
		__free_page(page);
	}
	return 0;
}

static int map(struct mm_struct *mm)
{
	pgprot_t prot = __pgprot(pgprot_val(PAGE_KERNEL) & ~_PAGE_GLOBAL);

	if (!mm_local_region_supported(mm))
		return fail(-EOPNOTSUPP, "the region is not supported");
	for (int i = 0; i < 2; i++) {
		pte_t *pte = last_level(mm, place(i), true);
		struct page *page = alloc_page(GFP_KERNEL);

		if (!pte || !page)
			return fail(-ENOMEM, "no memory");
		if (!pte_none(*pte))
			return fail(-EEXIST, "something is mapped there");
		set_pte(pte, pfn_pte(page_to_pfn(page), prot));
		write_place(i, pattern(mm, i));
	}
	return 0;
}

static int check(struct mm_struct *mm)
{
	for (int i = 0; i < 2; i++) {
		pte_t *pte = last_level(mm, place(i), false);

		if (!pte || !pte_present(*pte))
			return fail(-ENOENT, "a mapping is gone");
		if (*(unsigned long *)page_address(pte_page(*pte)) != pattern(mm, i))
			return fail(-EILSEQ, "a mapping leads to another page");
		if (read_place(i) != pattern(mm, i))
			return fail(-EIO, "the mapped page reads wrong");
	}
	return 0;
}

#ifdef CONFIG_MERMAP
static int mermap(struct mm_struct *mm)
{
	unsigned long word = (unsigned long)mm, *there;
	struct mermap_alloc *alloc;
	struct page *page;
	bool right;

	if (mermap_mm_prepare(mm))
		return fail(-ENOMEM, "the mm could not be prepared");
	page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!page)
		return fail(-ENOMEM, "no memory");
	alloc = mermap_get(page, PAGE_SIZE, MERMAP_RW);
	if (!alloc) {
		__free_page(page);
		return fail(-EBUSY, "nothing could be mapped");
	}
	there = mermap_addr(alloc);
	WRITE_ONCE(*there, word);
	right = READ_ONCE(*there) == word && *(unsigned long *)page_address(page) == word;
	mermap_put(alloc);
	mermap_sync();
	__free_page(page);
	return right ? 0 : fail(-EIO, "the mapped page reads wrong");
}

/* The page is lost. */
static int leak(struct mm_struct *mm)
{
	struct page *page = alloc_page(GFP_KERNEL);

	if (!page || mermap_mm_prepare(mm))
		return fail(-ENOMEM, "no memory");
	return mermap_get(page, PAGE_SIZE, MERMAP_RO) ? 0 : fail(-EBUSY, "nothing could be mapped");
}
/* The page stays on a list of this CPU, or goes to the buddy lists. */
static int lent(struct mm_struct *mm)
{
	enum { MANY = 4096 };
	struct page *page, *taken = NULL, *next;
	struct mermap_alloc *alloc;
	LIST_HEAD(others);
	int i;

	if (mermap_mm_prepare(mm))
		return fail(-ENOMEM, "the mm could not be prepared");
	page = alloc_page(GFP_KERNEL);
	if (!page)
		return fail(-ENOMEM, "no memory");
	__free_page(page);
	alloc = mermap_get(page, PAGE_SIZE, MERMAP_RO);
	if (!alloc)
		return fail(-EBUSY, "nothing could be mapped");
	for (i = 0; i < MANY && taken != page; i++) {
		taken = alloc_page(i % 2 ? GFP_KERNEL | __GFP_MOVABLE : GFP_KERNEL);
		if (!taken)
			break;
		list_add(&taken->lru, &others);
	}
	mermap_put(alloc);
	mermap_sync();
	list_for_each_entry_safe(taken, next, &others, lru)
		__free_page(taken);
	return 0;
}
#else
static int mermap(struct mm_struct *mm)
{
	return fail(-EOPNOTSUPP, "this kernel has no mermap");
}

static int leak(struct mm_struct *mm)
{
	return mermap(mm);
}

static int lent(struct mm_struct *mm)
{
	return mermap(mm);
}
#endif

static void entries(pgd_t *pgd, char *text)
{
	u64 *table = pgd->pgd ? (u64 *)pgd_page_vaddr(*pgd) : NULL;
	int at = 0;

	strscpy(text, "-", WORD);
	for (int i = 0; table && i < 512; i++)
		if (table[i])
			at += scnprintf(text + at, WORD - at, at ? ",%d" : "%d", i);
}

static int walk(struct mm_struct *mm, const char *kernel, const char *user)
{
	char seen_kernel[WORD], seen_user[WORD] = "-";
	pgd_t *pgd = pgd_offset(mm, MM_LOCAL_BASE_ADDR);

	entries(pgd, seen_kernel);
#ifdef CONFIG_MITIGATION_PAGE_TABLE_ISOLATION
	if (boot_cpu_has(X86_FEATURE_PTI))
		entries(kernel_to_user_pgdp(pgd), seen_user);
#endif
	if (!strcmp(kernel, seen_kernel) && !strcmp(user, seen_user))
		return 0;
	pr_info("mmlocal: the kernel's tables have %s, expected %s; user mode's have %s, expected %s\n",
		seen_kernel, kernel, seen_user, user);
	return fail(-EPROTO, "the tables have other entries");
}

static int do_set(const char *value, const struct kernel_param *kp)
{
	char verb[WORD] = "", kernel[WORD] = "", user[WORD] = "";
	struct mm_struct *mm = current->mm;

	why = "ok";
	sscanf(value, "%63s %63s %63s", verb, kernel, user);
	if (!strcmp(verb, "map"))
		return map(mm);
	if (!strcmp(verb, "check"))
		return check(mm);
	if (!strcmp(verb, "unmap"))
		return unmap(mm);
	if (!strcmp(verb, "mermap"))
		return mermap(mm);
	if (!strcmp(verb, "leak"))
		return leak(mm);
	if (!strcmp(verb, "lent"))
		return lent(mm);
	if (!strcmp(verb, "walk"))
		return walk(mm, kernel, user);
	return fail(-EINVAL, "no such command");
}

static int do_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n", why);
}

static const struct kernel_param_ops do_ops = { .set = do_set, .get = do_get };

module_param_cb(do, &do_ops, NULL, 0600);
MODULE_DESCRIPTION("uses the mm-local region");
MODULE_LICENSE("GPL");
