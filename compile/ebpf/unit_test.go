package ebpf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	cebpf "github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"stapkit/compile/object"
	"stapkit/diag"
	"stapkit/ir"
	"stapkit/ir/irgen"
	"stapkit/target/btf"
	"stapkit/target/ctype"
)

func local(id int, t ir.Type) ir.Expr { return &ir.Local{ID: id, T: t} }

func eval(x ir.Expr) ir.Stmt { return &ir.Eval{X: x} }

func set(id int, t ir.Type, x ir.Expr) ir.Stmt {
	return update(ir.LValue{ID: id, T: t}, ir.OpSet, x)
}

func bin(op ir.Op, x, y ir.Expr) ir.Expr {
	return &ir.Binary{Op: op, X: x, Y: y, T: ir.TInt, Site: 1}
}

// TestFaults reads through bad addresses, in and outside of try.
func TestFaults(t *testing.T) {
	str := ir.TStr(63)
	kstr := func(addr int64) ir.Expr {
		return &ir.Intrinsic{ID: ir.IKernelStr, Args: []ir.Expr{num(addr), num(63)}, T: str, Site: 1}
	}
	reads := []ir.Expr{
		&ir.Load{Addr: num(0x10), Size: 4, Site: 1},
		&ir.Load{Addr: num(0x18), Size: 8, Space: ir.UserSpace, Site: 1},
		&ir.Intrinsic{ID: ir.IKernelMem, Args: []ir.Expr{num(0x20), num(-2)}, T: ir.TInt, Site: 1},
		bin(ir.OpDiv, num(1), local(0, ir.TInt)),
	}
	p := program([]ir.Global{array(ir.TInt, ir.TInt)}, []ir.Type{ir.TInt, str})
	p.Globals[0].MaxEntries = 1
	h := p.Handlers[0]
	try := func(body ...ir.Stmt) {
		h.Body = append(h.Body, &ir.Try{Body: body, Var: 1, Catch: []ir.Stmt{printf(p, "%s\n", local(1, str))}})
	}
	for _, r := range reads {
		try(set(0, ir.TInt, r))
	}
	try(set(1, str, kstr(0x28)))
	try(eval(&ir.Intrinsic{ID: ir.IUserStr, Args: []ir.Expr{num(8), num(9)}, T: str, Site: 1}))
	try(update(global(0, ir.TInt, num(1)), ir.OpSet, num(1)), update(global(0, ir.TInt, num(2)), ir.OpSet, num(1)))
	try(eval(intrinsic(ir.IError, &ir.StrConst{S: "mine"})))
	h.Body = append(h.Body, set(1, str, &ir.StrConst{S: "kept"}),
		&ir.Try{Body: []ir.Stmt{set(1, str, kstr(1))}, Var: -1, Catch: []ir.Stmt{printf(p, "%s\n", local(1, str))}})
	h.Body = append(h.Body, eval(kstr(0x30)), printf(p, "not reached\n"))
	m := load(t, p)
	m.run(0)
	want := "read fault [man error::fault] at 0x10\nread fault [man error::fault] at 0x18\n" +
		"read fault [man error::fault] at 0x20\ndivision by 0\n" +
		"kernel string copy fault at 0x28 [man error::fault]\nuser string copy fault -14 at 0x8 [man error::fault]\n" +
		"Array overflow, check size limit (1)\nmine\nkept\n"
	if got := m.env.Out.String(); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
	if want := irgen.ErrorLine(ir.ErrKernelStr, 0x30, 1, ""); m.errors[0] != want {
		t.Errorf("error %s, want %s", m.errors[0], want)
	}
	if n := m.session(ir.SessOffErrors); n != 1 {
		t.Errorf("%d errors counted", n)
	}
}

// TestErrorsEndSession: the session's state changes when there are too many.
func TestErrorsEndSession(t *testing.T) {
	p := program(nil, nil, eval(intrinsic(ir.IError, &ir.StrConst{S: "x"})))
	m := load(t, p)
	b := m.value(ir.MapSession)
	le.PutUint64(b[ir.SessOffMaxErrors:], 1)
	m.put(ir.MapSession, b)
	for i, want := range []ir.SessState{ir.SessRunning, ir.SessError, ir.SessError} {
		m.run(0)
		if s := ir.SessState(m.session(ir.SessOffState)); s != want {
			t.Errorf("state %d after %d errors", s, i+1)
		}
	}
	// The last run did nothing: the session was not running.
	if n := m.session(ir.SessOffErrors); n != 2 || m.errors[2] != "" {
		t.Errorf("%d errors counted, %q", n, m.errors)
	}
}

// TestExit: exit() changes the state at once, abort() ends the handler too.
func TestExit(t *testing.T) {
	for _, id := range []ir.IntrinsicID{ir.IExit, ir.IAbort} {
		p := program(nil, nil)
		p.Handlers[0].Body = []ir.Stmt{printf(p, "a"), eval(intrinsic(id)), printf(p, "b")}
		m := load(t, p)
		m.run(0)
		want := "ab"
		if id == ir.IAbort {
			want = "a"
		}
		if got := m.env.Out.String(); got != want || !m.env.Exited {
			t.Errorf("%v: printed %q, exited %v", id, got, m.env.Exited)
		}
		if s := m.session(ir.SessOffState); s != int64(ir.SessStopping) || m.session(ir.SessOffExit) != 1 {
			t.Errorf("state %d", s)
		}
	}
}

// TestChunks prints more than an output buffer holds.
func TestChunks(t *testing.T) {
	str := ir.TStr(511)
	p := program(nil, []ir.Type{ir.TInt, str})
	i := local(0, ir.TInt)
	line := strings.Repeat("0123456789", 30)
	p.Handlers[0].Body = []ir.Stmt{
		set(1, str, &ir.StrConst{S: line}),
		&ir.While{C: bin(ir.OpLt, i, num(100)), Body: []ir.Stmt{
			&ir.Tick{N: 1, Site: 1},
			printf(p, "%d %s %d\n", i, local(1, str), i),
		}, Post: []ir.Stmt{update(ir.LValue{ID: 0, T: ir.TInt}, ir.OpAdd, num(1))}},
	}
	m := load(t, p)
	m.run(0)
	var want strings.Builder
	for i := range 100 {
		fmt.Fprintf(&want, "%d %s %d\n", i, line, i)
	}
	if got := m.env.Out.String(); got != want.String() {
		t.Errorf("%d bytes of output, want %d", len(got), want.Len())
	}
	if m.raw < 8 {
		t.Errorf("only %d records", m.raw)
	}
}

// TestRingFull counts what does not fit the ring buffer.
func TestRingFull(t *testing.T) {
	p := program(nil, nil)
	p.Handlers[0].Body = []ir.Stmt{printf(p, "%d\n", num(1)), eval(intrinsic(ir.IError, &ir.StrConst{S: "x"}))}
	m := load(t, p)
	prog := m.coll.Programs["p0"]
	const runs = 20000
	if _, _, err := prog.Benchmark(nil, 1, nil); err != nil {
		_ = err // raw tracepoints do not repeat
	}
	for range runs {
		if _, err := prog.Run(&cebpf.RunOptions{Context: make([]byte, 48)}); err != nil {
			t.Fatal(err)
		}
	}
	m.drain()
	lost := m.session(ir.SessOffCounters+8*int(ir.DropOutput)) + m.session(ir.SessOffCounters+8*int(ir.DropError))
	if got := int64(strings.Count(m.env.Out.String(), "\n")) + int64(len(m.errors)) + lost; got != 2*runs || lost == 0 {
		t.Errorf("%d records came and were lost, want %d; lost %d", got, 2*runs, lost)
	}
	if n := m.session(ir.SessOffErrors); n != runs {
		t.Errorf("%d errors counted, want %d", n, runs)
	}
}

// TestReentrancy: without a free slot the invocation is skipped and counted.
func TestReentrancy(t *testing.T) {
	str := ir.TStr(511)
	p := program([]ir.Global{scalar(ir.TInt)}, []ir.Type{str},
		set(0, str, intrinsic(ir.IExecname)),
		update(global(0, ir.TInt), ir.OpAdd, &ir.Intrinsic{ID: ir.IStrLen, Args: []ir.Expr{local(0, str)}, T: ir.TInt, Site: 1}))
	m := load(t, p)
	scratch := m.coll.Maps[ir.MapScratch]
	claim := func(n uint64, free int) {
		b := make([]byte, scratch.ValueSize())
		le.PutUint64(b, n)
		for i := range scratch.MaxEntries() {
			if int(i%ir.SlotsPerCPU) != free {
				if err := scratch.Update(i, b, cebpf.UpdateAny); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	claim(1, -1)
	m.run(0)
	if n := m.session(ir.SessOffCounters + 8*int(ir.SkipReentrant)); n != 1 {
		t.Errorf("%d skipped", n)
	}
	claim(0, -1)
	for i := range ir.SlotsPerCPU {
		claim(0, -1)
		claim(1, i)
		before := m.session(p.ScalarOff(0))
		m.run(0)
		if after := m.session(p.ScalarOff(0)); after <= before {
			t.Errorf("slot %d free: nothing done", i)
		}
	}
}

// counters runs a handler on two CPUs at once, n times on each.
func (m *machine) twice(n int) {
	m.t.Helper()
	prog := m.coll.Programs["p0"]
	var wg sync.WaitGroup
	for cpu := range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			runtime.LockOSThread()
			var set unix.CPUSet
			set.Set(cpu % runtime.NumCPU())
			unix.SchedSetaffinity(0, &set)
			ctx := make([]byte, 48)
			for range n {
				if _, err := prog.Run(&cebpf.RunOptions{Context: ctx}); err != nil {
					m.t.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
}

// TestLock: compound updates of two globals under a lock lose nothing but what is
// counted as skipped.
func TestLock(t *testing.T) {
	p := program([]ir.Global{scalar(ir.TInt), scalar(ir.TInt), array(ir.TInt, ir.TInt)}, nil,
		&ir.Lock{ID: 0},
		update(global(0, ir.TInt), ir.OpSet, bin(ir.OpAdd, &ir.GlobalGet{G: 0, T: ir.TInt}, num(1))),
		update(global(1, ir.TInt), ir.OpSet, bin(ir.OpAdd, &ir.GlobalGet{G: 0, T: ir.TInt}, &ir.GlobalGet{G: 0, T: ir.TInt})),
		update(global(2, ir.TInt, num(7)), ir.OpSet, bin(ir.OpAdd, &ir.IndexGet{G: 2, Keys: []ir.Expr{num(7)}, T: ir.TInt}, num(1))),
		&ir.Unlock{ID: 0})
	p.Locks = 1
	p.Globals[1].Slot = 1
	for i := range p.Globals {
		p.Globals[i].Lock = 0
	}
	m := load(t, p)
	const n = 30000
	m.twice(n)
	skipped := m.session(ir.SessOffCounters + 8*int(ir.SkipLock))
	count := m.session(p.ScalarOff(0))
	if count+skipped != 2*n {
		t.Errorf("%d done, %d skipped of %d", count, skipped, 2*n)
	}
	if twice := m.session(p.ScalarOff(1)); twice != 2*count {
		t.Errorf("the second global is %d, not twice %d", twice, count)
	}
	var v int64
	if err := m.coll.Maps[ir.MapArray(2)].Lookup(int64(7), &v); err != nil || v != count {
		t.Errorf("the element is %d (%v), not %d", v, err, count)
	}
	if l := m.session(ir.LockOff(0)); l != 0 {
		t.Errorf("the lock word is %d at the end", l)
	}
	if skipped > n/10 {
		t.Errorf("%d of %d skipped", skipped, 2*n)
	}
}

// TestLockHeld: a lock that its owner does not give back makes handlers skip, at
// once if the owner is on this CPU; every way out gives a lock back.
func TestLockHeld(t *testing.T) {
	x := &ir.GlobalGet{G: 0, T: ir.TInt}
	p := program([]ir.Global{scalar(ir.TInt)}, nil, &ir.Lock{ID: 0},
		&ir.If{C: bin(ir.OpEq, x, num(1)), Then: []ir.Stmt{&ir.Next{}}},
		&ir.If{C: bin(ir.OpEq, x, num(2)), Then: []ir.Stmt{eval(intrinsic(ir.IError, &ir.StrConst{S: "e"}))}},
		&ir.If{C: bin(ir.OpEq, x, num(3)), Then: []ir.Stmt{&ir.Return{}}},
		&ir.If{C: bin(ir.OpEq, x, num(4)), Then: []ir.Stmt{&ir.Tick{N: 2000, Site: 1}}},
		&ir.If{C: bin(ir.OpEq, x, num(5)), Then: []ir.Stmt{eval(intrinsic(ir.IAbort))}},
		&ir.Unlock{ID: 0})
	p.Locks = 1
	p.Globals[0].Lock = 0
	m := load(t, p)
	lock := func(v uint64) {
		b := m.value(ir.MapSession)
		le.PutUint64(b[ir.LockOff(0):], v)
		m.put(ir.MapSession, b)
	}
	for i, v := range []uint64{1, 2, 99} { // this CPU is 0
		lock(v)
		m.run(0)
		if n := m.session(ir.SessOffCounters + 8*int(ir.SkipLock)); n != int64(i+1) {
			t.Errorf("owner %d: %d skipped", v-1, n)
		}
	}
	lock(0)
	for v := range 7 {
		b := m.value(ir.MapSession)
		le.PutUint64(b[p.ScalarOff(0):], uint64(v))
		m.put(ir.MapSession, b)
		m.run(0)
		if l := m.session(ir.LockOff(0)); l != 0 {
			t.Errorf("way out %d: the lock word is %d", v, l)
		}
		m.resume()
	}
}

// TestLockContexts loads handlers with a lock for probes that can be preempted.
func TestLockContexts(t *testing.T) {
	for _, carrier := range []string{"uprobe", "kprobe"} {
		p := program([]ir.Global{scalar(ir.TInt)}, nil, &ir.Lock{ID: 0},
			&ir.If{C: intrinsic(ir.ICpu), Then: []ir.Stmt{&ir.Return{}}},
			update(global(0, ir.TInt), ir.OpMul, num(2)), &ir.Unlock{ID: 0})
		p.Locks, p.Globals[0].Lock = 1, 0
		p.Handlers[0].Ctx = ir.CtxKprobe
		p.Probes[0].Attach[0] = ir.Attach{Carrier: carrier, Target: "vfs_read"}
		load(t, p)
	}
}

// TestConcurrent: single updates without a lock are exact.
func TestConcurrent(t *testing.T) {
	stat := ir.Global{Name: "s", Value: ir.TStat, Stat: ir.StatShape{Sum: true, Min: true, Max: true, Hist: ir.HistLog}}
	stats := stat
	stats.Keys = []ir.Type{ir.TInt}
	p := program([]ir.Global{scalar(ir.TInt), array(ir.TInt, ir.TStr(15)), stat, stats}, nil,
		update(global(0, ir.TInt), ir.OpAdd, num(3)),
		update(global(1, ir.TInt, intrinsic(ir.IExecname)), ir.OpAdd, num(1)),
		eval(&ir.StatAdd{L: global(2, ir.TStat), V: intrinsic(ir.IPid), Site: 1}),
		eval(&ir.StatAdd{L: global(3, ir.TStat, num(1)), V: num(5), Site: 1}))
	m := load(t, p)
	const n = 20000
	m.twice(n)
	s := m.store()
	if v, _, _ := s.Get(0, nil); v.I != 6*n {
		t.Errorf("scalar %d, want %d", v.I, 6*n)
	}
	list, _ := s.Snapshot(1)
	if len(list) != 1 || list[0].Val.I != 2*n {
		t.Errorf("elements %v, want one of %d", list, 2*n)
	}
	pid := int64(os.Getpid())
	if st, _ := s.Stat(2, nil); st.Count != 2*n || st.Sum != 2*n*pid || st.Min != pid || st.Max != pid {
		t.Errorf("aggregate %+v", st)
	}
	if list, _ := s.Snapshot(3); len(list) != 1 || list[0].Stat.Count != 2*n || list[0].Stat.Sum != 10*n {
		t.Errorf("aggregates %v", list)
	}
}

// TestRegion runs a region with parameters and a result.
func TestRegion(t *testing.T) {
	str := ir.TStr(23)
	p := program([]ir.Global{scalar(ir.TInt), array(ir.TInt, str)}, nil)
	r := &ir.Handler{
		Name: "r0", Kernel: true, Ctx: ir.CtxRegion, Locals: []ir.Type{ir.TInt, str, ir.TInt}, MaxActions: 1000,
		Params: []ir.RegionParam{{Local: 0, In: true, Out: true}, {Local: 1, In: true, Out: true}, {Local: 2, Out: true}},
		Body: []ir.Stmt{
			&ir.Lock{ID: 0},
			update(global(1, ir.TInt, local(1, str)), ir.OpAdd, local(0, ir.TInt)),
			update(ir.LValue{ID: 0, T: ir.TInt}, ir.OpMul, num(2)),
			update(ir.LValue{ID: 1, T: str}, ir.OpConcat, &ir.StrConst{S: "!"}),
			&ir.If{C: bin(ir.OpEq, local(0, ir.TInt), num(14)), Then: []ir.Stmt{set(2, ir.TInt, bin(ir.OpDiv, num(1), num(0)))}},
		},
		Result: &ir.IndexGet{G: 1, Keys: []ir.Expr{&ir.StrConst{S: "key"}}, T: ir.TInt},
	}
	p.Locks = 1
	p.Globals[0].Lock, p.Globals[1].Lock = 0, 0
	p.Regions = []*ir.Handler{r}
	m := load(t, p)
	offs, result, size := ir.RegionLayout(r)
	call := func(n int64, s string) []byte {
		b := make([]byte, size)
		le.PutUint64(b[offs[0]:], uint64(n))
		copy(b[offs[1]:], s)
		m.region(0, b)
		return b
	}
	b := call(5, "key")
	if le.Uint64(b) != ir.RegionOK || le.Uint64(b[offs[0]:]) != 10 || le.Uint64(b[offs[2]:]) != 0 || le.Uint64(b[result:]) != 5 {
		t.Errorf("buffer % x", b)
	}
	if s := b[offs[1] : offs[1]+24]; !bytes.Equal(s, append([]byte("key!"), make([]byte, 20)...)) {
		t.Errorf("string %q", s)
	}
	if b := call(6, "key"); le.Uint64(b[result:]) != 11 {
		t.Errorf("result %d", le.Uint64(b[result:]))
	}
	b = call(7, "key")
	if le.Uint64(b) != ir.RegionError || le.Uint32(b[8:]) != uint32(ir.ErrDivZero) || le.Uint32(b[12:]) != 1 || le.Uint64(b[offs[0]:]) != 14 {
		t.Errorf("buffer % x", b)
	}
	if l := m.session(ir.LockOff(0)); l != 0 {
		t.Errorf("the lock word is %d", l)
	}
	s := m.value(ir.MapSession)
	le.PutUint64(s[ir.LockOff(0):], 77)
	m.put(ir.MapSession, s)
	if b := call(1, "key"); le.Uint64(b) != ir.RegionBusy {
		t.Errorf("status %d with the lock held", le.Uint64(b))
	}
}

// kernelTypes is the running kernel's BTF.
func kernelTypes(t *testing.T) *btf.Spec {
	t.Helper()
	spec, err := btf.Open("/sys/kernel/btf/vmlinux")
	if err != nil {
		t.Skipf("no kernel types: %v", err)
	}
	return spec
}

// field makes an access to a member of a kernel structure.
func field(t *testing.T, p *ir.Program, spec *btf.Spec, name string, base ir.Expr, steps ...ctype.Step) *ir.Field {
	t.Helper()
	ids := spec.Lookup(btf.KindStruct, name)
	if len(ids) == 0 {
		t.Fatalf("no struct %s", name)
	}
	path, err := ctype.Resolve(spec.Type(ids[0]), steps)
	if err != nil {
		t.Fatal(err)
	}
	if len(path.Hops) != 1 {
		t.Fatalf("%d hops", len(path.Hops))
	}
	hop := &path.Hops[0]
	root, access := ctype.Reduce(hop)
	enc, err := ctype.Encode(root)
	if err != nil {
		t.Fatal(err)
	}
	p.Types = append(p.Types, ir.TypeRef{Kind: "struct", Name: name, Members: enc})
	f := &ir.Field{Base: base, TypeID: len(p.Types) - 1, Access: access, Off: int(hop.Offset), Size: int(hop.Type.Size()),
		Signed: ctype.IsSigned(hop.Type), Site: 1}
	if b := path.Bits; b != nil {
		f.Size, f.Signed, f.BitOff, f.BitSize = int(b.Storage), b.Signed, int(b.Bit), int(b.Bits)
	}
	return f
}

// commName is the test's own command name.
func commName(t *testing.T) string {
	t.Helper()
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(name))
}

// TestField reads members of the current task, at the right and, as if compiled for
// another kernel, at wrong offsets.
func TestField(t *testing.T) {
	needKernel(t)
	spec := kernelTypes(t)
	task := intrinsic(ir.ITask)
	for _, moved := range []int{0, 4096} {
		p := program(nil, []ir.Type{ir.TInt, ir.TStr(15)})
		f := func(steps ...ctype.Step) *ir.Field {
			f := field(t, p, spec, "task_struct", task, steps...)
			f.Off += moved // the relocation puts it right
			return f
		}
		comm := f(ctype.M("comm"))
		comm.AddrOnly = true
		bit := f(ctype.M("sched_reset_on_fork"))
		exists := &ir.Exists{TypeID: comm.TypeID, Access: comm.Access}
		p.Handlers[0].Body = []ir.Stmt{printf(p, "%d %s %d %d\n", f(ctype.M("tgid")),
			&ir.Intrinsic{ID: ir.IKernelStr, Args: []ir.Expr{comm, num(15)}, T: ir.TStr(15), Site: 1}, bit, exists)}
		m := load(t, p)
		m.run(0)
		want := fmt.Sprintf("%d %s 0 1\n", os.Getpid(), commName(t))
		if got := m.env.Out.String(); got != want {
			t.Errorf("moved by %d: printed %q, want %q", moved, got, want)
		}
	}
	// A null pointer is a fault at the member's offset.
	p := program(nil, nil)
	f := field(t, p, spec, "task_struct", num(0), ctype.M("tgid"))
	p.Handlers[0].Body = []ir.Stmt{eval(f)}
	m := load(t, p)
	m.run(0)
	if want := irgen.ErrorLine(ir.ErrKernelFault, int64(f.Off), 1, ""); m.errors[0] != want {
		t.Errorf("error %s, want %s", m.errors[0], want)
	}
}

// TestTrusted loads a program of a BTF tracepoint that reads through its arguments.
func TestTrusted(t *testing.T) {
	needKernel(t)
	spec := kernelTypes(t)
	p := program(nil, []ir.Type{ir.TStr(15)})
	h := p.Handlers[0]
	h.Ctx = ir.CtxBTFTP
	p.Probes[0].Attach[0] = ir.Attach{Carrier: "tp_btf", Target: "sched_switch"}
	next := &ir.CtxArg{N: 2, Size: 8}
	pid := field(t, p, spec, "task_struct", next, ctype.M("pid"))
	pid.Trusted = true
	far := field(t, p, spec, "mm_struct", field(t, p, spec, "task_struct", next, ctype.M("mm")), ctype.M("start_code"))
	h.Body = []ir.Stmt{printf(p, "%d %d\n", pid, &ir.CtxArg{N: 0, Size: 1})}
	try := &ir.Try{Var: -1, Body: []ir.Stmt{printf(p, "%d\n", far)}}
	h.Body = append(h.Body, try)
	load(t, p)
}

// TestTexts captures deferred text.
func TestTexts(t *testing.T) {
	deferred := func(k ir.Text, w int) ir.Type { return ir.Type{Kind: ir.Deferred, Text: k, Width: w} }
	p := program([]ir.Global{array(ir.TInt, deferred(ir.TextKSym, 8))}, []ir.Type{deferred(ir.TextKSym, 8)})
	sym := &ir.MakeText{Kind: ir.TextKSym, Args: []ir.Expr{num(0x1234)}, T: deferred(ir.TextKSym, 8), Site: 1}
	printf(p, "%d/%s/%s", intrinsic(ir.IPid), intrinsic(ir.IExecname), sym)
	lazy := &ir.MakeText{Kind: ir.TextFormat, Tag: ir.LazyFormat, Format: 0, Site: 1,
		Args: []ir.Expr{intrinsic(ir.IPid), intrinsic(ir.IExecname), sym}}
	lazy.T = deferred(ir.TextFormat, ir.LazyWidth(lazy.Args)+16)
	same := &ir.Binary{Op: ir.OpEq, X: local(0, sym.T), Y: sym, T: ir.TInt, Site: 1}
	p.Handlers[0].Body = []ir.Stmt{
		set(0, sym.T, sym),
		printf(p, "%s %s %s %s\n", sym,
			&ir.MakeText{Kind: ir.TextParms, Layout: 3, Args: []ir.Expr{num(1), num(-1)}, T: deferred(ir.TextParms, 24), Site: 1},
			&ir.MakeText{Kind: ir.TextType, Layout: 2, Flags: 1, Immediate: true, Args: []ir.Expr{num(9)}, Size: 8, T: deferred(ir.TextType, 24), Site: 1},
			lazy),
		printf(p, "%d", same),
		update(global(0, ir.TInt, local(0, sym.T)), ir.OpAdd, num(1)),
		printf(p, "%s %s\n",
			&ir.MakeText{Kind: ir.TextKStack, T: deferred(ir.TextKStack, 168), Site: 1},
			&ir.MakeText{Kind: ir.TextUStack, T: deferred(ir.TextUStack, 176), Site: 1}),
	}
	m := load(t, p)
	m.run(0)
	out := strings.Fields(m.env.Out.String())
	hex := func(words ...uint64) string {
		var b []byte
		for _, w := range words {
			b = le.AppendUint64(b, w)
		}
		return fmt.Sprintf("%x", bytes.TrimRight(b, "\x00"))
	}
	for i, want := range []string{
		fmt.Sprintf("text%d(%s)", ir.TextKSym, hex(0x1234)),
		fmt.Sprintf("text%d(%s)", ir.TextParms, hex(3, 1, ^uint64(0))),
		fmt.Sprintf("text%d(%s)", ir.TextType, hex(2|1<<32, 0, 9)),
	} {
		if out[i] != want {
			t.Errorf("text %d is %s, want %s", i, out[i], want)
		}
	}
	if want := fmt.Sprintf("%d/%s/%s", os.Getpid(), commName(t), out[0]); out[3] != want {
		t.Errorf("lazy text %s, want %s", out[3], want)
	}
	if !strings.HasPrefix(out[4], "1text") || len(out[4]) < 40 {
		t.Errorf("comparison and kernel stack: %s", out[4])
	}
	if !strings.HasPrefix(out[5], fmt.Sprintf("text%d(%s", ir.TextUStack, hex(uint64(os.Getpid())))) {
		t.Errorf("user stack: %s", out[5])
	}
	key := make([]byte, 8)
	le.PutUint64(key, 0x1234)
	var n int64
	if err := m.coll.Maps[ir.MapArray(0)].Lookup(key, &n); err != nil || n != 1 {
		t.Errorf("element %d (%v)", n, err)
	}
}

// TestContexts loads handlers of every context that this machine has, and makes
// those of the others.
func TestContexts(t *testing.T) {
	for _, tt := range []struct {
		ctx     ir.Context
		carrier string
		target  string
		loads   bool
	}{
		{ir.CtxRawTP, "raw_tp", "sched_switch", true},
		{ir.CtxBTFTP, "tp_btf", "sched_switch", true},
		{ir.CtxTracepoint, "tracepoint", "sched/sched_switch", true},
		{ir.CtxPerf, "perf", "", true},
		{ir.CtxKprobe, "uprobe", "", true},
		{ir.CtxKprobe, "kprobe", "vfs_read", true},
		{ir.CtxFentry, "fentry", "vfs_read", false},
		{ir.CtxFexit, "fexit", "vfs_read", false},
	} {
		t.Run(tt.carrier, func(t *testing.T) {
			str := ir.TStr(63)
			p := program([]ir.Global{scalar(ir.TInt)}, []ir.Type{ir.TInt, str})
			h := p.Handlers[0]
			h.Ctx, h.Return = tt.ctx, tt.carrier == "fexit"
			p.Probes[0].Attach[0] = ir.Attach{Carrier: tt.carrier, Target: tt.target}
			i := func(id ir.IntrinsicID, args ...ir.Expr) ir.Stmt {
				body := eval(intrinsic(id, args...))
				if !ir.Intrinsics[id].Fails {
					return body
				}
				return &ir.Try{Var: 1, Body: []ir.Stmt{body}, Catch: []ir.Stmt{printf(p, "%s", local(1, str))}}
			}
			h.Body = []ir.Stmt{
				i(ir.IHasRegs), i(ir.IUserMode), i(ir.IFuncIP), i(ir.IReg, num(16)), i(ir.IUReg, num(24)), i(ir.IArg, num(1)),
				i(ir.IRetval), i(ir.IPid), i(ir.ITid), i(ir.IUid), i(ir.IGid), i(ir.ICpu), i(ir.IKtimeNs), i(ir.IRealtimeNs),
				i(ir.IBoottimeNs), i(ir.IJiffies), i(ir.ICycles), i(ir.ITarget), i(ir.ILoaderPid), i(ir.IRandom), i(ir.IHz),
				i(ir.ISignal, num(0)),
				&ir.While{C: bin(ir.OpLt, local(0, ir.TInt), num(3)), Body: []ir.Stmt{update(ir.LValue{ID: 0, T: ir.TInt}, ir.OpAdd, num(1))}},
				printf(p, "%s\n", &ir.MakeText{Kind: ir.TextKStack, T: ir.Type{Kind: ir.Deferred, Text: ir.TextKStack, Width: 168}, Site: 1}),
			}
			_, err := tryLoad(t, p)
			if !tt.loads && errors.Is(err, unix.EPERM) {
				t.Skip("this kernel refuses trampolines")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLevel: no instruction is younger than Linux 6.1.
func TestLevel(t *testing.T) {
	for seed := range uint64(60) {
		p := irgen.New(seed, irgen.Options{Features: irgen.All, Kernel: true, Size: 30})
		spec, _, diags := Generate(p, Options{})
		if spec == nil {
			if r := (&refused{diags}); !r.unsupported() {
				t.Errorf("seed %d: %v", seed, diags)
			}
			continue
		}
		check := func(name string, insns asm.Instructions) {
			for _, in := range insns {
				op := in.OpCode
				switch {
				case op.Class() == asm.Jump32Class && op.JumpOp() == asm.Ja, op.JumpOp() == asm.JCOND && op.Class().IsJump():
					t.Errorf("seed %d: %s: %v", seed, name, in)
				case op.Class().IsALU() && (op.ALUOp() == asm.SDiv || op.ALUOp() == asm.SMod ||
					op.ALUOp() == asm.MovSX8 || op.ALUOp() == asm.MovSX16 || op.ALUOp() == asm.MovSX32):
					t.Errorf("seed %d: %s: %v", seed, name, in)
				case op.Class() == asm.LdXClass && op.Mode() == asm.MemSXMode:
					t.Errorf("seed %d: %s: %v", seed, name, in)
				}
			}
		}
		for _, x := range spec.Programs {
			check(x.Name, x.Insns)
		}
		for _, x := range spec.Functions {
			check(x.Name, x.Insns)
		}
	}
}

// TestSame: the same program gives the same object.
func TestSame(t *testing.T) {
	for seed := range uint64(10) {
		var objs [][]byte
		for range 3 {
			p := irgen.New(seed, irgen.Options{Features: irgen.All, Kernel: true, Size: 30})
			spec, _, diags := Generate(p, Options{})
			if spec == nil {
				t.Skip(diags)
			}
			b, err := object.Write(spec)
			if err != nil {
				t.Fatal(err)
			}
			objs = append(objs, b)
		}
		if !bytes.Equal(objs[0], objs[1]) || !bytes.Equal(objs[0], objs[2]) {
			t.Errorf("seed %d: three objects differ", seed)
		}
	}
}

// TestLimits: what cannot be compiled is refused at its place.
func TestLimits(t *testing.T) {
	wide := ir.TStr(4000)
	print8 := program(nil, []ir.Type{wide})
	args := slices.Repeat([]ir.Expr{local(0, wide)}, 8)
	print8.Handlers[0].Body = []ir.Stmt{printf(print8, strings.Repeat("%s", 8), args...)}

	many := program(nil, nil)
	var locals []ir.Type
	for i := range 12 {
		locals = append(locals, wide)
		many.Handlers[0].Body = append(many.Handlers[0].Body, set(i, wide, intrinsic(ir.IExecname)))
	}
	many.Handlers[0].Locals = locals

	keys := program([]ir.Global{array(ir.TInt, wide, wide, wide, wide, wide)}, nil)
	var ks []ir.Expr
	for range 5 {
		ks = append(ks, intrinsic(ir.IExecname))
	}
	keys.Handlers[0].Body = []ir.Stmt{update(global(0, ir.TInt, ks...), ir.OpAdd, num(1))}

	long := program(nil, []ir.Type{ir.TInt})
	for range 9000 {
		long.Handlers[0].Body = append(long.Handlers[0].Body,
			&ir.If{C: bin(ir.OpEq, intrinsic(ir.IRandom), num(1)), Then: []ir.Stmt{update(ir.LValue{ID: 0, T: ir.TInt}, ir.OpMul, intrinsic(ir.IPid))}})
	}
	long.Handlers[0].Body = []ir.Stmt{&ir.If{C: intrinsic(ir.ICpu), Then: long.Handlers[0].Body}}

	large := program([]ir.Global{array(ir.TInt, ir.TInt)}, nil, update(global(0, ir.TInt, num(1)), ir.OpAdd, num(1)))
	large.Globals[0].MaxEntries = 1<<27 + 1
	var arrays, stats []ir.Global
	var counts, adds []ir.Stmt
	for i := range 65 {
		arrays = append(arrays, array(ir.TInt, ir.TInt))
		counts = append(counts, update(global(i, ir.TInt, num(1)), ir.OpAdd, num(1)))
		stats = append(stats, ir.Global{Name: "s", Value: ir.TStat, Stat: ir.StatShape{Hist: ir.HistLog}, Slot: i})
		adds = append(adds, eval(&ir.StatAdd{L: global(i, ir.TStat), V: num(1), Site: 1}))
	}
	maps, aggregates := program(arrays, nil, counts...), program(stats, nil, adds...)
	loops := program([]ir.Global{array(ir.TInt, ir.TInt)}, []ir.Type{ir.TInt})
	for range 256 {
		loops.Handlers[0].Body = append(loops.Handlers[0].Body, &ir.Foreach{G: 0, Keys: []int{0}, Value: -1, Site: 1})
	}
	deep := program(nil, []ir.Type{ir.TStr(500)}, eval(&ir.Call{Chain: []int{0}, Args: []ir.Expr{local(0, ir.TStr(500))}, T: ir.TVoid, Site: 1}))
	deep.Limits.MaxNesting = 5000
	deep.Funcs = []*ir.Func{{Name: "f", Params: 1, Locals: []ir.Type{ir.TStr(500)}, Result: ir.TVoid, Recursive: true,
		Body: []ir.Stmt{eval(&ir.Call{Chain: []int{0}, Args: []ir.Expr{local(0, ir.TStr(500))}, T: ir.TVoid, Site: 1})}}}
	for _, p := range []*ir.Program{keys, large, aggregates} {
		for i := range p.Globals {
			p.Globals[i].Site = 1
		}
	}

	groups := program(nil, nil, eval(&ir.Match{X: intrinsic(ir.IExecname), Re: 0, Site: 1}))
	groups.Regexps = []ir.Regexp{{Pattern: "a.{14}b"}} // remembers which of 14 bytes were an a
	bad := program(nil, nil, eval(&ir.CtxField{Off: 0, Size: 8}))
	bad.Handlers[0].Body = []ir.Stmt{eval(&ir.Region{})}
	for _, tt := range []struct {
		name string
		p    *ir.Program
		code diag.Code
	}{
		{"print too long", print8, eOutput},
		{"too much memory", many, eTooWide},
		{"keys too wide", keys, eKeyWidth},
		{"too large", long, eTooLarge},
		{"array too large", large, eTooMany},
		{"too many arrays", maps, eTooMany},
		{"too many aggregates", aggregates, eTooWide},
		{"too many loops", loops, eTooMany},
		{"too deep", deep, eTooWide},
		{"expression too complex", groups, eUnsupported},
		{"region in a handler", bad, eInternal},
	} {
		spec, _, diags := Generate(tt.p, Options{})
		if spec != nil || len(diags) == 0 || diags[0].Code != tt.code {
			t.Errorf("%s: %v", tt.name, diags)
			continue
		}
		if tt.code != eInternal && diags[0].Range.Start.Line != 1 {
			t.Errorf("%s: no place in %v", tt.name, diags[0])
		}
	}
	if spec, _, diags := Generate(program(nil, nil), Options{Arch: "vax"}); spec != nil || len(diags) != 1 {
		t.Errorf("unknown architecture: %v", diags)
	}
}
