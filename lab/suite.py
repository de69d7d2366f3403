# SPDX-License-Identifier: GPL-2.0
"""make test, make test-long: the cases of lab/cases as KTAP; last line 'N passed, N failed'.

	make test ONLY='silent:*,off:*'		LIST=1 lists, as does: python3 -m lab test 'silent:*'

make test is what every change must pass; what takes too long for that is in make test-long.

A case with parts (each KUnit test, each unit test is one) has them as subtests, and they
are what is counted: a case that is good but for its parts does not count beside them.
What a case prints, and what builds print, comes as lines that begin with '# '. Names and
reasons of what failed or was skipped are in build/logs/test.summary, all results in test.xml.
"""

import fnmatch
import importlib
import io
import itertools
import json
import queue
import re
import sys
import threading
import time
import traceback

from lab import bases, build, cases, common, packages, settings
from lab.common import ROOT, LabError, number, say, show
from lab.ktap import FAIL, PASS, SKIP, Report, Result, comment

MODULES = ("off", "series", "unit", "silent", "hotplug", "paths", "replay", "scrub", "panicking",
           "panic_ends", "report_mode", "flips", "ramoops", "memory_failure", "own_state", "dax",
           "gdb", "mm_local", "mermap", "selftests", "docs")
# make test-long: what takes minutes for each case.
LONG_MODULES = ("hotplug_long", "long", "flips_long", "commits_long", "kernel_selftests")
BUILDS = ("uml", "x86", "x86-debug", "x86-mermap")
# These wait for guests, which are idle on one CPU for half of their time, or for a disk.
SIDE_BY_SIDE = {"series", "unit", "silent", "hotplug", "paths", "replay", "scrub", "panicking",
                "panic_ends", "report_mode", "flips", "ramoops", "memory_failure", "own_state", "dax",
                "gdb", "mm_local", "mermap", "docs", "selftests"}
# Beside others, but one after the other: they share a place.
IN_ORDER = {"series"}
BUILDERS = 2			# of which one compiles
# What the cases of make test need: to be told of a missing program at once is better than when
# the kernels are built.
NEEDS = ("source", "build", "boot", "run", "clang", "debug", "selftests", "lint", "python")
SIGN_OF_LIFE = 20		# seconds
SKIPS = ROOT / "lab" / "skips.json"


class Note:
    """What a case says to people: note(text), and note.part() for results of its own."""

    def __init__(self):
        self.lines, self.parts = [], []

    def __call__(self, text):
        self.lines += str(text).splitlines()

    def part(self, name, outcome=PASS, reason="", seconds=None):
        self.parts.append(Result(name, outcome, reason, seconds))


class Voices(io.TextIOBase):
    """Standard output while cases run: whoever prints is quoted, with '# ' in front.

    A thread that runs beside another one is kept silent; its words are for the case
    that goes wrong.
    """

    def __init__(self, out):
        self.out, self.local, self.lock = out, threading.local(), threading.Lock()

    def record(self):
        """From now on this thread is not heard; returns what it will have said."""
        self.local.kept = io.StringIO()
        return self.local.kept

    def write(self, text):
        kept = getattr(self.local, "kept", None)
        if kept is not None:
            return kept.write(text)
        rest = getattr(self.local, "rest", "") + text
        *lines, self.local.rest = rest.split("\n")
        self.tell(*(said for line in lines for said in comment(line) or ["#"]))
        return len(text)

    def flush(self):
        self.out.flush()

    def tell(self, *lines):
        """Lines of the report itself; those of one call stay together."""
        with self.lock:
            for line in lines:
                self.out.write(f"{line}\n")
            self.out.flush()


# --- which cases --------------------------------------------------------------

def _broken(module, text):
    def fail(_note):
        raise cases.Failure(text)
    return cases.Case("all of its cases", module, fail)


def load(modules=MODULES):
    """All cases, in the order of the list; a module that is not there is a case that fails."""
    found = []
    for module in modules:
        before = len(cases.REGISTRY)
        try:
            importlib.import_module(f"lab.cases.{module}")
        except Exception as error:		# pylint: disable=broad-except
            missing = isinstance(error, ModuleNotFoundError) \
                and error.name == f"lab.cases.{module}"
            found.append(_broken(module, f"lab/cases/{module}.py does not exist (yet)" if missing
                                 else traceback.format_exc()))
            del cases.REGISTRY[before:]
            continue
        own = [c for c in cases.REGISTRY if c.group == module]
        found += own or [_broken(module, f"lab/cases/{module}.py has no cases")]
    return found


def title(case):
    return f"{case.group}: {case.name}"


def choose(found, globs):
    """The cases whose 'group: name' matches one of the patterns; the blank may be left out."""
    if not globs:
        return found
    return [case for case in found
            if any(fnmatch.fnmatchcase(name, glob) for glob in globs
                   for name in (title(case), f"{case.group}:{case.name}", case.group, case.name))]


def skips():
    """The lists of skips: for every kernel, and what this base adds."""
    return [path for path in (SKIPS, bases.folder(common.BASE) / "skips.json") if path.exists()]


def accepted(name, reason, *paths):
    """Is this skip on one of the lists, for this reason?"""
    return any(fnmatch.fnmatchcase(name, row["name"]) and re.search(row["said"], reason)
               for path in paths or skips() for row in json.loads(path.read_text()))


# --- one case ------------------------------------------------------------------

def run(case, failed_builds=None):
    """Run a case; whatever happens comes back as a Result."""
    note, begun = Note(), time.monotonic()
    outcome, reason = PASS, ""
    try:
        for kernel in case.kernels:
            if kernel in (failed_builds or {}):
                raise cases.Failure(f"kernel {kernel} was not built: {failed_builds[kernel]}")
        case.run(note)
    except cases.Skip as skip:
        outcome, reason = SKIP, str(skip)
    except (cases.Failure, LabError, AssertionError) as failure:
        outcome, reason = FAIL, str(failure) or type(failure).__name__
    except BaseException as error:			# pylint: disable=broad-except
        if isinstance(error, KeyboardInterrupt) and \
                threading.current_thread() is threading.main_thread():
            raise			# ^C, which no other thread gets, ends all of it
        outcome, reason = FAIL, traceback.format_exc()
    return settle(Result(title(case), outcome, reason, time.monotonic() - begun,
                         note.parts, note.lines))


def settle(result):
    """Refuse skips that nobody accepted, and see that a case agrees with its parts."""
    for one, name in [(result, result.name),
                      *((part, f"{result.name}: {part.name}") for part in result.parts)]:
        if one.outcome == SKIP and not accepted(name, one.reason):
            one.outcome = FAIL
            one.reason = f"skipped, and {show(SKIPS)} does not accept that: {one.reason}"
    if not result.parts:
        return result
    bad = any(part.outcome == FAIL for part in result.parts)
    if result.outcome == FAIL and not bad:
        result.parts.append(Result("all else", FAIL, result.reason))
        result.reason = ""
    elif bad:
        result.outcome = FAIL
    return result


# --- what came of them ----------------------------------------------------------

def times(results):
    """{group: seconds of its cases}, some of which ran beside others."""
    spent = {}
    for result in results:
        group = result.name.partition(":")[0]
        spent[group] = spent.get(group, 0) + (result.seconds or 0)
    return spent


# --- all of them ------------------------------------------------------------------

def each(things):
    """Takes one after the other; several threads may share what it returns."""
    todo = queue.SimpleQueue()
    for thing in things:
        todo.put(thing)

    def take():
        while True:
            try:
                yield todo.get_nowait()
            except queue.Empty:
                return
    return take


def start(count, function):
    """Threads that run this function; daemons, so that ^C need not wait for make or a guest."""
    threads = [threading.Thread(target=function, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def _build(name, failed):
    try:
        build.build(name.removeprefix("base:"), name.startswith("base:"))
    except LabError as error:
        say(str(error))
        failed[name] = str(error).splitlines()[0]
    except Exception as error:			# pylint: disable=broad-except
        say(traceback.format_exc())
        failed[name] = repr(error)


def build_kernels(chosen):
    """Build what the chosen cases boot; returns {kernel: why it was not built}.

    The next one has its turn when only the linker of the one before is left.
    """
    wanted, failed = {kernel for case in chosen for kernel in case.kernels}, {}
    take = each([*(k for k in BUILDS if k in wanted), *sorted(wanted - set(BUILDS))])

    def work():
        for name in take():
            _build(name, failed)
    for thread in start(min(BUILDERS, len(wanted)), work):
        thread.join()
    return failed


def _lots(chosen):
    """[what one thread runs in a row]: a case, or those of a group that share a place."""
    rows = {}
    for case in chosen:
        rows.setdefault(case.group if case.group in IN_ORDER else title(case), []).append(case)
    return list(rows.values())


def workers():
    """How many cases run at a time."""
    return number("GUESTS", 2)


def run_beside(chosen, failed, report, voices):
    """Several at a time."""
    lots, running = _lots(chosen), {}
    take = each(lots)

    def work():
        said = voices.record()
        for case in (case for lot in take() for case in lot):
            running[title(case)] = time.monotonic()
            result = run(case, failed)
            del running[title(case)]
            report.add(result, said.getvalue())
            said.seek(0)
            said.truncate()
    threads, told = start(min(workers(), len(lots)), work), time.monotonic()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.2)
        now = time.monotonic()
        if now - told >= SIGN_OF_LIFE:
            told = now
            busy = [f"{name} ({now - since:.0f} s)" for name, since in list(running.items())]
            report.tell(*comment(f"running: {', '.join(busy) or 'nothing'}"))


def run_all(chosen, report, failed, voices):
    """In the order of the modules."""
    for beside, mine in itertools.groupby(chosen, lambda case: case.group in SIDE_BY_SIDE):
        if beside:
            run_beside(list(mine), failed, report, voices)
            continue
        for case in mine:
            report.tell(*comment(f"{title(case)} ..."))
            report.add(run(case, failed))


def perform(chosen, out, what="test", asked=""):
    """Build, run and report; returns the exit status."""
    voices, begun, before = Voices(out), time.monotonic(), sys.stdout
    sys.stdout = voices
    try:
        with Report(what, len(chosen), voices.tell, asked) as report:
            failed = build_kernels(chosen)
            built = time.monotonic() - begun
            run_all(chosen, report, failed, voices)
            spent = ", ".join(f"{name} {seconds:.0f} s"
                              for name, seconds in times(report.results).items())
            return report.end(f"# time: kernels {built:.0f} s; cases, {workers()} side by side: "
                              f"{spent}; {(time.monotonic() - begun) / 60:.1f} minutes in all")
    finally:
        sys.stdout = before


def _main(argv, modules, what):
    globs = settings.patterns(argv)
    chosen = choose(load(modules), globs)
    if not chosen:
        raise LabError(f"no case matches {' '.join(globs)}; make {what} LIST=1 lists them")
    if settings.listing(argv):
        for case in chosen:
            say(title(case))
        return 0
    packages.need(*(("build", "boot") if globs else NEEDS))
    return perform(chosen, sys.stdout, what, " ".join(globs))


def main(argv):
    return _main(argv, MODULES, "test")


def long_main(argv):
    return _main(argv, LONG_MODULES, "test-long")
