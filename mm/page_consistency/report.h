/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_PAGE_CONSISTENCY_REPORT_H
#define _MM_PAGE_CONSISTENCY_REPORT_H

#include <linux/compiler.h>
#include <linux/dual_bitmap.h>
#include <linux/types.h>

#include "table.h"

struct kernfs_node;
struct page;
struct zone;

/* What was violated.  Names and texts: pc_violations[] in report.c. */
enum pc_violation {
	PC_HANDED_OUT_TWICE,	/* handed out, but recorded outside already */
	PC_NOT_HANDED_OUT,	/* freed, but recorded inside already */
	PC_FREED_RESERVED,	/* freed while still PageReserved */
	PC_FREED_IN_USE,	/* freed, but counted, mapped or typed: it has an owner */
	PC_WRONG_ORDER,		/* freed as a block that it is not */
	PC_PUT_TOO_OFTEN,	/* put, and the count is below zero */
	PC_COUNTED,		/* in the allocator, but somebody has a reference */
	PC_LISTED_OUTSIDE,	/* on a free list, but recorded outside */
	PC_BAD_PRIMARY,		/* record damaged: the primary is not what it must be */
	PC_BAD_SECONDARY,	/* record damaged: the secondary is not what it must be */
	PC_BAD_PAIR,		/* record damaged: and nothing tells which of the two */
	PC_BAD_ENTRY,		/* table: an entry's seal is broken */
	PC_BAD_ROOT,		/* table: a root pointer and its copy disagree */
	PC_BAD_POINTER,		/* no struct page of tracked memory */
	PC_MISALIGNED,		/* the block's PFN is no multiple of its size */
	PC_BAD_BLOCK,		/* PageBuddy or order contradict the record */
	PC_BAD_LINK,		/* free-list pointers do not lead back */
	PC_NOT_REACHED,		/* a page went out or in, and the record did not change */
	PC_BAD_STATE,		/* a variable of the checker is not what it must be */
	PC_TOO_LATE,		/* no pass began and ended for longer than allowed */
	PC_BAD_FRAME,		/* hardware: memory failed that holds part of the record */
	PC_NR_VIOLATIONS
};

/* Where it was noticed. */
enum pc_event {
	PC_HAND_OUT,
	PC_TAKE_BACK,
	PC_LEAVE_LIST,
	PC_JOIN_LIST,
	PC_VERIFY,
	PC_HOTPLUG,
	PC_LEAVE_PCP,
	PC_JOIN_PCP,
	PC_MEMORY_FAILURE,
	PC_PUT,
	PC_NR_EVENTS
};

/* What a frame may hold of the record. */
enum pc_part {
	PC_PART_PRIMARY,	/* primary arrays */
	PC_PART_SECONDARY,	/* secondary arrays */
	PC_PART_ENTRIES,	/* a page of the table's entries */
	PC_PART_ROOTS,		/* pointers to these pages */
	PC_PART_INVERTED,	/* and their inverted copies */
	PC_NR_PARTS
};

/* What is known about the other copy of what was in a frame. */
enum pc_other {
	PC_OTHER_NONE,		/* there is no other copy */
	PC_OTHER_INTACT,	/* it agrees with all there is to compare it with */
	PC_OTHER_WRONG,		/* it does not */
	PC_OTHER_FAILED,	/* its memory has failed too */
	PC_NR_OTHERS
};

/**
 * struct pc_frame - a frame that holds part of the record
 * @part: which
 * @pfn: of the frame
 * @first: first section that it has to do with
 * @last: last section
 * @other: the other copy
 * @other_pfn: where the other copy is, of the first section or of the one that is not intact
 * @agreed: free blocks, or entries of the table, that the other copy agrees with
 */
struct pc_frame {
	enum pc_part part;
	unsigned long pfn;
	unsigned long first;
	unsigned long last;
	enum pc_other other;
	unsigned long other_pfn;
	unsigned long agreed;
};

/**
 * struct pc_report - everything known about a violation
 * @violation: what
 * @event: when
 * @page: as it was passed, or NULL; not to be trusted unless @proven
 * @proven: @page is a struct page of tracked memory and may be read
 * @has_words: @fault is valid
 * @has_entry: @entry is valid
 * @has_root: @root is valid
 * @pfn: first page of the block
 * @order: of the block
 * @wrong: the page of the block that is not as it must be, counted from @pfn; the
 *	   first, if there are several
 * @has_link: @link is valid; it may well be NULL
 * @section: pc_section_nr() of the offending pages
 * @fault: the words, bits in the mask as they were before they were changed
 * @entry: the table entry as it was found
 * @root: for PC_BAD_ROOT, the pointer and its inverted copy
 * @zone: whose free list, for lists
 * @link: for PC_BAD_LINK, the pointer that does not lead back
 * @frame: for PC_BAD_FRAME, what the failed memory holds
 * @state: for PC_BAD_STATE and PC_TOO_LATE, the name of the variable
 *
 * Who called the allocator is not in it: that is found on the stack, if it is said.
 *
 * The state the record should have had follows from @event: a hand-out, any list
 * and PC_VERIFY's list audit expect "inside", taking back expects "outside".
 */
struct pc_report {
	enum pc_violation violation;
	enum pc_event event;
	const struct page *page;
	bool proven;
	bool has_words;
	bool has_entry;
	bool has_root;
	bool has_link;
	unsigned long pfn;
	unsigned int order;
	unsigned long wrong;
	unsigned long section;
	struct dual_bitmap_fault fault;
	struct pc_section entry;
	unsigned long root[2];
	const struct zone *zone;
	const void *link;
	const struct pc_frame *frame;
	const char *state;
};

/**
 * struct pc_probe - what the self-test expects
 * @violation: of this kind
 * @reports: so many were taken
 */
struct pc_probe {
	enum pc_violation violation;
	unsigned int reports;
};

/* What page_consistency= has asked for. */
enum pc_policy {
	PC_POLICY_OFF,
	PC_POLICY_PANIC,
	PC_POLICY_REPORT,
};

extern enum pc_policy pc_policy;

const char *pc_policy_name(void);
void pc_policy_settle(void);
const char *pc_report_bad_state(void);
const char *pc_part_name(enum pc_part part);
unsigned long pc_violation_count(void);
void pc_report_watch(struct kernfs_node *file);
unsigned long pc_culprit(bool own);
void pc_expect(struct pc_probe *probe);
void pc_report(const struct pc_report *report);
void __printf(1, 2) pc_panic(const char *fmt, ...);

#endif /* _MM_PAGE_CONSISTENCY_REPORT_H */
