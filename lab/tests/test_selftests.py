# SPDX-License-Identifier: GPL-2.0
"""Reading what the kernel's selftests print, and comparing it with the checker off and on."""

import unittest

from lab import outcomes, suite
from lab.outcomes import FAIL, LATE, PASS, SKIP, Done, Known

SAID = """TAP version 13
# ---------------
# running ./cow
# ---------------
# TAP version 13
# 1..3
# # [INFO] something
# ok 1 one page
# not ok 2 two pages at 0x7f0000001000
# ok 3 three pages # SKIP need a THP
# [FAIL]
not ok 1 cow # exit=1
# running ./rmap
# no second node
# [SKIP]
ok 2 rmap # SKIP
# SUMMARY: PASS=0 SKIP=1 FAIL=1
1..2
"""


def words(found):
    return {name: done.outcome for name, done in found}


class Reading(unittest.TestCase):
    def test_tests_and_what_is_below_them(self):
        self.assertEqual(words(outcomes.of_category("mm", SAID)), {
            "mm: cow": FAIL, "mm: cow: one page": PASS,
            "mm: cow: two pages at 0x7f0000001000": FAIL, "mm: cow: three pages": SKIP,
            "mm: rmap": SKIP})

    def test_reason_of_a_skip(self):
        found = dict(outcomes.of_category("mm", SAID))
        self.assertEqual(found["mm: cow: three pages"].text, "need a THP")
        self.assertIn("no second node", found["mm: rmap"].text)

    def test_a_script_that_ended_early_has_failed(self):
        for text in ("", "TAP version 13\nok 1 cow\n", "TAP version 13\n# 1..3\n", "1..0\n"):
            self.assertEqual(words(outcomes.of_category("mm", text))["mm: all of it"], FAIL)

    def test_what_was_not_even_started_is_a_skip(self):
        found = outcomes.of_category("thp", "# [SKIP] ./khugepaged all:file\n# [SKIP]\n1..1\n")
        self.assertEqual(words(found), {"thp: ./khugepaged all:file": SKIP})

    def test_numbers_do_not_tell_tests_apart(self):
        named = outcomes.same_names([("at 0x1000", Done(PASS)), ("at 0x2000", Done(FAIL)),
                                   ("2 MB, 0.5 s", Done(PASS)), ("x2 y", Done(PASS))])
        self.assertEqual(words(named.items()), {"at N": PASS, "at N [2]": FAIL,
                                                   "N MB, N s": PASS, "x2 y": PASS})
        self.assertEqual(named["at N [2]"].name, "at 0x2000")


ALL_SKIPPED = """TAP version 13
# # Starting 2 tests from 1 test cases.
# ok 1 move.anon # SKIP Not enough threads
# ok 2 move.shared # SKIP Not enough threads
# [PASS]
ok 1 migration
1..1
"""


class AllSkipped(unittest.TestCase):
    def test_a_test_whose_tests_were_all_skipped_has_not_passed(self):
        found = dict(outcomes.of_category("mm", ALL_SKIPPED))
        self.assertEqual(set(words(found.items()).values()), {SKIP})
        self.assertIn("Not enough threads", found["mm: migration"].text)


class Comparing(unittest.TestCase):
    def compare(self, off, on, **more):
        note = suite.Note()
        outcomes.compare(note, {k: Done(v) for k, v in off.items()},
                         {k: Done(v) for k, v in on.items()}, **more)
        return note

    def parts(self, off, on, **more):
        return [(part.name, part.outcome) for part in self.compare(off, on, **more).parts]

    def test_same_result(self):
        self.assertEqual(self.parts({"a": PASS}, {"a": PASS}), [("a", "pass")])

    def test_other_result(self):
        for before, after in ((PASS, FAIL), (FAIL, PASS), (PASS, SKIP), (SKIP, PASS),
                              (PASS, LATE), (SKIP, FAIL)):
            self.assertEqual(self.parts({"a": PASS, "b": before}, {"a": PASS, "b": after})[1],
                             ("b", "fail"))

    def test_failed_on_both_sides_is_no_pass(self):
        for outcome in (FAIL, LATE):
            both = {"a": PASS, "b": outcome}
            self.assertEqual(self.parts(both, both)[1], ("b", "fail"))

    def test_missing_on_either_side(self):
        self.assertEqual(self.parts({"a": PASS, "b": PASS}, {"a": PASS})[1], ("b", "fail"))
        self.assertEqual(self.parts({"a": PASS}, {"a": PASS, "b": PASS})[1], ("b", "fail"))

    def test_skips_are_told_and_not_counted(self):
        note = self.compare({"a": PASS, "b": SKIP}, {"a": PASS, "b": SKIP})
        self.assertEqual([part.name for part in note.parts], ["a"])
        self.assertEqual(note.lines[0], "skipped: no reason given: b")
        self.assertEqual(note.lines[-1], "all: 1 passed, 1 skipped")

    def test_skips_of_the_same_name_are_counted(self):
        both = outcomes.same_names([("a", Done(PASS)), ("b 1", Done(SKIP, "no")),
                                    ("b 1", Done(SKIP, "no"))])
        note = suite.Note()
        outcomes.compare(note, both, both)
        self.assertEqual(note.lines[0], "skipped: no: b 1 (2 times)")

    def test_nothing_that_passed_is_a_failure(self):
        for both in ({}, {"a": SKIP}):
            self.assertEqual(self.parts(both, both),
                             [("all: at least one test passes", "fail")])

    def test_a_group_in_which_nothing_passed_is_a_failure(self):
        both = {"x: a": PASS, "y: b": SKIP}
        self.assertEqual(self.parts(both, both, groups=("x: ", "y: ")),
                         [("x: a", "pass"), ("y: at least one test passes", "fail")])

    def test_known_failures_are_told_and_excuse_nothing_else(self):
        known = [Known("^b", "no swap")]
        both = {"a": PASS, "b": FAIL}
        note = self.compare(both, both, known=known)
        self.assertEqual([part.name for part in note.parts], ["a"])
        self.assertIn("no swap", note.lines[0])
        for before, after in ((PASS, FAIL), (FAIL, PASS), (LATE, LATE), (FAIL, SKIP)):
            self.assertEqual(self.parts({"a": PASS, "b": before}, {"a": PASS, "b": after},
                                        known=known)[1], ("b", "fail"))

    def test_what_flickers_may_differ(self):
        known = [Known("^b", "a race", flaky=True)]
        note = self.compare({"a": PASS, "b": FAIL}, {"a": PASS, "b": PASS}, known=known)
        self.assertEqual([(part.name, part.outcome) for part in note.parts], [("a", "pass")])
        self.assertIn("off: failed; on: passed: a race", note.lines[0])
