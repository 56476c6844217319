package reference

import "strings"

//go:generate go run stapkit/internal/gen/grammar

// Document is the text of docs/grammar.md.
func Document() string {
	var b strings.Builder
	b.WriteString(`# The grammar

Generated from the reference grammar in ` + "`syntax/reference`" + ` (` + "`go generate ./syntax/reference`" + `); do not edit.

This is the language after preprocessing: macros are expanded, conditionals are
decided, script arguments are pasted, comments are gone. ` + "`Name`, `Number`, `String`,\n`Embedded`" + ` and the like are tokens. A glued token follows the word before it without
a blank: only so do several make up one component of a probe point. Separators are
optional; an expression takes all that it can, across line breaks.

` + "```ebnf\n")
	b.WriteString(EBNF())
	b.WriteString("\n```\n")
	return b.String()
}
