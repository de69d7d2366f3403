// SPDX-License-Identifier: GPL-2.0
/*
 * An LDT beside mappings in the mm-local region. The module mmlocal makes those, and looks
 * at both page tables of the task that asks.
 *
 *	ldt SCENARIO pti|nopti
 *
 * Ends with 0 if all was as it should be; says what was not. The scenarios are in main().
 */

#include <asm/ldt.h>
#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define DO	"/sys/module/mmlocal/parameters/do"
#define TABLES	"/sys/kernel/debug/page_tables/"
#define PAGE	4096
#define MAGIC	0x600df00d
#define MOST	2000		/* allocations of one system call */

static bool pti;
static char *self;

static void die(const char *format, ...)
{
	va_list words;

	va_start(words, format);
	vprintf(format, words);
	va_end(words);
	printf(" (last error: %s)\n", strerror(errno));
	fflush(stdout);
	_exit(1);
}

/* A command of the module, for this mm. */
static void ask(const char *command)
{
	int fd = open(DO, O_WRONLY);

	if (fd < 0 || write(fd, command, strlen(command)) != (ssize_t)strlen(command))
		die("mmlocal: %s", command);
	close(fd);
}

/*
 * Which entries are in use, as of who has tables there: 'l' the LDT, 'm' the mermap, 'r' the
 * region otherwise. The LDT has none without page table isolation; user mode never sees any
 * other.
 */
static void expect(const char *users)
{
	bool ldt = pti && strchr(users, 'l');
	const char *rest = strchr(users, 'r') ? "1,511" : strchr(users, 'm') ? "1" : NULL;
	char text[64];

	snprintf(text, sizeof(text), "walk %s%s%s %s", ldt ? "0" : "", ldt && rest ? "," : "",
		 rest ? rest : ldt ? "" : "-", ldt ? "0" : "-");
	ask(text);
}

/* The mermap or the region otherwise, whichever is among the users: not both at a time. */
static void begin_rest(const char *users)
{
	if (strchr(users, 'r'))
		ask("map");
	if (strchr(users, 'm'))
		ask("mermap");
}

static void check_rest(const char *users)
{
	if (strchr(users, 'r'))
		ask("check");
	if (strchr(users, 'm'))
		ask("mermap");
}

static void end_rest(const char *users)
{
	check_rest(users);
	if (strchr(users, 'r'))
		ask("unmap");
}

static int modify_ldt(unsigned int entry, unsigned long base, bool code, bool bits32)
{
	struct user_desc desc = {
		.entry_number = entry, .base_addr = base, .limit = PAGE - 1,
		.seg_32bit = bits32, .contents = code ? MODIFY_LDT_CONTENTS_CODE : 0,
		.useable = 1,
	};

	/* The result has 32 bits, so that syscall() does not know an error from a number. */
	int result = syscall(__NR_modify_ldt, 0x11, &desc, sizeof(desc));

	if (!result)
		return 0;
	errno = -result;
	return -1;
}

static unsigned int selector(unsigned int entry)
{
	return entry << 3 | 4 | 3;
}

/* A page that a 32-bit base reaches. */
static unsigned int *low_page(void)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (page == MAP_FAILED)
		die("no page below 4 GiB");
	return page;
}

static unsigned int read_through(unsigned int entry)
{
	unsigned int seen = 0;

	asm volatile("mov %1, %%gs\n\tmovl %%gs:0, %0" : "=r" (seen) : "r" (selector(entry)));
	asm volatile("mov %0, %%gs" : : "r" (0));
	return seen;
}

/* Install a data segment and read through it. */
static void use_ldt(unsigned int entry, bool bits32)
{
	unsigned int *page = low_page();

	*page = MAGIC + entry;
	if (modify_ldt(entry, (unsigned long)page, false, bits32))
		die("modify_ldt of entry %u failed", entry);
	if (read_through(entry) != MAGIC + entry)
		die("entry %u reads something else", entry);
	munmap(page, PAGE);
}

/* --- scenarios */

static void both(const char *steps)
{
	char seen[8] = "";

	expect("");
	for (const char *step = steps; *step; step++) {
		const char one[] = { *step, 0 };

		if (*step == 'l')
			use_ldt(step - steps, true);
		else
			begin_rest(one);
		if (!strchr(seen, *step))
			strncat(seen, step, 1);
		expect(seen);
		check_rest(seen);
	}
	/* An LDT of 64 KiB uses all of its other slot. */
	if (strchr(seen, 'l')) {
		use_ldt(8191, true);
		use_ldt(1, true);
		expect(seen);
	}
	end_rest(seen);
	expect(seen);
}

static ucontext_t before;
static unsigned short result;

/* Leave this signal handler to the 16-bit code, which begins at 0 of its segment. */
static void enter(int, siginfo_t *, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	memcpy(before.uc_mcontext.gregs, regs, sizeof(before.uc_mcontext.gregs));
	regs[REG_RIP] = 0;
	regs[REG_CSGSFS] = (regs[REG_CSGSFS] & ~0xffffll) | selector(0);
}

/* Its int3 leads here. */
static void leave(int, siginfo_t *, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	result = regs[REG_RAX];
	memcpy(regs, before.uc_mcontext.gregs, sizeof(before.uc_mcontext.gregs));
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	if (sigaction(number, &action, NULL))
		die("sigaction failed");
}

/*
 * Run 16-bit code; it has 16-bit addresses, so that a segment with a base is needed. There
 * and back by signals: far calls and returns of user mode touch the stack with the rights
 * of the kernel under some versions of TCG.
 */
static void sixteen(const char *before_it)
{
	static const unsigned char text[] = {
		0xb8, 0x34, 0x12,		/* mov $0x1234, %ax */
		0x65, 0x03, 0x06, 0x04, 0x00,	/* add %gs:4, %ax */
		0xcc,				/* int3 */
	};
	static char stack[64 << 10];
	stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };
	unsigned int *data = low_page(), *code = low_page();

	begin_rest(before_it);
	memcpy(code, text, sizeof(text));
	data[1] = 0x1111;
	if (modify_ldt(0, (unsigned long)code, true, false) ||
	    modify_ldt(1, (unsigned long)data, false, false))
		die("16-bit segments were refused");
	if (sigaltstack(&other, NULL))
		die("sigaltstack failed");
	handle(SIGUSR1, enter);
	handle(SIGTRAP, leave);
	asm volatile("mov %0, %%gs" : : "r" (selector(1)));
	raise(SIGUSR1);
	asm volatile("mov %0, %%gs" : : "r" (0));
	if (result != 0x2345)
		die("16-bit code returned %#x", result);
	use_ldt(2, false);
	check_rest(before_it);
	expect(*before_it ? "lm" : "l");
}

/* What a child does is judged by its exit status. */
static void reap(pid_t child, const char *what)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		die("%s: no child", what);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		die("%s: the child ended with %#x", what, status);
}

static void forks(const char *steps)
{
	unsigned int *page = low_page();
	pid_t child;

	*page = MAGIC;
	for (const char *step = steps; *step; step++) {
		const char one[] = { *step, 0 };

		if (*step != 'l')
			begin_rest(one);
		else if (modify_ldt(0, (unsigned long)page, false, true))
			die("modify_ldt failed");
	}

	child = fork();
	if (!child) {
		/* The LDT is inherited, the region is not. */
		expect(strchr(steps, 'l') ? "l" : "");
		if (strchr(steps, 'l') && read_through(0) != MAGIC)
			die("the child's LDT reads something else");
		ask("map");
		use_ldt(1, true);
		expect("lr");
		ask("check");
		ask("unmap");
		_exit(0);
	}
	reap(child, "fork");
	expect(steps);

	/* One mm, two tasks. */
	child = vfork();
	if (!child) {
		check_rest(steps);
		expect(steps);
		_exit(0);
	}
	reap(child, "vfork");

	child = fork();
	if (!child) {
		execl(self, self, "fresh", pti ? "pti" : "nopti", NULL);
		die("no exec");
	}
	reap(child, "exec");

	expect(steps);
	if (strchr(steps, 'l') && read_through(0) != MAGIC)
		die("the LDT reads something else");
	end_rest(steps);
	execl(self, self, "fresh", pti ? "pti" : "nopti", NULL);
	die("no exec");
}

/* --- allocations that fail */

static int fail_nth;

/* The allocation after nth - 1 others fails; returns whether it came to that. */
static void arm(int nth)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", nth);

	if (pwrite(fail_nth, text, length, 0) != length)
		die("cannot set fail-nth");
}

static bool disarm(void)
{
	char text[16] = "";
	bool failed;

	if (pread(fail_nth, text, sizeof(text) - 1, 0) < 1)
		die("cannot read fail-nth");
	failed = !atoi(text);
	if (!failed)
		arm(0);
	return failed;
}

enum { SUCCEEDED, FAILED, NOT_REACHED };

/* The first LDT of an mm, one allocation of which fails. */
static int first_ldt(int nth, const char *live)
{
	unsigned int *page = low_page();
	int error, failed;

	*page = MAGIC;
	begin_rest(live);
	arm(nth);
	error = modify_ldt(0, (unsigned long)page, false, true) ? errno : 0;
	failed = disarm();
	if (error && (error != ENOMEM || !failed))
		die("modify_ldt failed otherwise");
	check_rest(live);
	if (error) {
		/* Nothing of it is left but, maybe, an empty table of user mode's. */
		expect(live);
		if (modify_ldt(0, (unsigned long)page, false, true))
			die("modify_ldt failed although nothing makes it fail");
	}
	if (read_through(0) != MAGIC)
		die("the LDT reads something else");
	expect(!*live ? "l" : *live == 'm' ? "lm" : "lr");
	if (!*live)
		begin_rest("r");
	end_rest(*live ? live : "r");
	return !failed ? NOT_REACHED : error ? FAILED : SUCCEEDED;
}

static void faults(const char *live)
{
	int failed = 0, status = 0, nth;

	for (nth = 1; nth < MOST; nth++) {
		pid_t child = fork();

		if (!child) {
			fail_nth = open("/proc/thread-self/fail-nth", O_RDWR);
			_exit(10 + first_ldt(nth, live));
		}
		if (waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
		    WEXITSTATUS(status) < 10)
			die("allocation %d: the child ended with %#x", nth, status);
		if (WEXITSTATUS(status) == 10 + NOT_REACHED)
			break;
		failed += WEXITSTATUS(status) == 10 + FAILED;
	}
	if (nth == MOST)
		die("no end of allocations");
	printf("%d of %d allocations made it fail\n", failed, nth - 1);
}

/* A fork that fails at any of its allocations, the copy of the LDT among them. */
static void fork_faults(const char *users)
{
	unsigned int *page = low_page();
	int failed = 0, nth;

	*page = MAGIC;
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR);
	if (modify_ldt(0, (unsigned long)page, false, true))
		die("modify_ldt failed");
	begin_rest(users);
	for (nth = 1; nth < MOST; nth++) {
		bool reached;
		pid_t child;

		arm(nth);
		child = fork();
		if (!child) {
			/* Nothing fails in the child, and the file is its parent's. */
			expect("l");
			_exit(read_through(0) != MAGIC);
		}
		reached = disarm();
		if (child > 0)
			reap(child, "fork");
		else
			failed++;
		expect(users);
		if (read_through(0) != MAGIC)
			die("the LDT reads something else");
		check_rest(users);
		if (!reached)
			break;
	}
	if (nth == MOST)
		die("no end of allocations");
	end_rest(users);
	printf("%d of %d allocations made it fail\n", failed, nth - 1);
}

/* Two threads of a new mm: the first LDT, which may fail, and the first mapping beside it. */

static pthread_barrier_t both_ready;

static void *map_there(void *unused)
{
	pthread_barrier_wait(&both_ready);
	ask("map");
	return unused;
}

static bool race_once(int nth)
{
	unsigned int *page = low_page();
	pthread_t other;
	int error;

	*page = MAGIC;
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR);
	pthread_barrier_init(&both_ready, NULL, 2);
	if (pthread_create(&other, NULL, map_there, NULL))
		die("no thread");
	pthread_barrier_wait(&both_ready);
	arm(nth);
	error = modify_ldt(0, (unsigned long)page, false, true) ? errno : 0;
	if (disarm() && !nth && error)
		die("modify_ldt failed although nothing makes it fail");
	pthread_join(other, NULL);
	ask("check");
	expect(error ? "r" : "lr");
	if (!error && read_through(0) != MAGIC)
		die("the LDT reads something else");
	ask("unmap");
	return error;
}

static void race(void)
{
	int failed = 0, rounds = 64, status;

	for (int i = 0; i < rounds; i++) {
		pid_t child = fork();

		if (!child)
			_exit(10 + race_once(i % 8));
		if (waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
		    WEXITSTATUS(status) < 10)
			die("round %d: the child ended with %#x", i, status);
		failed += WEXITSTATUS(status) == 11;
	}
	printf("%d of %d allocations made it fail\n", failed, rounds);
}

/* --- the kernel's own dump of the tables */

enum { LDT, REGION };

static bool five_levels(void)
{
	FILE *info = fopen("/proc/cpuinfo", "r");
	char line[8192];
	bool found = false;

	while (info && !found && fgets(line, sizeof(line), info))
		found = !strncmp(line, "flags", 5) && strstr(line, " la57");
	if (info)
		fclose(info);
	return found;
}

/* Pages mapped in one of the two parts of the PGD slot, which stand under its own title. */
static int mapped(const char *file, int part)
{
	unsigned int shift = five_levels() ? 48 : 39;
	unsigned long slot = -240ul << shift, ldt_end = slot + (1ul << (shift - 9));
	unsigned long from = part == LDT ? slot : ldt_end;
	unsigned long to = part == LDT ? ldt_end : slot + (1ul << shift);
	const char *title = part == LDT ? "---[ LDT remap ]---" : "---[ mm-local Region ]---";
	char line[256], heading[256] = "";
	FILE *dump = fopen(file, "r");
	unsigned long first, last;
	bool found = false;
	int pages = 0;

	if (!dump)
		die("no %s", file);
	while (fgets(line, sizeof(line), dump)) {
		if (!strncmp(line, "---[", 4))
			strcpy(heading, line);
		found |= !strncmp(heading, title, strlen(title));
		if (sscanf(line, "0x%lx-0x%lx", &first, &last) != 2 || first < from ||
		    last > to || !(strstr(line, " RW ") || strstr(line, " ro ")))
			continue;
		if (!strstr(line, " pte") || !strstr(line, " NX ") || strstr(line, "USR") ||
		    strstr(line, "GLB"))
			die("%s: %s", file, line);
		if (strncmp(heading, title, strlen(title)))
			die("%s: %s stands under %s", file, line, heading);
		pages += (last - first) / PAGE;
	}
	fclose(dump);
	if (!found)
		die("%s has no %s", file, title);
	return pages;
}

/* What follows an empty region stands under its own name. */
static void dump_of_an_empty_region(void)
{
	unsigned long direct_map = -239ul << (five_levels() ? 48 : 39), first;
	FILE *dump = fopen(TABLES "kernel", "r");
	char line[256], heading[256] = "";

	if (!dump)
		die("no " TABLES "kernel");
	while (fgets(line, sizeof(line), dump)) {
		if (!strncmp(line, "---[", 4))
			strcpy(heading, line);
		else if (sscanf(line, "0x%lx-", &first) == 1 && first >= direct_map)
			break;
	}
	fclose(dump);
	if (!strstr(heading, "Low Kernel Mapping"))
		die("the direct map stands under %s", heading);
}

static void dumps(void)
{
	dump_of_an_empty_region();
	use_ldt(0, true);
	ask("map");
	if (mapped(TABLES "current_kernel", REGION) != 2)
		die("the kernel's tables do not show two pages of the region");
	if (mapped(TABLES "current_kernel", LDT) != pti)
		die("the kernel's tables do not show the LDT as they should");
	if (pti) {
		if (mapped(TABLES "current_user", LDT) != 1)
			die("user mode's tables do not show the LDT");
		if (mapped(TABLES "current_user", REGION) != 0)
			die("user mode's tables show the region");
	}
	ask("unmap");
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	self = argv[0];
	pti = argc > 2 && !strcmp(argv[2], "pti");
	if (!strcmp(what, "fresh"))
		expect("");
	else if (!strncmp(what, "both-", 5))
		both(what + 5);
	else if (!strcmp(what, "sixteen"))
		sixteen("");
	else if (!strcmp(what, "sixteen-m"))
		sixteen("m");
	else if (!strncmp(what, "forks-", 6))
		forks(what + 6);
	else if (!strcmp(what, "faults"))
		faults("");
	else if (!strncmp(what, "faults-", 7))
		faults(what + 7);
	else if (!strncmp(what, "forkfaults-", 11))
		fork_faults(what + 11);
	else if (!strcmp(what, "race"))
		race();
	else if (!strcmp(what, "dumps"))
		dumps();
	else
		die("usage: ldt SCENARIO pti|nopti");
	return 0;
}
