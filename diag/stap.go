package diag

import (
	"fmt"
	"io"
	"strings"
)

// Colors are the codes of the Select Graphic Rendition by which a terminal
// shows parts of a diagnostic. The zero value uses none.
type Colors struct {
	Error, Warning, Source, Caret, Token string
}

// DefaultColors returns the colors that SystemTap uses when $SYSTEMTAP_COLORS
// does not say otherwise.
func DefaultColors() Colors {
	return Colors{Error: "01;31", Warning: "00;33", Source: "00;34", Caret: "01", Token: "01"}
}

// ParseColors reads colors as $SYSTEMTAP_COLORS has them, such as
// "error=01;31:caret=01". Parts that are not named keep their default; the
// second result is false, and the colors the default ones, when a part is
// unknown or malformed. An empty string means the default colors.
func ParseColors(s string) (Colors, bool) {
	c := DefaultColors()
	if s == "" {
		return c, true
	}
	for _, part := range strings.Split(s, ":") {
		name, code, ok := strings.Cut(part, "=")
		if !ok || strings.Trim(code, "0123456789;") != "" {
			return DefaultColors(), false
		}
		switch name {
		case "error":
			c.Error = code
		case "warning":
			c.Warning = code
		case "source":
			c.Source = code
		case "caret":
			c.Caret = code
		case "token":
			c.Token = code
		default:
			return DefaultColors(), false
		}
	}
	return c, true
}

// paint returns s in a color.
func paint(s, code string) string {
	if code == "" || s == "" {
		return s
	}
	return "\x1b[" + code + "m\x1b[K" + s + "\x1b[m\x1b[K"
}

// Mark colours the word that a line of a run begins with, "ERROR:" or "WARNING:".
func (c Colors) Mark(line string) string {
	for _, m := range []struct{ word, code string }{{"ERROR:", c.Error}, {"WARNING:", c.Warning}} {
		if rest, ok := strings.CutPrefix(line, m.word); ok {
			return paint(m.word, m.code) + rest
		}
	}
	return line
}

// StapOptions are the choices of Stap.
type StapOptions struct {
	Plain  bool   // as SystemTap itself: no codes, no help
	Colors Colors // of parts of the text
	// Trailer ends the output with the number of parse errors and the pass that
	// failed, when there are errors.
	Trailer bool
}

// Longest source lines shown whole; longer ones are cut around the place.
const (
	stapLineLimit = 2000
	textLineLimit = 160
)

// Stap writes diagnostics in the shape in which SystemTap writes them to
// standard error:
//
//	parse error: expected literal string or number
//	        saw: operator '}' at <input>:1:23
//	     source: probe begin { x = 1 + }
//	                                   ^
//
//	semantic error: type mismatch (long): identifier 'x' at <input>:1:24
//	        source: probe begin { x = "a"; x = 5 }
//	                                       ^
//
// Behind the head line stands the code, below the source the help. As in
// SystemTap a semantic error leaves out the file when it is that of the place
// before.
func Stap(w io.Writer, ds []Diagnostic, src Sources, opt StapOptions) error {
	p := stapPrinter{src: src, opt: opt}
	for i := range ds {
		p.diagnostic(&ds[i])
	}
	if opt.Trailer {
		p.trailer(ds)
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

type stapPrinter struct {
	b    strings.Builder
	src  Sources
	opt  StapOptions
	file string // of the last place of a semantic error or warning

	parseErrors int // shown with that label
}

// kind is how SystemTap labels a class of diagnostics.
type kind struct {
	label, color string
	margin       int  // width of the margin that "source:" ends
	parse        bool // the token stands on a line of its own
	blank        bool // a blank line ends it
	chain        bool // remarks on it look as it does
}

func (p *stapPrinter) kindOf(d *Diagnostic) kind {
	c := p.opt.Colors
	switch {
	case d.Severity != Error:
		label := "WARNING"
		if d.Severity != Warning {
			label = strings.ToUpper(d.Severity.String())
		}
		return kind{label: label, color: c.Warning, margin: len(" source:")}
	case d.Code.Family() == "parse":
		return kind{label: "parse error", color: c.Error, margin: len("     source:"), parse: true, blank: true}
	case d.Code.Family() == "run":
		return kind{label: "ERROR", color: c.Error, margin: len(" source:")}
	case d.Code.Family() == "compile":
		return kind{label: "translation error", color: c.Error, margin: len("        source:"), blank: true, chain: true}
	}
	return kind{label: "semantic error", color: c.Error, margin: len("        source:"), blank: true, chain: true}
}

func (p *stapPrinter) diagnostic(d *Diagnostic) {
	k := p.kindOf(d)
	contextAt := Pos{}
	for i := range d.Related {
		r := &d.Related[i]
		if strings.HasPrefix(r.Message, contextPrefix) {
			p.head(k, r.Message, "", r.Range, "")
			p.end(k)
			contextAt = r.Range.Start
		}
	}
	code := ""
	if d.Code != "" && !p.opt.Plain {
		code = " [" + string(d.Code) + "]"
	}
	switch {
	case k.parse && d.Saw == "" && !d.Range.IsValid():
		// About a file as a whole: SystemTap says it without a label.
		fmt.Fprintf(&p.b, "%s%s\n", clean(d.Message), code)
		p.help(d, kind{margin: len(" help:")})
		return
	case k.parse:
		p.parseErrors++
		fmt.Fprintf(&p.b, "%s %s%s\n", paint(k.label+":", k.color), clean(d.Message), code)
		p.saw(d, k)
	case d.Range.Start.IsValid() && d.Range.Start == contextAt:
		p.head(k, d.Message, "", Range{}, code) // the place was shown
	default:
		p.head(k, d.Message, d.Saw, d.Range, code)
	}
	// The uses of macros belong to the place before them, so they stay with
	// what they follow.
	remarks := false
	skip := false
	for i := range d.Related {
		r := &d.Related[i]
		macro, isUse := r.expansionOf()
		switch {
		case isUse && !skip:
			fmt.Fprintf(&p.b, "\tin expansion of macro: operator %s at %s\n", clean(macro), p.place(r.Range.Start, false))
			p.source(r.Range, k.margin)
		case isUse:
		case strings.HasPrefix(r.Message, contextPrefix):
			skip = true
		case r.Message == "":
			skip = false
			if r.Range.IsValid() {
				p.token(clean(p.describe("", r.Range)), r.Range, "")
				p.source(r.Range, k.margin)
			}
		case !k.chain:
			skip = false
			at := ""
			if r.Range.IsValid() {
				at = " at " + p.place(r.Range.Start, false)
			}
			fmt.Fprintf(&p.b, "%*s %s%s\n", k.margin, "note:", clean(r.Message), at)
			p.source(r.Range, k.margin)
		default:
			skip = false
			if !remarks {
				p.help(d, k)
				remarks = true
			}
			p.end(k)
			p.head(k, r.Message, "", r.Range, "")
		}
	}
	if !remarks {
		p.help(d, k)
	}
	p.end(k)
}

// head writes a labelled message with its place, and the source.
func (p *stapPrinter) head(k kind, message, saw string, r Range, code string) {
	p.b.WriteString(paint(k.label+":", k.color))
	p.b.WriteByte(' ')
	p.b.WriteString(clean(message))
	if !r.IsValid() {
		p.b.WriteString(code)
		p.b.WriteByte('\n')
		return
	}
	p.b.WriteString(": ")
	p.token(clean(p.describe(saw, r)), r, code)
	p.source(r, k.margin)
}

// token writes a description of a token with its place.
func (p *stapPrinter) token(desc string, r Range, code string) {
	if desc != "" {
		p.b.WriteString(desc)
		p.b.WriteByte(' ')
	}
	fmt.Fprintf(&p.b, "at %s%s\n", p.place(r.Start, true), code)
}

// describe returns the token at r in SystemTap's words.
func (p *stapPrinter) describe(saw string, r Range) string {
	if saw != "" {
		return strings.TrimPrefix(saw, sawAt)
	}
	if s, ok := snippetOf(p.src, r, stapLineLimit); ok {
		return tokenAt(s)
	}
	return ""
}

// sawAt begins Diagnostic.Saw where SystemTap says "at:" in place of "saw:".
const sawAt = "at: "

// saw writes the token of a parse error and the source.
func (p *stapPrinter) saw(d *Diagnostic, k kind) {
	label, desc := "saw:", d.Saw
	if s, ok := strings.CutPrefix(desc, sawAt); ok {
		label, desc = "at:", s
	}
	if desc == "" {
		label, desc = "at:", p.describe("", d.Range)
	}
	if !d.Range.IsValid() || strings.HasSuffix(desc, " EOF") {
		fmt.Fprintf(&p.b, "%*s %s\n", k.margin, label, clean(desc))
		return
	}
	if desc != "" {
		desc += " "
	}
	fmt.Fprintf(&p.b, "%*s %sat %s\n", k.margin, label, clean(desc), p.place(d.Range.Start, false))
	p.source(d.Range, k.margin)
}

// place returns file:line:col. When brief, the file is left out if it is that
// of the place before.
func (p *stapPrinter) place(pos Pos, brief bool) string {
	s := fmt.Sprintf("%s:%d:%d", clean(pos.File), pos.Line, pos.Col)
	if brief {
		if pos.File == p.file {
			s = fmt.Sprintf(":%d:%d", pos.Line, pos.Col)
		}
		p.file = pos.File
	}
	return paint(s, p.opt.Colors.Source)
}

// source writes the line of r and a caret below it.
func (p *stapPrinter) source(r Range, margin int) {
	s, ok := snippetOf(p.src, r, stapLineLimit)
	if !ok {
		return
	}
	fmt.Fprintf(&p.b, "%*s %s%s%s\n", margin, "source:",
		s.line[:s.start], paint(s.line[s.start:s.end], p.opt.Colors.Token), s.line[s.end:])
	fmt.Fprintf(&p.b, "%*s %s%s\n", margin, "", indent(s.line, s.start), paint("^", p.opt.Colors.Caret))
}

// help writes what can be done.
func (p *stapPrinter) help(d *Diagnostic, k kind) {
	if p.opt.Plain {
		return
	}
	if d.Help != "" {
		fmt.Fprintf(&p.b, "%*s %s\n", k.margin, "help:", clean(d.Help))
	}
	for i := range d.Fixes {
		fmt.Fprintf(&p.b, "%*s %s\n", k.margin, "fix:", clean(d.Fixes[i].Message))
	}
}

func (p *stapPrinter) end(k kind) {
	if k.blank {
		p.b.WriteByte('\n')
	}
}

// trailer writes how many parse errors there were and which pass failed.
func (p *stapPrinter) trailer(ds []Diagnostic) {
	parse, semantic, compile := 0, 0, 0
	for i := range ds {
		if ds[i].Severity != Error {
			continue
		}
		switch ds[i].Code.Family() {
		case "parse":
			parse++
		case "compile":
			compile++
		case "run":
		default:
			semantic++
		}
	}
	switch {
	case parse > 0:
		switch p.parseErrors {
		case 0:
		case 1:
			p.b.WriteString("1 parse error.\n")
		default:
			fmt.Fprintf(&p.b, "%d parse errors.\n", p.parseErrors)
		}
		p.b.WriteString("Pass 1: parse failed.\n")
	case semantic > 0:
		p.b.WriteString("Pass 2: analysis failed.\n")
	case compile > 0:
		p.b.WriteString("Pass 3: translation failed.\n")
	}
}
