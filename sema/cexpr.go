package sema

import (
	"fmt"
	"strings"

	"stapkit/target/ctype"
)

// cExpr evaluates a constant expression of C, as @const has it: numbers, character
// constants, names that lookup knows, sizeof of a type, and C's operators with C's
// precedence. Numbers have 64 bits.
type cExpr struct {
	text   string
	at     int
	lookup func(name string) (int64, bool)
	size   func(typ string) (int64, bool)
	depth  int
	err    error
}

// evalC evaluates a whole text.
func evalC(text string, lookup, size func(string) (int64, bool)) (int64, error) {
	c := &cExpr{text: text, lookup: lookup, size: size}
	n := c.binary(0)
	if c.space(); c.err == nil && c.at < len(c.text) {
		c.fail("'%s' is not understood", c.text[c.at:])
	}
	return n, c.err
}

func (c *cExpr) fail(format string, args ...any) int64 {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
	c.at = len(c.text)
	return 0
}

func (c *cExpr) space() {
	for c.at < len(c.text) && strings.IndexByte(" \t\n", c.text[c.at]) >= 0 {
		c.at++
	}
}

// cOperators are C's binary operators by precedence, the loosest first.
var cOperators = [][]string{
	{"||"}, {"&&"}, {"|"}, {"^"}, {"&"}, {"==", "!="}, {"<=", ">=", "<", ">"}, {"<<", ">>"}, {"+", "-"}, {"*", "/", "%"},
}

// operator takes one of the operators of a level, "" if none is next.
func (c *cExpr) operator(level int) string {
	c.space()
	rest := c.text[c.at:]
	for _, op := range cOperators[level] {
		if !strings.HasPrefix(rest, op) {
			continue
		}
		// "|" is not the beginning of "||", nor "<" of "<<".
		if len(op) == 1 && len(rest) > 1 && (rest[1] == op[0] && strings.Contains("|&<>", op)) {
			continue
		}
		c.at += len(op)
		return op
	}
	return ""
}

func (c *cExpr) binary(level int) int64 {
	if level == len(cOperators) {
		return c.unary()
	}
	x := c.binary(level + 1)
	for c.err == nil {
		op := c.operator(level)
		if op == "" {
			break
		}
		x = c.apply(op, x, c.binary(level+1))
	}
	return x
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (c *cExpr) apply(op string, x, y int64) int64 {
	switch op {
	case "||":
		return truth(x != 0 || y != 0)
	case "&&":
		return truth(x != 0 && y != 0)
	case "|":
		return x | y
	case "^":
		return x ^ y
	case "&":
		return x & y
	case "==":
		return truth(x == y)
	case "!=":
		return truth(x != y)
	case "<":
		return truth(x < y)
	case ">":
		return truth(x > y)
	case "<=":
		return truth(x <= y)
	case ">=":
		return truth(x >= y)
	case "<<":
		return x << (uint64(y) & 63)
	case ">>":
		return x >> (uint64(y) & 63)
	case "+":
		return x + y
	case "-":
		return x - y
	case "*":
		return x * y
	}
	if y == 0 {
		return c.fail("it divides by zero")
	}
	if y == -1 { // the smallest number has no opposite
		if op == "/" {
			return -x
		}
		return 0
	}
	if op == "/" {
		return x / y
	}
	return x % y
}

func (c *cExpr) unary() int64 {
	if c.depth++; c.depth > 200 {
		return c.fail("it is nested too deeply")
	}
	defer func() { c.depth-- }()
	c.space()
	if c.at >= len(c.text) {
		return c.fail("a value is missing at its end")
	}
	switch ch := c.text[c.at]; {
	case ch == '-', ch == '+', ch == '~', ch == '!':
		c.at++
		x := c.unary()
		switch ch {
		case '-':
			return -x
		case '~':
			return ^x
		case '!':
			return truth(x == 0)
		}
		return x
	case ch == '(':
		c.at++
		x := c.binary(0)
		if c.space(); c.at >= len(c.text) || c.text[c.at] != ')' {
			return c.fail("a ')' is missing")
		}
		c.at++
		return x
	case ch == '\'':
		rest := c.text[c.at:]
		if len(rest) >= 3 && rest[1] != '\\' && rest[2] == '\'' {
			c.at += 3
			return int64(rest[1])
		}
		return c.fail("%s is not understood", rest)
	}
	from := c.at
	for c.at < len(c.text) && (c.text[c.at] == '_' || c.text[c.at] >= 'a' && c.text[c.at] <= 'z' || c.text[c.at] >= 'A' && c.text[c.at] <= 'Z' || c.text[c.at] >= '0' && c.text[c.at] <= '9') {
		c.at++
	}
	word := c.text[from:c.at]
	switch {
	case word == "":
		return c.fail("'%s' is not understood", c.text[from:])
	case word == "sizeof":
		c.space()
		rest := c.text[c.at:]
		end := strings.IndexByte(rest, ')')
		if !strings.HasPrefix(rest, "(") || end < 0 {
			return c.fail("sizeof needs a type between parentheses")
		}
		c.at += end + 1
		typ := strings.TrimSpace(rest[1:end])
		if n, ok := c.size(typ); ok {
			return n
		}
		return c.fail("the type '%s' is not known", typ)
	case word[0] >= '0' && word[0] <= '9':
		if n, ok := parseNumber(word); ok {
			return n
		}
		return c.fail("%s is no number", word)
	}
	if n, ok := c.lookup(word); ok {
		return n
	}
	return c.fail("unable to find enumerator '%s'", word)
}

// sizeOf is the size of a type by name for @const.
func (b *bodyState) sizeOf(typ string) (int64, bool) {
	if strings.HasSuffix(typ, "*") {
		return 8, true
	}
	nt, _ := b.e.findType(b, typ, "")
	if nt == nil {
		return 0, false
	}
	n := ctype.Strip(nt.Type).Size()
	return n, n > 0
}

// enumerator finds a constant by name: in the program that the place belongs to, in
// the module, in the kernel.
func (b *bodyState) enumerator(name string) (int64, bool) {
	if nr, ok := strings.CutPrefix(name, "__NR_"); ok {
		if n, ok := SyscallNumber(b.e.arch(), nr); ok {
			return int64(n), true
		}
	}
	if c := b.context(); c != nil && c.binary != "" {
		if f := b.e.userFile(c.binary); f != nil {
			if d := f.debug(&b.e.opt.Binaries.Search); d != nil {
				if v, _, ok := d.Constant(name); ok {
					return v, true
				}
			}
		}
	}
	t := b.e.opt.Target
	if t == nil {
		return 0, false
	}
	v, _, ok := t.Constant(b.module(), name)
	return v, ok
}
