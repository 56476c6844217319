// Package doc reads the documentation comments of scripts: what SystemTap's library
// writes before functions and probes,
//
//	/**
//	 * sfunction NAME - summary
//	 * @param: text
//	 *
//	 * Description: text
//	 */
//
// with "function" or "probe" in place of "sfunction"; what stapkit's own library writes,
//
//	/**
//	 * NAME(param, …) - summary
//	 * @param: text
//	 *
//	 * Value: text
//	 * Context: text
//	 * Example:
//	 *     code
//	 *
//	 * text
//	 */
//
// with the dotted name alone for a probe; and plain comments directly before a
// declaration.
package doc

import (
	"regexp"
	"slices"
	"strings"

	"stapkit/syntax"
)

// A Comment documents one declaration.
type Comment struct {
	// Kind is "function" or "probe" for a structured comment, "" for a plain one.
	Kind string
	Name string // as the comment gives it, "" for a plain one
	// Args are the names of the parameters behind the name, if it has them.
	Args    []string
	Summary string // one line
	Params  []Param
	// Sections are the parts with a title such as "Description", in order. Text in
	// front of the first title has the title "".
	Sections []Section
}

// A Param documents a parameter of a function or a variable of a probe.
type Param struct{ Name, Text string }

// A Section is a titled part of a comment. Paragraphs are parted by empty lines.
type Section struct{ Title, Text string }

var (
	head    = regexp.MustCompile(`^(?:(s?function|s?probe)\s+)(\S+?)(?:\(\))?\s*(?:-+\s*(.*))?$`)
	call    = regexp.MustCompile(`^(\w+)\(([^()]*)\)\s+-+\s+(.*)$`)
	alias   = regexp.MustCompile(`^([a-z_]\w*(?:\.[\w*]+)*)\s+-+\s+(.*)$`)
	param   = regexp.MustCompile(`^@(\w+|\.\.\.)\s*:\s*(.*)$`)
	section = regexp.MustCompile(`^(Description|Context|Value|Return|Returns|Note|NOTE|Notes|Please note|Arguments|General syntax|Example|Examples|Warning)\s*:\s*(.*)$`)
)

// Parse reads the text of one comment, delimiters included, or of several joined by
// newlines.
func Parse(text string) *Comment {
	c := &Comment{}
	lines := strip(text)
	var para *string // what continuation lines are added to
	sec := func(title string) {
		c.Sections = append(c.Sections, Section{Title: title})
		para = &c.Sections[len(c.Sections)-1].Text
	}
	started := false
	code := false // within an example, whose lines stay as they are
	for _, l := range lines {
		t := strings.TrimSpace(l)
		if code && (t == "" || strings.HasPrefix(l, "    ")) {
			*para += strings.TrimPrefix(strings.TrimPrefix(l, " "), "    ") + "\n"
			continue
		}
		if code {
			*para = strings.TrimRight(*para, "\n")
			code, para = false, nil
		}
		if !started && t == "" {
			continue
		}
		if !started {
			started = true
			if m := head.FindStringSubmatch(t); m != nil {
				c.Kind, c.Name, c.Summary = strings.TrimPrefix(m[1], "s"), m[2], m[3]
				para = &c.Summary
				continue
			}
			// Stapkit's own library writes "NAME() - summary".
			if m := call.FindStringSubmatch(t); m != nil && strings.HasPrefix(text, "/**") {
				c.Kind, c.Name, c.Summary = "function", m[1], m[3]
				for _, a := range strings.Split(m[2], ",") {
					if a = strings.TrimSpace(a); a != "" {
						c.Args = append(c.Args, a)
					}
				}
				para = &c.Summary
				continue
			}
			if m := alias.FindStringSubmatch(t); m != nil && strings.HasPrefix(text, "/**") {
				c.Kind, c.Name, c.Summary = "probe", m[1], m[2]
				para = &c.Summary
				continue
			}
			sec("")
		}
		if m := param.FindStringSubmatch(t); m != nil && c.Kind != "" {
			c.Params = append(c.Params, Param{m[1], m[2]})
			para = &c.Params[len(c.Params)-1].Text
			continue
		}
		if m := section.FindStringSubmatch(t); m != nil && c.Kind != "" {
			sec(m[1])
			*para = m[2]
			code = m[1] == "Example" && m[2] == ""
			continue
		}
		if t == "" {
			if c.Kind != "" && len(c.Sections) == 0 {
				para = nil // the summary and parameters end at an empty line
			} else if para != nil && *para != "" {
				*para += "\n"
			}
			continue
		}
		if para == nil {
			sec("")
		}
		switch {
		case *para == "":
			*para = t
		case c.Kind == "": // lines of a plain comment stay
			*para += "\n" + t
		case strings.HasSuffix(*para, "\n"):
			*para += "\n" + t
		default:
			*para += " " + t
		}
	}
	for i := range c.Sections {
		c.Sections[i].Text = strings.TrimRight(c.Sections[i].Text, "\n")
	}
	c.Sections = slices.DeleteFunc(c.Sections, func(s Section) bool { return s.Text == "" })
	if len(c.Sections) == 0 {
		c.Sections = nil
	} else if c.Kind == "" {
		c.Summary, _, _ = strings.Cut(c.Sections[0].Text, "\n")
	}
	return c
}

// strip takes the delimiters and the leading stars off a comment.
func strip(text string) []string {
	var out []string
	for _, l := range strings.Split(text, "\n") {
		l = strings.TrimRight(l, " \t\r")
		t := strings.TrimLeft(l, " \t")
		switch {
		case strings.HasPrefix(t, "/*"):
			t = strings.TrimLeft(t[2:], "*")
		case strings.HasPrefix(t, "//"):
			t = strings.TrimLeft(t, "/")
		case strings.HasPrefix(t, "#"):
			t = strings.TrimLeft(t, "#")
		case strings.HasPrefix(t, "*") && t != "*/":
			t = t[1:]
		}
		if s, ok := strings.CutSuffix(t, "*/"); ok {
			t = strings.TrimRight(s, "* \t")
		}
		out = append(out, t)
	}
	for len(out) > 0 && strings.TrimSpace(out[len(out)-1]) == "" {
		out = out[:len(out)-1]
	}
	return out
}

// Empty reports whether the comment says nothing.
func (c *Comment) Empty() bool {
	return c == nil || c.Summary == "" && len(c.Params) == 0 && len(c.Sections) == 0
}

// Markdown writes the comment for a hover text.
func (c *Comment) Markdown() string {
	if c.Empty() {
		return ""
	}
	var b strings.Builder
	if c.Kind != "" && c.Summary != "" {
		b.WriteString(escape(c.Summary) + "\n")
	}
	if len(c.Params) > 0 {
		b.WriteByte('\n')
		for _, p := range c.Params {
			b.WriteString("- `" + p.Name + "`: " + escape(p.Text) + "\n")
		}
	}
	for _, s := range c.Sections {
		b.WriteByte('\n')
		if s.Title != "" && s.Title != "Description" {
			b.WriteString("**" + s.Title + "**: ")
		}
		if s.Title == "Example" && strings.Contains(s.Text, "{") {
			b.WriteString("\n```systemtap\n" + s.Text + "\n```\n")
			continue
		}
		b.WriteString(escape(s.Text) + "\n")
	}
	return strings.TrimLeft(b.String(), "\n")
}

// escape protects what Markdown would take for markup in ordinary prose.
func escape(s string) string {
	return strings.NewReplacer("\\", "\\\\", "*", "\\*", "_", "\\_", "<", "\\<", "`", "\\`").Replace(s)
}

// A File holds the documentation of one file.
type File struct {
	f      *syntax.File
	byName map[string]*Comment // "function NAME", "probe NAME"
}

// New reads all structured comments of a file.
func New(f *syntax.File) *File {
	d := &File{f: f, byName: map[string]*Comment{}}
	for i := range f.Raw {
		if f.Raw[i].Kind != syntax.Comment {
			continue
		}
		if text := f.RawText(i); strings.HasPrefix(text, "/**") {
			if c := Parse(text); c.Kind != "" {
				if key := c.Kind + " " + c.Name; d.byName[key] == nil {
					d.byName[key] = c
				}
			}
		}
	}
	return d
}

// Syntax is the file that is documented.
func (d *File) Syntax() *syntax.File { return d.f }

// Function gives the structured comment for a function's name, wherever it stands in
// the file; nil if there is none.
func (d *File) Function(name string) *Comment { return d.byName["function "+name] }

// Probe gives the structured comment for an alias, by its dotted name; nil if there
// is none.
func (d *File) Probe(name string) *Comment { return d.byName["probe "+name] }

// Of gives the documentation of a declaration: a structured comment of its name, or
// the comments directly before it. It is nil when there is neither.
func (d *File) Of(decl syntax.Decl) *Comment {
	switch n := decl.(type) {
	case *syntax.FuncDecl:
		if n.Name != nil {
			// Overloads have comments of their own.
			if c := d.structured(n); c != nil && c.Kind == "function" && c.Name == n.Name.Name {
				return c
			}
			if c := d.Function(n.Name.Name); c != nil {
				return c
			}
		}
	case *syntax.AliasDecl:
		for _, name := range n.Names {
			if c := d.Probe(syntax.PointString(name)); c != nil {
				return c
			}
		}
	}
	return d.Before(decl)
}

// structured gives the structured comment that stands last before a node.
func (d *File) structured(n syntax.Node) *Comment {
	list := d.f.LeadingComments(n)
	if len(list) == 0 {
		return nil
	}
	if text := d.f.RawText(list[len(list)-1]); strings.HasPrefix(text, "/**") {
		return Parse(text)
	}
	return nil
}

// Section gives the text of a section, "" if there is none.
func (c *Comment) Section(title string) string {
	for _, s := range c.Sections {
		if s.Title == title {
			return s.Text
		}
	}
	return ""
}

// A Group is what a library file says of all that it declares, in the comment at its
// beginning: a title, text, and the sections Context and Example, which count for
// declarations that have none of their own.
type Group struct{ Title, Text, Context, Example string }

// Group reads that comment, which is written with "//".
func (d *File) Group() Group {
	var lines []string
	for i := range d.f.Raw {
		if d.f.Raw[i].Kind != syntax.Comment {
			break
		}
		text := d.f.RawText(i)
		if !strings.HasPrefix(text, "//") || i > 0 && d.f.Raw[i].Off > d.f.Raw[i-1].End+1 {
			break
		}
		lines = append(lines, strings.TrimLeft(text, "/"))
	}
	if len(lines) == 0 {
		return Group{}
	}
	// Read as a structured comment, whose summary ends at an empty line.
	c := Parse("/**\n * function GROUP - " + strings.TrimSpace(lines[0]) + "\n *" + strings.Join(lines[1:], "\n *") + "\n */")
	return Group{Title: strings.TrimSuffix(c.Summary, "."), Text: c.Section(""), Context: c.Section("Context"), Example: c.Section("Example")}
}

// Before gives the comments directly before a node, nil if there are none or if they
// document something else. A first line "#!" is no comment.
func (d *File) Before(n syntax.Node) *Comment {
	var texts []string
	for _, i := range d.f.LeadingComments(n) {
		text := d.f.RawText(i)
		if i == 0 && strings.HasPrefix(text, "#!") {
			continue
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		return nil
	}
	c := Parse(strings.Join(texts, "\n"))
	if c.Kind != "" || c.Empty() {
		// A structured comment counts for the name it gives only.
		if fn, ok := n.(*syntax.FuncDecl); ok && c.Kind == "function" && fn.Name != nil && fn.Name.Name == c.Name {
			return c
		}
		return nil
	}
	return c
}
