package syntax

// A Kind tells what a token is: a class of words (identifier, number, string …) or
// one particular keyword or operator.
type Kind uint8

// Token kinds. Operators are listed longest first in the lexer, not here.
const (
	EOF         Kind = iota // end of the token slice; zero width
	Junk                    // bytes that form no token: NUL, stray high bytes, an unterminated string
	Comment                 // #…, //… or /*…*/
	Name                    // identifier, including $var, $$vars, $foo$ and foo$bar
	AtWord                  // word that starts with '@': operator, macro name or unknown
	Number                  // [0-9][0-9A-Za-z]*, validated by the parser
	String                  // "…" with the quotes
	Embedded                // %{ … %}
	Arg                     // $1 … script argument, pasted raw
	ArgStr                  // @1 … script argument, pasted as a string literal
	ArgCount                // $#
	ArgCountStr             // @#

	keywordStart
	KwProbe
	KwGlobal
	KwPrivate
	KwFunction
	KwIf
	KwElse
	KwFor
	KwForeach
	KwIn
	KwLimit
	KwReturn
	KwDelete
	KwWhile
	KwBreak
	KwContinue
	KwNext
	KwString
	KwLong
	KwTry
	KwCatch
	keywordEnd

	opStart
	LParen     // (
	RParen     // )
	LBrace     // {
	RBrace     // }
	LBrack     // [
	RBrack     // ]
	Comma      // ,
	Semi       // ;
	Colon      // :
	Dot        // .
	Question   // ?
	Assign     // =
	AddAssign  // +=
	SubAssign  // -=
	MulAssign  // *=
	DivAssign  // /=
	ModAssign  // %=
	ShlAssign  // <<=
	ShrAssign  // >>=
	AndAssign  // &=
	XorAssign  // ^=
	OrAssign   // |=
	CatAssign  // .=
	StatAssign // <<<
	OrOr       // ||
	AndAnd     // &&
	Or         // |
	Xor        // ^
	And        // &
	Eq         // ==
	Ne         // !=
	Lt         // <
	Gt         // >
	Le         // <=
	Ge         // >=
	Match      // =~
	NotMatch   // !~
	Shl        // <<
	Shr        // >>
	UShr       // >>>, parses but is refused later
	Add        // +
	Sub        // -
	Mul        // *
	Div        // /
	Mod        // %
	Not        // !
	Tilde      // ~
	Inc        // ++
	Dec        // --
	Arrow      // ->
	PPOpen     // %(
	PPThen     // %?
	PPElse     // %:
	PPClose    // %)
	OtherPunct // any other single punctuation byte: \ ` ' …
	opEnd
)

// IsKeyword reports whether k is one of the language's 20 keywords.
func (k Kind) IsKeyword() bool { return k > keywordStart && k < keywordEnd }

// IsOperator reports whether k is an operator or punctuation.
func (k Kind) IsOperator() bool { return k > opStart && k < opEnd }

// IsAssign reports whether k is an assignment operator; "<<<" is one.
func (k Kind) IsAssign() bool { return k >= Assign && k <= StatAssign }

// IsWord reports whether k can be one piece of a probe-point component's name.
func (k Kind) IsWord() bool { return k == Name || k.IsKeyword() }

// String gives the operator or keyword itself, or the name of the class.
func (k Kind) String() string {
	if int(k) < len(kindText) && kindText[k] != "" {
		return kindText[k]
	}
	return "token"
}

var kindText = [...]string{
	EOF: "end of file", Junk: "junk", Comment: "comment", Name: "identifier", AtWord: "@word",
	Number: "number", String: "string", Embedded: "embedded code",
	Arg: "script argument", ArgStr: "string script argument", ArgCount: "$#", ArgCountStr: "@#",
	KwProbe: "probe", KwGlobal: "global", KwPrivate: "private", KwFunction: "function",
	KwIf: "if", KwElse: "else", KwFor: "for", KwForeach: "foreach", KwIn: "in", KwLimit: "limit",
	KwReturn: "return", KwDelete: "delete", KwWhile: "while", KwBreak: "break",
	KwContinue: "continue", KwNext: "next", KwString: "string", KwLong: "long", KwTry: "try", KwCatch: "catch",
	LParen: "(", RParen: ")", LBrace: "{", RBrace: "}", LBrack: "[", RBrack: "]", Comma: ",", Semi: ";",
	Colon: ":", Dot: ".", Question: "?", Assign: "=", AddAssign: "+=", SubAssign: "-=", MulAssign: "*=",
	DivAssign: "/=", ModAssign: "%=", ShlAssign: "<<=", ShrAssign: ">>=", AndAssign: "&=", XorAssign: "^=",
	OrAssign: "|=", CatAssign: ".=", StatAssign: "<<<", OrOr: "||", AndAnd: "&&", Or: "|", Xor: "^", And: "&",
	Eq: "==", Ne: "!=", Lt: "<", Gt: ">", Le: "<=", Ge: ">=", Match: "=~", NotMatch: "!~", Shl: "<<",
	Shr: ">>", UShr: ">>>", Add: "+", Sub: "-", Mul: "*", Div: "/", Mod: "%", Not: "!", Tilde: "~",
	Inc: "++", Dec: "--", Arrow: "->", PPOpen: "%(", PPThen: "%?", PPElse: "%:", PPClose: "%)",
	OtherPunct: "punctuation",
}

// A Token is one word of the language or one comment. White space is not stored: it
// is the gap between the End of one token and the Off of the next, so the tokens
// and gaps of a file concatenate to the file.
type Token struct {
	Kind Kind
	// Flags hold Broken and Glue.
	Flags TokenFlags
	// Src is the index in File.Sources of the text that Off and End count in:
	// 0 is the file itself, others are library macro files and script arguments.
	Src uint16
	// Off and End delimit the token's bytes, End exclusive.
	Off, End int32
	// Exp is the index in File.Expansions of the innermost macro or argument
	// expansion that produced the token; 0 when the person wrote it in place.
	Exp int32
}

// TokenFlags tell more about a token.
type TokenFlags uint8

// Token flags.
const (
	// Broken marks a malformed token that keeps its kind, such as a string without its
	// closing quote; a diagnostic tells what is wrong.
	Broken TokenFlags = 1 << iota
	// OpensLine marks the first token of a line.
	OpensLine
)
