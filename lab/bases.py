# SPDX-License-Identifier: GPL-2.0
"""The kernels that the series stands on: a folder of bases/ for each.

bases/<release>/lock says which source it is (lab/source.py). The main base,
common.MAIN, is the one of patches/.
"""

from pathlib import Path

from lab import common


def lock_path(base: str) -> Path:
    return common.ROOT / "bases" / base / "lock"
