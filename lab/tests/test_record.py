# SPDX-License-Identifier: GPL-2.0
"""lab.record: a change from outside loses nothing that the guest writes meanwhile."""

import unittest
from types import SimpleNamespace

from lab.qemu import Guest
from lab.record import Record


class Memory:
    """One word; while the guest runs it sets the next bit of it between any two accesses."""

    def __init__(self, guest):
        self.guest, self.word, self.next = guest, 0, 0

    def _goes_on(self):
        if self.guest.running:
            self.word |= 1 << self.next
            self.next += 1

    def read64(self, _address):
        self._goes_on()
        return self.word

    def write64(self, _address, value):
        self._goes_on()
        self.word = value

    def flip(self, address, bit):
        self.write64(address, self.read64(address) ^ 1 << bit)


class Monitor:
    """QEMU's: whether the guest runs, and how often it was stopped."""

    def __init__(self, running):
        self.running, self.stops = running, 0

    def ask(self, what):
        if what == "query-status":
            return {"running": self.running}
        self.running = what == "cont"
        self.stops += what == "stop"
        return {}


def stage(running=True):
    guest = SimpleNamespace(qmp=Monitor(running))
    guest.memory = Memory(guest.qmp)
    guest.paused = lambda: Guest.paused(guest)
    guest.flip = lambda address, bit: Guest.flip(guest, address, bit)
    record = Record.__new__(Record)
    record.guest = guest
    record.words = lambda pfn: SimpleNamespace(primary=0, secondary=8, bit=pfn)
    return guest, record


class AChangeFromOutside(unittest.TestCase):
    def loses_nothing(self, change):
        guest, record = stage()
        guest.memory.read64(0)
        change(record)
        self.assertTrue(guest.qmp.running)
        self.assertEqual(guest.qmp.stops, 1)
        self.assertEqual(guest.memory.next, 1, "the guest ran while its memory was changed")

    def test_of_one_bit(self):
        self.loses_nothing(lambda record: record.flip(40, "primary"))

    def test_of_a_word(self):
        self.loses_nothing(lambda record: record.write_at(0, 1 << 40))

    def test_of_its_complement(self):
        self.loses_nothing(lambda record: record.overwrite(40))

    def test_a_guest_that_stood_still_goes_on_standing_still(self):
        guest, record = stage(running=False)
        record.flip(40, "primary")
        self.assertFalse(guest.qmp.running)
        self.assertEqual(guest.memory.word, 1 << 40)
