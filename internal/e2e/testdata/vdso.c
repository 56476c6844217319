// Asks for the time again and again, which the kernel's part of the program answers.
#include <time.h>

__attribute__((noinline)) long ask(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_nsec;
}

int main(void)
{
	volatile long s = 0;
	for (long i = 0; i < 6000000; i++)
		s += ask();
	return 0;
}
