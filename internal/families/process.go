package families

import "fmt"

// Which processes a point of internal/e2e/testdata/rows.c is hit by.
const (
	Tree    = iota // the program and its child
	Library        // the same, of a library
	One            // not the child
)

// Process gives the forms of points of a program that is rows.c: where begins them, and
// at tells the addresses of its functions.
func Process(where string, at func(symbol string) uint64, which int) []Point {
	twice, callee, inl := 6, 15, 9
	if which == One {
		twice, callee, inl = 5, 13, 8
	}
	fn := func(name string) string { return fmt.Sprintf("%s.function(%q)", where, name) }
	addr := func(what, name string) string { return fmt.Sprintf("%s.%s(%#x)", where, what, at(name)) }
	out := []Point{
		{fn("callee"), "$a >= 0", callee, false},
		{fn("callee") + ".call", "", callee, false},
		{fn("callee") + ".return", "$return == @entry($a) + 1", callee, false},
		{fn("other") + ".exported", "", 3, false},
		{fn("inl") + ".inline", "", inl, false},
		{fn("twice") + `.label("out")`, "", twice, false},
		{fn("twice") + `.callee("callee")`, "", 2 * twice, false},
		{fn("twice") + `.callee("callee").call`, "", 2 * twice, false},
		{fn("twice") + `.callee("callee").return`, "$return", 2 * twice, false},
		{fn("twice") + ".callees", "", 3 * twice, false},
		{fn("twice") + ".callees(2)", "", 3 * twice, false},
		{addr("function", "callee"), "", callee, false},
		{addr("function", "callee") + ".call", "", callee, false},
		{addr("function", "callee") + ".return", "", callee, false},
		{addr("function", "other") + ".exported", "", 3, false},
		{fmt.Sprintf("%s.statement(%q)", where, "twice@rows.c:28"), "", twice, false},
		{fmt.Sprintf("%s.statement(%q).nearest", where, "twice@rows.c:28"), "", twice, false},
		{addr("statement", "twice"), "", twice, false},
		{addr("statement", "twice") + ".nearest", "", twice, false},
		{where + `.plt("strdup")`, "", 1, false},
		{where + `.plt("strdup").return`, "", 1, false},
		{where + ".plt", `ppfunc() == "strdup"`, 1, false},
		{where + ".plt.return", `ppfunc() == "strdup"`, 1, false},
		{where + `.mark("mid")`, "", twice, false},
		{where + `.provider("rows").mark("mid")`, "", twice, false},
	}
	switch which {
	case Library:
		return out
	case One:
		return append(out,
			Point{where + ".begin", "", 1, false},
			Point{where + ".end", "", 1, false},
			Point{where + ".thread.begin", "", 2, false},
			Point{where + ".thread.end", "", 2, false},
			Point{where + ".syscall", "$syscall == " + getppid, 2, false},
			Point{where + ".syscall.return", "$syscall == " + getppid, 2, false})
	}
	return append(out,
		Point{where + ".begin", "", 2, false},
		Point{where + ".end", "", 2, false},
		Point{where + ".thread.begin", "", 2, false},
		Point{where + ".thread.end", "", 2, false},
		Point{where + ".syscall", "$syscall == " + getppid, 2, false},
		Point{where + ".syscall.return", "$syscall == " + getppid, 2, false})
}

// Watch gives the watchpoints of a variable of rows.c. Each is to be run by itself: an
// emulated processor tells of all when one is met.
func Watch(where string, at func(symbol string) uint64) []Point {
	w := fmt.Sprintf("%s.data(%#x)", where, at("watched"))
	return []Point{
		{w + ".write", "", 4, false},
		{w + ".rw", "", 4, false},
		{w + ".length(8).write", "", 4, false},
		{w + ".length(8).rw", "", 4, false},
	}
}

// Perf counts events of internal/e2e/testdata/perf.c: a hundred page faults between its
// first two calls of getppid(), twenty sleeps between the next.
func Perf() *Batch {
	const (
		clock    = "perf.type(1).config(0)"
		faults   = "perf.type(1).config(2)"
		switches = "perf.type(1).config(3)"
	)
	first, second := "phase == 1", "phase == 2"
	target := " && pid() == target()"
	return &Batch{
		More: `global phase, from
probe ` + faults + `.counter("all") {}
probe ` + faults + `.process.counter("tree") {}
probe ` + faults + `.process("./perf").counter("program") {}
probe ` + faults + `.sample(1).counter("sampled") {}
probe ` + clock + `.hz(100).counter("clock") {}
probe syscall.getppid { if (pid() == target()) phase++ }
`,
		Points: []Point{
			{faults + ".sample(1)", first + target, 100, false},
			{faults + ".sample(10)", first + target, 9, true},
			{faults + ".sample(1).process", first, 100, false},
			{faults + `.sample(1).process("./perf")`, first, 100, false},
			{faults + `.sample(1).counter("s")`, first + target, 100, false},
			{switches + ".sample(1)", second + target, 20, true},
			{faults, "", 0, true},
			{faults + ".process", "", 0, true},
			{faults + `.process("./perf")`, "", 0, true},
			{clock + ".hz(1000)", "", 1, true},
			{clock + `.hz(1000).counter("h")`, "", 1, true},
			// Counters of a CPU; the program may move to another, so that only their growth is told.
			{"syscall.getppid", `pid() == target() && @perf("all") >= 0 && @perf("tree") >= 0 && @perf("program") >= 0 && @perf("sampled") >= 0`, 3, false},
		},
	}
}
