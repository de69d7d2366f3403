// SPDX-License-Identifier: GPL-2.0
/*
 * What lives of processes cost, for the mermap's part of make bench, one line for each:
 *
 *	lives: fork ns=41000
 *
 * The smallest of several. Under -icount a nanosecond is an instruction. With an argument:
 * the module mermapbench is there, and prepares an mm when asked to.
 */

#include <asm/ldt.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PREPARE	"/sys/module/mermapbench/parameters/prepare"
#define TIMES	25

static char *self;
static char ask[] = "0";

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void nothing(void)
{
}

/* Both ways are the same system calls. */
static void prepare(void)
{
	int fd = open(PREPARE, O_WRONLY);

	if (fd < 0 || write(fd, ask, 1) != 1)
		_exit(2);
	close(fd);
}

static void prepare_and_exec(void)
{
	prepare();
	execl(self, self, "end", NULL);
	_exit(3);
}

static void measure(const char *name, void (*child)(void))
{
	long best = 0, begun, took;
	int status;

	for (int i = 0; i < TIMES; i++) {
		pid_t pid;

		begun = now();
		pid = fork();
		if (!pid) {
			child();
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
			printf("lives: %s failed\n", name);
			exit(1);
		}
		took = now() - begun;
		if (!best || took < best)
			best = took;
	}
	printf("lives: %s ns=%ld\n", name, best);
}

int main(int argc, char **argv)
{
	struct user_desc desc = { .limit = 4095, .seg_32bit = 1, .useable = 1 };

	self = argv[0];
	if (argc > 1 && !strcmp(argv[1], "end"))
		return 0;
	setvbuf(stdout, NULL, _IONBF, 0);
	measure("fork", nothing);
	if (argc > 1) {
		measure("exit", prepare);
		measure("exec", prepare_and_exec);
		*ask = '1';
		measure("exit_prepared", prepare);
		measure("exec_prepared", prepare_and_exec);
	}
	if (syscall(SYS_modify_ldt, 0x11, &desc, sizeof(desc))) {
		puts("lives: modify_ldt failed");
		return 1;
	}
	measure("fork_ldt", nothing);
	return 0;
}
