# SPDX-License-Identifier: GPL-2.0
"""The pure parts of the product, built from the real files and run in user space.

python3 -m lab.userspace [bench | PROGRAM...]	(PROGRAM: exhaustive unit table race foreign)

KTAP: one line for each program and way to build it; the tests inside are its subtests.
LAB_SOURCE names another tree to take the headers from, a mutated one for instance.
"""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab.common import BUILD, ROOT, LabError, jobs, main, quoted, say, show
from lab.ktap import STEP, comment

HERE = ROOT / "lab" / "userspace"
OUT = BUILD / "userspace"
SOURCE = Path(os.environ.get("LAB_SOURCE", ROOT)).resolve()

# The kernel, too, is built without strict aliasing; unused parameters are legal there.
FLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror",
         "-fno-strict-aliasing"]
ADDRESS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
THREAD = ["-fsanitize=thread"]
# Real 32-bit code without a 32-bit C library.
BITS32 = ["-m32", "-msse2", "-DFREESTANDING", "-ffreestanding", "-nostdlib", "-static", "-fno-pie",
          "-no-pie", "-fno-stack-protector"]
NARROW = ["-DCONFIG_X86=1"]		# runs of 8, 16, 32 bits are exchanged as a unit
BIG = ["-DCONFIG_CPU_BIG_ENDIAN=1"]

BUILD_SECONDS = 120
RUN_SECONDS = 120


@dataclass
class Program:
    """One way to build and run one test program."""

    source: str
    name: str
    flags: list
    args: tuple = ()
    compiler: str = "gcc"
    runner: tuple = ()		# what runs it, where this machine does not

    @property
    def bits32(self):
        return "-m32" in self.flags and not self.runner

    @property
    def binary(self):
        return OUT / self.name.replace(" ", "-")

    def command(self):
        return [self.compiler, *FLAGS, *self.flags, "-I", HERE / "include", "-I", HERE,
                "-I", SOURCE / "include", "-I", SOURCE / "mm" / "page_consistency",
                HERE / f"{self.source}.c", "-o", self.binary]


def exhaustive():
    return [
        Program("exhaustive", "exhaustive 64 narrow gcc asan", ADDRESS + NARROW),
        Program("exhaustive", "exhaustive 64 masked gcc asan", ADDRESS),
        Program("exhaustive", "exhaustive 64 narrow clang asan", ADDRESS + NARROW,
                compiler="clang"),
        Program("exhaustive", "exhaustive 64 narrow gcc", NARROW),
        Program("exhaustive", "exhaustive 32 narrow gcc", BITS32 + NARROW),
        Program("exhaustive", "exhaustive 32 masked gcc", BITS32),
    ]


def unit():
    return [
        Program("unit", "unit 64 little endian gcc asan", ADDRESS),
        Program("unit", "unit 64 big endian gcc asan", ADDRESS + BIG),
        Program("unit", "unit 64 big endian clang asan", ADDRESS + BIG, compiler="clang"),
        Program("unit", "unit 32 little endian gcc", BITS32),
        Program("unit", "unit 32 big endian gcc", BITS32 + BIG),
    ]


def geometries():
    """Section size as a shift (None: no SPARSEMEM) and page size as a shift."""
    for page in (12, 14, 16):
        for section in (None, *range(24, 31)):
            yield section, page


def geometry_flags(section, page):
    sparse = [] if section is None else ["-DCONFIG_SPARSEMEM=1", f"-DSECTION_SIZE_BITS={section}"]
    return [f"-DPAGE_SHIFT={page}", *sparse]


def table():
    programs = []
    for section, page in geometries():
        what = "flat" if section is None else f"2^{section}"
        flags = geometry_flags(section, page)
        programs.append(Program("table", f"table 64 {what} page 2^{page} gcc asan",
                                ADDRESS + flags))
        if section in (None, 26, 28) and page == 12:
            programs.append(Program("table", f"table 64 {what} page 2^{page} clang asan",
                                    ADDRESS + flags, compiler="clang"))
            programs.append(Program("table", f"table 32 {what} page 2^{page} gcc",
                                    BITS32 + flags))
    return programs


def race():
    # Per pair of orders: 6 x 2 x 250,000 = 3,000,000 races over one run, natively.
    return [
        Program("race", "race narrow gcc tsan", THREAD + NARROW + ["-pthread"], ("4000",)),
        Program("race", "race masked clang tsan", THREAD + ["-pthread"], ("4000",), "clang"),
        Program("race", "race narrow gcc", NARROW + ["-pthread"], ("250000",)),
        Program("race", "race masked gcc", ["-pthread"], ("50000",)),
    ]


def foreign():
    """For make matrix: real big-endian and real 32-bit code, under qemu-user."""
    # No big-endian kernel exchanges narrow units today; the index correction must hold if one does.
    kinds = [("unit", "unit", []), ("exhaustive", "exhaustive masked", []),
             ("exhaustive", "exhaustive narrow", NARROW),
             ("table", "table flat", geometry_flags(None, 12)),
             ("table", "table 2^28", geometry_flags(28, 12)),
             ("race", "race", ["-pthread"])]
    return [Program(source, f"{what} {target}", ["-static", *flags, *more],
                    ("4000",) if source == "race" else (), f"{triplet}-linux-gnu-gcc", (runner,))
            for target, triplet, runner, flags in (("s390x", "s390x", "qemu-s390x", BIG),
                                                   ("i386", "i686", "qemu-i386", []))
            for source, what, more in kinds]


SUITES = {"exhaustive": exhaustive, "unit": unit, "table": table, "race": race,
          "foreign": foreign}


def capture(argv, seconds):
    """Status and everything that was said; a program that hangs has failed."""
    try:
        done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=seconds, check=False)
    except FileNotFoundError as error:
        return 127, str(error)
    except subprocess.TimeoutExpired:
        return 124, f"not done after {seconds} s"
    return done.returncode, done.stdout


def no_32_bit():
    """Why 32-bit programs cannot be built or run here; empty if they can."""
    probe = OUT / "probe32"
    source = OUT / "probe32.c"
    source.write_text('void _start(void)\n{\n\t'
                      '__asm__ volatile("int $0x80" : : "a"(1), "b"(42));\n}\n')
    status, _ = capture(["gcc", *BITS32, source, "-o", probe], BUILD_SECONDS)
    if status:
        return "gcc cannot build 32-bit programs"
    try:
        status, _ = capture([probe], 10)
    except OSError:
        status = None
    return "" if status == 42 else "32-bit programs do not run here"


def build(program):
    OUT.mkdir(parents=True, exist_ok=True)
    program.binary.unlink(missing_ok=True)
    return capture(program.command(), BUILD_SECONDS)


def broken(output):
    """The subtests that failed, by name."""
    return [line.split(" - ", 1)[1] for line in output.splitlines()
            if line.startswith("not ok ") and " - " in line]


def say_inside(program, output):
    """What a program said, as the subtests of its line: it knows its plan at the end only."""
    lines = output.splitlines()
    plan = [line for line in lines if line.startswith("1..")]
    for line in ["KTAP version 1", f"# Subtest: {program.name}", *plan,
                 *(line for line in lines if line not in plan)]:
        say(STEP + line)


def judge(number, program, built):
    """Run one built program and say its line; the names of what failed."""
    status, output = built
    if status:
        for line in comment(f"$ {quoted(program.command())}\n{output}"):
            say(line)
        say(f"not ok {number} - {program.name} # does not build")
        return [program.name]
    status, output = capture([*program.runner, program.binary, *program.args], RUN_SECONDS)
    say_inside(program, output)
    bad = broken(output)
    if not status and not bad and "\n1.." in output:
        say(f"ok {number} - {program.name}")
        return []
    say(f"not ok {number} - {program.name} # status {status}")
    return [f"{program.name}: {test}" for test in bad] or [f"{program.name}: status {status}"]


def select(which):
    if which is None:
        which = [name for name in SUITES if name != "foreign"]
    elif isinstance(which, str):
        which = [which]
    unknown = [name for name in which if name not in SUITES]
    if unknown:
        raise LabError(f"no such program: {' '.join(unknown)}; there are {' '.join(SUITES)}")
    return [program for name in which for program in SUITES[name]()]


def run(which=None):
    """Build and run; the names of the programs that passed and of the tests that failed."""
    programs = select(which)
    OUT.mkdir(parents=True, exist_ok=True)
    skip = no_32_bit() if any(p.bits32 for p in programs) else ""
    passed, failed = [], []
    say(f"# headers from {show(SOURCE)}, binaries in {show(OUT)}")
    say("KTAP version 1")
    say(f"1..{len(programs)}")
    with ThreadPoolExecutor(max_workers=min(2, jobs())) as pool:
        # All builds end before the first run: a race needs its CPUs for itself.
        builds = list(pool.map(lambda p: (0, "") if skip and p.bits32 else build(p), programs))
    for number, (program, built) in enumerate(zip(programs, builds), 1):
        if skip and program.bits32:
            say(f"ok {number} - {program.name} # SKIP {skip}")
            continue
        bad = judge(number, program, built)
        failed += bad
        if not bad:
            passed.append(program.name)
    return passed, failed


def bench():
    """Nanoseconds of set + clear and of its locked operations alone, by order."""
    program = Program("bench", "bench", NARROW)
    status, output = build(program)
    if not status:
        status, output = capture([program.binary], RUN_SECONDS)
    if status:
        raise LabError(f"failed ({status}): {quoted(program.command())}\n{output}")
    rows = []
    for line in output.splitlines():
        order, ns, bare = line.split("\t")
        rows.append({"order": int(order), "ns": float(ns), "bare_ns": float(bare),
                     "ratio": round(float(ns) / float(bare), 3)})
    return rows


def say_bench():
    say("order  set+clear  bare operations  ratio")
    for row in bench():
        say(f"{row['order']:5}  {row['ns']:6.1f} ns  {row['bare_ns']:12.1f} ns  {row['ratio']:5.2f}")


def command(argv):
    if argv == ["bench"]:
        return say_bench()
    passed, failed = run(argv or None)
    for name in failed:
        say(f"# failed: {name}")
    say(f"{len(passed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    main(command)
