# SPDX-License-Identifier: GPL-2.0
"""Read the checker's report from a console, and say in plain words what it means.

    report = parse(console)			# Report, or None when there is none
    for line, meaning in explain(report): ...

The words are those of mm/page_consistency/report.c; a test compares them.
"""

import re
from dataclasses import dataclass, field

from lab.common import LabError
from lab.splat import STAMP

PREFIX = "page_consistency: "
PANIC = "Kernel panic - not syncing: " + PREFIX
PAGE = 4096

# The kinds of violation, and what each means.
TITLES = {
    "page handed out twice":
        "The allocator was about to lend a page that is lent already; its owner's data are intact.",
    "page freed but not handed out":
        "Somebody gave back a page that was not lent: a double free, or a free of a wrong page.",
    "reserved page freed":
        "Somebody gave back a page that belongs to the kernel itself and was never lent.",
    "page freed while in use":
        "Somebody gave back a page that still has an owner: a reference, a mapping or a type says so.",
    "block freed with a wrong order":
        "Somebody gave back a part of a block that is lent as a whole, or more than that block.",
    "page put too often":
        "Somebody dropped a reference that nobody had: the page's count fell below zero.",
    "free page with references":
        "A page in the allocator has a count: it was put once too often, or taken, since it was "
        "freed.",
    "page on a free list but not in the allocator":
        "A list of free pages holds a page that the record says is lent.",
    "record corrupt: primary bitmap":
        "The checker's own record of this page is damaged, in the first of its two copies.",
    "record corrupt: secondary bitmap":
        "The checker's own record of this page is damaged, in the second of its two copies.",
    "record corrupt: one of the bitmaps":
        "The two copies of the record disagree about this page; nothing tells which is right.",
    "record corrupt: table entry":
        "The entry that says where this section's bitmaps are is damaged; it was not followed.",
    "record corrupt: table root":
        "A pointer to the table of sections differs from its own copy; it was not followed.",
    "not a struct page of tracked memory":
        "What should be the description of a page is none; nothing was read through it.",
    "block not aligned to its order":
        "A block of 2^n pages has to begin at a multiple of 2^n; this one does not.",
    "free block contradicts the record":
        "The block's own description does not say what a block on this free list has to say.",
    "free list corrupt":
        "A pointer of a list of free pages leads somewhere that does not lead back.",
    "checker not reached":
        "A page went out or in and the record did not change: the checker is switched off, or the "
        "allocator passes it by.",
    "checker's own state corrupt":
        "A variable of the checker itself differs from its second copy, or from what must be true.",
    "detection latency exceeded":
        "No complete pass of the scrubber has ended for longer than the kernel was told to allow.",
    "record in failed memory":
        "The hardware says that memory is broken in which the checker keeps part of its record.",
}

_EVENTS = {
    "hand-out": "while a page was being handed out",
    "free": "while a page was being given back",
    "leaving a free list": "before a block was taken off a list of free pages",
    "joining a free list": "before a block was put on a list of free pages",
    "verification": "by the verification, which compares everything there is",
    "memory hotplug": "while memory came or went",
    "leaving a per-CPU list": "before a block was taken off a list of one CPU",
    "joining a per-CPU list": "before a block was put on a list of one CPU",
    "memory failure": "when the hardware reported broken memory",
    "put": "when a reference to a page was dropped",
}

# The lines of the block; groups in _TEXT stay text, x_ ones are hexadecimal.
_LINES = [(name, re.compile(name + r" +" + rest)) for name, rest in (
    ("at", r"(?P<event>[A-Za-z -]+), called from (?P<caller>\S+(?: \[\w+\])?)"),
    ("blame", r"(?P<blame>.+)"),
    ("pointer", r"(?P<x_pointer>[0-9a-f]+) order (?P<order>\d+)"),
    ("page", r"pfn 0x(?P<x_pfn>[0-9a-f]+) order (?P<order>\d+), section (?P<section>\d+)"),
    ("wrong", r"pfn 0x(?P<x_wrong>[0-9a-f]+), page (?P<wrong_page>\d+) of the block"),
    ("state", r"(?P<variable>.+)"),
    ("list", r"node (?P<node>-?\d+) zone (?P<zone>\S+) order (?P<order>\d+)"),
    ("link", r"(?P<x_link>[0-9a-f]+) does not lead back"),
    ("frame", r"(?P<part>[a-z ]+) of sections (?P<first>\d+) to (?P<last>\d+)"),
    ("other", r"(?:(?P<other>none)|(?P<other_copy>[a-z ]+), pfn 0x(?P<x_other_pfn>[0-9a-f]+), "
              r"agrees with (?P<agreed>\d+) (?P<agreed_what>free blocks|sealed entries))"),
    ("root", r"(?P<x_root>[0-9a-f]+) inverted copy (?P<x_inverted>[0-9a-f]+)"),
    ("record", r"(?P<state>[a-z ]+), must be (?P<must>[a-z ]+)"),
    ("words", r"primary (?P<x_primary>[0-9a-f]+) secondary (?P<x_secondary>[0-9a-f]+) "
              r"mask (?P<x_mask>[0-9a-f]+) at word (?P<word>\d+)(?P<reread> \(re-read\))?"),
    ("damage", r"(?P<damage>[^,]+(?:, the words are complements)?), "
               r"bad pairs (?P<x_bad>[0-9a-f]+)"),
    ("table", r"primary (?P<x_to_primary>[0-9a-f]+) secondary (?P<x_to_secondary>[0-9a-f]+) "
              r"seal (?P<x_seal>[0-9a-f]+) \((?P<entry>[a-z ]+)\)"),
    ("memory", r"node (?P<node>-?\d+) zone (?P<zone>\S+)"),
    ("witness", r"PageBuddy (?P<buddy>\d+) order (?P<buddy_order>\d+), "
                r"refcount (?P<refcount>-?\d+), type (?P<x_type>[0-9a-f]+), "
                r"reserved (?P<reserved>\d+)"),
    ("policy", r"(?P<policy>\w+), violations (?P<violations>\d+)"),
)]
_TEXT = {"event", "caller", "blame", "variable", "state", "must", "reread", "damage", "entry", "zone", "policy", "part",
         "other", "other_copy", "agreed_what"}

# What panic() says of the same violation.
_ESSENCE = [re.compile(rest) for rest in (
    r"pfn 0x(?P<x_pfn>[0-9a-f]+) order (?P<order>\d+) section (?P<section>\d+)"
    r"(?: wrong 0x(?P<x_wrong>[0-9a-f]+))?"
    r"(?:: primary (?P<x_old>[0-9a-f]+) secondary (?P<x_old2>[0-9a-f]+) of (?P<x_of>[0-9a-f]+))?$",
    r"pfn 0x(?P<x_pfn>[0-9a-f]+) order (?P<order>\d+) section (?P<section>\d+): "
    r"(?P<part>[a-z ]+) of sections (?P<first>\d+) to (?P<last>\d+), other (?P<other>[a-z ]+)$",
    r"link (?P<x_link>[0-9a-f]+) order (?P<order>\d+)$",
    r"(?P<x_pointer>[0-9a-f]+) order (?P<order>\d+)$",
    r"(?P<variable>[A-Za-z_][A-Za-z_ ]+)$",
)]


class BadReport(LabError):
    """The text is a report, but not one as report.c writes it."""


@dataclass
class Report:
    """One report. values: event, pfn, order, primary, ... as far as it names them."""

    title: str
    lines: list				# [(name, text)] in order
    values: dict
    panic: str = ""			# the panic line, without its time
    panic_values: dict = field(default_factory=dict)
    dumped: list = field(default_factory=list)		# what dump_page() said before

    def __getattr__(self, name):
        # An absent value is None; __getattr__ sees only what is no field.
        if name.startswith("_"):
            raise AttributeError(name)
        values = self.__dict__.get("values", {})
        return values.get(name, self.__dict__.get("panic_values", {}).get(name))

    @property
    def violation(self):
        return self.title

    @property
    def essence(self):
        """What the panic line says behind the checker's name."""
        return self.panic[len(PANIC):]

    @property
    def text(self):
        """The block as printed, without its prefix."""
        return [self.title, *(line for _, line in self.lines)]

    @property
    def whole(self):
        """Is it complete? Its last line names the policy."""
        return bool(self.lines) and self.lines[-1][0] == "policy"


def _values(match):
    found = {}
    for name, text in match.groupdict().items():
        if text is None:
            continue
        if name.startswith("x_"):
            found[name[2:]] = int(text, 16)
        else:
            found[name] = text.strip() if name in _TEXT else int(text)
    return found


def _line(text):
    """(name, values) of one line of the block."""
    for name, pattern in _LINES:
        if match := pattern.fullmatch(text):
            return name, _values(match)
    raise BadReport(f"a line that no report has: '{text}'\n"
                    "lab/reports.py and mm/page_consistency/report.c disagree")


def _essence(text):
    title = next((title for title in TITLES if text.startswith(f"{title} in ")), "")
    _, _, rest = text.removeprefix(f"{title} in ").partition(": ")
    if not title:
        raise BadReport(f"the panic names no known violation: '{text}'")
    for pattern in _ESSENCE:
        if match := pattern.match(rest):
            return title, _values(match)
    raise BadReport(f"the panic line does not say where: '{text}'")


def essence(text):
    """What the panic line alone says, in the names of a report's values."""
    return _essence(text)[1]


def find(console):
    """Every report of a console, in order; a panic belongs to the one before it.

    One that stopped the kernel without a block has an empty title.
    """
    found, dumped = [], []
    for raw in console.splitlines():
        text = STAMP.sub("", raw.rstrip())
        if text.startswith(PANIC):
            if not found or found[-1].panic:
                found.append(Report("", [], {}))
            found[-1].panic = text
        elif text.startswith(PREFIX):
            text = text[len(PREFIX):]
            if text in TITLES:
                found.append(Report(text, [], {}, dumped=dumped))
                dumped = []
            elif text.startswith("  ") and found:
                name, values = _line(text.strip())
                found[-1].lines.append((name, text.strip()))
                found[-1].values.update(values)
        elif dumped or text.startswith("page: refcount:"):
            dumped.append(text)
    return found


def parse(console):
    """The first report of a console, with the panic that followed; None if there is none."""
    report = next((r for r in find(console) if r.title), None)
    if not report or not report.panic:
        return report
    title, report.panic_values = _essence(report.essence)
    if title != report.title:
        raise BadReport(f"the report says '{report.title}', the panic '{title}'")
    if report.pfn is not None:
        named = report.panic_values.get("pfn", report.pfn)
        if named != report.pfn:
            raise BadReport(f"the report names pfn {report.pfn:#x}, the panic {named:#x}")
    return report


# -- in plain words -----------------------------------------------------------


def _at(r):
    where = re.sub(r"\+.*", "()", r.caller)
    return f"It was noticed {_EVENTS.get(r.event, r.event)}; the code that did so is {where}."


def _blame(r):
    return ("Whose mistake it may be. Who was met may have done nothing wrong: the page may have "
            "been freed or taken behind its owner's back.")


def _wrong(r):
    return (f"Of that block, this page is the first that is not as it must be: number "
            f"{r.wrong_page}, counted from 0. What follows about a page is about this one.")


def _state(r):
    return "Which of the checker's own variables it is."


def _pointer(r):
    return ("The address that was passed. It is not the address of any page's description, "
            "so no page can be named.")


def _page(r):
    pages = 1 << r.order
    size = f"a block of {pages} pages" if r.order else "one page"
    return (f"The page frame number: {size} at physical address {r.pfn * PAGE:#x}. "
            f"Memory is recorded in sections; this is number {r.section}.")


def _link(r):
    return ("The pointer that was about to be written through. The list element it leads to "
            "does not point back.")


def _list(r):
    return f"The list of free blocks of order {r.order}, on NUMA node {r.node} in zone {r.zone}."


def _root(r):
    flipped = bin((r.root ^ ~r.inverted) & (2 ** 64 - 1)).count("1")
    return ("The pointer to this part of the table of sections, and its second copy, which is "
            f"kept inverted. They disagree in {flipped} bit{'s' if flipped != 1 else ''}.")


def _frame(r):
    which = f"section {r.first}" if r.first == r.last else f"sections {r.first} to {r.last}"
    return (f"What is in the broken frame: the checker's {r.part}, which serve {which}. It was not "
            "read, because reading broken memory may stop the machine.")


def _other(r):
    if r.other == "none":
        return "There is no second copy of this part, so nothing replaces it."
    return (f"The other copy, in frame {r.other_pfn:#x}, is {r.other_copy}. It was compared with "
            f"what else is known and fits {r.agreed} {r.agreed_what}.")


def _pair(r, word):
    """The bits under the mask: 0, 1, or the whole for a block."""
    value = word & r.mask
    return "0" if not value else "1" if value == r.mask else f"{value:x}"


def _record(r):
    text = ("Each page has a pair of bits that have to differ: 1,0 is 'outside' (lent out), "
            "0,1 is 'inside' (in the allocator). ")
    return text + (f"Here they are {_pair(r, r.primary)},{_pair(r, r.secondary)}: {r.state}. "
                   f"What was happening requires: {r.must}.")


def _words(r):
    bits = bin(r.mask).count("1")
    which = f"bit {r.mask.bit_length() - 1} is" if bits == 1 else f"{bits} bits are"
    return (f"The two words that hold the pair, number {r.word} of their arrays. The mask shows "
            f"which belong to the page: {which}."
            + (" The second word was not reached by the change and was read a moment later."
               if r.reread else ""))


def _damage(r):
    bad = bin(r.bad).count("1")
    if not bad:
        return "All pairs of these words are sound: the record is not damaged, it contradicts."
    if bad == 1:
        return ("Exactly one of the 64 pairs in these words is bad: this is what one flipped "
                "bit in memory looks like.")
    return f"{bad} of the 64 pairs in these words are bad: something overwrote more than a bit."


def _table(r):
    if r.entry == "intact":
        return ("The addresses of the section's two bitmaps. Their seal (a checksum) is right, "
                "so the pair above was really this page's.")
    if r.entry == "broken":
        return ("The addresses of the section's two bitmaps. They do not match their seal "
                "(a checksum), so neither was used.")
    return "The section has no bitmaps: there is no memory there that could be lent."


def _memory(r):
    return f"The page belongs to NUMA node {r.node}, zone {r.zone}."


def _witness(r):
    free = f"it is on a free list of order {r.buddy_order}" if r.buddy else \
        "it is not on a free list"
    return (f"What the allocator's own data say, independently: {free}, {r.refcount} users, "
            f"{'reserved' if r.reserved else 'not reserved'}.")


def _policy(r):
    text = "stop the machine at the first violation" if r.policy == "on" else "report and go on"
    return f"What the kernel was told to do: {text}. Violations so far: {r.violations}."


_MEANINGS = {"blame": _blame, "wrong": _wrong, "state": _state, "at": _at, "pointer": _pointer, "page": _page, "list": _list, "link": _link,
             "frame": _frame, "other": _other, "root": _root, "record": _record,
             "words": _words, "damage": _damage, "table": _table, "memory": _memory,
             "witness": _witness, "policy": _policy}


def explain(report):
    """[(line as printed, what it means)]; the panic line comes last."""
    told = [(report.title, TITLES[report.title])]
    told += [(text, _MEANINGS[name](report)) for name, text in report.lines]
    if report.panic:
        told.append((report.panic.removeprefix("Kernel panic - not syncing: "),
                     "The essence once more, in the panic itself: the part of a log that "
                     "survives where little does."))
    return told
