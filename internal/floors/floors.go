// Package floors holds the order in which the packages of stapkit stand on each
// other, as docs/architecture.md tells it, and checks that imports keep to it.
// Its test is the check; it runs with all others.
package floors

import (
	"fmt"
	"path"
	"sort"
	"strings"
)

// Module is the path of the module that the floors belong to.
const Module = "stapkit"

// A floor is one folder with all below it, and what its packages may import of
// ours. What they may import, the packages named there may import in turn, so
// that is allowed as well. A folder may import within itself.
type floor struct {
	folder string
	may    []string
	not    []string // except these
}

// table lists the floors from the ground up: each may name only floors above
// its own line.
var table = []floor{
	{folder: "diag"},
	{folder: "format", may: []string{"diag"}},
	{folder: "syntax", may: []string{"diag", "format"}},
	{folder: "target/ctype", may: []string{"diag"}},
	{folder: "target", may: []string{"diag", "target/ctype"}},
	{folder: "ir/regex"},
	{folder: "ir", may: []string{"format", "target/ctype", "ir/regex"}},
	{folder: "bundle", may: []string{"ir", "diag"}},
	{folder: "feed"},
	{folder: "profile"},
	{folder: "tapsets"},
	{folder: "config", may: []string{"diag"}},
	{folder: "cli"},
	{folder: "examples"},
	{folder: "sema", may: []string{"syntax", "target", "tapsets", "ir/regex"}},
	{folder: "plan", may: []string{"sema", "ir"}},
	{folder: "query", may: []string{"sema", "plan"}},
	{folder: "fmt", may: []string{"syntax"}},
	{folder: "lint", may: []string{"sema", "plan", "query", "config"}},
	{folder: "lsp", may: []string{"query", "lint", "fmt", "config"}},
	{folder: "compile", may: []string{"plan", "ir", "bundle"}},
	{folder: "runtime", may: []string{"ir", "bundle", "target", "feed", "profile"}, not: []string{"target/dwarf"}},
	{folder: "driver", may: []string{"lsp", "compile", "runtime", "config", "cli", "examples"}},
}

// free are the folders whose packages may import anything: commands, harnesses
// and generators. Nothing but themselves and tests may import them.
var free = []string{"cmd", "internal", "bench", "editors", "docs"}

// vague are names that say nothing about what a package is for.
var vague = map[string]bool{
	"util": true, "utils": true, "common": true, "helper": true, "helpers": true, "misc": true, "shared": true, "lib": true,
}

// A link says what a command may be linked with. Links to what does not exist
// are no mistake: commands and packages come in their time.
type link struct {
	command string
	never   []string // folders of ours and packages of others
	only    []string // when set, the only folders of ours
}

var links = []link{
	{
		command: "cmd/staprun",
		never: []string{
			"stapkit/syntax", "stapkit/sema", "stapkit/compile", "stapkit/lsp", "stapkit/target/dwarf",
			"github.com/alecthomas/participle",
			// Large, and not for what runs with rights.
			"net/http", "text/template", "html/template", "testing", "github.com/sourcegraph/jsonrpc2", "github.com/tliron/glsp",
		},
	},
	{
		command: "cmd/stapfmt",
		never:   []string{"github.com/alecthomas/participle"},
		only:    []string{"diag", "format", "syntax", "fmt", "config", "cli"},
	},
}

// A Package is what the check needs to know of a package: its path, its name,
// what its files that are no tests import, and all that it is linked with.
type Package struct {
	ImportPath string
	Name       string
	Imports    []string
	Deps       []string
}

// Check returns what is wrong with the imports of pkgs, one line for each
// mistake, in order.
func Check(pkgs []Package) []string {
	var wrong []string
	report := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	allowed := closure()
	for _, p := range pkgs {
		from, ours := rel(p.ImportPath)
		if !ours {
			continue
		}
		for _, part := range append(strings.Split(from, "/"), strings.TrimSuffix(p.Name, "_test")) {
			if vague[part] {
				report("%s: %q says nothing about what the package is for", from, part)
				break
			}
		}
		if inFolders(from, free) {
			continue
		}
		f := floorOf(from)
		if f == nil {
			report("%s: the folder is not in the table of internal/floors", from)
			continue
		}
		for _, imp := range p.Imports {
			to, ours := rel(imp)
			if !ours {
				continue
			}
			g := floorOf(to)
			if g == nil || !allowed[f.folder][g.folder] || in(to, f.not...) {
				report("%s may not import %s", from, to)
			}
		}
	}
	byPath := map[string]Package{}
	for _, p := range pkgs {
		byPath[p.ImportPath] = p
	}
	for _, l := range links {
		p, ok := byPath[Module+"/"+l.command]
		if !ok {
			continue
		}
		for _, dep := range p.Deps {
			if in(dep, l.never...) {
				report("%s is linked with %s", l.command, dep)
			}
			to, ours := rel(dep)
			if ours && len(l.only) > 0 && !in(to, l.only...) && to != l.command {
				report("%s is linked with %s, and may be only with %s", l.command, to, strings.Join(l.only, ", "))
			}
		}
	}
	sort.Strings(wrong)
	return wrong
}

// CheckTable returns what is wrong with the table itself: a floor that names
// one that does not stand above it, or stands there twice.
func CheckTable() []string {
	var wrong []string
	seen := map[string]bool{}
	for _, f := range table {
		for _, m := range append(f.may, f.not...) {
			if !seen[m] && !seen[path.Dir(m)] {
				wrong = append(wrong, fmt.Sprintf("%s names %s, which does not stand above it", f.folder, m))
			}
		}
		if seen[f.folder] {
			wrong = append(wrong, f.folder+" stands in the table twice")
		}
		seen[f.folder] = true
	}
	return wrong
}

// closure returns for each floor the floors it may import from, its own
// included.
func closure() map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for _, f := range table { // a floor names only floors done before
		all[f.folder] = map[string]bool{f.folder: true}
		for _, m := range f.may {
			for g := range all[m] {
				all[f.folder][g] = true
			}
		}
	}
	return all
}

// floorOf returns the floor of a package, the one with the longest folder, nil
// when the table has none.
func floorOf(pkg string) *floor {
	var best *floor
	for i := range table {
		f := &table[i]
		if in(pkg, f.folder) && (best == nil || len(f.folder) > len(best.folder)) {
			best = f
		}
	}
	return best
}

// rel returns an import path without the module, and whether it is in it.
func rel(importPath string) (string, bool) {
	if importPath == Module {
		return ".", true
	}
	return strings.CutPrefix(importPath, Module+"/")
}

// in reports whether a package lies in one of the folders.
func in(pkg string, folders ...string) bool { return inFolders(pkg, folders) }

func inFolders(pkg string, folders []string) bool {
	for _, f := range folders {
		if pkg == f || strings.HasPrefix(pkg, f+"/") {
			return true
		}
	}
	return false
}
