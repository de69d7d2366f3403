# SPDX-License-Identifier: GPL-2.0
"""The report survives into ramoops and is read back after a warm reboot.

pstore keeps the tail of the log in records of a fixed size: one of them has to
hold the whole fixed block and the panic line.
"""

from lab import build, qemu, reports
from lab.cases import Failure, case
from lab.cases.panicking import POLICY, compare
from lab.flips import ORDER, Stage, poke_module

AT, SIZE, RECORD = 0x10000000, 1 << 20, 4096
RAMOOPS = f"memmap={SIZE >> 20}M${AT:#x} ramoops.mem_address={AT:#x} " \
          f"ramoops.mem_size={SIZE:#x} ramoops.record_size={RECORD:#x}"
STORE = "/sys/fs/pstore"


def _guest(append, name):
    return qemu.Guest(build.built("x86"), f"{POLICY} {RAMOOPS} {append}".strip(), smp=2,
                      memory="512M", name=name, quiet=True, reboot=True,
                      files={"/poke.ko": poke_module()})


def _violate(guest):
    """Cause a report that has all of its lines; returns what it must say."""
    guest.wait_ready()
    guest.must("insmod /poke.ko")
    stage = Stage(guest)
    pfn = stage.get(ORDER)
    stage.record.flip(pfn, "secondary")
    guest.start("echo 'put 0' > /sys/module/poke/parameters/do")
    return {"violation": "record corrupt: secondary bitmap", "event": "free", "pfn": pfn,
            "order": ORDER, "damage": "one flipped bit", "policy": "on", "entry": "intact"}


def _records(guest):
    """{name: text} of what the boot before has left."""
    guest.must(f"[ -d {STORE} ] && mount | grep -q pstore")
    names = guest.must(f"ls {STORE}").split()
    return {name: guest.must(f"cat {STORE}/{name}") for name in names
            if name.startswith("dmesg-")}


def _whole(records, first):
    """The name of the record that has all of the report that the console had.

    The log is saved twice, before panic() and by it. Without compression ramoops cuts off the
    end of a record that is full, which may be in the middle of the block's last line.
    """
    for name, text in records.items():
        try:
            in_record = reports.find(_plain(text))
        except reports.BadReport:
            continue
        for found in in_record:
            if found.essence and found.text == first.text and found.essence == first.essence:
                return name, found
    raise Failure("no record holds the whole block and the panic line: "
                  + ", ".join(f"{name} has {len(text)} bytes, {text.count('page_consistency:')} "
                              "lines of the checker" for name, text in records.items()))


def _plain(text):
    """Without the header of the record."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("Panic#"))


def _survives(note, append="", name="ramoops"):
    with _guest(append, name) as guest:
        want = _violate(guest)
        guest.wait_ready(boot=2, timeout=40)
        before = guest.console().split("Linux version")[1]
        first = reports.find(before)
        if not first:
            raise Failure("the first boot has not reported anything")
        records = _records(guest)
        record, found = _whole(records, first[0])
        compare(found, want)
        note(f"{record} of {len(records)}: {len(found.text)} lines and the panic line, "
             f"{len(records[record])} bytes")
        outcome = guest.finish(expect_panic=want["violation"])
    if not outcome.good:
        raise Failure(str(outcome))


@case(kernels=["x86"])
def report_is_read_back_after_a_warm_reboot(note):
    _survives(note)


@case(kernels=["x86"])
def report_fits_a_record_with_page_owner(note):
    """It prints two more stacks, before the block; and no compression makes room for them."""
    _survives(note, "page_owner=on pstore.compress=none", "ramoops-owner")
