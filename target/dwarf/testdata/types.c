#include <stddef.h>
#include <stdio.h>
#include <stdbool.h>

enum color { RED, GREEN = 5, BLUE };
enum neg { MINUS = -3, PLUS = 7 };
typedef unsigned int unsigned_t;
typedef int (*fn_t)(struct all *, const char *, ...);

struct list { struct list *next, *prev; };

struct anon {
	int before;
	union {
		long l;
		struct { short lo, hi; };
		unsigned char bytes[8];
	};
	struct { int x; } named;
};

union u { int i; double d; char text[12]; };

struct bits {
	unsigned a : 3;
	int b : 5;
	unsigned long c : 40;
	unsigned char d : 1;
	bool e : 1;
	enum color f : 4;
	int : 0;
	int g : 17;
};

struct packed { char c; int i; short s; } __attribute__((packed));

struct flex { int n; char data[]; };

struct all {
	char c;
	struct all *next;
	const char *name;
	volatile int v;
	unsigned_t u;
	enum color color;
	fn_t fn;
	int matrix[2][3];
	struct list list;
	union u un;
	struct anon an;
	float f;
	long double ld;
	bool flag;
	void *ptr;
	signed char sc;
	unsigned short us;
	long long ll;
};

struct all all;
struct bits bits;
struct packed packed;
struct flex flex;
struct anon anon;
enum neg neg = MINUS;
unsigned_t un;
fn_t fn;

#define SHOW(kind, type, member) printf(#kind " " #type "." #member " %zu %zu\n", offsetof(kind type, member), sizeof(((kind type *)0)->member))

int main(void) {
	SHOW(struct, all, c);
	SHOW(struct, all, next);
	SHOW(struct, all, name);
	SHOW(struct, all, v);
	SHOW(struct, all, u);
	SHOW(struct, all, color);
	SHOW(struct, all, fn);
	SHOW(struct, all, matrix);
	SHOW(struct, all, list);
	SHOW(struct, all, list.prev);
	SHOW(struct, all, un);
	SHOW(struct, all, un.text);
	SHOW(struct, all, an);
	SHOW(struct, all, an.hi);
	SHOW(struct, all, an.bytes);
	SHOW(struct, all, an.named);
	SHOW(struct, all, an.named.x);
	SHOW(struct, all, f);
	SHOW(struct, all, ld);
	SHOW(struct, all, flag);
	SHOW(struct, all, ptr);
	SHOW(struct, all, sc);
	SHOW(struct, all, us);
	SHOW(struct, all, ll);
	SHOW(struct, packed, c);
	SHOW(struct, packed, i);
	SHOW(struct, packed, s);
	SHOW(struct, flex, n);
	SHOW(struct, anon, before);
	SHOW(struct, anon, hi);
	SHOW(union, u, d);
	return all.c + bits.a + packed.c + flex.n + anon.before + (fn != 0) + (neg == PLUS) + (int)un;
}
