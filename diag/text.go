package diag

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// TextOptions are the choices of Text.
type TextOptions struct {
	Colors Colors
}

// Text writes diagnostics one after the other as
//
//	file:line:col: severity: message [code]
//	 12 | the source line
//	    |     ^~~~~~
//	    = help: what to do
//	    = fix: a way to mend it
//	file:line:col: note: a remark on another place
//
// Without sources the source lines are left out.
func Text(w io.Writer, ds []Diagnostic, src Sources, opt TextOptions) error {
	var b strings.Builder
	for i := range ds {
		d := &ds[i]
		color := opt.Colors.Warning
		if d.Severity == Error {
			color = opt.Colors.Error
		}
		code := ""
		if d.Code != "" {
			code = " [" + string(d.Code) + "]"
		}
		writeHead(&b, d.Range, paint(d.Severity.String()+":", color), d.message()+code, opt)
		margin := writeSource(&b, src, d.Range, opt)
		if d.Help != "" {
			fmt.Fprintf(&b, "%*s = help: %s\n", margin, "", clean(d.Help))
		}
		for k := range d.Fixes {
			fmt.Fprintf(&b, "%*s = fix: %s\n", margin, "", clean(d.Fixes[k].Message))
		}
		for k := range d.Related {
			r := &d.Related[k]
			msg := r.Message
			if msg == "" {
				msg = "this place"
			}
			writeHead(&b, r.Range, "note:", msg, opt)
			writeSource(&b, src, r.Range, opt)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// message returns the message, with what was found in place of what was
// expected.
func (d *Diagnostic) message() string {
	saw := d.Saw
	if !strings.HasPrefix(d.Message, "expected ") || strings.HasPrefix(saw, sawAt) || saw == "" || strings.Contains(d.Message, "found") {
		return d.Message
	}
	if strings.HasSuffix(saw, " EOF") {
		saw = "the end of the file"
	}
	return d.Message + ", found " + saw
}

func writeHead(b *strings.Builder, r Range, severity, message string, opt TextOptions) {
	if r.IsValid() || r.Start.File != "" {
		b.WriteString(paint(clean(r.Start.String())+":", opt.Colors.Source))
		b.WriteByte(' ')
	}
	b.WriteString(severity)
	b.WriteByte(' ')
	b.WriteString(clean(message))
	b.WriteByte('\n')
}

// writeSource writes the line of r behind its number, with the stretch
// underlined, and returns how wide the number is.
func writeSource(b *strings.Builder, src Sources, r Range, opt TextOptions) int {
	number := strconv.Itoa(r.Start.Line)
	margin := len(number) + 1
	s, ok := snippetOf(src, r, textLineLimit)
	if !ok {
		return margin
	}
	fmt.Fprintf(b, " %s | %s%s%s\n", number, s.line[:s.start], paint(s.line[s.start:s.end], opt.Colors.Token), s.line[s.end:])
	mark := "^"
	if n := len([]rune(s.line[s.start:s.end])); n > 1 {
		mark += strings.Repeat("~", n-1)
	}
	fmt.Fprintf(b, "%*s | %s%s\n", margin, "", indent(s.line, s.start), paint(mark, opt.Colors.Caret))
	return margin
}

// jsonDiagnostic is the shape of one line that JSON writes.
type jsonDiagnostic struct {
	Code     Code      `json:"code,omitempty"`
	Title    string    `json:"title,omitempty"`
	Severity string    `json:"severity"`
	Range    *Range    `json:"range,omitempty"`
	Message  string    `json:"message"`
	Saw      string    `json:"saw,omitempty"`
	Help     string    `json:"help,omitempty"`
	Related  []Related `json:"related,omitempty"`
	Fixes    []Fix     `json:"fixes,omitempty"`
	Tags     []string  `json:"tags,omitempty"`
}

// JSON writes each diagnostic as one line of JSON. Offsets and columns count
// bytes, as in Pos. Title is the title of the code.
func JSON(w io.Writer, ds []Diagnostic) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for i := range ds {
		d := &ds[i]
		j := jsonDiagnostic{
			Code: d.Code, Severity: d.Severity.String(), Message: d.Message, Saw: d.Saw, Help: d.Help,
			Related: d.Related, Fixes: d.Fixes,
		}
		if info, ok := Lookup(d.Code); ok {
			j.Title = info.Title
		}
		if d.Range.IsValid() || d.Range.Start.File != "" {
			j.Range = &d.Range
		}
		for _, t := range d.Tags {
			j.Tags = append(j.Tags, t.String())
		}
		if err := enc.Encode(j); err != nil {
			return err
		}
	}
	return nil
}

// line returns a line break and the remark with its place, for outputs that
// have room for one message only; "" when there is nothing to say.
func (r *Related) line() string {
	switch {
	case r.Message == "":
		return ""
	case r.Range.IsValid():
		return "\n" + r.Range.Start.String() + ": " + r.Message
	}
	return "\n" + r.Message
}

// GitHub writes diagnostics as workflow commands, which GitHub shows as
// annotations in a pull request.
func GitHub(w io.Writer, ds []Diagnostic, src Sources) error {
	var b strings.Builder
	for i := range ds {
		d := &ds[i]
		switch d.Severity {
		case Error, Warning:
			b.WriteString("::" + d.Severity.String())
		default:
			b.WriteString("::notice")
		}
		sep := " "
		property := func(name, value string) {
			b.WriteString(sep + name + "=" + githubProperty.Replace(value))
			sep = ","
		}
		if start, end := d.Range.Start, d.Range.End; start.IsValid() {
			col := func(p Pos) string {
				line, ok := lineOf(src, p)
				if !ok {
					return strconv.Itoa(p.Col)
				}
				return strconv.Itoa(utf16Col(line, p.Col))
			}
			property("file", start.File)
			property("line", strconv.Itoa(start.Line))
			property("col", col(start))
			if d.Range.Len() > 0 {
				property("endLine", strconv.Itoa(end.Line))
				if end.Line == start.Line {
					property("endColumn", col(end))
				}
			}
		}
		if d.Code != "" {
			property("title", string(d.Code))
		}
		b.WriteString("::" + githubData.Replace(d.message()))
		if d.Help != "" {
			b.WriteString(githubData.Replace("\n" + d.Help))
		}
		for k := range d.Related {
			b.WriteString(githubData.Replace(d.Related[k].line()))
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// The characters that workflow commands escape, in their text and in their
// properties.
var (
	githubData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)
