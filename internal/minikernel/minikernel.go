// Package minikernel makes the type information of a kernel of a few functions,
// structures and tracepoints, so that tests of tools give the same answers on every
// machine.
package minikernel

import (
	"os"

	"github.com/cilium/ebpf/btf"
)

// BTF is the type information, as a file /sys/kernel/btf/vmlinux has it.
func BTF() ([]byte, error) { return encode(types(false)) }

// Write writes it to a file.
func Write(path string) error { return write(path, false) }

// WriteNewer writes that of a newer kernel: it has a function more, vfs_splice, and one
// less, vfs_statx, and members of struct file lie elsewhere.
func WriteNewer(path string) error { return write(path, true) }

func write(path string, newer bool) error {
	raw, err := encode(types(newer))
	if err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o644)
}

func encode(list []btf.Type) ([]byte, error) {
	b, err := btf.NewBuilder(list, nil)
	if err != nil {
		return nil, err
	}
	return b.Marshal(nil, nil)
}

func integer(name string, size uint32, enc btf.IntEncoding) *btf.Int {
	return &btf.Int{Name: name, Size: size, Encoding: enc}
}

// layout gives members their offsets as a C compiler does.
func layout(name string, members ...btf.Member) *btf.Struct {
	s := &btf.Struct{Name: name}
	fill(s, members...)
	return s
}

func fill(s *btf.Struct, members ...btf.Member) {
	off, align := uint32(0), uint32(1)
	for i := range members {
		size, err := btf.Sizeof(members[i].Type)
		if err != nil {
			size = 8
		}
		a := uint32(min(max(size, 1), 8))
		for a&(a-1) != 0 {
			a &= a - 1
		}
		align = max(align, a)
		if members[i].BitfieldSize == 0 {
			off = (off + a - 1) / a * a
			members[i].Offset = btf.Bits(off) * 8
			off += uint32(size)
		} else {
			members[i].Offset += btf.Bits(off) * 8
		}
	}
	s.Members = append(s.Members, members...)
	s.Size = (off + align - 1) / align * align
}

func types(newer bool) []btf.Type {
	char := integer("char", 1, btf.Signed)
	i32 := integer("int", 4, btf.Signed)
	u16 := integer("unsigned short", 2, btf.Unsigned)
	u32 := integer("unsigned int", 4, btf.Unsigned)
	i64 := integer("long int", 8, btf.Signed)
	u64 := integer("long unsigned int", 8, btf.Unsigned)
	boolean := integer("_Bool", 1, btf.Bool)
	size := &btf.Typedef{Name: "size_t", Type: u64}
	ssize := &btf.Typedef{Name: "ssize_t", Type: i64}
	loff := &btf.Typedef{Name: "loff_t", Type: i64}
	ptr := func(t btf.Type) *btf.Pointer { return &btf.Pointer{Target: t} }
	cptr := func(t btf.Type) *btf.Pointer { return ptr(&btf.Const{Type: t}) }
	array := func(t btf.Type, n uint32) *btf.Array { return &btf.Array{Index: u32, Type: t, Nelems: n} }

	migrate := &btf.Enum{Name: "migrate_mode", Size: 4, Values: []btf.EnumValue{
		{Name: "MIGRATE_ASYNC", Value: 0}, {Name: "MIGRATE_SYNC_LIGHT", Value: 1}, {Name: "MIGRATE_SYNC", Value: 2}}}
	qstr := layout("qstr", btf.Member{Name: "len", Type: u32}, btf.Member{Name: "hash", Type: u32}, btf.Member{Name: "name", Type: cptr(char)})
	inode, dentry, file, task := &btf.Struct{Name: "inode"}, &btf.Struct{Name: "dentry"}, &btf.Struct{Name: "file"}, &btf.Struct{Name: "task_struct"}
	fill(inode, btf.Member{Name: "i_mode", Type: u16}, btf.Member{Name: "i_uid", Type: u32}, btf.Member{Name: "i_ino", Type: u64},
		btf.Member{Name: "i_size", Type: loff}, btf.Member{Name: "i_mode_sync", Type: migrate})
	fill(dentry, btf.Member{Name: "d_parent", Type: ptr(dentry)}, btf.Member{Name: "d_name", Type: qstr}, btf.Member{Name: "d_inode", Type: ptr(inode)},
		btf.Member{Name: "d_iname", Type: array(char, 32)})
	path := layout("path", btf.Member{Name: "dentry", Type: ptr(dentry)})
	locked := btf.Member{Name: "f_locked", Type: u32, BitfieldSize: 1}
	shared := btf.Member{Name: "f_shared", Type: u32, BitfieldSize: 3, Offset: 1}
	members := []btf.Member{locked, shared, {Name: "f_bits", Type: u32}}
	if newer {
		members = append(members, btf.Member{Name: "f_new", Type: array(u64, 3)})
	}
	fill(file, append(members, btf.Member{Name: "f_flags", Type: u32}, btf.Member{Name: "f_pos", Type: loff},
		btf.Member{Name: "f_path", Type: path}, btf.Member{Name: "f_inode", Type: ptr(inode)}, btf.Member{Name: "f_ready", Type: boolean})...)
	fill(task, btf.Member{Name: "pid", Type: i32}, btf.Member{Name: "tgid", Type: i32}, btf.Member{Name: "real_parent", Type: ptr(task)},
		btf.Member{Name: "comm", Type: array(char, 16)}, btf.Member{Name: "start_time", Type: u64})
	regs := []btf.Member{}
	for _, r := range []string{"r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx", "si", "di", "orig_ax", "ip", "cs", "flags", "sp", "ss"} {
		regs = append(regs, btf.Member{Name: r, Type: u64})
	}
	ptregs := layout("pt_regs", regs...)

	list := []btf.Type{task, file, ptregs, migrate}
	fn := func(name string, result btf.Type, params ...btf.FuncParam) {
		list = append(list, &btf.Func{Name: name, Linkage: btf.StaticFunc, Type: &btf.FuncProto{Return: result, Params: params}})
	}
	p := func(name string, t btf.Type) btf.FuncParam { return btf.FuncParam{Name: name, Type: t} }
	fn("vfs_read", ssize, p("file", ptr(file)), p("buf", ptr(char)), p("count", size), p("pos", ptr(loff)))
	fn("vfs_write", ssize, p("file", ptr(file)), p("buf", cptr(char)), p("count", size), p("pos", ptr(loff)))
	fn("vfs_fsync", i32, p("file", ptr(file)), p("datasync", i32))
	if newer {
		fn("vfs_splice", i32, p("file", ptr(file)), p("flags", i32))
	} else {
		fn("vfs_statx", i32, p("dfd", i32), p("flags", i32))
	}
	fn("do_exit", &btf.Void{}, p("code", i64))
	fn("wake_up_process", i32, p("p", ptr(task)))
	fn("migrate_pages", i32, p("mode", migrate), p("reason", i32))
	probe := func(name string, params ...btf.FuncParam) {
		params = append([]btf.FuncParam{p("__data", ptr(&btf.Void{}))}, params...)
		fn("__traceiter_"+name, i32, params...)
		bare := make([]btf.FuncParam, len(params)) // the typedef has no names
		for i := range params {
			bare[i].Type = params[i].Type
		}
		list = append(list, &btf.Typedef{Name: "btf_trace_" + name, Type: ptr(&btf.FuncProto{Return: &btf.Void{}, Params: bare})})
	}
	probe("sched_switch", p("preempt", boolean), p("prev", ptr(task)), p("next", ptr(task)), p("prev_state", u32))
	probe("sched_process_exec", p("p", ptr(task)), p("old_pid", i32))
	probe("sys_enter", p("regs", ptr(ptregs)), p("id", i64))
	probe("sys_exit", p("regs", ptr(ptregs)), p("ret", i64))
	return list
}
