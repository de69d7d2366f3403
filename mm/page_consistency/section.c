// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: where the record of a PFN is.
 *
 * page_ext is not used: it comes up after the first pages are freed, takes bytes
 * where two bits will do, and would put both copies side by side.  One flat
 * bitmap knows neither holes nor nodes.  So each memory section has a primary
 * and a secondary array of its own; those of a node lie in two clusters, because
 * every frame taken here pins the block of memory around it.
 */

#define pr_fmt(fmt) "page_consistency: " fmt

#include <linux/align.h>
#include <linux/cache.h>
#include <linux/init.h>
#include <linux/memblock.h>
#include <linux/minmax.h>
#include <linux/mmzone.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/preempt.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "section.h"

/*
 * Not read-only after boot, because memory may come: a damaged pointer in here leads
 * to roots that disagree with their inverted copies.
 */
#ifdef CONFIG_MEMORY_HOTPLUG
struct pc_store pc_store __read_mostly;
#else
struct pc_store pc_store __ro_after_init;
#endif

bool pc_remote __ro_after_init;

/* Guards changes of the table. */
DEFINE_MUTEX(pc_store_mutex);

/*
 * What leads to everything else is kept twice, the second time inverted; each pass
 * compares.
 */
static struct {
	unsigned long roots;
	unsigned long inverted;
	unsigned long nr_sections;
	unsigned long tracked;
} pc_store_inverse __guarded_by(&pc_store_mutex);

/**
 * pc_store_copy - what leads to the table has changed
 *
 * Context: Boot, or pc_store_mutex.
 */
void pc_store_copy(void)
	__must_hold(&pc_store_mutex)
{
	pc_store_inverse.roots = ~(unsigned long)pc_store.roots;
	pc_store_inverse.inverted = ~(unsigned long)pc_store.inverted;
	pc_store_inverse.nr_sections = ~pc_store.nr_sections;
}

/**
 * pc_set_tracked - the number of tracked sections has changed
 * @tracked: the number
 *
 * Context: Boot, or pc_store_mutex.
 */
void pc_set_tracked(unsigned long tracked)
{
	pc_store.tracked = tracked;
	pc_store_inverse.tracked = ~tracked;
}

/* As many sections have a record as are tracked. */
static bool pc_tracked_is_sound(void)
	__must_hold(&pc_store_mutex)
{
	unsigned long section, found = 0;

	if (pc_store_inverse.tracked != ~pc_store.tracked)
		return false;
	/* Damaged ones count: they are reported as what they are. */
	for (section = pc_next_section(0); section < pc_store.nr_sections;
	     section = pc_next_section(section + 1))
		found++;
	return found == pc_store.tracked;
}

/**
 * pc_store_bad_state - is what leads to the table what it was?
 *
 * Context: pc_store_mutex.
 * Return: NULL, or the name of what is not.
 */
const char *pc_store_bad_state(void)
{
	const unsigned long *absent;

	lockdep_assert_held(&pc_store_mutex);
	if (pc_store_inverse.roots != ~(unsigned long)pc_store.roots)
		return "table roots";
	if (pc_store_inverse.inverted != ~(unsigned long)pc_store.inverted)
		return "inverted table roots";
	if (pc_store_inverse.nr_sections != ~pc_store.nr_sections)
		return "length of the table";
	absent = (const unsigned long *)pc_absent_root();
	if (memchr_inv(absent, 0, PAGE_SIZE))
		return "entries of untracked sections";
	if (!pc_tracked_is_sound())
		return "number of tracked sections";
	return NULL;
}

/* Several small arrays share a page, large ones are chunks of their own. */
#define PC_CHUNK_BYTES	max(PC_ARRAY_BYTES, PAGE_SIZE)

/**
 * struct pc_cluster - arrays of one node that are carved from few chunks
 * @nid: where they should be
 * @below: and below which physical address
 * @next: room for the next array
 * @left: bytes left there
 * @lowest: physical address of the lowest chunk
 */
struct pc_cluster {
	int nid;
	phys_addr_t below;
	void *next;
	unsigned long left;
	phys_addr_t lowest;
};

/*
 * Does somebody who knows nothing of the table say that the section has to be in it?
 * The memory model does, with SPARSEMEM; one that holds nothing but its own memory map is
 * online and has no page that was ever freed in.
 */
static bool pc_must_be_tracked(const struct pc_store *store, unsigned long section)
{
#ifdef CONFIG_SPARSEMEM
	return store == &pc_store && section < NR_MEM_SECTIONS && online_section_nr(section) &&
	       !PageVmemmapSelfHosted(pfn_to_page(section << PC_SECTION_SHIFT));
#else
	return false;
#endif
}

/**
 * pc_store_failure - why pc_store_lookup() failed
 * @store: the table
 * @section: the section
 * @report: gets the section and its entry, or the root that does not lead to it
 *
 * Context: Any.
 * Return: what to report; PC_BAD_POINTER means not tracked, and rightly so.
 */
enum pc_violation pc_store_failure(const struct pc_store *store, unsigned long section,
				   struct pc_report *report)
{
	unsigned long nr = pc_root_nr(section);
	const struct pc_section *root;

	/* Roots come and go with hot-added memory, after a grace period. */
	guard(preempt_notrace)();
	report->section = section;
	if (section >= READ_ONCE(store->nr_sections))
		return PC_BAD_POINTER;

	root = READ_ONCE(READ_ONCE(store->roots)[nr]);
	report->root[0] = (unsigned long)root;
	report->root[1] = READ_ONCE(READ_ONCE(store->inverted)[nr]);
	report->has_root = report->root[0] != ~report->root[1];
	if (report->has_root)
		return PC_BAD_ROOT;

	report->entry = root[pc_root_index(section)];
	report->has_entry = true;
	if (!pc_section_absent(&report->entry) && !pc_section_dormant(&report->entry, section))
		return PC_BAD_ENTRY;
	return pc_must_be_tracked(store, section) ? PC_BAD_ENTRY : PC_BAD_POINTER;
}

/**
 * pc_next_section - walk over all sections that should have a record
 * @section: first candidate
 *
 * Damaged entries are returned too: it is the walker who reports them.
 *
 * Context: Any.
 * Return: number of the next section that is not known to be untracked, or
 *	   pc_store.nr_sections.
 */
unsigned long pc_next_section(unsigned long section)
{
	struct pc_report unused = { };
	struct dual_bitmap map;

	for (; section < READ_ONCE(pc_store.nr_sections); section++) {
		guard(preempt)();
		if (pc_lookup(section, &map) ||
		    pc_store_failure(&pc_store, section, &unused) != PC_BAD_POINTER)
			break;
	}
	return section;
}

/* Memory in ZONE_MOVABLE would be pinned there for ever. */
static phys_addr_t __init pc_movable_start(int nid)
{
	const struct zone *zone = &NODE_DATA(nid)->node_zones[ZONE_MOVABLE];

	if (!zone->spanned_pages)
		return MEMBLOCK_ALLOC_ACCESSIBLE;
	return PFN_PHYS(zone->zone_start_pfn);
}

/* Where it is wanted; else anywhere on the node; else anywhere. */
static void * __init pc_alloc(unsigned long bytes, phys_addr_t below, int nid)
{
	void *p = memblock_alloc_exact_nid_raw(bytes, PAGE_SIZE, 0, below, nid);

	if (!p && nid != NUMA_NO_NODE)
		p = memblock_alloc_exact_nid_raw(bytes, PAGE_SIZE, 0, pc_movable_start(nid), nid);
	if (!p)
		p = memblock_alloc_try_nid_raw(bytes, PAGE_SIZE, 0, MEMBLOCK_ALLOC_ACCESSIBLE,
					       nid);
	if (p)
		pc_store.bytes += bytes;
	return p;
}

/*
 * A chunk whose frames keep their distance to those of @other.  pc_alloc() drops the
 * limits where there is no room, and memblock may also work bottom up or, after kexec
 * handover, from some areas alone: so look at what came, and keep what is too near
 * until something better is found.
 */
static void * __init pc_alloc_apart(unsigned long bytes, phys_addr_t below, int nid,
				    const void *other)
{
	void *near[4], *p = NULL;
	unsigned int i = 0;

	do {
		p = pc_alloc(bytes, below, nid);
		if (!p || pc_far_enough(p, other))
			break;
		near[i++] = p;
		p = NULL;
	} while (i < ARRAY_SIZE(near));

	while (i--) {
		memblock_free(near[i], bytes);
		pc_store.bytes -= bytes;
	}
	return p;
}

static unsigned long * __init pc_carve(struct pc_cluster *cluster, const void *other)
{
	unsigned long *array;

	if (cluster->left && other && !pc_far_enough(cluster->next, other))
		cluster->left = 0;
	if (!cluster->left) {
		cluster->next = other ?
			pc_alloc_apart(PC_CHUNK_BYTES, cluster->below, cluster->nid, other) :
			pc_alloc(PC_CHUNK_BYTES, cluster->below, cluster->nid);
		if (!cluster->next)
			return NULL;
		cluster->left = PC_CHUNK_BYTES;
		cluster->lowest = min(cluster->lowest, __pa(cluster->next));
	}
	array = cluster->next;
	cluster->next += PC_ARRAY_BYTES;
	cluster->left -= PC_ARRAY_BYTES;
	return array;
}

/* The table's entry of a section, for writing; roots are made as needed. */
static struct pc_section * __init pc_entry(unsigned long section, int nid)
{
	unsigned long nr = pc_root_nr(section);
	struct pc_section *root = pc_store.roots[nr];

	if (root == pc_absent_root()) {
		root = pc_alloc(PAGE_SIZE, pc_movable_start(nid), nid);
		if (!root)
			return NULL;
		memset(root, 0, PAGE_SIZE);
		pc_store.roots[nr] = root;
		pc_store.inverted[nr] = ~(unsigned long)root;
	}
	return root + pc_root_index(section);
}

static const char * __init pc_table_init(void)
{
	unsigned long last, bytes, nr;
	struct pc_section *absent;

	/* Not all architectures know max_pfn before memory is freed into the allocator. */
	last = max_t(unsigned long, max_possible_pfn, PFN_UP(memblock_end_of_DRAM())) - 1;
	/* One root more than needed: the last always is the shared absent one. */
	pc_store.nr_sections = round_up(pc_section_nr(last) + 1, PC_ROOT_SECTIONS);
	last = pc_root_nr(pc_store.nr_sections);
	bytes = PAGE_ALIGN((last + 1) * sizeof(unsigned long));

	absent = pc_alloc(PAGE_SIZE, MEMBLOCK_ALLOC_ACCESSIBLE, NUMA_NO_NODE);
	pc_store.roots = pc_alloc(bytes, MEMBLOCK_ALLOC_ACCESSIBLE, NUMA_NO_NODE);
	if (!absent || !pc_store.roots)
		return "no memory for the table of sections";
	pc_store.inverted = pc_alloc_apart(bytes, __pa(pc_store.roots), NUMA_NO_NODE,
					   pc_store.roots);
	if (!pc_store.inverted)
		return "no memory for the second table of sections, apart from the first";

	memset(absent, 0, PAGE_SIZE);
	for (nr = 0; nr <= last; nr++) {
		pc_store.roots[nr] = absent;
		pc_store.inverted[nr] = ~(unsigned long)absent;
	}
	return NULL;
}

/* A section that spans nodes belongs to the first. */
static const char * __init pc_node_primaries(int nid, struct pc_cluster *cluster)
{
	unsigned long start, end, section;
	struct pc_section *entry;
	int i;

	for_each_mem_pfn_range(i, nid, &start, &end, NULL) {
		if (start == end)
			continue;
		for (section = pc_section_nr(start); section <= pc_section_nr(end - 1); section++) {
			entry = pc_entry(section, nid);
			if (!entry)
				return "no memory for the table of sections";
			if (entry->map.primary)
				continue;
			entry->map.primary = pc_carve(cluster, NULL);
			if (!entry->map.primary)
				return "no memory for the primary bitmap";
		}
	}
	return NULL;
}

static const char * __init pc_node_secondaries(int nid, struct pc_cluster *cluster)
	__context_unsafe(/* boot: there is one CPU */)
{
	unsigned long start, end, section;
	struct pc_section *entry;
	int i;

	for_each_mem_pfn_range(i, nid, &start, &end, NULL) {
		if (start == end)
			continue;
		for (section = pc_section_nr(start); section <= pc_section_nr(end - 1); section++) {
			entry = pc_entry(section, nid);
			if (entry->seal)
				continue;
			entry->map.secondary = pc_carve(cluster, entry->map.primary);
			if (!entry->map.secondary)
				return "no memory for the secondary bitmap, apart from the primary";
			/* Everything starts outside: freeing it in is a transition too. */
			dual_bitmap_init(&entry->map, PC_SECTION_PAGES, true);
			entry->seal = pc_seal(&entry->map, section);
			pc_set_tracked(pc_store.tracked + 1);
			pc_store.distance = min(pc_store.distance,
						pc_distance(entry->map.primary,
							    entry->map.secondary));
		}
	}
	return NULL;
}

/* Halfway down from the primaries to the start of the node. */
static phys_addr_t __init pc_secondary_limit(int nid, phys_addr_t primaries)
{
	phys_addr_t start = PFN_PHYS(NODE_DATA(nid)->node_start_pfn);

	if (primaries <= start)
		return primaries;
	return start + (primaries - start) / 2;
}

static const char * __init pc_node_init(int nid)
{
	struct pc_cluster primary = {
		.nid = nid, .below = pc_movable_start(nid), .lowest = PHYS_ADDR_MAX,
	};
	struct pc_cluster secondary = { .lowest = PHYS_ADDR_MAX };
	const char *why;

	why = pc_node_primaries(nid, &primary);
	if (why)
		return why;

	if (pc_remote) {
		secondary.nid = next_node_in(nid, node_states[N_MEMORY]);
		if (secondary.nid == nid)
			return "the second bitmap was asked for on another node, and there is none";
		secondary.below = pc_movable_start(secondary.nid);
	} else {
		secondary.nid = nid;
		secondary.below = pc_secondary_limit(nid, primary.lowest);
	}
	return pc_node_secondaries(nid, &secondary);
}

/**
 * pc_store_init - make a record for all memory present at boot
 * @remote: put the secondary array of a section on another node
 *
 * Context: Boot, before memblock_free_all().
 * Return: NULL, or why it is not possible.
 */
const char * __init pc_store_init(bool remote)
	__context_unsafe(/* boot: there is one CPU */)
{
	const char *why;
	int nid;

	pc_store.distance = PHYS_ADDR_MAX;
	pc_remote = remote;
	why = pc_table_init();
	for_each_node_state(nid, N_MEMORY) {
		if (why)
			break;
		why = pc_node_init(nid);
	}
	if (!why && !pc_store.tracked)
		why = "no memory to track";
	pc_store_copy();
	return why;
}
