//go:build linux

// Command run compiles SystemTap's example scripts and runs those that compile for
// some seconds, on the first of several kernels that takes them:
//
//	go run ./internal/examples/run -on native,6.12,6.1 -out build/examples
//
// It prints a line for each that does not run, and how many do.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"stapkit/internal/examples"
	"stapkit/internal/guest"
	"stapkit/target"
)

func main() {
	on := flag.String("on", "native,6.12,6.1", "kernels, in the order to try them")
	only := flag.String("only", "", "only examples whose name matches `REGEXP`")
	out := flag.String("out", "", "keep what they wrote in `FOLDER`")
	with := flag.String("with", "", "`COMMAND` to run the loader with on this machine")
	seconds := flag.Int("T", 2, "how many `SECONDS` each runs")
	compile := flag.Bool("p4", false, "compile only")
	verbose := flag.Bool("v", false, "a line for each that runs as well, and all errors")
	flag.Parse()
	r := runner{out: *out, with: *with, seconds: *seconds, compile: *compile, verbose: *verbose}
	if err := r.all(context.Background(), strings.Split(*on, ","), *only); err != nil {
		fmt.Fprintln(os.Stderr, "examples:", err)
		os.Exit(1)
	}
}

type runner struct {
	out, with        string
	seconds          int
	compile, verbose bool

	ran map[string]string         // by example: where
	why map[string]string         // the furthest failure
	far map[string]examples.Stage // how far
	bad map[string]bool           // ended with an error of a handler

	looked, odd int // outputs that were held against the table, and those that do not fit
}

func (r *runner) all(ctx context.Context, kernels []string, only string) error {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	list, err := examples.List()
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fmt.Errorf("there are no examples here: install systemtap-doc")
	}
	var todo []examples.Example
	for _, e := range list {
		if pattern.MatchString(e.Name) {
			todo = append(todo, e)
		}
	}
	if r.out != "" {
		if err := os.MkdirAll(r.out, 0o755); err != nil {
			return err
		}
	}
	r.ran, r.why, r.far, r.bad = map[string]string{}, map[string]string{}, map[string]examples.Stage{}, map[string]bool{}
	for _, k := range kernels {
		if err := r.on(ctx, k, todo); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
	}
	r.report(todo)
	return nil
}

// on runs what did not run before on one more kernel.
func (r *runner) on(ctx context.Context, kernel string, todo []examples.Example) error {
	p, err := r.place(ctx, kernel)
	if err != nil {
		return err
	}
	for _, e := range todo {
		if r.ran[e.Name] != "" {
			continue
		}
		if r.compile {
			if res := examples.Compile(e, p.Target); res.ParseOnly {
				r.parsed(e)
			} else if res.OK {
				r.ran[e.Name] = kernel
			} else {
				r.failed(e, kernel, res.Stage, res.Why)
			}
			continue
		}
		res, ran, err := p.Run(ctx, e, r.seconds)
		switch {
		case err != nil:
			r.failed(e, kernel, examples.Loaded, err.Error())
		case !res.OK:
			r.failed(e, kernel, res.Stage, res.Why)
		case res.ParseOnly:
			r.parsed(e)
		case !ran.OK:
			r.failed(e, kernel, examples.Loaded, ran.Why)
		default:
			r.ran[e.Name], r.bad[e.Name] = kernel, ran.Errors
			r.keep(e, ran)
			if re := examples.Outputs()[e.Name]; re != nil {
				if r.looked++; !re.MatchString(ran.Stdout) {
					r.odd++
					fmt.Printf("%s on %s printed something else than %v\n", e.Name, kernel, re)
				}
			}
			if r.verbose {
				fmt.Printf("ran on %s: %s (%d bytes of output, status %d)\n", kernel, e.Name, len(ran.Stdout), ran.Code)
			}
		}
	}
	return p.Close()
}

func (r *runner) place(ctx context.Context, kernel string) (*examples.Place, error) {
	if kernel != "native" {
		if r.compile {
			k, err := guest.Find(kernel)
			if err != nil {
				return nil, err
			}
			desc, err := guest.Describe(ctx, k, examples.Modules)
			if err != nil {
				return nil, err
			}
			t, err := target.Open(desc)
			return &examples.Place{Name: kernel, Target: t}, err
		}
		return examples.There(ctx, kernel, true)
	}
	dir, err := os.MkdirTemp("", "examples")
	if err != nil {
		return nil, err
	}
	staprun := filepath.Join(dir, "staprun")
	if b, err := exec.Command("go", "build", "-o", staprun, "stapkit/cmd/staprun").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, b)
	}
	return examples.Here(append(strings.Fields(r.with), staprun)...)
}

// parsed notes an example whose command asks for parsing only.
func (r *runner) parsed(e examples.Example) { r.ran[e.Name], r.bad[e.Name] = "parsed", false }

func (r *runner) failed(e examples.Example, kernel string, stage examples.Stage, why string) {
	if _, ok := r.why[e.Name]; ok && r.far[e.Name] > stage {
		return
	}
	r.far[e.Name], r.why[e.Name] = stage, kernel+": "+stage.String()+": "+why
}

func (r *runner) keep(e examples.Example, ran examples.Ran) {
	if r.out == "" {
		return
	}
	text := fmt.Sprintf("%s on %s, status %d\n--- output\n%s\n--- errors\n%s", e.Name, ran.Place, ran.Code, ran.Stdout, ran.Stderr)
	if err := os.WriteFile(filepath.Join(r.out, e.Short()+".txt"), []byte(text), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "examples:", err)
	}
}

func (r *runner) report(todo []examples.Example) {
	count := map[examples.Stage]int{}
	errors, where := 0, map[string]int{}
	for _, e := range todo {
		if k := r.ran[e.Name]; k != "" {
			where[k]++
			if r.bad[e.Name] {
				errors++
				fmt.Printf("ended with an error: %s\n", e.Name)
			}
			continue
		}
		count[r.far[e.Name]]++
		why := r.why[e.Name]
		if !r.verbose {
			why, _, _ = strings.Cut(why, "\n")
			if len(why) > 220 {
				why = why[:220] + "…"
			}
		}
		fmt.Printf("%s: %s\n", e.Name, why)
	}
	n := len(todo)
	fmt.Printf("%d of %d have a command that only parses them\n", where["parsed"], n)
	for s := examples.Parsed; s < examples.Loaded; s++ {
		n -= count[s]
		fmt.Printf("%d of %d %s\n", n, len(todo), []string{"parse", "elaborate", "compile"}[s])
	}
	if !r.compile {
		n -= count[examples.Loaded]
		fmt.Printf("%d of %d load (%v), of which %d end with an error of a handler\n", n, len(todo), where, errors)
		fmt.Printf("%d outputs are as they were looked at, %d are not\n", r.looked-r.odd, r.odd)
	}
}
