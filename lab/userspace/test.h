/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The smallest test harness that also works without a C library: 32-bit programs
 * are built freestanding, because the 32-bit library is rarely installed.
 * Output is KTAP; what failed is said before the test's line.
 */
#ifndef _USERSPACE_TEST_H
#define _USERSPACE_TEST_H

#include <linux/compiler.h>
#include <linux/string.h>
#include <linux/types.h>

#ifdef FREESTANDING

static inline long test_syscall(long nr, long a, long b, long c)
{
	__asm__ __volatile__("int $0x80" : "+a"(nr) : "b"(a), "c"(b), "d"(c) : "memory");
	return nr;
}

static inline void test_write(const char *s, size_t n)
{
	test_syscall(4, 1, (long)s, n);
}

/* Volatile, or the compiler makes these loops calls of the functions they are in. */
void *memset(void *s, int c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((volatile char *)s)[i] = c;
	return s;
}

void *memcpy(void *dest, const void *src, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((volatile char *)dest)[i] = ((const char *)src)[i];
	return dest;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (size_t i = 0; i < n; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

int main(void);

/* The compiler may use SSE, which wants the stack as the ABI has it. */
__attribute__((force_align_arg_pointer)) __used void _start(void)
{
	test_syscall(1, main(), 0, 0);
	__builtin_unreachable();
}

#else

#include <unistd.h>

static inline void test_write(const char *s, size_t n)
{
	if (write(1, s, n) < 0)
		_exit(3);
}

#endif

static inline void put(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	test_write(s, n);
}

static inline void put_number(unsigned long n, unsigned int base)
{
	char digits[24];
	unsigned int at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	test_write(digits + at, sizeof(digits) - at);
}

/* A figure worth reading in the log. */
static inline void note(const char *what, unsigned long n)
{
	put("# ");
	put(what);
	put(": ");
	put_number(n, 10);
	put("\n");
}

static unsigned long test_errors;
static unsigned int test_count, test_bad;

static inline void test_error(const char *file, int line, const char *what, unsigned long a,
			      unsigned long b)
{
	/* The first few say it all. */
	if (test_errors++ >= 3)
		return;
	put("# ");
	put(file);
	put(":");
	put_number(line, 10);
	put(": ");
	put(what);
	put(" (0x");
	put_number(a, 16);
	put(", 0x");
	put_number(b, 16);
	put(")\n");
}

#define EXPECT(cond) do {							\
	if (unlikely(!(cond)))							\
		test_error(__FILE_NAME__, __LINE__, #cond, 0, 0);		\
} while (0)

#define EXPECT_EQ(a, b) do {							\
	unsigned long __a = (unsigned long)(a), __b = (unsigned long)(b);	\
										\
	if (unlikely(__a != __b))						\
		test_error(__FILE_NAME__, __LINE__, #a " == " #b, __a, __b);	\
} while (0)

static inline void test_run(const char *name, void (*function)(void))
{
	test_errors = 0;
	function();
	test_count++;
	if (test_errors) {
		test_bad++;
		note("expectations that failed", test_errors);
		put("not ");
	}
	put("ok ");
	put_number(test_count, 10);
	put(" - ");
	put(name);
	put("\n");
}

#define TEST(function)	test_run(#function, function)

static inline int test_end(void)
{
	put("1..");
	put_number(test_count, 10);
	put("\n");
	return test_bad != 0;
}

/* Same numbers on every run. */
static unsigned long test_seed = 1;

static inline unsigned long random_word(void)
{
	unsigned long word = 0;

	for (unsigned int i = 0; i < sizeof(word); i++) {
		test_seed = test_seed * 1103515245UL + 12345;
		word = word << 8 | (test_seed >> 16 & 0xff);
	}
	return word;
}

#endif
