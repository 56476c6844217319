//go:build linux

package loader_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stapkit/diag"
	"stapkit/driver"
	loader "stapkit/runtime"
	"stapkit/target"
)

// compiled is the image of a script for the running kernel.
func compiled(t *testing.T, script string, defines map[string]string) loader.Image {
	t.Helper()
	tgt, err := target.Running()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tgt.Close() })
	f, err := driver.Parse(&driver.Config{Scripts: []driver.Script{{Name: "test.stp", Text: []byte(script)}}, Target: tgt, Defines: defines})
	if err != nil {
		t.Fatal(err)
	}
	f.Elaborate()
	c, spec, err := f.Translate()
	if err != nil {
		t.Fatal(err)
	}
	if list := append(f.Diags, c.Diags...); diag.HasErrors(list) {
		t.Fatal(list)
	}
	if err := f.Object(c, spec); err != nil {
		t.Fatal(err)
	}
	return loader.Image{Program: c.Program, ELF: c.ELF}
}

// busy is a script whose handler takes nearly all the time of the thread that calls
// getpgid.
const busy = `global n
probe kernel.trace("sys_enter") { if (execname() == "stapwork") for (i = 0; i < 700; i++) n += i ^ n }
probe timer.ms(60000) { exit() }
probe end { println(n != 0) }`

// spin makes two threads call getpgid until the test ends.
func spin(t *testing.T) {
	t.Helper()
	for cpu := range 2 {
		// Others want the CPUs, too; whether they get them is not the question here.
		cmd := self(t, workVar+"=1000000000 "+strconv.Itoa(cpu))
		cmd.Env = append(cmd.Env, eagerVar+"=1")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in.Close()
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
}

func TestOverload(t *testing.T) {
	needKernel(t)
	spin(t)
	for _, tt := range []struct {
		name    string
		defines map[string]string
		opt     loader.Options
		status  int
	}{
		{"over the limit", map[string]string{"MAXACTION": "100000"}, loader.Options{CPULimit: 1}, loader.StatusOverload},
		{"under the limit", map[string]string{"MAXACTION": "100000"}, loader.Options{CPULimit: 100, Timeout: 5 * time.Second}, loader.StatusOK},
		{"switched off", map[string]string{"MAXACTION": "100000", "STP_NO_OVERLOAD": "1"}, loader.Options{CPULimit: 1, Timeout: 5 * time.Second}, loader.StatusOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			tt.opt.Stdout, tt.opt.Stderr = &out, &errOut
			status, err := loader.Run(context.Background(), compiled(t, busy, tt.defines), tt.opt)
			if err != nil || status != tt.status {
				t.Fatalf("status %d, %v\n%s%s", status, err, out.String(), errOut.String())
			}
			if over := strings.Contains(errOut.String(), "probe overhead exceeded threshold"); over != (tt.status != loader.StatusOK) {
				t.Errorf("errors %q", errOut.String())
			}
		})
	}
}

func TestOutputRate(t *testing.T) {
	script := `probe timer.ms(5) { for (i = 0; i < 400; i++) printf("%512s\n", "x") }`
	var out, errOut bytes.Buffer
	status, err := loader.Run(context.Background(), compiled(t, script, map[string]string{"MAXACTION": "100000"}),
		loader.Options{Stdout: &out, Stderr: &errOut, OutputRate: 1 << 20, Timeout: 30 * time.Second})
	if err != nil || status != loader.StatusOutputRate || !strings.Contains(errOut.String(), "kB a second, and 1048 kB are allowed") {
		t.Errorf("status %d, %v, %q", status, err, errOut.String())
	}
	// The same under a limit that it keeps.
	script = `probe timer.ms(50) { println("x") }`
	out.Reset()
	errOut.Reset()
	status, err = loader.Run(context.Background(), compiled(t, script, nil),
		loader.Options{Stdout: &out, Stderr: &errOut, OutputRate: 1 << 20, Timeout: 4 * time.Second})
	if err != nil || status != loader.StatusOK || errOut.Len() > 0 || out.Len() < 50 {
		t.Errorf("status %d, %v, %d bytes, %q", status, err, out.Len(), errOut.String())
	}
}

func TestRuntimeLimit(t *testing.T) {
	var out, errOut bytes.Buffer
	status, err := loader.Run(context.Background(), compiled(t, `probe timer.s(60) { exit() } probe end { println("end") }`, nil),
		loader.Options{Stdout: &out, Stderr: &errOut, Timeout: 200 * time.Millisecond, TimeoutIsLimit: true})
	if err != nil || status != loader.StatusRuntime || out.String() != "end\n" || !strings.Contains(errOut.String(), "as the policy of this host wants") {
		t.Errorf("status %d, %v, %q, %q", status, err, out.String(), errOut.String())
	}
}

// TestStalledReader: when nobody reads the output, handlers still stop at the time
// that was set, and what they could not send is counted.
func TestStalledReader(t *testing.T) {
	needKernel(t)
	spin(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	type end struct {
		status int
		err    error
	}
	var errOut bytes.Buffer
	image := compiled(t, `probe kernel.trace("sys_enter") { if (execname() == "stapwork") printf("%d %s\n", cpu(), "a line that nobody reads") }`, nil)
	done := make(chan end, 1)
	go func() {
		status, err := loader.Run(context.Background(), image, loader.Options{Stdout: w, Stderr: &errOut, Timeout: time.Second, BufferMB: 1})
		w.Close()
		done <- end{status, err}
	}()
	select {
	case e := <-done:
		t.Fatalf("ended although nobody reads: %+v, %s", e, errOut.String())
	case <-time.After(3 * time.Second):
	}
	// The reader comes back, and all that was kept arrives.
	var n int
	buf := make([]byte, 1<<16)
	for {
		k, err := r.Read(buf)
		n += k
		if err != nil {
			break
		}
	}
	if e := <-done; e.err != nil || e.status != loader.StatusOK {
		t.Errorf("%+v", e)
	}
	if n < 1<<16 || !strings.Contains(errOut.String(), "output lost because the buffer was full") {
		t.Errorf("%d bytes, %q", n, errOut.String())
	}
}

// TestReportSignal: SIGUSR1 has the counters printed while the script runs.
func TestReportSignal(t *testing.T) {
	r := startStap(t, `probe begin { println("ready") } probe timer.s(30) { exit() }`)
	if err := r.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	if err := r.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(); err != nil {
		t.Error(err)
	}
	if s := r.errOut.String(); !strings.Contains(s, "----- counters of process "+strconv.Itoa(r.Process.Pid)) || !strings.Contains(s, "  output dropped") {
		t.Errorf("%q", s)
	}
}

// TestCgroup counts the calls of a process inside of a cgroup, and none of one beside.
func TestCgroup(t *testing.T) {
	needKernel(t)
	mount := ""
	for _, m := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(m + "/cgroup.procs"); err == nil {
			mount = m
		}
	}
	dir := filepath.Join(mount, "stapkit-test-"+strconv.Itoa(os.Getpid()))
	if mount == "" || os.Mkdir(dir, 0o755) != nil {
		t.Skip("needs cgroups of version 2 in which a group can be made")
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	script := `global n
		probe kernel.trace("sys_enter") { if ($id == ` + strconv.Itoa(syscall.SYS_GETPGID) + ` && execname() == "stapwork") n++ }
		probe begin { println("ready") }
		probe end { println(n) }`
	for _, name := range []string{dir, filepath.Base(dir), "/" + filepath.Base(dir)} {
		r := startStapOf(t, loader.Options{Cgroup: name}, script)
		for _, inside := range []bool{true, false} {
			cmd := self(t, workVar+"=1000 0")
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if inside {
				if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0); err != nil {
					t.Fatal(err)
				}
			}
			in.Close()
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		if got := r(); got != "ready\n1000\n" {
			t.Errorf("--cgroup %s: %q", name, got)
		}
	}
	_, err := loader.Run(context.Background(), compiled(t, script, nil), loader.Options{Cgroup: "no-such-unit", Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}})
	if err == nil || !strings.Contains(err.Error(), "no-such-unit") {
		t.Errorf("a group that is not there: %v", err)
	}
}

// startStapOf starts a run in this process and returns when its probes are active.
// What is returned ends it and gives the output.
func startStapOf(t *testing.T, opt loader.Options, script string) func() string {
	t.Helper()
	var out, errOut bytes.Buffer
	started, done := make(chan bool), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	opt.Stdout, opt.Stderr, opt.Started = &out, &errOut, func() { close(started) }
	image := compiled(t, script, nil)
	go func() {
		_, err := loader.Run(ctx, image, opt)
		done <- err
	}()
	select {
	case <-started:
	case err := <-done:
		t.Fatalf("%v %s", err, errOut.String())
	}
	return func() string {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		return out.String()
	}
}
