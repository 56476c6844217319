package ir

import "fmt"

// Kind is the kind of a value.
type Kind uint8

// The kinds.
const (
	Void     Kind = iota
	Int           // 64-bit signed
	Str           // NUL-terminated byte string of bounded width
	Deferred      // text that the loader makes, see Text
	Stat          // aggregate; only as the type of a global or its elements
)

// String returns "void", "int", "str", "text" or "stat".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind%d", uint8(k))
}

var kindNames = [...]string{"void", "int", "str", "text", "stat"}

// Text tells what kind of text a Deferred value stands for.
type Text uint8

// The kinds of deferred text. The words in brackets are the payload, each 8
// bytes, little-endian, in the order given.
const (
	TextNone         Text = iota
	TextKSym              // kernel symbol name of [addr]
	TextKSymData          // kernel symbol+offset/size of [addr]
	TextKMod              // kernel module of [addr]
	TextKStack            // kernel stack, [n, n × addr]; one "addr" hex per frame, space-separated (backtrace)
	TextKStackSym         // the same, one line per frame with symbols (sprint_backtrace)
	TextUSym              // user symbol of [tgid, addr]
	TextUSymData          // user symbol+offset of [tgid, addr]
	TextUMod              // user object of [tgid, addr]
	TextUStack            // user stack [tgid, n, n × addr]; hex addresses (ubacktrace)
	TextUStackSym         // the same with symbols (sprint_ubacktrace)
	TextType              // pretty-printed C value: [layout | flags<<32, addr, captured bytes…]
	TextFormat            // text that was left to the loader: [index | Lazy tag<<32, args as in an item…]
	TextParms             // the $$vars family: a list of "name=value": [layout, words…]
	TextKSymFile          // source file of the kernel address [addr], when known
	TextUSymFile          // source file of [tgid, addr], when known
	TextKStackFull        // kernel stack as print_backtrace shows it: address, symbol, offset, size, module
	TextUStackFull        // user stack as print_ubacktrace shows it
	TextUStackBrief       // user stack as print_ubacktrace_brief shows it: symbol and offset
	TextKSymLine          // line of the source of the kernel address [addr], when known
	TextUSymLine          // line of the source of [tgid, addr], when known
	TextUBuildID          // build-id in hex of the user object of [tgid, addr]
	TextTaskStack         // kernel stack of the thread [tid] as it is when the text is made; hex addresses
	TextKSymAddr          // kernel symbol name of [addr], and the address in hex
	TextUSymFileLine      // source file and line, as file:line, of [tgid, addr], when known
	TextUStackLine        // user stack as print_ubacktrace_fileline shows it: with source lines
	TextKSymFileLine      // source file and line, as file:line, of the kernel address [addr], when known
	TextKStackLine        // kernel stack as print_backtrace_fileline shows it: with source lines
	numTexts
)

// Type is the type of an expression, local, key or element.
type Type struct {
	Kind Kind
	// Width is, for Str, the size of its storage in bytes: the longest value
	// is Width-1 bytes. It is a multiple of 8 between 8 and MaxStrWidth. For
	// Deferred it is the payload's size in bytes, a multiple of 8.
	Width int
	// Text is the kind of a Deferred.
	Text Text
}

// String returns the kind, with the width of a string ("str16") or the kind of
// text and its payload ("text:ksym/8").
func (t Type) String() string {
	switch t.Kind {
	case Str:
		return fmt.Sprintf("str%d", t.Width)
	case Deferred:
		return fmt.Sprintf("text:%s/%d", t.Text, t.Width)
	}
	return t.Kind.String()
}

// String returns the kind's name as its constant has it, in lower case.
func (t Text) String() string {
	if t < numTexts {
		return textNames[t]
	}
	return fmt.Sprintf("text%d", uint8(t))
}

var textNames = [numTexts]string{
	"none", "ksym", "ksymdata", "kmod", "kstack", "kstacksym", "usym", "usymdata", "umod", "ustack", "ustacksym",
	"type", "format", "parms", "ksymfile", "usymfile", "kstackfull", "ustackfull", "ustackbrief",
	"ksymline", "usymline", "ubuildid", "taskframes", "ksymaddr", "usymfileline", "ustackline",
	"ksymfileline", "kstackline",
}

// IsStack reports whether t is a stack, captured where it is made and not given
// as arguments; user tells whether a user stack, whose payload has the tgid first.
func (t Text) IsStack() (user, ok bool) {
	switch t {
	case TextKStack, TextKStackSym, TextKStackFull, TextKStackLine:
		return false, true
	case TextUStack, TextUStackSym, TextUStackFull, TextUStackBrief, TextUStackLine:
		return true, true
	}
	return false, false
}

// Source is what the loader looks into to make text.
type Source uint8

// The sources, which can be combined.
const (
	FromKernel  Source = 1 << iota // the kernel's symbols
	FromUser                       // processes' memory maps, and the symbols of what is mapped
	FromThreads                    // kernel stacks of threads, as they are when the text is made
	FromLines                      // source lines, as debug information has them
)

var textSources = [numTexts]Source{
	TextNone: 0, TextType: 0, TextParms: 0,
	TextFormat: FromKernel | FromUser, // whatever it is made of
	TextKSym:   FromKernel, TextKSymData: FromKernel, TextKMod: FromKernel, TextKSymAddr: FromKernel,
	TextKStack: FromKernel, TextKStackSym: FromKernel, TextKStackFull: FromKernel, TextKStackLine: FromKernel | FromLines,
	TextKSymFile: FromKernel | FromLines, TextKSymLine: FromKernel | FromLines, TextKSymFileLine: FromKernel | FromLines,
	TextTaskStack: FromKernel | FromThreads,
	TextUSym:      FromUser, TextUSymData: FromUser, TextUMod: FromUser, TextUBuildID: FromUser,
	TextUStack: FromUser, TextUStackSym: FromUser, TextUStackFull: FromUser, TextUStackBrief: FromUser, TextUStackLine: FromUser | FromLines,
	TextUSymFile: FromUser | FromLines, TextUSymLine: FromUser | FromLines, TextUSymFileLine: FromUser | FromLines,
}

// Sources is what text of this kind is made from.
func (t Text) Sources() Source {
	if t < numTexts {
		return textSources[t]
	}
	return 0
}

// TextSources is what all texts of a program are made from.
func (p *Program) TextSources() (from Source) {
	p.EachType(func(t Type) {
		if t.Kind == Deferred {
			from |= t.Text.Sources()
		}
	})
	return from
}

// MaxStrWidth is the largest storage of a string: MAXSTRINGLEN's limit.
const MaxStrWidth = 4096

// Convenient types.
var (
	TVoid = Type{Kind: Void}
	TInt  = Type{Kind: Int}
	TStat = Type{Kind: Stat}
)

// TStr returns the string type that holds n bytes and the final NUL.
func TStr(n int) Type { return Type{Kind: Str, Width: StrWidth(n)} }

// StrWidth returns the storage size for strings of up to n bytes: n+1 rounded up to 8.
func StrWidth(n int) int {
	w := (n + 1 + 7) &^ 7
	return min(max(w, 8), MaxStrWidth)
}

// Flags of a TextType.
const (
	TypeDeep   = 1 << 0 // $$: nested members too
	TypeString = 1 << 1 // the bytes are a string
	TypeUnread = 1 << 2 // the string could not be read: its address is shown
	TypeFault  = 1 << 3 // what leads there or the object could not be read: "ERROR" is shown

	// From typeWordsAt on: how many words of the object were captured, if what pointers
	// to text in it point at was, too; from typeTextAt on: in how many words each.
	typeWordsAt, typeTextAt = 8, 20
)

// MaxPointedText is the widest text, in bytes, that is captured with an object that points at it.
const MaxPointedText = 512

// PointedTextFlags are the flags of a TextType whose payload goes on, behind that many words
// of the object, with texts: the address of each, 0 if it could not be read, and the
// width words of its bytes.
func PointedTextFlags(words, width int) uint32 {
	return uint32(words)<<typeWordsAt | uint32(width)<<typeTextAt
}

// PointedTexts is the other direction.
func PointedTexts(flags uint32) (words, width int) {
	return int(flags >> typeWordsAt & (1<<(typeTextAt-typeWordsAt) - 1)), int(flags >> typeTextAt)
}

// MaxImmediate is the most words of an object that is no memory.
const MaxImmediate = 64

// Lazy tells what a TextFormat value is made of.
type Lazy uint8

// The ways to make the text.
const (
	LazyNone   Lazy = iota // "": the value of a variable never set
	LazyFormat             // sprintf of Formats[index]
	LazyPlain              // the one argument, a string
	LazyCall               // the result of Funcs[index], which is pure
	LazyTable              // the name of the one argument in Tables[index]
)

// LazyWidth is the size of a TextFormat payload with arguments of these types:
// an index word, and for each argument what an item has for it.
func LazyWidth(args []Expr) int {
	n := 8
	for _, a := range args {
		switch t := a.Type(); t.Kind {
		case Str:
			n += 8 + t.Width
		case Deferred:
			n += 8 + t.Width
		default:
			n += 8
		}
	}
	return n
}
