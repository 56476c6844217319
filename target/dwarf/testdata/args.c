#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>

/* Functions with parameters of all kinds, called with values that the test
   knows. */
struct pt { int x, y; const char *name; struct pt *next; unsigned char b[4]; };
struct small { int a; long b; };
struct big { long a[4]; char text[8]; };
enum color { RED, GREEN = 5 };

int gcount = 3;
__thread int tcount = 4;
volatile int sink;

#define NOINLINE __attribute__((noinline, noclone))

/* The order of lines below matters to nobody but readers. */

NOINLINE
int take(int a, char c, short s, long n, struct pt *p, unsigned char uc, long seventh, int eighth,
	struct small sm, struct big b, enum color e, double dbl, bool yes, const char *text) {
	sink += a;
	sink += c + s;
	sink += n + p->x + uc + seventh;
	sink += eighth + sm.a + sm.b + b.a[3] + e;
	sink += dbl + yes + text[0];
	gcount++;
	return sink;
}

static NOINLINE int stake(int a, const struct pt *p, struct small sm, struct big b, long last) {
	sink += a;
	gcount += p->y;
	sink += sm.a + b.text[0];
	return sink + last;
}

static NOINLINE long many(long a, long b, long c, long d, long e, long f, int g, char h, long i) {
	sink += a + b;
	sink += c * d;
	sink += e - f;
	sink += g + h;
	return sink + i;
}

static NOINLINE int values(int n) {
	int one = n + 1;
	long two = n * 2L;
	struct pt local = { n, one, "local", NULL, { 1, 2, 3, 4 } };
	sink = two;
	{
		int inner = one + 10;
		sink += inner;
		asm volatile("" :: "r"(&local), "r"(inner), "r"(one), "r"(two) : "memory");
		sink += one + two;
	}
	return local.x + one;
}

int main(int argc, char **argv) {
	static struct pt q = { 7, 8, "next", NULL, { 9, 9, 9, 9 } };
	static struct pt p = { 1, -2, "pt", &q, { 1, 2, 3, 4 } };
	struct small sm = { -11, 12 };
	struct big b = { { 21, 22, 23, -24 }, "big" };
	int r = take(-1, 'c', -3, 1L << 40, &p, 200, 77, -88, sm, b, GREEN, 2.5, true, "text");
	r += stake(-5, &p, sm, b, -99);
	r += many(1, 2, 3, 4, 5, 6, -7, 'h', 9);
	r += values(41);
	tcount += argc;
	return argv == NULL ? r : 0;
}
