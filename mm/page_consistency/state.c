// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: its own variables are part of what is checked.
 *
 * Whatever decides whether something is looked at or said is either read-only once the
 * machine runs, or it is compared, in each pass, with a second copy or with what has to
 * be true of it.  Except for what has been said already, under page_consistency=report.
 */

#include <linux/cache.h>
#include <linux/compiler.h>
#include <linux/mutex.h>
#include <linux/page_consistency.h>

#include "report.h"
#include "scrub.h"
#include "section.h"

/* Detectors that the self-test at boot has seen to fire, and how long that took. */
unsigned int pc_tested __ro_after_init;
u64 pc_tested_ns __ro_after_init;

static const char *pc_bad_variable(void)
	__must_hold(&pc_store_mutex)
{
	/* It is true only while the mutex is held. */
	if (READ_ONCE(page_consistency_hold_nolock))
		return "allocations without locks are held";
	return pc_store_bad_state() ?: pc_report_bad_state();
}

/**
 * pc_check_state - are the checker's own variables what they have to be?
 * @result: counts
 *
 * Context: Process context, may sleep.
 */
void pc_check_state(struct pc_verified *result)
{
	struct pc_report report = { .event = PC_VERIFY, .violation = PC_BAD_STATE };

	scoped_guard(mutex, &pc_store_mutex)
		report.state = pc_bad_variable();
	if (!report.state)
		return;
	result->mismatches++;
	pc_report(&report);
}
