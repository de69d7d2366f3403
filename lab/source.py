# SPDX-License-Identifier: GPL-2.0
"""Where the kernel source comes from, and whether it is the one that was verified.

Order: KSRC=, the cache, the Debian package by the machine's own apt, the same
through a private apt root (lab/apt.py), kernel.org. What was fetched stays in
CACHE/source with its checksum; from then on nothing here uses the network.
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

from lab import apt, common, packages
from lab.common import LabError, run, say, show

KERNEL_ORG = "https://cdn.kernel.org/pub/linux/kernel/v7.x/"
SERIES = (7, 2)				# the release that the patches are written against
# Notes about what is in the cache. A makeshift has its own: it must not be found in the place of
# the right release, which may be had the next time.
NOTE, OTHER = "source.json", "other.json"
WAYS = """Ways to supply a 7.2:
  make tree KSRC=/path/to/linux-7.2.tar.xz     (a tarball, from kernel.org or a distribution)
  make tree KSRC=/path/to/linux                (an unpacked tree or a git checkout of v7.2.y)
  apt-get install linux-source-7.2             (Debian; trixie-backports, forky or sid)"""


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


def lock():
    return json.loads((Path(__file__).parent / "kernel.lock").read_text())


def wanted(version: str) -> bool:
    """Whether this is the release that the patches are written against."""
    return tuple(map(int, re.findall(r"\d+", version)[:2])) == SERIES


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def need_space(where, gib, what):
    """Stop before the disk fills up half-way."""
    where = Path(where)
    while not where.exists():
        where = where.parent
    free = shutil.disk_usage(where).free / 2**30
    if free < gib:
        raise LabError(f"not enough disk space for {what}: {gib:g} GiB are needed, {free:.1f} GiB "
                       f"are free on the file system of {where}\nNothing was written. Free some "
                       "space, or put the build elsewhere: LAB_BUILD=/big/disk make ...")


@contextlib.contextmanager
def staging(parent):
    """A directory that is gone afterwards, whatever happens; results are renamed out of it."""
    parent.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=".part-", dir=parent))
    try:
        yield path
    finally:
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
    tried = []
    with apt.Private(common.CACHE / "apt") as private:
        for name, way in (("installed package", _installed),
                          ("this machine's apt", lambda: _from_apt(apt.System())),
                          ("private apt root", lambda: _from_apt(private)),
                          ("kernel.org", _from_kernel_org),
                          ("any other kernel", lambda: _any_kernel(private))):
            try:
                return way()
            except LabError as error:
                tried.append(f"  {name}: {error}")
                say(f"source: {name}: {str(error).splitlines()[0]}")
    raise LabError("no kernel source could be had. Tried:\n" + "\n".join(tried) + "\n" + WAYS)


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


def from_cache(note: str = NOTE) -> Source | None:
    """What was fetched before. NOTE is about the release that is wanted, OTHER about a makeshift."""
    try:
        kept = json.loads((store() / note).read_text())
        path = store() / kept["file"]
        size = path.stat().st_size
    except (OSError, ValueError, KeyError):
        return None
    if note == NOTE and not wanted(path.name):
        return None
    if size != kept["size"] or (digest := sha256(path)) != kept["sha256"]:
        raise LabError(f"{show(path)} is not what was fetched: its sha256 or size differs from "
                       f"{show(store() / note)}\n  recorded {kept['sha256']}, {kept['size']} bytes\n"
                       f"  found    {sha256(path)}, {size} bytes\n"
                       f"It was changed or damaged on disk. Remove it to have it fetched again: "
                       f"rm -r {show(store())}")
    return Source("tarball", path, kept["origin"], digest, f"sha256:{digest}")


def keep(tarball: Path, origin: str) -> Source:
    """Move a fetched tarball into the cache; the note is written last and makes it valid."""
    store().mkdir(parents=True, exist_ok=True)
    path = store() / tarball.name
    digest = sha256(tarball)
    os.replace(tarball, path)
    note = {"file": path.name, "sha256": digest, "size": path.stat().st_size, "origin": origin}
    place = store() / (NOTE if wanted(path.name) else OTHER)
    part = place.with_suffix(".part")
    part.write_text(json.dumps(note, indent=1) + "\n")
    os.replace(part, place)
    return Source("tarball", path, origin, digest, f"sha256:{digest}")


def _installed():
    path = Path("/usr/src") / lock()["tarball"]
    if not path.exists():
        raise LabError(f"{path} is not there")
    digest = sha256(path)
    return Source("tarball", path, f"installed package {lock()['package']}", digest,
                  f"sha256:{digest}")


def _from_apt(root, package=None):
    package = package or lock()["package"]
    version = root.candidate(package, preferred=lock()["deb_version"])
    with staging(store()) as part:
        deb = root.download(package, version, part)
        found = sha256(deb)
        if version == lock()["deb_version"] and found != lock()["deb_sha256"]:
            say(f"notice: {deb.name} is not the file that was verified\n"
                f"  verified {lock()['deb_sha256']}\n  fetched  {found}")
        run(["dpkg-deb", "-x", deb, part / "x"])
        tarballs = list((part / "x/usr/src").glob("linux-source-*.tar.*"))
        if len(tarballs) != 1:
            raise LabError(f"{deb.name} holds no kernel tarball")
        return keep(tarballs[0], f"Debian package {package} {version} ({root.name})")


def _from_kernel_org():
    names = [f"linux-{lock()['version']}.tar.xz", "linux-7.2.tar.xz"]
    failures = []
    with staging(store()) as part:
        for name in names:
            url = KERNEL_ORG + name
            say(f"$ fetch {url}")
            try:
                with urllib.request.urlopen(url, timeout=30) as answer, \
                     open(part / name, "wb") as out:
                    shutil.copyfileobj(answer, out, 1 << 20)
                    length = answer.headers.get("Content-Length")
                if length and (part / name).stat().st_size != int(length):
                    raise OSError("the connection ended early")
                return keep(part / name, url)
            except (OSError, urllib.error.URLError) as error:
                failures.append(f"{name}: {error}")
    raise LabError("; ".join(failures))


def _any_kernel(private):
    """The nearest other release: newer ones first, the patches may well have survived."""
    for root in (private, apt.System()):
        try:
            names = root.names("linux-source-")
        except LabError:
            continue
        releases = [(int(a), int(b)) for a, b in
                    re.findall(r"^linux-source-(\d+)\.(\d+)$", names, re.M)]
        newer = sorted(r for r in releases if r > SERIES)
        older = sorted((r for r in releases if r < SERIES), reverse=True)
        for release in (newer + older)[:1]:
            package = "linux-source-%d.%d" % release
            kept = from_cache(OTHER)
            return kept if kept and kept.path.name.startswith(f"{package}.tar") else \
                _from_apt(root, package)
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
    return version_of(dest, source)


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
                       f"VERSION, PATCHLEVEL, SUBLEVEL)\n{WAYS}") from None
    version = "{VERSION}.{PATCHLEVEL}".format(**fields)
    if fields["SUBLEVEL"] not in ("", "0"):
        version += "." + fields["SUBLEVEL"]
    return version + fields["EXTRAVERSION"]


def judge(source, version, tree_hash):
    """How far this source is the verified one; the tree's git hash is the strongest witness."""
    locked = lock()
    if tree_hash == locked["tree"]:
        how = "sha256 and git tree" if source.sha256 == locked["tarball_sha256"] else "git tree"
        return Verdict(version, True, f"verified: {how} as in lab/kernel.lock")
    if not wanted(version):
        return Verdict(version, False, f"UNVERIFIED BASE: this is Linux {version}, the series is "
                                       "written for 7.2; every patch has to apply without fuzz")
    if version != locked["version"]:
        return Verdict(version, False, f"this is Linux {version}; {locked['version']} is the one "
                                       "that was verified")
    return Verdict(version, False, f"this Linux {version} is not the one that was verified "
                   "(distributors' trees differ)\n"
                   f"  verified sha256 {locked['tarball_sha256']}, git tree {locked['tree']}\n"
                   f"  this     sha256 {source.sha256 or '(no tarball)'}, git tree {tree_hash}")
