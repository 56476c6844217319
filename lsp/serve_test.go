package lsp

import (
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sourcegraph/jsonrpc2"
	protocol "github.com/tliron/glsp/protocol_3_16"

	"stapkit/internal/minikernel"
)

// peer is a client in the same process.
type peer struct {
	t    testing.TB
	conn *jsonrpc2.Conn
	done chan error

	mu    sync.Mutex
	diags map[string][]protocol.PublishDiagnosticsParams
	more  chan struct{}
	asked []string // requests of the server
	told  []string // its notifications, but for diagnostics, with their parameters
}

func (p *peer) Handle(ctx context.Context, conn *jsonrpc2.Conn, req *jsonrpc2.Request) {
	switch req.Method {
	case "textDocument/publishDiagnostics":
		var d protocol.PublishDiagnosticsParams
		if err := json.Unmarshal(*req.Params, &d); err == nil {
			p.mu.Lock()
			p.diags[d.URI] = append(p.diags[d.URI], d)
			close(p.more)
			p.more = make(chan struct{})
			p.mu.Unlock()
		}
	default:
		if req.Notif && req.Params != nil {
			p.mu.Lock()
			p.told = append(p.told, req.Method+" "+string(*req.Params))
			close(p.more)
			p.more = make(chan struct{})
			p.mu.Unlock()
		}
	}
	if !req.Notif {
		p.mu.Lock()
		p.asked = append(p.asked, req.Method)
		p.mu.Unlock()
		if err := conn.Reply(ctx, req.ID, nil); err != nil {
			p.t.Log(err)
		}
	}
}

// start connects a client to a server that shows the small kernel.
func start(t testing.TB, capabilities string) *peer {
	t.Helper()
	return startWith(t, "", capabilities)
}

// startWith gives further parameters of initialize, ended by a comma.
func startWith(t testing.TB, params, capabilities string) *peer {
	t.Helper()
	return startServer(t, Options{}, params, capabilities)
}

// startServer gives options of the server, too.
func startServer(t testing.TB, opt Options, params, capabilities string) *peer {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vmlinux")
	if err := minikernel.Write(path); err != nil {
		t.Fatal(err)
	}
	here, there := net.Pipe()
	p := &peer{t: t, done: make(chan error, 1), diags: map[string][]protocol.PublishDiagnosticsParams{}, more: make(chan struct{})}
	opt.Version, opt.Settings.Target = "test", path
	go func() { p.done <- Serve(context.Background(), there, opt) }()
	p.conn = jsonrpc2.NewConn(context.Background(), jsonrpc2.NewBufferedStream(here, jsonrpc2.VSCodeObjectCodec{}), jsonrpc2.AsyncHandler(p), jsonrpc2.SetLogger(discard{}))
	p.call("initialize", json.RawMessage(`{"processId":null,"rootUri":null,`+params+`"capabilities":`+capabilities+`}`), nil)
	p.notify("initialized", struct{}{})
	return p
}

func (p *peer) call(method string, params, result any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := p.conn.Call(ctx, method, params, result); err != nil {
		p.t.Fatalf("%s: %v", method, err)
	}
}

func (p *peer) notify(method string, params any) {
	p.t.Helper()
	if err := p.conn.Notify(context.Background(), method, params); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) open(uri, text string) {
	p.notify("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": uri, "languageId": "systemtap", "version": 1, "text": text}})
}

// wait waits until something holds of what the server has sent.
func (p *peer) wait(what string, holds func() bool) {
	p.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		p.mu.Lock()
		ok, more := holds(), p.more
		p.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-more:
		case <-deadline:
			p.t.Fatalf("no %s; told were %q", what, p.told)
		}
	}
}

// diagnostics waits for those of a version.
func (p *peer) diagnostics(uri string, version uint32) []protocol.Diagnostic {
	p.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		p.mu.Lock()
		for _, d := range p.diags[uri] {
			if d.Version != nil && *d.Version == version {
				p.mu.Unlock()
				return d.Diagnostics
			}
		}
		more := p.more
		p.mu.Unlock()
		select {
		case <-more:
		case <-deadline:
			p.t.Fatalf("no diagnostics of version %d", version)
		}
	}
}

func (p *peer) stop() {
	p.t.Helper()
	p.call("shutdown", nil, nil)
	p.notify("exit", nil)
	if err := <-p.done; err != nil {
		p.t.Errorf("the server ended with %v", err)
	}
}

func at(uri string, line, char int) map[string]any {
	return map[string]any{"textDocument": map[string]any{"uri": uri}, "position": map[string]any{"line": line, "character": char}}
}

// TestServe goes through the life of a session.
func TestServe(t *testing.T) {
	p := start(t, `{"textDocument":{"hover":{"contentFormat":["markdown"]},"completion":{"completionItem":{"snippetSupport":true}}}}`)
	uri := "file:///tmp/a.stp"
	p.open(uri, "probe kernel.function(\"vfs_read\") {\n\tprintln($file->f_pos, $nope)\n}\n")
	ds := p.diagnostics(uri, 1)
	if len(ds) != 1 || !strings.Contains(ds[0].Message, "$file") || ds[0].Range.Start.Line != 1 {
		t.Errorf("diagnostics: %+v", ds)
	}
	var hover struct {
		Contents protocol.MarkupContent
		Range    protocol.Range
	}
	p.call("textDocument/hover", at(uri, 1, 20), &hover)
	if !strings.Contains(hover.Contents.Value, "loff_t f_pos") || hover.Range.Start.Character != 16 {
		t.Errorf("hover: %+v", hover)
	}
	p.notify("textDocument/didChange", map[string]any{"textDocument": map[string]any{"uri": uri, "version": 2},
		"contentChanges": []any{map[string]any{"range": map[string]any{"start": map[string]any{"line": 1, "character": 21}, "end": map[string]any{"line": 1, "character": 28}}, "text": ", $file->f_"}}})
	var list protocol.CompletionList
	p.call("textDocument/completion", at(uri, 1, 32), &list)
	var labels []string
	for _, it := range list.Items {
		labels = append(labels, it.Label)
	}
	if !strings.Contains(strings.Join(labels, " "), "f_inode") {
		t.Errorf("completion: %v", labels)
	}
	var edits []protocol.TextEdit
	p.open("file:///tmp/b.stp", "probe begin{exit()}\n")
	p.call("textDocument/formatting", map[string]any{"textDocument": map[string]any{"uri": "file:///tmp/b.stp"}, "options": map[string]any{"tabSize": 8, "insertSpaces": false}}, &edits)
	if len(edits) == 0 {
		t.Error("formatting changes nothing")
	}
	p.stop()
}
