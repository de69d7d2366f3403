# SPDX-License-Identifier: GPL-2.0
"""Device memory is made large folios of only where these are naturally aligned.

With mask-encoded compound_info the tail pages of any other folio lead to a struct page in
front of the device. Whether they do is read from outside, in the guest's memory: a device
is refused, or every tail page of it leads to the head that it was made for.
"""

import re

from lab import build, common, qemu, uml
from lab.cases import Failure, case
from lab.cases.hotplug import use
from lab.cases.paths import command, module
from lab.cases.unit import take, whole
from lab.cases.witness import agrees, check, number, rises, value, verify, vmstat
from lab.hotplug import UNMOVABLE
from lab.record import SECTION_SHIFT, Record
from lab.splat import Allow

CONFIG = "x86"
MIB, GIB = 1 << 20, 1 << 30
DAX = "/sys/bus/dax"
SOFT = 4 * GIB				# where the soft-reserved memory of a guest begins, but for a shift
SHIFT = 64 * MIB			# less, and the kernel keeps what follows RAM to itself
PMEM = 0x110000000			# not at a multiple of 1 GiB
STAYS = Allow("error", "hotremove failed, device left online", "one of its pages is kept")
ANSWERS = Allow("error", "memremap_pages: .* does not consist of aligned folios",
                "the device that the case asks for cannot be made")


def soft(start, size):
    return f"memmap={size}%{start:#x}-1+0xefffffff"


def guest_with(append, allow=(), **machine):
    # Device memory is nothing that the checker may have an opinion on.
    return qemu.Guest(build.built(CONFIG), f"page_consistency=on {append}", memory="7G",
                      name="dax", quiet=True, allow=[ANSWERS, *allow], **machine)


def played(note, drive, append, **machine):
    def whole(guest):
        drive(guest)
        agrees(guest, note)
    outcome = qemu.play(lambda: guest_with(append, **machine), whole)
    if not outcome.good:
        raise Failure(str(outcome))


# --- the folios of a device, from outside ------------------------------------------------

def head_of(record, pfn):
    """The PFN to which a page leads, as compound_head() computes it."""
    page = record.page(pfn)
    info = record.read(page + record.offset("page.compound_info"))
    if not info & 1:
        return pfn
    value_ = info - 1
    is_mask = value_ + (value_ & -value_) == 1 << 64	# nothing but ones above the lowest
    return ((page & value_ if is_mask else value_) - record.vmemmap) // record.offset("page")


def wrong_heads(record, start, size, align):
    """Pages of the range that do not lead to the first page of their folio: {pfn: head}."""
    first, pages, step = start >> 12, size >> 12, align >> 12
    # Ends, middle and powers of two: all pages would be a million reads.
    near = {0, 1, 2, *(1 << n for n in range(2, 30)), pages // 2 + 1, pages - 1}
    looked = {first + n: first + n // step * step for n in sorted(near) if n < pages}
    return {pfn: head_of(record, pfn) for pfn, head in looked.items()
            if head_of(record, pfn) != head}


def unnoticed(guest, start, size):
    """It has a record only where it shares a section with RAM, and nobody has touched that."""
    record, first, end = Record(guest), start >> 12, start + size >> 12
    for section in range(first >> SECTION_SHIFT, (end - 1 >> SECTION_SHIFT) + 1):
        begin, behind = section << SECTION_SHIFT, section + 1 << SECTION_SHIFT
        low, high = max(begin, first), min(behind, end) - 1
        if (low, high) == (begin, behind - 1):
            check(record.entry(low).absent, f"section {section} is device memory, and tracked")
            continue
        for pfn in (low, low + high >> 1, high):
            check(record.state(pfn) == "outside",
                  f"pfn {pfn:#x} is device memory, and recorded {record.state(pfn)}")


def told(wrong):
    pfn, head = next(iter(wrong.items()))
    return f"{len(wrong)} pages lead astray: pfn {pfn:#x} to {head:#x}"


# --- the files of a device ------------------------------------------------------------------

def store(guest, path, value_):
    """Write to a file of sysfs; returns whether it was taken."""
    status, _ = guest.sh(f"echo {value_} > {path}")
    return status == 0


def bound(guest, name):
    return guest.sh(f"test -e {DAX}/drivers/device_dax/{name}")[0] == 0


def unbind(guest, name):
    if bound(guest, name):
        guest.must(f"echo {name} > {DAX}/drivers/device_dax/unbind")


def bind(guest, name):
    guest.sh(f"echo {name} > {DAX}/drivers/device_dax/bind")
    return bound(guest, name)


def resize(guest, name, size):
    guest.must(f"echo {size} > {DAX}/devices/{name}/size")


def has(guest, name, start, size, align):
    """The device is where the case thinks, and is bound or not."""
    folder = f"{DAX}/devices/{name}"
    place = int(value(guest, f"{folder}/resource"), 16)
    check(place == start, f"{name} is at {place:#x}, not at {start:#x}")
    check(int(value(guest, f"{folder}/size")) == size, f"{name} has another size")
    check(int(value(guest, f"{folder}/align")) == align, f"{name} has another alignment")


def sound(guest, name, start, size, align):
    """A device that was made of folios is made of sound ones, and can be used."""
    wrong = wrong_heads(Record(guest), start, size, align)
    check(not wrong, f"{name} was made of folios at {start:#x} that are not aligned; "
          + told(wrong) if wrong else "")
    text = guest.must(f"memops map {size // GIB} /dev/{name}", 60)
    check(text.strip() == f"mapped {size}", f"{name} cannot be used: {text}")
    unnoticed(guest, start, size)


@case([CONFIG], "a device that starts at a multiple of 1 GiB is made of 1 GiB folios")
def aligned(note):
    def drive(guest):
        unbind(guest, "dax0.0")
        check(store(guest, f"{DAX}/devices/dax0.0/align", GIB), "align=1G was refused")
        check(bind(guest, "dax0.0"), "the device cannot be bound")
        has(guest, "dax0.0", SOFT, GIB, GIB)
        sound(guest, "dax0.0", SOFT, GIB, GIB)
        note(f"1 GiB at {SOFT:#x}: every tail page leads to its head, and it can be written to")
    played(note, drive, soft(SOFT, GIB))


@case([CONFIG], "align=1G is refused where the device does not start at a multiple of it")
def align_of_an_unaligned_device(note):
    def drive(guest):
        has(guest, "dax0.0", SOFT + SHIFT, GIB, 2 * MIB)
        sound(guest, "dax0.0", SOFT + SHIFT, GIB, 2 * MIB)
        unbind(guest, "dax0.0")
        if store(guest, f"{DAX}/devices/dax0.0/align", GIB) and bind(guest, "dax0.0"):
            sound(guest, "dax0.0", SOFT + SHIFT, GIB, GIB)
            check(False, "an unaligned device was made of 1 GiB folios, and they are sound?")
        has(guest, "dax0.0", SOFT + SHIFT, GIB, 2 * MIB)
        check(bind(guest, "dax0.0"), "the device cannot be bound any more")
        note("refused, and the device still works with 2 MiB")
    played(note, drive, soft(SOFT + SHIFT, GIB))


@case([CONFIG], "a device of 1 GiB folios is not put behind one of 2 MiB")
def second_device(note):
    def drive(guest):
        region = f"{DAX}/devices/dax0.0/.."
        unbind(guest, "dax0.0")
        resize(guest, "dax0.0", 2 * MIB)
        guest.must(f"echo 1 > {region}/dax_region/create")
        check(store(guest, f"{DAX}/devices/dax0.1/align", GIB), "align=1G of an empty device")
        placed = store(guest, f"{DAX}/devices/dax0.1/size", GIB)
        if placed and bind(guest, "dax0.1"):
            start = int(value(guest, f"{DAX}/devices/dax0.1/resource"), 16)
            sound(guest, "dax0.1", start, GIB, GIB)
            check(False, "the second device was bound, and its folios are sound?")
        check(not placed, "the size was taken, and the device cannot be bound")
        # Where there is room for it, it can be asked for.
        place = f"{SOFT + GIB:x}-{SOFT + 2 * GIB - 1:x}"
        check(not store(guest, f"{DAX}/devices/dax0.1/mapping",
                        f"{SOFT + 2 * MIB:x}-{SOFT + 2 * MIB + GIB - 1:x}"),
              "an unaligned place was taken when it was asked for")
        check(store(guest, f"{DAX}/devices/dax0.1/mapping", place), f"{place} was refused")
        check(bind(guest, "dax0.1"), "the second device cannot be bound")
        sound(guest, "dax0.1", SOFT + GIB, GIB, GIB)
        note("refused at +2 MiB, sound at +1 GiB")
    played(note, drive, soft(SOFT, 2 * GIB))


# --- a device that becomes RAM ---------------------------------------------------------------

KMEM = f"{DAX}/drivers/kmem"


def kmem_module():
    """The tree's own driver, which is in no configuration of the lab: it would take each device."""
    return build.module(build.built(CONFIG), "kmem", folder=common.TREE / "drivers/dax")


def two_ranges(guest, size):
    """Make dax0.0 one of two ranges, with dax0.1 between them; returns the last PFN."""
    unbind(guest, "dax0.0")
    resize(guest, "dax0.0", size)
    guest.must(f"echo 1 > {DAX}/devices/dax0.0/../dax_region/create")
    resize(guest, "dax0.1", size)
    resize(guest, "dax0.0", 2 * size)
    return int(value(guest, f"{DAX}/devices/dax0.0/mapping1/end"), 16) >> 12


@case([CONFIG], "a device becomes RAM, and goes as a whole or not at all")
def system_ram(note):
    """One page of its last block cannot be moved: what went before that comes back."""
    size, state = 256 * MIB, f"{DAX}/devices/dax0.0/state"

    def is_(guest, before, wish, sections):
        check(value(guest, state) == wish, f"the device is {value(guest, state)}, not {wish}")
        more = number(guest, "sections") - before
        check(more == sections, f"{more} sections have come, not {sections}")
        check(verify(guest)[3] == 0, f"mismatches when it is {wish}")

    def drive(guest):
        guest.must("insmod /kmem.ko && insmod /paths.ko")
        last, before = two_ranges(guest, size), number(guest, "sections")
        guest.must(f"echo dax0.0 > {KMEM}/bind")
        guest.must(f"echo unplugged > {state} && echo online_kernel > {state}")
        is_(guest, before, "online_kernel", 4)
        note(command(guest, "paths", f"hold {last}"))
        counts = vmstat(guest)
        check(not store(guest, state, "unplugged"), "it went with a page in use")
        # Each page of three blocks was freed in a second time.
        note(rises(guest, counts, pgfree=3 << 15))
        is_(guest, before, "online_kernel", 4)
        note(command(guest, "paths", f"drop {last}"))
        guest.must(f"echo unplugged > {state} && echo online_movable > {state}", 60)
        is_(guest, before, "online_movable", 4)
        use(guest, 300)
        guest.must(f"echo unplugged > {state}", 60)
        is_(guest, before, "unplugged", 0)
        guest.must(f"echo dax0.0 > {KMEM}/unbind")
    played(note, drive, soft(SOFT, GIB), smp=1, allow=[STAYS, *UNMOVABLE], files={
        "/kmem.ko": kmem_module(), "/paths.ko": module("paths")})


def name_of(guest, pattern, text):
    found = re.findall(pattern, text)
    check(len(found) == 1, f"expected one '{pattern}', found {found}")
    return found[0]


@case([CONFIG], "persistent memory that starts between two multiples of 1 GiB")
def persistent(note):
    """Here no file of the device has its alignment: it comes from the memory itself."""
    size, data = 1792 * MIB, 5 * GIB

    def drive(guest):
        nd = "/sys/bus/nd"
        has_names = guest.must(f"ls {nd}/devices")
        space = name_of(guest, r"namespace\d+\.\d+", has_names)
        dax = name_of(guest, r"\bdax\d+\.\d+", has_names)
        guest.sh(f"echo {space} > {nd}/drivers/nd_pmem/unbind")
        for name, text in (("align", GIB), ("uuid", "5b2f8a8e-6d6c-4f3a-9a53-0c7b7e1f2d11"),
                           ("mode", "ram"), ("namespace", space)):
            guest.must(f"echo {text} > {nd}/devices/{dax}/{name}")
        guest.sh(f"echo {dax} > {nd}/drivers/dax_pmem/bind")
        device = name_of(guest, r"dax\d+\.\d+", guest.must(f"ls {DAX}/devices"))
        check(int(value(guest, f"{DAX}/devices/{device}/align")) == GIB, "not made for 1 GiB")
        if bound(guest, device):
            sound(guest, device, data, GIB, GIB)
            check(False, "it was bound, and its folios are sound?")
        check("does not consist of aligned folios" in guest.must("dmesg"), "refused, but why?")
        note("refused with a message")
    played(note, drive, f"memmap={size}!{PMEM:#x}")


@case([CONFIG], "KUnit of memremap_pages()")
def kunit(note):
    run = uml.kunit_qemu(build.built(CONFIG), "memremap", allow=[ANSWERS], memory="1G", quiet=True)
    take(note, run.results)
    if not run.good:
        raise Failure(str(run))
    whole(run.results)
