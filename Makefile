# SPDX-License-Identifier: GPL-2.0
# The front door: each target is one command of lab/; make help lists them.
#
# What can be asked for by NAME=value stands in lab/settings.py; make help lists that, too.

COMMANDS := run test test-long tree refresh port bases series kernel boot check bench matrix mutants \
	fresh clean

# Variables given on make's command line reach the lab through the environment; an empty one
# means the same as none.
VARIABLES := ONLY LIST CONFIG BASE UNPATCHED UNSIGNED APPEND SMP NODES MEMORY HOST CORRUPT KSRC FORCE \
	SOAK ALL JOBS GUESTS LAB_BUILD LAB_CACHE LAB_ACCEL LAB_TIMEOUT_SCALE
$(foreach v,$(VARIABLES),$(if $($(v)),$(eval export $(v)),$(eval unexport $(v))))
# make -jN at this level must not reach the kernel's make as a jobserver that is gone.
unexport MAKEFLAGS MFLAGS MAKELEVEL
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help python $(COMMANDS)
.NOTPARALLEL:

help: python
	@python3 -m lab help

$(COMMANDS): python
	@python3 -m lab $@

# The one program that python cannot look for itself.
python:
	@command -v python3 >/dev/null && exit 0; \
	if ! command -v apt-get >/dev/null; then \
		echo "error: python3 is missing; install it with this system's package manager" >&2; exit 2; \
	elif [ "$$(id -u)" != 0 ]; then \
		echo "error: python3 is missing; install it and run make again:" >&2; \
		echo "  sudo apt-get install -y --no-install-recommends python3" >&2; exit 2; \
	fi; \
	echo '$$ apt-get install -y --no-install-recommends python3'; \
	apt-get install -y --no-install-recommends python3 >/dev/null || \
		{ apt-get update && apt-get install -y --no-install-recommends python3; }
