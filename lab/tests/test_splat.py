# SPDX-License-Identifier: GPL-2.0
"""The splat scanner against recorded logs: lab/tests/cases/NAME/{dmesg,expected,allow}.

expected is the verdict (clean, findings, unscannable), then 'LINE: kind' for
each finding; allow is a list as in lab/splat-allow.json.
"""

import tempfile
import unittest
from pathlib import Path

from lab import splat

CASES = Path(__file__).resolve().parent / "cases"
TODAY = "2026-06-01"


def verdict(scan):
    """A scan in the words of an 'expected' file."""
    word = "unscannable" if scan.problem else "findings" if scan.findings else "clean"
    return [word, *(f"{f.number}: {f.kind}" for f in scan.findings)]


class Golden(unittest.TestCase):
    def test_cases(self):
        cases = sorted(path for path in CASES.iterdir() if path.is_dir())
        self.assertGreaterEqual(len(cases), 20)
        for case in cases:
            with self.subTest(case.name):
                allow = splat.allowed(case / "allow") if (case / "allow").exists() else ()
                scan = splat.scan((case / "dmesg").read_text(), allow, today=TODAY)
                self.assertEqual(verdict(scan), (case / "expected").read_text().splitlines())

    def test_every_kind_has_a_case(self):
        met = {line.split(": ")[1] for case in CASES.iterdir() if (case / "expected").exists()
               for line in (case / "expected").read_text().splitlines() if ": " in line}
        missing = {kind for kind, _ in splat.DENY} - met - {"leak"}
        self.assertEqual(missing, set())


class Scanner(unittest.TestCase):
    def test_missing_file(self):
        with tempfile.TemporaryDirectory() as place:
            scan = splat.scan_file(Path(place) / "none")
        self.assertFalse(scan.clean)
        self.assertIn("cannot be scanned", str(scan))

    def test_empty_says_so(self):
        self.assertEqual(splat.scan("\n \n").problem, "it is empty")

    def test_incomplete_log_is_fine_when_known_to_be(self):
        text = (CASES / "truncated-end" / "dmesg").read_text()
        self.assertTrue(splat.scan(text, complete=False).clean)
        self.assertFalse(splat.scan(text).clean)

    def test_excuses_are_kept(self):
        text = (CASES / "expected-in-region" / "dmesg").read_text()
        self.assertEqual([f.kind for f, _ in splat.scan(text).excused],
                         ["bad-page", "checker", "trace"])

    def test_an_entry_needs_a_reason(self):
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "allow"
            path.write_text('[{"kind": "*", "pattern": ".", "reason": " "}]')
            with self.assertRaises(ValueError):
                splat.allowed(path)

    def test_the_list_in_use_is_sound(self):
        for entry in splat.allowed():
            self.assertTrue(entry.expires, f"no expiry: {entry.pattern}")


if __name__ == "__main__":
    unittest.main()
