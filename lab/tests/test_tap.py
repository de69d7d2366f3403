# SPDX-License-Identifier: GPL-2.0
"""The KTAP reader, above all where a careless one would say 'pass'."""

import re
import unittest

from lab import tap

GOOD = """\
[    0.1] Linux version 7.2.13
KTAP version 1
1..2
    KTAP version 1
    # Subtest: first
    # module: first
    1..3
    # one: a line of diagnosis
    ok 1 one
    ok 2 two # SKIP no such hardware
        KTAP version 1
        # Subtest: three
        ok 1 small
        ok 2 large
    # three: pass:2 fail:0 skip:0 total:2
    ok 3 three
# first: pass:2 fail:0 skip:1 total:3
ok 1 first
    KTAP version 1
    # Subtest: second
    1..1
    ok 1 only
ok 2 second
reboot: Power down
"""


def outcomes(results):
    return {name: test.outcome for name, test in results.leaves()}


class Parse(unittest.TestCase):
    def bad(self, text, *problems):
        """The text is no success, for these reasons."""
        results = tap.parse(text)
        self.assertFalse(results.good, str(results))
        said = "\n".join([*results.problems, str(results)])
        for problem in problems:
            self.assertIn(problem, said)
        return results

    def test_two_blanks_for_each_level(self):
        """As ktap.rst has it; KUnit has four."""
        text = re.sub(r"(?m)^( +)(?=\S)", lambda found: found[1][::2], GOOD)
        self.assertIn("\n  ok 3 three\n", text)
        self.assertEqual(outcomes(tap.parse(text)), outcomes(tap.parse(GOOD)))
        self.assertEqual(tap.parse(text).problems, [])

    def test_good(self):
        results = tap.parse(GOOD)
        self.assertTrue(results.good, str(results))
        self.assertEqual(outcomes(results), {
            "first.one": "pass", "first.two": "skip", "first.three.small": "pass",
            "first.three.large": "pass", "second.only": "pass"})
        self.assertEqual((results.count("pass"), results.count("skip")), (4, 1))
        self.assertIn("no such hardware", str(results))

    def test_with_time_stamps(self):
        stamped = "\n".join(f"[    0.{n:06}][    T1] {line}"
                            for n, line in enumerate(GOOD.splitlines()))
        self.assertTrue(tap.parse(stamped).good)

    def test_failure_with_its_log(self):
        text = GOOD.replace("    ok 1 one", "    # one: EXPECTATION FAILED at x.c:3\n"
                            "    not ok 1 one").replace("\nok 1 first", "\nnot ok 1 first")
        results = self.bad(text, "fail: first.one", "EXPECTATION FAILED")
        self.assertEqual(len(results.bad()), 1)

    def test_parent_says_ok_over_a_failed_child(self):
        self.bad(GOOD.replace("    ok 1 one", "    not ok 1 one"),
                 "it says ok, but a test below it failed")

    def test_passing_children_do_not_mask_a_failed_parent(self):
        results = self.bad(GOOD.replace("\nok 2 second", "\nnot ok 2 second"),
                           "it says not ok, though no test below it failed")
        self.assertEqual(outcomes(results)["second.only"], "pass")

    def test_crash_between_suites(self):
        self.bad(GOOD[:GOOD.index("    KTAP version 1\n    # Subtest: second")],
                 "planned 2, ran 1")

    def test_crash_inside_a_suite(self):
        text = GOOD[:GOOD.index("    ok 1 only")] + "Kernel panic - not syncing: x\n"
        results = self.bad(text, "planned 1, ran 0")
        self.assertEqual(outcomes(results)["second"], "crash")

    def test_no_header(self):
        self.bad("Linux version 7.2.13\nok 1 looks fine\n", "no KTAP header")
        self.bad("", "no KTAP header")

    def test_no_plan(self):
        self.bad(GOOD.replace("\n1..2", ""), "there is no plan")
        self.bad(GOOD.replace("    1..1\n", ""), "second: no plan")

    def test_zero_tests(self):
        self.bad("KTAP version 1\n1..0\n", "no test passed")

    def test_empty_suite(self):
        text = GOOD.replace("    1..1\n    ok 1 only\n", "    1..0\n")
        self.bad(text, "second: no tests")

    def test_everything_skipped(self):
        results = self.bad("KTAP version 1\n1..1\nok 1 a # SKIP not here\n", "no test passed")
        self.assertEqual(results.count("skip"), 1)

    def test_fewer_than_planned(self):
        self.bad(GOOD.replace("    1..3", "    1..4"), "first: planned 4, ran 3")

    def test_number_missing(self):
        self.bad(GOOD.replace("    ok 2 two", "    ok 3 two"), "test 3 (two) came as number 2")

    def test_two_boots(self):
        self.bad(GOOD + GOOD, "second KTAP header")

    def test_todo_is_no_pass(self):
        results = tap.parse("KTAP version 1\n1..2\nok 1 a\nnot ok 2 b # TODO later\n")
        self.assertEqual(outcomes(results), {"a": "pass", "b": "skip"})

    def test_noise_in_between(self):
        self.assertTrue(tap.parse(GOOD.replace("    ok 2 two", "random: crng init done\n"
                                               "    ok 2 two")).good)

    def test_kselftest(self):
        text = ("TAP version 13\n1..2\n# selftests: mm: one\nok 1 one\n"
                "not ok 2 two # exit=1\n")
        results = self.bad(text, "fail: two")
        self.assertEqual(outcomes(results)["one"], "pass")


if __name__ == "__main__":
    unittest.main()
