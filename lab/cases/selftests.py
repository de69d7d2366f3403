# SPDX-License-Identifier: GPL-2.0
"""What the kernel's own selftests have for the checker, in a guest: LKDTM's triggers through
the lkdtm selftests, and our own below tools/testing/selftests/mm.
"""

import re
import sys

from lab import build, qemu, reports, selftests, tap
from lab.cases import Failure, case
from lab.cases.witness import agrees, check, meminfo, number, verify
from lab.common import LabError
from lab.hotplug import UNMOVABLE
from lab.qemu import Guest, GuestPanic
from lab.selftests import PLACE
from lab.snapshot import Snapshot
from lab.splat import Allow

DIRECT = "/sys/kernel/debug/provoke-crash/DIRECT"
PREFIX = "PAGE_"
SKIPPED = 4			# kselftest's status
ALLOW = [Allow(kind, ".", "a report that a trigger has caused")
         for kind in ("checker", "trace", "bad-page")]
# A leak of the four pages of each would be 8 MiB.
ROUNDS, NOISE = 500, 3 << 10
# To cause it, hooks would have to be patched out of the running kernel.
UNCAUSED = {"checker not reached", "detection latency exceeded"}
DOUBLE = "BUDDY_FREE_DOUBLE"		# older than the checker, and found without it
ANY = "PAGE_DOUBLE_FREE"
SLOW = {"PAGE_RECORD_PAIR", "PAGE_RECORD_FRAME"}	# compare much memory, each time


def triggers():
    """{trigger: the report it must cause}, from the selftest's list; none may be skipped."""
    found = {}
    for line in (selftests.source() / "lkdtm" / "tests.txt").read_text().splitlines():
        name, _, said = line.partition(" ")
        if name.lstrip("#").startswith(PREFIX):
            found[name] = said.removeprefix(reports.PREFIX)
    differ = set(found.values()) ^ set(reports.TITLES) - UNCAUSED
    if differ:
        raise Failure(f"tests.txt and the kinds of violations differ: {sorted(differ)}")
    return found


def play(note, drive, policy, *, name="selftests", **machine):
    """Boot, let drive(guest, part) report its results by part(name, outcome, reason)."""
    parts = []

    def whole_drive(guest):
        parts.clear()		# of an attempt that TCG has spoilt
        selftests.mount(guest)
        drive(guest, lambda *facts: parts.append(facts))

    outcome = qemu.play(
        lambda: Guest(build.built("x86"), f"page_consistency={policy}", host_root=True,
                      name=name, quiet=True, extra=selftests.share(), **machine),
        whole_drive)
    for facts in parts:
        note.part(*facts)
    if not outcome.good:
        raise Failure(str(outcome))


def verdict(wrong):
    """Outcome and reason of a part."""
    return ("fail", wrong) if wrong else ("pass", "")


# --- LKDTM --------------------------------------------------------------------

def known_to_lkdtm(guest):
    """The list of the selftest and that of the kernel are the same."""
    there = {name for name in guest.must(f"cat {DIRECT}").split() if name.startswith(PREFIX)}
    check(there == set(triggers()), f"only in one of tests.txt and {DIRECT}: "
                                    f"{sorted(there ^ set(triggers()))}")


def run_lkdtm(guest, trigger):
    """The selftest of one trigger, as make install would leave it: (status, output)."""
    return guest.sh(f"mkdir -p /tmp/lkdtm && cd /tmp/lkdtm && cp {PLACE}/lkdtm/tests.txt . && "
                    f"install -m 0744 {PLACE}/lkdtm/run.sh {trigger}.sh && ./{trigger}.sh", 60)


def _status(result):
    """What is wrong with a selftest that must pass, or nothing."""
    return f"status {result[0]}\n{result[1]}" if result[0] else ""


def _reported(guest, trigger):
    """Run one; returns what is wrong, or nothing."""
    before = number(guest, "violations")
    status, text = run_lkdtm(guest, trigger)
    if status:
        return _status((status, text))
    if number(guest, "violations") != before + 1:
        return f"{number(guest, 'violations') - before} violations were counted instead of one"
    if verify(guest)[3]:
        return "the record is not sound afterwards"
    return ""


def _once(guest, trigger):
    """What has been reported is again only after clear_warn_once, which run.sh writes."""
    # The other triggers' run.sh have made the kernel forget what it said before.
    guest.must(f"echo {trigger} > {DIRECT}; dmesg -C; echo {trigger} > {DIRECT}")
    if reports.find(guest.must("dmesg")):
        return "reported again without clear_warn_once"
    guest.must(f"echo 1 > /sys/kernel/debug/clear_warn_once; echo {trigger} > {DIRECT}")
    found = reports.find(guest.must("dmesg"))
    return "" if len(found) == 1 else f"{len(found)} reports after clear_warn_once instead of one"


def _leaks(guest, trigger):
    """Does memory go with each? Returns how many KiB went with all."""
    def free():
        guest.must("sync; echo 3 > /proc/sys/vm/drop_caches; echo 1 > /proc/sys/vm/compact_memory")
        return meminfo(guest, "MemFree")
    before = free()
    guest.must(f"for i in $(seq {ROUNDS}); do echo {trigger} > {DIRECT}; done", 120)
    return before - free()


@case(["x86"], "LKDTM: each trigger is reported, page_consistency=report")
def reported(note):
    """And the machine is as healthy afterwards as it was before."""
    def drive(guest, part):
        known_to_lkdtm(guest)
        for trigger in triggers():
            part(trigger, *verdict(_reported(guest, trigger)))
        for trigger in triggers():
            part(f"{trigger}, once until clear_warn_once", *verdict(_once(guest, trigger)))
        # The console is slow, and all has been said once.
        guest.must("dmesg -n 1")
        for trigger in sorted(triggers().keys() - SLOW):
            lost = _leaks(guest, trigger)
            part(f"{trigger}, {ROUNDS} times",
                 *verdict(lost > NOISE and f"{lost} KiB are gone"))
        check(verify(guest)[3] == 0, "the record is not sound afterwards")
    play(note, drive, "report", name="lkdtm", allow=ALLOW, memory="1G")


# Reads the file, which arms poll(), and waits for the next violation.
POLL = """
import select, sys
with open("/sys/kernel/mm/page_consistency/violations") as file:
    before = file.read()
    poll = select.poll()
    poll.register(file, select.POLLPRI | select.POLLERR)
    print("armed", flush=True)
    woken = poll.poll(10000)
    file.seek(0)
    print("woken" if woken else "asleep", int(file.read()) - int(before))
"""


@case(["x86"], "LKDTM: who polls the violations is woken, page_consistency=report")
def polled(note):
    def drive(guest, part):
        guest.must(f"cat > /tmp/poll.py << 'END'\n{POLL}END")
        for times in (1, 2):		# the second is counted and not printed
            guest.must(f"{sys.executable} /tmp/poll.py > /tmp/polled 2>&1 & "
                       "until grep -q armed /tmp/polled; do sleep 0.1; done; "
                       f"echo {ANY} > {DIRECT}; wait", 30)
            said = guest.must("cat /tmp/polled")
            part(f"violation {times}", *verdict(said.split()[1:] != ["woken", "1"] and said))
    play(note, drive, "report", name="lkdtm-poll", allow=ALLOW)


@case(["x86"], "LKDTM: a second free is reported when the checker is off")
def second_free(note):
    """BUDDY_FREE_DOUBLE is met by the page allocator itself."""
    def drive(guest, part):
        part(DOUBLE, *verdict(_status(run_lkdtm(guest, DOUBLE))))
    play(note, drive, "off", name="lkdtm-double", allow=ALLOW)


@case(["x86"], "LKDTM: each trigger is skipped when the checker is off")
def skipped(note):
    def drive(guest, part):
        for trigger in triggers():
            status, text = run_lkdtm(guest, trigger)
            good = status == SKIPPED and "XFAIL: booted without page_consistency=" in text
            part(trigger, *verdict("" if good else f"status {status}, must be {SKIPPED}\n{text}"))
    play(note, drive, "off", name="lkdtm-off")


def _panics(guest, snapshot, trigger, title):
    """Pull one; returns what is wrong, or nothing."""
    snapshot.restore()
    try:
        guest.sh(f"echo {trigger} > {DIRECT}", 20)
        return "the machine goes on"
    except GuestPanic:
        guest.wait_for(lambda: "---[ end Kernel panic" in snapshot.said(), 10,
                       "the end of the panic", True)
    found = reports.parse(snapshot.said())
    if not found:
        return f"a panic without a report\n{snapshot.said()}"
    if found.violation != title or not found.whole or not found.essence.startswith(title + " in "):
        return f"reported was '{found.violation}', the panic says '{found.essence}'"
    return ""


@case(["x86"], "LKDTM: each trigger panics, page_consistency=on")
def panicking(note):
    with Guest(build.built("x86"), "page_consistency=on panic=0", smp=2, memory="512M",
               name="lkdtm-on", quiet=True) as guest:
        guest.wait_ready()
        snapshot = Snapshot(guest)
        for trigger, title in triggers().items():
            try:
                wrong = _panics(guest, snapshot, trigger, title)
            except LabError as error:
                wrong = str(error)
            note.part(trigger, *verdict(wrong))


# --- selftests/mm ---------------------------------------------------------------

def ktap(guest, part, test, seconds=120):
    """Run a test that prints KTAP; its results become parts."""
    status, text = guest.sh(f"cd /tmp && {PLACE}/{test}", seconds)
    results = tap.parse(text)
    for name, one in results.leaves():
        wrong = one.outcome != tap.PASS and "\n".join([one.outcome, one.reason, *one.log[-12:]])
        part(name, *verdict(wrong))
    check(not results.problems, "\n".join([*results.problems, text]))
    check(bool(status) != results.good, f"status {status}, but {results}\n{text}")


def sysfs(policy):
    @case(["x86"], f"mm/page_consistency.sh, page_consistency={policy}")
    def run(note):
        def drive(guest, part):
            ktap(guest, part, "mm/page_consistency.sh")
            if policy != "off":
                agrees(guest, note, policy)
        play(note, drive, policy, smp=2)


for _policy in ("on", "off"):
    sysfs(_policy)


@case(["x86"], "mm/page_consistency_hotplug.sh")
def hotplug(note):
    def drive(guest, part):
        ktap(guest, part, "mm/page_consistency_hotplug.sh 4 3", 300)
        agrees(guest, note)
    play(note, drive, "on movablecore=512M", smp=2, memory="1G", allow=UNMOVABLE)


@case(["x86"], "mm/page_consistency_hotplug.sh, without anything that can go offline")
def no_hotplug(note):
    """Says that it skips, and why; that is no pass."""
    def drive(guest, part):
        for why, prepare in (("no memory block can go offline",
                              "mount -t tmpfs none /sys/devices/system/memory && "
                              "mkdir /sys/devices/system/memory/memory0"),
                             ("no memory blocks: CONFIG_MEMORY_HOTPLUG is not set",
                              "rmdir /sys/devices/system/memory/memory0")):
            status, text = guest.sh(f"{prepare} && {PLACE}/mm/page_consistency_hotplug.sh")
            good = status == SKIPPED and f"1..0 # SKIP {why}" in text
            part(why, *verdict("" if good else f"status {status}, must be {SKIPPED}\n{text}"))
        agrees(guest, note)
    play(note, drive, "on")


@case(["x86"], "mm/ksft_page_consistency.sh, page_consistency=report")
def as_kselftest(note):
    """Both through run_vmtests.sh, as kselftest's runner calls them."""
    def drive(guest, part):
        text = guest.must(f"cd {PLACE}/mm && ./ksft_page_consistency.sh || [ $? = 4 ]", 300)
        found = re.findall(r"^(ok|not ok) \d+ (\S+)", text, re.M)
        check(found == [("ok", "page_consistency.sh"), ("ok", "page_consistency_hotplug.sh")],
              f"it ran {found}\n{text}")
        tests = re.findall(r"^# (ok|not ok) \d+ (\w+)", text, re.M)
        check(len(tests) > 10, f"only {len(tests)} tests ran\n{text}")
        for word, name in tests:
            part(name, *verdict("" if word == "ok" else text))
        agrees(guest, note, "report")
    play(note, drive, "report", smp=2, memory="1G", allow=UNMOVABLE)
