# SPDX-License-Identifier: GPL-2.0
"""lx-page-consistency, the kernel's own gdb command, on live guests and on dumps.

The guest stands still while gdb looks. What gdb says is compared with what lab/record.py
finds by QEMU's other door, which knows nothing of debug information.
"""

import contextlib
import re
import time

from lab import build, gdb, qemu
from lab.cases import Failure, case
from lab.cases.docs import compare, samples
from lab.cases.witness import check, number, value
from lab.common import ROOT, LabError
from lab.record import BITS, ONES, SECTION_SHIFT, Record, own_page

COMMAND = "lx-page-consistency"
PAGES = 1 << SECTION_SHIFT
SECTIONS = 8			# of 1 GiB
ARRAY = PAGES // 8
IDLE = 0x10000			# a PFN in the middle of the memory, which nobody uses
PATIENCE = 20			# seconds for the whole record of 1 GiB
NO_KERNEL = r"^No kernel is to be seen at its virtual addresses: .*dump-guest-memory -p"
RST = ROOT / "Documentation/mm/page_consistency.rst"


def play(drive, append="page_consistency=on", levels=4, **machine):
    """Drive a guest of 1 GiB."""
    kernel = build.built("x86-mermap")
    gdb.prepare(kernel)
    if levels == 5:
        kernel = build.compressed(kernel)
    outcome = qemu.play(lambda: qemu.Guest(kernel, append, memory="1G", name="gdb", quiet=True,
                                           **machine), drive)
    if not outcome.good:
        raise Failure(str(outcome))


@contextlib.contextmanager
def stopped(guest):
    """The guest stands still; gives its record."""
    guest.qmp.ask("stop")
    try:
        yield Record(guest)
    finally:
        guest.qmp.ask("cont")


@contextlib.contextmanager
def undone(record, change):
    """Damage, put right before the guest may see it."""
    try:
        yield
    finally:
        record.restore(change)


def ask(guest, *commands, target=None):
    """What the command says to each list of words; errors are not expected."""
    answers = gdb.ask(guest.kernel, target or gdb.live(guest),
                      [f"{COMMAND} {words}".strip() for words in commands])
    for words, answer in zip(commands, answers):
        check(not answer.error, f"'{COMMAND} {words}' failed: {answer.error}")
    return [answer.text for answer in answers]


def refused(guest, said, words, target=None):
    """The command ends with this error, and with no trace of Python."""
    answer, = gdb.ask(guest.kernel, target or gdb.live(guest), [f"{COMMAND} {words}".strip()])
    check(answer.error and not answer.text, f"'{COMMAND} {words}' was answered:\n{answer.text}")
    check(re.search(said, answer.error) and "Python" not in answer.error,
          f"'{COMMAND} {words}': the error is '{answer.error}', must be '{said}'")


def shows(text, pattern):
    check(re.search(pattern, text, re.M), f"no '{pattern}' in:\n{text}")


# --- the same from the other side -----------------------------------------------

def free_block(record):
    """(first PFN, order) of a block on a free list that has more than one page."""
    area = max(record.free_lists(3), key=lambda one: one.order)
    page = area.next - record.offset("page.buddy_list")
    return (page - record.vmemmap) // record.offset("page"), area.order


def totals(record):
    """(inside, outside, corrupt) of all pages."""
    inside = outside = 0
    for section in range(SECTIONS):
        entry = record.entry(section << SECTION_SHIFT)
        one, other = (int.from_bytes(record.guest.memory.read_bytes(record.physical(at), ARRAY),
                                     "little") for at in (entry.primary, entry.secondary))
        outside += bin(one & ~other).count("1")
        inside += bin(other & ~one).count("1")
    return inside, outside, SECTIONS * PAGES - inside - outside


def state_of(record, pfn):
    """What 'pfn' has to begin with."""
    (primary, secondary), bit = record.values(pfn), pfn % BITS
    entry, offset = record.entry(pfn), record.words(pfn).index * (BITS // 8)
    return (rf"^pfn {pfn:#x}, section {pfn >> SECTION_SHIFT}: {record.state(pfn)}\n"
            rf"  primary +{entry.primary + offset:#x}: {primary:#018x}, "
            rf"bit {bit} is {primary >> bit & 1}\n"
            rf"  secondary +{entry.secondary + offset:#x}: {secondary:#018x}, "
            rf"bit {bit} is {secondary >> bit & 1}\n"
            rf"  entry +primary {entry.primary:#018x} secondary {entry.secondary:#018x} "
            rf"seal {entry.seal:#018x} \(intact\)\n")


# --- cases ------------------------------------------------------------------------

def _look(guest, record, used, target=None):
    """Every form of the command, on a sound record; returns what was said."""
    head, order = free_block(record)
    count = totals(record)
    said = ask(guest, f"pfn {used:#x}", f"pfn {head}", f"pfn {head:#x} + 1",
               f"section {used >> SECTION_SHIFT}", "", target=target)
    for pfn, text in zip((used, head, head + 1), said):
        shows(text, state_of(record, pfn))
        shows(text, rf"^  witness +page {record.page(pfn):#x}, ")
    shows(said[0], r"^pfn .*: outside$")
    shows(said[0], r"PageBuddy 0 order 0, refcount [1-9]\d*, flags 0x[0-9a-f]+ "
                   r"\(.*\bswapbacked\b.*\)$")
    shows(said[1], rf"^pfn .*: inside$(.|\n)*PageBuddy 1 order {order}, refcount 0, ")
    shows(said[2], r"^pfn .*: inside$(.|\n)*PageBuddy 0 order 0, refcount 0, .*; "
                   rf"in the free block at pfn {head:#x} of order {order}$")
    shows(said[3], rf"^section {used >> SECTION_SHIFT}, pfn .*\n  entry .*\(intact\)\n"
                   rf"  pages +{PAGES}: \d+ inside, \d+ outside, 0 corrupt\n\Z")
    shows(said[4], rf"^  pages +{SECTIONS * PAGES}: {count[0]} inside, {count[1]} outside, "
                   rf"{count[2]} corrupt\n  mismatch +none\n\Z")
    return said


def _agrees_with_sysfs(guest, text, files):
    shows(text, rf"^  policy +{files['policy']}\n  hooks +on\n"
                rf"  violations +{files['violations']}\n"
                rf"  sections +{files['sections']} tracked, 0 dormant \(offline\), room for \d+\n"
                rf"  bytes +{files['bytes']}\n  distance +{files['distance']}\n"
                rf"  pages +{files['pages']}: ")


def _live_and_dump(levels, note, policy="on"):
    def drive(guest):
        files = {name: value(guest, f"/sys/kernel/mm/page_consistency/{name}") for name in
                 ("policy", "violations", "sections", "bytes", "distance", "pages")}
        job, used = own_page(guest)
        with stopped(guest) as record:
            check((record.page_offset >> 52 == 0xff1) == (levels == 5),
                  f"the guest does not have {levels} levels of page tables")
            said = _look(guest, record, used)
            _agrees_with_sysfs(guest, said[-1], files)
            begun = time.monotonic()
            ask(guest, "")
            spent = time.monotonic() - begun
            check(spent < PATIENCE, f"the whole record of 1 GiB took {spent:.0f} s")
            with gdb.dump(guest) as core:
                check(_look(guest, record, used, core) == said, "the dump does not say the same")
            with gdb.dump(guest, paging=False) as core:
                refused(guest, NO_KERNEL, f"pfn {used:#x}", core)
        note(f"{levels} levels: live and dump say the same; the whole record of 1 GiB took "
             f"{spent:.1f} s, gdb's start included")
        job.write("quit\n")
        guest.wait(job)
        check(number(guest, "violations") == 0, "there was a violation")

    play(drive, f"page_consistency={policy}", levels)


@case(kernels=["x86-mermap"])
def a_live_guest_and_its_dump_say_the_same_5_levels(note):
    _live_and_dump(5, note)


@case(kernels=["x86-mermap"])
def a_live_guest_and_its_dump_say_the_same_4_levels(note):
    _live_and_dump(4, note, "report")


def _damage_pairs(guest, record, used):
    """A bit of either copy, a whole word; each shows, in all three forms."""
    head, _ = free_block(record)
    for pfn, copy in ((used, "primary"), (used, "secondary"), (head, "primary"),
                      (head, "secondary")):
        with undone(record, record.flip(pfn, copy)):
            _shows_pair(guest, record, pfn)
    with undone(record, record.overwrite(used, "secondary")):
        section, = ask(guest, f"section {record.section(used)}")
        shows(section, rf", 64 corrupt\n  mismatch .* bad pairs {ONES:#018x}$")


def _shows_pair(guest, record, pfn):
    text, section, whole = ask(guest, f"pfn {pfn:#x}", f"section {record.section(pfn)}", "")
    first = pfn & -BITS
    words = " ".join(f"{name} {word:#018x}" for name, word in
                     zip(("primary", "secondary"), record.values(pfn)))
    line = (rf"^  mismatch +section {record.section(pfn)} word {record.words(pfn).index}, "
            rf"pfn {first:#x} to {first + 63:#x}: {words} bad pairs {1 << pfn % 64:#018x}$")
    shows(text, state_of(record, pfn))
    shows(text, "^pfn .*: corrupt$")
    shows(section, rf"^  pages +{PAGES}: .*, 1 corrupt$")
    shows(section, line)
    shows(whole, rf"^  pages +{SECTIONS * PAGES}: .*, 1 corrupt$")
    shows(whole, line)
    check(whole.count("mismatch") == 1, f"more than one mismatch:\n{whole}")


def _damage_entry(guest, record):
    """The pointers of an entry and its seal: they are not followed."""
    section, entry = record.section(IDLE), record.entry(IDLE)
    for address in (entry.primary_at, entry.secondary_at, entry.seal_at):
        with undone(record, record.flip_at(address, 33)):
            found = record.entry(IDLE)
            text = (rf"primary {found.primary:#018x} secondary {found.secondary:#018x} "
                    rf"seal {found.seal:#018x} \(broken, must be 0x[0-9a-f]{{16}}\)$")
            page, one, whole = ask(guest, f"pfn {IDLE:#x}", f"section {section}", "")
            shows(page, rf"^pfn {IDLE:#x}, section {section}: not known, (.|\n)*^  entry +{text}")
            shows(page, r"^  witness +page ")
            shows(one, rf"^section {section}, .*\n  entry +{text}\n?\Z")
            shows(whole, rf"^  sections +{SECTIONS - 1} tracked, 0 dormant")
            shows(whole, rf"^  mismatch +section {section}: {text}")


def _damage_root(guest, record):
    """The pointer to a page of entries, and its copy."""
    section, root = record.section(IDLE), record.root(record.section(IDLE))
    text = "root 0 is damaged, pointer 0x[0-9a-f]{16} and inverted copy 0x[0-9a-f]{16} disagree"
    for address in (root.pointer_at, root.inverted_at):
        with undone(record, record.flip_at(address, 21)):
            page, whole = ask(guest, f"pfn {IDLE:#x}", "")
            shows(page, rf"^pfn {IDLE:#x}, section {section}: not known, (.|\n)*^  entry +{text}$")
            shows(whole, r"^  sections +0 tracked")
            shows(whole, rf"^  mismatch +{text}\n\Z")


def _dormant(guest, record):
    """The seal of a section of boot memory that went offline is the complement."""
    entry = record.entry(IDLE)
    with undone(record, record.write_at(entry.seal_at, entry.seal ^ ONES)):
        page, one, whole = ask(guest, f"pfn {IDLE:#x}", f"section {entry.section}", "")
        shows(page, rf"^pfn {IDLE:#x}, section {entry.section}: not recorded, the section is "
                    "offline$")
        shows(one, r"\(dormant \(offline\)\)\n\Z")
        shows(whole, rf"^  sections +{SECTIONS - 1} tracked, 1 dormant \(offline\)")
        shows(whole, r"^  mismatch +none$")


@case(kernels=["x86-mermap"])
def damage_shows_where_it_is(note):
    """Bits, words, entries, roots; all is put back before the guest goes on."""
    def drive(guest):
        job, used = own_page(guest)
        with stopped(guest) as record:
            _damage_pairs(guest, record, used)
            _damage_entry(guest, record)
            _damage_root(guest, record)
            _dormant(guest, record)
            whole, = ask(guest, "")
            shows(whole, r"^  mismatch +none$")
        job.write("quit\n")
        guest.wait(job)
        note("5 damaged pairs, 3 entries, 2 roots, 1 dormant section")

    play(drive)


def _errors(guest, room):
    beyond = rf"^There is no pfn {room << SECTION_SHIFT:#x}\. Section {room} is beyond the end"
    refused(guest, beyond, f"pfn {room << SECTION_SHIFT:#x}")
    refused(guest, r"^There is no pfn 0xf{16}\. Section \d+ is beyond", "pfn ~0ul")
    refused(guest, rf"^Section {room} is beyond the end of the table", f"section {room}")
    refused(guest, rf"^Pfn 0x\w+ is in section {SECTIONS}, which is not tracked: it has "
                   "no memory", f"pfn {SECTIONS * PAGES}")
    refused(guest, rf"^Section {SECTIONS} is not tracked", f"section {SECTIONS}")
    refused(guest, r"^'elephant' is not a number: No symbol \"elephant\"", "pfn elephant")
    refused(guest, r"^'pc_store' is not a number", "pfn pc_store")
    refused(guest, r"^'-1' is negative", "section -1")
    for words in ("elephant", "pfn", "section", "pfn "):
        refused(guest, r"^Usage: lx-page-consistency \[pfn PFN \| section NR\]$", words)
    refused(guest, NO_KERNEL, "", gdb.nothing())


@case(kernels=["x86-mermap"])
def errors_say_what_is_wrong(note):
    def drive(guest):
        with stopped(guest) as record:
            _errors(guest, record.room())

    play(drive)

    def drive_off(guest):
        with stopped(guest):
            refused(guest, "^There is no record: page_consistency is off", "")

    play(drive_off, "page_consistency=off")
    note("a PFN or section out of range or untracked, no number, no target, checker off")


@case(kernels=["x86-mermap"])
def what_the_documentation_shows_is_what_gdb_prints(note):
    text = RST.read_text().replace(".. gdb sample:", ".. sample:")
    shown = {name: lines for name, lines in samples(text).items() if name.startswith("gdb-")}
    words = {"gdb-pfn": "pfn 0x10000", "gdb-section": "section 2", "gdb-all": ""}
    if set(shown) != set(words):
        raise Failure(f"{RST.name} must show {', '.join(words)}; it shows {', '.join(shown)}")

    def drive(guest):
        with stopped(guest):
            said = dict(zip(words, ask(guest, *words.values())))
        for name, lines in shown.items():
            prompt, *answer = lines
            check(prompt == f"(gdb) {COMMAND} {words[name]}".strip(), f"{name} begins '{prompt}'")
            if difference := compare(answer, said[name]):
                raise LabError(f"sample {name}: {difference}")

    play(drive)
    note(f"{len(shown)} samples")
