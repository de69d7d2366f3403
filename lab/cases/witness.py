# SPDX-License-Identifier: GPL-2.0
"""What cases do and look at in a guest: move pages about, read counters, compare the record
with the free lists. No cases of its own.
"""

import re

from lab import build, qemu
from lab.cases import Failure
from lab.common import LabError

FILES = "/sys/kernel/mm/page_consistency"

# Per CPU: processes, page cache, page tables; every page goes out and comes back.
CHURN = """
for cpu in $(seq $(nproc)); do (
	for n in $(seq 12); do /bin/true; done
	for n in 1 2; do
		dd if=/dev/zero of=/tmp/churn$cpu bs=1M count=16 2>/dev/null && rm /tmp/churn$cpu
	done
) & done
wait
echo 3 > /proc/sys/vm/drop_caches
echo 1 > /proc/sys/vm/compact_memory
"""
CHURNED = 32 << 10		# KiB per CPU that it takes out at least


def check(good, text):
    """For drive functions, whose errors qemu.play() turns into a judged end."""
    if not good:
        raise LabError(text)


def value(guest, path):
    return guest.must(f"cat {path}").strip()


def number(guest, name):
    return int(value(guest, f"{FILES}/{name}"))


def vmstat(guest):
    return {name: int(count) for name, count in
            (line.split() for line in guest.must("cat /proc/vmstat").splitlines())}


def meminfo(guest, name):
    found = re.search(rf"^{name}: +(\d+)", guest.must("cat /proc/meminfo"), re.M)
    check(found, f"/proc/meminfo has no {name}")
    return int(found[1])


def rises(guest, before, **least):
    """Each counter of vmstat has risen by at least so much; returns them as text."""
    after = vmstat(guest)
    for name, wish in least.items():
        check(after[name] - before[name] >= wish,
              f"the workload did not do what it should: {name} rose by "
              f"{after[name] - before[name]}, at least {wish} expected")
    return ", ".join(f"{name} +{after[name] - before[name]}" for name in least)


def churn(guest, note):
    before, cpus = vmstat(guest), int(guest.must("nproc"))
    page = int(guest.must("grep -m1 KernelPageSize /proc/self/smaps").split()[1])	# KiB
    guest.must(CHURN, 60)
    note(rises(guest, before, pgfree=CHURNED // page * cpus))


def verify(guest):
    """One verification; returns (sections, pages, blocks, mismatches)."""
    guest.must(f"echo 1 > {FILES}/verify", 60)
    return tuple(number(guest, f"verified_{what}")
                 for what in ("sections", "pages", "blocks", "mismatches"))


def agrees(guest, note, policy="on"):
    """The end of each case: nothing was reported, and record and free lists agree."""
    check(value(guest, f"{FILES}/policy") == policy, f"the checker is not '{policy}'")
    check(number(guest, "violations") == 0, f"{number(guest, 'violations')} violations")
    sections, pages, blocks, mismatches = verify(guest)
    check(mismatches == 0, f"verification found {mismatches} mismatches")
    check(sections and sections == number(guest, "sections"),
          f"{sections} of {number(guest, 'sections')} sections were verified")
    check(pages and blocks, "verification looked at no page or at no free block")
    check(number(guest, "violations") == 0, "a violation during verification")
    note(f"verified {pages} pages in {sections} sections and {blocks} free blocks")


def silent(note, drive=None, append="", *, config="x86", policy="on", **machine):
    """Boot, move pages about, do what the case is about, and see that record and lists agree."""
    def whole(guest):
        churn(guest, note)
        if drive:
            drive(guest)
        agrees(guest, note, policy.partition(",")[0])

    play(whole, f"page_consistency={policy} {append}", config=config, **machine)


def play(drive, append, *, config="x86", kernel=None, **machine):
    machine.setdefault("name", "silent")
    kernel = kernel or build.built(config)
    outcome = qemu.play(lambda: qemu.Guest(kernel, append, quiet=True, **machine), drive)
    if not outcome.good:
        raise Failure(str(outcome))


def static_key(guest, name):
    """Is a static key of the guest enabled? It begins with a counter."""
    return guest.memory.read32(guest.kernel.address(name) - 0xffffffff80000000) != 0


def shows(pattern, command="dmesg"):
    """A drive that looks for something in what a command says."""
    def drive(guest):
        check(re.search(pattern, guest.must(command), re.M), f"{command} shows no '{pattern}'")
    return drive
