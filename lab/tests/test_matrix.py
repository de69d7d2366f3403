# SPDX-License-Identifier: GPL-2.0
"""make matrix must not call a target passed that was not built, not booted or not tested."""

import contextlib
import io
import unittest
from unittest import mock

from lab import build, matrix, qemu, tap
from lab.common import LabError
from lab.judge import Kind, Outcome
from lab.tests import fake

TARGET = matrix.TARGETS[0]
SUITE = "    KTAP version 1\n    # Subtest: {0}\n    1..1\n    {1} 1 one{2}\n{3} {4} {0}\n"


def ktap(*rows):
    return "KTAP version 1\n1..%d\n%s" % (len(rows), "".join(
        SUITE.format(name, word, note, word, n) for n, (name, word, note) in enumerate(rows, 1)))


GOOD = ktap(("dual_bitmap", "ok", ""), ("page_consistency", "ok", ""))


class Matrix(unittest.TestCase):
    def attempt(self, console=GOOD, outcomes=(True, True), error=None, reached=True):
        """One target whose guests are said to end like that."""
        ends = iter(outcomes)

        def play(_make, drive):
            good = next(ends)
            if reached:
                drive(mock.Mock(console=lambda: console))
            return Outcome(Kind.PASS if good else Kind.HANG, "said so", console=console)

        def prove(_target, _guest, row):
            row.sections = "8"
        made = mock.Mock(side_effect=error) if error else mock.Mock()
        with mock.patch.object(build, "build", made), \
                mock.patch.object(qemu, "play", play), \
                mock.patch.object(matrix, "prove", prove), \
                contextlib.redirect_stdout(io.StringIO()):
            return matrix.attempt(TARGET.name)

    def test_good(self):
        row = self.attempt()
        self.assertTrue(row.good)
        self.assertEqual((row.built, row.booted, row.passed, row.sections), ("yes", "yes", 2, "8"))

    def test_not_built(self):
        row = self.attempt(error=LabError("no compiler"))
        self.assertFalse(row.good)
        self.assertEqual((row.built, row.booted), ("no", "-"))
        self.assertIn("no compiler", matrix.table([row]))

    def test_what_the_lab_does_wrong_is_a_failure_too(self):
        row = self.attempt(error=KeyError("pgfree"))
        self.assertFalse(row.good)
        self.assertIn("pgfree", matrix.table([row]))

    def test_not_booted(self):
        row = self.attempt(outcomes=(False,), reached=False, console="Linux version 7.2\n")
        self.assertFalse(row.good)
        self.assertEqual((row.built, row.booted, row.passed), ("yes", "no", 0))
        self.assertIn("said so", matrix.table([row]))

    def test_boots_but_not_silently(self):
        self.assertFalse(self.attempt(outcomes=(False, True)).good)
        self.assertFalse(self.attempt(outcomes=(True, False)).good)

    def test_what_was_tested_before_a_panic_is_counted(self):
        row = self.attempt(outcomes=(False,), reached=False)
        self.assertEqual((row.good, row.passed), (False, 2))

    def test_a_failed_test_fails_the_target(self):
        row = self.attempt(ktap(("dual_bitmap", "not ok", ""), ("page_consistency", "ok", "")))
        self.assertEqual((row.good, row.passed, row.failed), (False, 1, 1))

    def test_a_skip_nobody_accepted_is_a_failure(self):
        row = self.attempt(ktap(("dual_bitmap", "ok", " # SKIP no time"),
                                ("page_consistency", "ok", "")))
        self.assertEqual((row.good, row.failed), (False, 1))

    def test_a_suite_that_did_not_run(self):
        self.assertFalse(self.attempt(ktap(("dual_bitmap", "ok", ""))).good)

    def test_no_test_at_all(self):
        self.assertFalse(self.attempt("Linux version 7.2\n").good)
        self.assertFalse(matrix.Row("x", "yes", "yes").good)

    def test_exit_status_and_closing_line(self):
        fake.own_logs(self)
        for good, status in ((True, 0), (False, 1)):
            said = io.StringIO()
            row = matrix.Row("x", passed=3, why="" if good else "because")
            with mock.patch.object(matrix, "need"), contextlib.redirect_stdout(said), \
                    mock.patch.object(matrix, "attempt", lambda name, row=row: row):
                self.assertEqual(matrix.main(["arm64"]), status)
            self.assertEqual(said.getvalue().splitlines()[-1],
                             f"{int(good)} passed, {int(not good)} failed")
            results = tap.parse(said.getvalue())
            self.assertEqual((results.count(tap.PASS), results.count(tap.FAIL)),
                             (int(good), int(not good)))

    def test_names_can_be_typed(self):
        self.assertEqual(matrix.chosen(["arm64*"]), ["arm64, 4K pages", "arm64, 64K pages"])
        self.assertEqual(matrix.chosen(["x86-rt"]), ["x86-64, PREEMPT_RT"])
        with self.assertRaisesRegex(LabError, "no target"):
            matrix.chosen(["vax"])

    def test_each_test_is_counted(self):
        row = matrix.Row("x")
        with contextlib.redirect_stdout(io.StringIO()):
            matrix.count(row, TARGET, tap.parse(GOOD))
        self.assertEqual((row.passed, row.failed, row.skipped), (2, 0, 0))


if __name__ == "__main__":
    unittest.main()
