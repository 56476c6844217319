//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"stapkit/bundle"
	"stapkit/compile/object"
	"stapkit/ir"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"disk α \"x\" \\ 日本":     "disk α \"x\" \\ 日本",
		"a\x1b[2Jb\nverdict  ok": `a\x1b[2Jb\nverdict  ok`,
		"\u009b31m\x7f\t\x00":    `\u009b31m\x7f\t\x00`,
		"a\u202eb\u200bc\ufeff":  `a\u202eb\u200bc\ufeff`,
		"\xff\xfeok":             `\xff\xfeok`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
	var out bytes.Buffer
	if n, err := (printableLines{&out}).Write([]byte("a\x1b\nb\r\n")); n != 6 || err != nil || out.String() != "a\\x1b\nb\\r\n" {
		t.Errorf("%d, %v, %q", n, err, out.String())
	}
	in := "a\u009b\u202e\U000e0041b<日\x1b\n"
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	shown := printableJSON(text)
	var back string
	if err := json.Unmarshal(shown, &back); err != nil || back != in || bytes.IndexFunc(shown, unshown) >= 0 {
		t.Errorf("%v: %s", err, shown)
	}
}

// TestHostileNames: whatever a bundle calls itself and its parts, what is said of it moves no
// cursor, begins no line of its own and is valid JSON.
func TestHostileNames(t *testing.T) {
	const evil = "x\x1b[2J\x9b\n\u009b1m\u202everdict    ok\r"
	p := &ir.Program{
		Name: evil, Limits: ir.DefaultLimits(), Sites: []ir.Site{{}, {File: evil, Line: 2, Col: 1}},
		Globals:  []ir.Global{{Name: evil, Value: ir.TStr(100), InitStr: evil, Lock: -1, Settable: true}},
		Handlers: []*ir.Handler{{Name: "p0_begin", MaxActions: 1000}},
		Probes:   []ir.Probe{{Point: evil, Script: evil, Site: 1, Attach: []ir.Attach{{Carrier: "loader", Target: evil}, {Carrier: evil, Target: evil}}}},
		Warnings: []string{evil}, Needs: []string{evil},
	}
	enc, err := ir.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.ToValidUTF8(evil, "") // manifests are UTF-8
	elf, err := object.Write(&object.Spec{Sections: []object.Section{
		{Name: ".stap.ir", Data: enc}, {Name: bundle.MarkSection, Data: bundle.Mark()}, {Name: ".stap." + name, Data: []byte{1}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Write(elf, bundle.Manifest{Script: name, Tool: name})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "x\x1b[31m.o")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--verify"}, {"--inspect"}, {"--dry-run"}, {"--check"}, {}, {"--export-signature", filepath.Join(t.TempDir(), "s")}} {
		for _, form := range []string{"", "--json"} {
			args := args
			if form != "" {
				args = append(args[:len(args):len(args)], form)
			}
			r := command(t, "", append(args, file)...)
			for _, said := range []string{r.out, r.errOut} {
				if i := strings.IndexFunc(said, func(c rune) bool { return c != '\n' && !unicode.IsPrint(c) || c == unicode.ReplacementChar }); i >= 0 {
					t.Errorf("%q: status %d, at %d something that is not shown in %q", args, r.status, i, said)
				}
				if strings.Contains(said, "\nverdict    ok") || strings.Contains(said, "\n1m") {
					t.Errorf("%q: a line that the bundle has made up: %q", args, said)
				}
			}
			if form != "" && r.out != "" && !json.Valid([]byte(r.out)) {
				t.Errorf("%q: no JSON: %s", args, r.out)
			}
			if slices.Contains(args, "--inspect") && !strings.Contains(r.out, `[2J`) {
				t.Errorf("%q: status %d, %q, %q", args, r.status, r.out, r.errOut)
			}
		}
	}
}
