# SPDX-License-Identifier: GPL-2.0
"""A file that the series adds and later patches change: there, back, and edited on each side."""

import os
from unittest import mock

from lab import checks, patches, refresh, series, stages, tree
from lab.checks import source
from lab.tests import fake

TEXT = "".join(f"int new_{n};\n" for n in range(30))
TITLES = ["mm: add the checker", "mm: call the checker", "mm: second", "mm: third"]


class Stages(fake.Fake):
    """Patch 1 adds mm/new.c, 3 and 4 change lines of it that are beside each other."""

    MORE = fake.GET_MAINTAINER

    def setUp(self) -> None:
        super().setUp()
        self.repo()
        fake.write(self.root / "mm/new.c", TEXT)
        self.ensure()
        self.replace("new_5", "new_5 = 2")
        self.commit("mm: second")
        self.replace("new_7", "new_7 = 3")
        self.commit("mm: third")
        self.made = self.git("rev-parse", "HEAD")
        self.refresh()

    def replace(self, old: str, new: str, top=None, name: str = "mm/new.c") -> None:
        path = (top or self.tree) / name
        text = path.read_text()
        self.assertIn(f"{old};\n", text)
        path.write_text(text.replace(f"{old};\n", f"{new};\n"))

    def commit(self, message: str, **files: str) -> None:
        for name, text in files.items():
            fake.write(self.tree / name, text)
            self.git("add", "-f", name)
        self.git("commit", "-q", "-a", "-m", message)

    def refresh(self) -> str:
        return self.call(refresh.main, [])[1]

    def squash(self) -> None:
        self.git("-c", "sequence.editor=:", "rebase", "-q", "-i", "--autosquash", "base")

    def at(self, title: str, name: str = "mm/new.c") -> str:
        """The file at the commit of this title."""
        commit = self.git("log", "--format=%H", f"--grep=^{title}$", "base..HEAD")
        return self.git.bytes("cat-file", "blob", f"{commit}:{name}").decode()

    def patch(self, name: str) -> str:
        return next((self.root / "patches").glob(f"*-{name}.patch")).read_text()

    def consistent(self) -> None:
        """Neither side changes the other, nor does a tree that is made anew, down to the hashes."""
        head, before = self.git("rev-parse", "HEAD"), self.snapshot()
        self.assertIn("0 files of the repository changed", self.refresh())
        fake.shutil.rmtree(self.tree)
        self.ksrc(self.tarball)
        self.assertNotIn("offset", self.ensure())
        self.assertEqual(self.git("rev-parse", "HEAD"), head)
        self.assertIn("0 files of the repository changed", self.refresh())
        self.assertEqual(self.git("rev-parse", "HEAD"), head)
        self.assertEqual(self.snapshot(), before)


class Kept(Stages):
    def test_there_and_back(self):
        second = TEXT.replace("new_5", "new_5 = 2")
        third = second.replace("new_7", "new_7 = 3")
        self.assertEqual((self.root / "mm/new.c").read_text(), third)
        self.assertIn("New-files:\n mm/new.c\n", self.patch("checker"))
        self.assertTrue(self.patch("mm-second").endswith(
            "---\ndiff --git a/mm/new.c b/mm/new.c\n--- a/mm/new.c\n+++ b/mm/new.c\n"
            "@@ -3,7 +3,7 @@ int new_1;\n int new_2;\n int new_3;\n int new_4;\n-int new_5;\n"
            "+int new_5 = 2;\n int new_6;\n int new_7;\n int new_8;\n"))
        self.assertEqual(self.git("rev-parse", "HEAD"), self.made)
        self.consistent()
        self.assertEqual([self.at(title) for title in TITLES], [TEXT, TEXT, second, third])

    def test_all_that_a_hunk_can_do(self):
        """Lines go, come at both ends, a file is filled that was empty, or loses its last newline."""
        self.commit("mm: fourth", **{"lib/empty.c": "", "lib/one.c": "one\n",
                                     "lib/sub/Makefile": "obj-y += a.o\n", "lib/sub/a.c": "a\n"})
        text = (self.tree / "mm/new.c").read_text()
        self.commit("mm: fifth", **{
            "mm/new.c": "first\n" + text.replace("int new_10;\nint new_11;\n", "") + "last\n",
            "lib/empty.c": "filled\n", "lib/one.c": "one",
            "lib/sub/Makefile": "obj-y += a.o\nobj-y += b.o\n", "lib/sub/b.c": "b\n"})
        self.commit("mm: sixth", **{"lib/one.c": "", "lib/sub/Makefile": "obj-y += b.o\n"})
        self.refresh()
        self.consistent()
        self.assertEqual(self.at("mm: fourth", "lib/one.c"), "one\n")
        self.assertEqual(self.at("mm: fifth", "lib/one.c"), "one")
        self.assertEqual(self.at("mm: fourth", "lib/sub/Makefile"), "obj-y += a.o\n")
        self.assertIn("New-files:\n lib/sub/b.c\n---\n", self.patch("mm-fifth"))
        self.assertEqual((self.root / "lib/one.c").read_text(), "")

    def test_mode(self):
        run, name = self.root / "tools/testing/run.sh", "tools/testing/run.sh"
        (self.tree / name).chmod(0o644)
        self.commit("mm: fourth")
        self.refresh()
        self.assertFalse(os.access(run, os.X_OK))
        self.consistent()
        self.assertTrue(self.git("ls-tree", "HEAD^", name).startswith("100755"))
        run.chmod(0o755)
        self.fails(tree.ensure, "mm-fourth", "has type 100755, expected 100644")

    def test_mails(self):
        """A thread has the file as it is in between, all of them as it is in the end."""
        self.cover("01-first", Patches=["mm: add *", "mm: call *", "mm: second"])
        self.cover("02-rest", Patches="mm: third", Applies_on="01-first",
                   Change_id="20261127-rest-0123456789ab")
        _, out = self.call(series.main, [], ("Sen Der", "sender@example.org"))
        self.assertIn("02-rest.mbx: 1 patch on 01-first", out)
        self.assertIn("all together are build/linux", out)

    def test_moved_fixup(self):
        """A line goes from the fourth commit to the third."""
        self.git("reset", "-q", "--hard", "HEAD^")
        self.replace("new_7", "new_7 = 3")
        self.git("commit", "-q", "-a", "--amend", "-m", "mm: second")
        self.replace("new_20", "new_20 = 3")
        self.commit("mm: third")
        self.refresh()
        self.assertIn("new_7 = 3", self.at("mm: second"))
        self.assertIn("-int new_7;\n+int new_7 = 3;\n", self.patch("mm-second"))
        self.assertNotIn("new_7", self.patch("mm-third"))
        self.consistent()

    def test_dropped_commit(self):
        self.git("reset", "-q", "--hard", "HEAD^")
        self.assertIn("removed patches/0004-mm-third.patch", self.refresh())
        self.assertEqual((self.root / "mm/new.c").read_text(), TEXT.replace("new_5", "new_5 = 2"))
        self.consistent()

    def test_another_introduction(self):
        """The commit that changes the file becomes the one that adds it."""
        self.git("reset", "-q", "--hard", "HEAD~3")
        self.git("rm", "-q", "--cached", "mm/new.c")
        self.git("commit", "-q", "--amend", "--no-edit")
        (self.tree / "mm/new.c").unlink()
        self.commit("mm: second", **{"mm/new.c": TEXT})
        self.replace("new_7", "new_7 = 3")
        self.commit("mm: third")
        self.refresh()
        self.assertNotIn("mm/new.c", self.patch("checker"))
        self.assertIn("New-files:\n mm/new.c\n", self.patch("mm-second"))
        self.consistent()


class Edited(Stages):
    """Outside of later hunks an edit belongs to the first commit, whichever side it is made on."""

    def everywhere(self, line: str) -> None:
        for title in TITLES:
            self.assertIn(line, self.at(title))

    def test_overlay(self):
        self.replace("new_20", "new_20 = 1", self.root)
        self.assertNotIn("offset", self.ensure())
        self.everywhere("int new_20 = 1;")
        self.consistent()

    def test_overlay_with_more_lines(self):
        self.replace("new_1", "more;\nint new_1", self.root)
        edited = (self.root / "mm/new.c").read_text()
        self.assertRegex(self.ensure(), r"0003-mm-second.patch: mm/new.c: Hunk #1 .*offset")
        self.everywhere("int more;\n")
        self.assertEqual((self.tree / "mm/new.c").read_text(), edited)
        self.assertIn("2 files of the repository changed", self.refresh())
        self.assertEqual((self.root / "mm/new.c").read_text(), edited)
        self.consistent()

    def test_tree(self):
        self.replace("new_1", "more;\nint new_1")
        edited = (self.tree / "mm/new.c").read_text()
        self.refresh()
        self.everywhere("int more;\n")
        self.assertNotIn("new_7 = 3", self.at("mm: second"))
        self.assertEqual((self.root / "mm/new.c").read_text(), edited)
        self.consistent()

    def test_mode_in_the_tree(self):
        (self.tree / "mm/new.c").chmod(0o755)
        self.refresh()
        self.assertTrue(os.access(self.root / "mm/new.c", os.X_OK))
        self.consistent()
        self.assertTrue(self.git("ls-tree", "HEAD~3", "mm/new.c").startswith("100755"))

    def test_overlay_in_a_later_hunk(self):
        self.replace("new_5 = 2", "new_5 = 4", self.root)
        self.fails(tree.ensure, "! int new_5 = 2;    belongs to patches/0003-mm-second.patch\n",
                   "|   int new_7 = 3;\n",
                   "git checkout", "commit --fixup", "--autosquash", "make refresh")
        # What it says to do.
        self.replace("new_5 = 4", "new_5 = 2", self.root)
        self.assertIn("up to date", self.ensure())
        self.replace("new_5 = 2", "new_5 = 4")
        self.git("commit", "-q", "-a", "--fixup=HEAD^")
        self.squash()
        self.refresh()
        self.assertIn("+int new_5 = 4;", self.patch("mm-second"))
        self.assertIn("new_5;", self.at(TITLES[0]))
        self.consistent()

    def test_overlay_beside_a_later_hunk(self):
        """No fuzz: nothing tells whether the line is meant for the commit before or behind."""
        self.replace("new_9", "new_9 = 4", self.root)
        self.fails(tree.ensure, "mm/new.c is not as patches/0004-mm-third.patch leaves it",
                   "! int new_9;    belongs to the patch that adds the file\n")

    def test_line_put_into_a_later_hunk(self):
        self.replace("new_5 = 2", "new_5 = 2;\nint more", self.root)
        self.fails(tree.ensure, "no longer together")

    def test_tree_in_a_later_hunk(self):
        before = self.snapshot()
        self.replace("new_5 = 2", "new_5 = 4")
        self.fails(self.refresh, "mm/new.c was edited", "! int new_5 = 2;    belongs to 'mm: second'\n",
                   "--fixup")
        self.assertEqual(self.snapshot(), before)
        self.git("commit", "-q", "-a", "--fixup=HEAD^")
        self.squash()
        self.refresh()
        self.consistent()

    def test_hunk_taken_out_of_the_patch(self):
        """What stands in the overlay and is of no later patch is of the first."""
        self.replace("new_20", "new_20 = 4")
        self.commit("mm: fourth", **{"Kconfig": "menu\n"})
        self.refresh()
        path = self.root / "patches/0005-mm-fourth.patch"
        path.write_text(path.read_text().partition("diff --git a/mm/new.c")[0])
        self.ensure()
        self.everywhere("int new_20 = 4;")
        self.consistent()

    def test_both_sides(self):
        self.replace("new_20", "new_20 = 1", self.root)
        self.replace("new_25", "new_25 = 1")
        self.fails(tree.ensure, "make refresh", "make tree FORCE=1")
        self.fails(self.refresh, "mm/new.c", "FORCE=1")
        self.ksrc(FORCE="1")
        self.refresh()
        self.assertIn("new_20 = 1", (self.build / "before-refresh/mm/new.c").read_text())
        self.everywhere("int new_25 = 1;")
        self.consistent()

    def test_one_place_alone(self):
        """A shifted hunk that fits twice is not taken away where it is nearest."""
        text = "a\nb\nc\nnew\nd\ne\nf\n"
        self.commit("mm: fourth", **{"lib/twice.c": "0\n" + text.replace("new\n", "") + text})
        self.commit("mm: fifth", **{"lib/twice.c": "0\n" + text + text})
        self.refresh()
        self.consistent()
        fake.write(self.root / "lib/twice.c", "0\nshifted\n" + text + text)
        self.fails(tree.ensure, "not as patches/0006-mm-fifth.patch leaves it", "several places")


class Refused(Stages):
    def test_hunk_that_the_overlay_does_not_have(self):
        """A patch that was written by hand has to be in the overlay, too."""
        fake.write(self.root / "mm/new.c", TEXT)
        self.fails(tree.ensure, "! int new_7 = 3;    belongs to patches/0004-mm-third.patch\n",
                   "after all patches")

    def test_hunk_before_the_file(self):
        names = (self.root / "patches/series").read_text().splitlines()[1:]
        fake.write(self.root / "patches/series",
                   "".join(f"{names[n]}\n" for n in (2, 0, 1, 3)))
        self.fails(tree.ensure, "mm/new.c: 0003-mm-second.patch changes it",
                   "0001-checker.patch that lists it")

    def test_part_without_its_line(self):
        """patch(1) knows such a part, and git apply as well."""
        path = self.root / "patches/0002-call.patch"
        path.write_text(path.read_text() + "--- a/mm/new.c\n+++ b/mm/new.c\n"
                        "@@ -28,3 +28,4 @@\n int new_27;\n int new_28;\n int new_29;\n+more\n")
        self.fails(tree.ensure, "0002-call.patch changes mm/page_alloc.c mm/new.c", "diff --git")

    def test_no_diff_at_all(self):
        for name, told in (("0002-call", "0002-call.patch does not apply"),
                           ("0004-mm-third", "mm/new.c is not as patches/0004-mm-third.patch")):
            path = self.root / f"patches/{name}.patch"
            old = path.read_text()
            path.write_text(old.replace(",7 +", ",9 +"))
            self.fails(tree.ensure, told, "corrupt patch")
            path.write_text(old)

    def test_deletion_and_new_name(self):
        before = self.snapshot()
        for change in (lambda: self.git("rm", "-q", "mm/new.c"),
                       lambda: self.git("mv", "mm/new.c", "mm/other.c")):
            change()
            self.commit("mm: fourth")
            self.fails(self.refresh, "deletes mm/new.c", "last name", "--fixup")
            self.git("reset", "-q", "--hard", "HEAD^")
        self.assertEqual(self.snapshot(), before)

    def test_earlier_text_is_compared(self):
        """Should the lab ever make another text of a file, nothing is written."""
        before, real = self.snapshot(), stages.of_series
        self.commit("mm: fourth", **{"Kconfig": "menu\n"})
        for commit, told in ((0, "'mm: add the checker'"), (3, "does not end with the overlay")):
            def wrong(*args, commit=commit):
                texts, notices = real(*args)
                texts[commit]["mm/new.c"] = args[2]["tools/testing/run.sh"]
                return texts, notices
            with mock.patch.object(stages, "of_series", wrong):
                self.fails(self.refresh, told, "mm/new.c")
        self.assertEqual(self.snapshot(), before)


class Checked(Stages):
    def test_what_belongs_to_the_kernel(self):
        there = checks.Tree(self.tree, self.root)
        self.assertEqual(there.touched, ["mm/Makefile", "mm/page_alloc.c"])
        self.assertEqual(there.whole, ["tools/testing/run.sh"])

    def test_what_checkpatch_says_of_a_commit(self):
        """Nothing else looks at a file as it is in between."""
        there = checks.Tree(self.tree, self.root)
        said = ["mm/new.c:1: SPACING: x", "tools/testing/run.sh:1: SPACING: x"]
        with mock.patch.object(source, "checkpatch", return_value=said):
            self.assertEqual(source.checkpatch_mail(there, "a mail"), said[:1])


class Sections(fake.unittest.TestCase):
    def test_parts_of_a_diff(self):
        parts = [(name, f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n"
                        "-x\n+diff --git a/y b/y\n".encode()) for name in ("mm/a.c", "lib/b c.h")]
        patch = patches.Patch("", "", diff=b"".join(part for _, part in parts))
        self.assertEqual(patch.sections, parts)
        self.assertEqual(patches.Patch("", "").sections, [])
