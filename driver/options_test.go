package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"stapkit/internal/minikernel"
)

// run runs the stap command; the passes up to the second need no kernel.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Stap(context.Background(), args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func kernelFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vmlinux")
	if err := minikernel.Write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRecordedOptions: command lines that SystemTap refuses are refused, the others
// taken.
func TestRecordedOptions(t *testing.T) {
	dir := os.Getenv("STAPKIT_GOLDEN")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "golden")
	}
	list, err := filepath.Glob(filepath.Join(dir, "diagnostics", "o_*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Skip("no recorded behaviour of SystemTap at hand (set STAPKIT_GOLDEN)")
	}
	kernel := kernelFile(t)
	for _, path := range list {
		a, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files := map[string]string{}
		for _, f := range a.Files {
			files[f.Name] = string(f.Data)
		}
		script := filepath.Join(t.TempDir(), "script.stp")
		if err := os.WriteFile(script, []byte(files["script.stp"]), 0o644); err != nil {
			t.Fatal(err)
		}
		args := strings.Fields(files["args"])
		if !strings.Contains(files["args"], "-r") {
			args = append([]string{"-r", kernel}, args...)
		}
		if !strings.Contains(files["args"], "-p") {
			args = append([]string{"-p2"}, args...)
		}
		code, _, stderr := run(t, append(args, script)...)
		refused := strings.Contains(string(a.Comment), "exit status 1")
		if refused != (code == 1) || refused && stderr == "" {
			t.Errorf("%s: exit %d, %s", filepath.Base(path), code, stderr)
		}
	}
	for _, args := range [][]string{{"--privilege=root", "-e", "probe begin { exit() }"}, {"-g", "--unprivileged", "-e", "probe begin { exit() }"},
		{"--compatible=x", "-e", "probe begin { exit() }"}, {"-p2", "--unprivileged", "-e", "probe begin { println(task_current()) }"}, {}, {"-r", kernel, "/no/such.stp"}, {"-r", kernel, "-e", ""}} {
		if code, stdout, stderr := run(t, args...); code != 1 || stdout != "" || stderr == "" {
			t.Errorf("%q: exit %d, %s%s", args, code, stdout, stderr)
		}
	}
}

// TestListings runs the options that list.
func TestListings(t *testing.T) {
	kernel := kernelFile(t)
	code, stdout, stderr := run(t, "-r", kernel, "-l", `kernel.function("*")`)
	if code != 0 || !strings.HasPrefix(stdout, `kernel.function("`) || stderr != "" {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	plain := strings.Count(stdout, "\n")
	code, stdout, _ = run(t, "-r", kernel, "-v", "-L", `kernel.function("*")`)
	if code != 0 || strings.Count(stdout, "\n") != plain || strings.Count(stdout, "/* ") != plain {
		t.Errorf("-v: exit %d\n%s", code, stdout)
	}
	code, stdout, _ = run(t, "-r", kernel, "--json", "-L", `kernel.function("*")`)
	if code != 0 || strings.Count(stdout, "\n") != plain {
		t.Errorf("--json: exit %d\n%s", code, stdout)
	}
	for line := range strings.Lines(stdout) {
		var l struct{ Point, Carrier, Reason string }
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Point == "" || l.Carrier == "" || l.Reason == "" {
			t.Errorf("%s: %v", line, err)
		}
	}
	if code, stdout, stderr := run(t, "-r", kernel, "-l", `kernel.function("no_such_function")`); code != 1 || stdout != "" || stderr != "" {
		t.Errorf("nothing to list: exit %d %s%s", code, stdout, stderr)
	}
	if code, _, stderr := run(t, "-r", kernel, "-v", "-l", `kernel.function("no_such_function")`); code != 1 || !strings.Contains(stderr, "no match") {
		t.Errorf("nothing to list, -v: exit %d %s", code, stderr)
	}
	for _, dump := range []string{"--dump-probe-types", "--dump-probe-aliases", "--dump-functions"} {
		code, stdout, stderr := run(t, "-r", kernel, dump)
		n := strings.Count(stdout, "\n")
		if code != 0 || n < 100 || stderr != "" {
			t.Errorf("%s: exit %d, %d lines %s", dump, code, n, stderr)
		}
		_, stdout, _ = run(t, "-r", kernel, "--json", dump)
		if strings.Count(stdout, "\n") != n && dump != "--dump-probe-aliases" {
			t.Errorf("%s --json has %d lines, plain %d", dump, strings.Count(stdout, "\n"), n)
		}
		for line := range strings.Lines(stdout) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s: %s", dump, line)
			}
		}
	}
	two := filepath.Join(t.TempDir(), "other")
	if err := minikernel.Write(two); err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ := run(t, "-r", kernel, "-r", two, "-l", `kernel.function("*")`); code != 0 || strings.Contains(stdout, "only") || strings.Count(stdout, "\n") != plain {
		t.Errorf("two of the same: exit %d\n%s", code, stdout)
	}
	if code, stdout, stderr := run(t, "-r", kernel, "-r", two, "-p2", "-e", "probe begin { exit() }"); code != 0 || strings.Count(stdout, "# kernel") != 2 {
		t.Errorf("-p2 for two: exit %d %s%s", code, stdout, stderr)
	}
	if code, _, stderr := run(t, "-r", kernel, "-r", two, "-p2", "-e", "probe kernel.function(\"nowhere\") { exit() }"); code != 1 || strings.Count(stderr, "no match") != 1 || strings.Contains(stderr, "(on ") {
		t.Errorf("wrong on both: exit %d %s", code, stderr)
	}
	if code, _, stderr := run(t, "-r", kernel, "-r", two, "-p3", "-e", "probe begin { exit() }"); code != 1 || !strings.Contains(stderr, "several kernels") {
		t.Errorf("compiled for two: exit %d %s", code, stderr)
	}
	if code, _, stderr := run(t, "--sysroot", "/no/such", "-l", "begin"); code != 1 || !strings.Contains(stderr, "/no/such") {
		t.Errorf("--sysroot: exit %d %s", code, stderr)
	}
}

// TestSystemTapListing: SystemTap's own library, given with -I, is listed and elaborated;
// what is C there is an error where a script uses it.
func TestSystemTapListing(t *testing.T) {
	const dir = "/usr/share/systemtap/tapset"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the package systemtap-common is not installed")
	}
	kernel := kernelFile(t)
	for _, c := range []struct {
		args []string
		code int
		want string // in the output, or in the errors if it fails
	}{
		{[]string{"-l", "timer.profile"}, 0, "timer.profile"},
		{[]string{"-l", "oneshot"}, 0, "oneshot"},
		{[]string{"-p2", "-e", `probe oneshot { println(pid(), tokenize("a b", " "), ctime(0), text_str("x")) }`}, 0, "oneshot"},
		{[]string{"-p2", "-e", `probe begin { println(module_refcount("x")) }`}, 1, "E1"},
		{[]string{"-p2", "-g", "-e", `probe begin { panic("x") }`}, 1, "E1401"},
	} {
		code, stdout, stderr := run(t, append([]string{"-r", kernel, "-I", dir}, c.args...)...)
		out := stdout
		if c.code != 0 {
			out = stderr
		}
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%q: exit %d, wanted %d and %q\n%s%s", c.args, code, c.code, c.want, stdout, stderr)
		}
	}
}
