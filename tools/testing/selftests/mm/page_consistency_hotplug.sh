#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Memory blocks go offline and come back, again and again; the page allocator consistency
# checker must follow and has nothing to say.
#
#	page_consistency_hotplug.sh [ROUNDS [BLOCKS]]

DIR="$(dirname "$(readlink -f "$0")")"
. "$DIR"/../kselftest/ktap_helpers.sh

FILES=/sys/kernel/mm/page_consistency
MEMORY=/sys/devices/system/memory
ROUNDS=${1:-5}
BLOCKS=${2:-4}
cycles=0
taken=()

# Memory blocks that can go offline, movable ones first: the others seldom do.
candidates()
{
	local block zones

	for block in "$MEMORY"/memory[0-9]*; do
		[ "$(cat "$block"/state)" = online ] || continue
		[ "$(cat "$block"/removable 2> /dev/null)" = 1 ] || continue
		zones=$(cat "$block"/valid_zones 2> /dev/null)
		case "$zones" in
		Movable*)	echo "0 $block" ;;
		*)		echo "1 $block" ;;
		esac
	done | sort | cut -d' ' -f2
}

total()
{
	awk '/^MemTotal:/ { print $2 }' /proc/meminfo
}

bring_back()
{
	local block status=0

	for block in "${taken[@]}"; do
		echo online > "$block"/state || status=1
	done
	taken=()
	return $status
}

take_away()
{
	local block

	for block in $(candidates); do
		[ ${#taken[@]} -lt "$BLOCKS" ] || break
		if (echo offline > "$block"/state) 2> /dev/null; then
			taken+=("$block")
		fi
	done
	cycles=$((cycles + ${#taken[@]}))
}

use_memory()
{
	local space=/dev/shm/page_consistency.$$

	dd if=/dev/zero of=$space bs=1M count=32 status=none
	rm -f $space
}

verified()
{
	echo 1 > $FILES/verify || return 1
	[ "$(cat $FILES/verified_sections)" = "$(cat $FILES/sections)" ] &&
		[ "$(cat $FILES/verified_mismatches)" = 0 ]
}

one_round()
{
	local status=0

	take_away
	[ ${#taken[@]} -gt 0 ] || status=1
	use_memory
	verified || status=1
	bring_back || status=1
	use_memory
	verified || status=1
	[ "$(cat $FILES/violations)" = "$violations" ] || status=1
	return $status
}

all_is_back()
{
	ktap_print_msg "MemTotal $(total) kB, was $memory kB"
	ktap_print_msg "$(cat $FILES/sections) sections, were $sections"
	[ "$(total)" = "$memory" ] && [ "$(cat $FILES/sections)" = "$sections" ]
}

ktap_print_header
if [ "$(id -u)" != 0 ]; then
	ktap_skip_all "needs root"
	exit $KSFT_SKIP
fi
if [ ! -e $FILES/policy ]; then
	ktap_skip_all "no $FILES: CONFIG_PAGE_CONSISTENCY is not set"
	exit $KSFT_SKIP
fi
if [ "$(cat $FILES/policy)" = off ]; then
	ktap_skip_all "the checker is off; boot with page_consistency=report"
	exit $KSFT_SKIP
fi
if ! ls -d $MEMORY/memory[0-9]* > /dev/null 2>&1; then
	ktap_skip_all "no memory blocks: CONFIG_MEMORY_HOTPLUG is not set"
	exit $KSFT_SKIP
fi
if [ -z "$(candidates)" ]; then
	ktap_skip_all "no memory block can go offline"
	exit $KSFT_SKIP
fi

violations=$(cat $FILES/violations)
sections=$(cat $FILES/sections)
memory=$(total)
trap bring_back EXIT

# Whether any block really can go shows only when it is tried.
take_away
bring_back
if [ $cycles = 0 ]; then
	ktap_skip_all "no memory block went offline; movablecore= on the command line helps"
	exit $KSFT_SKIP
fi

ktap_set_plan $((ROUNDS + 1))
for round in $(seq "$ROUNDS"); do
	ktap_test_result "round_$round" one_round
done
ktap_print_msg "$cycles times a block went offline and came back"
ktap_test_result "all_is_back" all_is_back
ktap_finished
