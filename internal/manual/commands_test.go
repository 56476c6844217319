package manual

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/yuin/goldmark/ast"

	"stapkit/bundle/trust"
	"stapkit/cli"
)

// quoted are arguments in quotation marks, which are no options; placeholders of forms
// in brackets are.
var quoted = regexp.MustCompile(`'[^']*'|"[^"]*"`)

// optionsOf gives the options of the command lines of ours in a text, and the commands.
func optionsOf(text string) (out [][2]string) {
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		words := strings.FieldsFunc(quoted.ReplaceAllString(line, "x"), func(r rune) bool { return strings.ContainsRune(" \t\n[]|();$", r) })
		for len(words) > 0 && (words[0] == "sudo" || words[0] == "exec") {
			words = words[1:]
		}
		if len(words) == 0 {
			continue
		}
		command := strings.TrimPrefix(words[0], "./bin/")
		for _, w := range words[1:] {
			if w == "#" || w == "--" || strings.ContainsAny(w, "<>&#") {
				break
			}
			if strings.HasPrefix(w, "-") && len(w) > 1 {
				out = append(out, [2]string{command, w})
			}
		}
	}
	return out
}

// has reports whether a command, or one of its parts such as stapmon top, has an option.
func has(command, word string) bool {
	return slices.ContainsFunc(cli.All(), func(c *cli.Command) bool {
		if c.Name != command && !strings.HasPrefix(c.Name, command+" ") {
			return false
		}
		return slices.ContainsFunc(c.Options(), func(o *cli.Option) bool {
			if long, ok := strings.CutPrefix(word, "--"); ok {
				long, _, _ = strings.Cut(long, "=")
				return o.Long == long
			}
			// -vv, -T5, -p4
			return o.Short != "" && strings.HasPrefix(word[1:], o.Short)
		})
	})
}

// TestOptions holds that commands in documents have the options that these give them.
func TestOptions(t *testing.T) {
	ours := map[string]bool{}
	for _, c := range cli.All() {
		name, _, _ := strings.Cut(c.Name, " ")
		ours[name] = true
	}
	seen := 0
	for name, src := range documents(t) {
		if name == "CHANGELOG.md" { // what was
			continue
		}
		check := func(text string) {
			for _, o := range optionsOf(text) {
				if !ours[o[0]] {
					continue
				}
				seen++
				if !has(o[0], o[1]) {
					t.Errorf("%s: %s has no option %s: %s", name, o[0], o[1], strings.TrimSpace(text))
				}
			}
		}
		walk(t, Parse(src), func(n ast.Node) {
			switch n := n.(type) {
			case *ast.FencedCodeBlock:
				check(string(n.Lines().Value(src)))
			case *ast.CodeBlock:
				check(string(n.Lines().Value(src)))
			case *ast.CodeSpan:
				for c := n.FirstChild(); c != nil; c = c.NextSibling() {
					if text, ok := c.(*ast.Text); ok {
						check(string(text.Segment.Value(src)))
					}
				}
			}
		})
	}
	if seen < 100 {
		t.Errorf("only %d options were found", seen)
	}
}

// TestPolicy holds that policies in documents are ones.
func TestPolicy(t *testing.T) {
	n := 0
	for name, src := range documents(t) {
		walk(t, Parse(src), func(node ast.Node) {
			b, ok := node.(*ast.CodeBlock)
			if !ok || !strings.Contains(string(b.Lines().Value(src)), "[[allow]]") {
				return
			}
			n++
			if _, err := trust.ParsePolicy(name, b.Lines().Value(src)); err != nil {
				t.Error(err)
			}
		})
	}
	if n == 0 {
		t.Error("no policy was found")
	}
}
