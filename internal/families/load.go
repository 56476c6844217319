package families

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Load is a script about calls of which it is known how many there are:
// internal/e2e/testdata/load.c makes n of a kind on each of two CPUs at the same time,
// and each call carries a number, 0 to n-1.
type Load struct {
	Name string
	Kind string // of the calls
	Text string
	// Lines: a line is printed for each call, with its number.
	Lines bool
	// Figures are those of the last line, the first of them the number of calls.
	Figures func(n int64) []int64
}

// Loads are the reference runs: the ways by which scripts count.
var Loads = []Load{
	{Name: "counters", Kind: "call", Figures: calls(2),
		Text: `global n, cpus
probe kernel.trace("raw_syscalls:sys_enter") { if ($id == %( arch == "arm64" %? 62 %: 8 %) && pid() == target()) { n++; cpus[cpu()]++ } }
probe end { foreach (c in cpus) sum += cpus[c]; println(n, " ", sum) }`},
	{Name: "aggregates", Kind: "call",
		Figures: func(n int64) []int64 { return []int64{2 * n, n * (n - 1), 0, n - 1} },
		Text: `global all
probe syscall.lseek { if (pid() == target()) all <<< offset }
probe end { println(@count(all), " ", @sum(all), " ", @min(all), " ", @max(all)) }`},
	{Name: "returns", Kind: "call", Figures: calls(2),
		Text: `global n, results
probe syscall.lseek.return { if (pid() == target()) { n++; results[retval]++ } }
probe end { println(n, " ", results[-9]) }`},
	{Name: "arrays", Kind: "call",
		Figures: func(n int64) []int64 { return []int64{2 * n, n, n, n * (n - 1), min(n, 1000)} },
		Text: `global threads, values, sum
probe syscall.lseek { if (pid() == target()) { threads[tid()]++; values[offset % 1000]++; sum += offset } }
probe end {
	foreach (t in threads) { n += threads[t]; each = sprintf("%s %d", each, threads[t]) }
	foreach (v in values) different++
	println(n, each, " ", sum, " ", different)
}`},
	{Name: "locked globals", Kind: "call",
		Figures: func(n int64) []int64 { return []int64{2 * n, n * (n - 1), n * (n - 1), 2 * n} },
		Text: `global n, sum, most, steps
probe syscall.lseek { if (pid() == target()) { n++; sum += offset; most = sum > most ? sum : most; steps = n } }
probe end { println(n, " ", sum, " ", most, " ", steps) }`},
	{Name: "functions of a program", Kind: "tick",
		Figures: func(n int64) []int64 { return []int64{2 * n, n * (n - 1)} },
		Text: `global n, sum
probe process("./load").function("tick") { n++; sum += $i }
probe end { println(n, " ", sum) }`},
	{Name: "their returns", Kind: "tick",
		Figures: func(n int64) []int64 { return []int64{2 * n, n * (n + 1), n * (n - 1)} },
		Text: `global n, sum, entry
probe process("./load").function("tick").return { n++; sum += $return; entry += @entry($i) }
probe end { println(n, " ", sum, " ", entry) }`},
	{Name: "marks", Kind: "mark",
		Figures: func(n int64) []int64 { return []int64{2 * n, n * (n - 1)} },
		Text: `global n, sum
probe process("./load").mark("hit") { n++; sum += $arg1 }
probe end { println(n, " ", sum) }`},
	{Name: "a line for each", Kind: "call", Lines: true,
		Figures: func(n int64) []int64 { return []int64{2 * n, n * (n - 1)} },
		Text: `global n, sum
probe syscall.lseek { if (pid() == target()) { n++; sum += offset; printf("%d\n", offset) } }
probe end { println(n, " ", sum) }`},
}

// calls gives the number of calls so many times.
func calls(times int) func(n int64) []int64 {
	return func(n int64) []int64 { return slices.Repeat([]int64{2 * n}, times) }
}

// Told is what a run says went by.
type Told struct {
	Skipped, Lost int64 // hits, and printed lines
}

var (
	toldSkipped = regexp.MustCompile(`skipped probes: (\d+)`)
	toldLost    = regexp.MustCompile(`output lost because the buffer was full, in hits: (\d+)`)
)

// Check holds the output of a run with n calls on each CPU, and what it told on standard
// error, against what happened: either all is there, or what is not is told.
func (l *Load) Check(out, errs string, n int64) (told Told, bad []string) {
	told.Skipped, told.Lost = told1(toldSkipped, errs), told1(toldLost, errs)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	last := lines[len(lines)-1]
	lines = lines[:len(lines)-1]
	var got []int64
	for _, f := range strings.Fields(last) {
		v, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return told, []string{fmt.Sprintf("the last line is %q", last)}
		}
		got = append(got, v)
	}
	want := l.Figures(n)
	switch {
	case len(got) != len(want):
		bad = append(bad, fmt.Sprintf("figures %v, not %v", got, want))
	case told.Skipped == 0:
		if !slices.Equal(got, want) {
			bad = append(bad, fmt.Sprintf("figures %v, not %v, and nothing is told of", got, want))
		}
	case got[0]+told.Skipped != want[0]:
		bad = append(bad, fmt.Sprintf("%d hits and %d skipped make %d, not %d", got[0], told.Skipped, got[0]+told.Skipped, want[0]))
	}
	if !l.Lines {
		if len(lines) > 0 {
			bad = append(bad, fmt.Sprintf("%d lines more", len(lines)))
		}
		return told, bad
	}
	if all := int64(len(lines)) + told.Lost; len(got) > 0 && all != got[0] {
		bad = append(bad, fmt.Sprintf("%d lines and %d lost make %d, not %d", len(lines), told.Lost, all, got[0]))
	}
	var sum int64
	for _, s := range lines {
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return told, append(bad, fmt.Sprintf("the line %q", s))
		}
		sum += v
	}
	if told == (Told{}) && sum != want[1] {
		bad = append(bad, fmt.Sprintf("the numbers of the lines make %d, not %d", sum, want[1]))
	}
	return told, bad
}

func told1(form *regexp.Regexp, errs string) int64 {
	m := form.FindStringSubmatch(errs)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0
	}
	return n
}
