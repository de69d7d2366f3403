# SPDX-License-Identifier: GPL-2.0
"""Scrubbing: what it must find, and how soon; and what it must never say.

The stress under UML is native: two CPUs that make transitions and the scrubber that
compares meanwhile, with real atomic operations.
"""

import random
import re
import time

from lab import build, packages, qemu, reports, uml
from lab.cases import Failure, case
from lab.cases.report_mode import ALLOW
from lab.cases.unit import take
from lab.cases.witness import FILES, agrees, check, churn, number, play, value, vmstat
from lab.flips import Stage
from lab.record import COPIES, LONG

PERIOD = "/sys/module/page_consistency/parameters/scrub_ms"
TRANSITIONS = 100_000_000
STRESS = "page_consistency_scrub.scrubber_is_silent_beside_transitions"
PAIR, ENTRY = "record corrupt: one of the bitmaps", "record corrupt: table entry"
LISTED, BLOCK = "page on a free list but not in the allocator", "free block contradicts the record"
LINK, ALIGNED = "free list corrupt", "block not aligned to its order"
POINTER = "not a struct page of tracked memory"


# --- nothing is wrong ---------------------------------------------------------------

@case(["uml"], f"{TRANSITIONS:.0e} transitions on two CPUs beside the scrubber, native")
def native(note):
    run = uml.kunit_uml(build.built("uml"), STRESS, "page_consistency=on "
                        f"page_consistency_scrub_kunit.transitions={TRANSITIONS}", limit=900,
                        name="scrub")
    take(note, run.results)
    if not run.good:
        raise Failure(str(run))
    found = re.search(r"(\d+) transitions beside (\d+) passes", run.log.read_text())
    if not found or int(found[1]) < TRANSITIONS or int(found[2]) < 100:
        raise Failure(f"too little was done: {found and found[0]}; log: {run.log}")
    note(f"{found[0]} in {run.seconds:.0f} s, no alarm")


LOAD = """
stress-ng --quiet --oomable --fork 1 --mmap 1 --mmap-bytes 48M --madvise 1 --pipe 1 \\
	--vm 1 --vm-bytes 96M --vm-splice 1 --timeout {seconds}s &
end=$(($(date +%s) + {seconds}))
while [ $(date +%s) -lt $end ]; do
	echo 1 > /proc/sys/vm/compact_memory; echo 3 > /proc/sys/vm/drop_caches; sleep 0.3
done
wait
"""
NMI = "/sys/module/nminolock/parameters"
# A round on a busy machine does less than its share; what has to be done is said in numbers.
ROUNDS = 6
ENOUGH = {"passes": 20, "allocs": 2000, "frees": 2000, "pgfree": 50000}


def work_done(guest):
    """Counters of passes, of what NMIs do, and of pages freed by all."""
    counts = {name: int(value(guest, f"{NMI}/{name}"))
              for name in ("nmis", "allocs", "frees", "refused")}
    return {"passes": number(guest, "scrub_passes"), "pgfree": vmstat(guest)["pgfree"], **counts}


def beside_nmis(note, config, seconds, **machine):
    """One pass after the other, while processes and NMIs allocate and free."""
    kernel = build.built(config)
    module = build.module(kernel, "nminolock")

    def drive(guest):
        churn(guest, note)
        guest.must(f"insmod /nminolock.ko free={kernel.address('free_pages_nolock'):#x}")
        begin = work_done(guest)
        for _ in range(ROUNDS):
            guest.must(LOAD.format(seconds=seconds), seconds + 40)
            done = {name: count - begin[name] for name, count in work_done(guest).items()}
            if all(done[name] >= least for name, least in ENOUGH.items()):
                break
        guest.must("rmmod nminolock")
        note(", ".join(f"{count} {name}" for name, count in done.items()))
        for name, least in ENOUGH.items():
            check(done[name] >= least, f"only {done[name]} {name}, at least {least} expected")
        agrees(guest, note)
    play(drive, "page_consistency=on page_consistency.scrub_ms=1", config=config,
         tools=["stress-ng"], name="scrub", files={"/nminolock.ko": module}, **machine)


@case(["x86"], "stress-ng and allocations from NMI beside the scrubber")
def nmis(note):
    beside_nmis(note, "x86", 25, smp=4, nodes=2, memory="1G")


@case(["x86-debug"], "the same under KASAN and lockdep")
def debug_nmis(note):
    beside_nmis(note, "x86-debug", 25, smp=2, memory="1G")


@case(["x86"], "one damaged word is confirmed time and again beside allocations from NMI")
def confirmed(note):
    """Each confirmation stops all CPUs, but not NMIs: what they change is not reported."""
    kernel = build.built("x86")
    module, pfn = build.module(kernel, "nminolock"), 0xff	# the firmware's, always outside

    def drive(guest):
        words = Stage(guest).record.words(pfn)
        guest.must(f"insmod /nminolock.ko free={kernel.address('free_pages_nolock'):#x}")
        both = f"cd {FILES} && cat violations scrub_passes"
        before = [int(word) for word in guest.must(both).split()]
        guest.flip(words.primary, words.bit)
        after = [int(word) for word in guest.must(
            f"echo 1 > {PERIOD}; ({LOAD.format(seconds=20)}); echo 0 > {PERIOD}; sleep 1; {both}",
            80).split()]
        guest.flip(words.primary, words.bit)
        refused = int(value(guest, f"{NMI}/refused"))
        guest.must(f"rmmod nminolock; echo 1 > {FILES}/verify", 60)
        violations, passes = (now - then for now, then in zip(after, before))
        note(f"{violations} confirmations in {passes} passes, {refused} allocations refused "
             "meanwhile")
        # One in each pass, and perhaps in the last, which was cut short: more are false alarms.
        check(violations >= 10 and passes <= violations <= passes + 1,
              f"{violations} violations in {passes} passes")
        check(number(guest, "violations") == after[0], "a violation besides those")
        check(refused, "no NMI came while a mismatch was confirmed")
        found = {report.pfn for report in reports.find(guest.console())}
        check(found == {pfn}, f"reported were {found}")
        check(number(guest, "verified_mismatches") == 0, "verification finds a mismatch")
    play(drive, "page_consistency=report", tools=["stress-ng"],
         name="scrub", files={"/nminolock.ko": module}, smp=4, nodes=2, memory="1G", allow=ALLOW)


@case(["x86-debug"], "an enforced kernel scrubs once a minute")
def enforced(note):
    def drive(guest):
        check(value(guest, PERIOD) == "60000", f"the period is {value(guest, PERIOD)}")
        guest.must(f"echo 400 > {PERIOD}")
        guest.wait_for(lambda: number(guest, "scrub_passes") >= 3, 30, "three passes")
        agrees(guest, note)
    play(drive, "", config="x86-debug", name="scrub", memory="512M")


@case(["x86"], "what was too late stays in the exported latency")
def too_late(note):
    """A pass takes a minute, and nothing may take more than 2 s: each 2 s are a violation."""
    def drive(guest):
        guest.wait_for(lambda: number(guest, "violations"), 10, "the violation")
        latency = number(guest, "scrub_latency_ms")
        check(latency >= 2000, f"the latency is {latency} ms, and 2000 ms were too late")
        note(f"latency {latency} ms")
    play(drive, "page_consistency=report page_consistency.scrub_ms=60000 "
                "page_consistency.max_latency_ms=2000", name="scrub", allow=ALLOW)


@case(["x86"], "period and exported latency")
def period(note):
    def drive(guest):
        check(value(guest, PERIOD) == "0", "it scrubs without being asked to")
        check(number(guest, "scrub_latency_ms") == 0, "a latency without scrubbing")
        guest.must(f"echo 600 > {PERIOD}")
        guest.wait_for(lambda: number(guest, "scrub_passes") >= 4, 20, "four passes")
        latency, work = number(guest, "scrub_latency_ms"), number(guest, "scrub_ns")
        # From the start of a pass to the end of the next: nearly twice the period.
        check(900 <= latency <= 5000, f"the latency is {latency} ms, with a period of 600 ms")
        check(0 < work < 600_000_000, f"a pass takes {work} ns of work")
        for word in ("-1", "x", "", "4294967296"):
            check(guest.sh(f"echo '{word}' > {PERIOD}")[0], f"'{word}' is taken for a period")
        check(value(guest, PERIOD) == "600", "a refused word has changed the period")
        guest.must(f"echo 0 > {PERIOD}")
        guest.must("sleep 1")
        passes = number(guest, "scrub_passes")
        guest.must("sleep 2")
        check(number(guest, "scrub_passes") == passes, "it goes on although it was stopped")
        note(f"latency {latency} ms with a period of 600 ms, {work} ns of work a pass")
        agrees(guest, note)
    play(drive, "page_consistency=on", name="scrub")


# --- something is ----------------------------------------------------------------------

class Range:
    """Memory that nobody uses at the moment, and the scrubber at work."""

    def __init__(self, guest):
        self.guest, self.stage, self.record = guest, Stage(guest), Stage(guest).record
        self.slowest = 0

    def counts(self, before="true"):
        """(violations, passes), in one go."""
        return [int(word) for word in self.guest.must(
            f"{before}; cd {FILES} && cat violations scrub_passes").split()]

    def passes(self, wanted):
        """Wait for so many passes; returns the violations by then."""
        counts = [0, 0]

        def look():
            counts[:] = self.counts()
            return counts[1] >= wanted
        self.guest.wait_for(look, 60, f"{wanted} passes")
        return counts[0]

    def flip(self, flips):
        """All at once, as the guest sees it."""
        self.guest.qmp.ask("stop")
        for address, bit in flips:
            self.guest.flip(address, bit)
        self.guest.qmp.ask("cont")

    def provoke(self, title, *flips, also=()):
        """Flip (address, bit)s, and see that what stands there is found in two passes.

        Damage that comes during one pass is found by the end of the next: the promise.
        It is reported by title, and by nothing else but also; with no title, by one of those.
        """
        violations, _ = self.counts("echo 1 > /sys/kernel/debug/clear_warn_once")
        mark, start = len(self.guest.console()), time.monotonic()
        self.flip(flips)
        found = self.passes(self.counts()[1] + 2) - violations
        self.slowest = max(self.slowest, time.monotonic() - start)
        self.flip(flips)
        where = ", ".join(f"{address:#x} bit {bit}" for address, bit in flips)
        check(found > 0, f"missed in two passes: {title or also}, {where}")
        # Of the pass that was going on there may be more to come.
        self.passes(self.counts()[1] + 2)
        printed = reports.find(self.guest.console()[mark:])
        said = {report.violation for report in printed}
        check(said and said <= {title, *also} and (not title or title in said),
              f"{where}: {said or 'nothing'} was printed instead of {title or also}")
        events = {report.event for report in printed}
        check(events == {"verification"}, f"{where}: not found by the scrubber, but at {events}")

    def node_bit(self):
        """The bit by which the flags of pages of node 0 and 1 differ, and nothing above it."""
        pages = (self.record.page(0x1000), self.lists()[0][1][0])
        one, other = (self.guest.memory.read64(self.stage.field_at(page, "flags"))
                      for page in pages)
        return (one ^ other).bit_length() - 1

    def lists(self):
        """Lists of idle blocks, of at least three each: [(FreeList, [struct page])]."""
        found = []
        for area in self.record.free_lists(self.record.offset("orders") - 1):
            pages, link = [], area.next
            while link != area.virtual and len(pages) < 1000:
                pages.append(self.stage.page_of(link))
                link = self.record.read(link)
            if area.node == 1 and len(pages) >= 3:
                found.append((area, pages))
        check(found, "node 1 has no list of three free blocks of the largest order")
        return found


def of_record(range_, note, rng):
    """Single bits of pairs: of pages inside and outside, in both copies; both bits of a pair."""
    _, pages = range_.lists()[0]
    inside = [range_.stage.pfn_of(rng.choice(pages)) + rng.randrange(1024) for _ in range(12)]
    # The kernel's image, and what the firmware keeps: never the allocator's.
    outside = [rng.randrange(0x1000, 0x1400) for _ in range(8)] + [0, 0xa0, 0xf0, 0xff]
    for pfn in inside + outside:
        for copy in COPIES:
            words = range_.record.words(pfn)
            # If the page is in a free block the audit sees it too, and knows which copy is wrong.
            range_.provoke(PAIR, (getattr(words, copy), words.bit),
                           also=[f"record corrupt: {copy} bitmap"])
    for page in pages[:3]:
        words = range_.record.words(range_.stage.pfn_of(page) + rng.choice((0, 0, 700)))
        range_.provoke(LISTED, *((getattr(words, copy), words.bit) for copy in COPIES))
    note(f"{2 * len(inside + outside)} flips of single bits of the arrays and 3 of whole pairs")


def of_table(range_, note, rng):
    """Every word of the entry of a section in which nothing happens."""
    _, pages = range_.lists()[0]
    entry = range_.record.entry(range_.stage.pfn_of(pages[1]))
    places = [(at, bit) for at in (entry.primary_at, entry.secondary_at, entry.seal_at)
              for bit in rng.sample(range(64), 6)]
    for place in places:
        # Also by free blocks elsewhere that have their neighbour here, as what it looks like
        # if the flip is undone while its cause is looked for.
        range_.provoke(ENTRY, place, also=[LINK, POINTER])
    note(f"{len(places)} flips of table entries")


def of_blocks(range_, note, rng):
    """Pointers, order and type of free blocks, at the ends and in the middle of their list."""
    done = 0
    for area, pages in range_.lists()[:2]:
        for page in (pages[0], pages[len(pages) // 2], pages[-1]):
            links = range_.stage.field_at(page, "buddy_list")
            order = range_.stage.field_at(page, "private")
            kind = range_.stage.field_at(page, "page_type")
            flags = range_.stage.field_at(page, "flags")
            for bit in rng.sample(range(64), 4):
                range_.provoke(LINK, (links, bit))
                range_.provoke(LINK, (links + LONG, bit))
            for bit in rng.sample(range(64), 3) + [0, 1, 3]:
                range_.provoke(None, (order, bit), also=[BLOCK, ALIGNED, LISTED, LINK])
            for bit in rng.sample(range(24), 2) + [24, 28, 31]:
                range_.provoke(BLOCK, (kind, bit))
            # The node: it names a zone that does not reach that far.
            range_.provoke(BLOCK, (flags, range_.node_bit()))
            done += 8 + 6 + 5 + 1
        for bit in rng.sample(range(64), 5):
            range_.provoke(LINK, (area.head, bit))
            range_.provoke(LINK, (area.head + LONG, bit))
            done += 2
    note(f"{done} flips of free blocks and list heads")


@case(["x86"], "no flip is missed for two passes")
def flips(note):
    packages.need("debug")
    rng = random.Random(7)

    def drive(guest):
        guest.must(f"echo 1 > {PERIOD}")
        range_ = Range(guest)
        for kind in (of_record, of_table, of_blocks):
            kind(range_, note, rng)
        note(f"the slowest was found after {range_.slowest * 1000:.0f} ms on the host's clock")
        guest.must(f"echo 0 > {PERIOD}; echo 1 > {FILES}/verify")
        check(number(guest, "verified_mismatches") == 0, "something was not put back")
    # One CPU, on node 0: nobody uses node 1.
    play(drive, "page_consistency=report", name="scrub", smp=1, nodes=2, memory="1G", allow=ALLOW)


@case(["x86"], "a flip is found within the exported latency")
def latency(note):
    """Ten times, at moments spread over the period, by the guest's own clock."""
    times = []

    def drive(guest):
        guest.must(f"echo 300 > {PERIOD}")
        range_ = Range(guest)
        _, pages = range_.lists()[0]
        guest.wait_for(lambda: number(guest, "scrub_passes") >= 3, 20, "three passes")
        for n in range(10):
            words = range_.record.words(range_.stage.pfn_of(pages[n % 3]) + 64 * n)
            before = number(guest, "violations")
            # Nothing of the guest's is between the flip and the first look at the clock.
            job = guest.start(
                f"now() {{ cut -d' ' -f1 /proc/uptime; }}; read x; s=$(now); while [ $(cat "
                f"{FILES}/violations) = {before} ]; do sleep 0.02; done; echo $s $(now); cat")
            time.sleep(0.037 * n)
            guest.flip(words.primary, words.bit)
            job.write("go\n")
            start, end = map(float, guest.line_of(job, 30).split())
            guest.flip(words.primary, words.bit)
            job.end_input()
            guest.wait(job)
            times.append(round((end - start) * 1000))
            promised = number(guest, "scrub_latency_ms")
            # How long a pass takes is the host's doing; so is how long the shell takes to see it.
            check(times[-1] <= promised + 200,
                  f"found after {times[-1]} ms, {promised} ms promised")
        note(f"found after {times} ms, {promised} ms promised")
        guest.must(f"echo 0 > {PERIOD}")
    play(drive, "page_consistency=report", name="scrub", smp=1, nodes=2, memory="1G", allow=ALLOW)


@case(["x86"], "under 'on' a flip in idle memory is a panic")
def panics(note):
    def drive(guest):
        guest.must(f"echo 100 > {PERIOD}")
        range_ = Range(guest)
        _, pages = range_.lists()[0]
        words = range_.record.words(range_.stage.pfn_of(pages[1]) + 5)
        guest.flip(words.secondary, words.bit)
        guest.wait_for(lambda: False, 20, "the panic")

    outcome = qemu.play(
        lambda: qemu.Guest(build.built("x86"), "page_consistency=on", smp=1, nodes=2, memory="1G",
                           name="scrub", quiet=True), drive,
        expect_panic=r"Kernel panic - not syncing: page_consistency: " + PAIR)
    if not outcome.good:
        raise Failure(str(outcome))
    report = reports.parse(outcome.console)
    if report.event != "verification":
        raise Failure(f"it was not the scrubber that found it, but {report.event}")
    note(report.panic)
