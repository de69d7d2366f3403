# SPDX-License-Identifier: GPL-2.0
"""make fresh must not call good what failed, nor remove what is not its own."""

import contextlib
import io
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from lab import chroot, common, fresh, ktap, packages
from lab.git import Git
from lab.tests.fake import write

README = """# Title

## Try it

Text, make nothing.

    make run     # a kernel
    make test    # the tests

    What it ends with: make run

## Use it

    make series          # mails
"""


class Folder(unittest.TestCase):
    """All places are in a temporary directory."""

    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="lab-test-")).resolve()
        self.addCleanup(shutil.rmtree, self.dir)
        self.root = self.dir / "build/fresh/debian"
        for patch in (mock.patch.multiple(common, BUILD=self.dir / "build",
                                          CACHE=self.dir / "cache", LOGS=self.dir / "logs"),
                      mock.patch.multiple(chroot, say=mock.DEFAULT),
                      mock.patch.multiple(fresh, say=mock.DEFAULT)):
            patch.start()
            self.addCleanup(patch.stop)
        (self.dir / "logs").mkdir()


class Commands(unittest.TestCase):
    def test_those_of_the_first_section(self):
        self.assertEqual(fresh.commands(README, False), ["make run", "make test"])

    def test_all(self):
        self.assertEqual(fresh.commands(README, True), ["make run", "make test", "make check"])

    def test_only_is_for_make_test(self):
        self.assertEqual(fresh.commands(README, False, "unit:the lab*"),
                         ["make run", "make test ONLY='unit:the lab*'"])

    def test_section_without_commands_is_an_error(self):
        for text in ("", README.replace("Try", "See"), README.replace("make test", "make it")):
            with self.assertRaisesRegex(common.LabError, "lab/fresh.py"):
                fresh.commands(text, False)

    def test_of_our_readme(self):
        text = (common.ROOT / "README.md").read_text()
        self.assertEqual(fresh.commands(text, False), ["make run", "make test"])


class Perform(Folder):
    """Each command's row, by what a machine that is made up says and returns."""

    def perform(self, **answers):
        """(status, rows) when each command says and ends with what is given for it."""
        def enter(command, log, _what):
            said, status = answers[command.split()[-1]]
            log.write_text(said)
            return status
        rows = []
        with ktap.Report("fresh", len(answers), lambda *lines: rows.extend(lines)) as report:
            status = fresh.perform(mock.Mock(enter=enter), [f"make {name}" for name in answers],
                                   report)
        return status, rows

    def test_good(self):
        status, rows = self.perform(run=("a panic, explained\n", 0),
                                    test=("# x\n5 passed, 0 failed, 1 skipped\n", 0))
        self.assertEqual((status, rows[-1]), (0, "2 passed, 0 failed"))
        self.assertEqual(rows[2:5], ["ok 1 - make run # 0.0 s",
                                     "#   5 passed, 0 failed, 1 skipped",
                                     "ok 2 - make test # 0.0 s"])

    def test_failure_is_explained_and_the_next_one_runs(self):
        status, rows = self.perform(run=("first\nlast words\n", 2),
                                    test=("5 passed, 0 failed\n", 0))
        self.assertEqual((status, rows[-1]), (1, "1 passed, 1 failed"))
        self.assertIn("not ok 1 - make run # 0.0 s", rows)
        self.assertIn("#   | last words", rows)
        self.assertIn("fresh-run.log", "\n".join(rows))

    def test_good_end_without_a_test_is_a_failure(self):
        for said in ("", "0 passed, 0 failed\n"):
            status, rows = self.perform(test=(said, 0))
            self.assertEqual((status, rows[-1]), (1, "0 passed, 1 failed"))


class Shared(Folder):
    def test_source_is_never_shared(self):
        there = fresh.shared().values()
        self.assertIn("/cache/ccache", there)
        self.assertNotIn("/cache", there)
        self.assertFalse([place for place in there if "source" in place])

    def test_default_and_all(self):
        with mock.patch.dict(os.environ, {"JOBS": "3", "LAB_CACHE": "/here", "ONLY": "x"}):
            self.assertEqual(fresh.environment(False), {"JOBS": "3", "LAB_CACHE": "/cache"})
            self.assertEqual(fresh.environment(True), {"JOBS": "3"})

    def test_all_shares_nothing(self):
        for everything in (False, True):
            with mock.patch.object(chroot, "made", side_effect=InterruptedError) as made, \
                    self.assertRaises(InterruptedError), fresh.bare(everything):
                pass
            self.assertEqual(bool(made.call_args[0][2]), not everything)

    def test_environment_of_this_machine_stays_outside(self):
        with mock.patch.dict(os.environ, {"LAB_BUILD": "/here", "https_proxy": "p"}):
            env = chroot._environment()		# pylint: disable=protected-access
        self.assertNotIn("LAB_BUILD", env)
        self.assertEqual(env["https_proxy"], "p")

    def test_python_that_is_already_there_is_an_error(self):
        write(self.root / "usr/bin/python3", "")
        machine = chroot.Chroot(self.root)
        with mock.patch.object(chroot, "made", lambda *_: contextlib.nullcontext(machine)), \
                self.assertRaisesRegex(common.LabError, "has python3"), fresh.bare(True):
            pass


class Clone(Folder):
    """By a real git, which finds the file that it clones where the machine has it."""

    @classmethod
    def setUpClass(cls):
        packages.need("source")

    def setUp(self):
        super().setUp()
        self.repo = self.dir / "repo"
        write(self.repo / "a.txt", "old\n")
        git = Git(self.repo)
        for words in (("init", "-q"), ("add", "a.txt"), ("commit", "-q", "-m", "first")):
            git(*words)
        write(self.repo / "a.txt", "edited\n")
        self.root.mkdir(parents=True)

    def clone(self, status=0):
        """What is said."""
        def enter(command, _log, _what):
            words = command.replace(" /", f" {self.root}/").split()
            subprocess.run(words, check=True, capture_output=True)
            return status
        rows = []
        with mock.patch.object(common, "ROOT", self.repo), \
                mock.patch.object(fresh, "say", rows.append):
            fresh.clone(mock.Mock(root=self.root, enter=enter))
        return rows

    def test_head_and_not_what_is_beside_it(self):
        rows = self.clone()
        self.assertEqual((self.root / "clone/a.txt").read_text(), "old\n")
        self.assertRegex(rows[0], r"^# a clone of [0-9a-f]{7,} \(first\)$")
        self.assertIn("not committed", rows[1])

    def test_failure(self):
        write(self.dir / "logs/fresh-clone.log", "fatal: no space\n")
        with self.assertRaisesRegex(common.LabError, "fatal: no space"):
            self.clone(status=128)


class Made(Folder):
    """The folder is gone afterwards, and only the folder."""

    def make(self, error=None):
        def make(root, _log):
            write(root / "etc/hosts", "")
        with mock.patch.object(chroot, "_make", make), \
                chroot.made(self.root, self.dir / "log", {self.dir: "/cache/x"}) as machine:
            self.assertTrue((machine.root / "cache/x").is_dir())
            if error:
                raise error

    def test_gone_after_success_failure_and_interrupt(self):
        self.make()
        self.assertFalse(self.root.exists())
        for error in (common.LabError("no"), KeyboardInterrupt(), SystemExit(143)):
            with self.assertRaises(type(error)):
                self.make(error)
            self.assertFalse(self.root.exists(), repr(error))

    def test_gone_if_it_could_not_be_made(self):
        with mock.patch.object(chroot, "_make", side_effect=common.LabError("no network")), \
                self.assertRaisesRegex(common.LabError, "no network"), \
                chroot.made(self.root, self.dir / "log"):
            pass
        self.assertFalse(self.root.exists())

    def test_left_over_of_a_killed_one_is_removed_first(self):
        write(self.root / "old", "")
        self.make()
        self.assertFalse(self.root.exists())

    def test_nothing_is_removed_through_a_mount(self):
        write(self.root / "dev/precious", "")
        table = f"1 2 3:4 / / rw - ext4 x rw\n5 2 3:4 / {self.root}/dev rw - ext4 x rw\n"
        real = Path.read_text
        with mock.patch.object(Path, "read_text", lambda path, *a, **k: table if
                               str(path) == "/proc/self/mountinfo" else real(path, *a, **k)), \
                self.assertRaisesRegex(common.LabError, "umount"):
            chroot.remove(self.root)
        self.assertTrue((self.root / "dev/precious").exists())

    def test_mounts_below(self):
        table = "1 2 3:4 / /a rw - x\n1 2 3:4 / /a/r rw - x\n1 2 3:4 / /a/r/d\\040e rw - x\n" \
                "1 2 3:4 / /a/r2 rw - x\n"
        self.assertEqual(chroot.mounts_below(Path("/a/r"), table), ["/a/r", "/a/r/d e"])

    def test_user_is_told_what_to_do(self):
        with mock.patch.object(os, "geteuid", return_value=1000), \
                self.assertRaisesRegex(common.LabError, "sudo make fresh"):
            chroot.possible()

    def test_machine_without_namespaces(self):
        refused = mock.Mock(returncode=1, stderr="unshare failed: Operation not permitted\n")
        with mock.patch.object(os, "geteuid", return_value=0), \
                mock.patch.object(chroot.packages, "need"), \
                mock.patch.object(chroot.subprocess, "run", return_value=refused), \
                self.assertRaisesRegex(common.LabError, "not permitted[^$]*container"):
            chroot.possible()


class Script(unittest.TestCase):
    def test_names_with_blanks_stay_whole(self):
        text = chroot.script(Path("/a b"), {Path("/c d"): "/e f"}, "echo 'x y'")
        self.assertIn("mount --bind '/c d' '/a b''/e f'\n", text)
        self.assertNotRegex(text, r"(?<!')/a b/")

    def test_first_process_outlives_the_command(self):
        """A shell that ends with exec would leave orphans unburied; and its status counts."""
        last = chroot.script(Path("/r"), {}, "true").splitlines()[-2:]
        self.assertEqual(last, ["chroot /r sh -c true || exit $?", "exit 0"])


class Apt(Folder):
    """The new machine's apt asks where this one's does."""

    def setUp(self):
        super().setUp()
        self.etc, self.stage = self.dir / "etc", self.dir / "stage"

    def test_sources(self):
        for name, text in (("sources.list", "\n"), ("sources.list.d/a.sources", "URIs: x\n"),
                           ("sources.list.d/b.list", "deb x\n"),
                           ("sources.list.d/c.list.disabled", "deb y\n")):
            write(self.etc / name, text)
        self.assertEqual([path.name for path in chroot.sources(self.etc)], ["a.sources", "b.list"])

    def test_no_sources(self):
        with self.assertRaisesRegex(common.LabError, "configure apt"):
            chroot.sources(self.etc)

    def test_keys_come_along(self):
        key = self.dir / "far/away.gpg"
        write(key, "key")
        write(self.etc / "sources.list", f"deb [signed-by={key}] http://m/debian sid main\n")
        write(self.etc / "trusted.gpg.d/one.asc", "one")
        write(self.etc / "auth.conf", "secret")
        chroot.keep_keys(self.etc, self.stage)
        self.assertEqual((self.stage / str(key).lstrip("/")).read_text(), "key")
        self.assertEqual((self.stage / "etc/apt/trusted.gpg.d/one.asc").read_text(), "one")
        self.assertTrue((self.stage / "etc/apt/auth.conf").exists())

    def test_way_to_the_archives(self):
        proxy = 'Acquire::http::Proxy "http://p:1";\n'
        dump = f'APT::Architecture "amd64";\nAcquire::http "";\n{proxy}' \
               'Acquire::Check-Valid-Until "false";\nAcquire::Languages "none";\n' \
               'Acquire::http::Proxy-Auto-Detect "/usr/bin/there-only";\n' \
               'DPkg::Post-Invoke:: "rm -f /x";\n'
        self.assertEqual(chroot.way_to_archives(dump),
                         proxy + 'Acquire::Check-Valid-Until "false";\n')

    def test_failure_shows_what_was_said(self):
        def play(_argv, log, _what, _env):
            log.write_text("E: no route\n")
            return 25
        write(self.etc / "sources.list", "deb http://m/debian sid main\n")
        with mock.patch.object(chroot, "_play", play), \
                mock.patch.object(chroot, "run", return_value=""), \
                self.assertRaisesRegex(common.LabError, "E: no route[^$]*apt-get update"):
            chroot._make(self.root, self.dir / "log", self.etc)	# pylint: disable=W0212


class Main(Folder):
    def test_numbers_come_from_what_was_run(self):
        out = io.StringIO()
        with mock.patch.object(chroot, "possible"), contextlib.redirect_stdout(out), \
                mock.patch.object(fresh.source, "need_space"), \
                mock.patch.object(common, "locked", lambda *_: contextlib.nullcontext()), \
                mock.patch.object(fresh, "bare", lambda _: contextlib.nullcontext("machine")), \
                mock.patch.object(fresh, "perform", return_value=1) as perform:
            self.assertEqual(fresh.main(["ALL=1"]), 1)
        perform.assert_called_once_with("machine", ["make run", "make test", "make check"],
                                        mock.ANY)


if __name__ == "__main__":
    unittest.main()
