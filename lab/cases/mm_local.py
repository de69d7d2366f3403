# SPDX-License-Identifier: GPL-2.0
"""The mm-local region: the LDT, mappings beside it, and what the page tables of user mode show.

Each with page table isolation on and off, with four levels of page tables and five. The
programs: the kernel's own ldt_gdt and sigreturn, as they are, and lab/guest/x86/ldt.c, for which
lab/modules/mmlocal.c maps pages in the region and looks at the tables.
"""

import functools
import re

from lab import build, qemu, selftests, tap
from lab.cases import Failure, case
from lab.cases.unit import take, whole
from lab.cases.witness import agrees, check
from lab.common import ROOT
from lab.initramfs import STRICT, compiled

KERNEL = "x86-mermap"
SUITE = "mm-local"
OWN = ROOT / "lab" / "guest" / "x86" / "ldt.c"
# What the module calls and the kernel does not export.
SYMBOLS = ("mermap_mm_prepare", "mermap_get", "mermap_put", "mermap_sync",
           "__p4d_alloc", "__pud_alloc", "__pmd_alloc", "__pte_alloc", "init_mm")
# (page table isolation, levels)
MACHINES = [(pti, levels) for pti in ("on", "off") for levels in (4, 5)]
# Scenarios of the program.
SCENARIOS = (
    "both-l", "both-r", "both-lr", "both-rl", "both-lrl",
    "both-m", "both-lm", "both-ml", "both-lml",
    "sixteen", "sixteen-m",
    "forks-l", "forks-r", "forks-lr", "forks-rl", "forks-m", "forks-lm", "forks-ml",
    "dumps",
)
# Allocations that fail in turn: the fewest that a run has to meet, without and with isolation.
# Two are the LDT's own; isolation adds those of the tables that are not there yet.
FAULTS = {"faults": (2, 6), "faults-r": (2, 5), "faults-m": (2, 5), "forkfaults-l": (20, 20),
          "forkfaults-lr": (20, 20), "forkfaults-lm": (20, 20), "race": (10, 30)}
ALL_FAIL = """
cd /sys/kernel/debug
for kind in failslab fail_page_alloc; do
	echo N > $kind/ignore-gfp-wait && echo 0 > $kind/verbose || exit 1
done
echo 0 > fail_page_alloc/min-order
"""
# ldt_gdt and sigreturn go on after what they could not do.
NOT_DONE = re.compile(r"^\[(FAIL|SKIP)\].*$", re.M)


def kernels_programs(names, arch="x86_64"):
    """Programs of the kernel's selftests/x86, as they are: {path in the guest: path here}."""
    tests = selftests.source() if names else None
    return {f"/lab/{name}": compiled(tests / "x86" / f"{name}.c",
                                     ("-no-pie", "-std=gnu99", f"-I{tests}"), arch)
            for name in names}


def files():
    """What a guest is given."""
    return {**kernels_programs(("ldt_gdt", "sigreturn")),
            "/lab/ldt": compiled(OWN, ("-no-pie", *STRICT)),
            "/mmlocal.ko": build.module(build.built(KERNEL), "mmlocal", SYMBOLS)}


@functools.cache
def kernel(levels):
    """The kernel of as many levels: only a decompressor turns the fifth on."""
    built = build.built(KERNEL)
    return build.compressed(built) if levels == 5 else built


def as_asked(guest, pti, levels):
    """The machine is the one that the case is about."""
    flags = set(guest.must("grep -m1 ^flags /proc/cpuinfo").split())
    check(("pti" in flags) == (pti == "on"), f"page table isolation is not {pti}")
    check(("la57" in flags) == (levels == 5), f"the kernel does not use {levels} levels")


def play(note, drive, pti, levels, append="", allow=()):
    outcome = qemu.play(
        lambda: qemu.Guest(kernel(levels), f"page_consistency=on pti={pti} {append}", smp=2,
                           name=f"mm-local-{pti}-{levels}", quiet=True, files=files(),
                           allow=allow), drive)
    if not outcome.good:
        raise Failure(str(outcome))


# --- the tests of the kernel's suite ----------------------------------------------

def suite(note, pti, levels):
    found = []

    def drive(guest):
        as_asked(guest, pti, levels)
        found.append(tap.parse(guest.console()))
        agrees(guest, note)

    try:
        play(note, drive, pti, levels,
             f"kunit.autorun=1 kunit.enable=1 kunit.filter_glob={SUITE}")
    finally:
        if found:
            take(note, found[-1])
    whole(found[-1])
    if SUITE not in [test.name for test in found[-1].tests]:
        raise Failure(f"the suite {SUITE} did not run")


# --- programs ----------------------------------------------------------------------

def scenario(guest, note, name, pti):
    """One scenario of lab/guest/x86/ldt.c."""
    word = "pti" if pti == "on" else "nopti"
    status, text = guest.sh(f"/lab/ldt {name} {word}", 120)
    check(not status, f"ldt {name} {word}: {text.strip() or f'ended with {status}'}\n"
          + guest.sh("dmesg | grep mmlocal: | tail -3")[1])
    return text.strip()


def kernels_own(guest, note, name, least):
    """ldt_gdt or sigreturn, with nothing failed and nothing left out."""
    status, text = guest.sh(f"/lab/{name}", 180)
    missed = NOT_DONE.findall(text)
    good = text.count("[OK]")
    lines = [line for line in text.splitlines() if line.startswith(("[FAIL]", "[SKIP]"))]
    check(not status and not missed and good >= least,
          f"{name} ended with {status}, {good} of at least {least} checks good\n"
          + "\n".join(lines[:8]))
    note(f"{name}: {good} checks good")


def programs(note, pti, levels):
    def drive(guest):
        as_asked(guest, pti, levels)
        guest.must("insmod /mmlocal.ko")
        for name in SCENARIOS:
            scenario(guest, note, name, pti)
        note(f"scenarios: {', '.join(SCENARIOS)}")
        kernels_own(guest, note, "ldt_gdt", 60)
        kernels_own(guest, note, "sigreturn", 18)
        agrees(guest, note)

    play(note, drive, pti, levels)


def faults(note, pti, levels):
    def drive(guest):
        as_asked(guest, pti, levels)
        guest.must("insmod /mmlocal.ko")
        guest.must(ALL_FAIL)
        for name, least in FAULTS.items():
            text = scenario(guest, note, name, pti)
            said = re.search(r"^(\d+) of (\d+) allocations made it fail$", text, re.M)
            check(said and int(said[1]) >= least[pti == "on"],
                  f"{name}: {text}; at least {least[pti == 'on']} failures expected")
            note(f"{name}: {text}")
        agrees(guest, note)

    play(note, drive, pti, levels)


def _register():
    for what, title in ((suite, "KUnit"), (programs, "LDT and region"),
                        (faults, "every allocation of an LDT fails once")):
        for pti, levels in MACHINES:
            @case([KERNEL], f"{title}, pti={pti}, {levels} levels")
            def run_one(note, what=what, pti=pti, levels=levels):
                what(note, pti, levels)


_register()
