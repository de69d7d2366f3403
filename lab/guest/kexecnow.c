// SPDX-License-Identifier: GPL-2.0
/*
 * Usage: kexecnow KERNEL INITRD COMMAND-LINE
 *
 * Loads a kernel with kexec_file_load() and starts it at once; returns only when
 * that failed. Writes to disks that are not synced are lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RB_KEXEC
#define RB_KEXEC 0x45584543
#endif

static int load(int kernel, int initrd, const char *words)
{
#ifdef SYS_kexec_file_load
	return syscall(SYS_kexec_file_load, kernel, initrd, strlen(words) + 1, words, 0UL);
#else
	/* Not every architecture has it, 32-bit x86 for one. */
	(void)kernel, (void)initrd, (void)words;
	errno = ENOSYS;
	return -1;
#endif
}

int main(int argc, char **argv)
{
	int kernel, initrd;

	if (argc != 4) {
		fprintf(stderr, "usage: kexecnow KERNEL INITRD COMMAND-LINE\n");
		return 2;
	}
	kernel = open(argv[1], O_RDONLY);
	initrd = open(argv[2], O_RDONLY);
	if (kernel < 0 || initrd < 0) {
		perror(argv[kernel < 0 ? 1 : 2]);
		return 1;
	}
	if (load(kernel, initrd, argv[3])) {
		perror("kexec_file_load");
		return 1;
	}
	reboot(RB_KEXEC);
	perror("reboot");
	return 1;
}
