# SPDX-License-Identifier: GPL-2.0
"""make series: a mailbox for each thread that git am takes on the base, and the proof that it does.

What the threads are stands in patches/threads (lab/threads.py). To run this is to
sign the mails off: Signed-off-by: certifies what Documentation/process/
submitting-patches.rst calls the Developer's Certificate of Origin. UNSIGNED=1 is
for those who only want to apply them: it needs no name, the mails have no
sign-off and nobody to go to, and there is one more mailbox, all.mbx: threads that
apply to the base each for itself may add lines at the same place, so that git am
does not take one after the other.
"""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from lab import common, mails, packages, source, threads, tree
from lab.common import LabError, say, show
from lab.git import Git, LAB_EMAIL, LAB_NAME
from lab.mails import Branch, Who
from lab.patches import Maintainers, Patch, titles
from lab.threads import Thread
from lab.weave import Weave

SINCE = re.compile(r"^Fixes: [0-9a-f]{12,40} \(\"|\b[Ss]ince (?:Linux |v)\d+\.\d+", re.M)


def identity() -> Who:
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
                       "  git config --global user.email you@example.org\n"
                       "Or, if you only want to apply them: make series UNSIGNED=1")
    return tuple(found)


# --- commits -----------------------------------------------------------------------

def claim(text: str, ours: Maintainers, who: Who | None) -> str:
    """MAINTAINERS with the sender as M: of the new sections that name nobody.

    The repository does not know who sends the series. A section without M: would
    leave get_maintainer.pl with a list, and who offers a file is who is asked about it.
    """
    for title, entry in ours.entries.items():
        if who and title in titles(text) and not re.search(r"^M:\t", entry, re.M):
            start, _ = titles(text)[title]
            place = start + len(title) + 1
            text = f"{text[:place]}M:\t{who[0]} <{who[1]}>\n{text[place:]}"
    return text


def commit(git: Git, tree_name: str, parent: str, who: Who | None, when: int,
           written: dict[str, str], message: str) -> str:
    """A commit with the sender in the place of the lab."""
    env = {"GIT_COMMITTER_DATE": f"@{when} +0000", "GIT_AUTHOR_DATE": f"@{when} +0000"}
    if who:
        env |= {"GIT_AUTHOR_NAME": who[0], "GIT_AUTHOR_EMAIL": who[1],
                "GIT_COMMITTER_NAME": who[0], "GIT_COMMITTER_EMAIL": who[1]}
    return git.commit(tree_name, message, parent, env={**env, **written})


def written_by(git: Git, name: str) -> tuple[dict[str, str], str]:
    """Who wrote a commit of the series, if it was not the lab, and its message."""
    author, address, date, message = git.fields("%an%x00%ae%x00%ad%x00%B", name)[0]
    if (author, address) == (LAB_NAME, LAB_EMAIL):
        return {}, message
    return {"GIT_AUTHOR_NAME": author, "GIT_AUTHOR_EMAIL": address,
            "GIT_AUTHOR_DATE": f"@{date}"}, message


class Maker:
    """The commits of the threads, each on what it applies on."""

    def __init__(self, git: Git, prod, who: Who | None):
        self.git, self.who = git, who
        self.series = git("rev-list", "--reverse", "base..HEAD").split()
        self.weave = Weave(git, self.series)
        self.titles = git("log", "--reverse", "--format=%s", "base..HEAD").splitlines()
        self.threads = threads.load(prod.folder / "threads", self.titles)
        self.edit = {"MAINTAINERS": lambda text: claim(text, prod.maintainers(), who)}
        self.now = int(time.time())
        self.made: dict[str, Branch] = {}

    def make(self) -> list[Branch]:
        # An index of its own: make check may do the same while make test does.
        with source.staging(common.BUILD) as part:
            index = Git(self.git.path, index=part / "index")
            self.weave.proven(index, self.git("rev-parse", "HEAD^{tree}"))
            for thread in self.threads:
                self.made[thread.name] = self._own(index, thread) if thread.own \
                    else self._woven(index, thread)
        return list(self.made.values())

    def _woven(self, index: Git, thread: Thread) -> Branch:
        there = {number for one in thread.under for number in one.patches}
        self._refuse(thread, there | set(thread.patches))
        index("read-tree", "base")
        if there:
            self.weave.stage(index, there, there, self.edit)
        parent = tip = self._parent(index, thread)
        commits = []
        for number in thread.patches:
            there.add(number)
            self.weave.stage(index, [number], there, self.edit)
            # One second apart: mail readers sort a thread by date.
            tip = commit(self.git, index("write-tree"), tip, self.who, self.now + len(commits) + 1,
                         *written_by(self.git, self.series[number - 1]))
            commits.append(tip)
        return Branch(thread, parent, commits, self.git("rev-parse", f"{tip}^{{tree}}"))

    def _parent(self, index: Git, thread: Thread) -> str:
        if not thread.under:
            return self.git("rev-parse", "base^{commit}")
        last = thread.under[-1]
        if [*last.under, last] == thread.under:
            return self.made[last.name].tip
        # Threads that do not know each other: a commit that has all of them.
        return self.git.commit(index("write-tree"), "what the thread applies on", "base")

    def _refuse(self, thread: Thread, there: set[int]) -> None:
        wrong = []
        for patch, other, path in self.weave.missing(there):
            owner = next(one for one in self.threads if other in one.patches)
            wrong.append(f"  {path}: '{self.titles[patch - 1]}' needs '{self.titles[other - 1]}' "
                         f"of {owner.name}")
        if wrong:
            raise LabError(f"the thread {thread.name} does not apply on what it names:\n"
                           + "\n".join(dict.fromkeys(wrong))
                           + "\nIt changes lines of patches that are not there. Name the thread in "
                           f"Applies-on: of patches/threads/{thread.name}.cover, move the patch to "
                           "another thread, or keep the lines of the two apart.")

    def _own(self, index: Git, thread: Thread) -> Branch:
        index("read-tree", "base")
        parent = tip = self.git("rev-parse", "base^{commit}")
        commits = []
        for patch in thread.own:
            done = index.raw("apply", "--cached", "--whitespace=nowarn", "-", data=patch.diff)
            if done.returncode:
                raise LabError(f"patches/{patch.name} does not apply to the base:\n"
                               + done.stderr.decode(errors="replace").rstrip()
                               + "\nBring it to this base, in the file; no other patch is below it.")
            tip = commit(self.git, index("write-tree"), tip, self.who, self.now + len(commits) + 1,
                         patch.authorship, patch.message)
            commits.append(tip)
        return Branch(thread, parent, commits, self.git("rev-parse", f"{tip}^{{tree}}"))


# --- proofs ---------------------------------------------------------------------------

def verify(git: Git, branches: list[Branch], out: Path, who: Who | None) -> None:
    """git am of each thread, on what it names, has to give the commits that it was made of."""
    source.need_space(common.BUILD, 2.5, "the verification of the series")
    touched = {name for one in branches
               for name in git("diff", "--name-only", "--no-renames", "base", one.tip).splitlines()}
    with source.staging(common.BUILD) as part:
        work = part / "am"
        # Only what the series touches is checked out: am needs no other file.
        git("worktree", "add", "-q", "--detach", "--no-checkout", work, "base", visible=True)
        try:
            there = Git(work)
            there("sparse-checkout", "set", "--no-cone", "--stdin",
                  data="".join(f"/{name}\n" for name in sorted(touched)))
            for branch in branches:
                _verify(git, there, branch, out, who)
            if (out / "all.mbx").exists():
                there("reset", "-q", "--hard", "base")
                there("am", "-q", (out / "all.mbx").resolve(), visible=True)
                compare(git, "all", there("rev-parse", "HEAD^{tree}"),
                        git("rev-parse", "HEAD^{tree}"))
        finally:
            git("worktree", "remove", "--force", work)


def _verify(git: Git, there: Git, branch: Branch, out: Path, who: Who | None) -> None:
    thread = branch.thread
    there("reset", "-q", "--hard", "base")
    boxes = [(out / f"{one.name}.mbx").resolve() for one in [*thread.under, thread]]
    there("am", "-q", "--empty=drop", *boxes, visible=True)
    compare(git, thread.name, there("rev-parse", "HEAD^{tree}"), branch.tree)
    same_words(git, branch, there("rev-parse", "HEAD"), who)


def compare(git: Git, name: str, got: str, made_of: str) -> None:
    if got != made_of:
        raise LabError(f"git am of {name} gives tree {got}, but it was made of {made_of}\n"
                       + git("diff", "--stat", made_of, got))


def same_words(git: Git, branch: Branch, tip: str, who: Who | None) -> None:
    """git am has to find the author, the date and the message of each commit in its mail again."""
    names = git("rev-list", "--reverse", f"-{len(branch.commits)}", tip).split()
    sent, got = (git.fields("%an <%ae>%x00%ad%x00%B", *commits)
                 for commits in (branch.commits, names))
    for before, after in zip(sent, got, strict=True):
        text = before[2].rstrip("\n")
        messages = [text]
        if who:
            # The sender's sign-off is appended, behind a blank line if it is the first trailer.
            line = f"Signed-off-by: {who[0]} <{who[1]}>"
            messages = [f"{text}\n{line}", f"{text}\n\n{line}"]
            if line in text.splitlines():
                messages.append(text)
        if before[:2] != after[:2] or after[2].rstrip("\n") not in messages:
            raise LabError("git am would make another author, date or message of the mail of "
                           f"'{text.splitlines()[0]}': it has lines in which a mail says "
                           "something else, such as From: at its beginning\n"
                           f"  sent {', '.join(before[:2])}\n  got  {', '.join(after[:2])}")


# --- what a maintainer will ask for ------------------------------------------------------

def notices(branches: list[Branch], patches: list[Patch], who: Who | None) -> None:
    for branch in branches:
        thread = branch.thread
        for patch in thread.own or [patches[number - 1] for number in thread.patches]:
            line = f"Signed-off-by: {patch.author}"
            if who and patch.author not in ("", f"{who[0]} <{who[1]}>") \
                    and line not in patch.body.split("\n"):
                say(f"notice: {patch.name} is by {patch.author} and has no sign-off of theirs")
            if thread.one("Kind") == "fixes" and not SINCE.search(patch.body):
                say(f"notice: {patch.name} is a fix, but has no Fixes: and does not say since "
                    "when ('since v7.1') it is needed")


def size(git: Git, branch: Branch) -> str:
    """Patches and lines of a thread, in a few words."""
    stat = git("diff", "--shortstat", branch.parent, branch.tip).strip()
    number = len(branch.commits)
    on = ", ".join(one.name for one in branch.thread.under) or "the base"
    return f"{number} patch{'es' * (number > 1)} on {on}:{stat.partition('changed,')[2]}"


def main(_argv, who: Who | None = None, out: Path | None = None) -> None:
    """who and out are for tests: the user's mails are the user's, and stay what they are."""
    packages.need("mail")
    write(who or (None if os.environ.get("UNSIGNED") else identity()),
          out or common.BUILD / "series")


def write(who: Who | None, out: Path) -> list[Branch]:
    """All mails, into a folder that is theirs."""
    tree.ensure()
    git, record = Git(common.TREE), tree.load_record()
    if git("rev-parse", "HEAD") != record["head"] or git.dirty():
        raise LabError(f"{show(common.TREE)} has edits that are in no patch yet; mails are made of "
                       "what is in patches and overlay\nmake refresh first (or make tree FORCE=1).")
    if git("rev-parse", "HEAD") == git("rev-parse", "base^{commit}"):
        raise LabError("patches/series has no patches; there is nothing to mail")
    if not record["base"]["verified"]:
        say("notice: the base is not the verified one; see make tree")
    branches = Maker(git, tree.product(), who).make()
    notices(branches, tree.product().load(), who)
    shutil.rmtree(out, ignore_errors=True)
    for branch in branches:
        mails.write(git, branch, out, who, source.base_words(record["base"]))
    if not who:
        mails.everything(git, out)
    verify(git, branches, out, who)
    for branch in branches:
        say(f"{show(out)}/{branch.thread.name}.mbx: {size(git, branch)}")
    say("each was applied by git am to the base and what it names; all together are "
        f"{show(common.TREE)}" + (f"; from {who[0]} <{who[1]}>, signed off" if who else
                                  "; without a sign-off, not for sending"))
    say(f"$ git am --empty=drop {show(out)}/{'NAME' if who else 'all'}.mbx    # on a pristine "
        f"Linux {record['base']['version']}; drops the cover letter")
    return branches
