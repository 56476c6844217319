// Package st7003 is the rule ST7003: script without a comment that says what it is.
package st7003

import (
	"bytes"
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST7003",
	Doc: &lint.Doc{
		Title:    "script does not say what it is for",
		Severity: diag.Note,
		Options:  []lint.Option{{Name: "lines", Default: int64(15), Text: "scripts shorter than this need no comment"}},
		Why: `
A directory of probe scripts is opened when something is on fire, by somebody who did not write them. What a script
shows, on which kernels it was used and what it costs stands at its top, or nobody dares to run it.`,
		Before: `
global reads, writes

probe syscall.read {
	reads++
}

probe syscall.write {
	writes++
}

probe timer.s(5) {
	printf("%d reads, %d writes\n", reads, writes)
	reads = 0
	writes = 0
}`,
		After: `
# Reads and writes of the whole machine, every five seconds. Cheap.
global reads, writes

probe syscall.read {
	reads++
}

probe syscall.write {
	writes++
}

probe timer.s(5) {
	printf("%d reads, %d writes\n", reads, writes)
	reads = 0
	writes = 0
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, f := range p.Files {
		if !p.HasProbes() || int64(bytes.Count(f.Src, []byte("\n"))) < p.Int("lines") {
			continue
		}
		if says(f) || len(f.Raw) == 0 {
			continue
		}
		at := f.Sources[0].Mapper().Pos(int(f.Raw[0].Off))
		p.Report(diag.Diagnostic{Range: diag.Range{Start: at, End: at}, Message: "no comment at the top says what the script is for"})
	}
	return nil, nil
}

// says reports whether a comment stands before the first declaration, or as the first
// thing in it.
func says(f *syntax.File) bool {
	code := 0
	for i := range f.Raw {
		if f.Raw[i].Kind == syntax.Comment {
			text := f.RawText(i)
			if f.Raw[i].Flags&syntax.OpensLine == 0 {
				continue // about the code on its line
			}
			if strings.HasPrefix(text, "#!") && f.Raw[i].Off == 0 || strings.Trim(text, "#/* \t\n") == "" {
				continue
			}
			return true
		}
		if code++; code > 12 {
			return false
		}
	}
	return false
}
