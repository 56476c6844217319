package stapfmt

import (
	"bytes"
	"fmt"
	"strings"

	"stapkit/diag"
	"stapkit/syntax"
)

// An Indent is what one level of indentation is made of. The zero value is the
// canonical one, a tab that is eight columns wide.
type Indent struct {
	// Spaces is the number of spaces of one level; 0 means a tab.
	Spaces int
	// TabWidth is how many columns a tab takes, in the source and in the output; 0
	// means 8.
	TabWidth int
}

func (in Indent) tab() int {
	if in.TabWidth > 0 {
		return in.TabWidth
	}
	return 8
}

// width is the number of columns of one level.
func (in Indent) width() int {
	if in.Spaces > 0 {
		return in.Spaces
	}
	return in.tab()
}

const (
	tabs   = "\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t"
	spaces = "                                                                "
)

func (in Indent) append(b []byte, p place) []byte {
	pad := func(s string, n int) {
		for ; n > len(s); n -= len(s) {
			b = append(b, s...)
		}
		if n > 0 {
			b = append(b, s[:n]...)
		}
	}
	if in.Spaces > 0 {
		pad(spaces, p.level*in.Spaces+p.extra)
		return b
	}
	pad(tabs, p.level)
	pad(spaces, p.extra)
	return b
}

// Options tell how to format. The zero value is what the command does by default.
type Options struct {
	Indent Indent
	// Partial formats the declarations that parse and leaves all others as they are.
	// Without it a file with errors is refused.
	Partial bool
}

// A SyntaxError refuses a file that does not parse.
type SyntaxError struct {
	Diags []diag.Diagnostic // all that was found, at least one is an error
}

// Error is the first error.
func (e *SyntaxError) Error() string {
	for _, d := range e.Diags {
		if d.Severity == diag.Error {
			return fmt.Sprintf("%v: %s", d.Range.Start, d.Message)
		}
	}
	return "syntax error"
}

// A Bug says that the formatted text would not mean the same as the source, or would be
// formatted differently the next time. It is a mistake in this package; the source is
// to be left as it is.
type Bug struct {
	Property string // "tokens", "comments", "tree" or "stability"
	Detail   string // where the two differ
	Where    diag.Pos
}

// Error describes the bug.
func (b *Bug) Error() string {
	return fmt.Sprintf("%v: bug in stapfmt: %s: %s; the file was left as it is", b.Where, b.Property, b.Detail)
}

// A Result is a formatted file.
type Result struct {
	// Text is the formatted text.
	Text []byte
	// Changed is set when Text differs from the source.
	Changed bool
	// Diags are the errors and warnings found in the source.
	Diags []diag.Diagnostic
	// Left is the number of declarations that were left as they are because they do not
	// parse; 0 without Options.Partial.
	Left int
}

// Format formats a script or macro file. name is used in diagnostics only.
//
// The formatted text has the tokens of the source but for semicolons that nothing
// needs, the same tree and the same comments at the same places, and formatting it again
// changes nothing. All this is checked before Format returns. Errors are of type
// *SyntaxError, when the source does not parse and Options.Partial is not set, and *Bug.
func Format(name string, src []byte, opt Options) (*Result, error) {
	f := parse(name, src)
	res := &Result{Diags: f.Diags}
	if diag.HasErrors(f.Diags) {
		if !opt.Partial {
			return nil, &SyntaxError{f.Diags}
		}
	} else {
		opt.Partial = false
	}
	var bad []bool
	res.Text, bad = render(f, opt)
	for _, b := range bad {
		if b {
			res.Left++
		}
	}
	if bytes.Equal(res.Text, src) {
		return res, nil
	}
	res.Changed = true
	g := parse(name, res.Text)
	if bug := check(f, g, opt.Partial); bug != nil {
		return nil, bug
	}
	again, _ := render(g, opt)
	if !bytes.Equal(again, res.Text) {
		return nil, unstable(name, res.Text, again)
	}
	return res, nil
}

// parse reads a file as it is written. A macro library is read like a script: whether
// it holds only macros is not for a formatter to say.
func parse(name string, src []byte) *syntax.File {
	return syntax.ParseFile(name, src, syntax.Options{View: syntax.SourceView, Library: true, Privileged: true})
}

// render makes the text of a file, and tells which declarations were left as they are.
func render(f *syntax.File, opt Options) ([]byte, []bool) {
	p := newPrinter(f)
	p.partial, p.width = opt.Partial, opt.Indent.width()
	p.file()
	e := &engine{f: f, src: f.Src, ops: p.ops, indent: opt.Indent, nl: lineEnd(f.Src)}
	out := e.run()
	if len(out) > 0 && out[len(out)-1] != '\n' && !p.rawEnd {
		out = append(out, e.nl...)
	}
	return out, p.bad
}

// lineEnd is how the lines of a file end: in "\r\n" if all of them do.
func lineEnd(src []byte) string {
	if n := bytes.Count(src, []byte("\n")); n > 0 && n == bytes.Count(src, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

// unstable describes where formatting a second time changes the text.
func unstable(name string, once, twice []byte) *Bug {
	a, b := strings.Split(string(once), "\n"), strings.Split(string(twice), "\n")
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	at := func(l []string) string {
		if i < len(l) {
			return l[i]
		}
		return ""
	}
	return &Bug{"stability", fmt.Sprintf("formatted line %q becomes %q", at(a), at(b)), diag.Pos{File: name, Line: i + 1, Col: 1}}
}
