// Package stapfmt formats SystemTap scripts in the one style that docs/stapfmt.md
// describes.
//
// A file is parsed in the source view of package syntax, so that both branches of every
// conditional and every macro are formatted as they stand. The printer (printer.go,
// decl.go, stmt.go, expr.go) walks tree and tokens together and makes a list of
// instructions; the engine (layout.go) breaks lines and writes text; check.go compares
// what came out with the source before anybody sees it.
package stapfmt
