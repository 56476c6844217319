package lsp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"sort"
	"strings"
	"sync"
	"time"

	protocol "github.com/tliron/glsp/protocol_3_16"

	"stapkit/config"
	"stapkit/lint"
	"stapkit/query"
	"stapkit/sema"
	"stapkit/syntax"
	"stapkit/target"
)

// Settings are what a person can choose, in the section "stapkit" of the client's
// configuration. docs/staplsp.md describes them.
type Settings struct {
	// Target is the kernel whose functions and types are shown: a BTF file, a host
	// description, a directory, a release; "" or "running" is the one at hand, "none"
	// is none. Targets are others to choose from.
	Target  string   `json:"target"`
	Targets []string `json:"targets"`
	// Includes are further library directories; relative ones lie in the workspace.
	Includes   []string `json:"includes"`
	Args       []string `json:"args"`
	Guru       bool     `json:"guru"`
	Privilege  string   `json:"privilege"`
	Compatible string   `json:"compatible"`
	// SourceTree is a directory with the kernel's source.
	SourceTree string `json:"sourceTree"`
	InlayHints struct {
		Types          *bool `json:"types"`
		Matches        *bool `json:"matches"`
		ParameterNames *bool `json:"parameterNames"`
	} `json:"inlayHints"`
	CodeLens *bool `json:"codeLens"`
	// Lint turns the linter on.
	Lint *bool `json:"lint"`
	// Trusted false: nothing that files of the workspace say is used.
	Trusted *bool `json:"trusted"`
}

func on(b *bool) bool { return b == nil || *b }

// waitForTarget is how long an answer waits for a target to be opened before it is
// given without.
const waitForTarget = 1500 * time.Millisecond

// envs are the environments that scripts are read for, by what they are made of.
type envs struct {
	s *server

	mu       sync.Mutex
	settings Settings
	chosen   string // target chosen by command, hides the setting
	hasChose bool
	folders  []string
	open     map[string]*envEntry
	targets  map[string]*targetEntry
	old      []*query.Env
	told     map[string]bool                 // notes that were shown
	bad      map[string]*protocol.Diagnostic // of stapkit.toml files, by path
}

type envEntry struct {
	env      *query.Env
	includes []string
}

// targetEntry is a target that is being opened.
type targetEntry struct {
	ready chan struct{}
	t     *target.Target
	err   error
}

func (e *envs) init(s *server) {
	e.s, e.settings = s, s.opt.Settings
	e.open, e.targets, e.told = map[string]*envEntry{}, map[string]*targetEntry{}, map[string]bool{}
	e.bad = map[string]*protocol.Diagnostic{}
}

func (e *envs) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	var err error
	for _, o := range e.open {
		e.old = append(e.old, o.env)
	}
	for _, env := range e.old {
		if cerr := env.Close(); cerr != nil {
			err = cerr
		}
	}
	for _, t := range e.targets {
		select {
		case <-t.ready:
			if t.t != nil {
				if cerr := t.t.Close(); cerr != nil {
					err = cerr
				}
			}
		default:
		}
	}
	if err != nil {
		e.s.logf("close: %v", err)
	}
}

// set takes new settings; it reports whether anything changed.
func (e *envs) set(raw json.RawMessage) (bool, error) {
	n := e.s.opt.Settings
	if len(raw) > 0 && string(raw) != "null" {
		if err := json.Unmarshal(raw, &n); err != nil {
			return false, fmt.Errorf("settings: %w", err)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if reflect.DeepEqual(n, e.settings) {
		return false, nil
	}
	e.settings = n
	return true, nil
}

func (e *envs) current() Settings {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.settings
}

// choose makes a target the one in use; "" goes back to the setting.
func (e *envs) choose(spec string) {
	e.mu.Lock()
	e.chosen, e.hasChose = spec, spec != ""
	e.mu.Unlock()
}

// targetSpec is the target in use, as given.
func (e *envs) targetSpec() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hasChose {
		return e.chosen
	}
	return e.settings.Target
}

// config says what a script is read for.
func (e *envs) config(name string, text []byte) (query.Config, string) {
	st := e.current()
	spec := e.targetSpec()
	c := query.Config{
		Args: st.Args, Guru: st.Guru, Privilege: st.Privilege, Compatible: st.Compatible, SourceTree: st.SourceTree,
		Reading: e.s.reading,
	}
	if infer := e.s.opt.Widths; infer != nil {
		c.Widths = func(ctx context.Context, p *sema.Program, t *target.Target) (w *query.Widths, err error) {
			defer e.s.recovered("the inference of widths", &err)
			return infer(ctx, p, t)
		}
	}
	for _, d := range st.Includes {
		c.Includes = append(c.Includes, e.inWorkspace(d, name))
	}
	if on(st.Trusted) {
		e.project(&c, &spec, name, text)
	}
	return c, spec
}

// inWorkspace makes a path of the settings absolute.
func (e *envs) inWorkspace(dir, name string) string {
	if filepath.IsAbs(dir) {
		return dir
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	best := ""
	for _, f := range e.folders {
		if strings.HasPrefix(name, f+string(filepath.Separator)) && len(f) > len(best) {
			best = f
		}
	}
	if best == "" && len(e.folders) > 0 {
		best = e.folders[0]
	}
	return filepath.Join(best, dir)
}

// forDocument gives the environment of a script. It waits a little for a target that
// is being opened, and then gives one without.
func (e *envs) forDocument(ctx context.Context, name string, text []byte) *query.Env {
	cfg, spec := e.config(name, text)
	t := e.target(spec)
	timer := time.NewTimer(waitForTarget)
	defer timer.Stop()
	select {
	case <-t.ready:
	case <-ctx.Done():
	case <-timer.C:
	}
	select {
	case <-t.ready:
		cfg.Target = t.t
		return e.get(cfg, spec)
	default:
		return e.get(cfg, "\x00none yet")
	}
}

func (e *envs) get(cfg query.Config, spec string) *query.Env {
	key := fmt.Sprintf("%q %q %q %v %q %q %q %q %d", spec, cfg.Includes, cfg.Args, cfg.Guru, cfg.Privilege, cfg.Compatible, cfg.SourceTree, cfg.Command, cfg.PID)
	e.mu.Lock()
	defer e.mu.Unlock()
	if o := e.open[key]; o != nil {
		return o.env
	}
	env, err := query.Open(cfg)
	if err != nil {
		e.tell(protocol.MessageTypeWarning, fmt.Sprintf("A library directory cannot be read: %v", err))
	}
	e.open[key] = &envEntry{env: env, includes: cfg.Includes}
	e.s.spawn("warm", func(context.Context) { env.Warm() })
	return env
}

// tell shows a note once.
func (e *envs) tell(t protocol.MessageType, text string) {
	if e.told[text] {
		return
	}
	e.told[text] = true
	go e.s.showMessage(t, text)
}

// target opens a target in the background, once.
func (e *envs) target(spec string) *targetEntry {
	e.mu.Lock()
	defer e.mu.Unlock()
	if t := e.targets[spec]; t != nil {
		return t
	}
	t := &targetEntry{ready: make(chan struct{})}
	e.targets[spec] = t
	e.s.spawn("open target", func(ctx context.Context) {
		slow := time.AfterFunc(waitForTarget, func() {})
		done := e.s.begin("Reading kernel types", describeSpec(spec))
		open := openTarget
		if e.s.opt.open != nil {
			open = e.s.opt.open
		}
		t.t, t.err = open(spec)
		if t.t != nil {
			if _, err := t.t.BTF(); err != nil {
				e.s.logf("target %q: %v", spec, err)
			}
		}
		late := !slow.Stop()
		close(t.ready)
		done()
		switch {
		case spec == "none":
		case t.err != nil && spec != "" && spec != "running":
			e.s.showMessage(protocol.MessageTypeError, fmt.Sprintf("The target %s cannot be opened: %v. Scripts are shown without kernel types.", spec, t.err))
		case t.err != nil:
			e.s.logf("no running kernel: %v", t.err)
			e.mu.Lock()
			e.tell(protocol.MessageTypeInfo, "There is no kernel on this machine to read types from. Set stapkit.target to a BTF file or a host description (staprun --describe) to see them.")
			e.mu.Unlock()
		case len(t.t.Notes()) > 0:
			e.mu.Lock()
			e.tell(protocol.MessageTypeInfo, t.t.Notes()[0].Text)
			e.mu.Unlock()
		}
		if late { // answers were given without it
			e.s.refresh()
		}
	})
	return t
}

func describeSpec(spec string) string {
	switch spec {
	case "", "running":
		return "of the running kernel"
	}
	return "of " + spec
}

func openTarget(spec string) (*target.Target, error) {
	switch spec {
	case "none":
		return nil, fmt.Errorf("no target is chosen")
	case "", "running":
		if runtime.GOOS != "linux" {
			return nil, fmt.Errorf("%s has no Linux kernel", runtime.GOOS)
		}
		return target.Running()
	}
	return target.Open(spec)
}

// fileChanged forgets what was made of a file on disk.
func (e *envs) fileChanged(name string) {
	e.mu.Lock()
	changed := false
	for key, o := range e.open {
		for _, dir := range o.includes {
			if strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/") {
				e.old = append(e.old, o.env) // requests may still use it
				delete(e.open, key)
				changed = true
				break
			}
		}
	}
	e.mu.Unlock()
	if filepath.Base(name) == config.ProjectFile {
		e.checkProject(name)
		e.forget()
		changed = true
	}
	if changed {
		e.s.refresh()
	}
}

// forget drops all environments; targets stay open.
func (e *envs) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for key, o := range e.open {
		e.old = append(e.old, o.env)
		delete(e.open, key)
	}
}

// targetList lists what can be chosen: of the settings and of the stapkit.toml above
// the workspace's folders.
func (e *envs) targetList() []string {
	st := e.current()
	seen := map[string]bool{}
	var out []string
	list := append([]string{st.Target, "running", "none"}, st.Targets...)
	if on(st.Trusted) {
		e.mu.Lock()
		folders := append([]string(nil), e.folders...)
		e.mu.Unlock()
		for _, f := range folders {
			path := config.FindProject(f)
			if path == "" {
				continue
			}
			p, err := config.LoadProject(path)
			if err != nil {
				continue // it is told when a script is read
			}
			for _, t := range p.Target {
				spec := t.Path
				if rel := filepath.Join(filepath.Dir(path), spec); !filepath.IsAbs(spec) {
					if _, err := os.Stat(rel); err == nil {
						spec = rel
					}
				}
				list = append(list, spec)
			}
		}
	}
	for _, t := range list {
		if t != "" && !seen[t] {
			seen[t] = true
			out = append(out, t)
		}
	}
	sort.Strings(out)
	return out
}

// project adds what the stapkit.toml above a script says, or else its "#!" line. What
// is wrong with the file is told once, and shown in it when it is open.
func (e *envs) project(c *query.Config, spec *string, name string, text []byte) {
	var sc config.Script
	if filepath.IsAbs(name) {
		var project *config.Project
		var err error
		if sc, project, err = config.ForScript(name, text); err != nil {
			e.projectFindings(err)
			e.mu.Lock()
			e.tell(protocol.MessageTypeWarning, err.Error())
			e.mu.Unlock()
			return
		}
		if project != nil {
			e.projectIsGood(project.Path)
		}
	} else {
		sc = config.Shebang(name, text)
	}
	if sc.HasArgs {
		c.Args = sc.Args
	}
	c.Guru = c.Guru || sc.Guru
	c.Includes = append(c.Includes, sc.Include...)
	if sc.Compatible != "" {
		c.Compatible = sc.Compatible
	}
	if sc.Privilege != "" {
		c.Privilege = sc.Privilege
	}
	if sc.Command != "" {
		c.Command = sc.Command
	}
	if len(sc.Targets) > 0 && *spec == "" {
		t := sc.Targets[0]
		if err := t.Check(); err != nil {
			e.mu.Lock()
			e.tell(protocol.MessageTypeWarning, err.Error())
			e.mu.Unlock()
			return
		}
		*spec = t.Spec
	}
}

// projectFindings shows what is wrong with a stapkit.toml in that file, until it is
// mended. Clients do not open such files with us, so it is pushed to all of them.
func (e *envs) projectFindings(err error) {
	var bad *config.Error
	if !errors.As(err, &bad) {
		return
	}
	d := bad.Diagnostic()
	found := protocol.Diagnostic{Severity: severity(d.Severity), Source: ptr("stapkit"), Message: d.Message, Code: &protocol.IntegerOrString{Value: string(d.Code)}}
	if text, rerr := os.ReadFile(bad.Path); rerr == nil && bad.Line > 0 {
		m := syntax.NewMapper(bad.Path, text)
		lines := strings.SplitAfter(string(text), "\n")
		if bad.Line <= len(lines) {
			line := strings.TrimRight(lines[bad.Line-1], "\r\n")
			at := len(strings.Join(lines[:bad.Line-1], ""))
			found.Range = e.s.rangeOf(m, at+min(max(bad.Column-1, 0), len(line)), at+len(line))
		}
	}
	e.mu.Lock()
	same := reflect.DeepEqual(e.bad[bad.Path], &found)
	e.bad[bad.Path] = &found
	e.mu.Unlock()
	if !same {
		e.s.notify(protocol.ServerTextDocumentPublishDiagnostics, protocol.PublishDiagnosticsParams{URI: uriOf(bad.Path), Diagnostics: []protocol.Diagnostic{found}})
	}
}

// projectIsGood takes back what was wrong with a stapkit.toml.
func (e *envs) projectIsGood(path string) {
	e.mu.Lock()
	_, was := e.bad[path]
	delete(e.bad, path)
	e.mu.Unlock()
	if was {
		e.s.notify(protocol.ServerTextDocumentPublishDiagnostics, protocol.PublishDiagnosticsParams{URI: uriOf(path), Diagnostics: []protocol.Diagnostic{}})
	}
}

// checkProject reads a stapkit.toml for what is wrong with it.
func (e *envs) checkProject(path string) {
	if path == "" || !on(e.current().Trusted) {
		return
	}
	if _, err := os.Stat(path); err != nil {
		e.projectIsGood(path) // it is gone
		return
	}
	if _, err := config.LoadProject(path); err != nil {
		e.projectFindings(err)
	} else {
		e.projectIsGood(path)
	}
}

// checkProjects does so for the workspace's folders.
func (e *envs) checkProjects() {
	e.mu.Lock()
	folders := append([]string(nil), e.folders...)
	e.mu.Unlock()
	for _, f := range folders {
		e.checkProject(config.FindProject(f))
	}
}

// lintSettings are those of the stapkit.toml above a script.
func (e *envs) lintSettings(name string, text []byte) lint.Settings {
	if !on(e.current().Trusted) || !filepath.IsAbs(name) {
		return lint.Settings{}
	}
	_, p, err := config.ForScript(name, text)
	if err != nil || p == nil {
		return lint.Settings{}
	}
	return lint.FromConfig(p.Lint)
}

// reading shows that debug information is being read. Answers that could not wait for
// it are asked for again.
func (s *server) reading(name string) (done func()) {
	shown := s.begin("Reading debug information", "of "+name)
	return func() {
		shown()
		if s.early.Swap(false) {
			s.refresh()
		}
	}
}

// begin shows that something takes its time; done ends it.
func (s *server) begin(title, message string) (done func()) {
	if !s.client.progress {
		return func() {}
	}
	token := fmt.Sprintf("stapkit-%d", s.progress.Add(1))
	type params struct {
		Token string `json:"token"`
		Value any    `json:"value,omitempty"`
	}
	begun := make(chan bool, 1)
	timer := time.AfterFunc(150*time.Millisecond, func() { // what is quick is not shown
		ctx, cancel := context.WithTimeout(s.background, 5*time.Second)
		defer cancel()
		if err := s.conn.Call(ctx, protocol.ServerWindowWorkDoneProgressCreate, params{Token: token}, nil); err != nil {
			begun <- false
			return
		}
		s.notify("$/progress", params{token, protocol.WorkDoneProgressBegin{Kind: "begin", Title: title, Message: &message}})
		begun <- true
	})
	return func() {
		if timer.Stop() {
			return
		}
		go func() {
			if <-begun {
				s.notify("$/progress", params{token, protocol.WorkDoneProgressEnd{Kind: "end"}})
			}
		}()
	}
}
