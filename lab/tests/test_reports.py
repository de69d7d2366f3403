# SPDX-License-Identifier: GPL-2.0
"""The reader of the checker's reports against recorded consoles.

lab/tests/reports/NAME/console is what a guest printed after its boot,
NAME/expected what has to be read from it: 'none', or 'name: value' lines.
LAB_RECORD=1 writes the expected files anew, to be looked at.
"""

import os
import re
import unittest
from pathlib import Path

from lab import corrupt, reports
from lab.common import ROOT, LabError

CASES = Path(__file__).resolve().parent / "reports"


def read(report):
    """A report in the words of an 'expected' file."""
    if not report:
        return ["none"]
    lines = [f"title: {report.title}", f"whole: {report.whole}", f"panic: {bool(report.panic)}",
             f"dumped: {len(report.dumped)}"]
    for name, value in [*report.values.items(),
                        *((f"panic {n}", v) for n, v in report.panic_values.items())]:
        shown = hex(value) if isinstance(value, int) and value > 9 else value
        lines.append(f"{name}: {shown}")
    return lines


def console(name):
    return (CASES / name / "console").read_text()


class Golden(unittest.TestCase):
    def test_cases(self):
        cases = sorted(path for path in CASES.iterdir() if path.is_dir())
        self.assertGreaterEqual(len(cases), 10)
        for case in cases:
            with self.subTest(case.name):
                found = read(reports.parse((case / "console").read_text()))
                if os.environ.get("LAB_RECORD"):
                    (case / "expected").write_text("\n".join(found) + "\n")
                self.assertEqual(found, (case / "expected").read_text().splitlines())

    def test_every_line_is_explained(self):
        for case in CASES.iterdir():
            report = reports.parse((case / "console").read_text())
            if not report:
                continue
            with self.subTest(case.name):
                told = reports.explain(report)
                self.assertEqual(len(told), 1 + len(report.lines) + bool(report.panic))
                for text, meaning in told:
                    self.assertIn(text, (case / "console").read_text())
                    self.assertNotIn("None", meaning)
                    self.assertGreater(len(meaning), 20)

    def test_every_kind_of_line_has_a_case(self):
        met = {name for case in CASES.iterdir()
               for name, _ in getattr(reports.parse((case / "console").read_text()),
                                      "lines", None) or []}
        self.assertEqual({name for name, _ in reports._LINES} - met, set())


class Pattern(unittest.TestCase):
    """What the documentation tells fuzzers to file reports by."""

    def test_it_finds_kind_and_function(self):
        text = (ROOT / "Documentation/mm/page_consistency.rst").read_text()
        pattern = re.compile(re.search(r"^    (page_consistency: \(.*)$", text, re.M)[1])
        for case in sorted(CASES.iterdir()):
            console = (case / "console").read_text()
            report = reports.parse(console)
            lines = [line for line in console.splitlines()
                     if re.search("(BUG|not syncing): page_consistency: ", line)]
            self.assertEqual(bool(report), bool(lines), case.name)
            for line in lines:
                kind, function = pattern.search(line).groups()
                self.assertEqual(kind, report.violation, line)
                self.assertIn(f" in {function}", line)


class Reader(unittest.TestCase):
    def test_titles_are_those_of_the_kernel(self):
        source = (ROOT / "mm" / "page_consistency" / "report.c").read_text()
        table = source.split("pc_violations[] = {")[1].split("};")[0]
        self.assertEqual(set(re.findall(r'= "(.*)"', table)), set(reports.TITLES))

    def test_events_are_those_of_the_kernel(self):
        source = (ROOT / "mm" / "page_consistency" / "report.c").read_text()
        table = source.split("pc_events[] = {")[1].split("};")[0]
        self.assertEqual(set(re.findall(r'= "(.*)"', table)), set(reports._EVENTS))

    def test_an_unknown_line_is_an_error(self):
        text = console("primary").replace("  memory   node", "  memory   nod")
        with self.assertRaisesRegex(reports.BadReport, "no report has"):
            reports.parse(text)

    def test_a_panic_about_something_else_is_an_error(self):
        text = console("primary")
        head, panic, rest = text.partition(reports.PANIC)
        other = rest.replace("primary bitmap", "secondary bitmap", 1)
        with self.assertRaisesRegex(reports.BadReport, "the panic 'record corrupt: secondary"):
            reports.parse(head + panic + other)

    def test_a_panic_about_another_page_is_an_error(self):
        text = console("primary")
        head, panic, rest = text.partition(reports.PANIC)
        other = re.sub(r"pfn 0x[0-9a-f]+", "pfn 0x1", rest, count=1)
        with self.assertRaisesRegex(reports.BadReport, "the panic 0x1$"):
            reports.parse(head + panic + other)


class Expected(unittest.TestCase):
    """What the demonstration accepts as the report there had to be."""

    def setUp(self):
        self.report = reports.parse(console("primary"))
        self.pfn = self.report.pfn

    def expected(self, **other):
        given = {"titles": (self.report.title,), "what": "x", "summary": "",
                 "pfns": range(self.pfn, self.pfn + 1), "section": self.report.section}
        return corrupt.Expected(**{**given, **other})

    def test_the_right_one(self):
        self.assertEqual(self.expected().differs(self.report), "")

    def test_another_kind(self):
        self.assertIn("it says", self.expected(titles=("table",)).differs(self.report))

    def test_another_page(self):
        pfns = range(self.pfn + 1, self.pfn + 2)
        self.assertIn("it names pfn", self.expected(pfns=pfns).differs(self.report))

    def test_another_section(self):
        section = self.report.section + 1
        self.assertIn("it names section", self.expected(section=section).differs(self.report))

    def test_unknown_victim(self):
        with self.assertRaisesRegex(LabError, "freelist"):
            corrupt.find("nonsense")


if __name__ == "__main__":
    unittest.main()
