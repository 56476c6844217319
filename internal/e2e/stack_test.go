//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// How the stacks of testdata/stack.c are, functions of the C library between ours
// left out: what these are called depends on its symbols.
var stacks = [][]string{
	{"innermost", "varying", "aligned", "recurse", "recurse", "recurse", "main"},
	{"innermost", "compare", "sort", "main"},
	{"innermost", "compare", "sort", "main"},
	{"innermost", "handler", "signalled", "main"},
	{"calling", "main"},
}

const stackScript = `global returns
probe process("./stack").function("innermost") { print_ubacktrace_brief(); println("--") }
// A return probe replaces return addresses on the stack.
probe process("./stack").function("recurse").return { returns++ }
probe syscall.getppid { if (execname() == "stack") { print_ubacktrace_brief(); println("--") } }
probe process("./stack").end { exit() }
probe end { println(returns) }`

// ownFrames takes the functions of the program out of the printed stacks. Each stack
// has to end where the program starts.
func ownFrames(t *testing.T, out string) [][]string {
	t.Helper()
	blocks := strings.Split(strings.TrimPrefix(out, "ready\n"), "--\n")
	var got [][]string
	for _, b := range blocks[:len(blocks)-1] {
		if !strings.Contains(b, "\n_start+0x") {
			t.Errorf("the stack does not begin at _start:\n%s", b)
		}
		var names []string
		for _, m := range regexp.MustCompile(`(?m)^(\w+)\+0x`).FindAllStringSubmatch(b, -1) {
			if slices.Contains([]string{"innermost", "varying", "aligned", "recurse", "main", "compare", "sort", "handler", "signalled", "calling"}, m[1]) {
				names = append(names, m[1])
			}
		}
		got = append(got, names)
	}
	if returns := strings.TrimSpace(blocks[len(blocks)-1]); returns != "3" {
		t.Errorf("%s returns of recurse, not 3", returns)
	}
	return got
}

func checkStacks(t *testing.T, out string) {
	t.Helper()
	got := ownFrames(t, out)
	want := stacks
	if len(got) == len(want)-1 {
		// Libraries sort two elements with one comparison or two.
		want = slices.Delete(slices.Clone(want), 1, 2)
	}
	if !slices.EqualFunc(got, want, slices.Equal[[]string]) {
		t.Errorf("stacks\n%v\nnot\n%v\n%s", got, want, out)
	}
}

// TestStacks walks stacks of a program without frame pointers: through a frame whose
// size the compiler does not know, an aligned one, the C library, a signal, and calls
// whose return is probed; from a probe of the program and from a system call.
func TestStacks(t *testing.T) {
	dir := needTools(t)
	checkStacks(t, stap(t, dir, "-c", "./stack", "-e", stackScript))
}

// TestStacksFramed walks the same stacks where the program has frame pointers and no
// tables, the C library tables.
func TestStacksFramed(t *testing.T) {
	dir := needTools(t)
	checkStacks(t, stap(t, dir, "-c", "./framed", "-e", strings.NewReplacer("./stack", "./framed", `"stack"`, `"framed"`).Replace(stackScript)))
}

// TestStacksLater is TestStacks with a program that starts later and has ended before
// its stacks are printed.
func TestStacksLater(t *testing.T) {
	dir := needTools(t)
	tr := start(t, dir, "-e", sayReady+`global kept, n
probe process("./stack").function("innermost") { kept[n++] = sprint_ubacktrace() }
probe process("./stack").function("recurse").return { returns++ }
global returns
probe syscall.getppid { if (execname() == "stack") kept[n++] = sprint_ubacktrace() }
probe process("./stack").end { exit() }
probe end { for (i = 0; i < n; i++) print(kept[i], "--\n"); println(returns) }`)
	tr.waitReady()
	if out, err := exec.Command(filepath.Join(dir, "stack")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	checkStacks(t, tr.end(0))
}

// TestStacksOfSamples interrupts a program at any instruction. In an interrupt the
// kernel tells one mapping only, so that the first stacks are short.
func TestStacksOfSamples(t *testing.T) {
	dir := needTools(t)
	out := stap(t, dir, "-c", "./stack 30000000", "-e", `global n
probe perf.type(1).config(0).sample(2000000) { if (execname() == "stack" && n++ < 300) { print_ubacktrace_brief(); println("--") } }
probe end { if (n < 20) error("few samples") }`)
	whole, all := 0, 0
	for _, b := range strings.Split(out, "--\n") {
		// Before main there is the dynamic linker, whose stack begins elsewhere.
		if strings.Contains(b, "recurse+") {
			all++
			if strings.Contains(b, "main+") && strings.HasSuffix(strings.TrimSpace(b[:strings.LastIndex(b, "+")+1]), "_start+") {
				whole++
			}
		}
	}
	if all < 10 || whole*10 < all*8 {
		t.Errorf("%d of %d stacks are whole\n%s", whole, all, out)
	}
}

// TestStacksOfKernelCode interrupts a program in the code that the kernel puts into it.
func TestStacksOfKernelCode(t *testing.T) {
	dir := needTools(t)
	// Not while it is being loaded, which takes long on some machines.
	out := stap(t, dir, "-c", "./vdso", "-e", `global on, n
probe process("./vdso").function("main") { on = 1 }
probe perf.type(1).config(0).sample(3000000) { if (on && execname() == "vdso" && n++ < 60) { print_ubacktrace(); println("--") } }`)
	// The first ones are short until the loader has read the program's mappings.
	var seen []bool
	for _, b := range strings.Split(out, "--\n") {
		if strings.Contains(b, "clock_gettime+0x") && strings.Contains(b, "[vdso]") {
			seen = append(seen, regexp.MustCompile(`(?s)clock_gettime\+0x.*: ask\+0x.*: main\+0x`).MatchString(b))
		}
	}
	whole := 0
	for _, is := range seen[max(0, len(seen)-20):] {
		if is {
			whole++
		}
	}
	if len(seen) < 10 || whole < min(len(seen), 20)*7/10 {
		t.Errorf("of %d stacks, %d of the last 20 are whole\n%s", len(seen), whole, out)
	}
}

// TestStacksOfMadeCode has a function called by code that the program makes.
func TestStacksOfMadeCode(t *testing.T) {
	dir := needTools(t)
	// What the program has told stays when it ends.
	out := stap(t, dir, "-c", "./jit", "-e", `probe process("./jit").function("callback") { print_ubacktrace(); print_ubacktrace_brief() }`)
	call, size := "0x6", "0x8"
	if runtime.GOARCH == "arm64" {
		call, size = "0xc", "0x14"
	}
	if !regexp.MustCompile(`(?s)^ 0x[0-9a-f]+ : callback\+0x0/0x[0-9a-f] \[.*/jit\]\n 0x[0-9a-f]+ : made at run time\+` + call + `/` + size + ` \[/tmp/perf-\d+\.map\]\n 0x[0-9a-f]+ : main\+.*\nmade at run time\+` + call + `\nmain\+`).MatchString(out) {
		t.Error(out)
	}
	if m := regexp.MustCompile(`/tmp/perf-\d+\.map`).FindString(out); m != "" {
		if err := os.Remove(m); err != nil {
			t.Error(err)
		}
	}
}

// TestSourceLines: stap reads debug information of the programs for the loader.
func TestSourceLines(t *testing.T) {
	dir := needTools(t)
	out := stap(t, dir, "-c", "./user", "-e", `probe process("./user").function("work") {
	printf("%s|%s|%s\n", usymfileline(uaddr()), usymfile(uaddr()), usymline(uaddr()))
	print_ubacktrace_fileline()
}`)
	if !regexp.MustCompile(`^(\S*testdata/user\.c):(\d+)\|\S*testdata/user\.c\|\d+\n 0x[0-9a-f]+ : work\+0x0/0x[0-9a-f]+ at \S*testdata/user\.c:\d+ \[.*/user\]\n 0x[0-9a-f]+ : main\+0x[0-9a-f]+/0x[0-9a-f]+ at \S*testdata/user\.c:\d+ \[`).MatchString(out) {
		t.Error(out)
	}
}
