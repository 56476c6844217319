//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
)

// varsPrograms are testdata/vars.c as a program that lies anywhere, as one with addresses
// of its own, and with all libraries in it.
var varsPrograms = []string{"vars", "varsfixed", "varsstatic"}

const variables = `members 1 -2 321 65 1 -2
enum 5 GREEN -1 5
union 16909060 4 1
bits 5 -6 549755813888
arrays 13 12 6 4 11
text text name "name"
globals 1 12 77 77 77 -6
addresses 1 1 36
THREADcast -2 10 5
p=ADDRESS n=0x7 7 {.whole=16909060, .bytes=[...]} {.a=5, .b=-6, .c=549755813888} [10, 11, 12, 13]
defined 1010DEFINED
locals 14 7 -7 700 8 41 78LOCALS
calls=41 local=14 stack=[7, -7, 700] inside=8
return 722 return=0x2d2 78 77RETURN 1
`

// more is what gcc tells of variables on some machines only: on arm64 not where those of a
// thread are, nor what is in a register at the statement.
func more(text string) string {
	known := runtime.GOARCH != "arm64"
	for _, c := range []struct{ word, more, less string }{
		{"THREAD", "thread 9 -3 9\n", ""}, {"DEFINED", "1", "0"}, {"LOCALS", " 7 16 -4", ""}, {"RETURN", " 16", ""},
	} {
		if !known {
			c.more = c.less
		}
		text = strings.ReplaceAll(text, c.word, c.more)
	}
	return text
}

// without is what was printed but for a line that the program printed itself, which comes
// when it comes: before or behind what its probes did.
func without(t *testing.T, got, line string) string {
	t.Helper()
	before, after, ok := strings.Cut(got, line+"\n")
	if !ok {
		t.Errorf("the program did not print %s", line)
	}
	return before + after
}

// TestVariables reads variables of every kind and place of a program, at a function's
// entry, at a statement of it and at its return.
func TestVariables(t *testing.T) {
	dir := needTools(t)
	for _, program := range varsPrograms {
		t.Run(program, func(t *testing.T) {
			got := stap(t, dir, "-c", "./"+program, "-e", strings.ReplaceAll(`
probe process("./PROGRAM").function("show") {
	println("members ", $p->left, " ", $p->right, " ", $p->wide, " ", $p->narrow, " ", $p->yes, " ", $p->self->self->right)
	println("enum ", $p->color, " ", @enumname($p->color), " ", $level, " ", @enum("GREEN"))
	println("union ", $p->number->whole, " ", $p->number->bytes[0], " ", $p->number->bytes[3])
	println("bits ", $p->bits->a, " ", $p->bits->b, " ", $p->bits->c)
	i = 2
	println("arrays ", $p->row[3], " ", $p->row[i], " ", $p->grid[1][2], " ", $p->grid[i - 1][i - 2], " ", user_int(&$p->row[1]))
	println("text ", user_string($p->text), " ", user_string($p->name), " ", $p->name$)
	println("globals ", $thing->left, " ", $thing->row[i], " ", $hidden, " ", @var("hidden"), " ", @var("hidden@vars.c"), " ", @var("thing")->bits->b)
	println("addresses ", &$thing == $p, " ", &$hidden == $keep, " ", &@var("thing")->row[1] - $p)
	%( arch != "arm64" %? println("thread ", $mine, " ", $also, " ", @var("mine")) %)
	println("cast ", @cast($p, "struct thing")->right, " ", @cast($p, "thing", "./PROGRAM")->row[0], " ", @cast(&$thing->bits, "bits")->a)
	println($$parms, " ", $n$, " ", $p->number$, " ", $p->bits$, " ", $p->row$)
	println("defined ", @defined($p->left), @defined($p->nothing), @defined($hidden), @defined($nowhere), @defined(@var("mine")))
}
probe process("./PROGRAM").statement("show@vars.c:46") {
	println("locals ", $local, " ", $stack[0], " ", $stack[1], " ", $stack[2], " ", $inside, " ", $calls, " ", $hidden %( arch != "arm64" %? , " ", $n, " ", $mine, " ", $also %))
	println($$locals$)
}
probe process("./PROGRAM").function("show").return {
	println("return ", $return, " ", $$return, " ", @var("hidden"), " ", @entry(@var("hidden")) %( arch != "arm64" %? , " ", @var("mine") %), " ", @entry($p->left))
}`, "PROGRAM", program))
			got = regexp.MustCompile(`p=0x[0-9a-f]+ `).ReplaceAllString(got, "p=ADDRESS ")
			got = without(t, got, "1 -2 5 5 -6 549755813888 11 116 78 -4 16")
			if want := more(variables); got != want {
				t.Errorf("%s\nnot\n%s", got, want)
			}
		})
	}
}

// TestAssigned writes variables of a program. Kernels that are locked down do not let
// programs do so, which stap says.
func TestAssigned(t *testing.T) {
	dir := needTools(t)
	for _, program := range varsPrograms {
		tr := start(t, dir, "-g", "-c", "./"+program, "-e", strings.ReplaceAll(`
probe process("./PROGRAM").function("tell") {
	$p->left = 100
	old = $p->right++
	$p->color = @enum("RED")
	$p->bits->a = 9
	new = ($p->bits->b += 3)
	$p->bits->c--
	$p->row[old + 3] -= 1000
	$p->text[0] = 0x54
	$hidden *= 2
	%( arch != "arm64" %? @var("also") = 5; $mine = -1 %)
	println(old, " ", new, " ", $p->bits->b, " ", $p->bits->a)
	try { @uderef(4, 8) = 1 } catch (why) { println(why) }
}`, "PROGRAM", program))
		if features.HaveProgramHelper(ebpf.Kprobe, asm.FnProbeWriteUser) != nil {
			tr.end(1)
			if !strings.Contains(tr.stderr.String(), "this kernel does not let programs call bpf_probe_write_user") {
				t.Errorf("%s: %s", program, &tr.stderr)
			}
			continue
		}
		threads := "5 -1"
		if runtime.GOARCH == "arm64" {
			threads = "-4 16" // as they were: see more
		}
		got := without(t, tr.end(0), "100 -1 0 1 -3 549755813887 -989 84 156 "+threads)
		if want := "-2 -3 -3 1\nthe memory of '@uderef' cannot be written\n"; got != want {
			t.Errorf("%s: %q\nnot %q", program, got, want)
		}
	}
}

// TestRecursion: each return has the value of its own entry, in a function that calls
// itself and that four threads run at the same time.
func TestRecursion(t *testing.T) {
	dir := needTools(t)
	got := stap(t, dir, "-c", "./vars", "-e", `global entries, right, wrong, threads
probe process("./vars").function("down") { entries++ }
probe process("./vars").function("down").return {
	n = @entry($n)
	if ($return == n * (n + 1) / 2) { right++; threads[tid()]++ } else wrong++
}
probe end { foreach (t in threads) n++; println(entries, " ", right, " ", wrong, " ", n) }`)
	const calls = 50 * (11 + 12 + 13 + 14)
	if want := fmt.Sprintf("%d %d 0 4\n", calls, calls); !strings.HasSuffix(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
}

// TestHeld reads structures that are passed and returned by value: in registers, in several,
// and on the stack.
func TestHeld(t *testing.T) {
	dir := needTools(t)
	script := `
probe process("./held").function("take") {
	println($w->x, " ", $w->y, " ", $s->a, " ", $s->b, " ", $s->c, " ", user_string($n->name), " ", user_string($n->next->name), " ", $n->name$)
	println($p->a, " ", $p->b, " ", $p->c, " ", $p->d[0], " ", $p->d[1])
	println($w$, " ", $s$, " ", $n->next$, " ", @defined(&$w), @defined($w->x), @defined($p->d[2]))
}
probe process("./held").function("word").return { println($return->x, " ", $return->y, " ", $$return$) }
probe process("./held").function("pair").return { println($return->a, " ", $return->b, " ", $return->c, " ", $return->d[1], " ", $return$) }
probe process("./held").function("node").return { println(user_string($return->name), " ", user_string($return->next->name)) }
`
	large := ""
	if runtime.GOARCH == "amd64" { // where arm64 puts it, only the caller knows
		script += `probe process("./held").function("big").return { println($return->v[0], " ", $return->v[2]) }`
		large = "40 42\n"
	}
	got := stap(t, dir, "-c", "./held", "-e", script)
	got = without(t, got, "63")
	const want = `7 -7 21 -7 {.a=7, .b=-7, .c=21, .d=[...]}
first second
3 -3 return={.x=3, .y=-3}
3 -3 5 -6 99999 first second "first"
7 -7 21 7 -7
{.x=3, .y=-3} {.a=5, .b=-6, .c=99999} {.name="second", .next=0x0} 010
`
	if got != want+large {
		t.Errorf("%s\nnot\n%s%s", got, want, large)
	}
}

// TestBits32 does so with variables of a program of 32 bits, whose registers, pointers and
// calls are others.
func TestBits32(t *testing.T) {
	dir := needTools(t)
	if _, err := os.Stat(filepath.Join(dir, "bits32")); err != nil {
		t.Skip("there are no programs of 32 bits for this machine")
	}
	got := stap(t, dir, "-c", "./bits32", "-e", `
probe process("./bits32").function("show") {
	println($p->n, " ", user_string($p->name), " ", $p->wide, " ", user_string($p->next->name), " ", $p->next->wide, " ", $n, " ", $small, " ", $hidden, " ", @var("head")->next == &$last)
	println($p->name$, " ", $p->next$)
}
probe process("./bits32").statement("show@bits32.c:24") { println($local, " ", $inside, " ", $n, " ", $hidden) }
probe process("./bits32").function("show").return { println($return, " ", @entry($n), " ", @entry($p->n), " ", $$return) }
probe process("./bits32").function("wide") { println($n) }
probe process("./bits32").function("wide").return { println($return) }
probe process("./bits32").function("next").return { println($return->n, " ", user_string($return->name)) }
probe process("./bits32").function("fast") { println($a, " ", $b, " ", $c) }
probe process("./bits32").function("down").return { printf("%d=%d ", @entry($n), $return) }`)
	got = without(t, got, "done")
	const want = `1 head -5 last 1099511627776 7 200 77 1
"head" {.n=2, .name="last", .next=0x0, .wide=1099511627776}
14 99 7 77
-99 7 1 return=0xffffffffffffff9d
-8589934592
-25769803776
2 last
11 12 13
0=0 1=1 2=3 3=6 4=10 5=15 `
	if got != want {
		t.Errorf("%s\nnot\n%s", got, want)
	}
}
