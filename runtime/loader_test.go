package loader

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStrftime(t *testing.T) {
	at := time.Date(2031, time.February, 3, 4, 5, 6, 0, time.UTC)
	for in, want := range map[string]string{
		"out.%Y-%m-%d.%H%M%S": "out.2031-02-03.040506", "100%%": "100%", "%F_%T": "2031-02-03_04:05:06",
		"%j %s %q %": "034 1927857906 %q %",
	} {
		if got := strftime(in, at); got != want {
			t.Errorf("strftime(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRingBytes(t *testing.T) {
	for mb, want := range map[int]uint32{0: 4 << 20, 1: 1 << 20, 3: 4 << 20, 64: 64 << 20, 100000: 1 << 30} {
		if got := (&Options{BufferMB: mb}).ringBytes(); got != want {
			t.Errorf("%d MB: %d, want %d", mb, got, want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for in, want := range map[string][]string{
		"a b":              {"a", "b"},
		"  a\t'b c' \"\" ": {"a", "b c", ""},
		`a \"b "c\"d\e"`:   {"a", `"b`, `c"d\e`},
		"a|b":              {"/bin/sh", "-c", "a|b"},
		"a (b)":            {"/bin/sh", "-c", "a (b)"},
		"ls *.c":           {"/bin/sh", "-c", "exec ls *.c"},
		"a '$x'":           {"a", "$x"},
		`a "$x"`:           {"/bin/sh", "-c", `exec a "$x"`},
		"":                 nil,
	} {
		if d := cmp.Diff(want, commandLine(in)); d != "" {
			t.Errorf("%q: %s", in, d)
		}
	}
}

func TestErrorLines(t *testing.T) {
	e := &Error{Code: codeAttach, Lines: []string{"first", "second"}}
	if got := e.Error(); got != "first [R204]\nsecond" {
		t.Errorf("%q", got)
	}
	if !strings.Contains(errorf(codeKernel, nil, "a %d", 1).Error(), "a 1 [R201]") {
		t.Error("errorf")
	}
}
