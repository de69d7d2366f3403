// SPDX-License-Identifier: GPL-2.0
/*
 * Memory operations that no shell command does:
 *
 *	memops soft PAGES [huge]	take pages in use offline, their content is moved
 *	memops hard PAGES [huge]	declare pages in use broken
 *	memops pool PAGES		say which pages huge pages of the pool have
 *	memops broken thp|pool [held]	declare a page of a huge page broken, which is
 *					held by a pipe so that it stays whole
 *	memops secret PAGES		use memory that leaves the direct map
 *	memops map GIBIBYTES FILE	write to the first and the middle page of each GiB
 *
 * For each page taken offline its former PFN is printed: "pfn 0x...".
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096UL
#define HUGE (512 * PAGE)
#define PFN_MASK ((1ULL << 55) - 1)

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif
#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

static volatile sig_atomic_t told;

static void sigbus(int sig)
{
	told = sig;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned long long pfn_of(const void *where)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	if (pread(fd, &entry, sizeof(entry), (uintptr_t)where / PAGE * sizeof(entry)) !=
	    sizeof(entry))
		fail("pagemap");
	close(fd);
	return entry & PFN_MASK;
}

/* One page of every small or huge page, so that huge ones have to be split. */
static void offline(int advice, unsigned long pages, int huge)
{
	unsigned long step = huge ? HUGE : PAGE, size = pages * step;
	char *area = mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		fail("mmap");
	area = (char *)(((uintptr_t)area + HUGE - 1) & ~(HUGE - 1));
	madvise(area, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	memset(area, 0x5a, size);
	for (unsigned long i = 0; i < pages; i++) {
		char *victim = area + i * step + (huge ? 3 * PAGE : 0);
		unsigned long long pfn = pfn_of(victim);

		told = 0;
		if (madvise(victim, PAGE, advice))
			fail("madvise");
		printf("pfn %#llx\n", pfn);
		/* Whoever owns a broken page is told; nobody is about one that was moved. */
		if ((advice == MADV_HWPOISON) != !!told)
			fail("SIGBUS");
		if (advice == MADV_SOFT_OFFLINE && (*victim != 0x5a || pfn_of(victim) == pfn))
			fail("not moved");
	}
}

static char *huge_page(int pool)
{
	char *area = mmap(NULL, pool ? HUGE : 2 * HUGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | (pool ? MAP_HUGETLB : 0), -1, 0);

	if (area == MAP_FAILED)
		fail("mmap");
	if (!pool) {
		area = (char *)(((uintptr_t)area + HUGE - 1) & ~(HUGE - 1));
		if (madvise(area, HUGE, MADV_HUGEPAGE))
			fail("MADV_HUGEPAGE");
	}
	memset(area, 0x5a, HUGE);
	return area;
}

static void pool(unsigned long pages)
{
	for (unsigned long i = 0; i < pages; i++)
		printf("pfn %#llx\n", pfn_of(huge_page(1) + 3 * PAGE));
}

/* Another page of the huge page is in a pipe, which keeps it from being split or freed. */
static void hold(char *page)
{
	struct iovec iov = { .iov_base = page, .iov_len = PAGE };
	int ends[2];

	if (pipe(ends) || vmsplice(ends[1], &iov, 1, 0) != (ssize_t)PAGE)
		fail("vmsplice");
}

static void broken(int pool, int held)
{
	char *area = huge_page(pool), *victim = area + 3 * PAGE;
	unsigned long long pfn = pfn_of(victim);

	if (pfn % 512 != 3)
		fail("no huge page");
	if (held)
		hold(area + 7 * PAGE);
	/* It fails when the page cannot be taken out of use at once. */
	if ((madvise(victim, PAGE, MADV_HWPOISON) != 0) != held)
		fail("MADV_HWPOISON");
	if (!told)
		fail("SIGBUS");
	printf("pfn %#llx\n", pfn);
}

static void secret(unsigned long pages)
{
	int fd = syscall(SYS_memfd_secret, 0);
	char *area;

	if (fd < 0 || ftruncate(fd, pages * PAGE))
		fail("memfd_secret");
	area = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (area == MAP_FAILED)
		fail("mmap");
	memset(area, 0x5a, pages * PAGE);
	printf("secret %lu\n", pages);
}

static void map(const char *path, unsigned long gibibytes)
{
	unsigned long gib = 1UL << 30, size = gibibytes * gib;
	int fd = open(path, O_RDWR);
	/* A mapping that can be made of the largest pages there are. */
	char *hint = (char *)(16 * gib);
	char *area = mmap(hint, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
			  fd, 0);

	if (area != hint)
		fail(path);
	for (unsigned long at = 0; at < size; at += gib / 2) {
		*(volatile unsigned long *)(area + at) = at + 1;
		if (*(volatile unsigned long *)(area + at) != at + 1)
			fail("what was written is gone");
	}
	printf("mapped %lu\n", size);
}

int main(int argc, char **argv)
{
	unsigned long pages = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;

	signal(SIGBUS, sigbus);
	if (argc < 2) {
		fprintf(stderr, "usage: memops soft|hard|secret|pool PAGES [huge], "
			"map GIBIBYTES FILE or broken thp|pool [held]\n");
		return 2;
	}
	if (!strcmp(argv[1], "map") && argc > 3) {
		signal(SIGBUS, SIG_DFL);
		map(argv[3], pages);
	} else if (!strcmp(argv[1], "secret"))
		secret(pages);
	else if (!strcmp(argv[1], "pool"))
		pool(pages);
	else if (!strcmp(argv[1], "broken") && argc > 2)
		broken(!strcmp(argv[2], "pool"), argc > 3);
	else
		offline(strcmp(argv[1], "soft") ? MADV_HWPOISON : MADV_SOFT_OFFLINE, pages,
			argc > 3);
	return 0;
}
