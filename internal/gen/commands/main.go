// Command commands writes what is said of the commands' options, from the tables of
// package cli: docs/commands/NAME.md, and docs/options.md, the comparison with
// SystemTap's options. With -man DIR it writes pages for man(1) instead, with
// -completions DIR the completion scripts of shells.
package main

import (
	"bytes"
	"flag"
	"log"
	"os"
	"path/filepath"

	"stapkit/cli"
)

//go:generate go run stapkit/internal/gen/commands

const generated = "<!-- Written by go generate from package cli; do not edit. -->\n"

func main() {
	log.SetFlags(0)
	log.SetPrefix("commands: ")
	man := flag.String("man", "", "write pages for man(1) into `DIR`/man1 and DIR/man8 instead")
	completions := flag.String("completions", "", "write completion scripts into `DIR` instead")
	version := flag.String("version", "", "the version that pages for man(1) tell")
	flag.Parse()
	for _, c := range cli.All() {
		switch {
		case *man != "":
			page := c.PageFile()
			write(filepath.Join(*man, "man"+page[len(page)-1:], page), c.Man(*version))
		case *completions == "":
			write(filepath.Join("../../../docs/commands", filepath.Base(c.PageFile()[:len(c.PageFile())-2])+".md"), append([]byte(generated), c.Markdown()...))
		}
	}
	switch {
	case *completions != "":
		for shell, name := range map[string]string{"bash": "stap.bash", "zsh": "_stapkit", "fish": "stap.fish"} {
			var b bytes.Buffer
			if err := cli.WriteCompletions(&b, shell); err != nil {
				log.Fatal(err)
			}
			write(filepath.Join(*completions, shell, name), b.Bytes())
		}
	case *man == "":
		write("../../../docs/options.md", append([]byte(generated), cli.Comparison()...))
	}
}

func write(name string, text []byte) {
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, text) {
		return
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o644); err != nil {
		log.Fatal(err)
	}
}
