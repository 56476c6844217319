// A known sequence of system calls. With an argument it first waits for input.
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char buf[16];
	struct stat st;
	int fd, p[2];

	if (argc > 1 && read(0, buf, 1) != 1)
		return 1;
	getppid();
	fd = open("/dev/null", O_RDWR);
	write(fd, "some", 4);
	fstat(fd, &st);
	lseek(fd, 0, SEEK_SET);
	close(fd);
	open("/does/not/exist", O_RDONLY);
	if (pipe(p))
		return 1;
	write(p[1], "x", 1);
	read(p[0], buf, 1);
	munmap(mmap(0, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 8192);
	if (fork() == 0)
		_exit(7);
	wait(0);
	return 0;
}
