# SPDX-License-Identifier: GPL-2.0
"""Files that the series adds and changes again: what they are at each commit.

The overlay holds such a file as it is in the end, which is what a reader opens and edits. What
the earlier commits have is not kept anywhere: the hunks of the later patches are taken away
again, the last patch first. So no text stands twice, and an edit of the overlay reaches all
commits down to the one that adds the line.

A hunk is never taken away with fuzz. Line numbers may be off, as they are behind an edit of the
overlay, but only if the hunk fits in one place alone: the nearest of two may be the wrong one.
"""

import difflib
import re

from lab.common import LabError
from lab.git import Git

MOVED = re.compile(r"^Hunk #\d+ succeeded at .*offset.*$", re.M)
WRONG_MODE = re.compile(r"has type \d+, expected \d+")


def of_series(repo, patches, final):
    """What each patch makes of the files that the series adds, and notices.

    final is {name: (mode, blob)} of these files in the end; the first result is a list with the
    same for each patch: what it adds or changes.
    """
    found = [{n: final[n] for n in patch.new_files if n in final} for patch in patches]
    adder = {name: place for place, patch in enumerate(patches) for name in patch.new_files}
    hunks, notices = {}, []
    for place, patch in enumerate(patches):
        for name, diff in patch.sections:
            if name in final:
                hunks.setdefault(name, []).append((place, diff))
    for name, parts in hunks.items():
        texts, moved = unwind(repo, name, final[name],
                              [(f"patches/{patches[place].name}", diff) for place, diff in parts])
        notices += moved
        places = [adder[name], *(place for place, _ in parts)]
        for place, text in zip(places, [*texts, final[name]], strict=True):
            found[place][name] = text
    return found, notices


def unwind(repo, name, final, hunks):
    """The file as each of hunks, [(whose they are, diff)], has found it; and notices.

    final is (mode, blob) behind all of them.
    """
    index = repo / ".git/lab-index-stages"
    git, texts, notices = Git(repo, index=index), [], []
    try:
        git("read-tree", "--empty")
        git("update-index", "--add", "--cacheinfo", f"{final[0]},{final[1]},{name}")
        for place in reversed(range(len(hunks))):
            whose, diff = hunks[place]
            text = git.bytes("cat-file", "blob", f":{name}")
            moved, problem = _take_away(git, text, diff)
            if problem:
                raise LabError(_explain(name, text, hunks[:place + 1], problem))
            notices += [f"{whose}: {name}: {line}" for line in moved]
            mode, blob, *_ = git("ls-files", "-s").split()
            texts.insert(0, (mode, blob))
    finally:
        index.unlink(missing_ok=True)
    return texts, notices


def _take_away(git, text, diff):
    """(what git says about hunks that have moved, what is wrong)."""
    done = git.raw("apply", "--cached", "--reverse", "-v", "--whitespace=nowarn", "-", data=diff)
    told = done.stderr.decode(errors="replace")
    moved = MOVED.findall(told)
    if done.returncode or WRONG_MODE.search(told):
        return moved, told
    if moved and any(_places(text, image) > 1 for image in _images(diff)):
        return moved, "the lines before it have become more or less, and it fits in several places"
    return moved, ""


def _images(diff):
    """The text that each hunk leaves behind, with the lines around it."""
    for hunk in re.split(rb"^@@ .*\n", diff, flags=re.M)[1:]:
        lines = hunk.split(b"\n")[:-1]
        yield b"".join(line[1:] + b"\n" for line in lines if not line.startswith((b"-", b"\\")))


def _places(text, image):
    """How many times these lines are there; one may begin within another."""
    return len(re.findall(rb"^(?=" + re.escape(image) + rb")", text, re.M))


def _explain(name, text, hunks, problem):
    """Which lines are missing for the last of hunks, and which patch they belong to."""
    whose, diff = hunks[-1]
    image = next((image for image in _images(diff) if not _places(text, image)), None)
    shown = problem.splitlines() if image is None else _compared(image, text, hunks)
    return (f"{name} is not as {whose} leaves it (no fuzz is allowed):\n"
            + "\n".join(f"  | {line}" for line in shown[:60])
            + "\nThe overlay has the file as it is after all patches. A line that one of them adds, "
            "and what is next to it, has to be there as that patch says.")


def _compared(image, text, hunks):
    """The lines of image, those that text does not have with whose they are."""
    lines, there = (part.decode(errors="replace").split("\n") for part in (image, text))
    found = difflib.SequenceMatcher(None, lines[:-1], there, autojunk=False).get_matching_blocks()
    known = {place for start, _, size in found for place in range(start, start + size)}
    marked = [f"  {line}" if place in known else f"! {line}    belongs to {_owner(line, hunks)}"
              for place, line in enumerate(lines[:-1])]
    return [*marked, *(["these lines are no longer together"] if len(known) == len(marked) else [])]


def _owner(line, hunks):
    added = [whose for whose, diff in hunks if f"\n+{line}\n".encode() in diff]
    return added[-1] if added else "the patch that adds the file"
