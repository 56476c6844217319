package btf

import (
	"encoding/binary"
	"testing"

	cilium "github.com/cilium/ebpf/btf"

	"stapkit/target/ctype"
)

// TestExportLayout exports structs of the running kernel, writes them as BTF,
// reads that back and compares the layouts.
func TestExportLayout(t *testing.T) {
	s := kernel(t)
	x := NewExporter()
	b, err := cilium.NewBuilder(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"file", "task_struct", "sk_buff", "dentry", "pt_regs", "sched_entity"}
	for _, n := range names {
		c, err := x.Type(s.Type(s.Lookup(KindStruct, n)[0]))
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := x.Type(s.Type(s.Lookup(KindStruct, n)[0])); again != c {
			t.Errorf("%s: exported twice as different types", n)
		}
		if _, err := b.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := b.Marshal(nil, &cilium.MarshalOptions{Order: binary.LittleEndian, StripFuncLinkage: false})
	if err != nil {
		t.Fatal(err)
	}
	out, err := Parse("out", raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		want := ctype.Layout(s.Type(s.Lookup(KindStruct, n)[0]))
		if got := ctype.Layout(out.Type(out.Lookup(KindStruct, n)[0])); got != want {
			t.Errorf("%s: exported as\n%s\nwant\n%s", n, got, want)
		}
	}
	t.Logf("%d bytes for %d structs", len(raw), len(names))
}

// TestExportReduced exports the reduced types of a path and has the loader's
// library compare them with the running kernel's.
func TestExportReduced(t *testing.T) {
	s := kernel(t)
	spec, err := cilium.LoadSpec(running)
	if err != nil {
		t.Fatal(err)
	}
	file := &ctype.Pointer{Elem: s.Type(s.Lookup(KindStruct, "file")[0]), Bytes: 8}
	p, err := ctype.Resolve(file, []ctype.Step{ctype.M("f_path"), ctype.M("dentry"), ctype.M("d_name"), ctype.M("name")})
	if err != nil {
		t.Fatal(err)
	}
	x := NewExporter()
	for i := range p.Hops {
		root, access := ctype.Reduce(&p.Hops[i])
		c, err := x.Type(root)
		if err != nil {
			t.Fatal(err)
		}
		full, err := spec.AnyTypeByName(c.TypeName())
		if err != nil {
			t.Fatal(err)
		}
		if err := cilium.CheckTypeCompatibility(c, full); err != nil {
			t.Errorf("%v is not compatible with the kernel's: %v", c, err)
		}
		t.Logf("%s %s at %d", c.TypeName(), access, p.Hops[i].Offset)
	}
}

func TestExportEveryKind(t *testing.T) {
	s, err := Parse("test", every(binary.LittleEndian))
	if err != nil {
		t.Fatal(err)
	}
	x := NewExporter()
	b, err := cilium.NewBuilder(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for id := 1; id < s.Types(); id++ {
		c, err := x.Type(s.Type(ID(id)))
		if err != nil {
			t.Errorf("%d: %v", id, err)
			continue
		}
		if _, ok := c.(*cilium.Void); ok {
			continue
		}
		if _, err := b.Add(c); err != nil {
			t.Errorf("%d: %v", id, err)
		}
	}
	raw, err := b.Marshal(nil, &cilium.MarshalOptions{Order: binary.LittleEndian})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse("again", raw); err != nil {
		t.Error(err)
	}
	var self *ctype.Struct
	self = ctype.NewLazyStruct(ctype.StructKind, "self", 8, ctype.Origin{}, func() []ctype.Member {
		return []ctype.Member{{Name: "a", Type: self}}
	})
	if _, err := x.Type(self); err == nil {
		t.Error("exported a type that contains itself")
	}
}
