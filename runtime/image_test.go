package loader

import (
	"testing"

	"github.com/cilium/ebpf/asm"

	"stapkit/bundle"
	"stapkit/compile/object"
	"stapkit/ir"
)

// FuzzImage: a program and an object that mean ill are taken apart and judged, or refused.
// Both are as they come out of a bundle that is whole, since whoever makes a bundle can make
// its hashes fit.
func FuzzImage(f *testing.F) {
	p := &ir.Program{
		Name: "seed", Limits: ir.DefaultLimits(), Sites: []ir.Site{{}, {File: "seed.stp", Line: 1, Col: 1}},
		Globals: []ir.Global{{Name: "n", Value: ir.TInt, Lock: -1}},
		Handlers: []*ir.Handler{
			{Name: "k", Kernel: true, Ctx: ir.CtxRawTP, MaxActions: 1000},
			{Name: "l", MaxActions: 1000, Body: []ir.Stmt{&ir.Eval{X: &ir.Intrinsic{ID: ir.IExit, T: ir.TVoid}}}},
		},
		Probes: []ir.Probe{
			{Point: "a", Script: "a", Site: 1, Attach: []ir.Attach{{Carrier: "raw_tp", Target: "sys_enter"}}},
			{Point: "b", Script: "b", Site: 1, Attach: []ir.Attach{{Carrier: "loader", Handler: 1}}},
		},
	}
	enc, err := ir.Encode(p)
	if err != nil {
		f.Fatal(err)
	}
	elf, err := object.Write(&object.Spec{Programs: []object.Program{
		{Name: "k", Section: "raw_tp/sys_enter", Insns: asm.Instructions{asm.FnKtimeGetNs.Call(), asm.Mov.Imm(asm.R0, 0), asm.Return()}},
		{Name: "h", Section: "netfilter", Insns: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()}},
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(enc, elf)
	f.Add(enc, []byte(nil))
	f.Fuzz(func(t *testing.T, enc, elf []byte) {
		img, err := ImageOf(&bundle.Variant{ELF: elf, Sections: map[string][]byte{".stap.ir": enc}})
		if err != nil {
			return
		}
		u, err := Uses(img)
		if err != nil {
			return
		}
		if u.MapBytes < 0 || u.MapBytesPerCPU < 0 || u.Instructions < u.Programs && u.Programs > 0 {
			t.Errorf("%+v", u)
		}
		if _, err := OldestKernel(img); err != nil {
			t.Logf("the oldest kernel: %v", err)
		}
		Needs(img, &u)
		claim := u
		claim.Rights = nil
		if got := claim.Understates(&u); (got != "") != (len(u.Rights) > 0) {
			t.Errorf("a claim without rights, of %v: %q", u.Rights, got)
		}
	})
}
