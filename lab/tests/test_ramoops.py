# SPDX-License-Identifier: GPL-2.0
"""Which record of ramoops has the whole report."""

import unittest

from lab.cases import Failure, ramoops
from lab.reports import PANIC, PREFIX, find

BLOCK = (f"{PREFIX}page freed but not handed out\n"
         f"{PREFIX}  policy   on, violations 1\n")
WHOLE = f"{BLOCK}{PANIC}page freed but not handed out in f+0x1/0x2: pfn 0x1 order 0 section 0\n"


class Whole(unittest.TestCase):
    def setUp(self):
        self.first = find(WHOLE)[0]

    def test_a_record_whose_end_is_cut_off_is_passed_over(self):
        cut = BLOCK[:-len("lations 1\n")]
        name, found = ramoops._whole({"dmesg-ramoops-0": cut, "dmesg-ramoops-1": WHOLE}, self.first)
        self.assertEqual("dmesg-ramoops-1", name)
        self.assertEqual(self.first.text, found.text)

    def test_no_whole_record_is_a_failure(self):
        with self.assertRaisesRegex(Failure, "dmesg-ramoops-0 has .* 2 lines"):
            ramoops._whole({"dmesg-ramoops-0": BLOCK}, self.first)
