# SPDX-License-Identifier: GPL-2.0
"""Memory that fails under the record: the report says what was in it, and what is left. And
memory that fails in the middle of blocks: it is not handed out again, whatever their order.

Failures of the record are injected on the frames themselves, where the guest's memory says that
they are. The checker does not remember where its frames are: it finds them by its table.
"""

import re

from lab import build, qemu, reports
from lab.cases import Failure, case
from lab.cases.panicking import provoke
from lab.cases.paths import command, module
from lab.cases.report_mode import ALLOW
from lab.cases.silent import MIB2, set_huge
from lab.cases.witness import FILES, agrees, check, churn, number, play, shows, verify
from lab.flips import Stage
from lab.record import KERNEL_MAP, ROOT_SECTIONS, own_page

INJECT = "/sys/kernel/debug/hwpoison/corrupt-pfn"
PARTS = ("primary bitmap", "secondary bitmap", "table entries", "table roots",
         "inverted table roots")
MIDDLE = 0x10000			# a PFN in the middle of the guest's memory


def frames(record, pfn=MIDDLE):
    """{part: PFN of the frame that holds it} for the section of a PFN."""
    entry, root = record.entry(pfn), record.root(record.section(pfn))
    where = (record.physical(entry.primary), record.physical(entry.secondary),
             record.physical(root.pointer), root.pointer_at, root.inverted_at)
    return {part: address >> 12 for part, address in zip(PARTS, where)}


def others(found):
    """{part: what the report must say of its other copy}."""
    primary, secondary, _, roots, inverted = PARTS
    return {primary: found[secondary], secondary: found[primary],
            roots: found[inverted], inverted: found[roots]}


def inject(guest, pfn):
    """The kernel refuses to do anything about it, and says so."""
    return guest.sh(f"echo {pfn:#x} > {INJECT}")


def _panics(part):
    @case(["x86"], f"{part} in failed memory, page_consistency=on")
    def panics(note):
        def drive(stage):
            record, section = stage.record, stage.record.section(MIDDLE)
            found = frames(record)
            whole = part not in PARTS[:2]
            stage.expect(violation="record in failed memory", event="memory failure",
                         policy="on", pfn=found[part], order=0, part=part, buddy=0, reserved=1,
                         first=0 if whole else section,
                         last=ROOT_SECTIONS - 1 if whole else section)
            if part in others(found):
                stage.expect(other_copy="intact", other_pfn=others(found)[part],
                             agreed_what="sealed entries" if whole else "free blocks")
            else:
                stage.expect(other="none")
            inject(stage.guest, found[part])

        found = provoke(drive, name="memory-failure", memory="1G")
        if found.other != "none" and not found.agreed:
            raise Failure("the other copy was called intact, and was compared with nothing")
        note(found.essence)
    panics.__module__ = __name__
    return panics


for _part in PARTS:
    _panics(_part)


@case(["x86"], "other memory that fails is none of the checker's business")
def others_are_silent(note):
    def drive(guest):
        stage, told = Stage(guest), []
        mine = set(frames(stage.record).values())
        job, pfn = own_page(guest)
        told.append(pfn)
        inject(guest, pfn)
        zero = (guest.kernel.address("empty_zero_page") - KERNEL_MAP) >> 12
        told.append(zero)
        inject(guest, zero)
        check(not mine & set(told), "the case has hit the record itself")
        said = guest.must("dmesg")
        for pfn in told:
            check(f"Injecting memory failure at pfn {pfn:#x}" in said, f"{pfn:#x}: not injected")
        job.kill()
        agrees(guest, note)

    outcome = qemu.play(lambda: qemu.Guest(build.built("x86"), "page_consistency=on", smp=2,
                                           name="memory-failure", quiet=True), drive)
    if not outcome.good:
        raise Failure(str(outcome))


@case(["x86"], "page_consistency=report says it and goes on; then the other copy fails too")
def report_goes_on(note):
    wants = []

    def drive(guest):
        stage = Stage(guest)
        found = frames(stage.record)
        primary, secondary = PARTS[:2]
        wants.clear()
        wants.append({"pfn": found[primary], "part": primary, "other_copy": "intact"})
        inject(guest, found[primary])
        check(number(guest, "violations") == 1, "the failure was not counted")
        guest.must("echo 1 > /sys/kernel/debug/clear_warn_once")
        wants.append({"pfn": found[secondary], "part": secondary, "other_copy": "failed too",
                      "other_pfn": found[primary]})
        inject(guest, found[secondary])
        check(number(guest, "violations") == 2, "the second failure was not counted")
        # Nothing has really failed: the record is as it was, and the machine goes on.
        churn(guest, note)
        check(verify(guest)[-1] == 0, "mismatches after a failure that was only simulated")
        check(number(guest, "violations") == 2, f"{FILES}/violations rose again")

    outcome = qemu.play(lambda: qemu.Guest(build.built("x86"), "page_consistency=report",
                                           memory="1G", name="memory-failure", quiet=True,
                                           allow=ALLOW), drive)
    if not outcome.good:
        raise Failure(str(outcome))
    found = reports.find(outcome.console)
    if len(found) != len(wants):
        raise Failure(f"{len(found)} reports, {len(wants)} expected")
    for report, want in zip(found, wants):
        got = {name: getattr(report, name) for name in want}
        if got != want or not report.whole:
            raise Failure(f"the report says {got}, must say {want}\n" + "\n".join(report.text))
    note("two reports; the second names the first as failed")


@case(["x86"], "page_consistency=report says it before the kernel stops because of it")
def report_before_panic(note):
    def drive(guest):
        guest.must("echo 1 > /proc/sys/vm/panic_on_unrecoverable_memory_failure")
        inject(guest, frames(Stage(guest).record)[PARTS[0]])

    outcome = qemu.play(lambda: qemu.Guest(build.built("x86"), "page_consistency=report",
                                           memory="1G", name="memory-failure", quiet=True,
                                           allow=ALLOW), drive,
                        expect_panic=r"Memory failure: 0x\w+: unrecoverable page")
    if not outcome.good:
        raise Failure(str(outcome))
    before = outcome.console.partition("Kernel panic")[0]
    if [report.part for report in reports.find(before)] != [PARTS[0]]:
        raise Failure("there is no report before the panic")
    note(outcome.reason)


# --- memory that fails in the middle of blocks -------------------------------------------

# title: (commands of lab/modules/poison.c, command line, memory)
BLOCKS = {
    "in blocks of a driver": ("plain 1,plain 3,plain 4,plain 6,plain 9,plain 10", "", "512M"),
    "in compound blocks": ("comp 1,comp 2,comp 3,comp 9", "", "512M"),
    "in reserved blocks given back as a whole":
        ("reserved 1,reserved 3,reserved 9,reserved 10", "", "512M"),
    "in several pages of a block": ("several 2,several 7,severalcomp 3,severalcomp 9", "", "512M"),
    "in a block freed without locks": ("nolock 1,nolock 3", "", "512M"),
    "in a block freed without locks while the zone is locked":
        ("deferred 6,deferred 10", "", "512M"),
    "in a block larger than a section": ("frozen 16", "", "1G"),
    "in a block that is split and freed page by page": ("split 3,split 9", "", "512M"),
    "in a block, and unpoisoned while that is in use": ("unpoisoned 3,unpoisoned 9", "", "512M"),
    "on a per-CPU list": ("listed 0,listed 1,listed 3,listed 9", "", "512M"),
    "in blocks that are zeroed when they are freed":
        ("plain 3,comp 9", "init_on_free=1 page_poison=1", "512M"),
    "in blocks with other checks on":
        ("plain 3,comp 9", "check_pages=1 page_table_check=on debug_pagealloc=on", "512M"),
    # It counts the free of a page that is unpoisoned a second time, whoever kept it out.
    "in blocks whose owners are recorded": ("left 3,leftcomp 9", "page_owner=on", "512M"),
}


def _register_blocks():
    for title, (words, append, memory) in BLOCKS.items():
        def run(note, words=words, append=append, memory=memory):
            def drive(guest):
                guest.must("insmod /poison.ko")
                for one in words.split(","):
                    note(f"{one}: {command(guest, 'poison', one)}")
                agrees(guest, note)
            play(drive, f"page_consistency=on {append}".strip(), name="poison", smp=1,
                 memory=memory, files={"/poison.ko": module("poison")})
        run.__module__ = __name__
        case(["x86"], f"memory that fails {title}")(run)


_register_blocks()


@case(["x86"], "without the checker memory that has failed is handed out again")
def reused(note):
    def drive(guest):
        guest.must("insmod /poison.ko")
        for one in ("reused 1", "reused 3", "reused 9", "reusedres 1", "reusedres 9"):
            note(f"{one}: {command(guest, 'poison', one)}")
    play(drive, "page_consistency=off", name="poison", smp=1, memory="512M",
         files={"/poison.ko": module("poison")})


def fails(guest, words):
    """The page that user space has declared broken."""
    return int(re.search(r"pfn (0x\w+)", guest.must(f"memops {words}"))[1], 16)


def kept(guest, note, pfn, said):
    """It is not handed out until it is unpoisoned."""
    shows(f"{pfn:#x}: recovery action for {said}")(guest)
    note(f"{said}: {command(guest, 'poison', f'kept {pfn}')}")
    note(f"unpoisoned: {command(guest, 'poison', f'back {pfn}')}")
    shows(f"{pfn:#x}: software-unpoisoned page")(guest)


@case(["x86"], "memory that fails in huge pages")
def huge(note):
    def drive(guest):
        guest.must("insmod /poison.ko")
        # A huge page that is split; and one that cannot be, and is freed whole.
        guest.must("echo always > /sys/kernel/mm/transparent_hugepage/enabled")
        kept(guest, note, fails(guest, "broken thp"), "dirty LRU page: Recovered")
        kept(guest, note, fails(guest, "broken thp held"), "unsplit thp: Failed")
        # In use, taken out of use at once; free.
        set_huge(guest, MIB2, 4)
        kept(guest, note, fails(guest, "broken pool"), "huge page: Recovered")
        pfn = fails(guest, "pool 1")
        inject(guest, pfn)
        kept(guest, note, pfn, "free huge page: Recovered")
        # In use, and what happens to it is known only when it leaves the pool.
        pfn = fails(guest, "broken pool held")
        set_huge(guest, MIB2, 0)
        kept(guest, note, pfn, "huge page: Failed")
        agrees(guest, note)
    play(drive, "page_consistency=on", name="poison", smp=1, memory="512M",
         files={"/poison.ko": module("poison")})


@case(["x86"], "memory that fails, about which nothing is to be done")
def filtered(note):
    def drive(guest):
        guest.must("insmod /poison.ko")
        job, pfn = own_page(guest)
        note(command(guest, "poison", f"filtered {pfn}"))
        job.kill()
        agrees(guest, note)
    play(drive, "page_consistency=on", name="poison", smp=1, memory="512M",
         files={"/poison.ko": module("poison")})
