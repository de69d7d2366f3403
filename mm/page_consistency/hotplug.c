// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: memory that comes and goes.
 *
 * A section is tracked from before its first page is freed in until after its last
 * page was taken off.  Arrays of memory that was hot-added are ordinary pages and
 * go with it; those made at boot are memblock's and stay, dormant, until their
 * section comes back.  Either way a section comes back with all its pages outside.
 */

#include <linux/align.h>
#include <linux/cleanup.h>
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/list.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/notifier.h>
#include <linux/rcupdate.h>
#include <linux/string.h>
#include <linux/topology.h>

#include "hotplug.h"
#include "report.h"
#include "section.h"

/* How often a chunk is asked for that has to lie apart from another. */
#define PC_APART_TRIES	4

enum pc_section_state {
	PC_SECTION_ABSENT,
	PC_SECTION_DORMANT,
	PC_SECTION_TRACKED,
	PC_SECTION_DAMAGED,
};

static void *pc_hot_alloc(size_t bytes, int nid)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_ZERO;
	void *p;

	/* Here only if it takes nothing from those who need it more. */
	p = alloc_pages_exact_nid(nid, bytes, gfp | __GFP_THISNODE | __GFP_NOWARN | __GFP_NORETRY);
	if (!p && !pc_remote)
		p = alloc_pages_exact_nid(nid, bytes, gfp);
	return p;
}

/* What lies too near is kept until something better was found. */
static void *pc_hot_alloc_apart(size_t bytes, int nid, const void *other)
{
	void *near[PC_APART_TRIES], *p = NULL;
	unsigned int i = 0;

	do {
		p = pc_hot_alloc(bytes, nid);
		if (!p || pc_far_enough(p, other))
			break;
		near[i++] = p;
		p = NULL;
	} while (i < ARRAY_SIZE(near));

	while (i--)
		free_pages_exact(near[i], bytes);
	return p;
}

static bool pc_from_memblock(const void *p)
{
	return PageReserved(virt_to_page(p));
}

static void pc_hot_free(void *p, size_t bytes)
{
	free_pages_exact(p, bytes);
}

/*
 * Memory beyond what was announced at boot: both halves of the first level are
 * replaced by longer ones with the same contents.  A lookup that began before they
 * were may still use any of the four, so the end of the table moves, and the old
 * ones go, after a grace period.
 */
static int pc_table_grow(unsigned long section, int nid)
	__must_hold(&pc_store_mutex)
{
	unsigned long nr_sections = round_up(section + 1, PC_ROOT_SECTIONS);
	size_t old_bytes = PAGE_ALIGN((pc_root_nr(pc_store.nr_sections) + 1) * sizeof(long));
	size_t bytes = PAGE_ALIGN((pc_root_nr(nr_sections) + 1) * sizeof(long));
	struct pc_section **roots, **old_roots = pc_store.roots;
	unsigned long *inverted, *old_inverted = pc_store.inverted;
	struct pc_section *absent = pc_absent_root();
	unsigned long nr;

	lockdep_assert_held(&pc_store_mutex);
	roots = pc_hot_alloc(bytes, nid);
	if (!roots)
		return -ENOMEM;
	inverted = pc_hot_alloc_apart(bytes, nid, roots);
	if (!inverted) {
		pc_hot_free(roots, bytes);
		return -ENOMEM;
	}

	for (nr = 0; nr <= pc_root_nr(nr_sections); nr++) {
		bool old = nr < pc_root_nr(pc_store.nr_sections);

		roots[nr] = old ? old_roots[nr] : absent;
		inverted[nr] = old ? old_inverted[nr] : ~(unsigned long)absent;
	}
	/* Whoever follows a pointer to either finds it filled. */
	smp_store_release(&pc_store.roots, roots);
	/* Likewise. */
	smp_store_release(&pc_store.inverted, inverted);
	synchronize_rcu();
	WRITE_ONCE(pc_store.nr_sections, nr_sections);
	pc_store_copy();

	pc_store.bytes += 2 * bytes;
	if (!pc_from_memblock(old_roots)) {
		pc_store.bytes -= 2 * old_bytes;
		pc_hot_free(old_roots, old_bytes);
		pc_hot_free(old_inverted, old_bytes);
	}
	return 0;
}

/* For a lookup of anything that is tracked, nothing changes. */
static void pc_set_root(unsigned long section, struct pc_section *root)
	__must_hold(&pc_store_mutex)
{
	unsigned long nr = pc_root_nr(section);

	/* The entries in it are there before it is. */
	smp_store_release(&pc_store.roots[nr], root);
	WRITE_ONCE(pc_store.inverted[nr], ~(unsigned long)root);
}

/* Damage is told apart from absence, and reported: nothing is built upon it. */
static enum pc_section_state pc_section_state(unsigned long section)
	__must_hold(&pc_store_mutex)
{
	struct pc_report report = { .event = PC_HOTPLUG };
	struct dual_bitmap map;

	if (section >= pc_store.nr_sections)
		return PC_SECTION_ABSENT;
	if (pc_lookup(section, &map))
		return PC_SECTION_TRACKED;
	report.violation = pc_store_failure(&pc_store, section, &report);
	if (report.violation == PC_BAD_POINTER)
		return pc_section_absent(&report.entry) ? PC_SECTION_ABSENT : PC_SECTION_DORMANT;
	report.pfn = section << PC_SECTION_SHIFT;
	pc_report(&report);
	return PC_SECTION_DAMAGED;
}

static struct pc_section *pc_hot_entry(unsigned long section)
	__must_hold(&pc_store_mutex)
{
	return pc_store.roots[pc_root_nr(section)] + pc_root_index(section);
}

/* From here on pages of the section may be freed in. */
static void pc_publish(unsigned long section, const struct dual_bitmap *map)
	__must_hold(&pc_store_mutex)
{
	struct pc_section *entry = pc_hot_entry(section);

	lockdep_assert_held(&pc_store_mutex);
	dual_bitmap_init(map, PC_SECTION_PAGES, true);
	WRITE_ONCE(entry->map.primary, map->primary);
	WRITE_ONCE(entry->map.secondary, map->secondary);
	/* Until it is sealed nobody looks at the arrays. */
	smp_store_release(&entry->seal, pc_seal(map, section));
	pc_set_tracked(pc_store.tracked + 1);
}

/* Both arrays and, if it is the first section there, a root; or nothing but a longer table. */
static int pc_section_add(unsigned long section, int nid)
	__must_hold(&pc_store_mutex)
{
	int other = pc_remote ? next_node_in(nid, node_states[N_MEMORY]) : nid;
	struct pc_section *root = NULL;
	struct dual_bitmap map;
	int error;

	if (pc_remote && other == nid)
		return -ENOMEM;
	if (section >= pc_store.nr_sections) {
		error = pc_table_grow(section, nid);
		if (error)
			return error;
	}
	if (pc_store.roots[pc_root_nr(section)] == pc_absent_root()) {
		root = pc_hot_alloc(PAGE_SIZE, nid);
		if (!root)
			return -ENOMEM;
	}
	map.primary = pc_hot_alloc(PC_ARRAY_BYTES, nid);
	map.secondary = map.primary ? pc_hot_alloc_apart(PC_ARRAY_BYTES, other, map.primary) : NULL;
	if (!map.secondary) {
		if (map.primary)
			pc_hot_free(map.primary, PC_ARRAY_BYTES);
		if (root)
			pc_hot_free(root, PAGE_SIZE);
		return -ENOMEM;
	}

	if (root) {
		pc_set_root(section, root);
		pc_store.bytes += PAGE_SIZE;
	}
	pc_store.bytes += 2 * PAGE_ALIGN(PC_ARRAY_BYTES);
	pc_store.distance = min(pc_store.distance, pc_distance(map.primary, map.secondary));
	pc_publish(section, &map);
	return 0;
}

/* Idempotent: what is tracked already stays as it is. */
static int pc_section_online(unsigned long section, int nid)
	__must_hold(&pc_store_mutex)
{
	switch (pc_section_state(section)) {
	case PC_SECTION_TRACKED:
		return 0;
	case PC_SECTION_DORMANT:
		pc_publish(section, &pc_hot_entry(section)->map);
		return 0;
	case PC_SECTION_ABSENT:
		return pc_section_add(section, nid);
	default:
		return -EIO;
	}
}

/* No hook can find it any more; those that have may still be looking. */
static void pc_section_hide(unsigned long section)
	__must_hold(&pc_store_mutex)
{
	struct pc_section *entry;

	if (pc_section_state(section) != PC_SECTION_TRACKED)
		return;
	entry = pc_hot_entry(section);
	WRITE_ONCE(entry->seal, ~entry->seal);
	pc_set_tracked(pc_store.tracked - 1);
}

/* The last entry of a root that came with hot-added memory takes the root along. */
static void pc_root_drop(unsigned long section)
	__must_hold(&pc_store_mutex)
{
	struct pc_section *root = pc_store.roots[pc_root_nr(section)];
	unsigned int i;

	if (root == pc_absent_root() || pc_from_memblock(root))
		return;
	for (i = 0; i < PC_ROOT_SECTIONS; i++)
		if (!pc_section_absent(&root[i]))
			return;
	pc_set_root(section, pc_absent_root());
	synchronize_rcu();
	pc_hot_free(root, PAGE_SIZE);
	pc_store.bytes -= PAGE_SIZE;
}

/* Arrays that nobody can be looking at: memblock's stay where they are. */
static void pc_section_drop(unsigned long section)
	__must_hold(&pc_store_mutex)
{
	struct dual_bitmap map;
	struct pc_section *entry;

	if (pc_section_state(section) != PC_SECTION_DORMANT)
		return;
	entry = pc_hot_entry(section);
	map = entry->map;
	if (pc_from_memblock(map.primary))
		return;
	*entry = (struct pc_section) { };
	pc_hot_free(map.primary, PC_ARRAY_BYTES);
	pc_hot_free(map.secondary, PC_ARRAY_BYTES);
	pc_store.bytes -= 2 * PAGE_ALIGN(PC_ARRAY_BYTES);
	pc_root_drop(section);
}

/**
 * pc_memory_online - track memory that is about to go online
 * @start: first PFN
 * @end: PFN after the last
 * @nid: its node
 *
 * On failure what was done stays; pc_memory_offline() takes it back.
 *
 * Context: Process context, may sleep; nobody may have been given these pages.
 * Return: 0, -ENOMEM, or -EIO if the table is damaged there, which was reported.
 */
int pc_memory_online(unsigned long start, unsigned long end, int nid)
{
	unsigned long section;
	int error;

	/* The first section of a node comes before there is memory on it. */
	if (!node_state(nid, N_MEMORY))
		nid = numa_mem_id();

	guard(mutex)(&pc_store_mutex);
	for (section = pc_section_nr(start); section <= pc_section_nr(end - 1); section++) {
		error = pc_section_online(section, nid);
		if (error)
			return error;
	}
	return 0;
}

/**
 * pc_memory_offline - stop tracking memory that has gone, or has not come
 * @start: first PFN
 * @end: PFN after the last
 *
 * Idempotent: memory that is not tracked may be passed.
 *
 * Context: Process context, may sleep; the allocator has none of these pages.
 */
void pc_memory_offline(unsigned long start, unsigned long end)
{
	unsigned long section;

	guard(mutex)(&pc_store_mutex);
	for (section = pc_section_nr(start); section <= pc_section_nr(end - 1); section++)
		pc_section_hide(section);
	synchronize_rcu();
	for (section = pc_section_nr(start); section <= pc_section_nr(end - 1); section++)
		pc_section_drop(section);
}

/*
 * With memmap_on_memory the range begins behind the memory map and thus inside a
 * section, which belongs to the same memory block as a whole.  So does the rest of
 * a section's memory, always: rounding outwards is right.
 *
 * A cancellation may come without what it cancels, when an earlier notifier or the
 * node's notifier has failed.
 */
static int pc_memory_callback(struct notifier_block *self, unsigned long action, void *data)
{
	const struct memory_notify *memory = data;
	unsigned long start = memory->start_pfn, end = start + memory->nr_pages;
	int error = 0;

	switch (action) {
	case MEM_GOING_ONLINE:
		error = pc_memory_online(start, end, pfn_to_nid(start));
		break;
	case MEM_CANCEL_ONLINE:
	case MEM_OFFLINE:
		pc_memory_offline(start, end);
		break;
	case MEM_ONLINE:
		/* Its pages were freed in through the hooks. */
	case MEM_GOING_OFFLINE:
		/* Pages are still used, moved and taken back. */
	case MEM_CANCEL_OFFLINE:
		/* Free pages were isolated and no longer are: inside all the time. */
		break;
	}
	return notifier_from_errno(error);
}

/**
 * pc_hotplug_init - follow memory that comes and goes
 *
 * Context: Boot, before any initcall can online memory.
 */
void __init pc_hotplug_init(void)
{
	hotplug_memory_notifier(pc_memory_callback, DEFAULT_CALLBACK_PRI);
}
