/* Has strings and numbers in memory that is there when a probe reads them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct all {
	char text[64];
	unsigned short utf16[16];
	unsigned utf32[16];
	unsigned char bytes[8];
	long numbers[2];
	unsigned short lone[2];
};

long __attribute__((noinline)) here(struct all *a, int b, unsigned c, long d, char *e, short f, long g, int h) {
	__asm__ volatile("" ::: "memory");
	return d * 2 + g + h;
}

int main(int argc, char **argv) {
	static struct all a = {
		.utf16 = {'h', 0xe9, 0x20ac, 0xd83d, 0xde00, 0},
		.utf32 = {'h', 0xe9, 0x20ac, 0x1f600, 0},
		.bytes = {0xff, 0x80, 0, 'a', '"', '\n', 200, 1},
		.numbers = {-2, 0x7fffffff00000001},
		.lone = {0xdc00, 0},
	};
	strcpy(a.text, "tab\tquote\" end");
	return here(&a, -5, 0xfffffffb, -1, a.text, -3, 77, -8) == 0;
}
