# SPDX-License-Identifier: GPL-2.0
"""The mermap: its KUnit suites on machines that differ in what its page tables look like,
and on one whose CPUs or whose memory come and go.

Each test is counted by itself. That a guest is what the case says is asked of the guest.
"""

import re

from lab import build, hotplug, qemu, tap
from lab.cases import Failure, case, mm_local
from lab.cases.unit import take, whole
from lab.cases.witness import check, vmstat
from lab.splat import Allow

PLAIN, DEBUG = "x86-mermap", "x86-debug"
SUITES = ("mermap", "mermap_tasks")
AUTORUN = "kunit.autorun=1 kunit.enable=1 kunit.filter_glob=mermap*"

PTI = "dmesg | grep -q 'page tables isolation: {}abled'"
LA57 = "grep -qw la57 /proc/cpuinfo"
# Offline and online again, all but the first, while others are at work. Some tests do not let
# CPUs go meanwhile, and some take CPUs offline themselves. Without a program of its own, whose
# page tables would be counted.
CPUS_COME_AND_GO = """
while :; do
	for cpu in /sys/devices/system/cpu/cpu[1-9]/online; do
		echo 0 2> /dev/null > $cpu
	done
	for cpu in /sys/devices/system/cpu/cpu[1-9]/online; do
		echo 1 2> /dev/null > $cpu
	done
done
"""
# What the console shows of that: in whose time, between the end of the test before and its own
# end, a CPU went offline that the test has not taken itself.
WENT_OR_TEST = re.compile(r"\] (?:.*: (CPU) \d+ is now offline|    (?:not )?ok \d+ (\w+))")
TAKES_A_CPU = "sync_knows_of_a_cpu_that_went_offline"
AWAY = 10			# tests, at least, also on a slow machine; 50 of 159 were seen
# KUnit's debugfs runs a suite again.
RUN_AGAIN = "echo 1 > /sys/kernel/debug/kunit/{}/run && cat /sys/kernel/debug/kunit/{}/results"


def results_of(note, results, suites):
    take(note, results)
    whole(results)
    missing = {*suites} - {test.name for test in results.tests}
    if missing:
        raise Failure(f"did not run: {', '.join(sorted(missing))}")


def used(guest):
    """The counters are those of the work that was done."""
    counts = vmstat(guest)
    for name in ("mermap_get", "mermap_fail", "mermap_rewind", "mermap_sync"):
        check(counts[name] > 0, f"{name} is 0 after the tests")
    return ", ".join(f"{name} {counts[name]}" for name in sorted(counts) if "mermap" in name)


def suites_pass(note, proof, append="", config=PLAIN, compressed=False, drive=None, **machine):
    found, suites = [], (*SUITES, "mermap_debug") if config == DEBUG else SUITES

    def make():
        found.clear()
        kernel = build.built(config)
        return qemu.Guest(build.compressed(kernel) if compressed else kernel,
                          f"{AUTORUN} page_consistency=on {append}", name="mermap", **machine)

    def play(guest):
        found.append(tap.parse(guest.console()))
        guest.must(proof)
        note(used(guest))
        if drive:
            drive(guest)

    outcome = qemu.play(make, play)
    if found:
        results_of(note, found[0], suites)
    if not outcome.good:
        raise Failure(str(outcome))


def again(guest, suite):
    text = guest.must(RUN_AGAIN.format(suite, suite), 120)
    check("not ok" not in text, f"{suite} fails when it runs again:\n{text}")
    check("ok " in text, f"{suite} did not run again:\n{text}")
    return text


# Name: (command line, what shows that it is so, arguments of suites_pass).
MACHINES = {
    "pti=on, 2 CPUs": ("pti=on", PTI.format("en"), {}),
    "pti=off, 2 CPUs": ("pti=off", "! " + PTI.format("en"), {}),
    "pti=on, 1 CPU": ("pti=on", "[ $(nproc) = 1 ]", {"smp": 1}),
    "pti=off, 8 CPUs": ("pti=off", "[ $(nproc) = 8 ]", {"smp": 8}),
    "pti=on, 5 levels": ("pti=on", f"{LA57} && {PTI.format('en')}", {"compressed": True}),
    "pti=off, 5 levels": ("pti=off", LA57, {"compressed": True}),
    "pti=on, 4 levels": ("pti=on no5lvl", f"! {LA57} && {PTI.format('en')}",
                         {"compressed": True}),
    "MERMAP_DEBUG, KASAN and lockdep, pti=on, 2 CPUs": ("pti=on", PTI.format("en"),
                                                        {"config": DEBUG}),
    "MERMAP_DEBUG, KASAN and lockdep, pti=off, 8 CPUs": ("pti=off", "[ $(nproc) = 8 ]",
                                                         {"config": DEBUG, "smp": 8}),
}


def _register():
    for name, (append, proof, more) in MACHINES.items():
        def run(note, append=append, proof=proof, more=more):
            suites_pass(note, proof, append, **more)
        run.__module__ = __name__
        case([more.get("config", PLAIN)], name)(run)


_register()


def tests_without_a_cpu(console):
    """How many tests have lost a CPU while, or just before, they ran."""
    count, gone = 0, False
    for went, test in WENT_OR_TEST.findall(console):
        if test:
            count += gone and test != TAKES_A_CPU
        gone = bool(went)
    return count


@case([DEBUG], "CPUs come and go meanwhile")
def cpus(note):
    def drive(guest):
        before = len(guest.console())
        job = guest.start(CPUS_COME_AND_GO)
        for _ in range(3):
            for suite in (*SUITES, "mermap_debug"):
                # None finds that there is one CPU only: the others come back.
                check("# SKIP" not in again(guest, suite), f"{suite} skips a test")
        check(job.status is None, f"CPUs did not come and go to the end: {job.text()[-300:]}")
        job.kill()
        away = tests_without_a_cpu(guest.console()[before:])
        check(away >= AWAY, f"in the time of {away} tests a CPU went offline, of at least {AWAY} "
                            "it is expected")
        note(f"in the time of {away} tests a CPU went offline; {used(guest)}")

    suites_pass(note, "true", config=DEBUG, drive=drive, smp=4)


@case([DEBUG], "memory that comes later is watched, too")
def memory(note):
    """GFP_KERNEL takes from zone Normal first, and below 4 GiB there is none."""
    def drive(guest):
        check("pgalloc_normal" not in vmstat(guest) or not vmstat(guest)["pgalloc_normal"],
              "there is a zone Normal already")
        dimm = hotplug.Dimm(guest)
        blocks = dimm.plug()
        for kind in ("online_movable", "offline", "online_kernel"):
            hotplug.set_state(guest, blocks, kind)
        again(guest, "mermap_debug")
        taken = vmstat(guest)["pgalloc_normal"]
        check(taken > 0, "no page of it was used")
        note(f"{taken} pages were taken from memory that has come")

    suites_pass(note, "true", config=DEBUG, drive=drive, extra=hotplug.ROOM)


# What a trace has to show of each: an address in the mm-local region of four levels, or none.
EVENTS = {"get": True, "rewind": True, "fail": False, "sync": False, "sync_skip": False}


@case([PLAIN], "the tracepoint shows each event")
def tracepoint(note):
    def drive(guest):
        guest.must("mkdir -p /sys/kernel/tracing && mount -t tracefs none /sys/kernel/tracing; "
                   "echo 1 > /sys/kernel/tracing/events/mermap/mermap/enable")
        guest.must(RUN_AGAIN.format("mermap", "mermap"), 120)
        text = guest.must("cat /sys/kernel/tracing/trace")
        for event, mapped in EVENTS.items():
            seen = re.findall(rf" mermap: {event} addr=(0x[0-9a-f]+) nr_pages=(\d+)", text)
            check(seen, f"no event '{event}' in the trace:\n{text[-1500:]}")
            wrong = [addr for addr, _ in seen
                     if mapped != (-240 << 39 <= int(addr, 16) - (1 << 64) < -239 << 39)]
            check(not wrong, f"event '{event}' with address {wrong[:3]}")
            note(f"{event}: {len(seen)}")

    suites_pass(note, "true", "no5lvl", drive=drive)


LEFT = "task returns to user mode with a mapping; mermap_put() is missing"
EXITED = "mm exits with a mapping; mermap_put() is missing"
LENT = "page allocated that is mapped or that TLBs may lead to: used while free"
LEAKS = [Allow("warning", r"cut here|WARNING: mm/mermap_debug\.c:\d+ at mermap_debug_report\+",
               "what the case provokes, and counts"),
         Allow("trace", "Call Trace:$", "the same"),
         Allow("bad-page", "page dumped because: (mm exits with a mapping|page allocated that is mapped)", "the same")]


def provoked(note, command, *texts):
    """A command of the module mmlocal; each text is said exactly once."""
    def drive(guest):
        guest.must("insmod /mmlocal.ko")
        guest.must(f"sh -c 'echo {command} > /sys/module/mmlocal/parameters/do; true'")
        said = guest.must("dmesg")
        for text in texts:
            count = said.count(f"mermap: {text}")
            check(count == 1, f"said {count} times, not exactly once: {text}")
            note(text)

    files = {"/mmlocal.ko": build.module(build.built(DEBUG), "mmlocal", mm_local.SYMBOLS)}
    outcome = qemu.play(lambda: qemu.Guest(build.built(DEBUG), "page_consistency=on pti=on",
                                           name="mermap-left", quiet=True, files=files,
                                           allow=LEAKS), drive)
    if not outcome.good:
        raise Failure(str(outcome))


@case([DEBUG], "a mapping that is left on the way to user mode is reported")
def left(note):
    provoked(note, "leak", LEFT, EXITED)


@case([DEBUG], "a page that is allocated while it is mapped is reported, once")
def lent(note):
    provoked(note, "lent", LENT)
