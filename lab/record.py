# SPDX-License-Identifier: GPL-2.0
"""Find the checker's record, and the free lists, in the memory of a running guest.

    record = Record(guest)			# a qemu.Guest that has booted
    record.state(pfn)			# 'outside', 'inside' or 'corrupt'
    record.words(pfn)			# Words: where the pair of bits is
    record.flip(pfn, "primary")		# or "secondary", "table", "root"
    record.overwrite(pfn, "primary")	# the whole word, with its complement
    record.entry(pfn)			# Entry: the section's entry of the table
    record.root(record.section(pfn))	# Root: the two pointers that lead to it
    for area in record.free_lists():	# FreeList: every list that is not empty
        record.flip_at(area.head, 6)	# a bit of the head's next pointer
    record.page(pfn)			# virtual address of its struct page
    record.physical(virtual)		# of any kernel address, by the page tables
    job, pfn = own_page(guest)		# a process with one page that nobody else holds

Every address in a result that ends in _at, and Words.primary, .secondary and
FreeList.head, is physical: what guest.flip() and guest.memory take. The other
values are the kernel's virtual addresses. Flips return a Change, which can be
taken back by record.restore(change).

Without DWARF the shape of the record is known from section.h and table.h of
mm/page_consistency; the seal of an entry shows whether this file still agrees.
Free lists and struct pages need lab/layout.py, and so the kernel's build folder.
"""

import itertools
from dataclasses import dataclass

from lab import layout
from lab.common import LabError

PAGE, LONG, BITS = 4096, 8, 64
SECTION_SHIFT = 15		# PFN_SECTION_SHIFT of x86-64
ROOT_SECTIONS = PAGE // (4 * LONG)
ENTRY = 3 * LONG		# primary, secondary, seal; what is left of the page stays empty
ONES = (1 << BITS) - 1
KERNEL_MAP = 0xffffffff80000000
LAST_KERNEL = 0xffffffffa0000000	# modules begin; without RANDOMIZE_BASE
DIRECT_MAP = 1 << 46		# its size with four levels, the smaller one
# Where a kernel that has no other number of levels puts them (Documentation/arch/x86/x86_64/mm.rst).
FOUR_LEVELS = {"page_offset_base": 0xffff888000000000, "vmemmap_base": 0xffffea0000000000}
FRAME = 0x000ffffffffff000		# the address bits of a page table entry
COPIES = ("primary", "secondary")


@dataclass(frozen=True)
class Words:
    """Where the pair of a PFN is: two words, one bit number."""

    primary: int
    secondary: int
    bit: int
    index: int			# of the word, in the section's arrays


@dataclass(frozen=True)
class Entry:
    """One section's entry of the table."""

    primary_at: int
    secondary_at: int
    seal_at: int
    primary: int
    secondary: int
    seal: int
    section: int

    @property
    def absent(self):
        return not (self.primary or self.secondary or self.seal)

    @property
    def sealed(self):
        turned = (self.secondary << 31 | self.secondary >> 33) & ONES
        return self.seal == (self.primary + self.section + 1 & ONES) ^ turned


@dataclass(frozen=True)
class Root:
    """The two pointers to a page of entries; the second is inverted."""

    pointer_at: int
    inverted_at: int
    pointer: int
    inverted: int


@dataclass(frozen=True)
class FreeList:
    """One list of free blocks."""

    node: int
    zone: str
    order: int
    type: int			# migrate type: 0 unmovable, 1 movable, 2 reclaimable, ...
    head: int			# physical address of the head's next pointer; prev is behind it
    virtual: int		# the kernel's address of the same
    next: int			# what was in it


@dataclass(frozen=True)
class Change:
    """What was done to one word of memory."""

    address: int
    before: int
    after: int

    @property
    def bits(self):
        return bin(self.before ^ self.after).count("1")


def own_page(guest, tool="taskset 1 pagepfn 1"):
    """Start a process that owns a page; returns (job, pfn).

    job.write("quit\\n") ends it, and its page is freed then and not later: it
    stays on one CPU, and no CPU's batch of pages to be put on an LRU list holds
    a reference any more.
    """
    job = guest.start(tool)
    word, number = guest.line_of(job).split()
    if word != "pfn":
        raise LabError(f"'{tool}' said '{word} {number}' instead of a pfn")
    # Writing this drains those batches on all CPUs; it drops no mapped page.
    guest.must("echo 1 > /proc/sys/vm/drop_caches")
    return job, int(number, 16)


class Record:
    """The record of one guest; reads anew with each call, for the guest runs."""

    def __init__(self, guest):
        self.guest, self.kernel = guest, guest.kernel
        self._offsets = None
        self.page_offset = self._base("page_offset_base")
        self.vmemmap = self._base("vmemmap_base")

    # -- addresses ------------------------------------------------------------

    def _base(self, name):
        """Where a region begins: a variable, but for kernels without five levels of tables."""
        if self.kernel.knows(name):
            return self._variable(name)
        return FOUR_LEVELS[name]

    def _variable(self, name, index=0):
        """A word of the kernel's image, by its symbol."""
        return self.guest.memory.read64(self.kernel.address(name) - KERNEL_MAP + index * LONG)

    def physical(self, virtual):
        """The physical address behind a virtual one of the kernel."""
        if KERNEL_MAP <= virtual < LAST_KERNEL:
            return virtual - KERNEL_MAP
        if self.page_offset <= virtual < self.page_offset + DIRECT_MAP:
            return virtual - self.page_offset
        return self._walk(virtual)

    def _walk(self, virtual):
        """By the page tables of init_mm, which have all that is not some process's."""
        table = self.kernel.address("init_top_pgt") - KERNEL_MAP
        levels = 5 if self.page_offset >> 52 == 0xff1 else 4
        for level in reversed(range(levels)):
            shift = 12 + 9 * level
            entry = self.guest.memory.read64(table + (virtual >> shift & 511) * LONG)
            if not entry & 1:
                raise LabError(f"the guest's kernel has no mapping at {virtual:#x}; "
                               "whoever asked took something for an address that is none")
            if not level or (entry & 0x80 and level < 3):
                return (entry & FRAME & -(1 << shift)) | virtual & ((1 << shift) - 1)
            table = entry & FRAME
        raise AssertionError("the last level always returns")

    def read(self, virtual):
        """A word of the kernel's memory."""
        return self.guest.memory.read64(self.physical(virtual))

    def page(self, pfn):
        """The struct page of a PFN."""
        return self.vmemmap + pfn * self.offset("page")

    # -- the record -----------------------------------------------------------

    @staticmethod
    def section(pfn):
        return pfn >> SECTION_SHIFT

    def root(self, section):
        """The two ways to the page of entries that has this section's."""
        roots, inverted, sections = (self._variable("pc_store", i) for i in range(3))
        if not roots:
            raise LabError("the guest has no record: the checker is off "
                           "(page_consistency=on has to be on its command line)")
        if section >= sections:
            raise LabError(f"section {section} is beyond the end of the table, {sections}")
        offset = section // ROOT_SECTIONS * LONG
        return Root(self.physical(roots) + offset, self.physical(inverted) + offset,
                    self.read(roots + offset), self.read(inverted + offset))

    def room(self):
        """How many sections the table has room for."""
        return self._variable("pc_store", 2)

    def entry(self, pfn):
        """The table's entry of the PFN's section, as it is."""
        section = self.section(pfn)
        at = self.physical(self.root(section).pointer) + section % ROOT_SECTIONS * ENTRY
        values = [self.guest.memory.read64(at + i * LONG) for i in range(3)]
        return Entry(at, at + LONG, at + 2 * LONG, *values, section)

    def words(self, pfn):
        """Where the two bits of a PFN are."""
        entry = self.entry(pfn)
        if entry.absent:
            raise LabError(f"pfn {pfn:#x} is in section {entry.section}, which is not tracked")
        if not entry.sealed:
            raise LabError(f"the seal of section {entry.section} is broken: the entry is damaged "
                           "already, or lab/record.py and mm/page_consistency/table.h disagree")
        bit = pfn & (1 << SECTION_SHIFT) - 1
        offset = bit // BITS * LONG
        return Words(self.physical(entry.primary) + offset,
                     self.physical(entry.secondary) + offset, bit % BITS, bit // BITS)

    def values(self, pfn):
        """The two words of a PFN."""
        words = self.words(pfn)
        return (self.guest.memory.read64(words.primary),
                self.guest.memory.read64(words.secondary))

    def state(self, pfn):
        """What the record says about a PFN."""
        primary, secondary = self.values(pfn)
        bit = pfn % BITS
        return {(1, 0): "outside", (0, 1): "inside"}.get(
            (primary >> bit & 1, secondary >> bit & 1), "corrupt")

    # -- damage ---------------------------------------------------------------

    def flip_at(self, address, bit):
        """Invert one bit of the word at a physical address."""
        with self.guest.paused():
            before = self.guest.memory.read64(address)
            self.guest.flip(address, bit)
        return Change(address, before, before ^ (1 << bit))

    def write_at(self, address, value):
        """Overwrite one word."""
        with self.guest.paused():
            before = self.guest.memory.read64(address)
            self.guest.memory.write64(address, value)
        return Change(address, before, value)

    def restore(self, change):
        self.guest.memory.write64(change.address, change.before)

    def flip(self, pfn, what, bit=None):
        """Flip one bit: of a copy of the PFN's pair, of its table entry, of its root."""
        if what in COPIES:
            words = self.words(pfn)
            return self.flip_at(getattr(words, what), words.bit if bit is None else bit)
        if what == "table":
            return self.flip_at(self.entry(pfn).primary_at, 12 if bit is None else bit)
        if what == "root":
            return self.flip_at(self.root(self.section(pfn)).pointer_at,
                                12 if bit is None else bit)
        raise LabError(f"the record has no '{what}'; it has primary, secondary, table, root")

    def overwrite(self, pfn, what="primary"):
        """Overwrite the whole word of one copy with its complement: 64 bad pairs."""
        address = getattr(self.words(pfn), what)
        with self.guest.paused():
            return self.write_at(address, self.guest.memory.read64(address) ^ ONES)

    # -- free lists -----------------------------------------------------------

    def offset(self, name):
        """A number of lab/layout.py."""
        if self._offsets is None:
            self._offsets = layout.of(self.kernel)
        return self._offsets[name]

    def _string(self, virtual, limit=16):
        text = self.guest.memory.read_bytes(self.physical(virtual), limit)
        return text.split(b"\0")[0].decode(errors="replace")

    def _nodes(self):
        """The virtual address of each node's struct pglist_data."""
        if not self.kernel.has("CONFIG_NUMA"):
            return [self.kernel.address("contig_page_data")]
        nodes = (self._variable("node_data", node) for node in range(64))
        return list(itertools.takewhile(bool, nodes))

    def zones(self):
        """[(node, name, virtual address of struct zone)] of all that have pages."""
        found = []
        for node, data in enumerate(self._nodes()):
            for index in range(self.offset("zones")):
                zone = data + self.offset("pglist_data.node_zones") + index * self.offset("zone")
                if not self.read(zone + self.offset("zone.present_pages")):
                    continue
                name = self._string(self.read(zone + self.offset("zone.name")))
                # The one cheap proof that the offsets belong to this kernel.
                if name not in ("DMA", "DMA32", "Normal", "Movable", "Device"):
                    raise LabError(f"node {node} has a zone '{name}': the layout in use is not "
                                   "that of this kernel (remove build/layout and try again)")
                found.append((node, name, zone))
        return found

    def free_list(self, zone, order, type_):
        """Virtual address of the head of one list of a zone (see zones())."""
        return (zone + self.offset("zone.free_area") + order * self.offset("free_area")
                + self.offset("free_area.free_list") + type_ * self.offset("list_head"))

    def free_lists(self, least=0):
        """Every list of that order or above that has blocks on it."""
        found = []
        for node, name, zone in self.zones():
            for order in range(least, self.offset("orders")):
                for type_ in range(self.offset("types")):
                    head = self.free_list(zone, order, type_)
                    first = self.read(head)
                    if first != head:
                        found.append(FreeList(node, name, order, type_, self.physical(head),
                                              head, first))
        return found
