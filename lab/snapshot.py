# SPDX-License-Identifier: GPL-2.0
"""Go back to one moment of a guest as often as needed, in a tenth of a second.

    snapshot = Snapshot(guest)
    ...				# damage, panic, whatever
    said = snapshot.said()	# what the console said since
    snapshot.restore()

The guest needs panic=0 on its command line, so that QEMU outlives a panic. Its
clock and random numbers repeat too: trials differ only by what is done to them.
Jobs that were started later never end, and the console's file keeps growing.
"""

import itertools
import os

from lab.common import LabError

ROOM = 8 << 30		# how far the image may grow; it is sparse
_count = itertools.count(1)


class Snapshot:
    """The moment at which it was made."""

    def __init__(self, guest):
        self.guest, self.name = guest, f"moment{next(_count)}"
        if not hasattr(guest, "snapshot_image"):
            guest.snapshot_image = self._make_image()
        self._human(f"savevm {self.name}")
        self.mark = 0
        self._begin()

    def _ask(self, what, **arguments):
        if self.guest.qmp.ask(what, 30.0, **arguments) is None:
            raise LabError(f"QEMU refuses {what}, which snapshots need")

    def _job(self, name, options):
        """A job of QEMU's, to its end."""
        self._ask("blockdev-create", **{"job-id": name, "options": options})
        self.guest.wait_for(lambda: any(
            job["id"] == name and job["status"] == "concluded" and not job.get("error")
            for job in self.guest.qmp.ask("query-jobs") or []), 5, "QEMU's making of an image")
        self._ask("job-dismiss", id=name)

    def _make_image(self):
        """Made by QEMU itself, so that qemu-img is not needed; goes with the sockets."""
        path = str(self.guest.sockets / "moments.qcow2")
        self._job("file", {"driver": "file", "filename": path, "size": 0})
        self._ask("blockdev-add", **{"driver": "file", "filename": path, "node-name": "moments0"})
        self._job("image", {"driver": "qcow2", "file": "moments0", "size": ROOM})
        self._ask("blockdev-add", **{"driver": "qcow2", "file": "moments0",
                                     "node-name": "moments"})
        return os.path.basename(path)

    def _human(self, command):
        answer = self.guest.qmp.ask("human-monitor-command", 60.0, **{"command-line": command})
        if answer is None or answer.strip():
            raise LabError(f"QEMU's {command} failed: {(answer or 'no answer').strip()}")

    def _begin(self):
        # What has panicked until now is past; the next panic is a new one.
        self.guest._past = self.guest.panics()
        self.mark = self.guest.console_path.stat().st_size

    def restore(self):
        self._human(f"loadvm {self.name}")
        self._begin()

    def pause(self):
        """Nothing moves until resume(): what is read now belongs together."""
        self._ask("stop")

    def resume(self):
        self._ask("cont")

    def said(self):
        """What the console said since the last restore."""
        with open(self.guest.console_path, "rb") as console:
            console.seek(self.mark)
            return console.read().decode(errors="replace")
