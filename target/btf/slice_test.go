package btf

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stapkit/target/ctype"
)

// layout tells all that relocations ask of a type: members by place, with those of members
// that are structures.
func layout(t ctype.Type, depth int) string {
	st, ok := ctype.AsStruct(t)
	if !ok {
		return fmt.Sprintf("%d", t.Size())
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s %d {", st.Kind, st.Name, st.Bytes)
	for _, m := range st.Members() {
		fmt.Fprintf(&b, " %s %d %d", m.Name, m.Bit, m.Bits)
		if depth < 6 {
			b.WriteString(" " + layout(m.Type, depth+1))
		}
	}
	b.WriteString(" }")
	return b.String()
}

// TestSlice compares types that were taken out of the running kernel's with the originals.
func TestSlice(t *testing.T) {
	raw, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	if err != nil {
		t.Skip("needs a kernel with BTF")
	}
	all, err := Parse("vmlinux", raw)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"task_struct", "file", "sock", "pid_t", "kuid_t", "pid_type", "inode", "no_such_type"}
	out, err := Slice(raw, names)
	if err != nil {
		t.Fatal(err)
	}
	few, err := Parse("slice", out)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) > len(raw)/20 {
		t.Errorf("%d of %d bytes are kept", len(out), len(raw))
	}
	for _, name := range names {
		for _, kind := range []Kind{KindStruct, KindTypedef, KindEnum} {
			want, got := all.Lookup(kind, name), few.Lookup(kind, name)
			if len(want) != len(got) {
				t.Errorf("%s: %d of %d types of kind %d", name, len(got), len(want), kind)
				continue
			}
			for i := range want {
				if d := cmp.Diff(layout(all.Type(want[i]), 0), layout(few.Type(got[i]), 0)); d != "" {
					t.Errorf("%s: %s", name, d)
				}
			}
		}
	}
	if v, _, ok := all.Constant("PIDTYPE_TGID"); ok {
		if w, _, ok := few.Constant("PIDTYPE_TGID"); !ok || w != v {
			t.Errorf("a constant is %v instead of %v", w, v)
		}
	}
	if len(few.Lookup(KindFunc, "vfs_read")) > 0 || len(few.Lookup(KindStruct, "dentry")) > 0 {
		t.Error("what nobody has asked for is kept")
	}
}

func BenchmarkSlice(b *testing.B) {
	raw, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	if err != nil {
		b.Skip("needs a kernel with BTF")
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Slice(raw, []string{"task_struct", "file", "dentry"}); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzSlice: what is taken out of types can be read, or an error says why nothing is, as where
// a type refers to none; and nothing makes it panic.
func FuzzSlice(f *testing.F) {
	f.Add(every(binary.LittleEndian), "S")
	f.Add(every(binary.BigEndian), "E")
	f.Fuzz(func(t *testing.T, raw []byte, name string) {
		names := []string{name}
		s, perr := Parse("fuzz", raw)
		if perr == nil {
			for n := range s.Names(KindStruct, "") {
				names = append(names, n)
			}
		}
		out, err := Slice(raw, names)
		if perr != nil || err != nil {
			return
		}
		few, err := Parse("slice", out)
		if err != nil {
			t.Fatal(err)
		}
		for n := range s.Names(KindStruct, "") {
			if len(few.Lookup(KindStruct, n)) != len(s.Lookup(KindStruct, n)) {
				t.Fatalf("struct %q is missing", n)
			}
		}
	})
}
