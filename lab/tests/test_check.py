# SPDX-License-Identifier: GPL-2.0
"""Each check of make check has to be red for the defect that it is there for.

The tools are the real ones, on planted files; what takes a build is tried on what compiler,
sparse and Kconfig say.
"""

import contextlib
import io
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from lab import check, checks, common, kconfig, packages, tree as trees
from lab.checks import compile as compiling
from lab.checks import repository, source
from lab.patches import Maintainers
from lab.tests import fake

TAG = "// SPDX-License-Identifier: GPL-2.0\n"


class Planted(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        packages.need("source")

    def setUp(self):
        self.root = Path(tempfile.mkdtemp(prefix="lab-test-")).resolve()
        self.addCleanup(shutil.rmtree, self.root)
        subprocess.run(["git", "init", "-q", self.root], check=True)
        self.tree = SimpleNamespace(root=self.root, path=common.TREE, new=[], touched=[],
                                    commits=[], sources=lambda *suffixes: self.tree.new,
                                    is_ours=lambda name: name in self.tree.new)

    def plant(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def finds(self, function, *parts):
        """The findings, one of which has all parts."""
        found = function(self.tree)
        self.assertTrue(any(all(part in line for part in parts) for line in found),
                        f"{parts} not in {found}")
        return found


class Repository(Planted):
    def test_sizes(self):
        self.plant("a.c", "x\n" * 800)
        self.plant("a.py", "x\n" * 500)
        self.assertEqual(repository.sizes(self.tree), [])
        self.plant("b.h", "x\n" * 801)
        self.plant("b.py", "x\n" * 501)
        self.finds(repository.sizes, "b.h", "801")
        self.finds(repository.sizes, "b.py")

    def test_no_file_at_all_is_an_error(self):
        with self.assertRaises(common.LabError):
            repository.sizes(self.tree)

    def test_ignored_files_do_not_count(self):
        self.plant(".gitignore", "# SPDX-License-Identifier: GPL-2.0\nbuild/\n")
        self.plant("build/a.c", "x\n" * 900)
        self.assertEqual(repository.sizes(self.tree), [])

    def test_licences(self):
        self.plant("LICENSES/preferred/GPL-2.0", "all of it")
        self.plant("a.c", TAG)
        self.plant("data.json", "{}")
        self.assertEqual(repository.licences(self.tree), [])
        self.plant("b.c", "\n" * 5 + TAG)
        self.finds(repository.licences, "b.c")
        self.plant("c.h", "/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */")
        self.finds(repository.licences, "c.h", "no text of Linux-syscall-note")

    def test_machine_paths(self):
        self.plant("a.py", 'X = "/usr/bin/python3"  # build/linux, arch/work/x, /proc/self\n')
        self.assertEqual(repository.machine_paths(self.tree), [])
        for text in ("/" + "home/somebody", "/" + "work/main", str(self.root / "a"),
                     "http://deb." + "debian.org/debian", "http://ftp.de." + "debian.org/"):
            self.plant("b.py", f"\nx = '{text}'\n")
            self.finds(repository.machine_paths, "b.py:2")

    def test_mirror_of_this_machine(self):
        self.plant("etc/sources.list", "deb http://packages.example.org/debian sid main\n")
        self.assertIn("packages.example.org", repository.mirrors(self.root / "etc"))
        with mock.patch.object(repository, "mirrors", lambda: {"packages.example.org"}):
            self.plant("b.py", "U = 'http://packages.example.org/x'\n")
            self.finds(repository.machine_paths, "b.py:1")

    def test_python(self):
        self.plant("good.py", "import os\nprint(os)\n")
        self.assertEqual(repository.python(self.tree), [])
        self.plant("unused.py", "import os\n")
        self.finds(repository.python, "unused.py:1", "unused")
        self.plant("broken.py", "def (:\n")
        self.finds(repository.python, "broken.py:1")

    def test_patch_with_the_text_of_a_new_file(self):
        self.tree.product = SimpleNamespace(load=lambda: ["one"])
        self.plant("patches/0001-good.patch", "Subject: a\n---\ndiff --git a/x b/x\n")
        self.assertEqual(repository.patch_files(self.tree), [])
        self.plant("patches/0002-bad.patch", "Subject: a\n---\ndiff --git a/x b/x\n"
                                             "new file mode 100644\n")
        self.finds(repository.patch_files, "0002-bad.patch", "new file")

    def test_empty_series(self):
        self.tree.product = SimpleNamespace(load=lambda: [])
        self.finds(repository.patch_files, "empty")

    def maintained(self, text, names):
        self.tree.new = names
        self.tree.path = self.root
        self.tree.product = SimpleNamespace(maintainers=lambda: Maintainers(text))
        with mock.patch.object(repository, "kernels_own_view", lambda *_: []):
            return repository.maintainers(self.tree)

    def test_maintainers(self):
        entry = "CHECKER\nM:\tP <p@example.org>\nL:\tl@example.org\nS:\tMaintained\n" \
                "F:\tmm/new/\nF:\tmm/tests/new*\n"
        names = ["mm/new/a.c", "mm/tests/new_kunit.c"]
        self.assertEqual(self.maintained(entry, names), [])
        self.assertIn("lib/b.c: no section of MAINTAINERS has it",
                      self.maintained(entry, [*names, "lib/b.c"]))
        self.assertTrue(self.maintained(entry + "F:\tmm/gone.c\n", names))
        self.assertTrue(self.maintained(entry.replace("S:\tMaintained\n", ""), names))
        self.assertTrue(self.maintained("", names))

    def test_pattern_stops_at_a_slash(self):
        self.assertEqual(repository.matched("mm/*.c", ["mm/a.c", "mm/b/a.c"]), ["mm/a.c"])
        self.assertEqual(repository.matched("mm/b", ["mm/bc", "mm/b/a.c"]), ["mm/b/a.c"])


class Tools(Planted):
    """checkpatch, kernel-doc and spatch of the tree, on planted files."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        packages.need("lint")
        trees.ensure()

    GOOD = TAG + "\nint good(int a)\n{\n\treturn a;\n}\n"

    def test_checkpatch_of_a_file(self):
        self.assertEqual(source.checkpatch(self.tree, [self.plant("a.c", self.GOOD)]), [])
        for bad, word in ((self.GOOD.replace("\treturn", "    return"), "LEADING_SPACE"),
                          (self.GOOD.replace(TAG, ""), "SPDX_LICENSE_TAG"),
                          (TAG.replace("GPL-2.0", "GLP-2.0") + self.GOOD[len(TAG):], "SPDX"),
                          (self.GOOD.replace(" a;", "(a);"), "RETURN_PARENTHESES")):
            found = source.checkpatch(self.tree, [self.plant("a.c", bad)])
            self.assertTrue(any(word in line for line in found), (word, found))

    PATCH = """From 1 Mon Sep 17 00:00:00 2001
From: A <a@example.org>
Date: Thu, 1 Jan 2026 00:00:00 +0000
Subject: [PATCH] mm: change it

{body}

{end}
---
 mm/page_alloc.c | 1 +

diff --git a/mm/page_alloc.c b/mm/page_alloc.c
--- a/mm/page_alloc.c
+++ b/mm/page_alloc.c
@@ -10,2 +10,3 @@
 int a;
+{line}
 int b;
--
2.0
"""

    def test_checkpatch_of_a_mail(self):
        def said(body="Because it is better.", line="int c;",
                 end="Signed-off-by: A <a@example.org>"):
            return source.checkpatch(self.tree, patch=self.PATCH.format(body=body, line=line,
                                                                        end=end))
        self.assertEqual(said(), [])
        self.assertIn("MISSING_SIGN_OFF", said(end="")[0])
        self.assertIn("COMMIT_LOG_LONG_LINE", said(body="word " * 20)[0])
        self.assertTrue(said(line="int c ;")[0].startswith("mm/page_alloc.c:11: "))

    def test_accepted_only_where_it_is(self):
        self.assertTrue(source.accepted("VSPRINTF_SPECIFIER_PX", "mm/page_consistency/report.c",
                                        "x"))
        self.assertFalse(source.accepted("VSPRINTF_SPECIFIER_PX", "mm/page_consistency/core.c",
                                         "x"))
        self.assertFalse(source.accepted("MISSING_SIGN_OFF", "mm/x.c", "x"))
        for _, _, _, why in source.ACCEPTED:
            self.assertGreater(len(why), 20)

    def test_kernel_doc(self):
        doc = "/**\n * good - is good\n * @a: a number\n *\n * Return: it.\n */\n"
        good = self.GOOD.replace("int good", doc + "int good")
        self.tree.new = [self.plant("a.c", good)]
        self.assertEqual(source.kernel_doc(self.tree), [])
        self.plant("a.c", good.replace(" * @a: a number\n", ""))
        self.finds(source.kernel_doc, "a.c")
        self.plant("a.c", good.replace(" * Return: it.\n", ""))
        self.finds(source.kernel_doc, "a.c")
        self.plant("a.c", self.GOOD)
        self.finds(source.kernel_doc, "good() can be called by other files")

    def test_coccicheck(self):
        self.tree.new = [self.plant("a.c", self.GOOD)]
        scripts = list(source.semantic_patches(self.tree))
        self.assertGreater(len(scripts), 20)
        script = next(one for one in scripts if one[0].name == "ifnullfree.cocci")
        self.assertEqual(source.spatch(self.tree, *script, self.tree.new), [])
        self.plant("a.c", TAG + "void f(void *a)\n{\n\tif (a)\n\t\tkfree(a);\n}\n")
        self.assertTrue(source.spatch(self.tree, *script, self.tree.new))

    def test_missing_documentation(self):
        found = self.finds(source.documentation, "page_consistency.rst is missing")
        self.assertTrue(any("sysfs" in line for line in found))
        with mock.patch.object(source.packages, "need"):
            self.assertTrue(source.htmldocs(self.tree))

    def test_sphinx_warning_of_our_page_counts_and_another_does_not(self):
        page = "Documentation/mm/ours.rst"
        self.tree.new = [page]
        said = [f"x/{page}:3: WARNING: Title underline too short.",
                "x/Documentation/mm/theirs.rst:1: WARNING: Title underline too short."]
        self.tree.git = lambda *_: "base"
        with mock.patch.object(source, "sphinx", return_value=(said, {"ours.html"})), \
                mock.patch.object(source, "remembered", return_value=[]), \
                mock.patch.object(source.packages, "need"):
            self.assertEqual(source.htmldocs(self.tree),
                             [f"{page}: WARNING: Title underline too short."])
        with mock.patch.object(source, "sphinx", return_value=([], {"theirs.html"})), \
                mock.patch.object(source.packages, "need"):
            self.finds(source.htmldocs, "no page was made")


class Compile(unittest.TestCase):
    LOG = """\
  CC      mm/page_consistency/core.o
../../../linux/mm/page_consistency/core.c:10:5: warning: unused variable 'x' [-Wunused-variable]
/somewhere/linux/mm/page_alloc.c:77:3: warning: old one [-Wold]
/somewhere/linux/mm/page_alloc.c:70:3: note: in expansion of macro
Warning: ../linux/mm/page_alloc.c:5 No description found for return value of 'f'
mm/page_alloc.c:9:1: error: bad thing
"""

    def test_findings(self):
        self.assertEqual(compiling.findings(self.LOG), [
            ("mm/page_consistency/core.c", 10, "warning: unused variable 'x' [-Wunused-variable]"),
            ("mm/page_alloc.c", 77, "warning: old one [-Wold]"),
            ("mm/page_alloc.c", 5, "No description found for return value of 'f'"),
            ("mm/page_alloc.c", 9, "error: bad thing")])

    def test_news_are_what_the_base_does_not_say_as_often(self):
        old = ("a.c", "warning: w")
        self.assertEqual(compiling.news([("a.c", 5, "warning: w")], [old]), [])
        self.assertEqual(compiling.news([("a.c", 5, "warning: w"), ("a.c", 9, "warning: w")],
                                        [old]), ["a.c:9: warning: w"])
        self.assertEqual(compiling.news([("a.c", 5, "warning: w")], []), ["a.c:5: warning: w"])

    def test_sparse_that_did_not_look_is_an_error(self):
        with mock.patch.object(compiling, "configured"), \
                mock.patch.object(compiling, "make", return_value="  CHECK   mm/b.c\n"), \
                mock.patch.object(Path, "exists", return_value=True):
            self.assertEqual(compiling.sparse_findings(Path("/s"), Path("/o"), ["mm/b.o"], "x86"),
                             [])
            with self.assertRaises(common.LabError):
                compiling.sparse_findings(Path("/s"), Path("/o"), ["mm/a.o", "mm/b.o"], "x86")

    def test_planted_warning_must_show(self):
        for log, good in (("nothing", False),
                          ("planted.c:4:40: warning: cast removes address space '__user'", True)):
            with mock.patch.object(compiling, "configured"), \
                    mock.patch.object(compiling.packages, "need"), \
                    mock.patch.object(compiling, "make", return_value=log):
                self.assertEqual(not compiling.sparse_works(SimpleNamespace(path=Path("/s"))),
                                 good)

    def test_option_that_does_not_stick(self):
        def refuses(config, *_):
            if config.name == "uml":
                raise common.LabError("Kconfig did not accept\n  CONFIG_X: wanted y, got n")
            return []
        with mock.patch.object(compiling, "configured", refuses):
            found = compiling.configurations(SimpleNamespace(path=Path("/s")))
        self.assertTrue(found and all(line.startswith("uml: ") for line in found))
        self.assertIn("CONFIG_X", found[-1])

    def test_part_of_the_product(self):
        """A tree without an option gets a configuration without it."""
        with tempfile.TemporaryDirectory() as folder, \
                mock.patch.object(compiling, "FOLDER", Path(folder) / "f"):
            for name in ("mm/Kconfig.debug", "lib/Kconfig.debug", "mm/Kconfig"):
                path = Path(folder) / name
                path.parent.mkdir(exist_ok=True)
                path.write_text("config PAGE_CONSISTENCY\n\tbool\n" if "debug" in name else "")
            part = compiling.Part(kconfig.find("x86"), folder)
            text = part.files(False)[-1].read_text()
        self.assertEqual(text, "CONFIG_PAGE_CONSISTENCY=y\n")

    def test_commit_that_does_not_build(self):
        git = mock.Mock(**{"fields.side_effect": lambda form, commit: [[commit[0], "tree"]]})
        tree = SimpleNamespace(git=git, product=None)

        def threads(*commits):
            made = [SimpleNamespace(commits=list(commits))]
            return mock.patch.object(compiling.series, "Maker",
                                     lambda *_: SimpleNamespace(make=lambda: made))

        def broken(_tree, commit):
            if commit[0] == "2":
                raise common.LabError("the build failed\n  | error: no such function")
            return []
        with mock.patch.object(compiling, "build_commit", broken), \
                mock.patch.object(compiling, "compiler", return_value="gcc 12"), \
                mock.patch.object(compiling, "remembered", lambda key, function: function()):
            with threads("1" * 40, "2" * 40):
                found = compiling.every_commit(tree)
            self.assertTrue(found and all(line.startswith("'2': ") for line in found))
            with threads():
                self.assertTrue(compiling.every_commit(tree))

    def test_only_success_and_findings_are_remembered(self):
        with tempfile.TemporaryDirectory() as folder, \
                mock.patch.object(checks, "FOLDER", Path(folder)):
            with self.assertRaises(common.LabError):
                checks.remembered("k", mock.Mock(side_effect=common.LabError("x")))
            first = mock.Mock(return_value=["f"])
            self.assertEqual(checks.remembered("k", first), ["f"])
            self.assertEqual(checks.remembered("k", mock.Mock(side_effect=OSError)), ["f"])
            self.assertEqual(checks.remembered("other", lambda: []), [])


class Runner(unittest.TestCase):
    def perform(self, *functions):
        out, log = io.StringIO(), io.StringIO()
        fake.own_logs(self)
        with contextlib.redirect_stdout(out):
            status = check.perform([(f"c{n}", f) for n, f in enumerate(functions)], None, log)
        return status, out.getvalue(), log.getvalue()

    def test_outcomes(self):
        def skips(_):
            raise checks.Skip("no compiler")

        def errs(_):
            raise common.LabError("it failed")

        def breaks(_):
            raise KeyError("bug")
        status, out, log = self.perform(lambda _: [], lambda _: ["a.c:1: bad"], skips, errs,
                                        breaks)
        self.assertEqual((status, out.splitlines()[-1]), (1, "1 passed, 3 failed, 1 skipped"))
        self.assertEqual([line.split(" - ")[0] for line in out.splitlines() if "ok " in line],
                         ["ok 1", "not ok 2", "ok 3", "not ok 4", "not ok 5"])
        self.assertIn("#   a.c:1: bad", out)
        self.assertIn("SKIP no compiler", out)
        self.assertIn("KeyError", log)

    def test_good_or_nothing(self):
        self.assertEqual(self.perform(lambda _: [])[0], 0)
        self.assertEqual(self.perform()[0], 1)

    def test_many_findings(self):
        _, out, log = self.perform(lambda _: [f"a.c:{n}: bad" for n in range(99)])
        self.assertIn(f"#   and {99 - check.SHOWN} more: ", out)
        self.assertIn("a.c:98: bad", log)

    def test_all_checks_have_names_of_their_own(self):
        names = [name for name, _ in check.load()]
        self.assertEqual(len(names), len(set(names)))
        self.assertGreater(len(names), 15)


if __name__ == "__main__":
    unittest.main()
