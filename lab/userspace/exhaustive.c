// SPDX-License-Identifier: GPL-2.0
/*
 * dual_bitmap.h against a model that works bit by bit and shares no code with it:
 * every run, and every single and double bit error of a word pair under every
 * run that meets it.  The result, the fault and both arrays must be the model's.
 */

#include "test.h"

/*
 * cpu_relax() is the body of a loop that waits.  Where nobody will come the test
 * leaves the loop; where somebody shall, waited() plays the other CPU.
 */
static bool nobody_comes = true;
static void waited(void);
#define cpu_relax()	{ if (nobody_comes) break; waited(); }

#include <linux/dual_bitmap.h>

#define WORDS		8
#define BITS		((unsigned long)WORDS * BITS_PER_LONG)
#define WORD_ORDER	(BITS_PER_LONG == 64 ? 6U : 5U)
#define MAX_ORDER	(WORD_ORDER + 3)

/* The arrays start behind a guard word. */
struct arrays {
	unsigned long p[WORDS + 2];
	unsigned long s[WORDS + 2];
};

static struct arrays now, want;
static const struct dual_bitmap map = { .primary = now.p + 1, .secondary = now.s + 1 };

static bool get_bit(const unsigned long *words, unsigned long bit)
{
	return words[1 + bit / BITS_PER_LONG] >> bit % BITS_PER_LONG & 1;
}

static void put_bit(unsigned long *words, unsigned long bit, bool value)
{
	unsigned long one = 1UL << bit % BITS_PER_LONG;

	words[1 + bit / BITS_PER_LONG] &= ~one;
	words[1 + bit / BITS_PER_LONG] |= value ? one : 0;
}

static void model_force(struct arrays *a, unsigned long bit, unsigned long bits, bool set)
{
	for (unsigned long n = bit; n < bit + bits; n++) {
		put_bit(a->p, n, set);
		put_bit(a->s, n, !set);
	}
}

/* The part of a run that lies in one word. */
struct part {
	unsigned long first, end, mask;
};

static struct part part_of(unsigned long word, unsigned long bit, unsigned int order)
{
	struct part part = { .first = word * BITS_PER_LONG, .end = (word + 1) * BITS_PER_LONG };

	if (part.first < bit)
		part.first = bit;
	if (part.end > bit + (1UL << order))
		part.end = bit + (1UL << order);
	for (unsigned long n = part.first; n < part.end; n++)
		part.mask |= 1UL << n % BITS_PER_LONG;
	return part;
}

/* Write a value to a part of one array; true if all of it had the other one. */
static bool model_write(unsigned long *words, const struct part *part, bool value)
{
	bool good = true;

	for (unsigned long n = part->first; n < part->end; n++) {
		good &= get_bit(words, n) != value;
		put_bit(words, n, value);
	}
	return good;
}

static bool model_change(struct arrays *a, unsigned long bit, unsigned int order, bool set,
			 struct dual_bitmap_fault *fault)
{
	unsigned long last = (bit + (1UL << order) - 1) / BITS_PER_LONG;

	for (unsigned long word = bit / BITS_PER_LONG; word <= last; word++) {
		struct part part = part_of(word, bit, order);

		*fault = (struct dual_bitmap_fault) {
			.word = word, .mask = part.mask, .reread = true,
			.primary = a->p[1 + word], .secondary = a->s[1 + word],
		};
		if (!model_write(a->p, &part, set))
			return false;
		if (!model_write(a->s, &part, !set)) {
			fault->reread = false;
			return false;
		}
	}
	return true;
}

static bool model_is_clear(const struct arrays *a, unsigned long bit, unsigned int order,
			   struct dual_bitmap_fault *fault)
{
	for (unsigned long n = bit; n < bit + (1UL << order); n++) {
		unsigned long word = n / BITS_PER_LONG;

		if (!get_bit(a->p, n) && get_bit(a->s, n))
			continue;
		*fault = (struct dual_bitmap_fault) {
			.word = word, .mask = part_of(word, bit, order).mask,
			.primary = a->p[1 + word], .secondary = a->s[1 + word],
		};
		return false;
	}
	return true;
}

static void model_undo_clear(struct arrays *a, const struct arrays *before, unsigned long bit,
			     unsigned int order, const struct dual_bitmap_fault *fault)
{
	for (unsigned long n = bit; n < bit + (1UL << order); n++) {
		bool was_clear = !get_bit(before->p, n) && get_bit(before->s, n);

		if (n / BITS_PER_LONG <= fault->word)
			model_force(a, n, 1, !was_clear);
	}
}

static void expect_fault(const struct dual_bitmap_fault *fault,
			 const struct dual_bitmap_fault *model)
{
	EXPECT_EQ(fault->word, model->word);
	EXPECT_EQ(fault->mask, model->mask);
	EXPECT_EQ(fault->primary, model->primary);
	EXPECT_EQ(fault->secondary, model->secondary);
	EXPECT_EQ(fault->reread, model->reread);
}

/* Do what the model does to @want; true if the change was accepted. */
static bool change(unsigned long bit, unsigned int order, bool set,
		   struct dual_bitmap_fault *fault)
{
	struct dual_bitmap_fault model;
	bool expected, good;

	want = now;
	expected = model_change(&want, bit, order, set, &model);
	good = set ? dual_bitmap_set(&map, bit, order, fault) :
		     dual_bitmap_clear(&map, bit, order, fault);
	EXPECT_EQ(good, expected);
	EXPECT(!memcmp(&now, &want, sizeof(now)));
	if (!good && !expected)
		expect_fault(fault, &model);
	return good;
}

static bool is_clear(unsigned long bit, unsigned int order)
{
	struct dual_bitmap_fault fault, model;
	bool expected, good;

	want = now;
	expected = model_is_clear(&now, bit, order, &model);
	good = dual_bitmap_is_clear(&map, bit, order, &fault);
	EXPECT_EQ(good, expected);
	EXPECT(!memcmp(&now, &want, sizeof(now)));
	if (!good && !expected)
		expect_fault(&fault, &model);
	return good;
}

/* Guards are random, so that neither zeroes nor ones written there go unseen. */
static void fill_random(void)
{
	for (unsigned int i = 0; i < WORDS + 2; i++) {
		now.p[i] = random_word();
		now.s[i] = i % (WORDS + 1) ? ~now.p[i] : random_word();
	}
}

static void fill_run(unsigned long bit, unsigned int order, bool set)
{
	fill_random();
	model_force(&now, bit, 1UL << order, set);
}

/* Errors are numbered through both words of a pair. */
static void flip(unsigned long word, unsigned int error)
{
	if (error < BITS_PER_LONG)
		now.p[1 + word] ^= 1UL << error;
	else
		now.s[1 + word] ^= 1UL << (error - BITS_PER_LONG);
}

/* The run of @order that contains the pair which @error of @word hits. */
static unsigned long run_of(unsigned long word, unsigned int error, unsigned int order)
{
	unsigned long bit = word * BITS_PER_LONG + error % BITS_PER_LONG;

	return bit >> order << order;
}

static void every_run_changes_and_nothing_else_does(void)
{
	struct dual_bitmap_fault fault;
	unsigned long runs = 0;

	for (unsigned int order = 0; order <= MAX_ORDER; order++) {
		for (unsigned long bit = 0; bit < BITS; bit += 1UL << order) {
			fill_run(bit, order, false);
			EXPECT(is_clear(bit, order));
			EXPECT(change(bit, order, true, &fault));
			EXPECT(!is_clear(bit, order));
			EXPECT(change(bit, order, false, &fault));
			EXPECT(is_clear(bit, order));
			runs++;
		}
	}
	note("runs", runs);
	EXPECT_EQ(runs, 2 * BITS - 1);
}

static void every_repeat_is_seen_as_a_repeat(void)
{
	struct dual_bitmap_fault fault;

	for (unsigned int order = 0; order <= MAX_ORDER; order++) {
		for (unsigned long run = 0; run < 2 * BITS >> order; run++) {
			bool set = run % 2;
			unsigned long bit = run / 2 << order;

			fill_run(bit, order, set);
			EXPECT(!change(bit, order, set, &fault));
			EXPECT(!(dual_bitmap_bad_bits(fault.primary, fault.secondary) &
				 fault.mask));
		}
	}
}

static bool detects(unsigned long word, unsigned int order, unsigned int a, unsigned int b,
		    bool set)
{
	struct dual_bitmap_fault fault;
	unsigned long bit = run_of(word, a, order);

	fill_run(bit, order, !set);
	flip(word, a);
	if (b != a)
		flip(word, b);
	/* A set run of one pair that is flipped as a whole is clear, and rightly so. */
	if (is_clear(bit, order) && set)
		return false;
	return !change(bit, order, set, &fault);
}

static void every_single_bit_error_is_detected(void)
{
	unsigned long word = 3, errors = 0;

	/* Of the runs of several words some have the error in their first, some in their last. */
	for (unsigned int order = 0; order <= MAX_ORDER; order++) {
		for (unsigned int error = 0; error < 2 * BITS_PER_LONG; error++, errors++) {
			EXPECT(detects(word, order, error, error, true));
			EXPECT(detects(word, order, error, error, false));
			fill_random();
			flip(word, error);
			EXPECT_EQ(dual_bitmap_find_bad(&map, 0, WORDS), word);
		}
	}
	note("single bit errors, all orders", errors);
	EXPECT_EQ(errors, 2 * BITS_PER_LONG * (MAX_ORDER + 1));
}

static void every_double_bit_error_is_detected(void)
{
	unsigned long word = 4, errors = 0, damage = 0, opposite = 0;

	for (unsigned int a = 0; a < 2 * BITS_PER_LONG; a++) {
		for (unsigned int b = a + 1; b < 2 * BITS_PER_LONG; b++, errors++) {
			fill_random();
			flip(word, a);
			flip(word, b);
			if (dual_bitmap_find_bad(&map, 0, WORDS) == word)
				damage++;
			else
				opposite += b == a + BITS_PER_LONG;
			for (unsigned int order = 0; order <= WORD_ORDER; order++) {
				EXPECT(detects(word, order, a, b, true));
				EXPECT(detects(word, order, a, b, false));
			}
		}
	}
	note("double bit errors of a word pair", errors);
	note("that no scan can see, the consistent opposite state", opposite);
	EXPECT_EQ(errors, BITS_PER_LONG * (2 * BITS_PER_LONG - 1));
	EXPECT_EQ(opposite, BITS_PER_LONG);
	EXPECT_EQ(damage, errors - opposite);
}

static void both_bits_of_a_pair_flipped_is_a_repeat(void)
{
	struct dual_bitmap_fault fault;

	for (unsigned int order = 0; order <= WORD_ORDER; order++) {
		for (unsigned int n = 0; n < 2 * BITS_PER_LONG; n++) {
			bool set = n % 2;
			unsigned int error = n / 2;
			unsigned long bit = run_of(5, error, order);

			fill_run(bit, order, !set);
			flip(5, error);
			flip(5, error + BITS_PER_LONG);
			EXPECT(!change(bit, order, set, &fault));
			EXPECT(!dual_bitmap_bad_bits(fault.primary, fault.secondary));
		}
	}
}

static void check_overwritten(bool primary, unsigned long value, bool set)
{
	unsigned long *word = primary ? &now.p[1 + 2] : &now.s[1 + 2];

	for (unsigned int order = 0; order <= MAX_ORDER; order++) {
		for (unsigned long bit = 0; bit < BITS; bit += 1UL << order) {
			struct dual_bitmap_fault fault;

			fill_run(bit, order, !set);
			*word = value;
			is_clear(bit, order);
			change(bit, order, set, &fault);
		}
	}
	for (unsigned int error = 0; error < BITS_PER_LONG; error++) {
		fill_run(2 * BITS_PER_LONG, WORD_ORDER, set);
		if (*word == value)
			continue;
		*word = value;
		EXPECT_EQ(dual_bitmap_find_bad(&map, 0, WORDS), 2);
	}
}

static void overwritten_words_are_detected(void)
{
	for (unsigned int i = 0; i < 4; i++) {
		check_overwritten(i % 2, 0, i / 2);
		check_overwritten(i % 2, ~0UL, i / 2);
		for (unsigned int n = 0; n < 20; n++)
			check_overwritten(i % 2, random_word(), i / 2);
	}
	for (unsigned int i = 0; i < 2; i++) {
		fill_random();
		now.p[1 + 6] = i ? ~0UL : 0;
		now.s[1 + 6] = now.p[1 + 6];
		EXPECT_EQ(dual_bitmap_find_bad(&map, 0, WORDS), 6);
	}
}

static void check_undo(unsigned int order, unsigned int a, unsigned int b, bool was_set)
{
	struct dual_bitmap_fault fault;
	unsigned long bit = run_of(3, a, order);
	struct arrays before;

	fill_run(bit, order, true);
	if (!was_set)
		model_force(&now, run_of(3, a, 0), 1, false);
	flip(3, a);
	if (b != a)
		flip(3, b);
	before = now;
	if (change(bit, order, false, &fault))
		return;
	want = now;
	model_undo_clear(&want, &before, bit, order, &fault);
	dual_bitmap_undo_clear(&map, bit, order, &fault);
	EXPECT(!memcmp(&now, &want, sizeof(now)));
}

static void undo_clear_leaves_only_soundly_clear_bits_clear(void)
{
	for (unsigned int order = 0; order <= MAX_ORDER; order++) {
		for (unsigned int a = 0; a < 2 * BITS_PER_LONG; a++) {
			for (unsigned int b = a; b < 2 * BITS_PER_LONG; b++) {
				check_undo(order, a, b, true);
				check_undo(order, a, b, false);
			}
		}
	}
}

static void force_set_makes_any_run_set(void)
{
	for (unsigned int order = 0; order <= MAX_ORDER; order++) {
		for (unsigned long bit = 0; bit < BITS; bit += 1UL << order) {
			for (unsigned int i = 0; i < WORDS + 2; i++) {
				now.p[i] = random_word();
				now.s[i] = random_word();
			}
			want = now;
			model_force(&want, bit, 1UL << order, true);
			dual_bitmap_force_set(&map, bit, order);
			EXPECT(!memcmp(&now, &want, sizeof(now)));
		}
	}
}

static void init_gives_every_bit_the_state_and_keeps_to_the_arrays(void)
{
	for (unsigned int words = 0; words <= WORDS; words++) {
		for (unsigned int set = 0; set < 2; set++) {
			fill_random();
			want = now;
			model_force(&want, 0, words * BITS_PER_LONG, set);
			dual_bitmap_init(&map, words * BITS_PER_LONG, set);
			EXPECT(!memcmp(&now, &want, sizeof(now)));
			EXPECT_EQ(dual_bitmap_words(words * BITS_PER_LONG), words);
		}
	}
}

static void find_bad_keeps_to_its_range(void)
{
	for (unsigned int bad = 0; bad < WORDS; bad++) {
		for (unsigned int n = 0; n < (WORDS + 1) * (WORDS + 1); n++) {
			unsigned long word = n / (WORDS + 1), end = n % (WORDS + 1);

			if (word > end)
				continue;
			fill_random();
			flip(bad, bad * 5);
			EXPECT_EQ(dual_bitmap_find_bad(&map, word, end),
				  bad >= word && bad < end ? bad : end);
		}
	}
}

static enum dual_bitmap_damage model_classify(unsigned long p, unsigned long s)
{
	unsigned int bad = 0;

	for (unsigned int n = 0; n < BITS_PER_LONG; n++)
		bad += (p >> n & 1) == (s >> n & 1);
	if (bad < 2)
		return bad ? DUAL_BITMAP_ONE_BIT : DUAL_BITMAP_INTACT;
	if (p == 0 || p == ~0UL || s == 0 || s == ~0UL || bad * 4 >= BITS_PER_LONG)
		return DUAL_BITMAP_WHOLE_WORD;
	return DUAL_BITMAP_SEVERAL_BITS;
}

static void classify_tells_bits_from_words(void)
{
	const unsigned long mixed = ~0UL / 5 * 2;	/* 0110 0110 ... */

	EXPECT_EQ(dual_bitmap_classify(0, ~0UL), DUAL_BITMAP_INTACT);
	EXPECT_EQ(dual_bitmap_classify(mixed, ~mixed), DUAL_BITMAP_INTACT);
	EXPECT_EQ(dual_bitmap_classify(mixed ^ 1, ~mixed), DUAL_BITMAP_ONE_BIT);
	EXPECT_EQ(dual_bitmap_classify(mixed ^ 5, ~mixed), DUAL_BITMAP_SEVERAL_BITS);
	EXPECT_EQ(dual_bitmap_classify(mixed, 0), DUAL_BITMAP_WHOLE_WORD);
	EXPECT_EQ(dual_bitmap_classify(0, 0), DUAL_BITMAP_WHOLE_WORD);
	for (unsigned int a = 0; a < 2 * BITS_PER_LONG; a++) {
		for (unsigned int b = a; b < 2 * BITS_PER_LONG; b++) {
			fill_random();
			if (a % 3 == 0)
				model_force(&now, 0, BITS_PER_LONG, a % 2);
			flip(0, a);
			if (b != a)
				flip(0, b);
			EXPECT_EQ(dual_bitmap_classify(now.p[1], now.s[1]),
				  model_classify(now.p[1], now.s[1]));
		}
	}
	for (unsigned int bad = 0; bad <= BITS_PER_LONG; bad++) {
		unsigned long s = ~mixed;

		for (unsigned int n = 0; n < bad; n++)
			s ^= 1UL << n;
		EXPECT_EQ(dual_bitmap_classify(mixed, s), model_classify(mixed, s));
	}
}

/* The other CPU: its second step comes after @comes_after looks at the word. */
static struct part others_part;
static bool others_set;
static unsigned int waits, comes_after;

static void waited(void)
{
	if (++waits == comes_after)
		model_write(now.s, &others_part, !others_set);
}

static void half_done(unsigned int order, unsigned int other, bool set, unsigned int after,
		      struct dual_bitmap_fault *fault)
{
	unsigned long word = 1, bit = word * BITS_PER_LONG;
	bool good;

	fill_run(bit, WORD_ORDER, !set);
	others_part = part_of(word, bit, other);
	others_set = set;
	model_write(now.p, &others_part, set);
	waits = 0;
	comes_after = after;
	nobody_comes = false;
	good = set ? dual_bitmap_set(&map, bit, order, fault) :
		     dual_bitmap_clear(&map, bit, order, fault);
	nobody_comes = true;
	EXPECT(!good);
}

static void loser_of_a_race_waits_for_the_winner(void)
{
	struct dual_bitmap_fault fault;

	for (unsigned int order = 0; order <= WORD_ORDER; order++) {
		for (unsigned int other = 0; other <= WORD_ORDER; other++) {
			for (unsigned int i = 0; i < 2; i++) {
				half_done(order, other, i, 1000, &fault);
				EXPECT_EQ(waits, 1000);
				EXPECT(!dual_bitmap_bad_bits(fault.primary, fault.secondary));
				half_done(order, other, i, 0, &fault);
				EXPECT(waits > 1000 && waits <= 1 << 16);
				EXPECT(dual_bitmap_bad_bits(fault.primary, fault.secondary) &
				       fault.mask);
			}
		}
	}
}

int main(void)
{
	TEST(every_run_changes_and_nothing_else_does);
	TEST(every_repeat_is_seen_as_a_repeat);
	TEST(every_single_bit_error_is_detected);
	TEST(every_double_bit_error_is_detected);
	TEST(both_bits_of_a_pair_flipped_is_a_repeat);
	TEST(overwritten_words_are_detected);
	TEST(undo_clear_leaves_only_soundly_clear_bits_clear);
	TEST(force_set_makes_any_run_set);
	TEST(init_gives_every_bit_the_state_and_keeps_to_the_arrays);
	TEST(find_bad_keeps_to_its_range);
	TEST(classify_tells_bits_from_words);
	TEST(loser_of_a_race_waits_for_the_winner);
	return test_end();
}
