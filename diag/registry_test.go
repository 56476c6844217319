package diag

import (
	"strings"
	"testing"
)

// withRegistry runs f on an empty registry and restores the real one.
func withRegistry(t *testing.T, f func()) {
	t.Helper()
	saved := registry
	registry = map[Code]Info{}
	defer func() { registry = saved }()
	f()
}

func TestRegister(t *testing.T) {
	withRegistry(t, func() {
		b := Register(Info{Code: "E0002", Severity: Warning, Title: "second", Doc: "doc"})
		Register(Info{Code: "E0001", Title: "first"})
		if b != "E0002" {
			t.Errorf("Register returned %q", b)
		}
		if info, ok := Lookup("E0002"); !ok || info.Title != "second" || info.Severity != Warning {
			t.Errorf("Lookup(E0002) = %+v, %v", info, ok)
		}
		if _, ok := Lookup("E0003"); ok {
			t.Error("Lookup finds a code that nobody registered")
		}
		all := All()
		if len(all) != 2 || all[0].Code != "E0001" || all[1].Code != "E0002" {
			t.Errorf("All() = %+v", all)
		}
		if d := New("E0002", Range{}, "n = %d", 3); d.Severity != Warning || d.Message != "n = 3" {
			t.Errorf("New = %+v", d)
		}
	})
}

func TestRegisterPanics(t *testing.T) {
	tests := []struct {
		name string
		info Info
		want string
	}{
		{"twice", Info{Code: "E0001", Title: "again"}, "registered twice"},
		{"no title", Info{Code: "E0002"}, "no title"},
		{"no family", Info{Code: "X0001", Title: "t"}, "shapes"},
		{"too short", Info{Code: "E001", Title: "t"}, "shapes"},
		{"not digits", Info{Code: "E0a01", Title: "t"}, "shapes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			withRegistry(t, func() {
				Register(Info{Code: "E0001", Title: "first"})
				defer func() {
					msg, _ := recover().(string)
					if !strings.Contains(msg, tt.want) {
						t.Errorf("panic %q, want one with %q", msg, tt.want)
					}
				}()
				Register(tt.info)
			})
		})
	}
}

func TestFamily(t *testing.T) {
	for code, want := range map[Code]string{
		"E0001": "parse", "E1999": "semantic", "E2000": "compile", "ST0042": "lint", "R001": "run",
		"": "", "E3000": "", "ST042": "", "R0001": "",
	} {
		if got := code.Family(); got != want {
			t.Errorf("Family(%q) = %q, want %q", code, got, want)
		}
	}
}

func TestStrings(t *testing.T) {
	at := Pos{File: "a.stp", Line: 2, Col: 3}
	for _, tt := range []struct{ got, want string }{
		{Error.String(), "error"}, {Hint.String(), "hint"}, {Severity(9).String(), "severity(9)"},
		{Unnecessary.String(), "unnecessary"}, {Deprecated.String(), "deprecated"}, {Tag(9).String(), "tag(9)"},
		{at.String(), "a.stp:2:3"}, {Pos{Line: 2, Col: 3}.String(), "2:3"}, {Pos{File: "a"}.String(), "a"}, {Pos{}.String(), "-"},
		{Diagnostic{Code: "E0001", Range: Range{Start: at}, Message: "m"}.Error(), "a.stp:2:3: m [E0001]"},
		{Diagnostic{Message: "m"}.Error(), "m"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
	if HasErrors([]Diagnostic{{Severity: Warning}, {Severity: Hint}}) || !HasErrors([]Diagnostic{{Severity: Note}, {}}) {
		t.Error("HasErrors is wrong")
	}
}
