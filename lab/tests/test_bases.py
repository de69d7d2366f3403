# SPDX-License-Identifier: GPL-2.0
"""Several bases: one series, and for each further base only what differs."""

import os
import subprocess
import sys
from unittest import mock

from lab import bases, common, refresh, tree
from lab.tests import fake

LTS = "6.12"
OLD = fake.ALLOC.replace("line_19;", "line_19_of_lts;")
# As make refresh writes them.
FIRST = fake.FIRST.replace(" - a list\n", " - a list\n\n")
SECOND = fake.SECOND.replace("7 @@", "7 @@ int line_16;")
# The call of the checker as it has to be there.
LOCAL = SECOND.replace("line_19;", "line_19_of_lts;")
THIRD = """Subject: mm: make it faster
---
diff --git a/mm/page_alloc.c b/mm/page_alloc.c
--- a/mm/page_alloc.c
+++ b/mm/page_alloc.c
@@ -33,7 +33,7 @@ int line_31;
 int line_32;
 int line_33;
 int line_34;
-int line_35;
+int line_35 = 1;
 int line_36;
 int line_37;
 int line_38;
"""


class Bases(fake.Fake):
    def setUp(self):
        super().setUp()
        self.repo({"0001-checker.patch": FIRST, "0002-call.patch": SECOND,
                   "0003-faster.patch": THIRD})
        self.folder = self.root / "bases" / LTS

    def lts(self, series="0001-checker.patch\n0002-call.patch\n# without 0003-faster.patch\n"):
        """The next commands are about a second base, on which one patch differs and one has no
        place."""
        self.lock(LTS, version="6.12.7")
        fake.write(self.folder / "series", series)
        fake.write(self.folder / "patches/0002-call.patch", LOCAL)
        kernel = fake.kernel(self.dir / "linux-6.12", sublevel=7, alloc=OLD, release="6.12")
        self.ksrc(fake.tarball(kernel, self.dir / "lts.tar.xz"))
        self.become(LTS)

    def become(self, base):
        build = self.root / "build" / ("" if base == "7.2" else base)
        self.tree = build / "linux"
        patch = mock.patch.multiple(common, BASE=base, BUILD=build, TREE=self.tree)
        patch.start()
        self.addCleanup(patch.stop)

    def refresh(self):
        return self.call(refresh.main, [])[1]

    def own(self):
        """What the folder of the base holds beside its lock."""
        return sorted(set(self.names(self.folder)) - {"lock"})

    @staticmethod
    def names(place):
        return [str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()]


class Tree(Bases):
    def test_what_differs_takes_the_place_of_the_main_one(self):
        self.lts()
        fake.write(self.folder / "overlay/mm/new.c", "int of_lts;\n")
        self.assertIn("2 commits on the base", self.ensure())
        self.assertEqual(self.git("log", "--format=%s").splitlines(),
                         ["mm: call the checker", "mm: add the checker", "Linux 6.12.7"])
        self.assertIn("int line_20 = 1;", (self.tree / "mm/page_alloc.c").read_text())
        self.assertEqual((self.tree / "mm/new.c").read_text(), "int of_lts;\n")
        self.assertIn("PAGE CHECKER", (self.tree / "MAINTAINERS").read_text())
        self.assertIn("up to date", self.ensure())

    def test_base_where_nothing_differs_has_a_lock_alone(self):
        self.lock("7.3", version="7.3.4")
        kernel = fake.kernel(self.dir / "linux-7.3", sublevel=4, release="7.3")
        self.ksrc(fake.tarball(kernel, self.dir / "next.tar.xz"))
        self.become("7.3")
        self.assertIn("3 commits on the base", self.ensure())

    def test_the_main_tree_is_another_one(self):
        self.ensure()
        head = self.git("rev-parse", "HEAD")
        self.lts()
        self.ensure()
        self.become("7.2")
        self.assertEqual(self.git("rev-parse", "HEAD"), head)
        self.assertIn("up to date", self.ensure())

    def test_new_files_of_a_patch_that_is_left_out(self):
        self.lts("# without 0001-checker.patch\n0002-call.patch\n# without 0003-faster.patch\n")
        self.ensure()
        self.assertFalse((self.tree / "mm/new.c").exists())
        self.assertNotIn("PAGE CHECKER", (self.tree / "MAINTAINERS").read_text())

    def test_new_file_that_a_different_patch_does_without(self):
        fake.write(self.folder / "patches/0001-checker.patch",
                   FIRST.replace(" mm/new.c\n", ""))
        self.lts()
        self.ensure()
        self.assertFalse((self.tree / "mm/new.c").exists())

    def test_number_of_a_patch_does_not_count(self):
        self.lts("0007-checker.patch\n0008-call.patch\n# without 0009-faster.patch\n")
        self.assertIn("2 commits on the base", self.ensure())

    def test_forgotten_patch(self):
        self.lts("0001-checker.patch\n0002-call.patch\n")
        self.fails(tree.ensure, "0003-faster.patch: in patches/series; add a line for it, or "
                   "'# without 0003-faster.patch'")

    def test_own_patch_outside_of_the_series(self):
        self.lts("0001-checker.patch\n# without 0002-call.patch\n# without 0003-faster.patch\n")
        self.fails(tree.ensure, "0002-call.patch: in bases/6.12/patches, but not in the series")

    def test_line_that_names_no_patch(self):
        self.lts("0001-checker.patch\n0002-call.patch\n0003-faster.patch\n0004-gone.patch\n")
        self.fails(tree.ensure, "0004-gone.patch: neither in patches/series nor in")

    def test_said_both_ways(self):
        self.lts("0001-checker.patch\n0002-call.patch\n0003-faster.patch\n"
                 "# without 0003-faster.patch\n")
        self.fails(tree.ensure, "0003-faster.patch: both in the series and left out")


class Refresh(Bases):
    def test_round_trip_changes_nothing(self):
        self.lts("# why\n0001-checker.patch # it\n0002-call.patch\n\n# too new\n"
                 "# without 0003-faster.patch\n# the end\n")
        self.ensure()
        before = self.snapshot()
        self.assertIn("refresh: 0 files", self.refresh())
        self.assertEqual(self.snapshot(), before)
        self.assertIn("up to date", self.ensure())

    def test_lines_where_hunks_stand_are_no_difference(self):
        """On another kernel they stand elsewhere; a copy of each patch would say nothing."""
        self.lts("0001-checker.patch\n0002-call.patch\n0003-faster.patch\n")
        longer = fake.kernel(self.dir / "b/linux-6.12", alloc="int one_more;\n" + OLD,
                             sublevel=7, release="6.12")
        self.ksrc(fake.tarball(longer, self.dir / "longer.tar.xz"))
        self.assertIn("offset", self.ensure())
        before = self.snapshot()
        self.assertIn("refresh: 0 files", self.refresh())
        self.assertEqual(self.snapshot(), before)
        text = "int one_more;\n" + OLD.replace("line_20;", "line_20 = 1;")
        fake.write(self.tree / "mm/page_alloc.c", text.replace("line_35;", "line_35 = 3;"))
        self.git("commit", "-qa", "--amend", "--no-edit")
        self.refresh()
        self.assertIn("patches/0003-faster.patch", self.own())
        # and back: what is the same but for the lines is not kept, either
        fake.write(self.tree / "mm/page_alloc.c", text.replace("line_35;", "line_35 = 1;"))
        self.git("commit", "-qa", "--amend", "--no-edit")
        self.refresh()
        self.assertEqual(self.snapshot(), before)

    def test_edit_stays_on_this_base(self):
        self.lts()
        self.ensure()
        before = self.snapshot()
        fake.write(self.tree / "mm/new.c", "int of_lts;\n")
        self.assertIn("new     bases/6.12/overlay/mm/new.c", self.refresh())
        self.assertEqual(self.own(), ["overlay/mm/new.c", "patches/0002-call.patch", "series"])
        after = self.snapshot()
        self.assertEqual(after.pop("bases/6.12/overlay/mm/new.c")[0], b"int of_lts;\n")
        self.assertEqual(after, before)
        self.assertIn("up to date", self.ensure())
        # and back: what does not differ any more is not kept
        fake.write(self.tree / "mm/new.c", "int fresh;\n")
        self.assertIn("removed bases/6.12/overlay/mm/new.c", self.refresh())
        self.assertEqual(self.snapshot(), before)

    def test_main_patch_that_came_to_differ(self):
        self.lts()
        self.ensure()
        fake.write(self.tree / "mm/Makefile", "obj-y := page_alloc.o\nobj-m += new.o\n")
        self.refresh()
        self.assertEqual(self.own(), ["patches/0001-checker.patch", "patches/0002-call.patch",
                                      "series"])
        self.assertEqual((self.root / "patches/0001-checker.patch").read_text(), FIRST)

    def test_commits_come_and_go(self):
        self.lts()
        self.ensure()
        fake.write(self.tree / "Kconfig", 'mainmenu "lts"\n')
        self.git("commit", "-qam", "mm: for this kernel only")
        self.refresh()
        self.assertEqual((self.folder / "series").read_text(),
                         "0001-checker.patch\n0002-call.patch\n"
                         "0003-mm-for-this-kernel-only.patch\n# without 0003-faster.patch\n")
        self.git("reset", "-q", "--hard", "HEAD~2")
        self.refresh()
        self.assertEqual((self.folder / "series").read_text(),
                         "0001-checker.patch\n# without 0003-faster.patch\n"
                         "# without 0002-call.patch\n")
        self.assertEqual(self.own(), ["series"])
        self.assertIn("up to date", self.ensure())

    def test_main_patch_changed_meanwhile(self):
        """The tree does not have that change: to write it back would undo it on this base."""
        self.lts()
        self.ensure()
        fake.write(self.tree / "mm/page_alloc.c", OLD.replace("line_20;", "line_20 = 2;"))
        self.git("commit", "-qa", "--amend", "--no-edit")
        fake.write(self.root / "patches/0001-checker.patch",
                   FIRST.replace("Why it is", "Why this is"))
        before = self.snapshot()
        self.fails(lambda: refresh.main([]), "changed since the tree was assembled", "0001-checker")
        self.assertEqual(self.snapshot(), before)

    def test_interrupted_anywhere(self):
        """Each write is a place where it can end; made again, the result is the same."""
        self.lts()
        self.ensure()
        fake.write(self.tree / "mm/new.c", "int of_lts;\n")
        fake.write(self.tree / "mm/page_alloc.c", OLD.replace("line_20;", "line_20 = 2;"))
        place, real = self.tree.parent / "repository", os.replace
        for last in range(1, 30):
            count = 0

            def replace(here, there, stop=last):
                nonlocal count
                count += "/repository/" in str(there) or "/bases/" in str(there)
                if count == stop:
                    raise KeyboardInterrupt
                return real(here, there)
            with mock.patch.object(os, "replace", replace):
                try:
                    self.refresh()
                    break
                except KeyboardInterrupt:
                    pass
        self.assertGreater(last, 3)
        self.assertEqual(self.own(), ["overlay/mm/new.c", "patches/0002-call.patch", "series"])
        self.assertIn("line_20 = 2;", (self.folder / "patches/0002-call.patch").read_text())
        self.assertEqual((place / "mm/new.c").read_text(), "int of_lts;\n")
        self.assertIn("up to date", self.ensure())

    def test_other_files_of_the_folder_stay(self):
        self.lts()
        fake.write(self.folder / "README", "what is not there\n")
        self.ensure()
        fake.write(self.tree / "mm/new.c", "int of_lts;\n")
        self.refresh()
        self.assertTrue((self.folder / "README").exists())
        self.assertTrue((self.folder / "lock").exists())


class Chosen(Bases):
    def test_unknown_base(self):
        self.lock(LTS)
        self.lock("7.10")
        self.become("5.4")
        self.fails(bases.check, "BASE=5.4: there is no such base; there are 7.2, 7.10, 6.12",
                   "7.2 without BASE=")

    def test_each_base_has_a_build_folder_and_all_have_one_cache(self):
        def places(**given):
            env = {key: value for key, value in os.environ.items()
                   if key not in ("BASE", "LAB_BUILD", "LAB_CACHE")}
            text = subprocess.run(
                [sys.executable, "-c", "from lab.common import *; print(BASE, BUILD, CACHE, TREE)"],
                env={**env, **given}, capture_output=True, text=True, check=True).stdout
            return text.strip().replace(f"{common.Path(tree.__file__).parents[1]}/", "").split()
        main = subprocess.run([sys.executable, "-c", "from lab.common import MAIN; print(MAIN)"],
                              capture_output=True, text=True, check=True).stdout.strip()
        self.assertEqual(places()[1:], ["build", "build/cache", "build/linux"])
        self.assertEqual(places(BASE=main)[1:], ["build", "build/cache", "build/linux"])
        self.assertEqual(places(BASE="6.12"),
                         ["6.12", "build/6.12", "build/cache", "build/6.12/linux"])
        self.assertEqual(places(BASE="6.12", LAB_BUILD="/x"),
                         ["6.12", "/x", "/x/cache", "/x/linux"])
        self.assertEqual(places(BASE="")[1:], ["build", "build/cache", "build/linux"])

    def test_clean_spares_the_trees_of_other_bases(self):
        self.ensure()
        self.lts()
        self.ensure()
        fake.write(self.tree / "mm/precious.c", "precious\n")
        lts = self.tree
        self.become("7.2")
        self.fails(lambda: tree.clean_main([]), "build/6.12/linux", "make clean")
        self.assertTrue((lts / "mm/precious.c").exists())


class Moved(Bases):
    """The lock names another kernel than it did, as after git pull."""

    def test_tree_follows(self):
        self.ksrc()
        first = self.source("first", self.tarball)
        with mock.patch.object(tree.source, "find", return_value=first):
            self.ensure()
        kernel = fake.kernel(self.dir / "b/linux-7.2.14", sublevel=14)
        second = self.source("second", fake.tarball(kernel, self.dir / "14.tar.xz"))
        with mock.patch.object(tree.source, "find", return_value=second):
            self.assertIn("up to date", self.ensure())
            self.lock(version="7.2.14")
            self.assertIn("base changes from first to second", self.ensure())
            self.assertEqual(self.git("log", "-1", "--format=%s", "base"), "Linux 7.2.14")
        with mock.patch.object(tree.source, "find", side_effect=AssertionError("looked again")):
            self.assertIn("up to date", self.ensure())

    def test_another_text_about_the_same_kernel(self):
        self.ksrc()
        with mock.patch.object(tree.source, "find", return_value=self.source("it", self.tarball)):
            self.ensure()
        self.lock(sha256=tree.source.sha256(self.tarball))
        with mock.patch.object(tree.source, "find", side_effect=AssertionError("looked again")):
            self.assertIn("verified: sha256", self.ensure())

    def test_kernel_of_the_users_own_stays(self):
        self.ensure()
        self.lock(version="7.2.14")
        with mock.patch.object(tree.source, "find", side_effect=AssertionError("looked again")):
            self.assertIn("7.2.14 is the one that was verified", self.ensure())

    @staticmethod
    def source(origin, tarball):
        digest = tree.source.sha256(tarball)
        return tree.source.Source("tarball", tarball, origin, digest, f"sha256:{digest}")
