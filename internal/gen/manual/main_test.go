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

// TestContents: pages of several sections have links to them; what is not in the manual is
// named without one.
func TestContents(t *testing.T) {
	page, _, err := render("docs/x.md", []byte("# x\n\n[code *here*](../examples/a.stp), [docs](start.md)\n\n## a\n\n## b &amp; c\n\n## d\n\n## e\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"</h1>\n<nav>\n<a href=\"#a\">a</a>\n", ">b &amp; c</a>", "<p>code <em>here</em>, <a href=\"start.html\">docs</a></p>"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("%s is not in\n%s", want, page)
		}
	}
}
