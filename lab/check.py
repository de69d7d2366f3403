# SPDX-License-Identifier: GPL-2.0
"""make check: what can be found out about the product without running it.

python3 -m lab check [GLOB...]		only the checks whose name matches, e.g. '*sparse*'

One TAP line for each check, with what was found below it as comments; the last line is
'N passed, N failed', and says so if something was skipped. What a check prints while it
works goes to build/logs/check.log.
"""

import contextlib
import fnmatch
import io
import time
import traceback

from lab import checks, common
from lab.checks import Skip
from lab.common import LabError, say, show

# In this order: what fails at once comes first. Importing them registers their checks.
MODULES = ("repository", "source", "compile")
PASS, FAIL, SKIP = "passed", "failed", "skipped"
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


def report(number, name, outcome, lines, seconds):
    word = "not ok" if outcome == FAIL else "ok"
    skipped = f" # SKIP {' '.join(lines)}" if outcome == SKIP else ""
    say(f"{word} {number} - {name}{skipped or f' # {seconds:.0f} s'}")
    if outcome == FAIL:
        for line in lines[:SHOWN]:
            say(f"#   {line}")
        if len(lines) > SHOWN:
            say(f"#   and {len(lines) - SHOWN} more: {show(common.LOGS / 'check.log')}")


def closing(counts):
    text = f"{counts[PASS]} passed, {counts[FAIL]} failed"
    return text + (f", {counts[SKIP]} skipped" if counts[SKIP] else "")


def perform(found, tree, log):
    """Run checks; how many passed, failed, were skipped."""
    counts = {PASS: 0, FAIL: 0, SKIP: 0}
    say("TAP version 13")
    say(f"1..{len(found)}")
    for number, (name, function) in enumerate(found, 1):
        begun = time.monotonic()
        log.write(f"--- {name}\n")
        outcome, lines = recorded(function, tree, log)
        counts[outcome] += 1
        report(number, name, outcome, lines, time.monotonic() - begun)
    return counts


def main(argv):
    found = load()
    chosen = [one for one in found if not argv or any(fnmatch.fnmatch(one[0], g) for g in argv)]
    if not chosen:
        raise LabError("no such check; there are\n" + "\n".join(f"  {name}" for name, _ in found))
    begun = time.monotonic()
    tree = checks.the_tree()
    common.LOGS.mkdir(parents=True, exist_ok=True)
    with common.locked("check"), open(common.LOGS / "check.log", "w", encoding="utf-8") as log:
        counts = perform(chosen, tree, log)
    say(f"# {time.monotonic() - begun:.0f} s; log: {show(common.LOGS / 'check.log')}")
    say(closing(counts))
    return 0 if counts[PASS] and not counts[FAIL] else 1
