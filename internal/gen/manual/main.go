// Command manual makes HTML of docs and the README, with a search that needs no
// server: -out DIR gets a page for each document, and search.js with an index of their
// sections.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"io/fs"
	"log"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/util"

	"stapkit/cli"
	"stapkit/internal/manual"
)

// entry is one section of a page in the index of the search.
type entry struct {
	Page  string `json:"p"` // path and anchor
	Title string `json:"t"`
	Text  string `json:"x"`
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("manual: ")
	out := flag.String("out", "build/manual", "the `DIR` to write into")
	flag.Parse()
	if err := run(*out); err != nil {
		log.Fatal(err)
	}
}

func run(out string) error {
	var names []string
	err := filepath.WalkDir("docs", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(p, ".md") {
			names = append(names, filepath.ToSlash(p))
		}
		return err
	})
	if err != nil {
		return err
	}
	var index []entry
	for _, n := range names {
		src, err := os.ReadFile(n)
		if err != nil {
			return err
		}
		page, entries, err := render(n, src)
		if err != nil {
			return err
		}
		index = append(index, entries...)
		if err := write(filepath.Join(out, filepath.FromSlash(pageName(n))), page); err != nil {
			return err
		}
	}
	if err := pictures(out); err != nil {
		return err
	}
	list, err := json.Marshal(index)
	if err != nil {
		return err
	}
	if err := write(filepath.Join(out, "search.js"), []byte("const index = "+string(list)+";\n"+searchScript)); err != nil {
		return err
	}
	return write(filepath.Join(out, "style.css"), []byte(style))
}

func write(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o644)
}

// pageName is where the page of a document is: docs/x/README.md is x/index.html.
func pageName(doc string) string {
	p := strings.TrimSuffix(strings.TrimPrefix(doc, "docs/"), ".md")
	if path.Base(p) == "README" {
		p = path.Join(path.Dir(p), "index")
	}
	return p + ".html"
}

// pictures copies what documents show from elsewhere in the repository.
func pictures(out string) error {
	found, err := filepath.Glob("editors/vscode/images/*.png")
	if err != nil {
		return err
	}
	drawn, err := filepath.Glob("docs/images/*.svg")
	if err != nil {
		return err
	}
	found = append(found, drawn...)
	for _, f := range found {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := write(filepath.Join(out, "images", filepath.Base(f)), b); err != nil {
			return err
		}
	}
	return nil
}

var spaces = regexp.MustCompile(`\s+`)

// render makes a page and its part of the index.
func render(name string, src []byte) ([]byte, []entry, error) {
	doc := manual.Parse(src)
	here := pageName(name)
	up := strings.Repeat("../", strings.Count(here, "/"))
	title := name
	var entries []entry
	var headings []*ast.Heading
	var unlinked []*ast.Link
	var plain strings.Builder
	flush := func() {
		if len(entries) > 0 {
			entries[len(entries)-1].Text = strings.TrimSpace(spaces.ReplaceAllString(plain.String(), " "))
		}
		plain.Reset()
	}
	err := ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			flush()
			headings = append(headings, n)
			h := plainText(n, src)
			if n.Level == 1 {
				title = h
			}
			anchor := ""
			if id, ok := n.AttributeString("id"); ok {
				anchor = "#" + string(id.([]byte))
			}
			entries = append(entries, entry{Page: here + anchor, Title: h})
			return ast.WalkSkipChildren, nil
		case *ast.Link:
			if n.Destination = []byte(target(name, string(n.Destination))); len(n.Destination) == 0 {
				unlinked = append(unlinked, n)
			}
		case *ast.Image:
			n.Destination = []byte(up + "images/" + path.Base(string(n.Destination)))
		case *ast.Text:
			plain.WriteString(shown(n, src))
			plain.WriteByte(' ')
		case *ast.FencedCodeBlock:
			plain.Write(n.Lines().Value(src))
		case *ast.CodeBlock:
			plain.Write(n.Lines().Value(src))
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return nil, nil, err
	}
	flush()
	for _, n := range unlinked {
		for c := n.FirstChild(); c != nil; c = n.FirstChild() {
			n.Parent().InsertBefore(n.Parent(), n, c)
		}
		n.Parent().RemoveChild(n.Parent(), n)
	}
	for i := range entries {
		if entries[i].Title != title {
			entries[i].Title = title + ": " + entries[i].Title
		}
	}
	var body, page bytes.Buffer
	if err := manual.Markdown.Renderer().Render(&body, src, doc); err != nil {
		return nil, nil, err
	}
	top, rest, _ := strings.Cut(body.String(), "</h1>\n")
	if rest != "" {
		top += "</h1>\n" + contents(headings, src)
	}
	fmt.Fprintf(&page, `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s – stapkit</title><link rel="stylesheet" href="%sstyle.css"></head>
<body data-up="%s"><header><a href="%sindex.html">stapkit %s</a>
<input id="search" type="search" placeholder="Search (press /)" aria-label="Search" autocomplete="off"></header>
<ol id="found" hidden></ol>
<main>
%s</main><script src="%ssearch.js"></script></body></html>
`, html.EscapeString(title), up, up, up, cli.Version, top+rest, up)
	return page.Bytes(), entries, nil
}

// contents are links to the sections of a page that has several.
func contents(headings []*ast.Heading, src []byte) string {
	for level := 2; level <= 3; level++ {
		var b strings.Builder
		n := 0
		for _, h := range headings {
			id, ok := h.AttributeString("id")
			if h.Level != level || !ok {
				continue
			}
			n++
			fmt.Fprintf(&b, "<a href=\"#%s\">%s</a>\n", id, html.EscapeString(plainText(h, src)))
		}
		if n >= 4 {
			return "<nav>\n" + b.String() + "</nav>\n"
		}
	}
	return ""
}

// shown is a text as it is shown: without backslashes in front of what they protect, with
// characters for their names. In code both stand for themselves.
func shown(t *ast.Text, src []byte) string {
	text := t.Segment.Value(src)
	if _, code := t.Parent().(*ast.CodeSpan); code || t.IsRaw() {
		return string(text)
	}
	return string(util.ResolveNumericReferences(util.ResolveEntityNames(util.UnescapePunctuations(text))))
}

func plainText(n ast.Node, src []byte) string {
	var b strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if t, ok := c.(*ast.Text); ok {
			b.WriteString(shown(t, src))
		} else {
			b.WriteString(plainText(c, src))
		}
	}
	return b.String()
}

// target is where a link of a document leads in the HTML: documents are pages there,
// other files are named but not linked to: "".
func target(from, dest string) string {
	if strings.Contains(dest, "://") || strings.HasPrefix(dest, "#") {
		return dest
	}
	file, anchor, _ := strings.Cut(dest, "#")
	if anchor != "" {
		anchor = "#" + anchor
	}
	full := path.Join(path.Dir(from), file)
	if !strings.HasPrefix(full, "docs/") && full != "docs" {
		return ""
	}
	if st, err := os.Stat(full); err == nil && st.IsDir() {
		full += "/README.md"
	}
	up := strings.Repeat("../", strings.Count(pageName(from), "/"))
	return up + pageName(full) + anchor
}

const searchScript = `
const up = document.body.dataset.up, box = document.getElementById('search'), list = document.getElementById('found');
function search() {
  const words = box.value.toLowerCase().split(/\s+/).filter(w => w);
  list.replaceChildren();
  list.hidden = !words.length;
  if (!words.length) return;
  scrollTo(0, 0);
  const hits = [];
  for (const e of index) {
    const title = e.t.toLowerCase(), text = e.x.toLowerCase();
    let score = 0;
    for (const w of words) {
      const s = (title === w ? 50 : 0) + (title.includes(w) ? 10 : 0) + (text.includes(w) ? 1 : 0);
      if (!s) { score = 0; break; }
      score += s;
    }
    if (/^(errors|lint)\//.test(e.p)) score -= 0.5; // what explains comes first
    if (score > 0) hits.push([score, e]);
  }
  hits.sort((a, b) => b[0] - a[0]);
  for (const [, e] of hits.slice(0, 30)) {
    const li = document.createElement('li'), a = document.createElement('a'), p = document.createElement('div');
    a.href = up + e.p; a.textContent = e.t;
    const at = Math.max(0, e.x.toLowerCase().indexOf(words[0]) - 40);
    p.textContent = at ? '… ' + e.x.slice(at, at + 160).replace(/^\S*\s/, '') : e.x.slice(0, 160);
    li.append(a, p); list.append(li);
  }
  if (!hits.length) list.textContent = 'Nothing found.';
}
box.addEventListener('input', search);
document.addEventListener('keydown', e => {
  if (e.key === '/' && document.activeElement !== box) { e.preventDefault(); box.focus(); }
  if (e.key === 'Escape') { box.value = ''; search(); }
});
const asked = new URLSearchParams(location.search).get('q');
if (asked) { box.value = asked; search(); }
`

const style = `:root { color-scheme: light dark; --line: #8884; --code: #8882; --link: light-dark(#0a58ca, #7ab7ff); }
body { font: 16px/1.55 system-ui, sans-serif; margin: 0 auto; max-width: 54rem; padding: 0 1rem 4rem; }
header { display: flex; gap: 1rem; align-items: center; justify-content: space-between; border-bottom: 1px solid var(--line); padding: .8rem 0; position: sticky; top: 0; background: Canvas; }
header a { font-weight: 600; text-decoration: none; }
a { color: var(--link); }
input { font: inherit; padding: .25rem .6rem; width: 16rem; border: 1px solid var(--line); border-radius: .4rem; }
pre { background: var(--code); padding: .7rem 1rem; overflow-x: auto; border-radius: .4rem; font-size: .88em; }
code { background: var(--code); padding: .05em .3em; border-radius: .25em; font-size: .92em; }
pre code { background: none; padding: 0; font-size: 1em; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
td, th { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top; }
thead:not(:has(th:not(:empty))) { display: none; }
pre:has(.language-text) { background: none; border: 1px solid var(--line); }
h1, h2, h3, h4 { scroll-margin-top: 4rem; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: .6rem 0; border-block: 1px solid var(--line); font-size: .94em; }
img { max-width: 100%; border: 1px solid var(--line); border-radius: .4rem; }
#found { border: 1px solid var(--line); border-radius: .4rem; padding: .6rem 2.4rem; }
#found div { font-size: .85em; opacity: .75; }
`
