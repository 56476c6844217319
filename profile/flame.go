package profile

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strings"
)

// A node is a call with all that it called.
type node struct {
	name     string
	total    int64
	children map[string]*node
}

func (n *node) child(name string) *node {
	c := n.children[name]
	if c == nil {
		c = &node{name: name, children: map[string]*node{}}
		n.children[name] = c
	}
	return c
}

func (n *node) depth() int {
	d := 0
	for _, c := range n.children {
		d = max(d, c.depth())
	}
	return d + 1
}

// Measures of a flame graph, in pixels.
const (
	flameWidth  = 1200
	flameRow    = 17
	flameHead   = 34
	flameMargin = 10
	flameLetter = 7 // width of a letter of the type that is used
	flameLeast  = 0.3
)

// FlameGraph writes a flame graph: a box for each call, as wide as what was counted in
// it and below it, callees above their callers. A click widens a box, a text that is
// typed after "/" marks the calls that have it in their names.
func (s *Stacks) FlameGraph(w io.Writer, title string) error {
	root := &node{name: "all", children: map[string]*node{}}
	for i := range s.Samples {
		v := s.weight(&s.Samples[i])
		if v <= 0 {
			continue
		}
		n := root
		n.total += v
		for _, name := range s.path(&s.Samples[i]) {
			n = n.child(name)
			n.total += v
		}
	}
	height := flameHead + root.depth()*flameRow + flameMargin
	var b bytes.Buffer
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="monospace" font-size="12">
<style>g:hover rect { stroke: #000; } text { pointer-events: none; } .found rect { fill: #d040d0; } .path { opacity: 0.5; }</style>
<rect width="100%%" height="100%%" fill="#fffdf4"/>
<text x="%d" y="20" font-size="15">%s</text>
<text x="%d" y="20" text-anchor="end" id="say"></text>
`, flameWidth, height, flameWidth, height, flameMargin, escape(title), flameWidth-flameMargin)
	if root.total > 0 {
		root.draw(&b, root.total, flameMargin, float64(flameWidth-2*flameMargin), height-flameMargin-flameRow)
	}
	b.WriteString(flameScript)
	b.WriteString("</svg>\n")
	_, err := w.Write(b.Bytes())
	return err
}

func (n *node) draw(b *bytes.Buffer, all int64, x, width float64, y int) {
	text := ""
	if room := int(width-6) / flameLetter; room >= 3 {
		text = n.name
		if r := []rune(text); len(r) > room {
			text = string(r[:room-2]) + ".."
		}
	}
	fmt.Fprintf(b, `<g class="call" data-x="%.2f" data-w="%.2f" data-y="%d" data-name="%s"><title>%s: %d, %.2f %%</title><rect x="%.2f" y="%d" width="%.2f" height="%d" rx="2" fill="%s"/><text x="%.2f" y="%d">%s</text></g>`+"\n",
		x, width, y, escape(n.name), escape(n.name), n.total, 100*float64(n.total)/float64(all),
		x, y, max(width-0.4, 0.2), flameRow-1, n.colour(), x+3, y+12, escape(text))
	names := make([]string, 0, len(n.children))
	for name := range n.children {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		c := n.children[name]
		part := width * float64(c.total) / float64(n.total)
		if part >= flameLeast {
			c.draw(b, all, x, part, y-flameRow)
		}
		x += part
	}
}

// colour is warm, and the same for the same name.
func (n *node) colour() string {
	h := fnv.New32a()
	// Writing to a hash cannot fail.
	_, _ = h.Write([]byte(n.name))
	v := h.Sum32()
	return fmt.Sprintf("rgb(%d,%d,%d)", 205+v%50, 90+v>>8%130, 30+v>>16%50)
}

func escape(text string) string {
	var b strings.Builder
	// A builder takes everything.
	_ = xml.EscapeText(&b, []byte(text))
	return b.String()
}

const flameScript = `<script type="text/javascript"><![CDATA[
(function () {
	var calls = Array.prototype.slice.call(document.querySelectorAll("g.call")), left = 10, full = 1180, find = null;
	function num(g, k) { return parseFloat(g.getAttribute("data-" + k)); }
	function zoom(to) {
		var x0 = num(to, "x"), w0 = num(to, "w"), y0 = num(to, "y");
		calls.forEach(function (g) {
			var x = num(g, "x"), w = num(g, "w"), y = num(g, "y"), below = y > y0 && x <= x0 + 0.01 && x + w >= x0 + w0 - 0.01;
			var shown = below || (x >= x0 - 0.01 && x + w <= x0 + w0 + 0.01 && y <= y0);
			g.style.display = shown ? "" : "none";
			if (!shown) return;
			var nx = below ? left : left + (x - x0) / w0 * full, nw = below ? full : w / w0 * full;
			g.classList.toggle("path", below);
			var r = g.querySelector("rect"), t = g.querySelector("text"), name = g.getAttribute("data-name"), room = Math.floor((nw - 6) / 7);
			r.setAttribute("x", nx); r.setAttribute("width", Math.max(nw - 0.4, 0.2)); t.setAttribute("x", nx + 3);
			t.textContent = room < 3 ? "" : name.length > room ? name.slice(0, room - 2) + ".." : name;
		});
	}
	calls.forEach(function (g) { g.addEventListener("click", function () { zoom(g); }); });
	document.addEventListener("keydown", function (e) {
		if (find === null) { if (e.key === "/") { find = ""; e.preventDefault(); } else { return; } }
		else if (e.key === "Escape" || e.key === "Enter") { if (e.key === "Escape") find = ""; }
		else if (e.key === "Backspace") { find = find.slice(0, -1); }
		else if (e.key.length === 1) { find += e.key; }
		calls.forEach(function (g) { g.classList.toggle("found", find !== "" && g.getAttribute("data-name").indexOf(find) >= 0); });
		document.getElementById("say").textContent = "/" + find;
		if (e.key === "Escape" || e.key === "Enter") find = null;
	});
})();
]]></script>
`
