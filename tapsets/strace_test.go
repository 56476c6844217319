//go:build linux

package tapsets_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stapkit/internal/guest"
	"stapkit/internal/guest/guesttest"
	"stapkit/internal/host"
	"stapkit/syntax"
)

// straceScript prints the calls of all processes that descend from the target, each
// with the thread that makes it.
const straceScript = `probe syscall.* { if (target_set_pid(pid())) printf("%d %s(%s)\n", tid(), name, argstr) }
probe syscall.*.return { if (target_set_pid(pid())) printf("%d = %s\n", tid(), retstr) }
`

// straced are the commands that are compared; @ is a folder of their own, with
// calls, file.txt and the folder work.
var straced = []string{
	"/bin/ls -l /etc",
	"/bin/cat @/file.txt @/none",
	"/bin/cp @/file.txt @/work/copy",
	"/bin/mkdir -m 750 -p @/work/a/b",
	"/usr/bin/touch -d @1000000000 @/work/new",
	"/bin/mv @/work/new @/work/old",
	"/usr/bin/sort -r @/file.txt -o @/work/sorted",
	"/usr/bin/find @/work -newer @/file.txt -type f",
	"/bin/grep -rn two @/file.txt",
	"/bin/sh -c 'echo $((1 + 2)) | /bin/cat > @/work/piped; exit 4'",
	"/bin/rm -r @/work/a",
	"/bin/tar -cf @/work/files.tar -C @ file.txt calls.stp",
	"/usr/bin/python3 -S -c 'import os; print(os.getpid(), os.listdir(\"@\"))'",
	"/usr/bin/perl -e 'open(F, \"<@/file.txt\"); print <F>; mkdir \"@/work/perl\", 0700; sleep 0'",
	"/usr/bin/python3 -S -c 'import socket; s = socket.socket(); s.bind((\"127.0.0.1\", 0)); s.listen(); c = socket.create_connection(s.getsockname()); a, _ = s.accept(); c.sendall(b\"hi\"); print(a.recv(9))'",
	"/usr/bin/as -o @/work/empty.o /dev/null",
	"/bin/sleep 0.1",
	"@/calls",
}

// straceEnv names a file with other commands to compare, one a line.
const straceEnv = "STAPKIT_STRACE"

// TestStrace runs programs under strace and stap at once: both must see the same
// calls with the same arguments, up to the rules of sameArg.
func TestStrace(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	straced, few := straced, fewest
	if name := os.Getenv(straceEnv); name != "" {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		straced, few = strings.Split(strings.TrimSpace(string(text)), "\n"), least{}
	}
	programs := map[string]string{"strace": ""}
	for _, c := range straced {
		if p := strings.Fields(c)[0]; p[0] == '/' {
			programs[filepath.Base(p)] = ""
		}
	}
	for name := range programs {
		p, err := exec.LookPath(name)
		if err != nil {
			t.Skip(err)
		}
		programs[name] = p
	}
	dir := t.TempDir()
	calls := filepath.Join(dir, "calls")
	if b, err := exec.Command("gcc", "-static", "-O1", "-w", "-o", calls, "testdata/calls.c").CombinedOutput(); err != nil {
		t.Skipf("the program that makes many calls cannot be built: %v\n%s", err, b)
	}
	var stap string
	var run func(script string) string
	if why := host.BPF(); why == "" {
		stap, run = hostStap(t, dir), onHost(t)
	} else {
		t.Logf("in a guest: %s", why)
		here := map[string]string{"/t/calls": calls}
		for _, p := range programs {
			here[p] = p
		}
		for _, c := range straced {
			if p := strings.Fields(c)[0]; p[0] == '/' {
				here[p] = programs[filepath.Base(p)]
			}
		}
		stap, dir, run = "/bin/stap", "/t", inGuest(t, here)
	}
	var script strings.Builder
	fmt.Fprintf(&script, "cd %[1]s && printf 'one\\ntwo\\nthree\\n' > file.txt && chmod +x calls && rm -rf work && mkdir work\n", dir)
	fmt.Fprintf(&script, "cat > calls.stp <<'EOF'\n%sEOF\ncat > run.sh <<'EOF'\nexport LC_ALL=C\n", straceScript)
	// On a busy machine the kernel passes over a hit while it runs the same handler for a
	// task that it has put aside, or what is printed does not find its place. It is counted and
	// told; such a run, of a few of the commands, is made again.
	for first := 0; first < len(straced); first += 4 {
		for i, c := range straced[first:min(first+4, len(straced))] {
			fmt.Fprintf(&script, "mkdir -p c%[1]d && cd c%[1]d && %[2]s -s 500 -ff -o %[3]s/out/%[1]d %[4]s </dev/null >/dev/null 2>&1; cd ..\n",
				first+i, programs["strace"], dir, strings.ReplaceAll(c, "@", dir))
		}
		fmt.Fprintf(&script, `EOF
rm -rf before; cp -a work before
for try in 1 2 3 4 5 6 7 8; do
	rm -rf work out c[0-9]*; cp -a before work; mkdir out
	%s -c 'sh run.sh' -o all.txt calls.stp 2>told || { cat told >&2; exit 1; }
	[ -s told ] || break
done
for f in out/*; do echo "=== $f"; cat $f; done; echo '=== all'; cat all.txt
cat > run.sh <<'EOF'
export LC_ALL=C
`, stap)
	}
	script.WriteString("EOF\n")
	differ := compareTraces(t, run(script.String()), few)
	if len(differ) > 0 { // the tracers share a busy machine: what is wrong is so twice
		t.Logf("once more, after: %s", strings.Join(differ, "\n"))
		differ = compareTraces(t, run(script.String()), few)
	}
	for _, d := range differ {
		t.Error(d)
	}
}

// hostStap builds stap.
func hostStap(t *testing.T, dir string) string {
	t.Helper()
	stap := filepath.Join(dir, "stap")
	if b, err := exec.Command("go", "build", "-o", stap, "stapkit/cmd/stap").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return stap
}

// onHost gives a way to run scripts of the shell here.
func onHost(t *testing.T) func(string) string {
	return func(script string) string {
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "sh", "-c", script)
		// A session of its own: where nobody has made one, groups and sessions are number 0.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s%s", err, out, stderr.String())
		}
		return string(out)
	}
}

var library = regexp.MustCompile(`(/\S+) \(0x|=> (/\S+) \(0x`)

// inGuest gives a way to run scripts on a kernel of Debian's. The files are in the
// guest, by where they are there, programs with their libraries; and stap.
func inGuest(t *testing.T, here map[string]string) func(string) string {
	t.Helper()
	return inGuestOf(t, "6.12", here)
}

func inGuestOf(t *testing.T, kernel string, here map[string]string) func(string) string {
	t.Helper()
	k := guesttest.Kernel(t, guest.FindChosen, kernel)
	for _, p := range maps.Clone(here) {
		out, err := exec.Command("ldd", p).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "not a dynamic executable") {
			t.Fatalf("ldd %s: %v\n%s", p, err, out)
		}
		for _, m := range library.FindAllStringSubmatch(string(out), -1) {
			here[m[1]+m[2]] = m[1] + m[2]
		}
	}
	var files []guest.File
	for there, from := range here {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, guest.File{Path: there, Mode: 0o755, Data: b})
	}
	stap, err := guest.Build(t.Context(), "stapkit/cmd/stap")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, guest.File{Path: "/bin/stap", Mode: 0o755, Data: stap})
	g := guesttest.Boot(t, k, guest.Options{Memory: 2048, Modules: []string{"fuse"}, Files: files}) // procfs probes
	return func(script string) string {
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
		defer cancel()
		r, err := g.Run(ctx, guest.Command{Args: []string{"/bin/busybox", "setsid", "sh", "-c", script}, Timeout: 7 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if r.Code != 0 || r.TimedOut {
			t.Fatalf("exit status %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
		return r.Stdout
	}
}

// traced is one call as strace or a script prints it.
type traced struct {
	name string
	args []string
	line string
	ret  string // what it returned, "" if that is not known
}

var callLine = regexp.MustCompile(`(?s)^(\w+)\((.*)\)\s*(?:= .*|)$`)

func parseTraced(line string) (traced, bool) {
	text, ret := line, ""
	if i := strings.LastIndex(text, ") = "); i >= 0 {
		text, ret = text[:i+1], text[i+4:]
	} else if i := strings.LastIndex(text, ")  "); i >= 0 && strings.Contains(text[i:], "= ") {
		text, ret = text[:i+1], text[i+strings.Index(text[i:], "= ")+2:]
	}
	m := callLine.FindStringSubmatch(text)
	if m == nil {
		return traced{}, false
	}
	return traced{name: m[1], args: split(m[2]), line: line, ret: ret}, true
}

// split cuts a list at its commas.
func split(s string) []string {
	var out []string
	depth, start := 0, 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case ',':
			if depth == 0 {
				out = append(out, strings.TrimSpace(s[start:i]))
				start = i + 1
			}
		}
	}
	if rest := strings.TrimSpace(s[start:]); rest != "" {
		out = append(out, rest)
	}
	return out
}

// kernelNames gives the value of "name" for each call of the kernel.
func kernelNames(t *testing.T) map[string]string {
	out := map[string]string{}
	for name, f := range byKernelName(t) {
		for v := range f.names {
			out[name] = v
		}
	}
	return out
}

var syscallPoint = regexp.MustCompile(`^kernel\.syscall\("(\w+)"\)`)

func byKernelName(t *testing.T) map[string]*facts {
	out := map[string]*facts{}
	for _, f := range libraryFiles(t) {
		for _, d := range f.Decls {
			if a, ok := d.(*syntax.AliasDecl); ok && len(a.Points) == 1 {
				if m := syscallPoint.FindStringSubmatch(syntax.PointString(a.Points[0])); m != nil {
					fs := newFacts()
					fs.read(a.Body)
					out[m[1]] = fs
				}
			}
		}
	}
	return out
}

// least is how much has to be compared.
type least struct{ calls, names, processes int }

var fewest = least{600, 120, len(straced) + 2}

// compareTraces tells in what the calls of the two tracers differ.
func compareTraces(t *testing.T, output string, few least) (differ []string) {
	bad := func(format string, args ...any) { differ = append(differ, fmt.Sprintf(format, args...)) }
	strace := map[string][]traced{} // by thread
	stap := map[string][]traced{}
	var order []string
	section, tid := "", ""
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\n")
		if name, ok := strings.CutPrefix(line, "=== "); ok {
			section = name
			if _, id, ok := strings.Cut(filepath.Base(name), "."); ok {
				tid = id
				order = append(order, tid)
			}
			continue
		}
		if section == "all" {
			id, rest, _ := strings.Cut(line, " ")
			if ret, ok := strings.CutPrefix(rest, "= "); ok {
				if n := len(stap[id]); n > 0 {
					stap[id][n-1].ret = ret
				} else if ret == "0" {
					bad("thread %s returns from a call that another thread made", id)
				}
				continue
			}
			c, ok := parseTraced(rest)
			if !ok {
				bad("the script's line %q is no call", line)
				continue
			}
			stap[id] = append(stap[id], c)
			continue
		}
		if c, ok := parseTraced(line); ok {
			strace[tid] = append(strace[tid], c)
		}
	}
	names := kernelNames(t)
	calls, args, returns, rules := 0, 0, 0, map[string]int{}
	seen := map[string]bool{}
	for _, tid := range order {
		want, got := strace[tid], stap[tid]
		if len(want) > 0 && want[0].name == "execve" {
			// strace does not show what its child does before.
			for len(got) > 0 && got[0].name != "execve" {
				got = got[1:]
			}
		}
		for i, w := range want {
			if i >= len(got) {
				bad("thread %s: %d calls, not %d: the first that is missing is %s", tid, len(got), len(want), w.line)
				break
			}
			g := got[i]
			if g.name != names[w.name] {
				bad("thread %s: call %d is %s, not %s", tid, i, g.line, w.line)
				break
			}
			calls++
			seen[w.name] = true
			for _, why := range sameCall(w, g, rules) {
				bad("%s: %s\n   strace: %s", why, g.line, w.line)
			}
			args += len(w.args)
			if w.ret == "" || strings.HasPrefix(w.ret, "?") || w.name == "rt_sigreturn" {
				continue
			}
			returns++
			if !sameReturn(w.ret, g.ret) {
				bad("%s returns %q, not %q", g.line, g.ret, w.ret)
			}
		}
	}
	if calls < few.calls || returns < few.calls || len(seen) < few.names || len(order) < few.processes {
		bad("only %d calls with %d names of %d processes were compared", calls, len(seen), len(order))
	}
	t.Logf("%d calls with %d names of %d processes, %d arguments, %d results; rules used: %v", calls, len(seen), len(order), args, returns, rules)
	return differ
}

var errorReturn = regexp.MustCompile(`^-1 (E\w+)`)

// sameReturn compares a result as strace shows it with retstr.
func sameReturn(w, g string) bool {
	if m := errorReturn.FindStringSubmatch(w); m != nil {
		return strings.HasSuffix(g, " ("+m[1]+")") && g[0] == '-'
	}
	w, _, _ = strings.Cut(w, " ")
	return canonical(w) == canonical(g)
}

// fewer are calls of which strace leaves out arguments, depending on the others.
var fewer = map[string]bool{"fcntl": true, "preadv": true, "pwritev": true, "mremap": true, "prctl": true, "keyctl": true, "semctl": true, "futex": true, "mknod": true, "mknodat": true}

// longest is how long the arguments can be together, MAXSTRINGLEN.
const longest = 511

// returned are arguments that hold what the call returns, which strace shows and a
// probe of the entry cannot.
var returned = map[string]int{"getrandom": 0, "pipe": 0, "pipe2": 0, "getcpu": 0}

func sameCall(w, g traced, rules map[string]int) (why []string) {
	if w.name == "clone" {
		// strace names the arguments.
		for _, a := range w.args {
			if flags, ok := strings.CutPrefix(a, "flags="); ok && canonical(flags) != canonical(g.args[0]) {
				why = append(why, "flags")
			}
		}
		return why
	}
	if w.name == "rt_sigreturn" || w.name == "restart_syscall" {
		rules["what a call returns"]++
		return nil
	}
	if len(g.line) > longest && len(w.args) != len(g.args) {
		rules["what is too long for a string"]++
		whole := strings.Join(w.args, ", ")
		if from, cut := strings.IndexByte(g.line, '(')+1, len(g.line)-1; !strings.HasPrefix(whole, g.line[from:cut]) {
			return []string{"the beginning"}
		}
		return nil
	}
	if len(w.args) != len(g.args) {
		if len(w.args) > len(g.args) || !fewer[w.name] {
			return []string{fmt.Sprintf("%d arguments, not %d", len(g.args), len(w.args))}
		}
		rules["arguments that strace leaves out"]++
	}
	for i, a := range w.args {
		if n, ok := returned[w.name]; ok && n == i {
			rules["what a call returns"]++
			continue
		}
		if !sameArg(w.name, i, a, g.args[i], rules) {
			why = append(why, fmt.Sprintf("argument %d is %s, not %s", i+1, g.args[i], a))
		}
	}
	return why
}

var (
	comment  = regexp.MustCompile(`\s*/\*.*?\*/`)
	pointer  = regexp.MustCompile(`^0x[0-9a-f]+$`)
	vars     = regexp.MustCompile(`/\* \d+ vars \*/`)
	flagRun  = regexp.MustCompile(`[A-Z]{2}_[\w|]+|\b0x[0-9a-f]+\b`)
	symbolic = regexp.MustCompile(`^_?[A-Z][A-Z0-9_]*$`)
)

// sameArg compares an argument as strace shows it with a script's. The rules:
// numbers may be in another base, NULL is 0; flags stand in any order; PF_ is AF_,
// LOCAL is UNIX; a long string is cut, at another length; what the call returns in
// memory is a pointer in the script; a file name that is not in memory yet is its
// address; requests of ioctl are numbers; structures have SystemTap's form.
func sameArg(name string, i int, w, g string, rules map[string]int) bool {
	if name == "execve" && i == 2 {
		return vars.FindString(w) == vars.FindString(g)
	}
	if name == "ioctl" && i == 1 {
		return true
	}
	if m := numbered[name]; m != nil && m(i, w) {
		rules["what strace takes apart"]++
		return true
	}
	w = comment.ReplaceAllString(w, "")
	if strings.HasPrefix(w, `"`) && strings.HasPrefix(g, `"`) {
		a, cutA := unquote(w)
		b, cutB := unquote(g)
		if cutA || cutB {
			n := min(len(a), len(b))
			rules["long strings"]++
			return n >= 8 && a[:n] == b[:n] // a byte in octal takes four
		}
		return a == b
	}
	if pointer.MatchString(g) && strings.ContainsAny(w[:1], `"[{~`) {
		rules["memory that the call fills, or that is not there yet"]++
		return true
	}
	if f := structures[kind(name, i)]; f != nil {
		rules["structures"]++
		return flagRun.ReplaceAllStringFunc(f(w), canonical) == flagRun.ReplaceAllStringFunc(g, canonical)
	}
	if name == "shmget" || name == "semget" || name == "msgget" { // the key is a signed number there
		if key, err := strconv.ParseUint(w, 0, 32); err == nil && i == 0 {
			return strconv.Itoa(int(int32(key))) == g
		}
	}
	if name == "futex" {
		w = strings.ReplaceAll(w, "_PRIVATE", "|FUTEX_PRIVATE_FLAG")
	}
	return canonical(w) == canonical(g)
}

// numbered tells which arguments strace takes apart, unlike SystemTap: what F_SETFL
// sets is a number there, a message of netlink is text, and so on.
var numbered = map[string]func(i int, w string) bool{
	"fcntl":      func(i int, w string) bool { return i == 2 && strings.HasPrefix(w, "O_") },
	"sendto":     func(i int, w string) bool { return i == 1 && strings.Contains(w, "{nlmsg_len=") },
	"ioprio_set": func(i int, w string) bool { return i == 2 },
	"clone3":     func(i int, w string) bool { return i == 0 },
	"prctl":      func(i int, w string) bool { return i > 0 && regexp.MustCompile(`^[A-Z]+_`).MatchString(w) },
}

// kind names the structure that an argument points to, "" for none.
func kind(name string, i int) string {
	switch fmt.Sprintf("%s %d", name, i) {
	case "bind 1", "connect 1", "sendto 4":
		return "sockaddr"
	case "rt_sigaction 1":
		return "sigaction"
	case "rt_sigprocmask 1", "rt_sigtimedwait 0", "rt_sigsuspend 0":
		return "sigset"
	case "prlimit64 2", "setrlimit 1":
		return "rlimit"
	case "nanosleep 0", "clock_nanosleep 2", "futex 3", "ppoll 2", "pselect6 4", "rt_sigtimedwait 2", "semtimedop 3":
		return "timespec"
	case "select 4":
		return "timeval"
	case "utimensat 2":
		return "timespecs"
	case "utimes 1":
		return "timevals"
	case "setitimer 1":
		return "itimerval"
	case "timerfd_settime 2", "timer_settime 2":
		return "itimerspec"
	case "sigaltstack 0":
		return "stack"
	}
	return ""
}

var (
	reInet    = regexp.MustCompile(`^\{sa_family=AF_INET, sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]*)"\)\}$`)
	reInet6   = regexp.MustCompile(`^\{sa_family=AF_INET6, sin6_port=htons\((\d+)\),.*inet_pton\(AF_INET6, "([^"]*)"`)
	reUnix    = regexp.MustCompile(`^\{sa_family=AF_UNIX, sun_path=(.*)\}$`)
	reNetlink = regexp.MustCompile(`^\{sa_family=AF_NETLINK, nl_pid=(\d+), nl_groups=(\w+)\}$`)
	reFamily  = regexp.MustCompile(`^\{sa_family=(\w+)`)
	reAction  = regexp.MustCompile(`^\{sa_handler=(\w+), sa_mask=(~?\[.*?\]), sa_flags=([\w|]+)(?:, sa_restorer=(\w+))?\}$`)
	reLimit   = regexp.MustCompile(`^\{rlim_cur=([\w*]+), rlim_max=([\w*]+)\}$`)
	reStack   = regexp.MustCompile(`^\{ss_sp=(\w+), ss_flags=([\w|]+), ss_size=(\d+)\}$`)
	reTime    = regexp.MustCompile(`\{tv_sec=(-?\d+), tv_n?u?sec=(\d+)\}|(UTIME_NOW|UTIME_OMIT)`)
)

// structures write what strace shows of a structure as this library does.
var structures = map[string]func(string) string{
	"sockaddr": func(w string) string {
		if m := reInet.FindStringSubmatch(w); m != nil {
			return fmt.Sprintf("{AF_INET, %s, %s}", m[2], m[1])
		}
		if m := reInet6.FindStringSubmatch(w); m != nil {
			a, _ := netip.ParseAddr(m[2])
			return fmt.Sprintf("{AF_INET6, %s, %s}", a, m[1])
		}
		if m := reUnix.FindStringSubmatch(w); m != nil {
			return fmt.Sprintf("{AF_UNIX, %s}", m[1])
		}
		if m := reNetlink.FindStringSubmatch(w); m != nil {
			groups, _ := strconv.ParseUint(m[2], 0, 32)
			return fmt.Sprintf("{AF_NETLINK, pid=%s, groups=%08x}", m[1], groups)
		}
		if m := reFamily.FindStringSubmatch(w); m != nil {
			return "{" + m[1] + "}"
		}
		return w
	},
	"sigaction": func(w string) string {
		m := reAction.FindStringSubmatch(w)
		if m == nil {
			return "{" + w + "}"
		}
		flags, restorer := strings.TrimSuffix(m[3], "|0xffffffff00000000"), m[4]
		if flags == "0" {
			flags = "0x0"
		}
		if restorer == "" {
			restorer = "0x0"
		}
		return fmt.Sprintf("{%s, %s, %s, %s}", m[1], flags, restorer, signalSet(m[2]))
	},
	"sigset": signalSet,
	"rlimit": func(w string) string {
		m := reLimit.FindStringSubmatch(w)
		if m == nil {
			return w
		}
		limit := func(s string) string {
			s = strings.ReplaceAll(s, "RLIM64_", "RLIM_")
			if a, b, ok := strings.Cut(s, "*"); ok {
				x, _ := strconv.Atoi(a)
				y, _ := strconv.Atoi(b)
				return strconv.Itoa(x * y)
			}
			return s
		}
		return fmt.Sprintf("[%s,%s]", limit(m[1]), limit(m[2]))
	},
	"timespec":   func(w string) string { return times(w, "%s.%09d", "") },
	"timeval":    func(w string) string { return times(w, "%s.%06d", "") },
	"timespecs":  func(w string) string { return times(w, "%s.%09d", "][") },
	"timevals":   func(w string) string { return times(w, "%s.%06d", "][") },
	"itimerval":  func(w string) string { return times(w, "%s.%06d", ",") },
	"itimerspec": func(w string) string { return times(w, "%s.%09d", ",") },
	"stack": func(w string) string {
		m := reStack.FindStringSubmatch(w)
		if m == nil {
			return w
		}
		if m[1] == "NULL" {
			m[1] = "0x0"
		}
		if m[2] == "0" {
			m[2] = "0x0"
		}
		return fmt.Sprintf("{%s, %s, %s}", m[1], m[2], m[3])
	},
}

func times(w, format, sep string) string {
	var parts []string
	for _, m := range reTime.FindAllStringSubmatch(w, -1) {
		if m[3] != "" {
			parts = append(parts, m[3])
			continue
		}
		n, _ := strconv.Atoi(m[2])
		parts = append(parts, fmt.Sprintf(format, m[1], n))
	}
	if parts == nil {
		return w
	}
	return "[" + strings.Join(parts, sep) + "]"
}

func signalSet(w string) string {
	if w == "[]" {
		return "[EMPTY]"
	}
	list, not := strings.CutPrefix(w, "~")
	if !strings.HasPrefix(list, "[") {
		return w
	}
	names := strings.Fields(strings.Trim(list, "[]"))
	for i := range names {
		names[i] = "SIG" + names[i]
	}
	if list = "[" + strings.Join(names, "|") + "]"; not {
		return "~" + list
	}
	return list
}

// otherNames are constants that strace calls otherwise.
var otherNames = map[string]string{"NULL": "0", "AT_STATX_SYNC_AS_STAT": "0", "SCHED_OTHER": "SCHED_NORMAL", "AF_LOCAL": "AF_UNIX",
	"FD_CLOEXEC": "1", "IPC_PRIVATE": "0", "FUTEX_BITSET_MATCH_ANY": "4294967295", "SA_INTERRUPT": "0x20000000"}

// canonical writes numbers in decimal and flags in order.
func canonical(s string) string {
	parts := strings.Split(s, "|")
	var out []string
	for _, p := range parts {
		if symbolic.MatchString(p) {
			if rest, ok := strings.CutPrefix(p, "PF_"); ok {
				p = "AF_" + rest
			}
			if o, ok := otherNames[p]; ok {
				p = o
			}
		}
		if n, err := strconv.ParseInt(p, 0, 64); err == nil {
			p = strconv.FormatInt(n, 10)
		} else if u, err := strconv.ParseUint(p, 0, 64); err == nil {
			p = strconv.FormatInt(int64(u), 10)
		}
		if p == "0" && len(parts) > 1 {
			continue
		}
		out = append(out, p)
	}
	sort.Strings(out)
	return strings.Join(out, "|")
}

// unquote gives the bytes of a quoted string, and whether it was cut.
func unquote(s string) (text string, cut bool) {
	s, cut = strings.CutSuffix(s, "...")
	s = strings.TrimSuffix(strings.TrimPrefix(s, `"`), `"`)
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch c := s[i]; {
		case c >= '0' && c <= '7':
			n, j := 0, i
			for ; j < len(s) && j < i+3 && s[j] >= '0' && s[j] <= '7'; j++ {
				n = n*8 + int(s[j]-'0')
			}
			b.WriteByte(byte(n))
			i = j - 1
		case c == 'x' && i+2 < len(s):
			n, _ := strconv.ParseUint(s[i+1:i+3], 16, 8)
			b.WriteByte(byte(n))
			i += 2
		case strings.IndexByte("abtnvfr", c) >= 0:
			b.WriteByte("\a\b\t\n\v\f\r"[strings.IndexByte("abtnvfr", c)])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), cut
}
