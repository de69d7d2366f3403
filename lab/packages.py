# SPDX-License-Identifier: GPL-2.0
"""Programs the lab needs, and the Debian packages that bring them.

A group is looked for by program or file, not by package name: a hand-built
qemu in PATH is as good as the packaged one, and asking dpkg would not see it.
"""

import glob
import os
import shutil

from lab.common import LabError, locked, quoted, run, say

# group -> {package: what proves that it is there}. A name without a slash is
# a program in PATH; one with a slash is a file (a glob), any of the list.
GROUPS = {
    "source": {"git": ["git"], "xz-utils": ["xz"], "tar": ["tar"]},
    "build": {
        "gcc": ["gcc"], "make": ["make"], "flex": ["flex"], "bison": ["bison"],
        "bc": ["bc"], "ccache": ["ccache"], "perl": ["perl"], "cpio": ["cpio"],
        "rsync": ["rsync"], "kmod": ["depmod"], "git": ["git"],
        "xz-utils": ["xz"],
        "libc6-dev": ["/usr/include/*/sys/types.h", "/usr/include/sys/types.h"],
        "libelf-dev": ["/usr/include/libelf.h"],
        "libssl-dev": ["/usr/include/openssl/opensslv.h"],
    },
    "boot": {
        "qemu-system-x86": ["qemu-system-x86_64"],
        # The static one: it becomes the guest's whole user space.
        "busybox-static": ["/usr/share/doc/busybox-static/copyright"],
        "gcc": ["gcc"], "cpio": ["cpio"],
    },
    "selftests": {
        "libcap-dev": ["/usr/include/sys/capability.h"],
        "libnuma-dev": ["/usr/include/numa.h"],
        "liburing-dev": ["/usr/include/liburing.h"],
    },
    "run": {"stress-ng": ["stress-ng"]},
    # What scripts/ of the kernel has for looking at source: checkpatch, spdxcheck, coccicheck.
    "lint": {
        "perl": ["perl"], "coccinelle": ["spatch"],
        # spatch loads it for scripts with parts in Python; its package does not say so.
        "libpython3-dev": ["/usr/lib/*/libpython3.*.so", "/usr/lib*/libpython3.*.so"],
        "python3-ply": ["/usr/lib/python3/dist-packages/ply/__init__.py"],
        "python3-git": ["/usr/lib/python3/dist-packages/git/__init__.py"],
    },
    "python": {"pyflakes3": ["pyflakes3"]},
    "check": {
        "sparse": ["sparse"],
        "python3-sphinx": ["sphinx-build"],
        "python3-sphinx-rtd-theme":
            ["/usr/lib/python3/dist-packages/sphinx_rtd_theme/__init__.py"],
        "python3-yaml": ["/usr/lib/python3/dist-packages/yaml/__init__.py"],
    },
    "clang": {"clang": ["clang"], "llvm": ["llvm-cov", "llvm-cov-*"],
              "lld": ["ld.lld"],
              # clang's package only recommends what -fsanitize= links.
              "libclang-rt-dev": ["/usr/lib/llvm-*/lib/clang/*/lib/*/libclang_rt.asan*.a"]},
    # KMSAN; Debian's clang without a number may be too old for the kernel.
    "clang-19": {"clang-19": ["clang-19"]},
    # For make fresh.
    "chroot": {"mmdebstrap": ["mmdebstrap"], "util-linux": ["unshare"], "git": ["git"]},
    "debug": {"gdb": ["gdb"]},
    "mail": {"git": ["git"], "perl": ["perl"]},
    # What many maintainers take mails from a list with.
    "b4": {"b4": ["b4"]},
    # Of other architectures, for make matrix: what builds kernels and static programs, and
    # what runs them. The kernel for i386 is built by the machine's own gcc.
    "arm64": {"gcc-aarch64-linux-gnu": ["aarch64-linux-gnu-gcc"],
              "libc6-dev-arm64-cross": ["/usr/aarch64-linux-gnu/lib/libc.a"],
              "qemu-system-arm": ["qemu-system-aarch64"]},
    "i386": {"gcc-i686-linux-gnu": ["i686-linux-gnu-gcc"],
             "libc6-dev-i386-cross": ["/usr/i686-linux-gnu/lib/libc.a"],
             "qemu-system-x86": ["qemu-system-i386"]},
    "s390x": {"gcc-s390x-linux-gnu": ["s390x-linux-gnu-gcc"],
              "libc6-dev-s390x-cross": ["/usr/s390x-linux-gnu/lib/libc.a"],
              "qemu-system-misc": ["qemu-system-s390x"]},
    "user": {"qemu-user": ["qemu-s390x"]},
}


def _present(proof):
    if proof.startswith("/"):
        return bool(glob.glob(proof))
    if "*" in proof:
        return any(glob.glob(os.path.join(d, proof))
                   for d in os.environ.get("PATH", "").split(":"))
    # sbin is not in a user's PATH on Debian; depmod lives there.
    return bool(shutil.which(proof) or shutil.which(proof, path="/usr/sbin:/sbin"))


def missing(*groups, extra=None):
    """{package: [what was looked for]} of what is not there."""
    wanted = dict(extra or {})
    for group in groups:
        wanted.update(GROUPS[group])
    return {package: proofs for package, proofs in wanted.items()
            if not any(_present(p) for p in proofs)}


def need(*groups, extra=None):
    """Make sure that all programs of these groups are there, or stop.

    extra takes more {package: [program or /file/glob, ...]}. Root installs
    what is missing; anyone else gets the exact command.
    """
    absent = missing(*groups, extra=extra)
    if not absent:
        return
    programs = ", ".join(proofs[0] for proofs in absent.values())
    if not shutil.which("apt-get"):
        raise LabError(
            f"these are missing: {programs}\n"
            "This is not a Debian machine, so the lab cannot name the packages for it.\n"
            "Install them with the package manager of this system (on Debian they are in: "
            f"{' '.join(absent)}) and run the command again.")
    packages = sorted(absent)
    install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if os.geteuid() != 0:
        raise LabError(f"these are missing: {programs}\nInstall them and run the command again:\n"
                       f"  sudo {quoted(install)}")
    with locked("apt"):			# several cases may come here at a time
        say(f"missing: {programs}")
        _install(install, packages)
    still = missing(*groups, extra=extra)
    if still:
        raise LabError("installed, but still not found: "
                       + ", ".join(p[0] for p in still.values())
                       + f"\nLook for them in the files of: {' '.join(sorted(still))} (dpkg -L)")


def _candidate_known(package):
    policy = run(["apt-cache", "policy", package], quiet=True, check=False).stdout
    return "Candidate:" in policy and "Candidate: (none)" not in policy


def _install(install, packages):
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    updated = False
    if not all(_candidate_known(p) for p in packages):
        # A fresh container has no package lists at all.
        run(["apt-get", "update"], log="apt.log", env=env)
        updated = True
    if run(install, log="apt.log", env=env, check=updated) and not updated:
        # The lists were there but old: the files they name are gone from the mirror.
        say("the install failed; trying once more with fresh package lists")
        run(["apt-get", "update"], log="apt.log", env=env)
        run(install, log="apt.log", env=env)
