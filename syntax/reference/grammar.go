// Package reference holds a declarative grammar of SystemTap's language and a
// parser made of it. It is slow and stops at the first error; it exists to be
// read and to be held against the production parser: docs/grammar.md is generated
// from it, and tests compare what both make of every file they can find.
//
// It reads the tokens of package syntax after preprocessing (the expanded view):
// comments, macros and conditionals are gone. Where a production accepts more
// than the language (any number of arguments, say), the production parser's
// checks go beyond it.
package reference

import (
	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// Kinds of tokens. A word or star that follows another without a blank between
// them is glued: only so do they form one component of a probe point.
const (
	tEOF lexer.TokenType = lexer.EOF - iota
	tName
	tKeyword
	tGluedName
	tGluedKeyword
	tGluedStar
	tNumber
	tString
	tEmbedded
	tAtWord
	tTarget
	tOp
)

var symbols = map[string]lexer.TokenType{
	"EOF": lexer.EOF, "Name": tName, "Keyword": tKeyword, "GluedName": tGluedName, "GluedKeyword": tGluedKeyword,
	"GluedStar": tGluedStar, "Number": tNumber, "String": tString, "Embedded": tEmbedded, "AtWord": tAtWord,
	"Target": tTarget, "Op": tOp,
}

// File is a script.
type File struct {
	Decls []*Decl `parser:"@@*"`
}

// Decl is a declaration.
type Decl struct {
	Private  bool     `parser:"( @\"private\""`
	PFunc    *Func    `parser:"  ( \"function\" @@"`
	PGlobals *Globals `parser:"  | \"global\"? @@ )"`
	Globals  *Globals `parser:"| \"global\" @@"`
	Func     *Func    `parser:"| \"function\" @@"`
	Probe    *Probe   `parser:"| \"probe\" @@"`
	Embedded *string  `parser:"| @Embedded )"`
}

// Globals lists variables.
type Globals struct {
	Vars []*Var `parser:"@@ (\",\" @@)* \";\"?"`
}

// Var declares a global variable.
type Var struct {
	Name string   `parser:"@(Name | GluedName)"`
	Wrap bool     `parser:"@\"%\"?"`
	Size *string  `parser:"(\"[\" @Number \"]\")?"`
	Init *Literal `parser:"(\"=\" @@)?"`
}

// Literal is a constant.
type Literal struct {
	Neg     bool     `parser:"( @\"-\"?"`
	Number  *string  `parser:"  @Number"`
	Strings []string `parser:"| @String+ )"`
}

// Func declares a function.
type Func struct {
	Name     string   `parser:"@(Name | GluedName | \"string\" | \"long\")"`
	Type     string   `parser:"(\":\" @(\"string\" | \"long\"))?"`
	Params   []*Param `parser:"\"(\" (@@ (\",\" @@)* \",\"?)? \")\""`
	Priority *string  `parser:"(\":\" @Number)?"`
	Body     *Block   `parser:"( @@"`
	Code     *string  `parser:"| @Embedded )"`
}

// Param declares a parameter.
type Param struct {
	Name string `parser:"@(Name | GluedName)"`
	Type string `parser:"(\":\" @(\"string\" | \"long\"))?"`
}

// Probe is a probe, or the definition of an alias.
type Probe struct {
	Names    []*AliasName `parser:"@@*"`
	Points   []*Point     `parser:"@@ (\",\" @@)*"`
	Body     *Block       `parser:"@@"`
	Epilogue *Block       `parser:"(\",\" @@)?"`
}

// AliasName is a name being defined.
type AliasName struct {
	Point *Point `parser:"@@"`
	Op    string `parser:"@(\"=\" | \"+=\")"`
}

// Point is a probe point.
type Point struct {
	Components []*Component `parser:"@@ (\".\" @@)*"`
	Mark       string       `parser:"@(\"?\" | \"!\")?"`
	Cond       *Expr        `parser:"(\"if\" \"(\" @@ \")\")?"`
}

// Component is a part of a probe point.
type Component struct {
	Name  []string `parser:"( @(Name | GluedName | Keyword | GluedKeyword | \"*\") @(GluedName | GluedKeyword | GluedStar)*"`
	Arg   *Literal `parser:"  (\"(\" @@ \")\")?"`
	Group []*Point `parser:"| \"{\" @@ (\",\" @@)* \"}\" )"`
}

// Block is a list of statements.
type Block struct {
	Stmts []*Stmt `parser:"\"{\" @@* \"}\""`
}

// Stmt is a statement.
type Stmt struct {
	Null     bool     `parser:"( @\";\""`
	Block    *Block   `parser:"| @@"`
	Try      *Try     `parser:"| \"try\" @@"`
	If       *If      `parser:"| \"if\" @@"`
	While    *While   `parser:"| \"while\" @@"`
	For      *For     `parser:"| \"for\" @@"`
	Foreach  *Foreach `parser:"| \"foreach\" @@"`
	Return   *Return  `parser:"| @@ \";\"?"`
	Delete   *Expr    `parser:"| \"delete\" @@ \";\"?"`
	Break    bool     `parser:"| @\"break\" \";\"?"`
	Continue bool     `parser:"| @\"continue\" \";\"?"`
	Next     bool     `parser:"| @\"next\" \";\"?"`
	Expr     *Expr    `parser:"| @@ \";\"? )"`
}

// Return leaves a function.
type Return struct {
	Word string `parser:"@\"return\""`
	X    *Expr  `parser:"@@?"`
}

// Try catches errors.
type Try struct {
	Body    *Block `parser:"@@ \"catch\""`
	Var     string `parser:"(\"(\" @(Name | GluedName) \")\")?"`
	Handler *Block `parser:"@@"`
}

// If branches.
type If struct {
	Cond *Expr `parser:"\"(\" @@ \")\""`
	Then *Stmt `parser:"@@"`
	Else *Stmt `parser:"(\"else\" @@)?"`
}

// While loops.
type While struct {
	Cond *Expr `parser:"\"(\" @@ \")\""`
	Body *Stmt `parser:"@@"`
}

// For loops.
type For struct {
	Init *Expr `parser:"\"(\" @@? \";\""`
	Cond *Expr `parser:"@@? \";\""`
	Post *Expr `parser:"@@? \")\""`
	Body *Stmt `parser:"@@"`
}

// Foreach walks an array or a histogram.
type Foreach struct {
	Value *SortVar   `parser:"\"(\" (@@ \"=\")?"`
	Key   *SortVar   `parser:"( @@"`
	Keys  []*SortVar `parser:"| \"[\" @@ (\",\" @@)* \"]\" )"`
	Array *Indexable `parser:"\"in\" @@"`
	Slice []*Slot    `parser:"(\"[\" @@ (\",\" @@)* \"]\")?"`
	Agg   string     `parser:"@(\"@count\" | \"@sum\" | \"@min\" | \"@max\" | \"@avg\" | \"@variance\")?"`
	Sort  string     `parser:"@(\"+\" | \"-\")?"`
	Limit *Expr      `parser:"(\"limit\" @@)? \")\""`
	Body  *Stmt      `parser:"@@"`
}

// SortVar is a loop variable, perhaps the one to sort by.
type SortVar struct {
	Name string `parser:"@(Name | GluedName)"`
	Sort string `parser:"@(\"+\" | \"-\")?"`
}

// Slot is a subscript; "*" matches any key.
type Slot struct {
	Star bool  `parser:"( @\"*\""`
	X    *Expr `parser:"| @@ )"`
}

// Member is a key before "in"; "*" matches any.
type Member struct {
	Star bool     `parser:"( @\"*\""`
	X    *Compare `parser:"| @@ )"`
}

// Indexable is an array or a histogram.
type Indexable struct {
	At   *At    `parser:"( @@"`
	Name string `parser:"| @(Name | GluedName) )"`
}

// Expr is an expression: an assignment or what binds tighter.
type Expr struct {
	L  *Ternary `parser:"@@"`
	Op string   `parser:"( @(\"=\" | \"<<<\" | \"+=\" | \"-=\" | \"*=\" | \"/=\" | \"%=\" | \"<<=\" | \">>=\" | \"&=\" | \"^=\" | \"|=\" | \".=\")"`
	R  *Expr    `parser:"  @@ )?"`
}

// Ternary chooses.
type Ternary struct {
	Cond *LogOr   `parser:"@@"`
	Then *Expr    `parser:"( \"?\" @@ \":\""`
	Else *Ternary `parser:"  @@ )?"`
}

// LogOr is ||.
type LogOr struct {
	X []*LogAnd `parser:"@@ (\"||\" @@)*"`
}

// LogAnd is &&.
type LogAnd struct {
	X []*BitOr `parser:"@@ (\"&&\" @@)*"`
}

// BitOr is |.
type BitOr struct {
	X []*BitXor `parser:"@@ (\"|\" @@)*"`
}

// BitXor is ^.
type BitXor struct {
	X []*BitAnd `parser:"@@ (\"^\" @@)*"`
}

// BitAnd is &.
type BitAnd struct {
	X []*In `parser:"@@ (\"&\" @@)*"`
}

// In tests membership. "[x]" without "in" is "(x)".
type In struct {
	Slots []*Member  `parser:"( \"[\" @@ (\",\" @@)* \"]\""`
	SArr  *Indexable `parser:"  (\"in\" @@)?"`
	X     *Compare   `parser:"| @@"`
	Arr   *Indexable `parser:"  (\"in\" @@)? )"`
}

// Compare is a comparison, all operators on one level, or a match.
type Compare struct {
	X       *Shift     `parser:"@@"`
	Match   string     `parser:"( @(\"=~\" | \"!~\")"`
	Pattern []string   `parser:"  @String+"`
	Rest    []*OpShift `parser:"| @@ @@* )?"`
}

// OpShift is a comparison's operator and right side.
type OpShift struct {
	Op string `parser:"@(\"<=\" | \">=\" | \"==\" | \"!=\" | \"<\" | \">\")"`
	X  *Shift `parser:"@@"`
}

// Shift is << or >>.
type Shift struct {
	X    *Concat     `parser:"@@"`
	Rest []*OpConcat `parser:"@@*"`
}

// OpConcat is a shift's operator and right side.
type OpConcat struct {
	Op string  `parser:"@(\"<<\" | \">>\" | \">>>\")"`
	X  *Concat `parser:"@@"`
}

// Concat is concatenation; it binds looser than addition.
type Concat struct {
	X []*Sum `parser:"@@ (\".\" @@)*"`
}

// Sum is + or -.
type Sum struct {
	X    *Product     `parser:"@@"`
	Rest []*OpProduct `parser:"@@*"`
}

// OpProduct is a sum's operator and right side.
type OpProduct struct {
	Op string   `parser:"@(\"+\" | \"-\")"`
	X  *Product `parser:"@@"`
}

// Product is *, / or %.
type Product struct {
	X    *Unary     `parser:"@@"`
	Rest []*OpUnary `parser:"@@*"`
}

// OpUnary is a product's operator and right side.
type OpUnary struct {
	Op string `parser:"@(\"*\" | \"/\" | \"%\")"`
	X  *Unary `parser:"@@"`
}

// Unary is a sign or negation.
type Unary struct {
	Op   string  `parser:"( @(\"+\" | \"-\" | \"!\" | \"~\")"`
	X    *Unary  `parser:"  @@"`
	Step *IncDec `parser:"| @@ )"`
}

// IncDec counts up or down.
type IncDec struct {
	Pre  string   `parser:"@(\"++\" | \"--\")?"`
	X    *Postfix `parser:"@@"`
	Post string   `parser:"@(\"++\" | \"--\")?"`
}

// Postfix is a value with accessors behind it.
type Postfix struct {
	Addr bool        `parser:"@\"&\"?"`
	X    *Primary    `parser:"@@"`
	Acc  []*Accessor `parser:"@@*"`
}

// Accessor is a member or a subscript.
type Accessor struct {
	Member string  `parser:"( \"->\" @(Name | GluedName | Keyword | GluedKeyword)"`
	Index  []*Slot `parser:"| \"[\" @@ (\",\" @@)* \"]\""`
	Pretty string  `parser:"  @(\"$$\" | \"$\")? )"`
}

// Primary is a value.
type Primary struct {
	Number   *string  `parser:"( @Number"`
	Strings  []string `parser:"| @String+"`
	Paren    *Expr    `parser:"| \"(\" @@ \")\""`
	Target   *string  `parser:"| @Target"`
	At       *At      `parser:"| @@"`
	Embedded *string  `parser:"| @Embedded"`
	Call     *Call    `parser:"| @@"`
	Name     string   `parser:"| @(Name | GluedName) )"`
}

// At is an @ operator.
type At struct {
	Word string  `parser:"@AtWord"`
	Args []*Expr `parser:"\"(\" (@@ (\",\" @@)*)? \")\""`
}

// Call calls a function.
type Call struct {
	Name string  `parser:"@(Name | GluedName | \"string\" | \"long\") \"(\""`
	Args []*Expr `parser:"(@@ (\",\" @@)*)? \")\""`
}

var parser = participle.MustBuild[File](
	participle.Lexer(definition{}),
	participle.UseLookahead(participle.MaxLookahead),
)

// EBNF is the grammar in the notation of docs/grammar.md.
func EBNF() string { return parser.String() }
