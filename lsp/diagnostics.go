package lsp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	protocol "github.com/tliron/glsp/protocol_3_16"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/registry"
	"stapkit/query"
	"stapkit/syntax"
	"stapkit/syntax/files"
)

// settle is how long the server waits for more changes before it looks for mistakes.
// It need not outlast the time between two keys: what a key supersedes stops.
const settle = 8 * time.Millisecond

// codeNeedTarget is sema's note that something is taken on trust.
const codeNeedTarget = "E1010"

// pause is how long a script is left alone before its variables' widths are inferred: a
// person who types has stopped to read.
const pause = 400 * time.Millisecond

// changed has the diagnostics of a document found and published soon, and later what
// takes longer.
func (s *server) changed(d *document) {
	if !s.initialized.Load() {
		return
	}
	if s.opt.Widths != nil {
		timer := time.AfterFunc(pause, func() { s.spawn("widths", func(ctx context.Context) { s.settled(ctx, d) }) })
		context.AfterFunc(d.ctx, func() { timer.Stop() })
	}
	if s.client.pull {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.pending[d.uri]; t != nil {
		t.Stop()
	}
	s.pending[d.uri] = time.AfterFunc(settle, func() {
		s.spawn("diagnostics", func(ctx context.Context) { s.publish(ctx, d.uri) })
	})
}

// settled infers what a script's variables take, until it is changed; one script after
// the other, since editors open many at once.
func (s *server) settled(ctx context.Context, d *document) {
	ctx, done := context.WithCancel(ctx)
	defer done()
	defer context.AfterFunc(d.ctx, done)()
	s.settling.Lock()
	defer s.settling.Unlock()
	if ctx.Err() == nil {
		d.snapshot(s.envs.forDocument(ctx, d.name, d.text)).InferWidths(ctx)
	}
}

// publish finds and publishes the diagnostics of the newest version of a document.
func (s *server) publish(ctx context.Context, uri string) {
	s.mu.Lock()
	c := &call{s: s, ctx: ctx, view: s.view}
	s.mu.Unlock()
	d := c.view.docs[uri]
	if d == nil || s.shutdown.Load() {
		return
	}
	ctx, done := context.WithCancel(ctx)
	defer done()
	defer context.AfterFunc(d.ctx, done)()
	c.ctx = ctx
	q := d.snapshot(s.envs.forDocument(ctx, d.name, d.text))
	if q.ProgramBy(ctx) == nil || ctx.Err() != nil {
		return // a newer version has its own; this one need not be linted
	}
	list := c.diagnostics(q)
	if ctx.Err() != nil {
		return
	}
	s.notify(protocol.ServerTextDocumentPublishDiagnostics, protocol.PublishDiagnosticsParams{
		URI: uri, Version: ptr(uint32(max(d.version, 0))), Diagnostics: list,
	})
}

// closed takes back what was published.
func (s *server) closed(uri string) {
	s.mu.Lock()
	if t := s.pending[uri]; t != nil {
		t.Stop()
		delete(s.pending, uri)
	}
	s.mu.Unlock()
	s.tokens.forget(uri)
	if !s.client.pull {
		s.notify(protocol.ServerTextDocumentPublishDiagnostics, protocol.PublishDiagnosticsParams{URI: uri, Diagnostics: []protocol.Diagnostic{}})
	}
}

// findings are all that is to be said of a script.
func (c *call) findings(q *query.Snapshot) []diag.Diagnostic {
	var out []diag.Diagnostic
	noted := false
	for _, d := range c.s.lint(q) {
		if d.Code == codeNeedTarget && q.Env.Target == nil { // one clear note is enough
			if noted {
				continue
			}
			noted = true
			d.Message, d.Help = q.Env.Notes()[0], ""
		}
		out = append(out, d)
	}
	return out
}

// lintCache keeps the findings of the newest snapshots: several requests ask for them.
type lintCache struct {
	mu    sync.Mutex
	found map[*query.Snapshot]func() []diag.Diagnostic
	order []*query.Snapshot
}

// maxLinted is how many snapshots' findings are kept.
const maxLinted = 3

// forget drops the findings of a version that is no longer the newest, and with them what
// it was elaborated to.
func (c *lintCache) forget(d *document) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range d.snaps {
		delete(c.found, q)
		c.order = slices.DeleteFunc(c.order, func(o *query.Snapshot) bool { return o == q })
	}
}

// lint gives the findings of a script, those of parser and elaboration included.
func (s *server) lint(q *query.Snapshot) []diag.Diagnostic {
	c := &s.linted
	c.mu.Lock()
	f := c.found[q]
	if f == nil {
		f = sync.OnceValue(func() []diag.Diagnostic { return s.runLint(q) })
		if c.found == nil {
			c.found = map[*query.Snapshot]func() []diag.Diagnostic{}
		}
		c.found[q] = f
		c.order = append(c.order, q)
		if len(c.order) > maxLinted {
			delete(c.found, c.order[0])
			c.order = append(c.order[:0:0], c.order[1:]...)
		}
	}
	c.mu.Unlock()
	return f()
}

func (s *server) runLint(q *query.Snapshot) []diag.Diagnostic {
	prog := q.Program()
	if q.Panic != "" {
		s.logf("panic in elaboration of %s: %s", q.Name, q.Panic)
		return prog.Diags
	}
	if q.IsMacros() || !on(s.envs.current().Lint) {
		return prog.Diags
	}
	script := &lint.Script{Program: prog, Files: []*syntax.File{q.File}, Target: q.Env.Target, Tapset: q.Env.IsLibrary(q.Name)}
	script.Explicit = q.Env.Target != nil && !q.Env.Target.IsRunning()
	res, err := lint.Run(script, registry.All(), s.envs.lintSettings(q.Name, q.Text))
	if err != nil {
		s.logf("lint: %v", err)
		return prog.Diags
	}
	return res.Diags
}

// diagnostics converts the findings that lie in the script itself.
func (c *call) diagnostics(q *query.Snapshot) []protocol.Diagnostic {
	out := []protocol.Diagnostic{}
	for _, d := range c.findings(q) {
		if d.Range.IsValid() && d.Range.Start.File != q.Name {
			// In a macro's body or a library file: shown where the script uses it.
			moved := false
			for i, r := range d.Related {
				if r.Range.Start.File == q.Name {
					d.Related = append([]diag.Related{{Range: d.Range, Message: "in " + d.Range.Start.File}}, d.Related...)
					d.Range = d.Related[i+1].Range
					moved = true
					break
				}
			}
			if !moved {
				continue
			}
		}
		out = append(out, c.diagnostic(q, d))
	}
	return out
}

func (c *call) diagnostic(q *query.Snapshot, d diag.Diagnostic) protocol.Diagnostic {
	s := c.s
	p := protocol.Diagnostic{Severity: severity(d.Severity), Source: ptr("stapkit"), Message: d.Message}
	if d.Help != "" {
		p.Message += "\n" + d.Help
	}
	if d.Range.IsValid() {
		p.Range = s.rangeOf(q.Mapper, d.Range.Start.Offset, max(d.Range.End.Offset, d.Range.Start.Offset))
	}
	if d.Code != "" {
		p.Code = &protocol.IntegerOrString{Value: string(d.Code)}
		if _, ok := diag.Lookup(d.Code); ok {
			p.CodeDescription = &protocol.CodeDescription{HRef: s.virtualURI(errorPages + string(d.Code) + ".md")}
		}
	}
	for _, t := range d.Tags {
		switch t {
		case diag.Unnecessary:
			p.Tags = append(p.Tags, protocol.DiagnosticTagUnnecessary)
		case diag.Deprecated:
			p.Tags = append(p.Tags, protocol.DiagnosticTagDeprecated)
		}
	}
	for _, r := range d.Related {
		if l, ok := c.location(q.Env, r.Range); ok {
			m := r.Message
			if m == "" {
				m = "see here"
			}
			p.RelatedInformation = append(p.RelatedInformation, protocol.DiagnosticRelatedInformation{Location: l, Message: m})
		}
	}
	return p
}

// resultID names a list of diagnostics by its content.
func resultID(list []protocol.Diagnostic) string {
	b, err := json.Marshal(list)
	if err != nil {
		return ""
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:12])
}

func report(list []protocol.Diagnostic, previous string) diagnosticReport {
	id := resultID(list)
	if id != "" && id == previous {
		return diagnosticReport{Kind: "unchanged", ResultID: id}
	}
	return diagnosticReport{Kind: "full", ResultID: id, Items: &list}
}

func (s *server) pullDiagnostics(c *call, params json.RawMessage) (any, error) {
	var p documentDiagnosticParams
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, err
	}
	q := c.snapshot(p.TextDocument.URI)
	if q == nil || q.ProgramBy(c.ctx) == nil { // it may take long: what was found before stays in sight
		return report([]protocol.Diagnostic{}, ""), c.ctx.Err()
	}
	return report(c.diagnostics(q), p.PreviousResultID), nil
}

// maxWorkspaceFiles bounds what is read of a workspace unasked.
const maxWorkspaceFiles = 2000

// scripts lists the scripts in the workspace's folders.
func (s *server) scripts(ctx context.Context) []string {
	s.envs.mu.Lock()
	folders := append([]string(nil), s.envs.folders...)
	s.envs.mu.Unlock()
	var out []string
	for _, dir := range folders {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil // what cannot be read has no scripts for us
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if d.IsDir() {
				if n := d.Name(); p != dir && (strings.HasPrefix(n, ".") || n == "node_modules" || n == "vendor") {
					return filepath.SkipDir
				}
				return nil
			}
			if ext := filepath.Ext(p); ext == ".stp" || ext == ".stpm" {
				out = append(out, p)
			}
			if len(out) >= maxWorkspaceFiles {
				return filepath.SkipAll
			}
			return nil
		})
		if err != nil {
			s.logf("scripts of %s: %v", dir, err)
		}
	}
	return out
}

// maxScript is how large a script may be that is read unasked.
const maxScript = 1 << 20

// readScript reads a script that nobody has opened. Other files end in .stp as well:
// SQL procedures, models of CAD programs.
func readScript(name string) ([]byte, bool) {
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() || info.Size() > maxScript {
		return nil, false
	}
	text, err := os.ReadFile(name)
	return text, err == nil && files.IsScript(text)
}

func (s *server) pullWorkspaceDiagnostics(c *call, params json.RawMessage) (any, error) {
	var p workspaceDiagnosticParams
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, err
	}
	previous := map[string]string{}
	for _, r := range p.PreviousResultIDs {
		previous[r.URI] = r.Value
	}
	done := s.begin("Checking scripts", fmt.Sprintf("of %d folders", len(s.envs.folders)))
	defer done()
	out := workspaceDiagnosticReport{Items: []workspaceDocumentReport{}}
	for _, name := range s.scripts(c.ctx) {
		if c.ctx.Err() != nil {
			return nil, c.ctx.Err()
		}
		uri := c.uri(name)
		if c.view.docs[uri] != nil {
			continue // open documents are asked for by themselves
		}
		text, ok := readScript(name)
		if !ok {
			continue
		}
		q := newDocument(uri, 0, text).snapshot(s.envs.forDocument(c.ctx, name, text))
		out.Items = append(out.Items, workspaceDocumentReport{diagnosticReport: report(c.diagnostics(q), previous[uri]), URI: uri})
	}
	return out, nil
}
