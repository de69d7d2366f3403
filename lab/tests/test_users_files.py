# SPDX-License-Identifier: GPL-2.0
"""No test writes where the user's files go: mails, edits, reports of the last run."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from lab import cases, common, suite, tap
from lab.cases import series, unit
from lab.tests import fake


class Series(fake.Fake):
    MORE = fake.GET_MAINTAINER

    def test_no_case_writes_where_the_users_files_go(self):
        self.repo()
        self.cover()
        self.ensure()
        fake.write(self.build / "series/0001-mine.patch", "edited by hand\n")
        before, there = self.snapshot(), self.files()
        found = {}
        with mock.patch.object(series, "b4_am", lambda out, one: out / f"{one.thread.name}.mbx"):
            for case in [one for one in cases.REGISTRY if one.group == "series"]:
                found[case.run], said = self.call(suite.run, case)
                self.assertEqual(self.files(), there, f"{case.name}\n{said}")
        self.assertEqual(self.snapshot(), before)
        # The others find that the patches of the fake are not as make refresh would have them.
        self.assertEqual(found[series.mails].outcome, suite.PASS, found[series.mails].reason)

    def files(self):
        """{path: content} below build/, but for what git keeps in the tree."""
        return {str(path.relative_to(self.build)): path.read_bytes()
                for path in self.build.rglob("*") if path.is_file()
                and not path.is_relative_to(self.tree / ".git") and path.suffix != ".lock"}


class Users(unittest.TestCase):
    """The guard of lab/cases/unit.py: no test writes where the user's files go."""

    def test_what_tests_leave(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for path in ("linux", "check", "logs"):
                (folder / path).mkdir()
            (folder / "logs/olddefconfig-x86.log").touch()
            self.assertEqual(unit.left(folder), [])
            for path in ("series", "before-refresh", "linux.discarded"):
                (folder / path).mkdir()
            (folder / "logs/test.summary").touch()
            self.assertEqual(unit.left(folder), ["before-refresh", "linux.discarded",
                                                 "logs/test.summary", "series"])

    def test_case_that_runs_such_a_test_fails(self):
        def writes(_argv, env):
            (Path(env["LAB_BUILD"]) / "series").mkdir()
            return tap.parse("KTAP version 1\n1..1\nok 1 lab.tests.a\n")
        with tempfile.TemporaryDirectory() as name, \
                mock.patch.multiple(common, BUILD=Path(name), TREE=Path(name) / "linux"), \
                mock.patch.object(unit.packages, "need"), mock.patch.object(unit.tree, "ensure"), \
                mock.patch.object(unit, "ktap_of", writes), \
                contextlib.redirect_stdout(io.StringIO()), \
                self.assertRaisesRegex(cases.Failure, "below build/: series"):
            unit.lab(suite.Note())


if __name__ == "__main__":
    unittest.main()
