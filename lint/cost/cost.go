// Package cost estimates what a script takes on the host: memory of its arrays, width of
// keys, instructions of a handler. The numbers are those of a worst case that is
// plausible, before the compiler has chosen anything; they are for limits, not for
// benchmarks.
package cost

import (
	"stapkit/format"
	"stapkit/lint"
	"stapkit/lint/mapuse"
	"stapkit/sema"
	"stapkit/syntax"
)

// StringWidth is what a string takes when nothing more is known of it.
const StringWidth = 128

// Elements is how many elements an array has when it does not say.
const Elements = 2048

// Width is what a value takes in a key or an element, in bytes.
func Width(b *lint.Body, x syntax.Expr) int {
	if b.Types[x] != sema.String {
		return 8
	}
	x = mapuse.Source(b, x)
	if s, ok := b.Str(x); ok {
		return min(len(s)+1, StringWidth)
	}
	switch b.Library(x) {
	case "execname", "pexecname", "task_execname":
		return 16
	}
	return StringWidth
}

// Keys is the width of the widest key of an array, in bytes.
func Keys(m *mapuse.Map) int {
	total := 0
	for i, t := range m.Global.Keys {
		if t != sema.String {
			total += 8
			continue
		}
		widest := 0
		for _, w := range m.Writes {
			if i < len(w.Keys) {
				widest = max(widest, Width(w.Body, w.Keys[i]))
			}
		}
		total += (widest + 7) / 8 * 8
	}
	return total
}

// cpus is the number of CPUs that per-CPU memory is counted for.
const cpus = 8

// Memory is what an array takes, in bytes: all elements are allocated at the start.
func Memory(m *mapuse.Map) int64 {
	g := m.Global
	n := g.Max
	if n == 0 {
		n = Elements
	}
	value := int64(8)
	switch g.Type {
	case sema.String:
		value = StringWidth
	case sema.Stats:
		value = 5 * 8
		switch g.Stat.Hist {
		case sema.LogHist:
			value += 128 * 8
		case sema.LinearHist:
			if g.Stat.Step > 0 {
				value += ((g.Stat.High-g.Stat.Low)/g.Stat.Step + 3) * 8
			}
		}
		value *= cpus
	}
	const overhead = 64 // of an element of the kernel's hash tables
	return n * (int64(Keys(m)) + value + overhead)
}

// weights of library functions, in instructions.
var weights = map[string]int64{
	"print_backtrace": 3000, "print_ubacktrace": 3000, "backtrace": 2500, "ubacktrace": 2500, "sprint_backtrace": 2500, "sprint_ubacktrace": 2500,
	"print_stack": 3000, "print_syms": 3000, "user_string": 300, "user_string_quoted": 600, "user_string_n": 300, "kernel_string": 250, "kernel_string_n": 250,
	"cmdline_str": 500, "env_var": 1500, "d_path": 800, "fullpath_struct_path": 1500, "fullpath_struct_file": 1500, "inode_path": 1500,
	"strtol": 400, "tokenize": 500, "str_replace": 1000, "substr": 200, "isinstr": 400, "text_str": 500, "text_strn": 500, "json_quote": 800,
}

// Handler estimates the instructions of one run of a handler, with loops run as often as
// they may.
func Handler(b *lint.Body) int64 {
	e := &estimator{seen: map[*sema.Func]bool{}}
	return e.body(b)
}

type estimator struct{ seen map[*sema.Func]bool }

const most = 1 << 40

func (e *estimator) body(b *lint.Body) int64 {
	var n int64 = 100 // of the carrier
	for _, bl := range b.Blocks {
		switch {
		case bl == nil:
		case b.Own(bl) || b.Func != nil:
			n += e.node(b, bl)
		default:
			n += 300 // of an alias mostly nothing is left but what the handler uses
		}
	}
	return min(n, most)
}

func (e *estimator) node(b *lint.Body, root syntax.Node) int64 {
	var n int64
	b.WalkNode(root, func(x syntax.Node) bool {
		switch x := x.(type) {
		case *syntax.ForeachStmt:
			times := int64(Elements)
			if g := b.Global(x.Array); g != nil && g.Max > 0 {
				times = g.Max
			}
			if x.Limit != nil {
				if v, ok := b.Int(x.Limit); ok {
					times = min(times, v)
				}
			}
			n += 200 + times*(20+e.node(b, x.Body))
			if x.SortBy != syntax.SortNone {
				n += times * 50
			}
			return false
		case *syntax.WhileStmt:
			n += 10 * (10 + e.node(b, x.Cond) + e.node(b, x.Body))
			return false
		case *syntax.ForStmt:
			n += times(b, x) * (10 + e.node(b, x.Body))
			return false
		case *syntax.Index, *syntax.ArrayIn:
			n += 80
		case *syntax.DeleteStmt:
			n += 60
		case *syntax.PrintExpr:
			n += 60 + 15*int64(len(x.Args))
			if x.String {
				for _, d := range x.Format.Directives {
					if d.Conv != format.Text {
						n += 80
					}
				}
			}
		case *syntax.RegexMatch:
			n += 500
		case *syntax.TargetVar, *syntax.Autocast, *syntax.AtOp:
			n += 20
		case *syntax.Binary:
			n++
			if x.Op == syntax.Dot {
				n += 60
			}
		case *syntax.AssignExpr, *syntax.IncDec:
			n += 3
		case *syntax.Call:
			n += e.call(b, x)
		}
		return true
	})
	return min(n, most)
}

func (e *estimator) call(b *lint.Body, c *syntax.Call) int64 {
	if w := weights[b.Library(c)]; w > 0 {
		return w
	}
	var n int64 = 5
	for _, f := range b.Calls[c] {
		if f.Body == nil || f.Decl.Body == nil || e.seen[f] {
			continue
		}
		e.seen[f] = true
		fb := &lint.Body{Body: f.Body, Blocks: []*syntax.Block{f.Decl.Body}, Func: f}
		n += e.node(fb, f.Decl.Body)
		delete(e.seen, f)
	}
	return n
}

// times is how often a counting loop with literal bounds runs, else 10.
func times(b *lint.Body, f *syntax.ForStmt) int64 {
	if n, ok := Bound(b, f); ok {
		return n
	}
	return 10
}

// Bound is how often a loop "for (i = A; i < B; i++)" with literal bounds runs.
func Bound(b *lint.Body, f *syntax.ForStmt) (int64, bool) {
	init, ok := f.Init.(*syntax.AssignExpr)
	if !ok || init.Op != syntax.Assign {
		return 0, false
	}
	from, ok := b.Int(init.R)
	if !ok {
		return 0, false
	}
	cond, ok := f.Cond.(*syntax.Binary)
	if !ok || !lint.Same(cond.X, init.L) {
		return 0, false
	}
	to, ok := b.Int(cond.Y)
	post, step := f.Post.(*syntax.IncDec)
	if !ok || !step || !lint.Same(post.X, init.L) {
		return 0, false
	}
	switch {
	case post.Op == syntax.Inc && cond.Op == syntax.Lt && to > from:
		return to - from, true
	case post.Op == syntax.Inc && cond.Op == syntax.Le && to >= from:
		return to - from + 1, true
	case post.Op == syntax.Dec && (cond.Op == syntax.Gt || cond.Op == syntax.Ge) && from >= to:
		return from - to + 1, true
	}
	return 0, false
}
