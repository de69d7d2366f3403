# SPDX-License-Identifier: GPL-2.0
"""What the demonstration corrupts, and what the checker has to say about it.

A Victim is told to hit(): it changes the guest's memory from outside and
returns what is Expected; and then to provoke(): the guest touches what is
damaged. The panic may come at any moment after the hit.
"""

from dataclasses import dataclass

from lab import layout
from lab.common import LabError
from lab.record import SECTION_SHIFT, Record, own_page

PRESSURE = 40960			# pages of a process that needs large blocks: 160 MiB


@dataclass
class Expected:
    """The report there has to be."""

    titles: tuple			# any of these
    what: str				# the damage in words, for the message
    summary: str
    pfns: range = None			# the page it names has to be one of these
    section: int = None
    pointers: tuple = ()		# or the address it names one of these

    def differs(self, report):
        """Why the report is not this one; '' when it is."""
        if report.title not in self.titles:
            return f"it says '{report.title}', and what was damaged was {self.what}"
        named = report.pointer if report.pointer is not None else report.link
        if named is not None and named in self.pointers:
            return ""
        if self.pfns is None or report.pfn is None:
            return (f"it names the address {named or 0:#x}, and what was damaged was "
                    f"{', '.join(map(hex, self.pointers)) or self.what}")
        if report.pfn not in self.pfns:
            return f"it names pfn {report.pfn:#x}, and what was damaged was {self.what}"
        if self.section is not None and report.section != self.section:
            return f"it names section {report.section}, and what was damaged was {self.what}"
        return ""


class Victim:
    """One kind of damage."""

    name, text = "", ""

    def prepare(self, kernel):
        """What has to be known or built before the guest starts."""

    def hit(self, guest, say):
        raise NotImplementedError

    def provoke(self, say):
        raise NotImplementedError


class OwnedPage(Victim):
    """Something that belongs to the record of a page that a process owns."""

    copy = "primary"

    def hit(self, guest, say):
        self.guest, self.record = guest, Record(guest)
        self.job, self.pfn = own_page(guest)
        say(f"  A process in the guest owns a page and tells its frame number: pfn {self.pfn:#x}.")
        state, words = self.record.state(self.pfn), self.record.words(self.pfn)
        say(f"  Its pair is bit {words.bit} of the words at physical {words.primary:#x} and "
            f"{words.secondary:#x}: {state}.")
        if state != "outside":
            raise LabError(f"pfn {self.pfn:#x} is in use, but recorded as {state}")
        return self.change(say)

    def change(self, say):
        change = self.record.flip(self.pfn, self.copy)
        say(f"  QEMU flips that bit in the {self.copy} bitmap: {change.before:#018x} becomes "
            f"{change.after:#018x}.")
        return Expected((f"record corrupt: {self.copy} bitmap",),
                        f"the {self.copy} bit of pfn {self.pfn:#x}",
                        f"One flipped bit of the {self.copy} bitmap became a report that names "
                        f"its page, pfn {self.pfn:#x}, before the page was used again.",
                        range(self.pfn, self.pfn + 1), self.record.section(self.pfn))

    def provoke(self, say):
        say("  The process ends, so its page goes back to the allocator ...")
        self.job.write("quit\n")
        self.guest.wait(self.job)


class Primary(OwnedPage):
    name, text = "primary", "one bit of the first bitmap is flipped"


class Secondary(OwnedPage):
    name, text, copy = "secondary", "one bit of the second bitmap is flipped", "secondary"


class Word(OwnedPage):
    name, text = "word", "a whole word of the first bitmap is overwritten"

    def change(self, say):
        change = self.record.overwrite(self.pfn)
        first = self.pfn & ~63
        say(f"  QEMU overwrites the whole word in the primary bitmap: {change.before:#018x} "
            f"becomes {change.after:#018x}.\n"
            f"  That concerns 64 pages; the report names the first that comes or goes.")
        return Expected(("record corrupt: primary bitmap",),
                        f"the word of pfn {first:#x} to {first + 63:#x}",
                        "An overwritten word of the primary bitmap became a report at the first "
                        "of its 64 pages that came or went.",
                        range(first, first + 64), self.record.section(self.pfn))


class Table(OwnedPage):
    name, text = "table", "one bit of the table that leads to the bitmaps is flipped"

    def change(self, say):
        section = self.record.section(self.pfn)
        change = self.record.flip(self.pfn, "table")
        say(f"  QEMU flips a bit of the pointer to section {section}'s bitmap: "
            f"{change.before:#x} becomes {change.after:#x}.\n"
            f"  The report comes with the next page of that section, whichever it is.")
        first = section << SECTION_SHIFT
        return Expected(("record corrupt: table entry",), f"the table entry of section {section}",
                        f"One flipped bit of a pointer became a report that names section "
                        f"{section}; the pointer was not followed.",
                        range(first, first + (1 << SECTION_SHIFT)), section)


class FreeListHead(Victim):
    """Not the record but what it guards: a list of free blocks."""

    name, text = "freelist", "one bit of a free list's first pointer is flipped"
    bit = 6			# the size of a struct page: it leads to the neighbour's

    def prepare(self, kernel):
        layout.of(kernel)

    def pick(self, record):
        """The list of the largest movable blocks on node 0: a big process needs it."""
        lists = [one for one in record.free_lists(4) if one.node == 0 and one.type == 1]
        if not lists:
            raise LabError("node 0 has no large free block of movable memory; "
                           "the workload has left too little to choose from")
        return max(lists, key=lambda one: one.order)

    def hit(self, guest, say):
        self.guest, record = guest, Record(guest)
        one = self.pick(record)
        change = record.flip_at(one.head, self.bit)
        say(f"  Node {one.node}, zone {one.zone}: the list of free blocks of {1 << one.order} "
            f"pages begins at physical {one.head:#x}.\n"
            f"  QEMU flips a bit of its first pointer: {change.before:#x} becomes "
            f"{change.after:#x}.")
        link = record.offset("page.buddy_list")
        page = change.after - link
        pfn = (page - record.vmemmap) // record.offset("page")
        real = (change.before - link - record.vmemmap) // record.offset("page")
        pages = range(min(pfn, real), max(pfn, real) + 1)
        return Expected(
            ("block not aligned to its order", "free list corrupt",
             "not a struct page of tracked memory", "free block contradicts the record",
             "page on a free list but not in the allocator"),
            f"the head of a list, which then led to pfn {pfn:#x} instead of {real:#x}",
            "One flipped bit of a free list's head became a report, before anything was written "
            "through it.",
            pages, None, (page, change.after, one.virtual))

    def provoke(self, say):
        say("  A process asks for so much memory that the list is needed ...")
        job = self.guest.start(f"taskset 1 pagepfn {PRESSURE} huge >/dev/null")
        job.write("quit\n")
        self.guest.wait(job, 30)


VICTIMS = {victim.name: victim for victim in (Primary, Secondary, Table, Word, FreeListHead)}


def find(name):
    """The victim of that name."""
    if name not in VICTIMS:
        known = "\n".join(f"  {one.name:<10} {one.text}" for one in VICTIMS.values())
        raise LabError(f"CORRUPT={name} is unknown; it can be\n{known}")
    return VICTIMS[name]()
