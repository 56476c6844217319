package object

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// accessTo returns the access string of a path of member names and numbers (array
// elements) in t, going through anonymous members.
func accessTo(t testing.TB, typ btf.Type, path ...string) string {
	t.Helper()
	access := "0"
	for _, name := range path {
		b, err := bare(typ)
		if err != nil {
			t.Fatal(err)
		}
		if a, ok := b.(*btf.Array); ok {
			access += ":" + name
			typ = a.Type
			continue
		}
		sub, mt := findMember(b, name)
		if mt == nil {
			t.Fatalf("%v has no member %q", b, name)
		}
		access += sub
		typ = mt
	}
	return access
}

func findMember(t btf.Type, name string) (string, btf.Type) {
	ms, _ := membersOf(t)
	for i, m := range ms {
		if m.Name == name {
			return fmt.Sprintf(":%d", i), m.Type
		}
		if m.Name == "" {
			if b, err := bare(m.Type); err == nil {
				if sub, mt := findMember(b, name); mt != nil {
					return fmt.Sprintf(":%d%s", i, sub), mt
				}
			}
		}
	}
	return "", nil
}

func kernelSpec(t testing.TB) *btf.Spec {
	t.Helper()
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		t.Skipf("this kernel shows no BTF: %v", err)
	}
	return spec
}

func kernelStruct(t testing.TB, name string) *btf.Struct {
	t.Helper()
	var s *btf.Struct
	if err := kernelSpec(t).TypeByName(name, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// moved returns a copy of the struct with every member at another place, as if the
// object had been compiled for another kernel.
func moved(s *btf.Struct) *btf.Struct {
	c := &btf.Struct{Name: s.Name, Size: s.Size + 64, Members: append([]btf.Member(nil), s.Members...)}
	for i := range c.Members {
		c.Members[i].Offset += 64 * 8
	}
	return c
}

// TestCOREKinds relocates one load per kind against this kernel and compares with
// what the kernel's own BTF says. The object is made from the kernel's types, from
// types at wrong places, and holds only what is used.
func TestCOREKinds(t *testing.T) {
	task := kernelStruct(t, "task_struct")
	var migrate *btf.Enum
	if err := kernelSpec(t).TypeByName("pid_type", &migrate); err != nil {
		t.Fatal(err)
	}
	last := len(migrate.Values) - 1
	fields := []struct {
		name string
		path []string
	}{
		{"plain", []string{"pid"}},
		{"array element", []string{"comm", "3"}},
		{"nested", []string{"se", "sum_exec_runtime"}},
		{"deep", []string{"se", "load", "weight"}},
		{"pointer", []string{"mm"}},
		{"anonymous", []string{"rcu_users"}},
		{"bit-field", []string{"in_execve"}},
		{"bit-field 2", []string{"sched_reset_on_fork"}},
		{"enum or int", []string{"exit_code"}},
	}
	for _, f := range fields {
		t.Run(f.name, func(t *testing.T) {
			access := accessTo(t, task, f.path...)
			kinds := []COREKind{FieldByteOffset, FieldByteSize, FieldExists, FieldLShift, FieldRShift}
			for _, k := range kinds {
				want, err := CORE{task, access, k}.Local()
				if err != nil {
					t.Fatalf("kind %d: %v", k, err)
				}
				for name, root := range map[string]btf.Type{"as the kernel": task, "moved": moved(task)} {
					if got := relocated(t, CORE{root, access, k}); got != want {
						t.Errorf("kind %d, %s: %d, the kernel says %d", k, name, got, want)
					}
				}
			}
		})
	}
	for name, c := range map[string]CORE{
		"signed":        {task, accessTo(t, task, "exit_code"), FieldSigned},
		"unsigned":      {task, accessTo(t, task, "flags"), FieldSigned},
		"type exists":   {task, "0", TypeExists},
		"type size":     {task, "0", TypeSize},
		"type matches":  {migrate, "0", TypeMatches},
		"enumval":       {migrate, fmt.Sprint(last), EnumvalValue},
		"enumval there": {migrate, fmt.Sprint(last), EnumvalExists},
	} {
		want, err := c.Local()
		if err != nil {
			t.Fatal(err)
		}
		if got := relocated(t, c); got != want {
			t.Errorf("%s: %d, the kernel says %d", name, got, want)
		}
	}
	// An enumerator that has moved.
	other := &btf.Enum{Name: "pid_type", Size: 4, Values: []btf.EnumValue{{Name: migrate.Values[last].Name, Value: 77}}}
	if got := relocated(t, CORE{other, "0", EnumvalValue}); got != migrate.Values[last].Value {
		t.Errorf("enumerator is %d, want %d", got, migrate.Values[last].Value)
	}
	// What this kernel lacks.
	none := &btf.Struct{Name: "task_struct", Size: 8, Members: []btf.Member{{Name: "no_such_member", Type: intType}}}
	if got := relocated(t, CORE{none, "0:0", FieldExists}); got != 0 {
		t.Errorf("a missing member exists")
	}
	if got := relocated(t, CORE{&btf.Struct{Name: "no_such_struct", Size: 8}, "0", TypeExists}); got != 0 {
		t.Errorf("a missing type exists")
	}
	if got := relocated(t, CORE{&btf.Enum{Name: "pid_type", Size: 4, Values: []btf.EnumValue{{Name: "NO_SUCH"}}}, "0", EnumvalExists}); got != 0 {
		t.Errorf("a missing enumerator exists")
	}
	// Ids: of the kernel's type, and of our own in the object.
	spec := kernelSpec(t)
	var again *btf.Struct
	if err := spec.TypeByName("task_struct", &again); err != nil {
		t.Fatal(err)
	}
	id, err := spec.TypeID(again)
	if err != nil {
		t.Fatal(err)
	}
	if got := relocated(t, CORE{task, "0", TypeIDTarget}); got != uint64(id) {
		t.Errorf("type id %d, the kernel says %d", got, id)
	}
	if got := relocated(t, CORE{task, "0", TypeIDLocal}); got == 0 {
		t.Errorf("no local type id")
	}
}

// relocated returns the value that the relocation takes in a program on this kernel.
func relocated(t testing.TB, c CORE) uint64 {
	t.Helper()
	coll := mustLoad(t, &Spec{Programs: []Program{{Name: "p", Section: "raw_tp", Insns: asm.Instructions{
		WithCORE(asm.LoadImm(asm.R6, 0, asm.DWord), c),
		asm.LoadMapValue(asm.R1, 0, 0).WithReference(".data.out"),
		asm.StoreMem(asm.R1, 0, asm.R6, asm.DWord),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}}}, Data: []Data{{Name: ".data.out", Size: 8, Vars: []Var{{"out", 0, &btf.Int{Name: "u64", Size: 8}}}}}})
	run(t, coll, "p")
	var v uint64
	if err := coll.Variables["out"].Get(&v); err != nil {
		t.Fatal(err)
	}
	coll.Close()
	return v
}

// TestReduced sees that a kernel type brings along only what is used of it.
func TestReduced(t *testing.T) {
	task := kernelStruct(t, "task_struct")
	path := accessTo(t, task, "se", "sum_exec_runtime")
	obj := mustWrite(t, &Spec{Programs: []Program{{Name: "p", Section: "raw_tp", Insns: asm.Instructions{
		WithCORE(asm.Mov.Imm(asm.R0, 0), CORE{task, path, FieldByteOffset}), asm.Return(),
	}}}})
	if len(obj) > 3000 {
		t.Errorf("one member of task_struct makes an object of %d bytes", len(obj))
	}
	cs := mustSpec(t, obj)
	var local *btf.Struct
	if err := cs.Types.TypeByName("task_struct", &local); err != nil {
		t.Fatal(err)
	}
	if len(local.Members) != 1 || local.Members[0].Name != "se" || local.Size != task.Size {
		t.Errorf("local type is %+v", local)
	}
}

// TestDirectLoad relocates the offset of a load through a BTF pointer.
func TestDirectLoad(t *testing.T) {
	task := kernelStruct(t, "task_struct")
	coll := mustLoad(t, &Spec{Programs: []Program{{Name: "p", Section: "raw_tp", Insns: asm.Instructions{
		asm.FnGetCurrentTaskBtf.Call(),
		WithCORE(asm.LoadMem(asm.R0, asm.R0, 0, asm.Word), CORE{moved(task), accessTo(t, task, "tgid"), FieldByteOffset}),
		asm.Return(),
	}}}})
	if got := run(t, coll, "p"); got != uint32(os.Getpid()) {
		t.Errorf("tgid %d, want %d", got, os.Getpid())
	}
}

// TestAtomics executes each atomic operation; cilium/ebpf's own encoder turns all
// of them into additions.
func TestAtomics(t *testing.T) {
	for _, tt := range []struct {
		op       asm.AtomicOp
		mem, ret uint64 // after the operation on 12 with 10, comparing with 12
	}{
		{asm.AddAtomic, 22, 10}, {asm.FetchAdd, 22, 12},
		{asm.AndAtomic, 8, 10}, {asm.FetchAnd, 8, 12},
		{asm.OrAtomic, 14, 10}, {asm.FetchOr, 14, 12},
		{asm.XorAtomic, 6, 10}, {asm.FetchXor, 6, 12},
		{asm.Xchg, 10, 12}, {asm.CmpXchg, 10, 10},
	} {
		for _, size := range []asm.Size{asm.Word, asm.DWord} {
			for _, by := range []string{"opcode", "constant"} {
				ins := tt.op.Mem(asm.R10, asm.R1, size, -8)
				if by == "constant" {
					ins.Constant = int64(tt.op >> 8)
				}
				coll := mustLoad(t, &Spec{Programs: []Program{{Name: "p", Section: "raw_tp", Insns: asm.Instructions{
					StoreImm64(asm.R10, -8, 12),
					asm.Mov.Imm(asm.R1, 10),
					asm.Mov.Imm(asm.R0, 12),
					ins,
					asm.LoadMem(asm.R0, asm.R10, -8, size),
					asm.LSh.Imm(asm.R0, 8),
					asm.Or.Reg(asm.R0, asm.R1),
					asm.Return(),
				}}}})
				if got := run(t, coll, "p"); got != uint32(tt.mem<<8|tt.ret) {
					t.Errorf("%v %v by %s: memory %d and register %d, want %d and %d", tt.op, size, by, got>>8, got&0xff, tt.mem, tt.ret)
				}
				coll.Close()
			}
		}
	}
}

// kfuncSpec calls a string function of the kernel, or does without it.
func kfuncSpec(name string, optional bool) *Spec {
	str := &btf.Pointer{Target: &btf.Const{Type: charType}}
	return &Spec{
		Programs: []Program{{Name: "p", Section: "raw_tp", Insns: asm.Instructions{
			KfuncAddress(asm.R1, name),
			asm.JEq.Imm(asm.R1, 0, "without"),
			asm.LoadMapValue(asm.R1, 0, 0).WithReference(".rodata.s"),
			CallKfunc(name),
			asm.Return(),
			asm.Mov.Imm(asm.R0, 99).WithSymbol("without"),
			asm.Return(),
		}}},
		Data:   []Data{{Name: ".rodata.s", Bytes: []byte("seven..\x00")}},
		Kfuncs: []Kfunc{{Name: name, Proto: &btf.FuncProto{Return: intType, Params: []btf.FuncParam{{Name: "s__ign", Type: str}}}, Optional: optional}},
	}
}

// TestKfuncs calls a kernel function that exists and does without one that does not.
func TestKfuncs(t *testing.T) {
	var fn *btf.Func
	if err := kernelSpec(t).TypeByName("bpf_strlen", &fn); err != nil {
		t.Skipf("this kernel has no bpf_strlen: %v", err)
	}
	spec := kfuncSpec
	if got := run(t, mustLoad(t, spec("bpf_strlen", true)), "p"); got != 7 {
		t.Errorf("bpf_strlen returned %d", got)
	}
	if got := run(t, mustLoad(t, spec("bpf_strlen", false)), "p"); got != 7 {
		t.Errorf("bpf_strlen returned %d", got)
	}
	if got := run(t, mustLoad(t, spec("bpf_no_such_kfunc", true)), "p"); got != 99 {
		t.Errorf("without the optional function: %d", got)
	}
	coll, err := ebpf.NewCollection(mustSpec(t, mustWrite(t, spec("bpf_no_such_kfunc", false))))
	if err == nil {
		coll.Close()
		t.Errorf("a required function that is missing did not stop the load")
	}
}

// mapsSpec writes through a preset inner map, and calls a program through a preset
// program array.
func mapsSpec() *Spec {
	inner := Map{Name: "first", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 4}
	return &Spec{
		Programs: []Program{{
			Name: "main", Section: "raw_tp", Insns: asm.Instructions{
				asm.Mov.Reg(asm.R6, asm.R1),
				asm.StoreImm(asm.R10, -4, 1, asm.Word),
				asm.LoadMapPtr(asm.R1, 0).WithReference("generations"),
				asm.Mov.Reg(asm.R2, asm.R10),
				asm.Add.Imm(asm.R2, -4),
				asm.FnMapLookupElem.Call(),
				asm.JEq.Imm(asm.R0, 0, "none"),
				asm.Mov.Reg(asm.R1, asm.R0),
				asm.Mov.Reg(asm.R2, asm.R10),
				asm.Add.Imm(asm.R2, -4),
				asm.FnMapLookupElem.Call(),
				asm.JEq.Imm(asm.R0, 0, "none"),
				asm.Mov.Imm(asm.R1, 41),
				asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0),
				asm.Mov.Reg(asm.R1, asm.R6),
				asm.LoadMapPtr(asm.R2, 0).WithReference("calls"),
				asm.Mov.Imm(asm.R3, 2),
				asm.FnTailCall.Call(),
				asm.Mov.Imm(asm.R0, 1).WithSymbol("none"),
				asm.Return(),
			}}, {
			Name: "second", Section: "raw_tp", Insns: ret(77),
		}},
		Maps: []Map{
			{Name: "generations", Type: ebpf.ArrayOfMaps, KeySize: 4, MaxEntries: 2, Inner: &inner,
				Values: []MapValue{{1, "first"}}},
			{Name: "calls", Type: ebpf.ProgramArray, KeySize: 4, MaxEntries: 8, Values: []MapValue{{2, "second"}}},
			inner,
		},
	}
}

func TestMapsOfMaps(t *testing.T) {
	coll := mustLoad(t, mapsSpec())
	if got := run(t, coll, "main"); got != 77 {
		t.Fatalf("returned %d, want the second program's 77", got)
	}
	var v uint64
	if err := coll.Maps["first"].Lookup(uint32(1), &v); err != nil || v != 41 {
		t.Errorf("inner map holds %d (%v)", v, err)
	}
}

// TestLongJump crosses more instructions than a short jump reaches.
func TestLongJump(t *testing.T) {
	insns := asm.Instructions{asm.Mov.Imm(asm.R0, 5), asm.FnGetPrandomU32.Call(), asm.JEq.Imm(asm.R0, 0, "near"), asm.LongJump("far")}
	insns = append(insns, asm.Mov.Imm(asm.R0, 1).WithSymbol("near"))
	for range 33000 {
		insns = append(insns, asm.Add.Imm(asm.R0, 1))
	}
	insns = append(insns, asm.Mov.Imm(asm.R0, 6).WithSymbol("far"), asm.Return())
	needRoot(t)
	coll, err := ebpf.NewCollection(mustSpec(t, mustWrite(t, &Spec{Programs: []Program{{Name: "p", Section: "raw_tp", Insns: insns}}})))
	if err != nil {
		if os.Geteuid() != 0 || errors.Is(err, ebpf.ErrNotSupported) {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	defer coll.Close()
	if got := run(t, coll, "p"); got != 6 {
		t.Errorf("returned %d", got)
	}
}

// TestBpftool has libbpf read, link and load the object.
func TestBpftool(t *testing.T) {
	needRoot(t)
	tool, err := exec.LookPath("bpftool")
	if err != nil {
		tool = "/usr/sbin/bpftool"
		if _, err := os.Stat(tool); err != nil {
			t.Skip("bpftool is not installed")
		}
	}
	dir := t.TempDir()
	fs := filepath.Join(dir, "bpf")
	if err := os.Mkdir(fs, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "bpf", "bpf", fs).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a bpf file system: %s", out)
	}
	defer func() {
		if out, err := exec.Command("umount", fs).CombinedOutput(); err != nil {
			t.Errorf("umount: %s", out)
		}
	}()
	command := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(tool, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("bpftool %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	obj := filepath.Join(dir, "sample.o")
	if err := os.WriteFile(obj, mustWrite(t, sample()), 0o600); err != nil {
		t.Fatal(err)
	}

	pin := filepath.Join(fs, "p")
	command("prog", "load", obj, pin)
	dump := command("prog", "dump", "xlated", "pinned", pin)
	for _, line := range []string{
		`; probe kernel.trace("sys_enter") {`, "; hits[pid()]++",
		"; for (i = 0; i < 5; i++) sum += i", "; count(double(sum))",
		"; function double(n) { return n + n }", "long double", "long body",
	} {
		if !strings.Contains(dump, line) {
			t.Errorf("xlated dump lacks %q:\n%s", line, dump)
		}
	}
	if linum := command("prog", "dump", "xlated", "pinned", pin, "linum"); !strings.Contains(linum, "[file:t.stp line_num:2 line_col:3]") {
		t.Errorf("no line numbers:\n%s", linum)
	}
	if types := command("btf", "dump", "file", obj); !strings.Contains(types, "'task_struct'") || !strings.Contains(types, "'.maps'") {
		t.Errorf("BTF dump:\n%s", types)
	}
	// What libbpf does on its own: relocations of each kind, preset elements, and
	// kernel functions that are missing.
	task := kernelStruct(t, "task_struct")
	kinds := asm.Instructions{}
	for _, c := range []CORE{
		{moved(task), accessTo(t, task, "se", "load", "weight"), FieldByteOffset},
		{moved(task), accessTo(t, task, "comm", "3"), FieldByteSize},
		{task, accessTo(t, task, "in_execve"), FieldByteOffset},
		{task, accessTo(t, task, "in_execve"), FieldByteSize},
		{task, accessTo(t, task, "in_execve"), FieldLShift},
		{task, accessTo(t, task, "in_execve"), FieldRShift},
		{task, accessTo(t, task, "exit_code"), FieldSigned},
		{task, accessTo(t, task, "rcu_users"), FieldExists},
		{task, "0", TypeSize}, {task, "0", TypeExists}, {task, "0", TypeIDLocal}, {task, "0", TypeIDTarget},
		{&btf.Enum{Name: "pid_type", Size: 4, Values: []btf.EnumValue{{Name: "PIDTYPE_SID", Value: 77}}}, "0", EnumvalValue},
	} {
		kinds = append(kinds, WithCORE(asm.LoadImm(asm.R0, 0, asm.DWord), c), WithCORE(asm.Mov.Imm(asm.R0, 0), c))
	}
	for name, spec := range map[string]*Spec{
		"kinds": {Programs: []Program{{Name: "p", Section: "raw_tp", Insns: append(kinds, asm.Return())}}},
		"maps":  mapsSpec(),
		"weak":  kfuncSpec("bpf_no_such_kfunc", true),
	} {
		file := filepath.Join(dir, name+".o")
		if err := os.WriteFile(file, mustWrite(t, spec), 0o600); err != nil {
			t.Fatal(err)
		}
		command("prog", "loadall", file, filepath.Join(fs, name))
		command("gen", "object", filepath.Join(dir, name+"2.o"), file)
	}

	linked := filepath.Join(dir, "linked.o")
	command("gen", "object", linked, obj)
	command("prog", "load", linked, filepath.Join(fs, "q"))
	if skel := command("gen", "skeleton", obj); !strings.Contains(skel, "probe_1") {
		t.Errorf("skeleton:\n%.2000s", skel)
	}
	if skel := command("gen", "skeleton", "-L", obj); !strings.Contains(skel, "probe_1") {
		t.Errorf("light skeleton:\n%.2000s", skel)
	}
}
