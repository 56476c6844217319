package lsp

import (
	"strings"

	protocol "github.com/tliron/glsp/protocol_3_16"

	"stapkit/diag"
	"stapkit/query"
	"stapkit/syntax"
	"stapkit/tapsets"
)

// encoding is the unit that columns count in.
type encoding uint8

const (
	utf16 encoding = iota
	utf8
	utf32
)

func (e encoding) String() string { return [...]string{"utf-16", "utf-8", "utf-32"}[e] }

// position converts a byte offset.
func (s *server) position(m *syntax.Mapper, off int) protocol.Position {
	var line, col int
	switch s.client.encoding {
	case utf8:
		p := m.Pos(off)
		line, col = p.Line-1, p.Col-1
	case utf32:
		line, col = m.Runes(off)
	default:
		line, col = m.UTF16(off)
	}
	return protocol.Position{Line: uint32(line), Character: uint32(col)}
}

// offset converts a position.
func (s *server) offset(m *syntax.Mapper, p protocol.Position) int {
	line, col := int(min(p.Line, 1<<30)), int(min(p.Character, 1<<30))
	switch s.client.encoding {
	case utf8:
		return m.Offset(line, col)
	case utf32:
		return m.OffsetRunes(line, col)
	}
	return m.OffsetUTF16(line, col)
}

func (s *server) rangeOf(m *syntax.Mapper, start, end int) protocol.Range {
	return protocol.Range{Start: s.position(m, start), End: s.position(m, end)}
}

func (s *server) span(m *syntax.Mapper, r protocol.Range) (start, end int) {
	start, end = s.offset(m, r.Start), s.offset(m, r.End)
	return min(start, end), max(start, end)
}

// location converts a place in any file; ok is false when its text is not at hand.
func (c *call) location(env *query.Env, r diag.Range) (protocol.Location, bool) {
	if !r.IsValid() {
		return protocol.Location{}, false
	}
	name := r.Start.File
	end := r.End
	if !end.IsValid() || end.Offset < r.Start.Offset {
		end = r.Start
	}
	var m *syntax.Mapper
	if d := c.view.byName(name); d != nil {
		m = d.mapper
	} else if text, ok := c.text(env, name); ok {
		m = syntax.NewMapper(name, text)
	} else {
		return protocol.Location{}, false
	}
	return protocol.Location{URI: c.uri(name), Range: c.s.rangeOf(m, r.Start.Offset, end.Offset)}, true
}

// uri gives the URI of a file by the name that diagnostics have.
func (c *call) uri(name string) string {
	if d := c.view.byName(name); d != nil {
		return d.uri
	}
	if strings.HasPrefix(name, tapsets.Prefix) {
		return c.s.virtualURI(name)
	}
	return uriOf(name)
}

func severity(s diag.Severity) *protocol.DiagnosticSeverity {
	v := map[diag.Severity]protocol.DiagnosticSeverity{
		diag.Error: protocol.DiagnosticSeverityError, diag.Warning: protocol.DiagnosticSeverityWarning,
		diag.Note: protocol.DiagnosticSeverityInformation, diag.Hint: protocol.DiagnosticSeverityHint,
	}[s]
	return &v
}

func (s *server) markup(md string) protocol.MarkupContent {
	return protocol.MarkupContent{Kind: protocol.MarkupKindMarkdown, Value: md}
}
