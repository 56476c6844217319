// Command docs writes docs/lint/rules.md, the table of the linter's rules, from their
// documentation. What a rule is about is on the page of its code, in docs/errors.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/registry"
)

//go:generate go run stapkit/internal/gen/lint/docs

// file is the table, seen from this folder, where go generate runs.
const file = "../../../../docs/lint/rules.md"

// families are the kinds of rules, by the digit behind ST.
var families = []struct {
	digit      byte
	name, text string
}{
	{'1', "Probe points", "Does it exist, where, and what does it cost?"},
	{'2', "Target variables", "What is read from the kernel and from programs."},
	{'3', "Maps", "Arrays that leak, overflow, or do not hold what is asked for."},
	{'4', "Data flow", "Values on their way through a handler."},
	{'5', "Printing", "Formats, lines, and what is never shown."},
	{'6', "eBPF and production", "Limits, cost, and what a production host refuses or should not do."},
	{'7', "Style and upkeep", "For those who read the script next."},
	{'9', "Suppressions", "Comments that answer findings."},
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("docs: ")
	if err := os.WriteFile(file, page(registry.All()), 0o666); err != nil {
		log.Fatal(err)
	}
}

func page(rules []*lint.Analyzer) []byte {
	var b bytes.Buffer
	b.WriteString("<!-- Written by go generate from the rules; do not edit. -->\n# Rules of the linter\n\n")
	fmt.Fprintf(&b, "%d rules. Each has a page, which `staplint --explain` prints as well. \"T\" marks rules that need a\n", len(rules))
	b.WriteString("target, \"off\" those that are off unless enabled; the last column says which fixes there are.\n")
	for _, f := range families {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| rule | | severity | | fix |\n|---|---|---|---|---|\n", f.name, f.text)
		for _, a := range rules {
			if a.Name[2] != f.digit {
				continue
			}
			info, _ := diag.Lookup(diag.Code(a.Name))
			var marks []string
			if a.Doc.Target {
				marks = append(marks, "T")
			}
			if a.Doc.NonDefault {
				marks = append(marks, "off")
			}
			fix := ""
			if a.Doc.Fix != lint.NoFix {
				fix = a.Doc.Fix.String()
			}
			fmt.Fprintf(&b, "| [%[1]s](../errors/%[1]s.md) | %s | %s | %s | %s |\n", a.Name, strings.ReplaceAll(info.Title, "|", `\|`), info.Severity, strings.Join(marks, ", "), fix)
		}
	}
	return b.Bytes()
}
