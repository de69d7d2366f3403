# SPDX-License-Identifier: GPL-2.0
"""Memory that fails under the record: the report says what was in it, and what is left.

Failures are injected on the frames themselves, where the guest's memory says that they are.
The checker does not remember where its frames are: it finds them by its table.
"""

from lab import build, qemu, reports
from lab.cases import Failure, case
from lab.cases.panicking import provoke
from lab.cases.report_mode import ALLOW
from lab.cases.witness import FILES, agrees, check, churn, number, verify
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
