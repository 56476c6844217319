// Functions and marks to probe; with an argument N, N calls on each of two CPUs.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#define SDT_USE_VARIADIC
#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>

unsigned short demo_seen_semaphore __attribute__((unused, section(".probes")));
unsigned short demo_plain_semaphore __attribute__((unused, section(".probes")));

// Written before they are read: a page that was never touched cannot be read from
// a probe.
static char text[8], hello[8], first[8], second[8];

struct inner { int deep; char tag[8]; };
struct item { int x; long y; const char *name; struct item *next; struct inner in; };

__attribute__((noinline)) int work(int a, const char *s, struct item *p)
{
	a += p->x;
	p->x = 1000; // so that a value from the entry differs from a later one
	__asm__ volatile("" ::: "memory");
	return a * 2;
}

__attribute__((noinline)) void hit(int n)
{
	DTRACE_PROBE2(demo, plain, n, text);
	if (demo_seen_semaphore)
		STAP_PROBE1(demo, seen, n + 1);
}

__attribute__((noinline)) void tick(void) { __asm__ volatile(""); }

static void *loop(void *arg)
{
	cpu_set_t set;
	long n = ((long *)arg)[0];

	CPU_ZERO(&set);
	CPU_SET(((long *)arg)[1], &set);
	sched_setaffinity(0, sizeof set, &set);
	for (long i = 0; i < n; i++) {
		tick();
		syscall(SYS_getppid);
	}
	return 0;
}

int main(int argc, char **argv)
{
	strcpy(text, "text"), strcpy(hello, "hello"), strcpy(first, "first"), strcpy(second, "second");
	struct item next = { 7, 8, second, 0, { 3, "in" } };
	struct item it = { 5, -6, first, &next, { 4, "out" } };

	if (argc > 1) {
		long n = atol(argv[1]), arg[2][2] = { { n, 0 }, { n, 1 } };
		pthread_t t[2];
		for (int i = 0; i < 2; i++)
			pthread_create(&t[i], 0, loop, arg[i]);
		for (int i = 0; i < 2; i++)
			pthread_join(t[i], 0);
		return 0;
	}
	work(10, hello, &it);
	hit(41);
	return 0;
}
