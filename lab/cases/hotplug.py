# SPDX-License-Identifier: GPL-2.0
"""Memory that comes and goes under the checker: not a word, nothing left behind, and the record
agrees with the free lists all the time.
"""

import re

from lab import build, hotplug, qemu
from lab.cases import Failure, case
from lab.cases.witness import (agrees, check, meminfo, number, silent, value, verify, vmstat)
from lab.hotplug import BLOCKS, UNMOVABLE, Dimm, refused, set_state, state
from lab.record import Record

MACHINE = {"memory": "512M", "extra": hotplug.ROOM, "allow": UNMOVABLE}
# When a zone comes or goes, 7.3 rebuilds the zonelists under running allocations: the preferred
# zoneref of one of these can be behind the new end, and rmqueue() follows its NULL. Under load
# that happens about once in a hundred times, so there the zone has memory of its own.
KEEP_MOVABLE = "movablecore=96M"
PAIR = 2 * 4096			# bytes that a section's arrays take
INJECT = "/sys/kernel/debug/notifier-error-inject/memory/actions"
FAIL = "/sys/kernel/debug/fail_page_alloc"
# Fills memory, so that what has come is used, and empties it again.
FILL = """
mkdir -p /tmp/fill && mount -t tmpfs -o size=90%{1} fill /tmp/fill
dd if=/dev/zero of=/tmp/fill/a bs=1M count={0} 2>/dev/null
rm /tmp/fill/a; umount /tmp/fill
"""


def record(guest):
    """What the checker tracks and what that takes: must be the same again in the end."""
    return number(guest, "sections"), number(guest, "bytes")


def expect(guest, before, sections, arrays=None):
    """So many sections have come since, and their arrays with them."""
    now = record(guest)
    check(now[0] - before[0] == sections, f"{now[0] - before[0]} sections more, not {sections}")
    grown = now[1] - before[1]
    wish = (sections if arrays is None else arrays) * PAIR
    # A root may have come along.
    check(grown in (wish, wish + 4096), f"{grown} bytes more, not {wish}")


def use(guest, mebibytes, policy=""):
    """Fill memory and free it again; policy is one of tmpfs, such as ',mpol=bind:1'."""
    free = vmstat(guest)["nr_free_pages"]
    check(free > mebibytes << 8, f"only {free} pages are free")
    guest.must(FILL.format(mebibytes, policy), 60)


def cycle(guest, note, kind="online_movable", fill=600, node=0):
    """A DIMM comes, is used, and goes."""
    before, dimm = record(guest), Dimm(guest, node=node)
    blocks = dimm.plug()
    expect(guest, before, 0)
    total = meminfo(guest, "MemTotal")
    set_state(guest, blocks, kind)
    check(meminfo(guest, "MemTotal") - total > 200 << 10, "the memory has not come")
    expect(guest, before, len(blocks))
    use(guest, fill)
    check(verify(guest)[3] == 0, "mismatches with the DIMM in use")
    set_state(guest, reversed(blocks), "offline")
    expect(guest, before, 0)
    dimm.unplug()
    check(record(guest) == before, f"left behind: {before} became {record(guest)}")
    note(f"{len(blocks)} blocks {kind}, used, offline, gone")


@case(["x86"], "DIMM to ZONE_MOVABLE and away, under load")
def dimm(note):
    def drive(guest):
        load = guest.start("stress-ng --quiet --fork 1 --mmap 1 --mmap-bytes 24M --pipe 1 "
                           "--timeout 600s")
        for _ in range(5):
            cycle(guest, note, fill=450)
        check(load.status is None, "the load has ended early")
        load.kill()
        guest.must("killall -q stress-ng; true")
    silent(note, drive, KEEP_MOVABLE, tools=["stress-ng"], **MACHINE)


@case(["x86"], "DIMM to ZONE_NORMAL, which may not be let go of")
def dimm_kernel(note):
    """What the kernel itself has put there stays: an offline may fail, and is rolled back."""
    def drive(guest):
        before, left = record(guest), 0
        blocks = Dimm(guest).plug()
        set_state(guest, blocks, "online_kernel")
        expect(guest, before, len(blocks))
        use(guest, 400)
        for _ in range(3):
            for block in reversed(blocks):
                guest.sh(f"echo offline > {BLOCKS}/memory{block}/state", 90)
            left = sum(state(guest, block) == "online" for block in blocks)
            expect(guest, before, left)
            use(guest, 300)
            set_state(guest, [b for b in blocks if state(guest, b) == "offline"], "online_kernel")
            expect(guest, before, len(blocks))
            use(guest, 400)
        note(f"{left} of {len(blocks)} blocks could not be taken offline the last time")
    silent(note, drive, **MACHINE)


@case(["x86"], "DIMM with the memory map on itself")
def memmap_on_memory(note):
    def drive(guest):
        cycle(guest, note)
        dimm = Dimm(guest)
        blocks = dimm.plug()
        before = vmstat(guest)["nr_memmap_pages"]
        set_state(guest, blocks, "online_movable")
        more = vmstat(guest)["nr_memmap_pages"] - before
        managed = re.findall(r"managed +(\d+)", guest.must(
            "sed -n '/zone *Movable/,/managed/p' /proc/zoneinfo"))
        check(managed and sum(map(int, managed)) == len(blocks) * (32768 - 512),
              f"the memory map is elsewhere: managed {managed}, nr_memmap_pages +{more}")
        set_state(guest, blocks, "offline")
    silent(note, drive, "memory_hotplug.memmap_on_memory=1", **MACHINE)


@case(["x86-debug"], "DIMM under KASAN and lockdep")
def dimm_debug(note):
    silent(note, lambda guest: cycle(guest, note, fill=300), config="x86-debug", memory="1G",
           allow=UNMOVABLE,
           extra=hotplug.ROOM)


@case(["x86"], "a node that appears and disappears")
def node(note):
    def drive(guest):
        online = "/sys/devices/system/node/has_memory"
        check(value(guest, online) == "0", f"nodes with memory: {value(guest, online)}")
        for _ in range(2):
            before, dimm = record(guest), Dimm(guest, node=1)
            blocks = dimm.plug()
            set_state(guest, blocks, "online_movable")
            check(value(guest, online) == "0-1", "node 1 has no memory")
            expect(guest, before, len(blocks))
            # Node 0 keeps what the kernel itself needs, which a movable node cannot give.
            use(guest, 200, ",mpol=bind:1")
            set_state(guest, reversed(blocks), "offline")
            check(value(guest, online) == "0", "node 1 still has memory")
            dimm.unplug()
            check(record(guest) == before, f"left behind: {before} became {record(guest)}")
    silent(note, drive, memory="512M", allow=UNMOVABLE, extra=[
        *hotplug.ROOM, "-object", "memory-backend-ram,id=ram0,size=512M",
        "-numa", "node,nodeid=0,memdev=ram0", "-numa", "node,nodeid=1"])


@case(["x86"], "memory beyond what was announced at boot")
def beyond(note):
    def drive(guest):
        before = record(guest)
        # Without NUMA nobody reads which memory may come; the table ends at 16 GiB.
        dimm = Dimm(guest, address=24 << 30)
        blocks = dimm.plug()
        check(min(blocks) >= 192, f"the DIMM is not beyond 24 GiB: block {min(blocks)}")
        set_state(guest, blocks, "online_movable")
        check(number(guest, "sections") == before[0] + len(blocks), "the DIMM is not tracked")
        use(guest, 500)
        agrees(guest, note)
        set_state(guest, blocks, "offline")
        dimm.unplug()
        check(number(guest, "sections") == before[0], "the DIMM is still tracked")
        # The longer table stays.
        check(number(guest, "bytes") == before[1] + 2 * 4096,
              f"bytes: {before[1]} became {number(guest, 'bytes')}")
    silent(note, drive, "numa=off", memory="512M", allow=UNMOVABLE,
           extra=["-m", "slots=8,maxmem=64G"])


def virtio(requested):
    return [*hotplug.ROOM, "-object", "memory-backend-ram,id=vm0,size=1G",
            "-device", f"virtio-mem-pci,id=vmem0,memdev=vm0,requested-size={requested}M"]


def resize(guest, mebibytes):
    """Ask virtio-mem for a size, and wait until the guest has it."""
    path = "/machine/peripheral/vmem0"
    check(guest.qmp.ask("qom-set", path=path, property="requested-size",
                        value=mebibytes << 20) is not None, "QEMU refuses the size")
    guest.wait_for(lambda: guest.qmp.ask("qom-get", path=path, property="size")
                   == mebibytes << 20, 60, f"virtio-mem at {mebibytes} MiB")


@case(["x86"], "virtio-mem present at boot")
def virtio_at_boot(note):
    def drive(guest):
        guest.wait_for(lambda: meminfo(guest, "MemTotal") > 600 << 10, 30, "virtio-mem's memory")
        use(guest, 500)
        resize(guest, 0)
    silent(note, drive, "memhp_default_state=online_movable", memory="512M", allow=UNMOVABLE,
           extra=virtio(256))


@case(["x86"], "virtio-mem that grows and shrinks, also by parts of a section")
def virtio_later(note):
    def drive(guest):
        before = record(guest)
        for size in (64, 512, 200, 640, 30, 0):
            resize(guest, size)
            use(guest, 300)
            check(verify(guest)[3] == 0, f"mismatches at {size} MiB")
        guest.wait_for(lambda: record(guest) == before, 30, f"the record to be {before} again")
    silent(note, drive, "memhp_default_state=online_movable", memory="512M", allow=UNMOVABLE,
           extra=virtio(0))


@case(["x86"], "boot memory offline and online again")
def boot_memory(note):
    def drive(guest):
        before = record(guest)
        movable = [block for block in hotplug.blocks(guest) if "Movable" in guest.must(
            f"cat {BLOCKS}/memory{block}/valid_zones")]
        check(len(movable) >= 3, f"blocks in ZONE_MOVABLE: {movable}")
        # The last block has a hole and cannot go.
        two = movable[-3:-1]
        for _ in range(3):
            set_state(guest, two, "offline")
            # Their arrays are memblock's and stay.
            expect(guest, before, -2, 0)
            check(verify(guest)[3] == 0, "mismatches with memory offline")
            set_state(guest, two, "online_movable")
            check(record(guest) == before, f"{before} became {record(guest)}")
            use(guest, 600)
    silent(note, drive, "movablecore=600M", memory="1G", allow=UNMOVABLE,
           extra=hotplug.ROOM)


@case(["x86"], "offline that fails is rolled back")
def failed_offline(note):
    def drive(guest):
        before = record(guest)
        refused(guest, 0, "offline")
        check(state(guest, 0) == "online", "block 0 is offline")
        check(record(guest) == before, f"{before} became {record(guest)}")
        dimm = Dimm(guest)
        blocks = dimm.plug()
        set_state(guest, blocks, "online_movable")
        held = record(guest)
        guest.must(f"echo -16 > {INJECT}/MEM_GOING_OFFLINE/error")
        for _ in range(3):
            refused(guest, blocks[0], "offline")
            check(record(guest) == held, f"{held} became {record(guest)}")
            use(guest, 500)
        guest.must(f"echo 0 > {INJECT}/MEM_GOING_OFFLINE/error")
        set_state(guest, blocks, "offline")
        dimm.unplug()
        check(record(guest) == before, f"left behind: {before} became {record(guest)}")
    silent(note, drive, **MACHINE)


def cancelled(note, priority):
    """Another notifier refuses: before ours (ours hears only the end) or after it."""
    def drive(guest):
        before, dimm = record(guest), Dimm(guest)
        blocks = dimm.plug()
        guest.must(f"echo -12 > {INJECT}/MEM_GOING_ONLINE/error")
        for _ in range(3):
            refused(guest, blocks[0], "online_movable")
            check(record(guest) == before, f"left behind: {before} became {record(guest)}")
        guest.must(f"echo 0 > {INJECT}/MEM_GOING_ONLINE/error")
        set_state(guest, blocks, "online_movable")
        expect(guest, before, len(blocks))
        use(guest, 500)
        set_state(guest, blocks, "offline")
    silent(note, drive, f"memory-notifier-error-inject.priority={priority}", **MACHINE)


@case(["x86"], "online refused by a notifier before ours")
def cancelled_before(note):
    cancelled(note, 1000)


@case(["x86"], "online refused by a notifier after ours")
def cancelled_after(note):
    cancelled(note, -1000)


def failing(note, least, address=None, stays=0, **machine):
    """Every allocation in turn fails, and all that follow it."""
    def drive(guest):
        before, dimm = record(guest), Dimm(guest, address=address)
        blocks = dimm.plug()
        path = f"{BLOCKS}/memory{blocks[0]}/state"
        guest.must("; ".join(f"echo {value} > {FAIL}/{name}" for name, value in (
            ("min-order", 0), ("ignore-gfp-wait", "N"), ("probability", 100), ("times", -1),
            ("interval", 1), ("task-filter", "Y"), ("verbose", 0))))
        failures, pages, seen = 0, 0, before
        allowed = (before, (before[0], before[1] + stays))
        while failures < 200:
            guest.must(f"echo {pages} > {FAIL}/space")
            error = int(guest.must(f"/lab/failwrite {path} online_movable"))
            if not error:
                break
            check(error == 12, f"error {error}, not ENOMEM")
            check(record(guest) in allowed, f"left behind: {before} became {record(guest)}")
            # With the table grown, there are fewer to come: from the first again.
            pages = pages + 1 if record(guest) == seen else 0
            failures, seen = failures + 1, record(guest)
        check(failures >= least, f"only {failures} failures, {least} allocations are ours")
        check(state(guest, blocks[0]) == "online", "it never went online")
        use(guest, 450)
        set_state(guest, blocks[:1], "offline")
        dimm.unplug()
        check(record(guest) == allowed[1], f"left behind: {before} became {record(guest)}")
        note(f"{failures} refusals, then online")
    silent(note, drive, **{**MACHINE, **machine})


@case(["x86"], "online refused when any of its allocations fails")
def failed_allocations(note):
    failing(note, 2)		# primary, secondary


@case(["x86"], "online refused when any allocation of a longer table fails")
def failed_growth(note):
    # Both halves of the table, which stays that long, a root, primary, secondary.
    failing(note, 5, 24 << 30, 2 * 4096, append="numa=off",
            extra=["-m", "slots=8,maxmem=64G"])


@case(["x86"], "damage in the record of a DIMM")
def damage(note):
    """What was hot-added is watched as all else is: a flipped bit of its record panics."""
    def drive(guest):
        blocks = Dimm(guest).plug()
        set_state(guest, blocks, "online_movable")
        Record(guest).flip((blocks[0] << 15) + 6400, "primary")
        guest.must("echo 1 > /sys/kernel/mm/page_consistency/verify")
    outcome = qemu.play(lambda: qemu.Guest(build.built("x86"), "page_consistency=on", quiet=True,
                                           name="hotplug", **MACHINE),
                        drive, expect_panic=r"record corrupt: one of the bitmaps")
    if not outcome.good:
        raise Failure(str(outcome))
    check(re.search(r"section 3[0-9]", outcome.console), "not a section of the DIMM")
    note(outcome.reason)
