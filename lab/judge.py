# SPDX-License-Identifier: GPL-2.0
"""What a guest's end means.

A pass needs an explicit verdict, a clean log and an orderly end. Whatever is
not one of the known ends is the harness's own failure, never a pass.
"""

import enum
import re
from dataclasses import dataclass, field

from lab import splat
from lab.common import show


class Kind(enum.Enum):
    """The outcomes, each with its exit status."""

    PASS = 0
    TEST_FAILURE = 1
    HARNESS_ERROR = 2	# as any other LabError
    EXPECTED_PANIC = 0x10	# as good as a pass; main() turns it into 0
    UNEXPECTED_PANIC = 3
    HANG = 4


# What an expected panic may bring with it. A lockdep or KASAN splat may not.
BELONGS = {"panic", "checker", "trace", "bad-page"}

# A vCPU of multi-threaded TCG can meet the breakpoint of a static key flip in
# code that was translated before: nothing a real machine does.
ARTEFACT = re.compile(r"Oops: int3\b")


@dataclass
class Evidence:
    """All that is known when a guest has ended, or was ended."""

    console: str
    verdict: tuple = None		# (word, reason); of the guest or of the host
    expect_panic: str = None		# pattern; None: no panic is expected
    panicked: bool = False
    timed_out: str = ""			# what was waited for
    status: int = 0			# QEMU's
    qemu: str = ""			# what QEMU printed
    accelerator: str = "tcg"
    command: str = ""
    console_path: object = ""
    where: list = field(default_factory=list)
    allow: tuple = ()
    belongs: frozenset = frozenset(BELONGS)
    seconds: float = 0.0


@dataclass
class Outcome:
    """One judgement. report is what panicked guests said; retry is for artefacts."""

    kind: Kind
    reason: str
    detail: str = ""
    retry: bool = False
    console: str = ""
    seconds: float = 0.0

    @property
    def good(self):
        return self.kind in (Kind.PASS, Kind.EXPECTED_PANIC)

    @property
    def exit_status(self):
        return 0 if self.good else self.kind.value

    def __str__(self):
        text = f"{self.kind.name}: {self.reason}"
        return text + (f"\n{self.detail}" if self.detail and not self.good else "")


def hang_text(console, command, path, where=()):
    """What somebody needs who was told 'it hangs'."""
    last = [line for line in console.splitlines() if line.strip()][-15:]
    lines = ["the last lines of the console:" if last else "the console is empty"]
    lines += [f"  | {line}" for line in last]
    if where:
        lines.append(f"the CPUs are at {', '.join(where)}")
    return "\n".join([*lines, f"the whole console: {show(path)}", "to see it by hand:",
                      f"  {command}"])


def _about(evidence):
    return (f"console: {show(evidence.console_path)}\nby hand: {evidence.command}")


def _panic_line(console):
    found = [line for line in console.splitlines() if "Kernel panic - not syncing" in line]
    return splat.STAMP.sub("", found[0]).strip() if found else "(no panic line)"


def judge(evidence):
    """The one Outcome of some Evidence."""
    outcome = _judge(evidence)
    outcome.console, outcome.seconds = evidence.console, evidence.seconds
    return outcome


def _judge(evidence):
    if ARTEFACT.search(evidence.console) and "tcg" in evidence.accelerator \
            and "thread=single" not in evidence.accelerator:
        return Outcome(Kind.HARNESS_ERROR, "int3 artefact of multi-threaded TCG",
                       _about(evidence), retry=True)
    ended = evidence.panicked or not evidence.timed_out
    allow = [*splat.allowed(), *evidence.allow]
    scan = splat.scan(evidence.console, allow, complete=ended)
    if evidence.panicked:
        return _judge_panic(evidence, scan)
    if evidence.timed_out:
        return Outcome(Kind.HANG, evidence.timed_out,
                       hang_text(evidence.console, evidence.command, evidence.console_path,
                                 evidence.where))
    if evidence.expect_panic is not None:
        return Outcome(Kind.TEST_FAILURE, "a panic was expected and did not come",
                       _about(evidence))
    return _judge_end(evidence, scan)


def _judge_panic(evidence, scan):
    line = _panic_line(evidence.console)
    if evidence.expect_panic is None:
        return Outcome(Kind.UNEXPECTED_PANIC, line, f"{scan}\n{_about(evidence)}")
    if not re.search(evidence.expect_panic, evidence.console):
        return Outcome(Kind.UNEXPECTED_PANIC,
                       f"not the expected one ({evidence.expect_panic}): {line}",
                       f"{scan}\n{_about(evidence)}")
    if scan.problem:
        return Outcome(Kind.HARNESS_ERROR, str(scan), _about(evidence))
    foreign = [f for f in scan.findings if f.kind not in evidence.belongs]
    if foreign:
        return Outcome(Kind.UNEXPECTED_PANIC, f"more than the expected panic: {foreign[0]}",
                       f"{scan}\n{_about(evidence)}")
    return Outcome(Kind.EXPECTED_PANIC, line)


def _judge_end(evidence, scan):
    word, reason = evidence.verdict or ("", "")
    if evidence.status:
        return Outcome(Kind.HARNESS_ERROR, f"QEMU ended with {evidence.status}",
                       f"{evidence.qemu}\n{_about(evidence)}")
    # A splat says more than what followed from it.
    if scan.problem:
        return Outcome(Kind.HARNESS_ERROR, str(scan), f"{evidence.qemu}\n{_about(evidence)}")
    if scan.findings:
        return Outcome(Kind.TEST_FAILURE, f"splat in the log: {scan.findings[0]}",
                       f"{scan}\n{_about(evidence)}")
    if word == "fail":
        return Outcome(Kind.TEST_FAILURE, reason or "the guest said fail", _about(evidence))
    if word == "pass":
        return Outcome(Kind.PASS, reason or "as expected")
    if word:
        return Outcome(Kind.HARNESS_ERROR, f"not a verdict: {word} {reason}", _about(evidence))
    return Outcome(Kind.HARNESS_ERROR, "the guest ended without a verdict", _about(evidence))
