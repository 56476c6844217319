package ir_test

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"stapkit/format"
	"stapkit/ir"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sample is a well-formed program with every kind of node in it.
func sample() *ir.Program {
	num := func(v int64) ir.Expr { return &ir.IntConst{V: v} }
	str16, str64 := ir.TStr(15), ir.TStr(63)
	sym := ir.Type{Kind: ir.Deferred, Width: 8, Text: ir.TextKSym}
	printf := func(p *ir.Program, text string, args ...ir.Type) int {
		f, err := format.Parse(text)
		if err != nil {
			panic(err)
		}
		p.Formats = append(p.Formats, ir.Format{Text: text, Parsed: f, Args: args})
		return len(p.Formats) - 1
	}
	p := &ir.Program{
		Name: "sample", Locks: 1, Limits: ir.DefaultLimits(), Needs: []string{"bpf_loop"}, Warnings: []string{"careful"},
		Globals: []ir.Global{
			{Name: "n", Value: ir.TInt, InitInt: -3, Lock: -1, Settable: true, Share: ir.SharedBoth},
			{Name: "s", Value: str64, InitStr: "x\ny", Lock: 0, Share: ir.SharedBoth},
			{Name: "a", Keys: []ir.Type{ir.TInt, str16}, Value: ir.TInt, MaxEntries: 2048, Lock: -1, Ordered: true, Generations: true, Additive: true, Share: ir.SharedBoth},
			{Name: "st", Keys: []ir.Type{str16}, Value: ir.TStat, MaxEntries: 10, Wrap: true, Ordered: true, Lock: 0, Share: ir.KernelOnly,
				Stat: ir.StatShape{Sum: true, Min: true, Max: true, Variance: true, VarShift: 4, Hist: ir.HistLog}},
			{Name: "lin", Value: ir.TStat, Stat: ir.StatShape{Hist: ir.HistLinear, Low: -10, High: 100, Step: 10}, Lock: -1, AutoPrint: true},
			{Name: "where", Value: sym, Lock: -1, Library: true, Slot: 1},
		},
		Regexps: []ir.Regexp{{Pattern: "^a(b|c)", Groups: 1}},
		Tables: []ir.Table{{Name: "errno", Entries: []ir.TableEntry{{Value: 1, Name: "EPERM"}, {Value: 2, Name: "ENOENT"}}, Default: "%d"},
			{Name: "open", Kind: ir.TableFlags, Entries: []ir.TableEntry{{Value: 0, Name: "O_RDONLY"}, {Value: 1, Name: "O_WRONLY"}}}},
		Types:   []ir.TypeRef{{Kind: "struct", Name: "task_struct", Members: []byte{1, 2}}, {Kind: "union", Name: "u", Module: "ext4"}},
		Layouts: [][]byte{{1, 2, 3}},
		Sites:   []ir.Site{{File: "s.stp", Line: 1, Col: 2, Token: "operator '/'"}, {File: "s.stp", Line: 3, Col: 4, Token: "identifier 'a'"}},
	}
	line := printf(p, "%d %s\\n", ir.TInt, str64)
	hex := printf(p, "%x", ir.TInt)
	local := func(id int) ir.Expr {
		return &ir.Local{ID: id, T: []ir.Type{ir.TInt, str16, ir.TInt}[id]}
	}
	bin := func(op ir.Op, x, y ir.Expr) ir.Expr { return &ir.Binary{Op: op, X: x, Y: y, T: ir.TInt, Site: 1} }
	a := func(k ...ir.Expr) ir.LValue { return ir.LValue{Global: true, ID: 2, Keys: k, T: ir.TInt} }
	st := ir.LValue{Global: true, ID: 3, Keys: []ir.Expr{&ir.StrConst{S: "k"}}, T: ir.TStat}
	lin := ir.LValue{Global: true, ID: 4, T: ir.TStat}
	n := ir.LValue{Global: true, ID: 0, T: ir.TInt}
	eval := func(x ir.Expr) ir.Stmt { return &ir.Eval{X: x} }
	later := func(tag ir.Lazy, index int, args ...ir.Expr) ir.Expr {
		return &ir.MakeText{Kind: ir.TextFormat, Tag: tag, Format: index, Args: args,
			T: ir.Type{Kind: ir.Deferred, Width: ir.LazyWidth(args), Text: ir.TextFormat}}
	}
	p.Funcs = []*ir.Func{
		{Name: "f", Params: 2, Locals: []ir.Type{ir.TInt, str16, ir.TInt}, Result: str64, Recursive: true, Site: 1, Body: []ir.Stmt{
			&ir.If{C: bin(ir.OpLe, local(0), num(0)), Then: []ir.Stmt{&ir.Return{X: local(1)}}, Else: []ir.Stmt{&ir.Next{}}},
			&ir.Return{X: &ir.Call{Chain: []int{0}, Args: []ir.Expr{bin(ir.OpSub, local(0), num(1)), local(1)}, T: str64, Site: 1}},
		}},
		{Name: "g", Library: true, Result: ir.TVoid, Body: []ir.Stmt{&ir.Return{}}},
	}
	locals := []ir.Type{ir.TInt, str16, ir.TInt}
	region := &ir.Region{ID: 0, Body: []ir.Stmt{eval(&ir.Update{L: n, Op: ir.OpAdd, R: num(1)})}, Result: local(0), T: ir.TInt}
	p.Regions = []*ir.Handler{{Name: "r0", Kernel: true, Ctx: ir.CtxRegion, Locals: locals, Result: local(0), Body: region.Body,
		Params: []ir.RegionParam{{Local: 0, In: true, Out: true}}}}
	p.Handlers = []*ir.Handler{
		{Name: "p0_begin", Locals: locals, Probe: 0, MaxActions: 10000, Body: []ir.Stmt{
			&ir.Tick{N: 2, Site: 1},
			&ir.While{C: bin(ir.OpLt, local(0), num(3)), Body: []ir.Stmt{&ir.Continue{}}, Post: []ir.Stmt{eval(&ir.Update{L: ir.LValue{T: ir.TInt}, Op: ir.OpAdd, R: num(1), Old: true})}},
			&ir.While{Body: []ir.Stmt{&ir.Break{}}},
			&ir.Foreach{G: 2, Keys: []int{0, -1}, Value: 2, Slice: []ir.Expr{num(1), nil}, Sort: ir.Sort{By: -1, Desc: true}, Limit: num(5), Body: []ir.Stmt{
				&ir.Print{Format: line, Args: []ir.Expr{local(2), &ir.StrConst{S: "v"}}, Site: 1}}},
			&ir.Foreach{G: 3, Keys: []int{1}, Value: -1, Sort: ir.Sort{By: -1, Fn: ir.StatSum}},
			&ir.ForeachHist{L: lin, Key: 0, Value: 2, Sort: ir.Sort{By: 1}, Body: []ir.Stmt{eval(&ir.HistGet{L: lin, Bucket: local(0)})}},
			&ir.Try{Var: 1, Body: []ir.Stmt{eval(bin(ir.OpDiv, num(1), local(0)))}, Catch: []ir.Stmt{eval(&ir.Intrinsic{ID: ir.IExit})}},
			&ir.Delete{L: a()}, &ir.Delete{L: a(nil, &ir.StrConst{S: "q"})}, &ir.Delete{L: ir.LValue{ID: 1, T: str16}},
			&ir.PrintHist{L: st, Site: 1},
			eval(&ir.Logical{And: true, X: &ir.Unary{Op: ir.OpNot, X: local(0)}, Y: &ir.Unary{Op: ir.OpNeg, X: bin(ir.OpMul, local(0), num(2))}}),
			eval(&ir.Cond{C: &ir.IndexIn{G: 2, Keys: []ir.Expr{nil, local(1)}}, X: local(1), Y: &ir.StrConst{S: "no"}, T: str16}),
			eval(&ir.Match{X: local(1), Re: 0, Negate: true}),
			eval(&ir.Call{Chain: []int{1}, T: ir.TVoid}),
			eval(&ir.Sprintf{Format: hex, Args: []ir.Expr{&ir.GlobalGet{G: 0, T: ir.TInt}}, T: ir.TStr(20)}),
			eval(&ir.Lookup{Table: 0, X: num(2), T: str16}),
			eval(region),
			eval(&ir.Seq{Body: []ir.Stmt{&ir.If{C: num(1), Then: []ir.Stmt{&ir.Tick{N: 1}}, Else: []ir.Stmt{&ir.Tick{N: 2}, &ir.Tick{N: 3}}}}, R: num(7)}),
		}},
		{Name: "p1_switch", Kernel: true, Ctx: ir.CtxBTFTP, Probe: 1, MaxActions: 1000, Return: true, Sleepable: true, Uncounted: true, Locals: locals,
			Cond: &ir.GlobalGet{G: 0, T: ir.TInt}, Body: []ir.Stmt{
				&ir.Lock{ID: 0},
				eval(&ir.StatAdd{L: st, V: &ir.CtxArg{N: 1, Size: 4, Signed: true}, Site: 1}),
				&ir.Unlock{ID: 0},
				eval(&ir.Update{L: a(&ir.CtxField{Off: 8, Size: 2}, &ir.Intrinsic{ID: ir.IExecname, T: str16}), Op: ir.OpAdd, R: &ir.StatGet{L: st, Fn: ir.StatMax, Site: 1}, Site: 1}),
				eval(&ir.IndexGet{G: 2, Keys: []ir.Expr{num(1), local(1)}, T: ir.TInt}),
				eval(&ir.Update{L: ir.LValue{Global: true, ID: 5, T: sym}, R: &ir.MakeText{Kind: ir.TextKSym, Args: []ir.Expr{&ir.Load{Addr: local(0), Size: 8, Space: ir.UserSpace}}, T: sym}}),
				eval(&ir.Field{Base: &ir.CtxArg{N: 0, Size: 8}, TypeID: 0, Access: "0:1:3", Off: 24, Size: 4, Signed: true, BitOff: 3, BitSize: 5, Trusted: true}),
				eval(&ir.Field{Base: num(0), TypeID: 1, Access: "0:0", AddrOnly: true}),
				eval(&ir.Exists{TypeID: 0, Access: "0:2"}),
				&ir.Print{Format: line, Args: []ir.Expr{num(1), &ir.Update{L: ir.LValue{Global: true, ID: 1, T: str64}, Op: ir.OpConcat, R: local(1)}}},
				eval(&ir.MakeText{Kind: ir.TextType, Args: []ir.Expr{num(0)}, Size: 16, Flags: 1, Space: ir.UserSpace, T: ir.Type{Kind: ir.Deferred, Width: 32, Text: ir.TextType}}),
				eval(&ir.MakeText{Kind: ir.TextParms, Args: []ir.Expr{num(0), num(1)}, T: ir.Type{Kind: ir.Deferred, Width: 24, Text: ir.TextParms}}),
				eval(later(ir.LazyFormat, hex, num(0))), eval(later(ir.LazyPlain, 0, local(1))),
				eval(later(ir.LazyTable, 1, num(0))), eval(later(ir.LazyCall, 0, num(0), local(1))),
			}},
	}
	p.Probes = []ir.Probe{
		{Point: "begin", Script: "begin", Name: "begin", Kind: "begin", Order: -5, Attach: []ir.Attach{{Carrier: "loader", Handler: 0}}},
		{Point: `kernel.trace("sched:sched_switch")`, Script: "x = y", Name: "x", Kind: "kernel.trace", Func: "f", Site: 1, Family: ir.FamTracepoint,
			Optional: true, Sufficient: true, Interval: 5, Random: 6, PerSecond: 7,
			Attach: []ir.Attach{{Carrier: "tp_btf", Handler: 1, Target: "sched_switch", Module: "m", Symbol: "sym", Offset: 16, BuildID: "ab", Semaphore: 1 << 63,
				Cookie: 9, Type: 1, Config: 2, Address: 3, Length: 4, Write: true, Process: "p", PID: 10, TargetSet: true, Needs: []string{"tp_btf"}}}},
	}
	return p
}

// TestDump compares with testdata/dump.txt.
func TestDump(t *testing.T) {
	p := sample()
	if err := ir.Check(p); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := ir.Dump(&b, p); err != nil {
		t.Fatal(err)
	}
	const file = "testdata/dump.txt"
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("got\n%s\nwant\n%s", b.Bytes(), want)
	}
}
