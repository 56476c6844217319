// Package st7005 is the rule ST7005: number that has a name.
package st7005

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST7005",
	Doc: &lint.Doc{
		Title:    "error or signal is compared with a bare number",
		Severity: diag.Note,
		Why: `
-11 is EAGAIN, on most architectures; -35 is EDEADLK on x86 and EAGAIN nowhere. A reader has to look the number up, and one
who does not took -13 for "try again" and counted denied accesses as retries. A global with the name of the constant,
or errno_str(), says what is meant.`,
		Limits: `-1 is left alone: it mostly means "failed".`,
		Before: `
probe syscall.read.return {
	if (retval == -11)
		println(execname(), " has to wait")
}`,
		After: `
global EAGAIN = 11
probe syscall.read.return {
	if (retval == -EAGAIN)
		println(execname(), " has to wait")
}`,
	},
	Run: run,
})

// errnos are the errors that scripts ask for, with the same number on all architectures
// but alpha, mips, parisc and sparc.
var errnos = map[int64]string{
	2: "ENOENT", 3: "ESRCH", 4: "EINTR", 5: "EIO", 6: "ENXIO", 7: "E2BIG", 9: "EBADF", 10: "ECHILD", 11: "EAGAIN", 12: "ENOMEM",
	13: "EACCES", 14: "EFAULT", 16: "EBUSY", 17: "EEXIST", 18: "EXDEV", 19: "ENODEV", 20: "ENOTDIR", 21: "EISDIR", 22: "EINVAL",
	23: "ENFILE", 24: "EMFILE", 25: "ENOTTY", 27: "EFBIG", 28: "ENOSPC", 29: "ESPIPE", 30: "EROFS", 32: "EPIPE", 36: "ENAMETOOLONG",
	38: "ENOSYS", 61: "ENODATA", 71: "EPROTO", 90: "EMSGSIZE", 95: "EOPNOTSUPP", 98: "EADDRINUSE", 104: "ECONNRESET", 105: "ENOBUFS",
	110: "ETIMEDOUT", 111: "ECONNREFUSED", 113: "EHOSTUNREACH", 115: "EINPROGRESS", 512: "ERESTARTSYS", 516: "ERESTART_RESTARTBLOCK",
}

// signals are the most used ones.
var signals = map[int64]string{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
	17: "SIGCHLD", 19: "SIGSTOP",
}

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			x, ok := n.(*syntax.Binary)
			if !ok || x.Op != syntax.Eq && x.Op != syntax.Ne {
				return true
			}
			check(p, &b, x.X, x.Y)
			check(p, &b, x.Y, x.X)
			return true
		})
	}
	return nil, nil
}

func check(p *lint.Pass, b *lint.Body, x, number syntax.Expr) {
	v, ok := b.Int(number)
	if !ok || !bare(number) || len(syntax.Origin(number)) > 0 {
		return
	}
	name := ""
	switch x := x.(type) {
	case *syntax.Ident:
		name = x.Name
	case *syntax.TargetVar:
		if len(x.Path) == 0 {
			name = strings.TrimPrefix(x.Name, "$")
		}
	case *syntax.Call:
		name = b.Library(x)
	}
	switch name {
	case "retval", "return", "returnval", "retstr", "error", "err", "errno", "ret", "rc":
		if e := errnos[-v]; v < 0 && e != "" {
			p.Reportf(number, "%d is -%s", v, e)
		}
	case "sig", "signal", "signo", "signr", "sig_num":
		if s := signals[v]; s != "" {
			p.Reportf(number, "%d is %s", v, s)
		}
	}
}

// bare reports whether a number is written as one.
func bare(x syntax.Expr) bool {
	switch x := x.(type) {
	case *syntax.NumberLit:
		return true
	case *syntax.Unary:
		return bare(x.X)
	}
	return false
}
