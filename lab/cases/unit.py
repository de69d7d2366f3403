# SPDX-License-Identifier: GPL-2.0
"""Tests below the level of a booted system, counted one by one: the lab's own unit tests, the
pure parts of the product in user space, and KUnit, under UML and in guests.
"""

import contextlib
import os
import subprocess
import sys
import time
import unittest

from lab import build, child, common, packages, qemu, settings, source, tap, tree, uml
from lab.cases import Failure, case
from lab.cases.witness import agrees
from lab.common import ROOT, quoted, say, scaled, show
from lab.splat import Allow

SUITES = ("dual_bitmap", "page_consistency")
# Not everywhere: the last one needs MEMORY_FAILURE.
MORE = ("page_consistency_lists", "page_consistency_memmap", "page_consistency_hardware")
# One glob for all, and for neither of the suites that the kernel brings along.
GLOB = "[dp]*_*"
CORRECTED = Allow("checker", r"cannot go offline: it holds table roots",
                  "what a test of the hardware suite causes")
LIMIT = 600		# seconds for a program of tests
PROGRESS = 10
# What the lab's own tests may leave in a build folder.
SCRATCH = {"linux", ".tree.lock", "check", "logs"}
# These say what the machine is like and where things are.
FACTS = {"JOBS", "LAB_BUILD", "LAB_CACHE", "LAB_RECORD", "PATH", "TERM"}
# By these a user asks for something. Tests of the lab ask for themselves, and must come out the
# same whatever was asked of the make test that runs them.
SETTINGS = {one.name for one in settings.SETTINGS} - FACTS | {"LAB_SOURCE", "LAB_SRC"}


def take(note, results, path=""):
    """The tests of KTAP results become parts."""
    for name, test in results.leaves():
        outcome = {tap.CRASH: tap.FAIL}.get(test.outcome, test.outcome)
        why = "\n".join([test.reason or test.outcome, *test.log[-12:]]) \
            if outcome == tap.FAIL else test.reason
        note.part(name.removeprefix(path), outcome, why)


def whole(results):
    """What no single test shows: a plan that was not kept, no test at all."""
    if results.problems:
        raise Failure("\n".join(results.problems))


def ktap_of(argv: list[str], env: dict[str, str] | None = None):
    """The results of a program that prints KTAP; failures and signs of life are shown.

    What else it says goes to a log: between our own lines it could be taken for a result.
    """
    lines, begun, told, limit = [], time.monotonic(), time.monotonic(), scaled(LIMIT)
    common.LOGS.mkdir(parents=True, exist_ok=True)
    log = common.LOGS / f"{argv[-1]}.log"
    say(f"$ {quoted(argv)}   # log: {show(log)}")
    with open(log, "w", encoding="utf-8") as heard, \
            child.running(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=heard, text=True,
                          errors="replace") as program:
        for line in program.stdout:
            lines.append(line)
            if "not ok " in line or time.monotonic() - told > PROGRESS:
                told = time.monotonic()
                say(line.strip())
            if time.monotonic() - begun > limit:
                raise Failure(f"not done after {limit:.0f} s (LAB_TIMEOUT_SCALE= is for machines that "
                              f"are busy): {' '.join(argv)}")
        status = program.wait()
    results = tap.parse("".join(lines))
    if status and results.good:
        raise Failure(f"ended with {status} although all tests passed: {' '.join(argv)}")
    return results


@contextlib.contextmanager
def own_folder():
    """A build folder in which the tests find the tree, and whose other files are not the user's."""
    users = common.build_folder(common.MAIN)		# no matter which base is asked for
    with source.staging(common.BUILD) as folder:
        for name in (common.TREE.name, ".tree.lock"):
            if (users / name).exists():
                (folder / name).symlink_to(users / name)
        yield folder


def left(folder):
    """What tests have written where a user's files would be."""
    found = [path for path in folder.iterdir() if path.name not in SCRATCH]
    found += [*folder.glob("logs/*.summary"), *folder.glob("logs/*.xml")]
    return sorted(str(path.relative_to(folder)) for path in found)


@case(name="the lab itself")
def lab(note):
    # What the tests need they look for themselves. On a new machine this takes longer than
    # LIMIT, so it is done here.
    packages.need("source", "lint", "python")
    tree.ensure()
    env = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    with own_folder() as folder:
        env = {"LAB_CACHE": str(common.CACHE), **env, "LAB_BUILD": str(folder)}
        results = ktap_of([sys.executable, "-m", "lab.cases.unit"], env=env)
        found = left(folder)
    take(note, results, "lab.tests.")
    whole(results)
    if found:
        raise Failure(f"tests write what is the user's below build/: {', '.join(found)}")


@case(name="user space")
def user_space(note):
    packages.need("clang")
    results = ktap_of([sys.executable, "-m", "lab.userspace"])
    take(note, results)
    whole(results)


# --- KUnit --------------------------------------------------------------------

def both_suites(results, more=()):
    """A suite that is not in the kernel does not fail: look for it."""
    ran = [test.name for test in results.tests]
    missing = [name for name in (*SUITES, *more) if name not in ran]
    if missing:
        raise Failure(f"did not run: {', '.join(missing)}")


def under_uml(note, policy):
    run = uml.kunit_uml(build.built("uml"), GLOB, f"page_consistency={policy}", name=policy)
    take(note, run.results)
    if not run.good:
        raise Failure(str(run))
    both_suites(run.results, MORE[:2])


@case(["uml"], "KUnit under UML, page_consistency=report")
def uml_report(note):
    under_uml(note, "report")


@case(["uml"], "KUnit under UML, page_consistency=on")
def uml_on(note):
    under_uml(note, "on")


def in_guest(note, config, policy="on", **machine):
    """KUnit at boot, then: no report that no test took, and a record that is sound."""
    found, words = [], f"kunit.autorun=1 kunit.enable=1 kunit.filter_glob={GLOB}"

    def make():
        found.clear()
        return qemu.Guest(build.built(config), f"{words} page_consistency={policy}",
                          name=f"kunit-{config}", allow=[CORRECTED], **machine)

    def drive(guest):
        found.append(tap.parse(guest.console()))
        agrees(guest, note, policy)

    outcome = qemu.play(make, drive)
    if found:
        take(note, found[0])
    if not outcome.good:
        raise Failure(str(outcome))
    whole(found[0])
    both_suites(found[0], MORE)


@case(["x86"], "KUnit in a guest, 2 CPUs, 2 nodes")
def two_nodes(note):
    in_guest(note, "x86", smp=2, nodes=2)


@case(["x86"], "KUnit in a guest, 2 CPUs, page_consistency=report")
def guest_report(note):
    in_guest(note, "x86", "report", smp=2)


@case(["x86"], "KUnit in a guest, 1 CPU")
def one_cpu(note):
    in_guest(note, "x86", smp=1)


@case(["x86-debug"], "KUnit in a guest under KASAN and lockdep, 2 CPUs, 2 nodes")
def debug(note):
    in_guest(note, "x86-debug", smp=2, nodes=2)


# --- python3 -m lab.cases.unit: the lab's unit tests as KTAP --------------------

class Ktap(unittest.TestResult):
    """One line for each test; a test with a subtest that failed has failed."""

    def __init__(self, out):
        super().__init__()
        self.out, self.number, self.why = out, 0, []

    def startTest(self, test):
        super().startTest(test)
        self.why = []

    def _failed(self, test, error):
        self.why.append(self._exc_info_to_string(error, test))

    def addFailure(self, test, err):
        self._failed(test, err)

    def addError(self, test, err):
        self._failed(test, err)
        if not isinstance(test, unittest.TestCase):
            self.stopTest(test)		# a class or module that could not be set up

    def addSubTest(self, test, subtest, err):
        if err:
            self.why.append(f"{subtest}\n" + self._exc_info_to_string(err, test))

    def addUnexpectedSuccess(self, test):
        self.why.append("expected to fail, and did not")

    def addSkip(self, test, reason):
        self.skipped.append((test, reason))

    def stopTest(self, test):
        super().stopTest(test)
        self.number += 1
        skip = next((f" # SKIP {why}" for who, why in self.skipped if who is test), "")
        for line in "\n".join(self.why).splitlines():
            self.out.write(f"# {line}\n")
        self.out.write(f"{'not ok' if self.why else 'ok'} {self.number} - {test.id()}{skip}\n")
        self.out.flush()


def main():
    # What tests and their children print must not pass for results.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    tests = unittest.defaultTestLoader.discover(str(ROOT / "lab/tests"), top_level_dir=str(ROOT))
    result = Ktap(out)
    out.write("KTAP version 1\n")
    tests.run(result)
    out.write(f"1..{result.number}\n")
    out.close()


if __name__ == "__main__":
    main()
