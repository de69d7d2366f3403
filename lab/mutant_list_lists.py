# SPDX-License-Identifier: GPL-2.0
"""More breakages of make mutants: memory that comes and goes, per-CPU lists, rare ways."""

from lab.mutant_list import ALLOC, BOOT, CORE, HOTPLUG, LISTS, MUTANTS, UML, X86, mutant

__all__ = ["MUTANTS"]

# --- memory that comes and goes ------------------------------------------------------

SUITE = "page_consistency_hotplug."

mutant("hot-added-arrays-side-by-side", X86,
       SUITE + "copies_of_hot_added_memory_keep_their_distance", (
           HOTPLUG,
           "		if (!p || pc_far_enough(p, other))\n",
           "		if (!p || p != other)\n"))

mutant("memory-comes-back-as-it-went", BOOT, "hotplug:boot memory*", (
    HOTPLUG,
    "	dual_bitmap_init(map, PC_SECTION_PAGES, true);\n",
    "	if (!pc_from_memblock(map->primary))\n"
    "		dual_bitmap_init(map, PC_SECTION_PAGES, true);\n"))

mutant("range-not-rounded-up", X86, SUITE + "range_is_rounded_to_sections", (
    HOTPLUG,
    "	for (section = pc_section_nr(start); section <= pc_section_nr(end - 1); section++) {\n",
    "	for (section = pc_section_nr(start); section < pc_section_nr(end); section++) {\n"))

mutant("longer-table-without-the-old-roots", X86, SUITE + "table_grows_with_memory_beyond_it", (
    HOTPLUG,
    "		roots[nr] = old ? old_roots[nr] : absent;\n",
    "		roots[nr] = old && nr ? old_roots[nr] : absent;\n"))

mutant("root-of-hot-added-memory-stays", X86, SUITE + "root_comes_and_goes_with_its_sections", (
    HOTPLUG,
    "	pc_root_drop(section);\n",
    ""))

mutant("damaged-entry-taken-for-absent", X86, SUITE + "damaged_entry_is_not_built_upon", (
    HOTPLUG,
    "	return PC_SECTION_DAMAGED;\n",
    "	return PC_SECTION_ABSENT;\n"))

mutant("drop-the-notifier", BOOT, "hotplug:virtio-mem present at boot", (
    CORE,
    "	pc_hotplug_init();\n",
    ""))

mutant("offline-not-noticed", BOOT, "hotplug:boot memory*", (
    HOTPLUG,
    "	case MEM_OFFLINE:\n",
    ""))

mutant("cancellation-not-noticed", BOOT, "hotplug:online refused by a notifier after ours", (
    HOTPLUG,
    "	case MEM_CANCEL_ONLINE:\n",
    ""))

# --- per-CPU lists ---------------------------------------------------------------------

PCP = "page_consistency_pcp."

mutant("link-of-a-per-cpu-list-not-followed-back", UML, PCP + "link_to_another_block_is_reported", (
    LISTS,
    "	if (unlikely(!pc_is_pcp_link(*link, list) || (*link)->next != &page->pcp_list))\n",
    "	if (unlikely(!pc_is_pcp_link(*link, list)))\n"))

mutant("page-in-use-leaves-a-per-cpu-list", UML, PCP + "listed_page_in_use_is_reported", (
    LISTS,
    "		return PC_LISTED_OUTSIDE;\n	if (unlikely(pc_use(page)",
    "		return PC_NR_VIOLATIONS;\n	if (unlikely(pc_use(page)"))

mutant("poisoned-page-recorded-as-free", BOOT, "silent:pages offline*", (
    ALLOC,
    "		page_consistency_keep_out(page);\n",
    ""))

mutant("page-put-back-although-refused", BOOT, "paths:mistakes*", (
    ALLOC,
    "		if (!page_consistency_put_back(page))\n			return false;\n",
    "		page_consistency_put_back(page);\n"))

# --- ways that few pages take ------------------------------------------------------------

mutant("free-without-locks-without-the-hook", BOOT, "paths:allocation and free without locks", (
    ALLOC,
    "	if (!page_consistency_free(page, order))\n",
    "	if (!(fpi_flags & FPI_TRYLOCK) && !page_consistency_free(page, order))\n"))

mutant("deferred-free-undone", BOOT, "paths:free without locks while the zone is locked", (
    ALLOC,
    "			add_page_to_zone_llist(zone, page, order);\n			return;\n		}\n",
    "			page_consistency_unfree(page, order);\n"
    "			add_page_to_zone_llist(zone, page, order);\n			return;\n		}\n"))

mutant("block-handed-out-when-it-is-captured", BOOT, "paths:block captured by compaction", (
    ALLOC,
    "	capc->page = page;\n",
    "	capc->page = page;\n	page_consistency_alloc(page, order);\n"))

mutant("block-handed-out-when-it-is-isolated", BOOT, "paths:block isolated and put back", (
    ALLOC,
    "	del_page_from_free_list(page, zone, order, mt);\n\n	/*\n	 * Set the pageblock",
    "	del_page_from_free_list(page, zone, order, mt);\n"
    "	page_consistency_alloc(page, order);\n\n	/*\n	 * Set the pageblock"))

mutant("half-of-a-contiguous-block-not-handed-out", BOOT, "paths:contiguous range", (
    ALLOC,
    "			post_alloc_hook(page, order, gfp_mask, ALLOC_DEFAULT);\n			if (!order)\n",
    "			post_alloc_hook(page, order ? order - 1 : 0, gfp_mask, ALLOC_DEFAULT);\n			if (!order)\n"))

TAIL = "paths:tail freed ahead of a speculative reference"
mutant("tail-freed-ahead-without-the-hook", BOOT, TAIL, (
    ALLOC,
    "			__free_frozen_pages(page + (1 << order), order,\n"
    "					    fpi_flags);\n",
    "			__free_frozen_pages(page + (1 << order), order,\n"
    "					    fpi_flags | FPI_PREPARED);\n"))
