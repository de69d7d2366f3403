# SPDX-License-Identifier: GPL-2.0
"""The measurements must not call something measured or within budget that is not."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from lab import bench
from lab.common import LabError


def lines(costs, bulk=900):
    """What the module prints, for pair costs by order."""
    text = [f"[    1.5] pagebench: pair order={order} from={'buddy' if order == 5 else 'pcp'} "
            f"loops=1000 cycles={cost * 1000 + 7} {cost * 1000 + 900} ns=500000 600000"
            for order, cost in costs.items()]
    text += [f"pagebench: bulk order={order} from=both loops=4096 "
             f"cycles={bulk * 4096} {bulk * 4096} ns=1 2" for order in bench.BULK_ORDERS]
    return "\n".join(text)


PLAIN = {0: 783, 1: 800, 3: 910, 5: 1000, 9: 5458}


def table(**more):
    """Columns whose pair costs are the plain ones and so much more, by order."""
    found = {"unpatched": bench.rows(lines(PLAIN))}
    for name, extra in more.items():
        found[name] = bench.rows(lines({o: c + extra.get(o, 0) for o, c in PLAIN.items()}))
    return found


def record(gib=1, **other):
    sections = gib * 8
    return {"gib": gib, "sections": sections, "pages": sections << 15, "distance": 8192,
            "bytes": sections * 8192 + 4 * 4096, "verified_sections": sections,
            "verified_ns": sections * 9000, "scrub_ns": gib * 80_000,
            "init_ns": 50_000 + sections * 9000, "self_test_ns": 200_000, **other}


def over(budgets):
    return [budget.name for budget in budgets if not budget.good]


class Rows(unittest.TestCase):
    def test_costs_are_per_pair(self):
        row = bench.rows(lines(PLAIN))["pair", 9]
        self.assertEqual((row.cost, row.spread), (5458.0, 0.0))
        self.assertEqual((row.ns, row.source), (500.0, "pcp"))

    def test_the_best_round_counts_and_the_spread_is_kept(self):
        other = lines({**PLAIN, 1: PLAIN[1] + 8})
        for text in (f"{lines(PLAIN)}\n{other}", f"{other}\n{lines(PLAIN)}"):
            row = bench.rows(text)["pair", 1]
            self.assertEqual((row.cost, row.spread), (800.0, 8.0))

    def test_a_missing_row_is_an_error(self):
        with self.assertRaisesRegex(LabError, "pair 5"):
            bench.rows(lines({o: c for o, c in PLAIN.items() if o != 5}))

    def test_nothing_is_an_error(self):
        with self.assertRaises(LabError):
            bench.rows("")


class Init(unittest.TestCase):
    CONSOLE = ("[    0.000000] Linux version\n[    0.012000] mem auto-init: off\n"
               "[    0.012345] page_consistency: on: 262144 pages in 8 sections, 80 KiB\n")

    def test_time_between_the_lines(self):
        self.assertEqual(bench.init_ns(self.CONSOLE), 345_000)

    def test_no_line_is_an_error(self):
        for console in ("", "[    0.1] Linux\n", self.CONSOLE.splitlines()[2]):
            with self.assertRaises(LabError):
                bench.init_ns(console)

    def test_slope_leaves_the_fixed_part_out(self):
        self.assertEqual(bench.init_slope([record(1), record(16)]), 9000)


class Budgets(unittest.TestCase):
    def test_at_the_limit_is_within(self):
        found = table(on={0: 95, 3: 150, 9: 330, 5: 9999}, off={o: 2 for o in PLAIN})
        self.assertEqual(over(bench.pair_budgets(found)), [])
        self.assertEqual(len(bench.pair_budgets(found)), 8)

    def test_each_excess_is_named(self):
        found = table(on={0: 96, 3: 151, 9: 331}, off={0: 3, 5: 5})
        self.assertEqual(over(bench.pair_budgets(found)),
                         ["on, order 0", "on, order 3", "on, order 9", "off, order 0",
                          "off, order 5"])

    def test_a_block_of_the_buddy_lists_passes_four_hooks(self):
        found = table(on={}, off={5: 4})
        self.assertEqual(over(bench.pair_budgets(found)), [])

    def test_memory(self):
        self.assertEqual(over([bench.memory_budget(record(gib)) for gib in (1, 4, 16)]), [])
        # As much as one more page in every section.
        fat = record(16, bytes=16 * 8 * (8192 + 4096))
        self.assertEqual(over([bench.memory_budget(fat)]), ["memory of the record, 16 GiB"])

    def test_boot(self):
        slow = record(16, init_ns=16 * 8 * 21_000)
        self.assertEqual(len(over(bench.record_budgets([record(1), slow]))), 2)
        self.assertEqual(over(bench.record_budgets([record(1), record(16)])), [])


class Conclude(unittest.TestCase):
    NATIVE = [{"order": 0, "ns": 20.0, "bare_ns": 19.0, "ratio": 1.05}]

    def conclude(self, found):
        where = tempfile.TemporaryDirectory()
        self.addCleanup(where.cleanup)
        with mock.patch.object(bench, "LOGS", Path(where.name)), \
             contextlib.redirect_stdout(io.StringIO()) as out:
            status = bench.conclude(found, [record(1), record(16)], self.NATIVE)
        self.assertTrue((Path(where.name) / "bench.json").stat().st_size)
        return status, out.getvalue()

    def test_within(self):
        status, text = self.conclude(table(on={0: 90}, off={}))
        self.assertEqual(status, 0)
        self.assertIn("873 (+90)", text)
        self.assertIn("per-CPU lists: 0 1 3 9; buddy lists: 5", text)
        self.assertNotIn("OVER", text)

    def test_over_is_a_failure(self):
        status, text = self.conclude(table(on={0: 97}, off={}))
        self.assertEqual(status, 1)
        self.assertIn("OVER  on, order 0: 97 of at most 95 instructions", text)

    def test_a_result_below_is_noted(self):
        self.assertIn("note:", self.conclude(table(on={0: 79}, off={}))[1])
        self.assertNotIn("note:", self.conclude(table(on={0: 80}, off={}))[1])


class Measure(unittest.TestCase):
    def test_a_guest_that_is_not_well_measures_nothing(self):
        bad = mock.Mock(good=False)
        with mock.patch.object(bench.qemu, "play", return_value=bad), \
             self.assertRaises(LabError):
            bench.boot(None, "", "1G", "x", None)

    def test_an_incomplete_verification_is_an_error(self):
        for other in ({"verified_sections": 7}, {"verified_mismatches": 1}):
            values = {**record(1), "verified_mismatches": 0, "verified_blocks": 9, **other}
            machine = mock.Mock(must=lambda c, *_, v=values: str(v.get(c.split("/")[-1], 0)),
                                console=lambda: Init.CONSOLE)
            with mock.patch.object(bench, "boot", lambda *a: a[4](machine)), \
                 mock.patch.object(bench, "room_for"), \
                 self.assertRaisesRegex(LabError, "not complete or not clean"):
                bench.record(None, 1)

    def test_host_memory_is_asked_first(self):
        with self.assertRaisesRegex(LabError, "MiB are available"):
            bench.room_for(1 << 20)


class Choose(unittest.TestCase):
    def test_all_by_default(self):
        names, sizes = bench.choose([])
        self.assertEqual(names, list(bench.COLUMNS))
        self.assertEqual(sizes, list(bench.SIZES))

    def test_the_base_is_always_measured(self):
        self.assertEqual(bench.choose(["columns=on", "sizes=4"]), (["unpatched", "on"], [4]))
        self.assertEqual(bench.choose(["columns=on", "sizes="])[1], [])

    def test_unknown_is_an_error(self):
        for word in ("columns=none", "on", "size=1"):
            with self.assertRaises(LabError):
                bench.choose([word])


if __name__ == "__main__":
    unittest.main()
