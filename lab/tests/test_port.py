# SPDX-License-Identifier: GPL-2.0
"""The series on another kernel: what really conflicts, the rebase, and the way back."""

import os
import subprocess
from unittest import mock

from lab import bases, common, port, refresh, source, tree, unsaved
from lab.tests import fake
from lab.tests.test_bases import THIRD


class Port(fake.Fake):
    def setUp(self):
        super().setUp()
        self.repo({"0001-checker.patch": fake.FIRST, "0002-call.patch": fake.SECOND,
                   "0003-faster.patch": THIRD})

    def kernel(self, alloc=fake.ALLOC, files=None):
        """KSRC of the next command is Linux 7.3.4."""
        place = fake.kernel(self.dir / "next/linux-7.3.4", sublevel=4, alloc=alloc, release="7.3")
        for name, text in (files or {}).items():
            fake.write(place / name, text)
        self.ksrc(fake.tarball(place, self.dir / "next.tar.xz"))

    def port(self, *args, **kwargs):
        self.ensure()
        self.kernel(*args, **kwargs)
        return self.call(port.main, [])[1]

    @property
    def there(self):
        return fake.Git(self.build / "port/linux")

    def back(self, base="7.2"):
        """make refresh in the build folder of the port."""
        self.ksrc()
        with mock.patch.multiple(common, BUILD=self.build / "port", BASE=base,
                                 TREE=self.build / "port/linux"):
            bases.check()
            return self.call(refresh.main, [])[1]


# The text around two of the three changes is another one, and one of them conflicts.
MOVED = fake.ALLOC.replace("line_18;", "line_18_moved;").replace("line_35;", "line_35_other;")


class Conflicts(Port):
    """make tree KSRC=... of another release names what a merge cannot do, and nothing else."""

    def test_in_place_of_another_base(self):
        self.ensure()
        head = self.git("rev-parse", "HEAD")
        self.kernel(MOVED)
        text = self.fails(tree.ensure, "2 of 3 patches do not: 0002 0003\n", "1 of 3 patches conflict:",
                          "  0003-faster.patch: mm/page_alloc.c\n", "make port KSRC=",
                          "Linux 7.3.4", "is as it was, on Linux 7.2.13")
        self.assertNotIn("0002-call.patch", text)
        self.assertEqual(self.git("rev-parse", "HEAD"), head)
        self.assertFalse(self.git.dirty())

    def test_in_a_new_clone(self):
        """There is no tree of the old kernel; the tarball in the cache will do."""
        path = self.dir / "linux_7.2.13.orig.tar.xz"
        fake.shutil.copy(self.tarball, path)
        self.call(source.keep, path, "somewhere")
        self.kernel(MOVED)
        text = self.fails(tree.ensure, "the base alone",
                          "1 of 3 patches conflict:\n  0003-faster.patch: mm/page_alloc.c\n")
        self.assertNotIn("0002-call.patch", text)

    def test_where_nothing_is_known_of_the_old_kernel(self):
        self.kernel(MOVED)
        self.fails(tree.ensure, "2 of 3 patches", "make port KSRC=", "Ways to supply a 7.2")

    def test_neighbours_are_no_conflict(self):
        self.ensure()
        self.kernel(fake.ALLOC.replace("line_18;", "line_18_moved;"))
        self.fails(tree.ensure, "none of 3 patches conflicts\n")

    def test_what_was_settled_is_not_named_again(self):
        """A later patch to the same lines follows from the first."""
        again = THIRD.replace("faster", "faster still").replace("line_35;", "line_35 = 1;", 1) \
            .replace("+int line_35 = 1;", "+int line_35 = 2;")
        fake.write(self.root / "patches/0004-still.patch", again)
        with open(self.root / "patches/series", "a", encoding="utf-8") as out:
            out.write("0004-still.patch\n")
        self.ensure()
        self.kernel(MOVED)
        self.fails(tree.ensure, "1 of 4 patches conflict:")

    def test_file_that_is_gone(self):
        self.ensure()
        place = fake.kernel(self.dir / "next/linux-7.3.4", sublevel=4, release="7.3")
        (place / "mm/page_alloc.c").unlink()
        self.ksrc(fake.tarball(place, self.dir / "next.tar.xz"))
        self.fails(tree.ensure, "0002-call.patch: mm/page_alloc.c")


class Rebase(Port):
    def test_all_applies(self):
        out = self.port(fake.ALLOC.replace("line_18;", "line_18_moved;"))
        self.assertIn("all patches apply to Linux 7.3.4, tree "
                      + self.there("rev-parse", "HEAD^{tree}"), out)
        self.assertEqual(self.there("log", "--format=%s").splitlines(),
                         ["mm: make it faster", "mm: call the checker", "mm: add the checker",
                          "Linux 7.3.4"])
        self.assertFalse(self.there.dirty())
        self.assertEqual(unsaved.place(self.there), "")

    def test_conflict_is_left_to_the_user(self):
        out = self.port(MOVED)
        self.assertIn("1 of 3 patches conflict:\n  0003-faster.patch: mm/page_alloc.c", out)
        self.assertEqual(unsaved.operation(self.there), "rebase")
        with self.assertRaises(common.LabError) as caught:
            self.back()
        self.assertIn("in the middle of a rebase", str(caught.exception))
        text = (self.build / "port/linux/mm/page_alloc.c").read_text()
        self.assertIn("<<<<<<<", text)
        fake.write(self.build / "port/linux/mm/page_alloc.c",
                   MOVED.replace("line_20;", "line_20 = 1;").replace("other;", "other = 1;"))
        self.there("add", "-u")
        subprocess.run(["git", "-c", "core.editor=true", "rebase", "--continue"], check=True,
                       cwd=self.build / "port/linux", capture_output=True)
        self.back()
        self.assertIn("line_35_other = 1", (self.root / "patches/0003-faster.patch").read_text())

    def test_given_up(self):
        self.port(MOVED)
        self.there("rebase", "--abort")
        before = self.snapshot()
        with self.assertRaises(common.LabError):
            self.back()
        self.assertEqual(self.snapshot(), before)

    def test_patch_that_the_kernel_has(self):
        self.assertIn("1 are dropped, because that kernel has them",
                      self.port(fake.ALLOC.replace("line_35;", "line_35 = 1;")))

    def test_unsaved_work(self):
        self.ensure()
        fake.write(self.tree / "mm/new.c", "int edited;\n")
        self.kernel()
        self.fails(lambda: port.main([]), "make refresh first")
        self.assertFalse((self.build / "port/linux").exists())

    def test_another_attempt_spares_the_first(self):
        self.port(MOVED)
        self.kernel()
        self.fails(lambda: port.main([]), "in the middle of a rebase", "rm -r build/port/linux")
        self.assertEqual(unsaved.operation(self.there), "rebase")
        self.ksrc(os.environ.get("KSRC") or self.dir / "next.tar.xz", FORCE="1")
        self.call(port.main, [])
        self.assertTrue((self.build / "port/linux.discarded").exists())
        self.assertEqual(unsaved.operation(self.there), "")

    def test_needs_a_kernel(self):
        self.ensure()
        self.fails(lambda: port.main([]), "make port needs KSRC=")


class Back(Port):
    def test_main_series_moves(self):
        self.port(fake.ALLOC.replace("line_18;", "line_18_moved;"))
        out = self.back()
        self.assertIn('set MAIN = "7.3" in lab/common.py', out)
        lock = source.json.loads((self.root / "bases/7.3/lock").read_text())
        self.assertEqual((lock["version"], lock["tree"]),
                         ("7.3.4", self.there("rev-parse", "base^{tree}")))
        self.assertEqual(lock["sha256"], source.sha256(self.dir / "next.tar.xz"))
        self.assertIn("line_18_moved", (self.root / "patches/0002-call.patch").read_text())
        # and what was said is all there is to do
        fake.shutil.rmtree(self.root / "bases/7.2")
        self.ksrc(self.dir / "next.tar.xz")
        with mock.patch.multiple(common, MAIN="7.3", BASE="7.3"):
            out = self.ensure()
        self.assertIn("verified: sha256 and git tree as in bases/7.3/lock", out)
        self.assertIn("3 commits on the base", out)

    def test_further_base(self):
        self.ensure()
        self.call(refresh.main, [])		# what it would write anyway
        before = self.snapshot()
        self.port(fake.ALLOC.replace("line_18;", "line_18_moved;"))
        self.back("7.3")
        after = self.snapshot()
        own = {name for name in after if name.startswith("bases/7.3/")}
        self.assertEqual(own, {"bases/7.3/lock", "bases/7.3/patches/0002-call.patch"})
        self.assertEqual({n: t for n, t in after.items() if n not in own}, before)

    def test_tree_can_be_built_before(self):
        """The series is in it as the rebase has left it, not as patches/ say."""
        self.port(fake.ALLOC.replace("line_18;", "line_18_moved;"))
        self.ksrc()
        head = self.there("rev-parse", "HEAD")
        with mock.patch.multiple(common, BUILD=self.build / "port", TREE=self.build / "port/linux"):
            self.assertIn("used as it is", self.call(tree.ensure)[1])
        self.assertEqual(self.there("rev-parse", "HEAD"), head)

    def test_series_that_changed_meanwhile(self):
        self.port(fake.ALLOC.replace("line_18;", "line_18_moved;"))
        fake.write(self.root / "patches/0001-checker.patch",
                   fake.FIRST.replace("Why it is", "Why this is"))
        before = self.snapshot()
        with self.assertRaises(common.LabError) as caught:
            self.back()
        self.assertIn("changed since the tree was assembled", str(caught.exception))
        self.assertIn("patches/0001-checker.patch", str(caught.exception))
        self.assertNotIn("patches/0002-call.patch", str(caught.exception))
        self.assertEqual(self.snapshot(), before)

    def test_base_of_another_release(self):
        self.port()
        self.lock("6.12")
        with self.assertRaises(common.LabError) as caught:
            self.back("6.12")
        self.assertIn("is a port to Linux 7.3, not to 6.12", str(caught.exception))

    def test_distributions_tree_is_not_called_upstreams(self):
        self.port(files={".gitignore": "# Debian packaging: ignore everything\n"})
        self.back()
        lock = source.json.loads((self.root / "bases/7.3/lock").read_text())
        self.assertEqual((lock["tree"], lock["sha256"]), ("", ""))
        self.assertEqual(lock["patched"]["tree"], self.there("rev-parse", "base^{tree}"))

    def test_tree_without_a_tarball_is_verified_by_its_hash_alone(self):
        self.lock(sha256="", tree="")
        self.ksrc(fake.kernel(self.dir / "plain"))
        self.assertNotIn("verified: sha256", self.ensure())
