package driver

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// repeat joins n texts that f makes of their numbers.
func repeat(n int, sep string, f string) string {
	var list []string
	for i := range n {
		list = append(list, strings.ReplaceAll(f, "#", fmt.Sprint(i)))
	}
	return strings.Join(list, sep)
}

// TestLimits: what the kernel does not take is refused when the script is compiled, at
// the line that asks for it; the verifier never speaks to the user.
func TestLimits(t *testing.T) {
	const at = "probe kernel.trace(\"sched_switch\") {\n"
	kernel := kernelFile(t)
	for _, tt := range []struct {
		name, script string
		args         []string
		want         string // regular expression; "" if it compiles
	}{
		{"a long handler", at + repeat(3000, "\n", `printf("%d #\n", pid() + #)`) + "}", nil, `:1:1: error: the handler is too large: \d+ instructions \[E2102\]`},
		{"a long loop", "global n, a[8]\nprobe begin { a[1] = 1 }\n" + at + repeat(300, "\n", "foreach (k in a) n += k") + "}", nil,
			`:3:1: error: the handler (is too large|needs \d+ subprograms).* \[E2(102|215)\]`},
		{"long numbers", "global n\n" + at + "n = " + repeat(2000, "+", "pid()") + "}", nil, ""},
		{"many variables", "global n\n" + at + repeat(90, "\n", "v# = kernel_string($next + #)") + "\n" + repeat(90, "\n", "n = v#") + "}", nil, `:2:1: error: the handler needs more than 32768 bytes of memory.* \[E2103\]`},
		{"wide keys", "global n\nglobal a\n" + at + "s = kernel_string($next)\na[" + repeat(40, ",", "s") + "]++}", nil, `:2:8: error: the keys of array 'a' take 20480 bytes, the most is 16384 \[E2104\]`},
		{"nine keys", "global a\n" + at + "s = kernel_string($next)\na[" + repeat(9, ",", "s") + "]++}", nil, ""},
		{"nine keys of pages", "global a\n" + at + "s = kernel_string($next)\na[" + repeat(9, ",", "s") + "]++}", []string{"-DMAXSTRINGLEN=4096"}, `:1:8: error: the keys of array 'a' take 36864 bytes.* \[E2104\]`},
		{"long strings", "global a\n" + at + "s = kernel_string($next)\na[s . s]++\nprintln(sprintf(\"%s-%s\", s, s) =~ \"x+y\")}", []string{"-DMAXSTRINGLEN=4096"}, ""},
		{"longer strings", at + "println(execname())}", []string{"-DMAXSTRINGLEN=100000"}, `-D MAXSTRINGLEN=100000: the value must be from 2 to \d+`},
		{"a long print", at + "s = kernel_string($next)\nprintln(1)\nprintln(" + repeat(60, ",", "s") + ")}", nil, `:4:1: error: the print statement takes up to \d+ bytes, the most is \d+ \[E2105\]`},
		{"a large array", "global a\nglobal b\n" + at + "b[pid()]++}", []string{"-DMAXMAPENTRIES=2000000000"}, `:2:8: error: array 'b' has 2000000000 elements, the most is 134217728 \[E2215\]`},
		{"a loop over a large array", "global a[1000000]\n" + at + "a[tid()] = 1\nforeach (t in a) println(t)}", nil, `:4:15: error: a loop over 'a' in the kernel needs 40000000 bytes.* declare a smaller array \[E2103\]`},
		{"many arrays", repeat(70, "\n", "global a#") + "\n" + at + repeat(70, "\n", "a#[pid()]++") + "}", nil, `:71:1: error: the handler uses 72 maps, the most is 64.* \[E2215\]`},
		{"many aggregates", repeat(40, "\n", "global s#") + "\n" + at + repeat(40, "\n", "s# <<< pid()") + "}\nprobe end {" + repeat(40, "\n", "print(@hist_log(s#))") + "}", nil,
			`:\d+:8: error: the aggregates up to 's\d+' take 33280 bytes for each CPU, the most is 32768.* \[E2103\]`},
		{"many globals", repeat(2000, "\n", "global g#") + "\n" + at + repeat(2000, "\n", "g#++") + "}", nil, ""},
		{"deep recursion", "global r\nfunction f(n) { if (n == 0) return 0; return f(n - 1) + 1 }\n" + at + "r = f(50)}", []string{"-DMAXNESTING=2000000000"}, `:3:1: error: recursive functions need \d+ bytes for each of 2000000000 calls.* lower -D MAXNESTING \[E2103\]`},
		{"a long chain of calls", repeat(300, "\n", "function f#(n) { return f#_(n) }") + "\n" + repeat(300, "\n", "function f#_(n) { return n }") + "\n" + at + "println(" + repeat(300, "+", "f#(1)") + ")}", nil, ""},
		{"nested loops", "global n\n" + at + repeat(20, " ", "for (i# = 0; i# < 2; i#++)") + " n++}", nil, ""},
		{"nested try", "global n\n" + at + repeat(100, "", "try { ") + "n = 1 / (pid() - pid())" + repeat(100, "", " } catch (e) { error(e) }") + "}", nil, ""},
		{"a complex expression", at + `println(execname() =~ "(a|b|c|d){1,20}(x.*y|z[0-9]+){1,10}$")}`, nil, `:2:20: error: regular expression .* is too complex for the kernel.* \[E2100\]`},
		{"deep stacks", "global a\n" + at + "a[backtrace()]++}", []string{"-DMAXBACKTRACE=10000"}, `-D MAXBACKTRACE=10000: the value must be from 0 to 2000`},
		{"stacks", "global a\n" + at + "a[backtrace()]++}", []string{"-DMAXBACKTRACE=2000"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, stderr, code := stapc(t, append([]string{"--target", kernel, "-e", tt.script}, tt.args...)...)
			switch {
			case tt.want == "" && code != 0:
				t.Errorf("exit %d\n%.2000s", code, stderr)
			case tt.want != "" && (code == 0 || !regexp.MustCompile(tt.want).MatchString(stderr)):
				t.Errorf("exit %d, want %s\n%.2000s", code, tt.want, stderr)
			}
			if strings.Contains(stderr, "internal error") || strings.Contains(stderr, "E2101") {
				t.Errorf("%.2000s", stderr)
			}
		})
	}
}
