//go:build linux

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"stapkit/bench/results"
	"stapkit/internal/corpus"
	"stapkit/lint"
	"stapkit/lint/check"
	"stapkit/lint/registry"
)

func tools(b *bench) string {
	// The linter comes last: it runs in this process, and what a command took at the most
	// cannot be told apart from what the process that starts it takes.
	list := formatters(b) + "\n" + listings(b) + "\n" + typing(b) + "\n" + indexes(b)
	return list + "\n" + linter(b)
}

// corpus are script files: SystemTap's own, if Debian's packages are there, and ours.
func (b *bench) corpus() []string {
	return filesOf(func(name string, _ []byte) bool {
		return (strings.HasSuffix(name, ".stp") || strings.HasSuffix(name, ".stpm")) && !strings.HasSuffix(name, corpus.Template)
	},
		1<<30, "/usr/share/systemtap/tapset", "/usr/share/doc/systemtap-doc/examples", "/usr/share/systemtap/examples",
		filepath.Join(b.root, "tapsets"), filepath.Join(b.root, "examples"))
}

// filesOf are the files below folders that are wanted, of so many bytes in all.
func filesOf(want func(name string, head []byte) bool, bytes int64, dirs ...string) []string {
	var list []string
	for _, dir := range dirs {
		// What cannot be read is left out.
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || bytes <= 0 || strings.Contains(path, "/testdata/") {
				return nil
			}
			var head [32]byte
			if f, err := os.Open(path); err == nil {
				_, _ = f.Read(head[:]) // an empty head is not wanted
				_ = f.Close()
			}
			if info, err := d.Info(); err == nil && want(path, head[:]) {
				list = append(list, path)
				bytes -= info.Size()
			}
			return nil
		})
	}
	return list
}

// formatters compares formatters on so much text of their languages.
func formatters(b *bench) string {
	t := results.Table{Head: []string{"formatter", "files", "MB", "MB/s", "CPU s for 1 MB", "memory MB"}}
	var size int64
	add := func(tool, name string, files []string, flags ...string) {
		if len(files) == 0 || b.late() {
			return
		}
		if b.smoke {
			files = files[:min(10, len(files))]
		}
		dir := b.path("corpus-" + name)
		var total int64
		for i, f := range files {
			data, err := os.ReadFile(f)
			if err == nil {
				err = os.MkdirAll(dir, 0o755)
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d-%s", i, filepath.Base(f))), data, 0o600)
			}
			if err != nil {
				b.fail(name, err)
				return
			}
			total += int64(len(data))
		}
		if size == 0 {
			size = total
		}
		var took, cpu, rss []float64
		for range b.times(5) {
			if b.late() {
				break
			}
			// They fail where files would change, which is no matter.
			o, err := b.exec(append(append([]string{"/bin/sh", "-c", `"$@" >/dev/null; [ $? -lt 2 ]`, "sh", tool}, flags...), dir)...)
			if err != nil {
				b.fail(name, err)
				return
			}
			mb := float64(total) / 1e6
			took, cpu, rss = append(took, mb/o.total.Seconds()), append(cpu, o.cpu.Seconds()/mb), append(rss, o.rss)
			b.set.Add("Format/tool="+name, mb/o.total.Seconds(), "MB/s")
		}
		t.Row(name, strconv.Itoa(len(files)), results.Number(float64(total)/1e6, 1), results.Number(results.Median(took), 1), results.Number(results.Median(cpu), 2), results.Number(results.Median(rss), 0))
	}
	add(b.path("stapfmt"), "stapfmt", b.corpus(), "-l")
	if b.has("gofmt") {
		add("gofmt", "gofmt", filesOf(func(name string, _ []byte) bool { return strings.HasSuffix(name, ".go") }, size, filepath.Join(goroot(), "src")), "-l")
	}
	if b.has("shfmt") {
		add("shfmt", "shfmt", filesOf(func(name string, head []byte) bool {
			return strings.HasSuffix(name, ".sh") || bytes.HasPrefix(head, []byte("#!/bin/sh")) || bytes.HasPrefix(head, []byte("#!/bin/bash"))
		}, size, "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/share"), "-l")
	}
	return t.String()
}

// linter tells what rules take, over SystemTap's examples or ours.
func linter(b *bench) string {
	files := filesOf(func(name string, _ []byte) bool { return strings.HasSuffix(name, ".stp") }, 1<<30, "/usr/share/systemtap/examples", "/usr/share/doc/systemtap-doc/examples")
	if len(files) == 0 || b.smoke {
		files = filesOf(func(name string, _ []byte) bool { return strings.HasSuffix(name, ".stp") }, 1<<30, filepath.Join(b.root, "examples"))
	}
	env, err := check.Default()
	if err != nil {
		b.fail("lint", err)
		return ""
	}
	defer env.Close()
	began := time.Now()
	var scripts []*lint.Script
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			b.fail("lint", err)
			continue
		}
		scripts = append(scripts, env.Script(check.Input{Name: f, Text: text}))
	}
	elaborated := time.Since(began)
	measure := func(s lint.Settings) time.Duration {
		var took []float64
		for range b.times(3) {
			began := time.Now()
			for _, script := range scripts {
				if _, err := lint.Run(script, registry.All(), s); err != nil {
					b.fail("lint", err)
					return 0
				}
			}
			took = append(took, float64(time.Since(began)))
		}
		return time.Duration(results.Median(took))
	}
	type cost struct {
		name string
		took time.Duration
	}
	var costs []cost
	nothing := measure(lint.Settings{Disable: []string{"all"}})
	all := measure(lint.Settings{Enable: []string{"all"}})
	for _, a := range registry.All() {
		if b.late() {
			break
		}
		d := measure(lint.Settings{Disable: []string{"all"}, Enable: []string{a.Name}}) - nothing
		b.set.Add("Lint/"+a.Name, max(float64(d.Nanoseconds()), 0)/float64(len(scripts)), "ns/op")
		costs = append(costs, cost{a.Name, d})
	}
	slices.SortFunc(costs, func(a, b cost) int { return cmp.Compare(b.took, a.took) })
	var one []float64
	example := filepath.Join(b.root, "examples")
	if list, err := filepath.Glob(filepath.Join(example, "*.stp")); err == nil && len(list) > 0 {
		for range b.times(7) {
			o, err := b.exec("/bin/sh", "-c", `"$@" >/dev/null; [ $? -lt 2 ]`, "sh", b.path("staplint"), list[0])
			if err != nil {
				b.fail("staplint", err)
				break
			}
			one = append(one, o.total.Seconds()*1e3)
			b.set.Add("Lint/one_file", float64(o.total.Nanoseconds()), "ns/op")
		}
	}
	n := float64(len(scripts))
	us := func(d time.Duration) string { return results.Number(float64(d.Microseconds())/n, 0) }
	t := results.Table{Head: []string{"linting a script", "µs"}}
	t.Row(fmt.Sprintf("elaboration (mean of %d scripts)", len(scripts)), us(elaborated))
	t.Row("what all rules share", us(nothing))
	t.Row(fmt.Sprintf("all %d rules", len(registry.All())), us(all))
	for _, c := range costs[:min(5, len(costs))] {
		t.Row(c.name+" alone, with what it asks for", us(c.took))
	}
	if len(costs) > 0 {
		t.Row("the rule in the middle", us(costs[len(costs)/2].took))
	}
	t.Row("staplint of one file, the whole command", results.Number(results.Median(one)*1e3, 0))
	return t.String()
}

// listings are what is asked for most.
func listings(b *bench) string {
	t := results.Table{Head: []string{"listing", "first ms", "again ms", "memory MB", "lines", "bpftrace ms", "memory MB", "lines"}}
	bash, err := exec.LookPath("bash")
	if err != nil {
		bash = "/bin/sh"
	}
	for i, l := range []struct{ flag, point, peer string }{
		{"-l", `kernel.function("vfs_*")`, ""},
		{"-L", `kernel.function("vfs_*")`, ""},
		{"-l", `kernel.function("*")`, ""},
		{"-l", `kernel.trace("*")`, "tracepoint:*"},
		{"-L", `kernel.trace("sched:*")`, "tracepoint:sched:*"},
		{"-l", `syscall.*`, "tracepoint:syscalls:sys_enter_*"},
		{"-L", `syscall.open*`, "tracepoint:syscalls:sys_enter_open*"},
		{"-l", fmt.Sprintf(`process(%q).function("*")`, bash), "uprobe:" + bash + ":*"},
	} {
		if b.late() || b.smoke && i > 1 {
			break
		}
		f := &starting{b: b, name: "list" + l.flag + l.point}
		f.name = strings.NewReplacer(" ", "", `"`, "").Replace(f.name)
		lines := 0
		list := func(args ...string) func() (*outcome, error) {
			return func() (*outcome, error) {
				o, err := b.exec(args...)
				if err == nil {
					o.armed, lines = o.total, strings.Count(o.out, "\n")
				}
				return o, err
			}
		}
		first := f.measure("stap-first", 1, func() (*outcome, error) {
			o, err := b.execWith([]string{"STAPKIT_CACHE=" + b.path(fmt.Sprintf("list%d", i))}, b.path("stap"), l.flag, l.point)
			if err == nil {
				o.armed = o.total
			}
			return o, err
		})
		ours := f.measure("stap", b.times(5), list(b.path("stap"), l.flag, l.point))
		n := lines
		lines = 0
		peer := summary{none, none, none}
		if l.peer != "" && b.has("bpftrace") && !b.smoke {
			args := []string{"bpftrace", "-l", l.peer}
			if l.flag == "-L" {
				args = []string{"bpftrace", "-lv", l.peer}
			}
			peer = f.measure("bpftrace", 3, list(args...))
		}
		t.Row("`"+l.flag+" '"+l.point+"'`", ms(first.armed), ms(ours.armed), results.Number(ours.rss, 0), strconv.Itoa(n), ms(peer.armed), results.Number(peer.rss, 0), strconv.Itoa(lines))
	}
	return t.String()
}

// typing replays a session with the language server.
func typing(b *bench) string {
	if b.late() {
		return ""
	}
	keys := "100"
	if b.smoke {
		keys = "3"
	}
	cmd := exec.CommandContext(b.ctx, "go", "run", "./bench/typing", "-json", "-target", "host", "-keys", keys)
	cmd.Dir = b.root
	out, err := cmd.Output()
	if err != nil {
		b.fail("typing", err)
		return ""
	}
	t := results.Table{Head: []string{"typing in the language server, ms", "lines", "first answer", "completion p50", "p95", "hover p50", "p95", "diagnostics p50", "p95", "memory MB"}}
	for line := range bytes.Lines(out) {
		var r struct {
			Script   string
			Lines    int
			Cold, MB float64
			P50, P95 map[string]float64
		}
		if err := json.Unmarshal(line, &r); err != nil {
			b.fail("typing", err)
			continue
		}
		row := []string{r.Script, strconv.Itoa(r.Lines), results.Number(r.Cold, 0)}
		for _, k := range []string{"completion", "hover", "diagnostics"} {
			row = append(row, results.Number(r.P50[k], 1), results.Number(r.P95[k], 1))
			b.set.Add("Typing/"+strings.NewReplacer(" ", "_", ",", "").Replace(r.Script)+"/"+k, r.P95[k]*1e6, "p95-ns")
		}
		t.Row(append(row, results.Number(r.MB, 0))...)
	}
	return t.String()
}

// indexes runs the packages' own benchmarks, of what is read from kernels and programs.
func indexes(b *bench) string {
	if b.smoke || b.late() { // the smoke test runs them by itself
		return ""
	}
	cmd := exec.CommandContext(b.ctx, "go", "test", "-run", "^$", "-bench", ".", "-benchtime", "200ms", "-benchmem", "-timeout", "5m",
		"./target/...", "./syntax", "./sema", "./tapsets", "./ir/interp")
	cmd.Dir = b.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.fail("go test -bench", fmt.Errorf("%w: %s", err, lastLines(string(out), 3)))
	}
	t := results.Table{Head: []string{"reading and indexing", "ms", "MB allocated"}}
	pkg := ""
	for line := range strings.Lines(string(out)) {
		if p, ok := strings.CutPrefix(line, "pkg: "); ok {
			pkg = strings.TrimPrefix(strings.TrimSpace(p), "stapkit/")
		}
		f := strings.Fields(line)
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(f[0], "Benchmark"), "-")
		var took, mem float64 = none, none
		for i := 2; i+1 < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				break
			}
			b.set.Add("Package/"+pkg+"/"+name, v, f[i+1])
			switch f[i+1] {
			case "ns/op":
				took = v / 1e6
			case "B/op":
				mem = v / 1e6
			}
		}
		t.Row(pkg+" "+name, results.Number(took, 3), results.Number(mem, 2))
	}
	return t.String()
}

func lastLines(s string, n int) string {
	l := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(l[max(0, len(l)-n):], "\n")
}

// goroot is where the Go distribution is.
func goroot() string {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "" // its sources are not found then, and the line is left out
	}
	return strings.TrimSpace(string(out))
}
