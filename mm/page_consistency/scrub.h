/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_PAGE_CONSISTENCY_SCRUB_H
#define _MM_PAGE_CONSISTENCY_SCRUB_H

#include <linux/mmzone.h>
#include <linux/types.h>

/**
 * struct pc_verified - what a verification has covered and found
 * @sections: sections whose arrays were compared
 * @pages: pages whose pairs were compared
 * @blocks: free blocks that were compared with the record
 * @mismatches: confirmed, and reported each
 * @proofs: hooks that were seen to be reached, and the key; all of them are PC_PROOFS
 * @ns: nanoseconds it took, preemption and all
 */
struct pc_verified {
	unsigned long sections;
	unsigned long pages;
	unsigned long blocks;
	unsigned long mismatches;
	unsigned int proofs;
	u64 ns;
};

/* The static key, and hand-out and free of a block from a per-CPU list and of a larger one. */
#define PC_PROOFS	5

/**
 * struct pc_scrubbed - how the scrubber does
 * @passes: complete passes since boot
 * @incomplete: passes that did not reach all hooks, for want of a free page
 * @work_ns: CPU time that the last complete one took
 * @latency_ns: see pc_scrub_state()
 */
struct pc_scrubbed {
	unsigned long passes;
	unsigned long incomplete;
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
void pc_verify_section(unsigned long section, struct pc_verified *result);
void pc_scrub_state(struct pc_scrubbed *state);

/* For tests. */
void pc_scrub_hold(void);
void pc_scrub_release(void);
unsigned int pc_scrub_period(void);
unsigned int pc_max_latency(void);
void pc_scrub_set_period(unsigned int ms);
enum pc_recorded pc_recorded(unsigned long pfn);
void pc_prove_alive(struct pc_verified *result);

/* state.c */
void pc_check_state(struct pc_verified *result);
extern unsigned int pc_tested;
extern u64 pc_tested_ns;

/* audit.c */
void pc_audit_section(unsigned long section, struct pc_verified *result);
void pc_audit_zones(struct pc_verified *result);
unsigned long pc_audit_page(struct page *page, const struct zone *zone, struct pc_verified *result)
	__must_hold(&zone->lock);
void pc_audit_head(const struct list_head *head, const struct zone *zone, unsigned int order,
		   struct pc_verified *result)
	__must_hold(&zone->lock);
void pc_audit_pcp(const struct per_cpu_pages *pcp, unsigned int index, const struct zone *zone,
		  struct pc_verified *result)
	__must_hold(&pcp->lock);

#endif /* _MM_PAGE_CONSISTENCY_SCRUB_H */
