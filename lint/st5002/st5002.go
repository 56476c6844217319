// Package st5002 is the rule ST5002: output without a newline.
package st5002

import (
	"strings"

	"stapkit/diag"
	"stapkit/format"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST5002",
	Doc: &lint.Doc{
		Title:    "handler prints a line without its newline",
		Severity: diag.Warning,
		Fix:      lint.UnsafeFix,
		Why: `
What the handler prints does not end in a newline, and nothing else in the script ends the line. The output of all
events runs together into one line of megabytes, which "grep" and log collectors take whole or not at all.`,
		Limits: `
A handler that prints in several places, and a script that prints a newline anywhere on its own, build lines from
pieces, and are left alone; so is text that ends in a blank, a tab or a carriage return.`,
		Before: `
probe syscall.openat {
	printf("%s %d", execname(), pid())
}`,
		After: `
probe syscall.openat {
	printf("%s %d\n", execname(), pid())
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	type one struct {
		b     lint.Body
		print *syntax.PrintExpr
	}
	var found []one
	screen := false
	for _, b := range p.Bodies() {
		var prints []*syntax.PrintExpr
		loops := false
		b.Walk(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.PrintExpr:
				if !n.String {
					prints = append(prints, n)
				}
			case *syntax.ForeachStmt, *syntax.WhileStmt, *syntax.ForStmt:
				loops = true
			case *syntax.Call:
				if n.Name != nil && (strings.HasPrefix(n.Name.Name, "ansi_") || strings.HasPrefix(n.Name.Name, "cursor_")) {
					screen = true
				}
				if b.Library(n) == "" && !b.Pure(n) {
					loops = true // a function that may print, too
				}
			case *syntax.EmbeddedExpr:
				loops = true
			}
			return true
		})
		if screen {
			return nil, nil // a picture has no lines
		}
		for _, pr := range prints {
			if endsOnly(pr) {
				return nil, nil // something ends lines that others begin
			}
		}
		if b.Probe != nil && len(prints) == 1 && !loops && b.Own(prints[0]) && p.User(prints[0]) {
			found = append(found, one{b, prints[0]})
		}
	}
	for _, f := range found {
		text, ok := tail(f.print)
		if !ok || strings.ContainsAny(text, "\n") || strings.HasSuffix(text, " ") || strings.HasSuffix(text, "\t") || strings.HasSuffix(text, "\r") || strings.HasSuffix(text, ",") {
			continue
		}
		if f.b.Probe.InLoader() && !repeats(&f.b) {
			continue // a title or the like
		}
		d := p.At(f.print, "what this handler prints does not end in a newline")
		if lit := f.print.FormatLit; lit != nil {
			if src := p.Text(lit); strings.HasSuffix(src, "\"") {
				d.Fixes = p.Replace("end the line", false, lint.Edit{Node: lit, Text: strings.TrimSuffix(src, "\"") + "\\n\""})
			}
		} else if src := p.Text(f.print); strings.HasPrefix(src, "print(") {
			d.Fixes = p.Replace("use println", false, lint.Edit{Node: f.print, Text: "println(" + strings.TrimPrefix(src, "print(")})
		}
		p.Report(d)
	}
	return nil, nil
}

// repeats reports whether a handler of the loader runs again and again.
func repeats(b *lint.Body) bool {
	return b.Probe.Interval > 0 || b.Probe.Jiffies > 0
}

// tail is the literal text at the end of what is printed; false when it is not known
// or the print is of a kind that ends its line.
func tail(p *syntax.PrintExpr) (string, bool) {
	if p.Newline || p.Char || p.Hist != nil {
		return "", false
	}
	if p.FormatLit != nil {
		if len(p.Format.Directives) == 0 {
			return "", false
		}
		text := ""
		for _, d := range p.Format.Directives {
			switch d.Conv {
			case format.Text:
				text += d.Text
			case format.Str, format.Char, format.Binary, format.Memory, format.MemoryHex:
				// Text may hold or end in a newline, raw bytes are no lines.
				text += "?"
				if d.Conv != format.Str {
					return "", false
				}
			default:
				text += "0"
			}
		}
		if last := p.Format.Directives[len(p.Format.Directives)-1]; last.Conv == format.Str {
			return "", false
		}
		return text, true
	}
	if len(p.Args) == 0 {
		return "", false
	}
	switch x := p.Args[len(p.Args)-1].(type) {
	case *syntax.StringLit:
		return x.Value, true
	case *syntax.NumberLit:
		return "0", true
	}
	return "", false
}

// endsOnly reports whether a print does hardly more than end a line.
func endsOnly(p *syntax.PrintExpr) bool {
	if p.Newline && len(p.Args) == 0 {
		return true
	}
	var lit *syntax.StringLit
	if p.FormatLit != nil && len(p.Args) == 0 {
		lit = p.FormatLit
	} else if len(p.Args) == 1 {
		lit, _ = p.Args[0].(*syntax.StringLit)
	}
	return lit != nil && strings.Contains(lit.Value, "\n") && strings.TrimSpace(lit.Value) == ""
}
