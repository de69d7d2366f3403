# SPDX-License-Identifier: GPL-2.0
"""What a user asks for by NAME=value, behind make or before it: the list, and if it has a sense.

An empty value is the same as none. What has no sense is told at once: half an hour
later, when the first guest is to start, is too late.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from lab.common import MAIN, LabError, number

SETTING = re.compile(r"[A-Z_]+=")	# titles of cases have this sign, too
LISTED = ("test", "test-long", "check", "matrix", "mutants", "fresh")	# made of parts with names
PARTS, ALL = "test, check, matrix ...", "all"


def count(name: str, text: str) -> None:
    number(name, 1, text=text)


def factor(name: str, text: str) -> None:
    if not number(name, 1.0, 0.0, text):
        raise LabError(f"{name}={text} is not a number above 0")


def one_of(*words: str) -> Callable[[str, str], None]:
    def check(name: str, text: str) -> None:
        if text not in words:
            raise LabError(f"{name}={text}: {' or '.join(words)} is meant")
    return check


def memory(name: str, text: str) -> None:
    if not re.fullmatch(r"[1-9]\d*[GMgm]?", text):
        raise LabError(f"{name}={text}: the size of a machine is meant, as in 512M or 2G")


@dataclass
class Setting:
    name: str
    where: str				# the commands that know it, for people
    text: str
    check: Callable[[str, str], None] = lambda name, text: None


SETTINGS = (
    Setting("ONLY", PARTS, "only what matches: ONLY='silent:*,off:*'"),
    Setting("LIST", PARTS, "LIST=1: name what would run, and do nothing else"),
    Setting("CONFIG", "kernel, boot", "kernel configuration, of lab/configs (x86)"),
    Setting("BASE", ALL, f"the kernel it is about, of bases/ ({MAIN}); each has its build folder"),
    Setting("UNPATCHED", "kernel, boot", "UNPATCHED=1: the kernel without the series"),
    Setting("UNSIGNED", "series", "UNSIGNED=1: mails to apply, not to send"),
    Setting("APPEND", "boot, run", "words for the kernel's command line"),
    Setting("SMP", "boot", "CPUs (2)", count),
    Setting("NODES", "boot", "NUMA nodes (2)", count),
    Setting("MEMORY", "boot", "memory (1G)", memory),
    Setting("HOST", "boot", "HOST=1: the files of this machine are the root, read only"),
    Setting("CORRUPT", "run", "what is corrupted: primary, secondary, table, word, freelist"),
    Setting("KSRC", "tree, all that need it", "kernel source to use: tree, git checkout, tarball"),
    Setting("FORCE", "tree, refresh, clean", "FORCE=1: the other side's edits may go"),
    Setting("SOAK", "test-long", "minutes of each soak (10)",
            lambda name, text: number(name, 10.0, 1.0, text)),
    Setting("ALL", "fresh", "ALL=1: nothing of this machine, and make check as well"),
    Setting("JOBS", ALL, "parallel jobs of make (one for each CPU)", count),
    Setting("GUESTS", "test, test-long", "cases side by side (2)", count),
    Setting("LAB_BUILD", ALL, "where everything is built (build)"),
    Setting("LAB_CACHE", ALL, "downloads and compiler cache, for several clones (build/cache)"),
    Setting("LAB_ACCEL", "all with guests", "kvm or tcg (tried out once)", one_of("kvm", "tcg")),
    Setting("LAB_TIMEOUT_SCALE", "all that test", "factor of all time limits, for a busy machine",
            factor),
)


def given(argv: list[str]) -> tuple[list[str], dict[str, str]]:
    """(words, {name: value}) of a command: what is behind it, and before that the environment."""
    named = {**os.environ, **dict(w.split("=", 1) for w in argv if SETTING.match(w))}
    return [w for w in argv if not SETTING.match(w)], named


def patterns(argv: list[str]) -> list[str]:
    """The globs of ONLY= and of words behind the command. A name may have a comma, a glob not."""
    words, named = given(argv)
    return [g.strip() for g in [*words, *named.get("ONLY", "").split(",")] if g.strip()]


def listing(argv: list[str]) -> bool:
    return given(argv)[1].get("LIST", "") not in ("", "0")


def refuse_nonsense(command: str, argv: list[str]) -> None:
    """Stop before anything is done because of a wish that cannot be fulfilled."""
    named = given(argv)[1]
    for setting in SETTINGS:
        if named.get(setting.name):
            setting.check(setting.name, named[setting.name])
    asked = [name for name in ("LIST", "ONLY") if named.get(name, "") not in ("", "0")]
    if asked and command not in LISTED:
        raise LabError(f"make {command} does not know {asked[0]}=, so nothing was done; "
                       f"{', '.join(LISTED)} do\nLeave it away (unset {asked[0]}, if it is in the "
                       "environment).")


def lines() -> list[str]:
    """For make help."""
    names, places = ([getattr(one, key) for one in SETTINGS] for key in ("name", "where"))
    widths = max(map(len, names)), max(map(len, places))
    return [f"{one.name:<{widths[0]}}  {one.where:<{widths[1]}}  {one.text}" for one in SETTINGS]
