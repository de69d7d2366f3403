# SPDX-License-Identifier: GPL-2.0
"""Memory that comes and goes, for a long time and in large pieces: for make test-long."""

from lab import hotplug
from lab.cases import case
from lab.cases.hotplug import KEEP_MOVABLE, MACHINE, expect, record, use
from lab.cases.witness import check, meminfo, silent, verify
from lab.hotplug import UNMOVABLE, Dimm, set_state

CYCLES = 200
LOAD = "stress-ng --quiet --fork 1 --mmap 1 --mmap-bytes 24M --pipe 1 --vm 1 --vm-bytes 32M"


def settled(guest):
    """Free memory with no cache and no per-CPU lists in the way."""
    guest.must("sync; echo 3 > /proc/sys/vm/drop_caches; echo 1 > /proc/sys/vm/compact_memory")
    return meminfo(guest, "MemFree")


@case(["x86"], f"a DIMM added and removed {CYCLES} times under load")
def cycles(note):
    def drive(guest):
        dimm = Dimm(guest)
        # The first time, caches grow that stay.
        set_state(guest, dimm.plug(), "online_movable")
        dimm.unplug()
        before, free = record(guest), settled(guest)
        load = guest.start(f"{LOAD} --timeout 0")
        for turn in range(CYCLES):
            blocks = dimm.plug()
            set_state(guest, blocks, "online_movable")
            expect(guest, before, len(blocks))
            if turn % 10 == 0:
                check(verify(guest)[3] == 0, f"mismatches in cycle {turn}")
            # The firmware's way: the kernel takes it offline itself.
            dimm.unplug()
            check(record(guest) == before, f"cycle {turn}: {before} became {record(guest)}")
        check(load.status is None, "the load has ended early")
        guest.must("killall -q stress-ng; sleep 1")
        lost = free - settled(guest)
        # Two arrays for each of two sections make 16 KiB per cycle.
        check(lost < CYCLES * 16 // 4, f"{lost} KiB of free memory are gone")
        note(f"{CYCLES} cycles, {lost} KiB less free than before")
    silent(note, drive, KEEP_MOVABLE, tools=["stress-ng"], **MACHINE)


@case(["x86"], "memory blocks of several sections")
def large_blocks(note):
    def drive(guest):
        size = hotplug.block_bytes(guest)
        check(size > 128 << 20, f"a block is {size >> 20} MiB, one section")
        before = record(guest)
        dimm = Dimm(guest, mebibytes=2 * (size >> 20))
        blocks = dimm.plug()
        set_state(guest, blocks, "online_movable")
        expect(guest, before, len(blocks) * (size >> 27))
        use(guest, 3000)
        check(verify(guest)[3] == 0, "mismatches")
        set_state(guest, reversed(blocks), "offline")
        dimm.unplug()
        check(record(guest) == before, f"left behind: {before} became {record(guest)}")
        note(f"blocks of {size >> 20} MiB")
    # More than this machine may have; little of it is touched.
    silent(note, drive, memory="66G", allow=UNMOVABLE, extra=[
        "-m", "slots=8,maxmem=80G", "-machine", "memory-backend=ram0",
        "-object", "memory-backend-ram,id=ram0,size=66G,reserve=off"])
