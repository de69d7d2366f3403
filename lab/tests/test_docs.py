# SPDX-License-Identifier: GPL-2.0
"""The comparison of a sample in the documentation with what a kernel has printed."""

import unittest

from lab.cases.docs import compare

SAMPLE = ["page: refcount:0 index:0x0 pfn:0x2483", "witness PageBuddy 0 order 3, reserved 0"]


class Compare(unittest.TestCase):
    def test_numbers_that_differ_from_run_to_run(self):
        self.assertIsNone(compare(SAMPLE,
                                  "[ 1.1] page: refcount:0 index:0xffff888000000000 pfn:0x1\n"
                                  "[ 1.2] witness PageBuddy 0 order 10, reserved 0\n"))

    def test_hexadecimal_number_of_letters_only(self):
        self.assertIsNone(compare(SAMPLE[:1], "page: refcount:0 index:0x0 pfn:0xbfc"))

    def test_what_a_witness_says_is_compared(self):
        self.assertIn("PageBuddy 1", compare(SAMPLE, "page: refcount:0 index:0x0 pfn:0x1\n"
                                                     "witness PageBuddy 1 order 3, reserved 0\n"))

    def test_sample_that_was_not_printed(self):
        self.assertIn("no line 'page:", compare(SAMPLE, "page_consistency: something else"))
