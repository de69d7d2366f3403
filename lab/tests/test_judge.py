# SPDX-License-Identifier: GPL-2.0
"""Every outcome from made-up evidence: what must never become a pass does not."""

import unittest

from lab.judge import Evidence, Kind, judge

BOOT = "[    0.000000] Linux version 7.2.13\n[    1.0] Run /init as init process\n"
DOWN = "[    9.9] reboot: Power down\n"
PANIC = ("[    4.0] page_consistency: page handed out twice\n"
         "[    4.1] Kernel panic - not syncing: page_consistency: page handed out twice: pfn 0x1\n"
         "[    4.2] Call Trace:\n")
WARN = "[    3.0] WARNING: mm/x.c:1 at foo+0x1/0x2\n"


def outcome(console=BOOT + DOWN, **facts):
    facts.setdefault("command", "qemu-system-x86_64 -kernel vmlinux")
    facts.setdefault("console_path", "/tmp/console.log")
    return judge(Evidence(console=console, **facts))


class Judge(unittest.TestCase):
    def check(self, kind, got, *texts):
        self.assertEqual(got.kind, kind, str(got))
        self.assertEqual(got.good, kind in (Kind.PASS, Kind.EXPECTED_PANIC))
        for text in texts:
            self.assertIn(text, str(got))

    def test_pass(self):
        self.check(Kind.PASS, outcome(verdict=("pass", "")))

    def test_no_verdict_is_no_pass(self):
        self.check(Kind.HARNESS_ERROR, outcome(), "without a verdict")

    def test_strange_verdict(self):
        self.check(Kind.HARNESS_ERROR, outcome(verdict=("passed", "")), "not a verdict")

    def test_failure(self):
        self.check(Kind.TEST_FAILURE, outcome(verdict=("fail", "sums differ")), "sums differ")

    def test_splat_beats_pass(self):
        self.check(Kind.TEST_FAILURE, outcome(BOOT + WARN + DOWN, verdict=("pass", "")),
                   "mm/x.c:1")

    def test_log_without_end(self):
        self.check(Kind.HARNESS_ERROR, outcome(BOOT, verdict=("pass", "")), "cannot be scanned")

    def test_empty_log(self):
        self.check(Kind.HARNESS_ERROR, outcome("", verdict=("pass", "")), "cannot be scanned")

    def test_qemu_failed(self):
        self.check(Kind.HARNESS_ERROR,
                   outcome(verdict=("pass", ""), status=1, qemu="no such device"),
                   "no such device")

    def test_killed_qemu(self):
        self.check(Kind.HARNESS_ERROR, outcome(verdict=("pass", ""), status=-9))

    def test_unexpected_panic(self):
        got = outcome(BOOT + PANIC, panicked=True, verdict=("pass", ""))
        self.check(Kind.UNEXPECTED_PANIC, got, "handed out twice", "qemu-system-x86_64")

    def test_expected_panic(self):
        self.check(Kind.EXPECTED_PANIC, outcome(BOOT + PANIC, panicked=True,
                                                expect_panic="page handed out twice: pfn 0x1"))

    def test_another_panic_than_expected(self):
        self.check(Kind.UNEXPECTED_PANIC,
                   outcome(BOOT + PANIC, panicked=True, expect_panic="record corrupt"),
                   "not the expected one")

    def test_expected_panic_with_a_foreign_splat(self):
        self.check(Kind.UNEXPECTED_PANIC,
                   outcome(BOOT + "BUG: KASAN: use-after-free in x\n" + PANIC, panicked=True,
                           expect_panic="handed out twice"), "KASAN")

    def test_expected_panic_did_not_come(self):
        self.check(Kind.TEST_FAILURE, outcome(verdict=("pass", ""), expect_panic="handed out"),
                   "did not come")

    def test_panic_known_only_by_the_device(self):
        self.check(Kind.UNEXPECTED_PANIC, outcome(BOOT, panicked=True), "no panic line")
        self.check(Kind.UNEXPECTED_PANIC,
                   outcome(BOOT, panicked=True, expect_panic="handed out"))

    def test_hang(self):
        got = outcome(BOOT, timed_out="the agent's READY: nothing for 90 s",
                      where=["native_halt+0xb"])
        self.check(Kind.HANG, got, "nothing for 90 s", "Run /init", "qemu-system-x86_64",
                   "native_halt", "/tmp/console.log")

    def test_silent_hang(self):
        self.check(Kind.HANG, outcome("", timed_out="READY: nothing"), "the console is empty")

    def test_hang_instead_of_expected_panic(self):
        self.check(Kind.HANG, outcome(BOOT, timed_out="the expected panic: nothing",
                                      expect_panic="handed out"))

    def test_tcg_artefact_is_retried(self):
        oops = BOOT + "[    0.7] Oops: int3: 0000 [#1] SMP\n" + PANIC
        got = outcome(oops, panicked=True, accelerator="tcg,thread=multi")
        self.check(Kind.HARNESS_ERROR, got, "int3")
        self.assertTrue(got.retry)

    def test_int3_elsewhere_is_no_artefact(self):
        oops = BOOT + "[    0.7] Oops: int3: 0000 [#1] SMP\n" + PANIC
        for accelerator in ("kvm", "tcg,thread=single"):
            self.check(Kind.UNEXPECTED_PANIC,
                       outcome(oops, panicked=True, accelerator=accelerator))

    def test_exit_statuses_differ(self):
        bad = [kind.value for kind in Kind if kind not in (Kind.PASS, Kind.EXPECTED_PANIC)]
        self.assertEqual(len(set(bad)), len(bad))
        self.assertNotIn(0, bad)
        self.assertEqual(outcome(verdict=("pass", "")).exit_status, 0)
        self.assertEqual(outcome(verdict=("fail", "")).exit_status, 1)


if __name__ == "__main__":
    unittest.main()
