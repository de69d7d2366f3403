# SPDX-License-Identifier: GPL-2.0
"""The table of ways: what it names has to be there."""

import tempfile
import unittest
from pathlib import Path

from lab import ways

HEAD = """
.. list-table::
   :widths: 1 1 1 1

   * - way
     - where
     - hook and state
     - tests
"""
GOOD = """   * - Batches
     - mm/page_alloc.c: free_batch(), other_noprof();
       mm/swap.c: release()
     - Free.
     - ``paths: a batch``. Reports:
       ``paths: mistakes: release()``
   * - Xen
     - mm/swap.c: release()
     - Free.
     - Not run here: needs Xen.
"""
KNOWN = {"paths: a batch", "paths: mistakes: release()", "paths: another"}


class Table(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = Path(folder.name)
        (self.tree / "mm").mkdir()
        (self.tree / "mm/page_alloc.c").write_text("void free_batch(void)\nvoid other_noprof()\n")
        (self.tree / "mm/swap.c").write_text("void release(struct page *page)\n")

    def problems(self, old="", new="", must=()):
        text = HEAD + GOOD
        self.assertIn(old, text)
        return ways.problems(text.replace(old, new, 1) if old else text, KNOWN, self.tree, must)

    def test_good(self):
        self.assertEqual(self.problems(must=["paths: a batch"]), [])

    def test_rows(self):
        table = ways.rows(HEAD + GOOD)
        self.assertEqual([row.way for row in table], ["Batches", "Xen"])
        self.assertEqual(table[0].names, ["paths: a batch", "paths: mistakes: release()"])
        self.assertEqual(table[0].places, [("mm/page_alloc.c", ["free_batch", "other_noprof"]),
                                           ("mm/swap.c", ["release"])])

    def test_counts_add_up(self):
        text = HEAD + GOOD + GOOD.replace("needs Xen.", "ends like ``paths: a batch``.")
        self.assertEqual(ways.counts(ways.rows(text)), "4 ways: 2 with tests, 2 not run here, of "
                         "which 1 end like another one that has a test")

    def test_unknown_test(self):
        self.assertEqual(self.problems("``paths: a batch``", "``paths: a bunch``"),
                         ["Batches: there is no test 'paths: a bunch'"])

    def test_unknown_part(self):
        self.assertEqual(self.problems("mistakes: release()", "mistakes: free()"),
                         ["Batches: there is no test 'paths: mistakes: free()'"])

    def test_neither_test_nor_reason(self):
        found = self.problems("Not run here: needs Xen.", "Works.")
        self.assertEqual(len(found), 1)
        self.assertIn("Xen: no test, and no reason", found[0])

    def test_unknown_function_and_file(self):
        self.assertEqual(self.problems("free_batch()", "free_bunch()"),
                         ["Batches: mm/page_alloc.c has no free_bunch()"])
        self.assertEqual(self.problems("mm/swap.c: release()\n     - Free.\n     - Not",
                                       "mm/swip.c: release()\n     - Free.\n     - Not"),
                         ["Xen: there is no mm/swip.c"])

    def test_function_is_a_whole_word(self):
        self.assertEqual(self.problems("free_batch()", "batch()"),
                         ["Batches: mm/page_alloc.c has no batch()"])

    def test_unreadable_place(self):
        self.assertEqual(len(self.problems("mm/page_alloc.c: free_batch()", "mm/page_alloc.c")), 1)

    def test_cell_that_is_missing(self):
        found = self.problems("     - Free.\n     - Not run here: needs Xen.\n", "")
        self.assertIn("Xen: a row has four cells", found)

    def test_case_that_no_row_names(self):
        self.assertEqual(self.problems(must=["paths: another"]), ["no row names 'paths: another'"])

    def test_empty(self):
        self.assertEqual(ways.problems(HEAD, KNOWN, self.tree), ["there is no row"])

    def test_kunit(self):
        (self.tree / "a_kunit.c").write_text(
            'KUNIT_CASE(one),\nKUNIT_CASE_PARAM(two, params),\n.name = "suite",\n')
        self.assertEqual(ways.kunit_tests(self.tree), {"KUnit: suite.one", "KUnit: suite.two"})


if __name__ == "__main__":
    unittest.main()
