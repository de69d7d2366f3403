/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_PAGE_CONSISTENCY_HOTPLUG_H
#define _MM_PAGE_CONSISTENCY_HOTPLUG_H

#ifdef CONFIG_MEMORY_HOTPLUG
int pc_memory_online(unsigned long start, unsigned long end, int nid);
void pc_memory_offline(unsigned long start, unsigned long end);
void pc_hotplug_init(void);
#else
static inline void pc_hotplug_init(void) { }
#endif

#endif /* _MM_PAGE_CONSISTENCY_HOTPLUG_H */
