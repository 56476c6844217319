package plan_test

import (
	"testing"

	"stapkit/format"
	"stapkit/ir"
	"stapkit/plan"
)

// TestLazyParameters: the parameter of a function that only the loader calls, when
// it makes a text, is as wide as what it is given.
func TestLazyParameters(t *testing.T) {
	f, err := format.Parse("%s\n")
	if err != nil {
		t.Fatal(err)
	}
	str := ir.Type{Kind: ir.Str}
	p := &ir.Program{
		Name: "x", Limits: ir.DefaultLimits(),
		Formats: []ir.Format{{Text: "%s\n", Parsed: f, Args: []ir.Type{ir.TStr(511)}}},
		Funcs: []*ir.Func{{Name: "part", Params: 1, Locals: []ir.Type{str}, Result: str, Body: []ir.Stmt{
			&ir.Return{X: &ir.Intrinsic{ID: ir.IStrSub, Args: []ir.Expr{&ir.Local{ID: 0, T: str}, &ir.IntConst{V: 4}, &ir.IntConst{V: 4}}, T: str}},
		}}},
		Handlers: []*ir.Handler{{Name: "h", Kernel: true, Ctx: ir.CtxRawTP, MaxActions: 100, Body: []ir.Stmt{
			&ir.Print{Format: 0, Args: []ir.Expr{&ir.Call{Chain: []int{0}, Args: []ir.Expr{&ir.StrConst{S: "abcdefghijk"}}, T: str}}},
		}}},
		Probes: []ir.Probe{{Point: "p", Family: ir.FamTracepoint, Attach: []ir.Attach{{Carrier: "raw_tp", Target: "sys_enter"}}}},
		Sites:  []ir.Site{{}},
	}
	if ds := plan.Apply(p); len(ds) > 0 {
		t.Fatal(ds)
	}
	if err := ir.Check(p); err != nil {
		t.Fatal(err)
	}
	for _, f := range p.Funcs {
		if f.Locals[0].Width < len("abcdefghijk")+1 {
			t.Errorf("%s takes strings of %d bytes", f.Name, f.Locals[0].Width)
		}
	}
}
