# SPDX-License-Identifier: GPL-2.0
"""Systems that do nothing wrong: the checker must not say a word, and afterwards its record
must agree with the free lists.

Each case boots, shows by some counter that it went where its name says, and ends in agrees().
page_consistency=on is the rule: a false alarm is then a panic, which nothing can overlook.
"""

import re

from lab import build
from lab.cases import Failure, Skip, case
from lab.cases.witness import (FILES, agrees, check, meminfo, number, play, rises, shows, silent,
                               static_key, value, verify, vmstat)
from lab.record import Record
from lab.splat import Allow

HUGE = "/sys/kernel/mm/hugepages/hugepages-{}kB"
GIB, MIB2 = 1 << 20, 2 << 10		# in KiB, as the folders are named


def has_key(name):
    def drive(guest):
        check(static_key(guest, name), f"the option has no effect: {name} is off")
    return drive


def meets_inside_a_section(guest):
    starts = [int(pfn) for pfn in re.findall(r"start_pfn: +(\d+)", guest.must("cat /proc/zoneinfo"))]
    check(any(pfn >= 4096 and pfn % 32768 for pfn in starts),
          f"no node begins inside a section: {starts}")


def holes(guest):
    # 771 MiB begin 7 sections of 128 MiB, of which one is missing as a whole.
    check(number(guest, "sections") == 6, f"{number(guest, 'sections')} sections, 6 expected")
    shows(r"^10000000-13ffffff : Reserved", "cat /proc/iomem")(guest)


def other_node(guest):
    check(number(guest, "distance") > 256 << 20, "the copies are not on different nodes: "
          f"{number(guest, 'distance')} bytes apart")


def debug_guard_pages(guest):
    shows("Setting debug_guardpage_minorder to 1")(guest)
    has_key("_debug_guardpage_enabled")(guest)


MOVABLE = shows(r"Movable\n(?:.*\n){1,9} +managed +[1-9]", "cat /proc/zoneinfo")
NUMA = {"memory": "1G", "nodes": 2}
UNEVEN = {"smp": 2, "nodes": ["500M", "524M"]}

# What needs no more than a command line, a machine, and a look whether it took effect.
PLAIN = {
    "1 CPU, 1 node": ("", {"smp": 1, "memory": "512M"}, None),
    "4 CPUs, 1 node": ("", {"smp": 4}, None),
    "1 CPU, 2 nodes": ("", {"smp": 1, **NUMA}, None),
    "4 CPUs, 2 nodes": ("", {"smp": 4, **NUMA}, None),
    "nodes that meet inside a section": ("", UNEVEN, meets_inside_a_section),
    "init_on_alloc=1 init_on_free=1": ("init_on_alloc=1 init_on_free=1", {},
                                       shows("heap alloc:on, heap free:on")),
    "page_owner=on": ("page_owner=on", {},
                      shows("Page allocated via order", "head -c 65536 "
                            "/sys/kernel/debug/page_owner")),
    "debug_pagealloc=on with guard pages": (
        "debug_pagealloc=on debug_guardpage_minorder=1", {}, debug_guard_pages),
    "page_poison=1": ("page_poison=1", {}, has_key("_page_poisoning_enabled")),
    "deferred struct page initialisation": ("", {"memory": "2G"},
                                            shows("node 0 deferred pages initialised")),
    "memory with holes, odd size": ("memmap=64M$0x10000000 memmap=128M$0x18000000",
                                    {"memory": "771M"}, holes),
    "kernelcore=40%": ("kernelcore=40%", NUMA, MOVABLE),
    "movablecore=300M": ("movablecore=300M", NUMA, MOVABLE),
}


def _register_plain():
    for name, (append, machine, proof) in PLAIN.items():
        def run(note, append=append, machine=machine, proof=proof):
            silent(note, proof, append, **machine)
        run.__module__ = __name__
        case(["x86"], name)(run)


_register_plain()


@case(["x86"], "page_consistency=report")
def report_policy(note):
    silent(note, policy="report", **NUMA)


@case(["x86"], "page_consistency=on,remote")
def remote(note):
    silent(note, other_node, policy="on,remote", **NUMA)


# --- huge pages, boot memory, CMA ---------------------------------------------------

def set_huge(guest, size, count):
    """As many huge pages as asked for, or a failure."""
    folder = HUGE.format(size)
    guest.must(f"echo {count} > {folder}/nr_hugepages", 60)
    check(int(value(guest, f"{folder}/nr_hugepages")) == count,
          f"{value(guest, folder + '/nr_hugepages')} huge pages of {size} KiB, not {count}")


@case(["x86"], "1 GiB page reserved at boot, given back, taken again")
def gigantic(note):
    def drive(guest):
        check(value(guest, HUGE.format(GIB) + "/nr_hugepages") == "1", "no page was reserved")
        before = meminfo(guest, "MemFree")
        set_huge(guest, GIB, 0)
        check(meminfo(guest, "MemFree") - before > GIB * 0.9, "it did not come back")
        # More than there was without it: small huge pages lie where it was.
        set_huge(guest, MIB2, 1200)
        set_huge(guest, MIB2, 0)
        set_huge(guest, GIB, 1)
        set_huge(guest, GIB, 0)
    silent(note, drive, "hugepagesz=1G hugepages=1", memory="3G")


@case(["x86"], "check_pages=1")
def check_pages(note):
    if not build.built("x86").knows("early_check_pages"):
        raise Skip("this kernel has no check_pages=")
    silent(note, has_key("check_pages_enabled"), "check_pages=1")


WITHOUT_VMEMMAP = "hugetlb_free_vmemmap=on hugepagesz=1G hugepages=1"


def demote(guest):
    """1 GiB becomes 512 huge pages, and those are freed; the vmemmap of all is put back."""
    guest.must(f"echo 1 > {HUGE.format(GIB)}/demote", 60)
    set_huge(guest, MIB2, 0)


def demotes_soundly():
    """Skip if a kernel older than the main one warns of its own demoting with the checker off."""
    if build.built("x86").knows("early_check_pages"):
        return
    try:
        play(demote, f"page_consistency=off {WITHOUT_VMEMMAP}", memory="3G")
    except Failure as failure:
        if "static_key_dec_not_one" in str(failure):
            raise Skip("this kernel counts optimised huge pages below zero when one is demoted, "
                       "with the checker off") from failure
        raise


@case(["x86"], "hugetlb without its vmemmap, pages demoted")
def vmemmap(note):
    demotes_soundly()

    def drive(guest):
        before = vmstat(guest)
        set_huge(guest, MIB2, 200)
        after = vmstat(guest)
        change = sum(after[name] - before[name]
                     for name in ("nr_memmap_pages", "nr_memmap_boot_pages"))
        # 7 of the 8 pages of struct pages of each huge page are given back.
        check(change == -200 * 7, f"the vmemmap changed by {change} pages, not by {-200 * 7}")
        set_huge(guest, MIB2, 20)
        guest.must(f"echo 1 > {HUGE.format(GIB)}/demote", 60)
        check(value(guest, HUGE.format(MIB2) + "/nr_hugepages") == "532", "not demoted")
        set_huge(guest, MIB2, 0)
        note(f"vmemmap {change} pages")
    silent(note, drive, WITHOUT_VMEMMAP, memory="3G")


@case(["x86"], "crashkernel= shrunk at run time")
def crash_kernel(note):
    def drive(guest):
        total = meminfo(guest, "MemTotal")
        for size in (32 << 20, 0):
            guest.must(f"echo {size} > /sys/kernel/kexec_crash_size")
            check(value(guest, "/sys/kernel/kexec_crash_size") == str(size), "it did not shrink")
        gained = meminfo(guest, "MemTotal") - total
        check(gained >= 60 << 10, f"only {gained} KiB came back")
        note(f"MemTotal +{gained} KiB")
    silent(note, drive, "crashkernel=64M")


@case(["x86"], "CMA in use")
def cma(note):
    area = "/sys/kernel/debug/cma/reserved"

    def drive(guest):
        before = vmstat(guest)
        for pages in (1, 7, 512, 8192):
            guest.must(f"echo {pages} > {area}/alloc && echo {pages} > {area}/free", 60)
        note(rises(guest, before, cma_alloc_success=4))
        # Movable pages fill the area, and a contiguous allocation moves them out again.
        guest.must("mkdir /tmp/big && mount -t tmpfs -o size=90% big /tmp/big")
        used = 0
        for part in range(16):
            guest.must(f"dd if=/dev/zero of=/tmp/big/{part} bs=1M count=20 2>/dev/null", 60)
            used = before["nr_free_cma"] - vmstat(guest)["nr_free_cma"]
            if used > 6000:
                break
        check(used > 6000, f"only {used} pages of the area were lent")
        before = vmstat(guest)
        guest.must(f"echo 6000 > {area}/alloc && rm /tmp/big/* && echo 6000 > {area}/free", 60)
        note(f"nr_free_cma -{used}, " + rises(guest, before, cma_alloc_success=1,
                                              pgmigrate_success=1000))
    silent(note, drive, "cma=64M", memory="384M")


# --- under pressure ----------------------------------------------------------------

PREPARE = """
echo always > /sys/kernel/mm/transparent_hugepage/enabled
echo 1 > /sys/kernel/mm/ksm/run
echo 192M > /sys/block/zram0/disksize && mkswap /dev/zram0 >/dev/null && swapon /dev/zram0
mkdir -p /tmp/cg && mount -t cgroup2 none /tmp/cg
echo +memory > /tmp/cg/cgroup.subtree_control
mkdir /tmp/cg/tight && echo 96M > /tmp/cg/tight/memory.high
"""
# One worker lives in a memcg that is too tight for it, the others beside it.
PRESSURE = """
sh -c 'echo $$ > /tmp/cg/tight/cgroup.procs && exec stress-ng --quiet --oomable --vm 1 \\
	--vm-bytes 160M --vm-keep --vm-method rowhammer --timeout 8s' &
stress-ng --quiet --oomable --fork 1 --mmap 1 --mmap-bytes 48M --madvise 1 --shm 1 --shm-bytes 8M \\
	--pipe 1 --memfd 1 --memfd-bytes 8M --vm-splice 1 --timeout 8s &
end=$(($(date +%s) + 8))
while [ $(date +%s) -lt $end ]; do echo 1 > /proc/sys/vm/compact_memory; sleep 0.2; done
wait
"""
TURNOVER = {"pgfree": 100000, "pswpout": 500, "pswpin": 10, "thp_fault_alloc": 3,
            "compact_migrate_scanned": 100, "pgmigrate_success": 10}


def verify_while(guest, job):
    """Verify until the job is done: CPUs that allocate meanwhile are no false alarm."""
    rounds = 0
    while job.status is None:
        _, _, blocks, mismatches = verify(guest)
        check(mismatches == 0, f"{mismatches} mismatches while pages came and went")
        check(blocks, "no free block was looked at")
        rounds += 1
    status, text = guest.wait(job)
    check(not status, f"the workload failed ({status}): {text}")
    return rounds


def pressed(note, **machine):
    def drive(guest):
        guest.must(PREPARE)
        before, rounds = vmstat(guest), 0
        # How much is done in 8 seconds depends on who else uses the host.
        for _ in range(15):
            rounds += verify_while(guest, guest.start(PRESSURE))
            now = vmstat(guest)
            if all(now[name] - before[name] >= wish for name, wish in TURNOVER.items()):
                break
        note(f"{rounds} verifications meanwhile; " + rises(guest, before, **TURNOVER))
        check(rounds >= 2, "the record was not verified meanwhile")
        high = re.search(r"high (\d+)", guest.must("cat /tmp/cg/tight/memory.events"))
        check(int(high[1]), "memory.high was never met")
    silent(note, drive, tools=["stress-ng"], **machine)


@case(["x86"], "compaction, THP, memcg and swap under load")
def pressure(note):
    pressed(note, smp=2, memory="512M", nodes=2)


@case(["x86-debug"], "compaction, THP, memcg and swap under load, KASAN and lockdep")
def debug_pressure(note):
    pressed(note, config="x86-debug", smp=2, memory="1G", nodes=2)


@case(["x86-debug"], "KASAN and lockdep, 1 CPU")
def debug_one_cpu(note):
    silent(note, offline_drive(note), config="x86-debug", smp=1, memory="1G")


# --- pages that go another way ----------------------------------------------------

def offline_drive(note):
    poison = "/sys/kernel/debug/hwpoison"

    def drive(guest):
        for words in ("soft 8", "soft 2 huge", "hard 4", "hard 1 huge"):
            broken = re.findall(r"0x\w+", guest.must(f"memops {words}"))
            check(len(broken) == int(words.split()[1]), f"memops {words}: {broken}")
            for pfn in broken[:2] if "huge" not in words else ():
                guest.must(f"echo {pfn} > {poison}/unpoison-pfn")
        # Out of the middle of what was just freed, and drained: on a free list.
        pages = guest.start("pagepfn 2048 > /tmp/pfns")
        pages.write("drop\nquit\n")
        guest.wait(pages)
        guest.must("echo 1 > /proc/sys/vm/compact_memory")
        pfn = guest.must("sed -n 1024p /tmp/pfns").split()[1]
        guest.must(f"echo {pfn} > {poison}/corrupt-pfn")
        shows("recovery action for free buddy page: Recovered")(guest)
        guest.must(f"echo {pfn} > {poison}/unpoison-pfn")
        check(guest.must("dmesg").count("software-unpoisoned page") >= 5, "not unpoisoned")
        note("16 pages offline, soft and hard, one of them on a free list; 5 taken back")
    return drive


@case(["x86"], "pages offline: soft, hard, on a free list, taken back")
def offline(note):
    silent(note, offline_drive(note))


@case(["x86"], "balloon up and down, free pages reported")
def balloon(note):
    def resident(guest):
        with open(f"/proc/{guest.process.pid}/statm") as statm:
            return int(statm.read().split()[1])

    def inflate(guest, size):
        guest.qmp.ask("balloon", value=size << 20)
        guest.wait_for(lambda: guest.qmp.ask("query-balloon")["actual"] == size << 20, 20,
                       f"a balloon that leaves {size} MiB")

    def drive(guest):
        full = meminfo(guest, "MemTotal")
        inflate(guest, 512)
        check(meminfo(guest, "MemTotal") < full - (480 << 10), "the balloon took nothing")
        inflate(guest, 1024)
        check(meminfo(guest, "MemTotal") == full, "the balloon did not give all back")
        guest.must("dd if=/dev/zero of=/tmp/x bs=1M count=200 2>/dev/null", 60)
        most = resident(guest)
        guest.must("rm /tmp/x")
        # Free pages are reported two seconds later, and QEMU drops them.
        guest.wait_for(lambda: resident(guest) < most - (150 << 8), 10, "reported pages")
        note(f"resident pages of QEMU: {most} before the report, {resident(guest)} after it")
    silent(note, drive, extra=("-device", "virtio-balloon-pci,free-page-reporting=on"))


@case(["x86"], "memory outside of the direct map (memfd_secret)")
def secret(note):
    def drive(guest):
        check("secret 1000" in guest.must("memops secret 1000"), "memfd_secret did not work")
    silent(note, drive)


# --- the command line and the files -------------------------------------------------

@case(["x86"], "an unknown word on the command line means 'on', and says so")
def unknown_word(note):
    said = r"page_consistency: 'bogus' is unknown, taken for 'on'; known are off, on, report"

    def drive(guest):
        shows(said)(guest)
        agrees(guest, note)
    play(drive, "page_consistency=bogus", allow=[Allow("checker", said, "it was asked for")])


@case(["x86"], "page_consistency without a value means 'on'")
def no_value(note):
    play(lambda guest: agrees(guest, note), "page_consistency")


@case(["x86"], "page_consistency=off leaves nothing but the policy")
def off(note):
    def drive(guest):
        check(guest.must(f"ls {FILES}").split() == ["policy"], guest.must(f"ls {FILES}"))
        check(value(guest, f"{FILES}/policy") == "off", "the policy is not 'off'")
        check(not static_key(guest, "page_consistency_enabled"), "the key is on")
    for append in ("page_consistency=off", ""):
        play(drive, append)


MODES = {"configuration": "444", "scrub_incomplete": "444", "verified_proofs": "400",
         "bytes": "444", "distance": "444", "pages": "444", "policy": "444", "safe_order": "444",
         "sections": "444",
         "violations": "444", "scrub_latency_ms": "444", "scrub_ns": "444", "scrub_passes": "444",
         "verified_blocks": "400", "verified_mismatches": "400",
         "verified_ns": "400", "verified_pages": "400", "verified_sections": "400",
         "verify": "200"}
USERS = "root:x:0:0::/:/bin/sh\nnobody:x:1000:1000::/:/bin/sh\n"


@case(["x86"], "the largest safe folio order is that of the memmap's alignment")
def safe_order(note):
    # 16 GiB; before that a page of the second level of page tables, which x86-64 has.
    largest = 22 if build.built("x86").has("CONFIG_HAVE_GIGANTIC_FOLIOS") else 18

    def drive(guest):
        base = Record(guest).vmemmap
        order = min(largest, (base & -base).bit_length() - 1 - 6)
        said = number(guest, "safe_order")
        check(said == order, f"safe_order is {said}, the memmap at {base:#x} allows {order}")
        note(f"memmap at {base:#x}: order {order}")
        agrees(guest, note)
    play(drive, "page_consistency=on")


@case(["x86"], "only root reads results and verifies")
def files(note):
    def drive(guest):
        guest.must(f"printf '{USERS}' > /etc/passwd".replace("\n", "\\n"))
        found = dict(line.split() for line in
                     guest.must(f"cd {FILES} && stat -c '%n %a' *").splitlines())
        check(found == MODES, f"names and modes are {found}")
        for name, mode in MODES.items():
            allowed = not guest.sh(f"su nobody -c 'cat {FILES}/{name}'")[0]
            check(allowed == (mode == "444"), f"{name}: another user may read it: {allowed}")
            check(guest.sh(f"su nobody -c 'echo 1 > {FILES}/{name}'")[0],
                  f"{name}: another user may write to it")
        check(number(guest, "verified_sections") == 0, "another user started a verification")
        for word in ("0", "x", ""):
            check(guest.sh(f"echo '{word}' > {FILES}/verify")[0], f"'{word}' starts a verification")
        agrees(guest, note)
    play(drive, "page_consistency=on")
