// Command errors writes docs/errors: a page for each diagnostic code that the
// tools may print, and an index. It takes them from the registry of package
// diag, so it is linked with every package that registers codes, by linked.go,
// which command link writes. Tests fail when either is stale.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"stapkit/diag"
)

//go:generate go run stapkit/internal/gen/errors/link
//go:generate go run stapkit/internal/gen/errors

// dir is where the pages are, seen from this folder.
const dir = "../../../docs/errors"

// generated is the first line of each page.
const generated = "<!-- Written by go generate from the registry of codes; do not edit. -->\n"

// pageName matches the names of pages of codes.
var pageName = regexp.MustCompile(`^(E[0-9]{4}|ST[0-9]{4}|R[0-9]{3})\.md$`)

// families are the kinds of codes in the order of the index, with what to say
// of them.
var families = []struct{ name, heading, text string }{
	{"parse", "Parse errors", "The text is no script: the front end cannot read it."},
	{"semantic", "Semantic errors", "The script can be read, but what it says does not fit together, or not the system that is probed."},
	{"compile", "Compile errors", "The script is sound, but cannot be turned into a program for the kernel."},
	{"lint", "Lint rules", "The script works; the linter has a remark."},
	{"run", "Run and trust", "A bundle or a script cannot be run here, or may not be."},
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("errors: ")
	if err := write(dir); err != nil {
		log.Fatal(err)
	}
}

// write brings the pages up to date, and removes those of codes that are gone.
func write(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	want := pages(diag.All())
	have, err := read(dir)
	if err != nil {
		return err
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	for name, page := range want {
		if bytes.Equal(have[name], page) {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), page, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// read returns the pages in a folder; none when there is no such folder.
func read(dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	have := map[string][]byte{}
	for _, e := range entries {
		if e.Name() != "README.md" && !pageName.MatchString(e.Name()) {
			continue
		}
		if have[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return have, nil
}

// pages returns the text of each page by its name.
func pages(codes []diag.Info) map[string][]byte {
	out := map[string][]byte{}
	var index bytes.Buffer
	index.WriteString(generated)
	index.WriteString("# Diagnostics\n\nEvery diagnostic carries a code, which keeps its meaning for ever.\n")
	for _, fam := range families {
		rows := 0
		for _, info := range codes {
			if info.Code.Family() != fam.name {
				continue
			}
			if rows == 0 {
				fmt.Fprintf(&index, "\n## %s\n\n%s\n\n| code | severity | title |\n|---|---|---|\n", fam.heading, fam.text)
			}
			rows++
			fmt.Fprintf(&index, "| [%[1]s](%[1]s.md) | %s | %s |\n", info.Code, info.Severity, cell(info.Title))
			out[string(info.Code)+".md"] = page(info, fam.heading)
		}
	}
	out["README.md"] = index.Bytes()
	return out
}

// page returns the page of one code.
func page(info diag.Info, heading string) []byte {
	var b bytes.Buffer
	b.WriteString(generated)
	fmt.Fprintf(&b, "# %s: %s\n\n%s, %s.\n", info.Code, info.Title, heading, info.Severity)
	if doc := strings.TrimSpace(info.Doc); doc != "" {
		fmt.Fprintf(&b, "\n%s\n", doc)
	}
	b.WriteString("\n[All codes](README.md)\n")
	return b.Bytes()
}

// cell makes text safe for a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
