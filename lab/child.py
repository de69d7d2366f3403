# SPDX-License-Identifier: GPL-2.0
"""Child processes that cannot outlive us: make, QEMU, UML.

A killed wrapper does not end its make, and a forgotten QEMU eats a CPU for
ever. Every child therefore leads a process group of its own, which is killed
as a whole, and the kernel kills the leader should this process just vanish.
"""

import contextlib
import ctypes
import os
import signal
import subprocess

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def start(argv, foreground=False, **kwargs):
    """Popen in a new process group that dies with this process.

    A foreground child stays in our group: only that one may read the terminal.
    """
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    process = subprocess.Popen([str(a) for a in argv], start_new_session=not foreground,
                               preexec_fn=_die_with_parent, **kwargs)
    process.leads = not foreground
    return process


def _signal(process, sign):
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if process.leads:
            os.killpg(process.pid, sign)
        else:
            process.send_signal(sign)


def stop(process, grace=3.0):
    """End the whole group: politely, then not. Returns the exit status."""
    for sign, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        _signal(process, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            break
    # The leader may be gone while its children linger.
    _signal(process, signal.SIGKILL)
    return process.poll()


@contextlib.contextmanager
def running(argv, **kwargs):
    """A child for the length of a with block."""
    process = start(argv, **kwargs)
    try:
        yield process
    finally:
        stop(process)
