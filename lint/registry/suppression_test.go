package registry_test

import (
	"slices"
	"strings"
	"testing"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/check"
	"stapkit/lint/registry"
)

// TestSuppressionRules: the rules about suppressions, of which the linter itself knows.
// The wants of a line would be read as part of the comment, so the findings are listed here.
func TestSuppressionRules(t *testing.T) {
	env, err := check.Default()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ text, want string }{
		{"probe begin {\n\tprintln(1) # staplint:ignore ST4003\n\texit()\n}\n", "2:13 ST9001"},
		{"probe begin {\n\t// staplint:ignore\n\texit()\n}\n", "2:2 ST9001"},
		{"probe begin {\n\t/* staplint:ignroe ST4003 why */\n\texit()\n}\n", "2:2 ST9001"},
		{"probe begin {\n\t# staplint:ignore E1101 why\n\texit()\n}\n", "2:2 ST9001"},
		{"probe begin {\n\t# staplint:ignore ST4003 nothing\n\texit()\n}\n", "2:2 ST9002"},
		{"probe begin {\n\t# staplint:ignore ST4003, ST4010 nothing\n\texit()\n}\n", "2:2 ST9002"},
		{"# staplint:ignore-file ST4003 nothing\nprobe begin {\n\texit()\n}\n", "1:1 ST9002"},
		{"probe begin {\n\t# staplint:ignore ST4999 why\n\texit()\n}\n", "2:2 ST9003"},
		{"# The linter is called staplint: it reads comments\nprobe begin {\n\texit()\n}\n", ""},
		{"global n = 1\nprobe begin {\n\t# staplint:ignore ST4003 why: it shows\n\tn = n\n\tprintln(n)\n\texit()\n}\n", ""},
		// Of the targets that a rule needs, none is given: it has not looked.
		{"probe begin {\n\t# staplint:ignore ST2008 why\n\texit()\n}\n", ""},
	}
	for _, tt := range tests {
		res, err := lint.Run(env.Script(check.Input{Name: "a.stp", Text: []byte(tt.text)}), registry.All(), lint.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range res.Diags {
			got = append(got, strings.TrimPrefix(d.Range.Start.String(), "a.stp:")+" "+string(d.Code))
		}
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%q: got %q, want %q", tt.text, s, tt.want)
		}
		if len(res.Diags) == 1 && len(res.Diags[0].Fixes) > 0 {
			text, _ := lint.Apply("a.stp", []byte(tt.text), res.Diags, false)
			if strings.Contains(string(text), "staplint:") || strings.Contains(string(text), "\n\n") {
				t.Errorf("mended: %q", text)
			}
		}
	}
	// Off like other rules.
	res, err := lint.Run(env.Script(check.Input{Name: "a.stp", Text: []byte(tests[0].text)}), registry.All(), lint.Settings{Disable: []string{"ST9001"}})
	if err != nil || len(res.Diags) != 0 {
		t.Errorf("%v, %v", res.Diags, err)
	}
}

// TestSuppressFix: the fix that editors offer answers the finding.
func TestSuppressFix(t *testing.T) {
	env, err := check.Default()
	if err != nil {
		t.Fatal(err)
	}
	text := []byte("probe timer.s(1) {\n\tif (1)\n\t\tif (pid() == pid())\n\t\t\tprintln(1)\n}\n")
	run := func(text []byte) *lint.Result {
		res, err := lint.Run(env.Script(check.Input{Name: "a.stp", Text: text}), registry.All(), lint.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	first := run(text)
	for _, d := range first.Diags {
		f, ok := lint.SuppressFix(&d, text)
		if !ok {
			t.Fatal(d.Error())
		}
		d.Fixes = []diag.Fix{f}
		next, _ := lint.Apply("a.stp", text, []diag.Diagnostic{d}, true)
		res := run(next)
		if len(res.Suppressed) != 1 || len(res.Diags) != len(first.Diags)-1 {
			t.Errorf("%s: %d suppressed\n%s", d.Error(), len(res.Suppressed), next)
		}
	}
	if len(first.Diags) != 2 {
		t.Errorf("%d findings", len(first.Diags))
	}
}

// TestEnabled: the longest name that fits a rule decides.
func TestEnabled(t *testing.T) {
	tests := []struct {
		enable, disable string
		want            string // of ST3001, ST3004 (off unless enabled), ST4003
	}{
		{"", "", "ST3001 ST4003"},
		{"ST3004", "", "ST3001 ST3004 ST4003"},
		{"", "ST3", "ST4003"},
		{"ST3001", "ST3", "ST3001 ST4003"},
		{"ST3004", "all", "ST3004"},
		{"all", "", "ST3001 ST3004 ST4003"},
		{"all", "ST3001", "ST3004 ST4003"},
		{"ST3001", "ST3001", "ST4003"},
	}
	for _, tt := range tests {
		s := lint.Settings{Enable: strings.Fields(tt.enable), Disable: strings.Fields(tt.disable)}
		var got []string
		for _, n := range []string{"ST3001", "ST3004", "ST4003"} {
			if s.Enabled(lint.Lookup(n)) {
				got = append(got, n)
			}
		}
		if g := strings.Join(got, " "); g != tt.want {
			t.Errorf("enable %q, disable %q: %s, want %s", tt.enable, tt.disable, g, tt.want)
		}
	}
}

// TestSettings: mistakes in settings are told.
func TestSettings(t *testing.T) {
	for _, s := range []lint.Settings{
		{Enable: []string{"ST8"}}, {Disable: []string{""}}, {Severity: map[string]diag.Severity{"ST4": diag.Note}},
		{Options: map[string]map[string]any{"ST4003": {"x": int64(1)}}}, {Options: map[string]map[string]any{"ST7004": {"lines": "many"}}},
		{Options: map[string]map[string]any{"ST0": {}}},
	} {
		if err := s.Check(registry.All()); err == nil {
			t.Errorf("%+v: no mistake found", s)
		}
	}
	s := lint.Settings{Enable: []string{"all", "ST3"}, Severity: map[string]diag.Severity{"ST4003": diag.Error}, Options: map[string]map[string]any{"ST7004": {"lines": int64(5)}}}
	if err := s.Check(registry.All()); err != nil {
		t.Error(err)
	}
}

// TestRules: names are unique, in order, of a known family; there are at least 60 rules,
// and each family has some.
func TestRules(t *testing.T) {
	all := registry.All()
	var names []string
	families := map[byte]int{}
	for _, a := range all {
		names = append(names, a.Name)
		families[a.Name[2]]++
		for _, n := range []string{a.Partial} {
			if n != "" && lint.Lookup(n) == nil {
				t.Errorf("%s: there is no rule %s", a.Name, n)
			}
		}
		for _, c := range a.Adopts {
			if _, ok := diag.Lookup(c); !ok {
				t.Errorf("%s adopts %s, which no one reports", a.Name, c)
			}
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("names are not in order or not unique: %v", names)
	}
	if len(all) < 60 {
		t.Errorf("only %d rules", len(all))
	}
	for _, f := range "12345679" {
		if families[byte(f)] < 3 {
			t.Errorf("family ST%cxxx has %d rules", f, families[byte(f)])
		}
	}
}

// FuzzRules: no rule crashes, and no fix makes a script that does not parse out of one
// that does.
func FuzzRules(f *testing.F) {
	for _, a := range registry.All() {
		f.Add(a.Doc.Before)
		f.Add(a.Doc.After)
	}
	env, err := check.Default()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 5000 {
			return
		}
		s := env.Script(check.Input{Name: "f.stp", Text: []byte(text)})
		res, err := lint.Run(s, registry.All(), lint.Settings{Enable: []string{"all"}})
		if err != nil {
			t.Fatal(err)
		}
		if diag.HasErrors(s.Files[0].Diags) {
			return
		}
		mended, done := lint.Apply("f.stp", []byte(text), res.Diags, true)
		if len(done) == 0 {
			return
		}
		if m := env.Script(check.Input{Name: "f.stp", Text: mended}); diag.HasErrors(m.Files[0].Diags) {
			t.Errorf("the mended script does not parse: %v\n%s\nfrom\n%s", m.Files[0].Diags, mended, text)
		}
	})
}
