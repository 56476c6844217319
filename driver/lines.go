package driver

import (
	"errors"
	"sync"

	"stapkit/target/dwarf"
	"stapkit/target/elf"
)

// lineReader tells the loader source lines of programs and of the kernel, of which it
// reads no debug information itself.
type lineReader struct {
	s      *stap
	search *elf.Search

	mu      sync.Mutex
	files   map[string]*dwarf.Data // nil: it has none
	elfs    []*elf.File
	opened  bool // what the kernel's are read by
	kernels map[string]*dwarf.Data
}

func (s *stap) lineReader() *lineReader {
	return &lineReader{s: s, search: &elf.Search{}, files: map[string]*dwarf.Data{}, kernels: map[string]*dwarf.Data{}}
}

// line is the source file and line of an address in a program or library.
func (l *lineReader) line(path string, addr uint64) (file string, line int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, known := l.files[path]
	if !known {
		if f, err := elf.Open(path); err == nil {
			l.elfs = append(l.elfs, f)
			if d, err = dwarf.Load(f, l.search); err != nil {
				d = nil
			}
		}
		l.files[path] = d
	}
	if d == nil {
		return "", 0, false
	}
	at, ok := d.LineOf(addr)
	return at.File, at.Line, ok
}

// kernelLine is the source file and line of the code so many bytes behind a symbol of
// the kernel or a module.
func (l *lineReader) kernelLine(module, symbol string, offset uint64) (file string, line int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, known := l.kernels[module]
	if !known {
		if l.s.o.Binaries == nil {
			l.opened = true
			if err := l.s.target(); err != nil {
				l.s.tell(5, "source lines of the kernel: %v", err)
			}
		}
		err := errors.New("no kernel is known")
		if l.s.o.Binaries != nil && l.s.o.Target != nil {
			d, err = l.s.o.Binaries.KernelDWARF(l.s.o.Target, module)
		}
		if err != nil {
			l.s.tell(5, "source lines of the kernel: %v", err)
			d = nil
		}
		l.kernels[module] = d
	}
	if d == nil {
		return "", 0, false
	}
	// Of several with the name, none says which is meant.
	list, err := d.Program.Lookup(symbol)
	if err != nil || len(list) != 1 {
		return "", 0, false
	}
	at, ok := d.LineOf(list[0].Addr + offset)
	return at.File, at.Line, ok
}

func (l *lineReader) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.files {
		if d != nil {
			// What was only read has no failure that anything could be done about.
			_ = d.Close()
		}
	}
	for _, f := range l.elfs {
		_ = f.Close()
	}
	l.files, l.elfs = nil, nil
	if l.opened {
		l.s.close()
	}
}
