package sema

import (
	"bytes"
	gocontext "context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"

	"stapkit/diag"
	"stapkit/syntax"
	"stapkit/target"
)

func mustElaborate(t testing.TB, script string, opt Options) *Program {
	t.Helper()
	p := elaborate(t, script, opt)
	if !p.OK() {
		t.Fatalf("%s\n%s", script, show(p.Diags))
	}
	return p
}

func globalNamed(t *testing.T, p *Program, name string) *Global {
	t.Helper()
	for _, g := range p.Globals {
		if g.Name == name {
			return g
		}
	}
	t.Fatalf("no global %s", name)
	return nil
}

func TestGlobals(t *testing.T) {
	p := mustElaborate(t, `
global a%[20], b, s, st, shown, n = 7, text = "x", both
probe begin {
	a[1, "k"] = "v"
	foreach ([x+, y] in a limit 3) b[y] <<< x
	s = "s" . a[2, "z"]
	st <<< 1
	println(@count(st), @hist_linear(st, 0, 10, 2)[1], @variance(st, 4), s)
	foreach (k in b @sum-) println(k, @avg(b[k]))
	shown++
	both = both + n
	print(text)
}`, Options{})
	a := globalNamed(t, p, "a")
	if !a.Array || !a.Wrap || a.Max != 20 || !slices.Equal(a.Keys, []Type{Long, String}) || a.Type != String {
		t.Errorf("a: %+v", a)
	}
	b := globalNamed(t, p, "b")
	if b.Type != Stats || !b.Stat.Sum || !b.Stat.Avg || b.Stat.Count || b.AutoPrint {
		t.Errorf("b: %+v", b)
	}
	st := globalNamed(t, p, "st")
	if st.Stat.Hist != LinearHist || st.Stat.High != 10 || st.Stat.Step != 2 || !st.Stat.Variance || st.Stat.Shift != 4 {
		t.Errorf("st: %+v", st.Stat)
	}
	if g := globalNamed(t, p, "shown"); !g.AutoPrint {
		t.Errorf("shown: %+v", g)
	}
	if g := globalNamed(t, p, "both"); g.AutoPrint || !g.Read || !g.Written {
		t.Errorf("both: %+v", g)
	}
	if g := globalNamed(t, p, "n"); !g.HasInit || g.InitInt != 7 || g.Type != Long {
		t.Errorf("n: %+v", g)
	}
	if g := globalNamed(t, p, "text"); g.InitStr != "x" || g.Type != String {
		t.Errorf("text: %+v", g)
	}
}

// TestDisplay checks which globals are shown at the end: those that are written
// and never read.
func TestDisplay(t *testing.T) {
	for script, want := range map[string]bool{
		`global x probe begin { x = 1 }`:                              true,
		`global x probe begin { x++ }`:                                true,
		`global x probe begin { x += 2 }`:                             true,
		`global x probe begin { x = x + 1 }`:                          false,
		`global x probe begin { println(x++) }`:                       false,
		`global x probe begin { y = (x += 2) println(y) }`:            false,
		`global x probe begin { x[1] = 2 }`:                           true,
		`global x probe begin { x[1]++ x["a" == "b"] <<< 1 }`:         true, // refused for types, see below
		`global x probe begin { x[1] <<< 2 }`:                         true,
		`global x probe begin { x[1] = 2 if (1 in x) println(1) }`:    false,
		`global x probe begin { x[1] = 2 foreach (k in x) print(k) }`: false,
		`global x probe begin { x = 1 } probe end if (x) { exit() }`:  false,
		`global x probe begin { for (x = 0; x < 3; x++) exit() }`:     false,
		`global x probe begin { x = 1 delete x }`:                     true,
		`global x probe begin { x = "a" x .= "b" }`:                   true,
	} {
		p := elaborate(t, script, Options{})
		if !p.OK() && !strings.Contains(script, "<<< 1 }") {
			t.Errorf("%s\n%s", script, show(p.Diags))
			continue
		}
		if g := globalNamed(t, p, "x"); g.AutoPrint != want {
			t.Errorf("%s: shown %v", script, g.AutoPrint)
		}
	}
}

func TestOverloads(t *testing.T) {
	p := mustElaborate(t, `
function f(x):9 { return 9 }
function f(x):2 { if (x) next return 2 }
function f(x) { if (x) next return 0 }
function f(x, y) { return 22 }
function pid() { next }
probe begin { println(f(1), f(1, 2), pid()) }`, Options{})
	var chains [][]int64
	for _, list := range p.Probes[0].Body.Calls {
		var prio []int64
		for _, f := range list {
			prio = append(prio, f.Priority)
		}
		chains = append(chains, prio)
	}
	slices.SortFunc(chains, func(a, b []int64) int { return slices.Compare(a, b) })
	want := [][]int64{{0}, {0, 1}, {0, 2, 9}}
	if !slices.EqualFunc(chains, want, slices.Equal[[]int64]) {
		t.Errorf("chains %v, want %v", chains, want)
	}
}

func TestRecursion(t *testing.T) {
	p := mustElaborate(t, `
function leaf(x) { return x + 1 }
function self(x) { return x ? self(x - 1) : leaf(x) }
function a(x) { return b(x) }
function b(x) { return x ? a(x) : self(x) }
probe begin { println(a(1)) }`, Options{})
	for _, f := range p.Funcs {
		if want := f.Name != "leaf"; f.Recursive != want {
			t.Errorf("%s recursive: %v", f.Name, f.Recursive)
		}
	}
}

func TestAliases(t *testing.T) {
	p := mustElaborate(t, `
probe inner = timer.ms(100), timer.s(1)? { a = 1 }
probe outer = inner { b = a }, { println("after", b) }
probe late += inner { println("late") }
global on
probe outer if (on) { c = b println(a, c) }
probe late { println(a) }
probe begin { on = 1 }`, Options{})
	var got []string
	for _, pr := range p.Probes {
		var blocks []string
		for _, bl := range pr.Blocks {
			blocks = append(blocks, strings.Fields(syntax.Range(bl).Start.String())[0])
		}
		var chain []string
		for _, d := range pr.Chain {
			chain = append(chain, d.Point)
		}
		got = append(got, pr.Point+" <- "+strings.Join(chain, " <- ")+" blocks "+strings.Join(blocks, " ")+strings.Repeat(" cond", len(pr.Conds)))
	}
	want := []string{
		"timer.ms(100) <- timer.ms(100) <- inner <- outer if (on) blocks script.stp:2:42 script.stp:3:21 script.stp:6:21 script.stp:3:32 cond",
		"timer.s(1) <- timer.s(1)? <- inner <- outer if (on) blocks script.stp:2:42 script.stp:3:21 script.stp:6:21 script.stp:3:32 cond",
		"timer.ms(100) <- timer.ms(100) <- inner <- late blocks script.stp:2:42 script.stp:7:12 script.stp:4:21",
		"timer.s(1) <- timer.s(1)? <- inner <- late blocks script.stp:2:42 script.stp:7:12 script.stp:4:21",
		"begin <- begin blocks script.stp:8:13",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if p.Probes[0].Body != p.Probes[1].Body {
		t.Error("probes that differ in their point only do not share a body")
	}
}

// TestDeadAlias checks that what an alias computes for nobody is left out.
func TestDeadAlias(t *testing.T) {
	p := mustElaborate(t, `
function costly(x) { return sprintf("%d", x) }
probe al = begin { a = costly(1) if (a == "x") { b = costly(2) } else b = "z" c = 3 }
probe al { println(c) }`, Options{})
	var left []string
	body := p.Probes[0].Body
	for _, s := range p.Probes[0].Blocks[0].Stmts {
		if !body.Elided[s] {
			left = append(left, syntax.Range(s).Start.String())
		}
	}
	if len(left) != 1 || len(p.Funcs) != 0 {
		t.Errorf("left %v, functions %v", left, p.Funcs)
	}
}

func TestDefinedPrunes(t *testing.T) {
	k := kernel(t)
	p := mustElaborate(t, `
probe kernel.function("vfs_read") {
	if (@defined($nope) && $nope) println($nope)
	else if (!@defined($file->nope) || $file->nope) println("b")
	x = @defined($pos) ? $count : $nothing
	println(x)
}`, Options{Target: k})
	if n := len(p.Probes[0].Body.Targets); n != 1 {
		t.Errorf("%d target variables, want the one of $count: %v", n, p.Probes[0].Body.Targets)
	}
}

func TestEntries(t *testing.T) {
	k := kernel(t)
	p := elaborate(t, `probe kernel.function("vfs_read").return { println(@entry($count), $count, @entry(gettimeofday_us()), @entry($file->f_mode), $return) }`, Options{Target: k})
	if !p.OK() {
		t.Fatal(show(p.Diags))
	}
	b := p.Probes[0].Body
	if len(b.Entries) != 3 {
		t.Fatalf("%d entries", len(b.Entries))
	}
	if b.Entries[0].Arg != 2 || b.Entries[1].Arg != -1 || b.Entries[2].Arg != -1 {
		t.Errorf("arguments %d %d %d", b.Entries[0].Arg, b.Entries[1].Arg, b.Entries[2].Arg)
	}
	for i, e := range b.Entries {
		if e.Type != Long {
			t.Errorf("entry %d has type %s", i, e.Type)
		}
	}
}

func TestAccess(t *testing.T) {
	k := kernel(t)
	p := mustElaborate(t, `
probe kernel.trace("sched_switch") {
	i = 2
	println($next->pid, $next->real_parent->comm$, &$next->se, $prev->comm[i], $$parms, $$name)
}`, Options{Target: k})
	byText := map[string]*Access{}
	for x, a := range p.Probes[0].Body.Targets {
		byText[syntax.ExprString(x)] = a
	}
	for text, want := range map[string]struct {
		hops   int
		result ResultKind
		size   int
		typ    Type
	}{
		"$next->pid":                {1, ResultInt, 4, Long},
		"$next->real_parent->comm$": {2, ResultPretty, 0, String},
		"&$next->se":                {1, ResultAddr, 8, Long},
		"$prev->comm[i]":            {1, ResultInt, 1, Long},
		"$$parms":                   {0, ResultVars, 0, String},
		"$$name":                    {0, ResultString, 0, String},
	} {
		a := byText[text]
		if a == nil {
			t.Errorf("%s is not resolved; there are %v", text, sortedKeys(byText))
			continue
		}
		if len(hops(a.Path)) != want.hops || a.Result != want.result || want.size != 0 && a.Size != want.size {
			t.Errorf("%s: %d hops, result %d, size %d", text, len(hops(a.Path)), a.Result, a.Size)
		}
	}
	if a := byText["$next->pid"]; a != nil && (!a.Trusted || a.N != 2 || !a.Path.Hops[0].Relocatable()) {
		t.Errorf("$next->pid: %+v", a)
	}
	if a := byText["$$parms"]; a != nil && len(a.Vars) != 4 {
		t.Errorf("$$parms has %d variables", len(a.Vars))
	}
}

// TestTypes compares the built-in forms with those that SystemTap 4.8 lists.
func TestProbeTypes(t *testing.T) {
	dir := goldenDir(t, "lists")
	text, err := os.ReadFile(filepath.Join(dir, "dump-probe-types.txt"))
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, p := range ProbeTypes() {
		have[p] = true
	}
	refused := map[string]bool{}
	for _, p := range patterns() {
		if p.family == famGone {
			refused[p.text] = true
		}
	}
	for _, line := range strings.Fields(string(text)) {
		if !have[line] && !refused[line] {
			t.Errorf("SystemTap has %s", line)
		}
	}
	if len(refused) > 30 {
		t.Errorf("%d forms are refused", len(refused))
	}
}

func TestDumpP2(t *testing.T) {
	p := mustElaborate(t, `global a; probe begin { a[1] = 2; foreach (x in a-) printf("%d\n", x) }`, Options{})
	var b bytes.Buffer
	if err := DumpP2(&b, p, DumpOptions{}); err != nil {
		t.Fatal(err)
	}
	want := "# globals\na:long [long]\n# probes\nbegin /* <- begin */\n  # locals\n  x:long\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	p = mustElaborate(t, "probe foo.bar = timer.ms(100), timer.s(1)? { z = 1 }\nglobal h\nprobe foo.bar if (h) { println(z) }\nprobe end { h = 1 }", Options{})
	if err := DumpP2(&b, p, DumpOptions{Verbose: true}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "timer.ms(100) if (h) /* <- foo.bar = timer.ms(100), timer.s(1)? <- foo.bar if (h) */\n  # locals\n  z:long\n  { z = 1 }\n  { println(z) }\n") {
		t.Errorf("got\n%s", b.String())
	}
}

// TestListRecorded compares listings with those of SystemTap, as far as they do not
// need the kernel's debug information.
func TestListRecorded(t *testing.T) {
	k := kernel(t)
	list := func(pattern string, vars bool) string {
		lines, ds := List(pattern, Options{Target: k, Library: library()}, ListOptions{Vars: vars})
		if diag.HasErrors(ds) {
			t.Errorf("%s: %s", pattern, show(ds))
		}
		return strings.Join(lines, "\n")
	}
	if got := list("begin", false); got != "begin" {
		t.Errorf("begin: %s", got)
	}
	if got := list("oneshot", false); got != "oneshot" {
		t.Errorf("oneshot: %s", got)
	}
	want := `kernel.trace("sched:sched_switch") $preempt:bool $prev:struct task_struct* $next:struct task_struct* $prev_state:unsigned int`
	if got := list(`kernel.trace("sched_switch")`, true); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	want = `kernel.function("vfs_read") $file:struct file* $buf:char* $count:size_t $pos:loff_t*`
	if got := list(`kernel.function("vfs_read")`, true); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	want = `kernel.function("vfs_read").return $return:ssize_t $file:struct file* $buf:char* $count:size_t $pos:loff_t*`
	if got := list(`kernel.function("vfs_read").return`, true); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := strings.Split(list(`kernel.function("vfs_*")`, true), "\n"); len(got) < 70 {
		t.Errorf("only %d functions vfs_*", len(got))
	}
	if lines, _ := List("no.such.point", Options{Library: library()}, ListOptions{}); len(lines) != 0 {
		t.Errorf("no.such.point: %v", lines)
	}
	lines, _ := List("begin", Options{}, ListOptions{JSON: true})
	if len(lines) != 1 || lines[0] != `{"point":"begin","carrier":"loader","reason":"it has no probed context"}` {
		t.Errorf("JSON: %v", lines)
	}
}

func TestUserProgram(t *testing.T) {
	bin := program(t)
	opt := Options{Library: library()}
	lines, ds := List(`process("`+bin+`").function("*")`, opt, ListOptions{})
	if len(ds) > 0 {
		t.Fatal(show(ds))
	}
	// SystemTap prints the place in the source behind "@" for those that have one.
	dir := goldenDir(t, "lists")
	text, err := os.ReadFile(filepath.Join(dir, "l_ut.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`function\("(\w+)`).FindAllStringSubmatch(string(text), -1) {
		found := false
		for _, l := range lines {
			found = found || strings.HasPrefix(l, `process("`+bin+`").function("`+m[1])
		}
		if !found && m[1] != "atoi" { // inlined
			t.Errorf("SystemTap lists %s, we list %v", m[1], lines)
		}
	}
	p := mustElaborate(t, `
probe process("`+bin+`").function("foo"), process("`+bin+`").function("foo").return { println(pp()) }
probe process("`+bin+`").begin, process.syscall { println(pid()) }`, opt)
	var got []string
	for _, pr := range p.Probes {
		c := pr.Carriers[0]
		got = append(got, strings.TrimSpace(c.Kind+" "+c.Symbol+" "+strings.TrimPrefix(c.Target, bin)))
	}
	// A process begins when it executes the program or comes from a copy of it, or is there.
	want := []string{"uprobe foo", "uretprobe foo", "tp_btf  sched_process_exec",
		"tp_btf  sys_exit", "", "tp_btf  sys_enter"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestUserListRecorded compares listings of the traced program with SystemTap's.
func TestUserListRecorded(t *testing.T) {
	bin := program(t)
	src, err := filepath.Abs(filepath.Join(goldenDir(t, "programs"), "ut.c"))
	if err != nil {
		t.Fatal(err)
	}
	for name, vars := range map[string]bool{"l_ut": false, "L_ut": true, "l_stmt": false, "L_mark": true} {
		_, m := archive(t, filepath.Join(goldenDir(t, "lists"), name+".txtar"))
		_, pattern, _ := strings.Cut(strings.TrimSpace(m["command"]), " -L ")
		if !vars {
			_, pattern, _ = strings.Cut(strings.TrimSpace(m["command"]), " -l ")
		}
		pattern = strings.ReplaceAll(strings.ReplaceAll(pattern, "/g/ut.c", src), "/g/ut", bin)
		lines, ds := List(pattern, Options{Library: library()}, ListOptions{Vars: vars})
		if len(ds) > 0 {
			t.Errorf("%s", show(ds))
		}
		got := strings.ReplaceAll(strings.ReplaceAll(strings.Join(lines, "\n")+"\n", src, "/g/ut.c"), bin, "/g/ut")
		if name == "l_stmt" {
			// Which lines have code is the compiler's choice.
			for _, l := range strings.Split(m["stdout"], "\n") {
				if !strings.Contains(got, l) {
					t.Errorf("%s: no %s in\n%s", pattern, l, got)
				}
			}
			continue
		}
		if got != m["stdout"] {
			t.Errorf("%s: got\n%swant\n%s", pattern, got, m["stdout"])
		}
	}
}

func TestWildcards(t *testing.T) {
	p := mustElaborate(t, `
probe a.b.c = timer.s(1) { x = 1 }
probe a.d = timer.s(2) { x = 2 }
probe a.e.f = timer.s(3) { x = 3 }
probe ab.x = timer.s(4) { x = 4 }
probe a.* { println("one", x) }
probe a** { println("deep", x) }
probe a*.x { println("name", x) }
probe timer.{ms(500000),ns(500000)} { println("group") }`, Options{})
	var got []string
	for _, pr := range p.Probes {
		got = append(got, pr.Point+" <- "+pr.Chain[len(pr.Chain)-1].Point)
	}
	want := []string{
		"timer.s(2) <- a.*",
		"timer.s(1) <- a**", "timer.s(2) <- a**", "timer.s(3) <- a**", "timer.s(4) <- a**",
		"timer.s(4) <- a*.x",
		"timer.ms(500000) <- timer.ms(500000)", "timer.ns(500000) <- timer.ns(500000)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true}, {"a*c", "abbc", true}, {"a*c", "abcd", false}, {"?x", "ax", true}, {"?x", "x", false},
		{"[a-c]x", "bx", true}, {"[!a-c]x", "bx", false}, {"[]x]", "]", true}, {"[a", "[a", true},
		{`\*`, "*", true}, {`\*`, "a", false}, {"**open", "syscall.open", true}, {"a*b*c*d", "aXbXcXbXcXd", true},
	} {
		if got := glob(c.pattern, c.name); got != c.want {
			t.Errorf("glob(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

func TestSyscalls(t *testing.T) {
	for _, c := range []struct {
		arch, name string
		nr         int
	}{{"x86_64", "openat", 257}, {"arm64", "openat", 56}, {"x86_64", "read", 0}, {"s390", "read", 3}} {
		if nr, ok := SyscallNumber(c.arch, c.name); !ok || nr != c.nr {
			t.Errorf("%s %s: %d %v", c.arch, c.name, nr, ok)
		}
		if name, ok := SyscallName(c.arch, c.nr); !ok || name != c.name {
			t.Errorf("%s %d: %s %v", c.arch, c.nr, name, ok)
		}
	}
	if n := len(Syscalls("x86_64")); n < 350 {
		t.Errorf("only %d system calls", n)
	}
	k := kernel(t)
	p := mustElaborate(t, `
probe kernel.syscall("openat") { println($arg1, $syscall) }
probe kernel.syscall("openat").return { println($return, $arg2, @entry(gettimeofday_us()), $$name) }
probe kernel.syscall("*stat") { exit() }`, Options{Target: k})
	if p.Probes[0].SyscallNr < 0 || len(p.Probes) < 5 {
		t.Errorf("%d probes, number %d", len(p.Probes), p.Probes[0].SyscallNr)
	}
	for _, pr := range p.Probes {
		if n := len(pr.Carriers); n < 2 || pr.Carriers[n-2].Kind != "tp_btf" {
			t.Errorf("%s: %+v", pr.Point, pr.Carriers)
		}
	}
}

// TestAliasBlowUp checks that aliases that double each other end soon.
func TestAliasBlowUp(t *testing.T) {
	var b strings.Builder
	b.WriteString("probe a.x0 = begin { x = 1 }\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&b, "probe a.x%d = a.x%d, a.x%d {}\n", i, i-1, i-1)
	}
	b.WriteString("probe a.x29 { println(x) }")
	p := elaborate(t, b.String(), Options{})
	if p.OK() || len(p.Diags) > 100 {
		t.Errorf("%d findings", len(p.Diags))
	}
}

// TestConcurrent elaborates at once with one library, as an editor's server does.
func TestConcurrent(t *testing.T) {
	lib := NewLibrary(syntax.Options{Target: conditions}, Embedded())
	k := running()
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			p := elaborate(t, `probe oneshot, end { println(thread_indent(1), tokenize("a b", " "), task_execname(task_current()), strtol("5", 10)) }`, Options{Library: lib, Target: k})
			if k != nil && !p.OK() {
				t.Error(show(p.Diags))
			}
		}()
	}
	wg.Wait()
}

// TestNoTarget elaborates without kernel and library: what cannot be known is taken
// on trust.
func TestNoTarget(t *testing.T) {
	p := elaborate(t, `
probe kernel.function("f*").return { println($return, @entry($x->y[3]), $$parms, $z$) }
probe module("m").function("g"), kernel.trace("t") { println($a->b, &$c->d, @cast($e, "f")->g, @var("h")) }
probe lsm.any_hook, netfilter.hook("NF_INET_LOCAL_IN").pf("PF_INET") { println($x) }`, Options{})
	for _, d := range p.Diags {
		if d.Severity != diag.Note {
			t.Errorf("%s", show([]diag.Diagnostic{d}))
		}
	}
	if !p.Unresolved || len(p.Probes) != 5 {
		t.Errorf("unresolved %v, %d probes", p.Unresolved, len(p.Probes))
	}
}

// TestExamples elaborates SystemTap's own examples: whatever they lack here, nothing
// panics, and it is fast.
func TestExamples(t *testing.T) {
	const dir = "/usr/share/systemtap/examples"
	n, ok := 0, 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".stp" {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f := syntax.ParseFile(filepath.Base(path), src, syntax.Options{Target: conditions, ArgsUnknown: true, Privileged: true})
		p := Elaborate([]*syntax.File{f}, Options{Target: running(), Library: library(), Guru: true})
		n++
		if p.OK() {
			ok++
		}
		return nil
	})
	if os.IsNotExist(err) {
		t.Skip("the package systemtap-doc is not installed")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d examples elaborate", ok, n)
}

func FuzzElaborate(f *testing.F) {
	for _, s := range []string{
		`probe begin { x = 1 println(x) }`,
		`global a probe begin { foreach ([x,y] in a limit 3) delete a[x,*] }`,
		`probe a = begin { x = 1 }, { println(x) } probe a if (g) { next } global g`,
		`function f(x:string):3 { if (@defined($a->b)) return $a$ else next } probe {begin,end}(3)?, timer.*(5)! { println(f("x")) }`,
		`probe kernel.function("x").return { println(@entry($y), $return, @cast($z, "t")->u[x++]$$, &$v->w) }`,
		`global s probe end { s <<< 1 print(@hist_linear(s, 1, 2, 3)) println(@variance(s, 3), @hist_log(s)[3]) }`,
	} {
		f.Add(s)
	}
	lib := NewLibrary(syntax.Options{}, NewSource(map[string][]byte{
		"l.stp": []byte("probe lib.a = begin { v = f() } function f() { return g } global g = 1\nprobe lib.b = lib.a, lib.b {}"),
	}, syntax.Options{}))
	f.Fuzz(func(t *testing.T, src string) {
		file := syntax.ParseFile("f.stp", []byte(src), syntax.Options{ArgsUnknown: true})
		p := Elaborate([]*syntax.File{file}, Options{Library: lib, Guru: true})
		if !p.OK() || diag.HasErrors(p.Late) || p.Unresolved {
			return
		}
		// What is accepted is typed through and through.
		for _, pr := range p.Probes {
			for id, o := range pr.Body.Idents {
				if l, ok := o.(*Local); ok && l.Type == Unknown {
					t.Errorf("%q: %s has no type", src, id.Name)
				}
			}
		}
		var b bytes.Buffer
		if err := DumpP2(&b, p, DumpOptions{Verbose: true}); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkElaborate(b *testing.B) {
	script := []byte(`
global hits, bytes
probe kernel.trace("sched_switch") { hits[execname(), tid()]++ if ($next->pid == 1) bytes <<< $prev->pid }
probe timer.s(1) { foreach ([e, t] in hits- limit 10) printf("%s %d %d\n", e, t, hits[e, t]) println(thread_indent(1), ctime(0)) delete hits }
probe end { print(@hist_log(bytes)) }`)
	lib := library()
	k := running()
	f := syntax.ParseFile("b.stp", script, syntax.Options{Target: conditions})
	Elaborate([]*syntax.File{f}, Options{Target: k, Library: lib})
	b.ResetTimer()
	for b.Loop() {
		Elaborate([]*syntax.File{f}, Options{Target: k, Library: lib})
	}
}

// TestListTargets lists on two kernels that have different functions.
func TestListTargets(t *testing.T) {
	open := func(fns ...string) *target.Target {
		t.Helper()
		var types []btf.Type
		for _, f := range fns {
			types = append(types, &btf.Func{Name: f, Type: &btf.FuncProto{Return: &btf.Void{}}, Linkage: btf.StaticFunc})
		}
		bl, err := btf.NewBuilder(types, nil)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := bl.Marshal(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "vmlinux")
		if err := os.WriteFile(path, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		tg, err := target.FromBTF(path)
		if err != nil {
			t.Fatal(err)
		}
		return tg
	}
	a, b := open("vfs_both", "vfs_old"), open("vfs_both", "vfs_new")
	lines, ds := ListTargets(`kernel.function("vfs_*")`, Options{Library: library()}, []*target.Target{a, b}, ListOptions{})
	got := strings.Join(lines, "\n")
	want := "kernel.function(\"vfs_both\")\nkernel.function(\"vfs_new\") /* only " + b.Name() + " */\nkernel.function(\"vfs_old\") /* only " + a.Name() + " */"
	if got != want {
		t.Errorf("%s\nwant\n%s\n%s", got, want, show(ds))
	}
}

// TestCancelled: elaboration ends when its context does, wherever it is.
func TestCancelled(t *testing.T) {
	ctx, cancel := gocontext.WithCancel(gocontext.Background())
	cancel()
	p := elaborate(t, `probe syscall.* { println(name, argstr) } probe kernel.function("*") { n++ }`, Options{Target: kernel(t), Context: ctx})
	if !p.Cancelled || len(p.Probes) != 0 {
		t.Errorf("cancelled %v, %d probes", p.Cancelled, len(p.Probes))
	}
	for _, after := range []time.Duration{time.Millisecond, 20 * time.Millisecond} {
		ctx, cancel := gocontext.WithTimeout(gocontext.Background(), after)
		start := time.Now()
		p := elaborate(t, `probe syscall.* { println(name, argstr) } probe syscall.*.return { println(name, retstr) }`, Options{Target: kernel(t), Context: ctx})
		if took := time.Since(start); took > after+2*time.Second {
			t.Errorf("cancelled after %v, it took %v (cancelled: %v)", after, took, p.Cancelled)
		}
		cancel()
	}
	if p := elaborate(t, "probe begin { println(1) }", Options{Context: gocontext.Background()}); p.Cancelled || !p.OK() {
		t.Errorf("not cancelled: %v", show(p.Diags))
	}
}
