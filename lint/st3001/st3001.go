// Package st3001 is the rule ST3001: map of things in flight that is never emptied.
package st3001

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/mapuse"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST3001",
	Doc: &lint.Doc{
		Title:    "entries of what is in flight are never deleted",
		Severity: diag.Warning,
		Fix:      lint.UnsafeFix,
		Why: `
One handler stores something under the thread, process, request or pointer that it is about, another takes it from
there, and nobody deletes it. Every thread that ever came by keeps an entry; after 2,048 of them the script ends with
"Array overflow", some hours after it was started in production.`,
		Limits: `
Arrays that count or collect ("a[pid()]++", "a[pid()] <<< n") are reports, and those of which anything is deleted
anywhere are left to ST3002. With "%" an array forgets its oldest entries by itself.`,
		Before: `
global start, latency
probe syscall.read {
	start[tid()] = gettimeofday_us()
}
probe syscall.read.return {
	if (tid() in start)
		latency <<< gettimeofday_us() - start[tid()]
}`,
		After: `
global start, latency
probe syscall.read {
	start[tid()] = gettimeofday_us()
}
probe syscall.read.return {
	if (tid() in start) {
		latency <<< gettimeofday_us() - start[tid()]
		delete start[tid()]
	}
}`,
	},
	Requires: []*lint.Analyzer{mapuse.Maps},
	Run:      run,
})

func run(p *lint.Pass) (any, error) {
	if p.Broken() || p.Guessed() {
		return nil, nil
	}
	for _, m := range p.ResultOf[mapuse.Maps].([]*mapuse.Map) {
		if len(m.Deletes) > 0 || m.Global.Wrap {
			continue
		}
		for _, w := range m.Writes {
			a, ok := w.Node.(*syntax.AssignExpr)
			if !ok || a.Op != syntax.Assign || !w.Body.Kernel() || !w.Body.Own(a) {
				continue
			}
			what := ""
			for _, k := range w.Keys {
				if t := mapuse.Transient(w.Body, k); t != "" {
					what = t
				}
			}
			if what == "" {
				continue
			}
			var reader *mapuse.Use
			for i := range m.Reads {
				if r := &m.Reads[i]; r.Body != w.Body && r.Keys != nil && sameKeys(r.Keys, w.Keys) {
					reader = r
				}
			}
			if reader == nil {
				continue
			}
			d := p.At(a, "entries of '%s' are by %s, and nothing ever deletes one", m.Global.Name, what)
			d.Related = append(d.Related, diag.Related{Range: syntax.Range(reader.Node), Message: "the entry is used here, and could be deleted behind it"})
			d.Fixes = deletion(p, m.Global.Name, reader)
			p.Report(d)
			break
		}
	}
	return nil, nil
}

func sameKeys(a, b []syntax.Expr) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !lint.Same(a[i], b[i]) {
			return false
		}
	}
	return true
}

// deletion deletes the entry at the end of the handler that uses it.
func deletion(p *lint.Pass, name string, r *mapuse.Use) []diag.Fix {
	if r.Body.Probe == nil || r.Body.Probe.Decl.Body == nil || p.Text(r.Node) == "" {
		return nil
	}
	bl := r.Body.Probe.Decl.Body
	if !bl.Closed || len(bl.Stmts) == 0 {
		return nil
	}
	var keys []string
	for _, k := range r.Keys {
		keys = append(keys, syntax.ExprString(k))
	}
	last := bl.Stmts[len(bl.Stmts)-1]
	switch last.(type) {
	case *syntax.NextStmt, *syntax.ReturnStmt:
		return nil
	}
	end := syntax.Range(last).End
	text := "\n\tdelete " + name + "[" + strings.Join(keys, ", ") + "]"
	// Behind a semicolon that ends the last statement.
	src := last.File().Src
	for end.Offset < len(src) && src[end.Offset] == ';' {
		end.Offset++
		end.Col++
	}
	if strings.Contains(string(src[end.Offset:syntax.Range(bl).End.Offset]), "#") {
		return nil // a comment in the way
	}
	return []diag.Fix{{Message: "delete the entry at the end of the handler that uses it", Edits: []diag.Edit{{Range: diag.Range{Start: end, End: end}, NewText: text}}}}
}
