// A program whose stacks are known: it is compiled without frame pointers.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

volatile int sink;

__attribute__((noinline)) void innermost(int n) { sink += n; }

__attribute__((noinline)) int varying(int n)
{
	// The frame's size is not known to the compiler.
	volatile char *p = __builtin_alloca(n * 16 + 16);
	p[0] = n;
	innermost(n);
	return p[0];
}

__attribute__((noinline)) int aligned(int n)
{
	volatile __attribute__((aligned(64))) char a[64];
	a[n & 63] = n;
	return varying(n) + a[0];
}

__attribute__((noinline)) int recurse(int n)
{
	int r = n ? recurse(n - 1) : aligned(3);
	sink += r;
	return r + 1;
}

// Called by the C library.
static int compare(const void *a, const void *b)
{
	innermost(7);
	sink++;
	return *(const int *)a - *(const int *)b;
}

__attribute__((noinline)) void sort(void)
{
	int v[2] = { 2, 1 };
	qsort(v, 2, sizeof v[0], compare);
	sink += v[0];
}

static void handler(int s)
{
	innermost(s);
	sink++;
}

__attribute__((noinline)) void signalled(void)
{
	raise(SIGUSR1);
	sink++;
}

__attribute__((noinline)) void calling(void)
{
	getppid();
	sink++;
}

int main(int argc, char **argv)
{
	signal(SIGUSR1, handler);
	recurse(2);
	sort();
	signalled();
	calling();
	if (argc > 1)
		for (long i = 0, n = atol(argv[1]); i < n; i++)
			recurse(2);
	return 0;
}
