# SPDX-License-Identifier: GPL-2.0
"""Single bits of free lists flipped from outside, with and without the checker.

The checker has to report each before anything is written through it: the guest
sits in its panic, and the list, its neighbours and whatever the bad pointer leads
to are as they were. make test-long shows the same flips on the unpatched kernel.
All trials of a kernel begin at the same moment of the same guest.
"""

import re
import time
from dataclasses import dataclass

from lab import build, reports
from lab.cases import Failure, case
from lab.common import LabError
from lab.flips import ALIAS_BIT, DO, ORDER, Stage, poke_module
from lab.qemu import Guest, GuestPanic, GuestTimeout
from lab.record import LONG
from lab.snapshot import Snapshot

KERNEL = "x86"
POLICY = "page_consistency=on"
POINTER_BITS = (3, 4, 6, 9, 12, 20, 30, 40, 46, 62)
# ALIAS_BIT leads to another free block of the same list, see below.
HEAD_BITS = tuple(11 if bit == ALIAS_BIT else bit for bit in POINTER_BITS)
MEMORY = 512 << 20
NOISE = 10		# attempts to be served from the list that was damaged
LATER_BY = 0.1		# seconds; how much later each attempt begins
GET, CPU_GET = f"get {ORDER}", "get 2"
# What comes after a flip that nobody noticed.
LATER = f"for i in $(seq 24); do echo '{GET}' > {DO}; done; " \
        f"for i in $(seq 24); do echo 'put 0' > {DO}; done; " \
        f"for i in $(seq 40); do echo '{CPU_GET}' > {DO}; done; " \
        f"for i in $(seq 40); do echo 'put 0' > {DO}; done"
SPLAT = re.compile(r"BUG: unable to handle[^:]*|general protection fault|kernel BUG|"
                   r"invalid opcode|stack guard page|Oops|list_\w+ corruption")


@dataclass(frozen=True)
class Field:
    """Ten flips of one field; must: each has to be reported."""

    name: str
    moment: str
    bits: tuple
    act: str = GET
    must: bool = True

    @property
    def pointer(self):
        return self.name.endswith(("next", "prev")) or self.name.startswith("head.")


FIELDS = (
    Field("head.next, block leaves", "list", HEAD_BITS),
    Field("head.prev, last block leaves", "last", POINTER_BITS),
    Field("head.next, block joins", "list", POINTER_BITS, "join"),
    Field("head.prev, block joins the tail", "tail", POINTER_BITS, "join"),
    Field("page.buddy_list.next", "list", POINTER_BITS),
    Field("page.buddy_list.prev", "list", POINTER_BITS),
    Field("page.private", "list", (0, 1, 2, 3, 5, 8, 13, 20, 27, 31)),
    Field("page.page_type", "list", tuple(range(24, 32))),
    # The block it leads to is free and soundly linked: it is served, rightly, and what is
    # written is right. The next allocation meets a head that leads to a block in use.
    Field("head.next, to another free block", "list", (ALIAS_BIT,), must=False),
    # Not the checker's: what nobody reads before it is overwritten, and what only
    # check_pages=1 looks at.
    Field("page.private, upper half", "list", (32, 47, 63), must=False),
    Field("page.page_type, lower bits", "list", (0, 12, 23), must=False),
    Field("page.flags", "list", (0, 13, 62), must=False),
    Field("page._refcount", "list", (0, 10, 31), must=False),
    # Blocks of per-CPU lists have no owner either, but no hook stands before these lists.
    Field("per-CPU head.next", "cpu", POINTER_BITS, CPU_GET, must=False),
    Field("per-CPU page.pcp_list.next", "cpu", POINTER_BITS, CPU_GET, must=False),
)


@dataclass
class Moment:
    """A state to begin trials in."""

    snapshot: Snapshot
    head: int		# the list's, virtual
    join: str = ""	# the command that adds a block
    joins: int = 0	# its struct page


# -- moments --------------------------------------------------------------------

def members(stage, head):
    """The struct pages of a list that is sound."""
    pages, link = [], stage.record.read(head)
    while link != head:
        pages.append(stage.page_of(link))
        link = stage.record.read(link)
        if len(pages) > 4096:
            raise LabError("a free list has no end before anything was flipped")
    return pages


def _moment(stage, joins):
    # Pages that the last commands have freed are on their way to the lists.
    stage.guest.must("sleep 1")
    head = stage.free_list().virtual
    return Moment(Snapshot(stage.guest), head, stage.command_to_drop(joins),
                  stage.record.page(joins))


def _cpu_moment(stage):
    """A per-CPU list; its head is where the page freed last leads back to."""
    for _ in range(20):
        page = stage.record.page(stage.freed_on_cpu(2))
        link = page + stage.record.offset("page.buddy_list")
        moment = Moment(Snapshot(stage.guest), link)
        moment.snapshot.pause()
        moment.snapshot.restore()
        while stage.record.vmemmap <= moment.head < stage.record.vmemmap + MEMORY:
            moment.head = stage.record.read(moment.head + LONG)
        free = moment.head and page in members(stage, moment.head)
        moment.snapshot.resume()
        if free:		# otherwise the page has been taken meanwhile
            return moment
    raise LabError("no freed page stayed on its per-CPU list; is the guest busy?")


def moments(stage):
    """{name: Moment}; each begins at the first of them."""
    _, neighbours = stage.make_holes()
    made = {"list": _moment(stage, neighbours[0])}
    made["last"] = made["list"]
    made["cpu"] = _cpu_moment(stage)
    made["list"].snapshot.restore()
    stage.drop(neighbours[2])
    stage.drop(neighbours[3])
    made["tail"] = _moment(stage, neighbours[0])
    return made


def begin(stage, moment, field, attempt):
    """Go to the moment and pause; returns the struct pages on the list, and blocks taken.

    Each attempt begins later than the one before and with another block: what else the
    guest was about to do comes back with the moment, always after the same time.
    """
    moment.snapshot.pause()
    moment.snapshot.restore()
    if attempt:
        moment.snapshot.resume()
        time.sleep(attempt * LATER_BY)
        moment.snapshot.pause()
    pages, taken = members(stage, moment.head), 0
    # A block that joins meets the list as it is; to take some would be another command.
    take = 0 if field.act == "join" else \
        len(pages) - 1 if field.moment == "last" else min(attempt, len(pages) - 2)
    while take > 0:
        moment.snapshot.resume()
        stage.poke(field.act, take)
        moment.snapshot.pause()
        pages, taken = members(stage, moment.head), taken + take
        take = len(pages) - 1 if field.moment == "last" else 0
    return pages, taken


# -- one trial --------------------------------------------------------------------

def victim(stage, moment, pages, field_name):
    """Physical address of the word to be damaged."""
    name = field_name.split(",")[0].removeprefix("per-CPU ")
    side = LONG if name.endswith(".prev") else 0
    if name.startswith("head."):
        return stage.record.physical(moment.head) + side
    name = name.removeprefix("page.").replace("pcp_list", "buddy_list")
    return stage.field_at(pages[0], name.partition(".")[0]) + side


class Watch:
    """Has the list been written to, or what its bad pointer leads to?"""

    def __init__(self, stage, moment, pages, pointer):
        self.memory = stage.guest.memory
        size, link = stage.record.offset("page"), stage.record.offset("page.buddy_list")
        places = [(moment.head, 2 * LONG), *((page, size) for page in pages)]
        self.list = {stage.record.physical(at): length for at, length in places}
        # Where a pointer goes astray, others write too: only a link of this list is ours.
        self.links = {moment.head, *(page + link for page in (*pages, moment.joins))}
        self.astray = []
        try:
            where = stage.record.physical(pointer & -LONG) if pointer else MEMORY
            self.astray = [at for at in (where, where + LONG) if at + LONG <= MEMORY
                           and not any(0 <= at - on < n for on, n in self.list.items())]
        except LabError:
            pass		# it leads nowhere
        self.before = self._read()

    def _read(self):
        return ([self.memory.read_bytes(at, length) for at, length in self.list.items()],
                [self.memory.read64(at) for at in self.astray])

    def written(self):
        on_list, astray = self._read()
        return on_list != self.before[0] or any(
            now != then and now in self.links for now, then in zip(astray, self.before[1]))


def _what_happened(stage, moment, command, seconds):
    """'report', 'oops', 'hang' or 'served', and the console's words."""
    guest = stage.guest
    try:
        guest.wait(guest.start(command), seconds)
        return "served", moment.snapshot.said()
    except GuestPanic:
        pass
    except GuestTimeout:
        guest.timed_out = ""
        return "hang", moment.snapshot.said()
    try:
        guest.wait_for(lambda: "---[ end Kernel panic" in moment.snapshot.said(), 3,
                       "the end of the panic", True)
    except GuestTimeout:
        guest.timed_out = ""
    said = moment.snapshot.said()
    splat, own = SPLAT.search(said), said.find("page_consistency: ")
    return ("report" if own >= 0 and (not splat or own < splat.start()) else "oops"), said


def trial(stage, moment, field, bit):
    """Flip, provoke, look; returns (verdict, text for the table)."""
    wasted = []
    for attempt in range(NOISE):
        pages, taken = begin(stage, moment, field, attempt)
        if not pages:
            moment.snapshot.resume()
            wasted.append("an empty list")
            continue
        at = victim(stage, moment, pages, field.name)
        pointer = stage.guest.memory.read64(at) ^ 1 << bit if field.pointer else 0
        stage.guest.flip(at, bit)
        watch = Watch(stage, moment, pages, pointer)
        moment.snapshot.resume()
        act = moment.join if field.act == "join" else field.act
        kind, said = _what_happened(stage, moment, f"echo '{act}' > {DO}", 1)
        free = {stage.pfn_of(page) for page in pages}
        got = [int(pfn, 16) for pfn in re.findall(r"got pfn 0x([0-9a-f]+)", said)][taken:]
        wrote = ", after a write" if kind != "served" and watch.written() else ""
        # Others use the list too: a block that they freed may have been served first, and
        # what they wrote differs from time to time. What the flip causes does not.
        if kind != "served" and not (kind == "report" and wrote and attempt < NOISE - 1):
            break
        if kind == "served" and (not got or got[0] in free
                                 or got[0] == stage.pfn_of(stage.page_of(pointer))):
            break
        wasted.append(f"{kind}{wrote}, got {[hex(pfn) for pfn in got]} of "
                      f"{[hex(pfn) for pfn in sorted(free)]}")
    else:
        raise LabError(f"{field.name} bit {bit}: never served from the list in {NOISE} "
                       "attempts:\n" + "\n".join(wasted))
    if kind == "served":
        return _silent(stage, moment, got and got[0] not in free and got[0])
    if kind != "report":
        return kind, {"oops": "Oops", "hang": "hang"}[kind] + wrote
    found = reports.find(said)
    if not found:
        return "missed", "a panic without a report"
    return "late" if wrote else "reported", found[0].violation + wrote


def _silent(stage, moment, stray):
    """Nobody noticed at once; what comes of it?"""
    text = f"silent, pfn {stray:#x} handed out, which was not free" if stray else "silent"
    kind, said = _what_happened(stage, moment, LATER, 2)
    if kind == "report":
        found = reports.find(said)
        return "later", f"{text}, then {found[0].violation if found else 'a panic'}"
    return ("silent", text) if kind == "served" else (f"later {kind}", f"{text}, then {kind}")


# -- both kernels -------------------------------------------------------------------

def trials(base):
    """[(field, bit, verdict, text)] of one kernel."""
    kernel = build.built(KERNEL, base)
    guest = Guest(kernel, f"{'' if base else POLICY} panic=0".strip(), smp=1,
                  memory=f"{MEMORY >> 20}M", name="flips-base" if base else "flips", quiet=True,
                  files={"/poke.ko": poke_module(KERNEL, base)})
    with guest:
        guest.wait_ready()
        guest.must("insmod /poke.ko")
        stage = Stage(guest)
        made = moments(stage)
        return [(field, bit, *trial(stage, made[field.moment], field, bit))
                for field in FIELDS for bit in field.bits]


def count(results, field):
    verdicts = [verdict for one, _, verdict, _ in results if one is field]
    return ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))


def missed(results):
    """The flips that had to be reported in time and were not."""
    return [f"{field.name} bit {bit}: {text}" for field, bit, verdict, text in results
            if field.must and verdict != "reported"]


@case(kernels=[KERNEL])
def every_flip_is_reported_before_the_list_is_written(note):
    """reported: nothing was written; late: reported after a write; oops, hang, silent."""
    results = trials(False)
    for field in FIELDS:
        note(f"{field.name:34} {count(results, field)}"
             + ("" if field.must else "   (not promised)"))
    if bad := missed(results):
        raise Failure(f"{len(bad)} flips were not reported before the list was written:\n"
                      + "\n".join(bad))
