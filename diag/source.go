package diag

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// lineOf returns the line of text that p lies in, without its end, and whether
// it is at hand. It looks at p.Offset first, which costs no more than the line,
// and counts lines when offset and column do not agree.
func lineOf(src Sources, p Pos) (string, bool) {
	if src == nil || !p.IsValid() {
		return "", false
	}
	text, ok := src.Source(p.File)
	if !ok {
		return "", false
	}
	start := -1
	if (p.Offset > 0 || p.Offset == 0 && p.Line == 1) && p.Offset <= len(text) { // 0 elsewhere: it is not known
		start = bytes.LastIndexByte(text[:p.Offset], '\n') + 1
		if p.Offset-start != p.Col-1 {
			start = -1
		}
	}
	if start < 0 {
		start = 0
		for n := 1; n < p.Line; n++ {
			i := bytes.IndexByte(text[start:], '\n')
			if i < 0 {
				return "", false
			}
			start += i + 1
		}
	}
	line := text[start:]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	return strings.TrimSuffix(string(line), "\r"), true
}

// A snippet is a line to show, cut and cleaned, with the stretch to point at.
type snippet struct {
	line       string
	start, end int // byte offsets in line; end > start only when something is to be underlined
}

// snippetOf returns the line of r's start, cut to about limit bytes around it,
// with control characters replaced, since scripts are shown on terminals.
func snippetOf(src Sources, r Range, limit int) (snippet, bool) {
	line, ok := lineOf(src, r.Start)
	if !ok {
		return snippet{}, false
	}
	s := snippet{line: line}
	s.start = min(max(r.Start.Col-1, 0), len(line))
	s.end = min(s.start+r.Len(), len(line))
	if len(line) > limit {
		const dots = "..."
		from := max(min(s.start-limit/2, len(line)-limit), 0)
		to := min(from+limit, len(line))
		for from > 0 && from < s.start && !utf8.RuneStart(line[from]) {
			from++
		}
		for to < len(line) && to > s.start && !utf8.RuneStart(line[to]) {
			to--
		}
		s.line = line[from:to]
		s.end = min(s.end, to)
		s.start -= from
		s.end -= from
		if from > 0 {
			s.line = dots + s.line
			s.start += len(dots)
			s.end += len(dots)
		}
		if to < len(line) {
			s.line += dots
		}
	}
	s.line = clean(s.line)
	return s, true
}

// clean replaces control characters, tabs apart, by as many dots as they have
// bytes.
func clean(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' && s[i] != '\t' || s[i] >= 0x7f {
			b := []byte(s)
			for i := 0; i < len(b); {
				r, n := utf8.DecodeRune(b[i:])
				if r == utf8.RuneError && n == 1 || r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 {
					for k := 0; k < n; k++ {
						b[i+k] = '.'
					}
				}
				i += n
			}
			return string(b)
		}
	}
	return s
}

// indent returns white space as wide as line[:to] would be: tabs stay, every
// other character becomes a space.
func indent(line string, to int) string {
	var b strings.Builder
	for _, r := range line[:to] {
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// utf16Col returns the column, from 1, that byte column col of line has when
// columns count UTF-16 code units. Bytes that are no UTF-8 count as one each.
func utf16Col(line string, col int) int {
	to := min(max(col-1, 0), len(line))
	n := 1
	for i := 0; i < to; {
		r, size := utf8.DecodeRuneInString(line[i:])
		n += max(utf16.RuneLen(r), 1)
		i += size
	}
	return n
}

// tokenAt describes the token at a place in SystemTap's words, for messages
// that name it: "identifier 'x'", "operator '+='", "number '3'", "string 'a'",
// "keyword". It is "" where there is none.
func tokenAt(s snippet) string {
	rest := s.line[s.start:]
	if rest == "" {
		return ""
	}
	end := 1
	switch c := rest[0]; {
	case isLetter(c) || c == '@':
		for end < len(rest) && (isLetter(rest[end]) || isDigit(rest[end])) {
			end++
		}
		switch word := rest[:end]; {
		case c == '@':
			return "operator '" + word + "'"
		case keywords[word]:
			return "keyword"
		default:
			return "identifier '" + word + "'"
		}
	case isDigit(c):
		for end < len(rest) && (isLetter(rest[end]) && rest[end] != '$' || isDigit(rest[end])) {
			end++
		}
		return "number '" + rest[:end] + "'"
	case c == '"':
		for end < len(rest) && rest[end] != '"' {
			if rest[end] == '\\' {
				end++
			}
			end++
		}
		return "string '" + rest[1:min(end, len(rest))] + "'"
	case c == '%' && strings.HasPrefix(rest, "%{"):
		return "embedded code"
	}
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			return "operator '" + op + "'"
		}
	}
	_, n := utf8.DecodeRuneInString(rest)
	return "operator '" + rest[:n] + "'"
}

func isLetter(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == '$'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// keywords are the words that no variable can have for a name.
var keywords = map[string]bool{
	"probe": true, "global": true, "private": true, "function": true, "if": true, "else": true, "for": true,
	"foreach": true, "in": true, "limit": true, "return": true, "delete": true, "while": true, "break": true,
	"continue": true, "next": true, "string": true, "long": true, "try": true, "catch": true,
}

// operators are those of more than one character, the longest first.
var operators = []string{
	"<<<", ">>>", "<<=", ">>=",
	"==", "!=", "<=", ">=", "=~", "!~", "+=", "-=", "*=", "/=", "%=", "&=", "^=", "|=", ".=", "&&", "||", "++", "--",
	"->", "<<", ">>", "%(", "%?", "%:", "%)",
}
