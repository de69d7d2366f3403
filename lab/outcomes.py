# SPDX-License-Identifier: GPL-2.0
"""Results of tests that ran twice, with the checker off and on: read, named, compared."""

import re
from collections import Counter
from dataclasses import dataclass

from lab import tap

PASS, FAIL, SKIP, LATE, MISSING = "passed", "failed", "skipped", "not done in time", "not run"
WORDS = {tap.PASS: PASS, tap.FAIL: FAIL, tap.CRASH: FAIL, tap.SKIP: SKIP}
UNSTARTED = re.compile(r"^# \[SKIP\] (\S.*)$")
RESULT = re.compile(r"^(# )?(ok|not ok) (\d+) ?(?:- )?(.*?)(?:# (SKIP|exit)\b ?(.*))?$")


@dataclass
class Done:
    """What came of a test, and what it said; name: in its own words."""

    outcome: str
    text: str = ""
    name: str = ""


@dataclass(frozen=True)
class Known:
    """A test whose outcome is not the checker's: seen so with it off.

    flaky: it does not even come out the same twice.
    """

    pattern: str
    reason: str
    flaky: bool = False


def of_category(category, text):
    """[(name, Done)] of what run_vmtests.sh printed: tests, and below them theirs."""
    inner, found, said = [], [], []
    for line in text.splitlines():
        match = RESULT.match(line.rstrip())
        said.append(line)
        if unstarted := UNSTARTED.match(line):
            found.append((f"{category}: {unstarted[1]}",
                          Done(SKIP, "run_vmtests.sh left it out")))
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
        if outcome == PASS and inner and all(below.outcome == SKIP for _, below in inner):
            outcome, why = SKIP, f"every test in it was: {inner[0][1].text}"
        found.append((f"{category}: {name.strip()}", Done(outcome, why)))
        found += [(f"{category}: {name.strip()}: {below}", done) for below, done in inner]
        inner, said = [], []
    if not re.search(r"^1\.\.[1-9]", text, re.M):
        found.append((f"{category}: all of it", Done(FAIL, f"it has no plan\n{text[-1500:]}")))
    return found


def same_names(leaves):
    """{name: Done} of [(name, Done)]: names without numbers, because those are often measured;
    what occurs again gets a number of its own.
    """
    seen, found = Counter(), {}
    for name, done in leaves:
        done.name = name.strip()
        key = re.sub(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\b\d+(\.\d+)?", "N", done.name)
        seen[key] += 1
        found[key if seen[key] == 1 else f"{key} [{seen[key]}]"] = done
    return found


# --- off and on -----------------------------------------------------------------

def _known(name, before, after, known):
    """The entry that explains these outcomes, or None."""
    return next((entry for entry in known if re.search(entry.pattern, name) and
                 (entry.flaky or (before, after) == (FAIL, FAIL))), None)


def _pair(note, name, off, on, known, skipped):
    """Report one test; returns the word under which it is counted."""
    before, after = off.outcome, on.outcome
    if (before, after) == (PASS, PASS):
        note.part(name)
        return PASS
    if (before, after) == (SKIP, SKIP):
        skipped.setdefault(on.text or "no reason given", []).append(name)
        return SKIP
    if entry := _known(name, before, after, known):
        note(f"not held against the checker: {name}: off: {before}; on: {after}: {entry.reason}")
        return "known"
    text = "\n".join(f"{policy}: {done.outcome}\n{done.text}".rstrip()
                     for policy, done in (("off", off), ("on", on)))
    note.part(name, "fail", text)
    return FAIL


def compare(note, off, on, groups=("",), known=()):
    """Parts and notes from the results of both.

    groups are beginnings of names; below each at least one test has to pass on both sides.
    """
    counts, skipped = {group: Counter() for group in groups}, {}
    for key in sorted(off.keys() | on.keys()):
        pair = [side.get(key) or Done(MISSING) for side in (off, on)]
        name = pair[1].name or pair[0].name or key
        word = _pair(note, name, *pair, known, skipped)
        for group in groups:
            counts[group][word] += key.startswith(group)
    for reason, names in skipped.items():
        often = (f"{name} ({count} times)" if count > 1 else name
                 for name, count in Counter(names).items())
        note(f"skipped: {reason}: {', '.join(often)}")
    for group, count in counts.items():
        title = group.rstrip(":. ") or "all"
        note(f"{title}: " + ", ".join(f"{count[word]} {word}" for word in sorted(count)
                                      if count[word]))
        if not count[PASS]:
            note.part(f"{title}: at least one test passes", "fail",
                      "none did, so nothing was compared")
