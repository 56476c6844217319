package main

import (
	"bytes"
	_ "embed" // calls.txt
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	stapfmt "stapkit/fmt"
	"stapkit/sema"
)

//go:embed calls.txt
var callsText string

// call is one line of calls.txt.
type call struct {
	kernel string
	names  []string // of the aliases
	name   string   // the variable
	args   []arg
	argstr string // expression; "" for the parts of args
	ret    string // expression of retstr
	// noReturn: the call does not return, or not where it can be seen.
	noReturn bool
	// child: the kernel tells of the call's return in the new process, too.
	child   bool
	returns []arg
	set     []string
}

// arg is one argument of a call.
type arg struct {
	n                int    // from 1
	uaddr, name, str string // variables; uaddr and str may be ""
	dec, param       string
	hidden           bool
}

// section is the aliases of one file.
type section struct {
	file  string
	about string
	calls []*call
}

var argForm = regexp.MustCompile(`^(?:([1-6])=)?(?:(\w+)\+)?(\w+)(?:>(\w+))?:(\w+)(?:\((\w+)\))?(~?)$`)

func parseArg(word string, n int) (arg, error) {
	m := argForm.FindStringSubmatch(word)
	if m == nil {
		return arg{}, fmt.Errorf("argument %q is not of the form [N=][UADDR+]VAR[>STR]:DECODER[(PARAMETER)][~]", word)
	}
	a := arg{n: n, uaddr: m[2], name: m[3], str: m[4], dec: m[5], param: m[6], hidden: m[7] != ""}
	if m[1] != "" {
		a.n = int(m[1][0] - '0')
	}
	return a, nil
}

// parseCalls reads calls.txt.
func parseCalls(text string) ([]*section, error) {
	var out []*section
	var about []string
	seen := map[string]bool{}
	for i, line := range strings.Split(text, "\n") {
		bad := func(format string, args ...any) error {
			return fmt.Errorf("calls.txt:%d: %s", i+1, fmt.Sprintf(format, args...))
		}
		line = strings.TrimSpace(line)
		if line == "" {
			about = nil
			continue
		}
		if line[0] == '#' {
			about = append(about, strings.TrimSpace(line[1:]))
			continue
		}
		if line[0] == '[' {
			out = append(out, &section{file: strings.Trim(line, "[]"), about: strings.Join(about, "\n")})
			continue
		}
		if len(out) == 0 {
			return nil, bad("a call before the first [section]")
		}
		head, rest, ok := strings.Cut(line, ":")
		if !ok {
			return nil, bad("want: CALL [= NAME…] : ARG…")
		}
		kernel, names, _ := strings.Cut(head, "=")
		c := &call{kernel: strings.TrimSpace(kernel), names: strings.Fields(names)}
		if c.kernel == "" || seen[c.kernel] {
			return nil, bad("the call %q stands twice, or not at all", c.kernel)
		}
		seen[c.kernel] = true
		c.name = c.kernel
		if len(c.names) > 0 {
			c.name = c.names[0]
			if n, ok := strings.CutSuffix(c.name, "!"); ok {
				c.names[0], c.name = n, c.kernel
			}
		}
		if !slices.Contains(c.names, c.kernel) {
			c.names = append(c.names, c.kernel)
		}
		words, options, _ := strings.Cut(rest, " ;")
		n := 0
		for _, w := range strings.Fields(words) {
			n++
			if w == "-" {
				continue
			}
			a, err := parseArg(w, n)
			if err != nil {
				return nil, bad("%v", err)
			}
			c.args = append(c.args, a)
		}
		if options != "" {
			for _, o := range strings.Split(options, " ;") {
				key, v, _ := strings.Cut(strings.TrimSpace(o), "=")
				switch key {
				case "argstr":
					c.argstr = v
				case "ret":
					c.ret = v
				case "name":
					c.name = v
				case "noreturn":
					c.noReturn = true
				case "child":
					c.child = true
				case "set":
					c.set = append(c.set, v)
				case "return":
					a, err := parseArg(v, 0)
					if err != nil {
						return nil, bad("%v", err)
					}
					c.returns = append(c.returns, a)
				default:
					return nil, bad("unknown option %q", o)
				}
			}
		}
		s := out[len(out)-1]
		s.calls = append(s.calls, c)
	}
	return out, nil
}

// body collects the statements of an alias.
type body struct {
	lines  []string
	format []string // of the parts of argstr
	values []string
}

func (b *body) set(name, expr string) { b.lines = append(b.lines, name+" = "+expr) }

func (b *body) part(a *arg, format, value string) {
	if !a.hidden {
		b.format = append(b.format, format)
		b.values = append(b.values, value)
	}
}

// register is argument n as the register holds it.
func register(n int) string { return "$arg" + strconv.Itoa(n) }

func signed32(x string) string { return "(" + x + " << 32) >> 32" }

// numbers are the decoders of numbers: the expression, a printf verb for $arg.
var numbers = map[string]struct{ expr, format string }{
	"int":   {"(%s << 32) >> 32", "%d"},
	"uint":  {"%s & 0xffffffff", "%u"},
	"oct":   {"%s & 0xffffffff", "%#o"},
	"mode":  {"%s & 0xffff", "%#o"},
	"long":  {"%s", "%d"},
	"ulong": {"%s", "%u"},
	"ptr":   {"%s", "%p"},
	"hex":   {"%s", "%#x"},
}

// named are the decoders of numbers with a text: the expression of the number.
var named = map[string]string{
	"flags": "%s & 0xffffffff", "lflags": "%s", "enum": "(%s << 32) >> 32", "lenum": "%s",
	"sflags": "%s & 0xffffffff", "senum": "(%s << 32) >> 32",
}

// words are the structures that a pure function makes text of, from so many words of
// eight bytes: _NAME_str(address, readable, word…).
var words = map[string]int{
	"timespec": 2, "timespec2": 4, "timeval": 2, "timeval2": 4, "itimerspec": 4, "itimerval": 4,
	"rlimit": 2, "sigset": 1, "sigaction": 4, "timezone": 1, "sigaltstack": 3, "siginfo": 3,
	"open_how": 3, "clone_args": 5, "user_desc": 2, "sched_attr": 3, "timex": 5,
}

// bufferWords is how many aligned words hold what is shown of a buffer.
const bufferWords = 7

// sockaddrWords is how many words hold the address of a socket but AF_UNIX's.
const sockaddrWords = 4

func (b *body) arg(c *call, a *arg) error {
	r := register(a.n)
	if a.uaddr != "" {
		b.set(a.uaddr, r)
	}
	str := a.str
	if str == "" {
		str = a.name + "_str"
	}
	length := func() (string, error) {
		n, err := strconv.Atoi(a.param)
		if err != nil || n < 1 || n > 6 {
			return "", fmt.Errorf("%s: %s needs the number of an argument", a.name, a.dec)
		}
		return register(n), nil
	}
	reads := func(n int) string {
		s := ""
		for i := range n {
			if i == 0 {
				s += ", _uword(" + r + ")"
			} else {
				s += fmt.Sprintf(", _uword(%s + %d)", r, 8*i)
			}
		}
		return s
	}
	if d, ok := numbers[a.dec]; ok {
		b.set(a.name, fmt.Sprintf(d.expr, r))
		b.part(a, d.format, a.name)
		return nil
	}
	if d, ok := named[a.dec]; ok {
		b.set(a.name, fmt.Sprintf(d, r))
		text := fmt.Sprintf("_%s_str(%s)", a.param, a.name)
		if a.dec[0] != 's' {
			b.set(str, text)
			text = str
		}
		b.part(a, "%s", text)
		return nil
	}
	if n, ok := words[a.dec]; ok {
		b.set(a.name, fmt.Sprintf("_%s_str(%s, _ureadable(%s)%s)", a.dec, r, r, reads(n)))
		b.part(a, "%s", a.name)
		return nil
	}
	switch a.dec {
	case "dirfd":
		b.set(a.name, signed32(r))
		b.set(str, fmt.Sprintf("_dirfd_str(%s)", a.name))
		b.part(a, "%s", str)
	case "path", "qstr":
		raw := "__" + a.name
		b.set(raw, fmt.Sprintf("_ustr(%s)", r))
		b.set(a.name, fmt.Sprintf("_uquoted(%s, %s, _ustr_ok(%s, %s))", raw, r, raw, r))
		if a.dec == "path" {
			b.set(a.name+"_unquoted", raw)
		}
		b.part(a, "%s", a.name)
	case "buf":
		n, err := length()
		if err != nil {
			return err
		}
		s := fmt.Sprintf("_ubuf_str(%s, %s, syscall_string_trunc, _ureadable(%s)", r, n, r)
		for i := range bufferWords {
			s += fmt.Sprintf(", _ubuf_word(%s, %s, %d)", r, n, i)
		}
		b.set(a.name, s+")")
		b.part(a, "%s", a.name)
	case "sockaddr", "sockaddr_text":
		n, err := length()
		if err != nil {
			return err
		}
		b.set("__ok", fmt.Sprintf("_ureadable(%s)", r))
		for i := range sockaddrWords {
			b.set(fmt.Sprintf("__sa%d", i), fmt.Sprintf("_sockaddr_word(%s, %s, %d)", r, n, i))
		}
		b.set("__sun", fmt.Sprintf("_sockaddr_path(%s, %s, __sa0)", r, n))
		text := fmt.Sprintf("_sockaddr_str(%s, __ok, %s & 0xffffffff, __sa0, __sa1, __sa2, __sa3, __sun)", r, n)
		if a.dec == "sockaddr" {
			b.set(a.name, r)
			b.set("uaddr_af", "_sock_family_str(__sa0 & 0xffff)")
			b.set("uaddr_ip", "_sockaddr_ip(__sa0, __sa1, __sa2)")
			b.set("uaddr_ip_port", "_sockaddr_port(__sa0)")
			b.set("uaddr_ipv6_flowinfo", "_sockaddr_flowinfo(__sa0)")
			b.set("uaddr_ipv6_scope_id", "_sockaddr_scope(__sa0, __sa3)")
			b.part(a, "%s", text)
			return nil
		}
		b.set(a.name, text)
		b.part(a, "%s", a.name)
	case "ptr_text":
		b.set(a.name, fmt.Sprintf("sprintf(\"%%p\", %s)", r))
		b.part(a, "%s", a.name)
	case "pipe":
		b.set(a.name, r)
		b.set("pipe0", fmt.Sprintf("_us32(%s)", r))
		b.set("pipe1", fmt.Sprintf("_us32(%s + 4)", r))
		b.part(a, "%s", fmt.Sprintf("_pipe_str(%s, pipe0, pipe1)", r))
	case "utimbuf":
		b.set(a.name, r)
		b.set("actime", fmt.Sprintf("_uword(%s)", r))
		b.set("modtime", fmt.Sprintf("_uword(%s + 8)", r))
		b.part(a, "%s", fmt.Sprintf("_utimbuf_str(%s, _ureadable(%s), actime, modtime)", r, r))
	case "argv":
		b.set("__args", fmt.Sprintf("_uargv(%s)", r))
		b.set(a.name, fmt.Sprintf("_argv_str(%s, __args)", r))
		b.part(a, "%s", a.name)
	case "envp":
		b.set(a.name, fmt.Sprintf("_envp_str(%s, _uenvc(%s))", r, r))
		b.part(a, "%s", a.name)
	case "clone_ctid":
		// arm64 and riscv have the fourth and the fifth argument the other way round.
		b.lines = append(b.lines, "%( arch == \"arm64\" || arch == \"riscv\" %?", a.name+" = $arg5", "%:", a.name+" = $arg4", "%)")
		b.part(a, "%p", a.name)
	case "sock_protocol":
		n, err := length()
		if err != nil {
			return err
		}
		b.set(a.name, signed32(r))
		b.set(str, fmt.Sprintf("_sock_protocol_name(%s & 0xffffffff, %s)", n, a.name))
		b.part(a, "%s", str)
	case "sock_option":
		n, err := length()
		if err != nil {
			return err
		}
		b.set(a.name, signed32(r))
		b.set(str, fmt.Sprintf("_sock_option_name(%s, %s)", signed32Arg(n), a.name))
		b.part(a, "%s", str)
	case "wait_status":
		b.set(a.name, fmt.Sprintf("_wait_status_str(%s, _ureadable(%s), _us32(%s))", r, r, r))
	default:
		return fmt.Errorf("%s: unknown decoder %s", a.name, a.dec)
	}
	return nil
}

func signed32Arg(x string) string { return "((" + x + " << 32) >> 32)" }

// text makes argstr of the parts.
func (b *body) text(c *call) string {
	switch {
	case c.argstr != "":
		return c.argstr
	case len(b.format) == 0:
		return `""`
	case len(b.format) == 1 && b.format[0] == "%s":
		return b.values[0]
	}
	return fmt.Sprintf("sprintf(%q, %s)", strings.Join(b.format, ", "), strings.Join(b.values, ", "))
}

// families are the first components of the aliases: SystemTap's names for the
// different ways of probing, which are one here.
var families = []string{"syscall", "nd_syscall", "dw_syscall", "tp_syscall"}

// head writes the names of an alias up to the body.
func (c *call) head(w *bytes.Buffer, suffix string) {
	w.WriteString("probe ")
	for _, f := range families {
		for _, n := range c.names {
			fmt.Fprintf(w, "%s.%s%s = ", f, n, suffix)
		}
	}
	fmt.Fprintf(w, "kernel.syscall(%q)%s", c.kernel, suffix)
	if _, ok := sema.SyscallNumber("x86_64", c.kernel); sharedNames[c.names[0]] || !ok {
		// An architecture need not have all the calls that share a name; and a script that
		// asks for recv beside recvfrom is one for all architectures.
		w.WriteString(" ?")
	}
	w.WriteString(" {\n")
}

// sharedNames are the names of more than one call.
var sharedNames = map[string]bool{}

// writeAliases makes one file.
func (s *section) write() ([]byte, error) {
	var w bytes.Buffer
	w.WriteString("// Code generated by internal/gen/syscalls from calls.txt. DO NOT EDIT.\n")
	if s.about != "" {
		for _, l := range strings.Split(s.about, "\n") {
			w.WriteString("// " + l + "\n")
		}
	}
	for _, c := range s.calls {
		w.WriteByte('\n')
		var b body
		b.set("name", strconv.Quote(c.name))
		for i := range c.args {
			if err := b.arg(c, &c.args[i]); err != nil {
				return nil, fmt.Errorf("%s: %w", c.kernel, err)
			}
		}
		for _, x := range c.set {
			b.lines = append(b.lines, strings.Replace(x, "=", " = ", 1))
		}
		b.set("argstr", b.text(c))
		fmt.Fprintf(&w, "/** syscall.%s - the system call %s */\n", c.names[0], c.kernel)
		c.head(&w, "")
		b.write(&w)
		if c.noReturn {
			continue
		}
		w.WriteByte('\n')
		var r body
		if c.child {
			r.lines = append(r.lines, "if ($return == 0)", "\tnext // the child, which did not make the call")
		}
		r.set("name", strconv.Quote(c.name))
		for i := range c.returns {
			if err := r.arg(c, &c.returns[i]); err != nil {
				return nil, fmt.Errorf("%s: %w", c.kernel, err)
			}
		}
		r.set("retval", "$return")
		if c.ret != "" {
			r.set("retstr", c.ret)
		} else {
			r.set("retstr", "return_str(1, $return)")
		}
		c.head(&w, ".return")
		r.write(&w)
	}
	return w.Bytes(), nil
}

func (b *body) write(w *bytes.Buffer) {
	for _, l := range b.lines {
		if strings.HasPrefix(l, "%") {
			w.WriteString(l + "\n")
		} else {
			w.WriteString("    " + l + "\n")
		}
	}
	w.WriteString("}\n")
}

// writeAliases writes the alias files into the library's folder.
func writeAliases(dir string) error {
	sections, err := parseCalls(callsText)
	if err != nil {
		return err
	}
	first := map[string]bool{}
	for _, s := range sections {
		for _, c := range s.calls {
			sharedNames[c.names[0]] = sharedNames[c.names[0]] || first[c.names[0]]
			first[c.names[0]] = true
		}
	}
	for _, s := range sections {
		text, err := s.write()
		if err != nil {
			return err
		}
		res, err := stapfmt.Format("syscall_"+s.file+".stp", text, stapfmt.Options{})
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "syscall_"+s.file+".stp"), res.Text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
