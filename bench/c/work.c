/*
 * work KIND N R does one thing N times, R times over, and prints what each time took for
 * one of them, in nanoseconds: where the clock counts instructions, in instructions.
 *
 *   getppid  a system call that does next to nothing
 *   read     reads a byte of /dev/zero
 *   open     opens a file that is not there; -l LENGTH: its name is so long
 *   call     calls the function callme
 *   mark     passes the mark work:tick
 *
 * work -2 … has two processes do it at the same time; -r RATE does it so often a second.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sdt.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Compiled without optimisation, so that it begins by pushing the frame pointer: what
 * the kernel need not execute out of line. */
int __attribute__((noinline, optimize("O0"))) callme(int a) { return a + 1; }

static int __attribute__((noinline)) mark(long i)
{
	DTRACE_PROBE1(work, tick, i);
	return i;
}

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* wait for the i-th moment of those that lie gap nanoseconds apart, without sleeping. */
static void pace(long long from, long i, double gap)
{
	if (gap > 0)
		while (now() < from + (long long)(i * gap))
			;
}

int main(int argc, char **argv)
{
	volatile int sink = 0;
	char byte, name[4096] = "/no/such/file/anywhere";
	int fd = open("/dev/zero", O_RDONLY), two = 0, status = 0, c;
	double gap = 0;

	while ((c = getopt(argc, argv, "2l:o:r:")) != -1) {
		if (c == '2')
			two = 1;
		else if (c == 'r')
			gap = 1e9 / atof(optarg);
		else if (c == 'o') { /* what it prints does not get among the lines of others */
			if (!freopen(optarg, "w", stdout))
				return 2;
		} else if (c == 'l')
			for (long i = strlen(name), n = atol(optarg); i < n && i < 4095; i++)
				name[i] = i % 100 ? 'x' : '/';
		else
			return 2;
	}
	if (argc - optind != 3) {
		fprintf(stderr, "usage: work [-2] [-l LENGTH] [-o FILE] [-r RATE] KIND N R\n");
		return 2;
	}
	if (two && !fork()) {
		two = 0;
		if (!freopen("/dev/null", "w", stdout))
			return 2;
	}
	const char *kind = argv[optind];
	long n = atol(argv[optind + 1]), rounds = atol(argv[optind + 2]);
	for (long r = 0; r < rounds; r++) {
		long long from = now();
		if (!strcmp(kind, "getppid"))
			for (long i = 0; i < n; i++)
				syscall(SYS_getppid);
		else if (!strcmp(kind, "read"))
			for (long i = 0; i < n; i++)
				read(fd, &byte, 1);
		else if (!strcmp(kind, "open"))
			for (long i = 0; i < n; i++) {
				pace(from, i, gap);
				syscall(SYS_openat, AT_FDCWD, name, O_RDONLY);
			}
		else if (!strcmp(kind, "call"))
			for (long i = 0; i < n; i++)
				sink = callme(sink);
		else if (!strcmp(kind, "mark"))
			for (long i = 0; i < n; i++)
				sink = mark(i);
		else
			return 2;
		printf("%s%.2f", r ? " " : "", (double)(now() - from) / n);
	}
	printf("\n");
	if (two)
		wait(&status);
	return 0;
}
