package driver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/term"

	"stapkit/query"
	"stapkit/sema"
	"stapkit/syntax"
)

const promptHelp = `Type probes, functions and globals; they are added to the script when they are complete.
A statement or expression alone runs at once: print(pp()), or  foreach … . Commands:
  run [ARGUMENTS]   run the script until it ends or ^C; arguments are more options of stap
  list              the script so far, with numbers
  delete N          take an entry out ("delete all": all of them)
  points PATTERN    probe points that match, as stap -l
  vars PATTERN      … with their variables, as stap -L
  check             what is wrong with the script
  save FILE, load FILE
  help, quit        (^D quits, too)
Tab completes, arrow keys recall lines.
`

// promptWords are the commands of the prompt.
var promptWords = []string{"run", "list", "delete", "points", "vars", "check", "save", "load", "help", "quit"}

// A prompt is stap -i.
type prompt struct {
	s       *stap
	ctx     context.Context
	entries []string // declarations that were added
	pending string   // lines of one that is not complete
	env     *query.Env
	out     io.Writer
	ended   bool
	failed  bool // the last thing did not work
}

// lineSource gives lines; the prompt is shown where somebody sees it.
type lineSource interface {
	line(prompt string) (string, error)
	// interrupted says whether the line was given up by ^C.
	interrupted() bool
	// suspended runs what wants the terminal for itself.
	suspended(f func())
}

// interactive is -i.
func (s *stap) interactive(ctx context.Context) int {
	p := &prompt{s: s, ctx: ctx, out: s.stdout}
	if err := s.target(); err != nil {
		return s.fail(err)
	}
	defer s.close()
	in, out := asTerminal(s.stdin), asTerminal(s.stdout)
	var lines lineSource
	if in != nil && out != nil {
		t, err := p.terminal(in, out)
		if err != nil {
			return s.fail(err)
		}
		defer t.restore()
		lines = t
		fmt.Fprintf(p.out, "stapkit %s. help tells the commands, ^D quits.\n", Release)
	} else {
		lines = &plainLines{r: bufio.NewReader(s.stdin)}
	}
	for _, sc := range s.o.Expr {
		p.feed(sc, lines)
	}
	for !p.ended {
		ps := "stap> "
		if p.pending != "" {
			ps = "  ... "
		}
		line, err := lines.line(ps)
		if lines.interrupted() {
			p.pending = ""
			continue
		}
		if line != "" || err == nil {
			p.feed(line, lines)
		}
		if err != nil {
			if p.pending != "" {
				p.wrong("what was typed last is not complete: %s", strings.TrimSpace(p.pending))
			}
			if !errors.Is(err, io.EOF) {
				return s.fail(err)
			}
			break
		}
	}
	if p.env != nil {
		if err := p.env.Close(); err != nil {
			return s.fail(err)
		}
	}
	// Where commands come from a file, whoever gave them wants to know.
	if _, plain := lines.(*plainLines); plain && p.failed {
		return 1
	}
	return 0
}

func (p *prompt) wrong(format string, args ...any) {
	p.failed = true
	fmt.Fprintf(p.s.stderr, "stap: "+format+"\n", args...)
}

// feed takes a line.
func (p *prompt) feed(line string, lines lineSource) {
	if p.pending == "" {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "" {
			return
		}
		if slices.Contains(promptWords, word) {
			p.command(word, strings.TrimSpace(rest), lines)
			return
		}
	}
	p.pending += line + "\n"
	if !complete(p.pending) {
		return
	}
	text := strings.TrimSpace(p.pending)
	p.pending = ""
	p.add(text, lines)
}

// complete says whether a text has no bracket open.
func complete(text string) bool {
	f := syntax.ParseFile(InputName, []byte(text), syntax.Options{View: syntax.SourceView})
	open := 0
	last := ""
	for t := range f.Tokens {
		s := f.Text(t)
		switch s {
		case "{", "(", "[":
			open++
		case "}", ")", "]":
			open--
		}
		if s != "" && !strings.HasPrefix(s, "#") && !strings.HasPrefix(s, "//") {
			last = s
		}
	}
	if open != 0 {
		return open < 0
	}
	// A probe or function without its body goes on.
	first, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	return last == "}" || first != "probe" && first != "function" || strings.Contains(text, "\n\n")
}

// isDeclaration says whether a text is part of a script, not a statement.
func isDeclaration(text string) bool {
	first := strings.TrimLeft(text, " \t\n")
	for _, w := range []string{"probe", "function", "global", "private", "@define", "%(", "#", "//", "/*"} {
		if strings.HasPrefix(first, w) {
			return true
		}
	}
	return false
}

// add puts a declaration into the script if it fits, and runs a statement.
func (p *prompt) add(text string, lines lineSource) {
	if !isDeclaration(text) {
		// An expression alone is printed.
		for _, body := range []string{"println(" + strings.TrimSuffix(text, ";") + ")", text} {
			script := append(p.only("global", "function", "private", "@define"), "probe begin { "+body+"\nexit() }")
			if p.check(script, false) {
				p.execute(script, nil, lines)
				return
			}
		}
		p.check(append(p.only("global", "function", "private", "@define"), "probe begin { "+text+"\nexit() }"), true)
		p.failed = true
		return
	}
	if !p.check(append(slices.Clone(p.entries), text), true) {
		p.failed = true
		return
	}
	p.entries = append(p.entries, text)
}

// only are the entries of some kinds.
func (p *prompt) only(kinds ...string) (out []string) {
	for _, e := range p.entries {
		for _, k := range kinds {
			if strings.HasPrefix(e, k) {
				out = append(out, e)
				break
			}
		}
	}
	return out
}

// check elaborates a script and, if asked to, shows what is wrong with it.
func (p *prompt) check(script []string, show bool) bool {
	c := p.s.o.Config
	c.Scripts = []Script{{Name: InputName, Text: []byte(strings.Join(script, "\n") + "\n")}}
	if !slices.ContainsFunc(script, func(e string) bool { return strings.HasPrefix(e, "probe") }) {
		// So far only what probes are to use.
		c.Scripts = append(c.Scripts, Script{Name: "<prompt>", Text: []byte("probe begin { exit() }\n")})
	}
	f, err := Parse(&c)
	if err != nil {
		if show {
			p.wrong("%v", err)
		}
		return false
	}
	if !Failed(f.Diags, false) {
		f.Elaborate()
	}
	if !Failed(f.Diags, false) {
		return true
	}
	if show {
		p.s.f = f
		p.s.reportWith(f.Diags, 0, f.Source)
	}
	return false
}

func (p *prompt) command(word, rest string, lines lineSource) {
	switch word {
	case "quit":
		p.ended = true
	case "help":
		fmt.Fprint(p.out, promptHelp)
	case "list":
		for i, e := range p.entries {
			fmt.Fprintf(p.out, "%3d  %s\n", i+1, strings.ReplaceAll(e, "\n", "\n     "))
		}
	case "delete":
		n, err := strconv.Atoi(rest)
		switch {
		case rest == "all":
			p.entries = nil
		case err != nil || n < 1 || n > len(p.entries):
			p.wrong("delete %s: give a number of the list, or all", rest)
		default:
			p.entries = slices.Delete(p.entries, n-1, n)
		}
	case "check":
		if len(p.entries) == 0 {
			p.wrong("there is no script yet")
		} else if p.check(p.entries, true) {
			fmt.Fprintln(p.out, "The script is all right.")
		} else {
			p.failed = true
		}
	case "run":
		if len(p.only("probe")) == 0 {
			p.wrong("there is nothing to run: type a probe first")
			return
		}
		p.execute(p.entries, strings.Fields(rest), lines)
	case "points", "vars":
		if rest == "" {
			p.wrong("%s: give a pattern", word)
			return
		}
		c := p.s.o.Config
		f, err := Parse(&c)
		if err != nil {
			p.wrong("%v", err)
			return
		}
		found, _ := sema.List(rest, f.semaOptions(), sema.ListOptions{Vars: word == "vars"})
		if len(found) == 0 {
			p.wrong("no probe point matches %s", rest)
		}
		for _, l := range found {
			fmt.Fprintln(p.out, l)
		}
	case "save":
		if rest == "" {
			p.wrong("save: give a file name")
			return
		}
		if err := writeFile(rest, []byte(strings.Join(p.entries, "\n\n")+"\n")); err != nil {
			p.wrong("%v", err)
		}
	case "load":
		b, err := os.ReadFile(rest)
		if err != nil {
			p.wrong("%v", err)
			return
		}
		if text := string(bytes.TrimSpace(b)); p.check(append(slices.Clone(p.entries), text), true) {
			p.entries = append(p.entries, text)
		} else {
			p.failed = true
		}
	}
}

// execute runs a script in a process of its own: one that has run a script has given
// up what the next would need.
func (p *prompt) execute(script, options []string, lines lineSource) {
	exe, err := os.Executable()
	if err != nil {
		p.wrong("%v", err)
		return
	}
	args := append(p.s.o.inherited(), options...)
	cmd := &exec.Cmd{Path: exe, Args: append(append([]string{os.Args[0]}, args...), "-e", strings.Join(script, "\n"))}
	cmd.Stdout, cmd.Stderr = p.s.stdout, p.s.stderr
	lines.suspended(func() {
		// ^C ends the script, not the prompt.
		c := make(chan os.Signal, 1)
		signal.Notify(c, os.Interrupt)
		defer signal.Stop(c)
		if err := cmd.Run(); err != nil {
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				p.wrong("%v", err)
			}
			p.failed = true
		}
	})
}

// inherited are the options that a run at the prompt has of the command line.
func (o *StapOptions) inherited() []string {
	var out []string
	for i := 0; i < len(o.Words); i++ {
		w := o.Words[i]
		switch {
		case w == "--interactive" || w == "-i":
		case w == "-e" || w == "--expr":
			i++
		case strings.HasPrefix(w, "--expr="):
		default:
			out = append(out, w)
		}
	}
	return out
}

// plainLines are those of a file or pipe.
type plainLines struct{ r *bufio.Reader }

func (l *plainLines) line(string) (string, error) {
	s, err := l.r.ReadString('\n')
	return strings.TrimSuffix(s, "\n"), err
}
func (l *plainLines) interrupted() bool  { return false }
func (l *plainLines) suspended(f func()) { f() }

// asTerminal is the file of a stream that is a terminal, or nil.
func asTerminal(stream any) *os.File {
	if f, ok := stream.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// terminalLines edits lines on a terminal.
type terminalLines struct {
	in     *os.File
	old    *term.State
	t      *term.Terminal
	giveUp atomic.Bool
}

// Read reads keys. ^C gives up the line.
func (l *terminalLines) Read(b []byte) (int, error) {
	n, err := l.in.Read(b)
	if i := bytes.IndexByte(b[:n], 3); i >= 0 {
		l.giveUp.Store(true)
		if len(b) < 3 {
			b[0] = '\r'
			return 1, err
		}
		return copy(b, "\x05\x15\r"), err // to the end, remove, enter
	}
	return n, err
}

func (p *prompt) terminal(in, out *os.File) (*terminalLines, error) {
	l := &terminalLines{in: in}
	var err error
	if l.old, err = term.MakeRaw(int(in.Fd())); err != nil {
		return nil, err
	}
	l.t = p.editor(struct {
		io.Reader
		io.Writer
	}{l, out})
	if w, h, err := term.GetSize(int(out.Fd())); err == nil && w > 0 {
		// A size that it does not take leaves the usual one.
		_ = l.t.SetSize(w, h)
	}
	p.out, p.s.stderr = l.t, l.t
	return l, nil
}

// editor is the line editor, with completion and history.
func (p *prompt) editor(rw io.ReadWriter) *term.Terminal {
	t := term.NewTerminal(rw, "")
	t.History = openHistory()
	t.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		if key != '\t' {
			return "", 0, false
		}
		return p.completeLine(line, pos, t)
	}
	return t
}

func (l *terminalLines) line(prompt string) (string, error) {
	l.t.SetPrompt(prompt)
	s, err := l.t.ReadLine()
	if errors.Is(err, term.ErrPasteIndicator) {
		err = nil
	}
	return s, err
}

func (l *terminalLines) interrupted() bool { return l.giveUp.Swap(false) }

func (l *terminalLines) restore() {
	if err := term.Restore(int(l.in.Fd()), l.old); err != nil {
		fmt.Fprintf(os.Stderr, "stap: %v\r\n", err)
	}
}

func (l *terminalLines) suspended(f func()) {
	l.restore()
	defer func() {
		if _, err := term.MakeRaw(int(l.in.Fd())); err != nil {
			fmt.Fprintf(os.Stderr, "stap: %v\r\n", err)
		}
	}()
	f()
}

// candidates are what the text before the cursor can go on with, and how many bytes of
// it they replace.
func (p *prompt) candidates(before string) (words []string, replaced int) {
	word, rest, command := strings.Cut(before, " ")
	if p.pending == "" && command && (word == "points" || word == "vars") {
		if p.openEnv() {
			words = pointsFrom(p.ctx, p.env, rest)
		}
		return words, len(rest)
	}
	if p.pending == "" && !command {
		for _, w := range append(slices.Clone(promptWords), "probe", "global", "function") {
			if strings.HasPrefix(w, word) {
				words = append(words, w)
			}
		}
		if len(words) > 0 {
			sort.Strings(words)
			return words, len(word)
		}
	}
	if !p.openEnv() {
		return nil, 0
	}
	lead := strings.Join(p.entries, "\n") + "\n" + p.pending
	if !isDeclaration(p.pending + before) {
		lead += "probe begin { "
	}
	text := lead + before
	c := p.env.Snapshot(InputName, []byte(text)).Complete(p.ctx, len(text))
	if c == nil || c.Start < len(lead) {
		return nil, 0
	}
	for _, it := range c.Items {
		w := it.Insert
		if w == "" {
			w = it.Label
		}
		if it.Snippet {
			w, _, _ = strings.Cut(w, "$")
			w = strings.ReplaceAll(w, `\`, "")
		}
		if strings.HasPrefix(w, text[c.Start:]) && !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return words, len(text) - c.Start
}

func (p *prompt) openEnv() bool {
	if p.env == nil {
		o := p.s.o
		env, err := query.Open(query.Config{Target: o.Target, Includes: o.TapsetDirs, Guru: o.Guru, Command: o.Command, PID: o.PID})
		if err != nil {
			return false
		}
		p.env = env
	}
	return true
}

// completeLine is what Tab does: the only possibility is put in, else what all have in
// common; where that is nothing new, they are listed.
func (p *prompt) completeLine(line string, pos int, out io.Writer) (string, int, bool) {
	before, after := line[:pos], line[pos:]
	words, n := p.candidates(before)
	if len(words) == 0 {
		return line, pos, true
	}
	lead := before[:len(before)-n]
	common := words[0]
	for _, w := range words[1:] {
		for !strings.HasPrefix(w, common) {
			common = common[:len(common)-1]
		}
	}
	if len(common) <= n && len(words) > 1 {
		const most = 60
		shown := words[:min(len(words), most)]
		fmt.Fprintf(out, "%s\n", strings.Join(shown, "  "))
		if len(words) > most {
			fmt.Fprintf(out, "… and %d more\n", len(words)-most)
		}
		return line, pos, true
	}
	if len(common) < n {
		return line, pos, true
	}
	return lead + common + after, len(lead) + len(common), true
}

// history keeps lines in a file, oldest first.
type history struct {
	name  string
	lines []string
}

const maxHistory = 1000

// openHistory reads the lines of former sessions.
func openHistory() *history {
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return &history{}
		}
		dir = filepath.Join(home, ".local", "state")
	}
	h := &history{name: filepath.Join(dir, "stapkit", "history")}
	if b, err := os.ReadFile(h.name); err == nil {
		h.lines = strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		h.lines = h.lines[max(0, len(h.lines)-maxHistory):]
	}
	return h
}

func (h *history) Add(entry string) {
	if strings.TrimSpace(entry) == "" || len(h.lines) > 0 && h.lines[len(h.lines)-1] == entry {
		return
	}
	h.lines = append(h.lines, entry)
	h.lines = h.lines[max(0, len(h.lines)-maxHistory):]
	if h.name == "" {
		return
	}
	// A history that cannot be kept is no reason to stop.
	if os.MkdirAll(filepath.Dir(h.name), 0o700) == nil {
		_ = os.WriteFile(h.name, []byte(strings.Join(h.lines, "\n")+"\n"), 0o600)
	}
}

func (h *history) Len() int          { return len(h.lines) }
func (h *history) At(idx int) string { return h.lines[len(h.lines)-1-idx] }
