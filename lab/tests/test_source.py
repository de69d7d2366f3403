# SPDX-License-Identifier: GPL-2.0
"""Finding, unpacking and judging the kernel source, and what is said when that fails."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import urllib.error
from pathlib import Path
from unittest import mock

from lab import apt, common, packages, source, tree
from lab.tests import fake


@contextlib.contextmanager
def offline(reason=AssertionError("the network was used")):
    """apt and kernel.org as seen without a network."""
    with mock.patch.object(apt.System, "ready", side_effect=reason), \
         mock.patch.object(apt.Private, "ready", side_effect=reason), \
         mock.patch("urllib.request.urlopen", side_effect=reason):
        yield


class Ksrc(fake.Fake):
    def broken(self, *parts):
        self.fails(tree.ensure, *parts)
        self.nothing_half_done()

    def test_no_such_path(self):
        self.ksrc(self.dir / "nowhere")
        self.broken("no such file or directory", "KSRC")

    def test_directory_without_kernel(self):
        self.ksrc(self.root)
        self.broken("holds no kernel source")

    def test_built_tree(self):
        built = fake.kernel(self.dir / "built")
        fake.write(built / ".config", "")
        self.ksrc(built)
        self.broken("mrproper")

    def test_truncated_tarball(self):
        data = self.tarball.read_bytes()
        self.tarball.write_bytes(data[:len(data) // 2])
        self.broken("cannot be unpacked", "nothing of it was kept")

    def test_no_tarball_at_all(self):
        self.tarball.write_text("hello\n")
        self.broken("cannot be unpacked")

    def test_tarball_of_something_else(self):
        other = self.dir / "other"
        fake.write(other / "Makefile", "all:\n")
        self.ksrc(fake.tarball(other, self.dir / "other.tar.xz"))
        self.broken("this is no kernel source")

    def test_no_space(self):
        with mock.patch.object(shutil, "disk_usage", return_value=mock.Mock(free=2**30)):
            with mock.patch.object(source, "need_space", self.real_need_space):
                self.broken("not enough disk space", "LAB_BUILD")

    def setUp(self):
        self.real_need_space = source.need_space
        super().setUp()

    def test_tree(self):
        self.ksrc(fake.kernel(self.dir / "plain"))
        self.ensure()
        self.assertEqual(self.git("log", "--format=%s"), "Linux 7.2.13")

    def test_git_checkout_is_taken_at_its_head(self):
        checkout = fake.kernel(self.dir / "checkout")
        git = fake.Git(checkout)
        git("init", "-q")
        git("add", "-A", "-f")
        git("commit", "-q", "-m", "v7.2.13")
        fake.write(checkout / "mm/page_alloc.c", "uncommitted\n")
        self.ksrc(checkout)
        with mock.patch.dict(os.environ, {"GIT_CONFIG_GLOBAL": "/dev/null"}):
            self.assertIn("uncommitted changes", self.ensure())
        self.assertEqual((self.tree / "mm/page_alloc.c").read_text(), fake.ALLOC)

    def test_another_base_replaces_the_tree(self):
        self.repo()
        self.ensure()
        other = fake.kernel(self.dir / "b/linux-7.2.14", sublevel=14)
        tarball = fake.tarball(other, self.dir / "14.tar.xz")
        fake.write(self.tree / "mm/new.c", "edited\n")
        self.ksrc(tarball)
        self.fails(tree.ensure, "another base", "make refresh")
        self.git("checkout", "-q", "mm/new.c")
        out = self.ensure()
        self.assertIn("this is Linux 7.2.14; 7.2.13 is the one that was verified", out)
        self.assertNotIn("UNVERIFIED", out)
        self.assertEqual(self.git("log", "-1", "--format=%s", "base"), "Linux 7.2.14")


class Judged(fake.Fake):
    def test_other_sum_of_the_same_version(self):
        out = self.ensure()
        self.assertIn("not the one that was verified", out)
        self.assertIn(source.lock()["tarball_sha256"], out)
        self.assertIn(source.sha256(self.tarball), out)

    def test_the_verified_one(self):
        self.ensure()
        locked = dict(source.lock(), tarball_sha256=source.sha256(self.tarball),
                      tree=self.git("rev-parse", "base^{tree}"))
        shutil.rmtree(self.tree)
        self.ksrc(self.tarball)
        with mock.patch.object(source, "lock", return_value=locked):
            self.assertIn("verified: sha256 and git tree", self.ensure())

    def old_kernel(self, alloc):
        old = fake.kernel(self.dir / "old/linux-6.1", sublevel=7, alloc=alloc, release="6.1")
        self.ksrc(fake.tarball(old, self.dir / "old.tar.xz"))

    def test_other_release_is_loud(self):
        self.repo()
        self.old_kernel(fake.ALLOC)
        self.assertIn("UNVERIFIED BASE: this is Linux 6.1.7", self.ensure())
        self.assertEqual(self.git("rev-list", "--count", "base..HEAD"), "2")
        self.assertIn("UNVERIFIED BASE", self.ensure())		# each time

    def test_other_release_where_a_patch_fails(self):
        self.repo()
        self.old_kernel("int nothing;\n")
        self.fails(tree.ensure, "0002-call.patch does not apply", "Linux 6.1.7",
                   "Ways to supply a 7.2", "KSRC=")


class Cache(fake.Fake):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        packages.need(extra={"dpkg": ["dpkg-deb"]})

    def setUp(self):
        super().setUp()
        self.ksrc()
        self.kept = shutil.copy(self.tarball, self.dir / "linux-source-7.2.tar.xz")

    def test_offline_once_cached(self):
        self.call(source.keep, self.dir / "linux-source-7.2.tar.xz", "somewhere")
        with offline():
            self.assertIn("source: somewhere", self.ensure())
            self.assertIn("up to date", self.ensure())

    def test_damaged_cache(self):
        self.call(source.keep, self.dir / "linux-source-7.2.tar.xz", "somewhere")
        with open(self.build / "cache/source/linux-source-7.2.tar.xz", "r+b") as out:
            out.seek(100)
            out.write(b"damage")
        with offline():
            self.fails(tree.ensure, "is not what was fetched", "rm -r")
        self.nothing_half_done()

    def test_interrupted_fetch_is_no_cache(self):
        fake.write(self.build / "cache/source/linux-source-7.2.tar.xz", "half")
        self.assertIsNone(source.from_cache())

    def test_another_release_does_not_stay(self):
        """It is a makeshift for this time; the next time the right one may be had."""
        other = shutil.copy(self.tarball, self.dir / "linux-source-7.3.tar.xz")
        self.call(source.keep, Path(other), "a makeshift")
        self.assertIsNone(source.from_cache())
        with mock.patch.object(source, "_installed", return_value="the right one"):
            self.assertEqual(source.find(), "the right one")

    def test_cache_of_an_earlier_lab_with_another_release(self):
        other = shutil.copy(self.tarball, self.dir / "linux-source-7.2.tar.xz")
        self.call(source.keep, Path(other), "somewhere")
        note = self.build / "cache/source/source.json"
        note.write_text(note.read_text().replace("linux-source-7.2", "linux-source-7.3"))
        os.rename(self.build / "cache/source/linux-source-7.2.tar.xz",
                  self.build / "cache/source/linux-source-7.3.tar.xz")
        self.assertIsNone(source.from_cache())

    def test_makeshift_is_not_fetched_twice(self):
        other = shutil.copy(self.tarball, self.dir / "linux-source-7.3.tar.xz")
        self.call(source.keep, Path(other), "a makeshift")
        root = mock.Mock(names=lambda _: "linux-source-7.3\n")
        with mock.patch.object(source, "_from_apt", side_effect=AssertionError("fetched")):
            self.assertEqual(source._any_kernel(root).origin, "a makeshift")

    def test_makeshift_on_which_patches_fail_is_given_up(self):
        self.repo()
        old = fake.kernel(self.dir / "b/linux-source-6.1", alloc="int nothing;\n", release="6.1")
        found = source.Source("tarball", fake.tarball(old, self.dir / "x.tar.xz"), "a makeshift",
                              key="x")
        with mock.patch.object(source, "find", return_value=found):
            self.fails(tree.ensure, "Ways to supply a 7.2")
        self.call(source.keep, self.dir / "linux-source-7.2.tar.xz", "somewhere")
        with offline():
            self.assertIn("2 commits on the base", self.ensure())

    def test_two_clones_share_the_cache(self):
        """The second one waits, and then finds what the first one has fetched."""
        fetched = []

        def other_clone(name, folder):
            self.assertEqual((name, folder), ("source", common.CACHE))
            source.keep(self.dir / "linux-source-7.2.tar.xz", "the other clone")
            fetched.append(name)
            return contextlib.nullcontext()
        with offline(), mock.patch.object(common, "locked", other_clone):
            self.assertEqual(source.find().origin, "the other clone")
        self.assertEqual(fetched, ["source"])

    def test_no_network(self):
        gone = common.LabError("no network")
        with offline(gone), mock.patch.object(source, "_installed", side_effect=gone), \
             mock.patch("urllib.request.urlopen", side_effect=urllib.error.URLError("no route")):
            self.fails(tree.ensure, "no kernel source could be had", "this machine's apt",
                       "private apt root", "kernel.org", "no route", "KSRC=")
        self.nothing_half_done()

    def test_order(self):
        asked = []

        def refuse(name):
            def way(*_):
                asked.append(name)
                raise common.LabError("no")
            return way
        with mock.patch.multiple(source, _installed=refuse("installed"),
                                 _from_apt=lambda root: refuse(root.name)(),
                                 _from_kernel_org=refuse("kernel.org"),
                                 _any_kernel=refuse("any")):
            self.fails(source.find)
        self.assertEqual(asked, ["installed", "this machine's apt", "private apt root",
                                 "kernel.org", "any"])

    def test_deb(self):
        """A .deb that apt downloads becomes a cached tarball."""
        top = self.dir / "deb"
        fake.write(top / "DEBIAN/control", "Package: linux-source-7.2\nVersion: 7.2.13-1\n"
                   "Architecture: all\nMaintainer: x <x@example.org>\nDescription: x\n")
        (top / "usr/src").mkdir(parents=True)
        shutil.copy(self.tarball, top / "usr/src/linux-source-7.2.tar.xz")

        def download(_self, _package, _version, where):
            deb = where / "linux-source.deb"
            subprocess.run(["dpkg-deb", "-b", top, deb], check=True,
                           stdout=subprocess.DEVNULL)
            return deb
        with mock.patch.object(apt.System, "candidate", return_value="7.2.13-1"), \
             mock.patch.object(apt.System, "download", download), \
             mock.patch.object(source, "_installed", side_effect=common.LabError("no")):
            found, out = self.call(source.find)
        self.assertIn("is not the file that was verified", out)
        self.assertEqual(found.sha256, source.sha256(self.tarball))
        with offline():
            self.assertEqual(self.call(source.find)[0].sha256, found.sha256)


class Mirror(fake.unittest.TestCase):
    def site(self, *lines):
        with mock.patch.object(apt, "run", return_value="\n".join(lines)):
            return apt.mirror()[0]

    def test_debian_only(self):
        self.assertEqual(self.site(
            "Packages|http://m/third|Third|Third|/x:1",
            "Packages|http://m/debian-security|Debian|Debian-Security|/x:1",
            "Translations|http://m/wrong|Debian|Debian|/x:1",
            "Packages|http://m/debian|Debian|Debian|/x:1"), "http://m/debian")

    def test_before_the_first_update(self):
        self.assertEqual(self.site("Packages|http://security.m/debian|||/x:1",
                                   "Packages|http://m/debian/|||/x:1"), "http://m/debian/")

    def test_none(self):
        with self.assertRaises(common.LabError):
            self.site("Packages|http://m/ubuntu|Ubuntu|Ubuntu|/x:1")

    def test_another_architecture_comes_from_the_suites_of_this_machine(self):
        rows = {"LABEL": ["Packages|http://m/debian|Debian|Debian|/x:1"],
                "RELEASE": ["Packages|http://m/debian|stable", "Packages|http://m/third|other",
                            "Packages|http://m/debian|stable-updates",
                            "Packages|http://m/debian|stable"]}

        def answer(argv, **_):
            return "\n".join(next(lines for word, lines in rows.items() if word in argv[-1]))
        with mock.patch.object(apt, "run", answer):
            root = apt.Foreign("/nowhere", "s390x")
            self.assertEqual(root.suites(), ["stable", "stable-updates"])
            self.assertEqual(root.native(), "s390x")
            self.assertIn("APT::Architecture=s390x", root.options())

    def test_suite_that_the_mirror_or_the_clock_refuses_is_named(self):
        """The source then comes from another suite and is not the verified one: say why."""
        said, stale = [], "E: Release file for http://m/debian/dists/sid/InRelease is expired"
        with tempfile.TemporaryDirectory() as folder, \
                mock.patch.object(apt, "mirror", return_value=("http://m/debian", "")), \
                mock.patch.object(apt.System, "ready"), mock.patch.object(apt, "say", said.append):
            def update(argv, **_):
                if argv[-1] != "update":
                    return "amd64\n"
                fake.write(Path(folder) / "lists/m_dists_forky_main_Packages", "")
                return mock.Mock(stdout="", stderr=f"W: a warning\n{stale}\n")
            with mock.patch.object(apt, "run", update):
                apt.Private(folder).ready()
        self.assertEqual(said, [f"notice: {stale.removeprefix('E: ')}"])


class Packages(fake.unittest.TestCase):
    """On a machine that has ls, perhaps apt-get, and nothing else."""

    EXTRA = {"no-such-package": ["no-such-program"], "coreutils": ["ls"]}

    def message(self, root, *programs):
        """What is said about EXTRA where there are ls and these programs."""
        with mock.patch.object(os, "geteuid", return_value=0 if root else 1000), \
             mock.patch.object(packages.shutil, "which",
                               lambda name, **_: name in ("ls", *programs)), \
             mock.patch.object(packages, "locked", lambda _: contextlib.nullcontext()), \
             self.assertRaises(common.LabError) as caught:
            packages.need(extra=self.EXTRA)
        return str(caught.exception)

    def test_user_gets_the_command(self):
        self.assertIn("sudo apt-get install -y --no-install-recommends no-such-package",
                      self.message(False, "apt-get"))

    def test_not_debian(self):
        text = self.message(True)
        self.assertIn("no-such-program", text)
        self.assertIn("not a Debian", text)

    def test_nothing_missing(self):
        with mock.patch.object(packages.shutil, "which", lambda name, **_: name == "ls"):
            packages.need(extra={"coreutils": ["ls", "/nowhere/*"]})

    def test_root_installs(self):
        calls = []

        def run(argv, **_):
            calls.append(argv)
            return 0 if "install" in argv or "update" in argv else \
                mock.Mock(stdout="Candidate: (none)")
        with mock.patch.object(packages, "run", run), mock.patch.object(packages, "say"):
            self.assertIn("still not found", self.message(True, "apt-get"))
        self.assertEqual([c[1] for c in calls], ["policy", "update", "install"])
