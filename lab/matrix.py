# SPDX-License-Identifier: GPL-2.0
"""make matrix: the checker on other architectures and in other kinds of kernel.

	python3 -m lab matrix ['arm64*' ...]	or	make matrix ONLY='arm64*,s390x'

Each target is built and booted twice with the checker on: once with KUnit at boot, each test
counted, once without. Both guests move pages about, prove that they are what the target says,
verify the record, and must leave no splat. One that cannot be built or booted has failed, and
why stands in the table. The closing line counts targets, as do build/logs/matrix.summary and
matrix.xml.
"""

import fnmatch
import re
import sys
import time
import traceback
from dataclasses import dataclass, field

from lab import build, kconfig, machines, packages, qemu, settings, suite, tap, userspace
from lab.cases import Failure, mm_local, unit
from lab.cases.mermap import PTI
from lab.cases.witness import agrees, check, churn, number
from lab.common import LabError, say
from lab.ktap import FAIL, PASS, Report, Result, comment
from lab.splat import Allow

CHECKER = "page_consistency=on"


@dataclass
class Target:
    """One row: a kernel, a machine, and a command that shows that it is what it is called."""

    name: str
    config: str
    proof: str			# shell, in the guest
    append: str = ""
    machine: dict = field(default_factory=dict)
    compressed: bool = False	# only a bzImage turns 5-level page tables on
    programs: tuple = ()	# of the kernel's selftests/x86, run in the guest
    allow: tuple = ()		# splats that are not ours


def pages_of(size):
    return f"grep -m1 KernelPageSize /proc/self/smaps | grep -qw '{size} kB'"


# KMSAN takes what an interrupt of the serial line puts into a tty's buffer for uninitialized,
# also with the checker off. Each of its reports has to be one of those.
SERIAL = Allow("kasan", r"BUG: KMSAN: kernel-infoleak(-after-free)? in _copy_to_iter\+",
               "the serial line's bytes")
ONLY_TTY = ("[ $(dmesg | grep -c 'BUG: KMSAN') = "
            "$(dmesg | grep -A2 'BUG: KMSAN' | grep -c ' tty_read+') ]")


# A flag of /proc/cpuinfo goes when the kernel does not use it.
TARGETS = (
    Target("arm64, 4K pages", "arm64", pages_of(4)),
    Target("i386, PAE, HIGHMEM", "i386",
           "uname -m | grep -q i686 && grep -q ' pae ' /proc/cpuinfo && "
           f"grep -q 'HighTotal: *[1-9]' /proc/meminfo && {PTI.format('en')}", "pti=on",
           machine={"memory": "2G"}, programs=("ldt_gdt",)),
    Target("s390x, big endian", "s390x", "grep -qx big /sys/kernel/cpu_byteorder"),
    # The largest block has 512 MiB, and tests take several.
    Target("arm64, 64K pages", "arm64-64k", pages_of(64), machine={"memory": "6G"}),
    Target("x86-64, 5 levels", "x86", "grep -qw la57 /proc/cpuinfo", machine={"nodes": 2},
           compressed=True),
    Target("x86-64, 4 levels", "x86", "! grep -qw la57 /proc/cpuinfo", "no5lvl",
           machine={"nodes": 2}, compressed=True),
    Target("x86-64, PREEMPT_RT", "x86-rt",
           f"uname -v | grep -qw PREEMPT_RT && {PTI.format('en')}", "pti=on"),
    Target("x86-64, KCSAN", "x86-kcsan",
           "grep -q '^enabled: 1' /sys/kernel/debug/kcsan && "
           f"grep -q '^setup_watchpoints: [1-9]' /sys/kernel/debug/kcsan && {PTI.format('en')}",
           "pti=on"),
    Target("x86-64, KMSAN", "x86-kmsan",
           f"dmesg | grep -q 'Starting KernelMemorySanitizer' && {PTI.format('en')} && {ONLY_TTY}",
           "pti=on", machine={"memory": "3G"}, allow=(SERIAL,)),
    Target("x86-64, mermap, no LDT", "x86-mermap-no-ldt",
           f"zcat /proc/config.gz | grep -q '^# CONFIG_MODIFY_LDT_SYSCALL is not set' && "
           f"{PTI.format('en')}", "pti=on"),
    Target("x86-64, mermap, no PTI", "x86-mermap-no-pti",
           "zcat /proc/config.gz > /tmp/config && grep -q '^CONFIG_MERMAP=y' /tmp/config && "
           "! grep -q '^CONFIG_MITIGATION_PAGE_TABLE_ISOLATION=y' /tmp/config",
           programs=("ldt_gdt", "sigreturn")),
    Target("x86-64, no hotplug", "x86-no-hotplug",
           "zcat /proc/config.gz | grep -q '^# CONFIG_MEMORY_HOTPLUG is not set'"),
)
USER = "user space, s390x and i386"


@dataclass
class Row:
    """What came of a target."""

    name: str
    built: str = "-"
    booted: str = "-"
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    sections: str = "-"
    seconds: float = 0
    why: str = ""

    @property
    def good(self):
        return not self.why and not self.failed and self.passed > 0


def chosen(globs):
    """The names that match, with or without their blanks and commas."""
    names = [*(t.name for t in TARGETS), USER]
    if not globs:
        return names
    plain = {name: re.sub(r"[ ,]+", "-", name) for name in names}
    found = [name for name in names
             if any(fnmatch.fnmatchcase(text, glob) for glob in globs
                    for text in (name, plain[name], *(t.config for t in TARGETS
                                                      if t.name == name)))]
    if not found:
        raise LabError(f"no target matches {' '.join(globs)}; there are\n"
                       + "\n".join(f"  {text}" for text in plain.values()))
    return found


def prove(target, guest, row):
    """It is what it is called, works, and its record is sound."""
    status, text = guest.sh(target.proof)
    check(not status, f"this is not '{target.name}': {target.proof}\n{text}")
    for name in target.programs:
        mm_local.kernels_own(guest, say, name, 1)
    churn(guest, say)
    agrees(guest, say)
    row.sections = str(number(guest, "sections"))


def boot(target, kernel, row, words="", results=None):
    """One guest from start to end; with a list, KUnit's results are put there."""
    def make():
        return qemu.Guest(kernel, " ".join([CHECKER, target.append, words]).strip(),
                          name=f"matrix-{target.config}", allow=[unit.CORRECTED, *target.allow],
                          files=mm_local.kernels_programs(target.programs, kernel.arch),
                          **target.machine)

    def drive(guest):
        row.booted = "yes"
        if results is not None:
            results[:] = [tap.parse(guest.console())]
        prove(target, guest, row)

    outcome = qemu.play(make, drive)
    if results == []:		# it did not come to its agent; what did it come to?
        results[:] = [tap.parse(outcome.console)]
    if not outcome.good:
        raise Failure(str(outcome))


def count(row, target, results):
    """KUnit's tests one by one; a skip that nobody has accepted is a failure."""
    for name, test in results.leaves():
        accepted = test.outcome == tap.SKIP and \
            suite.accepted(f"matrix: {target.name}: {name}", test.reason)
        if test.outcome == tap.PASS:
            row.passed += 1
        elif accepted:
            row.skipped += 1
            say(f"  skipped: {name}: {test.reason}")
        else:
            row.failed += 1
            say(f"  {test.outcome}: {name}: {test.reason}")
            for line in test.log[-12:]:
                say(f"    | {line}")


def mermap_suites(config):
    """Those of the mermap and its region, where the configuration has them."""
    product = kconfig.find(config).product
    suites = {"mm-local-kunit": ["mm-local"], "mermap-kunit": ["mermap", "mermap_tasks"],
              "mermap-debug": ["mermap_debug"]}
    return [suite for part in product for suite in suites.get(part, ())]


def try_target(target, row):
    try:
        kernel = build.build(target.config)
        if target.compressed:
            kernel = build.compressed(kernel)
        row.built = "yes"
    except LabError as error:
        row.built = "no"
        raise Failure(str(error)) from error
    row.booted = "no"
    results, more = [], mermap_suites(target.config)
    glob = "[dmp]*" if more else unit.GLOB
    try:
        boot(target, kernel, row,
             f"kunit.autorun=1 kunit.enable=1 kunit.filter_glob={glob}", results)
    finally:
        for found in results:
            count(row, target, found)
    unit.whole(results[0])
    unit.both_suites(results[0], more)
    row.booted = "no, not without KUnit"
    boot(target, kernel, row)


def try_user(row):
    """The pure parts, compiled for these architectures, under qemu-user: programs are counted."""
    passed, failed = userspace.run("foreign")
    row.built = "yes"
    row.booted = "qemu-user"
    row.passed, row.failed = len(passed), len(failed)


def attempt(name):
    """One row of the table, whatever happens."""
    row, begun = Row(name), time.monotonic()
    say(f"{name} ...")
    try:
        if name == USER:
            try_user(row)
        else:
            try_target(next(t for t in TARGETS if t.name == name), row)
    except (Failure, LabError) as failure:
        row.why = str(failure)
    except Exception as error:		# pylint: disable=broad-except
        row.why = f"the lab itself failed: {error!r}"
        say(traceback.format_exc())
    row.seconds = time.monotonic() - begun
    return row


def table(rows):
    """The rows as text; the reason of a failure stands below its row."""
    heads = ("target", "built", "booted", "passed", "failed", "skipped", "sections", "seconds")
    lines = [heads] + [(r.name, r.built, r.booted, str(r.passed), str(r.failed), str(r.skipped),
                        r.sections, f"{r.seconds:.0f}") for r in rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = []
    for line, row in zip(lines, [None, *rows]):
        cells = [cell.ljust(width) if at < 3 else cell.rjust(width)
                 for at, (cell, width) in enumerate(zip(line, widths))]
        text.append("  ".join(cells).rstrip())
        if row and not row.good:
            first = row.why.splitlines()[0] if row.why else \
                "tests failed" if row.failed else "no test passed"
            text.append(f"    not passed: {first}")
    return "\n".join(text)


def need(names):
    """All packages at once, before the first build."""
    configs = [kconfig.find(t.config) for t in TARGETS if t.name in names]
    groups = {machines.of(c.arch).packages for c in configs} - {""}
    if USER in names:
        groups |= {"i386", "s390x", "user"}
    packages.need("build", "boot", *sorted(groups))


def result(row):
    """For the report, which counts targets."""
    reason = "" if row.good else row.why or \
        ("tests failed" if row.failed else "no test passed")
    return Result(row.name, PASS if row.good else FAIL, reason, row.seconds,
                  notes=[f"{row.passed} tests passed, {row.failed} failed, {row.skipped} skipped"])


def main(argv):
    """make matrix [ONLY='glob,...'] [LIST=1]"""
    globs = settings.patterns(argv)
    names = chosen(globs)
    if settings.listing(argv):
        for name in names:
            say(name)
        return 0
    need(names)
    voices, before, rows = suite.Voices(sys.stdout), sys.stdout, []
    sys.stdout = voices			# what builds and guests say becomes comments
    try:
        with Report("matrix", len(names), voices.tell, " ".join(globs)) as report:
            for name in names:
                rows.append(attempt(name))
                report.add(result(rows[-1]))
            total = ", ".join(f"{sum(getattr(row, word) for row in rows)} {word}"
                              for word in ("passed", "failed", "skipped"))
            return report.end(*comment(f"{table(rows)}\nKUnit tests and user-space "
                                       f"programs: {total}"))
    finally:
        sys.stdout = before
