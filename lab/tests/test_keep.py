# SPDX-License-Identifier: GPL-2.0
"""What a user has written is not lost, whichever command comes next or is interrupted."""

import os
from unittest import mock

from lab import refresh, tree
from lab.tests import fake

FOREIGN = "int nothing;\n"		# mm/page_alloc.c of a kernel on which a patch does not apply


class Keep(fake.Fake):
    def setUp(self) -> None:
        super().setUp()
        self.repo()

    def foreign(self) -> None:
        """The next make tree gets a kernel on which the second patch does not apply."""
        old = fake.kernel(self.dir / "b/linux-6.1", sublevel=7, alloc=FOREIGN, release="6.1")
        self.ksrc(fake.tarball(old, self.dir / "6.1.tar.xz"))

    def refresh(self) -> str:
        return self.call(refresh.main, [])[1]

    def commit(self, message: str, **files: str) -> str:
        for name, text in files.items():
            name = {"new": "mm/new.c", "kconfig": "Kconfig", "alloc": "mm/page_alloc.c",
                    "more": "lib/more.c"}[name]
            fake.write(self.tree / name, text)
            self.git("add", "-f", name)
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def consistent(self) -> None:
        self.assertIn("up to date", self.ensure())
        before = self.snapshot()
        self.assertIn("0 files of the repository changed", self.refresh())
        self.assertEqual(self.snapshot(), before)


class BareBase(Keep):
    """make tree has failed, and the tree is not the series."""

    def test_refresh_refuses_and_says_what_would_go(self):
        self.foreign()
        self.fails(tree.ensure, "make refresh")
        before = self.snapshot()
        self.commit("mm: by hand", alloc="int hand;\n")
        self.ksrc()
        self.fails(self.refresh, "make tree", "0001-checker.patch", "FORCE=1")
        self.assertEqual(self.snapshot(), before)
        self.ksrc(FORCE="1")
        self.assertIn("removed mm/new.c", self.refresh())

    def test_nothing_was_done_there_either(self):
        self.foreign()
        self.fails(tree.ensure)
        before = self.snapshot()
        self.fails(self.refresh, "make tree")
        self.assertEqual(self.snapshot(), before)

    def test_series_that_was_ported_by_hand(self):
        """Each patch has its commit again: nothing is lost, so nothing is refused."""
        self.ensure()
        self.refresh()
        self.git("bundle", "create", self.dir / "old", "series")
        fake.shutil.rmtree(self.tree)
        self.foreign()
        self.fails(tree.ensure)
        self.git("fetch", "-q", self.dir / "old", "series")
        self.git("cherry-pick", "FETCH_HEAD^")
        self.commit("mm: call the checker", alloc="int ported;\n")
        self.ksrc()
        self.assertIn("2 patches", self.refresh())
        self.assertIn("+int ported;", (self.root / "patches/0002-call.patch").read_text())
        self.assertTrue((self.root / "mm/new.c").exists())
        self.consistent()

    def test_failed_change_of_the_base_leaves_the_tree(self):
        self.ensure()
        head = self.git("rev-parse", "HEAD")
        self.foreign()
        self.fails(tree.ensure, "does not apply", "is as it was")
        self.assertEqual(self.git("rev-parse", "HEAD"), head)
        self.ksrc()
        self.assertIn("up to date", self.ensure())
        self.assertEqual([p.name for p in self.build.iterdir() if p.name.startswith(".part")], [])

    def test_killed_between_old_base_and_new(self):
        """The record comes with the tree, so that no tree stands there that nobody knows."""
        with mock.patch.object(tree, "announce", side_effect=KeyboardInterrupt), \
                self.assertRaises(KeyboardInterrupt):
            self.ensure()
        self.assertIn("base", tree.load_record())
        with mock.patch.object(tree, "write_record", side_effect=KeyboardInterrupt), \
                self.assertRaises(KeyboardInterrupt):
            fake.shutil.rmtree(self.tree)
            self.ensure()
        self.ksrc(self.tarball)
        self.ensure()

    def test_all_commits_are_gone(self):
        self.ensure()
        before = self.snapshot()
        self.git("reset", "-q", "--hard", "base")
        self.fails(self.refresh, "0002-call.patch", "FORCE=1")
        self.commit("mm: something else", kconfig="menu\n")
        self.fails(self.refresh, "0002-call.patch", "FORCE=1")
        self.assertEqual(self.snapshot(), before)


class Elsewhere(Keep):
    """Commits that are not on the branch of the series."""

    def setUp(self) -> None:
        super().setUp()
        self.ensure()
        self.refresh()

    def test_refresh_takes_the_branch_of_the_series_only(self):
        before = self.snapshot()
        self.git("checkout", "-q", "-b", "mine")
        self.commit("mm: mine", kconfig="menu\n")
        self.fails(self.refresh, "branch mine", "series")
        self.assertEqual(self.snapshot(), before)

    def test_rebase_that_was_left_half_way(self):
        """HEAD lacks the commits that were still to come, and no longer says so."""
        before = self.snapshot()
        self.git("checkout", "-q", "--detach", "HEAD^")
        self.fails(self.refresh, "no branch")
        self.assertEqual(self.snapshot(), before)

    def test_make_tree_does_not_move_another_branch(self):
        self.commit("mm: on the series", kconfig="menu\n")
        self.git("checkout", "-q", "-b", "mine", "HEAD^")
        fake.write(self.root / "mm/new.c", "int other;\n")
        self.fails(tree.ensure, "branch mine", "FORCE=1")

    def test_force_keeps_both_branches(self):
        mine = self.commit("mm: on the series", kconfig="menu\n")
        self.git("checkout", "-q", "-b", "mine", "HEAD^")
        fake.write(self.tree / "mm/new.c", "int edited;\n")
        fake.write(self.root / "mm/new.c", "int other;\n")
        self.ksrc(FORCE="1")
        self.ensure()
        self.assertEqual(self.git("show", "refs/lab/discarded:mm/new.c"), "int edited;")
        self.assertTrue(self.git.ok("merge-base", "--is-ancestor", mine, "refs/lab/discarded"))
        self.consistent()

    def other_work(self, what: str) -> None:
        if what == "branch":
            self.git("checkout", "-q", "-b", "mine")
            self.commit("mm: mine", kconfig="menu\n")
            self.git("checkout", "-q", "series")
        else:
            fake.write(self.tree / "Kconfig", "menu\n")
            self.git("stash")

    def test_clean_spares_other_branches(self):
        self.other_work("branch")
        self.fails(lambda: tree.clean_main([]), "mine")
        self.assertTrue(self.tree.exists())
        self.git("branch", "-D", "mine")
        self.call(tree.clean_main, [])
        self.assertFalse(self.tree.exists())

    def test_clean_spares_the_stash(self):
        self.other_work("stash")
        self.fails(lambda: tree.clean_main([]), "stash")
        self.assertTrue(self.tree.exists())

    def test_another_base_spares_other_branches(self):
        self.other_work("branch")
        other = fake.kernel(self.dir / "b/linux-7.2.14", sublevel=14)
        self.ksrc(fake.tarball(other, self.dir / "14.tar.xz"))
        self.fails(tree.ensure, "mine")
        self.ksrc(self.dir / "14.tar.xz", FORCE="1")
        self.ensure()
        kept = fake.Git(self.build / "linux.discarded")
        self.assertEqual(kept("show", "mine:Kconfig"), "menu")
        self.fails(lambda: self.call(tree.clean_main, []), "linux.discarded")

    def test_branch_that_was_refreshed_is_no_obstacle(self):
        self.commit("mm: mine", kconfig="menu\n")
        self.git("branch", "copy")
        self.refresh()
        self.call(tree.clean_main, [])
        self.assertFalse(self.tree.exists())


class Force(Keep):
    """make tree FORCE=1 puts aside, it does not destroy."""

    def setUp(self) -> None:
        super().setUp()
        self.ensure()
        self.refresh()

    def force(self) -> None:
        self.ksrc(FORCE="1")
        self.ensure()

    def test_untracked_file(self):
        fake.write(self.tree / "lib/draft.c", "precious\n")
        self.force()
        self.assertFalse((self.tree / "lib/draft.c").exists())
        self.assertEqual(self.git("show", "refs/lab/discarded:lib/draft.c"), "precious")

    def test_twice(self):
        for text in ("first\n", "second\n"):
            fake.write(self.tree / "Kconfig", text)
            self.force()
        self.assertEqual(self.git("show", "refs/lab/discarded:Kconfig"), "second")
        self.assertEqual(self.git("show", "refs/lab/discarded@{1}:Kconfig"), "first")

    def test_in_a_rebase(self):
        mine = self.commit("mm: mine", kconfig="menu\n")
        self.git("checkout", "-q", "-b", "other", "HEAD^")
        self.commit("mm: theirs", kconfig="conflict\n")
        self.git("checkout", "-q", "series")
        self.assertFalse(self.git.ok("rebase", "other"))
        self.fails(self.refresh, "in the middle of a rebase")
        self.force()
        self.assertTrue(self.git.ok("merge-base", "--is-ancestor", mine, "refs/lab/discarded"))
        self.consistent()

    def test_rebase_that_was_aborted(self):
        self.commit("mm: mine", kconfig="menu\n")
        self.git("checkout", "-q", "-b", "other", "HEAD^")
        self.commit("mm: theirs", kconfig="conflict\n")
        self.git("checkout", "-q", "series")
        self.assertFalse(self.git.ok("rebase", "other"))
        self.git("rebase", "--abort")
        self.assertIn("3 patches", self.refresh())
        self.consistent()

    def test_revert_and_bisect_are_not_finished(self):
        for name in ("REVERT_HEAD", "BISECT_LOG", "sequencer"):
            fake.write(self.tree / ".git" / name, "")
            self.fails(self.refresh, "in the middle of")
            (self.tree / ".git" / name).unlink()


class BothSides(Keep):
    """The repository was changed since the tree was assembled, and the tree as well."""

    def setUp(self) -> None:
        super().setUp()
        self.ensure()
        self.refresh()

    def test_refresh_does_not_revert_the_repository(self):
        fake.write(self.root / "mm/new.c", "int pulled;\n")
        self.commit("mm: mine", kconfig="menu\n")
        self.fails(self.refresh, "mm/new.c", "FORCE=1")
        self.assertEqual((self.root / "mm/new.c").read_text(), "int pulled;\n")

    def test_patch_that_is_not_listed_yet(self):
        draft = fake.SECOND.replace("call", "draft")
        fake.write(self.root / "patches/0003-draft.patch", draft)
        self.commit("mm: mine", kconfig="menu\n")
        self.fails(self.refresh, "0003-draft.patch")
        self.assertEqual((self.root / "patches/0003-draft.patch").read_text(), draft)

    def test_the_same_change_on_both_sides(self):
        for top in (self.root, self.tree):
            fake.write(top / "mm/new.c", "int both;\n")
        self.refresh()
        self.consistent()

    def test_commit_while_refresh_works(self):
        fake.write(self.tree / "mm/new.c", "int edited;\n")
        real = refresh.install

        def install(*args):
            real(*args)
            self.commit("mm: meanwhile", kconfig="menu\n")
        with mock.patch.object(refresh, "install", install):
            self.fails(self.refresh, "make refresh brings the rest")
        self.assertIn("3 patches", self.refresh())
        self.assertIn("0003-mm-meanwhile", (self.root / "patches/series").read_text())
        self.consistent()

    def test_repository_changed_after_an_interrupted_refresh(self):
        fake.write(self.tree / "mm/new.c", "int edited;\n")
        with mock.patch.object(refresh, "_replace", side_effect=KeyboardInterrupt), \
                self.assertRaises(KeyboardInterrupt):
            self.refresh()
        fake.write(self.root / "mm/new.c", "int by hand;\n")
        self.fails(self.refresh, "mm/new.c", "FORCE=1")
        self.ksrc(FORCE="1")
        self.refresh()
        self.assertEqual((self.build / "before-refresh/mm/new.c").read_text(), "int by hand;\n")

    def test_copies_of_earlier_refreshes_stay(self):
        for text in ("first\n", "second\n"):
            fake.write(self.root / "mm/new.c", text)
            fake.write(self.tree / "mm/new.c", "int edited;\n" + text)
            self.ksrc(FORCE="1")
            self.refresh()
        self.ksrc()
        self.consistent()
        self.assertEqual((self.build / "before-refresh/mm/new.c").read_text(), "second\n")
        self.assertEqual((self.build / "before-refresh.1/mm/new.c").read_text(), "first\n")

    def test_commits_of_earlier_refreshes_stay(self):
        mine = self.commit("mm: mine", kconfig="menu\n")
        self.refresh()
        self.commit("mm: more", more="int more;\n")
        self.refresh()
        self.assertEqual(self.git("log", "-g", "--format=%H", "refs/lab/before-refresh")
                         .split()[1], mine)


class Moved(Keep):
    """Commits and files that change their place."""

    def setUp(self) -> None:
        super().setUp()
        self.ensure()
        self.refresh()

    def amend_first(self, change) -> None:
        """Change the first commit of the series, as a rebase does."""
        last = self.git("rev-parse", "HEAD")
        self.git("reset", "-q", "--hard", "HEAD^")
        change()
        self.git("commit", "-q", "--amend", "--no-edit")
        self.git("cherry-pick", last)

    def test_renamed_file(self):
        self.amend_first(lambda: self.git("mv", "mm/new.c", "mm/renamed.c"))
        self.refresh()
        self.assertEqual((self.root / "mm/renamed.c").read_text(), "int fresh;\n")
        self.assertFalse((self.root / "mm/new.c").exists())
        self.consistent()

    def test_renamed_but_not_committed(self):
        before = self.snapshot()
        for rename in (lambda: self.git("mv", "mm/new.c", "mm/renamed.c"),
                       lambda: os.rename(self.tree / "mm/new.c", self.tree / "mm/renamed.c")):
            rename()
            self.fails(self.refresh, "mm/new.c", "mm/renamed.c")
            self.assertEqual(self.snapshot(), before)
            self.git("reset", "-q", "--hard")
            (self.tree / "mm/renamed.c").unlink(missing_ok=True)

    def test_folder_becomes_file_and_back(self):
        for old, new in (("mm/new.c", "mm/new.c.tmp"), ("mm/new.c.tmp", "mm/new.c/deep/a.c"),
                         ("mm/new.c/deep/a.c", "mm/moved"), ("mm/moved", "mm/new.c")):
            def move(old=old, new=new):
                (self.tree / new).parent.mkdir(parents=True, exist_ok=True)
                self.git("mv", old, new)
                if new == "mm/moved":		# git mv leaves the empty folders behind
                    fake.shutil.rmtree(self.tree / "mm/new.c")
            self.amend_first(move)
            self.refresh()
            self.assertEqual((self.root / new).read_text(), "int fresh;\n")
            self.consistent()

    def test_new_file_moves_to_another_commit(self):
        self.git("reset", "-q", "--soft", "base")
        self.git("reset", "-q")
        self.git("add", "-f", "mm/Makefile", "MAINTAINERS", "tools/testing/run.sh")
        self.git("commit", "-q", "-m", "mm: add the checker\n\nWhy it is needed.\n\n - a list")
        self.git("add", "-f", "mm/page_alloc.c", "mm/new.c")
        self.git("commit", "-q", "-m", "mm: call the checker")
        fake.write(self.tree / "mm/new.c", "int edited;\n")
        self.refresh()
        self.assertEqual((self.root / "mm/new.c").read_text(), "int edited;\n")
        self.assertIn("New-files:\n mm/new.c\n",
                      (self.root / "patches/0002-call.patch").read_text())
        self.consistent()

    def test_reworded_and_inserted(self):
        self.git("commit", "-q", "--amend", "-m", "mm: reworded")
        self.commit("mm: mine", more="int more;\n")
        self.refresh()
        self.assertEqual((self.root / "patches/series").read_text(),
                         "# order\n0001-checker.patch\n0002-mm-reworded.patch\n"
                         "0003-mm-mine.patch\n")
        self.consistent()

    def test_two_commits_of_one_title(self):
        for text in ("one\n", "two\n"):
            self.commit("mm: the same", kconfig=text)
        self.assertIn("4 patches", self.refresh())
        self.consistent()

    def test_commit_without_a_title(self):
        before = self.snapshot()
        fake.write(self.tree / "Kconfig", "menu\n")
        self.git("commit", "-q", "-a", "--allow-empty-message", "-m", "")
        self.fails(self.refresh, "no title")
        self.assertEqual(self.snapshot(), before)

    def test_comments_of_the_series(self):
        text = "# order\n0001-checker.patch  # first\n\n# second part\n0002-call.patch\n# end\n"
        fake.write(self.root / "patches/series", text)
        self.ensure()
        self.commit("mm: mine", more="int more;\n")
        self.refresh()
        self.assertEqual((self.root / "patches/series").read_text(), text.replace(
            "# end\n", "0003-mm-mine.patch\n# end\n"))
