package ebpf

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf/asm"

	"stapkit/format"
	"stapkit/ir"
)

// program makes a program of one raw tracepoint handler.
func program(globals []ir.Global, locals []ir.Type, body ...ir.Stmt) *ir.Program {
	p := &ir.Program{
		Name: "t", Globals: globals, Limits: ir.DefaultLimits(),
		Sites: []ir.Site{{}, {File: "t.stp", Line: 1, Col: 1, Token: "identifier 'x'"}},
	}
	p.Probes = []ir.Probe{{Point: "kernel.trace(\"t\")", Kind: "kernel.trace", Family: ir.FamTracepoint, Site: 1,
		Attach: []ir.Attach{{Carrier: "raw_tp", Target: "t"}}}}
	p.Handlers = []*ir.Handler{{Name: "p0", Kernel: true, Ctx: ir.CtxRawTP, Locals: locals, Body: body, MaxActions: 1000}}
	for i := range p.Globals {
		p.Globals[i].Lock = -1
		p.Globals[i].Share = ir.SharedBoth
		if p.Globals[i].IsArray() && p.Globals[i].MaxEntries == 0 {
			p.Globals[i].MaxEntries = 2048
		}
	}
	return p
}

func printf(p *ir.Program, text string, args ...ir.Expr) ir.Stmt {
	f, err := format.Parse(text)
	if err != nil {
		panic(err)
	}
	types := make([]ir.Type, len(args))
	for i, a := range args {
		types[i] = a.Type()
	}
	p.Formats = append(p.Formats, ir.Format{Text: text, Parsed: f, Args: types})
	return &ir.Print{Format: len(p.Formats) - 1, Args: args, Site: 1}
}

func num(v int64) ir.Expr { return &ir.IntConst{V: v} }

func intrinsic(id ir.IntrinsicID, args ...ir.Expr) ir.Expr {
	t := ir.Type{Kind: ir.Intrinsics[id].Result}
	if t.Kind == ir.Str {
		t.Width = max(ir.Intrinsics[id].Width, 8)
	}
	return &ir.Intrinsic{ID: id, Args: args, T: t, Site: 1}
}

func update(l ir.LValue, op ir.Op, r ir.Expr) ir.Stmt {
	return &ir.Eval{X: &ir.Update{L: l, Op: op, R: r, Site: 1}}
}

func global(g int, t ir.Type, keys ...ir.Expr) ir.LValue {
	return ir.LValue{Global: true, ID: g, Keys: keys, T: t}
}

func scalar(t ir.Type) ir.Global { return ir.Global{Name: "n", Value: t} }

func array(value ir.Type, keys ...ir.Type) ir.Global {
	return ir.Global{Name: "a", Value: value, Keys: keys}
}

// TestCost bounds what common handlers cost, in instructions of the whole program.
func TestCost(t *testing.T) {
	comm := ir.TStr(15)
	for _, tt := range []struct {
		name  string
		p     *ir.Program
		most  int
		stack bool
	}{
		{"n++", program([]ir.Global{scalar(ir.TInt)}, nil, update(global(0, ir.TInt), ir.OpAdd, num(1))), 8, true},
		{"a[execname()]++", program([]ir.Global{array(ir.TInt, comm)}, nil,
			update(global(0, ir.TInt, intrinsic(ir.IExecname)), ir.OpAdd, num(1))), 79, true},
		{"a[pid()]++", program([]ir.Global{array(ir.TInt, ir.TInt)}, nil,
			update(global(0, ir.TInt, intrinsic(ir.IPid)), ir.OpAdd, num(1))), 76, true},
		{"s <<< 1", func() *ir.Program {
			g := ir.Global{Name: "s", Value: ir.TStat, Stat: ir.StatShape{Sum: true, Min: true, Max: true}}
			return program([]ir.Global{g}, nil, &ir.Eval{X: &ir.StatAdd{L: global(0, ir.TStat), V: intrinsic(ir.IPid), Site: 1}})
		}(), 70, true},
		{"printf", func() *ir.Program {
			p := program(nil, nil)
			p.Handlers[0].Body = []ir.Stmt{printf(p, "%s %d\n", intrinsic(ir.IExecname), intrinsic(ir.IPid))}
			return p
		}(), 60, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spec, rep := generate(t, tt.p)
			r := rep.Handlers[0]
			if r.Instructions > tt.most {
				t.Errorf("%d instructions, at most %d", r.Instructions, tt.most)
			}
			if tt.stack != (r.Slot == 0) {
				t.Errorf("slot of %d bytes", r.Slot)
			}
			if testing.Verbose() {
				fmt.Println(asm.Instructions(spec.Programs[0].Insns))
			}
		})
	}
}
