# SPDX-License-Identifier: GPL-2.0
"""What tests print is KTAP, to the kernel's own parser too, and the files beside it do not lie."""

import io
import os
import re
import subprocess
import sys
import unittest
from unittest import mock
from xml.etree import ElementTree

from lab import cases, common, ktap, suite, tap
from lab.ktap import FAIL, PASS, SKIP, Report, Result
from lab.tests import fake

RESULT = re.compile(r"^( *)(?:not )?ok (\d+) - ([^#]*?)(?: # .*)?$")
NASTY = ("ok 7 - x\nnot ok 8 - y\n1..9\nKTAP version 1\nSubtest: z\n    # Subtest: z\n# SKIP\n"
         "reboot: System halted\nKernel panic - not syncing: VFS: no\nList of all partitions:\n"
         "9 passed, 9 failed\x1b[1m\x00")


def all_kinds():
    """Results of every kind there is, with texts that look like something else."""
    yield Result("a: good", seconds=0.25)
    yield Result("a: bad, # SKIP\nok 2 - x", FAIL, NASTY, 1.5, notes=[NASTY])
    yield Result("a: left # out", SKIP, "no KVM, # 1\nhere", 0.0)
    yield Result("b: with parts", FAIL, "", 12.345, [
        Result("one"), Result("1..2", SKIP, "no time"), Result("two", FAIL, NASTY), Result("#")])
    yield Result("b: good parts", PASS, "", 2.0, [Result("one"), Result("x - y: z")], ["note"])
    yield Result("b: skipped parts", PASS, "", 2.0, [Result("one", SKIP, "no"), Result("two")])


def report(*results, planned=None, what="made-up", said=""):
    """(Report, status, lines) of these results; for tests with a LOGS of their own."""
    lines = []
    with Report(what, len(results) if planned is None else planned,
                lambda *some: lines.extend(some), "ONLY") as found:
        for result in results:
            found.add(result, said)
        status = found.end("# last words")
    return found, status, lines


def strict(lines):
    """What ktap.rst demands and lab/tap.py forgives: [what is wrong]."""
    wrong, plans, levels = [], {}, []
    for number, line in enumerate(lines, 1):
        body, indent = line.lstrip(), len(line) - len(line.lstrip())
        if body == "KTAP version 1":
            levels.append((indent, 0))
            after = [text.strip() for text in lines[number:number + 2]]
            plan = after[1] if after[0].startswith("# Subtest: ") else after[0]
            if indent != len(ktap.STEP) * (len(levels) - 1) or not re.fullmatch(r"1\.\.\d+", plan):
                wrong.append(f"{number}: no plan right behind the version, or wrong indentation")
            plans[len(levels)] = int((re.findall(r"\d+$", plan) or [0])[0])
        elif match := RESULT.match(line):
            if levels and len(match[1]) < levels[-1][0]:
                if levels.pop()[1] != plans[len(levels) + 1]:
                    wrong.append(f"{number}: the plan was not kept")
            levels[-1] = (levels[-1][0], levels[-1][1] + 1)
            if (indent, int(match[2])) != levels[-1] or not match[3]:
                wrong.append(f"{number}: {line}")
        elif not body.startswith(("#", "1..")) and line is not lines[-1]:
            wrong.append(f"{number}: neither a result nor a comment: {line}")
    if len(levels) != 1 or levels[0][1] != plans[1]:
        wrong.append("the plan was not kept")
    return wrong


def kernels_parser(lines):
    """{word: count} of what the kernel's kunit.py makes of it, or None where there is no tree."""
    program = common.TREE / "tools/testing/kunit/kunit.py"
    if not program.exists():
        return None
    done = subprocess.run([sys.executable, program, "parse"], input="\n".join(lines), text=True,
                          capture_output=True, check=False,
                          env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    found = re.search(r"Testing complete. Ran \d+ tests?: (.*)", done.stdout)
    return {word: int(n) for word, n in re.findall(r"(\w+): (\d+)", found[1] if found else "")}


class Logs(unittest.TestCase):
    def setUp(self):
        self.logs = fake.own_logs(self)

    def text(self, name="made-up.summary"):
        return (self.logs / name).read_text()

    def xml(self, name="made-up.xml"):
        return ElementTree.parse(self.logs / name).getroot()


class Format(Logs):
    def check(self, lines, passed, failed, skipped):
        """All three readers have to come to the same."""
        self.assertEqual(strict(lines), [], "\n".join(lines))
        results = tap.parse("\n".join(lines))
        self.assertEqual(results.problems, [] if passed else ["no test passed"])
        self.assertEqual((results.count(tap.PASS), results.count(tap.FAIL),
                          results.count(tap.SKIP)), (passed, failed, skipped))
        if (counts := kernels_parser(lines)) is not None:
            wanted = {"passed": passed, "failed": failed, "skipped": skipped}
            self.assertEqual(counts, {key: n for key, n in wanted.items() if n}, "\n".join(lines))
        self.assertRegex(lines[-1], rf"^{passed} passed, {failed} failed")

    def test_all_kinds(self):
        _, status, lines = report(*all_kinds(), said=NASTY)
        self.check(lines, 6, 2, 3)
        self.assertEqual(status, 1)
        self.assertEqual(lines[-1], "6 passed, 2 failed, 3 skipped")

    def test_all_good_and_none_good(self):
        _, status, lines = report(Result("a: one"))
        self.check(lines, 1, 0, 0)
        self.assertEqual(status, 0)
        _, status, lines = report(Result("a: one", FAIL, "no"))
        self.check(lines, 0, 1, 0)
        self.assertEqual(status, 1)

    def test_what_is_said_comes_before_the_result(self):
        _, _, lines = report(Result("a: one", FAIL, "because", notes=["by the way"]), said="loud")
        at = lines.index("not ok 1 - a: one")
        self.assertEqual(lines[at - 3:at], ["#   by the way", "#   | loud", "#   because"])

    def test_suite_with_cases_side_by_side(self):
        """As make test prints it, with words of builds and of signs of life between."""
        def parts(note):
            print(NASTY)
            note("said")
            note.part("one")
            note.part("two", FAIL, NASTY)

        def bad(_note):
            print(NASTY)
            raise cases.Failure(NASTY)
        chosen = [cases.Case(f"{n}", group, run) for group in ("silent", "made-up", "paths")
                  for n, run in enumerate((parts, bad, lambda note: note("42 pages")))]
        out = io.StringIO()
        with mock.patch.object(suite, "build_kernels",
                               lambda _: print(NASTY) or {}), \
                mock.patch.object(suite, "SIGN_OF_LIFE", 0):
            suite.perform(chosen, out)
        self.check(out.getvalue().splitlines(), 6, 6, 0)

    def test_lost_results_are_an_error_to_all(self):
        _, status, lines = report(Result("a: one"), Result("a: two"), planned=5)
        self.assertEqual((status, lines[-1]), (1, "2 passed, 1 failed"))
        self.assertTrue(strict(lines))
        self.assertFalse(tap.parse("\n".join(lines)).good)
        if (counts := kernels_parser(lines)) is not None:
            self.assertGreater(counts["errors"], 0)

    def test_late_plan_is_noticed(self):
        """strict() itself: lines as they were once."""
        self.assertTrue(strict(["KTAP version 1", "1..1", "  # Subtest: a", "  ok 1 - b", "  1..1",
                                "ok 1 - a"]))
        self.assertTrue(strict(["KTAP version 1", "ok 1 - a", "1..1"]))


class Files(Logs):
    def test_summary(self):
        report(*all_kinds())
        text = self.text()
        self.assertTrue(text.startswith("make made-up: 6 passed, 2 failed, 3 skipped\nbegan "))
        self.assertIn("cases: 6, chosen by ONLY\n", text)
        self.assertNotIn("NOT COMPLETE", text)
        failed, _, skipped = text.partition("\nskipped:\n")
        self.assertIn("  b: with parts: two\n      ok 7 - x\n", failed)
        self.assertEqual(skipped, "  a: left # out\n      no KVM, # 1\n      here\n"
                         "  b: with parts: 1..2\n      no time\n"
                         "  b: skipped parts: one\n      no\n")

    def test_junit(self):
        report(*all_kinds())
        root = self.xml()
        self.assertEqual([root.get(key) for key in ("tests", "failures", "errors", "skipped")],
                         ["11", "2", "0", "3"])
        suites = {one.get("name"): one for one in root}
        self.assertEqual(list(suites), ["a", "b: with parts", "b: good parts", "b: skipped parts"])
        self.assertEqual([suites["a"].get(key) for key in ("tests", "failures", "skipped", "time")],
                         ["3", "1", "1", "1.750"])
        self.assertEqual(suites["b: with parts"].get("time"), "12.345")
        good, bad, skipped = suites["a"]
        self.assertEqual((good.get("name"), good.get("classname"), good.get("time"), len(good)),
                         ("good", "a", "0.250", 0))
        self.assertEqual(bad.find("failure").get("message"), "ok 7 - x")
        self.assertIn("List of all partitions:", bad.find("failure").text)
        self.assertTrue(skipped.find("skipped").get("message").startswith("no KVM"))
        self.assertEqual([one.get("name") for one in suites["b: with parts"]],
                         ["one", "1..2", "two", "#"])

    def test_every_test_is_counted_once(self):
        found, _, _ = report(*all_kinds())
        root = self.xml()
        self.assertEqual(len(root.findall(".//testcase")), 11)
        for element, outcome in (("failure", FAIL), ("skipped", SKIP)):
            self.assertEqual(len(root.findall(f".//{element}")), found.count(outcome))

    def interrupted(self, error):
        report(Result("a: of the last run", FAIL, "old"))
        with self.assertRaises(type(error)), Report("made-up", 3, lambda *_: None) as found:
            self.assertEqual(list(self.logs.iterdir()), [])
            found.add(Result("a: one", seconds=1.0))
            raise error
        found.add(Result("a: too late"))
        self.assertEqual([one.name for one in found.results], ["a: one"])

    def test_interrupted_run_says_so(self):
        for error, why in ((OSError("no room"), "OSError: no room"),
                           (common.Terminated(), "interrupted"),
                           (KeyboardInterrupt(), "interrupted")):
            self.interrupted(error)
            self.assertIn("make made-up: 1 passed, 0 failed\n", self.text())
            self.assertIn(f"NOT COMPLETE: only 1 of 3 have a result ({why})", self.text())
        root = self.xml()
        self.assertEqual([root.get(key) for key in ("tests", "failures", "errors")],
                         ["2", "0", "1"])
        self.assertIn("1 of 3", root.find(".//error").get("message"))

    def test_killed_run_leaves_none(self):
        report(Result("a: of the last run"))
        Report("made-up", 3, lambda *_: None).__enter__()
        self.assertEqual(list(self.logs.iterdir()), [])

    def test_run_that_forgets_its_end(self):
        with Report("made-up", 1, lambda *_: None) as found:
            found.add(Result("a: one"))
        self.assertIn("NOT COMPLETE", self.text())


if __name__ == "__main__":
    unittest.main()
