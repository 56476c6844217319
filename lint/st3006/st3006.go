// Package st3006 is the rule ST3006: read of a key that is never written.
package st3006

import (
	"strconv"
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/mapuse"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST3006",
	Doc: &lint.Doc{
		Title:    "key is read but never written",
		Severity: diag.Warning,
		Why: `
All keys that the script writes are literals, and this is none of them, so the value is always 0 or "". A report of
counts["writes"] stayed at 0, since the handler counted in counts["write"].`,
		Before: `
global counts
probe syscall.write {
	counts["write"]++
}
probe end {
	println(counts["writes"])
}`,
		After: `
global counts
probe syscall.write {
	counts["write"]++
}
probe end {
	println(counts["write"])
}`,
	},
	Requires: []*lint.Analyzer{mapuse.Maps},
	Run:      run,
})

func run(p *lint.Pass) (any, error) {
	if p.Broken() || p.Guessed() {
		return nil, nil
	}
next:
	for _, m := range p.ResultOf[mapuse.Maps].([]*mapuse.Map) {
		written := map[string]bool{}
		for _, w := range m.Writes {
			key, ok := literal(w.Body, w.Keys)
			if !ok {
				continue next
			}
			written[key] = true
		}
		if len(written) == 0 {
			continue // never assigned at all, which is told elsewhere
		}
		for _, r := range m.Reads {
			if r.Keys == nil || !p.User(r.Node) {
				continue
			}
			if key, ok := literal(r.Body, r.Keys); ok && !written[key] {
				p.Reportf(r.Node, "'%s' has no element [%s]: nothing writes it", m.Global.Name, key)
			}
		}
	}
	return nil, nil
}

// literal is the text of keys that are literals.
func literal(b *lint.Body, keys []syntax.Expr) (string, bool) {
	var parts []string
	for _, k := range keys {
		if n, ok := b.Int(k); ok {
			parts = append(parts, strconv.FormatInt(n, 10))
		} else if s, ok := b.Str(k); ok {
			parts = append(parts, strconv.Quote(s))
		} else {
			return "", false
		}
	}
	return strings.Join(parts, ", "), true
}
