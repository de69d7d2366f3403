# SPDX-License-Identifier: GPL-2.0
"""make check: what can be found out about the product without running it.

	make check ONLY='*sparse*'	or	python3 -m lab check '*sparse*'

One KTAP line for each check, with what was found above it as comments; the last line is
'N passed, N failed', and says so if something was skipped. What a check prints while it
works goes to build/logs/check.log, all results to check.summary and check.xml.
"""

import contextlib
import fnmatch
import io
import time
import traceback

from lab import checks, common, settings
from lab.checks import Skip
from lab.common import LabError, say, show
from lab.ktap import FAIL, PASS, SKIP, Report, Result

# In this order: what fails at once comes first. Importing them registers their checks.
MODULES = ("repository", "source", "compile")
SHOWN = 30		# findings on the terminal; all of them are in the log


def load():
    for module in MODULES:
        __import__(f"lab.checks.{module}")
    return list(checks.REGISTRY)


def run(function, tree):
    """(outcome, lines) of one check."""
    try:
        found = function(tree)
    except Skip as skip:
        return SKIP, [str(skip)]
    except LabError as error:
        return FAIL, str(error).splitlines()
    except Exception:		# pylint: disable=broad-except
        # A check that breaks has not passed, and must not take the others with it.
        return FAIL, traceback.format_exc().splitlines()
    return (FAIL, found) if found else (PASS, [])


def recorded(function, tree, log):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        outcome, lines = run(function, tree)
    log.write(said.getvalue() + "".join(f"  {line}\n" for line in lines))
    log.flush()
    return outcome, lines


def shown(lines):
    """What is on the terminal of what a check has found."""
    more = len(lines) - SHOWN
    return "\n".join([*lines[:SHOWN], *([f"and {more} more: {show(common.LOGS / 'check.log')}"]
                                        if more > 0 else [])])


def perform(found, tree, log, asked=""):
    """Run checks and report; returns the exit status."""
    begun = time.monotonic()
    with Report("check", len(found), asked=asked) as report:
        for name, function in found:
            start = time.monotonic()
            log.write(f"--- {name}\n")
            outcome, lines = recorded(function, tree, log)
            report.add(Result(name, outcome, shown(lines), time.monotonic() - start))
        return report.end(f"# {time.monotonic() - begun:.0f} s; log: "
                          f"{show(common.LOGS / 'check.log')}")


def main(argv):
    found, globs = load(), settings.patterns(argv)
    chosen = [one for one in found if not globs or any(fnmatch.fnmatch(one[0], g) for g in globs)]
    if not chosen:
        raise LabError("no such check; there are\n" + "\n".join(f"  {name}" for name, _ in found))
    if settings.listing(argv):
        for name, _ in chosen:
            say(name)
        return 0
    tree = checks.the_tree()
    common.LOGS.mkdir(parents=True, exist_ok=True)
    with common.locked("check"), open(common.LOGS / "check.log", "w", encoding="utf-8") as log:
        return perform(chosen, tree, log, " ".join(globs))
