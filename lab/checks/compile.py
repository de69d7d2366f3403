# SPDX-License-Identifier: GPL-2.0
"""Checks that compile: configurations, W=1, sparse, and every commit of the threads.

Nothing is built in the folders of make kernel: what these checks change (extra warnings,
half of the series) would be built anew there. What was found in the unpatched kernel and
that a commit is good are remembered in build/check/, by all that decides it.
"""

import collections
import contextlib
import hashlib
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import build, common, kconfig, packages, series, tree as trees
from lab.checks import FOLDER, Skip, check, remembered
from lab.common import BUILD, LabError, jobs, say
from lab.git import Git

OUT = FOLDER / "out"
MERMAP = "x86-mermap"		# has what the other configurations leave out
SPARSE = "sparse -D__typeof_unqual__=__typeof__"	# 0.6.4 does not know the new word
# Said by sparse 0.6.4 wherever a module parameter or description stands.
SPARSE_ITSELF = re.compile(r"error: bad constant expression")
PLACE = re.compile(r"^(?:\S*?/)?((?:arch|include|kernel|lib|mm|scripts|init)/\S+?):(\d+)"
                   r"(?::\d+)?: (.*)$")
# kernel-doc, which W=1 calls, puts the word first.
DOC = re.compile(r"^[Ww]arning: (?:\S*?/)?((?:arch|include|kernel|lib|mm)/\S+?):(\d+) (.*)$")


def compiler():
    return subprocess.run(["gcc", "--version"], capture_output=True, text=True,
                          check=False).stdout.partition("\n")[0]


# --- one way to call make ---------------------------------------------------------

# It says nothing about a source, and takes as long again to write.
NO_DWARF = ("CONFIG_DEBUG_INFO_NONE=y\nCONFIG_DEBUG_INFO_DWARF5=n\n", "CONFIG_GDB_SCRIPTS=n\n")


class Part(kconfig.Config):
    """A configuration without debug information and those product options that a tree does not have."""

    def __init__(self, config, src):
        super().__init__(**vars(config))
        self.src = Path(src)

    def files(self, base):
        asked = kconfig.wanted([kconfig.CONFIGS / f"{n}.config" for n in self.product])
        there = [f"{option}={value}\n" for option, (value, _) in asked.items()
                 if self._has(option.removeprefix("CONFIG_"))]
        there += NO_DWARF if "gdb" in self.fragments else ()
        fragment = FOLDER / f"part-{hashlib.sha256(''.join(there).encode()).hexdigest()[:12]}.config"
        FOLDER.mkdir(parents=True, exist_ok=True)
        if not fragment.exists():
            fragment.write_text("".join(there))
        return [*super().files(True), fragment]

    def _has(self, symbol):
        places = [self.src / name for name in ("mm/Kconfig.debug", "lib/Kconfig.debug", "mm/Kconfig",
                                               "arch/x86/Kconfig.debug")]
        return any(re.search(rf"^\s*(?:menu)?config {symbol}$",
                             place.read_text(errors="replace"), re.M)
                   for place in places if place.exists())


def configured(config, src, out):
    """.config in out; what Kconfig had to say about it."""
    packages.need("build")
    out.mkdir(parents=True, exist_ok=True)
    build.configure(config, False, src, out)
    said = []
    for step in ("tinyconfig", "merge", "olddefconfig"):
        log = common.LOGS / f"{step}-{out.name}.log"
        if log.exists():
            said += [line for line in log.read_text(errors="replace").splitlines()
                     if re.search(r"warning|error", line, re.I)
                     and not re.match(r"(Value of|Previous value:|New value:) ", line)]
    return said


def make(config, src, out, goals, settings=(), name="check"):
    """The log of a build; raises if it fails."""
    log = f"{name}.log"
    with contextlib.suppress(FileNotFoundError):
        (common.LOGS / log).unlink()
    # A handful of objects need not wait for somebody's whole kernel.
    build._run_make(build._make(config, src, out, *goals, settings=settings),	# pylint: disable=W0212
                    log, name, small=not {"mm/", "vmlinux"} & set(goals))
    return (common.LOGS / log).read_text(errors="replace")


def findings(log):
    """[(file, line, text)] of what compiler, sparse and kernel-doc have said."""
    found = []
    for line in log.splitlines():
        match = PLACE.match(line.strip()) or DOC.match(line.strip())
        if match and (DOC.match(line.strip()) or re.search(r"warning|error", match[3])):
            found.append((match[1], int(match[2]), match[3]))
    return found


def news(found, base):
    """The findings that the unpatched kernel does not have as often; lines may have moved."""
    count = collections.Counter(map(tuple, base))
    bad = []
    for name, number, text in found:
        if count[(name, text)] > 0:
            count[(name, text)] -= 1
        else:
            bad.append(f"{name}:{number}: {text}")
    return bad


def changed_by(tree, commit):
    return tree.git("show", "--format=", "--name-only", commit).splitlines()


def is_mermap(names):
    """Does a commit with these files belong to the mermap or its region?"""
    return any(name.startswith("arch/x86/") or "mermap" in name for name in names)


# A file that is compiled as a part of another one.
PART_OF = {"kernel/sched/debug.c": "kernel/sched/build_utility.c"}


def objects_of(tree, config, commit_names=None):
    """The objects of the series: of new files, and of those it touches."""
    tops = ("mm/", "lib/", "kernel/")
    if config == MERMAP:
        tops += ("arch/x86/",)
        if commit_names is None:
            commits = [changed_by(tree, commit) for commit in tree.commits]
            commit_names = [name for names in commits if is_mermap(names) for name in names]
    names = commit_names if commit_names is not None else [*tree.new, *tree.touched]
    return sorted({PART_OF.get(name, name)[:-2] + ".o" for name in names if name.endswith(".c")
                   and (name.startswith(tops))})


def fresh(src, out, goals, config, settings, name):
    """The log of compiling these objects even if they are up to date."""
    for goal in goals:
        (out / goal).unlink(missing_ok=True)
    return make(config, src, out, goals, settings, name)


# --- the checks -------------------------------------------------------------------

# Those for a cross compiler are read back where there is one: by every build of make matrix.
@check("every configuration of this machine's compiler is read back")
def configurations(tree):
    def one(config):
        try:
            said = configured(config, tree.path, OUT / f"config-{config.name}")
        except LabError as error:
            said = [line for line in str(error).splitlines() if line.strip()]
        return [f"{config.name}: {line.strip()}" for line in said]
    with ThreadPoolExecutor(max_workers=jobs()) as pool:
        # Those of other compilers are read back when make matrix builds them.
        mine = [config for config in kconfig.table().values()
                if not config.cross and config.compiler == "gcc"]
        return [line for lines in pool.map(one, mine) for line in lines]


def warnings(tree, name, src, out, goals):
    """Findings of a W=1 build of these objects."""
    config = Part(kconfig.find(name), src)
    configured(config, src, out)
    there = [goal for goal in goals if (src / goal).with_suffix(".c").exists()]
    return findings(fresh(src, out, there, config, ["W=1"], out.name))


def base_findings(tree, kind, name, function):
    """[(file, text)] of the unpatched tree, remembered."""
    base = trees.base_worktree()
    key = "\n".join([kind, name, tree.git("rev-parse", "base"), compiler(),
                     kconfig.fingerprint(kconfig.find(name), True), *tree.touched])
    return remembered(key, lambda: [(f, text) for f, _, text in function(Path(base))])


def w1(tree, name):
    goals = objects_of(tree, name)
    if not goals:
        return ["the series has no object to build"]
    goals = buildable(tree, name, goals)
    found = warnings(tree, name, tree.path, OUT / f"w1-{name}", goals)
    base = base_findings(tree, "w1", name, lambda src: warnings(
        tree, name, src, OUT / f"w1-{name}-base", [g for g in goals if not ours(tree, g)]))
    missing = [g for g in goals if not (OUT / f"w1-{name}" / g).exists()]
    return news(found, base) + [f"{goal} was not built" for goal in missing]


def ours(tree, goal):
    return tree.is_ours(goal[:-2] + ".c")


# What has an option of its own: part of a file's name, option.
OPTIONAL = (("/tests/", "CONFIG_KUNIT"), ("hotplug", "CONFIG_MEMORY_HOTPLUG"),
            ("_pcp_", "CONFIG_PAGE_CONSISTENCY_PCP"), ("inject", "CONFIG_LKDTM"),
            ("memremap", "CONFIG_ZONE_DEVICE"), ("mm/memory-failure", "CONFIG_MEMORY_FAILURE"),
            ("drivers/dax/", "CONFIG_DEV_DAX"), ("mermap", "CONFIG_MERMAP"),
            ("mermap_debug", "CONFIG_MERMAP_DEBUG"))


def buildable(tree, name, goals):
    """Without what this configuration has switched off: 'make x.o' builds it regardless."""
    config = kconfig.find(name)
    asked = kconfig.wanted(config.files(False))
    off = [part for part, option in OPTIONAL if asked.get(option, ("n",))[0] == "n"]
    return [g for g in goals if not any(part in g for part in off)]


@check("W=1 on x86-64 (SPARSEMEM_VMEMMAP) says nothing new")
def w1_x86(tree):
    return w1(tree, "x86")


@check("W=1 on x86-64 with the mermap says nothing new")
def w1_mermap(tree):
    return w1(tree, MERMAP)


@check("W=1 on UML (FLATMEM) says nothing new")
def w1_uml(tree):
    return w1(tree, "uml")


@check("W=1 on i386 (32-bit, SPARSEMEM without VMEMMAP) says nothing new")
def w1_i386(tree):
    probe = subprocess.run(["gcc", "-m32", "-x", "c", "-c", "-o", "/dev/null", "-"],
                           input="int x;\n", capture_output=True, text=True, check=False)
    if probe.returncode:
        raise Skip(f"gcc -m32 does not work: {probe.stderr.strip()[-200:]}")
    return w1(tree, "i386")


def sparse_findings(src, out, goals, name):
    config = Part(kconfig.find(name), src)
    configured(config, src, out)
    there = [goal for goal in goals if (src / goal).with_suffix(".c").exists()]
    log = make(config, src, out, there, ["W=1", "C=2", f"CHECK={SPARSE}"], f"sparse-{out.name}")
    checked = set(re.findall(r"^\s+CHECK\s+(?:\S*?/)??((?:mm|lib|kernel|arch)/\S+)$", log, re.M))
    unseen = [goal for goal in there if goal[:-2] + ".c" not in checked]
    if unseen:
        raise LabError(f"sparse did not look at {' '.join(unseen)}; is it too old for this "
                       f"kernel? See {common.show(common.LOGS / f'sparse-{out.name}.log')}")
    return [f for f in findings(log) if not SPARSE_ITSELF.search(f[2])]


PLANT = """// SPDX-License-Identifier: GPL-2.0
#include <linux/compiler.h>
int planted(void __user *p);
int planted(void __user *p) { return *(int *)p; }
"""


@check("sparse sees what it is there for")
def sparse_works(tree):
    """A warning planted in a module beside the tree must show."""
    packages.need("check")
    config, out = kconfig.find("x86"), OUT / "w1-x86"
    configured(config, tree.path, out)
    folder = FOLDER / "planted"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "planted.c").write_text(PLANT)
    (folder / "Kbuild").write_text("obj-m := planted.o\n")
    make(config, tree.path, out, ["prepare"], ["W=1"], "sparse-prepare")
    log = make(config, tree.path, out, [f"M={folder}", "planted.o"],
               ["C=2", f"CHECK={SPARSE}"], "sparse-planted")
    if not re.search(r"^planted\.c:4:\d+: warning: .*address space", log, re.M):
        return ["sparse said nothing about a planted cast to another address space: it did not "
                "run, or cannot see; see build/logs/sparse-planted.log"]
    return []


def sparse(tree, name):
    packages.need("check")
    goals = buildable(tree, name, objects_of(tree, name))
    found = sparse_findings(tree.path, OUT / f"w1-{name}", goals, name)
    base = base_findings(tree, "sparse", name, lambda src: sparse_findings(
        src, OUT / f"w1-{name}-base", [g for g in goals if not ours(tree, g)], name))
    return news(found, base)


@check("sparse on x86-64 says nothing new")
def sparse_x86(tree):
    return sparse(tree, "x86")


@check("sparse on x86-64 with the mermap says nothing new")
def sparse_mermap(tree):
    return sparse(tree, MERMAP)


# --- every commit ------------------------------------------------------------------

def worktree(tree, commit):
    """build/each/linux at one commit; files that stay the same keep their time stamp."""
    place = BUILD / "each" / "linux"
    if not (place / ".git").exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        tree.git("worktree", "prune")
        tree.git("worktree", "add", "--detach", "--force", place, commit, visible=True)
    Git(place)("checkout", "-q", "--force", "--detach", commit)
    return place


FOLDERS = ("mm/", "lib/tests/")


def configured_commit(tree, commit, config, src, out):
    """As configured(), which takes as long as many a commit's objects: only if anything decides anew."""
    kconfigs = [line for line in tree.git("ls-tree", "-r", commit).splitlines()
                if Path(line).name.startswith("Kconfig")]
    wish = "\n".join([kconfig.fingerprint(config, False), compiler(), *kconfigs])
    done = out / ".lab-kconfig"
    if (out / ".config").exists() and done.exists() and done.read_text() == wish:
        return []
    done.unlink(missing_ok=True)
    bad = configured(config, src, out)
    if not bad:
        done.write_text(wish)
    return bad


def build_commit(tree, commit):
    """What is wrong with one commit."""
    src, out = worktree(tree, commit), BUILD / "each" / "out" / "each"
    touched = changed_by(tree, commit)
    name = MERMAP if is_mermap(touched) else "x86"
    config, objects = Part(kconfig.find(name), src), objects_of(tree, name, touched)
    objects = buildable(tree, name, objects)
    bad = configured_commit(tree, commit, config, src, out)
    # What is named below a folder keeps kbuild from making the archive of the folder.
    others = [name for name in objects if not name.startswith(FOLDERS)]
    log = make(config, src, out, [*FOLDERS, *others], name=f"each-{commit[:12]}")
    bad += [f"{name}:{number}: {text}" for name, number, text in findings(log)]
    return bad + [f"{name} was not built" for name in objects if not (out / name).exists()]


@check("every commit of each thread builds")
def every_commit(tree):
    """Where it is applied: on the base and what its thread names, not on the series before it."""
    branches = series.Maker(tree.git, tree.product, None).make()
    commits = [commit for branch in branches for commit in branch.commits]
    if not commits:
        return ["the series has no commit: nothing was built"]
    fragments = [kconfig.fingerprint(kconfig.find(name), False) for name in ("x86", MERMAP)]
    bad = []
    for commit in commits:
        # The dates of the commits are of now.
        subject, content = tree.git.fields("%s%x00%T", commit)[0]
        try:
            found = remembered(f"each\n{content}\n{compiler()}\n{fragments}",
                               lambda commit=commit: build_commit(tree, commit))
        except LabError as error:
            found = str(error).splitlines()[:12]
        bad += [f"'{subject}': {line}" for line in found]
    return bad


@check("the last commit links")
def links(tree):
    if tree.git("rev-parse", "HEAD") != tree.commits[-1]:
        return ["build/linux is not at the last commit"]
    for name in ("x86", "uml"):
        kernel = build.build(name, src=tree.path)
        if not kernel.image.exists():
            return [f"{name}: no image"]
    say(f"# linked at {tree.commits[-1][:12]}")
    return []
