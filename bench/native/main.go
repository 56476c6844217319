//go:build linux

// Native measures stapkit and its peers on this machine, side by side in one run: how
// long scripts take to start, what a hit costs, how fast output flows, how long the tools
// take, and how all of it grows. It writes bench/RESULTS.md, the figures in a form that
// benchstat reads (bench/figures/native.txt), and a copy of these below bench/history.
//
//	go run ./bench/native                 all of it, within 20 minutes
//	go run ./bench/native -part start,hit some parts, printed only
//	go run ./bench/native -smoke          everything as short as can be, to see that it works
//
// A tool that is missing, and a measurement that fails, leave a dash in the tables and a
// line below them. Nothing is asserted about times.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stapkit/bench/results"
	"stapkit/bench/workload"
	"stapkit/internal/host"
)

const (
	resultsFile = "bench/RESULTS.md"
	figuresFile = "bench/figures/native.txt"
	historyDir  = "bench/history"
)

// A part measures one thing and gives the text of its section.
type part struct {
	name, title string
	share       float64 // of the time
	run         func(*bench) string
}

var parts = []part{
	{"start", "Start-up", 0.25, start},
	{"hit", "Nanoseconds per hit", 0.35, hit},
	{"output", "Output", 0.12, output},
	{"tools", "Tools", 0.13, tools},
	{"scale", "Growth", 0.15, scale},
}

// bench is what the parts share.
type bench struct {
	ctx      context.Context
	root     string // of the repository
	dir      string // for files
	smoke    bool
	set      *results.Set
	failures []string
	began    time.Time
	until    time.Time // the present part's
	missing  map[string]bool
	skipped  int
}

func main() {
	only := flag.String("part", "", "only these `PARTS`, separated by commas; nothing is written")
	smoke := flag.Bool("smoke", false, "as short as can be; nothing is written")
	limit := flag.Duration("limit", 18*time.Minute, "how long all of it may take")
	flag.Parse()
	if os.Getenv(inside) == "" {
		os.Exit(again())
	}
	if err := mountTracing(); err != nil {
		fmt.Fprintln(os.Stderr, "native: tracefs:", err) // peers need it, ours does not
	}
	if err := run(*only, *smoke, *limit); err != nil {
		fmt.Fprintln(os.Stderr, "native:", err)
		os.Exit(1)
	}
}

// inside is set in the environment of the process that has mounts of its own.
const inside = "STAPKIT_BENCH_INSIDE"

// again runs this command once more where it can mount what peers want mounted without
// anybody else seeing it.
func again() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGINT}
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			fmt.Fprintln(os.Stderr, "native:", err)
		}
		return 1
	}
	return 0
}

// mountTracing mounts what is not there yet.
func mountTracing() error {
	var failed error
	for _, m := range []struct{ kind, dir, file string }{{"debugfs", "/sys/kernel/debug", "bdi"}, {"tracefs", "/sys/kernel/tracing", "events"}} {
		if _, err := os.Stat(filepath.Join(m.dir, m.file)); err == nil {
			continue
		}
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", m.dir, err))
		}
	}
	return failed
}

func run(only string, smoke bool, limit time.Duration) (err error) {
	b := &bench{ctx: context.Background(), smoke: smoke, set: &results.Set{}, missing: map[string]bool{}, began: time.Now()}
	if b.root, err = os.Getwd(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := b.build(); err != nil {
		return err
	}
	end := time.Now().Add(limit)
	var chosen []part
	total := 0.0
	for _, p := range parts {
		if only == "" || slices.Contains(strings.Split(only, ","), p.name) {
			chosen = append(chosen, p)
			total += p.share
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no part %q", only)
	}
	if why := host.BPF(); why != "" {
		fmt.Fprintf(os.Stderr, "no programs can be loaded here, so only the tools are measured: %s\n", why)
		chosen = slices.DeleteFunc(chosen, func(p part) bool { return p.name != "tools" })
	}
	b.set.Config = b.config()
	texts := map[string]string{}
	for _, p := range chosen {
		// What earlier parts did not use is there for later ones.
		b.until = time.Now().Add(time.Duration(float64(time.Until(end)) * p.share / total))
		total -= p.share
		b.failures, b.skipped = nil, 0
		began := time.Now()
		fmt.Fprintf(os.Stderr, "== %s\n", p.title)
		text := p.run(b)
		if b.skipped > 0 {
			text += fmt.Sprintf("\nNot measured for want of time: %d figures.\n", b.skipped)
		}
		if len(b.failures) > 0 {
			text += "\nFailed:\n\n"
			for _, f := range b.failures {
				text += "- " + f + "\n"
			}
		}
		texts[p.title] = text
		fmt.Fprintf(os.Stderr, "== %s: %.0f s\n", p.title, time.Since(began).Seconds())
		if smoke && len(b.failures) > 0 {
			err = errors.Join(err, fmt.Errorf("%s:\n%s", p.name, strings.Join(b.failures, "\n")))
		}
	}
	if only != "" || smoke {
		for _, p := range chosen {
			fmt.Printf("## %s\n\n%s\n", p.title, texts[p.title])
		}
		return err
	}
	machine := b.machine(time.Since(b.began))
	if err := results.Section(resultsFile, "The machine", machine); err != nil {
		return err
	}
	for _, p := range chosen {
		if err := results.Section(resultsFile, p.title, texts[p.title]); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(figuresFile), 0o755); err != nil {
		return err
	}
	if err := b.set.Write(figuresFile); err != nil {
		return err
	}
	if err := os.MkdirAll(historyDir, 0o755); err != nil {
		return err
	}
	return b.set.Write(filepath.Join(historyDir, time.Now().UTC().Format("2006-01-02T1504")+".txt"))
}

// build makes the commands and the workload.
func (b *bench) build() error {
	// The loader has to be as it is shipped.
	if err := os.Setenv("CGO_ENABLED", "0"); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", b.dir+"/",
		"./cmd/stap", "./cmd/stapc", "./cmd/staprun", "./cmd/stapfmt", "./cmd/staplint", "./bench/peer")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	if err := workload.Build(b.path("work")); err != nil {
		return err
	}
	if b.has("clang") {
		if err := workload.BuildPeer(b.path("peer.bpf.o")); err != nil {
			return err
		}
	}
	// What this run keeps on disk is its own.
	return errors.Join(os.Setenv("STAPKIT_CACHE", b.path("cache")), os.Setenv("LC_ALL", "C"))
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// has reports whether a tool of others is there. One that is not is told once.
func (b *bench) has(tool string) bool {
	if b.smoke && tool != "clang" && tool != "gofmt" {
		return false // ours are what must not rot
	}
	if _, err := exec.LookPath(tool); err != nil {
		if !b.missing[tool] {
			b.missing[tool] = true
			fmt.Fprintf(os.Stderr, "%s is not installed\n", tool)
		}
		return false
	}
	return true
}

// fail notes what could not be measured.
func (b *bench) fail(what string, err error) {
	line := what + ": " + strings.Join(strings.Fields(err.Error()), " ")
	if len(line) > 300 {
		line = line[:300] + "…"
	}
	if slices.Contains(b.failures, line) {
		return
	}
	b.failures = append(b.failures, line)
	fmt.Fprintln(os.Stderr, line)
}

// late reports whether the part's time is over.
func (b *bench) late() bool {
	if time.Now().After(b.until) {
		b.skipped++
		return true
	}
	return false
}

// times is how often something is measured.
func (b *bench) times(n int) int {
	if b.smoke {
		return 1
	}
	return n
}

// config is the machine, for benchstat.
func (b *bench) config() []string {
	var u unix.Utsname
	release := "?"
	if unix.Uname(&u) == nil {
		release = unix.ByteSliceToString(u.Release[:])
	}
	return []string{"goos: linux", "goarch: " + strings.TrimSpace(output1("go", "env", "GOARCH")), "cpu: " + cpuModel(), "kernel: " + release,
		"commit: " + strings.TrimSpace(output1("git", "rev-parse", "--short", "HEAD"))}
}

func output1(args ...string) string {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return ""
	}
	return string(out)
}

func cpuModel() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "?"
	}
	for line := range strings.Lines(string(data)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return "?"
}

// machine describes it.
func (b *bench) machine(took time.Duration) string {
	var s strings.Builder
	cpus := strings.TrimSpace(output1("nproc"))
	mem := "?"
	if data, err := os.ReadFile("/proc/meminfo"); err == nil {
		mem, _, _ = strings.Cut(strings.TrimSpace(strings.TrimPrefix(string(data), "MemTotal:")), "\n")
	}
	load := "?"
	if data, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(data))[:3], " ")
	}
	fmt.Fprintf(&s, "Measured %s by `make bench`, in one run of %.0f minutes; commit %s.\n\n", b.began.UTC().Format("2006-01-02 15:04 UTC"), took.Minutes(), strings.TrimPrefix(b.set.Config[4], "commit: "))
	fmt.Fprintf(&s, "- %s processors (%s), %s memory, load at the end %s\n- Linux %s, %s\n", cpus, cpuModel(), mem, load,
		strings.TrimPrefix(b.set.Config[3], "kernel: "), strings.TrimSpace(output1("go", "version")))
	first := func(args ...string) string {
		if _, err := exec.LookPath(args[0]); err != nil {
			return args[0] + ": not installed"
		}
		line, _, _ := strings.Cut(strings.TrimSpace(output1(args...)), "\n")
		return line
	}
	fmt.Fprintf(&s, "- peers: %s; %s; %s; %s; %s\n", first("bpftrace", "--version"), first("clang", "--version"), first("strace", "--version"), first("perf", "--version"), first("shfmt", "--version"))
	s.WriteString("\nTimes are medians; the ratio of two tools in this run says more than either figure.\n")
	if len(b.missing) > 0 {
		fmt.Fprintf(&s, "\nNot installed: %s.\n", strings.Join(slices.Sorted(maps.Keys(b.missing)), ", "))
	}
	return s.String()
}
