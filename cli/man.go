package cli

import (
	"fmt"
	"strings"
)

// Man is the manual page in the language of man(7).
func (c *Command) Man(version string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s %s \"\" \"stapkit %s\" \"stapkit\"\n", strings.ToUpper(c.page()), c.section(), version)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(c.page()), roff(c.Summary))
	b.WriteString(".SH SYNOPSIS\n.nf\n")
	for _, f := range c.Forms {
		fmt.Fprintf(&b, "%s\n", roff(f.Line))
	}
	b.WriteString(".fi\n.SH DESCRIPTION\n")
	for i, p := range strings.Split(strings.TrimSpace(c.About), "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		if strings.HasPrefix(p, "    ") {
			fmt.Fprintf(&b, ".nf\n%s\n.fi\n", roff(p))
			continue
		}
		b.WriteString(text(p))
	}
	for i := range c.Forms {
		if f := c.Forms[i]; f.Help != "" {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s", roff(f.Line), text(f.Help))
		}
	}
	b.WriteString(".SH OPTIONS\n")
	for _, s := range c.Sections {
		for i, o := range s.shown() {
			if i == 0 && len(c.Sections) > 1 {
				fmt.Fprintf(&b, ".SS %s\n", roff(s.Title))
			}
			fmt.Fprintf(&b, ".TP\n.B %s\n%s", roff(strings.TrimSpace(o.names())), text(o.sentences()))
		}
	}
	if gone := c.withoutMeaning(); len(gone) > 0 {
		b.WriteString(".SS Options of SystemTap without a meaning here\n")
		for _, o := range c.Options() {
			if o.Instead != "" && !o.Hidden {
				fmt.Fprintf(&b, ".TP\n.B %s\n%s", roff(strings.TrimSpace(o.names())), text(sentence(o.Instead)))
			}
		}
	}
	list := func(title string, es []Entry) {
		if len(es) == 0 {
			return
		}
		fmt.Fprintf(&b, ".SH %s\n", title)
		for _, e := range es {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s", roff(e.Term), text(sentence(e.Help)))
		}
	}
	list("EXIT STATUS", c.Exits)
	list("ENVIRONMENT", c.Environment)
	list("FILES", c.Files)
	list("EXAMPLES", c.Examples)
	if len(c.SeeAlso) > 0 {
		fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", roff(strings.Join(c.SeeAlso, ", ")))
	}
	return []byte(b.String())
}

// PageFile is the name of the manual page's file.
func (c *Command) PageFile() string { return c.page() + "." + c.section() }

func (c *Command) page() string { return strings.ReplaceAll(c.Name, " ", "-") }

func (c *Command) section() string {
	if c.Page == "" {
		return "1"
	}
	return c.Page
}

// sentences are all that is said of an option.
func (o *Option) sentences() string {
	s := sentence(o.Help)
	if o.Many {
		s += " May be repeated."
	}
	for _, more := range []string{o.More, o.Differs} {
		if more != "" {
			s += " " + sentence(more)
		}
	}
	return s
}

// sentence gives a phrase a capital letter and a full stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	if s[0] >= 'a' && s[0] <= 'z' && !strings.HasPrefix(s, "stap") {
		s = strings.ToUpper(s[:1]) + s[1:]
	}
	return s
}

var roffEscapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "…", "...")

func roff(s string) string { return roffEscapes.Replace(s) }

// text is a paragraph, ended by a newline, no line of which is a request.
func text(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		line = roff(strings.TrimSpace(line))
		if strings.HasPrefix(line, ".") {
			line = `\&` + line
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
