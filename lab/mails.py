# SPDX-License-Identifier: GPL-2.0
"""One thread's mails: what git format-patch makes, with the headers and the cover letter it wants.

The form is that of b4: a change-id that stays when the thread is sent again, the
change-ids of the threads that it applies on, message ids that tell both, each
patch a reply to the cover letter. Headers are not folded: b4 0.12 stumbles over
those that are.
"""

import email.utils
import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from lab import common
from lab.common import LabError, run, show
from lab.git import Git
from lab.threads import Thread

Who = tuple[str, str]			# name and address


@dataclass
class Branch:
    """A thread as commits: what its mails are made of."""
    thread: Thread
    parent: str
    commits: list[str]
    tree: str

    @property
    def tip(self) -> str:
        return self.commits[-1]


def write(git: Git, branch: Branch, out: Path, who: Who | None, base: str) -> list[Path]:
    """The mails of a thread in the folder out/NAME, and all of them in out/NAME.mbx."""
    thread, folder = branch.thread, out / branch.thread.name
    shutil.rmtree(folder, ignore_errors=True)
    prefix, version = thread.one("Prefix", "PATCH"), thread.one("Version", "1")
    options = [f"--from={who[0]} <{who[1]}>", "-s"] if who else []
    env = {f"GIT_{one}_{what}": value for one in ("AUTHOR", "COMMITTER") if who
           for what, value in zip(("NAME", "EMAIL"), who)}
    env["GIT_COMMITTER_DATE"] = f"@{git('log', '-1', '--format=%ct', branch.tip)} +0000"
    # A mail is from its sender; who else wrote a commit stands in the first line of the text.
    git("format-patch", "-q", "--cover-letter", "--cover-from-description=none", "--no-signature",
        *options, f"--subject-prefix={prefix}{f' v{version}' if version != '1' else ''}",
        "--no-renames", "-o", folder.resolve(), f"{branch.parent}..{branch.tip}", env=env,
        visible=True)
    letter, *mails = sorted(folder.glob("*.patch"))
    if not letter.name.startswith("0000-"):
        raise LabError(f"git format-patch made no cover letter in {show(folder)}")
    _fill(letter, thread, who, base)
    _headers(letter, mails, branch, who)
    (out / f"{thread.name}.mbx").write_text("".join(p.read_text() for p in [letter, *mails]))
    return mails


def everything(git: Git, out: Path) -> None:
    """The whole series in out/all.mbx, for those who want to apply all of it: not for sending."""
    (out / "all.mbx").write_bytes(git.bytes("format-patch", "--stdout", "--no-signature",
                                            "--no-renames", "base..HEAD"))


# --- headers -----------------------------------------------------------------

def _headers(letter: Path, mails: list[Path], branch: Branch, who: Who | None) -> None:
    thread = branch.thread
    domain = (who[1] if who else "localhost").rpartition("@")[2]
    digest = hashlib.sha256(f"{branch.tip}{letter.read_text()}".encode()).hexdigest()[:12]
    stem = f"{thread.slug}-v{thread.one('Version', '1')}"
    people = recipients(thread, mails) if who else []
    for number, path in enumerate([letter, *mails]):
        more = [f"Message-Id: <{stem}-{number}-{digest}@{domain}>"]
        if number:
            more += [f"{key}: <{stem}-0-{digest}@{domain}>"
                     for key in ("In-Reply-To", "References")]
        head, _, body = path.read_text().partition("\n\n")
        head = re.sub(r"\n[ \t]+", " ", head)
        more += [f"X-Change-ID: {thread.one('Change-id')}", *people]
        path.write_text("\n".join([head, *more]) + "\n\n" + body)


def recipients(thread: Thread, mails: list[Path]) -> list[str]:
    """To: and Cc: of a thread: whom the kernel's own script names, and whom its cover names."""
    # Not from git's history: it has one commit, the base.
    said = run(["perl", "scripts/get_maintainer.pl", "--nogit", "--nogit-fallback",
                "--norolestats", "--roles", *[mail.resolve() for mail in mails]],
               cwd=common.TREE, quiet=True)
    found = {"To": list(thread.many("To")), "Cc": list(thread.many("Cc"))}
    for line in said.splitlines():
        one, _, roles = line.partition(" (")
        found["To" if re.search("maintainer|supporter|odd fixer", roles) else "Cc"].append(one)
    lines, seen = [], set()
    for key, people in found.items():
        fresh = []
        for one in people:
            name, address = email.utils.parseaddr(one)
            if address and address.lower() not in seen:
                seen.add(address.lower())
                fresh.append(email.utils.formataddr((name, address)))
        # A line of a mail has at most 998 characters, and there may be several of the same name.
        lines += [f"{key}: {', '.join(fresh[n:n + 16])}" for n in range(0, len(fresh), 16)]
    return lines


# --- the cover letter ----------------------------------------------------------

def _fill(path: Path, thread: Thread, who: Who | None, base: str) -> None:
    """Put the text into the letter that format-patch made; it kept shortlog and diffstat."""
    text = path.read_text().rstrip("\n")
    links = "".join(f"\nLink: {link}" for link in thread.many("Link"))
    body = tables(thread.text) + (f"\n{links}" if links else "")
    for blank, filled in (("*** SUBJECT HERE ***", thread.one("Subject")),
                          ("*** BLURB HERE ***", body)):
        if text.count(blank) != 1:
            raise LabError(f"{show(path)}: git format-patch left no place for the text")
        text = text.replace(blank, filled)
    lines = [base, f"change-id: {thread.one('Change-id')}"]
    lines += [f"prerequisite-change-id: {other.one('Change-id')}:v{other.one('Version', '1')}"
              for other in thread.under]
    end = ["", "Best regards,", "-- ", f"{who[0]} <{who[1]}>"] if who else []
    path.write_text("\n".join([text, "", *lines, *end]) + "\n\n")


def tables(text: str) -> str:
    """A line '@table WORD' becomes the table of README whose first column is called WORD."""
    return re.sub(r"^@table (.+)$", lambda match: _table(match[1].strip()), text, flags=re.M)


def _table(word: str) -> str:
    readme = (common.ROOT / "README.md").read_text()
    found = re.search(rf"^\| {re.escape(word)} \|.*\n\|[ |:-]+\|\n(?:\|.*\n)+", readme, re.M)
    if not found:
        raise LabError(f"README.md has no table whose first column is called '{word}', for which "
                       f"a cover letter asks by '@table {word}'")
    rows = [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
            for line in found.group(0).splitlines()]
    del rows[1]				# the line between head and body
    wide = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return "\n".join(("  " + row[0].ljust(wide[0])
                      + "".join(f"  {cell:>{w}}" for cell, w in zip(row[1:], wide[1:]))).rstrip()
                     for row in rows)
