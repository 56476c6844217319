package ir

import "fmt"

// Expr is an expression: one of the pointer types in this file.
type Expr interface {
	// Type is the type of the value, Void where there is none.
	Type() Type
}

// Op is a unary or binary operator.
type Op uint8

// The operators. Set only occurs in Update.
const (
	OpSet Op = iota
	OpAdd
	OpSub
	OpMul
	OpDiv
	OpMod
	OpAnd
	OpOr
	OpXor
	OpShl
	OpShr
	OpConcat // Str
	OpEq     // Int, Str, Deferred
	OpNe
	OpLt // Int (signed), Str
	OpLe
	OpGt
	OpGe
	OpNeg    // unary
	OpNot    // unary, logical
	OpBitNot // unary
)

// String returns the operator as a script writes it, "neg" for unary minus.
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return fmt.Sprintf("op%d", uint8(o))
}

var opNames = [...]string{
	"=", "+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", ".", "==", "!=", "<", "<=", ">", ">=", "neg", "!", "~",
}

// IntConst is a number.
type IntConst struct{ V int64 }

// StrConst is a literal string; its width is the literal's.
type StrConst struct{ S string }

// Local reads local variable ID of the current frame.
type Local struct {
	ID int
	T  Type
}

// GlobalGet reads a scalar global of kind Int, Str or Deferred.
type GlobalGet struct {
	G int // index into Program.Globals
	T Type
}

// IndexGet reads an element of an array.
type IndexGet struct {
	G    int
	Keys []Expr
	T    Type
}

// IndexIn is 1 if the array has an element with the keys; a nil key matches any.
type IndexIn struct {
	G    int
	Keys []Expr
}

// LValue names what Update, StatAdd, StatGet, HistGet and Delete work on: a
// local (Global false), a scalar global (no Keys) or an array element.
type LValue struct {
	Global bool
	ID     int // local or global
	Keys   []Expr
	T      Type
}

// Update is every assignment: it applies Op to the old value and R, stores the
// result and yields it, or the old value if Old is set (post-increment). With
// OpSet the old value is not read. Evaluation order: keys, R, read, store. The
// yielded value is the stored, possibly truncated one.
type Update struct {
	L    LValue
	Op   Op
	R    Expr
	Old  bool
	Site int
}

// StatAdd is s <<< v.
type StatAdd struct {
	L    LValue
	V    Expr
	Site int
}

// StatFn extracts one number from an aggregate.
type StatFn uint8

// The extractors.
const (
	StatCount StatFn = iota
	StatSum
	StatMin
	StatMax
	StatAvg
	StatVariance
)

// StatGet is @count(L) and its like.
type StatGet struct {
	L    LValue
	Fn   StatFn
	Site int
}

// HistGet is @hist_*(L)[Bucket]: the count in one bucket, numbered from 0 as
// format numbers them. An empty aggregate raises ErrEmptyStat, else a bucket out
// of range ErrBucket.
type HistGet struct {
	L      LValue
	Bucket Expr
	Site   int
}

// Unary is OpNeg, OpNot or OpBitNot.
type Unary struct {
	Op Op
	X  Expr
}

// Binary is arithmetic, comparison or concatenation. T is Int, or for OpConcat
// the Str that holds the result.
type Binary struct {
	Op   Op
	X, Y Expr
	T    Type
	Site int
}

// Logical is && (And set) or ||.
type Logical struct {
	And  bool
	X, Y Expr
}

// Cond is C ? X : Y.
type Cond struct {
	C, X, Y Expr
	T       Type
}

// Call calls the script function Funcs[Chain[0]]; a Next statement in it goes
// on with Chain[1], and so on; past the last, ErrExhausted is raised at Site.
type Call struct {
	Chain []int
	Args  []Expr
	T     Type
	Site  int
}

// Intrinsic calls an entry of the intrinsics table. T is the result, for Str
// with the width that the planner chose.
type Intrinsic struct {
	ID   IntrinsicID
	Args []Expr
	T    Type
	Site int
}

// Sprintf formats its arguments: Format indexes Program.Formats.
type Sprintf struct {
	Format int
	Args   []Expr
	T      Type
	Site   int
}

// Match is X =~ regular expression number Re (!~ if Negate). A successful match
// of any sign sets the invocation's sub-expressions for matched().
type Match struct {
	X      Expr
	Re     int
	Negate bool
	Site   int
}

// CtxArg is a word of the probe's context: argument N of a raw or BTF
// tracepoint or of a traced function (fentry), or, in a region program, word N
// of its parameters.
type CtxArg struct {
	N int
	// Size is 1, 2, 4 or 8 and Signed tells how the argument's C type widens:
	// the register's upper bits are not defined by the ABI.
	Size   int
	Signed bool
	// Pointer: it is, or may be, a pointer to something whose type the kernel knows.
	Pointer bool
}

// CtxField is a load from the context structure at a fixed offset (classic
// tracepoints; pt_regs of kprobes and uprobes).
type CtxField struct {
	Off    int
	Size   int
	Signed bool
}

// Space is an address space.
type Space uint8

// The address spaces.
const (
	KernelSpace Space = iota
	UserSpace
)

// Load reads Size (1, 2, 4, 8) bytes at Addr. A fault raises ErrKernelFault or
// ErrUserFault with the address.
type Load struct {
	Addr   Expr
	Size   int
	Signed bool
	Space  Space
	Site   int
}

// Field is an access through a structure type of the target: Base is the
// address of an object of type Program.Types[TypeID]; Access is the CO-RE
// access string (member indices, "0:1:3"). The loader replaces the offset by
// the one of the running kernel. TypeID -1 means that the offset is fixed (user
// programs, saved registers).
//
// With AddrOnly it yields the member's address. Otherwise it loads the integer
// of Size bytes (or the bit-field of BitSize bits) there. A fault raises
// ErrKernelFault with the address. Trusted says that Base is known to be valid
// (an argument of a BTF tracepoint): a plain load will do.
type Field struct {
	Base     Expr
	TypeID   int
	Access   string
	Off      int // byte offset on the kernel compiled for
	Size     int
	Signed   bool
	BitOff   int // within the storage unit at Off, if BitSize > 0
	BitSize  int
	AddrOnly bool
	Trusted  bool
	Space    Space
	Site     int
}

// Exists is 1 if the target has the member (Access != "") or the type.
type Exists struct {
	TypeID int
	Access string
}

// MakeText makes a Deferred value. Args are the payload words for the kinds that
// take addresses. For TextType Args[0] is the object's address, of which Size bytes are
// captured, or with Immediate Args are the object itself, 8 bytes each; what cannot be
// read on the way raises no error, but is told by TypeFault and TypeUnread.
type MakeText struct {
	Kind      Text
	Args      []Expr
	Layout    int // index into Program.Layouts, TextType and TextParms
	Flags     uint32
	Size      int
	Space     Space
	Immediate bool
	Format    int // TextFormat: the index of Tag's kind
	Tag       Lazy
	// Pointers tells where in the object of a TextType there are pointers to text that is
	// captured with it: offsets in bytes, of pointers of PointerSize.
	Pointers    []int
	PointerSize int
	// Head, if set, is the first word of the payload of a TextType, TextParms or
	// TextFormat: it differs between the points of a handler.
	Head Expr
	T    Type
	Site int
}

// Region is an atomic part of a loader handler: Body runs, then Result is its
// value (nil: none). Where a kernel program shares its globals, the loader has
// it done by the region program Program.Regions[ID]; otherwise the interpreter
// does it in place. Locals of the handler that it uses are passed and those
// that it changes come back.
type Region struct {
	ID     int
	Body   []Stmt
	Result Expr
	T      Type
}

// Type implementations.
func (*IntConst) Type() Type    { return TInt }
func (e *StrConst) Type() Type  { return TStr(len(e.S)) }
func (e *Local) Type() Type     { return e.T }
func (e *GlobalGet) Type() Type { return e.T }
func (e *IndexGet) Type() Type  { return e.T }
func (*IndexIn) Type() Type     { return TInt }
func (e *Update) Type() Type    { return e.L.T }
func (*StatAdd) Type() Type     { return TVoid }
func (*StatGet) Type() Type     { return TInt }
func (*HistGet) Type() Type     { return TInt }
func (*Unary) Type() Type       { return TInt }
func (e *Binary) Type() Type    { return e.T }
func (*Logical) Type() Type     { return TInt }
func (e *Cond) Type() Type      { return e.T }
func (e *Call) Type() Type      { return e.T }
func (e *Intrinsic) Type() Type { return e.T }
func (e *Sprintf) Type() Type   { return e.T }
func (*Match) Type() Type       { return TInt }
func (*CtxArg) Type() Type      { return TInt }
func (*CtxField) Type() Type    { return TInt }
func (*Load) Type() Type        { return TInt }
func (*Field) Type() Type       { return TInt }
func (*Exists) Type() Type      { return TInt }
func (e *MakeText) Type() Type  { return e.T }
func (e *Region) Type() Type    { return e.T }

// Lookup turns X into a name by table Table, in place.
type Lookup struct {
	Table int
	X     Expr
	T     Type // Str
}

// Type is the string type that holds the longest name.
func (e *Lookup) Type() Type { return e.T }

// Seq runs Body, then yields R: a statement where an expression stands.
type Seq struct {
	Body []Stmt
	R    Expr
}

// Type is R's.
func (e *Seq) Type() Type { return e.R.Type() }
