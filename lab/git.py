# SPDX-License-Identifier: GPL-2.0
"""git as plumbing: the same result on every machine, whatever its user configured.

Hash and text of everything that is made here must not depend on the caller, so
no configuration of system or user is read, no hook runs, and GIT_* variables of
the environment (make refresh may run inside a hook) are dropped.
"""

import os
import re
import subprocess
from pathlib import Path

from lab.common import LabError, quoted, say, show

LAB_NAME = "Page Consistency Lab"
LAB_EMAIL = "lab@localhost"
LAB_DATE = "1767225600 +0000"		# any fixed second will do
IDENTITY = {f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", LAB_NAME), ("EMAIL", LAB_EMAIL), ("DATE", LAB_DATE))}

# One textual form of a diff, so that tree -> patches -> tree is a fixed point.
DIFF = ["--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "-U3",
        "--src-prefix=a/", "--dst-prefix=b/", "--diff-algorithm=myers",
        "--indent-heuristic", "--inter-hunk-context=0"]

LEFTOVER = re.compile(r"(~|\.(sw[a-p]|orig|rej|o|pyc|cmd|bak))$|(^|/)(tags|TAGS|G(TAGS|PATH|RTAGS)"
                      r"|cscope\.[^/]*|\.checkpatch-camelcase\.[^/]*|compile_commands\.json"
                      r"|#[^/]*#|\.#[^/]*)$"
                      r"|(^|/)(__pycache__|\.cache|\.vscode|\.idea|\.clangd)/")


def environment(**more):
    env = {k: v for k, v in os.environ.items()
           if not k.startswith("GIT_") and k != "XDG_CONFIG_HOME"}
    # HOME too: ~/.config/git/attributes changes diffs, .../ignore hides new files.
    env.update(IDENTITY, HOME="/nonexistent", GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL=os.devnull,
               GIT_TERMINAL_PROMPT="0", GIT_ATTR_NOSYSTEM="1", LC_ALL="C")
    env.update(more)
    return env


class Git:
    """git in one work tree; index=FILE works on an index of its own."""

    def __init__(self, path, index=None):
        self.path = Path(path)
        self.env = environment(**({"GIT_INDEX_FILE": str(index)} if index else {}))

    def raw(self, *args, data=None, env=None, visible=False):
        argv = ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false",
                "-C", str(self.path), *map(str, args)]
        if visible:
            say(f"$ git -C {show(self.path)} {quoted(args)}")
        return subprocess.run(argv, input=data, env=dict(self.env, **(env or {})),
                              stdin=None if data is not None else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def bytes(self, *args, data=None, env=None, visible=False):
        done = self.raw(*args, data=data, env=env, visible=visible)
        if done.returncode:
            raise LabError(f"failed ({done.returncode}): git -C {show(self.path)} {quoted(args)}\n"
                           + done.stderr.decode(errors="replace").rstrip())
        return done.stdout

    def __call__(self, *args, data=None, env=None, visible=False):
        if isinstance(data, str):
            data = data.encode()
        return self.bytes(*args, data=data, env=env, visible=visible).decode().rstrip("\n")

    def ok(self, *args):
        return self.raw(*args).returncode == 0

    def listing(self, treeish, *paths):
        """{path: (mode, object)} of the files of a tree."""
        out = self.bytes("ls-tree", "-r", "-z", treeish, "--", *paths).decode()
        return {path: (meta.split()[0], meta.split()[2])
                for meta, _, path in (e.partition("\t") for e in out.split("\0") if e)}

    def diff(self, before, after, names):
        """What a patch file says of these files."""
        text = self.bytes("diff-tree", "-r", "-p", *DIFF, before, after, "--",
                          *(f":(literal){name}" for name in names)) if names else b""
        # Hashes in the patch would change with every base and say nothing.
        return re.sub(rb"^index [0-9a-f]+\.\.[0-9a-f]+.*\n", b"", text, flags=re.M)

    def store(self, data):
        """A blob with this content (bytes)."""
        return self("hash-object", "-w", "--no-filters", "--stdin", data=data)

    def store_file(self, path):
        return self("hash-object", "-w", "--no-filters", "--", os.path.abspath(path))

    def commit(self, tree, message, *parents, env=None):
        options = [o for p in parents for o in ("-p", p)]
        return self("commit-tree", tree, *options, data=message.rstrip("\n") + "\n", env=env)

    def fields(self, form: str, *commits: str) -> list[list[str]]:
        """What git log says about each of these commits: form has %x00 between its fields."""
        if not commits:
            return []
        text = self("show", "-s", "--date=raw", f"--format={form}%x00%x01", *commits)
        return [part.lstrip("\n").split("\0")[:-1] for part in text.split("\x01")[:-1]]

    def untracked(self):
        """New files in no commit, ignored or not, but for what editors and tools leave behind.

        .gitignore is not asked: that of Debian's kernel source ignores everything (/*), and a
        new file that nobody mentions is a file that is lost.
        """
        names = self.bytes("ls-files", "--others", "-z").decode().split("\0")
        return [n for n in names if n and not LEFTOVER.search(n)]

    def dirty(self):
        """Whether the work tree differs from HEAD in any way, new files included."""
        return bool(self("status", "--porcelain", "--untracked-files=no") or self.untracked())
