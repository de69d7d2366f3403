/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SHIM_LINUX_PROCESSOR_H
#define _SHIM_LINUX_PROCESSOR_H

#include <linux/compiler.h>

/* A macro, and a program may bring its own: what to do instead of waiting. */
#ifndef cpu_relax
#define cpu_relax()	barrier()
#endif

#endif
