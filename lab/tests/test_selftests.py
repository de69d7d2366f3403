# SPDX-License-Identifier: GPL-2.0
"""Reading what the kernel's selftests print, and comparing it with the checker off and on."""

import unittest

from lab import suite
from lab.cases import Failure
from lab.cases import kernel_selftests as kernel
from lab.cases.kernel_selftests import FAIL, LATE, PASS, SKIP, Done

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


def outcomes(found):
    return {name: done.outcome for name, done in found}


class Reading(unittest.TestCase):
    def test_tests_and_what_is_below_them(self):
        self.assertEqual(outcomes(kernel.of_category("mm", SAID)), {
            "mm: cow": FAIL, "mm: cow: one page": PASS,
            "mm: cow: two pages at 0x7f0000001000": FAIL, "mm: cow: three pages": SKIP,
            "mm: rmap": SKIP})

    def test_reason_of_a_skip(self):
        found = dict(kernel.of_category("mm", SAID))
        self.assertEqual(found["mm: cow: three pages"].text, "need a THP")
        self.assertIn("no second node", found["mm: rmap"].text)

    def test_addresses_do_not_tell_tests_apart(self):
        named = kernel.same_names([("at 0x1000", Done(PASS)), ("at 0x2000", Done(FAIL))])
        self.assertEqual(outcomes(named.items()), {"at N": PASS, "at N [2]": FAIL})


class Comparing(unittest.TestCase):
    def compare(self, off, on):
        note = suite.Note()
        kernel.compare(note, {k: Done(v) for k, v in off.items()},
                       {k: Done(v) for k, v in on.items()})
        return note

    def parts(self, off, on):
        return [(part.name, part.outcome) for part in self.compare(off, on).parts]

    def test_same_result(self):
        self.assertEqual(self.parts({"a": PASS, "b": FAIL}, {"a": PASS, "b": FAIL}),
                         [("a", "pass"), ("b (failed, off and on)", "pass")])

    def test_other_result(self):
        for before, after in ((PASS, FAIL), (FAIL, PASS), (PASS, SKIP), (SKIP, PASS), (PASS, LATE)):
            self.assertEqual(self.parts({"a": PASS, "b": before}, {"a": PASS, "b": after})[1],
                             ("b", "fail"))

    def test_missing_on_either_side(self):
        self.assertEqual(self.parts({"a": PASS, "b": PASS}, {"a": PASS})[1], ("b", "fail"))
        self.assertEqual(self.parts({"a": PASS}, {"a": PASS, "b": PASS})[1], ("b", "fail"))

    def test_skips_are_told_and_not_counted(self):
        note = self.compare({"a": PASS, "b": SKIP}, {"a": PASS, "b": SKIP})
        self.assertEqual([part.name for part in note.parts], ["a"])
        self.assertIn("skipped: b", note.lines[0])

    def test_nothing_that_passed_is_a_failure(self):
        for off in ({}, {"a": SKIP}, {"a": FAIL}):
            with self.assertRaises(Failure):
                self.compare(off, off)
