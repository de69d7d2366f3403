# SPDX-License-Identifier: GPL-2.0
"""make tree: build/linux, a git tree of the base kernel plus one commit per patch.

The commits are made in an index of their own and only then checked out, so that
a file that is the same before and after keeps its time stamp and make has
nothing to rebuild. All identities and dates are fixed, or stand in the patch:
the same base, patches and overlay give the same commit hashes everywhere,
which is also how a tree whose record was lost is recognised.
"""

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import bases, common, packages, source, stages, unsaved
from lab.common import LabError, locked, say, show, timed
from lab.git import Git
from lab.patches import Product, insert_entry, remove_entries
from lab.unsaved import BRANCH, forced

FIXUP = ("  git commit --fixup=COMMIT && git rebase -i --autosquash base      "
         "(in build/linux; then make refresh)")
TREE_GIB = 3.5			# 1.8 GiB of files, 0.4 of objects, and room to work


def product() -> Product:
    return bases.product()


# --- the record of what was assembled from what ---------------------------

def _record(repo: Path | None = None) -> Path:
    return (repo or common.TREE) / ".git/lab-state.json"


def load_record(repo: Path | None = None) -> dict:
    try:
        return json.loads(_record(repo).read_text())
    except (OSError, ValueError):
        return {}


def write_record(repo: Path | None = None, **changes) -> None:
    part = _record(repo).with_suffix(".part")
    part.write_text(json.dumps({**load_record(repo), **changes}, indent=1) + "\n")
    os.replace(part, _record(repo))


# --- the base ------------------------------------------------------------

def make_base(found: source.Source, work: Path, without: list[str] = ()) -> None:
    """A git repository at work (new), with its record: one commit, the kernel source found."""
    work.mkdir()
    say(f"source: {found.origin}")
    with timed("unpacking"):
        version = source.unpack(found, work)
        source.leave_out(work, without)
    git = Git(work)
    git("init", "-q", "-b", BRANCH, ".")
    for key, value in (("gc.auto", "0"), ("maintenance.auto", "false"),
                       ("core.fileMode", "true"), ("core.autocrlf", "false"),
                       ("core.preloadIndex", "true"), ("index.threads", "0")):
        git("config", key, value)
    # The source was never checked out by git, so its .gitignore does not hold (-f). The
    # threshold makes add stream everything into one pack: 90,000 loose objects are slow.
    with timed("making the base commit"):
        git("-c", "core.bigFileThreshold=1", "-c", "core.compression=1", "add", "-A", "-f",
            visible=True)
        tree = git("write-tree")
        verdict = source.judge(found, version, tree)
        base = git.commit(tree, f"Linux {version}")
        git("update-ref", f"refs/heads/{BRANCH}", base)
        git("tag", "base", base)
        git("status", "--porcelain", "-uno")	# fills the index's stat cache
    write_record(work, base={**asdict(verdict), "commit": base, "key": found.key, "tree": tree,
                             "origin": found.origin, "lock": source.lock_digest()},
                 key=None, head=base)


def _base():
    """See to it that the tree exists and stands on the base that is asked for."""
    record = load_record()
    old = record.get("base")
    if common.TREE.exists() and not old:
        raise LabError(f"{show(common.TREE)} exists but was not made by the lab\n"
                       "Move it away or remove it, then run the command again.")
    if old and (new := judged_again(old)) != old:
        # The lock is another one than it was. A base of the user's own stays all the same.
        if new["verified"] or new["origin"].startswith("KSRC="):
            write_record(base=new)
            old = new
    if old and not os.environ.get("KSRC") and old == new and not _stranded(record):
        return announce(old)
    found = source.find()
    if old and found.key == old["key"]:
        write_record(base=new)
        return announce(new)
    if old:
        _change_base(old, found)
    else:
        source.need_space(common.BUILD, TREE_GIB, "the kernel tree")
        with source.staging(common.BUILD) as part:
            make_base(found, part / "linux")
            os.rename(part / "linux", common.TREE)
    return announce(load_record()["base"])


def judged_again(base: dict) -> dict:
    """What is to be said of a base by the lock of now."""
    if base.get("lock") == source.lock_digest():
        return base
    tree = Git(common.TREE)("rev-parse", "base^{tree}")
    found = source.Source("", common.TREE, base["origin"], base["key"].partition("sha256:")[2])
    return {**base, **asdict(source.judge(found, base["version"], tree)), "tree": tree,
            "lock": source.lock_digest()}


def _stranded(record: dict) -> bool:
    """Whether the base is another kernel than was wanted, and the series has never stood on it."""
    base = record["base"]
    return record.get("key") is None and not base["verified"] \
        and not base["origin"].startswith("KSRC=") and not source.wanted(base["version"]) \
        and not unsaved.here(Git(common.TREE), record.get("head"))


def _change_base(old: dict, found: source.Source) -> None:
    """Another tree takes the place of this one, but only with the whole series on it."""
    why = "with KSRC=" if os.environ.get("KSRC") else f"by bases/{common.BASE}/lock"
    lost = _spare_edits(f"another base was asked for {why}", whole=True)
    say(f"{show(common.TREE)}: base changes from {old['origin']} to {found.origin}")
    source.need_space(common.BUILD, TREE_GIB, "the kernel tree")
    with source.staging(common.BUILD) as part:
        work = part / "linux"
        make_base(found, work)
        key = product().fingerprint()
        try:
            new = _assembled(work)
        except LabError as error:
            real = _conflicts(work) if isinstance(error, Rejected) else ""
            raise LabError(f"{error}\n{real}{show(common.TREE)} is as it was, on Linux "
                           f"{old['version']}.") from None
        checkout(Git(work), new.head)
        write_record(work, key=key, head=new.head, count=len(new.commits),
                     files=product().digests())
        # The worktrees of the old tree go with it.
        shutil.rmtree(base_path(), ignore_errors=True)
        if lost:
            unsaved.put_aside(common.TREE)
        else:
            os.rename(common.TREE, part / "old")
        os.rename(work, common.TREE)


def announce(base):
    """Say what the base is: a word when it is the verified one, loudly when it is not."""
    if base["verified"]:
        say(f"base: Linux {base['version']} ({base['text']})")
    elif base["text"].startswith("UNVERIFIED"):
        bar = "!" * 72
        say(f"{bar}\n{base['text']}\nfrom {base['origin']}\n{bar}")
    else:
        say(f"notice: {base['text']}\n  from {base['origin']}")
    return base


def _spare_edits(why: str, whole: bool = False, command: str = "make tree") -> list[str]:
    """Stop before work that was not refreshed is lost; with FORCE=1 say what work there is."""
    return unsaved.spare(Git(common.TREE), load_record().get("head"), why, whole,
                         f"  {command + ' FORCE=1':<20}throws it away"
                         + (", but keeps a copy" if command == "make tree" else ""))


class Rejected(LabError):
    """The series does not apply."""


def _conflicts(work: Path) -> str:
    """What a merge of the series into the other release at work would meet, and how to do it."""
    from lab import port		# pylint: disable=import-outside-toplevel
    git, text = Git(work), ""
    if source.wanted(load_record(work)["base"]["version"]):
        return ""
    try:
        if work != common.TREE and load_record().get("key"):
            git.env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = str(common.TREE / ".git/objects")
            commits = assemble(product(), common.TREE).commits
        else:
            commits = port.old_series(git)
        text = port.explain(git, commits, "base") + "\n"
    except LabError as error:
        say(f"notice: what conflicts cannot be told: {str(error).splitlines()[0]}")
    return text + f"make port KSRC={os.environ.get('KSRC') or '...'} does that merge as a git " \
        f"rebase, in a tree of its own.\n{source.ways()}\n"


# --- the series on top ---------------------------------------------------

@dataclass
class Assembled:
    head: str
    commits: list		# one per patch
    offsets: list		# notices about hunks that moved


def assemble(prod, repo, base="base"):
    """Commit the series of prod on base, in the repository at repo; no work tree is touched."""
    patches = prod.load()
    index = repo / ".git/lab-index"
    git = Git(repo, index=index)
    new = [name for patch in patches for name in patch.new_files]
    taken = git.listing(base, *new) if new else {}
    final = {n: (prod.mode(n), git.store_file(prod.root / n)) for n in new if n not in taken}
    texts, moved = _stages(repo, patches, final)
    try:
        git("read-tree", base)
        tip, result = git("rev-parse", f"{base}^{{commit}}"), Assembled("", [], moved)
        failures, entries = [], {}
        for patch, ours in zip(patches, texts):
            try:
                _set_entries(git, entries, {})
                _check_names(git, patch)
                diff = b"".join(part for name, part in patch.sections if name not in ours)
                result.offsets += _apply(git, patch, diff)
                _set_new(git, patch, ours)
                entries.update((t, prod.maintainers().entries[t]) for t in patch.entries)
                _set_entries(git, {}, entries)
            except LabError as error:
                failures.append((patch, error))
                continue
            tip = git.commit(git("write-tree"), patch.message, tip, env=patch.authorship)
            result.commits.append(tip)
    finally:
        index.unlink(missing_ok=True)
    if failures:
        raise Rejected(_explain(failures, len(patches), load_record(repo).get("base", {})))
    there = git.listing(tip, *final) if final else {}
    if wrong := [name for name in final if there[name] != final[name]]:
        raise LabError("the series does not end with the overlay's text of " + " ".join(wrong)
                       + "\nThat is a mistake in the lab.")
    result.head = tip
    return result


def _stages(repo, patches, final):
    try:
        return stages.of_series(repo, patches, final)
    except LabError as error:
        raise LabError(f"{error}\nSuch a line is changed in the tree, in the commit that it belongs "
                       "to: put the overlay's file back (git checkout), make tree, make the edit in "
                       f"{show(common.TREE)} and there:\n{FIXUP}") from None


def _explain(failures: list, total: int, base: dict) -> str:
    if base and not source.wanted(base["version"]):
        # Most of these only have other neighbours there: what conflicts is found by a merge.
        return f"the series does not apply as it is to Linux {base['version']}, which is not what " \
               f"it is written for. {len(failures)} of {total} patches do not: " \
               + " ".join(patch.name[:4] for patch, _ in failures)
    text = "\n".join(str(error) for _, error in failures[:1])
    if len(failures) > 1:
        text += "\nThese do not apply either (perhaps only because of the first): " \
                + " ".join(p.name for p, _ in failures[1:])
    return text


def _check_names(git, patch):
    """A part of a diff without its first line would be taken for one of the file before it."""
    parts = git.raw("apply", "--numstat", "-z", "-", data=patch.diff).stdout.decode().split("\0")
    found = [part.split("\t")[2] for part in parts if part]
    # Nothing is found in what is no diff at all; _apply() says what is wrong with that.
    if found and found != patch.touched:
        raise LabError(f"patches/{patch.name} changes {' '.join(found)}, and not each of them has "
                       "a line 'diff --git a/NAME b/NAME', with a plain name, before its hunks")


def _apply(git, patch, diff):
    """The diff of patch into the index: never with fuzz. Returns notices about offsets."""
    if not diff:
        return []
    options = ["--cached", "--whitespace=nowarn", "-"]
    done = git.raw("apply", "-v", *options, data=diff)
    told = done.stderr.decode(errors="replace")
    if done.returncode == 0:
        moved = re.findall(r"^Hunk #\d+ succeeded at .*offset.*$", told, re.M)
        return [f"{patch.name}: {line}" for line in moved]
    if git.raw("apply", "--reverse", "--check", *options, data=diff).returncode == 0:
        raise LabError(f"patches/{patch.name} is already applied: the tree before it holds all of "
                       "its changes\nTake it out of patches/series (and its file away) if the base "
                       "has it, or look for a second copy of it.")
    lines = [line for line in told.splitlines() if not line.startswith("Checking patch")]
    raise LabError(f"patches/{patch.name} does not apply (no fuzz is allowed):\n"
                   + "\n".join(f"  | {line}" for line in lines[:60])
                   + "\nThe text before and behind the change is not what the patch expects. Correct "
                   "the patch file, then run make tree again.")


def _set_new(git, patch, ours):
    """What the patch makes of the files that the series adds: {name: (mode, blob)}."""
    if taken := [name for name in patch.new_files if name not in ours]:
        raise LabError(f"patches/{patch.name}: {taken[0]} is listed as new, but the kernel already "
                       "has it\nChange an existing file by a hunk in the patch.")
    if not ours:
        return
    lines = [f"{mode} {blob}\t{name}\n" for name, (mode, blob) in ours.items()]
    git("update-index", "--add", "--index-info", data="".join(lines))


def _set_entries(git, old, new):
    """Take the sections old out of MAINTAINERS and put new in.

    Hunks are made and applied without the series' own sections, so that a hunk
    does not depend on which section happens to stand beside it.
    """
    if not old and not new:
        return
    text = remove_entries(git.bytes("cat-file", "blob", ":MAINTAINERS").decode(), old)
    for title, entry in new.items():
        text = insert_entry(text, title, entry)
    git("update-index", "--cacheinfo", f"100644,{git.store(text.encode())},MAINTAINERS")


def checkout(git: Git, head: str, hard: bool = False) -> None:
    """Move the branch and the work tree to head; unchanged files keep their time stamps."""
    if hard:
        kept = unsaved.snapshot(git)
        say(f"what is thrown away remains as {unsaved.DISCARDED} ({kept[:12]})\n"
            f"  git -C {show(git.path)} log -g {unsaved.DISCARDED}      lists it and earlier ones")
        unsaved.give_up(git)
        for name in git.untracked():
            (git.path / name).unlink()
        git("checkout", "-q", "-f", "-B", BRANCH, head, visible=True)
    else:
        git("reset", "-q", "--keep", head, visible=True)


# --- what other parts of the lab call --------------------------------------

def ensure():
    """Path of build/linux, brought up to date with patches and overlay if possible."""
    packages.need("source")
    with locked("tree"):
        _base()
        _update()
    return common.TREE


def _assembled(repo: Path) -> Assembled:
    bases.complete()
    with timed("assembling"):
        new = assemble(product(), repo)
    for line in new.offsets:
        say(f"notice: {line}")
    if not new.commits:
        say("notice: patches/series has no patches; the tree is the base alone")
    return new


def _update() -> None:
    git, prod, record = Git(common.TREE), product(), load_record()
    key = prod.fingerprint()
    same_repo = record.get("key") == key
    why_not = unsaved.here(git, record.get("head"))
    name = show(common.TREE)
    if same_repo and record.get("installing"):
        write_record(installing=False)		# somebody has put back what was there before
    if same_repo and not why_not:
        return say(f"tree: {name} is up to date ({record['count']} commits on the base)")
    if same_repo and not forced():
        return say(f"notice: {name} {', '.join(why_not)}; make refresh has not taken that into "
                   "patches and overlay, and it is used as it is")
    if record.get("installing") and not forced():
        raise LabError("make refresh was interrupted while it wrote patches and overlay: they are "
                       f"half old and half new, {name} has everything\n"
                       "  make refresh        does the rest\n"
                       "  make tree FORCE=1   takes patches and overlay as they are now")
    try:
        new = _assembled(common.TREE)
    except LabError as error:
        if record.get("key") is None:
            real = _conflicts(common.TREE) if isinstance(error, Rejected) else ""
            raise LabError(f"{error}\n{real}{name} is the base alone, without "
                           "the series, and make refresh refuses to take its patches for "
                           "dropped.") from None
        raise
    if unsaved.here(git, new.head):
        if why_not:
            _spare_edits("patches or overlay changed as well")
        checkout(git, new.head, hard=bool(why_not))
    write_record(key=key, head=new.head, count=len(new.commits), files=prod.digests(),
                 installing=False)
    return say(f"tree: {name}: {len(new.commits)} commits on the base, "
               f"{len(prod.overlay())} new files, HEAD {new.head[:12]}")


def base_path():
    return common.BUILD / "base/linux"


def base_worktree():
    """Path of a tree with the base alone: the kernel that every figure is compared with."""
    packages.need("source")
    with locked("tree"):
        base, path = _base(), base_path()
        git = Git(common.TREE)
        if (path / ".git").exists() and Git(path)("rev-parse", "HEAD") == base["commit"]:
            if Git(path).dirty():
                raise LabError(f"{show(path)} was edited; it has to be the unpatched kernel\n"
                               f"Put it back: git -C {show(path)} reset --hard && "
                               f"git -C {show(path)} clean -fdx")
            return path
        source.need_space(common.BUILD, 2.5, "the unpatched kernel tree")
        shutil.rmtree(path, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        git("worktree", "prune")
        with timed("unpatched kernel tree"):
            git("worktree", "add", "--detach", "--force", path, "base", visible=True)
    return path


def main(_argv):
    ensure()


def refresh_main(argv):
    from lab import refresh		# pylint: disable=import-outside-toplevel
    return refresh.main(argv)


def clean_main(_argv):
    """make clean: everything that can be made again, but neither downloads nor unsaved edits."""
    if not common.BUILD.exists():
        return
    if _record().exists():
        _spare_edits("make clean removes the tree", whole=True, command="make clean")
    for path in sorted(common.BUILD.glob("*/linux/.git/lab-state.json")):	# of other bases
        unsaved.spare(Git(path.parent.parent), load_record(path.parent.parent).get("head"),
                      "make clean removes the tree", True, f"  {'make clean FORCE=1':<20}throws it "
                      "away")
    put_aside = sorted(common.BUILD.glob(f"{common.TREE.name}.discarded*"))
    if put_aside and not forced():
        raise LabError("there are trees that make tree FORCE=1 has put aside: "
                       + " ".join(map(show, put_aside))
                       + "\nRemove them (rm -r) if nothing in them is wanted any more, or "
                       "make clean FORCE=1 does.")
    for path in sorted(common.BUILD.iterdir()):
        if path == common.CACHE or common.CACHE.is_relative_to(path):
            say(f"kept: {show(path)} (what was downloaded; rm -r it to be rid of that too)")
        elif path.is_dir() and not path.is_symlink():
            say(f"$ rm -r {show(path)}")
            shutil.rmtree(path)
        else:
            path.unlink()
