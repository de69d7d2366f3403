# SPDX-License-Identifier: GPL-2.0
"""Read the checker's reports back out of a kernel log.

    for report in find(console):
        report.violation, report.event, report.pfn, report.panic, report.lines

The texts are those of mm/page_consistency/report.c. A line that this file does
not know is an error: whoever changes the report changes its readers too.
"""

import re
from dataclasses import dataclass, field

from lab import splat
from lab.common import LabError

PREFIX = "page_consistency: "
PANIC = "Kernel panic - not syncing: "

VIOLATIONS = (
    "page handed out twice",
    "page freed but not handed out",
    "reserved page freed",
    "page on a free list but not in the allocator",
    "record corrupt: primary bitmap",
    "record corrupt: secondary bitmap",
    "record corrupt: one of the bitmaps",
    "record corrupt: table entry",
    "record corrupt: table root",
    "not a struct page of tracked memory",
    "block not aligned to its order",
    "free block contradicts the record",
    "free list corrupt",
)

_HEX = r"(?:0x)?([0-9a-f]+)"
# label: (pattern, names of its groups)
_LINES = {
    "at": (r"(.+), called from (.+)", ("event", "caller")),
    "pointer": (rf"{_HEX} order (\d+)", ("pointer", "order")),
    "page": (rf"pfn {_HEX} order (\d+), section (\d+)", ("pfn", "order", "section")),
    "list": (r"node (-?\d+) zone (\S+) order (\d+)", ("node", "zone", "order")),
    "link": (rf"{_HEX} does not lead back", ("link",)),
    "root": (rf"{_HEX} inverted copy {_HEX}", ("root", "inverted")),
    "record": (r"(.+), must be (.+)", ("state", "must")),
    "words": (rf"primary {_HEX} secondary {_HEX} mask {_HEX} at word (\d+)( \(re-read\))?",
              ("primary", "secondary", "mask", "word", "reread")),
    "damage": (rf"(.+), bad pairs {_HEX}", ("damage", "bad")),
    "table": (rf"primary {_HEX} secondary {_HEX} seal {_HEX} \((.+)\)",
              ("primary_at", "secondary_at", "seal", "entry")),
    "memory": (r"node (-?\d+) zone (\S+)", ("node", "zone")),
    "witness": (r"PageBuddy (\d) order (\d+), refcount (-?\d+), reserved (\d)",
                ("buddy", "buddy_order", "refcount", "reserved")),
    "policy": (r"(\S+), violations (\d+)", ("policy", "violations")),
}
_TEXTS = {"event", "caller", "state", "must", "reread", "damage", "entry", "zone", "policy"}
_DECIMAL = {"order", "section", "word", "node", "buddy", "buddy_order",
            "refcount", "reserved", "violations"}


@dataclass
class Report:
    """One fixed block; a value that it does not give is None."""

    violation: str
    lines: list = field(default_factory=list)
    values: dict = field(default_factory=dict)
    panic: str = ""		# what the panic line says behind 'page_consistency: '

    def __getattr__(self, name):
        if name in _TEXTS or any(name in names for _, names in _LINES.values()):
            return self.values.get(name)
        raise AttributeError(name)

    @property
    def complete(self):
        """Its last line is there."""
        return "policy" in self.values


def _value(name, text):
    if name in _TEXTS or text is None:
        return text
    return int(text, 10 if name in _DECIMAL else 16)


def _take(report, text):
    """One line of the block."""
    label, _, rest = text.strip().partition(" ")
    pattern, names = _LINES.get(label, (None, ()))
    match = pattern and re.fullmatch(pattern, rest.strip())
    if not match:
        raise LabError(f"a line of the checker's report that lab/report.py cannot read: {text}\n"
                       "it has to follow mm/page_consistency/report.c")
    report.lines.append(text)
    report.values.update((n, _value(n, v)) for n, v in zip(names, match.groups()))


def find(console):
    """Every report of a log, in order; the panic belongs to the one before it."""
    found = []
    for line in console.splitlines():
        line = splat.STAMP.sub("", line.rstrip("\r"))
        if line.startswith(PANIC + PREFIX):
            if not found or found[-1].panic:
                found.append(Report(""))	# stopped without a block
            found[-1].panic = line[len(PANIC + PREFIX):]
        elif line.startswith(PREFIX):
            text = line[len(PREFIX):]
            if text in VIOLATIONS:
                found.append(Report(text, [text]))
            elif text.startswith("  ") and found:
                _take(found[-1], text)
    return found
