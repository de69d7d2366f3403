# SPDX-License-Identifier: GPL-2.0
"""make port KSRC=...: the series on another kernel, by an ordinary git rebase.

The new kernel and the old series come together in build/port/linux, and git rebase
starts there. Who runs this ends it with git's own commands; make refresh with that
build folder then writes patches, new files, and the lock of the new base.
"""

import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

from lab import bases, common, packages, source, tree, unsaved
from lab.common import LabError, locked, run, say, show
from lab.git import Git
from lab.unsaved import BRANCH

# Only the tree in Debian's linux-source package has this in its .gitignore.
PATCHED = "# Debian packaging"


# --- what would conflict ------------------------------------------------------

def conflicts(git: Git, commits: list[str], onto: str) -> list[tuple[str, list[str]]]:
    """Which commits do not merge by themselves when they move onto another kernel, and where.

    The three-way merge is git's, without a work tree. Where it fails the commit's side is taken,
    as if somebody had settled it, so that a later commit is only named for what is its own.
    """
    now, found = git("rev-parse", f"{onto}^{{tree}}"), []
    for commit in commits:
        # git looks for the merge base in the history: let the new kernel come from the parent.
        ours = git.commit(now, "the new kernel", f"{commit}^")
        done = git.raw("merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", ours,
                       commit)
        if done.returncode not in (0, 1):
            raise LabError("git cannot merge without a work tree: it has to be 2.38 or newer")
        now, *names = filter(None, done.stdout.decode().split("\0"))
        if done.returncode:
            found.append((commit, sorted(set(names))))
            now = _settled(git, now, ours, commit, found[-1][1])
    return found


def _settled(git: Git, merged: str, ours: str, commit: str, names: list[str]) -> str:
    """The tree that was merged, with the commit's side of what conflicts in these files."""
    with tempfile.TemporaryDirectory() as folder:
        here = Git(git.path, index=Path(folder) / "index")
        here.env.update(git.env, GIT_INDEX_FILE=str(Path(folder) / "index"))
        here("read-tree", merged)
        for name in names:
            sides = [git.raw("cat-file", "blob", f"{side}:{name}")
                     for side in (ours, f"{commit}^", commit)]
            if any(side.returncode for side in sides):
                continue		# it is gone or moved; git has left what there is
            paths = [Path(folder) / side for side in ("ours", "before", "theirs")]
            for path, side in zip(paths, sides):
                path.write_bytes(side.stdout)
            text = git.bytes("merge-file", "-p", "--theirs", *paths)
            mode = git.listing(commit, name)[name][0]
            here("update-index", "--cacheinfo", f"{mode},{git.store(text)},{name}")
        return here("write-tree")


def old_series(git: Git) -> list[str]:
    """The series on what it is written for, made of those files of it alone that it changes.

    For a repository that has only the new kernel; the old one's tarball has to be at hand.
    """
    found = source.at_hand()
    names = {name for patch in tree.product().load() for name in patch.touched}
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(found.path) as tarball:
            top = tarball.next().name.partition("/")[0]
        # Not all need be there: a patch may change what an earlier one has added.
        run(["tar", "-xf", found.path, "--strip-components=1", "-C", folder,
             *(f"{top}/{name}" for name in sorted(names | {"MAINTAINERS"}))], check=False)
        here = Git(git.path, index=Path(folder) / ".index")
        here.env.update(git.env, GIT_INDEX_FILE=str(Path(folder) / ".index"))
        here("update-index", "--add", "--index-info", data="".join(
            f"100{'755' if os.access(path, os.X_OK) else '644'} {here.store_file(path)}"
            f"\t{path.relative_to(folder)}\n" for path in sorted(Path(folder).rglob("*"))
            if path.is_file() and path.name != ".index"))
        base = git.commit(here("write-tree"), "what the series changes")
    return tree.assemble(tree.product(), git.path, base).commits


def explain(git: Git, commits: list[str], onto: str) -> str:
    """What a user has to know of conflicts(): how many, and which patch in which files."""
    names = [patch.name for patch in tree.product().load()]
    found = conflicts(git, commits, onto)
    lines = [f"  {names[commits.index(commit)]}: {', '.join(files)}" for commit, files in found]
    count = f"{len(found)} of {len(commits)} patches conflict" if found \
        else f"none of {len(commits)} patches conflicts"
    return "\n".join([f"Merged three ways, {count}" + (":" if found else ""), *lines])


# --- the command ----------------------------------------------------------------

def place() -> Path:
    return common.BUILD / "port" / "linux"


def new_lock(found: source.Source, base: dict, work: Path) -> dict:
    """bases/<release>/lock of a kernel that the series is brought to."""
    main, version = source.lock(), base["version"]
    tarball = {"tarball": found.path.name, "sha256": found.sha256} if found.sha256 else {}
    lock = {"_": main.get("_", ""), "version": version, "package": main["package"],
            "package_version": "", "suites": main["suites"],
            "tarball": f"linux_{version}.orig.tar.xz", "sha256": "", "tree": "",
            "without": [name for name in main["without"] if not (work / name).exists()]}
    ignored = work / ".gitignore"
    if ignored.exists() and PATCHED in ignored.read_text():
        say("notice: this is a tree with Debian's patches; the lock says so, and has no hash of "
            "upstream's tree")
        return {**lock, "patched": {"package": f"linux-source-{source.release(version)}",
                                    "package_version": "", "tree": base["tree"],
                                    "tarball": "", "sha256": "", **tarball}}
    return {**lock, **tarball, "tree": base["tree"]}


def main(_argv) -> None:
    """make port KSRC=..."""
    if not os.environ.get("KSRC"):
        raise LabError("make port needs KSRC=: the kernel that the series is to be brought to, "
                       "as a tree, a git checkout or a tarball")
    packages.need("source")
    found = source.from_ksrc(Path(os.environ.pop("KSRC")).expanduser())
    tree.ensure()
    with locked("tree"):
        git, record = Git(common.TREE), tree.load_record()
        if why := unsaved.here(git, record["head"]):
            raise LabError(f"{show(common.TREE)} {', '.join(why)}: what is brought to another "
                           "kernel is what patches and overlay hold\nmake refresh first.")
        _clear()
        _prepare(found, git, record)
    _rebase(git, record)


def _clear() -> None:
    """Make room for another attempt; the last one may hold work."""
    if place().exists():
        head = tree.load_record(place()).get("head")
        if unsaved.spare(Git(place()), head, "make port starts anew", True,
                         f"  rm -r {show(place())}   throws it away"):
            unsaved.put_aside(place())
        else:
            shutil.rmtree(place())


def _prepare(found: source.Source, git: Git, record: dict) -> None:
    """build/port/linux: the new kernel, and the series as it is on the old one."""
    source.need_space(common.BUILD, tree.TREE_GIB, "the new kernel's tree")
    with source.staging(place().parent) as part:
        work = part / "linux"
        tree.make_base(found, work, source.lock()["without"])
        there, base = Git(work), tree.load_record(work)["base"]
        there("fetch", "-q", "--no-tags", git.path, BRANCH, visible=True)
        there("checkout", "-q", "--detach", "base")
        there("branch", "-q", "-f", BRANCH, "FETCH_HEAD")
        # The commits are work that the repository does not have: so they are kept, and used as
        # they are.
        prod = tree.product()
        tree.write_record(work, key=prod.fingerprint(), files=prod.digests(), count=0,
                          port=new_lock(found, base, work))
        os.rename(work, place())


def _rebase(git: Git, record: dict) -> None:
    there, old = Git(place()), record["base"]["commit"]
    commits = git("rev-list", "--reverse", f"base..{record['head']}").split()
    done = there.raw("rebase", "--onto", "base", old, BRANCH, visible=True)
    version = tree.load_record(place())["base"]["version"]
    new = source.release(version)
    where = show(place())
    if done.returncode and not unsaved.operation(there):
        raise LabError(f"git rebase failed in {where}:\n{done.stderr.decode(errors='replace')}")
    if done.returncode:
        say(f"{where}: git rebase has stopped at a conflict. {explain(there, commits, 'base')}\n"
            f"  git -C {where} status      says how to go on: settle it, git add -u, git rebase "
            "--continue")
    else:
        count = int(there("rev-list", "--count", f"base..{BRANCH}"))
        say(f"{where}: all patches apply to Linux {version}, tree "
            f"{there('rev-parse', f'{BRANCH}^{{tree}}')}"
            + (f"; {len(commits) - count} are dropped, because that kernel has them"
               if count < len(commits) else ""))
    folder = show(place().parent)
    say(f"When it is done, build and test it there, then bring it back:\n"
        f"  LAB_BUILD={folder} make refresh            patches/ are for Linux {new} then\n"
        f"  LAB_BUILD={folder} make refresh BASE={new}   bases/{new} gets what is different there\n"
        f"Both write bases/{new}/lock.")


def refuse_another(record: dict) -> None:
    """make refresh in a tree of make port is for the main base, or for that of the new kernel."""
    new = source.release(record.get("port", {}).get("version", ""))
    if new and common.BASE not in (common.MAIN, new):
        raise LabError(f"{show(common.TREE)} is a port to Linux {new}, not to {common.BASE}")


def finish(record: dict) -> None:
    """What make refresh does beyond its work in a tree that make port has made."""
    if not (lock := record.get("port")):
        return
    new = source.release(lock["version"])
    path = bases.lock_path(new)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(lock, indent=2) + "\n")
    os.replace(part, path)
    say(f"written: {show(path)}")
    if common.BASE != new:
        say(f"patches/ are for Linux {new} now: set MAIN = \"{new}\" in lab/common.py, and remove "
            f"bases/{common.BASE} if that kernel is not wanted any more")
