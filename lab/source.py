# SPDX-License-Identifier: GPL-2.0
"""Where the kernel source comes from, and whether it is the one that was verified.

The right one is the upstream tarball that bases/<base>/lock names. Order: KSRC=,
the cache, Debian's source package by the machine's own apt and through a private
apt root (lab/apt.py), kernel.org. If none of them has it, a makeshift is taken:
Debian's patched tree of the same release (package linux-source), or the nearest
other one. What was fetched stays in CACHE/source with its checksum; once that is
the right one, nothing here uses the network.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from lab import apt, bases, common, packages
from lab.common import LabError, run, say, show

KERNEL_ORG = "https://cdn.kernel.org/pub/linux/kernel/"


@dataclass
class Source:
    """A kernel source that was found but not yet looked into."""
    kind: str				# "tarball", "tree" or "git"
    path: Path
    origin: str				# for people: where it came from
    sha256: str = ""			# of a tarball
    key: str = ""			# changes when the source does


@dataclass
class Verdict:
    version: str
    verified: bool
    text: str				# how it was verified, or why it is not


def lock() -> dict:
    """What is known of the base: bases/<base>/lock."""
    return json.loads(bases.lock_path(common.BASE).read_text())


def lock_digest() -> str:
    return hashlib.sha256(bases.lock_path(common.BASE).read_bytes()).hexdigest()


def release(version: str) -> str:
    """7.3 of 7.3.4, or of a name such as linux-source-7.3.tar.xz."""
    return ".".join(re.findall(r"\d+", version)[:2])


def wanted(version: str) -> bool:
    """Whether this is the release that the patches are written against."""
    return release(version) == release(lock()["version"])


def ways() -> str:
    """How people can supply the release that is wanted."""
    locked, name = lock(), release(lock()["version"])
    suites = ", ".join(locked["suites"])
    return f"""Ways to supply a {name}:
  make tree KSRC=/path/to/linux-{locked['version']}.tar.xz   (from kernel.org or a distribution)
  make tree KSRC=/path/to/linux                 (an unpacked tree or a git checkout of v{name}.y)
  apt-get install linux-source-{name}             (Debian's patched tree; {suites})"""


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def need_space(where, gib, what):
    """Stop before the disk fills up half-way."""
    there = Path(where)
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free / 2**30
    if free < gib:
        raise LabError(f"not enough disk space for {what}: {gib:g} GiB are needed, {free:.1f} GiB "
                       f"are free on the file system of {there}\nNothing was written. Free some "
                       f"space, or put it elsewhere: {common.owner(where)[0]}=/big/disk make ...")


@contextlib.contextmanager
def staging(parent):
    """A directory that is gone afterwards, whatever happens; results are renamed out of it."""
    parent.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=".part-", dir=parent))
    try:
        yield path
    finally:
        # A kernel tree takes minutes on some disks, and ^C leads here, too.
        with common.patience(f"removing {show(path)}, of which nothing is needed (^C leaves the "
                             "rest there until make clean)"):
            shutil.rmtree(path, ignore_errors=True)


# --- finding -------------------------------------------------------------

def find():
    """The kernel source, fetched if need be. LabError says what was tried."""
    if os.environ.get("KSRC"):
        return from_ksrc(Path(os.environ["KSRC"]).expanduser())
    if cached := from_cache():
        return cached
    # Another clone may share the cache: one of them fetches, the other finds what was fetched.
    with common.locked("source", common.CACHE):
        return from_cache() or _fetched()


def _fetched():
    need_space(store(), 1, "the download of the kernel source")
    tried, suites = [], lock()["suites"]
    with apt.Private(common.CACHE / "apt-source", suites, "deb-src") as upstream, \
         apt.Private(common.CACHE / "apt", suites) as packaged:
        for name, way in (("source package, this machine's apt", lambda: _upstream(apt.System())),
                          ("source package, private apt root", lambda: _upstream(upstream)),
                          ("kernel.org", _from_kernel_org),
                          # From here on: what will do until the right one can be had.
                          ("Debian's patched tree", _installed),
                          ("its package, this machine's apt", lambda: _packaged(apt.System())),
                          ("its package, private apt root", lambda: _packaged(packaged)),
                          ("a makeshift from before", _kept),
                          ("any other kernel", lambda: _any_kernel(packaged))):
            try:
                return way()
            except LabError as error:
                tried.append(f"  {name}: {error}")
                say(f"source: {name}: {str(error).splitlines()[0]}")
    raise LabError("no kernel source could be had. Tried:\n" + "\n".join(tried) + f"\n{ways()}")


def from_ksrc(path):
    if not path.exists():
        raise LabError(f"KSRC={path}: there is no such file or directory\n"
                       "Give the path of a kernel tree, a git checkout or a tarball, "
                       "or leave KSRC away to have the source fetched.")
    path = path.resolve()
    if path.is_file():
        digest = sha256(path)
        return Source("tarball", path, f"KSRC={path}", digest, f"sha256:{digest}")
    bare = (path / "objects").is_dir() and (path / "HEAD").is_file()
    if bare or (path / ".git").exists():
        # The user's own git configuration counts here: it may declare this checkout safe.
        git = ["git", "-C", path]
        head = run([*git, "rev-parse", "--verify", "HEAD^{commit}"], quiet=True).strip()
        if not bare and run([*git, "status", "--porcelain", "--untracked-files=no"], quiet=True):
            say(f"notice: KSRC={path} has uncommitted changes; its HEAD is used, not they")
        return Source("git", path, f"KSRC={path} at {head[:12]}", key=f"git:{head}")
    if not (path / "Makefile").is_file() or not (path / "Kconfig").is_file():
        raise LabError(f"KSRC={path}: this directory holds no kernel source (no Makefile and "
                       "Kconfig)\nGive the top directory of a kernel tree, or a tarball.")
    if (path / ".config").exists() or (path / "include/config").exists():
        raise LabError(f"KSRC={path}: something was built in this tree, and its products would "
                       "be taken for source\nClean it first: "
                       f"make -C {path} mrproper   (or give the tarball)")
    stamp = (path / "Makefile").stat().st_mtime_ns
    return Source("tree", path, f"KSRC={path}", key=f"tree:{path}:{stamp}")


def store():
    return common.CACHE / "source"


def note(makeshift: bool = False) -> Path:
    """What says which file of the cache is meant, for this release: others share the cache.

    A makeshift has a note of its own. It must not be found in the place of the right one, which
    may be had the next time.
    """
    return store() / f"{'other' if makeshift else 'linux'}-{lock()['version']}.json"


def from_cache(makeshift: bool = False) -> Source | None:
    """What was fetched before."""
    place = note(makeshift)
    try:
        kept = json.loads(place.read_text())
        path = store() / kept["file"]
        size = path.stat().st_size
    except (OSError, ValueError, KeyError):
        return None
    if size != kept["size"] or (digest := sha256(path)) != kept["sha256"]:
        raise LabError(f"{show(path)} is not what was fetched: its sha256 or size differs from "
                       f"{show(place)}\n  recorded {kept['sha256']}, {kept['size']} bytes\n"
                       f"  found    {sha256(path)}, {size} bytes\n"
                       f"It was changed or damaged on disk. Remove it to have it fetched again: "
                       f"rm -r {show(store())}")
    return Source("tarball", path, kept["origin"], digest, f"sha256:{digest}")


def keep(tarball: Path, origin: str, makeshift: bool = False) -> Source:
    """Move a fetched tarball into the cache; the note is written last and makes it valid."""
    store().mkdir(parents=True, exist_ok=True)
    path, place = store() / tarball.name, note(makeshift)
    digest = sha256(tarball)
    os.replace(tarball, path)
    text = {"file": path.name, "sha256": digest, "size": path.stat().st_size, "origin": origin}
    part = place.with_suffix(".part")
    part.write_text(json.dumps(text, indent=1) + "\n")
    os.replace(part, place)
    return Source("tarball", path, origin, digest, f"sha256:{digest}")


def _upstream(root: apt.System) -> Source:
    """The upstream tarball, which Debian's source package has apart from its own patches."""
    locked = lock()
    versions = [v for v in root.versions(locked["package"], "Sources") if wanted(v)]
    if not versions:
        raise LabError(f"it knows no source package {locked['package']} of "
                       f"{release(locked['version'])}")
    # Each Debian version of one release has the same upstream tarball.
    same = [v for v in versions if v.rpartition("-")[0] == locked["version"]]
    version = next((v for v in same if v == locked["package_version"]), (same or versions)[0])
    with staging(store()) as part:
        tarball = root.upstream(locked["package"], version, part)
        origin = f"upstream tarball of Debian's {locked['package']} {version} ({root.name})"
        if same and locked["sha256"] and sha256(tarball) != locked["sha256"]:
            say(f"notice: {tarball.name} is not the file that is locked\n"
                f"  locked   {locked['sha256']}\n  fetched  {sha256(tarball)}")
        return keep(tarball, origin, makeshift=not same)


def _from_kernel_org() -> Source:
    name = f"linux-{lock()['version']}.tar.xz"
    url = f"{KERNEL_ORG}v{name.partition('-')[2].partition('.')[0]}.x/{name}"
    with staging(store()) as part:
        say(f"$ fetch {url}")
        try:
            with urllib.request.urlopen(url, timeout=30) as answer, \
                 open(part / name, "wb") as out:
                shutil.copyfileobj(answer, out, 1 << 20)
                length = answer.headers.get("Content-Length")
            if length and (part / name).stat().st_size != int(length):
                raise OSError("the connection ended early")
        except (OSError, urllib.error.URLError) as error:
            raise LabError(f"{name}: {error}") from None
        return keep(part / name, url)


def patched() -> dict:
    """Of the lock: Debian's own tree of the same release."""
    if not (found := lock().get("patched")):
        raise LabError(f"bases/{common.BASE}/lock knows none")
    return found


def _installed() -> Source:
    """Debian's patched tree where it is on this machine: installed, or fetched by anybody."""
    locked = patched()
    places = [Path("/usr/src") / locked["tarball"], store() / locked["tarball"]]
    for path in places:
        if path.exists() and (digest := sha256(path)) == locked["sha256"]:
            return Source("tarball", path, f"Debian package {locked['package']}, {show(path)}",
                          digest, f"sha256:{digest}")
    raise LabError("nowhere here with the sha256 of the lock: " + ", ".join(map(show, places)))


def _packaged(root: apt.System, package: str = "") -> Source:
    locked = patched()
    package = package or locked["package"]
    version = root.candidate(package, preferred=locked["package_version"])
    with staging(store()) as part:
        deb = root.download(package, version, part)
        run(["dpkg-deb", "-x", deb, part / "x"])
        tarballs = list((part / "x/usr/src").glob("linux-source-*.tar.*"))
        if len(tarballs) != 1:
            raise LabError(f"{deb.name} holds no kernel tarball")
        return keep(tarballs[0], f"Debian package {package} {version} ({root.name})", True)


def at_hand() -> Source:
    """The release that is wanted, if it need not be fetched."""
    kept = from_cache() or from_cache(makeshift=True)
    return kept if kept and wanted(kept.path.name) else _installed()


def _kept() -> Source:
    if not (kept := from_cache(makeshift=True)):
        raise LabError("there is none")
    return kept


def _any_kernel(private: apt.Private) -> Source:
    """The nearest other release: newer ones first, the patches may well have survived."""
    this = tuple(map(int, release(lock()["version"]).split(".")))
    for root in (private, apt.System()):
        try:
            names = root.names("linux-source-")
        except LabError:
            continue
        releases = [(int(a), int(b)) for a, b in
                    re.findall(r"^linux-source-(\d+)\.(\d+)$", names, re.M)]
        newer = sorted(r for r in releases if r > this)
        older = sorted((r for r in releases if r < this), reverse=True)
        for near in (newer + older)[:1]:
            return _packaged(root, "linux-source-%d.%d" % near)
    raise LabError("apt knows no linux-source package at all")


# --- unpacking and judging -----------------------------------------------

def unpack(source, dest):
    """Put the source's files into dest, an existing empty directory; returns the version."""
    packages.need("source")
    if source.kind == "tree":
        run(["cp", "-a", "--reflink=auto", f"{source.path}/.", dest])
    elif source.kind == "git":
        _pipe(["git", "-C", source.path, "archive", "--format=tar", "HEAD"],
              ["tar", "-x", "-C", dest])
    else:
        done = run(["tar", "-xf", source.path, "--strip-components=1", "-C", dest], check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["tar failed"])[0]
            raise LabError(f"{show(source.path)} cannot be unpacked: {reason}\n"
                           "The file is broken, truncated or no tarball; nothing of it was kept. "
                           + ("Give another one." if source.origin.startswith("KSRC=") else
                              f"Remove it to have it fetched again: rm -r {show(store())}"))
    version = version_of(dest, source)
    if version == lock()["version"]:
        leave_out(Path(dest), lock()["without"])
    return version


def leave_out(tree: Path, names: list[str]) -> None:
    """Upstream's tree has a few files that Debian's tarball of it has not: let all be the same."""
    for name in names:
        path = tree / name
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
        else:
            continue
        say(f"left out, as in the verified tree: {name}")


def _pipe(first, second):
    say(f"$ {common.quoted(first)} | {common.quoted(second)}")
    with subprocess.Popen(list(map(str, first)), stdout=subprocess.PIPE) as producer:
        consumer = subprocess.run(list(map(str, second)), stdin=producer.stdout, check=False)
    if producer.returncode or consumer.returncode:
        raise LabError(f"failed: {common.quoted(first)} | {common.quoted(second)}")


def version_of(tree, source):
    try:
        text = (Path(tree) / "Makefile").read_text(errors="replace")
        fields = {k: re.search(rf"^{k}[ \t]*=[ \t]*(\S*)", text, re.M).group(1)
                  for k in ("VERSION", "PATCHLEVEL", "SUBLEVEL", "EXTRAVERSION")}
    except (OSError, AttributeError):
        raise LabError(f"{source.origin}: this is no kernel source (its top Makefile has no "
                       f"VERSION, PATCHLEVEL, SUBLEVEL)\n{ways()}") from None
    version = "{VERSION}.{PATCHLEVEL}".format(**fields)
    if fields["SUBLEVEL"] not in ("", "0"):
        version += "." + fields["SUBLEVEL"]
    return version + fields["EXTRAVERSION"]


def judge(source, version, tree_hash):
    """How far this source is the verified one; the tree's git hash is the strongest witness."""
    locked, name = lock(), f"bases/{common.BASE}/lock"
    if tree_hash == locked["tree"]:
        how = "sha256 and git tree" if source.sha256 == locked["sha256"] else "git tree"
        return Verdict(version, True, f"verified: {how} as in {name}")
    if source.sha256 and source.sha256 == locked["sha256"] and not locked["tree"]:
        return Verdict(version, True, f"verified: sha256 as in {name}, which can have its git tree "
                                      f"now: {tree_hash}")
    if tree_hash == locked.get("patched", {}).get("tree"):
        return Verdict(version, False, f"this is Linux {version} with Debian's patches, git tree "
                                       f"as in {name}; upstream's tree, which is the verified one, "
                                       "could not be had")
    if not wanted(version):
        return Verdict(version, False, f"UNVERIFIED BASE: this is Linux {version}, the series is "
                                       f"written for {release(locked['version'])}; every patch has "
                                       "to apply without fuzz")
    if version != locked["version"]:
        return Verdict(version, False, f"this is Linux {version}; {locked['version']} is the one "
                                       "that was verified")
    return Verdict(version, False, f"this Linux {version} is not the one that was verified "
                   "(distributors' trees differ)\n"
                   f"  verified sha256 {locked['sha256']}, "
                   f"git tree {locked['tree'] or '(not recorded)'}\n"
                   f"  this     sha256 {source.sha256 or '(no tarball)'}, git tree {tree_hash}")


def exact(base: dict) -> bool:
    """Whether hunks stand on the very lines that the patch files say.

    Those are of the verified tree once the lock has its hash, and of Debian's until then.
    """
    return base["verified"] == bool(lock()["tree"])


def base_words(base: dict) -> str:
    """The base as a mail names it: by the commit of the tag if that is known, else in words.

    base is what tree.load_record() has under that name. A commit of the lab's is no answer:
    nobody else has it.
    """
    locked = lock()
    if base["verified"] and locked.get("commit"):
        return f"base-commit: {locked['commit']}"
    words = f"base: v{base['version']} (tree {base['tree']})"
    if base["verified"] and locked["without"]:
        return f"{words}, upstream's less what Debian leaves out: {', '.join(locked['without'])}"
    return words if base["verified"] else f"{words}, which is not upstream's"
