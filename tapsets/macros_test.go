package tapsets_test

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"stapkit/internal/corpus"
	"stapkit/tapsets"
)

// macrosNotHere are macros of SystemTap's library that ours has not, with the reason.
var macrosNotHere = map[string]string{
	"errno": "errno of the C library is a variable of each thread, whose place only its debug information tells; the result of a system call is retval in syscall.NAME.return, returnval() elsewhere",
}

var defined = regexp.MustCompile(`(?m)^\s*@define\s+([A-Za-z]\w*)\s*(?:\(([^)]*)\))?`)

// macros are the public ones that a file defines, with the number of their parameters,
// -1 without parentheses.
func macros(out map[string]int, src []byte) {
	for _, m := range defined.FindAllSubmatch(src, -1) {
		n := -1
		if m[2] != nil {
			n = strings.Count(string(m[2]), ",") + 1
		}
		out[string(m[1])] = n
	}
}

// TestMacros: each public macro of SystemTap's library is here with as many parameters,
// or there is a reason why not.
func TestMacros(t *testing.T) {
	all, err := corpus.Tapset()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Skip("the package systemtap-common is not installed")
	}
	theirs, ours := map[string]int{}, map[string]int{}
	for _, f := range all {
		if f.Macro && !strings.Contains(f.Path, "/dyninst/") && !strings.Contains(f.Path, "/bpf/") {
			macros(theirs, f.Src)
		}
	}
	for _, name := range tapsets.Files() {
		if src, ok := tapsets.Read(name); ok && path.Ext(name) == ".stpm" {
			macros(ours, src)
		}
	}
	if len(theirs) < 50 {
		t.Errorf("only %d macros were found in SystemTap's library", len(theirs))
	}
	for name, n := range theirs {
		got, ok := ours[name]
		switch {
		case ok && macrosNotHere[name] != "":
			t.Errorf("@%s is here, and said not to be", name)
		case !ok && macrosNotHere[name] == "":
			t.Errorf("@%s is not here", name)
		case ok && got != n:
			t.Errorf("@%s has %d parameters, not %d", name, got, n)
		}
	}
	for name := range macrosNotHere {
		if _, ok := theirs[name]; !ok {
			t.Errorf("SystemTap has no @%s", name)
		}
	}
}
