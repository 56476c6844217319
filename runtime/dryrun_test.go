package loader

import (
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"stapkit/compile/object"
	"stapkit/ir"
	"stapkit/target"
)

// TestDryRun looks for probes on this kernel, by its types alone.
func TestDryRun(t *testing.T) {
	const vmlinux = "/sys/kernel/btf/vmlinux"
	if _, err := os.Stat(vmlinux); err != nil {
		t.Skip("needs a kernel with BTF")
	}
	tgt, err := target.FromBTF(vmlinux)
	if err != nil {
		t.Fatal(err)
	}
	defer tgt.Close()
	integer := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	task := func(members ...btf.Member) btf.Type {
		return &btf.Struct{Name: "task_struct", Size: 64, Members: members}
	}
	program := func(name string, relocations ...object.CORE) object.Program {
		insns := asm.Instructions{}
		for _, c := range relocations {
			insns = append(insns, object.WithCORE(asm.Mov.Imm(asm.R1, 0), c).
				WithSource(object.Line{File: "t.stp", Text: "probe", Line: 3, Col: 1}))
		}
		insns = append(insns, asm.Mov.Imm(asm.R0, 0), asm.Return())
		return object.Program{Name: name, Section: "raw_tp/sched_switch", Insns: insns}
	}
	pid := object.CORE{Type: task(btf.Member{Name: "pid", Type: integer}), Access: "0:0", Kind: object.FieldByteOffset}
	none := object.CORE{Type: task(btf.Member{Name: "no_such_member", Type: integer}), Access: "0:0", Kind: object.FieldByteOffset}
	asked := none
	asked.Kind = object.FieldExists
	elf, err := object.Write(&object.Spec{Programs: []object.Program{
		program("good", pid), program("bad", pid, none), program("asks", asked, none),
	}})
	if err != nil {
		t.Fatal(err)
	}
	p := &ir.Program{Handlers: []*ir.Handler{
		{Name: "good", Kernel: true}, {Name: "bad", Kernel: true}, {Name: "asks", Kernel: true}, {Name: "absent", Kernel: true}, {Name: "l"},
	}}
	at := func(carrier, target string, h int) ir.Attach {
		return ir.Attach{Carrier: carrier, Target: target, Handler: h}
	}
	for _, list := range [][]ir.Attach{
		{at("loader", "", 4)},
		{at("tp_btf", "sched_switch", 0)},
		{at("tp_btf", "no_such_tracepoint", 0), at("raw_tp", "sched_switch", 0)},
		{at("raw_tp", "no_such_tracepoint", 0)},
		{at("fentry", "no_such_function", 0)},
		{at("raw_tp", "sched_switch", 1)},
		{at("raw_tp", "sched_switch", 2)},
		{at("raw_tp", "sched_switch", 3)},
	} {
		p.Probes = append(p.Probes, ir.Probe{Point: list[0].Target, Attach: list})
	}
	states, err := DryRun(Image{Program: p, ELF: elf}, tgt)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		state State
		why   string
	}{
		{StateOK, ""}, {StateOK, ""}, {StateFallback, "no tracepoint no_such_tracepoint"}, {StateMissing, "no tracepoint"},
		{StateMissing, "no function no_such_function"}, {StateMissing, "t.stp:3"}, {StateOK, ""}, {StateMissing, "no program absent"},
	} {
		got := states[i]
		if got.State != want.state || !strings.Contains(strings.Join(got.Why, "\n"), want.why) || want.why == "" && len(got.Why) > 0 {
			t.Errorf("probe %d: %+v, want %+v", i, got, want)
		}
	}
	if _, err := DryRun(Image{Program: p, ELF: []byte("junk")}, tgt); err == nil {
		t.Error("an object that is none")
	}
}
