# SPDX-License-Identifier: GPL-2.0
"""make series: the mails that git am takes on a pristine base, and the proof that it does."""

import os
import shutil
import subprocess

from lab import common, packages, source, tree
from lab.common import LabError, say, show
from lab.git import Git, LAB_DATE, LAB_EMAIL, LAB_NAME
from lab.patches import Patch

SIGNED = "refs/lab/series"		# the commits that the mails were made of


def identity():
    """(name, email) of whoever runs this: the mails are theirs and carry their sign-off."""
    found = []
    for what in ("name", "email"):
        value = os.environ.get(f"GIT_AUTHOR_{what.upper()}") \
            or os.environ.get(f"GIT_COMMITTER_{what.upper()}")
        if not value:
            done = subprocess.run(["git", "-C", common.ROOT, "config", f"user.{what}"],
                                  capture_output=True, text=True, check=False)
            value = done.stdout.strip()
        found.append(value)
    if not all(found):
        raise LabError("the mails need a sender, and git knows no name or e-mail address of yours\n"
                       "Set them:\n  git config --global user.name 'Your Name'\n"
                       "  git config --global user.email you@example.org")
    return tuple(found)


def cover_text():
    """(subject, body) of patches/cover-letter."""
    path = common.ROOT / "patches/cover-letter"
    try:
        subject, _, body = path.read_text().partition("\n")
    except OSError:
        raise LabError(f"{show(path)} is missing: its first line is the subject of the cover "
                       "letter, the rest its text") from None
    if not subject.strip() or not body.strip():
        raise LabError(f"{show(path)}: a first line with the subject and a text below are needed")
    return subject.strip(), body.strip("\n")


def sign(git, commits, who):
    """The same commits with the sender in the place of the lab; returns the last one."""
    env = {"GIT_AUTHOR_NAME": who[0], "GIT_AUTHOR_EMAIL": who[1],
           "GIT_COMMITTER_NAME": who[0], "GIT_COMMITTER_EMAIL": who[1],
           "GIT_COMMITTER_DATE": LAB_DATE}
    tip = git("rev-parse", "base^{commit}")
    seconds, zone = LAB_DATE.split()
    for number, commit in enumerate(commits, 1):
        name, address, date, message = git.fields("%an%x00%ae%x00%ad%x00%B", commit)[0]
        if (name, address) == (LAB_NAME, LAB_EMAIL):
            # One second apart: mail readers sort a series by date.
            theirs = {"GIT_AUTHOR_DATE": f"{int(seconds) + number} {zone}"}
        else:
            theirs = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": address,
                      "GIT_AUTHOR_DATE": f"@{date}"}
        tip = git.commit(f"{commit}^{{tree}}", message, tip, env={**env, **theirs})
    return tip


def fill_cover(path, subject, body):
    """Put the text into the letter that format-patch made; it kept the diffstat."""
    text = path.read_text()
    for blank, filled in (("*** SUBJECT HERE ***", subject), ("*** BLURB HERE ***", body)):
        if text.count(blank) != 1:
            raise LabError(f"{show(path)}: git format-patch left no place for the text")
        text = text.replace(blank, filled)
    path.write_text(text)


def make(git, commits, out, who):
    subject, body = cover_text()
    tip = sign(git, commits, who)
    env = {"GIT_AUTHOR_NAME": who[0], "GIT_AUTHOR_EMAIL": who[1],
           "GIT_COMMITTER_NAME": who[0], "GIT_COMMITTER_EMAIL": who[1]}
    git("update-ref", SIGNED, tip)
    shutil.rmtree(out, ignore_errors=True)
    # The base commit is the lab's own, but its parts are what a reviewer sees as base-commit;
    # --base also lists the prerequisite patches, of which there are none.
    git("format-patch", "-q", "--cover-letter", "--cover-from-description=none", "--base=base",
        # A mail is from its sender; who else wrote a commit stands in the first line of the text.
        f"--from={who[0]} <{who[1]}>", "-s", "--no-renames", "-o", out.resolve(),
        f"base..{tip}", env=env, visible=True)
    letters = sorted(out.glob("0000-*.patch"))
    if len(letters) != 1:
        raise LabError(f"git format-patch made no cover letter in {show(out)}")
    fill_cover(letters[0], subject, body)
    mails = sorted(p for p in out.glob("*.patch") if p != letters[0])
    for mail in mails:
        if f"\nSigned-off-by: {who[0]} <{who[1]}>\n" not in mail.read_text():
            raise LabError(f"{show(mail)} carries no sign-off of {who[0]}")
    return mails


def verify(git, mails, wanted):
    """git am on the base, in a work tree of its own, has to give the tree that was tested."""
    source.need_space(common.BUILD, 2.5, "the verification of the series")
    with source.staging(common.BUILD) as part:
        work = part / "am"
        # Only what the series touches is checked out: am needs no other file.
        git("worktree", "add", "-q", "--detach", "--no-checkout", work, "base", visible=True)
        try:
            there = Git(work)
            touched = git("diff", "--name-only", "--no-renames", "base", wanted).splitlines()
            there("sparse-checkout", "set", "--no-cone", "--stdin",
                  data="".join(f"/{name}\n" for name in touched))
            there("reset", "-q", "--hard")
            there("am", "-q", *[m.resolve() for m in mails], visible=True)
            got, tip = there("rev-parse", "HEAD^{tree}"), there("rev-parse", "HEAD")
        finally:
            git("worktree", "remove", "--force", work)
    if got != wanted:
        raise LabError(f"git am gives tree {got}, but {show(common.TREE)} is {wanted}\n"
                       + git("diff", "--stat", wanted, got))
    same_words(git, tip)
    say(f"git am on the base gives tree {got[:12]}, the same as {show(common.TREE)}")


def same_words(git: Git, tip: str) -> None:
    """git am has to find the author, the date and the message of each commit in its mail again."""
    sent, got = (git.fields("%an <%ae>%x00%ad%x00%B%x00%cn <%ce>",
                            *git("rev-list", "--reverse", f"base..{end}").split())
                 for end in (SIGNED, tip))
    for before, after in zip(sent, got, strict=True):
        text, line = before[2].rstrip("\n"), f"Signed-off-by: {before[3]}"
        # The sender's sign-off is appended, behind a blank line if it is the first trailer.
        messages = (text, f"{text}\n{line}", f"{text}\n\n{line}")
        if before[:2] != after[:2] or after[2].rstrip("\n") not in messages:
            raise LabError("git am would make another author, date or message of the mail of "
                           f"'{text.splitlines()[0]}': it has lines in which a mail says "
                           "something else, such as From: at its beginning\n"
                           f"  sent {', '.join(before[:2])}\n  got  {', '.join(after[:2])}")


def unsigned(patches: list[Patch], who: tuple[str, str]) -> None:
    """Say what a maintainer will ask for: the sign-off of an author who is not the sender."""
    for patch in patches:
        line = f"Signed-off-by: {patch.author}"
        if patch.author not in ("", f"{who[0]} <{who[1]}>") and line not in patch.body.split("\n"):
            say(f"notice: {patch.name} is by {patch.author} and has no sign-off of theirs")


def main(_argv, who=None):
    """who is (name, email) of the sender, if it is not the one whom git knows."""
    packages.need("mail")
    who = who or identity()
    tree.ensure()
    git, record = Git(common.TREE), tree.load_record()
    if git("rev-parse", "HEAD") != record["head"] or git.dirty():
        raise LabError(f"{show(common.TREE)} has edits that are in no patch yet; mails are made of "
                       "what is in patches and overlay\nmake refresh first (or make tree FORCE=1).")
    commits = git("rev-list", "--reverse", "base..HEAD").split()
    if not commits:
        raise LabError("patches/series has no patches; there is nothing to mail")
    if not record["base"]["verified"]:
        say("notice: the base is not the verified one; see make tree")
    out = common.BUILD / "series"
    unsigned(tree.product().load(), who)
    mails = make(git, commits, out, who)
    verify(git, mails, git("rev-parse", "HEAD^{tree}"))
    say(f"{show(out)}: {len(mails)} mails and the cover letter, from {who[0]} <{who[1]}>")
    say(f"$ git am --empty=drop {show(out)}/*.patch    # on a pristine Linux "
        f"{record['base']['version']}; drops the cover letter")
