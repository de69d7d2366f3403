# SPDX-License-Identifier: GPL-2.0
"""make bench: what the checker costs, beside the unpatched kernel and its peers.

Instructions come from QEMU with -icount shift=0,sleep=off: the guest's time stamp
counter then counts instructions, exactly and repeatably. Two CPUs, because with one
the kernel patches its lock prefixes away; one thread, because icount needs that.
Nanoseconds come from programs that run natively. Exit status 1 when a budget is
exceeded or something could not be measured.

A part of it: python3 -m lab.bench columns=off,on sizes=1, python3 -m lab.bench_mermap
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import bench_mermap, build, qemu, userspace
from lab.common import LOGS, LabError, locked, main as enter, say, show

NAME = "x86-bench"
ICOUNT = ["-icount", "shift=0,sleep=off"]
MEMORY = "2G"			# of the guests that count pairs
ROUNDS = 9			# the state of the per-CPU lists, and so some branches, differ
SIZES = (1, 4, 16)		# GiB of the guests that measure the record
PAGE = 4096
KEY_ON = "page_consistency=on"

# Which kernels there are: (configuration, of the unpatched tree?).
KERNELS = {"unpatched": (NAME, True), "patched": (NAME, False),
           "pcp": (f"{NAME}-pcp", False)}
# Column: (kernel, command line). The first is what all are compared with.
COLUMNS = {
    "unpatched": ("unpatched", ""),
    "off": ("patched", "page_consistency=off"),
    "on": ("patched", KEY_ON),
    "pcp off": ("pcp", "page_consistency=off"),
    "pcp on": ("pcp", KEY_ON),
    "page_table_check": ("unpatched", "page_table_check=on"),
    "page_owner": ("unpatched", "page_owner=on"),
    "check_pages": ("unpatched", "check_pages=1"),
    "alloc_profiling": ("unpatched", "sysctl.vm.mem_profiling=1"),
    "init_on_alloc": ("unpatched", "init_on_alloc=1"),
    "debug_pagealloc": ("unpatched", "debug_pagealloc=on"),
}
ORDERS = (0, 1, 3, 5, 9)
BULK_ORDERS = (0, 3, 5)
# Instructions per pair over the unpatched kernel: {column: {order: limit}}.
# Off, a hook is one NOP, which -icount counts: a pair passes two hooks, and two more where its
# block leaves and joins a buddy list.
PAIR_BUDGETS = {"on": {0: 95, 3: 150, 9: 330}, "off": {0: 2, 1: 2, 3: 2, 5: 4, 9: 2}}
NOTE_BELOW = 80			# at order 0, key on: worth a note
SECTION_BYTES = 64		# budgets of the record: these, two bits per page,
FIXED_PAGES = 4			# absent root, two lists of roots, a root that is partly used
BOOT_NS = 20_000		# per section
SELF_TEST_NS = 5_000_000
RATIO = 1.5			# natively: an aim, no budget
HOLES = 100_000			# free blocks of one page for the audit
PASSES = 5			# of the scrubber

_LINE = re.compile(r"pagebench: (\w+) order=(\d+) from=(\w+) loops=(\d+) "
                   r"cycles=(\d+) (\d+) ns=(\d+) (\d+)")
_STAMP = re.compile(r"^\[ *(\d+)\.(\d{6})\] (.*)")


@dataclass
class Row:
    """A cost per pair: the smallest of all batches; how far the rounds were apart."""

    what: str
    order: int
    source: str
    cost: float
    spread: float
    ns: float


@dataclass
class Budget:
    name: str
    value: float
    limit: float
    unit: str = ""

    @property
    def good(self):
        return self.value <= self.limit

    def __str__(self):
        verdict = "pass" if self.good else "OVER"
        return f"{verdict}  {self.name}: {self.value:g} of at most {self.limit:g} {self.unit}"


# -- reading ----------------------------------------------------------------

def rows(text):
    """{(what, order): Row} of the module's lines; every one of them has to be there."""
    lines = {}
    for what, order, source, loops, *numbers in _LINE.findall(text):
        lines.setdefault((what, int(order)), []).append(
            (int(numbers[0]) / int(loops), int(numbers[2]) / int(loops), source))
    missing = [f"{what} {order}" for what, order in wanted() if (what, order) not in lines]
    if missing:
        raise LabError(f"pagebench did not measure: {', '.join(missing)}; what it said:\n{text}")
    return {(what, order): Row(what, order, min(rounds)[2], round(min(rounds)[0], 1),
                               round(max(rounds)[0] - min(rounds)[0], 1),
                               round(min(r[1] for r in rounds), 1))
            for (what, order), rounds in lines.items()}


def wanted():
    return [*(("pair", order) for order in ORDERS), *(("bulk", order) for order in BULK_ORDERS)]


def init_ns(console):
    """Guest time from the line before page_consistency_init()'s to its own, in ns.

    The stamps are taken when a line is made and no console is there yet, so nothing
    but that function and what stands between the two prints is in it.
    """
    before = None
    for line in console.splitlines():
        stamp = _STAMP.match(line)
        if not stamp:
            continue
        now = int(stamp[1]) * 10**9 + int(stamp[2]) * 1000
        if stamp[3].startswith("page_consistency: ") and "sections" in stamp[3]:
            if before is None:
                break
            return now - before
        before = now
    raise LabError("the console has no line of page_consistency_init() with a time stamp and "
                   "one before it; is CONFIG_PRINTK_TIME on and the checker started?")


def init_slope(records):
    """ns per section: what a larger machine adds, so that the fixed part drops out."""
    small, large = records[0], records[-1]
    return (large["init_ns"] - small["init_ns"]) / (large["sections"] - small["sections"])


# -- judging ----------------------------------------------------------------

def pair_budgets(table):
    """Budgets of the columns that were measured."""
    return [Budget(f"{column}, order {order}",
                   round(table[column]["pair", order].cost
                         - table["unpatched"]["pair", order].cost, 1), limit, "instructions")
            for column, limits in PAIR_BUDGETS.items() if column in table
            for order, limit in limits.items()]


def memory_budget(record):
    allowed = record["pages"] // 4 + SECTION_BYTES * record["sections"] + FIXED_PAGES * PAGE
    return Budget(f"memory of the record, {record['gib']} GiB", record["bytes"], allowed, "bytes")


def record_budgets(records):
    budgets = [memory_budget(record) for record in records]
    if len(records) > 1:
        budgets.append(Budget(f"boot, per section ({records[0]['gib']} against "
                              f"{records[-1]['gib']} GiB)", round(init_slope(records)),
                              BOOT_NS, "ns"))
    # With all that happens around it, so the true figure is smaller.
    budgets += [Budget(f"boot, all of it / sections, {record['gib']} GiB",
                       round(record["init_ns"] / record["sections"]), BOOT_NS, "ns")
                for record in records]
    budgets += [Budget(f"self-test at boot, {record['gib']} GiB", record["self_test_ns"],
                       SELF_TEST_NS, "ns") for record in records]
    return budgets


# -- measuring --------------------------------------------------------------

def guest(kernel, append, memory, name, files=None):
    return qemu.Guest(kernel, append, 2, memory, name=f"bench-{name}", thread="single",
                      acceleration="tcg", extra=ICOUNT, files=files)


def boot(kernel, append, memory, name, drive, files=None):
    """Drive a counting guest; a guest that is not well has measured nothing."""
    outcome = qemu.play(lambda: guest(kernel, append, memory, name, files), drive)
    if not outcome.good:
        raise LabError(f"the guest of '{name}' is not usable: {outcome}")
    return outcome


def column(name, kernels, modules):
    kernel, append = COLUMNS[name]
    found = {}

    def drive(machine):
        for _ in range(ROUNDS):
            machine.must("insmod /pagebench.ko && rmmod pagebench", 120)
        found.update(rows(machine.must("dmesg | grep pagebench:")))
    boot(kernels[kernel], append, MEMORY, name, drive, {"/pagebench.ko": modules[kernel]})
    return found


def room_for(gib):
    """Guest memory is taken when touched: the memmap, and what boot and a shell need."""
    available = re.search(r"MemAvailable: +(\d+)", Path("/proc/meminfo").read_text())
    available = int(available[1]) >> 10
    need = gib * 1024 // 32 + 1024
    if available < need:
        raise LabError(f"a guest of {gib} GiB takes about {need} MiB here and {available} MiB are "
                       f"available; free some, or leave it out: python3 -m lab.bench sizes=1,4")


def scrub_ns(machine):
    """CPU time of a pass, the smallest of some."""
    parameter = "/sys/module/page_consistency/parameters/scrub_ms"
    place = "/sys/kernel/mm/page_consistency"
    found = machine.must(f"echo 1 > {parameter}; n=0; last=0; while [ $n -lt {PASSES} ]; do "
                         f"sleep 0.05; p=$(cat {place}/scrub_passes); [ $p != $last ] || continue; "
                         f"last=$p; n=$((n + 1)); cat {place}/scrub_ns; done; "
                         f"echo 0 > {parameter}", 120)
    return min(int(number) for number in found.split())


def audit(kernel, module):
    """What many free blocks add to a verification: {blocks, ns, per_100000}."""
    seen = []

    def look(machine):
        place = "/sys/kernel/mm/page_consistency"
        machine.must(f"echo 1 > {place}/verify", 120)
        seen.append([int(machine.must(f"cat {place}/verified_{name}"))
                     for name in ("blocks", "ns", "mismatches")])

    def drive(machine):
        look(machine)
        machine.must(f"insmod /holes.ko blocks={HOLES}", 120)
        look(machine)
    boot(kernel, KEY_ON, MEMORY, "audit", drive, {"/holes.ko": module})
    (few, before, _), (many, after, bad) = seen
    # Up to a third of them stays on the per-CPU lists.
    if many - few < HOLES * 0.5 or bad:
        raise LabError(f"the audit came by {many - few} more blocks instead of {HOLES}, with {bad} "
                       "mismatches")
    return {"blocks": many - few, "ns": after - before,
            "per_100000": round((after - before) / (many - few) * 100_000)}


def record(kernel, gib):
    """What the record costs on a machine of this size."""
    room_for(gib)
    values = {"gib": gib}

    def drive(machine):
        place = "/sys/kernel/mm/page_consistency"
        machine.must(f"echo 1 > {place}/verify", 120)
        for name in ("sections", "pages", "bytes", "distance", "verified_sections",
                     "verified_blocks", "verified_mismatches", "verified_ns"):
            values[name] = int(machine.must(f"cat {place}/{name}"))
        values["init_ns"] = init_ns(machine.console())
        values["self_test_ns"] = int(machine.must(
            f"sed -n 's/^self_test_ns //p' {place}/configuration"))
        values["scrub_ns"] = scrub_ns(machine)
    boot(kernel, KEY_ON, f"{gib}G", f"{gib}G", drive)
    if values["verified_sections"] != values["sections"] or values["verified_mismatches"]:
        raise LabError(f"the verification of {gib} GiB was not complete or not clean: {values}")
    return values


# -- saying -----------------------------------------------------------------

def cell(table, name, key):
    row, base = table[name][key], table["unpatched"][key]
    return f"{row.cost:.0f}" if name == "unpatched" else \
        f"{row.cost:.0f} ({row.cost - base.cost:+.0f})"


def say_table(table):
    yield "instructions per alloc_pages() + __free_pages(), in brackets against unpatched"
    for what, orders in (("pair", ORDERS), ("bulk", BULK_ORDERS)):
        yield ""
        yield f"{what:10}" + "".join(f"{name:>20}" for name in table)
        for order in orders:
            yield f"  order {order} " + "".join(f"{cell(table, name, (what, order)):>20}"
                                                for name in table)
    sources = {}
    for order in ORDERS:
        sources.setdefault(table["unpatched"]["pair", order].source, []).append(str(order))
    yield ""
    yield f"pair: one block out and in again, the smallest of {ROUNDS} rounds of 5 batches."
    yield "      Orders served by " + "; ".join(
        f"{'per-CPU lists' if where == 'pcp' else where + ' lists'}: {' '.join(orders)}"
        for where, orders in sources.items()) + "."
    yield ("      From the buddy lists: a block whose buddy is in use, nothing is split or "
           "merged.")
    yield ("bulk: 16 MiB out in blocks of that order, then in; refills, drains, splits and merges "
           "are in it.")
    apart = [f"{name} order {order}: {row.spread:g}" for name, found in table.items()
             for (what, order), row in found.items()
             if what == "pair" and row.spread > 1 and name in ("unpatched", *PAIR_BUDGETS)]
    if apart:
        yield f"rounds differ with the state of the lists by: {', '.join(apart)}"


def say_records(records):
    yield "GiB  sections      bytes  distance KiB  boot ns/section  verify ns/section"
    for r in records:
        yield (f"{r['gib']:3}  {r['sections']:8}  {r['bytes']:9}  {r['distance'] >> 10:12}  "
               f"{r['init_ns'] / r['sections']:15.0f}  "
               f"{r['verified_ns'] / r['verified_sections']:17.0f}")
    if len(records) > 1:
        yield f"boot by the difference of the sizes: {init_slope(records):.0f} ns per section"
    yield ("boot: guest time between the line before page_consistency_init()'s and its own; one "
           "ns is one instruction.")
    yield "verify: bitmaps and the audit of all free lists, over the number of sections."


def say_scrub(records, audited):
    yield ("scrubbing: " + ", ".join(f"{r['scrub_ns']} instructions a pass with {r['gib']} GiB"
                                     for r in records))
    if len(records) > 1:
        small, large = records[0], records[-1]
        each = (large["scrub_ns"] - small["scrub_ns"]) / (large["gib"] - small["gib"])
        yield f"by the difference of the sizes: {each:.0f} instructions for each GiB, mostly free"
    if audited:
        yield (f"audit: {audited['ns']} instructions for {audited['blocks']} more free blocks of "
               f"one page, {audited['per_100000']} for each 10^5")


def say_native(native):
    yield f"native: set + clear of dual_bitmap.h against its locked operations alone (aim {RATIO})"
    yield "order  set+clear ns  locked ns  ratio"
    for row in native:
        yield (f"{row['order']:5}  {row['ns']:12.1f}  {row['bare_ns']:9.1f}  {row['ratio']:5.2f}"
               + ("  above the aim" if row["ratio"] > RATIO else ""))
    yield UML


UML = ("native, whole pairs under user mode Linux: not measured. It has no jump labels (key off "
       "is a load\nand a branch there) and no SPARSEMEM: neither column would be the product's.")


def write(lines, table, records, native, budgets, audited):
    LOGS.mkdir(parents=True, exist_ok=True)
    (LOGS / "bench.txt").write_text("\n".join(lines) + "\n")
    (LOGS / "bench.json").write_text(json.dumps({
        "columns": {name: [asdict(row) for row in found.values()]
                    for name, found in table.items()},
        "command_lines": {name: COLUMNS[name][1] for name in table},
        "records": records, "audit": audited, "native": native,
        "budgets": [{**asdict(budget), "good": budget.good} for budget in budgets]},
        indent=1) + "\n")
    say(f"written: {show(LOGS / 'bench.txt')}, {show(LOGS / 'bench.json')}")


def conclude(table, records, native, audited=None):
    """Print and write everything; the exit status."""
    budgets = [*pair_budgets(table), *record_budgets(records)]
    over = [budget for budget in budgets if not budget.good]
    lines = [*say_table(table), "", *say_records(records), "",
             *say_scrub(records, audited), "", *say_native(native), "",
             "budgets", *(str(budget) for budget in budgets)]
    on = next((b for b in budgets if b.name == "on, order 0"), None)
    if on and on.value < NOTE_BELOW:
        lines.append(f"note: key on costs less than {NOTE_BELOW} instructions at order 0")
    lines.append(f"{len(budgets) - len(over)} within their budget, {len(over)} over")
    for line in lines:
        say(line)
    write(lines, table, records, native, budgets, audited)
    return 1 if over else 0


def choose(argv):
    """(columns, sizes) from 'columns=on,off' and 'sizes=1,4'."""
    words = dict(word.split("=", 1) for word in argv if "=" in word)
    unknown = [word for word in argv if word.split("=", 1)[0] not in ("columns", "sizes")
               or "=" not in word]
    names = [*words["columns"].split(",")] if "columns" in words else list(COLUMNS)
    unknown += [name for name in names if name not in COLUMNS]
    if unknown:
        raise LabError(f"make bench does not know: {' '.join(unknown)}; it takes "
                       f"columns={','.join(COLUMNS)} and sizes={','.join(map(str, SIZES))}")
    sizes = words["sizes"].split(",") if "sizes" in words else SIZES
    return (["unpatched", *(name for name in names if name != "unpatched")],
            sorted(int(size) for size in sizes if size))


def main(argv):
    names, sizes = choose(argv)
    with locked("bench"):		# two at a time would disturb the native figures
        wanted = {"patched", *(COLUMNS[name][0] for name in names)}
        kernels = {name: build.build(*what) for name, what in KERNELS.items() if name in wanted}
        modules = {name: build.module(kernel, "pagebench") for name, kernel in kernels.items()}
        table = {name: column(name, kernels, modules) for name in names}
        records = [record(kernels["patched"], gib) for gib in sizes]
        audited = audit(kernels["patched"], build.module(kernels["patched"], "holes"))
        status = conclude(table, records, userspace.bench(), audited)
        return status if argv else max(status, bench_mermap.main([]))


if __name__ == "__main__":
    enter(main)
