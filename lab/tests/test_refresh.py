# SPDX-License-Identifier: GPL-2.0
"""The way back, tree to patches and overlay."""

import os

from lab import refresh
from lab.tests import fake


class Refresh(fake.Fake):
    def setUp(self):
        super().setUp()
        self.repo()
        self.ensure()

    def refresh(self):
        return self.call(refresh.main, [])[1]

    def settle(self):
        """First refresh: brings hand-written patches into the one form."""
        self.refresh()
        return self.snapshot()

    def edit(self, name, old, new):
        path = self.tree / name
        text = path.read_text()
        self.assertIn(old, text)
        path.write_text(text.replace(old, new))

    def commit(self, message, *names):
        self.git("add", "-f", *names)
        self.git("commit", "-q", "-m", message)

    def consistent(self):
        """After a refresh nothing is left to do on either side."""
        self.assertIn("up to date", self.ensure())
        before = self.snapshot()
        self.assertIn("0 files of the repository changed", self.refresh())
        self.assertEqual(self.snapshot(), before)

    def test_round_trip_changes_nothing(self):
        before = self.settle()
        fake.shutil.rmtree(self.tree)
        self.ksrc(self.tarball)
        self.ensure()
        self.assertIn("0 files of the repository changed", self.refresh())
        self.assertEqual(self.snapshot(), before)
        self.consistent()

    def test_hand_written_form_is_already_it(self):
        """But for the function name that git adds behind @@."""
        before = self.snapshot()
        after = self.settle()
        changed = {n for n in after if before.get(n) != after[n]}
        self.assertLessEqual(changed, {"patches/0001-checker.patch", "patches/0002-call.patch"})
        self.assertNotIn(b"\nindex ", after["patches/0002-call.patch"][0])

    def test_edit_of_new_file(self):
        self.settle()
        fake.write(self.tree / "mm/new.c", "int edited;\n")
        self.assertIn("changed mm/new.c", self.refresh())
        self.assertEqual((self.root / "mm/new.c").read_text(), "int edited;\n")
        self.consistent()

    def test_edit_of_existing_file(self):
        self.settle()
        self.edit("mm/page_alloc.c", "int line_20 = 1;", "int line_20 = 2;")
        out = self.refresh()
        self.assertIn("changed patches/0002-call.patch", out)
        self.assertNotIn("0001", out)
        self.assertIn("+int line_20 = 2;", (self.root / "patches/0002-call.patch").read_text())
        self.consistent()

    def test_edit_nobody_owns(self):
        before = self.settle()
        self.edit("Kconfig", "mainmenu", "menu")
        self.fails(self.refresh, "Kconfig was edited", "--fixup")
        self.assertEqual(self.snapshot(), before)

    def test_untracked_file(self):
        self.settle()
        fake.write(self.tree / "mm/more.c", "")
        self.fails(self.refresh, "mm/more.c", "Commit them")

    def test_new_commit(self):
        self.settle()
        fake.write(self.tree / "lib/more.c", "int more;\n")
        self.edit("mm/Makefile", "new.o", "new.o more.o")
        self.commit("lib: add More of it!\n\nBecause.\n", "lib/more.c", "mm/Makefile")
        self.refresh()
        text = (self.root / "patches/0003-lib-add-more-of-it.patch").read_text()
        self.assertTrue(text.startswith("Subject: lib: add More of it!\n\nBecause.\n\n"
                                        "New-files:\n lib/more.c\n---\ndiff --git"))
        self.assertNotIn("int more", text)
        self.assertEqual((self.root / "lib/more.c").read_text(), "int more;\n")
        self.assertEqual((self.root / "patches/series").read_text().splitlines()[-1],
                         "0003-lib-add-more-of-it.patch")
        self.consistent()

    def test_series_from_nothing(self):
        """The kernel author's way: no patches yet, only commits in the tree."""
        for name in ("patches", "mm", "tools", "MAINTAINERS"):
            path = self.root / name
            (fake.shutil.rmtree if path.is_dir() else os.unlink)(path)
        self.git("commit", "-q", "--amend", "-m", "mm: reworded")
        self.refresh()
        self.assertEqual((self.root / "patches/series").read_text(),
                         "0001-mm-add-the-checker.patch\n0002-mm-reworded.patch\n")
        self.assertEqual((self.root / "MAINTAINERS").read_text(), fake.ENTRY)
        self.consistent()

    def test_reworded_commit_keeps_its_name(self):
        self.settle()
        self.git("commit", "-q", "--amend", "-m", "mm: call it differently")
        self.refresh()
        self.assertIn("call it differently", (self.root / "patches/0002-call.patch").read_text())
        self.consistent()

    def test_fixup_not_squashed(self):
        self.settle()
        self.edit("Kconfig", "mainmenu", "menu")
        self.commit("fixup! mm: call the checker", "Kconfig")
        self.fails(self.refresh, "autosquash")

    def test_message_that_cannot_be_kept(self):
        self.settle()
        self.edit("Kconfig", "mainmenu", "menu")
        self.commit("x: y\n\nabove\n---\nbelow\n", "Kconfig")
        self.fails(self.refresh, "cannot be kept")

    def test_maintainers_edit(self):
        self.settle()
        self.edit("MAINTAINERS", "P <p@example.org>", "Q <q@example.org>")
        self.assertEqual(self.refresh().splitlines()[0], "changed MAINTAINERS")
        self.assertIn("Q <q@", (self.root / "MAINTAINERS").read_text())
        self.assertIn("SPDX", (self.root / "MAINTAINERS").read_text())
        self.consistent()

    def test_maintainers_other_change_is_a_hunk(self):
        self.settle()
        self.edit("MAINTAINERS", "F:\to/\n", "F:\to/\nF:\tp/\n")
        self.commit("MAINTAINERS: more of omega", "MAINTAINERS")
        self.refresh()
        self.assertIn("+F:\tp/", (self.root / "patches/0003-maintainers-more-of-omega.patch")
                      .read_text())
        self.consistent()

    def test_maintainers_wrong_place(self):
        before = self.settle()
        self.edit("MAINTAINERS", "ALPHA\n", "ZETA\nM:\tZ <z@example.org>\n\nALPHA\n")
        self.commit("MAINTAINERS: zeta", "MAINTAINERS")
        self.fails(self.refresh, "alphabetical")
        self.assertEqual(self.snapshot(), before)

    def test_unlisted_overlay_file_is_not_lost(self):
        self.settle()
        fake.write(self.tree / "mm/new.c", "int edited;\n")
        fake.write(self.root / "lib/draft.c", "precious\n")
        self.fails(self.refresh, "lib/draft.c")
        self.assertTrue((self.root / "lib/draft.c").exists())

    def test_only_repository_changed(self):
        self.settle()
        fake.write(self.root / "mm/new.c", "int other;\n")
        self.fails(self.refresh, "make tree brings")
        self.assertEqual((self.root / "mm/new.c").read_text(), "int other;\n")

    def test_both_changed_keeps_a_copy(self):
        self.settle()
        fake.write(self.root / "mm/new.c", "int other;\n")
        fake.write(self.tree / "mm/new.c", "int edited;\n")
        self.ksrc(FORCE="1")
        self.refresh()
        self.assertEqual((self.root / "mm/new.c").read_text(), "int edited;\n")
        self.assertEqual((self.build / "before-refresh/mm/new.c").read_text(), "int other;\n")

    def test_removed_commit(self):
        self.settle()
        self.git("reset", "-q", "--hard", "HEAD^")
        self.assertIn("removed patches/0002-call.patch", self.refresh())
        self.consistent()

    def test_inserted_commit_renumbers(self):
        self.settle()
        last = self.git("rev-parse", "HEAD")
        self.git("reset", "-q", "--hard", "HEAD^")
        self.edit("Kconfig", "mainmenu", "menu")
        self.commit("kconfig: between", "Kconfig")
        self.git("cherry-pick", last)
        self.refresh()
        self.assertEqual((self.root / "patches/series").read_text(),
                         "# order\n0001-checker.patch\n0002-kconfig-between.patch\n"
                         "0003-call.patch\n")
        self.consistent()
