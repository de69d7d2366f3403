# SPDX-License-Identifier: GPL-2.0
"""Write results as KTAP, as Documentation/dev-tools/ktap.rst says; lab/tap.py reads it.

What is said about a test comes before its result line, which is where parsers look for
it. The closing line 'N passed, N failed' is for people and for .ci/run; to parsers it is
a line of no meaning, which is allowed.
"""

import re
import threading
import time
from dataclasses import dataclass, field

from lab import summary
from lab.common import say

PASS, FAIL, SKIP = "pass", "fail", "skip"
STEP = "  "
# Where the kernel's parser believes that the kernel has ended, wherever in a line it stands.
_END = re.compile(r"(List of all partitions|Kernel panic - not syncing: VFS|reboot: System halted)")


@dataclass
class Result:
    """What came of a case, or of one of its parts."""

    name: str
    outcome: str = PASS
    reason: str = ""
    seconds: float = None
    parts: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    def leaves(self):
        return self.parts or [self]


def comment(text, mark=""):
    """Lines that say something and must not be taken for a result, a header or an end."""
    lines = [_END.sub(lambda found: found[0].replace(" ", "  "), line)
             for line in str(text).splitlines()]
    return [f"# {'| ' if line.startswith('Subtest:') else ''}{mark}{line}".rstrip()
            for line in lines]


def name_of(result):
    """A name must not look like a directive."""
    return " ".join(result.name.replace("#", " ").split()) or "(no name)"


def line_of(number, result):
    line = f"{'not ok' if result.outcome == FAIL else 'ok'} {number} - {name_of(result)}"
    if result.outcome == SKIP:
        return f"{line} # SKIP {' '.join(result.reason.split())}".rstrip()
    return line if result.seconds is None else f"{line} # {result.seconds:.1f} s"


def _why(result):
    return comment(result.reason, "  ") if result.outcome == FAIL else []


def head(planned):
    return ["KTAP version 1", f"1..{planned}"]


def lines_of(number, result, said=""):
    """All lines of a result; said is what was printed meanwhile, if it is to be heard."""
    lines = []
    if result.parts:
        version, plan = head(len(result.parts))
        lines += [version, f"# Subtest: {name_of(result)}", plan]
        for index, part in enumerate(result.parts, 1):
            lines += [*_why(part), line_of(index, part)]
        lines = [STEP + line for line in lines]
    lines += comment("\n".join(result.notes), "  ")
    lines += comment(said, "  | ") if result.outcome == FAIL else []
    return [*lines, *_why(result), line_of(number, result)]


class Report:
    """Says each result when it is there, counts, and keeps it all in build/logs.

	with Report("test", planned, tell) as report:
	    report.add(Result(...))
	    status = report.end()
    """

    def __init__(self, what, planned, tell=None, asked=""):
        self.what, self.planned, self.asked = what, planned, asked
        self.tell = tell or (lambda *lines: say("\n".join(lines)))
        self.results, self.lock, self.done = [], threading.Lock(), False
        self.since, self.begun = time.time(), time.monotonic()

    def __enter__(self):
        summary.remove(self.what)		# they are about another run
        self.tell(*head(self.planned))
        return self

    def __exit__(self, kind, error, trace):
        with self.lock:
            if not self.done:
                self.done = True
                why = "it ended early" if not kind else f"{kind.__name__}: {error}"
                interrupted = kind and issubclass(kind, KeyboardInterrupt)
                summary.write(self, cut="interrupted" if interrupted else why)

    def add(self, result, said=""):
        with self.lock:
            if not self.done:			# a thread may come too late
                self.results.append(result)
                self.tell(*lines_of(len(self.results), result, said))

    def count(self, outcome):
        return sum(leaf.outcome == outcome for r in self.results for leaf in r.leaves())

    def closing(self):
        passed, failed, skipped = (self.count(o) for o in (PASS, FAIL, SKIP))
        return f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")

    def end(self, *last):
        """The failures once more, last words, and the closing line; returns the exit status."""
        if len(self.results) != self.planned:
            self.add(Result("the suite itself", FAIL, f"planned {self.planned} cases, has results "
                            f"of {len(self.results)}"))
        with self.lock:
            self.done = True
            summary.write(self)
        for result in self.results:
            names = [f": {p.name}" for p in result.parts if p.outcome == FAIL] or [""]
            if result.outcome == FAIL:
                self.tell(*(line for name in names for line in
                            comment(f"failed: {result.name}{name}")))
        self.tell(*last, self.closing())
        return 0 if self.count(PASS) and not self.count(FAIL) else 1
