// SPDX-License-Identifier: GPL-2.0
/* table.h, built for every section and page size: where a PFN leads, and the seal. */

#include "test.h"
#include "table.h"

#define LAST_SECTION	(~0UL >> PC_SECTION_SHIFT)
#define LAST_PFN	(~0UL)

static void expect_round_trip(unsigned long pfn)
{
	unsigned long section = pc_section_nr(pfn), bit = pc_section_bit(pfn);
	unsigned long root = pc_root_nr(section), index = pc_root_index(section);

	EXPECT(bit < PC_SECTION_PAGES);
	EXPECT_EQ(section * PC_SECTION_PAGES + bit, pfn);
	EXPECT(bit / BITS_PER_LONG < PC_ARRAY_WORDS);
	EXPECT(index < PC_ROOT_SECTIONS);
	EXPECT_EQ(root * PC_ROOT_SECTIONS + index, section);
}

static void pfns_lead_back_to_themselves(void)
{
	for (unsigned int shift = 0; shift < BITS_PER_LONG; shift++)
		for (unsigned int n = 0; n < 5; n++)
			expect_round_trip((1UL << shift) + n - 2);
	for (unsigned int n = 0; n < 10000; n++)
		expect_round_trip(random_word());
	expect_round_trip(LAST_PFN);
}

static void expect_border(unsigned long section)
{
	unsigned long pfn = section * PC_SECTION_PAGES;

	expect_round_trip(pfn);
	EXPECT_EQ(pc_section_nr(pfn), section);
	EXPECT_EQ(pc_section_bit(pfn), 0);
	EXPECT_EQ(pc_section_nr(pfn - 1), section - 1);
	EXPECT_EQ(pc_section_bit(pfn - 1), PC_SECTION_PAGES - 1);
	EXPECT_EQ(pc_section_nr(pfn + PC_SECTION_PAGES - 1), section);
}

static void borders_of_sections_are_where_they_belong(void)
{
	for (unsigned long section = 1; section <= 2 * PC_ROOT_SECTIONS; section++)
		expect_border(section);
	expect_border(LAST_SECTION);
	EXPECT_EQ(pc_root_nr(PC_ROOT_SECTIONS - 1), 0);
	EXPECT_EQ(pc_root_nr(PC_ROOT_SECTIONS), 1);
	EXPECT_EQ(pc_root_index(PC_ROOT_SECTIONS), 0);
}

static void sizes_fit_together(void)
{
	EXPECT_EQ(PC_ARRAY_BYTES * BITS_PER_BYTE, PC_SECTION_PAGES);
	EXPECT_EQ(PC_ARRAY_WORDS * BITS_PER_LONG, PC_SECTION_PAGES);
	EXPECT_EQ(PC_ARRAY_WORDS, dual_bitmap_words(PC_SECTION_PAGES));
	EXPECT_EQ(1UL << PC_ROOT_SHIFT, PC_ROOT_SECTIONS);
	EXPECT(PC_ROOT_SECTIONS * sizeof(struct pc_section) <= PAGE_SIZE);
#ifdef CONFIG_SPARSEMEM
	EXPECT_EQ(PC_SECTION_PAGES, 1UL << (SECTION_SIZE_BITS - PAGE_SHIFT));
#else
	EXPECT_EQ(PC_ARRAY_BYTES, PAGE_SIZE);
#endif
}

static struct pc_section sealed_entry(unsigned long section)
{
	struct pc_section entry = {
		.map.primary = (unsigned long *)(random_word() & ~(PAGE_SIZE - 1)),
		.map.secondary = (unsigned long *)(random_word() & ~(PAGE_SIZE - 1)),
	};

	entry.seal = pc_seal(&entry.map, section);
	return entry;
}

static void flip_entry(struct pc_section *entry, unsigned int bit)
{
	unsigned long words[3];

	memcpy(words, entry, sizeof(words));
	words[bit / BITS_PER_LONG] ^= 1UL << bit % BITS_PER_LONG;
	memcpy(entry, words, sizeof(words));
}

static unsigned long some_section(unsigned int n)
{
	return n < 64 ? n : random_word() >> PC_SECTION_SHIFT;
}

static void seal_passes_for_what_was_sealed(void)
{
	for (unsigned int n = 0; n < 1000; n++) {
		unsigned long section = some_section(n);
		struct pc_section entry = sealed_entry(section);

		EXPECT(pc_section_sealed(&entry, section));
		EXPECT(!pc_section_absent(&entry));
	}
}

static void seal_shows_every_flipped_bit_of_an_entry(void)
{
	for (unsigned int n = 0; n < 1000; n++) {
		unsigned long section = some_section(n);
		struct pc_section entry = sealed_entry(section);

		for (unsigned int bit = 0; bit < 3 * BITS_PER_LONG; bit++) {
			flip_entry(&entry, bit);
			EXPECT(!pc_section_sealed(&entry, section));
			flip_entry(&entry, bit);
		}
	}
}

/*
 * Not a promise but a figure to know: a double error passes if both bits fall on
 * the same bit of the seal, unless a carry in the sum gets in between.
 */
static void seal_shows_all_but_a_known_few_double_errors(void)
{
	struct pc_section entry = sealed_entry(5);
	unsigned long errors = 0, passed = 0;

	for (unsigned int a = 0; a < 3 * BITS_PER_LONG; a++) {
		for (unsigned int b = a + 1; b < 3 * BITS_PER_LONG; b++, errors++) {
			flip_entry(&entry, a);
			flip_entry(&entry, b);
			passed += pc_section_sealed(&entry, 5);
			flip_entry(&entry, a);
			flip_entry(&entry, b);
		}
	}
	note("double bit errors of an entry", errors);
	note("that the seal does not show", passed);
	EXPECT(passed <= 3 * BITS_PER_LONG);
}

static bool passes_exchanged(unsigned long primary, unsigned long secondary, unsigned long section)
{
	struct dual_bitmap map = {
		.primary = (unsigned long *)primary, .secondary = (unsigned long *)secondary,
	};
	struct pc_section entry = {
		.map = { .primary = map.secondary, .secondary = map.primary },
		.seal = pc_seal(&map, section),
	};

	return pc_section_sealed(&entry, section);
}

static void seal_shows_exchanged_pointers(void)
{
	for (unsigned int n = 0; n < 1000; n++) {
		unsigned long section = some_section(n);
		struct pc_section entry = sealed_entry(section);

		EXPECT(!passes_exchanged((unsigned long)entry.map.primary,
					 (unsigned long)entry.map.secondary, section));
	}
}

/* Arrays lie at multiples of pages apart: what they differ in is one bit, two bits... */
static void seal_shows_exchanged_pointers_at_every_distance(void)
{
	unsigned long primary = (random_word() >> 1) & ~(PAGE_SIZE - 1);

	for (unsigned int a = PAGE_SHIFT; a < BITS_PER_LONG; a++) {
		for (unsigned int b = a; b < BITS_PER_LONG; b++) {
			unsigned long secondary = primary ^ (1UL << a | 1UL << b);

			if (passes_exchanged(primary, secondary, 7))
				test_error(__FILE_NAME__, __LINE__, "differ in bits", a, b);
		}
	}
}

static void seal_shows_the_entry_of_another_section(void)
{
	for (unsigned long section = 0; section < 300; section++) {
		struct pc_section entry = sealed_entry(section);

		for (unsigned long other = 0; other < 5000; other++)
			EXPECT_EQ(pc_section_sealed(&entry, other), other == section);
		EXPECT(!pc_section_sealed(&entry, LAST_SECTION));
		for (unsigned int bit = 0; bit < BITS_PER_LONG - PC_SECTION_SHIFT; bit++)
			EXPECT(!pc_section_sealed(&entry, section ^ 1UL << bit));
	}
}

static void absent_entry_never_passes(void)
{
	const struct pc_section absent = { .seal = 0 };

	EXPECT(pc_section_absent(&absent));
	for (unsigned long section = 0; section <= 1UL << 20 && section <= LAST_SECTION; section++)
		EXPECT(!pc_section_sealed(&absent, section));
	for (unsigned long n = 0; n < 1000; n++) {
		EXPECT(!pc_section_sealed(&absent, LAST_SECTION - n));
		EXPECT(!pc_section_sealed(&absent, random_word() >> PC_SECTION_SHIFT));
	}
	for (unsigned int bit = 0; bit < 3 * BITS_PER_LONG; bit++) {
		struct pc_section entry = absent;

		flip_entry(&entry, bit);
		EXPECT(!pc_section_absent(&entry));
	}
}

int main(void)
{
	TEST(pfns_lead_back_to_themselves);
	TEST(borders_of_sections_are_where_they_belong);
	TEST(sizes_fit_together);
	TEST(seal_passes_for_what_was_sealed);
	TEST(seal_shows_every_flipped_bit_of_an_entry);
	TEST(seal_shows_all_but_a_known_few_double_errors);
	TEST(seal_shows_exchanged_pointers);
	TEST(seal_shows_exchanged_pointers_at_every_distance);
	TEST(seal_shows_the_entry_of_another_section);
	TEST(absent_entry_never_passes);
	return test_end();
}
