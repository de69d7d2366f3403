# SPDX-License-Identifier: GPL-2.0
"""What drivers did to the page allocator, replayed by its public functions.

Each mistake of lab/modules/replay.c is made under page_consistency=on, which must stop the
kernel with a report that names the right kind, page and function; and beside it in the same
kernel with the checker off, and with check_pages=1, for what those say. All mistakes of a
kernel begin at the same moment of the same guest.
"""

import functools
import re
from dataclasses import dataclass

from lab import build, reports
from lab.cases import Failure, case
from lab.qemu import Guest, GuestPanic, GuestTimeout
from lab.snapshot import Snapshot

KERNEL = "x86"
DO = "/sys/module/replay/parameters/do"
SYMBOLS = ("free_pages_nolock", "ptlock_alloc", "vfree_atomic")
TOO_OFTEN, COUNTED = "page put too often", "free page with references"
IN_USE, ORDER = "page freed while in use", "block freed with a wrong order"
FREED = "page freed but not handed out"
SPLAT = re.compile(r"BUG: Bad page|BUG: [^\n]{0,60}|general protection fault|kernel BUG|Oops|"
                   r"WARNING: [^\n]{0,60}")
REASON = re.compile(r"page dumped because: (.*)")


@dataclass(frozen=True)
class Mistake:
    """A command of the module, and what the report has to say."""

    words: str
    violation: str
    function: str		# that the report names: the first outside of the allocator
    wrong: int = None		# the page of the block that is wrong, counted from 0

MISTAKES = {
    "page freed twice": Mistake("twice 0", TOO_OFTEN, "culprit_free"),
    "block of order 3 freed twice": Mistake("twice 3", TOO_OFTEN, "culprit_free"),
    "block of order 6 freed twice": Mistake("twice 6", TOO_OFTEN, "culprit_free"),
    "page put twice": Mistake("twice_put 0", COUNTED, "victim_alloc"),
    "page released twice": Mistake("twice_batch 0", COUNTED, "victim_alloc"),
    "page freed twice without locks": Mistake("twice_nolock 0", TOO_OFTEN, "culprit_nolock"),
    "page fragment freed twice": Mistake("twice_frag 0", TOO_OFTEN, "culprit_frag"),
    "page table freed twice": Mistake("twice_table 0", TOO_OFTEN, "culprit_pagetable"),
    "page of a vmalloc area freed before it": Mistake("twice_vfree 0", TOO_OFTEN, "vm_area_free_pages"),
    "exact pages freed twice": Mistake("twice_exact 3", TOO_OFTEN, "culprit_exact"),
    "page freed early, got by two others": Mistake("early 0", TOO_OFTEN, "victim_free"),
    "page in the middle of a block put, and free": Mistake("middle 0", FREED, "victim_free", 1),
    "page in the middle of a block put, and got": Mistake("middle 1", IN_USE, "victim_free", 1),
    "more freed than owned, neighbour in use": Mistake("larger 0", IN_USE, "culprit_coherent", 1),
    "more freed than owned, neighbour free": Mistake("larger 1", FREED, "culprit_coherent", 2),
    "split block freed as a whole": Mistake("pair 0", IN_USE, "culprit_free", 1),
    "compound block freed as a page": Mistake("compound 0", ORDER, "culprit_free"),
    "compound block freed as a half": Mistake("compound 1", ORDER, "culprit_free"),
    "compound block freed with its neighbour": Mistake("comp_larger 0", ORDER, "culprit_free"),
    "slab page put by a stranger": Mistake("slab 0", IN_USE, "culprit_folio_put"),
    "page table put by a stranger": Mistake("table 0", IN_USE, "culprit_put"),
}


@functools.cache
def module():
    kernel = build.built(KERNEL)
    names = {name for _, name in kernel.symbols()}
    return build.module(kernel, "replay", [name for name in SYMBOLS if name in names])


class Replays:
    """A guest in which mistakes are made, each from the same moment on."""

    def __init__(self, append, name):
        self.guest = Guest(build.built(KERNEL), f"{append} panic=0", smp=1, memory="512M",
                           name=name, quiet=True, files={"/replay.ko": module()})

    def __enter__(self):
        self.guest.__enter__()
        self.guest.wait_ready()
        self.guest.must("insmod /replay.ko")
        self.snapshot = Snapshot(self.guest)
        return self

    def __exit__(self, *what):
        return self.guest.__exit__(*what)

    def make(self, words):
        """What the console says, and what the module says if it comes back: (said, told)."""
        self.snapshot.restore()
        try:
            self.guest.wait(self.guest.start(f"echo '{words}' > {DO}"), 10)
            return self.snapshot.said(), self.guest.must(f"cat {DO}").strip()
        except GuestPanic:
            pass
        except GuestTimeout:
            self.guest.timed_out = ""
            return self.snapshot.said(), "hang"
        try:
            self.guest.wait_for(lambda: "---[ end Kernel panic" in self.snapshot.said(), 5,
                                "the end of the panic", True)
        except GuestTimeout:
            self.guest.timed_out = ""
        return self.snapshot.said(), "panic"


def wrong_with(report, mistake):
    """What a report says that is not what was done."""
    if report is None:
        return "no report"
    said = []
    if report.violation != mistake.violation:
        said.append(f"reported was '{report.violation}'")
    if not report.caller.startswith(mistake.function):
        said.append(f"it names {report.caller}, not {mistake.function}()")
    if report.wrong_page != (mistake.wrong or None):
        said.append(f"the wrong page is number {report.wrong_page}, must be {mistake.wrong}")
    if not report.whole or not report.essence.startswith(
            f"{mistake.violation} in {report.caller}: "):
        said.append(f"the panic line is '{report.essence}'")
    if not report.blame:
        said.append("nobody is blamed")
    return "; ".join(said)


@case(kernels=[KERNEL])
def mistakes_of_drivers_stop_the_kernel(note):
    """Each is a part; the page that is named is the one that the mistake was made with."""
    with Replays("page_consistency=on", "replay-on") as replays:
        for title, mistake in MISTAKES.items():
            said, told = replays.make(mistake.words)
            bad = wrong_with(reports.parse(said), mistake)
            note.part(title, "fail" if bad else "pass", f"{bad}\n{told}\n{said[-3000:]}" if bad else "")


def answer(said, told):
    """What a kernel without the checker says to a mistake, in a few words."""
    if reason := REASON.search(said):
        return f"bad page: {reason[1].strip()}"
    if splat := SPLAT.search(said):
        return splat[0].strip()
    return told if told in ("hang", "panic") else "nothing"


@case(kernels=[KERNEL])
def mistakes_of_drivers_without_the_checker(note):
    """The same kernel, off and with check_pages=1: a table, by which the claims are measured."""
    table = {}
    for column, append in (("off", "page_consistency=off"),
                           ("check_pages=1", "page_consistency=off check_pages=1")):
        with Replays(append, f"replay-{column.partition('=')[0]}") as replays:
            table[column] = {title: answer(*replays.make(mistake.words))
                             for title, mistake in MISTAKES.items()}
    for title, mistake in MISTAKES.items():
        note(f"{title:45} off: {table['off'][title]:28.28} check_pages=1: "
             f"{table['check_pages=1'][title]:36.36} on: {mistake.violation}")
    silent = [title for title in MISTAKES if table["off"][title] == "nothing"]
    if len(silent) < len(MISTAKES) // 2:
        raise Failure("without the checker most of these are silent, or they show nothing; "
                      f"silent are only: {silent}")
