# SPDX-License-Identifier: GPL-2.0
"""Kernel configurations: small fragments on tinyconfig, each line read back.

A line that Kconfig drops in silence is the usual way for a test to stop
testing, so an option that did not stick is an error that names its fragment.
"""

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from lab.common import ROOT, LabError, show

CONFIGS = Path(__file__).resolve().parent / "configs"

_SET = re.compile(r"^(CONFIG_\w+)=(.*)$")
_UNSET = re.compile(r"^# (CONFIG_\w+) is not set$")


@dataclass
class Config:
    """One row of configs.json."""

    name: str
    purpose: str
    arch: str
    fragments: list
    product: list = field(default_factory=list)
    cross: str = ""		# CROSS_COMPILE
    compiler: str = "gcc"
    slow: float = 1		# timeouts in the guest are this much longer

    def files(self, base):
        """The fragments, in the order in which they override each other."""
        names = self.fragments + ([] if base else self.product)
        return [CONFIGS / f"{name}.config" for name in names]


def table():
    """All configurations by name."""
    rows = json.loads((CONFIGS / "configs.json").read_text())
    return {name: Config(name=name, **row) for name, row in rows.items()}


def find(name):
    """One configuration; an unknown name is answered with those there are."""
    rows = table()
    if name not in rows:
        known = "\n".join(f"  {row.name:<14} {row.purpose}" for row in rows.values())
        raise LabError(f"there is no configuration '{name}'; there are\n{known}")
    return rows[name]


def parse(text):
    """Options of a .config or a fragment: {name: value}, 'n' for 'is not set'."""
    options = {}
    for line in text.splitlines():
        if match := _SET.match(line.strip()):
            options[match[1]] = match[2]
        elif match := _UNSET.match(line.strip()):
            options[match[1]] = "n"
    return options


def wanted(files):
    """What the fragments ask for: {option: (value, fragment)}; the last one wins."""
    asked = {}
    for path in files:
        text = path.read_text()
        for number, line in enumerate(text.splitlines(), 1):
            stripped = line.strip()
            if not parse(stripped):
                if stripped.startswith("CONFIG") or (stripped and stripped[0] != "#"):
                    raise LabError(f"{show(path)}:{number}: not an option: {stripped}")
                continue
            for option, value in parse(stripped).items():
                asked[option] = (value, path.name)
    return asked


def unknown():
    """Options that the kernel of BASE= does not have, so that they are asked for in vain."""
    path = ROOT / "bases" / os.environ.get("BASE", "") / "no-options"
    lines = path.read_text().splitlines() if path.is_file() else []
    return {line.split()[0] for line in lines if line.startswith("CONFIG_")}


def misses(files, config_text):
    """The options that did not stick: [(option, wanted, got, fragment)]."""
    have, excused = parse(config_text), unknown()
    found = []
    for option, (value, fragment) in wanted(files).items():
        # One that is there after all, but not as it was asked for, is no excuse.
        if option in excused and option not in have:
            continue
        got = have.get(option, "n")
        if got != value:
            found.append((option, value, got if option in have else "nothing", fragment))
    return found


def verify(files, config):
    """Raise when .config is not what the fragments asked for."""
    missed = misses(files, Path(config).read_text())
    if missed:
        lines = [f"  {option}: wanted {value}, got {got} (lab/configs/{fragment})"
                 for option, value, got, fragment in missed]
        raise LabError("Kconfig did not accept what the fragments ask for "
                       "(a dependency is missing, or the option is gone):\n"
                       + "\n".join(lines) + f"\nlooked at: {show(config)}")


def fingerprint(config, base):
    """The text that decides whether .config has to be made again."""
    compiler = config.cross if config.compiler == "gcc" else config.compiler
    parts = [f"arch {' '.join([config.arch, compiler]).strip()}\n"]
    parts += [f"# {path.name}\n{path.read_text()}" for path in config.files(base)]
    return "\n".join(parts)
