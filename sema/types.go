package sema

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"stapkit/syntax"
	"stapkit/target/ctype"
)

// namedType is a type that @cast names.
type namedType struct {
	Type   ctype.Type
	Space  Space
	Path   string // user program
	module string // kernel module
	// pointee: the type is what the cast value points at.
	pointee bool
}

// module is the kernel module that a body's types are looked up in by default.
func (b *bodyState) module() string {
	if c := b.context(); c != nil {
		return c.module
	}
	return ""
}

// hasTypes reports whether types can be looked up at all in a module, as the third
// argument of @cast names it.
func (e *elab) hasTypes(b *bodyState, module string) bool {
	for _, m := range modules(b, module) {
		if strings.HasPrefix(m, "/") {
			return true
		}
	}
	if e.opt.Target == nil {
		return false
	}
	_, err := e.opt.Target.BTF()
	return err == nil
}

// modules splits the third argument of @cast: alternatives between colons. A header
// ("kernel<linux/sched.h>", "<x.h>") means the kernel's or the program's own types.
func modules(b *bodyState, module string) []string {
	if module == "" {
		if c := b.context(); c != nil && c.binary != "" {
			return []string{c.binary, ""}
		}
		if m := b.module(); m != "" {
			return []string{m, ""}
		}
		return []string{""}
	}
	var out []string
	for _, m := range strings.Split(module, ":") {
		if i := strings.IndexByte(m, '<'); i >= 0 {
			m = m[:i]
		}
		if m == "kernel" || m == "vmlinux" {
			m = ""
		}
		if strings.Contains(m, "/") { // a program, as process("./program") names it
			if abs, err := filepath.Abs(m); err == nil {
				m = abs
			}
		}
		out = append(out, m)
	}
	return out
}

// findType looks a type up; if there is none it gives names for suggestions.
func (e *elab) findType(b *bodyState, name, module string) (*namedType, []string) {
	for _, m := range modules(b, module) {
		if strings.HasPrefix(m, "/") {
			if t, ok := e.userType(m, name); ok {
				return &namedType{Type: t, Space: UserSpace, Path: m}, nil
			}
			continue
		}
		if e.opt.Target == nil {
			continue
		}
		if t, ok := e.opt.Target.Type(m, name); ok {
			return &namedType{Type: t, module: m}, nil
		}
		if code, err := e.res.kernelCode(m); err == nil {
			if t, ok := code.data.Type(name); ok {
				return &namedType{Type: t, module: m}, nil
			}
		}
	}
	return nil, nil
}

// symbolAccess resolves @var("name[@file]", "module").
func (b *bodyState) symbolAccess(x *syntax.AtOp, name, module string, addr bool) (*Access, *fail) {
	bare, _, _ := strings.Cut(name, "@")
	if bare == "" {
		return nil, failf(codeTargetSymbol, x, "@var needs the name of a variable")
	}
	if b.e.opt.Target == nil && (b.context() == nil || b.context().binary == "") {
		b.e.note("var", x, "no target to look up the variable '%s'", bare)
		b.walkIndexes(x.Access)
		return openAccess("@var", x.Pretty != syntax.NoPretty), nil
	}
	for _, m := range modules(b, module) {
		if strings.HasPrefix(m, "/") {
			acc, f := b.userSymbol(x, m, name, addr)
			if acc != nil || f != nil {
				return acc, f
			}
			continue
		}
		if b.e.opt.Target == nil {
			continue
		}
		if v, ok := b.e.opt.Target.Variable(m, bare); ok {
			base := &Access{Base: BaseSymbol, BaseType: v.Type, BaseAddr: true, Name: "@var", Module: m,
				Symbol: &Symbol{Name: bare, Module: m, PerCPU: v.Section == ".data..percpu"}}
			return b.follow(base, x.Access, x, addr)
		}
		if code, err := b.e.res.kernelCode(m); err == nil {
			if v := b.e.res.debugGlobal(code, name); v != nil {
				if v.why != "" {
					return nil, failf(codeTargetSymbol, x, "%s", v.why)
				}
				base := v.acc
				base.Name = "@var"
				return b.follow(&base, x.Access, x, addr)
			}
		}
		syms, err := b.e.opt.Target.Symbols()
		if err != nil {
			continue
		}
		if len(syms.ByName(bare)) > 0 {
			// The address is known, the type is not: what does not need it works.
			if addr && len(x.Path) == 0 {
				return &Access{Base: BaseSymbol, Name: "@var", Module: m, Path: &ctype.Path{}, Result: ResultAddr, Size: 8,
					Symbol: &Symbol{Name: bare, Module: m}}, nil
			}
			return nil, failf(codeTargetSymbol, x, "the type of the variable '%s' is not in the kernel's type information", bare).
				withHelp(`give it with @cast(&@var("%s"), "type")`, bare)
		}
	}
	return nil, failf(codeTargetSymbol, x, "unable to find global '%s'", bare)
}

// parseNumber reads a C integer constant.
func parseNumber(s string) (int64, bool) {
	s = strings.TrimRight(s, "uUlL")
	neg := strings.HasPrefix(s, "-")
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "-"), 0, 64)
	if err != nil {
		return 0, false
	}
	if neg {
		return -int64(n), true
	}
	return int64(n), true
}

func plural(n int, what string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}
