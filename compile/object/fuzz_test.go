package object

import (
	"bytes"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// FuzzCORE writes relocations with any access and kind: an error or an object that
// cilium/ebpf reads back with that relocation, never a panic.
func FuzzCORE(f *testing.F) {
	for _, a := range []string{"0", "0:0", "0:1:3", "0:2:0", "0:3", "1:0", "", ":", "0:99999999999", "0:1:3:0"} {
		f.Add(a, uint32(FieldByteOffset))
		f.Add(a, uint32(FieldLShift))
		f.Add(a, uint32(EnumvalValue))
	}
	inner := &btf.Struct{Size: 8, Members: []btf.Member{{Name: "deep", Type: longType}}}
	enum := &btf.Enum{Name: "e", Size: 4, Values: []btf.EnumValue{{Name: "A", Value: 1}, {Name: "B", Value: 2}}}
	root := &btf.Struct{Name: "root", Size: 64, Members: []btf.Member{
		{Name: "first", Type: intType},
		{Name: "list", Type: &btf.Array{Index: intType, Type: intType, Nelems: 4}, Offset: 64},
		{Type: inner, Offset: 256},
		{Name: "bits", Type: intType, Offset: 325, BitfieldSize: 3},
		{Name: "self", Type: &btf.Pointer{Target: enum}, Offset: 384},
	}}
	f.Fuzz(func(t *testing.T, access string, kind uint32) {
		for _, typ := range []btf.Type{root, enum, &btf.Typedef{Name: "root_t", Type: root}} {
			obj, err := Write(&Spec{Programs: []Program{{Name: "p", Section: "raw_tp", Insns: asm.Instructions{
				WithCORE(asm.LoadImm(asm.R0, 0, asm.DWord), CORE{typ, access, COREKind(kind)}), asm.Return(),
			}}}})
			if err != nil {
				continue
			}
			cs, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(obj))
			if err != nil {
				t.Fatalf("%q kind %d: %v", access, kind, err)
			}
			if btf.CORERelocationMetadata(&cs.Programs["p"].Instructions[0]) == nil {
				t.Fatalf("%q kind %d: the relocation is lost", access, kind)
			}
		}
	})
}
