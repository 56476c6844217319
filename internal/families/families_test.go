package families

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stapkit/sema"
	"stapkit/syntax"
)

// forms are the forms of the points of a script, with the number of handlers that have
// them: timer.ms(number).
func forms(t *testing.T, name, text string, out map[string][]string) {
	t.Helper()
	// Addresses stand for what they are replaced by.
	text = regexp.MustCompile(`\{([a-z_0-9]*:)?[a-z_0-9]+\}`).ReplaceAllString(text, "1")
	f := syntax.ParseFile(name, []byte(text), syntax.Options{View: syntax.Expanded})
	if len(f.Diags) > 0 {
		t.Fatalf("%s: %v\n%s", name, f.Diags[0], text)
	}
	for _, d := range f.Decls {
		p, ok := d.(*syntax.ProbeDecl)
		if !ok {
			continue
		}
		syntax.Inspect(p, func(n syntax.Node) bool {
			pp, ok := n.(*syntax.ProbePoint)
			if !ok {
				return true
			}
			var parts []string
			for _, c := range pp.Components {
				part := c.Name
				switch c.Arg.(type) {
				case *syntax.NumberLit:
					part += "(number)"
				case *syntax.StringLit:
					part += "(string)"
				}
				parts = append(parts, part)
			}
			form := strings.Join(parts, ".")
			if !slices.Contains(out[form], name) {
				out[form] = append(out[form], name)
			}
			return false
		})
	}
}

// proved are the forms of points of all scripts, with the scripts that have them.
func proved(t *testing.T) map[string][]string {
	out := map[string][]string{}
	for _, s := range slices.Concat(Functions, Kernel, Debug, Loader) {
		forms(t, s.Name, s.Text, out)
	}
	for _, b := range Batches {
		forms(t, b.Name, b.Script(), out)
	}
	forms(t, "TestPerf", Perf().Script(), out)
	forms(t, "timers", Timers().Script(), out)
	at := func(string) uint64 { return 1 }
	for where, which := range map[string]int{
		`process("p")`: Tree, "process": Tree, `process("p").library("l")`: Library, `process.library("l")`: Library, "process(1)": One,
	} {
		forms(t, "TestProcessForms", (&Batch{Points: Process(where, at, which)}).Script(), out)
		if which != Library {
			forms(t, "TestProcessForms", (&Batch{Points: Watch(where, at)}).Script(), out)
		}
	}
	return out
}

// others are forms that are not built in: aliases, and hooks that the kernel names.
var others = regexp.MustCompile(`^(syscall|nd_syscall|tp_syscall|dw_syscall|syscallgroup)\.\w+(\.return)?$|^syscall_any(\.return)?$|^input\.(line|char)$|^oneshot$|^lsm\.\w+$|^perf\.sw\.\w+$`)

// TestEveryForm: each form of points that there is has a script that hits it a known
// number of times, and the scripts have no others.
func TestEveryForm(t *testing.T) {
	got := proved(t)
	all := sema.ProbeTypes()
	for _, form := range all {
		if len(got[form]) == 0 {
			t.Errorf("no script probes %s", form)
		}
	}
	for form, scripts := range got {
		if _, builtIn := slices.BinarySearch(all, form); !builtIn && !others.MatchString(form) {
			t.Errorf("%s: %s is no form", strings.Join(scripts, ", "), form)
		}
	}
}

// families are the rows of the table of families that SystemTap's users know, with the
// forms that belong to each. Forms are of one row only.
var families = []struct{ row, forms string }{
	{"begin, end, error", `^(begin|end|error)(\(number\))?$`},
	{"never, oneshot", `^(never|oneshot)$`},
	{"kernel.function by name", `^kernel\.function\(string\)`},
	{"kernel.function by address, kernel.statement", `^kernel\.(function\(number\)|statement\()`},
	{"module", `^module\(string\)\.(function|statement)`},
	{"kprobe", `^kprobe\.`},
	{"kernel.trace", `^(kernel|module\(string\))\.trace\(`},
	{"kernel.tracepoint", `^(kernel|module\(string\))\.tracepoint\(`},
	{"system calls by name", `^((nd_|tp_|dw_)?syscall\.\w+|kernel\.syscall\(string\))(\.return)?$`},
	{"all system calls, groups of them", `^(syscall_any(\.return)?|syscallgroup\.\w+)$`},
	{"functions and statements of programs", `^process(\(\w+\))?(\.library\(string\))?\.(function|statement|plt)`},
	{"marks of programs", `^process(\(\w+\))?(\.library\(string\))?\.(mark|provider)`},
	{"processes and threads", `^process(\(\w+\))?\.(thread\.)?(begin|end)$`},
	{"system calls of processes", `^process(\(\w+\))?\.syscall(\.return)?$`},
	{"watchpoints", `^(kernel|process(\(\w+\))?)\.data\(`},
	{"timers", `^timer\.(s|sec|ms|msec|us|usec|ns|nsec|jiffies|hz)\(`},
	{"profiler", `^timer\.profile`},
	{"performance counters", `^perf\.`},
	{"procfs", `^procfs`},
	{"input", `^input\.`},
	{"netfilter", `^netfilter\.`},
	{"security hooks", `^lsm\.`},
}

// TestEveryFamily: each row has scripts, and each script's points belong to a row.
func TestEveryFamily(t *testing.T) {
	rows := map[string][]string{}
	for form, scripts := range proved(t) {
		n := 0
		for _, f := range families {
			if regexp.MustCompile(f.forms).MatchString(form) {
				rows[f.row] = append(rows[f.row], scripts...)
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s is of %d rows, not of one", form, n)
		}
	}
	for _, f := range families {
		list := slices.Compact(slices.Sorted(slices.Values(rows[f.row])))
		if len(list) == 0 {
			t.Errorf("no script is of %s", f.row)
		}
		t.Logf("%s: %s", f.row, strings.Join(list, " "))
	}
}

// TestNames: a name means one script.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range slices.Concat(Functions, Kernel, Debug, Loader) {
		if seen[s.Name+" "+cmp.Or(s.Only, "all")] {
			t.Errorf("two scripts are called %s", s.Name)
		}
		seen[s.Name+" "+cmp.Or(s.Only, "all")] = true
	}
}

// TestJoin: most scripts of functions become one, which parses, and no script is lost.
func TestJoin(t *testing.T) {
	list := slices.Concat(Functions, Kernel, Debug)
	joints, alone := Join(list)
	n := len(alone)
	for _, j := range joints {
		n += len(j.Of)
		t.Logf("%s: %d scripts\n%s\n%s\n%s", j.Name, len(j.Of), j.Command, j.Text, j.Match)
		f := syntax.ParseFile(j.Name, []byte(j.Text), syntax.Options{View: syntax.Expanded})
		if len(f.Diags) > 0 {
			t.Errorf("%v", f.Diags[0])
		}
		if _, err := regexp.Compile("(?s)" + j.Match); err != nil {
			t.Error(err)
		}
	}
	if n != len(list) || len(joints) == 0 || len(joints[0].Of) < 20 {
		t.Errorf("%d scripts of %d; joints: %d", n, len(list), len(joints))
	}
	if got, want := apart(`global n, s probe a.n { n[s]++; println($n->s, "n", m.n(n)) } function f(x) { return f(n) }`, "_1"),
		`global n_1, s_1 probe a.n { n_1[s_1]++; println($n->s, "n", m.n(n_1)) } function f_1(x) { return f_1(n_1) }`; got != want {
		t.Errorf("%s\nnot\n%s", got, want)
	}
}
