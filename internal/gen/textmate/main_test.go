package main

import (
	"bytes"
	"os"
	"regexp"
	"testing"

	"stapkit/query"
)

// TestCurrent holds the grammar that the extension has against the one made now.
func TestCurrent(t *testing.T) {
	want, err := grammar(query.Words())
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../../editors/vscode/syntaxes/systemtap.tmLanguage.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("editors/vscode/syntaxes/systemtap.tmLanguage.json is stale: go generate ./query")
	}
}

// TestVim has the syntax files of Vim and Neovim know the same words.
func TestVim(t *testing.T) {
	w := query.Words()
	for _, file := range []string{"vim", "neovim"} {
		text, err := os.ReadFile("../../../editors/" + file + "/syntax/systemtap.vim")
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range [][]string{w.Keywords, w.Operators, w.Statistics, w.Prints, w.Conditions} {
			for _, word := range list {
				if !regexp.MustCompile(`(?m)^syn .*\b` + word + `\b`).Match(text) {
					t.Errorf("editors/%s/syntax does not know %q", file, word)
				}
			}
		}
		m := regexp.MustCompile(`\[([a-zA-Z]+)\]/\n`).FindSubmatch(text)
		if m == nil {
			t.Fatalf("editors/%s/syntax has no conversions", file)
		}
		for _, c := range w.Conversions {
			if !bytes.ContainsRune(m[1], c) {
				t.Errorf("editors/%s/syntax does not know the conversion %%%c", file, c)
			}
		}
	}
}
