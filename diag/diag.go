// Package diag holds the one shape of a diagnostic that every stapkit tool
// produces, the registry of diagnostic codes, and the renderers: SystemTap's
// own shape for people who know it, file:line:col text with source and caret,
// JSON lines, SARIF and GitHub workflow commands.
//
// The package imports nothing else of stapkit, so that every layer may report.
package diag

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Severity tells how bad a diagnostic is. The zero value is Error, so that a
// forgotten severity fails loudly.
type Severity uint8

// The severities, from worst to mildest.
const (
	Error   Severity = iota // the script cannot be used
	Warning                 // it can, but probably not as meant
	Note                    // something to know
	Hint                    // something an editor may show faintly
)

// String returns "error", "warning", "note" or "hint".
func (s Severity) String() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	case Note:
		return "note"
	case Hint:
		return "hint"
	}
	return "severity(" + strconv.Itoa(int(s)) + ")"
}

// Code names one kind of diagnostic for ever: E0xxx parse, E1xxx semantic,
// E2xxx compile, STxxxx lint, Rxxx run and trust. See Register.
type Code string

// Pos is a place in a source file. Offset counts bytes from 0; Line and Col
// count from 1, Col in bytes with a tab as one, as SystemTap counts. A Pos with
// Line 0 is no place at all (see IsValid).
type Pos struct {
	File   string `json:"file,omitempty"`
	Offset int    `json:"offset"`
	Line   int    `json:"line"`
	Col    int    `json:"col"`
}

// IsValid reports whether the position is a place in a file.
func (p Pos) IsValid() bool { return p.Line > 0 }

// String returns file:line:col, leaving out what is not known.
func (p Pos) String() string {
	if !p.IsValid() {
		if p.File != "" {
			return p.File
		}
		return "-"
	}
	s := strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Col)
	if p.File != "" {
		return p.File + ":" + s
	}
	return s
}

// Range is the half-open stretch [Start, End) of one file. An End that is not
// valid, or not behind Start, stands for an empty range at Start.
type Range struct {
	Start Pos `json:"start"`
	End   Pos `json:"end"`
}

// IsValid reports whether the range lies in a file.
func (r Range) IsValid() bool { return r.Start.IsValid() }

// Len returns the length in bytes, 0 for an empty or invalid range.
func (r Range) Len() int {
	if !r.IsValid() || !r.End.IsValid() || r.End.Offset < r.Start.Offset {
		return 0
	}
	return r.End.Offset - r.Start.Offset
}

// Related is another place that helps to understand a diagnostic, such as the
// one where a type was first inferred. By its message it is
//   - the use of a macro whose body the place before it lies in (the message is
//     InExpansion of its name; the innermost use comes first),
//   - what was being done ("while resolving probe point"), which SystemTap's
//     shape prints before the diagnostic,
//   - a plain pointer, when the message is empty,
//   - else a remark on the place.
type Related struct {
	Range   Range  `json:"range"`
	Message string `json:"message"`
}

// expansionPrefix begins the message of a Related entry that names the use of a
// macro, contextPrefix that of one that tells what was being done.
const (
	expansionPrefix = "in expansion of macro "
	contextPrefix   = "while "
)

// InExpansion returns the message of a Related entry that says "the place
// before lies in the body of this macro, which was used here". The @ of the
// name may be there or not.
func InExpansion(macro string) string {
	return expansionPrefix + "'@" + strings.TrimPrefix(macro, "@") + "'"
}

// expansionOf returns the quoted name of the macro that r is a use of.
func (r *Related) expansionOf() (string, bool) {
	return strings.CutPrefix(r.Message, expansionPrefix)
}

// Edit replaces the text of Range by NewText.
type Edit struct {
	Range   Range  `json:"range"`
	NewText string `json:"newText"`
}

// Fix is one way to mend what a diagnostic complains of. Message is a verb
// phrase ("replace '.' by '->'"). Safe fixes keep the script's meaning or can
// only be what was meant, so that they may be applied unasked. The edits of one
// fix do not overlap.
type Fix struct {
	Message string `json:"message"`
	Safe    bool   `json:"safe"`
	Edits   []Edit `json:"edits"`
}

// Tag tells an editor how to draw the range of a diagnostic.
type Tag uint8

// The tags.
const (
	Unnecessary Tag = iota + 1 // unused code, drawn faded
	Deprecated                 // drawn struck through
)

// String returns "unnecessary" or "deprecated".
func (t Tag) String() string {
	switch t {
	case Unnecessary:
		return "unnecessary"
	case Deprecated:
		return "deprecated"
	}
	return "tag(" + strconv.Itoa(int(t)) + ")"
}

// Diagnostic is one finding about a script, a bundle or a run.
type Diagnostic struct {
	Code     Code
	Severity Severity
	Range    Range  // where; may be invalid when the finding has no place
	Message  string // one line, lower case, no full stop
	Saw      string // SystemTap's words for the offending token ("operator '}'"); empty when this is no parse error
	Help     string // what to do about it, "" when the message says it all
	Related  []Related
	Fixes    []Fix
	Tags     []Tag
}

// New returns a diagnostic with the severity its code is registered with
// (Error when the code is unknown) and a message formatted as by fmt.Sprintf.
func New(code Code, r Range, format string, args ...any) Diagnostic {
	d := Diagnostic{Code: code, Range: r, Message: fmt.Sprintf(format, args...)}
	if info, ok := Lookup(code); ok {
		d.Severity = info.Severity
	}
	return d
}

// Error returns "file:line:col: message [code]", so that a diagnostic can
// travel as an error.
func (d Diagnostic) Error() string {
	s := d.Message
	if d.Range.IsValid() {
		s = d.Range.Start.String() + ": " + s
	}
	if d.Code != "" {
		s += " [" + string(d.Code) + "]"
	}
	return s
}

// HasErrors reports whether any of ds is an error.
func HasErrors(ds []Diagnostic) bool {
	for i := range ds {
		if ds[i].Severity == Error {
			return true
		}
	}
	return false
}

// Sort orders diagnostics by file and place, those of one place as they were;
// those without a place come first.
func Sort(ds []Diagnostic) {
	sort.SliceStable(ds, func(i, j int) bool {
		a, b := ds[i].Range.Start, ds[j].Range.Start
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
}

// Sources gives renderers the text of a file, so that they can show the line.
// The second result is false when the text is not at hand; the line is then
// left out.
type Sources interface {
	Source(file string) ([]byte, bool)
}

// MapSources are sources held in memory, by file name.
type MapSources map[string][]byte

// Source returns the text held for file.
func (m MapSources) Source(file string) ([]byte, bool) {
	b, ok := m[file]
	return b, ok
}
