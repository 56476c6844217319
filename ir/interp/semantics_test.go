package interp_test

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"stapkit/ir"
	"stapkit/ir/interp"
)

func itoa(v int64) string { return strconv.FormatInt(v, 10) }

// TestOrder: operands keep the value they had when they were evaluated; keys
// come before the right side, which comes before the old value.
func TestOrder(t *testing.T) {
	b := newBuilder(ints)
	x := lv(0)
	old := func(u ir.Expr) ir.Expr { u.(*ir.Update).Old = true; return u }
	b.body([]ir.Type{ir.TInt},
		eval(set(x, ir.OpSet, num(1))),
		b.printf("%d\\n", bin(ir.OpAdd, local(0), set(x, ir.OpSet, num(5)))), // 1 + 5
		b.printf("%d\\n", bin(ir.OpAdd, inc(x), inc(x))),                     // 5 + 6
		b.printf("%d\\n", set(x, ir.OpAdd, set(x, ir.OpSet, num(3)))),        // 3 + 3
		// a[x++] += x: key 6, right side 7
		b.printf("%d\\n", set(elem(0, ir.TInt, inc(x)), ir.OpAdd, local(0))),
		b.printf("%d %d\\n", get(0, ir.TInt, num(6)), &ir.IndexIn{G: 0, Keys: []ir.Expr{num(7)}}),
		b.printf("%d\\n", old(set(elem(0, ir.TInt, num(6)), ir.OpMul, num(2)))),
		b.printf("%d\\n", get(0, ir.TInt, num(6))),
	).want(t, "6\n11\n6\n7\n7 0\n7\n14\n", "")
}

// TestShortCircuit: && || ?: evaluate what they must.
func TestShortCircuit(t *testing.T) {
	b := newBuilder()
	crash := bin(ir.OpDiv, num(1), local(0))
	b.body([]ir.Type{ir.TInt}, b.printf("%d%d%d%d",
		&ir.Logical{X: num(7), Y: crash}, &ir.Logical{And: true, X: num(0), Y: crash},
		&ir.Cond{C: num(1), X: num(2), Y: crash, T: ir.TInt}, &ir.Logical{And: true, X: num(3), Y: num(4)}),
		b.printf("%d", &ir.Logical{X: num(0), Y: crash}),
	).want(t, "1021", "division by 0")
}

// TestFailedUpdate: what fails creates nothing and changes nothing.
func TestFailedUpdate(t *testing.T) {
	b := newBuilder(ints)
	b.body([]ir.Type{ir.TInt},
		&ir.Try{Var: -1, Body: []ir.Stmt{eval(set(elem(0, ir.TInt, num(1)), ir.OpDiv, num(0)))}},
		&ir.Try{Var: -1, Body: []ir.Stmt{eval(set(lv(0), ir.OpSet, bin(ir.OpMod, num(1), local(0))))}},
		b.printf("%d", &ir.IndexIn{G: 0, Keys: []ir.Expr{num(1)}}),
	).want(t, "0", "")
}

// TestWrap: an update does not make an element younger; deleted and created
// again it is the youngest.
func TestWrap(t *testing.T) {
	g := byName
	g.Wrap, g.MaxEntries = true, 2
	b := newBuilder(g)
	e := func(s string) ir.LValue { return elem(0, ir.TInt, str(s)) }
	all := func() ir.Stmt {
		return &ir.Foreach{G: 0, Keys: []int{0}, Value: 1, Body: []ir.Stmt{b.printf("%s=%d ", slocal(0), local(1))}}
	}
	b.body([]ir.Type{str512, ir.TInt},
		eval(inc(e("a"))), eval(inc(e("b"))), eval(inc(e("a"))), eval(inc(e("c"))), all(),
		&ir.Delete{L: e("b")}, eval(inc(e("b"))), eval(inc(e("d"))), all(),
	).want(t, "b=1 c=1 b=1 d=1 ", "")
}

// TestClear: delete of an array, of a scalar (not back to its initial value),
// of locals.
func TestClear(t *testing.T) {
	b := newBuilder(ints, ir.Global{Value: ir.TInt, InitInt: 7}, ir.Global{Value: str512, InitStr: "init"})
	b.body([]ir.Type{ir.TInt, str512},
		eval(inc(elem(0, ir.TInt, num(1)))), &ir.Delete{L: glob(0, ir.TInt)},
		eval(set(lv(0), ir.OpSet, num(3))), eval(set(slv(1), ir.OpSet, str("x"))),
		b.printf("%d%s", &ir.GlobalGet{G: 1, T: ir.TInt}, &ir.GlobalGet{G: 2, T: str512}),
		&ir.Delete{L: glob(1, ir.TInt)}, &ir.Delete{L: glob(2, str512)}, &ir.Delete{L: lv(0)}, &ir.Delete{L: slv(1)},
		b.printf("|%d%d%s%d%s", &ir.IndexIn{G: 0, Keys: []ir.Expr{num(1)}}, &ir.GlobalGet{G: 1, T: ir.TInt},
			&ir.GlobalGet{G: 2, T: str512}, local(0), slocal(1)),
	).want(t, "7init|000", "")
}

// TestTruncation: variables, keys and results hold what their types hold.
func TestTruncation(t *testing.T) {
	s8 := ir.TStr(7)
	b := newBuilder(ir.Global{Keys: []ir.Type{s8}, Value: s8})
	long := str("0123456789")
	e := ir.LValue{Global: true, ID: 0, Keys: []ir.Expr{long}, T: s8}
	b.p.Funcs = []*ir.Func{{Name: "f", Params: 1, Locals: []ir.Type{s8}, Result: ir.TStr(12),
		Body: []ir.Stmt{&ir.Return{X: &ir.Binary{Op: ir.OpConcat, X: &ir.Local{ID: 0, T: s8}, Y: long, T: str512}}}}}
	b.body([]ir.Type{s8},
		b.printf("%s ", &ir.Update{L: ir.LValue{ID: 0, T: s8}, R: long}),
		b.printf("%s ", &ir.Update{L: ir.LValue{ID: 0, T: s8}, Op: ir.OpConcat, R: long}),
		b.printf("%s ", &ir.Update{L: e, R: long}),
		b.printf("%s ", &ir.Update{L: e, Op: ir.OpConcat, R: str("x")}),
		b.printf("%d ", &ir.IndexIn{G: 0, Keys: []ir.Expr{str("0123456")}}),
		b.printf("%s", &ir.Call{Chain: []int{0}, Args: []ir.Expr{long}, T: ir.TStr(12)}),
	).want(t, "0123456 0123456 0123456 0123456 1 012345601234567", "")
}

// TestChain: next goes to the next overload, with the same arguments; past the
// last there is an error.
func TestChain(t *testing.T) {
	b := newBuilder()
	over := func(name string, limit int64) *ir.Func {
		return &ir.Func{Name: name, Params: 1, Locals: []ir.Type{ir.TInt}, Result: str512, Body: []ir.Stmt{
			eval(set(lv(0), ir.OpAdd, num(0))),
			&ir.If{C: bin(ir.OpGt, local(0), num(limit)), Then: []ir.Stmt{eval(inc(lv(0))), &ir.Next{}}},
			&ir.Return{X: str(name)},
		}}
	}
	b.p.Funcs = []*ir.Func{over("one", 1), over("two", 2)}
	call := func(v int64) ir.Expr {
		return &ir.Call{Chain: []int{0, 1}, Args: []ir.Expr{num(v)}, T: str512}
	}
	b.body(nil, b.printf("%s %s ", call(1), call(2)), b.printf("%s", call(3))).want(t, "one two ", "all functions exhausted")
}

// TestNoReturn: a function that ends without return yields 0 or "".
func TestNoReturn(t *testing.T) {
	b := newBuilder()
	b.p.Funcs = []*ir.Func{
		{Name: "f", Locals: []ir.Type{ir.TInt}, Result: ir.TInt, Body: []ir.Stmt{eval(set(lv(0), ir.OpSet, num(5)))}},
		{Name: "g", Result: str512, Body: []ir.Stmt{&ir.Return{}}},
	}
	b.body(nil, b.printf("<%d%s>", &ir.Call{Chain: []int{0}, T: ir.TInt}, &ir.Call{Chain: []int{1}, T: str512})).want(t, "<0>", "")
}

// sum is f(n) { if (n <= 0) return 0; return n + f(n-1) }.
func sum(recursive bool) *ir.Func {
	return &ir.Func{Name: "sum", Params: 1, Locals: []ir.Type{ir.TInt}, Result: ir.TInt, Recursive: recursive, Body: []ir.Stmt{
		&ir.If{C: bin(ir.OpLe, local(0), num(0)), Then: []ir.Stmt{&ir.Return{X: num(0)}}},
		&ir.Return{X: bin(ir.OpAdd, local(0), &ir.Call{Chain: []int{0}, Args: []ir.Expr{bin(ir.OpSub, local(0), num(1))}, T: ir.TInt})},
	}}
}

// TestRecursion: each activation has its own locals; MaxNesting is exact, can be
// caught, and after that calls work as before.
func TestRecursion(t *testing.T) {
	b := newBuilder()
	b.p.Funcs = []*ir.Func{sum(true)}
	call := func(n int64) ir.Expr { return &ir.Call{Chain: []int{0}, Args: []ir.Expr{num(n)}, T: ir.TInt} }
	b.body([]ir.Type{str512},
		b.printf("%d ", call(9)), // ten activations
		&ir.Try{Var: 0, Body: []ir.Stmt{b.printf("%d ", call(10))}, Catch: []ir.Stmt{b.printf("%s ", slocal(0))}},
		b.printf("%d", call(9)),
	).want(t, "45 MAXNESTING exceeded 45", "")

	// However high the limit, the host's stack holds.
	b = newBuilder()
	b.p.Funcs = []*ir.Func{sum(true)}
	b.p.Limits.MaxNesting = math.MaxInt
	b.body(nil, b.printf("%d", call(math.MaxInt))).want(t, "", "MAXNESTING exceeded")
}

// TestErrors: where an error happened and with what argument.
func TestErrors(t *testing.T) {
	g := byName
	g.MaxEntries = 1
	for _, tt := range []struct {
		x    ir.Expr
		code ir.ErrCode
		arg  int64
		text string
	}{
		{&ir.Binary{Op: ir.OpDiv, X: num(1), Y: local(0), T: ir.TInt, Site: 7}, ir.ErrDivZero, 0, "division by 0"},
		{&ir.Binary{Op: ir.OpMod, X: num(1), Y: num(0), T: ir.TInt, Site: 7}, ir.ErrDivZero, 0, "division by 0"},
		{&ir.Update{L: lv(0), Op: ir.OpDiv, R: num(0), Site: 7}, ir.ErrDivZero, 0, "division by 0"},
		{&ir.Update{L: glob(1, ir.TInt), Op: ir.OpMod, R: num(0), Site: 7}, ir.ErrDivZero, 0, "division by 0"},
		{&ir.Update{L: elem(0, ir.TInt, str("b")), Op: ir.OpAdd, R: num(1), Site: 7}, ir.ErrArrayFull, 1, "Array overflow, check size limit (1)"},
		{&ir.StatAdd{L: elem(3, ir.TStat, num(2)), V: num(1), Site: 7}, ir.ErrArrayFull, 1, "Array overflow, check size limit (1)"},
		{&ir.StatGet{L: glob(2, ir.TStat), Fn: ir.StatVariance, Site: 7}, ir.ErrEmptyStat, 0, "empty aggregate"},
		{&ir.HistGet{L: glob(2, ir.TStat), Bucket: num(0), Site: 7}, ir.ErrEmptyStat, 0, "empty aggregate"},
		{&ir.HistGet{L: elem(3, ir.TStat, num(1)), Bucket: num(128), Site: 7}, ir.ErrBucket, 128, "histogram index out of range"},
		{&ir.HistGet{L: elem(3, ir.TStat, num(1)), Bucket: num(-1), Site: 7}, ir.ErrBucket, -1, "histogram index out of range"},
		{&ir.Load{Addr: num(8), Size: 8, Site: 7}, ir.ErrKernelFault, 8, "read fault [man error::fault] at 0x8"},
		{&ir.Load{Addr: num(9), Size: 1, Space: ir.UserSpace, Site: 7}, ir.ErrUserFault, 9, "read fault [man error::fault] at 0x9"},
		{&ir.Intrinsic{ID: ir.IKernelStr, Args: []ir.Expr{num(0), num(4)}, T: str512, Site: 7}, ir.ErrKernelStr, 0, "kernel string copy fault at 0x0 [man error::fault]"},
		{&ir.Intrinsic{ID: ir.IMatched, Args: []ir.Expr{num(1)}, T: str512, Site: 7}, ir.ErrNoMatch, 1, "Attempted to get subexpression 1 from failed match"},
		{&ir.Intrinsic{ID: ir.IError, Args: []ir.Expr{str("a b")}, Site: 7}, ir.ErrUser, 0, "a b"},
	} {
		b := newBuilder(g, ir.Global{Value: ir.TInt}, scalarStat(ir.StatShape{Variance: true, Hist: ir.HistLog}),
			ir.Global{Keys: []ir.Type{ir.TInt}, Value: ir.TStat, Stat: logStat(), MaxEntries: 1})
		b.body([]ir.Type{ir.TInt}, eval(inc(elem(0, ir.TInt, str("a")))), add(elem(3, ir.TStat, num(1)), num(5)), eval(tt.x))
		m, _ := b.machine(t)
		var e *interp.Error
		if err := m.Run(0); !errors.As(err, &e) {
			t.Errorf("%T: %v, want %s", tt.x, err, tt.code)
			continue
		}
		if e.Code != tt.code || e.Arg != tt.arg || e.Site != 7 || e.Error() != tt.text {
			t.Errorf("%T: %s arg %d site %d %q, want %s arg %d site 7 %q", tt.x, e.Code, e.Arg, e.Site, e, tt.code, tt.arg, tt.text)
		}
	}
}

// TestWays: next and return end the handler, an error inside keeps what was
// done before, abort ends it and asks for the end; exit only asks.
func TestWays(t *testing.T) {
	for _, tt := range []struct {
		s       ir.Stmt
		out     string
		failure string
		exited  bool
	}{
		{&ir.Next{}, "a", "", false},
		{&ir.Return{}, "a", "", false},
		{fail("no"), "a", "no", false},
		{eval(intrinsic(ir.IAbort)), "a", "", true},
		{eval(intrinsic(ir.IExit)), "ab", "", true},
	} {
		b := newBuilder()
		b.body(nil, b.printf("a"), &ir.Try{Var: -1, Body: []ir.Stmt{&ir.While{Body: []ir.Stmt{tt.s, &ir.Break{}}}}, Catch: []ir.Stmt{fail("no")}}, b.printf("b"))
		m, env := b.machine(t)
		failure := ""
		if err := m.Run(0); err != nil {
			failure = err.Error()
		}
		if env.Out.String() != tt.out || failure != tt.failure || env.Exited != tt.exited {
			t.Errorf("%T: %q %q %v", tt.s, env.Out.String(), failure, env.Exited)
		}
	}
}

// TestTicks: the limit is exact, counts functions, and cannot be caught.
func TestTicks(t *testing.T) {
	for _, tt := range []struct {
		limit int
		out   string
		err   string
	}{{6, "ab", ""}, {5, "a", "MAXACTION exceeded"}} {
		b := newBuilder()
		b.p.Funcs = []*ir.Func{{Name: "f", Body: []ir.Stmt{&ir.Tick{N: 3}}}}
		b.body(nil, &ir.Tick{N: 2}, b.printf("a"),
			&ir.Try{Var: -1, Body: []ir.Stmt{eval(&ir.Call{Chain: []int{0}}), &ir.Tick{N: 1}}, Catch: []ir.Stmt{b.printf("caught")}},
			b.printf("b"))
		b.p.Handlers[0].MaxActions = tt.limit
		b.want(t, tt.out, tt.err)
	}
}

// TestCondition: a handler whose condition is false does nothing; an error in
// it is one of the handler.
func TestCondition(t *testing.T) {
	b := newBuilder(ir.Global{Value: ir.TInt})
	b.body(nil, b.printf("x"))
	b.p.Handlers[0].Cond = &ir.GlobalGet{G: 0, T: ir.TInt}
	m, env := b.machine(t)
	run := func(want string) {
		t.Helper()
		if err := m.Run(0); err != nil {
			t.Error(err)
		}
		if env.Out.String() != want {
			t.Errorf("%q, want %q", env.Out.String(), want)
		}
	}
	run("")
	if _, _, err := m.Store().Update(0, nil, ir.OpSet, interp.IntValue(1)); err != nil {
		t.Fatal(err)
	}
	run("x")
	run("xx")
}

// TestFresh: locals are zero in every invocation, globals are not.
func TestFresh(t *testing.T) {
	b := newBuilder(ir.Global{Value: ir.TInt})
	b.body([]ir.Type{ir.TInt, str512}, b.printf("%d%d%s ", inc(lv(0)), inc(glob(0, ir.TInt)), &ir.Update{L: slv(1), Op: ir.OpConcat, R: str("s"), Old: true}))
	m, env := b.machine(t)
	for range 3 {
		if err := m.Run(0); err != nil {
			t.Fatal(err)
		}
	}
	if got := env.Out.String(); got != "00 01 02 " {
		t.Errorf("%q", got)
	}
}

// TestInterrupt ends a handler that would not end.
func TestInterrupt(t *testing.T) {
	b := newBuilder()
	b.body(nil, &ir.Try{Var: -1, Body: []ir.Stmt{&ir.While{}}})
	m, _ := b.machine(t)
	done := make(chan error)
	go func() { done <- m.Run(0) }()
	m.Interrupt()
	select {
	case err := <-done:
		if !errors.Is(err, interp.ErrInterrupted) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still running")
	}
}

// TestHost: errors of the Env are not caught, and come out as they are.
func TestHost(t *testing.T) {
	b := newBuilder()
	b.body(nil, &ir.Try{Var: -1, Body: []ir.Stmt{eval(intrinsic(ir.IPid))}, Catch: []ir.Stmt{b.printf("caught")}})
	m, env := b.machine(t)
	for _, want := range []error{interp.ErrSkip, fmt.Errorf("busy: %w", interp.ErrSkip), errors.New("gone")} {
		env.Values = map[ir.IntrinsicID]func([]interp.Value) (interp.Value, error){
			ir.IPid: func([]interp.Value) (interp.Value, error) { return interp.Value{}, want },
		}
		if err := m.Run(0); err != want || env.Out.Len() > 0 {
			t.Errorf("%v %q, want %v", err, env.Out.String(), want)
		}
	}
	env.Values[ir.IPid] = func([]interp.Value) (interp.Value, error) {
		return interp.Value{}, interp.NewError(ir.ErrNoContext, 0)
	}
	if err := m.Run(0); err != nil || env.Out.String() != "caught" {
		t.Errorf("%v %q", err, env.Out.String())
	}
}

// TestRegion: parameters go to the Env and come back, also with an error; if it
// declines, the body runs in place.
func TestRegion(t *testing.T) {
	build := func() *builder {
		b := newBuilder(ir.Global{Value: ir.TInt, Share: ir.SharedBoth})
		locals := []ir.Type{ir.TInt, ir.TInt, str512}
		r := &ir.Region{ID: 0, T: ir.TInt, Result: set(glob(0, ir.TInt), ir.OpAdd, local(0)),
			Body: []ir.Stmt{eval(set(lv(1), ir.OpSet, num(1)))}}
		b.p.Regions = []*ir.Handler{{Name: "r", Kernel: true, Ctx: ir.CtxRegion, Locals: locals, Body: r.Body, Result: r.Result,
			Params: []ir.RegionParam{{Local: 0, In: true}, {Local: 2, In: true, Out: true}, {Local: 1, Out: true}}}}
		return b.body(locals, eval(set(lv(0), ir.OpSet, num(40))), eval(set(lv(1), ir.OpSet, num(9))), eval(set(slv(2), ir.OpSet, str("in"))),
			&ir.Try{Var: -1, Body: []ir.Stmt{b.printf("%d ", r)}, Catch: []ir.Stmt{b.printf("error ")}},
			b.printf("%d %s", local(1), slocal(2)))
	}
	for _, tt := range []struct {
		fail bool
		want string
	}{{false, "42 7 out"}, {true, "error 7 out"}} {
		m, env := build().machine(t)
		env.Regions = func(id int, params []interp.Value) (interp.Value, bool, error) {
			if id != 0 || len(params) != 3 || params[0].I != 40 || params[1].S != "in" || params[2].I != 0 {
				t.Errorf("region %d with %v", id, params)
			}
			params[0].I, params[1].S, params[2].I = 1000, "out", 7
			if tt.fail {
				return interp.Value{}, false, &interp.Error{Code: ir.ErrArrayFull, Arg: 3}
			}
			return interp.IntValue(42), true, nil
		}
		if err := m.Run(0); err != nil || env.Out.String() != tt.want {
			t.Errorf("%v %q, want %q", err, env.Out.String(), tt.want)
		}
	}
	build().want(t, "40 1 in", "")
}

// TestMemory reads numbers, bit-fields and strings.
func TestMemory(t *testing.T) {
	b := newBuilder()
	b.p.Types = []ir.TypeRef{{Kind: "struct", Name: "s"}}
	field := func(off, size int, signed bool, bitOff, bits int) ir.Expr {
		return &ir.Field{Base: num(0x1000), Access: "0:1", Off: off, Size: size, Signed: signed, BitOff: bitOff, BitSize: bits}
	}
	b.body(nil,
		b.printf("%d %d %x ", &ir.Load{Addr: num(0x1000), Size: 1, Signed: true}, &ir.Load{Addr: num(0x1000), Size: 1}, &ir.Load{Addr: num(0x1000), Size: 4}),
		b.printf("%d %d %x ", field(4, 2, true, 4, 3), field(4, 2, false, 4, 3), &ir.Field{Base: num(0x1000), Access: "0:2", Off: 5, AddrOnly: true}),
		b.printf("%s|%s|%s ", intrinsic(ir.IKernelStr, num(0x1008), num(100)), intrinsic(ir.IKernelStr, num(0x1008), num(3)), intrinsic(ir.IKernelStr, num(0x1008), num(-1))),
		b.printf("%d %.2m %.*M", &ir.Intrinsic{ID: ir.IKernelMem, Args: []ir.Expr{num(0x1000), num(-2)}, T: ir.TInt}, num(0x1008), num(2), num(0x1000)),
	)
	m, env := b.machine(t)
	env.Memory[ir.KernelSpace] = map[uint64][]byte{0x1000: []byte("\xfe\xff\x01\x02\x50\x00\x00\x00hello\x00x")}
	if err := m.Run(0); err != nil {
		t.Fatal(err)
	}
	if got, want := env.Out.String(), "-2 254 201fffe -3 5 1005 hello|hel| -2 he feff"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// The running kernel may have the member elsewhere, and of another size.
	b = newBuilder()
	b.p.Types = []ir.TypeRef{{Kind: "struct", Name: "s"}}
	b.body(nil, b.printf("%d ", field(4, 8, false, 0, 0)), b.printf("%d", &ir.Exists{Access: "0:7"}))
	if err := ir.Check(b.p); err != nil {
		t.Fatal(err)
	}
	env = interp.NewMem(b.p)
	env.Memory[ir.KernelSpace] = map[uint64][]byte{0x1000: {1, 2, 3, 4}}
	env.Members = func(_ int, access string) (interp.Member, bool) {
		return interp.Member{Off: 2, Size: 1}, access == "0:1"
	}
	m, err := interp.New(b.p, env)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Run(0); err != nil || env.Out.String() != "3 0" {
		t.Errorf("%v %q", err, env.Out.String())
	}
}

// TestContext narrows the words of a context as C types do.
func TestContext(t *testing.T) {
	b := newBuilder()
	b.body(nil, b.printf("%d %d %d %d", &ir.CtxArg{N: 1, Size: 4, Signed: true}, &ir.CtxArg{N: 1, Size: 4}, &ir.CtxArg{N: 1, Size: 8},
		&ir.CtxField{Off: 2, Size: 2, Signed: true}))
	h := b.p.Handlers[0]
	h.Kernel, h.Ctx = true, ir.CtxRawTP
	m, env := b.machine(t)
	env.Args = []int64{0, -2}
	env.Ctx = []byte{0, 0, 0xff, 0xff, 0}
	if err := m.Run(0); err != nil || env.Out.String() != "-2 4294967294 -2 -1" {
		t.Errorf("%v %q", err, env.Out.String())
	}
}

// TestDeferred: deferred text is stored, printed, used as a key, compared by
// what it says, and sorted by it.
func TestDeferred(t *testing.T) {
	sym := ir.Type{Kind: ir.Deferred, Width: 8, Text: ir.TextKSym}
	wide := ir.Type{Kind: ir.Deferred, Width: 16, Text: ir.TextKSym}
	b := newBuilder(ir.Global{Keys: []ir.Type{wide}, Value: ir.TInt}, ir.Global{Value: wide})
	of := func(v int64) ir.Expr { return &ir.MakeText{Kind: ir.TextKSym, Args: []ir.Expr{num(v)}, T: sym} }
	key := func(v int64) ir.LValue { return elem(0, ir.TInt, of(v)) }
	b.body([]ir.Type{wide, str512},
		b.printf("[%s]", &ir.Local{ID: 0, T: wide}),
		eval(inc(key(3))), eval(inc(key(2))), eval(inc(key(3))),
		eval(&ir.Update{L: glob(1, wide), R: of(3)}),
		b.printf("%d%d%d ", bin(ir.OpEq, &ir.GlobalGet{G: 1, T: wide}, of(3)), bin(ir.OpNe, of(2), of(2)), bin(ir.OpEq, of(1), of(2))),
		&ir.Foreach{G: 0, Keys: []int{0}, Value: -1, Sort: ir.Sort{By: 1}, Body: []ir.Stmt{
			b.printf("%s=%d ", &ir.Local{ID: 0, T: wide}, get(0, ir.TInt, &ir.Local{ID: 0, T: wide}))}},
		b.printf("%s", &ir.Sprintf{Format: b.format("<%s>", []ir.Expr{of(1)}), Args: []ir.Expr{of(1)}, T: str512}),
	).want(t, "[text1()]100 text1(02)=1 text1(03)=2 <text1(01)>", "")
}

// TestMakeText checks payloads that do more than line up their arguments.
func TestMakeText(t *testing.T) {
	b := newBuilder()
	b.p.Layouts = [][]byte{{1}, {2}}
	text := func(k ir.Text, width int) ir.Type { return ir.Type{Kind: ir.Deferred, Width: width, Text: k} }
	args := []ir.Expr{num(1), str("abc")}
	fm := b.format("%d%s", args)
	b.body(nil,
		b.printf("%s ", &ir.MakeText{Kind: ir.TextType, Layout: 1, Flags: ir.TypeString, Args: []ir.Expr{num(0x10)}, Size: 3, T: text(ir.TextType, 24)}),
		b.printf("%s ", &ir.MakeText{Kind: ir.TextType, Layout: 1, Flags: ir.TypeString, Args: []ir.Expr{num(0x50)}, Size: 3, T: text(ir.TextType, 24)}),
		b.printf("%s ", &ir.MakeText{Kind: ir.TextType, Layout: 1, Args: []ir.Expr{num(0x20)}, Size: 20, Pointers: []int{0, 8}, PointerSize: 8,
			Flags: ir.PointedTextFlags(3, 1), T: text(ir.TextType, 72)}),
		b.printf("%s ", &ir.MakeText{Kind: ir.TextType, Layout: 1, Args: []ir.Expr{num(0x50)}, Size: 3, T: text(ir.TextType, 24)}),
		b.printf("%s ", &ir.MakeText{Kind: ir.TextType, Layout: 1, Args: []ir.Expr{&ir.Load{Addr: num(0x50), Size: 8}}, Size: 3, T: text(ir.TextType, 24)}),
		b.printf("%s ", &ir.MakeText{Kind: ir.TextType, Layout: 1, Args: []ir.Expr{num(5)}, Size: 8, Immediate: true, T: text(ir.TextType, 24)}),
		b.printf("%s ", &ir.MakeText{Kind: ir.TextParms, Layout: 1, Args: []ir.Expr{num(5), num(6)}, T: text(ir.TextParms, 24)}),
		b.printf("%s ", &ir.MakeText{Kind: ir.TextFormat, Tag: ir.LazyFormat, Format: fm, Args: args, T: text(ir.TextFormat, ir.LazyWidth(args))}),
		b.printf("%s", &ir.MakeText{Kind: ir.TextUStack, T: text(ir.TextUStack, 64)}),
	)
	m, env := b.machine(t)
	object := make([]byte, 20) // two pointers, the second to nothing, and a number
	object[0], object[8], object[16] = 0x10, 0x50, 4
	env.Memory[ir.KernelSpace] = map[uint64][]byte{0x10: {7, 8, 9}, 0x20: object}
	if err := m.Run(0); err != nil {
		t.Error(err)
	}
	word := func(v ...byte) string { return fmt.Sprintf("%-16x", v) }
	pad := func(s string) string { return strings.ReplaceAll(s, " ", "0") }
	words := func(v ...byte) (s string) {
		for _, v := range v {
			s += pad(word(v))
		}
		return s
	}
	want := fmt.Sprintf("text%d(%s%s0708) ", ir.TextType, pad(word(1, 0, 0, 0, ir.TypeString)), pad(word(0x10))) +
		fmt.Sprintf("text%d(%s%s) ", ir.TextType, pad(word(1, 0, 0, 0, ir.TypeString|ir.TypeUnread)), "50") +
		fmt.Sprintf("text%d(%s%s070809) ", ir.TextType, pad(word(1, 0, 0, 0, 0, 3, 16)), words(0x20, 0x10, 0x50, 4, 0x10)) +
		fmt.Sprintf("text%d(%s) ", ir.TextType, "0100000008") +
		fmt.Sprintf("text%d(%s) ", ir.TextType, "0100000008") +
		fmt.Sprintf("text%d(%s%s05) ", ir.TextType, pad(word(1)), pad(word(0))) +
		fmt.Sprintf("text%d(%s%s06) ", ir.TextParms, pad(word(1)), pad(word(5))) +
		"1abc " + // made by Texts from the payload
		fmt.Sprintf("text%d()", ir.TextUStack)
	if got := env.Out.String(); got != want {
		t.Errorf("\n%q, want\n%q", got, want)
	}
}

// TestTables covers entries, defaults and flags.
func TestTables(t *testing.T) {
	e := func(v int64, n string) ir.TableEntry { return ir.TableEntry{Value: v, Name: n} }
	b := newBuilder()
	b.p.Tables = []ir.Table{
		{Entries: []ir.TableEntry{e(-1, "NEG"), e(2, "TWO")}, Default: "?%d"},
		{Entries: []ir.TableEntry{e(2, "TWO")}},
		{Kind: ir.TableFlags, Entries: []ir.TableEntry{e(1, "R"), e(2, "W"), e(12, "X")}, Default: "%#x"},
		{Kind: ir.TableFlags, Entries: []ir.TableEntry{e(0, "NONE"), e(1, "R")}},
	}
	look := func(table int, v int64) ir.Expr { return &ir.Lookup{Table: table, X: num(v), T: str512} }
	b.body(nil, b.printf("%s %s %s|%s|%s %s %s %s %s|%s %s %s",
		look(0, -1), look(0, 2), look(0, 7), look(1, 7), look(2, 2), look(2, 3), look(2, 15), look(2, 20), look(2, 0),
		look(3, 0), look(3, 1), look(3, 5)),
	).want(t, "NEG TWO ?7||W R|W R|W|X 0x14 0x0|NONE R R", "")
}

// TestFrames: subscripts and arguments that call the function they stand in.
func TestFrames(t *testing.T) {
	// f(n) { if (n <= 0) return 0; a[n, f(n-1)] = n; return a[n, f(n-1)] }
	b := newBuilder(ir.Global{Keys: []ir.Type{ir.TInt, ir.TInt}, Value: ir.TInt})
	call := func() ir.Expr {
		return &ir.Call{Chain: []int{0}, Args: []ir.Expr{bin(ir.OpSub, local(0), num(1))}, T: ir.TInt}
	}
	b.p.Funcs = []*ir.Func{{Name: "f", Params: 1, Locals: []ir.Type{ir.TInt}, Result: ir.TInt, Recursive: true, Body: []ir.Stmt{
		&ir.If{C: bin(ir.OpLe, local(0), num(0)), Then: []ir.Stmt{&ir.Return{X: num(0)}}},
		eval(set(elem(0, ir.TInt, local(0), call()), ir.OpSet, local(0))),
		&ir.Return{X: get(0, ir.TInt, local(0), call())},
	}}}
	b.body(nil, b.printf("%d", &ir.Call{Chain: []int{0}, Args: []ir.Expr{num(5)}, T: ir.TInt})).want(t, "5", "")
}

// TestTexts: what was left to the loader is made there, from payloads that may
// be damaged.
func TestTexts(t *testing.T) {
	b := newBuilder()
	b.p.Tables = []ir.Table{{Name: "t", Entries: []ir.TableEntry{{Value: 1, Name: "ONE"}}, Default: "%d?"}}
	b.p.Funcs = []*ir.Func{
		{Name: "double", Params: 2, Locals: []ir.Type{ir.TStr(7), ir.TInt, str512}, Result: str512, Body: []ir.Stmt{
			&ir.If{C: bin(ir.OpLe, local(1), num(0)), Then: []ir.Stmt{&ir.Return{X: &ir.Local{ID: 0, T: ir.TStr(7)}}}},
			&ir.Return{X: bin(ir.OpConcat, &ir.Local{ID: 0, T: ir.TStr(7)}, &ir.Local{ID: 0, T: ir.TStr(7)})},
		}},
		{Name: "number", Result: ir.TInt},
	}
	sym := ir.Type{Kind: ir.Deferred, Width: 8, Text: ir.TextKSym}
	fm := b.format("%d <%s> <%s>", []ir.Expr{num(0), str(""), &ir.MakeText{T: sym}})
	if err := ir.Check(b.body(nil).p); err != nil {
		t.Fatal(err)
	}
	texts, err := interp.NewTexts(b.p, func(v interp.Value) (string, error) { return "sym" + v.S, nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	head := func(tag ir.Lazy, index byte, args ...interp.Value) string {
		return string(interp.AppendArgs([]byte{index, 0, 0, 0, byte(tag), 0, 0, 0}, args))
	}
	s, i := interp.StrValue, interp.IntValue
	for _, tt := range []struct {
		payload, want string
		ok            bool
	}{
		{head(ir.LazyFormat, byte(fm), i(-5), s("abc"), interp.DeferredValue(ir.TextKSym, "12345678")), "-5 <abc> <sym12345678>", true},
		{head(ir.LazyPlain, 0, s("plain")), "plain", true},
		{head(ir.LazyPlain, 0, s("plain")) + "padding of the payload", "plain", true},
		{head(ir.LazyTable, 0, i(1)), "ONE", true},
		{head(ir.LazyTable, 0, i(2)), "2?", true},
		{head(ir.LazyCall, 0, s("ab"), i(1)), "abab", true},
		{head(ir.LazyCall, 0, s("ab"), i(0)), "ab", true},
		{head(ir.LazyCall, 0, s("0123456789"), i(0)), "0123456", true},
		{"", "", true},
		{"short", "", false},
		{head(ir.LazyFormat, 99), "", false},
		{head(ir.LazyFormat, byte(fm), i(1)), "", false},
		{head(ir.LazyFormat, byte(fm), i(1), s("abc"))[:20], "", false},
		{head(ir.LazyTable, 9, i(1)), "", false},
		{head(ir.LazyTable, 0), "", false},
		{head(ir.LazyCall, 9), "", false},
		{head(ir.LazyCall, 1), "", false},
		{head(ir.LazyCall, 0), "", false},
		{head(77, 0), "", false},
		{"\x00\x00\x00\x00\x01\x00\x00\x00\xff\xffabc", "", false},
	} {
		got, err := texts.Text(tt.payload)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q: %q %v, want %q", tt.payload, got, err, tt.want)
		}
	}
}
