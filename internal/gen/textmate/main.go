// Command textmate writes the TextMate grammar with which VS Code and others colour
// scripts. Its lists of words are those of the language server, so that a word that
// is added to the language is coloured. It is run by go generate in query.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"stapkit/query"
)

func main() {
	text, err := grammar(query.Words())
	if err == nil {
		err = os.WriteFile(filepath.Join("..", "editors", "vscode", "syntaxes", "systemtap.tmLanguage.json"), text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "textmate:", err)
		os.Exit(1)
	}
}

// grammar gives the grammar as JSON.
func grammar(w query.Vocabulary) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(build(w)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
