# SPDX-License-Identifier: GPL-2.0
"""The checks of make check: each is a function that returns what it has found.

	@check("kernel-doc")
	def kernel_doc(tree):
	    return ["file:line: what is wrong", ...]		# nothing found: passed

A LabError (or any other exception) is a failure too. Skip is for what this machine cannot
do; it is counted apart and is not a pass.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lab import common, tree as trees
from lab.git import Git
from lab.known import Known

REGISTRY = []		# [(name, function)]
FOLDER = common.BUILD / "check"


class Skip(Exception):
    """This machine cannot do that, and why."""


def check(name):
    def register(function):
        REGISTRY.append((name, function))
        return function
    return register


@dataclass
class Tree:
    """What is checked: the assembled tree and the repository it was made from."""

    path: Path
    root: Path

    @cached_property
    def product(self):
        return trees.Product(self.root)

    @cached_property
    def git(self):
        return Git(self.path)

    @cached_property
    def patches(self):
        return self.product.load()

    @cached_property
    def commits(self):
        """The series, oldest first."""
        return self.git("rev-list", "--reverse", "base..HEAD").split()

    @cached_property
    def new(self):
        """The files the series adds."""
        return self.product.overlay()

    @cached_property
    def touched(self):
        """The files of the base that it changes."""
        return sorted(self._changed - set(self.new))

    @cached_property
    def whole(self):
        """The new files that one commit adds as they are in the end."""
        return sorted(set(self.new) - self._changed)

    @cached_property
    def _changed(self):
        return {name for patch in self.patches for name in patch.touched}

    def sources(self, *suffixes):
        return [name for name in self.new if name.endswith(suffixes or (".c", ".h"))]

    def is_ours(self, name):
        return name in self.new


def the_tree():
    """The Tree of this repository, assembled."""
    return Tree(Path(trees.ensure() or common.TREE), common.ROOT)


def remembered(key, function):
    """function()'s value, kept from one run to the next under a text that decides it."""
    known = Known(FOLDER / "known.json")
    if (value := known.get(key)) is None:
        value = function()
        known.put(key, value)
    return value
