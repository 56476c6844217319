//go:build linux

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestWithoutKernel runs the language tools as a user who is nobody, on a machine that
// tells nothing of its kernel: /sys and /proc are empty. They work, or say in one line
// what they lack.
func TestWithoutKernel(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can hide /sys and /proc")
	}
	for _, tool := range []string{"unshare", "setpriv", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
	if os.Getenv(readyEnv) != "" {
		t.Skip("guests have no compilers")
	}
	dir, err := os.MkdirTemp("", "stapkit-nokernel-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"stap", "stapc", "stapfmt", "staplint", "staplsp"} {
		src := filepath.Join("..", "..", "cmd", c)
		if _, err := os.Stat(src); err != nil {
			continue // not there yet
		}
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, c), "stapkit/cmd/"+c)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	const script = "probe kernel.function(\"vfs_read\") {\n\tprintln($count)\n}\n"
	for name, text := range map[string]string{
		"a.stp": script,
		// A machine without a kernel at hand still has the library.
		"b.stp": "global n\nprobe timer.ms(10) { n++ }\nprobe end { printf(\"%d %s\\n\", n, ctime(0)) }\n",
		"lsp":   frame(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}`) + frame(`{"jsonrpc":"2.0","method":"initialized","params":{}}`) + frame(`{"jsonrpc":"2.0","id":2,"method":"shutdown"}`) + frame(`{"jsonrpc":"2.0","method":"exit"}`),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const known = "nothing is known of a kernel here"
	for _, tt := range []struct {
		command string
		code    int
		stdout  string // that it contains
		stderr  string // that it contains, "" if nothing is written there
	}{
		{`stap -l 'kernel.function("vfs_*")'`, 1, "", known},
		{`stap -l 'kernel.trace("sched:*")'`, 1, "", known},
		{`stap -L 'kernel.function("vfs_read")'`, 0, `kernel.function("vfs_read")`, known},
		{`stap -L syscall.openat`, 0, "filename:string", ""},
		{`stap -l 'timer.*'`, 0, "timer.profile", ""},
		{`stap --dump-functions`, 0, "execname:string ()", ""},
		{`stap --dump-probe-aliases`, 0, "syscall.openat = ", ""},
		{`stap --dump-probe-types`, 0, "timer.ms(number)", ""},
		{`stap -p1 a.stp`, 0, `probe kernel.function("vfs_read")`, ""},
		{`stap -p2 a.stp`, 0, `kernel.function("vfs_read")`, "taken on trust"},
		{`stap -p2 b.stp`, 0, "n:long", ""},
		{`stap -p3 a.stp`, 1, "", "give the target with -r"},
		{`stap -p4 -m xx b.stp`, 0, "xx.o", ""},
		{`stapc -o a.o a.stp`, 1, "", "give the target with -r"},
		{`stapc -o b.o b.stp`, 0, "", ""},
		{`stapfmt --check a.stp`, 0, "", ""},
		{`staplint b.stp`, 0, "", "rules that depend on a kernel are off"},
		{`staplsp < lsp`, 0, `"capabilities"`, ""},
	} {
		name, _, _ := strings.Cut(tt.command, " ")
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		cmd := exec.CommandContext(ctx, "unshare", "--mount", "--propagation", "private", "sh", "-c",
			`mount -t tmpfs none /sys && mount -t tmpfs none /proc && exec setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/nonexistent PATH="$PATH" sh -c "$1"`,
			"sh", tt.command)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		cancel()
		if cmd.ProcessState == nil {
			t.Fatalf("%s: %v", tt.command, err)
		}
		out, errs := stdout.String(), stderr.String()
		if code := cmd.ProcessState.ExitCode(); code != tt.code || !strings.Contains(out, tt.stdout) || !strings.Contains(errs, tt.stderr) ||
			tt.stderr == "" && errs != "" || tt.stdout == "" && tt.code != 0 && out != "" {
			t.Errorf("%s: exit %d\n%s\n%s", tt.command, code, out[:min(len(out), 2000)], errs)
		}
		if tt.stderr == known && strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: more than a line:\n%s", tt.command, errs)
		}
	}
}

// frame is a message as language servers read it.
func frame(text string) string {
	return "Content-Length: " + strconv.Itoa(len(text)) + "\r\n\r\n" + text
}
