// SPDX-License-Identifier: GPL-2.0
/*
 * dual_bitmap_unit(): the byte, halfword or word that is exchanged must be the
 * one that holds the run's bits.  Built once as it is and once with
 * CONFIG_CPU_BIG_ENDIAN; memory is laid out byte by byte as that CPU would.
 */

#include "test.h"
#include <linux/dual_bitmap.h>

#define BIG		IS_ENABLED(CONFIG_CPU_BIG_ENDIAN)
#define LONG_BYTES	__SIZEOF_LONG__
#define WORDS		4

static u8 memory[WORDS * LONG_BYTES];

/* What a store of @value to element @word of an array of longs leaves in memory. */
static void store_long(unsigned long word, unsigned long value)
{
	for (unsigned int i = 0; i < LONG_BYTES; i++) {
		unsigned int at = BIG ? LONG_BYTES - 1 - i : i;

		memory[word * LONG_BYTES + at] = value >> 8 * i;
	}
}

/* What a load of @width bits finds there. */
static unsigned long load_unit(unsigned long unit, unsigned int width)
{
	unsigned int bytes = width / 8;
	unsigned long value = 0;

	for (unsigned int i = 0; i < bytes; i++) {
		unsigned int at = BIG ? bytes - 1 - i : i;

		value |= (unsigned long)memory[unit * bytes + at] << 8 * i;
	}
	return value;
}

static void check_width(unsigned int width)
{
	for (unsigned int bit = 0; bit < WORDS * BITS_PER_LONG; bit++) {
		unsigned long unit = dual_bitmap_unit(bit, width);

		memset(memory, 0, sizeof(memory));
		store_long(bit / BITS_PER_LONG, 1UL << bit % BITS_PER_LONG);
		EXPECT(unit < sizeof(memory) / (width / 8));
		if (unit < sizeof(memory) / (width / 8))
			EXPECT_EQ(load_unit(unit, width), 1UL << bit % width);
	}
}

static void byte_that_holds_the_bit(void)
{
	check_width(8);
}

static void halfword_that_holds_the_bit(void)
{
	check_width(16);
}

static void word_of_32_bits_that_holds_the_bit(void)
{
	check_width(32);
}

static void mask_covers_the_run_and_nothing_else(void)
{
	for (unsigned int order = 0; order <= 10; order++) {
		unsigned int length = order < DUAL_BITMAP_WORD_ORDER ? 1 << order : BITS_PER_LONG;

		for (unsigned int bit = 0; bit < WORDS * BITS_PER_LONG; bit += length) {
			unsigned long mask = 0;

			for (unsigned int n = 0; n < length; n++)
				mask |= 1UL << (bit % BITS_PER_LONG + n);
			EXPECT_EQ(dual_bitmap_mask(bit, order), mask);
		}
	}
}

int main(void)
{
	TEST(byte_that_holds_the_bit);
	TEST(halfword_that_holds_the_bit);
	TEST(word_of_32_bits_that_holds_the_bit);
	TEST(mask_covers_the_run_and_nothing_else);
	return test_end();
}
