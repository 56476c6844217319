package driver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/term"

	"stapkit/cli"
	"stapkit/config"
	"stapkit/diag"
	"stapkit/examples"
	"stapkit/query"
	"stapkit/sema"
	"stapkit/syntax"
)

const promptHelp = `Type probes, functions and globals; they are added to the script when they are complete.
A statement or expression alone runs at once: print(pp()), or  foreach … . Commands:
  run [OPTIONS]        run the script until it ends or ^C
  list                 the script so far, with numbers
  delete N, N-M, all   take entries out
  edit                 the script in $VISUAL or $EDITOR
  add DECLARATION      the same as typing it alone
  points PATTERN       probe points that match, as stap -l
  vars PATTERN         … with their variables, as stap -L
  check                what is wrong with the script
  set OPTIONS          options of stap for what follows: set -T 10 -x 1
  unset OPTION, show   … taken back, and those that hold
  sample [NAME]        the examples, or one of them as the script
  load FILE, save FILE
  history [N]          the last N lines (30)
  help, quit           (^D quits, too)
Tab completes, arrow keys recall lines, ^R the last line that contains what is typed.
An empty line or ^C gives up what is not complete.
`

// promptWords are the commands of the prompt.
var promptWords = []string{
	"run", "list", "delete", "edit", "add", "points", "vars", "check", "set", "unset", "show",
	"sample", "load", "save", "history", "help", "quit", "exit",
}

// An entry is a declaration of the script, with the comment before it.
type entry struct {
	text  string
	probe bool // it has a probe, or may have
}

// A prompt is stap -i.
type prompt struct {
	s       *stap
	ctx     context.Context
	entries []entry
	pending string // lines of one that is not complete
	draft   string // what the editor left that could not be taken
	env     *query.Env
	out     io.Writer
	history *history
	width   atomic.Int64 // of the terminal
	found   search
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
	// person says whether somebody types; else they come from a file or pipe.
	person() bool
}

// interactive is -i.
func (s *stap) interactive(ctx context.Context) int {
	p := &prompt{s: s, ctx: ctx, out: s.stdout, history: &history{}}
	if err := s.target(); err != nil {
		return s.fail(err)
	}
	defer s.close()
	in, out, errs := asTerminal(s.stdin), asTerminal(s.stdout), asTerminal(s.stderr)
	var lines lineSource
	switch {
	case in != nil && out != nil && os.Getenv("TERM") != "dumb":
		t, err := p.terminal(in, out)
		if err != nil {
			return s.fail(err)
		}
		defer t.restore()
		lines = t
		fmt.Fprintf(p.out, "stapkit %s. help tells the commands, ^D quits.\n", Release)
	case in != nil && (out != nil || errs != nil):
		// Nothing can be edited here, but somebody types.
		l := &plainLines{r: bufio.NewReader(s.stdin), prompt: out}
		if out == nil {
			l.prompt = errs
		}
		lines = l
	default:
		lines = &plainLines{r: bufio.NewReader(s.stdin)}
	}
	if err := s.scripts(); len(s.o.Scripts) > 0 {
		for _, sc := range s.o.Scripts {
			p.take(string(sc.Text))
		}
		s.o.Scripts = nil
	} else if err != nil && s.o.ScriptFile != "" {
		p.wrong("%v", err)
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
			unfinished := p.pending != ""
			if unfinished {
				p.wrong("what was typed last is not complete: %s", strings.TrimSpace(p.pending))
				p.pending = ""
			}
			if !errors.Is(err, io.EOF) {
				return s.fail(err)
			}
			if unfinished && lines.person() {
				continue // as shells do
			}
			break
		}
	}
	if err := p.closeEnv(); err != nil {
		return s.fail(err)
	}
	// Where commands come from a file, whoever gave them wants to know.
	if !lines.person() && p.failed {
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
	if strings.TrimSpace(p.pending) == "" || onlyComments(p.pending) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "" {
			p.pending = ""
			return
		}
		if rest = strings.TrimSpace(rest); word == "add" {
			line = rest
		} else if slices.Contains(promptWords, word) {
			p.pending = ""
			p.command(word, rest, lines)
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

// sourceTokens are the tokens of a text that are no comments.
func sourceTokens(text string) (f *syntax.File, words []string, open int) {
	f = syntax.ParseFile(InputName, []byte(text), syntax.Options{View: syntax.SourceView})
	for i, t := range f.Tokens {
		s := f.Text(i)
		switch s {
		case "{", "(", "[", "%(":
			open++
		case "}", ")", "]", "%)":
			open--
		}
		if s != "" && t.Kind != syntax.Comment {
			words = append(words, s)
		}
	}
	return f, words, open
}

// onlyComments says whether a text has nothing else; it is kept for what follows.
func onlyComments(text string) bool {
	_, words, _ := sourceTokens(text)
	return len(words) == 0
}

// complete says whether a text can be taken: nothing in it is open, and its end is not
// where the grammar wants more. An empty line ends what a bracket does not hold open.
func complete(text string) bool {
	f, words, open := sourceTokens(text)
	switch {
	case len(words) == 0:
		return false // a comment belongs to what follows
	case open != 0:
		return open < 0
	case strings.HasSuffix(text, "\n\n"):
		return true
	}
	if !isDeclaration(text) {
		const lead, end = "probe begin { ", "}"
		f = syntax.ParseFile(InputName, []byte(lead+text+end), syntax.Options{View: syntax.SourceView})
		return !wantsMore(f, len(lead)+len(strings.TrimRight(text, " \t\n")))
	}
	return !wantsMore(f, len(strings.TrimRight(text, " \t\n")))
}

// wantsMore says whether a file has an error where it ends, or a comment that does not.
func wantsMore(f *syntax.File, end int) bool {
	return slices.ContainsFunc(f.Diags, func(d diag.Diagnostic) bool {
		return d.Severity == diag.Error && d.Range.Start.Offset >= end
	}) || unclosed(f)
}

// unclosed says whether a comment goes on to the end of the file.
func unclosed(f *syntax.File) bool {
	for i, t := range f.Tokens {
		if s := f.Text(i); t.Kind == syntax.Comment && strings.HasPrefix(s, "/*") && (len(s) < 4 || !strings.HasSuffix(s, "*/")) {
			return true
		}
	}
	return false
}

// isDeclaration says whether a text is part of a script, not a statement.
func isDeclaration(text string) bool {
	_, words, _ := sourceTokens(text)
	return len(words) > 0 && slices.Contains([]string{"probe", "function", "global", "private", "@define", "%("}, words[0])
}

// split takes a text apart into its declarations; a comment goes with what follows it.
func split(text string) (out []entry) {
	f := syntax.ParseFile(InputName, []byte(text), syntax.Options{View: syntax.SourceView})
	from := 0
	for i, d := range f.Decls {
		end := syntax.End(d).Offset
		if i+1 < len(f.Decls) {
			// What stands behind it on its line is about it.
			if nl := strings.IndexByte(text[end:], '\n'); nl >= 0 && end+nl < syntax.Pos(f.Decls[i+1]).Offset {
				end += nl
			}
		} else {
			end = len(text)
		}
		e := entry{text: strings.TrimSpace(text[from:end])}
		syntax.Inspect(d, func(n syntax.Node) bool {
			switch n.(type) {
			case *syntax.ProbeDecl, *syntax.MacroCall, *syntax.Verbatim:
				e.probe = true
			case *syntax.FuncDecl, *syntax.MacroDef, *syntax.AliasDecl:
				return false
			}
			return true
		})
		out = append(out, e)
		from = end
	}
	return out
}

// take adds the declarations of a text if they fit.
func (p *prompt) take(text string) bool {
	more := split(text)
	if len(more) == 0 {
		more = []entry{{text: text}} // which check says what is wrong with
	}
	all := slices.Concat(p.entries, more)
	if !p.check(texts(all), true) {
		p.failed = true
		return false
	}
	p.entries = all
	return true
}

// add puts a declaration into the script if it fits, and runs a statement.
func (p *prompt) add(text string, lines lineSource) {
	if isDeclaration(text) {
		p.take(text)
		return
	}
	script := func(body string) []string {
		return append(p.withoutProbes(), "probe begin { "+body+"\nexit() }")
	}
	// An expression alone is printed.
	for _, body := range []string{"println(" + strings.TrimSuffix(text, ";") + ")", text} {
		if p.check(script(body), false) {
			p.execute(script(body), nil, lines)
			return
		}
	}
	p.check(script(text), true)
	p.failed = true
}

func texts(entries []entry) (out []string) {
	for _, e := range entries {
		out = append(out, e.text)
	}
	return out
}

// withoutProbes is what a statement alone can use of the script.
func (p *prompt) withoutProbes() (out []string) {
	for _, e := range p.entries {
		if !e.probe {
			out = append(out, e.text)
		}
	}
	return out
}

func (p *prompt) hasProbes() bool {
	return slices.ContainsFunc(p.entries, func(e entry) bool { return e.probe })
}

// check elaborates a script and, if asked to, shows what is wrong with it.
func (p *prompt) check(script []string, show bool) bool {
	c := p.s.o.Config
	c.Scripts = []Script{{Name: InputName, Text: []byte(strings.Join(script, "\n") + "\n")}}
	if !slices.ContainsFunc(split(strings.Join(script, "\n")), func(e entry) bool { return e.probe }) {
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
	case "quit", "exit":
		p.ended = true
	case "help":
		fmt.Fprint(p.out, promptHelp)
	case "list":
		for i, e := range p.entries {
			fmt.Fprintf(p.out, "%3d  %s\n", i+1, strings.ReplaceAll(e.text, "\n", "\n     "))
		}
	case "delete":
		first, last, ok := numbers(rest, len(p.entries))
		if !ok {
			p.wrong("delete %s: give numbers of the list (2, or 2-4), or all", rest)
			return
		}
		left := slices.Delete(slices.Clone(p.entries), first-1, last)
		if len(left) > 0 && !p.check(texts(left), true) {
			p.wrong("nothing is deleted: the rest would not be right without it")
			return
		}
		p.entries = left
	case "edit":
		p.edit(lines)
	case "check":
		if len(p.entries) == 0 {
			p.wrong("there is no script yet")
		} else if p.check(texts(p.entries), true) {
			fmt.Fprintln(p.out, "The script is all right.")
		} else {
			p.failed = true
		}
	case "run":
		if !p.hasProbes() {
			p.wrong("there is nothing to run: type a probe first")
			return
		}
		options, err := runOptions(rest)
		if err != nil {
			p.wrong("run: %v", err)
			return
		}
		p.execute(texts(p.entries), options, lines)
	case "points", "vars":
		p.list(rest, word)
	case "set":
		options, err := runOptions(rest)
		switch {
		case err != nil:
			p.wrong("set: %v", err)
		case len(options) == 0:
			p.wrong("set: give options of stap, as in set -T 10; show tells those that hold")
		default:
			p.configure(append(p.s.o.inherited(), options...))
		}
	case "unset":
		o := optionOf(rest)
		if o == nil {
			p.wrong("unset %s: give an option of stap, as in unset -T", rest)
			return
		}
		p.configure(slices.DeleteFunc(p.s.o.inherited(), func(w string) bool {
			name, _, _ := strings.Cut(w, "=")
			return name == "--"+o.Long
		}))
	case "show":
		for _, w := range p.s.o.inherited() {
			fmt.Fprintln(p.out, strings.TrimSuffix(strings.TrimSuffix(w, "=true"), "=+1"))
		}
	case "sample":
		if rest == "" {
			if err := listExamples(p.out); err != nil {
				p.wrong("%v", err)
			}
			return
		}
		sc, err := example(rest)
		if err != nil {
			p.wrong("%v", err)
			return
		}
		p.take(string(sc.Text))
	case "history":
		n, err := strconv.Atoi(rest)
		if rest == "" {
			n, err = 30, nil
		}
		if err != nil || n < 1 {
			p.wrong("history %s: give the number of lines", rest)
			return
		}
		for _, l := range p.history.lines[max(0, len(p.history.lines)-n):] {
			fmt.Fprintln(p.out, l)
		}
	case "save":
		if rest == "" {
			p.wrong("save: give a file name")
			return
		}
		if err := writeFile(homePath(rest), []byte(p.text())); err != nil {
			p.wrong("%v", err)
		}
	case "load":
		if rest == "" {
			p.wrong("load: give a file name")
			return
		}
		b, err := os.ReadFile(homePath(rest))
		if err != nil {
			p.wrong("%v", err)
			return
		}
		p.take(string(b))
	}
}

// text is the script as it is saved and edited.
func (p *prompt) text() string { return strings.Join(texts(p.entries), "\n\n") + "\n" }

// numbers reads N, N-M or all, of so many.
func numbers(s string, of int) (first, last int, ok bool) {
	if s == "all" {
		return 1, of, true
	}
	a, b, isRange := strings.Cut(s, "-")
	if !isRange {
		b = a
	}
	first, err := strconv.Atoi(strings.TrimSpace(a))
	last, err2 := strconv.Atoi(strings.TrimSpace(b))
	return first, last, err == nil && err2 == nil && 1 <= first && first <= last && last <= of
}

// homePath understands ~/, as shells do.
func homePath(name string) string {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return name
}

// list is points and vars. ^C ends it.
func (p *prompt) list(pattern, word string) {
	if pattern == "" {
		p.wrong("%s: give a pattern", word)
		return
	}
	c := p.s.o.Config
	f, err := Parse(&c)
	if err != nil {
		p.wrong("%v", err)
		return
	}
	found, _ := sema.List(pattern, f.semaOptions(), sema.ListOptions{Vars: word == "vars"})
	if len(found) == 0 {
		p.wrong("no probe point matches %s", pattern)
	}
	var b strings.Builder
	for _, l := range found {
		fmt.Fprintln(&b, l)
	}
	fmt.Fprint(p.out, b.String())
}

// edit hands the script to an editor, and takes what it has become.
func (p *prompt) edit(lines lineSource) {
	editor := os.Getenv("VISUAL")
	if editor == "" {
		editor = os.Getenv("EDITOR")
	}
	if editor == "" {
		editor = "vi"
	}
	dir, err := os.MkdirTemp("", "stap-edit-")
	if err != nil {
		p.wrong("edit: %v", err)
		return
	}
	defer os.RemoveAll(dir)
	before := p.draft
	if before == "" {
		before = p.text()
	}
	name := filepath.Join(dir, "script.stp")
	if err := os.WriteFile(name, []byte(before), 0o600); err != nil {
		p.wrong("edit: %v", err)
		return
	}
	words := append(config.Words(editor), name)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.s.stdin, p.s.stdout, p.s.realStderr()
	lines.suspended(func() { err = cmd.Run() })
	if err != nil {
		p.wrong("edit: %s: %v", editor, err)
		return
	}
	b, err := os.ReadFile(name)
	if err != nil {
		p.wrong("edit: %v", err)
		return
	}
	was := p.entries
	p.entries, p.draft = nil, ""
	if len(bytes.TrimSpace(b)) == 0 || p.take(string(b)) {
		return
	}
	p.entries, p.draft = was, string(b)
	p.wrong("the script is as it was; edit goes on with what you wrote")
}

// runOptions takes options apart as a shell does. The script's arguments are not among
// them: what is added is checked with those that stap was given.
func runOptions(text string) ([]string, error) {
	f, words := bareFlags(), config.Words(text)
	rest, err := f.Parse(words)
	switch {
	case errors.Is(err, cli.ErrHelp) || errors.Is(err, cli.ErrVersion):
		return nil, errors.New("--help and --version are for the command line")
	case err != nil:
		return nil, err
	case len(rest) > 0:
		return nil, fmt.Errorf("%s is no option; arguments of the script are given when it is begun: stap -i -- %s", rest[0], strings.Join(rest, " "))
	}
	return f.Given(), nil
}

// bareFlags reads stap's options for their names alone.
func bareFlags() *cli.Flags {
	var o StapOptions
	var defines, globals, lists, listVars []string
	var timeout string
	return stapFlags(&o, &defines, &globals, &lists, &listVars, &timeout)
}

// optionOf is the option that a word such as -T or --timeout means.
func optionOf(word string) *cli.Option {
	if long, ok := strings.CutPrefix(word, "--"); ok {
		return cli.Stap.Option(long)
	}
	for _, o := range cli.Stap.Options() {
		if o.Short != "" && word == "-"+o.Short {
			return o
		}
	}
	return nil
}

// configure goes on with other options.
func (p *prompt) configure(words []string) {
	o, err := parseStap(append(words, "--interactive"))
	if err != nil {
		p.wrong("%v", err)
		return
	}
	was := p.s.o
	o.Args = was.Args
	if err := p.closeEnv(); err != nil {
		p.wrong("%v", err)
	}
	p.s.close()
	p.s.o = o
	if err := p.s.target(); err != nil {
		p.wrong("%v", err)
		p.s.close()
		p.s.o = was
		if err := p.s.target(); err != nil {
			p.wrong("%v", err)
			p.ended = true
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
	args := slices.Concat([]string{os.Args[0]}, p.s.o.inherited(), options, []string{"--expr=" + strings.Join(script, "\n"), "--"}, p.s.o.Args)
	cmd := &exec.Cmd{Path: exe, Args: args}
	// What the rc file says is among the options.
	cmd.Env = append(os.Environ(), "SYSTEMTAP_DIR="+os.DevNull)
	cmd.Stdout, cmd.Stderr = p.s.stdout, p.s.realStderr()
	lines.suspended(func() {
		// ^C ends the script, not the prompt, which begins a line of its own.
		c, done := make(chan os.Signal, 1), make(chan struct{})
		signal.Notify(c, os.Interrupt)
		go func() {
			defer close(done)
			for range c {
				if lines.person() {
					fmt.Fprintln(p.s.stdout)
				}
			}
		}()
		err = cmd.Run()
		signal.Stop(c)
		close(c)
		<-done
	})
	if err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			p.wrong("%v", err)
		}
		p.failed = true
	}
}

// realStderr is where other processes write, which know nothing of a line editor.
func (s *stap) realStderr() io.Writer {
	if _, ok := s.stderr.(*term.Terminal); ok {
		return os.Stderr
	}
	return s.stderr
}

// inherited are the options that a run at the prompt has of the command line.
func (o *StapOptions) inherited() []string {
	return slices.DeleteFunc(slices.Clone(o.Given), func(w string) bool {
		name, _, _ := strings.Cut(w, "=")
		return slices.Contains([]string{"--interactive", "--expr", "--extra", "--example"}, name)
	})
}

// plainLines are those of a file or pipe, or of a terminal that cannot be edited on.
type plainLines struct {
	r      *bufio.Reader
	prompt io.Writer // nil where nobody types
}

func (l *plainLines) line(prompt string) (string, error) {
	if l.prompt != nil {
		fmt.Fprint(l.prompt, prompt)
	}
	s, err := l.r.ReadString('\n')
	return strings.TrimSuffix(s, "\n"), err
}
func (l *plainLines) interrupted() bool  { return false }
func (l *plainLines) suspended(f func()) { f() }
func (l *plainLines) person() bool       { return l.prompt != nil }

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
	end    atomic.Bool // ^D in an empty line
	// resized ends the watch for new sizes.
	resized func()
}

// keys are what terminals send for keys beside what the editor knows for them.
var keys = strings.NewReplacer(
	"\x1b[1~", "\x1b[H", "\x1b[7~", "\x1b[H", "\x1bOH", "\x1b[H", "\x1b[4~", "\x1b[F", "\x1b[8~", "\x1b[F", "\x1bOF", "\x1b[F",
	"\x1bOA", "\x1b[A", "\x1bOB", "\x1b[B", "\x1bOC", "\x1b[C", "\x1bOD", "\x1b[D",
	"\x04", string(endKey), "\x1b[1;5C", "\x1b[1;3C", "\x1b[1;5D", "\x1b[1;3D", "\x1bf", "\x1b[1;3C", "\x1bb", "\x1b[1;3D",
)

// endKey stands for ^D, which the editor would meet again when it reads on.
const endKey = '\uf8ff'

// Read reads keys. ^C gives up the line.
func (l *terminalLines) Read(b []byte) (int, error) {
	if l.end.Load() {
		b[0] = '\r'
		return 1, nil
	}
	// A key may become more bytes than it was.
	buf := make([]byte, max(1, len(b)/3))
	n, err := l.in.Read(buf)
	if i := bytes.IndexByte(buf[:n], 3); i >= 0 {
		l.giveUp.Store(true)
		if len(b) < 3 {
			b[0] = '\r'
			return 1, err
		}
		return copy(b, "\x05\x15\r"), err // to the end, remove, enter
	}
	return copy(b, keys.Replace(string(buf[:n]))), err
}

func (p *prompt) terminal(in, out *os.File) (*terminalLines, error) {
	l := &terminalLines{in: in}
	var err error
	if l.old, err = term.MakeRaw(int(in.Fd())); err != nil {
		return nil, err
	}
	p.history = openHistory()
	l.t = p.editor(l, struct {
		io.Reader
		io.Writer
	}{l, out})
	resize := func() {
		if w, h, err := term.GetSize(int(out.Fd())); err == nil && w > 0 {
			p.width.Store(int64(w))
			// A size that it does not take leaves the one before.
			_ = l.t.SetSize(w, h)
		}
	}
	resize()
	l.resized = onResize(resize)
	// What is pasted is not completed at its tabs.
	l.t.SetBracketedPasteMode(true)
	p.out = l.t
	if asTerminal(p.s.stderr) != nil {
		if diag.WantColor(p.s.o.Color, p.s.stderr) {
			p.s.o.Color = "always"
		}
		p.s.stderr = l.t
	}
	return l, nil
}

// editor is the line editor, with completion and history.
func (p *prompt) editor(l *terminalLines, rw io.ReadWriter) *term.Terminal {
	t := term.NewTerminal(rw, "")
	t.History = p.history
	t.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		switch key {
		case '\t':
			return p.completeLine(line, pos, t)
		case 'R' - '@':
			return p.found.next(p.history, line)
		case endKey:
			if line == "" {
				l.end.Store(true)
				return line, pos, true
			}
			_, n := utf8.DecodeRuneInString(line[pos:])
			return line[:pos] + line[pos+n:], pos, true
		}
		return "", 0, false
	}
	return t
}

// A search is what ^R looks for.
type search struct {
	text, last string
	index      int
}

// next is the next older line that contains what was typed before ^R was pressed first.
func (s *search) next(h *history, line string) (string, int, bool) {
	if line != s.last || s.last == "" {
		s.text, s.index = line, -1
	}
	for i := s.index + 1; i < h.Len(); i++ {
		if l := h.At(i); strings.Contains(l, s.text) && l != line {
			s.index, s.last = i, l
			return l, len(l), true
		}
	}
	return line, len(line), true
}

func (l *terminalLines) line(prompt string) (string, error) {
	l.t.SetPrompt(prompt)
	s, err := l.t.ReadLine()
	switch {
	case l.end.Swap(false):
		err = io.EOF
	case errors.Is(err, term.ErrPasteIndicator):
		err = nil
	}
	return s, err
}

func (l *terminalLines) interrupted() bool { return l.giveUp.Swap(false) }
func (l *terminalLines) person() bool      { return true }

func (l *terminalLines) restore() {
	l.t.SetBracketedPasteMode(false)
	l.resized()
	if err := term.Restore(int(l.in.Fd()), l.old); err != nil {
		fmt.Fprintf(os.Stderr, "stap: %v\r\n", err)
	}
}

func (l *terminalLines) suspended(f func()) {
	l.t.SetBracketedPasteMode(false)
	if err := term.Restore(int(l.in.Fd()), l.old); err != nil {
		fmt.Fprintf(os.Stderr, "stap: %v\r\n", err)
	}
	defer func() {
		if _, err := term.MakeRaw(int(l.in.Fd())); err != nil {
			fmt.Fprintf(os.Stderr, "stap: %v\r\n", err)
		}
		l.t.SetBracketedPasteMode(true)
	}()
	f()
}

// candidates are what the text before the cursor can go on with, and how many bytes of
// it they replace.
func (p *prompt) candidates(before string) (words []string, replaced int) {
	word, rest, command := strings.Cut(before, " ")
	if p.pending == "" && command {
		last := rest[strings.LastIndexByte(rest, ' ')+1:]
		switch word {
		case "points", "vars":
			if p.openEnv() {
				words = pointsFrom(p.ctx, p.env, rest)
			}
			return words, len(rest)
		case "load", "save":
			return fileNames(rest), len(rest)
		case "sample":
			return beginning(sampleNames(), rest), len(rest)
		case "set", "run", "unset":
			return beginning(optionNames(), last), len(last)
		case "add":
			before = rest
		}
	}
	if p.pending == "" && !command {
		words = beginning(slices.Concat(promptWords, []string{"probe", "global", "function"}), word)
		if word == "" {
			return words, 0
		}
	}
	replaced = len(word)
	if !p.openEnv() {
		return words, replaced
	}
	lead := strings.Join(texts(p.entries), "\n") + "\n" + p.pending
	if !isDeclaration(p.pending + before) {
		lead += "probe begin { "
	}
	text := lead + before
	c := p.env.Snapshot(InputName, []byte(text)).Complete(p.ctx, len(text))
	if c == nil || c.Start < len(lead) || len(words) > 0 && c.Start != len(lead) {
		return words, replaced
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

func beginning(all []string, with string) (out []string) {
	for _, w := range all {
		if strings.HasPrefix(w, with) {
			out = append(out, w)
		}
	}
	sort.Strings(out)
	return out
}

func optionNames() (out []string) {
	for _, o := range cli.Stap.Options() {
		if !o.Hidden && o.Instead == "" {
			out = append(out, "--"+o.Long)
		}
	}
	return out
}

func sampleNames() (out []string) {
	list, err := fs.Glob(examples.Files, "*.stp")
	if err != nil {
		return nil
	}
	for _, name := range list {
		out = append(out, strings.TrimSuffix(name, ".stp"))
	}
	return out
}

// fileNames are the files and folders that a path can become.
func fileNames(path string) (out []string) {
	dir, base := filepath.Split(path)
	read := homePath(dir)
	if read == "" {
		read = "."
	}
	list, err := os.ReadDir(read)
	if err != nil {
		return nil
	}
	for _, f := range list {
		if strings.HasPrefix(f.Name(), base) && (base != "" || !strings.HasPrefix(f.Name(), ".")) {
			name := dir + f.Name()
			if st, err := os.Stat(filepath.Join(read, f.Name())); err == nil && st.IsDir() {
				name += "/"
			}
			out = append(out, name)
		}
	}
	return out
}

func (p *prompt) closeEnv() error {
	if p.env == nil {
		return nil
	}
	env := p.env
	p.env = nil
	return env.Close()
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
		fmt.Fprint(out, columns(shown, int(p.width.Load())))
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

// columns sets words in as many columns as fit.
func columns(words []string, width int) string {
	longest := 0
	for _, w := range words {
		longest = max(longest, len([]rune(w)))
	}
	perRow := max(1, (width+2)/(longest+2))
	rows := (len(words) + perRow - 1) / perRow
	var b strings.Builder
	for r := range rows {
		var row []string
		for i := r; i < len(words); i += rows {
			row = append(row, fmt.Sprintf("%-*s", longest, words[i]))
		}
		fmt.Fprintln(&b, strings.TrimRight(strings.Join(row, "  "), " "))
	}
	return b.String()
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
		if len(h.lines) > maxHistory {
			h.lines = h.lines[len(h.lines)-maxHistory:]
			_ = writeFile(h.name, []byte(strings.Join(h.lines, "\n")+"\n"))
		}
	}
	return h
}

func (h *history) Add(entry string) {
	if strings.TrimSpace(entry) == "" || len(h.lines) > 0 && h.lines[len(h.lines)-1] == entry {
		return
	}
	h.lines = append(h.lines, entry)
	if h.name == "" {
		return
	}
	// Sessions at the same time write to the same file. A history that cannot be kept is
	// no reason to stop.
	if os.MkdirAll(filepath.Dir(h.name), 0o700) != nil {
		return
	}
	f, err := os.OpenFile(h.name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = f.WriteString(entry + "\n")
}

func (h *history) Len() int          { return len(h.lines) }
func (h *history) At(idx int) string { return h.lines[len(h.lines)-1-idx] }
