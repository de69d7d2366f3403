/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_PAGE_CONSISTENCY_SCRUB_H
#define _MM_PAGE_CONSISTENCY_SCRUB_H

#include <linux/types.h>

struct list_head;
struct page;
struct per_cpu_pages;
struct zone;

/**
 * struct pc_verified - what a verification has covered and found
 * @sections: sections whose arrays were compared
 * @pages: pages whose pairs were compared
 * @blocks: free blocks that were compared with the record
 * @mismatches: confirmed, and reported each
 * @ns: nanoseconds it took, preemption and all
 */
struct pc_verified {
	unsigned long sections;
	unsigned long pages;
	unsigned long blocks;
	unsigned long mismatches;
	u64 ns;
};

/**
 * struct pc_scrubbed - how the scrubber does
 * @passes: complete passes since boot
 * @work_ns: CPU time that the last of them took
 * @latency_ns: see pc_scrub_state()
 */
struct pc_scrubbed {
	unsigned long passes;
	u64 work_ns;
	u64 latency_ns;
};

/* What the record says about a page. */
enum pc_recorded {
	PC_INSIDE,
	PC_OUTSIDE,
	PC_DAMAGED,		/* or not tracked */
};

int pc_verify(struct pc_verified *result);
void pc_scrub_state(struct pc_scrubbed *state);

/* For tests. */
void pc_scrub_hold(void);
void pc_scrub_release(void);
unsigned int pc_scrub_period(void);
void pc_scrub_set_period(unsigned int ms);
enum pc_recorded pc_recorded(unsigned long pfn);
void pc_prove_alive(struct pc_verified *result);

/* audit.c */
void pc_audit_section(unsigned long section, struct pc_verified *result);
void pc_audit_zones(struct pc_verified *result);
unsigned long pc_audit_page(struct page *page, const struct zone *zone, struct pc_verified *result);
void pc_audit_head(const struct list_head *head, const struct zone *zone, unsigned int order,
		   struct pc_verified *result);
void pc_audit_pcp(const struct per_cpu_pages *pcp, unsigned int index, const struct zone *zone,
		  struct pc_verified *result);

#endif /* _MM_PAGE_CONSISTENCY_SCRUB_H */
