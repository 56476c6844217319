package lsp

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/tliron/glsp"
	protocol "github.com/tliron/glsp/protocol_3_16"

	"stapkit/query"
	"stapkit/syntax"
)

// A view is the open documents at one moment. It never changes.
type view struct {
	docs map[string]*document // by URI
}

// with gives a view with one document replaced, or removed for nil.
func (v *view) with(uri string, d *document) *view {
	n := &view{docs: make(map[string]*document, len(v.docs)+1)}
	for k, o := range v.docs {
		n.docs[k] = o
	}
	if d == nil {
		delete(n.docs, uri)
	} else {
		n.docs[uri] = d
	}
	return n
}

// byName finds an open document by its file's name.
func (v *view) byName(name string) *document {
	for _, d := range v.docs {
		if d.name == name {
			return d
		}
	}
	return nil
}

// A document is one version of a text.
type document struct {
	uri     string
	name    string // path of the file, or the URI when it is none
	version int32
	text    []byte
	mapper  *syntax.Mapper
	// ctx ends when the document is no longer the newest: what nobody has asked for,
	// such as diagnostics to publish, is then given up.
	ctx  context.Context
	stop context.CancelFunc

	mu    sync.Mutex
	snaps map[*query.Env]*query.Snapshot // of the newest environments
}

func newDocument(uri string, version int32, text []byte) *document {
	name := nameOf(uri)
	d := &document{uri: uri, name: name, version: version, text: text, mapper: syntax.NewMapper(name, text)}
	d.ctx, d.stop = context.WithCancel(context.Background())
	return d
}

// snapshot parses the document for an environment, once.
func (d *document) snapshot(env *query.Env) *query.Snapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.snaps[env]; s != nil {
		return s
	}
	if len(d.snaps) > 1 {
		d.snaps = nil
	}
	if d.snaps == nil {
		d.snaps = map[*query.Env]*query.Snapshot{}
	}
	s := env.Snapshot(d.name, d.text)
	d.snaps[env] = s
	return s
}

// libraryScheme is that of documents of the embedded library, which are in no file.
const libraryScheme = "stapkit"

// nameOf gives the file of a URI, or the URI itself when it is of no file.
func nameOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return uri
	}
	switch u.Scheme {
	case "file":
		p := u.Path
		if runtime.GOOS == "windows" {
			p = strings.TrimPrefix(p, "/")
			if u.Host != "" {
				p = "//" + u.Host + p
			}
		}
		return filepath.FromSlash(p)
	case libraryScheme:
		return strings.TrimPrefix(u.Path, "/")
	}
	return uri
}

// uriOf gives the URI of a file.
func uriOf(name string) string {
	if strings.Contains(name, "://") || strings.HasPrefix(name, "untitled:") {
		return name
	}
	p := filepath.ToSlash(name)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	return (&url.URL{Scheme: "file", Path: p}).String()
}

func (s *server) setView(uri string, d *document) {
	s.mu.Lock()
	old := s.view.docs[uri]
	s.view = s.view.with(uri, d)
	s.mu.Unlock()
	if old != nil {
		old.stop()
		s.linted.forget(old)
	}
}

func (s *server) didOpen(ctx *glsp.Context, p *protocol.DidOpenTextDocumentParams) error {
	d := newDocument(p.TextDocument.URI, p.TextDocument.Version, []byte(p.TextDocument.Text))
	s.setView(d.uri, d)
	s.changed(d)
	return nil
}

func (s *server) didChange(ctx *glsp.Context, p *protocol.DidChangeTextDocumentParams) error {
	c := s.of(ctx)
	old := c.view.docs[p.TextDocument.URI]
	if old == nil {
		old = newDocument(p.TextDocument.URI, 0, nil)
	}
	d := old
	for _, ch := range p.ContentChanges {
		switch ch := ch.(type) {
		case protocol.TextDocumentContentChangeEventWhole:
			d = newDocument(old.uri, p.TextDocument.Version, []byte(ch.Text))
		case protocol.TextDocumentContentChangeEvent:
			start, end := s.span(d.mapper, *ch.Range)
			text := make([]byte, 0, len(d.text)-(end-start)+len(ch.Text))
			text = append(append(append(text, d.text[:start]...), ch.Text...), d.text[end:]...)
			d = newDocument(old.uri, p.TextDocument.Version, text)
		}
	}
	if d == old {
		return nil
	}
	s.setView(d.uri, d)
	s.changed(d)
	return nil
}

func (s *server) didClose(ctx *glsp.Context, p *protocol.DidCloseTextDocumentParams) error {
	s.setView(p.TextDocument.URI, nil)
	s.closed(p.TextDocument.URI)
	return nil
}

func (s *server) didSave(ctx *glsp.Context, p *protocol.DidSaveTextDocumentParams) error {
	name := nameOf(p.TextDocument.URI)
	// Other scripts may see the file as a part of their library.
	s.envs.fileChanged(name)
	return nil
}

// text gives what a file holds: as edited, of the library, or on disk.
func (c *call) text(env *query.Env, name string) ([]byte, bool) {
	if d := c.view.byName(name); d != nil {
		return d.text, true
	}
	if env != nil {
		if b, ok := env.Source(name); ok {
			return b, true
		}
	}
	b, err := os.ReadFile(name)
	return b, err == nil
}

// snapshot gives the document that a request is about, waiting for what it is read
// for as long as that is short. It is nil for a document that is not open.
func (c *call) snapshot(uri string) *query.Snapshot {
	d := c.view.docs[uri]
	if d == nil {
		// A document of the library, or a file that the client asks about unopened.
		name := nameOf(uri)
		env := c.s.envs.forDocument(c.ctx, name, nil)
		text, ok := c.text(env, name)
		if !ok {
			return nil
		}
		return newDocument(uri, 0, text).snapshot(env)
	}
	return d.snapshot(c.s.envs.forDocument(c.ctx, d.name, d.text))
}

// elaborated is snapshot with its program, nil when the request was cancelled before, or
// when it waits for debug information for too long.
func (c *call) elaborated(uri string) *query.Snapshot {
	s := c.snapshot(uri)
	if s == nil {
		return nil
	}
	if p, ok := soon(c, s.Env, func(ctx context.Context) any {
		if p := s.ProgramBy(ctx); p != nil {
			return p
		}
		return nil
	}); !ok || p == nil {
		return nil
	}
	return s
}

// patience is how long an answer waits for debug information of a large program, or of
// a kernel. Who asked is told to ask again when it is there.
const patience = time.Second

// soon gives what f gives, ok false when the request ends before, or f waits for debug
// information for longer than answers may take; f then goes on, and its outcome serves
// who asks again.
func soon[T any](c *call, env *query.Env, f func(ctx context.Context) T) (v T, ok bool) {
	ctx, cancel := context.WithCancel(c.s.background)
	stop := context.AfterFunc(c.ctx, cancel)
	type outcome struct {
		v        T
		panicked any
	}
	done := make(chan outcome, 1)
	c.s.spawn(c.Method, func(context.Context) {
		defer cancel()
		var o outcome
		defer func() {
			if o.panicked = recover(); o.panicked != nil {
				c.s.logf("panic in %s: %v\n%s", c.Method, o.panicked, debug.Stack())
			}
			done <- o
		}()
		o.v = f(ctx)
	})
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case o := <-done:
			if o.panicked != nil {
				panic(o.panicked) // becomes the request's error
			}
			return o.v, true
		case <-c.ctx.Done():
			return v, false
		case <-timer.C:
			if env.Busy() {
				stop() // its outcome is wanted, though not by this request
				c.s.early.Store(true)
				return v, false
			}
			timer.Reset(patience / 10)
		}
	}
}
