//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stapkit/driver"
	"stapkit/internal/host"
)

// separated is a run in two processes, of a script with a probe in the kernel and a file
// of its own.
type separated struct {
	cmd    *exec.Cmd
	text   bytes.Buffer
	broker int
	files  string // the directory of procfs probes
}

func startSeparated(t *testing.T, args ...string) *separated {
	t.Helper()
	host.NeedBPF(t)
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("needs FUSE")
	}
	dir := t.TempDir()
	name := fmt.Sprintf("separate%d", os.Getpid())
	script := filepath.Join(dir, name+".stp")
	if err := os.WriteFile(script, []byte(`global n
		probe syscall.getpgid { n++ }
		probe procfs("v").read { $value = sprint("in file, ", execname()) }
		probe begin { println("ready") }
		probe timer.ms(20) { println("x") }
		probe end { println("ended") }`), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "x.o")
	var said strings.Builder
	if st := driver.Stapc([]string{"-o", file, script}, strings.NewReader(""), &said, &said); st != 0 {
		t.Fatalf("stapc: status %d: %s", st, said.String())
	}
	out := filepath.Join(dir, "out")
	r := &separated{files: "/run/stapkit/" + name}
	r.cmd = plain(t, nil, append(args, "-o", out, file)...)
	r.cmd.Stdout, r.cmd.Stderr = &r.text, &r.text
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// If it is there still, the test has failed.
		_ = r.cmd.Process.Kill()
	})
	until(t, "the begin probe", func() bool { return strings.HasPrefix(content(out), "ready\nx\n") })
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", r.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		for _, k := range strings.Fields(content(list)) {
			if content("/proc/"+k+"/cmdline") == "staprun-broker\x00" {
				r.broker, err = strconv.Atoi(k)
			}
		}
	}
	if r.broker <= 0 || err != nil {
		t.Fatalf("there is no broker (%v)", err)
	}
	return r
}

func gone(pid int) bool {
	// One that nobody has waited for yet is none any more.
	_, state, _ := strings.Cut(content(fmt.Sprintf("/proc/%d/stat", pid)), ") ")
	return state == "" || state[0] == 'Z' || state[0] == 'X'
}

func fieldsOf(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		k, v, _ := strings.Cut(line, ":")
		out[k] = strings.TrimSpace(v)
	}
	return out
}

// TestSeparated: who prints has no privileges in any of its threads, and files of the script,
// the end and what is left behind are as ever.
func TestSeparated(t *testing.T) {
	r := startSeparated(t)
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", r.cmd.Process.Pid))
	if err != nil || len(tasks) == 0 {
		t.Fatal(err)
	}
	for _, name := range tasks {
		f := fieldsOf(content(name))
		for k, want := range map[string]string{
			"CapEff": "0000000000000000", "CapPrm": "0000000000000000", "CapInh": "0000000000000000", "CapAmb": "0000000000000000",
			"NoNewPrivs": "1", "Seccomp": "2", "Groups": "",
		} {
			if f[k] != want {
				t.Errorf("%s: %s is %q", name, k, f[k])
			}
		}
		if strings.HasPrefix(f["Uid"], "0\t") || strings.HasPrefix(f["Gid"], "0\t") {
			t.Errorf("%s: user %s, group %s", name, f["Uid"], f["Gid"])
		}
	}
	f := fieldsOf(content(fmt.Sprintf("/proc/%d/status", r.broker)))
	if f["Name"] != "staprun-broker" {
		t.Errorf("the broker is process %d, %q", r.broker, f["Name"])
	}
	tasks, err = filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", r.broker))
	if err != nil || len(tasks) == 0 {
		t.Fatal(err)
	}
	for _, name := range tasks {
		f := fieldsOf(content(name))
		for _, set := range []string{"CapEff", "CapPrm", "CapInh", "CapBnd"} {
			caps, err := strconv.ParseUint(f[set], 16, 64)
			// To mount and to time handlers, to make maps; not, say, to load modules, to trace, or
			// to be another user.
			const more = 1<<16 | 1<<17 | 1<<19 | 1<<7 | 1<<6
			if err != nil || caps&more != 0 || set != "CapInh" && caps&(1<<21) == 0 {
				t.Errorf("the broker, %s: %s is %s", name, set, f[set])
			}
		}
		if f["NoNewPrivs"] != "1" || f["Seccomp"] != "2" {
			t.Errorf("the broker, %s: NoNewPrivs %s, Seccomp %s", name, f["NoNewPrivs"], f["Seccomp"])
		}
	}
	if got := content(r.files + "/v"); !strings.HasPrefix(got, "in file") {
		t.Errorf("the file of the script has %q", got)
	}
	if err := r.cmd.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil || r.text.Len() > 0 {
		t.Errorf("%v: %s", err, &r.text)
	}
	if _, err := os.Stat(r.files); err == nil {
		t.Errorf("%s is left behind", r.files)
	}
	if !gone(r.broker) {
		t.Error("the broker is left behind")
	}
}

// TestKillHalf: whichever half is killed, nothing of the run is left.
func TestKillHalf(t *testing.T) {
	t.Run("broker", func(t *testing.T) {
		r := startSeparated(t)
		if err := unix.Kill(r.broker, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := r.cmd.Wait(); r.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(r.text.String(), "R403") {
			t.Errorf("%v: %s", err, &r.text)
		}
		// What it mounted and wrote down cannot be taken away by who has no right to; the next
		// run does, whatever its script.
		left := fmt.Sprintf("/run/stapkit/%d.json", r.cmd.Process.Pid)
		if _, err := os.Stat(left); err != nil {
			t.Error(err)
		}
		next := plain(t, nil, save(t, hello(t)))
		if out, err := next.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		for _, path := range []string{r.files, left} {
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is left behind: %v", path, err)
			}
		}
	})
	t.Run("printer", func(t *testing.T) {
		r := startSeparated(t)
		if err := r.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := r.cmd.Wait(); err == nil {
			t.Error("it was not killed")
		}
		until(t, "the broker to end", func() bool { return gone(r.broker) })
		if _, err := os.Stat(r.files); err == nil {
			t.Errorf("%s is left behind", r.files)
		}
	})
}
