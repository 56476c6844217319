//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stapkit/internal/host"
)

// plain starts staprun with unsigned bundles allowed, on the machine as it is.
func plain(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, append([]string{"--allow-unsigned"}, args...)...)
	cmd.Env = append(append(os.Environ(), plainVar+"=1"), env...)
	return cmd
}

// until waits for something that another process does.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

func content(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	return string(b)
}

// TestDaemon runs a script in the background: it tells its process id when its probes
// are active, the service manager hears of it, SIGUSR2 switches files, and its errors
// are in the output.
func TestDaemon(t *testing.T) {
	dir := t.TempDir()
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	heard := func() string {
		t.Helper()
		buf := make([]byte, 1000)
		if err := manager.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := manager.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	file := save(t, bundleOf(t, `probe begin { println("begun") }
		probe timer.ms(50) { n++ println("tick") if (n == 3) warn("three") }
		global n
		probe end { println("ended") }`))
	out, pidFile := filepath.Join(dir, "out-%Y"), filepath.Join(dir, "pid")
	cmd := plain(t, []string{"NOTIFY_SOCKET=" + filepath.Join(dir, "notify")}, "-D", "-o", out, "--pid-file", pidFile, file)
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || content(pidFile) != fmt.Sprintln(pid) {
		t.Fatalf("printed %q, the file has %q", text, content(pidFile))
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if got := content(fmt.Sprintf("/proc/%d/comm", pid)); got != filepath.Base(exe)+"\n" {
		t.Errorf("it is called %q in the background", got)
	}
	if got := heard(); !strings.HasPrefix(got, "READY=1\n") {
		t.Errorf("the service manager hears %q", got)
	}
	name := filepath.Join(dir, "out-"+time.Now().Format("2006"))
	until(t, "a warning in the output", func() bool { return strings.Contains(content(name), "WARNING: three\n") })
	if err := unix.Kill(pid, unix.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	until(t, "output in the next file", func() bool { return strings.Contains(content(name+".1"), "tick\n") })
	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := heard(); got != "STOPPING=1" {
		t.Errorf("the service manager hears %q", got)
	}
	until(t, "the end", func() bool { _, err := os.Stat(pidFile); return err != nil })
	if !strings.HasPrefix(content(name), "begun\n") || !strings.HasSuffix(content(name+".1"), "ended\n") {
		t.Errorf("%q, %q", content(name), content(name+".1"))
	}
	// One that cannot begin says so where it was called.
	cmd = plain(t, nil, "-D", "-o", filepath.Join(dir, "x"), file, "nothing=1")
	text, err = cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(text), `no scalar global "nothing"`) {
		t.Errorf("%v, %s", err, text)
	}
}

// TestRotation fills files of a megabyte, of which two are kept.
func TestRotation(t *testing.T) {
	file := save(t, bundleOf(t, `probe begin { for (i = 0; i < 400; i++) printf("%05d %07993d\n", i, i) exit() }`))
	dir := t.TempDir()
	if out, err := plain(t, nil, "-o", filepath.Join(dir, "f"), "-S", "1,2", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 2 || filepath.Base(files[0]) != "f.2" || filepath.Base(files[1]) != "f.3" {
		t.Fatalf("%v, %v", err, files)
	}
	all := content(files[0]) + content(files[1])
	lines := strings.Split(strings.TrimSuffix(all, "\n"), "\n")
	if n := len(content(files[0])); n > 1<<20 || n < 1<<20-8001 {
		t.Errorf("a file of %d bytes", n)
	}
	for i, l := range lines {
		if len(l) != 7999 {
			t.Fatalf("line %d has %d bytes", i, len(l))
		}
	}
	if !strings.HasPrefix(lines[len(lines)-1], "00399 ") {
		t.Errorf("it ends with %.20q", lines[len(lines)-1])
	}
}

// TestLeave leaves a script attached, attaches, kills the loader, attaches again, and
// ends it: no call is counted twice or lost, also of those that a timer probe has taken
// out of the kernel's array.
func TestLeave(t *testing.T) {
	host.NeedBPF(t)
	name := fmt.Sprintf("ops-test-%d", os.Getpid())
	file := save(t, bundleOf(t, fmt.Sprintf(`global n, by, ticks, seen
		probe begin { seen["begin"] = 1 }
		probe syscall.getpgid { if (pid() == %d) { n++ by[execname(), "x"]++ } }
		probe timer.ms(100) { ticks++ foreach ([a, b] in by) seen[b] += by[a, b]; delete by }
		probe end { foreach ([a, b] in by) seen[b] += by[a, b]
			printf("n %%d, seen %%d, begin %%d, ticks %%d\n", n, seen["x"], seen["begin"], ticks > 0) }`, os.Getpid())))
	t.Cleanup(func() {
		// Only if the test has failed before is there anything.
		_ = plain(t, nil, "-d", name).Run()
	})
	calls := 0
	call := func() {
		for range 1000 {
			if _, _, e := unix.Syscall(unix.SYS_GETPGID, 0, 0, 0); e != 0 {
				t.Fatal(e)
			}
		}
		calls += 1000
	}
	out, err := plain(t, nil, "-L", "--pin", name, file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "staprun -A "+name) {
		t.Fatalf("%v: %s", err, out)
	}
	call()
	if out, err := plain(t, nil, "-L", "--pin", name, file).CombinedOutput(); err == nil || !strings.Contains(string(out), "R520") {
		t.Errorf("a second one of the name: %v: %s", err, out)
	}
	again := func(sig syscall.Signal) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "out")
		cmd := plain(t, nil, "-A", name, "-v", "-o", file)
		var text bytes.Buffer
		cmd.Stdout, cmd.Stderr = &text, &text
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		state := filepath.Join("/run/stapkit-left", name, "state.")
		before := content(state+"0") + content(state+"1")
		call()
		until(t, "the loader to write its state", func() bool { return content(state+"0")+content(state+"1") != before })
		call()
		time.Sleep(250 * time.Millisecond) // so that timers run in between, whatever they find
		call()
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait()
		if sig != unix.SIGKILL && err != nil {
			t.Fatalf("%v: %s", err, text.String())
		}
		return content(file)
	}
	again(unix.SIGKILL)
	call()
	again(unix.SIGQUIT)
	call()
	want := fmt.Sprintf("n %d, seen %d, begin 1, ticks 1\n", calls+3000, calls+3000)
	if got := again(unix.SIGINT); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if out, err := plain(t, nil, "-A", name).CombinedOutput(); err == nil || !strings.Contains(string(out), "nothing is left attached under the name "+name) {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat("/sys/fs/bpf/stapkit/" + name); err == nil {
		t.Error("the pins are still there")
	}
}

// TestOperatingUsage: what does not go together is refused with a word why.
func TestOperatingUsage(t *testing.T) {
	for _, tt := range []struct {
		args string
		want string
	}{
		{"-S 1 x.o", "-o FILE"},
		{"-D x.o", "-o FILE"},
		{"-o f -S 0 x.o", "-S 0"},
		{"-o f -S 1,x x.o", `"x" is not how many`},
		{"--pid-file p x.o", "-D"},
		{"-L -D -o f x.o", "exclude"},
		{"-L -c true x.o", "-c"},
		{"-A name x.o", "take no bundle"},
		{"-A name -L", "-A goes on"},
		{"-d name --list", "exclude each other"},
		{"-A ../x", "no name"},
		{"-d a/b", "no name"},
	} {
		var out, errOut bytes.Buffer
		st := staprun(t.Context(), strings.Fields(tt.args), &out, &errOut)
		if st == 0 || !strings.Contains(errOut.String(), tt.want) {
			t.Errorf("%s: status %d, %q", tt.args, st, errOut.String())
		}
	}
}
