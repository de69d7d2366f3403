# SPDX-License-Identifier: GPL-2.0
"""make bases: what has to hold on each kernel of bases/, one after the other.

Each step is a command of the lab as a user would type it with BASE=, in a process and
a build folder of its own. A base that fails does not keep the next one from its turn.
"""

import glob
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass

from lab import bases, child, common, suite
from lab.common import LOGS, LabError, say, show

KERNELS = {"uml", "x86"}
GROUPS = {"KUnit": "unit", "silent": "silent", "panicking": "panicking"}
CLOSING = re.compile(r"^(?:\S+: )?(\d+ passed, \d+ failed.*)$", re.M)


@dataclass
class Step:
    name: str
    argv: list[str]
    needs: tuple[str, ...] = ()		# steps that have to be good before


def steps() -> list[Step]:
    """What is done on each base."""
    found = [Step("tree", ["tree"]),
             *(Step(name, ["kernel", f"CONFIG={name}"], ("tree",)) for name in sorted(KERNELS))]
    cases = suite.load(GROUPS.values())
    for name, group in GROUPS.items():
        chosen = [case for case in cases if case.group == group and case.kernels
                  and set(case.kernels) <= KERNELS and (name != "KUnit" or "KUnit" in case.name)]
        needs = {kernel for case in chosen for kernel in case.kernels}
        found.append(Step(name, ["test", *(glob.escape(suite.title(case)) for case in chosen)],
                          ("tree", *sorted(needs))))
    return found


def perform(base: str, step: Step) -> tuple[bool, str]:
    """(whether it was good, what to say of it in the table)."""
    begun, path = time.monotonic(), LOGS / f"bases-{base}-{step.name}.log"
    env = {key: value for key, value in os.environ.items() if key != "KSRC"}
    env.update(BASE=base, LAB_BUILD=str(common.build_folder(base)), LAB_CACHE=str(common.CACHE))
    LOGS.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as log, \
         child.running([sys.executable, "-m", "lab", *step.argv], env=env, cwd=common.ROOT,
                       stdout=log, stderr=subprocess.STDOUT) as process:
        status = process.wait()
    counts = CLOSING.findall(path.read_text(errors="replace"))
    good = status == 0 and (step.argv[0] != "test" or bool(counts)
                            and not counts[-1].startswith("0 passed"))
    text = counts[-1] if counts and step.argv[0] == "test" else "ok" if good else "failed"
    say(f"{'ok' if good else 'not ok'} - {base}: {step.name}: {text} # "
        f"{time.monotonic() - begun:.0f} s; log: {show(path)}")
    if not good:
        for line in path.read_text(errors="replace").splitlines()[-5:]:
            say(f"#   {line}")
    return good, text


def table(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        say("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip())


def main(_argv) -> int:
    """make bases"""
    if os.environ.get("KSRC"):
        raise LabError("make bases takes no KSRC=: each base has the kernel of its lock")
    todo, rows, count = steps(), [], {True: 0, False: 0}
    for base in bases.known():
        done, row = {}, [base]
        for step in todo:
            if all(done.get(name) for name in step.needs):
                done[step.name], text = perform(base, step)
            else:
                done[step.name], text = False, "not run"
            count[done[step.name]] += 1
            row.append(text)
        rows.append(row)
    table([["base", *(step.name for step in todo)], *rows])
    say(f"{count[True]} passed, {count[False]} failed")
    return 1 if count[False] or not rows else 0
