//go:build linux

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stapkit/internal/host"
)

// readyEnv names a folder in which stap and the programs are compiled already:
// guests have no compilers.
const readyEnv = "STAPKIT_E2E"

// programs are compiled with these options each.
var programs = map[string][]string{
	"calls":      {"-static"},
	"cold":       {},
	"fixed":      {"-pthread", "-no-pie"},
	"framed":     {"-fno-omit-frame-pointer", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"},
	"heap":       {},
	"held":       {},
	"int80":      {},
	"jit":        {},
	"libmem":     {"-shared", "-fPIC"},
	"librows":    {"-pthread", "-shared", "-fPIC", "-Dmain=rows_main"},
	"load":       {"-pthread"},
	"many":       {},
	"ownheap":    {"-l:libmem", "-Wl,-rpath,$ORIGIN"},
	"perf":       {},
	"uselib":     {"-l:librows", "-Wl,-rpath,$ORIGIN"},
	"rows":       {"-pthread"},
	"stack":      {},
	"static":     {"-pthread", "-static"},
	"stripped":   {"-pthread", "-s"},
	"user":       {"-pthread"},
	"vars":       {"-pthread"},
	"varsfixed":  {"-pthread", "-no-pie"},
	"varsstatic": {"-pthread", "-static"},
	"vdso":       {},
}

// compilers are those of C for each architecture, with options.
var compilers = map[string][]string{runtime.GOARCH: {"gcc"}}

// compile puts stap and the programs for an architecture into a folder.
func compile(dir, arch string) error {
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "stap"), "stapkit/cmd/stap")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("stap: %w\n%s", err, out)
	}
	if arch == "amd64" {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "calls32"), "./testdata/calls32")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=386")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("calls32: %w\n%s", err, out)
		}
		// Without a C library of 32 bits, which machines seldom have.
		cmd = exec.Command("gcc", "-m32", "-g", "-O1", "-fno-optimize-sibling-calls", "-ffreestanding", "-nostdlib", "-fno-stack-protector", "-static",
			"-o", filepath.Join(dir, "bits32"), filepath.Join("testdata", "bits32.c"))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("bits32: %w\n%s", err, out)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		cc := compilers[arch]
		args := slices.Concat(cc[1:], []string{"-g", "-O1", "-fno-optimize-sibling-calls", "-w", "-L" + dir, "-o", filepath.Join(dir, name), filepath.Join("testdata", name+".c")}, programs[name])
		if out, err := exec.Command(cc[0], args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", name, err, out)
		}
	}
	script, err := os.ReadFile(filepath.Join("..", "..", "examples", "mallocs.stp"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "mallocs.stp"), script, 0o644)
}

var made string // removed by TestMain

var folder = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv(readyEnv); dir != "" {
		return dir, nil
	}
	dir, err := os.MkdirTemp("", "stapkit-e2e-")
	if err != nil {
		return "", err
	}
	made = dir
	return dir, compile(dir, runtime.GOARCH)
})

func TestMain(m *testing.M) {
	status := m.Run()
	if made != "" {
		os.RemoveAll(made)
	}
	os.Exit(status)
}

// needTools skips the test where programs cannot be traced or compiled, and gives
// the folder of the programs.
func needTools(t *testing.T) string {
	t.Helper()
	host.NeedBPF(t)
	if os.Getenv(readyEnv) == "" {
		if _, err := exec.LookPath("gcc"); err != nil {
			t.Skip("needs gcc, to compile the traced programs")
		}
	}
	dir, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

type tracer struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	cancel         context.CancelFunc
	ready          chan struct{}
}

// sayReady has a script say that its probes hear of what happens: begin probes run before
// that, and how long before is the machine's affair.
const sayReady = `global said_ready
probe timer.ms(10) { if (!said_ready++) println("ready") }
`

// start runs stap. A script with sayReady can be waited for.
func start(t *testing.T, dir string, args ...string) *tracer {
	t.Helper()
	return launch(t, dir, "", args...)
}

// patience is how long a run may take: an emulated machine takes a minute to detach from a
// thousand functions, and more when the machine is busy that emulates it.
func patience() time.Duration {
	if os.Getenv(readyEnv) != "" {
		return 10 * time.Minute
	}
	return 90 * time.Second
}

// launch is start with something on standard input.
func launch(t *testing.T, dir, input string, args ...string) *tracer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience())
	tr := &tracer{t: t, cancel: cancel, ready: make(chan struct{})}
	tr.cmd = exec.CommandContext(ctx, filepath.Join(dir, "stap"), args...)
	tr.cmd.Dir = dir
	if input != "" {
		tr.cmd.Stdin = strings.NewReader(input)
	}
	tr.cmd.Cancel = func() error { return tr.cmd.Process.Signal(os.Interrupt) }
	tr.cmd.WaitDelay = 5 * time.Second
	tr.cmd.Stdout, tr.cmd.Stderr = &watch{to: &tr.stdout, ready: tr.ready}, &tr.stderr
	if err := tr.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cancel)
	return tr
}

// watch tells when "ready" goes by.
type watch struct {
	to    *bytes.Buffer
	ready chan struct{}
	once  sync.Once
}

func (w *watch) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	if strings.Contains(w.to.String(), "ready\n") {
		w.once.Do(func() { close(w.ready) })
	}
	return n, err
}

func (tr *tracer) waitReady() {
	tr.t.Helper()
	select {
	case <-tr.ready:
	case <-time.After(patience()):
		tr.cancel()
		tr.t.Fatalf("not ready after %v\n%s", patience(), &tr.stderr)
	}
}

// end waits for stap and gives what it printed.
func (tr *tracer) end(want int) string {
	tr.t.Helper()
	err := tr.cmd.Wait()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		tr.t.Fatal(err)
	}
	if got := tr.cmd.ProcessState.ExitCode(); got != want {
		tr.t.Fatalf("stap's exit status is %d, not %d\n%s\n%s", got, want, &tr.stdout, &tr.stderr)
	}
	if s := strings.ReplaceAll(tr.stderr.String(), "skipped probes: 0", ""); strings.Contains(s, "skipped") || strings.Contains(s, "lost") {
		tr.t.Errorf("stap lost events:\n%s", s)
	}
	return tr.stdout.String()
}

func stap(t *testing.T, dir string, args ...string) string {
	t.Helper()
	return start(t, dir, args...).end(0)
}

// tapsetName is what SystemTap's library calls what strace calls name.
func tapsetName(name string) string {
	switch name {
	case "mmap":
		return "mmap2"
	case "newfstatat":
		return "fstatat"
	}
	return name
}

// strace gives the names of the calls of one run of the program and of no child.
func strace(t *testing.T, dir string, args ...string) []string {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("needs strace, to compare with")
	}
	log := filepath.Join(t.TempDir(), "log")
	cmd := exec.Command("strace", append([]string{"-o", log}, args...)...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader("x")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("strace: %v\n%s", err, out)
	}
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^(\w+)\(`).FindAllStringSubmatch(string(b), -1) {
		names = append(names, tapsetName(m[1]))
	}
	if len(names) < 15 || names[0] != "execve" {
		t.Fatalf("strace's list cannot be right: %v\n%s", names, b)
	}
	return names
}

const listCalls = sayReady + `probe syscall.* { if (pid() == target()) printf("%s\n", name) }
probe syscall.exit_group { if (pid() == target()) exit() }`

func callsOf(out string) []string {
	return strings.Fields(strings.Replace(out, "ready\n", "", 1))
}

func TestSyscallsOfCommand(t *testing.T) {
	dir := needTools(t)
	want := strace(t, dir, "./calls")
	got := callsOf(stap(t, dir, "-c", "./calls", "-e", listCalls))
	if !slices.Equal(got, want) {
		t.Errorf("stap -c sees\n%v\nstrace sees\n%v", got, want)
	}
}

func TestSyscallsOfProcess(t *testing.T) {
	dir := needTools(t)
	all := strace(t, dir, "./calls", "wait")
	want := all[slices.Index(all, "getppid"):]
	cmd := exec.Command("./calls", "wait")
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	tr := start(t, dir, "-x", fmt.Sprint(cmd.Process.Pid), "-e", listCalls)
	tr.waitReady()
	if _, err := io.WriteString(in, "x"); err != nil {
		t.Fatal(err)
	}
	if got := callsOf(tr.end(0)); !slices.Equal(got, want) {
		t.Errorf("stap -x sees\n%v\nstrace sees\n%v", got, want)
	}
}

// TestProcessFilters: probes of process(…).syscall, .begin and .end hear that
// program only, and without one the target and its descendants.
func TestProcessFilters(t *testing.T) {
	dir := needTools(t)
	// A process that neither is the program nor descends from the target.
	noise := exec.Command("/bin/sh", "-c", "while :; do /bin/sh -c :; done")
	if err := noise.Start(); err != nil {
		t.Fatal(err)
	}
	defer noise.Wait()
	defer noise.Process.Kill()
	calls := len(strace(t, dir, "./calls")) - 1 // execve begins in another program
	script := fmt.Sprintf(`global calls, foreign, begins, ends, tree, begun
probe process(%q).syscall { calls[pid()]++; if (execname() != "calls") foreign++ }
probe process(%[1]q).begin { begins++ }
probe process(%[1]q).end { ends++ }
probe process.begin { begun[execname()]++ }
probe process.syscall { tree[pid()]++ }
probe end {
	printf("%%d foreign, %%d begun, %%d ended; begun in the tree:", foreign, begins, ends)
	foreach (name+ in begun) printf(" %%s", name)
	println("")
	foreach (p in tree) if (p != target() && calls[p]) printf("%%d %%d\n", calls[p], tree[p] >= calls[p])
}`, filepath.Join(dir, "calls"))
	got := stap(t, dir, "-c", `/bin/sh -c "./calls; :"`, "-e", script)
	lines := strings.Split(strings.TrimSpace(got), "\n")
	slices.Sort(lines[1:])
	// The shell begins, and, maybe as a copy of the shell at first, the program, which
	// begins when it is executed and as the copy that is its child. The program and
	// its child end. The child's own calls are its exit and what the C library does
	// after fork.
	if lines[0] != "0 foreign, 2 begun, 2 ended; begun in the tree: calls sh" {
		t.Error(lines[0])
	}
	if len(lines) != 3 || !slices.Contains(lines, fmt.Sprintf("%d 1", calls)) {
		t.Errorf("%q: not two processes, one of them with %d calls", lines, calls)
	}
}

func TestHeap(t *testing.T) {
	dir := needTools(t)
	// The C library kills the program for its double free.
	tr := start(t, dir, "mallocs.stp", "-c", "./heap")
	out := tr.end(1)
	blocks := strings.Split(strings.TrimSpace(out), "\n\n")
	var leak, double int
	for _, b := range blocks {
		switch {
		case strings.Contains(b, "never freed") && strings.Contains(b, "planted_leak"):
			leak++
		case strings.Contains(b, "never freed") && (strings.Contains(b, "planted_") || strings.Contains(b, "balanced")):
			t.Errorf("not a leak:\n%s", b)
		case strings.Contains(b, "freed twice"):
			double++
			now, first, _ := strings.Cut(b, "first at")
			for _, stack := range []string{now, first} {
				if !strings.Contains(stack, "planted_double_free+0x") || !strings.Contains(stack, "free+0x0") {
					t.Errorf("the stack does not name the functions:\n%s", stack)
				}
			}
		}
	}
	if leak != 1 || double != 1 {
		t.Errorf("%d leaks and %d double frees found, planted is one of each\n%s", leak, double, out)
	}
}

// TestDoubleFree runs the finder of leaks and double frees that introductions have: it
// counts references by the allocator's own variables and keeps stacks in an array.
func TestDoubleFree(t *testing.T) {
	dir := needTools(t)
	for _, c := range []struct {
		library, prefix, program string
		status                   int
	}{
		{"./libmem", "", "./ownheap", 0},
		// The C library kills the program for its double free.
		{"libc.so.6", "__libc_", "./heap", 1},
	} {
		lib := fmt.Sprintf("process(%q).function(\"%s", c.library, c.prefix)
		script := `global refs, stacks
probe begin { printf("=== begin ===\n") }
probe ` + lib + `malloc").return, ` + lib + `calloc").return
{
	if (target() == pid()) {
		if (refs[$return] == 0) {
			refs[$return]++
			stacks[$return] = sprint_ubacktrace()
		}
	}
}
probe ` + lib + `free").call
{
	if (target() == pid()) {
		refs[$mem]--
		if (refs[$mem] == 0) {
			if ($mem != 0) {
				stacks[$mem] = sprint_ubacktrace()
			}
		} else if (refs[$mem] < 0 && $mem != 0) {
			printf("references of %p: %d\n", $mem, refs[$mem])
			print_ubacktrace()
			printf("freed before at:\n%s\n", stacks[$mem])
		}
	}
}
probe end
{
	printf("=== end ===\n")
	foreach (mem in refs) {
		if (refs[mem] > 0)
			printf("%s\n", stacks[mem])
	}
}`
		if out, err := exec.Command(filepath.Join(dir, "stap"), "-L", lib+`free")`).CombinedOutput(); c.prefix != "" && (err != nil || !strings.Contains(string(out), "$mem")) {
			t.Logf("%s has no debugging information here:\n%s", c.library, out)
			continue
		}
		out := start(t, dir, "-c", c.program, "-e", script).end(c.status)
		found, leaks, ended := strings.Cut(out, "=== end ===\n")
		if !ended || !strings.HasPrefix(found, "=== begin ===\n") {
			t.Fatalf("%s:\n%s", c.library, out)
		}
		now, before, _ := strings.Cut(found, "freed before at:\n")
		for _, stack := range []string{now, before} {
			if strings.Count(stack, "planted_double_free+0x") != 1 || !strings.Contains(stack, "free+0x0") {
				t.Errorf("%s: the stack does not name the functions:\n%s", c.library, stack)
			}
		}
		if strings.Count(found, "references of") != 1 || !strings.Contains(found, ": -1\n") {
			t.Errorf("%s: not one block freed twice:\n%s", c.library, found)
		}
		if strings.Count(leaks, "planted_leak+0x") != 1 || strings.Contains(leaks, "planted_double_free") || strings.Contains(leaks, "balanced") {
			t.Errorf("%s: leaks:\n%s", c.library, leaks)
		}
	}
}

func TestFunction(t *testing.T) {
	dir := needTools(t)
	user := filepath.Join(dir, "user")
	script := fmt.Sprintf(`probe process(%q).function("work") {
	printf("%%s %%d %%s\n", ppfunc(), $a, user_string($s))
	printf("%%d %%d %%s %%d %%d %%s\n", $p->x, $p->y, user_string($p->name), $p->next->x, $p->in->deep, user_string($p->in->tag))
	println($$parms)
	println($p$)
}
probe process(%[1]q).function("work").return {
	printf("%%d %%d %%d %%s\n", $return, @entry($a), @entry($p->x), $$return)
}`, user)
	got := stap(t, dir, "-c", "./user", "-e", script)
	want := regexp.MustCompile(`^work 10 hello
5 -6 first 7 4 out
a=0xa s=0x[0-9a-f]+ p=0x[0-9a-f]+
\{\.x=5, \.y=-6, \.name="first", \.next=0x[0-9a-f]+, \.in=\{\.\.\.\}\}
30 10 5 return=0x1e
$`)
	if !want.MatchString(got) {
		t.Errorf("%s\ndoes not match\n%s", got, want)
	}
}

// TestCold reads memory that the program has not touched yet.
func TestCold(t *testing.T) {
	dir := needTools(t)
	got := stap(t, dir, "-c", "./cold", "-e", `probe process("./cold").function("show") {
	printf("%s|%s|%d %d|%s|%s\n", user_string($s), user_string_n($s, 6), $p->x, user_int(&$p->y), $p$, $s$)
	for (i = 0; i < 2; i++) println(user_char($s + i))
}
probe process("./cold").function("show").return { println(user_string(@entry($s)), $return) }`)
	if want := "across two pages|across|6 7|{.x=6, .y=7}|\"across two pages\"\n97\n99\nacross two pages5\n"; got != want {
		t.Errorf("%s\nnot\n%s", got, want)
	}
}

// TestMark: one mark is always hit, the other only while its semaphore, which the
// tracer raises, is not zero. The program starts after the probes.
func TestMark(t *testing.T) {
	dir := needTools(t)
	user := filepath.Join(dir, "user")
	script := sayReady + fmt.Sprintf(`probe process(%q).mark("plain") { printf("%%s %%d %%s\n", $$name, $arg1, user_string($arg2)) }
probe process(%[1]q).provider("demo").mark("seen") { printf("seen %%d\n", $arg1); exit() }`, user)
	tr := start(t, dir, "-e", script)
	tr.waitReady()
	if out, err := exec.Command(user).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, want := tr.end(0), "ready\nplain 41 text\nseen 42\n"; got != want {
		t.Errorf("%s\nnot\n%s", got, want)
	}
}

// TestExact counts what two CPUs do at the same time.
func TestExact(t *testing.T) {
	dir := needTools(t)
	const n = 20000
	got := stap(t, dir, "-c", fmt.Sprintf("./user %d", n), "-e", `global ticks, calls, cpus
probe process("./user").function("tick") { ticks++; cpus[cpu()] <<< 1 }
probe syscall.getppid { if (pid() == target()) calls++ }
probe end { printf("%d %d\n", ticks, calls); foreach (c+ in cpus) println(@count(cpus[c])) }`)
	if want := fmt.Sprintf("%d %d\n%d\n%d\n", 2*n, 2*n, n, n); got != want {
		t.Errorf("%s\nnot\n%s", got, want)
	}
}

// TestCompat follows the system calls of a 32-bit program: by the calls' own probes,
// and by all of them at once, which the kernel tells of otherwise.
func TestCompat(t *testing.T) {
	dir := needTools(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("the 32-bit program is one for x86")
	}
	if err := exec.Command(filepath.Join(dir, "calls32")).Run(); err != nil {
		t.Skipf("this kernel runs no 32-bit programs: %v", err)
	}
	const body = `{ if (pid() == target() && (name == "getppid" || isinstr(argstr, "/no/such/file"))) calls[pn(), argstr]++ }
probe syscall.getppid.return { if (pid() == target()) returns[retval == ppid()]++ }
probe end { foreach ([p+, a] in calls) printf("%s(%s) %d\n", p, a, calls[p, a]); printf("%d %d\n", returns[1], returns[0]) }`
	for points, want := range map[string]string{
		"syscall.getppid, syscall.openat": "syscall.getppid() 5\nsyscall.openat(AT_FDCWD, \"/no/such/file\", O_RDONLY|O_LARGEFILE) 2\n5 0\n",
		"syscall.*":                       "syscall.getppid() 5\nsyscall.openat(AT_FDCWD, \"/no/such/file\", O_RDONLY|O_LARGEFILE) 2\n5 0\n",
	} {
		if got := stap(t, dir, "-c", "./calls32", "-e", "global calls, returns probe "+points+body); got != want {
			t.Errorf("%s:\n%s\nnot\n%s", points, got, want)
		}
	}
	// Those of sockets, which the program makes by one call with the arguments in memory.
	const sockets = `global seen_calls
probe syscall.socket { if (pid() == target()) seen_calls[argstr]++ }
probe syscall.connect { if (pid() == target()) seen_calls[uaddr_ip . sprintf(" %d %d", uaddr_ip_port, addrlen)]++ }
probe syscall.connect.return { if (pid() == target()) seen_calls[retstr . sprintf(" %d", @entry($arg3))]++ }
probe syscall.getsockopt { if (pid() == target()) seen_calls[level_str . " " . optname_str]++ }
probe end { foreach (s+ in seen_calls) println(s, ": ", seen_calls[s]) }
`
	const want = "0 16: 3\n127.0.0.1 4711 16: 3\nPF_INET, SOCK_DGRAM, IPPROTO_IP: 3\nSOL_SOCKET SO_TYPE: 3\n"
	for _, more := range []string{"", `probe syscall.* { if (pid() == target() && name == "no such call") println(argstr) }`} {
		if got := stap(t, dir, "-c", "./calls32", "-e", sockets+more); got != want {
			t.Errorf("%s\n%s\nnot\n%s", more, got, want)
		}
	}
	// Those of System V's messages, by another such call with the arguments in registers; of
	// a message that is received, in one of two ways.
	const messages = `global seen_calls
probe syscall.msgget, syscall.msgsnd, syscall.msgctl { if (pid() == target()) seen_calls[argstr]++ }
probe syscall.msgrcv { if (pid() == target()) seen_calls[sprintf("%s %d %d %d", name, $arg3, $arg4, $arg5)]++ }
probe syscall.msgrcv.return { if (pid() == target()) seen_calls[sprintf("%s returns %d", name, retval)]++ }
probe end { foreach (s+ in seen_calls) println(s, ": ", seen_calls[s]) }
`
	received := regexp.MustCompile(`^\d+, 0x[0-9a-f]+, 4, 0x0: 2\n\d+, IPC_RMID, 0x0: 1\nIPC_PRIVATE, IPC_CREAT\|0600: 1\nmsgrcv 4 7 0: 2\nmsgrcv returns 4: 2\n$`)
	for _, more := range []string{"", `probe syscall.* { if (pid() == target() && name == "no such call") println(argstr) }`} {
		if got := stap(t, dir, "-c", "./calls32", "-e", messages+more); !received.MatchString(got) {
			t.Errorf("%s\n%s", more, got)
		}
	}
	// A program of 64 bits may make calls like those of 32 bits.
	for points, want := range map[string]string{
		"syscall.getppid, syscall.lseek, syscall.semget, syscall.readv": "syscall.getppid() 7\nsyscall.lseek(77, 5, SEEK_CUR) 1\n7\n",
		"syscall.*": "syscall.getppid() 7\nsyscall.lseek(77, 5, SEEK_CUR) 1\n7\n",
	} {
		if got := stap(t, dir, "-c", "./int80", "-e", `global calls, any probe `+points+` { if (pid() == target() && (name == "getppid" || name == "semget" || name == "lseek" || name == "readv")) calls[pn(), argstr]++ }
probe syscall_any { if (pid() == target() && name == "getppid") any++ }
probe end { foreach ([p+, a] in calls) printf("%s(%s) %d\n", p, a, calls[p, a]); println(any) }`); got != want {
			t.Errorf("%s:\n%s\nnot\n%s", points, got, want)
		}
	}
	got := stap(t, dir, "-c", "./calls32", "-e", `global calls probe syscall_any { if (pid() == target()) calls[name]++ } probe end { println(calls["getppid"]) }`)
	if got != "5\n" {
		t.Errorf("syscall_any: %s", got)
	}
}

// TestNames compiles scripts whose names the library uses too: the library's are
// its own.
func TestNames(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		t.Skip("needs a kernel with BTF to compile for")
	}
	dir, err := folder()
	if err != nil {
		t.Skip(err)
	}
	for _, script := range []string{
		// locals of __runs_program and task_parent
		`global task, entry, name, end, parent probe process("./user").syscall { task = pid(); entry[1] = name[2] = 3; end = parent = 4 } probe error { println(task, entry[1], name[2], end, parent) }`,
		`probe process("./user").function("work") { println(@choose_defined($nowhere, 77), @choose_defined($a, 77), @type_member_defined("task_struct", tgid)) }`,
		`probe process("./user").function("work") { println(@container_of($p, "task_struct", tgid) != $p) }`,
	} {
		cmd := exec.Command(filepath.Join(dir, "stap"), "-p4", "-W", "-m", "names", "-e", script)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s\n%v\n%s", script, err, out)
		}
	}
}
