// Command grammar writes docs/grammar.md from the reference grammar. It is run by
// go generate in syntax/reference.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"stapkit/syntax/reference"
)

func main() {
	if err := os.WriteFile(filepath.Join("..", "..", "docs", "grammar.md"), []byte(reference.Document()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "grammar:", err)
		os.Exit(1)
	}
}
