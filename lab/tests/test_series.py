# SPDX-License-Identifier: GPL-2.0
"""make series: one mailbox a thread, each of which applies on what it names."""

import email
import os
from unittest import mock

from lab import common, refresh, series
from lab.git import Git
from lab.tests import fake

ME = {"GIT_AUTHOR_NAME": "Sen Der", "GIT_AUTHOR_EMAIL": "sender@example.org"}
WHO = ("Sen Der", "sender@example.org")
OWN = """Subject: mm: stands alone
From: A B <ab@example.org>
Date: Wed, 15 Nov 2023 03:45:23 +0530

Why.
---
diff --git a/mm/alone.c b/mm/alone.c
new file mode 100644
--- /dev/null
+++ b/mm/alone.c
@@ -0,0 +1 @@
+int alone;
diff --git a/mm/Makefile b/mm/Makefile
--- a/mm/Makefile
+++ b/mm/Makefile
@@ -1 +1,2 @@
 obj-y := page_alloc.o
+obj-y += alone.o
"""


class Series(fake.Fake):
    MORE = fake.GET_MAINTAINER

    def setUp(self):
        super().setUp()
        self.repo()
        self.ensure()
        for key, value in ME.items():
            os.environ[key] = value
            self.addCleanup(os.environ.pop, key, None)
        self.addCleanup(os.environ.pop, "UNSIGNED", None)

    def commit(self, name, text, message, **env):
        fake.write(self.tree / name, text)
        self.git("add", "-f", name)
        self.git("commit", "-q", "-F", "-", data=message, env=env)
        self.call(refresh.main, [])

    def make(self):
        result, out = self.call(series.main, [])
        self.assertIsNone(result)		# anything else would be make's exit status
        return out

    def folder(self, name="01-all"):
        return [p.read_text() for p in sorted((self.build / "series" / name).glob("*.patch"))]

    def am(self, *names):
        """What git am of the user makes of these mailboxes, on the base."""
        there = self.dir / "am"
        self.git("worktree", "add", "-q", "--detach", "--force", there, "base")
        self.addCleanup(self.git, "worktree", "remove", "--force", there)
        Git(there)("am", "-q", "--empty=drop",
                   *[self.build / f"series/{name}.mbx" for name in names])
        return Git(there)


class OneThread(Series):
    def setUp(self):
        super().setUp()
        self.cover()

    def test_mails(self):
        out = self.make()
        self.assertIn("01-all.mbx: 2 patches on the base: 8 insertions(+), 1 deletion(-)", out)
        self.assertEqual(sorted(p.name for p in (self.build / "series/01-all").iterdir()),
                         ["0000-cover-letter.patch", "0001-mm-add-the-checker.patch",
                          "0002-mm-call-the-checker.patch"])
        cover, first, _ = self.folder()
        self.assertIn("Subject: [PATCH 0/2] mm: a checker\n", cover)
        self.assertIn("\nWhat and why.\n\nLink: https://lore.kernel.org/r/1@example.org\n", cover)
        self.assertIn(" mm/new.c ", cover)
        self.assertIn("Sen Der (2):\n", cover)
        self.assertIn("From: Sen Der <sender@example.org>", first)
        self.assertIn("Signed-off-by: Sen Der <sender@example.org>", first)
        self.assertIn("+int fresh;", first)
        self.assertNotIn("New-files", first)
        self.assertNotIn("localhost", first)

    def test_base_is_said_and_is_no_commit_that_nobody_has(self):
        self.make()
        cover = self.folder()[0]
        self.assertRegex(cover, r"\nbase: v\d+\.\d+\.\d+ \(tree [0-9a-f]{40}\)")
        self.assertNotIn("base-commit", cover)
        self.assertNotIn(self.git("rev-parse", "base"), cover)

    def test_thread_of_replies(self):
        """Message ids as b4 makes them; each patch answers the cover letter."""
        self.cover(Version="2", Prefix="RFC PATCH")
        self.make()
        cover, *mails = [email.message_from_string(text) for text in self.folder()]
        self.assertRegex(cover["Message-Id"],
                         r"^<20261127-checker-v2-0-[0-9a-f]{12}@example\.org>$")
        self.assertTrue(cover["Subject"].startswith("[RFC PATCH v2 0/2]"))
        for number, mail in enumerate(mails, 1):
            self.assertEqual(mail["In-Reply-To"], cover["Message-Id"])
            self.assertEqual(mail["References"], cover["Message-Id"])
            self.assertEqual(mail["Message-Id"],
                             cover["Message-Id"].replace("-v2-0-", f"-v2-{number}-"))
            self.assertEqual(mail["X-Change-ID"], "20261127-checker-0123456789ab")
        self.assertIn("\nchange-id: 20261127-checker-0123456789ab\n", self.folder()[0])

    def test_who_is_asked(self):
        """The script's maintainers are To, others Cc; nobody is there twice."""
        self.cover(Cc=["Au Thor <au@example.org>", "again <A@example.org>"])
        self.make()
        for text in self.folder():
            self.assertIn("\nTo: A <a@example.org>\nCc: Au Thor <au@example.org>, "
                          "=?utf-8?b?w5Y=?= <o@example.org>, list@example.org\n", text)

    def test_nobody_is_kept_for_the_next_time(self):
        self.cover(Cc="Au Thor <au@example.org>")
        thread, = self.call(series.threads.load, self.root / "patches/threads",
                            ["mm: add", "mm: call"])[0]
        once = series.mails.recipients(thread, [])
        self.assertEqual(series.mails.recipients(thread, []), once)
        self.assertEqual(thread.many("Cc"), ["Au Thor <au@example.org>"])

    def test_many_to_ask(self):
        """A line of a mail must not be longer than 998 characters."""
        self.cover(Cc=[f"A rather long name of somebody {n} <somebody{n}@example.org>"
                       for n in range(30)])
        self.make()
        self.assertEqual(sum(line.startswith("Cc: ") for line in self.folder()[0].splitlines()), 2)
        self.assertLess(max(map(len, self.folder()[0].splitlines())), 998)

    def test_no_header_is_folded(self):
        self.commit("Kconfig", "menu\n", "mm: " + "a long title with ümlauts " * 6)
        self.make()
        for text in self.folder():
            self.assertNotRegex(text.partition("\n\n")[0], r"\n[ \t]")
        self.assertIn("ümlauts", self.am("01-all")("log", "-1", "--format=%s"))

    def test_table_of_readme(self):
        fake.write(self.root / "README.md", "Text.\n\n| kernel | order 0 |\n| --- | --- |\n"
                   "| unpatched | 599 |\n| `x=on` | 1693 |\n\nMore.\n")
        self.cover(text=fake.COVER + "\n@table kernel\n\nEnd.\n")
        self.make()
        self.assertIn("\n  kernel     order 0\n  unpatched      599\n  x=on          1693\n\nEnd.\n",
                      self.folder()[0])
        self.cover(text=fake.COVER + "\n@table way\n")
        self.fails(self.make, "'@table way'")

    def test_dates_are_of_today(self):
        """Not of the lab, whose commits are older than what they answer."""
        self.make()
        for text in self.folder():
            self.assertNotIn("2026 00:00", email.message_from_string(text)["Date"])

    def test_sender_is_who_maintains(self):
        """A new section without M: gets the sender, and one that names somebody does not."""
        (self.root / "MAINTAINERS").write_text(
            "# x\n\n" + fake.ENTRY.replace("M:\tP <p@example.org>", "L:\tl@example.org"))
        self.ensure()
        self.make()
        text = self.am("01-all")("show", "HEAD:MAINTAINERS")
        self.assertIn("\nPAGE CHECKER\nM:\tSen Der <sender@example.org>\nL:\tl@example.org\n", text)
        self.assertNotIn("Sen Der", self.git("show", "HEAD:MAINTAINERS"))

    def test_named_maintainer_stays(self):
        self.make()
        self.assertNotIn("M:\tSen Der", self.am("01-all")("show", "HEAD:MAINTAINERS"))
        self.assertEqual(self.am_tree(), self.git("rev-parse", "HEAD^{tree}"))

    def am_tree(self):
        return Git(self.dir / "am")("rev-parse", "HEAD^{tree}")

    def test_am_is_really_compared(self):
        write = series.mails.write

        def without_the_last(git, branch, out, who, base):
            mails = write(git, branch, out, who, base)
            path = out / "01-all.mbx"
            path.write_text(path.read_text().replace("+int line_20 = 1;", "+int line_20 = 2;"))
            return mails
        with mock.patch.object(series.mails, "write", without_the_last):
            self.fails(self.make, "git am of 01-all gives tree", "mm/page_alloc.c")
        self.assertNotIn("/am", self.git("worktree", "list"))

    def test_unrefreshed_edits(self):
        fake.write(self.tree / "mm/new.c", "int edited;\n")
        self.fails(self.make, "make refresh")

    def test_no_identity(self):
        with self.nobody():
            self.fails(self.make, "git config --global user.name", "UNSIGNED=1")

    def nobody(self):
        for key in ME:
            os.environ.pop(key)
        return mock.patch.dict(os.environ, {"HOME": str(self.dir), "GIT_CONFIG_NOSYSTEM": "1",
                                            "GIT_CONFIG_GLOBAL": "/dev/null"})

    def test_only_to_apply(self):
        """No name is needed, and what comes out cannot be taken for something to send."""
        os.environ["UNSIGNED"] = "1"
        with self.nobody():
            self.assertIn("not for sending", self.make())
        for text in self.folder():
            self.assertNotIn("Signed-off-by", text)
            self.assertNotRegex(text, r"\n(To|Cc): ")
        self.assertEqual(self.am("all")("rev-parse", "HEAD^{tree}"),
                         self.git("rev-parse", "HEAD^{tree}"))

    def test_nothing_of_all_to_send(self):
        self.make()
        self.assertFalse((self.build / "series/all.mbx").exists())

    def test_tests_write_elsewhere(self):
        self.make()
        before = self.folder()
        self.call(series.main, [], ("Lab Test", "lab@localhost"), self.dir / "out")
        self.assertEqual(self.folder(), before)
        self.assertTrue((self.dir / "out/01-all.mbx").exists())

    def test_old_mails_are_gone(self):
        fake.write(self.build / "series/0001-old.patch", "old")
        self.make()
        self.assertFalse((self.build / "series/0001-old.patch").exists())

    def test_fix_says_since_when(self):
        self.cover(Kind="fixes")
        for end, said in (("", True), ("\nFixes: 0123456789ab (\"mm: it\")", False),
                          ("\nWrong since v5.0.", False)):
            self.git("commit", "-q", "--amend", "-m", f"mm: call the checker\n\nWhy.\n{end}")
            self.call(refresh.main, [])
            self.assertEqual("0002-call.patch is a fix, but" in self.make(), said)


class Threads(Series):
    """Three commits that each add a line at the same place of one file."""

    def setUp(self):
        super().setUp()
        self.commit("mm/Makefile", "obj-y := page_alloc.o\nobj-y += new.o\nobj-y += x86.o\n",
                    "x86: open a door")
        self.cover("01-mm")
        self.cover("02-x86", Patches="x86: *", Change_id="20261127-x86-00000000000a")

    def test_each_alone(self):
        out = self.make()
        self.assertIn("02-x86.mbx: 1 patch on the base: 1 insertion(+)", out)
        self.assertEqual(self.am("02-x86")("show", "HEAD:mm/Makefile"),
                         "obj-y := page_alloc.o\nobj-y += x86.o")

    def test_on_another(self):
        self.cover("02-x86", Patches="x86: *", Applies_on="01-mm",
                   Change_id="20261127-x86-00000000000a")
        self.assertIn("02-x86.mbx: 1 patch on 01-mm: 1 insertion(+)", self.make())
        self.assertIn("\nprerequisite-change-id: 20261127-checker-0123456789ab:v1\n",
                      self.folder("02-x86")[0])
        self.assertEqual(self.am("01-mm", "02-x86")("rev-parse", "HEAD^{tree}"),
                         self.git("rev-parse", "HEAD^{tree}"))

    def test_needs_what_it_does_not_name(self):
        self.commit("mm/page_alloc.c", fake.ALLOC.replace("line_20;", "line_20 = 2;"),
                    "x86: change what the checker has changed")
        self.fails(self.make, "02-x86 does not apply", "mm/page_alloc.c",
                   "'mm: call the checker' of 01-mm", "Applies-on")

    def test_own_patches(self):
        self.cover("00-own", text=fake.COVER.replace("Patches: mm: *\n", ""))
        fake.write(self.root / "patches/threads/00-own/0001-alone.patch", OWN)
        self.assertIn("00-own.mbx: 1 patch on the base: 2 insertions(+)", self.make())
        there = self.am("00-own")
        self.assertEqual(there("log", "-1", "--date=raw", "--format=%an %ae %ad"),
                         "A B ab@example.org 1700000123 +0530")
        self.assertEqual(there("show", "HEAD:mm/alone.c"), "int alone;")

    def test_own_patch_that_does_not_apply(self):
        self.cover("00-own", text=fake.COVER.replace("Patches: mm: *\n", ""))
        fake.write(self.root / "patches/threads/00-own/0001-alone.patch",
                   OWN.replace(" obj-y := page_alloc.o", " obj-y := other.o"))
        self.fails(self.make, "threads/00-own/0001-alone.patch does not apply")

    def test_refresh_leaves_the_threads(self):
        before = sorted((self.root / "patches/threads").iterdir())
        self.commit("Kconfig", "menu\n", "mm: one more")
        self.assertEqual(sorted((self.root / "patches/threads").iterdir()), before)
        self.assertEqual(common.ROOT, self.root)
