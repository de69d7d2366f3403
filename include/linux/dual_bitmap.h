/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_DUAL_BITMAP_H
#define _LINUX_DUAL_BITMAP_H

/**
 * DOC: dual bitmap
 *
 * A dual bitmap keeps one state bit per object twice: in a primary array as it
 * is, in a secondary array inverted.  A *set* bit is the pair (1, 0), a *clear*
 * bit is (0, 1); (0, 0) and (1, 1) can only be damage.  Any error that is
 * confined to one of the arrays is visible, and so is every wipe of both to the
 * same value, which plain duplication would miss.
 *
 * State changes are made on *runs*: 2^order bits that start at a multiple of
 * 2^order, as blocks of the buddy allocator do.  A change is one
 * read-modify-write of each array.  The values they return are the check, so
 * there is no window between looking and changing.  The secondary is touched
 * only if the primary was as expected: of two CPUs that make the same change at
 * the same time exactly one fails, and it fails at the primary, that is, with
 * the evidence of a repeated change and not of damage.
 *
 * Nothing here allocates, locks or decides.  Arrays are unsigned longs, bit n is
 * bit n % BITS_PER_LONG of word n / BITS_PER_LONG.  All functions may be called
 * in any context, NMI included; the caller keeps preemption off if it needs a
 * grace period to imply that no change is half done.
 */

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/kconfig.h>
#include <linux/log2.h>
#include <linux/processor.h>
#include <linux/string.h>
#include <linux/types.h>

/**
 * struct dual_bitmap - the two arrays, same length
 * @primary: 1 = set
 * @secondary: 0 = set
 */
struct dual_bitmap {
	unsigned long *primary;
	unsigned long *secondary;
};

/**
 * struct dual_bitmap_fault - what a failed change or test has found
 * @word: index of the first bad word
 * @mask: the bits of that word that belong to the run
 * @primary: the primary word; bits in @mask as they were before the change
 * @secondary: the secondary word; bits in @mask as they were before the change
 * @reread: the secondary was not reached by the change and was read afterwards;
 *	    bits outside @mask always are
 */
struct dual_bitmap_fault {
	unsigned long word;
	unsigned long mask;
	unsigned long primary;
	unsigned long secondary;
	bool reread;
};

enum dual_bitmap_damage {
	DUAL_BITMAP_INTACT,
	DUAL_BITMAP_ONE_BIT,
	DUAL_BITMAP_SEVERAL_BITS,
	DUAL_BITMAP_WHOLE_WORD,
};

/*
 * Where byte and halfword exchange are single instructions, a run of 8, 16 or 32
 * bits is exchanged as a unit.  Elsewhere they are loops around a full-word
 * cmpxchg and a masked fetch_or()/fetch_andnot() is no worse.
 */
#define DUAL_BITMAP_NARROW_XCHG (IS_ENABLED(CONFIG_X86) || IS_ENABLED(CONFIG_ARM64))

#define DUAL_BITMAP_WORD_ORDER	ilog2(BITS_PER_LONG)

static inline unsigned long dual_bitmap_words(unsigned long nr_bits)
{
	return nr_bits / BITS_PER_LONG;
}

/* The bits of one word that a run of less than a word, or of words, covers. */
static __always_inline unsigned long dual_bitmap_mask(unsigned long bit, unsigned int order)
{
	if (order >= DUAL_BITMAP_WORD_ORDER)
		return ~0UL;
	return ((1UL << (1U << order)) - 1) << (bit % BITS_PER_LONG);
}

/* Index of the unit of @width bits that holds @bit, in an array of longs. */
static __always_inline unsigned long dual_bitmap_unit(unsigned long bit, unsigned int width)
{
	unsigned long unit = bit / width;

	if (IS_ENABLED(CONFIG_CPU_BIG_ENDIAN))
		unit ^= BITS_PER_LONG / width - 1;
	return unit;
}

/*
 * Describe a failure: @primary is the run's old primary bits.  If the secondary
 * was reached, @secondary is its old bits; otherwise another CPU may be between
 * its two steps, whose second is awaited for as long as a few interrupts may
 * take.  Bounded, because this CPU may itself have interrupted the other change.
 */
static noinline __maybe_unused
bool dual_bitmap_fail(struct dual_bitmap map, unsigned long word, unsigned long mask,
		      unsigned long primary, const unsigned long *secondary,
		      struct dual_bitmap_fault *fault)
{
	unsigned int tries = 1U << 16;
	unsigned long seen;

	seen = READ_ONCE(map.secondary[word]);
	while (!secondary && ((primary ^ seen) & mask) != mask && --tries) {
		cpu_relax();
		seen = READ_ONCE(map.secondary[word]);
	}

	fault->word = word;
	fault->mask = mask;
	fault->primary = (READ_ONCE(map.primary[word]) & ~mask) | (primary & mask);
	if (secondary)
		seen = (seen & ~mask) | (*secondary & mask);
	fault->secondary = seen;
	fault->reread = !secondary;
	return false;
}

/* How far the change of a single bit has come. */
enum dual_bitmap_step {
	DUAL_BITMAP_DONE,
	DUAL_BITMAP_AT_PRIMARY,		/* it was not as expected; the secondary is untouched */
	DUAL_BITMAP_AT_SECONDARY,	/* it was not as expected */
};

/**
 * dual_bitmap_change_bit - change one bit, for callers that count instructions
 * @map: the arrays
 * @bit: the bit
 * @set: to which state; a constant
 *
 * Context: Any.
 * Return: DUAL_BITMAP_DONE, or where it failed, for dual_bitmap_bit_fault().
 */
static __always_inline
enum dual_bitmap_step dual_bitmap_change_bit(const struct dual_bitmap *map, unsigned long bit,
					     bool set)
{
	if (unlikely((set ? test_and_set_bit(bit, map->primary) :
			    test_and_clear_bit(bit, map->primary)) == set))
		return DUAL_BITMAP_AT_PRIMARY;
	if (unlikely((set ? test_and_clear_bit(bit, map->secondary) :
			    test_and_set_bit(bit, map->secondary)) != set))
		return DUAL_BITMAP_AT_SECONDARY;
	return DUAL_BITMAP_DONE;
}

/**
 * dual_bitmap_bit_fault - describe a failed dual_bitmap_change_bit()
 * @map: the arrays
 * @bit: the bit
 * @set: to which state
 * @step: where it failed
 * @fault: filled in
 *
 * Context: Any, as soon as possible after the failure.
 * Return: false.
 */
static inline bool dual_bitmap_bit_fault(const struct dual_bitmap *map, unsigned long bit,
					 bool set, enum dual_bitmap_step step,
					 struct dual_bitmap_fault *fault)
{
	unsigned long mask = BIT_MASK(bit), secondary = set ? 0 : mask;

	if (step == DUAL_BITMAP_AT_PRIMARY)
		return dual_bitmap_fail(*map, BIT_WORD(bit), mask, set ? mask : 0, NULL, fault);
	return dual_bitmap_fail(*map, BIT_WORD(bit), mask, set ? 0 : mask, &secondary, fault);
}

/**
 * dual_bitmap_turn_bit - change one bit if it is in the other state, or leave it alone
 * @map: the arrays
 * @bit: the bit
 * @set: to which state
 *
 * For who does not own the object, so that others may be changing its bit at the
 * same moment.  A change to the other state that has come only as far as the primary
 * is noticed at the secondary; the primary is then made again what that change has
 * written.
 *
 * Context: Any.
 * Return: true if the bit was in the other state and has been changed.
 */
static __always_inline bool dual_bitmap_turn_bit(const struct dual_bitmap *map,
						 unsigned long bit, bool set)
{
	enum dual_bitmap_step step = dual_bitmap_change_bit(map, bit, set);

	if (step == DUAL_BITMAP_AT_SECONDARY && set)
		test_and_clear_bit(bit, map->primary);
	else if (step == DUAL_BITMAP_AT_SECONDARY)
		test_and_set_bit(bit, map->primary);
	return step == DUAL_BITMAP_DONE;
}

/*
 * Exchange a run of @width bits, a constant, as a unit; return which of its old
 * bits were not the opposite of @ones.  Only forms that return the old value, here
 * and below: on arm64 the void ones may execute far from the core.
 */
static __always_inline unsigned long dual_bitmap_xchg(unsigned long *map, unsigned long bit,
						      unsigned int width, bool ones)
{
	unsigned long unit = dual_bitmap_unit(bit, width);

	switch (width) {
	case 8:
		return (u8)(xchg((u8 *)map + unit, (u8)(ones ? ~0 : 0)) ^ (ones ? 0 : ~0));
	case 16:
		return (u16)(xchg((u16 *)map + unit, (u16)(ones ? ~0 : 0)) ^ (ones ? 0 : ~0));
	default:
		return (u32)(xchg((u32 *)map + unit, (u32)(ones ? ~0 : 0)) ^ (ones ? 0 : ~0));
	}
}

/* Write ones or zeroes under @mask, return what was there. */
static __always_inline unsigned long dual_bitmap_write(unsigned long *word, unsigned long mask,
						       bool ones)
{
	if (ones)
		return atomic_long_fetch_or(mask, (atomic_long_t *)word) & mask;
	return atomic_long_fetch_andnot(mask, (atomic_long_t *)word) & mask;
}

/**
 * struct dual_bitmap_stop - where the change of a run has ended early
 * @where: 0 if it has not, else four times the word's index plus the step
 * @old: what was found there, in place, under the run's mask
 */
struct dual_bitmap_stop {
	unsigned long where;
	unsigned long old;
};

static __always_inline
struct dual_bitmap_stop dual_bitmap_stop(unsigned long word, enum dual_bitmap_step step,
					 unsigned long old)
{
	return (struct dual_bitmap_stop) { word * 4 + step, old };
}

/* @width, a constant, bits: by one exchange. */
static __always_inline
struct dual_bitmap_stop dual_bitmap_change_unit(const struct dual_bitmap *map, unsigned long bit,
						unsigned int width, bool set)
{
	unsigned long ones = GENMASK(width - 1, 0), bad;

	bad = dual_bitmap_xchg(map->primary, bit, width, set);
	if (unlikely(bad))
		return dual_bitmap_stop(BIT_WORD(bit), DUAL_BITMAP_AT_PRIMARY,
					(bad ^ (set ? 0 : ones)) << bit % BITS_PER_LONG);
	bad = dual_bitmap_xchg(map->secondary, bit, width, !set);
	if (unlikely(bad))
		return dual_bitmap_stop(BIT_WORD(bit), DUAL_BITMAP_AT_SECONDARY,
					(bad ^ (set ? ones : 0)) << bit % BITS_PER_LONG);
	return dual_bitmap_stop(0, DUAL_BITMAP_DONE, 0);
}

static __always_inline
struct dual_bitmap_stop dual_bitmap_change_part(const struct dual_bitmap *map, unsigned long bit,
						unsigned int order, bool set)
{
	unsigned long mask = dual_bitmap_mask(bit, order), word = BIT_WORD(bit), old;

	old = dual_bitmap_write(&map->primary[word], mask, set);
	if (unlikely(old != (set ? 0 : mask)))
		return dual_bitmap_stop(word, DUAL_BITMAP_AT_PRIMARY, old);
	old = dual_bitmap_write(&map->secondary[word], mask, !set);
	if (unlikely(old != (set ? mask : 0)))
		return dual_bitmap_stop(word, DUAL_BITMAP_AT_SECONDARY, old);
	return dual_bitmap_stop(0, DUAL_BITMAP_DONE, 0);
}

static __always_inline
struct dual_bitmap_stop dual_bitmap_change_words(const struct dual_bitmap *map, unsigned long bit,
						 unsigned int order, bool set)
{
	unsigned long *word = &map->primary[BIT_WORD(bit)];
	unsigned long *end = word + (1UL << (order - DUAL_BITMAP_WORD_ORDER));
	unsigned long apart = (unsigned long)map->secondary - (unsigned long)map->primary;
	unsigned long old, fill = set ? ~0UL : 0;

	do {
		old = xchg(word, fill);
		if (unlikely(old != ~fill))
			return dual_bitmap_stop(word - map->primary, DUAL_BITMAP_AT_PRIMARY, old);
		old = xchg((unsigned long *)((unsigned long)word + apart), ~fill);
		if (unlikely(old != fill))
			return dual_bitmap_stop(word - map->primary, DUAL_BITMAP_AT_SECONDARY,
						old);
	} while (++word != end);
	return dual_bitmap_stop(0, DUAL_BITMAP_DONE, 0);
}

/**
 * dual_bitmap_change_less - change less than a word
 * @map: the arrays
 * @bit: first bit of the run, a multiple of 2^order
 * @order: the run is 2^order bits long, more than one and less than a word
 * @set: to which state; a constant
 *
 * With dual_bitmap_change_unit() and dual_bitmap_change_words() for callers that
 * count instructions.
 *
 * Context: Any.
 * Return: where it failed, for dual_bitmap_run_fault(), or 0 in its .where.
 */
static __always_inline
struct dual_bitmap_stop dual_bitmap_change_less(const struct dual_bitmap *map, unsigned long bit,
						unsigned int order, bool set)
{
	if (DUAL_BITMAP_NARROW_XCHG && order == 3)
		return dual_bitmap_change_unit(map, bit, 8, set);
	if (DUAL_BITMAP_NARROW_XCHG && order == 4)
		return dual_bitmap_change_unit(map, bit, 16, set);
	if (DUAL_BITMAP_NARROW_XCHG && order == 5)
		return dual_bitmap_change_unit(map, bit, 32, set);
	return dual_bitmap_change_part(map, bit, order, set);
}

/**
 * dual_bitmap_run_fault - describe a failed change of a run
 * @map: the arrays
 * @bit: first bit of the run
 * @order: the run is 2^order bits long
 * @set: to which state
 * @stop: where it failed
 * @fault: filled in
 *
 * Context: Any, as soon as possible after the failure.
 * Return: false.
 */
static inline bool dual_bitmap_run_fault(const struct dual_bitmap *map, unsigned long bit,
					 unsigned int order, bool set,
					 struct dual_bitmap_stop stop,
					 struct dual_bitmap_fault *fault)
{
	unsigned long mask = dual_bitmap_mask(bit, order);

	if (stop.where % 4 == DUAL_BITMAP_AT_PRIMARY)
		return dual_bitmap_fail(*map, stop.where / 4, mask, stop.old, NULL, fault);
	return dual_bitmap_fail(*map, stop.where / 4, mask, set ? 0 : mask, &stop.old, fault);
}

static __always_inline bool dual_bitmap_change(const struct dual_bitmap *map, unsigned long bit,
					       unsigned int order, bool set,
					       struct dual_bitmap_fault *fault)
{
	enum dual_bitmap_step step;
	struct dual_bitmap_stop stop;

	if (!order) {
		step = dual_bitmap_change_bit(map, bit, set);
		return likely(!step) || dual_bitmap_bit_fault(map, bit, set, step, fault);
	}
	if (order >= DUAL_BITMAP_WORD_ORDER)
		stop = dual_bitmap_change_words(map, bit, order, set);
	else
		stop = dual_bitmap_change_less(map, bit, order, set);
	return likely(!stop.where) || dual_bitmap_run_fault(map, bit, order, set, stop, fault);
}

/**
 * dual_bitmap_set - change a run from clear to set
 * @map: the arrays
 * @bit: first bit of the run, a multiple of 2^order
 * @order: the run is 2^order bits long
 * @fault: filled in on failure only
 *
 * The first bad word ends the change; words before it have changed, words after
 * it have not been looked at.  dual_bitmap_force_set() makes the run whole.
 *
 * Context: Any.
 * Return: true if every bit of the run was clear in both arrays.
 */
static __always_inline bool dual_bitmap_set(const struct dual_bitmap *map, unsigned long bit,
					    unsigned int order, struct dual_bitmap_fault *fault)
{
	return dual_bitmap_change(map, bit, order, true, fault);
}

/**
 * dual_bitmap_clear - change a run from set to clear
 * @map: the arrays
 * @bit: first bit of the run, a multiple of 2^order
 * @order: the run is 2^order bits long
 * @fault: filled in on failure only
 *
 * The first bad word ends the change; words before it have changed, words after
 * it have not been looked at.  dual_bitmap_undo_clear() takes it back.
 *
 * Context: Any.
 * Return: true if every bit of the run was set in both arrays.
 */
static __always_inline bool dual_bitmap_clear(const struct dual_bitmap *map, unsigned long bit,
					      unsigned int order, struct dual_bitmap_fault *fault)
{
	return dual_bitmap_change(map, bit, order, false, fault);
}

/**
 * dual_bitmap_is_clear - test that a whole run is clear in both arrays
 * @map: the arrays
 * @bit: first bit of the run, a multiple of 2^order
 * @order: the run is 2^order bits long
 * @fault: filled in on failure only
 *
 * Context: Any; nobody else may be changing the run.
 * Return: true if every bit of the run is clear in both arrays.
 */
static __always_inline bool dual_bitmap_is_clear(const struct dual_bitmap *map,
						 unsigned long bit, unsigned int order,
						 struct dual_bitmap_fault *fault)
{
	unsigned long mask = dual_bitmap_mask(bit, order);
	unsigned long word = BIT_WORD(bit), end = BIT_WORD(bit + (1UL << order) - 1);
	unsigned long primary, secondary;

	do {
		primary = READ_ONCE(map->primary[word]);
		secondary = READ_ONCE(map->secondary[word]);
		if (unlikely((primary | ~secondary) & mask)) {
			*fault = (struct dual_bitmap_fault) {
				.word = word, .mask = mask,
				.primary = primary, .secondary = secondary,
			};
			return false;
		}
	} while (word++ < end);
	return true;
}

/**
 * dual_bitmap_force_set - make a run set, whatever it was
 * @map: the arrays
 * @bit: first bit of the run, a multiple of 2^order
 * @order: the run is 2^order bits long
 *
 * Context: Any; the damage has been reported.
 */
static inline void dual_bitmap_force_set(const struct dual_bitmap *map, unsigned long bit,
					 unsigned int order)
{
	unsigned long mask = dual_bitmap_mask(bit, order);
	unsigned long word = BIT_WORD(bit), end = BIT_WORD(bit + (1UL << order) - 1);

	do {
		atomic_long_or(mask, (atomic_long_t *)&map->primary[word]);
		atomic_long_andnot(mask, (atomic_long_t *)&map->secondary[word]);
	} while (word++ < end);
}

/**
 * dual_bitmap_undo_clear - take a failed dual_bitmap_clear() back
 * @map: the arrays
 * @bit: first bit of the run, a multiple of 2^order
 * @order: the run is 2^order bits long
 * @fault: what the failed call has found
 *
 * Bits that were soundly clear before stay clear, all others end up set; words
 * behind the bad one are left alone, as the failed call left them.
 *
 * Context: Any; the fault has been reported.
 */
static inline void dual_bitmap_undo_clear(const struct dual_bitmap *map, unsigned long bit,
					  unsigned int order,
					  const struct dual_bitmap_fault *fault)
{
	unsigned long set = fault->mask & (fault->primary | ~fault->secondary);
	unsigned long word;

	for (word = BIT_WORD(bit); word < fault->word; word++)
		dual_bitmap_force_set(map, word * BITS_PER_LONG, DUAL_BITMAP_WORD_ORDER);

	atomic_long_or(set, (atomic_long_t *)&map->primary[word]);
	atomic_long_andnot(set, (atomic_long_t *)&map->secondary[word]);
}

/**
 * dual_bitmap_init - give every bit one state
 * @map: the arrays
 * @nr_bits: their length, a multiple of BITS_PER_LONG
 * @set: the state
 *
 * Context: Any; nobody else may use the arrays yet.
 */
static inline void dual_bitmap_init(const struct dual_bitmap *map, unsigned long nr_bits,
				    bool set)
{
	memset(map->primary, set ? 0xff : 0, nr_bits / BITS_PER_BYTE);
	memset(map->secondary, set ? 0 : 0xff, nr_bits / BITS_PER_BYTE);
}

/**
 * dual_bitmap_bad_bits - which pairs of two words are no complements
 * @primary: a primary word
 * @secondary: the secondary word of the same index
 *
 * Context: Any; computes only.
 * Return: a mask with a one for each bad pair, zero if the words are intact.
 */
static inline unsigned long dual_bitmap_bad_bits(unsigned long primary, unsigned long secondary)
{
	return ~(primary ^ secondary);
}

/**
 * dual_bitmap_find_bad - compare a range of both arrays
 * @map: the arrays
 * @word: first word to compare
 * @end: word behind the last
 *
 * A change in flight on another CPU looks like damage; the caller confirms.
 *
 * Context: Any.
 * Return: index of the first word with a bad pair, @end if there is none.
 */
static inline unsigned long dual_bitmap_find_bad(const struct dual_bitmap *map,
						 unsigned long word, unsigned long end)
{
	for (; word < end; word++)
		if (unlikely(dual_bitmap_bad_bits(READ_ONCE(map->primary[word]),
						  READ_ONCE(map->secondary[word]))))
			break;
	return word;
}

/**
 * dual_bitmap_classify - what the damage to a word pair looks like
 * @primary: a primary word
 * @secondary: the secondary word of the same index
 *
 * One flipped bit makes exactly one bad pair.  A word that was overwritten or
 * wiped makes many: a constant word next to several bad pairs, or a quarter of
 * all pairs bad, is taken for a whole word.  A guess for the reader of a
 * report, nothing is decided by it.
 *
 * Context: Any; computes only.
 * Return: the kind of damage, DUAL_BITMAP_INTACT if there is none.
 */
static inline enum dual_bitmap_damage dual_bitmap_classify(unsigned long primary,
							   unsigned long secondary)
{
	unsigned int bad = hweight_long(dual_bitmap_bad_bits(primary, secondary));

	if (!bad)
		return DUAL_BITMAP_INTACT;
	if (bad == 1)
		return DUAL_BITMAP_ONE_BIT;
	if (!primary || !~primary || !secondary || !~secondary || bad >= BITS_PER_LONG / 4)
		return DUAL_BITMAP_WHOLE_WORD;
	return DUAL_BITMAP_SEVERAL_BITS;
}

#endif /* _LINUX_DUAL_BITMAP_H */
