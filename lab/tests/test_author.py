# SPDX-License-Identifier: GPL-2.0
"""Who wrote a commit, when, and who stands behind it: kept on the way there, back, and by mail."""

from lab import patches, refresh, series
from lab.common import LabError
from lab.tests import fake

WHO, MAIL, WHEN = "Jörg Ö. Müller-Lüdenscheidt", "jörg@example.org", "1700000123 +0530"
THEM = {"GIT_AUTHOR_NAME": WHO, "GIT_AUTHOR_EMAIL": MAIL, "GIT_AUTHOR_DATE": WHEN}
ME = ("Sen Der", "sender@example.org")
TRAILERS = """Fixes: 0123456789ab ("mm: something")
Link: https://lore.kernel.org/r/1@example.org
Cc: stable@vger.kernel.org # 7.1
Signed-off-by: Jörg Ö. Müller-Lüdenscheidt <jörg@example.org>
Reviewed-by: R. Eviewer <r@example.org>"""
MESSAGE = f"mm: theirs\n\nWhy.\n\n{TRAILERS}\n"
FORMAT = "--format=%an%n%ae%n%ad"


class Author(fake.Fake):
    def setUp(self) -> None:
        super().setUp()
        self.repo()
        self.ensure()
        self.call(refresh.main, [])

    def theirs(self, message: str = MESSAGE, **more: str) -> None:
        """A commit that somebody else made, on top of the series."""
        fake.write(self.tree / "Kconfig", "menu\n")
        self.git("add", "-f", "Kconfig")
        self.git("commit", "-q", "-F", "-", data=message, env={**THEM, **more})

    def refresh(self) -> str:
        return self.call(refresh.main, [])[1]

    def who(self, ref: str = "HEAD") -> list[str]:
        return self.git("log", "-1", "--date=raw", FORMAT, ref).split("\n")


class Kept(Author):
    def test_there_and_back(self):
        self.theirs()
        self.refresh()
        path = self.root / "patches/0003-mm-theirs.patch"
        self.assertTrue(path.read_text().startswith(
            f"Subject: mm: theirs\nFrom: {WHO} <{MAIL}>\nDate: Wed, 15 Nov 2023 03:45:23 +0530\n"
            "\nWhy.\n\nFixes:"))
        self.assertIn(f"\n{TRAILERS}\n---\n", path.read_text())
        head, before = self.git("rev-parse", "HEAD"), self.snapshot()
        self.assertEqual(self.who(), [WHO, MAIL, WHEN])
        fake.shutil.rmtree(self.tree)
        self.ksrc(self.tarball)
        self.ensure()
        self.assertEqual(self.who(), [WHO, MAIL, WHEN])
        self.assertEqual(self.git("log", "-1", "--format=%B"), MESSAGE.rstrip())
        self.assertEqual(self.git("rev-parse", "HEAD"), head)
        self.assertIn("0 files", self.refresh())
        self.assertEqual(self.snapshot(), before)

    def test_the_lab_is_nobody(self):
        text = (self.root / "patches/0001-checker.patch").read_text()
        self.assertNotIn("From:", text)
        self.assertNotIn("Date:", text)

    def test_edit_of_their_commit_leaves_it_theirs(self):
        self.theirs()
        self.refresh()
        fake.write(self.tree / "Kconfig", "edited\n")
        self.refresh()
        self.assertEqual(self.who(), [WHO, MAIL, WHEN])

    def test_another_author_alone(self):
        self.git("commit", "-q", "--amend", "--author", "A B <a@example.org>", "--no-edit")
        self.assertIn("changed patches/0002-call.patch", self.refresh())
        self.assertEqual(self.who()[:2], ["A B", "a@example.org"])

    def test_author_that_git_would_change(self):
        """git drops what stands at the end of a name, so that the way back gives another one."""
        self.theirs()
        raw = self.git.bytes("cat-file", "commit", "HEAD").replace(
            f"author {WHO}".encode(), f"author {WHO},".encode())
        self.git("reset", "-q", "--soft",
                 self.git("hash-object", "-t", "commit", "-w", "--stdin", data=raw))
        before = self.snapshot()
        self.fails(self.refresh, "author", f"{WHO},")
        self.assertEqual(self.snapshot(), before)

    def test_message_with_lines_of_a_header(self):
        """In a mail these would be taken for who wrote it."""
        before = self.snapshot()
        self.theirs("mm: theirs\n\nFrom: Some One <s@example.org>\n\nWhy.\n")
        self.refresh()
        self.assertEqual(self.git("log", "-1", "--format=%b").split("\n")[0],
                         "From: Some One <s@example.org>")
        self.assertNotEqual(self.snapshot(), before)

    def test_headers_that_cannot_be(self):
        for line, what in (("From: nobody", "From:"), ("Date: yesterday", "Date:"),
                           ("From: A <a@b>\nFrom: A <a@b>", "twice"), ("Cc: a", "'Cc: a'"),
                           ("Date: Wed, 15 Nov 2023 03:45:23 +0530", "From:")):
            with self.assertRaises(LabError) as caught:
                patches.parse("0001-x.patch", f"Subject: a\n{line}\n\nb\n---\n".encode())
            self.assertIn(what, str(caught.exception))


class Mails(Author):
    MORE = fake.GET_MAINTAINER

    def setUp(self) -> None:
        super().setUp()
        self.cover()

    def mails(self, who: tuple[str, str] = ME) -> list[str]:
        self.refresh()
        _, out = self.call(series.main, [], who)
        self.assertIn("applied by git am", out)
        return [p.read_text() for p in sorted((self.build / "series/01-all").glob("*.patch"))]

    def applied(self) -> fake.Git:
        """What git am of the user makes of the mails."""
        self.git("worktree", "add", "-q", "--detach", self.dir / "am", "base")
        there = fake.Git(self.dir / "am")
        there("am", "-q", "--empty=drop", self.build / "series/01-all.mbx")
        return there

    def test_in_body_from(self):
        self.theirs()
        mail = self.mails()[3]
        header, _, body = mail.partition("\n\n")
        self.assertIn("\nFrom: Sen Der <sender@example.org>\n", header)
        self.assertRegex(body, r"^From: .*example\.org>\n\nWhy\.\n")
        self.assertIn(f"\n{TRAILERS}\nSigned-off-by: Sen Der <sender@example.org>\n---\n", body)
        there = self.applied()
        self.assertEqual(there("log", "-1", "--date=raw", FORMAT).split("\n"), [WHO, MAIL, WHEN])
        self.assertEqual(there("log", "-1", "--format=%an", "HEAD^"), "Sen Der")

    def test_own_commits_and_own_sign_off(self):
        """Who is author and sender needs no From: in the text, and signs once."""
        self.theirs()
        mail = self.mails((WHO, MAIL))[3]
        self.assertNotRegex(mail.partition("\n\n")[2], r"^From: ")
        self.assertEqual(mail.count("Signed-off-by:"), 1)

    def test_foreign_author_without_sign_off_is_said(self):
        self.theirs("mm: theirs\n\nWhy.\n")
        self.refresh()
        _, out = self.call(series.main, [], ME)
        self.assertIn(f"0003-mm-theirs.patch is by {WHO} <{MAIL}> and has no sign-off", out)

    def test_message_that_a_mail_changes(self):
        self.theirs("mm: theirs\n\nFrom: Some One <s@example.org>\n\nWhy.\n", **{
            "GIT_AUTHOR_NAME": ME[0], "GIT_AUTHOR_EMAIL": ME[1]})
        self.refresh()
        self.fails(lambda: series.main([], ME), "mm: theirs", "author")

    def test_tree_knows_nothing_of_the_sender(self):
        self.theirs()
        self.mails()
        self.assertEqual(self.who(), [WHO, MAIL, WHEN])
        self.assertNotIn("Sen Der", self.git("log", "--format=%an%B"))
