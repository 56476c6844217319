package doc

import (
	"reflect"
	"strings"
	"testing"

	"stapkit/internal/corpus"
	"stapkit/syntax"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       Comment
	}{
		{"function", `/**
 * sfunction strmid - Returns the middle
 *  of a string
 *
 * @s: the string, which
 *     may be long
 * @n: how much
 *
 * Description: First line
 * goes on.
 *
 * Second paragraph.
 * Context: any
 */`, Comment{Kind: "function", Name: "strmid", Summary: "Returns the middle of a string",
			Params:   []Param{{"s", "the string, which may be long"}, {"n", "how much"}},
			Sections: []Section{{"Description", "First line goes on.\n\nSecond paragraph."}, {"Context", "any"}}}},
		{"probe", "/**\n * probe a.b.c - Fires\n * @name: the name\n *\n * Context:\n *  The process calling.\n */",
			Comment{Kind: "probe", Name: "a.b.c", Summary: "Fires", Params: []Param{{"name", "the name"}},
				Sections: []Section{{"Context", "The process calling."}}}},
		{"plain", "# counts reads\n# per process", Comment{Summary: "counts reads", Sections: []Section{{"", "counts reads\nper process"}}}},
		{"plain C++", "//one", Comment{Summary: "one", Sections: []Section{{"", "one"}}}},
		{"plain C", "/* one */", Comment{Summary: "one", Sections: []Section{{"", "one"}}}},
		{"empty", "/* */", Comment{}},
		{"no summary", "/** function f */", Comment{Kind: "function", Name: "f"}},
	} {
		if got := Parse(c.text); !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, *got, c.want)
		}
	}
}

func TestOf(t *testing.T) {
	src := `#!/usr/bin/stap
# about the script

global x # counts
# belongs to y
global y

/**
 * sfunction f - does it
 */

%( kernel_v > "2" %?
function f(a) { return a }
%:
// plain words
function g() { }
%)
# not for h

function h() { }
/**
 * sfunction other - is elsewhere
 */
function k() { }
/** probe p.q - fires */
global z
probe p.q = begin { }
probe end { } # after
probe never { }
`
	for _, view := range []syntax.View{syntax.Expanded, syntax.SourceView} {
		f := syntax.ParseFile("t.stp", []byte(src), syntax.Options{View: view, Target: syntax.StaticConditions{"kernel_v": "6.1"}})
		if len(f.Diags) > 0 {
			t.Fatal(f.Diags)
		}
		d := New(f)
		got := map[string]string{}
		var visit func(list []syntax.Decl)
		visit = func(list []syntax.Decl) {
			for _, decl := range list {
				name := ""
				switch n := decl.(type) {
				case *syntax.GlobalDecl:
					name = n.Vars[0].Name.Name
				case *syntax.FuncDecl:
					name = n.Name.Name
				case *syntax.AliasDecl:
					name = syntax.PointString(n.Names[0])
				case *syntax.ProbeDecl:
					name = syntax.PointString(n.Points[0])
				case *syntax.CondDecl:
					visit(n.Then)
					visit(n.Else)
					continue
				}
				got[name] = "-"
				if c := d.Of(decl); c != nil {
					got[name] = c.Summary
				}
			}
		}
		visit(f.Decls)
		want := map[string]string{"x": "-", "y": "belongs to y", "f": "does it", "h": "-", "k": "-", "z": "-", "p.q": "fires", "end": "-", "never": "-"}
		if view == syntax.SourceView {
			want["g"] = "plain words"
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v view:\n got %v\nwant %v", view, got, want)
		}
		if d.Function("other") == nil || d.Probe("nothing") != nil {
			t.Error("lookup by name")
		}
	}
}

func TestMarkdown(t *testing.T) {
	c := Parse("/**\n * function f_g - does a * b\n * @x: the <x>\n *\n * Description: Long.\n * Note: none\n */")
	want := "does a \\* b\n\n- `x`: the \\<x>\n\nLong.\n\n**Note**: none\n"
	if got := c.Markdown(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var none *Comment
	if !none.Empty() || Parse("").Markdown() != "" {
		t.Error("an empty comment says something")
	}
}

// TestTapset: nearly all documented functions and probes of SystemTap's library are
// found, with summary and parameters that exist.
func TestTapset(t *testing.T) {
	files, err := corpus.Tapset()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("the package systemtap-common is not installed")
	}
	comments, documented, summaries := 0, 0, 0
	for _, file := range files {
		if file.Macro {
			continue
		}
		comments += strings.Count(string(file.Src), "\n * sfunction ") + strings.Count(string(file.Src), "\n * probe ") + strings.Count(string(file.Src), "\n * function ")
		d := New(syntax.ParseFile(file.Path, file.Src, syntax.Options{Library: true, View: syntax.SourceView}))
		documented += len(d.byName)
		for _, c := range d.byName {
			if c.Summary != "" {
				summaries++
			}
		}
	}
	t.Logf("%d structured comments in the text, %d read, %d with a summary", comments, documented, summaries)
	if documented < 600 || documented*100 < comments*90 || summaries*100 < documented*95 {
		t.Errorf("%d structured comments in the text, but %d read, %d with a summary", comments, documented, summaries)
	}
}
