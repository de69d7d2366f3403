# SPDX-License-Identifier: GPL-2.0
"""make mutants: one-line breakages of the product, each of which must turn a named test red.

	make mutants ONLY='drop-*'	or	python3 -m lab mutants 'drop-*'	(names of mutants)

A mutant lives in a work tree of its own, build/mutants/linux, which has the commits of
build/linux; outputs and logs stand beside it, so that nothing else is rebuilt because of
it. The way there is LAB_BUILD: this module starts itself again with build/mutants as its
build folder, and everything the lab has works on mutated kernels as on any other.

All of them take hours. A run that was interrupted goes on where it was: which mutants are
killed is kept in build/mutants/known.json, until the source of the product or the mutant
changes. Remove it to try them all again.
"""

import contextlib
import fnmatch
import io
import os
import sys
import time
import traceback

from lab import build, common, ktap, settings, suite, tree, uml, userspace
from lab.common import LabError, say, show
from lab.git import Git
from lab.known import Known
from lab.ktap import Report, Result
from lab.mutant_list_panic import MUTANTS
from lab.tap import CRASH, FAIL

INNER = "LAB_MUTANTS"			# set in the environment of the second start
UML_SECONDS = 60
SOURCES = ("arch", "drivers", "fs", "include", "kernel", "lib", "mm")	# what a killer may run
# Of the checker itself: a kernel in which a detector does not fire stops before KUnit begins.
SELF_TEST = "the self-test at boot"
GROUPS = ("silent", "hotplug", "paths", "scrub", "panicking", "report_mode",	# of lab/cases
          "memory_failure", "dax", "mm_local", "mermap", "replay", "own_state", "panic_ends",
          "selftests")


class Stale(LabError):
    """The table does not fit the source any more."""


class Broken(LabError):
    """Neither killed nor survived: the mutant could not be tried."""


# --- a mutated tree ---------------------------------------------------------

def mutated(text, edit):
    """The text with one edit made; what is to be replaced must be there exactly once."""
    count = text.count(edit.old)
    if count != 1:
        raise Stale(f"{edit.file}: found {count} times, must be once:\n"
                    + "\n".join("  | " + line for line in edit.old.splitlines())
                    + "\nThe source has changed; adapt lab/mutant_list*.py.")
    if edit.old == edit.new:
        raise Stale(f"{edit.file}: the mutant changes nothing")
    return text.replace(edit.old, edit.new)


def apply(mutant, root):
    """{path: original text} of the files a mutant changes, and their mutated text."""
    before, after = {}, {}
    for edit in mutant.edits:
        path = root / edit.file
        if path not in before:
            try:
                before[path] = after[path] = path.read_text()
            except OSError as error:
                raise Stale(f"{edit.file}: {error.strerror}") from None
        after[path] = mutated(after[path], edit)
    return before, after


@contextlib.contextmanager
def planted(mutant, root):
    """The mutant is in the tree for the length of the block."""
    before, after = apply(mutant, root)
    try:
        for path, text in after.items():
            path.write_text(text)
        yield
    finally:
        for path, text in before.items():
            path.write_text(text)


# --- who may kill: each returns the names of the tests that were red ---------

def quietly(function, *args, **kwargs):
    """Call; what it says goes to the log of this run, not between the TAP lines."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            return function(*args, **kwargs)
    finally:
        common.LOGS.mkdir(parents=True, exist_ok=True)
        with open(common.LOGS / "mutants.log", "a", encoding="utf-8") as log:
            log.write(said.getvalue())


def user(what, _tests):
    """A user-space program (lab/userspace), built from the mutated headers."""
    userspace.SOURCE, userspace.OUT = common.TREE, common.BUILD / "userspace"
    found = [p for p in userspace.select(None) if p.name == what]
    if len(found) != 1:
        raise Broken(f"there is no user-space program '{what}' (lab/userspace.py)")
    status, output = userspace.build(found[0])
    if status:
        raise Broken(f"does not build:\n{output}")
    status, output = userspace.capture([found[0].binary, *found[0].args], userspace.RUN_SECONDS)
    ran = [line.split(" - ", 1)[1] for line in output.splitlines()
           if line.startswith(("ok ", "not ok ")) and " - " in line]
    red = userspace.broken(output)
    if status and not red:
        red = [f"{what} ended with {status} after {ran[-1] if ran else 'nothing'}"]
    return ran, red


def kernel(name):
    try:
        return build.build(name, src=common.TREE)
    except LabError as error:
        raise Broken(f"does not build: {error}") from None


def leaves(results):
    return ([name for name, _ in results.leaves()],
            [name for name, test in results.leaves() if test.outcome in (FAIL, CRASH)])


def kunit(config, tests):
    """KUnit, under UML or as the boot of a QEMU guest: one test, or whole suites."""
    built, ran, red = kernel(config), [], []
    globs = tests if len(tests) == 1 else sorted({t.partition(".")[0] + ".*" for t in tests})
    for glob in globs:
        if built.arch == "um":
            run = uml.kunit_uml(built, glob, "page_consistency=report", limit=UML_SECONDS)
        else:
            run = uml.kunit_qemu(built, glob, "page_consistency=report")
        one_ran, one_red = leaves(run.results)
        if len(tests) == 1 and tests[0].partition(".")[0] in one_red:
            # The kernel died after the suite's header, and nothing but this test was in it.
            one_red.append(tests[0])
        if "self-test: not noticed" in run.log.read_text(errors="replace"):
            one_red.append(SELF_TEST)
        ran, red = ran + one_ran, red + one_red
        say(f"{glob}: {run}")
    return ran, red


def boot(config, tests):
    """Boot cases of make test (lab/cases), 'group:name', on the mutated kernel."""
    kernel(config)
    ran, red = [], []
    for glob in tests:
        # None of that name: judge() and sick() say so.
        for case in suite.choose(suite.load(GROUPS), [glob]):
            # Below build/mutants a case finds nothing but mutated kernels.
            result = suite.run(case)
            name = f"{case.group}:{case.name}"
            say(f"{name}: {result.outcome} {result.reason}")
            if result.outcome == suite.SKIP:
                raise Broken(f"{name} was skipped: {result.reason}")
            ran.append(name)
            red += [name] if any(leaf.outcome == suite.FAIL for leaf in result.leaves()) else []
    return ran, red


KILLERS = {"user": user, "kunit": kunit, "boot": boot}


def run_killer(killer, tests):
    """(ran, red) of one killer, 'kind what', for some tests."""
    kind, _, what = killer.partition(" ")
    try:
        return quietly(KILLERS[kind], what, tests)
    except LabError:
        raise
    except Exception:		# pylint: disable=broad-except
        # The lab's own fault; a mutant that was not tried is not killed.
        raise Broken(traceback.format_exc()) from None


def matching(names, glob):
    """A parameterised test matches by its function's name, too."""
    return [name for name in names
            if fnmatch.fnmatch(name, glob) or fnmatch.fnmatch(name, glob + ".*")]


# --- the run ----------------------------------------------------------------

def judge(mutant):
    """(whether it was killed, what to say)."""
    try:
        with planted(mutant, common.TREE):
            _, red = run_killer(mutant.killer, [mutant.test])
    except Stale as error:
        return False, f"stale: {error}"
    except Broken as error:
        return False, str(error)
    if killed := matching(red, mutant.test) or [name for name in red if name == SELF_TEST]:
        return True, f"killed by {killed[0]}" + (f" and {len(killed) - 1} more"
                                                 if len(killed) > 1 else "")
    other = f"; red was only {', '.join(red[:3])}" if red else ""
    return False, f"SURVIVED {mutant.killer}: {mutant.test}{other}"


def sick(killer, tests):
    """{test: why it cannot kill}: without a mutant it has to run, and be green."""
    begun = time.monotonic()
    try:
        ran, red = run_killer(killer, tests)
    except LabError as error:
        return {test: f"without any mutant: {error}" for test in tests}
    found = {}
    for test in tests:
        if not matching(ran, test):
            found[test] = f"{killer} has no test called {test}"
        elif matching(red, test):
            found[test] = f"{test} is red without any mutant; make test first"
    say(f"# {killer} without mutants: {len(tests) - len(found)} of {len(tests)} tests are green, "
        f"{time.monotonic() - begun:.0f} s")
    return found


def chosen(globs):
    """The mutants that were asked for, cheapest killers first."""
    found = [m for m in MUTANTS if not globs or any(fnmatch.fnmatch(m.name, g) for g in globs)]
    if not found:
        raise LabError("no such mutant; there are " + " ".join(m.name for m in MUTANTS))
    ranks = ("user", "kunit uml", "kunit", "boot")
    return sorted(found, key=lambda m: [m.killer.startswith(rank) for rank in ranks].index(True))


def key_of(mutant):
    """What decides whether it is killed, but for the tests, which are there to get better."""
    return "\n".join([*Git(common.TREE)("rev-parse", *(f"HEAD:{name}" for name in SOURCES)).split(),
                      repr(mutant)])


def tried(mutant, mutants, health, known):
    """As judge(); one that cannot be killed by a sick test is not tried."""
    key = key_of(mutant)
    if text := known.get(key):
        return True, f"{text}, in an earlier run"
    if mutant.killer not in health:
        tests = {m.test: None for m in mutants if m.killer == mutant.killer}
        health[mutant.killer] = sick(mutant.killer, list(tests))
    why = health[mutant.killer].get(mutant.test)
    killed, text = (False, why) if why else judge(mutant)
    if killed:
        known.put(key, text)
    return killed, text


def inner(globs):
    mutants, health, begun = chosen(globs), {}, time.monotonic()
    known = Known(common.BUILD / "known.json")
    (common.LOGS / "mutants.log").unlink(missing_ok=True)
    with Report("mutants", len(mutants), asked=" ".join(globs)) as report:
        for mutant in mutants:
            start = time.monotonic()
            killed, text = tried(mutant, mutants, health, known)
            # Why it was not killed is a reason; who has killed it, a note.
            report.add(Result(mutant.name, ktap.PASS if killed else ktap.FAIL,
                              "" if killed else text, time.monotonic() - start,
                              notes=[text] if killed else []))
        return report.end(f"# {time.monotonic() - begun:.0f} s; log: "
                          f"{show(common.LOGS / 'mutants.log')}")


def worktree():
    """build/mutants/linux with the commits of build/linux."""
    tree.ensure()
    main_tree, place = Git(common.TREE), common.BUILD / "mutants" / "linux"
    if main_tree.dirty():
        say(f"notice: {show(common.TREE)} has edits that are in no commit; the mutants do "
            "without them")
    head = main_tree("rev-parse", "HEAD")
    if not (place / ".git").exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        main_tree("worktree", "prune")
        main_tree("worktree", "add", "--detach", "--force", place, head, visible=True)
    # Also puts back what an interrupted run has left planted.
    Git(place)("checkout", "-q", "--force", "--detach", head)
    # Still one build at a time: the same lock file as that of the main build folder.
    lock = place.parent / ".make.lock"
    if not lock.is_symlink():
        lock.unlink(missing_ok=True)
        lock.symlink_to("../.make.lock")
    return place.parent


def main(argv):
    globs = settings.patterns(argv)
    mutants = chosen(globs)
    if settings.listing(argv):
        for mutant in mutants:
            say(mutant.name)
        return 0
    if os.environ.get(INNER):
        # The tree is the one that main() has made; nothing is assembled here.
        tree.ensure = lambda: common.TREE
        return inner(globs)
    with common.locked("mutants"):
        env = dict(os.environ, LAB_BUILD=str(worktree()), LAB_CACHE=str(common.CACHE))
        env[INNER] = "1"
        sys.stdout.flush()
        from lab import child		# pylint: disable=import-outside-toplevel
        with child.running([sys.executable, "-m", "lab", "mutants", *argv], env=env,
                           cwd=common.ROOT) as second:
            return second.wait()
