# SPDX-License-Identifier: GPL-2.0
"""No test writes where the user's files go: mails, edits, reports of the last run."""

import unittest
from unittest import mock

from lab import cases, suite
from lab.cases import series
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


if __name__ == "__main__":
    unittest.main()
