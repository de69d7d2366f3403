# SPDX-License-Identifier: GPL-2.0
"""The cases of `make test`: one module for each kind, one function for each case.

A case is a function that returns when what its name says was seen to hold, and
raises Failure (or LabError, AssertionError) when it was not. Skip is for what
this machine cannot do, with the reason; the suite has a list of the skips it
accepts (lab/skips.json). What a case wants to be read by people it says with
`note(text)`; a case that runs tests of its own reports each of them with
`note.part(name, "pass" | "fail" | "skip", reason)`: those are counted instead.

	@case(kernels=["x86"])
	def a_flipped_bit_panics(note):
	    ...
"""

from dataclasses import dataclass, field


class Failure(Exception):
    """The case did not hold."""


class Skip(Exception):
    """The case cannot be tried on this machine, and why."""


@dataclass
class Case:
    name: str
    group: str				# the module's name
    run: object				# function(note)
    kernels: list = field(default_factory=list)		# configurations it boots; "base:NAME" = unpatched


REGISTRY = []


def case(kernels=(), name=None):
    def register(function):
        group = function.__module__.rpartition(".")[2]
        REGISTRY.append(Case(name or function.__name__, group, function, list(kernels)))
        return function
    return register
