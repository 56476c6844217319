package interp_test

import (
	"fmt"
	"testing"

	"stapkit/format"
	"stapkit/ir"
	"stapkit/ir/interp"
)

// Short forms for trees in tests.

func num(v int64) ir.Expr  { return &ir.IntConst{V: v} }
func str(s string) ir.Expr { return &ir.StrConst{S: s} }
func local(id int) ir.Expr { return &ir.Local{ID: id, T: ir.TInt} }
func slocal(id int) ir.Expr {
	return &ir.Local{ID: id, T: str512}
}
func eval(x ir.Expr) ir.Stmt { return &ir.Eval{X: x} }

func bin(op ir.Op, x, y ir.Expr) ir.Expr {
	t := ir.TInt
	if op == ir.OpConcat {
		t = str512
	}
	return &ir.Binary{Op: op, X: x, Y: y, T: t}
}

func lv(id int) ir.LValue  { return ir.LValue{ID: id, T: ir.TInt} }
func slv(id int) ir.LValue { return ir.LValue{ID: id, T: str512} }

func glob(g int, t ir.Type) ir.LValue { return ir.LValue{Global: true, ID: g, T: t} }

func elem(g int, t ir.Type, keys ...ir.Expr) ir.LValue {
	return ir.LValue{Global: true, ID: g, Keys: keys, T: t}
}

func get(g int, t ir.Type, keys ...ir.Expr) ir.Expr {
	return &ir.IndexGet{G: g, Keys: keys, T: t}
}

func set(l ir.LValue, op ir.Op, r ir.Expr) ir.Expr { return &ir.Update{L: l, Op: op, R: r} }
func inc(l ir.LValue) ir.Expr                      { return &ir.Update{L: l, Op: ir.OpAdd, R: num(1), Old: true} }

func add(l ir.LValue, v ir.Expr) ir.Stmt { return eval(&ir.StatAdd{L: l, V: v}) }

func stat(fn ir.StatFn, l ir.LValue) ir.Expr { return &ir.StatGet{L: l, Fn: fn} }

func fail(text string) ir.Stmt {
	return eval(&ir.Intrinsic{ID: ir.IError, Args: []ir.Expr{str(text)}})
}

func intrinsic(id ir.IntrinsicID, args ...ir.Expr) ir.Expr {
	t := ir.Type{Kind: ir.Intrinsics[id].Result}
	if t.Kind == ir.Str {
		t = str512
	}
	return &ir.Intrinsic{ID: id, Args: args, T: t}
}

var str512 = ir.TStr(511)

// builder makes a program of one handler that the loader runs.
type builder struct{ p *ir.Program }

func newBuilder(globals ...ir.Global) *builder {
	p := &ir.Program{Name: "test", Limits: ir.DefaultLimits(), Sites: make([]ir.Site, 100)}
	for i, g := range globals {
		g.Name, g.Lock = fmt.Sprintf("g%d", i), -1
		if g.IsArray() && g.MaxEntries == 0 {
			g.MaxEntries = p.Limits.MaxMapEntries
		}
		p.Globals = append(p.Globals, g)
	}
	p.Probes = []ir.Probe{{Point: "begin", Name: "begin", Kind: "begin", Attach: []ir.Attach{{Carrier: "loader"}}}}
	p.Handlers = []*ir.Handler{{Name: "begin", MaxActions: 10000}}
	return &builder{p}
}

func (b *builder) body(locals []ir.Type, list ...ir.Stmt) *builder {
	b.p.Handlers[0].Locals, b.p.Handlers[0].Body = locals, list
	return b
}

func (b *builder) format(text string, args []ir.Expr) int {
	f := ir.Format{Text: text}
	var err error
	if f.Parsed, err = format.Parse(text); err != nil {
		panic(err)
	}
	for _, a := range args {
		f.Args = append(f.Args, a.Type())
	}
	b.p.Formats = append(b.p.Formats, f)
	return len(b.p.Formats) - 1
}

func (b *builder) printf(text string, args ...ir.Expr) ir.Stmt {
	return &ir.Print{Format: b.format(text, args), Args: args}
}

func (b *builder) machine(t testing.TB) (*interp.Machine, *interp.Mem) {
	t.Helper()
	if err := ir.Check(b.p); err != nil {
		t.Fatal(err)
	}
	env := interp.NewMem(b.p)
	m, err := interp.New(b.p, env)
	if err != nil {
		t.Fatal(err)
	}
	return m, env
}

// run runs the handler once and returns what it printed and the text of the
// error that left it.
func (b *builder) run(t testing.TB) (out, failure string) {
	t.Helper()
	m, env := b.machine(t)
	err := m.Run(0)
	if err != nil {
		failure = err.Error()
	}
	return env.Out.String(), failure
}

// want runs the handler and compares.
func (b *builder) want(t *testing.T, out, failure string) {
	t.Helper()
	o, f := b.run(t)
	if o != out {
		t.Errorf("printed %q, want %q", o, out)
	}
	if f != failure {
		t.Errorf("error %q, want %q", f, failure)
	}
}
