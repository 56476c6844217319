package golden

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"stapkit/internal/host"
	"stapkit/syntax"
)

// movedTo is where TestMoved puts handlers: an event that is rare, so that they do
// not meet on two processors, and that the test causes.
const movedTo = `kernel.trace("sched_process_exec")`

// notMoved are the cases that print something else, or do not compile, when their
// handler runs in the kernel.
var notMoved = map[string]string{
	"cast":              "it prints the name of the process that it runs in",
	"printf_mem":        "it prints the name of the process that it runs in",
	"opt_monitor_stats": "it prints its probe point",
	"timer_profile":     "it prints its probe point",
}

// TestMoved runs the recorded scripts with the handlers that need no context moved
// from begin into a raw tracepoint: they print the same when the kernel runs them.
func TestMoved(t *testing.T) {
	golden := folder(t)
	host.NeedBPF(t)
	if testing.Short() {
		t.Skip("takes a minute")
	}
	tmp := t.TempDir()
	stap := build(t, tmp, "cmd/stap")
	// Cause the event all the time.
	ctx, stop := context.WithCancel(t.Context())
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		for ctx.Err() == nil {
			_ = exec.CommandContext(ctx, "/bin/true").Run() // only its exec counts
			time.Sleep(20 * time.Millisecond)
		}
	}()
	defer func() { stop(); <-idle }()
	left := map[string]string{}
	for name, why := range skipped {
		left[name] = why
	}
	for name, why := range notMoved {
		left[name] = why
	}
	cases, err := filepath.Glob(filepath.Join(golden, "run", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		name := strings.TrimSuffix(filepath.Base(c), ".txtar")
		if left[name] != "" {
			continue
		}
		a, err := txtar.ParseFile(c)
		if err != nil {
			t.Fatal(err)
		}
		script, _ := section(a, "script.stp")
		args, _ := section(a, "args")
		if _, why := move(script, args, string(a.Comment)); why != "" {
			left[name] = why
		}
	}
	runAll(t, golden, machine{
		skipped: left, ut: target(t, tmp, golden, tmp),
		run: func(t *testing.T, name, script string, args []string) result {
			moved, why := move(script, "", "")
			if why != "" {
				t.Fatal(why)
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, name+".stp"), []byte(moved), 0o644); err != nil {
				t.Fatal(err)
			}
			// begin may do ten times as much as other handlers.
			args = append(slices.Clone(args), "-DMAXACTION=10000")
			return run(t, dir, stap, args...)
		},
	})
}

// move puts the begin handlers of a script into the kernel, each to run once and in
// their order, or else its only timer, without moving a line. It returns why that cannot be done.
func move(script, args, head string) (moved, why string) {
	switch {
	case strings.Contains(head, "refused"):
		return "", "the script is refused"
	case slices.Contains(strings.Fields(args), "-e"):
		return "", "the script is an argument"
	case strings.Contains(args, "-c ") || strings.Contains(args, "-x "):
		return "", "it is about the process that is traced"
	}
	f := syntax.ParseFile("script.stp", []byte(script), syntax.Options{})
	type handler struct {
		order    int
		from, to int // the probe points
		body     int // behind the brace
		end      int // at the closing one
	}
	var list, timers []handler
	for _, d := range f.Decls {
		p, ok := d.(*syntax.ProbeDecl)
		if !ok || p.Body == nil || len(p.Points) != 1 {
			continue
		}
		pt, ok := p.Points[0].(*syntax.ProbePoint)
		if !ok || pt.Cond != nil {
			continue
		}
		h := handler{
			from: syntax.Pos(pt).Offset, to: syntax.End(pt).Offset,
			body: syntax.Pos(p.Body).Offset + 1, end: syntax.End(p.Body).Offset - 1,
		}
		text := script[h.from:h.to]
		switch {
		case text == "begin" || text == "oneshot" || text == "init":
		case strings.HasPrefix(text, "begin("):
			if _, err := fmt.Sscanf(text, "begin(%d)", &h.order); err != nil {
				continue
			}
		case strings.HasPrefix(text, "timer.") && text != "timer.profile":
			timers = append(timers, h)
			continue
		default:
			continue
		}
		if text == "oneshot" {
			return "", "a oneshot handler ends the session"
		}
		list = append(list, h)
	}
	switch {
	case len(list) > 0:
	case len(timers) == 1: // runs as often as the event comes
		h := timers[0]
		return script[:h.from] + movedTo + script[h.to:], ""
	case len(timers) > 1:
		return "", "it is about how timers go beside each other"
	default:
		return "", "all its handlers need a context, or run at the end"
	}
	order := slices.Clone(list)
	slices.SortStableFunc(order, func(a, b handler) int { return a.order - b.order })
	out := script
	for _, h := range slices.Backward(list) {
		step := slices.Index(order, h)
		out = out[:h.end] + "}" + out[h.end:]
		out = out[:h.body] + fmt.Sprintf("if (moved__ == %d) { moved__++; ", step) + out[h.body:]
		out = out[:h.from] + movedTo + out[h.to:]
	}
	return strings.TrimRight(out, "\n") + "\nglobal moved__\n", ""
}
