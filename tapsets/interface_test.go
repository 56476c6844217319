package tapsets_test

import (
	"fmt"
	"path"
	"regexp"
	"sort"
	"strings"
	"testing"

	"stapkit/internal/corpus"
	"stapkit/syntax"
	"stapkit/tapsets"
)

// linux is what SystemTap's library is read for.
var linux = syntax.StaticConditions{"kernel_v": "6.1.0", "kernel_vr": "6.1.0-56-cloud-amd64", "arch": "x86_64", "runtime": "kernel",
	"systemtap_v": "4.8", "systemtap_privilege": "stapdev", "guru_mode": "0", "CONFIG_64BIT": "y", "CONFIG_COMPAT": "y", "CONFIG_SMP": "y"}

// facts are what an alias offers to scripts: the variables that it sets, and the
// shapes that argstr may have ("%d, %s").
type facts struct {
	vars   map[string]bool
	shapes map[string]bool
	names  map[string]bool // values of the variable "name"
}

func newFacts() *facts {
	return &facts{vars: map[string]bool{}, shapes: map[string]bool{}, names: map[string]bool{}}
}

func (f *facts) add(o *facts) {
	for v := range o.vars {
		f.vars[v] = true
	}
	for v := range o.shapes {
		f.shapes[v] = true
	}
	for v := range o.names {
		f.names[v] = true
	}
}

// read collects the facts of a block.
func (f *facts) read(b *syntax.Block) {
	if b == nil {
		return
	}
	syntax.Inspect(b, func(n syntax.Node) bool {
		a, ok := n.(*syntax.AssignExpr)
		if !ok {
			return true
		}
		id, ok := a.L.(*syntax.Ident)
		if !ok || strings.HasPrefix(id.Name, "__") {
			return true
		}
		f.vars[id.Name] = true
		switch s, _ := a.R.(*syntax.StringLit); {
		case id.Name == "name" && s != nil:
			f.names[s.Value] = true
		case id.Name == "argstr":
			syntax.Inspect(a.R, func(n syntax.Node) bool {
				if p, ok := n.(*syntax.PrintExpr); ok && p.FormatLit != nil {
					f.shapes[shape(p.FormatLit.Value)] = true
				}
				return true
			})
		}
		return true
	})
}

var directive = regexp.MustCompile(`%[^a-zA-Z]*l?[a-zA-Z]`)

// shape reduces a format to what its parts are: numbers in decimal ("d"), with a
// prefix ("x" for hex and pointers, "o"), or text.
func shape(format string) string {
	return directive.ReplaceAllStringFunc(strings.ReplaceAll(format, "0x%", "%#"), func(d string) string {
		switch c := d[len(d)-1]; c {
		case 'p', 'x':
			return "%x"
		case 'u', 'd', 'i':
			return "%d"
		default:
			return "%" + string(c)
		}
	})
}

// aliases collects the facts of all aliases of some files, those that they refer to
// included, for names that fit a prefix.
func aliases(files []*syntax.File, prefix string) map[string]*facts {
	own := map[string]*facts{}
	points := map[string][]string{}
	for _, f := range files {
		for _, d := range f.Decls {
			a, ok := d.(*syntax.AliasDecl)
			if !ok {
				continue
			}
			got := newFacts()
			got.read(a.Body)
			got.read(a.Epilogue)
			for _, n := range a.Names {
				name := syntax.PointString(n)
				if own[name] == nil {
					own[name] = newFacts()
				}
				own[name].add(got)
				for _, p := range a.Points {
					points[name] = append(points[name], strings.TrimRight(syntax.PointString(p), " ?!"))
				}
			}
		}
	}
	out := map[string]*facts{}
	for name := range own {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		all := newFacts()
		seen := map[string]bool{}
		var visit func(string)
		visit = func(n string) {
			if f := own[n]; f != nil && !seen[n] {
				seen[n] = true
				all.add(f)
				for _, p := range points[n] {
					visit(p)
				}
			}
		}
		visit(name)
		out[name] = all
	}
	return out
}

// theirs reads SystemTap's aliases of system calls as Debian packages them.
func theirs(t *testing.T) map[string]*facts {
	t.Helper()
	return aliases(theirFiles(t, "sysc_"), "syscall.")
}

// theirFiles parses the files of SystemTap's library whose names have a prefix.
func theirFiles(t *testing.T, prefix string) []*syntax.File {
	t.Helper()
	all, err := corpus.Tapset()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Skip("the package systemtap-common is not installed")
	}
	lib := &syntax.MacroSet{}
	for _, f := range all {
		if f.Macro && !strings.Contains(f.Path, "/dyninst/") && !strings.Contains(f.Path, "/bpf/") {
			lib.Add(syntax.ParseMacros(f.Path, f.Src, syntax.Options{Library: true, Target: linux}))
		}
	}
	var files []*syntax.File
	for _, f := range all {
		if other := strings.Contains(f.Path, "/dyninst/") || strings.Contains(f.Path, "/bpf/"); !f.Macro && !other && strings.HasPrefix(path.Base(f.Path), prefix) {
			files = append(files, syntax.ParseFile(f.Path, f.Src, syntax.Options{Library: true, Privileged: true, Target: linux, Macros: lib}))
		}
	}
	return files
}

func ours(t *testing.T) map[string]*facts {
	t.Helper()
	return aliases(libraryFiles(t), "syscall.")
}

// libraryFiles parses the library.
func libraryFiles(t *testing.T) []*syntax.File {
	t.Helper()
	lib := &syntax.MacroSet{}
	for _, name := range tapsets.Files() {
		if src, ok := tapsets.Read(name); ok && path.Ext(name) == ".stpm" {
			lib.Add(syntax.ParseMacros(name, src, syntax.Options{Library: true, Target: linux}))
		}
	}
	var files []*syntax.File
	for _, name := range tapsets.Files() {
		src, ok := tapsets.Read(name)
		if !ok {
			t.Fatalf("the index names %s, which does not exist", name)
		}
		if path.Ext(name) == ".stpm" {
			continue
		}
		f := syntax.ParseFile(name, src, syntax.Options{Library: true, Privileged: true, Target: linux, Macros: lib})
		for _, d := range f.Diags {
			t.Errorf("%v", d)
		}
		files = append(files, f)
	}
	return files
}

// notHere are aliases of SystemTap's that this library does not have: see
// docs/incompatibilities.md.
var notHere = regexp.MustCompile(`^syscall\.(compat_.*|sys(32|64)_.*|ppc.*|.*32|ni_syscall|pselect7|set_zone_reclaim|timerfd|tux|vm86_warning)(\.return)?$`)

// unlike are variables that aliases of SystemTap's set and ours do not, with the
// reason.
var unlike = map[string]string{
	"syscall.dup2 flags":                     "dup2 has no flags; dup3 has",
	"syscall.dup2 flags_str":                 "dup2 has no flags; dup3 has",
	"syscall.mkdirat pahtname_unquoted":      "misspelt there; here pathname_unquoted",
	"syscall.uname _func_name":               "internal",
	"syscall.ptrace.return geteventmsg_data": "what a tracer gets is not read",
}

// TestSyscallVariables compares what aliases offer with SystemTap's: a script
// written for it finds its variables.
func TestSyscallVariables(t *testing.T) {
	want, got := theirs(t), ours(t)
	var names []string
	for n := range want {
		names = append(names, n)
	}
	sort.Strings(names)
	compared := 0
	for _, n := range names {
		f := got[n]
		if f == nil {
			if !notHere.MatchString(n) && !strings.HasSuffix(n, ".return") {
				t.Errorf("%s is missing", n)
			}
			continue
		}
		compared++
		for v := range want[n].vars {
			if !f.vars[v] && unlike[n+" "+v] == "" {
				t.Errorf("%s does not set %s", n, v)
			}
		}
		if entry := want[strings.TrimSuffix(n, ".return")]; entry != nil {
			for v := range entry.names {
				want[n].names[v] = true
			}
		}
		for v := range f.names {
			if !want[n].names[v] && len(want[n].names) > 0 {
				t.Errorf("%s: name is %q, not one of %v", n, v, keys(want[n].names))
			}
		}
	}
	if compared < 600 {
		t.Errorf("only %d aliases were compared", compared)
	}
}

// notOurs are families of SystemTap's that are written otherwise here, or not at all:
// see docs/incompatibilities.md.
var notOurs = regexp.MustCompile(`^(_|timer\.profile|(nd\d?|dw|tp)_syscall\.|syscall\.|.*\._|json_data|prometheus$)`)

// internalName says that a variable is no part of the interface.
func internalName(v string) bool { return strings.HasPrefix(v, "_") }

// otherVariables are variables that other aliases of SystemTap's set and ours do
// not, with the reason.
var otherVariables = map[string]string{}

// TestAliasVariables compares what all other aliases offer with SystemTap's.
func TestAliasVariables(t *testing.T) {
	want, got := aliases(theirFiles(t, ""), ""), aliases(libraryFiles(t), "")
	compared := 0
	for _, n := range sortedNames(want) {
		if notOurs.MatchString(n) {
			continue
		}
		f := got[n]
		if f == nil {
			t.Errorf("%s is missing", n)
			continue
		}
		compared++
		for _, v := range keys(want[n].vars) {
			if !internalName(v) && !f.vars[v] && otherVariables[n+" "+v] == "" && otherVariables[v] == "" {
				t.Errorf("%s does not set %s", n, v)
			}
		}
	}
	if compared < 500 {
		t.Errorf("only %d aliases were compared", compared)
	}
}

func sortedNames(m map[string]*facts) []string {
	var out []string
	for n := range m {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// TestSyscallArguments compares the shape of argstr with SystemTap's: so many
// parts, numbers in the same base.
func TestSyscallArguments(t *testing.T) {
	want, got := theirs(t), ours(t)
	same := 0
	for n, f := range got {
		w := want[n]
		if w == nil || len(w.shapes) == 0 || len(f.shapes) == 0 {
			continue
		}
		for s := range f.shapes {
			if !w.shapes[s] && otherShape[n] != s {
				t.Errorf("%s: argstr is %q, not one of %q", n, s, keys(w.shapes))
				continue
			}
			same++
		}
	}
	if same < 250 {
		t.Errorf("only %d shapes were compared", same)
	}
}

// otherShape are shapes of argstr that differ on purpose.
var otherShape = map[string]string{
	"syscall.eventfd": "%d",     // eventfd without flags; eventfd2 has them
	"syscall.pipe":    "%s, %s", // a function makes the part in brackets
	"syscall.utime":   "%s, %s", // a function makes the part in brackets, or NULL
}

func keys(m map[string]bool) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// TestIndex checks that the index is what the files say.
func TestIndex(t *testing.T) {
	for _, name := range tapsets.Files() {
		src, _ := tapsets.Read(name)
		f := syntax.ParseFile(name, src, syntax.Options{View: syntax.SourceView, Library: true})
		var visit func([]syntax.Decl)
		has := func(what string, files []string) {
			for _, f := range files {
				if f == name {
					return
				}
			}
			t.Errorf("%s: the index does not know %s; run go generate ./tapsets", name, what)
		}
		visit = func(decls []syntax.Decl) {
			for _, d := range decls {
				switch d := d.(type) {
				case *syntax.FuncDecl:
					if !d.Private {
						has("function "+d.Name.Name, tapsets.FuncFiles(d.Name.Name))
					}
					if d.Code != nil {
						if table, ok := strings.CutPrefix(strings.TrimSpace(d.Code.Text), "table:"); ok {
							if _, ok := tapsets.Lookup(table); !ok {
								t.Errorf("%s: function %s wants the table %s, which does not exist", name, d.Name.Name, table)
							}
						}
					}
				case *syntax.AliasDecl:
					for _, n := range d.Names {
						has(fmt.Sprintf("alias %s", syntax.PointString(n)), tapsets.AliasFiles(n.Components[0].Name))
					}
				case *syntax.CondDecl:
					visit(d.Then)
					visit(d.Else)
				}
			}
		}
		visit(f.Decls)
	}
}
