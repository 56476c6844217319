package lsp

import (
	"strings"

	"github.com/tliron/glsp"
	protocol "github.com/tliron/glsp/protocol_3_16"

	"stapkit/diag"
	stapfmt "stapkit/fmt"
	"stapkit/lint"
	"stapkit/query"
)

const (
	kindFixAll      = "source.fixAll.stapkit"
	kindFormat      = "source.format"
	kindSuppress    = "source.organizeSuppressions"
	kindQuickFix    = protocol.CodeActionKindQuickFix
	kindExtract     = protocol.CodeActionKindRefactorExtract
	kindRewrite     = protocol.CodeActionKindRefactorRewrite
	kindSourceGroup = protocol.CodeActionKindSource
)

var actionKinds = []string{kindQuickFix, kindExtract, kindRewrite, kindSourceGroup, kindFixAll, kindFormat, kindSuppress}

// wanted reports whether a client that asks for some kinds gets this one.
func wanted(only []string, kind string) bool {
	if len(only) == 0 {
		return true
	}
	for _, o := range only {
		if o == "" || kind == o || strings.HasPrefix(kind, o+".") {
			return true
		}
	}
	return false
}

func (s *server) codeAction(ctx *glsp.Context, p *protocol.CodeActionParams) (any, error) {
	c := s.of(ctx)
	q := c.elaborated(p.TextDocument.URI)
	if q == nil {
		return nil, c.ctx.Err()
	}
	start, end := s.span(q.Mapper, p.Range)
	out := []protocol.CodeAction{}
	add := func(title, kind string, preferred bool, found *diag.Diagnostic, edits []query.Edit) {
		if !wanted(p.Context.Only, kind) || len(edits) == 0 {
			return
		}
		w := &workspaceEdit{c: c}
		w.add(p.TextDocument.URI, q, edits)
		a := protocol.CodeAction{Title: title, Kind: &kind, Edit: w.edit()}
		if preferred {
			a.IsPreferred = ptr(true)
		}
		if found != nil {
			a.Diagnostics = []protocol.Diagnostic{c.diagnostic(q, *found)}
		}
		out = append(out, a)
	}
	all := c.findings(q)
	var here []diag.Diagnostic
	for _, d := range all {
		if d.Range.IsValid() && d.Range.Start.File == q.Name && d.Range.Start.Offset <= end && max(d.Range.End.Offset, d.Range.Start.Offset) >= start {
			here = append(here, d)
		}
	}
	for i := range here {
		d := &here[i]
		for _, f := range d.Fixes {
			if edits, ok := fixEdits(q, f); ok {
				add(sentence(f.Message), kindQuickFix, f.Safe, d, edits)
			}
		}
	}
	for _, a := range q.Actions(start, end, here) {
		var d *diag.Diagnostic
		if a.Diag >= 0 {
			d = &here[a.Diag]
		}
		add(a.Title, a.Kind, false, d, a.Edits)
	}
	for i := range here {
		if f, ok := lint.SuppressFix(&here[i], q.Text); ok {
			if edits, ok := fixEdits(q, f); ok {
				add(sentence(f.Message), kindQuickFix, false, &here[i], edits)
			}
		}
	}
	if wanted(p.Context.Only, kindFixAll) {
		if text, _ := lint.Apply(q.Name, q.Text, all, false); string(text) != string(q.Text) {
			add("Fix all that can be fixed safely", kindFixAll, false, nil, difference(q.Text, text))
		}
	}
	if wanted(p.Context.Only, kindFormat) {
		list, _, err := stapfmt.Edits(q.Name, q.Text, formatOptions(q.Name))
		if err == nil {
			var edits []query.Edit
			for _, e := range list {
				edits = append(edits, query.Edit{Start: e.Start, End: e.End, Text: e.Text})
			}
			add("Format the script", kindFormat, false, nil, edits)
		}
	}
	return out, nil
}

// fixEdits are the edits of a fix; ok is false when they concern another file.
func fixEdits(q *query.Snapshot, f diag.Fix) ([]query.Edit, bool) {
	var out []query.Edit
	for _, e := range f.Edits {
		if e.Range.Start.File != q.Name {
			return nil, false
		}
		out = append(out, query.Edit{Start: e.Range.Start.Offset, End: max(e.Range.End.Offset, e.Range.Start.Offset), Text: e.NewText})
	}
	return out, len(out) > 0
}

// sentence makes a title of a verb phrase.
func sentence(s string) string {
	if s == "" {
		return "Fix"
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// difference is one edit of the part in which two texts differ.
func difference(old, text []byte) []query.Edit {
	head := 0
	for head < len(old) && head < len(text) && old[head] == text[head] {
		head++
	}
	tail := 0
	for tail < len(old)-head && tail < len(text)-head && old[len(old)-1-tail] == text[len(text)-1-tail] {
		tail++
	}
	return []query.Edit{{Start: head, End: len(old) - tail, Text: string(text[head : len(text)-tail])}}
}
