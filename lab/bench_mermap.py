# SPDX-License-Identifier: GPL-2.0
"""What the mermap costs, beside what else maps pages for a moment: a section of make bench.

	python3 -m lab.bench_mermap

Instructions for each pair of map and unmap, as in lab/bench.py. They hide what a write to
CR3 and the refill of a TLB cost, so flushes and interrupts are counted as well.
"""

import json
import re
from dataclasses import dataclass

from lab import build, initramfs
from lab.common import LOGS, ROOT, LabError, main as enter, say, show

CONFIG = "x86-bench-mermap"
MODULE = "mermapbench"
# What the kernel does not export.
SYMBOLS = ("mermap_mm_prepare", "mermap_get", "mermap_get_reserved", "mermap_put", "mermap_sync",
           "mm_alloc", "set_direct_map_valid_noflush", "use_temporary_mm", "unuse_temporary_mm",
           "flush_tlb_mm_range", "flush_tlb_kernel_range", "get_locked_pte")
BUDGETS = {1: 200, 8: 300, 64: 900}	# instructions for each pair, by pages
PREPARE = 8000				# for each possible CPU
PEERS = ("mermap", "vm_map_ram", "vmap", "direct_map", "temporary_mm")
SINGLE = ("reserved", "get_put_sync")
AREA = 127				# pages between two local flushes
LIVES = ROOT / "lab" / "guest" / "x86" / "lives.c"
# Of the last, two: with page table isolation and without. The module knows the first three.
LIVED = ("exit", "exit_prepared", "exec", "exec_prepared", "fork", "fork_ldt")
_LIFE = re.compile(r"^lives: (\w+) ns=(\d+)$", re.M)
_LINE = re.compile(r"mermapbench: (\w+) pages=(\d+) loops=(\d+) cycles=(\d+)")
_EVENTS = re.compile(r"mermapbench: (\w+) pages=(\d+) .* pairs=(\d+) interrupts=(\d+) "
                     r"rewinds=(\d+) syncs=(\d+)")
INTERRUPTS = 0.01			# for each pair; what else the kernel does may cause one
COUNTERS = ("mermap_get", "mermap_fail", "mermap_rewind", "mermap_sync")


def rows(text):
    """{(what, pages): instructions for each pair}; all that was to be measured is there."""
    found = {(what, int(pages)): int(cycles) / int(loops)
             for what, pages, loops, cycles in _LINE.findall(text)}
    missing = [f"{what} {pages}" for what in PEERS for pages in BUDGETS
               if (what, pages) not in found]
    missing += [f"{what} 1" for what in SINGLE if (what, 1) not in found]
    if missing or not any(what == "prepare" for what, _ in found):
        raise LabError(f"{MODULE} did not measure: {', '.join(missing) or 'prepare'}; what it "
                       f"said:\n{text}")
    return found


@dataclass
class Events:
    """What happened beside the pairs of one measurement."""

    pairs: int
    interrupts: int		# of other CPUs
    rewinds: int		# each one flush of this CPU's TLB
    syncs: int

    def per_million(self, name):
        return round(getattr(self, name) * 10**6 / self.pairs)


def events(text):
    """{(what, pages): Events}."""
    return {(what, int(pages)): Events(*map(int, rest))
            for what, pages, *rest in _EVENTS.findall(text)}


def budgets(found, beside, make):
    """The budgets, each made by make(name, value, limit, unit)."""
    made = [make(f"mermap, {pages} pages", round(found["mermap", pages], 1), limit,
                 "instructions") for pages, limit in BUDGETS.items()]
    cpus, cost = next((cpus, cost) for (what, cpus), cost in found.items() if what == "prepare")
    ours = {key: value for key, value in beside.items() if key[0] in ("mermap", "reserved")}
    most = max(one.interrupts / one.pairs for one in ours.values())
    made.append(make("mermap, other CPUs interrupted by a pair", round(most, 4), INTERRUPTS, ""))
    # Not more than one flush for each area that is used up, and no sync.
    more = max(one.rewinds - one.pairs // (AREA // pages) + one.syncs
               for (what, pages), one in ours.items() if what == "mermap")
    made.append(make("mermap, flushes beyond one per area", more, 1, ""))
    return [*made, make("mermap_mm_prepare() per possible CPU", round(cost / cpus), PREPARE,
                        "instructions")]


def lived(text):
    """{what: instructions} of lab/guest/x86/lives.c."""
    return {what: int(cost) for what, cost in _LIFE.findall(text)}


def lives(boot, memory, module):
    """{kernel: {what: instructions}}: processes with an LDT and with a mermap."""
    program, found = initramfs.compiled(LIVES), {}
    for name, base, pti in (("patched", False, "on"), ("unpatched", True, "on"),
                            ("patched, pti=off", False, "off"),
                            ("unpatched, pti=off", True, "off")):
        def drive(guest, name=name, base=base):
            if not base:
                guest.must(f"insmod /{MODULE}.ko", 300)
            found[name] = lived(guest.must("/lab/lives" + ("" if base else " prepare"), 120))
        files = {"/lab/lives": program} | ({} if base else {f"/{MODULE}.ko": module})
        boot(build.build(CONFIG, base), f"pti={pti}", memory, f"lives-{name.split(',')[0]}", drive,
             files)
        missing = [what for what in LIVED[4 if base else 0:] if what not in found[name]]
        if missing:
            raise LabError(f"{LIVES.name} did not measure: {', '.join(missing)}")
    return found


def measure(boot, memory):
    """boot is lab.bench's; returns (rows, events, {counter: number}, lives)."""
    kernel = build.build(CONFIG)
    module, text, counts = build.module(kernel, MODULE, SYMBOLS), [], {}

    def drive(guest):
        guest.must(f"insmod /{MODULE}.ko", 300)
        text.append(guest.must(f"dmesg | grep {MODULE}:"))
        for name in COUNTERS:
            counts[name] = int(guest.must(f"grep '^{name} ' /proc/vmstat").split()[1])
    boot(kernel, "pti=off", memory, "mermap", drive, {f"/{MODULE}.ko": module})
    return rows(text[-1]), events(text[-1]), counts, lives(boot, memory, module)


def life_lines(found):
    yield f"{'life of a process':20}" + "".join(f"{what:>15}" for what in LIVED)
    for name, costs in found.items():
        yield f"  {name:18}" + "".join(f"{costs.get(what, '-'):>15}" for what in LIVED)


def lines(found, beside, counts):
    sizes = sorted({pages for what, pages in found if what == "mermap"})
    yield "instructions per pair of map and unmap, two CPUs"
    yield f"{'pages':14}" + "".join(f"{pages:>9}" for pages in sizes)
    for what in PEERS:
        yield f"  {what:12}" + "".join(f"{found[what, pages]:9.0f}" for pages in sizes)
    yield "interrupts of other CPUs per 10^6 pairs"
    for what in PEERS:
        yield f"  {what:12}" + "".join(f"{beside[what, pages].per_million('interrupts'):9}"
                                       for pages in sizes)
    yield "local flushes per 10^6 gets"
    yield f"  {'mermap':12}" + "".join(f"{beside['mermap', pages].per_million('rewinds'):9}"
                                       for pages in sizes)
    yield "one page: " + ", ".join(f"{what} {found[what, 1]:.0f}" for what in SINGLE)
    yield "  per 10^6: " + ", ".join(
        f"{what}: {beside[what, 1].per_million('interrupts')} interrupts, "
        f"{beside[what, 1].per_million('syncs')} syncs" for what in SINGLE)
    for (what, cpus), cost in found.items():
        if what in ("prepare", "bytes", "exit"):
            yield f"{what} of an mm: {cost:.0f} " + (f"for {cpus} possible CPUs" if cpus else
                                                    "if it was not prepared")
    gets = counts["mermap_get"]
    yield f"{counts['mermap_fail']} failures in all of {gets} gets"
    yield "vm_map_ram and vmap interrupt later, for many pairs; direct_map and syncs at once."


def main(_argv):
    from lab import bench		# here, because bench has this as a section
    found, beside, counts, processes = measure(bench.boot, bench.MEMORY)
    judged = budgets(found, beside, bench.Budget)
    for line in [*lines(found, beside, counts), *life_lines(processes), *map(str, judged)]:
        say(line)
    (LOGS / "bench-mermap.json").write_text(json.dumps(
        {"rows": [[*key, value] for key, value in found.items()],
                    "events": [[*key, vars(value)] for key, value in beside.items()],
                    "counters": counts, "lives": processes}, indent=1) + "\n")
    say(f"written: {show(LOGS / 'bench-mermap.json')}")
    return 0 if all(budget.good for budget in judged) else 1


if __name__ == "__main__":
    enter(main)
