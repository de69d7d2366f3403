# SPDX-License-Identifier: GPL-2.0
"""One QEMU guest, driven from Python.

    with Guest(kernel, append="page_consistency=on", smp=2, memory="1G", nodes=2) as guest:
        guest.wait_ready()
        status, text = guest.sh("cat /proc/meminfo")
        guest.flip(physical_address, bit)
        outcome = guest.finish("pass")

Timeouts are seconds on real hardware; one factor stretches them all for the
accelerator and the configuration (and LAB_TIMEOUT_SCALE for a busy machine).
"""

import contextlib
import itertools
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from lab import accel, child, control, initramfs, judge, machines, packages
from lab.common import LOGS, LabError, quoted, say, show
from lab.qtest import QTest

BOOT, COMMAND, END = 25, 20, 10		# default timeouts, before scaling
_count = itertools.count(1)
_PANIC = re.compile(r"(?<!end )Kernel panic - not syncing")


class GuestPanic(LabError):
    """The guest panicked while it was asked for something else."""


class GuestGone(LabError):
    """QEMU ended while it was asked for something."""


class GuestTimeout(LabError):
    """Nothing happened for too long."""


def mebibytes(size):
    """'1G', '512M' or a number of MiB."""
    text = str(size)
    return int(text[:-1]) << 10 if text[-1] in "gG" else int(text.rstrip("mM"))


def _prune(folder, keep=500):
    """The oldest logs go, so that a campaign does not fill the disk."""
    for old in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def command_line(kernel, *, accelerator, append, smp, memory, nodes, initrd, machine, cpu,
                 reboot, host_root, extra, channels):
    """The arguments of QEMU; channels are those that connect it to us."""
    size = mebibytes(memory)
    # A list says how large each node is; else the last takes what division leaves over.
    parts = [mebibytes(part) for part in nodes] if isinstance(nodes, (list, tuple)) \
        else [size // nodes] * (nodes - 1) + [size - size // nodes * (nodes - 1)]
    # One socket per CPU where there are nodes: a package that spans nodes makes
    # the guest warn, rightly.
    cores = f"{smp},sockets={smp}" if len(parts) > 1 else smp
    model = machines.of(kernel.arch)
    argv = [model.qemu, "-nodefaults", "-no-user-config", "-display", "none",
            "-machine", machine or model.machine, "-accel", accelerator,
            "-cpu", cpu or model.cpu, "-smp", cores, "-m", f"{sum(parts)}M"]
    for node, part in enumerate(parts if len(parts) > 1 else ()):
        cpus = [f"cpus={n}" for n in range(smp) if n * len(parts) // smp == node]
        argv += ["-object", f"memory-backend-ram,id=ram{node},size={part}M",
                 "-numa", ",".join(["node", f"nodeid={node}", f"memdev=ram{node}", *cpus])]
    argv += ["-kernel", kernel.image]
    if initrd:
        argv += ["-initrd", initrd]
    if host_root:
        argv += ["-virtfs", "local,path=/,readonly=on,security_model=none,mount_tag=host,"
                 "multidevs=remap"]
    if not reboot:
        argv += ["-no-reboot"]
    # 'none': say so on QMP and go on, so that the guest can finish its report.
    argv += [*model.devices, "-action", "panic=none"]
    return [str(a) for a in [*argv, *extra, *channels, "-append", append]]


class Guest:
    """A guest for the length of a with block; see the module's text."""

    def __init__(self, kernel, append="", smp=2, memory="1G", nodes=1, *, name="guest",
                 machine="", cpu="", tools=(), files=None, host_root=False,
                 reboot=False, acceleration=None, thread="multi", extra=(), allow=(),
                 quiet=False):
        model = machines.of(kernel.arch)
        packages.need("boot", *([model.packages] if model.packages else []))
        self.kernel, self.name, self.quiet = kernel, name, quiet
        self.accel = acceleration or accel.choose(kernel)
        self.thread, self.reboot, self.allow = thread, reboot, tuple(allow)
        self.scale = accel.scale(self.accel) * kernel.slow
        words = [*machines.words(model), "panic=-1", "oops=panic"]
        if host_root:
            words += ["root=host", "rootfstype=9p", "ro", f"init={initramfs.host_init()}",
                      "rootflags=trans=virtio,version=9p2000.L,msize=262144,cache=loose"]
        self.settings = dict(
            accelerator=self.accel if self.accel != "tcg" else f"tcg,thread={thread}",
            append=" ".join([*words, append]).strip(), smp=smp, memory=memory, nodes=nodes,
            initrd=None if host_root else initramfs.initramfs(tools, files, kernel.arch),
            machine=machine, cpu=cpu, reboot=reboot, host_root=host_root, extra=extra)
        stamp = f"{name}-{time.strftime('%m%d-%H%M%S')}-{os.getpid()}-{next(_count)}"
        self.folder = LOGS / "guests" / stamp
        self.console_path = self.folder / "console.log"
        self.changed = threading.Condition()
        self.process = self.control = self.qmp = self._qtest = self.sockets = None
        self.timed_out = ""
        self._panics = self._past = self._scanned = 0

    # -- life ---------------------------------------------------------------

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        _prune(self.folder.parent)
        self.console_path.touch()
        # Socket paths may have 107 characters, a build folder may have more.
        self.sockets = Path(tempfile.mkdtemp(prefix="lab-"))
        argv = self.argv()
        (self.folder / "qemu.sh").write_text(self.by_hand() + "\n")
        if not self.quiet:
            say(f"$ {self.by_hand()}   # console: {show(self.console_path)}")
        self.begun = time.monotonic()
        with open(self.folder / "qemu.log", "w") as log:
            self.process = child.start(argv, stdout=log, stderr=subprocess.STDOUT)
        try:
            links = [control.connect(self.sockets / end, self.alive) for end in ("agent", "qmp")]
            if None in links:
                raise LabError(f"QEMU did not start: {self.qemu_said()}\n{self.by_hand()}")
            self.control = control.Control(links[0], self.changed)
            self.qmp = control.Qmp(links[1], self.changed)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        """End QEMU whatever state it is in."""
        if self.process:
            child.stop(self.process, grace=1.0)
        for end in (self.control, self.qmp):
            if end:
                end.line.close()
        if self._qtest:
            self._qtest.close()
        if self.sockets:
            shutil.rmtree(self.sockets, ignore_errors=True)
        self.sockets = None

    def alive(self):
        return self.process.poll() is None

    def argv(self):
        ends = self.sockets
        channels = ["-serial", f"file:{self.console_path}"]
        for name in ("agent", "qmp", "qtest"):
            channels += ["-chardev", f"socket,id={name},path={ends / name},server=on,wait=off"]
        channels += [*machines.agent_line(machines.of(self.kernel.arch)),
                     "-mon", "chardev=qmp,mode=control",
                     "-qtest", "chardev:qtest", "-qtest-log", "/dev/null"]
        return command_line(self.kernel, channels=channels, **self.settings)

    def by_hand(self):
        """The same guest for somebody at a terminal."""
        return quoted(command_line(self.kernel, channels=["-serial", "stdio"], **self.settings))

    # -- waiting ------------------------------------------------------------

    def console(self):
        return self.console_path.read_text(errors="replace")

    def qemu_said(self):
        return (self.folder / "qemu.log").read_text(errors="replace").strip() or "(nothing)"

    def panics(self):
        """How often it panicked, by the device or by the console."""
        size = self.console_path.stat().st_size
        if size != self._scanned:
            self._panics = len(_PANIC.findall(self.console()))
            self._scanned = size
        return max(self._panics, self.qmp.count("GUEST_PANICKED") if self.qmp else 0)

    def panicked(self):
        """Is it in a panic that no wait_ready() has left behind?"""
        return self.panics() > self._past

    def wait_for(self, ready, seconds, what, through_panic=False):
        """Wait until ready(); raise when that cannot happen any more."""
        seconds *= self.scale
        deadline = time.monotonic() + seconds
        with self.changed:
            while not (value := ready()):
                if self.panicked() and not through_panic:
                    raise GuestPanic(f"the guest panicked; waited for {what}")
                if not self.alive():
                    if value := ready():	# the last words may have been these
                        return value
                    raise GuestGone(f"QEMU ended; waited for {what}")
                if time.monotonic() > deadline:
                    self.timed_out = f"{what}: nothing for {seconds:.0f} s"
                    raise GuestTimeout(self.timed_out + "\n" + self.hang_text())
                self.changed.wait(0.1)
            return value

    def wait_ready(self, timeout=BOOT, boot=1):
        """Wait for the agent of the first (second, ...) boot; returns the seconds it took."""
        self.wait_for(lambda: self.control.boots >= boot, timeout, "the agent's READY",
                      through_panic=self.reboot)
        self._past = self.panics()	# what comes now is a new one
        return time.monotonic() - self.begun

    def where(self):
        """Where each CPU is: the first thing to know about a hang."""
        registers = self.qmp.human("info registers -a", 2) if self.qmp and self.alive() else ""
        return [self.kernel.symbol(int(found, 16))
                for found in re.findall(machines.of(self.kernel.arch).counter, registers)]

    def hang_text(self):
        return judge.hang_text(self.console(), self.by_hand(), self.console_path, self.where())

    # -- asking -------------------------------------------------------------

    def start(self, command):
        """Start a command; returns a control.Job to write to, read from, wait for."""
        return self.control.run(command)

    def wait(self, job, timeout=COMMAND):
        """Wait for a job; returns (status, output)."""
        self.wait_for(lambda: job.status is not None, timeout, f"the end of: {job.command}")
        return job.status, job.text()

    def line_of(self, job, timeout=COMMAND):
        """The next line a job prints."""
        found = []

        def look():
            line = job.take_line()
            if line is None and job.status is not None:
                raise LabError(f"ended ({job.status}) without that line: {job.command}")
            found.append(line)
            return line is not None
        self.wait_for(look, timeout, f"a line from: {job.command}")
        return found[-1]

    def sh(self, command, timeout=COMMAND):
        """Run a shell command in the guest; returns (status, output)."""
        return self.wait(self.start(command), timeout)

    def must(self, command, timeout=COMMAND):
        """Run a shell command that has to succeed; returns its output."""
        status, text = self.sh(command, timeout)
        if status:
            raise LabError(f"in the guest, status {status}: {command}\n{text.rstrip()}")
        return text

    @property
    def memory(self):
        """The guest's physical memory (lab.qtest)."""
        if not self._qtest:
            self._qtest = QTest(self.sockets / "qtest")
        return self._qtest

    @contextlib.contextmanager
    def paused(self):
        """The guest stands still for the length of the block: a word that is read and
        written back loses nothing that the guest writes in between."""
        running = (self.qmp.ask("query-status") or {}).get("running")
        if running:
            self.qmp.ask("stop")
        try:
            yield
        finally:
            if running:
                self.qmp.ask("cont")

    def flip(self, address, bit):
        with self.paused():
            return self.memory.flip(address, bit)

    # -- the end ------------------------------------------------------------

    def finish(self, verdict=None, reason="", *, expect_panic=None, timeout=END):
        """Bring the guest to its end and judge it.

        verdict 'pass' or 'fail' is the host's, which has driven the test; without
        one the guest's own is waited for. With expect_panic, a pattern, the guest
        has to panic and its console has to match. timeout is for what remains.
        """
        try:
            if expect_panic is not None:
                self.wait_for(self.panics, timeout, "the expected panic", True)
            elif verdict is None:
                self.wait_for(lambda: self.control.verdict, timeout, "the guest's verdict")
            if not self.panicked():
                self.start(machines.of(self.kernel.arch).end)
            self.wait_for(lambda: not self.alive(), END, "the end of QEMU", not self.reboot)
        except (GuestPanic, GuestGone, GuestTimeout):
            pass		# the evidence says the same
        return self.judge((verdict, reason) if verdict else None, expect_panic)

    def judge(self, verdict=None, expect_panic=None):
        """The outcome by what is known now."""
        if self.panicked() and not self.reboot:
            with contextlib.suppress(LabError):		# let it say all it has to say
                self.wait_for(lambda: not self.alive(), END, "the end of the panic", True)
        where = self.where() if self.alive() else []
        child.stop(self.process, grace=1.0)
        return judge.judge(judge.Evidence(
            verdict=verdict or self.control.verdict, expect_panic=expect_panic,
            panicked=self.panics() > 0, timed_out=self.timed_out,
            status=self.process.poll(), console=self.console(), qemu=self.qemu_said(),
            accelerator=self.settings["accelerator"], command=self.by_hand(),
            console_path=self.console_path, where=where, allow=self.allow,
            seconds=time.monotonic() - self.begun))


def play(make, drive, *, expect_panic=None, tries=3):
    """Start a guest, drive it, judge it; once more if TCG itself misbehaved.

    make() returns a Guest, drive(guest) raises when something is wrong. With
    expect_panic, the panic may come while it drives or afterwards.
    """
    for attempt in range(1, tries + 1):
        with make() as guest:
            verdict = ("pass", "")
            try:
                guest.wait_ready()
                drive(guest)
            except GuestPanic:
                pass			# the panic itself is judged
            except (GuestGone, GuestTimeout):
                verdict = None
            except LabError as error:
                verdict = ("fail", str(error))
            outcome = _end(guest, verdict, expect_panic)
        if not outcome.retry or attempt == tries:
            return outcome
        say(f"{guest.name}: {outcome.reason}; attempt {attempt + 1} of {tries}")
    raise AssertionError("tries has to be at least 1")


def _end(guest, verdict, expect_panic):
    if verdict is None:		# hung or gone: nothing to wait for any more
        return guest.judge(None, expect_panic)
    if verdict[0] == "fail":
        return guest.finish(*verdict)
    return guest.finish(*verdict, expect_panic=expect_panic)
