// Variables of every kind and place, to be read and written by probes: global, file-level,
// static in a function, thread-local, on the stack, in registers; and a recursive function
// that several threads run.
#include <pthread.h>
#include <stdio.h>

enum color { RED, GREEN = 5, BLUE = -1 };
union number { int whole; unsigned char bytes[4]; };
struct bits { unsigned a : 3; int b : 5; unsigned long c : 40; };
struct thing {
	struct { int left, right; };
	union { long wide; char narrow; };
	enum color color;
	union number number;
	struct bits bits;
	int row[4];
	int grid[2][3];
	char text[8];
	const char *name;
	struct thing *self;
	_Bool yes;
};

struct thing thing = {
	.left = 1, .right = -2, .wide = 0x141, .color = GREEN, .number.whole = 0x01020304, .bits = { 5, -6, 1UL << 39 },
	.row = { 10, 11, 12, 13 }, .grid = { { 1, 2, 3 }, { 4, 5, 6 } }, .text = "text", .name = "name", .self = &thing, .yes = 1,
};
static int hidden = 77;
enum color level = BLUE;
__thread long mine = 9;
static __thread short also = -3;
int *volatile keep;

__attribute__((noinline)) int show(struct thing *p, int n)
{
	static int calls = 40;
	volatile int local = n * 2;
	volatile long stack[3] = { n, -n, n * 100 };
	int inside = n + 1;

	calls++;
	hidden++;
	mine += n;
	also--;
	__asm__ volatile("" : "+r"(inside) : : "memory");
	inside += local + stack[2]; // the statement that a probe is put at
	__asm__ volatile("" : "+r"(inside) : : "memory");
	return inside;
}

__attribute__((noinline)) int down(int n)
{
	if (n == 0)
		return 0;
	return down(n - 1) + n;
}

static void *work(void *arg)
{
	long sum = 0;
	for (int i = 0; i < 50; i++)
		sum += down((long)arg);
	return (void *)sum;
}

// Prints what a probe may have changed.
__attribute__((noinline)) void tell(struct thing *p)
{
	printf("%d %d %d %d %d %ld %d %d %d %d %ld\n", p->left, p->right, p->color, p->bits.a, p->bits.b, (long)p->bits.c,
	       p->row[1], p->text[0], hidden, also, mine);
}

int main(void)
{
	pthread_t t[4];

	keep = &hidden;
	if (level)
		show(&thing, 7);
	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], 0, work, (void *)(10 + i));
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], 0);
	tell(&thing);
	return fflush(stdout);
}
