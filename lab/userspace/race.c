// SPDX-License-Identifier: GPL-2.0
/*
 * Two threads make the same change at the same moment, and changes of different
 * order that overlap: exactly one fails, and what it reports is a repeat.  One who
 * turns a bit of somebody else's run fits in with whatever that one does to it.
 *
 *	race ROUNDS	per pair of orders; each is a race to set and one to clear
 */

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "test.h"

/*
 * The kernel has preemption off between the two steps of a change, a thread has
 * not: if the winner was preempted there it must get a CPU before the loser's
 * patience ends.
 */
static __thread unsigned int waits;

static void wait_for_winner(void)
{
	static const struct timespec moment = { .tv_nsec = 50000 };

	if (++waits > 50000)
		nanosleep(&moment, NULL);
	else if (waits > 100)
		sched_yield();
}

#define cpu_relax()	wait_for_winner()

#include <linux/dual_bitmap.h>

#define WORDS	16

static unsigned long primary[WORDS], secondary[WORDS];
static const struct dual_bitmap map = { .primary = primary, .secondary = secondary };

struct side {
	unsigned int order;
	unsigned long bit;
	bool turns, good;
	unsigned long met_half_done;
	struct dual_bitmap_fault fault;
} __aligned(128);

static struct side sides[2];
static unsigned long rounds;
static unsigned long arrived, met, start, turned;
static bool hopeless;

static unsigned long now(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#else
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000UL + ts.tv_nsec;
#endif
}

static void meet(unsigned long generation)
{
	unsigned int spins = 0;

	if (__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL) == 2 * generation) {
		WRITE_ONCE(start, now() + 1500);
		__atomic_store_n(&met, generation, __ATOMIC_RELEASE);
		return;
	}
	/* Whom one waits for long is not running: let it. */
	while (__atomic_load_n(&met, __ATOMIC_ACQUIRE) < generation)
		if (++spins % 2048 == 0)
			sched_yield();
}

/*
 * At one time by the clock.  A barrier alone lets the last to come lead by the
 * time a cache line takes, and the window between two steps is shorter than that.
 */
static void start_together(void)
{
	while (now() < READ_ONCE(start))
		barrier();
}

static void change(struct side *side, bool set)
{
	waits = 0;
	if (side->turns)
		side->good = dual_bitmap_turn_bit(&map, side->bit, false);
	else
		side->good = set ? dual_bitmap_set(&map, side->bit, side->order, &side->fault) :
				   dual_bitmap_clear(&map, side->bit, side->order, &side->fault);
	side->met_half_done += waits > 0;
}

/* Between two meetings, by one thread: judge the race, prepare the next. */
static void judge(bool set)
{
	EXPECT_EQ(sides[0].good + sides[1].good, 1);
	for (unsigned int i = 0; i < 2; i++) {
		struct dual_bitmap_fault *fault = &sides[i].fault;

		if (!sides[i].good)
			EXPECT_EQ(dual_bitmap_bad_bits(fault->primary, fault->secondary) &
				  fault->mask, 0);
	}
	/* A loser that waits in vain takes a second or two. */
	WRITE_ONCE(hopeless, test_errors >= 3);
	/* Of overlapping runs the loser leaves the rest of its own half done. */
	if (sides[0].order != sides[1].order)
		dual_bitmap_init(&map, WORDS * BITS_PER_LONG, set);
}

/*
 * Between two meetings, as above.  A run that is being set is set, but for the bit if
 * that came after it; of a run that is being cleared one of both has the bit.
 */
static void judge_turn(bool set)
{
	struct dual_bitmap_fault *fault = &sides[0].fault;
	unsigned long word = BIT_WORD(sides[1].bit), mask = BIT_MASK(sides[1].bit);

	EXPECT_EQ(sides[0].good, set || !sides[1].good);
	if (!sides[0].good)
		EXPECT_EQ(dual_bitmap_bad_bits(fault->primary, fault->secondary) & fault->mask, 0);
	if (set) {
		EXPECT_EQ(dual_bitmap_find_bad(&map, 0, WORDS), WORDS);
		EXPECT_EQ(!(primary[word] & mask), sides[1].good);
	}
	turned += sides[1].good;
	WRITE_ONCE(hopeless, test_errors >= 3);
	dual_bitmap_init(&map, WORDS * BITS_PER_LONG, set);
}

static void *racer(void *arg)
{
	struct side *side = arg;
	unsigned long generation = 0;

	for (unsigned long round = 0; round < 2 * rounds; round++) {
		bool set = round % 2 == 0;

		meet(++generation);
		if (READ_ONCE(hopeless))
			break;
		start_together();
		change(side, set);
		meet(++generation);
		if (side == &sides[0] && sides[1].turns)
			judge_turn(set);
		else if (side == &sides[0])
			judge(set);
	}
	return NULL;
}

static void race(unsigned int a, unsigned int b, bool turns)
{
	pthread_t thread;

	arrived = 0;
	met = 0;
	hopeless = false;
	/* The smaller run begins where the larger one has its last word. */
	sides[0] = (struct side) { .order = a, .bit = 4 * BITS_PER_LONG >> a << a };
	sides[1] = (struct side) { .order = b, .bit = sides[0].bit, .turns = turns };
	if (a > b)
		sides[1].bit += (1UL << a) - (1UL << b);
	dual_bitmap_init(&map, WORDS * BITS_PER_LONG, false);
	if (pthread_create(&thread, NULL, racer, &sides[1]))
		abort();
	racer(&sides[0]);
	pthread_join(thread, NULL);
	if (a == b && !turns)
		EXPECT_EQ(dual_bitmap_find_bad(&map, 0, WORDS), WORDS);
	put("# orders ");
	put_number(a, 10);
	put(" and ");
	put_number(b, 10);
	put(": ");
	put_number(2 * rounds, 10);
	put(" races, the loser met a half-done change in ");
	put_number(sides[0].met_half_done + sides[1].met_half_done, 10);
	put("\n");
}

static void of_two_equal_changes_exactly_one_fails_as_a_repeat(void)
{
	static const unsigned int orders[] = { 0, 1, 3, 5, 6, 9 };

	for (unsigned int i = 0; i < sizeof(orders) / sizeof(*orders); i++)
		race(orders[i], orders[i], false);
}

static void of_two_overlapping_changes_exactly_one_fails_as_a_repeat(void)
{
	static const unsigned int orders[][2] = {
		{ 3, 0 }, { 5, 3 }, { 6, 0 }, { 6, 4 }, { 9, 6 }, { 9, 1 },
	};

	for (unsigned int i = 0; i < sizeof(orders) / sizeof(*orders); i++)
		race(orders[i][0], orders[i][1], false);
}

static void who_turns_a_bit_disturbs_nobody(void)
{
	static const unsigned int orders[] = { 0, 1, 3, 5, 6, 9 };

	turned = 0;
	for (unsigned int i = 0; i < sizeof(orders) / sizeof(*orders); i++)
		race(orders[i], 0, true);
	EXPECT(turned > 0);
}

int main(int argc, char **argv)
{
	rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 10000;
	TEST(of_two_equal_changes_exactly_one_fails_as_a_repeat);
	rounds = rounds / 4 + 1;
	TEST(of_two_overlapping_changes_exactly_one_fails_as_a_repeat);
	TEST(who_turns_a_bit_disturbs_nobody);
	return test_end();
}
