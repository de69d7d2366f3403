// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the mm-local region: what it shares with the LDT, what user mode's
 * page tables show of it, and what is left when an mm ends.
 *
 * They say the same with and without page table isolation, and with four and five
 * levels of page tables: run them in all four.
 */

#include <kunit/test.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_context.h>
#include <linux/pgalloc.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/ldt.h>
#include <asm/mm_local.h>
#include <asm/syscall.h>
#include <asm/tlbflush.h>
#include <asm/unistd.h>

#define PATTERN	0x5a
#define PAIRS	32

/* Who has tables in the region, and who had them first. */
struct order {
	const char *name;
	const char *steps;	/* 'l' installs an LDT, 'r' maps something in the rest */
};

static const struct order orders[] = {
	{ "LDT", "l" },
	{ "region", "r" },
	{ "LDT, region", "lr" },
	{ "region, LDT", "rl" },
	{ "LDT, region, LDT", "lrl" },
};

KUNIT_ARRAY_PARAM_DESC(orders, orders, name);

static bool isolated(void)
{
	return cpu_feature_enabled(X86_FEATURE_PTI);
}

/* The page that a PGD entry leads to: 512 entries of the second level, or NULL. */
static u64 *second_level(pgd_t *pgd)
{
	return pgd->pgd ? (u64 *)pgd_page_vaddr(*pgd) : NULL;
}

static pgd_t *kernel_pgd(struct mm_struct *mm)
{
	return pgd_offset(mm, MM_LOCAL_BASE_ADDR);
}

/* NULL if user mode runs on the same tables as the kernel. */
static pgd_t *user_pgd(struct mm_struct *mm)
{
#ifdef CONFIG_MITIGATION_PAGE_TABLE_ISOLATION
	if (isolated())
		return kernel_to_user_pgdp(kernel_pgd(mm));
#endif
	return NULL;
}

static u64 *kernel_level(struct mm_struct *mm)
{
	return second_level(kernel_pgd(mm));
}

static u64 *user_level(struct mm_struct *mm)
{
	return user_pgd(mm) ? second_level(user_pgd(mm)) : NULL;
}

/* A new mm in use by this thread. If a test aborts, the end of the thread ends it. */
static struct mm_struct *begin(struct kunit *test)
{
	struct mm_struct *mm = mm_alloc();

	KUNIT_ASSERT_NOT_NULL(test, mm);
	if (!mm_local_region_supported(mm)) {
		mmput(mm);
		kunit_skip(test, "this machine has no mm-local region");
	}
	mm->task_size = TASK_SIZE;
	arch_pick_mmap_layout(mm, &current->signal->rlim[RLIMIT_STACK]);
	kthread_use_mm(mm);
	return mm;
}

static void end(struct mm_struct *mm)
{
	kthread_unuse_mm(mm);
	mmput(mm);
}

/* Before anything is there that would be left behind. */
static void skip_without_ldt(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_MODIFY_LDT_SYSCALL))
		kunit_skip(test, "this kernel has no modify_ldt(2)");
}

/* modify_ldt(2) by the one who uses @current->mm. */
static void install_ldt(struct kunit *test, unsigned int entry)
{
#ifdef CONFIG_MODIFY_LDT_SYSCALL
	struct user_desc desc = {
		.entry_number = entry,
		.limit = 0xfff,
		.seg_32bit = 1,
		.useable = 1,
	};
	struct pt_regs regs = { .di = 0x11, .dx = sizeof(desc) };

	regs.si = vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(regs.si));
	KUNIT_ASSERT_EQ(test, copy_to_user((void __user *)regs.si, &desc, sizeof(desc)), 0UL);
	KUNIT_ASSERT_EQ(test, (int)sys_call_table[__NR_modify_ldt](&regs), 0);
#endif
}

/* The tables down to the last level, as whoever maps something there makes them. */
static pte_t *make_tables(struct mm_struct *mm, unsigned long addr)
{
	p4d_t *p4d = p4d_alloc(mm, pgd_offset(mm, addr), addr);
	pud_t *pud = p4d ? pud_alloc(mm, p4d, addr) : NULL;
	pmd_t *pmd = pud ? pmd_alloc(mm, pud, addr) : NULL;

	if (!pmd || pte_alloc(mm, pmd))
		return NULL;
	return pte_offset_kernel(pmd, addr);
}

/* Map a page at the first and the last address, write there, and read the page. */
static void use_region(struct kunit *test, struct mm_struct *mm)
{
	const unsigned long addrs[] = { MERMAP_BASE_ADDR, MERMAP_END_ADDR - PAGE_SIZE };
	pgprot_t prot = __pgprot(pgprot_val(PAGE_KERNEL) & ~_PAGE_GLOBAL);
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);

	KUNIT_ASSERT_NOT_NULL(test, page);
	for (int i = 0; i < ARRAY_SIZE(addrs); i++) {
		pte_t *pte = make_tables(mm, addrs[i]);

		KUNIT_ASSERT_NOT_NULL(test, pte);
		set_pte(pte, pfn_pte(page_to_pfn(page), prot));
		WRITE_ONCE(*(unsigned long *)addrs[i], addrs[i]);
		KUNIT_EXPECT_EQ(test, *(unsigned long *)page_address(page), addrs[i]);
		pte_clear(mm, addrs[i], pte);
		flush_tlb_mm_range(mm, addrs[i], addrs[i] + PAGE_SIZE, PAGE_SHIFT, false);
	}
	__free_page(page);
}

/* A new mm in use, after the steps of the order that the test is about. */
static struct mm_struct *begin_with_steps(struct kunit *test)
{
	const struct order *order = test->param_value;
	struct mm_struct *mm;

	if (strchr(order->steps, 'l'))
		skip_without_ldt(test);
	mm = begin(test);
	for (const char *step = order->steps; *step; step++) {
		if (*step == 'l')
			install_ldt(test, step - order->steps);
		else
			use_region(test, mm);
	}
	return mm;
}

static void region_of_init_mm_is_empty(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, kernel_pgd(&init_mm)->pgd, 0UL);
	if (isolated())
		KUNIT_EXPECT_EQ(test, user_pgd(&init_mm)->pgd, 0UL);
}

static void region_is_for_every_mm_but_init_mm(struct kunit *test)
{
	struct mm_struct *mm = begin(test);

	KUNIT_EXPECT_FALSE(test, mm_local_region_supported(&init_mm));
	KUNIT_EXPECT_TRUE(test, mm_local_region_supported(mm));
	end(mm);
}

static void region_begins_empty(struct kunit *test)
{
	struct mm_struct *mm = begin(test);

	KUNIT_EXPECT_EQ(test, kernel_pgd(mm)->pgd, 0UL);
	if (isolated())
		KUNIT_EXPECT_EQ(test, user_pgd(mm)->pgd, 0UL);
	end(mm);
}

/*
 *   MM_LOCAL_BASE_ADDR                                 MM_LOCAL_END_ADDR
 *   |  LDT  |  the rest ...                                            |
 *   0       1                                                        512
 */
static void region_is_one_slot_and_its_first_entry_the_ldts(struct kunit *test)
{
	unsigned long entry = pgtable_l5_enabled() ? P4D_SIZE : PUD_SIZE;

	KUNIT_EXPECT_EQ(test, pgd_index(MM_LOCAL_BASE_ADDR), pgd_index(MM_LOCAL_END_ADDR - 1));
	KUNIT_EXPECT_EQ(test, MM_LOCAL_END_ADDR - MM_LOCAL_BASE_ADDR, PGDIR_SIZE);
	KUNIT_EXPECT_EQ(test, PGDIR_SIZE, 512 * entry);
	KUNIT_EXPECT_EQ(test, LDT_BASE_ADDR, MM_LOCAL_BASE_ADDR);
	KUNIT_EXPECT_EQ(test, LDT_END_ADDR, MM_LOCAL_BASE_ADDR + entry);
	KUNIT_EXPECT_EQ(test, MERMAP_BASE_ADDR, LDT_END_ADDR);
	KUNIT_EXPECT_EQ(test, MERMAP_END_ADDR, MM_LOCAL_END_ADDR);
	/* Two slots for the LDT, all within one page table. */
	KUNIT_EXPECT_LE(test, 2UL * LDT_ENTRIES * LDT_ENTRY_SIZE, PMD_SIZE);
	/* Neither the hole before it nor the direct map behind it is touched. */
	KUNIT_EXPECT_EQ(test, MM_LOCAL_BASE_ADDR, GUARD_HOLE_END_ADDR);
	KUNIT_EXPECT_LE(test, MM_LOCAL_END_ADDR, PAGE_OFFSET);
}

static void user_tables_hold_nothing_but_the_ldt(struct kunit *test)
{
	struct mm_struct *mm = begin_with_steps(test);
	const struct order *order = test->param_value;
	u64 *kernel, *user;

	kernel = kernel_level(mm);
	user = user_level(mm);
	if (!isolated()) {
		/* The LDT needs no mapping then. */
		KUNIT_EXPECT_EQ(test, !!kernel, !!strchr(order->steps, 'r'));
	} else if (!strchr(order->steps, 'l')) {
		KUNIT_EXPECT_NULL(test, user);
	} else {
		KUNIT_ASSERT_NOT_NULL(test, kernel);
		KUNIT_ASSERT_NOT_NULL(test, user);
		KUNIT_EXPECT_PTR_NE(test, kernel, user);
		KUNIT_EXPECT_NE(test, user[0], 0ULL);
		KUNIT_EXPECT_EQ(test, user[0], kernel[0]);
		for (int i = 1; i < 512; i++)
			KUNIT_EXPECT_EQ_MSG(test, user[i], 0ULL, "entry %d", i);
		/* User mode has no business there, whatever the levels below say. */
		KUNIT_EXPECT_EQ(test, user_pgd(mm)->pgd & _PAGE_USER, 0UL);
	}
	if (kernel && strchr(order->steps, 'r')) {
		KUNIT_EXPECT_NE(test, kernel[1], 0ULL);
		KUNIT_EXPECT_NE(test, kernel[511], 0ULL);
	}
	end(mm);
}

/* Their pages are freed through a flush that does not reach these addresses. */
static void tables_are_not_marked_as_the_kernels(struct kunit *test)
{
	struct mm_struct *mm = begin_with_steps(test);

	if (kernel_level(mm))
		KUNIT_EXPECT_FALSE(test, ptdesc_test_kernel(virt_to_ptdesc(kernel_level(mm))));
	if (user_level(mm))
		KUNIT_EXPECT_FALSE(test, ptdesc_test_kernel(virt_to_ptdesc(user_level(mm))));
	end(mm);
}

/* Hold a table's page, to see whether it is given back. */
static struct page *watch(u64 *table)
{
	struct page *page = table ? virt_to_page(table) : NULL;

	if (page)
		get_page(page);
	return page;
}

static void expect_freed(struct kunit *test, struct page *page, const char *whose)
{
	if (!page)
		return;
	KUNIT_EXPECT_EQ_MSG(test, page_ref_count(page), 1, "the %s second level", whose);
	KUNIT_EXPECT_FALSE_MSG(test, PageTable(page), "the %s second level", whose);
	put_page(page);
}

static void all_tables_are_freed_when_the_mm_ends(struct kunit *test)
{
	struct mm_struct *mm = begin_with_steps(test);
	struct page *kernel, *user;

	kernel = watch(kernel_level(mm));
	user = watch(user_level(mm));

	mmgrab(mm);
	end(mm);
	KUNIT_EXPECT_EQ(test, kernel_pgd(mm)->pgd, 0UL);
	if (isolated())
		KUNIT_EXPECT_EQ(test, user_pgd(mm)->pgd, 0UL);
	KUNIT_EXPECT_EQ(test, mm_pgtables_bytes(mm), 0UL);
	mmdrop(mm);

	/* Tables are freed after a grace period. */
	rcu_barrier();
	expect_freed(test, kernel, "kernel's");
	expect_freed(test, user, "user's");
}

/*
 * Entry 0 of a page looks to set_pgd() like one that it has to mirror into the page
 * behind, which belongs to somebody else:
 *
 *   | free -> second level of the user's tables | ours, full of PATTERN |   many times
 */
static void page_behind_the_user_table_is_left_alone(struct kunit *test)
{
	struct page **behind = kunit_kcalloc(test, PAIRS, sizeof(*behind), GFP_KERNEL);
	struct mm_struct *mm;
	bool hit = false;
	u64 *user;

	skip_without_ldt(test);
	KUNIT_ASSERT_NOT_NULL(test, behind);
	mm = begin(test);
	for (int i = 0; i < PAIRS; i++) {
		struct page *pair = alloc_pages(GFP_KERNEL, 1);

		KUNIT_ASSERT_NOT_NULL(test, pair);
		split_page(pair, 1);
		behind[i] = pair + 1;
		memset(page_address(behind[i]), PATTERN, PAGE_SIZE);
	}

	/* Freed last, allocated first. */
	migrate_disable();
	for (int i = 0; i < PAIRS; i++)
		__free_page(behind[i] - 1);
	install_ldt(test, 0);
	migrate_enable();

	user = user_level(mm);
	for (int i = 0; user && i < PAIRS; i++)
		hit |= behind[i] - 1 == virt_to_page(user);
	/* Without isolation there is no such table. */
	KUNIT_ASSERT_EQ_MSG(test, hit, isolated(), "is the table before one of our pages?");

	end(mm);
	for (int i = 0; i < PAIRS; i++) {
		KUNIT_EXPECT_NULL(test, memchr_inv(page_address(behind[i]), PATTERN, PAGE_SIZE));
		__free_page(behind[i]);
	}
}

static struct kunit_case mm_local_cases[] = {
	KUNIT_CASE(region_of_init_mm_is_empty),
	KUNIT_CASE(region_is_for_every_mm_but_init_mm),
	KUNIT_CASE(region_begins_empty),
	KUNIT_CASE(region_is_one_slot_and_its_first_entry_the_ldts),
	KUNIT_CASE_PARAM(user_tables_hold_nothing_but_the_ldt, orders_gen_params),
	KUNIT_CASE_PARAM(tables_are_not_marked_as_the_kernels, orders_gen_params),
	KUNIT_CASE_PARAM(all_tables_are_freed_when_the_mm_ends, orders_gen_params),
	KUNIT_CASE(page_behind_the_user_table_is_left_alone),
	{}
};

static struct kunit_suite mm_local_suite = {
	.name = "mm-local",
	.test_cases = mm_local_cases,
};

kunit_test_suite(mm_local_suite);

MODULE_LICENSE("GPL");
