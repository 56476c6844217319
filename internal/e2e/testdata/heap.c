// A block that is never freed and one that is freed twice. The functions are
// two deep: at the entry of free() its caller has a frame, but no frame pointer
// leads to it yet.
#include <stdlib.h>
#include <unistd.h>

static void *volatile keep;

__attribute__((noinline)) static void *take(size_t n) { void *p = malloc(n); __asm__ volatile(""); return p; }
__attribute__((noinline)) static void give(void *p) { free(p); __asm__ volatile(""); }
__attribute__((noinline)) static void planted_leak(void) { keep = take(4711); __asm__ volatile(""); }
__attribute__((noinline)) static void balanced(void) { give(take(100)); __asm__ volatile(""); }
__attribute__((noinline)) static void planted_double_free(void)
{
	void *volatile p = take(1234);
	give(p);
	give(p); // the C library ends the process here
	__asm__ volatile("");
}

int main(void)
{
	for (int i = 0; i < 100; i++)
		balanced();
	planted_leak();
	planted_double_free();
	return 0;
}
