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
