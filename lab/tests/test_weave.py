# SPDX-License-Identifier: GPL-2.0
"""Some of a series' patches without the others: where each line goes, and what cannot be."""

import shutil
import tempfile
import unittest
from pathlib import Path

from lab.common import LabError
from lab.git import Git
from lab.weave import Weave


class Weaving(unittest.TestCase):
    """Each patch is one state of the file f: a text, a character a line."""

    def setUp(self) -> None:
        self.dir = Path(tempfile.mkdtemp(prefix="lab-test-"))
        self.addCleanup(shutil.rmtree, self.dir)
        self.git = Git(self.dir)
        self.git("init", "-q", ".")

    def weave(self, *states: str, name: str = "f") -> Weave:
        commits: list[str] = []
        for state in states:
            blob = self.git.store("".join(f"{c}\n" for c in state).replace("_", "").encode())
            entry = f"100644 blob {blob}\t{name}\n" if state else ""
            commits.append(self.git.commit(self.git("mktree", data=entry), f"make it {state}",
                                           *commits[-1:]))
        self.git("tag", "base", commits[0])
        self.commits = commits[1:]
        return Weave(self.git, self.commits)

    def with_(self, weave: Weave, *patches: int) -> str:
        return weave.files["f"].visible(patches).decode().replace("\n\n", "\n_\n").replace("\n", "")

    def refused(self, weave: Weave, *patches: int) -> list[tuple[int, int]]:
        return [(patch, other) for patch, other, _ in weave.missing(set(patches))]

    def test_neighbours_at_the_end(self):
        """Two that each add a line at the end: for a merge a conflict, but clear for each."""
        #        base     1       2
        weave = self.weave("ab", "abX", "abXY")
        self.assertEqual([self.with_(weave, *s) for s in ((), (1,), (2,), (1, 2))],
                         ["ab", "abX", "abY", "abXY"])
        self.assertEqual(self.refused(weave, 2), [])

    def test_second_before_the_first(self):
        weave = self.weave("ab", "aXb", "aYXb")
        self.assertEqual(self.with_(weave, 2), "aYb")
        self.assertEqual(self.refused(weave, 2), [])

    def test_between_lines_of_two_others(self):
        weave = self.weave("ab", "aXb", "aXYb", "aXZYb")
        self.assertEqual(self.with_(weave, 3), "aZb")
        self.assertEqual(self.refused(weave, 3), [])

    def test_within_another(self):
        """A line between two of a patch that is not there belongs nowhere."""
        weave = self.weave("ab", "aXXb", "aXYXb")
        self.assertEqual(self.refused(weave, 2), [(2, 1)])
        self.assertEqual(self.refused(weave, 1, 2), [])

    def test_blank_lines_are_nobodys(self):
        weave = self.weave("ab", "aX_b", "aXY_b")
        self.assertEqual(self.refused(weave, 2), [])

    def test_takes_away_what_is_not_there(self):
        weave = self.weave("ab", "aXb", "aYb")
        self.assertEqual(self.refused(weave, 2), [(2, 1)])

    def test_another_replaced_the_line_beside(self):
        """X stands for b; Y comes behind it, and stays there when b is back."""
        weave = self.weave("abc", "aXc", "aXYc")
        self.assertEqual(self.with_(weave, 2), "abYc")
        self.assertEqual(self.refused(weave, 2), [])
        self.assertEqual(self.with_(self.weave2("abc", "aXc", "aYXc"), 2), "aYbc")

    def weave2(self, *states: str) -> Weave:
        self.git("tag", "-d", "base")
        return self.weave(*states)

    def test_where_another_has_removed_a_line(self):
        """Before b or behind it? Nobody can tell."""
        weave = self.weave("abc", "ac", "aYc")
        self.assertEqual(self.refused(weave, 2), [(2, 1)])

    def test_a_file_of_another(self):
        weave = self.weave("", "ab", "abX")
        self.assertEqual(self.refused(weave, 2), [(2, 1)])

    def test_all_of_them_are_the_series(self):
        weave = self.weave("abcdefg", "aXcdefg", "aXcdeYZg", "QaXcdeYg")
        index = Git(self.dir, index=self.dir / "index")
        tree = self.git("rev-parse", f"{self.commits[-1]}^{{tree}}")
        weave.proven(index, tree)
        weave.files["f"].lines[3].gone = 1
        with self.assertRaises(LabError):
            weave.proven(index, tree)
