//go:build linux

package e2e

import (
	"fmt"
	"regexp"
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
thread 9 -3 9
cast -2 10 5
p=ADDRESS n=0x7 7 {.whole=16909060, .bytes=[...]} {.a=5, .b=-6, .c=549755813888} [10, 11, 12, 13]
defined 10101
locals 14 7 -7 700 7 8 41 78 16 -4
calls=41 local=14 stack=[7, -7, 700] inside=8
return 722 return=0x2d2 78 77 16 1
`

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
	println("thread ", $mine, " ", $also, " ", @var("mine"))
	println("cast ", @cast($p, "struct thing")->right, " ", @cast($p, "thing", "./PROGRAM")->row[0], " ", @cast(&$thing->bits, "bits")->a)
	println($$parms, " ", $n$, " ", $p->number$, " ", $p->bits$, " ", $p->row$)
	println("defined ", @defined($p->left), @defined($p->nothing), @defined($hidden), @defined($nowhere), @defined(@var("mine")))
}
probe process("./PROGRAM").statement("show@vars.c:46") {
	println("locals ", $local, " ", $stack[0], " ", $stack[1], " ", $stack[2], " ", $n, " ", $inside, " ", $calls, " ", $hidden, " ", $mine, " ", $also)
	println($$locals$)
}
probe process("./PROGRAM").function("show").return {
	println("return ", $return, " ", $$return, " ", @var("hidden"), " ", @entry(@var("hidden")), " ", @var("mine"), " ", @entry($p->left))
}`, "PROGRAM", program))
			got = regexp.MustCompile(`p=0x[0-9a-f]+ `).ReplaceAllString(got, "p=ADDRESS ")
			got = without(t, got, "1 -2 5 5 -6 549755813888 11 116 78 -4 16")
			if got != variables {
				t.Errorf("%s\nnot\n%s", got, variables)
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
	@var("also") = 5
	$mine = -1
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
		got := without(t, tr.end(0), "100 -1 0 1 -3 549755813887 -989 84 156 5 -1")
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
