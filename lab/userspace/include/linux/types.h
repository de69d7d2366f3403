/* SPDX-License-Identifier: GPL-2.0 */
/* User-space stand-in: only what dual_bitmap.h and table.h use. */
#ifndef _SHIM_LINUX_TYPES_H
#define _SHIM_LINUX_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;

typedef struct {
	long counter;
} atomic_long_t;

#endif
