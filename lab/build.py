# SPDX-License-Identifier: GPL-2.0
"""Build kernels: one output folder per configuration, incremental, cached.

    build/out/NAME          the patched tree in configuration NAME
    build/base/out/NAME     the unpatched one, without the product's fragments
"""

import bisect
import contextlib
import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from lab import child, kconfig, machines, packages
from lab.common import (BUILD, CACHE, LOGS, ROOT, TREE, LabError, jobs, locked, quoted, run, say,
                        show)

PROGRESS = 15			# seconds between signs of life
LINKING = "  LD      vmlinux.o\n"	# from here on one processor is enough
MODULES = ROOT / "lab" / "modules"
_TURN = threading.Lock()	# among the builds of this process, which wait without a word


@dataclass
class Kernel:
    """A built kernel and what is known about it."""

    name: str
    arch: str
    base: bool
    out: Path
    image: Path			# what is booted
    vmlinux: Path		# what has the symbols
    config_path: Path
    slow: float = 1

    def options(self):
        """The options it was built with, {name: value}."""
        return kconfig.parse(self.config_path.read_text())

    def has(self, option):
        return self.options().get(option) == "y"

    def symbols(self):
        """[(address, name)] of all functions and data, in order of address."""
        if not hasattr(self, "_symbols"):
            lines = (self.out / "System.map").read_text().splitlines()
            self._symbols = [(int(line.split()[0], 16), line.split()[2]) for line in lines]
        return self._symbols

    def address(self, name):
        """The virtual address of a symbol, as linked (RANDOMIZE_BASE is off)."""
        for address, known in self.symbols():
            if known == name:
                return address
        raise LabError(f"kernel {self.name} has no symbol {name}")

    def knows(self, name):
        return any(known == name for _, known in self.symbols())

    def symbol(self, address):
        """'function+0x12' for an address of the kernel, else the number."""
        with contextlib.suppress(OSError):
            at = bisect.bisect(self.symbols(), (address, "\x7f")) - 1
            if at >= 0 and address - self.symbols()[at][0] < 0x10000:
                found, name = self.symbols()[at]
                return f"{name}+{address - found:#x}"
        return hex(address)


def place(name, base=False):
    """The output folder of a configuration."""
    return (BUILD / "base" / "out" if base else BUILD / "out") / name


def source(base=False):
    """The kernel tree, assembled if need be."""
    from lab import tree	# here, because tree is not needed for a given source
    return Path(tree.base_worktree() if base else tree.ensure() or TREE)


def need(config):
    """The programs that build a configuration."""
    packages.need("build", *([machines.of(config.arch).packages] if config.cross else []),
                  *([] if config.compiler == "gcc" else [config.compiler]))


def _environment():
    # Both trees stand two levels above their output folder, so that with
    # BASEDIR the same file compiles to the same cache entry in either.
    return {"CCACHE_DIR": CACHE / "ccache", "CCACHE_BASEDIR": BUILD,
            "CCACHE_MAXSIZE": "10G", "CCACHE_NOHASHDIR": "1",
            # Kbuild asks for dependencies anyway; preprocessing by itself costs a fifth.
            "CCACHE_DEPEND": "1",
            "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970",
            "KBUILD_BUILD_USER": "lab", "KBUILD_BUILD_HOST": "lab",
            # LC_ALL would do, but ccache looks at all of them.
            "LANG": "C", "LC_ALL": "C", "LC_CTYPE": "C", "LC_MESSAGES": "C",
            # What a developer's shell may hold must not change what is built.
            "CROSS_COMPILE": "", "LLVM": "", "KBUILD_OUTPUT": "", "MAKEFLAGS": ""}


def _make(config, src, out, *targets, settings=()):
    compiler = [f"CROSS_COMPILE={config.cross}"] if config.cross else []
    if shutil.which("ccache"):
        compiler += [f"CC=ccache {config.cross}{config.compiler}", "HOSTCC=ccache gcc"]
    elif config.compiler != "gcc":
        compiler += [f"CC={config.compiler}"]
    # BASEDIR makes paths relative, which Kbuild's own map of __FILE__ does not know.
    compiler += [f"KCFLAGS=-fmacro-prefix-map={os.path.relpath(src, out)}/="]
    # An empty but given LOCALVERSION= also drops the '+' of an untagged tree. The version of a
    # rustc, which nothing here is built with, would be part of the configuration, and so of every
    # file: what was compiled on a machine with one would be compiled again on one without.
    return ["make", "-C", src, f"O={out}", f"ARCH={config.arch}", "LOCALVERSION=", "RUSTC=none",
            f"-j{jobs()}", *compiler, *settings, *targets]


def configure(config, base, src, out):
    """Make .config when the fragments changed, and read every line back."""
    files = config.files(base)
    stamp, final, fresh = out / ".lab-fragments", out / ".config", out / ".config.lab"
    wish = kconfig.fingerprint(config, base)
    log = f"{out.name}{'-base' if base else ''}.log"
    env = {**_environment(), "KCONFIG_CONFIG": str(fresh)}
    if final.exists() and stamp.exists() and stamp.read_text() == wish:
        shutil.copy2(final, fresh)	# the tree's Kconfig files may have changed
    else:
        say(f"configuring {config.name}: {', '.join(f.stem for f in files)}")
        run(_make(config, src, out, "-s", "tinyconfig"),
            log=f"tinyconfig-{log}", quiet=True, env=env)
        run(["sh", src / "scripts/kconfig/merge_config.sh", "-m", "-O", out, fresh, *files],
            log=f"merge-{log}", quiet=True, env=env, cwd=src)
    run(_make(config, src, out, "-s", "olddefconfig"),
        log=f"olddefconfig-{log}", quiet=True, env=env)
    kconfig.verify(files, fresh)
    # A .config with a new date and the old content would rebuild for nothing.
    if not final.exists() or final.read_bytes() != fresh.read_bytes():
        shutil.copyfile(fresh, final)
    fresh.unlink()
    stamp.write_text(wish)


def _last_object(path):
    """The newest '  CC      mm/page_alloc.o' of a log."""
    with open(path, "rb") as log:
        log.seek(max(0, path.stat().st_size - 4096))
        lines = log.read().decode(errors="replace").splitlines()
    words = [line.split() for line in lines if line.startswith("  ") and len(line.split()) > 1]
    return " ".join(words[-1][:2]) if words else ""


def _watch(make, log, what, linking):
    """Wait for make with signs of life; linking() is called when all is compiled."""
    begun = told = time.monotonic()
    with open(log, errors="replace") as said:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return make.wait(1)
            if LINKING in said.read():
                linking()
            if time.monotonic() - told >= PROGRESS:
                told = time.monotonic()
                say(f"  {what}: {told - begun:4.0f} s  {_last_object(log)}")


def _run_make(argv, log_name, what, small=False):
    """Run make with signs of life; explain a failure by its first errors."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / log_name
    say(f"$ {quoted(argv)}   # log: {show(log)}")
    env = dict(os.environ, **{k: str(v) for k, v in _environment().items()})
    with contextlib.ExitStack() as turn:
        if not small:
            # One build at a time compiles, also of several clones that share LAB_CACHE: two
            # only take each other's cores and memory. While it links, the next one may begin.
            turn.enter_context(_TURN)
            turn.enter_context(locked("make", CACHE))
        with open(log, "w") as sink, \
                child.running(argv, env=env, stdout=sink, stderr=subprocess.STDOUT) as make:
            begun = time.monotonic()
            status = _watch(make, log, what, turn.close)
            if not small:
                say(f"{what}: {time.monotonic() - begun:.0f} s")
    if status:
        raise LabError(_explain(log, quoted(argv), status))


def _explain(log, command, status):
    lines = log.read_text(errors="replace").splitlines()
    errors = [i for i, line in enumerate(lines)
              if "error:" in line or "undefined reference" in line or "***" in line]
    start = max(0, errors[0] - 2) if errors else -25
    shown = lines[start:start + 25] if errors else lines[start:]
    return "\n".join([f"the build failed ({status}): {command}",
                      *("  | " + line for line in shown), f"the whole log: {show(log)}"])


def build(name, base=False, src=None):
    """Build one configuration and return its Kernel.

    src overrides the tree; otherwise it is assembled by lab.tree.
    """
    config = kconfig.find(name)
    need(config)
    src = Path(src or source(base)).resolve()
    out = place(name, base)
    out.mkdir(parents=True, exist_ok=True)
    what = f"kernel {name}{' (base)' if base else ''}"
    with locked(f"out-{name}{'-base' if base else ''}"):
        configure(config, base, src, out)
        target = "linux" if config.arch == "um" else machines.of(config.arch).target
        _run_make(_make(config, src, out, target),
                  f"build-{name}{'-base' if base else ''}.log", what)
        return _finish(config, base, out)


def _finish(config, base, out):
    vmlinux = out / "vmlinux"
    ready = "linux" if config.arch == "um" else machines.of(config.arch).image
    image = out / (ready or "vmlinux.boot")
    if not ready and (not image.exists() or image.stat().st_mtime < vmlinux.stat().st_mtime):
        # PVH boots an ELF file; without symbols there is less for QEMU to load.
        run(["objcopy", "-S", vmlinux, image], quiet=True)
    return Kernel(config.name, config.arch, base, out, image, vmlinux,
                  out / ".config", config.slow)


def built(name, base=False):
    """The Kernel that an earlier build() left, without building anything."""
    kernel = _finish(kconfig.find(name), base, place(name, base)) \
        if (place(name, base) / "vmlinux").exists() else None
    if not kernel:
        raise LabError(f"kernel {name} is not built: make kernel CONFIG={name}")
    return kernel


def objects(name, base, paths, src=None, settings=(), out=None):
    """Build only some objects, e.g. mm/page_alloc.o; returns {path: file}.

    settings are further words for make, e.g. 'W=1'; out is for a source that is neither tree.
    """
    config = kconfig.find(name)
    need(config)
    src = Path(src or source(base)).resolve()
    out = out or place(name, base)
    out.mkdir(parents=True, exist_ok=True)
    suffix = "-base" if base else ""
    with locked(f"out-{name}{suffix}"):
        configure(config, base, src, out)
        _run_make(_make(config, src, out, *paths, settings=settings),
                  f"objects-{name}{suffix}.log", f"objects of {name}{suffix}")
    return {path: out / path for path in paths}


def tree_modules(kernel):
    """Build the modules that the kernel's configuration asks for: {name: path}."""
    config = kconfig.find(kernel.name)
    suffix = "-base" if kernel.base else ""
    with locked(f"out-{kernel.out.name}{suffix}"):
        _run_make(_make(config, source(kernel.base), kernel.out, "modules"),
                  f"modules-{kernel.name}{suffix}.log", f"modules of {kernel.name}{suffix}",
                  small=True)
    order = (kernel.out / "modules.order").read_text().split()
    return {Path(name).stem: kernel.out / Path(name).with_suffix(".ko") for name in order}


def module(kernel, name, symbols=(), folder=MODULES):
    """Build lab/modules/NAME.c, or that of another folder, for a kernel; returns the .ko file.

    symbols are those that the kernel does not export: the module is linked to their addresses.
    """
    config, out = kconfig.find(kernel.name), kernel.out / "lab-modules" / name
    out.mkdir(parents=True, exist_ok=True)
    linked = " ".join(f"--defsym={symbol}={kernel.address(symbol):#x}" for symbol in symbols)
    with locked(f"out-{kernel.out.name}{'-base' if kernel.base else ''}"):
        for path in [folder / f"{name}.c", *folder.glob("*.h")]:
            copy = out / path.name
            if not copy.exists() or copy.read_bytes() != path.read_bytes():
                shutil.copyfile(path, copy)
        (out / "Kbuild").write_text(f"obj-m := {name}.o\nccflags-y := -I$(srctree)/mm\n")
        src = TREE if not kernel.base else BUILD / "base" / "linux"
        # Unresolved symbols are looked up when it is loaded: only vmlinux was built.
        for goals in (["modules_prepare"], [f"M={out}", "KBUILD_MODPOST_WARN=1",
                                            f"LDFLAGS_MODULE={linked}", "modules"]):
            _run_make(_make(config, src, kernel.out, *goals), f"module-{name}-{kernel.name}.log",
                      f"module {name} for {kernel.name}", small=True)
    return out / f"{name}.ko"


def compressed(kernel):
    """The same kernel as a bzImage: only its decompressor turns 5-level page tables on."""
    with locked(f"out-{kernel.out.name}{'-base' if kernel.base else ''}"):
        _run_make(_make(kconfig.find(kernel.name), (kernel.out / "source").resolve(),
                        kernel.out, "bzImage"),
                  f"bzimage-{kernel.name}.log", f"bzImage of {kernel.name}", small=True)
    return replace(kernel, image=kernel.out / "arch/x86/boot/bzImage")


def gdb_scripts(kernel):
    """Put the tree's commands for gdb beside vmlinux, where gdb looks for them."""
    with locked(f"out-{kernel.out.name}{'-base' if kernel.base else ''}"):
        _run_make(_make(kconfig.find(kernel.name), (kernel.out / "source").resolve(),
                        kernel.out, "scripts_gdb"),
                  f"gdb-{kernel.name}.log", f"gdb commands of {kernel.name}", small=True)


def main(argv):
    """make kernel CONFIG=name [UNPATCHED=1]"""
    words = dict(word.split("=", 1) for word in argv if "=" in word)
    name = words.get("CONFIG") or os.environ.get("CONFIG") or "x86"
    base = (words.get("UNPATCHED") or os.environ.get("UNPATCHED", "")) not in ("", "0")
    kernel = build(name, base, src=os.environ.get("LAB_SRC"))
    say(f"image: {show(kernel.image)}\nsymbols: {show(kernel.vmlinux)}")
    return 0


if __name__ == "__main__":
    from lab import common
    common.main(main)
