/* SPDX-License-Identifier: GPL-2.0 */
/* The build gives PAGE_SHIFT and, with CONFIG_SPARSEMEM, SECTION_SIZE_BITS. */
#ifndef _SHIM_LINUX_MMZONE_H
#define _SHIM_LINUX_MMZONE_H

#define PAGE_SIZE		(1UL << PAGE_SHIFT)
#ifdef CONFIG_SPARSEMEM
#define PFN_SECTION_SHIFT	(SECTION_SIZE_BITS - PAGE_SHIFT)
#endif

#endif
