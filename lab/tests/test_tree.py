# SPDX-License-Identifier: GPL-2.0
"""Patches and overlay become a tree; what disagrees is refused."""

import os
from unittest import mock

from lab import common, patches, tree
from lab.tests import fake


class Assemble(fake.Fake):
    def test_commits_and_files(self):
        self.repo()
        self.ensure()
        self.assertEqual(self.git("log", "--format=%s").splitlines(),
                         ["mm: call the checker", "mm: add the checker", "Linux 7.2.13"])
        self.assertEqual(self.git("log", "-1", "--format=%b", "HEAD^"),
                         "Why it is needed.\n\n - a list")
        self.assertEqual((self.tree / "mm/new.c").read_text(), "int fresh;\n")
        self.assertTrue(os.access(self.tree / "tools/testing/run.sh", os.X_OK))
        self.assertIn("int line_20 = 1;", (self.tree / "mm/page_alloc.c").read_text())
        # what the tarball holds is base, ignored or not
        self.assertIn("lib/blob.o", self.git.listing("base"))
        text = (self.tree / "MAINTAINERS").read_text()
        self.assertLess(text.index("OMEGA"), text.index("PAGE CHECKER"))
        self.assertLess(text.index("PAGE CHECKER"), text.index("THE REST"))
        self.assertEqual(patches.remove_entries(text, ["PAGE CHECKER"]), fake.MAINTAINERS)

    def test_same_hash_again(self):
        self.repo()
        self.ensure()
        first = self.git("rev-parse", "HEAD")
        # on any machine, for anybody, at any time
        self.assertEqual(first, "b1122243873486305c956df0c5a522a9de3e3a35")
        fake.shutil.rmtree(self.tree)
        self.ksrc(self.tarball)
        self.ensure()
        self.assertEqual(self.git("rev-parse", "HEAD"), first)

    def test_empty_series(self):
        self.assertIn("no patches", self.ensure())
        self.assertEqual(self.git("rev-list", "--count", "HEAD"), "1")

    def test_second_time_is_a_no_op(self):
        self.repo()
        self.ensure()
        with mock.patch.object(tree, "assemble", side_effect=AssertionError("assembled again")):
            self.assertIn("up to date", self.ensure())

    def test_unchanged_files_keep_their_time(self):
        self.repo()
        self.ensure()
        files = [p for p in self.tree.rglob("*") if p.is_file() and ".git" not in p.parts]
        for path in files:
            os.utime(path, (10**9, 10**9))
        self.git("update-index", "-q", "--refresh")
        fake.write(self.root / "mm/new.c", "int other;\n")
        self.ensure()
        touched = [p.name for p in files if p.stat().st_mtime != 10**9]
        self.assertEqual(touched, ["new.c"])
        self.assertEqual((self.tree / "mm/new.c").read_text(), "int other;\n")

    def test_lost_record(self):
        """Interrupted between checkout and record: the same hashes show that all is well."""
        self.repo()
        self.ensure()
        fake.write(self.root / "mm/new.c", "int other;\n")
        with mock.patch.object(tree, "write_record", side_effect=KeyboardInterrupt):
            with self.assertRaises(KeyboardInterrupt):
                self.ensure()
        self.ensure()
        self.assertIn("up to date", self.ensure())

    def test_edits_only_in_tree(self):
        self.repo()
        self.ensure()
        fake.write(self.tree / "mm/new.c", "int edited;\n")
        self.assertIn("used as it is", self.ensure())
        self.assertEqual((self.tree / "mm/new.c").read_text(), "int edited;\n")

    def test_both_sides_changed(self):
        self.repo()
        self.ensure()
        fake.write(self.tree / "mm/new.c", "int edited;\n")
        fake.write(self.root / "mm/new.c", "int other;\n")
        self.fails(tree.ensure, "make refresh", "make tree FORCE=1")
        self.assertEqual((self.tree / "mm/new.c").read_text(), "int edited;\n")
        self.ksrc(FORCE="1")
        self.ensure()
        self.assertEqual((self.tree / "mm/new.c").read_text(), "int other;\n")
        self.assertEqual(self.git("show", "refs/lab/discarded:mm/new.c"), "int edited;")

    def test_clean_spares_edits(self):
        self.repo()
        self.ensure()
        fake.write(self.tree / "mm/untracked.c", "precious\n")
        self.fails(lambda: tree.clean_main([]), "make refresh", "make clean")
        self.assertTrue(self.tree.exists())
        (self.tree / "mm/untracked.c").unlink()
        self.call(tree.clean_main, [])
        self.assertFalse(self.tree.exists())

    def test_base_worktree(self):
        self.repo()
        self.ensure()
        path, _ = self.call(tree.base_worktree)
        self.assertEqual(path, self.build / "base/linux")
        self.assertEqual((path / "mm/page_alloc.c").read_text(), fake.ALLOC)
        self.assertFalse((path / "mm/new.c").exists())
        fake.write(path / "mm/page_alloc.c", "edited\n")
        self.fails(tree.base_worktree, "unpatched kernel")


class Refused(fake.Fake):
    """Each disagreement is an error that names the file, and the tree stays without it."""

    def refused(self, *parts, **changes):
        self.repo({"0001-checker.patch": changes.get("first", fake.FIRST),
                   "0002-call.patch": changes.get("second", fake.SECOND)})
        change = changes.get("change")
        if change:
            change()
        message = self.fails(tree.ensure, *parts)
        if self.tree.exists():
            self.assertEqual(self.git("rev-list", "--count", "HEAD"), "1")
        return message

    def test_fuzz(self):
        # patch(1) would take this with fuzz 1: one line of context differs
        self.refused("0002-call.patch does not apply", "no fuzz",
                     second=fake.SECOND.replace(" int line_17;", " int line_xx;"))

    def test_offset_is_said(self):
        self.repo({"0001-checker.patch": fake.FIRST,
                   "0002-call.patch": fake.SECOND.replace("-18,7 +18,7", "-12,7 +12,7")})
        self.assertRegex(self.ensure(), r"0002-call.patch: Hunk #1 succeeded at 18 \(offset 6")

    def test_reject_shows_the_hunk(self):
        self.refused("patch failed: mm/page_alloc.c:18", "int line_99;",
                     second=fake.SECOND.replace("-int line_20;", "-int line_99;"))

    def test_already_applied(self):
        def third():
            again = fake.SECOND.replace("call the", "call again the")
            fake.write(self.root / "patches/0003-again.patch", again)
            with open(self.root / "patches/series", "a", encoding="ascii") as out:
                out.write("0003-again.patch\n")
        self.refused("0003-again.patch is already applied", change=third)

    def test_patch_not_in_series(self):
        self.refused("0003-x.patch: in patches/, but not in patches/series",
                     change=lambda: fake.write(self.root / "patches/0003-x.patch", fake.SECOND))

    def test_series_line_without_file(self):
        self.refused("0002-call.patch: in patches/series, but there is no such file",
                     change=lambda: (self.root / "patches/0002-call.patch").unlink())

    def test_series_line_twice(self):
        self.refused("twice", change=lambda: fake.write(
            self.root / "patches/series",
            "0001-checker.patch\n0002-call.patch\n0002-call.patch\n"))

    def test_overlay_file_missing(self):
        self.refused("mm/new.c: 0001-checker.patch lists it",
                     change=lambda: (self.root / "mm/new.c").unlink())

    def test_overlay_file_unlisted(self):
        self.refused("lib/stray.c: no patch lists it",
                     change=lambda: fake.write(self.root / "lib/stray.c", ""))

    def test_listed_twice(self):
        self.refused("mm/new.c: listed as new by 0001-checker.patch and by 0002-call.patch",
                     second=fake.SECOND.replace("---\ndiff", "\nNew-files:\n mm/new.c\n---\ndiff"))

    def test_new_over_existing(self):
        self.refused("mm/page_alloc.c is listed as new, but the kernel already has it",
                     first=fake.FIRST.replace(" mm/new.c", " mm/page_alloc.c"),
                     change=lambda: os.rename(self.root / "mm/new.c",
                                              self.root / "mm/page_alloc.c"))

    def test_outside_of_the_overlay(self):
        self.refused("lab/x.c: is outside of",
                     first=fake.FIRST.replace(" mm/new.c", " mm/new.c\n lab/x.c"))

    def test_new_file_text(self):
        self.refused("holds a new file's text", second=fake.SECOND + (
            "diff --git a/mm/x.c b/mm/x.c\nnew file mode 100644\n--- /dev/null\n"
            "+++ b/mm/x.c\n@@ -0,0 +1 @@\n+int x;\n"))

    def test_deletion(self):
        self.refused("does not delete", second=fake.SECOND + (
            "diff --git a/Kconfig b/Kconfig\ndeleted file mode 100644\n--- a/Kconfig\n"
            "+++ /dev/null\n@@ -1 +0,0 @@\n-mainmenu\n"))

    def test_no_separator(self):
        self.refused("no line ---", second="Subject: x\n\nbody\n")

    def test_entry_unknown(self):
        self.refused("no patch has a line 'Maintainers-entry: PAGE CHECKER'",
                     first=fake.FIRST.replace("Maintainers-entry: PAGE CHECKER\n", ""))


class Maintainers(fake.unittest.TestCase):
    def test_places(self):
        base = "intro\n\n" + "\n".join(f"{title}\nM:\tx\n" for title in (
            "BETA", "ZOO OUT OF PLACE", "iSCSI", "ZED", "THE REST"))
        for title, before in (("ALPHA", "BETA"), ("GAMMA", "ZOO OUT OF PLACE"), ("PAGE", "ZED"),
                              ("ZZZ", "THE REST")):
            text = patches.insert_entry(base, title, f"{title}\nM:\tx\n")
            self.assertIn(f"\n\n{title}\nM:\tx\n\n{before}\n", text)
            self.assertEqual(patches.remove_entries(text, [title]), base)

    def test_twice(self):
        with self.assertRaises(common.LabError):
            patches.insert_entry("BETA\nM:\tb\n", "BETA", "BETA\nM:\tb\n")
