// SPDX-License-Identifier: GPL-2.0
/*
 *	failwrite FILE TEXT
 *
 * Write TEXT to FILE with fault injection on for this task and this write alone
 * (/proc/self/make-it-fail). Prints the error number of the write, 0 for none.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int must_open(const char *path)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	int fd, fail, error;

	if (argc != 3) {
		fprintf(stderr, "usage: failwrite FILE TEXT\n");
		return 2;
	}
	/* Page faults would fail, too. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		perror("mlockall");
	fd = must_open(argv[1]);
	fail = must_open("/proc/self/make-it-fail");
	errno = 0;
	if (write(fail, "1", 1) != 1) {
		perror("make-it-fail");
		return 1;
	}
	error = write(fd, argv[2], strlen(argv[2])) < 0 ? errno : 0;
	while (write(fail, "0", 1) != 1)
		;
	printf("%d\n", error);
	return 0;
}
