# SPDX-License-Identifier: GPL-2.0
"""The lab: fetches, assembles, builds, boots, judges, measures and breaks kernels."""
