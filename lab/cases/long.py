# SPDX-License-Identifier: GPL-2.0
"""make test-long: the machine stops and goes on, and the record has to fit the memory it finds.

Hibernation, suspend, kexec with and without memory that is handed over; and a soak, whose
minutes SOAK= says.
"""

import os
import re
from contextlib import contextmanager

from lab import build, common, initramfs, reports
from lab.cases import Failure, case
from lab.cases.report_mode import ALLOW
from lab.cases.silent import PREPARE, PRESSURE
from lab.cases.witness import agrees, check, churn, number, play, rises, verify, vmstat
from lab.common import BUILD, run
from lab.flips import Stage, poke_module

CONFIG = "x86-long"
PAGES = 2000
STATE, SLEEP = "/sys/power/state", 120
# A panic while the consoles sleep says nothing, by itself.
AWAKE = "no_console_suspend"
# How far pm_test lets the kernel go; suspend to idle takes no CPU offline.
LEVELS = {"freeze": ("freezer", "devices", "platform"),
          "mem": ("freezer", "devices", "platform", "processors", "core")}


@contextmanager
def disk(name, size="768M"):
    """QEMU's arguments for an empty disk that holds what was in memory."""
    path = BUILD / "disks" / f"{name}-{os.getpid()}.raw"
    path.parent.mkdir(parents=True, exist_ok=True)
    run(["truncate", "-s", size, path], quiet=True)
    try:
        yield ("-drive", f"file={path},if=none,id=swap,format=raw,cache=unsafe",
               "-device", "virtio-blk-pci,drive=swap")
    finally:
        path.unlink()


class Owner:
    """A process with pages that have to survive, content and place."""

    def __init__(self, guest):
        self.guest, self.job = guest, guest.start(f"pagepfn {PAGES}")
        self.pfns = [guest.line_of(self.job) for _ in range(PAGES)]

    def check(self):
        self.job.write("check\n")
        line = self.guest.line_of(self.job)
        check(line == "checked 0", f"pages have changed: {line}")

    def drop(self):
        """Give them back, which is what the record must allow."""
        self.job.write("drop\nquit\n")
        status, _ = self.guest.wait(self.job)
        check(status == 0, f"the owner of the pages ended with {status}")


# --- hibernation and suspend ---------------------------------------------------------

def hibernate(guest):
    """To disk, through a reset of the machine, and back."""
    guest.must("mkswap /dev/vda >/dev/null && swapon /dev/vda")
    job = guest.start(f"echo reboot > /sys/power/disk && echo disk > {STATE}")
    guest.wait_for(lambda: job.status is not None or guest.control.boots > 1, SLEEP,
                   "the kernel that slept")
    check(guest.control.boots == 1, "the second kernel has gone on by itself")
    check(job.status == 0, f"hibernation ended with {job.status}: {job.text()}")
    text = guest.console()
    check(len(re.findall(r"Linux version \d", text)) == 2, "no second kernel has been started")
    check(re.search("Image loading progress: 100%|Image loading done", text),
          "the second kernel has not loaded an image")
    check("hibernation exit" in guest.must("dmesg"), "the first kernel does not know that it slept")


def hibernating(note, append="", **machine):
    with disk("hibernation") as arguments:
        def drive(guest):
            churn(guest, note)
            owner = Owner(guest)
            agrees(guest, note)
            hibernate(guest)
            owner.check()
            agrees(guest, note)
            owner.drop()
            churn(guest, note)
            agrees(guest, note)
        play(drive, f"page_consistency=on resume=/dev/vda resumewait {AWAKE} {append}".strip(),
             config=CONFIG, name="hibernation", reboot=True, extra=arguments, **machine)


@case([CONFIG], "hibernation image and resume")
def hibernation(note):
    hibernating(note, smp=2, memory="512M")


@case([CONFIG], "hibernation image and resume, 2 nodes, debug_pagealloc=on")
def hibernation_nodes(note):
    hibernating(note, "debug_pagealloc=on", smp=2, memory="512M", nodes=2)


@case([CONFIG], "damage from before hibernation is reported after it")
def hibernation_damage(note):
    """The record travels in the image: a page that was recorded free still is."""
    found = []

    def drive(guest):
        found.clear()
        stage = Stage(guest)
        job, pfn = stage.used()
        stage.both(pfn)
        hibernate(guest)
        check(number(guest, "violations") == 0, "a violation before the page was freed")
        stage.give_back(job)
        guest.must("dmesg > /dev/null")
        found.extend(report.violation for report in reports.find(guest.console()))
        check(found == ["page freed but not handed out"], f"reported was {found}")
        check(number(guest, "violations") == 1, f"counted {number(guest, 'violations')}")

    with disk("damage") as arguments:
        play(drive, f"page_consistency=report resume=/dev/vda resumewait {AWAKE}", config=CONFIG,
             name="hibernation-damage", reboot=True, smp=1, memory="512M", extra=arguments,
             allow=ALLOW, files={"/poke.ko": poke_module(CONFIG)})
    note(found[0])


def level(guest, state, test):
    guest.must(f"echo {test} > /sys/power/pm_test && echo {state} > {STATE}", SLEEP)
    guest.must("echo none > /sys/power/pm_test")


@case([CONFIG], "suspend to idle and to memory, every level of pm_test")
def suspend(note):
    def drive(guest):
        owner, done = Owner(guest), 0
        guest.must("echo 1 > /sys/module/suspend/parameters/pm_test_delay")
        guest.must("echo deep > /sys/power/mem_sleep")
        for state, tests in LEVELS.items():
            for test in tests:
                level(guest, state, test)
                done += 1
        check(number_of_sleeps(guest) == done, f"the kernel counts {number_of_sleeps(guest)} "
              f"suspends, not {done}")
        note(f"{done} times asleep")
        owner.check()
        owner.drop()
        agrees(guest, note)
    play(drive, f"page_consistency=on {AWAKE}", config=CONFIG, name="suspend", smp=2,
         memory="512M")


def number_of_sleeps(guest):
    return int(guest.must("cat /sys/power/suspend_stats/success"))


@case([CONFIG], "suspend to memory, woken up")
def suspend_to_memory(note):
    def drive(guest):
        owner = Owner(guest)
        guest.must("echo deep > /sys/power/mem_sleep")
        job = guest.start(f"echo mem > {STATE}")
        guest.wait_for(lambda: guest.qmp.count("SUSPEND"), 60, "the machine to sleep")
        guest.qmp.ask("system_wakeup")
        status, text = guest.wait(job, SLEEP)
        check(status == 0, f"suspend ended with {status}: {text}")
        check(number_of_sleeps(guest) == 1, "the kernel does not count a suspend")
        owner.check()
        owner.drop()
        churn(guest, note)
        agrees(guest, note)
    # QEMU loads an ELF file anew when the machine wakes up, over the kernel that slept.
    play(drive, f"page_consistency=on {AWAKE}", kernel=build.compressed(build.built(CONFIG)),
         name="suspend-mem", smp=2, memory="512M")


# --- kexec -----------------------------------------------------------------------------

def kexec(note, append, before, after):
    """Start the same kernel from within itself; before(guest) and after(guest) look."""
    image = build.compressed(build.built(CONFIG)).image

    def drive(guest):
        churn(guest, note)
        before(guest)
        agrees(guest, note)
        guest.start('kexecnow /bzImage /initrd "$(cat /proc/cmdline)"')
        guest.wait_ready(60, boot=2)
        check(guest.console().count("Starting new kernel") == 1, "that was no kexec")
        after(guest)
        churn(guest, note)
        agrees(guest, note)
    play(drive, f"page_consistency=on {append}", config=CONFIG, name="kexec", reboot=True, smp=2,
         memory="1G", files={"/bzImage": image, "/initrd": initramfs.initramfs()})


@case([CONFIG], "kexec into the same kernel")
def kexec_plain(note):
    def after(guest):
        check("KHO restore" not in guest.must("dmesg"), "something was handed over")
    kexec(note, "kho=off", lambda guest: None, after)


@case([CONFIG], "kexec with memory handed over (KHO)")
def kexec_handover(note):
    def before(guest):
        check("KHO restore" not in guest.must("dmesg"), "something was handed over already")

    def after(guest):
        check("KHO restore succeeded" in guest.must("dmesg"), "the test's pages did not arrive")
        check(number(guest, "distance") >= 2 << 12, "the copies are too near to each other")
        note(f"copies {number(guest, 'distance') >> 10} KiB apart where only scratch may be used")
    kexec(note, "kho=on", before, after)


# --- soak ----------------------------------------------------------------------------------

def moved(guest):
    """Pages that were handed out or came back since boot."""
    now = vmstat(guest)
    return now["pgfree"] + sum(count for name, count in now.items() if name.startswith("pgalloc_"))


def soak(note, config, share=1.0, **machine):
    seconds = int(common.number("SOAK", 10.0) * share * 60)
    pressure = PRESSURE.replace("--timeout 8s", f"--timeout {seconds}s") \
        .replace("+ 8))", f"+ {seconds}))")
    if str(seconds) not in pressure or "8s" in pressure:
        raise Failure("the workload of silent.py has another form than this case expects")

    def drive(guest):
        guest.must(PREPARE)
        before, pages, rounds = vmstat(guest), moved(guest), 0
        job = guest.start(pressure)
        while job.status is None:
            _, _, blocks, mismatches = verify(guest)
            check(mismatches == 0, f"{mismatches} mismatches while pages came and went")
            check(blocks, "no free block was looked at")
            check(number(guest, "violations") == 0, "a violation")
            rounds += 1
        status, text = guest.wait(job)
        check(not status, f"the workload failed ({status}): {text}")
        note(rises(guest, before, pswpout=500, thp_fault_alloc=3, pgmigrate_success=10))
        pages = moved(guest) - pages
        check(pages >= 4000 * seconds / guest.kernel.slow,
              f"only {pages} pages came and went in {seconds} s")
        note(f"{pages} pages came and went in {seconds} s, verified {rounds} times meanwhile")
        agrees(guest, note)
    play(drive, "page_consistency=on", config=config, name="soak", tools=["stress-ng"], **machine)


@case(["x86"], "soak: compaction, THP, memcg and swap, verified all the time")
def soak_plain(note):
    # Enough for the OOM killer to stay away; a tight memcg is what makes the kernel swap.
    soak(note, "x86", smp=2, memory="1G", nodes=2)


@case(["x86-debug"], "soak under KASAN and lockdep")
def soak_debug(note):
    soak(note, "x86-debug", 0.5, smp=2, memory="1G", nodes=2)
