// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for dual bitmaps: every change is compared with a model that works
 * bit by bit and shares no code with the header; two CPUs race for one run.
 */

#include <kunit/test.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/dual_bitmap.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/time64.h>
#include <linux/timekeeping.h>

#define TEST_BITS	1024
#define TEST_WORDS	(TEST_BITS / BITS_PER_LONG)

/* Each array stands between two guard words. */
struct arrays {
	unsigned long primary[TEST_WORDS + 2];
	unsigned long secondary[TEST_WORDS + 2];
};

struct context {
	struct arrays now;
	struct arrays want;
	struct dual_bitmap map;
	struct rnd_state rnd;
};

static int dual_bitmap_test_init(struct kunit *test)
{
	struct context *c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);

	if (!c)
		return -ENOMEM;
	c->map.primary = c->now.primary + 1;
	c->map.secondary = c->now.secondary + 1;
	prandom_seed_state(&c->rnd, 7213);
	test->priv = c;
	return 0;
}

static const unsigned int orders[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };

static void order_desc(const unsigned int *order, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "order %u", *order);
}

KUNIT_ARRAY_PARAM(order, orders, order_desc);

static unsigned int param_order(struct kunit *test)
{
	return *(const unsigned int *)test->param_value;
}

/* The model. */

static bool get_one(const unsigned long *words, unsigned long bit)
{
	return words[1 + bit / BITS_PER_LONG] >> (bit % BITS_PER_LONG) & 1;
}

static void put_one(unsigned long *words, unsigned long bit, bool value)
{
	unsigned long one = 1UL << (bit % BITS_PER_LONG);

	if (value)
		words[1 + bit / BITS_PER_LONG] |= one;
	else
		words[1 + bit / BITS_PER_LONG] &= ~one;
}

static void model_force(struct arrays *a, unsigned long bit, unsigned long bits, bool set)
{
	unsigned long n;

	for (n = bit; n < bit + bits; n++) {
		put_one(a->primary, n, set);
		put_one(a->secondary, n, !set);
	}
}

/* Write the @mask bits of a word of one array; true if none of them had the value. */
static bool model_write(unsigned long *words, unsigned long word, unsigned long mask, bool value)
{
	bool good = true;
	unsigned int n;

	for (n = 0; n < BITS_PER_LONG; n++) {
		if (!(mask >> n & 1))
			continue;
		good &= get_one(words, word * BITS_PER_LONG + n) != value;
		put_one(words, word * BITS_PER_LONG + n, value);
	}
	return good;
}

static void model_look(const struct arrays *a, unsigned long word, unsigned long bit,
		       unsigned int order, struct dual_bitmap_fault *fault)
{
	unsigned long n, mask = 0;

	for (n = word * BITS_PER_LONG; n < (word + 1) * BITS_PER_LONG; n++)
		if (n >= bit && n < bit + (1UL << order))
			mask |= 1UL << (n % BITS_PER_LONG);
	*fault = (struct dual_bitmap_fault) {
		.word = word, .mask = mask,
		.primary = a->primary[1 + word], .secondary = a->secondary[1 + word],
	};
}

static bool model_change(struct arrays *a, unsigned long bit, unsigned int order, bool set,
			 struct dual_bitmap_fault *fault)
{
	unsigned long last = (bit + (1UL << order) - 1) / BITS_PER_LONG;
	unsigned long word;

	for (word = bit / BITS_PER_LONG; word <= last; word++) {
		model_look(a, word, bit, order, fault);
		fault->reread = true;
		if (!model_write(a->primary, word, fault->mask, set))
			return false;
		fault->reread = false;
		if (!model_write(a->secondary, word, fault->mask, !set))
			return false;
	}
	return true;
}

static bool model_is_clear(struct arrays *a, unsigned long bit, unsigned int order,
			   struct dual_bitmap_fault *fault)
{
	unsigned long n;

	for (n = bit; n < bit + (1UL << order); n++) {
		if (!get_one(a->primary, n) && get_one(a->secondary, n))
			continue;
		model_look(a, n / BITS_PER_LONG, bit, order, fault);
		return false;
	}
	return true;
}

/* The header against the model: result, fault, both arrays and their guards. */

static void expect_same(struct kunit *test, bool good, bool expected,
			const struct dual_bitmap_fault *fault,
			const struct dual_bitmap_fault *model)
{
	struct context *c = test->priv;

	KUNIT_ASSERT_EQ(test, good, expected);
	KUNIT_ASSERT_MEMEQ(test, &c->now, &c->want, sizeof(c->now));
	if (good)
		return;
	KUNIT_ASSERT_EQ(test, fault->word, model->word);
	KUNIT_ASSERT_EQ(test, fault->mask, model->mask);
	KUNIT_ASSERT_EQ(test, fault->primary, model->primary);
	KUNIT_ASSERT_EQ(test, fault->secondary, model->secondary);
	KUNIT_ASSERT_EQ(test, fault->reread, model->reread);
}

static bool change(struct kunit *test, unsigned long bit, unsigned int order, bool set,
		   struct dual_bitmap_fault *fault)
{
	struct context *c = test->priv;
	struct dual_bitmap_fault model;
	bool good, expected;

	c->want = c->now;
	expected = model_change(&c->want, bit, order, set, &model);
	good = set ? dual_bitmap_set(&c->map, bit, order, fault) :
		     dual_bitmap_clear(&c->map, bit, order, fault);
	expect_same(test, good, expected, fault, &model);
	return good;
}

static bool is_clear(struct kunit *test, unsigned long bit, unsigned int order)
{
	struct dual_bitmap_fault fault, model;
	struct context *c = test->priv;
	bool good, expected;

	c->want = c->now;
	expected = model_is_clear(&c->want, bit, order, &model);
	good = dual_bitmap_is_clear(&c->map, bit, order, &fault);
	expect_same(test, good, expected, &fault, &model);
	return good;
}

static unsigned long random_word(struct context *c)
{
	unsigned long word;

	prandom_bytes_state(&c->rnd, &word, sizeof(word));
	return word;
}

/* One state for the run, sound but random pairs around it, random guards. */
static void fill(struct context *c, unsigned long bit, unsigned int order, bool set)
{
	unsigned int i;

	for (i = 0; i < TEST_WORDS + 2; i++) {
		c->now.primary[i] = random_word(c);
		c->now.secondary[i] = i % (TEST_WORDS + 1) ? ~c->now.primary[i] : random_word(c);
	}
	model_force(&c->now, bit, 1UL << order, set);
}

/* Errors of a word pair are numbered through the primary, then the secondary. */
static void flip(struct context *c, unsigned long word, unsigned int error)
{
	if (error < BITS_PER_LONG)
		c->map.primary[word] ^= 1UL << error;
	else
		c->map.secondary[word] ^= 1UL << (error - BITS_PER_LONG);
}

#define DAMAGED	5	/* the word that tests damage */

static unsigned long run_at(unsigned int error, unsigned int order)
{
	return (DAMAGED * BITS_PER_LONG + error % BITS_PER_LONG) >> order << order;
}

/*
 * Damage to the primary might be another CPU's change, for whose end the header
 * waits.  A wait is long on an emulator: a part of all cases must do here.
 */
static bool worth_a_wait(unsigned int error, unsigned int order)
{
	return error >= BITS_PER_LONG || error % 16 == order;
}

static void every_run_changes_and_nothing_else_does(struct kunit *test)
{
	unsigned int order = param_order(test);
	struct dual_bitmap_fault fault;
	unsigned long bit;

	for (bit = 0; bit < TEST_BITS; bit += 1UL << order) {
		fill(test->priv, bit, order, false);
		KUNIT_ASSERT_TRUE(test, is_clear(test, bit, order));
		KUNIT_ASSERT_TRUE(test, change(test, bit, order, true, &fault));
		KUNIT_ASSERT_FALSE(test, is_clear(test, bit, order));
		KUNIT_ASSERT_TRUE(test, change(test, bit, order, false, &fault));
		KUNIT_ASSERT_TRUE(test, is_clear(test, bit, order));
	}
}

static void repeat_fails_with_a_consistent_pair(struct kunit *test)
{
	unsigned int order = param_order(test);
	struct dual_bitmap_fault fault;
	unsigned long bit;
	int set;

	for (bit = 0; bit < TEST_BITS; bit += 1UL << order) {
		for (set = 0; set < 2; set++) {
			fill(test->priv, bit, order, set);
			KUNIT_ASSERT_FALSE(test, change(test, bit, order, set, &fault));
			KUNIT_ASSERT_EQ(test, 0, fault.mask &
					dual_bitmap_bad_bits(fault.primary, fault.secondary));
		}
	}
}

static void single_bit_error_is_detected(struct kunit *test)
{
	unsigned int error, order = param_order(test);
	struct context *c = test->priv;
	struct dual_bitmap_fault fault;
	int set;

	for (error = 0; error < 2 * BITS_PER_LONG; error++) {
		unsigned long bit = run_at(error, order);

		for (set = 0; set < 2; set++) {
			fill(c, bit, order, !set);
			flip(c, DAMAGED, error);
			KUNIT_ASSERT_FALSE(test, is_clear(test, bit, order));
			KUNIT_ASSERT_EQ(test, DAMAGED,
					dual_bitmap_find_bad(&c->map, 0, TEST_WORDS));
			if (worth_a_wait(error, order))
				KUNIT_ASSERT_FALSE(test, change(test, bit, order, set, &fault));
		}
	}
}

static void single_bit_error_does_not_disturb_other_runs(struct kunit *test)
{
	unsigned int error, order = param_order(test);
	struct dual_bitmap_fault fault;
	unsigned long other;

	for (error = 0; error < 2 * BITS_PER_LONG && order < 10; error++) {
		other = run_at(error, order) ^ (1UL << order);
		fill(test->priv, other, order, false);
		flip(test->priv, DAMAGED, error);
		KUNIT_ASSERT_TRUE(test, is_clear(test, other, order));
		KUNIT_ASSERT_TRUE(test, change(test, other, order, true, &fault));
		KUNIT_ASSERT_TRUE(test, change(test, other, order, false, &fault));
	}
}

static void both_bits_of_a_pair_flipped_is_a_repeat(struct kunit *test)
{
	unsigned int n, order = param_order(test);
	struct context *c = test->priv;
	struct dual_bitmap_fault fault;
	int set;

	for (n = 0; n < BITS_PER_LONG; n++) {
		for (set = 0; set < 2; set++) {
			fill(c, run_at(n, order), order, !set);
			flip(c, DAMAGED, n);
			flip(c, DAMAGED, n + BITS_PER_LONG);
			KUNIT_ASSERT_FALSE(test, change(test, run_at(n, order), order, set,
							&fault));
			KUNIT_ASSERT_EQ(test, fault.word, DAMAGED);
			KUNIT_ASSERT_EQ(test, ~0UL, fault.primary ^ fault.secondary);
		}
	}
}

static void double_bit_error_is_detected_unless_it_is_a_repeat(struct kunit *test)
{
	unsigned int a, b, seen = 0, opposite = 0;
	struct context *c = test->priv;

	for (a = 0; a < 2 * BITS_PER_LONG; a++) {
		for (b = a + 1; b < 2 * BITS_PER_LONG; b++) {
			fill(c, 0, 0, false);
			flip(c, DAMAGED, a);
			flip(c, DAMAGED, b);
			if (dual_bitmap_find_bad(&c->map, 0, TEST_WORDS) == DAMAGED)
				seen++;
			else
				opposite += b == a + BITS_PER_LONG;
		}
	}
	KUNIT_EXPECT_EQ(test, opposite, BITS_PER_LONG);
	KUNIT_EXPECT_EQ(test, seen, BITS_PER_LONG * (2 * BITS_PER_LONG - 2));
}

static void overwritten_word_is_detected(struct kunit *test)
{
	unsigned int order = param_order(test), n;
	struct context *c = test->priv;
	struct dual_bitmap_fault fault;
	unsigned long bit = run_at(0, order);

	fill(c, bit, order, false);
	/* Both wiped to the same value: what two copies of one state would not show. */
	for (n = 0; n < 2; n++) {
		c->map.primary[DAMAGED] = n ? ~0UL : 0;
		c->map.secondary[DAMAGED] = n ? ~0UL : 0;
		KUNIT_ASSERT_FALSE(test, is_clear(test, bit, order));
	}
	for (n = 0; n < 12; n++) {
		bool set = n % 2, primary = n / 2 % 2;
		unsigned long *word = primary ? c->map.primary : c->map.secondary;
		/* The value that the run's bits must not have: primary 1 or secondary 0. */
		unsigned long values[] = { set == primary ? ~0UL : 0, random_word(c), ~0UL / 3 };
		unsigned long value = values[n / 4];

		fill(c, bit, max(order, DUAL_BITMAP_WORD_ORDER), !set);
		word[DAMAGED] = value;
		KUNIT_ASSERT_EQ(test, DAMAGED, dual_bitmap_find_bad(&c->map, 0, TEST_WORDS));
		is_clear(test, bit, order);
		change(test, bit, order, set, &fault);
	}
}

static void failed_first_step_leaves_the_secondary_alone(struct kunit *test)
{
	unsigned int order = param_order(test);
	struct context *c = test->priv;
	struct dual_bitmap_fault fault;
	unsigned long bit = run_at(0, order), before;
	bool good;
	int set;

	for (set = 0; set < 2; set++) {
		fill(c, bit, order, !set);
		flip(c, DAMAGED, 0);
		before = c->map.secondary[DAMAGED];
		good = set ? dual_bitmap_set(&c->map, bit, order, &fault) :
			     dual_bitmap_clear(&c->map, bit, order, &fault);
		KUNIT_EXPECT_FALSE(test, good);
		KUNIT_EXPECT_EQ(test, c->map.secondary[DAMAGED], before);
	}
}

static void force_set_makes_any_run_set(struct kunit *test)
{
	unsigned int i, order = param_order(test);
	struct context *c = test->priv;
	unsigned long bit;

	for (bit = 0; bit < TEST_BITS; bit += 1UL << order) {
		for (i = 0; i < TEST_WORDS + 2; i++) {
			c->now.primary[i] = random_word(c);
			c->now.secondary[i] = random_word(c);
		}
		c->want = c->now;
		model_force(&c->want, bit, 1UL << order, true);
		dual_bitmap_force_set(&c->map, bit, order);
		KUNIT_ASSERT_MEMEQ(test, &c->now, &c->want, sizeof(c->now));
	}
}

/* Fail to clear @run, take it back, and see what each of its bits has become. */
static void check_undo(struct kunit *test, unsigned long run, unsigned int order)
{
	struct context *c = test->priv;
	struct arrays before = c->now;
	struct dual_bitmap_fault fault;
	unsigned long n;

	KUNIT_ASSERT_FALSE(test, change(test, run, order, false, &fault));
	c->want = c->now;
	for (n = run; n < run + (1UL << order); n++)
		if (n / BITS_PER_LONG <= fault.word)
			model_force(&c->want, n, 1,
				    get_one(before.primary, n) || !get_one(before.secondary, n));
	dual_bitmap_undo_clear(&c->map, run, order, &fault);
	KUNIT_ASSERT_MEMEQ(test, &c->now, &c->want, sizeof(c->now));
}

static void undo_clear_leaves_only_soundly_clear_bits_clear(struct kunit *test)
{
	unsigned int error, order = param_order(test);
	struct context *c = test->priv;
	unsigned long run;

	for (error = 0; error < 2 * BITS_PER_LONG; error++) {
		run = run_at(error, order);
		if (worth_a_wait(error, order)) {
			fill(c, run, order, true);
			flip(c, DAMAGED, error);
			check_undo(test, run, order);
		}
		/* One pair is soundly clear; with a second error next to it. */
		fill(c, run, order, true);
		model_force(&c->now, run_at(error, 0), 1, false);
		check_undo(test, run, order);
		if (order && worth_a_wait(error % BITS_PER_LONG, order)) {
			fill(c, run, order, true);
			model_force(&c->now, run_at(error, 0), 1, false);
			flip(c, DAMAGED, error ^ 1);
			check_undo(test, run, order);
		}
	}
}

static void init_keeps_to_the_arrays(struct kunit *test)
{
	struct context *c = test->priv;
	unsigned int words;
	int set;

	for (words = 0; words <= TEST_WORDS; words++) {
		for (set = 0; set < 2; set++) {
			fill(c, 0, 0, set);
			c->want = c->now;
			model_force(&c->want, 0, words * BITS_PER_LONG, set);
			dual_bitmap_init(&c->map, words * BITS_PER_LONG, set);
			KUNIT_ASSERT_MEMEQ(test, &c->now, &c->want, sizeof(c->now));
			KUNIT_ASSERT_EQ(test, words, dual_bitmap_words(words * BITS_PER_LONG));
		}
	}
}

/* A bad pair is damage, or a change that is half done: not for who turns the bit. */
static void turn_leaves_alone_what_is_not_in_the_other_state(struct kunit *test)
{
	struct context *c = test->priv;
	unsigned long bit;
	int state, set;

	for (bit = 0; bit < TEST_BITS; bit += 7) {
		for (state = 0; state < 8; state++) {
			set = state & 1;
			put_one(c->now.primary, bit, state & 2);
			put_one(c->now.secondary, bit, state & 4);
			c->want = c->now;
			if (state == (set ? 5 : 2))
				model_force(&c->want, bit, 1, set);
			KUNIT_EXPECT_EQ(test, state == (set ? 5 : 2),
					dual_bitmap_turn_bit(&c->map, bit, set));
			KUNIT_EXPECT_MEMEQ(test, &c->now, &c->want, sizeof(c->now));
		}
	}
}

static void find_bad_keeps_to_its_range(struct kunit *test)
{
	struct context *c = test->priv;
	unsigned long word, end;

	fill(c, 0, 0, false);
	flip(c, DAMAGED, 3);
	flip(c, DAMAGED + 2, BITS_PER_LONG);
	for (end = 0; end <= TEST_WORDS; end++) {
		for (word = 0; word <= end; word++) {
			unsigned long bad = word <= DAMAGED ? DAMAGED :
					    word <= DAMAGED + 2 ? DAMAGED + 2 : end;

			KUNIT_ASSERT_EQ(test, dual_bitmap_find_bad(&c->map, word, end),
					min(bad, end));
		}
	}
}

static void classify_tells_bits_from_words(struct kunit *test)
{
	const unsigned long mixed = ~0UL / 5 * 2;	/* 0110 0110 ... */
	unsigned int n, error;

	KUNIT_EXPECT_EQ(test, DUAL_BITMAP_INTACT, dual_bitmap_classify(mixed, ~mixed));
	KUNIT_EXPECT_EQ(test, DUAL_BITMAP_INTACT, dual_bitmap_classify(0, ~0UL));
	KUNIT_EXPECT_EQ(test, DUAL_BITMAP_INTACT, dual_bitmap_classify(~0UL, 0));
	for (error = 0; error < BITS_PER_LONG; error++) {
		KUNIT_EXPECT_EQ(test, DUAL_BITMAP_ONE_BIT,
				dual_bitmap_classify(mixed ^ 1UL << error, ~mixed));
		KUNIT_EXPECT_EQ(test, DUAL_BITMAP_ONE_BIT,
				dual_bitmap_classify(0, ~(1UL << error)));
	}
	for (n = 2; n < BITS_PER_LONG; n++)
		KUNIT_EXPECT_EQ(test, n < BITS_PER_LONG / 4 ? DUAL_BITMAP_SEVERAL_BITS :
							      DUAL_BITMAP_WHOLE_WORD,
				dual_bitmap_classify(mixed, ~mixed ^ ((1UL << n) - 1)));
	KUNIT_EXPECT_EQ(test, DUAL_BITMAP_WHOLE_WORD, dual_bitmap_classify(mixed, 0));
	KUNIT_EXPECT_EQ(test, DUAL_BITMAP_WHOLE_WORD, dual_bitmap_classify(~0UL, mixed));
	KUNIT_EXPECT_EQ(test, DUAL_BITMAP_WHOLE_WORD, dual_bitmap_classify(0, 0));
	KUNIT_EXPECT_EQ(test, DUAL_BITMAP_WHOLE_WORD, dual_bitmap_classify(~0UL, ~0UL));
	KUNIT_EXPECT_EQ(test, DUAL_BITMAP_WHOLE_WORD, dual_bitmap_classify(mixed, mixed));
}

/* Races. */

#define RACES		20000		/* to set and to clear in turn */
#define RACE_TIME	NSEC_PER_SEC

/*
 * A hypervisor, or the host of UML, can take the CPU from the winner between its
 * two steps for longer than the loser waits.  Such a race still must have one
 * loser, but says nothing about what it reports.  This is shorter than any wait.
 */
#define STOLEN_NS	20000

struct race;

struct racer {
	struct race *race;
	struct completion done;
	unsigned long bit;
	unsigned int order;
	bool good;
	u64 took;
	struct dual_bitmap_fault fault;
};

struct race {
	struct dual_bitmap map;
	struct racer racers[2];
	atomic_t arrived;
	int met;
	u64 start;
	bool over;
	u64 end;
	unsigned int races, not_one, damage, stolen;
};

/* Later than both will have seen it, by a clock that is the same on all CPUs. */
static void meet(struct race *race, int generation)
{
	if (atomic_inc_return(&race->arrived) == 2 * generation) {
		WRITE_ONCE(race->start, ktime_get_mono_fast_ns() + 1000);
		/* Whoever sees the generation sees the start, and what judge() has left. */
		smp_store_release(&race->met, generation);
		return;
	}
	/* Pairs with the release above. */
	while (smp_load_acquire(&race->met) < generation) {
		cpu_relax();
		cond_resched();
	}
}

static void race_once(struct racer *racer, bool set)
{
	const struct dual_bitmap *map = &racer->race->map;
	unsigned long flags;
	u64 begin;

	local_irq_save(flags);
	do {
		begin = ktime_get_mono_fast_ns();
	} while (begin < READ_ONCE(racer->race->start));
	racer->good = set ? dual_bitmap_set(map, racer->bit, racer->order, &racer->fault) :
			    dual_bitmap_clear(map, racer->bit, racer->order, &racer->fault);
	racer->took = ktime_get_mono_fast_ns() - begin;
	local_irq_restore(flags);
}

/* One of the two, while the other waits: judge this race and prepare the next. */
static void judge(struct race *race, bool set)
{
	struct racer *winner = &race->racers[!race->racers[0].good];
	struct dual_bitmap_fault *fault = &race->racers[race->racers[0].good].fault;

	race->races++;
	if (race->racers[0].good == race->racers[1].good)
		race->not_one++;
	else if (winner->took > STOLEN_NS)
		race->stolen++;
	else if (dual_bitmap_bad_bits(fault->primary, fault->secondary) & fault->mask)
		race->damage++;
	/* If the runs differ, the loser has left the rest of its own half changed. */
	if (race->racers[0].order != race->racers[1].order)
		dual_bitmap_init(&race->map, TEST_BITS, set);
	race->over = race->races >= RACES || ktime_get_mono_fast_ns() > race->end;
}

static int race_thread(void *arg)
{
	struct racer *racer = arg;
	struct race *race = racer->race;
	bool set = true;
	int generation = 0;

	for (;;) {
		meet(race, ++generation);
		if (race->over)
			break;
		race_once(racer, set);
		meet(race, ++generation);
		if (racer == &race->racers[0])
			judge(race, set);
		set = !set;
	}
	kthread_complete_and_exit(&racer->done, 0);
}

/* No assertions here: CPU hotplug is locked. */
static int run_race(struct race *race)
{
	unsigned int cpu[2] = { cpumask_first(cpu_online_mask) };
	struct task_struct *tasks[2];
	int i;

	cpu[1] = cpumask_next(cpu[0], cpu_online_mask);
	if (cpu[1] >= nr_cpu_ids)
		return -ENODEV;
	for (i = 0; i < 2; i++) {
		race->racers[i].race = race;
		init_completion(&race->racers[i].done);
		tasks[i] = kthread_create_on_cpu(race_thread, &race->racers[i], cpu[i],
						 "dual_bitmap/%u");
		if (IS_ERR(tasks[i])) {
			if (i)
				kthread_stop(tasks[0]);
			return PTR_ERR(tasks[i]);
		}
	}
	race->end = ktime_get_mono_fast_ns() + RACE_TIME;
	for (i = 0; i < 2; i++)
		wake_up_process(tasks[i]);
	for (i = 0; i < 2; i++)
		wait_for_completion(&race->racers[i].done);
	return 0;
}

struct runs {
	unsigned int order, other;
};

static const struct runs same_runs[] = {
	{ 0, 0 }, { 1, 1 }, { 3, 3 }, { 5, 5 }, { 6, 6 }, { 9, 9 },
};

static const struct runs overlapping_runs[] = {
	{ 3, 0 }, { 5, 3 }, { 6, 0 }, { 6, 4 }, { 9, 6 }, { 9, 1 },
};

static void runs_desc(const struct runs *runs, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "orders %u and %u", runs->order, runs->other);
}

KUNIT_ARRAY_PARAM(same_runs, same_runs, runs_desc);
KUNIT_ARRAY_PARAM(overlapping_runs, overlapping_runs, runs_desc);

static void of_two_racing_changes_one_fails_as_a_repeat(struct kunit *test)
{
	struct race *race = kunit_kzalloc(test, sizeof(*race), GFP_KERNEL);
	const struct runs *runs = test->param_value;
	struct context *c = test->priv;
	int err;

	KUNIT_ASSERT_NOT_NULL(test, race);
	race->map = c->map;
	race->racers[0].order = runs->order;
	race->racers[1].order = runs->other;
	/* The smaller run is the end of the larger one. */
	race->racers[0].bit = TEST_BITS / 2;
	race->racers[1].bit = TEST_BITS / 2 + (1UL << runs->order) - (1UL << runs->other);
	dual_bitmap_init(&race->map, TEST_BITS, false);

	cpus_read_lock();
	err = run_race(race);
	cpus_read_unlock();
	if (err == -ENODEV)
		kunit_skip(test, "a race takes two CPUs");
	KUNIT_ASSERT_EQ(test, err, 0);
	kunit_info(test, "%u races, %u of them disturbed from outside\n", race->races,
		   race->stolen);
	KUNIT_EXPECT_EQ(test, race->not_one, 0);
	KUNIT_EXPECT_EQ(test, race->damage, 0);
	KUNIT_EXPECT_GT(test, race->races, race->stolen);
}

static struct kunit_case dual_bitmap_cases[] = {
	KUNIT_CASE_PARAM(every_run_changes_and_nothing_else_does, order_gen_params),
	KUNIT_CASE_PARAM(repeat_fails_with_a_consistent_pair, order_gen_params),
	KUNIT_CASE_PARAM(single_bit_error_is_detected, order_gen_params),
	KUNIT_CASE_PARAM(single_bit_error_does_not_disturb_other_runs, order_gen_params),
	KUNIT_CASE_PARAM(both_bits_of_a_pair_flipped_is_a_repeat, order_gen_params),
	KUNIT_CASE(double_bit_error_is_detected_unless_it_is_a_repeat),
	KUNIT_CASE_PARAM(overwritten_word_is_detected, order_gen_params),
	KUNIT_CASE_PARAM(failed_first_step_leaves_the_secondary_alone, order_gen_params),
	KUNIT_CASE_PARAM(force_set_makes_any_run_set, order_gen_params),
	KUNIT_CASE_PARAM(undo_clear_leaves_only_soundly_clear_bits_clear, order_gen_params),
	KUNIT_CASE(turn_leaves_alone_what_is_not_in_the_other_state),
	KUNIT_CASE(init_keeps_to_the_arrays),
	KUNIT_CASE(find_bad_keeps_to_its_range),
	KUNIT_CASE(classify_tells_bits_from_words),
	KUNIT_CASE_PARAM(of_two_racing_changes_one_fails_as_a_repeat, same_runs_gen_params),
	KUNIT_CASE_PARAM(of_two_racing_changes_one_fails_as_a_repeat,
			 overlapping_runs_gen_params),
	{}
};

static struct kunit_suite dual_bitmap_suite = {
	.name = "dual_bitmap",
	.init = dual_bitmap_test_init,
	.test_cases = dual_bitmap_cases,
};

kunit_test_suite(dual_bitmap_suite);

MODULE_DESCRIPTION("KUnit tests for dual bitmaps");
MODULE_LICENSE("GPL");
