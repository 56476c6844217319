// Makes an exact number of calls on each of two CPUs, which carry the numbers from 0 on:
// load KIND N [RATE]: call is a system call, tick a function, mark a mark; RATE of all
// calls in a second, or as fast as it goes. It tells how long it took.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sdt.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long calls, rate; // of each CPU
static char kind;

// It begins with an instruction that kernels need not step through.
__attribute__((noinline)) long tick(long i) { __asm__ volatile("nop"); return i + 1; }

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void *loop(void *arg)
{
	cpu_set_t set;
	double began;

	CPU_ZERO(&set);
	CPU_SET((long)arg, &set);
	// One CPU alone does all of it.
	sched_setaffinity(0, sizeof set, &set);
	began = now();
	for (long i = 0; i < calls; i++) {
		switch (kind) {
		case 'c':
			syscall(SYS_lseek, -1, i, 0);
			break;
		case 't':
			tick(i);
			break;
		case 'm':
			DTRACE_PROBE1(load, hit, i);
			break;
		}
		if (rate && i % 256 == 255) {
			double ahead = began + (double)i / rate - now();
			if (ahead > 0) {
				struct timespec t = { ahead, (ahead - (long)ahead) * 1e9 };
				nanosleep(&t, 0);
			}
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t t[2];
	double began = now();

	if (argc < 3 || !strchr("ctm", argv[1][0]))
		return 2;
	kind = argv[1][0], calls = atol(argv[2]);
	if (argc > 3)
		rate = atol(argv[3]) / 2;
	for (long i = 0; i < 2; i++)
		if (pthread_create(&t[i], 0, loop, (void *)i))
			return 2;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], 0);
	fprintf(stderr, "load: %ld calls in %.3f s\n", 2 * calls, now() - began);
	return 0;
}
