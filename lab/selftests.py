# SPDX-License-Identifier: GPL-2.0
"""The kernel tree's selftests: as they are, or compiled, shown to a guest.

The guest sees them read-only: what a test writes belongs below /tmp, which is the guest's own.
"""

import os
import re
import shutil

from lab import build, packages, tree
from lab.common import BUILD, LOGS, TREE, LabError, jobs, locked, run, show
from lab.git import Git

TAG = "selftests"
PLACE = "/run/selftests"
COMPILED = BUILD / "selftests"
TARGETS = ("mm", "memory-hotplug")
MODULES, MODULES_TAG = "/run/modules", "modules"


def source():
    """tools/testing/selftests of the patched tree."""
    tree.ensure()
    return TREE / "tools/testing/selftests"


def share(folder=None, tag=TAG):
    """Arguments of QEMU that show a folder to the guest: for Guest(extra=)."""
    # /tmp of the guest is its own, so a path of the host's may not be there.
    return ("-virtfs", f"local,path={folder or source()},readonly=on,security_model=none,"
            f"mount_tag={tag},multidevs=remap")


def mount(guest, place=PLACE, tag=TAG):
    guest.must(f"mkdir -p {place} && mount -t 9p -o trans=virtio,version=9p2000.L,"
               f"msize=262144,cache=loose {tag} {place}")


# --- compiled -------------------------------------------------------------------

def _shadow(folder):
    """A tree to compile in: Makefiles write beside their sources, whatever O= says.

    Only tools/testing/selftests is a copy.
    """
    shutil.rmtree(folder, ignore_errors=True)
    own = ["tools", "testing", "selftests"]
    here, there = folder, TREE
    for name in own:
        here.mkdir(parents=True)
        for entry in there.iterdir():
            if entry.name not in (name, ".git"):
                (here / entry.name).symlink_to(entry)
        here, there = here / name, there / name
    shutil.copytree(there, here, symlinks=True)
    return here


def _failed(log):
    """What make -k could not make."""
    return sorted(set(re.findall(r"\*\*\* \[[^]]*: (?:\S*/)?([\w.-]+)\] Error", log.read_text())))


def compiled():
    """The folder of the compiled selftests, statically linked; compiled if they have changed."""
    packages.need("build", "selftests")
    tests, installed, stamp = source(), COMPILED / "installed", COMPILED / "stamp"
    wish = Git(TREE)("rev-parse", "HEAD:tools/testing/selftests", "HEAD:include/uapi").strip()
    with locked("selftests"):
        if stamp.exists() and stamp.read_text() == wish:
            return installed
        shutil.rmtree(COMPILED, ignore_errors=True)
        objects, targets = COMPILED / "objects", " ".join(TARGETS)
        env = {"MAKEFLAGS": "", "CROSS_COMPILE": "", "KBUILD_OUTPUT": "", "LC_ALL": "C"}
        make = ["make", f"-j{jobs()}", f"O={objects}", "ARCH=x86_64"]
        run([*make, "-s", "-C", TREE, "headers_install"], log="selftests-headers.log", env=env)
        tests = _shadow(COMPILED / "linux")
        run([*make, "-k", "-C", tests, f"TARGETS={targets}", "LDFLAGS=-static", "install",
             f"INSTALL_PATH={installed}"], log="selftests.log", env=env, check=False)
        if failed := _failed(LOGS / "selftests.log"):
            raise LabError(f"selftests that did not compile: {', '.join(failed)}\n"
                           f"the whole log: {show(LOGS / 'selftests.log')}")
        missing = [name for name in TARGETS if not os.path.isdir(installed / name)]
        if missing:
            raise LabError(f"selftests were not installed: {', '.join(missing)}; "
                           f"see {show(LOGS / 'selftests.log')}")
        stamp.write_text(wish)
    return installed


# --- modules ----------------------------------------------------------------------

def modules(kernel):
    """A folder with the modules of a kernel's configuration, and with that of mm/page_frag."""
    folder, stamp = BUILD / f"selftests-{kernel.name}", BUILD / f"selftests-{kernel.name}.stamp"
    wish = f"{Git(TREE)('rev-parse', 'HEAD').strip()} {kernel.vmlinux.stat().st_mtime_ns}"
    if stamp.exists() and stamp.read_text() == wish:
        return folder
    files = [*build.tree_modules(kernel).values(),
             build.module(kernel, "page_frag_test", folder=source() / "mm/page_frag")]
    with locked("selftests"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in files:
            shutil.copy(path, folder)
        stamp.write_text(wish)
    return folder


def mount_modules(guest):
    """modprobe and modinfo of the guest's PATH find them, though its root is the host's."""
    mount(guest, MODULES, MODULES_TAG)
    guest.must("""
        place=/run/kmod/lib/modules/$(uname -r)
        mkdir -p $place /run/kmod/bin && cp /run/modules/*.ko $place && depmod -b /run/kmod
        cd /run/kmod/bin
        printf '#!/bin/sh\nexec /sbin/modprobe -d /run/kmod "$@"\n' > modprobe
        printf '#!/bin/sh\nexec /sbin/modinfo -b /run/kmod "$@"\n' > modinfo
        chmod +x modprobe modinfo""", 60)
