# SPDX-License-Identifier: GPL-2.0
"""The host's end of the two lines into a guest: the agent's, and QMP.

Both are read by a thread that only files what it hears; whoever waits for
something waits on the one condition of the guest, so that a panic, an exit of
QEMU and a deadline end every wait, whatever it was for.
"""

import base64
import itertools
import json
import socket
import threading
import time


def connect(path, alive, timeout=20.0):
    """Connect to a socket that QEMU is about to create."""
    deadline = time.monotonic() + timeout
    while True:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(str(path))
            return link
        except OSError:
            link.close()
            if not alive() or time.monotonic() > deadline:
                return None
            time.sleep(0.02)


class Line(threading.Thread):
    """Reads lines from a socket for as long as it lives."""

    def __init__(self, link, changed, heard):
        super().__init__(daemon=True)
        self.link, self.changed, self.heard = link, changed, heard
        self.closed = False
        self.start()

    def run(self):
        rest = b""
        while True:
            try:
                got = self.link.recv(1 << 16)
            except OSError:
                got = b""
            with self.changed:
                *lines, rest = (rest + got).split(b"\n")
                for line in lines:
                    self.heard(line.strip())
                self.closed = not got
                self.changed.notify_all()
            if not got:
                return

    def send(self, text):
        try:
            self.link.sendall(text.encode() + b"\n")
        except OSError:
            pass		# whoever waits for the answer sees the reason

    def close(self):
        # A close alone would not wake the thread from its recv().
        try:
            self.link.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.link.close()


class Job:
    """One command running in the guest."""

    def __init__(self, control, number, command):
        self.control, self.number, self.command = control, number, command
        self.output = bytearray()
        self.taken = 0
        self.status = None

    def text(self):
        return bytes(self.output).decode(errors="replace")

    def take_line(self):
        """The next whole line of output, or None when there is none yet."""
        end = self.output.find(b"\n", self.taken)
        if end < 0:
            return None
        line = bytes(self.output[self.taken:end]).decode(errors="replace")
        self.taken = end + 1
        return line

    def write(self, text):
        """Give the command some standard input."""
        data = base64.b64encode(text.encode()).decode()
        self.control.line.send(f"IN {self.number} {data}")

    def end_input(self):
        self.control.line.send(f"EOF {self.number}")

    def kill(self):
        self.control.line.send(f"KILL {self.number}")


class Control:
    """Speaks lab/guest/agent.c's protocol."""

    def __init__(self, link, changed):
        self.boots = 0
        self.verdict = None		# (word, reason) of the guest
        self.strange = []		# lines that are no protocol
        self.jobs = {}
        self.numbers = itertools.count(1)
        self.line = Line(link, changed, self._heard)

    def _heard(self, line):
        words = line.decode(errors="replace").split(" ", 2)
        job = self.jobs.get(words[1]) if len(words) > 1 else None
        try:
            if words[0].endswith("READY"):
                self.boots += 1
            elif words[0] == "OUT" and job:
                job.output += base64.b64decode(words[2])
            elif words[0] == "EXIT" and job:
                job.status = int(words[2])
            elif words[0] == "VERDICT" and not self.verdict:
                self.verdict = (words[1], words[2] if len(words) > 2 else "")
            elif line:
                self.strange.append(line)
        except (ValueError, IndexError):
            self.strange.append(line)

    def run(self, command):
        number = str(next(self.numbers))
        job = self.jobs[number] = Job(self, number, command)
        self.line.send(f"RUN {number} {base64.b64encode(command.encode()).decode()}")
        return job


class Qmp:
    """QEMU's own monitor: commands, and the events that tell of a panic."""

    def __init__(self, link, changed):
        self.changed = changed
        self.events = []
        self.answers = {}
        self.numbers = itertools.count(1)
        self.line = Line(link, changed, self._heard)
        self.line.send(json.dumps({"execute": "qmp_capabilities"}))

    def _heard(self, line):
        try:
            message = json.loads(line)
        except ValueError:
            return
        if "event" in message:
            self.events.append(message)
        elif "id" in message:
            self.answers[message["id"]] = message

    def count(self, event):
        return sum(seen["event"] == event for seen in self.events)

    def ask(self, execute, timeout=10.0, **arguments):
        """The 'return' of a command, or None when QEMU does not answer or refuses."""
        number = next(self.numbers)
        self.line.send(json.dumps({"execute": execute, "arguments": arguments, "id": number}))
        with self.changed:
            self.changed.wait_for(lambda: number in self.answers or self.line.closed, timeout)
        return self.answers.get(number, {}).get("return")

    def human(self, command, timeout=10.0):
        """A command of the human monitor, e.g. 'info registers -a'."""
        return self.ask("human-monitor-command", timeout, **{"command-line": command}) or ""
