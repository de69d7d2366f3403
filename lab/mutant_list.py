# SPDX-License-Identifier: GPL-2.0
"""The breakages of make mutants, and for each the test that has to notice.

Each stands for a mistake that somebody could make, and is the smallest change that makes
it. Killers: 'user PROGRAM' (lab/userspace), 'kunit CONFIG' (suite.test), 'boot CONFIG'
(group:case of lab/cases). A line that the source has more than once is given with its
neighbours; only one of them changes.
"""

from dataclasses import dataclass

BITMAP = "include/linux/dual_bitmap.h"
AUDIT = "mm/page_consistency/audit.c"
BLOCK = "mm/page_consistency/block.h"
CORE = "mm/page_consistency/core.c"
LISTS = "mm/page_consistency/lists.c"
HOTPLUG = "mm/page_consistency/hotplug.c"
REPORT = "mm/page_consistency/report.c"
SCRUB = "mm/page_consistency/scrub.c"
SECTION = "mm/page_consistency/section.c"
LOOKUP = "mm/page_consistency/section.h"
TABLE = "mm/page_consistency/table.h"
ALLOC = "mm/page_alloc.c"

NARROW = "user exhaustive 64 narrow gcc"
MASKED = "user exhaustive 64 masked gcc asan"
BIG = "user unit 64 big endian gcc asan"
FLAT = "user table 64 flat page 2^12 gcc asan"
UML = "kunit uml"
X86 = "kunit x86"
BOOT = "boot x86"


@dataclass(frozen=True)
class Edit:
    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    name: str
    killer: str
    test: str
    edits: tuple


MUTANTS = []


def mutant(name, killer, test, *edits):
    MUTANTS.append(Mutant(name, killer, test, tuple(Edit(*edit) for edit in edits)))


# --- the pair of words: what a change of a run does --------------------------

mutant("skip-the-secondary", NARROW, "every_run_changes_and_nothing_else_does", (
    BITMAP,
    "	old = dual_bitmap_write(&map->secondary[word], mask, !set);\n",
    "	old = set ? mask : 0;\n"))

mutant("skip-the-secondary-of-words", NARROW, "every_run_changes_and_nothing_else_does", (
    BITMAP,
    "		old = xchg((unsigned long *)((unsigned long)word + apart), ~fill);\n",
    "		old = apart ? fill : 0;\n"))

mutant("second-operation-unconditional", NARROW, "every_single_bit_error_is_detected", (
    BITMAP,
    "	if (unlikely(old != (set ? 0 : mask)))\n",
    "	if (unlikely(old != (set ? 0 : mask) &&\n"
    "		     (dual_bitmap_write(&map->secondary[word], mask, !set) | 1)))\n"))

mutant("second-operation-of-a-bit-unconditional", UML,
       "dual_bitmap.of_two_racing_changes_one_fails_as_a_repeat", (
           BITMAP,
           "		return DUAL_BITMAP_AT_PRIMARY;\n	if (unlikely((set ?",
           "		return (set ? test_and_clear_bit(bit, map->secondary) :\n"
           "			      test_and_set_bit(bit, map->secondary)) != set ?\n"
           "			DUAL_BITMAP_AT_SECONDARY : DUAL_BITMAP_AT_PRIMARY;\n"
           "	if (unlikely((set ?"))

mutant("second-operation-of-words-unconditional", UML,
       "dual_bitmap.failed_first_step_leaves_the_secondary_alone", (
           BITMAP,
           "		if (unlikely(old != ~fill))\n",
           "		if (unlikely(old != ~fill &&\n"
           "			     (xchg((unsigned long *)((unsigned long)word + apart), ~fill) | 1)))\n"))

mutant("swap-two-masks", NARROW, "every_run_changes_and_nothing_else_does", (
    BITMAP,
    "	if (unlikely(old != (set ? mask : 0)))\n",
    "	if (unlikely(old != (set ? 0 : mask)))\n"))

mutant("test-without-the-secondary", NARROW, "every_single_bit_error_is_detected", (
    BITMAP,
    "		if (unlikely((primary | ~secondary) & mask)) {\n",
    "		if (unlikely(primary & mask)) {\n"))

mutant("test-stops-a-word-early", NARROW, "every_single_bit_error_is_detected", (
    BITMAP,
    "	} while (word++ < end);\n	return true;\n",
    "	} while (++word < end);\n	return true;\n"))

mutant("change-stops-a-word-early", NARROW, "every_run_changes_and_nothing_else_does", (
    BITMAP,
    "	} while (++word != end);\n",
    "	} while (++word + 1 < end);\n"))

mutant("settle-loop-removed", NARROW, "loser_of_a_race_waits_for_the_winner", (
    BITMAP,
    "	while (!secondary && ((primary ^ seen) & mask) != mask && --tries) {\n",
    "	while (0 && --tries) {\n"))

mutant("undo-mistakes-the-copies", NARROW, "undo_clear_leaves_only_soundly_clear_bits_clear", (
    BITMAP,
    "	unsigned long set = fault->mask & (fault->primary | ~fault->secondary);\n",
    "	unsigned long set = fault->mask & (fault->secondary | ~fault->primary);\n"))

mutant("big-endian-unit-not-mirrored", BIG, "byte_that_holds_the_bit", (
    BITMAP,
    "		unit ^= BITS_PER_LONG / width - 1;\n",
    "		unit ^= 0;\n"))

# --- the table ---------------------------------------------------------------

mutant("section-left-out-of-the-seal", FLAT, "seal_shows_the_entry_of_another_section", (
    TABLE,
    "	return ((unsigned long)map->primary + section + 1) ^ secondary;\n",
    "	return ((unsigned long)map->primary + 1) ^ secondary;\n"))

mutant("section-mask-off-by-one", FLAT, "pfns_lead_back_to_themselves", (
    TABLE,
    "#define PC_SECTION_MASK		(PC_SECTION_PAGES - 1)\n",
    "#define PC_SECTION_MASK		(PC_SECTION_PAGES - 2)\n"))

mutant("seal-ignored", UML, "page_consistency.flipped_bit_in_the_table_is_found", (
    LOOKUP,
    "	return likely(data_race(entry->seal) == pc_seal(map, section));\n",
    "	return likely(entry->seal);\n"))

mutant("root-copy-ignored", UML, "page_consistency.flipped_bit_in_the_table_is_found", (
    LOOKUP,
    "	if (unlikely((unsigned long)entry != ~READ_ONCE(data_race(store->inverted)[nr])))\n",
    "	if (unlikely(!entry))\n"))

mutant("last-section-of-a-range-untracked", UML, "page_consistency.all_memory_is_tracked", (
    SECTION,
    "	for (section = pc_section_nr(start); section <= pc_section_nr(end - 1); section++) {\n"
    "			entry = pc_entry(section, nid);\n			if (!entry)\n",
    "	for (section = pc_section_nr(start); section < pc_section_nr(end - 1); section++) {\n"
    "			entry = pc_entry(section, nid);\n			if (!entry)\n"), (
    SECTION,
    "	for (section = pc_section_nr(start); section <= pc_section_nr(end - 1); section++) {\n"
    "			entry = pc_entry(section, nid);\n			if (entry->seal)\n",
    "	for (section = pc_section_nr(start); section < pc_section_nr(end - 1); section++) {\n"
    "			entry = pc_entry(section, nid);\n			if (entry->seal)\n"))

# --- the hooks -----------------------------------------------------------------

mutant("drop-the-hook-of-hand-out", UML,
       "page_consistency.page_in_use_is_reported_before_it_is_touched", (
           ALLOC,
           "	/* First: if the page is in use already, its owner's data are intact. */\n"
           "	page_consistency_alloc(page, order);\n",
           ""))

HOOK = "	page_consistency_alloc(page, order);\n"
mutant("hook-after-zeroing", UML,
       "page_consistency.page_in_use_is_reported_before_it_is_touched", (
           ALLOC, HOOK, ""), (
           ALLOC,
           "	set_page_owner(page, order, gfp_flags);\n	page_table_check_alloc(page, order);\n",
           "	set_page_owner(page, order, gfp_flags);\n	page_table_check_alloc(page, order);\n"
           + HOOK))

mutant("drop-the-hook-of-free", UML, "page_consistency.second_free_is_refused", (
    ALLOC,
    "	if (!page_consistency_free(page, order))\n		return false;\n",
    ""))

mutant("refused-page-is-freed-all-the-same", UML, "page_consistency.second_free_is_refused", (
    ALLOC,
    "	if (!page_consistency_free(page, order))\n		return false;\n",
    "	page_consistency_free(page, order);\n"))

mutant("accept-reserved-pages", UML, "page_consistency.reserved_page_is_not_freed", (
    CORE,
    "	if (unlikely(pc_telling_flags(page) || pc_use(page)",
    "	if (unlikely((pc_telling_flags(page) & BIT(PG_head)) || pc_use(page)"))

mutant("accept-reserved-blocks", BOOT, "panicking:page_freed_whose_reserved_flag_flipped", (
    CORE,
    "	unsigned long flags = pc_telling_flags(page) & (BIT(PG_head) | BIT(PG_reserved));\n",
    "	unsigned long flags = pc_telling_flags(page) & BIT(PG_head);\n"))

mutant("reserved-page-is-freed-all-the-same", UML, "page_consistency.reserved_page_is_not_freed", (
    CORE,
    "	pc_misused(PC_TAKE_BACK, violation, page, order, wrong);\n	return false;\n",
    "	pc_misused(PC_TAKE_BACK, violation, page, order, wrong);\n	return true;\n"))

mutant("accept-a-misaligned-block", UML, "page_consistency.misaligned_block_is_reported", (
    BLOCK,
    "	return pc_is_page(page, pfn) && likely(!(*pfn & ((1UL << order) - 1)));\n",
    "	return pc_is_page(page, pfn);\n"))

mutant("accept-a-misaligned-pointer", X86,
       "page_consistency.pointer_that_is_no_struct_page_is_reported", (
           LOOKUP,
           "		return likely(IS_ALIGNED((unsigned long)page, sizeof(*page)));\n",
           "		return true;\n"))

# The comparison that FLATMEM makes instead cannot be missed by a test under UML: struct page
# has 56 bytes there, and of a pointer that is off the exact division makes a wild PFN.

mutant("refused-hand-out-not-forced", UML,
       "page_consistency.block_around_a_page_in_use_is_reported", (
           CORE,
           "	for (pfn = bad; pfn < end; pfn += PC_SECTION_PAGES)\n"
           "		if (pc_lookup(pc_section_nr(pfn), &map))\n",
           "	for (pfn = bad; pfn < end; pfn += PC_SECTION_PAGES)\n"
           "		if (0 && pc_lookup(pc_section_nr(pfn), &map))\n"))

mutant("refused-free-not-undone", UML, "page_consistency.free_around_a_free_page_is_refused", (
    CORE,
    "	if (pc_lookup(pc_section_nr(bad), &map))\n",
    "	if (0 && pc_lookup(pc_section_nr(bad), &map))\n"))

mutant("unfree-does-nothing", UML, "page_consistency.unfree_makes_a_page_outside_again", (
    CORE,
    "void __page_consistency_unfree(struct page *page, unsigned int order)\n{\n"
    "	pc_alloc_sections(page, order);\n",
    "void __page_consistency_unfree(struct page *page, unsigned int order)\n{\n"))

mutant("listed-block-not-looked-up", UML, "page_consistency_lists.listed_page_in_use_is_reported", (
    BLOCK,
    "	if (unlikely(!dual_bitmap_is_clear(&map, pc_section_bit(pfn), order, &bad->words)))\n",
    "	if (unlikely(!dual_bitmap_is_clear(&map, pc_section_bit(pfn), 0, &bad->words)))\n"))

mutant("order-of-a-listed-block-ignored", UML,
       "page_consistency_lists.block_that_contradicts_the_record_is_reported", (
           BLOCK,
           "	if (unlikely(pc_use(page) != PC_USE_BUDDY || page_private(page) != order))\n",
           "	if (unlikely(pc_use(page) != PC_USE_BUDDY))\n"))

mutant("link-that-does-not-lead-back-accepted", UML,
       "page_consistency_lists.flipped_link_of_a_page_is_reported", (
           BLOCK,
           "		if (likely(pc_is_link(link, zone, order) && link->next == &page->buddy_list))\n",
           "		if (likely(pc_is_link(link, zone, order)))\n"))

mutant("head-that-skips-a-block-accepted", UML,
       "page_consistency_lists.head_that_skips_a_block_is_reported", (
           LISTS,
           "	if (unlikely((head->next == &page->buddy_list && page->buddy_list.prev != head) ||\n",
           "	if (unlikely(\n"))

mutant("only-one-end-of-a-list-looked-at", UML,
       "page_consistency_lists.flipped_link_of_a_list_head_is_reported", (
           LISTS,
           "	struct list_head *link = tail ? READ_ONCE(head->prev) : READ_ONCE(head->next);\n",
           "	struct list_head *link = READ_ONCE(head->next);\n"), (
           LISTS,
           "		     (tail ? link->next : link->prev) != head))\n",
           "		     link->prev != head))\n"))

# --- what is said --------------------------------------------------------------

mutant("wrong-copy-named", UML, "page_consistency.flipped_bit_is_reported_at_free", (
    CORE,
    "		return PC_BAD_PRIMARY;\n",
    "		return PC_BAD_SECONDARY;\n"))

mutant("wrong-class-named", UML, "page_consistency.second_free_is_refused", (
    CORE,
    "			return PC_NOT_HANDED_OUT;\n",
    "			return PC_HANDED_OUT_TWICE;\n"))

# --- verification --------------------------------------------------------------

mutant("mismatch-not-confirmed", UML,
       "page_consistency.verification_is_silent_while_all_cpus_allocate", (
           SCRUB,
           "			pc_suspect(section, word++, result);\n",
           "			word++, result->mismatches++;\n"))

mutant("verification-names-other-pairs", UML, "page_consistency.verification_finds_a_flipped_bit", (
    SCRUB,
    "		pc_report_pair(section, &confirm.map, word, confirm.bad);\n",
    "		pc_report_pair(section, &confirm.map, word, ~0UL);\n"))

mutant("damage-taken-for-a-transition", UML, "page_consistency.verification_finds_a_flipped_bit", (
    SCRUB,
    "		bad &= pc_still_bad(section, word);\n",
    "		bad &= ~pc_still_bad(section, word);\n"))

mutant("audit-skips-the-last-blocks", UML, "page_consistency_scrub.every_free_block_is_audited", (
    AUDIT,
    "	for (word = BIT_WORD(bit); word < PC_ARRAY_WORDS; word++) {\n",
    "	for (word = BIT_WORD(bit); word < PC_ARRAY_WORDS / 2; word++) {\n"))

mutant("audit-steps-over-a-block", UML, "page_consistency_scrub.every_free_block_is_audited", (
    AUDIT,
    "	return 1UL << order;\n}\n",
    "	return 2UL << order;\n}\n"))

mutant("audit-without-links", UML, "page_consistency_scrub.flipped_link_of_a_free_block_is_found", (
    AUDIT,
    "!pc_prove_links(page, zone, order, &bad) ||\n",
    "\n"))

mutant("audit-without-the-block-before", UML,
       "page_consistency_scrub.block_that_looks_used_is_found_by_its_neighbours", (
           AUDIT,
           "	pc_audit_neighbour(page->buddy_list.next, zone, order, result);\n",
           ""))

mutant("audit-without-the-block-behind", UML,
       "page_consistency_scrub.block_that_is_recorded_outside_is_found_by_its_neighbours", (
           AUDIT,
           "	pc_audit_neighbour(page->buddy_list.prev, zone, order, result);\n",
           ""))

mutant("audit-of-one-end-of-a-list", UML,
       "page_consistency_scrub.flipped_link_of_a_head_is_found", (
           AUDIT,
           "	if (!pc_is_link(prev, zone, order) || prev->next != head)\n",
           "	if (0)\n"))

mutant("head-does-not-prove-its-block", UML,
       "page_consistency_scrub.first_block_that_looks_used_is_found_by_the_head", (
           AUDIT,
           "		pc_audit_neighbour(next, zone, order, result);\n",
           "		;\n"))

mutant("cpu-list-entry-not-looked-up", UML,
       "page_consistency_scrub.page_in_use_on_a_cpu_list_is_found", (
           AUDIT,
           "		if (!dual_bitmap_is_clear(&map, pc_section_bit(pfn), order, &bad.words)) {\n",
           "		if (!dual_bitmap_is_clear(&map, pc_section_bit(pfn), 0, &bad.words)) {\n"))

mutant("cpu-list-not-followed-back", UML,
       "page_consistency_scrub.flipped_link_of_a_cpu_list_is_found", (
           AUDIT,
           "		    READ_ONCE(next->prev) != link)\n",
           "		    0)\n"))

mutant("unseen-hand-out-accepted", UML,
       "page_consistency_scrub.hand_out_that_is_not_recorded_is_reported", (
           SCRUB,
           "			return recorded == PC_DAMAGED;\n",
           "			return true;\n"))

mutant("unseen-free-accepted", UML,
       "page_consistency_scrub.free_that_is_not_recorded_is_reported", (
           SCRUB,
           "	return recorded != PC_OUTSIDE;\n",
           "	return true;\n"))

mutant("one-look-after-a-free", UML, "page_consistency_scrub.reached_hooks_are_not_reported", (
    SCRUB,
    "#define PC_CANARY_TRIES	64\n",
    "#define PC_CANARY_TRIES	1\n"))

mutant("pass-not-spread-over-its-period", UML, "page_consistency_scrub.scrubber_keeps_its_period", (
    SCRUB,
    "	if (now + NSEC_PER_SEC / HZ <= due)\n",
    "	if (0)\n"))

mutant("new-period-after-the-old", UML, "page_consistency_scrub.new_period_takes_effect_at_once", (
    SCRUB,
    "	wake_up(&pc_scrub_wait);\n",
    ""), (
    SCRUB,
    "	atomic_inc(&pc_scrub_changes);\n",
    ""))

mutant("scrubber-compares-no-arrays", BOOT, "scrub:no flip is missed for two passes", (
    SCRUB,
    "		pc_scrub_turn_begin();\n		pc_verify_section(section, result);\n",
    "		pc_scrub_turn_begin();\n"))

mutant("scrubber-walks-no-zones", BOOT, "scrub:no flip is missed for two passes", (
    SCRUB,
    "	pc_audit_zones(&result);\n",
    ""))

mutant("nolock-hold-left-out", UML,
       "page_consistency_use.nolock_allocation_fails_while_a_mismatch_is_confirmed", (
           ALLOC,
           "	if (page_consistency_nolock_held())\n		return false;\n",
           ""))

# --- what only a whole machine shows -------------------------------------------------

mutant("drop-the-hook-of-leaving-a-list", BOOT, "panicking:block_in_use_on_a_free_list", (
    ALLOC,
    "	page_consistency_leave(page, zone, order, migratetype);\n\n        VM_WARN_ONCE",
    "        VM_WARN_ONCE"))

mutant("drop-the-hook-of-joining-a-list", BOOT, "panicking:block_joins_a_corrupt_list", (
    ALLOC,
    "	page_consistency_join(zone, order, migratetype, tail);\n",
    ""))

mutant("drop-the-hooks-of-moving-to-a-list", BOOT, "panicking:block_is_moved_between_lists", (
    ALLOC,
    "	page_consistency_leave(page, zone, order, old_mt);\n"
    "	page_consistency_join(zone, order, new_mt, true);\n",
    ""))

OFFLINE = "silent:pages offline*"
mutant("drop-the-hook-of-taking-a-page-off", BOOT, OFFLINE, (
    ALLOC,
    "			page_consistency_alloc(page, 0);\n",
    ""))

mutant("drop-the-hook-of-putting-a-page-back", BOOT, OFFLINE, (
    ALLOC,
    "		if (!page_consistency_put_back(page))\n			return false;\n",
    ""))

mutant("drop-the-hook-of-the-later-refusal", BOOT, "report_mode:bad_page_stays_outside", (
    ALLOC,
    "			page_consistency_unfree(page, order);\n",
    ""))

GIGANTIC = "silent:1 GiB page*"
mutant("hand-out-stops-a-section-early", BOOT, GIGANTIC, (
    CORE,
    "	} while (pfn < end);\n}\n",
    "	} while (pfn + PC_SECTION_PAGES < end);\n}\n"))

mutant("free-stops-a-section-early", BOOT, GIGANTIC, (
    CORE,
    "	} while (pfn < end);\n	return true;\n",
    "	} while (pfn + PC_SECTION_PAGES < end);\n	return true;\n"))

mutant("report-does-not-panic", BOOT, "panicking:page_handed_out_twice", (
    REPORT,
    "	if (pc_stops()) {\n		pc_report_and_stop(report, culprit);\n		return;\n	}\n",
    ""))

mutant("who-polls-is-not-woken", BOOT, "selftests:LKDTM: who polls*", (
    REPORT,
    "	if (pc_watched)\n		irq_work_queue(&pc_wake);\n",
    ""))
