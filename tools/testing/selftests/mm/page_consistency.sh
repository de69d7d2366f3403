#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The page allocator consistency checker: what page_consistency= on the command line has
# made of it, and /sys/kernel/mm/page_consistency/.

DIR="$(dirname "$(readlink -f "$0")")"
. "$DIR"/../kselftest/ktap_helpers.sh

FILES=/sys/kernel/mm/page_consistency
PLAIN="policy sections pages bytes distance violations"
SECRET="verified_sections verified_pages verified_blocks verified_mismatches verified_ns"

# The value of an attribute.
value()
{
	cat "$FILES/$1"
}

is_number()
{
	[[ "$(value "$1")" =~ ^[0-9]+$ ]]
}

# What the policy has to be: the last word that counts, of all on the command line.
expected_policy()
{
	local policy=off enforced="" word option
	local options=()

	if zgrep -qs '^CONFIG_PAGE_CONSISTENCY_ENFORCED=y' /proc/config.gz; then
		policy=on enforced=1
	fi
	for word in $(< /proc/cmdline); do
		case "$word" in
		page_consistency)
			policy=on
			;;
		page_consistency=*)
			policy=on
			IFS=, read -ra options <<< "${word#*=}"
			for option in "${options[@]}"; do
				case "$option" in
				off)
					policy=${enforced:+on}
					policy=${policy:-off}
					;;
				report)
					policy=${enforced:+on}
					policy=${policy:-report}
					;;
				remote)
					;;
				*)
					policy=on
					;;
				esac
			done
			;;
		esac
	done
	echo $policy
}

policy_is_what_was_asked_for()
{
	local policy expected

	policy=$(value policy)
	expected=$(expected_policy)
	ktap_print_msg "policy $policy, expected $expected"
	[ "$policy" = "$expected" ]
}

only_the_policy_is_shown()
{
	[ "$(ls $FILES)" = policy ]
}

modes_are_right()
{
	local name

	for name in $PLAIN; do
		[ "$(stat -c %a $FILES/$name)" = 444 ] || return 1
	done
	for name in $SECRET; do
		[ "$(stat -c %a $FILES/$name)" = 400 ] || return 1
	done
	[ "$(stat -c %a $FILES/verify)" = 200 ]
}

one_number_in_each_file()
{
	local name

	for name in ${PLAIN#policy} $SECRET; do
		is_number $name || return 1
		[ "$(wc -l < $FILES/$name)" = 1 ] || return 1
	done
}

# Two bits for each page at least, and nothing beside it that is as large.
sizes_fit_together()
{
	local sections pages bytes

	sections=$(value sections)
	pages=$(value pages)
	bytes=$(value bytes)
	ktap_print_msg "$pages pages in $sections sections, $bytes bytes"
	[ "$sections" -gt 0 ] && [ $((pages % sections)) = 0 ] &&
		[ "$bytes" -ge $((pages / 4)) ]
}

all_memory_is_tracked()
{
	local total

	total=$(awk '/^MemTotal:/ { print $2 * 1024 }' /proc/meminfo)
	[ $(($(value pages) * $(getconf PAGE_SIZE))) -ge "$total" ]
}

copies_are_apart()
{
	[ "$(value distance)" -ge $((2 * $(getconf PAGE_SIZE))) ]
}

# Verify, and see that everything was looked at and nothing was found.
verified()
{
	echo 1 > $FILES/verify || return 1
	[ "$(value verified_sections)" = "$(value sections)" ] &&
		[ "$(value verified_pages)" = "$(value pages)" ] &&
		[ "$(value verified_blocks)" -gt 0 ] &&
		[ "$(value verified_ns)" -gt 0 ] &&
		[ "$(value verified_mismatches)" = 0 ]
}

verified_while_pages_move()
{
	local space=/dev/shm/page_consistency.$$ job status=0

	(for _ in {1..20}; do
		dd if=/dev/zero of=$space bs=1M count=16 status=none
		rm -f $space
	done) &
	job=$!
	for _ in 1 2 3; do
		verified || status=1
	done
	kill $job 2> /dev/null
	wait $job 2> /dev/null
	rm -f $space
	return $status
}

other_words_are_refused()
{
	local before word

	before=$(value verified_ns)
	for word in 0 x ""; do
		! (echo "$word" > $FILES/verify) 2> /dev/null || return 1
	done
	[ "$(value verified_ns)" = "$before" ]
}

values_cannot_be_written()
{
	local name

	for name in $PLAIN $SECRET; do
		! (echo 1 > $FILES/$name) 2> /dev/null || return 1
	done
}

nothing_was_reported_meanwhile()
{
	[ "$(value violations)" = "$violations" ]
}

TESTS="policy_is_what_was_asked_for modes_are_right one_number_in_each_file sizes_fit_together
       all_memory_is_tracked copies_are_apart verified verified_while_pages_move
       other_words_are_refused values_cannot_be_written nothing_was_reported_meanwhile"

ktap_print_header
if [ "$(id -u)" != 0 ]; then
	ktap_skip_all "needs root"
	exit $KSFT_SKIP
fi
if [ ! -e $FILES/policy ]; then
	ktap_skip_all "no $FILES: CONFIG_PAGE_CONSISTENCY is not set"
	exit $KSFT_SKIP
fi

[ "$(value policy)" != off ] || TESTS="policy_is_what_was_asked_for only_the_policy_is_shown"
violations=$(cat $FILES/violations 2> /dev/null)

ktap_set_plan "$(wc -w <<< "$TESTS")"
for name in $TESTS; do
	ktap_test_result "$name" "$name"
done
ktap_finished
