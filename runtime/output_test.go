//go:build linux

package loader_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stapkit/ir"
	loader "stapkit/runtime"
)

// TestDroppedOutput: output that does not fit the buffer because nobody reads it
// is counted, and the count makes up the difference exactly.
func TestDroppedOutput(t *testing.T) {
	needKernel(t)
	name := filepath.Join(t.TempDir(), "test.stp")
	script := fmt.Sprintf(`global n
		probe begin { println("ready") }
		probe kernel.trace("sys_enter") { if ($id == %d && execname() == "stapwork") { n++; printf("hit %%s\n", "%s") } }
		probe end { printf("n=%%d\n", n) }`, syscall.SYS_GETPGID, strings.Repeat("x", 60))
	if err := os.WriteFile(name, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := self(t, stapVar+"=1", "-s", "1", name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errOut strings.Builder
	cmd.Stderr = &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	if l, err := r.ReadString('\n'); l != "ready\n" {
		t.Fatal(l, err)
	}
	time.Sleep(300 * time.Millisecond)
	n := load(t, 50000) // while nobody reads
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	hits, said := 0, 0
	for {
		l, err := r.ReadString('\n')
		if err != nil {
			break
		}
		if strings.HasPrefix(l, "hit x") {
			hits++
		} else if v, ok := strings.CutPrefix(l, "n="); ok {
			if said, err = strconv.Atoi(strings.TrimSpace(v)); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait()
	m := regexp.MustCompile(`output lost because the buffer was full, in hits: (\d+)`).FindStringSubmatch(errOut.String())
	if m == nil {
		t.Fatalf("%d of %d lines, nothing said about lost ones: %s", hits, n, errOut.String())
	}
	lost, err := strconv.Atoi(m[1])
	if err != nil || lost == 0 || hits+lost != n || said != n {
		t.Errorf("%d events: %d counted, %d lines, %d lost\n%s", n, said, hits, lost, errOut.String())
	}
}

// TestOrder: a handler's output is one piece, and a loader handler's comes after
// what kernel handlers had sent when it began.
func TestOrder(t *testing.T) {
	needKernel(t)
	r := startStap(t, fmt.Sprintf(`global n
		probe begin { println("ready") }
		probe kernel.trace("sys_enter") { if ($id == %d && execname() == "stapwork") { printf("%%d:%%d ", cpu(), ++n); for (i = 0; i < 3; i++) printf("%%d,", i); println("end") } }
		probe timer.ms(2) { k = n; printf("timer "); printf("%%d\n", k) }`, syscall.SYS_GETPGID), "-s", "64")
	piece := regexp.MustCompile(`^\d+:(\d+) 0,1,2,end$`)
	load(t, 30000)
	time.Sleep(100 * time.Millisecond)
	if err := r.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if st := r.finish(); st != 0 {
		t.Errorf("status %d: %s", st, r.errOut.String())
	}
	max, hits, timers := 0, 0, 0
	for line := range strings.Lines(r.out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if v, ok := strings.CutPrefix(line, "timer "); ok {
			k, err := strconv.Atoi(v)
			// A handler on another CPU may have counted and not yet sent.
			if err != nil || k > max+2 {
				t.Fatalf("%q after hit %d", line, max)
			}
			timers++
			continue
		}
		m := piece.FindStringSubmatch(line)
		if m == nil {
			if line != "ready" {
				t.Fatalf("torn line %q", line)
			}
			continue
		}
		k, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		hits++
		if k > max {
			max = k
		}
	}
	if hits != 60000 || timers < 10 {
		t.Errorf("%d hits, %d timers\n%s", hits, timers, r.errOut.String())
	}
}

// TestLongOutput: what one handler prints comes out whole, however much it is.
func TestLongOutput(t *testing.T) {
	needKernel(t)
	r := startStap(t, fmt.Sprintf(`probe begin { println("ready") }
		probe kernel.trace("sys_enter") { if ($id == %d && execname() == "stapwork") { for (i = 0; i < 80; i++) printf("%%d.%%d %%s\n", cpu(), i, "%s") } }`,
		syscall.SYS_GETPGID, strings.Repeat("y", 100)), "-s", "64")
	load(t, 100)
	if err := r.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if st := r.finish(); st != 0 || r.errOut.Len() > 0 {
		t.Errorf("status %d: %s", st, r.errOut.String())
	}
	next, lines := 0, 0
	for line := range strings.Lines(r.out.String()) {
		_, rest, ok := strings.Cut(line, ".")
		if !ok {
			continue
		}
		lines++
		if !strings.HasPrefix(rest, fmt.Sprintf("%d yyy", next)) || len(rest) < 100 {
			t.Fatalf("line %d is %q, want number %d", lines, line, next)
		}
		next = (next + 1) % 80
	}
	if lines != 80*200 {
		t.Errorf("%d lines", lines)
	}
}

// TestTimers: timers keep to their grid, also next to a slow one.
func TestTimers(t *testing.T) {
	s := newScript()
	n := s.global(ir.Global{Name: "n", Value: ir.TInt})
	inc := func(g int) ir.Stmt {
		return &ir.Eval{X: &ir.Update{L: ir.LValue{Global: true, ID: g, T: ir.TInt}, Op: ir.OpAdd, R: num(1)}}
	}
	m := s.global(ir.Global{Name: "m", Value: ir.TInt})
	s.probe(ir.FamTimer, "timer.ms(1)", 0, inc(n)).Interval = 1e6
	p := s.probe(ir.FamTimer, "timer.ms(10)", 0, inc(m))
	p.Interval, p.Random = 10e6, 5e6
	s.probe(ir.FamTimer, "timer.s(1)", 0, s.print("%d %d\n", &ir.GlobalGet{G: n, T: ir.TInt}, &ir.GlobalGet{G: m, T: ir.TInt}), exit()).Interval = 1e9
	r := run(t, loader.Image{Program: s.p}, loader.Options{})
	var a, b int
	if _, err := fmt.Sscanf(r.out, "%d %d\n", &a, &b); err != nil || r.status != 0 {
		t.Fatalf("status %d, %v: %q", r.status, err, r.out)
	}
	// A busy machine may drop ticks; none may be added.
	if a > 1000 || a < 200 || b > 200 || b < 30 {
		t.Errorf("%d ticks of 1 ms and %d of 10±5 ms in a second", a, b)
	}
}

func TestOutputFile(t *testing.T) {
	dir := t.TempDir()
	s := newScript()
	s.probe(ir.FamBegin, "begin", 0, s.print("to the file\n"), exit())
	r := run(t, loader.Image{Program: s.p}, loader.Options{Output: filepath.Join(dir, "out.%Y")})
	b, err := os.ReadFile(filepath.Join(dir, time.Now().Format("out.2006")))
	if err != nil || string(b) != "to the file\n" || r.out != "" || r.status != 0 {
		t.Errorf("status %d, %v, file %q, output %q", r.status, err, b, r.out)
	}
	if r := run(t, loader.Image{Program: s.p}, loader.Options{Output: filepath.Join(dir, "no", "dir")}); r.err == nil {
		t.Error("a file that cannot be made")
	}
	if _, err := os.Stat("/dev/full"); err == nil {
		r := run(t, loader.Image{Program: s.p}, loader.Options{Output: "/dev/full"})
		if r.err == nil || !strings.Contains(r.err.Error(), "no space") || r.status != 1 {
			t.Errorf("full device: status %d, %v", r.status, r.err)
		}
	}
}

// TestMaxSkipped: too many skipped probes end the run with its error probes.
func TestMaxSkipped(t *testing.T) {
	needKernel(t)
	// The lock is held by a handler that loops, while the others want it.
	r := startStap(t, fmt.Sprintf(`global a, b
		probe begin { println("ready") }
		probe kernel.trace("sys_enter") { if ($id == %d && execname() == "stapwork") { for (i = 0; i < 20000; i++) { a = b + i; b = a - i + 1 } } }
		probe end { println("end") }
		probe error { println("error") }`, syscall.SYS_GETPGID), "-D", "MAXSKIPPED=5", "-D", "MAXACTION=1000000", "-D", "MAXTRYLOCK=2")
	load(t, 2000)
	// It ends by itself; a signal that came then would find it without a handler for it.
	enough := time.AfterFunc(20*time.Second, func() { _ = r.Process.Signal(os.Interrupt) })
	st := r.finish()
	enough.Stop()
	skip := skipped(r.errOut.String())
	if skip <= 5 {
		t.Skipf("only %d were skipped, on this machine the handlers did not meet", skip)
	}
	if st != 1 || !strings.HasSuffix(r.out.String(), "error\n") || !strings.Contains(r.errOut.String(), "ERROR: Skipped too many probes") {
		t.Errorf("status %d, output %q, errors %q", st, r.out.String(), r.errOut.String())
	}
}
