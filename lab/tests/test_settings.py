# SPDX-License-Identifier: GPL-2.0
"""What a user asks for is done or refused, and a list is no more than a list."""

import contextlib
import io
import os
import re
import runpy
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from lab import common, settings
from lab.common import ROOT, LabError

SENSELESS = {"JOBS": ("x", "0", "-1", "1.5"), "GUESTS": ("two", "0"), "SMP": ("0",),
             "NODES": ("x",), "SOAK": ("0.5", "ten", "inf"), "MEMORY": ("1T", "x", "0G"),
             "LAB_TIMEOUT_SCALE": ("x", "0", "-1", "nan", "inf"), "LAB_ACCEL": ("hvf",)}
SENSIBLE = {"JOBS": "3", "GUESTS": "1", "SOAK": "1.5", "MEMORY": "512M", "LAB_TIMEOUT_SCALE": "0.5",
            "LAB_ACCEL": "tcg"}


def entry():
    """What python3 -m lab has, without what it does."""
    with mock.patch.object(common, "main"), mock.patch("signal.signal"), \
            mock.patch.object(sys, "argv", ["lab"]):
        return runpy.run_module("lab.__main__")


class Listing(unittest.TestCase):
    """Where no program can be started and no folder made."""

    def lab(self, *argv, **environment):
        """What a command says; or what the LabError says, and then it has said nothing else."""
        out = io.StringIO()
        with mock.patch.dict(os.environ, environment), contextlib.redirect_stdout(out), \
                mock.patch("subprocess.Popen", side_effect=AssertionError("a program")), \
                mock.patch("os.mkdir", side_effect=AssertionError("a folder")):
            try:
                self.assertFalse(self.entry["dispatch"](list(argv)))
            except LabError as error:
                self.assertEqual(out.getvalue(), "")
                return f"error: {error}"
        return out.getvalue()

    def setUp(self):
        self.entry = entry()
        patch = mock.patch.dict(os.environ)
        patch.start()
        self.addCleanup(patch.stop)
        for one in settings.SETTINGS:
            os.environ.pop(one.name, None)

    def test_every_command_lists_or_refuses_and_does_nothing(self):
        for name in self.entry["COMMANDS"]:
            with self.subTest(name):
                said = self.lab(name, LIST="1")
                if name in settings.LISTED:
                    self.assertGreater(len(said.splitlines()), 1)
                    self.assertNotIn("error", said.splitlines()[0])
                else:
                    self.assertIn(f"error: make {name} does not know LIST=", said)

    def test_only_selects_or_is_refused(self):
        for name, glob in (("test", "unit:*"), ("test-long", "long*"), ("check", "*sparse*"),
                           ("matrix", "arm64*"), ("mutants", "drop-*")):
            with self.subTest(name):
                every, some, none = (self.lab(name, "LIST=1", ONLY=only)
                                     for only in ("", glob, "nothing-*"))
                self.assertLess(set(some.splitlines()), set(every.splitlines()))
                self.assertTrue(some and none.startswith("error: "), none)
        for name in set(self.entry["COMMANDS"]) - set(settings.LISTED):
            self.assertIn("does not know ONLY=", self.lab(name, ONLY="x"), name)

    def test_help_names_every_setting(self):
        text = self.lab("help")
        for one in settings.SETTINGS:
            self.assertRegex(text, rf"(?m)^{one.name} ")
        self.assertLessEqual(max(map(len, text.splitlines())), 110)


class Lab(unittest.TestCase):
    """The command itself, and what it leaves."""

    def lab(self, *argv, **environment):
        """(status, output, errors) of a lab that finds no program and has made no folder."""
        with tempfile.TemporaryDirectory(prefix="lab-test-") as folder:
            places = {"LAB_BUILD": f"{folder}/build", "LAB_CACHE": f"{folder}/cache"}
            done = subprocess.run([sys.executable, "-m", "lab", *argv], cwd=ROOT, text=True,
                                  capture_output=True, check=False, stdin=subprocess.DEVNULL,
                                  env={"PATH": "/nowhere", "PYTHONDONTWRITEBYTECODE": "1",
                                       **places, **environment})
            self.assertEqual(os.listdir(folder), [])
        return done.returncode, done.stdout, done.stderr

    def test_list(self):
        status, out, errors = self.lab("matrix", LIST="1")
        self.assertEqual((status, errors), (0, ""))
        self.assertIn("s390x, big endian\n", out)

    def test_nonsense_is_told_before_anything_is_done(self):
        for words, environment in ((["JOBS=x"], {}), ([], {"JOBS": "x"})):
            self.assertEqual(self.lab("tree", *words, **environment),
                             (2, "", "error: JOBS=x is not a whole number of at least 1\n"))


class Settings(unittest.TestCase):
    def test_values(self):
        for name, texts in SENSELESS.items():
            for text in texts:
                with self.assertRaises(LabError, msg=f"{name}={text}") as caught:
                    settings.refuse_nonsense("test", [f"{name}={text}"])
                self.assertIn(f"{name}={text}", str(caught.exception))
        settings.refuse_nonsense("test", [f"{name}={text}" for name, text in SENSIBLE.items()])
        # Empty is the same as none: make passes what stands behind it, also 'JOBS='.
        settings.refuse_nonsense("test", [f"{one.name}=" for one in settings.SETTINGS])
        with mock.patch.dict(os.environ, JOBS="", LAB_TIMEOUT_SCALE=""):
            self.assertEqual(common.jobs(), os.cpu_count())
            self.assertEqual(common.number("LAB_TIMEOUT_SCALE", 1.0, 0.0), 1.0)

    def test_makefile_hides_the_empty_ones(self):
        text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
        found = re.search(r"^VARIABLES := (.*)$", text, re.M)[1]
        self.assertEqual(set(found.split()), {one.name for one in settings.SETTINGS})

    def test_words_and_settings(self):
        with mock.patch.dict(os.environ, ONLY="a, b", LIST=""):
            self.assertEqual(settings.patterns(["silent: x=on", "JOBS=2"]),
                             ["silent: x=on", "a", "b"])
            self.assertFalse(settings.listing([]))
            self.assertTrue(settings.listing(["LIST=1"]))
            self.assertFalse(settings.listing(["LIST=0"]))


if __name__ == "__main__":
    unittest.main()
