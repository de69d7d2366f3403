// SPDX-License-Identifier: GPL-2.0
/*
 * A violation in a chosen context, with chosen locks held, for what panic() does then:
 *
 *	insmod stopping.ko
 *	echo "CONTEXT WHAT HELD" > /sys/module/stopping/parameters/do
 *
 *	task irq nmi	where it happens
 *	free list	a page is freed twice, with no lock of the allocator held; or the free
 *			lists are damaged and one is used, which is noticed under zone->lock
 *	-		nothing else
 *	zone		another CPU holds zone->lock with interrupts off
 *	timers rq	what was interrupted holds this CPU's lock of timers, or those of run queues
 *	pstore		what was interrupted has pstore's buffer
 *	oops		who saves the log of the report meets a NULL pointer
 *
 * "console" instead registers a console that allocates and frees for each line, and in a
 * panic does all of that which takes more than the per-CPU lists.
 */

#include <linux/atomic.h>
#include <linux/console.h>
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/hrtimer_bases.h>
#include <linux/irq_work.h>
#include <linux/kmsg_dump.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/pstore.h>
#include <linux/smp.h>

#include <asm/apic.h>
#include <asm/nmi.h>

/* Not exported; linked to by the lab. */
extern struct hrtimer_cpu_base hrtimer_bases;
extern struct pstore_info *psinfo;
extern char runqueues[];
void raw_spin_rq_lock_nested(void *rq, int subclass);

#define LEAST 3		/* order of the smallest blocks that are damaged */
#define TRIES 1024
#define HELD 1024
#define MANY 4096

static bool on_a_list;
static struct page *twice;

/* Whatever block is taken off a list is of another order than it says. */
static void damage(void)
{
	struct pglist_data *node = NODE_DATA(0);
	unsigned long pfn;

	for (pfn = node->node_start_pfn; pfn < pgdat_end_pfn(node); pfn++) {
		struct page *page = pfn_to_online_page(pfn);

		if (page && PageBuddy(page) && page_private(page) >= LEAST)
			set_page_private(page, page_private(page) ^ 0x40);
	}
}

static void violate(void)
{
	unsigned int i;

	if (!on_a_list) {
		__free_pages(twice, 0);
		return;
	}
	damage();
	/*
	 * From NMI only what per-CPU lists serve may be asked for: the first may come from
	 * there, and their lock is held as well.  Otherwise it is zone->lock alone.
	 */
	for (i = 0; i < TRIES; i++) {
		if (in_nmi())
			alloc_pages_nolock(0, NUMA_NO_NODE, LEAST);
		else
			alloc_pages(GFP_ATOMIC | __GFP_NOWARN, LEAST + 1);
	}
}

static void work(struct irq_work *unused)
{
	violate();
}

/* panic() sends NMIs of its own. */
static int nmi(unsigned int type, struct pt_regs *regs)
{
	static atomic_t sent = ATOMIC_INIT(1);

	if (atomic_dec_if_positive(&sent) < 0)
		return NMI_DONE;
	violate();
	return NMI_HANDLED;
}

static int in_context(const char *context)
{
	static struct irq_work once = IRQ_WORK_INIT_HARD(work);

	if (!strcmp(context, "task")) {
		violate();
	} else if (!strcmp(context, "irq")) {
		irq_work_queue(&once);
		irq_work_sync(&once);
	} else if (!strcmp(context, "nmi")) {
		if (register_nmi_handler(NMI_LOCAL, nmi, NMI_FLAG_FIRST, "stopping"))
			return -EBUSY;
		__apic_send_IPI_mask(cpumask_of(raw_smp_processor_id()), NMI_VECTOR);
		mdelay(100);
		unregister_nmi_handler(NMI_LOCAL, "stopping");
	} else {
		return -EINVAL;
	}
	return 0;
}

static bool zone_is_locked;

/* The machine stops before this ends. */
static int hold_zone(void *unused)
{
	spin_lock_irq(&page_zone(twice)->lock);
	WRITE_ONCE(zone_is_locked, true);
	for (;;)
		cpu_relax();
	return 0;
}

static void stumble(struct kmsg_dumper *dumper, struct kmsg_dump_detail *detail)
{
	static bool once;

	if (!once) {
		once = true;
		*(volatile int *)NULL = 0;
	}
}

static struct kmsg_dumper stumbling = { .dump = stumble };

static int hold(const char *what)
{
	struct task_struct *other;
	int cpu;

	if (!strcmp(what, "zone")) {
		other = kthread_create(hold_zone, NULL, "holder");
		if (IS_ERR(other))
			return PTR_ERR(other);
		kthread_bind(other, cpumask_any_but(cpu_online_mask, raw_smp_processor_id()));
		wake_up_process(other);
		while (!READ_ONCE(zone_is_locked))
			cpu_relax();
	} else if (!strcmp(what, "timers")) {
		local_irq_disable();
		raw_spin_lock(&this_cpu_ptr((struct hrtimer_cpu_base __percpu *)
					    (unsigned long)&hrtimer_bases)->lock);
	} else if (!strcmp(what, "rq")) {
		local_irq_disable();
		for_each_online_cpu(cpu)
			raw_spin_rq_lock_nested(per_cpu_ptr((char __percpu *)
							    (unsigned long)runqueues, cpu), 0);
	} else if (!strcmp(what, "pstore")) {
		local_irq_disable();
		raw_spin_lock(&psinfo->buf_lock);
	} else if (!strcmp(what, "oops")) {
		return kmsg_dump_register(&stumbling);
	} else if (strcmp(what, "-")) {
		return -EINVAL;
	}
	return 0;
}

static struct page *large, *many[MANY];

/* More than a per-CPU list takes, a block that has none, and an allocation that wakes kswapd. */
static void give_back(void)
{
	struct zone *zone = page_zone(large);
	unsigned int i;

	zone->watermark_boost = 1;
	set_bit(ZONE_BOOSTED_WATERMARK, &zone->flags);
	for (i = 0; i < MANY; i++)
		__free_pages(many[i], 0);
	__free_pages(large, LEAST + 1);
	large = NULL;
}

/*
 * Every order that the allocator keeps in another way, and more than per-CPU lists have.
 */
static void allocate_and_write(struct console *console, const char *text, unsigned int length)
{
	static const unsigned int orders[] = { 0, LEAST, LEAST + 1 };
	static struct page *held[HELD];
	unsigned int i, n, nr;

	if (panic_in_progress() && large)
		give_back();
	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		for (nr = 0; nr < HELD; nr++) {
			held[nr] = alloc_pages(GFP_ATOMIC, orders[i]);
			if (!held[nr])
				break;
		}
		for (n = 0; n < nr; n++)
			__free_pages(held[n], orders[i]);
	}
}

static struct console allocating = {
	.name = "allocating", .write = allocate_and_write, .flags = CON_ENABLED, .index = -1,
};

static int register_allocating(void)
{
	unsigned int i;

	large = alloc_pages(GFP_KERNEL, LEAST + 1);
	for (i = 0; i < MANY; i++)
		many[i] = alloc_pages(GFP_KERNEL, 0);
	if (!large || !many[MANY - 1])
		return -ENOMEM;
	register_console(&allocating);
	return 0;
}

static int run(const char *value, const struct kernel_param *unused)
{
	char context[8], what[8], held[8];
	int error;

	if (!strncmp(value, "console", 7))
		return register_allocating();
	if (sscanf(value, "%7s %7s %7s", context, what, held) != 3)
		return -EINVAL;
	twice = alloc_pages(GFP_KERNEL, 0);
	if (!twice)
		return -ENOMEM;
	on_a_list = !strcmp(what, "list");
	if (!on_a_list)
		__free_pages(twice, 0);
	migrate_disable();
	error = hold(held);
	return error ?: in_context(context);
}

static const struct kernel_param_ops ops = { .set = run };
module_param_cb(do, &ops, NULL, 0200);

MODULE_DESCRIPTION("Violations in a chosen context");
MODULE_LICENSE("GPL");
