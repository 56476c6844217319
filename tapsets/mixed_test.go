//go:build linux

package tapsets_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"stapkit/internal/host"
)

// TestMixedText: text that the loader makes goes with other text: in one variable, put
// together, as keys, through functions; and looking a text up finds all that was counted
// for it, however it was put together.
func TestMixedText(t *testing.T) {
	host.NeedBPF(t)
	stap := hostStap(t, t.TempDir())
	for name, c := range map[string]struct{ script, want string }{
		"keys": {`
global n, bad, a, b, c, users
probe timer.profile {
	n++
	if (user_mode()) users++
	fn = user_mode() ? "<user>" : symname(addr())
	if (fn == "") bad++
	if (fn != "") a[fn] <<< 1
	b["k:" . (user_mode() ? "user" : modname(addr())) . ":" . fn]++
	c[cpu(), user_mode() ? sprint_ubacktrace() : sprint_backtrace()] <<< 1
}
probe timer.ms(900) { exit() }
probe end {
	foreach (f in a) { sum += @count(a[f]); if (!(f in a)) bad++ }
	foreach (f in b) { other += b[f]; if (substr(f, 0, 2) != "k:") bad++ }
	foreach ([p, s] in c) stacks += @count(c[p, s])
	if (users != @count(a["<user>"]) || users != b["k:user:<user>"]) bad++
	delete a["<user>"]
	if ("<user>" in a) bad++
	foreach (f in b) { x = f; if (!(x in b)) bad++; x = "none"; if (x in b) bad++ }
	println(n > 0, " ", sum == n, " ", other == n, " ", stacks == n, " ", bad)
}`, "1 1 1 1 0\n"},
		"functions": {`
global kept
function tell(what, text) { printf("%s=%s;", what, text) }
function either:string(yes) { if (yes) return "plain"; return sprintf("[%s]", symname(addr())) }
probe kernel.trace("sched_switch") {
	tell("a", "b")
	tell("f", either(1))
	x = either(0)
	tell("g", x == either(0) ? "same" : "other")
	kept[1] = "words"
	kept[2] = x
	tell("k", kept[1])
	tell("n", kept[2] == kept[1] ? "same" : "other")
	tell("u", kept[3] == "" ? "none" : "some")
	println()
	exit()
}`, "a=b;f=plain;g=same;k=words;n=other;u=none;\n"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, stap, "-w", "-e", c.script)
			cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			// Several switches may come before the script ends.
			if err := cmd.Run(); err != nil || !strings.HasPrefix(stdout.String(), c.want) {
				t.Errorf("%v: %q, not %q\n%s", err, stdout.String(), c.want, stderr.String())
			}
		})
	}
	t.Run("stacks", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, stap, "-e",
			`probe kernel.trace("sched_switch") { print_syms(backtrace()); print("--"); print_backtrace(); print("=="); exit() }`)
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		out, err := cmd.Output()
		one, _, _ := strings.Cut(string(out), "==")
		syms, stack, _ := strings.Cut(one, "--")
		// print_syms() is limited to MAXSTRINGLEN.
		if err != nil || syms == "" || !strings.HasPrefix(stack, syms) {
			t.Errorf("%v: %q and %q", err, syms, stack)
		}
	})
}
