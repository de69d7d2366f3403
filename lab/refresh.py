# SPDX-License-Identifier: GPL-2.0
"""make refresh: edits and commits in build/linux become overlay files and patches.

The result is written to a staging directory, assembled from there and compared
with the tree; only if both are the same does the repository change. What it
held before is kept under build/before-refresh. The tree has everything until
the repository has it: a refresh that was interrupted is made again.
"""

import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from lab import bases, common, packages, port, source, stages, tree, unsaved
from lab.common import LabError, locked, say, show
from lab.git import Git, LAB_DATE, LAB_EMAIL, LAB_NAME
from lab.patches import (PART, PLACES, Patch, Product, name_patches, parse, remove_entries,
                         series_text, titles)
from lab.tree import FIXUP


@dataclass
class Step:
    """One commit of the tree, on its way to becoming a patch file."""
    commit: str
    patch: Patch
    changed: dict = field(default_factory=dict)	# existing file -> (mode, blob)
    added: dict = field(default_factory=dict)	# introduced file -> (mode, blob)


class Tree:
    """What is in build/linux: commits since base, and edits on top of them."""

    def __init__(self, path):
        self.path = path
        self.git = Git(path)
        self.base = self.git.listing("base")
        self.new = {}			# introduced file -> (mode, blob) in the end
        self.steps = []
        self._check_state()
        self.head = self.git("rev-parse", "HEAD")
        for commit in self.git("rev-list", "--reverse", f"base..{self.head}").split():
            self.steps.append(self._step(commit))
        self.final = self.git.bytes("cat-file", "blob", "HEAD:MAINTAINERS").decode() \
            if "MAINTAINERS" in self.base else ""
        self.edits = self._edits()
        for name in self.edits:
            self._attribute(name)

    def _check_state(self):
        if name := unsaved.operation(self.git):
            raise LabError(f"{show(self.path)} is in the middle of a {name}\n"
                           "Finish it (git status there says how), then refresh.")
        if where := unsaved.place(self.git):
            git = f"git -C {show(self.path)}"
            raise LabError(
                f"{show(self.path)} is {where}, and the series is what is on the branch "
                f"{unsaved.BRANCH}: commits that only one of them has would be lost\n"
                f"  {git} checkout {unsaved.BRANCH}         (and cherry-pick what you need there)\n"
                f"  {git} checkout -B {unsaved.BRANCH}      if all of the series is where you are")
        if not self.git.ok("merge-base", "--is-ancestor", "base", "HEAD"):
            raise LabError(f"{show(self.path)}: HEAD does not descend from the tag base")

    # --- commits

    def _step(self, commit):
        git = self.git
        subject, author, when, date, body = git.fields("%s%x00%an <%ae>%x00%ad%x00%aD%x00%b",
                                                       commit)[0]
        called = f"commit {commit[:12]} ({subject})"
        if len(git("rev-list", "--parents", "-1", commit).split()) != 2:
            raise LabError(f"{called} is a merge; the series is a line of commits")
        if re.match(r"(fixup|squash|amend)! ", subject):
            raise LabError(f"{called} has not been folded into its commit yet:\n"
                           f"  git -C {show(self.path)} rebase -i --autosquash base")
        if not subject.strip():
            raise LabError(f"commit {commit[:12]} has no title; git commit --amend gives it one")
        body = "\n".join(line.rstrip() for line in body.split("\n")).strip("\n")
        step = Step(commit, Patch("", subject.strip(), body))
        if author != f"{LAB_NAME} <{LAB_EMAIL}>":
            step.patch.author, step.patch.date = author, date if when != LAB_DATE else ""
        raw = git.bytes("diff-tree", "-r", "-z", "--no-renames", "--no-commit-id", commit)
        parts = raw.decode().split("\0")
        for meta, name in zip(parts[0::2], parts[1::2]):
            _, mode, _, blob, status = meta.lstrip(":").split()
            self._change(step, called, status, name, mode, blob)
        if not raw:
            raise LabError(f"{called} changes nothing")
        step.patch.new_files.sort()
        self._entries(step)
        return step

    def _change(self, step, called, status, name, mode, blob):
        if status == "D":
            raise LabError(f"{called} deletes {name}; a patch of the series changes and adds files"
                           + ("\nWhat the series itself adds has its last name from the beginning: "
                              f"take {name} out of the commit that adds it, or rename it there:\n"
                              + FIXUP if name in self.new else ""))
        if mode not in ("100644", "100755"):
            raise LabError(f"{called}: {name} is no regular file")
        if name in self.base or name in self.new:
            step.changed[name] = (mode, blob)
        elif not name.startswith(PLACES):
            raise LabError(f"{called} adds {name}, which is outside of {' '.join(PLACES)}")
        else:
            step.added[name] = (mode, blob)
            step.patch.new_files.append(name)
        if name not in self.base:
            self.new[name] = (mode, blob)

    def _maintainers(self, treeish):
        return self.git.bytes("cat-file", "blob", f"{treeish}:MAINTAINERS").decode()

    def _stripped(self, text):
        """MAINTAINERS without the sections that the series adds."""
        if not hasattr(self, "_known"):
            self._known = set(titles(self._maintainers("base")))
        return remove_entries(text, set(titles(text)) - self._known)

    def _entries(self, step):
        """New sections of MAINTAINERS become names; any other change of it stays a hunk."""
        if "MAINTAINERS" not in step.changed:
            return
        before = self._maintainers(f"{step.commit}^")
        after = self._maintainers(step.commit)
        known = titles(before)		# once: there are thousands
        step.patch.entries = [t for t in titles(after) if t not in known]
        mode, _ = step.changed["MAINTAINERS"]
        if self._stripped(before) == self._stripped(after):
            del step.changed["MAINTAINERS"]
        else:
            step.changed["MAINTAINERS"] = (mode, self.git.store(self._stripped(after).encode()))

    # --- edits that were not committed

    def _edits(self):
        """{name: (mode, blob)} of changed files; anything but a change is an error."""
        raw = self.git("status", "--porcelain=v1", "-z", "-uno", "--no-renames")
        found, unknown = {}, [f"  ?? {name}" for name in self.git.untracked()]
        for entry in filter(None, raw.split("\0")):
            state, name = entry[:2], entry[3:]
            if set(state) - {"M", " "}:
                unknown.append(f"  {state} {name}")
                continue
            path = self.path / name
            if path.is_symlink() or not path.is_file():
                unknown.append(f"  {state} {name} (no regular file)")
                continue
            found[name] = ("100755" if os.access(path, os.X_OK) else "100644",
                           self.git.store_file(path))
        if unknown:
            raise LabError(f"{show(self.path)} has new or removed files that are in no commit:\n"
                           + "\n".join(unknown) + "\nThe lab cannot know which commit of the "
                           "series they belong to. Commit them (git add -f, since .gitignore may "
                           "hide them; git commit, or as a fixup of an existing commit), or remove "
                           "them:\n" + FIXUP)
        return found

    def _attribute(self, name):
        """Put one edit where it belongs: the commit that introduced or changes the file."""
        if name in self.new:
            self._attribute_new(name)
            return
        mode, blob = self.edits[name]
        if name == "MAINTAINERS":
            self.final = (self.path / name).read_text()
            head, now = self._stripped(self._maintainers("HEAD")), self._stripped(self.final)
            gone = set(titles(self._maintainers("HEAD"))) ^ set(titles(self.final))
            if gone:
                raise LabError("MAINTAINERS: sections were added or removed without a commit: "
                               + ", ".join(sorted(gone)) + "\nCommit that as a fixup:\n" + FIXUP)
            if head == now:
                return
            blob = self.git.store(now.encode())
        users = [s for s in self.steps if name in s.changed]
        if len(users) != 1:
            who = "\n".join(f"  {s.patch.subject}" for s in users) or "  (none)"
            raise LabError(f"{name} was edited but not committed, and it is not clear which commit "
                           f"of the series the edit belongs to. Those that change this file:\n{who}"
                           f"\nCommit it as a fixup of the right one:\n{FIXUP}")
        users[0].changed[name] = (mode, blob)

    def _attribute_new(self, name):
        """To the commit that introduces the file, below what later ones change in it."""
        later = [s for s in self.steps if name in s.changed]
        hunks = [(f"'{s.patch.subject}'", self.git.diff(f"{s.commit}^", s.commit, [name]))
                 for s in later]
        self.new[name] = self.edits[name]
        try:
            texts, _ = stages.unwind(self.path, name, self.new[name], hunks)
        except LabError as error:
            raise LabError(f"{name} was edited but not committed, and the edit cannot be given to "
                           f"the commit that adds the file: {error}\nCommit it as a fixup of the "
                           f"commit that it belongs to:\n{FIXUP}") from None
        first, *others = [*texts, self.new[name]]
        next(s for s in self.steps if name in s.added).added[name] = first
        for step, text in zip(later, others, strict=True):
            step.changed[name] = text

    # --- results

    def expected(self, scratch):
        """The git tree of the work tree with its edits."""
        shutil.copy(self.path / ".git/index", scratch / "index")
        git = Git(self.path, index=scratch / "index")
        git("add", "-u")
        return git("write-tree")

    def write(self, repo, scratch, old):
        """Patches, overlay and MAINTAINERS below repo, which is an empty directory."""
        name_patches([s.patch for s in self.steps], old)
        git = Git(self.path, index=scratch / "index-patches")
        git("read-tree", "base")
        before = git("write-tree")
        (repo / "patches").mkdir()
        for step in self.steps:
            git("update-index", "--add", "--index-info", data="".join(
                f"{m} {b}\t{n}\n" for n, (m, b) in {**step.added, **step.changed}.items()))
            after = git("write-tree")
            # What the step adds stands in the overlay.
            step.patch.diff = git.diff(before, after, step.changed)
            data, before = step.patch.text(), after
            try:
                same = parse(step.patch.name, data) == step.patch
            except LabError:
                same = False
            if not same:
                raise LabError(f"the message of '{step.patch.subject}' cannot be kept in a patch "
                               "file: it has a line ---, New-files: or Maintainers-entry:, or its "
                               f"author ({step.patch.author or 'the lab'}) no name")
            (repo / "patches" / step.patch.name).write_bytes(data)
        (repo / "patches/series").write_text(
            series_text(old.folder / "series", [s.patch.name for s in self.steps]))
        for name, (mode, blob) in self.new.items():
            path = repo / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.git.bytes("cat-file", "blob", blob))
            path.chmod(0o755 if mode == "100755" else 0o644)
        self._write_maintainers(repo, old)

    def _write_maintainers(self, repo, old):
        path = old.root / "MAINTAINERS"
        text = path.read_text() if path.exists() else ""
        wanted = [e for s in self.steps for e in s.patch.entries]
        for title in [t for t in titles(text) if t not in wanted]:
            text = remove_entries(text, [title])
        for title in wanted:
            start, end = titles(self.final)[title]
            entry = self.final[start:end].rstrip("\n") + "\n"
            if title in titles(text):
                start, end = titles(text)[title]
                text = text[:start] + entry + text[end:]
            else:
                text = text.rstrip("\n") + ("\n\n" if text.strip() else "") + entry
        if text:
            (repo / "MAINTAINERS").write_text(text)


HUNK = re.compile(rb"^@@ -\d+(,\d+)? \+\d+(,\d+)? @@.*$", re.M)


def same_change(one: bytes, other: bytes) -> bool:
    """Whether two patches differ at most in the lines where their hunks stand."""
    return HUNK.sub(rb"@@\1\2", one) == HUNK.sub(rb"@@\1\2", other)


def keep_lines(prod: Product, repo: Path, record: dict) -> None:
    """On another kernel than that of the patch files, line numbers alone are no change."""
    if common.BASE == common.MAIN and (source.exact(record["base"]) or record.get("port")):
        return
    main = bases.by_slug(Product(common.ROOT).names())
    for path in (repo / "patches").glob("*.patch"):
        for old in (common.ROOT / "patches" / main.get(bases.slug(path.name), path.name),
                    prod.folder / path.name):
            if old.exists() and same_change(old.read_bytes(), path.read_bytes()):
                shutil.copy(old, path)
                break


# --- the command -----------------------------------------------------------

def owned(prod):
    """Files of the repository that refresh replaces."""
    return prod.owned()


def refuse_another_tree(found, prod, record):
    """A tree that is not the series would take all patches and files out of the repository."""
    there = {step.patch.subject for step in found.steps}
    old = {n: parse(n, (prod.folder / n).read_bytes()).subject for n in prod.names()
           if (prod.folder / n).exists()}
    lost = [name for name, subject in old.items() if subject not in there]
    stranded = record.get("key") is None
    # One commit may well have got another title. That all have is another matter.
    emptied = len(lost) == len(old) and (len(old) > 1 or not there)
    if not lost or not (stranded or emptied) or tree.forced():
        return
    name = show(common.TREE)
    raise LabError(
        f"{name} is not the series: "
        + ("the patches did not apply when make tree ran last, and it was left as the base alone"
           if stranded else "no commit of the series is in it any more")
        + f"\n{len(lost)} of {len(old)} patches have no commit there, and refresh would remove "
        "them and their new files from the repository:\n"
        + "\n".join(f"  {n}" for n in lost[:5]) + ("\n  ..." if lost[5:] else "")
        + "\nIf make tree failed, correct the patches until it succeeds; make tree FORCE=1 puts "
        f"aside what you have done in the tree, as {unsaved.DISCARDED}, to be cherry-picked.\n"
        "Or bring the missing commits there, with the same titles. make refresh FORCE=1 does "
        "remove what is missing.")


def refuse_unlisted(prod, new):
    """An overlay file that neither patch nor tree knows would be deleted: stop instead."""
    listed = set()
    for name in prod.names():
        if (prod.folder / name).exists():
            listed |= set(parse(name, (prod.folder / name).read_bytes()).new_files)
    lost = sorted(set(prod.overlay()) - listed - set(new))
    if lost:
        raise LabError("these overlay files are in no patch and not in the tree:\n"
                       + "\n".join(f"  {n}" for n in lost)
                       + "\nList them under New-files: of a patch and run make tree, copy them "
                       "into the tree and commit them there, or remove them.")


def plan(prod, repo):
    """{name: what is to be done with it} to bring the repository to what was staged."""
    old, new, staged = owned(prod), owned(Product(repo)), Product(repo)
    return {name: "new" if name not in old else "removed" if name not in new else "changed"
            for name in sorted(old | new) if prod.digest(name) != staged.digest(name)}


def refuse_reverts(prod, steps, record):
    """Files that were changed in the repository since the tree got them: the tree lacks that.

    An interrupted refresh has left each as it was or as it was to be, and neither would be lost.
    """
    known, half = record.get("files", {}), record.get("installing") or {}
    # Without a key nothing of the repository is in the tree, and refuse_another_tree() decides.
    lost = [n for n in steps if steps[n] != "new"
            and prod.digest(n) not in (known.get(n), half.get(n))] \
        if record.get("key") not in (None, prod.fingerprint()) else []
    if not lost or tree.forced():
        return lost
    raise LabError(
        "these files of the repository were changed since the tree was assembled, and refresh "
        "would undo that, because the tree changed as well and does not have it:\n"
        + "\n".join(f"  {n}" for n in lost) + "\n"
        "  make tree FORCE=1      takes the repository's side; what is in the tree stays as "
        f"{unsaved.DISCARDED}\n"
        "                         (cherry-pick it there, then make refresh, to have both)\n"
        "  make refresh FORCE=1   takes the tree's side; what is replaced is kept in "
        "build/before-refresh")


def _replace(there, here):
    """One file, at once: a reader sees the old one or the new one, an interruption leaves one."""
    here.parent.mkdir(parents=True, exist_ok=True)
    part = here.with_name(here.name + PART)
    shutil.copy(there, part)
    os.replace(part, here)


def _drop(prod, name):
    """Remove a file and the folders that are empty then: one of them may become a file."""
    path = prod.root / name
    path.unlink()
    for folder in list(path.relative_to(prod.root).parents)[:-1]:
        if any((prod.root / folder).iterdir()):
            return
        (prod.root / folder).rmdir()


def install(prod, repo, steps, again):
    """Do what plan() says. again: the copies are those of a refresh that was interrupted."""
    kept = common.BUILD / "before-refresh"
    if not again:
        unsaved.rotate(kept)
    for name, what in steps.items():
        if what != "new" and not (kept / name).exists():
            _replace(prod.root / name, kept / name)
    # Names of patches come from the series and the files that it lists. At each moment these are
    # the old ones or the new ones, so that the names are the same if this has to be made again.
    def turn(name: str) -> int:
        gone, patch = steps[name] == "removed", name.startswith("patches/")
        return 3 if gone and patch else 0 if gone else 2 if name == "patches/series" else 1
    for name in sorted(steps, key=turn):
        if steps[name] == "removed":
            _drop(prod, name)
        else:
            _replace(repo / name, prod.root / name)


def main(_argv):
    packages.need("source")
    with locked("tree"):
        refresh()


def refresh():
    record, prod = tree.load_record(), tree.product()
    if not record.get("base"):
        raise LabError(f"there is no {show(common.TREE)} to refresh from; make tree makes it")
    port.refuse_another(record)
    git = Git(common.TREE)
    same_repo, again = record.get("key") == prod.fingerprint(), bool(record.get("installing"))
    found = Tree(common.TREE)
    refuse_another_tree(found, prod, record)
    if not same_repo and not again and not unsaved.here(git, record.get("head")):
        raise LabError("patches or overlay changed since the tree was assembled, the tree did not: "
                       "there is nothing to refresh\nmake tree brings the tree up to date.")
    refuse_unlisted(prod, found.new)
    with source.staging(common.BUILD) as scratch:
        new, steps = _staged(found, prod, scratch), plan(prod, scratch / "repo")
        own = bases.reduce(common.ROOT, scratch / "repo", bases.own_files(
            bases.folder(common.BASE))) if common.BASE != common.MAIN else None
        if lost := refuse_reverts(prod, steps, record):
            say("notice: patches or overlay changed as well; the tree's side wins, what is "
                "replaced is kept in build/before-refresh")
        if steps:
            tree.write_record(installing=Product(scratch / "repo").digests())
            install(prod, scratch / "repo", steps, again and not lost)
        done = [(what, name) for name, what in steps.items()] if own is None else \
            [(what, f"bases/{common.BASE}/{name}") for what, name in bases.write_back(own)]
    if git("rev-parse", "HEAD") != found.head:
        raise LabError(f"{show(common.TREE)} got another commit while refresh worked; what was "
                       "there before is in the repository\nmake refresh brings the rest.")
    port.finish(record)
    prod = tree.product()
    unsaved.remember(git, unsaved.REFRESHED, found.head, "make refresh")
    git("reset", "-q", "--mixed", new.head)
    tree.write_record(key=prod.fingerprint(), head=new.head, count=len(new.commits),
                      files=prod.digests(), installing=False)
    for what, name in done:
        say(f"{what:<8}{name}")
    say(f"refresh: {len(done)} files of the repository changed, {len(new.commits)} patches")


def _staged(found, prod, scratch):
    """The repository as it will be, below scratch/repo; proven to give the tree that is there."""
    git, repo = found.git, scratch / "repo"
    repo.mkdir()
    found.write(repo, scratch, prod)
    keep_lines(prod, repo, tree.load_record())
    new = tree.assemble(Product(repo), common.TREE)
    _same_commits(git, [step.commit for step in found.steps], new.commits, bool(found.edits))
    wanted = found.expected(scratch)
    if git("rev-parse", f"{new.head}^{{tree}}") != wanted:
        raise LabError("the refreshed series would not give the tree that is there; nothing "
                       "was changed. The difference (refreshed to tree):\n"
                       + git("diff", "--stat", new.head, wanted)
                       + "\nIn MAINTAINERS it means: the new section is not at its "
                       "alphabetical place, or not set off by one blank line.")
    return new


def _same_commits(git, old, new, edited):
    """Author and files of each commit are as they were, but for what was edited beside them.

    git commit takes some characters out of a name; other programs that make commits do not.
    """
    form = "%s%x00%an <%ae>, %ad%x00%T"
    for (title, was, there), (_, now, here) in zip(git.fields(form, *old), git.fields(form, *new),
                                                   strict=True):
        names = git("diff", "--name-only", "--no-renames", there, here).splitlines() \
            if there != here and not edited else []
        # A section of MAINTAINERS comes with one commit, as it is in the end.
        if names not in ([], ["MAINTAINERS"]):
            raise LabError(f"'{title}' would get another text of {' '.join(names)} than its commit "
                           "has; nothing was changed. That is a mistake in the lab.")
        if not was.startswith(f"{LAB_NAME} <{LAB_EMAIL}>,") and was != now:
            raise LabError(f"the author of '{title}' cannot be kept: {was} would become {now}\n"
                           "git commit --amend --author='Name <address>' sets another one.")
