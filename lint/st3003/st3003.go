// Package st3003 is the rule ST3003: key without a bound.
package st3003

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/mapuse"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST3003",
	Doc: &lint.Doc{
		Title:    "array has a key without a bound, no size, and nothing is deleted",
		Severity: diag.Warning,
		Why: `
Names of files, command lines and times have no end of different values. An array of 2,048 elements (MAXMAPENTRIES) by
file name is full as soon as somebody runs "find /", and "Array overflow" ends the script.`,
		Limits: `Arrays with a declared size, with "%", or of which anything is deleted anywhere are taken to be thought about.`,
		Before: `
global opens
probe syscall.openat {
	opens[filename]++
}`,
		After: `
global opens%[10000]
probe syscall.openat {
	opens[filename]++
}`,
	},
	Requires: []*lint.Analyzer{mapuse.Maps},
	Run:      run,
})

// unbounded are functions whose values have no bound, and what they are.
var unbounded = map[string]string{
	"user_string": "text of a program", "user_string_quoted": "text of a program", "user_string_n": "text of a program",
	"user_string_warn": "text of a program",
	"cmdline_str":      "command lines", "cmdline_args": "command lines",
	"gettimeofday_ns": "times", "gettimeofday_us": "times", "gettimeofday_ms": "times", "gettimeofday_s": "times",
	"get_cycles": "times", "local_clock_ns": "times", "local_clock_us": "times", "cpu_clock_ns": "times", "cpu_clock_us": "times", "ctime": "times",
	"randint": "random numbers", "d_path": "paths", "fullpath_struct_path": "paths", "fullpath_struct_file": "paths",
	"reverse_path_walk": "paths", "inode_path": "paths", "task_dentry_path": "paths",
}

// named are variables of aliases whose values have no bound.
var named = map[string]string{
	"filename": "names of files", "pathname": "names of files", "path": "names of files", "argstr": "arguments of calls",
	"oldname": "names of files", "newname": "names of files", "buf_uaddr": "addresses",
}

func run(p *lint.Pass) (any, error) {
	for _, m := range p.ResultOf[mapuse.Maps].([]*mapuse.Map) {
		g := m.Global
		if len(m.Deletes) > 0 || g.Wrap || g.Decl.Size != nil {
			continue
		}
		for _, w := range m.Writes {
			if !w.Body.Kernel() || !p.User(w.Node) {
				continue
			}
			if what := find(w.Body, w.Keys); what != "" {
				d := p.At(w.Node, "'%s' is by %s, of which there is no end, and it has no size", g.Name, what)
				d.Related = append(d.Related, diag.Related{Range: syntax.Range(g.Decl), Message: "give it a size here, as in " + g.Name + "%[10000], where % lets the oldest go"})
				p.Report(d)
				break
			}
		}
	}
	return nil, nil
}

func find(b *lint.Body, keys []syntax.Expr) string {
	for _, k := range keys {
		if id, ok := k.(*syntax.Ident); ok && named[id.Name] != "" && b.Global(id) == nil && b.Idents[id] != nil {
			return named[id.Name]
		}
		x := mapuse.Source(b, k)
		if what := unbounded[b.Library(x)]; what != "" {
			return what
		}
		if t, ok := x.(*syntax.TargetVar); ok {
			switch strings.TrimLeft(t.Name, "$") {
			case "vars", "parms", "locals":
				return "lists of variables"
			}
		}
	}
	return ""
}
