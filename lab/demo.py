# SPDX-License-Identifier: GPL-2.0
"""make run: a kernel at work under the checker, then one corrupted bit, and its report.

CORRUPT= names the victim (lab/corrupt.py), APPEND= adds to the kernel's command
line. The status is 0 only if all of it happened as it should; otherwise it is
that of lab/judge.py's outcome: 1 something that had to happen did not, 2 the
lab's own failure, 3 a panic that was not the expected one, 4 a hang.
"""

import os
import re
import textwrap
import time

from lab import build, corrupt, packages, qemu, reports, splat
from lab.common import LabError, say, show
from lab.judge import Kind, Outcome

CPUS, NODES, MEMORY = 2, 2, "1G"
WORK, EVERY = 25, 5			# seconds of workload, and between signs of life
STRESSORS = ("fork", "mmap", "vm", "pipe", "tmpfs")
SIZES = "--vm-bytes 48M --mmap-bytes 32M --temp-path /tmp"
SYSFS = "/sys/kernel/mm/page_consistency"


class Demonstration:
    """One guest, driven through all steps; play() may start it anew."""

    def __init__(self, kernel, victim, append=""):
        self.kernel, self.victim, self.append = kernel, victim, append
        self.expected = None		# corrupt.Expected, once the damage is done
        self.steps = 0
        self.guest = None

    def make(self):
        self.expected, self.steps = None, 0
        self.guest = qemu.Guest(self.kernel, f"page_consistency=on {self.append}".strip(),
                                smp=CPUS, memory=MEMORY, nodes=NODES, name="demo",
                                tools=["stress-ng"], quiet=True)
        return self.guest

    def drive(self, guest):
        self.boot(guest)
        self.work(guest)
        self.verify(guest)
        self.damage(guest)

    def step(self, text):
        self.steps += 1
        say(f"\n[{self.steps}/5] {text}")

    # -- the steps ------------------------------------------------------------

    def boot(self, guest):
        self.step(f"a Linux kernel boots in QEMU: {CPUS} CPUs, {NODES} NUMA nodes, {MEMORY}, "
                  f"{guest.settings['accelerator']}")
        say(f"  console: {show(guest.console_path)}\n"
            f"  by hand: sh {show(guest.folder / 'qemu.sh')}")
        status, policy = guest.sh(f"cat {SYSFS}/policy")
        policy = policy.strip()
        if status or policy != "on":
            raise LabError(f"the checker is not on in this guest, it says '{policy or 'nothing'}'; "
                           "without it there is nothing to show. The command line was: "
                           f"{guest.settings['append']}")
        line = [text for text in guest.console().splitlines() if "page_consistency: on:" in text]
        if not line:
            raise LabError("the kernel did not say at boot what the checker tracks")
        say(f"  kernel:  {splat.STAMP.sub('', line[0])}")
        facts = {name: int(guest.must(f"cat {SYSFS}/{name}"))
                 for name in ("sections", "pages", "bytes", "distance", "violations")}
        memory = facts["pages"] * 4096
        say(f"  It tracks {facts['pages']:,} pages in {facts['sections']} sections of memory, "
            f"{memory >> 20:,} MiB.\n"
            f"  It costs {facts['bytes']:,} bytes, {facts['bytes'] * 100 / memory:.4f} % of that: "
            "two bits for each page, and a table.\n"
            f"  The two bits of a page are at least {facts['distance']:,} bytes apart.")
        self.silent(guest, "booting")

    def counts(self, guest):
        """(pages handed out, pages taken back) since boot, by the kernel's own counters."""
        text = guest.must("cat /proc/vmstat")
        out = sum(int(n) for n in re.findall(r"^pgalloc_\w+ (\d+)", text, re.M))
        return out, int(re.search(r"^pgfree (\d+)", text, re.M)[1])

    def violations(self, guest):
        return int(guest.must(f"cat {SYSFS}/violations"))

    def silent(self, guest, after):
        """Raise unless the checker and the log are silent."""
        if count := self.violations(guest):
            raise LabError(f"{count} violations after {after}: a false alarm, or a real bug "
                           "of this kernel")
        scan = splat.scan(guest.console(), splat.allowed(), complete=False)
        if not scan.clean:
            raise LabError(f"the kernel's log is not clean after {after}:\n{scan}")

    def work(self, guest):
        command = " ".join(["stress-ng", *(f"--{name} 1" for name in STRESSORS), SIZES,
                            f"--timeout {WORK}"])
        self.step(f"real work: {', '.join(STRESSORS)}, all at once, {WORK} s")
        say(f"  guest$ {command}\n"
            "  Every page that leaves or enters the allocator passes the checker.")
        begun, before = time.monotonic(), self.counts(guest)
        job = guest.start(command)
        while job.status is None:
            self.rest(guest, job)
            out, back = self.counts(guest)
            say(f"  {time.monotonic() - begun:4.0f} s  {out - before[0]:>11,} pages out  "
                f"{back - before[1]:>11,} pages in  {self.violations(guest)} violations")
            if time.monotonic() - begun > 4 * WORK * max(1, guest.scale / 6):
                raise LabError(f"stress-ng did not end: {job.text().strip()}")
        if job.status:
            raise LabError(f"the workload failed ({job.status}): {job.text().strip()}")
        self.silent(guest, "the workload")
        out, back = self.counts(guest)
        say(f"  {out - before[0]:,} pages went out and {back - before[1]:,} came in: "
            "no violation, and nothing unusual in the log.")

    def rest(self, guest, job):
        """EVERY seconds, or less if the job ends or the guest dies."""
        end = time.monotonic() + EVERY
        guest.wait_for(lambda: job.status is not None or time.monotonic() > end,
                       4 * EVERY, "the workload")

    def verify(self, guest):
        self.step("verification on demand: every pair of bits, every free block")
        say(f"  guest$ echo 1 > {SYSFS}/verify")
        guest.must(f"echo 1 > {SYSFS}/verify", timeout=60)
        found = {name: int(guest.must(f"cat {SYSFS}/verified_{name}"))
                 for name in ("sections", "pages", "blocks", "mismatches", "ns")}
        say(f"  {found['pages']:,} pairs in {found['sections']} sections and {found['blocks']:,} "
            f"free blocks in {found['ns'] / 1e6:.1f} ms: {found['mismatches']} mismatches.")
        tracked = int(guest.must(f"cat {SYSFS}/sections"))
        if found["mismatches"] or found["sections"] != tracked or not found["blocks"]:
            raise LabError(f"the verification looked at {found['sections']} of {tracked} sections "
                           f"and {found['blocks']} blocks, and found {found['mismatches']} "
                           "mismatches")
        self.silent(guest, "the verification")

    def damage(self, guest):
        self.step(f"damage from outside: {self.victim.text}")
        self.expected = self.victim.hit(guest, say)
        # A panic ends this wait with GuestPanic; so whoever gets past it has seen none.
        self.victim.provoke(say)
        guest.sh("true")
        raise LabError(f"the record was damaged ({self.victim.name}), the page was used, and the "
                       "kernel noticed nothing: no report and no panic")


def told(report):
    """The report, line by line, for somebody who has never seen one."""
    for text, meaning in reports.explain(report):
        say(f"\n  | {text}")
        for line in textwrap.wrap(meaning, 88):
            say(f"      {line}")


def conclude(demonstration, outcome):
    """Judge the end: the outcome, unless the report is not the one there had to be."""
    guest, expected = demonstration.guest, demonstration.expected
    about = f"console: {show(guest.console_path)}\nby hand: sh {show(guest.folder / 'qemu.sh')}"
    if outcome.kind is not Kind.EXPECTED_PANIC:
        return outcome
    if not expected:
        return Outcome(Kind.UNEXPECTED_PANIC,
                       f"the checker stopped the kernel before anything was damaged: "
                       f"{outcome.reason}", about)
    demonstration.step("the kernel has stopped itself; its report, line by line")
    try:
        report = reports.parse(outcome.console)
    except reports.BadReport as error:
        return Outcome(Kind.TEST_FAILURE, f"the report cannot be read: {error}", about)
    if not report:
        return Outcome(Kind.UNEXPECTED_PANIC, f"no report before the panic: {outcome.reason}",
                       about)
    told(report)
    if not report.whole:
        return Outcome(Kind.TEST_FAILURE, "the report is cut short: the panic came before its "
                       "last line", about)
    if wrong := expected.differs(report):
        return Outcome(Kind.UNEXPECTED_PANIC, f"not the report there had to be: {wrong}", about)
    return Outcome(Kind.EXPECTED_PANIC, outcome.reason)


def summary(demonstration, outcome, seconds):
    path = show(demonstration.guest.console_path)
    say()
    if outcome.good:
        for line in textwrap.wrap(f"It happened as it should, in {seconds:.0f} s. "
                                  f"{demonstration.expected.summary}", 92):
            say(line)
        say(f"The console log: {path}\n"
            f"Other victims: make run CORRUPT={'|'.join(corrupt.VICTIMS)}")
    else:
        say(f"FAILED: {outcome}")
    return outcome.exit_status


def main(argv):
    """make run [CORRUPT=victim] [APPEND=words]"""
    words = {**os.environ, **dict(word.split("=", 1) for word in argv if "=" in word)}
    victim = corrupt.find(words.get("CORRUPT") or "primary")
    packages.need("build", "boot", "run")
    kernel = build.build("x86", src=words.get("LAB_SRC"))
    victim.prepare(kernel)
    begun = time.monotonic()
    demonstration = Demonstration(kernel, victim, words.get("APPEND", ""))
    outcome = qemu.play(demonstration.make, demonstration.drive,
                        expect_panic=re.escape(reports.PANIC))
    outcome = conclude(demonstration, outcome)
    return summary(demonstration, outcome, time.monotonic() - begun)


if __name__ == "__main__":
    from lab import common
    common.main(main)
