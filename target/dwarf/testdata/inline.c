#include <stdlib.h>
volatile int sink;
static inline __attribute__((always_inline)) int twice(int n) {
	int r = n * 2;
	sink = r;
	return r;
}
enum color { RED, GREEN = 5 };
struct pt { int x; struct pt *next; enum color c; };
__attribute__((noinline)) int first(int a) { return twice(a) + 1; }
__attribute__((noinline)) int second(struct pt *p, int b) {
	int s = 0;
again:
	sink++;
	s += twice(b);
	s += first(s) + twice(s + p->x);
	if (sink < 10)
		goto again;
	return s;
}
int main(int argc, char **argv) {
	struct pt p = { argc, NULL, GREEN };
	return first(argc) + second(&p, 2) + (argv == NULL);
}
