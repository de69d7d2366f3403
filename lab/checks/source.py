# SPDX-License-Identifier: GPL-2.0
"""The kernel's own tools that read source: checkpatch, kernel-doc, coccicheck, documentation."""

import fnmatch
import os
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import packages, series, tree as trees
from lab.checks import check, remembered
from lab.common import BUILD, LabError, jobs
from lab.source import staging

DEBIAN_PYTHON = "/usr/bin/python3"	# the one that Debian's Sphinx and ply are installed for

SENDER = "make series tells the sender of an author's sign-off that is missing; it cannot add it"
COVERED = "checkpatch cannot know MAINTAINERS entries of other commits; 'MAINTAINERS covers " \
          "every new file' looks at the result"
HISTORY = "the tree of the base is one commit; it does not have those that are named"
NOTHING = "without the option the hooks are nothing, and even an inlined function changes code"
POINTERS = "a report of a bad pointer is worth nothing if the pointer is hashed"
FLAGS = "macros of include/linux/page-flags.h, which checkpatch does not look into"
COUNT = "a number of pages that happens to be a power of two, not a bit"
POINTER = "a pointer that is set at boot, to constant text; it is not constant itself"
TRACE = "the form that TRACE_EVENT() has in every header of include/trace/events"
FIELD = "a field of struct user_desc"
# What checkpatch says and is not followed: (type, file or 'commit', pattern of the text, why).
ACCEPTED = [
    ("NO_AUTHOR_SIGN_OFF", "commit", "*", SENDER),
    ("UNKNOWN_COMMIT_ID", "commit", "*", HISTORY),
    ("FILE_PATH_CHANGES", "commit", "*", COVERED),
    ("VSPRINTF_SPECIFIER_PX", "mm/page_consistency/report.c", "*", POINTERS),
    ("CAMELCASE", "*", "*<*PageBuddy>", FLAGS),
    ("CAMELCASE", "*", "*<*PageReserved>", FLAGS),
    ("CAMELCASE", "*", "*<*PageHWPoison*>", FLAGS),
    ("CAMELCASE", "mm/page_consistency/inject.c", "*<*PageSlab>", FLAGS),
    ("INIT_ATTRIBUTE", "mm/page_consistency/core.c", "*const init definition*", POINTER),
    ("TYPO_SPELLING", "arch/x86/mm/mm_local_kunit.c", "*useable*", FIELD),
    ("BIT_MACRO", "mm/page_consistency/table.h", "*", COUNT),
    ("MACRO_ARG_UNUSED", "include/linux/page_consistency.h", "*", NOTHING),
    ("PARENTHESIS_ALIGNMENT", "include/trace/events/*", "*", TRACE),
    ("OPEN_ENDED_LINE", "include/trace/events/*", "*", TRACE),
]
SAID = re.compile(r"^(?P<place>[^:]+):(?:(?P<line>\d+):)? (?:ERROR|WARNING|CHECK):"
                  r"(?P<type>\w+): (?P<text>.*)$")


def debian_first():
    """An environment in which 'python3' is the one that has Debian's modules."""
    return dict(os.environ, LC_ALL="C", PATH="/usr/bin:/bin:" + os.environ.get("PATH", ""),
                PYTHONDONTWRITEBYTECODE="1", HOME="/nonexistent")


def accepted(kind, place, text):
    return any(kind == known and fnmatch.fnmatchcase(place, where)
               and fnmatch.fnmatchcase(text, pattern)
               for known, where, pattern, _ in ACCEPTED)


def lines_of_patch(patch):
    """For each line of a mail, (file, line there) if it is an added or kept one."""
    name, number = None, 0
    for line in patch.splitlines():
        if line.startswith("+++ b/"):
            name = line[6:]
        elif match := re.match(r"@@ -\S+ \+(\d+)", line):
            number = int(match[1]) - 1
        elif name and line[:1] in "+ ":
            number += 1
            yield name, number
            continue
        yield name, 0


def checkpatch(tree, names=(), patch=None):
    """Findings in files, or in one mail; each is 'place: TYPE: text'."""
    argv = ["perl", "scripts/checkpatch.pl", "--strict", "--terse", "--show-types",
            "--no-summary", "--root=."]
    argv += ["-f", *names] if names else ["-"]
    done = subprocess.run(argv, cwd=tree.path, input=patch, capture_output=True, text=True,
                          errors="replace", env=debian_first(), check=False)
    if "Traceback" in done.stderr or "checkpatch.pl:" in done.stderr:
        raise LabError("checkpatch itself failed:\n" + done.stderr[-600:])
    where = list(lines_of_patch(patch)) if patch else []
    bad = []
    for line in done.stdout.splitlines():
        match = SAID.match(line)
        if not match:
            bad.append(line)
            continue
        place, number = match["place"], int(match["line"] or 0)
        if patch:
            place, number = where[number - 1] if 0 < number <= len(where) else (None, number)
        if not accepted(match["type"], place or "commit", match["text"]) \
                and not (patch and accepted(match["type"], "commit", match["text"])):
            bad.append(f"{place or 'message'}:{number}: {match['type']}: {match['text']}")
    if done.returncode and not done.stdout:
        bad.append(f"checkpatch ended with {done.returncode} and said nothing: {done.stderr}")
    return bad


@check("checkpatch --strict, every new file")
def checkpatch_files(tree):
    packages.need("lint")
    names = [name for name in tree.new if not name.endswith((".json", ".sh"))]
    if not names:
        return ["the series adds no file: nothing was checked"]
    with ThreadPoolExecutor(max_workers=jobs()) as pool:
        found = pool.map(lambda name: checkpatch(tree, [name]), names)
        return [line for lines in found for line in lines]


@check("checkpatch --strict, every mail")
def checkpatch_mails(tree):
    """Each patch is in one thread, so that these are all commits, as they are sent."""
    packages.need("lint")
    with staging(BUILD) as out:
        series.write(("Lab Check", "lab@localhost"), out)
        mails = [path for path in sorted(out.glob("*/*.patch"))
                 if not path.name.startswith("0000-")]
        if not mails:
            return ["make series left no mails: nothing was checked"]
        with ThreadPoolExecutor(max_workers=jobs()) as pool:
            found = list(pool.map(lambda mail: checkpatch_mail(tree, mail.read_text()), mails))
        return [f"{mail.parent.name}/{mail.name}: {line}"
                for mail, lines in zip(mails, found) for line in lines]


def checkpatch_mail(tree, mail):
    # What a commit adds as it is in the end was looked at above; it would only be said again.
    return [line for line in checkpatch(tree, patch=mail)
            if line.partition(":")[0] not in tree.whole]


@check("kernel-doc -Wall")
def kernel_doc(tree):
    done = subprocess.run(["tools/docs/kernel-doc", "-none", "-Wall", *tree.sources()],
                          cwd=tree.path, capture_output=True, text=True, env=debian_first(),
                          check=False)
    said = done.stdout.splitlines() + done.stderr.splitlines()
    if done.returncode and not said:
        said.append(f"kernel-doc ended with {done.returncode}")
    return sorted(set(said)) + undocumented(tree)


FUNCTION = re.compile(r"^(?!static\b|typedef\b|DE|extern\b|#)[A-Za-z_][\w \t*]*?\b(\w+)\("
                      r"[^;{]*\)\s*\n\{", re.M)


def undocumented(tree):
    """Functions that another file can call and that have no kernel-doc comment."""
    bad = []
    for name in tree.sources(".c"):
        if "/tests/" in name:
            continue
        text = (tree.path / name).read_text()
        documented = set(re.findall(r"^ \* (\w+)(?:\(\))? - ", text, re.M))
        bad += [f"{name}: {function}() can be called by other files and has no kernel-doc"
                for function in FUNCTION.findall(text) if function not in documented]
    return bad


COCCI = ("api", "free", "iterators", "locks", "misc", "null", "tests")


def semantic_patches(tree):
    """The scripts that have a report mode, and their options."""
    for folder in COCCI:
        for path in sorted((tree.path / "scripts/coccinelle" / folder).rglob("*.cocci")):
            text = path.read_text(errors="replace")
            # Those with parts in OCaml need its compiler, and look for nothing that we have.
            if re.search(r"^virtual.*\breport\b", text, re.M) and "script:ocaml" not in text:
                options = re.search(r"^//+ *Options: *(.*)$", text, re.M)
                yield path, options[1].split() if options else []


def spatch(tree, script, options, names):
    done = subprocess.run(["spatch", "-D", "report", "--very-quiet", "--cocci-file", script,
                           *options, *names], cwd=tree.path, capture_output=True, text=True,
                          errors="replace", timeout=120, check=False)
    bad = [f"{script.parent.name}/{script.name}: {line}" for line in done.stdout.splitlines()
           if line.strip()]
    if done.returncode:
        bad.append(f"{script.parent.name}/{script.name}: spatch ended with {done.returncode}: "
                   + done.stderr.strip()[-200:])
    return bad


@check("coccicheck")
def coccicheck(tree):
    packages.need("lint")
    scripts, names = list(semantic_patches(tree)), tree.sources()
    if len(scripts) < 20 or not names:
        return [f"only {len(scripts)} scripts for {len(names)} files: nothing worth it was done"]
    with ThreadPoolExecutor(max_workers=jobs()) as pool:
        found = pool.map(lambda one: spatch(tree, *one, names), scripts)
        return [line for lines in found for line in lines]


# --- documentation -----------------------------------------------------------------

PAGES = ("Documentation/mm/page_consistency.rst",
         "Documentation/ABI/testing/sysfs-kernel-mm-page-consistency")
PARAMETERS = "Documentation/admin-guide/kernel-parameters.txt"


@check("documentation is there")
def documentation(tree):
    bad = [f"{name} is missing" for name in PAGES if name not in tree.new]
    parameters = (tree.path / PARAMETERS).read_text()
    if not re.search(r"^\tpage_consistency=", parameters, re.M):
        bad.append(f"{PARAMETERS} has no entry page_consistency=")
    abi = tree.path / PAGES[1]
    text = abi.read_text() if abi.exists() else ""
    sysfs = (tree.path / "mm/page_consistency/sysfs.c").read_text()
    for attribute in sorted(set(re.findall(r"&(\w+)_attr\.attr", sysfs))):
        if not re.search(rf"/{attribute}$", text, re.M):
            bad.append(f"{PAGES[1]}: the attribute {attribute} is not described")
    return bad


@check("ABI entries and references of the documentation are valid")
def references(tree):
    bad = []
    for argv in (["tools/docs/get_abi.py", "--dir", "Documentation/ABI", "validate"],
                 ["tools/docs/documentation-file-ref-check", "--warn"]):
        done = subprocess.run(argv, cwd=tree.path, capture_output=True, text=True,
                              errors="replace", env=debian_first(), check=False)
        said = (done.stdout + done.stderr).splitlines()
        if any("Traceback" in line for line in said):
            raise LabError(f"{argv[0]} itself failed: {said[-1]}")
        # Both read all of the kernel; what they say about the rest of it is not ours.
        bad += [line for line in said if any(name in line for name in tree.new)]
        bad += [line for line in said for name in PAGES if Path(name).name in line
                and line not in bad]
    return bad


def sphinx(src, folders):
    """What a build of these folders of Documentation/ says, and the pages it makes."""
    with tempfile.TemporaryDirectory(dir=BUILD, prefix=".part-docs-") as out:
        done = subprocess.run(
            ["make", "-C", src, f"O={out}", f"SPHINXDIRS={' '.join(folders)}",
             f"PYTHON3={DEBIAN_PYTHON}", "htmldocs"], capture_output=True, text=True,
            errors="replace", env=debian_first(), timeout=900, check=False)
        pages = list(Path(out).rglob("*.html"))
        said = (done.stdout + done.stderr).splitlines()
        if done.returncode or not pages:
            raise LabError(f"make htmldocs ended with {done.returncode}, {len(pages)} pages:\n"
                           + "\n".join(said[-15:]))
        return said, {str(page.name) for page in pages}


@check("documentation builds without a warning")
def htmldocs(tree):
    packages.need("check")
    ours = [n for n in tree.new if n.startswith("Documentation/") and n.endswith(".rst")]
    if not ours:
        return ["the series adds no page to Documentation/"]
    folders = sorted({Path(n).parts[1] for n in ours})
    said, pages = sphinx(tree.path, folders)
    bad = [f"{name}: no page was made of it" for name in ours
           if Path(name).with_suffix(".html").name not in pages]
    new = about(said, [*tree.new, *tree.touched])
    if not new:
        return bad
    # One folder alone has references that lead out of it; those were there before.
    base = remembered(f"htmldocs\n{folders}\n{tree.git('rev-parse', 'base')}\n{tree.touched}",
                      lambda: about(sphinx(Path(trees.base_worktree()), folders)[0],
                                    tree.touched))
    return bad + [line for line in new if line not in base]


def about(said, names):
    """The warnings that name one of these files: the page, or the source it shows."""
    found = set()
    for line in said:
        name = next((n for n in names if n in line), None)
        if name and re.search(r"WARNING|ERROR|[Ww]arning:", line):
            found.add(name + re.sub(r"^:\d+", "", line.partition(name)[2]).rstrip())
    return sorted(found)
