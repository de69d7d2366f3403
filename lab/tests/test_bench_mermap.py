# SPDX-License-Identifier: GPL-2.0
"""What lab/bench_mermap.py makes of the module's lines."""

import unittest

from lab import bench, bench_mermap
from lab.common import LabError

LINE = "[    1.0] mermapbench: {} pages={} loops={} cycles={} pairs=60 interrupts={} rewinds={} syncs=0\n"
COUNTS = {"mermap_get": 2000, "mermap_fail": 1, "mermap_rewind": 16, "mermap_sync": 4}


def said(cost=100, without=(), interrupts=0, rewinds=0):
    kinds = [(what, pages) for what in bench_mermap.PEERS for pages in (1, 8, 64, 127)]
    kinds += [(what, 1) for what in bench_mermap.SINGLE]
    text = "".join(LINE.format(what, pages, 10, cost * 10, interrupts, rewinds)
                   for what, pages in kinds
                   if (what, pages) not in without)
    return text + LINE.format("prepare", 2, 1, 9000, 0, 0) + LINE.format("bytes", 2, 1, 12672, 0, 0)


class Rows(unittest.TestCase):
    def test_costs_are_per_loop(self):
        found = bench_mermap.rows(said(150))
        self.assertEqual(found["mermap", 127], 150)
        self.assertEqual(found["prepare", 2], 9000)

    def test_what_is_missing_is_named(self):
        with self.assertRaisesRegex(LabError, "vmap 8"):
            bench_mermap.rows(said(without=[("vmap", 8)]))
        with self.assertRaisesRegex(LabError, "reserved 1"):
            bench_mermap.rows(said(without=[("reserved", 1)]))
        with self.assertRaises(LabError):
            bench_mermap.rows("")


class Budgets(unittest.TestCase):
    def judged(self, *args, **kwargs):
        text = said(*args, **kwargs)
        return {b.limit: b.good for b in bench_mermap.budgets(
            bench_mermap.rows(text), bench_mermap.events(text), bench.Budget)}

    def test_limits_are_the_last_good_values(self):
        self.assertEqual(self.judged(200),
                         {200: True, 300: True, 900: True, 8000: True, 0.01: True, 1: True})
        self.assertEqual(self.judged(201),
                         {200: False, 300: True, 900: True, 8000: True, 0.01: True, 1: True})

    def test_prepare_is_per_cpu(self):
        self.assertIn(4500, [b.value for b in bench_mermap.budgets(
            bench_mermap.rows(said()), bench_mermap.events(said()), bench.Budget)])

    def test_nobody_is_interrupted(self):
        self.assertFalse(self.judged(interrupts=1)[0.01])

    def test_an_area_is_flushed_once(self):
        # 60 pairs of 127 pages use up 60 areas, and the last may have begun before.
        self.assertTrue(self.judged(rewinds=1)[1])
        self.assertFalse(self.judged(rewinds=2)[1])


class Lines(unittest.TestCase):
    def test_flushes_are_per_million(self):
        text = "\n".join(bench_mermap.lines(
            bench_mermap.rows(said()), bench_mermap.events(said(interrupts=30, rewinds=3)),
            COUNTS))
        self.assertIn("1 failures in all of 2000 gets", text)
        self.assertRegex(text, r"local flushes per 10\^6 gets\n +mermap +50000")
        self.assertRegex(text, "vmap +500000")
        self.assertIn("prepare of an mm: 9000 for 2 possible CPUs", text)


if __name__ == "__main__":
    unittest.main()
