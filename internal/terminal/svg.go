// Package terminal makes pictures of what a terminal shows, for documents.
package terminal

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"

	"github.com/mattn/go-runewidth"
)

// Measures of a picture, in pixels.
const (
	cellWidth, cellHeight = 8, 17
	margin                = 12
)

// The colours of xterm, on a dark background: eight, and eight bright ones.
var palette = [16]string{
	"#2e3436", "#ef2929", "#8ae234", "#fce94f", "#729fcf", "#ad7fa8", "#34e2e2", "#d3d7cf",
	"#888a85", "#ff6b6b", "#b7f56b", "#fff68f", "#9fc5ff", "#d6a3d1", "#7ff5f5", "#ffffff",
}

const (
	background = "#1e1e1e"
	foreground = "#d3d7cf"
)

// style is how text looks.
type style struct {
	fg, bg                          string // "" is the usual one
	bold, faint, underline, reverse bool
}

func (s style) colors() (fg, bg string) {
	fg, bg = s.fg, s.bg
	if s.reverse {
		if bg == "" {
			bg = background
		}
		if fg == "" {
			fg = foreground
		}
		fg, bg = bg, fg
	}
	if fg == "" {
		fg = foreground
	}
	return fg, bg
}

// SVG draws lines of text with escape sequences that set colours (ECMA-48, SGR), as
// "tmux capture-pane -e -p" gives them. Other sequences are left out.
func SVG(text string, columns int) []byte {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	var b bytes.Buffer
	w, h := columns*cellWidth+2*margin, len(lines)*cellHeight+2*margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">
<style>text { font: 13px "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace; white-space: pre; }</style>
<rect width="100%%" height="100%%" rx="6" fill="%s"/>
`, w, h, w, h, background)
	var s style
	for row, line := range lines {
		column := 0
		for line != "" {
			var run string
			i := strings.IndexByte(line, '\x1b')
			switch {
			case i == 0:
				var seq string
				seq, line = escape(line)
				s.set(seq)
				continue
			case i < 0:
				run, line = line, ""
			default:
				run, line = line[:i], line[i:]
			}
			n := runewidth.StringWidth(run)
			s.draw(&b, row, column, n, run)
			column += n
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// draw writes one run of text in one style.
func (s style) draw(b *bytes.Buffer, row, column, n int, run string) {
	fg, bg := s.colors()
	x, y := margin+column*cellWidth, margin+row*cellHeight
	if bg != "" {
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", x, y, n*cellWidth, cellHeight, bg)
	}
	if strings.TrimSpace(run) == "" {
		return
	}
	more := ""
	if s.bold {
		more += ` font-weight="bold"`
	}
	if s.faint {
		more += ` opacity="0.6"`
	}
	if s.underline {
		more += ` text-decoration="underline"`
	}
	// The length keeps columns where they are whatever type is there.
	fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s" textLength="%d" lengthAdjust="spacingAndGlyphs" xml:space="preserve"%s>`, x, y+13, fg, n*cellWidth, more)
	// A buffer takes all that is written.
	_ = xml.EscapeText(b, []byte(run))
	b.WriteString("</text>\n")
}

// escape takes a control sequence off the front of a line: its parameters if it sets
// colours, else "".
func escape(line string) (parameters, rest string) {
	if !strings.HasPrefix(line, "\x1b[") {
		return "-", line[1:]
	}
	for i := 2; i < len(line); i++ {
		if c := line[i]; c >= 0x40 && c <= 0x7e {
			if c == 'm' {
				return line[2:i], line[i+1:]
			}
			return "-", line[i+1:]
		}
	}
	return "-", ""
}

// set changes the style by the parameters of a sequence; "-" is none.
func (s *style) set(parameters string) {
	if parameters == "-" {
		return
	}
	list := strings.FieldsFunc(parameters, func(r rune) bool { return r == ';' || r == ':' })
	if len(list) == 0 {
		list = []string{"0"}
	}
	number := func(i int) int {
		if i >= len(list) {
			return -1
		}
		n, err := strconv.Atoi(list[i])
		if err != nil {
			return -1
		}
		return n
	}
	for i := 0; i < len(list); i++ {
		switch n := number(i); {
		case n == 0:
			*s = style{}
		case n == 1:
			s.bold = true
		case n == 2:
			s.faint = true
		case n == 4:
			s.underline = true
		case n == 7:
			s.reverse = true
		case n == 22:
			s.bold, s.faint = false, false
		case n == 24:
			s.underline = false
		case n == 27:
			s.reverse = false
		case n >= 30 && n <= 37:
			s.fg = palette[n-30]
		case n >= 90 && n <= 97:
			s.fg = palette[n-82]
		case n == 39:
			s.fg = ""
		case n >= 40 && n <= 47:
			s.bg = palette[n-40]
		case n >= 100 && n <= 107:
			s.bg = palette[n-92]
		case n == 49:
			s.bg = ""
		case n == 38 || n == 48:
			c, used := "", 1
			switch number(i + 1) {
			case 5:
				c, used = indexed(number(i+2)), 2
			case 2:
				c, used = fmt.Sprintf("#%02x%02x%02x", number(i+2)&255, number(i+3)&255, number(i+4)&255), 4
			}
			i += used
			if n == 38 {
				s.fg = c
			} else {
				s.bg = c
			}
		}
	}
}

// indexed is a colour of xterm's 256: the sixteen, a cube of 6×6×6, greys.
func indexed(n int) string {
	switch {
	case n < 0 || n > 255:
		return ""
	case n < 16:
		return palette[n]
	case n >= 232:
		g := 8 + 10*(n-232)
		return fmt.Sprintf("#%02x%02x%02x", g, g, g)
	}
	level := func(v int) int {
		if v == 0 {
			return 0
		}
		return 55 + 40*v
	}
	n -= 16
	return fmt.Sprintf("#%02x%02x%02x", level(n/36), level(n/6%6), level(n%6))
}
