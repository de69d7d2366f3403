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
        self.lock(tree="8" * 40)
        out = self.ensure()
        self.assertIn("not the one that was verified", out)
        for witness in ("5" * 64, "8" * 40, source.sha256(self.tarball)):
            self.assertIn(witness, out)

    def tree_of(self):
        """The git tree of the fake kernel."""
        self.ensure()
        tree_hash = self.git("rev-parse", "base^{tree}")
        shutil.rmtree(self.tree)
        self.ksrc(self.tarball)
        return tree_hash

    def test_the_verified_one(self):
        self.lock(sha256=source.sha256(self.tarball), tree=self.tree_of())
        self.assertIn("verified: sha256 and git tree as in bases/7.2/lock", self.ensure())

    def test_a_tree_that_nobody_has_unpacked_yet(self):
        """The sum of the tarball is proof enough, and the hash is said for the lock."""
        self.lock(sha256=source.sha256(self.tarball))
        out = self.ensure()
        self.assertIn("verified: sha256 as in", out)
        self.assertIn(self.git("rev-parse", "base^{tree}"), out)

    def test_a_sum_does_not_outweigh_the_tree(self):
        self.lock(sha256=source.sha256(self.tarball), tree="8" * 40)
        self.assertIn("not the one that was verified", self.ensure())

    def test_the_distributions_tree(self):
        """It is known, and it is not the verified one."""
        self.lock(patched=dict(fake.LOCK["patched"], tree=self.tree_of()))
        self.assertIn("Linux 7.2.13 with Debian's patches", self.ensure())
        self.assertFalse(tree.load_record()["base"]["verified"])

    def test_upstreams_tree_is_that_of_debians_tarball(self):
        """Upstream has files that Debian leaves out of its tarball of it."""
        self.lock(tree=self.tree_of())
        full = fake.kernel(self.dir / "full/linux-7.2.13")
        fake.write(full / "scripts/nonfree.c", "blob\n")
        self.ksrc(fake.tarball(full, self.dir / "full.tar.xz"))
        out = self.ensure()
        self.assertIn("verified: git tree", out)
        self.assertIn("left out, as in the verified tree: scripts/nonfree.c", out)

    def test_nothing_is_left_out_of_another_kernel(self):
        full = fake.kernel(self.dir / "full/linux-7.2.14", sublevel=14)
        fake.write(full / "scripts/nonfree.c", "blob\n")
        self.ksrc(fake.tarball(full, self.dir / "full.tar.xz"))
        self.ensure()
        self.assertTrue((self.tree / "scripts/nonfree.c").exists())

    def test_words_for_a_mail(self):
        base = {"version": "7.2.13", "tree": "8" * 40, "verified": True}
        self.assertEqual(source.base_words(base), f"base: v7.2.13 (tree {'8' * 40}), upstream's "
                         "less what Debian leaves out: scripts/nonfree.c")
        self.assertIn("not upstream's", source.base_words({**base, "verified": False}))
        self.lock(commit="9" * 40)
        self.assertEqual(source.base_words(base), f"base-commit: {'9' * 40}")
        self.assertIn("tree " + "8" * 40, source.base_words({**base, "verified": False}))

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
        self.fails(tree.ensure, "1 of 2 patches do not: 0002", "Linux 6.1.7",
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

    def right_one(self, version="7.2.13"):
        """Put the upstream tarball into the cache, as a fetch does."""
        path = self.dir / f"linux_{version}.orig.tar.xz"
        shutil.copy(self.tarball, path)
        return self.call(source.keep, path, "somewhere")[0]

    def makeshift(self):
        other = shutil.copy(self.kept, self.dir / "linux-source-7.3.tar.xz")
        return self.call(source.keep, Path(other), "a makeshift", True)[0]

    def test_offline_once_cached(self):
        self.right_one()
        with offline():
            self.assertIn("source: somewhere", self.ensure())
            self.assertIn("up to date", self.ensure())

    def test_damaged_cache(self):
        with open(self.right_one().path, "r+b") as out:
            out.seek(100)
            out.write(b"damage")
        with offline():
            self.fails(tree.ensure, "is not what was fetched", "rm -r")
        self.nothing_half_done()

    def test_interrupted_fetch_is_no_cache(self):
        fake.write(self.build / "cache/source/linux_7.2.13.orig.tar.xz", "half")
        self.assertIsNone(source.from_cache())

    def test_makeshift_does_not_stay(self):
        """It is taken while nothing else is to be had; the next time the right one may be."""
        self.makeshift()
        self.assertIsNone(source.from_cache())
        gone = common.LabError("no network")
        with offline(gone), mock.patch("urllib.request.urlopen", side_effect=OSError("no route")):
            self.assertEqual(self.call(source.find)[0].origin, "a makeshift")
        with mock.patch.object(source, "_upstream", return_value="the right one"):
            self.assertEqual(source.find(), "the right one")
        self.right_one()
        with offline():
            self.assertEqual(source.find().origin, "somewhere")

    def test_another_release_shares_the_cache(self):
        """Each has a note of its own, so that clones on different releases do not fight."""
        self.right_one()
        self.lock(version="7.3.4")
        self.assertIsNone(source.from_cache())
        self.right_one("7.3.4")
        self.assertEqual(source.from_cache().path.name, "linux_7.3.4.orig.tar.xz")
        self.lock()
        self.assertEqual(source.from_cache().path.name, "linux_7.2.13.orig.tar.xz")

    def test_distributions_tree_that_anybody_has_fetched(self):
        """An older lab left it in the cache under another note; its sum says what it is."""
        place = self.build / "cache/source/linux-source-7.2.tar.xz"
        place.parent.mkdir(parents=True)
        shutil.copy(self.kept, place)
        with self.assertRaises(common.LabError):
            source._installed()
        self.lock(patched=dict(fake.LOCK["patched"], sha256=source.sha256(place)))
        self.assertEqual(source._installed().path, place)

    def test_makeshift_on_which_patches_fail_is_given_up(self):
        self.repo()
        old = fake.kernel(self.dir / "b/linux-source-6.1", alloc="int nothing;\n", release="6.1")
        found = source.Source("tarball", fake.tarball(old, self.dir / "x.tar.xz"), "a makeshift",
                              key="x")
        with mock.patch.object(source, "find", return_value=found):
            self.fails(tree.ensure, "Ways to supply a 7.2")
        self.right_one()
        with offline():
            self.assertIn("2 commits on the base", self.ensure())

    def test_two_clones_share_the_cache(self):
        """The second one waits, and then finds what the first one has fetched."""
        fetched = []

        def other_clone(name, folder):
            self.assertEqual((name, folder), ("source", common.CACHE))
            source.keep(Path(self.kept), "the other clone")
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
        """Upstream's tarball wherever it may be had, and only then what will do until it can."""
        asked = []

        def refuse(name):
            def way(*_):
                asked.append(name)
                raise common.LabError("no")
            return way
        with mock.patch.multiple(source, _installed=refuse("installed"),
                                 _upstream=lambda root: refuse(f"upstream, {root.name}")(),
                                 _packaged=lambda root: refuse(f"package, {root.name}")(),
                                 _from_kernel_org=refuse("kernel.org"), _kept=refuse("kept"),
                                 _any_kernel=refuse("any")):
            self.fails(source.find)
        self.assertEqual(asked, ["upstream, this machine's apt", "upstream, private apt root",
                                 "kernel.org", "installed", "package, this machine's apt",
                                 "package, private apt root", "kept", "any"])

    def upstream(self, *versions):
        """Where apt knows these versions: (the one that was fetched, Source, what was said)."""
        asked = []

        def fetch(_package, version, where):
            asked.append(version)
            name = f"linux_{version.rpartition('-')[0]}.orig.tar.xz"
            return Path(shutil.copy(self.tarball, where / name))
        root = mock.Mock(upstream=fetch, versions=lambda *_: list(versions))
        root.name = "a test"
        found, out = self.call(source._upstream, root)
        return asked[0], found, out

    def test_upstream_tarball(self):
        version, found, out = self.upstream("7.3.4-1", "7.2.14-1", "7.2.13-2", "7.2.13-1",
                                            "6.12.8-1")
        self.assertEqual(version, "7.2.13-1")
        self.assertIn("is not the file that is locked", out)
        self.assertEqual(source.from_cache().sha256, found.sha256)

    def test_another_debian_version_of_the_same_release_has_the_same_tarball(self):
        self.lock(sha256=source.sha256(self.tarball))
        version, _, out = self.upstream("7.2.14-1", "7.2.13-1~bpo13+1")
        self.assertEqual((version, out), ("7.2.13-1~bpo13+1", ""))

    def test_another_point_release_is_a_makeshift(self):
        self.assertEqual(self.upstream("7.3.4-1", "7.2.14-1")[0], "7.2.14-1")
        self.assertIsNone(source.from_cache())
        self.assertEqual(source._kept().path.name, "linux_7.2.14.orig.tar.xz")

    def test_no_source_of_this_release(self):
        with self.assertRaises(common.LabError) as caught:
            self.upstream("7.3.4-1")
        self.assertIn("knows no source package linux of 7.2", str(caught.exception))

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
             mock.patch.object(apt.System, "download", download):
            found, _ = self.call(source._packaged, apt.System())
        self.assertEqual(found.sha256, source.sha256(self.tarball))
        self.assertIsNone(source.from_cache())
        self.assertEqual(source._kept().sha256, found.sha256)


class Mirror(fake.unittest.TestCase):
    def test_versions(self):
        """A source package's name may be that of a package, and each has versions of its own."""
        rows = ("  linux | 7.3.4-1~bpo13+1 | http://m/debian trixie-backports/main Sources\n"
                "  linux |   7.2.13-1 | http://m/debian sid/main amd64 Packages\n"
                "  linux-base | 4.9 | http://m/debian sid/main Sources\n")
        with mock.patch.object(apt.System, "ask", return_value=rows):
            self.assertEqual(apt.System().versions("linux", "Sources"), ["7.3.4-1~bpo13+1"])
            self.assertEqual(apt.System().versions("linux"), ["7.2.13-1"])
            with self.assertRaises(common.LabError):
                apt.System().versions("inux", "Sources")

    def test_mirror_that_lists_what_it_does_not_have(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(apt.System, "ready"), \
                mock.patch.object(apt, "run", return_value=mock.Mock(
                    returncode=100, stderr="W: x\nE: Failed to fetch it  404  Not Found\n")), \
                self.assertRaises(common.LabError) as caught:
            apt.System().upstream("linux", "7.2.13-1", folder)
        self.assertIn("lists linux 7.2.13-1, but", str(caught.exception))
        self.assertIn("404", str(caught.exception))

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
