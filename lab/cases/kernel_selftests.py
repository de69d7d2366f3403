# SPDX-License-Identifier: GPL-2.0
"""Tests that the kernel brings along, with the checker off and on: the result has to be the same.

Each test that ran is a part, good when its outcome did not depend on the checker; what it was
is in the part's name. Tests that skip themselves are named in the notes, not counted.
"""

import re
from collections import Counter
from dataclasses import dataclass

from lab import build, qemu, selftests, tap
from lab.cases import Failure, case
from lab.cases.witness import agrees, check, meminfo
from lab.qemu import Guest
from lab.splat import Allow

CONFIG = "x86-selftests"
PASS, FAIL, SKIP, LATE = "passed", "failed", "skipped", "not done in time"
WORDS = {tap.PASS: PASS, tap.FAIL: FAIL, tap.CRASH: FAIL, tap.SKIP: SKIP}


@dataclass
class Done:
    """What came of a test, and what it said."""

    outcome: str
    text: str = ""


def run_both(note, drive, *, append="", allow=(), name, **machine):
    """drive(guest) returns {test: Done}; with the checker off, and on."""
    found = {}
    for policy in ("off", "on"):
        def whole(guest, policy=policy):
            found[policy] = drive(guest)
            if policy != "off":
                agrees(guest, note, policy)

        outcome = qemu.play(
            lambda policy=policy: Guest(
                build.built(CONFIG), f"page_consistency={policy} {append}".strip(), quiet=True,
                name=f"{name}-{policy}", allow=allow, **machine), whole)
        if not outcome.good:
            raise Failure(f"page_consistency={policy}: {outcome}")
    compare(note, found["off"], found["on"])


def compare(note, off, on):
    """Parts and notes from the results of both."""
    ran = 0
    for name in sorted(off.keys() | on.keys()):
        pair = [side.get(name, Done("not run")) for side in (off, on)]
        before, after = (one.outcome for one in pair)
        if (before, after) == (SKIP, SKIP):
            note(f"skipped: {name}: {pair[1].text or 'no reason given'}")
        elif before == after:
            ran += before == PASS
            note.part(name if before == PASS else f"{name} ({before}, off and on)")
        else:
            note.part(name, "fail", f"off: {before}; on: {after}\n{pair[1].text}")
    if not ran:
        raise Failure("no test passed")


def same_names(leaves):
    """{name: Done} of [(name, Done)]; what occurs again gets a number."""
    seen, found = Counter(), {}
    for name, done in leaves:
        # Addresses and sizes differ from boot to boot.
        name = re.sub(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b", "N", name).strip()
        seen[name] += 1
        found[name if seen[name] == 1 else f"{name} [{seen[name]}]"] = done
    return found


# --- selftests/mm -----------------------------------------------------------------

# category of run_vmtests.sh: seconds that it may take.
CATEGORIES = {
    "mmap": 120, "gup_test": 300, "userfaultfd": 600, "compaction": 120, "mlock": 60,
    "process_mrelease": 60, "mremap": 300, "hugevm": 60, "madv_guard": 120, "madv_populate": 60,
    "memfd_secret": 60, "process_madv": 60, "vma_merge": 60, "ksm": 300, "ksm_numa": 120,
    "pkey": 120, "soft_dirty": 60, "pagemap": 300, "pfnmap": 60, "cow": 300, "thp": 600,
    "hugetlb": 300, "migration": 300, "mkdirty": 60, "mdwe": 60, "rmap": 120,
    "memory-failure": 120, "page_frag": 60, "hmm": 60,
}
RESULT = re.compile(r"^(# )?(ok|not ok) (\d+) ?(?:- )?(.*?)(?:# (SKIP|exit)\b ?(.*))?$")
MM = "/tmp/mm"


def of_category(category, text):
    """[(name, Done)] of what run_vmtests.sh printed: tests, and below them theirs."""
    inner, found, said = [], [], []
    for line in text.splitlines():
        match = RESULT.match(line.rstrip())
        said.append(line)
        if not match:
            continue
        nested, word, _, name, directive, reason = match.groups()
        outcome = SKIP if directive == "SKIP" else PASS if word == "ok" else FAIL
        if nested:
            inner.append((name.strip(), Done(outcome, reason or "")))
            continue
        # Of a test that skips itself the last words say why.
        why = "\n".join(said[-12:-1]) if outcome == FAIL else \
            " ".join(line.strip("# ") for line in said[-4:-1])
        found.append((f"{category}: {name.strip()}", Done(outcome, why)))
        found += [(f"{category}: {name.strip()}: {below}", done) for below, done in inner]
        inner, said = [], []
    return found


def mm_category(guest, category, seconds):
    status, text = guest.sh(f"cd {MM} && timeout -k 5 {seconds} ./run_vmtests.sh -t {category}",
                            seconds + 60)
    found = of_category(category, text)
    if status == 124:
        found.append((f"{category}: all of it in {seconds} s", Done(LATE, text[-1500:])))
    elif not found:
        found.append((category, Done(SKIP, text[-300:])))
    return found


def mm_drive(categories):
    def drive(guest):
        selftests.mount(guest)
        guest.must("mount -t tmpfs -o size=60% tests /tmp && mkdir /tmp/mm && "
                   f"cp -r {selftests.PLACE}/mm/. {MM} && cp -r {selftests.PLACE}/kselftest /tmp",
                   120)
        guest.must("mkdir -p /dev/shm; echo 64 > /proc/sys/vm/nr_hugepages")
        leaves = []
        for category in categories:
            leaves += mm_category(guest, category, CATEGORIES[category])
        return same_names(leaves)
    return drive


def mm(*categories):
    @case([CONFIG], f"selftests/mm: {', '.join(categories)}")
    def run(note):
        folder = selftests.compiled()
        run_both(note, mm_drive(categories), name="mm", smp=2, memory="3G", nodes=2,
                 host_root=True, extra=selftests.share(folder), allow=NOISE)


NOISE = [Allow("user", ".", "tests that have to be killed"),
         Allow("memory", ".", "tests that take all there is")]

for _group in (("mmap", "mlock", "mremap", "process_mrelease", "process_madv", "mdwe", "mkdirty",
                "madv_guard", "madv_populate", "memfd_secret", "vma_merge", "pfnmap", "hugevm",
                "pkey", "soft_dirty", "pagemap", "rmap"),
               ("gup_test", "cow"), ("compaction", "migration", "ksm", "ksm_numa"),
               ("thp",), ("hugetlb", "memory-failure"), ("userfaultfd",),
               ("page_frag", "hmm")):
    mm(*_group)


# --- memory hotplug -----------------------------------------------------------------

@case([CONFIG], "selftests/memory-hotplug")
def memory_hotplug(note):
    folder = selftests.compiled()

    def drive(guest):
        selftests.mount(guest)
        status, text = guest.sh(
            f"cd {selftests.PLACE}/memory-hotplug && ./mem-on-off-test.sh -r 10", 300)
        return {"mem-on-off-test.sh -r 10": Done({0: PASS, 4: SKIP}.get(status, FAIL), text)}
    run_both(note, drive, append="movablecore=50%", name="mem-on-off", smp=2, memory="1G",
             host_root=True, extra=selftests.share(folder))


# --- modules that test by being loaded ------------------------------------------------

def module_case(name, title, drive, seconds=600, **machine):
    """drive(guest, load) -> {test: Done}; load(words) loads the module: (status, its words)."""
    @case([CONFIG], f"lib/{name}.c: {title}")
    def run(note):
        module = build.tree_modules(build.built(CONFIG))[name]

        def whole(guest):
            # Busy for long in one place, which is what these tests do.
            guest.must("echo 0 > /proc/sys/kernel/watchdog; "
                       "echo 1 > /sys/module/rcupdate/parameters/rcu_cpu_stall_suppress")

            def load(words=""):
                guest.must("dmesg -C")
                status, _ = guest.sh(f"insmod /{name}.ko {words}", seconds)
                return status, guest.must("dmesg")
            return drive(guest, load)
        run_both(note, whole, name=name, smp=2, files={f"/{name}.ko": module}, **machine)


def _free_pages(guest, load):
    """It would leak gigabytes."""
    before = meminfo(guest, "MemFree")
    status, text = load()
    lost = before - meminfo(guest, "MemFree")
    good = not status and "Test completed" in text and lost < 20 << 10
    return {"test_free_pages": Done(PASS if good else FAIL, f"{lost} KiB are gone\n{text}")}


def _vmalloc(guest, load):
    """It never stays loaded. All of its tests, by two threads."""
    _, text = load("nr_threads=2 test_loop_count=1000 test_repeat_count=2 run_test_mask=0x1fff "
                   "nr_pcpu_objects=5000")
    lines = re.findall(r"Summary: (\S+) passed: (\d+) failed: (\d+) xfailed: (\d+)", text)
    check(len(lines) == 26, f"{len(lines)} lines of results, must be 13 for each thread:\n{text}")
    return same_names([(f"{name} ({passed} passed, {expected} xfailed)",
                        Done(FAIL if int(failed) else PASS, text))
                       for name, passed, failed, expected in lines])


def _meminit(guest, load):
    status, text = load()
    tests = re.findall(r"test_meminit: (?:all )?(\d+ tests passed|.*failures?.*)", text)
    good = not status and tests and "all" in text
    return {"test_meminit, init_on_alloc=1 init_on_free=1": Done(PASS if good else FAIL, text)}


module_case("test_free_pages", "speculative references", _free_pages)
module_case("test_vmalloc", "all tests", _vmalloc, memory="2G")
module_case("test_meminit", "pages are zero", _meminit, append="init_on_alloc=1 init_on_free=1")


# --- KUnit ----------------------------------------------------------------------------

SUITES = ("slub_test", "kfence", "iov_iter", "usercopy", "damon", "damon-operations", "damon_sysfs")


@case([CONFIG], "KUnit suites that take pages")
def kunit(note):
    def drive(guest):
        results = tap.parse(guest.console())
        check(not results.problems, "\n".join(results.problems))
        note(f"suites: {', '.join(test.name for test in results.tests)}")
        return same_names([(name, Done(WORDS[test.outcome], test.reason or "\n".join(test.log)))
                           for name, test in results.leaves()])
    run_both(note, drive, append="kunit.autorun=1 kunit.enable=1", name="kunit-others", smp=2,
             memory="1G", allow=[Allow("*", ".", "provoked", within=suite)
                                 for suite in ("slub_test", "kfence")])
