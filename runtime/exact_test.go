//go:build linux

package loader_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stapkit/driver"
	testhost "stapkit/internal/host"
)

// Variables that make the test binary something else.
const (
	stapVar = "LOADER_TEST_STAP" // the stap command
	workVar = "LOADER_TEST_WORK" // calls getpgid that many times on the CPU: "CALLS CPU"
	// eagerVar has it go before others.
	eagerVar = "LOADER_TEST_EAGER"
)

func TestMain(m *testing.M) {
	driver.Broker()
	if os.Getenv(stapVar) != "" {
		os.Exit(driver.Stap(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	if name := os.Getenv(dropVar); name != "" {
		os.Exit(attempt(name))
	}
	if w := os.Getenv(workVar); w != "" {
		work(w)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// work makes a known number of system calls under a known name, once its standard
// input is closed.
func work(spec string) {
	var calls, cpu int
	if _, err := fmt.Sscan(spec, &calls, &cpu); err != nil {
		panic(err)
	}
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		panic(err)
	}
	if os.Getenv(eagerVar) != "" {
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, -15); err != nil {
			panic(err)
		}
	}
	name := []byte("stapwork\x00")
	if err := unix.Prctl(unix.PR_SET_NAME, uintptr(bytesPointer(name)), 0, 0, 0); err != nil {
		panic(err)
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadByte()
	for range calls {
		syscall.RawSyscall(syscall.SYS_GETPGID, 0, 0, 0)
	}
}

func needKernel(t *testing.T) {
	t.Helper()
	testhost.NeedBPF(t)
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		t.Skip("needs a kernel with BTF")
	}
	if testing.Short() {
		t.Skip("takes some seconds")
	}
}

func self(t *testing.T, env string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), env)
	return cmd
}

// stapRun is a running stap.
type stapRun struct {
	*exec.Cmd
	out, errOut bytes.Buffer
	lines       chan string
}

// startStap starts stap with a script whose begin probe prints "ready", and returns
// when it does.
func startStap(t *testing.T, script string, args ...string) *stapRun {
	t.Helper()
	name := filepath.Join(t.TempDir(), "test.stp")
	if err := os.WriteFile(name, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	r := &stapRun{Cmd: self(t, stapVar+"=1", append(args, name)...), lines: make(chan string, 100)}
	out, err := r.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Stderr = &r.errOut
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		sc := bufio.NewScanner(out)
		for sc.Scan() {
			r.out.WriteString(sc.Text() + "\n")
			r.lines <- sc.Text()
		}
		close(r.lines)
	}()
	if l, ok := <-r.lines; !ok || l != "ready" {
		_ = r.Wait()
		t.Fatalf("stap printed %q first, then\n%s\n%s", l, r.out.String(), r.errOut.String())
	}
	// The begin probe prints before the others become active.
	time.Sleep(200 * time.Millisecond)
	return r
}

// finish waits for the end and returns the exit status.
func (r *stapRun) finish() int {
	for range r.lines {
	}
	_ = r.Wait()
	return r.ProcessState.ExitCode()
}

// load runs two workers on two CPUs, at once, and returns the number of calls.
func load(t *testing.T, calls int) int {
	t.Helper()
	n := 0
	var work []*exec.Cmd
	var gates []func() error
	for cpu := range min(2, runtime.NumCPU()) {
		w := self(t, fmt.Sprintf("%s=%d %d", workVar, calls, cpu))
		in, err := w.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := w.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		w.Stderr = os.Stderr
		if err := w.Start(); err != nil {
			t.Fatal(err)
		}
		if l, err := bufio.NewReader(out).ReadString('\n'); l != "ready\n" {
			t.Fatal("worker: ", l, err)
		}
		work, gates = append(work, w), append(gates, in.Close)
		n += calls
	}
	for _, g := range gates {
		if err := g(); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range work {
		if err := w.Wait(); err != nil {
			t.Fatal("worker: ", err)
		}
	}
	return n
}

var skippedRE = regexp.MustCompile(`skipped probes: (\d+)`)

func skipped(errOut string) int {
	if m := skippedRE.FindStringSubmatch(errOut); m != nil {
		n, err := strconv.Atoi(m[1])
		if err == nil {
			return n
		}
	}
	return 0
}

// values reads the lines "name=number" of an output.
func values(t *testing.T, out string) map[string]int {
	t.Helper()
	v := map[string]int{}
	for line := range strings.Lines(out) {
		if name, num, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			n, err := strconv.Atoi(num)
			if err != nil {
				t.Errorf("line %q", line)
			}
			v[name] = n
		}
	}
	return v
}

// TestExact counts a known number of events on two CPUs by every way of counting,
// while a timer handler reads and changes the same globals. What does not come out
// exactly must have been reported as skipped.
func TestExact(t *testing.T) {
	needKernel(t)
	const probe = `probe kernel.trace("sys_enter") { if ($id == @GETPGID && execname() == "stapwork") `
	scripts := map[string]string{
		"scalar": `global n, added
			` + probe + `{ n++ } }
			probe timer.ms(3) { if (n >= 0) { n += 7; added += 7 } }
			probe end { printf("got=%d\n", n - added) }`,
		"array": `global a, added
			` + probe + `{ a[execname()]++ } }
			probe timer.ms(3) { a["stapwork"] += 5; a["timer"]++; added += 5; x = a["stapwork"]; if (x < 0) error("negative") }
			probe end { printf("got=%d\n", a["stapwork"] - added) }`,
		"aggregate": `global s, added
			` + probe + `{ s <<< 3 } }
			probe timer.ms(3) { if (@count(s) < 0) error("torn"); s <<< 3; added++ }
			probe end { printf("got=%d\nsum=%d\nadded=%d\n", @count(s) - added, @sum(s) - 3 * added, added) }`,
		"two globals": `global x, y, moved
			` + probe + `{ x = x + 2; y = y - 1 } }
			probe timer.ms(3) { x = x - 2; y = y + 1; moved++ }
			probe end { printf("got=%d\n", moved - y); if (x != -2 * y) println("bad=1") }`,
		"compound": `global x, y, ticks
			` + probe + `{ if (x > y) { y = x + 1 } else { x = y + 1 } } }
			probe timer.ms(3) { if (x > y) { y = x + 1 } else { x = y + 1 } ticks++ }
			probe end { printf("got=%d\n", (x > y ? x : y) - ticks) }`,
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			script = strings.ReplaceAll(script, "@GETPGID", strconv.Itoa(syscall.SYS_GETPGID))
			r := startStap(t, `probe begin { println("ready") }`+"\n"+script, "-D", "MAXSKIPPED=1000000")
			n := load(t, 200000)
			if err := r.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			if st := r.finish(); st != 0 {
				t.Errorf("status %d", st)
			}
			v, skip := values(t, r.out.String()), skipped(r.errOut.String())
			t.Logf("%d events, %v, %d skipped", n, v, skip)
			// A hit that is skipped may be one that would not have counted.
			if v["got"] > n || v["got"]+skip < n || skip == 0 && v["got"] != n || v["bad"] != 0 {
				t.Errorf("%d events, %v, %d skipped\n%s", n, v, skip, r.errOut.String())
			}
			if s, ok := v["sum"]; ok && s != 3*v["got"] {
				t.Errorf("sum %d of %d values of 3", s, v["got"])
			}
		})
	}
}

// TestClearedArray: an array that a timer handler reads and clears loses nothing.
func TestClearedArray(t *testing.T) {
	needKernel(t)
	const probe = `probe kernel.trace("sys_enter") { if ($id == @GETPGID && execname() == "stapwork") `
	for name, script := range map[string]string{
		"counts": `global a, total, rounds
			` + probe + `{ a[cpu(), execname()]++ } }
			probe timer.ms(5) { foreach ([c, e] in a) total += a[c, e]; delete a; rounds++ }
			probe end { foreach ([c, e] in a) total += a[c, e]; printf("got=%d\nrounds=%d\n", total, rounds) }`,
		"aggregates": `global s, total, sum, rounds
			` + probe + `{ s[cpu()] <<< 3 } }
			probe timer.ms(5) { foreach (c in s) { total += @count(s[c]); sum += @sum(s[c]) } delete s; rounds++ }
			probe end { foreach (c in s) { total += @count(s[c]); sum += @sum(s[c]) } printf("got=%d\nsum=%d\nrounds=%d\n", total, sum, rounds) }`,
		"sometimes": `global a, total, rounds
			` + probe + `{ a[cpu()]++ } }
			probe timer.ms(5) { if (rounds++ % 3 == 0) { foreach (c in a) total += a[c]; delete a } }
			probe end { foreach (c in a) total += a[c]; printf("got=%d\nrounds=%d\n", total, rounds) }`,
		"one element": `global a, total, rounds
			` + probe + `{ a[cpu()]++ } }
			probe timer.ms(5) { total += a[rounds % 2]; delete a[rounds % 2]; if (rounds++ > 1000000) delete a }
			probe end { foreach (c in a) total += a[c]; printf("got=%d\nrounds=%d\n", total, rounds) }`,
	} {
		t.Run(name, func(t *testing.T) {
			script = strings.ReplaceAll(script, "@GETPGID", strconv.Itoa(syscall.SYS_GETPGID))
			r := startStap(t, `probe begin { println("ready") }`+"\n"+script)
			n := load(t, 300000)
			if err := r.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			if st := r.finish(); st != 0 {
				t.Errorf("status %d", st)
			}
			v, skip := values(t, r.out.String()), skipped(r.errOut.String())
			t.Logf("%d events, %v, %d skipped", n, v, skip)
			if v["got"] != n || skip != 0 || v["rounds"] < 3 {
				t.Errorf("%d events, %v\n%s", n, v, r.errOut.String())
			}
			if s, ok := v["sum"]; ok && s != 3*v["got"] {
				t.Errorf("sum %d of %d values of 3", s, v["got"])
			}
		})
	}
}

// TestKilled: what is attached is gone when the loader is killed.
func TestKilled(t *testing.T) {
	needKernel(t)
	r := startStap(t, `global n
		probe begin { println("ready") }
		probe kernel.trace("sys_enter"), kernel.trace("sys_exit"), kernel.trace("sched_switch"), timer.profile { n++ }
		probe end { println("end") }`)
	var mine testhost.Objects
	mine.Note(r.Process.Pid)
	if n := mine.Count(); n[0]+n[2] < 4 {
		t.Errorf("%v programs, maps and links while it runs", n)
	}
	if err := r.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	r.finish()
	// The kernel frees them a little later, on a busy machine much later.
	for range 600 {
		if mine.Drop(); mine.Empty() {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if !mine.Empty() {
		t.Errorf("left behind: %v", mine.String())
	}
	if strings.Contains(r.out.String(), "end") {
		t.Error("end probes ran")
	}
}

// TestSignals: the first signal ends the run in order, the second one at once.
func TestSignals(t *testing.T) {
	needKernel(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			r := startStap(t, `global n
				probe begin { println("ready") }
				probe kernel.trace("sys_enter") { n++ }
				probe end { println("end ", n > 0) }`)
			if err := r.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if st := r.finish(); st != 0 || r.out.String() != "ready\nend 1\n" || r.errOut.Len() > 0 {
				t.Errorf("status %d, output %q, errors %q", st, r.out.String(), r.errOut.String())
			}
		})
	}
	t.Run("timeout", func(t *testing.T) {
		// As timeout(1) does it, which tells the command and then its whole group.
		r := startStap(t, `probe begin { println("ready") } probe end { println("end") }`)
		for i := range 3 {
			if err := r.Process.Signal(os.Interrupt); err != nil && i == 0 { // later it may have ended
				t.Fatal(err)
			}
		}
		if st := r.finish(); st != 0 || r.out.String() != "ready\nend\n" {
			t.Errorf("status %d, output %q, errors %q", st, r.out.String(), r.errOut.String())
		}
	})
	t.Run("twice", func(t *testing.T) {
		r := startStap(t, `probe begin { println("ready") }
			probe end { println("ending"); while (1) i++; println(i) }`, "-D", "MAXACTION=2000000000")
		if err := r.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ended := make(chan struct{})
		go func() {
			// Shortly after another a signal is the same request.
			for {
				select {
				case <-ended:
					return
				case <-time.After(300 * time.Millisecond):
					_ = r.Process.Signal(os.Interrupt) // it may have ended
				}
			}
		}()
		r.finish()
		close(ended)
		ws, ok := r.ProcessState.Sys().(syscall.WaitStatus)
		if !ok || !ws.Signaled() || ws.Signal() != syscall.SIGINT || time.Since(began) > 5*time.Second {
			t.Errorf("%v after %v", r.ProcessState, time.Since(began))
		}
	})
	t.Run("reader gone", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "test.stp")
		if err := os.WriteFile(name, []byte(`probe timer.ms(10) { println("x") }`), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := self(t, stapVar+"=1", name)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout = w
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if _, err := r.Read(make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
		r.Close()
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("it runs on although nobody reads its output")
			_ = cmd.Process.Kill()
		}
	})
}

// TestSuspended: while the loader is stopped, as when a machine is put to sleep or a debugger
// has it, handlers go on; nothing is lost, and it goes on where it was.
func TestSuspended(t *testing.T) {
	needKernel(t)
	r := startStap(t, fmt.Sprintf(`global n, told
		probe begin { println("ready") }
		probe kernel.trace("sys_enter") { if ($id == %d && execname() == "stapwork") n++ }
		probe timer.ms(20) { if (n > 0) { println("again") exit() } else if (!told++) println("active") }
		probe end { printf("n=%%d\n", n) }`, syscall.SYS_GETPGID))
	if l := <-r.lines; l != "active" {
		t.Fatalf("%q instead of a timer's line", l)
	}
	if err := r.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	calls := load(t, 20000)
	select {
	case l := <-r.lines:
		t.Errorf("it prints %q while it is stopped", l)
	default:
	}
	if err := r.Process.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if st := r.finish(); st != 0 {
		t.Errorf("status %d: %s", st, r.errOut.String())
	}
	if want := fmt.Sprintf("again\nn=%d\n", calls); !strings.HasSuffix(r.out.String(), want) || r.errOut.Len() > 0 {
		t.Errorf("%q, wanted %q; %s", r.out.String(), want, r.errOut.String())
	}
}
