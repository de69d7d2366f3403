# SPDX-License-Identifier: GPL-2.0
"""Memory that QEMU plugs into a running guest, and what the guest makes of it.

A Guest needs room for it: qemu.Guest(..., extra=hotplug.ROOM).
"""

import time

from lab.common import LabError
from lab.splat import Allow

# A second -m adds to the first; an SRAT comes with it, as on a machine with such slots.
ROOM = ["-m", "slots=8,maxmem=8G"]
BLOCKS = "/sys/devices/system/memory"
# What an offline prints of a page that keeps it from going on, for the time being or for good.
UNMOVABLE = [Allow("bad-page",
                   "page dumped because: (unmovable page|migration failure|isolation failed)",
                   "ordinary words of memory offlining")]
POISON = 60		# seconds that the guest may take to let go of memory


class Dimm:
    """An ACPI memory device that comes and goes."""

    def __init__(self, guest, mebibytes=256, node=0, address=None, name="dimm1"):
        self.guest, self.name, self.size = guest, name, mebibytes
        self.settings = {"driver": "pc-dimm", "id": name, "memdev": f"{name}-ram", "node": node}
        if address is not None:
            self.settings["addr"] = address

    def _ask(self, command, **arguments):
        if self.guest.qmp.ask(command, **arguments) is None:
            raise LabError(f"QEMU refuses {command} {arguments}: "
                           f"{self.guest.qmp.answers[max(self.guest.qmp.answers)]}")

    def plug(self):
        """Plug it in; returns the numbers of the memory blocks that appear, sorted."""
        before = set(blocks(self.guest))
        self._ask("object-add", **{"qom-type": "memory-backend-ram", "id": f"{self.name}-ram",
                                   "size": self.size << 20})
        self._ask("device_add", **self.settings)
        wanted = (self.size << 20) // block_bytes(self.guest)
        self.guest.wait_for(lambda: len(set(blocks(self.guest)) - before) == wanted, 20,
                            f"{wanted} memory blocks of the new DIMM")
        return sorted(set(blocks(self.guest)) - before)

    def unplug(self):
        """Ask for it back, wait until it is gone, and see that QEMU has it."""
        gone = self.guest.qmp.count("DEVICE_DELETED")
        self._ask("device_del", id=self.name)
        # One event for the device, one for its path.
        self.guest.wait_for(lambda: self.guest.qmp.count("DEVICE_DELETED") > gone, POISON,
                            "the guest to let go of the DIMM")
        deadline = time.monotonic() + 10
        while self.guest.qmp.ask("object-del", id=f"{self.name}-ram") is None:
            if time.monotonic() > deadline:
                raise LabError("QEMU does not let go of the DIMM's memory")
            time.sleep(0.05)


def blocks(guest):
    """The numbers of all memory blocks."""
    return [int(name[6:]) for name in guest.must(f"ls {BLOCKS}").split()
            if name.startswith("memory") and name[6:].isdigit()]


def block_bytes(guest):
    return int(guest.must(f"cat {BLOCKS}/block_size_bytes"), 16)


def state(guest, block):
    return guest.must(f"cat {BLOCKS}/memory{block}/state").strip()


def set_state(guest, numbers, wish):
    """Bring blocks online ('online_movable', ...) or offline; all of them, or an error."""
    files = " ".join(f"{BLOCKS}/memory{number}/state" for number in numbers)
    guest.must(f"for f in {files}; do echo {wish} > $f || exit 1; done", 90)


def refused(guest, number, wish):
    """Try what has to fail; returns what was said."""
    status, text = guest.sh(f"echo {wish} > {BLOCKS}/memory{number}/state", 90)
    if not status:
        raise LabError(f"memory block {number} was set {wish}, which was to fail")
    return text
