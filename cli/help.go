package cli

import (
	"fmt"
	"strings"
)

// width is that of the column of options in help, and of a line.
const (
	column = 27
	width  = 96
)

// Help is the text of --help.
func (c *Command) Help() string {
	var b strings.Builder
	first := 0
	for _, f := range c.Forms {
		first = max(first, len(f.Line))
	}
	for i, f := range c.Forms {
		lead := "   or: "
		if i == 0 {
			lead = "Usage: "
		}
		if f.Help == "" {
			fmt.Fprintf(&b, "%s%s\n", lead, f.Line)
		} else {
			fmt.Fprintf(&b, "%s%-*s  %s\n", lead, first, f.Line, f.Help)
		}
	}
	for _, s := range c.Sections {
		for i, o := range s.shown() {
			if i == 0 {
				fmt.Fprintf(&b, "\n%s:\n", s.Title)
			}
			o.help(&b)
		}
	}
	if gone := c.withoutMeaning(); len(gone) > 0 {
		b.WriteString("\nOptions of SystemTap that have no meaning here (given, each says what replaces it):\n")
		wrap(&b, strings.Join(gone, " "), 2, width)
		b.WriteByte('\n')
	}
	if !c.Short && len(c.Exits) > 0 {
		b.WriteString("\nExit status: ")
		for i, e := range c.Exits {
			if i > 0 {
				b.WriteString("; ")
			}
			fmt.Fprintf(&b, "%s %s", e.Term, strings.TrimSuffix(e.Help, "."))
		}
		b.WriteString(".\n")
	}
	page := c.Page
	if page == "" {
		page = "1"
	}
	fmt.Fprintf(&b, "\nThe manual page %s(%s) says more.\n", strings.ReplaceAll(c.Name, " ", "-"), page)
	return b.String()
}

// withoutMeaning are the options of SystemTap that only say what replaces them.
func (c *Command) withoutMeaning() []string {
	var out []string
	for _, o := range c.Options() {
		if o.Instead != "" && !o.Hidden {
			out = append(out, o.spelled())
		}
	}
	return out
}

// names is how the option is written in help.
func (o *Option) names() string {
	s := "    --" + o.Long
	if o.Short != "" {
		s = "-" + o.Short + ", --" + o.Long
	}
	switch {
	case o.Implied != "":
		s += "[=" + o.Arg + "]"
	case o.Arg != "" && o.Short != "" && len(s)+len(o.Arg) < column:
		s += " " + o.Arg
	case o.Arg != "":
		s += "=" + o.Arg
	}
	return s
}

func (o *Option) help(b *strings.Builder) {
	names := "  " + o.names()
	help := o.Help
	if o.Many {
		help += "; may be repeated"
	}
	if len(names) > column-2 {
		fmt.Fprintf(b, "%s\n%*s", names, column, "")
	} else {
		fmt.Fprintf(b, "%-*s", column, names)
	}
	var w strings.Builder
	wrap(&w, help, column, width)
	b.WriteString(strings.TrimLeft(w.String(), " "))
	b.WriteByte('\n')
}

// wrap writes words in lines that begin with indent spaces, without the last newline.
func wrap(b *strings.Builder, text string, indent, width int) {
	at := 0
	for _, word := range strings.Fields(text) {
		switch {
		case at == 0:
			fmt.Fprintf(b, "%*s", indent, "")
			at = indent
		case at+1+len(word) > width:
			fmt.Fprintf(b, "\n%*s", indent, "")
			at = indent
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
}
