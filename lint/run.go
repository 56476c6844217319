package lint

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"stapkit/diag"
	"stapkit/syntax"
)

// Settings choose rules and what they mind. The zero value is the default.
type Settings struct {
	// Enable and Disable hold rules ("ST3004"), beginnings of rules ("ST3") or "all".
	// The longest that fits a rule decides; of two as long, Disable.
	Enable, Disable []string
	// Severity overrides that of rules, by name.
	Severity map[string]diag.Severity
	// Options are by rule and option, int64 or string.
	Options map[string]map[string]any
}

// Check returns what is wrong with the settings: names that no rule of list has,
// values of the wrong kind.
func (s *Settings) Check(list []*Analyzer) error {
	known := func(name string) bool {
		return name == "all" || slices.ContainsFunc(list, func(a *Analyzer) bool { return strings.HasPrefix(a.Name, name) })
	}
	for _, n := range slices.Concat(s.Enable, s.Disable) {
		if n == "" || !known(n) {
			return fmt.Errorf("no rule is called %q or begins so", n)
		}
	}
	for n := range s.Severity {
		if find(list, n) == nil {
			return fmt.Errorf("severity: no rule is called %q", n)
		}
	}
	for n, opts := range s.Options {
		a := find(list, n)
		if a == nil {
			return fmt.Errorf("options: no rule is called %q", n)
		}
		for name, v := range opts {
			i := slices.IndexFunc(a.Doc.Options, func(o Option) bool { return o.Name == name })
			if i < 0 {
				return fmt.Errorf("%s has no option %q", n, name)
			}
			if want := a.Doc.Options[i].Default; fmt.Sprintf("%T", want) != fmt.Sprintf("%T", v) {
				return fmt.Errorf("option %s of %s is %v; it should be like %#v", name, n, v, want)
			}
		}
	}
	return nil
}

func find(list []*Analyzer, name string) *Analyzer {
	for _, a := range list {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// Enabled reports whether a rule is on, apart from the target that it may need.
func (s *Settings) Enabled(a *Analyzer) bool {
	best, on := -1, !a.Doc.NonDefault
	try := func(names []string, value bool) {
		for _, n := range names {
			length := len(n)
			switch {
			case n == "all":
				length = 0
			case !strings.HasPrefix(a.Name, n):
				continue
			}
			if length > best || length == best && !value {
				best, on = length, value
			}
		}
	}
	try(s.Enable, true)
	try(s.Disable, false)
	return on
}

// A Result is what was found in a script.
type Result struct {
	// Diags are all findings in the order of the text: those of the parser, of
	// elaboration and of the rules. Nobody else need show a script's diagnostics.
	Diags []diag.Diagnostic
	// Suppressed are findings that a comment in the script answers.
	Suppressed []diag.Diagnostic
	// NoTarget: rules that depend on a kernel did not run, for want of a target.
	NoTarget bool
}

// run is one run of all rules over one script.
type run struct {
	script   *Script
	settings *Settings
	diags    []diag.Diagnostic
	seen     map[string]bool
}

// key tells findings apart.
func key(d *diag.Diagnostic) string {
	return string(d.Code) + "\x00" + d.Range.Start.String() + "\x00" + d.Message
}

// add keeps a finding unless it was made before, or lies in text that is not the
// user's.
func (r *run) add(d diag.Diagnostic) {
	if !d.Range.IsValid() && d.Range.Start.File == "" {
		if len(r.script.Files) > 0 {
			d.Range.Start.File = r.script.Files[0].Name
		}
	} else if !r.script.userFile(d.Range.Start.File) {
		// In a library macro: shown where the user uses it.
		i := slices.IndexFunc(d.Related, func(rel diag.Related) bool { return r.script.userFile(rel.Range.Start.File) })
		if i < 0 {
			return
		}
		d.Range = d.Related[i].Range
		d.Related = d.Related[i+1:]
		d.Fixes = nil
	}
	k := key(&d)
	if r.seen[k] {
		return
	}
	r.seen[k] = true
	if s, ok := r.settings.Severity[string(d.Code)]; ok {
		d.Severity = s
	}
	r.diags = append(r.diags, d)
}

func (s *Script) userFile(name string) bool {
	return slices.ContainsFunc(s.Files, func(f *syntax.File) bool { return f.Name == name })
}

// Run runs the rules of list over a script, and answers suppressions.
func Run(s *Script, list []*Analyzer, settings Settings) (*Result, error) {
	r := &run{script: s, settings: &settings, seen: map[string]bool{}}
	res := &Result{}
	facts := map[*Analyzer]any{}
	adopters := map[diag.Code][]*Pass{}
	off := map[diag.Code]bool{}
	var passes []*Pass
	for _, a := range list {
		on := settings.Enabled(a)
		if a.Doc.Target && on && (s.Target == nil || !s.Explicit) {
			res.NoTarget = true
			on = false
		}
		p := &Pass{Script: s, Analyzer: a, run: r, ResultOf: facts}
		for _, c := range a.Adopts {
			if on {
				adopters[c] = append(adopters[c], p)
			} else if a.Adopt == nil && !a.Doc.Target {
				off[c] = true
			}
		}
		if on && a.Run != nil {
			passes = append(passes, p)
		}
	}
	for _, d := range slices.Concat(s.Program.Diags, s.Program.Late) {
		r.adopt(d, adopters, off)
	}
	for _, p := range passes {
		for _, need := range p.Analyzer.Requires {
			if err := r.fact(need, facts); err != nil {
				return nil, err
			}
		}
		if _, err := p.Analyzer.Run(p); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Analyzer.Name, err)
		}
	}
	res.Diags, res.Suppressed = r.suppress(list)
	sortDiags(s, res.Diags)
	return res, nil
}

// adopt takes a finding of elaboration, as the rule's that claims it.
func (r *run) adopt(d diag.Diagnostic, adopters map[diag.Code][]*Pass, off map[diag.Code]bool) {
	switch {
	case d.Code == noTarget:
		return // said once, by who runs the rules
	case d.Code == noProbes && (!r.script.HasProbes() || len(r.script.Lost()) > 0):
		return // functions for others to use, or probes of what is known when it runs
	case d.Code == noProcess:
		return // -c or -x gives one when the script runs
	}
	for _, p := range adopters[d.Code] {
		mine := d
		mine.Related = slices.Clone(d.Related)
		mine.Fixes = slices.Clone(d.Fixes)
		if p.Analyzer.Adopt != nil && !p.Analyzer.Adopt(p, &mine) {
			continue
		}
		if mine.Message == "" {
			return // the rule has a better finding of its own
		}
		mine.Code, mine.Severity = diag.Code(p.Analyzer.Name), p.Analyzer.Doc.Severity
		r.add(mine)
		return
	}
	if off[d.Code] && d.Severity != diag.Error {
		return
	}
	r.add(d)
}

// noTarget is the note of elaboration that nothing is known of a target.
const noTarget diag.Code = "E1010"

// noProcess is the error of elaboration that "process" has no path.
const noProcess diag.Code = "E1007"

// noProbes is the error of elaboration that nothing is left to run.
const noProbes diag.Code = "E1006"

// fact runs an analyzer that rules share, and what it requires.
func (r *run) fact(a *Analyzer, facts map[*Analyzer]any) error {
	if _, ok := facts[a]; ok {
		return nil
	}
	for _, need := range a.Requires {
		if err := r.fact(need, facts); err != nil {
			return err
		}
	}
	v, err := a.Run(&Pass{Script: r.script, Analyzer: a, run: r, ResultOf: facts})
	if err != nil {
		return fmt.Errorf("%s: %w", a.Name, err)
	}
	facts[a] = v
	return nil
}

// sortDiags brings findings into the order of the script's files and of places in
// them; what has no place comes first in its file.
func sortDiags(s *Script, ds []diag.Diagnostic) {
	rank := map[string]int{}
	for i, f := range s.Files {
		rank[f.Name] = i
	}
	sort.SliceStable(ds, func(i, j int) bool {
		a, b := &ds[i], &ds[j]
		if ra, rb := rank[a.Range.Start.File], rank[b.Range.Start.File]; ra != rb {
			return ra < rb
		}
		if a.Range.Start.Line != b.Range.Start.Line {
			return a.Range.Start.Line < b.Range.Start.Line
		}
		return a.Range.Start.Col < b.Range.Start.Col
	})
}

// A Breakage is one row of the table of what breaks where: a finding that depends on
// the target.
type Breakage struct {
	Diag diag.Diagnostic
	// On tells for each script given to RunAll whether the finding holds there.
	On []bool
}

// RunAll runs the rules over one script as elaborated for several targets. Findings
// that hold on all of them come once; what holds on some only says on which, and is
// a row of the table.
func RunAll(scripts []*Script, list []*Analyzer, settings Settings) (*Result, []Breakage, error) {
	if len(scripts) == 1 {
		res, err := Run(scripts[0], list, settings)
		return res, nil, err
	}
	total := &Result{}
	var rows []Breakage
	index := map[string]int{}
	suppressed := map[string]bool{}
	for i, s := range scripts {
		res, err := Run(s, list, settings)
		if err != nil {
			return nil, nil, err
		}
		total.NoTarget = total.NoTarget || res.NoTarget
		for _, d := range res.Diags {
			// The message may hold names that only this target has.
			k := string(d.Code) + "\x00" + d.Range.Start.String()
			n, ok := index[k]
			if ok && rows[n].On[i] {
				k = key(&d)
				n, ok = index[k]
			}
			if !ok {
				n = len(rows)
				index[k] = n
				rows = append(rows, Breakage{Diag: d, On: make([]bool, len(scripts))})
			}
			rows[n].On[i] = true
		}
		for _, d := range res.Suppressed {
			if k := key(&d); !suppressed[k] {
				suppressed[k] = true
				total.Suppressed = append(total.Suppressed, d)
			}
		}
	}
	var table []Breakage
	for i := range rows {
		row := &rows[i]
		var on, not []string
		for j, s := range scripts {
			if row.On[j] {
				on = append(on, s.Name)
			} else {
				not = append(not, s.Name)
			}
		}
		d := row.Diag
		if len(not) > 0 {
			if d.Code == unusedSuppression {
				continue // what it answers is found on another target
			}
			if a := Lookup(string(d.Code)); a != nil && a.Partial != "" {
				if to := Lookup(a.Partial); to != nil {
					if !settings.Enabled(to) {
						continue
					}
					d.Code, d.Severity = diag.Code(to.Name), to.Doc.Severity
					if s, ok := settings.Severity[to.Name]; ok {
						d.Severity = s
					}
				}
			}
			d.Message += " (on " + strings.Join(on, ", ") + "; not on " + strings.Join(not, ", ") + ")"
			row.Diag = d
			table = append(table, *row)
		} else if a := Lookup(string(d.Code)); a != nil && a.Doc.Target {
			table = append(table, *row)
		}
		total.Diags = append(total.Diags, d)
	}
	sortDiags(scripts[0], total.Diags)
	return total, table, nil
}
