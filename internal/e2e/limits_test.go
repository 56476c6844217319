//go:build linux

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestLimits loads handlers that are near what the kernel takes: what compiles, loads.
// What is refused when it is compiled is in package driver.
func TestLimits(t *testing.T) {
	dir := needTools(t)
	repeat := func(n int, sep, f string) string {
		var list []string
		for i := range n {
			list = append(list, strings.ReplaceAll(f, "#", fmt.Sprint(i)))
		}
		return strings.Join(list, sep)
	}
	const at = "\nprobe kernel.trace(\"sched_process_exec\") { "
	for name, script := range map[string]string{
		"statements": at + repeat(400, "\n", `printf("%s #\n", execname())`) + "}",
		"branches":   "global n" + at + "e = execname()\n" + repeat(400, " else ", `if (e == "p#") n += #`) + "}",
		"operands":   "global n" + at + "n = " + repeat(1500, "+", "pid()") + "}",
		"loops":      "global n, a[8] probe begin { a[1] = 1 }" + at + repeat(40, "\n", "foreach (k in a) n += k") + "}",
		"nesting":    "global n" + at + repeat(10, " ", "for (i# = 0; i# < 2; i#++)") + " n++}",
		"try":        "global n" + at + repeat(60, "", "try { ") + "n = 1 / (pid() - pid())" + repeat(60, "", " } catch (e) { n++ }") + "}",
		"strings":    "global a[100]" + at + "s = kernel_string($p)\na[" + repeat(9, ",", "s") + "]++\nif (s . s =~ \"^x+(y|z)$\") a[" + repeat(9, ",", "s") + "]++}",
		"recursion":  "global r function f(n, s) { if (n == 0) return s; return f(n - 1, s . \"x\") . s }" + at + "r = f(20, execname())}",
		"patterns":   "global n" + at + repeat(40, "\n", `if (execname() =~ "^pr#.*[0-9]+$") n++`) + "}",
		"formats":    "global a[100]" + at + repeat(40, "\n", `a[sprintf("%5d-%-10s-%x", pid(), execname(), #)]++`) + "}",
		"maps":       repeat(50, "\n", "global a#") + at + repeat(50, "\n", "a#[pid()]++") + "}",
	} {
		// The handlers may end with an error, such as MAXACTION exceeded; they ran then.
		got := stap(t, dir, "--suppress-handler-errors", "-D", "MAXNESTING=30", "-c", "/bin/true", "-e", script+"\nprobe end { println(\"ran\") }")
		if !strings.HasSuffix(strings.SplitAfter(got, "ran\n")[0], "ran\n") {
			t.Errorf("%s: %.300s", name, got)
		}
	}
}
