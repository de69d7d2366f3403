# SPDX-License-Identifier: GPL-2.0
#
# gdb helper commands and functions for Linux kernel debugging
#
#  record of the page allocator consistency checker

import struct

import gdb

from linux import constants, mm, utils

POLICIES = {"PC_POLICY_OFF": "off", "PC_POLICY_PANIC": "on", "PC_POLICY_REPORT": "report"}


def long_bits():
    return 8 * utils.get_ulong_type().sizeof


def all_ones():
    return (1 << long_bits()) - 1


def hex_word(value):
    return "0x%0*x" % (long_bits() // 4, value)


def count_ones(value):
    return bin(value).count("1")


def read_longs(address, count):
    """count unsigned longs in one request, for a remote target is slow by the request."""
    size = utils.get_ulong_type().sizeof
    data = utils.read_memoryview(gdb.selected_inferior(), address, count * size)
    order = "<" if utils.get_target_endianness() == utils.LITTLE_ENDIAN else ">"
    return struct.unpack("%s%d%s" % (order, count, "Q" if size == 8 else "I"), data.tobytes())


class Entry:
    """The table's entry of one section, or the reason why it cannot be had."""

    def __init__(self, section, words=(0, 0, 0), lost=""):
        self.section, self.lost = section, lost
        self.primary, self.secondary, self.seal = words
        # pc_seal() of mm/page_consistency/table.h
        half = long_bits() // 2
        turned = self.secondary << (half - 1) | self.secondary >> (half + 1)
        self.expected = ((self.primary + section + 1) ^ turned) & all_ones()

    @property
    def tracked(self):
        return bool(self.lost or self.primary or self.secondary or self.seal)

    @property
    def dormant(self):
        """Its memory is offline, its arrays wait for it to come back."""
        return self.tracked and not self.lost and self.seal == self.expected ^ all_ones()

    @property
    def intact(self):
        return self.tracked and not self.lost and self.seal == self.expected

    def seal_text(self):
        if self.dormant:
            return "dormant (offline)"
        if self.intact:
            return "intact"
        return "broken, must be %s" % hex_word(self.expected)

    def text(self):
        return self.lost or "primary %s secondary %s seal %s (%s)" % (
            hex_word(self.primary), hex_word(self.secondary), hex_word(self.seal),
            self.seal_text())


class Count:
    """Pages by their state, and one line for each bad word."""

    def __init__(self):
        self.inside = self.outside = self.corrupt = 0
        self.bad = []

    def add(self, entry, first_pfn, primary, secondary):
        """The arrays of one section."""
        ones, bits = all_ones(), long_bits()
        for word, (one, other) in enumerate(zip(primary, secondary)):
            bad = one ^ other ^ ones
            self.outside += count_ones(one & ~other)
            self.inside += count_ones(other & ~one)
            if bad:
                self.corrupt += count_ones(bad)
                pfn = first_pfn + word * bits
                self.bad.append(
                    "section %d word %d, pfn 0x%x to 0x%x: primary %s secondary %s bad pairs %s"
                    % (entry.section, word, pfn, pfn + bits - 1, hex_word(one),
                       hex_word(other), hex_word(bad)))

    def text(self):
        return "%d: %d inside, %d outside, %d corrupt" % (
            self.inside + self.outside + self.corrupt, self.inside, self.outside, self.corrupt)


class Record:
    """The table and the arrays of the target."""

    def __init__(self):
        if not constants.LX_CONFIG_PAGE_CONSISTENCY:
            raise gdb.GdbError("This kernel was built without CONFIG_PAGE_CONSISTENCY.")
        self.need_memory()
        self.store = gdb.parse_and_eval("pc_store")
        if not int(self.store["roots"]):
            raise gdb.GdbError("There is no record: page_consistency is off, "
                               "or the kernel has not come so far yet.")
        self.section_pages = 1 << int(constants.LX_PC_SECTION_SHIFT)
        self.root_sections = int(constants.LX_PC_ROOT_SECTIONS)
        self.nr_sections = int(self.store["nr_sections"])
        # One more than needed: the last leads to the page that absent roots share.
        self.nr_roots = self.nr_sections // self.root_sections + 1
        self.roots = read_longs(int(self.store["roots"]), self.nr_roots)
        self.inverted = read_longs(int(self.store["inverted"]), self.nr_roots)
        self.pages = {}

        kind = gdb.lookup_type("struct pc_section")
        pair = kind["map"]
        places = [pair.bitpos + pair.type[name].bitpos for name in ("primary", "secondary")]
        self.places = [place // long_bits() for place in (*places, kind["seal"].bitpos)]
        self.entry_longs = kind.sizeof * 8 // long_bits()

    @staticmethod
    def need_memory():
        # What the target does not have, gdb reads from vmlinux, and would take for the
        # kernel's what variables are initialised to.  This one is zero then, or not there.
        try:
            found = int(gdb.parse_and_eval("max_pfn"))
        except gdb.error:
            found = 0
        if not found:
            raise gdb.GdbError("No kernel is to be seen at its virtual addresses: attach to one "
                               "that has begun to boot, or load a dump that has such addresses "
                               "(QEMU: dump-guest-memory -p).")

    def lost_root(self, nr):
        """Why the table does not lead any further there, or ''."""
        if self.roots[nr] == self.inverted[nr] ^ all_ones():
            return ""
        return "root %d is damaged, pointer %s and inverted copy %s disagree" % (
            nr, hex_word(self.roots[nr]), hex_word(self.inverted[nr]))

    def root_page(self, nr):
        """All words of a page of entries."""
        address = self.roots[nr]
        if address not in self.pages:
            self.pages[address] = read_longs(address, self.root_sections * self.entry_longs)
        return self.pages[address]

    def entry(self, section):
        if not 0 <= section < self.nr_sections:
            raise gdb.GdbError("Section %d is beyond the end of the table, which has room for %d: "
                               "no such memory can appear in this kernel."
                               % (section, self.nr_sections))
        nr, index = divmod(section, self.root_sections)
        lost = self.lost_root(nr)
        if lost:
            return Entry(section, lost=lost)
        try:
            page = self.root_page(nr)
        except gdb.MemoryError:
            return Entry(section, lost="root %d, a page of entries at %s, cannot be read"
                         % (nr, hex_word(self.roots[nr])))
        start = index * self.entry_longs
        return Entry(section, [page[start + place] for place in self.places])

    def arrays(self, entry):
        words = self.section_pages // long_bits()
        return read_longs(entry.primary, words), read_longs(entry.secondary, words)

    def count(self, entry, into):
        """Look at all pairs of a section that has an intact entry."""
        try:
            into.add(entry, entry.section * self.section_pages, *self.arrays(entry))
        except gdb.MemoryError as error:
            into.bad.append("section %d: its arrays cannot be read (%s)" % (entry.section, error))


class Witness:
    """What the allocator itself says, independently of the record."""

    def __init__(self):
        self.to_page = mm.page_ops().ops.pfn_to_page
        self.buddy = int(gdb.parse_and_eval("PGTY_buddy"))
        self.orders = gdb.lookup_type("struct zone")["free_area"].type.range()[1] + 1

    def is_buddy(self, page):
        kind = page["page_type"]
        # The top byte is the type.
        return int(kind) >> (8 * kind.type.sizeof - 8) == self.buddy

    def block(self, pfn):
        """The free block of the buddy allocator in which a page is: (first PFN, order)."""
        for order in range(self.orders):
            head = pfn & -(1 << order)
            page = self.to_page(head)
            if self.is_buddy(page) and int(page["private"]) >= order:
                return head, int(page["private"])
        return None

    @staticmethod
    def flag_names(flags):
        try:
            fields = gdb.lookup_type("enum pageflags").fields()
        except gdb.error:
            return ""
        end = next(f.enumval for f in fields if f.name == "__NR_PAGEFLAGS")
        names = {}
        for field in fields:
            names.setdefault(field.enumval, field.name[len("PG_"):])
        return "|".join(names.get(bit, str(bit)) for bit in range(end) if flags >> bit & 1)

    def text(self, pfn):
        page = self.to_page(pfn)
        flags = page["flags"]
        if flags.type.strip_typedefs().code == gdb.TYPE_CODE_STRUCT:
            flags = flags["f"]
        buddy = self.is_buddy(page)
        block = self.block(pfn)
        names = self.flag_names(int(flags))
        return "page 0x%x, PageBuddy %d order %d, refcount %d, flags 0x%x%s%s" % (
            int(page), buddy, int(page["private"]) if buddy else 0,
            int(page["_refcount"]["counter"]), int(flags), " (%s)" % names if names else "",
            "; in the free block at pfn 0x%x of order %d" % block if block and not buddy else "")


def witness_text(pfn):
    try:
        return Witness().text(pfn)
    except (gdb.error, gdb.GdbError) as error:
        return "not available: %s" % error


def show(label, text):
    gdb.write("  %-11s%s\n" % (label, text))


def show_pfn(pfn):
    record = Record()
    section, bit = divmod(pfn, record.section_pages)
    try:
        entry = record.entry(section)
    except gdb.GdbError as error:
        raise gdb.GdbError("There is no pfn 0x%x. %s" % (pfn, error))
    if not entry.tracked:
        raise gdb.GdbError("Pfn 0x%x is in section %d, which is not tracked: it has no memory."
                           % (pfn, section))
    if not entry.intact:
        state = "not recorded, the section is offline" if entry.dormant else \
            "not known, the table does not lead to its pair"
        gdb.write("pfn 0x%x, section %d: %s\n" % (pfn, section, state))
    else:
        show_pair(pfn, entry, *divmod(bit, long_bits()))
    show("entry", entry.text())
    show("witness", witness_text(pfn))


def show_pair(pfn, entry, word, bit):
    places = [array + word * long_bits() // 8 for array in (entry.primary, entry.secondary)]
    try:
        words = [read_longs(place, 1)[0] for place in places]
    except gdb.MemoryError as error:
        raise gdb.GdbError("The pair of pfn 0x%x, in the words at 0x%x and 0x%x, cannot be read "
                           "(%s)." % (pfn, *places, error))
    pair = tuple(value >> bit & 1 for value in words)
    state = {(1, 0): "outside", (0, 1): "inside"}.get(pair, "corrupt")
    gdb.write("pfn 0x%x, section %d: %s\n" % (pfn, entry.section, state))
    for name, place, value, found in zip(("primary", "secondary"), places, words, pair):
        show(name, "0x%x: %s, bit %d is %d" % (place, hex_word(value), bit, found))


def show_section(section):
    record = Record()
    entry = record.entry(section)
    if not entry.tracked:
        raise gdb.GdbError("Section %d is not tracked: it has no memory." % section)
    first = section * record.section_pages
    gdb.write("section %d, pfn 0x%x to 0x%x\n" % (section, first, first + record.section_pages - 1))
    show("entry", entry.text())
    if not entry.intact:
        return
    count = Count()
    record.count(entry, count)
    show("pages", count.text())
    for line in count.bad:
        show("mismatch", line)


def violations():
    """A static variable, found by a function of the same file."""
    block = gdb.lookup_global_symbol("pc_violation_count").symtab.static_block()
    return int(gdb.lookup_symbol("pc_count", block)[0].value()["counter"])


def show_all():
    record = Record()
    count, tracked, dormant = Count(), 0, 0
    bad = [record.lost_root(nr) for nr in range(record.nr_roots)]
    for section in range(record.nr_sections):
        entry = record.entry(section)
        if entry.intact:
            tracked += 1
            record.count(entry, count)
        elif entry.dormant:
            dormant += 1
        elif entry.lost:
            bad.append(entry.lost)
        elif entry.tracked:
            bad.append("section %d: %s" % (section, entry.text()))
    # A root is lost for all its sections.
    bad = [text for text in dict.fromkeys(bad + count.bad) if text]

    policy = str(gdb.parse_and_eval("pc_policy"))
    key = int(gdb.parse_and_eval("page_consistency_enabled")["key"]["enabled"]["counter"])
    show("policy", POLICIES.get(policy, policy))
    show("hooks", "on" if key else "off")
    show("violations", violations())
    show("sections", "%d tracked, %d dormant (offline), room for %d"
         % (tracked, dormant, record.nr_sections))
    show("bytes", int(record.store["bytes"]))
    show("distance", int(record.store["distance"]))
    show("pages", count.text())
    for line in bad:
        show("mismatch", line)
    if not bad:
        show("mismatch", "none")


class LxPageConsistency(gdb.Command):
    """Show the record of the page allocator consistency checker.

lx-page-consistency               policy, totals, every mismatch
lx-page-consistency pfn PFN       the pair of bits of a page, and what its struct page says
lx-page-consistency section NR    the table's entry of a section, totals, every mismatch

PFN and NR may be expressions.  A CPU that was stopped in the middle of a change
shows as a mismatch of the one block that it was changing.
"""

    def __init__(self):
        super(LxPageConsistency, self).__init__("lx-page-consistency", gdb.COMMAND_DATA)

    @staticmethod
    def number(text):
        try:
            value = int(gdb.parse_and_eval(text))
        except (gdb.error, TypeError, ValueError) as error:
            raise gdb.GdbError("'%s' is not a number: %s" % (text, error))
        if value < 0:
            raise gdb.GdbError("'%s' is negative, there is no such page or section." % text)
        return value

    def invoke(self, arg, from_tty):
        what, _, text = arg.strip().partition(" ")
        if not what:
            show_all()
        elif what == "pfn" and text:
            show_pfn(self.number(text))
        elif what == "section" and text:
            show_section(self.number(text))
        else:
            raise gdb.GdbError("Usage: lx-page-consistency [pfn PFN | section NR]")


LxPageConsistency()
