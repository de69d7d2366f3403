# SPDX-License-Identifier: GPL-2.0
"""The runner of the user-space programs must not take a failure for a success."""

import contextlib
import io
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from lab import userspace
from lab.common import LabError


def judged(built, ran=(0, "")):
    program = SimpleNamespace(name="p", binary=Path("p"), args=(), runner=(), command=lambda: ["cc"])
    with mock.patch.object(userspace, "capture", return_value=ran), \
         contextlib.redirect_stdout(io.StringIO()) as out:
        bad = userspace.judge(1, program, built)
    return bad, out.getvalue().splitlines()[-1]


class Judge(unittest.TestCase):
    def test_good_run_passes(self):
        self.assertEqual(judged((0, ""), (0, "ok 1 - a\n1..1\n")), ([], "ok 1 - p"))

    def test_plan_is_said_first(self):
        program = SimpleNamespace(name="p", binary=Path("p"), args=(), runner=())
        ran = (1, "# x\nok 1 - a\nnot ok 2 - b\n1..2\n")
        out = io.StringIO()
        with mock.patch.object(userspace, "capture", return_value=ran), \
                contextlib.redirect_stdout(out):
            userspace.judge(1, program, (0, ""))
        self.assertEqual(out.getvalue(), "  KTAP version 1\n  # Subtest: p\n  1..2\n  # x\n"
                         "  ok 1 - a\n  not ok 2 - b\nnot ok 1 - p # status 1\n")

    def test_build_failure_is_a_failure(self):
        bad, line = judged((1, "no such header"))
        self.assertEqual(bad, ["p"])
        self.assertTrue(line.startswith("not ok 1"))

    def test_failed_subtest_is_named(self):
        bad, _ = judged((0, ""), (1, "not ok 1 - a\nok 2 - b\n1..2\n"))
        self.assertEqual(bad, ["p: a"])

    def test_failed_subtest_counts_whatever_the_status(self):
        self.assertEqual(judged((0, ""), (0, "not ok 1 - a\n1..1\n"))[0], ["p: a"])

    def test_sanitizer_or_signal_is_a_failure(self):
        self.assertEqual(judged((0, ""), (-6, "ok 1 - a\n1..1\n"))[0], ["p: status -6"])

    def test_run_without_an_end_is_a_failure(self):
        self.assertTrue(judged((0, ""), (0, "ok 1 - a\n"))[0])
        self.assertTrue(judged((0, ""), (0, ""))[0])


class Select(unittest.TestCase):
    def test_all_programs_have_names_of_their_own(self):
        names = [p.binary for p in userspace.select(None)]
        self.assertEqual(len(names), len(set(names)))

    def test_unknown_program_is_an_error(self):
        with self.assertRaises(LabError):
            userspace.select("none")


if __name__ == "__main__":
    unittest.main()
