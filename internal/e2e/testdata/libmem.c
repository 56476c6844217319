// An allocator in a library of its own, which takes the C library's place. It gives
// nothing back, so that a block can be freed twice without harm.
#include <stddef.h>
#include <string.h>

static char space[1 << 20] __attribute__((aligned(16)));
static size_t used;

__attribute__((noinline)) void *malloc(size_t bytes)
{
	size_t at = __atomic_fetch_add(&used, (bytes + 31) & ~(size_t)15, __ATOMIC_RELAXED);

	if (at + bytes + 16 > sizeof space)
		return NULL;
	memcpy(space + at, &bytes, sizeof bytes);
	return space + at + 16;
}

__attribute__((noinline)) void *calloc(size_t n, size_t bytes)
{
	size_t at = __atomic_fetch_add(&used, (n * bytes + 31) & ~(size_t)15, __ATOMIC_RELAXED);

	if (at + n * bytes + 16 > sizeof space)
		return NULL;
	bytes *= n;
	memcpy(space + at, &bytes, sizeof bytes);
	return space + at + 16; // it has never been used
}

__attribute__((noinline)) void free(void *mem) { __asm__ volatile("" : : "r"(mem) : "memory"); }

void *realloc(void *mem, size_t bytes)
{
	void *to = malloc(bytes);
	size_t old = 0;

	if (mem)
		memcpy(&old, (char *)mem - 16, sizeof old);
	if (to && old)
		memcpy(to, mem, old < bytes ? old : bytes);
	return to;
}
