# SPDX-License-Identifier: GPL-2.0
"""A kernel of seven files and a repository beside it, for tests that take milliseconds."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from lab import common, packages, source, tree
from lab.git import Git

ALLOC = "".join(f"int line_{n};\n" for n in range(40))
MAINTAINERS = """List of maintainers

Maintainers List
----------------

.. note:: alphabetical order

ALPHA
M:\tA <a@example.org>
F:\ta/

OMEGA
M:\tO <o@example.org>
F:\to/

THE REST
M:\tR <r@example.org>
F:\t*
"""
ENTRY = "PAGE CHECKER\nM:\tP <p@example.org>\nF:\tmm/new.c\n"
FIRST = """Subject: mm: add the checker

Why it is needed.

 - a list
New-files:
 mm/new.c
 tools/testing/run.sh
Maintainers-entry: PAGE CHECKER
---
diff --git a/mm/Makefile b/mm/Makefile
--- a/mm/Makefile
+++ b/mm/Makefile
@@ -1 +1,2 @@
 obj-y := page_alloc.o
+obj-y += new.o
"""
SECOND = """Subject: mm: call the checker
---
diff --git a/mm/page_alloc.c b/mm/page_alloc.c
--- a/mm/page_alloc.c
+++ b/mm/page_alloc.c
@@ -18,7 +18,7 @@
 int line_17;
 int line_18;
 int line_19;
-int line_20;
+int line_20 = 1;
 int line_21;
 int line_22;
 int line_23;
"""
# What the kernel's own script says of any mail, for tests that send some.
GET_MAINTAINER = {"scripts/get_maintainer.pl": r"""print "A <a\@example.org> (maintainer:ALPHA)\n";
print "Ö <o\@example.org> (reviewer:OMEGA)\n", "list\@example.org (open list:ALPHA)\n";
"""}
COVER = """Subject: mm: a checker
Change-id: 20261127-checker-0123456789ab
Applies-on: base
Patches: mm: *
Link: https://lore.kernel.org/r/1@example.org

What and why.
"""


LOCK = {"version": "7.2.13", "package": "linux", "package_version": "7.2.13-1",
        "suites": ["sid"], "tarball": "linux_7.2.13.orig.tar.xz", "sha256": "5" * 64, "tree": "",
        "without": ["scripts/nonfree.c"],
        "patched": {"package": "linux-source-7.2", "package_version": "7.2.13-1",
                    "tarball": "linux-source-7.2.tar.xz", "sha256": "6" * 64, "tree": "7" * 40}}


def kernel(where, sublevel=13, alloc=ALLOC, release="7.2", more=()):
    major, minor = release.split(".")
    files = {"Makefile": f"VERSION = {major}\nPATCHLEVEL = {minor}\nSUBLEVEL = {sublevel}\n"
                         "EXTRAVERSION =\nNAME = Fake\n",
             "Kconfig": "mainmenu\n", ".gitignore": "*.o\n/*\n", "MAINTAINERS": MAINTAINERS,
             "mm/Makefile": "obj-y := page_alloc.o\n", "mm/page_alloc.c": alloc,
             "scripts/tool.sh": "#!/bin/sh\n", "lib/blob.o": "in the tarball although ignored\n"}
    for name, text in {**files, **dict(more)}.items():
        write(where / name, text)
    (where / "scripts/tool.sh").chmod(0o755)
    return where


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def tarball(tree_dir, path):
    subprocess.run(["tar", "-cJf", path, "-C", tree_dir.parent, tree_dir.name], check=True)
    return path


def own_logs(test):
    """Logs of this test; those of the lab are the user's."""
    folder = Path(tempfile.mkdtemp(prefix="lab-test-"))
    test.addCleanup(shutil.rmtree, folder)
    patch = mock.patch.object(common, "LOGS", folder)
    patch.start()
    test.addCleanup(patch.stop)
    return folder


class Fake(unittest.TestCase):
    """root, build and cache in a temporary directory; KSRC is a tarball of the fake kernel."""

    MORE: dict[str, str] = {}		# more files of the kernel

    @classmethod
    def setUpClass(cls):
        packages.need("source")

    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="lab-test-")).resolve()
        self.addCleanup(shutil.rmtree, self.dir)
        self.root, self.build = self.dir / "repo", self.dir / "repo/build"
        self.tree = self.build / "linux"
        self.root.mkdir()
        places = {"ROOT": self.root, "BUILD": self.build, "CACHE": self.build / "cache",
                  "LOGS": self.build / "logs", "TREE": self.tree, "MAIN": "7.2", "BASE": "7.2"}
        self.tarball = tarball(kernel(self.dir / "linux-source-7.2", more=self.MORE),
                               self.dir / "k.tar.xz")
        self.ksrc(self.tarball)
        self.lock()
        for patch in (mock.patch.multiple(common, **places),
                      mock.patch.object(packages, "need"),
                      mock.patch.object(source, "need_space")):
            patch.start()
            self.addCleanup(patch.stop)

    def lock(self, base="7.2", **changes):
        """bases/<base>/lock, with changes to that of the fake kernel."""
        write(self.root / "bases" / base / "lock", json.dumps({**LOCK, **changes}))

    def ksrc(self, path=None, **more):
        """The environment of the next command: KSRC and what else is given."""
        for key in ("KSRC", "FORCE"):
            os.environ.pop(key, None)
        os.environ.update({"KSRC": str(path)} if path else {}, **more)
        self.addCleanup(os.environ.pop, "KSRC", None)
        self.addCleanup(os.environ.pop, "FORCE", None)

    def repo(self, patches=None):
        """A repository with these patches (default: the two of the fake series) and overlay."""
        patches = {"0001-checker.patch": FIRST, "0002-call.patch": SECOND} \
            if patches is None else patches
        for name, text in patches.items():
            write(self.root / "patches" / name, text)
        write(self.root / "patches/series", "# order\n" + "".join(f"{n}\n" for n in patches))
        write(self.root / "mm/new.c", "int fresh;\n")
        write(self.root / "tools/testing/run.sh", "#!/bin/sh\n")
        (self.root / "tools/testing/run.sh").chmod(0o755)
        write(self.root / "MAINTAINERS", "# SPDX-License-Identifier: GPL-2.0\n\n" + ENTRY)

    def cover(self, name="01-all", text=COVER, **headers):
        """A thread's cover; headers take the place of those in text: Applies_on="01-all"."""
        for key, value in headers.items():
            key = key.replace("_", "-")
            kept = [line for line in text.splitlines(True) if not line.startswith(f"{key}: ")]
            new = [f"{key}: {one}\n" for one in ([value] if isinstance(value, str) else value)]
            text = "".join(new + kept)
        write(self.root / f"patches/threads/{name}.cover", text)

    def call(self, function, *args):
        """(result, what was printed)."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            result = function(*args)
        return result, out.getvalue()

    def ensure(self):
        """make tree; later calls do not need KSRC."""
        _, out = self.call(tree.ensure)
        self.ksrc()
        return out

    def fails(self, function, *parts):
        """The message of the LabError, which has to hold all parts."""
        with self.assertRaises(common.LabError) as caught:
            self.call(function)
        for part in parts:
            self.assertIn(part, str(caught.exception))
        return str(caught.exception)

    @property
    def git(self):
        return Git(self.tree)

    def snapshot(self):
        """{path: (content, executable)} of the repository without build/."""
        return {str(p.relative_to(self.root)): (p.read_bytes(), os.access(p, os.X_OK))
                for p in self.root.rglob("*") if p.is_file() and self.build not in p.parents}

    def nothing_half_done(self):
        self.assertFalse(self.tree.exists())
        self.assertEqual([p for p in self.build.rglob(".part-*")] if self.build.exists() else [],
                         [])
