// What a person who knows the kernel would write by hand for the scripts that are
// measured, one program for each shape and carrier: the lower bound that generated code
// is held against. It has no limits, no session, no counters of what went wrong.
//
// Compile with: clang -O2 -g -target bpf -c peer.bpf.c
//
// Map definitions and sections are libbpf's; what of its headers is needed is here, so
// that it need not be installed.

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

enum { HASH = 1, ARRAY = 2, PERCPU_HASH = 5, PERCPU_ARRAY = 6, STACK_TRACE = 7, RINGBUF = 27 };

#define MAP(name, kind, K, V, n) \
	struct { \
		int (*type)[kind]; \
		K *key; \
		V *value; \
		int (*max_entries)[n]; \
	} name SEC(".maps")

static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*delete)(void *map, const void *key) = (void *)3;
static u64 (*ktime)(void) = (void *)5;
static u64 (*pid_tgid)(void) = (void *)14;
static long (*comm)(void *buf, u32 size) = (void *)16;
static long (*stackid)(void *ctx, void *map, u64 flags) = (void *)27;
static long (*user_str)(void *dst, u32 size, const void *src) = (void *)114;
static void *(*reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*submit)(void *data, u64 flags) = (void *)132;

char _license[] SEC("license") = "GPL";

struct name { char s[16]; };
struct text { char s[64]; };

MAP(by_name, PERCPU_HASH, struct name, u64, 2048);
MAP(by_pid, PERCPU_HASH, u64, u64, 2048);
MAP(by_text, HASH, struct text, u64, 2048);
MAP(histogram, PERCPU_ARRAY, u32, u64, 66);
MAP(stacks, STACK_TRACE, u32, struct { u64 ip[32]; }, 2048);
MAP(by_stack, HASH, u32, u64, 2048);
MAP(began, HASH, u32, u64, 2048);
struct { int (*type)[RINGBUF]; int (*max_entries)[1 << 22]; } ring SEC(".maps");

u64 hits, total;

INLINE int count(void)
{
	__sync_fetch_and_add(&hits, 1);
	return 0;
}

INLINE int add(void *map, const void *key)
{
	u64 *n = lookup(map, key), one = 1;
	if (n)
		__sync_fetch_and_add(n, 1);
	else
		update(map, key, &one, 1);
	return 0;
}

INLINE int add_percpu(void *map, const void *key)
{
	u64 *n = lookup(map, key), one = 1;
	if (n)
		*n += 1;
	else
		update(map, key, &one, 0);
	return 0;
}

INLINE int name(void)
{
	struct name k;
	comm(&k, sizeof k);
	return add_percpu(&by_name, &k);
}

INLINE int pid(void)
{
	u64 k = pid_tgid() >> 32;
	return add_percpu(&by_pid, &k);
}

INLINE u32 log2(u64 v)
{
	u32 r = 0, s;
	s = (v > 0xffffffff) << 5; v >>= s; r |= s;
	s = (v > 0xffff) << 4; v >>= s; r |= s;
	s = (v > 0xff) << 3; v >>= s; r |= s;
	s = (v > 0xf) << 2; v >>= s; r |= s;
	s = (v > 0x3) << 1; v >>= s; r |= s;
	return r | (v >> 1);
}

INLINE int hist(u64 v)
{
	u32 slot = v ? log2(v) + 1 : 0;
	u64 *n = lookup(&histogram, &slot);
	if (n)
		*n += 1;
	return 0;
}

INLINE int stack(void *ctx)
{
	u32 id = stackid(ctx, &stacks, 0);
	return add(&by_stack, &id);
}

INLINE int string(const void *user)
{
	struct text k = {};
	user_str(&k, sizeof k, user);
	return add(&by_text, &k);
}

INLINE int enter(void)
{
	u32 tid = pid_tgid();
	u64 now = ktime();
	update(&began, &tid, &now, 0);
	return 0;
}

INLINE int leave(void)
{
	u32 tid = pid_tgid();
	u64 *t = lookup(&began, &tid);
	if (!t)
		return 0;
	u64 d = ktime() - *t;
	delete(&began, &tid);
	u32 slot = d ? log2(d) + 1 : 0;
	u64 *n = lookup(&histogram, &slot);
	if (n)
		*n += 1;
	return 0;
}

struct record { u32 pid; char name[16]; u64 value; };

INLINE int record(u64 v)
{
	struct record *r = reserve(&ring, sizeof *r, 0);
	if (!r)
		return count();
	r->pid = pid_tgid() >> 32;
	comm(r->name, sizeof r->name);
	r->value = v;
	submit(r, 0);
	return 0;
}

// Registers of x86-64 in struct pt_regs, which has not changed in its lifetime.
struct pt_regs { u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip; };

// Each shape of entry on the carrier that says at SEC; v is the number that is at hand
// there, p a pointer to text in user space.
#define SHAPES(carrier, section, T, v, p) \
	SEC(section) int carrier##_empty(T *ctx) { return 0; } \
	SEC(section) int carrier##_count(T *ctx) { return count(); } \
	SEC(section) int carrier##_name(T *ctx) { return name(); } \
	SEC(section) int carrier##_pid(T *ctx) { return pid(); } \
	SEC(section) int carrier##_hist(T *ctx) { return hist(v); } \
	SEC(section) int carrier##_stack(T *ctx) { return stack(ctx); } \
	SEC(section) int carrier##_string(T *ctx) { return string((void *)(p)); } \
	SEC(section) int carrier##_filter(T *ctx) { return (v) == 12345 ? count() : 0; } \
	SEC(section) int carrier##_enter(T *ctx) { return enter(); } \
	SEC(section) int carrier##_leave(T *ctx) { return leave(); } \
	SEC(section) int carrier##_record(T *ctx) { return record(v); }

SHAPES(kprobe, "kprobe/vfs_read", struct pt_regs, ctx->dx, ctx->si)
SHAPES(kretprobe, "kretprobe/vfs_read", struct pt_regs, ctx->ax, ctx->si)
SHAPES(fentry, "fentry/vfs_read", u64, ctx[2], ctx[1])
SHAPES(fexit, "fexit/vfs_read", u64, ctx[4], ctx[1])
SHAPES(raw, "raw_tp/sys_enter", u64, ctx[1], ctx[0])
SHAPES(btf, "tp_btf/sys_enter", u64, ctx[1], ctx[0])
SHAPES(uprobe, "uprobe", struct pt_regs, ctx->di, ctx->di)
SHAPES(uretprobe, "uretprobe", struct pt_regs, ctx->ax, ctx->ax)

// The fields of a system call's own event begin behind sixteen bytes.
SHAPES(enter_read, "tracepoint/syscalls/sys_enter_read", u64, ctx[4], ctx[3])
SHAPES(exit_read, "tracepoint/syscalls/sys_exit_read", u64, ctx[2], ctx[2])
SHAPES(enter_open, "tracepoint/syscalls/sys_enter_openat", u64, ctx[2], ctx[3])
SHAPES(enter_ppid, "tracepoint/syscalls/sys_enter_getppid", u64, ctx[1], ctx[1])
SHAPES(exit_ppid, "tracepoint/syscalls/sys_exit_getppid", u64, ctx[2], ctx[2])
