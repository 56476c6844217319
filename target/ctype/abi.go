package ctype

// ABI is a calling convention for C.
type ABI uint8

// The calling conventions.
const (
	NoABI ABI = iota
	// SysV is that of x86-64 on Linux (System V ABI, AMD64 supplement, 3.2.3).
	SysV
	// AAPCS64 is that of arm64 (Procedure Call Standard for the Arm 64-bit
	// Architecture, 6.8).
	AAPCS64
)

// ABIOf is the calling convention of a machine as uname -m names it.
func ABIOf(machine string) ABI {
	switch machine {
	case "x86_64":
		return SysV
	case "aarch64", "arm64":
		return AAPCS64
	}
	return NoABI
}

// Place is where a function finds a parameter when it is entered, or its
// caller the result.
type Place struct {
	// Regs are the DWARF numbers of the general registers with the value,
	// lowest 8 bytes first.
	Regs []int
	// OnStack: in memory, Stack bytes above the canonical frame address (the
	// stack pointer before the call instruction).
	OnStack bool
	Stack   int64
	// ByRef: the place holds the address of the value.
	ByRef bool
	// Float: wholly or partly in floating-point registers, which probes
	// cannot read; the other fields do not count.
	Float bool
}

var (
	sysvArgs    = []int{5, 4, 1, 2, 8, 9} // rdi rsi rdx rcx r8 r9
	sysvResults = []int{0, 1}             // rax rdx
	aapcsArgs   = []int{0, 1, 2, 3, 4, 5, 6, 7}
)

// Parameters tells where a function's parameters are when it is entered, one
// place per parameter. It is nil for a convention that is not known.
func (a ABI) Parameters(f *Func) []Place {
	switch a {
	case SysV:
		return sysvParameters(f)
	case AAPCS64:
		return aapcsParameters(f)
	}
	return nil
}

// Result tells where the result is when a function returns; ok is false for a
// function without one and for a convention that is not known.
func (a ABI) Result(f *Func) (p Place, ok bool) {
	if f.Result == nil || f.Result.Size() == 0 {
		return Place{}, false
	}
	switch a {
	case SysV:
		if _, ok := Strip(f.Result).(*Float); ok {
			return Place{Float: true}, true
		}
		classes, inMemory := sysvClasses(f.Result)
		if inMemory {
			return Place{Regs: sysvResults[:1], ByRef: true}, true
		}
		p := Place{}
		for _, c := range classes {
			switch c {
			case classFloat:
				p.Float = true
			case classInt:
				p.Regs = sysvResults[:len(p.Regs)+1]
			}
		}
		return p, true
	case AAPCS64:
		if isFloatOnly(f.Result, 0) {
			return Place{Float: true}, true
		}
		n := f.Result.Size()
		if n > 16 {
			// The caller passed the address in x8, which need not survive.
			return Place{}, false
		}
		return Place{Regs: aapcsArgs[:(n+7)/8]}, true
	}
	return Place{}, false
}

type class uint8

const (
	classNone class = iota
	classInt
	classFloat
)

// sysvClasses gives the classes of the one or two eightbytes of a type, or
// that it is passed in memory.
func sysvClasses(t Type) (classes []class, inMemory bool) {
	n := t.Size()
	if n > 16 {
		return nil, true
	}
	var cs [2]class
	if !sysvClassify(t, 0, &cs, 0) {
		return nil, true
	}
	return cs[:(n+7)/8], false
}

// sysvClassify merges the classes of t at a byte offset; false means memory.
func sysvClassify(t Type, off int64, cs *[2]class, depth int) bool {
	n := t.Size()
	if depth > maxNesting || off < 0 || n < 0 || off+n > 16 {
		return false
	}
	merge := func(c class, bytes int64) {
		for i := off / 8; i <= (off+max(bytes, 1)-1)/8 && i < 2; i++ {
			if cs[i] != classInt {
				cs[i] = c
			}
		}
	}
	switch t := Strip(t).(type) {
	case *Struct:
		for _, m := range t.Members() {
			if m.Bits > 0 {
				at := off + m.Bit/8
				if at >= 0 && at < 16 {
					cs[at/8] = classInt
				}
				continue
			}
			if a := alignment(m.Type, 0); a > 0 && m.Offset()%a != 0 {
				return false // packed
			}
			if !sysvClassify(m.Type, off+m.Offset(), cs, depth+1) {
				return false
			}
		}
		return true
	case *Array:
		e := t.Elem.Size()
		for i := int64(0); i < t.Len && e > 0; i++ {
			if !sysvClassify(t.Elem, off+i*e, cs, depth+1) {
				return false
			}
		}
		return true
	case *Float:
		if t.Bytes > 8 {
			return false
		}
		merge(classFloat, n)
		return true
	}
	merge(classInt, n)
	return true
}

// alignment is the natural alignment of a type, 0 when it cannot be told.
func alignment(t Type, depth int) int64 {
	if depth > maxNesting {
		return 0
	}
	switch t := Strip(t).(type) {
	case *Struct:
		a := int64(1)
		for _, m := range t.Members() {
			a = max(a, alignment(m.Type, depth+1))
		}
		return a
	case *Array:
		return alignment(t.Elem, depth+1)
	}
	switch n := t.Size(); n {
	case 1, 2, 4, 8, 16:
		return n
	}
	return 0
}

func sysvParameters(f *Func) []Place {
	out := make([]Place, 0, len(f.Params))
	used := 0
	if _, inMemory := sysvClasses(f.Result); inMemory && f.Result.Size() > 0 {
		used = 1 // rdi has the address for the result
	}
	stack := int64(0)
	floats := 0
	for _, p := range f.Params {
		classes, inMemory := sysvClasses(p.Type)
		ints, sse := 0, 0
		for _, c := range classes {
			switch c {
			case classInt:
				ints++
			case classFloat:
				sse++
			}
		}
		if inMemory || used+ints > len(sysvArgs) || floats+sse > 8 || ints+sse == 0 {
			if a := alignment(p.Type, 0); a >= 16 {
				stack = (stack + a - 1) &^ (a - 1)
			}
			out = append(out, Place{OnStack: true, Stack: stack})
			stack += (max(p.Type.Size(), 1) + 7) &^ 7
			continue
		}
		pl := Place{Float: sse > 0}
		pl.Regs = sysvArgs[used : used+ints : used+ints]
		used += ints
		floats += sse
		out = append(out, pl)
	}
	return out
}

// isFloatOnly reports whether a type consists of at most four floating-point
// numbers, which arm64 passes in vector registers.
func isFloatOnly(t Type, depth int) bool {
	if depth > maxNesting {
		return false
	}
	switch t := Strip(t).(type) {
	case *Float:
		return true
	case *Struct:
		ms := t.Members()
		for _, m := range ms {
			if !isFloatOnly(m.Type, depth+1) {
				return false
			}
		}
		return len(ms) > 0 && len(ms) <= 4
	case *Array:
		return t.Len > 0 && t.Len <= 4 && isFloatOnly(t.Elem, depth+1)
	}
	return false
}

func aapcsParameters(f *Func) []Place {
	out := make([]Place, 0, len(f.Params))
	used, floats, stack := 0, 0, int64(0)
	for _, p := range f.Params {
		if isFloatOnly(p.Type, 0) && floats < 8 {
			floats++
			out = append(out, Place{Float: true})
			continue
		}
		n := p.Type.Size()
		byRef := false
		if _, ok := Strip(p.Type).(*Struct); ok && n > 16 {
			n, byRef = 8, true
		}
		regs := int((max(n, 1) + 7) / 8)
		if alignment(p.Type, 0) == 16 && !byRef && used%2 == 1 {
			used++
		}
		if used+regs <= len(aapcsArgs) {
			out = append(out, Place{Regs: aapcsArgs[used : used+regs : used+regs], ByRef: byRef})
			used += regs
			continue
		}
		used = len(aapcsArgs)
		if alignment(p.Type, 0) == 16 && !byRef {
			stack = (stack + 15) &^ 15
		}
		out = append(out, Place{OnStack: true, Stack: stack, ByRef: byRef})
		stack += (max(n, 1) + 7) &^ 7
	}
	return out
}
