// SPDX-License-Identifier: GPL-2.0
/*
 * Own some pages and say which: maps them, fills them with a pattern, prints
 * one "pfn 0x..." line per page, then obeys lines on its standard input:
 *
 *	check	print "changed page word found" for each word that differs, then
 *		"checked N", the number of such words
 *	fill	write the pattern again
 *	drop	give the pages back and print "dropped"
 *	quit	(or end of input) exit, which gives them back too
 *
 * Usage: pagepfn [pages [huge]]
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PATTERN 0x5555555555555555ULL
#define PAGE 4096UL
#define WORDS (PAGE / sizeof(uint64_t))
#define PRESENT (1ULL << 63)
#define PFN_MASK ((1ULL << 55) - 1)

static volatile uint64_t *area;
static unsigned long pages = 1;

static void fill(void)
{
	for (unsigned long i = 0; i < pages * WORDS; i++)
		area[i] = PATTERN;
}

static void check(void)
{
	unsigned long changed = 0;

	for (unsigned long i = 0; i < pages * WORDS; i++) {
		uint64_t found = area[i];

		if (found == PATTERN)
			continue;
		changed++;
		printf("changed %lu %lu %#llx\n", i / WORDS, i % WORDS,
		       (unsigned long long)found);
	}
	printf("checked %lu\n", changed);
}

static int print_pfns(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);

	for (unsigned long i = 0; i < pages; i++) {
		uintptr_t where = (uintptr_t)area + i * PAGE;
		uint64_t entry = 0;

		if (pread(fd, &entry, sizeof(entry), where / PAGE * sizeof(entry)) !=
		    sizeof(entry) || !(entry & PRESENT) || !(entry & PFN_MASK)) {
			fprintf(stderr, "no PFN for page %lu: not root?\n", i);
			return 1;
		}
		printf("pfn %#llx\n", (unsigned long long)(entry & PFN_MASK));
	}
	return 0;
}

/*
 * A page that is unmapped while locked is freed later: the CPU's batch of pages
 * to be unlocked keeps a reference until something drains it. This drains it.
 */
static void unlock(void)
{
	munlock((void *)area, pages * PAGE);
}

int main(int argc, char **argv)
{
	char line[64] = "";

	if (argc > 1)
		pages = strtoul(argv[1], NULL, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	area = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	madvise((void *)area, pages * PAGE, argc > 2 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	fill();
	/* Locked: the PFN stays true while nobody migrates the page. */
	mlock((void *)area, pages * PAGE);
	if (print_pfns())
		return 1;
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, "check")) {
			check();
		} else if (!strcmp(line, "fill")) {
			fill();
		} else if (!strcmp(line, "drop")) {
			unlock();
			munmap((void *)area, pages * PAGE);
			printf("dropped\n");
			break;
		} else if (!strcmp(line, "quit")) {
			break;
		}
	}
	unlock();
	/* After drop: alive without the pages until told to end. */
	while (strcmp(line, "quit") && strcmp(line, "quit\n") &&
	       fgets(line, sizeof(line), stdin))
		;
	return 0;
}
