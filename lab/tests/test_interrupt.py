# SPDX-License-Identifier: GPL-2.0
"""make refresh is killed before any one of its steps, and made again."""

import os
import sys
from contextlib import contextmanager
from unittest import mock

from lab import common, refresh
from lab.tests import fake
from lab.tests.test_keep import Keep


class Killed(BaseException):
    """Not even what stands under finally is done any more."""


class Interrupted(Keep):
    """A refresh that is killed before any one of its steps can be made again."""

    EVENTS = {"os.rename", "os.remove", "subprocess.Popen"}
    left: int | None = None			# steps until the kill
    hooked = False

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if not Interrupted.hooked:
            sys.addaudithook(Interrupted.step)
            Interrupted.hooked = True

    @staticmethod
    def step(event: str, _args: tuple) -> None:
        if Interrupted.left is None or event not in Interrupted.EVENTS:
            return
        Interrupted.left -= 1
        if Interrupted.left < 0:
            raise Killed

    @contextmanager
    def killed_at(self, number: int):
        """From the moment when the repository is about to change."""
        real = refresh.install

        def install(*args):
            Interrupted.left = number
            return real(*args)
        try:
            with mock.patch.object(refresh, "install", install):
                yield
        finally:
            Interrupted.left = None

    def at_each_step(self, check) -> None:
        """Kill one refresh after another, one step later each time, until one ends by itself."""
        saved = self.dir / "saved"
        fake.shutil.copytree(self.root, saved, symlinks=True)
        for number in range(200):
            try:
                with self.killed_at(number):
                    self.refresh()
            except Killed:
                with self.subTest(step=number):
                    check()
                fake.shutil.rmtree(self.root)
                fake.shutil.copytree(saved, self.root, symlinks=True)
            else:
                self.assertGreater(number, 5)
                return self.consistent()
        return self.fail("the refresh did not come to its end")

    def test_edits_and_commits(self):
        self.ensure()
        self.refresh()
        last = self.git("rev-parse", "HEAD")
        self.git("reset", "-q", "--hard", "HEAD^")
        self.commit("kconfig: between", kconfig="menu\n", more="int more;\n")
        self.git("cherry-pick", last)
        fake.write(self.tree / "mm/new.c", "int edited;\n")
        names = ("mm/new.c", "patches/series")
        old = {name: (self.root / name).read_text() for name in names}

        def again():
            self.refresh()
            self.assertEqual((self.root / "mm/new.c").read_text(), "int edited;\n")
            self.assertEqual((self.root / "patches/series").read_text(), "# order\n"
                             "0001-checker.patch\n0002-kconfig-between.patch\n0003-call.patch\n")
            for name in names:
                self.assertEqual((self.build / "before-refresh" / name).read_text(), old[name])
        self.at_each_step(again)

    def test_only_the_form_changes(self):
        """The tree is as it was assembled: only the record knows that there is more to do."""
        folder = self.root / "patches"
        os.rename(folder / "0001-checker.patch", folder / "0005-checker.patch")
        fake.write(self.root / "patches/series", "0005-checker.patch\n0002-call.patch\n")
        self.ensure()

        def again():
            try:
                self.ensure()
            except common.LabError as error:
                self.assertIn("make refresh", str(error))
            self.refresh()
            self.assertEqual((self.root / "patches/series").read_text(),
                             "0001-checker.patch\n0002-call.patch\n")
        self.at_each_step(again)
