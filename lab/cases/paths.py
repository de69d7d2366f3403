# SPDX-License-Identifier: GPL-2.0
"""Ways of pages that the other cases do not take; Documentation/mm/page_consistency_paths.rst
is the list of all of them.

Where user space cannot choose a way, lab/modules/paths.c does: it fails unless the pages went
there and were recorded as they have to be. lab/modules/twice.c makes the mistakes.
"""

import functools

from lab import build, qemu, reports, splat
from lab.cases import Failure, case
from lab.cases.report_mode import ALLOW
from lab.cases.silent import GIB, HUGE, MIB2, MOVABLE, set_huge
from lab.cases.witness import (agrees, check, meminfo, number, play, rises, shows, silent, value,
                               verify, vmstat)

# What the modules call and the kernel does not export.
SYMBOLS = {
    "paths": ("pc_store", "__isolate_free_page", "__putback_isolated_page", "free_pages_nolock",
              "get_pfnblock_migratetype", "post_alloc_hook", "put_page_back_buddy",
              "reserve_mem_release_by_name", "take_page_off_buddy"),
    "poison": ("pc_store", "alloc_contig_frozen_pages_noprof", "free_frozen_pages",
               "free_pages_nolock"),
    "twice": ("__isolate_free_page", "__putback_isolated_page", "free_frozen_pages",
              "free_pages_nolock", "get_pfnblock_migratetype", "post_alloc_hook",
              "put_page_back_buddy", "take_page_off_buddy"),
}


@functools.cache
def module(name, config="x86"):
    return build.module(build.built(config), name, SYMBOLS[name])


def command(guest, name, words):
    """One command of a module; returns what it says that it did."""
    files = f"/sys/module/{name}/parameters/do"
    status, _ = guest.sh(f"echo '{words}' > {files}", 60)
    text = guest.must(f"cat {files}").strip()
    check(not status, f"{name}: {words}: {text}")
    return text


# --- ways that only a module can take ------------------------------------------------

LEAKED = splat.Allow("warning", "alloc_contig_frozen_range_noprof|cut here",
                     "the case asks for what cannot be had")
BAD = [splat.Allow(kind, ".", "the case has damaged a struct page") for kind in
       ("bad-page", "trace", "bug")]

# title: (commands, command line, what may be in the log)
TAKEN = {
    "bulk allocation, batch free": ("bulk 2,bulk 64,bulk 256", "", ()),
    "alloc_pages_exact() and free_pages_exact()": ("exact 1,exact 5,exact 33,exact 64", "", ()),
    "split_page(), pages freed one by one": ("split 1,split 4,split 9", "", ()),
    "tail freed ahead of a speculative reference": ("tail 1,tail 3,tail 6,tail 10", "", ()),
    "tail freed ahead of a speculative reference, without locks":
        ("tailnolock 1,tailnolock 3,tailnolock 6", "", ()),
    "page fragments": ("frag 40,frag 200", "", ()),
    "allocation and free without locks": ("nolock 0,nolock 1,nolock 3", "", ()),
    "free without locks while the zone is locked": ("deferred 4,deferred 6,deferred 10", "", ()),
    "upper half freed while the zone is locked": ("latehalf 4,latehalf 6,latehalf 8",
                                                  "check_pages=1", ()),
    "contiguous range": ("contig 1,contig 300,contig 5000", "", ()),
    "contiguous range as one compound page": ("compound 9,compound 10,compound 12", "", ()),
    "contiguous compound page that does not fit": ("mismatch 3", "", [
        LEAKED, splat.Allow("trace", ".", LEAKED.reason)]),
    "block captured by compaction": ("capture 4,capture 7", "", ()),
    "block isolated and put back": ("isolate 0", "", ()),
    "page found bad when it is handed out": ("badnew 0", "check_pages=1", BAD),
    "block refused for a page behind its first":
        ("badtail 1,badtail 3,badtail 6,badtail 10", "check_pages=1", BAD),
    "page taken off a free list and put back": ("takeoff 4,takeoff 6,takeoff 10", "", ()),
    "reserved block given back as a whole": ("whole 0,whole 3,whole 9,whole 10", "", ()),
    "reserve_mem= released": ("reserved 1024", "reserve_mem=1M:4096:paths", ()),
}


def _register_taken():
    for title, (words, append, allow) in TAKEN.items():
        def run(note, words=words, append=append, allow=allow):
            def drive(guest):
                guest.must("insmod /paths.ko")
                for one in words.split(","):
                    note(f"{one}: {command(guest, 'paths', one)}")
                agrees(guest, note)
            play(drive, f"page_consistency=on {append}".strip(), name="paths", smp=1,
                 memory="512M", files={"/paths.ko": module("paths")}, allow=allow)
        run.__module__ = __name__
        case(["x86"], title)(run)


_register_taken()


# --- mistakes by every way -----------------------------------------------------------

MISTAKES = "mistakes are reported"
FREED = "page freed but not handed out"

# title: (command, violation, how many)
TWICE = {
    "__free_pages()": ("again 0", FREED, 1),
    "__free_pages(), no order of per-CPU lists": ("again 6", FREED, 1),
    "release_pages()": ("batch 0", FREED, 1),
    "free_frozen_pages()": ("frozen 3", FREED, 1),
    "free_pages_nolock()": ("nolock 0", FREED, 1),
    "free_pages_nolock(), zone locked": ("deferred 4", FREED, 1),
    "page_frag_free()": ("frag 0", FREED, 1),
    "__page_frag_cache_drain()": ("drain 0", FREED, 1),
    "free_pages_exact()": ("exact 3", FREED, 3),
    "free_reserved_page()": ("reserved 0", FREED, 1),
    "free_reserved_pages()": ("reserved 3", FREED, 1),
    "free_contig_range()": ("contig 8", FREED, 8),
    "gigantic block": ("gigantic 11", FREED, 1),
    "block of which a page is free": ("part 4", FREED, 1),
    "put_page_back_buddy()": ("back 4", FREED, 1),
    "block in which memory has failed": ("failed 4", FREED, 1),
    "isolated block": ("isolated 0", FREED, 1),
    "post_alloc_hook()": ("handout 3", "page handed out twice", 1),
    "block listed without a free": ("listed 0", "page on a free list but not in the allocator", 1),
}


def mistake(guest, words, violation, times):
    """Make one, and compare what is printed and counted; returns what is wrong or nothing."""
    guest.must("echo 1 > /sys/kernel/debug/clear_warn_once")
    counted, printed = number(guest, "violations"), len(reports.find(guest.console()))
    done = command(guest, "twice", words)
    for _ in range(20):			# a report from under a lock is printed later
        guest.must("dmesg > /dev/null")
        found = [report.violation for report in reports.find(guest.console())[printed:]]
        if found:
            break
        guest.must("sleep 0.1")
    more = number(guest, "violations") - counted
    if found != [violation] or more != times:
        return f"{words} ({done}): reported {found or 'nothing'}, counted {more}; " \
               f"must be '{violation}', counted {times}"
    return ""


@case(["x86"], MISTAKES)
def mistakes(note):
    wrong = {}

    def drive(guest):
        wrong.clear()
        guest.must("insmod /twice.ko")
        for title, made in TWICE.items():
            wrong[title] = mistake(guest, *made)
        # What was refused is leaked; all else goes on.
        guest.must("pagepfn 40000 </dev/null | wc -l", 40)
        mismatches = verify(guest)[3]
        check(mismatches == 0, f"verification finds {mismatches} mismatches after the reports")

    outcome = qemu.play(lambda: qemu.Guest(
        build.built("x86"), "page_consistency=report", smp=1, memory="512M", name="twice",
        quiet=True, allow=ALLOW, files={"/twice.ko": module("twice")}), drive)
    for title in TWICE:
        reason = wrong.get(title, "not tried, the guest had ended")
        note.part(title, "fail" if reason else "pass", reason)
    if not outcome.good:
        raise Failure(str(outcome))


@case(["x86"], "second free is reported without the checker, too")
def second_free(note):
    """By the page allocator itself, and the pages behind the first stay where they are."""
    orders = (0, 3, 6)

    def drive(guest):
        guest.must("insmod /twice.ko")
        for order in orders:
            note(command(guest, "twice", f"below {order}"))
        said = guest.must("dmesg")
        found = said.count("page dumped because: reference put that nobody held")
        check(found == len(orders), f"{found} of {len(orders)} second frees are reported\n{said}")
        # A page that is on two lists is given to two of these.
        guest.must("pagepfn 40000 </dev/null | sort | uniq -d | wc -l | grep -x 0", 40)
    play(drive, "page_consistency=off", smp=1, memory="512M", name="second-free", allow=BAD,
         files={"/twice.ko": module("twice")})


# --- ways that the command line or user space can choose ----------------------------------

@case(["x86"], "initmem and initrd given back at boot")
def boot_memory(note):
    def drive(guest):
        for what in ("initrd memory", r"unused kernel image \(initmem\) memory"):
            shows(rf"Freeing {what}: [1-9]\d*K")(guest)
        agrees(guest, note)
    play(drive, "page_consistency=on", memory="512M")


@case(["x86"], "CMA area that cannot be activated")
def cma_refused(note):
    """It spans two zones, so each of its pages goes to the allocator as a reserved one."""
    def drive(guest):
        shows("cma: Reserved 256 MiB at 0x0*18000000")(guest)
        shows("CMA area reserved could not be activated")(guest)
        check(meminfo(guest, "CmaTotal") == 0, "the area is there")
        total = meminfo(guest, "MemTotal")
        check(total > 950 << 10, f"its memory did not come back, MemTotal is {total} KiB")
    silent(note, drive, "cma=256M@384M kernelcore=50%")


@case(["x86"], "CMA area for huge pages that spans zones")
def hugetlb_cma_cross_zone(note):
    """As the page that spans zones below, and there is no other GiB for the area."""
    def drive(guest):
        shows("hugetlb_cma: reserved area spans zones")(guest)
        shows("CMA area hugetlb0 could not be activated")(guest)
        MOVABLE(guest)
        check(meminfo(guest, "CmaTotal") == 0, "the area is there")
        total = meminfo(guest, "MemTotal")
        check(total > GIB * 2.7, f"its memory did not come back, MemTotal is {total} KiB")
    silent(note, drive, "kernelcore=50% hugetlb_cma=1G hugepagesz=1G", memory="3G")


@case(["x86"], "1 GiB page that spans zones, given back at boot")
def cross_zone(note):
    """ZONE_MOVABLE begins in the middle of the only GiB that is free as a whole."""
    def drive(guest):
        shows(r"HugeTLB: freed 1 cross-zone hugepages of size 1\.00 GiB on node 0")(guest)
        MOVABLE(guest)
        check(value(guest, HUGE.format(GIB) + "/nr_hugepages") == "0", "the page was kept")
        total = meminfo(guest, "MemTotal")
        check(total > GIB * 2.7, f"its memory did not come back, MemTotal is {total} KiB")
    silent(note, drive, "kernelcore=50% hugepagesz=1G hugepages=1", memory="3G")


@case(["x86"], "THP split, its pages freed one by one")
def thp_split(note):
    def drive(guest):
        guest.must("echo always > /sys/kernel/mm/transparent_hugepage/enabled")
        before = vmstat(guest)
        job = guest.start("pagepfn 4096 huge")
        for _ in range(4096):
            guest.line_of(job)
        guest.must("echo 1 > /sys/kernel/debug/split_huge_pages", 60)
        note(rises(guest, before, thp_fault_alloc=6, thp_split_page=6))
        job.write("drop\nquit\n")
        status, _ = guest.wait(job)
        check(status == 0, f"pagepfn ended with {status}")
    silent(note, drive, memory="512M")


LENT, FREE = 4096, 250000		# pages of an area of 1 GiB; movable ones are in it for a while


def free_cma(guest):
    return vmstat(guest)["nr_free_cma"]


@case(["x86"], "1 GiB page from hugetlb CMA, demoted, given back")
def hugetlb_cma(note):
    def drive(guest):
        before = vmstat(guest)
        check(free_cma(guest) > FREE, "there is no hugetlb CMA area")
        set_huge(guest, GIB, 1)
        check(free_cma(guest) < LENT, "the page is not from the CMA area")
        note(rises(guest, before, cma_alloc_success=1))
        set_huge(guest, GIB, 0)
        check(free_cma(guest) > FREE, "it did not go back to the CMA area")
        set_huge(guest, GIB, 1)
        guest.must(f"echo 1 > {HUGE.format(GIB)}/demote", 60)
        check(value(guest, HUGE.format(MIB2) + "/nr_hugepages") == "512", "not demoted")
        set_huge(guest, MIB2, 0)
        check(free_cma(guest) > FREE, "its parts did not go back to the CMA area")
    silent(note, drive, "hugetlb_cma=1G hugepagesz=1G", memory="3G")


@case(["x86"], "1 GiB page of hugetlb CMA reserved at boot")
def hugetlb_cma_boot(note):
    def drive(guest):
        check(value(guest, HUGE.format(GIB) + "/nr_hugepages") == "1", "no page was reserved")
        check(free_cma(guest) < LENT, "the page is not from the CMA area")
        set_huge(guest, GIB, 0)
        check(free_cma(guest) > FREE, "it did not go to the CMA area")
        set_huge(guest, GIB, 1)
        set_huge(guest, GIB, 0)
    silent(note, drive, "hugetlb_cma=1G hugetlb_cma_only=on hugepagesz=1G hugepages=1",
           memory="3G")
