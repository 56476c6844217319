package sema

import (
	"stapkit/syntax"
	"stapkit/target/ctype"
)

// userType finds a type in the debug information of a program.
func (e *elab) userType(path, name string) (ctype.Type, bool) {
	return nil, false
}

// userSymbol resolves a variable of a program.
func (b *bodyState) userSymbol(x *syntax.AtOp, path, name string, addr bool) (*Access, *fail) {
	return nil, nil
}
