package syntax

// braceHint is a pair of braces whose lines are indented differently.
type braceHint struct {
	open, close int // token indices
}

// openBrace notes a "{".
func (p *parser) openBrace(tok int) {
	p.blocks = append(p.blocks, openBlock{tok, 0})
}

// closeBrace notes the "}" at the current token.
func (p *parser) closeBrace() {
	if n := len(p.blocks); n > 0 {
		p.blocks = p.blocks[:n-1]
	}
}

// unclosed reports that the innermost block has no "}".
func (p *parser) unclosed() {
	p.error(codeStmt, p.i, "expected statement")
	if n := len(p.blocks); n > 0 {
		p.blocks = p.blocks[:n-1]
	}
}

func (p *parser) placeBraces() {}

// badDecl skips to the next declaration.
func (p *parser) badDecl() Decl {
	at := p.i
	p.error(codeDecl, p.i, "expected 'probe', 'global', 'private', 'function', or '%%{'")
	p.next()
	for !p.atDecl() {
		p.next()
	}
	return &BadDecl{span: p.span(at)}
}
