# SPDX-License-Identifier: GPL-2.0
"""Each commit of the series by itself: the whole kernel is built there, boots, works and ends.

That its files compile is in make check. Here headers that everything includes are behind it, so
a case is a kernel: several minutes for each.
"""

from pathlib import Path

from lab import build, kconfig, packages, qemu, tree
from lab.cases import Failure, case
from lab.cases.witness import churn
from lab.checks import Tree
from lab.checks.compile import MERMAP, Part, changed_by, configured, is_mermap, make, worktree
from lab.common import BUILD, ROOT

OUT = BUILD / "each" / "out" / "boots"


def _kernel(series, commit):
    """The kernel of one commit; the next one is built upon its objects."""
    packages.need("build")
    src, touched = worktree(series, commit), changed_by(series, commit)
    config = Part(kconfig.find(MERMAP if is_mermap(touched) else "x86"), src)
    bad = configured(config, src, OUT)
    if bad:
        raise Failure("\n".join(bad))
    make(config, src, OUT, ["vmlinux"], name=f"boots-{commit[:12]}")
    return build._finish(config, False, OUT)	# pylint: disable=protected-access


def _boots(number, name):
    @case([], name)
    def boots(note):
        series = Tree(Path(tree.ensure()), ROOT)
        commit = series.commits[number]
        kernel = _kernel(series, commit)
        # A commit without the checker does not know its parameter.
        words = "page_consistency=on pti=on" if kernel.has("CONFIG_PAGE_CONSISTENCY") else "pti=on"
        outcome = qemu.play(lambda: qemu.Guest(kernel, words, smp=2, name="each", quiet=True),
                            lambda guest: churn(guest, note))
        if not outcome.good:
            raise Failure(str(outcome))
        note(series.git("log", "-1", "--format=%h %s", commit).strip())
    return boots


for _number, _line in enumerate(tree.product().names()):
    _boots(_number, _line.removesuffix(".patch"))
