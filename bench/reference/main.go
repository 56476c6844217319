//go:build linux

// Command reference runs the scripts of families.Loads while a program makes an exact
// number of calls on two CPUs, a million in a second, and then as fast as it can: what
// each script counts has to be that number, or what is missing has to be told of. Run as
// root, on a machine that does nothing else:
//
//	go run ./bench/reference -write      10 seconds for each script and rate, into bench/RESULTS.md
//	go run ./bench/reference -for 1s     shorter, printed
//
// The exit status is 1 if a figure was wrong without being told of.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stapkit/bench/results"
	"stapkit/internal/families"
)

// perSecond is the rate of calls, on two CPUs together.
const perSecond = 1_000_000

func main() {
	length := flag.Duration("for", 10*time.Second, "how long the calls of a script take at the rate")
	only := flag.String("only", "", "scripts with `TEXT` in their names")
	write := flag.Bool("write", false, "write bench/RESULTS.md")
	flag.Parse()
	if err := run(*length, *only, *write); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func run(length time.Duration, only string, write bool) (err error) {
	dir, err := os.MkdirTemp("", "reference")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", dir+"/", "./cmd/stap")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	for _, cmd := range []*exec.Cmd{build, exec.Command("gcc", "-g", "-O1", "-w", "-pthread", "-o", filepath.Join(dir, "load"), "internal/e2e/testdata/load.c")} {
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", cmd.Args[0], err, out)
		}
	}
	table := results.Table{Head: []string{"script counts", "calls", "a second", "skipped", "lines lost", "figures"}}
	wrong := 0
	for _, rate := range []int{perSecond, 0} {
		for i := range families.Loads {
			l := &families.Loads[i]
			if !strings.Contains(l.Name, only) {
				continue
			}
			n := int64(perSecond * length.Seconds() / 2)
			took, told, bad, err := one(dir, l, n, rate)
			if err != nil {
				return fmt.Errorf("%s: %w", l.Name, err)
			}
			verdict := "all there"
			switch {
			case len(bad) > 0:
				wrong++
				verdict = "wrong"
				fmt.Fprintf(os.Stderr, "%s: %s\n", l.Name, strings.Join(bad, "; "))
			case told != families.Told{}:
				verdict = "with what is told, all there"
			}
			name := l.Name
			if rate == 0 {
				name += ", unpaced"
			}
			table.Row(name, fmt.Sprint(2*n), fmt.Sprintf("%.0f", float64(2*n)/took), fmt.Sprint(told.Skipped), fmt.Sprint(told.Lost), verdict)
			fmt.Fprintf(os.Stderr, "%-40s %8.0f calls a second: %s\n", name, float64(2*n)/took, verdict)
		}
	}
	text := fmt.Sprintf(`What `+"`make bench-reference`"+` found on %s, with %d processors and a load of %s: a program makes an exact number of calls on
two CPUs, %d in a second or as fast as it can, each with a number of its own; scripts count and add them up
(internal/families/load.go). "All there" means that every figure is what it has to be; hits that were skipped and lines
that were lost are what the run itself told of, and with them the figures are complete. A uprobe costs its program more than
a microsecond on some machines, so the rate is not reached there.

%s`, kernel(), runtime.NumCPU(), load(), perSecond, table.String())
	if !write {
		fmt.Println(text)
	} else if err := results.Section("bench/RESULTS.md", "Counts under load", text); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d runs with wrong figures", wrong)
	}
	return nil
}

var took = regexp.MustCompile(`load: (\d+) calls in ([\d.]+) s`)

// one runs a script, and tells how long the calls took.
func one(dir string, l *families.Load, n int64, rate int) (seconds float64, told families.Told, bad []string, err error) {
	out := filepath.Join(dir, "out")
	line := fmt.Sprintf("./load %s %d %d", l.Kind, n, rate)
	cmd := exec.Command("./stap", "-o", out, "-c", line, "-e", l.Text)
	cmd.Dir = dir
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &errs, &errs
	if err := cmd.Run(); err != nil {
		return 0, told, nil, fmt.Errorf("%w\n%s", err, &errs)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		return 0, told, nil, err
	}
	m := took.FindStringSubmatch(errs.String())
	if m == nil {
		return 0, told, nil, fmt.Errorf("the program did not tell how long it took:\n%s", &errs)
	}
	if seconds, err = strconv.ParseFloat(m[2], 64); err != nil {
		return 0, told, nil, err
	}
	told, bad = l.Check(string(data), errs.String(), n)
	return seconds, told, bad, nil
}

// load is how busy the machine has been.
func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	one, _, _ := strings.Cut(string(data), " ")
	return one
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "this machine"
	}
	return "Linux " + unix.ByteSliceToString(u.Release[:])
}
