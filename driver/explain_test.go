package driver

import (
	"regexp"
	"testing"
)

// TestExplain: of each probe its carriers, size, stack, memory of maps, locks or why
// there are none, and what bounds its loops.
func TestExplain(t *testing.T) {
	_, got, stderr, code := stapc(t, "--explain", "--target", kernelFile(t), "-e", `
global hits, seen[100], times, last, total[50]
probe kernel.function("vfs_read") { hits++; times[pid()] <<< $count }
probe kernel.trace("sched_switch") {
	for (i = 0; i < 4; i++) last = execname()
	if (pid() in seen) delete seen[pid()]; else seen[pid()] = total[1]
}
probe timer.s(1) { println(hits, last); total[1]++; if (total[1] > 3) { seen[1] = total[1]; exit() } }
probe end { foreach (p in times) println(p, @sum(times[p])) }
`)
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	got = regexp.MustCompile(`\d+ (instructions|bytes of stack|bytes of scratch|bytes for each CPU, constants|bytes\n)`).ReplaceAllString(got, "N $1")
	got = regexp.MustCompile(`\(\d+ with those`).ReplaceAllString(got, "(N with those")
	const want = `probe kernel.function("vfs_read") [fentry, (kprobe)]
  handler p0_vfs_read: N instructions, N bytes of stack, N bytes of scratch
  straight code: every instruction at most once
  global hits: no lock: it is only added to and read, each in one step
  global times: 144 KiB and 64 KiB for each CPU, no lock: it is only added to and read, each in one step
probe kernel.function("vfs_read") [(fentry), kprobe]
  handler p0_vfs_read_1: N instructions, N bytes of stack, N bytes of scratch
  straight code: every instruction at most once
  global hits: no lock: it is only added to and read, each in one step
  global times: 144 KiB and 64 KiB for each CPU, no lock: it is only added to and read, each in one step
probe kernel.trace("sched:sched_switch") [tp_btf, (raw_tp)]
  handler p1_sched_switch: N instructions (N with those that it shares), N bytes of stack, N bytes of scratch
  loops or calls functions: at most 1000 actions in an invocation
  takes lock 0, of seen, last
  global seen: 8 KiB, lock 0, as it is set or deleted, not only added to
  global last: lock 0, as a string is not set in one step
  global total: 4 KiB, no lock: it is only added to and read, each in one step
probe kernel.trace("sched:sched_switch") [(tp_btf), raw_tp]
  handler p1_sched_switch_3: N instructions (N with those that it shares), N bytes of stack, N bytes of scratch
  loops or calls functions: at most 1000 actions in an invocation
  takes lock 0, of seen, last
  global seen: 8 KiB, lock 0, as it is set or deleted, not only added to
  global last: lock 0, as a string is not set in one step
  global total: 4 KiB, no lock: it is only added to and read, each in one step
atomic part of probe timer.s(1)
  handler r0_p2_timer_s_1_: N instructions (N with those that it shares), N bytes of stack, N bytes of scratch
  straight code: every instruction at most once
  takes lock 0, of seen, last
  global last: lock 0, as a string is not set in one step
atomic part of probe timer.s(1)
  handler r1_p2_timer_s_1_: N instructions, N bytes of stack, N bytes of scratch
  straight code: every instruction at most once
  global total: 4 KiB, no lock: it is only added to and read, each in one step
atomic part of probe timer.s(1)
  handler r2_p2_timer_s_1_: N instructions (N with those that it shares), N bytes of stack, N bytes of scratch
  straight code: every instruction at most once
  takes lock 0, of seen, last
  global seen: 8 KiB, lock 0, as it is set or deleted, not only added to
  global total: 4 KiB, no lock: it is only added to and read, each in one step
probe timer.s(1)
  runs in the loader; at most 10000 actions
  global hits: no lock: it is only added to and read, each in one step
  global seen: 8 KiB, lock 0, as it is set or deleted, not only added to
  global last: lock 0, as a string is not set in one step
  global total: 4 KiB, no lock: it is only added to and read, each in one step
probe end
  runs in the loader; at most 10000 actions
  global times: 144 KiB and 64 KiB for each CPU, no lock: it is only added to and read, each in one step
global hits: 8 bytes; no lock: it is only added to and read, each in one step
global seen: 100 elements of 8 + 8 bytes; lock 0, as it is set or deleted, not only added to
global times: 2048 elements of 8 + 32 bytes for each CPU; no lock: it is only added to and read, each in one step
global last: 512 bytes; lock 0, as a string is not set in one step
global total: 50 elements of 8 + 8 bytes; no lock: it is only added to and read, each in one step
scratch memory N bytes for each CPU, constants N bytes
maps take 1215 KiB and 64 KiB for each CPU
kernel: Linux 5.17 or newer (bpf_loop in kernel.trace("sched:sched_switch")); tested from 6.1 on
`
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
