# SPDX-License-Identifier: GPL-2.0
"""A violation under page_consistency=on stops the machine, whatever panic() is told to do then.

Each is caused in a task, an interrupt and an NMI, with and without zone->lock held, under
each option that makes panic() do more. The machine has to come to where it reboots, or to
the kernel that kdump has loaded, within STOPS_IN seconds, and the report has to be in the
memory of ramoops. All combinations of a context begin at the same moment of the same guest.
"""

import time
from dataclasses import dataclass

from lab import build, reports
from lab.cases import Failure, case
from lab.cases.panicking import POLICY, first_report
from lab.cases.ramoops import AT, SIZE
from lab.common import ROOT, LabError
from lab.initramfs import compiled
from lab.qemu import Guest, GuestTimeout
from lab.snapshot import Snapshot

KERNEL = "x86"
DO = "/sys/module/stopping/parameters/do"
PARAMETERS = "/sys/module/kernel/parameters"
SYMBOLS = ("hrtimer_bases", "psinfo", "runqueues", "raw_spin_rq_lock_nested")
STOPS_IN = 10			# seconds of a real machine; healthy ones take less than three here
# Not compressed, so that it can be read where it is; a record has room for the whole log,
# because the end of what has none is cut off.
RAMOOPS = f"memmap={SIZE >> 20}M${AT:#x} ramoops.mem_address={AT:#x} ramoops.mem_size={SIZE:#x} " \
          "ramoops.record_size=0x20000 ramoops.console_size=0 pstore.compress=none"
HEADER = b"DBGC"		# in front of each record
END, CAPTURE = "---[ end Kernel panic", "capture: started"
VIOLATION = {"free": "page put too often", "list": "free block contradicts the record"}
CRASH = "crashload"
NOTIFIERS = f"echo Y > {PARAMETERS}/crash_kexec_post_notifiers"

# What panic() is told, and how; the bits are those of panic_print=.
OPTIONS = {
    "nothing": "",
    "panic_print=0x1 (tasks)": f"echo 0x1 > {PARAMETERS}/panic_print",
    "panic_print=0x2 (memory)": f"echo 0x2 > {PARAMETERS}/panic_print",
    "panic_print=0x4 (timers)": f"echo 0x4 > {PARAMETERS}/panic_print",
    "panic_print=0x8 (locks)": f"echo 0x8 > {PARAMETERS}/panic_print",
    "panic_print=0x10 (ftrace)": f"echo 0x10 > {PARAMETERS}/panic_print",
    "panic_print=0x20 (replay)": f"echo 0x20 > {PARAMETERS}/panic_print",
    "panic_print=0x40 (all CPUs)": f"echo 0x40 > {PARAMETERS}/panic_print",
    "panic_print=0x80 (blocked tasks)": f"echo 0x80 > {PARAMETERS}/panic_print",
    "panic_sys_info=, all of it":
        "echo tasks,mem,timers,locks,ftrace,all_bt,blocked_tasks > /proc/sys/kernel/panic_sys_info",
    "kdump": CRASH,
    "kdump, crash_kexec_post_notifiers": f"{CRASH} && {NOTIFIERS}",
    "a console that allocates": f"echo console > {DO}",
    "an oops is survived": "echo 0 > /proc/sys/kernel/panic_on_oops",
}
# With a lock held that panic() would wait for: (where, what, held, option).
LOCKED = (
    ("task", "free", "zone", "panic_print=0x2 (memory)"),
    ("task", "free", "zone", "a console that allocates"),
    ("nmi", "free", "zone", "panic_sys_info=, all of it"),
    ("nmi", "free", "timers", "panic_print=0x4 (timers)"),
    ("nmi", "list", "timers", "panic_sys_info=, all of it"),
    ("nmi", "free", "rq", "panic_print=0x1 (tasks)"),
    ("nmi", "list", "rq", "a console that allocates"),
    ("task", "free", "pstore", "nothing"),
    ("task", "list", "pstore", "kdump"),
    ("task", "free", "oops", "an oops is survived"),
    ("task", "list", "oops", "an oops is survived"),
)


@dataclass(frozen=True)
class Combination:
    """What happens where, and what panic() is told."""

    context: str
    what: str
    held: str
    option: str

    def __str__(self):
        lock = "zone->lock held" if self.what == "list" else "no lock"
        held = "" if self.held == "-" else f", {self.held}"
        return f"{self.context}, {lock}{held}; {self.option}"


def module():
    return build.module(build.built(KERNEL), "stopping", SYMBOLS)


class Stopping:
    """A guest that is stopped again and again."""

    def __init__(self, append=""):
        tool = compiled(ROOT / "lab" / "guest" / "x86" / f"{CRASH}.c")
        self.guest = Guest(
            build.built(KERNEL), f"{POLICY} {RAMOOPS} crashkernel=64M panic=0 {append}".strip(), smp=2, memory="768M", name="panic-ends", quiet=True,
            files={"/stopping.ko": module(), f"/bin/{CRASH}": tool})

    def __enter__(self):
        self.guest.__enter__()
        self.guest.wait_ready()
        self.guest.must("insmod /stopping.ko")
        self.snapshot = Snapshot(self.guest)
        return self

    def __exit__(self, *what):
        return self.guest.__exit__(*what)

    def stop(self, combination):
        """The seconds that it took; raises if it has not stopped as it must."""
        self.snapshot.restore()
        if OPTIONS[combination.option]:
            self.guest.must(OPTIONS[combination.option])
        words = f"{combination.context} {combination.what} {combination.held}"
        begun = time.monotonic()
        job = self.guest.start(f"echo '{words}' | taskset 1 tee {DO} >/dev/null")
        end = CAPTURE if CRASH in OPTIONS[combination.option] else END
        try:
            self.guest.wait_for(lambda: end in self.snapshot.said() or job.status is not None,
                                STOPS_IN, "the end of the panic", True)
        except GuestTimeout:
            self.guest.timed_out = ""
            raise Failure(f"it has not stopped in {STOPS_IN} s\n"
                          + "\n".join(self.guest.where())) from None
        if job.status is not None:
            raise Failure(f"it goes on: {job.status} {job.text()}")
        self.judge(combination)
        return time.monotonic() - begun

    def judge(self, combination):
        memory = self.guest.memory.read_bytes(AT, SIZE)
        saved = [report for record in memory.split(HEADER)
                 for report in reports.find(record.decode("latin-1").rstrip("\0"))]
        if combination.held == "pstore":
            saved = [first_report(self.snapshot.said())]	# nothing can be saved
        if not saved:
            raise Failure("the report is not in the memory of ramoops")
        # What is said in an NMI comes to no console if kdump's kernel is started from it.
        silent = (combination.context, CRASH in OPTIONS[combination.option]) == ("nmi", True)
        found = saved[0] if silent else first_report(self.snapshot.said())
        if found.violation != VIOLATION[combination.what] or not found.whole:
            raise Failure(f"reported was '{found.violation}', whole: {found.whole}")
        if saved[0].text != found.text:
            raise Failure("the memory of ramoops has another report than the console")
        if not found.essence.startswith(found.violation) and \
                CRASH not in OPTIONS[combination.option] and combination.held != "oops":
            raise Failure(f"the panic line is '{found.panic}'")
        if "page allocation failure" in self.snapshot.said():
            raise Failure("an allocation that cannot succeed complains")


def stops(note, combinations, append=""):
    with Stopping(append) as stopping:
        for combination in combinations:
            try:
                seconds = stopping.stop(combination)
            except (LabError, Failure) as error:
                note.part(str(combination), "fail", f"{error}\n{stopping.snapshot.said()[-3000:]}")
                return		# what hangs once hangs often, and each is waited for
            else:
                note.part(f"{combination}: {seconds:.1f} s", "pass", "")


WHERE = {
    "every option of panic(), task, with no lock held": ("task", "free"),
    "every option of panic(), task, with zone->lock held": ("task", "list"),
    "every option of panic(), irq, with no lock held": ("irq", "free"),
    "every option of panic(), irq, with zone->lock held": ("irq", "list"),
    "every option of panic(), nmi, with no lock held": ("nmi", "free"),
    "every option of panic(), nmi, with zone->lock held": ("nmi", "list"),
}


def _register():
    for title, words in WHERE.items():
        def run(note, words=words):
            stops(note, [Combination(*words, "-", option) for option in OPTIONS])
        run.__module__ = __name__
        case([KERNEL], title)(run)


_register()


@case([KERNEL], "what panic() would wait for is locked, or the report stumbles")
def locked(note):
    stops(note, [Combination(*words) for words in LOCKED])


@case([KERNEL], "panic_force_cpu= names a CPU with interrupts off, panic_on_taint= the report's")
def moved(note):
    stops(note, [Combination("task", "free", "zone", "nothing"),
                 Combination("task", "list", "-", "nothing")], "panic_force_cpu=1 panic_on_taint=0x20")
