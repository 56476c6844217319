package lsp

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/tliron/glsp"
	protocol "github.com/tliron/glsp/protocol_3_16"

	"stapkit/config"
	stapfmt "stapkit/fmt"
	"stapkit/syntax"
)

// formatOptions are those of the stapfmt command: the indentation is what a file
// .editorconfig says, whatever the editor is set to, so that both agree.
func formatOptions(name string) stapfmt.Options {
	opt := stapfmt.Options{Partial: true}
	if !filepath.IsAbs(name) {
		return opt
	}
	var editor config.EditorConfig // read anew: the files may have changed
	in, err := editor.Indentation(name)
	if err != nil {
		return opt // the command tells; here the canonical style is the better answer
	}
	opt.Indent = stapfmt.Indent{Spaces: in.Spaces(), TabWidth: in.TabWidth}
	return opt
}

func (s *server) edits(m *syntax.Mapper, list []stapfmt.Edit) []protocol.TextEdit {
	out := make([]protocol.TextEdit, 0, len(list))
	for _, e := range list {
		out = append(out, protocol.TextEdit{Range: s.rangeOf(m, e.Start, e.End), NewText: e.Text})
	}
	return out
}

func (s *server) formatting(ctx *glsp.Context, p *protocol.DocumentFormattingParams) ([]protocol.TextEdit, error) {
	d := s.of(ctx).view.docs[p.TextDocument.URI]
	if d == nil {
		return nil, nil
	}
	list, _, err := stapfmt.Edits(d.name, d.text, formatOptions(d.name))
	return s.edits(d.mapper, list), formatError(err)
}

// formatError keeps quiet about text that does not parse: its diagnostics are shown.
func formatError(err error) error {
	var se *stapfmt.SyntaxError
	if errors.As(err, &se) {
		return nil
	}
	return err
}

func (s *server) rangeFormatting(ctx *glsp.Context, p *protocol.DocumentRangeFormattingParams) ([]protocol.TextEdit, error) {
	d := s.of(ctx).view.docs[p.TextDocument.URI]
	if d == nil {
		return nil, nil
	}
	start, end := s.span(d.mapper, p.Range)
	list, err := stapfmt.Range(d.name, d.text, start, end, formatOptions(d.name))
	return s.edits(d.mapper, list), formatError(err)
}

// onTypeFormatting formats what a brace or semicolon has ended, or the line that a
// newline has; the line that is being typed is left alone.
func (s *server) onTypeFormatting(ctx *glsp.Context, p *protocol.DocumentOnTypeFormattingParams) ([]protocol.TextEdit, error) {
	d := s.of(ctx).view.docs[p.TextDocument.URI]
	if d == nil {
		return nil, nil
	}
	off := s.offset(d.mapper, p.Position)
	start, end := off, off
	if p.Ch == "\n" {
		if p.Position.Line == 0 {
			return nil, nil
		}
		end = s.offset(d.mapper, protocol.Position{Line: p.Position.Line, Character: 0}) - 1
		start = end
		if strings.TrimSpace(string(d.mapper.Line(int(p.Position.Line)))) == "" {
			return nil, nil
		}
	} else if p.Ch == "}" {
		start = openBrace(d, off)
	}
	list, err := stapfmt.Range(d.name, d.text, start, end, formatOptions(d.name))
	if err := formatError(err); err != nil {
		return nil, err
	}
	if p.Ch == "\n" { // the cursor's own line keeps what the editor has indented
		kept := list[:0]
		for _, e := range list {
			if e.End <= end {
				kept = append(kept, e)
			}
		}
		list = kept
	}
	return s.edits(d.mapper, list), nil
}

// openBrace finds the brace that the one before off closes.
func openBrace(d *document, off int) int {
	f := syntax.ParseFile(d.name, d.text, syntax.Options{View: syntax.SourceView})
	depth := 0
	for i := len(f.Raw) - 1; i >= 0; i-- {
		t := f.Raw[i]
		if int(t.End) > off {
			continue
		}
		switch t.Kind {
		case syntax.RBrace:
			depth++
		case syntax.LBrace:
			if depth--; depth == 0 {
				return int(t.Off)
			}
		}
		if depth == 0 && t.Kind != syntax.Comment {
			return off
		}
	}
	return off
}
