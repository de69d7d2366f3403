# SPDX-License-Identifier: GPL-2.0
"""make boot CONFIG=name APPEND='...': a shell in a guest, on this terminal.

MEMORY=, SMP=, NODES= change the machine, HOST=1 makes the host's files its
root (read only), UNPATCHED=1 takes the unpatched kernel. Leave with 'busybox poweroff -f',
or at any time with Ctrl-a x.
"""

import os
import sys

from lab import accel, build, child, common, initramfs, machines, qemu
from lab.common import quoted, say


def main(argv):
    words = {**os.environ, **dict(word.split("=", 1) for word in argv if "=" in word)}
    base = words.get("UNPATCHED", "") not in ("", "0")
    host = words.get("HOST", "") not in ("", "0")
    kernel = build.build(words.get("CONFIG") or "x86", base, src=words.get("LAB_SRC"))
    machine = machines.of(kernel.arch)
    append = [*machines.words(machine), "panic=-1", "lab.shell"]
    if host:
        append += ["root=host", "rootfstype=9p", "ro", f"init={initramfs.host_init()}",
                   "rootflags=trans=virtio,version=9p2000.L,msize=262144,cache=loose"]
    argv = qemu.command_line(
        kernel, accelerator=accel.choose(kernel), smp=int(words.get("SMP", 2)),
        append=" ".join([*append, words.get("APPEND", "")]).strip(),
        memory=words.get("MEMORY", "1G"), nodes=int(words.get("NODES", 2)),
        initrd=None if host else initramfs.initramfs(arch=kernel.arch), machine="", cpu="",
        reboot=False, host_root=host, extra=(),
        # The agent's line has nobody to talk to, but the agent wants one.
        channels=["-serial", "mon:stdio", "-chardev", "null,id=agent",
                  *machines.agent_line(machine)])
    say(f"$ {quoted(argv)}\nleave with 'busybox poweroff -f' or Ctrl-a x")
    process = child.start(argv, stdin=sys.stdin, foreground=True)
    try:
        return process.wait()
    finally:
        child.stop(process)


if __name__ == "__main__":
    common.main(main)
