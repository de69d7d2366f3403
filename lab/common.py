# SPDX-License-Identifier: GPL-2.0
"""What every part of the lab shares: places, errors, and commands that are seen."""

import contextlib
import fcntl
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAIN = "7.3"				# the base of patches/: a folder of bases/
BASE = os.environ.get("BASE") or MAIN	# the one that this command is about


def build_folder(base: str) -> Path:
    """Each base has a build folder of its own; LAB_BUILD, if given, is that of BASE."""
    if os.environ.get("LAB_BUILD") and base == BASE:
        return Path(os.environ["LAB_BUILD"]).resolve()
    return (ROOT / "build" / ("" if base == MAIN else base)).resolve()


BUILD = build_folder(BASE)
# What was downloaded is of use for all bases.
CACHE = Path(os.environ.get("LAB_CACHE")
             or Path(os.environ.get("LAB_BUILD") or ROOT / "build") / "cache").resolve()
LOGS = BUILD / "logs"
TREE = BUILD / "linux"			# git: base commit, then the series
JOBS = int(os.environ.get("JOBS", os.cpu_count() or 1))


class LabError(Exception):
    """A failure the user can act on: what happened, what it means, what to do."""


def say(text=""):
    print(text, flush=True)


def show(path):
    """A path as the user would type it from the repository."""
    try:
        return str(Path(path).resolve().relative_to(ROOT))
    except ValueError:
        return str(path)


def quoted(argv):
    return " ".join(shlex.quote(str(a)) for a in argv)


def run(argv, *, log=None, cwd=None, env=None, quiet=False, check=True,
        stdin=None, timeout=None):
    """Run one command; print it, keep its output, explain its failure.

    With log, output goes to build/logs/LOG; otherwise it is returned as text.
    """
    argv = [str(a) for a in argv]
    if not quiet:
        say(f"$ {quoted(argv)}" + (f"   # log: {show(LOGS / log)}" if log else ""))
    full = dict(os.environ, **(env or {}))
    if log:
        LOGS.mkdir(parents=True, exist_ok=True)
        path = LOGS / log
        with open(path, "w", encoding="utf-8", errors="replace") as out:
            done = subprocess.run(argv, cwd=cwd, env=full, stdin=stdin or subprocess.DEVNULL,
                                  stdout=out, stderr=subprocess.STDOUT, timeout=timeout)
        if check and done.returncode:
            tail = path.read_text(errors="replace").splitlines()[-25:]
            raise LabError("\n".join([f"failed ({done.returncode}): {quoted(argv)}",
                                      *("  | " + line for line in tail),
                                      f"the whole log: {show(path)}"]))
        return done.returncode
    done = subprocess.run(argv, cwd=cwd, env=full, stdin=stdin or subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="replace", timeout=timeout)
    if check and done.returncode:
        raise LabError(f"failed ({done.returncode}): {quoted(argv)}\n"
                       + (done.stderr or done.stdout).rstrip())
    return done.stdout if check else done


@contextlib.contextmanager
def locked(name, folder=BUILD):
    """One user of a shared directory at a time, across processes."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f".{name}.lock", "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f"waiting for another lab command to release '{name}'")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def timed(what):
    start = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - start:.0f} s")


def main(function):
    """Run a command's entry point; a LabError is one clear message and status 2."""
    try:
        sys.exit(function(sys.argv[1:]) or 0)
    except LabError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
