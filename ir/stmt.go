package ir

// Stmt is a statement: one of the pointer types in this file.
type Stmt interface{ stmt() }

// Eval evaluates X for its effects.
type Eval struct{ X Expr }

// If branches.
type If struct {
	C          Expr
	Then, Else []Stmt
}

// While runs Body as long as C holds (nil: for ever); Post runs after the body
// and after a Continue.
type While struct {
	C    Expr
	Body []Stmt
	Post []Stmt
}

// Sort says how a Foreach orders the elements.
type Sort struct {
	// By is 0 for the order of the array, 1…n for a key, -1 for the value.
	By   int
	Desc bool
	// Fn is the extractor when the value is an aggregate.
	Fn StatFn
}

// Foreach visits the elements that the array has when the loop starts. Keys
// and Value are locals (-1: not bound); a non-nil Slice entry restricts that
// key. Slice and then Limit (nil: none) are evaluated once, before the elements
// are read; if Limit is not positive, nothing is visited. Elements with equal
// sort keys come in the order of the array. That is creation order, which a sorted
// Foreach over numbers or strings changes where the array's Share is LoaderOnly.
type Foreach struct {
	G     int
	Keys  []int
	Value int // local; of an Int or Str array its value
	Slice []Expr
	Sort  Sort
	Limit Expr
	Body  []Stmt
	Site  int
}

// ForeachHist visits bucket numbers 0…n-1 of a histogram, as Foreach visits
// elements. An empty aggregate raises ErrEmptyStat, unless Limit is not positive.
type ForeachHist struct {
	L     LValue
	Key   int // local
	Value int // local bound to the bucket's count, or -1
	Sort  Sort
	Limit Expr
	Body  []Stmt
	Site  int
}

// Return leaves the function, or the handler.
type Return struct{ X Expr }

// Next leaves the handler; in a function it goes on with the next of the
// call's Chain.
type Next struct{}

// Break leaves the innermost loop.
type Break struct{}

// Continue goes on with the innermost loop's Post.
type Continue struct{}

// Delete removes an element, clears an array (Keys nil) or a slice of it (a nil
// key matches any), or resets a scalar.
type Delete struct {
	L    LValue
	Site int
}

// Try runs Body; if an error is raised, Catch, with the text in local Var (-1:
// none).
type Try struct {
	Body, Catch []Stmt
	Var         int
}

// Print prints: Format indexes Program.Formats.
type Print struct {
	Format int
	Args   []Expr
	Site   int
}

// PrintHist prints the histogram of an aggregate in text form.
type PrintHist struct {
	L    LValue
	Site int
}

// Tick counts N actions, see the package comment.
type Tick struct {
	N    int
	Site int
}

func (*Eval) stmt()        {}
func (*If) stmt()          {}
func (*While) stmt()       {}
func (*Foreach) stmt()     {}
func (*ForeachHist) stmt() {}
func (*Return) stmt()      {}
func (*Next) stmt()        {}
func (*Break) stmt()       {}
func (*Continue) stmt()    {}
func (*Delete) stmt()      {}
func (*Try) stmt()         {}
func (*Print) stmt()       {}
func (*PrintHist) stmt()   {}
func (*Tick) stmt()        {}

// Lock takes lock word ID; Unlock releases it. They stand in one list of statements,
// a kernel handler's body or the branch of an If in it, around those that touch the
// globals that it guards.
// If the lock cannot be had in time the invocation ends, counted as skipped.
// Every other way out of the handler releases it too.
type Lock struct{ ID int }

// Unlock releases a lock, see Lock.
type Unlock struct{ ID int }

func (*Lock) stmt()   {}
func (*Unlock) stmt() {}
