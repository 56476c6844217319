package btf

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"stapkit/target/ctype"
)

const running = "/sys/kernel/btf/vmlinux"

// kernel gives the running kernel's BTF or skips.
func kernel(t testing.TB) *Spec {
	s, err := runningOnce()
	if err != nil {
		t.Skipf("no BTF of a running kernel: %v", err)
	}
	return s
}

var runningOnce = sync.OnceValues(func() (*Spec, error) { return Open(running) })

// TestAgainstBpftool compares every type of the running kernel with bpftool's
// dump of it. Type references are compared by the identity of their values.
func TestAgainstBpftool(t *testing.T) {
	s := kernel(t)
	if _, err := exec.LookPath("bpftool"); err != nil {
		t.Skip("bpftool is not installed")
	}
	out, err := exec.Command("bpftool", "btf", "dump", "file", running).Output()
	if err != nil {
		t.Fatal(err)
	}
	var (
		head   = regexp.MustCompile(`^\[(\d+)\] (\w+) '(.*?)' ?(.*)$`)
		field  = regexp.MustCompile(`^\t'(.*?)' (.*)$`)
		kinds  = map[string]Kind{"INT": KindInt, "PTR": KindPtr, "ARRAY": KindArray, "STRUCT": KindStruct, "UNION": KindUnion, "ENUM": KindEnum, "FWD": KindFwd, "TYPEDEF": KindTypedef, "VOLATILE": KindVolatile, "CONST": KindConst, "RESTRICT": KindRestrict, "FUNC": KindFunc, "FUNC_PROTO": KindFuncProto, "VAR": KindVar, "DATASEC": KindDatasec, "FLOAT": KindFloat, "DECL_TAG": KindDeclTag, "TYPE_TAG": KindTypeTag, "ENUM64": KindEnum64}
		id     ID
		kind   Kind
		nth    int
		counts = map[Kind]int{}
		fields int
	)
	anon := func(n string) string {
		if n == "(anon)" {
			return ""
		}
		return n
	}
	attrs := func(s string) map[string]string {
		m := map[string]string{}
		for _, f := range strings.Fields(s) {
			if k, v, ok := strings.Cut(f, "="); ok {
				m[k] = v
			}
		}
		return m
	}
	num := func(v string) int64 {
		v = strings.TrimRight(v, "UL")
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			u, err := strconv.ParseUint(v, 10, 64)
			if err != nil {
				t.Fatalf("[%d]: number %q", id, v)
			}
			return int64(u)
		}
		return n
	}
	same := func(what string, got ctype.Type, ref string) {
		if want := s.Type(ID(num(ref))); got != want {
			t.Errorf("[%d]: %s is %v, want type %s = %v", id, what, got, ref, want)
		}
	}
	sc := bufio.NewScanner(bytes.NewReader(out))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := sc.Text()
		if t.Failed() {
			t.FailNow() // one wrong step would give thousands of lines
		}
		if m := head.FindStringSubmatch(line); m != nil {
			id, kind, nth = ID(num(m[1])), kinds[m[2]], 0
			counts[kind]++
			if got := s.KindOf(id); got != kind {
				t.Fatalf("[%d]: kind %d, want %s", id, got, m[2])
			}
			if got := s.NameOf(id); got != anon(m[3]) {
				t.Errorf("[%d]: name %q, want %q", id, got, m[3])
			}
			a := attrs(m[4])
			switch typ := s.Type(id).(type) {
			case *ctype.Int:
				if kind == KindInt && (typ.Bytes != num(a["size"]) || typ.Signed != (a["encoding"] == "SIGNED") || (typ.Kind == ctype.BoolInt) != (a["encoding"] == "BOOL")) {
					t.Errorf("[%d]: %+v, want %s", id, typ, line)
				}
			case *ctype.Struct:
				if kind == KindStruct || kind == KindUnion {
					if typ.Bytes != num(a["size"]) || len(typ.Members()) != int(num(a["vlen"])) || typ.Origin != (ctype.Origin{Object: "vmlinux", ID: uint32(id)}) {
						t.Errorf("[%d]: size %d, %d members, %v; want %s", id, typ.Bytes, len(typ.Members()), typ.Origin, line)
					}
				}
			case *ctype.Enum:
				if (kind == KindEnum || kind == KindEnum64) && (typ.Bytes != num(a["size"]) || typ.Signed != (a["encoding"] == "SIGNED") || len(typ.Values()) != int(num(a["vlen"]))) {
					t.Errorf("[%d]: %d bytes signed %v; want %s", id, typ.Bytes, typ.Signed, line)
				}
			case *ctype.Pointer:
				if kind == KindPtr {
					same("target", typ.Elem, a["type_id"])
				}
			case *ctype.Array:
				if kind == KindArray {
					same("element", typ.Elem, a["type_id"])
					if typ.Len != num(a["nr_elems"]) {
						t.Errorf("[%d]: %d elements, want %s", id, typ.Len, line)
					}
				}
			case *ctype.Typedef:
				if kind == KindTypedef {
					same("alias", typ.Elem, a["type_id"])
				}
			case *ctype.Qualified:
				if kind == KindConst || kind == KindVolatile || kind == KindRestrict {
					same("inner type", typ.Elem, a["type_id"])
				}
			case *ctype.Func:
				if kind == KindFuncProto {
					same("result", typ.Result, a["ret_type_id"])
				}
			}
			if kind == KindFunc {
				f, ok := s.Func(id)
				if !ok || ctype.Type(f) != s.Type(ID(num(a["type_id"]))) {
					t.Errorf("[%d]: function type is not %s", id, a["type_id"])
				}
			}
			continue
		}
		m := field.FindStringSubmatch(line)
		if m == nil {
			continue // variables in data sections
		}
		fields++
		a := attrs(m[2])
		switch typ := s.Type(id).(type) {
		case *ctype.Struct:
			mem := typ.Members()[nth]
			same("member", mem.Type, a["type_id"])
			var bits int64
			if b := a["bitfield_size"]; b != "" {
				bits = num(b)
			}
			if mem.Name != anon(m[1]) || mem.Bit != num(a["bits_offset"]) || mem.Bits != bits {
				t.Errorf("[%d]: member %+v, want %s", id, mem, line)
			}
		case *ctype.Enum:
			if v := typ.Values()[nth]; v.Name != m[1] || v.Value != num(a["val"]) {
				t.Errorf("[%d]: %+v, want %s", id, v, line)
			}
		case *ctype.Func:
			if nth == len(typ.Params) {
				if !typ.Variadic || a["type_id"] != "0" {
					t.Errorf("[%d]: unexpected %s", id, line)
				}
				break
			}
			same("parameter", typ.Params[nth].Type, a["type_id"])
			if typ.Params[nth].Name != anon(m[1]) {
				t.Errorf("[%d]: parameter %+v, want %s", id, typ.Params[nth], line)
			}
		}
		nth++
	}
	if int(id)+1 != s.Types() {
		t.Errorf("%d types, bpftool has %d", s.Types()-1, id)
	}
	if counts[KindFunc] < 10000 || fields < 100000 {
		t.Errorf("only %d functions and %d members were compared", counts[KindFunc], fields)
	}
	t.Logf("compared %d types, %d members, parameters and constants", id, fields)
}

func TestTracepoints(t *testing.T) {
	s := kernel(t)
	names := s.TracepointNames()
	if len(names) < 500 {
		t.Fatalf("%d tracepoints", len(names))
	}
	unnamed := 0
	for _, n := range names {
		tp, ok := s.Tracepoint(n)
		if !ok {
			t.Errorf("%s: listed but not found", n)
		}
		if !tp.Named {
			unnamed++
		}
	}
	if unnamed > 0 {
		t.Errorf("%d of %d tracepoints have no parameter names", unnamed, len(names))
	}
	tp, ok := s.Tracepoint("sched_switch")
	if !ok {
		t.Fatal("no sched_switch")
	}
	var got []string
	for _, p := range tp.Params {
		got = append(got, p.Name+":"+ctype.Name(p.Type))
	}
	// As SystemTap lists it (-L kernel.trace("sched:sched_switch")).
	want := "preempt:bool prev:struct task_struct* next:struct task_struct* prev_state:unsigned int"
	if g := strings.Join(got, " "); g != want {
		t.Errorf("sched_switch: %s\nwant %s", g, want)
	}
	if _, ok := s.Tracepoint("sched_switc"); ok {
		t.Error("found a tracepoint that does not exist")
	}
}

func TestConstant(t *testing.T) {
	s := kernel(t)
	v, e, ok := s.Constant("PIDTYPE_SID")
	if !ok || v != 3 || e.Name != "pid_type" {
		t.Errorf("PIDTYPE_SID: %d of %v, %v", v, e, ok)
	}
	if _, _, ok := s.Constant("NO_SUCH_CONSTANT"); ok {
		t.Error("found a constant that does not exist")
	}
}

func TestVars(t *testing.T) {
	s := kernel(t)
	for _, v := range s.Vars() {
		if v.Name == "runqueues" {
			if ctype.Name(v.Type) != "struct rq" || v.Section != ".data..percpu" || int64(v.Bytes) != v.Type.Size() {
				t.Errorf("%+v", v)
			}
			return
		}
	}
	t.Error("no variable runqueues")
}

// TestNames checks that a prefix walk gives what a full walk gives.
func TestNames(t *testing.T) {
	s := kernel(t)
	var all, some []string
	last := ""
	for n := range s.Names(KindFunc, "") {
		if n < last {
			t.Fatalf("%q after %q", n, last)
		}
		last = n
		if strings.HasPrefix(n, "vfs_") {
			all = append(all, n)
		}
	}
	for n, id := range s.Names(KindFunc, "vfs_") {
		some = append(some, n)
		if s.NameOf(id) != n {
			t.Errorf("%d is %s, not %s", id, s.NameOf(id), n)
		}
	}
	if strings.Join(all, " ") != strings.Join(some, " ") || len(all) < 50 {
		t.Errorf("%d and %d names", len(all), len(some))
	}
}

func BenchmarkOpen(b *testing.B) {
	if _, err := os.Stat(running); err != nil {
		b.Skip("no BTF of a running kernel")
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(running); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFunctions opens the BTF and makes the prototype of every function.
func BenchmarkFunctions(b *testing.B) {
	raw, err := ReadFile(running)
	if err != nil {
		b.Skip(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s, err := Parse("vmlinux", raw)
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for name, id := range s.Names(KindFunc, "") {
			f, _ := s.Func(id)
			n += len(ctype.Prototype(name, f))
		}
	}
}

func BenchmarkVfs(b *testing.B) {
	raw, err := ReadFile(running)
	if err != nil {
		b.Skip(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s, err := Parse("vmlinux", raw)
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for name, id := range s.Names(KindFunc, "vfs_") {
			f, _ := s.Func(id)
			n += len(ctype.Prototype(name, f))
		}
	}
}
