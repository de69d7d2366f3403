# SPDX-License-Identifier: GPL-2.0
"""Run KUnit, under user mode Linux or in a QEMU guest, and read its results."""

import subprocess
import time

from lab import child, splat, tap
from lab.common import LOGS, LabError, quoted, say, scaled, show

LIMIT = 120		# seconds for all suites of a UML run


class Run:
    """Results of one run, and the log they came from."""

    def __init__(self, results, log, seconds, scan=None, trouble=""):
        self.results, self.log, self.seconds = results, log, seconds
        self.scan, self.trouble = scan, trouble

    @property
    def good(self):
        return self.results.good and not self.trouble and (not self.scan or self.scan.clean)

    def __str__(self):
        lines = [f"{self.results} in {self.seconds:.1f} s"]
        if self.trouble:
            lines.append(f"  {self.trouble}")
        if self.scan and not self.scan.clean:
            lines.append(f"  splats in the log:\n{self.scan}")
        return "\n".join([*lines, f"  log: {show(self.log)}"])


def _arguments(glob, append):
    words = ["kunit.autorun=1", "kunit.enable=1"]
    if glob:
        words.append(f"kunit.filter_glob={glob}")
    return [*words, *append.split()]


def _log(name):
    LOGS.mkdir(parents=True, exist_ok=True)
    return LOGS / f"{name}.log"


def kunit_uml(kernel, glob="", append="", *, cpus=2, memory="512M", limit=LIMIT, allow=(),
              name=""):
    """Run the suites that match glob ('suite.test' with wildcards) under UML.

    Without seccomp= UML refuses a second CPU. stderr= shows what comes before
    the console. kunit_shutdown= ends it before it would look for an init.
    name keeps the log of one run from that of another beside it.
    """
    if kernel.arch != "um":
        raise LabError(f"kernel {kernel.name} is not user mode Linux")
    argv = [kernel.image, f"mem={memory}", "seccomp=on", f"ncpus={cpus}",
            "stderr=1", "panic=-1", "kunit_shutdown=poweroff", *_arguments(glob, append)]
    parts = ["kunit", kernel.name, "base" if kernel.base else "", name]
    path = _log("-".join(part for part in parts if part))
    say(f"$ {quoted(argv)}   # log: {show(path)}")
    begun, trouble, limit = time.monotonic(), "", scaled(limit)
    with open(path, "w") as log, child.running(argv, stdout=log,
                                               stderr=subprocess.STDOUT) as uml:
        try:
            uml.wait(limit)
        except subprocess.TimeoutExpired:
            trouble = f"UML did not end within {limit:.0f} s"
    text = path.read_text(errors="replace")
    allow = [*splat.allowed(), *allow]
    if not trouble and uml.returncode:
        trouble = f"UML ended with {uml.returncode}"
    return Run(tap.parse(text), path, time.monotonic() - begun,
               splat.scan(text, allow), trouble)


def kunit_qemu(kernel, glob="", append="", *, allow=(), timeout=60, **machine):
    """Run the suites that match glob at boot of a QEMU guest; machine is Guest's.

    The guest goes on to its agent afterwards, so a suite that leaves a broken
    kernel behind is seen as well.
    """
    from lab.qemu import Guest, GuestGone, GuestPanic, GuestTimeout
    trouble = ""
    with Guest(kernel, " ".join([*_arguments(glob, ""), append]), name="kunit",
               allow=allow, **machine) as guest:
        try:
            guest.wait_ready(timeout)
        except (GuestPanic, GuestGone, GuestTimeout):
            pass
        results = tap.parse(guest.console())
        outcome = guest.finish("pass" if results.good else "fail", "see the KTAP results") \
            if guest.control.boots else guest.judge()
        if not outcome.good and results.good:
            trouble = str(outcome)
        return Run(results, guest.console_path, outcome.seconds, None, trouble)
