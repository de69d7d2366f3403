# SPDX-License-Identifier: GPL-2.0
"""Find what should not be in a kernel log.

A test that passed beside a splat did not pass. Everything known to be bad is
denied; an exception is an Allow with a reason, and with a date after which
somebody has to look again. A log that cannot be scanned fails: an empty file
has no splats either.
"""

import datetime
import json
import re
from dataclasses import dataclass
from pathlib import Path

ALLOWED = Path(__file__).resolve().parent / "splat-allow.json"

# The first pattern that matches gives a line its kind: the special ones first.
DENY = [(kind, re.compile(pattern)) for kind, pattern in (
    ("panic", r"Kernel panic - not syncing"),
    ("kasan", r"BUG: K[A-Z]*SAN: |BUG: KFENCE: "),
    ("ubsan", r"UBSAN: "),
    ("lockup", r"BUG: (soft|workqueue) lockup|watchdog: .*LOCKUP|Watchdog detected hard"),
    ("rcu", r"rcu: INFO: |rcu_\w+ (self-)?detected|suspicious RCU usage|RCU used illegally|"
            r"rcu: .*kthread starved"),
    ("lockdep", r"possible (recursive locking|circular locking|deadlock)|"
                r"inconsistent lock state|\block inversion|bad unlock balance|"
                r"held lock freed|lock held (at|when)|still has locks held|"
                r"MAX_LOCK(DEP_\w+|_DEPTH) too low|Invalid wait context|DEBUG_LOCKS_WARN_ON|"
                r"register non-static key|unsafe lock order|deadlock detected"),
    # Whatever the checker says but its policy is a report; '# name: ' is KUnit's.
    ("checker", r"(?<!# )page_consistency: (?!(on|off|report)\b|self-test: all )"),
    ("bad-page", r"BUG: Bad |Bad rss-counter|page dumped because|non-zero pgtables_bytes|"
                 r"page_owner tracks the page as"),
    ("list", r"list_(add|del)(_valid)?[ _]corruption|slab corruption|plist.*corrupt"),
    ("slab", r"BUG \S+ \(.*\): |Redzone|Object \S+ @offset|Objects remaining in|"
             r"kmem_cache_destroy .*: Slab cache still"),
    ("atomic", r"sleeping function called|scheduling while atomic|"
               r"BUG: using \w+\(\) in preemptible"),
    ("leak", r"kmemleak: \d+ new suspected"),
    ("refcount", r"refcount_t: |ODEBUG: "),
    ("oops", r"Oops\b.*:|unable to handle|general protection fault|invalid opcode: |"
             r"double fault: |stack guard page was hit|traps: PANIC|kernel BUG at|"
             r"Internal error: |unchecked MSR access|int3: "),
    ("hung", r"INFO: task .* blocked (for more than|on)"),
    ("memory", r"invoked oom-killer|Out of memory: |page allocation failure|"
               r"Memory cgroup out of memory"),
    ("user", r"segfault at |trap (invalid opcode|int3|divide error|stack segment) ip"),
    ("bug", r"\bBUG: |\bBUG at "),
    ("warning", r"\bWARNING: |\[ cut here \]"),
    ("trace", r"Call Trace:"),
)]

STAMP = re.compile(r"^(<\d+>)?(\[ *\d+\.\d+\](\[ *[TC]\d+\])? ?)?")
_BEGIN = re.compile(r"^Linux version \d")
_END = re.compile(r"reboot: (Power down|System halted|Restarting|machine restart)|"
                  r"Kernel panic - not syncing|Power down\.?$|System halted|lab: powers down$")
_EXPECT = re.compile(r"lab: expect (.+)$")
_SUBTEST = re.compile(r"^( *)# Subtest: (\S+)")
_RESULT = re.compile(r"^( *)(not )?ok \d+ (- )?(\S+)")


@dataclass(frozen=True)
class Allow:
    """A hole in the scanner. within: only inside that KUnit suite or test."""

    kind: str
    pattern: str
    reason: str
    expires: str = ""
    within: str = ""

    def covers(self, kind, line, subtests):
        return (self.kind in (kind, "*") and re.search(self.pattern, line) is not None
                and (not self.within or self.within in subtests))


@dataclass(frozen=True)
class Finding:
    number: int
    kind: str
    line: str

    def __str__(self):
        return f"{self.number}: {self.kind}: {self.line}"


@dataclass
class Scan:
    """What a scan found; problem says why there is nothing to be found in that log."""

    findings: list
    excused: list
    problem: str = ""

    @property
    def clean(self):
        return not self.findings and not self.problem

    def __str__(self):
        if self.problem:
            return f"the log cannot be scanned: {self.problem}"
        shown = [f"  {finding}" for finding in self.findings[:12]]
        if len(self.findings) > len(shown):
            shown.append(f"  and {len(self.findings) - len(shown)} more")
        return "\n".join(shown) or "  nothing"


def allowed(path=ALLOWED):
    """The entries of the allow list; one without a reason is refused."""
    entries = [Allow(**row) for row in json.loads(Path(path).read_text())]
    for entry in entries:
        if not entry.reason.strip():
            raise ValueError(f"{path}: an entry without a reason: {entry.pattern}")
        re.compile(entry.pattern)
    return entries


def kind_of(line):
    for kind, pattern in DENY:
        if pattern.search(line):
            return kind
    return None


class _Context:
    """Where in the log we are: KUnit subtests, and regions with expected splats."""

    def __init__(self):
        self.subtests = []	# [(indent, name)]
        self.expected = None	# kinds, between 'lab: expect KIND' and 'lab: expect end'
        self.opened = 0
        self.met = False

    def names(self):
        return [name for _, name in self.subtests]

    def follow(self, number, line):
        """Note the marks of this line; returns a finding if a region kept no promise."""
        if match := _SUBTEST.match(line):
            # A subtest's header is indented one step below its result line.
            self.subtests.append((len(match[1]) - 4, match[2]))
        elif match := _RESULT.match(line):
            while self.subtests and self.subtests[-1][0] >= len(match[1]):
                self.subtests.pop()
        elif match := _EXPECT.search(line):
            return self._region(number, match[1].strip())
        return None

    def _region(self, number, word):
        unkept = self.unkept() if self.expected else None
        self.expected = None if word == "end" else set(re.split(r"[ ,]+", word))
        self.opened, self.met = number, False
        return unkept

    def unkept(self):
        if self.met:
            return None
        return Finding(self.opened, "expected",
                       f"announced, but not seen: {', '.join(sorted(self.expected))}")


def _problem(lines, complete):
    if not any(line.strip() for line in lines):
        return "it is empty"
    if not any(_BEGIN.match(line) for line in lines):
        return "its beginning is missing: no line 'Linux version'"
    if complete and not any(_END.search(line) for line in lines):
        return "its end is missing: neither a power down nor a panic"
    return ""


def scan(text, allow=(), complete=True, today=None):
    """Scan a console log.

    complete: the kernel is known to have come to an end, so the log has to
    show one. today decides whether an Allow has expired.
    """
    today = today or datetime.date.today().isoformat()
    if text is None:
        return Scan([], [], "it is missing")
    lines = [STAMP.sub("", line.rstrip("\r")) for line in text.split("\n")]
    if problem := _problem(lines, complete):
        return Scan([], [], problem)
    findings, excused, context = [], [], _Context()
    for number, line in enumerate(lines, 1):
        if unkept := context.follow(number, line):
            findings.append(unkept)
        kind = kind_of(line)
        if not kind:
            continue
        finding = Finding(number, kind, line.strip()[:200])
        if context.expected and kind in context.expected:
            context.met = True
            excused.append((finding, "expected"))
            continue
        entry = next((a for a in allow if a.covers(kind, line, context.names())), None)
        if entry and (not entry.expires or today <= entry.expires):
            excused.append((finding, entry.reason))
            continue
        findings.append(finding if not entry else Finding(
            number, kind, f"(allowed until {entry.expires}: {entry.reason}) {finding.line}"))
    if context.expected:
        findings.append(Finding(context.opened, "expected", "the region has no end"))
    return Scan(findings, excused)


def scan_file(path, allow=(), complete=True):
    """Scan a file; a missing one is a problem, not an exception."""
    try:
        text = Path(path).read_text(errors="replace")
    except OSError as error:
        return Scan([], [], str(error))
    return scan(text, allow, complete)
