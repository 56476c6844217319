package main

import (
	"strings"
	"testing"
)

// TestIndex: the search finds names as they are read, not as Markdown writes them.
func TestIndex(t *testing.T) {
	page, entries, err := render("docs/tapset/x.md", []byte("# x\n\n### print\\_it\n\nLike print\\_that() &amp; `a\\_b`.\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 || entries[1].Title != "x: print_it" || entries[1].Page != "tapset/x.html#print_it" {
		t.Errorf("%+v", entries)
	}
	if got := strings.Join(strings.Fields(entries[1].Text), " "); got != `Like print_that() & a\_b .` {
		t.Errorf("%q", got)
	}
	if !strings.Contains(string(page), `href="../style.css"`) {
		t.Errorf("%s", page)
	}
}
