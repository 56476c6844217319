// Package linttest tests rules on txtar archives and on their documentation.
//
// An archive below testdata of a rule's folder holds scripts. A comment
//
//	# want "part of the message"
//
// at the end of a line wants a finding of the rule there, several strings several
// findings; a script without any wants none. The comment of the archive (what stands
// before the first file) may hold lines
//
//	target: old new        the test kernels to elaborate for (see Kernel), all at once
//	tapset                 the scripts are files of a library
//	guru                   they are run with -g
//	option NAME = VALUE    sets an option of the rule
//	also: ST1002           findings of this rule count as well
//
// For every script with findings the test also makes, and holds against the archive:
//
//   - NAME/suppressed, where each want is a suppression: nothing may be left;
//   - NAME/fixed, to which all fixes were applied: it still is a script, and what was
//     mended is not found again.
//
// "go test ./lint/registry -update" writes these two.
package linttest

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/check"
	"stapkit/syntax"
)

// Update is the flag -update: golden files are rewritten.
var Update = flag.Bool("update", false, "rewrite golden files")

// setup is what the comment of an archive says.
type setup struct {
	rule         *lint.Analyzer
	targets      []string
	tapset, guru bool
	settings     lint.Settings
	also         []string
}

func newSetup(a *lint.Analyzer) *setup {
	return &setup{rule: a, settings: lint.Settings{
		Disable: []string{"all"}, Enable: []string{a.Name},
		Options: map[string]map[string]any{a.Name: {}},
	}}
}

var optionLine = regexp.MustCompile(`^option (\S+) = (.*)$`)

func (s *setup) read(comment string) error {
	for line := range strings.Lines(comment) {
		line = strings.TrimSpace(line)
		m := optionLine.FindStringSubmatch(line)
		switch {
		case m != nil:
			var v any = m[2]
			if n, err := strconv.ParseInt(m[2], 0, 64); err == nil {
				v = n
			}
			s.settings.Options[s.rule.Name][m[1]] = v
		case line == "tapset":
			s.tapset = true
		case line == "guru":
			s.guru = true
		case strings.HasPrefix(line, "target:"):
			s.targets = strings.Fields(strings.TrimPrefix(line, "target:"))
		case strings.HasPrefix(line, "also:"):
			s.also = strings.Fields(strings.TrimPrefix(line, "also:"))
		case line == "" || strings.HasPrefix(line, "#"):
		default:
			return fmt.Errorf("line %q of the comment is not understood", line)
		}
	}
	s.settings.Enable = append(s.settings.Enable, s.also...)
	return s.settings.Check(s.list())
}

// list is the rule and those of suppressions.
func (s *setup) list() []*lint.Analyzer {
	list := []*lint.Analyzer{s.rule}
	for _, n := range append([]string{"ST9001", "ST9002", "ST9003"}, s.also...) {
		if n != s.rule.Name {
			list = append(list, lint.Lookup(n))
		}
	}
	return list
}

// run lints a text.
func (s *setup) run(t *testing.T, name, text string) (*lint.Result, []*lint.Script) {
	t.Helper()
	var scripts []*lint.Script
	add := func(e *check.Env) {
		scripts = append(scripts, e.Script(check.Input{Name: name, Text: []byte(text), Guru: s.guru, Tapset: s.tapset}))
	}
	for _, n := range s.targets {
		k, err := Kernel(n)
		if err != nil {
			t.Fatal(err)
		}
		e, err := check.NewEnv(check.EnvOptions{Target: k, Explicit: true})
		if err != nil {
			t.Fatal(err)
		}
		add(e)
	}
	if len(s.targets) == 0 {
		e, err := check.Default()
		if err != nil {
			t.Fatal(err)
		}
		add(e)
	}
	res, _, err := lint.RunAll(scripts, s.list(), s.settings)
	if err != nil {
		t.Fatal(err)
	}
	return res, scripts
}

// mine takes the findings of the rule.
func (s *setup) mine(res *lint.Result) []diag.Diagnostic {
	var out []diag.Diagnostic
	for _, d := range res.Diags {
		if string(d.Code) == s.rule.Name || slices.Contains(s.also, string(d.Code)) {
			out = append(out, d)
		}
	}
	return out
}

// errorsOf lists errors that are no findings of the rule: the script of a test has to be
// one, except for what the rule is about.
func (s *setup) errorsOf(res *lint.Result) []string {
	var out []string
	for _, d := range res.Diags {
		if d.Severity == diag.Error && !strings.HasPrefix(string(d.Code), "ST") && !slices.Contains(s.rule.Adopts, d.Code) {
			out = append(out, d.Error())
		}
	}
	return out
}

var wanted = regexp.MustCompile(`\s*# want((?: "(?:[^"\\]|\\.)*")+)\s*$`)

// wants reads the wants of a text, by line.
func wants(t *testing.T, name, text string) map[int][]string {
	t.Helper()
	out := map[int][]string{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		m := wanted.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			if strings.Contains(line, "# want") {
				t.Errorf("%s:%d: the want is not understood", name, n)
			}
			continue
		}
		for rest := strings.TrimSpace(m[1]); rest != ""; rest = strings.TrimSpace(rest) {
			q, err := strconv.QuotedPrefix(rest)
			if err != nil {
				t.Fatalf("%s:%d: %v", name, n, err)
			}
			rest = rest[len(q):]
			text, err := strconv.Unquote(q)
			if err != nil {
				t.Fatalf("%s:%d: %v", name, n, err)
			}
			out[n] = append(out[n], text)
		}
	}
	return out
}

// Run tests a rule: its documentation, and the archives in a folder.
func Run(t *testing.T, a *lint.Analyzer, folder string) {
	t.Helper()
	t.Run("documentation", func(t *testing.T) { documentation(t, a, folder) })
	files, err := filepath.Glob(filepath.Join(folder, "testdata", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("%s has no testdata/*.txtar", folder)
	}
	var seen tally
	for _, f := range files {
		archive(t, a, f, &seen)
	}
	switch {
	case seen.positive == 0:
		t.Error("no script has a finding")
	case seen.negative == 0:
		t.Error("no script is without a finding")
	case a.Doc.Fix != lint.NoFix && seen.fixed == 0:
		t.Error("no script shows the fix that the documentation promises")
	case a.Doc.Fix == lint.NoFix && seen.fixed > 0:
		t.Error("there is a fix, and the documentation has none")
	}
}

type tally struct{ positive, negative, fixed int }

// documentation runs the rule on its own examples. They are for the target that the
// rule's archives name.
func documentation(t *testing.T, a *lint.Analyzer, folder string) {
	s := newSetup(a)
	if files, _ := filepath.Glob(filepath.Join(folder, "testdata", "*.txtar")); len(files) > 0 {
		ar, err := txtar.ParseFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := s.read(string(ar.Comment)); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{a.Doc.Before, a.Doc.After} {
		res, _ := s.run(t, "doc.stp", strings.TrimLeft(text, "\n")+"\n")
		for _, e := range s.errorsOf(res) {
			t.Errorf("the example has an error: %s\n%s", e, text)
		}
		if got, want := len(s.mine(res)) > 0, text == a.Doc.Before; got != want {
			t.Errorf("finding in the example: %v, want %v\n%s%s", got, want, text, show(res.Diags))
		}
	}
}

func show(ds []diag.Diagnostic) string {
	var b strings.Builder
	for _, d := range ds {
		fmt.Fprintf(&b, "\t%s\n", d.Error())
	}
	return b.String()
}

func archive(t *testing.T, a *lint.Analyzer, file string, seen *tally) {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := newSetup(a)
	if err := s.read(string(ar.Comment)); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	made := map[string]string{} // by name
	var order []txtar.File
	for _, f := range ar.Files {
		if strings.Contains(f.Name, "/") {
			continue
		}
		order = append(order, f)
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar")+"/"+f.Name, func(t *testing.T) {
			text := string(f.Data)
			want := wants(t, f.Name, text)
			ds, fixed := s.script(t, f.Name, text, want)
			if len(ds) == 0 {
				seen.negative++
				return
			}
			seen.positive++
			made[f.Name+"/suppressed"] = s.suppressed(t, f.Name, text, len(ds))
			if fixed != "" {
				seen.fixed++
				made[f.Name+"/fixed"] = fixed
			}
		})
	}
	if *Update {
		out := &txtar.Archive{Comment: ar.Comment}
		for _, f := range order {
			out.Files = append(out.Files, f)
			for _, part := range []string{"/suppressed", "/fixed"} {
				if text, ok := made[f.Name+part]; ok {
					out.Files = append(out.Files, txtar.File{Name: f.Name + part, Data: []byte(text)})
				}
			}
		}
		if err := os.WriteFile(file, txtar.Format(out), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, f := range ar.Files {
		if !strings.Contains(f.Name, "/") {
			continue
		}
		if got, ok := made[f.Name]; !ok {
			t.Errorf("%s: %s is not made by the script any more (-update removes it)", file, f.Name)
		} else if got != string(f.Data) {
			t.Errorf("%s: %s: got\n%s\nwant\n%s", file, f.Name, got, f.Data)
		}
		delete(made, f.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(made)) {
		t.Errorf("%s: %s is missing (-update writes it)", file, name)
	}
}

// script checks the findings in a script against the wants, and applies fixes.
func (s *setup) script(t *testing.T, name, text string, want map[int][]string) (found []diag.Diagnostic, fixed string) {
	t.Helper()
	res, _ := s.run(t, name, text)
	for _, e := range s.errorsOf(res) {
		t.Errorf("the script has an error: %s", e)
	}
	found = s.mine(res)
	left := map[int][]string{}
	for n, w := range want {
		left[n] = slices.Clone(w)
	}
	fixes := 0
	for _, d := range found {
		n := d.Range.Start.Line
		i := slices.IndexFunc(left[n], func(w string) bool { return strings.Contains(d.Message, w) })
		if i < 0 {
			t.Errorf("unexpected: %s", d.Error())
			continue
		}
		left[n] = slices.Delete(left[n], i, i+1)
		for _, f := range d.Fixes {
			fixes++
			if f.Safe && s.rule.Doc.Fix != lint.SafeFix {
				t.Errorf("%s: the fix %q is safe, which the documentation does not promise", d.Error(), f.Message)
			}
			if !f.Safe && s.rule.Doc.Fix == lint.SafeFix && len(d.Fixes) == 1 {
				t.Errorf("%s: the fix %q is not safe, as the documentation promises", d.Error(), f.Message)
			}
		}
	}
	for n, w := range left {
		for _, m := range w {
			t.Errorf("%s:%d: no finding with %q", name, n, m)
		}
	}
	if fixes == 0 {
		return found, ""
	}
	now := []byte(text)
	for round := 0; ; round++ {
		res, _ := s.run(t, name, string(now))
		next, done := lint.Apply(name, now, s.mine(res), true)
		if len(done) == 0 {
			for _, d := range s.mine(res) {
				if len(d.Fixes) > 0 {
					t.Errorf("cannot be mended: %s", d.Error())
				}
			}
			break
		}
		if round > 20 {
			t.Errorf("fixes do not come to an end:\n%s", now)
			break
		}
		now = next
	}
	if f := syntax.ParseFile(name, now, syntax.Options{Privileged: true, ArgsUnknown: true}); diag.HasErrors(f.Diags) {
		t.Errorf("the mended script does not parse:\n%s%s", now, show(f.Diags))
	}
	res, _ = s.run(t, name, string(now))
	for _, d := range res.Diags {
		if d.Severity == diag.Error && !strings.HasPrefix(string(d.Code), "ST") {
			t.Errorf("the mended script has an error: %s\n%s", d.Error(), now)
		}
	}
	return found, string(now)
}

// suppressed puts a suppression in the place of each want.
func (s *setup) suppressed(t *testing.T, name, text string, n int) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := wanted.FindStringIndex(line); m != nil {
			names := s.rule.Name
			if len(s.also) > 0 {
				names += ", " + strings.Join(s.also, ", ")
			}
			line = line[:m[0]] + " # staplint:ignore " + names + " a test"
		}
		b.WriteString(line + "\n")
	}
	if strings.HasPrefix(s.rule.Name, "ST9") {
		return b.String() // what is said about suppressions cannot be suppressed
	}
	res, _ := s.run(t, name, b.String())
	if left := s.mine(res); len(left) > 0 {
		t.Errorf("left in spite of suppressions:\n%s%s", show(left), b.String())
	}
	for _, d := range res.Diags {
		if strings.HasPrefix(string(d.Code), "ST9") {
			t.Errorf("%s", d.Error())
		}
	}
	if len(res.Suppressed) < n && len(s.targets) < 2 {
		t.Errorf("%d findings suppressed, want %d", len(res.Suppressed), n)
	}
	return b.String()
}
