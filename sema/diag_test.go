package sema

import (
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"stapkit/diag"
	"stapkit/syntax"
)

// TestDiagnostics runs the cases in testdata/diag. The archive's comment may have
// lines of options: "guru", "privilege NAME", "skip-badvars", "unoptimized",
// "no-target", "args-unknown", "command PATH". The files are user scripts (*.stp),
// a library (lib/*.stp) in place of stapkit's own, and what is found ("want", then
// "late" for what only stops compilation).
func TestDiagnostics(t *testing.T) {
	list, err := filepath.Glob("testdata/diag/*.txtar")
	if err != nil || len(list) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	seen := map[diag.Code]bool{}
	for _, path := range list {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, m := archive(t, path)
			p := elaborateCase(t, a)
			for _, d := range append(p.Diags, p.Late...) {
				seen[d.Code] = true
			}
			got := map[string]string{"want": show(p.Diags)}
			if len(p.Late) > 0 {
				got["late"] = show(p.Late)
			}
			if k := running(); k != nil {
				for name, text := range got {
					got[name] = strings.ReplaceAll(text, k.Release(), "RELEASE")
				}
			}
			if *update {
				var keep []txtar.File
				for _, f := range a.Files {
					if f.Name != "want" && f.Name != "late" {
						keep = append(keep, f)
					}
				}
				for _, name := range []string{"want", "late"} {
					if text, ok := got[name]; ok {
						keep = append(keep, txtar.File{Name: name, Data: []byte(text)})
					}
				}
				a.Files = keep
				if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, name := range []string{"want", "late"} {
				if got[name] != m[name] {
					t.Errorf("%s: got\n%s\nwant\n%s", name, got[name], m[name])
				}
			}
		})
	}
	if t.Failed() || running() == nil {
		return
	}
	for _, info := range diag.All() {
		if info.Code.Family() == "semantic" && !seen[info.Code] {
			t.Errorf("no case shows %s (%s)", info.Code, info.Title)
		}
	}
}

// elaborateCase elaborates the scripts of an archive with its options.
func elaborateCase(t *testing.T, a *txtar.Archive) *Program {
	t.Helper()
	var opt Options
	so := syntax.Options{Target: conditions}
	useKernel := true
	for _, line := range strings.Split(string(a.Comment), "\n") {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "guru":
			opt.Guru, so.Privileged = true, true
		case "privilege":
			opt.Privilege = rest
		case "skip-badvars":
			opt.SkipBadVars = true
		case "unoptimized":
			opt.Unoptimized = true
		case "no-target":
			useKernel = false
		case "args-unknown":
			so.ArgsUnknown = true
		case "command":
			opt.Command = rest
		}
	}
	if useKernel {
		opt.Target = kernel(t)
	}
	lib := map[string][]byte{}
	var names []string
	text := map[string][]byte{}
	for _, f := range a.Files {
		switch {
		case strings.HasPrefix(f.Name, "lib/"):
			lib[f.Name] = f.Data
		case strings.HasSuffix(f.Name, ".stp"):
			names = append(names, f.Name)
			text[f.Name] = f.Data
		}
	}
	sort.Strings(names)
	opt.Library = library()
	if len(lib) > 0 {
		lo := syntax.Options{Target: conditions, Library: true}
		opt.Library = NewLibrary(lo, NewSource(lib, lo))
	}
	var files []*syntax.File
	for _, n := range names {
		files = append(files, syntax.ParseFile(n, text[n], so))
	}
	return Elaborate(files, opt)
}
