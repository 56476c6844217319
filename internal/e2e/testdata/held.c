// Structures by value, which lie in registers and in parts.
#include <stdio.h>

struct word { int x, y; };
struct bits { unsigned a : 3; int b : 5; unsigned c : 17; };
struct node { const char *name; struct node *next; };
struct pair { long a; int b; short c; signed char d[2]; };
struct big { long v[3]; };

struct node second = { "second", 0 }, first = { "first", &second };

__attribute__((noinline)) long take(struct word w, struct bits s, struct node n, struct pair p)
{
	__asm__ volatile("" : : "r"(&w), "r"(&s), "r"(&n), "r"(&p) : "memory");
	return w.x + s.a + p.a;
}

__attribute__((noinline)) struct word word(int n) { return (struct word){ n, -n }; }
__attribute__((noinline)) struct pair pair(int n) { return (struct pair){ n, -n, 3 * n, { n, -n } }; }
__attribute__((noinline)) struct node node(struct node *n) { return *n; }
__attribute__((noinline)) struct big big(long n) { return (struct big){ { n, n + 1, n + 2 } }; }
__attribute__((noinline)) __int128 wide(long n) { return ((__int128)n << 64) + 5; }

int main(void)
{
	struct pair p = pair(7);
	struct node n = node(&first);
	struct word w = word(3);
	long sum = take(w, (struct bits){ 5, -6, 99999 }, n, p);

	sum += big(40).v[2] + (long)(wide(6) >> 64);
	printf("%ld\n", sum);
	return fflush(stdout);
}
