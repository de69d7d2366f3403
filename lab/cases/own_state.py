# SPDX-License-Identifier: GPL-2.0
"""Damage to what the checker itself rests on, written into the guest's memory from outside.

Under page_consistency=on each must stop the kernel with a report that names what was damaged,
at the latest when the next pass of the scrubber ends; and none may keep a violation from
stopping it.
"""

import re
from dataclasses import dataclass, field

from lab import build, qemu, reports
from lab.cases import Failure, case
from lab.cases.panicking import first_report
from lab.cases.replay import module
from lab.cases.witness import FILES, check, number
from lab.flips import Stage, poke_module
from lab.record import LONG, ONES
from lab.splat import Allow

SCRUB = "page_consistency.scrub_ms=200"
STATE, ENTRY = "checker's own state corrupt", "record corrupt: table entry"
LATE, MISSED = "detection latency exceeded", "checker not reached"
TOO_OFTEN = "page put too often"
REPORT = 2			# PC_POLICY_REPORT
STOPS_IN = 25			# seconds
MISTAKE = "echo 'twice 0' > /sys/module/replay/parameters/do"


@dataclass
class Damaged:
    """A guest, ways to damage it, and what its report has to say."""

    guest: object
    want: dict = field(default_factory=dict)

    def __post_init__(self):
        self.stage = Stage(self.guest)
        self.record, self.memory = self.stage.record, self.guest.memory

    def at(self, name, cpu=None):
        """Physical address of a variable, of a CPU's copy if it has one for each."""
        address = self.guest.kernel.address(name)
        if cpu is not None:
            offsets = self.guest.kernel.address("__per_cpu_offset") + cpu * LONG
            address = address + self.record.read(offsets) & ONES
        return self.record.physical(address)

    def idle_entry(self):
        """The entry of a section in which nothing happens: the last, and that of node 1."""
        area = next(area for area in self.record.free_lists(self.record.offset("orders") - 1)
                    if area.node == 1)
        entry = self.record.entry(self.stage.pfn_of(self.stage.page_of(area.next)))
        self.want["section"] = entry.section
        return entry

    def wipe(self, entry):
        self.guest.qmp.ask("stop")
        for at in (entry.primary_at, entry.secondary_at, entry.seal_at):
            self.memory.write64(at, 0)
        self.guest.qmp.ask("cont")

    def owned_entry(self):
        """The entry of a section whose pages are all in use: nothing of it is on any list."""
        order = self.record.offset("orders") - 1
        for _ in range(400):
            self.stage.poke(f"get {order}", 8)
            lines = self.guest.must("dmesg | grep 'poke: got'").splitlines()
            got = [int(line.split("pfn ")[1].split()[0], 16) >> 15 for line in lines]
            full = next((n for n in set(got) if got.count(n) == 1 << 15 - order), None)
            if full is not None:
                self.want["section"] = full
                return self.record.entry(full << 15)
        raise Failure("no section could be had as a whole")

    def mistake(self):
        """A violation that the damage must not hide."""
        self.guest.start(f"insmod /replay.ko; {MISTAKE}")


# What is damaged: (kind of the report, does the scrubber run?, how).
DAMAGE = {}


def damages(title, violation, append=SCRUB, **want):
    def register(act):
        DAMAGE[title] = (violation, append, want, act)
        return act
    return register


@damages("table entry wiped", ENTRY, entry="not tracked")
def wiped(damaged):
    damaged.wipe(damaged.idle_entry())


@damages("table entry wiped of a section all of whose pages are in use", ENTRY,
         entry="not tracked")
def owned(damaged):
    damaged.wipe(damaged.owned_entry())


@damages("table entry that reads as offline", ENTRY, entry="offline")
def dormant(damaged):
    entry = damaged.idle_entry()
    damaged.memory.write64(entry.seal_at, entry.seal ^ ONES)


@damages("entry of an untracked section", STATE, variable="entries of untracked sections")
def absent(damaged):
    roots = damaged.memory.read64(damaged.at("pc_store"))
    last = damaged.record.room() >> 7
    damaged.guest.flip(damaged.record.physical(damaged.record.read(roots + last * LONG)) + 64, 5)


@damages("number of tracked sections", STATE, variable="number of tracked sections")
def tracked(damaged):
    damaged.guest.flip(damaged.at("pc_store") + 3 * LONG, 0)


# A pass that is going on meets roots that are none before the next one looks at the length.
@damages("length of the table", f"{STATE}|record corrupt: table root",
         variable="length of the table")
def length(damaged):
    damaged.guest.flip(damaged.at("pc_store") + 2 * LONG, 12)


@damages("allocations without locks held back", STATE,
         variable="allocations without locks are held")
def held(damaged):
    damaged.memory.write8(damaged.at("page_consistency_hold_nolock"), 1)


@damages("the period", STATE, variable="scrub_ms")
def period(damaged):
    damaged.guest.flip(damaged.at("pc_scrub_ms"), 1)


@damages("the policy", STATE, variable="policy")
def policy(damaged):
    damaged.memory.write32(damaged.at("pc_policy"), REPORT)


@damages("the static key", MISSED)
def key(damaged):
    damaged.memory.write32(damaged.at("page_consistency_enabled"), 0)


@damages("a lock of the scrubber, so that it waits for ever", LATE,
         f"{SCRUB} page_consistency.max_latency_ms=1500", variable="max_latency_ms")
def hanging(damaged):
    # struct semaphore: the lock of its own, then the count.
    damaged.memory.write32(damaged.at("pc_scrub_turn") + 4, 0)


# With these no pass comes to look at what was damaged: a mistake is made, and stops the kernel.
@damages("a CPU that reports already, and then a mistake", TOO_OFTEN, "")
def mute(damaged):
    damaged.memory.write8(damaged.at("pc_reporting", cpu=0), 1)
    damaged.mistake()


@damages("the policy, and then a mistake", TOO_OFTEN, "")
def mild(damaged):
    damaged.memory.write32(damaged.at("pc_policy"), REPORT)
    damaged.mistake()


def stops(note, title):
    """Damage it, and see that it stops; the panic line says what the report would."""
    violation, append, want, act = DAMAGE[title]
    made = []

    def drive(guest):
        guest.must("insmod /poke.ko")
        if append:
            guest.wait_for(lambda: number(guest, "scrub_passes") >= 2, 30, "two passes")
        made.append(Damaged(guest, dict(want)))
        act(made[0])
        guest.wait_for(lambda: False, STOPS_IN, "the panic")

    # The mistakes are made on one CPU.
    machine = {"smp": 2, "nodes": 2, "memory": "1G"} if append else {"smp": 1, "memory": "512M"}
    outcome = qemu.play(
        lambda: qemu.Guest(build.built("x86"), f"page_consistency=on {append}".strip(),
                           name="own-state", quiet=True, **machine,
                           files={"/poke.ko": poke_module(), "/replay.ko": module()}),
        drive, expect_panic=f"{reports.PREFIX}({violation})")
    if not outcome.good:
        raise Failure(str(outcome))
    found = first_report(outcome.console)
    said = {**reports.essence(found.essence), **found.values}
    got = {name: said.get(name) for name in made[0].want}
    if got != made[0].want and "table root" not in found.essence:
        raise Failure(f"the report says {got}, must say {made[0].want}\n{found.text}")
    note(found.essence)


def _register():
    for title in DAMAGE:
        def run(note, title=title):
            stops(note, title)
        run.__module__ = __name__
        case(["x86"], title)(run)


_register()


# -- what is read-only, what is refused, what is told -------------------------------------

@case(["x86"], "all that is in force can be read at once")
def configuration(note):
    words = "page_consistency=on page_consistency.scrub_ms=500 page_consistency.max_latency_ms=9000"

    def drive(guest):
        text = guest.must(f"cat {FILES}/configuration")
        found = dict(line.split(" ", 1) for line in text.splitlines())
        want = {"record_version": "1", "policy": "on", "remote": "0", "section_pages": "32768",
                "scrub_ms": "500", "max_latency_ms": "9000", "proofs": "5",
                "CONFIG_PAGE_CONSISTENCY_ENFORCED": "0", "CONFIG_SPARSEMEM": "1"}
        for name, value in want.items():
            check(found.get(name) == value, f"{name} is {found.get(name)}, must be {value}")
        check(int(found["self_test_detectors"]) >= 20, f"the self-test has shown only {found}")
        guest.wait_for(lambda: number(guest, "scrub_passes") >= 2, 30, "two passes")
        check(number(guest, "scrub_incomplete") == 0, "a pass could not reach all hooks")
        for line in text.splitlines():
            note(line)

    outcome = qemu.play(lambda: qemu.Guest(build.built("x86"), words, name="configuration",
                                           quiet=True), drive)
    if not outcome.good:
        raise Failure(str(outcome))


ENFORCED = ("page_consistency=report page_consistency.scrub_ms=0",
            "page_consistency=off page_consistency.scrub_ms=0")
REFUSED = (r"'(report|off)' is (taken for 'on'|ignored), this kernel must",
           r"scrub_ms=0 is refused, this kernel must not run without scrubbing")


@case(["x86-debug"], "an enforced kernel refuses to be mild, and says so")
def enforced(note):
    for append in ENFORCED:
        def drive(guest):
            check(guest.must(f"cat {FILES}/policy").strip() == "on", "it is not 'on'")
            scrub = "/sys/module/page_consistency/parameters/scrub_ms"
            check(guest.sh(f"echo 0 > {scrub}")[0], "scrubbing can be switched off")
            check(guest.must(f"cat {scrub}").strip() == "60000", "scrubbing was switched off")
            said = guest.must("dmesg")
            for text in REFUSED:
                check(re.search(text, said), f"it does not say: {text}")

        outcome = qemu.play(
            lambda append=append: qemu.Guest(
                build.built("x86-debug"), append, name="enforced", quiet=True,
                allow=[Allow("checker", "this kernel must", "what the case asks for")]),
            drive)
        if not outcome.good:
            raise Failure(str(outcome))
        note(f"{append}: refused")
