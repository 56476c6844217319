package driver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stapkit/diag"
	"stapkit/driver"
	"stapkit/internal/corpus"
)

// elaborate gives the errors of a script with directories of a library.
func elaborate(t *testing.T, script string, dirs ...string) (string, *driver.Frontend) {
	t.Helper()
	f, err := driver.Parse(&driver.Config{Scripts: []driver.Script{{Name: driver.InputName, Text: []byte(script)}}, TapsetDirs: dirs, Args: []string{"one", `t"wo`}})
	if err != nil {
		t.Fatal(err)
	}
	if !driver.Failed(f.Diags, false) {
		f.Elaborate()
	}
	var errs []string
	for _, d := range f.Diags {
		if d.Severity == diag.Error {
			errs = append(errs, string(d.Code)+" "+d.Message+" "+d.Help)
		}
	}
	return strings.Join(errs, "\n"), f
}

// TestTapsetDirectory: what a user's directory declares is found, in folders too, but
// not in those for other machines; it counts in place of what stapkit has.
func TestTapsetDirectory(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"m.stpm":             "@define twice(x) %( (2 * @x) %)\n@define choose_defined(a, b) %( 77 %)",
		"sub/a.stp":          "function twice_of:long(n:long) { return @twice(n) }\nfunction task_nice:string(t:long) { return \"mine\" }\nprobe mine.probe = begin { v = 5 }",
		"dyninst/b.stp":      "function twice_of:string(n:long) { return \"\" }",
		"bpf/m.stpm":         "@define twice(x) %( 9 %)",
		"linux/c.stp":        "function only_c:long() %{ STAP_RETVALUE = 1; %}\nfunction pid:long() %{ STAP_RETVALUE = 1; %}",
		"no-library-file.md": "function",
	} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ script, err string }{
		{`probe mine.probe { println(twice_of(4), v, substr(task_nice(1), 0, 2), @choose_defined(1, 2)) }`, ""},
		{`probe begin { println(pid()) }`, ""}, // theirs is C
		{`probe begin { println(only_c()) }`, "E1401"},
		{`probe begin { println(twice_of("x")) }`, "E12"},
		{`probe begin { println(argc, argv[1] . argv[2]) argv[3] = "x" argc = 3 }`, ""},
		{`probe begin { panic("x") }`, "E1101 the function panic is not there"},
	} {
		got, _ := elaborate(t, c.script, dir)
		if (c.err == "") != (got == "") || !strings.Contains(got, c.err) {
			t.Errorf("%s: %q, wanted %q", c.script, got, c.err)
		}
	}
}

// TestSystemTapDirectory: SystemTap's own library can be given as a directory. What is C
// there is an error only when it is used and stapkit has nothing in its place.
func TestSystemTapDirectory(t *testing.T) {
	all, err := corpus.Tapset()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Skip("the package systemtap-common is not installed")
	}
	const dir = "/usr/share/systemtap/tapset"
	for _, c := range []struct{ script, err string }{
		{`probe begin { println(pid(), execname(), user_string2(1, "x")) ansi_clear_screen() }`, ""},
		{`probe begin { println(argc, argv[1]) }`, ""},
		{`probe timer.s(1) { println(ctime(gettimeofday_s()), tokenize("a b", " ")) }`, ""},
		{`probe begin { panic("x") }`, "E1401"},
	} {
		got, f := elaborate(t, c.script, dir)
		if (c.err == "") != (got == "") || !strings.Contains(got, c.err) {
			t.Errorf("%s: %q, wanted %q", c.script, got, c.err)
		}
		if f.LibraryFiles < 500 {
			t.Errorf("%d library files", f.LibraryFiles)
		}
	}
}

// TestUserTapsets: a user's library files need no -I where XDG says they are; SystemTap's
// own library there is none of them.
func TestUserTapsets(t *testing.T) {
	base, home, theirs, given := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		filepath.Join(base, "systemtap/tapset/a.stp"):            "function of_base:long() { return 1 }",
		filepath.Join(home, "systemtap/tapset/b.stp"):            "function of_home:string() { return \"x\" }",
		filepath.Join(theirs, "systemtap/tapset/linux/c.stp"):    "function of_theirs:long() { return 1 }",
		filepath.Join(theirs, "systemtap/tapset/dyninst/nd.stp"): "",
		filepath.Join(given, "d.stp"):                            "function of_given:long() { return of_base() }",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("XDG_DATA_HOME", home)
	t.Setenv("XDG_DATA_DIRS", strings.Join([]string{theirs, base, "relative", filepath.Join(base, "none")}, ":"))
	for script, want := range map[string]string{
		`probe begin { println(of_base() + 1, strlen(of_home())) }`: "",
		`probe begin { println(of_theirs()) }`:                      "E1101",
		`probe begin { println(of_given() + of_base()) }`:           "",
	} {
		got, _ := elaborate(t, script, given)
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, wanted %q", script, got, want)
		}
	}
}
