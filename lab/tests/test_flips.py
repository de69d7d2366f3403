# SPDX-License-Identifier: GPL-2.0
"""How a trial of a flip begins, with a list of made-up pages."""

import unittest
from unittest import mock

from lab.cases import flips


class Begin(unittest.TestCase):
    def begin(self, field, attempt, pages):
        """What begin() asks the guest for, on a list that gets shorter by what is taken."""
        stage, moment, lists = mock.Mock(), mock.Mock(), list(pages)
        stage.poke.side_effect = lambda act, count: lists.__delitem__(slice(count))
        with mock.patch.object(flips, "members", lambda *_: list(lists)), \
                mock.patch.object(flips.time, "sleep"):
            left, taken = flips.begin(stage, moment, field, attempt)
        return stage.poke.call_args_list, left, taken

    def field(self, name):
        return next(field for field in flips.FIELDS if field.name == name)

    def test_a_later_attempt_takes_another_block(self):
        calls, left, taken = self.begin(self.field("page.buddy_list.next"), 2, range(9))
        self.assertEqual((len(calls), left, taken), (1, [2, 3, 4, 5, 6, 7, 8], 2))

    def test_a_block_that_joins_takes_none(self):
        for attempt in range(3):
            calls, left, _ = self.begin(self.field("head.next, block joins"), attempt, range(9))
            self.assertEqual((calls, left), ([], list(range(9))))


if __name__ == "__main__":
    unittest.main()
