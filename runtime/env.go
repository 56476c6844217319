//go:build linux

package loader

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"stapkit/format"
	"stapkit/ir"
	"stapkit/ir/interp"
	"stapkit/target/ctype"
)

// env is what loader handlers see. Handlers run one at a time, under
// session.handlers, so it needs no lock of its own.
type env struct {
	*session
	probe   int     // index of the probe whose handler runs
	buf     printed // what the handler has printed
	start   uint64  // ring position when it began
	shared  bool    // RUNNING: shared globals are in the kernel
	value   string  // of a procfs probe
	systems []string
	region  []byte
	of      *task              // for which the handler runs, nil: the loader
	marks   map[[2]uint64]bool // sets, if no kernel handler has any
}

// flushAt is the size at which a handler's output is written although the
// handler has not ended.
const flushAt = 4 << 20

// commit writes what the handler has printed, after everything that was in the
// ring when it began.
func (e *env) commit() {
	if len(e.buf.text) == 0 && len(e.buf.tape) == 0 {
		return
	}
	e.session.drainTo(e.start)
	if err := e.put(&e.buf, origin{e.probe, -1, clock(unix.CLOCK_REALTIME)}); err != nil {
		e.out.failWith(err)
	}
}

// Globals: those that the kernel touches are where the session's phase says.

// store returns where global g is at present if it is plain memory, else nil.
func (e *env) store(g int) *interp.Store {
	if !e.shared || e.p.Globals[g].Share == ir.LoaderOnly {
		return e.mem
	}
	if gen := e.gens[g]; gen != nil && gen.owned {
		return e.mem
	}
	return nil
}

// additive returns the generations of g if its content is in two places.
func (e *env) additive(g int) *generations {
	if gen := e.gens[g]; gen != nil && gen.kg.g.Additive {
		return gen
	}
	return nil
}

// canonical gives keys that are deferred text in the one spelling that the session has
// for that text.
func (e *env) canonical(g int, keys []interp.Value) []interp.Value {
	out := keys
	for i, t := range e.p.Globals[g].Keys {
		if t.Kind != ir.Deferred {
			continue
		}
		if &out[0] == &keys[0] {
			out = slices.Clone(keys)
		}
		out[i] = e.texts.canonical(keys[i])
	}
	return out
}

// Get implements interp.Globals.
func (e *env) Get(g int, keys []interp.Value) (interp.Value, bool, error) {
	keys = e.canonical(g, keys)
	if st := e.store(g); st != nil {
		return st.Get(g, keys)
	}
	if gen := e.additive(g); gen != nil {
		return gen.get(e.kernel, e.mem, keys)
	}
	return e.kernel.Get(g, keys)
}

// Update implements interp.Globals.
func (e *env) Update(g int, keys []interp.Value, op ir.Op, r interp.Value) (old, stored interp.Value, err error) {
	keys = e.canonical(g, keys)
	if st := e.store(g); st != nil {
		return st.Update(g, keys, op, r)
	}
	return e.kernel.Update(g, keys, op, r)
}

// StatAdd implements interp.Globals.
func (e *env) StatAdd(g int, keys []interp.Value, v int64) error {
	keys = e.canonical(g, keys)
	if st := e.store(g); st != nil {
		return st.StatAdd(g, keys, v)
	}
	return e.kernel.StatAdd(g, keys, v)
}

// Stat implements interp.Globals.
func (e *env) Stat(g int, keys []interp.Value) (*interp.Stat, error) {
	keys = e.canonical(g, keys)
	if st := e.store(g); st != nil {
		return st.Stat(g, keys)
	}
	if gen := e.additive(g); gen != nil {
		return gen.stat(e.kernel, e.mem, keys)
	}
	return e.kernel.Stat(g, keys)
}

// Delete implements interp.Globals.
func (e *env) Delete(g int, keys []interp.Value) error {
	keys = e.canonical(g, keys)
	if st := e.store(g); st != nil {
		return st.Delete(g, keys)
	}
	return e.kernel.Delete(g, keys)
}

// Clear implements interp.Globals.
func (e *env) Clear(g int) error {
	if st := e.store(g); st != nil {
		return st.Clear(g)
	}
	return e.kernel.Clear(g)
}

// Snapshot implements interp.Globals.
func (e *env) Snapshot(g int) ([]interp.Element, error) {
	if st := e.store(g); st != nil {
		return st.Snapshot(g)
	}
	if gen := e.additive(g); gen != nil {
		return gen.snapshot(e.kernel, e.storeProgram, e.mem)
	}
	return e.kernel.Snapshot(g)
}

// regionTime bounds how long a region is tried while kernel handlers hold its
// lock; each try is itself bounded by the program's MAXTRYLOCK.
const regionTime = 2 * time.Second

// Region implements interp.Env: while programs are attached, the region's own
// program does it in the kernel.
func (e *env) Region(id int, params []interp.Value) (result interp.Value, done bool, err error) {
	if !e.shared {
		return interp.Value{}, false, nil
	}
	prog := e.regions[id]
	if prog == nil || e.ownsRegion(id) {
		return interp.Value{}, false, nil
	}
	h := e.p.Regions[id]
	offs, resOff, size := ir.RegionLayout(h)
	if cap(e.region) < size {
		e.region = make([]byte, size)
	}
	b := e.region[:size]
	for end := time.Now().Add(regionTime); ; {
		clear(b)
		for i, p := range h.Params {
			if p.In {
				encodeValue(h.Locals[p.Local], b[offs[i]:], params[i])
			}
		}
		if err := runSyscallProgram(prog, b); err != nil {
			return interp.Value{}, true, fmt.Errorf("running region %s: %w", h.Name, err)
		}
		if native.Uint64(b) != ir.RegionBusy {
			break
		}
		if time.Now().After(end) {
			e.blk.counter(ir.SkipLock).Add(1)
			return interp.Value{}, true, interp.ErrSkip
		}
		runtime.Gosched()
	}
	for i, p := range h.Params {
		if p.Out {
			params[i] = decodeValue(h.Locals[p.Local], b[offs[i]:])
		}
	}
	if native.Uint64(b) == ir.RegionError {
		return interp.Value{}, true, &interp.Error{
			Code: ir.ErrCode(native.Uint32(b[8:])), Site: int(native.Uint32(b[12:])), Arg: int64(native.Uint64(b[16:])),
		}
	}
	if resOff >= 0 {
		result = decodeValue(h.Result.Type(), b[resOff:])
	}
	return result, true, nil
}

// Print implements interp.Env.
func (e *env) Print(f int, args []interp.Value) error {
	if err := e.session.print(&e.buf, f, args); err != nil {
		return err
	}
	e.full()
	return nil
}

func (e *env) full() {
	if len(e.buf.text) >= flushAt {
		e.commit()
	}
}

// PrintHist implements interp.Env.
func (e *env) PrintHist(g int, s *interp.Stat) error {
	if err := e.printHist(&e.buf, g, s.Hist); err != nil {
		return err
	}
	e.full()
	return nil
}

// Warn implements interp.Env.
func (e *env) Warn(text string) error {
	e.commit()
	e.out.warn(text)
	return nil
}

// Exit implements interp.Env.
func (e *env) Exit() error {
	e.requestExit()
	return nil
}

// System implements interp.Env. The command runs when the handler has ended.
func (e *env) System(cmd string) error {
	e.systems = append(e.systems, cmd)
	return nil
}

// Intrinsic implements interp.Env.
func (e *env) Intrinsic(id ir.IntrinsicID, args []interp.Value) (interp.Value, error) {
	switch id {
	case ir.IPid:
		return interp.IntValue(int64(e.who().pid)), nil
	case ir.ITid:
		return interp.IntValue(int64(e.who().tid)), nil
	case ir.IUid:
		return interp.IntValue(int64(e.who().uid)), nil
	case ir.IGid:
		return interp.IntValue(int64(e.who().gid)), nil
	case ir.IExecname:
		return interp.StrValue(e.who().name), nil
	case ir.IMarked, ir.IMark, ir.IUnmark:
		return e.member(id, uint64(args[0].I), uint64(args[1].I))
	case ir.ICpu:
		return interp.IntValue(int64(currentCPU())), nil
	case ir.ITask:
		addr, err := e.peek.task()
		if err == nil && e.of != nil {
			addr, err = e.taskOf(addr, e.of.tid)
		} else if err == nil {
			addr = e.mainTask(addr)
		}
		if err != nil {
			return interp.Value{}, interp.NewError(ir.ErrNoContext, 0)
		}
		return interp.IntValue(int64(addr)), nil
	case ir.IKtimeNs:
		return interp.IntValue(clock(unix.CLOCK_MONOTONIC)), nil
	case ir.IRealtimeNs:
		return interp.IntValue(clock(unix.CLOCK_REALTIME)), nil
	case ir.IBoottimeNs:
		return interp.IntValue(clock(unix.CLOCK_BOOTTIME)), nil
	case ir.IJiffies:
		return interp.IntValue(jiffies(clock(unix.CLOCK_MONOTONIC), e.hz)), nil
	case ir.ICycles:
		return interp.IntValue(clock(unix.CLOCK_MONOTONIC)), nil
	case ir.ITarget:
		return interp.IntValue(int64(e.blk.word(ir.SessOffTarget).Load())), nil
	case ir.ILoaderPid:
		return interp.IntValue(int64(os.Getpid())), nil
	case ir.IRandom:
		return interp.IntValue(int64(rand.Uint32())), nil
	case ir.IKsym:
		return interp.IntValue(int64(e.blk.word(e.p.KsymOff(int(args[0].I))).Load())), nil
	case ir.ITargetNS:
		return e.word(ir.SessOffPidNS + 8*int(args[0].I)), nil
	case ir.ILoadAvg:
		return e.word(ir.SessOffLoadAvg + 8*int(args[0].I)), nil
	case ir.IRemoteID:
		return e.word(ir.SessOffRemoteID), nil
	case ir.IStackPointer, ir.IKFrame, ir.IUFrame:
		return interp.IntValue(0), nil
	case ir.IRemoteURI, ir.IModuleSize, ir.IZoneOffset, ir.IZoneName:
		return e.session.tell(id, args)
	case ir.ISymbolLines:
		e.texts.mu.Lock()
		defer e.texts.mu.Unlock()
		return e.session.tell(id, args)
	case ir.ISwitchFile:
		e.commit()
		return interp.Value{}, e.session.fulfil(id, args)
	case ir.IPrintk, ir.IDumpStack:
		return interp.Value{}, e.session.fulfil(id, args)
	case ir.IHz:
		return interp.IntValue(e.hz), nil
	case ir.IValue:
		return interp.StrValue(e.value), nil
	case ir.ISetValue, ir.IAddValue:
		if id == ir.ISetValue {
			e.value = ""
		}
		e.value += args[0].S
		if limit := e.valueLimit(e.probe); len(e.value) > limit {
			e.value = e.value[:limit]
		}
		return interp.Value{}, nil
	case ir.ITraceText:
		// Where tracing is not mounted nobody reads the text.
		_ = e.session.kernelLine(traceMarker, args[0].S+"\n")
		return interp.Value{}, nil
	case ir.IHasRegs, ir.IUserMode, ir.IFuncIP, ir.IIsReturn, ir.ICompatCall:
		return interp.IntValue(0), nil
	}
	return interp.Value{}, interp.NewError(ir.ErrNoContext, 0)
}

// jiffies is jiffies_64 at a time of CLOCK_MONOTONIC: it starts at
// INITIAL_JIFFIES, 300 seconds before its low 32 bits wrap
// (include/linux/jiffies.h).
func jiffies(ns, hz int64) int64 {
	return int64(uint32(-300*hz)) + ns/(1e9/hz)
}

func clock(id int32) int64 {
	var ts unix.Timespec
	// The clocks in use exist on every kernel.
	_ = unix.ClockGettime(id, &ts)
	return ts.Nano()
}

func currentCPU() uint32 {
	var cpu uint32
	_, _, _ = unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0)
	return cpu
}

// ReadMem implements interp.Env.
func (e *env) ReadMem(space ir.Space, addr uint64, buf []byte) error {
	if space == ir.UserSpace {
		return unix.EFAULT // the loader's own memory is nobody's target
	}
	return e.peek.read(addr, buf)
}

// ReadStr implements interp.Env.
func (e *env) ReadStr(space ir.Space, addr uint64, max int) (string, error) {
	if space == ir.UserSpace {
		return "", unix.EFAULT
	}
	return e.peek.str(addr, max)
}

// CtxArg implements interp.Env: loader handlers have no context.
func (e *env) CtxArg(n int) (int64, error) { return 0, interp.NewError(ir.ErrNoContext, 0) }

// CtxBytes implements interp.Env.
func (e *env) CtxBytes(off int, buf []byte) error { return interp.NewError(ir.ErrNoContext, 0) }

// Member implements interp.Env.
func (e *env) Member(typeID int, access string) (interp.Member, bool) {
	return e.types.member(&e.p.Types[typeID], access)
}

// Text implements interp.Env.
func (e *env) Text(v interp.Value) (string, error) { return e.texts.text(v), nil }

// runSystems has the commands run that the handler asked for.
func (e *env) runSystems() {
	for _, cmd := range e.systems {
		e.commands.add(cmd)
	}
	e.systems = nil
}

// word is a word of the session block.
func (e *env) word(off int) interp.Value { return interp.IntValue(int64(e.blk.word(off).Load())) }

// appendFormat appends what format f makes of the values.
func (s *session) appendFormat(dst []byte, f int, vals []interp.Value) ([]byte, error) {
	if f < 0 || f >= len(s.p.Formats) {
		return dst, fmt.Errorf("no format %d", f)
	}
	fm := &s.p.Formats[f]
	args := make([]format.Arg, len(vals))
	for i, v := range vals {
		switch v.Kind {
		case ir.Int:
			args[i] = format.LongArg(v.I)
		case ir.Deferred:
			args[i] = format.StringArg(s.texts.text(v))
		default:
			args[i] = format.StringArg(v.S)
		}
	}
	out, err := format.Append(dst, fm.Parsed, args)
	if err != nil {
		return dst, fmt.Errorf("format %q: %w", strings.TrimSpace(fm.Text), err)
	}
	return out, nil
}

// mainTask gives the main thread's task_struct for that of any thread of ours:
// handlers run on whatever thread, but are one task to the script, as pid() and
// tid() say.
func (e *env) mainTask(addr uint64) uint64 {
	if main, err := e.follow(addr, "task_struct", ctype.M("group_leader")); err == nil {
		return main
	}
	return addr
}

// taskOf gives the task_struct of a task by its number in the pid namespace of another,
// which is ours: the kernel keeps them in a radix tree, whose inner nodes are marked by the
// bits 10.
func (e *env) taskOf(self uint64, tid int) (uint64, error) {
	level, err := e.follow(self, "task_struct", ctype.M("thread_pid"), ctype.M("level"))
	if err != nil {
		return 0, err
	}
	ns, err := e.follow(self, "task_struct", ctype.M("thread_pid"), ctype.M("numbers"), ctype.I(int64(level)), ctype.M("ns"))
	if err != nil {
		return 0, err
	}
	entry, err := e.follow(ns, "pid_namespace", ctype.M("idr"), ctype.M("idr_rt"), ctype.M("xa_head"))
	for depth := 0; err == nil && entry&3 == 2; depth++ {
		var shift uint64
		shift, err = e.follow(entry-2, "xa_node", ctype.M("shift"))
		if err != nil || depth > 8 || depth == 0 && tid>>shift > 63 {
			return 0, unix.ESRCH
		}
		entry, err = e.follow(entry-2, "xa_node", ctype.M("slots"), ctype.I(int64(tid)>>shift&63))
	}
	if err != nil || entry == 0 {
		return 0, unix.ESRCH
	}
	link, err := e.follow(entry, "pid", ctype.M("tasks"), ctype.I(0), ctype.M("first"))
	if err != nil || link == 0 {
		return 0, unix.ESRCH
	}
	path, err := e.path("task_struct", ctype.M("pid_links"), ctype.I(0))
	if err != nil {
		return 0, err
	}
	return link - uint64(path.Hops[0].Offset), nil
}

// path resolves members of a structure of the running kernel.
func (e *env) path(name string, steps ...ctype.Step) (*ctype.Path, error) {
	tgt := e.types.target()
	if tgt == nil {
		return nil, errors.New("the kernel's types are not known")
	}
	t, ok := tgt.Type("", "struct "+name)
	if !ok {
		return nil, fmt.Errorf("the kernel has no struct %s", name)
	}
	return ctype.Resolve(t, steps)
}

// follow reads the number or pointer that members of a structure of the kernel lead to.
func (e *env) follow(addr uint64, name string, steps ...ctype.Step) (uint64, error) {
	path, err := e.path(name, steps...)
	if err != nil {
		return 0, err
	}
	for _, hop := range path.Hops {
		var b [8]byte
		n := hop.Type.Size()
		if n < 1 || n > 8 {
			return 0, fmt.Errorf("struct %s: what is to be read has %d bytes", name, n)
		}
		if err := e.peek.read(addr+uint64(hop.Offset), b[:n]); err != nil {
			return 0, err
		}
		addr = native.Uint64(b[:])
	}
	return addr, nil
}
