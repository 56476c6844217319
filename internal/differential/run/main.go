// Run compares the two executions of many random programs, in the kernel and on
// the interpreter, and prints the totals. It goes on where an earlier run stopped.
// It needs root.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"stapkit/internal/differential"
)

func main() {
	n := flag.Int("n", 100000, "how many programs")
	first := flag.Int("first", 1<<20, "the first seed")
	batch := flag.Int("batch", 2000, "how many programs a process runs")
	dir := flag.String("dir", "build/differential", "where the results of batches are kept")
	wrap := flag.String("wrap", "", "a `command` to run each batch with, such as one that holds a lock")
	show := flag.Bool("show", false, "print the totals of all batches in the folder")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *n, *first, *batch, *dir, strings.Fields(*wrap), *show); err != nil {
		fmt.Fprintln(os.Stderr, "differential:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, n, first, size int, dir string, wrap []string, show bool) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if show {
		return totals(dir)
	}
	test := filepath.Join(dir, "ebpf.test")
	commit, err := output("git", "rev-parse", "--short=12", "HEAD")
	if err != nil {
		return err
	}
	if changed, err := output("git", "status", "--porcelain", "-uno"); err != nil || changed != "" {
		commit += "+changes"
	}
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", test, "./compile/ebpf")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("the test does not build: %w", err)
	}
	kernel, err := output("uname", "-r")
	if err != nil {
		return err
	}
	var done []*differential.Batch
	for at := first; at < first+n && ctx.Err() == nil; at += size {
		count := min(size, first+n-at)
		file := filepath.Join(dir, fmt.Sprintf("%d-%d.json", at, count))
		b, err := read(file)
		if errors.Is(err, os.ErrNotExist) {
			if b, err = one(ctx, test, wrap, at, count, file, commit, kernel); err == nil {
				fmt.Print(strings.SplitAfter(differential.Summary([]*differential.Batch{b}), "\n")[0])
			}
		}
		switch {
		case err == nil:
			done = append(done, b)
		case ctx.Err() == nil:
			return err
		}
	}
	return tell(done)
}

// totals adds up all batches that have been run.
func totals(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return err
	}
	var done []*differential.Batch
	for _, f := range files {
		b, err := read(f)
		if err != nil {
			return err
		}
		done = append(done, b)
	}
	return tell(done)
}

// tell prints totals; programs that went wrong are an error.
func tell(done []*differential.Batch) error {
	fmt.Print(differential.Summary(done))
	for _, b := range done {
		if slices.ContainsFunc(b.Cases, func(c differential.Case) bool { return c.Kind != differential.Refused }) {
			return errors.New("the executions are not the same")
		}
	}
	return nil
}

// one runs a batch.
func one(ctx context.Context, test string, wrap []string, first, count int, file, commit, kernel string) (*differential.Batch, error) {
	tmp := file + ".tmp"
	args := append(slices.Clone(wrap), test, "-test.run", "^TestDifferential$", "-test.timeout", "0")
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	// Programs are released in steps, see the test; so it must not be killed.
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.Env = append(os.Environ(), differential.EnvFile+"="+tmp,
		differential.EnvFirst+"="+strconv.Itoa(first), differential.EnvCount+"="+strconv.Itoa(count))
	out, err := c.CombinedOutput()
	b, rerr := read(tmp)
	if rerr != nil {
		if len(out) > 4000 {
			out = out[len(out)-4000:]
		}
		return nil, fmt.Errorf("the batch from %d: %w, %v\n%s", first, rerr, err, out)
	}
	b.Commit, b.Kernel = commit, kernel
	data, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return nil, err
	}
	return b, os.Rename(tmp, file)
}

func read(file string) (*differential.Batch, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	b := &differential.Batch{}
	if err := json.Unmarshal(data, b); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return b, nil
}

func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	return strings.TrimSpace(string(out)), err
}
