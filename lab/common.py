# SPDX-License-Identifier: GPL-2.0
"""What every part of the lab shares: places, errors, and commands that are seen."""

import contextlib
import errno
import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAIN = "7.3"				# the base of patches/: a folder of bases/
BASE = os.environ.get("BASE") or MAIN	# the one that this command is about


def build_folder(base: str) -> Path:
    """Each base has a build folder of its own; LAB_BUILD, if given, is that of BASE."""
    if os.environ.get("LAB_BUILD") and base == BASE:
        return Path(os.environ["LAB_BUILD"]).resolve()
    top = os.environ.get("LAB_BUILD") or ROOT / "build"
    return (Path(top) / ("" if base == MAIN else base)).resolve()


BUILD = build_folder(BASE)
# What was downloaded is of use for all bases.
CACHE = Path(os.environ.get("LAB_CACHE")
             or Path(os.environ.get("LAB_BUILD") or ROOT / "build") / "cache").resolve()
LOGS = BUILD / "logs"
TREE = BUILD / "linux"			# git: base commit, then the series
PATIENCE = 2			# seconds that something may take without a word
ROOM = 512			# MiB that the cache should have


class LabError(Exception):
    """A failure the user can act on: what happened, what it means, what to do."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, which a cancelled CI job gets: as for ^C, nothing is left half done."""


def number(name, default, least=1, text=None):
    """What NAME= says, of the kind of the default; empty is the same as not given."""
    text = os.environ.get(name, "") if text is None else text
    if not text:
        return default
    kind = type(default)
    with contextlib.suppress(ValueError):
        if least <= (value := kind(text)) < float("inf"):
            return value
    raise LabError(f"{name}={text} is not a {'whole ' if kind is int else ''}number of at least "
                   f"{least:g}")


def scaled(seconds):
    """A time limit, on a machine that may be busy."""
    return seconds * number("LAB_TIMEOUT_SCALE", 1.0, 0.0)


def jobs():
    """How many processes make may start."""
    return number("JOBS", os.cpu_count() or 1)


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
def locked(name, folder=None):
    """One user of a shared directory at a time, across processes; the file says who it is."""
    folder = folder or BUILD
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f".{name}.lock", "a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f"waiting for {_holder(handle)} to release '{name}'")
            fcntl.flock(handle, fcntl.LOCK_EX)
        handle.truncate(0)
        with contextlib.suppress(OSError):	# a courtesy, which a full disk must not end
            command = " ".join([Path(sys.argv[0]).stem, *sys.argv[1:]])
            os.write(handle.fileno(),
                     f"pid {os.getpid()}, '{command}' in {ROOT}".encode(errors="replace"))
        try:
            yield
        finally:
            handle.truncate(0)


def _holder(handle):
    """Who has the lock: it writes that a moment after it has got it."""
    handle.seek(0)
    said = handle.read().strip()
    if said.startswith(f"pid {os.getpid()},"):
        return "another part of this command"
    return f"another lab command ({said or 'which has just begun'})"


@contextlib.contextmanager
def patience(text):
    """Say what is being done, but only if it takes long."""
    timer = threading.Timer(PATIENCE, say, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def timed(what):
    start = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - start:.0f} s")


# --- the places -----------------------------------------------------------------

# Blanks end the kernel's make at once; the others get into commands of make and the shell.
_UNFIT = re.compile(r"[^\w./+@=~!-]")


def owner(path):
    """(variable, folder) that decides where a path is."""
    if os.environ.get("LAB_CACHE") and Path(path).is_relative_to(CACHE):
        return "LAB_CACHE", CACHE
    return "LAB_BUILD", BUILD


def usable():
    """Stop before something is half done in a place where the kernel cannot be built."""
    for what, path in (("this clone", ROOT), ("LAB_BUILD", BUILD)):
        if found := _UNFIT.search(str(path)):
            raise LabError(f"the kernel cannot be built in a folder with '{found[0]}' in its path; "
                           f"{what} is {path}\nMove it" + (" (all below build/ is made anew)."
                           if what == "this clone" else ", or leave LAB_BUILD= away."))
    for folder in (BUILD, CACHE, CACHE / "ccache"):
        probe = folder / f".probe-{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            raise LabError(trouble(error, folder)) from None
    if (free := shutil.disk_usage(CACHE).free >> 20) < ROOM:
        name, folder = owner(CACHE)
        say(f"notice: only {free} MiB are free for {name}={folder}: what is compiled is not kept, "
            f"and each time compiled anew\nFree some space, or {name}=/big/disk make ...")


def trouble(error, path):
    """Words for an OSError of a place that is full or must not be written."""
    name, folder = owner(path)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return (f"{path} cannot be written: {error.strerror}\n"
            + (f"{shutil.disk_usage(folder).free >> 20} MiB are free there. "
               if full and folder.exists() else "")
            + f"It is there because {name}={folder}"
            + ("" if name in os.environ else ", which is where it is if nobody says otherwise")
            + f"\n{'Free some space' if full else 'See to it that you may write there'}, or name "
            f"another place: {name}=/other/dir make ...")


def main(function):
    """Run a command's entry point; a LabError is one clear message and status 2."""
    try:
        sys.exit(function(sys.argv[1:]) or 0)
    except LabError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt as error:
        sys.stderr.write("interrupted\n")
        sys.exit(143 if isinstance(error, Terminated) else 130)
    except BrokenPipeError:			# make ... | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(141)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        # A write that fails does not say of which file: then it is where there is least room.
        fullest = min((p for p in (BUILD, CACHE) if p.exists()), default=BUILD,
                      key=lambda p: shutil.disk_usage(p).free)
        sys.stderr.write(f"error: {trouble(error, error.filename or fullest)}\n")
        sys.exit(2)
