# SPDX-License-Identifier: GPL-2.0
"""Ways to ask apt for one package: as the machine is configured, and by a private root, for
newer suites of the same mirror or for another architecture. None changes the system."""

import os
import re
import shutil
from pathlib import Path

from lab.common import LabError, run, say

QUICK = ["-o", "Acquire::http::Timeout=30", "-o", "Acquire::https::Timeout=30",
         "-o", "Acquire::Retries=1"]


class System:
    """apt with the machine's own configuration and the lists that it has."""

    name = "this machine's apt"

    def options(self):
        # apt drops to the user _apt for downloads, who cannot enter a private directory.
        return QUICK + (["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else [])

    def ready(self):
        if not shutil.which("apt-get"):
            raise LabError("there is no apt-get here")

    def ask(self, *args):
        self.ready()
        return run(["apt-cache", *self.options(), *args], quiet=True, check=False).stdout

    def names(self, prefix):
        return self.ask("pkgnames", prefix)

    def versions(self, package, index="Packages"):
        """What there is of a package; index="Sources": of a source package."""
        found = re.findall(rf"^\s*{re.escape(package)}\s*\|\s*(\S+)\s*\|.* {index}$",
                           self.ask("madison", package), re.M)
        if not found:
            kind = "source package" if index == "Sources" else "package"
            raise LabError(f"it knows no {kind} {package}")
        return found

    def candidate(self, package, preferred):
        """The version to take: the verified one if there is a choice."""
        versions = self.versions(package)
        return preferred if preferred in versions else versions[0]

    def download(self, package, version, where):
        self.ready()
        run(["apt-get", *self.options(), "download", f"{package}={version}"], cwd=where)
        debs = list(Path(where).glob("*.deb"))
        if len(debs) != 1:
            raise LabError(f"apt-get download left {len(debs)} files where one was expected")
        return debs[0]

    def upstream(self, package, version, where):
        """The upstream tarball of a source package; it takes no dpkg-dev to get that one file."""
        self.ready()
        done = run(["apt-get", *self.options(), "-q", "source", "--download-only", "--tar-only",
                    f"{package}={version}"], cwd=where, check=False)
        found = list(Path(where).glob("*.orig.tar.*"))
        if done.returncode or len(found) != 1:
            reason = [line for line in done.stderr.splitlines() if line.startswith("E:")]
            raise LabError(f"it lists {package} {version}, but the upstream tarball of that cannot "
                           "be had" + (f": {reason[0].removeprefix('E: ')}" if reason else ""))
        return found[0]


class Private(System):
    """Own lists and cache below one directory, removed afterwards; the mirror and its
    key are those that the machine's configuration names. kind is "deb" or "deb-src"."""

    name = "private apt root"

    def __init__(self, base, suites=(), kind="deb"):
        self.base = Path(base)
        self.wanted, self.kind = suites, kind
        self.updated = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.base, ignore_errors=True)

    def options(self):
        base = self.base
        return [*super().options(),
                "-o", f"Dir::Etc::SourceList={base}/sources.list",
                "-o", "Dir::Etc::SourceParts=/dev/null",
                "-o", f"Dir::State::Lists={base}/lists",
                "-o", f"Dir::Cache={base}/cache",
                "-o", "Acquire::Languages=none",
                "-o", f"APT::Architectures={self.architecture}",
                "-o", "APT::Get::List-Cleanup=false"]

    def suites(self):
        return self.wanted

    def native(self):
        return run(["dpkg", "--print-architecture"], quiet=True).strip()

    def ready(self):
        super().ready()
        if self.updated:
            return
        site, keyring = mirror()
        self.architecture = self.native()
        for sub in ("lists/partial", "cache/archives/partial"):
            (self.base / sub).mkdir(parents=True, exist_ok=True)
        signed = f"[signed-by={keyring}] " if keyring else ""
        (self.base / "sources.list").write_text(
            "".join(f"{self.kind} {signed}{site} {suite} main\n" for suite in self.suites()))
        # A mirror without one of the suites makes this fail although the others are there:
        # what counts is whether the package is known afterwards.
        done = run(["apt-get", *self.options(), "update"], check=False)
        if not any((self.base / "lists").glob({"deb": "*Packages*"}.get(self.kind, "*Sources*"))):
            reason = [line for line in (done.stderr + done.stdout).splitlines()
                      if line.startswith(("E:", "W:", "Err"))]
            raise LabError("the mirror gave no package lists (no network?)"
                           + (f": {reason[0]}" if reason else ""))
        for line in done.stderr.splitlines():
            if line.startswith("E:"):
                say(f"notice: {line.removeprefix('E: ')}")
        self.updated = True


class Foreign(Private):
    """The suites that this machine is configured for, for another architecture."""

    def __init__(self, base, architecture):
        super().__init__(base)
        self.architecture = architecture
        self.name = f"private apt root for {architecture}"

    def suites(self):
        form = "$(CREATED_BY)|$(SITE)|$(RELEASE)"
        site = mirror()[0]
        rows = [line.split("|") for line in
                run(["apt-get", "indextargets", "--format", form], quiet=True).splitlines()]
        return list(dict.fromkeys(r[2] for r in rows if r[:2] == ["Packages", site]))

    def native(self):
        return self.architecture

    def options(self):
        # What is installed here has no say in it.
        return [*super().options(), "-o", f"APT::Architecture={self.architecture}",
                "-o", "Dir::State::status=/dev/null"]


def mirror():
    """(URL, keyring or "") of the first Debian archive that this machine is configured for."""
    form = "$(CREATED_BY)|$(SITE)|$(ORIGIN)|$(LABEL)|$(SOURCESENTRY)"
    for line in run(["apt-get", "indextargets", "--format", form], quiet=True).splitlines():
        created, site, origin, label, entry = (line.split("|") + [""] * 5)[:5]
        if created != "Packages" or "security" in site:
            continue
        # Before the first apt-get update, Origin and Label are not known: go by the path.
        if (origin, label) == ("Debian", "Debian") or \
                (not origin and site.rstrip("/").endswith("/debian")):
            return site, keyring_of(entry)
    raise LabError("this machine's apt is not configured for a Debian archive")


def keyring_of(entry):
    """What signed-by of a sources entry (FILE:LINE) says, or Debian's own keyring."""
    try:
        text = Path(entry.rpartition(":")[0]).read_text()
    except OSError:
        text = ""
    if match := re.search(r"signed-by[:=]\s*(/[^\s\],]+)", text, re.I):
        return match.group(1)
    for name in ("debian-archive-keyring.pgp", "debian-archive-keyring.gpg"):
        if (path := Path("/usr/share/keyrings") / name).exists():
            return path
    return ""
