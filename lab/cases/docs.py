# SPDX-License-Identifier: GPL-2.0
"""What the documentation shows is what the kernel prints.

A sample in page_consistency.rst is a literal block behind a comment:

	.. sample: NAME

	.. code-block:: none

	   page_consistency: ...

For each NAME a guest is brought to say it, and its console is searched for the
sample's lines, in order and without a gap. Numbers and the offsets behind symbols
may differ, nothing else.
"""

import contextlib
import functools
import re
from pathlib import Path

from lab import build, common, ways
from lab.cases import Failure, case, replay
from lab.common import LabError, say
from lab.flips import ORDER, SYSFS, Stage, poke_module
from lab.qemu import Guest, GuestPanic, play
from lab.record import KERNEL_MAP, LONG
from lab.snapshot import Snapshot
from lab.splat import STAMP

PANIC = r"Kernel panic - not syncing: page_consistency: "
RST = "Documentation/mm/page_consistency.rst"
REPLAY = replay.DO
IDLE = 0x10000				# a PFN in the middle of the memory, which nobody uses
# Words of a bitmap, in which hexadecimal digits may all be letters, as behind 0x; then all that
# has a digit.
_WORD = re.compile(r"\b(primary|secondary|mask|of|pairs|seal) [0-9a-f]+\b")
_NUMBER = re.compile(r"(?<!PageBuddy )(?<!reserved )\b(0x[0-9a-f]+|[0-9a-f]*\d[0-9a-f]*)\b")
_SYMBOL = re.compile(r"(\.\w+)*\+0x[0-9a-f]+/0x[0-9a-f]+")
_AT = re.compile(r"^(page_consistency: at) .*, called from \S+( \[\w+\])?$")
_IN = re.compile(r" in [\w.]+\+OFFSET( \[\w+\])?: ")
CHANCE = {"bad-root", "handed-out-twice"}			# who comes first here is a matter of chance


# --- the two texts that are compared ----------------------------------------

def samples(text):
    """{name: lines} of the samples of a document."""
    found = {}
    pattern = r"^\.\. sample: (\S+)\n\n\.\. code-block:: none\n\n((?:(?:   .*)?\n)+)"
    for match in re.finditer(pattern, text, re.M):
        name = match.group(1)
        if name in found:
            raise Failure(f"{RST}: two samples are called '{name}'")
        found[name] = [line[3:] for line in match.group(2).rstrip("\n").splitlines()]
    marks = len(re.findall(r"^\.\. sample:", text, re.M))
    if marks != len(found):
        raise Failure(f"{RST}: {marks} comments '.. sample:', but {len(found)} literal blocks "
                      "behind one; the form is in lab/cases/docs.py")
    return found


def normal(line, chance=False):
    """A line without what differs from run to run."""
    line = _SYMBOL.sub("+OFFSET", re.sub(r" +", " ", STAMP.sub("", line).rstrip()))
    if chance:
        line = _IN.sub(" in ANY: ", _AT.sub(r"\1 ANY, called from ANY", line))
    return _NUMBER.sub("N", _WORD.sub(r"\1 N", line))


def compare(sample, console, chance=False):
    """None if the console has these lines, else what it has instead."""
    wanted = [normal(line, chance) for line in sample]
    printed = [STAMP.sub("", line).rstrip() for line in console.splitlines()]
    lines = [normal(line, chance) for line in printed]
    best = (-1, 0)
    for start in (i for i, line in enumerate(lines) if line == wanted[0]):
        same = next((n for n, line in enumerate(wanted)
                     if lines[start + n:start + n + 1] != [line]), None)
        if same is None:
            return None
        best = max(best, (same, start + same))
    done, at = best
    if done < 0:
        said = [line for line in printed if "page_consistency" in line][:12]
        return f"no line '{sample[0]}'; the kernel printed:\n" + "\n".join(f"  | {s}" for s in said)
    instead = printed[at] if at < len(printed) else "(nothing)"
    return f"the document has\n  | {sample[done]}\nbut the kernel printed\n  | {instead}"


# --- how each report comes about ----------------------------------------------

def handed_out_twice(stage):
    stage.both(stage.held_free(0))
    stage.allocate()


def not_handed_out(stage):
    stage.poke("doublefree 0")


def freed_reserved(stage):
    stage.poke("freereserved 0")


def bad_copy(copy, stage):
    stage.record.flip(stage.get(0), copy)
    stage.poke("put 0")


def bad_pair(stage):
    stage.record.flip(stage.get(0), "secondary")
    verify(stage)


def bad_entry(stage):
    # A section in which nothing happens: verification is the first to look.
    stage.record.flip(IDLE, "table")
    verify(stage)


def bad_root(stage):
    stage.record.flip(IDLE, "root")
    stage.poke("get 0")


def listed_outside(stage):
    stage.both(stage.pfn_of(stage.page_of(stage.make_holes()[0].next)), ORDER)
    stage.poke(f"get {ORDER}")


def bad_head(bit, stage):
    """The list head's pointer to its first block."""
    stage.record.flip_at(stage.make_holes()[0].head, bit)
    stage.poke(f"get {ORDER}")


def bad_page(name, bit, stage):
    """A field of the first block's struct page."""
    stage.record.flip_at(stage.field_at(stage.page_of(stage.make_holes()[0].next), name), bit)
    stage.poke(f"get {ORDER}")


def bad_frame(stage):
    frame = stage.record.physical(stage.record.entry(IDLE).primary) >> 12
    stage.guest.sh(f"echo {frame:#x} > /sys/kernel/debug/hwpoison/corrupt-pfn")


def replayed(words, stage):
    """A mistake of lab/modules/replay.c."""
    stage.guest.must("insmod /replay.ko")
    stage.guest.must(f"echo '{words}' > {REPLAY}")


def bad_state(stage):
    """The number of tracked sections, the fourth word of its structure."""
    stage.guest.flip(stage.guest.kernel.address("pc_store") - KERNEL_MAP + 3 * LONG, 0)
    verify(stage)


def too_late(stage):
    """The limit is on the command line, and nothing scrubs."""
    stage.guest.wait_for(lambda: False, 20, "the panic")


def verify(stage):
    stage.guest.must(f"echo 1 > {SYSFS}/verify")


def not_reached(stage):
    """The counter of the static key is what says that the checker is on."""
    key = stage.guest.kernel.address("page_consistency_enabled") - KERNEL_MAP
    stage.guest.memory.write32(key, 0)
    verify(stage)


def verified(stage):
    """What the files in sysfs hold afterwards."""
    verify(stage)
    return stage.guest.must(f"cd {SYSFS}; for f in *; do [ $f = verify -o $f = configuration ] || "
                            "echo \"$f: $(cat $f)\"; done")


def configured(stage):
    return stage.guest.must(f"cat {SYSFS}/configuration")


CAUSES = {
    "handed-out-twice": handed_out_twice,
    "not-handed-out": not_handed_out,
    "freed-reserved": freed_reserved,
    "listed-outside": listed_outside,
    "bad-primary": functools.partial(bad_copy, "primary"),
    "bad-secondary": functools.partial(bad_copy, "secondary"),
    "bad-pair": bad_pair,
    "bad-entry": bad_entry,
    "bad-root": bad_root,
    "bad-pointer": functools.partial(bad_head, 3),
    "misaligned": functools.partial(bad_head, 6),
    "bad-block": functools.partial(bad_page, "private", 1),
    "bad-frame": bad_frame,
    "bad-link": functools.partial(bad_page, "buddy_list", 14),
    "not-reached": not_reached,
    "freed-in-use": functools.partial(replayed, "pair 0"),
    "wrong-order": functools.partial(replayed, "compound 0"),
    "put-too-often": functools.partial(replayed, "twice 0"),
    "counted": functools.partial(replayed, "twice_put 0"),
    "bad-state": bad_state,
    "too-late": too_late,
}
APPEND = {"too-late": " page_consistency.max_latency_ms=3000"}
BOOTS = {		# what the kernel says without being harmed: (append, nodes, panics)
    "boot": ("page_consistency=on", 1, False),
    "boot-remote": ("page_consistency=on,remote", 2, False),
    "boot-impossible": ("page_consistency=on,remote earlycon=uart8250,io,0x3f8", 1, True),
    "boot-unknown": ("page_consistency=yes", 1, False),
    "boot-self-test": ("page_consistency=on", 1, False),
}
FILES = ("sysfs", "configuration")		# samples that are not from the console


@contextlib.contextmanager
def stage_of(kernel):
    """A function of a name in CAUSES: what the same guest says each time, from the same moment."""
    with Guest(kernel, "page_consistency=on panic=0", smp=1, memory="1G", name="docs", quiet=True,
               files={"/poke.ko": poke_module(), "/replay.ko": replay.module()}) as guest:
        guest.wait_ready()
        guest.must("insmod /poke.ko")
        snapshot = Snapshot(guest)

        def harmed(name):
            snapshot.restore()
            with contextlib.suppress(GuestPanic):
                CAUSES[name](Stage(guest))
            guest.wait_for(lambda: "---[ end Kernel panic" in snapshot.said(), 20,
                           "the end of the panic", True)
            return snapshot.said()
        yield harmed


def said(kernel, name, harmed):
    """What a guest said that was brought to say this sample."""
    if name in BOOTS:
        return boot(kernel, name, *BOOTS[name])
    if name in CAUSES and name not in APPEND:
        return harmed(name)
    cause, texts = {**CAUSES, "sysfs": verified, "configuration": configured}.get(name), []
    if not cause:
        raise Failure(f"{RST}: lab/cases/docs.py does not know how to cause the sample '{name}'")

    def make():
        return Guest(kernel, "page_consistency=on" + APPEND.get(name, ""), smp=1, memory="1G",
                     name=f"docs-{name}", quiet=True,
                     files={"/poke.ko": poke_module(), "/replay.ko": replay.module()})

    def drive(guest):
        guest.must("insmod /poke.ko")
        texts.append(cause(Stage(guest)))
    outcome = play(make, drive, expect_panic=PANIC if name in CAUSES else None)
    if not outcome.good:
        raise Failure(f"sample {name}: {outcome}")
    return texts[-1] if name in FILES else outcome.console


def boot(kernel, name, append, nodes, panics):
    """The console of a guest that is not harmed."""
    with Guest(kernel, append, smp=2, memory="1G", nodes=nodes, name=f"docs-{name}",
               quiet=True) as guest:
        if not panics:
            guest.wait_ready()
        # A panic this early has no device to announce itself: the console is what counts.
        guest.finish(None if panics else "pass", expect_panic=PANIC if panics else None)
        return guest.console()


@case(kernels=["x86"])
def every_sample_report_is_what_the_kernel_prints(note):
    kernel = build.build("x86")
    text = (Path(common.ROOT) / RST).read_text()
    found = samples(text)
    missing = sorted({*CAUSES, *BOOTS, *FILES} - set(found))
    if missing:
        raise Failure(f"{RST} shows no sample of: {', '.join(missing)}")
    wrong = []
    with stage_of(kernel) as harmed:
        for name, sample in found.items():
            try:
                difference = compare(sample, said(kernel, name, harmed), name in CHANCE)
            except LabError as error:
                difference = f"the guest could not be brought to say it: {error}"
            if difference:
                say(f"sample {name}: {difference}")
                wrong.append(f"sample {name}: {difference}")
    if wrong:
        raise Failure(f"{RST}: {len(wrong)} of {len(found)} samples are not what the kernel "
                      "prints. Copy what it prints, or find out why it changed.\n"
                      + "\n".join(wrong))
    note(f"{len(found)} samples of {RST} are what the kernel prints, but for numbers")


@case()
def every_report_name_is_documented(note):
    source = (Path(common.ROOT) / "mm/page_consistency/report.c").read_text()
    table = source.partition("pc_violations[] = {")[2].partition("};")[0]
    names = re.findall(r'= "(.+)",', table)
    if not names:
        raise Failure("no names of violations found in mm/page_consistency/report.c")
    shown = {line for lines in samples((Path(common.ROOT) / RST).read_text()).values()
             for line in lines}
    missing = [name for name in names if f"page_consistency: {name}" not in shown]
    if missing:
        raise Failure(f"{RST} has no sample of: {'; '.join(missing)}")
    note(f"{len(names)} kinds of report, each with a sample")


@case()
def every_way_of_pages_has_its_test(note):
    """Also: each function it names is in the kernel, and each case of paths.py in the table."""
    from lab import matrix, suite		# here, for suite loads this module
    from lab.cases import paths

    titles = {suite.title(one) for one in suite.load(suite.MODULES + suite.LONG_MODULES)}
    parts = {f"paths: {paths.MISTAKES}: {part}" for part in paths.TWICE}
    must = sorted(name for name in titles if name.startswith("paths: ")
                  and name != f"paths: {paths.MISTAKES}")
    known = titles | parts | ways.kunit_tests(common.ROOT / "mm/tests") \
        | {f"matrix: {target.name}" for target in matrix.TARGETS}
    text = (Path(common.ROOT) / ways.TABLE).read_text()
    wrong = ways.problems(text, known, build.source(), must)
    if wrong:
        raise Failure(f"{ways.TABLE}:\n" + "\n".join(wrong))
    note(ways.counts(ways.rows(text)))
