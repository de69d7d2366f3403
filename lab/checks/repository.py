# SPDX-License-Identifier: GPL-2.0
"""Checks that need no kernel: sizes, licences, machine paths, Python, the patch files."""

import ast
import os
import re
import subprocess
from pathlib import Path

from lab import packages
from lab.checks import check
from lab.common import LabError
from lab.patches import parse

LIMITS = {".c": 800, ".h": 800, ".py": 500}
# What cannot or must not carry a tag: data, texts that become mails, the pointer to the licence.
UNTAGGED = re.compile(r"\.json$|^LICENSES/|^Documentation/ABI/|^lab/tests/(cases|reports)/"
                      r"|^(bases/[^/]+/)?(patches/)?(series|cover-letter|[^/]*\.patch)$")
SPDX = re.compile(r"SPDX-License-Identifier: ([\w.-]*\w(?: (?:AND|OR|WITH) [\w.-]*\w)*)")
# Folders that are somewhere on one machine only. What a guest or a container has is not meant.
HOMES = re.compile(r"(?<![\w.])/(?:home|Users|root|work|mnt)/[\w.-]+")
MIRRORS = re.compile(r"\b(?:deb|ftp|http|security|snapshot)(?:\.\w+)?\.debian\.org\b")


def files(root):
    """The repository's files: tracked, and new ones that are not ignored."""
    done = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard", "-z"],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"git ls-files: {done.stderr.strip()}")
    found = [name for name in sorted(set(done.stdout.split("\0")))
             if name and (root / name).is_file()]
    if not found:
        raise LabError(f"git knows no file of {root}")
    return found


def text_of(path):
    return path.read_text(encoding="utf-8", errors="replace")


@check("no file is longer than it may be")
def sizes(tree):
    bad = []
    for name in files(tree.root):
        limit = LIMITS.get(Path(name).suffix)
        lines = len(text_of(tree.root / name).splitlines()) if limit else 0
        if limit and lines > limit:
            bad.append(f"{name}: {lines} lines; {limit} is the limit, so split it by roles")
    return bad


@check("every file names its licence, and the text of that is there")
def licences(tree):
    bad, texts = [], {path.name for path in (tree.root / "LICENSES").glob("*/*")}
    for name in files(tree.root):
        if UNTAGGED.search(name):
            continue
        head = "\n".join(text_of(tree.root / name).splitlines()[:4])
        tag = SPDX.search(head)
        if not tag:
            bad.append(f"{name}: no SPDX-License-Identifier in its first lines")
            continue
        bad += [f"{name}: LICENSES/ has no text of {word}"
                for word in re.split(r" (?:AND|OR|WITH) ", tag[1]) if word not in texts]
    return bad


def mirrors(etc=Path("/etc/apt")):
    """Host names that this machine's apt takes packages from."""
    lists = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    hosts = set()
    for path in lists:
        try:
            hosts |= set(re.findall(r"https?://([\w.-]+\.[\w.-]+)", path.read_text()))
        except OSError:
            continue
    return hosts


@check("no path and no mirror of one machine")
def machine_paths(tree):
    own = {str(tree.root), str(Path.home())} - {"/"}
    words = [HOMES, MIRRORS, *(re.compile(re.escape(word) + r"(?![\w.-])")
                               for word in sorted(own | mirrors()))]
    bad = []
    for name in files(tree.root):
        for number, line in enumerate(text_of(tree.root / name).splitlines(), 1):
            if found := next(filter(None, (word.search(line) for word in words)), None):
                bad.append(f"{name}:{number}: {found.group(0)}")
    return bad


@check("Python compiles, and pyflakes is content")
def python(tree):
    packages.need("python")
    names = [name for name in files(tree.root) if name.endswith(".py")]
    bad = []
    for name in names:
        try:
            ast.parse(text_of(tree.root / name), name)
        except SyntaxError as error:
            bad.append(f"{name}:{error.lineno}: {error.msg}")
    done = subprocess.run(["pyflakes3", *names], cwd=tree.root, capture_output=True, text=True,
                          check=False)
    bad += done.stdout.splitlines() + done.stderr.splitlines()
    if done.returncode and not bad:
        bad.append(f"pyflakes3 ended with {done.returncode}")
    return bad


@check("patches hold messages and hunks, no new file's text")
def patch_files(tree):
    bad = []
    folder = tree.root / "patches"
    for path in sorted(folder.glob("*.patch")):
        try:
            parse(path.name, path.read_bytes())
        except LabError as error:
            bad.append(str(error).splitlines()[0])
    try:
        if not tree.product.load():
            bad.append("patches/series is empty: nothing would be checked")
    except LabError as error:
        bad.append(str(error))
    return bad


def matched(pattern, names):
    """Which names an F: line of MAINTAINERS means, by the rules that stand in that file."""
    if pattern.endswith("/"):
        return [n for n in names if n.startswith(pattern)]
    # '*' stops at a slash, as in the shell.
    rule = re.compile("".join("[^/]*" if c == "*" else "[^/]" if c == "?" else re.escape(c)
                              for c in pattern) + r"(?:/.*)?$")
    return [n for n in names if rule.match(n)]


@check("MAINTAINERS covers every new file")
def maintainers(tree):
    entries = tree.product.maintainers().entries
    if not entries:
        return ["MAINTAINERS: there is no section; the new files belong to nobody"]
    bad, covered = [], set()
    for title, text in entries.items():
        for letters in ("ML", "S", "F"):
            if not re.search(rf"^[{letters}]:\t\S", text, re.M):
                bad.append(f"MAINTAINERS: {title}: no line {' or '.join(letters)}:")
        for pattern in re.findall(r"^F:\t(.+)$", text, re.M):
            hits = matched(pattern, tree.new)
            covered.update(hits)
            if not hits and not list(tree.path.glob(pattern.rstrip("/"))):
                bad.append(f"MAINTAINERS: {title}: F: {pattern} matches no file")
    # A fix's file belongs to those whose file it fixes: a patch adds it to their section.
    for path in sorted((tree.root / "patches").glob("*.patch")):
        for pattern in re.findall(r"^\+F:\t(.+)$", text_of(path), re.M):
            covered.update(matched(pattern, tree.new))
    bad += [f"{name}: no section of MAINTAINERS has it" for name in tree.new
            if name not in covered]
    return bad + kernels_own_view(tree, entries)


def kernels_own_view(tree, entries):
    """scripts/get_maintainer.pl on the patched tree must find each section by a file of it."""
    bad = []
    for title, text in entries.items():
        names = [n for pattern in re.findall(r"^F:\t(.+)$", text, re.M)
                 for n in matched(pattern, tree.new)][:1]
        done = subprocess.run(["perl", "scripts/get_maintainer.pl", "--nogit", "--nogit-fallback",
                               "--sections", *(word for name in names for word in ("-f", name))],
                              cwd=tree.path, capture_output=True, text=True, check=False,
                              env=dict(os.environ, LC_ALL="C"))
        if title not in done.stdout.splitlines():
            bad.append(f"get_maintainer.pl does not find '{title}' for {names}: "
                       + done.stderr.strip()[-200:])
    return bad
