/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LAB_PATHS_H
#define _LAB_PATHS_H

/*
 * What the modules have in common that send pages on their ways:
 *
 *	echo "COMMAND NUMBER" > /sys/module/MODULE/parameters/do
 *	cat /sys/module/MODULE/parameters/do
 *
 * The write fails unless what the command's name says was done; the read tells
 * what happened.  For one CPU: what is looked at behind a free must not be handed
 * out again by another.
 */

#include <linux/gfp.h>
#include <linux/llist.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/stdarg.h>

#include "internal.h"
#include "page_alloc.h"

struct command {
	const char *name;
	int (*run)(unsigned long number);
};

/* The module's own, up to one without a name. */
extern const struct command commands[];
static char said[256];

/* Why a command failed, or what it did. */
static __printf(2, 3) int tell(int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
	return error;
}

static struct page *get(unsigned int order)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);

	if (!page)
		tell(-ENOMEM, "no block of order %u to be had", order);
	return page;
}

/* Freed while the zone is locked, as from NMI: to be put on a list by the next who frees. */
static int deferred_free(struct page *page, unsigned int order)
{
	struct zone *zone = page_zone(page);

	guard(spinlock_irqsave)(&zone->lock);
	free_pages_nolock(page, order);
	if (llist_empty(&zone->trylock_free_pages))
		return tell(-EIO, "the block is not on trylock_free_pages");
	return 0;
}

static int run(const char *text, const struct kernel_param *param)
{
	unsigned long number;
	char name[16];
	int i;

	if (sscanf(text, "%15s %lu", name, &number) != 2)
		return tell(-EINVAL, "a command and a number are wanted");
	if (num_online_cpus() > 1)
		return tell(-EBUSY, "this is for one CPU");
	for (i = 0; commands[i].name; i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].run(number);
	return tell(-EINVAL, "no command '%s'", name);
}

static int show(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%s\n", said);
}

static const struct kernel_param_ops run_ops = { .set = run, .get = show };
module_param_cb(do, &run_ops, NULL, 0600);

#endif /* _LAB_PATHS_H */
