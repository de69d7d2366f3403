# SPDX-License-Identifier: GPL-2.0
"""The flips of lab/cases/flips.py with the checker and on the unpatched kernel, side by side."""

from lab.cases import Failure, case
from lab.cases.flips import FIELDS, KERNEL, count, missed, trials
from lab.common import LOGS, show

TABLE = LOGS / "flips.txt"


def _rows(patched, base):
    yield f"{'field':34} bit  {'with the checker':46} unpatched"
    for (field, bit, _, text), (_, _, _, base_text) in zip(patched, base):
        yield f"{field.name:34} {bit:3}  {text:46} {base_text}"


def _summary(patched, base):
    yield f"{'field':34} {'with the checker':34} unpatched"
    for field in FIELDS:
        yield f"{field.name:34} {count(patched, field):34} {count(base, field)}" \
            + ("" if field.must else "   (not promised)")


@case([KERNEL, f"base:{KERNEL}"], "beside the unpatched kernel")
def beside_the_unpatched_kernel(note):
    patched, base = trials(False), trials(True)
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text("\n".join(_rows(patched, base)) + "\n")
    note("\n".join(_summary(patched, base)))
    note(f"flip by flip: {show(TABLE)}")
    if bad := missed(patched):
        raise Failure("\n".join(bad))
    if not missed(base):
        raise Failure("the unpatched kernel reports too: that is not the unpatched kernel")
