/* Tells facts about itself, calls uname(2) where functions.stp looks at it, and tells what
   became of its memory. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static char written[64] = "................";
static void handler(int n) { (void)n; }

static void link_of(const char *name, const char *path)
{
	char b[4096];
	ssize_t n = readlink(path, b, sizeof b - 1);
	if (n < 0)
		n = 0;
	b[n] = 0;
	printf("%s %s\n", name, b);
}

int main(int argc, char **argv)
{
	cpu_set_t one;
	struct utsname u;
	struct stat st;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	int p[2], s, c, i;
	sigset_t set;
	struct sigaction act = { .sa_handler = handler, .sa_flags = SA_RESTART };

	if (argc < 2 || chdir(argv[1]))
		return 1;
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof one, &one);
	nice(3);
	dup2(open("file", O_RDONLY), 205);
	if (pipe(p))
		return 1;
	dup2(p[0], 206);
	dup2(open("gone", O_RDWR | O_CREAT, 0600), 208);
	unlink("gone");
	s = socket(AF_INET, SOCK_STREAM, 0);
	bind(s, (void *)&a, sizeof a);
	listen(s, 1);
	getsockname(s, (void *)&a, &len);
	c = socket(AF_INET, SOCK_STREAM, 0);
	connect(c, (void *)&a, sizeof a);
	dup2(c, 209);
	printf("remote_port %d\n", ntohs(a.sin_port));
	getsockname(c, (void *)&a, &len);
	printf("local_port %d\n", ntohs(a.sin_port));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, 0);
	sigaddset(&act.sa_mask, SIGHUP);
	sigaction(SIGUSR2, &act, 0);
	signal(SIGTERM, SIG_IGN);

	printf("pid %d\ntid %ld\nppid %d\npgrp %d\nsid %d\n", getpid(), syscall(SYS_gettid), getppid(), getpgrp(), getsid(0));
	printf("uid %d\neuid %d\ngid %d\negid %d\n", getuid(), geteuid(), getgid(), getegid());
	for (i = 0; i < 16; i++) {
		struct rlimit r;
		getrlimit(i, &r);
		printf("rlimit%d %lld\n", i, (long long)r.rlim_cur);
	}
	link_of("cwd", "/proc/self/cwd");
	link_of("exe", "/proc/self/exe");
	link_of("fd5", "/proc/self/fd/205");
	link_of("fd6", "/proc/self/fd/206");
	link_of("fd8", "/proc/self/fd/208");
	link_of("fd9", "/proc/self/fd/209");
	fstat(205, &st);
	printf("dev %d:%d\n", major(st.st_dev), minor(st.st_dev));
	{
		unsigned long size, rss, shr, txt, lib, data;
		FILE *f = fopen("/proc/self/statm", "r");
		if (fscanf(f, "%lu %lu %lu %lu %lu %lu", &size, &rss, &shr, &txt, &lib, &data) != 6)
			return 1;
		fclose(f);
		printf("size %lu\ntxt %lu\ndata %lu\n", size, txt, data);
	}
	{
		char b[4096], *q;
		FILE *f = fopen("/proc/self/stat", "r");
		b[fread(b, 1, sizeof b - 1, f)] = 0;
		fclose(f);
		q = strrchr(b, ')');
		for (i = 2; i < 22; i++)
			q = strchr(q + 1, ' ');
		printf("start %lld\n", atoll(q));
	}
	{
		char b[64];
		time_t now = time(0);
		struct tm *t = localtime(&now);
		long east = t->tm_gmtoff;
		printf("west %ld\nzone %s\n", -east, t->tm_zone);
		now = 86400 + east;
		strftime(b, sizeof b, "%a %b %e %H:%M:%S %Y", gmtime(&now));
		now = time(0);
		printf("second %s %s\n", b, localtime(&now)->tm_zone);
	}
	printf("page %ld\nhz 100\n", sysconf(_SC_PAGESIZE));
	printf("buffer %lu\n", (unsigned long)written);
	*(volatile char *)written = written[0]; /* the page is ours from now on */
	fflush(stdout);
	u.machine[0] = 0;
	syscall(SYS_uname, &u, written);
	printf("written %s\n", written);
	return 0;
}
