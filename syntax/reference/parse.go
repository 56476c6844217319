package reference

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/participle/v2/lexer"

	"stapkit/syntax"
)

// definition satisfies the library; the tokens come from package syntax.
type definition struct{}

// Symbols implements lexer.Definition.
func (definition) Symbols() map[string]lexer.TokenType { return symbols }

// Lex implements lexer.Definition: it reads a script without preprocessing.
func (definition) Lex(name string, r io.Reader) (lexer.Lexer, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return &tokens{f: syntax.ParseFile(name, b, syntax.Options{Privileged: true})}, nil
}

// tokens feeds a file's tokens to the parser.
type tokens struct {
	f    *syntax.File
	i    int
	word bool  // the token before was a word or star
	end  int32 // and ended here
	src  uint16
}

// Next implements lexer.Lexer.
func (t *tokens) Next() (lexer.Token, error) {
	for t.i < len(t.f.Tokens) && t.f.Tokens[t.i].Kind == syntax.Comment {
		t.i++
		t.word = false
	}
	if t.i >= len(t.f.Tokens) || t.f.Tokens[t.i].Kind == syntax.EOF {
		return lexer.EOFToken(lexer.Position{Filename: t.f.Name}), nil
	}
	i := t.i
	t.i++
	tok := &t.f.Tokens[i]
	pos := t.f.TokenRange(i).Start
	out := lexer.Token{
		Value: t.f.Text(i), Pos: lexer.Position{Filename: pos.File, Offset: pos.Offset, Line: pos.Line, Column: pos.Col},
	}
	glued := t.word && tok.Src == t.src && tok.Off == t.end
	t.word, t.end, t.src = false, tok.End, tok.Src
	switch k := tok.Kind; {
	case k == syntax.Name && strings.HasPrefix(out.Value, "$"):
		out.Type = tTarget
	case k == syntax.Name:
		out.Type, t.word = tName, true
		if glued {
			out.Type = tGluedName
		}
	case k.IsKeyword():
		out.Type, t.word = tKeyword, true
		if glued {
			out.Type = tGluedKeyword
		}
	case k == syntax.Mul:
		out.Type, t.word = tOp, true
		if glued {
			out.Type = tGluedStar
		}
	case k == syntax.AtWord:
		out.Type = tAtWord
	case k == syntax.Number:
		out.Type = tNumber
	case k == syntax.String:
		out.Type = tString
	case k == syntax.Embedded:
		out.Type = tEmbedded
	case k.IsOperator():
		out.Type = tOp
	default:
		return out, fmt.Errorf("%s:%d:%d: no token of the language: %q", pos.File, pos.Line, pos.Col, out.Value)
	}
	return out, nil
}

// Parse parses the tokens of a file in the expanded view.
func Parse(f *syntax.File) (*File, error) {
	lex, err := lexer.Upgrade(&tokens{f: f})
	if err != nil {
		return nil, err
	}
	return parser.ParseFromLexer(lex)
}
