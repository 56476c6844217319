package files

import (
	"bytes"

	"stapkit/syntax"
)

// sniffed is how much of a file is looked at first.
const sniffed = 4 << 10

// notText reports whether the beginning of a file shows that it is none of ours: STEP
// models, for which .stp stands as well and which may be huge, and binary files.
func notText(head []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(head, " \t\r\n\ufeff"), []byte("ISO-10303-")) || bytes.IndexByte(head, 0) >= 0
}

// IsScript reports whether text looks like a SystemTap script or macro library. The suffix
// .stp is that of STEP models and of SQL's stored procedures too. A script has the line
// "#!… stap", or begins with a declaration or directive, or has lines that begin one: the
// last so that a script that is broken at its start is reported and not passed over.
// Files with nothing but comments count as scripts.
func IsScript(text []byte) bool {
	if notText(text[:min(len(text), sniffed)]) {
		return false
	}
	if line, _, _ := bytes.Cut(text, []byte("\n")); bytes.HasPrefix(line, []byte("#!")) && bytes.Contains(line, []byte("stap")) {
		return true
	}
	f := syntax.ParseFile("", text, syntax.Options{View: syntax.SourceView, Library: true, MaxDiags: 1})
	first := true
	for i := range f.Tokens {
		t := &f.Tokens[i]
		switch t.Kind {
		case syntax.Comment:
			continue
		case syntax.EOF:
			return first
		case syntax.Embedded, syntax.PPOpen, syntax.Arg:
			if first {
				return true
			}
		case syntax.AtWord:
			if first || t.Flags&syntax.OpensLine != 0 && f.Text(i) == "@define" {
				return true
			}
		case syntax.KwProbe, syntax.KwGlobal, syntax.KwFunction, syntax.KwPrivate:
			if first || t.Flags&syntax.OpensLine != 0 && begins(f, i) {
				return true
			}
		}
		first = false
	}
	return false
}

// begins reports whether what follows a keyword is what follows it in a declaration.
func begins(f *syntax.File, tok int) bool {
	k := f.Tokens[tok+1].Kind
	switch f.Tokens[tok].Kind {
	case syntax.KwProbe:
		return k.IsWord() || k == syntax.LBrace || k == syntax.Mul || k == syntax.Arg || k == syntax.AtWord
	case syntax.KwPrivate:
		return k.IsWord()
	}
	return k == syntax.Name || k == syntax.Arg || k == syntax.AtWord
}
