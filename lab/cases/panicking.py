# SPDX-License-Identifier: GPL-2.0
"""Each class of violation, caused in a running kernel, stops it with its report.

A case is good when the first report is of the right class and names the right
page, and the panic line carries the essence.
"""

from lab import build, layout, qemu, reports
from lab.cases import Failure, case
from lab.common import LabError
from lab.flips import BUDDY, COPIES, ORDER, SYSFS, Stage, poke_module
from lab.record import KERNEL_MAP, LONG, Record

POLICY = "page_consistency=on"


# -- judging ------------------------------------------------------------------

def first_report(console):
    found = reports.find(console)
    if not found:
        raise Failure("the console has no report of the checker")
    return found[0]


def compare(found, want):
    """The report against what was done; every difference is told."""
    got = {name: getattr(found, name) for name in want}
    wrong = [f"{name} is {got[name]!r}, must be {value!r}"
             for name, value in want.items() if got[name] != value]
    wrong += _complete(found)
    if wrong:
        raise Failure("the report does not fit what was done: " + "; ".join(wrong)
                      + "\n" + "\n".join(found.text))


def _complete(found):
    """What must be true of every report that was followed by a panic."""
    if not found.whole:
        yield "its last line is missing"
    if not found.essence.startswith(found.violation + " in "):
        yield f"the panic line says something else: {found.essence}"
    if found.pfn is not None and found.section != found.pfn >> 15:
        yield f"pfn {found.pfn:#x} is not in section {found.section}"
    for text in () if found.pfn is None or found.link is not None else \
            (f"pfn {found.pfn:#x} ", f"order {found.order}"):
        if text.strip() not in found.essence:
            yield f"the panic line lacks {text}"
    if found.mask is not None:
        words = f"primary {found.primary & found.mask:x} secondary " \
                f"{found.secondary & found.mask:x} of {found.mask:x}"
        if words not in found.essence:
            yield f"the panic line lacks '{words}'"


def provoke(drive, append="", name="panic", **machine):
    """Boot, let drive(stage) cause it, compare; returns the report."""
    machine = {"smp": 1, "memory": "512M", **machine}
    kernel, stages = build.built("x86"), []
    layout.of(kernel)		# seconds, in which the guest would take what was just freed

    def make():
        return qemu.Guest(kernel, f"{POLICY} {append}".strip(), name=name, quiet=True,
                          files={"/poke.ko": poke_module()}, **machine)

    def act(guest):
        # Every second, by itself, a worker returns pages of per-CPU lists to the free lists.
        guest.must("echo 3600 > /proc/sys/vm/stat_interval")
        guest.must("insmod /poke.ko")
        stages.append(Stage(guest))
        drive(stages[-1])

    outcome = qemu.play(make, act, expect_panic=reports.PREFIX)
    if not outcome.good:
        raise Failure(str(outcome))
    found = first_report(outcome.console)
    compare(found, stages[-1].want)
    return found


def panics(violation, event=None, name=None, **machine):
    """Make a case of a function that causes something."""
    def register(drive):
        title = name or drive.__name__

        def run(note):
            def act(stage):
                stage.expect(violation=violation, policy="on")
                if event:
                    stage.expect(event=event)
                drive(stage)
            note(provoke(act, name=title, **machine).essence)
        run.__module__ = drive.__module__
        case(kernels=["x86"], name=title)(run)
        return drive
    return register


# -- pages --------------------------------------------------------------------

@panics("page handed out twice", "hand-out")
def page_handed_out_twice(stage):
    pfn = stage.held_free(0)
    stage.expect(pfn=pfn, order=0, state="outside", must="inside", entry="intact", buddy=0)
    stage.both(pfn)
    stage.allocate()


@panics("page handed out twice", "hand-out", smp=2, nodes=2, memory="1G")
def block_handed_out_twice(stage):
    """On two nodes; the one that is named is that of the page."""
    pfn = stage.held_free(2)
    stage.expect(pfn=pfn, order=2, state="outside", node=pfn >> 17)
    stage.both(pfn, 2)
    stage.allocate()


@panics("page on a free list but not in the allocator", "leaving a free list")
def block_in_use_on_a_free_list(stage):
    """The same damage, met on the way out of a buddy list."""
    pfn = stage.pfn_of(stage.page_of(stage.make_holes()[0].next))
    stage.expect(pfn=pfn, order=ORDER, state="outside", must="inside", buddy=1,
                 buddy_order=ORDER)
    stage.both(pfn, ORDER)
    stage.poke(f"get {ORDER}")


@panics("page on a free list but not in the allocator", "leaving a free list")
def one_page_in_use_inside_a_free_block(stage):
    pfn = stage.pfn_of(stage.page_of(stage.make_holes()[0].next))
    stage.expect(pfn=pfn, order=ORDER, state="partly inside")
    stage.both(pfn + 7)
    stage.poke(f"get {ORDER}")


def _freed_twice(order):
    @panics("page freed but not handed out", "free", f"order_{order}_freed_twice")
    def freed_twice(stage):
        stage.expect(order=order, state="inside", must="outside", reserved=0)
        stage.poke(f"doublefree {order}")


for _order in (0, 2, ORDER, 9):
    _freed_twice(_order)


@panics("page freed but not handed out", "free")
def page_freed_that_is_recorded_inside(stage):
    job, pfn = stage.used()
    stage.expect(pfn=pfn, order=0, state="inside", must="outside")
    stage.both(pfn)
    stage.give_back(job)


@panics("reserved page freed", "free")
def reserved_page_freed(stage):
    pfn = (stage.guest.kernel.address("empty_zero_page") - KERNEL_MAP) >> 12
    stage.expect(pfn=pfn, order=0, reserved=1)
    stage.poke("freereserved 0")


def reserved_bit(stage):
    """The bit of PG_reserved: the zero page has no other flag."""
    pfn = (stage.guest.kernel.address("empty_zero_page") - KERNEL_MAP) >> 12
    flags = stage.guest.memory.read64(stage.field_at(stage.record.page(pfn), "flags"))
    low = flags & (1 << 20) - 1
    if low.bit_count() != 1:
        raise LabError(f"the zero page's flags are {flags:#x}, cannot tell PG_reserved from them")
    return low.bit_length() - 1


@panics("reserved page freed", "free")
def page_freed_whose_reserved_flag_flipped(stage):
    pfn = stage.get(ORDER)
    stage.expect(pfn=pfn, order=ORDER, reserved=1)
    stage.guest.flip(stage.field_at(stage.record.page(pfn), "flags"), reserved_bit(stage))
    stage.poke("put 0")


# -- the record ---------------------------------------------------------------

def _one_bit(stage, pfn, order, copy, page=0):
    """Flip one bit and say what the report must find."""
    words = stage.record.words(pfn + page)
    stage.record.flip(pfn + page, copy)
    stage.expect(pfn=pfn, order=order, state="corrupt", damage="one flipped bit",
                 bad=1 << words.bit, word=words.index, entry="intact")


def _corrupt(copy):
    violation = f"record corrupt: {copy} bitmap"

    @panics(violation, "free", f"{copy}_corrupt_at_free")
    def at_free(stage):
        job, pfn = stage.used()
        _one_bit(stage, pfn, 0, copy)
        stage.give_back(job)

    @panics(violation, "free", f"{copy}_corrupt_at_free_of_a_block")
    def at_free_of_a_block(stage):
        pfn = stage.get(ORDER)
        _one_bit(stage, pfn, ORDER, copy, 11)
        stage.poke("put 0")

    @panics(violation, "hand-out", f"{copy}_corrupt_at_hand_out")
    def at_hand_out(stage):
        _one_bit(stage, stage.held_free(2), 2, copy, 3)
        stage.allocate()

    @panics(violation, "leaving a free list", f"{copy}_corrupt_on_a_free_list")
    def on_a_free_list(stage):
        pfn = stage.pfn_of(stage.page_of(stage.make_holes()[0].next))
        _one_bit(stage, pfn, ORDER, copy, 15)
        stage.poke(f"get {ORDER}")


for _copy in COPIES:
    _corrupt(_copy)


@panics("record corrupt: one of the bitmaps", "verification")
def found_by_verification(stage):
    _, pfn = stage.used()
    _one_bit(stage, pfn, 0, "secondary")
    stage.expect(must="inside or outside")
    stage.guest.must(f"echo 1 > {SYSFS}/verify")


def _entry(part, bit):
    @panics("record corrupt: table entry", name=f"{part}_of_a_table_entry_corrupt")
    def table_entry(stage):
        pfn = stage.get(ORDER)
        stage.expect(section=stage.record.section(pfn), entry="broken")
        # Any page of the section will do: whoever comes first.
        stage.guest.flip(getattr(stage.record.entry(pfn), f"{part}_at"), bit)
        stage.poke("put 0")


for _part, _bit in (("primary", 20), ("secondary", 33), ("seal", 5)):
    _entry(_part, _bit)


def _root(part, bit):
    @panics("record corrupt: table root", name=f"{part}_root_corrupt")
    def table_root(stage):
        pfn = stage.get(ORDER)
        stage.expect(entry=None)
        stage.guest.flip(getattr(stage.record.root(stage.record.section(pfn)), f"{part}_at"), bit)
        stage.poke("put 0")


for _part, _bit in (("pointer", 12), ("inverted", 3)):
    _root(_part, _bit)


# -- free lists ---------------------------------------------------------------

@panics("not a struct page of tracked memory", "leaving a free list")
def list_leads_beside_a_struct_page(stage):
    area, _ = stage.make_holes()
    stage.expect(pointer=stage.page_of(area.next) + 8, order=ORDER, buddy=None)
    stage.guest.memory.write64(area.head, area.next + 8)
    stage.poke(f"get {ORDER}")


@panics("not a struct page of tracked memory", "leaving a free list")
def list_leads_out_of_memory(stage):
    area, _ = stage.make_holes()
    stage.expect(pointer=stage.page_of(area.next) ^ 1 << 62, order=ORDER, buddy=None)
    stage.guest.flip(area.head, 62)
    stage.poke(f"get {ORDER}")


@panics("block not aligned to its order", "leaving a free list")
def list_leads_into_a_block(stage):
    area, _ = stage.make_holes()
    size = stage.record.offset("page")
    stage.expect(pfn=stage.pfn_of(stage.page_of(area.next)) + 1, order=ORDER)
    stage.guest.memory.write64(area.head, area.next + size)
    stage.poke(f"get {ORDER}")


def _contradicts(name, bit):
    @panics("free block contradicts the record", "leaving a free list",
            f"{name}_of_a_free_block_corrupt")
    def block_contradicts(stage):
        page = stage.page_of(stage.make_holes()[0].next)
        stage.expect(pfn=stage.pfn_of(page), order=ORDER, entry="intact",
                     buddy=0 if name == "page_type" else 1)
        stage.guest.flip(stage.field_at(page, name), bit)
        stage.poke(f"get {ORDER}")


for _name, _bit in (("page_type", 24), ("private", 0)):
    _contradicts(_name, _bit)


def _link(side):
    """Of the first block."""
    @panics("free list corrupt", "leaving a free list", f"{side}_of_a_free_block_corrupt")
    def link_of_a_block(stage):
        page = stage.page_of(stage.make_holes()[0].next)
        at = stage.field_at(page, "buddy_list") + (LONG if side == "prev" else 0)
        link = stage.guest.memory.read64(at)
        stage.expect(pfn=stage.pfn_of(page), order=ORDER, link=link ^ 1 << 12)
        stage.guest.flip(at, 12)
        stage.poke(f"get {ORDER}")


for _side in ("next", "prev"):
    _link(_side)


@panics("free list corrupt", "joining a free list")
def block_joins_the_tail_of_a_corrupt_list(stage):
    area, neighbours = stage.make_holes()
    stage.drop(neighbours[2])
    stage.drop(neighbours[3])
    last = stage.guest.memory.read64(area.head + LONG)
    stage.expect(link=last ^ 1 << 13, order=ORDER, pfn=None)
    stage.guest.flip(area.head + LONG, 13)
    stage.drop(neighbours[0])


@panics("free list corrupt", "joining a free list")
def block_joins_a_corrupt_list(stage):
    area, neighbours = stage.make_holes()
    stage.expect(link=area.next ^ 1 << 13, order=ORDER, pfn=None)
    stage.guest.flip(area.head, 13)
    stage.drop(neighbours[0])


# -- without a page -----------------------------------------------------------

EARLY = "earlycon=uart8250,io,0x3f8"


@case(kernels=["x86"])
def impossible_is_a_panic_with_the_reason(note):
    """The second bitmap on another node, on a machine that has one node."""
    def make(nodes):
        return qemu.Guest(build.built("x86"), f"{EARLY} {POLICY},remote", smp=2, nodes=nodes,
                          name="impossible", quiet=True)
    outcome = qemu.play(lambda: make(1), lambda guest: None, expect_panic=reports.PREFIX)
    if not outcome.good:
        raise Failure(str(outcome))
    found = first_report(outcome.console)
    must = "asked for and not possible: the second bitmap was asked for on another node, " \
           "and there is none"
    if found.essence != must:
        raise Failure(f"it panicked with '{found.essence}', must be '{must}'")
    note(found.essence)

    def two_nodes(guest):
        record = Record(guest)
        entry = record.entry(0)
        apart = [record.physical(at) >> 29 for at in (entry.primary, entry.secondary)]
        if apart != [0, 1]:
            raise LabError(f"with two nodes the copies are on nodes {apart}, must be 0 and 1")
    outcome = qemu.play(lambda: make(2), two_nodes)
    if not outcome.good:
        raise Failure(str(outcome))


@panics("free list corrupt", "leaving a free list", append="cma=64M")
def block_is_moved_between_lists(stage):
    """Isolating a pageblock moves its free blocks to another list, found by PFN."""
    guest, record = stage.guest, stage.record
    area = guest.must("ls -d /sys/kernel/debug/cma/* | head -n 1").strip()
    base = int(guest.must(f"cat {area}/base_pfn"))
    guest.must(f"echo 1 > {area}/alloc")
    for order in range(2, 9):
        page = record.page(base + (1 << order))
        kind = guest.memory.read32(stage.field_at(page, "page_type")) >> 24
        if kind == BUDDY and guest.memory.read64(stage.field_at(page, "private")) == order:
            break
    else:
        raise Failure("no free block behind the page that was taken from the CMA area")
    at = stage.field_at(page, "buddy_list")
    link = guest.memory.read64(at)
    stage.expect(pfn=base + (1 << order), order=order, link=link ^ 1 << 46)
    guest.flip(at, 46)
    guest.must(f"echo 1 > {area}/alloc")
