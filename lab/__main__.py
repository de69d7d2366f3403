# SPDX-License-Identifier: GPL-2.0
"""python3 -m lab COMMAND: what the Makefile's targets call."""

import importlib
import importlib.util
import signal
import sys

from lab import bases, common, settings
from lab.common import LabError, say

# command: (module, function, what it does). Modules are imported only when called: a broken
# or missing one must not keep the others from working.
COMMANDS = {
    "run": ("demo", "main", "from a bare machine to the demonstration: a panic report, explained"),
    "test": ("suite", "main", "KUnit, boot, panic and series tests; ends with N passed, N failed"),
    "test-long": ("suite", "long_main", "what is too long for test: soak, kernel selftests, ..."),
    "tree": ("tree", "main", "build/linux: kernel plus series, one commit each (KSRC=, FORCE=1)"),
    "refresh": ("tree", "refresh_main", "edits and commits of build/linux to overlay, patches (FORCE=1)"),
    "port": ("port", "main", "build/port/linux: a git rebase of the series onto KSRC="),
    "bases": ("across", "main", "each kernel of bases/: tree, build, KUnit, silent, panicking"),
    "series": ("series", "main", "build/series: a mailbox for each thread, signed off by you"),
    "kernel": ("build", "main", "build one kernel configuration (CONFIG=name)"),
    "boot": ("boot", "main", "boot one configuration with a shell (CONFIG=name APPEND='...')"),
    "check": ("check", "main", "checkpatch, sparse, W=1, documentation; every commit builds"),
    "matrix": ("matrix", "main", "other architectures and kinds of kernel, each booted with KUnit"),
    "bench": ("bench", "main", "the measurements, against the unpatched kernel and the peers"),
    "mutants": ("mutants", "main", "one-line breakages that must each turn a named test red"),
    "fresh": ("fresh", "main", "README's commands on a bare Debian in a chroot (ALL=1: all, cold)"),
    "clean": ("tree", "clean_main", "remove what was built; keeps downloads, spares edits"),
}


def usage():
    width = max(map(len, COMMANDS))
    for name, (_, _, text) in COMMANDS.items():
        say(f"make {name:<{width}}  {text}")
    say("\nNAME=value behind make or in the environment, and which of them know it:\n")
    for line in settings.lines():
        say(line)


def dispatch(argv):
    if not argv or argv[0] in ("help", "-h", "--help"):
        return usage()
    if argv[0] not in COMMANDS:
        raise LabError(f"there is no command '{argv[0]}'; make help lists them")
    bases.check()
    settings.refuse_nonsense(argv[0], argv[1:])
    if not settings.listing(argv[1:]) and argv[0] != "clean":
        common.usable()
    module, function, _ = COMMANDS[argv[0]]
    if not importlib.util.find_spec(f"lab.{module}"):
        raise LabError(f"make {argv[0]}: lab/{module}.py is not there: "
                       "the checkout is incomplete")
    entry = getattr(importlib.import_module(f"lab.{module}"), function, None)
    if not entry:
        raise LabError(f"make {argv[0]}: lab/{module}.py has no {function}()")
    return entry(argv[1:])


def terminated(*_):
    raise common.Terminated


sys.argv[0] = "lab"
signal.signal(signal.SIGTERM, terminated)
common.main(dispatch)
