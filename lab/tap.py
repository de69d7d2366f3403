# SPDX-License-Identifier: GPL-2.0
"""Read KTAP, the format in which KUnit and kselftest report.

Strict where green could mean nothing: a plan is required and has to be kept,
no test at all is a failure, what was skipped has not passed, a parent that
says 'not ok' has failed whatever its children say, and the other way round.
"""

import re
from dataclasses import dataclass, field

PASS, FAIL, SKIP, CRASH = "pass", "fail", "skip", "crash"

_VERSION = re.compile(r"^(\s*)(K?TAP version \d+)$")
_PLAN = re.compile(r"^(\s*)1\.\.(\d+)(\s+# SKIP ?(.*))?$")
_RESULT = re.compile(r"^(\s*)(ok|not ok) (\d+)(?: (?:- )?(.*?))?"
                     r"(?:\s*# (SKIP|TODO|skip|todo)\b ?(.*))?$")
_SUBTEST = re.compile(r"^(\s*)# Subtest: (.*)$")
_STAMP = re.compile(r"^(<\d+>)?\[ *\d+\.\d+\](\[ *[TC]\d+\])? ")


@dataclass
class Test:
    """One result line and what stood below it."""

    name: str
    outcome: str = CRASH
    reason: str = ""
    tests: list = field(default_factory=list)
    planned: int = None
    problems: list = field(default_factory=list)
    log: list = field(default_factory=list)

    def leaves(self, path=""):
        """The tests that have no tests below them: [(name with path, Test)]."""
        name = f"{path}.{self.name}" if path else self.name
        if not self.tests:
            return [(name, self)]
        return [leaf for test in self.tests for leaf in test.leaves(name)]


@dataclass
class Results:
    """What a log amounts to. Good only if nothing is wrong and something ran."""

    tests: list
    problems: list

    def leaves(self):
        return [leaf for test in self.tests for leaf in test.leaves()]

    def count(self, outcome):
        return sum(test.outcome == outcome for _, test in self.leaves())

    @property
    def good(self):
        return not self.problems and self.count(PASS) > 0 and not self.bad()

    def bad(self):
        """The leaves that failed or crashed."""
        return [(n, t) for n, t in self.leaves() if t.outcome in (FAIL, CRASH)]

    def __str__(self):
        lines = [f"{self.count(PASS)} passed, {len(self.bad())} failed, "
                 f"{self.count(SKIP)} skipped"]
        for name, test in self.bad():
            lines += [f"  {test.outcome}: {name}" + (f": {test.reason}" if test.reason else "")]
            lines += [f"    | {line}" for line in test.log[-12:]]
        lines += [f"  skipped: {name}: {test.reason}" for name, test in self.leaves()
                  if test.outcome == SKIP]
        return "\n".join(lines + [f"  problem: {problem}" for problem in self.problems])


class _Parser:
    """One level of the indentation per entry of the stack; the first is the log."""

    def __init__(self):
        self.root = Test("the log")
        self.stack = [(-1, self.root)]		# (indent of its own result line, Test)
        self.seen = False
        self.step = 4		# KUnit's; ktap.rst has 2

    def top(self):
        return self.stack[-1][1]

    def line(self, text):
        if match := _VERSION.match(text):
            self._version(len(match[1]))
        elif not self.seen:
            return
        elif match := _SUBTEST.match(text):
            self._subtest(len(match[1]) - self.step, match[2])
        elif match := _PLAN.match(text):
            self._plan(len(match[1]), int(match[2]), match[4])
        elif match := _RESULT.match(text):
            self._result(match)
        else:
            self.top().log.append(text)

    def _version(self, indent):
        # KUnit writes the version of a suite before its name.
        if indent == 0:
            if self.seen:
                self.root.problems.append("a second KTAP header: did the kernel start twice?")
            self.seen = True
        else:
            if len(self.stack) == 1 and indent in (2, 4):
                self.step = indent
            self._open(indent - self.step, "")

    def _open(self, indent, name):
        self._close_to(indent)
        test = Test(name)
        self.top().tests.append(test)
        self.stack.append((indent, test))

    def _subtest(self, indent, name):
        own, test = self.stack[-1]
        if own == indent and not test.name:
            test.name = name
        else:
            self._open(indent, name)

    def _plan(self, indent, count, skip):
        if self.stack[-1][0] != (indent - self.step if indent else -1):
            self._close_to(indent)
        test = self.top()
        if test.planned is not None:
            test.problems.append("two plans")
        test.planned = count
        if skip is not None:
            test.outcome, test.reason = SKIP, skip

    def _close_to(self, indent):
        """Levels that are open at this indentation or below got no result line."""
        while len(self.stack) > 1 and self.stack[-1][0] >= indent:
            self._finish(self.stack.pop()[1], CRASH, "it has no result line")

    def _result(self, match):
        indent, word, number = len(match[1]), match[2], int(match[3])
        name, directive, reason = (match[4] or "").strip(), match[5], match[6] or ""
        outcome = PASS if word == "ok" else FAIL
        if directive:
            # A TODO may fail, but it has not passed either.
            outcome = SKIP if word == "ok" or directive.lower() == "todo" else FAIL
        if len(self.stack) > 1 and self.stack[-1][0] == indent:
            test = self.stack.pop()[1]
            test.name = name or test.name
        else:
            self._close_to(indent)
            test = Test(name or f"test {number}")
            # What was printed since the last result belongs to this test.
            test.log, self.top().log = self.top().log, []
            self.top().tests.append(test)
        self._finish(test, outcome, reason)
        position = len(self.top().tests)
        if number != position:
            self.top().problems.append(f"test {number} ({test.name}) came as number {position}")

    def _finish(self, test, outcome, reason):
        test.outcome, test.reason = outcome, reason
        self._check(test, outcome)

    def _check(self, test, outcome):
        """Does a closed level agree with itself?"""
        if not test.tests and test.planned is None:
            return
        if test.planned is None:
            # Below a suite KUnit has none when a generator makes the parameters;
            # the numbers and the closing result line have to do there.
            if len(self.stack) == 1:
                test.problems.append("no plan")
        elif test.planned != len(test.tests):
            test.problems.append(f"planned {test.planned}, ran {len(test.tests)}")
        elif not test.planned and outcome == PASS:
            test.problems.append("no tests")
        below = any(t.outcome in (FAIL, CRASH) for t in test.tests)
        if outcome == PASS and below:
            test.problems.append("it says ok, but a test below it failed")
        if outcome == FAIL and test.tests and not below:
            test.problems.append("it says not ok, though no test below it failed")

    def end(self):
        self._close_to(0)
        root = self.root
        if not self.seen:
            root.problems.append("there is no KTAP header")
            return
        if root.planned is None:
            root.problems.append("there is no plan")
        elif root.planned != len(root.tests):
            root.problems.append(f"planned {root.planned}, ran {len(root.tests)}: "
                                 "the kernel died before the end")


def _problems(test, path=""):
    name = f"{path}.{test.name}" if path else test.name
    found = [f"{name}: {problem}" for problem in test.problems]
    return found + [line for below in test.tests for line in _problems(below, name)]


def parse(text):
    """Results of a log; lines of other origin are tolerated anywhere."""
    parser = _Parser()
    for line in text.splitlines():
        parser.line(_STAMP.sub("", line.rstrip()))
    parser.end()
    problems = list(parser.root.problems)
    for test in parser.root.tests:
        problems += _problems(test)
    results = Results(parser.root.tests, problems)
    if parser.seen and not results.count(PASS):
        results.problems.append("no test passed")
    return results
