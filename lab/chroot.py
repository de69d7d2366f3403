# SPDX-License-Identifier: GPL-2.0
"""A minimal Debian in a folder: made, entered, and removed again.

Every command in it has a mount namespace and a PID namespace of its own. What is mounted for
it nobody else sees, and mounts and processes end with it, whatever ends it; so there is
nothing to unmount afterwards, and the folder can be removed without a way out of it.
"""

import contextlib
import os
import pwd
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lab import child, common, packages
from lab.common import LabError, run, say, show

# What somebody needs who is to clone a repository and type make; nothing else is told to be there.
INCLUDE = ("ca-certificates", "git", "make")
NAMESPACES = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
              "--mount-proc")
DEVICES = ("full", "kvm", "null", "random", "tty", "urandom", "zero")
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy")
PROGRESS = 15			# seconds between signs of life


@dataclass
class Chroot:
    """One that is there: root, and what is shared with this machine, {path here: path there}."""

    root: Path
    shared: dict[Path, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def enter(self, command: str, log: Path, what: str) -> int:
        """The exit status of a shell command in it; what it says is added to a log."""
        return _play([*NAMESPACES, "sh", "-c", script(self.root, self.shared, command)], log, what,
                     {**_environment(), **self.environment})


def script(root: Path, shared: dict[Path, str], command: str) -> str:
    """What sets the machine up around a command, inside of the namespaces."""
    at, dev = shlex.quote(str(root)), shlex.quote(str(root / "dev"))
    lines = ["set -e", f"mount -t proc proc {at}/proc", f"mount -t sysfs -o ro sysfs {at}/sys",
             f"mount -t tmpfs -o mode=755 tmpfs {dev}", f"mkdir {dev}/pts {dev}/shm",
             f"mount -t devpts -o newinstance,ptmxmode=666,gid=5 devpts {dev}/pts",
             f"mount -t tmpfs -o mode=1777 tmpfs {dev}/shm", f"ln -s pts/ptmx {dev}/ptmx",
             f"ln -s /proc/self/fd {dev}/fd"]
    lines += [f"ln -s fd/{number} {dev}/{name}" for number, name in
              enumerate(("stdin", "stdout", "stderr"))]
    lines += [f"if [ -e /dev/{name} ]; then touch {dev}/{name}; "
              f"mount --bind /dev/{name} {dev}/{name}; fi" for name in DEVICES]
    for here, there in shared.items():
        lines.append(f"mount --bind {shlex.quote(str(here))} {at}{shlex.quote(there)}")
    # The shell stays: as the first process it has to take those that others leave behind.
    lines.append(f"chroot {at} sh -c {shlex.quote(command)} || exit $?\nexit 0")
    return "\n".join(lines)


def _environment() -> dict[str, str]:
    """As after a login, and the way to the network; nothing else of this machine's."""
    kept = {name: value for name, value in os.environ.items() if name.lower() in PROXIES}
    return {**kept, "HOME": pwd.getpwuid(0).pw_dir,
            "TERM": os.environ.get("TERM", "dumb"),
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def last_line(log: Path) -> str:
    with open(log, "rb") as said:
        said.seek(max(0, log.stat().st_size - 4096))
        lines = said.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:100]


def _play(argv: list[str], log: Path, what: str, env: dict[str, str]) -> int:
    """Run with signs of life; who interrupts us ends all of it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = told = time.monotonic()
    with open(log, "a", encoding="utf-8") as out, \
            child.running(argv, env=env, stdout=out, stderr=subprocess.STDOUT) as process:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(1)
            if time.monotonic() - told >= PROGRESS:
                told = time.monotonic()
                say(f"#   {what}: {told - begun:4.0f} s  {last_line(log)}")


# --- how this machine's apt finds its archives -------------------------------------

def sources(etc: Path) -> list[Path]:
    """The lists that apt reads; their names end as apt wants them to."""
    parts = etc / "sources.list.d"
    found = [etc / "sources.list", *sorted([*parts.glob("*.list"), *parts.glob("*.sources")])]
    found = [path for path in found if path.exists() and path.read_text().strip()]
    if not found:
        raise LabError(f"{etc} names no archive of packages: there is no sources.list and nothing "
                       "in sources.list.d\nThe new machine is to get its packages from where this "
                       "one does; configure apt and run the command again.")
    return found


def keep_keys(etc: Path, stage: Path) -> None:
    """Copy keys, passwords and preferences to where they have to be below stage."""
    (stage / "etc/apt").mkdir(parents=True)
    for name in ("auth.conf", "auth.conf.d", "keyrings", "preferences", "preferences.d",
                 "trusted.gpg", "trusted.gpg.d"):
        path, to = etc / name, stage / "etc/apt" / name
        if path.is_dir():
            shutil.copytree(path, to)
        elif path.exists():
            shutil.copy2(path, to)
    for path in sources(etc):
        for key in re.findall(r"signed-by[:=]\s*(/[^\s\],]+)", path.read_text(), re.I):
            to = stage / key.lstrip("/")
            if Path(key).exists() and not to.exists():
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(key, to)


def way_to_archives(dump: str) -> str:
    """Of apt-config dump: proxies, time-outs, and whether lists may be old."""
    return "".join(f"{line}\n" for line in dump.splitlines()
                   if re.match(r"Acquire::(https?::|Check-|ForceIPv|Retries)", line)
                   and not re.search(r'auto-?detect|""; *$', line, re.I))


# --- made and removed ----------------------------------------------------------------

def possible() -> None:
    """Stop at once if this machine, or this user, cannot do it."""
    if os.geteuid() != 0:
        raise LabError("only root can make a new Debian in a folder and mount in it\n"
                       "Run it as root: sudo make fresh   (all of it stays below build/)")
    packages.need("chroot")
    done = subprocess.run([*NAMESPACES, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError("this machine does not let root make namespaces; it may be a container: "
                       f"{done.stderr.strip()}\nRun make fresh in a virtual machine, or in a "
                       "container that may (CAP_SYS_ADMIN).")


def mounts_below(root: Path, table: str) -> list[str]:
    """Of /proc/self/mountinfo: what is mounted at root or below it."""
    places = [line.split()[4].replace("\\040", " ") for line in table.splitlines()]
    return [place for place in places if Path(place).is_relative_to(root)]


# Where each removal waits for the disk (mount -o discard), 16 at a time take a minute less for
# every 20,000 files.
REMOVE = """find "$1" -xdev -mindepth 3 -maxdepth 6 -type d -print0 2>/dev/null |
	xargs -0 -r -P 16 -n 4 rm -rf --one-file-system
exec rm -rf --one-file-system "$1"
"""


def remove(root: Path) -> None:
    """rm -rf, but never into something that is mounted."""
    if not root.exists():
        return
    mounted = mounts_below(root.resolve(), Path("/proc/self/mountinfo").read_text())
    if mounted:
        raise LabError(f"{show(root)} is not removed, because there is a mount in it: {mounted[0]}"
                       f"\nThe lab mounts nothing there. Unmount it (umount -R {mounted[0]}) and "
                       "run the command again.")
    say(f"# $ rm -rf {show(root)}")	# seconds, after a kernel was built in it
    for _ in range(5):
        # What was killed a moment ago may still write its last.
        if not run(["sh", "-c", REMOVE, "sh", root], quiet=True, check=False).returncode:
            return
        time.sleep(1)
    raise LabError(f"{show(root)} cannot be removed; look what is in it and remove it")


def _make(root: Path, log: Path, etc: Path = Path("/etc/apt")) -> None:
    stage, conf = root.parent / "stage", root.parent / "apt.conf"
    remove(stage)
    keep_keys(etc, stage)
    conf.write_text(way_to_archives(run(["apt-config", "dump"], quiet=True)))
    argv = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(INCLUDE)}",
            f"--aptopt={conf}", f'--setup-hook=cp -a {shlex.quote(str(stage))}/. "$1"', "",
            str(root), *map(str, sources(etc))]
    say(f"# $ {common.quoted(argv)}   # log: {show(log)}")
    if status := _play([*NAMESPACES, *argv], log, "a bare Debian", {**os.environ}):
        tail = log.read_text(errors="replace").splitlines()[-15:]
        raise LabError("\n".join([f"mmdebstrap could not make a Debian ({status}):",
                                  *(f"  | {line}" for line in tail),
                                  "Its packages come from where this machine's apt gets them; does "
                                  "apt-get update work here?", f"the whole log: {show(log)}"]))
    remove(stage)
    for name in ("resolv.conf", "hosts"):
        with contextlib.suppress(OSError):
            shutil.copyfile(Path("/etc") / name, root / "etc" / name)


def _share(root: Path, shared: dict[Path, str]) -> None:
    """The places at which files and folders of this machine will be seen."""
    for here, there in shared.items():
        place = root / there.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if here.is_dir():
            place.mkdir(exist_ok=True)
        else:
            place.touch()


@contextlib.contextmanager
def made(root: Path, log: Path, shared: dict[Path, str] | None = None) -> Iterator[Chroot]:
    """A Debian for the length of a with block."""
    remove(root)			# of one that was killed
    root.mkdir(parents=True)
    try:
        _make(root, log)
        _share(root, shared or {})
        yield Chroot(root, shared or {})
    finally:
        remove(root)
