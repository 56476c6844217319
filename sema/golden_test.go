package sema

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/txtar"

	"stapkit/diag"
	"stapkit/syntax"
	"stapkit/target"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldenDir is the folder of recorded SystemTap behaviour.
func goldenDir(t testing.TB, sub string) string {
	dir := os.Getenv("STAPKIT_GOLDEN")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "golden")
	}
	dir = filepath.Join(dir, sub)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no recorded behaviour of SystemTap at hand: %v (set STAPKIT_GOLDEN)", err)
	}
	return dir
}

// running is the running kernel, nil where there is none with types.
var running = sync.OnceValue(func() *target.Target {
	t, err := target.Running()
	if err != nil {
		return nil
	}
	if _, err := t.BTF(); err != nil {
		return nil
	}
	return t
})

// kernel is running, for tests that make no sense without.
func kernel(t testing.TB) *target.Target {
	k := running()
	if k == nil {
		t.Skip("the running kernel has no type information")
	}
	return k
}

var conditions = syntax.StaticConditions{"kernel_v": "6.18.0", "kernel_vr": "6.18.0", "arch": "x86_64", "runtime": "bpf", "systemtap_v": "5.6",
	"systemtap_privilege": "stapdev", "guru_mode": "0"}

var library = sync.OnceValue(func() *Library {
	return NewLibrary(syntax.Options{Target: conditions}, Embedded())
})

// elaborate elaborates a script with stapkit's library.
func elaborate(t testing.TB, script string, opt Options) *Program {
	t.Helper()
	f := syntax.ParseFile("script.stp", []byte(script), syntax.Options{Target: conditions, Privileged: opt.Guru})
	if opt.Library == nil {
		opt.Library = library()
	}
	return Elaborate([]*syntax.File{f}, opt)
}

// archive reads a txtar file.
func archive(t testing.TB, path string) (*txtar.Archive, map[string]string) {
	t.Helper()
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, f := range a.Files {
		m[f.Name] = string(f.Data)
	}
	return a, m
}

// show writes findings for comparison.
func show(ds []diag.Diagnostic) string {
	var b strings.Builder
	for _, d := range ds {
		fmt.Fprintf(&b, "%s: %s: %s [%s]\n", d.Range.Start, d.Severity, d.Message, d.Code)
		for _, r := range d.Related {
			fmt.Fprintf(&b, "\t%s: %s\n", r.Range.Start, r.Message)
		}
		if d.Help != "" {
			fmt.Fprintf(&b, "\thelp: %s\n", d.Help)
		}
	}
	text := b.String()
	if k := running(); k != nil {
		text = strings.ReplaceAll(text, k.Name(), "the kernel")
	}
	return strings.ReplaceAll(text, os.Getenv("PATH"), "$PATH")
}

// differs tells where we mean not to agree with SystemTap 4.8, and why.
var differs = map[string]string{
	"s_target_in_fn":    "refused as well, but for the variable itself and not for the probe being empty",
	"s_process_nodebug": "functions are found in the symbol table, without debug information",
}

var (
	errorAt   = regexp.MustCompile(`(?m)^(?:semantic error|parse error|\w+ '[^']*'|.*): .* at (?:\S*):(\d+):(\d+)$|^\s*(?:saw|at): .* at \S*:(\d+):(\d+)$|^\w+ '.*' at \S*:(\d+):(\d+)$`)
	warningAt = regexp.MustCompile(`(?m)^WARNING: .* at \S*:(\d+):(\d+)$`)
)

func places(re *regexp.Regexp, text string) map[string]bool {
	out := map[string]bool{}
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		for i := 1; i+1 < len(m); i += 2 {
			if m[i] != "" {
				out[m[i]+":"+m[i+1]] = true
			}
		}
	}
	return out
}

// TestRecordedDiagnostics checks that what SystemTap refuses is refused, with a
// finding at one of the places that it shows, and that warnings are at its places.
func TestRecordedDiagnostics(t *testing.T) {
	dir := goldenDir(t, "diagnostics")
	k := kernel(t)
	list, err := filepath.Glob(filepath.Join(dir, "[psw]_*.txtar"))
	if err != nil || len(list) == 0 {
		t.Fatalf("no cases in %s: %v", dir, err)
	}
	checked := 0
	for _, path := range list {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(name, func(t *testing.T) {
			a, m := archive(t, path)
			if why, ok := differs[name]; ok {
				t.Skip(why)
			}
			script := m["script.stp"]
			if strings.Contains(script, "/g/ut") {
				script = strings.ReplaceAll(script, "/g/ut", program(t))
			}
			p := elaborate(t, script, Options{Target: k})
			refused := strings.Contains(string(a.Comment), "exit status 1")
			if refused == p.OK() {
				t.Fatalf("SystemTap refuses: %v; we: %v\n%s", refused, !p.OK(), show(p.Diags))
			}
			var errs, warns []diag.Diagnostic
			for _, d := range p.Diags {
				switch d.Severity {
				case diag.Error:
					errs = append(errs, d)
				case diag.Warning:
					warns = append(warns, d)
				}
			}
			want := places(errorAt, m["stderr"])
			for _, d := range errs {
				if !d.Range.IsValid() || len(want) == 0 {
					continue
				}
				at := fmt.Sprintf("%d:%d", d.Range.Start.Line, d.Range.Start.Col)
				if !want[at] {
					t.Errorf("an error at %s, SystemTap's are at %v\n%s", at, want, show(p.Diags))
				}
			}
			if refused {
				return
			}
			have := map[string]bool{}
			for _, d := range warns {
				have[fmt.Sprintf("%d:%d", d.Range.Start.Line, d.Range.Start.Col)] = true
			}
			for at := range places(warningAt, m["stderr"]) {
				if !have[at] {
					t.Errorf("SystemTap warns at %s, we do not\n%s", at, show(p.Diags))
				}
			}
			if len(places(warningAt, m["stderr"])) == 0 && len(warns) > 0 {
				t.Errorf("SystemTap has no warning, we have\n%s", show(warns))
			}
		})
		checked++
	}
	t.Logf("%d cases", checked)
}

// ut builds the traced program of the recorded cases, once.
var ut = sync.OnceValues(func() (string, error) {
	dir := os.Getenv("STAPKIT_GOLDEN")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "golden")
	}
	src, err := filepath.Abs(filepath.Join(dir, "programs", "ut.c"))
	if err != nil {
		return "", err
	}
	out, err := os.MkdirTemp("", "ut")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(out, "ut")
	if msg, err := exec.Command("gcc", "-g", "-O1", "-o", bin, src).CombinedOutput(); err != nil {
		return "", fmt.Errorf("gcc: %v: %s", err, msg)
	}
	return filepath.EvalSymlinks(bin)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if bin, err := ut(); err == nil {
		if err := os.RemoveAll(filepath.Dir(bin)); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// program gives the path of the traced program.
func program(t testing.TB) string {
	t.Helper()
	bin, err := ut()
	if err != nil {
		t.Skipf("the traced program cannot be built: %v", err)
	}
	return bin
}

// elsewhere tells which recorded runs do not elaborate, and why.
var elsewhere = map[string]string{
	"embedded_c": "embedded C is refused",
	"opt_e":      "the script is an argument",
	"opt_G2":     "the script is an argument",
}

// missingNames lists the functions and aliases that a program's errors say are not
// in the library; ok is false if there is any other error.
func missingNames(p *Program) (names []string, ok bool) {
	for _, d := range p.Diags {
		switch {
		case d.Severity != diag.Error:
		case d.Code == codeUnresolvedFunc, d.Code == codePointMismatch, strings.HasPrefix(d.Message, "unknown operator @"):
			names = append(names, d.Message)
		case d.Code == codeUnresolvedType && len(names) > 0:
		default:
			return nil, false
		}
	}
	return names, true
}

// TestRecordedRuns elaborates the scripts that SystemTap ran.
func TestRecordedRuns(t *testing.T) {
	dir := goldenDir(t, "run")
	k := kernel(t)
	list, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(list) == 0 {
		t.Fatalf("no cases in %s: %v", dir, err)
	}
	for _, path := range list {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(name, func(t *testing.T) {
			a, m := archive(t, path)
			if why := elsewhere[name]; why != "" {
				t.Skip(why)
			}
			script := m["script.stp"]
			opt := Options{Target: k, Guru: strings.Contains(m["args"], "-g")}
			if strings.Contains(script, "/g/ut") {
				bin := program(t)
				script = strings.ReplaceAll(script, "/g/ut", bin)
				opt.Command = bin
			}
			p := elaborate(t, script, opt)
			refused := strings.Contains(string(a.Comment), "refused by SystemTap")
			if refused && strings.Contains(m["args"], "-W") {
				return // for its warnings
			}
			have := map[string]bool{}
			for _, d := range p.Diags {
				have[fmt.Sprintf("%d:%d", d.Range.Start.Line, d.Range.Start.Col)] = true
			}
			for at := range places(warningAt, m["compile.stderr"]) {
				// What is left of an assignment without use has no finding of its own.
				if !have[at] && !strings.Contains(m["compile.stderr"], "Eliding assignment") {
					t.Errorf("SystemTap warns at %s, we do not\n%s", at, show(p.Diags))
				}
			}
			ok := p.OK() && !diag.HasErrors(p.Late)
			if refused != ok {
				return
			}
			if names, only := missingNames(p); only && !refused {
				t.Skipf("not in the library yet: %v", names)
			}
			t.Fatalf("SystemTap refuses: %v; we: %v\n%s%s", refused, !ok, script, show(p.Diags))
		})
	}
}
