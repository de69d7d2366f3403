# SPDX-License-Identifier: GPL-2.0
"""make fresh: what README tells to type, typed on a machine that has nothing yet.

	make fresh		compiler cache and .deb files are shared with this machine
	make fresh ALL=1	nothing is shared, and make check comes after make test
	make fresh ONLY=globs	of make test only these cases

The machine is a bare Debian below build/fresh (lab/chroot.py), with apt's sources of this one and
a clone of HEAD. One KTAP line for each command; the last line is 'N passed, N failed'. What the
commands say goes to build/logs/fresh-*.log, and their own logs to build/logs/fresh/.
"""

import contextlib
import os
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from lab import chroot, common, settings, source
from lab.chroot import Chroot
from lab.common import LabError, run, say, show
from lab.ktap import FAIL, PASS, Report, Result

CLONE, CACHE = "/clone", "/cache"		# in the chroot
SPACE, SPACE_ALL = 12, 20			# GiB: packages, tree, kernels; the same and make check
CLOSING = re.compile(r"^(\d+) passed, (\d+) failed.*$", re.M)
COUNTING = ("make test", "make check")		# what has to end with such a line
SHOWN = 25					# lines of a log


def commands(text: str, everything: bool, only: str = "") -> list[str]:
    """Those of README's first section, as they stand there."""
    section = re.search(r"^## Try it$(.*?)^## ", text, re.M | re.S)
    found = re.findall(r"^    (make [\w-]+(?: +[^\s#]+)*)", section[1] if section else "", re.M)
    if "make test" not in found:
        raise LabError("README.md does not say 'make test' under 'Try it': make fresh does "
                       "not know what to run\nIf the section has another name now, change "
                       "lab/fresh.py.")
    found += ["make check"] if everything else []
    return [f"{command} ONLY={shlex.quote(only)}" if command == "make test" and only else command
            for command in found]


def shared() -> dict[Path, str]:
    """What costs most and decides nothing: objects under their hashes, and packages.

    The kernel's source is not shared: how it is found is a thing to be tried.
    """
    places = {common.CACHE / "ccache": f"{CACHE}/ccache",
              common.CACHE / "debs": "/var/cache/apt/archives",
              # Builds of both machines take turns.
              common.CACHE / ".make.lock": f"{CACHE}/.make.lock"}
    for here in places:
        if here.name.startswith("."):
            here.touch()
        else:
            here.mkdir(parents=True, exist_ok=True)
    return places


def environment(everything: bool) -> dict[str, str]:
    kept = {"JOBS": os.environ["JOBS"]} if os.environ.get("JOBS") else {}
    return kept if everything else {**kept, "LAB_CACHE": CACHE}


# --- the machine ----------------------------------------------------------------------

def clone(machine: Chroot) -> None:
    """HEAD of this repository; through a file, because nothing of it can be seen in there."""
    bundle = machine.root / "head.bundle"
    git = ["git", "-c", f"safe.directory={common.ROOT}", "-C", common.ROOT]
    run([*git, "bundle", "create", "-q", bundle, "HEAD"], quiet=True)
    log = common.LOGS / "fresh-clone.log"
    if status := machine.enter(f"git clone -q /head.bundle {CLONE}", log, "git clone"):
        raise LabError(f"the clone failed ({status}): {chroot.last_line(log)}\nIs this repository "
                       f"whole (git fsck)? The log: {show(log)}")
    head = run([*git, "log", "-1", "--format=%h (%s)"], quiet=True).strip()
    say(f"# a clone of {head}")
    if run([*git, "status", "--porcelain"], quiet=True):
        say("# notice: what is not committed is not in it")


@contextlib.contextmanager
def bare(everything: bool) -> Iterator[Chroot]:
    """The bare machine with its clone, for the length of a with block."""
    begun = time.monotonic()
    with chroot.made(common.BUILD / "fresh" / "debian", common.LOGS / "fresh-debian.log",
                     {} if everything else shared()) as machine:
        machine.environment = environment(everything)
        if (machine.root / "usr/bin/python3").exists():
            raise LabError("the bare Debian has python3, so it cannot show that the Makefile gets "
                           f"along without\nWhich of {', '.join(chroot.INCLUDE)} brings it? Take "
                           "that out of lab/chroot.py.")
        say(f"# a bare Debian: {time.monotonic() - begun:.0f} s")
        clone(machine)
        try:
            yield machine
        finally:
            keep_logs(machine.root / CLONE.lstrip("/") / "build/logs")


def keep_logs(folder: Path) -> None:
    """They are what explains a failure when the machine is gone."""
    if folder.exists():
        # Not copytree(): it gives up at a socket.
        run(["cp", "-r", folder, common.LOGS / "fresh"], quiet=True, check=False)


# --- the commands ---------------------------------------------------------------------

def attempt(machine: Chroot, command: str, log: Path) -> tuple[str, list[str]]:
    """(what it says at its end, why it failed) of one command."""
    status = machine.enter(f"cd {CLONE} && {command}", log, command.partition(" ONLY")[0])
    text = log.read_text(errors="replace")
    counts = CLOSING.findall(text)
    closing = [match[0] for match in CLOSING.finditer(text)][-1:]
    if status:
        return "", [f"ended with {status}; its last lines:",
                    *(f"| {line}" for line in text.splitlines()[-SHOWN:]),
                    f"the whole log: {show(log)}; the logs of what it ran: "
                    f"{show(common.LOGS / 'fresh')}/"]
    if command.startswith(COUNTING) and (not counts or counts[-1][0] == "0"):
        return "", [f"ended well and has passed nothing, so nothing was tried: {show(log)}"]
    return "".join(closing), []


def perform(machine: Chroot, todo: list[str], report: Report) -> int:
    """Run all, also when one fails; returns the exit status."""
    for command in todo:
        begun = time.monotonic()
        log = common.LOGS / f"fresh-{command.split()[1]}.log"
        closing, why = attempt(machine, command, log)
        report.add(Result(command, FAIL if why else PASS, "\n".join(why),
                          time.monotonic() - begun, notes=[closing] if closing else []))
    return report.end()


def main(argv: list[str]) -> int:
    """make fresh [ALL=1] [ONLY=globs]"""
    named = settings.given(argv)[1]
    everything = named.get("ALL", "") not in ("", "0")
    todo = commands((common.ROOT / "README.md").read_text(), everything, named.get("ONLY", ""))
    if settings.listing(argv):
        for command in todo:
            say(command)
        return 0
    chroot.possible()
    source.need_space(common.BUILD, SPACE_ALL if everything else SPACE, "a new machine")
    with contextlib.ExitStack() as stack:
        stack.enter_context(common.locked("fresh"))
        if not everything:		# apt does not wait for others that use its folder
            stack.enter_context(common.locked("fresh", common.CACHE))
        for old in common.LOGS.glob("fresh-*.log"):
            old.unlink()
        shutil.rmtree(common.LOGS / "fresh", ignore_errors=True)
        report = stack.enter_context(Report("fresh", len(todo)))
        return perform(stack.enter_context(bare(everything)), todo, report)
