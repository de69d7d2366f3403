// SPDX-License-Identifier: GPL-2.0
/*
 * Usage: crashload
 *
 * Loads, as kdump does, what a panic has to start: not a whole kernel, but a few
 * instructions that say so on the first serial line and halt.  Needs crashkernel=.
 */
#include <linux/kexec.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROOM 4096

extern const char capture[], capture_end[];

/* In 64-bit mode, with memory mapped as it is; at any address. */
__asm__(".pushsection .rodata\n"
	"capture:	lea 3f(%rip), %rsi\n"
	"1:	lodsb\n"
	"	test %al, %al\n"
	"	jz 4f\n"
	"	mov %al, %bl\n"
	"	mov $0x3fd, %edx\n"	/* line status */
	"2:	in %dx, %al\n"
	"	test $0x20, %al\n"
	"	jz 2b\n"
	"	mov $0x3f8, %edx\n"
	"	mov %bl, %al\n"
	"	out %al, %dx\n"
	"	jmp 1b\n"
	"4:	cli\n"
	"	hlt\n"
	"	jmp 4b\n"
	"3:	.asciz \"\\r\\ncapture: started\\r\\n\"\n"
	"capture_end:\n"
	".popsection\n");

static unsigned long reserved(void)
{
	unsigned long from, to;
	char line[256];
	FILE *memory = fopen("/proc/iomem", "r");

	while (memory && fgets(line, sizeof(line), memory))
		if (strstr(line, "Crash kernel") && sscanf(line, " %lx-%lx", &from, &to) == 2)
			return from;
	return 0;
}

int main(void)
{
	struct kexec_segment segment = {
		.buf = capture, .bufsz = capture_end - capture, .memsz = ROOM,
	};
	unsigned long at = reserved();

	if (!at) {
		fprintf(stderr, "nothing is reserved: crashkernel= is missing\n");
		return 1;
	}
	segment.mem = (void *)at;
	if (syscall(SYS_kexec_load, at, 1UL, &segment, KEXEC_ON_CRASH | KEXEC_ARCH_X86_64)) {
		perror("kexec_load");
		return 1;
	}
	return 0;
}
