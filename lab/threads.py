# SPDX-License-Identifier: GPL-2.0
"""patches/threads: which mail threads the series is sent in, and what each of them says.

patches/threads/NAME.cover describes one: lines 'Key: value', a blank line, the
text of its cover letter.

  Subject      of the cover letter
  Change-id    date-words-12hexdigits; stays when the thread is sent again
  Applies-on   'base', or the name of an earlier thread; may be there several times
  Patches      a pattern of titles, as in the shell; several lines; '!pattern' leaves some out
  Kind         'fixes' if each patch has to say what it fixes, or since when it is wrong
  Prefix       what stands in the brackets of the subject (PATCH)
  Version      of the thread, from the second time on (1)
  To, Cc       who is asked beside those whom scripts/get_maintainer.pl names
  Link         what the thread answers; goes below the text

Titles, not numbers, tell which thread a patch belongs to. A thread without
'Patches' has patches of its own, which are not in the series, apply to the base
and stand in patches/threads/NAME/*.patch, new files with their text.
"""

import fnmatch
import re
from dataclasses import dataclass, field
from pathlib import Path

from lab.common import LabError, show
from lab.patches import Patch, parse

MANY = ("Applies-on", "Patches", "To", "Cc", "Link")
LICENCE = "SPDX-License-Identifier"	# of the file; nothing of it is in the letter
ONCE = (LICENCE, "Subject", "Change-id", "Kind", "Prefix", "Version")
CHANGE_ID = re.compile(r"^\d{8}-[a-z0-9-]+-[0-9a-f]{12}$")


@dataclass
class Thread:
    name: str
    said: dict[str, list[str]]
    text: str
    own: list[Patch] = field(default_factory=list)
    patches: list[int] = field(default_factory=list)	# of the series, counted from 1
    under: list["Thread"] = field(default_factory=list)	# all that has to be there, in order

    def one(self, key: str, otherwise: str = "") -> str:
        return self.said.get(key, [otherwise])[0]

    def many(self, key: str) -> list[str]:
        return self.said.get(key, [])

    def takes(self, title: str) -> bool:
        patterns = self.many("Patches")
        return any(fnmatch.fnmatchcase(title, p) for p in patterns if not p.startswith("!")) \
            and not any(fnmatch.fnmatchcase(title, p[1:]) for p in patterns if p.startswith("!"))

    @property
    def slug(self) -> str:
        """The change-id without its random end."""
        return self.one("Change-id").rpartition("-")[0]


def read(path: Path) -> Thread:
    def wrong(what: str) -> LabError:
        return LabError(f"{show(path)}: {what}\nlab/threads.py begins with what is in such a file")

    try:
        head, _, text = path.read_text().partition("\n\n")
    except OSError as error:
        raise wrong(error.strerror or str(error)) from None
    said: dict[str, list[str]] = {}
    for line in head.splitlines():
        key, colon, value = line.partition(": ")
        if not colon or not value.strip() or key not in MANY + ONCE:
            raise wrong(f"'{line}' is none of its lines")
        said.setdefault(key, []).append(value.strip())
        if key in ONCE and len(said[key]) > 1:
            raise wrong(f"{key}: is there twice")
    for key in ("Subject", "Change-id", "Applies-on"):
        if key not in said:
            raise wrong(f"there is no line {key}:")
    if not CHANGE_ID.match(said["Change-id"][0]):
        raise wrong("the Change-id is not of the form 20261127-some-words-0123456789ab")
    if said.get("Kind", ["fixes"]) != ["fixes"]:
        raise wrong("Kind: is 'fixes' or not there")
    if not re.fullmatch(r"[1-9]\d*", said.get("Version", ["1"])[0]):
        raise wrong("Version: is not a number from 1 on")
    if not text.strip():
        raise wrong("there is no text below the headers")
    thread = Thread(path.name.removesuffix(".cover"), said, text.strip("\n"))
    folder = path.with_suffix("")
    thread.own = [parse(f"threads/{thread.name}/{p.name}", p.read_bytes(), whole=True)
                  for p in sorted(folder.glob("*.patch"))]
    if bool(thread.own) == ("Patches" in said):
        raise wrong(f"a thread has either lines Patches: or files {show(folder)}/*.patch")
    return thread


def load(folder: Path, titles: list[str]) -> list[Thread]:
    """The threads of patches/threads in order, with the patches of the series shared out."""
    threads = [read(path) for path in sorted(folder.glob("*.cover"))]
    if not threads:
        raise LabError(f"{show(folder)}/*.cover: there is none, so nothing says which mails there "
                       "are\nlab/threads.py begins with what is in such a file")
    for thread in threads:
        _stand(thread, threads)
    _share(folder, threads, titles)
    return threads


def _stand(thread: Thread, threads: list[Thread]) -> None:
    """What thread applies on, and what that applies on."""
    earlier = {one.name: one for one in threads[:threads.index(thread)] if not one.own}
    named = [name for name in thread.many("Applies-on") if name != "base"]
    for name in named:
        if thread.own or name not in earlier:
            raise LabError(
                f"patches/threads/{thread.name}.cover: it cannot apply on '{name}'\n"
                + ("It has patches of its own, and those apply on the base." if thread.own else
                   f"'base' and earlier threads can be named: {', '.join(earlier) or 'none'}"))
    wanted = {one.name for name in named for one in [*earlier[name].under, earlier[name]]}
    thread.under = [one for one in threads if one.name in wanted]


def _share(folder: Path, threads: list[Thread], titles: list[str]) -> None:
    wrong = []
    for number, title in enumerate(titles, 1):
        takers = [thread for thread in threads if thread.takes(title)]
        if len(takers) == 1:
            takers[0].patches.append(number)
        elif takers:
            wrong.append(f"  '{title}' is in several: {', '.join(t.name for t in takers)}")
        else:
            wrong.append(f"  '{title}' is in none")
    wrong += [f"  {thread.name}: 'Patches: {pattern}' is the title of no patch"
              for thread in threads for pattern in thread.many("Patches")
              if not fnmatch.filter(titles, pattern.removeprefix("!"))]
    if wrong:
        raise LabError("each patch has to be in one thread:\n" + "\n".join(wrong)
                       + f"\nThe lines Patches: of {show(folder)}/*.cover say which titles a "
                       "thread has; add, correct or remove one.")
    for thread in threads:
        if not thread.patches and not thread.own:
            raise LabError(f"patches/threads/{thread.name}.cover: the thread has no patch\n"
                           "Remove the file, or correct its lines Patches:.")
