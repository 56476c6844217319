package stapfmt

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestManual: what the manual shows as the style is the style.
func TestManual(t *testing.T) {
	doc, err := os.ReadFile(styleDoc)
	if err != nil {
		t.Fatal(err)
	}
	_, style, ok := strings.Cut(string(doc), "\n## The style\n")
	if !ok {
		t.Fatal("no section about the style")
	}
	style, _, _ = strings.Cut(style, "\n## ")
	blocks := codeBlocks(style)
	if len(blocks) < 12 {
		t.Errorf("only %d blocks of code", len(blocks))
	}
	for _, code := range blocks {
		res, err := Format("manual", []byte(code), Options{})
		want := code
		var syn *SyntaxError
		if errors.As(err, &syn) { // statements
			var b strings.Builder
			b.WriteString("probe x {\n")
			for line := range strings.Lines(code) {
				if line != "\n" {
					b.WriteByte('\t')
				}
				b.WriteString(line)
			}
			b.WriteString("}\n")
			want = b.String()
			res, err = Format("manual", []byte(want), Options{})
		}
		if err != nil {
			t.Errorf("%v\n%s", err, code)
		} else if string(res.Text) != want {
			t.Errorf("the manual has\n%s\nwhich becomes\n%s", want, res.Text)
		}
	}
}

// codeBlocks gives the indented blocks of a Markdown text, without their indentation.
func codeBlocks(text string) []string {
	var list []string
	var cur []string
	flush := func() {
		for len(cur) > 0 && cur[len(cur)-1] == "" {
			cur = cur[:len(cur)-1]
		}
		if len(cur) == 0 {
			return
		}
		prefix := "    "
		if strings.HasPrefix(cur[0], "        ") { // in an item of a list
			prefix = "        "
		}
		for i := range cur {
			cur[i] = strings.TrimPrefix(cur[i], prefix)
		}
		list = append(list, strings.Join(cur, "\n")+"\n")
		cur = nil
	}
	blank := true
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "    ") && (blank || len(cur) > 0):
			cur = append(cur, line)
		case line == "" && len(cur) > 0:
			cur = append(cur, "")
		default:
			flush()
		}
		blank = line == ""
	}
	flush()
	return list
}
