// Package st2004 is the rule ST2004: pointer of a program read as one of the kernel.
package st2004

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/mapuse"
	"stapkit/sema"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST2004",
	Doc: &lint.Doc{
		Title:    "pointer of a program is read as one of the kernel",
		Severity: diag.Warning,
		Fix:      lint.UnsafeFix,
		Why: `
The address is one of the program that made the call. Read as memory of the kernel it faults, or on some architectures
finds something else; "kernel_string($filename)" printed nothing but "<unknown>" on s390, where it had seemed to work on
x86.`,
		Limits: `Known are the pointers of system calls, and the parameters of the functions around them.`,
		Before: `
probe syscall.openat {
	println(kernel_string(filename_uaddr))
}`,
		After: `
probe syscall.openat {
	println(user_string(filename_uaddr))
}`,
	},
	Run: run,
})

// user are parameters of kernel functions that point into the program.
var user = map[string]bool{
	"vfs_read.buf": true, "vfs_write.buf": true, "ksys_read.buf": true, "ksys_write.buf": true, "new_sync_read.buf": true, "new_sync_write.buf": true,
	"do_sys_open.filename": true, "do_sys_openat2.filename": true, "getname.filename": true, "getname_flags.filename": true, "strncpy_from_user.src": true,
	"copy_from_user.from": true, "_copy_from_user.from": true, "copy_to_user.to": true, "_copy_to_user.to": true,
	"user_path_at_empty.name": true, "do_readlinkat.pathname": true, "do_mkdirat.pathname": true,
}

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			c, ok := n.(*syntax.Call)
			if !ok || len(c.Args) == 0 {
				return true
			}
			name := b.Library(c)
			if !strings.HasPrefix(name, "kernel_string") && !readers[name] || !of(&b, c.Args[0]) {
				return true
			}
			d := p.At(c, "%s is an address of the program, and %s() reads memory of the kernel", syntax.ExprString(c.Args[0]), name)
			if strings.HasPrefix(name, "kernel_string") {
				to := "user" + strings.TrimPrefix(name, "kernel")
				d.Help = to + "() reads that of the program"
				d.Fixes = p.CallInstead(c, name, to)
			}
			p.Report(d)
			return true
		})
	}
	return nil, nil
}

// readers are other functions that read memory of the kernel.
var readers = map[string]bool{
	"kernel_char": true, "kernel_short": true, "kernel_int": true, "kernel_long": true, "kernel_pointer": true, "kernel_buffer_quoted": true,
}

// of reports whether an expression is a pointer into the program.
func of(b *lint.Body, x syntax.Expr) bool {
	if id, ok := x.(*syntax.Ident); ok && strings.HasSuffix(id.Name, "_uaddr") && b.Global(id) == nil {
		return true
	}
	t, ok := mapuse.Source(b, x).(*syntax.TargetVar)
	if !ok || len(t.Path) > 0 || b.Probe == nil {
		return false
	}
	name := strings.TrimPrefix(t.Name, "$")
	switch b.Probe.Family {
	case sema.FamSyscall:
		return strings.HasSuffix(name, "name") || name == "buf" || name == "ubuf"
	case sema.FamFunction:
		return user[b.Probe.Func+"."+name] || strings.HasPrefix(b.Probe.Func, "sys_") && (strings.HasSuffix(name, "name") || name == "buf")
	}
	return false
}
