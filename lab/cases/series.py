# SPDX-License-Identifier: GPL-2.0
"""The series on the real tree; lab/tests has the same on small made-up trees, and the errors."""

import difflib
import os

from lab import common, packages, refresh, series, source, tree
from lab.cases import Failure, case
from lab.common import LabError
from lab.git import Git
from lab.patches import Product


def clean_tree():
    """build/linux as patches and overlay give it."""
    tree.ensure()
    git = Git(common.TREE)
    if git.dirty() or git("rev-parse", "HEAD") != tree.load_record()["head"]:
        raise Failure("build/linux has edits that are in no patch; make refresh first")
    return git


def difference(name, here, there):
    """What make refresh would do to a file."""
    if os.access(here, os.X_OK) != os.access(there, os.X_OK):
        return [f"{name}: may be executed on one side only"]
    texts = [path.read_text(errors="replace").splitlines() for path in (here, there)]
    lines = list(difflib.unified_diff(*texts, name, f"{name} (refreshed)", lineterm="", n=1))
    return [] if here.read_bytes() == there.read_bytes() else [*lines, f"{name} differs"]


@case(name="tree and back changes nothing")
def round_trip(note):
    clean_tree()
    prod = tree.product()
    with source.staging(common.BUILD) as scratch:
        repo = scratch / "repo"
        repo.mkdir()
        refresh.Tree(common.TREE).write(repo, scratch, prod)
        refresh.keep_lines(prod, repo, tree.load_record())
        old, new = refresh.owned(prod), refresh.owned(Product(repo))
        lines = [f"{name}: only on one side" for name in sorted(old ^ new)]
        for name in sorted(old & new):
            lines += difference(name, prod.root / name, repo / name)
    if lines or not old:
        raise Failure("make refresh would change what was not edited:\n" + "\n".join(lines[:60]))
    note(f"{len(old)} files")


@case(name="the same patches give the same commits")
def assembled_again(note):
    git = clean_tree()
    found = tree.assemble(tree.product(), common.TREE)
    if found.head != git("rev-parse", "HEAD"):
        raise Failure(f"assembled again the series is {found.head}, not what is checked out")
    note(f"{len(found.commits)} commits, HEAD {found.head[:12]}")


@case(name="no patch applies with an offset or twice")
def applied_twice(note):
    git = clean_tree()
    prod = tree.product()
    patches, moved = prod.load(), tree.assemble(prod, common.TREE).offsets
    if moved and source.exact(tree.load_record()["base"]):
        raise Failure("hunks have moved; make refresh corrects that:\n" + "\n".join(moved))
    commits = git("rev-list", "--reverse", "base..HEAD").split()
    index = common.TREE / ".git" / "lab-index-twice"
    tried = 0
    try:
        for patch, commit in zip(patches, commits, strict=True):
            if not patch.diff:
                continue
            there = Git(common.TREE, index=index)
            there("read-tree", commit)
            try:
                tree._apply(there, patch, patch.diff)	# pylint: disable=protected-access
            except LabError as error:
                if "already applied" not in str(error):
                    raise Failure(f"not clear: {error}") from None
                tried += 1
            else:
                raise Failure(f"{patch.name} was applied a second time")
    finally:
        index.unlink(missing_ok=True)
    if not tried:
        raise Failure("no patch was tried")
    note(f"{tried} patches")


# Whoever runs this need not be known to git, and what make series wrote for them stays.
SENDER = ("Lab Test", "lab@localhost")


@case(name="git am and b4 take each thread")
def mails(note):
    packages.need("b4")
    clean_tree()
    with source.staging(common.BUILD) as out:
        branches = series.write(SENDER, out)
        taken = {one.thread.name: b4_am(out, one) for one in branches}
        # What b4 makes of the mails takes the place of what make series has written.
        for name, path in taken.items():
            (out / f"{name}.mbx").write_bytes(path.read_bytes())
        series.verify(Git(common.TREE), branches, out, SENDER)
    note(f"{len(branches)} threads, {sum(len(one.commits) for one in branches)} mails")


def b4_am(out, branch):
    """The mailbox that b4 am makes of a thread's; all patches have to be in it, and the cover."""
    name, folder = branch.thread.name, out / "b4" / branch.thread.name
    folder.mkdir(parents=True)
    # Nothing of the user's settings, no question to lore.kernel.org. b4 wants to know who it is.
    env = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "GIT_CONFIG_COUNT": "2",
           "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": SENDER[0],
           "GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": SENDER[1]}
    said = common.run(["b4", "--offline-mode", "--no-interactive", "--no-stdin", "am", "-m",
                       out / f"{name}.mbx", "-o", folder], cwd=folder, check=False, env=env)
    boxes, covers = list(folder.glob("*.mbx")), list(folder.glob("*.cover"))
    if said.returncode or len(boxes) != 1 or len(covers) != 1 \
            or f"Total patches: {len(branch.commits)}\n" not in said.stderr + said.stdout:
        raise Failure(f"b4 does not take {name}:\n{said.stdout}{said.stderr}")
    return boxes[0]
