package cli

import (
	"fmt"
	"strings"
)

// Markdown is the page of the reference.
func (c *Command) Markdown() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s.\n\n", c.Name, strings.ToUpper(c.Summary[:1])+c.Summary[1:])
	for _, f := range c.Forms {
		fmt.Fprintf(&b, "    %s\n", f.Line)
	}
	fmt.Fprintf(&b, "\n%s\n", escapeText(c.About))
	for _, s := range c.Sections {
		for i, o := range s.shown() {
			if i == 0 {
				fmt.Fprintf(&b, "\n## %s\n\n| option | |\n|---|---|\n", s.Title)
			}
			fmt.Fprintf(&b, "| `%s` | %s |\n", cell(strings.TrimSpace(o.names())), cell(escapeText(o.sentences())))
		}
	}
	list := func(title string, es []Entry) {
		if len(es) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n## %s\n\n| | |\n|---|---|\n", title)
		for _, e := range es {
			fmt.Fprintf(&b, "| `%s` | %s |\n", cell(e.Term), cell(escapeText(sentence(e.Help))))
		}
	}
	list("Exit status", c.Exits)
	list("Environment", c.Environment)
	list("Files", c.Files)
	list("Examples", c.Examples)
	return []byte(b.String())
}

// cell keeps a text in its place in a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func escapeText(s string) string {
	return strings.NewReplacer("<", `\<`, "*", `\*`, "_", `\_`).Replace(s)
}

// Comparison is the table of SystemTap's options and what stap does with each.
func Comparison() []byte {
	var b strings.Builder
	b.WriteString("# SystemTap's options\n\nEach option of SystemTap's `stap --help` (4.8, and what 5.6 adds), and what stapkit's `stap` does with it.\n\n")
	b.WriteString("| SystemTap | here |\n|---|---|\n")
	row := func(opt, what string) { fmt.Fprintf(&b, "| `%s` | %s |\n", cell(opt), cell(escapeText(what))) }
	row("--", "The same.")
	for _, o := range Stap.Options() {
		switch {
		case o.SystemTap == "":
		case o.Refused:
			row(o.SystemTap, "Refused: "+o.Instead+".")
		case o.Silent:
			row(o.SystemTap, "Accepted: "+o.Instead+".")
		case o.Instead != "":
			row(o.SystemTap, "Accepted with a warning: "+o.Instead+".")
		case o.Differs != "":
			row(o.SystemTap, sentence(o.Help)+" "+sentence(o.Differs))
		default:
			row(o.SystemTap, "The same: "+o.Help+".")
		}
	}
	b.WriteString("\n## Ours\n\nOptions that SystemTap does not have:\n\n| option | |\n|---|---|\n")
	for _, o := range Stap.Options() {
		if o.SystemTap == "" && !o.Hidden {
			row(strings.TrimSpace(o.names()), sentence(o.Help))
		}
	}
	return []byte(b.String())
}
