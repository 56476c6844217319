//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stapkit/internal/families"
	"stapkit/target/elf"
)

// row is a probe point and how often testdata/rows.c hits it.
type row struct {
	point string
	hits  int
}

// rowsOf are the points of a build of testdata/rows.c with debug information. twice()
// is called 5 times and once in the child, other() 3 times.
func rowsOf(program, buildID string) []row {
	p := fmt.Sprintf("process(%q)", "./"+program)
	return []row{
		{p + `.function("callee")`, 15},
		{p + `.function("callee").call`, 15},
		{p + `.function("callee").return`, 15},
		{p + `.function("callee@rows.c")`, 15},
		{p + `.function("inl")`, 9},
		{p + `.function("inl").inline`, 9},
		{p + `.function("twice").label("out")`, 6},
		{p + `.function("twice").callee("callee")`, 12},
		{p + `.function("twice").callees`, 18},
		{p + `.function("*@rows.c")`, 15 + 9 + 6 + 3 + 2 + 1},
		{p + `.function("nowhere")?`, 0},
		{p + `.statement("twice@rows.c:28")`, 6},
		{p + `.statement("twice@rows.c+2")`, 6},
		{p + `.statement("*@rows.c:28")`, 6},
		{p + `.mark("mid")`, 6},
		{p + `.provider("rows").mark("m*")`, 6},
		{p + `.begin`, 2}, // executed, and copied
		{p + `.end`, 2},
		{p + `.thread.begin`, 2},
		{p + `.thread.end`, 2},
		{fmt.Sprintf("process(%q).function(\"other\")", buildID), 3},
		{`process("./` + program[:len(program)-1] + `?").function("other")`, 3},
		{`process.function("callee")`, 15},
		{`process.begin`, 2},
		{`process.end`, 2},
		{`process.thread.begin`, 2},
		{`process.thread.end`, 2},
	}
}

func batch(rows []row, more string) *families.Batch {
	b := &families.Batch{More: more}
	for _, r := range rows {
		p := families.Point{At: r.point, Hits: r.hits}
		if strings.Contains(r.point, ".library(") { // which others use, too
			p.If = "pid() == target()"
		}
		b.Points = append(b.Points, p)
	}
	return b
}

// countRows makes a script that counts hits of points, and prints the count of each.
// Others may run the program or its library, too.
func countRows(rows []row, more string) string { return batch(rows, more).Script() }

func checkRows(t *testing.T, rows []row, out string) {
	t.Helper()
	for _, bad := range batch(rows, "").Check(out) {
		t.Error(bad)
	}
}

func buildID(t *testing.T, path string) string {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return f.BuildID
}

// TestProcessPoints counts the hits of every kind of point of a program: position-
// independent, of fixed addresses, static and stripped.
func TestProcessPoints(t *testing.T) {
	dir := needTools(t)
	rows := append(rowsOf("rows", buildID(t, filepath.Join(dir, "rows"))),
		row{`process("./rows").plt("strdup")`, 1},
		row{`process("./rows").plt("strdup").return`, 1},
		row{`process("./rows").library("libc.so.6").function("strdup")`, 1})
	checkRows(t, rows, stap(t, dir, "-c", "./rows", "-e", countRows(rows, "")))

	rows = rowsOf("static", buildID(t, filepath.Join(dir, "static")))
	checkRows(t, rows, stap(t, dir, "-c", "./static", "-e", countRows(rows, "")))

	f, err := elf.Open(filepath.Join(dir, "fixed"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	syms, err := f.Lookup("watched")
	if err != nil || len(syms) != 1 {
		t.Fatalf("%v %v", syms, err)
	}
	rows = append(rowsOf("fixed", f.BuildID),
		row{fmt.Sprintf(`process("./fixed").data(%#x).write`, syms[0].Addr), 4})
	checkRows(t, rows, stap(t, dir, "-c", "./fixed", "-e", countRows(rows, "")))
	// By itself: an emulated processor tells all of its watchpoints when one is met.
	rows = []row{{fmt.Sprintf(`process.data(%#x).length(8).rw`, syms[0].Addr), 4}}
	checkRows(t, rows, stap(t, dir, "-c", "./fixed", "-e", countRows(rows, "")))

	rows = []row{
		{`process("./stripped").mark("mid")`, 6},
		{`process("./stripped").plt("strdup")`, 1},
		{`process("./stripped").begin`, 2},
		{`process("./stripped").end`, 2},
	}
	checkRows(t, rows, stap(t, dir, "-c", "./stripped", "-e", countRows(rows, "")))
}

// symbols tells where functions of a program are.
func symbols(t *testing.T, path string) func(string) uint64 {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return func(name string) uint64 {
		t.Helper()
		list, err := f.Lookup(name)
		if err != nil || len(list) != 1 {
			t.Fatalf("%s of %s: %v %v", name, path, list, err)
		}
		return list[0].Addr
	}
}

// TestProcessForms counts the hits of every form of points: of a program by its path,
// of the target, of a process by its number, and of libraries.
func TestProcessForms(t *testing.T) {
	dir := needTools(t)
	run := func(points []families.Point, args ...string) {
		t.Helper()
		b := families.Batch{Points: points}
		for _, bad := range b.Check(stap(t, dir, append(args, "-e", b.Script())...)) {
			t.Error(bad)
		}
	}
	fixed, lib := symbols(t, filepath.Join(dir, "fixed")), symbols(t, filepath.Join(dir, "librows"))
	for _, p := range []string{`process("./fixed")`, "process"} {
		run(families.Process(p, fixed, families.Tree), "-c", "./fixed")
	}
	for _, p := range []string{`process("./uselib").library("./librows")`, `process.library("./librows")`} {
		run(families.Process(p, lib, families.Library), "-c", "./uselib")
	}
	for _, p := range families.Watch(`process("./fixed")`, fixed) {
		run([]families.Point{p}, "-c", "./fixed")
	}
	for _, p := range families.Watch("process", fixed) {
		run([]families.Point{p}, "-c", "./fixed")
	}
	// By number, the process and not its child.
	waiting := func(points []families.Point) {
		t.Helper()
		cmd := exec.Command("./fixed", "wait")
		cmd.Dir = dir
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		for i := range points {
			points[i].At = strings.ReplaceAll(points[i].At, "process(1)", fmt.Sprintf("process(%d)", cmd.Process.Pid))
		}
		b := families.Batch{Points: points, More: sayReady + fmt.Sprintf("probe process(%d).end { exit() }\n", cmd.Process.Pid)}
		tr := start(t, dir, "-e", b.Script())
		tr.waitReady()
		if _, err := io.WriteString(in, "x"); err != nil {
			t.Fatal(err)
		}
		for _, bad := range b.Check(strings.TrimPrefix(tr.end(0), "ready\n")) {
			t.Error(bad)
		}
	}
	waiting(families.Process("process(1)", fixed, families.One))
	for _, p := range families.Watch("process(1)", fixed) {
		waiting([]families.Point{p})
	}
}

// TestContexts asks in each family what is known of the running probe.
func TestContexts(t *testing.T) {
	dir := needTools(t)
	list := families.ProgramContexts(symbols(t, filepath.Join(dir, "fixed"))("watched"))
	for _, bad := range families.CheckContexts(list, stap(t, dir, "-c", "./fixed", "-e", families.ContextScript(list, ""))) {
		t.Error(bad)
	}
	list = families.ClockContexts
	for _, bad := range families.CheckContexts(list, stap(t, dir, "-c", "sleep 1", "-e", families.ContextScript(list, ""))) {
		t.Error(bad)
	}
}

// TestPython counts the calls of a function in Python by the interpreter's own marks,
// which are hit only while their semaphores say that somebody listens.
func TestPython(t *testing.T) {
	dir := needTools(t)
	const python = "/usr/bin/python3"
	f, err := elf.Open(python)
	if err != nil {
		t.Skip(err)
	}
	marks, err := f.Marks()
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(marks, func(m elf.Mark) bool { return m.Name == "function__entry" }) {
		t.Skip(python + " has no mark function__entry")
	}
	program := filepath.Join(t.TempDir(), "greet.py")
	if err := os.WriteFile(program, []byte("def greet(n):\n    return n + 1\n\nfor i in range(7):\n    greet(i)\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := stap(t, dir, "-c", python+" -S "+program, "-e", `global calls, names
probe process("`+python+`").provider("python").mark("function__entry") { if (user_string($arg2) == "greet") calls[user_string($arg1), $arg3]++ }
probe process("`+python+`").mark("*") { if (pid() == target()) names[$$provider, $$name]++ }
probe end {
	foreach ([f, l] in calls) println(f, ":", l, " ", calls[f, l])
	println(names["python", "function__entry"] > 7, " ", names["python", "function__entry"] == names["python", "function__return"])
}`)
	if want := program + ":1 7\n1 1\n"; out != want {
		t.Errorf("%s\nnot\n%s", out, want)
	}
}

// TestMany attaches to a thousand functions, each of which is called once.
func TestMany(t *testing.T) {
	dir := needTools(t)
	began := time.Now()
	out := stap(t, dir, "-c", "./many", "-e", `global n probe process("./many").function("many_*") { n[ppfunc()]++ }
probe end { foreach (f in n) { functions++; calls += n[f] } println(functions, " ", calls) }`)
	t.Logf("%.2f s with the compiler", time.Since(began).Seconds())
	if out != "1000 1000\n" {
		t.Errorf("functions and calls: %s", out)
	}
}

// TestPerf counts the events of a program exactly where the kernel makes them so.
func TestPerf(t *testing.T) {
	dir := needTools(t)
	b := families.Perf()
	args := []string{"-c", "./perf", "-e", b.Script()}
	for _, bad := range b.Check(stap(t, dir, args...)) {
		t.Error(bad)
	}
}

// TestReference has a program make an exact number of calls as fast as it can on two
// CPUs: scripts count all of them, or tell what they did not. The long form of it is
// bench/reference.
func TestReference(t *testing.T) {
	dir := needTools(t)
	const n = 30_000
	for _, l := range families.Loads {
		t.Run(l.Name, func(t *testing.T) {
			tr := start(t, dir, "-s", "1", "-o", "load.out", "-c", fmt.Sprintf("./load %s %d", l.Kind, n), "-e", l.Text)
			err := tr.cmd.Wait()
			out, rerr := os.ReadFile(filepath.Join(dir, "load.out"))
			if err := errors.Join(err, rerr); err != nil {
				t.Fatalf("%v\n%s", err, &tr.stderr)
			}
			told, bad := l.Check(string(out), tr.stderr.String(), n)
			for _, b := range bad {
				t.Errorf("%s\n%s", b, &tr.stderr)
			}
			t.Logf("%d skipped, %d lines lost; %s", told.Skipped, told.Lost, strings.TrimSpace(tr.stderr.String()))
		})
	}
}

// TestElsewhere probes a program in process and mount namespaces of its own, and below
// another root: it is the same program, and its stacks have names.
func TestElsewhere(t *testing.T) {
	dir := needTools(t)
	for _, command := range []string{"unshare --pid --mount --mount-proc --fork ./static", "chroot . /static"} {
		if _, err := exec.LookPath(strings.Fields(command)[0]); err != nil || os.Getuid() != 0 {
			t.Logf("needs root: %s (%v)", command, err)
			continue
		}
		rows := []row{
			{`process("./static").function("callee")`, 15},
			{`process("./static").mark("mid")`, 6},
			{`process("./static").begin`, 2},
			{`process("./static").end`, 2},
			{`process("./static").thread.begin`, 2},
		}
		out := stap(t, dir, "-c", command, "-e", countRows(rows, `global stacks
probe process("./static").function("callee") { if (!stacks++) { print_ubacktrace_brief(); println("--") } }
`))
		stack, counts, _ := strings.Cut(out, "--\n")
		checkRows(t, rows, counts)
		if !regexp.MustCompile(`^callee\+0x0.*\ntwice\+0x.*\nmain\+0x`).MatchString(stack) {
			t.Errorf("%s: stack\n%s", command, stack)
		}
	}
}

// TestProcessSearch finds programs in $PATH, and libraries as the dynamic linker does,
// by pattern too.
func TestProcessSearch(t *testing.T) {
	dir := needTools(t)
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	rows := []row{
		{`process("rows").function("callee")`, 15},
		{`process("libc.so.6").function("getppid")`, 2},
		{`process("libc.so*").function("strdup")`, 1},
	}
	// Other programs use the library as well.
	script := strings.ReplaceAll(countRows(rows, ""), " { hits", ` { if (execname() == "rows") hits`)
	checkRows(t, rows, stap(t, dir, "-c", "rows", "-e", script))
}

// TestProcessID probes a process by its number, and others by their program although
// they are in another mount namespace, where the program has another name.
func TestProcessID(t *testing.T) {
	dir := needTools(t)
	cmd := exec.Command("./rows", "wait")
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	pid := cmd.Process.Pid
	p := fmt.Sprintf("process(%d)", pid)
	rows := []row{
		{p + `.function("other")`, 3},
		{p + `.mark("mid")`, 5}, // not in the child
		{p + `.begin`, 1},       // it was there
		{p + `.end`, 1},
		{p + `.thread.begin`, 2},
		{p + `.thread.end`, 2},
		{`process("./rows").begin`, 1 + 1 + 2},
	}
	script := sayReady + strings.Replace(countRows(rows[:len(rows)-1], ""), "probe end", "probe never", 1) +
		fmt.Sprintf(`probe process("./rows").begin { hits[%d]++ }
global ends
probe process("./rows").end { if (++ends == 4) exit() }
probe end { for (i = 0; i < %d; i++) println(hits[i]) }`, len(rows)-1, len(rows))
	tr := start(t, dir, "-e", script)
	tr.waitReady()
	away := exec.Command("./rows")
	away.Dir = dir
	away.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if out, err := away.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := io.WriteString(in, "x"); err != nil {
		t.Fatal(err)
	}
	checkRows(t, rows, strings.TrimPrefix(tr.end(0), "ready\n"))
}

// shellIn starts a shell with a command, and a pipe to its input.
func shellIn(t *testing.T, dir, command string) (*exec.Cmd, io.WriteCloser) {
	t.Helper()
	shell := exec.Command("/bin/sh", "-c", command)
	shell.Dir = dir
	in, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	return shell, in
}

// TestOrphans: what descends from the target belongs to it, although the processes
// between have ended.
func TestOrphans(t *testing.T) {
	dir := needTools(t)
	shell, in := shellIn(t, dir, "read x; (sleep 0.2; exec ./rows) & exit 0")
	tr := start(t, dir, "-x", fmt.Sprint(shell.Process.Pid), "-e", sayReady+`global rows
probe process.begin { if (execname() == "rows") rows++ }
probe process.end { if (execname() == "rows" && ++ends == 2) exit() }
global ends
probe end { println(rows) }`)
	tr.waitReady()
	if _, err := io.WriteString(in, "x\n"); err != nil {
		t.Fatal(err)
	}
	if err := shell.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := tr.end(0); got != "ready\n2\n" {
		t.Errorf("%q", got)
	}
}

// TestResident asks for what the kernel knows of a process that was there before the script.
func TestResident(t *testing.T) {
	dir := needTools(t)
	shell, in := shellIn(t, dir, "read x; exit 0")
	pid := shell.Process.Pid
	group, err := unix.Getpgid(pid)
	if err != nil {
		t.Fatal(err)
	}
	session, err := unix.Getsid(pid)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%d %d %d %d 1 1\n", os.Getpid(), group, session, os.Geteuid())
	got := stap(t, dir, "-e", fmt.Sprintf(`probe process.begin {
	if (pid() == %d) {
		println(ppid(), " ", pgrp(), " ", sid(), " ", euid(), " ",
			task_execname(task_current()) == execname(), " ", task_current() == pid2task(pid()))
		exit()
	}
}`, pid))
	if got != want {
		t.Errorf("%q, not %q", got, want)
	}
	if err := errors.Join(in.Close(), shell.Wait()); err != nil {
		t.Error(err)
	}
}

// TestLanguages probes functions of C++, Rust and Go. The stacks of Go programs move
// while they grow, which ordinary return probes do not survive.
func TestLanguages(t *testing.T) {
	dir := needTools(t)
	if os.Getenv(readyEnv) != "" {
		t.Skip("runs where the compilers are")
	}
	for _, c := range []struct {
		name     string
		compiler []string
		script   string
		want     string
	}{
		{"shapes", []string{"g++", "-g", "-O1", "testdata/shapes.cc", "-o"},
			`global area, added
probe process("./shapes").function("geo::Square::area") { area += $this->n * $k }
probe process("./shapes").function("add*") { added++ }
probe process("./shapes").function("use").return { rets += $return }
global rets
probe end { println(area, " ", added, " ", rets) }`, "24 1 84\n"},
		{"sum", []string{"rustc", "-g", "-C", "opt-level=1", "testdata/sum.rs", "-o"},
			`global n, all
probe process("./sum").function("sum") { n++; all += $k + $p->a }
probe process("./sum").function("sum").return { rets += $return }
global rets
probe end { println(n, " ", all, " ", rets) }`, "6 21 33\n"},
		{"gop", []string{"go", "build", "-o"},
			`global n, products, deep
probe process("./gop").function("main.work") { n++ }
probe process("./gop").function("main.work").return { products[n] = $return }
probe process("./gop").function("main.deep").return { deep++ }
probe end { foreach (i+ in products) print(products[i], " "); println(n, " ", deep) }`, "3 4 5 9 12 5 804\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := exec.LookPath(c.compiler[0]); err != nil {
				t.Skip(err)
			}
			args := append(slices.Clone(c.compiler[1:]), filepath.Join(dir, c.name))
			if c.name == "gop" {
				args = append(args, "./testdata/gop")
			}
			if out, err := exec.Command(c.compiler[0], args...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if got := stap(t, dir, "-c", "./"+c.name, "-e", c.script); got != c.want {
				t.Errorf("%s\nnot\n%s", got, c.want)
			}
		})
	}
}
