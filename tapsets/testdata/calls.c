/* Makes many different system calls, most of them with arguments that the library
   decodes. What they return does not matter. It runs in an empty folder. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>

#define call(n, ...) syscall(SYS_##n, ##__VA_ARGS__)
#define result(n, ...) syscall(SYS_##n, ##__VA_ARGS__)

static void handler(int sig) {}

static void files(void) {
	static const char binary[] = "a\"b\\\n\t\001\0\377z";
	char buf[64], wide[300];
	int fd = call(open, "file", O_RDWR | O_CREAT | O_TRUNC, 0640), p[2];
	struct iovec v = {buf, 8};
	struct timespec t[2] = {{0, UTIME_NOW}, {5, 7}}, o[2] = {{1, 2}, {0, UTIME_OMIT}};
	struct timeval u[2] = {{10, 20}, {1135641600, 0}};
	memset(wide, 'w', sizeof wide);
	call(openat, AT_FDCWD, "file", O_WRONLY | O_APPEND | O_SYNC | O_CLOEXEC);
	call(openat, AT_FDCWD, ".", O_RDWR | O_TMPFILE, 0600);
	call(openat, 99, "", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	call(creat, "other", 0644);
	call(write, fd, binary, sizeof binary - 1);
	call(write, fd, wide, sizeof wide);
	call(write, fd, "", 0);
	call(write, fd, (void *)8, 5);
	call(pwrite64, fd, "Hello", 5, 100);
	call(pread64, fd, buf, 5, 100);
	call(lseek, fd, -3L, SEEK_END);
	call(writev, fd, &v, 1);
	call(preadv, fd, &v, 1, 4, 0);
	call(ftruncate, fd, 200);
	call(truncate, "file", 100);
	call(fallocate, fd, FALLOC_FL_KEEP_SIZE, 0x10, 50);
	call(fadvise64, fd, 0, 0, POSIX_FADV_WILLNEED);
	call(fchmod, fd, 0600);
	call(chmod, "file", 0751);
	call(fchmodat, AT_FDCWD, "file", 0640);
	call(fchown, fd, 0, -1);
	call(fchownat, AT_FDCWD, "file", -1, 0, AT_SYMLINK_NOFOLLOW);
	call(utimensat, AT_FDCWD, "file", t, 0);
	call(utimensat, fd, NULL, o, 0);
	call(utimensat, AT_FDCWD, "file", NULL, AT_SYMLINK_NOFOLLOW);
	call(utimes, "file", u);
	call(dup, fd);
	call(dup2, fd, 20);
	call(dup3, fd, 21, O_CLOEXEC);
	call(fcntl, fd, F_GETFL, 0);
	call(fcntl, fd, F_DUPFD_CLOEXEC, 30);
	call(flock, fd, LOCK_EX | LOCK_NB);
	call(fsync, fd);
	call(pipe2, p, O_NONBLOCK | O_CLOEXEC);
	call(sendfile, p[1], fd, NULL, 10);
	call(splice, p[0], NULL, fd, NULL, 10, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	call(link, "file", "hard");
	call(linkat, AT_FDCWD, "file", AT_FDCWD, "hard2", AT_SYMLINK_FOLLOW);
	call(symlink, "file", "soft");
	call(readlink, "soft", buf, sizeof buf);
	call(readlinkat, AT_FDCWD, "soft", buf, sizeof buf);
	call(rename, "hard", "harder");
	call(renameat2, AT_FDCWD, "harder", AT_FDCWD, "hard2", 1 /* RENAME_NOREPLACE */);
	call(mkdir, "dir", 0755);
	call(mkdirat, AT_FDCWD, "dir2", 0700);
	call(mknod, "fifo", S_IFIFO | 0600, 0);
	call(access, "file", R_OK | W_OK);
	call(faccessat, AT_FDCWD, "file", F_OK);
	call(faccessat2, AT_FDCWD, "file", X_OK, AT_EACCESS);
	call(stat, "file", wide);
	call(lstat, "none", wide);
	call(fstat, 99, wide);
	call(statx, AT_FDCWD, "none", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, wide);
	call(setxattr, "none", "user.name", "value", 5, XATTR_CREATE);
	call(getxattr, "none", "user.name", buf, 10);
	call(unlinkat, AT_FDCWD, "dir2", AT_REMOVEDIR);
	call(rmdir, "dir");
	call(unlink, "hard2");
	call(chdir, "none");
	call(umask, 027);
	call(mount, "none", "/nowhere", "tmpfs", MS_RDONLY | MS_NOSUID, NULL);
	call(umount2, "/nowhere", MNT_DETACH | UMOUNT_NOFOLLOW);
	call(memfd_create, "mem", MFD_CLOEXEC);
	call(close_range, 50, 60, 0);
	call(inotify_add_watch, result(inotify_init1, IN_CLOEXEC), ".", IN_CREATE | IN_DELETE | IN_ONLYDIR);
}

static void memory(void) {
	char *m = (char *)call(mmap, NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	call(mprotect, m, 4096, PROT_READ | PROT_EXEC);
	call(madvise, m, 4096, MADV_DONTNEED);
	call(msync, m, 4096, MS_SYNC);
	call(mlock, m, 4096);
	call(munlock, m, 4096);
	call(mincore, m, 4096, m + 4096);
	call(mremap, m, 8192, 4096, MREMAP_MAYMOVE, 0);
	call(munmap, m, 4096);
	call(brk, 0);
	call(membarrier, 0, 0, 0);
}

static void processes(void) {
	struct rlimit r = {2000, RLIM_INFINITY};
	struct timespec ms = {0, 1000000};
	struct itimerval it = {{0, 0}, {1, 500000}};
	struct itimerspec is = {{0, 0}, {3, 4}};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } act = {handler, SA_RESTART | SA_SIGINFO, NULL, 1 << (SIGUSR2 - 1)};
	unsigned long set = 1UL << (SIGUSR1 - 1) | 1UL << (SIGTERM - 1), none = 0;
	struct sched_param sp = {0};
	int word = 0, status;
	timer_t timer;
	stack_t st = {.ss_flags = SS_DISABLE};
	long pid;
	call(getpid);
	call(getpgid, 0);
	call(prctl, PR_SET_NAME, "my name");
	call(prctl, PR_SET_PDEATHSIG, SIGUSR1);
	call(prctl, PR_GET_DUMPABLE);
	call(personality, 0xffffffff);
	call(getrlimit, RLIMIT_CORE, &r);
	r.rlim_cur = 2000, r.rlim_max = RLIM_INFINITY;
	call(prlimit64, 0, RLIMIT_CORE, &r, NULL);
	call(setpriority, PRIO_PROCESS, 0, 5);
	call(sched_setscheduler, 0, SCHED_BATCH, &sp);
	call(sched_get_priority_max, SCHED_RR);
	call(rt_sigaction, SIGUSR1, &act, NULL, 8);
	memset(&act, 0, sizeof act);
	call(rt_sigaction, SIGUSR2, &act, NULL, 8);
	call(rt_sigaction, SIGUSR2, NULL, NULL, 8);
	call(rt_sigprocmask, SIG_BLOCK, &set, NULL, 8);
	call(rt_sigprocmask, SIG_SETMASK, &none, NULL, 8);
	call(rt_sigtimedwait, &set, NULL, &ms, 8);
	call(sigaltstack, &st, NULL);
	call(kill, result(getpid), 0);
	call(tgkill, result(getpid), result(gettid), SIGWINCH);
	call(setitimer, ITIMER_VIRTUAL, &it, NULL);
	call(timer_create, CLOCK_MONOTONIC, NULL, &timer);
	call(nanosleep, &ms, NULL);
	call(clock_nanosleep, CLOCK_MONOTONIC, 0, &ms, NULL);
	call(clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &ms, NULL);
	call(clock_getres, CLOCK_BOOTTIME, NULL);
	call(futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
	call(futex, &word, FUTEX_WAIT, 0, &ms);
	call(timerfd_settime, result(timerfd_create, CLOCK_MONOTONIC, TFD_NONBLOCK), TFD_TIMER_ABSTIME, &is, NULL);
	call(setuid, 0);
	call(setresuid, -1, 0, -1);
	call(getgroups, 0, NULL);
	call(unshare, 0);
	call(setns, 99, CLONE_NEWNET);
	if ((pid = call(clone, SIGCHLD, NULL, NULL, NULL, 0)) == 0)
		call(exit_group, 3);
	call(wait4, pid, &status, __WALL, NULL);
	call(waitid, P_ALL, 0, NULL, WEXITED | WNOHANG, NULL);
}

static void waiting(void) {
	struct pollfd pf = {0, POLLIN, 0};
	struct timespec zero = {0, 0};
	struct timeval zerou = {0, 117};
	struct epoll_event ev = {EPOLLIN, {.fd = 7}};
	unsigned long set = 1UL << (SIGUSR1 - 1);
	int ep = call(epoll_create1, EPOLL_CLOEXEC);
	call(epoll_ctl, ep, EPOLL_CTL_ADD, result(eventfd2, 3, EFD_NONBLOCK | EFD_SEMAPHORE), &ev);
	call(epoll_wait, ep, &ev, 1, 0);
	call(poll, &pf, 1, 0);
	call(ppoll, &pf, 1, &zero, NULL, 8);
	call(select, 0, NULL, NULL, NULL, &zerou);
	call(pselect6, 0, NULL, NULL, NULL, &zero, NULL);
	call(signalfd4, -1, &set, 8, SFD_CLOEXEC);
}

static void sockets(void) {
	struct sockaddr_un un = {AF_UNIX, "socket"}, abstract = {AF_UNIX, "\0abstract"};
	struct sockaddr_in in = {AF_INET, htons(0), {htonl(INADDR_LOOPBACK)}}, dns = {AF_INET, htons(53), {htonl(0xc0a80102)}};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(8080)};
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK, .nl_groups = 1};
	struct sockaddr other = {AF_UNSPEC};
	int one = 1, sv[2], s = call(socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET6, "2001:db8::1", &in6.sin6_addr);
	call(bind, s, &un, sizeof un);
	call(listen, s, 5);
	call(accept4, 99, NULL, NULL, SOCK_NONBLOCK);
	call(bind, result(socket, AF_UNIX, SOCK_DGRAM, 0), &abstract, 2 + 9);
	call(socketpair, AF_UNIX, SOCK_SEQPACKET, 0, sv);
	call(shutdown, sv[0], SHUT_WR);
	s = call(socket, AF_INET, SOCK_DGRAM, IPPROTO_UDP);
	call(setsockopt, s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	call(getsockopt, s, SOL_IP, IP_TTL, NULL, NULL);
	call(bind, s, &in, sizeof in);
	call(connect, s, &other, sizeof other);
	call(sendto, s, "query", 5, MSG_DONTWAIT | MSG_NOSIGNAL, &dns, sizeof dns);
	call(sendto, s, "x", 1, 0, NULL, 0);
	call(recvfrom, s, sv, 4, MSG_DONTWAIT | MSG_PEEK, NULL, NULL);
	call(connect, result(socket, AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP), &in6, sizeof in6);
	call(setsockopt, s, SOL_TCP, TCP_NODELAY, &one, sizeof one);
	call(bind, result(socket, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), &nl, sizeof nl);
	call(getsockname, 99, NULL, NULL);
}

static void ipc(void) {
	int id = call(shmget, IPC_PRIVATE, 4096, IPC_CREAT | 0600), q = call(msgget, IPC_PRIVATE, IPC_CREAT | IPC_EXCL | 0640);
	struct timespec zero = {0, 0};
	struct sembuf op = {0, 0, IPC_NOWAIT};
	call(shmdt, result(shmat, id, NULL, SHM_RDONLY));
	call(shmctl, id, IPC_RMID, NULL);
	call(msgsnd, q, NULL, 0, IPC_NOWAIT);
	call(msgctl, q, IPC_RMID, NULL);
	id = call(semget, IPC_PRIVATE, 1, IPC_CREAT | 0600);
	call(semtimedop, id, &op, 1, &zero);
	call(semctl, id, 0, IPC_RMID, 0);
	call(mq_open, "queue", O_RDWR | O_CREAT, 0600, NULL);
	call(mq_unlink, "queue");
	call(keyctl, 0, -3, 0, 0, 0);
	call(capget, NULL, NULL);
}

int main(int argc, char **argv) {
	files();
	memory();
	processes();
	waiting();
	sockets();
	ipc();
	if (argc > 1)
		call(execve, argv[1], argv + 1, NULL);
	call(exit_group, 0);
}
