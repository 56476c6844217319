// Package live shows a running script in a terminal: its globals, its probes with hits
// and rates, and what it prints.
package live

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/mattn/go-runewidth"

	"stapkit/feed"
)

// Client is the script that is shown.
type Client interface {
	Snapshot() (*feed.Snapshot, error)
	Reset(global string) error
}

// Run shows a script until the user quits or the script ends. Output, if not nil, is
// what the script prints.
func Run(c Client, script string, pid int, interval time.Duration, output io.Reader, in io.Reader, out io.Writer) error {
	p := tea.NewProgram(&model{client: c, script: script, pid: pid, interval: interval, width: 80, height: 24, output: output != nil},
		tea.WithAltScreen(), tea.WithInput(in), tea.WithOutput(out))
	if output != nil {
		go func() {
			lines := bufio.NewScanner(output)
			lines.Buffer(nil, 1<<20)
			for lines.Scan() {
				p.Send(printed(lines.Text()))
			}
		}()
	}
	m, err := p.Run()
	if err != nil {
		return err
	}
	if last, ok := m.(*model); ok && last.lost != nil && last.snap == nil {
		return last.lost
	}
	return nil
}

type printed string
type tick time.Time
type state struct {
	snap *feed.Snapshot
	err  error
}

// views are the tables that Tab goes through.
const (
	viewProbes = iota
	viewGlobals
	viewOutput
	views
)

type model struct {
	client   Client
	script   string
	pid      int
	interval time.Duration
	output   bool

	width, height int
	view          int
	snap, before  *feed.Snapshot
	base          map[string]feed.Probe // hits are counted from here
	lines         []string
	lost          error

	sort   int // column
	up     bool
	top    int // first line shown
	at     int // line of the cursor
	filter string
	typing bool
	paused bool
	say    string
}

// maxLines of output are kept.
const maxLines = 10000

// Init implements tea.Model.
func (m *model) Init() tea.Cmd { return m.ask }

func (m *model) ask() tea.Msg {
	s, err := m.client.Snapshot()
	return state{s, err}
}

func (m *model) wait() tea.Cmd {
	return tea.Tick(m.interval, func(t time.Time) tea.Msg { return tick(t) })
}

// Update implements tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case printed:
		m.lines = append(m.lines, clean(string(msg)))
		if len(m.lines) > maxLines {
			m.lines = m.lines[len(m.lines)-maxLines:]
		}
	case tick:
		if m.paused {
			return m, m.wait()
		}
		return m, m.ask
	case state:
		if msg.err != nil {
			m.lost = msg.err
			return m, tea.Quit
		}
		m.before, m.snap = m.snap, msg.snap
		return m, m.wait()
	case tea.KeyMsg:
		return m.key(msg)
	}
	return m, nil
}

func (m *model) key(k tea.KeyMsg) (tea.Model, tea.Cmd) {
	m.say = ""
	if m.typing {
		switch k.Type {
		case tea.KeyEnter:
			m.typing = false
		case tea.KeyEsc:
			m.typing, m.filter = false, ""
		case tea.KeyBackspace:
			if r := []rune(m.filter); len(r) > 0 {
				m.filter = string(r[:len(r)-1])
			}
		case tea.KeyRunes, tea.KeySpace:
			m.filter += string(k.Runes)
		case tea.KeyCtrlC:
			return m, tea.Quit
		}
		m.at, m.top = 0, 0
		return m, nil
	}
	if k.Type == tea.KeyRunes && len(k.Runes) > 1 {
		// Several that came at once.
		var cmds []tea.Cmd
		for _, r := range k.Runes {
			one := k
			one.Runes = []rune{r}
			_, cmd := m.key(one)
			cmds = append(cmds, cmd)
		}
		return m, tea.Batch(cmds...)
	}
	switch k.String() {
	case "q", "ctrl+c":
		return m, tea.Quit
	case "tab", "right":
		m.view, m.at, m.top, m.sort, m.up = (m.view+1)%views, 0, 0, 0, false
	case "shift+tab", "left":
		m.view, m.at, m.top, m.sort, m.up = (m.view+views-1)%views, 0, 0, 0, false
	case "s":
		m.sort++
	case "S":
		m.up = !m.up
	case "/":
		m.typing = true
	case "esc":
		m.filter = ""
	case "p", " ":
		m.paused = !m.paused
	case "down", "j":
		m.at++
	case "up", "k":
		m.at--
	case "pgdown":
		m.at += m.rows()
	case "pgup":
		m.at -= m.rows()
	case "home", "g":
		m.at = 0
	case "end", "G":
		m.at = 1 << 30
	case "r":
		return m.reset()
	}
	return m, nil
}

// reset empties the global under the cursor, or has hits count from now on.
func (m *model) reset() (tea.Model, tea.Cmd) {
	if m.snap == nil {
		return m, nil
	}
	if m.view != viewGlobals {
		m.base = map[string]feed.Probe{}
		for _, p := range m.snap.Probes {
			m.base[id(&p)] = p
		}
		m.say = "hits count from now on"
		return m, nil
	}
	t := m.table()
	if m.at < 0 || m.at >= len(t.rows) {
		return m, nil
	}
	name := t.rows[m.at].of
	return m, func() tea.Msg {
		if err := m.client.Reset(name); err != nil {
			return state{m.snap, err}
		}
		return m.ask()
	}
}

// rows is how many lines a table may have.
func (m *model) rows() int { return max(m.height-6, 1) }

func id(p *feed.Probe) string { return p.Point + " " + p.Place }

// A table is what is shown: cells by row, and by what a column is sorted.
type table struct {
	head  []string
	right []bool // numbers
	rows  []row
}

type row struct {
	cells []string
	keys  []any // float64 or string
	of    string
}

func (m *model) table() table {
	switch m.view {
	case viewGlobals:
		return m.globals()
	case viewOutput:
		t := table{head: []string{"output"}}
		for _, l := range m.lines {
			t.rows = append(t.rows, row{cells: []string{l}})
		}
		return t
	}
	return m.probes()
}

func (m *model) probes() table {
	t := table{head: []string{"hits", "hits/s", "avg ns", "% CPU", "probe", "place"}, right: []bool{true, true, true, true, false, false}}
	if m.snap == nil {
		return t
	}
	old := map[string]feed.Probe{}
	seconds := 0.0
	if m.before != nil {
		seconds = float64(m.snap.Time-m.before.Time) / 1e9
		for _, p := range m.before.Probes {
			old[id(&p)] = p
		}
	}
	for _, p := range m.snap.Probes {
		hits, time := p.Hits, p.Time
		if b, ok := m.base[id(&p)]; ok && b.Hits <= hits && b.Time <= time {
			hits, time = hits-b.Hits, time-b.Time
		}
		var rate, busy, avg float64
		if b, ok := old[id(&p)]; ok && seconds > 0 && p.Hits >= b.Hits && p.Time >= b.Time {
			rate = float64(p.Hits-b.Hits) / seconds
			busy = float64(p.Time-b.Time) / seconds / 1e7
		}
		if hits > 0 {
			avg = float64(time) / float64(hits)
		}
		t.rows = append(t.rows, row{
			cells: []string{fmt.Sprint(hits), fmt.Sprintf("%.1f", rate), fmt.Sprintf("%.0f", avg), fmt.Sprintf("%.2f", busy), clean(p.Point), clean(p.Place)},
			keys:  []any{float64(hits), rate, avg, busy, p.Point, p.Place},
		})
	}
	return m.arrange(t)
}

func (m *model) globals() table {
	t := table{head: []string{"value", "per s", "global", "keys", "more"}, right: []bool{true, true, false, false, false}}
	if m.snap == nil {
		return t
	}
	old := map[string]float64{}
	seconds := 0.0
	if m.before != nil {
		seconds = float64(m.snap.Time-m.before.Time) / 1e9
		each(m.before, func(name, keys string, e *feed.Element) { old[name+" "+keys] = number(e) })
	}
	each(m.snap, func(name, keys string, e *feed.Element) {
		r := row{of: name}
		n, text, more := number(e), "", ""
		switch {
		case e.Stat != nil:
			text = fmt.Sprint(e.Stat.Count)
			for _, x := range []struct {
				name string
				v    *int64
			}{{"min", e.Stat.Min}, {"avg", e.Stat.Avg}, {"max", e.Stat.Max}, {"sum", e.Stat.Sum}} {
				if x.v != nil {
					more += fmt.Sprintf("%s %d  ", x.name, *x.v)
				}
			}
			more += bars(e.Stat.Hist)
		case e.Value != nil:
			text = clean(e.Value.String())
		}
		rate := 0.0
		if before, ok := old[name+" "+keys]; ok && seconds > 0 {
			rate = (n - before) / seconds
		}
		r.cells = []string{text, fmt.Sprintf("%.1f", rate), name, keys, more}
		r.keys = []any{n, rate, name, keys, more}
		t.rows = append(t.rows, r)
	})
	return m.arrange(t)
}

// bars is a histogram in a line.
func bars(h *feed.Hist) string {
	if h == nil {
		return ""
	}
	most := int64(1)
	for _, b := range h.Buckets {
		most = max(most, b.Count)
	}
	marks := []rune("▁▂▃▄▅▆▇█")
	var s strings.Builder
	for _, b := range h.Buckets {
		s.WriteRune(marks[int(b.Count*int64(len(marks)-1)/most)])
	}
	return s.String()
}

func each(s *feed.Snapshot, f func(name, keys string, e *feed.Element)) {
	for i := range s.Globals {
		g := &s.Globals[i]
		for j := range g.Elements {
			var keys []string
			for _, k := range g.Elements[j].Keys {
				keys = append(keys, clean(k.String()))
			}
			f(g.Name, strings.Join(keys, ", "), &g.Elements[j])
		}
	}
}

func number(e *feed.Element) float64 {
	switch {
	case e.Stat != nil:
		return float64(e.Stat.Count)
	case e.Value != nil:
		return float64(e.Value.Number)
	}
	return 0
}

// arrange leaves out what the filter does not name, and sorts.
func (m *model) arrange(t table) table {
	if m.filter != "" {
		t.rows = slices.DeleteFunc(t.rows, func(r row) bool {
			return !strings.Contains(strings.ToLower(strings.Join(r.cells, " ")), strings.ToLower(m.filter))
		})
	}
	col := m.sort % len(t.head)
	slices.SortStableFunc(t.rows, func(a, b row) int {
		c := 0
		switch x := a.keys[col].(type) {
		case float64:
			y, _ := b.keys[col].(float64)
			c = cmp.Compare(y, x) // the largest first
		case string:
			y, _ := b.keys[col].(string)
			c = cmp.Compare(x, y)
		}
		if m.up {
			c = -c
		}
		return c
	})
	return t
}

// View implements tea.Model.
func (m *model) View() string {
	var b strings.Builder
	head := fmt.Sprintf(" %s  process %d", clean(m.script), m.pid)
	if m.snap != nil {
		c := &m.snap.Counters
		head += fmt.Sprintf("  up %v  errors %d  skipped %d  lost %d", time.Duration(m.snap.Uptime).Round(time.Second), c.Errors, total(c.Skipped), c.Dropped["output"])
	}
	if m.paused {
		head += "  PAUSED"
	}
	b.WriteString("\x1b[7m" + fit(head, m.width, false) + "\x1b[0m\n")
	for i, name := range []string{"Probes", "Globals", "Output"} {
		if i == m.view {
			b.WriteString(" \x1b[1;4m" + name + "\x1b[0m ")
		} else {
			b.WriteString(" " + name + " ")
		}
	}
	b.WriteString("\n\n")
	t := m.table()
	widths := make([]int, len(t.head))
	for i, h := range t.head {
		widths[i] = runewidth.StringWidth(h) + 1
		for _, r := range t.rows {
			widths[i] = max(widths[i], runewidth.StringWidth(r.cells[i]))
		}
		if m.view != viewOutput {
			widths[i] = min(widths[i], max(m.width/2, 10))
		}
	}
	line := func(cells []string, mark int) string {
		var s strings.Builder
		for i, c := range cells {
			if i == mark {
				c += map[bool]string{false: "▼", true: "▲"}[m.up]
			}
			s.WriteString(fit(c, widths[i], i < len(t.right) && t.right[i]) + "  ")
		}
		return fit(s.String(), m.width, false)
	}
	mark := m.sort % len(t.head)
	if m.view == viewOutput {
		mark = -1
	}
	b.WriteString("\x1b[1m" + line(t.head, mark) + "\x1b[0m\n")
	m.at = min(max(m.at, 0), max(len(t.rows)-1, 0))
	m.top = min(m.top, m.at)
	m.top = max(m.top, m.at-m.rows()+1)
	shown := 0
	for i := m.top; i < len(t.rows) && shown < m.rows(); i++ {
		l := line(t.rows[i].cells, -1)
		if i == m.at && m.view != viewOutput {
			l = "\x1b[7m" + l + "\x1b[0m"
		}
		b.WriteString(l + "\n")
		shown++
	}
	for ; shown < m.rows(); shown++ {
		b.WriteString("\n")
	}
	foot := "Tab view  s sort  S turn  / filter  r reset  p pause  q quit"
	switch {
	case m.typing:
		foot = "filter: " + m.filter + "_"
	case m.say != "":
		foot = m.say
	case m.filter != "":
		foot = "filter " + m.filter + " (Esc ends it)  " + foot
	}
	b.WriteString(fit(" "+foot, m.width, false))
	return b.String()
}

func total(counts map[string]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// fit makes text exactly as wide.
func fit(s string, width int, right bool) string {
	if runewidth.StringWidth(s) > width {
		return runewidth.Truncate(s, width, "…")
	}
	pad := strings.Repeat(" ", width-runewidth.StringWidth(s))
	if right {
		return pad + s
	}
	return s + pad
}

// clean keeps what traced programs are called from steering the terminal.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\t':
			return ' '
		case c < ' ' || c >= 0x7f && c < 0xa0:
			return '?'
		}
		return c
	}, s)
}
