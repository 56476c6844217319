//go:build linux

// Guest tells what a hit of a probe costs, in instructions of a guest's processor: the
// same on any machine, however busy. It boots Debian's kernels with a clock that advances
// with each instruction, runs the workload there without and under a probe, and takes the
// difference. Beside our scripts it does so for programs written by hand in C and for
// bpftrace.
//
//	go run ./bench/guest                 both kernels, all tools; writes the figures
//	go run ./bench/guest -check          the short rows on one kernel, ours alone, held
//	                                     against the committed figures
//	go run ./bench/guest -row 'kprobe'   some rows, printed only
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"stapkit/bench/results"
	"stapkit/internal/guest"
)

const (
	figuresFile = "bench/figures/guest.txt"
	resultsFile = "bench/RESULTS.md"
	section     = "Instructions per hit, in guests"
)

func main() {
	kernels := flag.String("kernel", "", "`KERNELS`, separated by commas (default: all; with -check the oldest)")
	only := flag.String("row", "", "only rows that match `PATTERN`; nothing is written")
	tools := flag.String("tool", "", "only these `TOOLS`, of stapkit, raw and bpftrace, separated by commas")
	check := flag.Bool("check", false, "hold short rows against the committed figures")
	table := flag.Bool("table", false, "write the table of the committed figures and measure nothing")
	keep := flag.Bool("keep", false, "merge into the committed figures even if only some rows or tools are measured")
	flag.Parse()
	if err := run(*kernels, *only, *tools, *check, *table, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}

func run(kernels, only, tools string, check, table, keep bool) error {
	committed, err := results.Read(figuresFile)
	if err != nil {
		return err
	}
	if table {
		return results.Section(resultsFile, section, text(committed))
	}
	if check {
		return checkAll(kernels, committed, os.Stdout)
	}
	re, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	var list []row
	for _, r := range rows {
		if re.MatchString(r.name) {
			list = append(list, r)
		}
	}
	if tools == "" {
		tools = "stapkit,raw,bpftrace"
	}
	got := &results.Set{}
	var failed error
	for _, k := range kernelNames(kernels) {
		began := time.Now()
		s, err := measure(context.Background(), k, list, strings.Split(tools, ","), 8, os.Stdout)
		failed = errors.Join(failed, err)
		if s != nil {
			got.Merge(s)
		}
		fmt.Printf("%s: %.0f s\n", k, time.Since(began).Seconds())
	}
	if only == "" && tools == "stapkit,raw,bpftrace" || keep {
		committed.Merge(got)
		if err := committed.Write(figuresFile); err != nil {
			return err
		}
		failed = errors.Join(failed, results.Section(resultsFile, section, text(committed)))
	}
	fmt.Print(text(got))
	return failed
}

func kernelNames(list string) []string {
	if list != "" {
		return strings.Split(list, ",")
	}
	var names []string
	for _, s := range guest.Suites {
		names = append(names, s.Kernel)
	}
	return names
}

// growth is how much more than the committed figure a row may cost.
const growth = 0.05

// checkAll measures the short rows and compares.
func checkAll(kernels string, committed *results.Set, w *os.File) error {
	if kernels == "" {
		kernels = guest.Suites[0].Kernel
	}
	var short []row
	for _, r := range rows {
		if r.short {
			short = append(short, r)
		}
	}
	var failed error
	for _, k := range kernelNames(kernels) {
		if err := comparableTo(k, committed); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		// Maps hash with a seed of their own, so that what a key's bucket holds differs from
		// run to run: what is over its bound is measured again.
		costly := short
		var over error
		for range 3 {
			s, err := measure(context.Background(), k, costly, []string{"stapkit"}, 8, w)
			if err != nil {
				return err
			}
			if over = compare(k, costly, s, committed); over == nil {
				break
			}
			var still []row
			for _, r := range costly {
				if compare(k, []row{r}, s, committed) != nil {
					still = append(still, r)
				}
			}
			costly = still
		}
		failed = errors.Join(failed, over)
	}
	return failed
}

// An OtherError tells that figures cannot be compared, as they were not measured on the
// same.
type OtherError struct{ What, Then, Now string }

func (e *OtherError) Error() string {
	return fmt.Sprintf("the committed figures were measured with %s %s and here is %s, which may cost more or less by itself; run make bench-guest", e.What, e.Then, e.Now)
}

// comparableTo reports by an *OtherError if figures of a kernel cannot be held against the
// committed ones here.
func comparableTo(kernel string, committed *results.Set) error {
	k, err := guest.Find(kernel)
	if err != nil {
		return err
	}
	on, err := settings(context.Background(), k)
	if err != nil {
		return err
	}
	for _, what := range slices.Sorted(maps.Keys(on)) {
		if then := committed.Setting(what); then != on[what] {
			return &OtherError{what, then, on[what]}
		}
	}
	return nil
}

// compare says which rows cost more than the committed figures allow, or are not among
// them.
func compare(kernel string, list []row, got, committed *results.Set) error {
	var failed error
	for _, r := range list {
		name := figure(kernel, r.name, "stapkit")
		now, then := got.Get(name), committed.Get(name)
		switch {
		case math.IsNaN(now):
			failed = errors.Join(failed, fmt.Errorf("%s: not measured", name))
		case math.IsNaN(then):
			failed = errors.Join(failed, fmt.Errorf("%s: no committed figure; run make bench-guest", name))
		case now > then*(1+growth)+1:
			failed = errors.Join(failed, fmt.Errorf("%s: %.0f instructions per hit, %.0f before", name, now, then))
		}
	}
	return failed
}

func figure(kernel, row, tool string) string {
	return "Hit/kernel=" + kernel + "/" + row + "/tool=" + tool
}

// text is the table of figures.
func text(s *results.Set) string {
	var b strings.Builder
	b.WriteString(`Instructions of the guest's processor for one hit of a probe, beyond what the probed work takes
by itself (` + "`-icount shift=0`" + `, one processor; the least of eight rounds). They are the same on any
machine. "By hand" is a C program for the same work (bench/c/peer.bpf.c), which has no limits,
counts no losses, and cannot be stopped; our scripts run with all default limits. SystemTap's
figures were recorded on 6.1 with a patched copy, since Debian's package no longer makes modules
for its own kernel. "Over" is what a row has above the goal: 10 % or 25 instructions (the larger)
more than by hand; a row must also be below the others but for uretprobes of SystemTap's module.
`)
	for _, k := range kernelNames("") {
		t := results.Table{Head: []string{"Linux " + k, "stapkit", "by hand", "bpftrace", "SystemTap", "stapbpf", "over"}}
		for i := range rows {
			r := &rows[i]
			ours := s.Get(figure(k, r.name, "stapkit"))
			raw := s.Get(figure(k, r.name, "raw"))
			bpf := s.Get(figure(k, r.name, "bpftrace"))
			if math.IsNaN(ours) && math.IsNaN(raw) && math.IsNaN(bpf) {
				continue
			}
			stap, stapbpf := none, none
			if k == "6.1" && r.stap > 0 {
				stap = r.stap
			}
			if k == "6.1" && r.stapbpf > 0 {
				stapbpf = r.stapbpf
			}
			t.Row(r.title, results.Number(ours, 0), results.Number(raw, 0), results.Number(bpf, 0),
				results.Number(stap, 0), results.Number(stapbpf, 0), over(r, ours, raw, bpf, stap))
		}
		if len(t.Rows) > 0 {
			b.WriteString("\n" + t.String())
		}
	}
	return b.String()
}

// over says by how much a row misses its goals.
func over(r *row, ours, raw, bpftrace, stap float64) string {
	var s []string
	if most := math.Max(raw*1.1, raw+25); ours > most {
		s = append(s, fmt.Sprintf("%.0f", ours-most))
	}
	if ours > bpftrace || ours == bpftrace && !r.other {
		s = append(s, "bpftrace")
	}
	if ours >= stap && !r.lost {
		s = append(s, "SystemTap")
	}
	return strings.Join(s, ", ")
}
