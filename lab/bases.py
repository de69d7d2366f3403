# SPDX-License-Identifier: GPL-2.0
"""The kernels that the series stands on: a folder of bases/ for each.

bases/<release>/lock says which source it is (lab/source.py). The main base,
common.MAIN, is the one of patches/, and needs nothing more. Any other one has what
differs, if anything does:

  series     its patches in order, as in patches/series. A line means the file of that
             name in bases/<release>/patches, else the one in patches/; the number in
             front of a name does not count. '# without NAME' says that a patch of
             patches/ has no place on this kernel
  patches/   the patches that are different on this kernel
  overlay/   the new files that are different, MAINTAINERS among them

compose() makes a repository out of that and the main one, and from there on nothing
knows of other bases; reduce() is the way back.
"""

import os
import re
from pathlib import Path

from lab import common
from lab.common import LabError, locked, show
from lab.patches import PART, Maintainers, Product, parse, remove_entries

WITHOUT = re.compile(r"^#\s*without\s+(\S+)\s*$")
Files = dict[str, tuple[bytes, bool]]	# name -> (text, whether it may be executed)


def folder(base: str) -> Path:
    return common.ROOT / "bases" / base


def lock_path(base: str) -> Path:
    return folder(base) / "lock"


def known() -> list[str]:
    """The main base first, the others from the newest on."""
    found = [path.parent.name for path in (common.ROOT / "bases").glob("*/lock")]
    return sorted(found, key=lambda base: (base != common.MAIN, *(
        -int(number) for number in re.findall(r"\d+", base))))


def check() -> None:
    """Refuse a BASE= that is not there."""
    from lab import source, tree		# pylint: disable=import-outside-toplevel
    port = tree.load_record().get("port")	# refresh will write its lock
    if not lock_path(common.BASE).exists() and \
            not (port and source.release(port["version"]) == common.BASE):
        raise LabError(f"BASE={common.BASE}: there is no such base; there "
                       f"{'are' if len(known()) > 1 else 'is'} {', '.join(known())} "
                       f"({common.MAIN} without BASE=)\n"
                       "make port KSRC=... brings the series to another kernel.")


def product() -> Product:
    """What the repository adds to the kernel of BASE."""
    if common.BASE == common.MAIN:
        return Product(common.ROOT)
    place = common.BUILD / "repository"
    with locked("repository", common.BUILD):
        put(compose(common.ROOT, own_files(folder(common.BASE))), place)
    return Product(place)


# --- the main repository and a base's folder become one -----------------------

def slug(name: str) -> str:
    """A patch is known by its name without the number, which changes with its place."""
    return name[5:]


def by_slug(names: list[str]) -> dict[str, str]:
    return {slug(name): name for name in names}


def read(path: Path) -> tuple[bytes, bool]:
    return path.read_bytes(), os.access(path, os.X_OK)


def own_files(base: Path) -> Files:
    """What a base's folder holds of its own."""
    paths = [base / "series", *(base / "patches").glob("*.patch"), *(base / "overlay").rglob("*")]
    return {str(path.relative_to(base)): read(path) for path in sorted(paths)
            if path.is_file() and not path.name.endswith(PART)}


def own_patches(own: Files) -> dict[str, str]:
    return by_slug([name[8:] for name in own if name.startswith("patches/")])


def lines_of(own: Files, main: Product) -> list[str]:
    """Of the series, the main one's if there is no other."""
    if "series" in own:
        return own["series"][0].decode().splitlines()
    path = main.folder / "series"
    return path.read_text().splitlines() if path.exists() else []


def name_in(line: str) -> str:
    return line.partition("#")[0].strip()


def left_out(lines: list[str]) -> list[str]:
    return [match.group(1) for match in map(WITHOUT.match, lines) if match]


def compose(root: Path, own: Files) -> Files:
    """The files of a repository in which the patches of this base are the only ones."""
    main, files = Product(root), {}
    theirs, ours = by_slug(main.names()), own_patches(own)
    text = []
    for line in lines_of(own, main):
        if name := name_in(line):
            known_as = theirs.get(slug(name)) or ours.get(slug(name)) or name
            line = line.replace(name, known_as, 1)
            if slug(name) in ours:
                files[f"patches/{known_as}"] = own[f"patches/{ours[slug(name)]}"]
            elif (main.folder / known_as).exists():
                files[f"patches/{known_as}"] = read(main.folder / known_as)
        text.append(f"{line}\n")
    files["patches/series"] = "".join(text).encode(), False
    _compose_new(main, own, files)
    return files


def _compose_new(main: Product, own: Files, files: Files) -> None:
    """The new files, and the sections of MAINTAINERS, that the patches in files ask for."""
    patches = [parse(Path(name).name, data) for name, (data, _) in files.items()
               if name.endswith(".patch")]
    # Of a patch that is left out, or that is different here and does without the file.
    gone = {name for patch in main.names() if (main.folder / patch).exists()
            for name in parse(patch, (main.folder / patch).read_bytes()).new_files}
    gone -= {name for patch in patches for name in patch.new_files}
    files.update((name, read(main.root / name)) for name in main.overlay() if name not in gone)
    if (main.root / "MAINTAINERS").exists():
        text = (main.root / "MAINTAINERS").read_text()
        used = {title for patch in patches for title in patch.entries}
        text = remove_entries(text, [t for t in Maintainers(text).entries if t not in used])
        files["MAINTAINERS"] = text.encode(), False
    files.update((name[8:], data) for name, data in own.items() if name.startswith("overlay/"))


def put(files: Files, place: Path) -> list[tuple[str, str]]:
    """Make the folder hold these files and no others; returns (what was done, name)s."""
    done = []
    for name, (data, executable) in files.items():
        path = place / name
        if path.is_file() and read(path) == (data, executable):
            continue
        done.append(("changed" if path.exists() else "new", name))
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + PART)
        part.write_bytes(data)
        part.chmod(0o755 if executable else 0o644)
        os.replace(part, path)
    for path in sorted(place.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif (name := str(path.relative_to(place))) not in files:
            done.append(("removed", name))
            path.unlink()
    return done


def complete() -> None:
    """A patch that a base does not mention was forgotten: each is there, or left out in words."""
    base, main = folder(common.BASE), Product(common.ROOT)
    own = own_files(base)
    if common.BASE == common.MAIN or "series" not in own:
        return
    lines = lines_of(own, main)
    named, out = by_slug([n for n in map(name_in, lines) if n]), by_slug(left_out(lines))
    theirs, ours = by_slug(main.names()), own_patches(own)
    wrong = [f"  {name}: in patches/series; add a line for it, or '# without {name}'"
             for key, name in theirs.items() if key not in named and key not in out]
    wrong += [f"  {name}: in {show(base)}/patches, but not in the series"
              for key, name in ours.items() if key not in named]
    wrong += [f"  {name}: both in the series and left out"
              for key, name in named.items() if key in out]
    wrong += [f"  {name}: neither in patches/series nor in {show(base)}/patches"
              for key, name in named.items() if key not in ours and key not in theirs]
    if wrong:
        raise LabError(f"{show(base)}/series is not complete:\n" + "\n".join(wrong))


# --- and back -----------------------------------------------------------------

def reduce(root: Path, repo: Path, old: Files) -> Files:
    """What has to be in a base's folder, so that with the main repository it makes repo."""
    main, there, files = Product(root), Product(repo), {}
    theirs, ours, names = by_slug(main.names()), own_patches(old), by_slug(there.names())
    dropped = {key: name for key, name in theirs.items() if key not in names}
    lines, said = [], set()
    for line in lines_of({}, there):
        if name := name_in(line):
            kept = theirs.get(slug(name)) or ours.get(slug(name)) or name
            line, data = line.replace(name, kept, 1), read(there.folder / name)
            if slug(name) not in theirs or data != read(main.folder / kept):
                files[f"patches/{kept}"] = data
        elif match := WITHOUT.match(line):
            if slug(match.group(1)) not in dropped:
                continue
            said.add(slug(match.group(1)))
            line = f"# without {dropped[slug(match.group(1))]}"
        lines.append(line)
    lines += [f"# without {name}" for key, name in dropped.items() if key not in said]
    if lines != lines_of({}, main):
        files["series"] = "".join(f"{line}\n" for line in lines).encode(), False
    plain, wanted = compose(root, files), {name: read(repo / name) for name in there.owned()}
    files.update((f"overlay/{name}", data) for name, data in wanted.items()
                 if not name.startswith("patches/") and plain.get(name) != data)
    if _but_comments(compose(root, files)) != _but_comments(wanted):
        raise LabError("what differs on this base cannot be told apart from the main series; "
                       "nothing was changed")
    return files


def _but_comments(files: Files) -> Files:
    names = [name_in(line) for line in files["patches/series"][0].decode().splitlines()]
    return {**files, "patches/series": ("\n".join(filter(None, names)).encode(), False)}


def write_back(files: Files) -> list[tuple[str, str]]:
    """Put into the folder of BASE what reduce() has found; its lock stays."""
    base = folder(common.BASE)
    others = {str(path.relative_to(base)): read(path) for path in base.rglob("*")
              if path.is_file() and not path.name.endswith(PART)}
    for name in own_files(base):
        del others[name]
    return put({**others, **files}, base)
