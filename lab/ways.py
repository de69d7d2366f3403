# SPDX-License-Identifier: GPL-2.0
"""The tables of Documentation/mm/page_consistency_paths.rst: one row for each way of pages.

A row has four cells: the way; where it is, 'file: function(), function(); file: function()';
hook and state; tests. A test is a literal, ``group: name of a case``, ``group: name of a case:
part of it`` or ``KUnit: suite.test``. A row that names none says why: 'Not run here: ...'.
"""

import re
from dataclasses import dataclass
from pathlib import Path

TABLE = "Documentation/mm/page_consistency_paths.rst"
NO_TEST = "Not run here: "
_TEST = re.compile(r"``(\w+: [^`]+)``")
_PLACE = re.compile(r"^[\w./-]+\.[ch]: \w+\(\)(, \w+\(\))*$")


@dataclass
class Row:
    way: str
    where: str
    state: str
    tests: str

    @property
    def names(self):
        """The tests it names."""
        return _TEST.findall(self.tests)

    @property
    def places(self):
        """[(file, functions)], and what cannot be read as such is a ValueError."""
        found = []
        for place in self.where.split("; "):
            if not _PLACE.match(place):
                raise ValueError(f"'{place}' is not 'file: function(), function()'")
            path, _, functions = place.partition(": ")
            found.append((path, re.findall(r"(\w+)\(\)", functions)))
        return found


def rows(text):
    """All rows of all tables, their heads left out."""
    found = []
    for chunk in re.split(r"^   \* - ", text, flags=re.M)[1:]:
        cells = [" ".join(cell.split())
                 for cell in re.split(r"^     - ", chunk.split("\n\n")[0], flags=re.M)]
        if cells[0] != "way":
            found.append(Row(*(cells + [""] * 4)[:4]))
    return found


def _missing_places(row, tree):
    try:
        places = row.places
    except ValueError as error:
        yield str(error)
        return
    for path, functions in places:
        file = Path(tree) / path
        text = file.read_text(errors="replace") if file.is_file() else None
        if text is None:
            yield f"there is no {path}"
            continue
        for name in functions:
            if not re.search(rf"\b{name}(_noprof)?\(", text):
                yield f"{path} has no {name}()"


def _missing_tests(row, known):
    names = row.names
    yield from (f"there is no test '{name}'" for name in names if name not in known)
    if not names and not row.tests.startswith(NO_TEST):
        yield f"no test, and no reason ('{NO_TEST}...') why there is none"


def problems(text, known, tree, must=()):
    """What is wrong with the tables: [line].

    known are the names of all tests, tree is the kernel whose functions are meant, and must
    are tests that some row has to name.
    """
    found, table = [], rows(text)
    if not table:
        return ["there is no row"]
    for row in table:
        found += [f"{row.way}: {what}"
                  for what in [*_missing_places(row, tree), *_missing_tests(row, known)]]
        if not row.state:
            found.append(f"{row.way}: a row has four cells")
    named = {name for row in table for name in row.names}
    return found + [f"no row names '{name}'" for name in must if name not in named]


def counts(table):
    """How many ways have tests, in one line that adds up."""
    absent = [row for row in table if row.tests.startswith(NO_TEST)]
    alike = sum(bool(row.names) for row in absent)
    return (f"{len(table)} ways: {len(table) - len(absent)} with tests, {len(absent)} not run "
            f"here, of which {alike} end like another one that has a test")


def kunit_tests(folder):
    """{'KUnit: suite.test'} of the suites in a folder."""
    found = set()
    for path in Path(folder).glob("*_kunit.c"):
        text = path.read_text()
        suites = re.findall(r'\.name = "(\w+)"', text)
        tests = re.findall(r"KUNIT_CASE(?:_\w+)?\((\w+)", text)
        found |= {f"KUnit: {suite}.{test}" for suite in suites for test in tests}
    return found
