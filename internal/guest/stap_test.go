//go:build linux

package guest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A script is run in the guest with a command that does something a known number
// of times.
type script struct {
	name    string
	text    string
	command string // of trigger; "": none
	args    []string
	want    string // exactly
	match   string // regular expression, instead of want
	err     string // regular expression for standard error, "": there must be none
	code    int
	only    string // kernel
	guru    bool
	noisy   bool // what is told on standard error does not matter
}

var scripts = []script{
	{name: "entry", command: "read 1000 777",
		text: `global n, s probe kernel.function("vfs_read") { if ($count == 777) { n++; s += $count } } probe end { println(n, " ", s) }`,
		want: "1000 777000\n"},
	{name: "call", command: "write 200 778",
		text: `global n probe kernel.function("vfs_write").call { if ($count == 778 && pid() == target()) n++ } probe end { println(n) }`,
		want: "200\n"},
	{name: "return", command: "read 300 779 read 5 780",
		text: `global n probe kernel.function("vfs_read").return { n[$return, @entry($count)]++ }
probe end { println(n[779, 779], " ", n[780, 780]) }`,
		want: "300 5\n"},
	{name: "entry_value", command: "read 300 779",
		text: `global n, m probe kernel.function("vfs_read").return { if ($return == 779) { n += @entry(tid()) == tid(); m += gettimeofday_ns() > @entry(gettimeofday_ns()) } }
probe end { println(n, " ", m) }`,
		want: "300 300\n"},
	{name: "entry_arguments", command: "read 300 779",
		text: `global n probe kernel.function("vfs_read").return { if (@entry($count) == 779 && @entry($file)->f_op != 0) n++ } probe end { println(n) }`,
		want: "300\n"},
	{name: "entry_register", command: "read 300 779",
		text: `global n probe kernel.function("vfs_read").return { n += @entry(register("rdx")) == 779 } probe end { println(n) }`,
		want: "300\n"},
	{name: "return_pretty", command: "read 1 781",
		text: `probe kernel.function("vfs_read").return { if ($return == 781) println($$return) }`,
		want: "return=0x30d\n"},
	{name: "parms", command: "read 1 782",
		text:  `probe kernel.function("vfs_read") { if ($count == 782) { println($$parms); exit() } }`,
		match: `^file=0x[0-9a-f]+ buf=0x[0-9a-f]+ count=0x30e pos=0x[0-9a-f]+\n$`},
	{name: "aggregate", command: "read 10 1783 read 30 2783",
		text: `global a probe kernel.function("vfs_read") { if ($count % 1000 == 783) a[execname()] <<< $count }
probe end { foreach (k in a) println(k, " ", @count(a[k]), " ", @sum(a[k]), " ", @min(a[k]), " ", @max(a[k]), " ", @avg(a[k])) }`,
		want: "trigger 40 101320 1783 2783 2533\n"},
	{name: "histogram", command: "read 3 1784 read 1 4784",
		text:  `global a probe kernel.function("vfs_read") { if ($count % 1000 == 784) a <<< $count } probe end { print(@hist_log(a)) }`,
		match: `1024 \|@+ +3\n.*2048 \| +0\n.*4096 \|@+ +1\n`},
	{name: "threads", command: "-threads 4 write 5000 786",
		text: `global n, t probe kernel.function("vfs_write") { if ($count == 786) { n++; t[tid()] <<< 1 } }
probe end { println(n); foreach (i in t) println(@count(t[i])) }`,
		want: "20000\n5000\n5000\n5000\n5000\n"},
	{name: "kprobe", command: "read 100 787",
		text: `global n probe kprobe.function("vfs_read") { if (pid() == target()) n++ } probe end { println(n >= 100) }`,
		want: "1\n"},
	{name: "kprobe_return", command: "read 100 787",
		text: `global n probe kprobe.function("vfs_read").return { if (pid() == target()) n++ } probe end { println(n >= 100) }`,
		want: "1\n"},
	{name: "trace", command: "getppid 500",
		text: `global n probe kernel.trace("raw_syscalls:sys_enter") { if ($id == 110 && pid() == target()) n++ } probe end { println(n) }`,
		want: "500\n"},
	{name: "syscall", command: "getppid 400",
		text: `global n, r probe syscall.getppid { if (pid() == target()) n[name]++ } probe syscall.getppid.return { if (pid() == target()) r++ }
probe end { println(n["getppid"], " ", r) }`,
		want: "400 400\n"},
	{name: "strings", command: "open 3 /no/such/file",
		text: `global part probe kernel.function("do_filp_open") { s = kernel_string($pathname->name)
  if (pid() == target() && isinstr(s, "such")) { part[substr(s, 4, 4)]++; println(s, " ", strlen(s)) } }
probe end { foreach (k in part) println(k, " ", part[k]) }`,
		want: strings.Repeat("/no/such/file 13\n", 3) + "such 3\n"},
	{name: "structs", command: "read 2 788",
		text: `probe kernel.function("vfs_read") { if ($count == 788) println(kernel_string($file->f_path->dentry->d_name->name), " ", kernel_string($file->f_path->dentry->d_sb->s_type->name)) }`,
		want: "zero devtmpfs\nzero devtmpfs\n"},
	{name: "loops", command: "read 2 789",
		text: `global a probe kernel.function("vfs_read") { if ($count == 789) {
  for (i = 0; i < 10; i++) a[i] += i * i
  j = 0; while (j < 5) { j++; if (j == 3) break }
  s = 0; foreach (k- in a limit 3) s += a[k]
  println(j, " ", s) } }`,
		want: "3 194\n3 388\n"},
	{name: "recursion", command: "read 1 790",
		text: `function fib(n) { if (n < 2) return n; return fib(n - 1) + fib(n - 2) }
probe kernel.function("vfs_read") { if ($count == 790) println(fib(10)) }`,
		want: "55\n"},
	{name: "sprintf", command: "read 4 791",
		text: `global a probe kernel.function("vfs_read") { if ($count == 791) a[sprintf("%s-%05d-%x", ppfunc(), $count, $count)]++ } probe end { foreach (k in a) println(k, "=", a[k]) }`,
		want: "vfs_read-00791-317=4\n"},
	{name: "fault", command: "read 1 792",
		text:  `probe kernel.function("vfs_read") { if ($count == 792) { try { println(kernel_long(8)) } catch (m) { println("caught ", m) } println(kernel_long(16)) } }`,
		match: `^caught read fault \[man error::fault\] at 0x8`, err: `ERROR: read fault \[man error::fault\] at 0x10 near`, code: 1},
	{name: "wildcard", noisy: true, command: "read 20 793 write 30 793",
		text: `global n probe kernel.function("vfs_*") { if (pid() == target()) n[ppfunc()]++ }
probe end { println(n["vfs_read"] >= 20, " ", n["vfs_write"], " ", n["vfs_mkdir"]) }`,
		want: "1 30 0\n"},
	{name: "wildcard_return", noisy: true, command: "read 20 793 write 30 793",
		text: `global n probe kernel.function("vfs_*").return { if (pid() == target()) n[pp()]++ }
probe end { println(n["kernel.function(\"vfs_read\").return"] >= 20, " ", n["kernel.function(\"vfs_write\").return"]) }`,
		want: "1 30\n"},
	{name: "tracepoints", command: "read 20 793", // without cookies on 6.1: a copy for each
		text: `global n probe kernel.trace("raw_syscalls:*"), kernel.trace("filelock:*") { if (pid() == target()) n[pp(), $$name]++ }
probe end { println(n["kernel.trace(\"raw_syscalls:sys_enter\")", "sys_enter"] >= 20, " ", n["kernel.trace(\"raw_syscalls:sys_exit\")", "sys_enter"]) }`,
		want: "1 0\n"},
	{name: "null_argument", args: []string{"-c", "sh -c 'sleep 0 & wait; sleep 0 & wait'"}, // a tracepoint's pointer that is null, which verifiers do not believe
		text: `global n probe kernel.trace("sched_process_wait") { if (!$pid) n[-2] = 1; n[-3] |= $pid & 0; try { n[$pid->level >= 0] = 1 } catch { n[-1] = 1 } } probe end { println(n[-1], n[-2]) }`,
		want: "11\n"},
	{name: "wildcard_error", command: "read 1 794", code: 1,
		text: `probe kernel.function("vfs_*") { if (pid() == target() && ppfunc() == "vfs_read") println(1 / 0) }`,
		err:  `ERROR: division by 0 near operator '/' at .*:1:93`},
	{name: "sufficient", command: "read 1 794",
		text: `probe kernel.function("no_such_fn_xyz")!, kernel.function("vfs_read")!, kernel.function("vfs_write") { if (pid() == target()) { println(ppfunc()); exit() } }`,
		want: "vfs_read\n"},
	{name: "optional", command: "read 1 795",
		text: `probe kernel.function("no_such_fn_xyz")?, kernel.function("vfs_read") { if (pid() == target() && $count == 795) println(pp()) }`,
		want: "kernel.function(\"vfs_read\")\n"},
	{name: "module", args: []string{"-c", "mount -t overlay overlay -o lowerdir=/etc:/bin /root"},
		text: `probe module("overlay").function("ovl_fill_super") { println(ppfunc(), " ", execname(), " ", $silent) }`,
		only: "6.1", want: "ovl_fill_super mount 1\n"},
	{name: "module_function", args: []string{"-c", "mount -t overlay overlay -o lowerdir=/etc:/bin /root"},
		text: `global n probe module("overlay").function("ovl_fill_super").return { n++; println($return) } probe end { println(n) }`,
		want: "0\n1\n"},
	{name: "profile",
		text: `global n probe timer.profile { n[cpu()] <<< 1 } probe timer.ms(700) { println(@count(n[0]) > 10, " ", @count(n[1]) > 10); exit() }`,
		want: "1 1\n"},
	{name: "begin_end",
		text: `probe begin(2) { println("b2"); exit() } probe begin { println("b") } probe end { println("e") }`,
		want: "b\nb2\ne\n"},
}

// system is a guest with the commands, and a description of it for the compiler.
type system struct {
	*Guest
	dir  string // here
	desc string // file here
}

// tools are built once for all guests: stap for here, stap, staprun and trigger
// for there.
var tools = sync.OnceValues(func() (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, pkg := range []string{"cmd/stap", "cmd/staprun", "internal/guest/trigger"} {
		data, err := Build(context.Background(), "stapkit/"+pkg)
		if err != nil {
			return nil, err
		}
		out[filepath.Base(pkg)] = data
	}
	return out, nil
})

// newSystem boots a guest in which scripts can be run.
func newSystem(t *testing.T, kernel string, more ...File) *system {
	t.Helper()
	if _, err := Find(kernel); err != nil {
		t.Skip(err)
	}
	progs, err := tools()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Modules: []string{"overlay", "fuse"}, Files: more}
	for name, data := range progs {
		o.Files = append(o.Files, File{Path: "/bin/" + name, Mode: 0o755, Data: data})
	}
	s := &system{Guest: boot(t, kernel, o), dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(s.dir, "stap"), progs["stap"], 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs a command of the guest.
func (s *system) run(t *testing.T, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r, err := s.Run(ctx, Command{Args: args, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if r.TimedOut {
		t.Errorf("%v: still running after a minute", args)
	}
	return r
}

// describe has the guest tell the compiler about itself.
func (s *system) describe(t *testing.T) {
	t.Helper()
	const there = "/tmp/host.desc"
	if r := s.run(t, "staprun", "--describe", there); r.Code != 0 {
		t.Fatalf("staprun --describe: %+v", r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	data, err := s.ReadFile(ctx, there)
	if err != nil {
		t.Fatal(err)
	}
	s.desc = filepath.Join(s.dir, "host.desc")
	if err := os.WriteFile(s.desc, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// compile compiles a script for the guest here, where it takes a tenth of the
// time, and brings the bundle there.
func (s *system) compile(t *testing.T, name, text string, more ...string) (there string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(s.dir, "stap"), append([]string{"-r", s.desc, "-p4", "-m", name, "-e", text}, more...)...)
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("stap -p4: %v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(s.dir, name+".o"))
	if err != nil {
		t.Fatal(err)
	}
	there = "/tmp/" + name + ".o"
	if err := s.WriteFile(t.Context(), there, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return there
}

func TestScripts(t *testing.T) {
	for _, suite := range Suites {
		t.Run(suite.Kernel, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, suite.Kernel)
			s.describe(t)
			for _, c := range slices.Concat(scripts, kernelRows) {
				t.Run(c.name, func(t *testing.T) {
					if c.only != "" && c.only != suite.Kernel {
						t.Skip("for " + c.only)
					}
					c.run(t, s)
				})
			}
		})
	}
}

// run compiles the script here and runs it there.
func (c *script) run(t *testing.T, s *system) {
	t.Helper()
	args := append([]string{"staprun", "--allow-unsigned"}, c.args...)
	if c.command != "" {
		args = append(args, "-c", "trigger "+c.command)
	}
	var flags []string
	if c.guru {
		flags = append(flags, "-g")
	}
	args = append(args, s.compile(t, c.name, c.text, flags...))
	began := time.Now()
	r := s.run(t, args...)
	t.Logf("%.1f s", time.Since(began).Seconds())
	c.check(t, r)
}

func (c *script) check(t *testing.T, r Result) {
	t.Helper()
	if c.match != "" && !regexp.MustCompile("(?s)"+c.match).MatchString(r.Stdout) || c.match == "" && r.Stdout != c.want {
		t.Errorf("output:\n%s\nwanted:\n%s%s", r.Stdout, c.want, c.match)
	}
	if c.noisy {
		t.Log(r.Stderr)
	} else if c.err == "" && r.Stderr != "" || !regexp.MustCompile("(?s)"+c.err).MatchString(r.Stderr) {
		t.Errorf("errors:\n%s\nwanted:\n%s", r.Stderr, c.err)
	}
	if r.Code != c.code {
		t.Errorf("exit status %d, not %d", r.Code, c.code)
	}
}
