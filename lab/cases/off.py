# SPDX-License-Identifier: GPL-2.0
"""Off means off: what the instructions say, not what a benchmark does.

Option not set: every object of mm/ disassembles to what the kernel with the fixes alone gives,
those that the series begins with. Option set, key off: each inlined copy of a hook is one
instruction that does nothing.
"""

import re
import shutil
from pathlib import Path

from lab import build, common, threads, tree
from lab.cases import Failure, case
from lab.common import run, show
from lab.git import Git

KEY = "page_consistency_enabled"
# What an inlined hook does once the key is on: one of these calls, or a look at this variable.
HOOKS = re.compile(r"^(__page_consistency_\w+|panic_on_this_cpu|page_consistency_hold_nolock)\b")
# The threads of fixes, which no option turns off.
FIXES = ("01-fixes", "02-free-count")
# What the series hardens later on, whether its options are set or not.
REPAIRED = {"arch/x86/kernel/ldt.c", "arch/x86/mm/pgtable.c"}
# Included by files of features that this kernel does not have, and by all of mm/.
EVERYWHERE = {"include/linux/sched.h"}
COUNTED = re.compile(r"(__UNIQUE_ID_\w+?_)\d+\b")
NOPS = {5: "0f 1f 44 00 00", 2: "66 90"}


# --- option not set ---------------------------------------------------------------

def disassembly(path):
    """The instructions with what they refer to, without the name of the file."""
    text = run(["objdump", "-dr", path], quiet=True)
    # Names that the preprocessor numbers: one macro more in a header changes them, and no instruction.
    return COUNTED.sub(r"\1N", text.partition("file format")[2])


def fixes(prod):
    """How many patches the series begins with that are fixes."""
    titles = [patch.subject for patch in prod.load()]
    numbers = sorted(number for thread in threads.load(prod.folder / "threads", titles)
                     if thread.name in FIXES for number in thread.patches)
    if numbers != list(range(1, len(numbers) + 1)):
        raise Failure(f"the series does not begin with all its fixes: they are patches {numbers}")
    return len(numbers)


def fixed_kernel():
    """A tree of the base with the fixes alone, and the folder for its objects."""
    git, number = Git(tree.ensure()), fixes(tree.product())
    commit = git("rev-list", "--reverse", "base..HEAD").split()[number - 1]
    # Like the other trees two levels above the objects, see build.py.
    top = common.BUILD / "fixed"
    if not (top / "linux/.git").exists() or Git(top / "linux")("rev-parse", "HEAD") != commit:
        shutil.rmtree(top / "linux", ignore_errors=True)
        top.mkdir(parents=True, exist_ok=True)
        git("worktree", "prune")
        git("worktree", "add", "--detach", "--force", top / "linux", commit, visible=True)
    return top / "linux", top / "out/x86-off"


def affected():
    """(the .c files that the series changes, objects outside of mm/ that see its headers)."""
    prod, git = tree.product(), Git(tree.ensure())
    patches = prod.load()[fixes(prod):]
    touched = {name for p in patches for name in p.touched} \
        | {name for p in patches for name in p.new_files}
    headers = [name.removeprefix("include/") for name in touched
               if name.startswith("include/") and name.endswith(".h")
               and name not in REPAIRED | EVERYWHERE]
    # Directories below these are built only with options that are not chosen.
    users = git("grep", "-lE", f"include <({'|'.join(map(re.escape, headers))})>", "--",
                ":(glob)kernel/*.c", ":(glob)kernel/entry/*.c",
                ":(glob)lib/*.c", ":(glob)init/*.c").splitlines()
    # LKDTM is a test; it lists its triggers in any case.
    changed = [git_name for git_name in touched if git_name.endswith(".c")
               and not git_name.startswith("drivers/misc/lkdtm/")
               and git_name not in REPAIRED and git.ok("cat-file", "-e", f"base:{git_name}")]
    return sorted(changed), sorted(name.removesuffix(".c") + ".o" for name in users)


def compare(patched, base):
    """The objects of folders or single ones that differ; and how many were compared."""
    def found(given):
        return {path.relative_to(top): path for top, parts in given for part in parts
                for path in ([part] if part.is_file() else sorted(part.rglob("*.o")))}
    new, old = found(patched), found(base)
    differ = [f"{name}: only in one of the trees" for name in sorted(new.keys() ^ old.keys())]
    repaired = {Path(name).with_suffix(".o") for name in REPAIRED}
    for name in sorted((new.keys() & old.keys()) - repaired):
        if disassembly(new[name]) != disassembly(old[name]):
            differ.append(f"{name}: not the same instructions; see objdump -dr {show(new[name])}")
    return differ, sorted(map(str, (new.keys() & old.keys()) - repaired))


@case(name="without the option the objects are those of the fixes alone")
def option_off(note):
    changed, users = affected()
    wanted = ["mm/", *sorted({*users, *(name.removesuffix(".c") + ".o" for name in changed
                                        if not name.startswith("mm/"))})]
    sides = []
    for src, out in ((None, build.place("x86-off")), fixed_kernel()):
        built = build.objects("x86-off", src is not None, wanted, src=src, out=out)
        sides.append([(out, list(built.values()))])
    differ, names = compare(*sides)
    missing = [name for name in changed if name.removesuffix(".c") + ".o" not in names]
    note(f"{len(names)} objects compared, among them those of {', '.join([*changed, *users])}")
    if missing:
        raise Failure(f"the series changes them, and they were not compared: {missing}")
    if differ or not names:
        raise Failure("\n".join(differ) or "no object was compared")


# --- key off ----------------------------------------------------------------------

class Code:
    """The instructions of an object: {(section, address): (size, bytes, text, [relocations])}."""

    def __init__(self, path):
        self.at, section = {}, ""
        for line in run(["objdump", "-drw", path], quiet=True).splitlines():
            if match := re.match(r"Disassembly of section (\S+):", line):
                section = match[1]
            elif match := re.match(r"\s+([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*(.*)", line):
                raw, (text, *relocations) = match[2].split(), match[3].split("\t")
                names = [r.split()[-1] for r in relocations]
                self.at[section, int(match[1], 16)] = (len(raw), " ".join(raw), text, names)

    def references(self):
        """Where the code does what a hook does: {(section, address): its name}."""
        return {place: match[1] for place, (_, _, _, relocations) in self.at.items()
                for name in relocations if (match := HOOKS.match(name))}

    def leads_to(self, place):
        """From a branch's target, the first place that does what a hook does.

        What lies between are moves of the arguments and jumps; a return, a call of
        something else, or too long a way mean that it leads nowhere.
        """
        section, address = place
        for _ in range(64):
            size, _, text, relocations = self.at.get((section, address), (0, "", "", []))
            if not size or text.startswith("ret"):
                return None
            if any(HOOKS.match(name) for name in relocations):
                return section, address
            if text.startswith("call"):
                return None
            jump = re.match(r"jmp\s+([0-9a-f]+) ", text)
            address = int(jump[1], 16) if jump and not relocations else address + size
        return None


def jump_entries(path):
    """The static branches of our key: [(place of the instruction, place it may jump to)]."""
    lines = run(["objdump", "-r", "-j", "__jump_table", path], quiet=True, check=False).stdout
    found = re.findall(r"^[0-9a-f]+ R_X86_64_PC(?:32|64) +(\S+?)([+-]0x[0-9a-f]+)?$", lines, re.M)
    if len(found) % 3:
        raise Failure(f"{path}: __jump_table is not a list of (code, target, key)")
    places = [(name, int(offset or "0", 16)) for name, offset in found]
    return [(places[i], places[i + 1]) for i in range(0, len(places), 3)
            if places[i + 2][0] == KEY]


def survey(path):
    """{hook: number of copies} of one object; raises if one copy is not exactly one NOP."""
    code, entries = Code(path), jump_entries(path)
    wrong, counts, led = [], {}, {}
    for place, target in entries:
        size, raw, text, _ = code.at.get(place, (0, "", "nothing", []))
        if NOPS.get(size) != raw:
            wrong.append(f"{place[0]}+{place[1]:#x} is no NOP of 2 or 5 bytes: {text}")
        end = code.leads_to(target)
        if not end:
            wrong.append(f"the branch at {place[0]}+{place[1]:#x} leads to no hook")
        elif end in led:
            wrong.append(f"{place[0]}+{place[1]:#x} and {led[end][0]}+{led[end][1]:#x} "
                         "are branches to the same hook")
        led[end] = place
    for place, name in code.references().items():
        counts[name] = counts.get(name, 0) + 1
        if place not in led:
            wrong.append(f"{name} at {place[0]}+{place[1]:#x} is reached without a NOP in front")
    if wrong:
        raise Failure(f"{path}:\n" + "\n".join(wrong))
    return len(entries), counts


@case(["x86"], "one NOP for each inlined copy of a hook")
def key_off(note):
    """Each branch of the key in __jump_table is at a NOP, which was put there at build time and
    is patched to a jump when the key is enabled. Its target leads to the one thing the hook does:
    a call, or in page_consistency_nolock_held() a look at a variable. No such place is led to
    twice or by another way. So copies, NOPs and calls are as many.
    """
    kernel, total = build.built("x86"), 0
    for path in sorted((kernel.out / "mm").glob("*.o")):
        if KEY.encode() not in path.read_bytes():
            continue
        branches, counts = survey(path)
        if branches != sum(counts.values()):
            raise Failure(f"{path}: {branches} branches for {counts}")
        total += branches
        note(f"mm/{path.name}: {branches} NOPs")
        for name, count in sorted(counts.items()):
            note(f"  {count:3} {name}")
    if not total:
        raise Failure(f"no object of mm/ has a branch of {KEY}")
