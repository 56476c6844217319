//go:build linux

package tapsets_test

import (
	"strings"
	"testing"

	"stapkit/syntax"
)

// unfired reads testdata/unfired.txt: below a line "# reason" the aliases that nothing fires.
func unfired(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	reason := ""
	for line := range strings.Lines(readFile(t, "testdata/unfired.txt")) {
		if r, ok := strings.CutPrefix(line, "# "); ok {
			reason = strings.TrimSpace(r)
			continue
		}
		for _, name := range strings.Fields(line) {
			if reason == "" || out[name] != "" {
				t.Errorf("testdata/unfired.txt: %s is there twice, or without a reason", name)
			}
			out[name] = reason
		}
	}
	return out
}

// TestAliasesFired: each alias that is no system call's is fired by a script of testdata/families
// (TestFamilies, TestFamiliesGuest), by a line of testdata/markers.txt or by another test here; or
// no kernel has it, as testdata/unresolved.txt says; or testdata/unfired.txt says why not.
func TestAliasesFired(t *testing.T) {
	fired := map[string]bool{}
	for _, f := range families(t) {
		for name := range f.probes(t) {
			fired[name] = true
		}
		for _, name := range f.also {
			name, _, _ = strings.Cut(name, "@")
			fired[name] = true
		}
	}
	for line := range strings.Lines(readFile(t, "testdata/markers.txt")) {
		alias, _, _ := strings.Cut(line, "\t")
		fired[alias] = true
	}
	for _, script := range []string{metrics, functionScript() + effects, "probe oneshot {" /* TestEnds */} {
		for _, name := range []string{"json_data", "prometheus", "init", "oneshot"} {
			fired[name] = fired[name] || strings.Contains(script, "probe "+name+" {")
		}
	}
	known := readUnresolved(t, "testdata/unresolved.txt")
	list := unfired(t)
	declared := map[string]bool{}
	for _, f := range libraryFiles(t) {
		for _, d := range f.Decls {
			a, ok := d.(*syntax.AliasDecl)
			if !ok {
				continue
			}
			for _, n := range a.Names {
				name := syntax.PointString(n)
				if strings.Contains(name, "syscall") || strings.HasPrefix(name, "__") || declared[name] {
					continue
				}
				declared[name] = true
				none := known[name+" 6.1"] && known[name+" 6.12"] && known[name+" 6.18"]
				switch hit := fired[name]; {
				case hit && list[name] != "":
					t.Errorf("%s is fired, and in testdata/unfired.txt", name)
				case none && list[name] != "":
					t.Errorf("no kernel has %s, and it is in testdata/unfired.txt", name)
				case !hit && !none && list[name] == "":
					t.Errorf("no test fires %s, and testdata/unfired.txt gives no reason", name)
				}
			}
		}
	}
	for name := range list {
		if !declared[name] {
			t.Errorf("testdata/unfired.txt has %s, which is no alias", name)
		}
	}
	if len(declared) < 500 {
		t.Errorf("only %d aliases", len(declared))
	}
}
