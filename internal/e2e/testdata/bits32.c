// A program of 32 bits without a library: variables in registers, on the stack and in
// places of their own, pointers of 4 bytes, numbers of 8 bytes in two registers.
struct item { int n; const char *name; struct item *next; long long wide; };

struct item last = { 2, "last", 0, 1LL << 40 }, head = { 1, "head", &last, -5 };
static int hidden = 77;

static long call(long nr, long a, long b, long c)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return r;
}

__attribute__((noinline)) int show(struct item *p, int n, unsigned char small)
{
	volatile int local = n * 2;
	int inside = n + 1;

	__asm__ volatile("" : "+r"(inside) : : "memory");
	inside += local + hidden; // the statement that a probe is put at
	__asm__ volatile("" : "+r"(inside), "+m"(*p) : : "memory");
	return -inside;
}

__attribute__((noinline)) long long wide(long long n) { return n * 3; }
__attribute__((noinline)) struct item *next(struct item *p) { return p->next; }
__attribute__((noinline, regparm(3))) int fast(int a, int b, int c)
{
	__asm__ volatile("" : : "r"(a), "r"(b), "r"(c));
	return a + b + c;
}

__attribute__((noinline)) int down(int n) { return n == 0 ? 0 : down(n - 1) + n; }

void _start(void)
{
	hidden += show(&head, 7, 200);
	hidden += wide(-(1LL << 33));
	hidden += next(&head)->n + fast(11, 12, 13) + down(5);
	call(4, 1, (long)"done\n", 5);
	call(1, 0, 0, 0);
}
