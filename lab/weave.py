# SPDX-License-Identifier: GPL-2.0
"""Any of the series' patches without the others, as far as that makes sense.

A mail thread applies on the base, not on what happens to stand before it in the
series. Merging does not get there: two patches that add a line each at the same
place of mm/Makefile conflict for every merge, although each is clear on its own.

So each file is kept as a weave: all lines that it ever has between the base and
the end of the series, in one order, and for each line the patch that brings it
and the one that takes it away. The file with some of the patches is the lines
that are there with them. With all patches that is the series by construction.
What a patch does to lines of another has no meaning without that one, and is an
error.
"""

import hashlib
import io
import itertools
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from lab.common import LabError
from lab.git import DIFF, Git

BASE = 0				# in the place of a patch; patches count from 1
HUNK = re.compile(rb"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", re.M)


@dataclass
class Line:
    text: bytes
    born: int
    gone: int | None = None


@dataclass
class Hunk:
    """What one place of one patch rests on."""
    patch: int
    path: str
    needs: set[int]			# patches whose lines it takes away
    first: Line | None			# of what it adds where it takes nothing away


@dataclass
class File:
    lines: list[Line]
    born: int
    modes: dict[int, str] = field(default_factory=dict)

    def visible(self, patches: Collection[int]) -> bytes:
        there = {BASE, *patches}
        return b"".join(line.text for line in self.lines
                        if line.born in there and line.gone not in there)


def _lines(data: bytes) -> list[bytes]:
    return io.BytesIO(data).readlines()


def _absent(lines: list[Line], patch: int, there: set[int]) -> tuple[set[int], set[int]]:
    """From an insertion on, who brings and who removes the lines up to one that is there.

    Whom a blank line belongs to is chance, because diff may take either of two.
    """
    brings: set[int] = set()
    removes: set[int] = set()
    own = itertools.takewhile(lambda line: line.born >= patch, lines)
    for line in lines[len(list(own)):]:
        if line.born > patch:
            continue
        if line.gone is not None and line.gone < patch:
            if line.born in there and line.gone not in there:
                removes.add(line.gone)
        elif line.born in there:
            break
        elif line.text.strip():
            brings.add(line.born)
    return brings, removes


class Weave:
    """All files that the commits, which follow each other from base on, change or add."""

    def __init__(self, git: Git, commits: list[str], base: str = "base"):
        self.git, self.base = git, base
        self.files: dict[str, File] = {}
        self.hunks: list[Hunk] = []
        self.paths: list[list[str]] = [[]]	# what each patch changes
        # old mode, mode, old blob, blob, status and path of each change of a commit
        changes = [self._changes(commit) for commit in commits]
        self.blobs = self._read({entry[place] for entries in changes for entry in entries
                                 for place in (2, 3) if entry[place].strip("0")})
        for number, (commit, entries) in enumerate(zip(commits, changes), 1):
            self._add(number, commit, entries)

    def _changes(self, commit: str) -> list[list[str]]:
        raw = self.git("diff-tree", "-r", "-z", "--no-renames", "--no-commit-id", commit)
        parts = raw.split("\0")
        return [[*meta.lstrip(":").split(), path] for meta, path in zip(parts[0::2], parts[1::2])]

    def _read(self, names: set[str]) -> dict[str, bytes]:
        """The blobs of these names, by one git."""
        found, place = {}, 0
        text = self.git.bytes("cat-file", "--batch", data="\n".join(names).encode() + b"\n")
        while place < len(text):
            head, _, _ = text[place:place + 200].partition(b"\n")
            name, _, size = head.decode().split()
            start = place + len(head) + 1
            found[name] = text[start:start + int(size)]
            place = start + int(size) + 1
        return found

    def _add(self, number: int, commit: str, entries: list[list[str]]) -> None:
        text = self.git.bytes("diff-tree", "-r", "-p", "--no-commit-id", *DIFF, "-U0", commit)
        diffs = re.split(rb"^diff --git .*\n", text, flags=re.M)[1:]
        self.paths.append([entry[-1] for entry in entries])
        for (old_mode, mode, old, new, _, path), diff in zip(entries, diffs, strict=True):
            data = _lines(self.blobs[new])
            if not old.strip("0"):
                self.files[path] = File([Line(line, number) for line in data], number)
            else:
                if path not in self.files:
                    self.files[path] = File([Line(line, BASE) for line in _lines(self.blobs[old])],
                                            BASE, {BASE: old_mode})
                self._change(number, path, data, diff)
            self.files[path].modes[number] = mode

    def _change(self, number: int, path: str, data: list[bytes], diff: bytes) -> None:
        lines = self.files[path].lines
        seen = [place for place, line in enumerate(lines) if line.gone is None]
        hunks = [[1 if group is None else int(group) for group in match.groups()]
                 for match in HUNK.finditer(diff)]
        # From the end on, so that places before are still right.
        for start, removed, new_start, added in reversed(hunks):
            first = start - 1 if removed else start
            old = [lines[place] for place in seen[first:first + removed]]
            place = seen[first + removed - 1] + 1 if first + removed else 0
            new = [Line(line, number) for line in data[new_start - 1:][:added]] if added else []
            self.hunks.append(Hunk(number, path, {line.born for line in old},
                                   None if old else new[0]))
            for line in old:
                line.gone = number
            lines[place:place] = new

    def missing(self, patches: Collection[int]) -> list[tuple[int, int, str]]:
        """[(patch, other, path)]: what patch does there has no meaning without the other."""
        there, found = {BASE, *patches}, []
        for hunk in self.hunks:
            if hunk.patch in there:
                others = hunk.needs | {self.files[hunk.path].born} | self._around(hunk, there)
                found += [(hunk.patch, other, hunk.path) for other in sorted(others - there)]
        return found

    def _around(self, hunk: Hunk, there: set[int]) -> set[int]:
        """Absent patches that decide where an insertion goes, because it is inside of theirs."""
        if not hunk.first:
            return set()
        lines = self.files[hunk.path].lines
        place = next(n for n, line in enumerate(lines) if line is hunk.first)
        sides = [_absent(lines[:place][::-1], hunk.patch, there),
                 _absent(lines[place:], hunk.patch, there)]
        (before, removed), (after, more) = sides
        # Lines that only an absent patch removes: before or behind them, nobody can tell. Where
        # an absent patch has put something in their place, that tells.
        return before & after if before or after else removed | more

    def stage(self, index: Git, numbers: Collection[int], patches: Collection[int],
              edit: dict[str, Callable[[str], str]]) -> None:
        """Put the files of some patches, as they are with others, into an index."""
        entries = []
        for path in sorted({path for number in numbers for path in self.paths[number]}):
            file = self.files[path]
            data = file.visible(patches)
            if path in edit:
                data = edit[path](data.decode()).encode()
            mode = file.modes[max(n for n in file.modes if n == BASE or n in patches)]
            entries.append(f"{mode} {self._store(data)}\t{path}\n")
        index("update-index", "--add", "--index-info", data="".join(entries))

    def _store(self, data: bytes) -> str:
        name = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        if name not in self.blobs:
            self.blobs[self.git.store(data)] = data
        return name

    def proven(self, index: Git, tree: str) -> None:
        """The weave with all patches has to be the tree of the series."""
        index("read-tree", self.base)
        everything = range(1, len(self.paths))
        self.stage(index, everything, everything, {})
        if (got := index("write-tree")) != tree:
            raise LabError(f"internal error: all threads together give tree {got}, the series "
                           f"{tree}\n" + self.git("diff", "--stat", tree, got))
