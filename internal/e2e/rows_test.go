//go:build linux

package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

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

// countRows makes a script that counts hits of points, and prints the count of each.
// Others may run the program or its library, too.
func countRows(rows []row, more string) string {
	var b strings.Builder
	b.WriteString("global hits\n")
	for i, r := range rows {
		// The number of an array that no point is left of is not known to be one.
		fmt.Fprintf(&b, "probe %s { hits[%d]++ }\n", r.point, i)
	}
	b.WriteString(more)
	fmt.Fprintf(&b, "probe end { for (i = 0; i < %d; i++) println(hits[i]) }\n", len(rows))
	return b.String()
}

func checkRows(t *testing.T, rows []row, out string) {
	t.Helper()
	got := strings.Fields(out)
	if len(got) != len(rows) {
		t.Fatalf("%d counts, not %d:\n%s", len(got), len(rows), out)
	}
	for i, r := range rows {
		if got[i] != fmt.Sprint(r.hits) {
			t.Errorf("%s: %s hits, not %d", r.point, got[i], r.hits)
		}
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
	script := strings.Replace(countRows(rows[:len(rows)-1], ""), "probe end", "probe never", 1) +
		fmt.Sprintf(`probe process("./rows").begin { hits[%d]++ }
global ends
probe process("./rows").end { if (++ends == 4) exit() }
probe begin { println("ready") }
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

// TestOrphans: what descends from the target belongs to it, although the processes
// between have ended.
func TestOrphans(t *testing.T) {
	dir := needTools(t)
	shell := exec.Command("/bin/sh", "-c", "read x; (sleep 0.2; exec ./rows) & exit 0")
	shell.Dir = dir
	in, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	tr := start(t, dir, "-x", fmt.Sprint(shell.Process.Pid), "-e", `global rows
probe process.begin { if (execname() == "rows") rows++ }
probe process.end { if (execname() == "rows" && ++ends == 2) exit() }
global ends
probe begin { println("ready") }
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
