/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_PAGE_CONSISTENCY_SCRUB_H
#define _MM_PAGE_CONSISTENCY_SCRUB_H

#include <linux/types.h>

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

int pc_verify(struct pc_verified *result);

#endif /* _MM_PAGE_CONSISTENCY_SCRUB_H */
