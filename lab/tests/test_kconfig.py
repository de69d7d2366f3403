# SPDX-License-Identifier: GPL-2.0
"""Fragments, and the reading back of what Kconfig made of them."""

import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from lab import kconfig
from lab.common import LabError


class Readback(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = Path(place.name)

    def fragment(self, name, text):
        path = self.place / f"{name}.config"
        path.write_text(text)
        return path

    def misses(self, config, *texts):
        files = [self.fragment(f"f{n}", text) for n, text in enumerate(texts)]
        return kconfig.misses(files, config)

    def test_everything_stuck(self):
        self.assertEqual(self.misses("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"x y\"\n",
                                     "# a comment\nCONFIG_A=y\nCONFIG_B=n\nCONFIG_C=\"x y\"\n"),
                         [])

    def test_dropped_in_silence(self):
        self.assertEqual(self.misses("", "CONFIG_A=y\n"),
                         [("CONFIG_A", "y", "nothing", "f0.config")])

    def test_off_is_absent_or_not_set(self):
        for config in ("", "# CONFIG_A is not set\n", "CONFIG_A=n\n"):
            self.assertEqual(self.misses(config, "CONFIG_A=n\n"), [])
            self.assertEqual(self.misses(config, "# CONFIG_A is not set\n"), [])

    def test_selected_against_our_wish(self):
        self.assertEqual(self.misses("CONFIG_A=y\n", "CONFIG_A=n\n"),
                         [("CONFIG_A", "n", "y", "f0.config")])

    def test_module_is_not_built_in(self):
        self.assertEqual(self.misses("CONFIG_A=m\n", "CONFIG_A=y\n")[0][2], "m")

    def test_other_value(self):
        self.assertEqual(self.misses("CONFIG_N=16\n", "CONFIG_N=64\n"),
                         [("CONFIG_N", "64", "16", "f0.config")])

    def test_prefix_is_not_the_option(self):
        self.assertEqual(len(self.misses("CONFIG_A_B=y\n", "CONFIG_A=y\n")), 1)

    def test_the_last_fragment_wins_and_is_named(self):
        self.assertEqual(self.misses("CONFIG_A=y\n", "CONFIG_A=y\n", "CONFIG_A=n\n"),
                         [("CONFIG_A", "n", "y", "f1.config")])

    def test_error_names_everything(self):
        path = self.fragment("mm", "CONFIG_NUMA=y\n")
        config = self.fragment("dot", "# CONFIG_NUMA is not set\n")
        with self.assertRaises(LabError) as caught:
            kconfig.verify([path], config)
        for word in ("CONFIG_NUMA", "wanted y", "got n", "mm.config"):
            self.assertIn(word, str(caught.exception))

    def test_option_that_the_kernel_does_not_have(self):
        place = self.place / "bases/6.12"
        place.mkdir(parents=True)
        (place / "no-options").write_text("# why\nCONFIG_A\tit came later\n")
        for base, missed in (("6.12", 0), ("", 1)):
            with mock.patch.object(kconfig, "ROOT", self.place), \
                 mock.patch.dict(os.environ, BASE=base):
                self.assertEqual(len(self.misses("", "CONFIG_A=y\n")), missed)
                # It has it, but a dependency is missing.
                self.assertEqual(len(self.misses("# CONFIG_A is not set\n", "CONFIG_A=y\n")), 1)
                self.assertEqual(len(self.misses("", "CONFIG_B=y\n")), 1)

    def test_misspelt_line(self):
        for text in ("CONFIG_A y\n", "A=y\n", "CONFIG_A\n"):
            with self.assertRaises(LabError):
                kconfig.wanted([self.fragment("bad", text)])


class Table(unittest.TestCase):
    def test_every_fragment_is_there_and_used(self):
        used = {path for config in kconfig.table().values() for path in config.files(False)}
        self.assertEqual(used, set(kconfig.CONFIGS.glob("*.config")))

    def test_fragments_parse(self):
        for path in kconfig.CONFIGS.glob("*.config"):
            self.assertTrue(kconfig.wanted([path]), path)

    def test_base_has_no_product(self):
        for config in kconfig.table().values():
            self.assertNotIn("CONFIG_PAGE_CONSISTENCY", kconfig.wanted(config.files(True)))
            self.assertIn("CONFIG_PAGE_CONSISTENCY", kconfig.wanted(config.files(False)))

    def test_unknown_name_lists_the_known(self):
        with self.assertRaises(LabError) as caught:
            kconfig.find("x68")
        self.assertIn("x86-debug", str(caught.exception))

    def test_fingerprint_follows_the_fragments(self):
        one, other = kconfig.find("x86"), kconfig.find("x86-debug")
        self.assertNotEqual(kconfig.fingerprint(one, True), kconfig.fingerprint(one, False))
        self.assertNotEqual(kconfig.fingerprint(one, True), kconfig.fingerprint(other, True))


if __name__ == "__main__":
    unittest.main()
