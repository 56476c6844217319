package syntax

import "stapkit/format"

// This file holds the tree. One set of node types serves both views: the expanded
// view never holds the nodes listed under "Source view only" (CondDecl, CondStmt,
// CondList, CondExpr, MacroDef, MacroCall, StringSeq), nor Verbatim, nor Paren.
//
// Productions are given in EBNF: "x" is a token, [x] optional, {x} repeated.

// A Node is one construct of the tree. Nodes are always pointers, so they can be
// used as map keys. Every node knows its file.
type Node interface {
	// File is the file the node was parsed in.
	File() *File
	// First and Last are the indices in File().Tokens of the node's first and last
	// token, both inclusive.
	First() int
	Last() int
	// Anchor is the index of the token that SystemTap's diagnostics point at:
	// the operator of a binary expression, the name of a call, else First.
	Anchor() int
}

// span is the part that all nodes share.
type span struct {
	file        *File
	first, last int32
}

// File is the file the node was parsed in.
func (s *span) File() *File { return s.file }

// First is the index of the node's first token.
func (s *span) First() int { return int(s.first) }

// Last is the index of the node's last token, inclusive.
func (s *span) Last() int { return int(s.last) }

// Anchor is the index of the token that a diagnostic about the node points at.
func (s *span) Anchor() int { return int(s.first) }

// A Decl is a top-level declaration:
// GlobalDecl, FuncDecl, ProbeDecl, AliasDecl, EmbeddedDecl, BadDecl and, in the
// source view, CondDecl, MacroDef, MacroCall and Verbatim.
type Decl interface {
	Node
	declNode()
}

// A Stmt is a statement: Block, IfStmt, WhileStmt, ForStmt, ForeachStmt,
// ReturnStmt, DeleteStmt, BreakStmt, ContinueStmt, NextStmt, TryStmt, ExprStmt,
// NullStmt, BadStmt and, in the source view, CondStmt, MacroDef and Verbatim.
type Stmt interface {
	Node
	stmtNode()
}

// An Expr is an expression: NumberLit, StringLit, Ident, TargetVar, Unary, IncDec,
// Binary, Logical, Ternary, AssignExpr, ArrayIn, Index, Call, PrintExpr, StatOp,
// HistOp, AtOp, AddrOf, Autocast, RegexMatch, EmbeddedExpr, Star, ScriptArg,
// BadExpr and, in the source view, Paren, StringSeq, MacroCall, CondExpr, CondList
// and Verbatim.
type Expr interface {
	Node
	exprNode()
}

// A Point is one entry of a probe-point list: ProbePoint, BadPoint and, in the
// source view, CondList and Verbatim.
type Point interface {
	Node
	pointNode()
}

// A Type is a type written in the source.
type Type uint8

// The types that can be written.
const (
	NoType     Type = iota // no annotation
	LongType               // ":long"
	StringType             // ":string"
)

// String is the keyword, "" for NoType.
func (t Type) String() string {
	switch t {
	case LongType:
		return "long"
	case StringType:
		return "string"
	}
	return ""
}

// ---- Declarations ----

// A GlobalDecl declares global variables.
//
//	global  = "global" var { "," var } [";"] ;
//	private = "private" ["global"] var { "," var } [";"] ;
type GlobalDecl struct {
	span
	Private bool
	Vars    []*GlobalVar
}

// A GlobalVar is one variable of a GlobalDecl.
//
//	var = IDENT ["%"] ["[" NUMBER "]"] ["=" literal] ;
type GlobalVar struct {
	span
	Name *Ident
	Wrap bool // "%": a full array forgets its oldest element
	// Size is the declared element count; nil when not given. In the source view it
	// may be a MacroCall, ScriptArg or CondExpr.
	Size Expr
	// MaxSize is the value of Size in the expanded view, 0 when not given.
	MaxSize int64
	// Init is the initial value (NumberLit or StringLit in the expanded view), or nil.
	Init Expr
	// Verbatim is set in the source view for a list entry that fits no tree, such as
	// a conditional inside the list; all other fields are then zero.
	Verbatim *Verbatim
}

// A FuncDecl declares a function. Exactly one of Body and Code is set, unless the
// declaration was not understood to its end.
//
//	function = ["private"] "function" name [":" type]
//	           "(" [ param { "," param } ] ")" [":" NUMBER] ( block | EMBEDDED ) ;
//	name     = IDENT | "string" | "long" ;
//	type     = "string" | "long" ;
type FuncDecl struct {
	span
	Private bool
	Name    *Ident
	Result  Type
	Params  []*Param
	// Priority orders overloads (1 is tried first); 0 when not given. PriorityTok is
	// the number's token, 0 when not given.
	Priority    int64
	PriorityTok int
	Body        *Block
	Code        *EmbeddedCode
}

// A Param is one parameter of a function.
//
//	param = IDENT [":" type] ;
type Param struct {
	span
	Name *Ident
	Type Type
	// Verbatim is set in the source view for an entry that fits no tree.
	Verbatim *Verbatim
}

// A ProbeDecl attaches a handler to probe points.
//
//	probe = "probe" points block ;
type ProbeDecl struct {
	span
	Points []Point
	Body   *Block // nil when it is missing (a diagnostic tells)
}

// An AliasDecl names a list of probe points.
//
//	alias = "probe" point ("="|"+=") { point ("="|"+=") } points block [ "," block ] ;
//
// An epilogue after "," exists only with "=".
type AliasDecl struct {
	span
	Names    []*ProbePoint // one, or several when chained with "="
	Op       Kind          // Assign: body runs before the user's; AddAssign: after
	Points   []Point
	Body     *Block
	Epilogue *Block // second block, nil if none
}

// AsProbe is the probe that the alias would be if it had no name, for tools that look
// into aliases which nothing uses.
func (n *AliasDecl) AsProbe() *ProbeDecl {
	return &ProbeDecl{span: n.span, Points: n.Points, Body: n.Body}
}

// An EmbeddedDecl is embedded C at top level.
//
//	embedded = EMBEDDED ;
type EmbeddedDecl struct {
	span
	Code *EmbeddedCode
}

// A BadDecl stands for tokens that were skipped to the next declaration. A
// diagnostic of the file covers it.
type BadDecl struct {
	span
	// Stmts are the statements found among the tokens, so that tools still see the
	// names in them.
	Stmts []Stmt
}

// EmbeddedCode is the text between "%{" and "%}".
type EmbeddedCode struct {
	span
	Text string // without the delimiters
}

// ---- Probe points ----

// A ProbePoint is one dotted probe point.
//
//	point = component { "." component } ["?" | "!"] ["if" "(" expr ")"] ;
type ProbePoint struct {
	span
	Components []*Component
	Optional   bool // "?", and also set by "!"
	Sufficient bool // "!"
	Cond       Expr // nil when there is no "if"
}

// A Component is one part between the dots of a probe point.
//
//	component = ( "*" | IDENT | KEYWORD ) { glued "*" | IDENT | KEYWORD } [ "(" literal ")" ]
//	          | "{" points "}" ;
type Component struct {
	span
	Name string // may hold "*" wildcards; "" for a brace group or Dynamic
	// Arg is the literal argument: NumberLit or StringLit in the expanded view (or
	// ScriptArg when arguments are unknown); nil when there is none.
	Arg Expr
	// Group is the list of a brace group, nil when the component is a name.
	Group []Point
	// Dynamic is set when a script argument (ScriptArg) or, in the source view, a
	// MacroCall, CondExpr or Verbatim stands for the component.
	Dynamic Expr
}

// A BadPoint stands for tokens of a probe-point list that make no probe point.
type BadPoint struct{ span }

// ---- Statements ----

// A Block is a braced list of statements.
//
//	block = "{" { stmt } "}" ;
type Block struct {
	span
	Stmts []Stmt
	// Closed is false when the closing brace is missing; Last is then the last
	// token that belongs to the block.
	Closed bool
}

// An IfStmt is
//
//	if = "if" "(" expr ")" stmt [ "else" stmt ] ;
type IfStmt struct {
	span
	Cond    Expr
	Then    Stmt
	Else    Stmt // nil if none
	ElseTok int  // token of "else", 0 if none
}

// A WhileStmt is
//
//	while = "while" "(" expr ")" stmt ;
type WhileStmt struct {
	span
	Cond Expr
	Body Stmt
}

// A ForStmt is
//
//	for = "for" "(" [expr] ";" [expr] ";" [expr] ")" stmt ;
type ForStmt struct {
	span
	Init, Cond, Post Expr // nil when left out
	Body             Stmt
}

// A SortDir is the direction of a foreach loop.
type SortDir int8

// Directions.
const (
	Unsorted   SortDir = 0
	Ascending  SortDir = 1
	Descending SortDir = -1
)

// Values of ForeachStmt.SortBy that are no key's index.
const (
	SortNone  = -2 // unsorted
	SortValue = -1 // by the element's value (or by Agg of it)
)

// A ForeachStmt walks an array or a histogram.
//
//	foreach = "foreach" "(" [ IDENT [sort] "=" ] keys "in" indexable [ "[" slot { "," slot } "]" ]
//	          [ "@" agg ] [sort] [ "limit" expr ] ")" stmt ;
//	keys    = IDENT [sort] | "[" IDENT [sort] { "," IDENT [sort] } "]" ;
//	slot    = "*" | expr ;  sort = "+" | "-" ;
//	agg     = "count" | "sum" | "min" | "max" | "avg" | "variance" ;
type ForeachStmt struct {
	span
	Value     *Ident   // variable that gets the value, nil if none
	Keys      []*Ident // variables that get the keys
	Bracketed bool     // keys were written in brackets
	Array     Expr     // Ident or HistOp
	Slice     []Expr   // nil when there is no slice; entries may be *Star
	Agg       StatKind // aggregate that the value sorts by; NoStat if not given
	Sort      SortDir
	SortBy    int  // index in Keys, SortValue or SortNone
	Limit     Expr // nil if none
	Body      Stmt
}

// A ReturnStmt is
//
//	return = "return" [expr] ;
type ReturnStmt struct {
	span
	X Expr // nil for a bare return
}

// A DeleteStmt is
//
//	delete = "delete" expr ;
type DeleteStmt struct {
	span
	X Expr // Ident (whole array or scalar) or Index; others are refused by elaboration
}

// A BreakStmt is "break".
type BreakStmt struct{ span }

// A ContinueStmt is "continue".
type ContinueStmt struct{ span }

// A NextStmt is "next": end the handler, or fall to the function's next overload.
type NextStmt struct{ span }

// A TryStmt is
//
//	try = "try" block "catch" [ "(" IDENT ")" ] block ;
type TryStmt struct {
	span
	Body    *Block
	Var     *Ident // receives the error text, nil if none
	Handler *Block // nil when it is missing (a diagnostic tells)
}

// An ExprStmt is an expression evaluated for its effect.
//
//	exprstmt = expr [";"] ;
type ExprStmt struct {
	span
	X Expr
}

// A NullStmt is a lone ";".
type NullStmt struct{ span }

// A BadStmt stands for skipped tokens. A diagnostic of the file covers it.
type BadStmt struct{ span }

// ---- Expressions ----

// A NumberLit is an integer.
//
//	number = NUMBER ;  (* "-" NUMBER where only a literal may stand *)
type NumberLit struct {
	span
	Value int64
}

// A StringLit is one string or several adjacent ones.
//
//	string = STRING { STRING } ;
type StringLit struct {
	span
	// Raw is the text between the quotes as SystemTap passes it on to C: escapes that
	// C knows are kept, the backslash of others is dropped, pieces are joined.
	Raw string
	// Value is the string's bytes, escapes resolved.
	Value string
}

// An Ident names a variable.
type Ident struct {
	span
	Name string
}

// A PrettyKind is the pretty-print suffix of a target variable.
type PrettyKind uint8

// Pretty-print suffixes.
const (
	NoPretty   PrettyKind = iota
	Pretty                // "$": one level of members
	PrettyDeep            // "$$": nested members
)

// An Accessor is one step into a structure or array.
//
//	accessor = "->" (IDENT|KEYWORD) | "[" expr "]" ;
type Accessor struct {
	span
	Member string // "" for an index
	Index  Expr   // nil for a member
}

// Access is the path behind a target variable, @cast, @var or value.
//
//	access = { accessor } ["$" | "$$"] ;
type Access struct {
	Path   []*Accessor
	Pretty PrettyKind
}

// A TargetVar is a variable of the probed program.
//
//	target = "$" name access ;
type TargetVar struct {
	span
	Name string // with the "$", without a pretty-print suffix: "$x", "$$vars"
	Access
}

// An Autocast reads through a value whose C type elaboration knows.
//
//	autocast = expr access ;
type Autocast struct {
	span
	X Expr
	Access
}

// An AddrOf is the address of a target variable or member.
//
//	addrof = "&" ( target | cast | var | autocast | "(" expr ")" ) ;
type AddrOf struct {
	span
	X Expr // TargetVar, AtOp (cast, var), Autocast, or what stood in parentheses
}

// A Unary is
//
//	unary = ("+" | "-" | "!" | "~") expr ;
type Unary struct {
	span
	Op Kind // Add, Sub, Not, Tilde
	X  Expr
}

// An IncDec is
//
//	incdec = ("++" | "--") expr | expr ("++" | "--") ;
type IncDec struct {
	span
	Op     Kind // Inc or Dec
	Prefix bool
	X      Expr
}

// A Binary is an arithmetic, bitwise, shift, comparison or concatenation operation.
//
//	binary = expr op expr ;
//	op     = "+" "-" "*" "/" "%" "&" "|" "^" "<<" ">>" ">>>" "." "<" ">" "<=" ">=" "==" "!=" ;
type Binary struct {
	span
	Op    Kind
	OpTok int
	X, Y  Expr
}

// A Logical is
//
//	logical = expr ("&&" | "||") expr ;
type Logical struct {
	span
	Op    Kind // AndAnd or OrOr
	OpTok int
	X, Y  Expr
}

// A Ternary is
//
//	ternary = expr "?" expr ":" expr ;
type Ternary struct {
	span
	OpTok            int // "?"
	Cond, Then, Else Expr
}

// An AssignExpr is
//
//	assign = expr assignop expr ;
//	assignop = "=" "+=" "-=" "*=" "/=" "%=" "<<=" ">>=" "&=" "^=" "|=" ".=" "<<<" ;
type AssignExpr struct {
	span
	Op    Kind
	OpTok int
	L, R  Expr
}

// An ArrayIn tests membership.
//
//	in = ( expr | "[" slot { "," slot } "]" ) "in" indexable ;
type ArrayIn struct {
	span
	OpTok     int // "in"
	Bracketed bool
	Keys      []Expr // entries may be *Star
	Array     Expr   // Ident or HistOp
}

// An Index is an array element, a slice (with "*" keys) or a histogram bucket.
//
//	index = indexable "[" slot { "," slot } "]" ;
//	indexable = IDENT | histop ;
type Index struct {
	span
	X    Expr // Ident or HistOp; MacroCall in the source view
	Keys []Expr
}

// A Star is the "*" in a slice.
type Star struct{ span }

// A Call calls a function.
//
//	call = IDENT "(" [ expr { "," expr } ] ")" ;
//
// Where script arguments are nodes (see ScriptArg), one may stand for the name, which
// is then "$1" or the like.
type Call struct {
	span
	Name *Ident
	Args []Expr
}

// A PrintExpr is one of the print family.
//
//	print = ("print" | "sprint" | "println" | "sprintln") "(" [ expr { "," expr } ] ")"
//	      | ("print" | "sprint" | "println" | "sprintln") "(" histop ")"
//	      | ("printd" | "sprintd" | "printdln" | "sprintdln") "(" string { "," expr } ")"
//	      | ("printf" | "sprintf") "(" string { "," expr } ")"
//	      | "print_char" "(" expr ")" ;
type PrintExpr struct {
	span
	Name string // as written: "printf", "sprintln" …
	// String: the text is the value (sprint family). Newline: "ln". Char: print_char.
	String, Newline, Char bool
	// Function tells what the name means; zero for print_char.
	Function format.Function
	// FormatLit is the format of printf and sprintf, nil otherwise. In the source view a
	// format or delimiter that is no plain literal is the first of Args instead.
	FormatLit *StringLit
	// Format is FormatLit parsed.
	Format format.Format
	// Delim is the first argument of the printd family, nil otherwise.
	Delim *StringLit
	// Hist is the histogram operand, nil if there is none; Args is then empty.
	Hist *HistOp
	Args []Expr // without format and delimiter
}

// A StatKind is an aggregate function.
type StatKind uint8

// Aggregate functions.
const (
	NoStat StatKind = iota
	StatCount
	StatSum
	StatMin
	StatMax
	StatAvg
	StatVariance
)

// String is the name with "@": "@count".
func (k StatKind) String() string {
	switch k {
	case StatCount:
		return "@count"
	case StatSum:
		return "@sum"
	case StatMin:
		return "@min"
	case StatMax:
		return "@max"
	case StatAvg:
		return "@avg"
	case StatVariance:
		return "@variance"
	}
	return ""
}

// A StatOp extracts a number from an aggregate.
//
//	stat = "@" agg "(" expr ")" | "@variance" "(" expr [ "," NUMBER ] ")" ;
type StatOp struct {
	span
	Op StatKind
	X  Expr
	// Shift is the bit shift of @variance (0 … 62), ShiftLit its literal or nil.
	Shift    int64
	ShiftLit Expr
}

// A HistOp is a histogram of an aggregate. It may stand only in print, foreach,
// "in" and before an index.
//
//	hist = "@hist_log" "(" expr ")"
//	     | "@hist_linear" "(" expr "," number "," number "," number ")" ;
type HistOp struct {
	span
	Linear bool
	X      Expr
	// Low, High and Step are the parameters of @hist_linear; Params their literals.
	Low, High, Step int64
	Params          []Expr
}

// An AtKind is an operator that is written as an @word.
type AtKind uint8

// The @ operators.
const (
	NoAt         AtKind = iota
	AtCast              // @cast(expr, "type" [, "module"]) access
	AtVar               // @var("name[@file]" [, "module"]) access
	AtDefined           // @defined(expr)
	AtEntry             // @entry(expr)
	AtPerf              // @perf("name")
	AtConst             // @const("C text")
	AtEnum              // @enum("NAME")
	AtEnumName          // @enumname(expr [, "type" [, "module"]])
	AtProbeWrite        // @probewrite(ident)
	AtKregister         // @kregister(dwarf number)
	AtUregister         // @uregister(dwarf number)
	AtKderef            // @kderef(size, address)
	AtUderef            // @uderef(size, address)
)

// An AtOp is an application of an @ operator.
//
//	atop = ATWORD "(" expr { "," expr } ")" access ;
type AtOp struct {
	span
	Op   AtKind
	Args []Expr
	Access
}

// A RegexMatch is
//
//	regex = expr ("=~" | "!~") string ;
type RegexMatch struct {
	span
	OpTok   int
	Negated bool
	X       Expr
	Pattern *StringLit
	// PatternExpr is set instead of Pattern in the source view when the pattern is a
	// MacroCall, ScriptArg or CondExpr, and in the expanded view for a ScriptArg.
	PatternExpr Expr
}

// An EmbeddedExpr is embedded C used as an expression.
type EmbeddedExpr struct {
	span
	Code *EmbeddedCode
}

// A ScriptArg is a script argument: always in the source view, in the expanded view
// only under Options.ArgsUnknown, where it has an unknown value.
//
//	arg = "$" DIGITS | "@" DIGITS | "$#" | "@#" ;
type ScriptArg struct {
	span
	Num    int  // 1 …; 0 for the count
	Quoted bool // "@": a string literal
}

// A BadExpr stands where an expression was expected; it may be empty (Last < First).
type BadExpr struct {
	span
	// Parts are the expressions found among the tokens.
	Parts []Expr
}

// ---- Source view only ----

// A Paren keeps parentheses of the source view.
//
//	paren = "(" expr ")" | "[" expr "]" ;
type Paren struct {
	span
	Bracketed bool // "[x]" without "in", which SystemTap takes as parentheses
	X         Expr
}

// A StringSeq is a run of adjacent strings of which some are macro calls or script
// arguments; the expanded view joins them to one StringLit.
//
//	strings = ( STRING | macrocall | arg ) { STRING | macrocall | arg } ;
type StringSeq struct {
	span
	Parts []Expr // StringLit, MacroCall, ScriptArg
}

// A CondTerm is one comparison of a preprocessor condition.
//
//	term = operand op operand ;
//
// A macro may stand for the whole comparison: R is then nil and Op is EOF.
type CondTerm struct {
	span
	L, R Expr // Ident (kernel_v, CONFIG_X …), NumberLit, StringLit, ScriptArg, MacroCall
	Op   Kind
}

// A Condition is the condition of a preprocessor conditional; "&&" binds tighter
// than "||" and there are no parentheses.
//
//	cond = term { ("&&" | "||") term } ;
type Condition struct {
	span
	Terms []*CondTerm
	Ops   []Kind    // between the terms
	Raw   *Verbatim // set instead of Terms when the tokens make no condition
}

// Directive holds the tokens that all conditionals share. Indices are those of the
// tokens "%(", "%?", "%:" and "%)"; ElseTok is 0 when there is no "%:".
type Directive struct {
	Cond                                *Condition
	OpenTok, ThenTok, ElseTok, CloseTok int
}

// A CondDecl is a conditional around declarations.
//
//	conddecl = "%(" cond "%?" { decl } [ "%:" { decl } ] "%)" ;
type CondDecl struct {
	span
	Directive
	Then, Else []Decl
}

// A CondStmt is a conditional around statements.
//
//	condstmt = "%(" cond "%?" { stmt } [ "%:" { stmt } ] "%)" ;
type CondStmt struct {
	span
	Directive
	Then, Else []Stmt
}

// A CondExpr is a conditional that stands for one expression in each branch.
//
//	condexpr = "%(" cond "%?" [expr] [ "%:" [expr] ] "%)" ;
type CondExpr struct {
	span
	Directive
	Then, Else Expr // nil for an empty branch
}

// A CondList is a conditional inside a comma-separated list of arguments, keys or
// probe points. Commas at the ends of a branch belong to it.
//
//	condlist = "%(" cond "%?" items [ "%:" items ] "%)" ;
//	items    = [","] [ item { "," item } ] [","] ;
type CondList struct {
	span
	Directive
	Then, Else ListBranch
}

// A ListBranch is one branch of a CondList. Either Exprs or Points is used.
type ListBranch struct {
	LeadComma, TrailComma bool
	Exprs                 []Expr
	Points                []Point
}

// A MacroDef defines a macro.
//
//	define = "@define" NAME [ "(" IDENT { "," IDENT } ")" ] "%(" body "%)" ;
type MacroDef struct {
	span
	Name              string
	NameTok           int
	Params            []string
	ParamToks         []int
	HasParens         bool // "(" was written, even when Params is empty
	OpenTok, CloseTok int  // "%(" and "%)"
	Body              Fragment
}

// A Fragment is a macro body or an argument of a macro call, read as the first of
// these that fits: an expression, a probe-point list, statements, declarations,
// verbatim. At most one field is set; all are nil for an empty fragment.
type Fragment struct {
	Expr     Expr
	Points   []Point
	Stmts    []Stmt
	Decls    []Decl
	Verbatim *Verbatim
}

// A MacroCall invokes a macro, or names a parameter inside a macro body. It can
// stand for an expression, a declaration or a component.
//
//	macrocall = "@" NAME [ "(" [ fragment { "," fragment } ] ")" ] access ;
type MacroCall struct {
	span
	Name      string // without "@"
	HasParens bool
	Args      []Fragment
	Access
}

// A Verbatim is a run of tokens that fits no tree. It is kept as it is.
type Verbatim struct{ span }

// Anchors: the token that diagnostics point at, where it is not the first.

// Anchor is the operator.
func (n *Binary) Anchor() int { return n.OpTok }

// Anchor is the operator.
func (n *Logical) Anchor() int { return n.OpTok }

// Anchor is the "?".
func (n *Ternary) Anchor() int { return n.OpTok }

// Anchor is the operator.
func (n *AssignExpr) Anchor() int { return n.OpTok }

// Anchor is the operator.
func (n *RegexMatch) Anchor() int { return n.OpTok }

// Anchor is the "in".
func (n *ArrayIn) Anchor() int { return n.OpTok }

// Anchor is the operator.
func (n *IncDec) Anchor() int {
	if n.Prefix {
		return int(n.first)
	}
	return int(n.last)
}

// Anchor is the name.
func (n *FuncDecl) Anchor() int {
	if n.Name != nil {
		return n.Name.First()
	}
	return int(n.first)
}

func (*GlobalDecl) declNode()   {}
func (*FuncDecl) declNode()     {}
func (*ProbeDecl) declNode()    {}
func (*AliasDecl) declNode()    {}
func (*EmbeddedDecl) declNode() {}
func (*BadDecl) declNode()      {}
func (*CondDecl) declNode()     {}
func (*MacroDef) declNode()     {}
func (*MacroCall) declNode()    {}
func (*Verbatim) declNode()     {}

func (*ProbePoint) pointNode() {}
func (*BadPoint) pointNode()   {}
func (*CondList) pointNode()   {}
func (*Verbatim) pointNode()   {}

func (*Block) stmtNode()        {}
func (*IfStmt) stmtNode()       {}
func (*WhileStmt) stmtNode()    {}
func (*ForStmt) stmtNode()      {}
func (*ForeachStmt) stmtNode()  {}
func (*ReturnStmt) stmtNode()   {}
func (*DeleteStmt) stmtNode()   {}
func (*BreakStmt) stmtNode()    {}
func (*ContinueStmt) stmtNode() {}
func (*NextStmt) stmtNode()     {}
func (*TryStmt) stmtNode()      {}
func (*ExprStmt) stmtNode()     {}
func (*NullStmt) stmtNode()     {}
func (*BadStmt) stmtNode()      {}
func (*CondStmt) stmtNode()     {}
func (*MacroDef) stmtNode()     {}
func (*Verbatim) stmtNode()     {}

func (*NumberLit) exprNode()    {}
func (*StringLit) exprNode()    {}
func (*Ident) exprNode()        {}
func (*TargetVar) exprNode()    {}
func (*Autocast) exprNode()     {}
func (*AddrOf) exprNode()       {}
func (*Unary) exprNode()        {}
func (*IncDec) exprNode()       {}
func (*Binary) exprNode()       {}
func (*Logical) exprNode()      {}
func (*Ternary) exprNode()      {}
func (*AssignExpr) exprNode()   {}
func (*ArrayIn) exprNode()      {}
func (*Index) exprNode()        {}
func (*Star) exprNode()         {}
func (*Call) exprNode()         {}
func (*PrintExpr) exprNode()    {}
func (*StatOp) exprNode()       {}
func (*HistOp) exprNode()       {}
func (*AtOp) exprNode()         {}
func (*RegexMatch) exprNode()   {}
func (*EmbeddedExpr) exprNode() {}
func (*ScriptArg) exprNode()    {}
func (*BadExpr) exprNode()      {}
func (*Paren) exprNode()        {}
func (*StringSeq) exprNode()    {}
func (*CondExpr) exprNode()     {}
func (*CondList) exprNode()     {}
func (*MacroCall) exprNode()    {}
func (*Verbatim) exprNode()     {}
