/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_PAGE_CONSISTENCY_HARDWARE_H
#define _MM_PAGE_CONSISTENCY_HARDWARE_H

#include <linux/types.h>

#include "report.h"
#include "section.h"

bool pc_frame_holds(const struct pc_store *store, unsigned long pfn, enum pc_part part,
		    struct pc_frame *frame);

#endif /* _MM_PAGE_CONSISTENCY_HARDWARE_H */
