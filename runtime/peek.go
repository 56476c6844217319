//go:build linux

package loader

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// peek reads kernel memory for loader handlers. It loads its program when it is
// first needed.
type peek struct {
	rights rights
	prog   *ebpf.Program
	buf    *ebpf.Map
	mem    []byte
	tried  error
}

// The buffer of a peek: what to do, with what result, and the data.
const (
	peekAddr = 0
	peekLen  = 8
	peekRC   = 16
	peekOp   = 24
	peekData = 32
	peekMax  = 4096 - peekData

	peekOpMem  = 0
	peekOpStr  = 1
	peekOpTask = 2
)

func (p *peek) load() error {
	if p.prog != nil || p.tried != nil {
		return p.tried
	}
	p.tried = p.open()
	return p.tried
}

func (p *peek) open() error {
	prog, m, err := p.rights.peek()
	if err != nil {
		return fmt.Errorf("reading kernel memory: %w", err)
	}
	mem, err := unix.Mmap(m.FD(), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		m.Close()
		prog.Close()
		return fmt.Errorf("reading kernel memory: %w", err)
	}
	p.prog, p.buf, p.mem = prog, m, mem
	return nil
}

// newPeek loads the program and makes its buffer.
func newPeek() (*ebpf.Program, *ebpf.Map, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "stap_peek", Type: ebpf.Array, KeySize: 4, ValueSize: peekData + peekMax, MaxEntries: 1,
		Flags: unix.BPF_F_MMAPABLE,
	})
	if err != nil {
		return nil, nil, err
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "stap_peek", Type: ebpf.Syscall, License: "GPL", Flags: unix.BPF_F_SLEEPABLE,
		Instructions: asm.Instructions{
			asm.LoadMapValue(asm.R6, m.FD(), 0),
			asm.LoadMem(asm.R1, asm.R6, peekOp, asm.DWord),
			asm.JEq.Imm(asm.R1, peekOpTask, "task"),
			asm.LoadMem(asm.R2, asm.R6, peekLen, asm.DWord),
			asm.JGT.Imm(asm.R2, peekMax, "out"),
			asm.LoadMem(asm.R3, asm.R6, peekAddr, asm.DWord),
			asm.JEq.Imm(asm.R1, peekOpStr, "str"),
			asm.Mov.Reg(asm.R1, asm.R6), asm.Add.Imm(asm.R1, peekData),
			asm.FnProbeReadKernel.Call(),
			asm.Ja.Label("store"),
			asm.Mov.Reg(asm.R1, asm.R6).WithSymbol("str"), asm.Add.Imm(asm.R1, peekData),
			asm.FnProbeReadKernelStr.Call(),
			asm.Ja.Label("store"),
			asm.FnGetCurrentTask.Call().WithSymbol("task"),
			asm.StoreMem(asm.R6, peekRC, asm.R0, asm.DWord).WithSymbol("store"),
			asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
			asm.Return(),
		},
	})
	if err != nil {
		m.Close()
		return nil, nil, err
	}
	return prog, m, nil
}

func (p *peek) close() {
	if p.prog == nil {
		return
	}
	// Unmapping what was mapped cannot fail.
	_ = unix.Munmap(p.mem)
	p.prog.Close()
	p.buf.Close()
	p.prog, p.tried = nil, errors.New("closed")
}

// run does one operation and returns its result, that of the helper.
func (p *peek) run(op, addr uint64, n int) (int64, error) {
	if err := p.load(); err != nil {
		return 0, err
	}
	native.PutUint64(p.mem[peekAddr:], addr)
	native.PutUint64(p.mem[peekLen:], uint64(n))
	native.PutUint64(p.mem[peekOp:], op)
	fault := -int64(unix.EFAULT)
	native.PutUint64(p.mem[peekRC:], uint64(fault))
	// The task is that of the thread that makes the call.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := runSyscallProgram(p.prog, nil); err != nil {
		return 0, err
	}
	return int64(native.Uint64(p.mem[peekRC:])), nil
}

// read fills b from kernel memory, all or nothing.
func (p *peek) read(addr uint64, b []byte) error {
	for len(b) > 0 {
		n := min(len(b), peekMax)
		rc, err := p.run(peekOpMem, addr, n)
		if err != nil {
			return err
		}
		if rc < 0 {
			return unix.EFAULT
		}
		copy(b, p.mem[peekData:peekData+n])
		b, addr = b[n:], addr+uint64(n)
	}
	return nil
}

// str reads a string of at most max bytes.
func (p *peek) str(addr uint64, max int) (string, error) {
	max = min(max, peekMax-1)
	if max <= 0 {
		return "", nil
	}
	rc, err := p.run(peekOpStr, addr, max+1)
	if err != nil {
		return "", err
	}
	if rc < 0 {
		return "", unix.EFAULT
	}
	b := p.mem[peekData : peekData+max+1]
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b), nil
}

// task returns the address of the calling thread's task_struct.
func (p *peek) task() (uint64, error) {
	rc, err := p.run(peekOpTask, 0, 0)
	return uint64(rc), err
}
