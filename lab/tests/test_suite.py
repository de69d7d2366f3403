# SPDX-License-Identifier: GPL-2.0
"""The runner of the cases: what must never count as passed does not, and what is counted."""

import io
import json
import os
import re
import tempfile
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

from lab import build, cases, common, kconfig, suite, tap
from lab.cases import unit, witness
from lab.common import ROOT, LabError
from lab.tests import fake


def case(run, name="it holds", group="made-up", kernels=()):
    return cases.Case(name, group, run, list(kernels))


def fails(error):
    def run(_note):
        raise error
    return run


def performed(*chosen, builds=None):
    """Status, output lines and parsed results of a suite of these cases."""
    out = io.StringIO()
    with mock.patch.object(suite, "build_kernels", return_value=builds or {}), \
            tempfile.TemporaryDirectory() as logs, mock.patch.object(common, "LOGS", Path(logs)):
        status = suite.perform(list(chosen), out)
    return status, out.getvalue().splitlines(), tap.parse(out.getvalue())


class Outcomes(unittest.TestCase):
    def one(self, run, **facts):
        status, lines, results = performed(case(run, **facts))
        return status, lines[-1], lines, results

    def test_pass(self):
        status, last, lines, results = self.one(lambda note: note("42 pages"))
        self.assertEqual((status, last), (0, "1 passed, 0 failed"))
        self.assertTrue(results.good, results)
        self.assertIn("#   42 pages", lines)
        self.assertRegex("\n".join(lines), r"(?m)^ok 1 - made-up: it holds # \d+\.\d s$")

    def test_whatever_is_raised_is_a_failure(self):
        for error in (cases.Failure("no"), LabError("no"), AssertionError("no"), KeyError("no"),
                      SystemExit(0)):
            status, last, lines, results = self.one(fails(error))
            self.assertEqual((status, last), (1, "0 passed, 1 failed"), repr(error))
            self.assertEqual(results.count(tap.FAIL), 1)
        self.assertIn("# failed: made-up: it holds", lines)

    def test_interruption_ends_all_of_it(self):
        """... and what is side by side, where no ^C arrives, has failed."""
        ran = []
        for error in (KeyboardInterrupt, common.Terminated):
            with self.assertRaises(error):
                performed(case(fails(error())), case(ran.append))
        self.assertEqual(ran, [])
        status, lines, _ = performed(case(fails(KeyboardInterrupt()), group="silent"))
        self.assertEqual((status, lines[-1]), (1, "0 passed, 1 failed"))

    def test_reason_is_shown(self):
        self.assertIn("#   two\n#   lines", "\n".join(self.one(fails(LabError("two\nlines")))[2]))

    def test_nothing_ran(self):
        status, lines, _ = performed()
        self.assertEqual((status, lines[-1]), (1, "0 passed, 0 failed"))

    def test_skip_that_nobody_accepts_fails(self):
        status, last, lines, _ = self.one(fails(cases.Skip("no KVM")))
        self.assertEqual((status, last), (1, "0 passed, 1 failed"))
        self.assertIn("does not accept that: no KVM", "\n".join(lines))

    def test_accepted_skip_is_no_pass(self):
        with mock.patch.object(suite, "accepted", return_value=True):
            status, last, lines, _ = self.one(fails(cases.Skip("no KVM")))
        self.assertEqual((status, last), (1, "0 passed, 0 failed, 1 skipped"))
        self.assertIn("ok 1 - made-up: it holds # SKIP no KVM", lines)

    def test_failed_build_fails_who_needs_it_and_nobody_else(self):
        ran = []
        _, lines, results = performed(case(ran.append, kernels=["x86"]),
                                      case(ran.append, "other", kernels=["uml"]),
                                      builds={"x86": "no compiler"})
        self.assertEqual((len(ran), lines[-1]), (1, "1 passed, 1 failed"))
        self.assertIn("kernel x86 was not built: no compiler", "\n".join(lines))
        self.assertEqual(len(results.bad()), 1)

    def test_name_that_looks_like_a_directive(self):
        status, last, lines, results = self.one(fails(LabError("no")), name="# SKIP\nok 2 - x")
        self.assertEqual((status, last), (1, "0 passed, 1 failed"))
        self.assertEqual(len(results.bad()), 1, lines)

    def test_lost_results_are_a_failure(self):
        with mock.patch.object(suite, "run_all"):
            status, lines, _ = performed(case(lambda note: None))
        self.assertEqual((status, lines[-1]), (1, "0 passed, 1 failed"))


class Parts(unittest.TestCase):
    def check(self, run, status, last):
        got, lines, results = performed(case(run))
        self.assertEqual((got, lines[-1]), (status, last), "\n".join(lines))
        # What we print says the same to whoever reads it as we counted.
        self.assertEqual(results.problems, [])
        self.assertEqual((results.count(tap.PASS), len(results.bad())),
                         tuple(int(n) for n in last.split() if n.isdigit())[:2])
        return lines

    def test_parts_are_counted_instead_of_the_case(self):
        def run(note):
            note.part("a")
            note.part("b")
        lines = self.check(run, 0, "2 passed, 0 failed")
        self.assertIn("  ok 2 - b", lines)

    def test_failed_part_fails_the_case(self):
        def run(note):
            note.part("a")
            note.part("b", suite.FAIL, "off by one")
        lines = self.check(run, 1, "1 passed, 1 failed")
        self.assertIn("  #   off by one", lines)
        self.assertIn("# failed: made-up: it holds: b", lines)

    def test_failure_beside_good_parts_counts(self):
        def run(note):
            note.part("a")
            raise cases.Failure("a splat in the log")
        self.check(run, 1, "1 passed, 1 failed")

    def test_skipped_part_needs_to_be_accepted(self):
        def run(note):
            note.part("a")
            note.part("b", suite.SKIP, "one CPU")
        self.check(run, 1, "1 passed, 1 failed")


class Skips(unittest.TestCase):
    def test_list_in_use_is_sound(self):
        for path in (suite.SKIPS, *(ROOT / "bases").glob("*/skips.json")):
            for row in json.loads(path.read_text()):
                self.assertEqual(set(row), {"name", "said", "why"})
                self.assertTrue(row["why"].strip())
                self.assertTrue(row["said"].startswith("^") and row["said"].endswith("$"), row)

    def test_name_and_reason_both_have_to_match(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "skips.json"
            path.write_text('[{"name": "unit: *", "said": "^one CPU$", "why": "x"}]')
            self.assertTrue(suite.accepted("unit: a", "one CPU", path))
            self.assertFalse(suite.accepted("unit: a", "one CPU less", path))
            self.assertFalse(suite.accepted("silent: a", "one CPU", path))


class Choosing(unittest.TestCase):
    def setUp(self):
        self.found = [case(None, name, group) for group, name in
                      (("silent", "1 CPU"), ("silent", "4 CPUs"), ("off", "one NOP"))]

    def names(self, *globs):
        return [c.name for c in suite.choose(self.found, globs)]

    def test_globs(self):
        self.assertEqual(self.names(), ["1 CPU", "4 CPUs", "one NOP"])
        self.assertEqual(self.names("silent:*"), ["1 CPU", "4 CPUs"])
        self.assertEqual(self.names("silent: 4*", "off"), ["4 CPUs", "one NOP"])
        self.assertEqual(self.names("nothing"), [])

    def test_nothing_chosen_is_an_error(self):
        for words in (["nothing:*"], ["nothing:*", "LIST=1"]):
            with mock.patch.object(suite.packages, "need") as need, \
                    self.assertRaisesRegex(LabError, "no case matches nothing:.*LIST=1"):
                suite.main(words)
            need.assert_not_called()

    def test_missing_module_is_a_case_that_fails(self):
        found = suite.load(["there_is_no_such_module"])
        status, lines, _ = performed(*found)
        self.assertEqual((status, lines[-1]), (1, "0 passed, 1 failed"))
        self.assertIn("does not exist", "\n".join(lines))

    def test_broken_or_empty_module_is_a_case_that_fails(self):
        for problem, said in (({"side_effect": ValueError("broken")}, "ValueError: broken"),
                              ({"side_effect": ModuleNotFoundError("x", name="x")}, "NotFound"),
                              ({"return_value": None}, "has no cases")):
            with mock.patch("importlib.import_module", **problem):
                found = suite.load(["made_up_module"])
            status, lines, _ = performed(*found)
            self.assertEqual((status, lines[-1]), (1, "0 passed, 1 failed"))
            self.assertIn(said, "\n".join(lines))

    def test_every_module_of_cases_is_on_the_list(self):
        there = {path.stem for path in Path(cases.__file__).parent.glob("*.py")
                 if "@case(" in path.read_text()}
        listed = [*suite.MODULES, *suite.LONG_MODULES]
        self.assertEqual(there - {"__init__"}, set(listed))
        self.assertEqual(len(listed), len(set(listed)))

    def test_long_modules_are_what_test_long_runs(self):
        with mock.patch.object(suite, "LONG_MODULES", ["made_up_module"]), \
                mock.patch.object(suite.packages, "need"), \
                mock.patch.object(suite, "perform", return_value=1) as ran:
            self.assertEqual(suite.long_main([]), 1)
        self.assertEqual([c.group for c in ran.call_args[0][0]], ["made_up_module"])


class Voices(unittest.TestCase):
    def test_what_is_printed_is_quoted(self):
        _, lines, results = performed(case(lambda note: print("not ok 7 - x\n1..9")))
        self.assertIn("# not ok 7 - x", lines)
        self.assertTrue(results.good, results)

    def test_beside_each_other_only_the_failed_one_is_heard(self):
        both = threading.Barrier(2, timeout=10)

        def run(note):
            print("secret")
            both.wait()		# they do run at the same time
            note("said")

        def bad(note):
            print("heard")
            both.wait()
            raise cases.Failure("no")
        _, lines, _ = performed(case(run, group="silent"), case(bad, "bad", "paths"))
        self.assertEqual(lines[-1], "1 passed, 1 failed")
        self.assertNotIn("secret", "\n".join(lines))
        self.assertIn("#   | heard", lines)

    def test_who_shares_a_place_waits(self):
        inside, most = [], []

        def run(_note):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.05)
            inside.pop()
        status, lines, _ = performed(*(case(run, str(i), "series") for i in range(4)))
        self.assertEqual((status, lines[-1], max(most)), (0, "4 passed, 0 failed", 1))


class Words(unittest.TestCase):
    def listed(self, *words):
        said = []
        with mock.patch.object(suite, "say", said.append), \
                mock.patch.object(suite.packages, "need"):
            self.assertEqual(suite.main(["LIST=1", *words]), 0)
        return said

    def test_a_title_with_an_equals_sign_selects_its_case(self):
        self.assertEqual(self.listed("silent: page_consistency=report"),
                         ["silent: page_consistency=report"])

    def test_settings_select_nothing(self):
        self.assertEqual(self.listed("GUESTS=1", "ONLY=off:*"), self.listed("off:*"))


class Builds(unittest.TestCase):
    LINK = build.LINKING.rstrip("\n")

    def test_order_and_failure(self):
        made = []

        def build(name, base=False):
            made.append((name, base))
            if name == "uml":
                raise LabError("no compiler\nmore")
            if base:
                raise KeyError("of ours")
        chosen = [case(None, kernels=["x86-debug", "base:x86"]),
                  case(None, kernels=["uml", "x86"])]
        with mock.patch("lab.build.build", build), mock.patch.object(suite, "say"), \
                mock.patch.object(suite, "BUILDERS", 1):
            failed = suite.build_kernels(chosen)
        self.assertEqual(made, [("uml", False), ("x86", False), ("x86-debug", False),
                                ("x86", True)])
        self.assertEqual(failed, {"uml": "no compiler", "base:x86": "KeyError('of ours')"})

    def test_next_one_compiles_while_one_links(self):
        """... and not before: what each make does is in the files that it waits for."""
        with tempfile.TemporaryDirectory() as folder, \
                mock.patch.multiple("lab.build", LOGS=Path(folder), CACHE=Path(folder)), \
                mock.patch("lab.build.say"):
            first = (f"cd {folder}; sleep 1.5; [ ! -e second ] || exit 3; echo '{self.LINK}'; "
                     "for i in 1 2 3 4 5 6 7 8 9; do sleep 1; [ ! -e second ] || exit 0; done; "
                     "exit 4")
            second = f"touch {folder}/second"
            threads, errors = [], []

            def make(script, name):
                try:
                    build._run_make(["sh", "-c", script], f"{name}.log", name)
                except LabError as error:
                    errors.append(str(error))
            for script, name in ((first, "first"), (second, "second")):
                threads.append(threading.Thread(target=make, args=(script, name)))
                threads[-1].start()
                time.sleep(0.2)
            for thread in threads:
                thread.join()
        self.assertEqual(errors, [])


    def test_machine_has_no_say_in_what_is_compiled(self):
        """Otherwise no machine finds in the compiler cache what another one has put there."""
        words = build._make(kconfig.find("x86"), Path("/s"), Path("/o"))	# pylint: disable=W0212
        self.assertIn("RUSTC=none", words)
        # ccache looks at each of these, although LC_ALL overrides the others.
        env = build._environment()		# pylint: disable=protected-access
        for name in ("LANG", "LC_ALL", "LC_CTYPE", "LC_MESSAGES"):
            self.assertEqual(env[name], "C")


class Unit(unittest.TestCase):
    """lab.cases.unit: results of others become parts, none is lost."""

    def test_tests_of_python_as_ktap(self):
        class Tests(unittest.TestCase):
            def test_bad(self):
                self.fail("off by one")

            def test_good(self):
                pass

            def test_parts(self):
                with self.subTest(n=1):
                    self.fail("this part")

            @unittest.skip("no time")
            def test_skipped(self):
                pass

            @unittest.expectedFailure
            def test_unexpected(self):
                pass

        class NoSetUp(Tests):
            @classmethod
            def setUpClass(cls):
                raise OSError("no room")
        out = io.StringIO("KTAP version 1\n")
        out.seek(0, io.SEEK_END)
        result = unit.Ktap(out)
        for kind in (Tests, NoSetUp):
            unittest.defaultTestLoader.loadTestsFromTestCase(kind).run(result)
        out.write(f"1..{result.number}\n")
        results = tap.parse(out.getvalue())
        self.assertEqual([test.outcome for _, test in results.leaves()],
                         [tap.FAIL, tap.PASS, tap.FAIL, tap.SKIP, tap.FAIL, tap.FAIL])
        self.assertEqual(results.problems, [])

    def test_what_a_program_says_beside_its_results(self):
        logs, script = fake.own_logs(self), "echo KTAP version 1; echo 1..1; echo ok 1 - a; " \
            "echo ok 2 - b >&2"
        with mock.patch.object(unit, "say") as said:
            results = unit.ktap_of(["sh", "-c", script + ";:", "x"])
        self.assertEqual([name for name, _ in results.leaves()], ["a"])
        self.assertEqual((logs / "x.log").read_text(), "ok 2 - b\n")
        self.assertIn("x.log", str(said.call_args_list[0]))

    def test_crash_and_missing_results(self):
        note = suite.Note()
        text = ("KTAP version 1\n1..2\n    KTAP version 1\n    # Subtest: s\n    1..2\n"
                "    ok 1 a\n    # dies here\n")
        unit.take(note, tap.parse(text))
        with self.assertRaisesRegex(cases.Failure, "planned 2"):
            unit.whole(tap.parse(text))
        self.assertEqual([(part.name, part.outcome) for part in note.parts], [("s.a", "pass")])

    def environment_of_the_tests(self, **caller):
        """What python3 -m lab.cases.unit gets of the environment that make test has."""
        good = tap.parse("KTAP version 1\n1..1\nok 1 lab.tests.a\n")
        with mock.patch.object(unit.packages, "need") as need, \
                mock.patch.object(unit.tree, "ensure") as ensure, \
                mock.patch.object(unit, "ktap_of", return_value=good) as ran, \
                mock.patch.dict(os.environ, caller):
            unit.lab(suite.Note())
        # Both take longer than a test may on a machine that has nothing yet.
        need.assert_called_once()
        ensure.assert_called_once()
        return ran.call_args.kwargs["env"]

    def test_settings_of_the_caller_do_not_reach_the_tests(self):
        env = self.environment_of_the_tests(ONLY="unit:*", KSRC="/nowhere", FORCE="1", JOBS="3",
                                            LAB_CACHE="/somewhere")
        self.assertEqual({"ONLY", "KSRC", "FORCE"} & set(env), set())
        self.assertEqual((env["JOBS"], env["LAB_CACHE"]), ("3", "/somewhere"))
        self.assertEqual(env["PATH"], os.environ["PATH"])

    def test_every_variable_is_a_setting_or_a_fact_of_the_machine(self):
        """What somebody adds must not be forgotten in SETTINGS."""
        read = re.compile(r"(?:(?:environ|words|named)(?:\.get\(|\[)|\bnumber\()\"([A-Z_]+)\"")
        found = {name for path in (ROOT / "lab").rglob("*.py") for name in
                 read.findall(path.read_text())}
        text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
        found |= set(re.search(r"^VARIABLES := (.*)$", text, re.M)[1].split())
        self.assertGreater(len(found), 20)
        self.assertEqual(found - unit.SETTINGS - unit.FACTS, set())

    def test_suite_that_is_not_there(self):
        results = tap.parse("KTAP version 1\n1..1\nok 1 dual_bitmap\n")
        with self.assertRaisesRegex(cases.Failure, "page_consistency"):
            unit.both_suites(results)


class Witness(unittest.TestCase):
    """agrees(): each thing that can be wrong is looked at."""

    GOOD = {"policy": "on", "violations": "0", "sections": "8", "verified_sections": "8",
            "verified_pages": "262144", "verified_blocks": "250", "verified_mismatches": "0"}

    def agrees(self, **files):
        guest = mock.Mock()
        guest.must = lambda command, *_: {**self.GOOD, **files}.get(command.split("/")[-1], "")
        witness.agrees(guest, lambda text: None)

    def test_good(self):
        self.agrees()

    def test_each_file_counts(self):
        for name, value in (("policy", "report"), ("policy", "off"), ("violations", "1"),
                            ("verified_mismatches", "1"), ("verified_blocks", "0"),
                            ("verified_pages", "0"), ("verified_sections", "7"),
                            ("sections", "0")):
            with self.assertRaises(LabError, msg=f"{name} {value}"):
                self.agrees(**{name: value})


if __name__ == "__main__":
    unittest.main()
