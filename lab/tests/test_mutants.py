# SPDX-License-Identifier: GPL-2.0
"""make mutants must not call a mutant killed that was not, nor try a stale one."""

import contextlib
import io
import re
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from lab import common, mutants, tree
from lab.known import Known
from lab.mutant_list import Edit, Mutant
from lab.mutant_list_panic import MUTANTS
from lab.tests import fake


def one(*edits, killer="user p", test="the_test"):
    return Mutant("m", killer, test, tuple(Edit(*edit) for edit in edits))


class Planting(unittest.TestCase):
    def setUp(self):
        self.root = Path(tempfile.mkdtemp(prefix="lab-test-"))
        self.addCleanup(lambda: __import__("shutil").rmtree(self.root))
        (self.root / "a.c").write_text("one;\ntwo;\ntwo;\n")

    def text(self):
        return (self.root / "a.c").read_text()

    def test_it_is_there_and_gone_again(self):
        with mutants.planted(one(("a.c", "one;\n", "")), self.root):
            self.assertEqual(self.text(), "two;\ntwo;\n")
        self.assertEqual(self.text(), "one;\ntwo;\ntwo;\n")

    def test_gone_again_after_an_error(self):
        with self.assertRaises(ZeroDivisionError), \
                mutants.planted(one(("a.c", "one;\n", "")), self.root):
            raise ZeroDivisionError
        self.assertEqual(self.text(), "one;\ntwo;\ntwo;\n")

    def test_two_edits_of_one_file(self):
        with mutants.planted(one(("a.c", "one;", "1;"), ("a.c", "two;\ntwo;", "2;")), self.root):
            self.assertEqual(self.text(), "1;\n2;\n")

    def test_stale(self):
        for edit in (("a.c", "three;", ""), ("a.c", "two;", ""), ("a.c", "one;", "one;"),
                     ("b.c", "one;", "")):
            with self.assertRaises(mutants.Stale):
                mutants.apply(one(edit), self.root)


class Verdict(unittest.TestCase):
    """judge() and sick() with killers that say what a test wants."""

    def judged(self, red=(), error=None):
        killer = mock.Mock(return_value=(["the_test", "other"], list(red)), side_effect=error)
        with mock.patch.object(mutants, "planted", lambda *_: contextlib.nullcontext()), \
                mock.patch.object(mutants, "run_killer", killer):
            return mutants.judge(one(("a.c", "", "")))

    def test_killed(self):
        self.assertEqual(self.judged(["the_test"]), (True, "killed by the_test"))
        self.assertEqual(self.judged(["the_test.order 3", "the_test.order 4"]),
                         (True, "killed by the_test.order 3 and 1 more"))

    def test_survived(self):
        killed, text = self.judged()
        self.assertFalse(killed)
        self.assertIn("SURVIVED", text)

    def test_another_red_test_does_not_count(self):
        killed, text = self.judged(["other", "the_test_too"])
        self.assertFalse(killed)
        self.assertIn("other", text)

    def test_one_that_does_not_build_is_not_killed(self):
        self.assertEqual(self.judged(error=mutants.Broken("does not build")),
                         (False, "does not build"))

    def test_stale_one_is_not_killed(self):
        self.assertFalse(self.judged(error=mutants.Stale("twice"))[0])

    def sick(self, ran, red, error=None):
        with mock.patch.object(mutants, "run_killer", return_value=(ran, red), side_effect=error), \
                contextlib.redirect_stdout(io.StringIO()):
            return mutants.sick("user p", ["the_test"])

    def test_without_a_mutant_the_test_must_run_and_be_green(self):
        self.assertEqual(self.sick(["the_test"], []), {})
        self.assertIn("red without", self.sick(["the_test"], ["the_test"])["the_test"])
        self.assertIn("no test", self.sick(["other"], [])["the_test"])
        self.assertIn("broken", self.sick([], [], common.LabError("broken"))["the_test"])

    source = "as it is "

    def setUp(self):
        folder = tempfile.mkdtemp(prefix="lab-test-")
        self.addCleanup(lambda: __import__("shutil").rmtree(folder))
        self.known = Known(Path(folder) / "known.json")

    def run_inner(self, verdicts, sick=()):
        table = [one(("a.c", "", ""), test=f"t{n}") for n in range(len(verdicts))]
        out = io.StringIO()
        fake.own_logs(self)
        with mock.patch.object(mutants, "MUTANTS", table), \
                mock.patch.object(mutants, "Known", lambda _: self.known), \
                mock.patch.object(mutants, "key_of", lambda mutant: f"{self.source}{mutant!r}"), \
                mock.patch.object(mutants, "sick", return_value=dict(sick)), \
                mock.patch.object(mutants, "judge", side_effect=[(v, "said") for v in verdicts]), \
                contextlib.redirect_stdout(out):
            status = mutants.inner([])
        return status, out.getvalue().splitlines()

    def test_closing_line_and_status(self):
        status, lines = self.run_inner([True, True])
        self.assertEqual((status, lines[-1]), (0, "2 passed, 0 failed"))
        self.source = "another "
        status, lines = self.run_inner([True, False])
        self.assertEqual((status, lines[-1]), (1, "1 passed, 1 failed"))
        self.assertRegex("\n".join(lines), r"(?m)^#   said\nnot ok 2 - m # \d")

    def test_a_sick_test_kills_nothing(self):
        status, lines = self.run_inner([True], {"t0": "red without any mutant"})
        self.assertEqual((status, lines[-1]), (1, "0 passed, 1 failed"))

    def test_what_is_killed_is_not_tried_again(self):
        self.run_inner([True, False])
        status, lines = self.run_inner([True, True])		# of the first call, only one is asked for
        self.assertEqual((status, lines[-1]), (0, "2 passed, 0 failed"))
        self.assertRegex("\n".join(lines), r"(?m)^#   said, in an earlier run\nok 1 - m # \d")
        self.assertRegex("\n".join(lines), r"(?m)^#   said\nok 2 - m # \d")
        self.source = "another "
        status, lines = self.run_inner([False, True])
        self.assertEqual((status, lines[-1]), (1, "1 passed, 1 failed"))

    def test_unknown_name(self):
        with self.assertRaises(common.LabError):
            mutants.chosen(["no-such-*"])


class Table(unittest.TestCase):
    def test_names(self):
        names = [m.name for m in MUTANTS]
        self.assertEqual(len(names), len(set(names)))
        self.assertGreaterEqual(len(names), 14)
        for mutant in MUTANTS:
            self.assertRegex(mutant.name, r"^[a-z0-9]+(-[a-z0-9]+)+$")
            self.assertIn(mutant.killer.partition(" ")[0], mutants.KILLERS)
            self.assertTrue(mutant.test and mutant.edits)

    def test_a_mutant_is_one_line_or_two(self):
        for mutant in MUTANTS:
            self.assertLessEqual(len(mutant.edits), 2, mutant.name)

    def test_tests_that_are_named_exist(self):
        """As far as the sources tell; those with a pattern are looked for when they run."""
        text = "".join(path.read_text() for pattern in
                       ("lib/tests/*.c", "mm/tests/*.c", "lab/userspace/*.c", "lab/cases/*.py")
                       for path in common.ROOT.glob(pattern))
        for mutant in MUTANTS:
            name = re.split("[.:]", mutant.test)[-1]
            if "*" not in name:
                self.assertIn(name, text, mutant.name)

    def test_each_fits_the_source(self):
        tree.ensure()
        for mutant in MUTANTS:
            texts = {}
            for edit in mutant.edits:
                text = texts.get(edit.file) or (common.TREE / edit.file).read_text()
                with self.subTest(mutant.name):
                    texts[edit.file] = mutants.mutated(text, edit)


if __name__ == "__main__":
    unittest.main()
