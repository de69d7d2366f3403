// SPDX-License-Identifier: GPL-2.0
/*
 * What a change costs over the locked operations it cannot do without: a run is
 * set and cleared through dual_bitmap.h, and by the bare operations on the same
 * words, in turn.  The best of many short batches counts: others use the machine.
 *
 *	order <tab> ns of set + clear <tab> ns of the bare operations
 */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <linux/dual_bitmap.h>

#define BITS	4096
#define BATCH	2000
#define BATCHES	600

static unsigned long primary[BITS / BITS_PER_LONG] __aligned(4096);
static unsigned long secondary[BITS / BITS_PER_LONG] __aligned(4096);
static const struct dual_bitmap map = { .primary = primary, .secondary = secondary };

/* Order is a variable here, as it is in the page allocator. */
static noinline void checked(unsigned long bit, unsigned int order)
{
	struct dual_bitmap_fault fault;

	if (!dual_bitmap_set(&map, bit, order, &fault) ||
	    !dual_bitmap_clear(&map, bit, order, &fault))
		abort();
}

static __always_inline void bare_words(unsigned long bit, unsigned int order, unsigned long value)
{
	unsigned long word = bit / BITS_PER_LONG, end = word + (1UL << order) / BITS_PER_LONG;

	for (; word < end; word++) {
		xchg(&primary[word], value);
		xchg(&secondary[word], ~value);
	}
}

static __always_inline void bare_masked(unsigned long bit, unsigned int order)
{
	unsigned long mask = dual_bitmap_mask(bit, order);
	atomic_long_t *p = (atomic_long_t *)&primary[bit / BITS_PER_LONG];
	atomic_long_t *s = (atomic_long_t *)&secondary[bit / BITS_PER_LONG];

	atomic_long_or(mask, p);
	atomic_long_andnot(mask, s);
	atomic_long_andnot(mask, p);
	atomic_long_or(mask, s);
}

static noinline void bare(unsigned long bit, unsigned int order)
{
	u8 *p8 = (u8 *)primary + bit / 8, *s8 = (u8 *)secondary + bit / 8;
	u32 *p32 = (u32 *)primary + bit / 32, *s32 = (u32 *)secondary + bit / 32;

	switch (order) {
	case 0:
		test_and_set_bit(bit, primary);
		test_and_clear_bit(bit, secondary);
		test_and_clear_bit(bit, primary);
		test_and_set_bit(bit, secondary);
		break;
	case 3:
		xchg(p8, (u8)~0), xchg(s8, (u8)0), xchg(p8, (u8)0), xchg(s8, (u8)~0);
		break;
	case 5:
		xchg(p32, ~0U), xchg(s32, 0U), xchg(p32, 0U), xchg(s32, ~0U);
		break;
	case 1:
		bare_masked(bit, order);
		break;
	default:
		bare_words(bit, order, ~0UL);
		bare_words(bit, order, 0);
	}
}

static double batch(void (*change)(unsigned long, unsigned int), unsigned int order)
{
	struct timespec start, end;
	unsigned long bit = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (unsigned int n = 0; n < BATCH; n++) {
		change(bit, order);
		bit = (bit + (1UL << order)) % BITS;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	return ((end.tv_sec - start.tv_sec) * 1e9 + end.tv_nsec - start.tv_nsec) / BATCH;
}

int main(void)
{
	static const unsigned int orders[] = { 0, 1, 3, 5, 6, 9 };

	dual_bitmap_init(&map, BITS, false);
	for (unsigned int i = 0; i < sizeof(orders) / sizeof(*orders); i++) {
		double best[2] = { 1e9, 1e9 };

		for (unsigned int n = 0; n < 2 * BATCHES; n++) {
			double ns = batch(n % 2 ? bare : checked, orders[i]);

			if (ns < best[n % 2])
				best[n % 2] = ns;
		}
		printf("%u\t%.2f\t%.2f\n", orders[i], best[0], best[1]);
	}
	return 0;
}
