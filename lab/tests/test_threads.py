# SPDX-License-Identifier: GPL-2.0
"""What patches/threads says, and what it cannot say."""

from lab import threads
from lab.tests import fake

TITLES = ["mm: add the checker", "mm: call the checker", "x86: open a door"]


class Threads(fake.Fake):
    def load(self, titles=TITLES):
        return threads.load(self.root / "patches/threads", titles)

    def two(self):
        self.cover("01-mm")
        self.cover("02-x86", Patches="x86: *", Applies_on="01-mm")

    def test_each_patch_in_one(self):
        self.two()
        mm, x86 = self.load()
        self.assertEqual((mm.patches, x86.patches), ([1, 2], [3]))
        self.assertEqual((mm.under, [t.name for t in x86.under]), ([], ["01-mm"]))
        self.assertEqual(mm.slug, "20261127-checker")

    def test_order_of_titles_is_free(self):
        """The numbers of the patches play no role."""
        self.two()
        mm, x86 = self.load([TITLES[2], *TITLES[:2]])
        self.assertEqual((mm.patches, x86.patches), ([2, 3], [1]))

    def test_some_left_out(self):
        self.cover("01-mm", Patches=["mm: *", "!mm: call*"])
        self.cover("02-rest", Patches=["mm: call*", "x86: *"])
        self.assertEqual([t.patches for t in self.load()], [[1], [2, 3]])

    def test_in_none(self):
        self.cover()
        self.fails(self.load, "'x86: open a door' is in none", "Patches:")

    def test_in_two(self):
        self.two()
        self.cover("03-more", Patches="mm: call*")
        self.fails(self.load, "'mm: call the checker' is in several: 01-mm, 03-more")

    def test_title_that_is_gone(self):
        self.cover(Patches=["mm: *", "x86: *", "s390: *"])
        self.fails(self.load, "01-all: 'Patches: s390: *' is the title of no patch")

    def test_on_a_later_one_or_on_none(self):
        for name in ("02-x86", "01-mm", "03-no"):
            self.cover("01-mm", Applies_on=name)
            self.cover("02-x86", Patches="x86: *")
            self.fails(self.load, f"01-mm.cover: it cannot apply on '{name}'")

    def test_all_that_is_below(self):
        self.cover("01-a", Patches="mm: add*")
        self.cover("02-b", Patches="mm: call*", Applies_on="01-a")
        self.cover("03-c", Patches="x86: *", Applies_on=["base", "02-b"])
        self.assertEqual([t.name for t in self.load()[2].under], ["01-a", "02-b"])

    def test_no_thread(self):
        self.fails(self.load, "patches/threads/*.cover", "there is none")

    def test_what_is_no_header(self):
        for text, what in ((fake.COVER.replace("Link", "Lnik"), "'Lnik: https"),
                           (fake.COVER.replace("Subject: mm: a checker\n", ""), "Subject:"),
                           (fake.COVER + "", None),
                           (fake.COVER.replace("0123456789ab", "1"), "Change-id"),
                           (fake.COVER.partition("\n\n")[0] + "\n", "no text"),
                           ("Kind: new\n" + fake.COVER, "Kind"),
                           ("Version: 0\n" + fake.COVER, "Version"),
                           ("Subject: again\n" + fake.COVER, "Subject: is there twice"),
                           (fake.COVER.replace("Patches: mm: *\n", ""), "Patches:")):
            self.cover(text=text)
            if what:
                self.fails(self.load, "01-all.cover: ", what)
            else:
                self.load(TITLES[:2])

    def test_patches_of_its_own_and_of_the_series(self):
        self.cover()
        fake.write(self.root / "patches/threads/01-all/0001-x.patch", "Subject: x\n---\n")
        self.fails(self.load, "either lines Patches: or files")

    def test_nothing_applies_on_patches_that_are_not_in_the_series(self):
        self.cover("00-own", text=fake.COVER.replace("Patches: mm: *\n", ""))
        fake.write(self.root / "patches/threads/00-own/0001-x.patch", "Subject: x\n---\n")
        self.cover("01-all", Applies_on="00-own")
        self.fails(lambda: self.load(TITLES[:2]), "cannot apply on '00-own'")
