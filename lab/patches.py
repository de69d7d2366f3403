# SPDX-License-Identifier: GPL-2.0
"""The repository's side of the series: patch files, overlay files, MAINTAINERS.

One patch file is one commit: its message, what it changes in files that exist
before it, and the names of the files that it adds. The added files' text stands
in the overlay, at its in-tree path, as it is after the last patch, and nowhere
else: stages.py tells what it is at an earlier one. Who wrote a commit, and when,
is in its header, unless that is the lab.
"""

import email.utils
import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from lab.common import LabError, say

OVERLAY = ("Documentation", "arch", "drivers", "include", "lib", "mm", "scripts", "tools")
PLACES = ("Documentation/", "arch/", "drivers/", "include/", "lib/", "mm/", "scripts/gdb/",
          "tools/testing/")
AUTHOR = re.compile(r"^(\S.*) <([^<>]*)>$")
PART = ".part~"				# how a file's name ends until all of it is there
NAME = re.compile(r"^\d{4}-[a-z0-9][a-z0-9._-]*\.patch$")


@dataclass
class Patch:
    name: str				# NNNN-slug.patch
    subject: str
    body: str = ""
    new_files: list = field(default_factory=list)
    entries: list = field(default_factory=list)	# titles of MAINTAINERS sections
    diff: bytes = b""
    author: str = ""			# Name <address>; nothing if it is the lab
    date: str = ""			# as in a mail

    @property
    def authorship(self) -> dict[str, str]:
        """What git commit-tree has to know so that the commit is its author's."""
        if not self.author:
            return {}
        name, address = AUTHOR.match(self.author).groups()
        env = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": address}
        if self.date:
            seconds = int(email.utils.parsedate_to_datetime(self.date).timestamp())
            env["GIT_AUTHOR_DATE"] = f"@{seconds} {self.date.split()[-1]}"
        return env

    @property
    def message(self):
        return self.subject + (f"\n\n{self.body}" if self.body else "")

    @property
    def touched(self) -> list[str]:
        """Files that the diff changes: of the kernel, or added by an earlier patch."""
        return [name for name, _ in self.sections]

    @property
    def sections(self) -> list[tuple[str, bytes]]:
        """(file, its part of the diff), in order."""
        parts = re.split(rb"^(?=diff --git a/(.+) b/\1$)", self.diff, flags=re.M)[1:]
        return [(name.decode(), part) for name, part in zip(parts[0::2], parts[1::2])]

    def text(self):
        parts = [f"Subject: {self.subject}\n"]
        parts += [f"{key}: {value}\n" for key, value in (("From", self.author),
                                                         ("Date", self.date)) if value]
        if self.body:
            parts.append(f"\n{self.body}\n")
        if self.new_files:
            parts.append("\nNew-files:\n" + "".join(f" {n}\n" for n in self.new_files))
        if self.entries:
            parts.append(("" if self.new_files else "\n")
                         + "".join(f"Maintainers-entry: {e}\n" for e in self.entries))
        return "".join(parts).encode() + b"---\n" + self.diff


def parse(name, data, whole=False):
    """The patch in a file; whole: its diff has the text of new files, too."""
    def wrong(what):
        return LabError(f"patches/{name}: {what}\nThe format is: Subject: line, optional From: "
                        "and Date: of the author, blank line, message, optional "
                        "New-files: and Maintainers-entry:, a line ---, the diff")

    head, found, diff = data.partition(b"\n---\n")
    if not found:
        raise wrong("there is no line --- between the message and the diff")
    lines = head.decode().split("\n")
    if not lines[0].startswith("Subject: ") or not lines[0][9:].strip():
        raise wrong("the first line is not 'Subject: ...'")
    patch = Patch(name, lines[0][9:].strip(), diff=diff)
    end = lines.index("") if "" in lines else len(lines)
    _authorship(patch, lines[1:end], wrong)
    body, listing = [], False
    for line in lines[end:]:
        if line.rstrip() == "New-files:":
            listing = True
        elif listing and line.startswith(" ") and line.strip():
            patch.new_files.append(line.strip())
        elif line.startswith("Maintainers-entry: "):
            patch.entries.append(line.partition(": ")[2].strip())
            listing = True		# the message is over
        elif not listing:
            body.append(line.rstrip())
        elif line.strip():
            raise wrong(f"unexpected line after New-files: {line!r}")
    patch.body = "\n".join(body).strip("\n")
    _check_diff(diff, wrong, whole)
    return patch


def _authorship(patch: Patch, lines: list[str], wrong) -> None:
    """From: and Date:, which stand below the Subject."""
    found = {}
    for line in lines:
        key, _, value = line.partition(": ")
        if key not in ("From", "Date") or key in found:
            raise wrong(f"{line!r} is there twice" if key in found else
                        f"the Subject is followed by {line!r}, which is neither From:, Date: nor "
                        "a blank line")
        found[key] = value.strip()
    patch.author, patch.date = found.get("From", ""), found.get("Date", "")
    if "From" in found and not AUTHOR.match(patch.author):
        raise wrong("From: is not 'Name <address>'")
    if "Date" in found and "From" not in found:
        raise wrong("there is a Date: without From:")
    try:
        if "Date" in found and not email.utils.parsedate_to_datetime(patch.date).tzinfo:
            raise ValueError
    except (TypeError, ValueError):
        raise wrong("Date: is no date as in a mail, with its time zone") from None


def _check_diff(diff, wrong, whole):
    if diff and not diff.startswith(b"diff --git "):
        raise wrong("after --- comes something that is neither nothing nor 'diff --git'")
    # Only header lines count: within a hunk each line starts with a blank, + or -.
    for line in re.findall(rb"^(?:new file mode|deleted file mode|rename from|rename to|copy from"
                           rb"|GIT binary patch|Binary files).*$", diff, re.M):
        if line.startswith(b"new file"):
            if whole:
                continue
            raise wrong("it holds a new file's text; that belongs in the overlay directory, "
                        "and its name under New-files:")
        raise wrong(f"'{line.decode()}': a patch changes files, it does not delete, rename or "
                    "copy them")


class Product:
    """What the repository at root adds to the kernel."""

    def __init__(self, root):
        self.root = Path(root)
        self.folder = self.root / "patches"

    def names(self):
        """The lines of patches/series."""
        try:
            lines = (self.folder / "series").read_text().splitlines()
        except OSError:
            return []
        return [n for n in (line.partition("#")[0].strip() for line in lines) if n]

    def overlay(self):
        """Paths of all overlay files, relative to the root."""
        found = []
        for top in OVERLAY:
            for where, folders, files in os.walk(self.root / top):
                folders[:] = sorted(f for f in folders if f != "__pycache__")
                found += [os.path.relpath(os.path.join(where, f), self.root) for f in files
                          if not f.endswith(PART)]
        return sorted(found)

    def load(self):
        """The patches in order, checked against folder and overlay."""
        if not (self.folder / "series").exists() and not any(self.folder.glob("*.patch")):
            if overlay := self.overlay():
                say(f"notice: there is no patches/series yet, so the {len(overlay)} overlay files "
                    f"({overlay[0]}, ...) are in no commit")
            return []
        names, there = self.names(), {p.name for p in self.folder.glob("*.patch")}
        for name in names:
            if not NAME.match(name):
                raise LabError(f"patches/series: '{name}' is not of the form NNNN-slug.patch")
        wrong = [f"  {n}: in patches/series, but there is no such file"
                 for n in names if n not in there]
        wrong += [f"  {n}: in patches/, but not in patches/series" for n in there - set(names)]
        wrong += [f"  {n}: twice in patches/series" for n in sorted(set(names))
                  if names.count(n) > 1]
        if wrong:
            raise LabError("patches/series and patches/ disagree:\n" + "\n".join(sorted(wrong)))
        patches = [parse(n, (self.folder / n).read_bytes()) for n in names]
        self._check_overlay(patches)
        self._check_entries(patches)
        return patches

    def _check_overlay(self, patches):
        listed, wrong = {}, []
        for patch in patches:
            for name in patch.new_files:
                if name in listed:
                    wrong.append(f"  {name}: listed as new by {listed[name]} and by {patch.name}")
                listed[name] = patch.name
        for place, patch in enumerate(patches):
            ahead = {n: later.name for later in patches[place:] for n in later.new_files}
            wrong += [f"  {name}: {patch.name} changes it, but it is {ahead[name]} that lists it as "
                      "new" for name in sorted(set(patch.touched) & set(ahead))]
        overlay = set(self.overlay())
        wrong += [f"  {name}: {listed[name]} lists it as new, but the file is missing"
                  for name in listed if name not in overlay]
        wrong += [f"  {name}: no patch lists it under New-files:" for name in overlay - set(listed)]
        wrong += [f"  {name}: is a symbolic link" for name in overlay
                  if (self.root / name).is_symlink()]
        wrong += [f"  {name}: is outside of {' '.join(PLACES)}" for name in listed
                  if not name.startswith(PLACES) or ".." in name.split("/")]
        if wrong:
            raise LabError("patches and overlay files disagree:\n" + "\n".join(sorted(wrong)))

    def _check_entries(self, patches):
        there, used = self.maintainers().entries, [e for p in patches for e in p.entries]
        wrong = [f"  '{e}': a patch asks for it, but MAINTAINERS has no such section"
                 for e in used if e not in there]
        wrong += [f"  '{e}': no patch has a line 'Maintainers-entry: {e}'"
                  for e in there if e not in used]
        wrong += [f"  '{e}': more than one patch adds it" for e in set(used) if used.count(e) > 1]
        if wrong:
            raise LabError("patches and MAINTAINERS disagree:\n" + "\n".join(sorted(wrong)))

    def maintainers(self):
        try:
            return Maintainers((self.root / "MAINTAINERS").read_text())
        except FileNotFoundError:
            return Maintainers("")

    def owned(self) -> set[str]:
        """The files that make tree reads and make refresh writes."""
        files = {f"patches/{p.name}" for p in self.folder.glob("*.patch")}
        files |= {n for n in ("patches/series", "MAINTAINERS") if (self.root / n).exists()}
        return files | set(self.overlay())

    def digest(self, name: str) -> str:
        """Of one file: its text and whether it may be executed; "" if there is no such file."""
        path = self.root / name
        if not path.is_file():
            return ""
        return hashlib.sha256(self.mode(name).encode() + path.read_bytes()).hexdigest()

    def digests(self) -> dict[str, str]:
        """{name: digest}, to tell later which files were changed."""
        return {name: self.digest(name) for name in sorted(self.owned())}

    def mode(self, name):
        return "100755" if os.access(self.root / name, os.X_OK) else "100644"

    def fingerprint(self):
        """Changes whenever the assembled tree could."""
        digest = hashlib.sha256()
        files = ["MAINTAINERS", "patches/series", *self.overlay(),
                 *sorted(f"patches/{p.name}" for p in self.folder.glob("*.patch"))]
        for name in files:
            path = self.root / name
            data = path.read_bytes() if path.is_file() else b""
            digest.update(f"{name}\0{self.mode(name)}\0{len(data)}\0".encode() + data)
        return digest.hexdigest()


# A title starts a section; the lines of its body look like "M:\tName".
_FIELD = re.compile(r"^[A-Z]:\s")


class Maintainers:
    """The repository's own MAINTAINERS: sections to be added to the kernel's file."""

    def __init__(self, text):
        self.entries = {title: text[start:end].rstrip("\n")
                        for title, (start, end) in titles(text).items()}


def titles(text):
    """{title: (start, end)} of the sections of the kernel's file, in characters."""
    found = {}
    for match in re.finditer(r"(?:\A|(?<=\n\n))([^\s#][^\n]*)\n(?=[A-Z]:\s)(?:[^\n]+\n?)*", text):
        if not _FIELD.match(match.group(1)):
            found[match.group(1)] = (match.start(1), match.end())
    return found


def insert_entry(text, title, entry):
    """The kernel's MAINTAINERS with one more section at its alphabetical place."""
    sections = titles(text)
    if title in sections:
        raise LabError(f"the kernel's MAINTAINERS already has a section '{title}'")
    # The file is sorted without regard to case, but for a hundred sections that are not ("THE
    # REST", the last, on purpose). One of those must not attract the new section: its place is
    # where the fewest others are on the wrong side of it.
    starts = [start for start, _ in sections.values()]
    smaller = [t.casefold() < title.casefold() and t != "THE REST" for t in sections]
    wrong = [sum(smaller)]			# in front of everything
    for is_smaller in smaller:
        wrong.append(wrong[-1] + (-1 if is_smaller else 1))
    least = min(wrong)
    place = max(i for i, count in enumerate(wrong) if count == least)
    if place < len(starts):
        return text[:starts[place]] + entry.rstrip("\n") + "\n\n" + text[starts[place]:]
    return text.rstrip("\n") + "\n\n" + entry.rstrip("\n") + "\n"


def remove_entries(text, names):
    """The kernel's MAINTAINERS without these sections."""
    for name in names:
        span = titles(text).get(name)
        if span:
            text = text[:span[0]] + text[span[1]:].lstrip("\n")
    return text


def slug(subject):
    text = re.sub(r"[^a-z0-9]+", "-", subject.lower()).strip("-")
    return text[:52].rstrip("-") or "patch"


def series_text(path, names):
    """patches/series again. Comments stay with the line below them, as the last ones do at the end.

    A line is known by its name without the number, which changes with its place.
    """
    head, above, beside, block = "", {}, {}, []
    for line in path.read_text().splitlines() if path.exists() else []:
        name, mark, comment = line.partition("#")
        if not name.strip():
            block.append(line + "\n")
            continue
        if not above and not head:
            head, block = "".join(block), []
        above[name.strip()[5:]], block = "".join(block), []
        beside[name.strip()[5:]] = line[len(name.rstrip()):] if mark else ""
    if not above:
        head, block = "".join(block), []
    lines = [above.get(n[5:], "") + n + beside.get(n[5:], "") + "\n" for n in names]
    return head + "".join(lines) + "".join(block)


def name_patches(patches, old):
    """A commit keeps its file name by subject, else by position; numbers stay in order."""
    names = old.names()
    subjects = {}
    for name in names:
        if (old.folder / name).exists():
            subjects.setdefault(parse(name, (old.folder / name).read_bytes()).subject, name)
    taken = set()
    for patch in patches:
        name = subjects.get(patch.subject)
        if name and name not in taken:
            patch.name = name
            taken.add(name)
    if len(names) == len(patches):	# a new subject in an old place is a reworded commit
        for patch, name in zip(patches, names):
            if not patch.name and name not in taken:
                patch.name = name
                taken.add(name)
    for number, patch in enumerate(patches, 1):
        patch.name = patch.name or f"{number:04}-{slug(patch.subject)}.patch"
    numbers = [int(p.name[:4]) for p in patches]
    if any(a >= b for a, b in zip(numbers, numbers[1:])):
        for number, patch in enumerate(patches, 1):
            patch.name = f"{number:04}{patch.name[4:]}"
    assert all(NAME.match(p.name) for p in patches)
