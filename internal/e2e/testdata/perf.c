// A hundred page faults and twenty sleeps, each between two calls of getppid().
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
	enum { pages = 100, page = 4096 };
	char *p = mmap(0, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct timespec t = { 0, 1000000 };

	if (p == MAP_FAILED || madvise(p, pages * page, MADV_NOHUGEPAGE))
		return 1;
	syscall(SYS_getppid);
	for (int i = 0; i < pages; i++)
		((volatile char *)p)[i * page] = 1;
	syscall(SYS_getppid);
	for (int i = 0; i < 20; i++)
		nanosleep(&t, 0);
	syscall(SYS_getppid);
	return 0;
}
