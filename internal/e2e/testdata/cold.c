// Data that the program never touches: it is not in memory when a probe reads it.
#define PAGE 4096

struct pair { int x, y; };

// One page of text whose end is in the next, and a structure in a third.
static const struct {
	char first[PAGE - 4];
	char across[PAGE + 4];
	struct pair pair;
} far __attribute__((aligned(PAGE))) = { "", "across two pages", { 6, 7 } };

__attribute__((noinline)) int show(const char *s, const struct pair *p)
{
	__asm__ volatile("" ::"r"(s), "r"(p) : "memory");
	return 5;
}

int main(void) { return show(far.across, &far.pair) - 5; }
