package linttest

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"

	"github.com/cilium/ebpf/btf"

	"stapkit/target"
	"stapkit/target/desc"
	"stapkit/target/sym"
	"stapkit/target/tracefs"
)

// BTF is the type information of a test kernel, as a file has it.
func BTF(name string) ([]byte, error) {
	t, err := Kernel(name)
	if err != nil {
		return nil, err
	}
	return t.Source().BTF(desc.Kernel)
}

// Kernel gives a target for tests: a small kernel made here, the same on every
// machine. There are two, "old" (5.10) and "new" (6.12), which differ as kernels do:
//
//   - do_fork, and the member task_struct.state, exist in the old one only;
//     kernel_clone and __state in the new one only;
//   - in the new one, fold_it is there as fold_it.isra.0 only.
func Kernel(name string) (*target.Target, error) {
	switch name {
	case "old":
		return oldKernel()
	case "new":
		return newKernel()
	}
	return nil, fmt.Errorf("there is no test kernel %q", name)
}

var (
	oldKernel = sync.OnceValues(func() (*target.Target, error) { return makeKernel(false) })
	newKernel = sync.OnceValues(func() (*target.Target, error) { return makeKernel(true) })
)

func makeKernel(isNew bool) (*target.Target, error) {
	i32 := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	u32 := &btf.Int{Name: "unsigned int", Size: 4}
	i64 := &btf.Int{Name: "long int", Size: 8, Encoding: btf.Signed}
	u64 := &btf.Int{Name: "long unsigned int", Size: 8}
	char := &btf.Int{Name: "char", Size: 1, Encoding: btf.Signed}
	ptr := func(t btf.Type) btf.Type { return &btf.Pointer{Target: t} }
	str := ptr(&btf.Const{Type: char})
	user := ptr(&btf.TypeTag{Value: "user", Type: char})
	structOf := func(name string, members ...btf.Member) *btf.Struct {
		s := &btf.Struct{Name: name, Members: members}
		off := uint32(0)
		for i := range s.Members {
			size, err := btf.Sizeof(s.Members[i].Type)
			if err != nil {
				panic(err)
			}
			align := uint32(min(size, 8))
			off = (off + align - 1) / align * align
			s.Members[i].Offset = btf.Bits(off * 8)
			off += uint32(size)
		}
		s.Size = (off + 7) / 8 * 8
		return s
	}
	m := func(name string, t btf.Type) btf.Member { return btf.Member{Name: name, Type: t} }

	inode := structOf("inode", m("i_ino", u64), m("i_mode", u32))
	qstr := structOf("qstr", m("hash", u32), m("len", u32), m("name", str))
	dentry := structOf("dentry", m("d_inode", ptr(inode)), m("d_name", qstr))
	file := structOf("file", m("f_flags", u32), m("f_mode", u32), m("f_inode", ptr(inode)), m("f_dentry", ptr(dentry)), m("f_pos", i64))
	state := "state"
	if isNew {
		state = "__state"
	}
	task := structOf("task_struct", m(state, u32), m("pid", i32), m("tgid", i32), m("comm", &btf.Array{Index: u32, Type: char, Nelems: 16}), m("start_time", u64))
	request := structOf("request", m("tag", i32), m("__data_len", u32))
	filename := structOf("filename", m("name", str), m("uptr", ptr(&btf.Const{Type: char})))

	p := func(name string, t btf.Type) btf.FuncParam { return btf.FuncParam{Name: name, Type: t} }
	var types []btf.Type
	fn := func(name string, ret btf.Type, params ...btf.FuncParam) {
		types = append(types, &btf.Func{Name: name, Type: &btf.FuncProto{Return: ret, Params: params}, Linkage: btf.GlobalFunc})
	}
	void := &btf.Void{}
	for _, name := range []string{"vfs_read", "vfs_write"} {
		fn(name, i64, p("file", ptr(file)), p("buf", user), p("count", u64), p("pos", ptr(i64)))
	}
	fn("do_filp_open", ptr(file), p("dfd", i32), p("pathname", ptr(filename)))
	fn("schedule", void)
	fn("kmem_cache_alloc", ptr(void), p("s", ptr(void)), p("flags", u32))
	fn("kfree", void, p("objp", ptr(void)))
	fn("tcp_sendmsg", i32, p("sk", ptr(void)), p("size", u64))
	fn("poll_mask", u32, p("fd", i32))
	fn("blk_start", void, p("rq", ptr(request)))
	fn("blk_done", void, p("rq", ptr(request)))
	fn("task_done", void, p("task", ptr(task)))
	for i := range 150 {
		fn(fmt.Sprintf("demofs_op_%d", i), i32, p("n", i32))
	}
	if isNew {
		fn("kernel_clone", i32, p("flags", u64))
	} else {
		fn("do_fork", i64, p("clone_flags", u64))
		fn("fold_it", i32, p("n", i32))
	}
	trace := func(name string, params ...btf.FuncParam) {
		types = append(types, &btf.Typedef{Name: "btf_trace_" + name, Type: ptr(&btf.FuncProto{Return: void, Params: append([]btf.FuncParam{p("__data", ptr(void))}, params...)})})
		fn("__traceiter_"+name, i32, append([]btf.FuncParam{p("__data", ptr(void))}, params...)...)
	}
	trace("sched_switch", p("preempt", &btf.Int{Name: "bool", Size: 1, Encoding: btf.Bool}), p("prev", ptr(task)), p("next", ptr(task)))
	trace("sched_process_exit", p("p", ptr(task)))
	trace("kmalloc", p("call_site", u64), p("ptr", ptr(void)))
	types = append(types, structOf("pt_regs", m("r15", u64), m("di", u64), m("ax", u64), m("ip", u64), m("sp", u64)))

	b, err := btf.NewBuilder(types, nil)
	if err != nil {
		return nil, err
	}
	raw, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
	if err != nil {
		return nil, err
	}
	k := &kernel{raw: raw, info: desc.Info{Release: "5.10.0-test", Machine: "x86_64"}}
	var text strings.Builder
	addr := uint64(0xffffffff81000000)
	symbol := func(name string) {
		addr += 64
		fmt.Fprintf(&text, "%x T %s\n", addr, name)
	}
	for _, t := range types {
		if f, ok := t.(*btf.Func); ok {
			symbol(f.Name)
		}
	}
	if isNew {
		k.info.Release = "6.12.0-test"
		symbol("fold_it.isra.0")
	}
	if k.syms, err = sym.Parse([]byte(text.String())); err != nil {
		return nil, err
	}
	return target.New("the test kernel", k)
}

// kernel is the source of a test kernel.
type kernel struct {
	raw  []byte
	info desc.Info
	syms *sym.Table
}

func unknown() error { return fmt.Errorf("the test kernel has none: %w", desc.ErrUnknown) }

func (k *kernel) Info() (desc.Info, error)   { return k.info, nil }
func (k *kernel) Config() ([]byte, error)    { return []byte("CONFIG_SMP=y\nCONFIG_HZ=250\n"), nil }
func (k *kernel) Objects() ([]string, error) { return []string{desc.Kernel}, nil }
func (k *kernel) BTF(object string) ([]byte, error) {
	if object != desc.Kernel {
		return nil, unknown()
	}
	return k.raw, nil
}
func (k *kernel) Modules() ([]sym.Module, error) { return nil, nil }
func (k *kernel) Symbols() (*sym.Table, error)   { return k.syms, nil }
func (k *kernel) Events() ([]tracefs.Name, error) {
	return []tracefs.Name{{System: "kmem", Event: "kmalloc"}, {System: "sched", Event: "sched_process_exit"}, {System: "sched", Event: "sched_switch"}}, nil
}
func (k *kernel) Format(tracefs.Name) (*tracefs.Event, error) { return nil, unknown() }
func (k *kernel) FormatText(tracefs.Name) ([]byte, error)     { return nil, unknown() }
func (k *kernel) Deny() ([]string, error)                     { return nil, nil }
func (k *kernel) Traceable() ([]string, error)                { return nil, unknown() }
func (k *kernel) Features() (map[string]bool, error)          { return nil, unknown() }
func (k *kernel) Close() error                                { return nil }
