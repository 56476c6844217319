// A program of 64 bits that makes some calls as those of 32 bits do, whose numbers mean
// others: 64 is getppid there and semget here, 19 is lseek there and readv here.
#include <sys/syscall.h>
#include <unistd.h>

static long call32(long nr, long a, long b, long c)
{
	long r = 0;
#ifdef __x86_64__
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
#endif
	return r;
}

int main(void)
{
	int i;

	for (i = 0; i < 4; i++)
		call32(64, 0, 0, 0);
	for (i = 0; i < 3; i++)
		syscall(SYS_getppid);
	call32(19, 77, 5, 1);
	return 0;
}
