package object

import (
	"bytes"
	"debug/elf"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"stapkit/internal/host"
)

// ret returns v from a program.
func ret(v int32) asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R0, v), asm.Return()}
}

// sample uses most of what an object can hold.
func sample() *Spec {
	u64 := &btf.Int{Name: "u64", Size: 8}
	task := &btf.Struct{Name: "task_struct", Size: 16, Members: []btf.Member{
		{Name: "pid", Type: intType, Offset: 0},
		{Name: "tgid", Type: intType, Offset: 32}, // wrong on purpose
		{Name: "unused", Type: u64, Offset: 64},
	}}
	line := func(n int, text string) Line { return Line{File: "t.stp", Text: text, Line: n, Col: 3} }
	return &Spec{
		Programs: []Program{{
			Name: "probe_1", Section: "raw_tp/sys_enter",
			Insns: asm.Instructions{
				asm.FnGetCurrentTask.Call().WithSource(line(1, "probe kernel.trace(\"sys_enter\") {")),
				WithCORE(asm.Mov.Imm(asm.R7, 0), CORE{Type: task, Access: "0:1", Kind: FieldByteOffset}).
					WithSource(line(2, "  hits[pid()]++")),
				asm.Mov.Reg(asm.R3, asm.R0),
				asm.Add.Reg(asm.R3, asm.R7),
				asm.Mov.Reg(asm.R1, asm.R10),
				asm.Add.Imm(asm.R1, -8),
				asm.Mov.Imm(asm.R2, 4),
				asm.FnProbeReadKernel.Call(),
				asm.LoadMem(asm.R6, asm.R10, -8, asm.Word),
				// session.tgid = tgid
				asm.LoadMapValue(asm.R1, 0, 8).WithReference(".data.session"),
				asm.StoreMem(asm.R1, 0, asm.R6, asm.Word),
				// bpf_loop(5, &body, &sum, 0)
				StoreImm64(asm.R10, -16, 0).WithSource(line(3, "  for (i = 0; i < 5; i++) sum += i")),
				asm.Mov.Imm(asm.R1, 5),
				FuncAddress(asm.R2, "body"),
				asm.Mov.Reg(asm.R3, asm.R10),
				asm.Add.Imm(asm.R3, -16),
				asm.Mov.Imm(asm.R4, 0),
				asm.FnLoop.Call(),
				asm.LoadMem(asm.R1, asm.R10, -16, asm.DWord),
				asm.Call.Label("double").WithSource(line(4, "  count(double(sum))")),
				asm.StoreMem(asm.R10, -16, asm.R0, asm.DWord),
				asm.StoreImm(asm.R10, -20, 0, asm.Word),
				asm.Mov.Reg(asm.R2, asm.R10),
				asm.Add.Imm(asm.R2, -20),
				asm.Mov.Reg(asm.R3, asm.R10),
				asm.Add.Imm(asm.R3, -16),
				asm.LoadMapPtr(asm.R1, 0).WithReference("counts"),
				asm.Mov.Imm(asm.R4, 0),
				asm.FnMapUpdateElem.Call(),
				asm.JEq.Imm(asm.R0, 0, "out"),
				asm.Mov.Imm(asm.R0, 1),
				asm.Return().WithSymbol("out"),
				// The callback: long body(u64 i, u64 *sum).
				asm.LoadMem(asm.R3, asm.R2, 0, asm.DWord).WithSymbol("body").WithSource(line(3, "  for (i = 0; i < 5; i++) sum += i")),
				asm.Add.Reg(asm.R3, asm.R1),
				asm.StoreMem(asm.R2, 0, asm.R3, asm.DWord),
				asm.Mov.Imm(asm.R0, 0),
				asm.Return(),
			},
		}},
		Functions: []Function{{
			Name: "double",
			Insns: asm.Instructions{
				asm.Mov.Reg(asm.R0, asm.R1).WithSource(line(9, "function double(n) { return n + n }")),
				asm.Add.Reg(asm.R0, asm.R1),
				asm.Return(),
			},
		}},
		Maps: []Map{
			{Name: "counts", Type: ebpf.Hash, Key: intType, Value: u64, MaxEntries: 16, Flags: 1},
			{Name: "out", Type: ebpf.RingBuf, MaxEntries: 4096},
		},
		Data: []Data{
			{Name: ".data.session", Size: 64, Bytes: []byte{1, 2, 3, 4}, Vars: []Var{
				{Name: "state", Offset: 0, Type: intType},
				{Name: "tgid", Offset: 8, Type: intType},
			}},
			{Name: ".rodata.text", Bytes: []byte("hello\x00")},
		},
		Sections: []Section{{Name: ".stap.info", Data: []byte("information")}},
	}
}

func mustWrite(t testing.TB, s *Spec) []byte {
	t.Helper()
	b, err := Write(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustSpec(t testing.TB, obj []byte) *ebpf.CollectionSpec {
	t.Helper()
	cs, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(obj))
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

// mustLoad loads the object into the kernel of this machine.
func mustLoad(t testing.TB, s *Spec) *ebpf.Collection {
	t.Helper()
	needRoot(t)
	coll, err := ebpf.NewCollection(mustSpec(t, mustWrite(t, s)))
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(coll.Close)
	return coll
}

func needRoot(t testing.TB) {
	t.Helper()
	host.NeedBPF(t)
}

// run calls a raw tracepoint or syscall program once and returns its R0.
func run(t testing.TB, coll *ebpf.Collection, name string) uint32 {
	t.Helper()
	p := coll.Programs[name]
	if p == nil {
		t.Fatalf("no program %q", name)
	}
	rc, err := p.Run(&ebpf.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return rc
}

func TestReadBack(t *testing.T) {
	cs := mustSpec(t, mustWrite(t, sample()))
	p := cs.Programs["probe_1"]
	if len(cs.Programs) != 1 || p == nil {
		t.Fatalf("programs %v", cs.Programs)
	}
	if p.Type != ebpf.RawTracepoint || p.AttachTo != "sys_enter" || p.License != "GPL" {
		t.Errorf("program is %v, attach to %q, licence %q", p.Type, p.AttachTo, p.License)
	}
	counts := cs.Maps["counts"]
	if counts == nil || counts.Type != ebpf.Hash || counts.KeySize != 4 || counts.ValueSize != 8 ||
		counts.MaxEntries != 16 || counts.Flags != 1 || counts.Value.TypeName() != "u64" {
		t.Errorf("counts is %+v", counts)
	}
	if out := cs.Maps["out"]; out == nil || out.Type != ebpf.RingBuf || out.MaxEntries != 4096 || out.KeySize != 0 {
		t.Errorf("out is %+v", out)
	}
	session := cs.Maps[".data.session"]
	if session == nil || session.ValueSize != 64 {
		t.Fatalf(".data.session is %+v", session)
	}
	if v := cs.Variables["tgid"]; v == nil || v.Offset != 8 || v.SectionName != ".data.session" {
		t.Errorf("variable tgid is %+v", v)
	}
	if cs.Maps[".rodata.text"] != nil {
		t.Errorf("nothing refers to .rodata.text, so it should not become a map")
	}
	var lines []string
	funcs := 0
	for i := range p.Instructions {
		if btf.FuncMetadata(&p.Instructions[i]) != nil {
			funcs++
		}
		if l, ok := p.Instructions[i].Source().(*btf.Line); ok {
			lines = append(lines, l.Line())
			if l.FileName() != "t.stp" || l.LineColumn() != 3 {
				t.Errorf("line %q is at %s:%d:%d", l.Line(), l.FileName(), l.LineNumber(), l.LineColumn())
			}
		}
	}
	if funcs != 3 {
		t.Errorf("%d functions, want 3", funcs)
	}
	want := []string{
		`probe kernel.trace("sys_enter") {`,
		"  hits[pid()]++",
		"  for (i = 0; i < 5; i++) sum += i",
		"  count(double(sum))",
		"  for (i = 0; i < 5; i++) sum += i",
		"function double(n) { return n + n }",
	}
	slices.Sort(lines) // cilium appends subprograms in the order of their names
	slices.Sort(want)
	if !slices.Equal(lines, want) {
		t.Errorf("lines %q", lines)
	}
}

// TestRun executes the sample: CO-RE, a callback, a subprogram, a map and data.
func TestRun(t *testing.T) {
	coll := mustLoad(t, sample())
	if rc := run(t, coll, "probe_1"); rc != 0 {
		t.Fatalf("rc %d", rc)
	}
	var v uint64
	if err := coll.Maps["counts"].Lookup(uint32(0), &v); err != nil || v != 20 {
		t.Errorf("twice the sum of 0..4 is %d (%v), want 20", v, err)
	}
	var tgid uint32
	if err := coll.Variables["tgid"].Get(&tgid); err != nil || tgid != uint32(os.Getpid()) {
		t.Errorf("tgid is %d (%v), want %d", tgid, err, os.Getpid())
	}
	var state uint32
	if err := coll.Variables["state"].Get(&state); err != nil || state != 0x04030201 {
		t.Errorf("initial data is %#x (%v)", state, err)
	}
}

func TestDeterministic(t *testing.T) {
	first := mustWrite(t, sample())
	for range 20 {
		if !bytes.Equal(first, mustWrite(t, sample())) {
			t.Fatal("the same input gave other bytes")
		}
	}
}

// TestLayout reads the file with another ELF reader and accounts for every byte.
func TestLayout(t *testing.T) {
	obj := mustWrite(t, sample())
	f, err := elf.NewFile(bytes.NewReader(obj))
	if err != nil {
		t.Fatal(err)
	}
	if f.Type != elf.ET_REL || f.Machine != elf.EM_BPF {
		t.Errorf("%v for %v", f.Type, f.Machine)
	}
	end, names := uint64(64), map[string]bool{}
	for i, s := range f.Sections[1:] {
		if names[s.Name] {
			t.Errorf("two sections %q", s.Name)
		}
		names[s.Name] = true
		if s.Offset < end || s.Offset-end >= s.Addralign {
			t.Errorf("section %d %q at %d, the one before ends at %d", i+1, s.Name, s.Offset, end)
		}
		if len(bytes.Trim(obj[end:s.Offset], "\x00")) != 0 {
			t.Errorf("bytes before section %q", s.Name)
		}
		end = s.Offset + s.FileSize
	}
	shoff := (end + 7) &^ 7
	if want := shoff + uint64(len(f.Sections))*64; want != uint64(len(obj)) {
		t.Errorf("file has %d bytes, want %d", len(obj), want)
	}
	if d, err := f.Section(".stap.info").Data(); err != nil || string(d) != "information" {
		t.Errorf(".stap.info is %q (%v)", d, err)
	}
}

func TestEmpty(t *testing.T) {
	// A script whose handlers all run in the loader has no programs.
	cs := mustSpec(t, mustWrite(t, &Spec{Sections: []Section{{".stap.ir", []byte{1}}}}))
	if len(cs.Programs) != 0 || len(cs.Maps) != 0 {
		t.Errorf("%+v", cs)
	}
}

func TestErrors(t *testing.T) {
	prog := func(insns ...asm.Instruction) *Spec {
		return &Spec{Programs: []Program{{Name: "p", Section: "raw_tp", Insns: append(asm.Instructions(insns), ret(0)...)}}}
	}
	far := asm.Instructions{asm.Ja.Label("far")}
	for range 40000 {
		far = append(far, asm.Mov.Imm(asm.R0, 0))
	}
	far = append(far, asm.Return().WithSymbol("far"))
	anon := &btf.Struct{Size: 4}
	named := &btf.Struct{Name: "s", Size: 4, Members: []btf.Member{{Name: "m", Type: intType}}}
	core := func(typ btf.Type, access string, k COREKind) *Spec {
		return prog(WithCORE(asm.Mov.Imm(asm.R1, 0), CORE{typ, access, k}))
	}
	withMap := func(m ...Map) *Spec { s := prog(); s.Maps = m; return s }
	withData := func(d ...Data) *Spec { s := prog(); s.Data = d; return s }

	for _, tt := range []struct {
		name string
		spec *Spec
		want string
	}{
		{"no label", prog(asm.Ja.Label("nowhere")), `no label "nowhere"`},
		{"two labels", prog(asm.Mov.Imm(asm.R1, 0).WithSymbol("l"), asm.Mov.Imm(asm.R1, 0).WithSymbol("l")), "set twice"},
		{"far", prog(far...), "more than a jump reaches"},
		{"no map", prog(asm.LoadMapPtr(asm.R1, 0).WithReference("m")), `no map is called "m"`},
		{"nameless map", prog(asm.LoadMapPtr(asm.R1, 3)), "without a name"},
		{"no function", prog(asm.Call.Label("f")), `no subprogram is called "f"`},
		{"no kfunc", prog(CallKfunc("k")), "not declared"},
		{"no kfunc address", prog(KfuncAddress(asm.R1, "k")), "not declared"},
		{"invalid", prog(asm.StoreImm(asm.R1, 0, 1, asm.DWord)), "invalid opcode"},
		{"wide immediate", prog(asm.Instruction{OpCode: asm.Mov.Op(asm.ImmSource), Constant: 1 << 40}), "exceeds 32 bits"},
		{"foreign helper", prog(asm.BuiltinFunc(0x10000001).Call()), "not one of Linux"},
		{"bad reference", prog(asm.Mov.Imm(asm.R1, 0).WithReference("x")), "cannot refer"},
		{"no section", &Spec{Programs: []Program{{Name: "p", Insns: ret(0)}}}, "no section"},
		{"bad section", &Spec{Programs: []Program{{Name: "p", Section: ".maps", Insns: ret(0)}}}, "cannot hold"},
		{"empty", &Spec{Programs: []Program{{Name: "p", Section: "raw_tp"}}}, "is empty"},
		{"nameless", &Spec{Programs: []Program{{Section: "raw_tp", Insns: ret(0)}}}, "no name"},
		{"same name", withMap(Map{Name: "p", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}), "name of a program and of a map"},
		{"anonymous root", core(anon, "0:0", FieldByteOffset), "no name to be found by"},
		{"no such member", core(named, "0:1", FieldByteOffset), "has 1 members"},
		{"not a struct", core(named, "0:0:0", FieldByteOffset), "goes into"},
		{"bad access", core(named, "0:x", FieldByteOffset), "invalid syntax"},
		{"type access", core(named, "0:0", TypeSize), "of a whole type"},
		{"not an enum", core(named, "0", EnumvalValue), "not an enum"},
		{"bad kind", core(named, "0", 99), "unknown kind"},
		{"not relocatable", prog(WithCORE(asm.Mov.Reg(asm.R1, asm.R2), CORE{named, "0:0", FieldExists})), "cannot be relocated"},
		{"outer without inner", withMap(Map{Name: "m", Type: ebpf.ArrayOfMaps, KeySize: 4, MaxEntries: 1}), "no inner map"},
		{"inner of a hash", withMap(Map{Name: "m", Type: ebpf.Hash, Inner: &Map{}}), "cannot have an inner map"},
		{"values of a hash", withMap(Map{Name: "m", Type: ebpf.Hash, Values: []MapValue{{0, "p"}}}), "initial elements"},
		{"value out of range", withMap(Map{Name: "m", Type: ebpf.ProgramArray, KeySize: 4, MaxEntries: 1, Values: []MapValue{{1, "p"}}}), "element 1 of 1"},
		{"value twice", withMap(Map{Name: "m", Type: ebpf.ProgramArray, KeySize: 4, MaxEntries: 1, Values: []MapValue{{0, "p"}, {0, "p"}}}), "given twice"},
		{"value unknown", withMap(Map{Name: "m", Type: ebpf.ProgramArray, KeySize: 4, MaxEntries: 1, Values: []MapValue{{0, "q"}}}), `no "q" for it`},
		{"key size", withMap(Map{Name: "m", Type: ebpf.Hash, Key: intType, KeySize: 8}), "key has 8 bytes and its type 4"},
		{"data name", withData(Data{Name: "session", Size: 8}), "loaders know"},
		{"data empty", withData(Data{Name: ".data.x"}), "is empty"},
		{"data short", withData(Data{Name: ".data.x", Size: 1, Bytes: []byte{1, 2}}), "2 bytes in a size of 1"},
		{"bss bytes", withData(Data{Name: ".bss", Bytes: []byte{1}}), "initial bytes"},
		{"data twice", withData(Data{Name: ".data.x", Size: 1}, Data{Name: ".data.x", Size: 1}), "name of a data section"},
		{"var outside", withData(Data{Name: ".data.x", Size: 4, Vars: []Var{{"v", 2, intType}}}), "overlap others or leave"},
		{"foreign section", &Spec{Sections: []Section{{".text", nil}}}, "only .stap.*"},
		{"section twice", &Spec{Sections: []Section{{".stap.a", nil}, {".stap.a", nil}}}, "two sections"},
		{"license", &Spec{License: "GPL\x00"}, "zero byte"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Write(tt.spec)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	s := prog(asm.LoadMapValue(asm.R1, 0, 8).WithReference(".data.x"))
	s.Data = []Data{{Name: ".data.x", Size: 8}}
	if _, err := Write(s); err == nil || !strings.Contains(err.Error(), "outside of .data.x") {
		t.Errorf("address behind the data: %v", err)
	}
	s = prog(asm.LoadMapValue(asm.R1, 0, 0).WithReference("m"))
	s.Maps = []Map{{Name: "m", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}}
	if _, err := Write(s); err == nil || !strings.Contains(err.Error(), "only Data directly") {
		t.Errorf("address of a map's value: %v", err)
	}
}
