# SPDX-License-Identifier: GPL-2.0
"""page_consistency=report: says it, counts it, refuses what can be refused, goes on."""

from lab import build, qemu, reports, splat
from lab.cases import Failure, case
from lab.common import LabError
from lab.flips import BUDDY, COPIES, SYSFS, Stage, poke_module

TAINT_BAD_PAGE = 1 << 5

ALLOW = [splat.Allow(kind, ".", "a report that the case has caused")
         for kind in ("checker", "trace", "bad-page")]


class _Tally:
    """Reports that must have been printed, and violations that must have been counted."""

    def __init__(self, stage):
        self.stage, self.printed, self.counted = stage, [], 0

    def after(self, violation=None):
        """One more violation; of a class that is printed now, or in silence."""
        self.counted += 1
        self.printed += [violation] if violation else []
        guest = self.stage.guest
        counted = int(guest.must(f"cat {SYSFS}/violations"))
        guest.must("dmesg > /dev/null")
        found = [r.violation for r in reports.find(guest.console())]
        if counted != self.counted:
            raise LabError(f"violations says {counted}, must say {self.counted}")
        if found != self.printed:
            raise LabError(f"printed were {found}, must be {self.printed}")


def _sane(stage, leaked):
    """The machine works, the record is sound, and nobody was given what was refused."""
    guest = stage.guest
    guest.must("pagepfn 60000 </dev/null | wc -l", 40)
    guest.must(f"echo 1 > {SYSFS}/verify", 40)
    mismatches = guest.must(f"cat {SYSFS}/verified_mismatches").strip()
    if mismatches != "0":
        raise LabError(f"verification finds {mismatches} mismatches after the reports")
    for pfn, state in leaked.items():
        if stage.record.state(pfn) != state:
            raise LabError(f"pfn {pfn:#x}, which was refused, is {stage.record.state(pfn)}, "
                           f"must be {state}: it did not stay out of use")
        page = stage.record.page(pfn)
        count = guest.memory.read32(stage.field_at(page, "_refcount"))
        kind = guest.memory.read32(stage.field_at(page, "page_type")) >> 24
        if count or kind == BUDDY:
            raise LabError(f"pfn {pfn:#x}, which was refused, has refcount {count}, "
                           f"type {kind:#x}: it is in use again or on a free list")


def _drive_report(guest):
    guest.must("insmod /poke.ko")
    stage = Stage(guest)
    tally, leaked = _Tally(stage), {}

    stage.poke("doublefree 2")
    tally.after("page freed but not handed out")
    if not int(guest.must("cat /proc/sys/kernel/tainted")) & TAINT_BAD_PAGE:
        raise LabError("the kernel is not tainted after a report")
    job, pfn = stage.used()
    stage.both(pfn)
    leaked[pfn] = "inside"
    stage.give_back(job)
    tally.after()				# the class has been seen
    for copy in COPIES:
        job, pfn = stage.used()
        stage.record.flip(pfn, copy)
        leaked[pfn] = "outside"
        stage.give_back(job)
        tally.after(f"record corrupt: {copy} bitmap")
    pfn = stage.held_free(2)
    stage.both(pfn, 2)
    stage.allocate()
    tally.after("page handed out twice")
    stage.poke("put 0", 30)
    guest.must("echo 1 > /sys/kernel/debug/clear_warn_once")
    stage.poke("doublefree 2")
    tally.after("page freed but not handed out")
    _sane(stage, leaked)


@case(kernels=["x86"])
def report_mode_goes_on(note):
    """Each class is printed once, all are counted, what is refused is leaked."""
    outcome = qemu.play(
        lambda: qemu.Guest(build.built("x86"), "page_consistency=report", smp=1, memory="512M",
                           name="report", quiet=True, allow=ALLOW,
                           files={"/poke.ko": poke_module()}), _drive_report)
    if not outcome.good:
        raise Failure(str(outcome))
    note(f"{len(reports.find(outcome.console))} reports printed, verified clean afterwards")


@case(kernels=["x86"])
def bad_page_stays_outside(note):
    """What another check refuses later has been taken back already: that is undone."""
    kernel, states = build.built("x86"), {}

    def make():
        return qemu.Guest(kernel, "page_consistency=on check_pages=1", name="bad-page", smp=1,
                          memory="512M", files={"/poke.ko": poke_module()}, allow=ALLOW, quiet=True)

    def drive(guest):
        guest.must("insmod /poke.ko")
        stage = Stage(guest)
        for order in (0, 3, 6):
            stage.poke(f"badfree {order}")
            line = guest.must("dmesg | grep 'poke: freeing bad' | tail -n 1")
            pfn = int(line.split("pfn ")[1].split()[0], 16)
            states[order] = {stage.record.state(n) for n in range(pfn, pfn + (1 << order))}
        guest.must(f"echo 1 > {SYSFS}/verify", 40)

    outcome = qemu.play(make, drive)
    if not outcome.good:
        raise Failure(str(outcome))
    for order, state in states.items():
        if state != {"outside"}:
            raise Failure(f"a bad block of order {order} was refused and is recorded {state}")
    note(f"blocks of order {', '.join(map(str, states))} were refused as bad pages")
