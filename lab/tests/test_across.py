# SPDX-License-Identifier: GPL-2.0
"""make bases: what it runs on each kernel, and that nothing that failed looks good."""

from unittest import mock

from lab import across, common
from lab.tests import fake


class Across(fake.Fake):
    def setUp(self):
        super().setUp()
        self.lock("6.12", version="6.12.7")
        self.ksrc()
        self.ran = []

    def bases(self, answers=None):
        """(status, output) where each command is answered by (exit status, what it prints)."""
        answers = answers or {}

        def running(argv, env, stdout, **_):
            command = argv[3:5] if argv[3] == "kernel" else argv[3:4]
            kind = argv[4].partition(":")[0] if command == ["test"] else ""
            step = " ".join([env["BASE"], *command, kind]).strip()
            self.ran.append((step, env["LAB_BUILD"], env["LAB_CACHE"]))
            status, text = answers.get(step, (0, "7 passed, 0 failed\n" if kind else "fine\n"))
            stdout.write(text.encode())
            stdout.flush()
            return mock.MagicMock(__enter__=lambda _: mock.Mock(wait=lambda: status))
        with mock.patch.object(across.child, "running", running), \
                mock.patch.object(across, "LOGS", self.build / "logs"):
            return self.call(across.main, [])

    def test_all_good(self):
        status, out = self.bases()
        self.assertEqual(status, 0)
        self.assertEqual([step for step, *_ in self.ran],
                         [f"{base} {step}" for base in ("7.2", "6.12") for step in
                          ("tree", "kernel CONFIG=uml", "kernel CONFIG=x86", "test unit",
                           "test silent", "test panicking")])
        self.assertEqual({cache for _, _, cache in self.ran}, {str(common.CACHE)})
        builds = {build for _, build, _ in self.ran}
        self.assertEqual(len(builds), 2)
        self.assertTrue(out.endswith("12 passed, 0 failed\n"))
        self.assertIn("\n6.12  ok    ok   ok   7 passed, 0 failed", out)

    def test_main_base_alone(self):
        fake.shutil.rmtree(self.root / "bases/6.12")
        status, out = self.bases()
        self.assertEqual((status, len(self.ran)), (0, 6))
        self.assertTrue(out.endswith("6 passed, 0 failed\n"))

    def test_tree_that_fails(self):
        """Nothing more is tried there, the other base has its turn, and all of it is counted."""
        status, out = self.bases({"7.2 tree": (2, "error: no\n")})
        self.assertEqual(status, 1)
        self.assertEqual(len(self.ran), 7)
        self.assertIn("#   error: no", out)
        self.assertIn("\n7.2   failed  not run", out)
        self.assertTrue(out.endswith("6 passed, 6 failed\n"))

    def test_kernel_that_does_not_build(self):
        """Cases need only the kernels that they boot."""
        status, _ = self.bases({"6.12 kernel CONFIG=uml": (2, "")})
        self.assertEqual(status, 1)
        ran = [step for step, *_ in self.ran]
        self.assertNotIn("6.12 test unit", ran)
        self.assertIn("6.12 test silent", ran)

    def test_tests_that_fail(self):
        self.assertEqual(self.bases({"6.12 test silent": (1, "6 passed, 1 failed\n")})[0], 1)

    def test_green_that_means_nothing(self):
        for text in ("", "0 passed, 0 failed\n"):
            self.assertEqual(self.bases({"6.12 test silent": (0, text)})[0], 1)

    def test_one_kernel_for_all(self):
        self.ksrc(self.tarball)
        self.fails(lambda: across.main([]), "takes no KSRC=")

    def test_no_case_needs_another_kernel_than_those_that_are_built(self):
        argv = {step.name: step.argv for step in across.steps()}
        self.assertIn("unit: KUnit under UML, page_consistency=on", argv["KUnit"])
        for name in across.GROUPS:
            self.assertGreater(len(argv[name]), 3)
            self.assertFalse([word for word in argv[name] if "KASAN" in word])
