# SPDX-License-Identifier: GPL-2.0
"""Tests that the kernel brings along, with the checker off and on: the result has to be the same.

Each test that passed on both sides is a part, and so is each whose outcome depends on the checker.
What skipped itself, and what is known to fail or to flicker with the checker off, is named in the
notes and not counted. Where nothing passed, that is a failure.

Runs: the categories of selftests/mm's run_vmtests.sh below, its test_page_frag.sh, memory-hotplug,
test_free_pages, test_vmalloc, test_meminit and the KUnit suites in SUITES. Of selftests/mm do not
run, for these reasons:

- hugevm wants page tables of five levels, which a kernel that boots by PVH does not turn on; what
  it tests are limits of addresses.
- vmalloc takes a part of test_vmalloc, which runs here as a whole.
- page_consistency is the checker's own, lab/cases/selftests.py.
- on-fault-limit wants sudo; khugepaged all:file, and those tests of memory-failure that say
  so, a file system on a disk.
- What run_vmtests.sh does not list: mseal_test, prctl_thp_disable, pkey_sighandler_tests.
- page_frag asks for 10^8 fragments, an hour here: test_page_frag.sh runs with parameters of ours.
"""

import re
from concurrent.futures import ThreadPoolExecutor

from lab import build, outcomes, qemu, selftests, tap
from lab.cases import Failure, case
from lab.cases.witness import agrees, check
from lab.hotplug import UNMOVABLE
from lab.outcomes import FAIL, LATE, PASS, SKIP, WORDS, Done, Known
from lab.qemu import Guest
from lab.splat import Allow

CONFIG = "x86-selftests"
SCRUB = "page_consistency.scrub_ms=2000"


def run_both(note, drive, *, append="", allow=(), name, groups=("",), known=(), **machine):
    """drive(guest) returns {test: Done}; with the checker off, and on beside it."""
    def one(policy):
        found, notes = {}, []

        def whole(guest):
            notes.clear()		# of an attempt that TCG has spoilt
            found[policy] = drive(guest)
            if policy != "off":
                agrees(guest, notes.append, policy)

        words = f"page_consistency={policy} {SCRUB if policy == 'on' else ''} {append}"
        outcome = qemu.play(
            lambda: Guest(build.built(CONFIG), " ".join(words.split()), quiet=True,
                          name=f"{name}-{policy}", allow=allow, **machine), whole)
        if not outcome.good:
            raise Failure(f"page_consistency={policy}: {outcome}")
        return found[policy], notes

    # Much of what these tests do is to wait.
    with ThreadPoolExecutor(2) as pool:
        (off, _), (on, notes) = pool.map(one, ("off", "on"))
    outcomes.compare(note, off, on, groups, known)
    for text in notes:
        note(text)


# --- selftests/mm -----------------------------------------------------------------

LIMIT = 1200		# seconds for each category of run_vmtests.sh; most take 10
MM = "/tmp/mm"
# Seen with the checker off as well. Of 100 attempts to move a page of hugetlb that two threads
# touch, 1 or 2 succeed; shared_anon_htlb fails when none of 100 in a row does within its 20 s.
KNOWN = (
    Known("^ksm: ksm_tests -U", "fails in 3 of 25 runs with the checker off", flaky=True),
    Known("^ksm_numa: ksm_tests -N -m 1", "fails in 8 of 25 runs with the checker off", flaky=True),
    # Itself, and the program that it is in.
    Known(r"^migration: migration(: migration\.shared_anon_htlb)?$",
          "fails in 4 of 24 runs with the checker off, 3 of 24 with it on", flaky=True),
)


def mm_category(guest, category):
    """All of it, with what takes memory out of use for good."""
    status, text = guest.sh(f"cd {MM} && PATH=/run/kmod/bin:$PATH "
                            f"timeout -k 5 {LIMIT} ./run_vmtests.sh -d -t {category}",
                            LIMIT + 60)
    found = outcomes.of_category(category, text)
    if status == 124:
        found.append((f"{category}: all of it in {LIMIT} s", Done(LATE, text[-1500:])))
    return found


# Some tests swap pages out, some run only where that is possible.
SWAP = ("echo 256M > /sys/block/zram0/disksize && mkswap /dev/zram0 > /dev/null && "
        "swapon /dev/zram0")


def mm_drive(categories):
    def drive(guest):
        selftests.mount(guest)
        selftests.mount_modules(guest)
        guest.must("mount -t tmpfs -o size=60% tests /tmp && mkdir /tmp/mm && "
                   f"cp -r {selftests.PLACE}/mm/. {MM} && cp -r {selftests.PLACE}/kselftest /tmp",
                   120)
        guest.must("mount -t tmpfs tests /mnt && mkdir -p /dev/shm && "
                   f"echo 64 > /proc/sys/vm/nr_hugepages && {SWAP}")
        leaves = []
        for category in categories:
            leaves += mm_category(guest, category)
        return outcomes.same_names(leaves)
    return drive


def _shares():
    """Tests and modules, for a guest."""
    return (*selftests.share(selftests.compiled()),
            *selftests.share(selftests.modules(build.built(CONFIG)), selftests.MODULES_TAG))


def mm(*categories, **machine):
    machine = {"smp": 2, "memory": "3G", "nodes": 2, **machine}

    @case([CONFIG], f"selftests/mm: {', '.join(categories)}")
    def run(note):
        run_both(note, mm_drive(categories), name=f"mm-{categories[0]}", host_root=True,
                 extra=_shares(), allow=NOISE, known=KNOWN,
                 groups=[f"{category}: " for category in categories], **machine)


NOISE = [Allow("user", ".", "tests that have to be killed"),
         Allow("memory", ".", "tests that take all there is"),
         Allow("bad-page", "gup_test: dump_pages", "what gup_test -c prints")]

mm("mmap", "mlock", "mremap", "process_mrelease", "process_madv", "mdwe", "mkdirty", "madv_guard",
   "madv_populate", "memfd_secret", "vma_merge", "pfnmap", "pkey", "soft_dirty", "pagemap", "rmap")
mm("gup_test", "cow")
mm("compaction", "ksm", "ksm_numa")
# Wants two threads beside its own.
mm("migration", smp=4)
mm("thp")
mm("hugetlb", "memory-failure")
mm("userfaultfd")
mm("hmm")


FRAGMENTS = 200000


@case([CONFIG], "selftests/mm: test_page_frag.sh")
def page_frag(note):
    """With a CPU for each of its threads, and one more: what loads it would otherwise preempt
    them, and the module be gone before they have left it.
    """
    def one(guest, words):
        guest.must("dmesg -c > /dev/null")
        status, text = guest.sh("cd /tmp && taskset 4 /tmp/test_page_frag.sh test_push_cpu=0 "
                                f"test_pop_cpu=1 nr_test={FRAGMENTS} {words}", 120)
        text += guest.must("dmesg")
        good = not status and f"{FRAGMENTS} of iterations" in text
        return Done(PASS if good else FAIL, text)

    def drive(guest):
        selftests.mount(guest)
        selftests.mount(guest, selftests.MODULES, selftests.MODULES_TAG)
        guest.must(f"mkdir /tmp/page_frag && cp {selftests.MODULES}/page_frag_test.ko "
                   f"/tmp/page_frag && cp {selftests.PLACE}/mm/test_page_frag.sh /tmp")
        return {f"test_page_frag.sh {words}": one(guest, words)
                for words in ("test_alloc_len=2048", "test_alloc_len=75",
                              "test_alloc_len=75 test_align=1")}
    run_both(note, drive, name="page_frag", smp=3, memory="1G", host_root=True, extra=_shares())


# --- memory hotplug -----------------------------------------------------------------

INJECTION = "Test with memory notifier error injection"


@case([CONFIG], "selftests/memory-hotplug")
def memory_hotplug(note):
    folder = selftests.compiled()

    def drive(guest):
        selftests.mount(guest)
        status, text = guest.sh(
            f"cd {selftests.PLACE}/memory-hotplug && ./mem-on-off-test.sh -r 10", 300)
        all_of_it = Done({0: PASS, 4: SKIP}.get(status, FAIL), text)
        injected = all_of_it if INJECTION in text and "skip extra" not in text \
            else Done(SKIP, text)
        return {"mem-on-off-test.sh -r 10": all_of_it, INJECTION: injected}
    run_both(note, drive, append="movablecore=50%", name="mem-on-off", smp=2, memory="2G",
             host_root=True, extra=selftests.share(folder), groups=("mem", INJECTION),
             allow=UNMOVABLE)


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
                guest.must("dmesg -c > /dev/null")
                status, _ = guest.sh(f"insmod /{name}.ko {words}", seconds)
                return status, guest.must("dmesg")
            return drive(guest, load)
        run_both(note, whole, name=name, smp=2, files={f"/{name}.ko": module}, **machine)


def _free(guest):
    """KiB that are free, those on per-CPU lists with them."""
    pages = re.findall(r"^ +(?:pages free|count:) +(\d+)", guest.must("cat /proc/zoneinfo"), re.M)
    return sum(map(int, pages)) << 2


def _free_pages(guest, load):
    """It would leak gigabytes."""
    before = _free(guest)
    status, text = load()
    lost = before - _free(guest)
    good = not status and "Test completed" in text and lost < 20 << 10
    return {"test_free_pages": Done(PASS if good else FAIL, f"{lost} KiB are gone\n{text}")}


def _vmalloc(guest, load):
    """It refuses to stay loaded, so insmod tries twice. All of its tests, by two threads; what
    it expects to fail has not passed.
    """
    _, text = load("nr_threads=2 test_loop_count=1000 run_test_mask=0x1fff "
                   "nr_pcpu_objects=5000")
    lines = re.findall(r"Summary: (\S+) passed: (\d+) failed: (\d+) xfailed: (\d+)", text)
    check(len(lines) == 52, f"{len(lines)} lines of results, not 13 for each thread:\n{text}")
    return outcomes.same_names(
        [(name, Done(FAIL if int(failed) else PASS if int(passed) else SKIP,
                     text if int(failed) else f"failed {expected} times, which it expects to"))
         for name, passed, failed, expected in lines])


def _meminit(guest, load):
    status, text = load()
    tests = re.findall(r"test_meminit: (?:all )?(\d+ tests passed|.*failures?.*)", text)
    good = not status and tests and "all" in text
    return {"test_meminit, init_on_alloc=1 init_on_free=1": Done(PASS if good else FAIL, text)}


module_case("test_free_pages", "speculative references", _free_pages)
module_case("test_vmalloc", "all tests", _vmalloc, memory="2G",
            allow=[Allow("trace", ".", "align_shift_alloc_test asks for what there cannot be")])
module_case("test_meminit", "pages are zero", _meminit, append="init_on_alloc=1 init_on_free=1")


# --- KUnit ----------------------------------------------------------------------------

# There is none of the page allocator itself; these take pages from it.
SUITES = ("slub_test", "kfence", "iov_iter", "usercopy", "damon", "damon-operations", "damon-sysfs")


@case([CONFIG], "KUnit suites that take pages")
def kunit(note):
    def drive(guest):
        results = tap.parse(guest.console())
        check(not results.problems, "\n".join(results.problems))
        return outcomes.same_names(
            [(name, Done(WORDS[test.outcome], test.reason or "\n".join(test.log)))
             for name, test in results.leaves()])
    run_both(note, drive, append="kunit.autorun=1 kunit.enable=1", name="kunit-others", smp=2,
             memory="1G", groups=("", *(f"{suite}." for suite in SUITES)),
             allow=[Allow("*", ".", "provoked", within=suite) for suite in ("slub_test", "kfence")])
