# SPDX-License-Identifier: GPL-2.0
"""Damage a running kernel on purpose: blocks to damage, and where their fields are.

Bugs are played by lab/modules/poke.c, faults of DRAM by writing into the guest's
memory. Free lists are those of blocks of order ORDER, which never stand on a
per-CPU list, and of the migrate type that the module's blocks have.
"""

import functools
from dataclasses import dataclass, field

from lab import build
from lab.common import LabError
from lab.record import COPIES, Record

DO = "/sys/module/poke/parameters/do"
SYSFS = "/sys/kernel/mm/page_consistency"
BUDDY = 0xf0			# PGTY_buddy
ORDER = 4
ALIAS = 64		# pages; the struct pages of 64 fill 1 << ALIAS_BIT bytes
ALIAS_BIT = 12


@functools.cache
def poke_module(name="x86", base=False):
    return build.module(build.built(name, base), "poke")


@dataclass
class Stage:
    """One guest with the module in it, and what its report will have to say."""

    guest: object
    want: dict = field(default_factory=dict)
    kept: list = field(default_factory=list)	# what the module holds since make_holes()
    gate: int = 0		# physical address of the module's gate, and the job that waits there
    again: object = None

    @functools.cached_property
    def record(self):
        return Record(self.guest)

    def expect(self, **values):
        self.want.update(values)

    # -- the module ---------------------------------------------------------

    def poke(self, words, times=1):
        return self.guest.must(f"for i in $(seq {times}); do echo '{words}' > {DO} || exit 1; done")

    def get(self, order):
        """Let the kernel allocate a block and keep it; returns its PFN."""
        self.poke(f"get {order}")
        line = self.guest.must("dmesg | grep 'poke: got' | tail -n 1")
        return int(line.split("pfn ")[1].split()[0], 16)

    def freed_on_cpu(self, order):
        """The PFN of a block that is free and on a per-CPU list."""
        for _ in range(20):
            pfn = self.get(order)
            self.poke("put 0")
            # The shell that has just ended may have taken it again.
            at = self.field_at(self.record.page(pfn), "_refcount")
            if not self.guest.memory.read32(at):
                return pfn
        raise LabError("no freed page stayed free for a moment; is the guest busy?")

    def held_free(self, order):
        """As freed_on_cpu(); and it stays there, for its CPU does nothing until allocate()."""
        pfn = self.get(order)
        line = self.guest.must("dmesg | grep 'poke: gate at' | tail -n 1")
        self.gate = self.record.physical(int(line.split()[-1], 16))
        self.again = self.guest.start(f"echo 'again {order}' > {DO}")
        self.guest.wait_for(lambda: self.guest.memory.read32(self.gate), 30,
                            "the module to free a block")
        return pfn

    def allocate(self):
        """Let the module allocate what held_free() has freed, which may be the end of the guest."""
        self.guest.memory.write32(self.gate + 4, 1)
        status, text = self.guest.wait(self.again)
        if status:
            raise LabError(f"'{self.again.command}' ended with status {status}: {text}")

    def used(self):
        """A process that owns one page: (its job, the PFN)."""
        job = self.guest.start("pagepfn")
        return job, int(self.guest.line_of(job).split()[1], 16)

    def give_back(self, job):
        job.write("drop\n")
        self.guest.line_of(job)
        # Batches of pages on their way to the LRU lists still hold it.
        self.guest.must("echo 1 > /proc/sys/vm/drop_caches")

    # -- the free list of ORDER ---------------------------------------------

    def make_holes(self):
        """A list of free blocks that cannot merge, because their buddies are in use.

        The struct pages of the first two differ in one bit of their addresses.
        Returns the list, and the first PFNs of four neighbouring blocks in use: the first
        of them joins the head of the list when dropped, or the tail if the last two
        were dropped before and have merged.
        """
        self.poke(f"get {ORDER}", 32)
        lines = self.guest.must("dmesg | grep 'poke: got' | tail -n 32").splitlines()
        self.kept = [int(line.split("pfn ")[1].split()[0], 16) for line in lines]
        size = 1 << ORDER
        quad = next((block for block in ([pfn + n * size for n in range(4)]
                                         for pfn in self.kept if not pfn % (4 * size))
                     if set(block) <= set(self.kept)), None)
        if not quad:
            raise LabError("of 32 blocks no four are neighbours; is the guest busy?")
        # Blocks whose buddy, the next one, stays in use.
        holes = [pfn for pfn in self.kept if pfn not in quad and pfn ^ size in self.kept
                 and pfn & size == 0]
        first = next((pfn for pfn in holes if pfn ^ ALIAS in holes), None)
        if not first or len(holes) < 3:
            raise LabError("of 32 blocks no two are as far apart as is wanted; is the guest busy?")
        other = next(pfn for pfn in holes if pfn not in (first, first ^ ALIAS))
        for pfn in (other, first ^ ALIAS, first):
            self.drop(pfn)
        return self.free_list(), quad

    def command_to_drop(self, pfn):
        """Of a block that make_holes() has left in use."""
        return f"drop {self.kept.index(pfn)}"

    def drop(self, pfn):
        self.poke(self.command_to_drop(pfn))
        self.kept.remove(pfn)

    def free_list(self):
        """The one list that the module's blocks come from and go to."""
        found = [area for area in self.record.free_lists(ORDER)
                 if area.order == ORDER and area.type == 0]
        if len(found) != 1:
            raise LabError(f"expected one list of unmovable blocks of order {ORDER}, "
                           f"found {len(found)}")
        return found[0]

    def field_at(self, page, name):
        """Physical address of a field of a struct page."""
        return self.record.physical(page + self.record.offset(f"page.{name}"))

    def page_of(self, link):
        return link - self.record.offset("page.buddy_list")

    def pfn_of(self, page):
        return (page - self.record.vmemmap) // self.record.offset("page")

    def both(self, pfn, order=0):
        """Turn the pairs of a block around, consistently and at one moment of the guest's."""
        with self.guest.paused():
            for number in range(pfn, pfn + (1 << order)):
                for copy in COPIES:
                    self.record.flip(number, copy)
