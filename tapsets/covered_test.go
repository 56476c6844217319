//go:build linux

package tapsets_test

import (
	"regexp"
	"sort"
	"strings"
	"testing"

	"stapkit/internal/host"
	"stapkit/syntax"
)

// notFired are families of aliases that no test fires, with the reason.
var notFired = map[string]string{
	"perf.hw":       "events of the processor, which the machines of CI and emulated ones have not got; perf.sw shares everything but the event's number",
	"perf.hw_cache": "the same",
	"generic.aop":   "for file systems that have no way of their own to write pages, of which guests have none",
	"hotspot":       "fired by a real Java, where there is one with marks (TestMarkers)",
}

// fine are the first components of aliases whose families are told apart by the second.
var fine = map[string]bool{"nfs": true, "sunrpc": true, "perf": true, "generic": true}

// same are names of a family that have another one's points.
var same = map[string]string{"dw_kprocess": "kprocess", "tp_kprocess": "kprocess", "__json": "json_data", "sunrpc.entry": "sunrpc.clnt", "sunrpc.return": "sunrpc.clnt"}

// familyOf gives the family of an alias, by its name.
func familyOf(point string) string {
	name := firstNames(point)
	if s, ok := same[name]; ok {
		return s
	}
	return name
}

func firstNames(point string) string {
	parts := strings.SplitN(point, ".", 3)
	if fine[parts[0]] && len(parts) > 1 {
		second, _, _ := strings.Cut(parts[1], "(")
		return parts[0] + "." + strings.TrimRight(second, "0123456789")
	}
	return parts[0]
}

// TestFamiliesCovered: each family of aliases has one that a script of testdata/families, or
// a line of testdata/markers.txt, fires and whose variables are checked there, or is in
// notFired with the reason.
func TestFamiliesCovered(t *testing.T) {
	declared := map[string]bool{}
	for _, f := range libraryFiles(t) {
		for _, d := range f.Decls {
			if a, ok := d.(*syntax.AliasDecl); ok {
				for _, n := range a.Names {
					declared[syntax.PointString(n)] = true
				}
			}
		}
	}
	fired := map[string]bool{}
	note := func(point string) {
		for a := range declared {
			if point == a || strings.HasPrefix(point, a+".sample(") {
				fired[familyOf(a)] = true
			}
		}
	}
	for _, f := range families(t) {
		tree := syntax.ParseFile(f.file, []byte(readFile(t, f.file)), syntax.Options{Target: linux})
		for _, d := range tree.Decls {
			if p, ok := d.(*syntax.ProbeDecl); ok {
				for _, point := range p.Points {
					note(strings.TrimRight(syntax.PointString(point), " ?!"))
				}
			}
		}
	}
	for line := range strings.Lines(readFile(t, "testdata/markers.txt")) {
		alias, _, _ := strings.Cut(line, "\t")
		note(alias)
	}
	for _, script := range []string{metrics, functionScript() + effects, "probe oneshot {" /* TestEnds */} {
		for _, m := range regexp.MustCompile(`(?m)^probe ([a-z_.]+) \{`).FindAllStringSubmatch(script, -1) {
			note(m[1])
		}
	}
	all := map[string]bool{}
	for point := range declared {
		all[familyOf(point)] = true
	}
	var names []string
	for name := range all {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		_, excused := notFired[name]
		switch {
		case fired[name] && excused:
			t.Errorf("%s is fired, and in notFired", name)
		case !fired[name] && !excused:
			t.Errorf("no test fires an alias of %s", name)
		}
	}
	for name := range notFired {
		if !all[name] {
			t.Errorf("notFired has %s, which is no family", name)
		}
	}
	t.Logf("%d families: %s", len(names), strings.Join(names, " "))
}

// TestEnds: what ends a handler or a script does so where it stands.
func TestEnds(t *testing.T) {
	host.NeedBPF(t)
	stap := hostStap(t, t.TempDir())
	for script, want := range ends {
		if got := onHost(t)(stap + " -e '" + script + "'"); got != want {
			t.Errorf("%s: %q, not %q", script, got, want)
		}
	}
}

// ends are scripts and what they print.
var ends = map[string]string{
	`probe oneshot { println("once") } probe end { println("end") }`:                                                                 "once\nend\n",
	`probe begin { println("a"); exit(); println("b") } probe end { println("end") }`:                                                "a\nb\nend\n",
	`probe begin { println("a"); abort(); println("b") } probe end { println("end") }`:                                               "a\nend\n",
	`global n probe kernel.trace("sched_switch") { if (n++) next println("a"); abort(); println("b") } probe end { println("end") }`: "a\nend\n",
	`probe kernel.trace("sched_switch") { exit() } probe end { println("end") }`:                                                     "end\n",
}
