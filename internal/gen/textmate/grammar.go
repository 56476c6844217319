package main

import (
	"regexp"
	"slices"
	"strings"

	"stapkit/query"
)

// scope is the suffix of all scopes.
const scope = ".systemtap"

// A file is a whole grammar.
type file struct {
	Comment    string           `json:"$comment"`
	Name       string           `json:"name"`
	ScopeName  string           `json:"scopeName"`
	FileTypes  []string         `json:"fileTypes"`
	FirstLine  string           `json:"firstLineMatch"`
	Patterns   []*rule          `json:"patterns"`
	Repository map[string]*rule `json:"repository"`
}

// A rule matches a text, or all from a begin to an end, or is a list of others.
type rule struct {
	Include     string           `json:"include,omitempty"`
	Name        string           `json:"name,omitempty"`
	ContentName string           `json:"contentName,omitempty"`
	Match       string           `json:"match,omitempty"`
	Captures    map[string]*rule `json:"captures,omitempty"`
	Begin       string           `json:"begin,omitempty"`
	BeginCaps   map[string]*rule `json:"beginCaptures,omitempty"`
	End         string           `json:"end,omitempty"`
	EndCaps     map[string]*rule `json:"endCaptures,omitempty"`
	Patterns    []*rule          `json:"patterns,omitempty"`
}

// scoped names a match.
func scoped(name, match string) *rule { return &rule{Name: name + scope, Match: match} }

// include refers to rules of the repository.
func include(names ...string) []*rule {
	var out []*rule
	for _, n := range names {
		out = append(out, &rule{Include: "#" + n})
	}
	return out
}

// group is a rule that is a list of others.
func group(rules ...*rule) *rule { return &rule{Patterns: rules} }

// caps names the groups of an expression: caps("a", "b") are groups 1 and 2.
func caps(names ...string) map[string]*rule {
	out := map[string]*rule{}
	for i, n := range names {
		if n != "" {
			out[string(rune('1'+i))] = &rule{Name: n + scope}
		}
	}
	return out
}

// words makes an expression of whole words, the longest first, without those left out.
func words(list []string, except ...string) string {
	list = slices.DeleteFunc(slices.Clone(list), func(w string) bool { return slices.Contains(except, w) })
	slices.SortStableFunc(list, func(a, b string) int { return len(b) - len(a) })
	for i, w := range list {
		list[i] = regexp.QuoteMeta(w)
	}
	return `(?:` + strings.Join(list, "|") + `)\b`
}

// build makes the grammar. It is flat: conditionals may hold halves of statements, so
// braces are matched where the language itself has to, in probe points, and nowhere
// else.
func build(w query.Vocabulary) *file {
	control := []string{"if", "else", "while", "for", "foreach", "in", "limit", "return", "next", "delete", "break", "continue", "try", "catch"}
	types := []string{"string", "long"}
	declare := []string{"global", "private", "function", "probe"}
	// A word that is new gets the colour of a statement.
	for _, k := range w.Keywords {
		if !slices.Contains(types, k) && !slices.Contains(declare, k) && !slices.Contains(control, k) {
			control = append(control, k)
		}
	}
	name := `[A-Za-z_]\w*`
	// What $ begins: variables with members pasted by macros, and $ or $$ behind.
	variable := `\$\$?[A-Za-z_](?:\w|\$(?=\w))*\${0,2}`

	r := map[string]*rule{
		"shebang": scoped("comment.line.shebang", `\A#!.*$`),
		"comments": group(
			&rule{Name: "comment.line.number-sign" + scope, Begin: `#`, End: `$`, BeginCaps: map[string]*rule{"0": {Name: "punctuation.definition.comment" + scope}}, Patterns: include("comment-words")},
			&rule{Name: "comment.line.double-slash" + scope, Begin: `//`, End: `$`, BeginCaps: map[string]*rule{"0": {Name: "punctuation.definition.comment" + scope}}, Patterns: include("comment-words")},
			&rule{Name: "comment.block" + scope, Begin: `/\*`, End: `\*/`,
				BeginCaps: map[string]*rule{"0": {Name: "punctuation.definition.comment" + scope}}, EndCaps: map[string]*rule{"0": {Name: "punctuation.definition.comment" + scope}},
				Patterns: include("comment-words", "comment-tags")},
		),
		"comment-words": group(
			scoped("keyword.other.suppression", `\bstaplint:ignore(?:-file)?\b[^*]*|\bstapfmt:(?:on|off)\b`),
			scoped("keyword.other.todo", `\b(?:TODO|FIXME|XXX|NOTE)\b`),
		),
		"comment-tags": &rule{Match: `(?:^|\*)\s*(@\w+|Value|Context|Description|sfunction|probe)(?=\s*(?::|-))`, Captures: caps("storage.type.class.doc")},

		"embedded": &rule{Name: "meta.embedded.block.c", Begin: `%\{`, End: `%\}`,
			BeginCaps: map[string]*rule{"0": {Name: "punctuation.section.embedded.begin" + scope}}, EndCaps: map[string]*rule{"0": {Name: "punctuation.section.embedded.end" + scope}},
			Patterns: []*rule{scoped("storage.modifier.pragma", `/\*\s*(?:pure|unprivileged|myproc-unprivileged|guru|unmangled|unmodified-fnargs|stable|string|pragma:\S+)\s*\*/`), {Include: "source.c"}}},

		"macro-definition": &rule{Match: `(@define)\s+(` + name + `)`, Captures: caps("keyword.control.directive.define", "entity.name.function.preprocessor")},
		"preprocessor": group(
			scoped("keyword.control.preprocessor", `%\(|%\?|%:|%\)`),
			scoped("constant.language.condition", `\b(?:`+strings.TrimSuffix(words(w.Conditions), `\b`)+`|CONFIG_\w+)\b(?=\s*(?:[<>]|[=!]=))`),
		),

		"probe": &rule{Name: "meta.probe" + scope, Begin: `\b(probe)\b`, BeginCaps: caps("storage.type.probe"),
			End: `(?=\{)|(?=%\{)|^(?=\s*(?:probe|global|private|function)\b)`, Patterns: include("point")},
		"point": group(append(include("comments", "preprocessor", "string", "macro", "argument", "point-group", "point-condition", "number"),
			scoped("keyword.operator.assignment.alias", `\+?=`),
			scoped("keyword.operator.optional", `[?!]`),
			scoped("punctuation.separator.comma", `,`),
			scoped("punctuation.accessor", `\.`),
			scoped("entity.name.type.probe", `[A-Za-z_*][\w*]*`),
		)...),
		"point-group": &rule{Begin: `(\.)\s*(\{)`, BeginCaps: caps("punctuation.accessor", "punctuation.section.group.begin"), End: `\}`,
			EndCaps: map[string]*rule{"0": {Name: "punctuation.section.group.end" + scope}}, Patterns: include("point")},
		"point-condition": &rule{Begin: `\b(if)\s*(\()`, BeginCaps: caps("keyword.control", "punctuation.section.parens.begin"), End: `\)`,
			EndCaps: map[string]*rule{"0": {Name: "punctuation.section.parens.end" + scope}}, Patterns: include("parens", "expression")},

		"function": &rule{Name: "meta.function" + scope, Begin: `\b(function)\b\s*(` + name + `)?`, BeginCaps: caps("storage.type.function", "entity.name.function"),
			End: `(?=\{)|(?=%\{)|^(?=\s*(?:probe|global|private|function)\b)`, Patterns: append(include("comments", "preprocessor", "type"),
				&rule{Begin: `\(`, End: `\)`, BeginCaps: map[string]*rule{"0": {Name: "punctuation.section.parameters.begin" + scope}}, EndCaps: map[string]*rule{"0": {Name: "punctuation.section.parameters.end" + scope}},
					Patterns: append(include("comments", "preprocessor", "type", "macro"), scoped("punctuation.separator.comma", `,`), scoped("variable.parameter", `\b`+name+`\b`))},
				&rule{Match: `(:)\s*(\d+)`, Captures: caps("punctuation.separator.priority", "constant.numeric.priority")})},
		"type":        &rule{Match: `(:)\s*(` + words(types) + `)`, Captures: caps("punctuation.separator.type", "support.type")},
		"declaration": scoped("storage.modifier", `\b(?:global|private)\b`),

		"string": &rule{Name: "string.quoted.double" + scope, Begin: `"`, End: `"|(?<!\\)(?=\n)`, BeginCaps: map[string]*rule{"0": {Name: "punctuation.definition.string.begin" + scope}},
			EndCaps: map[string]*rule{"0": {Name: "punctuation.definition.string.end" + scope}}, Patterns: include("escape")},
		"format-string": &rule{Name: "string.quoted.double.format" + scope, Begin: `"`, End: `"|(?<!\\)(?=\n)`, BeginCaps: map[string]*rule{"0": {Name: "punctuation.definition.string.begin" + scope}},
			EndCaps: map[string]*rule{"0": {Name: "punctuation.definition.string.end" + scope}}, Patterns: include("escape", "directive")},
		"escape": group(
			scoped("constant.character.escape", `\\(?:[abfnrtv\\"'?]|[0-7]{1,3}|x[0-9A-Fa-f]{1,2}|$)`),
			scoped("invalid.deprecated.escape", `\\.`),
		),
		"directive": group(
			scoped("constant.other.placeholder", `%%|%[-+ #0]?(?:\d+|\*)?(?:\.(?:\d+|\*)?)?l?[`+w.Conversions+`]`),
			scoped("invalid.illegal.placeholder", `%`),
		),
		// The first argument is the format; \G is where the parenthesis ended.
		"printf": &rule{Begin: `\b(s?printf)\s*(\()`, BeginCaps: caps("support.function.print", "punctuation.section.arguments.begin"), End: `\)`,
			EndCaps:  map[string]*rule{"0": {Name: "punctuation.section.arguments.end" + scope}},
			Patterns: append([]*rule{{Begin: `\G`, End: `(?=[,;)])`, Patterns: include("comments", "preprocessor", "format-string", "macro-call", "macro", "argument")}}, include("parens", "expression")...)},
		"parens": &rule{Begin: `\(`, End: `\)`, BeginCaps: map[string]*rule{"0": {Name: "punctuation.section.parens.begin" + scope}}, EndCaps: map[string]*rule{"0": {Name: "punctuation.section.parens.end" + scope}},
			Patterns: include("parens", "expression")},
		"macro-call": &rule{Begin: `(@` + name + `)\s*(\()`, BeginCaps: caps("entity.name.function.macro", "punctuation.section.arguments.begin"), End: `\)`,
			EndCaps: map[string]*rule{"0": {Name: "punctuation.section.arguments.end" + scope}}, Patterns: include("parens", "expression")},

		"number": group(
			scoped("constant.numeric.hex", `\b0[xX][0-9A-Fa-f]+\b`),
			scoped("constant.numeric.octal", `\b0[0-7]+\b`),
			scoped("constant.numeric.decimal", `\b\d+\b`),
			scoped("invalid.illegal.numeric", `\b\d\w*`),
		),
		"argument": scoped("variable.parameter.script-argument", `[$@](?:\d+|#)`),
		"target": group(
			scoped("variable.language.target", variable),
		),
		"macro": group(
			scoped("keyword.operator.word.at", `@`+words(w.Operators, "define")),
			scoped("support.function.aggregate", `@`+words(w.Statistics)),
			scoped("entity.name.function.macro", `@`+name),
		),
		"member": &rule{Match: `(->)\s*(` + name + `)?`, Captures: caps("keyword.operator.arrow", "variable.other.member")},
		"words": group(
			scoped("keyword.control", `\b`+words(control)),
			scoped("support.type", `\b`+words(types)+`(?!\s*\()`),
			scoped("support.function.print", `\b`+words(w.Prints)),
			&rule{Match: `\b(` + name + `)(?=\s*\()`, Captures: caps("entity.name.function.call")},
			scoped("variable.other", `\b`+name+`\b`),
		),
		"operators": group(
			scoped("keyword.operator.aggregate", `<<<`),
			scoped("keyword.operator.match", `=~|!~`),
			scoped("keyword.operator.assignment", `(?:<<|>>|[-+*/%&|^.])?=(?!=)`),
			scoped("keyword.operator.comparison", `[=!]=|[<>]=?(?![<>])`),
			scoped("keyword.operator.increment", `\+\+|--`),
			scoped("keyword.operator.logical", `&&|\|\||!`),
			scoped("keyword.operator.bitwise", `<<|>>>?|[&|^~]`),
			scoped("keyword.operator.arithmetic", `[-+*/%]`),
			scoped("keyword.operator.concatenation", `\.`),
			scoped("keyword.operator.ternary", `[?:]`),
			scoped("punctuation.separator.comma", `,`),
			scoped("punctuation.terminator", `;`),
		),
		"brackets": group(
			scoped("punctuation.section.block", `[{}]`),
			scoped("punctuation.section.brackets", `[\[\]]`),
			scoped("punctuation.section.parens", `[()]`),
		),
		"expression": group(include("comments", "embedded", "preprocessor", "printf", "string", "argument", "target", "macro", "member", "number", "words", "operators")...),
	}
	// Inside of parentheses brackets have to be matched by rules that begin and end.
	r["expression"].Patterns = append(r["expression"].Patterns, scoped("punctuation.section.brackets", `[\[\]]`), scoped("punctuation.section.block", `[{}]`))
	return &file{
		Comment: "Generated by internal/gen/textmate from the words that the language server knows (go generate ./query); do not edit.",
		Name:    "SystemTap", ScopeName: "source" + scope, FileTypes: []string{"stp", "stpm"}, FirstLine: `^#!.*\bstap\b`,
		Patterns:   include("shebang", "macro-definition", "probe", "function", "declaration", "expression", "brackets"),
		Repository: r,
	}
}
