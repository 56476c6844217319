package terminal

import (
	"encoding/xml"
	"strings"
	"testing"
)

func TestSVG(t *testing.T) {
	got := string(SVG("plain <b>\n\x1b[1;31mred\x1b[0m \x1b[7mreverse\x1b[27m \x1b[38;5;46mcube\x1b[39m\x1b[48;2;1;2;3mback\x1b[m\x1b[2K end\n", 40))
	if err := xml.Unmarshal([]byte(got), new(struct{})); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`height="58"`, `>plain &lt;b&gt;</text>`, `fill="#ef2929" textLength="24" lengthAdjust="spacingAndGlyphs" xml:space="preserve" font-weight="bold">red</text>`,
		`<rect x="44" y="29" width="56" height="17" fill="#d3d7cf"/>`, `fill="#1e1e1e" textLength="56"`, `fill="#00ff00"`, `fill="#010203"`, `> end</text>`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
	if strings.Contains(got, "\x1b") {
		t.Error("an escape sequence is left")
	}
}
