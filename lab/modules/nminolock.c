// SPDX-License-Identifier: GPL-2.0
/*
 * Pages are allocated and freed from NMI, on all CPUs, until the module goes.
 *
 *	insmod nminolock.ko free=ADDRESS	(of free_pages_nolock(), not exported)
 *	cat /sys/module/nminolock/parameters/{nmis,allocs,frees,refused}
 *
 * A task sends NMIs to all CPUs, and each NMI some more to the next CPU, so that they
 * also come while that CPU has interrupts off, be it in stop_machine().
 */

#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/smp.h>

#include <asm/apic.h>
#include <asm/nmi.h>

#define HELD	8	/* blocks of a CPU */
#define CHAIN	6	/* NMIs that one from the task makes */

static unsigned long address;
module_param_named(free, address, ulong, 0400);

static unsigned long nmis, allocs, frees, refused;
module_param(nmis, ulong, 0444);
module_param(allocs, ulong, 0444);
module_param(frees, ulong, 0444);
module_param(refused, ulong, 0444);

struct mine {
	struct page *page[HELD];
	unsigned int order[HELD], next, chain;
};

static DEFINE_PER_CPU(struct mine, mine);
static struct task_struct *sender;
static bool stop;

static void count(unsigned long *what)
{
	atomic_long_inc((atomic_long_t *)what);
}

static void turn(struct mine *my)
{
	unsigned int slot = my->next++ % HELD;
	unsigned int order = my->next % 5 ? 0 : my->next % 4;

	if (my->page[slot]) {
		((void (*)(struct page *, unsigned int))address)(my->page[slot], my->order[slot]);
		my->page[slot] = NULL;
		count(&frees);
		return;
	}
	my->page[slot] = alloc_pages_nolock(0, NUMA_NO_NODE, order);
	my->order[slot] = order;
	count(my->page[slot] ? &allocs : &refused);
}

/*
 * Whoever was interrupted may have written where an IPI goes and not yet which: it would go to
 * this one's CPU. With an x2APIC both are one write.
 */
static void send_from_nmi(unsigned int cpu)
{
	bool split = !x2apic_enabled();
	u32 where = split ? native_apic_mem_read(APIC_ICR2) : 0;

	__apic_send_IPI_mask(cpumask_of(cpu), NMI_VECTOR);
	if (split)
		native_apic_mem_write(APIC_ICR2, where);
}

static int nmi(unsigned int type, struct pt_regs *regs)
{
	struct mine *my = this_cpu_ptr(&mine);
	unsigned int cpu;

	count(&nmis);
	turn(my);
	if (!READ_ONCE(stop) && my->chain++ % CHAIN) {
		cpu = cpumask_next(smp_processor_id(), cpu_online_mask);
		if (cpu >= nr_cpu_ids)
			cpu = cpumask_first(cpu_online_mask);
		send_from_nmi(cpu);
	}
	/* All of them are ours: two that came as one are no reason to complain. */
	return NMI_HANDLED;
}

static int send(void *unused)
{
	while (!kthread_should_stop()) {
		preempt_disable();
		__apic_send_IPI_mask(cpu_online_mask, NMI_VECTOR);
		preempt_enable();
		usleep_range(50, 300);
	}
	return 0;
}

static int __init nminolock_init(void)
{
	int error;

	if (!address)
		return -EINVAL;
	error = register_nmi_handler(NMI_LOCAL, nmi, NMI_FLAG_FIRST, "nminolock");
	if (error)
		return error;
	sender = kthread_run(send, NULL, "nminolock");
	if (IS_ERR(sender))
		unregister_nmi_handler(NMI_LOCAL, "nminolock");
	return PTR_ERR_OR_ZERO(sender);
}
module_init(nminolock_init);

static void __exit nminolock_exit(void)
{
	struct mine *my;
	int cpu, slot;

	kthread_stop(sender);
	WRITE_ONCE(stop, true);
	msleep(20);		/* the last NMIs have arrived */
	unregister_nmi_handler(NMI_LOCAL, "nminolock");
	for_each_possible_cpu(cpu) {
		my = per_cpu_ptr(&mine, cpu);
		for (slot = 0; slot < HELD; slot++)
			if (my->page[slot])
				__free_pages(my->page[slot], my->order[slot]);
	}
}
module_exit(nminolock_exit);

MODULE_DESCRIPTION("Allocations and frees from NMI");
MODULE_LICENSE("GPL");
