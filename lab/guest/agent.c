// SPDX-License-Identifier: GPL-2.0
/*
 * The host's hand in the guest: runs commands that arrive on a serial line and
 * sends back what they print, as it is printed. Several can run at once, each
 * has a standard input, and everything that is not a number or a keyword
 * travels as base64, so nothing a command prints can be mistaken for an answer.
 *
 *	host to guest			guest to host
 *	RUN id base64(command)		READY
 *	IN id base64(bytes)		OUT id base64(bytes)
 *	EOF id				EXIT id status
 *	KILL id				VERDICT pass | VERDICT fail reason
 *
 * VERDICT lines come from /run/verdict, a fifo that any script may write to.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define JOBS 32
#define CHUNK 1536	/* a multiple of three: no padding inside a stream */
#define VERDICTS "/run/verdict"

struct job {
	int id;
	pid_t pid;	/* 0: the slot is free */
	int in, out;	/* our ends of its pipes, -1 when closed */
	int status;
	int gone;	/* waited for; kept until its output has ended */
};

static struct job jobs[JOBS];
static int control;
static const char digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t done = write(fd, data, size);

		if (done < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (done > 0) {
			data += done;
			size -= done;
		}
	}
}

static void send_line(const char *line)
{
	write_all(control, line, strlen(line));
}

static void encode(const unsigned char *in, size_t size, char *out)
{
	for (size_t i = 0; i < size; i += 3) {
		unsigned int word = in[i] << 16;

		if (i + 1 < size)
			word |= in[i + 1] << 8;
		if (i + 2 < size)
			word |= in[i + 2];
		*out++ = digits[word >> 18 & 63];
		*out++ = digits[word >> 12 & 63];
		*out++ = i + 1 < size ? digits[word >> 6 & 63] : '=';
		*out++ = i + 2 < size ? digits[word & 63] : '=';
	}
	*out = 0;
}

/* In place; the result is never longer than its encoding. */
static size_t decode(char *text)
{
	unsigned int word = 0, bits = 0;
	size_t size = 0;

	for (char *c = text; *c && *c != '='; c++) {
		const char *digit = strchr(digits, *c);

		if (!digit)
			continue;
		word = word << 6 | (digit - digits);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			text[size++] = word >> bits;
		}
	}
	text[size] = 0;
	return size;
}

static struct job *find(int id)
{
	for (int i = 0; i < JOBS; i++)
		if (jobs[i].pid && jobs[i].id == id)
			return &jobs[i];
	return NULL;
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void run(int id, const char *command)
{
	struct job *job = NULL;
	int in[2], out[2];
	char line[64];

	for (int i = 0; i < JOBS && !job; i++)
		if (!jobs[i].pid)
			job = &jobs[i];
	if (!job || pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)) {
		snprintf(line, sizeof(line), "EXIT %d 126\n", id);
		send_line(line);
		return;
	}
	job->pid = fork();
	if (!job->pid) {
		setsid();
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(out[1], 2);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	job->id = id;
	job->in = in[1];
	job->out = out[0];
	job->gone = job->status = 0;
	if (job->pid < 0) {	/* no process: answer as if it had failed */
		job->pid = 1;
		job->gone = 1;
		job->status = 126;
	}
}

static void obey(char *line)
{
	char *verb = strtok(line, " "), *number = strtok(NULL, " ");
	char *rest = strtok(NULL, " ");
	struct job *job;
	int id;

	if (!verb || !number)
		return;
	id = atoi(number);
	if (!strcmp(verb, "RUN") && rest) {
		decode(rest);
		run(id, rest);
		return;
	}
	job = find(id);
	if (!job)
		return;
	if (!strcmp(verb, "IN") && rest && job->in >= 0)
		write_all(job->in, rest, decode(rest));
	else if (!strcmp(verb, "EOF"))
		close_end(&job->in);
	else if (!strcmp(verb, "KILL") && !job->gone)
		kill(-job->pid, SIGKILL);
}

static void hear(void)
{
	static char *line;
	static size_t used, room;
	char buffer[4096];
	ssize_t got = read(control, buffer, sizeof(buffer));

	for (ssize_t i = 0; i < got; i++) {
		if (used + 1 >= room) {
			room = room ? room * 2 : 8192;
			line = realloc(line, room);
			if (!line)
				_exit(1);
		}
		if (buffer[i] != '\n') {
			line[used++] = buffer[i];
			continue;
		}
		line[used] = 0;
		used = 0;
		obey(line);
	}
}

static void forward(struct job *job)
{
	unsigned char data[CHUNK];
	char text[CHUNK / 3 * 4 + 64];
	ssize_t got = read(job->out, data, sizeof(data));

	if (got <= 0) {
		close_end(&job->out);
		return;
	}
	encode(data, got, text + sprintf(text, "OUT %d ", job->id));
	strcat(text, "\n");
	send_line(text);
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = 0; i < JOBS; i++)
			if (jobs[i].pid == pid && !jobs[i].gone) {
				jobs[i].gone = 1;
				jobs[i].status = WIFSIGNALED(status) ?
					128 + WTERMSIG(status) : WEXITSTATUS(status);
			}
	for (int i = 0; i < JOBS; i++) {
		struct job *job = &jobs[i];
		struct pollfd more = { .fd = job->out, .events = POLLIN };
		char line[64];

		if (!job->pid || !job->gone)
			continue;
		/*
		 * All it printed goes out first; but a daemon it left behind may
		 * hold the pipe for ever, so do not wait for the end of the pipe.
		 */
		while (job->out >= 0 && poll(&more, 1, 0) > 0) {
			forward(job);
			more.fd = job->out;
		}
		close_end(&job->out);
		close_end(&job->in);
		snprintf(line, sizeof(line), "EXIT %d %d\n", job->id, job->status);
		send_line(line);
		job->pid = 0;
	}
}

static void pass_verdict(int fd)
{
	char buffer[512], line[600];
	ssize_t got = read(fd, buffer, sizeof(buffer) - 1);

	if (got <= 0)
		return;
	buffer[got] = 0;
	buffer[strcspn(buffer, "\n")] = 0;
	snprintf(line, sizeof(line), "VERDICT %s\n", buffer);
	send_line(line);
}

static int open_control(const char *path)
{
	struct termios raw;
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || tcgetattr(fd, &raw))
		return -1;
	cfmakeraw(&raw);
	raw.c_cflag |= CLOCAL;
	cfsetspeed(&raw, B115200);
	return tcsetattr(fd, TCSANOW, &raw) ? -1 : fd;
}

int main(int argc, char **argv)
{
	int verdicts;

	control = open_control(argc > 1 ? argv[1] : "/dev/ttyS1");
	mkfifo(VERDICTS, 0622);
	/* Open for writing too: then the fifo never reports an end. */
	verdicts = open(VERDICTS, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (control < 0 || verdicts < 0) {
		perror("lab agent");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	send_line("READY\n");
	for (;;) {
		struct pollfd fds[JOBS + 2];

		fds[0] = (struct pollfd){ .fd = control, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = verdicts, .events = POLLIN };
		for (int i = 0; i < JOBS; i++)
			fds[i + 2] = (struct pollfd){
				.fd = jobs[i].pid ? jobs[i].out : -1,
				.events = POLLIN,
			};
		/* The short timeout finds jobs that closed their output early. */
		poll(fds, JOBS + 2, 50);
		if (fds[0].revents)
			hear();
		if (fds[1].revents)
			pass_verdict(verdicts);
		for (int i = 0; i < JOBS; i++)
			if (fds[i + 2].revents && jobs[i].out >= 0)
				forward(&jobs[i]);
		reap();
	}
}
