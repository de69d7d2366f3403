# SPDX-License-Identifier: GPL-2.0
"""Where the fields of the kernel's structures are, by its own debug information.

One object of the kernel is compiled once more, with the very command that has
built it and debug information on top, so that the layout is the kernel's by
construction. gdb is asked, and the answer is kept until the command or the
headers change.

    layout.of(kernel)["zone.free_area"]		# offset in bytes
"""

import hashlib
import json
import shlex

from lab import packages
from lab.common import BUILD, LabError, locked, run, show

OBJECT = "mm/page_alloc"
HEADERS = ("include/linux/mmzone.h", "include/linux/mm_types.h")


def _at(structure, field):
    return f"(unsigned long)&((struct {structure} *)0)->{field}"


QUESTIONS = {
    "pglist_data.node_zones": _at("pglist_data", "node_zones"),
    "pglist_data.nr_zones": _at("pglist_data", "nr_zones"),
    "zones": "sizeof(((struct pglist_data *)0)->node_zones) / sizeof(struct zone)",
    "zone": "sizeof(struct zone)",
    "zone.name": _at("zone", "name"),
    "zone.zone_start_pfn": _at("zone", "zone_start_pfn"),
    "zone.spanned_pages": _at("zone", "spanned_pages"),
    "zone.present_pages": _at("zone", "present_pages"),
    "zone.free_area": _at("zone", "free_area"),
    "orders": "sizeof(((struct zone *)0)->free_area) / sizeof(struct free_area)",
    "free_area": "sizeof(struct free_area)",
    "free_area.free_list": _at("free_area", "free_list"),
    "free_area.nr_free": _at("free_area", "nr_free"),
    "list_head": "sizeof(struct list_head)",
    "types": "sizeof(((struct free_area *)0)->free_list) / sizeof(struct list_head)",
    "page": "sizeof(struct page)",
    "page.flags": _at("page", "flags"),
    "page.buddy_list": _at("page", "buddy_list"),
    "page.private": _at("page", "private"),
    "page.page_type": _at("page", "page_type"),
    "page.compound_info": _at("page", "lru"),	# its first word has other names elsewhere
    "page._refcount": _at("page", "_refcount"),
}


def _command(kernel):
    """The words of the compiler's command that has built the object."""
    folder, _, name = OBJECT.rpartition("/")
    path = kernel.out / folder / f".{name}.o.cmd"
    if not path.exists():
        raise LabError(f"{show(path)} is missing: kernel {kernel.name} is not built here, "
                       f"or not by Kbuild. Build it: make kernel CONFIG={kernel.name}")
    text = path.read_text().splitlines()[0]
    text = text.partition(":=")[2].replace("$(pound)", "#").replace("$$", "$")
    words = shlex.split(text, comments=False)
    # Behind the compiler comes objtool, if at all.
    end = next((i for i, word in enumerate(words) if word == ";" or word.endswith(";")),
               len(words))
    words = words[:end] + [words[end].rstrip(";")] * (end < len(words))
    # The dependencies of the object in use are not to be overwritten.
    return [word for word in words if word and not word.startswith("-Wp,-MMD")]


def _key(kernel, command):
    """What the answer depends on."""
    src = (kernel.out / "source").resolve()
    digest = hashlib.sha256(json.dumps([QUESTIONS, command]).encode())
    digest.update(kernel.config_path.read_bytes())
    for header in HEADERS:
        digest.update((src / header).read_bytes())
    return digest.hexdigest()[:16]


def _compile(kernel, command, target):
    words = list(command)
    if "-o" not in words:
        raise LabError(f"the command of {OBJECT}.o names no output: {' '.join(words)[:300]}")
    words[words.index("-o") + 1] = target
    run([*words, "-gdwarf-5"], cwd=kernel.out, quiet=True, timeout=600)


def _ask_gdb(path):
    packages.need("debug")
    words = ["gdb", "-nx", "-batch"]
    for question in QUESTIONS.values():
        words += ["-ex", f"output/d {question}", "-ex", "echo \\n"]
    text = run([*words, path], quiet=True)
    numbers = [line for line in text.splitlines() if line.strip()]
    if len(numbers) != len(QUESTIONS) or not all(n.isdigit() for n in numbers):
        raise LabError(f"gdb did not answer with one number for each of {len(QUESTIONS)} "
                       f"questions about {show(path)}; it said:\n{text.strip()[:2000]}")
    return dict(zip(QUESTIONS, map(int, numbers)))


def of(kernel):
    """{name: offset or size} for a built kernel; names as in QUESTIONS."""
    command = _command(kernel)
    kept = BUILD / "layout" / f"{kernel.out.name}-{_key(kernel, command)}.json"
    # Two guests of one process may ask at the same time.
    with locked("layout"):
        if kept.exists():
            return json.loads(kept.read_text())
        kept.parent.mkdir(parents=True, exist_ok=True)
        scratch, fresh = kept.with_suffix(".o"), kept.with_suffix(".new")
        _compile(kernel, command, scratch)
        answer = _ask_gdb(scratch)
        scratch.unlink()
        fresh.write_text(json.dumps(answer, indent=1) + "\n")
        fresh.rename(kept)
        return answer
