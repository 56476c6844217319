//go:build linux

// Command start tells what it takes staprun to begin: for a few small bundles the parts of the
// time until the probes are active, in milliseconds, and the memory of both processes then.
// Run as root:
//
//	go run ./bench/start
//
// Times are of the fastest of several starts; on a busy machine they are those of waiting for a
// processor.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"stapkit/internal/host"
)

// scripts are what is started.
var scripts = []struct{ name, text string }{
	{"only begin and timers", `probe timer.s(60) { exit() }`},
	{"tracepoint, array", `global n probe kernel.trace("sched_switch") { n[execname()]++ }`},
	{"tracepoint, structures", `global n probe kernel.trace("sched_switch") { n[ppid(), execname()]++ }`},
	{"system call", `global n probe syscall.openat { n[pid()]++ }`},
	{"kernel stacks", `global n probe kernel.trace("sched_switch") { n[backtrace()]++ } probe end { foreach (s in n- limit 1) print_syms(s) }`},
}

const tries = 9

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "start:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "start-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, c := range []string{"stapc", "staprun"} {
		build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, c), "stapkit/cmd/"+c)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w: %s", c, err, out)
		}
	}
	st, err := os.Stat(filepath.Join(dir, "staprun"))
	if err != nil {
		return err
	}
	fmt.Printf("staprun has %d bytes\n", st.Size())
	for _, s := range scripts {
		bundle := filepath.Join(dir, "x.o")
		if out, err := exec.Command(filepath.Join(dir, "stapc"), "-w", "-o", bundle, "-e", s.text).CombinedOutput(); err != nil {
			return fmt.Errorf("stapc: %w: %s", err, out)
		}
		best, line, memory := 0.0, "", ""
		for range tries {
			l, m, err := once(filepath.Join(dir, "staprun"), bundle)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			text, _, _ := strings.Cut(l, " ms:")
			took, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return fmt.Errorf("%s: %q is no time", s.name, l)
			}
			if line == "" || took < best {
				best, line, memory = took, l, m
			}
		}
		fmt.Printf("%s\n  %s\n  %s\n", s.name, line, memory)
	}
	return nil
}

// once starts a bundle. It returns what staprun tells of its start, and the memory that its
// processes have a moment later.
func once(staprun, bundle string) (line, memory string, err error) {
	cmd := exec.Command(staprun, "-vv", "--allow-unsigned", bundle)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return "", "", err
	}
	if err := cmd.Start(); err != nil {
		return "", "", err
	}
	var said []string
	for sc := bufio.NewScanner(stderr); sc.Scan(); {
		if rest, ok := strings.CutPrefix(sc.Text(), "the probes are active after "); ok {
			line = rest
			time.Sleep(200 * time.Millisecond)
			memory = "staprun " + memoryOf(cmd.Process.Pid) + ", its broker " + memoryOf(host.Broker(cmd.Process.Pid))
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				return "", "", err
			}
		}
		said = append(said, sc.Text())
	}
	if err := cmd.Wait(); err != nil {
		return "", "", fmt.Errorf("%w: %s", err, strings.Join(said, "\n"))
	}
	if line == "" {
		return "", "", fmt.Errorf("it told nothing of its start: %s", strings.Join(said, "\n"))
	}
	return line, memory, nil
}

// memoryOf tells how much of a process is resident, at most and now, and how much of that no
// other process has.
func memoryOf(pid int) string {
	field := func(file, name string) float64 {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil {
			return 0
		}
		for l := range strings.Lines(string(b)) {
			if f := strings.Fields(l); len(f) > 1 && f[0] == name+":" {
				if n, err := strconv.ParseFloat(f[1], 64); err == nil {
					return n * 1024 / 1e6
				}
			}
		}
		return 0
	}
	return fmt.Sprintf("%.1f MB at most, %.1f then, %.1f its own share", field("status", "VmHWM"), field("status", "VmRSS"), field("smaps_rollup", "Pss"))
}
