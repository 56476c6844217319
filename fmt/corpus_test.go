package stapfmt

import (
	"errors"
	"strings"
	"testing"

	"stapkit/internal/corpus"
	"stapkit/syntax"
)

// systemTap reads SystemTap's own library and examples.
func systemTap(t testing.TB) []corpus.File {
	t.Helper()
	tapset, err := corpus.Tapset()
	if err != nil {
		t.Fatal(err)
	}
	examples, err := corpus.Examples()
	if err != nil {
		t.Fatal(err)
	}
	if len(tapset) == 0 || len(examples) == 0 {
		t.Skip("the packages systemtap-common and systemtap-doc are not installed")
	}
	return append(tapset, examples...)
}

// TestCorpus formats all scripts there are. Format itself checks that nothing but
// layout changes, and that the result is stable.
func TestCorpus(t *testing.T) {
	files := systemTap(t)
	for _, folder := range []string{"run", "diagnostics"} {
		golden, err := corpus.Golden(folder)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, golden...)
	}
	own, err := corpus.Own()
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, own...)
	bad := 0
	for _, f := range files {
		if strings.HasSuffix(f.Path, corpus.Template) {
			continue
		}
		res, err := Format(f.Path, f.Src, Options{})
		var syn *SyntaxError
		if errors.As(err, &syn) && (strings.Contains(f.Path, "/diagnostics/") || strings.Contains(f.Path, "/run/")) { // SystemTap refuses some of these too
			continue
		}
		if err != nil {
			if bad++; bad < 30 {
				t.Error(err)
			}
			continue
		}
		if again, err := Format(f.Path, res.Text, Options{}); err != nil || again.Changed {
			t.Errorf("%s: not stable: %v", f.Path, err)
		}
	}
	t.Logf("%d files", len(files))
}

// TestExpanded compares the programs that result from preprocessing before and after
// formatting: a look from another side at what Format checks, for several targets.
func TestExpanded(t *testing.T) {
	files := systemTap(t)
	for _, target := range []syntax.StaticConditions{
		{"kernel_v": "6.1.0", "kernel_vr": "6.1.0-47-amd64", "arch": "x86_64", "runtime": "kernel", "systemtap_v": "5.6",
			"systemtap_privilege": "stapdev", "guru_mode": "1", "CONFIG_SMP": "y"},
		{"kernel_v": "2.6.9", "kernel_vr": "2.6.9", "arch": "arm", "runtime": "dyninst", "systemtap_v": "1.6",
			"systemtap_privilege": "stapusr", "guru_mode": "0", "CONFIG_UTRACE": "y"},
	} {
		lib := &syntax.MacroSet{}
		for _, f := range files {
			if f.Macro && !strings.Contains(f.Path, "/dyninst/") && !strings.Contains(f.Path, "/bpf/") {
				lib.Add(syntax.ParseMacros(f.Path, f.Src, syntax.Options{Library: true, Target: target}))
			}
		}
		for _, f := range files {
			if f.Macro || strings.HasSuffix(f.Path, corpus.Template) {
				continue
			}
			res, err := Format(f.Path, f.Src, Options{})
			if err != nil {
				t.Fatal(err)
			}
			opt := syntax.Options{Library: true, Privileged: true, ArgsUnknown: true, Target: target, Macros: lib}
			if before, after := shape(f.Path, f.Src, opt), shape(f.Path, res.Text, opt); before != after {
				t.Errorf("%s is another program when formatted", f.Path)
			}
		}
	}
}

// shape is the outline of a program without its null statements.
func shape(name string, src []byte, opt syntax.Options) string {
	var b strings.Builder
	for line := range strings.Lines(syntax.Shape(syntax.ParseFile(name, src, opt))) {
		if !strings.HasSuffix(line, "NullStmt\n") {
			b.WriteString(line)
		}
	}
	return b.String()
}
