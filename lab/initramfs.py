# SPDX-License-Identifier: GPL-2.0
"""The guest's first file system: busybox, the agent, and static C helpers.

lab/guest/*.c are compiled statically; the rest of lab/guest is copied to /lab. For other
architectures the compiler and the busybox are Debian's (lab/machines.py).
Archives are cached under a hash of everything that goes into them.
"""

import gzip
import hashlib
import os
import re
import shutil
import stat
import threading
from pathlib import Path

from lab import apt, machines, packages
from lab.common import BUILD, CACHE, LabError, locked, run, say, show

GUEST = Path(__file__).resolve().parent / "guest"
STORE = BUILD / "guest"
DIRECTORIES = ("bin", "dev", "etc", "lab", "lib", "lib64", "proc", "root", "run", "sbin",
               "sys", "tmp", "usr", "usr/bin", "usr/sbin", "usr/lib", "var")


class Archive:
    """A cpio archive in the newc format, which is what the kernel unpacks."""

    def __init__(self):
        self.parts = []
        self.seen = set()
        self.inode = 0

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        self.inode += 1
        raw = name.encode() + b"\0"
        # The time stays zero: same content, same archive, same hash.
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(raw), 0)
        head = b"070701" + b"".join(b"%08x" % value for value in fields) + raw
        self.parts += [head, b"\0" * (-len(head) % 4), data, b"\0" * (-len(data) % 4)]

    def directory(self, name):
        """A directory and those above it, each once."""
        path = Path(name)
        for part in [*reversed(path.parents), path]:
            if str(part) not in (".", "/") and str(part) not in self.seen:
                self.seen.add(str(part))
                self._entry(str(part), stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o755):
        self.directory(Path(name).parent)
        self._entry(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        self.directory(Path(name).parent)
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name, major, minor):
        self._entry(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def data(self):
        self._entry("TRAILER!!!", 0)
        return b"".join(self.parts)


def busybox(arch="x86_64"):
    """The static busybox; a dynamic one would need libraries in the guest."""
    if machines.of(arch).debian:
        return foreign_busybox(machines.of(arch).debian)
    path = shutil.which("busybox")
    if not path:
        raise LabError("busybox is missing: apt-get install busybox-static")
    if libraries(path):
        raise LabError(f"{path} is not static: apt-get install busybox-static")
    return Path(path)


def foreign_busybox(architecture):
    """The busybox of another architecture, out of its Debian package; kept in the cache."""
    place = CACHE / "busybox" / architecture
    if (place / "busybox").exists():
        return place / "busybox"
    place.mkdir(parents=True, exist_ok=True)
    with apt.Foreign(place / "apt", architecture) as root:
        package = root.download("busybox-static", root.candidate("busybox-static", ""), place)
    run(["dpkg-deb", "-x", package, place / "files"])
    found = [path for path in place.glob("files/**/bin/busybox") if not path.is_symlink()]
    if not found:
        raise LabError(f"{package.name} has no bin/busybox")
    # Last, because its being there means that all is well.
    found[0].rename(place / "busybox")
    shutil.rmtree(place / "files")
    package.unlink()
    return place / "busybox"


def libraries(binary):
    """The shared objects a binary needs, as ldd names them."""
    done = run(["ldd", binary], quiet=True, check=False)
    return sorted(set(re.findall(r"(/\S+) \(0x", done.stdout))) if not done.returncode else []


STRICT = ("-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE")


def compiled(source, flags=STRICT, arch="x86_64"):
    """A static program from one C file, compiled once per content."""
    cross = machines.of(arch).cross
    digest = hashlib.sha256(source.read_bytes() + repr(flags).encode()).hexdigest()[:16]
    binary = STORE / f"{source.stem}{f'-{arch}' if cross else ''}-{digest}"
    STORE.mkdir(parents=True, exist_ok=True)
    if not binary.exists():
        fresh = binary.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        run([f"{cross}gcc", "-static", "-O2", "-pthread", *flags, "-o", fresh, source], quiet=True)
        fresh.rename(binary)
    return binary


def compile_helpers(arch="x86_64"):
    """lab/guest/*.c as static programs: {name: path}."""
    return {source.stem: compiled(source, arch=arch) for source in sorted(GUEST.glob("*.c"))}


def _tool(name):
    packages.need(extra={name: [name]})
    return Path(shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin"))


def _inputs(tools, extra, arch):
    """Every file of the archive: {path in the guest: path here}."""
    files = {f"lab/{path.name}": path for path in sorted(GUEST.iterdir())
             if path.is_file() and path.suffix != ".c"}
    files.update({f"lab/{name}": path for name, path in compile_helpers(arch).items()})
    for name in tools:
        path = _tool(name)
        files[f"usr/bin/{path.name}"] = path
        files.update({library.lstrip("/"): Path(library) for library in libraries(path)})
    files.update({name.lstrip("/"): Path(path) for name, path in (extra or {}).items()})
    files["bin/busybox"] = busybox(arch)
    return files


def _fill(archive, files, arch):
    for name in DIRECTORIES:
        archive.directory(name)
    for name, path in sorted(files.items()):
        archive.file(name, path.read_bytes(), 0o755 if os.access(path, os.X_OK) else 0o644)
    # One that does not run here links its applets itself, as the first thing lab/init does.
    applets = ["sh"] if machines.of(arch).debian else \
        run([files["bin/busybox"], "--list"], quiet=True).split()
    # A link of that name would replace the binary by a link to itself.
    for applet in applets:
        if applet != "busybox":
            archive.link(f"bin/{applet}", "/bin/busybox")
    archive.link("init", "/lab/init")
    archive.device("dev/console", 5, 1)
    archive.device("dev/null", 1, 3)


def initramfs(tools=(), extra=None, arch="x86_64"):
    """Path of an initramfs for kernels of that ARCH.

    tools names programs of this machine to take along with their libraries,
    extra is {path in the guest: path here}.
    """
    with locked("initramfs"):
        files = _inputs(tools, extra, arch)
        digest = hashlib.sha256(Path(__file__).read_bytes())
        for name, path in sorted(files.items()):
            digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        result = STORE / f"initramfs-{digest.hexdigest()[:16]}.cpio.gz"
        if not result.exists():
            archive = Archive()
            _fill(archive, files, arch)
            fresh = result.with_suffix(f".{os.getpid()}")
            # Unpacking is quick at any level; packing is not.
            fresh.write_bytes(gzip.compress(archive.data(), 1, mtime=0))
            fresh.rename(result)
            say(f"initramfs: {show(result)}, {result.stat().st_size >> 10} KiB")
        return result


def host_init():
    """Path of the init for a guest whose root is the host's file system."""
    place = STORE / "host"
    with locked("initramfs"):
        helpers = compile_helpers()
        place.mkdir(parents=True, exist_ok=True)
        for path in [*GUEST.iterdir(), *helpers.values()]:
            if path.is_file() and path.suffix != ".c":
                name = path.name if path.parent == GUEST else path.name.rsplit("-", 1)[0]
                fresh = place / f".{name}.{os.getpid()}"
                shutil.copy(path, fresh)
                fresh.rename(place / name)
    return place / "init"
