# SPDX-License-Identifier: GPL-2.0
"""A debugger for a guest, and for the dumps that QEMU makes of one.

    answers = ask(kernel, live(guest), ["lx-version", "print max_pfn"])
    with dump(guest) as core:
        answers = ask(kernel, core, [...])

An Answer is what one command printed, or the error that ended it. The guest has to be
stopped (guest.qmp.ask("stop")) when answers are compared with anything else, and stays so.
"""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from lab import build, packages
from lab.common import BUILD, LabError, run, show

# Runs in gdb. Leaves a live guest as it is: detaching would let it run.
DRIVER = """
import json, gdb
answers = []
for command in json.load(open({commands!r})):
    try:
        answers.append([gdb.execute(command, to_string=True), ""])
    except gdb.error as error:
        answers.append(["", str(error)])
json.dump(answers, open({answers!r}, "w"))
if {live}:
    gdb.execute("disconnect")
"""


@dataclass(frozen=True)
class Answer:
    text: str
    error: str


@dataclass(frozen=True)
class Target:
    """What gdb is to look at."""

    command: str		# of gdb, to get there; '' for nothing but the kernel's file
    folder: Path		# for the scripts and the log

    @property
    def live(self):
        return self.command.startswith("target remote")


def live(guest):
    """The guest's gdb stub."""
    path = guest.sockets / "gdb"
    if not path.exists():
        said = guest.qmp.human(f"gdbserver unix:{path},server=on,wait=off")
        if not path.exists():
            raise LabError(f"QEMU opened no gdb server: {said.strip() or '(it said nothing)'}")
    return Target(f"target remote {path}", guest.folder)


@contextlib.contextmanager
def dump(guest, paging=True):
    """A dump of the guest's memory, as long as the block runs; without paging, physical."""
    path = guest.folder / f"dump-{'paging' if paging else 'physical'}.elf"
    try:
        if guest.qmp.ask("dump-guest-memory", 120, paging=paging,
                         protocol=f"file:{path}") is None:
            raise LabError("QEMU made no dump (dump-guest-memory was refused or took too long)")
        yield Target(f"core-file {path}", guest.folder)
    finally:
        path.unlink(missing_ok=True)


def nothing():
    """No guest at all."""
    folder = BUILD / "gdb"
    folder.mkdir(parents=True, exist_ok=True)
    return Target("", folder)


def ask(kernel, target, commands):
    """The Answer to each command; the kernel's own commands are loaded."""
    packages.need("debug")
    script, wish, got = (target.folder / f"gdb.{end}" for end in ("py", "commands", "answers"))
    script.write_text(DRIVER.format(commands=str(wish), answers=str(got), live=target.live))
    wish.write_text(json.dumps(list(commands)))
    got.unlink(missing_ok=True)
    argv = ["gdb", "-nx", "-batch", "-iex", "set auto-load safe-path /", kernel.vmlinux]
    argv += ["-ex", target.command] if target.command else []
    done = run([*argv, "-x", script], check=False, quiet=True, timeout=300)
    said = done.stdout + done.stderr
    (target.folder / "gdb.log").write_text(said)
    if not got.exists():
        raise LabError(f"gdb gave no answers (log: {show(target.folder / 'gdb.log')}):\n"
                       + said.strip()[-2000:])
    return [Answer(*pair) for pair in json.loads(got.read_text())]


def prepare(kernel):
    """Before the first ask(): the kernel's own commands."""
    build.gdb_scripts(kernel)
