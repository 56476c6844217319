// Package lint is the linter as a library: what a rule is, how rules run over an
// elaborated script, suppressions, fixes and baselines. It reads no files and asks
// no kernel; what it needs is in the Script that it is given.
//
// Rules have the shape of go/analysis: a name, a documentation, what they require,
// a function that runs. Each is a folder of its own, with its tests; package
// lint/registry, which is generated, lists them.
package lint

import (
	"fmt"
	"strings"

	"stapkit/diag"
	"stapkit/sema"
	"stapkit/syntax"
	"stapkit/target"
)

// An Analyzer is a rule, or a fact that several rules share.
type Analyzer struct {
	// Name is the code of a rule ("ST1001"), or a word for a fact.
	Name string
	// Doc is nil for facts.
	Doc *Doc
	// URL is where to read more; rules get theirs from their code.
	URL string
	// Requires are the facts whose results Run finds in Pass.ResultOf.
	Requires []*Analyzer
	// Adopts are codes of elaboration whose findings are this rule's: they are shown
	// under its name, and can be switched off, suppressed and fixed like others.
	Adopts []diag.Code
	// Adopt says whether a finding with one of these codes is this rule's, and may
	// change it; nil takes all as they are. When it empties the message, Run has a
	// better finding, and this one is left out.
	Adopt func(*Pass, *diag.Diagnostic) bool
	// Partial is the rule that a finding belongs to when several targets were given
	// and it holds on some of them only; "" leaves it where it is.
	Partial string
	// Run reports findings and returns the fact, nil for rules. It may be nil.
	Run func(*Pass) (any, error)
}

// FixSafety tells what a rule offers in the way of fixes.
type FixSafety uint8

// The kinds of fixes.
const (
	NoFix     FixSafety = iota
	SafeFix             // keeps the meaning, or can only be what was meant; --fix
	UnsafeFix           // may change what the script does; --unsafe-fixes
)

// String returns "none", "safe" or "unsafe".
func (f FixSafety) String() string {
	switch f {
	case SafeFix:
		return "safe"
	case UnsafeFix:
		return "unsafe"
	}
	return "none"
}

// An Option is a number or a word that a project can set for a rule, in
// stapkit.toml: [lint.options.ST1004] places = 500.
type Option struct {
	Name    string
	Default any // int64 or string
	Text    string
}

// A Doc is the documentation of a rule, from which its page, --explain and the
// rule's metadata in SARIF are made. Tests run the rule on Before and After.
type Doc struct {
	// Title is one line, lower case.
	Title string
	// Why names the real failure that wants the rule.
	Why string
	// Before is a script that the rule finds something in, After one without.
	Before, After string
	// Since is the version that had the rule first.
	Since    string
	Severity diag.Severity
	// NonDefault rules are off unless enabled.
	NonDefault bool
	// Target rules depend on a kernel, and are off unless a target is given.
	Target  bool
	Options []Option
	Fix     FixSafety
	// Limits says what the rule does not find, deliberately; "" for nothing to say.
	Limits string
}

// since is the version of rules that do not say otherwise.
const since = "0.1"

// rules are the registered rules by name.
var rules = map[string]*Analyzer{}

// Rule registers a rule and returns it. It panics when the rule is incomplete:
// that is a mistake in the program, found by whatever links the rule.
func Rule(a *Analyzer) *Analyzer {
	d := a.Doc
	if d == nil || d.Title == "" || d.Why == "" || d.Before == "" || d.After == "" {
		panic("lint: the documentation of " + a.Name + " is incomplete")
	}
	if d.Since == "" {
		d.Since = since
	}
	rules[a.Name] = a
	diag.Register(diag.Info{Code: diag.Code(a.Name), Severity: d.Severity, Title: d.Title, Doc: d.Markdown(a)})
	return a
}

// Lookup returns the linked rule of a name; nil when there is none.
func Lookup(name string) *Analyzer { return rules[name] }

// Markdown is the text of the rule's page, without its title.
func (d *Doc) Markdown(a *Analyzer) string {
	var b strings.Builder
	b.WriteString(strings.TrimSpace(d.Why) + "\n")
	if d.Limits != "" {
		b.WriteString("\n" + strings.TrimSpace(d.Limits) + "\n")
	}
	code := func(head, text string) {
		b.WriteString("\n" + head + "\n\n")
		for line := range strings.Lines(strings.Trim(text, "\n") + "\n") {
			if strings.TrimSpace(line) == "" {
				b.WriteString("\n")
				continue
			}
			b.WriteString("    " + line)
		}
	}
	code("Before:", d.Before)
	code("After:", d.After)
	b.WriteString("\n")
	if len(d.Options) > 0 {
		b.WriteString("Options, in `stapkit.toml` below `[lint.options." + a.Name + "]`:\n\n")
		for _, o := range d.Options {
			fmt.Fprintf(&b, "- `%s` (%#v): %s\n", o.Name, o.Default, o.Text)
		}
		b.WriteString("\n")
	}
	if len(a.Adopts) > 0 {
		names := make([]string, len(a.Adopts))
		for i, c := range a.Adopts {
			names[i] = fmt.Sprintf("[%s](%s.md)", c, c)
		}
		b.WriteString("`stap` and `stapc` report this as " + strings.Join(names, ", ") + ".\n\n")
	}
	var facts []string
	if d.NonDefault {
		facts = append(facts, "off unless enabled")
	}
	if d.Target {
		facts = append(facts, "needs a target (`--target`, `--btf`, `--fleet`, `--kernel-release`)")
	}
	switch d.Fix {
	case SafeFix:
		facts = append(facts, "`--fix` mends it")
	case UnsafeFix:
		facts = append(facts, "`--unsafe-fixes` mends it")
	}
	facts = append(facts, "since "+d.Since)
	s := strings.Join(facts, "; ") + "."
	b.WriteString(strings.ToUpper(s[:1]) + s[1:] + "\n")
	return b.String()
}

// A Script is what is linted: one script, elaborated for one target.
type Script struct {
	Program *sema.Program
	// Files are the user's files among Program.Files, in the expanded view.
	Files []*syntax.File
	// Target is what the script was elaborated for, nil if nothing; Name its name in
	// messages when there are several.
	Target *target.Target
	Name   string
	// Explicit: the target was asked for, so that rules may depend on it. A target that
	// is only at hand, as the machine of an editor, makes no findings by default.
	Explicit bool
	// Tapset: the files are of a library; what other files use is not to be seen.
	Tapset bool

	source map[string]*syntax.File // source views, by file name
	bodies []Body
}

// A Body is one handler or function of the user, or a library alias's handler for
// the user's probe.
type Body struct {
	*sema.Body
	Blocks []*syntax.Block
	Probe  *sema.Probe // nil for a function
	Func   *sema.Func  // nil for a probe
	// Probes are all that share the body.
	Probes []*sema.Probe
	// Alias: the handler of an alias of the user that no probe uses.
	Alias bool

	order *order
}

// Bodies lists the handlers and functions that have code of the user, each once.
func (s *Script) Bodies() []Body {
	if s.bodies != nil {
		return s.bodies
	}
	at := map[*sema.Body]int{}
	for _, p := range s.Program.Probes {
		if p.Lib || p.Body == nil {
			continue
		}
		if i, ok := at[p.Body]; ok {
			s.bodies[i].Probes = append(s.bodies[i].Probes, p)
			continue
		}
		at[p.Body] = len(s.bodies)
		s.bodies = append(s.bodies, Body{Body: p.Body, Blocks: p.Blocks, Probe: p, Probes: []*sema.Probe{p}})
	}
	funcs := s.Program.Funcs
	if t := s.Program.Tools; t != nil {
		funcs = t.Funcs
		for _, f := range s.Files {
			for _, d := range f.Decls {
				a, ok := d.(*syntax.AliasDecl)
				if !ok {
					continue
				}
				for _, p := range t.Aliases[a] {
					if _, ok := at[p.Body]; ok || p.Body == nil {
						continue
					}
					at[p.Body] = len(s.bodies)
					s.bodies = append(s.bodies, Body{Body: p.Body, Blocks: p.Blocks, Probe: p, Probes: []*sema.Probe{p}, Alias: true})
				}
			}
		}
	}
	for _, f := range funcs {
		if f.Library || f.Body == nil || f.Decl.Body == nil || !s.User(f.Decl) {
			continue
		}
		s.bodies = append(s.bodies, Body{Body: f.Body, Blocks: []*syntax.Block{f.Decl.Body}, Func: f})
	}
	if s.bodies == nil {
		s.bodies = []Body{}
	}
	for i := range s.bodies {
		s.bodies[i].order = &order{}
	}
	return s.bodies
}

// Source is the source view of a user's file.
func (s *Script) Source(f *syntax.File) *syntax.File {
	if s.source == nil {
		s.source = map[string]*syntax.File{}
	}
	v := s.source[f.Name]
	if v == nil {
		v = syntax.ParseFile(f.Name, f.Src, syntax.Options{View: syntax.SourceView, Privileged: true, ArgsUnknown: true})
		s.source[f.Name] = v
	}
	return v
}

// Broken reports whether the script has errors, so that what is missing from it may
// only not have been understood.
func (s *Script) Broken() bool { return !s.Program.OK() }

// User reports whether a node is the user's own.
func (s *Script) User(n syntax.Node) bool {
	for _, f := range s.Files {
		if n.File() == f {
			return true
		}
	}
	return false
}

// A Pass is one run of one analyzer over one script.
type Pass struct {
	*Script
	Analyzer *Analyzer
	ResultOf map[*Analyzer]any

	run *run
}

// Report adds a finding. Its code and severity are the rule's.
func (p *Pass) Report(d diag.Diagnostic) {
	d.Code = diag.Code(p.Analyzer.Name)
	d.Severity = p.Analyzer.Doc.Severity
	p.run.add(d)
}

// Reportf reports a finding at a node.
func (p *Pass) Reportf(n syntax.Node, format string, args ...any) {
	p.Report(p.At(n, format, args...))
}

// At makes a finding at a node, for Report; it has the macro uses that the node came
// through.
func (p *Pass) At(n syntax.Node, format string, args ...any) diag.Diagnostic {
	d := diag.Diagnostic{Range: syntax.Range(n), Message: fmt.Sprintf(format, args...)}
	d.Related = append(d.Related, syntax.Origin(n)...)
	return d
}

// CallInstead is the fix that calls another function with the same arguments; none where
// the call is not in the text as it stands.
func (p *Pass) CallInstead(c *syntax.Call, name, to string) []diag.Fix {
	if p.Text(c) == "" {
		return nil
	}
	r := syntax.Range(c)
	r.End = r.Start
	r.End.Offset += len(name)
	r.End.Col += len(name)
	return []diag.Fix{{Message: "write " + to, Edits: []diag.Edit{{Range: r, NewText: to}}}}
}

// Int is the value of an option that is a number.
func (p *Pass) Int(name string) int64 {
	v, _ := p.option(name).(int64)
	return v
}

// Word is the value of an option that is a string.
func (p *Pass) Word(name string) string {
	v, _ := p.option(name).(string)
	return v
}

func (p *Pass) option(name string) any {
	if v, ok := p.run.settings.Options[p.Analyzer.Name][name]; ok {
		return v
	}
	for _, o := range p.Analyzer.Doc.Options {
		if o.Name == name {
			return o.Default
		}
	}
	panic("lint: " + p.Analyzer.Name + " has no option " + name)
}
