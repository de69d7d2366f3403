# SPDX-License-Identifier: GPL-2.0
"""Work in build/linux that the repository does not have: how it is noticed, and put aside.

Commands that replace the tree or move its branch ask here first. With FORCE=1
they go on, but what was there remains within reach.
"""

import os
import shutil
from pathlib import Path

from lab.common import LabError, say, show
from lab.git import Git

BRANCH = "series"
DISCARDED, REFRESHED = "refs/lab/discarded", "refs/lab/before-refresh"
COPIES = 9			# of what refresh has replaced in the repository

# What is in .git while it is under way -> (its name, the commands that end it where it stands).
OPERATIONS = {"rebase-merge": ("rebase", [["rebase", "--quit"]]),
              "rebase-apply": ("rebase or am", [["rebase", "--quit"], ["am", "--quit"]]),
              "MERGE_HEAD": ("merge", [["merge", "--quit"]]),
              "CHERRY_PICK_HEAD": ("cherry-pick", [["cherry-pick", "--quit"]]),
              "REVERT_HEAD": ("revert", [["revert", "--quit"]]),
              "sequencer": ("cherry-pick or revert", [["cherry-pick", "--quit"]]),
              "BISECT_LOG": ("bisect", [["bisect", "reset", "HEAD"]])}


def forced() -> bool:
    return os.environ.get("FORCE", "") not in ("", "0")


def operation(git: Git) -> str:
    """The name of what git is in the middle of, or nothing."""
    there = [name for mark, (name, _) in OPERATIONS.items() if (git.path / ".git" / mark).exists()]
    return there[0] if there else ""


def commit_of(git: Git, ref: str) -> str:
    """The commit that ref names, or nothing if there is no such ref."""
    return git.raw("rev-parse", "-q", "--verify", ref).stdout.decode().strip()


def place(git: Git) -> str:
    """Where HEAD is if it is not the branch of the series, or nothing."""
    name = git.raw("symbolic-ref", "-q", "--short", "HEAD").stdout.decode().strip()
    return "" if name == BRANCH else f"on the branch {name}" if name else "on no branch"


def here(git: Git, head: str | None) -> list[str]:
    """What would be lost if the branch of the series went elsewhere; head is where the lab left it.

    HEAD alone does not tell: a rebase that was given up half-way leaves it on an
    earlier commit, and on another branch it says nothing about this one.
    """
    found = []
    if name := operation(git):
        found.append(f"is in the middle of a {name}")
    if where := place(git):
        found.append(f"is {where}, not on the branch {BRANCH}")
    if {git("rev-parse", "HEAD"), commit_of(git, f"refs/heads/{BRANCH}")} != {head} or git.dirty():
        found.append("has edits that were not refreshed")
    return found


def elsewhere(git: Git, head: str | None) -> list[str]:
    """Branches, tags and stashes that would be lost with the whole tree."""
    known = [head or "base", "base"]
    if newest := commit_of(git, REFRESHED):
        # This and each entry of its log has become patches and overlay.
        known += [newest, *git("log", "-g", "--format=%H", REFRESHED).split()]
    found = []
    for ref in git("for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags",
                   "refs/stash").split():
        count = git("rev-list", "--count", ref, "--not", *known)
        if count != "0" and ref != f"refs/heads/{BRANCH}":
            found.append(f"has {count} commits of its own on {ref.removeprefix('refs/heads/')}")
    return found


def spare(git: Git, head: str | None, why: str, whole: bool, force: str) -> list[str]:
    """Stop before work is lost. With FORCE=1 only say what there is: the caller puts it aside."""
    found = here(git, head) + (elsewhere(git, head) if whole else [])
    if not found or forced():
        return found
    name = show(git.path)
    raise LabError("\n".join(f"{name} {what}," for what in found) + f" and {why}\n"
                   f"  make refresh        keeps what is on the branch {BRANCH}: it becomes overlay "
                   "and patches\n"
                   + (f"  git -C {name} branch -D, tag -d, stash drop   for what is not wanted any "
                      "more\n" if whole else "") + force)


def snapshot(git: Git) -> str:
    """One commit that holds the work tree, new files included, and reaches all that is given up."""
    index = git.path / ".git/lab-index-discarded"
    there = Git(git.path, index=index)
    head, branch = git("rev-parse", "HEAD"), commit_of(git, f"refs/heads/{BRANCH}")
    try:
        there("read-tree", head)
        there("add", "-u")
        new = there.untracked()
        if nested := [name for name in new if name.endswith("/")]:
            raise LabError(f"{show(git.path)} has git repositories of their own in it: "
                           + " ".join(nested) + "\nMove them away: no commit can hold them.")
        if new:
            there("add", "-f", "--pathspec-from-file=-", "--pathspec-file-nul",
                  data="\0".join(f":(literal){name}" for name in new))
        kept = git.commit(there("write-tree"), "what make tree FORCE=1 has put aside",
                          *dict.fromkeys(filter(None, (head, branch))))
    finally:
        index.unlink(missing_ok=True)
    remember(git, DISCARDED, kept, "make tree FORCE=1")
    return kept


def remember(git: Git, ref: str, commit: str, why: str) -> None:
    """ref is the newest; its log keeps the earlier ones."""
    git("update-ref", "--create-reflog", "-m", why, ref, commit)


def give_up(git: Git) -> None:
    """End what git is in the middle of without moving anything: its state would outlive a reset."""
    for mark, (_, commands) in OPERATIONS.items():
        for command in commands:
            if (git.path / ".git" / mark).exists():
                git.raw(*command)


def next_free(path: Path) -> Path:
    """path, or path.1, .2, ... if that exists."""
    number, found = 0, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}.{number}")
    return found


def rotate(path: Path) -> None:
    """Make room at path: what is there becomes path.1, that path.2, and the last one goes."""
    names = [path, *(path.with_name(f"{path.name}.{n}") for n in range(1, COPIES))]
    if not path.exists():
        return
    free = next((n for n, name in enumerate(names) if not name.exists()), None)
    if free is None:
        free = len(names) - 1
        shutil.rmtree(names[free])
    for number in range(free, 0, -1):
        os.rename(names[number - 1], names[number])


def put_aside(path: Path) -> None:
    """A whole tree with unsaved work, before another one takes its place."""
    kept = next_free(path.with_name(f"{path.name}.discarded"))
    os.rename(path, kept)
    say(f"what is thrown away is in {show(kept)}, until you remove it")
