// One of everything that a probe of a program can sit on, each hit a number of
// times that can be counted here. With an argument it first waits for input.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sdt.h>
#include <sys/wait.h>
#include <unistd.h>

volatile long watched;
int counter = 40;

static inline __attribute__((always_inline)) int inl(int a)
{
	counter += a;
	return a * 3;
}

__attribute__((noinline)) static int callee(int a)
{
	counter += a;
	return a + 1;
}

__attribute__((noinline)) int twice(int a)
{
	int r = callee(a); // statement
	r += callee(r);
	if (r < 0)
		goto out;
	r += inl(a);
out:
	DTRACE_PROBE2(rows, mid, r, "text");
	return r;
}

__attribute__((noinline)) int other(int a) { return callee(a) + inl(a); }

static void *thread(void *p)
{
	getppid();
	return p;
}

int main(int argc, char **argv)
{
	char c, *p;
	pthread_t t[2];

	if (argc > 1 && read(0, &c, 1) != 1)
		return 1;
	for (int i = 0; i < 5; i++)
		twice(i);
	for (int i = 0; i < 3; i++)
		other(i);
	for (int i = 0; i < 4; i++)
		watched = i;
	p = strdup(argv[0]);
	free(p);
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], 0, thread, 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], 0);
	if (fork() == 0) {
		twice(9);
		_exit(0);
	}
	wait(0);
	return 0;
}
