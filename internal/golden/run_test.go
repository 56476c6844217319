package golden

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"stapkit/internal/host"
)

const needsFunctions = "needs kernel functions to be probed, see TestRunGuest"

// skipped are the cases that are not run, with the reason.
var skipped = map[string]string{
	// needs a kernel that can probe functions
	"dvars_kernel_ret2": needsFunctions,
	"kprobe_function":   needsFunctions,
	"function_addr":     needsFunctions,
	"pp_funcs":          needsFunctions,
	"print_backtrace":   needsFunctions,
	"kderef":            needsFunctions,
	"sufficient_probe":  needsFunctions,
	"print_regs":        needsFunctions,
	"dvars_kernel_deep": needsFunctions,
	// different by decision
	"foreach_agg_sort": "the order among equal sort keys is unspecified",
	"embedded_c":       "embedded C is refused, see docs/incompatibilities.md",
}

// better are cases where SystemTap fails to read user memory that was not yet
// paged in; reading it is as good.
var better = map[string]bool{"mark": true, "mark2": true, "user_string_n": true}

// differs are cases whose output is allowed to differ, with how it is compared.
var differs = map[string]func(string) string{
	"process_syscall2":   firstLine,
	"dvars_kernel_ret2":  hexOnce,
	"own_pretty_unread":  digitsRead,
	"cast_user":          digitsRead,
	"dvars_user":         digitsRead,
	"dvars_user_fields2": digitsRead,
	"dvars_kernel_deep":  firstMembers,
	"print_regs":         generalRegisters,
	"pp_funcs":           noLine,
	"opt_c":              notStapio,
	"print_backtrace":    firstFrames,
	"print_ubacktrace":   firstOfProgram,
	"sprint_ubacktrace":  symbolsOnly,
	"syscall_argstr":     ofHostname,
	"syscall_open_ret":   kinds,
	"indent":             digits,
	"thread_indent":      digits,
	"timer_profile":      digits,
	"opt_monitor_stats":  digits,
	"ctx_fns":            firstProcess,
}

// firstProcess puts one name for what process 1 is called here and was there.
func firstProcess(s string) string {
	comm, err := os.ReadFile("/proc/1/comm")
	if err != nil {
		return s
	}
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if l == "init" || l == strings.TrimSpace(string(comm)) {
			lines[i] = "process 1"
		}
	}
	return strings.Join(lines, "\n")
}

// notStapio leaves out the begin of SystemTap's own process.
func notStapio(s string) string { return strings.TrimPrefix(s, "begin stapio\n") }

// noLine leaves out where a kernel function is in the source: that takes the
// kernel's debug information.
func noLine(s string) string { return regexp.MustCompile(`@[a-z_/.]+:[0-9]+`).ReplaceAllString(s, "") }

// hex leaves out addresses and other numbers in hex.
func hex(s string) string { return regexp.MustCompile(`0x[0-9a-f]+`).ReplaceAllString(s, "0xN") }

// hexOnce is hex for a probe that others hit, too, while the first hit's exit() takes effect.
func hexOnce(s string) string {
	return strings.Join(slices.Compact(strings.Split(hex(s), "\n")), "\n")
}

// firstMembers keeps the members that dentries begin with in all versions, and whether
// both ways to the name lead to the same: which file is read is chance.
func firstMembers(s string) string {
	lines := strings.Split(s, "\n")
	if len(lines) < 3 {
		return s
	}
	head, _, _ := strings.Cut(digits(lines[0]), ", .d_iname")
	_, name, _ := strings.Cut(lines[2], " ")
	return fmt.Sprint(head, " ", lines[1] == name)
}

// generalRegisters keeps the names of the registers that eBPF programs have.
func generalRegisters(s string) string {
	s, _, _ = strings.Cut(s, "\nFS: ")
	return strings.Join(regexp.MustCompile(`(?m)\b[A-Z0-9]+: [0-9a-f]{8,16}\b`).FindAllString(regexp.MustCompile(`: [0-9a-f]+`).ReplaceAllStringFunc(s, func(v string) string {
		return ": " + strings.Repeat("0", len(v)-2)
	}), -1), "\n")
}

// firstLine is all that does not depend on the C library.
func firstLine(s string) string { return strings.SplitN(s, "\n", 2)[0] }

// firstFrames keeps the names of a kernel stack's first frames.
func firstFrames(s string) string {
	return strings.Join(regexp.MustCompile(`: ([a-z_0-9]+)\+`).FindAllString(s, 2), " ")
}

// firstOfProgram is the frames of the program itself: SystemTap had no unwind data of
// the C library.
func firstOfProgram(s string) string {
	return strings.Join(strings.SplitAfterN(hex(s), "\n", 4)[:3], "")
}

// symbolsOnly leaves out addresses, of the C library's frames the names, which it may
// have been stripped of, and source lines, which SystemTap did not have.
func symbolsOnly(s string) string {
	s = regexp.MustCompile(`(?m)^(0x[0-9a-f]+|\S*/ut\.c:[0-9]+|__libc\S+\+0x[0-9a-f]+)( \[libc\.so\S*)?$`).ReplaceAllString(s, "LIBC")
	return regexp.MustCompile(`0x[0-9a-f]{6,}`).ReplaceAllString(s, "0xN")
}

// ofHostname keeps the calls that do not depend on the locales that are installed.
func ofHostname(s string) string {
	return strings.Join(regexp.MustCompile(`(?m)^openat\(AT_FDCWD, "/etc/.*\n^openat -> 3$`).FindAllString(s, -1), "\n")
}

// kinds lists which lines there are: how often depends on $PATH, on locales, and on
// what else the machine does.
func kinds(s string) string {
	lines := strings.Split(s, "\n")
	sort.Strings(lines)
	lines = slices.Compact(lines)
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "close") && l != "execve" }), "\n")
}

var reDigits = regexp.MustCompile(`\b[0-9]+(?:min|avg|max)\b|\b(0x)?[0-9a-f]*[0-9][0-9a-f]*\b| +[0-9]+`)

// digitsRead is digits, with strings taken for their addresses: SystemTap shows these
// where a page was not in memory.
func digitsRead(s string) string {
	return digits(regexp.MustCompile(`"(hello|pt|next)"`).ReplaceAllString(s, "0x1"))
}

func digits(s string) string { return reDigits.ReplaceAllString(s, "N") }

func folder(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("STAPKIT_GOLDEN")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "golden")
	}
	if _, err := os.Stat(filepath.Join(dir, "run")); err != nil {
		t.Skipf("no recorded cases: %v (set STAPKIT_GOLDEN)", err)
	}
	return dir
}

// build compiles a command of this module.
func build(t *testing.T, dir, pkg string) string {
	t.Helper()
	out := filepath.Join(dir, filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-o", out, "stapkit/"+pkg)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, b)
	}
	return out
}

// target builds the traced program, "" if there is no compiler. Its debug
// information says that its source lies in folder there.
func target(t *testing.T, dir, golden, there string) string {
	t.Helper()
	out := filepath.Join(dir, "ut")
	programs, err := filepath.Abs(filepath.Join(golden, "programs"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("gcc", "-g", "-O1", "-ffile-prefix-map="+programs+"="+there, "-o", out, filepath.Join(programs, "ut.c"))
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Logf("the traced program cannot be built: %v\n%s", err, b)
		return ""
	}
	return out
}

type result struct {
	stdout, stderr string
	code           int
}

func run(t *testing.T, dir, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	// Programs in another locale open further files.
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	r := result{stdout: o.String(), stderr: e.String()}
	var ee *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Errorf("still running after 30 s\nstdout:\n%s\nstderr:\n%s", r.stdout, r.stderr)
	case errors.As(err, &ee):
		r.code = ee.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	return r
}

var (
	reNear = regexp.MustCompile(` near .*$`)
	reMan  = regexp.MustCompile(` +\[man [a-z:0-9]+\]`)
	reCode = regexp.MustCompile(` \[[ERS][T0-9]+\]`)
)

// notices keeps the lines of standard error that a script's run is known by.
func notices(s string) []string {
	var out []string
	for _, l := range strings.Split(s, "\n") {
		if strings.HasPrefix(l, "ERROR: ") || strings.HasPrefix(l, "WARNING: ") {
			if strings.Contains(l, "exited with status: 1") && strings.Contains(l, "staprun") ||
				strings.Contains(l, "unwind data") || strings.HasPrefix(l, "WARNING: Eliding") ||
				strings.HasPrefix(l, "WARNING: never-assigned") ||
				strings.HasPrefix(l, "WARNING: side-effect-free") {
				continue
			}
			l = reMan.ReplaceAllString(reNear.ReplaceAllString(reCode.ReplaceAllString(l, ""), ""), "")
			l = strings.ReplaceAll(l, "check MAXMAPENTRIES", "check size limit")
			l = regexp.MustCompile(`check size limit \(\d+\)`).ReplaceAllString(l, "check size limit")
			// Where the recorded script lay, and where things are in memory, says nothing.
			l = reAddress.ReplaceAllString(reAt.ReplaceAllString(l, " at :$1"), "0xADDRESS")
			out = append(out, l)
		}
	}
	return out
}

var reAddress = regexp.MustCompile(`0x[0-9a-f]{9,}`)

var reAt = regexp.MustCompile(` at (?:[^ :]+)?:(\d+:\d+)`)

// places lists the places that diagnostics point at.
func places(s string) []string {
	var out []string
	for _, m := range reAt.FindAllStringSubmatch(s, -1) {
		out = append(out, m[1])
	}
	return out
}

func section(a *txtar.Archive, name string) (string, bool) {
	for _, f := range a.Files {
		if f.Name == name {
			return string(f.Data), true
		}
	}
	return "", false
}

func expected(s string) string {
	return strings.ReplaceAll(s, "\n\\ no newline at end of output\n", "")
}

// machine is where the recorded scripts run.
type machine struct {
	skipped map[string]string
	ut      string // path of the traced program there, "" if there is none
	// run runs stap in a folder that holds the script.
	run func(t *testing.T, name, script string, args []string) result
}

// TestRun runs the recorded scripts on this machine's kernel.
func TestRun(t *testing.T) {
	golden := folder(t)
	host.NeedBPF(t)
	tmp := t.TempDir()
	stap := build(t, tmp, "cmd/stap")
	runAll(t, golden, machine{
		skipped: skipped, ut: target(t, tmp, golden, tmp),
		run: func(t *testing.T, name, script string, args []string) result {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, name+".stp"), []byte(script), 0o644); err != nil {
				t.Fatal(err)
			}
			return run(t, dir, stap, args...)
		},
	})
}

// TestOwn runs scripts of our own in the form of the recorded ones, whose output follows
// from the manual: testdata/run.
func TestOwn(t *testing.T) {
	host.NeedBPF(t)
	tmp := t.TempDir()
	stap := build(t, tmp, "cmd/stap")
	runAll(t, "testdata", machine{
		run: func(t *testing.T, name, script string, args []string) result {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, name+".stp"), []byte(script), 0o644); err != nil {
				t.Fatal(err)
			}
			return run(t, dir, stap, args...)
		},
	})
}

func runAll(t *testing.T, golden string, m machine) {
	cases, err := filepath.Glob(filepath.Join(golden, "run", "*.txtar"))
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	sort.Strings(cases)
	for _, c := range cases {
		name := strings.TrimSuffix(filepath.Base(c), ".txtar")
		t.Run(name, func(t *testing.T) {
			if why, ok := m.skipped[name]; ok {
				t.Skip(why)
			}
			a, err := txtar.ParseFile(c)
			if err != nil {
				t.Fatal(err)
			}
			script, _ := section(a, "script.stp")
			args, _ := section(a, "args")
			want, _ := section(a, "stdout")
			wantErr, _ := section(a, "stderr")
			if strings.Contains(script+args, "/g/ut") && m.ut == "" {
				t.Skip("the traced program needs gcc")
			}
			local := func(s string) string { return strings.ReplaceAll(s, "/g/ut", m.ut) }
			words, err := split(local(strings.TrimSpace(args)))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(words, "-e") {
				words = append(words, name+".stp")
			}
			r := m.run(t, name, local(script), words)
			head := strings.SplitN(string(a.Comment), "\n", 2)[0]
			refused := strings.Contains(head, "refused")
			wantCode := 0
			if strings.Contains(head, "exit status 1") || refused {
				wantCode = 1
			}
			if better[name] {
				if r.code != 0 || r.stdout == "" {
					t.Errorf("exit status %d\nstdout:\n%s\nstderr:\n%s", r.code, r.stdout, r.stderr)
				}
				return
			}
			if r.code != wantCode {
				t.Errorf("exit status %d, SystemTap's %d\nstdout:\n%s\nstderr:\n%s", r.code, wantCode, r.stdout, r.stderr)
				return
			}
			if refused {
				if w, g := places(wantErr), places(r.stderr); len(w) > 0 && (len(g) == 0 || w[0] != g[0]) {
					t.Errorf("first diagnostic at %v, SystemTap's at %v\n%s", g, w, r.stderr)
				}
				return
			}
			w, g := local(expected(want)), r.stdout
			if f, ok := differs[name]; ok {
				w, g = f(w), f(g)
			}
			if w != g {
				t.Errorf("stdout:\n%s\nSystemTap's:\n%s\nstderr:\n%s", r.stdout, local(expected(want)), r.stderr)
			}
			if w, g := strings.Join(notices(wantErr), "\n"), strings.Join(notices(r.stderr), "\n"); w != g {
				t.Errorf("notices on standard error:\n%s\nSystemTap's:\n%s", g, w)
			}
		})
	}
}

// split breaks a recorded argument list into words, with shell quotes.
func split(s string) ([]string, error) {
	var out []string
	var cur strings.Builder
	in, quote, escaped := false, rune(0), false
	for _, r := range s {
		switch {
		case escaped:
			cur.WriteRune(r)
			escaped = false
		case quote == '"' && r == '\\':
			escaped = true
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				cur.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote, in = r, true
		case r == ' ' || r == '\t' || r == '\n':
			if in {
				out = append(out, cur.String())
				cur.Reset()
				in = false
			}
		default:
			cur.WriteRune(r)
			in = true
		}
	}
	if quote != 0 {
		return nil, errors.New("quote without end")
	}
	if in {
		out = append(out, cur.String())
	}
	return out, nil
}
