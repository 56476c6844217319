package syntax

import "stapkit/diag"

// This file guesses by the indentation which brace was forgotten, or is one too many.

// openBlock is a "{" whose "}" has not come yet.
type openBlock struct{ tok int }

// braceHint is a pair of braces whose lines are indented differently.
type braceHint struct{ open, close int }

// openBrace notes a "{".
func (p *parser) openBrace(tok int) { p.blocks = append(p.blocks, openBlock{tok}) }

// closeBrace notes the "}" at the current token.
func (p *parser) closeBrace() {
	n := len(p.blocks) - 1
	if n < 0 {
		return
	}
	open := p.blocks[n].tok
	p.blocks = p.blocks[:n]
	if p.toks[p.i].Flags&OpensLine == 0 || len(p.hints) > 100 {
		return
	}
	// Reading indentation is costly, so only that of suspects is read: the common case
	// is that the line of "{" begins as far in as that of "}".
	if p.indent(open) != p.indent(p.i) {
		p.hints = append(p.hints, braceHint{open, p.i})
	}
}

// indent gives how far the line of a token is indented; tabs go to multiples of 8.
func (p *parser) indent(tok int) int {
	t := &p.toks[tok]
	text := p.f.Sources[t.Src].str
	off := int(t.Off)
	for off > 0 && text[off-1] != '\n' {
		if off--; int(t.Off)-off > 1000 {
			return 0 // nobody indents such a line
		}
	}
	n := 0
	for ; off < len(text); off++ {
		switch text[off] {
		case ' ':
			n++
		case '\t':
			n += 8 - n%8
		default:
			return n
		}
	}
	return n
}

// unclosed reports that the innermost block has no "}". SystemTap misses a statement
// where the text goes on.
func (p *parser) unclosed() {
	n := len(p.blocks) - 1
	if n < 0 {
		return
	}
	suspect := p.blocks[n].tok
	p.blocks = p.blocks[:n]
	for _, h := range p.hints {
		if h.open >= p.declTok && p.indent(h.close) < p.indent(h.open) {
			suspect = h.open // an inner block that the brace of an outer one closed
			break
		}
	}
	d := p.error(codeUnclosed, p.i, "expected statement")
	d.Help = "a '}' is missing before"
	d.Related = append(d.Related, diag.Related{Range: p.f.TokenRange(suspect), Message: "this '{' seems to have no '}'"})
}

// surplus adds to an error about a text outside all declarations the "}" that ended
// the declaration before too early, if the indentation tells.
func (p *parser) surplus(d *diag.Diagnostic) {
	for _, h := range p.hints {
		if h.open >= p.declTok && p.indent(h.close) > p.indent(h.open) {
			d.Related = append(d.Related, diag.Related{Range: p.f.TokenRange(h.close), Message: "this '}' seems to be one too many"})
			return
		}
	}
}

// badDecl handles what begins no declaration: a keyword that is misspelt or missing,
// or statements behind a "}" too many. Otherwise all is skipped to the next
// declaration.
func (p *parser) badDecl() Decl {
	at := p.i
	if d := p.noKeyword(); d != nil {
		return d
	}
	d := p.error(codeDecl, p.i, "expected 'probe', 'global', 'private', 'function', or '%%{'")
	p.surplus(d)
	bad := &BadDecl{}
	wasFunc := p.inFunc
	p.inFunc = true
	for !p.atDecl() && !(p.src && (p.k >= PPOpen && p.k <= PPClose || p.k == AtWord && p.text(p.i) == "@define")) {
		before := p.i
		if p.k != RBrace {
			p.lastErr = p.i
			if s := p.stmt(); s != nil {
				bad.Stmts = append(bad.Stmts, s)
			}
		}
		if p.i == before {
			p.next()
		}
	}
	p.inFunc = wasFunc
	bad.span = p.span(at)
	return bad
}

// noKeyword recognises a probe, function or global whose keyword is missing or
// misspelt; nil if it is none.
func (p *parser) noKeyword() Decl {
	at := p.i
	if p.k != Name && p.k != Mul || p.k == Name && p.text(at)[0] == '$' {
		return nil
	}
	word := p.text(at)
	if p.k == Name && (p.peek(1) == Name || p.peek(1) == LBrace || p.peek(1).IsKeyword() || p.peek(1) == Mul) {
		for _, k := range []Kind{KwProbe, KwGlobal, KwFunction, KwPrivate} {
			if near(word, k.String()) {
				p.misspelt(at, k)
				switch k {
				case KwPrivate:
					return p.private()
				case KwGlobal:
					p.next()
					return p.global(at, false)
				case KwFunction:
					p.next()
					return p.function(at, false)
				}
				p.next()
				return p.probe(at)
			}
		}
	}
	missing := func(k Kind) {
		d := p.error(codeNoProbe, at, "expected 'probe', 'global', 'private', 'function', or '%%{'")
		r := p.f.TokenRange(at)
		r.End = r.Start
		d.Help = "the keyword '" + k.String() + "' seems to be missing"
		d.Fixes = []diag.Fix{{Message: "insert '" + k.String() + "'", Edits: []diag.Edit{{Range: r, NewText: k.String() + " "}}}}
		p.surplus(d)
	}
	// What comes up to the "{"?
	n := 1
	if p.k == Name && (p.peek(1) == LParen || p.peek(1) == Colon) {
		if m, ok := p.looksLikeFunction(); ok {
			missing(KwFunction)
			return p.function(at, false)
		} else {
			n = m
		}
	}
	depth := 0
	i, last := p.peekAt(n), p.toks[p.peekAt(n-1)].Kind
scan:
	for ; n < 200 && p.spend(1); n++ {
		k := p.toks[i].Kind
		switch k {
		case LParen:
			depth++
		case RParen:
			if depth--; depth < 0 {
				break scan
			}
		case LBrace:
			if depth == 0 {
				missing(KwProbe)
				return p.probe(at)
			}
			break scan
		case Dot, Mul, Name, String, Number, Sub, Comma, Question, Not, Assign, AddAssign, KwIf, Arg, ArgStr:
		case Eq, Ne, Lt, Gt, Le, Ge, AndAnd, OrOr:
			if depth == 0 {
				break scan
			}
		default:
			if !k.IsKeyword() || k == KwProbe || k == KwGlobal || k == KwPrivate || last != Dot {
				break scan
			}
		}
		i, last = p.after(i), k
	}
	// "a, b" or "a = 1" at the start of a line, with a declaration or nothing behind.
	if p.k == Name && p.atLineStart() {
		i := p.i
		kind := func() Kind { return p.toks[i].Kind }
		for {
			if kind() != Name || !p.spend(1) {
				return nil
			}
			i = p.after(i)
			if kind() == Mod {
				i = p.after(i)
			}
			if kind() == LBrack && p.kindBehind(i) == Number {
				i = p.after(p.after(i))
				if kind() != RBrack {
					return nil
				}
				i = p.after(i)
			}
			if kind() == Assign && (p.kindBehind(i) == Number || p.kindBehind(i) == String) {
				i = p.after(p.after(i))
			}
			if kind() != Comma {
				break
			}
			i = p.after(i)
		}
		if kind() == Semi {
			i = p.after(i)
		}
		switch kind() {
		case EOF, KwProbe, KwGlobal, KwFunction, KwPrivate:
			missing(KwGlobal)
			return p.global(at, false)
		}
	}
	return nil
}

// looksLikeFunction reports whether "name(a, b:long) {" begins here; else how many
// tokens were looked at.
func (p *parser) looksLikeFunction() (int, bool) {
	n := 1
	if p.peek(n) == Colon {
		n += 2
	}
	if p.peek(n) != LParen {
		return n, false
	}
	for n++; n < 100; n++ {
		switch p.peek(n) {
		case Name, Comma, Colon, KwLong, KwString:
		case RParen:
			k := p.peek(n + 1)
			return 1, k == LBrace || k == Embedded || k == Colon
		default:
			return 1, false
		}
	}
	return 1, false
}
