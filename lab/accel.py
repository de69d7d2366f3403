# SPDX-License-Identifier: GPL-2.0
"""Which accelerator QEMU gets, and how much longer everything takes with it."""

import os
import subprocess
import time

from lab import child, machines
from lab.common import BUILD, LOGS, say, scaled, show

ANSWER = BUILD / "accel"
PROBE = 15			# seconds a kernel may take to say its first word under KVM
FACTORS = {"kvm": 1.0, "tcg": 6.0}


def scale(accelerator):
    """The factor of every timeout."""
    return scaled(FACTORS[accelerator])


def choose(kernel):
    """'kvm' where a guest was seen to boot with it, else 'tcg'; asked once."""
    wish = os.environ.get("LAB_ACCEL")
    if wish in FACTORS and machines.of(kernel.arch).native:
        return wish
    if not machines.of(kernel.arch).native:
        return "tcg"
    if not ANSWER.exists():
        answer, why = _probe(kernel)
        say(f"accelerator: {answer} ({why})" + ("" if answer == "kvm" else
            f"; timeouts are {FACTORS['tcg']:.0f} times longer. To ask again: rm {show(ANSWER)}"))
        ANSWER.parent.mkdir(parents=True, exist_ok=True)
        ANSWER.write_text(f"{answer}\n{why}\n")
    answer = ANSWER.read_text().split("\n")[0]
    return answer if answer in FACTORS else "tcg"


def _probe(kernel):
    """/dev/kvm may exist, open and still run nothing: believe only a booting kernel."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg", "/dev/kvm cannot be opened"
    console = LOGS / "accel-probe.log"
    console.parent.mkdir(parents=True, exist_ok=True)
    console.write_text("")
    argv = [machines.of(kernel.arch).qemu, "-nodefaults", "-display", "none", "-accel", "kvm",
            "-m", "256M", "-kernel", kernel.image, "-no-reboot", "-serial", f"file:{console}",
            "-append", "console=ttyS0 panic=-1"]
    with child.running(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as qemu:
        deadline = time.monotonic() + PROBE
        while time.monotonic() < deadline:
            # The panic for want of a root file system is the end of a good boot.
            if "Kernel panic" in console.read_text(errors="replace"):
                return "kvm", "a kernel was seen to boot with it"
            if qemu.poll() is not None:
                said = qemu.stdout.read().decode(errors="replace").strip().splitlines()
                return "tcg", f"KVM does not work here: {said[-1] if said else 'QEMU ended'}"
            time.sleep(0.1)
    return "tcg", f"/dev/kvm opens but no kernel booted with it in {PROBE} s"
