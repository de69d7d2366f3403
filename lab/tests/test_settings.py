# SPDX-License-Identifier: GPL-2.0
"""What a user asks for is done or refused, and a list is no more than a list."""

import os
import re
import runpy
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from lab import common, settings
from lab.common import ROOT, LabError

SENSELESS = {"JOBS": ("x", "0", "-1", "1.5"), "GUESTS": ("two", "0"), "SMP": ("0",),
             "NODES": ("x",), "SOAK": ("0.5", "ten", "inf"), "MEMORY": ("1T", "x", "0G"),
             "LAB_TIMEOUT_SCALE": ("x", "0", "-1", "nan", "inf"), "LAB_ACCEL": ("hvf",)}
SENSIBLE = {"JOBS": "3", "GUESTS": "1", "SOAK": "1.5", "MEMORY": "512M", "LAB_TIMEOUT_SCALE": "0.5",
            "LAB_ACCEL": "tcg"}


def commands():
    with mock.patch.object(common, "main"), mock.patch("signal.signal"), \
            mock.patch.object(sys, "argv", ["lab"]):
        return runpy.run_module("lab.__main__")["COMMANDS"]


class Lab(unittest.TestCase):
    """The command itself, where it can neither install, fetch nor build, and what it leaves."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="lab-test-")
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)

    def lab(self, *argv, **environment):
        done = subprocess.run([sys.executable, "-m", "lab", *argv], cwd=ROOT, text=True,
                              capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=60,
                              env={"PATH": "/nowhere", "PYTHONDONTWRITEBYTECODE": "1",
                                   "LAB_BUILD": str(self.dir / "build"),
                                   "LAB_CACHE": str(self.dir / "cache"), **environment})
        self.assertNotIn("Traceback", done.stderr)
        return done

    def test_nonsense_is_told_before_anything_is_done(self):
        for name, text in (("JOBS", "x"), ("GUESTS", "x"), ("LAB_TIMEOUT_SCALE", "x")):
            for done in (self.lab("tree", **{name: text}), self.lab("tree", f"{name}={text}")):
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertRegex(done.stderr, rf"^error: {name}=x is not a (whole )?number")
        self.assertEqual(list(self.dir.iterdir()), [])

    def test_help_names_every_setting(self):
        text = self.lab("help").stdout
        for setting in settings.SETTINGS:
            self.assertRegex(text, rf"(?m)^{setting.name} ")
        self.assertLessEqual(max(map(len, text.splitlines())), 120)


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
