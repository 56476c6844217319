package syntax

import (
	"strings"
	"testing"

	"stapkit/internal/corpus"
)

func loadCorpus(t testing.TB) (tapset, examples []corpus.File, lib *MacroSet) {
	t.Helper()
	tapset, err := corpus.Tapset()
	if err != nil {
		t.Fatal(err)
	}
	examples, err = corpus.Examples()
	if err != nil {
		t.Fatal(err)
	}
	if len(tapset) == 0 || len(examples) == 0 {
		t.Skip("the packages systemtap-common and systemtap-doc are not installed")
	}
	return tapset, examples, libraryOf(t, tapset)
}

// libraryOf collects the macros of a library as SystemTap's kernel runtime sees them.
func libraryOf(t testing.TB, tapset []corpus.File) *MacroSet {
	t.Helper()
	lib := &MacroSet{}
	for _, f := range tapset {
		if f.Macro && !strings.Contains(f.Path, "/dyninst/") && !strings.Contains(f.Path, "/bpf/") {
			m := ParseMacros(f.Path, f.Src, Options{Library: true, Target: hostX86})
			for _, d := range append(m.Diags, lib.Add(m)...) {
				t.Errorf("%v", d)
			}
		}
	}
	return lib
}

var hostX86 = StaticConditions{"kernel_v": "6.1.0", "kernel_vr": "6.1.0-47-amd64", "arch": "x86_64", "runtime": "kernel",
	"systemtap_v": "5.6", "systemtap_privilege": "stapdev", "guru_mode": "1", "CONFIG_SMP": "y"}

func TestCorpus(t *testing.T) {
	tapset, examples, lib := loadCorpus(t)
	for _, view := range []View{Expanded, SourceView} {
		bad := 0
		for _, f := range append(tapset[:len(tapset):len(tapset)], examples...) {
			if strings.HasSuffix(f.Path, corpus.Template) {
				continue
			}
			opt := Options{View: view, ArgsUnknown: true, Library: true, Target: hostX86, Macros: lib}
			parse := ParseFile
			if f.Macro {
				opt.Macros = nil
				parse = ParseMacros
			}
			for _, d := range parse(f.Path, f.Src, opt).Diags {
				if bad++; bad < 40 {
					t.Errorf("view %d: %v (%s) %v", view, d, d.Saw, d.Related)
				}
			}
		}
	}
}
