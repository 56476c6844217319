// Command tapsetdocs writes the manual of the tapset library from the comments in it:
// docs/tapset/GROUP.md for each file of functions, macros or probe aliases, their index
// docs/tapset/README.md, and the list of functions that are not there in
// docs/incompatibilities.md. With -man DIR it writes pages for man(1) instead.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	man := flag.String("man", "", "write pages for man(1) into `DIR` instead")
	flag.Parse()
	if err := run(flag.Arg(0), *man); err != nil {
		fmt.Fprintln(os.Stderr, "tapsetdocs:", err)
		os.Exit(1)
	}
}

func run(docs, man string) error {
	groups, err := read()
	if err != nil {
		return err
	}
	if man != "" {
		if err := os.MkdirAll(man, 0o755); err != nil {
			return err
		}
		for _, g := range groups {
			name := filepath.Join(man, "tapset::"+g.name+".3stapkit")
			if err := os.WriteFile(name, g.roff(), 0o644); err != nil {
				return err
			}
		}
		return nil
	}
	dir := filepath.Join(docs, "tapset")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	want := map[string][]byte{"README.md": index(groups)}
	for _, g := range groups {
		want[g.name+".md"] = g.page()
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		return err
	}
	for _, f := range old {
		if want[filepath.Base(f)] == nil {
			if err := os.Remove(f); err != nil {
				return err
			}
		}
	}
	for name, text := range want {
		if err := write(filepath.Join(dir, name), text); err != nil {
			return err
		}
	}
	return refusals(filepath.Join(docs, "incompatibilities.md"))
}

// write leaves a file alone that is as it should be.
func write(name string, text []byte) error {
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, text) {
		return nil
	}
	return os.WriteFile(name, text, 0o644)
}

// refusals writes the section of the page about functions that are not there.
func refusals(name string) error {
	page, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(page), refusedHead)
	if !ok {
		return fmt.Errorf("%s has no section %q", name, strings.TrimSpace(refusedHead))
	}
	after := ""
	if i := strings.Index(rest, "\n## "); i >= 0 {
		after = rest[i:]
	}
	return write(name, []byte(before+refusedHead+refusedTable()+after))
}
