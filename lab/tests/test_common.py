# SPDX-License-Identifier: GPL-2.0
"""What goes wrong around the lab is said in words that help: places, locks, disks, ^C."""

import contextlib
import errno
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

from lab import common, source
from lab.common import LabError


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="lab-test-")
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name).resolve()
        self.places(self.dir / "clone", self.dir / "cache", LAB_CACHE=str(self.dir / "cache"))

    def places(self, root, cache, **environment):
        for name in ("LAB_CACHE", "LAB_BUILD"):
            if name not in environment:
                os.environ.pop(name, None)
        for patch in (mock.patch.multiple(common, ROOT=root, BUILD=root / "build", CACHE=cache),
                      mock.patch.dict(os.environ, environment)):
            patch.start()
            self.addCleanup(patch.stop)

    def run(self, *args, **kwargs):
        with mock.patch.dict(os.environ):		# puts back what places() takes out
            return super().run(*args, **kwargs)

    def said(self, function):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            function()
        return out.getvalue()

    def refused(self, function=common.usable):
        with self.assertRaises(LabError) as caught:
            function()
        return str(caught.exception)


class Places(Folder):
    def test_good(self):
        common.usable()
        self.assertEqual([p.name for p in (self.dir / "cache").iterdir()], ["ccache"])

    def test_path_in_which_no_kernel_can_be_built(self):
        for name in ("a b", "a:b", "a#b", "a$b", "a,b"):
            self.places(self.dir / name, self.dir / "cache")
            text = self.refused()
            self.assertIn(f"'{name[1]}' in its path; this clone is {self.dir}/{name}\nMove", text)
            self.assertFalse((self.dir / name).exists())
        self.places(self.dir / "\xe4+@=~-1.2", self.dir / "cache")
        common.usable()

    def test_cache_that_cannot_be_written(self):
        """Nobody, root neither, can make a folder in a file."""
        for name in ("cache", "cache/ccache"):
            file = self.dir / name
            with contextlib.suppress(OSError):
                file.parent.mkdir()
            file.write_text("")
            text = self.refused()
            self.assertIn(f"because LAB_CACHE={self.dir}/cache\n", text)
            self.assertIn("LAB_CACHE=/other/dir make", text)
            file.unlink()

    def test_without_a_cache_of_its_own_the_build_folder_is_named(self):
        self.places(self.dir / "clone", self.dir / "clone/build/cache")
        (self.dir / "clone").write_text("")
        self.assertIn("LAB_BUILD=/other/dir make", self.refused())

    def test_too_small_a_disk(self):
        for where, name in ((self.dir / "cache/source", "LAB_CACHE"),
                            (self.dir / "clone/build", "LAB_BUILD")):
            text = self.refused(lambda w=where: source.need_space(w, 1 << 30, "x"))
            self.assertIn(f"{name}=/big/disk make", text)

    def ended(self, error):
        """(status, words) of a command that ends with this error."""
        out = io.StringIO()
        with contextlib.redirect_stderr(out), mock.patch.object(sys, "argv", ["lab"]), \
                self.assertRaises(SystemExit) as caught:
            common.main(mock.Mock(side_effect=error))
        return caught.exception.code, out.getvalue()

    def test_disk_that_fills_up_on_the_way(self):
        (self.dir / "cache").mkdir()
        error = OSError(errno.ENOSPC, "No space left on device", str(self.dir / "cache/x"))
        status, text = self.ended(error)
        self.assertEqual(status, 2)
        self.assertIn("No space left", text)
        self.assertIn("LAB_CACHE=/other/dir make", text)

    def test_disk_that_is_nearly_full_is_told_of(self):
        with mock.patch.object(common.shutil, "disk_usage", return_value=mock.Mock(free=9 << 20)):
            said = self.said(common.usable)
        self.assertIn(f"only 9 MiB are free for LAB_CACHE={self.dir}/cache", said)
        self.assertEqual(self.said(common.usable), "")

    def test_write_that_does_not_say_where(self):
        """It is the place with the least room."""
        for place, name in (("cache", "LAB_CACHE"), ("clone/build", "LAB_BUILD")):
            for folder in ("cache", "clone/build"):
                (self.dir / folder).mkdir(parents=True, exist_ok=True)
            def usage(path, full=self.dir / place):
                return mock.Mock(free=0 if path == full else 1 << 40)
            with mock.patch.object(common.shutil, "disk_usage", usage):
                text = self.ended(OSError(errno.ENOSPC, "No space left on device"))[1]
            self.assertIn(f"{name}=/other/dir make", text)
            self.assertIn("0 MiB are free", text)

    def test_interruption(self):
        self.assertEqual(self.ended(KeyboardInterrupt()), (130, "interrupted\n"))
        self.assertEqual(self.ended(common.Terminated()), (143, "interrupted\n"))

    def test_what_takes_long_is_named(self):
        def slow(path, **_):
            time.sleep(0.3)
            os.rmdir(path)

        def interrupted():
            with mock.patch.object(common, "PATIENCE", 0.05), \
                    mock.patch.object(source.shutil, "rmtree", slow), \
                    self.assertRaises(KeyboardInterrupt), source.staging(self.dir / "b"):
                raise KeyboardInterrupt
        self.assertRegex(self.said(interrupted), r"^removing .*/b/\.part-")

        def quick():
            with source.staging(self.dir / "b"):
                pass
        self.assertEqual(self.said(quick), "")


class Locks(Folder):
    OTHER = ("import sys, time\nfrom lab import common\nfrom pathlib import Path\n"
             "sys.argv = ['lab', 'test', 'ONLY=x']\n"
             "with common.locked('l', Path({!r})):\n print(flush=True)\n sys.stdin.read()\n")

    def wait(self, then):
        """What is said while somebody else has the lock, who gives it back when then is called."""
        return self.said(lambda: self._wait(then))

    def _wait(self, then):
        timer = threading.Timer(0.3, then)
        timer.start()
        with common.locked("l", self.dir):
            timer.join()

    def test_other_command_is_named(self):
        root = Path(common.__file__).parent.parent
        with subprocess.Popen([sys.executable, "-c", self.OTHER.format(str(self.dir))], cwd=root,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            other.stdout.readline()
            said = self.wait(other.stdin.close)
        self.assertEqual(said, f"waiting for another lab command (pid {other.pid}, 'lab test "
                         f"ONLY=x' in {root}) to release 'l'\n")

    def test_another_thread(self):
        free, has = threading.Event(), threading.Event()

        def hold():
            with common.locked("l", self.dir):
                has.set()
                free.wait(10)
        holder = threading.Thread(target=hold)
        holder.start()
        has.wait(10)
        self.assertIn("another part of this command", self.wait(free.set))
        holder.join()

    def test_lock_is_in_the_build_folder_of_now(self):
        """... not in that of when the module was loaded: tests have one of their own."""
        with common.locked("l"):
            self.assertTrue((self.dir / "clone/build/.l.lock").exists())

    def test_nobody_has_it_any_more(self):
        with common.locked("l", self.dir):
            self.assertIn(str(os.getpid()), (self.dir / ".l.lock").read_text())
        self.assertEqual((self.dir / ".l.lock").read_text(), "")


if __name__ == "__main__":
    unittest.main()
