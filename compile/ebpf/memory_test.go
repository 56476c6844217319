package ebpf

import (
	"runtime"
	"testing"
	"unsafe"

	"stapkit/format"
	"stapkit/ir"
)

// TestMemory shows bytes at an address, printed and in strings, as package format
// does. The address is one of this process.
func TestMemory(t *testing.T) {
	needKernel(t)
	data := make([]byte, 64)
	copy(data, "text with \x01\xff and more of it, seen.\x00behind")
	addr := int64(uintptr(unsafe.Pointer(&data[0])))
	defer runtime.KeepAlive(data)
	prec := &ir.CtxArg{N: 1, Size: 8}
	formats := []struct {
		text string
		args []ir.Expr // before the address
	}{
		{"%#.4m", nil}, {"<%#.16m>", nil}, {"%#m|", nil}, {"%#20.9m|", nil}, {"%#.40M", nil}, {"%#M", nil}, {"%#40.3M|", nil},
		{"%#.50m|", nil}, {"%#.*m|", []ir.Expr{prec}}, {"[%#.*M]", []ir.Expr{prec}}, {"%#*.5m|", []ir.Expr{prec}}, {"%#.8000m", nil},
		{"%b|", nil}, {"%2b|", nil}, {"%.4b|", nil}, {"%-4.2b|", nil}, {"%8.1b|", nil}, {"%*b|", []ir.Expr{prec}},
	}
	for _, tt := range formats {
		t.Run(tt.text, func(t *testing.T) {
			f, err := format.Parse(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			last := addr
			if len(f.Memory()) == 0 {
				last = 0x4142434445464748
			} else if f.Directives[0].Prec == 8000 {
				last = 0x10 // nothing is there: a fault
			}
			str := ir.TStr(100)
			p := program([]ir.Global{scalar(str)}, []ir.Type{str})
			args := append(append([]ir.Expr{}, tt.args...), &ir.CtxArg{N: 0, Size: 8})
			print := printf(p, tt.text, args...)
			s := &ir.Sprintf{Format: print.(*ir.Print).Format, Args: args, T: str, Site: 1}
			p.Handlers[0].Body = []ir.Stmt{print, set(0, str, s), update(global(0, str), ir.OpSet, local(0, str))}
			m := load(t, p)
			for _, n := range []int64{0, 1, 3, 7, 12, 45, -1} {
				before := len(m.env.Out.String())
				m.run(0, last, n)
				var list []format.Arg
				for range tt.args {
					list = append(list, format.LongArg(n))
				}
				if mem := f.Memory(); len(mem) > 0 {
					size := mem[0].Directive.MemorySize(n)
					if size > len(data) {
						if e := m.errors[len(m.errors)-1]; e == "" {
							t.Fatal("no fault")
						}
						continue
					}
					list = append(list, format.MemoryArg(string(data[:size])))
				} else {
					list = append(list, format.LongArg(last))
				}
				want, err := format.Append(nil, f, list)
				if err != nil {
					t.Fatal(err)
				}
				if got := m.env.Out.String()[before:]; got != string(want) {
					t.Errorf("%d: printed %q, want %q", n, got, want)
				}
				text, err := format.Sprint(f, list, 100)
				if err != nil {
					t.Fatal(err)
				}
				got, _, err := m.store().Get(0, nil)
				if err != nil || got.S != text {
					t.Errorf("%d: string %q, want %q (%v)", n, got.S, text, err)
				}
			}
		})
	}
}
