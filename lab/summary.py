# SPDX-License-Identifier: GPL-2.0
"""build/logs/NAME.summary, for people, and NAME.xml, in JUnit's format, of a command that tests.

They are removed when a run begins. One that is interrupted leaves what it has results of,
and both files say that it is not all; one that is killed leaves none.
"""

import os
import re
import time
from xml.etree import ElementTree as XML

from lab import common

# What XML 1.0 cannot hold, however it is written.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SHOWN = 20			# lines of a reason in the summary


def place(what, ending):
    return common.LOGS / f"{what}.{ending}"


def remove(what):
    for ending in ("summary", "xml"):
        place(what, ending).unlink(missing_ok=True)


def write(report, cut=""):
    """Both files; cut is why there are no more results."""
    seconds = time.monotonic() - report.begun
    common.LOGS.mkdir(parents=True, exist_ok=True)
    for ending, content in (("summary", text(report, seconds, cut).encode(errors="replace")),
                            ("xml", junit(report, seconds, cut))):
        part = place(report.what, f"{ending}.part")
        part.write_bytes(content)
        os.replace(part, place(report.what, ending))


def leaves(report):
    """[(name of the case, name of the part or '', Result)] of all that is counted."""
    return [(case.name, leaf.name if case.parts else "", leaf)
            for case in report.results for leaf in case.leaves()]


def _missing(report, cut):
    return f"only {len(report.results)} of {report.planned} have a result ({cut})" if cut else ""


def text(report, seconds, cut=""):
    began = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(report.since))
    lines = [f"make {report.what}: {report.closing()}",
             f"began {began}, took {seconds:.0f} s; cases: {report.planned}"
             + (f", chosen by {report.asked}" if report.asked else "")]
    if cut:
        lines.append(f"NOT COMPLETE: {_missing(report, cut)}; nothing is known of the others")
    for outcome, heading in (("fail", "failed"), ("skip", "skipped")):
        found = [one for one in leaves(report) if one[2].outcome == outcome]
        lines += ["", f"{heading}:"] if found else []
        for case, part, leaf in found:
            lines.append("  " + ": ".join(filter(None, (case, part))))
            said = leaf.reason.splitlines()
            lines += [f"      {line}" for line in said[:SHOWN]]
            lines += [f"      ({len(said) - SHOWN} more lines)"] if len(said) > SHOWN else []
    return "\n".join(lines) + "\n"


def _element(parent, tag, body="", **attributes):
    found = XML.SubElement(parent, tag, {key: _NO_XML.sub("?", str(value))
                                         for key, value in attributes.items()})
    found.text = _NO_XML.sub("?", body) or None
    return found


def _counts(of):
    return {"tests": len(of), "failures": sum(one.outcome == "fail" for one in of),
            "skipped": sum(one.outcome == "skip" for one in of)}


def _time(seconds):
    return {} if seconds is None else {"time": f"{seconds:.3f}"}


def _suites(report):
    """{name: ([Result], seconds)}: a case with parts is one, others are in that of their group."""
    found = {}
    for case in report.results:
        group, _, name = case.name.partition(": ")
        key, tests = (case.name, case.parts) if case.parts else \
            (group if name else report.what, [case])
        before = found.get(key, ([], 0))
        found[key] = before[0] + tests, before[1] + (case.seconds or 0)
    return found


def junit(report, seconds, cut=""):
    root = XML.Element("testsuites")
    for suite, (tests, spent) in _suites(report).items():
        there = _element(root, "testsuite", name=suite, errors=0, **_counts(tests), **_time(spent))
        for test in tests:
            one = _element(there, "testcase", classname=suite, **_time(test.seconds),
                           name=test.name.removeprefix(f"{suite}: "))
            first = (test.reason.splitlines() or [""])[0]
            if test.outcome == "fail":
                _element(one, "failure", test.reason, message=first)
            elif test.outcome == "skip":
                _element(one, "skipped", message=first)
    if cut:
        there = _element(root, "testsuite", name="the run", tests=1, errors=1, failures=0,
                         skipped=0)
        one = _element(there, "testcase", classname="the run", name="is complete")
        _element(one, "error", message=_missing(report, cut))
    every = [leaf for _, _, leaf in leaves(report)]
    total = _counts(every)
    for key, value in {"name": f"make {report.what}", **total, "tests": total["tests"] + bool(cut),
                       "errors": int(bool(cut)), **_time(seconds)}.items():
        root.set(key, str(value))
    XML.indent(root)
    return XML.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"
