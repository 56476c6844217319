package dwarf

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"stapkit/target/ctype"
	elffile "stapkit/target/elf"
)

// tracee is a program stopped at breakpoints.
type tracee struct {
	t    *testing.T
	pid  int
	bias uint64
	mem  *os.File
	brk  map[uint64]byte // original bytes by run-time address
	regs syscall.PtraceRegs
}

// start runs a program up to its entry point. The caller has locked its
// goroutine to a thread, as ptrace demands.
func start(t *testing.T, f *elffile.File) *tracee {
	t.Helper()
	cmd := exec.Command(f.Path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, syscall.EPERM) {
			t.Skipf("cannot trace here: %v", err)
		}
		t.Fatal(err)
	}
	p := &tracee{t: t, pid: cmd.Process.Pid, brk: map[uint64]byte{}}
	t.Cleanup(func() {
		syscall.Kill(p.pid, syscall.SIGKILL)
		cmd.Wait()
	})
	p.wait()
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", p.pid), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	p.mem = mem
	t.Cleanup(func() { mem.Close() })
	if f.Type == elf.ET_DYN {
		maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", p.pid))
		if err != nil {
			t.Fatal(err)
		}
		addr, _, _ := strings.Cut(string(maps), "-")
		if p.bias, err = strconv.ParseUint(addr, 16, 64); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// wait waits for the next stop; false when the program has ended.
func (p *tracee) wait() bool {
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(p.pid, &ws, 0, nil); err != nil {
		p.t.Fatal(err)
	}
	if ws.Exited() || ws.Signaled() {
		return false
	}
	if err := syscall.PtraceGetRegs(p.pid, &p.regs); err != nil {
		p.t.Fatal(err)
	}
	return true
}

func (p *tracee) write(addr uint64, b byte) {
	if _, err := p.mem.WriteAt([]byte{b}, int64(addr)); err != nil {
		p.t.Fatal(err)
	}
}

// breakAt sets a breakpoint at an address of the file.
func (p *tracee) breakAt(addr uint64) {
	addr += p.bias
	if _, ok := p.brk[addr]; ok {
		return
	}
	b := make([]byte, 1)
	if _, err := p.mem.ReadAt(b, int64(addr)); err != nil {
		p.t.Fatal(err)
	}
	p.brk[addr] = b[0]
	p.write(addr, 0xcc)
}

// run goes on to the next breakpoint and gives its address in the file; ok is
// false at the program's end.
func (p *tracee) run() (addr uint64, ok bool) {
	if b, at := p.brk[p.regs.Rip]; at {
		// Step over the breakpoint that it stands at.
		rip := p.regs.Rip
		p.write(rip, b)
		if err := syscall.PtraceSingleStep(p.pid); err != nil {
			p.t.Fatal(err)
		}
		if !p.wait() {
			return 0, false
		}
		p.write(rip, 0xcc)
	}
	for {
		// After the step it may stand at another one.
		if _, at := p.brk[p.regs.Rip]; at {
			return p.regs.Rip - p.bias, true
		}
		if err := syscall.PtraceCont(p.pid, 0); err != nil {
			p.t.Fatal(err)
		}
		if !p.wait() {
			return 0, false
		}
		if _, at := p.brk[p.regs.Rip-1]; at {
			p.regs.Rip--
			if err := syscall.PtraceSetRegs(p.pid, &p.regs); err != nil {
				p.t.Fatal(err)
			}
			return p.regs.Rip - p.bias, true
		}
	}
}

// register is a register by its DWARF number.
func (p *tracee) register(n int) uint64 {
	r := &p.regs
	all := []uint64{r.Rax, r.Rdx, r.Rcx, r.Rbx, r.Rsi, r.Rdi, r.Rbp, r.Rsp, r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15, r.Rip}
	if n >= len(all) {
		p.t.Fatalf("register %d", n)
	}
	return all[n]
}

// bytes reads a value of n bytes at a location.
func (p *tracee) bytes(l Location, n int64) []byte {
	if len(l.Pieces) > 0 {
		var out []byte
		for _, pc := range l.Pieces {
			out = append(out, p.bytes(pc.Location, pc.Bytes)...)
		}
		return out[:min(int64(len(out)), n)]
	}
	var v uint64
	switch l.Base {
	case Register:
		v = p.register(l.Reg)
	case Static:
		v = p.bias
	case EntryRegister, ThreadLocal:
		p.t.Fatalf("location %v", l)
	}
	v += uint64(l.Offs[0])
	for _, o := range l.Offs[1:] {
		b := make([]byte, 8)
		if _, err := p.mem.ReadAt(b, int64(v)); err != nil {
			p.t.Fatalf("%v: %v", l, err)
		}
		v = binary.LittleEndian.Uint64(b) + uint64(o)
	}
	if l.Value {
		b := binary.LittleEndian.AppendUint64(nil, v)
		return append(b, make([]byte, max(0, n-8))...)[:n]
	}
	b := make([]byte, n)
	if _, err := p.mem.ReadAt(b, int64(v)); err != nil {
		p.t.Fatalf("%v: %v", l, err)
	}
	return b
}

func (p *tracee) text(addr uint64) (string, bool) {
	b := make([]byte, 16)
	n, err := p.mem.ReadAt(b, int64(addr))
	if n == 0 && err != nil {
		return "", false
	}
	s, _, _ := strings.Cut(string(b[:n]), "\x00")
	return s, true
}

// show writes a value as a script's $x$$ does, following a pointer to a struct.
func (p *tracee) show(v *Variable, l Location) string {
	pr := ctype.Printer{Deep: true, Text: p.text}
	data := p.bytes(l, v.Type.Size())
	if ptr, ok := ctype.AsPointer(v.Type); ok {
		if _, ok := ctype.AsStruct(ptr.Elem); ok {
			data = p.bytes(Location{Offs: []int64{int64(binary.LittleEndian.Uint64(data))}}, ptr.Elem.Size())
			return string(pr.Append(nil, ptr.Elem, data))
		}
	}
	return string(pr.Append(nil, v.Type, data))
}

// What main in args.c calls the functions with.
var (
	wantPt    = `{.x=1, .y=-2, .name="pt", .next=`
	wantBig   = `{.a=[21, 22, 23, -24], .text="big"}`
	wantSmall = `{.a=-11, .b=12}`
	wantArgs  = map[string]map[string]string{
		"take": {
			"a": "-1", "c": "'c'", "s": "-3", "n": "1099511627776", "p": wantPt, "uc": `'\310'`, "seventh": "77", "eighth": "-88",
			"sm": wantSmall, "b": wantBig, "e": "5", "yes": "1", "text": `"text"`,
		},
		"stake":  {"a": "-5", "p": wantPt, "sm": wantSmall, "b": wantBig, "last": "-99"},
		"many":   {"a": "1", "b": "2", "c": "3", "d": "4", "e": "5", "f": "6", "g": "-7", "h": "'h'", "i": "9"},
		"values": {"n": "41"},
	}
)

// TestAtEntry stops a program at its functions and compares the parameters
// with what it calls them with, in every variant.
func TestAtEntry(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, v := range variants {
		d := load(t, compile(t, "args.c", v...))
		p := start(t, d.Program)
		at := map[uint64]*Instance{}
		for n := range wantArgs {
			for _, i := range d.Lookup(n) {
				at[i.Addr] = i
				p.breakAt(i.Addr)
			}
		}
		noFrames := slices.Contains(v, "-fno-unwind-tables")
		hits := 0
		for {
			addr, ok := p.run()
			if !ok {
				break
			}
			i := at[addr]
			hits++
			seen := map[string]bool{}
			for _, prm := range i.Params() {
				seen[prm.Name] = true
				want, ok := wantArgs[i.Name][prm.Name]
				l, err := prm.AtEntry()
				switch {
				case err != nil && (!ok || noFrames):
					// Floating-point, or on the stack without frame tables.
				case err != nil:
					t.Errorf("%v: %s: %s: %v", v, i.Name, prm.Name, err)
				case ok:
					if got := p.show(prm, l); !strings.HasPrefix(got, want) || want != wantPt && got != want {
						t.Errorf("%v: %s: %s at %v is %s, want %s", v, i.Name, prm.Name, l, got, want)
					}
				}
			}
			for n := range wantArgs[i.Name] {
				if !seen[n] {
					t.Errorf("%v: %s: no parameter %s", v, i.Name, n)
				}
			}
		}
		if hits != len(wantArgs) {
			t.Errorf("%v: stopped %d times", v, hits)
		}
	}
}

// TestEveryLine stops at every statement of the functions and compares all
// parameters, which none of them changes, wherever their locations say that
// they have a value; and locals, which never change once they have one.
func TestEveryLine(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	locals := map[string]string{"one": "42", "two": "82", "inner": "52", "local": `{.x=41, .y=42, .name="local", .next=0x0, .b="\001\002\003\004"}`}
	for _, v := range variants {
		if slices.Contains(v, "-fno-unwind-tables") {
			continue // the frame base needs call frame tables
		}
		d := load(t, compile(t, "args.c", v...))
		p := start(t, d.Program)
		at := map[uint64]*Instance{}
		for n := range wantArgs {
			for _, i := range d.Lookup(n) {
				ls, err := i.Lines()
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range ls {
					// Before the end of the prologue unoptimised code has
					// not stored its parameters.
					if s.Addr >= i.Body() {
						at[s.Addr] = i
						p.breakAt(s.Addr)
					}
				}
			}
		}
		optimised := !slices.Contains(v, "-O0")
		compared, seenLocals := 0, map[string]bool{}
		for {
			addr, ok := p.run()
			if !ok {
				break
			}
			i := at[addr]
			for _, prm := range i.Params() {
				want, ok := wantArgs[i.Name][prm.Name]
				l, err := prm.Location(addr)
				if errors.Is(err, ErrOptimizedOut) && optimised {
					continue
				}
				if err != nil {
					if ok {
						t.Errorf("%v: %s+%d: %s: %v", v, i.Name, addr-i.Addr, prm.Name, err)
					}
					continue
				}
				if !ok || l.Base == EntryRegister {
					continue
				}
				compared++
				if got := p.show(prm, l); !strings.HasPrefix(got, want) || want != wantPt && got != want {
					t.Errorf("%v: %s+%d: %s at %v is %s, want %s", v, i.Name, addr-i.Addr, prm.Name, l, got, want)
				}
			}
			for _, lv := range i.Locals(addr) {
				l, err := lv.Location(addr)
				want, ok := locals[lv.Name]
				if err != nil || !ok || i.Name != "values" || l.Base == EntryRegister || len(l.Pieces) > 0 {
					continue
				}
				// In memory a variable is there before it has its value.
				if got := p.show(lv, l); got == want {
					seenLocals[lv.Name] = true
				} else if l.Value && lv.Name != "local" && optimised {
					t.Errorf("%v: values+%d: %s at %v is %s, want %s", v, addr-i.Addr, lv.Name, l, got, want)
				}
			}
		}
		if compared < 30 {
			t.Errorf("%v: compared %d values", v, compared)
		}
		for n := range locals {
			if !seenLocals[n] && n != "local" {
				t.Errorf("%v: local %s was never seen with its value", v, n)
			}
		}
		t.Logf("%v: %d values", v, compared)
	}
}

// TestFrameOffsets checks the call frame tables of a running program: the
// return address is where they say at every instruction of a function.
func TestFrameOffsets(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	d := load(t, compile(t, "args.c", "-O2"))
	p := start(t, d.Program)
	fr, err := d.Program.Frames()
	if err != nil {
		t.Fatal(err)
	}
	i := d.Lookup("stake")[0]
	p.breakAt(i.Addr)
	if _, ok := p.run(); !ok {
		t.Fatal("not reached")
	}
	ret := p.bytes(Location{Base: Register, Reg: 7, Offs: []int64{0}}, 8)
	steps := 0
	for {
		pc := p.regs.Rip - p.bias
		row, ok, err := fr.At(pc)
		if err != nil || !ok || row.CFA.Kind != elffile.RuleRegister || row.RA.Kind != elffile.RuleOffset {
			t.Fatalf("%#x: %+v, %v, %v", pc, row, ok, err)
		}
		at := Location{Base: Register, Reg: row.CFA.Reg, Offs: []int64{row.CFA.Off + row.RA.Off}}
		if got := p.bytes(at, 8); string(got) != string(ret) {
			t.Fatalf("%#x: return address %x, want %x", pc, got, ret)
		}
		steps++
		if b, at := p.brk[p.regs.Rip]; at {
			p.write(p.regs.Rip, b)
			delete(p.brk, p.regs.Rip)
		}
		if err := syscall.PtraceSingleStep(p.pid); err != nil {
			t.Fatal(err)
		}
		if !p.wait() || !i.Contains(p.regs.Rip-p.bias) {
			break
		}
	}
	if steps < 5 {
		t.Errorf("%d instructions", steps)
	}
}
