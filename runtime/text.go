//go:build linux

package loader

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"stapkit/ir"
	"stapkit/ir/interp"
	"stapkit/target/ctype"
	"stapkit/target/sym"
)

// texts makes text of deferred values.
type texts struct {
	p      *ir.Program
	rights rights
	warn   func(string)

	have uint64 // the capabilities with which the run began

	mu     sync.Mutex
	ksyms  *sym.Table
	kdone  bool
	users  *userSymbols
	layout []ctype.Type // by index into Program.Layouts
	canon  map[canonKey]string
	lazy   *interp.Texts
	// pure executes what pure intrinsics ask of the loader.
	pure func(ir.IntrinsicID, []interp.Value) (interp.Value, error)
	// away is another machine's kernel, whose symbols count.
	away *awayKernel
	// observe hears of the symbols that addresses lead to.
	observe *tape
	// kernelLines tells source lines of the kernel (Options.KernelLines).
	kernelLines func(module, symbol string, offset uint64) (file string, line int, ok bool)
	// listed hears of the lists of addresses that are named.
	listed func(pid int, addrs []uint64)
}

func newTexts(p *ir.Program, r rights, warn func(string)) *texts {
	t := &texts{
		p: p, rights: r, warn: warn, have: ^uint64(0), users: newUserSymbols(r),
		layout: make([]ctype.Type, len(p.Layouts)), canon: map[canonKey]string{},
	}
	t.users.warn = warn
	return t
}

// text returns what v stands for.
func (t *texts) text(v interp.Value) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.render(v.Text, v.S)
}

type canonKey struct {
	kind ir.Text
	text string
}

// canonical returns a value that has the same text as v, and is the same for all
// such values: SystemTap compares text, not addresses.
func (t *texts) canonical(v interp.Value) interp.Value {
	if v.Kind != ir.Deferred {
		return v
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	k := canonKey{v.Text, t.render(v.Text, v.S)}
	first, ok := t.canon[k]
	if !ok {
		t.canon[k] = v.S
		first = v.S
	}
	v.S = first
	return v
}

// note reads the mappings of a process while it is there.
func (t *texts) note(tgid int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users.note(tgid)
}

// words reads a payload of 64-bit words.
func words(s string) []uint64 {
	w := make([]uint64, len(s)/8)
	for i := range w {
		w[i] = native.Uint64([]byte(s[8*i : 8*i+8]))
	}
	return w
}

// render makes the text of a payload. A payload that is shorter than its kind
// needs, as an unset variable's, gives "".
func (t *texts) render(kind ir.Text, s string) string {
	switch kind {
	case ir.TextType, ir.TextParms:
		return t.typed(kind, s)
	case ir.TextFormat:
		return t.later(s)
	}
	w := words(s)
	switch kind {
	case ir.TextKSym, ir.TextKSymData, ir.TextKMod, ir.TextKSymFile, ir.TextKSymLine, ir.TextKSymFileLine, ir.TextKSymAddr:
		if len(w) == 0 {
			return ""
		}
		return t.kernelSymbol(kind, w[0])
	case ir.TextKStack, ir.TextKStackSym, ir.TextKStackFull, ir.TextKStackLine:
		return t.stack(kind, 0, frames(w))
	case ir.TextTaskStack:
		if len(w) == 0 {
			return ""
		}
		return t.taskStack(int(int32(w[0])))
	case ir.TextUSym, ir.TextUSymData, ir.TextUMod, ir.TextUSymFile, ir.TextUSymLine, ir.TextUSymFileLine, ir.TextUBuildID:
		if len(w) < 2 {
			return ""
		}
		return t.users.symbol(kind, int(int32(w[0])), w[1])
	case ir.TextUStack, ir.TextUStackSym, ir.TextUStackFull, ir.TextUStackBrief, ir.TextUStackLine:
		if len(w) == 0 {
			return ""
		}
		return t.stack(kind, int(int32(w[0])), frames(w[1:]))
	}
	return ""
}

// frames reads [n, n × addr].
func frames(w []uint64) []uint64 {
	if len(w) == 0 {
		return nil
	}
	n := min(w[0], uint64(len(w)-1))
	return w[1 : 1+n]
}

// kernel finds the symbol of a kernel address.
func (t *texts) kernel(addr uint64) (s sym.Symbol, off, size uint64, ok bool) {
	if t.away != nil {
		return t.away.lookup(addr)
	}
	// The lower half is programs', or offsets of variables of CPUs, which have names too.
	if addr>>63 == 0 && runtime.GOARCH != "s390x" || !t.symbols() {
		return s, 0, 0, false
	}
	s, off, size, ok = t.ksyms.Lookup(addr)
	if ok && t.observe != nil {
		t.observe.kernelSymbol(s, addr-off, size)
	}
	return s, off, size, ok
}

// address is that of a kernel symbol, "name" or "module:name"; 0 if it is not known.
// Of several with the name the kernel's own comes first.
func (t *texts) address(name string) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.symbols() {
		return 0
	}
	mod, bare, ok := strings.Cut(name, ":")
	if !ok {
		mod, bare = "", name
	}
	var found uint64
	for _, s := range t.ksyms.ByName(bare) {
		if s.Module == mod {
			return s.Addr
		}
		if mod == "" && found == 0 {
			found = s.Addr
		}
	}
	return found
}

// symbols reads the kernel's symbols, and reports whether there are any.
func (t *texts) symbols() bool {
	if !t.kdone {
		t.kdone = true
		var err error
		if t.ksyms, err = kallsyms(t.rights); err != nil {
			t.warn(fmt.Sprintf("no kernel symbols: %v", err))
		} else if t.ksyms.Hidden() {
			text := "no kernel symbols: the kernel hides its addresses (kernel.kptr_restrict)"
			if !capSymbols.in(t.have) {
				text += "; " + lacking(capSymbols).Error()
			}
			t.warn(text)
		}
	}
	return t.ksyms != nil && !t.ksyms.Hidden()
}

func kallsyms(r rights) (*sym.Table, error) {
	f, err := r.kernelSymbols()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return sym.Read(f)
}

// kernelSymbols is the kernel's symbol table, nil if it cannot be had.
func (t *texts) kernelSymbols() *sym.Table {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.symbols() {
		return nil
	}
	return t.ksyms
}

func moduleName(s sym.Symbol) string {
	if s.Module == "" {
		return "kernel"
	}
	return s.Module
}

func (t *texts) kernelSymbol(kind ir.Text, addr uint64) string {
	s, off, size, ok := t.kernel(addr)
	switch kind {
	case ir.TextKMod:
		if ok {
			return moduleName(s)
		}
		return "<unknown>"
	case ir.TextKSymData:
		if ok {
			return fmt.Sprintf("%s+%#x/%#x [%s]", s.Name, off, size, moduleName(s))
		}
	case ir.TextKSym:
		if ok {
			return s.Name
		}
	case ir.TextKSymAddr:
		if ok {
			return fmt.Sprintf("%s %#x", s.Name, addr)
		}
		return fmt.Sprintf("%#x %#x", addr, addr)
	case ir.TextKSymFile, ir.TextKSymLine, ir.TextKSymFileLine:
		if !ok {
			break
		}
		if file, line, known := t.kernelLine(s, off); known {
			switch kind {
			case ir.TextKSymFile:
				return file
			case ir.TextKSymLine:
				return strconv.Itoa(line)
			}
			return file + ":" + strconv.Itoa(line)
		}
	}
	return fmt.Sprintf("%#x", addr)
}

// kernelLine is the source line of the code off bytes behind a symbol of the kernel, if
// there is who knows it: the kernel's debug information is not read here.
func (t *texts) kernelLine(s sym.Symbol, off uint64) (file string, line int, ok bool) {
	if t.kernelLines == nil {
		return "", 0, false
	}
	name := s.Name
	if s.Module == "" && t.away == nil {
		// Several functions may have a name; this has one place.
		if text := t.ksyms.ByName(kernelText); len(text) == 1 && s.Addr >= text[0].Addr {
			name, off = kernelText, s.Addr+off-text[0].Addr
		}
	}
	return t.kernelLines(s.Module, name, off)
}

// kernelText is where the kernel's code begins.
const kernelText = "_stext"

// stack makes the text of a stack of a process (tgid), or of the kernel.
func (t *texts) stack(kind ir.Text, tgid int, addrs []uint64) string {
	var b strings.Builder
	if user, _ := kind.IsStack(); !user {
		addrs = t.probed(addrs)
	}
	for i, a := range addrs {
		switch kind {
		case ir.TextKStack, ir.TextUStack:
			fmt.Fprintf(&b, "%#x ", a)
		case ir.TextKStackSym, ir.TextKStackFull, ir.TextKStackLine:
			t.frame(&b, kind, a, i == 0)
		default:
			t.users.frame(&b, kind, tgid, a, i == 0)
		}
	}
	return b.String()
}

// lines names the addresses in hex in a string, each in a line, in one of the forms
// of ir.ISymbolLines. The caller holds mu, or is called by render.
func (t *texts) lines(list string, pid int, form int64) string {
	var b strings.Builder
	var addrs []uint64
	for _, word := range strings.Fields(list) {
		a, err := strconv.ParseUint(strings.TrimPrefix(word, "0x"), 16, 64)
		if err != nil {
			continue
		}
		addrs = append(addrs, a)
		switch {
		case form == 1 && pid == 0:
			b.WriteString(t.kernelSymbol(ir.TextKSymData, a) + "\n")
		case form == 1:
			b.WriteString(t.users.symbol(ir.TextUSymData, pid, a) + "\n")
		case pid != 0:
			t.users.frame(&b, map[bool]ir.Text{true: ir.TextUStackSym, false: ir.TextUStackFull}[form == 2], pid, a, false)
		default:
			t.frame(&b, map[bool]ir.Text{true: ir.TextKStackSym, false: ir.TextKStackFull}[form == 2], a, false)
		}
	}
	if t.listed != nil {
		t.listed(pid, addrs)
	}
	return b.String()
}

// frame appends the line of one frame of a kernel stack.
func (t *texts) frame(b *strings.Builder, kind ir.Text, a uint64, first bool) {
	s, off, size, ok := t.kernel(a)
	if kind == ir.TextKStackLine && ok {
		at := off
		if !first && at > 0 {
			at-- // of the call, not of where it returns to
		}
		if file, line, known := t.kernelLine(s, at); known {
			fmt.Fprintf(b, " %#x : %s+%#x/%#x at %s:%d [%s]\n", a, s.Name, off, size, file, line, moduleName(s))
			return
		}
	}
	switch {
	case kind == ir.TextKStackSym && ok:
		fmt.Fprintf(b, "%s+%#x [%s]\n", s.Name, off, moduleName(s))
	case kind == ir.TextKStackSym:
		fmt.Fprintf(b, "%#x\n", a)
	case ok:
		fmt.Fprintf(b, " %#x : %s+%#x/%#x [%s]\n", a, s.Name, off, size, moduleName(s))
	default:
		fmt.Fprintf(b, " %#x\n", a)
	}
}

// taskStack reads the kernel stack of a thread, as hex addresses.
func (t *texts) taskStack(tid int) string {
	if tid == 0 || !t.symbols() {
		return "" // the idle task has none to show
	}
	b, err := t.rights.taskStack(tid)
	if err != nil {
		return ""
	}
	var out []string
	for _, line := range strings.Split(string(b), "\n") {
		// [<0>] do_wait+0x5b/0x100 [module]
		_, place, _ := strings.Cut(line, "] ")
		place, mod, _ := strings.Cut(place, " [")
		name, off, _ := strings.Cut(place, "+")
		off, _, _ = strings.Cut(off, "/")
		n, err := strconv.ParseUint(strings.TrimPrefix(off, "0x"), 16, 64)
		if err != nil {
			continue
		}
		mod = strings.TrimSuffix(mod, "]")
		for _, s := range t.ksyms.ByName(name) {
			if s.Module == mod {
				out = append(out, fmt.Sprintf("%#x", s.Addr+n))
				break
			}
		}
	}
	return strings.Join(out, " ")
}

// ownFrames bounds the frames of a kernel stack that belong to the probe itself.
const ownFrames = 8

// probed leaves out the frames of the handler's program and of what called it.
func (t *texts) probed(addrs []uint64) []uint64 {
	from := 0
	for i := 0; i < len(addrs) && i < ownFrames; i++ {
		s, _, _, ok := t.kernel(addrs[i])
		if ok && (s.Module == "bpf" || strings.HasPrefix(s.Name, "bpf_") || strings.HasPrefix(s.Name, "__traceiter_") ||
			strings.HasPrefix(s.Name, "__bpf_trace_")) {
			from = i + 1
		}
	}
	if from == 0 || from == len(addrs) {
		return addrs[from:]
	}
	// A program on the entry of a function is called from its first instruction.
	if s, off, _, ok := t.kernel(addrs[from]); ok && off <= entryCall {
		return append([]uint64{s.Addr}, addrs[from+1:]...)
	}
	return addrs[from:]
}

// entryCall is how far behind a function's start the call of what is attached to
// its entry ends: endbr64 and a call on x86.
const entryCall = 9

// later makes the text that a handler left to the loader (ir.TextFormat).
func (t *texts) later(payload string) string {
	if t.lazy == nil {
		lazy, err := interp.NewTexts(t.p, func(v interp.Value) (string, error) { return t.render(v.Text, v.S), nil }, t.pure)
		if err != nil {
			t.warn(fmt.Sprintf("text cannot be made: %v", err))
			return ""
		}
		t.lazy = lazy
	}
	s, err := t.lazy.Text(payload)
	if err != nil {
		t.warn(err.Error())
	}
	return s
}
