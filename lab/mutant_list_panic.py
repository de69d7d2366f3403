# SPDX-License-Identifier: GPL-2.0
"""Breakages of how a panic of the checker ends."""

from lab.mutant_list import ALLOC, BOOT, REPORT, mutant
from lab.mutant_list_use import MUTANTS

LOCKED = "panic_ends:what panic() would wait for is locked, or the report stumbles"
UNDER_LOCK = "panic_ends:every option of panic(), task, with zone->lock held"
FREE = "panic_ends:every option of panic(), task, with no lock held"
FORCED = "panic_ends:panic_force_cpu= names a CPU with interrupts off, panic_on_taint= the report's"
STOPPING = "	if (page_consistency_stopping())\n"

__all__ = ["MUTANTS"]

mutant("memory-printed-under-its-lock", BOOT, UNDER_LOCK, (
    "mm/show_mem.c",
    "			nr[order] = READ_ONCE(area->nr_free);\n",
    "			spin_lock(&zone->lock);\n"
    "			nr[order] = area->nr_free;\n"
    "			spin_unlock(&zone->lock);\n"))

mutant("timers-waited-for", BOOT, LOCKED, (
    "kernel/time/timer_list.c",
    "	if (panic_in_progress())\n",
    "	if (0)\n"))

mutant("run-queues-waited-for", BOOT, LOCKED, (
    "kernel/sched/debug.c",
    "	if (!panic_in_progress()) {\n",
    "	if (1) {\n"))

mutant("list-used-by-who-stops", BOOT, UNDER_LOCK, (
    ALLOC,
    STOPPING + "		return NULL;\n\n	do {\n",
    "	do {\n"))

mutant("per-cpu-list-filled-by-who-stops", BOOT, UNDER_LOCK, (
    ALLOC,
    STOPPING + "		return 0;\n",
    ""))

mutant("block-freed-by-who-stops", BOOT, UNDER_LOCK, (
    ALLOC,
    "	if (page_consistency_stopping()) {\n		add_page_to_zone_llist(",
    "	if (0) {\n		add_page_to_zone_llist("))

mutant("per-cpu-list-emptied-by-who-stops", BOOT, UNDER_LOCK, (
    ALLOC,
    STOPPING + "		return true;\n",
    ""))

mutant("failure-complained-of-by-who-stops", BOOT, UNDER_LOCK, (
    ALLOC,
    STOPPING + "		return NULL;\n\n	if (unlikely(nofail)) {\n",
    "	if (unlikely(nofail)) {\n"))

mutant("kswapd-woken-by-who-stops", BOOT, LOCKED, (
    "mm/vmscan.c",
    STOPPING + "		return;\n",
    ""))

mutant("log-not-saved-before-panic", BOOT, FREE, (
    REPORT,
    "		kmsg_dump(KMSG_DUMP_OOPS);\n",
    ""))

mutant("oops-of-a-report-survived", BOOT, LOCKED, (
    REPORT,
    "		panic_on_oops = 1;\n",
    ""))

mutant("panic-claimed-too-late", BOOT, FORCED, (
    REPORT,
    "	if (panic_try_start()) {\n",
    "	if (!panic_in_progress()) {\n"))

mutant("taint-panics-first", BOOT, FORCED, (
    REPORT,
    "		panic_on_taint = 0;\n",
    ""))

mutant("buffer-of-pstore-waited-for", BOOT, LOCKED, (
    "fs/pstore/platform.c",
    "	if (panic_in_progress())\n		return true;\n",
    ""))
