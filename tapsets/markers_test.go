//go:build linux

package tapsets_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stapkit/internal/host"
	"stapkit/internal/standins"
)

// TestMarkers fires the aliases of marks of programs, which stand-ins pass, and checks
// their variables; those of Python and Java by the real programs, where they are here
// and have marks.
func TestMarkers(t *testing.T) {
	host.NeedBPF(t)
	dir := t.TempDir()
	stap := hostStap(t, dir)
	run := func(t *testing.T, args []string) (string, string, error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		return stdout.String(), stderr.String(), err
	}
	t.Run("standins", func(t *testing.T) {
		programs := filepath.Join(dir, "programs")
		if err := standins.Build(t.Context(), programs); err != nil {
			t.Skip(err)
		}
		if b, err := exec.Command("sh", append([]string{"-c", `"$@"`, "sh"}, standins.With(programs, "true")...)...).CombinedOutput(); err != nil {
			t.Skipf("no mount namespace: %v %s", err, b)
		}
		text, err := os.ReadFile("testdata/markers.txt")
		if err != nil {
			t.Fatal(err)
		}
		script := "global n, bad\n"
		var aliases []string
		for line := range strings.Lines(string(text)) {
			f := strings.Split(strings.TrimRight(line, "\n"), "\t")
			if strings.HasPrefix(line, "#") {
				continue
			}
			alias, mark := f[0], f[1]
			if strings.HasPrefix(alias, "python") {
				continue // the machine's own Python, below
			}
			aliases = append(aliases, alias)
			var wrong []string
			for _, v := range strings.Fields(f[2]) {
				name, what, _ := strings.Cut(v, "=")
				want := "10" + what[1:]
				if what[0] == 's' {
					want = fmt.Sprintf("%q", mark+"-"+what[1:])
				}
				wrong = append(wrong, name+" != "+want)
			}
			script += fmt.Sprintf("probe %s { n[%q]++; if (%s) bad[%q]++ }\n", alias, alias, strings.Join(append(wrong, "0"), " || "), alias)
		}
		script += `probe end { foreach (k in n) printf("%s %d bad %d\n", k, n[k], bad[k]) }`
		file := filepath.Join(dir, "markers.stp")
		if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		stdout, stderr, err := run(t, standins.With(programs, stap, "-w", "-c", strings.Join(standins.Commands(), "; "), file))
		if err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
		for _, a := range aliases {
			if !strings.Contains("\n"+stdout, "\n"+a+" 1 bad 0\n") {
				t.Errorf("%s did not fire once with right variables", a)
			}
		}
		if t.Failed() {
			t.Logf("output:\n%serrors:\n%s", stdout, stderr)
		}
	})
	t.Run("python", func(t *testing.T) {
		const python = "/usr/bin/python3"
		if _, err := os.Stat(python); err != nil {
			t.Skip(err)
		}
		t.Setenv("PATH", "/usr/bin:"+os.Getenv("PATH"))
		if b, err := exec.Command(stap, "-l", "python.function.entry").CombinedOutput(); err != nil || len(b) == 0 {
			t.Skipf("this Python has no marks: %s", b)
		}
		// Version 3.11 passes the mark of entries for some generators only, of which any
		// start of an interpreter has one.
		code := filepath.Join(dir, "called.py")
		text := "def inner(i):\n    return 1\n\nlist(map(inner, range(3)))\n"
		if err := os.WriteFile(code, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		stdout, stderr, err := run(t, []string{stap, "-c", python + " " + code, "-e",
			`global n, bad
			 probe python.function.entry { n["in"]++; if (filename == "" || funcname == "" || lineno <= 0) bad++ }
			 probe python.function.return { if (funcname == "inner") { n["out"]++; if (filename != @1 || lineno != 2) bad++ } }
			 probe end { println(n["in"] > 0, " ", n["out"], " ", bad) }`, code})
		if err != nil || stdout != "1 3 0\n" {
			t.Errorf("%v: %q, not \"1 3 0\"\n%s", err, stdout, stderr)
		}
	})
	t.Run("java", func(t *testing.T) {
		if b, err := exec.Command(stap, "-l", "hotspot.class_loaded").CombinedOutput(); err != nil || len(b) == 0 {
			t.Skipf("there is no Java with marks: %s", b)
		}
		stdout, stderr, err := run(t, []string{stap, "-c", "java -version", "-e",
			`global n
			 probe hotspot.class_loaded { if (class == "java/lang/String") n["class"]++ }
			 probe hotspot.thread_start { if (thread_name == "Signal Dispatcher") n["thread"]++ }
			 probe hotspot.vm_init_end { n["begin"]++ }
			 probe hotspot.vm_shutdown { n["end"]++ }
			 probe end { println(n["class"] > 0, n["thread"], n["begin"], n["end"]) }`})
		if err != nil || stdout != "1111\n" {
			t.Errorf("%v: %q, not 1111\n%s", err, stdout, stderr)
		}
	})
}
